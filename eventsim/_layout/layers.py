"""How a feed-forward network is cut into layers, and each layer into tiles.

A *tile* is a group of neurons of one kind that see the same arrivals in the same order, so that one
arrival is a vector operation over the tile: of an all-to-all layer up to `LANES` neurons, of a
convolution the channels at one place, elsewhere a single neuron.  One or more tiles form a *block*:
that of a convolution has one weight table, the kernel, for all its tiles.

The weight table of a tile has a row of ``width`` weights per source, and a last row of zeros for
the start of a run, where nothing arrives but a bias current begins to act.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import pairwise
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from eventsim._layout.wiring import layout_of
from eventsim._support import arrays
from eventsim._support.types import FloatArray, Int32Array, IntArray, Key
from eventsim.convolution import Convolution
from eventsim.model.jumps import CHARGE
from eventsim.network import Network, Projection, Version, require_whole

__all__ = [
    "Blocks",
    "Layer",
    "Reach",
    "Scattered",
    "Synapses",
    "Tiles",
    "layered_obstacle",
    "layers_of",
    "layers_pay",
    "weight_tables",
]

LANES = 128  # a tile's weights and their gradient then stay in a core's second-level cache
VECTOR = 32  # numbers per turn of a compiled vector loop: wide tiles are a multiple of it
MOST_KINDS = 8  # of neurons of a population for which layers pay
BLOCK = 50_000  # synapses of a block whose tiles are single neurons, at least
MOST_BLOCKS = 16  # of these; each looks at all arrivals


class Tiles(NamedTuple):
    """Tiles and blocks of a layer.

    Block b has the tiles ``first[b] : first[b + 1]``, each of ``width[b]`` lanes; tile q begins at
    ``lane[q]`` and its weight table, of ``rows[q]`` rows, at ``table[q]``.  ``neuron`` and the
    parameters are given per lane; a lane that only fills up the vector has neuron -1 and never
    fires.  Tiles of the same rates have the same ``kind``, numbered from 0 within the layer.

    ``alpha`` (n_tiles, n_receptors); ``receptors`` has as many entries as the neurons have
    receptors: loops are compiled for this number.  If they have several, ``receptor`` says for each
    entry of the weight tables at which one its source arrives.
    """

    first: IntArray
    width: IntArray
    lane: IntArray
    table: IntArray
    rows: IntArray
    kind: IntArray
    alpha: FloatArray
    beta: FloatArray
    neuron: IntArray
    threshold: FloatArray
    bias: FloatArray
    refractory: FloatArray
    receptor: Int32Array
    receptors: tuple[int, ...]


class Reach(NamedTuple):
    """Where each source leads: for tiles that do not all see the same arrivals.

    In block b, source s leads to the entries ``first[b, s] : first[b, s + 1]``, each a tile, a row
    of its weight table, and a delay.
    """

    first: IntArray
    tile: IntArray
    row: IntArray
    delay: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Scattered:
    """Where the weights of single synapses stand in the tables of a layer.

    Attributes
    ----------
    place : ndarray of int
        Place of each synapse.
    parameter : ndarray of int
        Which of the projection's values it has.
    """

    place: IntArray
    parameter: IntArray

    def write(self, values: FloatArray, table: FloatArray) -> None:
        """Copy a projection's values into the tables."""
        table[self.place] = values[self.parameter]

    def read(self, tables: FloatArray, n_values: int) -> FloatArray:
        """Return the sum over the synapses of each value, and over the rows of ``tables``."""
        entries = tables.sum(axis=0)[self.place]
        summed = np.bincount(self.parameter, weights=entries, minlength=n_values)
        return summed.astype(np.float64, copy=False)


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """Where the columns of a dense weight matrix stand in the tables of a layer.

    Attributes
    ----------
    shape : (int, int)
        Of the matrix, sources by neurons.
    parts : list of (int, int, slice or ndarray of int)
        Where the matrix begins in each table, the table's width, and the columns that it has.
    """

    shape: tuple[int, int]
    parts: list[tuple[int, int, slice | IntArray]]

    def write(self, values: FloatArray, table: FloatArray) -> None:
        """Copy a projection's values into the tables."""
        matrix = values.reshape(self.shape)
        for start, width, columns in self.parts:
            own = matrix[:, columns]
            self._part(table, start, width)[:, : own.shape[1]] = own

    def read(self, tables: FloatArray, n_values: int) -> FloatArray:
        """Return the projection's ``n_values`` values, summed over the rows of ``tables``."""
        values = np.empty(n_values)
        matrix = values.reshape(self.shape)
        for start, width, columns in self.parts:
            n = matrix[:, columns].shape[1]
            matrix[:, columns] = reduce(
                np.add, (self._part(table, start, width)[:, :n] for table in tables)
            )
        return values

    def _part(self, table: FloatArray, start: int, width: int) -> FloatArray:
        return table[start : start + self.shape[0] * width].reshape(self.shape[0], width)


