"""Exact gradients: 60-digit references, central differences, and the structure of the result."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import assume, given
from hypothesis import strategies as st

import eventsim as es
import gradients
from eventsim._layout.wiring import layout_of
from eventsim.model.parameters import pulled
from tests.helpers import cases, differences, feedforward, naive
from tests.helpers.engines import can_run, each_engine, looped
from tests.helpers.naive import Case
from tests.helpers.strategies import any_networks, examples


def smooth(case: Case) -> naive.Run:
    """The oracle's run of a case whose spikes are all well away from creation and annihilation."""
    try:
        run = naive.simulate(case, 40)
    except naive.TooManySpikesError:
        assume(False)
    assume(run.spikes)
    assume(run.margin > 1e-3)
    assume(run.min_slope > 0.1)
    return run


# --- references -----------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["scheduler", "windows", "graph"])
@pytest.mark.parametrize("name", cases.NETWORK_NAMES + cases.GENERAL_NAMES)
def test_reference_gradients(name: str, source: str) -> None:
    reference = cases.load(name)
    engine = "scheduler" if source == "graph" else source
    if not can_run(engine, reference.case):
        pytest.skip("windows need delays")
    built = cases.build(reference.case)
    result = built.run(engine=engine)
    given_cotangents = {
        "spike_times": {cases.ALL: np.array(reference.time_coefficients)},
        "potentials": {cases.ALL: np.array(reference.potential_coefficients)},
    }
    found = gradients.timing_backprop(
        result.causality() if source == "graph" else result, **given_cotangents
    )
    differences.assert_reference_gradients(reference, built, found)


@pytest.mark.parametrize("name", cases.NETWORK_NAMES)
def test_time_constants_are_the_inverse_of_the_rates(name: str) -> None:
    """d/d tau = -rate^2 d/d rate."""
    reference = cases.load(name)
    result = cases.build(reference.case).run()
    found = gradients.timing_backprop(result, **differences.cotangents(result))
    for rate, tau in (("alpha", "tau_syn"), ("beta", "tau_mem")):
        rates = np.array([getattr(n, rate) for n in reference.case.neurons])
        np.testing.assert_allclose(
            getattr(found, tau)[cases.ALL],
            -(rates**2) * getattr(found, rate)[cases.ALL],
            rtol=1e-12,
        )


# --- central differences --------------------------------------------------------------------------


@pytest.mark.slow
@given(any_networks())
@examples(0.1)
def test_random_networks_agree_with_central_differences(case: Case) -> None:
    case = differences.begun(differences.off_grid(case))
    assume(not is_set_off_by_several(case, smooth(case)))
    built = cases.build_any(case)
    result = built.run()
    found = gradients.timing_backprop(result, **differences.cotangents(result))
    for kind in differences.KINDS:
        exact = differences.gradient(built, found, kind)
        for k in range(exact.size):
            step = differences.central_difference(case, kind, k)
            if math.isfinite(step):
                expected = pytest.approx(step, rel=differences.RELATIVE, abs=differences.ABSOLUTE)
                assert exact[k] == expected, (kind, k)


def is_set_off_by_several(case: Case, run: naive.Run) -> bool:
    """Charges of one time set a spike off: it comes with one of them, whichever is moved."""
    sent = [*((-source - 1, time) for source, time in case.inputs), *run.spikes]
    charges = [
        (synapse.post, time + synapse.delay)
        for synapse in case.synapses
        for source, time in sent
        if source == synapse.pre and not case.neurons[synapse.post].has_current[synapse.receptor]
    ]
    at_once = [
        spike for spike, slope in zip(run.spikes, run.slopes, strict=True) if slope == math.inf
    ]
    return any(
        sum(i == neuron and abs(t - time) < 1e-5 for i, t in charges) > 1
        for neuron, time in at_once
    )


