"""Crossings at any scale: rates hundreds of decades apart, states far below, close calls."""

from __future__ import annotations

import contextlib
import math
import sys

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from eventsim.model.crossing import TOUCHES, next_crossing
from eventsim.model.search import first_crossing
from tests.helpers.exact import State, check, top


def crossing(state: State) -> float:
    return float(first_crossing(*state))


# Reported from outside, each with the right time.
REPORTED = [
    (State(1.5, 0.0, 1.0, 1e-20, 1.0, 0.0), 1.09861228866811),
    (State(1.5, 0.0, 1.0, 5e-324, 1.0, 0.0), 1.09861228866811),
    (State(1.5, 0.0, 5e-324, 1.0, 1.0, 0.0), 1.09861228866811),
    (State(1.0, -6653.7, 0.5, 1.0, 1.0, 1.15), None),
    (State(0.1, -1e6, 2.0, 1.0, 1.0, 1.0 + 1e-11), None),
]


@pytest.mark.parametrize(("state", "time"), REPORTED)
def test_reported_crossings_are_found(state: State, time: float | None) -> None:
    found = crossing(state)
    check(state, found)
    if time is not None:
        assert found == pytest.approx(time, rel=1e-9)


def powers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high).map(lambda exponent: 10.0**exponent)


signs = st.sampled_from([1.0, -1.0])


@st.composite
def rate_pairs(draw: st.DrawFn) -> tuple[float, float]:
    """Both of any size, far apart, as close as can be, or 0."""
    kind = draw(st.sampled_from(["any", "apart", "close", "subnormal"]))
    if kind == "any":
        alpha, beta = draw(powers(-20, 20)), draw(powers(-20, 20))
    elif kind == "subnormal":
        alpha, beta = draw(powers(-320, 20)), draw(powers(-320, 20))
    else:
        factors = st.sampled_from([1.0, 2.0, 0.5, 1.0 + 2.0**-52, 1.0 - 1e-15, 1.0 + 1e-9, 4.0])
        far = st.one_of(powers(-25, -6), powers(6, 25))
        alpha = draw(powers(-3, 3))
        beta = alpha * draw(factors if kind == "close" else far)
    silent = draw(st.sampled_from([None] * 10 + ["alpha", "beta"]))
    return (0.0 if silent == "alpha" else alpha), (0.0 if silent == "beta" else beta)


@st.composite
def states(draw: st.DrawFn) -> State:
    """A state below the threshold; of the excited ones many graze it."""
    alpha, beta = draw(rate_pairs())
    threshold = draw(st.one_of(st.just(1.0), powers(-3, 3)))
    potential = draw(
        st.one_of(
            st.just(0.0),
            st.floats(-2.0, 0.999).map(lambda part: part * threshold),
            powers(0, 6).map(lambda size: -size * threshold),
            powers(-12, -1).map(lambda gap: threshold * (1.0 - gap)),
        )
    )
    near = st.tuples(signs, powers(-12, -1)).map(lambda x: beta * threshold * (1.0 + x[0] * x[1]))
    far = st.tuples(signs, powers(-3, 1)).map(lambda x: x[0] * x[1] * beta * threshold)
    bias = draw(st.one_of(st.just(0.0), far, near))
    rate = draw(st.sampled_from([alpha, beta, max(alpha, beta)]))
    current = draw(signs) * rate * threshold * draw(powers(-2, 4))
    state = State(current, potential, alpha, beta, threshold, bias)
    highest = top(state)
    if highest.time is not None and draw(st.booleans()):
        peak = float(highest.excess + threshold)
        grazed = peak * (1.0 - draw(signs) * draw(powers(-11.9, -3)))
        if grazed > max(potential, 0.0):
            state = state._replace(threshold=grazed)
    return state


@given(states())
@example(State(0.2095279829517161, -658992.1317193107, 0.1116, 0.11534848281322471, 2.7e-123, 0.0))
@example(State(-2.7e-217, 0.0, 3.9e-313, 4.0e-217, 0.27, 1.1e-217))
def test_crossings_at_any_scale_are_decided_and_timed(state: State) -> None:
    """A million such states were tried by hand; profile `deep` tries ten thousand."""
    assume(state.current == 0.0 or abs(state.current) > 1e-290)
    check(state, crossing(state))


@pytest.mark.parametrize("ratio", [1e7, 1e10, 1e12, 1e14, 1e16, 1e20, 1e100, 1e300])
@pytest.mark.parametrize("slow", ["membrane", "synapse"])
@pytest.mark.parametrize("bias", [0.0, 0.25, -0.25])
def test_grazing_is_decided_at_every_ratio(ratio: float, slow: str, bias: float) -> None:
    """From a margin of 1e-12 on, either way."""
    alpha, beta = (1.0, 1.0 / ratio) if slow == "membrane" else (1.0 / ratio, 1.0)
    state = State(2.0, 0.1, alpha, beta, 1.0, bias * beta)
    highest = top(state)
    assert highest.time is not None
    peak = float(highest.excess + 1)
    for margin in (1e-12, 1e-9, 1e-6):
        assert crossing(state._replace(threshold=peak * (1.0 - margin))) <= highest.time
        assert crossing(state._replace(threshold=peak * (1.0 + margin))) == math.inf


# --- touches --------------------------------------------------------------------------------------


@given(st.tuples(st.floats(0.1, 3.0), st.floats(0.1, 3.0)), st.integers(-400, 400))
def test_what_rounding_would_decide_is_a_touch(rates: tuple[float, float], ulps: int) -> None:
    state = State(5.0, 0.0, *rates, 1.0, 0.0)
    highest = top(state)
    assert highest.time is not None
    threshold = float(highest.excess + 1) * (1.0 + ulps * 2.0**-52)
    lag, slope = next_crossing(5.0, 0.0, *rates, threshold, 0.0)
    assert slope == TOUCHES
    assert lag == pytest.approx(float(highest.time), rel=1e-6)
    assert crossing(state._replace(threshold=threshold)) == math.inf


# --- every search ends ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "current", [0.7, np.nextafter(0.7, 1.0), np.nextafter(0.7, 0.0), 0.7 + 1e-15]
)
@pytest.mark.parametrize("potential", [0.0, 14.9, 15.0 - 1e-12])
def test_a_potential_that_comes_to_the_threshold_ends_the_search(
    current: float, potential: float
) -> None:
    """tau_syn = inf: the current holds V at the threshold, to rounding."""
    assert crossing(State(current, potential, 0.0, 1.0 / 20.0, 15.0, 0.05)) == math.inf


@given(
    st.tuples(*[st.floats(-1e300, 1e300)] * 2),
    st.tuples(*[st.floats(0.0, 1e300)] * 2),
    st.floats(1e-300, 1e300),
    st.floats(-1e300, 1e300),
)
def test_any_finite_state_has_an_answer_or_is_refused(
    start: tuple[float, float], rates: tuple[float, float], threshold: float, bias: float
) -> None:
    assume(start[1] < threshold)
    with contextlib.suppress(ValueError):  # where no unit of time holds a current
        assert 0.0 < crossing(State(*start, *rates, threshold, bias)) <= math.inf


def test_a_crossing_beyond_all_numbers_is_none() -> None:
    beta = sys.float_info.min / 1e10
    assert crossing(State(1e-310, 0.0, beta, beta, 1e10, 0.0)) == math.inf
