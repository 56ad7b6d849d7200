"""What every engine owes: the oracle's spikes, the same bits however it is run, its limits said.

What is special to one of them is tested beside it, in `test_scheduler.py` and its neighbours.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numba
import numpy as np
import pytest
import scipy.sparse
from hypothesis import assume, given
from hypothesis import strategies as st

import eventsim as es
import gradients
from eventsim._layout.wiring import layout_of
from eventsim._support import threads
from eventsim.model.neuron import by_receptor
from tests.helpers import cases, engines, naive
from tests.helpers.cases import (
    all_trains,
    assert_same_trains,
    at_the_end,
    decided,
    drawn_again_if_endless,
)
from tests.helpers.engines import (
    ENGINES,
    LAYERS,
    can_run,
    each_engine,
    each_engine_and_cuda,
    excitable,
    made_for,
    model_for,
)
from tests.helpers.models import Model, assert_identical, in_order
from tests.helpers.models import decided as decided_model
from tests.helpers.naive import Case, Neuron, Synapse
from tests.helpers.strategies import (
    any_networks,
    decimals,
    examples,
    general_networks,
    networks,
    violent_networks,
)


def one_neuron(
    weights: list[float], times: list[float], **neuron: float
) -> tuple[es.Network, dict[str, es.Spikes]]:
    """A neuron with a synapse for each input spike."""
    network = es.Network()
    network.add_input("in", len(weights))
    network.add_population("out", 1, es.LIF(**neuron))
    network.connect("in", "out", weights=np.array(weights)[:, None])
    return network, {"in": es.Spikes(times, np.arange(len(times)))}


# --- against numbers from elsewhere ---------------------------------------------------------------


def fed_with(reference: cases.Reference) -> Model:
    """The network without its recurrence: the reference spikes come in a moment later, as input."""
    case = reference.case
    network = es.Network()
    network.add_input("in", case.n_sources)
    network.add_input("echo", len(case.neurons))
    network.add_population(cases.ALL, len(case.neurons), cases.lif(case.neurons))
    network.add_population("scale", 1, es.LIF())  # windows need a scale of time
    for pre, post, w, d, to in case.synapses:
        name, row = ("echo", pre) if pre >= 0 else ("in", -pre - 1)
        one = ([w], ([row], [post]))
        weights = scipy.sparse.csr_array(one, shape=(network.inputs[name], len(case.neurons)))
        receptor = cases.receptor_of(case.neurons[post], to)
        network.connect(name, cases.ALL, weights=weights, delays=d, receptor=receptor)
    times = np.array([t for _, t in reference.spikes])
    echo = es.Spikes(times + 32 * np.spacing(times), [i for i, _ in reference.spikes])
    trains = {"in": cases.spikes_of(case.inputs), "echo": echo}
    stimulus = {name: es.SpikeBatch.from_samples([train]) for name, train in trains.items()}
    begun = cases.start(case.neurons)
    return Model(network, stimulus, case.t_stop, None if begun is None else {cases.ALL: begun})


def assert_is_the_reference(result: es.Result, reference: cases.Reference) -> None:
    found = all_trains(result)
    assert [i for i, _ in found] == [i for i, _ in reference.spikes]
    np.testing.assert_allclose(
        [t for _, t in found], [t for _, t in reference.spikes], rtol=1e-12, atol=0
    )
    potentials = at_the_end(result, "potential")[: len(reference.case.neurons)]
    np.testing.assert_allclose(potentials, reference.final_potentials, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(
    ("engine", "name"),
    [
        (engine, name)
        for engine in ENGINES
        for name in cases.NETWORK_NAMES + cases.GENERAL_NAMES
        if can_run(engine, cases.load(name).case)
    ],
)
def test_reference_networks(engine: str, name: str) -> None:
    reference = cases.load(name)
    assert_is_the_reference(engines.run(engine, reference.case), reference)


@pytest.mark.parametrize(
    ("engine", "name"),
    [
        *itertools.product(["windows", "layered"], cases.NETWORK_NAMES + cases.GENERAL_NAMES),
        *(pytest.param("cuda", name, marks=pytest.mark.cuda) for name in cases.NETWORK_NAMES),
    ],
)
def test_reference_networks_whose_recurrent_spikes_come_as_input(engine: str, name: str) -> None:
    reference = cases.load(name)
    assert_is_the_reference(fed_with(reference).run(engine)[0], reference)


@each_engine
@given(any_networks(), st.sampled_from([0.05, 0.25, 0.3]))
def test_random_networks_agree_with_the_oracle(engine: str, case: Case, shortest: float) -> None:
    """In spikes, states at the end and events: every arrival up to t_stop is a synaptic one."""
    case = made_for(engine, case, shortest)
    expected = decided(case)
    result = engines.run(engine, case)
    assert_same_trains(all_trains(result), list(expected.spikes))
    for quantity, values in (("potential", expected.potentials), ("current", expected.currents)):
        np.testing.assert_allclose(at_the_end(result, quantity), values, rtol=1e-7, atol=1e-8)
    emitted = [(-s - 1, t) for s, t in case.inputs] + all_trains(result)
    arrivals = [t + s.delay for source, t in emitted for s in case.synapses if s.pre == source]
    assert result.events.synaptic == np.count_nonzero(np.array(arrivals) <= case.t_stop)
    assert result.events.inputs == len(case.inputs)
    assert result.events.spikes == len(expected.spikes)
    crossings = np.isfinite(result.batch.record.slope)  # charges that set off a spike need none
    assert np.count_nonzero(crossings) <= result.events.searches


@each_engine
@given(violent_networks())
@examples(0.5)
def test_huge_weights_agree_with_the_oracle(engine: str, case: Case) -> None:
    case = made_for(engine, case, 0.01)
    expected = decided(case)
    assert_same_trains(all_trains(engines.run(engine, case)), list(expected.spikes), rtol=1e-8)


@each_engine
@given(any_networks())
@examples(0.5)
def test_recorded_slopes_are_those_of_the_oracle(engine: str, case: Case) -> None:
    case = made_for(engine, case)
    run = decided(case)
    result = engines.run(engine, case)
    found = sorted(zip(all_trains(result), result.batch.record.slope.tolist(), strict=True))
    expected = sorted(zip(run.spikes, run.slopes, strict=True))
    np.testing.assert_allclose(
        [s for _, s in found], [s for _, s in expected], rtol=1e-5, atol=1e-7
    )


@each_engine
@given(any_networks())
@examples(0.25)
def test_states_at_any_time_are_those_of_the_oracle(engine: str, case: Case) -> None:
    case = made_for(engine, case)
    decided(case)
    at = np.array([2.9, 0.77, 1.7, 0.77])  # in any order, twice the same
    result = engines.run(engine, case)
    for quantity in ("potential", "current"):
        found = [getattr(result, quantity)(name, at=at) for name in result.network.populations]
        values = np.hstack(found)
        assert values.shape == (4, len(case.neurons))
        np.testing.assert_array_equal(values[1], values[3])
        for k, t in enumerate(at[:3]):
            oracle = naive.simulate(dataclasses.replace(case, t_stop=t))
            np.testing.assert_allclose(
                values[k], getattr(oracle, quantity + "s"), rtol=1e-7, atol=1e-7
            )


# --- causality ------------------------------------------------------------------------------------


def with_other_inputs_from(model: Model, a: float, seed: int) -> Model:
    """The model with other input spikes at time a and later, some of them at once."""
    rng = np.random.default_rng(seed)
    changed = {}
    for name, early in model.between(-1.0, np.nextafter(a, -1.0)).items():
        extra = rng.integers(0, 9)
        times = a + rng.choice([0.0, 0.25, *rng.uniform(0.0, model.t_stop - a + 0.1, 4)], extra)
        changed[name] = es.SpikeBatch(
            np.append(early.times, times),
            np.append(early.indices, rng.integers(0, model.network.inputs[name], extra)),
            np.append(early.samples, rng.integers(0, len(early), extra)),
            len(early),
        )
    return dataclasses.replace(model, stimulus=changed)


@each_engine
@given(st.data(), decimals(0.0, 1.0), st.integers(0, 2**16))
@examples(0.5)
def test_an_input_changes_nothing_before_it(
    engine: str, data: st.DataObject, share: float, seed: int
) -> None:
    """Bit for bit: whatever comes in at time a or later, the spikes before a are the same."""
    model, one = model_for(data, engine)
    a = share * model.t_stop
    with drawn_again_if_endless():
        other = with_other_inputs_from(model, a, seed).run(engine, max_spikes=cases.MANY_SPIKES)
    for k in range(len(one)):
        first, second = (spikes_before(a, run[k].batch) for run in (one, other))
        assert first == second


def spikes_before(a: float, run: es.BatchResult) -> list[tuple[float, int, float]]:
    """(time, neuron, slope)."""
    early = run.record.time < a
    return list(zip(*(column[early].tolist() for column in run.record[:3]), strict=True))


@each_engine
@given(st.data())
def test_spikes_are_in_order_and_rise_through_the_threshold(
    engine: str, data: st.DataObject
) -> None:
    model, result = model_for(data, engine)
    neurons = layout_of(model.network).neurons
    record = result.record
    assert np.all(record.slope > 0.0)
    for train in result.spikes.values():  # the record has pools an ulp later
        assert np.all(train.times <= model.t_stop)
    at_once = np.isinf(record.slope) | (neurons.threshold[record.neuron] == 0.0)  # as pools fire
    assert np.all((record.time > 0.0) | at_once)
    assert np.all(np.isfinite(neurons.threshold[record.neuron]))
    for k in range(len(result)):
        time, neuron = result[k].batch.record.time, result[k].batch.record.neuron
        np.testing.assert_array_equal(np.lexsort((neuron, time)), np.arange(time.size))
        for i in np.unique(neuron):
            assert np.all(np.diff(time[neuron == i]) > (1.0 - 1e-12) * neurons.refractory[i])


# --- symmetries -----------------------------------------------------------------------------------


@each_engine
@given(st.data(), st.sampled_from([0.25, 1.0, 3.5, 100.0, 12345.678]))
@examples(0.5)
def test_time_shift(engine: str, data: st.DataObject, shift: float) -> None:
    """Inputs that come later by s give spikes that come later by s (without bias: rest is rest)."""
    model, expected = model_for(data, engine, bias=False)
    decided_model(model)
    later = {
        name: es.SpikeBatch(train.times + shift, train.indices, train.samples, len(train))
        for name, train in model.stimulus.items()
    }
    found = Model(model.network, later, model.t_stop + shift).run(engine)
    np.testing.assert_array_equal(found.offsets, expected.offsets)
    ours, theirs = (run.record.time[in_order(run)] for run in (found, expected))
    np.testing.assert_allclose(ours - shift, theirs, rtol=0, atol=1e-10 * (1.0 + shift))


def renumbered(model: Model, orders: dict[str, list[int]]) -> Model:
    """Neuron ``orders[name][k]`` of each population becomes its neuron k."""
    network, other = model.network, es.Network()
    for name, n in network.inputs.items():
        other.add_input(name, n)
    for name, n in network.populations.items():
        lif, order = network.neurons[name], orders[name]
        parameters = {key: values[order] for key, values in lif.arrays(n).items()}
        parameters["tau_syn"] = by_receptor(lif, parameters["tau_syn"])
        other.add_population(name, n, es.LIF(**parameters))
    for p in network.projections.values():
        rows = orders.get(p.pre, slice(None))
        delays = p.delays
        if not isinstance(delays, float):
            delays = delays[rows][:, orders[p.post]]
        weights = p.weights[rows][:, orders[p.post]]
        lif = network.neurons[p.post]
        receptor = lif.receptors[lif.columns.index(p.receptor)] if lif.receptors else None
        other.connect(p.pre, p.post, weights=weights, delays=delays, receptor=receptor)
    initial = {
        name: each_value(state, lambda values, order=orders[name]: values[..., order])
        for name, state in (model.initial or {}).items()
    }
    return dataclasses.replace(model, network=other, initial=initial)


def each_value(state: es.State, change: Callable[[np.ndarray], np.ndarray]) -> es.State:
    """The state, changed array by array."""
    current = state.current
    if isinstance(current, Mapping):
        current = {receptor: change(values) for receptor, values in current.items()}
    else:
        current = change(current)
    return es.State(None if state.potential is None else change(state.potential), current)


@each_engine
@given(st.data(), st.randoms(use_true_random=False))
@examples(0.5)
def test_the_numbering_of_neurons_does_not_matter(
    engine: str, data: st.DataObject, random: Any
) -> None:
    model, expected = model_for(data, engine, images=False)
    decided_model(model)
    orders = {name: random.sample(range(n), n) for name, n in model.network.populations.items()}
    found = renumbered(model, orders).run(engine)
    for name, order in orders.items():
        counts, first = expected.spike_counts(name)[:, order], expected.first_spikes(name)[:, order]
        np.testing.assert_array_equal(found.spike_counts(name), counts)
        np.testing.assert_allclose(found.first_spikes(name), first, rtol=1e-12)
        np.testing.assert_allclose(
            found.potential(name), expected.potential(name)[:, order], rtol=1e-8, atol=1e-9
        )


@each_engine
@given(any_networks())
@examples(0.5)
def test_two_half_weights_at_once_are_one_weight(engine: str, case: Case) -> None:
    case = made_for(engine, case)
    decided(case)
    halves = tuple(s._replace(weight=s.weight / 2) for s in case.synapses)
    doubled = dataclasses.replace(
        case,
        synapses=tuple(s for s in halves if s.pre >= 0) * 2 + tuple(s for s in halves if s.pre < 0),
        inputs=tuple(spike for spike in case.inputs for _ in range(2)),
    )
    found, expected = (all_trains(engines.run(engine, c)) for c in (doubled, case))
    assert_same_trains(found, expected)


@each_engine
@given(any_networks(), decimals(0.0, 1.0))
@examples(0.5)
def test_a_delay_is_a_later_input(engine: str, case: Case, delay: float) -> None:
    """Input synapses that all have delay d do what undelayed ones do with inputs d later."""
    case = made_for(engine, case)
    delayed, plain = (
        tuple(s if s.pre >= 0 else s._replace(delay=common) for s in case.synapses)
        for common in (delay, 0.0)
    )
    inputs = tuple((s, t + delay) for s, t in case.inputs)
    moved = dataclasses.replace(case, synapses=plain, inputs=inputs)
    case = dataclasses.replace(case, synapses=delayed)
    decided(case)
    found, expected = (all_trains(engines.run(engine, c)) for c in (case, moved))
    assert_same_trains(found, expected)


def has_current(case: Case, synapse: Synapse) -> bool:
    return case.neurons[synapse.post].has_current[synapse.receptor]


def in_units(case: Case, volts: float, seconds: float) -> Case:
    """The same network where a potential of 1 is called `volts`, and a time of 1 `seconds`."""
    rate = volts / seconds  # of currents: dV/dt
    neurons = tuple(
        dataclasses.replace(
            n,
            alpha=tuple(alpha / seconds for alpha in n.alphas),
            beta=n.beta / seconds,
            theta=n.theta * volts,
            tau_ref=n.tau_ref * seconds,
            bias=n.bias * rate,
            rest=n.rest * volts,
            reset=n.reset * volts,
            v0=None if n.v0 is None else n.v0 * volts,
            i0=tuple(i * rate for i in n.i0),
        )
        for n in case.neurons
    )
    return Case(
        neurons,
        tuple(
            s._replace(
                weight=s.weight * (rate if has_current(case, s) else volts),
                delay=s.delay * seconds,
            )
            for s in case.synapses
        ),
        tuple((s, t * seconds) for s, t in case.inputs),
        case.t_stop * seconds,
    )


@each_engine
@given(any_networks(), st.integers(-20, 20), st.integers(-10, 10))
@examples(0.5)
def test_units_that_are_powers_of_two_do_not_matter_bit_for_bit(
    engine: str, case: Case, volts: int, seconds: int
) -> None:
    case = made_for(engine, case)
    with drawn_again_if_endless():
        expected = all_trains(engines.run(engine, case, max_spikes=cases.MANY_SPIKES))
    found = all_trains(engines.run(engine, in_units(case, 2.0**volts, 2.0**seconds)))
    assert [(i, t / 2.0**seconds) for i, t in found] == expected


@each_engine
@given(any_networks(), st.sampled_from([0.001, 0.7, 1000.0]), st.sampled_from([0.001, 0.3, 1000.0]))
@examples(0.5)
def test_units_do_not_matter(engine: str, case: Case, volts: float, seconds: float) -> None:
    case = made_for(engine, case)
    decided(case)
    found, expected = (
        all_trains(engines.run(engine, c)) for c in (in_units(case, volts, seconds), case)
    )
    assert_same_trains([(i, t / seconds) for i, t in found], expected)


@pytest.mark.parametrize("engine", ["scheduler", "windows"])
@given(any_networks())
@examples(0.3)
def test_one_population_each_is_the_same_network(engine: str, case: Case) -> None:
    """A population per neuron and a projection per synapse, against one sparse matrix."""
    case = made_for(engine, case)
    decided(case)
    together = engines.run(engine, case)  # first: it draws again what windows cannot do
    apart = cases.build_apart(case).run(engine=engine)
    assert_same_trains(all_trains(apart), all_trains(together))


def split(case: Case, seed: int) -> Case:
    """A further receptor like the first of each neuron, to which half of its synapses lead."""
    rng = np.random.default_rng(seed)
    neurons, moved = [], []
    for n in case.neurons:
        own, *others = n.currents
        part = round(rng.uniform(-1.0, 1.0), 3) if n.has_current[0] else 0.0
        currents = (own - part, *others, part) if n.i0 else ()
        neurons.append(dataclasses.replace(n, alpha=(*n.alphas, n.alphas[0]), i0=currents))
    for s in case.synapses:
        to_last = s.receptor == 0 and rng.random() < 0.5
        moved.append(s._replace(receptor=len(case.neurons[s.post].alphas)) if to_last else s)
    return dataclasses.replace(case, neurons=tuple(neurons), synapses=tuple(moved))


def reversed_receptors(case: Case) -> Case:
    neurons = tuple(
        dataclasses.replace(n, alpha=n.alphas[::-1], i0=n.i0[::-1]) for n in case.neurons
    )
    synapses = tuple(
        s._replace(receptor=len(case.neurons[s.post].alphas) - 1 - s.receptor)
        for s in case.synapses
    )
    return dataclasses.replace(case, neurons=neurons, synapses=synapses)


def lifted(case: Case, height: float) -> Case:
    """The network whose potentials are all measured from another zero."""
    neurons = tuple(
        dataclasses.replace(
            n,
            theta=n.theta + height,
            rest=n.rest + height,
            reset=n.reset + height,
            v0=None if n.v0 is None else n.v0 + height,
        )
        for n in case.neurons
    )
    return dataclasses.replace(case, neurons=neurons)


def assert_same_run(engine: str, found: Case, expected: Case, lift: float = 0.0) -> None:
    """The same spikes and states at the end, up to rounding and a shift of all potentials."""
    ours, theirs = engines.run(engine, found), engines.run(engine, expected)
    assert_same_trains(all_trains(ours), all_trains(theirs))
    for quantity, shift in (("potential", lift), ("current", 0.0)):
        np.testing.assert_allclose(
            at_the_end(ours, quantity), at_the_end(theirs, quantity) + shift, rtol=1e-7, atol=1e-8
        )


@each_engine
@given(any_networks() if numba.config.DISABLE_JIT else networks(), st.integers(0, 2**16))
@examples(0.5)
def test_two_receptors_that_are_alike_are_one(engine: str, case: Case, seed: int) -> None:
    case = made_for(engine, case)
    decided(case)
    assert_same_run(engine, split(case, seed), case)


@each_engine
@given(general_networks(alike=True))
@examples(0.3)
def test_the_order_of_receptors_does_not_matter(engine: str, case: Case) -> None:
    case = made_for(engine, case)
    decided(case)
    assert_same_run(engine, reversed_receptors(case), case)


@each_engine
@given(any_networks(), decimals(-70.0, 70.0))
@examples(0.3)
def test_where_potentials_are_measured_from_does_not_matter(
    engine: str, case: Case, height: float
) -> None:
    case = made_for(engine, case)
    decided(case)
    assert_same_run(engine, lifted(case, height), case, height)


@each_engine
def test_a_receptor_may_have_a_name_though_it_is_the_only_one(engine: str) -> None:
    results = []
    for tau_syn, receptor, current in ((2.0, None, 0.5), ({"exc": 2.0}, "exc", {"exc": 0.5})):
        network = es.Network()
        network.add_input("in", 1)
        network.add_population("out", 1, es.LIF(tau_mem=5.0, tau_syn=tau_syn))
        network.connect("in", "out", weights=[[2.0]], receptor=receptor)
        initial = {"out": es.State(0.1, current)}
        spikes = {"in": es.Spikes([0.5], [0])}
        results.append(es.simulate(network, spikes, 9.0, engine=engine, initial=initial))
    plain, named = results
    assert len(plain.spikes["out"]) > 0
    assert_identical(
        dataclasses.replace(named.batch, network=plain.network, stimulus=plain.batch.stimulus),
        plain.batch,
    )


# --- pieces, batches, threads: bit for bit --------------------------------------------------------


@each_engine
@given(st.data(), st.lists(st.integers(0, 24).map(lambda k: k / 24), min_size=1, max_size=3))
def test_a_run_in_pieces_is_the_whole_run(
    engine: str, data: st.DataObject, shares: list[float]
) -> None:
    """Wherever it stops: between spikes in flight, refractory neurons, simultaneous arrivals."""
    model, whole = model_for(data, engine)
    result, begin = None, -1.0
    for stop in [*sorted({share * model.t_stop for share in shares}), model.t_stop]:
        result = es.simulate(
            model.network,
            model.between(begin, stop),
            stop,
            resume=result,
            initial=model.initial if result is None else None,
            engine=engine if result is None else "auto",
        )
        begin = stop
    assert_identical(result, whole)


@each_engine
@given(st.data())
@examples(0.5)
def test_a_batch_is_its_samples(engine: str, data: st.DataObject) -> None:
    model, batch = model_for(data, engine)
    for k in range(len(batch)):
        assert_identical(model.run_alone(k, engine=engine).batch, batch[k].batch)


@each_engine
@given(st.data())
@examples(0.5)
def test_neither_threads_nor_another_try_change_a_bit(engine: str, data: st.DataObject) -> None:
    model, whole = model_for(data, engine)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threads, "LEAST_WORK", 1.0)
        for n in (1, 2, 3):
            assert_identical(model.run(engine, threads=n), whole)


@each_engine
def test_a_list_of_stimuli_is_a_batch_and_one_alone_a_sample(engine: str) -> None:
    rng, network = np.random.default_rng(0), excitable(engine)
    batch = es.SpikeBatch(rng.uniform(0.0, 9.0, 30), np.zeros(30, int), rng.integers(0, 3, 30), 3)
    whole = es.simulate(network, {"in": batch}, 20.0, engine=engine)
    listed = [{"in": batch.sample(k)} for k in range(3)]
    assert np.all(whole.spike_counts("b").sum(axis=1) > 0)
    assert_identical(es.simulate(network, listed, 20.0, engine=engine), whole)
    for k in range(3):
        single = es.simulate(network, listed[k], 20.0, engine=engine)
        assert isinstance(single, es.Result)
        assert_identical(single.batch, whole[k].batch)
        found, every = single.spikes["b"], whole.spikes["b"]
        np.testing.assert_array_equal(found.times, every.times[every.samples == k])


@each_engine
def test_a_result_can_be_resumed_again_and_again(engine: str) -> None:
    """Resuming leaves the result as it was, also when arrays had to grow."""
    network, stimulus = one_neuron([8.0, 8.0], [0.0, 0.4], tau_mem=1e3, tau_syn=np.inf)
    half = es.simulate(network, stimulus, 0.5, engine=engine)
    before = half.spikes["out"].times.copy()
    first, second = (es.simulate(network, {}, 100.0, resume=half) for _ in range(2))
    assert first.spikes["out"].times.size > 1500
    np.testing.assert_array_equal(half.spikes["out"].times, before)
    for again in (second, es.simulate(network, stimulus, 100.0, engine=engine)):
        assert_identical(again.batch, first.batch)


@each_engine
def test_a_run_keeps_its_engine(engine: str) -> None:
    network = excitable(engine)
    half = es.simulate(network, {"in": es.Spikes([0.1], [0])}, 2.0, engine=engine)
    for other in {*ENGINES, "cuda"} - {engine}:
        with pytest.raises(ValueError, match=f"engine must be '{engine}'.* got '{other}'"):
            es.simulate(network, {}, 4.0, resume=half, engine=other)
    later = es.simulate(network, {}, 4.0, resume=half)
    with pytest.raises(ValueError, match=f"engine must be '{engine}'.* got 'cuda'"):
        es.simulate(network, {}, 5.0, resume=later, engine="cuda")


# --- caps and early ends --------------------------------------------------------------------------


@each_engine
@given(st.data())
def test_the_spike_cap_names_the_first_spike_too_many_of_the_same_run(
    engine: str, data: st.DataObject
) -> None:
    model, whole = model_for(data, engine)
    counts = np.diff(whole.offsets)
    assume(counts.max() > 1)
    cap = data.draw(st.integers(1, counts.max() - 1))
    n_threads = data.draw(st.sampled_from([1, 2]))
    with pytest.raises(es.ActivityError, match=f"max_spikes = {cap}:") as caught:
        model.run(engine, max_spikes=cap, threads=n_threads)
    error, result = caught.value, caught.value.result
    k = int(np.argmax(counts > cap))
    beyond = whole.offsets[k] + cap
    first = model.network.neurons_of(error.population).start
    assert (error.sample, error.count, len(result)) == (k, cap, k + 1)
    assert (error.time, first + error.neuron) == (
        whole.record.time[beyond],
        whole.record.neuron[beyond],
    )
    assert result.ends.tolist() == [model.t_stop] * k + [error.time]
    for name in ("time", "neuron", "slope"):  # a release may lie beyond the end
        kept, every = getattr(result.record, name), getattr(whole.record, name)
        np.testing.assert_array_equal(kept, every[:beyond])
    for name in model.network.populations if error.time > 0.0 else ():
        at = min(0.999 * error.time, model.t_stop)
        ours, theirs = (run.potential(name, at=at)[k] for run in (result, whole))
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)
    again = es.simulate(
        model.network, {}, model.t_stop, resume=result, max_spikes=cases.MANY_SPIKES
    )
    assert_identical(again, whole[: k + 1])


@pytest.mark.parametrize("engine", ["scheduler", "windows"])
def test_a_charge_that_sets_nothing_off_is_no_spike_too_many(engine: str) -> None:
    network = es.Network()
    network.add_input("in", 1)
    network.add_population("p", 3, es.LIF(tau_mem=1.0, tau_syn=0.0))
    network.connect("in", "p", weights=[[1.5, 0.5, 0.25]])
    stimulus = {"in": es.Spikes([1.0, 1.25], [0, 0])}
    whole = es.simulate(network, stimulus, 2.0, engine=engine)
    assert whole.spikes["p"].times.tolist() == [1.0, 1.25]
    capped = es.simulate(network, stimulus, 2.0, engine=engine, max_spikes=2)
    assert_identical(capped.batch, whole.batch)
    with pytest.raises(es.ActivityError, match="max_spikes = 1:") as caught:
        es.simulate(network, stimulus, 2.0, engine=engine, max_spikes=1)
    error = caught.value
    assert (error.time, error.neuron) == (1.25, 0)
    again = es.simulate(network, {}, 2.0, resume=error.result, max_spikes=2)
    assert_identical(again.batch, whole.batch)


@each_engine
def test_a_resumed_run_has_no_more_spikes_than_the_cap_from_the_first_on(engine: str) -> None:
    network, stimulus = one_neuron([30.0], [0.0], tau_mem=1.0, tau_syn=2.0)
    half, whole = (es.simulate(network, stimulus, t, engine=engine) for t in (0.5, 2.0))
    n = len(whole.spikes["out"])
    assert n > len(half.spikes["out"]) > 3
    for begun, cap in ((half, n - 1), (whole, 1), (whole, n - 1)):
        with pytest.raises(es.ActivityError, match=f"max_spikes = {cap}:") as error:
            es.simulate(network, {}, 2.0, resume=begun, max_spikes=cap)
        assert error.value.time == whole.spikes["out"].times[cap]
        assert error.value.count == cap
    resumed = es.simulate(network, {}, 2.0, resume=whole, max_spikes=n)
    np.testing.assert_array_equal(resumed.spikes["out"].times, whole.spikes["out"].times)


@pytest.mark.parametrize("engine", ["scheduler", "layered"])
@given(st.data())
@examples(0.5)
def test_a_run_until_all_have_fired_is_the_beginning_of_the_whole_run(
    engine: str, data: st.DataObject
) -> None:
    """Bit for bit, per sample; and resumed it is the whole run."""
    model, whole = model_for(data, engine)
    assume(np.all(whole.record.time <= model.t_stop))  # of a pool: an ulp beyond the end
    population = data.draw(st.sampled_from(list(model.network.populations)))
    early = model.run(engine, until_fired=population)
    np.testing.assert_array_equal(early.first_spikes(population), whole.first_spikes(population))
    last = whole.first_spikes(population).max(axis=1)
    if np.any(model.network.neurons[population].is_pool):
        last = np.nextafter(last, np.inf)  # a pool fires just after what sets it off
    np.testing.assert_array_equal(early.ends, np.minimum(last, whole.ends))
    for k in range(len(whole)):
        ours, theirs = early[k].batch.record, whole[k].batch.record
        for name in ("time", "neuron", "slope"):  # a release may lie beyond the end
            expected = getattr(theirs, name)[theirs.time <= early.ends[k]]
            np.testing.assert_array_equal(getattr(ours, name), expected)
        single = model.run_alone(k, engine=engine, until_fired=population)
        assert_identical(single.batch, early[k].batch)
    assert_identical(es.simulate(model.network, {}, model.t_stop, resume=early), whole)


SAMPLES, RUNAWAY = 8, 5


def samples_of(*runaways: int) -> list[dict[str, es.Spikes]]:
    calm, wild = es.Spikes([0.1, 2.0], [0, 0]), es.Spikes([0.1, 0.2], [1, 1])
    return [{"in": wild if k in runaways else calm} for k in range(SAMPLES)]


@pytest.mark.jit
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("cap", [100, 3000])
@each_engine
def test_a_batch_ends_with_the_first_sample_that_exceeds_the_cap(
    engine: str, cap: int, threads: int
) -> None:
    network = excitable(engine)
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
        assert_identical(result[k].batch, expected.batch)
    again = es.simulate(network, {}, 60.0, resume=result, max_spikes=100_000)
    whole = es.simulate(network, samples_of(RUNAWAY)[: RUNAWAY + 1], 60.0, engine=engine)
    for k in range(RUNAWAY + 1):
        assert_identical(again[k].batch, whole[k].batch)


MEMORY = """
import resource, sys
import numpy as np
import eventsim as es

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

