"""Poisson processes of given rates, drawn piece by piece in the order of time.

A process of rate 1 runs in *operational time*, the cumulated rate; its k-th interval is a function
of (key, source, sample, k) alone.  What it gives at the operational time T happens when the
cumulated rate, piecewise linear, comes to T.  So the state of a source is the number of its next
spike and the operational time of that, and a draw in pieces gives the bits of one draw.

The draw goes through slices of time, short enough for the cache.  In each, every source is asked
for its spikes.  The cumulated rate of all sources puts these into buckets, none of which can be
expected to have more than another, and insertion into the order of (time, source).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from eventsim._support.compile import inlined, inner, loop
from eventsim._support.philox import GROUP, fill_exponentials
from eventsim._support.types import BoolArray, FloatArray, Int32Array, IntArray, Word

__all__ = [
    "MOST_OPERATIONAL",
    "WORK",
    "Clock",
    "Process",
    "begin_processes",
    "draw_processes",
    "expected",
    "make_clock",
    "rewound",
]

MOST_OPERATIONAL = 2.0**33  # an interval, 1 on the average, is resolved to 2e-6
FEWEST = 2**16  # spikes of a slice: what fits into the second-level cache
BUCKETS = 2  # for each spike of a slice
WORK = 40.0  # nanoseconds, about, of a spike
ZERO, ONE = np.uint64(0), np.uint64(1)  # no index is negative, and none has to be looked at for it
LEAST_REST = 2.0**-53  # the shortest interval


class Clock(NamedTuple):
    """Operational times of the sources, and of all together, as of the ``begin`` of each step.

    ``begin`` (m + 1,) ends with inf; ``rate`` (1 or n, m), ``gone`` (1 or n, m + 1): the cumulated
    rate; ``total`` (m + 1,) and ``density`` (m,): the same of all sources.  Beyond ``limit``
    intervals are not resolved.
    """

    begin: FloatArray
    rate: FloatArray
    gone: FloatArray
    total: FloatArray
    density: FloatArray
    limit: float


class Process(NamedTuple):
    """The next spike of each source, (n_samples, n): its number, operational time, and time."""

    number: IntArray
    due: FloatArray
    time: FloatArray


class _Slices(NamedTuple):
    """``end`` of each slice, the ``step`` in which it begins, the ``total`` expected by then."""

    end: FloatArray
    step: IntArray
    total: FloatArray


class _Spikes(NamedTuple):
    """Times, sources and buckets of the spikes of a slice, and how many each bucket has.

    ``ahead`` (n, `GROUP`): intervals of each source, and which ``group`` of them this is.
    """

    time: FloatArray
    source: Int32Array
    bucket: Int32Array
    counts: Int32Array
    ahead: FloatArray
    group: IntArray


def make_clock(times: FloatArray, rates: FloatArray, n: int, origin: float) -> Clock:
    """Return the clock of n sources that begins at ``origin``.

    ``rates`` (m,) or (m, n) hold from ``times`` (m,) on; before, nothing happens.
    """
    first = int(np.searchsorted(times, origin, side="right"))
    begin = np.concatenate([[origin], times[first:], [np.inf]])
    each = rates.reshape(len(rates), -1).T
    before = each[:, first - 1 : first] if first else np.zeros((each.shape[0], 1))
    rate = np.ascontiguousarray(np.concatenate([before, each[:, first:]], axis=1))
    gone = _cumulated(rate, begin)
    density = rate.sum(axis=0) * (n / rate.shape[0])
    total = _cumulated(density[None], begin)[0]
    return Clock(begin, rate, gone, total, density, _limit(begin, rate, gone))


def _cumulated(rate: FloatArray, begin: FloatArray) -> FloatArray:
    """Return the cumulated rates (n, m + 1) as of each begin."""
    gone = np.zeros((rate.shape[0], begin.size))
    np.cumsum(rate[:, :-1] * np.diff(begin[:-1]), axis=1, out=gone[:, 1:-1])
    gone[:, -1] = np.where(rate[:, -1] > 0.0, np.inf, gone[:, -2])
    return gone


def _limit(begin: FloatArray, rate: FloatArray, gone: FloatArray) -> float:
    """Return from when on a source has too large an operational time, or its times are too far."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        used_up = begin[:-1] + (MOST_OPERATIONAL - gone[:, :-1]) / rate
        reached = np.maximum(np.minimum(used_up, MOST_OPERATIONAL / rate), begin[:-1])
    return float(reached.min(initial=np.inf, where=(rate > 0.0) & (reached < begin[1:])))


