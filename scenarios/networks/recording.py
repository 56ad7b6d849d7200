"""What a simulator found: spike trains, their rates, and how irregular they are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from scenarios.running.checkpoint import Arrays

__all__ = ["Recording"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
LEAST_INTERVALS = 5  # of a neuron whose CV is taken


@dataclass(frozen=True, eq=False)
class Recording:
    """What a simulator found.

    Attributes
    ----------
    times, indices : (n_spikes,) ndarray
        Spikes, ordered by neuron, then by time.
    n : int
        Number of neurons.
    duration : float
        Of the run.
    seconds : float
        Processor time that it took.
    """

    times: Floats
    indices: Ints
    n: int
    duration: float
    seconds: float

    @classmethod
    def of(cls, arrays: Arrays, n: int, duration: float) -> Recording:
        """Return the recording of "times", "indices" and "seconds", in any order."""
        times, indices = arrays["times"], arrays["indices"].astype(np.int64)
        order = np.lexsort((times, indices))
        return cls(times[order], indices[order], n, duration, float(arrays["seconds"]))

    def after(self, time: float) -> Recording:
        """Return what comes later than a time, which becomes 0."""
        late = self.times > time
        return Recording(
            self.times[late] - time, self.indices[late], self.n, self.duration - time, self.seconds
        )

    @property
    def rates(self) -> Floats:
        """Spikes of each neuron in unit time, (n,)."""
        return np.bincount(self.indices, minlength=self.n) / self.duration

    @property
    def intervals(self) -> tuple[Floats, Ints]:
        """Intervals between spikes that follow each other, and the neuron of each."""
        own = np.diff(self.indices) == 0
        return np.diff(self.times)[own], self.indices[1:][own]

    @cached_property
    def cv(self) -> Floats:
        """Coefficient of variation of each neuron's intervals, (n,); NaN if there are few.

        Examples
        --------
        >>> times = np.cumsum([1.0, 3.0, 1.0, 3.0, 1.0, 3.0, 1.0])
        >>> Recording(times, np.zeros(7, dtype=int), 1, 13.0, 0.0).cv
        array([0.5])
        """
        intervals, owner = self.intervals
        count = np.bincount(owner, minlength=self.n)
        some = count >= LEAST_INTERVALS
        mean, square = (
            np.bincount(owner, weights=values, minlength=self.n) / np.where(some, count, 1)
            for values in (intervals, intervals**2)
        )
        variance = np.maximum(square - mean**2, 0.0)
        return np.where(some, np.sqrt(variance) / np.where(some, mean, 1.0), np.nan)

    @property
    def table(self) -> Floats:
        """The k-th spike of each neuron, (n, most), ``inf`` where there is none."""
        count = np.bincount(self.indices, minlength=self.n)
        first = np.cumsum(count) - count
        table = np.full((self.n, int(count.max(initial=0)) + 1), np.inf)
        table[self.indices, np.arange(self.times.size) - first[self.indices]] = self.times
        return table
