"""Formulas for the coherence: against the Fokker-Planck equation, each other, and their limits."""

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csc_array
from scipy.sparse.linalg import splu

from scenarios.coherence import theory as coherence_theory
from scenarios.coherence.theory import Neuron, coherence, firing_rate, half_height, spectra

HIGH = Neuron(tau=30.0, current=1 / 30, noise=1 / 300)  # mu = 1, D = 0.1
LOW = Neuron(tau=100.0, current=1 / 30, noise=1 / 300)
NONE = Neuron(tau=np.inf, current=1 / 30, noise=1 / 300)
BY_NOISE = Neuron(tau=10.0, current=0.05, noise=0.01)  # mu = 0.5, D = 0.1: silent without noise
NEURONS = {"high": HIGH, "low": LOW, "none": NONE, "by noise": BY_NOISE}
FREQUENCIES = np.array([0.0005, 0.005, 0.02, 0.06])


class Grid:
    """The Fokker-Planck equation, cut into cells: a Markov chain, solved as such.

    Reset is in the middle of a cell, the threshold at the end of the last one; fluxes between cells
    are exponentially fitted (Scharfetter & Gummel), so that wide drifts do no harm.
    """

    def __init__(self, neuron, per_unit=800):
        self.neuron, self.width = neuron, 1.0 / (per_unit + 0.5)
        spread = neuron.noise * min(neuron.tau, 1.0 / neuron.current)
        below = int(np.ceil(8.0 * np.sqrt(spread) / self.width))
        self.start = below
        self.middle = self.width * np.arange(-below, per_unit + 1)
        self.end = np.zeros(self.middle.size)  # probability in the cell of the reset
        self.end[below] = 1.0

    def generator(self, current):
        """Return (rates between cells, rates out of them at the threshold)."""
        h, D, n = self.width, self.neuron.noise, self.middle.size
        leak = 0.0 if not self.neuron.leaky else 1.0 / self.neuron.tau
        drift = current - leak * (self.middle[:-1] + h / 2.0)
        up, down = bernoulli(-drift * h / D) * D / h**2, bernoulli(drift * h / D) * D / h**2
        out = np.zeros(n)
        out[-1] = bernoulli(-(current - leak) * h / (2.0 * D)) * 2.0 * D / h**2
        diagonal = -out
        diagonal[:-1] -= up
        diagonal[1:] -= down
        cells = np.arange(n)
        rows = np.concatenate([cells, cells[1:], cells[:-1]])
        columns = np.concatenate([cells, cells[:-1], cells[1:]])
        return csc_array((np.concatenate([diagonal, up, down]), (rows, columns))), out

    def spectra(self, f):
        """Return (rate, gain, power)."""
        M, out = self.generator(self.neuron.current)
        small = 1e-4 * self.neuron.current
        (M1, out1), (M2, out2) = (self.generator(self.neuron.current + x) for x in (small, -small))
        stationary = splu(-M).solve(self.end)
        rate = 1.0 / stationary.sum()
        stationary *= rate
        inverse = splu(with_diagonal(-M.astype(complex), 2j * np.pi * f))
        changed = (M1 - M2) @ stationary / (2 * small)
        direct = (out1 - out2) @ stationary / (2 * small)
        rho = out @ inverse.solve(self.end.astype(complex))
        source = changed + direct * self.end  # what the modulation moves, and puts back at once
        response = out @ inverse.solve(source.astype(complex))
        gain = abs(response / (1.0 - rho) + direct)
        return rate, gain, rate * (1.0 - abs(rho) ** 2) / abs(1.0 - rho) ** 2


def bernoulli(x):
    """x / (exp(x) - 1)."""
    return np.where(x == 0.0, 1.0, x / np.expm1(np.where(x == 0.0, 1.0, x)))


def with_diagonal(matrix, value):
    result = matrix.tolil()
    result.setdiag(matrix.diagonal() + value)
    return result.tocsc()


