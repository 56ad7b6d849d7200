"""What a simulator found: spike trains, their rates, and how irregular they are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from scenarios.running.checkpoint import Arrays

__all__ = ["Recording", "spread"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
LEAST_INTERVALS = 5  # of a neuron whose CV is taken


@dataclass(frozen=True, eq=False)
class Recording:
    """What a simulator found.

    Attributes
    ----------
    times, indices : (n_spikes,) ndarray
        Spikes, ms, ordered by neuron, then by time.
    n : int
        Number of neurons.
    duration : float
        Of the run, ms.
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
        return replace(
            self,
            times=self.times[late] - time,
            indices=self.indices[late],
            duration=self.duration - time,
        )

    def of_neurons(self, part: slice) -> Recording:
        """Return what some neurons do, the first of which becomes number 0.

        Examples
        --------
        >>> both = Recording(np.array([2.0, 4.0, 1.0]), np.array([3, 5, 7]), 9, 5.0, 0.0)
        >>> some = both.of_neurons(slice(5, 9))
        >>> some.times.tolist(), some.indices.tolist(), some.n
        ([4.0, 1.0], [0, 2], 4)
        """
        own = slice(*self.indices.searchsorted((part.start, part.stop)).tolist())
        return replace(
            self,
            times=self.times[own],
            indices=self.indices[own] - part.start,
            n=part.stop - part.start,
        )

    @property
    def rates(self) -> Floats:
        """Rate of each neuron, Hz, (n,)."""
        return np.bincount(self.indices, minlength=self.n) / (self.duration / 1000.0)

    @property
    def intervals(self) -> tuple[Floats, Ints]:
        """Intervals between spikes that follow each other, ms, and the neuron of each."""
        own = np.diff(self.indices) == 0
        return np.diff(self.times)[own], self.indices[1:][own]

    @cached_property
    def cvs(self) -> Floats:
        """Coefficient of variation of the intervals of each neuron that has five or more.

        Examples
        --------
        >>> times = np.cumsum([1.0, 3.0, 1.0, 3.0, 1.0, 3.0, 1.0])
        >>> Recording(times, np.zeros(7, dtype=int), 2, 13.0, 0.0).cvs
        array([0.5])
        """
        intervals, owner = self.intervals
        number = np.bincount(owner, minlength=self.n)
        some = number >= LEAST_INTERVALS
        kept, new = some[owner], np.cumsum(some) - 1
        intervals, owner, number = intervals[kept], new[owner[kept]], number[some]
        mean = np.bincount(owner, intervals, number.size) / number
        squares = np.bincount(owner, (intervals - mean[owner]) ** 2, number.size)
        cvs: Floats = np.sqrt(squares / number) / mean
        return cvs

    @property
    def table(self) -> Floats:
        """The k-th spike of each neuron, (n, most), ``inf`` where there is none."""
        count = np.bincount(self.indices, minlength=self.n)
        first = np.cumsum(count) - count
        table = np.full((self.n, int(count.max(initial=0)) + 1), np.inf)
        table[self.indices, np.arange(self.times.size) - first[self.indices]] = self.times
        return table


def spread(values: Floats, digits: int) -> str:
    """Return "mean ± standard deviation" over neurons; a dash if there are none.

    Examples
    --------
    >>> spread(np.array([1.0, 3.0]), 1), spread(np.array([]), 1)
    ('2.0 ± 1.0', '–')
    """
    return f"{values.mean():.{digits}f} ± {values.std():.{digits}f}" if values.size else "–"
