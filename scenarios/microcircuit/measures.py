"""What is measured of the spikes of a population."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from scenarios.networks.recording import Recording

__all__ = ["correlations", "synchrony"]

Floats = NDArray[np.float64]
SYNCHRONY_BIN, SYNCHRONY_NEURONS = 3.0, 1000
CORRELATION_BIN, CORRELATION_NEURONS = 2.0, 200
ROUNDING = 1e-12  # of a variance of counts


def synchrony(recording: Recording) -> float:
    """Return variance over mean of the spikes of up to 1000 neurons in 3 ms; NaN without spikes.

    Examples
    --------
    >>> at_once = Recording(np.full(4, 0.5), np.arange(4), 4, 12.0, 0.0)
    >>> synchrony(at_once)  # 4, 0, 0, 0
    3.0
    """
    counts = _counts(recording, SYNCHRONY_NEURONS, SYNCHRONY_BIN).sum(axis=0)
    return float(counts.var() / counts.mean()) if counts.any() else math.nan


def correlations(recording: Recording) -> Floats:
    """Return correlations of the spikes in 2 ms of all pairs of up to 200 neurons that fire.

    Examples
    --------
    >>> times, indices = np.array([0.5, 4.5, 0.5, 4.5, 2.5]), np.array([0, 0, 1, 1, 2])
    >>> correlations(Recording(times, indices, 4, 6.0, 0.0))
    array([ 1., -1., -1.])
    """
    counts = _counts(recording, CORRELATION_NEURONS, CORRELATION_BIN)
    n_bins = counts.shape[1]
    mean = counts.sum(axis=1) / max(n_bins, 1)
    covariance = (counts @ counts.T).toarray() / max(n_bins, 1) - np.outer(mean, mean)
    varies = np.flatnonzero(covariance.diagonal() > ROUNDING)
    covariance = covariance[np.ix_(varies, varies)]
    deviation = np.sqrt(covariance.diagonal())
    pairs = np.triu_indices(varies.size, 1)
    return (covariance / np.outer(deviation, deviation))[pairs]


def _counts(recording: Recording, neurons: int, width: float) -> sparse.csr_array:
    """Return the spikes of the first neurons in the whole bins, (n_neurons, n_bins)."""
    shape = min(recording.n, neurons), int(recording.duration / width)
    column = (recording.times / width).astype(np.int64)
    some = (recording.indices < shape[0]) & (column < shape[1])
    ones = np.ones(np.count_nonzero(some))
    places = recording.indices[some], column[some]
    return sparse.coo_array((ones, places), shape).tocsr()
