r"""What events do to a neuron: the jumps between the flows.

- An *arrival* of weight w: :math:`I \leftarrow I + w`.
- A *spike* with slope s: the current there is :math:`I = s + \beta\theta - c`, and goes on; the
  potential jumps to `RESET`.
- The potential is *held* there for the refractory period, while the current decays: all that
  is needed of it is the current at the *release*, so an arrival meanwhile is carried forward to it.
"""

import math

from eventsim._support.compile import scalar

__all__ = ["RESET", "arrive_held", "fire", "hold"]

# Potential after a spike.
RESET = 0.0


@scalar
def fire(spike, slope, alpha, beta, threshold, bias, refractory):
    """Return ``(release, current, potential)``: the state with which a neuron is released.

    The current follows from the slope, which has no digits lost to cancellation.
    """
    current = slope + (beta * threshold - bias)
    if refractory > 0.0:
        current = hold(current, refractory, alpha)
    return spike + refractory, current, RESET


@scalar
def hold(current, lag, alpha):
    """Return the current a time ``lag`` later, while the potential is held."""
    return current * math.exp(-alpha * lag)


@scalar
def arrive_held(current, weight, ahead, alpha):
    """Return the current at a release, which is ``ahead`` of an arrival."""
    return current + hold(weight, ahead, alpha)