def test_what_a_spike_sends_at_its_own_time_follows_it_though_a_charge_set_it_off() -> None:
    """The charge was under way for longer; at the same time it comes first."""

    def run(time: float) -> es.Result:
        network = es.Network()
        network.add_input("in", 1)
        network.add_population("p", 1, es.LIF(tau_mem=3.0, tau_syn={"charge": 0.0, "exc": 2.0}))
        network.connect("in", "p", weights=[[1.5]], delays=0.1, receptor="charge")
        network.connect("p", "p", weights=[[-0.7]], delays=0.0, receptor="exc")
        network.connect("p", "p", weights=[[0.01]], delays=1.0, receptor="charge")
        return es.simulate(network, {"in": es.Spikes([time], [0])}, 3.0, engine="scheduler")

    result, step = run(1.0), 1e-6
    assert result.spikes["p"].times.tolist() == [1.1]
    found = gradients.timing_backprop(result, potentials={"p": [1.0]})
    ahead, behind = (run(1.0 + s).potential("p").item() for s in (step, -step))
    difference = (ahead - behind) / (2.0 * step)
    assert abs(difference) > 0.05
    assert found.input_times["in"].item() == pytest.approx(difference, rel=1e-8)


# --- batches and cotangents -----------------------------------------------------------------------


def two_layers(seed: int = 0, sparse: bool = False) -> tuple[es.Network, es.SpikeBatch]:
    rng = np.random.default_rng(seed)
    network = es.Network()
    network.add_input("in", 5)
    network.add_population("hidden", 8, es.LIF(tau_mem=1.0, tau_syn=0.5))
    network.add_population("out", 3, es.LIF(tau_mem=1.0, tau_syn=0.5, threshold=0.5))
    w = rng.normal(1.0, 0.8, (5, 8))
    network.connect("in", "hidden", weights=scipy.sparse.csr_array(w * (w > 0)) if sparse else w)
    network.connect("hidden", "out", weights=rng.normal(0.6, 0.5, (8, 3)), delays=0.05)
    return network, es.SpikeBatch.from_latencies(rng.uniform(0.0, 1.5, (6, 5)))


def first_spike_cotangents(result: es.BatchResult) -> np.ndarray:
    first = result.first_spikes("out")
    return np.where(
        np.isfinite(first), np.sin(1.0 + np.arange(first.size)).reshape(first.shape), 0.0
    )


@pytest.mark.parametrize("sparse", [False, True])
def test_a_batch_sums_the_gradients_of_its_samples(sparse: bool) -> None:
    network, batch = two_layers(sparse=sparse)
    result = es.simulate(network, {"in": batch}, 3.0)
    a, v = first_spike_cotangents(result), np.cos(np.arange(18.0)).reshape(6, 3)
    whole = gradients.timing_backprop(result, first_spikes={"out": a}, potentials={"out": v})
    parts = [
        gradients.timing_backprop(result[k], first_spikes={"out": a[k]}, potentials={"out": v[k]})
        for k in range(6)
    ]
    for key in network.projections:
        assert scipy.sparse.issparse(whole.weights[key]) == (sparse and key == ("in", "hidden"))
        np.testing.assert_allclose(
            cases.to_dense(whole.weights[key]),
            sum(cases.to_dense(part.weights[key]) for part in parts),
            rtol=1e-12,
            atol=1e-14,
        )
        np.testing.assert_allclose(
            whole.delays[key], sum(part.delays[key] for part in parts), rtol=1e-11
        )
    for name in ("tau_mem", "tau_syn", "threshold", "bias", "alpha", "beta"):
        for population in ("hidden", "out"):
            np.testing.assert_allclose(
                getattr(whole, name)[population],
                sum(getattr(part, name)[population] for part in parts),
                rtol=1e-11,
                atol=1e-13,
            )
    assert whole.min_slope == min(part.min_slope for part in parts)


@each_engine
@given(st.data())
@examples(0.3)
def test_samples_that_begin_anywhere_have_gradients_by_their_own_states(
    engine: str, data: st.DataObject
) -> None:
    """What the samples share has the sum of their gradients."""
    model = data.draw(looped(engine, any_networks())).model()
    with cases.drawn_again_if_endless():
        result = model.run(engine, max_spikes=60)
    assume(result.min_slope > 0.05)
    given_cotangents = feedforward.cotangents(result)
    whole = gradients.timing_backprop(result, **given_cotangents)
    alone = []
    for k in range(len(result)):
        a, b = given_cotangents["spike_times"], given_cotangents["potentials"]
        own = {name: a[name][result.spikes[name].samples == k] for name in a}
        rows = {name: values[k] for name, values in b.items()}
        run = model.run_alone(k, engine=engine)
        alone.append(gradients.timing_backprop(run, spike_times=own, potentials=rows))
    by_sample = any(np.ndim(state.potential) == 2 for state in (model.initial or {}).values())
    for kind in feedforward.EVERY:
        parts = [feedforward.leaves(getattr(part, kind)) for part in alone]
        for key, values in feedforward.leaves(getattr(whole, kind)).items():
            each = [feedforward.dense(part[key]) for part in parts]
            if kind == "input_times":  # in the order of the callers, who gave them differently
                values, expected = np.sort(values), np.sort(np.concatenate(each))
            elif kind == "initial" and by_sample and len(result) > 1:
                expected = np.stack(each)
            else:
                expected = np.sum(each, axis=0)
            scale = 1.0 + np.abs(each).max(initial=0.0) if kind != "input_times" else 1.0
            np.testing.assert_allclose(
                feedforward.dense(values), expected, rtol=1e-10, atol=1e-11 * scale, err_msg=kind
            )


