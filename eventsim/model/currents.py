r"""The neuron under several synaptic currents: its flow, and its first threshold crossing.

.. math:: \dot I_k = -\alpha_k I_k, \qquad \dot V = -\beta V + J + c, \qquad J = \sum_k I_k.

Currents that are 0 do not count, those of equal rates are added, and one that does not decay
belongs to the bias; where one is left, the search of `eventsim.model.crossing` decides.

Proof that no crossing is lost
------------------------------
Take the functions :math:`V, \dot V, \dot J` and, with the rates :math:`r` of the currents from the
fastest to the slowest, :math:`\dot J` with :math:`D + r` applied once, twice, ... until two terms
are left.  Each is the one before it, multiplied by an exponential and differentiated:

.. math:: \frac{d}{dt} e^{rt} F = e^{rt} (D + r) F, \qquad (D + \beta)\dot V = \dot J.

So between two neighbouring zeros of one function the one before it has at most one (Rolle).  Two
terms have their zero in closed form; up the chain every interval is searched at whose ends the
signs differ.  A term of a sum is multiplied by :math:`r - r_k \ge 0`, which rounds once: signs and
digits of the coefficients are kept, however close the rates.  After the last zero of a sum its
slowest term decides.

Between the zeros of :math:`\dot J`, its *turns*, :math:`e^{\beta t}\dot V` is monotone.  Where it
falls, V rises to one peak at most; where it rises, V falls first and rises then.  So V surpasses
the threshold first on the way to the first peak, or end of such a stretch, that lies above; and
from a point below to there V falls, and then rises, so that it reaches the threshold once.  After
the last turn V comes to a peak or rises for ever: the sign of

.. math:: e^{\beta t}\dot V \to c - \beta V_0 - \beta \sum_k \frac{I_k}{\alpha_k - \beta}

tells, or that of the slowest current where it decays no faster than V does; then the limit decides.

Most crossings need none of this.  Where :math:`\dot J` keeps its sign up to a point, V rises up
to there if it rises at both ends; it keeps the sign if the excitation at the end (the inhibition)
has the larger share of it than the inhibition (the excitation) had at the start.  From such a point
on :math:`-\ddot V` is at most :math:`M = \sum_{I_k > 0} \alpha_k I_k + \beta\dot V`, so the
series of `eventsim.model.crossing` apply.

(V can also rise above the threshold only while :math:`J > I_\theta`, and :math:`e^{\beta t}
(\theta - V)` falls just then.  But at the end of such a stretch V may have come back to within
rounding of the threshold, however far above it was: so the peaks have to be known.)

Rounding
--------
Whether V surpasses the threshold is decided where V is highest, and against 2^-42 of the largest
term of V there, as for one current.  The other signs are those of sums, and these may be small
beside their terms where a function is not, its exponential aside:

- :math:`\dot V` is :math:`J - (\beta V - c)` and :math:`\dot V_0 e^{-\beta t} - \sum_k \alpha_k I_k
  h_k`; the sum with the smaller terms is taken.  Where it is below 2^-46 of its terms it counts as
  0 and decides nothing: there may be a peak before such an end, and after such a beginning.
- A sum at a zero of the next one in the chain keeps its sign if any multiple of that is added; the
  one is taken that leaves the largest share of its terms.
- What is left undecided is as large as the rounding of each current, and moves V by as little.

A potential that stands at the threshold already, to rounding, crosses it when it begins to rise.

Every search ends
-----------------
There are K - 1 turns at most, so there are K stretches of V.  Each iteration keeps a bracket, one
end of which moves to each point tried.  After the twelfth step every second one is a bisection, as
in `eventsim.model.crossing`, or, while there is no other end but the largest number, doubles the
lag at least: some 4000 such steps lead there from the smallest.

After a touch the search has to go on from ``again``.  It is not before the next turn, and so after
the touch, and not before the fastest current has lost its last digit (up to then dV/dt has moved by
no more than its rounding).  In exact arithmetic a turn lies between two touches and each lies
behind ``again``: there are less than K/2 touches.  In any arithmetic no current grows by the flow,
and the fastest one is smaller when the search goes on; there are finitely many numbers.  (Subnormal
ones do not lose a digit when multiplied by 1 - 2^-53: they do not count as currents.)  A caller
whose clock cannot tell ``again`` from now has to take the next number that it can.
"""

