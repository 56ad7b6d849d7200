"""Networks of ReL-PSP neurons: their layers, what they do, and their gradient."""

from dataclasses import replace

import numpy as np
import pytest

import eventsim as es
from gradients import FirstSpikeCrossEntropy
from scenarios.datasets.encoding import latency
from scenarios.datasets.labelled_images import LabelledImages
from scenarios.networks.feed_forward import ImageTask
from scenarios.stdbp import network as rel_psp
from scenarios.stdbp.network import Activity, ReLPSPNetwork, read_layers

INF = np.inf
T_STOP = 6.0
LOSS = FirstSpikeCrossEntropy("out", 0.2, T_STOP, smoothing=0.1, wake=0.0)
SMALL = "6x6-2C3-P2-5-3"
DEEP = "6x6-2C3-P2-5-4-3"
KEPT = {"hidden1": np.array([0, 2, 3]), "hidden2": np.array([1, 2, 3])}  # without 0.4 of each


def blots(n_samples, seed=0):
    """Small images, half of them dark, and labels."""
    rng = np.random.default_rng(seed)
    grey = rng.integers(-200, 256, (n_samples, 6, 6)).clip(0).astype(np.uint8)
    return LabelledImages(grey, rng.integers(0, 3, n_samples))


def task(architecture=SMALL, bump=0.0, n_samples=8, **options):
    model = ReLPSPNetwork(architecture, T_STOP, replace(LOSS, wake=bump))
    return ImageTask(model, model.normals(4.0, 1.0), blots(n_samples), blots(7, seed=1), **options)


def weights_of(images, seed=3):
    return images.initial(np.random.default_rng(seed))


def test_the_layers_of_the_convolutional_network_are_those_of_the_paper():
    layers = read_layers("28x28-6C5-P2-16C5-P2-1024-128-10")
    assert [layer.size for layer in layers] == [784, 3456, 864, 1024, 256, 1024, 128, 10]
    assert [layer.fan_in for layer in layers if layer.weights] == [25, 150, 256, 1024, 128]
    assert [layer.name for layer in layers if layer.window == 2] == ["pool1", "pool2"]


@pytest.mark.parametrize(
    ("architecture", "names"),
    [
        ("784-10", ["in", "out"]),
        ("784-400-10", ["in", "hidden", "out"]),
        ("784-40-20-10", ["in", "hidden1", "hidden2", "out"]),
        ("8x8-P2-10", ["in", "pool1", "out"]),
        ("8x6-2C3-5-10", ["in", "conv1", "hidden", "out"]),
    ],
)
def test_layers_have_names(architecture, names):
    assert [layer.name for layer in read_layers(architecture)] == names


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [
        ("", "must begin with n or HxW, and have further layers separated by '-', got ''"),
        ("784", "must begin with n or HxW, and have further layers"),
        ("0-10", "must begin with n or HxW"),
        ("28x28x3-10", "must begin with n or HxW"),
        ("784-", "layer '' of network '784-': must be n, nCk or Pw"),
        ("784-100000", "layer '100000' of network '784-100000': must be n, nCk or Pw, with"),
        ("28x28-2C29-10", "layer '2C29' .*: a kernel must fit into the image, got 28 x 28 pixels"),
        (
            "784-0",
            "layer '0' of network '784-0': must be n, nCk or Pw, with numbers >= 1, <= 99999",
        ),
        ("784-4.5-10", "layer '4.5' of network"),
        ("8x8-0C3-10", "layer '0C3' of network"),
        ("8x8-C3-10", "layer 'C3' of network"),
        ("8x8-2P2-10", "layer '2P2' of network"),
        ("784-6C5-10", "layer '6C5' of network .*: must follow an image, got one of 784 neurons"),
        ("8x8-20-P2-10", "layer 'P2' of network .*: must follow an image, got one of 20 neurons"),
        ("8x8-2C9-10", "layer '2C9' of network .* fit into the image, got 8 x 8"),
        ("8x8-2C4-P2-10", "layer 'P2' of network .*: windows must divide the image, got 5 x 5"),
        ("8x6-P3-10", "layer 'P3' of network .*: windows must divide the image, got 8 x 6"),
        ("6x8-P3-10", "layer 'P3' of network .*: windows must divide the image, got 6 x 8"),
        ("8x8-2C3", "must end with a number of neurons, got '8x8-2C3'"),
        ("8x8-P2", "must end with a number of neurons, got '8x8-P2'"),
    ],
)
def test_networks_that_do_not_fit_are_refused(architecture, expected):
    with pytest.raises(ValueError, match=expected):
        ReLPSPNetwork(architecture, T_STOP, LOSS)


