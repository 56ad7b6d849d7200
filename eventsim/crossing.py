r"""The first threshold crossing after an event: never missed, exact to rounding.

Proof that no crossing is lost
------------------------------
Let :math:`s = \dot V`.  Between events :math:`\dot s = -\beta s - \alpha I`, so
:math:`s = P e^{-\alpha t} + Q e^{-\beta t}` (or :math:`(P + Qt)e^{-\alpha t}`) has at most one
zero, and so has :math:`\ddot V`.  Hence V has at most one extremum :math:`t^*` and one inflection
after an event, and exactly these cases remain for :math:`V_0 < \theta`, where
:math:`I_\theta = \beta\theta - c` is the current that holds V at threshold (at a crossing
:math:`s = I - I_\theta > 0`):

1. :math:`I_\theta \ge 0` and :math:`I_0 \le I_\theta`: I only decays towards 0, so it never
   exceeds :math:`I_\theta` again: no crossing.  With :math:`I_\theta \ge 0` and
   :math:`s_0 \le 0`, V falls, and can only return to :math:`c/\beta \le \theta`: no crossing.
   With :math:`\alpha = 0` the current is constant: a crossing exists iff :math:`I_0 > I_\theta`.
2. V rises to a maximum (:math:`s_0 > 0`, :math:`I_0 > 0`, :math:`1 + \delta r > 0` with
   :math:`\delta = \beta - \alpha`, :math:`r = s_0/(\alpha I_0)`):
   :math:`t^* = \log(1 + \delta r)/\delta`.  A crossing exists iff :math:`V(t^*) > \theta`.
   V is concave on :math:`[0, t^*]`, so Newton's iteration from the left of the crossing rises
   monotonically to it.
3. V rises for ever: a crossing exists iff its limit exceeds :math:`\theta`.
4. :math:`I_\theta < 0`, V dips first (:math:`s_0 \le 0`) or bends upward first
   (:math:`\ddot V(0) > 0`); then it rises to :math:`c/\beta > \theta`: a crossing exists.  From
   the inflection :math:`t^{**} = t^* + \log(\beta/\alpha)/\delta` Newton is monotone: to the right
   if :math:`V(t^{**}) < \theta` (concave there), else to the left (convex there).

Newton's iteration ends when it stops moving in its direction: no bracket, no iteration limit.
Where one rate is twice the other (Yamamoto et al., Eq. 19) V is a quadratic in
:math:`y = 1 - e^{-\rho t}`, :math:`\rho = \min(\alpha, \beta)`, and needs no iteration.
A touch, :math:`V(t^*) = \theta`, is no spike: V does not surpass the threshold, and the slope,
by which every gradient divides, is 0.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from eventsim._compile import loop, scalar
from eventsim._types import FloatArray
from eventsim._validate import require
from eventsim.flow import flow

__all__ = [
    "crossing_within",
    "earliest_crossing",
    "first_crossing",
    "just_after",
    "next_crossing",
    "spike_time",
]

NEVER = (math.inf, 0.0)


# Half of an ulp is between 1/2 and 1 of it: three halves of that round to one ulp.
_NEXT = 1.5 * 2.0**-53
_SMALLEST = 5e-324


@scalar
def just_after(time):
    """Return the next larger number than ``time`` >= 0."""
    return time + max(_NEXT * time, _SMALLEST)


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
    if potential >= threshold or alpha * current + beta * slope < 0.0:
        return 0.0
    if _peak_stays_below(current, slope, alpha, beta, holding):
        return math.inf
    return (threshold - potential) / slope * (1.0 - 1e-12)


@scalar
def next_crossing(current, potential, alpha, beta, threshold, bias):
    """Return ``(lag, slope)`` of the next crossing of the threshold from below.

    ``lag`` is ``inf`` where the potential never surpasses the threshold; ``slope`` is dV/dt at the
    crossing.  A potential that stands at the threshold already (rounding of an earlier flow) and
    rises crosses at lag 0.
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
    slope = current - beta * potential + bias
    if potential >= threshold and slope > 0.0:
        return 0.0, slope
    twice = (beta == 2.0 * alpha or alpha == 2.0 * beta) and alpha != beta
    if twice and slope > 0.0 and alpha * current + beta * slope >= 0.0:
        return _quadratic_crossing(current, potential, alpha, beta, threshold, bias, slope)
    lag = _crossing_lag(current, potential, alpha, beta, threshold, bias, slope)
    if lag == math.inf:
        return NEVER
    slope = current * math.exp(-alpha * lag) - (beta * threshold - bias)
    if slope <= 0.0:
        return NEVER
    return lag, slope


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
def _crossing_lag(current, potential, alpha, beta, threshold, bias, slope):
    """Return the lag of the crossing in the cases 2-4 of the module's docstring."""
    curvature = -alpha * current - beta * slope
    if slope <= 0.0 or curvature > 0.0:
        return _after_inflection(current, potential, alpha, beta, threshold, bias, slope)
    first = (threshold - potential) / slope
    if current > 0.0 and alpha > 0.0:
        ratio = slope / (alpha * current)
        stretch = (beta - alpha) * ratio
        if stretch > -1.0:
            peak = ratio * _log1p_ratio(stretch)
            top_current, top = flow(current, potential, peak, alpha, beta, bias)
            if top <= threshold:
                return math.inf
            parabola = peak - math.sqrt(2.0 * (top - threshold) / (alpha * top_current))
            start = max(first, parabola)
            return _newton(start, 1.0, current, potential, alpha, beta, threshold, bias)
        if not _limit_surpasses(current, potential, alpha, beta, threshold, bias):
            return math.inf
    return _newton(first, 1.0, current, potential, alpha, beta, threshold, bias)


