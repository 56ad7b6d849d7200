"""The window engine: it gives what the scheduler gives, wherever it applies, and says where not."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import assume, given
from hypothesis import strategies as st

import eventsim as es
import gradients
from eventsim._engines.windows.host import _fall, _kind_row, window_width, windows_pay
from eventsim._engines.windows.loop import (
    _exponential,
    _exponential_ratio,
    sort_stably,
    stays_below,
    window_factor,
)
from eventsim.model.flow import flow, propagator
from tests.helpers import cases, naive
from tests.helpers.cases import assert_bitwise_equal, assert_same_trains, decided
from tests.helpers.naive import Case
from tests.helpers.strategies import (
    decimals,
    examples,
    networks,
    rate_pairs,
    spike_trains,
    violent_networks,
)


def with_delays(case: Case, shortest: float = 0.25) -> Case:
    """The same network where the synapses between neurons take at least ``shortest``."""
    synapses = tuple(
        (pre, post, w, d if pre < 0 else max(d, shortest)) for pre, post, w, d in case.synapses
    )
    return dataclasses.replace(case, synapses=synapses)


def applicable(case: Case) -> cases.Built:
    """Build the case; leave out what has neither delays nor time constants."""
    built = cases.build(case)
    assume(math.isfinite(window_width(built.network.compiled())))
    return built


def by_windows(built: cases.Built, **options: Any) -> es.Result:
    return built.run(engine="windows", **options)


# --- the same answer as the scheduler -------------------------------------------------------------


@pytest.mark.parametrize("name", cases.NETWORK_NAMES)
def test_reference_networks_with_delays(name: str) -> None:
    reference = cases.load(name)
    built = cases.build(reference.case)
    width = window_width(built.network.compiled())
    if width in (0.0, math.inf):
        with pytest.raises(ValueError, match="engine 'windows' needs"):
            by_windows(built)
        return
    result = by_windows(built)
    found = cases.trains(result)
    assert [i for i, _ in found] == [i for i, _ in reference.spikes]
    np.testing.assert_allclose(
        [t for _, t in found], [t for _, t in reference.spikes], rtol=1e-12, atol=0
    )
    np.testing.assert_allclose(
        result.potential(cases.ALL), reference.final_potentials, rtol=1e-11, atol=1e-12
    )


@given(networks(), st.sampled_from([0.05, 0.25, 0.3]))
def test_random_networks_agree_with_the_scheduler(case: Case, shortest: float) -> None:
    case = with_delays(case, shortest)
    decided(case)
    built = applicable(case)
    found, expected = by_windows(built), built.run(engine="scheduler")
    assert_same_trains(cases.trains(found), cases.trains(expected), rtol=1e-10)
    for name in ("slope", "released"):
        ours, theirs = (
            sorted(zip(r.batch.record.neuron, getattr(r.batch.record, name), strict=True))
            for r in (found, expected)
        )
        np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-8)
    for quantity in ("potential", "current"):
        ours, theirs = (getattr(r, quantity)(cases.ALL) for r in (found, expected))
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-9)
    assert found.events.synaptic == expected.events.synaptic
    assert found.events.inputs == expected.events.inputs


@given(violent_networks())
@examples(0.5)
def test_huge_weights_agree_with_the_oracle(case: Case) -> None:
    case = with_delays(case, 0.01)
    run = decided(case)
    assert_same_trains(cases.trains(by_windows(applicable(case))), list(run.spikes), rtol=1e-8)


@given(networks())
@examples(0.5)
def test_inputs_alone_need_no_delay(case: Case) -> None:
    case = dataclasses.replace(case, synapses=tuple(s for s in case.synapses if s[0] < 0))
    run = decided(case)
    result = by_windows(applicable(case))
    assert_same_trains(cases.trains(result), list(run.spikes))
    np.testing.assert_allclose(result.potential(cases.ALL), run.potentials, rtol=1e-7, atol=1e-8)


@given(networks())
@examples(0.5)
def test_spikes_are_in_order_and_rise_through_the_threshold(case: Case) -> None:
    with cases.drawn_again_if_endless():
        result = by_windows(applicable(with_delays(case)), max_spikes=cases.MANY_SPIKES)
    record = result.batch.record
    assert np.all(np.diff(record.time) >= 0.0)
    assert np.all(np.diff(record.neuron)[np.diff(record.time) == 0.0] > 0)
    assert np.all(record.slope > 0.0)
    assert np.all((record.time > 0.0) & (record.time <= case.t_stop))


def sparse_network(
    n: int = 200, delays: Any = 0.5, lif: es.LIF | None = None, seed: int = 3
) -> tuple[es.Network, dict[str, es.Spikes], float]:
    """A recurrent network with inhibition, driven by random spikes at many neurons."""
    rng = np.random.default_rng(seed)
    network = es.Network()
    network.add_input("in", n)
    network.add_population(
        cases.ALL, n, lif or es.LIF(tau_mem=4.0, tau_syn=1.0, threshold=1.0, refractory=0.1)
    )
    network.connect("in", cases.ALL, weights=scipy.sparse.csr_array(0.7 * np.eye(n)))
    drawn = rng.random((n, n)) < 0.1
    weights = scipy.sparse.csr_array(
        np.where(drawn, rng.choice([0.2, -0.8], (n, n), p=(0.8, 0.2)), 0)
    )
    if delays == "each":
        delays = scipy.sparse.csr_array(
            (rng.uniform(0.3, 2.0, weights.nnz), weights.indices, weights.indptr), shape=(n, n)
        )
    network.connect(cases.ALL, cases.ALL, weights=weights, delays=delays)
    size = 8 * n
    spikes = es.Spikes(rng.uniform(0.0, 10.0, size), rng.integers(0, n, size))
    return network, {"in": spikes}, 10.0


def kinds() -> es.LIF:
    """Two kinds of neurons, different thresholds, some driven by a bias alone."""
    tau = np.repeat([4.0, 2.0], 100)
    bias = np.where(np.arange(200) % 7 == 0, 0.6, 0.0)
    threshold = np.where(np.arange(200) % 5 == 0, np.inf, 1.0)
    return es.LIF(tau_mem=tau, tau_syn=tau / 4, threshold=threshold, refractory=0.7, bias=bias)


@pytest.mark.parametrize("lif", [None, kinds()], ids=["alike", "kinds"])
@pytest.mark.parametrize("delays", [0.5, "each"])
def test_a_larger_network_fires_the_same_spikes_in_the_same_order(delays: Any, lif: Any) -> None:
    network, stimulus, t_stop = sparse_network(delays=delays, lif=lif)
    expected = es.simulate(network, stimulus, t_stop, engine="scheduler")
    found = es.simulate(network, stimulus, t_stop, engine="windows")
    ours, theirs = found.batch.record, expected.batch.record
    assert ours.time.size > 200
    np.testing.assert_array_equal(ours.neuron, theirs.neuron)
    np.testing.assert_allclose(ours.time, theirs.time, rtol=1e-12)
    np.testing.assert_allclose(ours.slope, theirs.slope, rtol=1e-9)
    np.testing.assert_allclose(ours.released, theirs.released, rtol=1e-9, atol=1e-12)
    assert found.events.synaptic == expected.events.synaptic


def test_exact_gradients_of_both_engines_agree() -> None:
    network, stimulus, t_stop = sparse_network(n=60, delays="each")
    results = [es.simulate(network, stimulus, t_stop, engine=e) for e in ("windows", "scheduler")]
    times = [np.sin(np.arange(len(r.spikes[cases.ALL]))) for r in results]
    ours, theirs = (
        gradients.timing_backprop(r, spike_times={cases.ALL: a})
        for r, a in zip(results, times, strict=True)
    )
    for key in network.projections:
        np.testing.assert_allclose(
            cases.to_dense(ours.weights[key]), cases.to_dense(theirs.weights[key]), rtol=1e-7,
            atol=1e-9,
        )  # fmt: skip


# --- pieces, batches, threads: bit for bit --------------------------------------------------------


@given(networks(), st.lists(decimals(0.0, 2.999), min_size=1, max_size=3))
def test_a_run_in_pieces_is_the_whole_run(case: Case, stops: list[float]) -> None:
    """Wherever it stops: within a window, on its edge, with neurons refractory."""
    case = with_delays(case)
    built = applicable(case)
    with cases.drawn_again_if_endless():
        whole = by_windows(built, max_spikes=cases.MANY_SPIKES)
    result, begin = None, -1.0
    for stop in [*sorted(set(stops)), case.t_stop]:
        piece = cases.spikes_of(tuple(s for s in case.inputs if begin < s[1] <= stop))
        engine = "windows" if result is None else "auto"
        result = es.simulate(built.network, {cases.IN: piece}, stop, resume=result, engine=engine)
        begin = stop
    assert_bitwise_equal(result, whole)
    np.testing.assert_array_equal(result.batch.record.released, whole.batch.record.released)
    assert result.events == whole.events


@given(networks(), st.data())
@examples(0.5)
def test_a_batch_is_its_samples(case: Case, data: st.DataObject) -> None:
    network = applicable(with_delays(case)).network
    trains = [case.inputs] + [
        data.draw(spike_trains(case.n_sources, case.t_stop)) for _ in range(3)
    ]
    stimuli = [{cases.IN: cases.spikes_of(train)} for train in trains]
    with cases.drawn_again_if_endless():
        batch = es.simulate(
            network, stimuli, case.t_stop, engine="windows", threads=2,
            max_spikes=cases.MANY_SPIKES,
        )  # fmt: skip
    for k, stimulus in enumerate(stimuli):
        alone = es.simulate(network, stimulus, case.t_stop, engine="windows")
        assert_bitwise_equal(batch[k], alone)
        np.testing.assert_array_equal(batch[k].batch.record.released, alone.batch.record.released)


def test_a_batch_can_be_resumed() -> None:
    network, stimulus, t_stop = sparse_network(n=40)
    whole = es.simulate(network, [stimulus] * 3, t_stop, engine="windows")
    half = es.simulate(network, [stimulus] * 3, 3.7, engine="windows", threads=1)
    rest = es.simulate(network, [{}] * 3, t_stop, resume=half, threads=2)
    for k in range(3):
        assert_bitwise_equal(rest[k], whole[k])


def test_an_input_that_comes_later_changes_nothing_before_it() -> None:
    network, stimulus, t_stop = sparse_network()
    times, indices = stimulus["in"].times, stimulus["in"].indices
    more = es.Spikes(np.append(times, [5.3] * 50), np.append(indices, np.arange(50)))
    first = es.simulate(network, stimulus, t_stop, engine="windows").batch.record
    second = es.simulate(network, {"in": more}, t_stop, engine="windows").batch.record
    assert second.time.size != first.time.size or np.any(second.time != first.time)
    early = int((first.time < 5.3).sum())
    assert early > 100
    np.testing.assert_array_equal(second.time[:early], first.time[:early])


# --- buffers and the cap --------------------------------------------------------------------------


def test_the_spike_cap_names_the_first_spike_beyond_it() -> None:
    neuron = naive.Neuron(0.0, 0.0, 1.0)
    synapses = ((-1, 1, 8.0, 0.0), (-1, 0, 5.0, 0.0), (0, 1, 0.0, 0.5))
    built = cases.build(Case((neuron,) * 2, synapses, ((0, 0.0),), 10.0))
    every = built.run(engine="scheduler")
    for cap in (5, 6, 40, 100):
        with pytest.raises(es.ActivityError) as caught:
            by_windows(built, max_spikes=cap)
        error, record = caught.value, caught.value.result.batch.record
        assert error.count == cap
        np.testing.assert_allclose(record.time, every.batch.record.time[:cap])
        np.testing.assert_array_equal(record.neuron, every.batch.record.neuron[:cap])
        assert error.neuron == every.batch.record.neuron[cap]
        assert error.time == pytest.approx(every.batch.record.time[cap])
        assert error.result.t_stop == error.time
        expected = every.potential(cases.ALL, at=error.time - 1e-9)
        found = error.result.potential(cases.ALL, at=error.time - 1e-9)
        np.testing.assert_allclose(found, expected, atol=1e-9)


def test_runaway_activity_within_one_window_is_stopped_at_the_cap() -> None:
    """Each of 300 neurons would fire 1e9 times in the first window."""
    network = es.Network()
    network.add_input("in", 1)
    network.add_population(cases.ALL, 300, es.LIF(tau_mem=np.inf, tau_syn=np.inf))
    network.connect("in", cases.ALL, weights=np.full((1, 300), 1e9))
    network.connect(cases.ALL, cases.ALL, weights=np.ones((300, 300)), delays=1.0)
    with pytest.raises(es.ActivityError) as caught:
        es.simulate(network, {"in": es.Spikes([0.0], [0])}, 2.0, max_spikes=1000, engine="windows")
    assert caught.value.count == 1000
    assert caught.value.neuron == 100
    np.testing.assert_allclose(
        caught.value.result.batch.record.time, 1e-9 * np.repeat([1, 2, 3, 4], [300, 300, 300, 100])
    )


def test_a_run_that_hit_the_cap_can_be_resumed_with_a_higher_one() -> None:
    network, stimulus, t_stop = sparse_network()
    whole = es.simulate(network, stimulus, t_stop, engine="windows")
    with pytest.raises(es.ActivityError) as caught:
        es.simulate(network, stimulus, t_stop, engine="windows", max_spikes=100)
    again = es.simulate(network, {}, t_stop, resume=caught.value.result)
    assert_bitwise_equal(again, whole)


def test_arrays_grow_as_needed() -> None:
    """One window holds more arrivals at flagged neurons, and more spikes, than there is room."""
    rng = np.random.default_rng(1)
    network = es.Network()
    network.add_input("in", 100)
    network.add_population(cases.ALL, 300, es.LIF(tau_mem=8.0, tau_syn=4.0, refractory=0.01))
    network.connect("in", cases.ALL, weights=rng.uniform(0.0, 2.0, (100, 300)))
    network.connect(cases.ALL, cases.ALL, weights=rng.normal(0.0, 0.1, (300, 300)), delays=2.0)
    stimulus = {"in": es.Spikes(rng.uniform(0.0, 2.0, 100), np.arange(100))}
    found = es.simulate(network, stimulus, 2.0, engine="windows")
    expected = es.simulate(network, stimulus, 2.0, engine="scheduler")
    assert len(found.spikes[cases.ALL]) > 10_000
    np.testing.assert_array_equal(found.batch.record.neuron, expected.batch.record.neuron)
    np.testing.assert_allclose(found.batch.record.time, expected.batch.record.time, rtol=1e-12)


# --- where it applies -----------------------------------------------------------------------------


def two_neurons(delay: float, tau: float = 1.0) -> cases.Built:
    neuron = naive.Neuron(1.0 / tau, 1.0 / tau)
    return cases.build(
        Case((neuron,) * 2, ((-1, 0, 4.0, 0.0), (0, 1, 1.0, delay)), ((0, 0.0),), 2.0)
    )


def test_zero_delays_between_neurons_are_refused() -> None:
    with pytest.raises(ValueError, match=r"delays > 0 .* got a smallest one of 0\.0"):
        by_windows(two_neurons(0.0))


def test_ending_early_is_refused() -> None:
    with pytest.raises(ValueError, match="until_fired must be None, got 'all'"):
        by_windows(two_neurons(0.5), until_fired=cases.ALL)


def test_windows_without_any_scale_of_time_are_refused() -> None:
    built = cases.build(Case((naive.Neuron(0.0, 0.0),), ((-1, 0, 4.0, 0.0),), ((0, 0.0),), 2.0))
    with pytest.raises(ValueError, match="finite time constant"):
        by_windows(built)


@pytest.mark.jit
def test_millions_of_windows_do_not_add_up_their_roundings() -> None:
    """A spike is in flight for a million windows, so none of them may be jumped over."""
    network = es.Network()
    network.add_input("in", 1)
    network.add_population("a", 2, es.LIF(tau_mem=0.15, tau_syn=0.15, refractory=np.inf))
    network.add_population("b", 1, es.LIF(1.0, 0.5, 0.649, 0.647))
    network.connect("in", "a", weights=[[0.0, 3e5]])
    network.connect("a", "b", weights=[[0.7357559], [2.82818]], delays=[[1.0], [1e-6]])
    stimulus = {"in": es.Spikes([0.001], [0])}
    by_windows, expected = (
        es.simulate(network, stimulus, 1.0, engine=engine).spikes["b"]
        for engine in ("windows", "scheduler")
    )
    assert len(expected) == 1
    np.testing.assert_allclose(by_windows.times, expected.times, rtol=1e-12)
    np.testing.assert_allclose(by_windows.slopes, expected.slopes, rtol=1e-11)


@pytest.mark.parametrize("rate", [1.0, 3.0, 1e-3, 1e-9, 1e-20, 0.0])
def test_factors_of_windows_multiply_to_the_exact_exponential(rate: float) -> None:
    width, n = 2.0**-13, 100_000
    below, step, part = _fall(rate, width)
    assert 0.0 <= part < 1.0
    product = math.fsum(
        math.log(window_factor(below, step, part, float(window))) for window in range(n)
    )
    assert product == pytest.approx(-rate * width * n, rel=1e-12, abs=3e-16)


def test_more_windows_than_can_be_counted_are_refused() -> None:
    with pytest.raises(ValueError, match=r"cannot do more than .* windows of .*, got t_stop 2\.0"):
        by_windows(two_neurons(1e-300))


def test_a_run_keeps_its_engine() -> None:
    built = two_neurons(0.5)
    for engine, other in (("windows", "scheduler"), ("scheduler", "windows")):
        half = built.run(engine=engine)
        with pytest.raises(ValueError, match=f"engine must be '{engine}'.* got '{other}'"):
            es.simulate(built.network, {}, 3.0, resume=half, engine=other)


def test_auto_takes_windows_where_they_pay() -> None:
    network, stimulus, t_stop = sparse_network(n=300)
    assert windows_pay(network.compiled())
    chosen = es.simulate(network, stimulus, t_stop)
    assert_bitwise_equal(chosen, es.simulate(network, stimulus, t_stop, engine="windows"))
    first = es.simulate(network, stimulus, t_stop, until_fired=cases.ALL)
    assert first.batch.state._fields != chosen.batch.state._fields
    assert not windows_pay(two_neurons(0.5).network.compiled())
    assert not windows_pay(sparse_network(n=300, delays=1e-6)[0].compiled())


# --- the parts ------------------------------------------------------------------------------------


@given(rate_pairs(), st.floats(0.0, 1.0))
def test_the_series_are_the_propagator(rates: tuple[float, float], share: float) -> None:
    alpha, beta = rates
    fastest = max(rates)
    lag = share * (0.5 / fastest if fastest else 3.0)
    synaptic, _, h = propagator(-lag, alpha, beta)
    slow, spread = min(rates), abs(alpha - beta)
    e, ratio = _exponential(slow * lag), _exponential_ratio(spread * lag)
    fast = 1.0 if alpha >= beta else 0.0
    assert e + fast * (e * ratio * spread * lag) == pytest.approx(synaptic, rel=1e-15)
    assert -lag * (e * ratio) == pytest.approx(h, rel=2e-15)


@st.composite
def windows_near_threshold(draw: st.DrawFn) -> tuple[Any, ...]:
    """A state and arrivals, the potential close to what just suffices to fire."""
    alpha, beta = draw(rate_pairs())
    width = draw(st.sampled_from([1.0, 0.1, 0.5])) * 0.5 / max(alpha, beta, 0.1)
    arrivals = sorted(
        (draw(st.floats(0.0, 0.999)) * width, draw(decimals(-1.0, 2.0)))
        for _ in range(draw(st.integers(0, 3)))
    )
    current, potential = draw(decimals(-1.0, 3.0)), draw(decimals(-2.0, 0.9))
    return alpha, beta, width, arrivals, current, potential, draw(decimals(-0.5, 0.5))


def highest(alpha, beta, width, arrivals, current, potential, bias) -> float:
    """The largest potential in the window, on a fine grid."""
    best, now = potential, 0.0
    for lag, weight in [*arrivals, (width, 0.0)]:
        for share in np.linspace(0.0, 1.0, 65):
            best = max(best, flow(current, potential, share * (lag - now), alpha, beta, bias)[1])
        current, potential = flow(current, potential, lag - now, alpha, beta, bias)
        current, now = current + weight, lag
    return best


@given(windows_near_threshold(), st.sampled_from([1e-12, 1e-6, 1e-3, 0.1]))
def test_no_neuron_that_fires_is_dismissed(window: tuple[Any, ...], above: float) -> None:
    """The threshold is just below the highest potential that is reached."""
    alpha, beta, width, arrivals, current, potential, bias = window
    top = highest(*window)
    threshold = top - above * abs(top)
    assume(threshold > max(potential, 1e-3))
    row = _kind_row(alpha, beta, width)
    positive = sum(max(w, 0.0) for _, w in arrivals)
    reach = sum(max(w, 0.0) * propagator(width - lag, alpha, beta)[2] for lag, w in arrivals)
    holding = beta * threshold - bias
    holding -= 1e-9 * abs(holding)
    assert not stays_below(current, potential, positive, reach, threshold, holding, row[4], row[5])


@given(st.lists(decimals(0.0, 2.0, digits=1), max_size=100))
@examples(0.3)
def test_sorting_is_stable(keys: list[float]) -> None:
    key = np.array(keys)
    order, spare = np.arange(key.size, dtype=np.int32), np.empty(key.size, dtype=np.int32)
    sort_stably(key, order, spare, 0, key.size)
    np.testing.assert_array_equal(order, np.argsort(key, kind="stable"))


def test_windows_begin_at_exact_multiples() -> None:
    for delay in (1.5, 0.1, 1.0 / 3.0, 1e-5):
        width = window_width(two_neurons(delay, tau=20.0).network.compiled())
        assert delay * (1 - 2e-6) < width <= delay
        assert (2**32 * width) / 2**32 == width
        k = 2**32 - 1
        assert float(k * width) - width == (k - 1) * width
