"""A `training.Learner` whose parameters, optimizer and training set stay on a CUDA device.

The host draws what is random (the order of the samples, the neurons that a minibatch leaves out, a
seed for the jitter) and reads the metrics.  Parameters come to the host for evaluation and for
checkpoints, which are those of any other training: it can go on with or without a device.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradients import cuda
from scenarios.datasets.encoding import latency
from scenarios.networks.feed_forward import ImageTask
from scenarios.networks.readout import CONNECTIONS, ReadoutNetwork
from scenarios.running.checkpoint import check_like
from scenarios.running.training import Learner, Metrics, Params

__all__ = ["DeviceLearner"]


class DeviceLearner(Learner):
    """An `ImageTask` that is trained on the device.

    Parameters
    ----------
    task : ImageTask
        What to train, on what.  Its images must not be moved: they are encoded once.
    optimizer : gradients.Adam or gradients.SGD
        How the weights move.
    graph : bool
        Replay each step as a CUDA graph.

    Raises
    ------
    ValueError
        If the images are to be moved.
    RuntimeError
        If there is no device.
    """

    def __init__(
        self, task: ImageTask[ReadoutNetwork], optimizer: Any, *, graph: bool = False
    ) -> None:
        if task.moves:
            raise ValueError(f"moves must be 0 for images on the device, got {task.moves}")
        self.task, model = task, task.model
        spikes = latency(task.train.images, t_max=model.t_stop)
        self._trainer = cuda.Trainer(
            model.structure,
            {"in": cuda.DeviceSpikes.of(spikes, precision=model.precision)},
            task.train.labels,
            model.loss,
            model.t_stop,
            optimizer=optimizer,
            part=None if task.part is model else task.part.structure,
            jitter=task.noise,
            precision=model.precision,
            graph=graph,
        )
        self._fresh = optimizer.init

    @property
    def n_train(self) -> int:
        """Number of training samples."""
        return self.task.n_train

    def start(self, rng: np.random.Generator) -> None:
        """Take the parameters to start from."""
        params = self.task.initial(rng)
        self.load(params, self._fresh(params))

    def learn(self, rows: NDArray[np.int64], rng: np.random.Generator) -> Metrics:
        """Learn from the chosen training samples; return means over them."""
        started, task = time.perf_counter(), self.task
        seed = int(rng.integers(2**63)) if task.noise else 0
        found = self._trainer.step(rows, kept=task.kept(rng) or None, seed=seed)
        task.model.stopwatch.add("training steps", started)
        return {
            "loss": found["loss"],
            "accuracy": found["accuracy"],
            "spikes": found["spikes in hidden"] / task.part.sizes[1],
        }

    def evaluate(self) -> Metrics:
        """Return metrics of the test samples."""
        return self.task.evaluate(self.state()[0])

    def state(self) -> tuple[Params, Mapping[str, Any]]:
        """Return the parameters and the state of the optimizer, as those of a `Task`."""
        params, memory = self._trainer.state()
        return _named(params), {
            key: _named(value) if isinstance(value, dict) else value
            for key, value in memory.items()
        }

    def load(self, params: Params, optimizer: Mapping[str, Any]) -> None:
        """Take a state that `state` returned."""
        fresh = self.task.initial(np.random.default_rng(0))
        check_like(params, fresh, "params")
        check_like(optimizer, self._fresh(fresh), "optimizer")
        memory = {
            key: _tree(value) if isinstance(value, Mapping) else value
            for key, value in optimizer.items()
        }
        self._trainer.load(_tree(params), memory)


def _named(tree: Mapping[str, Mapping[Any, NDArray[np.float64]]]) -> Params:
    return {name: tree["weights"][key] for name, key in CONNECTIONS.items()}


def _tree(named: Mapping[str, NDArray[np.float64]]) -> dict[str, dict[Any, NDArray[np.float64]]]:
    return {"weights": {key: named[name] for name, key in CONNECTIONS.items()}}
