"""The oracle itself is checked against the 60-digit cases before anything is checked against it."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import pytest

from tests.helpers import cases, naive


@pytest.mark.parametrize("name", cases.NETWORK_NAMES + cases.GENERAL_NAMES)
def test_oracle_reproduces_reference_network(name: str) -> None:
    reference = cases.load(name)
    run = naive.simulate(reference.case)
    assert [i for i, _ in run.spikes] == [i for i, _ in reference.spikes]
    np.testing.assert_allclose(
        [t for _, t in run.spikes], [t for _, t in reference.spikes], rtol=1e-12
    )
    np.testing.assert_allclose(run.potentials, reference.final_potentials, rtol=1e-11, atol=1e-12)


def test_oracle_reproduces_reference_crossings() -> None:
    for row in cases.crossings():
        neuron = naive.Neuron(row.alpha, row.beta, row.threshold, bias=row.bias)
        t, _ = naive.first_crossing(row.current, row.potential, neuron, row.t_max)
        assert math.isinf(t) == math.isinf(row.time), row
        if math.isfinite(t):
            assert abs(t - row.time) <= 1e-13 * t + 1e-14 * row.threshold / row.slope, row


@pytest.mark.parametrize(("alpha", "beta"), [(2.0, 1.0), (1.0, 1.0 + 1e-9), (1.5, 0.0), (0.0, 1.5)])
@pytest.mark.parametrize("t", [1e-6, 0.3, 4.0])
def test_kernel_is_the_textbook_difference_of_exponentials(
    t: float, alpha: float, beta: float
) -> None:
    with mpmath.workdps(50):
        a, b, x = mpmath.mpf(alpha), mpmath.mpf(beta), mpmath.mpf(t)
        textbook = float((mpmath.exp(-a * x) - mpmath.exp(-b * x)) / (b - a))
    assert naive.kernel(t, alpha, beta) == pytest.approx(textbook, rel=4e-16 * 4)


def test_two_alike_neurons_fire_together_in_index_order() -> None:
    neurons = (naive.Neuron(1.0, 1.0), naive.Neuron(1.0, 1.0))
    synapses = ((-1, 0, 5.0, 0.0), (-1, 1, 5.0, 0.0), (0, 1, -9.0, 0.0))
    run = naive.simulate(naive.Case(neurons, synapses, ((0, 0.0),), 0.5))
    assert run.spikes[0][0] == 0
    assert run.spikes[1] == (1, run.spikes[0][1])


def alone(neuron: naive.Neuron, *synapses: tuple[float, float, int], t_stop: float = 4.0) -> Any:
    """A run of one neuron with an arrival for each (time, weight, receptor)."""
    wires = tuple((-k - 1, 0, w, 0.0, to) for k, (_, w, to) in enumerate(synapses))
    inputs = tuple((k, t) for k, (t, *_) in enumerate(synapses))
    return naive.simulate(naive.Case((neuron,), wires, inputs, t_stop))


def test_charges_that_arrive_at_the_same_time_count_as_one() -> None:
    neuron = naive.Neuron((math.inf, 1.0, math.inf), 1.0, theta=1.0, reset=0.25)
    touching = alone(neuron, (1.0, 2.0, 0), (1.0, -1.0, 2))
    assert touching.spikes == ()
    assert touching.margin == 0.0
    run = alone(neuron, (1.0, 2.0, 0), (1.0, -0.5, 2), (2.0, 0.5, 0))
    assert run.spikes == ((0, 1.0),)
    assert run.slopes == (math.inf,)
    (potential,) = run.potentials
    assert potential == pytest.approx(0.25 * math.exp(-3.0) + 0.5 * math.exp(-2.0), rel=1e-15)


def test_charges_are_lost_while_a_neuron_is_held_and_count_from_its_release_on() -> None:
    neuron = naive.Neuron(math.inf, 0.0, theta=1.0, tau_ref=1.0)
    early = (2.0 - 2**-50, 0.75, 0)
    for lost in ((1.0 + 2**-50, 9.0, 0), early):
        assert alone(neuron, (1.0, 2.0, 0), lost).potentials == (0.0,)
    assert alone(neuron, (1.0, 2.0, 0), (2.0, 0.75, 0)).potentials == (0.75,)
    assert alone(neuron, (1.0, 2.0, 0), early, (4.0, 2.0, 0)).spikes == ((0, 1.0), (0, 4.0))


def test_a_charge_that_a_spike_sends_at_once_arrives_after_all_spikes_of_its_time() -> None:
    """Both fire at 1; what they send to each other finds them at reset, and adds up in a third."""
    cell = naive.Neuron(math.inf, 0.0, theta=1.0)
    silent = naive.Neuron(math.inf, 0.0, theta=1.0, reset=-0.5)
    wires = ((-1, 0, 2.0, 0.0), (-1, 1, 2.0, 0.0), (0, 1, -0.5, 0.0), (1, 0, 0.5, 0.0))
    wires += ((0, 2, 5.0, 0.0), (1, 2, -4.5, 0.0))
    run = naive.simulate(naive.Case((cell, cell, silent), wires, ((0, 1.0),), 1.0))
    assert run.spikes == ((0, 1.0), (1, 1.0))
    assert run.potentials == (0.5, -0.5, 0.5)


@pytest.mark.parametrize("beta", [0.0, 0.7, 1.0, 3.0])
def test_several_currents_may_excite_twice(beta: float) -> None:
    """A fast excitation, a slower inhibition and a slow excitation: two peaks, either may fire.

    The potential on a fine grid tells which: it is far from the threshold elsewhere.
    """
    rates = (4.0, 1.0, 0.25)
    for currents in ((8.0, -9.0, 3.0), (3.0, -9.0, 6.0), (3.0, -5.0, 1.0)):
        neuron = naive.Neuron(rates, beta, theta=0.8)
        grid = np.linspace(0.0, 12.0, 20_001)
        each = [
            i * np.array([naive.kernel(t, a, beta) for t in grid])
            for i, a in zip(currents, rates, strict=True)
        ]
        above = np.flatnonzero(np.sum(each, axis=0) > 0.8)
        t, margin = naive.first_crossing(currents, 0.0, neuron, 12.0)
        assert margin > 1e-4
        if above.size:
            assert grid[above[0] - 1] < t < grid[above[0]]
        else:
            assert math.isinf(t)
