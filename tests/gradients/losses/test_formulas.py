"""Cross-entropies: the formulas, their gradients, and what silence costs."""

from __future__ import annotations

import math

import mpmath
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


smoothings = st.sampled_from([0.0, 0.05, 0.5])


@given(outputs(), smoothings)
def test_the_gradient_is_that_of_central_differences_and_zero_where_silent(
    output, smoothing: float
) -> None:
    times, labels = output
    settings = SETTINGS | {"smoothing": smoothing}
    before = times.copy()
    _, slope = gradients.first_spike_cross_entropy(times, labels, **settings)
    np.testing.assert_array_equal(times, before)
    assert slope.shape == times.shape
    for index in np.ndindex(times.shape):
        if math.isinf(times[index]):
            assert slope[index] == 0.0
            continue
        step = np.zeros_like(times)
        step[index] = 1e-6
        above = gradients.first_spike_cross_entropy(times + step, labels, **settings)[0]
        below = gradients.first_spike_cross_entropy(times - step, labels, **settings)[0]
        assert slope[index] == pytest.approx((above - below) / 2e-6, rel=1e-6, abs=1e-7)


def test_far_apart_times_do_not_overflow() -> None:
    settings = SETTINGS | {"tau0": 1e-3, "t_silent": 1000.0}
    loss, slope = gradients.first_spike_cross_entropy(
        np.array([[0.0, 900.0], [np.inf, 0.5]]), [0, 0], **(settings | {"gamma": 0.0})
    )
    assert math.isfinite(loss)
    assert np.all(np.isfinite(slope))
    assert loss == pytest.approx(0.5 * (1000.0 - 0.5) / 1e-3)


extremes = st.sampled_from([0.0, 5e-324, 1e-160, 0.5, 1.0, 1e160, 1e308, 1.7e308, math.inf])
scales = st.sampled_from([5e-324, 1e-310, 1e-150, 0.2, 1.0, 1e150, 1.7e308])


@given(
    st.lists(st.tuples(extremes, extremes, extremes), min_size=1, max_size=3), scales, smoothings,
    st.sampled_from([0.0, 1.0, 1e308]),
)  # fmt: skip
def test_numbers_of_any_size_give_the_formula_or_infinity(
    times, tau0: float, smoothing: float, t_silent: float
) -> None:
    """With all digits; what is beyond float64 is infinite, and nothing is no number."""
    labels = [k % 3 for k in range(len(times))]
    loss, slope = gradients.first_spike_cross_entropy(
        times, labels, tau0=tau0, t_silent=t_silent, smoothing=smoothing
    )
    total, n = mpmath.mpf(0), len(times)
    with mpmath.workdps(40):
        for k, row in enumerate(times):
            scores = [-mpmath.mpf(t_silent if t == math.inf else t) / tau0 for t in row]
            weights = [mpmath.exp(score - max(scores)) for score in scores]
            for o, (score, weight) in enumerate(zip(scores, weights, strict=True)):
                target = mpmath.mpf(smoothing) / 3 + (1 - smoothing) * (o == labels[k])
                total -= target * (score - max(scores) - mpmath.log(sum(weights))) / n
                expected = (target - weight / sum(weights)) / tau0 / n
                if row[o] == math.inf:
                    assert slope[k, o] == 0.0
                else:
                    assert slope[k, o] == pytest.approx(
                        float(expected), rel=1e-12, abs=1e-15 / tau0
                    )
    assert loss == pytest.approx(float(total), rel=1e-12, abs=1e-14)


def test_a_label_that_is_late_beyond_all_numbers_costs_infinity_and_has_a_derivative() -> None:
    options = {"tau0": 1e-300, "t_silent": 1e9}
    loss, slope = gradients.first_spike_cross_entropy([[1e10, 1.0]], [0], **options)
    assert loss == math.inf
    np.testing.assert_allclose(slope, [[1e300, -1e300]], rtol=1e-15)
    loss, slope = gradients.first_spike_cross_entropy([[1e10, 1.0], [2.0, 3.0]], [1, 0], **options)
    assert loss == 0.0
    np.testing.assert_array_equal(slope, np.zeros((2, 2)))


@pytest.mark.parametrize(
    ("time", "tau1", "gamma"),
    [
        (708.0, 1.0, 0.1), (710.0, 1.0, 1e-3), (800.0, 1.0, 1e-300), (1440.0, 1.0, 5e-324),
        (1e300, 1e300, 0.1), (0.5, 1e-3, 1e-5), (1e200, 1e-200, 1e-300), (1e150, 1e120, 1e-320),
        (1.0, 5e-324, 5e-324), (1e-300, 1.0, 1e300),
    ],
)  # fmt: skip
def test_lateness_costs_what_is_a_number(time: float, tau1: float, gamma: float) -> None:
    """gamma (exp(t / tau1) - 1), also where the exponential alone is beyond float64."""
    options = {"tau0": 1.0, "t_silent": 0.0}
    loss, slope = gradients.first_spike_cross_entropy(
        [[time]], [0], gamma=gamma, tau1=tau1, **options
    )
    with mpmath.workdps(40):
        x = mpmath.mpf(time) / tau1
        expected = (gamma * mpmath.expm1(x), gamma / mpmath.mpf(tau1) * mpmath.exp(x))
    assert (loss, slope[0, 0]) == pytest.approx(tuple(map(float, expected)), rel=1e-12)


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


