"""What is special to the scheduler: ties at zero delay, arrays shared by samples, early ends."""

from __future__ import annotations

import math

import numpy as np
import pytest

import eventsim as es
from tests.helpers import cases, naive
from tests.helpers.engines import excitable
from tests.helpers.models import assert_identical
from tests.helpers.naive import Case


def test_neurons_alike_fire_together_in_the_order_of_their_numbers() -> None:
    """Zero-delay inhibition from the first comes after the simultaneous spike of the second."""
    neurons = (naive.Neuron(1.0, 1.0),) * 3
    inputs = tuple((-1, post, 5.0, 0.0) for post in range(3))
    inhibition = tuple((i, j, -9.0, 0.0) for i in range(3) for j in range(3) if i != j)
    result = cases.build(Case(neurons, inputs + inhibition, ((0, 0.0),), 0.5)).run()
    found = cases.trains(result)
    assert [i for i, _ in found] == [0, 1, 2]
    assert len({t for _, t in found}) == 1


@pytest.mark.jit
def test_samples_of_any_length_are_those_of_runs_of_their_own() -> None:
    """Some share arrays, some outgrow them, some begin with more inputs than fit."""
    rng = np.random.default_rng(0)
    network = excitable("scheduler")
    n_inputs = [0, 5, 3000, 40, 0, 1500, 10, 2500]
    samples = []
    for k, n in enumerate(n_inputs):
        sources = rng.integers(0, k % 3 == 0, n, endpoint=True)
        samples.append({"in": es.Spikes(np.sort(rng.uniform(0.0, 50.0, n)), sources)})
    cap = 10_000_000
    run = {"engine": "scheduler", "max_spikes": cap}
    alone = [es.simulate(network, one, 60.0, **run) for one in samples]
    sizes = [one.batch.record.time.size for one in alone]
    assert min(sizes) == 0
    assert sum(size > 1024 for size in sizes) >= 2
    for threads in (1, 2):
        batch = es.simulate(network, samples, 60.0, threads=threads, **run)
        for k, expected in enumerate(alone):
            assert_identical(batch[k].batch, expected.batch)
        half = es.simulate(network, [until(one, 25.0) for one in samples], 25.0, **run)
        rest = [after(one, 25.0) for one in samples]
        resumed = es.simulate(network, rest, 60.0, resume=half, threads=threads)
        for k, expected in enumerate(alone):
            assert_identical(resumed[k].batch, expected.batch)


def until(sample: dict[str, es.Spikes], t: float) -> dict[str, es.Spikes]:
    spikes = sample["in"]
    return {"in": es.Spikes(spikes.times[spikes.times <= t], spikes.indices[spikes.times <= t])}


def after(sample: dict[str, es.Spikes], t: float) -> dict[str, es.Spikes]:
    spikes = sample["in"]
    return {"in": es.Spikes(spikes.times[spikes.times > t], spikes.indices[spikes.times > t])}


def test_a_population_that_never_fires_is_awaited_until_t_stop() -> None:
    neurons = (naive.Neuron(1.0, 1.0, math.inf), naive.Neuron(0.0, 0.0, 1.0, bias=4.0))
    built = cases.build(Case(neurons, (), (), 1.0))
    result = built.run(until_fired=cases.ALL)
    assert result.t_stop == 1.0
    assert len(result.spikes[cases.ALL]) == 4
    with pytest.raises(ValueError, match=r"until_fired.*'nobody'"):
        built.run(until_fired="nobody")
