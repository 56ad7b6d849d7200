"""Input spikes that stay on the device: a training set, of which minibatches are chosen there.

A train of spikes says where those of each sample begin and how many they are, so a minibatch is a
choice of these two numbers for each sample, and copies no spike.  Jittered spikes are copied, and
sorted again; their noise is drawn on the device from a counter (SplitMix64 and the method of Box
and Muller), so it depends on a seed and on the place of a spike alone.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import cuda

from eventsim._engines.cuda.arrivals import Cause, Train
from eventsim._engines.cuda.device import (
    as_device,
    empty,
    grid_for,
    kernel,
    of_blocks,
    quietly,
    to_device,
    type_of,
    zeros,
)
from eventsim._engines.cuda.sorting import sort_anywhere
from eventsim._support.validate import as_sample, check_choice, shown
from eventsim.spikes import SpikeBatch, Spikes

__all__ = ["PRECISIONS", "DeviceSpikes", "Minibatch"]

PRECISIONS = ("float64", "float32")

GAMMA, FIRST, SECOND = map(np.uint64, (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
S11, S27, S30, S31 = map(np.uint64, (11, 27, 30, 31))


# --- kernels --------------------------------------------------------------------------------------


@kernel
def check_spikes(times, indices, offsets, count, most):
    """Count the spikes of each sample, and find what is wrong with them: a thread per sample.

    ``most`` (3,): the most spikes of a sample, the largest index, and 1 if a time is negative, not
    finite or too early, or an index negative or too small.
    """
    for k in range(cuda.grid(1), count.size, cuda.gridsize(1)):
        low, high = offsets[k], offsets[k + 1]
        if low < 0 or high < low or high > times.size:
            cuda.atomic.max(most, 2, 1)
            continue
        count[k] = high - low
        cuda.atomic.max(most, 0, high - low)
        before, source = 0.0, 0
        for s in range(low, high):
            time, index = float(times[s]), indices[s]
            later = time > before or (time == before and index >= source)
            if not (later and time < math.inf and index >= 0):
                cuda.atomic.max(most, 2, 1)
            before, source = time, index
            cuda.atomic.max(most, 1, index)


@kernel
def choose_samples(train, rows, first, count):
    """Choose the samples ``rows``: a thread each."""
    for k in range(cuda.grid(1), first.size, cuda.gridsize(1)):
        first[k] = train.first[rows[k]]
        count[k] = train.count[rows[k]]


@kernel
def choose_jittered(train, rows, std, t_max, room, count, times, sources, number):
    """Copy the samples ``rows``, their times jittered and sorted: a block each.

    The last of the ``rows`` is the seed; ``number`` is scratch.
    """
    k = cuda.blockIdx.x
    first, n = train.first[rows[k]], train.count[rows[k]]
    start, seed = k * room, np.uint64(rows[rows.size - 1])
    for i in range(cuda.threadIdx.x, n, cuda.blockDim.x):
        noisy = train.time[first + i] + std * _normal(seed, np.uint64(start + i))
        times[start + i] = min(max(noisy, 0.0), t_max)
        sources[start + i] = train.source[first + i]
        number[start + i] = i
    if cuda.threadIdx.x == 0:
        count[k] = n
    cuda.syncthreads()
    sort_anywhere(start, n, times, sources, number)


@cuda.jit(device=True)
def _normal(seed, place):
    """Return the normal deviate of a place."""
    radius = math.sqrt(-2.0 * math.log(_uniform(seed, place + place)))
    return radius * math.cos(2.0 * math.pi * _uniform(seed, place + place + np.uint64(1)))


@cuda.jit(device=True)
def _uniform(seed, place):
    """Return a number in (0, 1): SplitMix64 of Steele, Lea & Flood (2014)."""
    z = seed * FIRST + (place + np.uint64(1)) * GAMMA
    z = (z ^ (z >> S30)) * FIRST
    z = (z ^ (z >> S27)) * SECOND
    z = z ^ (z >> S31)
    return (float(z >> S11) + 0.5) / 9007199254740992.0


# --- the host -------------------------------------------------------------------------------------


class DeviceSpikes:
    """Spikes of many samples of one input on the device, as `SpikeBatch.from_sorted` takes them.

    Parameters
    ----------
    times : (n_spikes,) array of float64 or float32
        Spike times >= 0, finite; ascending in (time, index) within each sample.
    indices : (n_spikes,) array of int64 or int32
        Source of each spike.
    offsets : (n_samples + 1,) array of int64
        The spikes of sample k are ``times[offsets[k]:offsets[k + 1]]``.
    precision : {"float64", "float32"}
        Of the times, and of the runs.

    Arrays that lie on the device (of any library that speaks ``__cuda_array_interface__``) are not
    copied: they must stay as they are.

    Raises
    ------
    ValueError
        If the arrays do not fit together, or a spike is invalid or out of order.

    Examples
    --------
    >>> import eventsim as es
    >>> batch = es.SpikeBatch.from_latencies([[0.1, 0.3], [0.2, float("inf")]])
    >>> spikes = DeviceSpikes.of(batch)
    >>> len(spikes), spikes.room, spikes.n_sources
    (2, 2, 2)
    """

    def __init__(
        self, times: Any, indices: Any, offsets: Any, *, precision: str = "float64"
    ) -> None:
        check_choice(precision, PRECISIONS, "precision")
        self.dtype = np.dtype(precision)
        times = as_device(times, self.dtype, "times", (None,))
        wide = type_of(indices) != np.int32
        source = as_device(indices, np.int64 if wide else np.int32, "indices", tuple(times.shape))
        offsets = as_device(offsets, np.int64, "offsets", (None,))
        n = offsets.size - 1
        if n < 1:
            raise ValueError(f"offsets must hold (n_samples + 1,) numbers, got {offsets.size}")
        count, most = empty(n, np.int64), zeros(3)
        with quietly():
            check_spikes[grid_for(n)](times, source, offsets, count, most)
        self.room, largest, wrong = map(int, most.copy_to_host())
        if wrong:
            raise ValueError(
                "each sample must ascend in (time, index), with finite times >= 0, indices >= 0, "
                f"and offsets that ascend to {times.size}, got others"
            )
        self.n_sources = largest + 1
        self.train = Train(offsets[:n], count, times, source, offsets[:n])

    @classmethod
    def of(cls, batch: SpikeBatch, *, precision: str = "float64") -> DeviceSpikes:
        """Copy a `SpikeBatch` to the device."""
        if not isinstance(batch, SpikeBatch):
            raise ValueError(f"batch must be a SpikeBatch, got {shown(batch)}")
        indices = batch.indices
        if indices.max(initial=0) <= np.iinfo(np.int32).max:  # else too large for any input
            indices = indices.astype(np.int32)
        return cls(batch.times, indices, batch.offsets, precision=precision)

    def __len__(self) -> int:
        """Return the number of samples."""
        return int(self.train.count.size)

    def sample(self, k: int) -> Spikes:
        """Copy the spikes of sample ``k`` to the host."""
        return _sample(self.train, as_sample(k, len(self)))

    def cause(self, n_sources: int) -> Cause:
        """Return all samples as the spikes of an input of so many sources."""
        self.check_sources(n_sources)
        return Cause(self.train, self.room, max(1, self.train.time.size), 0, n_sources)

    def check_sources(self, n_sources: int) -> None:
        """Raise a ValueError if there are spikes of other sources."""
        if self.n_sources > n_sources:
            raise ValueError(
                f"indices must be < {n_sources}, the size of the input, got {self.n_sources - 1}"
            )


def _sample(train: Train, k: int) -> Spikes:
    first, count = (int(a.copy_to_host()[k]) for a in (train.first, train.count))
    part = slice(first, first + count)
    return Spikes(train.time.copy_to_host()[part], train.source.copy_to_host()[part])


class Minibatch:
    """Room for a choice of samples.

    Attributes
    ----------
    cause : Cause
        The chosen spikes.
    """

    def __init__(
        self, spikes: DeviceSpikes, n_samples: int, n_sources: int, jitter: float, t_max: float
    ) -> None:
        spikes.check_sources(n_sources)
        self.spikes, self.n_samples, self.jitter = spikes, n_samples, jitter
        self.t_max, room = t_max, max(1, spikes.room)
        place = to_device(np.arange(n_samples) * room)
        count, n = empty(n_samples, np.int64), n_samples * room
        train = spikes.train
        if jitter:
            self.number = empty(n, np.int64)
            self.train = Train(place, count, empty(n, spikes.dtype), empty(n, np.int32), place)
        else:
            first = empty(n_samples, np.int64)
            self.train = Train(first, count, train.time, train.source, place)
        self.cause = Cause(self.train, room, n, 0, n_sources)

    def choose(self, rows: Any) -> None:
        """Choose the samples ``rows``, of which one more is the seed of the jitter."""
        given, own = self.spikes.train, self.train
        if self.jitter:
            choose_jittered[of_blocks(self.n_samples, self.cause.room)](
                given, rows, self.jitter, self.t_max, self.cause.room, own.count, own.time,
                own.source, self.number,
            )  # fmt: skip
        else:
            choose_samples[grid_for(self.n_samples)](given, rows, own.first, own.count)

    def sample(self, k: int) -> Spikes:
        """Copy the spikes of the chosen sample ``k``, with their jitter, to the host."""
        return _sample(self.train, k)
