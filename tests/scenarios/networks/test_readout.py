"""Networks that are read out by potentials: what they do, their loss, and its gradient."""

from dataclasses import replace

import numpy as np
import pytest

from scenarios.datasets.encoding import latency
from scenarios.datasets.labelled_images import LabelledImages
from scenarios.networks import readout
from scenarios.networks.feed_forward import ImageTask
from scenarios.networks.readout import ReadoutNetwork, accuracy, readout_loss

DEAD_FRACTION = 0.5
LOSS = readout_loss(0.1, 0.01, dead_penalty=0.5, dead_fraction=DEAD_FRACTION)
KINDS = [(0.8, False), (0.8, True), (np.inf, False), (np.inf, True)]


def blots(n_samples, n_pixels=16, seed=0):
    """Images, most of them dark at most places, and labels."""
    rng = np.random.default_rng(seed)
    grey = rng.integers(-200, 256, (n_samples, n_pixels, 1)).clip(0).astype(np.uint8)
    return LabelledImages(grey, rng.integers(0, 3, n_samples))


def task(tau=0.8, single=False, n_samples=12, **options):
    model = ReadoutNetwork((16, 10, 3), tau, single, LOSS)
    return ImageTask(model, [(0.4, 1.2)] * 2, blots(n_samples), blots(9, seed=1), **options)


@pytest.mark.parametrize(("tau", "single"), KINDS)
def test_the_gradient_is_that_of_the_whole_loss(tau, single):
    images = task(tau, single)
    model, spikes, labels = images.model, latency(images.train.images), images.train.labels
    weights = images.initial(np.random.default_rng(3))
    step = model.step(weights, spikes, labels)
    counts = model.simulate(weights, spikes).spike_counts("hidden")
    dead = np.mean(counts > 0, axis=0) < DEAD_FRACTION
    assert dead.any()
    assert not dead.all()
    rng = np.random.default_rng(4)
    for name in weights:
        direction = rng.normal(size=weights[name].shape)
        h = 1e-6
        high, low = (
            model.step({**weights, name: weights[name] + s * h * direction}, spikes, labels)
            for s in (1, -1)
        )
        slope = (high.metrics["loss"] - low.metrics["loss"]) / (2 * h)
        assert np.sum(step.gradients[name] * direction) == pytest.approx(slope, rel=1e-5, abs=1e-8)


def test_a_step_of_all_neurons_is_a_step():
    images = task()
    spikes, labels = latency(images.train.images), images.train.labels
    weights = images.initial(np.random.default_rng(3))
    whole = images.model.step(weights, spikes, labels)
    some = images.model.without(0.0).step_of_some(
        weights, {"hidden": np.arange(10)}, spikes, labels
    )
    assert some.metrics == whole.metrics
    for name in weights:
        np.testing.assert_array_equal(some.gradients[name], whole.gradients[name])


def test_neurons_that_are_left_out_neither_act_nor_learn():
    images = task()
    spikes, labels = latency(images.train.images), images.train.labels
    weights = images.initial(np.random.default_rng(3))
    kept, left_out = {"hidden": np.array([0, 3, 4, 7, 9])}, np.array([1, 2, 5, 6, 8])
    part = images.model.without(0.5)
    step = part.step_of_some(weights, kept, spikes, labels)
    assert np.all(step.gradients["in->hidden"][:, left_out] == 0.0)
    assert np.all(step.gradients["hidden->out"][left_out] == 0.0)
    other = {name: weight.copy() for name, weight in weights.items()}
    other["in->hidden"][:, left_out] = 9.0
    other["hidden->out"][left_out] = -9.0
    assert part.step_of_some(other, kept, spikes, labels).metrics == step.metrics
    h = 1e-6
    for name, at in (("in->hidden", (5, 3)), ("hidden->out", (7, 1))):
        losses = []
        for sign in (1, -1):
            moved = {key: weight.copy() for key, weight in weights.items()}
            moved[name][at] += sign * h
            losses.append(part.step_of_some(moved, kept, spikes, labels).metrics["loss"])
        slope = (losses[0] - losses[1]) / (2 * h)
        assert step.gradients[name][at] == pytest.approx(slope, rel=1e-5, abs=1e-8)


def test_each_minibatch_leaves_out_other_neurons():
    images = task(dropout=0.5)
    weights, rng = images.initial(np.random.default_rng(3)), np.random.default_rng(0)
    steps = [images.step(weights, np.arange(12), rng).gradients["hidden->out"] for _ in range(3)]
    learning = [frozenset(np.flatnonzero(np.any(slope != 0.0, axis=1))) for slope in steps]
    assert all(len(some) <= 5 for some in learning)
    assert len(set(learning)) > 1


@pytest.mark.parametrize(("tau", "single"), KINDS)
def test_output_neurons_never_fire_and_hidden_ones_as_often_as_they_may(tau, single):
    images = task(tau, single)
    result = images.model.simulate(images.initial(np.random.default_rng(0)), images.test_spikes)
    assert len(result.spikes["out"]) == 0
    assert (result.spike_counts("hidden").max() == 1) == single


@pytest.mark.parametrize("tau", [0.8, 6.4, np.inf])
def test_the_current_decays_half_as_fast_as_the_potential(tau):
    neurons = task(tau).model.network(task(tau).initial(np.random.default_rng(0))).neurons
    for neuron in neurons.values():
        assert neuron.tau_syn == tau
        assert neuron.tau_mem == tau / 2.0


