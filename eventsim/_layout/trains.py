"""Spikes on their way to a layer: in portions of samples, gathered from all that lead to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from eventsim._layout import incoming as loops
from eventsim._layout.layers import Layer, layers_of
from eventsim._layout.wiring import layout_of
from eventsim._support import arrays
from eventsim._support.threads import for_each_part
from eventsim._support.types import FloatArray, Int32Array, IntArray
from eventsim.network import Network
from eventsim.stimulus import Stimulus

__all__ = [
    "COPYING",
    "COUNTING",
    "Train",
    "all_factors",
    "gather",
    "input_trains",
    "new_scratch",
    "portions",
]

FEW_KINDS = 4  # of tiles and receptors, whose factors take as much memory as the rest

# About how many nanoseconds it takes to look at a spike, to copy it, and to compute the flow until
# the next one.
COUNTING, COPYING, FLOW = 2.0, 4.0, 20.0


@dataclass(frozen=True, slots=True, eq=False)
class Train:
    """Spikes of one input or population, ascending in (sample, time).

    ``sources`` are numbered from ``low`` on; those of other groups in between do not count.
    """

    offsets: IntArray
    times: FloatArray
    sources: IntArray | Int32Array
    low: int


def input_trains(network: Network, given: Stimulus, first: int, last: int) -> dict[str, Train]:
    """Return the spikes of every input in the samples ``first : last``."""
    part = slice(given.offsets[first], given.offsets[last])
    offsets = given.offsets[first : last + 1] - part.start
    times, sources = given.times[part], given.sources[part]
    starts = layout_of(network).input_start
    return {name: Train(offsets, times, sources, low) for name, low in starts.items()}


def portions(
    network: Network, offsets: IntArray, size: int, first: int, last: int
) -> Iterator[tuple[int, int]]:
    """Cut the samples ``first : last`` into ranges of about ``size``, or of one sample.

    A sample counts as many as it has input spikes and as the network has neurons, since most often
    these fire about once; more if layers have many kinds of tiles or receptors, each with factors
    of its own.
    """
    kinds = max(layer.n_kinds * len(layer.tiles.receptors) for layer in layers_of(network))
    sizes = offsets + layout_of(network).n_neurons * np.arange(offsets.size)
    size = max(1, size // max(1, kinds // FEW_KINDS))
    n = min(max(1, -(-int(sizes[last] - sizes[first]) // size)), last - first)
    edges = np.searchsorted(sizes, np.linspace(sizes[first], sizes[last], n + 1))
    edges[0], edges[-1] = first, last
    yield from pairwise(np.unique(edges).tolist())


def gather(
    layer: Layer,
    causes: Sequence[Train],
    n_samples: int,
    t_stop: float,
    begins: bool,
    threads: int,
) -> loops.Incoming:
    """Return the arrivals of a layer, given the spikes that each of its projections comes from.

    If the layer ``begins`` to move by itself, an arrival of nothing at time 0 comes first.
    """
    starts = 1 if layer.reach is None and begins else 0
    counts = np.full(n_samples, starts)
    firsts = np.cumsum([0, *(train.times.size for train in causes)]).tolist()
    sources = [
        loops.Cause(
            t.offsets, t.times, t.sources, t.low, t.low + s.sources.stop - s.sources.start, s.delay,
            t_stop, s.sources.start, origin,
        ) for s, t, origin in zip(layer.synapses, causes, firsts[:-1], strict=True)
    ]  # fmt: skip
    for source in sources:
        count = partial(loops.count_arrivals, source, counts)
        for_each_part(count, n_samples, threads, COUNTING * source.times.size)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    incoming = new_arrivals(offsets, int(offsets[-1]))
    if starts:
        for_each_part(partial(loops.start_arrivals, incoming, layer.n_sources), n_samples, threads)
    filled = np.full(n_samples, starts)
    for source in sources:
        fill = partial(loops.add_arrivals, source, incoming, filled)
        for_each_part(fill, n_samples, threads, COPYING * source.times.size)
    if len(sources) > 1:
        for_each_part(partial(loops.sort_arrivals, incoming), n_samples, threads)
    return incoming


def new_arrivals(offsets: IntArray, n: int) -> loops.Incoming:
    """Return room for ``n`` arrivals."""
    return loops.Incoming(
        offsets, arrays.empty(n), *(arrays.empty(n, dtype=np.int64) for _ in range(2))
    )


def new_factors(layer: Layer, *shape: int) -> loops.Factors:
    """Return room for factors, the last axis that of the arrivals."""
    by_receptor = (*shape[:-1], len(layer.tiles.receptors), shape[-1])
    return loops.Factors(*(arrays.empty(*s) for s in (by_receptor, shape, by_receptor, shape)))


def all_factors(
    layer: Layer, incoming: loops.Incoming, threads: int, fill: Callable[..., None], *until: Any
) -> loops.Factors:
    """Return the factors of all arrivals, for each kind of tile of an all-to-all layer.

    ``fill`` is `loop.fill_factors` or its like, and ``until`` says up to when: ``t_stop``.
    """
    n = incoming.time.size
    factors = new_factors(layer, layer.n_kinds, n)
    part = partial(fill, layer.tiles, incoming, *until, factors)
    for_each_part(part, incoming.offsets.size - 1, threads, FLOW * n)
    return factors


def new_scratch(layer: Layer, incoming: loops.Incoming) -> loops.Scratch:
    """Return room for the arrivals of any sample at a block of tiles that have their own."""
    assert layer.reach is not None
    tiles = int(np.diff(layer.tiles.first).max())
    fan = np.diff(layer.reach.first, axis=1).max(axis=0, initial=0)
    total = np.concatenate([[0], np.cumsum(fan[incoming.row])])
    room = tiles + int(np.diff(total[incoming.offsets]).max(initial=0))
    starts = np.empty(tiles + 1, dtype=np.int64)
    return loops.Scratch(new_arrivals(starts, room), new_factors(layer, room), starts)
