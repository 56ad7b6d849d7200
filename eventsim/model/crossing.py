r"""The first threshold crossing after an event: never missed, exact to rounding.

Proof that no crossing is lost
------------------------------
Let :math:`x = \theta - V > 0` at the start and :math:`I_\theta = \beta\theta - c`, the current that
holds V at threshold.  Then :math:`\frac{d}{dt}(e^{\beta t} x) = -e^{\beta t}(I - I_\theta)`, so V
can surpass the threshold only while :math:`I > I_\theta`.  Since :math:`I = I_0 e^{-\alpha t}` is
monotone, this is one interval, and these cases are all there are:

1. *A constant drive* (:math:`\alpha = 0` or :math:`I_0 = 0`).  V is an exponential: a crossing
   exists iff :math:`I_0 > I_\theta`, and its time has a closed form.
2. *Excitation* (:math:`\alpha > 0, I_0 > 0`).  :math:`e^{\beta t}\dot V` falls, its derivative
   being :math:`-\alpha I e^{\beta t}`.  So V never rises if :math:`\dot V(0) \le 0`; else it rises
   to one maximum at :math:`t^* = \log(1 + \delta r)/\delta`, with :math:`\delta = \beta - \alpha`,
   :math:`r = \dot V(0)/(\alpha I_0)`, or for ever if :math:`1 + \delta r \le 0`.  A crossing exists
   iff V at the maximum, or in the limit, surpasses the threshold.  On the way V is concave
   (:math:`\ddot V = -\alpha I - \beta\dot V < 0`), so Newton's iteration from the left of the
   crossing rises to it.  And :math:`-\ddot V` falls, so from a point where V rises it gains at
   least :math:`\dot V^2/(-2\ddot V)`: enough to tell of most crossings that there is one.
3. *Inhibition* (:math:`\alpha > 0, I_0 < 0`).  I rises towards 0: without :math:`I_\theta < 0`
   there is no crossing, and with it V ends above the threshold, so there is one.  From some time on
   the drive :math:`I - I_\theta` is more than :math:`-I_\theta/2`, and the crossing comes before
   such a drive alone would have carried V from there to the threshold.

In 2 and 3 the crossing is the only zero of x between 0 and that end: x is positive at first, and
once :math:`e^{\beta t} x` falls, it falls until the end.

Rounding
--------
1 + delta r cancels where one rate is far above the other; it is
:math:`\beta/\alpha - (\delta/\alpha)(\beta V_0 - c)/I_0` too, and the form is taken that
keeps its digits.  Whether V surpasses the threshold is decided where it is highest, against 2^-42
of the largest term of V there (of :math:`\theta`, :math:`V_0 e^{-\beta t}`, :math:`I_0 h`,
:math:`c b`).  What comes closer, from either side, is a *touch*: rounding alone would decide, so it
is no spike in any engine, and it is counted (where V comes to the threshold in the limit, when it
has come there).  (V at its threshold is no spike either: it does not
surpass it, and the slope, by which every gradient divides, is 0.)

Every search ends
-----------------
Newton's steps stay in a bracket, one end of which moves to each point tried.  A step that leaves
the bracket, and every second one after the twelfth, is replaced by a bisection, of the exponents
where the ends lie far apart.  There are less than 2^64 numbers in the bracket and a bisection
leaves at most about half of them, so at most some 150 steps are made.

As a rule no iteration is needed.  All derivatives of V follow from I and :math:`\dot V`; where its
series to the fourth order reaches the threshold, a second series, reversed, leads to the crossing.
With :math:`|V^{(n)}| \le M \rho^{n-2}` the terms of the reversed series are smaller than those of
the solution of :math:`t - m t^2/(1 - m t) = u`, with :math:`u = x/\dot V`,
:math:`m = M/(2\dot V) + \rho/3`: :math:`u, m u^2, 3 m^2 u^3, 11 m^3 u^4, 45 m^4 u^5, \dots`,
each less than :math:`6 m u` times the one before.  So with :math:`m u < 1/20` what is left out is
less than :math:`64 m^4 u^5`.  For one current :math:`M = -\ddot V, \rho = \alpha + \beta`.

Where one rate is twice the other (Yamamoto et al., Eq. 19) V is a quadratic in
:math:`y = 1 - e^{-\rho t}`, :math:`\rho = \min(\alpha, \beta)`; the root is taken from it where
:math:`y \le 1/2` (further on y loses the digits of the lag).
"""

