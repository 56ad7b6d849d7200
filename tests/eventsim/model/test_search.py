"""`first_crossing` of arrays: receptors along an axis, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

import eventsim as es
from tests.helpers import exact_currents as exact

CURRENTS = np.array([[4.0, -1.0], [4.0, 0.0], [3.0, -2.0]])
ALPHAS = np.array([1.0, 0.5])


def test_receptors_lie_along_the_axis_that_is_named() -> None:
    last = es.first_crossing(CURRENTS, 0.0, ALPHAS, 1.0, 1.0, axis=-1)
    assert last.shape == (3,)
    first = es.first_crossing(CURRENTS.T, 0.0, ALPHAS[:, None], 1.0, 1.0, axis=0)
    assert np.array_equal(first, last)
    for currents, t in zip(CURRENTS, last, strict=True):
        state = exact.State(tuple(currents), 0.0, tuple(ALPHAS), 1.0, 1.0, 0.0)
        assert t == pytest.approx(exact.first_crossing(state).time, rel=1e-14)
    assert np.ndim(es.first_crossing(CURRENTS[0], 0.0, ALPHAS, 1.0, 1.0, axis=0)) == 0


def test_the_other_axes_broadcast() -> None:
    thresholds = np.array([[0.5], [1.0]])
    t = es.first_crossing(CURRENTS, 0.0, ALPHAS, 1.0, thresholds, axis=1)
    assert t.shape == (2, 3)
    for i in range(2):
        alone = es.first_crossing(CURRENTS, 0.0, ALPHAS, 1.0, thresholds[i, 0], axis=1)
        assert np.array_equal(t[i], alone)


def test_one_receptor_is_the_search_of_one_current_and_none_leaves_the_bias() -> None:
    one = es.first_crossing(CURRENTS[:, :1], 0.0, [0.7], 1.0, 1.0, axis=-1)
    assert np.array_equal(one, es.first_crossing(CURRENTS[:, 0], 0.0, 0.7, 1.0, 1.0))
    none = es.first_crossing(np.empty((3, 0)), 0.0, np.empty(0), 0.0, 1.0, bias=4.0, axis=-1)
    assert np.array_equal(none, np.full(3, 0.25))
    assert es.first_crossing(np.empty((0, 2)), 0.0, ALPHAS, 1.0, 1.0, axis=-1).shape == (0,)


def test_without_an_axis_currents_and_rates_broadcast_as_ever() -> None:
    t = es.first_crossing(CURRENTS, 0.0, ALPHAS, 1.0, 1.0)
    assert t.shape == (3, 2)
    assert t[0, 0] == es.first_crossing(4.0, 0.0, 1.0, 1.0, 1.0)


def test_the_arguments_are_left_as_they_are() -> None:
    currents, alphas = CURRENTS.copy(), ALPHAS.copy()
    es.first_crossing(currents, 0.0, alphas, 1.0, 1.0, axis=-1)
    assert np.array_equal(currents, CURRENTS)
    assert np.array_equal(alphas, ALPHAS)


REFUSED = [
    ({"axis": 2}, r"^axis must be at most 1, got 2$"),
    ({"axis": -3}, r"^axis must be an integer >= -2, got -3$"),
    ({"axis": 1.0}, r"^axis must be an integer >= -2, got 1\.0$"),
    ({"axis": True}, r"^axis must be an integer >= -2, got True$"),
    ({"alpha": [1.0, 2.0, 3.0]}, r"^current, alpha must broadcast .*\(3, 2\), \(3,\)$"),
    ({"potential": [0.0, 0.5]}, r"^current and alpha \(without their axis\), .*\(3,\), \(2,\)"),
    (
        {"current": 1.0, "alpha": 1.0},
        r"^axis must be None where current and alpha are numbers, got -1$",
    ),
    ({"current": [1e101, 1.0]}, r"^current must be .*got 1e\+101$"),
    ({"current": [math.nan, 1.0]}, r"^current must not be NaN, got nan$"),
    ({"potential": -1e101}, r"^potential must be .*got -1e\+101$"),
    ({"potential": 1.5}, r"^potential must lie below the threshold, got 1\.5$"),
    ({"alpha": [1.0, -0.5]}, r"^alpha must be >= 0, got -0\.5$"),
    ({"alpha": [1.0, 1e-101]}, r"^alpha must be 0 or at least 1e-100, got 1e-101$"),
    ({"beta": 1e101}, r"^beta must be .*got 1e\+101$"),
    ({"bias": math.inf}, r"^bias must be finite, got inf$"),
    ({"threshold": 1e101}, r"^threshold must be at most 1e\+100, or inf, got 1e\+101$"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_a_bad_argument_is_named_and_quoted(changes: dict, message: str) -> None:
    good = {"current": CURRENTS, "potential": 0.0, "alpha": ALPHAS, "beta": 1.0, "threshold": 1.0}
    with pytest.raises(ValueError, match=message):
        es.first_crossing(**(good | {"axis": -1} | changes))


def test_rates_of_zero_and_an_infinite_threshold_or_end_are_good() -> None:
    assert es.first_crossing([1.0, 1.0], 0.0, [0.0, 0.0], 0.0, 1.0, axis=0) == 0.5
    assert es.first_crossing([1.0, 1.0], 0.0, [0.0, 1.0], 0.0, math.inf, axis=0) == math.inf
