"""Neurons that fire once, and units of a pool, in every engine and every method of gradients."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import eventsim as es
import gradients
from eventsim.model.parameters import NEURON
from tests.helpers import cases, differences
from tests.helpers.cases import assert_same_trains, decided
from tests.helpers.engines import each_engine, made_for, run
from tests.helpers.feedforward import assert_same_gradient
from tests.helpers.naive import Case
from tests.helpers.strategies import examples, networks


def firing_once(case: Case, which: list[bool], tau_ref: float = math.inf) -> Case:
    """The case where some of the neurons fire at most once; delays as all engines need them."""
    cells = tuple(
        dataclasses.replace(neuron, tau_ref=tau_ref) if once else neuron
        for neuron, once in zip(case.neurons, which, strict=False)
    )
    return made_for("windows", dataclasses.replace(case, neurons=cells))


def test_a_neuron_has_the_defaults_of_the_table() -> None:
    assert {row.name: getattr(es.LIF(), row.name) for row in NEURON} == {
        row.name: row.default for row in NEURON
    }


SOME = st.lists(st.booleans(), min_size=4, max_size=4)


@pytest.mark.parametrize("engine", ["scheduler", "windows"])
@given(networks(), SOME)
@examples(0.5)
def test_random_networks_agree_with_the_oracle(engine: str, case: Case, which: list[bool]) -> None:
    case = firing_once(case, which)
    expected = decided(case)
    result = run(engine, case)
    assert_same_trains(cases.trains(result), list(expected.spikes))
    np.testing.assert_allclose(
        result.potential(cases.ALL), expected.potentials, rtol=1e-7, atol=1e-8
    )
    np.testing.assert_allclose(result.current(cases.ALL), expected.currents, rtol=1e-9, atol=1e-9)
    counts = result.spike_counts(cases.ALL)
    assert all(n <= 1 for n, once in zip(counts, which, strict=False) if once)


@given(networks(), SOME)
@examples(0.5)
def test_firing_once_is_a_refractory_period_longer_than_the_run(
    case: Case, which: list[bool]
) -> None:
    """Also for all gradients, by the sweep and by the graph."""
    once, long = (firing_once(case, which, tau_ref) for tau_ref in (math.inf, 100.0))
    assume(decided(once).min_slope > 0.05)
    ours, theirs = run("scheduler", once), run("scheduler", long)
    np.testing.assert_array_equal(ours.spikes[cases.ALL].times, theirs.spikes[cases.ALL].times)
    at = [0.5, 1.7, case.t_stop]
    for quantity in ("potential", "current"):
        np.testing.assert_allclose(
            getattr(ours, quantity)(cases.ALL, at=at),
            getattr(theirs, quantity)(cases.ALL, at=at),
            rtol=1e-12,
            atol=1e-13,
        )
    found = [
        gradients.timing_backprop(result, **differences.cotangents(ours))
        for result in (ours, theirs, ours.causality())
    ]
    assert_same_gradient(found[0], found[1], rtol=1e-12)
    assert_same_gradient(found[2], found[1])


@given(networks(), SOME)
@examples(0.3)
def test_a_directional_derivative_knows_that_a_neuron_fires_once(
    case: Case, which: list[bool]
) -> None:
    case = firing_once(case, which)
    assume(decided(case).min_slope > 0.05)
    result = run("scheduler", case)
    a = differences.cotangents(result)["spike_times"]
    found = gradients.timing_backprop(result, spike_times=a)
    weights = {}
    for key, by_weight in found.weights.items():
        weights[key] = by_weight.copy()
        weights[key].data = np.cos(np.arange(by_weight.nnz))
    n = len(case.neurons)
    rest = {name: {cases.ALL: np.cos(1.0 + np.arange(n))} for name in ("bias", "threshold")}
    moved = gradients.jvp(result, weights=weights, **rest)
    backward = sum(float(found.weights[key].data @ weights[key].data) for key in weights)
    backward += sum(float(getattr(found, k)[cases.ALL] @ rest[k][cases.ALL]) for k in rest)
    scale = 1.0 + np.abs(moved[cases.ALL]).max(initial=0.0)
    forward = float(moved[cases.ALL] @ a[cases.ALL])
    assert forward == pytest.approx(backward, rel=1e-9, abs=1e-9 * scale)


@each_engine
@pytest.mark.parametrize(
    ("tau_mem", "tau_syn"), [(1.0, 1.0), (1.0, 0.5), (np.inf, 1.0), (1.0, np.inf), (1.0, 2.0)]
)
def test_what_comes_after_the_only_spike_changes_the_current_alone(
    engine: str, tau_mem: float, tau_syn: float
) -> None:
    network = es.Network()
    network.add_input("in", 1)
    network.add_population("p", 1, es.LIF(tau_mem, tau_syn, refractory=np.inf, bias=0.1))
    network.connect("in", "p", weights=[[4.0]])
    stimulus = {"in": es.Spikes([0.0, 0.9, 1.5], [0, 0, 0])}
    result = es.simulate(network, stimulus, 2.0, engine=engine)
    (spike,) = result.spikes["p"].times
    assert 0.2 < spike < 0.9
    at = np.array([0.95 * spike, spike, 1.0, 2.0])
    potential = result.potential("p", at=at)[:, 0]
    assert potential[0] > 0.8
    np.testing.assert_array_equal(potential[1:], np.zeros(3))
    assert result.potential("p")[0] == 0.0
    arrivals = [(t, 4.0) for t in (0.0, 0.9, 1.5)]
    for t, current in zip(at, result.current("p", at=at)[:, 0], strict=True):
        expected = sum(w * np.exp(-(t - a) / tau_syn) for a, w in arrivals if a <= t)
        assert current == pytest.approx(expected, rel=1e-12)
    assert result.current("p") == pytest.approx(result.current("p", at=2.0), rel=1e-12)


def test_a_run_of_neurons_that_fired_can_be_resumed() -> None:
    network = es.Network()
    network.add_input("in", 1)
    network.add_population("p", 2, es.LIF(refractory=np.inf, threshold=[1.0, 4.0]))
    network.connect("in", "p", weights=[[9.0, 9.0]])
    for engine in ("scheduler", "windows", "layered"):
        early, late = es.Spikes([0.0], [0]), es.Spikes([1.0, 1.1, 1.2], [0, 0, 0])
        half = es.simulate(network, {"in": early}, 0.5, engine=engine)
        assert half.spike_counts("p").tolist() == [1, 0]
        found = es.simulate(network, {"in": late}, 3.0, resume=half)
        both = es.Spikes([0.0, 1.0, 1.1, 1.2], [0] * 4)
        expected = es.simulate(network, {"in": both}, 3.0, engine=engine)
        assert expected.spike_counts("p").tolist() == [1, 1]
        np.testing.assert_array_equal(found.spikes["p"].times, expected.spikes["p"].times)
        np.testing.assert_array_equal(found.current("p"), expected.current("p"))


# --- units of a pool ------------------------------------------------------------------------------


@each_engine
def test_a_unit_of_a_pool_fires_with_its_earliest_input(engine: str) -> None:
    network = es.Network()
    network.add_input("in", 3)
    network.add_population("pool", 2, es.LIF.earliest())
    network.add_population("scale", 1, es.LIF())  # windows need a scale of time
    network.connect("in", "pool", weights=[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    times, sources = [0.7, 0.25, 0.25, 0.9], [0, 1, 0, 1]
    result = es.simulate(network, {"in": es.Spikes(times, sources)}, 2.0, engine=engine)
    assert result.spikes["pool"].indices.tolist() == [0]
    np.testing.assert_array_equal(result.spikes["pool"].times, [0.25])


@each_engine
@pytest.mark.parametrize("time", [0.0, 0.3, 1.0, 2.0])
def test_a_unit_of_a_pool_fires_at_the_end_too_and_once(engine: str, time: float) -> None:
    """What comes at t_stop happens; a resumed run is the same as a whole one."""
    network = es.Network()
    network.add_input("in", 2)
    network.add_population("pool", 1, es.LIF.earliest())
    network.add_population("scale", 1, es.LIF())  # windows need a scale of time
    network.connect("in", "pool", weights=[[1.0], [1.0]])
    stimulus = {"in": es.Spikes([time, time], [0, 1])}
    ended = es.simulate(network, stimulus, time, engine=engine)
    resumed = es.simulate(network, {}, 2.0, resume=ended)
    for result in (ended, resumed, es.simulate(network, stimulus, 2.0, engine=engine)):
        np.testing.assert_array_equal(result.spikes["pool"].times, [time])
        np.testing.assert_array_equal(result.first_spikes("pool"), [time])
        gradient = gradients.timing_backprop(result, first_spikes={"pool": [1.0]})
        np.testing.assert_array_equal(gradient.input_times["in"], [0.5, 0.5])
        graph = es.CausalityGraph.from_spikes(network, stimulus, result.spikes)
        np.testing.assert_array_equal(graph.times, result.causality().times)


@pytest.mark.parametrize("engine", ["scheduler", "layered"])
@pytest.mark.parametrize("t_stop", [0.3, 2.0])
def test_pools_of_pools_fire_at_the_time_of_their_first_cause(engine: str, t_stop: float) -> None:
    network = es.Network()
    network.add_input("in", 4)
    for name, n in (("c", 1), ("b", 2), ("a", 4)):  # each is numbered before what sets it off
        network.add_population(name, n, es.LIF.earliest())
    network.connect("in", "a", weights=np.eye(4))
    network.connect("a", "b", weights=es.pooling((1, 2, 2), 1).toarray()[:, :2])
    network.connect("b", "c", weights=np.ones((2, 1)))
    network.connect("in", "c", weights=[[0.0], [0.0], [0.0], [1.0]])
    stimulus = {"in": es.Spikes([0.3, 0.3, 0.5, 0.4], [0, 1, 2, 3])}
    result = es.simulate(network, stimulus, t_stop, engine=engine)
    for name in ("a", "b"):
        np.testing.assert_array_equal(result.first_spikes(name)[:2], [0.3, 0.3])
    np.testing.assert_array_equal(result.first_spikes("c"), [0.3])
    exact = gradients.timing_backprop(result, first_spikes={"c": [1.0]}).input_times["in"]
    np.testing.assert_allclose(exact, [0.5, 0.5, 0.0, 0.0], rtol=1e-15)
    graph = es.CausalityGraph.from_spikes(network, stimulus, result.spikes)
    ones = {"c": np.ones(1)}
    of_graph = gradients.timing_backprop(graph, spike_times=ones).input_times["in"]
    np.testing.assert_allclose(of_graph, exact, rtol=1e-15)


def test_a_pool_on_the_edge_of_a_window_fires_with_its_cause() -> None:
    network = es.Network()
    network.add_input("in", 2)
    network.add_population("pool", 2, es.LIF.earliest())
    network.add_population("out", 1, es.LIF(10.0, 10.0))
    network.connect("in", "pool", weights=np.eye(2))
    network.connect("pool", "out", weights=[[0.1], [0.1]], delays=1.0)
    stimulus = {"in": es.Spikes([1.5, 2.0], [0, 1])}
    for t_stop in (2.0, 3.0):
        result = es.simulate(network, stimulus, t_stop, engine="windows")
        np.testing.assert_array_equal(result.first_spikes("pool"), [1.5, 2.0])


@pytest.mark.parametrize("engine", ["scheduler", "layered"])
def test_an_early_end_keeps_a_pool_that_fires_at_the_very_end(engine: str) -> None:
    network = es.Network()
    network.add_input("in", 2)
    network.add_population("pool", 2, es.LIF.earliest())
    network.add_population("silent", 1, es.LIF(threshold=np.inf))
    network.connect("in", "pool", weights=np.eye(2))
    stimulus = {"in": es.Spikes([1.0, 2.0], [0, 1])}
    for awaited in ("pool", "silent"):
        result = es.simulate(network, stimulus, 2.0, engine=engine, until_fired=awaited)
        np.testing.assert_array_equal(result.first_spikes("pool"), [1.0, 2.0])


@pytest.mark.parametrize("engine", ["scheduler", "layered"])
@pytest.mark.parametrize("t_stop", [0.0, 1.0, 3.0])
def test_a_pool_at_the_very_end_makes_no_run_longer(engine: str, t_stop: float) -> None:
    network = es.Network()
    network.add_input("in", 1)
    network.add_population("pool", 1, es.LIF.earliest())
    network.connect("in", "pool", weights=[[1.0]])
    stimulus = {"in": es.Spikes([t_stop], [0])}
    result = es.simulate(network, stimulus, t_stop, engine=engine, until_fired="pool")
    assert (result.t_stop, result.spikes["pool"].times.tolist()) == (t_stop, [t_stop])


def test_a_pool_may_stand_in_a_loop() -> None:
    """Excitation goes round through the pool once, and never again."""
    network = es.Network()
    network.add_input("in", 4)
    network.add_population("p", 4, es.LIF())
    network.add_population("pool", 1, es.LIF.earliest())
    network.connect(
        "in", "p", weights=9.0 * np.eye(4), delays=[[0.1 * (i + 1)] * 4 for i in range(4)]
    )
    network.connect("p", "pool", weights=es.pooling((1, 2, 2), 2))
    network.connect("pool", "p", weights=np.full((1, 4), 30.0), delays=2.0)
    stimulus = {"in": es.Spikes([0.0, 0.0], [2, 3])}
    result = es.simulate(network, stimulus, 4.0, engine="scheduler")
    (first,) = result.spikes["pool"].times
    assert first == pytest.approx(result.first_spikes("p").min(), rel=1e-15)
    after = result.spikes["p"].times[result.spikes["p"].times > first + 2.0]
    assert set(result.spikes["p"].indices[-4:].tolist()) == {0, 1, 2, 3}
    assert after.min() == pytest.approx(first + 2.0, abs=0.05)


@pytest.mark.parametrize("reset", [0.0, -0.5, 0.5])
def test_a_threshold_at_reset_is_for_neurons_that_fire_once(reset: float) -> None:
    threshold = [reset, reset + 1.0]
    mixed = es.LIF(threshold=threshold, reset=reset, refractory=[np.inf, 0.1])
    assert mixed.is_pool.tolist() == [True, False]
    with pytest.raises(ValueError, match=rf"threshold must be > reset \(or equal.*got {reset}"):
        es.LIF(threshold=threshold, reset=reset, refractory=[0.1, np.inf])


def test_parameters_are_kept_read_only() -> None:
    tau = np.array([1.0, 2.0])
    lif = es.LIF(tau_mem=tau, refractory=np.inf)
    tau[0] = 9.0
    assert lif.tau_mem.tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="read-only"):
        lif.tau_mem[0] = 3.0
    arrays = lif.arrays(2)
    assert arrays["refractory"].tolist() == [np.inf, np.inf]
    with pytest.raises(
        ValueError, match=r"tau_mem must be a scalar or have shape \(3,\), got \(2,\)"
    ):
        lif.arrays(3)
