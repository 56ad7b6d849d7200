"""Spectra of integrate-and-fire neurons driven by white noise: what leak lets through, in theory.

    dU/dt = -U/τ_m + I + sqrt(2 D_I) ξ(t)        threshold 1, reset to 0, capacitance 1

is the neuron of Chowdhury, Lee & Roy (supplement, §7) with U_rest = 0, V_th = 1, no refractory
period, and all of the noise as the signal (D_st = D).  Its capacitance is what stays fixed when the
leak changes (§7.2): R = τ_m, hence μ = R I and D = D_I R² / τ_m grow with τ_m, and the non-leaky
neuron, τ_m = inf, has the same current and the same noise.

Where the printed formulas need care (each is held against simulations by the tests):

- r_0: the lower limit of the integral is printed with V_rest, it is (μ - V_th) / sqrt(2D).  As
  printed, with V_rest = U_rest, the integral is empty and the rate infinite.
- Eq. 4 is right, its prefactor included, but its ω and r_0 are those of the dimensionless time
  t / τ_m of Eq. (a): at a frequency f, ω = 2π f τ_m.  Curves for different leaks over that ω have
  different axes.  As τ_m grows, a given ω stands for an ever lower frequency, where the coherence
  of the non-leaky neuron is 1: so on this axis it seems to let all pass (Fig. 2).
- The coherence of the non-leaky neuron is no constant: it falls as 2 r_0 / ω at high frequencies,
  just as that of leaky ones, whatever τ_m.  `spectra` has its closed form.
- S_xs in §7.2 is printed with x twice; the second one is s.

Functions of complex order are those of mpmath (extra ``scenarios``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import erfcx

from scenarios.extras import require
from scenarios.running.options import Checked, Positive, Range, TimeConstant

__all__ = ["Neuron", "Spectra", "coherence", "firing_rate", "half_height", "spectra"]

Floats = NDArray[np.float64]
DIGITS = 15  # right ones of every value
LOWEST = -25.0  # (μ - 1) / sqrt(2D): below, the mean interval overflows


@dataclass(frozen=True)
class Neuron(Checked):
    """A leaky or non-leaky integrate-and-fire neuron, in any consistent unit of time.

    Attributes
    ----------
    tau : float
        Membrane time constant τ_m > 0; inf: no leak.
    current : float
        Mean input I: potential per time.  Must be > 0 without leak.
    noise : float
        Intensity D_I > 0 of the white noise: half the variance that it adds per time.

    Examples
    --------
    >>> neuron = Neuron(tau=30.0, current=1 / 30, noise=1 / 300)
    >>> round(neuron.mu, 6), round(neuron.intensity, 6)
    (1.0, 0.1)
    """

    tau: TimeConstant
    current: Annotated[float, Range(-1e6, 1e6)]
    noise: Positive

    def __post_init__(self) -> None:
        """Check the numbers, and that the neuron fires."""
        super().__post_init__()
        if not self.leaky and not self.current > 0.0:
            raise ValueError(f"current must be > 0 without leak, got {self.current!r}")
        if self.leaky and (self.mu - 1.0) / math.sqrt(2.0 * self.intensity) < LOWEST:
            raise ValueError(
                "current and noise must make the neuron fire, got mean potential "
                f"{self.mu:.3g} of the threshold with standard deviation "
                f"{math.sqrt(self.intensity):.3g}"
            )

    @property
    def leaky(self) -> bool:
        """Whether the potential decays."""
        return self.tau < math.inf

    @property
    def mu(self) -> float:
        """μ of Eq. (e)."""
        return self.tau * self.current

    @property
    def intensity(self) -> float:
        """D of Eq. (f)."""
        return self.tau * self.noise


@dataclass(frozen=True, eq=False)
class Spectra:
    """Spectral properties of a spike train x and its white noise input s.

    Attributes
    ----------
    gain : (n,) ndarray
        |S_xs| / S_ss, the modulation of the rate by a small signal (Eq. 7 without 2 D_st).
    power : (n,) ndarray
        S_xx, spikes² per time (Eq. 8).
    coherence : (n,) ndarray
        |S_xs|² / (S_xx S_ss), in [0, 1] (Eq. 4).
    """

    gain: Floats
    power: Floats
    coherence: Floats


def firing_rate(neuron: Neuron) -> float:
    """Return r_0, the mean number of spikes per time.

    Notes
    -----
    1 / r_0 = τ_m sqrt(π) ∫ exp(z²) erfc(z) dz from (μ - 1) / sqrt(2D) to μ / sqrt(2D), where the
    integrand is scipy's erfcx.  Without leak, r_0 = I whatever the noise.

    References
    ----------
    Lindner 2014; Chowdhury, Lee & Roy, supplement 7.2 (where the lower limit is misprinted).

    Examples
    --------
    >>> round(firing_rate(Neuron(tau=1.0, current=1.0, noise=0.1)), 6)
    0.546246
    """
    if not neuron.leaky:
        return neuron.current
    width = math.sqrt(2.0 * neuron.intensity)
    interval, _ = quad(
        erfcx, (neuron.mu - 1.0) / width, neuron.mu / width, epsabs=0.0, epsrel=1e-12, limit=200
    )
    return 1.0 / (neuron.tau * math.sqrt(math.pi) * interval)


def spectra(neuron: Neuron, frequencies: ArrayLike) -> Spectra:
    """Return gain, power spectrum and coherence.

    Parameters
    ----------
    neuron : Neuron
        With or without leak.
    frequencies : (n,) array_like
        In cycles per time, finite and > 0.

    Raises
    ------
    ValueError
        If a frequency is out of its range, or so high in units of 1/τ_m that mpmath finds no
        value: then τ_m = inf is what is meant.

    Notes
    -----
    With leak: Eqs 7, 8 and 4 by mpmath's ``pcfd``, each value kept in memory (2 to 13 ms for
    ω τ_m < 100, μ < 10).  Both differences in them cancel at low frequencies; digits that are lost
    are made up for by a higher working precision.

    Without leak, intervals have the inverse Gaussian distribution with the characteristic function
    ρ(ω) = exp(-λ), λ = (sqrt(I² + 4iωD_I) - I) / (2 D_I).  So, as for every renewal process,
    S_xx = r_0 (1 - |ρ|²) / |1 - ρ|², and the linear response of the Fokker-Planck equation, tested
    with exp(λU), gives the gain |2 / (1 + sqrt(1 + 4iωD_I / I²))|.  Hence C → 1 as ω → 0: what
    comes in is either given out in spikes or still in the potential, which is bounded.

    References
    ----------
    Chowdhury, Lee & Roy, Eqs 4, 7, 8; Lindner, Schimansky-Geier & Longtin 2002; Gerstein &
    Mandelbrot 1964 (intervals without leak).

    Examples
    --------
    >>> spectra(Neuron(np.inf, 1.0, 0.1), [1e-9, 1.0]).coherence.round(4)
    array([1.    , 0.1354])
    >>> spectra(Neuron(1.0, 1.0, 0.1), [1.0]).coherence.round(4)
    array([0.168])
    """
    f = np.asarray(frequencies, dtype=np.float64)
    if f.ndim != 1:
        raise ValueError(f"frequencies must be (n,), got shape {f.shape}")
    bad = f[~((f > 0.0) & (f < np.inf))]
    if bad.size:
        raise ValueError(f"frequencies must be finite and > 0, got {bad[0]!r}")
    gain, power = _leaky(neuron, f) if neuron.leaky else _non_leaky(neuron, f)
    return Spectra(gain, power, 2.0 * neuron.noise * gain**2 / power)


def coherence(neuron: Neuron, frequencies: ArrayLike) -> Floats:
    """Return C at some frequencies; see `spectra`."""
    return spectra(neuron, frequencies).coherence


def half_height(neuron: Neuron) -> tuple[float, float]:
    """Return the coherence at vanishing frequency, and the frequency at which it has halved.

    Examples
    --------
    >>> [round(x, 4) for x in half_height(Neuron(np.inf, 1.0, 0.1))]
    [1.0, 0.4722]
    """
    rate = firing_rate(neuron)
    highest = float(coherence(neuron, [1e-4 * rate])[0])

    def excess(f: float) -> float:
        return float(coherence(neuron, [f])[0]) - highest / 2.0

    above = 10.0 * rate
    while excess(above) > 0.0:  # C falls like 2 r_0 / omega in the end
        above *= 2.0
    return highest, float(brentq(excess, 1e-3 * rate, above, rtol=1e-8))


def _non_leaky(neuron: Neuron, f: Floats) -> tuple[Floats, Floats]:
    I, D = neuron.current, neuron.noise
    root = np.sqrt(I**2 + 8j * np.pi * f * D)
    exponent = 4j * np.pi * f / (I + root)  # λ; this form has no cancellation
    power = I * -np.expm1(-2.0 * exponent.real) / np.abs(np.expm1(-exponent)) ** 2
    return np.abs(2.0 * I / (I + root)), power


def _leaky(neuron: Neuron, f: Floats) -> tuple[Floats, Floats]:
    require("scenarios", ("mpmath",), "the coherence of leaky neurons")
    rate, tau = firing_rate(neuron), neuron.tau
    values = [_of_leaky(2.0 * math.pi * tau * x, neuron.mu, neuron.intensity) for x in f.tolist()]
    gain, power = np.array(values).reshape(-1, 2).T
    return rate * tau * gain, rate * power


@lru_cache(maxsize=100_000)
def _of_leaky(omega: float, mu: float, D: float) -> tuple[float, float]:
    """Return (gain, power) / r_0 in dimensionless time."""
    digits = DIGITS + 3
    while True:
        gain, power, lost = _with_digits(omega, mu, D, digits)
        if digits - lost >= DIGITS:
            return gain, power
        digits = DIGITS + 3 + math.ceil(lost)


def _with_digits(omega: float, mu: float, D: float, digits: int) -> tuple[float, float, float]:
    """Return (gain, power, digits lost by cancellation) from a given working precision."""
    import mpmath

    with mpmath.workdps(digits):
        i, m, d = mpmath.mpc(0.0, omega), mpmath.mpf(mu), mpmath.mpf(D)
        at_threshold, at_reset = (m - 1) / mpmath.sqrt(d), m / mpmath.sqrt(d)
        factor = mpmath.exp((2 * m - 1) / (4 * d))  # e^Δ
        try:
            upper, lower = (
                [mpmath.pcfd(order, at_threshold), factor * mpmath.pcfd(order, at_reset)]
                for order in (i - 1, i)
            )
        except (ValueError, mpmath.libmp.NoConvergence) as error:
            raise ValueError(
                f"tau and frequency must be lower for parabolic cylinder functions of order "
                f"{omega:.3g}i at {float(at_reset):.3g} to be found; tau = inf is no leak"
            ) from error
        response = upper[0] - upper[1]
        variance = abs(lower[0]) ** 2 - abs(lower[1]) ** 2
        renewal = abs(lower[0] - lower[1])
        gain = omega / mpmath.sqrt(d * (1 + i.imag**2)) * abs(response) / renewal
        kept = min(abs(response) / abs(upper[0]), abs(variance) / abs(lower[0]) ** 2,
                   renewal / abs(lower[0]))  # fmt: skip
        lost = digits if kept == 0 else max(0.0, -float(mpmath.log10(kept)))
        return float(gain), float(variance / renewal**2), lost
