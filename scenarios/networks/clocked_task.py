"""The network of another task on a clock, trained with surrogate gradients.

Initial weights, minibatches, optimizer and data are those of the exact task: only the gradient
differs, and where first spike times are out of reach, the loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

import eventsim as es
from scenarios.extras import require
from scenarios.networks.readout import accuracy, highest
from scenarios.running.options import Checked, Positive, Range
from scenarios.running.training import Metrics, Params, Step, in_chunks

require("torch", ("torch",), "training with surrogate gradients")

import torch  # noqa: E402
from torch.nn.functional import cross_entropy  # noqa: E402

from gradients.clocked import (  # noqa: E402
    ClockedNetwork,
    ClockedRun,
    SpikeDerivative,
)

__all__ = ["DERIVATIVES", "ClockedTask", "LossName", "SpikeData"]

LossName = Literal["potential", "count", "rate"]

# Those of the two publications, and those that are customary, with their customary steepness.
DERIVATIVES = {
    "constant": SpikeDerivative("constant"),
    "fired": SpikeDerivative("fired"),
    "fast_sigmoid": SpikeDerivative("fast_sigmoid", 25.0),
    "arctan": SpikeDerivative("arctan", 2.0),
}
PORTION = 500  # samples that are evaluated at a time


class SpikeData(Protocol):
    """What is taken over from the exact task: initial weights, and samples as input spikes."""

    @property
    def train(self) -> tuple[es.SpikeBatch, NDArray[np.int64]]:
        """Input spikes and classes to learn from."""

    @property
    def test(self) -> tuple[es.SpikeBatch, NDArray[np.int64]]:
        """Held-out input spikes and classes."""

    def initial(self, rng: np.random.Generator) -> Params:
        """Draw the initial weights."""


@dataclass(frozen=True, eq=False)
class ClockedTask(Checked):
    """A `training.Task`.

    Attributes
    ----------
    data : SpikeData
        The exact task.
    network : eventsim.Network
        The structure of its network, with the input "in" and the outputs "out".
    duration : float
        End of a run.
    n_steps : int
        Steps of a run.
    derivative : SpikeDerivative
        Of a spike by the potential.
    loss : {"potential", "count", "rate"}
        Cross-entropy of the output potentials at the end; of the output spike counts; or of the
        output spikes of each step, mean over the steps.  The class is the output with the highest
        potential, or the most spikes; two such outputs are an error, as in the exact tasks.
    """

    data: SpikeData
    network: es.Network
    duration: Positive
    n_steps: Annotated[int, Range(1, 1_000_000)]
    derivative: SpikeDerivative
    loss: LossName = "potential"

    def __post_init__(self) -> None:
        """Check what can be checked before the first step."""
        super().__post_init__()
        if "in" not in self.network.inputs or "out" not in self.network.populations:
            raise ValueError(f"network must have 'in' and 'out', got {self.network!r}")

    @cached_property
    def model(self) -> ClockedNetwork:
        """The clocked network, whose weights are replaced at each step."""
        return ClockedNetwork(
            self.network, self.duration / self.n_steps, derivative=self.derivative
        )

    @property
    def n_train(self) -> int:
        """Number of training samples."""
        return len(self.data.train[1])

    def initial(self, rng: np.random.Generator) -> Params:
        """Draw the same initial weights as the exact task."""
        return self.data.initial(rng)

    def step(
        self,
        params: Params,
        rows: NDArray[np.int64],
        rng: np.random.Generator,  # noqa: ARG002
    ) -> Step:
        """Return loss and surrogate gradient over some training samples."""
        spikes, labels = self.data.train
        self._take(params)
        self.model.zero_grad(set_to_none=True)
        loss, metrics = self._examined(spikes[rows], labels[rows])
        loss.backward()
        slopes = {name: self.model.weights[name].grad.numpy().astype(np.float64) for name in params}
        return Step(slopes, metrics)

    def evaluate(self, params: Params) -> Metrics:
        """Return loss, accuracy and spikes per hidden neuron and sample, over the test samples."""
        spikes, labels = self.data.test
        self._take(params)
        means: dict[str, float] = {}
        with torch.no_grad():
            for part in in_chunks(len(labels), PORTION):
                _, metrics = self._examined(spikes[part], labels[part])
                share = len(labels[part]) / len(labels)
                for name, value in metrics.items():
                    means[f"test_{name}"] = means.get(f"test_{name}", 0.0) + share * value
        return means

    def _take(self, params: Mapping[str, NDArray[np.float64]]) -> None:
        with torch.no_grad():
            for name, weight in params.items():
                self.model.weights[name].copy_(torch.from_numpy(weight))

    def _examined(
        self, spikes: es.SpikeBatch, labels: NDArray[np.int64]
    ) -> tuple[torch.Tensor, Metrics]:
        """Return the loss over a batch, and the metrics."""
        run = self.model({"in": spikes}, self.duration)
        classes = torch.from_numpy(labels)
        loss, scores = self._loss(run, classes)
        outputs = scores.detach().numpy()
        hidden = [train for name, train in run.spikes.items() if name != "out"]
        neurons = sum(train[0].numel() for train in hidden)
        return loss, {
            "loss": float(loss.detach()),
            "accuracy": accuracy(outputs, labels),
            "tied": float(np.mean(highest(outputs).sum(axis=1) > 1)),
            "spikes": sum(float(train.detach().sum()) for train in hidden) / max(neurons, 1),
        }

    def _loss(self, run: ClockedRun, classes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the loss, and the scores of the classes (n_samples, n_classes)."""
        if self.loss == "potential":
            scores = run.potentials["out"][-1]
            return cross_entropy(scores, classes), scores
        counts = run.spikes["out"].sum(dim=0)
        if self.loss == "count":
            return cross_entropy(counts, classes), counts
        every = run.spikes["out"].flatten(0, 1)
        return cross_entropy(every, classes.repeat(len(run.spikes["out"]))), counts
