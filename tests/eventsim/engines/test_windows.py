"""The window engine: it gives what the scheduler gives, wherever it applies, and says where not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, NamedTuple

import numpy as np
import pytest
import scipy.sparse
from hypothesis import assume, given
from hypothesis import strategies as st

import eventsim as es
import gradients
from eventsim._engines.windows import host, sample
from eventsim._engines.windows.arrays import INVERSE, MEAN, RATIO, window_factor
from eventsim._engines.windows.host import _fall, _kind_row, factor_series, window_width
from eventsim._engines.windows.loop import _mean, _most, stays_below, stays_below_closely
from eventsim._support.sorting import sort_stably
from eventsim.model.flow import bias_kernel, flow, propagator
from tests.helpers import cases, naive
from tests.helpers.cases import assert_same_trains, decided
from tests.helpers.engines import made_for, run
from tests.helpers.models import assert_identical
from tests.helpers.naive import Case
from tests.helpers.strategies import decimals, examples, networks, rate_pairs, rates

# --- the same answer as the scheduler -------------------------------------------------------------


@pytest.mark.parametrize("engine", ["scheduler", "windows"])
@pytest.mark.parametrize("time", [0.0, 0.25, 0.3, 1.0])
def test_a_unit_of_a_pool_that_fires_at_the_end_fires_in_time(engine: str, time: float) -> None:
    """Also where the run ends with a window, or with the first one begins."""
    network = es.Network()
    pool = es.LIF(np.inf, np.inf, 0.0, refractory=np.inf, bias=1.0)
    network.add_population("pool", 1, pool)
    network.add_population("others", 2, es.LIF(tau_mem=1.0, tau_syn=1.0))
    for pre, n in (("pool", 1), ("others", 2)):
        network.connect(pre, "others", weights=np.full((n, 2), 0.1), delays=0.25)
    initial = {"pool": es.State(potential=-time)}
    result = es.simulate(network, {}, time, engine=engine, initial=initial)
    np.testing.assert_allclose(result.spikes["pool"].times, [time], rtol=1e-15, atol=0.0)


@given(networks(), st.sampled_from([0.05, 0.25, 0.3]))
@examples(0.5)
def test_random_networks_agree_with_the_scheduler(case: Case, shortest: float) -> None:
    case = made_for("windows", case, shortest)
    decided(case)
    found, expected = (run(engine, case) for engine in ("windows", "scheduler"))
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
@pytest.mark.parametrize("delays", [0.5, pytest.param("each", marks=pytest.mark.jit)])
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


# --- shares ---------------------------------------------------------------------------------------


@contextmanager
def small_shares() -> Iterator[None]:
    """Let as many threads share a sample as are asked for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(host, "LEAST_NEURONS", 1)
        patch.setattr(host, "LEAST_WINDOWS", 0)
        yield


def between(sample: dict[str, es.Spikes], begin: float, stop: float) -> dict[str, es.Spikes]:
    """The spikes of a stimulus within (begin, stop]."""
    train = sample["in"]
    own = (train.times > begin) & (train.times <= stop)
    return {"in": es.Spikes(train.times[own], train.indices[own])}


@pytest.mark.jit
@given(networks(), st.integers(2, 5))
@examples(0.5)
def test_the_number_of_shares_changes_no_bit(case: Case, n: int) -> None:
    case = made_for("windows", case, 0.25)
    whole = run("windows", case, threads=1)
    with small_shares():
        assert_identical(run("windows", case, threads=n).batch, whole.batch)


@pytest.mark.jit
@pytest.mark.parametrize("delays", [0.5, "each"])
@pytest.mark.parametrize("n", [2, 3])
def test_a_larger_network_on_several_threads(delays: Any, n: int) -> None:
    network, stimulus, t_stop = sparse_network(delays=delays, lif=kinds())
    whole = es.simulate(network, stimulus, t_stop, engine="windows", threads=1)
    assert len(whole.spikes[cases.ALL]) > 200
    with small_shares():
        shared = es.simulate(network, stimulus, t_stop, engine="windows", threads=n)
        assert_identical(shared.batch, whole.batch)
        cut = 4.9
        half = es.simulate(
            network, between(stimulus, -1.0, cut), cut, engine="windows", threads=n
        )  # fmt: skip
    later = es.simulate(network, between(stimulus, cut, t_stop), t_stop, resume=half, threads=1)
    assert_identical(later.batch, whole.batch)


