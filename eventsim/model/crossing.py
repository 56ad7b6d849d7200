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
   crossing rises to it.
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

Where one rate is twice the other (Yamamoto et al., Eq. 19) V is a quadratic in
:math:`y = 1 - e^{-\rho t}`, :math:`\rho = \min(\alpha, \beta)`; the root is taken from it where
:math:`y \le 1/2` (further on y loses the digits of the lag).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from eventsim._support.compile import loop, scalar
from eventsim._support.types import FloatArray
from eventsim._support.validate import as_broadcast, as_floats, require
from eventsim.model.flow import bias_kernel, flow, propagator

__all__ = [
    "ROUNDING",
    "TOUCHES",
    "crossing_within",
    "earliest_crossing",
    "first_crossing",
    "just_after",
    "next_crossing",
    "spike_time",
]

NEVER = (math.inf, 0.0)

# As the slope of a crossing: the potential only touches the threshold.
TOUCHES = -1.0

# Of the largest term of V: what rounding may decide.
ROUNDING = 2.0**-42

ULP = 2.0**-52
SPLIT = 2.0**27 + 1.0  # halves the digits of a number

# Newton's steps before every second one is a bisection.
FREE_STEPS = 12

LARGEST, SMALLEST = float(np.finfo(np.float64).max), 5e-324

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
    bound = earliest_crossing(current, potential, alpha, beta, threshold, bias)
    if bound > limit or bound == math.inf:
        return NEVER
    holding = beta * threshold - bias
    slope = current - beta * potential + bias
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
        if math.isnan(lag):
            lag = _before_the_maximum(current, potential, alpha, beta, threshold, bias, slope)
    if lag == math.inf:
        return NEVER
    if lag < 0.0:
        return -lag, TOUCHES
    if lag == 0.0:
        return 0.0, slope
    # Where few digits cancel, as a rule, one exponential is enough.
    there = current * math.exp(-alpha * lag)
    if there - holding > 1e-3 * max(abs(there), abs(holding)):
        return lag, there - holding
    synaptic, membrane, h = propagator(lag, alpha, beta)
    return lag, _rise(current, synaptic, membrane, h, alpha, slope, holding)


@scalar
def _rise(current, synaptic, membrane, h, alpha, slope, held):
    """Return dV/dt after a flow, given ``held``, the current that would hold V where it is.

    It is ``I - held``, and ``slope exp(-beta t) - alpha I(0) h(t)`` as well: the one that keeps
    more digits is taken.
    """
    there = current * synaptic
    rise, size = there - held, max(abs(there), abs(held))
    if abs(rise) > 1e-3 * size:
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
        return gap / slope * _log1p_ratio(-part), drive
    return math.log(slope / drive) / beta, drive


@scalar
def _before_the_maximum(current, potential, alpha, beta, threshold, bias, slope):
    """Return the lag of the crossing in case 2, -lag of a touch, or ``inf``."""
    peak = _peak(current, potential, alpha, beta, threshold, bias, slope)
    if peak <= LARGEST:
        top_current, excess, size = _above(peak, current, potential, alpha, beta, threshold, bias)
    else:
        top_current = 0.0
        excess, size = _limit_above(current, potential, alpha, beta, threshold, bias)
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
def _is_too_late(end, current, potential, alpha, beta, threshold, bias):
    """Tell whether V is below the threshold at the largest number, where a bracket ends there."""
    return end == LARGEST and _above(end, current, potential, alpha, beta, threshold, bias)[1] < 0.0


@scalar
def _without_leak(gap, alpha, current):
    """Return when ``current (1 - exp(-alpha t))/alpha`` fills a gap that it does fill."""
    part = alpha * gap / current
    if part < 0.5:
        return gap / current * _log1p_ratio(-part)
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
        return ratio * _log1p_ratio(stretch)
    rest = beta / alpha - delta / alpha * ((beta * potential - bias) / current)
    if abs(rest) < 1e-300:
        # Nothing is left of the current then, and nothing has leaked: V stands still for long.
        plateau = 700.0 / alpha
        excess = _above(plateau, current, potential, alpha, beta, threshold, bias)[1]
        return plateau if excess > 0.0 or bias <= beta * threshold else math.inf
    return math.log(rest) / delta if rest > 0.0 else math.inf


