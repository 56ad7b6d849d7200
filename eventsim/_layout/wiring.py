"""A network as arrays: the form that the engines run on.

Sources are numbered inputs first, then neurons, each in the order in which they were added.  The
synapses of a projection lie together, row by row; within a row they are ordered by delay, so the
synapses of one source that share a delay (and the time constants of their targets) are one
contiguous *delay group*, delivered as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, NamedTuple, TypeAlias, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from eventsim._support.sorting import sort_parts
from eventsim._support.types import BoolArray, FloatArray, Int32Array, IntArray, Key, Matrix
from eventsim._support.validate import MOST_NUMBERED, shown
from eventsim.convolution import Convolution
from eventsim.model.jumps import CHARGE
from eventsim.model.parameters import used
from eventsim.network import Network, Projection, Version, require_whole

__all__ = [
    "FOREVER",
    "Compiled",
    "DelaySpans",
    "Layout",
    "Neurons",
    "Wiring",
    "compiled_form",
    "delay_spans",
    "kept_by",
    "layout_of",
    "rows_of",
]

Number = TypeVar("Number", bound=np.number)
Form = TypeVar("Form")

Order: TypeAlias = Int32Array | IntArray
"""Which value each synapse has: of 64 bits if there are very many."""

PIECE = 2**20

FOREVER = np.finfo(np.float64).max
"""Refractory period of a neuron that fires once."""


class Wiring(NamedTuple):
    """Delay groups of all sources, and their synapses.

    The groups of source s are ``first_group[s] : first_group[s + 1]``, ascending in delay; the
    synapses of group g are ``start[g] : stop[g]``.  All targets of a group are of one ``kind``, and
    it adds to the current number ``receptor`` of each, or (-1) to its potential.
    """

    first_group: IntArray
    delay: FloatArray
    kind: Int32Array
    receptor: NDArray[np.int8]
    start: IntArray
    stop: IntArray
    target: Int32Array | NDArray[np.uint32]
    weight: FloatArray


class DelaySpans(NamedTuple):
    """Shortest and longest delay; (inf, 0) without synapses."""

    inputs: tuple[float, float]
    neurons: tuple[float, float]

    @property
    def longest(self) -> tuple[float, float]:
        """Longest delay of the synapses of inputs, and of those of neurons."""
        return self.inputs[1], self.neurons[1]


class Neurons(NamedTuple):
    """Parameters: alpha (n_kinds, n_receptors) and beta of each kind, all others of each neuron.

    ``receptors`` has as many entries as the neurons have currents at most: loops are compiled for
    this number.  Neurons that have fewer have further ones like their first, at which nothing
    arrives.  ``charging`` has an entry if some arrivals are charges.

    Potentials are measured from ``reset``: see `eventsim.model.parameters`.

    ``bound`` is the current that a neuron must exceed ever to reach its threshold,
    ``beta threshold - bias``; ``-inf`` where even a negative current may precede a crossing.
    ``epoch`` is for loops that keep states as of the start of an epoch: how long it lasts for each
    kind (empty elsewhere).
    """

    alpha: FloatArray
    beta: FloatArray
    kind: Int32Array
    threshold: FloatArray
    bias: FloatArray
    refractory: FloatArray
    bound: FloatArray
    epoch: FloatArray
    reset: FloatArray
    receptors: tuple[int, ...]
    charging: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """How sources and neurons are numbered, and the parameters of all neurons.

    ``input_start`` and ``neuron_start`` give the number of the first source of an input and of the
    first neuron of a population; ``values`` (n_neurons,) are the parameters as users give them, by
    name; those of "tau_syn" (n_neurons, n_receptors).
    """

    neurons: Neurons
    values: dict[str, FloatArray]
    n_inputs: int
    n_neurons: int
    input_start: dict[str, int]
    neuron_start: dict[str, int]

    @property
    def first_source(self) -> dict[str, int]:
        """Number of the first source of each input and population."""
        behind = {name: self.n_inputs + start for name, start in self.neuron_start.items()}
        return {**self.input_start, **behind}


@dataclass(frozen=True, eq=False)
class Compiled:
    """A network as delay groups.

    ``synapses`` gives the slice of each projection's synapses; ``orders`` which of
    `Projection.values` each of them has (None: its own, in order; places of a convolution share
    theirs), and ``values`` the slice of each projection in the joined values.
    """

    wiring: Wiring
    layout: Layout
    synapses: dict[Key, slice]
    orders: dict[Key, Order | None]
    values: dict[Key, slice]
    group_projection: NDArray[np.integer[Any]]
    spans: DelaySpans

    @property
    def neurons(self) -> Neurons:
        """Parameters of all neurons."""
        return self.layout.neurons

    @property
    def n_inputs(self) -> int:
        """Number of input sources."""
        return self.layout.n_inputs

    @property
    def n_neurons(self) -> int:
        """Number of neurons."""
        return self.layout.n_neurons

    def with_weights(self, projections: Mapping[Key, Projection]) -> Compiled:
        """Return the same wiring with the weights of ``projections``."""
        weight = _joined_weights(projections, self.orders, self.synapses)
        return replace(self, wiring=_guarded(self.wiring._replace(weight=weight)))

    def _locate(self, position: int) -> tuple[Key, int]:
        """Return the projection of a synapse of the wiring, and its place in the values there."""
        key = next(k for k, part in self.synapses.items() if part.start <= position < part.stop)
        within = position - self.synapses[key].start
        order = self.orders[key]
        return key, within if order is None else int(order[within])

    def synapse_label(self, network: Network) -> Callable[[int], tuple[Any, ...]]:
        """Return a function from a synapse's position in the wiring to ``(key, pre, post)``.

        The further synapses of a multapse are ``(key, pre, post, 1)`` and so on.
        """
        wiring, layout = self.wiring, self.layout
        copies = {key: _copies(p.weights) for key, p in network.projections.items()}
        by_start = np.argsort(wiring.start, kind="stable")
        first_source = layout.first_source

        def label(position: int) -> tuple[Any, ...]:
            rank = np.searchsorted(wiring.start[by_start], position, side="right") - 1
            group = by_start[rank]
            source = int(np.searchsorted(wiring.first_group, group, side="right")) - 1
            key, place = self._locate(position)
            post = int(wiring.target[position]) - layout.neuron_start[key[1]]
            name = key, source - first_source[key[0]], post
            copy = copies[key]
            return name if copy is None or copy[place] == 0 else (*name, int(copy[place]))

        return label

    def synapse_delay(self, network: Network, position: int) -> float:
        """Return the delay of a synapse of the wiring."""
        key, place = self._locate(position)
        delays = network.projections[key].delay_values
        return delays if isinstance(delays, float) else float(delays[place])


class _Groups(NamedTuple):
    """Delay groups of one projection, by row.

    The groups of row r are ``first[r] : first[r + 1]``, and the synapses of group g ``bounds[g] :
    bounds[g + 1]``.
    """

    first: IntArray
    delay: FloatArray
    kind: Int32Array
    receptor: NDArray[np.int8]
    bounds: IntArray


# Each form is kept by what it follows from, and dies with it.
_LAYOUTS: WeakKeyDictionary[Version, Layout] = WeakKeyDictionary()
_WIRINGS: WeakKeyDictionary[Version, Compiled] = WeakKeyDictionary()
_COMPILED: WeakKeyDictionary[Version, Compiled] = WeakKeyDictionary()


def kept_by(token: str) -> Callable[[Callable[[Network], Form]], Callable[[Network], Form]]:
    """Return a decorator: what follows from a network's "structure" or "version" is kept by that.

    It is made when it is first asked for, and dies with the token.
    """

    def decorated(make: Callable[[Network], Form]) -> Callable[[Network], Form]:
        forms: WeakKeyDictionary[Version, Form] = WeakKeyDictionary()

        @wraps(make)
        def form_of(network: Network) -> Form:
            key: Version = getattr(network, token)
            form = forms.get(key)
            if form is None:
                form = forms[key] = make(network)
            return form

        return form_of

    return decorated


def layout_of(network: Network) -> Layout:
    """Return how the sources and neurons of a network are numbered (made once per structure).

    Raises
    ------
    ValueError
        If the network has no population.
    """
    layout = _LAYOUTS.get(network.structure)
    if layout is None:
        if not network.populations:
            raise ValueError(f"a network needs a population to be simulated, got {shown(network)}")
        layout = _LAYOUTS[network.structure] = _lay_out(network)
    return layout


@kept_by("structure")
def delay_spans(network: Network) -> DelaySpans:
    """Return the shortest and the longest delay of the synapses of inputs, and of neurons."""
    spans = {"inputs": (np.inf, 0.0), "neurons": (np.inf, 0.0)}
    for key, (low, high) in network.delay_spans.items():
        kind = "inputs" if key[0] in network.inputs else "neurons"
        shortest, longest = spans[kind]
        spans[kind] = min(shortest, low), max(longest, high)
    return DelaySpans(**spans)


def compiled_form(network: Network) -> Compiled:
    """Return the delay groups that the event loops run on (made once per structure)."""
    compiled = _COMPILED.get(network.version)
    if compiled is None:
        wiring = _WIRINGS.get(network.structure)
        if wiring is None:
            require_whole(network, "this")
            wiring = _compile(layout_of(network), network.projections, delay_spans(network))
            _WIRINGS[network.structure] = wiring
        compiled = _COMPILED[network.version] = wiring.with_weights(network.projections)
    return compiled


def _lay_out(network: Network) -> Layout:
    populations = network.populations.items()
    each = [network.neurons[name].arrays(n) for name, n in populations]
    n_receptors = max(arrays["tau_syn"].shape[1] for arrays in each)
    for arrays in each:
        arrays["tau_syn"] = _as_many(arrays["tau_syn"], n_receptors)
    values = {name: np.concatenate([arrays[name] for arrays in each]) for name in each[0]}
    charging = any(CHARGE in neuron.columns for neuron in network.neurons.values())
    parameters = _in_equations(values, charging)
    return Layout(
        parameters,
        values,
        sum(network.inputs.values()),
        parameters.kind.size,
        _starts(network.inputs.items()),
        _starts(populations),
    )


def _compile(layout: Layout, projections: Mapping[Key, Projection], spans: DelaySpans) -> Compiled:
    """Return the `Compiled` form of a network, to be given weights by `Compiled.with_weights`."""
    parameters, first_source = layout.neurons, layout.first_source
    parts, sources, targets = [], [], []
    orders, synapses, values = {}, {}, {}
    position, n_values = 0, 0
    for key, projection in projections.items():
        first = layout.neuron_start[projection.post]
        size = projection.weights.shape[1]
        groups, target, orders[key] = _layout(projection, parameters.kind[first : first + size])
        parts.append(groups)
        sources.append(first_source[projection.pre])
        targets.append(target if first == 0 else target + np.int32(first))
        synapses[key] = slice(position, position + target.size)
        values[key] = slice(n_values, n_values + projection.values.size)
        position, n_values = synapses[key].stop, values[key].stop
    n_sources = layout.n_inputs + layout.n_neurons
    columns, projection_of = _joined_groups(parts, sources, n_sources)
    wiring = Wiring(**columns, target=_joined(targets, np.int32), weight=np.empty(0))
    return Compiled(_guarded(wiring), layout, synapses, orders, values, projection_of, spans)


def _guarded(wiring: Wiring) -> Wiring:
    """Return the wiring with read-only arrays: some are those of projections, the others alike.

    Loops are then compiled for one type only.
    """
    for array in wiring:
        array.flags.writeable = False
    return wiring


def _starts(sizes: Iterable[tuple[str, int]]) -> dict[str, int]:
    starts, position = {}, 0
    for name, size in sizes:
        starts[name] = position
        position += size
    return starts


def _as_many(columns: FloatArray, n: int) -> FloatArray:
    """Return ``n`` columns: the first one once more in the place of those that are missing."""
    more = np.repeat(columns[:, :1], n - columns.shape[1], axis=1)
    return np.concatenate([columns, more], axis=1)


def _in_equations(values: Mapping[str, FloatArray], charging: bool) -> Neurons:
    """Return the parameters as the equations use them."""
    equations = used(values)
    rates = np.column_stack([equations["alpha"], equations["beta"]])
    kinds, kind = np.unique(rates, axis=0, return_inverse=True)
    fires = np.isfinite(equations["threshold"])
    holding = equations["beta"] * np.where(fires, equations["threshold"], 0.0) - equations["bias"]
    bound = np.where(fires, np.where(holding < 0.0, -np.inf, holding), np.inf)
    return Neurons(
        alpha=np.ascontiguousarray(kinds[:, :-1]),
        beta=np.ascontiguousarray(kinds[:, -1]),
        kind=kind.reshape(-1).astype(np.int32),
        threshold=equations["threshold"],
        bias=equations["bias"],
        # A neuron that fires once is held for longer than any run; infinity times 0 is no number.
        refractory=np.minimum(equations["refractory"], FOREVER),
        bound=bound,
        epoch=np.empty(0),
        reset=values["reset"],
        receptors=(0,) * (kinds.shape[1] - 1),
        charging=(0,) if charging else (),
    )


def _layout(projection: Projection, kinds: Int32Array) -> tuple[_Groups, Int32Array, Order | None]:
    """Return (delay groups, targets, order) of one projection; ``kinds`` are its targets' kinds."""
    indptr, target, parameter = rows_of(projection.weights)
    if isinstance(projection.weights, np.ndarray):
        target = np.tile(np.arange(kinds.size, dtype=np.int32), indptr.size - 1)
    delays = projection.delay_values
    kind = None if np.all(kinds == kinds[0]) else kinds[target]
    if isinstance(delays, float) and kind is None:
        bounds = np.append(indptr[:-1][np.diff(indptr) > 0], target.size)
    else:
        order = _order(indptr, kind, delays)
        target = target[order]
        kind = None if kind is None else kind[order]
        delays = delays if isinstance(delays, float) else delays[order]
        bounds = np.append(np.flatnonzero(_fresh(indptr, kind, delays)), target.size)
        parameter = order if parameter is None else parameter[order]
    start = bounds[:-1]
    if isinstance(delays, float):
        delays = np.full(start.size, delays)
    groups = _Groups(
        np.searchsorted(start, indptr),
        delays if start.size == delays.size else delays[start],
        kinds[target[start]],
        np.full(start.size, projection.receptor, dtype=np.int8),
        bounds,
    )
    return groups, target, parameter


