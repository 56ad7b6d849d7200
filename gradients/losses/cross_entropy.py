"""Cross-entropies of first spike times and of potentials, each with its derivative."""

import numpy as np
from numpy.typing import ArrayLike

from eventsim._support.types import FloatArray, IntArray
from eventsim._support.validate import (
    as_floats,
    as_indices,
    as_nonnegative,
    as_positive,
    as_share,
    require,
)

__all__ = ["MOST_EXPONENT", "first_spike_cross_entropy", "membrane_cross_entropy"]

MOST_EXPONENT = 709.0  # its exponential is a number


def first_spike_cross_entropy(
    times: ArrayLike,
    labels: ArrayLike,
    *,
    tau0: float,
    tau1: float = 1.0,
    gamma: float = 0.0,
    t_silent: float,
    smoothing: float = 0.0,
) -> tuple[float, FloatArray]:
    r"""Return the cross-entropy of first spike times, and its derivative.

    .. math::
        \ell = -\frac1N \sum_i \log \frac{e^{-t_{i,l(i)}/\tau_0}}{\sum_j e^{-t_{i,j}/\tau_0}}
               + \frac{\gamma}{N} \sum_i \left(e^{t_{i,l(i)}/\tau_1} - 1\right)

    The label's neuron is to fire before the others, and early.

    Parameters
    ----------
    times : (n_samples, n_classes) array_like
        First spike time of each output neuron; ``inf`` = silent.
    labels : (n_samples,) array_like of int
        Index of the neuron that should fire first.
    tau0 : float
        Time by which the label's neuron should be ahead, > 0.
    tau1, gamma : float
        Time constant (> 0) and strength (>= 0) of the penalty on late spikes of the label's neuron.
    t_silent : float
        Time that counts for a silent neuron: the end of the run, or later.
    smoothing : float
        Label smoothing, in [0, 1): this part of the target probability is spread evenly over all
        classes.

    Returns
    -------
    loss : float
        Mean over the samples; ``inf`` where it is beyond float64.
    derivative : (n_samples, n_classes) ndarray
        By ``times``; 0 for silent neurons, whose time is the constant ``t_silent``.

    Raises
    ------
    ValueError
        NaN or negative times, labels out of range, parameters out of their range, or so extreme
        that a derivative would be the difference of two infinities.

    Notes
    -----
    Lee et al., §5.3 (as in Goeltz et al. and Wunderlich & Pehle).  The regulariser enters as a
    penalty; the printed formula has its sign inside the negated bracket.  With ``tau0=1`` and
    ``gamma=0`` it is Eq. 13 of Zhang et al.; label smoothing is that of Szegedy et al. (2016), §7.

    Examples
    --------
    >>> loss, derivative = first_spike_cross_entropy([[1.0, 2.0]], [0], tau0=1.0, t_silent=3.0)
    >>> round(loss, 6), derivative.round(6)
    (0.313262, array([[ 0.268941, -0.268941]]))
    """
    times, labels = _read(times, labels, "times")
    require(times >= 0.0, times, "times must be >= 0 and not NaN")
    tau0, tau1 = as_positive(tau0, "tau0"), as_positive(tau1, "tau1")
    gamma, t_silent = as_nonnegative(gamma, "gamma"), as_nonnegative(t_silent, "t_silent")
    smoothing = as_share(smoothing, "smoothing")
    samples = np.arange(len(labels))
    silent = times == np.inf
    times = np.where(silent, t_silent, times)
    label_times = times[samples, labels]
    behind = times - times.min(axis=1, keepdims=True)
    loss, found, wanted = _softmax_cross_entropy(behind, tau0, labels, smoothing)
    with np.errstate(over="ignore"):
        derivative = (wanted - found) / len(labels) / tau0
    if gamma > 0.0:
        penalty, slope = _lateness(label_times, tau1, gamma)
        loss += _mean(penalty)
        with np.errstate(invalid="ignore"):
            derivative[samples, labels] += slope / len(labels)
        require(~np.isnan(derivative), gamma, "gamma must be such that the derivative is a number")
    derivative[silent] = 0.0
    return loss, derivative


