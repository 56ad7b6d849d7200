"""The adjoint sweep of a batch on the device, from the last layer to the first."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from eventsim._engines.cuda.device import (
    clear,
    empty,
    grid_for,
    grid_of_rows,
    is_out_of_memory,
    of_blocks,
    quietly,
    to_device,
    total_memory,
)
from eventsim._engines.cuda.plan import DeviceLayer, device_layers, device_tables
from eventsim._engines.cuda.result import (
    CudaResult,
    bytes_per_sample,
    make_room,
    portion_size,
    run_portion,
    smaller,
)
from eventsim._engines.cuda.run import DeviceRun, LayerRun
from eventsim._engines.cuda.scan import RunningSum
from eventsim._support.types import FloatArray, IntArray, Key
from eventsim.network import Network
from gradients._sweeps.events import Cotangents
from gradients._sweeps.layers.host import LayerGradients
from gradients._sweeps.layers.loop import running_sum
from gradients._sweeps.layers.task import Wanted
from gradients.cuda.sweep import (
    Columns,
    Fired,
    Sums,
    add_copies,
    add_events,
    add_lanes,
    add_up,
    count_events,
    pass_straight,
    sweep,
)

__all__ = ["BY_WEIGHTS", "Copies", "DeviceSweep", "new_copies", "sweep_layers"]

STRANDS = 128  # copies of a layer's gradient, at most
COPIES = 2**30  # bytes that they take together, at most
SHARE_OF_COPIES = 0.05  # part of the memory of the device that those of all layers may take
GROUPS = 32  # of tiles that share a weight table
BY_WEIGHTS = Wanted(neurons=False, arrivals=False)
UNLIMITED = 2**62  # spikes of a sample, of a run that has been made before


class Copies:
    """Copies of the gradients of a layer, over all samples so far.

    Attributes
    ----------
    sums : Sums
        The copies, all of them zero at first.
    strands, n_groups : int
        How many parts the samples, and the tiles that share a table, are cut into.
    """

    def __init__(
        self,
        layer: DeviceLayer,
        n_layers: int,
        n_samples: int,
        delayed: bool,
        wanted: Wanted,
        dtype: np.dtype[Any],
    ) -> None:
        plan = layer.plan
        self.layer, (self.columns, self.n_groups) = layer, _columns(layer)
        # Not of the free memory: the number of strands decides the order of sums.
        most = min(COPIES, SHARE_OF_COPIES * total_memory() / n_layers)
        fitting = int(most / (8 * max(1, plan.table_size) * self.n_groups))
        self.strands = max(1, min(STRANDS, n_samples, fitting))
        copies, n = self.strands * self.n_groups, plan.tiles.neuron.size
        self.sums = Sums(
            empty((copies, plan.table_size), dtype),
            empty((copies, plan.table_size if delayed else 0), dtype),
            empty((self.strands, n if wanted.neurons else 0, 4)),
            None,
        )

    def gradient(self, key: Key, n_values: int) -> Any:
        """Return the gradient by the values of a projection, flat, on the device."""
        found = empty(n_values, self.sums.weight.dtype)
        self.add_up(key, found)
        return found

    def add_up(self, key: Key, gradient: Any) -> None:
        """Write the gradient by the values of a projection, flat."""
        s = next(s for s in self.layer.plan.synapses if s.key == key)
        places = self.layer.places(s, gradient.size)
        add_up[grid_for(gradient.size)](self.sums.weight, places, gradient)


def new_copies(
    network: Network, n_samples: int, wanted: Wanted, dtype: np.dtype[Any]
) -> list[Copies]:
    """Return room for the gradients of all layers."""
    layers = device_layers(network)
    found = []
    for layer in layers:
        delayed = wanted.arrivals and any(
            not isinstance(network.projections[s.key].delays, float) for s in layer.plan.synapses
        )
        found.append(Copies(layer, len(layers), n_samples, delayed, wanted, dtype))
    clear_copies(found)
    return found


def clear_copies(copies: Sequence[Copies]) -> None:
    """Set all sums to zero."""
    sums = [copy.sums for copy in copies]
    clear(*(s.weight for s in sums), *(s.delay for s in sums))
    clear(*(s.neuron for s in sums))


class DeviceSweep:
    """The sweep of a run on the device: room for it, and what the last sweep left there.

    Parameters
    ----------
    run : DeviceRun
        What is swept.
    copies : list of Copies
        Where the gradients of all layers go.
    wanted : Wanted
        Whether gradients by neuron parameters, and by times of arrivals, are wanted.

    Attributes
    ----------
    final : list of (n_samples, n) device arrays
        Derivatives by the potentials at the end, layer by layer; zero at first.
    by_time : list of device arrays
        Derivatives by the spikes of each layer's sorted train; zero at first, complete at the end.
    by_input : dict of str -> device array
        Derivatives by the input spikes; the same array for inputs that share a train.
    """

    def __init__(self, run: DeviceRun, copies: Sequence[Copies], wanted: Wanted) -> None:
        self.run, self.copies, self.wanted, dtype = run, copies, wanted, run.dtype
        self.final = [empty((run.n_samples, one.layer.plan.n), dtype) for one in run.layers]
        self.by_time = [empty(one.rank.size, dtype) for one in run.layers]
        self.by_input = self._by_input()
        self.parts = [
            _Part(one, copy, any(s.pre in run.network.populations for s in one.layer.plan.synapses)
                  or wanted.arrivals, run.counters.nothing)
            for one, copy in zip(run.layers, copies, strict=True)
        ]  # fmt: skip
        names = [one.layer.plan.population for one in run.layers]
        clear(*self.final, *self.by_time, *self._inputs(), *(part.moved for part in self.parts))
        self._by_cause = {**dict(zip(names, self.by_time, strict=True)), **self.by_input}

    def layer(self, population: str) -> tuple[int, LayerRun]:
        """Return the number of a population's layer, and its run."""
        one = self.run.layer(population)
        return self.run.layers.index(one), one

    def _by_input(self) -> dict[str, Any]:
        found: dict[int, Any] = {}
        by_input = {}
        for name, cause in self.run.inputs.items():
            if id(cause.train) not in found:
                found[id(cause.train)] = empty(max(1, cause.n_numbers), self.run.dtype)
            by_input[name] = found[id(cause.train)]
        return by_input

    def _inputs(self) -> list[Any]:
        """Return each of the derivatives by input spikes once."""
        return list({id(array): array for array in self.by_input.values()}.values())

    def clear(self) -> None:
        """Forget the last sweep; ``final`` stays as it is."""
        clear(*self.by_time, *self._inputs(), *(copy.sums.weight for copy in self.copies))

    def over_all(self, number: int = 0, delays: dict[Key, float] | None = None) -> None:
        """Sweep all layers.

        Parameters
        ----------
        number : int
            That of the first sample within a batch of which this is a portion.
        delays : dict of key -> float, optional
            Derivatives by the delay of each projection, to be added to (which reads them back).
        """
        for layer in reversed(range(len(self.parts))):
            part = self.parts[layer]
            part.sweep(
                self.run.tables[layer], self.final[layer], self.by_time[layer],
                self.wanted.neurons, number,
            )  # fmt: skip
            if part.passes_on:
                part.pass_on(self._by_cause, delays)


