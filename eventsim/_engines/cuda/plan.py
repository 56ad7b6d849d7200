"""A layer's plan on the device, and where its weights stand there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary, proxy

import numpy as np
from numba import cuda

from eventsim._engines.cuda.device import as_device, flat, grid_for, kernel, to_device, zeros
from eventsim._layout.layers import (
    Blocks,
    Layer,
    Synapses,
    layered_obstacle,
    layers_of,
    weight_tables,
)
from eventsim._support.types import IntArray, Key
from eventsim._support.validate import check_name, mapping_or_empty, shown
from eventsim.network import Network

__all__ = [
    "DeviceLayer",
    "Lanes",
    "Links",
    "Places",
    "Tables",
    "device_layers",
    "device_tables",
    "network_obstacle",
    "write_weights",
]

ROOM = 2  # spikes of a neuron in a sample that there is room for at first


def network_obstacle(network: Network, engine: str) -> str | None:
    """Return why a device cannot run a network, or None if it can."""
    for name, neuron in network.neurons.items():
        if len(neuron.columns) > 1:
            return (
                f"engine {engine!r} needs neurons with one receptor, got "
                f"{shown(neuron.receptors)} of {name!r}"
            )
        for parameter in ("rest", "reset"):
            value = getattr(neuron, parameter)
            if np.any(value):
                return f"engine {engine!r} needs a {parameter} of 0 in {name!r}, got {shown(value)}"
    return layered_obstacle(network, engine)


class Lanes(NamedTuple):
    """Per lane: its tile, its place there, its neuron, and that neuron's parameters."""

    tile: Any
    place: Any
    neuron: Any
    threshold: Any
    bias: Any
    refractory: Any


class Tables(NamedTuple):
    """Per tile: its first lane, where its weights begin, their width, rates, row of the factors."""

    lane: Any
    start: Any
    width: Any
    alpha: Any
    beta: Any
    kind: Any
    n_neurons: Any


class Links(NamedTuple):
    """`eventsim._layout.layers.Reach` on the device; empty if all tiles see all arrivals."""

    first: Any
    tile: Any
    row: Any
    delay: Any


class Places(NamedTuple):
    """Where the values of a projection stand in the weight tables.

    Value p stands at ``place[first[p] : first[p + 1]]``.
    """

    first: Any
    place: Any


@kernel
def write_weights(values, places, table):
    """Copy a projection's values into the tables: a thread per value."""
    for p in range(cuda.grid(1), values.size, cuda.gridsize(1)):
        for s in range(places.first[p], places.first[p + 1]):
            table[places.place[s]] = values[p]


@dataclass(eq=False)
class DeviceLayer:
    """A layer's plan on the device, and the sizes of its buffers.

    Attributes
    ----------
    plan : Layer
        What is on the device.
    room : int
        Spikes of a sample that there is room for.
    n_arrivals : int
        Arrivals that there is room for, as many in an average sample; of tiles that have lists of
        their own.
    """

    plan: Layer
    lanes: Lanes = field(init=False)
    tables: Tables = field(init=False)
    links: Links = field(init=False)
    room: int = 0
    n_arrivals: int = 0

    def __post_init__(self) -> None:
        """Copy the plan."""
        tiles, reach = self.plan.tiles, self.plan.reach
        width, tile = self.plan.widths, self.plan.tile_of_lane
        place = np.arange(tile.size) - tiles.lane[tile]
        lanes = (tile, place, tiles.neuron, tiles.threshold, tiles.bias, tiles.refractory)
        self.lanes = Lanes(*map(to_device, lanes))
        kind = tiles.kind if reach is None else np.zeros_like(tiles.kind)
        n_neurons = np.bincount(tile[tiles.neuron >= 0], minlength=width.size)
        tables = (tiles.lane, tiles.table, width, tiles.alpha[:, 0], tiles.beta, kind, n_neurons)
        self.tables = Tables(*map(to_device, tables))
        nothing = (np.zeros((1, 1), np.int64), *np.zeros((2, 0), np.int64), np.zeros(0))
        self.links = Links(*map(to_device, nothing if reach is None else reach))
        self.room = ROOM * self.plan.n if self.can_fire else 0
        self._places: dict[Key, Places] = {}

    @cached_property
    def can_fire(self) -> bool:
        """Whether any neuron has a finite threshold."""
        return bool(np.any(np.isfinite(self.plan.tiles.threshold)))

    @property
    def n_lists(self) -> int:
        """Lists of arrivals of a sample."""
        return 1 if self.plan.reach is None else self.plan.tiles.lane.size

    @cached_property
    def fan(self) -> int:
        """The most tiles that a source reaches; 1 if all tiles share a list."""
        reach = self.plan.reach
        return 1 if reach is None else int(np.diff(reach.first).sum(axis=0).max(initial=1))

    @cached_property
    def mean_fan(self) -> float:
        """How many lists an average spike is in."""
        reach = self.plan.reach
        return 1.0 if reach is None else reach.tile.size / max(1, self.plan.n_sources)

    def lacks_arrivals(self, n_arrivals: int) -> bool:
        """Tell whether there was too little room for the arrivals of a sample; make more."""
        before, self.n_arrivals = self.n_arrivals, max(self.n_arrivals, n_arrivals)
        return n_arrivals > before

    def lacks_room(self, n_spikes: int) -> bool:
        """Tell whether there was too little room for the spikes of a sample; make more."""
        before, self.room = self.room, max(self.room, n_spikes)
        return n_spikes > before

    def places(self, synapses: Synapses, n_values: int) -> Places:
        """Return where a projection's values stand."""
        if synapses.key not in self._places:
            found = _places(synapses, n_values)
            self._places[synapses.key] = Places(*map(to_device, found))
        return self._places[synapses.key]


