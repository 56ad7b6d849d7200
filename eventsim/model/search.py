"""The first threshold crossing of arrays of neurons, at any scale: what users call."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from eventsim._support.compile import loop, scalar
from eventsim._support.types import FloatArray
from eventsim._support.validate import (
    LEAST,
    MOST,
    as_broadcast,
    as_count,
    as_floats,
    require,
    require_size,
    shown,
)
from eventsim.model.crossing import SMALLEST, TOUCHES, above, next_crossing, rise_after
from eventsim.model.currents import crossing_of, flow_of, scratch_shape
from eventsim.model.flow import SMALL, propagator

__all__ = ["first_crossing"]

SPLIT = 2.0**27 + 1.0  # halves the digits of a number


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
        _, over, _ = above(lag, current, potential, alpha, beta, threshold, bias)
        over += _left_out(lag, current, potential, alpha, beta, bias, synaptic, membrane, h)
        rise = rise_after(current, synaptic, membrane, h, alpha, slope, held)
        step = over / rise
        if abs(step) < 1e-6 * lag:
            lag -= step
    return lag


@scalar
def _left_out(lag, current, potential, alpha, beta, bias, synaptic, membrane, h):
    """Return what V lacks since the exponents ``rate lag`` were rounded: some 2^-53 of each."""
    of_synaptic, of_membrane = -_product_error(alpha, lag), -_product_error(beta, lag)
    if abs(beta - alpha) * lag < SMALL:  # where all is made from one exponential
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
    *,
    axis: int | None = None,
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
    axis : int, optional
        Axis of ``current`` and ``alpha`` along which the receptors of a neuron lie, whose currents
        add up.  The other axes broadcast against the other arguments.  None: one receptor.

    Returns
    -------
    ndarray of float64
        Time of the crossing; ``inf`` where there is none.

    Raises
    ------
    ValueError
        If an argument is no real number, or NaN, a rate is negative, a potential is not below its
        threshold, or a current is so large that no unit of time holds it beside the rates.  With an
        axis of receptors: if a number is above 1e100 in size, or a rate below 1e-100 and not 0.

    Notes
    -----
    Lossless at any finite rates: a crossing is reported iff the exact potential has one (proof:
    docstrings of `eventsim.model.crossing` and `eventsim.model.currents`), unless it surpasses the
    threshold by less than 2^-42 of the largest term of V: that is a touch.  The time is within
    ``4 ulp(t) + 16 eps size / slope``, with the largest term of V there as the size.  With an axis
    of receptors eps is multiplied by 1 plus the largest ``rate t`` of what is left of V by then.  A
    crossing later than 1.8e308 is none.

    Examples
    --------
    A current of 4 decays with tau_syn = 1 and charges a membrane with tau_mem = 1 (h = t exp(-t)):

    >>> t = first_crossing(4.0, 0.0, alpha=1.0, beta=1.0, threshold=1.0)
    >>> round(float(t), 12)
    0.357402956181
    >>> float(first_crossing(2.0, 0.0, alpha=1.0, beta=1.0, threshold=1.0))
    inf

    A current of 4 excites the neuron and one of -1 inhibits it, with tau_syn = 1 and 2:

    >>> t = first_crossing([4.0, -1.0], 0.0, [1.0, 0.5], beta=1.0, threshold=1.0, axis=-1)
    >>> round(float(t), 12)
    0.841826058
    """
    names = ("current", "potential", "alpha", "beta", "threshold", "bias", "t_max")
    values = (current, potential, alpha, beta, threshold, bias, t_max)
    given = {name: as_floats(value, name) for name, value in zip(names, values, strict=True)}
    if axis is not None:
        return _of_several(given, axis)
    arrays = as_broadcast(given)
    _check(dict(zip(names, arrays, strict=True)))
    out = np.empty(arrays[0].shape)
    _first_crossings(*[np.ascontiguousarray(array).ravel() for array in arrays], out.reshape(-1))
    require(~np.isnan(out), arrays[0], "current must be below 1e308 rate * threshold")
    return out if out.ndim else out[()]


def _check(given: dict[str, FloatArray]) -> None:
    """Raise a ValueError for what is no state of a neuron."""
    for name, array in given.items():
        require(~np.isnan(array), array, f"{name} must not be NaN")
    for name in ("current", "potential", "alpha", "beta", "bias"):
        require(np.isfinite(given[name]), given[name], f"{name} must be finite")
    for name in ("alpha", "beta"):
        require(given[name] >= 0.0, given[name], f"{name} must be >= 0")
    potential = given["potential"]
    require(potential < given["threshold"], potential, "potential must lie below the threshold")


# --- several receptors ----------------------------------------------------------------------------


@loop
def _first_crossings_of(currents, alphas, potential, beta, threshold, bias, t_max, scratch, out):
    """Write down the first crossings; the currents flow to the last touch before."""
    for k in range(out.size):
        begin, v = 0.0, potential[k]
        while True:
            lag, slope, again = crossing_of(
                t_max[k] - begin, currents[k], v, alphas[k], beta[k], threshold[k], bias[k], scratch
            )
            if slope != TOUCHES:
                break
            lag = again
            if again == math.inf:
                break
            v = flow_of(currents[k], v, again, alphas[k], beta[k], bias[k])
            begin += again
        time = max(begin + lag, SMALLEST)
        out[k] = time if time <= t_max[k] else math.inf


def _of_several(given: dict[str, FloatArray], axis: int) -> FloatArray | np.float64:
    """Return the first crossings of neurons whose receptors lie along an axis."""
    currents, alphas = _receptors_last(given.pop("current"), given.pop("alpha"), axis)
    neurons = {"current and alpha (without their axis)": np.empty(currents.shape[:-1])} | given
    first, *others = as_broadcast(neurons)
    given = dict(zip(given, others, strict=True))
    _check({"current": currents, "alpha": alphas} | given)
    _check_size({"current": currents, "alpha": alphas} | given)
    n_receptors = currents.shape[-1]
    rows = [
        np.array(np.broadcast_to(array, (*first.shape, n_receptors))).reshape(
            first.size, n_receptors
        )
        for array in (currents, alphas)
    ]
    columns = [np.ascontiguousarray(array).ravel() for array in others]
    out = np.empty(first.shape)
    scratch = np.empty(scratch_shape(n_receptors))
    _first_crossings_of(*rows, *columns, scratch, out.reshape(-1))
    return out if out.ndim else out[()]


def _receptors_last(
    current: FloatArray, alpha: FloatArray, axis: int
) -> tuple[FloatArray, FloatArray]:
    """Return the currents and their rates, broadcast, with the axis of receptors at the end."""
    current, alpha = as_broadcast({"current": current, "alpha": alpha})
    if not current.ndim:
        raise ValueError(
            f"axis must be None where current and alpha are numbers, got {shown(axis)}"
        )
    axis = as_count(axis, "axis", least=-current.ndim, most=current.ndim - 1)
    return np.moveaxis(current, axis, -1), np.moveaxis(alpha, axis, -1)


def _check_size(given: dict[str, FloatArray]) -> None:
    """Raise a ValueError unless products of a few of the numbers fit into float64."""
    for name in ("current", "potential", "alpha", "beta", "bias"):
        require_size(given[name], name)
    for name in ("alpha", "beta"):
        rate = given[name]
        require((rate == 0.0) | (rate >= LEAST), rate, f"{name} must be 0 or at least {LEAST:g}")
    threshold = given["threshold"]
    fits = (threshold <= MOST) | (threshold == np.inf)
    require(fits, threshold, f"threshold must be at most {MOST:g}, or inf")
