"""Training: loss to the letter of Eq. 5, moved images, and kills that are harmless."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra torch is not installed")

from scenarios.datasets import labelled_images as images  # noqa: E402
from scenarios.leak.config import LeakOptions  # noqa: E402
from scenarios.leak.task import LeakTask, build, learner  # noqa: E402
from scenarios.running.training import fit  # noqa: E402
from tests.helpers.resuming import assert_a_killed_run_resumes  # noqa: E402
from tests.helpers.squares import parts  # noqa: E402

TINY = LeakOptions(
    network="4P-4C3-2P-8FC-10", steps=6, epochs=3, batch_size=8, n_train=24, n_test=10,
    n_noisy=10, dropout=0.1, shift=2,
)  # fmt: skip


def test_the_loss_is_half_of_the_summed_squared_error_of_the_last_potential():
    config = replace(TINY, shift=0, dropout=0.0, data="svhn", precision="float32")
    task = build(config, 30.0, parts(), 0)
    rows = np.array([3, 1, 4])
    loss, metrics = task.loss(rows, np.random.default_rng(7))
    spikes = task.spikes(task.train.images[rows], np.random.default_rng(7))
    answers = (task.model(spikes)[-1] / 6).detach().numpy()
    errors = ((answers - np.eye(10)[task.train.labels[rows]]) ** 2).sum(axis=1)
    assert float(loss.detach()) == pytest.approx(0.5 * errors.mean(), rel=1e-5)
    assert metrics["sse"] == pytest.approx(errors.mean(), rel=1e-5)
    assert metrics["accuracy"] == np.mean(answers.argmax(1) == task.train.labels[rows])


def test_the_learning_rate_falls_at_the_published_parts_of_the_run():
    config = replace(TINY, epochs=15, learning_rate=1.0)
    one = learner(config, build(config, 30.0, parts(), 0))
    rates = []
    for _ in range(15 * 3):
        rates.append(one.optimizer.param_groups[0]["lr"])
        one.optimizer.step()
        one.scheduler.step()
    assert [rates.index(rate) / 3 for rate in sorted(set(rates), reverse=True)] == [0.0, 7.0, 10.0]
    np.testing.assert_allclose(sorted(set(rates)), [0.04, 0.2, 1.0])


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_squares_are_learnt(precision):
    config = replace(TINY, network="4P-8C3-2P-16FC-10", steps=5, epochs=5, n_train=80, n_test=20,
                     learning_rate=3e-2, data="svhn", precision=precision)  # fmt: skip
    task = build(config, 30.0, parts(80, 20), 0)
    history = fit(learner(config, task), config.settings(0)).history
    assert history[-1]["test_accuracy"] > 0.6
    assert history[-1]["test_sse"] < 0.8 * history[0]["test_sse"]
    assert history[-1]["test_loss"] == pytest.approx(0.5 * history[-1]["test_sse"])


@pytest.mark.parametrize("steps", [1, 4, 7])
def test_a_killed_run_resumes_with_the_same_bits(tmp_path, steps):
    def fresh(seed=3):
        return learner(TINY, build(TINY, 30.0, parts(), seed))

    # After an epoch the initial weights do not matter any more.
    resumed = partial(fresh, 9) if steps > 3 else fresh
    settings = TINY.settings(3)
    assert_a_killed_run_resumes(fresh, settings, tmp_path, steps, method="learn", resumed=resumed)


@pytest.mark.parametrize(("shift", "mirrored"), [(0, False), (3, False), (0, True), (3, True)])
def test_only_training_images_are_moved_and_mirrored(monkeypatch, shift, mirrored):
    config = replace(TINY, shift=shift, data="cifar10" if mirrored else "svhn")
    task = build(config, 30.0, parts(), 0)
    seen, real = [], LeakTask.spikes

    def spikes(self, some, *arguments):
        seen.append(some)
        return real(self, some, *arguments)

    monkeypatch.setattr(LeakTask, "spikes", spikes)
    task.loss(np.arange(24), np.random.default_rng(0))
    expected, rng = task.train.images, np.random.default_rng(0)
    expected = images.mirrored(expected, rng) if mirrored else expected
    expected = images.shifted(expected, shift, rng) if shift else expected
    np.testing.assert_array_equal(seen[0], expected)
    with torch.no_grad():
        task.evaluate()
    np.testing.assert_array_equal(np.concatenate(seen[1:]), task.test.images)


def test_digits_are_not_mirrored():
    assert build(TINY, 30.0, parts(), 0).mirrored
    assert not build(replace(TINY, data="svhn"), 30.0, parts(), 0).mirrored


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"n_train": 25}, "n_train must be <= 24, the number of images, got 25"),
        ({"n_test": 11}, "n_test must be <= 10"),
        ({"n_noisy": 11}, "n_noisy must be <= 10"),
        ({"network": "3P-10"}, "windows must divide the image"),
        ({"network": "4P-5FC-11"}, "fires and end with 10, got '4P-5FC-11'"),
        ({"network": "4P-10"}, "must have a layer that fires and end with 10, got '4P-10'"),
        ({"device": "tpu"}, "device must be one that PyTorch can use, got 'tpu'"),
    ],
)
def test_what_cannot_be_built_is_refused(options, expected):
    with pytest.raises(ValueError, match=expected):
        build(replace(TINY, **options), 30.0, parts(), 0)
