r"""The causality graph: which spike caused which, and by how much it moves it.

Its nodes are the spikes, those of the inputs included.  There is an edge from spike g to spike f if
moving g moves f directly: g arrives at f's neuron before f (all earlier arrivals count, since the
synaptic current is not reset), or g is an earlier spike of the same neuron (its reset).

Every spike f satisfies an equation :math:`V_f(\text{causes}, \text{parameters}) = \theta`
(Lee et al., Eq. 9).  Without refractory period

.. math:: V_f = \sum_a w_a h(f - a) + c\, b(f) - \theta \sum_{m < f} e^{-\beta (f - m)}

over the arrivals a and the neuron's own earlier spikes m.  With a refractory period the potential
restarts from 0 at the release :math:`r = m + \tau_{ref}` of the last own spike m:

.. math:: V_f = \sum_{a<r} w_a e^{-\alpha (r - a)} h(f - r) + \sum_{a \ge r} w_a h(f - a)
                + c\, b(f - r).

The graph is stored as one entry per arrival, linear in the synaptic events; the edges with their
derivatives are derived from it on demand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, NamedTuple, TypeAlias

import networkx as nx
import numpy as np

from eventsim import plot as draw
from eventsim._layout.arrivals import Arrivals, list_arrivals, most_arrivals
from eventsim._layout.wiring import Neurons, compiled_form, layout_of
from eventsim._support.compile import inlined, inner, loop, scalar
from eventsim._support.threads import interruptible
from eventsim._support.types import BoolArray, FloatArray, IntArray
from eventsim._support.validate import (
    as_count,
    as_finite,
    as_indices,
    as_mapping,
    as_number,
    require,
    shown,
)
from eventsim.model.flow import (
    bias_kernel,
    bias_kernel_rate_derivative,
    kernel_rate_derivatives,
    propagator,
)
from eventsim.model.jumps import CHARGE
from eventsim.network import Network
from eventsim.spikes import RecordedSpikes, Spikes
from eventsim.start import State
from eventsim.stimulus import Stimulus, read_stimulus, with_drawn

__all__ = ["CausalityGraph", "Edges", "Rows", "Synapse", "graph_of_run"]

ROUNDING = 1e-9  # of a sum, in parts of its largest term: it may have been made in another order


class Edges(NamedTuple):
    """Direct dependences of equations on earlier spikes, one per synapse or reset.

    ``row``: the equation; ``cause``: node of the earlier spike; ``synapse``: position in the
    wiring, -1 for a reset; ``receptor``: where it arrives; ``weight``; ``lag`` from the arrival (or
    own spike) to the row's time; ``by_weight`` = dV/dw; ``by_cause`` = dV/d(time of the cause) =
    dV/d(delay).
    """

    row: IntArray
    cause: IntArray
    synapse: IntArray
    receptor: IntArray
    weight: FloatArray
    lag: FloatArray
    by_weight: FloatArray
    by_cause: FloatArray


class Rows(NamedTuple):
    """Derivatives of each equation by its own time (the slope) and what is its neuron's.

    ``by_potential`` and ``by_current`` by the state at t = 0, the others by the parameters as the
    equations use them.  ``by_alpha`` and ``by_current`` are (n_rows, n_receptors).
    """

    by_time: FloatArray
    by_threshold: FloatArray
    by_alpha: FloatArray
    by_beta: FloatArray
    by_bias: FloatArray
    by_potential: FloatArray
    by_current: FloatArray


class Synapse(NamedTuple):
    """One synapse of an edge of the networkx graph.

    Attributes
    ----------
    synapse : hashable
        Which synapse: ``(key, pre, post)`` in graphs made here.
    weight, delay : float
        Its values.
    dV_dw, dV_dg : float
        Derivative of the later spike's equation by the weight and by the earlier spike's time.
    receptor : int
        Number of the receptor at which it arrives.

    Examples
    --------
    >>> Synapse("w", weight=2.0, delay=0.0, dV_dw=0.3, dV_dg=-0.5).dV_dg
    -0.5
    """

    synapse: Hashable
    weight: float
    delay: float
    dV_dw: float
    dV_dg: float
    receptor: int = 0


class CausalityGraph:
    """Which spike caused which.

    Made by `Result.causality`, `from_spikes` (from another simulator's spike times) or
    `from_networkx` (by hand).  Nodes are numbered inputs first, then spikes in ascending time.

    Attributes
    ----------
    network : Network or None
        The network; None for a graph made by hand.
    input_times, input_sources : (n_inputs,) ndarray
        Time and source of the input spikes.
    times, neurons : (n_spikes,) ndarray
        Time and neuron of the spikes, ascending in time.

    Examples
    --------
    >>> import eventsim as es
    >>> net = es.Network()
    >>> net.add_input("in", 1)
    >>> net.add_population("out", 1, es.LIF(tau_mem=1.0, tau_syn=1.0))
    >>> key = net.connect("in", "out", weights=[[4.0]])
    >>> result = es.simulate(net, {"in": es.Spikes([0.0], [0])}, t_stop=1.0)
    >>> graph = result.causality()
    >>> dag = graph.to_networkx()
    >>> list(dag.edges), dag.nodes[1]["population"]
    ([(0, 1)], 'out')
    """

    stimulus: Stimulus  # of a graph of a network, as is which spikes are set off by charges
    at_once: BoolArray
    t_stop: float
    synapses: list[Hashable]  # of a graph made by hand: the labels of its synapses, and its nodes
    nodes: list[Any]

    def __init__(
        self,
        network: Network | None,
        inputs: tuple[FloatArray, IntArray],
        spikes: tuple[FloatArray, IntArray],
        arrivals: Arrivals | None,
        parts: tuple[Edges, Rows] | None,
    ) -> None:
        """Assemble a graph; use the class methods or `Result.causality`."""
        self.network, self.arrivals = network, arrivals
        self.input_times, self.input_sources = inputs
        self.times, self.neurons = spikes
        self._parts = parts

    @classmethod
    def from_spikes(
        cls,
        network: Network,
        stimulus: Mapping[str, Spikes],
        spikes: Mapping[str, Spikes | RecordedSpikes],
        t_stop: float | None = None,
        initial: Mapping[str, State] | None = None,
    ) -> CausalityGraph:
        """Return the graph of spike times that another simulator produced.

        Parameters
        ----------
        network : Network
            What is connected.
        stimulus : dict of str -> Spikes
            Input spikes.
        spikes : dict of str -> Spikes
            Spikes of each population; populations left out are silent.
        t_stop : float, optional
            End of the run, for gradients of final potentials, until which the spikes of generators
            are drawn; default: the last spike.
        initial : dict of str -> State, optional
            Potentials and currents at t = 0; default: at rest.

        Returns
        -------
        CausalityGraph
            Times are taken as they are: they should satisfy ``V(f) = threshold``.

        Raises
        ------
        ValueError
            Unknown names, neurons out of range, spikes that are none, or an end before the last.
        """
        if not isinstance(network, Network):
            raise ValueError(f"network must be an eventsim.Network, got {shown(network)}")
        given, is_batch = read_stimulus(network, stimulus, initial)
        if is_batch:
            raise ValueError(f"stimulus must be that of a single run, got {shown(stimulus)}")
        each_times, each_neurons = [np.empty(0)], [np.empty(0, dtype=np.int64)]
        for name, recorded in as_mapping(spikes, "spikes").items():
            part = network.neurons_of(name, "spikes")
            train = recorded.train() if isinstance(recorded, RecordedSpikes) else recorded
            if not isinstance(train, Spikes):
                raise ValueError(f"spikes[{name!r}] must be Spikes, got {shown(recorded)}")
            n = part.stop - part.start
            require(train.indices < n, train.indices, f"indices of spikes[{name!r}] must be < {n}")
            times = train.times
            pooled = layout_of(network).neurons.threshold[part][train.indices] == 0.0
            for _ in range(network.pool_ranks.get(name, 0)):  # an effect is later than its cause
                times = np.where(pooled, np.nextafter(times, np.inf), times)
            each_times.append(times)
            each_neurons.append(train.indices + part.start)
        times, neurons = np.concatenate(each_times), np.concatenate(each_neurons)
        order = np.lexsort((neurons, times))
        latest = float(times.max(initial=0.0))
        end = max(latest, float(given.times.max(initial=0.0)))
        t_stop = end if t_stop is None else as_number(t_stop, "t_stop")
        require(latest <= t_stop < np.inf, t_stop, f"t_stop must be finite and >= {latest}")
        given = with_drawn(network, given, t_stop)
        return graph_of_run(network, given, times[order], neurons[order], t_stop)

    @classmethod
    def from_networkx(cls, dag: nx.DiGraph) -> CausalityGraph:
        """Return the graph of a networkx.DiGraph with the attributes of `to_networkx`.

        Parameters
        ----------
        dag : networkx.DiGraph
            Every node has ``time`` and ``kind`` ("input" or "spike"), every spike ``slope``, every
            edge ``dV_dg`` and, if gradients by weights are wanted, ``synapses``: each a `Synapse`,
            or a sequence of its values.  So a graph may have gone through JSON; labels of synapses
            that have become lists are tuples again.

        Raises
        ------
        ValueError
            A missing attribute, an edge that points backward in time or into an input, edges of one
            time that lead in a circle, a slope that is not > 0, or a ``dV_dg`` that is not (up to
            rounding) what the edge's synapses and its reset, ``dV_dm``, add up to.
        """
        if not isinstance(dag, nx.DiGraph):
            raise ValueError(f"dag must be a networkx.DiGraph, got {shown(dag)}")
        nodes = _in_order(dag)
        number = {node: k for k, node in enumerate(nodes)}
        n_inputs = sum(dag.nodes[node]["kind"] == "input" for node in nodes)
        time_of = {node: _time(dag, node) for node in nodes}
        times = np.array(list(time_of.values()), dtype=np.float64)
        labels: dict[Hashable, int] = {}
        columns: list[list[float]] = [[] for _ in Edges._fields]
        for cause, effect, attributes in dag.edges(data=True):
            parts = _synapses_of((cause, effect), attributes)
            rest = _without_synapse((cause, effect), attributes, parts)
            lag = time_of[effect] - time_of[cause]
            entries = [
                (
                    labels.setdefault(p.synapse, len(labels)),
                    p.receptor,
                    p.weight,
                    lag - p.delay,
                    p.dV_dw,
                    p.dV_dg,
                )
                for p in parts
            ]
            if rest is not None:
                entries.append((-1, 0, 0.0, lag, 0.0, rest))
            for entry in entries:
                row = (number[effect] - n_inputs, number[cause], *entry)
                for column, value in zip(columns, row, strict=True):
                    column.append(value)
        kinds = (np.int64,) * 4 + (np.float64,) * 4
        edges = Edges._make(np.array(c, dtype=d) for c, d in zip(columns, kinds, strict=True))
        spikes = nodes[n_inputs:]
        rows = Rows(
            *[_column(dag, spikes, *pair) for pair in zip(_ROW_ATTRIBUTES, _WIDE, strict=True)]
        )
        require(rows.by_time > 0.0, rows.by_time, "slope of a spike must be > 0")
        order = np.lexsort((edges.cause, edges.row))
        edges = Edges._make(column[order] for column in edges)
        graph = cls(
            None,
            (times[:n_inputs], np.arange(n_inputs)),
            (times[n_inputs:], np.arange(len(spikes))),
            None,
            (edges, rows),
        )
        graph.synapses, graph.nodes = list(labels), nodes
        return graph

    def __len__(self) -> int:
        """Return the number of nodes."""
        return self.input_times.size + self.times.size

    @cached_property
    def edges(self) -> Edges:
        """`Edges` between the spikes, ascending in (effect, cause's arrival)."""
        return self.spike_equations[0]

    @cached_property
    def rows(self) -> Rows:
        """`Rows` of the spikes' equations; ``by_time`` is the slope dV/dt at the spike."""
        return self.spike_equations[1]

    @cached_property
    def spike_equations(self) -> tuple[Edges, Rows]:
        """(edges, rows) of all spikes."""
        if self._parts is not None:
            return self._parts
        nodes = self.input_times.size + np.arange(self.times.size)
        edges, rows = self._equations(self.neurons, self.times, nodes)
        rows.by_threshold[~self.at_once] -= 1.0
        return edges, rows

    def equations(self, neurons: IntArray, times: FloatArray) -> tuple[Edges, Rows]:
        """Return the `Edges` and `Rows` of the potentials of ``neurons`` just before ``times``.

        Parameters
        ----------
        neurons : (n,) ndarray of int
            Numbered through all populations.
        times : (n,) ndarray
            Times up to the end of the run.

        Raises
        ------
        ValueError
            Neurons out of range, times out of the run, or a graph made by hand, whose equations
            are those that it was given.
        """
        if self.network is None:
            raise ValueError(f"the network must be known for equations, got {self!r} made by hand")
        neurons = as_indices(neurons, "neurons")
        n = layout_of(self.network).n_neurons
        require(neurons < n, neurons, f"neurons must be < {n}")
        if neurons.ndim != 1:
            raise ValueError(f"neurons must be (n,), got shape {neurons.shape}")
        times = as_finite(times, neurons.shape, "times")
        end = np.nextafter(self.t_stop, np.inf)  # what is there just after the end is known, too
        require((times >= 0.0) & (times <= end), times, f"times must be in [0, {self.t_stop}]")
        return self._equations(neurons, times, np.zeros(times.size, dtype=np.int64))

    def _equations(
        self, neurons: IntArray, times: FloatArray, nodes: IntArray
    ) -> tuple[Edges, Rows]:
        """Of the same time, the spikes before ``nodes`` of a neuron come first."""
        assert self.arrivals is not None
        work = float(times.size) * (self.arrivals.time.size + self.times.size)
        return interruptible(partial(self._listed_equations, neurons, times, nodes), work)

    def _listed_equations(
        self, neurons: IntArray, times: FloatArray, nodes: IntArray, stop: BoolArray
    ) -> tuple[Edges, Rows]:
        assert self.network is not None
        compiled = compiled_form(self.network)
        order = np.argsort(self.neurons, kind="stable")
        own = OwnSpikes(
            np.searchsorted(self.neurons[order], np.arange(compiled.n_neurons + 1)),
            self.times[order],
            self.at_once[order],
            order + self.input_times.size,
        )
        counts = np.zeros(times.size, dtype=np.int64)
        where = self.arrivals, own, neurons, times, nodes
        weight = compiled.wiring.weight
        _count_edges(compiled.neurons, weight, *where, counts, stop)
        start = np.concatenate([[0], np.cumsum(counts)])
        total = int(start[-1])
        ints, floats = np.empty((4, total), dtype=np.int64), np.empty((4, total))
        edges = Edges(*ints, *floats)
        rows = _new_rows(times.size, len(compiled.neurons.receptors))
        states = self.stimulus.start.states[0]
        _fill_edges(compiled.neurons, weight, states, *where, start, edges, rows, stop)
        return edges, rows

    def to_networkx(self) -> nx.DiGraph:
        """Return the graph as a networkx.DiGraph.

        Returns
        -------
        networkx.DiGraph
            Node attributes: ``kind`` ("input" or "spike"), ``population``, ``neuron``, ``time``; of
            spikes also ``slope`` (dV/dt) and ``dV_dthreshold``, ``dV_dalpha``, ``dV_dbeta``,
            ``dV_dbias``, ``dV_dpotential`` and ``dV_dcurrent`` (of the spike's equation, the last
            two by the state of the neuron at t = 0; tuples where it has several receptors).  Edge
            attributes: ``dV_dg`` (derivative of the later spike's equation by the earlier spike's
            time, all in all), ``synapses`` (a tuple of `Synapse`), ``reset`` (whether the earlier
            spike is one of the same neuron) and ``dV_dm`` (the reset's part of ``dV_dg``).
        """
        dag = nx.DiGraph()
        for node in range(len(self)):
            dag.add_node(node, **self._node_attributes(node))
        label = self.synapse_labels()
        n_inputs = self.input_times.size
        for row, cause, synapse, receptor, weight, lag, by_weight, by_cause in zip(
            *[column.tolist() for column in self.edges], strict=True
        ):
            effect = n_inputs + row
            if not dag.has_edge(cause, effect):
                dag.add_edge(cause, effect, dV_dg=0.0, synapses=(), reset=False, dV_dm=0.0)
            edge = dag.edges[cause, effect]
            edge["dV_dg"] += by_cause
            if synapse < 0:
                edge["reset"], edge["dV_dm"] = True, by_cause
            else:
                delay = self._delay(effect, cause, synapse, lag)
                values = weight, delay, by_weight, by_cause, receptor
                edge["synapses"] += (Synapse(label(synapse), *values),)
        return dag

    def plot(self, *, unit: str | None = None, ax: draw.Axes | None = None) -> draw.Axes:
        """Draw the spikes and an arrow from each cause to each effect (extra ``plot``).

        Parameters
        ----------
        unit : str, optional
            The unit of the network's time, for the label.
        ax : matplotlib.axes.Axes, optional
            Where to draw; default: a new figure.

        Returns
        -------
        matplotlib.axes.Axes
            Neurons that are silent keep their rows; in a graph made by hand each node has one.
            Arrows of resets alone are dotted.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If there are more spikes or arrows than can be told apart.
        """
        if len(self) > draw.MOST_NODES:
            raise ValueError(
                f"a graph that is drawn must have at most {draw.MOST_NODES} spikes, "
                f"got {len(self)}: to_networkx() returns it for other tools"
            )
        arrows = self._arrows()
        if arrows.cause.size > draw.MOST_ARROWS:
            raise ValueError(
                f"a graph that is drawn must have at most {draw.MOST_ARROWS} arrows, "
                f"got {arrows.cause.size}: to_networkx() returns it for other tools"
            )
        return draw.causes(self._drawn(), arrows, unit, ax)

    def _arrows(self) -> draw.Arrows:
        """Return the edges, each once."""
        n = len(self)
        pairs = self.edges.cause * n + self.edges.row + self.input_times.size
        each, which = np.unique(pairs, return_inverse=True)
        by_synapse = np.bincount(which, self.edges.synapse >= 0, minlength=each.size)
        return draw.Arrows(each // max(n, 1), each % max(n, 1), by_synapse == 0.0)

    def _drawn(self) -> draw.Drawn:
        """Return the nodes by input and population; those of a graph by hand by their own names."""
        times = np.concatenate([self.input_times, self.times])
        if self.network is None:
            names, numbers = [str(node) for node in self.nodes], np.arange(len(self))
            return draw.Drawn(names, [1] * len(self), times, numbers, np.zeros_like(numbers))
        sizes = {**self.network.inputs, **self.network.populations}
        starts = np.array(list(layout_of(self.network).first_source.values()))
        n_inputs = layout_of(self.network).n_inputs
        sources = np.concatenate([self.input_sources, self.neurons + n_inputs])
        groups = np.searchsorted(starts, sources, side="right") - 1
        return draw.Drawn(
            list(sizes), list(sizes.values()), times, groups, sources - starts[groups]
        )

    def synapse_labels(self) -> Callable[[int], Hashable]:
        """Return a function from a synapse's number to its label ``(key, pre, post)``."""
        if self.network is None:
            return self.synapses.__getitem__
        return compiled_form(self.network).synapse_label(self.network)

    def _delay(self, effect: int, cause: int, synapse: int, lag: float) -> float:
        if self.network is None:
            return self._time_of(effect) - self._time_of(cause) - lag
        return compiled_form(self.network).synapse_delay(self.network, synapse)

    def _time_of(self, node: int) -> float:
        n_inputs = self.input_times.size
        return float(self.input_times[node] if node < n_inputs else self.times[node - n_inputs])

    def _node_attributes(self, node: int) -> dict[str, Any]:
        n_inputs = self.input_times.size
        is_input = node < n_inputs
        attributes: dict[str, Any] = {
            "kind": "input" if is_input else "spike",
            "time": self._time_of(node),
        }
        if self.network is not None:
            layout = layout_of(self.network)
            starts = layout.input_start if is_input else layout.neuron_start
            number = int(self.input_sources[node] if is_input else self.neurons[node - n_inputs])
            name = [name for name, start in starts.items() if start <= number][-1]
            attributes |= {"population": name, "neuron": number - starts[name]}
        if not is_input:
            row = node - n_inputs
            attributes |= {
                name: _one_or_several(column[row])
                for name, column in zip(_ROW_ATTRIBUTES, self.rows, strict=True)
            }
        return attributes


GraphLike: TypeAlias = CausalityGraph | nx.DiGraph

_ROW_ATTRIBUTES = (
    "slope", "dV_dthreshold", "dV_dalpha", "dV_dbeta", "dV_dbias", "dV_dpotential", "dV_dcurrent",
)  # fmt: skip
_WIDE = tuple(name in ("by_alpha", "by_current") for name in Rows._fields)  # by receptor


def _one_or_several(values: FloatArray) -> float | tuple[float, ...]:
    found = np.atleast_1d(values).tolist()
    return tuple(found) if len(found) > 1 else found[0]


def _new_rows(n: int, n_receptors: int) -> Rows:
    """Return derivatives of 0."""
    return Rows(*(np.zeros((n, n_receptors) if wide else n) for wide in _WIDE))


def graph_of_run(
    network: Network,
    stimulus: Stimulus,
    times: FloatArray,
    neurons: IntArray,
    t_stop: float,
    at_once: BoolArray | None = None,
) -> CausalityGraph:
    """Return the graph of the spikes of a run, ascending in time; neurons are numbered through.

    ``at_once`` tells which spikes were set off by charges; None: those that have the time of one.
    """
    compiled = compiled_form(network)
    every = (
        compiled.wiring,
        np.concatenate([stimulus.times, times]),
        np.concatenate([stimulus.sources, neurons + compiled.n_inputs]),
        t_stop,
        (0, compiled.n_neurons),
    )
    arrivals = interruptible(
        partial(list_arrivals, *every), most_arrivals(compiled.wiring, every[1].size)
    )
    graph = CausalityGraph(
        network, (stimulus.times, stimulus.sources), (times, neurons), arrivals, None
    )
    graph.stimulus, graph.t_stop = stimulus, t_stop
    graph.at_once = np.zeros(times.size, dtype=bool)
    if at_once is not None:
        graph.at_once[:] = at_once
    elif compiled.neurons.charging:
        _find_charged(arrivals, times, neurons, graph.at_once)
    return graph


@loop
def _find_charged(
    arrivals: Arrivals, times: FloatArray, neurons: IntArray, at_once: BoolArray
) -> None:
    """Note which spikes have the time of a charge at their neuron."""
    for k in range(times.size):
        i = neurons[k]
        for a in range(arrivals.first[i], arrivals.first[i + 1]):
            if arrivals.time[a] == times[k] and arrivals.receptor[a] == CHARGE:
                at_once[k] = True


def _kind(dag: nx.DiGraph, node: Hashable) -> str:
    kind = dag.nodes[node].get("kind")
    if not isinstance(kind, str) or kind not in ("input", "spike"):
        raise ValueError(f"kind of node {node!r} must be 'input' or 'spike', got {shown(kind)}")
    return kind


def _time(dag: nx.DiGraph, node: Hashable) -> float:
    name = f"time of node {node!r}"
    time = as_number(dag.nodes[node].get("time"), name)
    require(np.isfinite(time), time, f"{name} must be finite")
    return time


def _in_order(dag: nx.DiGraph) -> list[Hashable]:
    """Return the inputs, then the spikes, each ascending in time, and after its causes."""
    time_of = {node: _time(dag, node) for node in dag}
    is_spike = {node: _kind(dag, node) != "input" for node in dag}
    for edge in dag.edges(data=True):
        _check_edge(dag, *edge)
    try:
        ordered = list(nx.lexicographical_topological_sort(dag, key=time_of.__getitem__))
    except nx.NetworkXUnfeasible:
        circle = [cause for cause, _ in nx.find_cycle(dag)]
        raise ValueError(f"edges must not lead in a circle, got {shown(circle)}") from None
    return sorted(ordered, key=is_spike.__getitem__)


def _check_edge(
    dag: nx.DiGraph, cause: Hashable, effect: Hashable, attributes: Mapping[str, Any]
) -> None:
    if dag.nodes[effect]["kind"] == "input":
        raise ValueError(f"an edge must lead to a spike, got {shown((cause, effect))} to an input")
    if not dag.nodes[cause]["time"] <= dag.nodes[effect]["time"]:
        raise ValueError(f"an edge must not point backward in time, got {shown((cause, effect))}")
    if "dV_dg" not in attributes:
        raise ValueError(
            f"an edge must have the attribute dV_dg, got {shown((cause, effect))} without"
        )
    _finite(attributes["dV_dg"], "dV_dg", (cause, effect))


def _finite(value: object, name: str, edge: tuple[Hashable, Hashable]) -> float:
    name = f"{name} of the edge {edge!r}"
    number = as_number(value, name)
    require(np.isfinite(number), number, f"{name} must be finite")
    return number


def _synapses_of(edge: tuple[Hashable, Hashable], attributes: Mapping[str, Any]) -> list[Synapse]:
    synapses = attributes.get("synapses", ())
    if not isinstance(synapses, (tuple, list)):
        raise ValueError(f"synapses of the edge {edge!r} must be a list, got {shown(synapses)}")
    return [_as_synapse(edge, part) for part in synapses]


def _as_synapse(edge: tuple[Hashable, Hashable], part: Sequence[Any]) -> Synapse:
    """Return a synapse of an edge, whose values may stand in a plain sequence."""
    n = len(Synapse._fields)
    if not isinstance(part, (tuple, list)) or len(part) not in (n - 1, n):
        raise ValueError(
            f"synapses of the edge {edge!r} must have the values {Synapse._fields}, "
            f"got {shown(part)}"
        )
    label, *values = part[: n - 1]
    weight, delay, by_weight, by_time = map(
        _finite, values, Synapse._fields[1:-1], [edge] * len(values)
    )
    receptor = as_count(part[-1], "receptor", least=CHARGE) if len(part) == n else 0
    return Synapse(_as_label(label, edge), weight, delay, by_weight, by_time, receptor)


def _as_label(label: object, edge: tuple[Hashable, Hashable]) -> Hashable:
    """Return a label with its lists as tuples, which JSON makes lists of."""
    if isinstance(label, (tuple, list)):
        return tuple(_as_label(part, edge) for part in label)
    if not isinstance(label, Hashable):
        raise ValueError(
            f"a synapse of the edge {edge!r} must have a hashable label, got {shown(label)}"
        )
    return label


def _without_synapse(
    edge: tuple[Hashable, Hashable], attributes: Mapping[str, Any], synapses: Sequence[Synapse]
) -> float | None:
    """Return what belongs to no synapse: the reset's part, or all of an edge without synapses.

    None: there is no such part.
    """
    total = as_number(attributes["dV_dg"], "dV_dg")
    if not synapses:
        return total
    parts = [synapse.dV_dg for synapse in synapses]
    is_reset = attributes.get("reset", False)
    if not isinstance(is_reset, (bool, np.bool_)):
        raise ValueError(f"reset of the edge {edge!r} must be a flag, got {shown(is_reset)}")
    rest = total - sum(parts) if is_reset else 0.0
    rest = _finite(attributes.get("dV_dm", rest), "dV_dm", edge)
    found, size = sum(parts) + rest, max(map(abs, (total, rest, *parts)))
    if not abs(found - total) <= ROUNDING * size:
        raise ValueError(
            f"dV_dg of the edge {edge!r} must be what its synapses and its reset add up to, "
            f"{found!r}, got {shown(total)}"
        )
    return rest if is_reset or rest != 0.0 else None


def _column(dag: nx.DiGraph, nodes: Sequence[Hashable], name: str, wide: bool) -> FloatArray:
    """Return an attribute of spikes; of one that is ``wide`` a column for each receptor."""
    for node in nodes:
        if name == "slope" and name not in dag.nodes[node]:
            raise ValueError(f"a spike must have the attribute slope, got {shown(node)} without")
    rows = []
    for node in nodes:
        value = dag.nodes[node].get(name, 0.0)
        parts = value if wide and isinstance(value, (tuple, list)) else [value]
        rows.append([as_number(part, f"{name} of node {node!r}") for part in parts])
    width = max(map(len, rows), default=1)
    column = np.array([row + [0.0] * (width - len(row)) for row in rows]).reshape(-1, width)
    require(np.isfinite(column), column, f"{name} of a spike must be finite")
    return column if wide else column[:, 0]


class OwnSpikes(NamedTuple):
    """Spikes by neuron: those of neuron i are ``first[i] : first[i + 1]``, ascending in time.

    ``at_once``: whether a charge set it off at that very time; ``node``: its number in the graph.
    """

    first: IntArray
    time: FloatArray
    at_once: BoolArray
    node: IntArray


@loop
def _count_edges(
    neurons: Neurons,
    weight: FloatArray,
    arrivals: Arrivals,
    own: OwnSpikes,
    row_neuron: IntArray,
    row_time: FloatArray,
    row_node: IntArray,
    counts: IntArray,
    stop: BoolArray,
) -> None:
    for row in range(row_time.size):
        if stop[0]:
            return
        i, time = row_neuron[row], row_time[row]
        m, release = _restart(neurons, own, i, time, row_node[row])
        if _trigger(neurons, weight, arrivals, own, m + 1, i, time) >= 0:
            counts[row] = 1
        elif release < time:
            if release > -math.inf:
                counts[row] = 1 if _restarts(neurons, i) else m + 1 - own.first[i]
            for a in range(arrivals.first[i], arrivals.first[i + 1]):
                if arrivals.time[a] < time and not _is_lost(arrivals, own, a, m, release):
                    counts[row] += 1


@inlined
def _restarts(neurons, i):  # type: ignore[no-untyped-def]
    """Tell whether the equation of a spike begins with the neuron's last release.

    Else it begins at 0, and every earlier spike takes the threshold off.
    """
    return neurons.refractory[i] > 0.0 or len(neurons.charging) > 0


@inlined
def _restart(neurons, own, i, time, node):  # type: ignore[no-untyped-def]
    """Return the last spike of neuron ``i`` before ``node``, and its release (-inf: none)."""
    m = own.first[i]
    while m < own.first[i + 1] and (
        own.time[m] < time or (own.time[m] == time and own.node[m] < node)
    ):
        m += 1
    release = own.time[m - 1] + neurons.refractory[i] if m > own.first[i] else -math.inf
    return m - 1, release


@inlined
def _trigger(neurons, weight, arrivals, own, k, i, time):  # type: ignore[no-untyped-def]
    """Return which charge sets off the spike ``k`` of neuron ``i`` at ``time``; -1: none does.

    Of several at the same time one of the positive ones is named: the last one in the list.
    """
    found = -1
    if len(neurons.charging) == 0 or k == own.first[i + 1] or own.time[k] > time:
        return found
    if own.at_once[k]:
        for a in range(arrivals.first[i], arrivals.first[i + 1]):
            is_charge = _is_followed(arrivals, own, a, k) and arrivals.receptor[a] == CHARGE
            if is_charge and weight[arrivals.synapse[a]] > 0.0:
                found = a
    return found


@inlined
def _is_followed(arrivals, own, a, m):  # type: ignore[no-untyped-def]
    """Tell whether charges set off spike ``m`` at the time of an arrival, and after it.

    They do after all that arrives then, but for what this spike sends, and later ones.
    """
    is_tied = own.at_once[m] and arrivals.time[a] == own.time[m]
    return is_tied and arrivals.spike[a] < own.node[m]


@inlined
def _is_lost(arrivals, own, a, m, release):  # type: ignore[no-untyped-def]
    """Tell whether an arrival is a charge that came while V was held, or went into the spike m."""
    if arrivals.receptor[a] != CHARGE or release == -math.inf:
        return False
    return arrivals.time[a] < release or _is_followed(arrivals, own, a, m)


@loop
def _fill_edges(
    neurons: Neurons,
    weight: FloatArray,
    states: FloatArray,
    arrivals: Arrivals,
    own: OwnSpikes,
    row_neuron: IntArray,
    row_time: FloatArray,
    row_node: IntArray,
    start: IntArray,
    edges: Edges,
    rows: Rows,
    stop: BoolArray,
) -> None:
    for row in range(row_time.size):
        if stop[0]:
            return
        i, time, edge = row_neuron[row], row_time[row], start[row]
        m, release = _restart(neurons, own, i, time, row_node[row])
        a = _trigger(neurons, weight, arrivals, own, m + 1, i, time)
        if a >= 0:
            # Its time is that of the charge.
            rows.by_time[row] = 1.0
            w = weight[arrivals.synapse[a]]
            _set_edge(
                edges, edge, row, arrivals.spike[a], arrivals.synapse[a], CHARGE, w, 0.0, 0.0, -1.0
            )
            continue
        if release >= time:
            continue  # The potential is held.
        kind = neurons.kind[i]
        alphas, beta, bias = neurons.alpha[kind], neurons.beta[kind], neurons.bias[i]
        threshold = neurons.threshold[i]
        restarts = _restarts(neurons, i) and release > -math.inf
        if not restarts:
            release = 0.0
            for k in range(own.first[i], m + 1):
                lag = time - own.time[k]
                decay = math.exp(-beta * lag)
                _set_edge(
                    edges, edge, row, own.node[k], -1, 0, 0.0, lag, 0.0, -threshold * beta * decay
                )
                edge += 1
                rows.by_time[row] += threshold * beta * decay
                rows.by_threshold[row] -= decay
                rows.by_beta[row] += threshold * lag * decay
            # The potential at the start is what the neuron has kept of it.
            potential, decay = states[i, 1], math.exp(-beta * time)
            rows.by_potential[row] = decay
            rows.by_time[row] -= beta * potential * decay
            rows.by_beta[row] -= time * potential * decay
        restart_membrane = math.exp(-beta * (time - release))
        released = bias
        for r in range(len(neurons.receptors)):
            current = states[i, 1 + r if r > 0 else 0]
            before = release > 0.0
            of_start = _arrive(rows, row, r, current, 0.0, time, release, before, alphas[r], beta)
            rows.by_current[row, r] = of_start[0]
            released += of_start[2]
        last_release = release if restarts else -math.inf
        for a in range(arrivals.first[i], arrivals.first[i + 1]):
            arrival = arrivals.time[a]
            if arrival >= time:
                break
            if _is_lost(arrivals, own, a, m, last_release):
                continue
            w, r = weight[arrivals.synapse[a]], arrivals.receptor[a]
            if r == CHARGE:
                by_weight = math.exp(-beta * (time - arrival))
                by_cause, left = w * beta * by_weight, 0.0
                rows.by_time[row] -= by_cause
                rows.by_beta[row] -= w * (time - arrival) * by_weight
            else:
                before = arrival < release or (
                    last_release > -math.inf and _is_followed(arrivals, own, a, m)
                )
                by_weight, by_cause, left = _arrive(
                    rows, row, r, w, arrival, time, release, before, alphas[r], beta
                )
            released += left
            _set_edge(
                edges, edge, row, arrivals.spike[a], arrivals.synapse[a], r, w, time - arrival,
                by_weight, by_cause,
            )  # fmt: skip
            edge += 1
        if restarts:
            by_cause = -released * restart_membrane
            _set_edge(edges, edge, row, own.node[m], -1, 0, 0.0, time - own.time[m], 0.0, by_cause)
        rows.by_time[row] += bias * restart_membrane
        rows.by_bias[row] = bias_kernel(time - release, beta)
        if bias != 0.0:
            rows.by_beta[row] += bias * bias_kernel_rate_derivative(time - release, beta)


@scalar
def _arrive(
    rows: Rows,
    row: int,
    receptor: int,
    weight: float,
    arrival: float,
    time: float,
    release: float,
    before: bool,
    alpha: float,
    beta: float,
) -> tuple[float, float, float]:
    """Add an arrival to an equation; return its derivatives by the weight and by the cause.

    The third number is what is left of the weight at the release, if it came ``before``.
    """
    begun = max(arrival, release)
    kept = math.exp(-alpha * (begun - arrival))
    lag = time - begun
    synaptic, _, h = propagator(lag, alpha, beta)
    h_alpha, h_beta = kernel_rate_derivatives(lag, alpha, beta, synaptic, h)
    by_time = weight * kept * (synaptic - beta * h)
    rows.by_time[row] += by_time
    rows.by_alpha[row, receptor] += weight * kept * (h_alpha - (begun - arrival) * h)
    rows.by_beta[row] += weight * kept * h_beta
    if before:
        return kept * h, alpha * weight * kept * h, weight * kept
    return h, -by_time, 0.0


@inner
def _set_edge(
    edges: Edges,
    edge: int,
    row: int,
    cause: int,
    synapse: int,
    receptor: int,
    weight: float,
    lag: float,
    by_weight: float,
    by_cause: float,
) -> None:
    edges.row[edge] = row
    edges.cause[edge] = cause
    edges.synapse[edge] = synapse
    edges.receptor[edge] = receptor
    edges.weight[edge] = weight
    edges.lag[edge] = lag
    edges.by_weight[edge] = by_weight
    edges.by_cause[edge] = by_cause
