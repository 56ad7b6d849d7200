"""The coherence of two signals, estimated over segments, and how far the estimate may be off.

Over n independent segments of Gaussian signals the estimate X of a coherence C is distributed as
the squared multiple correlation of complex variates (Goodman 1957; Carter 1987): given a number k
from the negative binomial distribution of n successes with probability 1 - C, X is Beta(1 + k,
n - 1).  Its bias is (1 - C)² / n in first order, thus 1/n at C = 0.  Fourier coefficients over
long segments are Gaussian for other stationary signals too, spike trains among them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import signal, stats
from scipy.optimize import brentq
from scipy.special import betainc

__all__ = ["Estimate", "confidence_interval", "estimate", "probability_below", "share_inside"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Estimate:
    """Spectra of a spike train and its input, averaged over segments.

    Attributes
    ----------
    frequencies : (n,) ndarray
        In cycles per time, from the lowest above 0 on.
    gain, power, coherence : (n,) ndarray
        |S_xs| / S_ss, S_xx and |S_xs|² / (S_xx S_ss), as in `theory.Spectra`.
    n_segments : int
        How many segments.
    rate, rate_error : float
        Mean rate, and its standard error over the segments.
    """

    frequencies: Floats
    gain: Floats
    power: Floats
    coherence: Floats
    n_segments: int
    rate: float
    rate_error: float

    def nearest(self, frequencies: ArrayLike) -> Estimate:
        """Return the estimate at every second of its frequencies, at those nearest to the given.

        So no two of them are correlated by the taper.
        """
        step = 2.0 * self.frequencies[0]
        places = np.unique(np.rint(np.asarray(frequencies) / step).astype(np.int64))
        rows = 2 * places[(places >= 1) & (2 * places <= self.frequencies.size)] - 1
        names = ("frequencies", "gain", "power", "coherence")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})


def estimate(chunks: Iterable[tuple[Floats, Floats]], width: float) -> Estimate:
    """Average cross-spectrum and spectra over all segments.

    Parameters
    ----------
    chunks : iterable of pairs of (n_segments, n_bins) ndarrays
        The signal s, and the number of spikes, integrated over each bin of each segment.
    width : float
        Duration of a bin.

    Returns
    -------
    Estimate
        At the Fourier frequencies of a segment, without frequency 0.

    Raises
    ------
    ValueError
        If there are fewer than two segments.

    Notes
    -----
    `scipy.signal.csd` of each segment, without overlap, without the mean.  The taper (Hann) is
    needed although neither spectrum is steep: what came in before a segment and goes out in it, or
    the reverse, is as large at all frequencies, and without a taper lowers a coherence near 1 by
    about one percent.  Estimates at neighbouring frequencies are correlated, those two or more
    apart hardly.  A spike counts as one over its bin: for f << 1 / width this is a delta function,
    up to (π f width)².

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> noise = rng.normal(size=(200, 64))
    >>> spikes = (noise + rng.normal(size=noise.shape) > 1.5).astype(float)
    >>> found = estimate([(noise[:100], spikes[:100]), (noise[100:], spikes[100:])], width=1.0)
    >>> found.n_segments, found.frequencies[[0, -1]], round(float(found.coherence.mean()), 2)
    (200, array([0.015625, 0.5     ]), 0.22)
    """
    n, sums, counts, f = 0, np.zeros((3, 1), dtype=complex), [], np.empty(0)
    for inputs, spikes in chunks:
        how = {"fs": 1.0 / width, "window": "hann", "nperseg": inputs.shape[1], "noverlap": 0}
        s, x = inputs / width, spikes / width
        parts = []
        for a, b in ((s, x), (s, s), (x, x)):
            f, density = signal.csd(a, b, **how, scaling="density")
            parts.append(density.sum(axis=0))
        sums = sums + np.array(parts)
        counts.append(spikes.sum(axis=1) / (spikes.shape[1] * width))
        n += len(inputs)
    if n < 2:
        raise ValueError(f"an estimate takes two segments or more, got {n}")
    cross, inputs_power, power = np.abs(sums[:, 1:]) / n
    rates = np.concatenate(counts)
    return Estimate(
        frequencies=f[1:],
        gain=cross / inputs_power,
        power=power / 2.0,  # scipy's are one-sided
        coherence=cross**2 / (inputs_power * power),
        n_segments=n,
        rate=float(rates.mean()),
        rate_error=float(rates.std(ddof=1) / np.sqrt(n)),
    )


def probability_below(found: ArrayLike, coherence: ArrayLike, n_segments: int) -> Floats:
    """Return the probability of an estimate below those found, if the coherence is as given.

    Parameters
    ----------
    found, coherence : (n,) array_like
        Estimates in [0, 1], and true values in [0, 1).
    n_segments : int
        Independent segments, >= 2.

    Examples
    --------
    >>> probability_below([0.1, 0.5], [0.0, 0.5], 20).round(4)
    array([0.8649, 0.4317])
    """
    x, C = np.broadcast_arrays(np.asarray(found, float), np.asarray(coherence, float))
    if not (np.all((x >= 0) & (x <= 1)) and np.all((C >= 0) & (C < 1)) and n_segments >= 2):
        raise ValueError(
            "estimates must lie in [0, 1], coherences in [0, 1), of two segments or more"
        )
    pairs = zip(x.ravel().tolist(), C.ravel().tolist(), strict=True)
    return np.array([_below(a, b, n_segments) for a, b in pairs]).reshape(x.shape)


def confidence_interval(
    found: ArrayLike, n_segments: int, level: float = 0.95
) -> tuple[Floats, Floats]:
    """Return the coherences that agree with the estimates found: from, to.

    They are those under which an estimate is not among the (1 - level) / 2 lowest or highest.

    Examples
    --------
    >>> low, high = confidence_interval([0.02, 0.5], 100)
    >>> low.round(3), high.round(3)
    (array([0.   , 0.393]), array([0.068, 0.59 ]))
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie in (0, 1), got {level!r}")
    x = np.asarray(found, float)
    tail = (1.0 - level) / 2.0
    bounds = [
        [_coherence_at(value, n_segments, share) for value in x.ravel().tolist()]
        for share in (1.0 - tail, tail)
    ]
    low, high = np.array(bounds).reshape(2, *x.shape)
    return low, high


def share_inside(found: Estimate, coherence: ArrayLike, level: float = 0.95) -> float:
    """Return the share of the estimates inside of the bands of a given coherence."""
    below = probability_below(found.coherence, coherence, found.n_segments)
    return float(np.mean(np.abs(below - 0.5) <= level / 2.0))


def _below(x: float, C: float, n: int) -> float:
    mean, deviation = n * C / (1.0 - C), np.sqrt(n * C) / (1.0 - C)
    reach = 9.0 * deviation + (40.0 / -np.log(C) if C else 0.0)  # beyond: a weight below 1e-15
    k = np.arange(max(0.0, np.floor(mean - reach)), np.ceil(mean + reach) + 1.0)
    return float(stats.nbinom.pmf(k, n, 1.0 - C) @ betainc(1.0 + k, n - 1.0, x))


def _coherence_at(x: float, n: int, probability: float) -> float:
    """Return the coherence under which an estimate below x has this probability; 0: there is none.

    The probability falls as the coherence rises.
    """
    if _below(x, 0.0, n) <= probability:
        return 0.0
    high = (1.0 + x) / 2.0
    while _below(x, high, n) > probability:
        high = (1.0 + high) / 2.0
    return float(brentq(lambda C: _below(x, C, n) - probability, 0.0, high, xtol=1e-6))