def test_input_times_come_in_the_callers_order() -> None:
    network, _ = two_layers()
    times, indices = np.array([0.9, 0.1, 0.5, 0.3]), np.array([0, 1, 2, 3])
    order = np.array([2, 0, 3, 1])
    found = []
    for times_, indices_ in ((times, indices), (times[order], indices[order])):
        result = es.simulate(network, {"in": es.Spikes(times_, indices_)}, 3.0)
        grad = gradients.timing_backprop(result, potentials={"out": np.ones(3)})
        found.append(grad.input_times["in"])
    assert np.any(found[0] != 0.0)
    np.testing.assert_array_equal(found[1], found[0][order])


def test_batched_input_times_come_in_the_callers_order() -> None:
    network, batch = two_layers()
    result = es.simulate(network, {"in": batch}, 3.0)
    whole = gradients.timing_backprop(result, potentials={"out": np.ones((6, 3))})
    for k in range(6):
        part = gradients.timing_backprop(result[k], potentials={"out": np.ones(3)})
        alone = es.simulate(network, {"in": batch.sample(k)}, 3.0)
        single = gradients.timing_backprop(alone, potentials={"out": np.ones(3)})
        expected = np.empty(5)
        expected[batch.sample(k).indices] = single.input_times["in"]
        # from_latencies counts row by row: source after source
        np.testing.assert_allclose(
            np.asarray(whole.input_times["in"]).reshape(6, 5)[k], expected, rtol=1e-13
        )
        assert np.sort(part.input_times["in"]).tolist() == pytest.approx(np.sort(expected).tolist())


def test_a_first_spike_is_one_of_the_spikes() -> None:
    network, batch = two_layers()
    result = es.simulate(network, {"in": batch}, 3.0)[1]
    first = result.first_spikes("out")
    a = np.where(np.isfinite(first), [1.0, -2.0, 3.0], 0.0)
    spikes = result.spikes["out"]
    assert len(spikes) > np.count_nonzero(a)  # some neuron fires twice
    each = np.where(spikes.times == first[spikes.indices], a[spikes.indices], 0.0)
    one = gradients.timing_backprop(result, first_spikes={"out": a})
    two = gradients.timing_backprop(result, spike_times={"out": each})
    for key in network.projections:
        np.testing.assert_array_equal(one.weights[key], two.weights[key])


def test_runs_that_end_early_have_the_gradients_of_first_spikes_of_whole_runs() -> None:
    network, batch = two_layers()
    whole = es.simulate(network, {"in": batch}, 3.0)
    early = es.simulate(network, {"in": batch}, 3.0, until_fired="out")
    assert early.ends.min() < 3.0
    a = {"out": first_spike_cotangents(whole)}
    expected = gradients.timing_backprop(whole, first_spikes=a)
    found = gradients.timing_backprop(early, first_spikes=a)
    for key in network.projections:
        np.testing.assert_allclose(
            found.weights[key], expected.weights[key], rtol=1e-11, atol=1e-14
        )
        np.testing.assert_allclose(found.delays[key], expected.delays[key], rtol=1e-10)
    for name in ("tau_mem", "tau_syn", "threshold", "bias"):
        for population in ("hidden", "out"):
            np.testing.assert_allclose(
                getattr(found, name)[population],
                getattr(expected, name)[population],
                rtol=1e-10,
                atol=1e-13,
            )


