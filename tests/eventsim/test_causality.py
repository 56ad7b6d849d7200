"""The causality graph: forward in time, acyclic, complete, and the same however it is made."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import assume, given

import eventsim as es
import gradients
from tests.helpers import cases, naive
from tests.helpers.graphs import chain, run_of
from tests.helpers.naive import Case
from tests.helpers.strategies import examples, networks


def arrivals_of(case: Case, found: list[tuple[int, float]]) -> list[tuple[int, int, float, int]]:
    """(node of the cause, target, time, synapse) of every arrival, straight from the definition."""
    inputs = sorted(case.inputs, key=lambda spike: (spike[1], spike[0]))
    emitted = [(-s - 1, t) for s, t in inputs] + found
    return [
        (node, post, t + delay, k)
        for node, (source, t) in enumerate(emitted)
        for k, (pre, post, _, delay, _) in enumerate(case.synapses)
        if pre == source
    ]


@given(networks())
@examples(0.3)
def test_every_edge_points_forward_in_time_and_there_is_no_cycle(case: Case) -> None:
    _, result = run_of(case)
    dag = result.causality().to_networkx()
    assert nx.is_directed_acyclic_graph(dag)
    assert dag.number_of_nodes() == len(case.inputs) + len(result.spikes[cases.ALL])
    for cause, effect, edge in dag.edges(data=True):
        assert dag.nodes[cause]["time"] < dag.nodes[effect]["time"]
        assert dag.nodes[effect]["kind"] == "spike"
        for synapse in edge["synapses"]:
            assert dag.nodes[cause]["time"] + synapse.delay < dag.nodes[effect]["time"]


@given(networks(refractory=False))
@examples(0.3)
def test_the_edges_are_all_earlier_arrivals_and_all_earlier_own_spikes(case: Case) -> None:
    built, result = run_of(case)
    found = cases.trains(result)
    dag = result.causality().to_networkx()
    n_inputs = len(case.inputs)
    arrivals = arrivals_of(case, found)
    expected: dict[tuple[int, int], list] = {}
    for row, (neuron, t) in enumerate(found):
        for node, target, arrival, k in arrivals:
            if target == neuron and arrival < t:
                expected.setdefault((node, n_inputs + row), []).append(k)
        for earlier, (other, _) in enumerate(found[:row]):
            if other == neuron:
                expected.setdefault((n_inputs + earlier, n_inputs + row), []).append("reset")
    assert set(dag.edges) == set(expected)
    names = {place: k for k, place in enumerate(built.place)}
    for pair, causes in expected.items():
        edge = dag.edges[pair]
        synapses = sorted(names[s.synapse] for s in edge["synapses"])
        assert synapses == sorted(k for k in causes if k != "reset")
        assert edge["reset"] == ("reset" in causes)


@given(networks(refractory=False))
@examples(0.3)
def test_edges_carry_the_derivatives_of_the_spike_condition(case: Case) -> None:
    """dV/dg = -w h'(f - t_g - d), -theta beta exp(-beta (f - m)) for a reset; dV/dw = h."""
    _, result = run_of(case)
    dag = result.causality().to_networkx()
    for cause, effect, edge in dag.edges(data=True):
        neuron = case.neurons[dag.nodes[effect]["neuron"]]
        lag = dag.nodes[effect]["time"] - dag.nodes[cause]["time"]
        total = 0.0
        for s in edge["synapses"]:
            h = naive.kernel(lag - s.delay, neuron.alpha, neuron.beta)
            slope = math.exp(-neuron.alpha * (lag - s.delay)) - neuron.beta * h
            assert s.dV_dw == pytest.approx(h, rel=1e-9, abs=1e-13)
            assert s.dV_dg == pytest.approx(-s.weight * slope, rel=1e-9, abs=1e-11)
            total += s.dV_dg
        if edge["reset"]:
            reset = -neuron.theta * neuron.beta * math.exp(-neuron.beta * lag)
            assert edge["dV_dm"] == pytest.approx(reset, rel=1e-12, abs=1e-300)
            total += reset
        assert edge["dV_dg"] == pytest.approx(total, rel=1e-12, abs=1e-12)


