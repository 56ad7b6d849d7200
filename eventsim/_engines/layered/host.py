"""The layered engine: feed-forward networks, layer by layer, in batches.

Between two layers all spikes of a sample are merged in time.  Samples are independent of each other
and spread over threads, and each has its own part of every output, so neither the number of threads
nor the batch changes a bit of the result.

Each thread takes its samples in portions: the scratch arrays are linear in the arrivals of a
portion, and the next one finds them in the cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from eventsim._engines.base import Excess, Job, batch_result, stateless
from eventsim._engines.layered import loop as loops
from eventsim._engines.layered.capped import CapReachedError, run_capped
from eventsim._engines.status import CAPPED, DONE, PAUSED
from eventsim._layout.incoming import Incoming, fill_factors
from eventsim._layout.layers import (
    Layer,
    layered_obstacle,
    layers_of,
    layers_pay,
    weight_tables,
)
from eventsim._layout.record import (
    CURRENT,
    FURTHER,
    INPUTS,
    N_COUNTS,
    POTENTIAL,
    SEARCHES,
    SPIKES,
    SYNAPTIC,
    TOUCHED,
    Record,
    end_to_end,
    new_record,
)
from eventsim._layout.trains import (
    Train,
    all_factors,
    gather,
    input_trains,
    new_scratch,
    portions,
)
from eventsim._layout.wiring import layout_of
from eventsim._support import arrays
from eventsim._support.threads import for_each_part, stop_if_told
from eventsim._support.types import FloatArray, IntArray
from eventsim.model.currents import scratch_shape
from eventsim.network import Network
from eventsim.result import BatchResult

__all__ = ["LayeredState", "carried", "merged_layers", "obstacle", "pays", "run", "run_layers"]

PORTION = 100_000  # input spikes and neurons of the samples that a thread takes at a time
ROOM = 2  # spikes of a neuron in a sample that there is room for at first
CACHE_LINE = 16  # numbers that processors fetch together, at most

SYNAPSE = 0.5  # nanoseconds, about, in which a spike arrives at one neuron
READING = 8.0  # every part reads all weights anew: see `for_each_part`


class LayeredState(NamedTuple):
    """States at the end of a run, (n_samples, n_neurons, at least 3), and counters (n_samples, 5).

    Where neurons have several receptors, there are columns for their currents too.
    """

    neuron: FloatArray
    count: IntArray  # type: ignore[assignment]  # hides tuple.count, which nobody calls


def obstacle(job: Job) -> str | None:
    """Return why layers cannot run the network, or None if they can."""
    return layered_obstacle(job.network, job.engine) or stateless(job)


def carried(old: BatchResult) -> BatchResult:
    """Return the run as it is: its `obstacle` refuses parts."""
    return old


def pays(job: Job) -> bool:
    """Tell whether all arrivals are vector operations, or earliest-spike pools.

    Layers do not end early: the scheduler leaves out what they would compute in vain.
    """
    return job.until_fired is None and layers_pay(job.network)


def run(job: Job) -> tuple[BatchResult, Excess]:
    """Run all samples, or those up to the first one that exceeds the cap."""
    return run_capped(run_layers, job)


def run_layers(job: Job) -> BatchResult:
    """Run all samples to the end.

    Raises
    ------
    CapReachedError
        If a sample has more spikes than it may.
    """
    network, given, t_stop, cap = job.network, job.given, job.t_stop, job.max_spikes
    n_samples, neurons = given.n_samples, layout_of(network).neurons
    n_neurons, n_receptors = neurons.kind.size, len(neurons.receptors)
    columns = FURTHER + n_receptors if n_receptors > 1 else FURTHER
    state = LayeredState(
        np.zeros((n_samples, n_neurons, columns)), np.zeros((n_samples, N_COUNTS), dtype=np.int64)
    )
    state.neuron[:, :, CURRENT] = given.start.current[:, :, 0]
    state.neuron[:, :, FURTHER + 1 :] = given.start.current[:, :, 1:]
    state.neuron[:, :, POTENTIAL] = given.start.potential
    happened = np.concatenate([[0], np.cumsum(given.times <= t_stop)])
    state.count[:, INPUTS] = np.diff(happened[given.offsets])
    whole = Run(network, weight_tables(network), t_stop, cap, not given.start.is_zero)
    records: dict[int, Record] = {}

    def run_part(first: int, last: int) -> None:
        for low, high in portions(network, given.offsets, PORTION, first, last):
            own = LayeredState(state.neuron[low:high], state.count[low:high])
            trains = input_trains(network, given, low, high)
            records[low] = _run_samples(whole, trains, own, low)

    work = SYNAPSE * n_neurons * (given.times.size + n_neurons * n_samples)
    for_each_part(run_part, n_samples, job.threads, work, READING)
    record = end_to_end([records[first] for first in sorted(records)])
    return batch_result(job, np.full(n_samples, t_stop), record, state)


class Run(NamedTuple):
    """What is the same for all samples of a run; ``moving``: not all begin in the state zero."""

    network: Network
    tables: Sequence[FloatArray]
    t_stop: float
    cap: int
    moving: bool


def _run_samples(run: Run, trains: dict[str, Train], state: LayeredState, number: int) -> Record:
    """Return the spikes of the samples that begin with ``number``; completes their ``state``."""
    parts = []
    for layer, table in zip(layers_of(run.network), run.tables, strict=True):
        causes = [trains[synapses.pre] for synapses in layer.synapses]
        offsets, record = _advance(layer, table, causes, run, number, state)
        trains[layer.population] = Train(offsets, record.time, record.neuron, 0)
        parts.append((layer.first, offsets, record))
        state.count[:, SPIKES] += np.diff(offsets)
    return merged_layers(parts)


def _advance(
    layer: Layer,
    table: FloatArray,
    causes: Sequence[Train],
    run: Run,
    number: int,
    state: LayeredState,
) -> tuple[IntArray, Record]:
    """Return the spikes of a layer in the samples that begin with ``number``."""
    n_samples, begins = state.count.shape[0], run.moving or layer.is_biased
    incoming = gather(layer, causes, n_samples, run.t_stop, begins, threads=1)
    task = loops.Task(
        layer.tiles, table, incoming, run.t_stop, run.cap, layer.first, state.neuron, run.moving
    )
    if layer.reach is None:
        factors = all_factors(layer, incoming, 1, fill_factors, run.t_stop)
        advance = partial(loops.advance_all_to_all, task, factors)
    else:
        scratch = new_scratch(layer, incoming)
        advance = partial(loops.advance_reached, task, layer.reach, scratch, begins)
    advancing = _to_the_end(advance, layer, state, number)
    _count_arrivals(layer, incoming, advancing, state, begins)
    return _merge(advancing.counts, advancing.run, np.zeros(layer.n_blocks, dtype=np.int64))


def _new_advancing(layer: Layer, total: IntArray) -> loops.Advancing:
    """Return the start of a layer, in samples with so many spikes in ``total`` already."""
    n_samples, n_receptors = total.size, len(layer.tiles.receptors)
    width = int(layer.tiles.width.max(initial=1))
    n_rows, (n_search, columns) = loops.CURRENTS + n_receptors, scratch_shape(n_receptors)
    # In one block: what two threads write over and over must not share a line of the cache.
    rows = arrays.zeros(n_rows + 1 + n_search + 3, max(width, columns, CACHE_LINE))
    words, progress = rows[n_rows : n_rows + 2].view(np.int64)
    progress[loops.TILE], progress[loops.STATUS] = -1, DONE
    counts, searches, touched, arrivals = np.zeros((4, layer.n_blocks, n_samples), dtype=np.int64)
    words = words[: -(-width // 8)].view(np.uint64)
    return loops.Advancing(
        rows[:n_rows],
        words.view(np.uint8),
        words,
        rows[n_rows + 2, :n_receptors],
        rows[n_rows + 3 : n_rows + 3 + n_search],
        new_record(max(1, ROOM * n_samples * layer.n)),
        counts,
        searches,
        touched,
        arrivals,
        total.copy(),
        progress[: loops.N_PROGRESS],
    )


def _to_the_end(
    advance: partial[None], layer: Layer, state: LayeredState, number: int
) -> loops.Advancing:
    """Advance a layer to the last block and sample, with a larger record whenever it is full."""
    advancing = _new_advancing(layer, state.count[:, SPIKES])
    progress = advancing.progress
    while True:
        advance(advancing)
        if progress[loops.STATUS] == DONE:
            return advancing
        if progress[loops.STATUS] == CAPPED:
            raise CapReachedError(number + int(progress[loops.SAMPLE]))
        paused = progress[loops.STATUS] == PAUSED
        progress[loops.STATUS] = DONE
        stop_if_told()
        if paused:
            continue
        advancing = advancing._replace(run=end_to_end([advancing.run, advancing.run]))


def _count_arrivals(
    layer: Layer,
    incoming: Incoming,
    advancing: loops.Advancing,
    state: LayeredState,
    begins: bool,
) -> None:
    """Count synaptic events and searches."""
    tiles = layer.tiles
    if layer.reach is None:
        starts = 1 if begins else 0
        state.count[:, SYNAPTIC] += layer.n * (np.diff(incoming.offsets) - starts)
    else:
        for b in range(layer.n_blocks):
            some = tiles.lane[tiles.first[b]] + np.arange(tiles.width[b])
            lanes = np.count_nonzero(tiles.neuron[some] >= 0)
            state.count[:, SYNAPTIC] += lanes * advancing.arrivals[b]
    state.count[:, SEARCHES] += advancing.searches.sum(axis=0)
    state.count[:, TOUCHED] += advancing.touched.sum(axis=0)


def merged_layers(parts: Sequence[tuple[int, IntArray, Record]]) -> Record:
    """Return the spikes of all layers, ``(first neuron, offsets, run)`` of each, as one record."""
    filled = [part for part in parts if part[2].time.size]
    if (len(filled) == 1 and filled[0][0] == 0) or not filled:
        return (filled or parts)[0][2]
    counts = np.stack([np.diff(offsets) for _, offsets, _ in filled])
    base = np.array([first for first, _, _ in filled])
    return _merge(counts, end_to_end([run for _, _, run in filled]), base)[1]


def _merge(counts: IntArray, spikes: Record, base: IntArray) -> tuple[IntArray, Record]:
    """Merge parts (blocks or populations) that follow each other, ``counts`` (n_parts, n_samples).

    ``base`` is added to the numbers of each part's neurons.
    """
    per_sample = counts.sum(axis=0)
    offsets = np.concatenate([[0], np.cumsum(per_sample)])
    begin = np.cumsum(counts.reshape(-1)).reshape(counts.shape) - counts
    merged = new_record(int(offsets[-1]))
    bins = np.empty(int(per_sample.max(initial=0)) + 1, dtype=np.int64)
    loops.merge_spikes(begin, begin + counts, spikes, base, offsets, bins, merged)
    return offsets, merged