@scalar
def _above(lag, current, potential, alpha, beta, threshold, bias):
    """Return I, how far V lies above the threshold, and the largest term of V, at a lag."""
    synaptic, membrane, h = propagator(lag, alpha, beta)
    kept, pushed = potential * membrane, current * h
    built = bias * bias_kernel(lag, beta) if bias != 0.0 else 0.0
    size = max(abs(threshold), abs(kept), abs(pushed), abs(built))
    return current * synaptic, kept + pushed + built - threshold, size


@scalar
def _limit_above(current, potential, alpha, beta, threshold, bias):
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
        new = lag + gap / _rise(current, synaptic, membrane, h, alpha, slope, beta * v - bias)
        steps += 1
        close = abs(gap) <= 4.0 * ULP * abs(threshold) and low <= new <= high
        if close or abs(new - lag) <= ULP * lag:
            return new
        if not low < new < high or (steps > FREE_STEPS and steps % 2 == 0):
            new = _middle(low, high)
            if not low < new < high:
                return lag
        lag = new


@scalar
def _middle(low, high):
    """Return a number between two, that of the mean exponent where they lie far apart."""
    if high > 4.0 * low:
        return math.sqrt(max(low, SMALLEST)) * math.sqrt(high)
    return low + 0.5 * (high - low)


@scalar
def _log1p_ratio(x):
    """Return log(1 + x)/x, 1 at x = 0."""
    return 1.0 if x == 0.0 else math.log1p(x) / x


@scalar
def _scaled(value, exponent):
    """Return ``value`` times a power of two; infinite where it is too large."""
    if math.frexp(value)[1] + exponent > 1024 and value != 0.0:
        return math.copysign(math.inf, value)
    return math.ldexp(value, exponent)


@scalar
def _in_any_units(current, potential, alpha, beta, threshold, bias):
    """Return the lag of the next crossing, computed in units in which nothing overflows.

    They are powers of two, which change no digits.  NaN: no units hold these numbers.
    """
    if threshold == math.inf:
        return math.inf
    unit = _exponent(max(abs(threshold), abs(potential)))
    pace = _exponent(max(alpha, beta))
    if current >= 0.0 or alpha == 0.0:
        # Where the drive is so strong that time constants hardly matter, it sets the pace.
        strongest = _exponent(max(abs(current), abs(bias)) / _scaled(1.0, unit))
        pace = strongest if abs(strongest) > abs(pace) else pace
    drive, built = _scaled(current, -unit - pace), _scaled(bias, -unit - pace)
    if not (abs(drive) < math.inf and abs(built) < math.inf):
        return math.nan
    potential, threshold = _scaled(potential, -unit), _scaled(threshold, -unit)
    alpha, beta = _scaled(alpha, -pace), _scaled(beta, -pace)
    lag, slope = next_crossing(drive, potential, alpha, beta, threshold, built)
    if slope == TOUCHES:
        return math.inf
    if 4.0 < max(alpha, beta) * lag < math.inf:
        lag = _polished(lag, drive, potential, alpha, beta, threshold, built)
    return max(_scaled(lag, -pace), SMALLEST)


@scalar
def _polished(lag, current, potential, alpha, beta, threshold, bias):
    """Return a late crossing after Newton's steps that see the digits which exponents lack."""
    slope, held = current - beta * potential + bias, beta * threshold - bias
    for _ in range(3):
        synaptic, membrane, h = propagator(lag, alpha, beta)
        _, above, _ = _above(lag, current, potential, alpha, beta, threshold, bias)
        above += _left_out(lag, current, potential, alpha, beta, bias, synaptic, membrane, h)
        rise = _rise(current, synaptic, membrane, h, alpha, slope, held)
        step = above / rise
        if abs(step) < 1e-6 * lag:
            lag -= step
    return lag


@scalar
def _left_out(lag, current, potential, alpha, beta, bias, synaptic, membrane, h):
    """Return what V lacks since the exponents ``rate lag`` were rounded: some 2^-53 of each."""
    of_synaptic, of_membrane = -_product_error(alpha, lag), -_product_error(beta, lag)
    if abs(beta - alpha) * lag < 0.5:  # where all is made from one exponential
        of_membrane = of_synaptic if alpha <= beta else of_membrane
        of_h = h * of_membrane
    else:
        of_h = (synaptic * of_synaptic - membrane * of_membrane) / (beta - alpha)
    lacks = potential * membrane * of_membrane + current * of_h
    return lacks - bias / beta * membrane * of_membrane if bias != 0.0 and beta > 0.0 else lacks