@pytest.mark.parametrize(
    ("t_stop", "expected"),
    [
        (0.0, "t_stop must lie in .*, got 0.0"),
        (INF, "t_stop must lie in .*, got inf"),
    ],
)
def test_bad_numbers_of_a_network_are_refused(t_stop, expected):
    with pytest.raises(ValueError, match=expected):
        ReLPSPNetwork("4-2", t_stop, LOSS)


@pytest.mark.parametrize(
    ("architecture", "options", "expected"),
    [
        (SMALL, {"moves": -1}, "moves must be >= 0, got -1"),
        (SMALL, {"noise": np.nan}, "noise must be finite and >= 0, got nan"),
        (SMALL, {"dropout": -0.5}, r"dropout must lie in \[0, 1\), got -0.5"),
        ("35-3", {}, r"images must have 35 pixels, got \(6, 6\)"),
        ("36-2", {}, "labels must lie in 0 to 1, got 2"),
    ],
)
def test_images_that_do_not_fit_and_bad_noise_are_refused(architecture, options, expected):
    with pytest.raises(ValueError, match=expected):
        task(architecture, **options)


def test_a_neuron_fires_when_eq_12_says():
    """The threshold plus the sum of w t_i, over the sum of w, of the inputs before the spike."""
    model = ReLPSPNetwork("3-1", T_STOP, LOSS)
    batch = es.SpikeBatch.from_latencies([[0.1, 0.5, 4.0], [0.7, 0.2, INF]])
    w = np.array([[0.6], [0.4], [5.0]])
    times = model.simulate({"in->out": w}, batch).first_spikes("out")[:, 0]
    np.testing.assert_allclose(times, [1.0 + 0.06 + 0.2, 1.0 + 0.42 + 0.08], rtol=1e-14)


def test_a_neuron_without_a_positive_sum_of_weights_is_silent():
    model = ReLPSPNetwork("2-1", T_STOP, LOSS)
    batch = es.SpikeBatch.from_latencies([[0.0, 0.1]])
    assert model.simulate({"in->out": np.array([[1.0], [-1.0]])}, batch).first_spikes("out") == INF


def test_all_neurons_fire_at_most_once_and_pools_pass_on_the_earliest_spike():
    images = task()
    result = images.model.simulate(weights_of(images), images.test_spikes)
    for layer in images.model.layers[1:]:
        assert result.spike_counts(layer.name).max() == 1
    conv = result.first_spikes("conv1").reshape(-1, 2, 2, 2, 2, 2)
    pool = result.first_spikes("pool1").reshape(-1, 2, 2, 2)
    np.testing.assert_allclose(pool, conv.min(axis=(3, 5)), rtol=1e-15)


@pytest.mark.jit
def test_the_initial_sum_of_weights_has_the_mean_and_deviation_asked_for():
    model = ReLPSPNetwork("28x28-300C5-10", T_STOP, LOSS)
    kernels = model.initial(model.normals(4.0, 0.5), np.random.default_rng(0))["in->conv1"]
    sums = kernels.sum(axis=(1, 2, 3))
    assert sums.mean() == pytest.approx(4.0, abs=0.1)
    assert sums.std() == pytest.approx(0.5, rel=0.15)


@pytest.mark.parametrize("architecture", [SMALL, "36-6-3", "6x6-5-4-3"])
def test_the_gradient_is_that_of_the_loss(architecture):
    images = task(architecture)
    weights, spikes, labels = weights_of(images), latency(images.train.images), images.train.labels
    step = images.model.step(weights, spikes, labels)
    rng, h = np.random.default_rng(4), 1e-7
    for name in weights:
        direction = rng.normal(size=weights[name].shape)
        high, low = (
            images.model.step({**weights, name: weights[name] + s * h * direction}, spikes, labels)
            for s in (1, -1)
        )
        slope = (high.metrics["loss"] - low.metrics["loss"]) / (2 * h)
        assert np.sum(step.gradients[name] * direction) == pytest.approx(slope, rel=1e-5, abs=1e-7)


def test_a_silent_output_neuron_counts_as_firing_at_the_end():
    images = task()
    silent = {name: np.zeros_like(weight) for name, weight in weights_of(images).items()}
    metrics = images.evaluate(silent)
    assert metrics["test_cross_entropy"] == pytest.approx(np.log(3.0))
    assert metrics["test_silent_labels"] == 1.0
    assert metrics["test_accuracy"] == metrics["test_spikes"] == metrics["test_decided"] == 0.0


def test_a_bump_pushes_up_dense_weights_onto_silent_neurons_and_no_kernels():
    images = task(bump=0.5)
    silent = {name: np.zeros_like(weight) for name, weight in weights_of(images).items()}
    slopes = images.step(silent, np.arange(8), np.random.default_rng(0)).gradients
    np.testing.assert_array_equal(slopes["in->conv1"], 0.0)
    np.testing.assert_array_equal(slopes["pool1->hidden"], -0.5)
    counts = np.bincount(images.train.labels, minlength=3)
    np.testing.assert_allclose(slopes["hidden->out"], [-0.5 * counts / 8] * 5)