def _order(indptr: IntArray, kind: Int32Array | None, delays: float | FloatArray) -> Order:
    """Return what sorts the synapses of each row by (delay, kind)."""
    order = _numbers(int(indptr[-1]))
    spare = np.empty(np.diff(indptr).max(initial=0), dtype=order.dtype)
    if kind is not None:
        sort_parts(kind, order, spare, indptr)
    if not isinstance(delays, float):
        sort_parts(delays, order, spare, indptr)
    return order


def _numbers(n: int) -> Order:
    return np.arange(n, dtype=np.int32) if n <= MOST_NUMBERED else np.arange(n)


def _fresh(indptr: IntArray, kind: Int32Array | None, delays: float | FloatArray) -> BoolArray:
    """Tell which synapses, in order, are the first of their delay group."""
    fresh = np.zeros(indptr[-1], dtype=bool)
    fresh[indptr[:-1][np.diff(indptr) > 0]] = True
    for column in (kind, delays):
        if isinstance(column, np.ndarray):
            fresh[1:] |= column[1:] != column[:-1]
    return fresh


def rows_of(weights: Matrix | Convolution) -> tuple[IntArray, Int32Array, Order | None]:
    """Return CSR row pointers, column indices, and which value each entry has (None: its own).

    There are no column indices of a dense matrix, each row of which has all columns.
    """
    if isinstance(weights, Convolution):
        return weights.synapses()
    if isinstance(weights, np.ndarray):
        n_pre, n_post = weights.shape
        return n_post * np.arange(n_pre + 1), np.empty(0, dtype=np.int32), None
    return weights.indptr.astype(np.int64), weights.indices.astype(np.int32, copy=False), None


