"""The closed forms against divided differences of the exponential with many digits."""

from __future__ import annotations

import itertools
import math
from functools import cache

import mpmath
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from eventsim.model import flow as f
from tests.helpers.strategies import rates

EPS = 2.0**-52
RATE_PAIRS = [
    (2.0, 1.0),
    (1.0, 2.0),
    (1.0, 1.0),
    (1.0, 1.0 + EPS),
    (1.0 + 1e-9, 1.0),
    (1.3, 1.300001),
    (1.5, 0.0),
    (0.0, 1.5),
    (0.0, 0.0),
    (1e-12, 0.0),
    (40.0, 0.01),
    (0.01, 40.0),
]
LAGS = [0.0, 1e-9, 0.2, 0.51, 1.0, 3.0, 25.0, -0.3, -2.0]


@cache
def exact(lag: float, *nodes: float) -> float:
    """E[nodes](lag), the divided difference of exp(-x lag), with 120 digits to spare.

    Equal nodes are moved apart by 1e-40, which changes the value by as little.
    """
    with mpmath.workdps(200):
        x = [mpmath.mpf(node) + k * mpmath.mpf(10) ** -40 for k, node in enumerate(nodes)]
        row = [mpmath.exp(-node * lag) for node in x]
        for order in range(1, len(x)):
            row = [(row[k] - row[k + 1]) / (x[k + order] - x[k]) for k in range(len(row) - 1)]
        return float(row[0])


def close(value: float, reference: float, lag: float, *nodes: float, ulps: float = 16) -> bool:
    """Within `ulps` ulp, plus the half ulp of every exponent, which exp() magnifies."""
    allowed = EPS * (ulps + 2.0 * max(nodes) * abs(lag))
    return abs(value - reference) <= allowed * abs(reference)


@pytest.mark.parametrize(("alpha", "beta"), RATE_PAIRS)
def test_propagator_is_exact_for_every_pair_of_rates(alpha: float, beta: float) -> None:
    for lag in LAGS:
        synaptic, membrane, h = f.propagator(lag, alpha, beta)
        assert close(synaptic, exact(lag, alpha), lag, alpha)
        assert close(membrane, exact(lag, beta), lag, beta)
        assert close(h, exact(lag, alpha, beta), lag, alpha, beta)
        assert f.kernel(lag, alpha, beta) == h


def test_kernel_starts_at_zero_with_slope_one() -> None:
    for alpha, beta in RATE_PAIRS:
        assert f.kernel(0.0, alpha, beta) == 0.0
        assert f.kernel(1e-200, alpha, beta) == pytest.approx(1e-200, rel=1e-15)


def test_long_lags_neither_overflow_nor_become_nan() -> None:
    for alpha, beta in RATE_PAIRS:
        for lag in (800.0, 1e6, 1e300):
            current, potential = f.flow(1.0, 0.5, lag, alpha, beta, 0.0)
            assert math.isfinite(current)
            assert math.isfinite(potential)


@pytest.mark.parametrize("beta", [0.0, 1e-14, 0.3, 1.0, 50.0])
def test_bias_kernel_is_exact(beta: float) -> None:
    for lag in LAGS:
        assert close(f.bias_kernel(lag, beta), exact(lag, 0.0, beta), lag, beta)


@pytest.mark.parametrize(("alpha", "beta"), RATE_PAIRS)
def test_flow_is_the_solution_with_current_potential_and_bias(alpha: float, beta: float) -> None:
    i0, v0 = 1.25, -0.75
    for lag, c in itertools.product(LAGS, [0.375, 1.0, -1.0, 0.0]):
        terms = (
            v0 * exact(lag, beta),
            i0 * exact(lag, alpha, beta),
            c * exact(lag, 0.0, beta),
        )
        current, potential = f.flow(i0, v0, lag, alpha, beta, c)
        assert close(current, i0 * exact(lag, alpha), lag, alpha)
        allowed = EPS * (32 + 4 * max(alpha, beta) * abs(lag)) * sum(map(abs, terms))
        assert abs(potential - math.fsum(terms)) <= allowed


