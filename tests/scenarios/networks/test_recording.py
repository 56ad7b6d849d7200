"""Spike trains: their rates, and how irregular they are."""

import numpy as np

from scenarios.networks.recording import Recording


def test_a_poisson_train_has_a_cv_of_one_and_a_regular_one_of_zero():
    rng = np.random.default_rng(0)
    times = np.concatenate([np.cumsum(rng.exponential(1.0, 4000)), np.arange(4000.0)])
    recording = Recording(times, np.repeat([0, 1], 4000), 3, 4000.0, 0.0)
    np.testing.assert_allclose(recording.cv[:2], [1.0, 0.0], atol=0.05)
    assert np.isnan(recording.cv[2])
    np.testing.assert_allclose(recording.rates, [1.0, 1.0, 0.0])
