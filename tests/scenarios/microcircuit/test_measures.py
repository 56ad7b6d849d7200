"""What is measured of spike trains, on trains made by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.microcircuit.measures import Trains, joined


def poisson(n, rate, duration, seed=0):
    """Return independent trains of a rate in kHz."""
    rng = np.random.default_rng(seed)
    number = rng.poisson(rate * duration, n)
    indices = np.repeat(np.arange(n), number)
    times = rng.uniform(0.0, duration, number.sum())
    return Trains.of({"times": times, "indices": indices}, slice(0, n), 0.0, duration)


def test_poisson_trains_have_a_cv_and_a_synchrony_of_one_and_no_correlation():
    trains = poisson(300, 0.05, 3000.0)
    assert trains.rates.mean() == pytest.approx(50.0, rel=0.02)
    assert trains.cvs.mean() == pytest.approx(1.0, abs=0.02)
    assert trains.synchrony == pytest.approx(1.0, abs=0.15)
    assert trains.correlations.size == 200 * 199 // 2
    assert trains.correlations.mean() == pytest.approx(0.0, abs=0.002)


def test_a_shared_part_of_the_spikes_is_the_correlation():
    own, shared = poisson(200, 0.03, 5000.0, 1), poisson(1, 0.01, 5000.0, 2)
    times = np.concatenate([own.times, np.tile(shared.times, 200)])
    indices = np.concatenate([own.indices, np.repeat(np.arange(200), shared.times.size)])
    trains = Trains.of({"times": times, "indices": indices}, slice(0, 200), 0.0, 5000.0)
    assert trains.correlations.mean() == pytest.approx(0.25, abs=0.04)


def test_trains_at_once_are_as_synchronous_as_they_are_many():
    times = np.repeat(np.arange(1.5, 3000.0, 30.0), 50)
    trains = Trains.of(
        {"times": times, "indices": np.tile(np.arange(50), 100)}, slice(0, 50), 0.0, 3000.0
    )
    assert trains.synchrony == pytest.approx(50.0 * 0.9)
    np.testing.assert_allclose(trains.cvs, 0.0, atol=1e-12)
    np.testing.assert_allclose(trains.correlations, 1.0)


def test_silence_has_a_rate_and_nothing_else():
    nothing = {"times": np.empty(0), "indices": np.empty(0, dtype=np.int64)}
    trains = Trains.of(nothing, slice(3, 8), 0.0, 1.0)
    assert trains.rates.tolist() == [0.0] * 5
    assert trains.cvs.size == trains.correlations.size == 0
    assert np.isnan(trains.synchrony)


trains_of_three = st.lists(st.lists(st.integers(1, 40), unique=True), min_size=3, max_size=3)


@given(trains_of_three)
def test_measures_are_those_of_numpy_neuron_by_neuron(given_times):
    each = [np.sort(np.array(times, dtype=float)) for times in given_times]
    spikes = {
        "times": np.concatenate(each),
        "indices": np.repeat(np.arange(3), [times.size for times in each]),
    }
    trains = Trains.of(spikes, slice(0, 3), 0.0, 42.0)
    many = [np.diff(times) for times in each if times.size > 5]
    np.testing.assert_allclose(trains.cvs, [d.std() / d.mean() for d in many], atol=1e-12)
    counts = [np.histogram(times, np.arange(0.0, 43.0, 2.0))[0] for times in each]
    counts = np.array([np.append(c[:-1], c[-1]) for c in counts if c.std() > 0.0])
    if len(counts) > 1:
        expected = np.corrcoef(counts)[np.triu_indices(len(counts), 1)]
        np.testing.assert_allclose(trains.correlations, expected, atol=1e-9)


def test_chunks_are_joined_in_order():
    chunks = [{"times": np.array([t]), "indices": np.array([k])} for k, t in enumerate((1.0, 2.0))]
    assert joined(chunks)["times"].tolist() == [1.0, 2.0]
    assert joined(chunks)["indices"].tolist() == [0, 1]