from __future__ import annotations

import math
import sys
from typing import NamedTuple

from eventsim._support.compile import inner, loop, scalar
from eventsim.model.crossing import (
    CANCELLED,
    FREE_STEPS,
    LARGEST,
    ROUNDING,
    TOUCHES,
    ULP,
    crossing_within,
    earliest_crossing,
    limit_above,
    log1p_ratio,
    middle,
    series_root,
    series_step,
    surpasses_from,
    within,
)
from eventsim.model.flow import bias_kernel, propagator

__all__ = ["crossing_of", "earliest_crossing_of", "flow_of", "scratch_shape"]

NEVER = (math.inf, 0.0, math.inf)

# Smaller numbers have lost digits.
NORMAL = sys.float_info.min

# Of the largest term of dV/dt: what rounding decides about its sign.
UNDECIDED = 2.0**-46

# Products below have lost digits.
TINY = NORMAL / ULP

# Rows of the scratch.
WEIGHTS, RATES, TERMS, TURNS = range(4)


class Start(NamedTuple):
    """Where a search begins: the number of currents, V, the neuron, and dV/dt."""

    n: int
    potential: float
    beta: float
    threshold: float
    bias: float
    slope: float


class Point(NamedTuple):
    """A lag; how far V lies above the threshold, its largest term, dV/dt, and dJ/dt there."""

    lag: float
    over: float
    size: float
    rise: float
    bend: float


class Expansion(NamedTuple):
    """How far V lies below the threshold at a point; its derivatives, as in `series_root`.

    The ``excited`` and ``inhibited`` currents have these shares of the fall of J, both positive;
    ``size`` is the largest term of V.
    """

    gap: float
    rise: float
    bend: float
    third: float
    fourth: float
    excited: float
    inhibited: float
    size: float


@scalar
def scratch_shape(n_currents):
    """Return the shape of the array in which `crossing_of` works."""
    return 4, n_currents


@loop
def flow_of(currents, potential, lag, alphas, beta, bias):
    """Let the currents flow in place; return V, a time ``lag`` later (earlier if negative)."""
    membrane, pushed = math.nan, 0.0
    for k in range(currents.size):
        if currents[k] != 0.0:
            synaptic, membrane, h = propagator(lag, alphas[k], beta)
            pushed += currents[k] * h
            currents[k] *= synaptic
    if math.isnan(membrane):
        membrane = math.exp(-beta * lag)
    later = potential * membrane + pushed
    return later + bias * bias_kernel(lag, beta) if bias != 0.0 else later


# --- a cheap bound --------------------------------------------------------------------------------


@scalar
def earliest_under(currents, potential, beta, threshold, bias):
    """Return a bound that is cheaper still: V stays below the line of the excitation alone."""
    if threshold == math.inf:
        return math.inf
    drive = 0.0
    for current in currents:
        drive += max(current, 0.0)
    slope = drive - beta * potential + bias
    slope += ULP * (currents.size + 2) * (drive + beta * abs(potential) + abs(bias))
    if potential >= threshold:
        return 0.0
    if slope <= 0.0:
        return math.inf
    return (threshold - potential) / slope * (1.0 - 1e-12)


@loop
def earliest_crossing_of(currents, potential, alphas, beta, threshold, bias):
    """Return a cheap lower bound on the lag of the next crossing; ``inf`` only if there is none.

    It is the later one of two.  V stays below what one current would make of it that decays with
    the slowest rate of the excitation and is as large as this and the inhibition that decays no
    faster.  And it stays below a parabola: dJ/dt is at most what the inhibition makes of it now.
    What is added is at least the rounding of the sums.
    """
    if threshold == math.inf:
        return math.inf
    rate, n = _comparable(currents, alphas)
    J = drive = lasting = bend = 0.0
    drive_size = lasting_size = size = 0.0
    for k in range(currents.size):
        current = currents[k]
        J += current
        if alphas[k] == 0.0:
            lasting += current
            lasting_size += abs(current)
        elif current > 0.0 or alphas[k] <= rate:
            drive += current
            drive_size += abs(current)
        size += abs(current)
        bend -= alphas[k] * min(current, 0.0)
    rounding = ULP * max(0, n - 1)
    drive += rounding * drive_size
    lasting += rounding * lasting_size
    earliest = earliest_crossing(drive, potential, rate, beta, threshold, bias + lasting)
    if earliest == math.inf or potential >= threshold:
        return earliest
    slope = J - beta * potential + bias
    slope += ULP * (n + 2) * (size + beta * abs(potential) + abs(bias))
    return max(earliest, _parabola(threshold - potential, slope, bend - beta * min(slope, 0.0)))


