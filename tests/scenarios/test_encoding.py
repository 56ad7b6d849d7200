"""The latency codes of the papers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.encoding import earlier_for_larger, later_for_larger, with_bias

UNIT = st.lists(st.floats(0, 1), min_size=1, max_size=8).map(np.array)


@given(UNIT, st.floats(0, 5), st.floats(0, 5))
def test_later_for_larger_keeps_the_order_and_the_range(values, early, span):
    times = later_for_larger(values, t_early=early, t_late=early + span)
    assert np.all((times >= early) & (times <= (early + span) * (1 + 1e-15)))
    assert np.all(np.diff(times[np.argsort(values)]) >= 0)


def test_the_extremes_of_a_feature_fire_at_the_ends_of_the_window():
    features = np.array([[1.0, -5.0], [2.0, 5.0], [4.0, 0.0]])
    times = earlier_for_larger(features, t_max=16.0)
    np.testing.assert_array_equal(times.min(axis=0), [0.0, 0.0])
    np.testing.assert_array_equal(times.max(axis=0), [16.0, 16.0])
    np.testing.assert_array_equal(times.argmin(axis=0), features.argmax(axis=0))


def test_the_bias_source_comes_last():
    assert with_bias(np.zeros((3, 4)), 0.9).shape == (3, 5)
    np.testing.assert_array_equal(with_bias(np.zeros((3, 4)), 0.9)[:, -1], 0.9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: later_for_larger(np.array([1.5]), t_early=0, t_late=1),
            r"lie in \[0, 1\], got.*1.5",
        ),
        (lambda: later_for_larger(np.array([np.nan]), t_early=0, t_late=1), r"\[0, 1\], got.*nan"),
        (lambda: later_for_larger(np.array([0.5]), t_early=2.0, t_late=1.0), "got 2.0 and 1.0"),
        (lambda: later_for_larger(np.array([0.5]), t_early=-1.0, t_late=1.0), "got -1.0 and 1.0"),
        (lambda: earlier_for_larger(np.ones((3, 2)), t_max=1.0), r"feature 0 spans \[1.0, 1.0\]"),
        (lambda: earlier_for_larger(np.array([[0.0], [np.inf]]), t_max=1.0), "must be finite"),
        (lambda: earlier_for_larger(np.array([[0.0], [1.0]]), t_max=0.0), "t_max is 0.0"),
        (lambda: with_bias(np.zeros((1, 1)), np.inf), "got 0.0 and inf"),
    ],
)
def test_bad_values_are_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()
