"""Options of the scenario `coherence`: which neurons, with which noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, TypeAlias

import numpy as np
from numpy.typing import NDArray

from scenarios.coherence.simulation import Segments
from scenarios.coherence.theory import Neuron
from scenarios.running.options import Options, Positive, Range, Seed, TimeConstant, option

__all__ = ["CoherenceOptions"]

Floats = NDArray[np.float64]
Segmented: TypeAlias = Annotated[int, Range(10, 100_000)]  # fewer: errors are not known
HIGHEST = 3.0  # frequency, in units of the rate of the non-leaky neuron
N_COMPARED, N_LINE = 60, 120  # frequencies at most
BINS, PER_INTERVAL = 8192, 100  # bins of a segment, and of an interval of the non-leaky neuron


@dataclass(frozen=True)
class CoherenceOptions(Options):
    """Times are in steps of the clocked networks of the paper."""

    taus: tuple[TimeConstant, ...] = option(
        "Membrane time constants, ascending; inf: no leak.", (30.0, 100.0, math.inf)
    )
    current: Positive = option(
        "Mean input, > 0: the threshold over it is the interval of the non-leaky neuron.",
        1.0 / 30.0,
    )
    noise: Positive = option(
        "Intensity of the white noise: half the variance that it adds to the potential in unit "
        "time.",
        1.0 / 300.0,
    )
    jumps: tuple[Annotated[float, Range(0.001, 1, "[)")], ...] = option(
        "By which a spike of the shot noise moves the potential (threshold 1), descending.",
        (0.2, 0.1, 0.05, 0.025),
    )
    segments: Segmented = option(
        "Segments of white noise, each of 82 intervals of the non-leaky neuron.", 1000
    )
    shot_segments: Segmented = option("Segments of shot noise.", 400)
    seed: Seed = option("Of the noise.", 0)

    def __post_init__(self) -> None:
        """Check the fields, and that the neurons fire."""
        super().__post_init__()
        if not self.taus or any(not a < b for a, b in pairwise(self.taus)):
            raise ValueError(f"taus must be one or more, ascending, got {self.taus!r}")
        if any(not a > b for a, b in pairwise(self.jumps)):
            raise ValueError(f"jumps must descend, got {self.jumps!r}")
        self.neurons()

    def neurons(self) -> list[Neuron]:
        """Return the neurons, leakiest first."""
        return [Neuron(tau, self.current, self.noise) for tau in self.taus]

    @property
    def width(self) -> float:
        """Duration of a bin."""
        return 1.0 / (PER_INTERVAL * self.current)

    def of_white_noise(self) -> Segments:
        """Return what is simulated with white noise."""
        return Segments(self.segments, BINS, self.width)

    def of_shot_noise(self) -> Segments:
        """Return what is simulated with shot noise."""
        return Segments(self.shot_segments, BINS, self.width)

    def frequencies(self) -> Floats:
        """Return frequencies at which to compare."""
        return np.geomspace(2.0 / (BINS * self.width), HIGHEST * self.current, N_COMPARED)

    def line(self) -> Floats:
        """Return frequencies of a smooth line."""
        return np.geomspace(0.01 * self.current, HIGHEST * self.current, N_LINE)
