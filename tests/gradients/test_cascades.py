"""Cascades: of one time, charges set off spikes that reach others without a delay."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import eventsim as es
import gradients

VANISHING = 1e-17
KINDS = ("weights", "delays", "tau_mem", "tau_syn", "threshold", "rest", "bias", "input_times")


def one_after_another(tau: float = 2.0) -> es.Network:
    """Charges set off both neurons; the second one gets a current at its spike, before it."""
    network = es.Network()
    network.add_input("in", 1)
    for name in ("first", "second"):
        network.add_population(
            name, 1, es.LIF(tau_mem=tau, tau_syn={"charge": 0.0, "current": 1.0}, bias=0.1)
        )
    network.connect("in", "first", weights=[[1.2]], delays=0.1, receptor="charge")
    network.connect("first", "second", weights=[[1.1]], receptor="charge", name="charge")
    network.connect("first", "second", weights=[[0.6]], receptor="current", name="current")
    return network


def test_a_current_of_the_same_time_comes_before_the_spike_that_charges_set_off() -> None:
    def potential(time: float, tau: float = 2.0) -> float:
        stimulus = {"in": es.Spikes([time], [0])}
        return float(es.simulate(one_after_another(tau), stimulus, 1.5).potential("second")[0])

    result = es.simulate(one_after_another(), {"in": es.Spikes([0.5], [0])}, 1.5)
    assert [result.spikes[name].times.tolist() for name in ("first", "second")] == [[0.6], [0.6]]
    found = gradients.timing_backprop(result, potentials={"second": [1.0]})
    step = 1e-6
    by_time = (potential(0.5 + step) - potential(0.5 - step)) / (2.0 * step)
    by_tau = (potential(0.5, 2.0 + step) - potential(0.5, 2.0 - step)) / (2.0 * step)
    assert found.input_times["in"].item() == pytest.approx(by_time, rel=1e-7)
    assert found.tau_mem["second"].item() == pytest.approx(by_tau, rel=1e-7)


def test_a_charge_may_come_at_the_time_of_a_spike_and_after_it() -> None:
    network = es.Network()
    network.add_input("in", 1)
    for name in ("first", "second"):
        network.add_population(name, 1, es.LIF(tau_mem=2.0, tau_syn=0.0))
    network.connect("in", "first", weights=[[1.5]])
    network.connect("first", "second", weights=[[1.5]])
    back = network.connect("second", "first", weights=[[0.5]], delays=VANISHING)
    result = es.simulate(network, {"in": es.Spikes([1.0], [0])}, 2.0)
    assert [result.spikes[name].times.tolist() for name in ("first", "second")] == [[1.0], [1.0]]
    decayed = 0.5 * np.exp(-np.array([[0.25], [0.5]]))
    np.testing.assert_allclose(result.potential("first", at=[1.5, 2.0]), decayed, rtol=1e-15)
    np.testing.assert_allclose(result.potential("first"), decayed[1], rtol=1e-15)
    found = gradients.timing_backprop(result, potentials={"first": [1.0]})
    assert found.weights[back].item() == pytest.approx(decayed[1].item() / 0.5, rel=1e-15)
    assert found.input_times["in"].item() == pytest.approx(0.5 * decayed[1].item(), rel=1e-15)


def drawn(seed: int) -> tuple[es.Network, np.random.Generator]:
    """Up to four populations; charges go to later ones, currents anywhere, half without a delay.

    Some delays end before the next number after most times.
    """
    rng = np.random.default_rng(seed)
    network = es.Network()
    network.add_input("in", 3)
    sizes = {"in": 3}
    names = [f"p{k}" for k in range(rng.integers(2, 5))]
    for name in names:
        n = sizes[name] = int(rng.integers(1, 4))
        network.add_population(
            name,
            n,
            es.LIF(
                tau_mem=rng.uniform(1.0, 4.0, n),
                tau_syn={"charge": 0.0, "current": rng.uniform(0.5, 2.0)},
                bias=rng.uniform(0.0, 0.3, n),
                rest=rng.uniform(-0.2, 0.2, n),
                refractory=rng.choice([0.0, 0.3, np.inf], p=[0.6, 0.3, 0.1], size=n),
            ),
        )
    for k, post in enumerate(names):
        for pre in ["in", *names]:
            shape = sizes[pre], sizes[post]
            for receptor, mean in (("charge", 0.5), ("current", 0.3)):
                may_be_none = receptor == "current" or pre in ["in", *names[:k]]
                none = may_be_none and rng.random() < 0.5
                delays: Any = 0.0 if none else rng.uniform(0.05, 0.8, shape)
                if not none and rng.random() < 0.1:
                    delays = VANISHING
                if rng.random() < 0.7:
                    weights = rng.normal(mean, 0.8, shape)
                    options: Any = {"receptor": receptor, "name": receptor}
                    network.connect(pre, post, weights=weights, delays=delays, **options)
    return network, rng


@given(st.integers(0, 2**32 - 1))
def test_backward_is_the_transpose_of_forward(seed: int) -> None:
    network, rng = drawn(seed)
    stimulus = {"in": es.Spikes(rng.uniform(0.0, 3.0, 8), rng.integers(0, 3, 8))}
    try:
        result = es.simulate(network, stimulus, 3.0, engine="scheduler", max_spikes=500)
    except es.ActivityError:
        assume(False)
    by_spike = {name: rng.normal(size=len(s.times)) for name, s in result.spikes.items()}
    parameters = network.parameters(KINDS[:-1])
    direction: Any = {
        kind: {
            key: {r: rng.normal(size=np.shape(v)) * (r != "charge") for r, v in value.items()}
            if isinstance(value, dict)
            else rng.normal(size=np.shape(value))
            for key, value in of_kind.items()
        }
        for kind, of_kind in parameters.items()
    }
    direction["input_times"] = {"in": rng.normal(size=8)}
    moved = gradients.jvp(result, **direction)
    ahead = [by_spike[name] * moved[name] for name in by_spike]
    sources = (result, result.causality())
    for found in [gradients.timing_backprop(s, spike_times=by_spike, wrt=KINDS) for s in sources]:
        back = [
            np.ravel(np.asarray(slopes) * change)
            for kind in KINDS
            for slopes, change in pairs(getattr(found, kind), direction[kind])
        ]
        size = sum(np.abs(part).sum() for part in [*ahead, *back])
        assert abs(np.concatenate(ahead).sum() - np.concatenate(back).sum()) <= 1e-11 * size


@given(st.integers(0, 2**32 - 1))
def test_a_graph_comes_back_from_networkx(seed: int) -> None:
    """Spikes of one time come after their causes, wherever networkx has their nodes."""
    network, rng = drawn(seed)
    stimulus = {"in": es.Spikes(np.sort(rng.uniform(0.0, 2.0, 8)), rng.integers(0, 3, 8))}
    try:
        graph = es.simulate(network, stimulus, 2.0, max_spikes=100).causality()
    except es.ActivityError:
        assume(False)
    dag, shuffled = graph.to_networkx(), nx.DiGraph()
    nodes = rng.permutation(len(graph)).tolist()
    shuffled.add_nodes_from((node, dag.nodes[node]) for node in nodes)
    shuffled.add_edges_from(dag.edges(data=True))
    found = es.CausalityGraph.from_networkx(shuffled)
    assert found.nodes[:8] == list(range(8))
    by_node = rng.normal(size=len(graph))
    back, expected = (
        gradients.timing_backprop(source, spike_times=by_spike).input_times[name]
        for source, by_spike, name in (
            (found, by_node[found.nodes[8:]], "input"),
            (graph, by_node[8:], "in"),
        )
    )
    np.testing.assert_allclose(back, expected, rtol=1e-9, atol=1e-11 * np.abs(expected).max())


def pairs(slopes: Any, changes: Any) -> list[tuple[Any, Any]]:
    """The numbers of two trees, side by side."""
    if not isinstance(changes, dict):
        return [(slopes, changes)]
    return [pair for key, change in changes.items() for pair in pairs(slopes[key], change)]
