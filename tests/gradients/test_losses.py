"""First-spike cross-entropy: the formula, its gradient, and what silence costs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradients

SETTINGS = {"tau0": 0.2, "tau1": 1.0, "gamma": 0.3, "t_silent": 4.0}


def textbook(times: np.ndarray, labels: list[int], **s: float) -> float:
    """Lee et al., the loss of their section on Yin-Yang, written out sample by sample."""
    total = 0.0
    for row, label in zip(times, labels, strict=True):
        t = [s["t_silent"] if math.isinf(x) else x for x in row]
        softmax = math.exp(-t[label] / s["tau0"]) / sum(math.exp(-x / s["tau0"]) for x in t)
        total += -math.log(softmax) + s["gamma"] * (math.exp(t[label] / s["tau1"]) - 1.0)
    return total / len(labels)


latencies = st.one_of(st.integers(1, 30).map(lambda k: k / 10), st.just(math.inf))


@st.composite
def outputs(draw: st.DrawFn) -> tuple[np.ndarray, list[int]]:
    n_samples, n_classes = draw(st.integers(1, 4)), draw(st.integers(2, 4))
    rows = [[draw(latencies) for _ in range(n_classes)] for _ in range(n_samples)]
    return np.array(rows), [draw(st.integers(0, n_classes - 1)) for _ in range(n_samples)]


@given(outputs())
def test_the_loss_is_the_mean_of_the_textbook_formula(output) -> None:
    times, labels = output
    loss, _ = gradients.first_spike_cross_entropy(times, labels, **SETTINGS)
    assert loss == pytest.approx(textbook(times, labels, **SETTINGS), rel=1e-12, abs=1e-12)


@given(outputs())
def test_the_gradient_is_that_of_central_differences_and_zero_where_silent(output) -> None:
    times, labels = output
    before = times.copy()
    _, slope = gradients.first_spike_cross_entropy(times, labels, **SETTINGS)
    np.testing.assert_array_equal(times, before)
    assert slope.shape == times.shape
    for index in np.ndindex(times.shape):
        if math.isinf(times[index]):
            assert slope[index] == 0.0
            continue
        step = np.zeros_like(times)
        step[index] = 1e-6
        above = gradients.first_spike_cross_entropy(times + step, labels, **SETTINGS)[0]
        below = gradients.first_spike_cross_entropy(times - step, labels, **SETTINGS)[0]
        assert slope[index] == pytest.approx((above - below) / 2e-6, rel=1e-6, abs=1e-7)


def test_far_apart_times_do_not_overflow() -> None:
    settings = SETTINGS | {"tau0": 1e-3, "t_silent": 1000.0}
    loss, slope = gradients.first_spike_cross_entropy(
        np.array([[0.0, 900.0], [np.inf, 0.5]]), [0, 0], **(settings | {"gamma": 0.0})
    )
    assert math.isfinite(loss)
    assert np.all(np.isfinite(slope))
    assert loss == pytest.approx(0.5 * (1000.0 - 0.5) / 1e-3)


def test_equal_times_are_a_fair_guess() -> None:
    loss, slope = gradients.first_spike_cross_entropy(
        np.ones((1, 3)), [1], **(SETTINGS | {"gamma": 0.0})
    )
    assert loss == pytest.approx(math.log(3.0), rel=1e-15)
    np.testing.assert_allclose(slope, [[-5 / 3, 10 / 3, -5 / 3]], rtol=1e-14)


def test_the_regulariser_pulls_the_label_forward() -> None:
    weak = gradients.first_spike_cross_entropy(np.ones((1, 2)), [0], **(SETTINGS | {"gamma": 0.0}))
    strong = gradients.first_spike_cross_entropy(
        np.ones((1, 2)), [0], **(SETTINGS | {"gamma": 0.5, "tau1": 0.5})
    )
    assert strong[0] - weak[0] == pytest.approx(0.5 * (math.exp(2.0) - 1.0))
    np.testing.assert_allclose(strong[1] - weak[1], [[math.exp(2.0), 0.0]], rtol=1e-14)