@inner
def _comparable(currents, alphas):
    """Return the slowest rate of excitation, or the fastest of inhibition alone; how many count.

    A current that does not decay has no part in it.
    """
    slowest, fastest, n = math.inf, 0.0, 0
    for k in range(currents.size):
        if currents[k] != 0.0:
            n += 1
            fastest = max(fastest, alphas[k])
            if currents[k] > 0.0 and alphas[k] > 0.0:
                slowest = min(slowest, alphas[k])
    return slowest if slowest < math.inf else fastest, n


@scalar
def _parabola(gap, slope, bend):
    """Return when ``slope t + bend t^2/2`` closes a gap, less a margin; ``inf``: never."""
    root = math.hypot(slope, math.sqrt(2.0 * bend) * math.sqrt(gap))
    if slope > 0.0:
        return 2.0 * gap / (slope + root) * (1.0 - 1e-12)
    return (root - slope) / bend * (1.0 - 1e-12) if bend > 0.0 else math.inf


# --- the search -----------------------------------------------------------------------------------


@loop
def crossing_of(limit, currents, potential, alphas, beta, threshold, bias, scratch):
    """Return ``(lag, slope, again)`` of the next crossing of the threshold from below.

    ``lag`` is ``inf`` where V never surpasses the threshold, or as soon as it is known to do so
    beyond ``limit`` (a lag beyond it may be returned too).  ``slope`` is dV/dt at the crossing, or
    `TOUCHES` if V only touches the threshold then: it may surpass it later, and the search has to
    go on from the state at ``again`` (``inf``: it cannot).  ``scratch`` has the shape
    ``scratch_shape(currents.size)``; what is in it does not matter.
    """
    if earliest_under(currents, potential, beta, threshold, bias) > limit:
        return NEVER
    bound = earliest_crossing_of(currents, potential, alphas, beta, threshold, bias)
    if bound > limit or bound == math.inf:
        return NEVER
    n, lasting = _merged(currents, alphas, scratch)
    if n > 1:
        bias += lasting
        slope = bias - beta * potential
        for k in range(n):
            slope += scratch[WEIGHTS, k]
        start = Start(n, potential, beta, threshold, bias, slope)
        lag, slope = _near(start, scratch)
        if lag >= 0.0:
            return lag, slope, math.inf
        return _first_above(limit, start, scratch)
    if n == 1:
        current, alpha = scratch[WEIGHTS, 0], scratch[RATES, 0]
        bias += lasting
    else:
        current, alpha = lasting, 0.0
    lag, slope = crossing_within(limit, current, potential, alpha, beta, threshold, bias)
    return lag, slope, math.inf


@inner
def _merged(currents, alphas, scratch):
    """Sort the currents by their rates and add those of equal ones; return how many decay.

    The second number is the current that does not.  The larger of equal rates come first, so the
    sum depends on no order and loses nothing where all but a small one cancel.
    """
    weights, rates = scratch[WEIGHTS], scratch[RATES]
    n = 0
    for k in range(currents.size):
        current, rate = currents[k], alphas[k]
        if abs(current) < NORMAL:
            continue
        i = n
        while i > 0 and _comes_before(rate, current, rates[i - 1], weights[i - 1]):
            rates[i], weights[i] = rates[i - 1], weights[i - 1]
            i -= 1
        rates[i], weights[i] = rate, current
        n += 1
    lasting, i, kept = 0.0, 0, 0
    while i < n:
        rate, total = rates[i], 0.0
        while i < n and rates[i] == rate:
            total += weights[i]
            i += 1
        if rate == 0.0:
            lasting = total
        elif total != 0.0:
            rates[kept], weights[kept] = rate, total
            kept += 1
    return kept, lasting


@scalar
def _comes_before(rate, current, other_rate, other):
    """Tell whether a current is slower than another one, or as slow and larger."""
    if rate != other_rate:
        return rate < other_rate
    return abs(current) > abs(other) or (abs(current) == abs(other) and current > other)


