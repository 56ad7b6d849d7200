"""The layered engine: feed-forward networks, layer by layer, in batches.

Between two layers all spikes of a sample are merged in time.  Within a layer, tiles of neurons are
independent of each other, and so are samples: both are spread over threads, and each has its own
part of every output, so neither the number of threads nor the batch changes a bit of the result.

Samples are taken in portions that keep the scratch arrays (linear in the arrivals of a portion)
small.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from eventsim import layer_loop as loops
from eventsim._types import FloatArray, Int32Array, IntArray
from eventsim.layer_plan import Layer
from eventsim.network import Network
from eventsim.scheduler import Run, new_record
from eventsim.stimulus import Stimulus
from eventsim.threads import for_each_part

__all__ = [
    "COPYING",
    "COUNTING",
    "CapReachedError",
    "LayeredState",
    "Train",
    "all_factors",
    "gather",
    "input_trains",
    "new_scratch",
    "portions",
    "run_layers",
]

PORTION = 2_000_000  # input spikes and neurons of the samples that are held at a time
FIRST_CAPACITY = 1024

# About how many nanoseconds it takes to look at a spike, to copy it, to compute the flow until the
# next one, and to merge it with others.
COUNTING, COPYING, FLOW, MERGING = 2.0, 4.0, 20.0, 30.0


class LayeredState(NamedTuple):
    """Final states (n_samples, n_neurons, 3) of a run, and counters (n_samples, 4).

    The columns are those of the scheduler's: current, potential and reference time; spikes,
    inputs, synaptic events and searches.
    """

    neuron: FloatArray
    count: IntArray  # type: ignore[assignment]  # hides tuple.count, which nobody calls


class CapReachedError(Exception):
    """A sample has more spikes than allowed."""

    def __init__(self, sample: int) -> None:
        """Keep the number of the sample."""
        super().__init__(sample)
        self.sample = sample


@dataclass(frozen=True, slots=True, eq=False)
class Train:
    """Spikes of one input or population, ascending in (sample, time).

    ``sources`` are numbered from ``low`` on; those of other groups in between do not count.
    """

    offsets: IntArray
    times: FloatArray
    sources: IntArray | Int32Array
    low: int


def run_layers(
    network: Network, given: Stimulus, t_stop: float, cap: int, threads: int
) -> tuple[Run, IntArray, LayeredState]:
    """Return (record, offsets, state) of a feed-forward network.

    Raises
    ------
    CapReachedError
        If a sample has more than ``cap`` spikes.
    """
    layers = network.layers()
    tables = [layer.table(network) for layer in layers]
    n_samples, n_neurons = given.n_samples, network.layout().n_neurons
    state = LayeredState(
        np.zeros((n_samples, n_neurons, 3)), np.zeros((n_samples, 4), dtype=np.int64)
    )
    happened = np.concatenate([[0], np.cumsum(given.times <= t_stop)])
    state.count[:, 1] = np.diff(happened[given.offsets])
    records = []
    for first, last in portions(network, given.offsets):
        own = LayeredState(state.neuron[first:last], state.count[first:last])
        trains = input_trains(network, given, first, last)
        runs = []
        for layer, table in zip(layers, tables, strict=True):
            causes = [trains[synapses.pre] for synapses in layer.synapses]
            offsets, run = _advance(layer, table, causes, t_stop, cap, threads, first, own)
            trains[layer.population] = Train(offsets, run.time, run.neuron, 0)
            runs.append((layer.first, offsets, run))
            own.count[:, 0] += np.diff(offsets)
        _check_cap(own, cap, first)
        records.append(_merged(runs, threads))
    offsets = np.concatenate([[0], np.cumsum(state.count[:, 0])])
    return _joined(records), offsets, state


def input_trains(network: Network, given: Stimulus, first: int, last: int) -> dict[str, Train]:
    """Return the spikes of every input in the samples ``first : last``."""
    part = slice(given.offsets[first], given.offsets[last])
    offsets = given.offsets[first : last + 1] - part.start
    times, sources = given.times[part], given.sources[part]
    starts = network.layout().input_start
    return {name: Train(offsets, times, sources, low) for name, low in starts.items()}


def portions(network: Network, offsets: IntArray) -> Iterator[tuple[int, int]]:
    """Yield ranges (first, last) of samples that keep scratch arrays small, or of one sample.

    A sample counts as many as it has input spikes and as the network has neurons, since most often
    these fire about once.
    """
    first, n = 0, offsets.size - 1
    size = offsets + network.layout().n_neurons * np.arange(n + 1)
    while first < n:
        fits = int(np.searchsorted(size, size[first] + PORTION, side="right")) - 1
        last = min(max(fits, first + 1), n)
        yield first, last
        first = last


def gather(
    layer: Layer, causes: Sequence[Train], n_samples: int, t_stop: float, threads: int
) -> loops.Incoming:
    """Return the arrivals of a layer, given the spikes that each of its projections comes from."""
    starts = 1 if layer.reach is None and layer.is_biased else 0
    counts = np.full(n_samples, starts)
    sources = [
        (t.offsets, t.times, t.sources, t.low, t.low + s.sources.stop - s.sources.start, s.delay,
         t_stop) for s, t in zip(layer.synapses, causes, strict=True)
    ]  # fmt: skip
    for source in sources:
        count = partial(loops.count_arrivals, *source, counts)
        for_each_part(count, n_samples, threads, COUNTING * source[1].size)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    incoming = new_arrivals(offsets, int(offsets[-1]))
    if starts:
        for_each_part(partial(loops.start_arrivals, incoming, layer.n_sources), n_samples, threads)
    filled, origin = np.full(n_samples, starts), 0
    for source, synapses in zip(sources, layer.synapses, strict=True):
        fill = partial(
            loops.add_arrivals, *source, synapses.sources.start, origin, incoming, filled
        )
        for_each_part(fill, n_samples, threads, COPYING * source[1].size)
        origin += source[1].size
    if len(sources) > 1:
        for_each_part(partial(loops.sort_arrivals, incoming), n_samples, threads)
    return incoming


def new_arrivals(offsets: IntArray, n: int) -> loops.Incoming:
    """Return room for ``n`` arrivals."""
    return loops.Incoming(
        offsets, np.empty(n), np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    )


def new_factors(n: int) -> loops.Factors:
    """Return room for the factors of ``n`` arrivals."""
    return loops.Factors(*(np.empty(n) for _ in loops.Factors._fields))


def all_factors(
    layer: Layer, incoming: loops.Incoming, t_stop: float, threads: int
) -> dict[int, loops.Factors]:
    """Return the factors of all arrivals, for each kind of neuron of an all-to-all layer."""
    tiles, n_samples = layer.tiles, incoming.offsets.size - 1
    factors = {}
    for q in np.unique(tiles.kind, return_index=True)[1]:
        own = factors[int(tiles.kind[q])] = new_factors(incoming.time.size)
        fill = partial(loops.fill_factors, incoming, t_stop, tiles.alpha[q], tiles.beta[q], own)
        for_each_part(fill, n_samples, threads, FLOW * incoming.time.size)
    return factors


def new_scratch(layer: Layer, incoming: loops.Incoming) -> loops.Scratch:
    """Return room for the arrivals of any sample at a block of tiles that have their own."""
    assert layer.reach is not None
    tiles = int(np.diff(layer.tiles.first).max())
    fan = np.diff(layer.reach.first, axis=1).max(axis=0, initial=0)
    total = np.concatenate([[0], np.cumsum(fan[incoming.row])])
    room = tiles + int(np.diff(total[incoming.offsets]).max(initial=0))
    starts = np.empty(tiles + 1, dtype=np.int64)
    return loops.Scratch(new_arrivals(starts, room), new_factors(room), starts)


def _advance(
    layer: Layer,
    table: FloatArray,
    causes: Sequence[Train],
    t_stop: float,
    cap: int,
    threads: int,
    number: int,
    state: LayeredState,
) -> tuple[IntArray, Run]:
    """Return the spikes of a layer in all samples of a portion that begins with ``number``."""
    n_samples = state.count.shape[0]
    incoming = gather(layer, causes, n_samples, t_stop, threads)
    factors = all_factors(layer, incoming, t_stop, threads) if layer.reach is None else {}
    items = _new_items(layer, n_samples, threads)

    def run(first: int, last: int) -> None:
        for i in range(first, last):
            b, until, item = items[i]
            if layer.reach is None:
                advance = partial(
                    loops.advance_all_to_all, layer.tiles, b, table, incoming,
                    factors[int(layer.tiles.kind[b])], t_stop, cap,
                )  # fmt: skip
            else:
                advance = partial(
                    loops.advance_reached, layer.tiles, layer.reach, b, table, incoming,
                    new_scratch(layer, incoming), layer.is_biased, t_stop, cap,
                )  # fmt: skip
            item = _to_the_end(advance, layer.first, state, item, until, number)
            if layer.reach is not None:
                loops.sort_spikes(item.run, item.counts)
            items[i] = b, until, item

    for_each_part(run, len(items), threads)
    _count_arrivals(layer, incoming, items, state)
    return _sorted([item for _, _, item in items], layer.n_blocks, n_samples, threads)


def _new_items(layer: Layer, n_samples: int, threads: int) -> list[tuple[int, int, loops.Item]]:
    """Return ``(block, end, item)`` of each piece of work: block by block, samples in order."""
    ranges = min(n_samples, 1 if threads == 1 else -(-4 * threads // layer.n_blocks))
    edges = [n_samples * r // ranges for r in range(ranges + 1)]
    items = []
    for b in range(layer.n_blocks):
        for first, last in pairwise(edges):
            progress = np.zeros(loops.N_PROGRESS, dtype=np.int64)
            progress[loops.SAMPLE], progress[loops.TILE] = first, -1
            width = int(layer.tiles.width[b])
            words = np.zeros(-(-width // 8), dtype=np.uint64)
            item = loops.Item(
                np.empty((loops.N_ROWS, width)),
                words.view(np.uint8),
                words,
                new_record(FIRST_CAPACITY),
                np.zeros(n_samples, dtype=np.int64),
                np.zeros(n_samples, dtype=np.int64),
                progress,
            )
            items.append((b, last, item))
    return items


def _to_the_end(
    advance: partial[None],
    base: int,
    state: LayeredState,
    item: loops.Item,
    last: int,
    number: int,
) -> loops.Item:
    """Advance an item to its last sample, with a larger record whenever it is full."""
    while True:
        item.progress[loops.STATUS] = loops.DONE
        advance(item, base, state.neuron, last)
        if item.progress[loops.STATUS] == loops.DONE:
            n = item.progress[loops.SPIKES]
            return item._replace(run=Run._make(column[:n] for column in item.run))
        if item.progress[loops.STATUS] == loops.CAPPED:
            raise CapReachedError(number + int(item.progress[loops.SAMPLE]))
        item = item._replace(run=_joined([item.run, item.run]))


def _count_arrivals(
    layer: Layer,
    incoming: loops.Incoming,
    items: list[tuple[int, int, loops.Item]],
    state: LayeredState,
) -> None:
    """Count synaptic events and searches."""
    if layer.reach is None:
        starts = 1 if layer.is_biased else 0
        state.count[:, 2] += layer.n * (np.diff(incoming.offsets) - starts)
    for b, _, item in items:
        some = layer.tiles.lane[layer.tiles.first[b]] + np.arange(layer.tiles.width[b])
        state.count[:, 2] += item.arrivals * np.count_nonzero(layer.tiles.neuron[some] >= 0)
        state.count[0, 3] += item.progress[loops.SEARCHES]


def _sorted(
    items: Sequence[loops.Item], n_blocks: int, n_samples: int, threads: int
) -> tuple[IntArray, Run]:
    """Return the spikes of all blocks, sorted within each sample."""
    joined = _joined([item.run for item in items])
    each = np.stack([item.counts for item in items])
    counts = each.reshape(n_blocks, -1, n_samples).sum(axis=1)
    begin = np.cumsum(counts.reshape(-1)).reshape(counts.shape) - counts
    return _merge(begin, counts, joined, np.zeros(n_blocks, dtype=np.int64), threads)


def _merged(parts: Sequence[tuple[int, IntArray, Run]], threads: int) -> Run:
    """Return the spikes of all layers, ``(first neuron, offsets, run)`` of each, as one record."""
    filled = [part for part in parts if part[2].time.size]
    if (len(filled) == 1 and filled[0][0] == 0) or not filled:
        return (filled or parts)[0][2]
    counts = np.stack([np.diff(offsets) for _, offsets, _ in filled])
    begin = np.cumsum(counts.reshape(-1)).reshape(counts.shape) - counts
    base = np.array([first for first, _, _ in filled])
    return _merge(begin, counts, _joined([run for _, _, run in filled]), base, threads)[1]


def _merge(
    begin: IntArray, counts: IntArray, spikes: Run, base: IntArray, threads: int
) -> tuple[IntArray, Run]:
    offsets = np.concatenate([[0], np.cumsum(counts.sum(axis=0))])
    merged = new_record(spikes.time.size)
    merge = partial(loops.merge_spikes, begin, begin + counts, spikes, base, offsets, merged)
    for_each_part(merge, offsets.size - 1, threads, MERGING * spikes.time.size)
    return offsets, merged


def _joined(runs: Sequence[Run]) -> Run:
    if len(runs) == 1:
        return runs[0]
    return Run._make(np.concatenate(columns) for columns in zip(*runs, strict=True))


def _check_cap(state: LayeredState, cap: int, number: int) -> None:
    beyond = np.flatnonzero(state.count[:, 0] > cap)
    if beyond.size:
        raise CapReachedError(number + int(beyond[0]))