@pytest.mark.parametrize("source", ["result", "graph"])
@pytest.mark.parametrize("sparse", [False, True])
def test_one_delay_for_all_has_the_sum_of_the_gradients_of_each(source: str, sparse: bool) -> None:
    """Of its own projection only; three projections, two of them between the same populations."""
    network, batch = two_layers(sparse=sparse)
    network.connect("hidden", "out", weights=np.full((8, 3), 0.1), delays=0.2)
    each = network.replace(
        delays={
            key: p.weights * 0.0 + p.delays if key[0] != "in" or not sparse else p.weights * 0.0
            for key, p in network.projections.items()
        }
    )
    found = []
    for net in (network, each):
        result = es.simulate(net, {"in": batch.sample(1)}, 3.0)
        run = result if source == "result" else result.causality()
        found.append(gradients.timing_backprop(run, potentials={"out": np.ones(3)}).delays)
    assert len(network.projections) == 3
    for key in network.projections:
        assert isinstance(found[0][key], float)
        total = cases.to_dense(found[1][key]).sum()
        assert found[0][key] == pytest.approx(total, rel=1e-10)
        assert abs(total) > 1e-3


@pytest.mark.parametrize("batched", [False, True])
def test_a_silent_neuron_takes_no_cotangent_but_zero(batched: bool) -> None:
    neurons = (naive.Neuron(1.0, 1.0, math.inf), naive.Neuron(0.0, 0.0, 1.0, bias=4.0))
    built = cases.build(Case(neurons, (), (), 1.0))
    result = built.run() if not batched else es.simulate(built.network, [{}, {}], 1.0)
    shape = (2, 2) if batched else (2,)
    a = np.zeros(shape)
    a[..., 1] = 3.0
    found = gradients.timing_backprop(result, first_spikes={cases.ALL: a})
    samples = 2 if batched else 1
    np.testing.assert_allclose(found.threshold[cases.ALL], [0.0, samples * 3.0 / 4.0], rtol=1e-15)
    np.testing.assert_allclose(found.bias[cases.ALL], [0.0, samples * -3.0 / 16.0], rtol=1e-15)
    a[..., 0] = -0.25
    with pytest.raises(ValueError, match=r"silent.*-0\.25"):
        gradients.timing_backprop(result, first_spikes={cases.ALL: a})


def test_the_silent_fraction_counts_neurons_sample_by_sample() -> None:
    """Two neurons with an input each, and a readout that does not count."""
    neurons = (naive.Neuron(0.0, 0.0, 1.0), naive.Neuron(0.0, 0.0, 1.0))
    readout = naive.Neuron(0.0, 0.0, math.inf)
    synapses = ((-1, 0, 9.0, 0.0), (-2, 1, 9.0, 0.0))
    built = cases.build(Case((*neurons, readout), synapses, (), 1.0))
    stimuli = [{cases.IN: es.Spikes([0.0], [source])} for source in (1, 1, 0, 0)]
    result = es.simulate(built.network, [*stimuli, {}], 1.0)
    found = gradients.timing_backprop(result, potentials={cases.ALL: np.zeros((5, 3))})
    assert found.silent_fraction == pytest.approx(6 / 10)
    both = {cases.IN: es.Spikes([0.0, 0.0], [0, 1])}
    result = es.simulate(built.network, [both] * 3, 1.0)
    found = gradients.timing_backprop(result, potentials={cases.ALL: np.zeros((3, 3))})
    assert found.silent_fraction == 0.0


def test_a_batch_takes_no_cotangent_of_a_single_run() -> None:
    network, batch = two_layers()
    result = es.simulate(network, {"in": batch}, 3.0)
    for argument in ("first_spikes", "potentials"):
        with pytest.raises(ValueError, match=r"\(6, 3\).*\(3,\)"):
            gradients.timing_backprop(result, **{argument: {"out": np.zeros(3)}})


def test_cotangents_add_up() -> None:
    network, batch = two_layers()
    result = es.simulate(network, {"in": batch}, 3.0)[0]
    n = len(result.spikes["hidden"])
    terms = [
        {"spike_times": {"hidden": np.sin(np.arange(n))}},
        {"potentials": {"out": np.array([1.0, 2.0, -3.0])}},
        {"potentials": {"hidden": np.arange(8.0)}},
        {"integrals": {"out": (np.array([0.5, -1.0, 2.0]), 0.25, 2.0)}},
    ]
    parts = [gradients.timing_backprop(result, **term) for term in terms]
    whole = gradients.timing_backprop(
        result,
        spike_times=terms[0]["spike_times"],
        potentials={**terms[1]["potentials"], **terms[2]["potentials"]},
        integrals=terms[3]["integrals"],
    )
    for key in network.projections:
        np.testing.assert_allclose(
            whole.weights[key], sum(part.weights[key] for part in parts), rtol=1e-11, atol=1e-12
        )


