"""Spike trains: validated, sorted, immutable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eventsim._compile import loop
from eventsim._types import FloatArray, IntArray
from eventsim._validate import as_count, as_floats, as_indices, require

__all__ = ["SpikeBatch", "Spikes"]


class Spikes:
    """Spikes of a group of sources: when, and which source.

    Parameters
    ----------
    times : (n_spikes,) array_like
        Spike times >= 0, finite, in any order.
    indices : (n_spikes,) array_like of int
        Source of each spike.

    Attributes
    ----------
    times, indices : (n_spikes,) ndarray
        Ascending in time (ties: ascending index), read-only.
    order : (n_spikes,) ndarray of int
        ``times[k]`` is the caller's ``times[order[k]]``.

    Raises
    ------
    ValueError
        If the shapes differ, a time is NaN, infinite or negative, or an index is no integer >= 0.

    Examples
    --------
    >>> spikes = Spikes([0.5, 0.2], [0, 3])
    >>> spikes.times, spikes.indices
    (array([0.2, 0.5]), array([3, 0]))
    """

    __slots__ = ("_order", "indices", "times")

    times: FloatArray
    indices: IntArray
    _order: IntArray | None

    def __init__(self, times: ArrayLike, indices: ArrayLike) -> None:
        """Validate and sort."""
        times, indices = _checked(times, indices)
        self._order, (self.times, self.indices) = _sorted(times, indices)
        _freeze(self.times, self.indices)

    @property
    def order(self) -> IntArray:
        """Position of each spike in the caller's arrays."""
        return _positions(self._order, len(self))

    def __len__(self) -> int:
        """Return the number of spikes."""
        return self.times.size

    def __repr__(self) -> str:
        """Return a short description."""
        return f"Spikes({len(self)} spikes)"


