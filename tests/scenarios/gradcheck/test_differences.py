"""What central differences say of themselves: the best step, and what it is good to."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.gradcheck.differences import STEPS, best, central_differences
from tests.helpers.strategies import examples

EPS = 2.0**-52


@given(value=st.floats(-3.0, 3.0), scale=st.floats(0.3, 30.0), size=st.floats(1e-3, 1e3))
@examples(1.0)
def test_the_best_difference_of_a_smooth_function_is_as_good_as_it_says(value, scale, size):
    def function(x):
        return size * math.sin(scale * x)

    found = best(central_differences(function, value), size * EPS)
    exact = size * scale * math.cos(scale * value)
    assert abs(found.slope - exact) <= 2.0 * found.error
    assert found.error <= 1e-6 * size * scale


@given(power=st.integers(2, 6), place=st.floats(0.1, 1.0), sign=st.sampled_from([-1.0, 1.0]))
@examples(0.5)
def test_a_kink_near_by_is_seen(power, place, sign):
    kink = sign * place * 10.0**-power
    found = best(central_differences(lambda x: abs(x - kink) + x, 0.0), EPS)
    assert abs(found.slope - (1.0 - sign)) <= 2.0 * found.error


def test_steps_at_which_the_function_jumps_are_left_out():
    def function(x):
        return math.nan if abs(x) > 3e-7 else math.sin(x)

    found = best(central_differences(function, 0.0), EPS)
    assert found.step < 1e-7
    assert abs(found.slope - 1.0) <= 2.0 * found.error


def test_a_function_that_jumps_at_all_steps_has_no_difference():
    found = best(np.full(STEPS.size, math.nan), EPS)
    assert math.isnan(found.slope)
    assert math.isnan(found.step)
    assert found.error == math.inf


def test_a_slope_below_the_resolution_is_not_denied():
    found = best(central_differences(lambda x: 1.0 + 1e-20 * x, 1.0), EPS)
    assert found.slope == 0.0
    assert found.error >= 1e-20


@pytest.mark.parametrize("value", [0.0, 1.0, 12345.678])
def test_differences_are_divided_by_the_steps_as_they_are_taken(value):
    np.testing.assert_array_equal(central_differences(lambda x: 4.0 * x, value), 4.0)