def test_no_cotangent_no_gradient() -> None:
    network, batch = two_layers()
    result = es.simulate(network, {"in": batch}, 3.0)[0]
    found = gradients.timing_backprop(result, potentials={"out": np.zeros(3)})
    for key in network.projections:
        assert not np.any(found.weights[key])
    assert found.norm == 0.0


def test_potentials_at_an_earlier_time_are_those_of_a_shorter_run() -> None:
    network, batch = two_layers()
    train = batch.sample(0)
    long = es.simulate(network, {"in": train}, 3.0)
    short = es.simulate(network, {"in": train}, 1.25)
    v = {"out": np.array([1.0, -2.0, 0.5])}
    early = gradients.timing_backprop(long, potentials=v, potentials_at=1.25)
    expected = gradients.timing_backprop(short, potentials=v)
    for key in network.projections:
        np.testing.assert_allclose(
            early.weights[key], expected.weights[key], rtol=1e-11, atol=1e-13
        )
    for name in ("tau_mem", "tau_syn", "threshold", "bias"):
        np.testing.assert_allclose(
            getattr(early, name)["hidden"],
            getattr(expected, name)["hidden"],
            rtol=1e-10,
            atol=1e-13,
        )


@pytest.mark.parametrize("times", [[2.0, 0.5, 2.0], [3.0, 3.0], []])
def test_potentials_at_several_times_have_the_sum_of_their_gradients(times: list[float]) -> None:
    network, batch = two_layers()
    result = es.simulate(network, {"in": batch}, 3.0)
    rng = np.random.default_rng(0)
    v = {name: rng.normal(size=(len(batch), len(times), n))
         for name, n in network.populations.items()}  # fmt: skip
    found = gradients.timing_backprop(result, potentials=v, potentials_at=times)
    for key in network.projections:
        expected = np.zeros(network.projections[key].weights.shape)
        for k, at in enumerate(times):
            own = {name: values[:, k] for name, values in v.items()}
            one = gradients.timing_backprop(result, potentials=own, potentials_at=at)
            expected += one.weights[key]
        np.testing.assert_allclose(found.weights[key], expected, rtol=1e-10, atol=1e-12)
    if not times:
        return
    alone = gradients.timing_backprop(
        result[0], potentials={name: rows[0] for name, rows in v.items()}, potentials_at=times
    )
    assert alone.norm > 0.0
    with pytest.raises(ValueError, match=r"potentials\['out'\] must have shape"):
        gradients.timing_backprop(result, potentials={"out": v["out"][:, 0]}, potentials_at=times)
    with pytest.raises(ValueError, match=r"potentials_at must be in \[0, t_stop\] .* got 3\.5"):
        gradients.timing_backprop(result, potentials=v, potentials_at=[*times[1:], 3.5])


@pytest.mark.parametrize("name", ["adaptation", "everything", "initial_state_receptors"])
def test_potentials_at_any_time_have_the_gradients_of_a_run_that_ends_then(name: str) -> None:
    """By the sweep of the long run, and by its graph."""
    case = cases.load(name).case
    at = 0.61 * case.t_stop
    built = cases.build(case)
    short = replace(built, case=replace(case, t_stop=at)).run()
    v = {cases.ALL: differences.potential_coefficients(len(case.neurons))}
    expected = gradients.timing_backprop(short, potentials=v)
    result = built.run()
    for run in (result, result.causality()):
        found = gradients.timing_backprop(run, potentials=v, potentials_at=at)
        for kind in differences.KINDS:
            theirs = differences.gradient(built, expected, kind)
            scale = 1.0 + np.abs(theirs).max(initial=0.0)
            np.testing.assert_allclose(
                differences.gradient(built, found, kind), theirs, rtol=1e-9, atol=1e-12 * scale
            )


# --- integrals of the potential -------------------------------------------------------------------