class SpikeBatch:
    """Spikes of many samples of one group of sources, as flat arrays.

    Parameters
    ----------
    times, indices : (n_spikes,) array_like
        As for `Spikes`.
    samples : (n_spikes,) array_like of int
        Sample that each spike belongs to.
    n_samples : int
        Number of samples (a sample may be without spikes).

    Attributes
    ----------
    times, indices, samples : (n_spikes,) ndarray
        Ascending in (sample, time, index), read-only.
    order : (n_spikes,) ndarray of int
        Position of each spike in the caller's arrays.
    offsets : (n_samples + 1,) ndarray of int
        The spikes of sample k are ``times[offsets[k]:offsets[k + 1]]``.

    Raises
    ------
    ValueError
        As `Spikes`, and if a sample is not in ``range(n_samples)``.

    Examples
    --------
    >>> batch = SpikeBatch.from_latencies([[0.1, 0.3], [0.2, float("inf")]])
    >>> len(batch), batch.sample(1).times
    (2, array([0.2]))
    """

    __slots__ = ("_order", "indices", "offsets", "times")

    times: FloatArray
    indices: IntArray
    offsets: IntArray
    _order: IntArray | Callable[[], IntArray] | None

    def __init__(
        self, times: ArrayLike, indices: ArrayLike, samples: ArrayLike, n_samples: int
    ) -> None:
        """Validate and sort."""
        times, indices = _checked(times, indices)
        samples = as_indices(samples, "samples")
        if samples.shape != times.shape:
            raise ValueError(f"samples must have shape {times.shape}, got {samples.shape}")
        n_samples = as_count(n_samples, "n_samples")
        require(samples < n_samples, samples, f"samples must be < n_samples = {n_samples}")
        order, (samples, times, indices) = _sorted(samples, times, indices)
        self._set(times, indices, np.searchsorted(samples, np.arange(n_samples + 1)), order)

    def _set(
        self,
        times: FloatArray,
        indices: IntArray,
        offsets: IntArray,
        order: IntArray | Callable[[], IntArray] | None,
    ) -> None:
        self.times, self.indices, self.offsets, self._order = times, indices, offsets, order
        _freeze(times, indices, offsets)

    @property
    def order(self) -> IntArray:
        """Position of each spike in the caller's arrays."""
        if callable(self._order):
            self._order = self._order()
        return _positions(self._order, self.times.size)

    @property
    def samples(self) -> IntArray:
        """Sample of each spike, ascending."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @classmethod
    def from_latencies(cls, latencies: ArrayLike) -> SpikeBatch:
        """Build a batch in which each source fires at most once in each sample.

        Parameters
        ----------
        latencies : (n_samples, n_sources) array_like
            Spike time of each source; ``inf`` = the source is silent.

        Returns
        -------
        SpikeBatch
            Its ``order`` counts the spikes row by row, silent sources left out.
        """
        latencies = as_floats(latencies, "latencies")
        if latencies.ndim != 2:
            raise ValueError(f"latencies must be (n_samples, n_sources), got {latencies.shape}")
        samples, indices = np.nonzero(latencies != np.inf)
        return cls(latencies[samples, indices], indices, samples, latencies.shape[0])

    @classmethod
    def from_sorted(cls, times: FloatArray, indices: IntArray, offsets: IntArray) -> SpikeBatch:
        """Build a batch from spikes that are sorted already, without a copy.

        Parameters
        ----------
        times : (n_spikes,) ndarray of float64
            Spike times >= 0, finite; ascending in (time, index) within each sample.
        indices : (n_spikes,) ndarray of int64
            Source of each spike.
        offsets : (n_samples + 1,) ndarray of int64
            The spikes of sample k are ``times[offsets[k]:offsets[k + 1]]``.

        Returns
        -------
        SpikeBatch
            It takes the three arrays over: they become read-only.  Its ``order`` counts the spikes
            as they are.

        Raises
        ------
        ValueError
            If the arrays do not fit together, or a spike is invalid or out of order.

        Examples
        --------
        >>> offsets = np.array([0, 2, 3])
        >>> times, indices = np.array([0.1, 0.3, 0.2]), np.array([1, 0, 1])
        >>> batch = SpikeBatch.from_sorted(times, indices, offsets)
        >>> len(batch), batch.sample(0).times
        (2, array([0.1, 0.3]))
        """
        _check_flat(times, indices, offsets)
        views = times.view(), indices.view(), offsets.view()
        _freeze(*views)  # one kind of arrays: the loop is compiled once
        k = _first_invalid(*views)
        if k >= 0:
            raise ValueError(
                "each sample must ascend in (time, index), with finite times >= 0 and indices "
                f">= 0, got {(float(times[k]), int(indices[k]))} at position {k}"
            )
        self = cls.__new__(cls)
        self._set(times, indices, offsets, None)
        return self

    @classmethod
    def from_samples(cls, samples: Sequence[Spikes]) -> SpikeBatch:
        """Join the `Spikes` of several samples into one batch.

        Parameters
        ----------
        samples : sequence of Spikes
            One spike train per sample.

        Returns
        -------
        SpikeBatch
            Its ``order`` counts the spikes sample by sample, in the order of each `Spikes` caller.
        """
        if not samples:
            raise ValueError(f"a batch needs at least one sample, got {samples!r}")
        self = cls.__new__(cls)
        offsets = np.cumsum([0, *[len(sample) for sample in samples]])
        if len(samples) == 1:
            self._set(samples[0].times, samples[0].indices, offsets, samples[0]._order)
            return self
        starts = np.repeat(offsets[:-1], np.diff(offsets))
        self._set(
            np.concatenate([sample.times for sample in samples]),
            np.concatenate([sample.indices for sample in samples]),
            offsets,
            starts + np.concatenate([sample.order for sample in samples]),
        )
        return self

    def __len__(self) -> int:
        """Return the number of samples."""
        return self.offsets.size - 1

    def __getitem__(self, which: int | slice | Sequence[int] | NDArray[Any]) -> SpikeBatch:
        """Return the batch of the chosen samples (a slice, or an array of sample numbers).

        Its ``order`` counts the chosen spikes sample by sample, each in its caller's order.
        """
        chosen = np.atleast_1d(np.arange(len(self))[which])
        sizes = np.diff(self.offsets)[chosen]
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        take = np.repeat(self.offsets[chosen] - offsets[:-1], sizes) + np.arange(offsets[-1])
        order = None if self._order is None else partial(_ranks, self, take, sizes)
        part = type(self).__new__(type(self))
        part._set(self.times[take], self.indices[take], offsets, order)
        return part

    def sample(self, k: int) -> Spikes:
        """Return the spikes of sample ``k`` as `Spikes`."""
        part = slice(self.offsets[:-1][k], self.offsets[1:][k])
        return Spikes(self.times[part], self.indices[part])

    def __repr__(self) -> str:
        """Return a short description."""
        return f"SpikeBatch({len(self)} samples, {self.times.size} spikes)"


def _checked(times: ArrayLike, indices: ArrayLike) -> tuple[FloatArray, IntArray]:
    times = as_floats(times, "times")
    indices = as_indices(indices, "indices")
    if times.ndim != 1 or times.shape != indices.shape:
        raise ValueError(
            f"times and indices must be (n_spikes,), got {times.shape} and {indices.shape}"
        )
    require(np.isfinite(times), times, "times must be finite")
    require(times >= 0.0, times, "times must be >= 0")
    return times, indices


def _sorted(*keys: NDArray[Any]) -> tuple[IntArray | None, tuple[NDArray[Any], ...]]:
    """Return the order that sorts by the keys, the first one first, and copies in this order.

    The order is None if they are sorted: long trains most often are, and need not store it.
    """
    tied = np.ones(max(keys[0].size - 1, 0), dtype=bool)
    for key in keys:
        if np.any(tied & (key[:-1] > key[1:])):
            order = np.lexsort(keys[::-1])
            return order, tuple(key[order] for key in keys)
        tied &= key[:-1] == key[1:]
    return None, tuple(key.copy() for key in keys)


def _ranks(batch: SpikeBatch, take: IntArray, sizes: IntArray) -> IntArray:
    """Return, sample by sample, the ranks of the spikes ``take`` in the caller's order."""
    ranks = np.empty_like(take)
    samples = np.repeat(np.arange(sizes.size), sizes)
    ranks[np.lexsort((batch.order[take], samples))] = np.arange(take.size)
    return ranks


