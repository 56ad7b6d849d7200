"""Errors and results go from one process to another and stay what they are."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest

import eventsim as es
import gradients
from tests.helpers.engines import each_engine

STIMULUS = {"in": es.Spikes([0.0, 0.3], [0, 0])}
COPIES = (lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy, copy.copy)


def small_network() -> es.Network:
    network = es.Network()
    network.add_input("in", 1)
    network.add_population("out", 2, es.LIF(tau_mem=1.0, tau_syn=2.0, refractory=0.1))
    network.connect("in", "out", weights=[[30.0, 20.0]])
    return network


def run_away(engine: str) -> es.Result:
    return es.simulate(small_network(), STIMULUS, 2.0, engine=engine, max_spikes=3)


@each_engine
def test_an_activity_error_survives_pickling(engine: str) -> None:
    with pytest.raises(es.ActivityError) as raised:
        run_away(engine)
    error = raised.value
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    for name in ("sample", "population", "neuron", "time", "count"):
        assert getattr(again, name) == getattr(error, name)
    np.testing.assert_array_equal(again.result.batch.record.time, error.result.batch.record.time)


@pytest.mark.jit
@pytest.mark.slow
def test_an_activity_error_comes_out_of_a_process() -> None:
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        pytest.raises(es.ActivityError, match="max_spikes = 3"),
    ):
        pool.submit(run_away, "scheduler").result(timeout=300)


def arrays_of(value: object) -> list[np.ndarray]:
    names = ("times", "indices", "offsets", "sources", "tau_mem", "kernel", "weights")
    found = (getattr(value, name, None) for name in names)
    return [array for array in found if isinstance(array, np.ndarray)]


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize(
    "value",
    [
        es.Spikes([0.5, 0.1], [0, 1]),
        es.SpikeBatch([0.5, 0.1], [0, 1], [0, 1], 2),
        es.SpikeBatch([0.5, 0.1], [0, 1], [1, 0], 2)[:1],
        es.LIF(tau_mem=[1.0, 2.0]),
        es.Convolution(np.ones((1, 1, 2, 2)), (3, 3)),
        small_network().projections["in", "out"],
        es.simulate(small_network(), STIMULUS, 1.0).batch.stimulus,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_read_only_is_so_in_a_copy(value: object, copied: Callable[..., Any]) -> None:
    arrays, copies = arrays_of(value), arrays_of(copied(value))
    assert len(copies) == len(arrays) > 0
    for array, other in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, other)
        assert not other.flags.writeable


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize("is_grown", [True, False], ids=["original", "copy"])
def test_what_is_added_to_a_network_is_not_in_its_copy(
    copied: Callable[[es.Network], es.Network], is_grown: bool
) -> None:
    original = small_network()
    before = es.simulate(original, STIMULUS, 1.0)
    other = copied(original)
    grown, other = (original, other) if is_grown else (other, original)
    grown.add_population("driven", 1, es.LIF(tau_mem=1.0, bias=2.0))
    assert len(es.simulate(grown, STIMULUS, 1.0).spikes["driven"]) == 1
    after = es.simulate(other, STIMULUS, 1.0)
    assert list(after.spikes) == ["out"]
    np.testing.assert_array_equal(after.spikes["out"].times, before.spikes["out"].times)


@pytest.mark.parametrize("engine", ["scheduler", "windows"])
def test_parts_survive_pickling(engine: str) -> None:
    network = small_network()
    *_, batch = es.stream(network, [STIMULUS, STIMULUS], 1.0, chunk=0.25, engine=engine)
    for part in (batch, batch[1]):
        again = pickle.loads(pickle.dumps(part))
        np.testing.assert_array_equal(again.potential("out"), part.potential("out"))
        ours, theirs = (
            es.simulate(one.network, {}, 3.0, resume=one, history=False).spikes["out"].times
            for one in (again, part)
        )
        np.testing.assert_array_equal(ours, theirs)


@each_engine
def test_results_survive_pickling(engine: str) -> None:
    network = small_network()
    batch = es.simulate(network, [STIMULUS, STIMULUS], 2.0, engine=engine)
    for result in (batch, batch[1]):
        again = pickle.loads(pickle.dumps(result))
        np.testing.assert_array_equal(again.spikes["out"].times, result.spikes["out"].times)
        np.testing.assert_array_equal(again.potential("out"), result.potential("out"))
        ours, theirs = (
            es.simulate(one.network, {}, 3.0, resume=one).spikes["out"].times
            for one in (again, result)
        )
        np.testing.assert_array_equal(ours, theirs)
    graph = pickle.loads(pickle.dumps(batch[0].causality()))
    ones = {"out": np.ones(graph.times.size)}
    gradient = gradients.timing_backprop(graph, spike_times=ones)
    kept = pickle.loads(pickle.dumps(gradient))
    np.testing.assert_array_equal(kept.weights["in", "out"], gradient.weights["in", "out"])
