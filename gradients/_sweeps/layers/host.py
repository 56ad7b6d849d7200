"""The adjoint sweep over layers: from the last one to the first, in batches."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial

import numpy as np

from eventsim._layout.incoming import Incoming, fill_factors
from eventsim._layout.layers import Layer, layers_of, weight_tables
from eventsim._layout.trains import (
    COPYING,
    COUNTING,
    Train,
    all_factors,
    gather,
    input_trains,
    new_scratch,
    portions,
)
from eventsim._layout.wiring import layout_of
from eventsim._support import arrays
from eventsim._support.threads import for_each_part, thread_count
from eventsim._support.types import FloatArray, Int32Array, IntArray, Key
from eventsim.model.parameters import INITIAL, NEURON
from eventsim.network import Network
from eventsim.result import BatchResult
from eventsim.start import Start
from gradients._sweeps.events import ALPHAS, CURRENTS, Cotangents, by_symbol
from gradients._sweeps.layers import frames as framed
from gradients._sweeps.layers import loop as loops
from gradients._sweeps.layers import rates
from gradients._sweeps.layers.task import Fired, LayerSums, Strand, Task, Wanted

__all__ = ["LayerGradients", "Portion", "sweep_layers"]

# Pieces of work in which a layer's sums over the samples are made, each in order.
PIECES = 8
ADJOINT = 1.0  # nanoseconds that an arrival at one neuron takes, about
PORTION = 8_000_000  # blocks times input spikes and neurons of the samples that are held at a time


class LayerGradients:
    """Sums over all samples so far.

    Attributes
    ----------
    delays : dict of key -> float
        By the delay of a whole projection.
    """

    def __init__(self, network: Network, start: Start, wanted: Collection[str]) -> None:
        """Start with sums of 0."""
        self.network = network
        self.wanted = Wanted(
            neurons=any(name in wanted for name in (*(p.name for p in NEURON), INITIAL)),
            arrivals=bool({"delays", "input_times"} & set(wanted)),
        )
        each = self.wanted.neurons and start.states.shape[0] > 1
        self.n_starts = start.n_samples if each else 1
        self.sums = [self._new_sums(layer) for layer in layers_of(network)]
        self.delays = dict.fromkeys(network.projections, 0.0)

    def _new_sums(self, layer: Layer) -> LayerSums:
        strands = max(1, PIECES // layer.n_blocks)
        delayed = any(
            not isinstance(self.network.projections[s.key].delays, float) for s in layer.synapses
        )
        n, n_receptors = layer.tiles.neuron.size, len(layer.tiles.receptors)
        n_starts = self.n_starts if self.n_starts > 1 else strands
        return LayerSums(
            arrays.zeros(strands, layer.table_size),
            np.zeros((strands, layer.table_size if delayed and self.wanted.arrivals else 0)),
            np.zeros((strands, n, ALPHAS + n_receptors)),
            np.zeros((n_starts, n, CURRENTS + n_receptors)),
            np.empty((0, 0)),
        )

    def weights(self) -> dict[Key, FloatArray]:
        """Return the derivatives by the values of every projection."""
        return self._by_values("weight")

    def synapse_delays(self) -> dict[Key, FloatArray]:
        """Return the derivatives by the delays of projections whose synapses have their own."""
        return self._by_values("delay")

    def _by_values(self, name: str) -> dict[Key, FloatArray]:
        by_values = {}
        for layer, sums in zip(layers_of(self.network), self.sums, strict=True):
            table = getattr(sums, name)
            if table.shape[1] == 0:
                continue
            for s in layer.synapses:
                n = self.network.projections[s.key].values.size
                by_values[s.key] = s.weights.read(table, n)
        return by_values

    def starts(self) -> FloatArray:
        """Return the derivatives by the states at t = 0, as `events.Sums` has them, if wanted."""
        neurons = layout_of(self.network).neurons
        n_columns = CURRENTS + len(neurons.receptors)
        total = np.zeros((self.n_starts, neurons.kind.size, n_columns))
        for layer, sums in zip(layers_of(self.network), self.sums, strict=True):
            real = layer.tiles.neuron >= 0
            each = sums.start if self.n_starts > 1 else sums.start.sum(axis=0, keepdims=True)
            own = layer.first + layer.tiles.neuron[real]
            total[:, own, : each.shape[2]] = each[:, real]
        return total

    def neurons(self) -> dict[str, FloatArray]:
        """Return the derivatives by alpha, beta, threshold and bias of all neurons."""
        neurons = layout_of(self.network).neurons
        total = np.zeros((neurons.kind.size, ALPHAS + len(neurons.receptors)))
        for layer, sums in zip(layers_of(self.network), self.sums, strict=True):
            real = layer.tiles.neuron >= 0
            own = layer.first + layer.tiles.neuron[real]
            total[own, : sums.neuron.shape[2]] = sums.neuron.sum(axis=0)[real]
        return by_symbol(total)


def sweep_layers(
    batch: BatchResult,
    loss: Cotangents,
    final: FloatArray,
    wrt: Collection[str],
    threads: int | None,
) -> LayerGradients:
    """Sweep all samples of a feed-forward network; completes ``loss.inputs``.

    Parameters
    ----------
    batch : BatchResult
        A run, every sample of which went to its ``t_stop``.
    loss : Cotangents
        Derivatives by spikes; its events are not looked at.
    final : (n_samples, n_neurons) ndarray
        Derivatives by the potentials at ``t_stop``.
    wrt : collection of str
        What the gradient is wanted of, as in `gradients.timing_backprop`.
    threads : int or None
        Number of threads.
    """
    network, threads = batch.network, thread_count(threads)
    gradients = LayerGradients(network, batch.stimulus.start, wrt)
    tables = weight_tables(network)
    # Each block has derivatives by all arrivals.
    size = PORTION // max(layer.n_blocks for layer in layers_of(network))
    for first, last in portions(network, batch.stimulus.offsets, size, 0, len(batch)):
        portion = Portion(batch, loss, first, last)
        for number in reversed(range(len(tables))):
            _sweep_layer(gradients, number, tables[number], portion, final[first:last], threads)
    return gradients


class Portion:
    """The samples ``first : last`` of a run, with the derivatives by their spikes.

    ``numbers`` says, for each population, which of the spikes are its own.
    """

    def __init__(self, batch: BatchResult, loss: Cotangents, first: int, last: int) -> None:
        self.first, self.n_samples, self.t_stop = first, last - first, batch.t_stop
        self.start = batch.stimulus.start.of(np.arange(first, last))
        given = slice(batch.stimulus.offsets[first], batch.stimulus.offsets[last])
        part = slice(batch.offsets[first], batch.offsets[last])
        self.record = (
            batch.record.time[part], batch.record.slope[part], batch.record.released[part]
        )  # fmt: skip
        self.by_spike, self.by_input = loss.spikes[part], loss.inputs[given]
        self.trains = input_trains(batch.network, batch.stimulus, first, last)
        self.numbers: dict[str, IntArray] = {}
        neuron, offsets = batch.record.neuron[part], batch.offsets[first : last + 1] - part.start
        for layer, numbers in _by_layer(batch.network, neuron):
            self.numbers[layer.population] = numbers
            self.trains[layer.population] = Train(
                np.searchsorted(numbers, offsets), self.record[0][numbers], neuron[numbers],
                layer.first,
            )  # fmt: skip


def _by_layer(network: Network, neuron: Int32Array) -> Iterator[tuple[Layer, IntArray]]:
    """Yield each layer with the places of its neurons in ``neuron``, ascending."""
    layers = sorted(layers_of(network), key=lambda layer: layer.first)
    small = np.min_scalar_type(len(layers))  # few bytes are sorted fast
    number = np.repeat(np.arange(len(layers), dtype=small), [layer.n for layer in layers])
    of_spike = number[neuron]
    order = np.argsort(of_spike, kind="stable")
    ends = np.cumsum(np.bincount(of_spike, minlength=len(layers)))
    yield from zip(layers, np.split(order, ends[:-1]), strict=True)


def _sweep_layer(
    gradients: LayerGradients,
    number: int,
    table: FloatArray,
    portion: Portion,
    final: FloatArray,
    threads: int,
) -> None:
    """Add the gradients of one layer, and pass the derivatives on to the spikes that reach it."""
    network = gradients.network
    layer, sums = layers_of(network)[number], gradients.sums[number]
    t_stop, tiles = portion.t_stop, layer.tiles
    causes = [portion.trains[synapses.pre] for synapses in layer.synapses]
    begins = layer.is_biased or not portion.start.is_zero
    incoming = gather(layer, causes, portion.n_samples, t_stop, begins, threads)
    fired = _fired(layer, portion, threads)
    passes_on = gradients.wanted.arrivals or any(
        s.pre in network.populations for s in layer.synapses
    )
    wanted = gradients.wanted._replace(arrivals=passes_on)
    n_arrivals = incoming.time.size if passes_on else 0
    sums = sums._replace(arrival=arrays.zeros(layer.n_blocks, n_arrivals))
    each = gradients.n_starts > 1
    if each:
        sums = sums._replace(start=sums.start[portion.first : portion.first + portion.n_samples])
    start = np.ascontiguousarray(portion.start.states[:, layer.first : layer.first + layer.n])
    own = np.ascontiguousarray(final[:, layer.first : layer.first + layer.n])
    n_strands = sums.weight.shape[0]
    frames = None if wanted.neurons else framed.frames_of(tiles, t_stop)
    n_rows = (rates if frames is None else framed).n_rows(tiles)
    task = Task(
        tiles, table, incoming, t_stop, portion.record, fired, own, start, each, wanted, sums
    )
    if layer.reach is None and frames is None:
        factors = all_factors(layer, incoming, threads, fill_factors, t_stop)
    elif layer.reach is None:
        factors = all_factors(layer, incoming, threads, framed.fill_factors, frames, t_stop)

    def sweep(first: int, last: int) -> None:
        for piece in range(first, last):
            b, number = divmod(piece, n_strands)
            work = arrays.empty(n_rows, int(tiles.width[b]))
            strand = Strand(number, n_strands, portion.first)
            if layer.reach is None:
                loops.sweep_all_to_all(task, frames, b, factors, strand, work)
            else:
                scratch = new_scratch(layer, incoming)
                loops.sweep_reached(task, frames, layer.reach, b, scratch, begins, strand, work)

    work = ADJOINT * layer.n * incoming.time.size
    for_each_part(sweep, layer.n_blocks * n_strands, threads, work)
    if passes_on:
        _pass_on(gradients, layer, causes, incoming, sums.arrival, portion, threads)


def _fired(layer: Layer, portion: Portion, threads: int) -> Fired:
    """Return the layer's own spikes, by tile, with the derivatives by their times so far."""
    n_tiles = layer.tiles.lane.size
    tile_of, lane_of = layer.places
    own, n_samples = portion.trains[layer.population], portion.n_samples
    source = (own.offsets, own.sources, layer.first, tile_of)
    start = np.zeros(n_samples * n_tiles + 1, dtype=np.int64)
    count = partial(loops.count_fired, *source, start, n_tiles)
    for_each_part(count, n_samples, threads, COUNTING * own.times.size)
    np.cumsum(start, out=start)
    n = int(start[-1])
    spike, lane = (arrays.empty(n, dtype=np.int64) for _ in range(2))
    fired = Fired(start, spike, lane, arrays.empty(n))
    filled = np.zeros(n_samples * n_tiles, dtype=np.int64)
    numbers = portion.numbers[layer.population]
    fill = partial(
        loops.fill_fired, *source, numbers, lane_of, portion.by_spike, fired, filled, n_tiles
    )
    for_each_part(fill, n_samples, threads, COPYING * own.times.size)
    return fired


def _pass_on(
    gradients: LayerGradients,
    layer: Layer,
    causes: Sequence[Train],
    incoming: Incoming,
    arrival: FloatArray,
    portion: Portion,
    threads: int,
) -> None:
    """Add the derivatives by arrivals to those by the spikes that caused them, and by delays."""
    by_spike = arrays.zeros(sum(train.times.size for train in causes))
    collect = partial(loops.collect_arrivals, incoming, arrival, by_spike)
    for_each_part(collect, portion.n_samples, threads, COPYING * incoming.origin.size)
    start = 0
    for synapses, train in zip(layer.synapses, causes, strict=True):
        part = by_spike[start : start + train.times.size]
        if synapses.pre in gradients.network.inputs:
            portion.by_input += part
        else:
            portion.by_spike[portion.numbers[synapses.pre]] += part
        gradients.delays[synapses.key] = loops.running_sum(gradients.delays[synapses.key], part)
        start += part.size
