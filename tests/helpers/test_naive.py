"""The oracle itself is checked against the 60-digit cases before anything is checked against it."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest

from tests.helpers import cases, naive


@pytest.mark.parametrize("name", cases.NETWORK_NAMES)
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
