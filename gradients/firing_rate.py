"""Firing rate of the LIF unit of Gerum & Schilling under constant input, in closed form."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from eventsim._support.types import FloatArray
from eventsim._support.validate import as_broadcast, as_floats, require

__all__ = ["firing_rate", "threshold_current"]


def firing_rate(
    current: ArrayLike, w_input: ArrayLike, w_leak: ArrayLike, threshold: ArrayLike = 1.0
) -> FloatArray:
    r"""Return the spikes per step of a `gradients.clocked.LIFUnit` under constant input.

    .. math::
        r = 1 / \left\lceil \frac{\ln(1 - \vartheta w_{leak} / (w_{input} I))}{\ln(1 - w_{leak})}
            \right\rceil

    Parameters
    ----------
    current : array_like
        I, the input of every step.
    w_input, w_leak : array_like
        Parameters of the unit, ``w_leak`` <= 1.
    threshold : array_like
        Of its potential, > 0.

    Returns
    -------
    ndarray
        Of the shape that the arguments broadcast to; 0 up to `threshold_current`.

    Raises
    ------
    ValueError
        Values that are not finite or out of their range.

    Notes
    -----
    Eq. 11 of Gerum & Schilling has a 1 less below the fraction line.  Its derivation (Eqs. 20-29)
    numbers the steps from 0, so what it gives is how many steps follow the *first* one, not how
    many there are between two spikes: with the parameters of their Fig. 1 and I = 1 it says one
    spike in two steps, and the unit fires in every third.  Eq. 30, for no leak, is right as it is,
    and hence not the limit of Eq. 29.

    Where the potential comes to equal the threshold, Eq. 22 counts that as a spike, as is done
    here; but by Eqs. 9-10 (and in the listing) the unit is then reset *without* a spike, so that it
    never fires: without a leak, whenever the threshold is a whole multiple of ``w_input * I``.

    Examples
    --------
    >>> firing_rate([0.1, 0.3, 1.0, 3.0], w_input=0.5, w_leak=0.1)
    array([0.        , 0.09090909, 0.33333333, 1.        ])
    """
    current, w_input, w_leak, threshold = _checked(current, w_input, w_leak, threshold)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        drive = w_input * current
        fires = drive > np.maximum(threshold * w_leak, 0.0)
        x = np.where(fires, threshold / np.where(fires, drive, 1.0), 1.0)
        steps = np.where(w_leak == 0.0, x, np.log1p(-x * w_leak) / np.log1p(-w_leak))
    return np.where(fires, 1.0 / np.maximum(np.ceil(steps), 1.0), 0.0)


def threshold_current(
    w_input: ArrayLike, w_leak: ArrayLike, threshold: ArrayLike = 1.0
) -> FloatArray:
    """Return the constant input that a LIF unit must exceed to fire: Eq. 31 of Gerum & Schilling.

    Parameters
    ----------
    w_input, w_leak, threshold : array_like
        As for `firing_rate`; ``w_input`` > 0.

    Returns
    -------
    ndarray
        ``threshold * w_leak / w_input``, where there is a leak; else 0.

    Raises
    ------
    ValueError
        Values that are not finite or out of their range.

    Examples
    --------
    >>> threshold_current(w_input=0.5, w_leak=0.1)
    array(0.2)
    """
    _, w_input, w_leak, threshold = _checked(0.0, w_input, w_leak, threshold)
    require(w_input > 0.0, w_input, "w_input must be > 0")
    with np.errstate(over="ignore"):
        return np.asarray(np.maximum(threshold * w_leak / w_input, 0.0))


def _checked(*values: ArrayLike) -> tuple[FloatArray, ...]:
    names = ("current", "w_input", "w_leak", "threshold")
    given = {name: as_floats(value, name) for value, name in zip(values, names, strict=True)}
    arrays = as_broadcast(given)
    for array, name in zip(arrays, names, strict=True):
        require(np.isfinite(array), array, f"{name} must be finite")
    require(arrays[2] <= 1.0, arrays[2], "w_leak must be <= 1")
    require(arrays[3] > 0.0, arrays[3], "threshold must be > 0")
    return tuple(arrays)
