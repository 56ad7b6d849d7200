"""Flowers in the training loop: loss, accuracies, moved images, when to stop."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="the extra torch is not installed")

from scenarios.datasets.flower_images import as_columns  # noqa: E402
from scenarios.flowers.network import channel_network, unit_network  # noqa: E402
from scenarios.flowers.report import best  # noqa: E402
from scenarios.flowers.task import PORTION, FlowerTask, no_better  # noqa: E402
from tests.helpers.flower_files import blossoms  # noqa: E402


def task(make=channel_network, **options):
    torch.manual_seed(0)
    data = blossoms()
    model = make(6, w_input=1.5, w_leak=0.2, dropout=0.2).eval()
    return FlowerTask(model, data[:20], data[20:], **options)


def by_hand(model, data):
    """Loss and accuracies of one image after the other, of the formulas."""
    losses, probabilities, right = [], [], []
    for image, label in zip(data.images, data.labels, strict=True):
        columns = torch.from_numpy(image.transpose(1, 2, 0)[:, None] / np.float32(255.0))
        logits = model(columns).detach().double().numpy()[:, 0]
        each = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        losses.append(-np.log(each[:, label]).mean())
        probabilities.append(each[:, label].mean())
        right.append(each.mean(axis=0).argmax() == label)
    return np.mean(losses), np.mean(probabilities), np.mean(right)


@pytest.mark.parametrize("make", [channel_network, unit_network])
def test_loss_and_accuracies_are_those_of_the_publication(make):
    one = task(make)
    loss, metrics = one.loss(np.arange(20), np.random.default_rng(0))
    expected = by_hand(one.model, one.train)
    found = float(loss.detach()), metrics["accuracy"], metrics["argmax"]
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("portion", [PORTION, 3])
def test_an_evaluation_does_not_depend_on_its_portions(monkeypatch, portion):
    monkeypatch.setattr("scenarios.flowers.task.PORTION", portion)
    one = task()
    with torch.no_grad():
        metrics = one.evaluate()
        spikes = one.model.respond(one.columns(one.test)).spikes
    found = metrics["test_loss"], metrics["test_accuracy"], metrics["test_argmax"]
    assert found == pytest.approx(by_hand(one.model, one.test), rel=1e-5)
    assert metrics["test_spikes"] == pytest.approx(float(spikes.mean()), rel=1e-6)
    assert 0.0 < metrics["test_spikes"] < 1.0


def test_a_network_that_knows_nothing_has_the_loss_of_guessing():
    one = task()
    with torch.no_grad():
        one.model.head.classes.weight.zero_()
        metrics = one.evaluate()
    assert metrics["test_loss"] == pytest.approx(math.log(10), rel=1e-6)
    assert metrics["test_accuracy"] == pytest.approx(0.1, rel=1e-6)


@pytest.mark.parametrize(("shift", "flip"), [(2, False), (0, True), (2, True)])
def test_only_training_images_are_moved(shift, flip):
    still, mobile = task(), task(shift=shift, flip=flip)
    with torch.no_grad():
        assert still.evaluate() == mobile.evaluate()
    rows = np.arange(20)
    losses = [one.loss(rows, np.random.default_rng(0))[0].item() for one in (still, mobile)]
    assert losses[0] != losses[1]


def test_the_task_learns_what_is_to_be_learned():
    data = blossoms(n_each=12)
    torch.manual_seed(0)
    model = channel_network(6, w_input=1.5, w_leak=0.2, dropout=0.0)
    one = FlowerTask(model, data[:100], data[100:])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        one.loss(np.arange(100), np.random.default_rng(0))[0].backward()
        optimizer.step()
    with torch.no_grad():
        assert model.eval() is model
        assert one.evaluate()["test_argmax"] > 0.5


def history(*accuracies):
    return [{"test_accuracy": accuracy} for accuracy in accuracies]


def test_training_ends_after_so_many_epochs_without_a_better_accuracy():
    stop = no_better(3)
    assert not stop(history(0.1))
    assert not stop(history(0.1, 0.3, 0.2, 0.3))
    assert stop(history(0.1, 0.3, 0.2, 0.3, 0.3))
    assert not stop(history(0.1, 0.3, 0.2, 0.3, 0.31))


@given(st.lists(st.floats(0, 1), min_size=1))
def test_the_best_epoch_is_the_first_of_the_highest_accuracy(accuracies):
    epoch = best(history(*accuracies))
    assert accuracies[epoch] == max(accuracies)
    assert max(accuracies) not in accuracies[:epoch]


def test_a_patience_of_no_epoch_is_refused():
    with pytest.raises(ValueError, match="patience must be an integer >= 1, got 0"):
        no_better(0)


def test_a_sequence_on_the_device_is_that_of_the_images():
    one = task()
    columns = one.columns(one.train)
    np.testing.assert_array_equal(columns.numpy(), as_columns(one.train.images))