@dataclass(frozen=True, slots=True, eq=False)
class Synapses:
    """The synapses of one projection in the weight tables of its layer.

    Attributes
    ----------
    key, pre : Key, str
        Projection, and where it comes from.
    sources : slice
        Numbers of its sources within the layer.
    delay : float
        Delay of all of it (0 if each synapse has its own, which is then in the `Reach`).
    weights : Scattered or Blocks
        Where its weights stand in the tables.
    """

    key: Key
    pre: str
    sources: slice
    delay: float
    weights: Scattered | Blocks


@dataclass(frozen=True, eq=False)
class Layer:
    """One population and all that leads to it.

    Attributes
    ----------
    population : str
        Its name.
    first : int
        Number of its first neuron within the network.
    n : int
        Number of neurons.
    tiles : Tiles
        How it is cut.
    reach : Reach or None
        None: all tiles see all arrivals.
    synapses : list of Synapses
        One per projection.
    table_size : int
        Number of entries of all weight tables.
    """

    population: str
    first: int
    n: int
    tiles: Tiles
    reach: Reach | None
    synapses: list[Synapses]
    table_size: int

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return self.tiles.width.size

    @cached_property
    def shares_tables(self) -> bool:
        """Whether tiles have a weight table in common."""
        return bool(np.unique(self.tiles.table).size < self.tiles.table.size)

    @cached_property
    def n_kinds(self) -> int:
        """Number of pairs of time constants among neurons that see the same arrivals."""
        return int(self.tiles.kind.max()) + 1 if self.reach is None else 1

    @property
    def n_sources(self) -> int:
        """Number of sources of all projections."""
        return self.synapses[-1].sources.stop if self.synapses else 0

    @cached_property
    def is_biased(self) -> bool:
        """Whether a bias current acts from the start of a run."""
        return bool(np.any(self.tiles.bias != 0.0))

    @cached_property
    def widths(self) -> IntArray:
        """Number of lanes of each tile."""
        return np.repeat(self.tiles.width, np.diff(self.tiles.first))

    @cached_property
    def tile_of_lane(self) -> IntArray:
        """Tile of each lane."""
        return np.repeat(np.arange(self.widths.size), self.widths)

    @cached_property
    def places(self) -> tuple[IntArray, IntArray]:
        """Tile of each neuron, and its lane within the tile."""
        tiles, tile = self.tiles, self.tile_of_lane
        real = np.flatnonzero(tiles.neuron >= 0)
        tile_of, lane_of = np.empty((2, self.n), dtype=np.int64)
        tile_of[tiles.neuron[real]] = tile[real]
        lane_of[tiles.neuron[real]] = real - tiles.lane[tile[real]]
        return tile_of, lane_of

    def table(self, network: Network) -> FloatArray:
        """Return the weight tables, flat."""
        table = arrays.zeros(self.table_size)
        for synapses in self.synapses:
            synapses.weights.write(network.projections[synapses.key].values, table)
        return table


def layered_obstacle(network: Network, engine: str = "layered") -> str | None:
    """Return why an engine of layers cannot run a network, or None if it can."""
    for name, neuron in network.neurons.items():
        if CHARGE in neuron.columns:
            without = neuron.receptors[neuron.columns.index(CHARGE) :][:1]
            at = f"receptor {without[0]!r} of {name!r}" if without else repr(name)
            return f"engine {engine!r} needs tau_syn > 0, got 0.0 at {at}"
    try:
        _in_order(network)
    except ValueError as error:
        return f"{error}, got {engine!r}"
    return None


