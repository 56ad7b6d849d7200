"""A batch on the device: layer after layer, with nothing on the host in between.

Buffers have fixed sizes: what they should have held is counted, and if one was too small the run is
repeated with a larger one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventsim._engines.cuda.arrivals import Cause, Listing, Train
from eventsim._engines.cuda.device import (
    clear,
    empty,
    flat,
    grid_for,
    grid_of_rows,
    of_blocks,
    quietly,
    to_device,
    wait,
    zeros,
)
from eventsim._engines.cuda.neurons import (
    Spikes,
    Task,
    advance,
    count_spikes,
    find_first_spikes,
    order_spikes,
    summarise,
)
from eventsim._engines.cuda.plan import DeviceLayer, device_layers
from eventsim._engines.layered.host import merged_layers
from eventsim._engines.layered.loop import MARGIN
from eventsim._layout.record import Record, new_record
from eventsim._layout.wiring import layout_of
from eventsim._support.types import FloatArray, Int32Array, IntArray
from eventsim.network import Network
from eventsim.stimulus import Stimulus

__all__ = ["Counters", "DeviceRun", "LayerRun", "double", "input_causes", "train_of"]

# As MARGIN, for states in single precision.
MARGINS = {np.dtype(np.float64): MARGIN, np.dtype(np.float32): 1.0 - 1e-5}


class Counters:
    """Integers that are zero when a run begins: one array, cleared at once.

    Attributes
    ----------
    nothing, missing : (1,) device array
        Zero; whether there were more spikes than there is room for.
    spikes : list of (n_samples,) device arrays
        Spikes of each layer.
    all_spikes : (n_layers * n_samples,) device array
        The same, side by side.
    synaptic, searches, touched : (n_samples,) device arrays
        Arrivals at synapses, searches for a crossing, touches of the threshold.
    lists : list of device arrays
        Arrivals that are listed, layer by layer.
    """

    def __init__(self, layers: Sequence[DeviceLayer], n_samples: int) -> None:
        """Take room."""
        sizes = [1, 1, *[n_samples] * (len(layers) + 3)]
        sizes += [layer.n_lists * n_samples for layer in layers]
        self.all = empty(sum(sizes), np.int64)
        ends = np.cumsum(sizes)
        views = [self.all[end - size : end] for size, end in zip(sizes, ends, strict=True)]
        self.nothing, self.missing = views[:2]
        self.spikes = views[2 : 2 + len(layers)]
        self.synaptic, self.searches, self.touched = views[2 + len(layers) : 5 + len(layers)]
        self.lists = views[5 + len(layers) :]
        self.all_spikes = self.all[2 : 2 + n_samples * len(layers)]

    def spike_counts(self) -> IntArray:
        """Return the spikes of every sample in every layer, on the host: (n_layers, n_samples)."""
        found: IntArray = self.all_spikes.copy_to_host().reshape(len(self.spikes), -1)
        return found


class LayerRun:
    """One layer of a batch: room for its arrivals and spikes, and its state at the end.

    Attributes
    ----------
    layer : DeviceLayer
        Its plan.
    listing : Listing
        Its arrivals.
    spikes : Spikes
        As threads found them.
    cause : Cause
        The same spikes, sorted: what arrives at later layers.
    slot, rank : device arrays
        Where the sorted spikes stand in ``spikes``; the other way round.
    current, potential : (n_samples, n) device arrays
        State at the end.
    """

    def __init__(
        self,
        layer: DeviceLayer,
        causes: Sequence[Cause],
        n_samples: int,
        t_stop: float,
        dtype: np.dtype[Any],
        counters: Counters,
        number: int,
    ) -> None:
        self.layer, self.n_samples, self.counters = layer, n_samples, counters
        count, lists = counters.spikes[number], counters.lists[number]
        own = lists, counters.nothing, counters.missing
        self.listing = Listing(layer, causes, n_samples, t_stop, dtype, *own)
        n, room, self.dtype = layer.plan.n, layer.room, dtype
        self.room, size = room, max(1, n_samples * room)
        self.spikes = Spikes(
            count, empty(size, dtype), empty(size, np.int32), empty(size, dtype),
            empty(size, dtype), empty(size, np.int64), empty(n_samples * n, np.int64),
        )  # fmt: skip
        self.slot, self.rank = empty(size, np.int64), empty(size, np.int64)
        place = to_device(np.arange(n_samples) * room)
        times, sources = empty(size, dtype), empty(size, np.int32)
        self.cause = Cause(Train(place, count, times, sources, place), room, n_samples * room, 0, n)
        self.current, self.potential = (empty((n_samples, n), dtype) for _ in range(2))

    def task(self, weight: Any) -> Task:
        """Return what the threads of a run, or of a sweep, walk with these weights."""
        layer, listing = self.layer, self.listing
        return Task(
            layer.lanes, layer.tables, weight, listing.arrivals, listing.factors, layer.n_lists,
            layer.plan.n, listing.t_stop,
        )  # fmt: skip

    def advance(self, weight: Any, cap: int) -> None:
        """Run the layer; those before it have been run."""
        layer, counters, n_samples = self.layer, self.counters, self.n_samples
        self.listing.fill(counters.synaptic)
        advance[grid_of_rows(n_samples, layer.plan.tiles.neuron.size)](
            self.task(weight), MARGINS[self.dtype], self.spikes, self.room, cap, self.current,
            self.potential, counters.searches, counters.touched,
        )  # fmt: skip
        if layer.can_fire:
            train = self.cause.train
            order_spikes[of_blocks(n_samples, self.room)](
                self.spikes, self.room, cap, train.time, train.source, self.slot, self.rank,
                counters.missing,
            )  # fmt: skip


class DeviceRun:
    """A batch on the device: room for it, and what its last run has left there.

    Parameters
    ----------
    network : Network
        Feed-forward.
    inputs : dict of str -> Cause
        Spikes of each input.
    n_samples : int
        Number of samples.
    t_stop : float
        End of the run.
    dtype : dtype
        float64 or float32.

    Attributes
    ----------
    layers : list of LayerRun
        In the order of `Network.layers`.
    tables : list of device arrays
        The weights of the last run.
    """

    def __init__(
        self,
        network: Network,
        inputs: Mapping[str, Cause],
        n_samples: int,
        t_stop: float,
        dtype: np.dtype[Any],
    ) -> None:
        self.network, self.n_samples, self.t_stop, self.dtype = network, n_samples, t_stop, dtype
        layers = device_layers(network)
        self.inputs, causes = dict(inputs), dict(inputs)
        for layer in layers:
            guess = _guess(network, layer, [causes.get(s.pre) for s in layer.plan.synapses],
                           n_samples)  # fmt: skip
            layer.n_arrivals = max(layer.n_arrivals, guess)
        self.counters = Counters(layers, n_samples)
        self.layers: list[LayerRun] = []
        for number, layer in enumerate(layers):
            own = [causes[s.pre] for s in layer.plan.synapses]
            one = LayerRun(layer, own, n_samples, t_stop, dtype, self.counters, number)
            causes[layer.plan.population] = one.cause
            self.layers.append(one)
        self.tables: Sequence[Any] = []

    @quietly()
    def advance(self, tables: Sequence[Any], cap: int) -> None:
        """Run all layers with the weights of these tables; nothing is read back."""
        self.tables = tables
        clear(self.counters.all)
        for layer, table in zip(self.layers, tables, strict=True):
            layer.advance(table, cap)

    def layer(self, population: str) -> LayerRun:
        """Return the layer of a population.

        Raises
        ------
        ValueError
            If there is none of that name.
        """
        self.network.neurons_of(population)
        return next(one for one in self.layers if one.layer.plan.population == population)

    def potential(self, population: str) -> Any:
        """Return the potentials (n_samples, n) at the end, on the device."""
        return self.layer(population).potential

    @quietly()
    def spike_counts(self, population: str) -> Any:
        """Return the number of spikes (n_samples, n) of each neuron, on the device."""
        one = self.layer(population)
        counts = empty((self.n_samples, one.layer.plan.n), np.int64)
        count_spikes[grid_for(counts.size)](one.spikes, flat(counts))
        wait()
        return counts

    @quietly()
    def first_spikes(self, population: str) -> Any:
        """Return the first spike times (n_samples, n), on the device; ``inf`` = silent."""
        one = self.layer(population)
        first = empty((self.n_samples, one.layer.plan.n), self.dtype)
        find_first_spikes[grid_for(first.size)](one.spikes, flat(first))
        wait()
        return first

    @quietly()
    def summary(self) -> tuple[float, int]:
        """Return the smallest slope at a spike, and how many neurons that could fire did not."""
        least, silent = to_device(np.full(self.n_samples, np.inf)), zeros(self.n_samples)
        for one in self.layers:
            if one.layer.can_fire:
                summarise[grid_for(self.n_samples)](
                    one.spikes, one.layer.lanes, one.layer.plan.n, least, silent
                )
        return float(least.copy_to_host().min()), int(silent.copy_to_host().sum())

    @quietly()
    def record(self) -> Record:
        """Copy all spikes to the host."""
        counts = self.counters.spike_counts()
        runs = []
        for one, count in zip(self.layers, counts, strict=True):
            offsets = np.concatenate([[0], np.cumsum(count)])
            runs.append((one.layer.plan.first, offsets, _packed(one, count)))
        return merged_layers(runs)

    def count(self) -> IntArray:
        """Copy the counters (n_samples, 5) of a `LayeredState` to the host.

        Input spikes are left at 0.
        """
        total = self.counters.spike_counts().sum(axis=0)
        columns = [total, np.zeros_like(total)]
        counters = self.counters
        columns += [
            c.copy_to_host() for c in (counters.synaptic, counters.searches, counters.touched)
        ]
        return np.stack(columns, axis=1)

    def state(self) -> FloatArray:
        """Copy the final states (n_samples, n_neurons, 3) of that to the host."""
        state = np.full((self.n_samples, layout_of(self.network).n_neurons, 3), self.t_stop)
        for one in self.layers:
            own = slice(one.layer.plan.first, one.layer.plan.first + one.layer.plan.n)
            state[:, own, 0] = one.current.copy_to_host()
            state[:, own, 1] = one.potential.copy_to_host()
        return state

    def spread(self, one: LayerRun, values: FloatArray) -> Any:
        """Return values by the recorded spikes of a layer as they stand in its sorted train."""
        spread = np.zeros((self.n_samples, one.room), self.dtype)
        count = one.spikes.count.copy_to_host()
        spread[np.arange(spread.shape[1]) < count[:, None]] = values
        return to_device(spread.reshape(-1))


def _packed(one: LayerRun, count: IntArray) -> Record:
    """Copy the ``count`` spikes of each sample in a layer to the host, sorted, without gaps.

    On the host, because a device without memory left could not pack them.
    """
    if not count.any():
        return new_record(0)
    train, spikes = one.cause.train, one.spikes
    there = (np.arange(one.room) < count[:, None]).reshape(-1)
    slot = one.slot.copy_to_host()[there]
    time, neuron = (column.copy_to_host()[there] for column in (train.time, train.source))
    slope, released = (column.copy_to_host()[slot] for column in (spikes.slope, spikes.released))
    return Record(double(time), neuron, double(slope), double(released))


def double(values: NDArray[Any]) -> FloatArray:
    """Return values in double precision."""
    return values.astype(np.float64, copy=False)


def _guess(
    network: Network, layer: DeviceLayer, causes: Sequence[Cause | None], n_samples: int
) -> int:
    """Return about how many arrivals a sample will have, if neurons fire once."""
    n_spikes = sum(
        cause.n_numbers if cause and s.pre in network.inputs
        else n_samples * (s.sources.stop - s.sources.start)
        for s, cause in zip(layer.plan.synapses, causes, strict=True)
    )  # fmt: skip
    return math.ceil(layer.mean_fan * n_spikes / n_samples)


def input_causes(
    network: Network, given: Stimulus, first: int, last: int, dtype: np.dtype[Any]
) -> dict[str, Cause]:
    """Copy the spikes of all inputs in the samples ``first : last`` to the device."""
    part = slice(given.offsets[first], given.offsets[last])
    offsets = given.offsets[first : last + 1] - part.start
    times = given.times[part].astype(dtype, copy=False)
    train = train_of(offsets, times, given.sources[part])
    most, n_sources = int(np.diff(offsets).max()), sum(network.inputs.values())
    starts = layout_of(network).input_start
    n = part.stop - part.start
    return {name: Cause(train, most, n, low, n_sources) for name, low in starts.items()}


def train_of(offsets: IntArray, times: NDArray[Any], sources: IntArray | Int32Array) -> Train:
    """Copy spikes, those of sample k at ``offsets[k] : offsets[k + 1]``, to the device."""
    first = to_device(offsets[:-1])
    count, source = to_device(np.diff(offsets)), to_device(sources.astype(np.int32))
    return Train(first, count, to_device(times), source, first)