@pytest.mark.slow
@pytest.mark.parametrize("name", NEURONS)
def test_rate_gain_and_power_are_those_of_the_fokker_planck_equation(name):
    neuron = NEURONS[name]
    found, grid = spectra(neuron, FREQUENCIES), Grid(neuron)
    expected = np.array([grid.spectra(f) for f in FREQUENCIES]).T
    np.testing.assert_allclose(firing_rate(neuron), expected[0], rtol=2e-5)
    np.testing.assert_allclose(found.gain, expected[1], rtol=3e-4)
    np.testing.assert_allclose(found.power, expected[2], rtol=3e-4)


@pytest.mark.parametrize("neuron", [HIGH, LOW, BY_NOISE])
def test_coherence_is_equation_4_as_printed_in_dimensionless_time(neuron):
    with mpmath.workdps(50):
        mu, D, rate = neuron.mu, neuron.intensity, neuron.tau * firing_rate(neuron)
        a, b = (mu - 1) / mpmath.sqrt(D), mu / mpmath.sqrt(D)
        delta = mpmath.mpf(-1 + 2 * mu) / (4 * D)
        for f in FREQUENCIES.tolist():
            w = 2 * np.pi * f * neuron.tau
            upper = mpmath.pcfd(1j * w - 1, a) - mpmath.exp(delta) * mpmath.pcfd(1j * w - 1, b)
            lower = (
                abs(mpmath.pcfd(1j * w, a)) ** 2
                - mpmath.exp(2 * delta) * abs(mpmath.pcfd(1j * w, b)) ** 2
            )
            printed = 2 * rate * w**2 / (1 + w**2) * abs(upper) ** 2 / lower
            assert coherence(neuron, [f])[0] == pytest.approx(float(printed), rel=1e-12)


@pytest.mark.parametrize("omega", [1e-8, 1e-5, 1e-2, 1.0, 30.0])
@pytest.mark.parametrize(("mu", "D"), [(1.0, 0.1), (3.3, 0.33), (0.5, 0.02), (1.2, 1.0)])
def test_digits_lost_by_cancellation_are_made_up_for(omega, mu, D):
    exact = coherence_theory._with_digits(omega, mu, D, 70)[:2]
    assert coherence_theory._of_leaky(omega, mu, D) == pytest.approx(exact, rel=3e-15)


def test_at_low_frequencies_digits_would_be_lost():
    *_, lost = coherence_theory._with_digits(1e-8, 1.0, 0.1, 50)
    assert lost > 14.0


@pytest.mark.parametrize("name", NEURONS)
def test_slow_signals_move_the_rate_as_its_derivative(name):
    neuron = NEURONS[name]
    small = 1e-4 * neuron.current
    rates = [
        firing_rate(Neuron(neuron.tau, neuron.current + x, neuron.noise)) for x in (-small, small)
    ]
    slope = (rates[1] - rates[0]) / (2 * small)
    assert spectra(neuron, [1e-8]).gain[0] == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize("name", NEURONS)
def test_a_spike_train_is_white_at_high_frequencies(name):
    f = 20.0 / 30.0
    assert spectra(NEURONS[name], [f]).power[0] == pytest.approx(
        firing_rate(NEURONS[name]), rel=0.005
    )


@pytest.mark.slow
def test_as_leak_vanishes_the_formula_becomes_that_without_leak():
    f = np.array([0.003, 0.01])
    without = spectra(NONE, f)
    errors = []
    for tau in (300.0, 900.0, 2700.0):
        some = spectra(Neuron(tau, NONE.current, NONE.noise), f)
        errors.append([
            np.abs(getattr(some, name) / getattr(without, name) - 1).max()
            for name in ("gain", "power", "coherence")
        ])  # fmt: skip
    errors = np.array(errors)
    assert np.all(errors[1:] < errors[:-1] / 2.5)  # of first order in 1/tau
    assert errors[-1].max() < 0.02


def test_without_leak_intervals_are_inverse_gaussian():
    I, D = NONE.current, NONE.noise
    intervals = np.random.default_rng(0).wald(1 / I, 1 / (2 * D), 400_000)
    f = np.array([0.004, 0.02, 0.05])
    rho = np.exp(2j * np.pi * f[:, None] * intervals).mean(axis=1)
    renewal = I * (1 - abs(rho) ** 2) / abs(1 - rho) ** 2
    np.testing.assert_allclose(spectra(NONE, f).power, renewal, rtol=0.02)