def expected(clock: Clock, first: float, last: float) -> float:
    """Return how many spikes all sources together can be expected to have in a stretch of time."""
    return max(_total_at(clock, last) - _total_at(clock, first), 0.0)


def _total_at(clock: Clock, t: float) -> float:
    t = max(t, float(clock.begin[0]))
    j = int(np.searchsorted(clock.begin, t, side="right")) - 1
    return float(clock.total[j] + (t - clock.begin[j]) * clock.density[j])


def begin_processes(clock: Clock, key: tuple[int, int], samples: IntArray, n: int) -> Process:
    """Return the first spikes of n sources in each of some samples."""
    shape = (samples.size, n)
    start = Process(np.zeros(shape, dtype=np.int64), np.empty(shape), np.empty(shape))
    _first_spikes(clock, _words(key), samples, start, np.empty(GROUP))
    return start


def rewound(process: Process, clock: Clock, new: Clock) -> Process:
    """Return the processes as they go on under a ``new`` clock, at whose origin they are.

    What is left of an interval is as long as a new one: the process has no memory.
    """
    t = float(new.begin[0])
    j = int(np.searchsorted(clock.begin, t, side="right")) - 1
    gone = clock.gone[:, j] + (t - clock.begin[j]) * clock.rate[:, j]
    due = np.maximum(process.due - gone, LEAST_REST)
    next_ = Process(process.number, due, np.empty_like(due))
    _set_times(new, next_)
    return next_


def draw_processes(
    clock: Clock,
    key: tuple[int, int],
    samples: IntArray,
    process: Process,
    first: float,
    last: float,
    stop: BoolArray,
    room: float = 6.0,
) -> tuple[FloatArray, IntArray, IntArray, Process]:
    """Return times, sources and offsets of the spikes in (first, last], and what comes after them.

    There is room for some standard deviations more than are expected; more are drawn once again.
    """
    n = process.time.shape[1]
    slices = _cut(clock, first, last, n)
    mean = expected(clock, first, last)
    while True:
        each = mean / slices.end.size
        buffer = _Spikes(
            np.empty(_most(each, room)),
            np.empty(_most(each, room), dtype=np.int32),
            np.empty(_most(each, room), dtype=np.int32),
            np.empty(int(BUCKETS * each) + 2, dtype=np.int32),
            np.empty((n, GROUP)),
            np.empty(n, dtype=np.int64),
        )
        size = _most(mean * samples.size, room)
        times, sources = np.empty(size), np.empty(size, dtype=np.int64)
        offsets = np.zeros(samples.size + 1, dtype=np.int64)
        after = Process._make(column.copy() for column in process)
        if _draw(
            clock, _words(key), samples, after, slices, buffer, (times, sources, offsets), stop
        ):
            n_spikes = offsets[-1]
            return times[:n_spikes], sources[:n_spikes], offsets, after
        room *= 2.0


def _words(key: tuple[int, int]) -> tuple[Word, Word]:
    return np.uint64(key[0]), np.uint64(key[1])


def _most(mean: float, room: float) -> int:
    return int(mean + room * math.sqrt(mean) + room)


def _cut(clock: Clock, first: float, last: float, n: int) -> _Slices:
    """Return slices with as many spikes each, as far as can be expected."""
    begin, end = _total_at(clock, first), _total_at(clock, last)
    count = max(math.ceil((end - begin) / max(FEWEST, 4 * n)), 1)
    if count == 1:
        step = np.searchsorted(clock.begin, [max(first, float(clock.begin[0]))], side="right") - 1
        return _Slices(np.array([last]), step, np.array([begin, end]))
    total = np.linspace(begin, end, count + 1)
    ends = np.empty(count)
    inner = total[1:-1]
    j = np.searchsorted(clock.total[1:], inner, side="left")
    ends[:-1] = clock.begin[j] + (inner - clock.total[j]) / clock.density[j]
    ends[-1] = last
    ends = np.minimum(np.maximum.accumulate(ends), last)
    begins = np.append(max(first, float(clock.begin[0])), ends[:-1])
    return _Slices(ends, np.searchsorted(clock.begin, begins, side="right") - 1, total)


# --- compiled -------------------------------------------------------------------------------------