def _check_flat(times: FloatArray, indices: IntArray, offsets: IntArray) -> None:
    """Check kinds and shapes of the arrays that `SpikeBatch.from_sorted` takes over."""
    for name, array, kind in (
        ("times", times, np.float64),
        ("indices", indices, np.int64),
        ("offsets", offsets, np.int64),
    ):
        if not isinstance(array, np.ndarray) or array.dtype != kind or array.ndim != 1:
            raise ValueError(f"{name} must be a flat array of {kind.__name__}, got {array!r}")
        if not array.flags.c_contiguous:
            raise ValueError(f"{name} must be contiguous, got strides {array.strides}")
    if times.shape != indices.shape:
        raise ValueError(f"indices must have shape {times.shape}, got {indices.shape}")
    ends = offsets[:1].tolist() + offsets[-1:].tolist()
    if ends != [0, times.size] or np.any(np.diff(offsets) < 0):
        raise ValueError(f"offsets must ascend from 0 to {times.size}, got {offsets!r}")


@loop
def _first_invalid(times: FloatArray, indices: IntArray, offsets: IntArray) -> int:
    """Return the position of the first spike that is invalid or out of order, or -1."""
    for k in range(offsets.size - 1):
        before, source = 0.0, np.int64(0)
        for s in range(offsets[k], offsets[k + 1]):
            t, i = times[s], indices[s]
            later = t > before or (t == before and i >= source)
            if not (later and t < np.inf and i >= 0):
                return s
            before, source = t, i
    return -1


def _positions(order: IntArray | None, size: int) -> IntArray:
    """Return the order itself where it was left out because nothing had to be moved."""
    return np.arange(size) if order is None else order


def _freeze(*arrays: NDArray[Any]) -> None:
    for array in arrays:
        array.flags.writeable = False
