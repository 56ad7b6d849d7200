"""Windows in which all that arrives are charges: the scheduler's spikes, to the bit of their times.

A charge sets a neuron off at its own time, so no rounding of a potential shows in a time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

import eventsim as es
from eventsim._engines.windows import host, sample
from eventsim._engines.windows.charges import rise
from tests.helpers import cases
from tests.helpers.models import assert_identical
from tests.helpers.strategies import examples

STEP = 0.25  # times, delays and weights are multiples of it, so that much comes at once


class Charged(NamedTuple):
    network: es.Network
    stimulus: dict[str, es.Spikes]
    t_stop: float


def each(n: int, values: list[float]) -> st.SearchStrategy[np.ndarray]:
    return st.lists(st.sampled_from(values), min_size=n, max_size=n).map(np.array)


def multiples(low: int, high: int) -> st.SearchStrategy[float]:
    return st.integers(low, high).map(lambda k: k * STEP)


@st.composite
def synapses(draw: st.DrawFn, n_pre: int, n_post: int) -> scipy.sparse.coo_array:
    """A few synapses, some of them between the same two."""
    one = st.tuples(st.integers(0, n_pre - 1), st.integers(0, n_post - 1), multiples(-4, 6))
    drawn = np.array(draw(st.lists(one, min_size=1, max_size=12)))
    pre, post = drawn[:, :2].astype(int).T
    return scipy.sparse.coo_array((drawn[:, 2], (pre, post)), shape=(n_pre, n_post))


@st.composite
def charged(draw: st.DrawFn) -> Charged:
    """Neurons of several kinds; some rest at 0, some elsewhere; some are held for a while."""
    n, n_inputs = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    tau = draw(each(n, [np.inf, 1.0, 3.0]))
    rest = np.where(np.isfinite(tau), draw(each(n, [0.0, 0.0, 0.2, -0.3])), 0.0)
    lif = es.LIF(
        tau_mem=tau, tau_syn=0.0, threshold=draw(each(n, [0.5, 1.0, np.inf])), bias=rest / tau,
        refractory=draw(each(n, [0.0, 2.0**-8, STEP, 1.3, np.inf])),
    )  # fmt: skip
    network = es.Network()
    network.add_input("in", n_inputs)
    network.add_input("single", n)
    network.add_population(cases.ALL, n, lif)
    for delay in draw(st.sampled_from([[STEP], [STEP, 2 * STEP]])):
        network.connect("in", cases.ALL, weights=draw(synapses(n_inputs, n)), delays=delay)
        network.connect(cases.ALL, cases.ALL, weights=draw(synapses(n, n)), delays=delay)
    network.connect("single", cases.ALL, es.one_to_one(n, n, weights=0.75, delays=0.0))
    times = st.lists(st.one_of(multiples(0, 20), st.floats(0.0, 5.0)), max_size=15)
    stimulus = {
        name: es.Spikes(drawn, [k % size for k in range(len(drawn))])
        for name, size in network.inputs.items()
        for drawn in [draw(times)]
    }
    return Charged(network, stimulus, draw(st.sampled_from([5.0, 4.1, 6.3])))


def charged_at_all(network: es.Network) -> bool:
    (share,) = host._shares(network, host.Cut(host.WHOLE, 1))
    return bool(share.grid.charged)


@given(charged())
def test_networks_of_charges_fire_the_spikes_of_the_scheduler(case: Charged) -> None:
    assert charged_at_all(case.network)
    found, expected = (
        es.simulate(*case, engine=engine, max_spikes=10_000) for engine in ("windows", "scheduler")
    )
    for name in ("time", "neuron", "slope", "released"):
        ours, theirs = (getattr(result.batch.record, name) for result in (found, expected))
        np.testing.assert_array_equal(ours, theirs)
    at = np.array([0.0, 1.1, case.t_stop])
    ours, theirs = (result.potential(cases.ALL, at=at) for result in (found, expected))
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)
    assert found.events == expected.events


@given(charged(), st.sampled_from([0.3, 1.0, STEP]))
@examples(0.5)
def test_parts_change_no_bit(case: Charged, chunk: float) -> None:
    whole = es.simulate(*case, engine="windows")
    parts = list(es.stream(*case, chunk=chunk, engine="windows"))
    for name in ("time", "neuron"):
        ours = np.concatenate([getattr(part.batch.record, name) for part in parts])
        np.testing.assert_array_equal(ours, getattr(whole.batch.record, name))
    np.testing.assert_array_equal(parts[-1].potential(cases.ALL), whole.potential(cases.ALL))


@pytest.mark.jit
@given(charged(), st.integers(2, 4))
@examples(0.5)
def test_the_number_of_shares_changes_no_bit(case: Charged, n: int) -> None:
    whole = es.simulate(*case, engine="windows", threads=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(host, "LEAST_NEURONS", 1)
        patch.setattr(host, "LEAST_WINDOWS", 0)
        shared = es.simulate(*case, engine="windows", threads=n)
    assert_identical(shared.batch, whole.batch)


def balanced(n: int = 120, refractory: float = 0.1) -> Charged:
    """Volleys: thousands of spikes, many of them at the same time."""
    rng = np.random.default_rng(3)
    network = es.Network()
    network.add_input("in", n)
    network.add_population(cases.ALL, n, es.LIF(tau_mem=8.0, tau_syn=0.0, refractory=refractory))
    network.connect("in", cases.ALL, es.one_to_one(n, n, weights=0.7))
    weights = rng.choice([0.6, -0.4], (n, n)) * (rng.random((n, n)) < 0.1)
    network.connect(cases.ALL, cases.ALL, weights=weights, delays=0.5)
    stimulus = {"in": es.Spikes(rng.uniform(0.0, 6.0, 20 * n), rng.integers(0, n, 20 * n))}
    return Charged(network, stimulus, 6.0)


def test_volleys_are_those_of_the_scheduler() -> None:
    case = balanced()
    found, expected = (es.simulate(*case, engine=e) for e in ("windows", "scheduler"))
    assert len(found.spikes[cases.ALL]) > 2000
    for name in ("time", "neuron"):
        ours, theirs = (getattr(result.batch.record, name) for result in (found, expected))
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.jit
def test_a_window_with_more_spikes_than_there_is_room_for_is_done_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = balanced(refractory=2.0**-10)
    whole = es.simulate(*case, engine="windows")
    monkeypatch.setattr(sample, "FEW_FOUND", 1)
    assert_identical(es.simulate(*case, engine="windows").batch, whole.batch)


@pytest.mark.jit
def test_what_is_counted_of_a_part_beyond_the_cap_does_not_hang_on_other_parts() -> None:
    network, stimulus, t_stop = balanced(refractory=2.0**-10)
    begun = es.simulate(network, {}, 0.0, engine="windows", history=False)

    def beyond() -> np.ndarray:
        with pytest.raises(es.ActivityError) as caught:
            es.simulate(network, later, t_stop, resume=begun, history=False, max_spikes=700)
        return caught.value.result.batch.state.count

    train = stimulus["in"]
    later = {"in": es.Spikes(train.times[train.times > 0.0], train.indices[train.times > 0.0])}
    before = beyond()
    es.simulate(network, later, t_stop, resume=begun, history=False)
    np.testing.assert_array_equal(beyond(), before)


@pytest.mark.parametrize("cap", [1, 2, 63, 500])
def test_the_cap_names_the_spike_that_the_scheduler_names(
    cap: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "FEW_FOUND", 1)
    case, errors = balanced(), []
    for engine in ("windows", "scheduler"):
        with pytest.raises(es.ActivityError) as caught:
            es.simulate(*case, engine=engine, max_spikes=cap)
        errors.append(caught.value)
    ours, theirs = errors
    assert (ours.time, ours.neuron, ours.count) == (theirs.time, theirs.neuron, theirs.count)


@pytest.mark.parametrize(
    ("bias", "delays"),
    [(0.2, 0.5), (0.0, np.linspace(0.5, 1.0, 9).reshape(3, 3))],
    ids=["drive above the threshold", "delays of their own"],
)
def test_where_more_than_charges_matters_the_other_windows_are_taken(
    bias: float, delays: float | np.ndarray
) -> None:
    network = es.Network()
    network.add_input("in", 3)
    network.add_population(cases.ALL, 3, es.LIF(tau_mem=8.0, tau_syn=0.0, bias=bias))
    network.connect("in", cases.ALL, weights=np.full((3, 3), 0.6))
    network.connect(cases.ALL, cases.ALL, weights=np.full((3, 3), 0.3), delays=delays)
    assert not charged_at_all(network)
    case = network, {"in": es.Spikes([0.1, 0.2, 3.0], [0, 1, 2])}, 9.0
    found, expected = (es.simulate(*case, engine=e) for e in ("windows", "scheduler"))
    assert len(found.spikes[cases.ALL]) > 0
    np.testing.assert_allclose(
        found.batch.record.time, expected.batch.record.time, rtol=1e-12, atol=1e-12
    )


def test_the_rise_is_the_exponential_to_rounding() -> None:
    x = np.linspace(0.0, 1.0 / 128.0, 1001)
    np.testing.assert_allclose([rise(v) for v in x], np.exp(x), rtol=3e-16)


@pytest.mark.parametrize("engine", ["scheduler", "windows"])
@pytest.mark.parametrize("tau_mem", [10.0, np.inf])
def test_charges_do_not_bring_a_readout_to_its_threshold(engine: str, tau_mem: float) -> None:
    network = es.Network()
    network.add_input("in", 1)
    network.add_population("out", 2, es.LIF(tau_mem=tau_mem, tau_syn=0.0, threshold=np.inf))
    network.connect("in", "out", weights=[[0.1, 1e30]])
    network.connect("out", "out", weights=np.zeros((2, 2)), delays=1.0)
    stimulus = {"in": es.Spikes([1.0, 2.0, 3.0], [0, 0, 0])}
    result = es.simulate(network, stimulus, 10.0, engine=engine)
    assert result.near_touches == 0
    assert result.events.synaptic == 6
