"""What a run hands back: potentials and currents at any time, counts, first spikes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given

import eventsim as es
from tests.helpers import cases, naive
from tests.helpers.engines import each_engine
from tests.helpers.naive import Case
from tests.helpers.strategies import examples, networks


@given(networks())
@examples(0.3)
def test_the_state_at_t_stop_is_the_same_however_it_is_asked_for(case: Case) -> None:
    with cases.drawn_again_if_endless():
        result = cases.build(case).run(max_spikes=cases.MANY_SPIKES)
    scale = 1.0 + np.abs(result.potential(cases.ALL)).max(initial=0.0)
    asked = result.potential(cases.ALL, at=[case.t_stop])[0]
    np.testing.assert_allclose(asked, result.potential(cases.ALL), rtol=1e-11, atol=1e-11 * scale)
    asked = result.current(cases.ALL, at=[case.t_stop])[0]
    np.testing.assert_allclose(asked, result.current(cases.ALL), rtol=1e-11, atol=1e-11)


def test_current_while_refractory_with_a_fast_synapse() -> None:
    neuron = naive.Neuron(1000.0, 1.0, 1.0, tau_ref=1.0)
    result = cases.build(Case((neuron,), ((-1, 0, 5000.0, 0.0),), ((0, 0.0),), 0.5)).run()
    assert len(result.spikes[cases.ALL]) == 1
    at = np.array([0.0005, 0.01, 0.3])
    np.testing.assert_allclose(
        result.current(cases.ALL, at=at)[:, 0], 5000.0 * np.exp(-1000.0 * at), rtol=1e-12
    )
    np.testing.assert_array_equal(result.potential(cases.ALL, at=at)[:, 0], 0.0)
    early = cases.build(Case((neuron,), ((-1, 0, 5000.0, 0.0),), ((0, 0.0),), 0.01)).run()
    np.testing.assert_allclose(early.current(cases.ALL), 5000.0 * math.exp(-10.0), rtol=1e-12)


@given(networks())
@examples(0.3)
def test_first_spikes_and_counts_summarise_the_trains(case: Case) -> None:
    with cases.drawn_again_if_endless():
        result = cases.build(case).run(max_spikes=cases.MANY_SPIKES)
    found = cases.trains(result)
    for i in range(len(case.neurons)):
        own = [t for neuron, t in found if neuron == i]
        assert result.spike_counts(cases.ALL)[i] == len(own)
        assert result.first_spikes(cases.ALL)[i] == min(own, default=math.inf)


def test_a_batch_gains_a_leading_axis() -> None:
    case = cases.load("recurrent_delays").case
    network = cases.build(case).network
    batch = es.simulate(network, [{cases.IN: cases.spikes_of(case.inputs)}, {}], case.t_stop)
    n = len(case.neurons)
    assert len(batch) == 2
    assert batch.potential(cases.ALL).shape == (2, n)
    assert batch.potential(cases.ALL, at=[0.1, 0.2, 0.3]).shape == (2, 3, n)
    assert batch.current(cases.ALL, at=0.1).shape == (2, n)
    assert batch.first_spikes(cases.ALL).shape == (2, n)
    assert batch.spike_counts(cases.ALL).shape == (2, n)
    assert np.isinf(batch.first_spikes(cases.ALL)[1]).all()
    np.testing.assert_array_equal(
        batch.potential(cases.ALL, at=[1.0, 2.0])[0], batch[0].potential(cases.ALL, at=[1.0, 2.0])
    )
    assert batch[-1].spikes[cases.ALL].times.size == 0
    with pytest.raises(IndexError):
        batch[2]


def three_samples(engine: str = "auto") -> es.BatchResult:
    network = es.Network()
    network.add_input("in", 2)
    network.add_population("p", 3, es.LIF(tau_mem=1.0, tau_syn=1.0))
    network.connect("in", "p", weights=np.full((2, 3), 4.0))
    latencies = es.SpikeBatch.from_latencies([[0.0, 0.5], [math.inf, math.inf], [0.25, 0.25]])
    return es.simulate(network, {"in": latencies}, 1.0, engine=engine)


@each_engine
@pytest.mark.parametrize(
    "which",
    [slice(0, 1), slice(None), slice(None, None, -2), [2, 0, 2], np.array([-1]), (1,),
     np.array([True, False, True])],
)  # fmt: skip
def test_a_batch_of_some_samples_holds_what_each_of_them_holds(engine: str, which: Any) -> None:
    batch = three_samples(engine)
    part = batch[which]
    chosen = np.arange(3)[list(which) if isinstance(which, tuple) else which]
    assert isinstance(part, es.BatchResult)
    assert len(part) == chosen.size
    for k, sample in enumerate(chosen.tolist()):
        for one in (part[k], batch[np.int64(sample)]):
            assert isinstance(one, es.Result)
            assert one.spikes["p"].n_samples is None
            np.testing.assert_array_equal(
                one.spikes["p"].times, batch.spikes["p"].times[batch.samples == sample]
            )
        np.testing.assert_array_equal(
            part.potential("p", 0.7)[k], batch.potential("p", 0.7)[sample]
        )
    resumed = es.simulate(batch.network, {}, 2.0, resume=part)
    whole = es.simulate(batch.network, {}, 2.0, resume=batch)
    np.testing.assert_array_equal(resumed.potential("p"), whole.potential("p")[chosen])


@pytest.mark.parametrize("at", [None, 0.7, [2.0, 0.1]])
@pytest.mark.parametrize("chosen", [[2], [2, 0, 2], []])
def test_states_of_some_neurons_are_those_of_all(at: Any, chosen: list[int]) -> None:
    network = es.Network()
    network.add_input("in", 2)
    network.add_population("before", 2, es.LIF())
    network.add_population("out", 3, es.LIF(tau_mem=2.0, tau_syn=1.0, reset=-0.25))
    network.connect("in", "out", weights=[[3.0, 1.0, 0.5], [0.5, 2.0, 4.0]])
    spikes = es.SpikeBatch([0.0, 0.5, 1.0], [0, 1, 0], [0, 0, 1], 2)
    batch = es.simulate(network, {"in": spikes}, 2.0)
    for quantity in ("potential", "current"):
        whole = getattr(batch, quantity)("out", at)
        some = getattr(batch, quantity)("out", at, neurons=chosen)
        np.testing.assert_array_equal(some, whole[..., np.array(chosen, dtype=int)])


def test_a_batch_is_a_sequence_of_results() -> None:
    batch = three_samples()
    assert [len(one.spikes["p"]) for one in batch] == np.bincount(
        batch.samples, minlength=3
    ).tolist()


@pytest.mark.parametrize(
    ("which", "error", "message"),
    [
        (3, IndexError, r"sample must be in \[-3, 3\), got 3"),
        ([0, -4], IndexError, r"sample must be in \[-3, 3\), got -4"),
        (np.uint64(2**63 + 1), IndexError, "got 9223372036854775809"),
        (1.0, ValueError, r"sample must be an integer.*got 1\.0"),
        (True, ValueError, "sample must be numbers, not flags, got True"),
        ("a", ValueError, "got 'a'"),
        (slice("a"), ValueError, r"got slice\(None, 'a', None\)"),
        ([[0]], ValueError, r"got \[\[0\]\]"),
        (np.array([True, False]), ValueError, "flags, got array"),
        (slice(2, 2), ValueError, r"at least one of 3, got slice\(2, 2"),
    ],
)
def test_there_are_no_other_samples(which: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        three_samples()[which]


def test_recorded_spikes_are_a_stimulus() -> None:
    batch = three_samples()
    network = es.Network()
    network.add_input("p", 3)
    network.add_population("next", 1, es.LIF(threshold=math.inf))
    network.connect("p", "next", weights=np.ones((3, 1)))
    found = es.simulate(network, batch.spikes, 1.0)
    assert isinstance(found, es.BatchResult)
    listed = es.simulate(network, [one.spikes for one in batch], 1.0)
    np.testing.assert_array_equal(listed.potential("next"), found.potential("next"))
    for k, one in enumerate(batch):
        alone = es.simulate(network, one.spikes, 1.0)
        assert isinstance(alone, es.Result)
        np.testing.assert_array_equal(alone.potential("next"), found.potential("next")[k])
        copied = es.Spikes(one.spikes["p"].times, one.spikes["p"].indices)
        again = es.simulate(network, {"p": copied}, 1.0)
        np.testing.assert_array_equal(alone.potential("next"), again.potential("next"))
    with pytest.raises(ValueError, match=r"stimulus\[0\]\['p'\] in a list must be Spikes"):
        es.simulate(network, [batch.spikes], 1.0)


def test_two_populations_are_read_apart() -> None:
    network = es.Network()
    network.add_population("a", 2, es.LIF(tau_mem=np.inf, bias=[1.0, 2.0]))
    network.add_population("b", 1, es.LIF(tau_mem=np.inf, bias=4.0))
    result = es.simulate(network, {}, 1.125)
    assert result.spikes["a"].times.tolist() == [0.5, 1.0, 1.0]
    assert result.spikes["a"].indices.tolist() == [1, 0, 1]
    assert result.spikes["a"].slopes.tolist() == [2.0, 1.0, 2.0]
    assert result.spikes["b"].times.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert result.spikes["b"].indices.tolist() == [0, 0, 0, 0]
    np.testing.assert_array_equal(result.potential("b"), [0.5])
    np.testing.assert_array_equal(result.potential("a"), [0.125, 0.25])
    assert result.spike_counts("b").tolist() == [4]
    assert result.t_stop == 1.125
    assert result.network.is_same(network)