def test_nothing_leaks_from_a_network_with_infinite_time_constants():
    """One input spike at 1/4 with weight w: the current is w from then on, the potential a line."""
    model = ReadoutNetwork((1, 1, 1), np.inf)
    weights = {"in->hidden": np.array([[0.5]]), "hidden->out": np.array([[1.0]])}
    result = model.simulate(weights, latency(np.array([[[255]]], np.uint8)))[0]
    np.testing.assert_allclose(result.potential("hidden", at=[0.5, 1.0])[:, 0], [0.25, 0.5])
    np.testing.assert_allclose(result.current("hidden", at=[0.5, 1.0])[:, 0], [0.5, 0.5])


def test_black_pixels_are_no_input():
    images = task()
    assert images.test_spikes.times.size == np.count_nonzero(images.test.images)
    assert images.test_spikes.times.max() < images.model.t_stop


@pytest.mark.parametrize("portion", [1, 4, 9])
def test_an_evaluation_in_portions_is_the_evaluation_at_once(monkeypatch, portion):
    images = task()
    weights = images.initial(np.random.default_rng(0))
    whole = images.model.examine(weights, *images.held_out)
    monkeypatch.setattr(readout, "PORTION", portion)
    pieces = images.model.examine(weights, *images.held_out)
    np.testing.assert_array_equal(pieces.potentials, whole.potentials)
    np.testing.assert_array_equal(pieces.counts, whole.counts)


def test_an_evaluation_tells_activity_and_both_losses():
    images = task()
    weights = images.initial(np.random.default_rng(0))
    counts = images.model.examine(weights, *images.held_out).counts
    metrics = images.evaluate(weights)
    assert metrics["test_spikes"] == pytest.approx(counts.mean())
    assert metrics["test_active"] == pytest.approx(np.mean(counts > 0))
    assert metrics["test_dead"] == pytest.approx(np.mean(counts.sum(axis=0) == 0))
    assert metrics["test_loss"] > 0.0
    assert metrics["test_cross_entropy"] != metrics["test_loss"]
    assert 0.0 <= metrics["test_accuracy"] <= 1.0


def test_a_step_counts_the_spikes_of_its_minibatch():
    images = task()
    weights, rows = images.initial(np.random.default_rng(0)), np.array([3, 1, 4])
    spikes = latency(images.train.images[rows])
    counts = images.model.simulate(weights, spikes).spike_counts("hidden")
    step = images.step(weights, rows, np.random.default_rng(0))
    assert step.metrics["spikes"] == pytest.approx(counts.mean())


@pytest.mark.parametrize("option", [{}, {"noise": 0.05}, {"moves": 1}])
def test_only_a_noisy_task_draws_in_its_steps(option):
    weights, rows = task().initial(np.random.default_rng(0)), np.arange(6)
    images, rng = task(**option), np.random.default_rng(5)
    still = task().step(weights, rows, rng).metrics["loss"]
    one, two = (images.step(weights, rows, rng).metrics["loss"] for _ in range(2))
    assert (still == one) == (one == two) == (not option)
    assert images.evaluate(weights) == images.evaluate(weights)


def test_the_penalty_wakes_silent_neurons_and_is_nothing_to_others():
    images = task()
    silent = {"in->hidden": np.zeros((16, 10)), "hidden->out": np.ones((10, 3))}
    slopes = images.step(silent, np.arange(12), np.random.default_rng(0)).gradients
    lit = images.train.images[:, :, 0].any(axis=0)
    assert np.all(slopes["in->hidden"][lit] < 0.0)  # a step against it raises all weights
    np.testing.assert_array_equal(slopes["in->hidden"][~lit], 0.0)
    np.testing.assert_array_equal(slopes["hidden->out"], 0.0)


@pytest.mark.parametrize(
    ("potentials", "labels", "right"),
    [([[1.0, 2.0], [3.0, 0.0]], [1, 1], 0.5), ([[0.0, 0.0]], [0], 0.0), ([[-1.0, -2.0]], [0], 1.0)],
)
def test_the_class_is_the_one_highest_potential(potentials, labels, right):
    assert accuracy(np.array(potentials), np.array(labels)) == right


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("tau_syn", 0.0, "lie in .*, got 0.0"),
        ("tau_syn", np.nan, "lie in .*, got nan"),
        ("t_stop", -1.0, "lie in .*, got -1.0"),
        ("t_stop", np.inf, "lie in .*, got inf"),
    ],
)
def test_bad_times_of_a_network_are_refused(name, value, expected):
    with pytest.raises(ValueError, match=f"{name} must {expected}"):
        ReadoutNetwork(**{"sizes": (4, 3, 2), "tau_syn": 1.0, name: value})


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"moves": -1}, "moves must be >= 0, got -1"),
        ({"noise": -0.1}, "noise must be finite and >= 0, got -0.1"),
        ({"dropout": 1.0}, r"dropout must lie in \[0, 1\), got 1.0"),
        ({"model": ReadoutNetwork((15, 10, 3), 0.8)}, r"must have 15 pixels, got \(16, 1\)"),
        ({"model": ReadoutNetwork((16, 10, 2), 0.8)}, "labels must lie in 0 to 1, got 2"),
    ],
)
def test_images_that_do_not_fit_and_bad_noise_are_refused(changed, expected):
    with pytest.raises(ValueError, match=expected):
        replace(task(), **changed)


@pytest.mark.parametrize("sizes", [(16, 0, 3), (16, 3), (16, 4, 4, 3)])
def test_bad_sizes_are_refused(sizes):
    with pytest.raises(ValueError, match="sizes must be three numbers >= 1"):
        ReadoutNetwork(sizes, 0.8)