@inner
def _first_above(limit, start, scratch):
    """Return what `crossing_of` does, for at least two currents that decay."""
    turns = _turns(start.n, scratch)
    begin = _at(0.0, start, scratch)
    foot = begin  # whence V falls, if it does, and then rises: from below the threshold, as a rule
    bends_up = (scratch[WEIGHTS, 0] < 0.0) == (turns % 2 == 0)
    for i in range(turns + 1):
        if begin.lag > limit:
            break
        last = i == turns
        end = _in_the_end(start, scratch) if last else _at(scratch[TURNS, i], start, scratch)
        if foot.over >= 0.0 and begin.rise <= 0.0 and bends_up:
            foot = _lowest(begin.lag, end.lag, start, scratch)
        top = _highest(begin, end, bends_up, start, scratch)
        rounding = ROUNDING * min(top.size, LARGEST)
        if top.over > rounding:
            lag, slope = _on_the_way(foot, top, start, scratch)
            return lag, slope, math.inf
        if top.over >= -rounding and top.lag < end.lag:
            again = max(end.lag, ULP / scratch[RATES, start.n - 1])
            return top.lag, TOUCHES, math.inf if last else again
        if end.over < 0.0:
            foot = end
        begin, bends_up = end, not bends_up
    return NEVER


@inner
def _near(start, scratch):
    """Return lag and slope of the crossing if two series lead to it; else (-1, 0)."""
    begin = _expansion(0.0, start, scratch)
    if not begin.rise > 0.0:
        return -1.0, 0.0
    lag = series_root(begin.gap, begin.rise, begin.bend, begin.third, begin.fourth)
    if not 0.0 < lag < LARGEST:
        return -1.0, 0.0
    point = _expansion(lag, start, scratch)
    steady = point.excited >= begin.inhibited or begin.excited <= point.inhibited
    leak = start.beta * point.rise
    if not steady or not surpasses_from(point.gap, point.rise, point.excited + leak, point.size):
        return -1.0, 0.0
    step, error = series_step(
        point.gap, point.rise, point.bend, point.third, point.fourth,
        point.excited + point.inhibited + leak, scratch[RATES, start.n - 1] + start.beta,
    )  # fmt: skip
    if not error < 0.25 * ULP * (lag + step):
        return -1.0, 0.0
    turn = point.bend - step * (point.third / 2.0 - step * point.fourth / 6.0)
    return lag + step, point.rise - step * turn


@inner
def _expansion(lag, start, scratch):
    """Return the `Expansion` at a lag; its rise is 0 where it is the difference of large terms."""
    beta, bias = start.beta, start.bias
    J = bend = third = fourth = excited = inhibited = 0.0
    pushed = largest = largest_push = 0.0
    membrane = 1.0
    for k in range(start.n):
        alpha = scratch[RATES, k]
        synaptic, membrane, h = propagator(lag, alpha, beta)
        current, push = scratch[WEIGHTS, k] * synaptic, scratch[WEIGHTS, k] * h
        J += current
        pushed += push
        falls = alpha * current
        bend += falls
        third += alpha * falls
        fourth += alpha * alpha * falls
        excited += max(falls, 0.0)
        inhibited -= min(falls, 0.0)
        largest, largest_push = max(largest, abs(current)), max(largest_push, abs(push))
    kept = start.potential * membrane
    built = bias * bias_kernel(lag, beta) if bias != 0.0 else 0.0
    v = kept + pushed + built
    size = max(abs(start.threshold), abs(kept), largest_push, abs(built))
    rise = J - (beta * v - bias)
    if rise <= CANCELLED * max(largest, beta * size, abs(bias)):
        rise = 0.0
    bend += beta * rise
    third += beta * bend
    fourth += beta * third
    return Expansion(start.threshold - v, rise, bend, third, fourth, excited, inhibited, size)


@inner
def _highest(begin, end, bends_up, start, scratch):
    """Return where V is highest between two turns, if it rises; else a point far below.

    Where exp(beta t) dV/dt rises that is the end, even if dV/dt is too small there to tell; where
    it falls there may be a peak unless V falls for certain.
    """
    if bends_up or end.rise > 0.0:
        return end
    if begin.rise >= 0.0:
        return _peak(begin, end.lag, start, scratch)
    return Point(begin.lag, -math.inf, 0.0, begin.rise, begin.bend)


