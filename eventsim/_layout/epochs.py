"""Epochs: stretches of time that begin at exact numbers, to which states are moved back.

An event loop that keeps a neuron's state as of the start of an epoch shares one flow among all
arrivals of a delay group.
"""

import math

import numpy as np

from eventsim._layout.wiring import Neurons
from eventsim._support.compile import scalar
from eventsim._support.types import FloatArray

__all__ = ["epoch_start", "powers_of_two"]

FARTHEST_PUSH = 16.0  # thresholds by which an arrival moves V at most within an epoch


@scalar
def epoch_start(now, length):
    """Return the start of the epoch of ``now``: a multiple of ``length``, a power of two.

    Exact, and never later than ``now``; where numbers lie farther apart than epochs it is ``now``.
    """
    number = now / length
    return math.floor(number) * length if number < 2.0**52 else now


def powers_of_two(
    neurons: Neurons, time_constants: float, push: FloatArray | float = 0.0
) -> FloatArray:
    """Return the longest epochs, of a power of two, for each kind of neuron.

    They last at most so many (shorter) ``time_constants``, and an arrival that moves V by ``push``
    thresholds in a unit of time moves it by no more than `FARTHEST_PUSH` of them.
    """
    with np.errstate(divide="ignore", over="ignore"):
        longest = np.minimum(
            time_constants / np.maximum(neurons.alpha.max(axis=1), neurons.beta),
            np.divide(FARTHEST_PUSH, push),
        )
    return np.ldexp(1.0, np.frexp(np.clip(longest, 1e-300, 1e300))[1] - 1)