from __future__ import annotations

import math
import sys

from eventsim._support.compile import scalar
from eventsim.model.flow import bias_kernel, exponential, flow, propagator

__all__ = [
    "CANCELLED",
    "FREE_STEPS",
    "LARGEST",
    "ROUNDING",
    "SMALLEST",
    "TOUCHES",
    "ULP",
    "above",
    "crossing_within",
    "earliest_crossing",
    "just_after",
    "limit_above",
    "log1p_ratio",
    "middle",
    "next_crossing",
    "rise_after",
    "searched_crossing_within",
    "series_root",
    "series_step",
    "spike_time",
    "surpasses_from",
    "within",
]

NEVER = (math.inf, 0.0)

# As the slope of a crossing: the potential only touches the threshold.
TOUCHES = -1.0

# Of the largest term of V: what rounding may decide.
ROUNDING = 2.0**-42

ULP = 2.0**-52

# Of its larger term: below, dV/dt has lost digits.
CANCELLED = 1e-3

# Newton's steps before every second one is a bisection.
FREE_STEPS = 12

LARGEST, SMALLEST = sys.float_info.max, 5e-324

# Half of an ulp is between 1/2 and 1 of it: three halves of that round to one ulp.
_NEXT = 1.5 * 2.0**-53


@scalar
def just_after(time):
    """Return the next larger number than ``time`` >= 0."""
    return time + max(_NEXT * time, SMALLEST)


@scalar
def spike_time(now, lag):
    """Return ``now + lag``; a spike lies strictly after what releases it, if only by rounding."""
    return max(now + lag, just_after(now))


@scalar
def earliest_crossing(current, potential, alpha, beta, threshold, bias):
    """Return a cheap lower bound on the lag of the next crossing; ``inf`` only if there is none.

    Where V rises and is concave it stays below its tangent, whose crossing is the bound (less
    a margin for rounding); elsewhere the bound is 0.
    """
    if threshold == math.inf:
        return math.inf
    holding = beta * threshold - bias
    if current <= holding and (holding >= 0.0 or alpha == 0.0):
        return math.inf
    slope = current - beta * potential + bias
    if slope <= 0.0:
        return math.inf if holding >= 0.0 else 0.0
    if potential >= threshold or (current < 0.0 and _bends_up(current, slope, alpha, beta)):
        return 0.0
    if _peak_stays_below(current, slope, alpha, beta, holding):
        return math.inf
    return (threshold - potential) / slope * (1.0 - 1e-12)


@scalar
def _bends_up(current, slope, alpha, beta):
    """Tell whether an inhibited potential that rises is convex: alpha I + beta dV/dt < 0."""
    return alpha * (-current / slope) > beta


@scalar
def next_crossing(current, potential, alpha, beta, threshold, bias):
    """Return ``(lag, slope)`` of the next crossing of the threshold from below.

    ``lag`` is ``inf`` where the potential never surpasses the threshold; ``slope`` is dV/dt at the
    crossing, or `TOUCHES` if the potential only touches the threshold then.  A potential that
    stands at the threshold already (rounding of an earlier flow) and rises crosses at lag 0.
    """
    return crossing_within(math.inf, current, potential, alpha, beta, threshold, bias)


@scalar
def crossing_within(limit, current, potential, alpha, beta, threshold, bias):
    """Return the `next_crossing`, or ``(inf, 0)`` as soon as it is known to lie beyond ``limit``.

    A lag beyond the limit may be returned too.
    """
    return _crossing(limit, current, potential, alpha, beta, threshold, bias, True)