@given(rates(), rates(), st.floats(0.0, 5.0), st.floats(0.0, 5.0))
def test_two_short_flows_are_one_long_flow(
    alpha: float, beta: float, first: float, second: float
) -> None:
    halfway = f.flow(1.5, -0.5, first, alpha, beta, 0.25)
    twice = f.flow(*halfway, second, alpha, beta, 0.25)
    once = f.flow(1.5, -0.5, first + second, alpha, beta, 0.25)
    tolerance = 1e-14 * (1 + max(alpha, beta) * 10)
    assert twice == pytest.approx(once, rel=tolerance, abs=tolerance)


@given(rates(), rates(), st.floats(0.0, 0.5))
def test_a_negative_lag_flows_back(alpha: float, beta: float, lag: float) -> None:
    assume(max(alpha, beta) * lag < 5.0)
    there = f.flow(1.5, -0.5, lag, alpha, beta, 0.25)
    back = f.flow(*there, -lag, alpha, beta, 0.25)
    assert back == pytest.approx((1.5, -0.5), rel=1e-11, abs=1e-11)


TRIPLES = [
    (1.0, 1.0, 1.0),
    (1.0, 1.0, 2.0),
    (2.0, 2.0, 1.0),
    (0.0, 0.0, 0.0),
    (0.0, 1.5, 1.5),
    (0.3, 5.0, 1.0),
    (1.0, 1.0 + 1e-8, 1.0 + 2e-8),
    (0.0, 30.0, 0.1),
    (7.0, 7.5, 8.25),
]


@pytest.mark.parametrize("nodes", TRIPLES)
def test_difference3_is_the_second_divided_difference(nodes: tuple[float, float, float]) -> None:
    for lag in [0.0, 0.001, 0.05, 0.5, 1.0, 4.0, -0.4, -1.5]:
        reference = exact(lag, *nodes)
        for order in itertools.permutations(nodes):
            assert close(f.difference3(lag, *order), reference, lag, *nodes, ulps=64)


@pytest.mark.parametrize("fourth", [0.0, 1.0, 2.5, 30.0])
@pytest.mark.parametrize("nodes", TRIPLES)
def test_difference4_is_the_third_divided_difference(
    nodes: tuple[float, float, float], fourth: float
) -> None:
    for lag in [0.0, 0.001, 0.05, 0.5, 1.0, 4.0, -0.4, -1.5]:
        reference = exact(lag, *nodes, fourth)
        for order in itertools.permutations((*nodes, fourth)):
            assert close(f.difference4(lag, *order), reference, lag, *nodes, fourth, ulps=512)


@pytest.mark.parametrize(("alpha", "beta"), RATE_PAIRS)
def test_rate_derivatives_of_the_kernel(alpha: float, beta: float) -> None:
    for lag in [1e-6, 0.2, 0.7, 2.0, 9.0]:
        h = f.kernel(lag, alpha, beta)
        by_alpha, by_beta = f.kernel_rate_derivatives(lag, alpha, beta, math.exp(-alpha * lag), h)
        assert close(by_alpha, -exact(lag, alpha, alpha, beta), lag, alpha, beta, ulps=64)
        reference = -exact(lag, alpha, beta, beta)
        allowed = EPS * (64 + 4 * max(alpha, beta) * lag) * lag * h
        assert abs(by_beta - reference) <= allowed


@pytest.mark.parametrize("beta", [0.0, 1e-12, 0.5, 1.0, 30.0])
def test_rate_derivative_of_the_bias_kernel(beta: float) -> None:
    for lag in [1e-6, 0.2, 0.7, 2.0, 9.0]:
        value = f.bias_kernel_rate_derivative(lag, beta)
        assert close(value, -exact(lag, 0.0, beta, beta), lag, beta, ulps=64)
