"""The claims of Chowdhury, Lee & Roy (2020), tested on the networks that were trained.

Networks with different leaks are compared seed by seed: those of one seed began with the same
weights and saw the same images in the same order.  So a claim is about the mean of paired
differences, and its interval is Student's over the seeds: one seed decides nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

__all__ = ["Claim", "margin_of_mean", "ordered_by_leak", "robustness"]

CONFIDENCE = 0.95

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Claim:
    """A claim "a quantity rises (or falls) with leak", and what became of it.

    Attributes
    ----------
    what : str
        The quantity.
    rises : bool
        Whether it is claimed to rise with leak, or to fall.
    means : dict of float -> float
        Mean over seeds, by time constant (more leak is a smaller one).
    effect : float
        Quantity with the most leak minus that with the least, mean over seeds.
    margin : float
        Half of the width of its 95 % interval; inf for one seed.
    verdict : str
        "holds", "does not hold" or "not decided".
    """

    what: str
    rises: bool
    means: dict[float, float]
    effect: float
    margin: float
    verdict: str


def ordered_by_leak(what: str, values: Mapping[float, Sequence[float]], *, rises: bool) -> Claim:
    """Test that a quantity rises, or falls, with leak.

    It holds if the quantity with the most leak differs from that with the least in the claimed
    direction by more than the margin, and the means in between are in order.  It does not hold if
    it differs in the other direction by more than the margin.  All else is not decided.

    Parameters
    ----------
    what : str
        The quantity.
    values : dict of float -> sequence of float
        By time constant, one value for each seed, in the same order.
    rises : bool
        What is claimed.

    Returns
    -------
    Claim

    Raises
    ------
    ValueError
        If there are fewer than two time constants, or not as many values of each.

    Examples
    --------
    >>> spikes = {30.0: [9.4, 9.6, 9.5], 100.0: [5.2, 5.4, 5.3], math.inf: [5.0, 4.9, 4.9]}
    >>> claim = ordered_by_leak("spikes (%)", spikes, rises=True)
    >>> round(claim.effect, 2), round(claim.margin, 2), claim.verdict
    (4.57, 0.38, 'holds')
    >>> ordered_by_leak("spikes (%)", spikes, rises=False).verdict
    'does not hold'
    """
    taus = sorted(values)
    if len(taus) < 2:
        raise ValueError(f"values must be of two time constants or more, got those of {taus}")
    if len({len(values[tau]) for tau in taus}) > 1:
        raise ValueError("values must have as many seeds for each time constant")
    differences = np.subtract(values[taus[0]], values[taus[-1]])
    effect, margin = float(differences.mean()), margin_of_mean(differences)
    means = {tau: float(np.mean(values[tau])) for tau in taus}
    sign = 1.0 if rises else -1.0
    falling = np.diff([sign * means[tau] for tau in taus])  # from most leak to least
    if sign * effect > margin and np.all(falling <= 0.0):
        verdict = "holds"
    elif sign * effect < -margin:
        verdict = "does not hold"
    else:
        verdict = "not decided"
    return Claim(what, rises, means, effect, margin, verdict)


def robustness(accuracies: Sequence[float]) -> float:
    """Return the area under the accuracy-severity curve, relative to the clean accuracy.

    Parameters
    ----------
    accuracies : sequence of float
        Without noise, then at rising severities.

    Returns
    -------
    float
        Mean accuracy over the severities, divided by the clean one; 1: noise does nothing.  NaN if
        nothing is recognised without noise.

    Examples
    --------
    >>> robustness([0.8, 0.8, 0.4])
    0.75
    """
    clean, *noisy = accuracies
    if not noisy:
        raise ValueError(f"accuracies must be a clean one and others, got {accuracies!r}")
    return float(np.mean(noisy) / clean) if clean > 0.0 else math.nan


def margin_of_mean(differences: Floats) -> float:
    """Return half of the 95 % interval (Student) of the mean of differences, one for each seed.

    Examples
    --------
    >>> round(margin_of_mean(np.array([1.0, 2.0, 3.0])), 3), margin_of_mean(np.array([1.0]))
    (2.484, inf)
    """
    n = len(differences)
    if n == 1:
        return math.inf
    quantile = student.ppf(0.5 + 0.5 * CONFIDENCE, n - 1)
    return float(quantile * differences.std(ddof=1) / math.sqrt(n))
