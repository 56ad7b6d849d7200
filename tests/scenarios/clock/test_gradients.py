"""Surrogate gradients beside exact ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import eventsim as es
import gradients
from gradients.clocked import ClockedNetwork, SpikeDerivative
from scenarios.clock.gradients import Angles, cosine, measure, surrogate_gradient
from scenarios.compare.tasks import yin_yang_task
from scenarios.networks.clocked_task import DERIVATIVES
from scenarios.networks.feed_forward import Classification
from scenarios.networks.readout import ReadoutNetwork

FIRED = SpikeDerivative("fired")


def small(n_train: int = 40) -> Classification:
    task = yin_yang_task(hidden=12, n_train=n_train)
    spikes, labels = task.test
    return Classification(task.model, task.normals, task.train, (spikes[:30], labels[:30]))


def test_on_a_fine_grid_the_gradient_onto_the_outputs_is_the_exact_one():
    task = small()
    weights = task.initial(np.random.default_rng(0))
    samples = task.batch(np.arange(20))
    reference = task.model.step(weights, *samples)
    exact, cosines = reference.gradients, []
    for n_steps in (10, 100, 1000):
        step = surrogate_gradient(task.model, weights, samples, n_steps, FIRED)
        found = step.gradients
        assert {name: values.shape for name, values in found.items()} == {
            name: values.shape for name, values in weights.items()
        }
        cosines.append(cosine(found, exact, ["hidden->out"]))
    assert cosines == sorted(cosines)
    assert cosines[-1] > 0.9999
    np.testing.assert_allclose(found["hidden->out"], exact["hidden->out"], atol=0.01)
    assert step.metrics["loss"] == pytest.approx(reference.metrics["loss"], abs=0.01)


@pytest.mark.parametrize(("t_out", "agree"), [(0.9, True), (1.2, True), (2.5, False)])
def test_they_agree_about_a_late_spike_and_oppose_each_other_about_an_early_one(t_out, agree):
    """One neuron fires near 0.65; the kernel of its spike has its peak 2 log 2 = 0.69 later."""
    network = es.Network()
    network.add_input("in", 1)
    network.add_population("hidden", 1, es.LIF(0.5, 1.0, refractory=np.inf))
    network.add_population("out", 1, es.LIF(0.5, 1.0, threshold=np.inf))
    network.connect("in", "hidden", weights=[[4.1]])
    network.connect("hidden", "out", weights=[[1.0]])
    stimulus = {"in": es.SpikeBatch.from_latencies([[0.0]])}
    result = es.simulate(network, stimulus, t_out)
    assert result.first_spikes("hidden")[0, 0] == pytest.approx(0.5, abs=0.2)
    exact = gradients.timing_backprop(result, potentials={"out": [[1.0]]}).weights["in", "hidden"]
    for derivative in DERIVATIVES.values():
        model = ClockedNetwork(network, 0.001, derivative=derivative, dtype=torch.float64)
        model(stimulus, t_out).potentials["out"][-1].sum().backward()
        surrogate = model.weights["in->hidden"].grad.item()
        assert surrogate > 0.0
        assert (exact.item() > 0.0) == agree


def test_gradients_of_a_silent_network_have_no_angle():
    task = small()
    weights = {name: 0.0 * w for name, w in task.initial(np.random.default_rng(0)).items()}
    found = measure(Angles(task, weights, [10], 10, 10), seed=0)
    assert all(one["in->hidden"] is None for one in found["records"])
    assert found["between"]["in->hidden"] is None


def test_a_minibatch_gives_a_cosine_for_every_derivative_step_and_slope():
    task = small()
    weights = task.initial(np.random.default_rng(0))
    found = measure(Angles(task, weights, [10, 20], 20, 100), seed=3)
    assert len(found["records"]) == 2 * 4 + 2 * 7
    for one in [*found["records"], found["between"]]:
        assert all(-1.0 <= one[name] <= 1.0 for name in ("in->hidden", "hidden->out", "all"))
    assert measure(Angles(task, weights, [10, 20], 20, 100), seed=3) == found
    assert measure(Angles(task, weights, [10, 20], 20, 100), seed=4) != found


@pytest.mark.parametrize("size", [5e-324, 1e-200, 1e200])
def test_gradients_of_any_size_have_an_angle(size):
    small, up = {"w": np.array([size, 0.0])}, {"w": np.array([size, size])}
    assert cosine(small, up, ["w"]) == pytest.approx(math.sqrt(0.5))
    assert cosine(small, {"w": np.zeros(2)}, ["w"]) is None


def test_the_scale_of_a_constant_derivative_does_not_turn_the_gradient():
    task = small()
    weights = task.initial(np.random.default_rng(0))
    samples = task.batch(np.arange(20))
    one, ten = (
        surrogate_gradient(
            task.model, weights, samples, 25, SpikeDerivative("constant", scale)
        ).gradients
        for scale in (1.0, 10.0)
    )
    np.testing.assert_allclose(10.0 * one["in->hidden"], ten["in->hidden"], rtol=1e-9, atol=1e-14)


@pytest.mark.slow
@pytest.mark.jit
def test_a_smaller_step_does_not_turn_the_surrogate_gradient_into_the_exact_one():
    task = small()
    weights = task.initial(np.random.default_rng(0))
    samples = task.batch(np.arange(40))
    exact = task.model.step(weights, *samples).gradients
    for derivative in DERIVATIVES.values():
        coarse, fine = (
            cosine(surrogate_gradient(task.model, weights, samples, n, derivative).gradients,
                   exact, ["in->hidden"])
            for n in (250, 1000)
        )  # fmt: skip
        assert fine < 0.95
        assert fine == pytest.approx(coarse, abs=0.05)


def test_a_task_of_spikes_is_one_of_the_training_loop():
    from scenarios.running.training import Settings, fit

    state = fit(small(), Settings(epochs=2, batch_size=20))
    assert [record["epoch"] for record in state.history] == [0, 1, 2]
    assert {"test_loss", "test_accuracy", "test_spikes"} <= set(state.history[-1])


def test_a_readout_network_and_its_task_have_the_same_connections():
    task = small()
    assert isinstance(task.model, ReadoutNetwork)
    weights = task.initial(np.random.default_rng(0))
    assert {name: w.shape for name, w in weights.items()} == {
        "in->hidden": (5, 12),
        "hidden->out": (12, 3),
    }
