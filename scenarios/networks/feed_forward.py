"""Feed-forward networks and what they learn from: one shape for all that is trained exactly.

A network knows its structure, its loss and how it is evaluated; the rest, from the initial weights
to the gradient of a minibatch, is the same for all.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

import eventsim as es
import gradients
from eventsim._support.types import Key
from gradients.losses.term import Term
from scenarios.datasets.encoding import check_noise, latency, noisy_latency
from scenarios.datasets.labelled_images import LabelledImages
from scenarios.running.dropout import Kept, step_of_some
from scenarios.running.options import Checked
from scenarios.running.stopwatch import Stopwatch
from scenarios.running.training import Metrics, Params, Step, in_chunks

__all__ = ["Classes", "Classification", "FeedForward", "ImageTask", "Labelled", "Normal"]

Classes = NDArray[np.int64]
Labelled = tuple[es.SpikeBatch, Classes]
Normal = tuple[float, float]  # mean, standard deviation


class FeedForward(Checked, ABC):
    """A network that learns from the exact gradient of its loss.

    Its input is the population "in", and "out" decides.

    Attributes
    ----------
    t_stop : float
        End of each simulation.
    loss : Term
        What training lowers.
    stopwatch : Stopwatch
        Counts the time spent in training steps and in evaluations.
    learnt : tuple of str
        Kinds of parameters that are learnt, the same in all networks of a class.
    """

    learnt: ClassVar[tuple[str, ...]] = ("weights",)

    t_stop: float
    loss: Term
    stopwatch: Stopwatch

    @property
    @abstractmethod
    def structure(self) -> es.Network:
        """The network without weights; training only replaces them."""

    @property
    @abstractmethod
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of each parameter; its name "in->hidden" says what it connects."""

    @property
    def dense(self) -> Mapping[str, int]:
        """The sizes of the hidden layers of which a minibatch may leave neurons out."""
        return {}

    @property
    def run_with(self) -> Mapping[str, Any]:
        """Further arguments of `eventsim.simulate`."""
        return {}

    @abstractmethod
    def metrics_of(self, result: es.BatchResult, labels: Classes) -> Metrics:
        """Return what is of interest about a training step beside its loss."""

    @abstractmethod
    def evaluate(self, weights: Params, batch: es.SpikeBatch, labels: Classes) -> Metrics:
        """Return metrics of samples of any number, under names that begin with "test"."""

    def without(self, dropout: float) -> Self:
        """Return the same network with this part of each of its `dense` layers left out."""
        raise NotImplementedError(f"{type(self).__name__} has no layers to leave neurons out of")

    @cached_property
    def connections(self) -> Mapping[str, tuple[str, str]]:
        """The projection of each parameter, by the parameter's name."""
        ends = {name: name.split("->") for name in self.shapes}
        return {name: (pre, post) for name, (pre, post) in ends.items()}

    def initial(self, normals: Sequence[Normal], rng: np.random.Generator) -> Params:
        """Draw weights from normal distributions (mean, standard deviation), one per parameter."""
        named = zip(self.shapes.items(), normals, strict=True)
        return {name: rng.normal(mean, std, shape) for (name, shape), (mean, std) in named}

    def network(self, weights: Params) -> es.Network:
        """Return the network with these weights."""
        by_key: dict[Key, NDArray[np.float64]] = {
            self.connections[name]: weight for name, weight in weights.items()
        }
        return self.structure.replace(weights=by_key)

    def simulate(self, weights: Params, batch: es.SpikeBatch) -> es.BatchResult:
        """Return the exact run of each sample up to ``t_stop``."""
        started = time.perf_counter()
        result = es.simulate(self.network(weights), {"in": batch}, self.t_stop, **self.run_with)
        assert isinstance(result, es.BatchResult)
        self.stopwatch.add("evaluation", started)
        return result

    def cost(self, weights: Params, batch: es.SpikeBatch) -> es.Operations:
        """Return what runs cost: of at most 1000 samples, the first ones, and in no stopwatch."""
        some = {"in": batch[in_chunks(len(batch))[0]]}
        result = es.simulate(self.network(weights), some, self.t_stop, **self.run_with)
        return es.operations(result)

    def step(self, weights: Params, batch: es.SpikeBatch, labels: Classes) -> Step:
        """Return the loss over a batch, and its exact gradient."""
        started = time.perf_counter()
        value, gradient, result = gradients.value_and_grad(
            self.network(weights),
            {"in": batch},
            self.loss.of(labels),
            self.t_stop,
            wrt=self.learnt,
            **self.run_with,
        )
        self.stopwatch.add("training steps", started)
        return Step(self.slopes(gradient), {"loss": value, **self.metrics_of(result, labels)})

    def slopes(self, gradient: gradients.Gradient) -> Params:
        """Return the derivatives by what is learnt, under the names of the parameters."""
        return {name: gradient.weights[key] for name, key in self.connections.items()}

    def step_of_some(
        self, weights: Params, kept: Kept, batch: es.SpikeBatch, labels: Classes
    ) -> Step:
        """Return the `step` of a part of a larger network; the gradient by others is 0.

        Parameters
        ----------
        weights : dict of str -> ndarray
            Of the larger network.
        kept : dict of str -> (n,) ndarray of int
            By layer, the numbers of the neurons that take part.  Weights from them are scaled up,
            so that what comes out of a layer stays as it is on average.
        batch, labels
            As for `step`.
        """
        return step_of_some(
            lambda some: self.step(some, batch, labels), self.connections, weights, kept
        )


