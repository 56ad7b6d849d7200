"""The classifier: its loss, its gradient, and what it does about silent neurons."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import eventsim as es
from gradients import FirstSpikeCrossEntropy
from scenarios.networks import first_spike as classifier
from scenarios.networks.first_spike import Classifier, accuracy, cross_entropy, first_to_fire
from scenarios.running.training import in_chunks

INF = np.inf
LOSS = FirstSpikeCrossEntropy("out", tau0=0.2, t_silent=4.0, gamma=0.1, wake=0.0)
NEURON = es.LIF(tau_mem=1.0, tau_syn=0.8)
BATCH = es.SpikeBatch.from_latencies([[0.0, 0.5, 0.3], [0.9, 0.1, 0.2], [0.4, 0.4, INF]])
LABELS = np.array([0, 1, 0])


def small(bump=0.0):
    model = Classifier((3, 4, 2), NEURON, 4.0, replace(LOSS, wake=bump))
    return model, model.initial([(1.5, 0.5), (1.2, 0.3)], np.random.default_rng(5))


def test_the_loss_is_the_published_formula():
    times = np.array([[1.0, 1.5, 2.0], [2.0, 0.5, INF]])
    seen = np.where(np.isinf(times), 4.0, times)
    expected = 0.0
    for row, label in zip(seen, (0, 0), strict=True):
        total = sum(math.exp(-t / 0.2) for t in row)
        expected -= math.log(math.exp(-row[label] / 0.2) / total) / 2
        expected += 0.1 * (math.exp(row[label] / 1.0) - 1.0) / 2
    assert LOSS.of_times(times, np.array([0, 0]))[0] == pytest.approx(expected, rel=1e-12)


def test_a_late_label_spike_costs_more():
    early, late = np.array([[1.0, 1.5]]), np.array([[2.0, 2.5]])
    assert LOSS.of_times(late, np.array([0]))[0] > LOSS.of_times(early, np.array([0]))[0]
    assert cross_entropy(LOSS, late, np.array([0])) == pytest.approx(
        cross_entropy(LOSS, early, np.array([0]))
    )


@pytest.mark.parametrize("name", ["in->hidden", "hidden->out"])
def test_the_gradient_agrees_with_central_differences(name):
    model, weights = small()
    gradient = model.step(weights, BATCH, LABELS).gradients[name]
    for place in np.ndindex(gradient.shape):
        losses = []
        for sign in (1, -1):
            moved = {key: value.copy() for key, value in weights.items()}
            moved[name][place] += sign * 1e-6
            losses.append(model.step(moved, BATCH, LABELS).metrics["loss"])
        slope = (losses[0] - losses[1]) / 2e-6
        assert gradient[place] == pytest.approx(slope, rel=1e-4, abs=1e-8)


def test_ending_a_sample_early_changes_no_first_spike():
    model, weights = small()
    whole = es.simulate(model.network(weights), {"in": BATCH}, model.t_stop, engine="scheduler")
    np.testing.assert_array_equal(model.first_spikes(weights, BATCH), whole.first_spikes("out"))


def test_a_large_batch_is_run_in_chunks_with_the_same_bits(monkeypatch):
    model, weights = small()
    rows = np.arange(7) % len(BATCH)
    whole = model.first_spikes(weights, BATCH[rows])
    monkeypatch.setattr(classifier, "in_chunks", partial(in_chunks, size=2))
    np.testing.assert_array_equal(model.first_spikes(weights, BATCH[rows]), whole)


def test_deeper_networks_have_numbered_hidden_layers():
    model = Classifier((3, 5, 4, 2), NEURON, 4.0, LOSS)
    assert list(model.connections) == ["in->hidden1", "hidden1->hidden2", "hidden2->out"]
    weights = model.initial([(2.0, 0.5)] * 3, np.random.default_rng(0))
    step = model.step(weights, BATCH, LABELS)
    assert {k: g.shape for k, g in step.gradients.items()} == {
        k: w.shape for k, w in weights.items()
    }


def test_without_spikes_nothing_is_learnt_by_the_plain_rule():
    model, weights = small()
    silent = {name: np.zeros_like(weight) for name, weight in weights.items()}
    step = model.step(silent, BATCH, LABELS)
    assert step.metrics["silent_labels"] == 1.0
    assert step.metrics["accuracy"] == 0.0
    assert all(not gradient.any() for gradient in step.gradients.values())


def test_a_bump_pushes_up_the_weights_onto_silent_neurons():
    model, weights = small(bump=0.5)
    silent = {name: np.zeros_like(weight) for name, weight in weights.items()}
    gradients = model.step(silent, BATCH, LABELS).gradients
    np.testing.assert_allclose(gradients["in->hidden"], -0.5)
    np.testing.assert_allclose(gradients["hidden->out"], [[-1 / 3, -1 / 6]] * 4)


def test_a_bump_changes_nothing_while_all_label_neurons_fire():
    (plain, weights), (bumped, _) = small(), small(bump=0.5)
    weights = {name: 3.0 * weight for name, weight in weights.items()}
    one, two = (model.step(weights, BATCH, LABELS) for model in (plain, bumped))
    assert one.metrics["silent_labels"] == 0.0
    for name in weights:
        np.testing.assert_array_equal(one.gradients[name], two.gradients[name])


def test_ties_and_silence_are_never_right():
    times = np.array([[1.0, 1.0], [INF, INF], [2.0, 1.0], [1.0, INF]])
    np.testing.assert_array_equal(first_to_fire(times), [-1, -1, 1, 0])
    assert accuracy(times, np.array([0, 0, 1, 0])) == 0.5


@pytest.mark.parametrize("sizes", [(3,), (3, 0, 2), ()])
def test_a_network_needs_two_layers_of_neurons(sizes):
    with pytest.raises(ValueError, match="sizes must name at least two layers"):
        Classifier(sizes, NEURON, 4.0, LOSS)