@given(networks())
@examples(0.3)
def test_the_slopes_of_the_graph_are_the_recorded_ones(case: Case) -> None:
    """A sum over all causes since the start, against the state that the run carried along."""
    _, result = run_of(case)
    recorded = result.spikes[cases.ALL].slopes
    assume(recorded.min(initial=1.0) > 1e-3)
    graph = result.causality()
    scale = 1.0 + np.abs(graph.edges.by_cause).max(initial=0.0)
    np.testing.assert_allclose(graph.rows.by_time, recorded, rtol=1e-8, atol=1e-10 * scale)


@given(networks())
@examples(0.3)
def test_nodes_say_what_they_are(case: Case) -> None:
    _, result = run_of(case)
    dag = result.causality().to_networkx()
    nodes = [dag.nodes[k] for k in range(dag.number_of_nodes())]
    inputs = sorted((t, s) for s, t in case.inputs)
    assert [(n["time"], n["neuron"]) for n in nodes if n["kind"] == "input"] == inputs
    spikes = [(n["neuron"], n["time"]) for n in nodes if n["kind"] == "spike"]
    assert spikes == cases.trains(result)
    assert {n["population"] for n in nodes if n["kind"] == "input"} <= {cases.IN}
    assert {n["population"] for n in nodes if n["kind"] == "spike"} <= {cases.ALL}
    assert all(n["slope"] > 0.0 for n in nodes if n["kind"] == "spike")


def assert_same_graph(one: es.CausalityGraph, two: es.CausalityGraph) -> None:
    np.testing.assert_array_equal(one.input_times, two.input_times)
    np.testing.assert_array_equal(one.times, two.times)
    for left, right in zip((*one.edges, *one.rows), (*two.edges, *two.rows), strict=True):
        np.testing.assert_array_equal(left, right)


@given(networks())
@examples(0.3)
def test_a_graph_from_spike_times_is_the_recorded_graph(case: Case) -> None:
    built, result = run_of(case)
    spikes = result.spikes[cases.ALL]
    again = es.CausalityGraph.from_spikes(
        built.network, built.stimulus, {cases.ALL: es.Spikes(spikes.times, spikes.indices)}
    )
    assert_same_graph(again, result.causality())


@given(networks())
@examples(0.3)
def test_a_round_trip_through_networkx_changes_nothing(case: Case) -> None:
    _, result = run_of(case)
    graph = result.causality()
    again = es.CausalityGraph.from_networkx(graph.to_networkx())
    np.testing.assert_array_equal(again.times, graph.times)
    np.testing.assert_array_equal(again.input_times, graph.input_times)
    for left, right in zip(again.rows, graph.rows, strict=True):
        np.testing.assert_array_equal(left, right)
    dag, second = graph.to_networkx(), again.to_networkx()
    assert set(second.edges) == set(dag.edges)
    for pair in dag.edges:
        assert second.edges[pair]["dV_dg"] == pytest.approx(
            dag.edges[pair]["dV_dg"], rel=1e-12, abs=1e-14
        )
        assert {s.synapse for s in second.edges[pair]["synapses"]} == {
            s.synapse for s in dag.edges[pair]["synapses"]
        }


def through_json(dag: nx.DiGraph) -> nx.DiGraph:
    return nx.node_link_graph(json.loads(json.dumps(nx.node_link_data(dag))))


@given(networks())
@examples(0.3)
def test_a_round_trip_through_json_changes_nothing(case: Case) -> None:
    """JSON knows no tuples: of these lists are made, of synapses and of their labels."""
    _, result = run_of(case)
    graph = result.causality()
    dag = graph.to_networkx()
    one, two = (es.CausalityGraph.from_networkx(d) for d in (dag, through_json(dag)))
    assert_same_graph(two, one)
    assert two.synapses == one.synapses
    slope = np.cos(np.arange(len(graph.times)))
    found = gradients.timing_backprop(two, spike_times=slope)
    assert found.weights == gradients.timing_backprop(one, spike_times=slope).weights
    of_run = gradients.timing_backprop(graph, spike_times={cases.ALL: slope})
    matrices = {key: cases.to_dense(matrix) for key, matrix in of_run.weights.items()}
    scale = max((np.abs(matrix).max(initial=1.0) for matrix in matrices.values()), default=1.0)
    for (key, pre, post), value in found.weights.items():
        assert value == pytest.approx(matrices[key][pre, post], rel=1e-9, abs=1e-11 * scale)


