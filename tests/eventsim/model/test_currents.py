"""Several currents: lossless and exact against the oracle, at any scale, through touches."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from eventsim.model.crossing import TOUCHES, earliest_crossing, next_crossing
from eventsim.model.currents import crossing_of, earliest_crossing_of, flow_of, scratch_shape
from eventsim.model.flow import flow
from eventsim.model.search import first_crossing
from tests.helpers import exact_currents as exact
from tests.helpers.exact_currents import EPS, State
from tests.helpers.strategies import decimals, examples

ALONE = (math.inf, 0.0, math.inf)


def search(state: State, limit: float = math.inf) -> tuple[float, float, float]:
    scratch = np.full(scratch_shape(len(state.currents)), np.nan)
    currents, alphas = np.array(state.currents), np.array(state.alphas)
    found = crossing_of(
        limit, currents, state.potential, alphas, state.beta, state.threshold, state.bias, scratch
    )
    assert tuple(currents) == state.currents
    return tuple(map(float, found))


def earliest(state: State) -> float:
    currents, alphas = np.array(state.currents), np.array(state.alphas)
    rest = state.beta, state.threshold, state.bias
    return float(earliest_crossing_of(currents, state.potential, alphas, *rest))


def after(state: State, lag: float) -> State:
    currents, alphas = np.array(state.currents), np.array(state.alphas)
    potential = flow_of(currents, state.potential, lag, alphas, state.beta, state.bias)
    return state._replace(currents=tuple(currents.tolist()), potential=float(potential))


def through_touches(state: State) -> tuple[float, float, int]:
    """Return the first crossing, its slope, and how many touches came before."""
    begin, touches = 0.0, 0
    while True:
        lag, slope, again = search(state)
        if slope != TOUCHES:
            return begin + lag, slope, touches
        touches += 1
        assert lag < again or again == math.inf
        assert touches <= len(state.currents)
        if again == math.inf:
            return math.inf, 0.0, touches
        state = after(state, again)
        begin += again


def check(state: State) -> None:
    """Assert that the crossing is found, and where it is."""
    expected = exact.first_crossing(state)
    assume(expected.margin > 1e-12)
    found, slope, _ = through_touches(state)
    assert math.isinf(found) == math.isinf(expected.time), (state, expected)
    assert earliest(state) <= expected.time
    if math.isfinite(found):
        with exact.digits():
            steep = float(exact.slope(state, found))
            size = exact.size(state, found)
            late = 1.0 + max(state.beta, *state.alphas) * found
            bends = abs(float(exact.bend(state, found))) + state.beta * abs(steep)
        off = 4 * math.ulp(found) + 16 * EPS * min(late, 50.0) * size / steep
        assert abs(found - expected.time) <= off, (state, expected, found)
        largest = max(*map(abs, state.currents), abs(state.bias), state.beta * size)
        assert abs(slope - steep) <= 1e-9 * steep + 2 * bends * off + 64 * EPS * largest


# --- random states --------------------------------------------------------------------------------

RELATED = [0.0, 0.5, 1.0, 1.0 + 2.0**-52, 1.0 - 1e-15, 1.0 + 1e-9, 1.0 + 1e-6, 2.0, 3.0]


@st.composite
def states(draw: st.DrawFn, counts: tuple[int, ...] = (1, 2, 3, 5)) -> State:
    """A state below the threshold, some of its rates related to each other, 0 or equal."""
    n = draw(st.sampled_from(counts))
    beta = draw(st.one_of(decimals(0.05, 3.0), st.just(0.0)))
    rates = st.one_of(
        decimals(0.05, 4.0), st.sampled_from(RELATED).map(lambda factor: factor * (beta or 1.0))
    )
    alphas = tuple(draw(st.lists(rates, min_size=n, max_size=n)))
    currents = tuple(draw(st.lists(decimals(-6.0, 8.0), min_size=n, max_size=n)))
    bias = draw(st.one_of(st.just(0.0), decimals(-1.5, 1.5)))
    return State(currents, draw(decimals(-2.0, 0.99)), alphas, beta, 1.0, bias)


@given(states())
def test_random_searches_agree_with_the_oracle(state: State) -> None:
    check(state)


def powers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high).map(lambda exponent: 10.0**exponent)


@st.composite
def scaled_states(draw: st.DrawFn) -> State:
    """Rates from 1e-12 to 1e12, currents that charge V to the order of the threshold."""
    n = draw(st.integers(2, 3))
    beta = draw(powers(-12, 12))
    alphas = tuple(draw(powers(-12, 12)) for _ in range(n))
    signs = st.sampled_from([1.0, -1.0])
    currents = tuple(draw(signs) * draw(powers(-2, 2)) * max(beta, a) for a in alphas)
    bias = draw(st.sampled_from([0.0, 0.5, -0.5, 2.0])) * beta
    return State(currents, draw(decimals(-2.0, 0.99)), alphas, beta, 1.0, bias)


@examples(0.3)
@given(scaled_states())
def test_searches_at_any_scale_agree_with_the_oracle(state: State) -> None:
    check(state)


@given(states(), st.one_of(st.floats(0.0, 3.0), st.just(math.inf)))
def test_a_search_within_a_limit_gives_the_crossing_or_says_that_it_is_later(
    state: State, limit: float
) -> None:
    whole = search(state)
    assert search(state, limit) in ([whole] if whole[0] <= limit else [whole, ALONE])


@given(states())
def test_V_is_below_before_the_crossing_and_at_the_threshold_there(state: State) -> None:
    lag, slope, _ = through_touches(state)
    assume(math.isfinite(lag))
    assert 0.0 <= earliest(state) <= lag
    assert slope > 0.0
    with exact.digits():
        size = exact.size(state, lag)
        there = 16 * EPS * size + 4 * math.ulp(lag) * abs(float(exact.slope(state, lag)))
        assert abs(float(exact.potential(state, lag) - state.threshold)) <= there
    for part in np.linspace(0.0, 1.0, 60)[:-1]:
        over = after(state, part * lag).potential - state.threshold
        assert over <= 2.0**-42 * size


# --- close calls ----------------------------------------------------------------------------------


def grazing(seed: int, n: int, n_currents: int, decades: float) -> dict[str, np.ndarray]:
    """States whose V has its first peak at ``peak``; 0 is the potential that V comes to there.

    V(0) is chosen so that dV/dt = 0 there; it rounds, and what V gains by that is added.
    """
    rng = np.random.default_rng(seed)
    alpha = 10.0 ** rng.uniform(-decades, decades, (n, n_currents))
    beta = 10.0 ** rng.uniform(-decades, decades, n)
    close = rng.random(n) < 0.3
    near = beta[:, None] * rng.choice(RELATED[1:], (n, n_currents))
    alpha[close] = near[close]
    current = rng.normal(size=(n, n_currents)) * alpha * 10.0 ** rng.uniform(-1, 1, (n, n_currents))
    bias = beta * rng.normal(size=n) * rng.integers(0, 2, n)
    peak = 10.0 ** rng.uniform(-1.5, 1, n) / np.where(rng.random(n) < 0.5, beta, alpha[:, 0])
    left = current * np.exp(-alpha * peak[:, None])
    with np.errstate(over="ignore", invalid="ignore"):
        top = (left.sum(1) + bias) / beta
        built = top - potentials(peak[:, None], current, 0.0 * beta, alpha, beta, bias)[:, 0]
        states = {"current": current, "potential": built * np.exp(beta * peak), "alpha": alpha}
        states |= {"beta": beta, "bias": bias, "peak": peak}
        top = potentials(peak[:, None], *parameters(states))[:, 0]
        kept = states["potential"] * np.exp(-beta * peak)
        parts = [top, kept, bias * kernels(peak, 0.0, beta)]
        parts += list((current * kernels(peak[:, None], alpha, beta[:, None])).T)
        size = np.abs(parts).max(0)
        bends = (alpha * left).sum(1)
        good = bends > 1e-6 * np.abs(alpha * left).max(1)
        good &= (size < 1e50) & (np.abs(states["potential"]) < 1e50) & (size > 1e-50)
        good &= states["potential"] < top - 1e-9 * size
        before = potentials(np.linspace(0.0, 0.95, 200) * peak[:, None], *parameters(states))
        good &= (before < top[:, None] - 1e-11 * size[:, None]).all(1)
        rise = left.sum(1) - beta * top + bias
        top = top + rise**2 / (2.0 * (bends + beta * np.abs(rise)))
    found = {name: values[good] for name, values in states.items()}
    return found | {"top": top[good], "size": size[good]}


def parameters(states: dict[str, np.ndarray]) -> list[np.ndarray]:
    return [states[name] for name in ("current", "potential", "alpha", "beta", "bias")]


def kernels(t: np.ndarray, alpha: np.ndarray | float, beta: np.ndarray) -> np.ndarray:
    slow, x = np.minimum(alpha, beta), np.abs(beta - alpha) * t
    return t * np.exp(-slow * t) * np.where(x > 0.0, -np.expm1(-x) / np.where(x > 0, x, 1.0), 1.0)


def potentials(
    t: np.ndarray,
    current: np.ndarray,
    potential: np.ndarray,
    alpha: np.ndarray,
    beta: np.ndarray,
    bias: np.ndarray,
) -> np.ndarray:
    """V at times t[i, :] of neuron i."""
    beta, bias, potential = beta[:, None], bias[:, None], potential[:, None]
    total = potential * np.exp(-beta * t) + bias * kernels(t, 0.0, beta)
    for k in range(current.shape[1]):
        total += current[:, k, None] * kernels(t, alpha[:, k, None], beta)
    return total


@examples(0.05)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.sampled_from([0.5, 2.0, 6.0, 12.0]))
def test_grazing_is_decided_down_to_a_relative_margin_of_1e_12(
    seed: int, n_currents: int, decades: float
) -> None:
    """The threshold is put just below and just above a peak: 2000 states a draw."""
    states = grazing(seed, 2000, n_currents, decades)
    top, size, peak = states.pop("top"), states.pop("size"), states.pop("peak")
    assert top.size > 100
    below = first_crossing(**states, threshold=top - 1e-12 * size, axis=-1)
    above = first_crossing(**states, threshold=top + 1e-12 * size, axis=-1)
    assert np.all(below <= peak * (1.0 + 1e-6))
    assert not np.any((above > 0.95 * peak) & (above < peak * 1.0001))


GRAZING = [
    State((0.0018826801280853952, 37.23576797910912), -10.546187897444982,
          (0.18711600273360024, 3.7351682186572073), 0.0008440598116641992, -0.5663344857748014,
          -0.0005398060655851864),
    State((1.1432934885585422e-06, -475.78213966376364), -1.7545502290955803,
          (7.5409171570968374e-06, 36358.51579099951), 1.3710564728881127e-06, -1.582333115094378,
          -2.169468059725942e-06),
    State((-2.481093327278153e-11, 15751309.123418383, 1.179191283700998e-09), 0.06823443337017786,
          (1.1176226691118371e-11, 224046702.55705276, 1.3638752286779241e-08), 147649269.26785806,
          0.0726250896926562, 0.0),
    State((-2.2881528882848623, -2.600006147270695, 4.806567098544227), -1.6595144797319243,
          (4.697855869242732, 9.395711738485463, 4.697855869242733), 4.697855869242732,
          0.5953234891834711, 2.791806774928457),
    State((-5.3312325826594183e-08, 9.457135499008822e-10, -53607452.63383123, 55.30041000637783,
           -15.634671667814343), 1.2758969437262215,
          (1.5610126499743914e-07, 6.385204850198436e-11, 1234621546.0265508, 112.80626655596447,
           73.37325260180951), 81.5975921753847, 1.4509020228853282, 111.56288684198266),
]  # fmt: skip
# What cancels: currents that nearly balance, with rates that are nearly equal.
BALANCED = [
    State((1e15, -1e15), 0.0, (1e6 * (1 + EPS), 1e6), 1e-3, 500.0, 1.0),
    State((1e15, -1e15), 0.0, (1e6, 1e6 * (1 + EPS)), 1e-3, 500.0, 1.0),
    State((1e15, -1e15, 1.0), 0.0, (1e6 * (1 + EPS), 1e6, 1e-9), 1e-3, 500.0, 0.0),
]


@pytest.mark.parametrize("state", GRAZING)
def test_peaks_far_from_the_time_constants_are_decided(state: State) -> None:
    """All graze the threshold from above, by 1e-12: late, or before a stretch that hardly moves."""
    expected = exact.first_crossing(state)
    assert 0.9e-12 < expected.margin < 1.1e-12
    assert search(state)[0] == pytest.approx(expected.time, rel=1e-5)


@pytest.mark.parametrize("state", BALANCED)
def test_balanced_currents_hide_no_crossing(state: State) -> None:
    """dV/dt is lost in the rounding of the currents at first, and brings V to the threshold."""
    expected = exact.first_crossing(state)
    assert search(state)[0] == pytest.approx(expected.time, rel=1e-9)


# --- touches --------------------------------------------------------------------------------------

# V has a peak of 1.23 at 0.4, and one of 1.66 at 4.4.
TWICE = State((12.0, 3.0, -6.0), 0.0, (4.0, 0.125, 1.0), 1.0, 1.5, 0.0)


def first_peak() -> tuple[float, float]:
    with exact.digits():
        t = exact.mpf(0.4)
        for _ in range(20):
            t -= exact.slope(TWICE, t) / (exact.bend(TWICE, t) - exact.slope(TWICE, t))
        return float(t), float(exact.potential(TWICE, t))


@pytest.mark.parametrize("ulps", [-200, -1, 0, 1, 200])
def test_the_search_goes_on_after_a_touch(ulps: int) -> None:
    time, peak = first_peak()
    state = TWICE._replace(threshold=peak * (1.0 + ulps * EPS))
    lag, slope, again = search(state)
    assert slope == TOUCHES
    assert lag == pytest.approx(time, rel=1e-6)
    assert lag < again < 4.0
    found, slope, touches = through_touches(state)
    assert touches == 1
    assert slope > 0.0
    assert found == pytest.approx(exact.first_crossing(state._replace(threshold=peak + 1e-9)).time)


def test_first_crossing_goes_on_after_a_touch() -> None:
    threshold = first_peak()[1]
    state = TWICE._replace(threshold=threshold)
    arguments = state.currents, 0.0, state.alphas, 1.0, threshold
    found = first_crossing(*arguments, axis=0)
    assert found == pytest.approx(through_touches(state)[0], rel=1e-15)
    assert first_crossing(*arguments, t_max=found, axis=0) == found
    assert first_crossing(*arguments, t_max=np.nextafter(found, 0.0), axis=0) == math.inf


def test_a_peak_above_by_1e_12_is_no_touch() -> None:
    time, peak = first_peak()
    assert search(TWICE._replace(threshold=peak * (1.0 - 1e-12)))[0] < time
    assert search(TWICE._replace(threshold=peak * (1.0 + 1e-12)))[0] > 2.0


@given(states((2, 3, 5)), st.integers(-3, 3))
def test_a_touch_is_passed_whatever_rounding_says(state: State, ulps: int) -> None:
    """Wherever V is stopped, at its threshold to rounding, the search ends, and slopes are > 0."""
    lag, _, _ = through_touches(state)
    later = after(state, lag if math.isfinite(lag) else 1.0)
    at = later._replace(threshold=later.potential - ulps * math.ulp(later.potential))
    found, slope, _ = through_touches(at)
    assert found >= 0.0
    assert (slope > 0.0) == math.isfinite(found)


# --- at the threshold -----------------------------------------------------------------------------


def test_a_state_at_the_threshold_and_rising_crosses_now() -> None:
    assert search(State((4.0, -1.0), 1.0 + EPS, (1.0, 0.5), 1.0, 1.0, 0.0))[0] == 0.0


def test_a_state_at_the_threshold_and_falling_may_come_back() -> None:
    """V falls by 6e-3, or by less than its rounding, and rises to more than 2."""
    deep = State((-1.5, 3.0), 1.0 + EPS, (3.0, 0.25), 1.0, 1.0, -0.75)
    lag, slope, _ = search(deep)
    assert 0.1 < lag < 1.0
    with exact.digits():
        assert float(exact.potential(deep, lag)) == pytest.approx(1.0, rel=4 * EPS)
        assert slope == pytest.approx(float(exact.slope(deep, lag)), rel=1e-12)
    shallow = deep._replace(bias=-0.5 - 1e-9)
    lag, slope, _ = search(shallow)
    assert 0.0 < lag < 1e-8
    assert 0.0 < slope < 1e-6


def test_a_limit_at_the_threshold_is_no_crossing() -> None:
    """tau_mem = inf: V comes to V(0) + sum I/alpha in the end."""
    assert search(State((1.0, 2.0), -2.0, (1.0, 2.0), 0.0, 0.0, 0.0)) == ALONE
    over = State((1.0, 2.0), -2.0 * (1.0 - 1e-12), (1.0, 2.0), 0.0, 0.0, 0.0)
    assert 25.0 < search(over)[0] < 30.0
    assert search(State((-1.0, -2.0), 0.0, (1.0, 2.0), 1.0, 1.0, 1.0)) == ALONE
    assert search(State((-1.0, -2.0), 0.0, (1.0, 2.0), 1.0, 1.0, 1.0 + 1e-12))[0] > 25.0


def test_an_infinite_threshold_never_fires() -> None:
    state = State((1e50, 1e50), 0.0, (0.0, 1.0), 0.0, math.inf, 1e50)
    assert search(state) == ALONE
    assert earliest(state) == math.inf


# --- what changes nothing -------------------------------------------------------------------------


@given(states())
def test_equal_rates_are_one_current_and_a_rate_of_0_is_a_bias(state: State) -> None:
    first = state.currents[0]
    alone = State((first,), state.potential, state.alphas[:1], *state[3:])
    lag, slope = next_crossing(first, state.potential, state.alphas[0], *state[3:])
    assert search(alone)[:2] == (lag, slope)
    halves = alone._replace(currents=(first / 4, 0.75 * first), alphas=state.alphas[:1] * 2)
    assert search(halves)[:2] == (lag, slope)
    steps = alone._replace(currents=(first, 0.5, -0.25), alphas=(state.alphas[0], 0.0, 0.0))
    biased = alone._replace(bias=state.bias + 0.25)
    if state.alphas[0] > 0.0 and first != 0.0:
        assert search(steps) == search(biased)


@given(states((2, 3)))
def test_order_halves_and_silent_currents_change_nothing(state: State) -> None:
    expected = search(state)
    for order in permutations(range(len(state.currents))):
        moved = state._replace(
            currents=tuple(state.currents[k] for k in order),
            alphas=tuple(state.alphas[k] for k in order),
        )
        assert search(moved) == expected
    assume(len(set(state.alphas)) == len(state.alphas))  # sums of three round
    halves = state._replace(
        currents=tuple(0.5 * i for i in state.currents) * 2, alphas=state.alphas * 2
    )
    assert search(halves) == expected
    silent = state._replace(
        currents=(0.0, *state.currents, 0.0), alphas=(0.3, *state.alphas, state.beta)
    )
    assert search(silent) == expected
    cancelled = state._replace(
        currents=(1e9, *state.currents, -1e9), alphas=(7.0, *state.alphas, 7.0)
    )
    assert search(cancelled) == expected or earliest(cancelled) <= expected[0]


@given(states((2, 3, 5)), st.integers(-8, 8))
def test_units_of_potential_and_of_time_do_not_matter(state: State, k: int) -> None:
    """Powers of two change exponents only, so the answers are equal bit for bit."""
    u = 2.0**k
    lag, slope, again = search(state)
    louder = State(
        tuple(u * i for i in state.currents), u * state.potential, state.alphas, state.beta,
        u * state.threshold, u * state.bias,
    )  # fmt: skip
    assert search(louder) == (lag, slope if slope == TOUCHES else u * slope, again)
    slower = State(
        tuple(i / u for i in state.currents), state.potential, tuple(a / u for a in state.alphas),
        state.beta / u, state.threshold, state.bias / u,
    )  # fmt: skip
    assert search(slower) == (u * lag, slope if slope == TOUCHES else slope / u, u * again)


# --- extremes -------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.floats(-1e100, 1e100), powers(-100, 100)), min_size=2, max_size=5),
    st.floats(-1e100, 1e100),
    st.one_of(st.just(0.0), powers(-100, 100)),
    powers(-100, 100),
    st.one_of(st.just(0.0), st.floats(-1e100, 1e100)),
)
def test_any_state_has_an_answer(
    drives: list[tuple[float, float]], potential: float, beta: float, threshold: float, bias: float
) -> None:
    assume(potential < threshold)
    currents, alphas = zip(*drives, strict=True)
    state = State(currents, potential, alphas, beta, threshold, bias)
    lag, slope, _ = through_touches(state)
    assert 0.0 <= earliest(state) <= lag
    assert (slope > 0.0) == math.isfinite(lag)


def test_subnormal_currents_do_not_count() -> None:
    one = State((2.0, 5e-324), 0.0, (1.0, 1e-100), 1.0, 0.4, 0.0)
    assert search(one)[:2] == next_crossing(2.0, 0.0, 1.0, 1.0, 0.4, 0.0)


# --- the bound ------------------------------------------------------------------------------------


def test_slow_inhibition_counts_against_excitation() -> None:
    """A balanced drive is dismissed at once, or found to bring V up late."""
    assert earliest(State((4.0, -3.0), 0.0, (1.0, 0.5), 1.0, 1.0, 0.0)) == math.inf
    balanced = State((4.0, -3.0), 0.0, (0.5, 1.0), 0.1, 1.0, 0.0)
    excited = earliest_crossing(4.0, 0.0, 0.5, 0.1, 1.0, 0.0)
    assert 2.0 * excited < earliest(balanced) < search(balanced)[0]


def test_after_inhibition_the_bound_is_that_of_a_parabola() -> None:
    """V falls at first, and its slope grows by at most what inhibition now leaves behind."""
    state = State((3.0, -9.0), 0.0, (0.5, 2.0), 0.0, 1.0, 0.0)
    t = (6.0 + math.sqrt(36.0 + 2.0 * 18.0)) / 18.0
    assert earliest(state) == pytest.approx(t, rel=1e-9)


# --- the flow -------------------------------------------------------------------------------------


@given(states(), st.floats(-1.0, 3.0))
def test_the_flow_is_exact_and_that_of_one_current_where_there_is_one(
    state: State, lag: float
) -> None:
    later = after(state, lag)
    with exact.digits():
        size = exact.size(state, lag) + sum(map(abs, state.currents)) * math.exp(5.0)
        assert abs(later.potential - exact.potential(state, lag)) <= 32 * EPS * size
    rates = zip(later.currents, state.currents, state.alphas, strict=True)
    assert all(i == pytest.approx(w * math.exp(-a * lag), rel=1e-14) for i, w, a in rates)
    if len(state.currents) == 1 and state.currents[0] != 0.0:
        one = flow(*state.currents, state.potential, lag, *state.alphas, state.beta, state.bias)
        assert (*later.currents, later.potential) == one
    silent = state._replace(currents=(0.0, *state.currents), alphas=(9.0, *state.alphas))
    assert after(silent, lag).potential == later.potential
