"""Spike trains: their rates, and how irregular they are."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scenarios.networks.recording import Recording


def recording_of(each, duration):
    """The recording of the trains of neurons, which comes in any order."""
    times = np.concatenate([np.asarray(train, dtype=float) for train in each])
    indices = np.repeat(np.arange(len(each)), [len(train) for train in each])
    order = np.random.default_rng(0).permutation(times.size)
    spikes = {"times": times[order], "indices": indices[order], "seconds": np.asarray(2.0)}
    return Recording.of(spikes, len(each), duration)


def test_a_poisson_train_has_a_cv_of_one_and_a_regular_one_of_zero():
    rng = np.random.default_rng(0)
    poisson = np.cumsum(rng.exponential(1.0, 4000))
    found = recording_of([poisson, np.arange(4000.0), [1.0, 2.0, 4.0]], 4000.0)
    np.testing.assert_allclose(found.cvs, [1.0, 0.0], atol=0.05)
    np.testing.assert_allclose(found.rates, [1000.0, 1000.0, 0.75])


def test_silence_has_a_rate_and_nothing_else():
    found = recording_of([[]] * 5, 1.0)
    assert found.rates.tolist() == [0.0] * 5
    assert found.cvs.size == 0


trains = st.lists(st.lists(st.integers(1, 40), unique=True), min_size=3, max_size=3)


@given(trains, st.integers(0, 41), st.integers(0, 3), st.integers(0, 3))
def test_measures_are_those_of_numpy_neuron_by_neuron(each, begin, one, other):
    """Also of what is cut out, in time and by neurons."""
    first, last = sorted((one, other))
    found = recording_of(each, 42.0).after(begin).of_neurons(slice(first, last))
    assert (found.n, found.duration, found.seconds) == (last - first, 42.0 - begin, 2.0)
    expected = [np.sort([t - begin for t in train if t > begin]) for train in each[first:last]]
    for k, train in enumerate(expected):
        np.testing.assert_array_equal(found.times[found.indices == k], train)
    rates = [1000.0 * train.size / (42.0 - begin) for train in expected]
    np.testing.assert_allclose(found.rates, rates, rtol=1e-15)
    many = [np.diff(train) for train in expected if train.size > 5]
    np.testing.assert_allclose(found.cvs, [d.std() / d.mean() for d in many], atol=1e-12)
