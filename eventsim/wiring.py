"""A network as arrays: the form that the engines run on.

Sources are numbered inputs first, then neurons, each in the order in which they were added.  The
synapses of a projection lie together, row by row; within a row they are ordered by delay, so the
synapses of one source that share a delay (and the time constants of their targets) are one
contiguous *delay group*, delivered as a whole.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy import sparse

__all__ = ["Compiled", "Neurons", "Wiring", "compile_network"]


class Wiring(NamedTuple):
    """Delay groups of all sources, and their synapses.

    The groups of source s are ``first_group[s] : first_group[s + 1]``, ascending in delay; the
    synapses of group g are ``start[g] : stop[g]``.  All targets of a group are of one ``kind``.
    """

    first_group: np.ndarray
    delay: np.ndarray
    kind: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    target: np.ndarray
    weight: np.ndarray


class Neurons(NamedTuple):
    """Parameters: alpha and beta of each kind, all others of each neuron.

    ``bound`` is the current that a neuron must exceed ever to reach its threshold,
    ``beta threshold - bias``; ``-inf`` where even a negative current may precede a crossing.
    """

    alpha: np.ndarray
    beta: np.ndarray
    kind: np.ndarray
    threshold: np.ndarray
    bias: np.ndarray
    refractory: np.ndarray
    bound: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """A compiled network.

    ``input_start`` and ``neuron_start`` give the number of the first source of an input and of the
    first neuron of a population; ``synapses`` the slice of each projection's synapses, and
    ``orders`` how they are permuted against `Projection.values` (None: not at all).
    """

    wiring: Wiring
    neurons: Neurons
    n_inputs: int
    n_neurons: int
    input_start: dict
    neuron_start: dict
    synapses: dict
    orders: dict
    group_projection: np.ndarray

    @property
    def longest_delays(self):
        """Longest delay of the synapses of inputs, and of those of neurons."""
        split = self.wiring.first_group[self.n_inputs]
        delay = self.wiring.delay
        return float(delay[:split].max(initial=0.0)), float(delay[split:].max(initial=0.0))

    def with_weights(self, projections):
        """Return the same wiring with the weights of ``projections``."""
        weight = _joined_weights(projections, self.orders)
        return replace(self, wiring=self.wiring._replace(weight=weight))

    def locate(self, key, position):
        """Return the position in `Projection.values` of a synapse of the wiring."""
        within = position - self.synapses[key].start
        order = self.orders[key]
        return within if order is None else int(order[within])

    def synapse_label(self, network):
        """Return a function from a synapse's position in the wiring to ``(key, pre, post)``."""

        def label(position):
            key = next(k for k, part in self.synapses.items() if part.start <= position < part.stop)
            place = self.locate(key, position)
            weights = network.projections[key].weights
            if sparse.issparse(weights):
                pre = int(np.searchsorted(weights.indptr, place, side="right")) - 1
                return key, pre, int(weights.indices[place])
            return key, *divmod(place, weights.shape[1])

        return label

    def synapse_delay(self, network, position):
        """Return the delay of a synapse of the wiring."""
        key = next(k for k, part in self.synapses.items() if part.start <= position < part.stop)
        delays = network.projections[key].delay_values
        return delays if isinstance(delays, float) else float(delays[self.locate(key, position)])

    def population_slice(self, name, size):
        """Return the slice of the neurons of population ``name``."""
        start = self.neuron_start[name]
        return slice(start, start + size)


class _Rows(NamedTuple):
    """Delay groups of one projection: the row, delay, kind and synapse range of each."""

    row: np.ndarray
    delay: np.ndarray
    kind: np.ndarray
    start: np.ndarray
    stop: np.ndarray


