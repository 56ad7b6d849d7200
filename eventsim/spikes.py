"""Spike trains: validated, sorted, immutable; what was sorted is merged, or appended to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eventsim import frames
from eventsim import neo as neo_trains
from eventsim._support.compile import loop
from eventsim._support.types import BoolArray, FloatArray, IntArray
from eventsim._support.validate import (
    MOST_NUMBERED,
    as_count,
    as_floats,
    as_indices,
    as_mapping,
    as_sample,
    as_samples,
    check_text,
    require,
    shown,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "RecordedSpikes",
    "Seam",
    "SpikeBatch",
    "Spikes",
    "Train",
    "appended",
    "as_trains",
    "continued",
    "extended",
    "merged",
    "of_one_sample",
    "taken",
]

Train: TypeAlias = tuple[IntArray, FloatArray, IntArray]
"""``(offsets, times, numbers)``: spikes of all samples, each ascending in (time, number)."""


class _Kept:
    """Read-only arrays, which are read-only in a copy from another process, too."""

    __slots__ = ()

    def __setstate__(self, state: tuple[None, dict[str, Any]]) -> None:
        """Take what was pickled."""
        for name, value in state[1].items():
            setattr(self, name, value)
            if isinstance(value, np.ndarray) and name != "_order":
                _freeze(value)


class Spikes(_Kept):
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
        times, indices = _read(times, indices)
        if _is_ordered(times, indices, np.array([0, times.size])):
            self._order, self.times, self.indices = None, times.copy(), indices
        else:
            _check_times(times)
            self._order = np.lexsort((indices, times))
            self.times, self.indices = times[self._order], indices[self._order]
        _freeze(self.times, self.indices)

    @property
    def order(self) -> IntArray:
        """Position of each spike in the caller's arrays."""
        return _positions(self._order, len(self))

    @classmethod
    def from_dataframe(cls, frame: pd.DataFrame, population: str | None = None) -> Spikes:
        """Take spikes out of a table, such as that of `Result.to_dataframe` (extra ``io``).

        Parameters
        ----------
        frame : pandas.DataFrame
            With columns ``neuron`` and ``time``; of ``sample``, if it is there, one value.
        population : str, optional
            Which of those in the column ``population``; default: the only one.

        Returns
        -------
        Spikes
            Its ``order`` counts the rows that were taken.

        Raises
        ------
        ValueError
            If columns are missing, a population is not known or none is named, there are several
            samples, or as `Spikes`.

        Examples
        --------
        >>> frame = Spikes([0.5, 0.25], [0, 3]).to_dataframe()
        >>> Spikes.from_dataframe(frame).indices
        array([3, 0])
        """
        return cls(*frames.read_one(frame, population))

    def to_dataframe(self) -> pd.DataFrame:
        """Return a pandas table with the columns ``neuron`` and ``time`` (extra ``io``)."""
        return frames.frame_of({"neuron": self.indices, "time": self.times})

    @classmethod
    def from_neo(cls, source: Any, unit: str, population: str | None = None) -> Spikes:
        """Take spikes out of the spike trains of neo (extra ``io``).

        Parameters
        ----------
        source : neo.Segment, neo.Block of one segment, neo.Group, or list of neo.SpikeTrain
            The neuron of a train is its annotation ``neuron``, as `Result.to_neo` writes it; where
            no train has one, its place in the list.
        unit : {"s", "ms", "us", "ns"}
            The unit of the network's time, to which times are converted.
        population : str, optional
            Which trains, by their annotation ``population``; default: all, which must be of one.

        Returns
        -------
        Spikes
            Its ``order`` counts the spikes train by train.

        Raises
        ------
        ValueError
            If there are several segments or populations, or anything but spike trains, two trains
            of one neuron, or as `Spikes`.

        Warns
        -----
        UserWarning
            If trains have waveforms, which are left out.

        Examples
        --------
        >>> import neo
        >>> train = neo.SpikeTrain([2.5, 0.5], units="ms", t_stop=3.0)
        >>> Spikes.from_neo([train], unit="ms").times
        array([0.5, 2.5])
        """
        return cls(*neo_trains.read_one(source, unit, population))

    def __len__(self) -> int:
        """Return the number of spikes."""
        return self.times.size

    def __repr__(self) -> str:
        """Return a short description."""
        return f"Spikes({len(self)} spikes)"