@scalar
def searched_crossing_within(limit, current, potential, alpha, beta, threshold, bias):
    """Return what `crossing_within` does, to rounding, by a search alone.

    For devices: series would take registers, and threads of a warp apart.
    """
    return _crossing(limit, current, potential, alpha, beta, threshold, bias, False)


@scalar
def _crossing(limit, current, potential, alpha, beta, threshold, bias, by_series):
    slope = current - beta * potential + bias
    if current >= 0.0 and slope * limit < (threshold - potential) * (1.0 - 1e-12):
        return NEVER  # where V rises it is concave: it stays below its tangent
    bound = earliest_crossing(current, potential, alpha, beta, threshold, bias)
    if bound > limit or bound == math.inf:
        return NEVER
    holding = beta * threshold - bias
    if alpha == 0.0 or current == 0.0:
        return _under_constant_drive(current, potential, beta, threshold, bias, slope)
    if current < 0.0:
        lag = _after_inhibition(current, potential, alpha, beta, threshold, bias, slope)
    elif slope <= 0.0:
        return NEVER
    else:
        twice = (beta == 2.0 * alpha or alpha == 2.0 * beta) and potential < threshold
        lag = math.nan
        if twice:
            lag = _quadratic_crossing(current, potential, alpha, beta, threshold, bias, slope)
        if math.isnan(lag) and by_series:
            lag = _near(current, potential, alpha, beta, threshold, bias, slope)
        if math.isnan(lag):
            lag = _before_the_maximum(current, potential, alpha, beta, threshold, bias, slope)
    if lag == math.inf:
        return NEVER
    if lag < 0.0:
        return -lag, TOUCHES
    if lag == 0.0:
        return 0.0, slope
    # Where few digits cancel, as a rule, one exponential is enough.
    there = current * exponential(-alpha * lag)
    if there - holding > CANCELLED * max(abs(there), abs(holding)):
        return lag, there - holding
    synaptic, membrane, h = propagator(lag, alpha, beta)
    return lag, rise_after(current, synaptic, membrane, h, alpha, slope, holding)


@scalar
def rise_after(current, synaptic, membrane, h, alpha, slope, held):
    """Return dV/dt after a flow, given ``held``, the current that would hold V where it is.

    It is ``I - held``, and ``slope exp(-beta t) - alpha I(0) h(t)`` as well: the one that keeps
    more digits is taken.
    """
    there = current * synaptic
    rise, size = there - held, max(abs(there), abs(held))
    if abs(rise) > CANCELLED * size:
        return rise
    kept, pushed = slope * membrane, alpha * current * h
    return rise if size <= max(abs(kept), abs(pushed)) else kept - pushed


@scalar
def _peak_stays_below(current, slope, alpha, beta, holding):
    """Tell, without a logarithm, that the maximum of V lies clearly below the threshold.

    At the maximum ``I* = I0 / (1 + delta r)^p`` with ``p = alpha/delta``, and V* surpasses the
    threshold iff I* surpasses the holding current.  The binomial series of the power bounds it from
    below: at any order for ``delta <= 0`` (all terms are positive), at order n for ``p >= n``.
    The margin of 1e-12 leaves every case that rounding could decide to the full search: this test
    only saves work.
    """
    if holding <= 0.0 or alpha <= 0.0:
        return False
    y = slope / current
    q = (beta - alpha) / alpha
    if q <= 0.25:
        tail = 1.0 + y * (1.0 - 3.0 * q) * 0.25
        power = 1.0 + y * (1.0 + y * (1.0 - q) * 0.5 * (1.0 + y * (1.0 - 2.0 * q) / 3.0 * tail))
    elif q <= 1.0:
        power = 1.0 + y
    else:
        return False
    return current < holding * power * (1.0 - 1e-12)


