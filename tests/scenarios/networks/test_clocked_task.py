"""The network of an exact task on a clock, in the training loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import eventsim as es
from gradients import Adam
from gradients.clocked import SpikeDerivative
from scenarios.compare.tasks import yin_yang_task
from scenarios.networks import clocked_task
from scenarios.networks.clocked_task import DERIVATIVES, ClockedTask
from scenarios.networks.contest import by_potentials, by_spikes
from scenarios.networks.feed_forward import Classification
from scenarios.running.training import Settings, fit
from scenarios.yin_yang import run as yin_yang
from scenarios.yin_yang.config import YinYangOptions
from tests.helpers.resuming import assert_a_killed_run_resumes

CONFIG = YinYangOptions(hidden=20, n_train=60, batch_size=30, epochs=2)
SETTINGS = Settings(epochs=2, batch_size=20)
ROWS = np.arange(30)


def few(n_train: int = 60, hidden: int = 20) -> Classification:
    task = yin_yang_task(hidden, n_train)
    spikes, labels = task.test
    return Classification(task.model, task.normals, task.train, (spikes[:70], labels[:70]))


def spiking() -> dict[str, ClockedTask]:
    tasks = by_spikes(yin_yang.build(CONFIG), lambda _: SETTINGS).tasks
    return {name: task for name, task in tasks.items() if isinstance(task, ClockedTask)}


def potential(name: str = "arctan", n_steps: int = 25) -> ClockedTask:
    task = by_potentials("Yin-Yang", few(), n_steps, lambda _: SETTINGS).tasks[name]
    assert isinstance(task, ClockedTask)
    return task


def test_the_initial_weights_are_those_of_the_exact_task():
    exact = yin_yang.build(CONFIG).initial(np.random.default_rng(0))
    for task in spiking().values():
        found = task.initial(np.random.default_rng(0))
        assert list(found) == list(exact)
        for name, weight in exact.items():
            np.testing.assert_array_equal(found[name], weight)


def test_the_initial_loss_of_spikes_is_that_of_guessing():
    for task in spiking().values():
        metrics = task.evaluate(task.initial(np.random.default_rng(0)))
        assert metrics["test_loss"] == pytest.approx(np.log(3), abs=0.05)
        assert metrics["test_spikes"] > 0.0


def test_the_clock_is_that_of_the_contest_and_outputs_fire_on():
    for task in spiking().values():
        assert task.model.time_step == pytest.approx(0.1)
        assert task.network.neurons["out"].refractory == 0.0


def test_a_step_gives_the_gradient_of_its_loss():
    """By the weights onto the outputs the loss of potentials has a true derivative."""
    task = potential()
    params = task.initial(np.random.default_rng(0))
    step = task.step(params, ROWS, np.random.default_rng(0))
    assert {name: g.shape for name, g in step.gradients.items()} == {
        name: w.shape for name, w in params.items()
    }
    rng, change = np.random.default_rng(1), 1e-2
    direction = rng.normal(size=(20, 3))
    losses = []
    for sign in (1.0, -1.0):
        moved = {**params, "hidden->out": params["hidden->out"] + sign * change * direction}
        losses.append(task.step(moved, ROWS, rng).metrics["loss"])
    slope = float((step.gradients["hidden->out"] * direction).sum())
    assert (losses[0] - losses[1]) / (2.0 * change) == pytest.approx(slope, rel=2e-2)


def test_a_step_forgets_the_gradient_of_the_one_before():
    task = potential()
    params = task.initial(np.random.default_rng(0))
    first, second = (task.step(params, ROWS, np.random.default_rng(0)) for _ in range(2))
    for name, gradient in first.gradients.items():
        np.testing.assert_array_equal(gradient, second.gradients[name])


def test_with_the_silent_derivative_only_the_output_weights_learn():
    task = potential()
    silent = ClockedTask(task.data, task.network, task.duration, 25, SpikeDerivative("silent"))
    step = silent.step(silent.initial(np.random.default_rng(0)), ROWS, np.random.default_rng(0))
    assert not step.gradients["in->hidden"].any()
    assert step.gradients["hidden->out"].any()


@pytest.mark.parametrize("loss", ["potential", "count", "rate"])
def test_an_evaluation_in_portions_is_that_of_the_whole(monkeypatch, loss):
    task = potential() if loss == "potential" else spiking()[f"fast sigmoid, {loss} loss"]
    params = task.initial(np.random.default_rng(0))
    whole = task.evaluate(params)
    monkeypatch.setattr(clocked_task, "PORTION", 32)
    assert task.evaluate(params) == pytest.approx(whole, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["constant (straight-through)", "where there is a spike"])
def test_it_learns(name):
    task = by_potentials("Yin-Yang", few(600, 40), 25, lambda _: SETTINGS).tasks[name]
    history = fit(task, Settings(epochs=15, batch_size=50, optimizer=Adam(lr=0.03))).history
    assert history[-1]["loss"] < 0.8 * history[0]["test_loss"]


def test_a_run_that_is_killed_and_resumed_is_the_run_that_was_not(tmp_path):
    assert_a_killed_run_resumes(potential, SETTINGS, tmp_path, 4)


def test_both_losses_of_spikes_are_written_out():
    tasks = spiking()
    count, rate = (tasks[f"fast sigmoid, {name} loss"] for name in ("count", "rate"))
    params = count.initial(np.random.default_rng(3))
    spikes, labels = count.data.train
    count._take(params)
    out = count.model({"in": spikes[ROWS]}, 2.5).spikes["out"].detach().numpy().astype(float)

    def cross_entropy(scores):
        shifted = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        return -shifted[np.arange(30), labels[ROWS]].mean()

    rng = np.random.default_rng(0)
    by_count = count.step(params, ROWS, rng).metrics
    assert by_count["loss"] == pytest.approx(cross_entropy(out.sum(axis=0)), rel=1e-5)
    by_rate = rate.step(params, ROWS, rng).metrics
    expected = np.mean([cross_entropy(of_step) for of_step in out])
    assert by_rate["loss"] == pytest.approx(expected, rel=1e-5)
    counts = out.sum(axis=0)
    most = counts == counts.max(axis=1, keepdims=True)
    right = np.mean((most.sum(axis=1) == 1) & most[np.arange(30), labels[ROWS]])
    assert by_count["accuracy"] == by_rate["accuracy"] == pytest.approx(right)
    assert by_count["tied"] == pytest.approx(np.mean(most.sum(axis=1) > 1))


def test_a_tie_is_an_error_even_if_the_first_of_the_tied_is_the_label():
    task = spiking()["fast sigmoid, count loss"]
    silent = {name: np.zeros(w.shape) for name, w in task.initial(np.random.default_rng(0)).items()}
    metrics = task.evaluate(silent)
    assert np.any(task.data.test[1] == 0)
    assert (metrics["test_accuracy"], metrics["test_tied"]) == (0.0, 1.0)


@pytest.mark.jit
def test_spikes_of_exact_runs_are_counted_to_the_end_of_those_on_the_clock():
    exact = by_spikes(yin_yang.build(CONFIG), lambda _: SETTINGS).exact
    params = exact.initial(np.random.default_rng(0))
    metrics = exact.evaluate(params)
    network, spikes = exact.model.network(params), exact.test[0]
    whole = es.simulate(network, {"in": spikes}, 2.5, engine="scheduler").spike_counts("hidden")
    assert metrics["test_spikes"] == pytest.approx(whole.mean())
    early = es.simulate(network, {"in": spikes}, 1.5, until_fired="out").spike_counts("hidden")
    assert metrics["test_spikes_until_decided"] == pytest.approx(early.mean())
    assert early.mean() < whole.mean()
    plain = yin_yang.build(CONFIG).evaluate(params)
    assert {**plain, "test_spikes": 0}.items() <= {**metrics, "test_spikes": 0}.items()


@pytest.mark.peers("snntorch")
@pytest.mark.parametrize("loss", ["count", "rate"])
def test_both_losses_of_spikes_are_those_of_snntorch(loss):
    from snntorch import functional

    task = spiking()[f"fast sigmoid, {loss} loss"]
    spikes, labels = task.data.train
    task._take(task.initial(np.random.default_rng(3)))
    run, classes = task.model({"in": spikes[ROWS]}, 2.5), torch.from_numpy(labels[ROWS])
    theirs = getattr(functional, f"ce_{loss}_loss")()(run.spikes["out"], classes)
    torch.testing.assert_close(task._loss(run, classes)[0], theirs.squeeze())


def test_the_customary_steepness_is_taken():
    assert {name: one.scale for name, one in DERIVATIVES.items()} == {
        "constant": 1.0,
        "fired": 1.0,
        "fast_sigmoid": 25.0,
        "arctan": 2.0,
    }


def changed(**changes):
    task = potential()
    arguments = {"data": task.data, "network": task.network, "duration": 2.5, "n_steps": 25,
                 "derivative": task.derivative}  # fmt: skip
    return ClockedTask(**{**arguments, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_steps": 0}, "n_steps.* got 0"),
        ({"n_steps": 2.5}, r"n_steps.* got 2\.5"),
        ({"duration": 0.0}, r"duration.* got 0\.0"),
        ({"duration": np.inf}, "duration.* got inf"),
        ({"loss": "spikes"}, "loss.* got 'spikes'"),
        ({"network": es.Network()}, "network must have 'in' and 'out'"),
    ],
)
def test_a_bad_argument_is_an_error_that_quotes_it(changes, message):
    with pytest.raises(ValueError, match=message):
        changed(**changes)