class SpikeBatch(_Kept):
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
        times, indices = _read(times, indices)
        samples = as_indices(samples, "samples")
        if samples.shape != times.shape:
            raise ValueError(f"samples must have shape {times.shape}, got {samples.shape}")
        n_samples = as_count(n_samples, "n_samples", most=MOST_NUMBERED)
        require(samples < n_samples, samples, f"samples must be < n_samples = {n_samples}")
        offsets = _offsets_of(np.bincount(samples, minlength=n_samples))
        by_sample = not np.any(samples[:-1] > samples[1:])
        if by_sample and _is_ordered(times, indices, offsets):
            self._set(times.copy(), indices, offsets, None)
        else:
            _check_times(times)
            order = np.lexsort((indices, times, samples))
            self._set(times[order], indices[order], offsets, order)

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
        order = self._order
        if callable(order):  # read once: another thread may set it meanwhile
            order = self._order = order()
        return _positions(order, self.times.size)

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

        Raises
        ------
        ValueError
            If the shape is another, or a latency is NaN or negative.
        """
        latencies = as_floats(latencies, "latencies")
        if latencies.ndim != 2:
            raise ValueError(f"latencies must be (n_samples, n_sources), got {latencies.shape}")
        require(latencies >= 0.0, latencies, "latencies must be >= 0")
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
        k = _first_invalid(*_views(times, indices, offsets))
        if k >= 0:
            raise ValueError(
                "each sample must ascend in (time, index), with finite times >= 0 and indices "
                f">= 0, got {(float(times[k]), int(indices[k]))} at position {k}"
            )
        return cls._valid(times, indices, offsets, None)

    @classmethod
    def _valid(
        cls,
        times: FloatArray,
        indices: IntArray,
        offsets: IntArray,
        order: IntArray | Callable[[], IntArray] | None,
    ) -> SpikeBatch:
        """Build a batch from what is known to be valid."""
        self = cls.__new__(cls)
        self._set(times, indices, offsets, order)
        return self

    @classmethod
    def from_dataframe(
        cls, frame: pd.DataFrame, n_samples: int, population: str | None = None
    ) -> SpikeBatch:
        """Take spikes out of a table, such as that of `BatchResult.to_dataframe` (extra ``io``).

        Parameters
        ----------
        frame : pandas.DataFrame
            With columns ``sample``, ``neuron`` and ``time``.
        n_samples : int
            Number of samples: the table does not tell of those without spikes.
        population : str, optional
            As for `Spikes.from_dataframe`.

        Raises
        ------
        ValueError
            As `Spikes.from_dataframe` and `SpikeBatch`.

        Examples
        --------
        >>> frame = SpikeBatch([0.5, 0.25], [0, 3], samples=[1, 0], n_samples=2).to_dataframe()
        >>> SpikeBatch.from_dataframe(frame, n_samples=3)
        SpikeBatch(3 samples, 2 spikes)
        """
        return cls(*frames.read_all(frame, population), n_samples)

    def to_dataframe(self) -> pd.DataFrame:
        """Return a pandas table: ``sample``, ``neuron`` and ``time`` (extra ``io``)."""
        return frames.frame_of({"sample": self.samples, "neuron": self.indices, "time": self.times})

    @classmethod
    def from_neo(cls, source: Any, unit: str, population: str | None = None) -> SpikeBatch:
        """Take spikes out of a neo block: each of its segments is a sample (extra ``io``).

        Parameters
        ----------
        source : neo.Block or list of neo.Segment
            At least one segment.
        unit, population
            As for `Spikes.from_neo`.

        Raises
        ------
        ValueError
            As `Spikes.from_neo`.

        Examples
        --------
        >>> import neo
        >>> block = neo.Block()
        >>> block.segments.extend([neo.Segment(), neo.Segment()])
        >>> block.segments[1].spiketrains.append(neo.SpikeTrain([2.5], 3.0, "ms"))
        >>> SpikeBatch.from_neo(block, unit="ms")
        SpikeBatch(2 samples, 1 spikes)
        """
        samples = neo_trains.read_all(source, unit, population)
        return cls.from_samples([Spikes(*sample) for sample in samples])

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

        Raises
        ------
        ValueError
            If there is no sample, or one that is no `Spikes`.
        """
        if not isinstance(samples, Sequence) or not all(isinstance(s, Spikes) for s in samples):
            raise ValueError(f"samples must be a list of Spikes, got {shown(samples)}")
        if not samples:
            raise ValueError(f"samples must hold at least one sample, got {shown(samples)}")
        offsets = _offsets_of([len(sample) for sample in samples])
        if len(samples) == 1:
            only = samples[0]
            return cls._valid(only.times, only.indices, offsets, only._order)
        order = None
        if any(sample._order is not None for sample in samples):
            starts = np.repeat(offsets[:-1], np.diff(offsets))
            order = starts + np.concatenate([sample.order for sample in samples])
        times = np.concatenate([sample.times for sample in samples])
        indices = np.concatenate([sample.indices for sample in samples])
        return cls._valid(times, indices, offsets, order)

    def __len__(self) -> int:
        """Return the number of samples."""
        return self.offsets.size - 1

    def __getitem__(self, which: int | slice | Sequence[int] | NDArray[Any]) -> SpikeBatch:
        """Return the batch of the chosen samples (a slice, or an array of sample numbers).

        Its ``order`` counts the chosen spikes sample by sample, each in its caller's order.
        """
        take, offsets = taken(self.offsets, np.atleast_1d(as_samples(which, len(self))))
        order = None if self._order is None else partial(_ranks, self, take, np.diff(offsets))
        return self._valid(self.times[take], self.indices[take], offsets, order)

    def sample(self, k: int) -> Spikes:
        """Return the spikes of sample ``k`` as `Spikes`."""
        k = as_sample(k, len(self))
        part = slice(self.offsets[k], self.offsets[k + 1])
        return Spikes(self.times[part], self.indices[part])

    def __repr__(self) -> str:
        """Return a short description."""
        return f"SpikeBatch({len(self)} samples, {self.times.size} spikes)"


