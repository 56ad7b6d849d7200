"""Copies side by side: each does what it does alone."""

from dataclasses import replace

import numpy as np
import pytest

import eventsim as es
from gradients import FirstSpikeCrossEntropy
from scenarios.networks.copies import Copies, SideBySide, chosen, stacked
from scenarios.networks.first_spike import Classifier
from scenarios.running.training import Settings, fit
from scenarios.xor import run as xor
from scenarios.xor.config import XorOptions
from tests.helpers.resuming import assert_a_killed_run_resumes

NEURON = es.LIF(tau_mem=1.0, tau_syn=0.8)
BATCH = es.SpikeBatch.from_latencies([[0.0, 0.5, 0.3], [0.9, 0.1, 0.2], [0.4, 0.4, 0.7]])
LABELS = np.array([0, 1, 0])
LOSS = FirstSpikeCrossEntropy("out", tau0=0.2, t_silent=4.0, gamma=0.1, wake=0.0)


def several(n, sizes=(3, 4, 2)):
    """A model, and weights of copies, some of whose neurons are silent."""
    model = Classifier(sizes, NEURON, 4.0, LOSS)
    normals = [(1.2, 0.8)] * (len(sizes) - 1)
    return model, [model.initial(normals, np.random.default_rng(k)) for k in range(n)]


@pytest.mark.parametrize("sizes", [(3, 4, 2), (3, 5, 4, 2)])
def test_copies_have_the_first_spikes_and_gradients_of_each_alone(sizes):
    model, weights = several(5, sizes)
    copies, together = Copies(model, 5), stacked(weights)
    times, step = copies.first_spikes(together, BATCH), copies.step(together, BATCH, LABELS)
    assert np.isinf(times).any()
    assert np.isfinite(times).any()
    for k, own in enumerate(weights):
        np.testing.assert_allclose(times[:, k], model.first_spikes(own, BATCH), rtol=1e-12)
        alone = model.step(own, BATCH, LABELS)
        assert step.accuracy[k] == alone.metrics["accuracy"]
        for name, slope in alone.gradients.items():
            np.testing.assert_allclose(step.gradients[name][k], slope, rtol=1e-12, atol=1e-14)


def test_a_copy_can_leave():
    _, weights = several(3)
    rest = chosen(stacked(weights), np.array([True, False, True]))
    for name, weight in rest.items():
        np.testing.assert_array_equal(weight, [weights[0][name], weights[2][name]])


@pytest.mark.parametrize(
    ("wake", "n", "message"),
    [(0.0, 0, "n must be >= 1, got 0"), (0.5, 3, "wake must be 0 for copies, got 0.5")],
)
def test_copies_that_cannot_be_are_refused(wake, n, message):
    with pytest.raises(ValueError, match=message):
        Copies(Classifier((3, 4, 2), NEURON, 4.0, replace(LOSS, wake=wake)), n)


def learner():
    """Five initialisations that learn XOR."""
    config = XorOptions()
    return SideBySide(xor.build(config), config.settings(0).optimizer, range(5))


def all_converged(history):
    return history[-1]["converged"] == 1.0


@pytest.mark.jit
def test_initialisations_leave_one_after_the_other(tmp_path):
    state = fit(learner(), Settings(60, 9, stop=all_converged), folder=tmp_path)
    converged = [record["converged"] for record in state.history[1:]]
    steps = state.optimizer["steps"]
    assert len(set(steps)) > 1
    assert state.epoch == steps.max() + 1 < 60
    assert converged == [np.mean(steps <= k) for k in range(state.epoch)]
    assert fit(learner(), Settings(60, 9, stop=all_converged), folder=tmp_path).epoch == state.epoch


@pytest.mark.jit
@pytest.mark.parametrize("passes", [1, 4])
def test_initialisations_that_are_killed_and_resumed_learn_as_those_that_were_not(tmp_path, passes):
    settings = Settings(60, 9, stop=all_converged)
    assert_a_killed_run_resumes(learner, settings, tmp_path, passes, method="learn")


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (
            np.full(4, -1),
            r"optimizer/steps must be int64 of shape \(5,\), got int64 of shape \(4,\)",
        ),
        (np.full(5, -1.0), "optimizer/steps must be int64 of shape .*, got float64"),
        (np.full(5, -2), "optimizer/steps must be >= -1, got -2"),
        (np.array([-1, 3, -1, -1, -1]), r"params/in->hidden must be float64 of shape \(4, 2, 4\)"),
    ],
)
def test_a_state_that_is_not_of_these_initialisations_is_refused(steps, message):
    one = learner()
    one.start(np.random.default_rng(0))
    params, optimizer = one.state()
    with pytest.raises(ValueError, match=message):
        one.load(params, {**optimizer, "steps": steps})


def test_initialisations_want_the_full_batch():
    with pytest.raises(ValueError, match=r"batch_size of copies must be >= 4, .* got 2"):
        fit(learner(), Settings(1, 2))
