"""Spike times of neurons that graze their threshold: the closed forms, and their gradients."""

import numpy as np
import pytest

from scenarios.stdbp.grazing import ALPHA, INPUTS, REL_PSP, WEIGHTS, critical_scale, scaled

FACTORS = np.array([0.3, 0.9, 1.0 - 1e-9, 1.0 + 1e-9, 1.0 + 1e-4, 1.5, 4.0])


def test_the_alpha_neuron_falls_silent_at_the_critical_scale():
    spikes = scaled(ALPHA, critical_scale() * FACTORS, t_stop=30.0)[1]
    np.testing.assert_allclose(spikes.scales, critical_scale() * FACTORS[FACTORS > 1.0])


def test_the_rel_psp_neuron_fires_at_every_scale_only_later():
    spikes = scaled(REL_PSP, critical_scale() * FACTORS, t_stop=30.0)[1]
    assert len(spikes.times) == len(FACTORS)
    assert np.all(np.diff(spikes.times) < 0.0)


def test_the_gradient_of_the_rel_psp_neuron_is_eq_14():
    """(t_i - t) over the sum of the weights of the inputs before the spike."""
    spikes = scaled(REL_PSP, np.array([0.2, 0.8, 3.0]), t_stop=30.0)[1]
    for scale, time, slope, norm in zip(
        spikes.scales, spikes.times, spikes.slopes, spikes.norms, strict=True
    ):
        before = time > INPUTS
        assert slope == pytest.approx(np.sum(scale * WEIGHTS[before]))
        assert norm == pytest.approx(np.linalg.norm(time - INPUTS[before]) / slope)


def test_the_gradient_explodes_with_a_finite_spike_time_only_where_the_alpha_neuron_grazes():
    scale = critical_scale() * np.array([1.0 + 1e-9])
    alpha, line = (scaled(neuron, scale, t_stop=30.0)[1] for neuron in (ALPHA, REL_PSP))
    assert alpha.norms[0] > 1e4
    assert alpha.times[0] < 2.0
    assert line.norms[0] < 1.0
