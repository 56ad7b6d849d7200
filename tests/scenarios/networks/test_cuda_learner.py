"""Training on the device, or in numba's simulator of one: as on the processors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gradients import Adam
from scenarios.datasets.labelled_images import LabelledImages
from scenarios.mnist.config import MnistOptions
from scenarios.mnist.study import learner
from scenarios.networks.cuda_learner import DeviceLearner
from scenarios.networks.feed_forward import ImageTask
from scenarios.networks.readout import ReadoutNetwork, readout_loss
from scenarios.running.training import Settings, fit

SETTINGS = Settings(epochs=2, batch_size=3, optimizer=Adam(0.05, weight_decay=0.1))
LOSS = readout_loss(0.1, 0.01, dead_penalty=0.5, dead_fraction=0.9)


def task(**options: float) -> ImageTask:
    rng = np.random.default_rng(0)
    images = LabelledImages(rng.integers(0, 256, (5, 2, 3), dtype=np.uint8), np.arange(5) % 2)
    model = ReadoutNetwork((6, 4, 2), 0.8, loss=LOSS)
    return ImageTask(model, [(0.5, 0.8)] * 2, images, images, **options)


@pytest.mark.cuda
def test_it_learns_what_the_processors_learn() -> None:
    here = fit(task(), SETTINGS)
    there = fit(DeviceLearner(task(), SETTINGS.optimizer), SETTINGS)
    for name, weights in here.params.items():
        np.testing.assert_allclose(there.params[name], weights, rtol=1e-9, atol=1e-12)
    for ours, theirs in zip(there.history, here.history, strict=True):
        assert ours.keys() == theirs.keys()
        for name in theirs.keys() - {"seconds"}:
            assert ours[name] == pytest.approx(theirs[name], rel=1e-9)


@pytest.mark.cuda
def test_dropout_draws_as_the_processors_do() -> None:
    here = fit(task(dropout=0.25), SETTINGS)
    there = fit(DeviceLearner(task(dropout=0.25), SETTINGS.optimizer), SETTINGS)
    for name, weights in here.params.items():
        np.testing.assert_allclose(there.params[name], weights, rtol=1e-9, atol=1e-12)


@pytest.mark.cuda
def test_a_resumed_training_ends_with_the_same_bits(tmp_path: Path) -> None:
    options = {"noise": 0.05, "dropout": 0.25}
    whole = fit(DeviceLearner(task(**options), SETTINGS.optimizer), SETTINGS)
    for epochs in (1, 2):
        part = replace(SETTINGS, epochs=epochs)
        resumed = fit(DeviceLearner(task(**options), SETTINGS.optimizer), part, folder=tmp_path)
    for name, weights in whole.params.items():
        np.testing.assert_array_equal(resumed.params[name], weights)


@pytest.mark.cuda
def test_a_training_goes_on_without_the_device(tmp_path: Path) -> None:
    fit(DeviceLearner(task(), SETTINGS.optimizer), replace(SETTINGS, epochs=1), folder=tmp_path)
    resumed, whole = fit(task(), SETTINGS, folder=tmp_path), fit(task(), SETTINGS)
    for name, weights in whole.params.items():
        np.testing.assert_allclose(resumed.params[name], weights, rtol=1e-9, atol=1e-12)


def test_images_that_move_are_moved_on_the_processors() -> None:
    moved = task(moves=1)
    assert learner(MnistOptions(engine="cuda", shift=1), moved, 0) is moved
    with pytest.raises(ValueError, match=r"moves must be 0 .* got 1"):
        DeviceLearner(moved, SETTINGS.optimizer)


def test_the_engine_decides() -> None:
    assert isinstance(learner(MnistOptions(engine="cuda"), task(), 0), DeviceLearner)
    ours = task()
    assert learner(MnistOptions(), ours, 0) is ours


def test_single_precision_needs_the_device() -> None:
    with pytest.raises(ValueError, match="precision must be 'float64' without --engine cuda"):
        MnistOptions(precision="float32")
