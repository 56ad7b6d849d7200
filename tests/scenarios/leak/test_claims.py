"""Claims about leak: decided by paired differences over seeds, and by them alone."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from scenarios.leak.claims import ordered_by_leak, robustness

CLEAR = {30.0: [3.0, 3.1, 2.9], 100.0: [2.0, 2.1, 1.9], math.inf: [1.0, 1.2, 0.9]}


def test_a_clear_order_holds_in_one_direction_and_not_in_the_other():
    assert ordered_by_leak("x", CLEAR, rises=True).verdict == "holds"
    assert ordered_by_leak("x", CLEAR, rises=False).verdict == "does not hold"


def test_the_order_of_the_dictionary_does_not_matter():
    shuffled = {tau: CLEAR[tau] for tau in (math.inf, 30.0, 100.0)}
    assert ordered_by_leak("x", shuffled, rises=True) == ordered_by_leak("x", CLEAR, rises=True)


def test_one_seed_decides_nothing():
    claim = ordered_by_leak("x", {30.0: [9.0], math.inf: [1.0]}, rises=True)
    assert (claim.verdict, claim.effect, claim.margin) == ("not decided", 8.0, math.inf)


def test_ends_that_differ_with_a_middle_out_of_order_do_not_hold():
    values = {**CLEAR, 100.0: [0.5, 0.6, 0.4]}
    assert ordered_by_leak("x", values, rises=True).verdict == "not decided"


@given(
    st.lists(st.floats(-10, 10), min_size=3, max_size=8),
    st.lists(st.floats(-10, 10), min_size=8, max_size=8),
)
def test_the_verdict_is_that_of_a_paired_t_test(most, least):
    values = {30.0: most, math.inf: least[: len(most)]}
    differences = np.subtract(most, least[: len(most)])
    if differences.std() < 1e-6:
        return
    p_value = ttest_rel(most, least[: len(most)]).pvalue
    if abs(p_value - 0.05) < 1e-6:
        return
    claim = ordered_by_leak("x", values, rises=True)
    assert claim.effect == pytest.approx(differences.mean())
    assert (claim.verdict == "not decided") == (p_value > 0.05)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({30.0: [1.0]}, "two time constants or more, got those of .30.0."),
        ({30.0: [1.0, 2.0], 100.0: [1.0]}, "as many seeds"),
    ],
)
def test_what_cannot_be_compared_is_refused(values, expected):
    with pytest.raises(ValueError, match=expected):
        ordered_by_leak("x", values, rises=True)


def test_robustness_is_the_area_under_the_curve_over_the_clean_accuracy():
    assert robustness([0.5, 0.5, 0.5]) == 1.0
    assert robustness([0.8, 0.4, 0.2, 0.0]) == pytest.approx(0.25)


def test_robustness_needs_noise():
    with pytest.raises(ValueError, match=r"accuracies must be a clean one and others, got \[0.5\]"):
        robustness([0.5])


def test_a_network_that_recognises_nothing_has_no_robustness_and_decides_nothing():
    assert math.isnan(robustness([0.0, 0.1]))
    claim = ordered_by_leak("x", {30.0: [math.nan, 1.0], math.inf: [0.5, 0.6]}, rises=True)
    assert claim.verdict == "not decided"
