"""Latency codes of the papers: each input source fires once, at a time that says its value.

Times are in units of the synaptic time constant, as in the papers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["earlier_for_larger", "later_for_larger", "with_bias"]

Latencies = NDArray[np.float64]


def later_for_larger(values: Latencies, *, t_early: float, t_late: float) -> Latencies:
    """Map values in [0, 1] to spike times in [t_early, t_late]: the larger, the later.

    Parameters
    ----------
    values : ndarray
        Numbers in [0, 1].
    t_early, t_late : float
        Spike time of 0 and of 1; 0 <= t_early <= t_late.

    Returns
    -------
    ndarray
        Spike times, shaped as ``values``.

    Raises
    ------
    ValueError
        If a value lies outside of [0, 1], or the times are not in order.

    References
    ----------
    Göltz et al. 2021; Lee et al. 2023 §5.3 (Yin-Yang).

    Examples
    --------
    >>> later_for_larger(np.array([0.0, 0.5, 1.0]), t_early=0.2, t_late=2.0)
    array([0.2, 1.1, 2. ])
    """
    _check_times(t_early, t_late)
    values = np.asarray(values, dtype=np.float64)
    bad = values[~((values >= 0.0) & (values <= 1.0))]
    if bad.size:
        raise ValueError(f"values must lie in [0, 1], got {bad[0]!r}")
    return t_early + (t_late - t_early) * values


def earlier_for_larger(features: Latencies, *, t_max: float) -> Latencies:
    """Map each feature to spike times in [0, t_max]: its largest value to 0, its smallest to t_max.

    Parameters
    ----------
    features : (n_samples, n_features) ndarray
        Each column is scaled by its own smallest and largest value.
    t_max : float
        The latest spike time, > 0.

    Returns
    -------
    (n_samples, n_features) ndarray
        t_max (1 - (x - min) / (max - min)).

    Raises
    ------
    ValueError
        If a feature is constant or not finite, or ``t_max`` is not positive.

    References
    ----------
    Lee et al. 2023 §5.2 (Iris).

    Examples
    --------
    >>> earlier_for_larger(np.array([[1.0, 10.0], [2.0, 30.0], [3.0, 20.0]]), t_max=16.0)
    array([[16., 16.],
           [ 8.,  0.],
           [ 0.,  8.]])
    """
    _check_times(0.0, t_max)
    low, high = features.min(axis=0), features.max(axis=0)
    usable = np.isfinite(low) & np.isfinite(high) & (high > low)
    if not usable.all() or t_max == 0.0:
        k = int(np.argmin(usable))
        raise ValueError(
            "every feature must be finite and vary, and t_max be > 0: "
            f"feature {k} spans [{low[k]}, {high[k]}], t_max is {t_max!r}"
        )
    return t_max * (1.0 - (features - low) / (high - low))


def with_bias(latencies: Latencies, *t_bias: float) -> Latencies:
    """Append sources that each fire at the same time in every sample.

    They are a network's only reference in time: without them, it answers a common shift of all
    inputs with the same shift of all outputs.

    Examples
    --------
    >>> with_bias(np.array([[0.1, 0.2], [0.3, 0.4]]), 0.9)
    array([[0.1, 0.2, 0.9],
           [0.3, 0.4, 0.9]])
    """
    for t in t_bias:
        _check_times(0.0, t)
    return np.column_stack([latencies, *(np.full(len(latencies), t) for t in t_bias)])


def _check_times(early: float, late: float) -> None:
    if not 0.0 <= early <= late < np.inf:
        raise ValueError(f"spike times must satisfy 0 <= early <= late, got {early!r} and {late!r}")