def membrane_cross_entropy(
    potentials: ArrayLike,
    labels: ArrayLike,
    *,
    smoothing: float = 0.0,
    norm_penalty: float = 0.0,
) -> tuple[float, FloatArray]:
    r"""Return the cross-entropy of output potentials, and its derivative.

    .. math::
        \ell = \frac1N \sum_i \left( -\sum_o q_{i,o} \log \operatorname{softmax}(v_i)_o
               + \frac{\sigma}{N_{out}} \|v_i\|_2^2 \right)

    The label's neuron is to have the highest potential when it is read out.

    Parameters
    ----------
    potentials : (n_samples, n_classes) array_like
        Membrane potentials of output neurons that never fire (threshold ``inf``), at ``t_stop``.
    labels : (n_samples,) array_like of int
        Index of the neuron that should have the highest potential.
    smoothing : float
        Label smoothing, in [0, 1): this part of the target probability q is spread evenly over all
        classes.
    norm_penalty : float
        Strength σ >= 0 of the penalty that keeps the potentials from diverging.

    Returns
    -------
    loss : float
        Mean over the samples; ``inf`` where it is beyond float64.
    derivative : (n_samples, n_classes) ndarray
        By ``potentials``.

    Raises
    ------
    ValueError
        Potentials that are not finite, labels out of range, parameters out of their range.

    Notes
    -----
    Yamamoto et al., Eq. 23, and the last term of Eq. 24; label smoothing is that of Szegedy et al.
    (2016), §7.

    Examples
    --------
    >>> loss, derivative = membrane_cross_entropy([[2.0, 0.0]], [0], norm_penalty=0.1)
    >>> round(loss, 6), derivative.round(6)
    (0.326928, array([[0.080797, 0.119203]]))
    """
    potentials, labels = _read(potentials, labels, "potentials")
    require(np.isfinite(potentials), potentials, "potentials must be finite")
    norm_penalty = as_nonnegative(norm_penalty, "norm_penalty")
    smoothing = as_share(smoothing, "smoothing")
    half = 0.5 * potentials  # or a difference of potentials might be no number
    behind = half.max(axis=1, keepdims=True) - half
    loss, found, wanted = _softmax_cross_entropy(behind, 0.5, labels, smoothing)
    derivative = found - wanted
    if norm_penalty > 0.0:
        with np.errstate(over="ignore"):
            loss += _mean(norm_penalty * potentials * potentials)
            derivative += norm_penalty * (2.0 / potentials.shape[1] * potentials)
    return loss, derivative / len(labels)


def _read(scores: ArrayLike, labels: ArrayLike, name: str) -> tuple[FloatArray, IntArray]:
    """Return scores (n_samples, n_classes) and labels (n_samples,), checked."""
    scores, labels = as_floats(scores, name), as_indices(labels, "labels")
    if scores.ndim != 2 or labels.shape != scores.shape[:1]:
        raise ValueError(
            f"{name} must be (n_samples, n_classes) and labels (n_samples,), "
            f"got {scores.shape} and {labels.shape}"
        )
    if scores.size == 0:
        raise ValueError(
            f"{name} must hold at least one sample and one class, got shape {scores.shape}"
        )
    require(labels < scores.shape[1], labels, f"labels must be < {scores.shape[1]}")
    return scores, labels


def _lateness(times: FloatArray, tau1: float, gamma: float) -> tuple[FloatArray, FloatArray]:
    """Return ``gamma (exp(times / tau1) - 1)`` and its derivative, ``inf`` beyond float64."""
    with np.errstate(over="ignore"):
        x = times / tau1
        far, near = x > MOST_EXPONENT, np.minimum(x, MOST_EXPONENT)
        quarter = np.exp(0.25 * x)  # for a product that is a number where exp(x) is none
        product = gamma * quarter * quarter * quarter * quarter
        penalty = np.where(far, product, gamma * np.expm1(near))
        return penalty, np.where(far, product / tau1, gamma / tau1 * np.exp(near))


def _softmax_cross_entropy(
    behind: FloatArray, unit: float, labels: IntArray, smoothing: float
) -> tuple[float, FloatArray, FloatArray]:
    """Return the mean cross-entropy of the softmax of -behind / unit, that softmax, and its target.

    ``behind`` >= 0 says by how much a score is below the highest one of its sample.  In units it
    may be infinite: then its probability is 0, and what it costs may still be a number.
    """
    n_samples, n_classes = behind.shape
    target = np.full(behind.shape, smoothing / n_classes)
    target[np.arange(n_samples), labels] += 1.0 - smoothing
    share = target / n_samples
    with np.errstate(over="ignore"):
        distance = behind / unit
        near = np.minimum(distance, np.finfo(np.float64).max)
        cost = np.where(distance < np.inf, share * near, share * behind / unit)
        weight = np.exp(-distance)
        total = np.sum(weight, axis=1, keepdims=True)
        loss = float(np.sum(cost)) + _mean(np.log(total))
    return loss, weight / total, target


def _mean(values: FloatArray) -> float:
    """Return the mean, also where only the sum is beyond float64."""
    return float(np.sum(values / values.size))
