r"""Closed-form flow of the synaptic current and the membrane potential between events.

With :math:`\alpha = 1/\tau_{syn}` and :math:`\beta = 1/\tau_{mem}` (0 for an infinite time
constant) and a bias current :math:`c`, the neuron obeys between events

.. math:: \dot I = -\alpha I, \qquad \dot V = -\beta V + I + c,

which has the solution

.. math::
    I(t) = I_0 e^{-\alpha t}, \qquad
    V(t) = V_0 e^{-\beta t} + I_0\, h(t) + c\, b(t).

All kernels are *divided differences of the exponential*: with

.. math:: E[x_0, \dots, x_n](t) = t^n \int e^{-t \sum_i u_i x_i} du

over the unit simplex, :math:`e^{-\alpha t} = E[\alpha]`, :math:`h = E[\alpha, \beta]` (the
post-synaptic kernel of Lee et al., Eq. 2), :math:`b = E[0, \beta]`, and every derivative with
respect to a node repeats that node: :math:`\partial h/\partial\alpha = -E[\alpha,\alpha,\beta]`.
They are evaluated so that nothing cancels, nothing overflows, and equal, nearly equal and
infinite time constants are ordinary cases.  The flow is a group: a negative lag flows backward.
"""

import math

from eventsim._support.compile import scalar

__all__ = [
    "SMALL",
    "bias_kernel",
    "bias_kernel_rate_derivative",
    "difference3",
    "difference4",
    "exponential",
    "flow",
    "kernel",
    "kernel_rate_derivatives",
    "propagator",
]

# Below it exponentials are summed as series, to the coefficients 1/(k + 1)! of (exp(x) - 1)/x.
SMALL = 0.5
_MEAN = tuple(1.0 / math.factorial(k + 1) for k in range(14))

# Coefficients 1/(k + 2)! of (exp(z) - 1 - z)/z^2, the highest first; enough for |z| <= 1/4.
_PHI = tuple(1.0 / math.factorial(k + 2) for k in range(10, -1, -1))


@scalar
def propagator(lag, alpha, beta):
    """Return ``(exp(-alpha lag), exp(-beta lag), h(lag))``, the coefficients of the flow.

    ``V(t + lag) = V(t) exp(-beta lag) + I(t) h(lag)``.  Where the rates are near each other, beside
    the lag, h and the faster exponential follow from the mean of an exponential, so h keeps its
    digits; else h is the plain difference, so the faster exponential keeps its.  ``lag`` may be
    negative.
    """
    slow = min(alpha, beta)
    fast = max(alpha, beta)
    spread = (fast - slow) * lag
    slower = exponential(-slow * lag)
    if abs(spread) < SMALL:
        mean = _mean_exponential(-spread)
        faster = slower - slower * (spread * mean)
        h = slower * lag * mean
    else:
        faster = math.exp(-fast * lag)
        h = (slower - faster) / (fast - slow)
    if alpha <= beta:
        return slower, faster, h
    return faster, slower, h


@scalar
def exponential(x):
    """Return exp(x): where x is small by its series, which takes half of the time."""
    return 1.0 + x * _mean_exponential(x) if abs(x) < SMALL else math.exp(x)


@scalar
def _mean_exponential(x):
    """Return (exp(x) - 1)/x, the mean of exp between 0 and a `SMALL` x, by its series.

    The terms are added in pairs, pairs of pairs, and so on: none waits for all the others.
    """
    c, square = _MEAN, x * x
    fourth = square * square
    low = (1.0 + c[1] * x) + square * (c[2] + c[3] * x)
    middle = (c[4] + c[5] * x) + square * (c[6] + c[7] * x)
    high = (c[8] + c[9] * x) + square * (c[10] + c[11] * x) + fourth * (c[12] + c[13] * x)
    return low + fourth * (middle + fourth * high)


@scalar
def kernel(lag, alpha, beta):
    """Return the post-synaptic kernel h(lag): the potential that a unit current leaves behind."""
    return propagator(lag, alpha, beta)[2]