@scalar
def _product_error(rate, lag):
    """Return ``rate lag`` less its rounded value (Dekker), where that is neither tiny nor huge."""
    product = rate * lag
    if not (1.0 < product < 750.0 and 1e-290 < lag < 1e290):
        return 0.0
    a, b = SPLIT * rate, SPLIT * lag
    high, upper = a - (a - rate), b - (b - lag)
    low, lower = rate - high, lag - upper
    return ((high * upper - product) + high * lower + low * upper) + low * lower


@scalar
def _exponent(value):
    """Return the exponent of a value so large or small that products with it may not fit, or 0."""
    exponent = math.frexp(value)[1] if 0.0 < value < math.inf else 0
    return exponent if abs(exponent) > 450 else 0


@loop
def _first_crossings(current, potential, alpha, beta, threshold, bias, t_max, out):
    for k in range(out.size):
        lag = _in_any_units(current[k], potential[k], alpha[k], beta[k], threshold[k], bias[k])
        out[k] = math.inf if lag > t_max[k] else lag


def first_crossing(
    current: ArrayLike,
    potential: ArrayLike,
    alpha: ArrayLike,
    beta: ArrayLike,
    threshold: ArrayLike,
    bias: ArrayLike = 0.0,
    t_max: ArrayLike = np.inf,
) -> FloatArray | np.float64:
    """Return the first time in (0, t_max] at which the potential surpasses the threshold.

    Parameters
    ----------
    current, potential : array_like
        Synaptic current I(0) and membrane potential V(0) < threshold.
    alpha, beta : array_like
        Rates ``1/tau_syn`` and ``1/tau_mem`` >= 0 (0: an infinite time constant).
    threshold : array_like
        Firing threshold (``inf``: never fires).
    bias : array_like, optional
        Bias current.
    t_max : array_like, optional
        End of the search.  All arguments broadcast against each other.

    Returns
    -------
    ndarray of float64
        Time of the crossing; ``inf`` where there is none.

    Raises
    ------
    ValueError
        If an argument is no real number, or NaN, a rate is negative, a potential is not below its
        threshold, or a current is so large that no unit of time holds it beside the rates.

    Notes
    -----
    Lossless at any finite rates: a crossing is reported iff the exact potential has one (proof: the
    docstring of this module), unless it surpasses the threshold by less than 2^-42 of the largest
    term of V: that is a touch.  The time is within ``4 ulp(t) + 16 eps size / slope``, with the
    largest term of V there as the size.  A crossing later than 1.8e308 is none.

    Examples
    --------
    A current of 4 decays with tau_syn = 1 and charges a membrane with tau_mem = 1 (h = t exp(-t)):

    >>> t = first_crossing(4.0, 0.0, alpha=1.0, beta=1.0, threshold=1.0)
    >>> round(float(t), 12)
    0.357402956181
    >>> float(first_crossing(2.0, 0.0, alpha=1.0, beta=1.0, threshold=1.0))
    inf
    """
    names = ("current", "potential", "alpha", "beta", "threshold", "bias", "t_max")
    values = (current, potential, alpha, beta, threshold, bias, t_max)
    given = {name: as_floats(value, name) for name, value in zip(names, values, strict=True)}
    arrays = as_broadcast(given)
    for name, array in zip(names, arrays, strict=True):
        require(~np.isnan(array), array, f"{name} must not be NaN")
    for name, array in zip(names[:6], arrays[:6], strict=True):
        if name != "threshold":
            require(np.isfinite(array), array, f"{name} must be finite")
    for name, array in zip(("alpha", "beta"), arrays[2:4], strict=True):
        require(array >= 0.0, array, f"{name} must be >= 0")
    require(arrays[1] < arrays[4], arrays[1], "potential must lie below the threshold")
    out = np.empty(arrays[0].shape)
    _first_crossings(*[np.ascontiguousarray(array).ravel() for array in arrays], out.reshape(-1))
    require(~np.isnan(out), arrays[0], "current must be below 1e308 rate * threshold")
    return out if out.ndim else out[()]