@dataclass(frozen=True, slots=True, eq=False)
class RecordedSpikes:
    """Spikes of one population; they may be the stimulus of another run.

    Attributes
    ----------
    times : (n_spikes,) ndarray
        Ascending (within each sample).
    indices : (n_spikes,) ndarray of int
        Neuron within the population.
    slopes : (n_spikes,) ndarray
        dV/dt just before the spike, > 0.
    samples : (n_spikes,) ndarray of int
        Sample of each spike, ascending (all 0 for a single run).
    n_samples : int or None
        Number of samples of a batch; None for a single run.

    Examples
    --------
    >>> none = np.empty(0)
    >>> len(RecordedSpikes(times=none, indices=none, slopes=none, samples=none))
    0
    """

    times: FloatArray
    indices: IntArray
    slopes: FloatArray
    samples: IntArray
    n_samples: int | None = None

    def __len__(self) -> int:
        """Return the number of spikes."""
        return np.size(self.times)

    def train(self) -> Spikes | SpikeBatch:
        """Return the spikes as those of an input: `Spikes` of a single run, or a `SpikeBatch`."""
        if self.n_samples is None:
            return Spikes(self.times, self.indices)
        return SpikeBatch(self.times, self.indices, self.samples, self.n_samples)


def as_trains(spikes: Any) -> dict[str, Spikes]:
    """Return the `Spikes` of one run by name, for a file; ValueError if they are anything else."""
    trains = {}
    for name, given in as_mapping(spikes, "spikes").items():
        train = given.train() if isinstance(given, RecordedSpikes) else given
        if not isinstance(train, Spikes):
            raise ValueError(
                f"spikes[{shown(name)}] must be Spikes of one run, as result[k].spikes of a batch "
                f"has them, got {shown(train)}"
            )
        check_text(name, "each name in spikes")
        trains[name] = train
    return trains


