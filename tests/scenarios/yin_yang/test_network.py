"""Delays that are learnt: where they begin, their gradient, and where they may not go."""

from dataclasses import replace

import numpy as np
import pytest

from gradients import Adam
from scenarios.running.training import fit
from scenarios.yin_yang import run as yin_yang
from scenarios.yin_yang.config import YinYangOptions
from scenarios.yin_yang.network import DELAYS, KeptFromZero

NAMES = ["in->hidden", "hidden->out"]
OPTIONS = {"hidden": 6, "epochs": 2, "n_train": 40, "batch_size": 20}


def task_of(recipe="small", **options):
    config = YinYangOptions(recipe, **{**OPTIONS, "learn": "delays", **options})
    return config, yin_yang.build(config)


def test_a_network_with_delays_begins_with_the_weights_of_the_one_without():
    _, delayed = task_of()
    _, plain = task_of(learn="weights")
    with_delays, without = (task.initial(np.random.default_rng(3)) for task in (delayed, plain))
    assert list(without) == NAMES
    assert list(with_delays) == [*NAMES, *(DELAYS + name for name in NAMES)]
    for name in NAMES:
        np.testing.assert_array_equal(with_delays[name], without[name])


@pytest.mark.parametrize("longest", [0.0, 0.5, 2.0])
def test_initial_delays_lie_between_0_and_the_longest(longest):
    _, task = task_of(delay=longest, hidden=100)
    params = task.initial(np.random.default_rng(0))
    delays = np.concatenate([params[DELAYS + name].ravel() for name in NAMES])
    assert delays.min() >= 0.0
    assert 0.9 * longest <= delays.max() <= longest


@pytest.mark.parametrize("recipe", ["published", "best", "small"])
def test_the_network_has_the_delays_that_its_parameters_say(recipe):
    _, task = task_of(recipe)
    params = task.initial(np.random.default_rng(0))
    network = task.model.network(params)
    for name, key in task.model.connections.items():
        np.testing.assert_array_equal(network.projections[key].delays, params[DELAYS + name])
        np.testing.assert_array_equal(network.projections[key].weights, params[name])


@pytest.mark.jit
@pytest.mark.parametrize("recipe", ["published", "small"])
def test_the_gradient_by_delays_is_that_of_differences(recipe):
    _, task = task_of(recipe, bump=0.0)  # a push is no part of the gradient
    rng = np.random.default_rng(1)
    params, rows = task.initial(rng), np.arange(8)
    step = task.step(params, rows, rng)
    for name, slopes in step.gradients.items():
        k = np.unravel_index(np.argmax(np.abs(slopes)), slopes.shape)
        sides = []
        for move in (1e-6, -1e-6):
            values = params[name].copy()
            values[k] += move
            sides.append(task.step(params | {name: values}, rows, rng).metrics["loss"])
        assert slopes[k] == pytest.approx((sides[0] - sides[1]) / 2e-6, rel=1e-5), name


def test_delays_stop_at_0_and_leave_it_again():
    optimizer = KeptFromZero(Adam(lr=0.1, betas=(0.0, 0.0)))
    params = {"in->out": np.array([0.05, 1.0]), DELAYS + "in->out": np.array([0.05, 1.0])}
    state = optimizer.init(params)
    down = {name: np.ones(2) for name in params}
    params, state = optimizer.update(params, down, state)
    np.testing.assert_allclose(params["in->out"], [-0.05, 0.9])
    np.testing.assert_allclose(params[DELAYS + "in->out"], [0.0, 0.9])
    up = {name: -np.ones(2) for name in params}
    params, state = optimizer.update(params, up, state)
    np.testing.assert_allclose(params[DELAYS + "in->out"], [0.1, 1.0])


@pytest.mark.jit
def test_training_moves_all_weights_and_delays_and_keeps_delays_from_below_0():
    config, task = task_of(learning_rate=0.3, delay=0.1)
    state = fit(task, config.settings(task.n_train, 0))
    before = task.initial(np.random.default_rng(0))
    for name, values in state.params.items():
        assert np.any(values != before[name]), name
    delays = np.concatenate([state.params[DELAYS + name].ravel() for name in NAMES])
    assert delays.min() == 0.0


@pytest.mark.jit
def test_a_training_with_delays_is_resumed_with_the_same_bits(tmp_path):
    config, task = task_of()
    settings = config.settings(task.n_train, 0)
    whole = fit(task, settings)
    fit(task, replace(settings, epochs=1), folder=tmp_path)
    resumed = fit(task, settings, folder=tmp_path)
    for name, values in whole.params.items():
        np.testing.assert_array_equal(resumed.params[name], values)