def test_without_leak_all_of_a_slow_signal_comes_out():
    assert coherence(NONE, [1e-9])[0] == pytest.approx(1.0, abs=1e-6)
    assert coherence(HIGH, [1e-9])[0] < 0.9


@pytest.mark.parametrize("neuron", [NONE, HIGH])
def test_at_high_frequencies_coherence_is_twice_the_rate_over_omega(neuron):
    fast = 1e7 if not neuron.leaky else 3.0
    tail = firing_rate(neuron) / (np.pi * fast)
    assert coherence(neuron, [fast])[0] == pytest.approx(tail, rel=0.01)


@pytest.mark.slow
def test_the_half_height_hardly_depends_on_the_leak():
    heights, halves = np.array([half_height(neuron) for neuron in (HIGH, LOW, NONE)]).T
    np.testing.assert_allclose(heights, [0.878, 0.991, 1.0], atol=0.001)
    assert np.ptp(halves) < 0.08 * halves.mean()
    np.testing.assert_allclose(coherence(NONE, [halves[2]]), 0.5, rtol=1e-6)


def test_over_omega_tau_less_leak_seems_flat():
    omega = np.array([1.0, 10.0])
    slow = Neuron(3000.0, HIGH.current, HIGH.noise)
    assert coherence(slow, omega / (2 * np.pi * slow.tau)).min() > 0.99
    assert coherence(HIGH, omega / (2 * np.pi * HIGH.tau))[1] < 0.2


@pytest.mark.slow
@given(
    st.floats(0.3, 3.0), st.floats(0.05, 1.0), st.floats(0.02, 2.0), st.floats(1e-3, 1e3),
    st.booleans(),
)  # fmt: skip
def test_units_of_time_do_not_matter(mu, D, f, unit, leaky):
    if leaky:
        one, other = Neuron(1.0, mu, D), Neuron(unit, mu / unit, D / unit)
    else:
        one, other = Neuron(np.inf, mu, D), Neuron(np.inf, mu / unit, D / unit)
    a, b = spectra(one, [f]), spectra(other, [f / unit])
    assert 0.0 < a.coherence[0] <= 1.0
    np.testing.assert_allclose(b.coherence, a.coherence, rtol=1e-9)
    np.testing.assert_allclose(b.power * unit, a.power, rtol=1e-9)
    np.testing.assert_allclose(b.gain, a.gain, rtol=1e-9)


def test_values_are_kept():
    coherence_theory._of_leaky.cache_clear()
    coherence(HIGH, FREQUENCIES)
    coherence(HIGH, FREQUENCIES[::-1])
    assert coherence_theory._of_leaky.cache_info()[:2] == (4, 4)  # hits, misses


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0.0, 0.1, 0.1), "tau must lie in .*, got 0.0"),
        ((np.nan, 0.1, 0.1), "tau must lie in .*, got nan"),
        ((1.0, np.inf, 0.1), "current must lie in .*, got inf"),
        ((1.0, 0.1, 0.0), "noise must lie in .*, got 0.0"),
        ((np.inf, 0.0, 0.1), "current must be > 0 without leak, got 0.0"),
        ((1.0, 0.1, 1e-4), "current and noise must make the neuron fire, got mean potential 0.1"),
    ],
)
def test_bad_neurons_are_refused(values, expected):
    with pytest.raises(ValueError, match=expected):
        Neuron(*values)


@pytest.mark.parametrize(
    ("frequencies", "expected"),
    [
        ([0.0], "frequencies must be finite and > 0, got np.float64.0.0"),
        ([1.0, np.inf], "frequencies must be finite and > 0, got np.float64.inf"),
        ([[1.0]], r"frequencies must be \(n,\), got shape \(1, 1\)"),
    ],
)
def test_bad_frequencies_are_refused(frequencies, expected):
    with pytest.raises(ValueError, match=expected):
        spectra(HIGH, frequencies)


def test_what_mpmath_cannot_do_is_said(monkeypatch):
    def fail(*_):
        raise ValueError("hypercomb() failed to converge")

    monkeypatch.setattr(mpmath, "pcfd", fail)
    with pytest.raises(ValueError, match="tau and frequency must be lower for parabolic cylinder"):
        coherence(Neuron(50.0, 0.04, 0.01), [0.01])
