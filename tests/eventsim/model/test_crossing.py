"""Lossless and exact: every reference case, random searches against the oracle, and the edges."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from eventsim.model.crossing import (
    TOUCHES,
    _peak_stays_below,
    crossing_within,
    earliest_crossing,
    just_after,
    next_crossing,
)
from eventsim.model.search import first_crossing
from tests.helpers import cases, naive
from tests.helpers.strategies import decimals, rate_pairs

EPS = 2.0**-52


def ulp(t: float) -> float:
    return math.ulp(t)


def exact_potential(row: cases.Crossing, t: float) -> mpmath.mpf:
    """V(t) with 60 digits, straight from the textbook."""
    with mpmath.workdps(60):
        a, b, x = mpmath.mpf(row.alpha), mpmath.mpf(row.beta), mpmath.mpf(t)
        h = (
            x * mpmath.exp(-a * x)
            if a == b
            else (mpmath.exp(-a * x) - mpmath.exp(-b * x)) / (b - a)
        )
        charged = x if b == 0 else (1 - mpmath.exp(-b * x)) / b
        return row.potential * mpmath.exp(-b * x) + row.current * h + row.bias * charged


KINDS = sorted({row.kind for row in cases.crossings()})


@pytest.mark.parametrize("kind", KINDS)
def test_reference_crossings_are_decided_and_timed(kind: str) -> None:
    rows = [row for row in cases.crossings() if row.kind == kind]
    columns = ("current", "potential", "alpha", "beta", "threshold", "bias", "t_max")
    arguments = {name: np.array([getattr(row, name) for row in rows]) for name in columns}
    found = first_crossing(**arguments)
    for row, t in zip(rows, found.tolist(), strict=True):
        assert math.isinf(t) == math.isinf(row.time), row
        if math.isfinite(row.time):
            allowed = 4 * ulp(row.time) + 16 * EPS * row.threshold / row.slope
            assert abs(t - row.time) <= allowed, row


@pytest.mark.parametrize("kind", KINDS)
def test_reference_slopes(kind: str) -> None:
    for row in cases.crossings():
        if row.kind != kind or math.isinf(row.time):
            continue
        _, slope = next_crossing(
            row.current, row.potential, row.alpha, row.beta, row.threshold, row.bias
        )
        drive = abs(row.current) + row.beta * row.threshold + abs(row.bias)
        drift = (row.alpha + row.beta) * drive * 16 * EPS * row.threshold / row.slope
        assert slope == pytest.approx(row.slope, rel=1e-9, abs=drift + 16 * EPS * drive), row


@pytest.mark.parametrize(
    ("state", "lag"),
    [
        (
            (0.6590777563429454, 2.3772757711492547, 0.26145708514585775, 6.448015240469514,
             3.135895604856504, 21.012548070609792),
            0.23073747140731918,
        ),
        (
            (0.00015159787462856782, 0.31790294435888133, 0.013886429591236421,
             0.013104155666017282, 0.3463592017024486, 0.00461163777826502),
            97.07122485955281,
        ),
    ],
)  # fmt: skip
def test_no_crossing_is_lost_where_a_series_leads_nowhere(
    state: tuple[float, ...], lag: float
) -> None:
    assert next_crossing(*state)[0] == pytest.approx(lag, rel=1e-13)


searches = st.tuples(
    decimals(-3.0, 8.0),  # current
    decimals(-2.0, 0.99),  # potential, below
    rate_pairs(),
    decimals(1.0, 2.0),  # the threshold
    st.one_of(st.just(0.0), decimals(-1.5, 1.5)),  # bias
)


@given(searches, st.sampled_from([0.25, 1.0, 4.0, 40.0]))
def test_random_searches_agree_with_the_oracle(search: tuple, t_max: float) -> None:
    current, potential, (alpha, beta), theta, bias = search
    neuron = naive.Neuron(alpha, beta, theta, bias=bias)
    expected, margin = naive.first_crossing(current, potential, neuron, t_max)
    assume(margin > 1e-11)
    found = first_crossing(current, potential, alpha, beta, theta, bias, t_max)
    assert math.isinf(found) == math.isinf(expected)
    if math.isfinite(expected):
        row = cases.Crossing("", current, potential, alpha, beta, bias, theta, t_max, 0.0, 0.0)
        slope = next_crossing(current, potential, alpha, beta, theta, bias)[1]
        miss = float(exact_potential(row, found) - theta)
        size = abs(theta) + abs(potential) + (abs(current) + abs(bias)) * found
        assert abs(miss) <= 8 * EPS * size + 4 * ulp(found) * slope


@given(searches)
def test_no_crossing_is_reported_before_an_earlier_one(search: tuple) -> None:
    """The reported crossing is the first: V lies below the threshold all the way to it."""
    current, potential, (alpha, beta), theta, bias = search
    t = float(first_crossing(current, potential, alpha, beta, theta, bias))
    assume(math.isfinite(t))
    row = cases.Crossing("", current, potential, alpha, beta, bias, theta, t, 0.0, 0.0)
    for part in np.linspace(0.0, 1.0, 12)[:-1]:
        assert exact_potential(row, part * t) < theta


@given(searches, st.integers(-8, 8))
def test_units_of_potential_and_of_time_do_not_matter(search: tuple, k: int) -> None:
    """Powers of two change exponents only, so the answers are equal bit for bit."""
    current, potential, (alpha, beta), theta, bias = search
    u = 2.0**k
    t = first_crossing(current, potential, alpha, beta, theta, bias)
    louder = first_crossing(current * u, potential * u, alpha, beta, theta * u, bias * u)
    slower = first_crossing(current / u, potential, alpha / u, beta / u, theta, bias / u)
    assert louder == t
    assert slower == t * u


@pytest.mark.parametrize("margin", [1e-3, 1e-6, 1e-9, 1e-12])
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 1.0), (2.0, 1.0), (1.0, 2.0), (0.3, 0.30000001)])
@pytest.mark.parametrize("bias", [0.0, 0.05, -0.05])
def test_grazing_is_decided_down_to_a_relative_margin_of_1e_12(
    alpha: float, beta: float, bias: float, margin: float
) -> None:
    """The threshold is put just below and just above the peak, found with 60 digits."""
    row = cases.Crossing("", 2.0, 0.1, alpha, beta, bias, 1.0, math.inf, 0.0, 0.0)
    neuron = naive.Neuron(alpha, beta, 1.0, bias=bias)
    (top,) = naive.stationary_points([2.0], 2.0 - beta * 0.1 + bias, neuron.alphas, beta, 60.0)
    peak = float(exact_potential(row, top))
    below, above = peak * (1.0 - margin), peak * (1.0 + margin)
    t = first_crossing(2.0, 0.1, alpha, beta, below, bias)
    assert t < top
    assert math.isinf(first_crossing(2.0, 0.1, alpha, beta, above, bias))


def test_a_touch_is_no_spike() -> None:
    """beta = 1, alpha = 0, I = theta: V approaches the threshold and never surpasses it."""
    assert first_crossing(1.0, 0.0, 0.0, 1.0, 1.0) == math.inf
    assert first_crossing(1.0, 0.0, 1.0, 0.0, 1.0) == math.inf
    assert first_crossing(0.0, 0.0, 1.0, 1.0, 1.0, bias=1.0) == math.inf
    assert first_crossing(0.0, 0.0, 1.0, 1.0, 1.0) == math.inf


def test_an_infinite_threshold_never_fires() -> None:
    assert first_crossing(1e300, 0.0, 0.0, 0.0, math.inf, bias=1e300) == math.inf


def test_closed_forms() -> None:
    assert first_crossing(2.0, 0.0, 0.0, 0.0, 1.0) == 0.5
    assert first_crossing(0.0, 0.0, 0.0, 0.0, 1.0, bias=4.0) == 0.25
    assert first_crossing(2.0, 0.0, 0.0, 1.0, 1.0) == pytest.approx(math.log(2), rel=4e-16)
    assert first_crossing(2.0, 0.0, 1.0, 0.0, 1.0) == pytest.approx(math.log(2), rel=4e-16)
    assert first_crossing(0.0, 0.0, 1.0, 1.0, 1.0, 2.0) == pytest.approx(math.log(2), rel=4e-16)
    # alpha = 2 beta: V = I (x - x^2), x = exp(-t), reaches 1 at x = (1 + sqrt(1 - 4/I))/2
    x = (1.0 + math.sqrt(1.0 - 4.0 / 5.0)) / 2.0
    assert first_crossing(5.0, 0.0, 2.0, 1.0, 1.0) == pytest.approx(-math.log(x), rel=4e-16)


def test_t_max_is_included() -> None:
    assert first_crossing(2.0, 0.0, 0.0, 0.0, 1.0, t_max=0.5) == 0.5
    assert first_crossing(2.0, 0.0, 0.0, 0.0, 1.0, t_max=np.nextafter(0.5, 0)) == math.inf


def test_a_dip_first_delays_but_does_not_hide_the_crossing() -> None:
    """Inhibition pulls V down; the bias brings it back above the threshold long after."""
    for current in (-0.1, -1.0, -100.0):
        for alpha, beta in [(1.0, 1.0), (0.2, 1.0), (1.0, 0.2), (1.0, 0.0)]:
            t = float(first_crossing(current, 0.5, alpha, beta, 1.0, bias=1.5))
            assert math.isfinite(t)
            row = cases.Crossing("", current, 0.5, alpha, beta, 1.5, 1.0, t, 0.0, 0.0)
            assert abs(float(exact_potential(row, t)) - 1.0) < 1e-13


def test_a_state_already_at_the_threshold_and_rising_crosses_now() -> None:
    assert next_crossing(2.0, 1.0, 1.0, 1.0, 1.0, 0.0) == (0.0, 1.0)
    assert next_crossing(2.0, 1.0 + EPS, 1.0, 0.5, 1.0, 0.25)[0] == 0.0
    assert next_crossing(0.5, 1.0, 1.0, 1.0, 1.0, 0.0)[0] == math.inf


def test_arguments_broadcast_and_a_scalar_answers_a_scalar() -> None:
    currents = np.array([[0.5], [3.0], [9.0]])
    thresholds = np.array([0.5, 1.0])
    t = first_crossing(currents, 0.0, 1.0, 1.0, thresholds)
    assert t.shape == (3, 2)
    for i in range(3):
        for j in range(2):
            assert t[i, j] == first_crossing(currents[i, 0], 0.0, 1.0, 1.0, thresholds[j])
    assert np.ndim(first_crossing(3.0, 0.0, 1.0, 1.0, 1.0)) == 0
    assert first_crossing([], 0.0, 1.0, 1.0, 1.0).shape == (0,)


def test_tiny_currents_never_reach_the_threshold() -> None:
    assert np.all(first_crossing([1e-300, 1e-6], 0.0, 1.0, 1.0, 1.0) == math.inf)


@pytest.mark.parametrize("current", [1e6, 1e300])
def test_huge_currents_reach_the_threshold_at_once(current: float) -> None:
    t = float(first_crossing(current, 0.0, 1.0, 1.0, 1.0))
    assert t == pytest.approx(1.0 / current, rel=2.0 / current + 4e-16)


# --- one rate twice the other: a closed form ------------------------------------------------------

doubles = st.tuples(
    decimals(-3.0, 8.0),  # current
    decimals(-2.0, 0.99),  # potential, below
    st.tuples(decimals(0.05, 3.0), st.booleans()).map(
        lambda drawn: (2.0 * drawn[0], drawn[0]) if drawn[1] else (drawn[0], 2.0 * drawn[0])
    ),
    decimals(1.0, 2.0),  # the threshold
    st.one_of(st.just(0.0), decimals(-1.5, 6.0)),  # bias
)


@given(doubles)
def test_where_one_rate_is_twice_the_other_the_crossing_solves_the_equation(search: tuple) -> None:
    """And is the first to do so; the slope is that of the exact potential there."""
    current, potential, (alpha, beta), theta, bias = search
    lag, slope = next_crossing(current, potential, alpha, beta, theta, bias)
    assume(math.isfinite(lag) and slope != TOUCHES)
    row = cases.Crossing("", current, potential, alpha, beta, bias, theta, lag, 0.0, 0.0)
    size = theta + abs(potential) + (abs(current) + abs(bias)) * lag
    miss = float(exact_potential(row, lag) - theta)
    assert abs(miss) <= 8 * EPS * size + 4 * ulp(lag) * slope
    with mpmath.workdps(60):
        exact = current * mpmath.exp(-mpmath.mpf(alpha) * lag) - beta * exact_potential(row, lag)
        drive = abs(current) + beta * theta + abs(bias)
        drift = (alpha + beta) * drive * (16 * EPS * theta / slope + ulp(lag))
        assert abs(slope - float(exact + bias)) <= 16 * EPS * drive + drift
    for part in np.linspace(0.0, 1.0, 12)[:-1]:
        assert exact_potential(row, part * lag) < theta


@given(doubles, st.sampled_from([-5, -1, 1, 5]))
def test_newton_at_a_ratio_next_to_two_gives_the_same(search: tuple, ulps: int) -> None:
    current, potential, (alpha, beta), theta, bias = search
    neuron = naive.Neuron(alpha, beta, theta, bias=bias)
    margin = naive.first_crossing(current, potential, neuron, 200.0)[1]
    assume(margin > 1e-9)
    assume(abs(bias - beta * theta) > 1e-9)  # else V approaches the threshold for ever
    slower = min(alpha, beta) * (1.0 + ulps * EPS)
    rates = (alpha, slower) if alpha > beta else (slower, beta)
    assert max(rates) != 2.0 * min(rates)
    lag, slope = next_crossing(current, potential, alpha, beta, theta, bias)
    other, its_slope = next_crossing(current, potential, *rates, theta, bias)
    assert math.isinf(lag) == math.isinf(other)
    if math.isfinite(lag):
        size = theta + abs(potential) + (abs(current) + abs(bias)) * lag
        off = 100 * EPS * (lag + size / slope)
        assert abs(lag - other) <= off
        drive = abs(current) + beta * theta + abs(bias)
        assert abs(slope - its_slope) <= 100 * EPS * drive + (alpha + beta) * drive * off


@pytest.mark.parametrize(("alpha", "beta"), [(2.0, 1.0), (1.0, 2.0), (0.6, 0.3), (0.3, 0.6)])
@pytest.mark.parametrize("margin", [1e-3, 1e-6, 1e-9, 1e-12])
def test_a_potential_that_rises_to_just_above_the_threshold_crosses_it_late(
    alpha: float, beta: float, margin: float
) -> None:
    """A bias lets V rise for ever towards bias/beta; the closed form says y = 1 - margin or so."""
    bias = 1.5
    for current in (0.0, -0.2):
        above = bias / beta * (1.0 - margin)
        t = float(first_crossing(current, 0.0, alpha, beta, above, bias))
        row = cases.Crossing("", current, 0.0, alpha, beta, bias, above, t, 0.0, 0.0)
        assert abs(float(exact_potential(row, t) - above)) < 16 * EPS * above
        below = bias / beta * (1.0 + margin)
        assert math.isinf(first_crossing(current, 0.0, alpha, beta, below, bias))


@pytest.mark.parametrize(("alpha", "beta"), [(2.0, 1.0), (1.0, 2.0)])
def test_a_peak_at_the_threshold_is_a_touch_in_the_closed_form(alpha: float, beta: float) -> None:
    """V = I (y - y^2), y = 1 - exp(-t), has its peak I/4 at log 2."""
    assert first_crossing(4.0, 0.0, alpha, beta, 1.0) == math.inf
    t = first_crossing(4.0 * (1.0 + 1e-12), 0.0, alpha, beta, 1.0)
    assert math.log(2.0) - 2e-6 < t < math.log(2.0)


# --- a search that may stop early -----------------------------------------------------------------


@given(st.one_of(searches, doubles), st.one_of(st.floats(0.0, 2.0), st.just(math.inf)))
def test_a_search_within_a_limit_gives_the_crossing_or_says_that_it_is_later(
    search: tuple, limit: float
) -> None:
    current, potential, (alpha, beta), theta, bias = search
    exact = next_crossing(current, potential, alpha, beta, theta, bias)
    found = crossing_within(limit, current, potential, alpha, beta, theta, bias)
    if exact[0] <= limit:
        assert found == exact
    else:
        assert found in (exact, (math.inf, 0.0))


def test_a_search_stops_where_the_tangent_stays_below_until_the_limit() -> None:
    state = (3.0, 0.0, 1.0, 1.0, 1.0, 0.0)
    lag, _ = next_crossing(*state)
    assert crossing_within(0.3, *state) == (math.inf, 0.0)  # the tangent crosses at 1/3
    assert crossing_within(0.4, *state)[0] == lag > 0.4
    assert crossing_within(lag, *state)[0] == lag
    assert crossing_within(0.0, 2.0, 1.0, 1.0, 1.0, 1.0, 0.0) == (0.0, 1.0)


# --- the cheap bounds that spare the search -------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_earliest_crossing_is_a_lower_bound_for_every_reference_row(kind: str) -> None:
    for row in cases.crossings():
        if row.kind == kind:
            state = (row.current, row.potential, row.alpha, row.beta, row.threshold, row.bias)
            bound, (lag, _) = earliest_crossing(*state), next_crossing(*state)
            assert 0.0 <= bound <= lag
            if math.isfinite(row.time):
                assert bound <= row.time


@given(searches)
def test_the_earliest_crossing_is_that_of_the_tangent_where_V_is_concave(search: tuple) -> None:
    current, potential, (alpha, beta), theta, bias = search
    bound = earliest_crossing(current, potential, alpha, beta, theta, bias)
    lag, _ = next_crossing(current, potential, alpha, beta, theta, bias)
    assert 0.0 <= bound <= lag
    slope = current - beta * potential + bias
    if slope <= 0.0 or alpha * current + beta * slope < 0.0:
        assert bound in (0.0, math.inf)
    elif math.isfinite(lag):
        assert bound == pytest.approx((theta - potential) / slope, rel=1e-11)
        assert bound > 0.0


def test_a_state_at_the_threshold_may_cross_at_once() -> None:
    assert earliest_crossing(2.0, 1.0, 1.0, 1.0, 1.0, 0.0) == 0.0
    assert earliest_crossing(2.0, 1.0, 1.0, 1.0, math.inf, 0.0) == math.inf


@pytest.mark.parametrize("q", [-1.0, -0.75, -0.3, 0.0, 0.1, 0.25, 0.26, 0.6, 1.0, 1.01, 3.0])
@pytest.mark.parametrize("y", [0.05, 0.3, 0.7, 1.0, 1.5, 3.0])
@pytest.mark.parametrize("alpha", [0.5, 2.0])
def test_a_peak_is_dismissed_only_where_it_stays_below(q: float, y: float, alpha: float) -> None:
    """beta = (1 + q) alpha, slope = y current; the bound is the binomial series, cut off."""
    current, beta = 1.7, (1.0 + q) * alpha
    with mpmath.workdps(40):
        if q == 0.0:
            power = mpmath.exp(y)
        elif 1.0 + q * y <= 0.0:
            power = mpmath.inf  # no peak: V rises for ever
        else:
            power = mpmath.mpf(1.0 + q * y) ** (1 / mpmath.mpf(q))
        at_peak = float(current / power)
    series = [1.0, y, y**2 * (1 - q) / 2, y**3 * (1 - q) * (1 - 2 * q) / 6]
    series.append(y**4 * (1 - q) * (1 - 2 * q) * (1 - 3 * q) / 24)
    orders = 5 if q <= 0.25 else 2
    bound = current / sum(series[:orders]) if q <= 1.0 else math.inf
    assert at_peak <= bound * (1.0 + 1e-12)

    def dismissed(holding: float) -> bool:
        return _peak_stays_below(current, y * current, alpha, beta, holding)

    assert not dismissed(at_peak * (1.0 - 1e-9))
    assert not dismissed(bound * (1.0 - 1e-9) if q <= 1.0 else 1e9)
    if q <= 1.0:
        assert dismissed(bound * (1.0 + 1e-9))
    assert not dismissed(0.0)
    assert not dismissed(-1.0)


@pytest.mark.parametrize("current", [-0.1, -1e-6, 1e-6, 0.3])
@pytest.mark.parametrize("potential", [0.0, -2.0, 0.9])
def test_a_bias_that_drives_alone_is_never_dismissed(current: float, potential: float) -> None:
    """holding < 0: V rises to bias/beta above the threshold whatever the current."""
    for alpha, beta in [(1.0, 1.0), (1.0, 1.2), (1.0, 0.5), (0.4, 1.0)]:
        assert not _peak_stays_below(current, 3.0, alpha, beta, beta - 3.0)
        t = float(first_crossing(current, potential, alpha, beta, 1.0, 3.0))
        expected, _ = naive.first_crossing(
            current, potential, naive.Neuron(alpha, beta, 1.0, bias=3.0), 50.0
        )
        assert t == pytest.approx(expected, rel=1e-12)


def test_a_weak_inhibition_does_not_hide_a_crossing_that_a_bias_brings() -> None:
    """beta V rises from 0.75 towards 1.05: holding = -0.05, I = -0.1, and V is concave."""
    t, _ = next_crossing(-0.1, 0.75, 1.0, 1.0, 1.0, 1.05)
    expected, _ = naive.first_crossing(-0.1, 0.75, naive.Neuron(1.0, 1.0, 1.0, bias=1.05), 50.0)
    assert t == pytest.approx(expected, rel=1e-12)


def test_a_bias_that_just_holds_the_threshold_never_crosses_it() -> None:
    """bias = beta threshold: V returns towards the threshold from below, for ever."""
    assert earliest_crossing(-0.5, 0.5, 1.0, 1.0, 1.0, 1.0) == math.inf
    assert earliest_crossing(-0.5, 0.9, 2.0, 0.5, 1.0, 0.5) == math.inf
    assert next_crossing(-0.5, 0.5, 1.0, 1.0, 1.0, 1.0)[0] == math.inf


# --- bad arguments --------------------------------------------------------------------------------

GOOD = {"current": 3.0, "potential": 0.5, "alpha": 1.0, "beta": 2.0, "threshold": 1.0}
BAD = [
    *[(name, math.nan) for name in (*GOOD, "bias", "t_max")],
    *[(name, math.inf) for name in ("current", "alpha", "beta", "bias")],
    ("potential", -math.inf),
    ("alpha", -0.125),
    ("beta", -0.25),
    ("potential", 1.0),
    ("potential", 1.5),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_argument_is_named_and_quoted(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{name} must .*, got {value}$"):
        first_crossing(**(GOOD | {name: value}))
    with pytest.raises(ValueError, match=f"^{name} must .*, got {value}$"):
        first_crossing(**(GOOD | {name: np.array([GOOD.get(name, 0.0), value])}))


def test_rates_of_zero_and_an_infinite_threshold_or_end_are_good() -> None:
    first_crossing(**(GOOD | {"alpha": 0.0, "beta": 0.0, "t_max": math.inf}))
    assert first_crossing(**(GOOD | {"threshold": math.inf})) == math.inf


@given(st.floats(0.0, 1e300))
def test_just_after_is_the_next_number(time: float) -> None:
    assert just_after(time) == np.nextafter(time, np.inf)


@pytest.mark.parametrize("exponent", range(-1074, 1023, 7))
def test_just_after_a_power_of_two(exponent: int) -> None:
    for time in (2.0**exponent, np.nextafter(2.0**exponent, 0.0)):
        assert just_after(time) == np.nextafter(time, np.inf)
