"""The numbers of Potjans & Diesmann's model, and what is left of them at a smaller scale.

Those of the reference implementation, INM-6/microcircuit-PD14-model: in ms, mV and Hz.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "C_M",
    "DELAY_OUTSIDE",
    "DELAY_SPREAD",
    "FULL_RATES",
    "NEURON",
    "POPULATIONS",
    "SHORTEST_DELAY",
    "STEP",
    "WEIGHT_SPREAD",
    "Circuit",
    "Drive",
    "Start",
    "delay_of",
]

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Drive: TypeAlias = Literal["poisson", "dc"]
Start: TypeAlias = Literal["optimized", "original"]

POPULATIONS = ("L23E", "L23I", "L4E", "L4I", "L5E", "L5I", "L6E", "L6I")
SIZES = np.array([20683, 5834, 21915, 5479, 4850, 1065, 14395, 2948])
PROBABILITIES = np.array([  # that a pair has a synapse; to each row, from each column
    [0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0.0000, 0.0076, 0.0000],
    [0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0.0000, 0.0042, 0.0000],
    [0.0077, 0.0059, 0.0497, 0.1350, 0.0067, 0.0003, 0.0453, 0.0000],
    [0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0.0000, 0.1057, 0.0000],
    [0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0.0000],
    [0.0548, 0.0269, 0.0257, 0.0022, 0.0600, 0.3158, 0.0086, 0.0000],
    [0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252],
    [0.0364, 0.0010, 0.0034, 0.0005, 0.0277, 0.0080, 0.0658, 0.1443],
])  # fmt: skip
INDEGREES_OUTSIDE = np.array([1600.0, 1500.0, 2100.0, 1900.0, 2000.0, 1900.0, 2900.0, 2100.0])
RATE_OUTSIDE = 8.0  # Hz, of each synapse
FULL_RATES = np.array([0.903, 2.965, 4.414, 5.876, 7.569, 8.633, 1.105, 7.829])  # Hz

NEURON = {"tau_m": 10.0, "t_ref": 2.0, "E_L": -65.0, "V_th": -50.0, "V_reset": -65.0}
TAU_SYN = 0.5
C_M = 250.0  # pF
PSP = 0.15  # height of the potential after an excitatory spike
INHIBITION = -4.0  # times as strong
WEIGHT_SPREAD = 0.1  # standard deviation over mean
DELAYS = {"E": 1.5, "I": 0.75}
DELAY_SPREAD = 0.5
SHORTEST_DELAY = 0.1
DELAY_OUTSIDE = 1.5
STEP = 0.1  # ms: the grid of NEST's spikes and delays
STARTS: dict[Start, tuple[list[float], list[float]]] = {  # mean and deviation of potentials
    "original": ([-58.0] * 8, [10.0] * 8),
    "optimized": (
        [-68.28, -63.16, -63.33, -63.45, -63.11, -61.66, -66.72, -61.43],
        [5.36, 4.57, 4.74, 4.94, 4.94, 4.55, 5.46, 4.48],
    ),
}


def delay_of(population: str) -> float:
    """Return the mean delay of the spikes of a population."""
    return DELAYS[population[-1]]


def jump() -> float:
    """Return by how much a spike raises the current, mV/ms, if the potential then rises by `PSP`.

    Examples
    --------
    >>> round(jump() * C_M, 1)  # pA
    87.8
    """
    ratio = TAU_SYN / NEURON["tau_m"]
    return PSP / (TAU_SYN * ratio ** (ratio / (1.0 - ratio)))


@dataclass(frozen=True)
class Circuit:
    """The model at a scale; arrays have an entry for each population, or (to, from) for a pair.

    Attributes
    ----------
    scale : float
        Fraction of the neurons, and of the synapses of each.
    drive : {"poisson", "dc"}
        What comes from outside: spikes, or their mean.

    Examples
    --------
    >>> full = Circuit(1.0, "poisson")
    >>> int(full.sizes.sum()), int(full.synapses.sum())
    (77169, 298880970)
    """

    scale: float
    drive: Drive

    @cached_property
    def sizes(self) -> Ints:
        """Number of neurons."""
        return _rounded(SIZES * self.scale)

    @cached_property
    def synapses(self) -> Ints:
        """Number of synapses; drawn one by one, they connect a pair with its probability."""
        return _rounded(_full_synapses() * self.scale**2)

    @cached_property
    def weights(self) -> Floats:
        """Mean weights, mV/ms."""
        return _full_weights() / math.sqrt(self.scale)

    @property
    def weight_outside(self) -> float:
        """Weight of a spike from outside, mV/ms."""
        return jump() / math.sqrt(self.scale)

    @cached_property
    def rates_outside(self) -> Floats:
        """Spikes from outside that a neuron gets in a ms."""
        if self.drive == "dc":
            return np.zeros(len(POPULATIONS))
        return _rounded(INDEGREES_OUTSIDE * self.scale) / 1000.0 * RATE_OUTSIDE

    @cached_property
    def bias(self) -> Floats:
        """Direct current, mV/ms: the mean input of the full network that spikes do not bring."""
        missing = 1.0 - math.sqrt(self.scale)
        indegrees = _full_synapses() / SIZES[:, None]
        inside = TAU_SYN * (_full_weights() * indegrees) @ (FULL_RATES / 1000.0)
        outside = TAU_SYN * jump() * INDEGREES_OUTSIDE * RATE_OUTSIDE / 1000.0
        return missing * inside + (missing if self.drive == "poisson" else 1.0) * outside

    def parts(self) -> dict[str, slice]:
        """Return which numbers the neurons of each population have."""
        ends = np.cumsum(self.sizes).tolist()
        starts = [0, *ends[:-1]]
        return {name: slice(a, b) for name, a, b in zip(POPULATIONS, starts, ends, strict=True)}


def _full_synapses() -> Floats:
    """Return the numbers of synapses before they are rounded.

    The reference implementation takes the logarithm of (n - 1) / n, which loses digits: two of its
    numbers are smaller by 1.
    """
    pairs = np.outer(SIZES, SIZES)
    return np.log1p(-PROBABILITIES) / np.log1p(-1.0 / pairs)


def _full_weights() -> Floats:
    inhibitory = np.array([name.endswith("I") for name in POPULATIONS])
    weights = np.tile(np.where(inhibitory, INHIBITION, 1.0) * jump(), (len(POPULATIONS), 1))
    weights[POPULATIONS.index("L23E"), POPULATIONS.index("L4E")] *= 2.0
    return weights


def _rounded(values: Floats) -> Ints:
    return np.rint(values).astype(np.int64)