@inlined
def _step_at(clock, column, due, j):
    """Return the step, from ``j`` on, in which an operational time is reached; m: in none."""
    if due <= clock.gone[column, j + 1]:
        return j
    low, high = j + 1, clock.density.size
    while low < high:
        middle = (low + high) // 2
        if due <= clock.gone[column, middle + 1]:
            high = middle
        else:
            low = middle + 1
    return low


@inlined
def _time_at(clock, column, due, j):
    """Return when an operational time of step ``j`` is reached."""
    if j == clock.density.size:
        return math.inf
    t = clock.begin[j] + (due - clock.gone[column, j]) / clock.rate[column, j]
    return min(t, clock.begin[j + 1])


@loop
def _set_times(clock, process):
    for k in range(process.due.shape[0]):
        for i in range(process.due.shape[1]):
            column, due = min(i, clock.rate.shape[0] - 1), process.due[k, i]
            process.time[k, i] = _time_at(clock, column, due, _step_at(clock, column, due, 0))


@loop
def _first_spikes(clock, key, samples, process, numbers):
    for k in range(samples.size):
        for i in range(process.due.shape[1]):
            fill_exponentials(key[0], key[1], 0, i, samples[k], numbers)
            process.due[k, i] = numbers[0]
    _set_times(clock, process)


@loop
def _draw(clock, key, samples, process, slices, buffer, found, stop):
    """Fill ``found`` and move the processes on; False if there is not enough room."""
    times, sources, offsets = found
    n_spikes = 0
    for k in range(samples.size):
        buffer.group[:] = -1
        for s in range(slices.end.size):
            if stop[0]:
                return True
            size = _emit(clock, key, samples[k], process, k, slices, s, buffer)
            if size < 0 or n_spikes + size > times.size:
                return False
            _scatter(buffer, size, times[n_spikes:], sources[n_spikes:])
            n_spikes += size
        offsets[k + 1] = n_spikes
    return True


@inner
def _emit(clock, key, sample, process, k, slices, s, buffer):
    """Write the spikes of a slice, source by source; return how many, or -1: too many."""
    number, due, time = process.number[k], process.due[k], process.time[k]
    end, last = slices.end[s], buffer.counts.size - 1
    size = 0
    buffer.counts[:] = 0
    for i in range(np.uint64(time.size)):
        t = time[i]
        if t > end:
            continue
        column = i if clock.rate.shape[0] > 1 else ZERO
        m, operational = number[i], due[i]
        j = _step_at(clock, column, operational, slices.step[s])
        numbers, group = buffer.ahead[i], buffer.group[i]
        while t <= end:
            if size == buffer.time.size:
                return -1
            spike = np.uint64(size)
            rank = clock.total[j] - slices.total[s] + (t - clock.begin[j]) * clock.density[j]
            bucket = min(max(int(BUCKETS * rank), 0), last - 1)
            buffer.time[spike], buffer.source[spike], buffer.bucket[spike] = t, i, bucket
            buffer.counts[np.uint64(bucket + 1)] += 1
            size += 1
            m += 1
            if m // GROUP != group:
                group = m // GROUP
                fill_exponentials(key[0], key[1], group, i, sample, numbers)
            operational += numbers[np.uint64(m % GROUP)]
            j = _step_at(clock, column, operational, j)
            t = _time_at(clock, column, operational, j)
        number[i], due[i], time[i], buffer.group[i] = m, operational, t, group
    return size


@loop
def _scatter(buffer, size, times, sources):
    """Put the spikes of a slice into the order of (time, source): by bucket, then by insertion."""
    counts = buffer.counts
    for b in range(1, counts.size):
        counts[b] += counts[b - 1]
    for a in range(np.uint64(size)):
        bucket = np.uint64(buffer.bucket[a])
        place = np.uint64(counts[bucket])
        counts[bucket] += 1
        times[place], sources[place] = buffer.time[a], buffer.source[a]
    for a in range(ONE, np.uint64(size)):
        if times[a] <= times[a - ONE]:
            _insert(times, sources, a)


@inlined
def _insert(times, sources, a):
    """Put a spike among those before it, which are in the order of (time, source)."""
    t, i, b = times[a], sources[a], a
    while b > ZERO and (times[b - ONE] > t or (times[b - ONE] == t and sources[b - ONE] > i)):
        times[b], sources[b] = times[b - ONE], sources[b - ONE]
        b -= ONE
    times[b], sources[b] = t, i