class _Part:
    """The sweep of one layer."""

    def __init__(self, one: LayerRun, copy: Copies, passes_on: bool, nothing: Any) -> None:
        self.one, self.copy, self.passes_on = one, copy, passes_on
        layer, listing = one.layer, one.listing
        width = _moved_width(layer) if passes_on else 0
        self.moved = empty((listing.size, width), one.dtype)
        self.n_numbers = sum(cause.n_numbers for cause in listing.causes)
        self.by_event: Any = None
        if not passes_on:
            return
        self.by_arrivals = [empty(cause.n_numbers, one.dtype) for cause in listing.causes]
        if layer.fan > 1:
            self.fans = empty(self.n_numbers, np.int64)
            self.first = empty(self.n_numbers + 1, np.int64)
            self.running_sum = RunningSum(self.n_numbers, nothing)
        else:
            self.first = nothing
            self.by_event = empty(max(1, self.n_numbers), one.dtype)

    def sweep(self, weight: Any, final: Any, by_time: Any, rates: bool, number: int) -> None:
        """Add the gradients of the layer."""
        one, copy = self.one, self.copy
        spikes, columns = one.spikes, copy.columns
        fired = Fired(
            spikes.time, spikes.slope, spikes.released, spikes.previous, spikes.last, one.rank,
            by_time,
        )  # fmt: skip
        if one.layer.plan.reach is not None:
            clear(self.moved)  # lists of tiles of other widths may have stood there
        sweep[grid_of_rows(copy.strands, columns.first.size)](
            columns, one.task(weight), fired, final, rates, copy.sums._replace(moved=self.moved),
            copy.n_groups, copy.strands, number,
        )  # fmt: skip

    def pass_on(self, by_cause: dict[str, Any], delays: dict[Key, float] | None) -> None:
        """Add the derivatives by arrivals to those by the causing spikes, and by delays."""
        layer, listing = self.one.layer, self.one.listing
        synapses = layer.plan.synapses
        per_list = listing.size // listing.n_lists
        if listing.follows and delays is None:
            pass_straight[of_blocks(listing.n_lists, per_list)](
                self.moved, listing.arrivals, by_cause[synapses[0].pre]
            )
            return
        if layer.fan > 1:
            self._number_events()
        else:
            clear(self.by_event)
        add_lanes[of_blocks(listing.n_lists, per_list)](
            self.moved, listing.arrivals, layer.fan, self.first, self.by_event
        )
        deliveries = zip(synapses, listing.deliveries, self.by_arrivals, strict=True)
        for s, delivery, by_arrivals in deliveries:
            add_events[grid_for(by_arrivals.size)](
                self.by_event, delivery.first, layer.fan, self.first, by_arrivals, by_cause[s.pre]
            )
            if delays is not None:
                values = by_arrivals.copy_to_host().astype(np.float64, copy=False)
                delays[s.key] = running_sum(delays[s.key], values)

    def _number_events(self) -> None:
        """Give all arrivals of each spike numbers side by side, and room to all of them."""
        listing, links = self.one.listing, self.one.layer.links
        clear(self.fans)
        for delivery in listing.deliveries:
            count_events[of_blocks(listing.n_samples, delivery.room)](delivery, links, self.fans)
        self.running_sum(self.fans, self.first)
        n_events = int(self.first[self.n_numbers :].copy_to_host()[0])
        if self.by_event is None or self.by_event.size < n_events:
            self.by_event = empty(max(1, n_events), self.one.dtype)
        clear(self.by_event)