@scalar
def _under_constant_drive(current, potential, beta, threshold, bias, slope):
    """Return ``(lag, slope)`` of the crossing in case 1 of the proof."""
    drive = current - (beta * threshold - bias)
    rounding = ROUNDING * max(abs(current), abs(beta * threshold), abs(bias))
    gap = threshold - potential
    if drive <= rounding:
        return NEVER  # or V would come to the threshold in the end
    if gap <= 0.0:
        return 0.0, drive
    # V' falls from `slope` to `drive`, by beta times the gap.
    slope = drive + beta * gap
    part = beta * gap / slope
    if part < 0.5:
        return gap / slope * log1p_ratio(-part), drive
    return math.log(slope / drive) / beta, drive


@scalar
def _before_the_maximum(current, potential, alpha, beta, threshold, bias, slope):
    """Return the lag of the crossing in case 2, -lag of a touch, or ``inf``."""
    peak = _peak(current, potential, alpha, beta, threshold, bias, slope)
    if peak <= LARGEST:
        top_current, excess, size = above(peak, current, potential, alpha, beta, threshold, bias)
    else:
        top_current = 0.0
        excess, size = limit_above(current, potential, alpha, beta, threshold, bias)
    rounding = ROUNDING * min(size, LARGEST)
    if excess <= rounding:
        return -max(peak, SMALLEST) if excess >= -rounding else math.inf
    if potential >= threshold:
        return 0.0
    gap = threshold - potential
    if beta == 0.0 and bias == 0.0:
        return _without_leak(gap, alpha, current)
    start = gap / slope
    if peak <= LARGEST:
        # Below the parabola of the maximum as well: left of the crossing too, and better near it.
        end, bend = peak, alpha * top_current
        if bend > 0.0:
            start = max(start, peak - math.sqrt(2.0 * excess / bend))
    else:
        end = min(_latest(gap, beta, bias - beta * threshold), LARGEST)
        if _is_too_late(end, current, potential, alpha, beta, threshold, bias):
            return math.inf
    return _zero(min(start, end), end, current, potential, alpha, beta, threshold, bias, slope)


@scalar
def _near(current, potential, alpha, beta, threshold, bias, slope):
    """Return the lag in case 2 if two series lead to it; NaN where others have to decide."""
    bend = alpha * current + beta * slope
    third = alpha * alpha * current + beta * bend
    fourth = alpha * alpha * alpha * current + beta * third
    lag = series_root(threshold - potential, slope, bend, third, fourth)
    if not 0.0 < lag < LARGEST:
        return math.nan
    synaptic, membrane, h = propagator(lag, alpha, beta)
    there, kept, pushed = current * synaptic, potential * membrane, current * h
    built = bias * bias_kernel(lag, beta) if bias != 0.0 else 0.0
    v, size = kept + pushed + built, max(abs(threshold), abs(kept), pushed, abs(built))
    gap, held = threshold - v, beta * v - bias
    rise = there - held
    bend = alpha * there + beta * rise
    if rise <= CANCELLED * max(there, abs(held)) or not surpasses_from(gap, rise, bend, size):
        return math.nan
    third = alpha * alpha * there + beta * bend
    fourth = alpha * alpha * alpha * there + beta * third
    step, error = series_step(gap, rise, bend, third, fourth, bend, alpha + beta)
    lag += step
    return lag if error < 0.25 * ULP * lag else math.nan


@scalar
def surpasses_from(gap, rise, bend, size):
    """Tell whether V clearly surpasses the threshold on its way up from a point, ``gap`` below it.

    ``bend`` is the most that -V'' can be further on.
    """
    return rise > 0.0 and 2.0 * bend * (gap + 2.0 * ROUNDING * size) < rise * rise


