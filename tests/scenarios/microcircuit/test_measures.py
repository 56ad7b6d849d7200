"""What is measured of spike trains, on trains made by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.microcircuit.measures import correlations, synchrony
from scenarios.networks.recording import Recording


def recording(times, indices, n, duration):
    spikes = {"times": times, "indices": indices, "seconds": np.asarray(0.0)}
    return Recording.of(spikes, n, duration)


def poisson(n, rate, duration, seed=0):
    """Return independent trains of a rate in kHz."""
    rng = np.random.default_rng(seed)
    number = rng.poisson(rate * duration, n)
    times = rng.uniform(0.0, duration, number.sum())
    return recording(times, np.repeat(np.arange(n), number), n, duration)


def test_poisson_trains_have_a_synchrony_of_one_and_no_correlation():
    trains = poisson(300, 0.05, 3000.0)
    assert trains.rates.mean() == pytest.approx(50.0, rel=0.02)
    assert trains.cvs.mean() == pytest.approx(1.0, abs=0.02)
    assert synchrony(trains) == pytest.approx(1.0, abs=0.15)
    found = correlations(trains)
    assert found.size == 200 * 199 // 2
    assert found.mean() == pytest.approx(0.0, abs=0.002)


def test_a_shared_part_of_the_spikes_is_the_correlation():
    own, shared = poisson(200, 0.03, 5000.0, 1), poisson(1, 0.01, 5000.0, 2)
    times = np.concatenate([own.times, np.tile(shared.times, 200)])
    indices = np.concatenate([own.indices, np.repeat(np.arange(200), shared.times.size)])
    found = correlations(recording(times, indices, 200, 5000.0))
    assert found.mean() == pytest.approx(0.25, abs=0.04)


def test_trains_at_once_are_as_synchronous_as_they_are_many():
    times = np.repeat(np.arange(1.5, 3000.0, 30.0), 50)
    trains = recording(times, np.tile(np.arange(50), 100), 50, 3000.0)
    assert synchrony(trains) == pytest.approx(50.0 * 0.9)
    np.testing.assert_allclose(correlations(trains), 1.0)


def test_silence_has_neither():
    nothing = recording(np.empty(0), np.empty(0, dtype=np.int64), 5, 1.0)
    assert correlations(nothing).size == 0
    assert np.isnan(synchrony(nothing))


trains_of_three = st.lists(st.lists(st.integers(1, 40), unique=True), min_size=3, max_size=3)


@given(trains_of_three)
def test_correlations_are_those_of_numpy(given_times):
    each = [np.sort(np.array(times, dtype=float)) for times in given_times]
    indices = np.repeat(np.arange(3), [times.size for times in each])
    trains = recording(np.concatenate(each), indices, 3, 42.0)
    counts = [np.histogram(times, np.arange(0.0, 43.0, 2.0))[0] for times in each]
    counts = np.array([c for c in counts if c.std() > 0.0])
    if len(counts) > 1:
        expected = np.corrcoef(counts)[np.triu_indices(len(counts), 1)]
        np.testing.assert_allclose(correlations(trains), expected, atol=1e-9)
