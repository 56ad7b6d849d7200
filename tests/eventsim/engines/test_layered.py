"""The layered engine: it gives what the scheduler gives, and the same bits however it is run."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

import eventsim as es
from eventsim._engines.layered import host as layered
from eventsim._layout import layers as layer_plan
from tests.helpers.engines import LAYERS
from tests.helpers.feedforward import (
    SEVERAL,
    WIDE,
    Population,
    Recipe,
    busy,
    general,
    layers_of,
    recipes,
)
from tests.helpers.models import (
    Model,
    assert_identical,
    assert_same_events,
    assert_same_run,
    decided,
)
from tests.helpers.strategies import decimals, examples

# --- the same answer as from elsewhere ------------------------------------------------------------


def assert_runs_as_the_scheduler(model: Model) -> None:
    expected, found = decided(model), model.run()
    assert_same_run(found, expected, rtol=1e-12)
    assert_same_events(found, expected)


@given(recipes())
def test_random_networks_agree_with_the_scheduler(recipe: Recipe) -> None:
    assert_runs_as_the_scheduler(recipe.model())


@pytest.mark.slow
@given(recipes(WIDE))
@examples(0.5)
def test_wide_networks_agree_with_the_scheduler(recipe: Recipe) -> None:
    assert_runs_as_the_scheduler(recipe.model())


@given(general())
@examples(0.5)
def test_networks_with_several_receptors_agree_with_the_scheduler(recipe: Recipe) -> None:
    assert_runs_as_the_scheduler(recipe.model())


@pytest.mark.slow
@given(general(WIDE))
@examples(0.5)
def test_wide_networks_with_several_receptors_agree_with_the_scheduler(recipe: Recipe) -> None:
    assert_runs_as_the_scheduler(recipe.model())


@given(general(receptors=(1,), begins=("at rest",)))
@examples(0.3)
def test_two_receptors_that_are_alike_are_one(recipe: Recipe) -> None:
    def twice(population: Population) -> Population:
        alphas = tuple(alpha for alpha, _ in population.cells.rates)
        wires = tuple(dataclasses.replace(w, receptor=k) for k, w in enumerate(population.wires))
        cells = dataclasses.replace(population.cells, further=(alphas,))
        return dataclasses.replace(population, cells=cells, wires=wires)

    model = recipe.model()
    decided(model)
    doubled = dataclasses.replace(recipe, populations=tuple(map(twice, recipe.populations)))
    assert_same_run(doubled.model().run(), model.run(), rtol=1e-12)


@given(general())
@examples(0.3)
def test_the_order_of_receptors_does_not_matter(recipe: Recipe) -> None:
    model, other = recipe.model(), es.Network()
    decided(model)
    for name, n in model.network.inputs.items():
        other.add_input(name, n)
    for name, lif in model.network.neurons.items():
        if lif.receptors:
            lif = dataclasses.replace(lif, tau_syn=dict(reversed(lif.tau_syn.items())))
        other.add_population(name, model.network.populations[name], lif)
    for p in model.network.projections.values():
        names = model.network.neurons[p.post].receptors
        receptor = names[p.receptor] if names else None
        other.connect(p.pre, p.post, weights=p.weights, delays=p.delays, receptor=receptor)
    assert_same_run(dataclasses.replace(model, network=other).run(), model.run(), rtol=1e-12)


def test_a_neuron_that_touches_its_threshold_may_surpass_it_later() -> None:
    """Fast excitation, inhibition, and a bias: V comes to a peak, falls, and rises again."""
    network = es.Network()
    taus = {"exc": 0.5, "inh": 2.0}
    network.add_population("p", 1, es.LIF(10.0, taus, threshold=np.inf, bias=3.0))
    initial = {"p": es.State(0.0, {"exc": 40.0, "inh": -16.0})}
    free = es.simulate(network, {}, 30.0, initial=initial)

    def height(t: float) -> float:
        return -float(free.potential("p", at=[t])[0, 0])

    peak = scipy.optimize.minimize_scalar(height, bounds=(0.0, 3.0), options={"xatol": 1e-9})
    later = free.potential("p", at=np.linspace(3.0, 30.0, 100))
    assert 0.1 < later.min() < -peak.fun < later.max()
    at_peak = es.LIF(10.0, taus, threshold=-peak.fun, bias=3.0)
    touching = network.replace(neurons={"p": at_peak})
    runs = [
        es.simulate(touching, {}, 30.0, initial=initial, engine=engine)
        for engine in ("layered", "scheduler")
    ]
    for run in runs:
        assert run.near_touches == 1
        assert run.spikes["p"].times[0] > 3.0
    assert_same_run(runs[0].batch, runs[1].batch, rtol=1e-12)


def test_what_layers_cannot_do_is_said_with_its_name_and_value() -> None:
    for tau_syn, at in ((0.0, "'p'"), ({"exc": 1.0, "charge": 0.0}, "receptor 'charge' of 'p'")):
        network = es.Network()
        network.add_population("p", 2, es.LIF(tau_syn=tau_syn))
        expected = f"'layered' needs tau_syn > 0, got 0.0 at {at}"
        with pytest.raises(ValueError, match=re.escape(expected)):
            es.simulate(network, {}, 1.0, engine="layered")
        assert es.simulate(network, {}, 1.0).engine == "scheduler"


@pytest.mark.parametrize("form", ["dense", "sparse", "delays"])
@pytest.mark.parametrize("n", [7, 50])
def test_busy_neurons_do_what_they_do_in_the_scheduler(n: int, form: str) -> None:
    model = busy(n, form, tau_mem=np.resize([1.0, 2.0], n))
    found, expected = model.run(), model.run("scheduler")
    assert found.spike_counts("p").max() > 3
    assert_same_run(found, expected, rtol=1e-12)
    assert_same_events(found, expected)


@given(general(receptors=(1, *SEVERAL)), st.lists(decimals(0.0, 1.0), min_size=1, max_size=3))
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


@given(general(receptors=(1, *SEVERAL)), st.sampled_from([0, 1, 13]))
@examples(0.5)
def test_a_batch_in_portions_is_the_batch(recipe: Recipe, portion: int) -> None:
    model = recipe.model()
    whole = model.run()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layered, "PORTION", portion)
        assert_identical(model.run(), whole)


@given(general(receptors=(1, *SEVERAL)), st.sampled_from([1, 7, 30]))
@examples(0.5)
def test_a_layer_of_single_neurons_in_blocks_is_the_layer(recipe: Recipe, block: int) -> None:
    whole = recipe.model().run()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layer_plan, "BLOCK", block)
        assert_identical(recipe.model().run(), whole)


@given(general(receptors=(1, *SEVERAL)))
@examples(0.5)
def test_records_grow_as_needed(recipe: Recipe) -> None:
    model = recipe.model()
    whole = model.run()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layered, "ROOM", 0)
        assert_identical(model.run(), whole)


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


@given(recipes(t_stops=(40.0, 500.0), biases=(0.0, 0.0, 0.02, -0.3, -1.0)))
@examples(0.5)
def test_long_runs_with_a_bias_are_those_of_the_scheduler(recipe: Recipe) -> None:
    assert_runs_as_the_scheduler(recipe.model())


# --- the cap --------------------------------------------------------------------------------------


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


# --- early ends, counts ---------------------------------------------------------------------------


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
    image, small = (2, 4, 4), (2, 2, 2)
    latencies = rng.uniform(0.0, 2.0, (3, 32))
    if kind == "grid":
        latencies = np.round(latencies * 2.0) / 2.0
    if kind == "gaps":
        latencies[rng.random(latencies.shape) < 0.7] = np.inf
    if kind == "nothing":
        latencies[:] = np.inf
    once = es.LIF(1.0, 0.5, refractory=np.inf)
    kernel = rng.uniform(0.0, 3.0, (3, 2, 2, 1))
    network, after = es.Network(), es.Network()
    network.add_input("in", 32)
    network.add_population("pool", 8, es.LIF.earliest())
    after.add_input("pool", 8)
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


def test_a_single_result_has_a_causality_graph() -> None:
    model = layers_of(7, 10)
    result = model.run()[0]
    np.testing.assert_array_equal(result.causality().times, result.batch.record.time)
