"""PyTorch modules in the training loop: kills are harmless, what is wrong is said."""

import numpy as np
import pytest
import torch

from scenarios.running.torch_learner import TorchLearner, device
from scenarios.running.training import Settings, fit
from tests.helpers.resuming import assert_a_killed_run_resumes

SETTINGS = Settings(epochs=6, batch_size=8, seed=1)


class Line:
    """A straight line through noisy points, with dropout, a buffer and weights from a seed."""

    n_train = 30

    def __init__(self, seed=0):
        torch.manual_seed(seed)
        self.model = torch.nn.Sequential(
            torch.nn.Linear(1, 8),
            torch.nn.BatchNorm1d(8),
            torch.nn.Dropout(0.3),
            torch.nn.Linear(8, 1),
        )
        self.x = torch.linspace(-1.0, 1.0, self.n_train)[:, None]

    def loss(self, rows, rng):
        x = self.x[rows]
        target = 2.0 * x + torch.from_numpy(rng.normal(0.0, 0.1, x.shape)).float()
        loss = (self.model(x) - target).square().mean()
        return loss, {"accuracy": 0.0}

    def evaluate(self):
        return {"test_loss": float((self.model(self.x) - 2.0 * self.x).square().mean())}


def learner(task=None):
    task = task or Line()
    optimizer = torch.optim.Adam(task.model.parameters(), lr=0.05)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=5, gamma=0.7)
    return TorchLearner(task, optimizer, scheduler)


def test_a_module_learns_in_the_loop():
    history = fit(learner(), SETTINGS).history
    assert len(history) == 7
    assert history[-1]["test_loss"] < 0.3 * history[0]["test_loss"]


@pytest.mark.parametrize("steps", [3, 9])
def test_a_killed_run_resumes_with_the_same_bits(tmp_path, steps):
    assert_a_killed_run_resumes(
        learner, SETTINGS, tmp_path, steps, method="learn",
        resumed=lambda: learner(Line(seed=7 if steps > 3 else 0)),
    )  # fmt: skip


def test_the_state_is_a_copy():
    one = learner()
    before, _ = one.state()
    kept = {name: array.copy() for name, array in before.items()}
    one.learn(np.arange(8), np.random.default_rng(0))
    for name, array in before.items():
        np.testing.assert_array_equal(array, kept[name])


def leaves(tree):
    return [
        leaf for one in tree.values() for leaf in (leaves(one) if isinstance(one, dict) else [one])
    ]


def test_a_state_is_of_arrays_that_no_device_holds():
    one = learner()
    one.learn(np.arange(8), np.random.default_rng(0))
    assert all(isinstance(leaf, np.ndarray) for leaf in leaves(one.state()[1]))


def with_leaf(tree, path, leaf):
    """Return a state with one array put in, or left out if it is None."""
    name, *deeper = path
    if deeper:
        return {**tree, name: with_leaf(tree.get(name, {}), deeper, leaf)}
    rest = {key: value for key, value in tree.items() if key != name}
    return rest if leaf is None else {**rest, name: leaf}


@pytest.mark.parametrize(
    ("path", "leaf", "message"),
    [
        (["rates"], np.array([0.1, 0.1]), r"optimizer/rates must be float64 of shape \(1,\)"),
        (["rates"], None, "optimizer must hold optimizer/rates, .*, got"),
        (["schedule", "last_epoch"], np.array(0.5), "optimizer/schedule/last_epoch must be int64"),
        (["schedule", "more"], np.array(1), "optimizer must hold"),
        (["memory", "0", "exp_avg"], np.zeros(3), "optimizer/memory/0/exp_avg must be float32"),
        (["memory", "0", "exp_avg"], None, "optimizer must hold"),
        (["memory", "0", "step"], np.array(np.float32("nan")), "step must be finite, got nan"),
        (["memory", "x", "step"], np.zeros(1), "optimizer must hold"),
        (["memory"], np.zeros(1), "optimizer must hold"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(path, leaf, message):
    one = learner()
    one.learn(np.arange(8), np.random.default_rng(0))
    params, optimizer = one.state()
    before = one.state()
    with pytest.raises(ValueError, match=message):
        one.load(params, with_leaf(optimizer, path, leaf))
    with pytest.raises(ValueError, match=r"params/0\.weight must be float32"):
        one.load({**params, "0.weight": np.zeros((8, 2))}, optimizer)
    for ours, theirs in zip(leaves(one.state()[1]), leaves(before[1]), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_gradient_that_is_no_number_stops_the_run_before_the_step():
    task = Line()
    task.loss = lambda rows, _: ((0.0 * task.model(task.x[rows]).sum()).sqrt(), {})
    one = learner(task)
    before = one.task.model[0].weight.detach().clone()
    with pytest.raises(FloatingPointError, match=r"got 0\.0, with a gradient of norm nan"):
        one.learn(np.arange(8), np.random.default_rng(0))
    torch.testing.assert_close(one.task.model[0].weight.detach(), before, rtol=0.0, atol=0.0)


def test_a_loss_that_is_no_number_stops_the_run_before_the_step():
    task = Line()
    task.x = task.x * float("nan")
    one = learner(task)
    before, _ = one.state()
    with pytest.raises(
        FloatingPointError, match="loss of a minibatch must be finite, and its gradient: got nan"
    ):
        one.learn(np.arange(8), np.random.default_rng(0))
    weights = {name: array for name, array in one.state()[0].items() if name.endswith("weight")}
    for name, array in weights.items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("name", ["tpu", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(name):
    with pytest.raises(ValueError, match=f"device must be one that PyTorch can use, got '{name}'"):
        device(name)