engine, cap = sys.argv[1], int(sys.argv[2])
network = es.Network()
network.add_input("in", 2)
network.add_population("p", 20, es.LIF(tau_mem=20.0, tau_syn=5.0))
network.connect("in", "p", weights=np.repeat([[0.1], [1e6]], 20, axis=1), delays=0.5)
if engine != "layered":
    network.connect("p", "p", weights=np.full((20, 20), 0.01), delays=1.0)
calm, wild = ({"in": es.Spikes([0.0], [k])} for k in (0, 1))
es.simulate(network, [calm] * 3, 5.0, engine=engine)  # compiled
before = peak()
for n_wild in (1, 500):
    try:
        batch = [calm] * (500 - n_wild) + [wild] * n_wild
        es.simulate(network, batch, 1e3, engine=engine, max_spikes=cap)
    except es.ActivityError as error:
        assert error.result.offsets[-1] == cap, error.result
        print(peak() - before)
"""


@pytest.mark.jit
@pytest.mark.slow
@each_engine
def test_memory_is_bounded_by_what_was_recorded(engine: str) -> None:
    """Arrays for all samples, of the length of the longest one, would take some ten gigabytes."""
    cap = 200_000
    command = [sys.executable, "-c", MEMORY, engine, str(cap)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    of_one, of_all = map(int, done.stdout.split())
    assert of_one <= of_all < 200 * cap + 100e6


# --- times on a grid ------------------------------------------------------------------------------


@each_engine
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
    assert expected
    np.testing.assert_allclose(result.spikes["out"].times, expected, rtol=1e-14)


@each_engine
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


@each_engine
@given(binned())
@examples(0.5)
def test_networks_with_binned_inputs_agree_with_the_oracle(engine: str, case: Case) -> None:
    try:
        expected = naive.simulate(case)
    except naive.TooManySpikesError:
        assume(False)
    assume(expected.margin > 1e-9 and expected.min_slope > 1e-6 * case.neurons[0].alpha)
    found = all_trains(engines.run(engine, case))
    unit = 1.0 / max(n.alpha for n in case.neurons)
    for i in range(len(case.neurons)):
        mine = [t for j, t in found if j == i]
        np.testing.assert_allclose(mine, expected.times(i), rtol=1e-12, atol=1e-9 * unit)


# --- touches --------------------------------------------------------------------------------------


@each_engine
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


@each_engine
def test_inputs_that_add_up_to_the_threshold_touch_it(engine: str) -> None:
    times = [0.3 * k for k in range(20)]
    network, stimulus = one_neuron([0.05] * 20, times, tau_mem=np.inf, tau_syn=1.0)
    result = es.simulate(network, stimulus, 100.0, engine=engine)
    assert len(result.spikes["out"]) == 0
    assert result.near_touches == 1


@each_engine
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


@each_engine
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
        (lambda: es.LIF(tau_syn=1e-200), "tau_syn must be 0, or at least 1e-100, got 1e-200"),
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


@each_engine
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


# --- networks at the edge -------------------------------------------------------------------------


@each_engine_and_cuda
def test_neurons_that_nothing_reaches_follow_their_bias(engine: str) -> None:
    """A population without any projection, a neuron without any synapse, a run of no time."""
    network = es.Network()
    network.add_input("in", 1)
    network.add_population("alone", 40, es.LIF(np.inf, np.inf, bias=np.linspace(0.0, 4.0, 40)))
    network.add_population("apart", 2, es.LIF(np.inf, np.inf, bias=2.0))
    network.add_population("scale", 1, es.LIF())  # windows need a scale of time
    network.connect("in", "apart", weights=scipy.sparse.csr_array([[0.0, 4.0]]))
    network.connect("in", "apart", weights=scipy.sparse.csr_array(([1.0], ([0], [1])), (1, 2)))
    for t_stop in (1.01, 0.0):
        result = es.simulate(network, [{}, {}], t_stop, engine=engine)
        counts = np.floor(np.linspace(0.0, 4.0, 40) * t_stop).astype(int)
        np.testing.assert_array_equal(result.spike_counts("alone"), [counts, counts])
        np.testing.assert_array_equal(
            result.spike_counts("apart"), np.full((2, 2), int(2 * t_stop))
        )


@each_engine_and_cuda
def test_a_network_without_synapses_and_bias_stays_at_rest(engine: str) -> None:
    network = es.Network()
    network.add_population("p", 3, es.LIF())
    result = es.simulate(network, {}, 2.0, engine=engine)
    assert len(result.spikes["p"]) == 0
    np.testing.assert_array_equal(result.potential("p"), np.zeros(3))
    assert result.events == es.EventCounts(0, 0, 0, 0)


@each_engine_and_cuda
@pytest.mark.parametrize("n", [1, 40])
def test_a_spike_at_the_time_of_an_arrival_comes_before_it(engine: str, n: int) -> None:
    """At the very moment of the spike an inhibition is too late; a moment earlier, it is not."""
    network = es.Network()
    network.add_input("in", 2)
    network.add_population("p", n, es.LIF(np.inf, np.inf))
    network.add_population("scale", 1, es.LIF())  # windows need a scale of time
    network.connect("in", "p", weights=np.repeat([[2.0], [-9.0]], n, axis=1))
    for stop, count in ((0.5, n), (np.nextafter(0.5, 0.0), 0)):
        for order in ([0, 1], [1, 0]):
            spikes = {"in": es.Spikes(np.array([0.0, stop])[order], order)}
            result = es.simulate(network, spikes, 1.0, engine=engine)
            np.testing.assert_array_equal(result.spikes["p"].times, np.full(count, 0.5))
            np.testing.assert_array_equal(result.current("p"), np.full(n, -7.0))
            if count:
                np.testing.assert_array_equal(result.potential("p"), np.full(n, -3.5))
        spikes = {"in": es.Spikes([0.0], [0])}
        assert len(es.simulate(network, spikes, stop, engine=engine).spikes["p"]) == count


@each_engine
def test_arrivals_during_refractoriness_change_only_the_current(engine: str) -> None:
    network, _ = one_neuron([2.0], [0.0], tau_mem=np.inf, tau_syn=np.inf, refractory=1.0)
    network.add_population("scale", 1, es.LIF())  # windows need a scale of time
    stimulus = {"in": es.Spikes([0.0, 1.0], [0, 0])}
    result = es.simulate(network, stimulus, 1.75, engine=engine)
    # It fires at 0.5, is held until 1.5, and rises with slope 4.
    np.testing.assert_array_equal(result.spikes["out"].times, [0.5, 1.75])
    held = result.potential("out", at=[0.25, 1.0, 1.5, 1.625])[:, 0]
    np.testing.assert_array_equal(held, [0.5, 0.0, 0.0, 0.5])


BIASES = np.array([0.0, -0.01, -0.1, -0.5, -0.9, -2.0, 0.001, 0.02, 0.5])


@pytest.mark.parametrize("engine", ["windows", *LAYERS])
@pytest.mark.parametrize("t_stop", [30.0, 100.0, 1000.0, pytest.param(1e5, marks=pytest.mark.jit)])
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


@pytest.mark.parametrize("engine", ["scheduler", *LAYERS])
def test_spikes_beyond_an_early_end_are_not_beyond_the_cap(engine: str) -> None:
    network = es.Network()
    network.add_input("in", 1)
    network.add_population("p", 2, es.LIF(np.inf, np.inf))
    network.connect("in", "p", weights=[[5.0, 1.5]])
    stimulus = [{"in": es.Spikes([0.0], [0])}] * 2
    early = es.simulate(network, stimulus, 4.0, engine=engine, until_fired="p", max_spikes=4)
    np.testing.assert_allclose(early.ends, 1.0 / 1.5, rtol=1e-12)
    np.testing.assert_allclose(early[1].spikes["p"].times, [0.2, 0.4, 0.6, 1 / 1.5], rtol=1e-12)
    with pytest.raises(es.ActivityError, match="sample 0 exceeded max_spikes = 3"):
        es.simulate(network, stimulus, 4.0, engine=engine, until_fired="p", max_spikes=3)


# --- runs end -------------------------------------------------------------------------------------

ENDLESS = """
import os, signal, sys, threading
import numpy as np
import eventsim as es

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
engine = sys.argv[1]
rng = np.random.default_rng(0)
network = es.Network()
network.add_input("in", 20)
network.add_population("p", 300, es.LIF(tau_mem=20.0, tau_syn=5.0, refractory=1.0))
network.connect("in", "p", weights=rng.normal(0.3, 0.1, (20, 300)))
if engine != "layered":
    network.connect("p", "p", weights=rng.normal(0.0, 0.01, (300, 300)), delays=1.0)
n = 3_000_000
spikes = {"in": es.Spikes(np.linspace(0.0, 1e6, n), rng.integers(0, 20, n))}
few = {"in": es.Spikes([0.5], [0])}
for of in (lambda one: one, lambda one: [one] * 3):
    es.simulate(network, of(few), 2.0, engine=engine)  # compiled
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        es.simulate(network, of(spikes), 1e6, engine=engine, max_spikes=10**9)
    except KeyboardInterrupt:
        print("interrupted")
"""


@pytest.mark.jit
@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent as a POSIX signal")
@each_engine
def test_control_c_ends_a_run(engine: str) -> None:
    """Of one sample and of three; they would take minutes."""
    command = [sys.executable, "-c", ENDLESS, engine]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert run.stdout == "interrupted\n" * 2, run.stderr