def test_it_is_equation_13_of_zhang() -> None:
    t, g = [0.3, 1.2, 0.7], 2
    expected = -math.log(math.exp(-t[g]) / sum(math.exp(-x) for x in t))
    loss, _ = gradients.first_spike_cross_entropy([t], [g], tau0=1.0, t_silent=2.0)
    assert loss == pytest.approx(expected, rel=1e-14)


def mean_over_labels(loss, n_classes: int) -> tuple[float, np.ndarray]:
    """The mean of losses, and of their derivatives, with every class as the label in turn."""
    values, slopes = zip(*[loss([label]) for label in range(n_classes)], strict=True)
    return float(np.mean(values)), np.mean(slopes, axis=0)


@pytest.mark.parametrize("name", ["first spikes", "potentials"])
def test_smoothing_mixes_the_label_with_all_classes_alike(name: str) -> None:
    row = [[0.3, 1.2, 0.7, np.inf]] if name == "first spikes" else [[0.3, -1.2, 0.7, 2.0]]

    def loss(labels: list[int], smoothing: float = 0.0) -> tuple[float, np.ndarray]:
        if name == "potentials":
            return gradients.membrane_cross_entropy(row, labels, smoothing=smoothing)
        return gradients.first_spike_cross_entropy(
            row, labels, tau0=0.5, t_silent=2.0, smoothing=smoothing
        )

    (plain, plain_slope), (spread, spread_slope) = loss([1]), mean_over_labels(loss, 4)
    value, slope = loss([1], 0.3)
    assert value == pytest.approx(0.7 * plain + 0.3 * spread, rel=1e-13)
    np.testing.assert_allclose(slope, 0.7 * plain_slope + 0.3 * spread_slope, rtol=1e-12)


# --- membrane potentials --------------------------------------------------------------------------

voltages = st.integers(-40, 40).map(lambda k: k / 10)


@st.composite
def readouts(draw: st.DrawFn) -> tuple[np.ndarray, list[int]]:
    n_samples, n_classes = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    rows = [[draw(voltages) for _ in range(n_classes)] for _ in range(n_samples)]
    return np.array(rows), [draw(st.integers(0, n_classes - 1)) for _ in range(n_samples)]


@given(readouts())
def test_the_membrane_loss_is_equations_23_and_24_of_yamamoto(readout) -> None:
    potentials, labels = readout
    sigma, total = 0.3, 0.0
    for v, label in zip(potentials, labels, strict=True):
        total -= math.log(math.exp(v[label]) / sum(math.exp(x) for x in v))
        total += sigma / len(v) * sum(x * x for x in v)
    loss, _ = gradients.membrane_cross_entropy(potentials, labels, norm_penalty=sigma)
    assert loss == pytest.approx(total / len(labels), rel=1e-12, abs=1e-12)


@given(readouts(), smoothings, st.sampled_from([0.0, 0.3]))
def test_the_membrane_gradient_is_that_of_central_differences(
    readout, smoothing: float, norm_penalty: float
) -> None:
    potentials, labels = readout
    options = {"smoothing": smoothing, "norm_penalty": norm_penalty}
    before = potentials.copy()
    _, slope = gradients.membrane_cross_entropy(potentials, labels, **options)
    np.testing.assert_array_equal(potentials, before)
    assert slope.shape == potentials.shape
    for index in np.ndindex(potentials.shape):
        step = np.zeros_like(potentials)
        step[index] = 1e-5
        above = gradients.membrane_cross_entropy(potentials + step, labels, **options)[0]
        below = gradients.membrane_cross_entropy(potentials - step, labels, **options)[0]
        assert slope[index] == pytest.approx((above - below) / 2e-5, rel=1e-6, abs=1e-8)


def test_potentials_beyond_all_squares_are_as_good_as_others() -> None:
    loss, slope = gradients.membrane_cross_entropy([[1.5e308, -1.5e308], [1e308, 0.0]], [0, 0])
    assert loss == 0.0
    np.testing.assert_array_equal(slope, np.zeros((2, 2)))
    loss, slope = gradients.membrane_cross_entropy([[1.5e308, -1.5e308]], [1])
    assert loss == math.inf
    np.testing.assert_array_equal(slope, [[1.0, -1.0]])
    losses = [gradients.membrane_cross_entropy(v, [1, 1])[0] for v in ([[1.5e308, 0.0]] * 2,)]
    assert losses == [1.5e308]
    loss, slope = gradients.membrane_cross_entropy([[1e160, 0.0]], [0], norm_penalty=1e-100)
    assert loss == pytest.approx(0.5e220)
    np.testing.assert_allclose(slope, [[1e60, 0.0]])
    loss, slope = gradients.membrane_cross_entropy([[0.0, 0.0]], [0], norm_penalty=1.5e308)
    assert loss == pytest.approx(math.log(2.0))
    np.testing.assert_array_equal(slope, [[-0.5, 0.5]])


def test_high_potentials_do_not_overflow() -> None:
    loss, slope = gradients.membrane_cross_entropy([[5000.0, -5000.0]], [1])
    assert loss == 10_000.0
    np.testing.assert_array_equal(slope, [[1.0, -1.0]])