@pytest.mark.jit
@pytest.mark.parametrize("cap", [1, 63, 150])
def test_the_cap_names_the_same_spike_on_several_threads(cap: int) -> None:
    network, stimulus, t_stop = sparse_network()
    errors = []
    for n in (1, 3):
        with small_shares(), pytest.raises(es.ActivityError) as caught:
            es.simulate(network, stimulus, t_stop, engine="windows", threads=n, max_spikes=cap)
        errors.append(caught.value)
    alone, shared = errors
    assert (alone.time, alone.neuron, alone.count) == (shared.time, shared.neuron, shared.count)
    assert_identical(shared.result.batch, alone.result.batch)


def test_a_few_windows_take_the_shares_that_are_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a stream of parts of several lengths would make its bundles again and again."""
    network, stimulus, _ = sparse_network()
    monkeypatch.setattr(host, "LEAST_NEURONS", 1)
    cuts = []
    inner = host.bundles_of
    monkeypatch.setattr(host, "bundles_of", lambda n, cut: cuts.append(cut) or inner(n, cut))
    result = None
    for t_stop, threads in ((0.4, 2), (60.0, 2), (60.4, 2), (60.8, 1), (130.0, 2)):
        new = stimulus if result is None else {}
        result = es.simulate(
            network, between(new, -1.0, 0.4) if new else {}, t_stop, engine="windows",
            resume=result, history=False, threads=threads,
        )  # fmt: skip
    assert [cut.n_shares for cut in cuts] == [1, 2, 2, 1, 2]


@pytest.mark.jit
def test_a_share_that_fails_tells_the_others() -> None:
    """Else they would wait for it for ever."""
    network, stimulus, t_stop = sparse_network()
    inner, calls = sample.advance_windows, count()

    def fail_once(*arguments: Any) -> int:
        if next(calls) == 1:
            raise MemoryError("no room")
        return int(inner(*arguments))

    with small_shares(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample, "advance_windows", fail_once)
        with pytest.raises(MemoryError, match="no room"):
            es.simulate(network, stimulus, t_stop, engine="windows", threads=3)


# --- jumps ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ends", [[1e3], [1e5, 4e5 + 0.123, 1e6 - 1.0], [1e6 - 0.3]])
def test_windows_jump_over_empty_time_alike_in_one_run_and_in_pieces(ends: list[float]) -> None:
    network = es.Network()
    network.add_input("in", 3)
    neuron = es.LIF(tau_mem=2.0, tau_syn=1.0, bias=[0.0, 0.3, 0.45], refractory=0.4)
    network.add_population("p", 3, neuron)
    network.connect("in", "p", weights=3.0 * np.eye(3), delays=0.2)
    network.connect("p", "p", weights=0.5 - np.eye(3), delays=0.5)
    times, sources = np.array([0.3, 0.4, 1e6, 1e6 + 0.7]), np.array([0, 1, 2, 0])
    stimulus = {"in": es.Spikes(times, sources)}
    whole = es.simulate(network, stimulus, 1e6 + 5.0, engine="windows")
    result, begun = None, -1.0
    for end in [*ends, 1e6 + 5.0]:
        now = (times > begun) & (times <= end)
        part = {"in": es.Spikes(times[now], sources[now])}
        result = es.simulate(network, part, end, engine="windows", resume=result)
        begun = end
    for ours, theirs in zip(result.batch.record, whole.batch.record, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(result.potential("p"), whole.potential("p"))
    other = es.simulate(network, stimulus, 1e6 + 5.0, engine="scheduler")
    np.testing.assert_allclose(whole.spikes["p"].times, other.spikes["p"].times, rtol=1e-14)


# --- buffers and the cap --------------------------------------------------------------------------


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


@pytest.mark.jit
def test_a_run_that_hit_the_cap_can_be_resumed_with_a_higher_one() -> None:
    network, stimulus, t_stop = sparse_network()
    whole = es.simulate(network, stimulus, t_stop, engine="windows")
    with pytest.raises(es.ActivityError) as caught:
        es.simulate(network, stimulus, t_stop, engine="windows", max_spikes=100)
    again = es.simulate(network, {}, t_stop, resume=caught.value.result)
    assert_identical(again.batch, whole.batch)


@pytest.mark.jit
def test_arrivals_beyond_the_room_for_them_are_replayed_in_several_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(1)
    network = es.Network()
    network.add_input("in", 100)
    network.add_population("p", 50, es.LIF(tau_mem=8.0, tau_syn=4.0, refractory=0.05))
    network.connect("in", "p", weights=rng.uniform(0.0, 2.0, (100, 50)))
    network.connect("p", "p", weights=rng.normal(0.0, 0.1, (50, 50)), delays=2.0)
    stimulus = {"in": es.Spikes(rng.uniform(0.0, 3.0, 500), rng.integers(0, 100, 500))}
    whole = es.simulate(network, stimulus, 5.0, engine="windows")
    for most in (1, 7, 300):  # fewer than a single neuron has, and more
        monkeypatch.setattr(sample, "MOST_ARRIVALS", most)
        monkeypatch.setattr(sample, "FEW_ARRIVALS", most)
        again = es.simulate(network, stimulus, 5.0, engine="windows")
        for ours, theirs in zip(again.batch.record, whole.batch.record, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(again.potential("p"), whole.potential("p"))
        assert again.events == whole.events


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


@pytest.mark.jit
@pytest.mark.parametrize("chunk", [1, 7, 8, 9, 100])
@pytest.mark.parametrize("even", [True, False])
def test_rows_that_fill_chunks_of_deliveries_are_served_whole(
    monkeypatch: pytest.MonkeyPatch, even: bool, chunk: int
) -> None:
    """Of each row some synapses are due in a window; the last bundle ends where its array does."""
    rng = np.random.default_rng(2)
    network = es.Network()
    network.add_input("in", 3)
    network.add_population(cases.ALL, 97, es.LIF(tau_mem=4.0, tau_syn=1.0, refractory=0.1))
    for pre, n in (("in", 3), (cases.ALL, 97)):
        weights = np.full((n, 97), 0.1) if even else rng.normal(0.08, 0.02, (n, 97))
        network.connect(pre, cases.ALL, weights=weights, delays=rng.uniform(0.3, 1.0, (n, 97)))
    stimulus = {"in": es.Spikes(np.linspace(0.0, 3.0, 60), np.arange(60) % 3)}
    expected = es.simulate(network, stimulus, 4.0, engine="scheduler")
    whole = es.simulate(network, stimulus, 4.0, engine="windows")
    monkeypatch.setattr(sample, "CHUNK", chunk)
    with small_shares():
        for threads in (1, 2):
            found = es.simulate(network, stimulus, 4.0, engine="windows", threads=threads)
            assert_identical(found.batch, whole.batch)
    assert len(whole.spikes[cases.ALL]) > 100
    np.testing.assert_array_equal(whole.batch.record.neuron, expected.batch.record.neuron)
    np.testing.assert_allclose(whole.batch.record.time, expected.batch.record.time, rtol=1e-12)


# --- where it applies -----------------------------------------------------------------------------


def two_neurons(delay: float, tau: float = 1.0) -> cases.Built:
    neuron = naive.Neuron(1.0 / tau, 1.0 / tau)
    return cases.build(
        Case((neuron,) * 2, ((-1, 0, 4.0, 0.0), (0, 1, 1.0, delay)), ((0, 0.0),), 2.0)
    )


def test_zero_delays_between_neurons_are_refused() -> None:
    with pytest.raises(ValueError, match=r"delays > 0 .* got a smallest one of 0\.0"):
        two_neurons(0.0).run(engine="windows")


def test_ending_early_is_refused() -> None:
    with pytest.raises(ValueError, match="until_fired must be None, got 'all'"):
        two_neurons(0.5).run(engine="windows", until_fired=cases.ALL)


def test_windows_without_any_scale_of_time_are_refused() -> None:
    built = cases.build(Case((naive.Neuron(0.0, 0.0),), ((-1, 0, 4.0, 0.0),), ((0, 0.0),), 2.0))
    with pytest.raises(ValueError, match="finite time constant"):
        built.run(engine="windows")


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
        two_neurons(1e-300).run(engine="windows")


def test_auto_takes_windows_where_they_pay() -> None:
    network, stimulus, _ = sparse_network(n=300)
    for engine, options in (("windows", {}), ("scheduler", {"until_fired": cases.ALL})):
        chosen = es.simulate(network, stimulus, 0.5, **options)
        with pytest.raises(ValueError, match=f"engine must be '{engine}', which made the resumed"):
            es.simulate(network, {}, 1.0, resume=chosen, engine="layered")


def test_auto_leaves_small_networks_and_very_short_delays_to_the_scheduler() -> None:
    assert two_neurons(0.5).run(engine="auto").engine == "scheduler"
    network, stimulus, _ = sparse_network(n=300, delays=1e-6)
    assert es.simulate(network, stimulus, 0.5).engine == "scheduler"


# --- the parts ------------------------------------------------------------------------------------


@given(rate_pairs(), st.floats(0.0, 1.0))
def test_the_series_are_the_propagator(rates: tuple[float, float], share: float) -> None:
    alpha, beta = rates
    fastest = max(rates)
    width = 0.5 / fastest if fastest else 3.0
    lag = share * width
    synaptic, _, h = propagator(-lag, alpha, beta)
    of_current, of_potential = (
        np.polyval(row[::-1], 2.0 * lag / width - 1.0) for row in factor_series(alpha, beta, width)
    )
    assert of_current == pytest.approx(synaptic, rel=1e-15)
    assert -lag * of_potential == pytest.approx(h, rel=2e-15)


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
    begun, last = max(current, 0.0), (threshold, holding, row[RATIO], row[INVERSE])
    assert not stays_below(begun, potential, positive, reach, *last)
    assert not stays_below_closely(begun, begun * row[MEAN], potential, reach, *last)


class Receptors(NamedTuple):
    """Of neurons, how many receptors they have."""

    receptors: tuple[int, ...]


@given(
    st.lists(st.tuples(decimals(-3.0, 3.0), rates()), min_size=1, max_size=3),
    rates(),
    decimals(0.01, 1.0),
    decimals(-1.0, 3.0),
)
def test_the_currents_at_the_start_drive_no_more_than_their_bound(
    currents: list[tuple[float, float]], beta: float, share: float, holding: float
) -> None:
    """Of e^(beta t) (I - holding), by its integral at any time: what the proof has of it."""
    width = share * 0.5 / max(0.1, beta, *(alpha for _, alpha in currents))
    kind = np.array([_kind_row(alpha, beta, width) for _, alpha in currents])
    first, *further = (current for current, _ in currents)
    level = np.array([first, 0.0, *further])
    neurons = Receptors(tuple(range(len(currents))))
    begun, mean = (of(neurons, level, kind) for of in (_most, _mean))
    bound = max(mean - holding, 0.5 * (begun - holding), 0.0)
    whole = math.exp(beta * width) * bias_kernel(width, beta)
    for t in np.linspace(0.0, width, 33):
        built = sum(current * propagator(t, alpha, beta)[2] for current, alpha in currents)
        integral = math.exp(beta * t) * (built - holding * bias_kernel(t, beta))
        assert integral <= bound * whole + 1e-12 * width


@given(st.lists(decimals(0.0, 2.0, digits=1), max_size=100))
@examples(0.3)
def test_sorting_is_stable(keys: list[float]) -> None:
    key = np.array(keys)
    order, spare = np.arange(key.size, dtype=np.int32), np.empty(key.size, dtype=np.int32)
    sort_stably(key, order, spare, 0, key.size)
    np.testing.assert_array_equal(order, np.argsort(key, kind="stable"))


def test_windows_begin_at_exact_multiples() -> None:
    for delay in (1.5, 0.1, 1.0 / 3.0, 1e-5):
        width = window_width(two_neurons(delay, tau=20.0).network)
        assert delay * (1 - 2e-6) < width <= delay
        assert (2**32 * width) / 2**32 == width
        k = 2**32 - 1
        assert float(k * width) - width == (k - 1) * width