def sweep_layers(
    batch: CudaResult,
    loss: Cotangents,
    final: FloatArray,
    wrt: Collection[str],
    threads: int | None,  # noqa: ARG001
) -> LayerGradients:
    """Sweep all samples of a run; completes ``loss.inputs``.

    Parameters, and what is returned, are those of `gradients._sweeps.layers.host.sweep_layers`; the
    device has threads of its own.
    """
    by_inputs = loss.inputs.copy()
    size = len(batch) if batch.on_device else _fitting(batch)
    with quietly():
        while True:
            try:
                return _sweep_portions(batch, loss, final, wrt, size)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            # The error is gone now, and with it what its frames held on the device.
            held = make_room()
            size = min(size, _fitting(batch)) if held else smaller(size, _bytes(batch))
            loss.inputs[:] = by_inputs


def _fitting(batch: CudaResult) -> int:
    """Return how many samples fit in the memory with their sweep, about."""
    layers = device_layers(batch.network)
    return portion_size(batch.network, batch.stimulus, layers, 8 * _widest(layers))


def _bytes(batch: CudaResult) -> float:
    layers = device_layers(batch.network)
    inputs = int(np.diff(batch.stimulus.offsets).max(initial=0))
    return bytes_per_sample(batch.network, inputs, layers, 8 * _widest(layers))


def _widest(layers: Sequence[DeviceLayer]) -> int:
    return max(_moved_width(layer) for layer in layers)


