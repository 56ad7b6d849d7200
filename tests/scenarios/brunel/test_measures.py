"""What is measured of a population, against trains made by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.brunel.measures import (
    frequency,
    independent,
    population_rate,
    spectrum,
    synchrony,
)
from scenarios.networks.recording import Recording


def recording(times, n: int, duration: float) -> Recording:
    times = np.asarray(times, dtype=float)
    return Recording(times, np.zeros(times.size, dtype=np.int64), n, duration, 0.0)


def waves(hertz: float, depth: float, n: int = 2000, duration: float = 1000.0) -> Recording:
    """Neurons of 20 Hz whose common rate goes up and down."""
    rng = np.random.default_rng(0)
    times = rng.uniform(0.0, duration, round(n * 20.0 * duration / 1000.0 * (1.0 + depth)))
    level = 1.0 + depth * np.sin(2.0 * np.pi * hertz * times / 1000.0)
    kept = rng.uniform(0.0, 1.0 + depth, times.size) < level
    return recording(np.sort(times[kept]), n, duration)


@pytest.mark.parametrize("hertz", [22.0, 180.0, 640.0])
def test_the_frequency_of_a_population_is_that_of_its_rate(hertz):
    assert frequency(waves(hertz, 0.8)) == pytest.approx(hertz, abs=2.0)


def test_synchrony_is_that_of_independent_neurons_or_more():
    alone, together = waves(100.0, 0.0), waves(100.0, 0.9)
    assert synchrony(alone) == pytest.approx(independent(alone), rel=0.1)
    assert synchrony(together) == pytest.approx(0.9 / math.sqrt(2.0), rel=0.1)


def test_a_population_that_fires_as_one_in_every_tenth_bin_has_a_synchrony_of_three():
    times = np.repeat(np.arange(5.5, 1000.0, 10.0), 7)
    assert synchrony(recording(times, 7, 1000.0)) == pytest.approx(3.0)
    assert frequency(recording(times, 7, 1000.0)) % 100.0 == pytest.approx(0.0)


def test_a_steady_population_has_a_synchrony_of_zero():
    assert synchrony(recording(np.arange(0.5, 100.0), 1, 100.0)) == 0.0


def test_a_silent_population_has_neither_synchrony_nor_frequency():
    silent = recording([], 10, 100.0)
    assert math.isnan(synchrony(silent))
    assert math.isnan(independent(silent))
    assert math.isnan(frequency(silent))
    assert not spectrum(silent)[1].any()


@given(st.lists(st.integers(1, 200), max_size=50), st.integers(1, 7))
def test_spikes_on_a_grid_fall_into_the_bin_that_ends_with_them(steps, width):
    """Whatever the rounding of their times: NEST's are multiples of 0.1 ms, less a transient."""
    times = np.sort([0.1 * (2000 + step) - 200.0 for step in steps])
    rate, edges = population_rate(recording(times, 1, 20.0), 0.1 * width)
    places = [(step - 1) // width for step in steps]
    expected = np.bincount(places, minlength=rate.size)[: rate.size] if steps else 0.0 * rate
    np.testing.assert_allclose(rate * 0.1 * width / 1000.0, expected, atol=1e-9)
    assert edges.size == rate.size + 1 == 200 // width + 1


@given(st.floats(10.0, 500.0), st.floats(0.1, 3.0))
def test_no_spike_within_whole_bins_is_lost(duration, width):
    times = np.linspace(0.0, duration, 77)[1:]
    rate, edges = population_rate(recording(times, 3, duration), width)
    counted = rate.sum() * 3.0 * width / 1000.0
    assert abs(counted - np.count_nonzero(times <= edges[-1])) <= 1.0 + 1e-9
