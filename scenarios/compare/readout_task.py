"""Two classifications by output potentials whose data are spikes: MNIST and Yin-Yang.

What exact and surrogate gradients can both be asked for: the same network, loss and data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import eventsim as es
from scenarios.datasets.encoding import latency
from scenarios.datasets.images import mnist
from scenarios.datasets.points import yin_yang as yin_yang_points
from scenarios.networks.readout import ReadoutNetwork
from scenarios.running.training import Metrics, Params, Step
from scenarios.yin_yang import run as yin_yang

__all__ = ["Labelled", "ReadoutTask", "mnist_task", "yin_yang_task"]

Labelled = tuple[es.SpikeBatch, NDArray[np.int64]]
Normal = tuple[float, float]


@dataclass(frozen=True, eq=False)
class ReadoutTask:
    """A `training.Task`: a network that is read out by potentials, and its data.

    Attributes
    ----------
    model : ReadoutNetwork
        What is trained, with exact gradients.
    normals : dict of str -> (mean, standard deviation)
        Of the initial weights of each connection.
    train, test : (SpikeBatch, labels)
        Input spikes and classes.
    """

    model: ReadoutNetwork
    normals: Mapping[str, Normal]
    train: Labelled
    test: Labelled

    @property
    def n_train(self) -> int:
        """Number of training samples."""
        return len(self.train[1])

    def initial(self, rng: np.random.Generator) -> Params:
        """Draw the initial weights."""
        n_inputs, n_hidden, n_classes = self.model.sizes
        shapes = {"in->hidden": (n_inputs, n_hidden), "hidden->out": (n_hidden, n_classes)}
        return {name: rng.normal(*self.normals[name], shape) for name, shape in shapes.items()}

    def batch(self, rows: NDArray[np.int64]) -> Labelled:
        """Return some training samples."""
        spikes, labels = self.train
        return spikes[rows], labels[rows]

    def step(
        self,
        params: Params,
        rows: NDArray[np.int64],
        rng: np.random.Generator,  # noqa: ARG002
    ) -> Step:
        """Return loss and exact gradient over some training samples."""
        return self.model.step(params, *self.batch(rows))

    def evaluate(self, params: Params) -> Metrics:
        """Return loss, accuracy and activity over the test samples."""
        return self.model.evaluate(params, *self.test).metrics(self.model.loss)


def mnist_task(
    hidden: int = 400, n_train: int | None = None, data_dir: str | None = None
) -> ReadoutTask:
    """Return the network of Yamamoto et al. (τ_I = 0.8), and MNIST as latencies."""
    parts = mnist(data_dir)
    train, test = parts["train"].first(n_train), parts["test"]
    model = ReadoutNetwork((train.images[0].size, hidden, 10), tau_syn=0.8)
    normal = (0.03, 0.3)
    return ReadoutTask(
        model,
        {"in->hidden": normal, "hidden->out": normal},
        *((latency(part.images, t_max=model.t_out), part.labels) for part in (train, test)),
    )


def yin_yang_task(hidden: int = 150, n_train: int | None = None) -> ReadoutTask:
    """Return a network that is asked at 2.5 which part of the Yin-Yang picture a point lies in.

    The points are coded as in Lee et al., in units of the synaptic time constant.
    """
    parts = yin_yang_points(None)
    train, test = parts["train"][:n_train], parts["test"]
    model = ReadoutNetwork((yin_yang.N_INPUTS, hidden, yin_yang.N_CLASSES), tau_syn=1.0, t_out=2.5)
    return ReadoutTask(
        model,
        {"in->hidden": (1.5, 0.8), "hidden->out": (0.0, 0.1)},
        *(
            (es.SpikeBatch.from_latencies(yin_yang.latencies(part.features)), part.labels)
            for part in (train, test)
        ),
    )
