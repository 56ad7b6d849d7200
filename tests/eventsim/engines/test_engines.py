"""What every engine owes: times on a grid, touches, scales, multapses, batches, an end."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse
from hypothesis import assume, given
from hypothesis import strategies as st

import eventsim as es
import gradients
from tests.helpers import cases, naive
from tests.helpers.naive import Case, Neuron
from tests.helpers.strategies import decimals, examples, networks

ENGINES = ("scheduler", "windows", "layered")


def one_neuron(
    weights: list[float], times: list[float], **neuron: float
) -> tuple[es.Network, dict[str, es.Spikes]]:
    """A neuron with a synapse for each input spike."""
    network = es.Network()
    network.add_input("in", len(weights))
    network.add_population("out", 1, es.LIF(**neuron))
    network.connect("in", "out", weights=np.array(weights)[:, None])
    return network, {"in": es.Spikes(times, np.arange(len(times)))}


# --- times on a grid ------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("weights", [[1.1, 0.5, 0.5], [1.1, 0.4, 0.3], [1.1, 0.9, 0.9]])
def test_spikes_that_arrive_at_once_act_at_once(engine: str, weights: list[float]) -> None:
    """Times whose product with a rate rounds up: an epoch must not begin after them."""
    network, stimulus = one_neuron(
        weights, [12.0, 13.0, 13.0], tau_mem=1.3, tau_syn=2.0, threshold=1.0
    )
    result = es.simulate(network, stimulus, 20.0, engine=engine)
    neuron = Neuron(1.0 / 2.0, 1.0 / 1.3)
    synapses = tuple((-(k + 1), 0, w, 0.0) for k, w in enumerate(weights))
    case = Case((neuron,), synapses, ((0, 12.0), (1, 13.0), (2, 13.0)), 20.0)
    expected = [t for _, t in naive.simulate(case).spikes]
    np.testing.assert_allclose(result.spikes["out"].times, expected, rtol=1e-14)
    if weights[1] == 0.5:
        assert expected == [pytest.approx(13.48951457, abs=1e-8)]


@pytest.mark.parametrize("engine", ENGINES)
def test_derivatives_of_spikes_on_a_grid(engine: str) -> None:
    network, stimulus = one_neuron([1.1, 0.5, 0.5], [12.0, 13.0, 13.0], tau_mem=1.3, tau_syn=2.0)
    key = ("in", "out")
    result = es.simulate(network, stimulus, 13.6, engine=engine)
    assert len(result.spikes["out"]) == 1
    exact = gradients.timing_backprop(result.causality(), spike_times={"out": [1.0]})
    swept = gradients.timing_backprop(result, spike_times={"out": [1.0]})
    np.testing.assert_allclose(swept.weights[key], exact.weights[key], rtol=1e-13)
    change = np.array([[1.0], [-2.0], [0.5]])
    moved = gradients.jvp(result, weights={key: change})["out"]
    np.testing.assert_allclose(moved, [np.sum(exact.weights[key] * change)], rtol=1e-12)


@st.composite
def binned(draw: st.DrawFn) -> Case:
    """A few neurons with inputs on a grid of decimals, in the units of the grid or in seconds."""
    unit = draw(st.sampled_from([1e-3, 0.1, 1.0, 0.3]))
    n = draw(st.integers(1, 3))
    cells = []
    for _ in range(n):
        mem, syn = draw(decimals(1.0, 30.0, 1)) * unit, draw(decimals(1.0, 30.0, 1)) * unit
        held = draw(st.sampled_from([0.0, 0.0, 2.0 * unit]))
        cells.append(Neuron(1.0 / syn, 1.0 / mem, tau_ref=held))
    first = draw(st.integers(0, 10_000))
    bins = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 25)), min_size=2, max_size=20)
    inputs = tuple((source, (first + bin_) * unit) for source, bin_ in draw(bins))
    strength = decimals(-0.5, 1.5)
    synapses = [
        (-(s + 1), i, draw(strength) * max(cells[i].alpha, cells[i].beta), 0.0)
        for s in range(3)
        for i in range(n)
    ]
    synapses += [
        (pre, pre + 1, draw(strength) * cells[pre + 1].alpha, unit) for pre in range(n - 1)
    ]
    return Case(tuple(cells), tuple(synapses), inputs, (first + 60) * unit)


@given(binned())
def test_networks_with_binned_inputs_agree_with_the_oracle(case: Case) -> None:
    try:
        expected = naive.simulate(case)
    except naive.TooManySpikesError:
        assume(False)
    assume(expected.margin > 1e-9 and expected.min_slope > 1e-6 * case.neurons[0].alpha)
    built = cases.build(case)
    unit = 1.0 / max(n.alpha for n in case.neurons)
    for engine in ("scheduler", "windows"):
        found = cases.trains(built.run(engine=engine))
        assert sorted(i for i, _ in found) == sorted(i for i, _ in expected.spikes)
        for i in range(len(case.neurons)):
            mine = [t for j, t in found if j == i]
            np.testing.assert_allclose(mine, expected.times(i), rtol=1e-12, atol=1e-9 * unit)


# --- touches --------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "rates", [(2.0, 1.0, 2.0), (1.0, 2.0, 2.0), (1.0, 1.0, np.e), (3.0, 1.0, np.sqrt(3.0))]
)
def test_an_exact_touch_is_no_spike_wherever_it_happens(
    engine: str, rates: tuple[float, float, float]
) -> None:
    """tau_mem, tau_syn, and the weight with which the peak is exactly 1."""
    tau_mem, tau_syn, weight = rates
    for k in range(40):
        start = 0.37 * k
        network, stimulus = one_neuron([weight], [start], tau_mem=tau_mem, tau_syn=tau_syn)
        result = es.simulate(network, stimulus, start + 20.0, engine=engine)
        assert len(result.spikes["out"]) == 0
        assert result.near_touches == 1
        clear = network.replace(weights={("in", "out"): [[weight * (1.0 + 1e-11)]]})
        result = es.simulate(clear, stimulus, start + 20.0, engine=engine)
        assert len(result.spikes["out"]) == 1
        assert result.near_touches == 0


@pytest.mark.parametrize("engine", ENGINES)
def test_inputs_that_add_up_to_the_threshold_touch_it(engine: str) -> None:
    times = [0.3 * k for k in range(20)]
    network, stimulus = one_neuron([0.05] * 20, times, tau_mem=np.inf, tau_syn=1.0)
    result = es.simulate(network, stimulus, 100.0, engine=engine)
    assert len(result.spikes["out"]) == 0
    assert result.near_touches == 1


@pytest.mark.parametrize("engine", ENGINES)
def test_a_potential_that_stands_at_the_threshold_ends_a_run(engine: str) -> None:
    times = [0.5 * k for k in range(5)]
    neuron = {"tau_mem": 20.0, "tau_syn": np.inf, "threshold": 15.0, "bias": 0.05}
    network, stimulus = one_neuron([0.14] * 5, times, **neuron)
    result = es.simulate(network, stimulus, 1000.0, engine=engine)
    assert len(result.spikes["out"]) == 0
    assert result.near_touches == 1


# --- scales ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["scheduler", "layered", "auto"])
@pytest.mark.parametrize(("tau", "start"), [(1e-15, 1e4), (1e-14, 1e5), (1e-12, 1e7), (1e-90, 1.0)])
def test_a_time_constant_below_the_resolution_of_time_loses_nothing(
    engine: str, tau: float, start: float
) -> None:
    times = [start + lag for lag in (0.1, 3.1, 6.1)]
    neuron = {"tau_mem": 10.0, "tau_syn": tau, "refractory": 2.0}
    network, stimulus = one_neuron([0.6 / tau] * 3, times, **neuron)
    result = es.simulate(network, stimulus, start + 10.0, engine=engine)
    np.testing.assert_allclose(result.spikes["out"].times, [start + 3.1], rtol=1e-15)
    assert result.potential("out")[0] == pytest.approx(0.6 * np.exp(-0.39), rel=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_strong_weight_keeps_the_digits_of_the_lag(engine: str) -> None:
    """Carried back over an epoch, a state would lose as many digits as the weight is too large."""
    for weight in (1e3, 1e6, 1e9, 1e27, 1e90):
        network, stimulus = one_neuron([weight], [0.0], tau_mem=1.0, tau_syn=0.5, refractory=np.inf)
        (lag,) = es.simulate(network, stimulus, 1.0, engine=engine).spikes["out"].times
        expected = float(es.first_crossing(weight, 0.0, 2.0, 1.0, 1.0))
        assert lag == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: es.LIF(tau_mem=1e50, bias=1e308, refractory=np.inf), "bias .*1e\\+308"),
        (lambda: es.LIF(tau_syn=1e-200), "tau_syn must be at least 1e-100, got 1e-200"),
        (lambda: es.LIF(threshold=1e200), "threshold .*1e\\+200"),
        (lambda: es.LIF(threshold=1e-200), "threshold .*1e-200"),
        (lambda: one_neuron([1e280], [0.0]), "weights .*1e\\+280"),
        (lambda: one_neuron([1.7e308, -1.7e308], [0.0, 0.0]), "weights .*1.7e\\+308"),
    ],
)
def test_what_float64_cannot_hold_is_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]


# --- multapses ------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("form", ["coo", "csr", "csc"])
def test_two_synapses_between_one_pair_are_two(engine: str, form: str) -> None:
    at = ([0, 0, 1], [1, 1, 0])
    weights, delays = (
        scipy.sparse.coo_array((values, at), shape=(2, 2))
        for values in ([1.0, 2.0, 0.5], [1.0, 5.0, 0.2])
    )
    if form != "coo":
        major, minor = (at[0], at[1]) if form == "csr" else (at[1], at[0])
        order = np.lexsort((minor, major))
        start = np.concatenate([[0], np.cumsum(np.bincount(major, minlength=2))])
        make = scipy.sparse.csr_array if form == "csr" else scipy.sparse.csc_array
        weights, delays = (
            make((np.array(m.data)[order], np.array(minor)[order], start), shape=(2, 2))
            for m in (weights, delays)
        )
    network, apart = es.Network(), es.Network()
    for net in (network, apart):
        net.add_input("in", 2)
        net.add_population("out", 2, es.LIF(tau_mem=2.0, tau_syn=1.0, threshold=0.5))
    key = network.connect("in", "out", weights=weights, delays=delays)
    first = apart.connect("in", "out", weights=[[0.0, 1.0], [0.5, 0.0]], delays=[[0, 1], [0.2, 0]])
    second = apart.connect("in", "out", weights=[[0.0, 2.0], [0.0, 0.0]], delays=5.0)
    stimulus = {"in": es.Spikes([0.0, 0.0], [0, 1])}
    results = [es.simulate(net, stimulus, 10.0, engine=engine) for net in (network, apart)]
    times = [result.spikes["out"].times for result in results]
    np.testing.assert_allclose(times[0], times[1], rtol=1e-14)
    weighted = {"spike_times": {"out": np.arange(1.0, times[0].size + 1.0)}}
    found, expected = (gradients.timing_backprop(result, **weighted) for result in results)
    by_apart = [expected.weights[first][0, 1], expected.weights[second][0, 1], 0.0]
    np.testing.assert_allclose(found.weights[key].data, by_apart, rtol=1e-12)
    graph = es.CausalityGraph.from_networkx(results[0].causality().to_networkx())
    of_graph = gradients.timing_backprop(graph, spike_times=weighted["spike_times"]["out"])
    assert sorted(of_graph.weights.values()) == pytest.approx(sorted(by_apart[:2]), rel=1e-12)


# --- batches, pieces ------------------------------------------------------------------------------


@given(networks(feedforward=True), st.sampled_from(["scheduler", "layered"]))
@examples(0.5)
def test_a_batch_ends_in_the_states_of_its_samples(case: Case, engine: str) -> None:
    """Whether or not neurons of other samples are refractory at the end."""
    built = cases.build(case)
    if engine == "layered" and any(pre >= 0 for pre, *_ in case.synapses):
        engine = "scheduler"
    samples = [built.stimulus, {cases.IN: es.Spikes([], [])}, built.stimulus]
    with cases.drawn_again_if_endless():
        batch = es.simulate(
            built.network, samples, case.t_stop, engine=engine, max_spikes=cases.MANY_SPIKES
        )
    for k, sample in enumerate(samples):
        alone = es.simulate(built.network, sample, case.t_stop, engine=engine)
        assert batch[k].near_touches == alone.near_touches
        for states in ("potential", "current"):
            expected = getattr(alone, states)(cases.ALL)
            np.testing.assert_array_equal(getattr(batch, states)(cases.ALL)[k], expected)
            np.testing.assert_array_equal(getattr(batch[k], states)(cases.ALL), expected)


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
    assert result is not None
    for ours, theirs in zip(result.batch.record, whole.batch.record, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(result.potential("p"), whole.potential("p"))
    other = es.simulate(network, stimulus, 1e6 + 5.0, engine="scheduler")
    np.testing.assert_allclose(whole.spikes["p"].times, other.spikes["p"].times, rtol=1e-14)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_resumed_run_has_no_more_spikes_than_the_cap_from_the_first_on(engine: str) -> None:
    network, stimulus = one_neuron([30.0], [0.0], tau_mem=1.0, tau_syn=2.0)
    whole = es.simulate(network, stimulus, 2.0, engine=engine)
    n = len(whole.spikes["out"])
    assert n > 3
    for cap in (1, n - 1):
        with pytest.raises(es.ActivityError, match=f"max_spikes = {cap}:") as error:
            es.simulate(network, {}, 2.0, resume=whole, max_spikes=cap)
        assert error.value.time == whole.spikes["out"].times[cap]
    resumed = es.simulate(network, {}, 2.0, resume=whole, max_spikes=n)
    np.testing.assert_array_equal(resumed.spikes["out"].times, whole.spikes["out"].times)


# --- runs end -------------------------------------------------------------------------------------

ENDLESS = """
import os, signal, sys, threading
import numpy as np
import eventsim as es

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
engine, n_samples = sys.argv[1], int(sys.argv[2])
rng = np.random.default_rng(0)
network = es.Network()
network.add_input("in", 20)
network.add_population("p", 300, es.LIF(tau_mem=20.0, tau_syn=5.0, refractory=1.0))
network.connect("in", "p", weights=rng.normal(0.3, 0.1, (20, 300)))
if engine != "layered":
    network.connect("p", "p", weights=rng.normal(0.0, 0.01, (300, 300)), delays=1.0)
few = {"in": es.Spikes([0.5], [0])}
es.simulate(network, few if n_samples == 1 else [few] * n_samples, 2.0, engine=engine)  # compiled
n = 3_000_000
spikes = {"in": es.Spikes(np.linspace(0.0, 1e6, n), rng.integers(0, 20, n))}
threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    given = spikes if n_samples == 1 else [spikes] * n_samples
    es.simulate(network, given, 1e6, engine=engine, max_spikes=10**9)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.jit
@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent as a POSIX signal")
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("n_samples", [1, 3])
def test_control_c_ends_a_run(engine: str, n_samples: int) -> None:
    """The run alone would take minutes."""
    command = [sys.executable, "-c", ENDLESS, engine, str(n_samples)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert run.stdout == "interrupted\n", run.stderr