def _sweep_portions(
    batch: CudaResult, loss: Cotangents, final: FloatArray, wrt: Collection[str], size: int
) -> LayerGradients:
    """Sweep portions of ``size`` samples, each from the last layer to the first."""
    network = batch.network
    gradients = LayerGradients(network, batch.stimulus.start, wrt)
    delays = gradients.delays if gradients.wanted.arrivals else None
    copies = new_copies(network, len(batch), gradients.wanted, batch.dtype)
    tables: list[Any] = []
    for first in range(0, len(batch), size):
        last = min(first + size, len(batch))
        run = batch.on_device
        if run is None:  # it can be had again, bit for bit
            tables = tables or device_tables(network, batch.dtype)
            run = run_portion(
                network, tables, batch.stimulus, first, last, batch.t_stop, UNLIMITED, batch.dtype
            )
        one = DeviceSweep(run, copies, gradients.wanted)
        _give(one, batch, loss, final[first:last], first, last)
        one.over_all(first, delays)
        given = slice(batch.stimulus.offsets[first], batch.stimulus.offsets[last])
        if network.inputs and gradients.wanted.arrivals:
            by_input = next(iter(one.by_input.values())).copy_to_host()
            loss.inputs[given] = by_input[: given.stop - given.start]
        del run, one  # the next portion needs the room
    for number, copy in enumerate(copies):
        own = gradients.sums[number]
        gradients.sums[number] = own._replace(
            weight=_added(copy.sums.weight)[None],
            delay=_added(copy.sums.delay)[None],
            neuron=_added(copy.sums.neuron)[None],
        )
    return gradients


def _give(
    one: DeviceSweep,
    batch: CudaResult,
    loss: Cotangents,
    final: FloatArray,
    first: int,
    last: int,
) -> None:
    """Copy the derivatives by spikes and potentials to the device, where there are any."""
    for number, layer_run in enumerate(one.run.layers):
        plan = layer_run.layer.plan
        own = final[:, plan.first : plan.first + plan.n]
        if np.any(own):
            one.final[number] = to_device(own.astype(batch.dtype))
    if not np.any(loss.spikes):
        return
    part = slice(batch.offsets[first], batch.offsets[last])
    neuron, by_spike = batch.record.neuron[part], loss.spikes[part]
    for number, layer_run in enumerate(one.run.layers):
        if layer_run.room == 0:
            continue
        plan = layer_run.layer.plan
        own_spikes = (neuron >= plan.first) & (neuron < plan.first + plan.n)
        by_time = one.run.spread(layer_run, by_spike[own_spikes])
        one.by_time[number].copy_to_device(by_time)


_COLUMNS: WeakKeyDictionary[DeviceLayer, tuple[Columns, int]] = WeakKeyDictionary()


def _columns(layer: DeviceLayer) -> tuple[Columns, int]:
    """Return what each thread of a strand walks, and the number of groups (once per layer)."""
    if layer not in _COLUMNS:
        tiles, shared = layer.plan.tiles, layer.plan.shares_tables
        columns: list[tuple[IntArray, ...]] = []
        for b, width in enumerate(tiles.width):
            low, high = tiles.first[b], tiles.first[b + 1]
            groups = min(GROUPS, high - low) if shared else high - low
            first, place = np.divmod(np.arange(groups * width), width)
            stop = np.full(first.size, high) if shared else low + first + 1
            group = first if shared else np.zeros_like(first)
            columns.append((low + first, stop, np.full(first.size, groups), place, group))
        joined = [np.concatenate(part) for part in zip(*columns, strict=True)]
        _COLUMNS[layer] = Columns(*map(to_device, joined)), int(joined[-1].max()) + 1
    return _COLUMNS[layer]


def _moved_width(layer: DeviceLayer) -> int:
    """Return how many lanes see an arrival."""
    tiles = layer.plan.tiles
    return int(tiles.neuron.size if layer.plan.reach is None else tiles.width.max(initial=1))


def _added(copies: Any) -> FloatArray:
    """Return the sum of the copies, in order."""
    n = int(np.prod(copies.shape[1:]))
    total = empty(n)
    if n:
        add_copies[grid_for(n)](copies.reshape(copies.shape[0], n), total)
    found: FloatArray = total.copy_to_host().reshape(copies.shape[1:])
    return found
