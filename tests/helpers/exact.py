"""Crossings with as many digits as it takes: the oracle for a single neuron at any scale."""

from __future__ import annotations

import math
from typing import NamedTuple

import mpmath
from mpmath import mpf

EPS = 2.0**-52
DIGITS = 60
MANY_DIGITS = 1000  # 1 + delta r cancels where the rates are hundreds of decades apart


class State(NamedTuple):
    """A neuron between two events: arguments of `eventsim.first_crossing`."""

    current: float
    potential: float
    alpha: float
    beta: float
    threshold: float
    bias: float


class Top(NamedTuple):
    """The highest potential: how far above the threshold, its largest term, when (None: never)."""

    excess: mpf
    size: float
    time: mpf | None

    @property
    def margin(self) -> float:
        """Its distance from the threshold in units of its largest term."""
        return float(self.excess) / self.size if mpmath.isfinite(self.excess) else math.inf


def excess(state: State, t: mpf) -> tuple[mpf, float]:
    """How far V lies above the threshold at a time, and its largest term there."""
    current, potential, alpha, beta, threshold, bias = map(mpf, state)
    slow, spread = min(alpha, beta), abs(alpha - beta)
    h = mpmath.exp(-slow * t) * (-mpmath.expm1(-spread * t) / spread if spread else t)
    built = bias * (-mpmath.expm1(-beta * t) / beta if beta else t)
    terms = potential * mpmath.exp(-beta * t), current * h, built
    return sum(terms) - threshold, max(abs(float(x)) for x in (*terms, threshold))


def slope(state: State, t: mpf) -> float:
    """dV/dt at a time."""
    with mpmath.workdps(MANY_DIGITS):
        current, _, alpha, beta, threshold, bias = map(mpf, state)
        v = excess(state, t)[0] + threshold
        return float(current * mpmath.exp(-alpha * t) - beta * v + bias)


def top(state: State) -> Top:
    """The supremum of V over all times at which it could be surpassed from below."""
    with mpmath.workdps(MANY_DIGITS):
        current, potential, alpha, beta, threshold, bias = map(mpf, state)
        rises = current - beta * potential + bias
        decays = current != 0 and alpha > 0
        if (not decays or current > 0) and rises <= 0:
            return Top(mpf(-1), 1.0, None)
        if decays and current > 0:
            delta = beta - alpha
            rest = 1 + delta * rises / (alpha * current)
            if rest > 0:
                t = mpmath.log(rest) / delta if delta else rises / (alpha * current)
                return Top(*excess(state, t), t)
            if not beta and not bias:
                charged = current / alpha
                size = max(abs(float(x)) for x in (threshold, potential, charged))
                return Top(potential + charged - threshold, size, None)
        drive = (mpf(0) if decays else current) + bias
        if beta:
            size = max(abs(float(x)) for x in (threshold, drive / beta, bias / beta))
            return Top(drive / beta - threshold, size, None)
        return Top(mpf("inf") if drive > 0 else mpf(-1), 1.0, None)


def check(state: State, found: float, ulps: float = 4.0, roundings: float = 16.0) -> None:
    """Assert that the first crossing was found: it exists iff it should, and the time is right."""
    highest = top(state)
    if math.isinf(found):
        assert highest.margin <= 1e-12 or _is_late(state, highest), (state, highest.margin)
        return
    assert highest.margin > 0.0, (state, found, highest.margin)
    with mpmath.workdps(DIGITS):
        size = excess(state, mpf(found))[1]
        off = ulps * math.ulp(found) + roundings * EPS * size / slope(state, mpf(found))
        before, after = mpf(found) - mpf(off), mpf(found) + mpf(off)
        if before > 0:
            assert excess(state, before)[0] < 0, (state, found)
        if highest.time is None or after < highest.time:
            assert excess(state, after)[0] > 0, (state, found)


def _is_late(state: State, highest: Top) -> bool:
    """Whether V is still below the threshold at the last time that a float can tell."""
    with mpmath.workdps(DIGITS):
        last = mpf(1.7e308)
        t = last if highest.time is None else min(last, highest.time)
        return bool(excess(state, t)[0] <= 0)