def test_a_graph_made_by_hand() -> None:
    graph = es.CausalityGraph.from_networkx(chain())
    assert len(graph) == 3
    assert graph.times.tolist() == [1.0, 2.0]
    assert graph.input_times.tolist() == [0.0]
    assert graph.rows.by_time.tolist() == [2.0, 4.0]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d: d.nodes["a"].update(kind="thing"), "kind of node 'a'.*got 'thing'"),
        (lambda d: d.nodes["a"].update(time=math.nan), "time of node 'a' .*got nan"),
        (lambda d: d.nodes["a"].update(slope=-0.5), r"slope .*got -0\.5"),
        (lambda d: d.nodes["a"].pop("slope"), "slope.*'a'"),
        (lambda d: d.nodes["a"].update(time=3.0), "backward.*'a', 'b'"),
        (lambda d: d.add_edge("a", "a", dV_dg=0.0), r"circle.*\['a'\]"),
        (
            lambda d: (d.add_edge("b", "a", dV_dg=0.0), d.nodes["a"].update(d.nodes["b"])),
            r"circle.*\['\w', '\w'\]",
        ),
        (lambda d: d.edges["a", "b"].pop("dV_dg"), "dV_dg.*'a', 'b'"),
        (lambda d: d.add_edge("a", "in", dV_dg=0.0), "'a', 'in'"),
        (
            lambda d: d.edges["a", "b"].update(dV_dg=-2.1),
            r"dV_dg.*\('a', 'b'\) must be what.*add up to, -2\.0, got -2\.1",
        ),
        (
            lambda d: d.edges["a", "b"].update(reset=True, dV_dm=-0.25, dV_dg=-2.5),
            r"'a', 'b'.*-2\.25, got -2\.5",
        ),
        (
            lambda d: d.edges["a", "b"].update(dV_dm=-0.25),
            r"'a', 'b'.*-2\.25, got -2\.0",
        ),
        (lambda d: d.edges["a", "b"].update(dV_dg="steep"), r"dV_dg.*'a', 'b'.*'steep'"),
        (lambda d: d.edges["a", "b"].update(dV_dg=None), r"dV_dg.*'a', 'b'.*None"),
        (lambda d: d.edges["a", "b"].update(dV_dm=math.inf), r"dV_dm.*'a', 'b'.*inf"),
        (lambda d: d.edges["a", "b"].update(synapses=["w"]), r"'a', 'b'.*dV_dw.*got 'w'"),
        (
            lambda d: d.edges["a", "b"].update(synapses=[["w", 3.0, 0.0, 0.25]]),
            r"'a', 'b'.*dV_dw.*\['w', 3\.0, 0\.0, 0\.25\]",
        ),
        (
            lambda d: d.edges["a", "b"].update(synapses=[["w", 3.0, 0.0, math.nan, -2.0]]),
            r"dV_dw.*'a', 'b'.*nan",
        ),
        (
            lambda d: d.edges["a", "b"].update(synapses=[[{"w": 1}, 3.0, 0.0, 0.25, -2.0]]),
            r"'a', 'b'.*hashable.*\{'w': 1\}",
        ),
    ],
)
def test_a_graph_made_wrong_by_hand_is_refused(spoil, message: str) -> None:
    dag = chain()
    spoil(dag)
    with pytest.raises(ValueError, match=message):
        es.CausalityGraph.from_networkx(dag)


def test_a_sum_may_be_rounded() -> None:
    """Its terms may have been added in another order, and lost all digits but the largest one's."""
    dag = chain()
    parts = (0.1, 0.2, 0.3, -1e9, 1e9)
    dag.edges["a", "b"]["synapses"] = [es.Synapse(k, 1.0, 0.0, 0.0, p) for k, p in enumerate(parts)]
    for total in (sum(parts), sum(parts[::-1])):
        dag.edges["a", "b"]["dV_dg"] = total
        edges = es.CausalityGraph.from_networkx(dag).edges
        assert edges.by_cause.tolist() == [-1.0, *parts]


