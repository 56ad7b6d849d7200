"""The layered engine: it gives what the scheduler gives, and the same bits however it is run."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import assume, given
from hypothesis import strategies as st

import eventsim as es
from eventsim._engines.layered import host as layered
from eventsim._layout import layers as layer_plan
from tests.helpers import cases
from tests.helpers.feedforward import (
    WIDE,
    Model,
    Recipe,
    assert_identical,
    assert_same_run,
    decided,
    layers_of,
    recipes,
)
from tests.helpers.naive import Case
from tests.helpers.strategies import decimals, examples, networks, violent_networks

# On processors, and on a device or its simulator: there, small networks only.
LAYERS = ["layered", pytest.param("cuda", marks=pytest.mark.slow)]

# --- the same answer as from elsewhere ------------------------------------------------------------


def fed_with(reference: cases.Reference) -> Model:
    """The network without its recurrence: the reference spikes come in a moment later, as input."""
    case = reference.case
    network = es.Network()
    network.add_input("in", case.n_sources)
    network.add_input("echo", len(case.neurons))
    network.add_population(cases.ALL, len(case.neurons), cases.lif(case.neurons))
    for pre, post, w, d in case.synapses:
        name, row = ("echo", pre) if pre >= 0 else ("in", -pre - 1)
        one = ([w], ([row], [post]))
        weights = scipy.sparse.csr_array(one, shape=(network.inputs[name], len(case.neurons)))
        network.connect(name, cases.ALL, weights=weights, delays=d)
    times = np.array([t for _, t in reference.spikes])
    echo = es.Spikes(times + 4 * np.spacing(times), [i for i, _ in reference.spikes])
    trains = {"in": cases.spikes_of(case.inputs), "echo": echo}
    stimulus = {name: es.SpikeBatch.from_samples([train]) for name, train in trains.items()}
    return Model(network, stimulus, case.t_stop)


@pytest.mark.parametrize("engine", LAYERS)
@pytest.mark.parametrize("name", cases.NETWORK_NAMES)
def test_reference_networks_whose_recurrent_spikes_come_as_input(engine: str, name: str) -> None:
    reference = cases.load(name)
    result = fed_with(reference).run(engine)[0]
    found = cases.trains(result)
    assert [i for i, _ in found] == [i for i, _ in reference.spikes]
    np.testing.assert_allclose(
        [t for _, t in found], [t for _, t in reference.spikes], rtol=1e-12, atol=0
    )
    np.testing.assert_allclose(
        result.potential(cases.ALL), reference.final_potentials, rtol=1e-11, atol=1e-12
    )


@pytest.mark.parametrize("engine", LAYERS)
def test_the_feed_forward_reference_network(engine: str) -> None:
    reference = cases.load("feedforward")
    built = cases.build(reference.case)
    result = built.run(engine=engine)
    found = cases.trains(result)
    assert [i for i, _ in found] == [i for i, _ in reference.spikes]
    np.testing.assert_allclose(
        [t for _, t in found], [t for _, t in reference.spikes], rtol=1e-13, atol=0
    )


@given(recipes())
def test_random_networks_agree_with_the_scheduler(recipe: Recipe) -> None:
    model = recipe.model()
    expected = decided(model)
    assert_same_run(model.run(), expected, rtol=1e-12)


@pytest.mark.slow
@given(recipes(WIDE))
@examples(0.5)
def test_wide_networks_agree_with_the_scheduler(recipe: Recipe) -> None:
    model = recipe.model()
    expected = decided(model)
    assert_same_run(model.run(), expected, rtol=1e-12)


@pytest.mark.parametrize("form", ["dense", "sparse", "delays"])
@pytest.mark.parametrize("n", [7, 50])
def test_busy_neurons_do_what_they_do_in_the_scheduler(n: int, form: str) -> None:
    """Biased and refractory ones side by side, several spikes and releases in one interval."""
    rng = np.random.default_rng(n)
    network = es.Network()
    network.add_input("in", 4)
    lif = es.LIF(
        tau_mem=np.resize([1.0, 2.0], n),
        refractory=np.resize([0.0, 0.2, 0.9, np.inf, 0.05], n),
        bias=np.resize([0.0, 0.3, 0.0, 2.0, 1.5, -0.2, 0.0], n),
    )
    network.add_population("p", n, lif)
    weights = rng.normal(4.0, 1.5, (4, n))
    delays = rng.uniform(0.0, 1.0, (4, n)) if form == "delays" else 0.1
    given = scipy.sparse.csr_array(weights) if form == "sparse" else weights
    network.connect("in", "p", weights=given, delays=delays)
    network.connect("in", "p", weights=-0.3 * weights, delays=0.7)
    train = es.SpikeBatch.from_latencies(rng.uniform(0.0, 2.0, (3, 4)))
    model = Model(network, {"in": train}, 2.6)
    found, expected = model.run(), model.run("scheduler")
    assert found.spike_counts("p").max() > 3
    assert_same_run(found, expected, rtol=1e-12)
    assert found.events.synaptic == expected.events.synaptic


def in_populations(case: Case) -> Model:
    """A feed-forward case with a population per neuron and a projection per synapse."""
    network = es.Network()
    network.add_input("in", case.n_sources)
    for i, neuron in enumerate(case.neurons):
        network.add_population(f"n{i}", 1, cases.lif((neuron,)))
    for pre, post, w, d in case.synapses:
        weights = np.zeros((1 if pre >= 0 else case.n_sources, 1))
        weights[0 if pre >= 0 else -pre - 1] = w
        network.connect("in" if pre < 0 else f"n{pre}", f"n{post}", weights=weights, delays=d)
    train = es.SpikeBatch.from_samples([cases.spikes_of(case.inputs)])
    return Model(network, {"in": train}, case.t_stop)


def trains_of_all(result: es.BatchResult) -> list[tuple[int, float]]:
    return list(zip(result.record.neuron.tolist(), result.record.time.tolist(), strict=True))


@given(networks(feedforward=True))
def test_random_networks_agree_with_the_oracle(case: Case) -> None:
    run = cases.decided(case)
    result = in_populations(case).run()
    cases.assert_same_trains(trains_of_all(result), list(run.spikes))
    for i, (v, current) in enumerate(zip(run.potentials, run.currents, strict=True)):
        assert result.potential(f"n{i}") == pytest.approx(v, rel=1e-7, abs=1e-8)
        assert result.current(f"n{i}") == pytest.approx(current, rel=1e-9, abs=1e-9)


@given(violent_networks())
@examples(0.5)
def test_huge_weights_agree_with_the_oracle(case: Case) -> None:
    forward = tuple(s for s in case.synapses if s[0] < s[1])
    case = dataclasses.replace(case, synapses=forward)
    run = cases.decided(case)
    cases.assert_same_trains(trains_of_all(in_populations(case).run()), list(run.spikes), rtol=1e-8)


@given(recipes(), st.lists(decimals(0.0, 1.0), min_size=1, max_size=3))
@examples(0.5)
def test_states_at_any_time_are_the_schedulers(recipe: Recipe, shares: list[float]) -> None:
    model = recipe.model()
    expected, found = decided(model), model.run()
    at = np.array(shares) * model.t_stop
    for name in model.network.populations:
        for quantity in ("potential", "current"):
            ours, theirs = (getattr(run, quantity)(name, at=at) for run in (found, expected))
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-10)
            at_end = getattr(found, quantity)(name, at=[model.t_stop])[:, 0]
            ours = getattr(found, quantity)(name)
            np.testing.assert_allclose(ours, at_end, rtol=1e-10, atol=1e-11)


# --- however it is run: bit for bit ---------------------------------------------------------------


@given(recipes(), st.sampled_from([2, 3]))
@examples(0.5)
def test_the_number_of_threads_does_not_matter(recipe: Recipe, threads: int) -> None:
    model = recipe.model()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threads, "LEAST_WORK", 1.0)
        assert_identical(model.run(threads=threads), model.run(threads=1))


@given(recipes())
@examples(0.5)
def test_a_batch_is_its_samples(recipe: Recipe) -> None:
    model = recipe.model()
    batch = model.run()
    for k in range(len(batch)):
        alone = es.simulate(model.network, model.sample(k), model.t_stop, engine="layered")
        assert_identical(batch[k].batch, alone.batch)


@given(recipes(), st.sampled_from([0, 1, 13]))
@examples(0.5)
def test_a_batch_in_portions_is_the_batch(recipe: Recipe, portion: int) -> None:
    model = recipe.model()
    whole = model.run()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layered, "PORTION", portion)
        assert_identical(model.run(), whole)


@given(recipes(), st.sampled_from([1, 7, 30]))
@examples(0.5)
def test_a_layer_of_single_neurons_in_blocks_is_the_layer(recipe: Recipe, block: int) -> None:
    whole = recipe.model().run()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layer_plan, "BLOCK", block)
        assert_identical(recipe.model().run(), whole)


@given(recipes())
@examples(0.5)
def test_records_grow_as_needed(recipe: Recipe) -> None:
    model = recipe.model()
    whole = model.run()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layered, "ROOM", 0)
        assert_identical(model.run(), whole)


@given(recipes(), st.lists(decimals(0.0, 1.0), min_size=1, max_size=3))
@examples(0.5)
def test_a_run_in_pieces_is_the_whole_run(recipe: Recipe, shares: list[float]) -> None:
    model = recipe.model()
    result, begin = None, -1.0
    for stop in [*sorted({share * model.t_stop for share in shares}), model.t_stop]:
        piece = {name: between(train, begin, stop) for name, train in model.stimulus.items()}
        engine = "layered" if result is None else "auto"
        result = es.simulate(model.network, piece, stop, resume=result, engine=engine)
        begin = stop
    assert result is not None
    assert_identical(result, model.run())


def between(train: es.SpikeBatch, begin: float, stop: float) -> es.SpikeBatch:
    kept = (train.times > begin) & (train.times <= stop)
    return es.SpikeBatch(train.times[kept], train.indices[kept], train.samples[kept], len(train))


def test_a_list_is_a_batch_and_a_single_run_a_sample() -> None:
    model = layers_of(7, 40)
    batch = model.run()
    listed = [model.sample(k) for k in range(len(batch))]
    assert_identical(es.simulate(model.network, listed, model.t_stop, engine="layered"), batch)
    single = es.simulate(model.network, listed[1], model.t_stop, engine="layered")
    assert isinstance(single, es.Result)
    assert_identical(single.batch, batch[1].batch)


@pytest.mark.parametrize("n", [31, 32, 33, 127, 128, 129, 300])
@pytest.mark.parametrize("bias", [0.0, 0.3])
def test_a_neuron_does_not_see_its_neighbours(n: int, bias: float) -> None:
    """Some of the neurons, in another order, do the same bit for bit, whatever their tiles."""
    rng = np.random.default_rng(n)
    refractory = np.where(np.arange(n) % 3 == 0, 0.2, np.where(np.arange(n) % 3 == 1, 0.0, np.inf))
    tau = np.where(np.arange(n) % 5 == 0, 2.0, 1.0)
    biases = np.where(np.arange(n) % 7 == 0, bias, 0.0)
    model = layers_of(9, n, tau_mem=tau, refractory=refractory, bias=biases)
    weights = model.network.projections["in", "p"].weights
    chosen = rng.permutation(n)[: max(1, n // 3)]
    network = es.Network()
    network.add_input("in", 9)
    some = es.LIF(tau_mem=tau[chosen], refractory=refractory[chosen], bias=biases[chosen])
    network.add_population("p", chosen.size, some)
    network.connect("in", "p", weights=weights[:, chosen])
    whole, part = model.run(), Model(network, model.stimulus, 3.0).run()
    assert np.all(whole.spike_counts("p").sum(axis=1) > n)
    np.testing.assert_array_equal(part.spike_counts("p"), whole.spike_counts("p")[:, chosen])
    np.testing.assert_array_equal(part.first_spikes("p"), whole.first_spikes("p")[:, chosen])
    np.testing.assert_array_equal(part.potential("p"), whole.potential("p")[:, chosen])
    np.testing.assert_array_equal(part.current("p"), whole.current("p")[:, chosen])
    ours, theirs = part.spikes["p"], whole.spikes["p"]
    for k, i in enumerate(chosen):
        np.testing.assert_array_equal(
            ours.times[ours.indices == k], theirs.times[theirs.indices == i]
        )


# --- long intervals -------------------------------------------------------------------------------

BIASES = np.array([0.0, -0.01, -0.1, -0.5, -0.9, -2.0, 0.001, 0.02, 0.5])


@pytest.mark.parametrize("engine", LAYERS)
@pytest.mark.parametrize("t_stop", [30.0, 100.0, 1000.0, 1e5])
@pytest.mark.parametrize(("tau_mem", "tau_syn"), [(20.0, 5.0), (1.0, 1.0), (3.0, 8.0), (2.0, 4.0)])
def test_no_spike_is_missed_however_long_nothing_arrives(
    engine: str, t_stop: float, tau_mem: float, tau_syn: float
) -> None:
    """By then a potential is at rest to rounding, which tells nothing of the way to it."""
    network = es.Network()
    network.add_input("in", 1)
    network.add_population("p", BIASES.size, es.LIF(tau_mem, tau_syn, bias=BIASES / tau_mem))
    network.connect("in", "p", weights=np.full((1, BIASES.size), 9.0))
    spikes = {"in": es.Spikes([0.0], [0])}
    found = es.simulate(network, spikes, t_stop, engine=engine).spikes["p"]
    expected = es.simulate(network, spikes, t_stop, engine="scheduler").spikes["p"]
    assert set(expected.indices) == set(range(BIASES.size))
    np.testing.assert_array_equal(found.indices, expected.indices)
    np.testing.assert_allclose(found.times, expected.times, rtol=1e-12)


@given(recipes(t_stops=(40.0, 500.0), biases=(0.0, 0.0, 0.02, -0.3, -1.0)))
@examples(0.5)
def test_long_runs_with_a_bias_are_those_of_the_scheduler(recipe: Recipe) -> None:
    model = recipe.model()
    expected = decided(model)
    assert_same_run(model.run(), expected, rtol=1e-12)


# --- symmetries -----------------------------------------------------------------------------------


@given(recipes(biases=(0.0,)), st.sampled_from([0.25, 1.0, 3.5, 100.0]))
@examples(0.5)
def test_time_shift(recipe: Recipe, shift: float) -> None:
    """Inputs that come later by s give spikes that come later by s (without bias: rest is rest)."""
    model = recipe.model()
    decided(model)
    later = {
        name: es.SpikeBatch(train.times + shift, train.indices, train.samples, len(train))
        for name, train in model.stimulus.items()
    }
    found, expected = Model(model.network, later, model.t_stop + shift).run(), model.run()
    for name in model.network.populations:
        np.testing.assert_array_equal(found.spike_counts(name), expected.spike_counts(name))
        ours, theirs = found.first_spikes(name), expected.first_spikes(name)
        np.testing.assert_allclose(ours - shift, theirs, rtol=0, atol=1e-12 * (1.0 + 1e2 * shift))


@given(recipes(images=((1, 1, 1), (3, 1, 1), (7, 1, 1))), st.randoms(use_true_random=False))
@examples(0.5)
def test_the_numbering_of_neurons_does_not_matter(recipe: Recipe, random: Any) -> None:
    model = recipe.model()
    decided(model)
    network, orders = es.Network(), {}
    for name, n in model.network.inputs.items():
        network.add_input(name, n)
        orders[name] = np.arange(n)
    for name, n in model.network.populations.items():
        orders[name] = np.array(random.sample(range(n), n))
        parameters = model.network.neurons[name].arrays(n)
        lif = es.LIF(**{key: values[orders[name]] for key, values in parameters.items()})
        network.add_population(name, n, lif)
    for p in model.network.projections.values():
        rows, columns = orders[p.pre], orders[p.post]
        delays = p.delays if isinstance(p.delays, float) else p.delays[rows][:, columns]
        network.connect(p.pre, p.post, weights=p.weights[rows][:, columns], delays=delays)
    found, expected = dataclasses.replace(model, network=network).run(), model.run()
    for name, order in orders.items():
        if name in model.network.populations:
            np.testing.assert_array_equal(
                found.spike_counts(name), expected.spike_counts(name)[:, order]
            )
            np.testing.assert_allclose(
                found.first_spikes(name), expected.first_spikes(name)[:, order], rtol=1e-12
            )


@given(recipes(), decimals(0.0, 1.0), st.integers(0, 2**16))
@examples(0.5)
def test_an_input_changes_nothing_before_it(recipe: Recipe, share: float, seed: int) -> None:
    """Bit for bit: whatever comes in at time a or later, the spikes before a are the same."""
    model, rng = recipe.model(), np.random.default_rng(seed)
    a = share * model.t_stop
    changed = {}
    for name, train in model.stimulus.items():
        early, extra = between(train, -1.0, np.nextafter(a, -1.0)), rng.integers(0, 9)
        changed[name] = es.SpikeBatch(
            np.append(early.times, rng.uniform(a, model.t_stop + 0.1, extra)),
            np.append(early.indices, rng.integers(0, model.network.inputs[name], extra)),
            np.append(early.samples, rng.integers(0, len(train), extra)),
            len(train),
        )
    one, two = model.run(), dataclasses.replace(model, stimulus=changed).run()
    for k in range(len(one)):
        first, second = (
            [spike for spike in spikes_of_sample(run, k) if spike[0] < a] for run in (one, two)
        )
        assert first == second


def spikes_of_sample(result: es.BatchResult, k: int) -> list[tuple[float, int, float]]:
    """Spikes of one sample: time, neuron, slope."""
    part = slice(result.offsets[k], result.offsets[k + 1])
    return list(zip(*(column[part].tolist() for column in result.record[:3]), strict=True))


@given(recipes())
@examples(0.5)
def test_spikes_are_in_order_and_rise_through_the_threshold(recipe: Recipe) -> None:
    model = recipe.model()
    result = model.run()
    refractory = model.network.layout().neurons.refractory
    assert np.all(result.record.slope > 0.0)
    assert np.all((result.record.time > 0.0) & (result.record.time <= model.t_stop))
    for k in range(len(result)):
        part = slice(result.offsets[k], result.offsets[k + 1])
        time, neuron = result.record.time[part], result.record.neuron[part]
        np.testing.assert_array_equal(np.lexsort((neuron, time)), np.arange(time.size))
        for i in np.unique(neuron):
            assert np.all(np.diff(time[neuron == i]) > 0.999 * refractory[i])


# --- the cap --------------------------------------------------------------------------------------


@given(recipes(), st.floats(0.0, 1.0), st.sampled_from([1, 2]))
def test_the_spike_cap_names_the_first_spike_too_many_of_the_same_run(
    recipe: Recipe, share: float, threads: int
) -> None:
    model = recipe.model()
    most = int(np.diff(decided(model).offsets).max())
    assume(most > 1)
    cap = 1 + int(share * (most - 2))
    whole = model.run()
    with pytest.raises(es.ActivityError) as expected:
        model.run("scheduler", max_spikes=cap)
    with pytest.raises(es.ActivityError) as found:
        model.run(max_spikes=cap, threads=threads)
    error = found.value
    kept = error.result[error.sample].batch.record
    for name in ("sample", "population", "neuron", "count"):
        assert getattr(error, name) == getattr(expected.value, name)
    first = whole.offsets[error.sample]
    for name in ("time", "neuron", "slope"):  # a release may lie beyond the end
        theirs = getattr(whole.record, name)
        np.testing.assert_array_equal(getattr(kept, name), theirs[first : first + cap])
    assert error.time == whole.record.time[first + cap]
    assert_identical(model.run(max_spikes=most), whole)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_spike_cap_names_the_first_sample_beyond_it(threads: int) -> None:
    """The later sample fires in an earlier tile, a still later one in an earlier layer."""
    network = es.Network()
    network.add_input("in", 3)
    network.add_population("a", 200, es.LIF(np.inf, np.inf))
    network.add_population("b", 1, es.LIF(np.inf, np.inf))
    first, second = np.zeros((3, 200)), np.zeros((3, 1))
    first[1, 150], first[2, 3], second[0] = 50.0, 50.0, 50.0
    network.connect("in", "a", weights=first)
    network.connect("in", "b", weights=second)
    batch = es.SpikeBatch([0.0, 0.0, 0.0], [2, 1, 0], [4, 3, 2], 5)
    with pytest.raises(es.ActivityError, match=r"sample 2 exceeded max_spikes = 7.*'b'"):
        es.simulate(network, {"in": batch}, 1.0, max_spikes=7, engine="layered", threads=threads)


def test_the_spike_cap_counts_all_layers_together() -> None:
    model = layers_of(6, 30)
    counts = np.diff(model.run().offsets)
    p_alone = model.run().spike_counts("p").sum(axis=1)
    assert np.all(counts > p_alone)
    with pytest.raises(es.ActivityError, match=re.escape(f"max_spikes = {p_alone.max()}")):
        model.run(max_spikes=int(p_alone.max()))


@pytest.mark.parametrize("engine", LAYERS)
def test_spikes_beyond_an_early_end_are_not_beyond_the_cap(engine: str) -> None:
    network = es.Network()
    network.add_input("in", 1)
    network.add_population("p", 2, es.LIF(np.inf, np.inf))
    network.connect("in", "p", weights=[[5.0, 1.5]])
    stimulus = [{"in": es.Spikes([0.0], [0])}] * 2
    early = es.simulate(network, stimulus, 4.0, engine=engine, until_fired="p", max_spikes=4)
    assert_same_run(
        early, es.simulate(network, stimulus, 4.0, engine="scheduler", until_fired="p"), rtol=1e-12
    )
    np.testing.assert_allclose(early.ends, 1.0 / 1.5, rtol=1e-12)
    assert list(early.spike_counts("p")[0]) == [3, 1]
    with pytest.raises(es.ActivityError, match="sample 0 exceeded max_spikes = 3"):
        es.simulate(network, stimulus, 4.0, engine=engine, until_fired="p", max_spikes=3)


# --- early ends, counts ---------------------------------------------------------------------------


@given(recipes(), st.data())
@examples(0.5)
def test_a_run_until_all_have_fired_is_the_beginning_of_the_whole_run(
    recipe: Recipe, data: st.DataObject
) -> None:
    model = recipe.model()
    population = data.draw(st.sampled_from(list(model.network.populations)))
    whole, early = model.run(), model.run(until_fired=population)
    np.testing.assert_array_equal(early.first_spikes(population), whole.first_spikes(population))
    last = whole.first_spikes(population).max(axis=1)
    just_after = np.nextafter(last, np.inf)  # a pool fires just after what sets it off
    pooled = np.any(model.network.neurons[population].threshold == 0.0)
    last = just_after if pooled else last
    np.testing.assert_array_equal(early.ends, np.minimum(last, whole.ends))
    for k in range(len(whole)):
        part = slice(whole.offsets[k], whole.offsets[k + 1])
        kept = whole.record.time[part] <= early.ends[k]
        own = slice(early.offsets[k], early.offsets[k + 1])
        for ours, theirs in zip(early.record, whole.record, strict=True):
            np.testing.assert_array_equal(ours[own], theirs[part][kept])
        single = es.simulate(
            model.network, model.sample(k), model.t_stop, engine="layered", until_fired=population
        )
        assert_bitwise_equal_everywhere(single, early[k])
    assert_identical(es.simulate(model.network, {}, model.t_stop, resume=early), whole)


def assert_bitwise_equal_everywhere(found: es.Result, expected: es.Result) -> None:
    assert found.t_stop == expected.t_stop
    for ours, theirs in zip(found.batch.record, expected.batch.record, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for name in expected.network.populations:
        np.testing.assert_array_equal(found.potential(name), expected.potential(name))
        np.testing.assert_array_equal(found.current(name), expected.current(name))


@given(recipes())
@examples(0.5)
def test_an_early_end_is_the_schedulers(recipe: Recipe) -> None:
    model = recipe.model()
    decided(model)
    population = list(model.network.populations)[-1]
    found, expected = (model.run(e, until_fired=population) for e in ("layered", "scheduler"))
    np.testing.assert_allclose(found.ends, expected.ends, rtol=1e-12)
    np.testing.assert_allclose(
        found.first_spikes(population), expected.first_spikes(population), rtol=1e-12
    )


@given(recipes())
@examples(0.5)
def test_events_are_counted_as_by_the_scheduler(recipe: Recipe) -> None:
    """All but the searches, which every engine spares in its own way."""
    model = recipe.model()
    expected, found = decided(model), model.run()
    for k in range(len(found)):
        ours, theirs = found[k].events, expected[k].events
        assert ours.synaptic == theirs.synaptic
        assert ours.inputs == theirs.inputs
        assert ours.spikes == theirs.spikes
    assert found.events.searches >= found.events.spikes


# --- pools ----------------------------------------------------------------------------------------


def pooled(latencies: np.ndarray, image: tuple[int, int, int], window: int) -> np.ndarray:
    """The earliest time in each window, (n_samples, n)."""
    c, h, w = image
    tiles = latencies.reshape(-1, c, h // window, window, w // window, window)
    return tiles.min(axis=(3, 5)).reshape(len(latencies), -1)


@pytest.mark.parametrize("engine", [*LAYERS, "scheduler"])
@pytest.mark.parametrize("kind", ["times", "grid", "gaps", "nothing"])
def test_a_pool_passes_on_the_earliest_spike_of_its_window(engine: str, kind: str) -> None:
    """The next layer does what it would do with the earliest times as its input."""
    rng = np.random.default_rng(5)
    image, small = (2, 6, 4), (2, 3, 2)
    latencies = rng.uniform(0.0, 2.0, (5, 48))
    if kind == "grid":
        latencies = np.round(latencies * 2.0) / 2.0
    if kind == "gaps":
        latencies[rng.random(latencies.shape) < 0.7] = np.inf
    if kind == "nothing":
        latencies[:] = np.inf
    once = es.LIF(1.0, 0.5, refractory=np.inf)
    kernel = rng.uniform(0.0, 3.0, (3, 2, 2, 2))
    network, after = es.Network(), es.Network()
    network.add_input("in", 48)
    network.add_population("pool", 12, es.LIF.earliest())
    after.add_input("pool", 12)
    network.connect("in", "pool", weights=es.pooling(image, 2))
    for net in (network, after):
        net.add_population("out", 6, once)
        net.connect("pool", "out", weights=es.Convolution(kernel, small[1:]))
    batch = es.SpikeBatch.from_latencies(latencies)
    result = es.simulate(network, {"in": batch}, 1.8, engine=engine)
    earliest = pooled(latencies, image, 2)
    earliest[earliest >= 1.8] = np.inf
    np.testing.assert_allclose(result.first_spikes("pool"), earliest, rtol=1e-15, atol=1e-300)
    assert result.spike_counts("pool").max(initial=0) <= 1
    oracle = es.simulate(after, {"pool": es.SpikeBatch.from_latencies(earliest)}, 1.8)
    np.testing.assert_allclose(
        result.first_spikes("out"), oracle.first_spikes("out"), rtol=1e-12, atol=0
    )
    assert (len(result.spikes["out"]) > 0) == (kind != "nothing")


@pytest.mark.parametrize("engine", ["layered", "scheduler"])
def test_a_pool_behind_a_convolution_takes_the_first_spikes(engine: str) -> None:
    """Also where the neurons before it fire again and again."""
    rng = np.random.default_rng(6)
    network = es.Network()
    network.add_input("in", 25)
    network.add_population("conv", 48, es.LIF(1.0, 0.5))
    network.add_population("pool", 12, es.LIF.earliest())
    network.connect(
        "in", "conv", weights=es.Convolution(rng.normal(3.0, 2.0, (3, 1, 2, 2)), image=(5, 5))
    )
    network.connect("conv", "pool", weights=es.pooling((3, 4, 4), 2))
    batch = es.SpikeBatch.from_latencies(rng.uniform(0.0, 1.0, (4, 25)))
    result = es.simulate(network, {"in": batch}, 2.0, engine=engine)
    assert result.spike_counts("conv").max() > 1
    expected = pooled(result.first_spikes("conv"), (3, 4, 4), 2)
    np.testing.assert_allclose(result.first_spikes("pool"), expected, rtol=1e-15)


@pytest.mark.parametrize("engine", [*LAYERS, "scheduler"])
def test_pools_may_follow_pools_and_overlap(engine: str) -> None:
    rng = np.random.default_rng(7)
    network = es.Network()
    network.add_input("in", 25)
    network.add_population("a", 16, es.LIF.earliest())
    network.add_population("b", 4, es.LIF.earliest())
    network.connect("in", "a", weights=es.pooling((1, 5, 5), 2, stride=1))
    network.connect("a", "b", weights=es.pooling((1, 4, 4), 2))
    latencies = rng.uniform(0.0, 1.0, (4, 25))
    result = es.simulate(
        network, {"in": es.SpikeBatch.from_latencies(latencies)}, 2.0, engine=engine
    )
    grid = latencies.reshape(4, 5, 5)
    corners = [grid[:, y : y + 3, x : x + 3].min(axis=(1, 2)) for y in (0, 2) for x in (0, 2)]
    np.testing.assert_allclose(result.first_spikes("b"), np.stack(corners, axis=1), rtol=1e-15)


# --- networks at the edge -------------------------------------------------------------------------


@pytest.mark.parametrize("engine", LAYERS)
def test_neurons_that_nothing_reaches_follow_their_bias(engine: str) -> None:
    """A population without any projection, a neuron without any synapse, a run of no time."""
    network = es.Network()
    network.add_input("in", 1)
    network.add_population("alone", 40, es.LIF(np.inf, np.inf, bias=np.linspace(0.0, 4.0, 40)))
    network.add_population("apart", 2, es.LIF(np.inf, np.inf, bias=2.0))
    network.connect("in", "apart", weights=scipy.sparse.csr_array([[0.0, 4.0]]))
    network.connect("in", "apart", weights=scipy.sparse.csr_array(([1.0], ([0], [1])), (1, 2)))
    for t_stop in (1.01, 0.0):
        result = es.simulate(network, [{}, {}], t_stop, engine=engine)
        counts = np.floor(np.linspace(0.0, 4.0, 40) * t_stop).astype(int)
        np.testing.assert_array_equal(result.spike_counts("alone"), [counts, counts])
        np.testing.assert_array_equal(
            result.spike_counts("apart"), np.full((2, 2), int(2 * t_stop))
        )


@pytest.mark.parametrize("engine", LAYERS)
def test_a_network_without_synapses_and_bias_stays_at_rest(engine: str) -> None:
    network = es.Network()
    network.add_population("p", 3, es.LIF())
    result = es.simulate(network, {}, 2.0, engine=engine)
    assert len(result.spikes["p"]) == 0
    np.testing.assert_array_equal(result.potential("p"), np.zeros(3))
    assert result.events == es.EventCounts(0, 0, 0, 0)


@pytest.mark.parametrize("engine", LAYERS)
@pytest.mark.parametrize("n", [1, 40])
def test_a_spike_at_the_time_of_an_arrival_comes_before_it(engine: str, n: int) -> None:
    """At the very moment of the spike an inhibition is too late; a moment earlier, it is not."""
    network = es.Network()
    network.add_input("in", 2)
    network.add_population("p", n, es.LIF(np.inf, np.inf))
    network.connect("in", "p", weights=np.repeat([[2.0], [-9.0]], n, axis=1))
    for stop, count in ((0.5, n), (np.nextafter(0.5, 0.0), 0)):
        spikes = {"in": es.Spikes([0.0, stop], [0, 1])}
        result = es.simulate(network, spikes, 2.0, engine=engine)
        np.testing.assert_array_equal(result.spikes["p"].times, np.full(count, 0.5))
        spikes = {"in": es.Spikes([0.0], [0])}
        assert len(es.simulate(network, spikes, stop, engine=engine).spikes["p"]) == count


def test_neurons_alike_fire_together_in_the_order_of_their_numbers() -> None:
    """Over all tiles and populations."""
    network = es.Network()
    network.add_input("in", 1)
    for name in ("b", "a"):
        network.add_population(name, 150, es.LIF(np.inf, np.inf))
        network.connect("in", name, weights=np.full((1, 150), 2.0))
    result = es.simulate(network, {"in": es.Spikes([0.0], [0])}, 1.1, engine="layered")
    np.testing.assert_array_equal(result.batch.record.neuron, np.tile(np.arange(300), 2))


@pytest.mark.slow
def test_many_spikes_between_two_arrivals_are_sorted_in_time() -> None:
    """Nothing but a bias: all spikes of a run fall into one interval."""
    network = es.Network()
    network.add_population("p", 100, es.LIF(bias=np.linspace(2000.0, 2500.0, 100)))
    found = es.simulate(network, {}, 1.0, engine="layered")
    expected = es.simulate(network, {}, 1.0, engine="scheduler")
    assert len(found.spikes["p"]) > 200_000
    np.testing.assert_array_equal(found.spikes["p"].indices, expected.spikes["p"].indices)
    np.testing.assert_allclose(found.spikes["p"].times, expected.spikes["p"].times, rtol=1e-12)


# --- where it applies -----------------------------------------------------------------------------


def test_auto_takes_layers_where_they_pay() -> None:
    model = layers_of(7, 40)
    assert_identical(model.run("auto"), model.run("layered"))
    state = type(model.run("auto").state)
    assert state is layered.LayeredState
    sparse = es.Network()
    sparse.add_input("in", 7)
    sparse.add_population("p", 40, es.LIF())
    sparse.connect("in", "p", weights=scipy.sparse.csr_array(np.ones((7, 40))))
    assert type(dataclasses.replace(model, network=sparse).run("auto").state) is not state


def test_recurrent_networks_are_refused() -> None:
    model = layers_of(7, 4)
    model.network.connect("out", "p", weights=np.ones((3, 4)))
    with pytest.raises(ValueError, match=r"feed-forward.*\['out', 'p'\] feed back, got 'layered'"):
        model.run()
    assert len(model.run("auto")) == 3


def test_a_run_keeps_its_engine() -> None:
    model = layers_of(7, 40)
    for engine, other in (("layered", "scheduler"), ("scheduler", "layered")):
        half = model.run(engine)
        with pytest.raises(ValueError, match=f"engine must be '{engine}'.* got '{other}'"):
            es.simulate(model.network, {}, 4.0, resume=half, engine=other)
        later = es.simulate(model.network, {}, 4.0, resume=half)
        assert type(later.state) is type(half.state)


def test_a_single_result_has_a_causality_graph() -> None:
    model = layers_of(7, 10)
    result = model.run()[0]
    np.testing.assert_array_equal(result.causality().times, result.batch.record.time)
