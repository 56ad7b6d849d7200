"""What `simulate` checks, and what its results keep."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

import eventsim as es
import gradients
from eventsim import simulation


def chain(weight: float = 9.0) -> es.Network:
    """An input drives a, a drives b without delay."""
    network = es.Network()
    network.add_input("in", 1)
    network.add_population("a", 1, es.LIF())
    network.add_population("b", 1, es.LIF())
    network.connect("in", "a", weights=[[weight]])
    network.connect("a", "b", weights=[[1.0]])
    return network


STIMULUS = {"in": es.Spikes([0.0], [0])}


def test_a_result_does_not_see_what_is_added_to_its_network() -> None:
    network = chain()
    result = es.simulate(network, STIMULUS, 2.0)
    before = result.potential("a", at=0.05)
    network.connect("in", "a", weights=[[1.0]])
    np.testing.assert_array_equal(result.potential("a", at=0.05), before)
    with pytest.raises(ValueError, match="this network"):
        es.simulate(network, {}, 3.0, resume=result)


def test_an_early_end_lets_the_events_of_its_time_happen() -> None:
    result = es.simulate(chain(), STIMULUS, 2.0, until_fired="a")
    assert result.t_stop == result.spikes["a"].times[-1]
    np.testing.assert_allclose(result.current("b"), [1.0], rtol=1e-14)
    replayed = result.current("b", at=[result.t_stop])[0]
    np.testing.assert_allclose(result.current("b"), replayed, rtol=1e-14)


def test_both_methods_agree_on_a_potential_at_the_time_of_a_spike() -> None:
    result = es.simulate(chain(), STIMULUS, 2.0, until_fired="a")
    sweep = gradients.timing_backprop(result, potentials={"a": [1.0]})
    graph = gradients.timing_backprop(result.causality(), potentials={"a": [1.0]})
    np.testing.assert_allclose(sweep.weights["in", "a"], graph.weights["in", "a"], rtol=1e-10)


def test_an_early_end_and_resume_exclude_each_other() -> None:
    network = chain()
    result = es.simulate(network, STIMULUS, 0.05)
    with pytest.raises(ValueError, match="until_fired must be None with resume, got 'a'"):
        es.simulate(network, {}, 2.0, until_fired="a", resume=result)


def test_a_run_that_exceeds_its_cap_ends_where_it_stopped() -> None:
    network = es.Network()
    network.add_population("p", 1, es.LIF(bias=50.0))
    with pytest.raises(es.ActivityError) as caught:
        es.simulate(network, {}, 10.0, max_spikes=3, engine="scheduler")
    assert caught.value.result.t_stop == caught.value.time
    assert caught.value.result.potential("p")[0] <= 1.0 + 1e-12


def test_a_list_is_a_batch_even_without_inputs() -> None:
    network = es.Network()
    network.add_population("p", 1, es.LIF(bias=50.0))
    assert len(es.simulate(network, [{}, {}, {}], 0.1)) == 3


@pytest.mark.parametrize(
    ("stimulus", "message"),
    [
        ([{"in": es.SpikeBatch([0.1], [0], [0], 1)}], "in a list must be Spikes"),
        ([{"in": [0.5]}], r"\[0\.5\]"),
        ({"in": es.SpikeBatch([0.1], [0], [0], 1)[[]]}, "at least one sample"),
    ],
)
def test_bad_batches_are_refused(stimulus: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        es.simulate(chain(), stimulus, 1.0)  # type: ignore[call-overload]


@pytest.mark.parametrize("t_stop", [[1.0, 2.0], True, None])
def test_the_end_is_a_single_number(t_stop: object) -> None:
    with pytest.raises(ValueError, match="t_stop must be"):
        es.simulate(chain(), STIMULUS, t_stop)  # type: ignore[call-overload]


def test_times_of_potentials_are_one_dimensional() -> None:
    with pytest.raises(ValueError, match=r"\(2, 2\)"):
        es.simulate(chain(), STIMULUS, 1.0).potential("a", at=[[0.1, 0.2], [0.3, 0.4]])


def test_a_gradient_does_not_share_its_structure_with_the_network() -> None:
    network = es.Network()
    network.add_input("in", 2)
    network.add_population("p", 2, es.LIF())
    key = network.connect("in", "p", weights=scipy.sparse.csr_array([[4.0, 3.0], [5.0, 2.0]]))
    result = es.simulate(network, STIMULUS, 1.0)
    found = gradients.timing_backprop(result, potentials={"p": [1.0, 1.0]}).weights[key]
    found.eliminate_zeros()
    assert network.projections[key].weights.nnz == 4


def test_kernels_of_another_model_need_neurons_without_refractory_period() -> None:
    network = es.Network()
    network.add_input("in", 1)
    network.add_population("p", 1, es.LIF(1.0, 1.0, refractory=0.25))
    network.connect("in", "p", weights=[[12.0]])
    graph = es.simulate(network, STIMULUS, 1.0).causality()
    kernels = gradients.SRM(
        lambda t: t * np.exp(-t),
        lambda t: (1.0 - t) * np.exp(-t),
        lambda t: np.exp(-t),
        lambda t: -np.exp(-t),
    )
    with pytest.raises(ValueError, match=r"refractory must be 0 with SRM kernels, got 0\.25"):
        gradients.jacobian(graph, kernels=kernels)


def test_no_tangent_moves_no_spike() -> None:
    result = es.simulate(chain(), STIMULUS, 1.0)
    moved = gradients.jvp(result, weights={})["a"]
    assert moved.size > 0
    assert not np.any(moved)


@pytest.mark.parametrize("change", [{"bias": {"a": np.nan}}, {"input_times": {"in": [np.nan]}}])
def test_tangents_must_be_finite(change: dict[str, object]) -> None:
    result = es.simulate(chain(), STIMULUS, 1.0)
    with pytest.raises(ValueError, match="nan"):
        gradients.jvp(result, **change)  # type: ignore[arg-type]


def test_a_graph_ends_no_earlier_than_its_last_spike() -> None:
    with pytest.raises(ValueError, match=r"-1\.0"):
        es.CausalityGraph.from_spikes(chain(), STIMULUS, {"a": es.Spikes([0.2], [0])}, t_stop=-1.0)


@pytest.mark.parametrize("engine", ["scheduler", "windows"])
@given(st.floats(10.0, 1000.0), st.integers(1, 40), st.integers(1, 40))
def test_charges_over_two_ways_of_equal_length_meet_if_delays_are_binary_fractions(
    engine: str, time: float, first: int, second: int
) -> None:
    """Sums of times are rounded once at most, as the ways are shorter than the time."""
    a, b = first / 8.0, second / 8.0
    net = es.Network()
    net.add_input("in", 1)
    for name in ("relay", "out"):
        net.add_population(name, 1, es.LIF(tau_mem=10.0, tau_syn=0.0))
    net.connect("in", "relay", weights=[[2.0]], delays=a)
    net.connect("relay", "out", weights=[[1.5]], delays=b)
    net.connect("in", "out", weights=[[-1.0]], delays=a + b)
    result = es.simulate(net, {"in": es.Spikes([time], [0])}, 1100.0, engine=engine)
    assert result.spike_counts("relay").tolist() == [1]
    assert result.spike_counts("out").tolist() == [0]


def test_stretches_stay_short_where_more_spikes_are_under_way_than_one_may_have(monkeypatch):
    net = es.Network()
    net.add_poisson("ext", 4, rate=5.0, seed=1)
    net.add_population("p", 4, es.LIF())
    net.connect("ext", "p", weights=0.01 * np.eye(4), delays=5.0)  # 100 spikes are under way
    sizes = []

    def advanced(job, real=simulation._advanced):
        part, excess = real(job)
        sizes.append(part.stimulus.times.size)
        return part, excess

    monkeypatch.setattr(simulation, "MOST_AT_ONCE", 20)
    monkeypatch.setattr(simulation, "_advanced", advanced)
    es.simulate(net, {}, 200.0, record=[])
    assert max(sizes) < 300
    assert len(sizes) < 1000