def _copies(weights: Matrix | Convolution) -> IntArray | None:
    """Return how many synapses between the same two neurons stand before each; None: no multapse.

    Entries at one place follow each other.
    """
    if isinstance(weights, (Convolution, np.ndarray)):
        return None
    row = np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))
    fresh = np.ones(row.size, dtype=bool)
    fresh[1:] = (np.diff(row) != 0) | (np.diff(weights.indices) != 0)
    if np.all(fresh):
        return None
    number = np.arange(row.size)
    return number - np.maximum.accumulate(np.where(fresh, number, 0))


def _joined_groups(
    parts: Sequence[_Groups], sources: Sequence[int], n_sources: int
) -> tuple[dict[str, Any], NDArray[np.integer[Any]]]:
    """Join the projections' groups, in the order of (source, delay, projection).

    Returns the columns of the `Wiring` but targets and weights, by name, and the number of the
    projection of each group.
    """
    counts = np.zeros(n_sources, dtype=np.int64)
    for part, source in zip(parts, sources, strict=True):
        counts[source : source + part.first.size - 1] += np.diff(part.first)
    first_group = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64, copy=False)
    order = _order_of_groups(parts, sources, first_group)

    def joined(arrays: Iterable[NDArray[Any]], dtype: Any) -> NDArray[Any]:
        column = _joined(list(arrays), dtype)
        return column if order is None else column[order]

    start, stop = _synapses_of(parts, order)
    columns = {
        "first_group": first_group,
        "delay": joined((part.delay for part in parts), np.float64),
        "kind": joined((part.kind for part in parts), np.int32),
        "receptor": joined((part.receptor for part in parts), np.int8),
        "start": start,
        "stop": stop,
    }
    number = np.arange(len(parts), dtype=np.min_scalar_type(len(parts)))
    projection_of = np.repeat(number, [part.delay.size for part in parts])
    return columns, projection_of if order is None else projection_of[order]