# --- reading --------------------------------------------------------------------------------------


def _read(times: ArrayLike, indices: ArrayLike) -> tuple[FloatArray, IntArray]:
    """Return the arrays of a caller: the times may be the caller's own, the indices are a copy."""
    times = as_floats(times, "times")
    indices = as_indices(indices, "indices")
    if times.ndim != 1 or times.shape != indices.shape:
        raise ValueError(
            f"times and indices must be (n_spikes,), got {times.shape} and {indices.shape}"
        )
    return times, indices


def _check_times(times: FloatArray) -> None:
    require(np.isfinite(times), times, "times must be finite")
    require(times >= 0.0, times, "times must be >= 0")


def _is_ordered(times: FloatArray, indices: IntArray, offsets: IntArray) -> bool:
    """Tell whether spikes are valid, and each sample ascends in (time, index), as most do."""
    return _first_invalid(*_views(times, indices, offsets)) < 0


def _views(times: FloatArray, indices: IntArray, offsets: IntArray) -> list[NDArray[Any]]:
    """Return read-only views of the arrays: of one kind, so that the loop is compiled once."""
    views = [times.view(), indices.view(), offsets.view()]
    _freeze(*views)
    return views


def _offsets_of(sizes: ArrayLike) -> IntArray:
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(sizes, dtype=np.int64)])


def taken(offsets: IntArray, samples: IntArray) -> tuple[IntArray, IntArray]:
    """Return (positions, offsets) of what some samples have, one sample after the other."""
    sizes = np.diff(offsets)[samples]
    starts = _offsets_of(sizes)
    return np.repeat(offsets[samples] - starts[:-1], sizes) + np.arange(starts[-1]), starts


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
        if type(array) not in (np.ndarray, np.memmap) or array.dtype != kind or array.ndim != 1:
            raise ValueError(f"{name} must be a flat array of {kind.__name__}, got {shown(array)}")
        if not array.flags.c_contiguous:
            raise ValueError(f"{name} must be contiguous, got strides {array.strides}")
    if times.shape != indices.shape:
        raise ValueError(f"indices must have shape {times.shape}, got {indices.shape}")
    ends = offsets[:1].tolist() + offsets[-1:].tolist()
    if ends != [0, times.size] or np.any(np.diff(offsets) < 0):
        raise ValueError(f"offsets must ascend from 0 to {times.size}, got {shown(offsets)}")


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


# --- joining --------------------------------------------------------------------------------------


class Seam(NamedTuple):
    """Two trains as one.

    ``second`` tells which spikes are those of the second train; None: all that follow the first.
    """

    offsets: IntArray
    times: FloatArray
    numbers: IntArray
    second: BoolArray | None

    def column(self, one: IntArray, two: IntArray) -> IntArray:
        """Return a number for each spike, given those for the spikes of each train."""
        if self.second is None:
            return appended(one, two)
        joined = np.empty(self.times.size, dtype=np.int64)
        joined[self.second], joined[~self.second] = two, one
        _freeze(joined)
        return joined


def merged(one: Train, two: Train) -> Seam:
    """Merge two trains, in linear time; of equal spikes, those of the first one come first."""
    n = one[1].size + two[1].size
    seam = Seam(one[0] + two[0], np.empty(n), np.empty(n, dtype=np.int64), np.empty(n, dtype=bool))
    _merge(*_views(one[1], one[2], one[0]), *_views(two[1], two[2], two[0]), *seam[1:])
    _freeze(*seam[:3])
    return seam


