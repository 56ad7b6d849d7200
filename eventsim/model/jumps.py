r"""What events do to a neuron: the jumps between the flows.

- An *arrival* of weight w: :math:`I \leftarrow I + w`.
- A *spike* with slope s: the current there is :math:`I = s + \beta\theta - c`, and goes on; the
  potential jumps to `RESET`.
- A *charge* w, at a receptor without a current: :math:`V \leftarrow V + w`.  All charges that come
  at the same time count as one: if V surpasses the threshold then, the neuron spikes at that very
  time, with the slope `AT_ONCE`.  What comes while the potential is held is lost.
- The potential is *held* there for the refractory period, while the current decays: all that
  is needed of it is the current at the *release*, so an arrival meanwhile is carried forward to it.
"""

import math

from eventsim._support.compile import scalar
from eventsim.model.crossing import ROUNDING
from eventsim.model.flow import exponential

__all__ = ["AT_ONCE", "CHARGE", "RESET", "arrive_held", "fire", "hold", "surpasses"]

# Potential after a spike.
RESET = 0.0

# In the place of a receptor's number: it has no current.
CHARGE = -1

# Slope of a spike whose time is that of a charge.
AT_ONCE = math.inf


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
def surpasses(potential, threshold, size):
    """Return 1 if charges have brought V above the threshold, 0 if they may have by rounding alone.

    ``size`` is that of the largest term of V.  Else the number is negative.
    """
    if threshold == math.inf:
        return -1
    excess, rounding = potential - threshold, ROUNDING * max(size, abs(threshold))
    if excess > rounding:
        return 1
    return 0 if excess >= -rounding else -1


@scalar
def hold(current, lag, alpha):
    """Return the current a time ``lag`` later, while the potential is held."""
    return current * exponential(-alpha * lag)


@scalar
def arrive_held(current, weight, ahead, alpha):
    """Return the current at a release, which is ``ahead`` of an arrival."""
    return current + hold(weight, ahead, alpha)