def _synapses_of(parts: Sequence[_Groups], order: Order | None) -> tuple[IntArray, IntArray]:
    """Return where the synapses of each group start and stop.

    One array has both if the groups follow each other: where one stops, the next one starts.
    """
    bounds = np.zeros(1 + sum(part.delay.size for part in parts), dtype=np.int64)
    first, position = 0, 0
    for part in parts:
        own = bounds[first : first + part.bounds.size]
        np.add(part.bounds, position, out=own)
        first, position = first + part.delay.size, int(own[-1])
    start, stop = bounds[:-1], bounds[1:]
    return (start, stop) if order is None else (start[order], stop[order])


def _order_of_groups(
    parts: Sequence[_Groups], sources: Sequence[int], first_group: IntArray
) -> Order | None:
    """Return what sorts the groups of all projections by (source, delay, projection).

    None: they are, as each projection has sources of its own, behind those of the one before.
    """
    ends = [source + part.first.size - 1 for part, source in zip(parts, sources, strict=True)]
    if all(end <= source for end, source in zip(ends[:-1], sources[1:], strict=True)):
        return None
    rows = [
        np.repeat(np.arange(source, end, dtype=np.int32), np.diff(part.first))
        for part, source, end in zip(parts, sources, ends, strict=True)
    ]
    order = _numbers(int(first_group[-1]))
    order[:] = np.argsort(np.concatenate(rows), kind="stable")
    spare = np.empty(np.diff(first_group).max(initial=0), dtype=order.dtype)
    sort_parts(np.concatenate([part.delay for part in parts]), order, spare, first_group)
    return order


def _joined(parts: Sequence[NDArray[Number]], dtype: type[Number]) -> NDArray[Number]:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([np.empty(0, dtype), *parts])


def _joined_weights(
    projections: Mapping[Key, Projection],
    orders: Mapping[Key, Order | None],
    synapses: Mapping[Key, slice],
) -> FloatArray:
    """Return the weights of all synapses; those of a single projection that has them in order."""
    if [order is None for order in orders.values()] == [True]:
        return next(iter(projections.values())).values
    weight = np.empty(max((part.stop for part in synapses.values()), default=0))
    for key, projection in projections.items():
        _put(projection.values, orders[key], weight[synapses[key]])
    return weight


def _put(values: FloatArray, order: Order | None, out: FloatArray) -> None:
    """Write ``values[order]``, piece by piece: numpy makes a wider copy of an index."""
    if order is None:
        out[:] = values
        return
    for start in range(0, out.size, PIECE):
        part = slice(start, start + PIECE)
        out[part] = values[order[part]]