@scalar
def series_root(gap, slope, bend, third, fourth):
    """Return about when V closes a gap: where its series to the fourth order does.

    The derivatives of V are ``slope``, ``-bend``, ``third`` and ``-fourth``.
    """
    lag = 2.0 * gap / (slope + math.sqrt(max(slope * slope - 2.0 * bend * gap, 0.0)))
    for _ in range(2):
        risen = lag * (slope - lag * (bend / 2.0 - lag * (third / 6.0 - lag * fourth / 24.0)))
        lag += (gap - risen) / (slope - lag * (bend - lag * (third / 2.0 - lag * fourth / 6.0)))
    return lag


@scalar
def series_step(gap, slope, bend, third, fourth, most, rate):
    """Return when V closes a gap, by its series reversed, and more than the error of that.

    The series is of the fourth order.  The derivatives are those of `series_root`; the n-th one is
    ``most * rate**(n - 2)`` at most.
    """
    straight = gap / slope
    part = straight / slope
    second = 0.5 * bend * part
    third *= straight * part / 6.0
    fourth *= straight * straight * part / 24.0
    more = second * (5.0 * (second * second - third)) + fourth
    step = straight * (1.0 + (second + ((2.0 * second * second - third) + more)))
    m = 0.5 * most * abs(part) + rate / 3.0 * abs(straight)
    return step, 64.0 * m * m * m * m * abs(straight) if m < 0.05 else math.inf


@scalar
def _is_too_late(end, current, potential, alpha, beta, threshold, bias):
    """Tell whether V is below the threshold at the largest number, where a bracket ends there."""
    return end == LARGEST and above(end, current, potential, alpha, beta, threshold, bias)[1] < 0.0


@scalar
def _without_leak(gap, alpha, current):
    """Return when ``current (1 - exp(-alpha t))/alpha`` fills a gap that it does fill."""
    part = alpha * gap / current
    if part < 0.5:
        return gap / current * log1p_ratio(-part)
    return -math.log1p(-part) / alpha


@scalar
def _latest(gap, beta, drive):
    """Return when a drive, I - I_theta, closes a gap to the threshold if it stays as it is."""
    part = beta * max(0.0, gap) / drive
    return math.log1p(part) / beta if part > 1e-200 else max(0.0, gap) / drive


@scalar
def _peak(current, potential, alpha, beta, threshold, bias, slope):
    """Return when an excited potential that rises is highest; ``inf`` if it rises for ever."""
    delta = beta - alpha
    ratio = slope / current / alpha
    if delta == 0.0:
        return ratio  # which may be infinite
    stretch = delta * ratio
    if stretch > 1e300:
        # The current hardly decays: numbers of this size may overflow.
        larger = math.log(delta) + math.log(slope) - math.log(alpha) - math.log(current)
        return larger / delta
    if stretch > -0.5:
        return ratio * log1p_ratio(stretch)
    rest = beta / alpha - delta / alpha * ((beta * potential - bias) / current)
    if abs(rest) < 1e-300:
        # Nothing is left of the current then, and nothing has leaked: V stands still for long.
        plateau = 700.0 / alpha
        excess = above(plateau, current, potential, alpha, beta, threshold, bias)[1]
        return plateau if excess > 0.0 or bias <= beta * threshold else math.inf
    return math.log(rest) / delta if rest > 0.0 else math.inf


@scalar
def above(lag, current, potential, alpha, beta, threshold, bias):
    """Return I, how far V lies above the threshold, and the largest term of V, at a lag."""
    synaptic, membrane, h = propagator(lag, alpha, beta)
    kept, pushed = potential * membrane, current * h
    built = bias * bias_kernel(lag, beta) if bias != 0.0 else 0.0
    size = max(abs(threshold), abs(kept), abs(pushed), abs(built))
    return current * synaptic, kept + pushed + built - threshold, size


@scalar
def limit_above(current, potential, alpha, beta, threshold, bias):
    """Return how far the limit of a potential that rises for ever lies above the threshold."""
    if beta > 0.0:  # in units of beta: the limit itself may not fit
        return bias - beta * threshold, max(abs(beta * threshold), abs(bias))
    if bias > 0.0:
        return math.inf, abs(threshold)
    pushed = current / alpha
    return potential + pushed - threshold, max(abs(threshold), abs(potential), pushed)


