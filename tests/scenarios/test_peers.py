"""The surrogate-gradient baselines start where the exact network starts."""

import numpy as np
import pytest

from scenarios import peers, yin_yang
from scenarios.progress import SILENT

CONFIG = yin_yang.Config(hidden=20, n_train=60, batch_size=30, epochs=2)
pytestmark = [pytest.mark.peers("torch", "snntorch"), pytest.mark.slow]


@pytest.fixture(scope="module")
def exact():
    return yin_yang.build(CONFIG)


@pytest.mark.parametrize("variant", peers.VARIANTS.values(), ids=" ".join)
def test_the_initial_weights_are_those_of_the_exact_run(exact, variant):
    task = peers.SurrogateTask(exact, *variant)
    ours, theirs = (t.initial(np.random.default_rng(0)) for t in (exact, task))
    for name, weight in ours.items():
        np.testing.assert_array_equal(weight, theirs[name])


@pytest.mark.parametrize("variant", peers.VARIANTS.values(), ids=" ".join)
def test_the_initial_loss_is_that_of_guessing(exact, variant):
    task = peers.SurrogateTask(exact, *variant)
    metrics = task.evaluate(task.initial(np.random.default_rng(0)))
    assert metrics["test_loss"] == pytest.approx(np.log(3), abs=0.05)


def test_every_input_spike_is_on_the_grid_at_its_nearest_step(exact):
    task = peers.SurrogateTask(exact, "fast_sigmoid", "ce_count_loss", time_step=0.05, duration=3.0)
    grid = task._train.numpy()
    assert grid.shape == (60, 60, 5)
    assert grid.sum() == exact.train[0].times.size
    np.testing.assert_array_equal(np.flatnonzero(grid[:, 0, 4]), [18])  # the bias spike at 0.9


def test_the_clocked_first_spikes_approach_the_exact_ones(exact):
    """The same network: with small steps, the first output spikes agree to a step or two."""
    import torch

    weights = exact.initial(np.random.default_rng(0))
    batch = exact.test[0][:20]
    times = exact.model.first_spikes(weights, batch)
    task = peers.SurrogateTask(
        exact, "fast_sigmoid", "ce_count_loss", time_step=0.004, duration=1.6
    )
    with torch.no_grad():
        tensors = [torch.tensor(w, dtype=torch.float32) for w in weights.values()]
        spikes = task._outputs(tensors, task._gridded(batch)).numpy()
    fired = spikes.any(axis=0) & np.isfinite(times)
    clocked = 0.004 * spikes.argmax(axis=0)
    assert fired.mean() > 0.5
    assert np.median(np.abs(clocked - times)[fired]) < 0.02


def test_training_gives_a_history_per_variant_and_a_picture(exact, tmp_path):
    settings = yin_yang.settings(CONFIG, exact, seed=0)
    histories = peers.train(exact, settings, tmp_path, SILENT)
    assert set(histories) == set(peers.VARIANTS)
    assert all(len(history) == 3 for history in histories.values())
    exact_history = [
        {"epoch": k, "test_cross_entropy": 1.1 - 0.1 * k, "test_accuracy": 0.3} for k in range(3)
    ]
    assert len(peers.figure(exact_history, histories).axes) == 2