def layers_pay(network: Network) -> bool:
    """Tell whether all arrivals are vector operations, or earliest-spike pools."""
    return bool(network.projections) and all(_pays(network, name) for name in network.populations)


def _pays(network: Network, name: str) -> bool:
    incoming = [p for p in network.projections.values() if p.post == name]
    if np.all(network.neurons[name].is_pool):
        return all(isinstance(p.delays, float) for p in incoming)
    kinds = layout_of(network).neurons.kind[network.neurons_of(name)]
    narrow = np.unique(kinds).size > max(MOST_KINDS, kinds.size // VECTOR)
    return _is_convolution(incoming, kinds) or (_is_all_to_all(incoming) and not narrow)


def _is_all_to_all(incoming: Iterable[Projection]) -> bool:
    """Tell whether all neurons see the same arrivals."""
    return all(isinstance(p.delays, float) and isinstance(p.weights, np.ndarray) for p in incoming)


def _is_convolution(incoming: Collection[Projection], kinds: Int32Array) -> bool:
    """Tell whether all channels of neurons of one kind see the same arrivals."""
    alike = bool(np.all(kinds == kinds[0]))
    return (
        alike and len(incoming) == 1 and all(isinstance(p.weights, Convolution) for p in incoming)
    )


# Kept by what they follow from, with which they die.
_LAYERS: WeakKeyDictionary[Version, list[Layer]] = WeakKeyDictionary()
_TABLES: WeakKeyDictionary[Version, list[FloatArray]] = WeakKeyDictionary()


def layers_of(network: Network) -> list[Layer]:
    """Return the layers of a feed-forward network, each after all that lead to it.

    They are made once per structure.

    Raises
    ------
    ValueError
        If the network is recurrent.
    """
    layers = _LAYERS.get(network.structure)
    if layers is None:
        require_whole(network, "this")
        layers = [_layer(network, name) for name in _in_order(network)]
        _LAYERS[network.structure] = layers
    return layers


def weight_tables(network: Network) -> list[FloatArray]:
    """Return the weights as the layers read them (made once per version of a network)."""
    tables = _TABLES.get(network.version)
    if tables is None:
        tables = _TABLES[network.version] = [layer.table(network) for layer in layers_of(network)]
    return tables


def _in_order(network: Network) -> list[str]:
    waiting = {
        name: {p.pre for p in network.projections.values() if p.post == name} - set(network.inputs)
        for name in network.populations
    }
    order: list[str] = []
    while waiting:
        ready = [name for name, causes in waiting.items() if causes <= set(order)]
        if not ready:
            raise ValueError(
                "layers need a feed-forward network: engine must be 'scheduler' or 'windows' where "
                f"populations {sorted(waiting)} feed back"
            )
        order += ready
        for name in ready:
            del waiting[name]
    return order


def _layer(network: Network, name: str) -> Layer:
    incoming = {k: p for k, p in network.projections.items() if p.post == name}
    part = network.neurons_of(name)
    kinds = layout_of(network).neurons.kind[part]
    if _is_all_to_all(incoming.values()):
        cut = _shared_tiles(incoming, kinds)
    elif _is_convolution(incoming.values(), kinds):
        cut = _places(incoming, int(kinds[0]))
    else:
        cut = _single_neurons(incoming, kinds)
    return _with_parameters(network, name, *cut)


@dataclass(slots=True)
class _Cut:
    """Tiles before their neurons' parameters are known."""

    first: list[int]
    width: list[int]
    lane: IntArray
    table: IntArray
    rows: IntArray
    kind: IntArray
    neuron: IntArray


def _with_parameters(
    network: Network, name: str, cut: _Cut, reach: Reach | None, synapses: list[Synapses]
) -> Layer:
    part = network.neurons_of(name)
    neurons = layout_of(network).neurons
    at = part.start + np.maximum(cut.neuron, 0)
    padding = cut.neuron < 0
    kind = np.unique(cut.kind, return_inverse=True)[1]
    width = np.repeat(np.array(cut.width, dtype=np.int64), np.diff(cut.first))
    size = int((cut.table + cut.rows * width).max(initial=0))
    n_receptors = len(network.neurons[name].columns)
    tiles = Tiles(
        np.array(cut.first, dtype=np.int64),
        np.array(cut.width, dtype=np.int64),
        cut.lane,
        cut.table,
        cut.rows,
        kind,
        np.ascontiguousarray(neurons.alpha[cut.kind, :n_receptors]),
        neurons.beta[cut.kind],
        cut.neuron,
        np.where(padding, np.inf, neurons.threshold[at]),
        np.where(padding, 0.0, neurons.bias[at]),
        np.where(padding, 0.0, neurons.refractory[at]),
        _receptor_of_entries(network, synapses, size if n_receptors > 1 else 0),
        (0,) * n_receptors,
    )
    return Layer(name, part.start, part.stop - part.start, tiles, reach, synapses, size)


def _receptor_of_entries(network: Network, synapses: list[Synapses], size: int) -> Int32Array:
    """Return the receptor of every entry of the weight tables; nothing if there are none."""
    table = np.zeros(size)
    for s in synapses if size else ():
        projection = network.projections[s.key]
        s.weights.write(np.full(projection.values.size, float(projection.receptor)), table)
    return table.astype(np.int32)


def _groups(n: int) -> Iterator[tuple[int, int]]:
    """Yield (first, width) of tiles of at most `LANES` that cover n neurons, as even as can be."""
    if n < VECTOR:
        yield 0, n
        return
    vectors = -(-n // VECTOR)
    n_tiles = -(-vectors * VECTOR // LANES)
    edges = [VECTOR * (vectors * k // n_tiles) for k in range(n_tiles + 1)]
    yield from ((low, high - low) for low, high in pairwise(edges))


def _shared_tiles(
    incoming: dict[Key, Projection], kinds: Int32Array
) -> tuple[_Cut, Reach | None, list[Synapses]]:
    """Cut an all-to-all layer: every tile is a block, and sees every arrival."""
    n_rows = sum(p.weights.shape[0] for p in incoming.values()) + 1
    widths, tile_kinds, columns = [], [], []
    for kind in np.unique(kinds):
        members = np.flatnonzero(kinds == kind)
        for low, size in _groups(members.size):
            widths.append(size)
            tile_kinds.append(kind)
            columns.append(members[low : low + size])
    width = np.array(widths, dtype=np.int64)
    table = _starts(n_rows * width)
    lanes = [
        np.append(some, np.full(w - some.size, -1)) for some, w in zip(columns, width, strict=True)
    ]
    cut = _Cut(
        list(range(width.size + 1)), widths, _starts(width), table, np.full(width.size, n_rows),
        np.array(tile_kinds, dtype=np.int64), np.concatenate(lanes).astype(np.int64),
    )  # fmt: skip
    synapses: list[Synapses] = []
    source = 0
    for key, p in incoming.items():
        sources = slice(source, source + p.weights.shape[0])
        parts = [
            (int(t) + source * int(w), int(w), _as_slice(some))
            for t, w, some in zip(table, width, columns, strict=True)
        ]
        blocks = Blocks((p.weights.shape[0], kinds.size), parts)
        synapses.append(Synapses(key, p.pre, sources, float(p.delay_values), blocks))
        source = sources.stop
    return cut, None, synapses


def _as_slice(columns: IntArray) -> slice | IntArray:
    """Return columns that follow each other as a slice, which costs no copy."""
    together = np.array_equal(columns, columns[0] + np.arange(columns.size))
    return slice(int(columns[0]), int(columns[-1]) + 1) if together else columns


def _places(incoming: dict[Key, Projection], kind: int) -> tuple[_Cut, Reach, list[Synapses]]:
    """Cut a convolution: a tile is a group of channels at one place; its table is the kernel."""
    ((key, projection),) = incoming.items()
    conv = projection.weights
    assert isinstance(conv, Convolution)
    channels, height, breadth = conv.output
    n_places, n_rows = height * breadth, conv.kernel[0].size + 1
    groups = list(_groups(channels))
    width = np.array([w for _, w in groups], dtype=np.int64)
    start = _starts(n_rows * width)
    lanes = []
    for low, w in groups:
        channel = np.arange(low, low + w)
        neuron = channel * n_places + np.arange(n_places)[:, None]
        lanes.append(np.where(channel < channels, neuron, -1).reshape(-1))
    tile_width = np.repeat(width, n_places)
    cut = _Cut(
        [n_places * b for b in range(width.size + 1)], width.tolist(), _starts(tile_width),
        np.repeat(start, n_places), np.full(tile_width.size, n_rows),
        np.full(tile_width.size, kind, dtype=np.int64), np.concatenate(lanes),
    )  # fmt: skip
    pre, place, within = conv.patches()
    order = np.lexsort((place, pre))
    counts = np.bincount(pre, minlength=conv.shape[0])
    n = pre.size
    first = np.concatenate([[0], np.cumsum(counts)])
    reach = Reach(
        np.stack([first + n * b for b in range(width.size)]),
        np.concatenate([place[order] + n_places * b for b in range(width.size)]),
        np.tile(within[order], width.size),
        np.zeros(n * width.size),
    )
    # The table is the kernel, transposed: entry of the patch by channel.
    entries = np.arange(channels * (n_rows - 1)).reshape(channels, n_rows - 1).T
    table = np.empty_like(entries)
    for (low, w), first_entry in zip(groups, start, strict=True):
        own = np.arange(min(w, channels - low))
        table[:, low : low + own.size] = first_entry + np.arange(n_rows - 1)[:, None] * w + own
    weights = Scattered(table.reshape(-1), entries.reshape(-1))
    sources = slice(0, conv.shape[0])
    delay = float(projection.delay_values)
    return cut, reach, [Synapses(key, projection.pre, sources, delay, weights)]


def _single_neurons(
    incoming: dict[Key, Projection], kinds: Int32Array
) -> tuple[_Cut, Reach, list[Synapses]]:
    """Cut a layer into single neurons, each with its own list of synapses as weight table."""
    n = kinds.size
    parts, source = [], 0
    for p in incoming.values():
        pre, post, parameter = _listed(p)
        delays = p.delay_values
        late = np.zeros(pre.size) if isinstance(delays, float) else delays
        parts.append((pre + source, post, parameter, late))
        source += p.weights.shape[0]
    pre, post, delay = (np.concatenate([part[k] for part in parts]) for k in (0, 1, 3))
    rank = np.argsort(post, kind="stable")
    counts = np.bincount(post, minlength=n)
    table = _starts(counts + 1)
    row = np.empty(post.size, dtype=np.int64)
    row[rank] = np.arange(post.size) - np.repeat(_starts(counts), counts)
    n_blocks = min(max(1, post.size // BLOCK), MOST_BLOCKS, n)
    edges = n * np.arange(n_blocks + 1) // n_blocks
    cut = _Cut(
        edges.tolist(), [1] * (edges.size - 1), np.arange(n), table, counts + 1,
        kinds.astype(np.int64), np.arange(n),
    )  # fmt: skip
    block = np.searchsorted(edges, post, side="right") - 1
    order = np.lexsort((post, pre, block))
    per_source = np.bincount(block * source + pre, minlength=n_blocks * source)
    ends = np.concatenate([[0], np.cumsum(per_source)])
    first = ends[np.arange(n_blocks)[:, None] * source + np.arange(source + 1)]
    reach = Reach(first, post[order], row[order], delay[order])
    synapses, position, base = [], 0, 0
    for (key, p), (_, _, parameter, _) in zip(incoming.items(), parts, strict=True):
        own = slice(position, position + parameter.size)
        sources = slice(base, base + p.weights.shape[0])
        shared = float(p.delays) if isinstance(p.delays, float) else 0.0
        weights = Scattered(table[post[own]] + row[own], parameter)
        synapses.append(Synapses(key, p.pre, sources, shared, weights))
        position, base = own.stop, sources.stop
    return cut, reach, synapses


def _listed(projection: Projection) -> tuple[IntArray, IntArray, IntArray]:
    """Return source, target and parameter of every synapse."""
    weights = projection.weights
    if isinstance(weights, Convolution):
        indptr, target, parameter = weights.synapses()
    elif isinstance(weights, np.ndarray):
        pre, post = np.divmod(np.arange(weights.size), weights.shape[1])
        return pre, post, np.arange(weights.size)
    else:
        indptr, target = weights.indptr, weights.indices
        parameter = np.arange(weights.nnz)
    pre = np.repeat(np.arange(indptr.size - 1), np.diff(indptr))
    return pre, target.astype(np.int64), parameter


def _starts(sizes: IntArray) -> IntArray:
    return np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
