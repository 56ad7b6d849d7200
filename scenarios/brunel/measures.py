"""What is measured of a population: its rate in time, how synchronous it is, how it oscillates."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from scenarios.networks.recording import Recording

__all__ = ["frequency", "independent", "population_rate", "spectrum", "synchrony"]

Floats = NDArray[np.float64]
BIN = 1.0  # ms: of synchrony
FINE_BIN = 0.5  # ms: of spectra, up to 1000 Hz
SEGMENT = 500.0  # ms: of spectra, whose lines are 2 Hz apart
ROUNDING = 1e-6  # of times in bins


def population_rate(recording: Recording, width: float) -> tuple[Floats, Floats]:
    """Return the mean rate of all neurons (Hz) in whole bins, and the edges of these (ms).

    A bin has its end: spikes on a grid are those of the step before, whatever their rounding.

    Examples
    --------
    >>> pair = Recording(np.array([0.5, 3.0]), np.array([0, 1]), 2, 3.0, 0.0)
    >>> population_rate(pair, 1.0)
    (array([500.,   0., 500.]), array([0., 1., 2., 3.]))
    """
    n_bins = math.floor(recording.duration / width + ROUNDING)
    place = np.ceil(recording.times / width - ROUNDING).astype(np.int64) - 1
    counts = np.bincount(np.maximum(place, 0), minlength=n_bins)[:n_bins]
    rate = 1000.0 / (width * recording.n) * counts.astype(np.float64)
    return rate, np.linspace(0.0, n_bins * width, n_bins + 1)


def synchrony(recording: Recording) -> float:
    """Return the coefficient of variation of the population's rate in bins of 1 ms; NaN if 0."""
    rate, _ = population_rate(recording, BIN)
    mean = rate.mean()
    return float(rate.std() / mean) if mean > 0.0 else math.nan


def independent(recording: Recording) -> float:
    """Return the `synchrony` of as many Poisson processes of the same rate; NaN if it is 0."""
    expected = recording.times.size * BIN / recording.duration
    return 1.0 / math.sqrt(expected) if expected else math.nan


def spectrum(recording: Recording) -> tuple[Floats, Floats]:
    """Return frequencies (Hz, above 0) and power (Hz² / Hz) of the population's rate (Welch)."""
    rate, _ = population_rate(recording, FINE_BIN)
    length = min(round(SEGMENT / FINE_BIN), rate.size)
    frequencies, power = signal.welch(rate, fs=1000.0 / FINE_BIN, nperseg=length)
    return frequencies[1:], power[1:]


def frequency(recording: Recording) -> float:
    """Return the frequency of the highest power of the population's rate, Hz; NaN if it is 0."""
    frequencies, power = spectrum(recording)
    return float(frequencies[power.argmax()]) if power.any() else math.nan