def _places(synapses: Synapses, n_values: int) -> tuple[IntArray, IntArray]:
    if isinstance(synapses.weights, Blocks):
        place = np.empty(synapses.weights.shape, dtype=np.int64)
        for start, width, columns in synapses.weights.parts:
            own = place[:, columns]
            rows = start + width * np.arange(own.shape[0])
            place[:, columns] = rows[:, None] + np.arange(own.shape[1])
        return np.arange(n_values + 1), place.reshape(-1)
    order = np.argsort(synapses.weights.parameter, kind="stable")
    parameter = synapses.weights.parameter[order]
    return np.searchsorted(parameter, np.arange(n_values + 1)), synapses.weights.place[order]


_PLANS: WeakKeyDictionary[Layer, DeviceLayer] = WeakKeyDictionary()


def device_layers(network: Network) -> list[DeviceLayer]:
    """Return the layers of a network; plans are copied once per structure."""
    for plan in layers_of(network):
        if plan not in _PLANS:
            _PLANS[plan] = DeviceLayer(proxy(plan))  # an entry lives as long as its key
    return [_PLANS[plan] for plan in layers_of(network)]


def device_tables(
    network: Network, dtype: np.dtype[Any], weights: Mapping[Key, Any] | None = None
) -> list[Any]:
    """Return the weight tables of all layers on the device.

    Parameters
    ----------
    network : Network
        Whose weights they are.
    dtype : dtype
        float64 or float32.
    weights : dict of key -> array, optional
        In the place of the network's: of any library, of the shape of the weights (dense), of the
        kernel, or (nnz,) of a sparse projection; those on the device are not copied to the host.

    Raises
    ------
    ValueError
        If a key is unknown, or an array does not fit.
    """
    weights = mapping_or_empty(weights, "weights")
    for key in weights:
        check_name(key, network.projections, "weights must name some of")
    if not weights:
        return [to_device(table.astype(dtype, copy=False)) for table in weight_tables(network)]
    found = []
    for layer in device_layers(network):
        table = zeros(layer.plan.table_size, dtype)
        for s in layer.plan.synapses:
            values = read_values(network, s.key, weights, dtype)
            write_weights[grid_for(values.size)](flat(values), layer.places(s, values.size), table)
        found.append(table)
    return found


def read_values(
    network: Network, key: Key, weights: Mapping[Key, Any], dtype: np.dtype[Any]
) -> Any:
    """Return the values of a projection on the device."""
    values = network.projections[key].values
    if key not in weights:
        return to_device(values.astype(dtype, copy=False))
    shape = np.shape(network.projections[key].like(values))
    shape = (values.size,) if _is_sparse(network, key) else shape
    return as_device(weights[key], dtype, f"weights[{key!r}]", shape)


def _is_sparse(network: Network, key: Key) -> bool:
    return hasattr(network.projections[key].weights, "indptr")