@inner
def _on_the_way(foot, top, start, scratch):
    """Return lag and slope of the crossing between two points, the second above the threshold."""
    if foot.over >= 0.0:
        if foot.rise > 0.0:
            return foot.lag, foot.rise
        return foot.lag, top.over / (top.lag - foot.lag)  # all that rounding leaves of the slope
    if top.lag == LARGEST and _at(LARGEST, start, scratch).over < 0.0:
        return math.inf, 0.0  # it comes too late
    if top.lag == LARGEST or -foot.over < top.over:
        lag = foot.lag + _time_to_close(-foot.over, foot.rise, foot.bend - start.beta * foot.rise)
    else:
        lag = top.lag - _time_to_close(top.over, top.rise, start.beta * top.rise - top.bend)
    return _zero(lag, foot.lag, top.lag, start, scratch)


@scalar
def _time_to_close(gap, rise, bend):
    """Return when ``rise t + bend t^2/2`` closes a gap, or ``rise t`` alone; 0: never."""
    square = rise * rise + 2.0 * bend * gap
    if rise > 0.0:
        return 2.0 * gap / (rise + math.sqrt(max(square, 0.0)))
    return (math.sqrt(square) - rise) / bend if bend > 0.0 else 0.0


# --- V, dV/dt and dJ/dt ---------------------------------------------------------------------------


@inner
def _at(lag, start, scratch):
    """Return the `Point` at a lag; dV/dt is 0 where rounding would decide about its sign."""
    weights, rates = scratch[WEIGHTS], scratch[RATES]
    current = charged = bend = late = 0.0
    largest = largest_charge = largest_late = 0.0
    membrane = 1.0
    for k in range(start.n):
        synaptic, membrane, h = propagator(lag, rates[k], start.beta)
        left, charge = weights[k] * synaptic, weights[k] * h
        current += left
        bend -= rates[k] * left
        charged += charge
        late += rates[k] * charge
        largest = max(largest, abs(left))
        largest_charge = max(largest_charge, abs(charge))
        largest_late = max(largest_late, abs(rates[k] * charge))
    kept = start.potential * membrane
    built = start.bias * bias_kernel(lag, start.beta) if start.bias != 0.0 else 0.0
    v = kept + charged + built
    size = max(abs(kept), largest_charge, abs(built))
    fallen = start.slope * membrane
    rise, largest_rate = fallen - late, max(abs(fallen), largest_late)
    largest = max(largest, start.beta * size, abs(start.bias))
    if largest <= largest_rate:
        rise, largest_rate = current - (start.beta * v - start.bias), largest
    if abs(rise) <= UNDECIDED * largest_rate or largest_rate < TINY:
        rise = 0.0
    return Point(lag, v - start.threshold, max(size, abs(start.threshold)), rise, bend)


@inner
def _in_the_end(start, scratch):
    """Return the `Point` for ever after; of its rise, the sign is that of dV/dt in the end."""
    rises = 1.0 if _rises_for_ever(start, scratch) else -1.0
    over, size = _limit_over(start, scratch) if rises > 0.0 else (-math.inf, 0.0)
    return Point(LARGEST, over, size, rises, 0.0)


@inner
def _rises_for_ever(start, scratch):
    """Tell whether V rises in the end.

    dV/dt becomes that of the slowest current, if it decays no faster than V; else that of V.
    """
    slowest = scratch[WEIGHTS, 0]
    if scratch[RATES, 0] <= start.beta:
        return slowest < 0.0
    near, far = start.bias - start.beta * start.potential, start.slope
    near_size, far_size = max(abs(start.bias), abs(start.beta * start.potential)), abs(far)
    for k in range(start.n):
        rate = scratch[RATES, k]
        gain = scratch[WEIGHTS, k] / (rate - start.beta)
        near -= start.beta * gain
        far -= rate * gain
        near_size = max(near_size, abs(start.beta * gain))
        far_size = max(far_size, abs(rate * gain))
    limit = near if near_size <= far_size else far
    return limit > 0.0 or (limit == 0.0 and slowest > 0.0)


@inner
def _limit_over(start, scratch):
    """Return how far the limit of a V that rises for ever lies above the threshold; its size."""
    if start.beta > 0.0 or start.bias > 0.0:
        return limit_above(0.0, start.potential, 1.0, start.beta, start.threshold, start.bias)
    v, size = start.potential, max(abs(start.potential), abs(start.threshold))
    for k in range(start.n):
        charge = scratch[WEIGHTS, k] / scratch[RATES, k]
        v += charge
        size = max(size, abs(charge))
    return v - start.threshold, size


