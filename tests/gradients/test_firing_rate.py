"""The closed forms of Gerum & Schilling against units that are run step by step."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from gradients import firing_rate, threshold_current
from gradients.clocked import LIFUnit
from tests.helpers.strategies import decimals

STEPS = 400


def simulated_periods(current: float, w_input: float, w_leak: float) -> set[int]:
    """Return the steps from the start to the first spike, and between spikes."""
    unit = LIFUnit(w_input, w_leak).double()
    with torch.no_grad():
        unit.w_input.fill_(w_input)
        unit.w_leak.fill_(w_leak)
        spikes = unit(torch.full((STEPS, 1), current, dtype=torch.float64)).flatten()
    times = np.flatnonzero(spikes.numpy()) + 1
    return {int(period) for period in np.diff(times, prepend=0)}


def steps_to_threshold(current: float, w_input: float, w_leak: float) -> float:
    """Return the x whose ceiling Eq. 11 takes."""
    x = 1.0 / (w_input * current)
    return x if w_leak == 0.0 else math.log(1.0 - x * w_leak) / math.log(1.0 - w_leak)


@given(decimals(0.05, 3.0), decimals(0.05, 2.0), st.one_of(st.just(0.0), decimals(0.01, 0.9)))
def test_the_rate_is_that_of_the_unit(current, w_input, w_leak):
    drive = w_input * current
    assume(abs(drive - w_leak) > 1e-6)
    if drive > w_leak:
        x = steps_to_threshold(current, w_input, w_leak)
        assume(abs(x - round(x)) > 1e-9)
        assume(x < STEPS / 2)
        (period,) = simulated_periods(current, w_input, w_leak)
        assert firing_rate(current, w_input, w_leak) == 1.0 / period
    else:
        assert simulated_periods(current, w_input, w_leak) == set()
        assert firing_rate(current, w_input, w_leak) == 0.0


@pytest.mark.parametrize(("current", "period"), [(0.3, 11), (0.5, 5), (1.0, 3), (1.9, 2), (3.0, 1)])
def test_equation_11_as_printed_counts_a_step_too_few(current, period):
    """With the parameters of the publication's Fig. 1 and S1."""
    x = steps_to_threshold(current, 0.5, 0.1)
    assert simulated_periods(current, 0.5, 0.1) == {period}
    assert firing_rate(current, 0.5, 0.1) == 1.0 / period
    assert math.ceil(x - 1.0) == period - 1


def test_equation_30_is_the_limit_of_no_leak():
    currents = np.linspace(0.31, 4.0, 50)
    expected = 1.0 / np.ceil(1.0 / (0.5 * currents))
    np.testing.assert_array_equal(firing_rate(currents, 0.5, 0.0), expected)
    np.testing.assert_array_equal(firing_rate(currents, 0.5, 1e-12), expected)


def test_a_unit_that_comes_to_equal_its_threshold_is_reset_and_never_fires():
    """Eqs. 9-10 to the letter; by Eq. 22 it would fire, and the closed form says so."""
    assert simulated_periods(1.0, 0.5, 0.0) == set()
    assert firing_rate(1.0, 0.5, 0.0) == 0.5


@pytest.mark.parametrize("w_leak", [0.01, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("w_input", [0.2, 1.5])
def test_a_unit_fires_above_the_threshold_current_only(w_input, w_leak):
    least = float(threshold_current(w_input, w_leak))
    assert least == pytest.approx(w_leak / w_input)
    assert simulated_periods(0.999 * least, w_input, w_leak) == set()
    assert simulated_periods(1.05 * least, w_input, w_leak) != set()
    assert firing_rate(0.999 * least, w_input, w_leak) == 0.0
    assert firing_rate(1.001 * least, w_input, w_leak) > 0.0


def test_without_a_leak_any_input_makes_a_unit_fire():
    assert threshold_current(0.5, 0.0) == 0.0
    assert threshold_current(0.5, -0.1) == 0.0
    assert firing_rate(1e-9, 0.5, 0.0) > 0.0


def test_a_leak_that_forgets_everything_leaves_a_comparison():
    np.testing.assert_array_equal(firing_rate([1.9, 2.1], 0.5, 1.0), [0.0, 1.0])


@given(decimals(0.0, 3.0), decimals(0.01, 2.0), decimals(-0.2, 1.0), decimals(0.1, 2.0))
def test_the_rate_rises_with_the_input_and_falls_with_the_leak(current, w_input, w_leak, more):
    rate = firing_rate(current, w_input, w_leak)
    assert firing_rate(current + more, w_input, w_leak) >= rate
    assert firing_rate(current, w_input, min(w_leak + more, 1.0)) <= rate
    assert firing_rate(2.0 * current, w_input, w_leak, 2.0) == rate


def test_arguments_broadcast():
    assert firing_rate(np.ones((4, 1)), [0.5, 0.6, 0.7], 0.1).shape == (4, 3)
    assert threshold_current([0.5, 0.6], [[0.1], [0.2]]).shape == (2, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: firing_rate("much", 0.5, 0.1), r"current.*'much'"),
        (lambda: firing_rate(math.inf, 0.5, 0.1), r"current.*inf"),
        (lambda: firing_rate(1.0, math.nan, 0.1), r"w_input.*nan"),
        (lambda: firing_rate(1.0, 0.5, 1.5), r"w_leak.*1\.5"),
        (lambda: firing_rate(1.0, 0.5, 0.1, 0.0), r"threshold.*0\.0"),
        (lambda: threshold_current(-0.5, 0.1), r"w_input.*-0\.5"),
        (lambda: threshold_current(0.5, [0.1, 2.5]), r"w_leak.*2\.5"),
    ],
)
def test_a_bad_argument_is_an_error_that_quotes_it(call, message):
    with pytest.raises(ValueError, match=message):
        call()