@scalar
def _quadratic_crossing(current, potential, alpha, beta, threshold, bias, slope):
    """Return ``(lag, slope)`` on a rising, concave branch if one rate is twice the other.

    There ``rate V = rate V0 + slope y - q y^2`` with ``y = 1 - exp(-rate t)``; the smaller root is
    the crossing.
    """
    rate = min(alpha, beta)
    q = current if alpha > beta else current + 0.5 * bias - rate * potential
    gap = rate * (threshold - potential)
    discriminant = slope * slope - 4.0 * q * gap
    if discriminant <= 0.0:
        return NEVER
    y = 2.0 * gap / (slope + math.sqrt(discriminant))
    if y >= 1.0:
        return NEVER
    decay = 1.0 - y if alpha < beta else (1.0 - y) * (1.0 - y)
    slope = current * decay - (beta * threshold - bias)
    if slope <= 0.0:
        return NEVER
    return -math.log1p(-y) / rate, slope


@scalar
def _limit_surpasses(current, potential, alpha, beta, threshold, bias):
    """Tell whether a potential that rises for ever (alpha > 0) ends above the threshold."""
    if beta > 0.0:
        return bias > beta * threshold
    return bias > 0.0 or potential + current / alpha > threshold


@scalar
def _after_inflection(current, potential, alpha, beta, threshold, bias, slope):
    """Return the crossing on a branch that starts convex and rises above the threshold."""
    if beta == 0.0:
        # Convex for ever: the asymptote c t + V0 + I0/alpha lies below V, so right of the crossing.
        start = (threshold - potential - current / alpha) / bias
        return _newton(start, -1.0, current, potential, alpha, beta, threshold, bias)
    ratio = slope / (alpha * current)
    delta = beta - alpha
    inflection = ratio * _log1p_ratio(delta * ratio) + _log1p_ratio(delta / alpha) / alpha
    _, there = flow(current, potential, inflection, alpha, beta, bias)
    direction = 1.0 if there < threshold else -1.0
    return _newton(inflection, direction, current, potential, alpha, beta, threshold, bias)


@scalar
def _newton(start, direction, current, potential, alpha, beta, threshold, bias):
    """Follow Newton's iteration, monotone in ``direction``, until rounding stops it."""
    lag = start
    while True:
        i, v = flow(current, potential, lag, alpha, beta, bias)
        new = lag + (threshold - v) / (i - beta * v + bias)
        if not (new - lag) * direction > 0.0:
            return lag
        lag = new


@scalar
def _log1p_ratio(x):
    """Return log(1 + x)/x, 1 at x = 0."""
    return 1.0 if x == 0.0 else math.log1p(x) / x


@loop
def _first_crossings(current, potential, alpha, beta, threshold, bias, t_max, out):
    for k in range(out.size):
        lag, _ = next_crossing(current[k], potential[k], alpha[k], beta[k], threshold[k], bias[k])
        out[k] = lag if lag <= t_max[k] else math.inf


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
        If an argument is NaN, a rate is negative, or a potential is not below its threshold.

    Notes
    -----
    Lossless: a crossing is reported iff the exact potential has one (proof: the docstring of this
    module); the time is within ``4 ulp(t) + 16 eps threshold / slope``.

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
    arrays = np.broadcast_arrays(*[np.asarray(value, dtype=np.float64) for value in values])
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
    return out if out.ndim else out[()]