# --- roots ----------------------------------------------------------------------------------------


@scalar
def _newton(lag, value, slope):
    """Return a step of Newton's, or NaN, which lies in no bracket, where there is none."""
    return lag - value / slope if slope != 0.0 else math.nan


@scalar
def _next(low, high, new, steps):
    """Return a step of Newton's in a bracket, or what takes its place.

    That is twice the low end where there is no other yet, and the mean of both, which depends on no
    unit, before it is the bisection that ends in any bracket.
    """
    if high == LARGEST and low > 0.0:
        goes = low < new < high and (steps <= FREE_STEPS or steps % 2 == 1)
        return new if goes else min(2.0 * low, high)
    if high < LARGEST and steps <= FREE_STEPS and not low < new < high:
        new = 0.5 * low + 0.5 * high
    return within(low, high, new, steps)


@inner
def _zero(lag, low, high, start, scratch):
    """Return lag and slope where V, below the threshold at ``low`` and above at ``high``, is at it.

    The slope is carried over the last step: where V grazes the threshold it changes fast.
    """
    steps = 0
    lag = _next(low, high, lag, 0)
    while True:
        point = _at(lag, start, scratch)
        if point.over < 0.0:
            low = lag
        else:
            high = lag
        new = _newton(lag, point.over, point.rise)
        steps += 1
        close = abs(point.over) <= 4.0 * ULP * point.size and low <= new <= high
        if close or abs(new - lag) <= ULP * lag:
            bend = point.bend - start.beta * point.rise
            return new, point.rise + bend * (new - lag)
        new = _next(low, high, new, steps)
        if not low < new < high:
            return lag, point.rise
        lag = new


@inner
def _peak(begin, high, start, scratch):
    """Return a point that tells whether V surpasses the threshold on its way over a peak.

    V rises at ``begin`` and falls at ``high``.  The point lies above the threshold, or is so low
    that the peak lies below, or is as high as the peak, to rounding.
    """
    low, steps, point = begin.lag, 0, begin
    new = low + _time_to_peak(begin, start.beta, scratch[RATES, 0])
    while (steps == 0 and begin.rise == 0.0) or not _tells(point, low, high, start.beta):
        lag = _next(low, high, new, steps)
        if not low < lag < high:
            break
        point = _at(lag, start, scratch)
        if point.rise > 0.0:
            low = lag
        else:
            high = lag
        new = _newton(lag, point.rise, point.bend)
        steps += 1
    return point


@scalar
def _tells(point, low, high, beta):
    """Tell whether V at a point decides about the peak between two lags, one of which it is.

    exp(beta t) dV/dt falls there.  So before the peak dV/dt is at most that of the point, and
    decays with the rate beta; after the peak it is at least that of the point, times an exponential
    that is less than 3 within 1/beta.
    """
    rounding = 4.0 * ULP * point.size
    if point.rise > 0.0:
        gain = point.rise * (high - low)
        gain = min(gain, point.rise / beta) if beta > 0.0 else gain
    else:
        gain = -3.0 * point.rise * (high - low) if beta * (high - low) <= 1.0 else math.inf
    decides = ROUNDING * point.size
    return gain <= rounding or point.over > decides or point.over + gain < -decides


@scalar
def _time_to_peak(begin, beta, rate):
    """Return when V would be highest if all currents decayed with one rate."""
    if begin.bend < 0.0 < begin.rise:
        time = begin.rise / -begin.bend
        stretch = (beta - rate) * time
        if stretch > -0.9:
            return time * log1p_ratio(stretch)
    return 1.0 / (beta + rate)


@inner
def _lowest(low, high, start, scratch):
    """Return the first point between two lags at which V, which falls at first, rises for certain.

    If there is none, the last one tried.
    """
    while True:
        lag = middle(low, high)
        if not low < lag < high:
            point = _at(high, start, scratch)
            return point if point.rise > 0.0 else _at(low, start, scratch)
        if _at(lag, start, scratch).rise > 0.0:
            high = lag
        else:
            low = lag


# --- the turns of J -------------------------------------------------------------------------------


