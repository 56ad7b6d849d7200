"""The arrivals of a layer, and the factors of the flow from each of them to the next one."""

from typing import NamedTuple

import numpy as np

from eventsim._support.compile import allocating_loop, inlined, inner, loop
from eventsim._support.sorting import sort_rows
from eventsim._support.types import FloatArray, Int32Array, IntArray
from eventsim.model.flow import propagator

__all__ = [
    "Cause",
    "Factors",
    "Incoming",
    "Scratch",
    "add_arrivals",
    "count_arrivals",
    "factors_of",
    "fill",
    "fill_factors",
    "reached_arrivals",
    "sort_arrivals",
    "start_arrivals",
]


class Incoming(NamedTuple):
    """Arrivals of a layer, ascending in (sample, time).

    Those of sample k are ``offsets[k] : offsets[k + 1]``; ``row`` is the number of the source
    within the layer, ``origin`` that of the causing spike among all presynaptic ones (-1: none, the
    start of a run with a bias current, or with neurons that are moving).
    """

    offsets: IntArray
    time: FloatArray
    row: IntArray
    origin: IntArray


class Factors(NamedTuple):
    """Flow from each arrival to the next one (or to the end): the `propagator` of the lag.

    ``synaptic`` and ``h`` have a row for each receptor.  Of an all-to-all layer, all are there for
    each kind of tile.
    """

    synaptic: FloatArray
    membrane: FloatArray
    h: FloatArray
    lag: FloatArray


class Scratch(NamedTuple):
    """Room for the arrivals of one sample, tile by tile."""

    arrivals: Incoming
    factors: Factors
    starts: IntArray


class Cause(NamedTuple):
    """Spikes that lead to a layer: of the sources ``low : high``, arriving until ``t_stop``.

    Those of sample k are ``offsets[k] : offsets[k + 1]``; their first source is number ``row`` of
    the layer, their first spike number ``origin`` of all that lead to it.
    """

    offsets: IntArray
    times: FloatArray
    sources: IntArray | Int32Array
    low: int
    high: int
    delay: float
    t_stop: float
    row: int
    origin: int


@loop
def count_arrivals(cause, counts, first, last):
    """Add to ``counts`` the arrivals of each sample."""
    for k in range(first, last):
        for s in range(cause.offsets[k], cause.offsets[k + 1]):
            if arrives(cause, s):
                counts[k] += 1


@inlined
def arrives(cause, s):
    """Tell whether a spike arrives at the layer."""
    return (
        cause.low <= cause.sources[s] < cause.high and cause.times[s] + cause.delay <= cause.t_stop
    )


@loop
def add_arrivals(cause, incoming, filled, first, last):
    """Append them to those of each sample, of which there are ``filled`` already."""
    for k in range(first, last):
        at = incoming.offsets[k] + filled[k]
        for s in range(cause.offsets[k], cause.offsets[k + 1]):
            if arrives(cause, s):
                incoming.time[at] = cause.times[s] + cause.delay
                incoming.row[at] = cause.sources[s] - cause.low + cause.row
                incoming.origin[at] = cause.origin + s
                at += 1
        filled[k] = at - incoming.offsets[k]


@loop
def start_arrivals(incoming, row, first, last):
    """Let each sample begin with an arrival of nothing at time 0."""
    for k in range(first, last):
        at = incoming.offsets[k]
        incoming.time[at] = 0.0
        incoming.row[at] = row
        incoming.origin[at] = -1


@allocating_loop
def sort_arrivals(incoming, first, last):
    """Sort the arrivals of each sample by time; those of the same time stay in order."""
    for k in range(first, last):
        part = slice(incoming.offsets[k], incoming.offsets[k + 1])
        order = np.argsort(incoming.time[part], kind="mergesort")
        incoming.time[part] = incoming.time[part][order]
        incoming.row[part] = incoming.row[part][order]
        incoming.origin[part] = incoming.origin[part][order]


@loop
def fill_factors(tiles, incoming, t_stop, factors, first, last):
    """Fill the `Factors` of the samples ``first : last``, for every kind of tile."""
    kind = -1
    for q in range(tiles.kind.size):
        if tiles.kind[q] > kind:
            kind = tiles.kind[q]
            own = factors_of(factors, kind)
            for k in range(first, last):
                start, stop = incoming.offsets[k], incoming.offsets[k + 1]
                fill(tiles, q, incoming.time, start, stop, t_stop, own)


@inlined
def factors_of(factors, kind):
    """Return the factors of one kind of tile."""
    return Factors(
        factors.synaptic[kind], factors.membrane[kind], factors.h[kind], factors.lag[kind]
    )


@inlined
def fill(tiles, q, time, start, stop, t_stop, factors):
    """Fill the factors of tile ``q`` for the arrivals ``start : stop`` of one sample."""
    for r in range(len(tiles.receptors)):
        alpha, beta = tiles.alpha[q, r], tiles.beta[q]
        synaptics, kernels = factors.synaptic[r], factors.h[r]
        for a in range(start, stop):
            lag = (time[a + 1] if a + 1 < stop else t_stop) - time[a]
            synaptic, membrane, h = propagator(lag, alpha, beta)
            synaptics[a] = synaptic
            factors.membrane[a] = membrane
            kernels[a] = h
            factors.lag[a] = lag


@inner
def reached_arrivals(tiles, reach, b, incoming, k, begins, t_stop, arrivals, starts):
    """List the arrivals of sample ``k`` tile by tile, ascending in time.

    Those of the tile with number i in block ``b`` are ``starts[i] : starts[i + 1]``; ``origin`` is
    the number of the arrival in ``incoming``.  If the layer ``begins`` to move by itself, the first
    one is that of nothing at time 0.
    """
    low = tiles.first[b]
    n = tiles.first[b + 1] - low
    starts[: n + 1] = 0
    if begins:
        starts[1 : n + 1] = 1
    for a in range(incoming.offsets[k], incoming.offsets[k + 1]):
        for r in range(reach.first[b, incoming.row[a]], reach.first[b, incoming.row[a] + 1]):
            if incoming.time[a] + reach.delay[r] <= t_stop:
                starts[reach.tile[r] - low + 1] += 1
    for i in range(n):
        starts[i + 1] += starts[i]
    # Each start serves as the place of the next arrival, and is moved back afterwards.
    if begins:
        for i in range(n):
            _put(arrivals, starts, i, 0.0, tiles.rows[low + i] - 1, -1)
    for a in range(incoming.offsets[k], incoming.offsets[k + 1]):
        for r in range(reach.first[b, incoming.row[a]], reach.first[b, incoming.row[a] + 1]):
            time = incoming.time[a] + reach.delay[r]
            if time <= t_stop:
                _put(arrivals, starts, reach.tile[r] - low, time, reach.row[r], a)
    for i in range(n, 0, -1):
        starts[i] = starts[i - 1]
    starts[0] = 0
    for i in range(n):
        # In the order in which they came, where they come at once; the row is all that follows.
        row = arrivals.row
        sort_rows(arrivals.time, arrivals.origin, row, row, starts[i], starts[i + 1])


@inlined
def _put(arrivals, starts, i, time, row, origin):
    at = starts[i]
    arrivals.time[at] = time
    arrivals.row[at] = row
    arrivals.origin[at] = origin
    starts[i] = at + 1