def compile_network(inputs, neurons, projections):
    """Return the `Compiled` form of a network's inputs, (n, LIF) populations and projections."""
    input_start = _starts(inputs.items())
    neuron_start = _starts((name, n) for name, (n, _) in neurons.items())
    n_inputs = sum(inputs.values())
    parameters = _neuron_arrays(neurons)
    first_source = {**input_start, **{name: n_inputs + s for name, s in neuron_start.items()}}
    rows, targets, orders, synapses, position = [], [], {}, {}, 0
    for key, projection in projections.items():
        first = neuron_start[projection.post]
        size = projection.weights.shape[1]
        groups, target, orders[key] = _layout(projection, parameters.kind[first : first + size])
        source = first_source[projection.pre]
        rows.append(
            groups._replace(
                row=groups.row + source, start=groups.start + position, stop=groups.stop + position
            )
        )
        targets.append(target if first == 0 else target + np.int32(first))
        synapses[key] = slice(position, position + target.size)
        position += target.size
    n_neurons = parameters.kind.size
    table, projection_of = _joined_groups(rows)
    counts = np.bincount(table.row, minlength=n_inputs + n_neurons)
    wiring = Wiring(
        first_group=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        delay=table.delay,
        kind=table.kind,
        start=table.start,
        stop=table.stop,
        target=_joined(targets, np.int32),
        weight=_joined_weights(projections, orders),
    )
    return Compiled(
        wiring, parameters, n_inputs, n_neurons, input_start, neuron_start, synapses, orders,
        projection_of,
    )  # fmt: skip


def _starts(sizes):
    starts, position = {}, 0
    for name, size in sizes:
        starts[name] = position
        position += size
    return starts


def _neuron_arrays(neurons):
    each = [neuron.arrays(n) for n, neuron in neurons.values()]
    joined = {name: np.concatenate([arrays[name] for arrays in each]) for name in each[0]}
    rates = np.stack([1.0 / joined["tau_syn"], 1.0 / joined["tau_mem"]], axis=1)
    kinds, kind = np.unique(rates, axis=0, return_inverse=True)
    fires = np.isfinite(joined["threshold"])
    holding = rates[:, 1] * np.where(fires, joined["threshold"], 0.0) - joined["bias"]
    bound = np.where(fires, np.where(holding < 0.0, -np.inf, holding), np.inf)
    return Neurons(
        alpha=np.ascontiguousarray(kinds[:, 0]),
        beta=np.ascontiguousarray(kinds[:, 1]),
        kind=kind.reshape(-1).astype(np.int32),
        threshold=joined["threshold"],
        bias=joined["bias"],
        refractory=joined["refractory"],
        bound=bound,
    )


def _layout(projection, kinds):
    """Return (delay groups, targets, order) of one projection; ``kinds`` are its targets' kinds."""
    indptr, target = _rows_of(projection.weights)
    if isinstance(projection.delays, float) and np.all(kinds == kinds[0]):
        row = np.flatnonzero(np.diff(indptr))
        delay = np.full(row.size, projection.delays)
        kind = np.full(row.size, kinds[0], dtype=np.int32)
        return _Rows(row, delay, kind, indptr[row], indptr[row + 1]), target, None
    row = np.repeat(np.arange(indptr.size - 1), np.diff(indptr))
    delay = np.broadcast_to(projection.delay_values, row.shape)
    kind = kinds[target]
    order = np.lexsort((kind, delay, row))
    row, delay, kind = row[order], delay[order], kind[order]
    fresh = np.ones(row.size, dtype=bool)
    fresh[1:] = (np.diff(row) != 0) | (np.diff(delay) != 0) | (np.diff(kind) != 0)
    start = np.flatnonzero(fresh)
    stop = np.append(start[1:], row.size)[: start.size]
    return _Rows(row[start], delay[start], kind[start], start, stop), target[order], order


def _rows_of(weights):
    """Return the CSR row pointers and column indices of a dense or sparse matrix."""
    if sparse.issparse(weights):
        return weights.indptr.astype(np.int64), weights.indices.astype(np.int32, copy=False)
    n_pre, n_post = weights.shape
    return n_post * np.arange(n_pre + 1), np.tile(np.arange(n_post, dtype=np.int32), n_pre)


def _joined_groups(rows):
    """Join the projections' groups into one table sorted by (source, delay, projection)."""
    if not rows:
        nothing = np.empty(0, dtype=np.int64)
        empty = _Rows(nothing, np.empty(0), np.empty(0, dtype=np.int32), nothing, nothing)
        return empty, nothing
    number = np.repeat(np.arange(len(rows)), [part.row.size for part in rows])
    table = [np.concatenate(column) for column in zip(*rows, strict=True)]
    order = np.lexsort((number, table[1], table[0]))
    return _Rows(*[column[order] for column in table]), number[order]


def _joined(parts, dtype):
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([np.empty(0, dtype), *parts])


def _joined_weights(projections, orders):
    parts = [
        projection.values if orders[key] is None else projection.values[orders[key]]
        for key, projection in projections.items()
    ]
    return _joined(parts, np.float64)
