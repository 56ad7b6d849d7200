"""The event loop: reference networks, the oracle, and what must hold for every network."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eventsim as es
from tests.helpers import cases, naive
from tests.helpers.cases import assert_bitwise_equal, assert_same_trains, decided
from tests.helpers.naive import Case
from tests.helpers.strategies import (
    decimals,
    examples,
    networks,
    spike_trains,
    times,
    violent_networks,
)

# --- against numbers from elsewhere ---------------------------------------------------------------


@pytest.mark.parametrize("name", cases.NETWORK_NAMES)
def test_reference_networks(name: str) -> None:
    reference = cases.load(name)
    result = cases.build(reference.case).run()
    found = cases.trains(result)
    assert [i for i, _ in found] == [i for i, _ in reference.spikes]
    np.testing.assert_allclose(
        [t for _, t in found], [t for _, t in reference.spikes], rtol=1e-12, atol=0
    )
    np.testing.assert_allclose(
        result.potential(cases.ALL), reference.final_potentials, rtol=1e-11, atol=1e-12
    )


@given(networks())
def test_random_networks_agree_with_the_oracle(case: Case) -> None:
    run = decided(case)
    result = cases.build(case).run()
    assert_same_trains(cases.trains(result), list(run.spikes))
    np.testing.assert_allclose(result.potential(cases.ALL), run.potentials, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(result.current(cases.ALL), run.currents, rtol=1e-9, atol=1e-9)


@given(violent_networks())
@examples(0.5)
def test_huge_weights_agree_with_the_oracle(case: Case) -> None:
    run = decided(case)
    result = cases.build(case).run()
    assert_same_trains(cases.trains(result), list(run.spikes), rtol=1e-8)


@given(networks())
@examples(0.5)
def test_recorded_slopes_are_those_of_the_oracle(case: Case) -> None:
    run = decided(case)
    result = cases.build(case).run()
    found = sorted(zip(cases.trains(result), result.spikes[cases.ALL].slopes, strict=True))
    expected = sorted(zip(run.spikes, run.slopes, strict=True))
    np.testing.assert_allclose(
        [s for _, s in found], [s for _, s in expected], rtol=1e-5, atol=1e-7
    )


# --- causality ------------------------------------------------------------------------------------


@given(networks(), st.data())
def test_an_input_changes_nothing_before_it(case: Case, data: st.DataObject) -> None:
    """Bit for bit: whatever comes in at time a or later, the spikes before a are the same."""
    a = data.draw(times(case.t_stop))
    earlier = tuple(spike for spike in case.inputs if spike[1] < a)
    later = data.draw(spike_trains(case.n_sources, case.t_stop - a + 0.001))
    changed = earlier + tuple((s, a + t) for s, t in later)
    one = cases.build(case)
    two = cases.build(dataclasses.replace(case, inputs=changed))
    with cases.drawn_again_if_endless():
        first, second = (built.run(max_spikes=cases.MANY_SPIKES) for built in (one, two))
    assert [s for s in cases.trains(first) if s[1] < a] == [
        s for s in cases.trains(second) if s[1] < a
    ]


@given(networks())
def test_spikes_are_in_order_and_rise_through_the_threshold(case: Case) -> None:
    with cases.drawn_again_if_endless():
        result = cases.build(case).run(max_spikes=cases.MANY_SPIKES)
    spikes = result.spikes[cases.ALL]
    assert np.all(np.diff(spikes.times) >= 0.0)
    assert np.all(spikes.slopes > 0.0)
    assert np.all((spikes.times > 0.0) & (spikes.times <= case.t_stop))
    for i, neuron in enumerate(case.neurons):
        own = spikes.times[spikes.indices == i]
        assert np.all(np.diff(own) > neuron.tau_ref)
        assert own.size == 0 or math.isfinite(neuron.theta)


# --- symmetries -----------------------------------------------------------------------------------


@given(networks(bias=False), st.sampled_from([0.25, 1.0, 3.5, 100.0, 12345.678]))
@examples(0.5)
def test_time_shift(case: Case, shift: float) -> None:
    """Inputs that come later by s give spikes that come later by s (without bias: rest is rest)."""
    decided(case)
    later = dataclasses.replace(
        case,
        inputs=tuple((s, t + shift) for s, t in case.inputs),
        t_stop=case.t_stop + shift,
    )
    found = cases.trains(cases.build(later).run())
    expected = cases.trains(cases.build(case).run())
    shifted = [(i, t - shift) for i, t in found]
    assert_same_trains(shifted, expected, rtol=1e-9 + 1e-13 * shift * 1e3)


@given(networks(), st.randoms(use_true_random=False))
@examples(0.5)
def test_the_numbering_of_neurons_does_not_matter(case: Case, random) -> None:
    decided(case)
    order = list(range(len(case.neurons)))
    random.shuffle(order)  # neuron i becomes neuron order[i]
    renumbered = dataclasses.replace(
        case,
        neurons=tuple(case.neurons[order.index(k)] for k in range(len(order))),
        synapses=tuple(
            (order[pre] if pre >= 0 else pre, order[post], w, d)
            for pre, post, w, d in case.synapses
        ),
    )
    expected = cases.trains(cases.build(case).run())
    found = cases.trains(cases.build(renumbered).run())
    assert_same_trains([(order.index(i), t) for i, t in found], expected)


@given(networks())
@examples(0.5)
def test_two_half_weights_at_once_are_one_weight(case: Case) -> None:
    decided(case)
    halves = tuple((pre, post, w / 2, d) for pre, post, w, d in case.synapses)
    doubled = dataclasses.replace(
        case,
        synapses=tuple(s for s in halves if s[0] >= 0) * 2 + tuple(s for s in halves if s[0] < 0),
        inputs=tuple(spike for spike in case.inputs for _ in range(2)),
    )
    expected = cases.trains(cases.build(case).run())
    assert_same_trains(cases.trains(cases.build(doubled).run()), expected)


@given(networks(), decimals(0.0, 1.0))
@examples(0.5)
def test_a_delay_is_a_later_input(case: Case, delay: float) -> None:
    """Input synapses that all have delay d do what undelayed ones do with inputs d later."""
    sets = [
        tuple((pre, post, w, d if pre >= 0 else common) for pre, post, w, d in case.synapses)
        for common in (delay, 0.0)
    ]
    delayed = dataclasses.replace(case, synapses=sets[0])
    moved = dataclasses.replace(
        case, synapses=sets[1], inputs=tuple((s, t + delay) for s, t in case.inputs)
    )
    decided(delayed)
    expected = cases.trains(cases.build(moved).run())
    assert_same_trains(cases.trains(cases.build(delayed).run()), expected)


def in_units(case: Case, volts: float, seconds: float) -> Case:
    """The same network where a potential of 1 is called `volts`, and a time of 1 `seconds`."""
    rate = volts / seconds  # of currents: dV/dt
    return Case(
        tuple(
            naive.Neuron(
                n.alpha / seconds,
                n.beta / seconds,
                n.theta * volts,
                n.tau_ref * seconds,
                n.bias * rate,
            )
            for n in case.neurons
        ),
        tuple((pre, post, w * rate, d * seconds) for pre, post, w, d in case.synapses),
        tuple((s, t * seconds) for s, t in case.inputs),
        case.t_stop * seconds,
    )


@given(networks(), st.integers(-20, 20), st.integers(-10, 10))
@examples(0.5)
def test_units_that_are_powers_of_two_do_not_matter_bit_for_bit(
    case: Case, volts: int, seconds: int
) -> None:
    with cases.drawn_again_if_endless():
        expected = cases.trains(cases.build(case).run(max_spikes=cases.MANY_SPIKES))
    built = cases.build(in_units(case, 2.0**volts, 2.0**seconds))
    found = cases.trains(built.run())
    assert [(i, t / 2.0**seconds) for i, t in found] == expected


@given(networks(), st.sampled_from([0.001, 0.7, 1000.0]), st.sampled_from([0.001, 0.3, 1000.0]))
@examples(0.5)
def test_units_do_not_matter(case: Case, volts: float, seconds: float) -> None:
    decided(case)
    expected = cases.trains(cases.build(case).run())
    found = cases.trains(cases.build(in_units(case, volts, seconds)).run())
    assert_same_trains([(i, t / seconds) for i, t in found], expected)


# --- ties -----------------------------------------------------------------------------------------


def test_neurons_alike_fire_together_in_the_order_of_their_numbers() -> None:
    """Zero-delay inhibition from the first comes after the simultaneous spike of the second."""
    neurons = (naive.Neuron(1.0, 1.0),) * 3
    inputs = tuple((-1, post, 5.0, 0.0) for post in range(3))
    inhibition = tuple((i, j, -9.0, 0.0) for i in range(3) for j in range(3) if i != j)
    result = cases.build(Case(neurons, inputs + inhibition, ((0, 0.0),), 0.5)).run()
    found = cases.trains(result)
    assert [i for i, _ in found] == [0, 1, 2]
    assert len({t for _, t in found}) == 1


def test_an_input_at_the_very_time_of_a_spike_acts_after_it() -> None:
    case = Case((naive.Neuron(0.0, 0.0, 1.0),), ((-1, 0, 2.0, 0.0), (-2, 0, -9.0, 0.0)), (), 1.0)
    for inputs in (((0, 0.0), (1, 0.5)), ((1, 0.5), (0, 0.0))):
        result = cases.build(dataclasses.replace(case, inputs=inputs)).run()
        assert cases.trains(result) == [(0, 0.5)]
        assert result.current(cases.ALL).tolist() == [-7.0]
        assert result.potential(cases.ALL).tolist() == [-3.5]


def test_arrivals_during_refractoriness_change_only_the_current() -> None:
    neuron = naive.Neuron(0.0, 0.0, 1.0, tau_ref=1.0)
    case = Case((neuron,), ((-1, 0, 2.0, 0.0),), ((0, 0.0), (0, 1.0)), 1.75)
    result = cases.build(case).run()  # fires at 0.5, is held until 1.5, then rises with slope 4
    assert cases.trains(result) == [(0, 0.5), (0, 1.75)]
    at = np.array([0.25, 0.5, 1.0, 1.5, 1.625])
    held = result.potential(cases.ALL, at=at)[:, 0]
    np.testing.assert_array_equal(held[2:], [0.0, 0.0, 0.5])
    assert held[0] == 0.5


# --- pieces, batches, threads: bit for bit --------------------------------------------------------


@given(networks(), st.lists(decimals(0.0, 2.999), min_size=1, max_size=3))
def test_a_run_in_pieces_is_the_whole_run(case: Case, stops: list[float]) -> None:
    """Also when spikes are in flight or neurons refractory where it stopped."""
    built = cases.build(case)
    with cases.drawn_again_if_endless():
        whole = built.run(max_spikes=cases.MANY_SPIKES)
    result, begin = None, -1.0
    for stop in [*sorted(set(stops)), case.t_stop]:
        piece = cases.spikes_of(tuple(s for s in case.inputs if begin < s[1] <= stop))
        result = es.simulate(built.network, {cases.IN: piece}, stop, resume=result)
        begin = stop
    assert_bitwise_equal(result, whole)


@given(networks(), st.data())
@examples(0.5)
def test_a_batch_is_its_samples(case: Case, data: st.DataObject) -> None:
    trains = [case.inputs] + [
        data.draw(spike_trains(case.n_sources, case.t_stop)) for _ in range(3)
    ]
    network = cases.build(case).network
    stimuli = [{cases.IN: cases.spikes_of(train)} for train in trains]
    with cases.drawn_again_if_endless():
        batch = es.simulate(network, stimuli, case.t_stop, max_spikes=cases.MANY_SPIKES)
    for k, stimulus in enumerate(stimuli):
        assert_bitwise_equal(batch[k], es.simulate(network, stimulus, case.t_stop))


def test_a_spike_batch_is_a_list_of_stimuli() -> None:
    reference = cases.load("recurrent_delays")
    network = cases.build(reference.case).network
    trains = [
        es.Spikes(
            [t * scale for _, t in reference.case.inputs], [s for s, _ in reference.case.inputs]
        )
        for scale in (0.5, 1.0, 0.25)
    ]
    joined = es.SpikeBatch(
        np.concatenate([train.times for train in trains]),
        np.concatenate([train.indices for train in trains]),
        np.repeat([0, 1, 2], [len(train) for train in trains]),
        3,
    )
    batch = es.simulate(network, {cases.IN: joined}, 6.0)
    listed = es.simulate(network, [{cases.IN: train} for train in trains], 6.0)
    spikes = batch.spikes[cases.ALL]
    np.testing.assert_array_equal(spikes.times, listed.spikes[cases.ALL].times)
    np.testing.assert_array_equal(spikes.samples, listed.spikes[cases.ALL].samples)
    for k, train in enumerate(trains):
        single = es.simulate(network, {cases.IN: train}, 6.0)
        assert_bitwise_equal(batch[k], single)
        np.testing.assert_array_equal(
            spikes.times[spikes.samples == k], single.spikes[cases.ALL].times
        )


def random_layers(seed: int = 1) -> tuple[es.Network, es.SpikeBatch]:
    rng = np.random.default_rng(seed)
    network = es.Network()
    network.add_input("in", 6)
    network.add_population(cases.ALL, 12, es.LIF(tau_mem=1.0, tau_syn=0.5))
    network.connect("in", cases.ALL, weights=rng.normal(1.0, 1.0, (6, 12)))
    network.connect(cases.ALL, cases.ALL, weights=rng.normal(0.0, 0.4, (12, 12)), delays=0.1)
    return network, es.SpikeBatch.from_latencies(rng.uniform(0.0, 2.0, (64, 6)))


def test_the_number_of_threads_does_not_matter() -> None:
    network, batch = random_layers()
    alone = es.simulate(network, {"in": batch}, 3.0, threads=1)
    assert alone.spikes[cases.ALL].times.size > 100
    for threads in (2, 3, 64):
        assert_bitwise_equal(es.simulate(network, {"in": batch}, 3.0, threads=threads), alone)


def test_two_runs_are_equal_bit_for_bit() -> None:
    network, batch = random_layers()
    first = es.simulate(network, {"in": batch}, 3.0)
    assert_bitwise_equal(es.simulate(network, {"in": batch}, 3.0), first)


# --- the same network said otherwise --------------------------------------------------------------


@given(networks())
@examples(0.3)
def test_one_population_each_is_the_same_network(case: Case) -> None:
    """A population per neuron and a projection per synapse, against one sparse matrix."""
    decided(case)
    network = es.Network()
    network.add_input("in", case.n_sources)
    for i, neuron in enumerate(case.neurons):
        network.add_population(f"n{i}", 1, cases.lif((neuron,)))
    for pre, post, w, d in case.synapses:
        if pre >= 0:
            network.connect(f"n{pre}", f"n{post}", weights=[[w]], delays=d)
        else:
            weights = np.zeros((case.n_sources, 1))
            weights[-pre - 1] = w
            network.connect("in", f"n{post}", weights=weights, delays=d)
    result = es.simulate(network, {"in": cases.spikes_of(case.inputs)}, case.t_stop)
    found = [
        (i, t) for i in range(len(case.neurons)) for t in result.spikes[f"n{i}"].times.tolist()
    ]
    assert_same_trains(found, cases.trains(cases.build(case).run()))


# --- runaway activity -----------------------------------------------------------------------------


def test_the_spike_cap_names_neuron_time_and_count_and_keeps_the_spikes() -> None:
    neuron = naive.Neuron(0.0, 0.0, 1.0)
    built = cases.build(Case((neuron,) * 2, ((-1, 1, 8.0, 0.0),), ((0, 0.0),), 10.0))
    with pytest.raises(es.ActivityError) as caught:
        built.run(max_spikes=5)
    error = caught.value
    assert (error.population, error.neuron, error.count) == (cases.ALL, 1, 5)
    assert str(error.count) in str(error)
    np.testing.assert_allclose(error.result.spikes[cases.ALL].times, np.arange(1, 6) / 8.0)
    assert error.time == pytest.approx(0.75)
    assert built.run(max_spikes=80).spikes[cases.ALL].times.size == 80


def test_the_spike_cap_holds_in_a_resumed_run() -> None:
    neuron = naive.Neuron(0.0, 0.0, 1.0)
    built = cases.build(Case((neuron,), ((-1, 0, 8.0, 0.0),), ((0, 0.0),), 0.5))
    half = built.run(max_spikes=10)  # 4 spikes
    with pytest.raises(es.ActivityError) as caught:
        es.simulate(built.network, {}, 10.0, resume=half, max_spikes=10)
    assert caught.value.count == 10
    assert caught.value.time == pytest.approx(11 / 8.0)


def test_a_result_can_be_resumed_again_and_again() -> None:
    """Resuming leaves the result as it was, also when buffers had to grow."""
    neuron = naive.Neuron(0.0, 0.0, 1.0)
    built = cases.build(Case((neuron,), ((-1, 0, 8.0, 0.25),), ((0, 0.0), (0, 0.4)), 0.5))
    half = built.run()
    before = half.spikes[cases.ALL].times.copy()
    first = es.simulate(built.network, {}, 50.0, resume=half)
    second = es.simulate(built.network, {}, 50.0, resume=half)
    assert_bitwise_equal(second, first)
    np.testing.assert_array_equal(half.spikes[cases.ALL].times, before)
    assert_bitwise_equal(first, es.simulate(built.network, built.stimulus, 50.0))
    assert first.spikes[cases.ALL].times.size > 700


# --- runs that end with the last first spike ------------------------------------------------------


@given(networks(), st.data())
@examples(0.4)
def test_a_run_until_all_have_fired_is_the_beginning_of_the_whole_run(
    case: Case, data: st.DataObject
) -> None:
    """Bit for bit, per sample; and resumed it is the whole run."""
    trains = [case.inputs, data.draw(spike_trains(case.n_sources, case.t_stop)), ()]
    built = cases.build(case)
    stimuli = [{cases.IN: cases.spikes_of(train)} for train in trains]
    with cases.drawn_again_if_endless():
        whole = es.simulate(built.network, stimuli, case.t_stop, max_spikes=cases.MANY_SPIKES)
    early = es.simulate(built.network, stimuli, case.t_stop, until_fired=cases.ALL)
    np.testing.assert_array_equal(early.first_spikes(cases.ALL), whole.first_spikes(cases.ALL))
    last = whole.first_spikes(cases.ALL).max(axis=1)
    np.testing.assert_array_equal(early.ends, np.minimum(last, case.t_stop))
    for k in range(3):
        found, expected = cases.trains(early[k]), cases.trains(whole[k])
        assert found == expected[: len(found)]
        assert all(t >= early.ends[k] for _, t in expected[len(found) :])
        single = es.simulate(built.network, stimuli[k], case.t_stop, until_fired=cases.ALL)
        assert_bitwise_equal(single, early[k])
    resumed = es.simulate(built.network, {}, case.t_stop, resume=early)
    assert_bitwise_equal(resumed, whole)


def test_a_population_that_never_fires_is_awaited_until_t_stop() -> None:
    neurons = (naive.Neuron(1.0, 1.0, math.inf), naive.Neuron(0.0, 0.0, 1.0, bias=4.0))
    built = cases.build(Case(neurons, (), (), 1.0))
    result = built.run(until_fired=cases.ALL)
    assert result.t_stop == 1.0
    assert len(result.spikes[cases.ALL]) == 4
    with pytest.raises(ValueError, match=r"until_fired.*'nobody'"):
        built.run(until_fired="nobody")
