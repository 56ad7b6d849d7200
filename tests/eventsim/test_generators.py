"""Drawn spikes: their law, their independence of how they are drawn, and what runs make of them."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

import eventsim as es
import gradients
from eventsim.generators import draw_until, nothing_drawn
from tests.helpers.engines import each_engine, each_engine_and_cuda

LEAST_P = 1e-3  # of tests of a law, whose seeds are fixed


def poisson(rate: Any, n: int = 1, seed: int = 0, name: str = "ext") -> es.Network:
    network = es.Network()
    network.add_poisson(name, n, rate=rate, seed=seed)
    return network


def drawn(rate: Any, t_stop: float, n: int = 1, **options: Any) -> es.Spikes:
    name = options.get("name", "ext")
    return poisson(rate, n, options.get("seed", 0), name).draw(
        name, t_stop, sample=options.get("sample", 0)
    )


def times_of(spikes: es.Spikes, source: int) -> np.ndarray:
    return spikes.times[spikes.indices == source]


def fits_exponential(intervals: np.ndarray, mean: float = 1.0) -> bool:
    return scipy.stats.kstest(intervals / mean, "expon").pvalue > LEAST_P


def assert_same(spikes: Any, others: Any) -> None:
    np.testing.assert_array_equal(spikes.times, others.times)
    np.testing.assert_array_equal(spikes.indices, others.indices)


# --- the law --------------------------------------------------------------------------------------


@pytest.mark.jit
@pytest.mark.parametrize("seed", range(4))
def test_intervals_of_each_source_are_exponential(seed: int) -> None:
    rates = np.array([0.1, 1.0, 30.0])
    spikes = drawn(rates, 3000.0, 3, seed=seed)
    for source, rate in enumerate(rates):
        times = times_of(spikes, source)
        assert fits_exponential(np.diff(times, prepend=0.0), 1.0 / rate)
        following = scipy.stats.spearmanr(np.diff(times)[:-1], np.diff(times)[1:])
        assert following.pvalue > LEAST_P


@pytest.mark.jit
def test_first_spikes_of_many_sources_are_exponential() -> None:
    spikes = drawn(0.5, 100.0, 20_000)
    _, first = np.unique(spikes.indices, return_index=True)
    assert first.size == 20_000
    assert fits_exponential(spikes.times[first], 2.0)


@pytest.mark.jit
def test_counts_in_bins_are_poisson_distributed() -> None:
    spikes = drawn(4.0, 1000.0, 50)
    counts = np.histogram2d(spikes.indices, spikes.times, (50, 1000), [(0, 50), (0, 1000)])[0]
    seen = np.bincount(counts.ravel().astype(int), minlength=15)[:15]
    law = scipy.stats.poisson(4.0).pmf(np.arange(15)) * counts.size
    assert scipy.stats.chisquare(seen, law * seen.sum() / law.sum()).pvalue > LEAST_P


OTHERS: dict[str, dict[str, Any]] = {
    "source": {},
    "seed": {"seed": 1},
    "large seed": {"seed": 2**32},
    "name": {"name": "other"},
    "sample": {"sample": 1},
}


@pytest.mark.jit
@pytest.mark.parametrize("what", OTHERS)
def test_trains_are_independent_of_those_of_another(what: str) -> None:
    one = times_of(drawn(1.0, 20_000.0, 2), 0)
    other = times_of(drawn(1.0, 20_000.0, 2, **OTHERS[what]), int(what == "source"))
    bins = np.arange(0.0, 20_001.0, 2.0)
    counts = [np.histogram(times, bins)[0] for times in (one, other)]
    for lag in range(4):
        assert abs(np.corrcoef(counts[0][lag:], counts[1][: bins.size - 1 - lag])[0, 1]) < 0.04
    place = np.searchsorted(other, one[:-50])
    assert fits_exponential(other[place] - one[:-50])


@pytest.mark.jit
def test_a_piecewise_rate_is_a_constant_one_in_its_own_time() -> None:
    steps = es.Steps([1.0, 500.0, 600.0, 1500.0], [[2.0, 1.0], [0.0, 9.0], [5.0, 0.0], [0.5, 3.0]])
    spikes = drawn(steps, 3000.0, 2)
    edges = np.append(steps.times, 3000.0)
    for source in range(2):
        times, rates = times_of(spikes, source), steps.values[:, source]
        silent = np.searchsorted(steps.times, times, side="right") - 1
        assert np.all(rates[silent] > 0.0)
        cumulated = np.append(0.0, np.cumsum(rates * np.diff(edges)))
        assert fits_exponential(np.diff(np.interp(times, edges, cumulated), prepend=0.0))


def test_a_rate_for_each_source_is_drawn_as_for_that_source_alone() -> None:
    steps = es.Steps([0.0, 2.0, 5.0], [[2.0, 0.3], [0.0, 3.0], [1.0, 0.0]])
    both = drawn(steps, 20.0, 2)
    for source in range(2):
        one = drawn(es.Steps(steps.times, steps.values[:, source]), 20.0, 2)
        np.testing.assert_array_equal(times_of(one, source), times_of(both, source))


def test_a_rate_of_zero_gives_no_spike_before_after_or_at_all() -> None:
    assert len(drawn(0.0, 1e6, 3)) == 0
    spikes = drawn(es.Steps([3.0, 4.0], [50.0, 0.0]), 1e50, 2)
    assert len(spikes) > 50
    assert 3.0 < spikes.times.min() < spikes.times.max() < 4.0


def test_rates_of_any_size_give_as_many_spikes_as_expected() -> None:
    assert len(drawn(1e-100, 1e90, 10)) == 0
    for rate, t_stop in ((1e5, 0.02), (1e100, 2e-97), (1e-90, 2e93)):
        assert 1800 < len(drawn(rate, t_stop)) < 2200


def test_a_step_long_after_many_others_is_found() -> None:
    """Most steps are shorter than an interval."""
    times = np.arange(10_000) * 1e-3
    steps = es.Steps(times, np.where(np.arange(10_000) % 2, 0.0, 20.0))
    spikes = drawn(steps, 10.0, 3)
    assert 220 < len(spikes) < 380
    assert not np.any(np.floor(spikes.times * 1e3).astype(int) % 2)


def test_intervals_that_the_time_cannot_resolve_are_refused() -> None:
    late = drawn(es.Steps([8e9], [1.0]), 8e9 + 2000.0)
    assert fits_exponential(np.diff(late.times, prepend=8e9))
    for rate in (1.0, es.Steps([0.0, 1e5], [0.0, 1e5]), es.Steps([0.0, 0.5], [1e11, 0.0])):
        with pytest.raises(ValueError, match=r"t_stop.*at most.*'ext' are not resolved.*10{10}"):
            drawn(rate, 1e10)


# --- pieces ---------------------------------------------------------------------------------------

RATES = st.sampled_from([0.0, 0.1, 1.0, 7.0, 40.0])


@st.composite
def all_steps(draw: st.DrawFn, n: int) -> es.Steps:
    times = sorted(draw(st.sets(st.integers(0, 40), min_size=1, max_size=5)))
    shape = draw(st.sampled_from([(len(times),), (len(times), n)]))
    size = math.prod(shape)
    values = draw(st.lists(RATES, min_size=size, max_size=size))
    return es.Steps(np.array(times) / 8.0, np.reshape(values, shape))


@given(st.data())
def test_pieces_of_any_cut_are_one_draw(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 3))
    network = poisson(data.draw(all_steps(n)), n, data.draw(st.integers(0, 2**64 - 1)))
    network.add_regular("clock", 2, interval=[0.3, 1.0], first=[0.0, 0.7])
    cuts = sorted(
        data.draw(st.lists(st.floats(0.0, 6.0) | st.integers(0, 48).map(lambda k: k / 8)))
    )
    at = nothing_drawn(np.array(data.draw(st.sampled_from([[3], [0, 3]]))))
    whole, _ = draw_until(network.generators, at, 6.0)
    pieces: dict[str, list[tuple[Any, ...]]] = {name: [] for name in network.inputs}
    for t in [*cuts, 6.0]:
        trains, at = draw_until(network.generators, at, t)
        for name, train in trains.items():
            pieces[name] += zip(train.samples, train.times, train.indices, strict=True)
    for name, train in whole.items():
        assert sorted(pieces[name]) == [
            *zip(train.samples, train.times, train.indices, strict=True)
        ]


STORED = [lambda at: at, lambda at: pickle.loads(pickle.dumps(at)), lambda at: at.of(np.array([0]))]


@given(st.data(), st.sampled_from([1 / 16, 0.3]))
def test_what_is_drawn_ahead_is_what_would_be_drawn_later(
    data: st.DataObject, length: float
) -> None:
    """Whatever is done on the way: rates change, the state is stored, a sample is taken."""
    network = poisson(data.draw(all_steps(2)), 2)
    networks = st.sampled_from([network, network.replace(rates={"ext": 2.5})])
    way = data.draw(st.lists(st.tuples(networks, st.sampled_from(STORED)), min_size=3))
    found = []
    for pieces_ahead in (0, data.draw(st.integers(1, 20))):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("eventsim.generators.PIECES_AHEAD", pieces_ahead)
            at, trains = nothing_drawn(np.array([5])), []
            for k, (each, stored) in enumerate(way):
                train, at = draw_until(each.generators, stored(at), (k + 1) * length)
                trains.append(train["ext"].sample(0))
        found.append(trains)
    for now, later in zip(*found, strict=True):
        assert_same(now, later)


def test_many_short_pieces_are_drawn_ahead() -> None:
    generators, at = poisson(3.0, 4).generators, nothing_drawn(np.array([0]))
    ahead = []
    for t in (0.1, 0.2, 0.3, 4.0):
        _, at = draw_until(generators, at, t)
        trains: Any = at.trains["ext"]
        ahead.append(trains.ahead and trains.ahead.t)
    assert ahead == [None, pytest.approx(0.2 + 6.3), pytest.approx(6.5), pytest.approx(6.5)]


def test_a_part_is_what_the_whole_has_there() -> None:
    network = poisson([3.0, 0.5], 2)
    network.add_regular("clock", 2, interval=[0.5, 0.75])
    for name in network.inputs:
        whole = network.draw(name, 30.0)
        for begin, end in pairwise([0.0, 1e-9, 1.5, 1.75, 30.0]):
            later = (whole.times > begin) & (whole.times <= end)
            part = network.draw(name, end, t_start=begin)
            np.testing.assert_array_equal(part.times, whole.times[later])
            np.testing.assert_array_equal(part.indices, whole.indices[later])


@pytest.mark.jit
def test_what_is_left_out_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    network = poisson(100.0)
    expected = network.draw("ext", 101.0, t_start=100.0)
    monkeypatch.setattr("eventsim.generators.MOST_SKIPPED", 100)
    monkeypatch.setattr("eventsim.generators.MOST_DRAWN", 1000)
    assert_same(network.draw("ext", 101.0, t_start=100.0), expected)


@pytest.mark.jit
def test_many_slices_are_in_the_order_of_time_and_source() -> None:
    steps = es.Steps([0.0, 50.0, 50.001, 60.0], [1.0, 1e5, 0.0, 0.3])
    spikes = drawn(steps, 1000.0, 1000)
    assert len(spikes) > 400_000
    np.testing.assert_array_equal(spikes.order, np.arange(len(spikes)))
    alone = drawn(steps, 1000.0)
    np.testing.assert_array_equal(times_of(spikes, 0), alone.times)


# --- rates that change ----------------------------------------------------------------------------


def test_under_another_rate_the_rest_of_each_interval_counts() -> None:
    network = poisson(2.0, 5)
    before, at = draw_until(network.generators, nothing_drawn(np.array([0])), 3.0)
    faster = network.replace(rates={"ext": 8.0})
    after, _ = draw_until(faster.generators, at, 6.0)
    whole = network.draw("ext", 15.0)
    late = whole.times > 3.0
    np.testing.assert_array_equal(before["ext"].times, whole.times[~late])
    np.testing.assert_allclose(
        after["ext"].times, 3.0 + (whole.times[late] - 3.0) / 4.0, rtol=1e-14
    )


def test_rates_may_stop_and_start_again_between_pieces() -> None:
    network = poisson(es.Steps([0.0, 2.0], [3.0, 1.0]), 4)
    silent = network.replace(rates={"ext": 0.0})
    at = nothing_drawn(np.array([0]))
    found = []
    for each, t in ((network, 1.0), (silent, 5.0), (silent, 7.0), (network, 9.0)):
        trains, at = draw_until(each.generators, at, t)
        found.append(trains["ext"].times)
    assert [times.size > 0 for times in found] == [True, False, False, True]
    whole = network.draw("ext", 20.0)
    moved = np.sort(np.concatenate(found))
    assert moved.size > 12
    rest = whole.times[found[0].size : moved.size]
    operational = np.where(rest < 2.0, 3.0 * (rest - 1.0), rest + 1.0)
    np.testing.assert_allclose(moved[found[0].size :], 7.0 + operational, rtol=1e-13)


@given(st.floats(0.1, 50.0), st.sampled_from([3.0, [3.0, 0.7], es.Steps([0.0, 2.0], [3.0, 1.0])]))
def test_trains_that_were_stored_go_on_as_if_they_had_not_been(t: float, rate: Any) -> None:
    generators = poisson(rate, 2).generators
    _, at = draw_until(generators, nothing_drawn(np.array([0])), t)
    stored = pickle.loads(pickle.dumps(at))
    (here, _), (there, _) = (draw_until(generators, one, 60.0) for one in (at, stored))
    assert len(here["ext"]) == 1
    assert_same(there["ext"].sample(0), here["ext"].sample(0))


@each_engine
def test_a_run_goes_on_under_other_rates(engine: str) -> None:
    network = driven()
    first = es.simulate(network, {}, 4.0, engine=engine)
    second = es.simulate(network.replace(rates={"ext": 0.0}), {}, 8.0, resume=first)
    trains = second.stimulus.trains
    assert_same(trains["ext"].sample(0), network.draw("ext", 4.0))
    assert_same(trains["clock"].sample(0), network.draw("clock", 8.0))


def test_new_rates_keep_the_structure_of_a_network() -> None:
    network = driven()
    other = network.replace(rates={"ext": [1.0, 2.0]})
    assert other.structure is network.structure
    assert other.version is not network.version
    assert len(other.draw("ext", 100.0)) != len(network.draw("ext", 100.0))


# --- trains without chance ------------------------------------------------------------------------


def test_regular_sources_fire_at_multiples_of_their_intervals() -> None:
    network = es.Network()
    network.add_regular("clock", 3, interval=[0.1, 0.3, 50.0], first=[0.0, 0.15, 7.0])
    spikes = network.draw("clock", 10.0)
    np.testing.assert_array_equal(times_of(spikes, 0), 0.1 * np.arange(101))
    np.testing.assert_array_equal(times_of(spikes, 1), 0.15 + 0.3 * np.arange(33))
    assert times_of(spikes, 2).tolist() == [7.0]
    np.testing.assert_array_equal(spikes.order, np.arange(len(spikes)))


def step_network(
    amplitudes: np.ndarray, times: Any = (0.0, 1.0, 2.5), bias: float = 0.0
) -> es.Network:
    network = es.Network()
    neuron = es.LIF(
        tau_mem=2.0, tau_syn={"exc": 0.5, "step": np.inf}, threshold=1.0, bias=bias, refractory=0.1
    )
    network.add_population("out", 2, neuron)
    steps = es.Steps(times, amplitudes)
    assert network.add_step_current("step", "out", steps, receptor="step") == ("step", "out")
    return network


AMPLITUDES = np.array([[0.2, 0.9], [1.5, 0.1], [0.4, 1.1]])


def test_a_step_current_moves_the_potential_as_the_closed_form_says() -> None:
    network = step_network(np.array([0.3, -0.2]), times=(1.0, 4.0))
    at = np.array([0.5, 1.0, 2.0, 4.0, 6.0])
    result = es.simulate(network, {}, 6.0)
    late = 0.3 * 2.0 * (1.0 - math.exp(-1.5))
    expected = [0.0, 0.0, 0.6 * (1.0 - math.exp(-0.5)), late, (late + 0.4) * math.exp(-1.0) - 0.4]
    np.testing.assert_allclose(result.potential("out", at)[:, 0], expected, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(result.current("out", at)[:, 1], [0.0, 0.3, 0.3, -0.2, -0.2])


@pytest.mark.parametrize("engine", ["scheduler", "windows"])
def test_a_step_current_is_a_bias_from_then_on(engine: str) -> None:
    network = step_network(np.array([0.8]), times=[0.0])
    by_step = es.simulate(network, {}, 20.0, engine=engine)
    neuron = es.LIF(
        tau_mem=2.0, tau_syn={"exc": 0.5, "step": np.inf}, threshold=1.0, bias=0.8, refractory=0.1
    )
    other = step_network(np.array([0.0]), times=[0.0]).replace(neurons={"out": neuron})
    by_bias = es.simulate(other, {}, 20.0, engine=engine)
    assert len(by_step.spikes["out"]) == len(by_bias.spikes["out"]) > 8
    np.testing.assert_allclose(by_step.spikes["out"].times, by_bias.spikes["out"].times, rtol=1e-12)


def weighted_spikes(network: es.Network) -> tuple[float, es.Result, np.ndarray]:
    result = es.simulate(network, {}, 12.0, engine="scheduler")
    spikes = result.spikes["out"]
    seen = [np.sum(spikes.indices[:k] == i) for k, i in enumerate(spikes.indices)]
    factors = np.cos(spikes.indices + 3.0 * np.array(seen))
    return float(factors @ spikes.times), result, factors


def test_gradients_by_amplitudes_and_times_of_steps_are_central_differences() -> None:
    network = step_network(AMPLITUDES)
    _, result, factors = weighted_spikes(network)
    assert factors.size > 6
    gradient = gradients.timing_backprop(
        result, spike_times={"out": factors}, wrt=("weights", "input_times")
    )
    by_weight = gradient.weights["step", "out"]
    by_amplitude = by_weight - np.vstack([by_weight[1:], np.zeros((1, 2))])
    step = 1e-6
    for place in np.ndindex(AMPLITUDES.shape):
        change = np.zeros_like(AMPLITUDES)
        change[place] = step
        up, down = (weighted_spikes(step_network(AMPLITUDES + s * change))[0] for s in (1, -1))
        np.testing.assert_allclose(by_amplitude[place], (up - down) / (2 * step), rtol=1e-6)
    times = np.array([0.5, 1.0, 2.5])
    _, result, factors = weighted_spikes(step_network(AMPLITUDES, times))
    gradient = gradients.timing_backprop(result, spike_times={"out": factors}, wrt=("input_times",))
    for k in range(3):
        change = step * (np.arange(3) == k)
        up, down = (
            weighted_spikes(step_network(AMPLITUDES, times + s * change))[0] for s in (1, -1)
        )
        difference = (up - down) / (2 * step)
        np.testing.assert_allclose(gradient.input_times["step"][k], difference, rtol=1e-6)


# --- runs -----------------------------------------------------------------------------------------


def structure(add_input: Callable[[es.Network, str, int], None]) -> es.Network:
    """Two generators among two inputs: sources are numbered through all of them."""
    network = es.Network()
    for name, n in (("before", 1), ("ext", 2), ("clock", 2), ("behind", 1)):
        add_input(network, name, n)
    network.add_population("a", 3, es.LIF(tau_mem=2.0, tau_syn=1.0, threshold=1.0))
    network.add_population("b", 2, es.LIF(tau_mem=2.0, tau_syn=1.0, threshold=1.0))
    for k, (name, n) in enumerate(network.inputs.items()):
        weights = 0.6 + 0.1 * np.sin(np.arange(3.0 * n) + k).reshape(n, 3)
        network.connect(name, "a", weights=weights, delays=0.25)
    network.connect("a", "b", weights=np.full((3, 2), 0.9), delays=0.5)
    return network


def add_either(network: es.Network, name: str, n: int) -> None:
    if name == "ext":
        network.add_poisson(name, n, rate=es.Steps([0.0, 3.0], [1.5, 0.5]), seed=7)
    elif name == "clock":
        network.add_regular(name, n, interval=[0.75, 1.0], first=[0.5, 0.0])
    else:
        network.add_input(name, n)


def driven() -> es.Network:
    return structure(add_either)


def given_alike() -> es.Network:
    return structure(es.Network.add_input)


GIVEN = {"before": es.Spikes([0.1, 0.9], [0, 0]), "behind": es.Spikes([0.4], [0])}
MORE = {"behind": es.Spikes([4.5], [0])}


def all_given(t_stop: float, sample: int = 0) -> dict[str, es.Spikes]:
    network = driven()
    own = {name: network.draw(name, t_stop, sample=sample) for name in network.generators}
    return {**GIVEN, **own}


def assert_same_run(one: es.Result, other: es.Result) -> None:
    for ours, theirs in zip(one.batch.record, other.batch.record, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for name in one.network.populations:
        np.testing.assert_array_equal(one.potential(name), other.potential(name))
    for name, train in other.stimulus.trains.items():
        assert_same(one.stimulus.trains[name], train)


@each_engine_and_cuda
def test_a_run_is_that_on_the_drawn_spikes(engine: str) -> None:
    one = es.simulate(driven(), GIVEN, 6.0, engine=engine)
    other = es.simulate(given_alike(), all_given(6.0), 6.0, engine=engine)
    assert len(other.spikes["b"]) > 2
    assert_same_run(one, other)


@each_engine_and_cuda
def test_each_sample_of_a_batch_has_trains_of_its_own(engine: str) -> None:
    batch = es.simulate(driven(), [GIVEN] * 3, 6.0, engine=engine)
    lists = [all_given(6.0, sample=k) for k in range(3)]
    assert len({tuple(one["ext"].times) for one in lists}) == 3
    others = es.simulate(given_alike(), lists, 6.0, engine=engine)
    for k in range(3):
        assert_same_run(batch[k], others[k])


def test_a_batch_may_consist_of_generators_alone() -> None:
    network = poisson(5.0, 2)
    network.add_population("out", 1, es.LIF())
    network.connect("ext", "out", weights=np.ones((2, 1)))
    batch = es.simulate(network, [{}] * 4, 3.0)
    for k in range(4):
        assert_same(batch.stimulus.trains["ext"].sample(k), network.draw("ext", 3.0, sample=k))


@each_engine
@pytest.mark.parametrize("copied", [lambda x: x, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_resumed_run_draws_on(engine: str, copied: Callable[[Any], Any]) -> None:
    network = driven()
    first = copied(es.simulate(network, GIVEN, 3.0, engine=engine))
    second = es.simulate(first.network, MORE, 5.0, resume=first)
    third = es.simulate(first.network, {}, 8.0, resume=second)
    all_at_once = {**GIVEN, "behind": es.Spikes([0.4, 4.5], [0, 0])}
    assert_same_run(third, es.simulate(network, all_at_once, 8.0, engine=engine))


def in_parts(result: Any, population: str) -> tuple[np.ndarray, ...]:
    """Times, neurons and samples of all spikes of a population, ascending by sample."""
    spikes = [part.spikes[population] for part in result]
    columns = [
        np.concatenate([getattr(s, name) for s in spikes])
        for name in ("times", "indices", "samples")
    ]
    order = np.argsort(columns[2], kind="stable")
    return tuple(column[order] for column in columns)


@pytest.mark.parametrize("engine", ["scheduler", "windows"])
@pytest.mark.parametrize("given", [GIVEN, [GIVEN] * 2], ids=["alone", "batch"])
@pytest.mark.parametrize("chunk", [0.3, 2.5])
def test_a_stream_draws_part_by_part(engine: str, given: Any, chunk: float) -> None:
    network = driven()
    whole = es.simulate(network, given, 8.0, engine=engine)
    for record in (None, ["b"]):
        parts = list(es.stream(network, given, 8.0, chunk=chunk, engine=engine, record=record))
        assert len(parts) == math.ceil(8.0 / chunk)
        for found, expected in zip(in_parts(parts, "b"), in_parts([whole], "b"), strict=True):
            np.testing.assert_array_equal(found, expected)
        drawn = sum(part.events.inputs for part in parts)
        assert drawn == whole.events.inputs
    kept = es.simulate(network, given, 8.0, engine=engine, record=["b"])
    for found, expected in zip(in_parts([kept], "b"), in_parts([whole], "b"), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("engine", ["scheduler", "windows"])
def test_rates_change_between_parts(engine: str) -> None:
    network = driven()
    faster = network.replace(rates={"ext": 4.0})
    whole = es.simulate(network, GIVEN, 3.0, engine=engine)
    whole = es.simulate(faster, {}, 6.0, resume=whole)
    first = es.simulate(network, GIVEN, 3.0, engine=engine, history=False)
    second = es.simulate(faster, {}, 6.0, resume=first, history=False)
    for found, expected in zip(in_parts([first, second], "b"), in_parts([whole], "b"), strict=True):
        np.testing.assert_array_equal(found, expected)


@each_engine
def test_a_sample_of_a_batch_goes_on_with_its_own_trains(engine: str) -> None:
    network = driven()
    batch = es.simulate(network, [GIVEN] * 3, 3.0, engine=engine)
    whole = es.simulate(network, [GIVEN] * 3, 6.0, engine=engine)
    assert_same_run(es.simulate(network, {}, 6.0, resume=batch[2]), whole[2])
    both = es.simulate(network, {}, 6.0, resume=batch[[2, 1]])
    for k, sample in enumerate((2, 1)):
        assert_same_run(both[k], whole[sample])


def test_a_run_that_ended_early_goes_on_with_what_was_drawn() -> None:
    network = driven()
    early = es.simulate(network, GIVEN, 6.0, until_fired="a")
    assert early.batch.ends[0] < 6.0
    for t_stop in (5.0, 6.0, 9.0):
        whole = es.simulate(network, GIVEN, max(t_stop, 6.0), engine="scheduler")
        again = es.simulate(network, {}, t_stop, resume=early)
        assert_same(again.stimulus.trains["ext"], whole.stimulus.trains["ext"])


def test_gradients_are_those_of_a_run_on_given_spikes() -> None:
    runs = [es.simulate(driven(), GIVEN, 6.0), es.simulate(given_alike(), all_given(6.0), 6.0)]
    ones = {"b": np.ones(len(runs[0].spikes["b"]))}
    direction = {"ext": np.cos(np.arange(len(driven().draw("ext", 6.0))))}
    found = []
    for run in runs:
        graph = run.causality()
        by_time = gradients.timing_backprop(run, spike_times=ones, wrt=None)
        forward = gradients.jvp(run, input_times=direction)
        matrix = gradients.forward_propagation(graph, "input_times")
        found.append((by_time, forward["b"], matrix))
    assert np.any(found[0][0].input_times["ext"])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_equal(vars_of(ours), vars_of(theirs))


def vars_of(value: Any) -> Any:
    if isinstance(value, gradients.Gradient):
        return {"weights": value.weights, "input_times": value.input_times, "bias": value.bias}
    return value


def test_a_graph_of_recorded_spikes_draws_the_same() -> None:
    result = es.simulate(driven(), GIVEN, 6.0)
    graph = es.CausalityGraph.from_spikes(driven(), GIVEN, result.spikes, 6.0)
    np.testing.assert_array_equal(graph.input_times, result.causality().input_times)
    np.testing.assert_array_equal(graph.input_sources, result.causality().input_sources)


def test_a_step_of_training_sees_the_drawn_spikes() -> None:
    def loss(result: es.Result) -> gradients.Loss:
        times = result.spikes["b"].times
        return gradients.Loss(float(times.sum()), spike_times={"b": np.ones_like(times)})

    steps = [
        gradients.value_and_grad(driven(), GIVEN, loss, 6.0, wrt=("weights", "input_times")),
        gradients.value_and_grad(
            given_alike(), all_given(6.0), loss, 6.0, wrt=("weights", "input_times")
        ),
    ]
    (value, gradient, _), (other, expected, _) = steps
    assert value == other > 0.0
    np.testing.assert_equal(vars_of(gradient), vars_of(expected))


def test_a_clocked_network_takes_the_drawn_spikes() -> None:
    pytest.importorskip("torch")
    from gradients.clocked import ClockedNetwork

    ours = ClockedNetwork(driven(), 0.125)(GIVEN, t_stop=6.0)
    theirs = ClockedNetwork(given_alike(), 0.125)(all_given(6.0), t_stop=6.0)
    assert ours.spikes["b"].sum() > 0
    assert (ours.spikes["b"] == theirs.spikes["b"]).all()


# --- networks -------------------------------------------------------------------------------------


def test_a_network_shows_which_inputs_draw_their_spikes() -> None:
    network = driven()
    assert repr(network).startswith(
        "Network(inputs={'before': 1, 'ext': 2, 'clock': 2, 'behind': 1}, "
        "generators=['ext', 'clock'], populations="
    )
    assert network.generators["ext"].n == 2


@pytest.mark.parametrize("copied", [pickle.loads, None])
def test_a_copy_draws_the_same(copied: Any) -> None:
    network = driven()
    network.draw("ext", 1.0)
    other = network.snapshot() if copied is None else copied(pickle.dumps(network))
    for name in network.generators:
        assert_same(other.draw(name, 50.0), network.draw(name, 50.0))
    other.add_poisson("late", 1, rate=1.0)
    assert "late" not in network.generators


def test_a_generator_added_before_another_changes_nothing_of_it() -> None:
    network = es.Network()
    network.add_poisson("first", 3, rate=1.0)
    network.add_poisson("ext", 2, rate=2.0, seed=5)
    assert_same(network.draw("ext", 9.0), poisson(2.0, 2, 5).draw("ext", 9.0))


def test_steps_are_guarded_in_copies_too() -> None:
    steps = es.Steps([0, 1], [2, 3])
    for each in (steps, pickle.loads(pickle.dumps(steps))):
        assert each.values.tolist() == [2.0, 3.0]
        with pytest.raises(ValueError, match="read-only"):
            each.times[0] = 1.0