NODES, WEIGHTS = np.polynomial.legendre.leggauss(10)


def integral(case: Case, v: np.ndarray, start: float, stop: float) -> float:
    """Sum of v_i times the integral of V_i: Gauss-Legendre on every smooth piece."""
    result = cases.build(case).run()
    found = cases.trains(result)
    emitted = [(-s - 1, t) for s, t in case.inputs] + found
    cuts = {t + d for source, t in emitted for pre, _, _, d, _ in case.synapses if pre == source}
    cuts |= {t for _, t in found} | {t + case.neurons[i].tau_ref for i, t in found}
    cuts = np.array([start, *sorted(t for t in cuts if start < t < stop), stop])
    total = 0.0
    for left, right in itertools.pairwise(cuts):
        at = left + (right - left) * (NODES + 1.0) / 2.0
        values = result.potential(cases.ALL, at=at) @ v
        total += float(WEIGHTS @ values) * (right - left) / 2.0
    return total


@pytest.mark.jit
@pytest.mark.parametrize(("start", "stop"), [(0.0, 3.3), (0.7, 2.1)])
@pytest.mark.parametrize(
    "name",
    [
        "recurrent_delays",
        "refractory_bias",
        "non_leaky",
        "rel_psp",
        "equal_time_constants",
        "adaptation",
        "everything",
    ],
)
def test_integrals_agree_with_central_differences(name: str, start: float, stop: float) -> None:
    case = replace(cases.load(name).case, t_stop=3.3)
    v = differences.potential_coefficients(len(case.neurons))
    built = cases.build(case)
    result = built.run()
    found = gradients.timing_backprop(result, integrals={cases.ALL: (v, start, stop)})
    scale = 1.0 + abs(integral(case, v, start, stop))
    for kind in differences.KINDS:
        exact = differences.gradient(built, found, kind)
        for k, value in enumerate(differences.parameters(case, kind)):
            if kind in differences.NOT_NEGATIVE and value < 1e-4:
                continue
            above, below = (
                integral(differences.moved(case, kind, k, s), v, start, stop) for s in (1e-5, -1e-5)
            )
            assert exact[k] == pytest.approx((above - below) / 2e-5, rel=1e-5, abs=1e-5 * scale), (
                kind,
                k,
            )


# --- what exact gradients cannot see is reported --------------------------------------------------


def grazing(margin: float) -> es.Result:
    """One neuron whose peak surpasses the threshold by a relative margin: V = I t exp(-t)."""
    neuron = naive.Neuron(1.0, 1.0, 1.0)
    current = math.e * (1.0 + margin)
    return cases.build(Case((neuron,), ((-1, 0, current, 0.0),), ((0, 0.0),), 4.0)).run()


@pytest.mark.parametrize("margin", [1e-2, 1e-4, 1e-6, 1e-8, 1e-10])
def test_a_spike_about_to_vanish_is_reported_by_its_slope(margin: float) -> None:
    """The slope vanishes as sqrt(2 margin); the gradient grows as its inverse, unmasked."""
    result = grazing(margin)
    found = gradients.timing_backprop(result, spike_times={cases.ALL: np.ones(1)})
    assert found.min_slope == pytest.approx(math.sqrt(2.0 * margin), rel=0.2)
    assert found.min_slope == result.spikes[cases.ALL].slopes.min()
    gradient = found.weights[cases.IN, cases.ALL].toarray()[0, 0]
    t = result.spikes[cases.ALL].times[0]
    assert gradient == pytest.approx(-t * math.exp(-t) / found.min_slope, rel=1e-9)
    assert abs(gradient) > 0.2 / math.sqrt(margin) / math.e


def test_a_spike_that_has_vanished_leaves_a_silent_neuron_and_no_gradient() -> None:
    result = grazing(-1e-9)
    found = gradients.timing_backprop(result, spike_times={cases.ALL: np.empty(0)})
    assert found.silent_fraction == 1.0
    assert found.min_slope == math.inf
    assert found.norm == 0.0


def test_the_silent_fraction_and_the_norm() -> None:
    network, batch = two_layers()
    result = es.simulate(network, {"in": batch}, 3.0)
    a = first_spike_cotangents(result)
    found = gradients.timing_backprop(result, first_spikes={"out": a})
    silent = [(result.spike_counts(name) == 0).ravel() for name in network.populations]
    assert found.silent_fraction == pytest.approx(np.concatenate(silent).mean())
    squares = sum(float(np.sum(cases.to_dense(w) ** 2)) for w in found.weights.values())
    assert found.norm >= math.sqrt(squares) * (1 - 1e-12)


