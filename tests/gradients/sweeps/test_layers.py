"""The adjoint sweep over layers: the scheduler's gradients, and the same bits however it is run."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import assume, given
from hypothesis import strategies as st

import eventsim as es
import gradients
from eventsim._layout import layers as layer_plan
from eventsim._layout.layers import layers_of as plan_of
from eventsim._support import threads
from gradients._sweeps.layers import frames as framed
from gradients._sweeps.layers import host as layered
from tests.helpers import cases, differences
from tests.helpers.engines import Batch, looped
from tests.helpers.feedforward import (
    EVERY,
    KINDS,
    SEVERAL,
    WIDE,
    Recipe,
    assert_identical_gradient,
    assert_same_gradient,
    busy,
    cotangents,
    dense,
    general,
    layers_of,
    loss,
    recipes,
)
from tests.helpers.models import Model, decided
from tests.helpers.strategies import examples, general_networks

RUNS = (2.51234, 2.51234, 0.1)
# Without the parameters of neurons, another loop does the work.
FEW = ("weights", "delays", "input_times")
WRT = st.sampled_from([EVERY, FEW])


def swept(result: es.BatchResult, **options: Any) -> gradients.Gradient:
    return gradients.timing_backprop(result, **cotangents(result), **options)


# --- the same gradients as from elsewhere ---------------------------------------------------------


def assert_gradients_of_the_scheduler(
    model: Model, wrt: tuple[str, ...] = EVERY, rtol: float = 1e-10
) -> None:
    expected = decided(model)
    ours, theirs = swept(model.run(), wrt=wrt), swept(expected, wrt=wrt)
    assert_same_gradient(ours, theirs, rtol=rtol, kinds=wrt)


def test_the_feed_forward_reference_network() -> None:
    reference = cases.load("feedforward")
    built = cases.build(reference.case)
    found = gradients.timing_backprop(
        built.run(engine="layered"),
        spike_times={cases.ALL: np.array(reference.time_coefficients)},
        potentials={cases.ALL: np.array(reference.potential_coefficients)},
    )
    differences.assert_reference_gradients(reference, built, found)


@given(recipes(t_stops=RUNS), WRT)
@examples(0.5)
def test_random_networks_have_the_gradients_of_the_scheduler(
    recipe: Recipe, wrt: tuple[str, ...]
) -> None:
    assert_gradients_of_the_scheduler(recipe.model(), wrt)


@given(looped("layered", general_networks()))
@examples(0.5)
def test_neurons_of_any_kind_have_the_gradients_of_the_scheduler(drawn: Batch) -> None:
    assert_gradients_of_the_scheduler(drawn.model())


@given(recipes(t_stops=RUNS), WRT)
@examples(0.5)
def test_single_neurons_in_blocks_have_the_gradients_of_the_scheduler(
    recipe: Recipe, wrt: tuple[str, ...]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layer_plan, "BLOCK", 5)
        assert_gradients_of_the_scheduler(recipe.model(), wrt)


@pytest.mark.slow
@given(recipes(WIDE, t_stops=RUNS), WRT)
@examples(0.5)
def test_wide_networks_have_the_gradients_of_the_scheduler(
    recipe: Recipe, wrt: tuple[str, ...]
) -> None:
    assert_gradients_of_the_scheduler(recipe.model(), wrt)


@given(general(t_stops=RUNS), WRT)
def test_networks_with_several_receptors_have_the_gradients_of_the_scheduler(
    recipe: Recipe, wrt: tuple[str, ...]
) -> None:
    assert_gradients_of_the_scheduler(recipe.model(), wrt, rtol=1e-9)


@pytest.mark.slow
@given(general(WIDE, t_stops=RUNS), WRT)
@examples(0.3)
def test_wide_networks_with_several_receptors_have_the_gradients_of_the_scheduler(
    recipe: Recipe, wrt: tuple[str, ...]
) -> None:
    assert_gradients_of_the_scheduler(recipe.model(), wrt, rtol=1e-9)


@given(general(t_stops=RUNS, receptors=(1,)), WRT)
@examples(0.3)
def test_networks_that_begin_in_any_state_have_the_gradients_of_the_scheduler(
    recipe: Recipe, wrt: tuple[str, ...]
) -> None:
    assert_gradients_of_the_scheduler(recipe.model(), wrt)


@given(recipes(t_stops=RUNS))
@examples(0.3)
def test_silence_and_slopes_are_reported_as_by_the_scheduler(recipe: Recipe) -> None:
    model = recipe.model()
    expected, found = swept(decided(model)), swept(model.run())
    assert found.min_slope == pytest.approx(expected.min_slope, rel=1e-10)
    assert found.silent_fraction == expected.silent_fraction
    assert found.norm == pytest.approx(expected.norm, rel=1e-9, abs=1e-10)


@given(recipes(t_stops=RUNS))
@examples(0.3)
def test_the_causality_graph_of_a_layered_run_has_its_gradients(recipe: Recipe) -> None:
    result = recipe.model().run()
    assume(result.record.slope.min(initial=np.inf) > 0.05)
    single = result[0]
    given_cotangents = cotangents(single.batch)
    given_cotangents["potentials"] = {
        name: values[0] for name, values in given_cotangents["potentials"].items()
    }
    found = gradients.timing_backprop(single, **given_cotangents)
    expected = gradients.timing_backprop(single.causality(), **given_cotangents)
    assert_same_gradient(found, expected)


# --- central differences --------------------------------------------------------------------------


def moved(model: Model, kind: str, key: Any, place: int, step: float) -> Model:
    """The model with one value of one kind changed by ``step``."""
    network, stimulus = model.network, model.stimulus
    if kind == "weights":
        new = _with_value(network.projections[key], network.projections[key].values, place, step)
        return dataclasses.replace(model, network=network.replace(weights={key: new}))
    if kind == "delays":
        p = network.projections[key]
        late = p.delays
        new = (
            late + step if isinstance(late, float) else _with_value(p, p.delay_values, place, step)
        )
        return dataclasses.replace(model, network=network.replace(delays={key: new}))
    if kind == "input_times":
        train = stimulus[key]
        times = train.times.copy()
        times[place] += step
        new_train = es.SpikeBatch(times, train.indices, train.samples, len(train))
        return dataclasses.replace(model, stimulus={**stimulus, key: new_train})
    values = np.ravel(network.neurons[key].arrays(network.populations[key])[kind]).copy()
    values[place] += step
    lif = dataclasses.replace(network.neurons[key], **{kind: values})
    return dataclasses.replace(model, network=network.replace(neurons={key: lif}))


def _with_value(projection: Any, values: np.ndarray, place: int, step: float) -> Any:
    changed = values.copy()
    changed[place] += step
    return projection.like(changed)


def value_of(gradient: Any, model: Model, kind: str, key: Any, place: int) -> float:
    value = getattr(gradient, kind)[key]
    if kind == "input_times":
        return float(value[model.stimulus[key].order[place]])
    flat = value.data if scipy.sparse.issparse(value) else np.ravel(value)
    return float(flat[place])


def places(model: Model, kind: str) -> list[tuple[Any, int]]:
    """Every value of a kind that can be moved a little."""
    network = model.network
    if kind in ("weights", "delays"):
        pools = {
            name for name, lif in network.neurons.items() if np.any(np.equal(lif.threshold, 0.0))
        }
        found = []
        for key, p in network.projections.items():
            values = p.values if kind == "weights" else np.ravel(p.delay_values)
            if kind == "weights" or key[1] not in pools:
                found += [(key, k) for k in range(values.size) if kind == "weights" or values[k]]
        return found
    if kind == "input_times":
        return [(name, k) for name, t in model.stimulus.items() for k in range(t.times.size)]
    found = []
    for name, n in network.populations.items():
        values = np.ravel(network.neurons[name].arrays(n)[kind])
        if np.any(values == 0.0) and kind == "threshold":
            continue
        found += [(name, k) for k in range(n) if np.isfinite(values[k])]
    return found


def slope_of_loss(model: Model, kind: str, key: Any, place: int) -> float:
    """The central difference; nan where the loss jumps, or may have a kink."""
    step = 3e-7
    runs = [moved(model, kind, key, place, s).run() for s in (-step, 0.0, step)]
    counts = [np.bincount(run.record.neuron, minlength=1).tolist() for run in runs]
    if not counts[0] == counts[1] == counts[2]:
        return math.nan
    below, middle, above = (loss(run) for run in runs)
    return differences.slope(below, middle, above, step)


@pytest.mark.slow
@given(recipes(t_stops=(2.51234,)), st.data())
@examples(0.5)
def test_random_networks_agree_with_central_differences(
    recipe: Recipe, data: st.DataObject
) -> None:
    """Times are drawn anywhere: where arrivals are simultaneous, no derivative exists."""
    model = dataclasses.replace(recipe, on_grid=False).model()
    decided(model, slope=0.3)
    found = swept(model.run())
    for kind in KINDS:
        every = places(model, kind)
        for key, place in data.draw(
            st.lists(st.sampled_from(every), max_size=2) if every else st.just([])
        ):
            expected = slope_of_loss(model, kind, key, place)
            if math.isfinite(expected):
                exact = value_of(found, model, kind, key, place)
                assert exact == pytest.approx(expected, rel=1e-4, abs=1e-4), (kind, key, place)


def test_all_kinds_of_gradients_agree_with_central_differences() -> None:
    model = mixed()
    result = model.run()
    assert all(result.spike_counts(name).sum() > 4 for name in ("a", "b"))
    found, checked = swept(result), dict.fromkeys(KINDS, 0)
    for kind in KINDS:
        for key, place in places(model, kind)[::5]:
            expected = slope_of_loss(model, kind, key, place)
            if math.isfinite(expected):
                exact = value_of(found, model, kind, key, place)
                assert exact == pytest.approx(expected, rel=1e-5, abs=1e-5), (kind, key, place)
                checked[kind] += exact != 0.0
    assert min(checked.values()) >= 2


def mixed() -> Model:
    """Skip connections, two projections between the same two, every kind of neuron."""
    rng = np.random.default_rng(1)
    network = es.Network()
    network.add_input("in", 5)
    network.add_population(
        "a",
        6,
        es.LIF(
            tau_mem=[1.0, 2.0, np.inf, 1.0, 1.0, 0.5],
            tau_syn=[0.5, 2.0, 0.5, np.inf, 0.5, 1.0],
            refractory=[0.0, 0.3, 0.0, 0.1, np.inf, 0.5],
            bias=[0.0, 0.2, 0.0, -0.1, 0.0, 2.5],
        ),
    )
    network.add_population("b", 4, es.LIF(threshold=[1.0, 0.7, 1.0, np.inf], refractory=0.2))
    network.connect("in", "a", weights=rng.normal(3.0, 1.0, (5, 6)), delays=0.15)
    network.connect(
        "a", "b", weights=rng.normal(1.0, 0.7, (6, 4)), delays=rng.uniform(0, 1, (6, 4))
    )
    network.connect("a", "b", weights=rng.normal(0.5, 0.7, (6, 4)), delays=0.4)
    some = scipy.sparse.random_array((5, 4), density=0.6, rng=rng, format="csr")
    network.connect("in", "b", weights=some, delays=some * 0.3)
    latencies = rng.uniform(0.0, 1.5, (3, 5))
    latencies[1] = np.inf
    return Model(network, {"in": es.SpikeBatch.from_latencies(latencies)}, 2.0)


# --- however it is run: bit for bit ---------------------------------------------------------------


@given(general(t_stops=RUNS, receptors=(1, *SEVERAL)), WRT, st.sampled_from([2, 3]))
@examples(0.5)
def test_the_number_of_threads_does_not_matter(
    recipe: Recipe, wrt: tuple[str, ...], n: int
) -> None:
    result = recipe.model().run()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threads, "LEAST_WORK", 1.0)
        one = swept(result, wrt=wrt, threads=1)
        assert_identical_gradient(swept(result, wrt=wrt, threads=n), one, wrt)


@given(general(t_stops=RUNS, receptors=(1, *SEVERAL)), WRT, st.sampled_from([0, 1, 13]))
@examples(0.5)
def test_a_batch_in_portions_has_the_gradients_of_the_batch(
    recipe: Recipe, wrt: tuple[str, ...], portion: int
) -> None:
    result = recipe.model().run()
    whole = swept(result, wrt=wrt)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layered, "PORTION", portion)
        assert_identical_gradient(swept(result, wrt=wrt), whole, wrt)


@pytest.mark.jit
def test_portions_and_threads_of_a_large_batch() -> None:
    """More samples than there are pieces of work; single arrivals in some of them."""
    rng = np.random.default_rng(8)
    network = es.Network()
    network.add_input("in", 4)
    network.add_population("p", 70, es.LIF(bias=np.where(np.arange(70) % 2, 0.4, 0.0)))
    network.add_population("q", 40, es.LIF(tau_mem=np.where(np.arange(40) % 3, 1.0, 2.0)))
    network.add_population("out", 2, es.LIF(threshold=np.inf))
    network.connect("in", "p", weights=rng.normal(3.0, 1.0, (4, 70)))
    sparse = scipy.sparse.random_array((4, 40), density=0.9, rng=rng, format="csr")
    network.connect("in", "q", weights=9.0 * sparse, delays=0.1)
    network.connect("p", "out", weights=rng.normal(0.0, 0.3, (70, 2)))
    network.connect("q", "out", weights=rng.normal(0.0, 0.3, (40, 2)))
    size = 60
    samples = rng.integers(0, 37, size)
    batch = es.SpikeBatch(rng.uniform(0.0, 2.0, size), rng.integers(0, 4, size), samples, 37)
    result = es.simulate(network, {"in": batch}, 2.0, engine="layered")
    assert set(np.bincount(samples, minlength=37)) > {0, 1, 2}
    whole = swept(result, threads=1)
    for portion, n in itertools.product((0, 200, 1000), (1, 2, 3)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(layered, "PORTION", portion)
            patch.setattr(threads, "LEAST_WORK", 1.0)
            assert_identical_gradient(swept(result, threads=n), whole)


@given(recipes(t_stops=RUNS), WRT)
@examples(0.3)
def test_two_sweeps_are_equal_bit_for_bit(recipe: Recipe, wrt: tuple[str, ...]) -> None:
    result = recipe.model().run()
    assert_identical_gradient(swept(result, wrt=wrt), swept(result, wrt=wrt), wrt)


@given(general(t_stops=RUNS, receptors=(1, *SEVERAL)), st.sets(st.sampled_from(EVERY)))
@examples(0.5)
def test_a_gradient_by_some_is_part_of_the_whole(recipe: Recipe, wrt: set[str]) -> None:
    result = recipe.model().run()
    whole, part = swept(result), swept(result, wrt=sorted(wrt))
    assert_same_gradient(part, whole, rtol=1e-12, kinds=tuple(wrt))
    for kind in set(EVERY) - wrt:
        assert getattr(part, kind) == {}
    assert (part.alpha == {}) == ("tau_syn" not in wrt)
    assert (part.beta == {}) == ("tau_mem" not in wrt)
    assert (part.min_slope, part.silent_fraction) == (whole.min_slope, whole.silent_fraction)


@pytest.mark.parametrize("n", [7, 50])
def test_busy_neurons_have_the_gradients_of_the_scheduler(n: int) -> None:
    model = busy(n)
    found, expected = model.run(), model.run("scheduler")
    assert found.spike_counts("p").max() > 3
    np.testing.assert_array_equal(found.spike_counts("p"), expected.spike_counts("p"))
    assert_same_gradient(swept(found), swept(expected))


@pytest.mark.parametrize(
    "wrt", [["weights"], ["delays"], ["input_times", "weights"], ["bias"], ["tau_mem", "threshold"]]
)
@pytest.mark.parametrize("n", [7, 50])
def test_less_to_differentiate_by_changes_nothing_else(n: int, wrt: list[str]) -> None:
    result = busy(n).run()
    assert_same_gradient(swept(result, wrt=wrt), swept(result), rtol=1e-12, kinds=tuple(wrt))


def test_stiff_layers_are_swept_from_arrival_to_arrival_whatever_is_asked_for() -> None:
    """Also where samples begin in states of their own, which nobody asks about."""
    model = layers_of(6, 9, tau_syn=1e-3, tau_mem=0.5)
    initial = {"p": es.State(np.linspace(-1.0, 0.5, 27).reshape(3, 9), 2.0)}
    result = dataclasses.replace(model, initial=initial).run()
    assert framed.frames_of(plan_of(model.network)[0].tiles, result.t_stop) is None
    assert_same_gradient(swept(result, wrt=FEW), swept(result), rtol=1e-12, kinds=FEW)


def test_states_of_more_samples_than_pieces_of_work_or_of_fewer_have_their_own_gradients() -> None:
    """As those of the samples alone."""
    rng = np.random.default_rng(3)
    taus = {"exc": 0.5, "inh": 1.5}
    for n in (2, 11):
        model = layers_of(6, 9, samples=n, tau_syn=taus)
        currents = {name: rng.normal(0.0, 2.0, (n, 9)) for name in taus}
        model = dataclasses.replace(
            model, initial={"p": es.State(rng.uniform(-1, 1, (n, 9)), currents)}
        )
        result = model.run()
        whole, every = swept(result), cotangents(result)
        for k in range(n):
            alone = gradients.timing_backprop(
                result[k],
                spike_times={
                    name: values[result.spikes[name].samples == k]
                    for name, values in every["spike_times"].items()
                },
                potentials={name: values[k] for name, values in every["potentials"].items()},
            )
            own, found = whole.initial["p"], alone.initial["p"]
            np.testing.assert_allclose(own.potential[k], found.potential, rtol=1e-12, atol=1e-12)
            for name in taus:
                np.testing.assert_allclose(
                    own.current[name][k], found.current[name], rtol=1e-12, atol=1e-12
                )


@pytest.mark.parametrize("t_stop", [0.3, 40.0, pytest.param(4000.0, marks=pytest.mark.jit)])
@pytest.mark.parametrize("tau_mem", [0.5, 1.0, np.inf])
def test_runs_of_any_length_have_the_same_gradient_in_frames(t_stop: float, tau_mem: float) -> None:
    """From one frame to many, most of them empty, and to more than are walked."""
    rng = np.random.default_rng(5)
    network = es.Network()
    network.add_input("in", 30)
    network.add_population("p", 9, es.LIF(tau_mem, 0.5, refractory=np.resize([0.0, 0.4, 30.0], 9)))
    network.add_population("q", 3, es.LIF(tau_mem, 1.0))
    network.connect("in", "p", weights=rng.normal(5.0, 2.0, (30, 9)))
    network.connect("p", "q", weights=rng.normal(5.0, 2.0, (9, 3)), delays=0.01)
    times = t_stop * np.sort(rng.uniform(0.0, 1.0, (2, 30)) ** 3, axis=1)
    model = Model(network, {"in": es.SpikeBatch.from_latencies(times)}, t_stop)
    result, wrt = model.run(), ("weights", "delays", "input_times")
    assert min(result.spike_counts(name).sum() for name in "pq") > 2
    assert_same_gradient(swept(result, wrt=wrt), swept(result), rtol=1e-12, kinds=wrt)


# --- batches and cotangents -----------------------------------------------------------------------


@given(recipes(t_stops=RUNS))
@examples(0.5)
def test_a_batch_sums_the_gradients_of_its_samples(recipe: Recipe) -> None:
    model = recipe.model()
    result = model.run()
    assume(result.record.slope.min(initial=np.inf) > 0.05)
    every = cotangents(result)
    parts = []
    for k in range(len(result)):
        single = result[k]
        own = {name: result.spikes[name].samples == k for name in model.network.populations}
        parts.append(
            gradients.timing_backprop(
                single,
                spike_times={name: every["spike_times"][name][own[name]] for name in own},
                potentials={name: every["potentials"][name][k] for name in own},
            )
        )
    whole = swept(result)
    for kind in KINDS[:-1]:
        for key, value in getattr(whole, kind).items():
            total = sum(dense(getattr(part, kind)[key]) for part in parts)
            scale = 1.0 + max(np.abs(dense(getattr(p, kind)[key])).max(initial=0.0) for p in parts)
            np.testing.assert_allclose(dense(value), total, rtol=0, atol=1e-12 * scale)


def test_input_times_come_in_the_callers_order() -> None:
    model = layers_of(6, 9)
    (train,) = model.stimulus.values()
    order = np.random.default_rng(0).permutation(train.times.size)
    mixed_up = es.SpikeBatch(
        train.times[order], train.indices[order], train.samples[order], len(train)
    )
    expected = swept(model.run()).input_times["in"]
    found = swept(dataclasses.replace(model, stimulus={"in": mixed_up}).run()).input_times["in"]
    assert np.any(expected != 0.0)
    np.testing.assert_array_equal(found, expected[train.order][order])


@given(recipes(t_stops=RUNS))
@examples(0.5)
def test_runs_that_end_early_have_the_gradients_of_first_spikes_of_whole_runs(
    recipe: Recipe,
) -> None:
    model = recipe.model()
    population = list(model.network.populations)[-1]
    whole = model.run()
    assume(whole.record.slope.min(initial=np.inf) > 0.05)
    first = whole.first_spikes(population)
    a = np.where(np.isfinite(first), np.sin(1.0 + np.arange(first.size)).reshape(first.shape), 0.0)
    early = model.run(until_fired=population)
    found, expected = (
        gradients.timing_backprop(result, first_spikes={population: a}) for result in (early, whole)
    )
    assert_same_gradient(found, expected)
    for k in range(len(whole)):
        single = early[k]
        found, expected = (
            gradients.timing_backprop(result, first_spikes={population: a[k]})
            for result in (single, whole[k])
        )
        assert_same_gradient(found, expected)


@given(recipes(t_stops=RUNS), st.floats(0.0, 1.0))
@examples(0.5)
def test_losses_within_the_run_take_the_other_sweep(recipe: Recipe, share: float) -> None:
    """Potentials before the end, and integrals of them: as for a run by the scheduler."""
    model = recipe.model()
    expected, found = decided(model), model.run()
    population, n = list(model.network.populations.items())[-1]
    v = np.cos(np.arange(len(found) * n)).reshape(-1, n)
    at = share * model.t_stop
    for options in (
        {"potentials": {population: v}, "potentials_at": at},
        {"integrals": {population: (v, at, model.t_stop)}},
    ):
        ours, theirs = (gradients.timing_backprop(run, **options) for run in (found, expected))
        assert_same_gradient(ours, theirs, rtol=1e-9)


def test_potentials_at_the_end_may_be_asked_for_by_the_time() -> None:
    result = mixed().run()
    v = {"b": np.ones((3, 4))}
    ours, theirs = (
        gradients.timing_backprop(result, potentials=v, potentials_at=at) for at in (2.0, None)
    )
    assert_identical_gradient(ours, theirs)


def test_no_cotangent_no_gradient() -> None:
    result = mixed().run()
    found = gradients.timing_backprop(result, potentials={"b": np.zeros((3, 4))})
    for kind in KINDS:
        for value in getattr(found, kind).values():
            assert not np.any(dense(value))


# --- neurons that fire once, and pools ------------------------------------------------------------


def test_the_gradient_of_a_neuron_that_fires_once_is_that_of_its_first_spike() -> None:
    """All later spikes have no say: also by weights of arrivals after the spike."""
    model = layers_of(6, 40)
    (key, _) = model.network.projections
    often = Model(es.Network(), model.stimulus, 3.0)
    once = Model(es.Network(), model.stimulus, 3.0)
    for net, refractory in ((often.network, 0.0), (once.network, np.inf)):
        net.add_input("in", 6)
        net.add_population("p", 40, es.LIF(refractory=refractory))
        net.connect("in", "p", weights=model.network.projections[key].weights)
    results = [m.run() for m in (often, once)]
    assert results[0].spike_counts("p").max() > 1
    assert results[1].spike_counts("p").max() == 1
    np.testing.assert_array_equal(results[0].first_spikes("p"), results[1].first_spikes("p"))
    first = results[0].first_spikes("p")
    a = {"p": np.where(np.isfinite(first), np.sin(np.arange(first.size)).reshape(first.shape), 0)}
    ours, theirs = (gradients.timing_backprop(result, first_spikes=a) for result in results)
    assert_same_gradient(ours, theirs, rtol=1e-13)


@pytest.mark.parametrize("engine", ["layered", "scheduler"])
def test_a_neuron_that_fired_once_has_a_potential_without_gradient(engine: str) -> None:
    network = es.Network()
    network.add_input("in", 1)
    network.add_population("p", 2, es.LIF(refractory=np.inf, threshold=[1.0, 50.0]))
    key = network.connect("in", "p", weights=[[9.0, 9.0]])
    result = es.simulate(network, {"in": es.Spikes([0.1], [0])}, 1.0, engine=engine)
    assert result.spike_counts("p").tolist() == [1, 0]
    assert result.potential("p")[0] == 0.0
    found = gradients.timing_backprop(result, potentials={"p": [1.0, 1.0]})
    assert found.weights[key][0, 0] == 0.0
    assert found.weights[key][0, 1] > 0.0


@pytest.mark.parametrize("engine", ["layered", "scheduler"])
def test_a_pool_passes_the_derivative_on_to_its_earliest_spike(engine: str) -> None:
    rng = np.random.default_rng(2)
    network = es.Network()
    network.add_input("in", 16)
    network.add_population("pool", 4, es.LIF.earliest())
    network.connect("in", "pool", weights=es.pooling((1, 4, 4), 2))
    latencies = rng.uniform(0.0, 1.0, (3, 16))
    batch = es.SpikeBatch.from_latencies(latencies)
    result = es.simulate(network, {"in": batch}, 2.0, engine=engine)
    a = rng.normal(size=(3, 4))
    found = gradients.timing_backprop(result, first_spikes={"pool": a})
    windows = latencies.reshape(3, 2, 2, 2, 2).transpose(0, 1, 3, 2, 4).reshape(3, 4, 4)
    expected = np.zeros((3, 4, 4))
    np.put_along_axis(expected, windows.argmin(axis=2)[:, :, None], a[:, :, None], axis=2)
    image = expected.reshape(3, 2, 2, 2, 2).transpose(0, 1, 3, 2, 4).reshape(3, 16)
    np.testing.assert_allclose(
        found.input_times["in"].reshape(3, 16), image, rtol=1e-14, atol=1e-14
    )
    assert found.delays["in", "pool"] == pytest.approx(a.sum(), rel=1e-13)