Model = TypeVar("Model", bound=FeedForward)


@dataclass(frozen=True, eq=False)
class Classification(Generic[Model]):
    """A `training.Task`: a network, its training and its test data as input spikes.

    Attributes
    ----------
    model : FeedForward
        What is trained.
    normals : sequence of (mean, standard deviation)
        Of the initial weights, one pair per parameter.
    train, test : (SpikeBatch, labels)
        Input spikes and classes.
    """

    model: Model
    normals: Sequence[Normal]
    train: Labelled
    test: Labelled

    @property
    def n_train(self) -> int:
        """Number of training samples."""
        return len(self.train[1])

    def initial(self, rng: np.random.Generator) -> Params:
        """Draw the initial weights."""
        return self.model.initial(self.normals, rng)

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
        return self.model.evaluate(params, *self.test)


@dataclass(frozen=True, eq=False)
class ImageTask(Generic[Model]):
    """A `training.Task`: a network, its training and its test images, which go in as latencies.

    Attributes
    ----------
    model : FeedForward
        What is trained.
    normals : sequence of (mean, standard deviation)
        Of the initial weights, one pair per parameter.
    train, test : LabelledImages
        Images and classes.
    t_max : float
        When the darkest pixels fire; white ones fire at 0, black ones not at all.
    moves : int
        Pixels by which an image is moved, at most, along either axis, in training.
    noise : float
        Standard deviation of the jitter of the input spikes in training (0: none).
    dropout : float
        Part of each dense hidden layer, in [0, 1), that each minibatch leaves out, drawn at random.
    """

    model: Model
    normals: Sequence[Normal]
    train: LabelledImages
    test: LabelledImages
    t_max: float = 1.0
    moves: int = 0
    noise: float = 0.0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        """Check that images and network fit together, and the numbers."""
        network = self.model.structure
        for part in (self.train, self.test):
            part.check(network.inputs["in"], network.populations["out"])
        check_noise(self.moves, self.noise, self.dropout)

    @property
    def n_train(self) -> int:
        """Number of training samples."""
        return len(self.train)

    @cached_property
    def test_spikes(self) -> es.SpikeBatch:
        """The test images as input spikes."""
        return latency(self.test.images, t_max=self.t_max)

    @property
    def held_out(self) -> Labelled:
        """The test samples."""
        return self.test_spikes, self.test.labels

    def initial(self, rng: np.random.Generator) -> Params:
        """Draw the initial weights."""
        return self.model.initial(self.normals, rng)

    def step(self, params: Params, rows: NDArray[np.int64], rng: np.random.Generator) -> Step:
        """Return loss and exact gradient over some training samples, moved and jittered anew."""
        batch = noisy_latency(
            self.train.images[rows], rng, t_max=self.t_max, moves=self.moves, noise=self.noise
        )
        kept, labels = self.kept(rng), self.train.labels[rows]
        if not kept:
            return self.model.step(params, batch, labels)
        return self.part.step_of_some(params, kept, batch, labels)

    @cached_property
    def part(self) -> Model:
        """The network that a minibatch trains."""
        return self.model.without(self.dropout) if self.dropout else self.model

    def kept(self, rng: np.random.Generator) -> Kept:
        """Draw the neurons that a minibatch trains, by layer; complete layers are left out."""
        return {
            name: np.sort(rng.permutation(size)[: self.part.dense[name]])
            for name, size in self.model.dense.items()
            if self.part.dense[name] < size
        }

    def evaluate(self, params: Params) -> Metrics:
        """Return loss, accuracy and activity over the test samples."""
        return self.model.evaluate(params, *self.held_out)
