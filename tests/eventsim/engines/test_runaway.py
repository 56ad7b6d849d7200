"""Runaway activity ends in an `ActivityError`, in memory that follows what was recorded."""

import subprocess
import sys

import numpy as np
import pytest

import eventsim as es

ENGINES = ("scheduler", "windows", "layered")
SAMPLES, RUNAWAY = 8, 5


def network_of(engine: str) -> es.Network:
    """Return a network that fires a little for its first input, and on and on for its second."""
    network = es.Network()
    network.add_input("in", 2)
    network.add_population("a", 3, es.LIF(tau_mem=20.0, tau_syn=5.0))
    network.add_population("b", 2, es.LIF(tau_mem=10.0, tau_syn=5.0))
    network.connect("in", "a", weights=[[0.3, 0.6, 0.5], [200.0, 400.0, 100.0]], delays=0.5)
    network.connect("a", "b", weights=np.full((3, 2), 0.3), delays=0.25)
    if engine != "layered":
        network.connect("b", "a", weights=np.full((2, 3), -0.01), delays=1.0)
    return network


def samples_of(*runaways: int) -> list[dict[str, es.Spikes]]:
    calm, wild = es.Spikes([0.1, 2.0], [0, 0]), es.Spikes([0.1, 0.2], [1, 1])
    return [{"in": wild if k in runaways else calm} for k in range(SAMPLES)]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("cap", [100, 3000])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_batch_ends_with_the_first_sample_that_exceeds_the_cap(
    engine: str, cap: int, threads: int
) -> None:
    network = network_of(engine)
    run = {"t_stop": 60.0, "engine": engine, "max_spikes": cap, "threads": threads}
    with pytest.raises(es.ActivityError) as caught:
        es.simulate(network, samples_of(RUNAWAY, RUNAWAY + 1), **run)
    error, result = caught.value, caught.value.result
    assert (error.sample, error.count, len(result)) == (RUNAWAY, cap, RUNAWAY + 1)
    assert result.events.spikes == np.diff(result.offsets).sum()
    assert np.diff(result.offsets)[RUNAWAY] == cap
    assert result.ends.tolist() == [60.0] * RUNAWAY + [error.time]
    with pytest.raises(es.ActivityError) as caught:
        es.simulate(network, samples_of(RUNAWAY)[RUNAWAY], **run)
    alone = caught.value
    assert (alone.time, alone.neuron, alone.population) == (
        error.time, error.neuron, error.population
    )  # fmt: skip
    calm = es.simulate(network, samples_of()[0], **run)
    for k, expected in enumerate([calm] * RUNAWAY + [alone.result]):
        assert_same(result[k], expected)
    again = es.simulate(network, {}, 60.0, resume=result, max_spikes=100_000)
    whole = es.simulate(network, samples_of(RUNAWAY)[: RUNAWAY + 1], 60.0, engine=engine)
    for k in range(RUNAWAY + 1):
        assert_same(again[k], whole[k])


def assert_same(found: es.Result, expected: es.Result) -> None:
    for ours, theirs in zip(found.batch.record, expected.batch.record, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for name in ("a", "b"):
        np.testing.assert_array_equal(found.spike_counts(name), expected.spike_counts(name))


@pytest.mark.jit
def test_samples_of_any_length_are_those_of_runs_of_their_own() -> None:
    """Some share arrays, some outgrow them, some begin with more inputs than fit."""
    rng = np.random.default_rng(0)
    network = network_of("scheduler")
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
            assert_same(batch[k], expected)
        half = es.simulate(network, [until(one, 25.0) for one in samples], 25.0, **run)
        rest = [after(one, 25.0) for one in samples]
        resumed = es.simulate(network, rest, 60.0, resume=half, threads=threads)
        for k, expected in enumerate(alone):
            assert_same(resumed[k], expected)


def until(sample: dict[str, es.Spikes], t: float) -> dict[str, es.Spikes]:
    spikes = sample["in"]
    return {"in": es.Spikes(spikes.times[spikes.times <= t], spikes.indices[spikes.times <= t])}


def after(sample: dict[str, es.Spikes], t: float) -> dict[str, es.Spikes]:
    spikes = sample["in"]
    return {"in": es.Spikes(spikes.times[spikes.times > t], spikes.indices[spikes.times > t])}


@pytest.mark.jit
def test_arrivals_beyond_the_room_for_them_are_replayed_in_several_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from eventsim._engines.windows import host as windows

    rng = np.random.default_rng(1)
    network = es.Network()
    network.add_input("in", 100)
    network.add_population("p", 50, es.LIF(tau_mem=8.0, tau_syn=4.0, refractory=0.05))
    network.connect("in", "p", weights=rng.uniform(0.0, 2.0, (100, 50)))
    network.connect("p", "p", weights=rng.normal(0.0, 0.1, (50, 50)), delays=2.0)
    stimulus = {"in": es.Spikes(rng.uniform(0.0, 3.0, 500), rng.integers(0, 100, 500))}
    whole = es.simulate(network, stimulus, 5.0, engine="windows")
    made = windows._new_work
    for most in (1, 7, 300):  # fewer than a single neuron has, and more
        monkeypatch.setattr(windows, "MOST_ARRIVALS", most)
        monkeypatch.setattr(windows, "_new_work", lambda n, most=most: made(n, most))
        again = es.simulate(network, stimulus, 5.0, engine="windows")
        for ours, theirs in zip(again.batch.record, whole.batch.record, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(again.potential("p"), whole.potential("p"))
        assert again.events == whole.events


MEMORY = """
import resource, sys
import numpy as np
import eventsim as es

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

engine, n_wild, cap = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
network = es.Network()
network.add_input("in", 2)
network.add_population("p", 20, es.LIF(tau_mem=20.0, tau_syn=5.0))
network.connect("in", "p", weights=np.repeat([[0.1], [1e6]], 20, axis=1), delays=0.5)
if engine != "layered":
    network.connect("p", "p", weights=np.full((20, 20), 0.01), delays=1.0)
calm, wild = ({"in": es.Spikes([0.0], [k])} for k in (0, 1))
es.simulate(network, [calm] * 3, 5.0, engine=engine)  # compiled
before = peak()
try:
    batch = [calm] * (500 - n_wild) + [wild] * n_wild
    es.simulate(network, batch, 1e3, engine=engine, max_spikes=cap)
except es.ActivityError as error:
    assert error.result.offsets[-1] == cap, error.result
    print(peak() - before)
"""


@pytest.mark.jit
@pytest.mark.slow
@pytest.mark.parametrize("n_wild", [1, 500])
@pytest.mark.parametrize("engine", ENGINES)
def test_memory_is_bounded_by_what_was_recorded(engine: str, n_wild: int) -> None:
    """Arrays for all samples, of the length of the longest one, would take some ten gigabytes."""
    cap = 500_000
    command = [sys.executable, "-c", MEMORY, engine, str(n_wild), str(cap)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 200 * cap + 100e6
