"""What is measured of the spikes of a population."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from scenarios.running.checkpoint import Arrays

__all__ = ["Trains", "joined"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
LEAST_INTERVALS = 5  # of a neuron whose CV is taken
SYNCHRONY_BIN, SYNCHRONY_NEURONS = 3.0, 1000
CORRELATION_BIN, CORRELATION_NEURONS = 2.0, 200
ROUNDING = 1e-12  # of a variance of counts


@dataclass(frozen=True, eq=False)
class Trains:
    """Spikes of a population, of a stretch of time that begins at 0.

    Attributes
    ----------
    times, indices : (n_spikes,) ndarray
        Ordered by neuron, then by time.
    n : int
        Number of neurons.
    duration : float
        Of the stretch, ms.
    """

    times: Floats
    indices: Ints
    n: int
    duration: float

    @classmethod
    def of(cls, spikes: Arrays, neurons: slice, begin: float, end: float) -> Trains:
        """Return the trains of some neurons between two times.

        Examples
        --------
        >>> spikes = {"times": np.array([1.0, 4.0, 2.0]), "indices": np.array([7, 5, 3])}
        >>> trains = Trains.of(spikes, slice(5, 9), 0.5, 4.5)
        >>> trains.times.tolist(), trains.indices.tolist(), trains.n, trains.duration
        ([3.5, 0.5], [0, 2], 4, 4.0)
        """
        times, indices = spikes["times"], spikes["indices"].astype(np.int64)
        inside = (times > begin) & (times <= end)
        inside &= (neurons.start <= indices) & (indices < neurons.stop)
        times, indices = times[inside] - begin, indices[inside] - neurons.start
        order = np.lexsort((times, indices))
        return cls(times[order], indices[order], neurons.stop - neurons.start, end - begin)

    @cached_property
    def rates(self) -> Floats:
        """Rate of each neuron in Hz, (n,)."""
        return np.bincount(self.indices, minlength=self.n) / (self.duration / 1000.0)

    @cached_property
    def cvs(self) -> Floats:
        """CV of the intervals of each neuron that has five or more.

        Examples
        --------
        >>> times = np.cumsum([1.0, 3.0, 1.0, 3.0, 1.0, 3.0, 1.0])
        >>> Trains(times, np.zeros(7, dtype=int), 2, 13.0).cvs
        array([0.5])
        """
        own = np.diff(self.indices) == 0
        intervals, owner = np.diff(self.times)[own], self.indices[1:][own]
        number = np.bincount(owner, minlength=self.n)
        some = number >= LEAST_INTERVALS
        kept, new = some[owner], np.cumsum(some) - 1
        intervals, owner, number = intervals[kept], new[owner[kept]], number[some]
        mean = np.bincount(owner, intervals, number.size) / number
        squares = np.bincount(owner, (intervals - mean[owner]) ** 2, number.size)
        cvs: Floats = np.sqrt(squares / number) / mean
        return cvs

    @cached_property
    def synchrony(self) -> float:
        """Variance over mean of the spikes of up to 1000 neurons in 3 ms; NaN if there are none.

        Examples
        --------
        >>> at_once = Trains(np.full(4, 0.5), np.arange(4), 4, 12.0)
        >>> at_once.synchrony  # 4, 0, 0, 0
        3.0
        """
        counts = self._counts(SYNCHRONY_NEURONS, SYNCHRONY_BIN).sum(axis=0)
        return float(counts.var() / counts.mean()) if counts.any() else math.nan

    @cached_property
    def correlations(self) -> Floats:
        """Correlations of the spikes in 2 ms of all pairs of up to 200 neurons, those that fire.

        Examples
        --------
        >>> times, indices = np.array([0.5, 4.5, 0.5, 4.5, 2.5]), np.array([0, 0, 1, 1, 2])
        >>> Trains(times, indices, 4, 6.0).correlations
        array([ 1., -1., -1.])
        """
        counts = self._counts(CORRELATION_NEURONS, CORRELATION_BIN)
        n_bins = counts.shape[1]
        mean = counts.sum(axis=1) / max(n_bins, 1)
        covariance = (counts @ counts.T).toarray() / max(n_bins, 1) - np.outer(mean, mean)
        varies = np.flatnonzero(covariance.diagonal() > ROUNDING)
        covariance = covariance[np.ix_(varies, varies)]
        deviation = np.sqrt(covariance.diagonal())
        pairs = np.triu_indices(varies.size, 1)
        return (covariance / np.outer(deviation, deviation))[pairs]

    def _counts(self, neurons: int, width: float) -> sparse.csr_array:
        """Return the spikes of the first neurons in the whole bins, (n_neurons, n_bins)."""
        shape = min(self.n, neurons), int(self.duration / width)
        column = (self.times / width).astype(np.int64)
        some = (self.indices < shape[0]) & (column < shape[1])
        ones = np.ones(np.count_nonzero(some))
        return sparse.coo_array((ones, (self.indices[some], column[some])), shape).tocsr()


def joined(chunks: Sequence[Arrays]) -> Arrays:
    """Return the spikes of chunks that follow each other."""
    return {
        name: np.concatenate([chunk[name] for chunk in chunks]) for name in ("times", "indices")
    }