def norm_of(**weights: Any) -> float:
    return gradients.Gradient(weights, {}, {}, {}, {}, {}, {}, {}, {}, 1.0, 0.0).norm


@pytest.mark.parametrize("unit", [1e-320, 1e-200, 1e-155, 1.0, 1e155, 1e200, 1e307])
def test_the_norm_is_a_number_where_squares_are_none(unit: float) -> None:
    dense, sparse = np.array([[3.0, 0.0]]) * unit, scipy.sparse.csr_array([[0.0, 4.0 * unit]])
    found = norm_of(dense=dense, sparse=sparse, single=12.0 * unit)
    assert found == pytest.approx(13.0 * unit, rel=1e-14, abs=1e-323)


def test_the_norm_of_what_is_empty_zero_or_no_number() -> None:
    assert norm_of() == 0.0
    assert norm_of(a=np.empty((0, 2)), b=np.zeros(3)) == 0.0
    assert norm_of(a=np.array([1.0, np.inf])) == np.inf
    assert math.isnan(norm_of(a=np.array([1.0, np.nan]), b=np.array([2.0])))


def test_the_square_of_a_time_constant_may_be_no_number() -> None:
    network = es.Network()
    network.add_population("p", 3, es.LIF(tau_mem=[1e160, np.inf, 2.0], tau_syn=[2.0, 4.0, 1e160]))
    by = {name: np.zeros(3) for name in ("threshold", "bias", "potential", "level")}
    by |= {"alpha": np.full((3, 1), 1e200), "beta": np.array([-1e200, 1.0, 8.0])}
    found = pulled(by, layout_of(network).values, np.ones(3, dtype=bool))
    np.testing.assert_allclose(found["tau_mem"], [1e-120, 0.0, -2.0], rtol=1e-12)
    np.testing.assert_allclose(found["tau_syn"][:, 0], [-2.5e199, -6.25e198, -1e-120], rtol=1e-12)


def test_a_batch_of_a_network_with_one_synapse_sums_its_samples() -> None:
    """One synapse, several lanes: adding up the lanes must not take it for a single lane."""
    network = es.Network()
    network.add_input("in", 1)
    network.add_population("out", 1, es.LIF(tau_mem=1.0, tau_syn=1.0))
    key = network.connect("in", "out", weights=[[4.0]])
    batch = es.SpikeBatch.from_latencies([[0.0], [0.25], [0.5]])
    result = es.simulate(network, {"in": batch}, t_stop=1.0)
    found = gradients.timing_backprop(result, first_spikes={"out": np.ones((3, 1))})
    alone = gradients.timing_backprop(result[0], first_spikes={"out": np.ones(1)})
    np.testing.assert_allclose(found.weights[key], 3.0 * alone.weights[key], rtol=1e-12)


def test_a_charge_gets_the_derivative_of_all_that_its_spike_sets_off_at_once() -> None:
    """The spike of "first" has the time of the charge, and reaches "second" without a delay."""
    net = es.Network()
    net.add_input("in", 1)
    net.add_population("first", 1, es.LIF(tau_syn=0.0))
    net.add_population("second", 1, es.LIF(tau_mem=1.0, tau_syn=1.0))
    key = net.connect("in", "first", weights=[[1.5]], delays=0.25)
    net.connect("first", "second", weights=[[4.0]])
    result = es.simulate(net, {"in": es.Spikes([0.5], [0])}, 3.0, engine="scheduler")
    n = len(result.spikes["second"])
    by_spikes = {"first": [0.5], "second": np.ones(n)}
    for run in (result, result.causality()):
        found = gradients.timing_backprop(run, spike_times=by_spikes)
        assert found.input_times["in"] == pytest.approx([0.5 + n])
        assert found.delays[key] == pytest.approx(0.5 + n)
        assert found.weights[key] == 0.0
    by_hand = es.CausalityGraph.from_networkx(result.causality().to_networkx())
    found = gradients.timing_backprop(by_hand, spike_times=[0.5] + [1.0] * n)
    assert found.input_times["input"] == pytest.approx([0.5 + n])