@inner
def _turns(n, scratch):
    """Write down the lags at which dJ/dt changes its sign, in order; return their number.

    The chain of the proof is climbed from its end; a sum of ``terms`` terms has lost all faster
    ones.
    """
    turns = 0
    for terms in range(2, n + 1):
        _write_terms(terms, n, scratch)
        turns = _turns_of_sum(terms, turns, scratch)
    return turns


@inner
def _write_terms(terms, n, scratch):
    """Write down the coefficients of -dJ/dt without its n - terms fastest rates.

    In units in which that of the slowest current is the current itself.
    """
    weights, rates = scratch[WEIGHTS], scratch[RATES]
    for k in range(terms):
        term = weights[k] * (rates[k] / rates[0])
        for i in range(terms, n):
            term *= (rates[i] - rates[k]) / (rates[i] - rates[0])
        scratch[TERMS, k] = term


@inner
def _turns_of_sum(terms, before, scratch):
    """Put the zeros of a sum in the place of those of the next one in the chain."""
    turns = scratch[TURNS]
    low, found = 0.0, 0
    sign = _sum(low, terms, scratch)[0]
    for i in range(before + 1):
        if i < before:
            high = turns[i]
            there = _sum_at_turn(high, terms, scratch)
        else:
            high, there = max(low, _settled(terms, scratch)), scratch[TERMS, 0]
        if sign == 0.0:
            sign = there
        elif there != 0.0 and (sign > 0.0) != (there > 0.0):
            turns[found] = high if terms == 2 else _turn(low, high, sign, terms, scratch)
            sign = there
            found += 1
        low = high
    return found


@inner
def _sum(lag, terms, scratch):
    """Return a sum over its slowest exponential, its largest term, and the next one in the chain.

    The factor of the latter is what makes the quotient of the two a step of Newton's.
    """
    rates = scratch[RATES]
    total = largest = following = 0.0
    for k in range(terms):
        term = scratch[TERMS, k] * math.exp(-(rates[k] - rates[0]) * lag)
        total += term
        largest = max(largest, abs(term))
        following += (rates[terms - 1] - rates[k]) * term
    return total, largest, following


@inner
def _sum_at_turn(lag, terms, scratch):
    """Return a sum, to its sign, at a zero of the next one in the chain.

    Any multiple of that may be added there: what leaves out the term of one rate may keep digits
    that cancel in the sum.
    """
    rates = scratch[RATES]
    best, largest, _ = _sum(lag, terms, scratch)
    share = abs(best) / largest
    for left_out in range(terms - 1):
        if share > 1e-3:
            break
        total = largest = 0.0
        for k in range(terms):
            term = scratch[TERMS, k] * math.exp(-(rates[k] - rates[0]) * lag)
            term *= (rates[k] - rates[left_out]) / (rates[terms - 1] - rates[left_out])
            total += term
            largest = max(largest, abs(term))
        if abs(total) > share * largest:
            best, share = total, abs(total) / largest
    return best


@inner
def _settled(terms, scratch):
    """Return a lag from which on the slowest term outweighs all those of the other sign.

    Of two terms it is their zero.
    """
    rates, slowest = scratch[RATES], scratch[TERMS, 0]
    others, lag = 0, 0.0
    for k in range(1, terms):
        others += (scratch[TERMS, k] > 0.0) != (slowest > 0.0)
    for k in range(1, terms):
        term = scratch[TERMS, k]
        if (term > 0.0) != (slowest > 0.0):
            lag = max(lag, _log_ratio(others * abs(term), abs(slowest)) / (rates[k] - rates[0]))
    return lag


@scalar
def _log_ratio(a, b):
    """Return log(a/b), however large or small the quotient."""
    ratio = a / b
    return math.log(ratio) if 0.0 < ratio < math.inf else math.log(a) - math.log(b)


@inner
def _turn(low, high, sign, terms, scratch):
    """Return the zero of a sum between two lags; ``sign`` is its sign before."""
    lag, steps = 0.75 * low + 0.25 * high, 0
    while True:
        total, largest, following = _sum(lag, terms, scratch)
        if abs(total) <= 2.0 * ULP * largest:
            return lag
        if (total > 0.0) == (sign > 0.0):
            low = lag
        else:
            high = lag
        new = _newton(lag, total, following)
        steps += 1
        new = _next(low, high, new, steps)
        if not low < new < high:
            return high
        lag = new