def test_activity_counts_hidden_spikes_until_the_decision_and_ever():
    images = task()
    weights = weights_of(images)
    activity = images.model.examine(weights, *images.held_out)
    result = images.model.simulate(weights, images.test_spikes)
    hidden = np.hstack([result.first_spikes(name) for name in ("conv1", "hidden")])
    decision = result.first_spikes("out").min(axis=1, keepdims=True)
    assert activity.fired == pytest.approx(np.mean(hidden < INF))
    assert activity.fired_at_decision == pytest.approx(
        np.mean((hidden <= decision) & (hidden < INF))
    )
    assert 0.0 < activity.fired_at_decision < activity.fired
    assert sum(h.sum() for h in activity.histograms.values()) == np.sum(hidden < INF)
    np.testing.assert_array_equal(activity.decisions, decision[decision < INF])


@pytest.mark.parametrize("portion", [1, 3, 7])
def test_an_evaluation_in_portions_is_the_evaluation_at_once(monkeypatch, portion):
    images = task()
    weights = weights_of(images)
    whole = images.evaluate(weights)
    monkeypatch.setattr(rel_psp, "PORTION", portion)
    assert images.evaluate(weights) == whole


def test_a_network_without_hidden_layers_has_no_hidden_activity():
    flat = task("36-3")
    activity = flat.model.examine({"in->out": np.ones((36, 3))}, *flat.held_out)
    assert activity.histograms == {}
    assert activity.fired == activity.fired_at_decision == 0.0


def test_ties_are_never_right():
    times = np.array([[1.0, 1.0], [2.0, 1.0]])
    activity = Activity(times, np.array([0, 1]), np.array([0.0, T_STOP]), {}, {}, {})
    assert activity.metrics(LOSS)["test_accuracy"] == 0.5


@pytest.mark.parametrize("option", [{}, {"noise": 0.05}, {"moves": 1}])
def test_only_a_noisy_task_draws_in_its_steps(option):
    weights, rows = weights_of(task()), np.arange(6)
    images, rng = task(**option), np.random.default_rng(5)
    still = task().step(weights, rows, rng).metrics["loss"]
    one, two = (images.step(weights, rows, rng).metrics["loss"] for _ in range(2))
    assert (still == one) == (one == two) == (not option)


def test_dropout_leaves_out_part_of_the_dense_hidden_layers():
    assert task(DEEP).model.without(0.4).architecture == "6x6-2C3-P2-3-3-3"
    assert task(DEEP).model.without(0.0).architecture == DEEP


def test_a_network_with_all_of_its_neurons_is_the_network():
    images = task(DEEP)
    weights, spikes, labels = weights_of(images), latency(images.train.images), images.train.labels
    kept = {layer.name: np.arange(layer.size) for layer in images.model.layers[5:7]}
    whole, part = (
        images.model.step(weights, spikes, labels),
        images.model.step_of_some(weights, kept, spikes, labels),
    )
    for name in weights:
        np.testing.assert_array_equal(part.gradients[name], whole.gradients[name])


def test_the_gradient_of_a_part_is_that_of_its_loss_and_0_for_the_rest():
    images = task(DEEP)
    weights, spikes, labels = weights_of(images), latency(images.train.images), images.train.labels
    part = images.model.without(0.4)
    step = part.step_of_some(weights, KEPT, spikes, labels)
    assert not step.gradients["hidden1->hidden2"][[1, 4]].any()
    assert not step.gradients["hidden1->hidden2"][:, 0].any()
    rng, h = np.random.default_rng(4), 1e-7
    for name in weights:
        direction = rng.normal(size=weights[name].shape)
        high, low = (
            part.step_of_some(
                {**weights, name: weights[name] + s * h * direction}, KEPT, spikes, labels
            ).metrics["loss"]
            for s in (1, -1)
        )
        slope = (high - low) / (2 * h)
        assert np.sum(step.gradients[name] * direction) == pytest.approx(slope, rel=1e-5, abs=1e-7)


def test_each_minibatch_draws_the_neurons_that_it_leaves_out():
    images, rng = task(DEEP, dropout=0.4), np.random.default_rng(0)
    weights = weights_of(images)
    idle = set()
    for _ in range(20):
        slopes = images.step(weights, np.arange(8), rng).gradients["hidden2->out"]
        idle.add(tuple(np.flatnonzero(~slopes.any(axis=1))))
    assert {len(some) for some in idle} >= {1}
    assert len(idle) > 2
