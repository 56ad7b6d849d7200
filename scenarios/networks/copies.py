"""Many small networks side by side in one: one run and one gradient for all of them.

An experiment that is repeated from many initial weights spends its time between the runs of its
small networks.  Side by side, their neurons share a simulation without sharing a synapse: what each
copy does, and its gradient, are those of a run of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

import eventsim as es
import gradients
from eventsim._support.types import Key, Matrix
from scenarios.networks.feed_forward import Classes, Classification
from scenarios.networks.first_spike import Classifier, Times, first_to_fire
from scenarios.running.checkpoint import check_like
from scenarios.running.training import Learner, Metrics, Params

__all__ = ["Copies", "CopiesStep", "SideBySide", "chosen", "stacked"]

Matrices = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CopiesStep:
    """What one minibatch gives each copy.

    Attributes
    ----------
    gradients : dict of str -> (n_copies, n_pre, n_post) ndarray
        Gradient of each copy's own mean loss.
    accuracy : (n_copies,) ndarray
        Fraction of its samples that each copy gets right.
    """

    gradients: Params
    accuracy: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Copies:
    """Copies of a classifier that see the same samples and differ in their weights.

    Attributes
    ----------
    model : Classifier
        Layers, neurons and loss of every copy; it must wake no neurons.
    n : int
        Number of copies.

    Examples
    --------
    >>> loss = gradients.FirstSpikeCrossEntropy("out", tau0=0.1, t_silent=6.0, gamma=0.2)
    >>> model = Classifier((2, 4, 2), es.LIF(tau_mem=1.0, tau_syn=1.0), 6.0, loss)
    >>> rng = np.random.default_rng(0)
    >>> weights = stacked([model.initial([(3.0, 1.0), (2.0, 0.1)], rng) for _ in range(5)])
    >>> batch = es.SpikeBatch.from_latencies([[0.0, 0.0], [0.0, 2.0]])
    >>> Copies(model, 5).first_spikes(weights, batch).shape
    (2, 5, 2)
    """

    model: Classifier
    n: int

    def __post_init__(self) -> None:
        """Check the number, and that the loss is all there is to training."""
        if not self.n >= 1:
            raise ValueError(f"n must be >= 1, got {self.n!r}")
        if self.model.loss.wake:
            raise ValueError(f"wake must be 0 for copies, got {self.model.loss.wake!r}")

    @cached_property
    def _network(self) -> es.Network:
        """All copies; training only replaces the weights."""
        sizes = dict(zip(self.model.layers, self.model.sizes, strict=True))
        network = es.Network()
        for name, size in sizes.items():
            if name == "in":
                network.add_input(name, size)
            else:
                network.add_population(name, self.n * size, self.model.neuron_of(name))
        for pre, post in self.model.connections.values():
            nothing = np.zeros((self.n, sizes[pre], sizes[post]))
            network.connect(pre, post, weights=self._joined(pre, nothing))
        return network

    def _joined(self, pre: str, matrices: Matrices) -> Matrix:
        """Return the matrices of all copies as one: side by side, or along the diagonal."""
        n, n_pre, n_post = matrices.shape
        if pre == "in":
            return matrices.transpose(1, 0, 2).reshape(n_pre, n * n_post)
        first = n_post * np.repeat(np.arange(n), n_pre)
        columns = first[:, None] + np.arange(n_post)
        rows = n_post * np.arange(n * n_pre + 1)
        shape = (n * n_pre, n * n_post)
        return sparse.csr_array((matrices.reshape(-1), columns.reshape(-1), rows), shape=shape)

    def _apart(self, matrix: Matrix, shape: tuple[int, ...]) -> Matrices:
        """Return (n_copies, n_pre, n_post) from a matrix of `_joined`."""
        if isinstance(matrix, np.ndarray):
            return matrix.reshape(-1, self.n, shape[2]).transpose(1, 0, 2)
        return np.reshape(matrix.data, shape)

    def simulate(self, weights: Params, batch: es.SpikeBatch) -> es.BatchResult:
        """Return the exact run of each sample."""
        joined: dict[Key, Matrix] = {
            (pre, post): self._joined(pre, weights[name])
            for name, (pre, post) in self.model.connections.items()
        }
        network = self._network.replace(weights=joined)
        result = es.simulate(network, {"in": batch}, self.model.t_stop)
        assert isinstance(result, es.BatchResult)
        return result

    def first_spikes(self, weights: Params, batch: es.SpikeBatch) -> Times:
        """Return the first output spikes (n_samples, n_copies, n_classes); inf = silent."""
        return self._by_copy(self.simulate(weights, batch).first_spikes("out"))

    def _by_copy(self, times: Times) -> Times:
        return times.reshape(len(times), self.n, -1)

    def step(self, weights: Params, batch: es.SpikeBatch, labels: Classes) -> CopiesStep:
        """Return how right each copy is, and the exact gradient of its loss.

        Parameters
        ----------
        weights : dict of str -> (n_copies, n_pre, n_post) ndarray
            Of all copies.
        batch, labels : SpikeBatch, (n_samples,) ndarray of int
            Input spikes and classes.
        """
        result = self.simulate(weights, batch)
        times = self._by_copy(result.first_spikes("out"))
        flat, classes = times.reshape(-1, times.shape[2]), np.repeat(labels, self.n)
        slope = self.n * self.model.loss.of_times(flat, classes)[1]
        gradient = gradients.timing_backprop(
            result, first_spikes={"out": slope.reshape(len(times), -1)}, wrt=("weights",)
        ).weights
        slopes = {
            name: self._apart(gradient[pre, post], weights[name].shape)
            for name, (pre, post) in self.model.connections.items()
        }
        right = first_to_fire(flat) == classes
        return CopiesStep(slopes, right.reshape(-1, self.n).mean(axis=0))


class SideBySide(Learner):
    """Initialisations that learn at once, each until it is right about all samples.

    Every pass is over the full batch and looks first: an initialisation that is right leaves, the
    others take a step.

    Parameters
    ----------
    task : Classification
        Network, loss and samples of each.
    optimizer : gradients.Adam
        How the weights move.
    seeds : sequence of int
        One initialisation each.
    """

    def __init__(
        self, task: Classification[Classifier], optimizer: gradients.Adam, seeds: Sequence[int]
    ) -> None:
        self.task, self.optimizer, self.seeds = task, optimizer, seeds
        self._copies = Copies(task.model, len(seeds))

    @property
    def n_train(self) -> int:
        """Number of samples."""
        return self.task.n_train

    def start(self, rng: np.random.Generator) -> None:  # noqa: ARG002
        """Draw the parameters of each from a generator of its own."""
        self._params = self._fresh()
        self._memory = self.optimizer.init(self._params)
        self._steps = np.full(len(self.seeds), -1)

    @property
    def _left(self) -> NDArray[np.int64]:
        """Those that are not right yet."""
        return np.flatnonzero(self._steps < 0)

    def learn(self, rows: NDArray[np.int64], rng: np.random.Generator) -> Metrics:  # noqa: ARG002
        """Let go of those that are right; take a step with the others.

        Raises
        ------
        ValueError
            If not all samples are chosen.
        """
        if len(rows) < self.n_train:
            raise ValueError(
                f"batch_size of copies must be >= {self.n_train}, the number of samples, "
                f"got {len(rows)}"
            )
        left = self._left.size
        if self._copies.n != left:
            self._copies = replace(self._copies, n=left)
        step = self._copies.step(self._params, *self.task.train)
        wrong = step.accuracy < 1.0
        self._let_go(wrong)
        if wrong.any():
            self._params, self._memory = self.optimizer.update(
                self._params, chosen(step.gradients, wrong), self._memory
            )
        return {"converged": float(np.mean(self._steps >= 0))}

    def _let_go(self, wrong: NDArray[np.bool_]) -> None:
        """Keep those that are wrong; note how many steps the others took."""
        if wrong.all():
            return
        self._steps = self._steps.copy()
        self._steps[self._left[~wrong]] = self._memory["step"]
        self._params = chosen(self._params, wrong)
        for name in ("mean", "square"):
            self._memory = self._memory | {name: chosen(self._memory[name], wrong)}

    def evaluate(self) -> Metrics:
        """Return nothing: every pass looks at all there is."""
        return {}

    def state(self) -> tuple[Params, Mapping[str, Any]]:
        """Return the parameters of those that are left, and the steps of all (-1: none yet)."""
        return self._params, {"adam": self._memory, "steps": self._steps}

    def load(self, params: Params, optimizer: Mapping[str, Any]) -> None:
        """Take a state that `state` returned."""
        none_yet = {"steps": np.full(len(self.seeds), -1)}
        check_like({"steps": optimizer.get("steps", ())}, none_yet, "optimizer")
        left = chosen(self._fresh(), np.flatnonzero(optimizer["steps"] < 0))
        check_like(params, left, "params")
        check_like(optimizer, {"adam": self.optimizer.init(left), **none_yet}, "optimizer")
        self._params, self._memory = params, dict(optimizer["adam"])
        self._steps = optimizer["steps"]

    def _fresh(self) -> Params:
        """Return the parameters to start from, of all."""
        return stacked([self.task.initial(np.random.default_rng(seed)) for seed in self.seeds])


def stacked(params: Sequence[Params]) -> Params:
    """Return the parameters of several networks as arrays with a leading axis of copies."""
    return {name: np.stack([one[name] for one in params]) for name in params[0]}


def chosen(arrays: Params, copies: NDArray[np.bool_] | NDArray[np.int64]) -> Params:
    """Return the arrays of some of the copies."""
    return {name: array[copies] for name, array in arrays.items()}
