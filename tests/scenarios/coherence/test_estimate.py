"""Estimates of the coherence: their distribution, and the coverage of the bands."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal, stats

from scenarios.coherence.estimate import (
    Estimate,
    confidence_interval,
    estimate,
    probability_below,
    share_inside,
)


def filtered(n, bins, seed):
    """Segments of white noise s, and of s through a filter with noise; and their coherence."""
    rng = np.random.default_rng(seed)
    s = rng.normal(size=n * bins)
    x = signal.lfilter([1.0], [1.0, -0.6], s) + rng.normal(size=s.size)
    f = np.fft.rfftfreq(bins)[1:]
    power = 1.0 / np.abs(1.0 - 0.6 * np.exp(-2j * np.pi * f)) ** 2
    return s.reshape(n, bins), x.reshape(n, bins), power / (1.0 + power)


def cut(found, rows):
    names = ("frequencies", "gain", "power", "coherence")
    arrays = (getattr(found, name)[rows] for name in names)
    return Estimate(*arrays, found.n_segments, found.rate, found.rate_error)


@pytest.mark.parametrize("n", [2, 7, 60])
@pytest.mark.parametrize("C", [0.0, 0.3, 0.95])
def test_the_distribution_is_that_of_drawn_signals(n, C):
    rng = np.random.default_rng(n)
    s, e = rng.normal(size=(2, 4000, n, 2)) @ np.array([1.0, 1j])
    x = np.sqrt(C) * s + np.sqrt(1.0 - C) * e
    cross = np.abs((s * x.conj()).sum(axis=1)) ** 2
    found = cross / ((np.abs(s) ** 2).sum(axis=1) * (np.abs(x) ** 2).sum(axis=1))
    assert stats.kstest(probability_below(found[:1000], C, n), "uniform").pvalue > 0.01


@given(st.floats(0.0, 1.0), st.integers(2, 500))
def test_without_coherence_the_distribution_has_a_closed_form(x, n):
    expected = 1.0 - (1.0 - x) ** (n - 1)
    assert probability_below(x, 0.0, n) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(st.floats(0.0, 0.999), st.integers(2, 3000))
def test_an_estimate_is_at_most_one(C, n):
    assert probability_below([0.0, 1.0], C, n) == pytest.approx([0.0, 1.0], abs=1e-11)


def test_without_coherence_the_bias_is_one_over_the_number_of_segments():
    x = np.linspace(0.0, 1.0, 4001)
    mean = np.trapezoid(1.0 - probability_below(x, 0.0, 25), x)
    assert mean == pytest.approx(1 / 25, rel=1e-4)


@pytest.mark.slow
@settings(max_examples=15)
@given(st.floats(0.001, 0.999), st.integers(2, 400), st.sampled_from([0.5, 0.9, 0.99]))
def test_an_interval_ends_where_the_estimate_becomes_improbable(x, n, level):
    low, high = confidence_interval(x, n, level)
    tail = (1.0 - level) / 2.0
    assert 0.0 <= low <= high < 1.0
    if low > 0.0:
        assert probability_below(x, low, n) == pytest.approx(1.0 - tail, abs=0.003)
    if high > 0.0:
        assert probability_below(x, high, n) == pytest.approx(tail, abs=0.003)


@pytest.mark.slow
def test_intervals_hold_the_coherence_as_often_as_they_say():
    found, inside = [], []
    for seed in range(25):
        s, x, expected = filtered(64, 256, seed)
        one, rows = estimate([(s, x)], width=1.0), np.arange(3, 127, 6)
        low, high = confidence_interval(one.coherence[rows], 64, 0.9)
        inside.append((low <= expected[rows]) & (expected[rows] <= high))
        found.append(share_inside(cut(one, rows), expected[rows], 0.9))
    n = np.size(inside)
    assert stats.binomtest(int(np.sum(inside)), n, 0.9).pvalue > 0.01
    assert np.mean(inside) == pytest.approx(np.mean(found))


def test_too_narrow_intervals_would_be_noticed():
    s, x, expected = filtered(64, 256, 0)
    one = estimate([(s, x)], width=1.0)
    assert share_inside(one, 0.8 * expected) < 0.8


def test_estimates_are_those_of_scipy():
    s, x, _ = filtered(20, 128, 1)
    found = estimate([(s[:7], x[:7]), (s[7:], x[7:])], width=0.5)
    f, coherence = signal.coherence(s.ravel(), x.ravel(), fs=2.0, nperseg=128, noverlap=0)
    np.testing.assert_array_equal(found.frequencies, f[1:])
    np.testing.assert_allclose(found.coherence, coherence[1:], rtol=1e-10)
    assert found.n_segments == 20


def test_a_poisson_train_has_its_rate_as_power_and_no_coherence():
    rng = np.random.default_rng(3)
    s, x = rng.normal(size=(400, 256)), rng.poisson(0.04, (400, 256)).astype(float)
    found = estimate([(s, x)], width=0.1)
    assert found.rate == pytest.approx(0.4, abs=4 * found.rate_error)
    assert found.rate_error == pytest.approx(np.sqrt(0.4 / (400 * 25.6)), rel=0.1)
    assert found.power.mean() == pytest.approx(0.4, rel=0.03)
    assert found.coherence.mean() == pytest.approx(1 / 400, rel=0.3)


def test_the_gain_is_that_of_the_filter():
    s, x, expected = filtered(400, 256, 2)
    found = estimate([(s, x)], width=1.0)
    power = expected / (1.0 - expected)
    np.testing.assert_allclose(found.gain[2:], np.sqrt(power)[2:], rtol=0.2)
    assert np.mean(found.gain[2:-2] / np.sqrt(power)[2:-2]) == pytest.approx(1.0, abs=0.02)


def test_what_crosses_the_border_of_a_segment_does_no_harm():
    s = np.random.default_rng(4).normal(size=(50, 512))
    late = np.roll(s.ravel(), 3).reshape(s.shape)  # the same, a little later: coherence 1
    found = estimate([(s, late)], width=1.0)
    assert found.coherence[3:].min() > 0.999


def test_estimates_are_picked_at_every_second_frequency():
    s, x, _ = filtered(4, 64, 0)
    found = estimate([(s, x)], width=1.0)
    picked = found.nearest(np.geomspace(1e-4, 10.0, 200))
    np.testing.assert_allclose(picked.frequencies, np.arange(2, 33, 2) / 64)
    np.testing.assert_array_equal(picked.coherence, found.coherence[1::2])
    assert (picked.rate, picked.n_segments) == (found.rate, 4)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: estimate([], 1.0), "an estimate takes two segments or more, got 0"),
        (lambda: estimate([filtered(1, 8, 0)[:2]], 1.0), "two segments or more, got 1"),
        (lambda: probability_below(1.5, 0.2, 9), r"estimates must lie in \[0, 1\]"),
        (lambda: probability_below(0.5, 1.0, 9), r"coherences in \[0, 1\)"),
        (lambda: probability_below(0.5, 0.2, 1), "two segments or more"),
        (lambda: confidence_interval(0.5, 9, 1.0), r"level must lie in \(0, 1\), got 1.0"),
    ],
)
def test_bad_arguments_are_refused(call, expected):
    with pytest.raises(ValueError, match=expected):
        call()