@scalar
def _quadratic_crossing(current, potential, alpha, beta, threshold, bias, slope):
    """Return the lag in case 2 if one rate is twice the other; NaN where others have to decide.

    There ``rate V = rate V0 + slope y - q y^2`` with ``y = 1 - exp(-rate t)``; the smaller root is
    the crossing.
    """
    rate = min(alpha, beta)
    q = current if alpha > beta else current + 0.5 * bias - rate * potential
    gap = rate * (threshold - potential)
    square, four = slope * slope, 4.0 * q * gap
    discriminant = square - four
    rounding = ROUNDING * (4.0 * rate * abs(q) * max(abs(threshold), abs(potential)) + square)
    if discriminant < -rounding:
        return math.inf
    if discriminant <= rounding:
        return math.nan
    y = 2.0 * gap / (slope + math.sqrt(discriminant))
    return -math.log1p(-y) / rate if y <= 0.5 else math.nan


@scalar
def _after_inhibition(current, potential, alpha, beta, threshold, bias, slope):
    """Return the lag of the crossing in case 3, or ``inf``."""
    holding = beta * threshold - bias
    if holding >= -ROUNDING * max(abs(beta * threshold), abs(bias)):
        return math.inf  # V comes to the threshold in the end
    if potential >= threshold:
        if slope > 0.0:
            return 0.0
        threshold = potential + ULP * abs(potential)  # it falls, and comes back
        holding = beta * threshold - bias
    ratio = current / holding
    begun = min(math.log(2.0 * ratio) / alpha, LARGEST) if ratio > 0.5 else 0.0
    gap = threshold - flow(current, potential, begun, alpha, beta, bias)[1]
    end = min(begun + _latest(gap, beta, -0.5 * holding), LARGEST)
    if gap > 0.0 and _is_too_late(end, current, potential, alpha, beta, threshold, bias):
        return math.inf
    start = begun
    if slope > 0.0 and not _bends_up(current, slope, alpha, beta):
        start = min((threshold - potential) / slope, end)  # V is concave already
    return _zero(start, end, current, potential, alpha, beta, threshold, bias, slope)


@scalar
def _zero(lag, high, current, potential, alpha, beta, threshold, bias, slope):
    """Return the lag before ``high`` at which V reaches the threshold, once and from below.

    It starts from ``lag`` and ends as the docstring of this module proves.
    """
    low, steps = 0.0, 0
    while True:
        synaptic, membrane, h = propagator(lag, alpha, beta)
        v = potential * membrane + current * h
        if bias != 0.0:
            v += bias * bias_kernel(lag, beta)
        gap = threshold - v
        if gap > 0.0:
            low = lag
        else:
            high = lag
        new = lag + gap / rise_after(current, synaptic, membrane, h, alpha, slope, beta * v - bias)
        steps += 1
        close = abs(gap) <= 4.0 * ULP * abs(threshold) and low <= new <= high
        if close or abs(new - lag) <= ULP * lag:
            return new
        new = within(low, high, new, steps)
        if not low < new < high:
            return lag
        lag = new


@scalar
def within(low, high, new, steps):
    """Return a step of Newton's, or that of a bisection in its place, after so many of them.

    Where no number lies between the ends, neither does what is returned.
    """
    if not low < new < high or (steps > FREE_STEPS and steps % 2 == 0):
        return middle(low, high)
    return new


@scalar
def middle(low, high):
    """Return a number between two, that of the mean exponent where they lie far apart."""
    if high > 4.0 * low:
        return math.sqrt(max(low, SMALLEST)) * math.sqrt(high)
    return low + 0.5 * (high - low)


@scalar
def log1p_ratio(x):
    """Return log(1 + x)/x, 1 at x = 0."""
    return 1.0 if x == 0.0 else math.log1p(x) / x
