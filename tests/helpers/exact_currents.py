"""Crossings under several currents, with as many digits as it takes: slow, obvious, independent.

V is a sum of polynomials times exponentials. A derivative of such a sum times an exponential has a
coefficient less; its zeros isolate those of the sum (Rolle). Nothing is shared with the packages.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from itertools import pairwise
from typing import NamedTuple

import mpmath
from mpmath import mpf

DIGITS = 80
EPS = 2.0**-52

# rate: coefficients of the polynomial of t, the lowest first
Sum = dict[mpf, list[mpf]]


class State(NamedTuple):
    """A neuron between two events: what `crossing_of` gets, with the currents as tuples."""

    currents: tuple[float, ...]
    potential: float
    alphas: tuple[float, ...]
    beta: float
    threshold: float
    bias: float


class Found(NamedTuple):
    """The first crossing (``inf``: none), and how close a peak before it came to the threshold."""

    time: float
    margin: float


def digits() -> AbstractContextManager[None]:
    """All that is called within has `DIGITS` digits."""
    return mpmath.workdps(DIGITS)


def first_crossing(state: State) -> Found:
    """Return when V first surpasses the threshold; the margin is in units of the largest term."""
    with digits():
        over = _over(state)
        tops = [mpf(0), *_zeros(_derivative(over, mpf(0)))]
        margin = math.inf
        for begin, top in pairwise(tops):
            excess = _value(over, top)
            if excess > _value(over, begin):
                margin = min(margin, abs(float(excess / size(state, top))))
                if excess > 0:
                    return Found(float(_root(over, begin, top)), margin)
        return _after(tops[-1], over, state, margin)


def _after(begin: mpf, over: Sum, state: State, margin: float) -> Found:
    """After the last stationary point V tends to its limit."""
    slowest = min((rate for rate in over if any(over[rate])), default=mpf(1))
    if slowest > 0:  # towards the threshold
        margin = 0.0 if _sign_in_the_end(over) > 0 else margin
        return Found(math.inf, margin)
    limit = over[slowest]
    if len(limit) == 1:
        far = mpf(10) ** 30 / min((rate for rate in over if rate > 0), default=1)
        margin = min(margin, abs(float(limit[0] / size(state, far))))
    if _sign_in_the_end(over) <= 0:
        return Found(math.inf, margin)
    end = _beyond(over, begin, 1)
    return Found(float(_root(over, begin, end)), margin)


def potential(state: State, t: mpf) -> mpf:
    """V at a time."""
    return sum(_parts(state, mpf(t)))


def slope(state: State, t: mpf) -> mpf:
    """dV/dt at a time."""
    t = mpf(t)
    pairs = zip(state.currents, state.alphas, strict=True)
    J = sum(i * mpmath.exp(-mpf(a) * t) for i, a in pairs)
    return J - state.beta * potential(state, t) + state.bias


def bend(state: State, t: mpf) -> mpf:
    """dJ/dt at a time."""
    pairs = zip(state.currents, state.alphas, strict=True)
    return -sum(mpf(a) * i * mpmath.exp(-mpf(a) * t) for i, a in pairs)


def size(state: State, t: mpf) -> float:
    """The largest term of V at a time, the threshold included."""
    return max(abs(float(x)) for x in (*_parts(state, mpf(t)), mpf(state.threshold)))


def _parts(state: State, t: mpf) -> list[mpf]:
    beta = mpf(state.beta)
    parts = [state.potential * mpmath.exp(-beta * t), state.bias * kernel(t, mpf(0), beta)]
    pairs = zip(state.currents, state.alphas, strict=True)
    return parts + [i * kernel(t, mpf(a), beta) for i, a in pairs]


def kernel(t: mpf, alpha: mpf, beta: mpf) -> mpf:
    """The potential that a unit current leaves behind."""
    slow, spread = min(alpha, beta), abs(alpha - beta)
    return mpmath.exp(-slow * t) * (-mpmath.expm1(-spread * t) / spread if spread else t)


# --- sums -----------------------------------------------------------------------------------------


def _over(state: State) -> Sum:
    """V less the threshold."""
    beta, over = mpf(state.beta), {}

    def add(rate: mpf, power: int, value: mpf) -> None:
        row = over.setdefault(rate, [])
        row.extend([mpf(0)] * (power + 1 - len(row)))
        row[power] += value

    add(beta, 0, mpf(state.potential))
    add(mpf(0), 0, -mpf(state.threshold))
    drives = [*zip(state.currents, state.alphas, strict=True), (state.bias, 0.0)]
    for current, alpha in drives:
        current, alpha = mpf(current), mpf(alpha)
        if alpha == beta:
            add(beta, 1, current)
        else:
            add(alpha, 0, current / (beta - alpha))
            add(beta, 0, -current / (beta - alpha))
    return _trimmed(over)


def _trimmed(terms: Sum) -> Sum:
    kept = {}
    for rate, row in terms.items():
        while row and row[-1] == 0:
            row = row[:-1]
        if row:
            kept[rate] = row
    return kept


def _derivative(terms: Sum, shift: mpf) -> Sum:
    """(D + shift) of a sum."""
    derived = {}
    for rate, row in terms.items():
        raised = [*[k * x for k, x in enumerate(row)][1:], mpf(0)]
        derived[rate] = [(shift - rate) * x + y for x, y in zip(row, raised, strict=True)]
    return _trimmed(derived)


def _value(terms: Sum, t: mpf) -> mpf:
    """The sum at a time; 0 if it is nothing but rounding."""
    parts = [mpmath.polyval(row[::-1], t) * mpmath.exp(-rate * t) for rate, row in terms.items()]
    total = mpmath.fsum(parts)
    largest = max((abs(x) for x in parts), default=mpf(0))
    return total if abs(total) > largest * mpf(10) ** (10 - DIGITS) else mpf(0)


def _sign_in_the_end(terms: Sum) -> int:
    return int(mpmath.sign(terms[min(terms)][-1])) if terms else 0


def _zeros(terms: Sum) -> list[mpf]:
    """All t > 0 at which a sum changes its sign."""
    if sum(map(len, terms.values())) <= 1:
        return []
    zeros, low = [], mpf(0)
    for high in [*_zeros(_derivative(terms, max(terms))), None]:
        sign = mpmath.sign(_value(terms, low)) or _sign_after(terms, low, high)
        if high is None:
            if sign * _sign_in_the_end(terms) < 0:
                zeros.append(_root(terms, low, _beyond(terms, low, -sign)))
        else:
            if sign * _value(terms, high) < 0:
                zeros.append(_root(terms, low, high))
            low = high
    return zeros


def _sign_after(terms: Sum, low: mpf, high: mpf | None) -> int:
    """The sign just after a zero: that anywhere before the next one that could be."""
    return _sign_in_the_end(terms) if high is None else mpmath.sign(_value(terms, high))


def _beyond(terms: Sum, low: mpf, sign: int) -> mpf:
    """A time after ``low`` at which the sum has a sign that it has in the end."""
    step = 1 / (max(terms) or mpf(1))
    while _value(terms, low + step) * sign <= 0:
        step *= 2
    return low + step


def _root(terms: Sum, low: mpf, high: mpf) -> mpf:
    """The zero between two times with different signs: Newton's steps, or halves of the bracket."""
    before = _value(terms, low) or -_value(terms, high)
    derivative = _derivative(terms, mpf(0))
    t, steps = (low + high) / 2, 0
    while True:
        there, steep = _value(terms, t), _value(derivative, t)
        if there * before > 0:
            low = t
        else:
            high = t
        new = t - there / steep if steep else low
        steps += 1
        if there == 0 or abs(new - t) < t * mpf(10) ** (20 - DIGITS):
            return t
        if not low < new < high or steps % 8 == 0:
            new = (low + high) / 2 if high < 4 * low or low == 0 else mpmath.sqrt(low * high)
        t = new