@pytest.mark.parametrize(
    ("reset", "parts"),
    [
        ({}, [-2.0]),
        ({"reset": False, "dV_dm": 0.0}, [-2.0]),
        ({"reset": True, "dV_dm": -0.5, "dV_dg": -2.5}, [-2.0, -0.5]),
        ({"reset": True, "dV_dg": -2.5}, [-2.0, -0.5]),
        ({"dV_dm": -0.5, "dV_dg": -2.5}, [-2.0, -0.5]),
        ({"reset": True, "dV_dm": 0.0}, [-2.0, 0.0]),
    ],
)
def test_the_reset_is_a_part_of_its_edge(reset: dict[str, Any], parts: list[float]) -> None:
    dag = chain()
    dag.edges["a", "b"].update(reset)
    graph = es.CausalityGraph.from_networkx(dag)
    assert graph.edges.by_cause.tolist() == [-1.0, *parts]
    assert graph.edges.synapse.tolist() == [0, *[1, -1][: len(parts)]]


@pytest.mark.parametrize("reset", [{}, {"reset": True, "dV_dm": -0.5}, {"dV_dm": 0.0}])
def test_an_edge_without_synapses_counts_in_full(reset: dict[str, Any]) -> None:
    """Where gradients by weights are not wanted, synapses may be left out, also afterwards."""
    dag = chain()
    del dag.edges["a", "b"]["synapses"]
    dag.edges["a", "b"].update(reset)
    edges = es.CausalityGraph.from_networkx(dag).edges
    assert edges.by_cause.tolist() == [-1.0, -2.0]
    assert edges.synapse.tolist() == [0, -1]


@pytest.mark.parametrize(
    ("spikes", "message"),
    [
        ({"nobody": es.Spikes([1.0], [0])}, "spikes .*got 'nobody'"),
        ({cases.ALL: es.Spikes([1.0], [9])}, "indices .*< 4, got 9"),
    ],
)
def test_spikes_that_do_not_fit_the_network_are_refused(spikes, message: str) -> None:
    built = cases.build(cases.load("feedforward").case)
    with pytest.raises(ValueError, match=message):
        es.CausalityGraph.from_spikes(built.network, built.stimulus, spikes)


def test_two_populations_keep_their_names_and_numbers() -> None:
    network = es.Network()
    network.add_input("left", 1)
    network.add_input("right", 2)
    network.add_population("a", 1, es.LIF())
    network.add_population("b", 2, es.LIF())
    network.connect("right", "a", weights=[[0.0], [9.0]])
    key = network.connect("a", "b", weights=[[0.0, 9.0]], delays=[[0.5, 0.25]])
    stimulus = {"right": es.Spikes([0.5], [1]), "left": es.Spikes([0.1], [0])}
    dag = es.simulate(network, stimulus, 2.0).causality().to_networkx()
    labels = [(n["population"], n["neuron"]) for _, n in sorted(dag.nodes(data=True))]
    assert labels[:2] == [("left", 0), ("right", 1)]
    assert set(labels[2:]) == {("a", 0), ("b", 1)}
    first_a, first_b = labels.index(("a", 0)), labels.index(("b", 1))
    (synapse,) = dag.edges[first_a, first_b]["synapses"]
    assert (synapse.synapse, synapse.weight, synapse.delay) == ((key, 0, 1), 9.0, 0.25)
    assert not dag.in_edges(0)
    assert not dag.out_edges(0)


def test_a_later_end_changes_no_edge_between_spikes() -> None:
    case = cases.load("recurrent_delays").case
    short = cases.build(case).run()
    long = cases.build(replace(case, t_stop=case.t_stop + 0.01)).run()
    n = len(short.spikes[cases.ALL])
    one, two = short.causality(), long.causality()
    keep = two.edges.row < n
    np.testing.assert_array_equal(two.edges.by_cause[keep], one.edges.by_cause)
