"""Losses on spike times, each with its derivative."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_softmax

from eventsim._types import FloatArray
from eventsim._validate import as_floats, as_indices, require

__all__ = ["first_spike_cross_entropy"]


def first_spike_cross_entropy(
    times: ArrayLike,
    labels: ArrayLike,
    *,
    tau0: float,
    tau1: float = 1.0,
    gamma: float = 0.0,
    t_silent: float,
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

    Returns
    -------
    loss : float
        Mean over the samples.
    derivative : (n_samples, n_classes) ndarray
        By ``times``; 0 for silent neurons, whose time is the constant ``t_silent``.

    Raises
    ------
    ValueError
        NaN or negative times, labels out of range, parameters out of their range.

    Notes
    -----
    Lee et al., §5.3 (as in Goeltz et al. and Wunderlich & Pehle).  The regulariser enters as a
    penalty; the printed formula has its sign inside the negated bracket.

    Examples
    --------
    >>> loss, derivative = first_spike_cross_entropy([[1.0, 2.0]], [0], tau0=1.0, t_silent=3.0)
    >>> round(loss, 6), derivative.round(6)
    (0.313262, array([[ 0.268941, -0.268941]]))
    """
    times, labels = as_floats(times, "times"), as_indices(labels, "labels")
    if times.ndim != 2 or labels.shape != times.shape[:1]:
        raise ValueError(
            "times must be (n_samples, n_classes) and labels (n_samples,), "
            f"got {times.shape} and {labels.shape}"
        )
    if times.shape[0] == 0:
        raise ValueError(f"times must hold at least one sample, got shape {times.shape}")
    require(times >= 0.0, times, "times must be >= 0 and not NaN")
    require(labels < times.shape[1], labels, f"labels must be < {times.shape[1]}")
    for name, value in (("tau0", tau0), ("tau1", tau1)):
        require(0.0 < value < np.inf, value, f"{name} must be > 0 and finite")
    require(0.0 <= gamma < np.inf, gamma, "gamma must be >= 0 and finite")
    require(0.0 <= t_silent < np.inf, t_silent, "t_silent must be >= 0 and finite")
    n_samples = times.shape[0]
    samples = np.arange(n_samples)
    silent = times == np.inf
    times = np.where(silent, t_silent, times)
    log_probability = log_softmax(-times / tau0, axis=1)
    label_times = times[samples, labels]
    loss = -np.mean(log_probability[samples, labels])
    derivative = -np.exp(log_probability) / tau0
    derivative[samples, labels] += 1.0 / tau0
    if gamma > 0.0:
        loss += gamma * np.mean(np.expm1(label_times / tau1))
        derivative[samples, labels] += gamma / tau1 * np.exp(label_times / tau1)
    derivative[silent] = 0.0
    return float(loss), derivative / n_samples