@loop
def _merge(
    times: FloatArray,
    numbers: IntArray,
    ends: IntArray,
    other_times: FloatArray,
    other_numbers: IntArray,
    other_ends: IntArray,
    found: FloatArray,
    chosen: IntArray,
    second: BoolArray,
) -> None:
    """Fill the last three arrays with the merged spikes, and which of them the second train has."""
    k = 0
    for sample in range(ends.size - 1):
        i, last = ends[sample], ends[sample + 1]
        j, other_last = other_ends[sample], other_ends[sample + 1]
        while i < last and j < other_last:
            t, u = times[i], other_times[j]
            second[k] = u < t or (u == t and other_numbers[j] < numbers[i])
            if second[k]:
                found[k], chosen[k] = u, other_numbers[j]
                j += 1
            else:
                found[k], chosen[k] = t, numbers[i]
                i += 1
            k += 1
        while i < last:
            found[k], chosen[k], second[k] = times[i], numbers[i], False
            i, k = i + 1, k + 1
        while j < other_last:
            found[k], chosen[k], second[k] = other_times[j], other_numbers[j], True
            j, k = j + 1, k + 1


def continued(one: Train, two: Train) -> Seam:
    """Join two trains; of one sample, and if the second is the later one, without a copy."""
    (offsets, times, numbers), (later_offsets, later_times, later_numbers) = one, two
    follows = not (times.size and later_times.size)
    if not follows and offsets.size == 2:
        last, first = (times[-1], numbers[-1]), (later_times[0], later_numbers[0])
        follows = bool(last <= first)
    if not follows:
        return merged(one, two)
    both = appended(times, later_times), appended(numbers, later_numbers)
    return Seam(offsets + later_offsets, *both, None)


def extended(old: SpikeBatch, new: SpikeBatch, seam: Seam, indices: IntArray) -> SpikeBatch:
    """Return the batch of two, given the seam and the indices of all spikes.

    Its ``order`` counts the ``old`` spikes, then the ``new`` ones.
    """
    order = None
    if not (seam.second is None and old._order is None and new._order is None):
        order = seam.column(old.order, new.order + old.times.size)
    return SpikeBatch._valid(seam.times, indices, seam.offsets, order)


def of_one_sample(times: FloatArray, indices: IntArray) -> SpikeBatch:
    """Return a batch of one sample, of spikes that are known to be valid and in order."""
    return SpikeBatch._valid(times, indices, np.array([0, times.size]), None)


class _Room(np.ndarray[Any, np.dtype[Any]]):
    """Memory of arrays that begin alike; the longest of them may grow on in it."""

    used: int
    lock: threading.Lock

    def claim(self, begin: int, end: int) -> bool:
        """Tell whether the places from ``begin`` to ``end`` are there and free; they then are not.

        Of two arrays that continue one, the first takes the places, and the second has none.
        """
        with self.lock:
            free = begin == self.used and end <= self.size
            if free:
                self.used = end
            return free


def appended(old: NDArray[Any], more: NDArray[Any]) -> NDArray[Any]:
    """Return a read-only array of ``old`` and ``more``; ``old`` stays as it is.

    The result has room for as much again: to append to an array again and again takes a time in
    proportion to what is appended.

    Examples
    --------
    >>> first = appended(np.array([0.1, 0.2]), np.array([0.3]))
    >>> second = appended(first, np.array([0.4]))
    >>> first, second, np.shares_memory(first, second)
    (array([0.1, 0.2, 0.3]), array([0.1, 0.2, 0.3, 0.4]), True)
    """
    if not more.size:
        return old
    n, size, room = old.size, old.size + more.size, old.base
    if not (isinstance(room, _Room) and room.claim(n, size)):
        room = _Room(2 * size, old.dtype)
        room.used, room.lock = size, threading.Lock()
        np.ndarray(n, old.dtype, room)[:] = old
    longer: NDArray[Any] = np.ndarray(size, old.dtype, room)
    longer[n:] = more
    _freeze(longer)
    return longer
