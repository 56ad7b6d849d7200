r"""The adjoint and the tangent of `eventsim.model.jumps`: what events do to derivatives.

The equations are those of `gradients._sweeps.events` and `gradients._sweeps.tangent`.
"""

from eventsim._support.compile import scalar

__all__ = [
    "arrival_back",
    "arrival_forward",
    "release_back",
    "release_forward",
    "spike_back",
    "spike_forward",
]


@scalar
def arrival_back(weight, alpha, lambda_i, lambda_v):
    """Return the derivative of the loss by the time of an arrival; that by its weight: lambda_I."""
    return weight * (alpha * lambda_i - lambda_v)


@scalar
def release_back(by_time, released, bias, lambda_v):
    """Return the derivative by a spike's time, once its release is crossed; lambda_V is 0 then."""
    return by_time - (released + bias) * lambda_v


@scalar
def spike_back(by_time, slope):
    """Return lambda_V before a spike; the derivative by the threshold is less by as much."""
    return -by_time / slope


@scalar
def arrival_forward(weight, d_weight, alpha, d_time):
    """Return ``(dI, dV)`` that an arrival adds, if it and its weight move."""
    return d_weight + weight * alpha * d_time, -weight * d_time


@scalar
def spike_forward(d_threshold, d_potential, slope):
    """Return how far a spike moves."""
    return (d_threshold - d_potential) / slope


@scalar
def release_forward(released, bias, moved):
    """Return dV at a release that moves with its spike."""
    return -(released + bias) * moved
