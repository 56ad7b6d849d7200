"""Errors and results go from one process to another and stay what they are."""

from __future__ import annotations

import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

import eventsim as es
import gradients

ENGINES = ("scheduler", "windows", "layered")
STIMULUS = {"in": es.Spikes([0.0, 0.3], [0, 0])}


def small_network() -> es.Network:
    network = es.Network()
    network.add_input("in", 1)
    network.add_population("out", 2, es.LIF(tau_mem=1.0, tau_syn=2.0, refractory=0.1))
    network.connect("in", "out", weights=[[30.0, 20.0]])
    return network


def run_away(engine: str) -> es.Result:
    return es.simulate(small_network(), STIMULUS, 2.0, engine=engine, max_spikes=3)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_activity_error_survives_pickling(engine: str) -> None:
    with pytest.raises(es.ActivityError) as raised:
        run_away(engine)
    error = raised.value
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error)
    for name in ("sample", "population", "neuron", "time", "count"):
        assert getattr(copy, name) == getattr(error, name)
    np.testing.assert_array_equal(copy.result.batch.record.time, error.result.batch.record.time)


@pytest.mark.jit
@pytest.mark.slow
def test_an_activity_error_comes_out_of_a_process() -> None:
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        pytest.raises(es.ActivityError, match="max_spikes = 3"),
    ):
        pool.submit(run_away, "scheduler").result(timeout=300)


@pytest.mark.parametrize("engine", ENGINES)
def test_results_survive_pickling(engine: str) -> None:
    network = small_network()
    batch = es.simulate(network, [STIMULUS, STIMULUS], 2.0, engine=engine)
    for result in (batch, batch[1]):
        copy = pickle.loads(pickle.dumps(result))
        np.testing.assert_array_equal(copy.spikes["out"].times, result.spikes["out"].times)
        np.testing.assert_array_equal(copy.potential("out"), result.potential("out"))
        ours, theirs = (
            es.simulate(one.network, {}, 3.0, resume=one).spikes["out"].times
            for one in (copy, result)
        )
        np.testing.assert_array_equal(ours, theirs)
    graph = pickle.loads(pickle.dumps(batch[0].causality()))
    ones = {"out": np.ones(graph.times.size)}
    gradient = gradients.timing_backprop(graph, spike_times=ones)
    kept = pickle.loads(pickle.dumps(gradient))
    np.testing.assert_array_equal(kept.weights["in", "out"], gradient.weights["in", "out"])
