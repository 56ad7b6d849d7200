"""What is special to the scheduler: ties at zero delay, arrays shared, early ends, tables."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import sparse

import eventsim as es
from eventsim._engines.scheduler import tables
from eventsim._engines.scheduler.tables import LAST, STEPS, Factors, Limits, tables_of
from eventsim._layout.epochs import powers_of_two
from eventsim._layout.wiring import Neurons, layout_of
from eventsim.model.crossing import TOUCHES, next_crossing
from eventsim.model.flow import bias_kernel, propagator
from tests.helpers import cases, naive
from tests.helpers.engines import excitable
from tests.helpers.models import assert_identical
from tests.helpers.naive import Case


def test_neurons_alike_fire_together_in_the_order_of_their_numbers() -> None:
    """Zero-delay inhibition from the first comes after the simultaneous spike of the second."""
    neurons = (naive.Neuron(1.0, 1.0),) * 3
    inputs = tuple((-1, post, 5.0, 0.0) for post in range(3))
    inhibition = tuple((i, j, -9.0, 0.0) for i in range(3) for j in range(3) if i != j)
    result = cases.build(Case(neurons, inputs + inhibition, ((0, 0.0),), 0.5)).run()
    found = cases.trains(result)
    assert [i for i, _ in found] == [0, 1, 2]
    assert len({t for _, t in found}) == 1


@pytest.mark.jit
def test_samples_of_any_length_are_those_of_runs_of_their_own() -> None:
    """Some share arrays, some outgrow them, some begin with more inputs than fit."""
    rng = np.random.default_rng(0)
    network = excitable("scheduler")
    n_inputs = [0, 5, 3000, 40, 0, 1500, 10, 2500]
    samples = []
    for k, n in enumerate(n_inputs):
        sources = rng.integers(0, k % 3 == 0, n, endpoint=True)
        samples.append({"in": es.Spikes(np.sort(rng.uniform(0.0, 50.0, n)), sources)})
    cap = 10_000_000
    run = {"engine": "scheduler", "max_spikes": cap}
    alone = [es.simulate(network, one, 60.0, **run) for one in samples]
    sizes = [one.batch.record.time.size for one in alone]
    assert min(sizes) == 0
    assert sum(size > 1024 for size in sizes) >= 2
    for threads in (1, 2):
        batch = es.simulate(network, samples, 60.0, threads=threads, **run)
        for k, expected in enumerate(alone):
            assert_identical(batch[k].batch, expected.batch)
        half = es.simulate(network, [until(one, 25.0) for one in samples], 25.0, **run)
        rest = [after(one, 25.0) for one in samples]
        resumed = es.simulate(network, rest, 60.0, resume=half, threads=threads)
        for k, expected in enumerate(alone):
            assert_identical(resumed[k].batch, expected.batch)


def until(sample: dict[str, es.Spikes], t: float) -> dict[str, es.Spikes]:
    spikes = sample["in"]
    return {"in": es.Spikes(spikes.times[spikes.times <= t], spikes.indices[spikes.times <= t])}


def after(sample: dict[str, es.Spikes], t: float) -> dict[str, es.Spikes]:
    spikes = sample["in"]
    return {"in": es.Spikes(spikes.times[spikes.times > t], spikes.indices[spikes.times > t])}


def test_a_population_that_never_fires_is_awaited_until_t_stop() -> None:
    neurons = (naive.Neuron(1.0, 1.0, math.inf), naive.Neuron(0.0, 0.0, 1.0, bias=4.0))
    built = cases.build(Case(neurons, (), (), 1.0))
    result = built.run(until_fired=cases.ALL)
    assert result.t_stop == 1.0
    assert len(result.spikes[cases.ALL]) == 4
    with pytest.raises(ValueError, match=r"until_fired.*'nobody'"):
        built.run(until_fired="nobody")


# --- tables ---------------------------------------------------------------------------------------

RATES = st.floats(0.02, 20.0)


@given(RATES, RATES, st.floats(0.01, 100.0), st.floats(-5.0, 0.98), st.floats(0.0, 15.9), st.data())
def test_a_potential_at_its_limit_never_crosses_and_one_clearly_above_does(
    alpha: float, beta: float, threshold: float, pull: float, drive: float, data: st.DataObject
) -> None:
    bias = pull * beta * threshold
    neuron = es.LIF(1.0 / beta, 1.0 / alpha, threshold, bias=bias)
    network = es.Network()
    network.add_population("p", 1, neuron)
    limits = tables_of(network, layout_of(network).neurons._replace(epoch=np.ones(1))).limits
    alpha, beta = (float(a.ravel()[0]) for a in layout_of(network).neurons[:2])
    unit = threshold - bias / beta
    current = drive * beta * unit
    limit = limit_of(limits, current)
    if drive < 1.0:
        assert limit > 1e3 * unit or drive > 0.999
        return
    if not math.isfinite(limit):
        return
    below = limit - data.draw(st.sampled_from([0.0, 1e-9, 0.3, 5.0])) * unit
    found = next_crossing(current, min(below, threshold), alpha, beta, threshold, bias)
    assert found[0] == math.inf or found[1] == TOUCHES
    largest = max(1.0, drive, abs(limit - bias / beta) / unit)
    above = limit + (0.02 * largest + 1e-8 * largest * drive ** (beta / alpha)) * unit
    if above < threshold and drive < 4.0 and beta < 4.0 * alpha:
        assert next_crossing(current, above, alpha, beta, threshold, bias)[0] < math.inf


def limit_of(limits: Limits, current: float) -> float:
    """What the loop looks up."""
    per_current, shift, unit = limits.scale[0]
    x = min(max(current * per_current, 0.0), float(LAST))
    a, b = limits.chord[0, int(x)]
    return float(shift + unit * (a + b * x))


@given(RATES, RATES, st.floats(0.0, 1.0, exclude_max=True) | st.floats(1e-30, 1e-3))
def test_factors_that_are_looked_up_are_those_of_the_propagator(
    alpha: float, beta: float, part: float
) -> None:
    network = es.Network()
    network.add_population("p", 1, es.LIF(1.0 / beta, 1.0 / alpha))
    neurons = layout_of(network).neurons
    epoch = powers_of_two(neurons, 1.6)
    neurons = neurons._replace(epoch=epoch)
    alpha, beta, lag = float(neurons.alpha[0, 0]), float(neurons.beta[0]), part * float(epoch[0])
    factors = tables_of(network, neurons).factors
    synaptic, kernel = back(neurons, factors, lag)
    exact = propagator(-lag, alpha, beta)
    assert abs(synaptic - exact[0]) <= 4e-16 * exact[0]
    assert abs(kernel - exact[2]) <= 1e-15 * abs(exact[2])
    for n in range(STEPS):
        expected = *propagator(n * epoch[0], alpha, beta), bias_kernel(n * epoch[0], beta)
        assert tuple(factors.forward[0, n]) == expected


@given(RATES, RATES, st.floats(0.0) | st.floats(0.0, 5e-308))
@example(1.0, 1.0, 5e-324)
def test_epochs_have_a_length_however_small_or_large_weights_are(
    alpha: float, beta: float, push: float
) -> None:
    network = es.Network()
    network.add_population("p", 1, es.LIF(1.0 / beta, 1.0 / alpha))
    with np.errstate(over="raise"):
        (length,) = powers_of_two(layout_of(network).neurons, 1.6, push)
    assert 0.0 < length <= 1.6 / max(alpha, beta) * (1.0 + 1e-15)
    assert math.frexp(length)[0] == 0.5


def back(neurons: Neurons, factors: Factors, lag: float) -> tuple[float, float]:
    place = lag * factors.cells[0]
    cell = int(place)
    x = place - cell
    grown = np.polynomial.polynomial.polyval(
        factors.rate[0] * x, [1 / math.factorial(k) for k in range(6)]
    )
    kernel = np.polynomial.polynomial.polyval(x, factors.kernel[0, cell])
    return float(factors.synaptic[0, cell] * grown), float(kernel)


def test_inhibition_calls_off_a_spike_that_was_predicted_already() -> None:
    """The other neuron fires in between, so the spike is found before the inhibition comes."""
    network = es.Network()
    network.add_input("in", 3)
    network.add_population("p", 2, es.LIF(2.0, 1.0))
    weights = np.array([[3.0, 0.0], [0.0, 9.0], [-9.0, 0.0]])
    network.connect("in", "p", weights=weights)
    alone = es.simulate(network, {"in": es.Spikes([0.0], [0])}, 5.0, engine="scheduler")
    (spike,) = alone.spikes["p"].times[:1]
    for ahead in (1e-9, 1e-6, 1e-3, 0.1):
        inputs = es.Spikes([0.0, 0.01, spike - ahead], [0, 1, 2])
        run = es.simulate(network, {"in": inputs}, 5.0, engine="scheduler")
        assert 0 not in run.spikes["p"].indices
        assert 1 in run.spikes["p"].indices


def busy(extra: bool, taus: np.ndarray | float = 5.0) -> es.Network:
    """Thirty neurons, inhibition without a delay, an input for each; ``extra``: inputs have two."""
    rng = np.random.default_rng(5)
    network = es.Network()
    network.add_input("in", 30)
    network.add_population("p", 30, es.LIF(20.0, taus, refractory=0.1))
    inputs = sparse.csr_array(np.eye(30))
    if extra:
        ones = np.arange(30)
        inputs = sparse.csr_array(
            (np.tile([1.0, 0.0], 30), (ones.repeat(2), ones.repeat(2))), shape=(30, 30)
        )
    network.connect("in", "p", weights=inputs)
    recurrent = np.where(rng.random((30, 30)) < 0.3, rng.choice([0.2, -0.4], (30, 30)), 0.0)
    network.connect("p", "p", weights=sparse.csr_array(recurrent))
    return network


def busy_input() -> dict[str, es.Spikes]:
    rng = np.random.default_rng(6)
    return {"in": es.Spikes(np.sort(rng.uniform(0.0, 40.0, 600)), rng.integers(0, 30, 600))}


def test_inputs_of_one_synapse_are_as_all_others() -> None:
    one, two = (es.simulate(busy(e), busy_input(), 40.0, engine="scheduler") for e in (False, True))
    assert len(one.spikes["p"]) > 30
    np.testing.assert_array_equal(one.spikes["p"].times, two.spikes["p"].times)
    np.testing.assert_array_equal(one.spikes["p"].indices, two.spikes["p"].indices)


def test_without_tables_the_same_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are many kinds of neurons."""
    looked_up = es.simulate(busy(False), busy_input(), 40.0, engine="scheduler")
    monkeypatch.setattr(tables, "MOST_KINDS", 0)
    computed = es.simulate(busy(False), busy_input(), 40.0, engine="scheduler")
    np.testing.assert_array_equal(looked_up.spikes["p"].indices, computed.spikes["p"].indices)
    np.testing.assert_allclose(
        looked_up.spikes["p"].times, computed.spikes["p"].times, rtol=0, atol=1e-10
    )


def test_a_short_lag_in_a_long_epoch_keeps_its_digits() -> None:
    """Without leak and decay an epoch has no end."""
    network = es.Network()
    network.add_input("in", 1)
    network.add_population("p", 1, es.LIF(np.inf, np.inf, np.inf))
    network.connect("in", "p", weights=[[0.001]])
    run = es.simulate(network, {"in": es.Spikes([0.25], [0])}, 1.0, engine="scheduler")
    assert run.potential("p", at=1.0).item() == pytest.approx(0.00075, rel=1e-14)