@scalar
def bias_kernel(lag, beta):
    """Return b(lag) = (1 - exp(-beta lag)) / beta: the potential that a unit bias builds up."""
    if beta == 0.0:
        return lag
    x = -beta * lag
    return lag * _mean_exponential(x) if abs(x) < SMALL else -math.expm1(x) / beta


@scalar
def flow(current, potential, lag, alpha, beta, bias):
    """Return ``(I, V)`` a time ``lag`` later (earlier if negative), with no event in between."""
    synaptic, membrane, h = propagator(lag, alpha, beta)
    later = potential * membrane + current * h
    if bias != 0.0:
        later += bias * bias_kernel(lag, beta)
    return current * synaptic, later


@scalar
def difference3(lag, x, y, z):
    """Return E[x, y, z](lag), the second divided difference of the exponential; any node order."""
    low = min(x, y, z)
    high = max(x, y, z)
    middle = max(min(x, y), min(max(x, y), z))
    if abs(high - low) * abs(lag) >= 1.0:
        return (kernel(lag, low, middle) - kernel(lag, middle, high)) / (high - low)
    return _series(lag, low, middle, high, high if lag >= 0.0 else low, 2)


@scalar
def difference4(lag, w, x, y, z):
    """Return E[w, x, y, z](lag), the third divided difference of the exponential; any order."""
    a, b = min(w, x), max(w, x)
    c, d = min(y, z), max(y, z)
    low, high = min(a, c), max(b, d)
    middle, upper = min(max(a, c), min(b, d)), max(max(a, c), min(b, d))
    if (high - low) * abs(lag) >= 1.0:
        left = difference3(lag, low, middle, upper)
        return (left - difference3(lag, middle, upper, high)) / (high - low)
    origin = high if lag >= 0.0 else low
    other = low if lag >= 0.0 else high
    return _series(lag, other, middle, upper, origin, 3)


@scalar
def _series(lag, x, y, z, origin, order):
    """Sum E of the nodes x, y, z (and ``origin`` if it is a fourth one) as a power series.

    About an origin that makes every ``-(node - origin) lag`` nonnegative all terms are positive,
    so the sum is accurate to rounding:
    ``E = lag^n exp(-origin lag) sum_k g_k / (n + k)!``, g_k the complete homogeneous symmetric
    polynomial of the shifted nodes.
    """
    x, y, z = (origin - x) * lag, (origin - y) * lag, (origin - z) * lag
    power, pair, triple = 1.0, 1.0, 1.0
    factor = 0.5 if order == 2 else 1.0 / 6.0
    total = factor
    k = order
    term = factor
    while term > 1e-18 * total:
        k += 1
        factor /= k
        power *= x
        pair = y * pair + power
        triple = z * triple + pair
        term = factor * triple
        total += term
    scale = lag * lag if order == 2 else lag * lag * lag
    return total * scale * math.exp(-origin * lag)


@scalar
def kernel_rate_derivatives(lag, alpha, beta, synaptic, h):
    """Return ``(dh/dalpha, dh/dbeta)`` at ``lag``, given the `propagator` there.

    ``dh/dalpha = -E[alpha, alpha, beta] = -lag^2 exp(-alpha lag) phi(-x)`` with
    ``x = (beta - alpha) lag`` and ``phi(z) = (exp(z) - 1 - z)/z^2``: a power series where x is
    small, else the plain difference.  Shifting both rates multiplies h by an exponential, so the
    two derivatives add up to ``-lag h``.
    """
    spread = (beta - alpha) * lag
    if abs(spread) < 0.25:
        series = 0.0
        for coefficient in _PHI:
            series = coefficient - spread * series
        by_alpha = -lag * lag * synaptic * series
    else:
        by_alpha = (h - lag * synaptic) / (beta - alpha)
    return by_alpha, -lag * h - by_alpha


@scalar
def bias_kernel_rate_derivative(lag, beta):
    """Return db/dbeta = -E[0, beta, beta](lag)."""
    return -difference3(lag, 0.0, beta, beta)
