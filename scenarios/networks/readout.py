"""A classifier that is read out by potentials: the class is the output neuron with the highest one.

Images go in as latencies (bright pixels fire early); one hidden layer fires, any number of times or
once; the output neurons never fire, and their membrane potentials when the time is over go into a
softmax cross-entropy.  The network and losses of Yamamoto, Sakemi & Aihara, with exact gradients.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

import eventsim as es
import gradients
from eventsim._support.types import Key
from scenarios.datasets.encoding import check_noise, latency, noisy_latency
from scenarios.datasets.labelled_images import LabelledImages
from scenarios.running.dropout import step_of_some
from scenarios.running.stopwatch import Stopwatch
from scenarios.running.training import Metrics, Params, Step, in_chunks

__all__ = [
    "CONNECTIONS",
    "ImageTask",
    "Labelled",
    "ReadoutLoss",
    "ReadoutNetwork",
    "ReadoutTask",
    "accuracy",
    "highest",
]

Floats = NDArray[np.float64]
Classes = NDArray[np.int64]

CONNECTIONS: dict[str, Key] = {"in->hidden": ("in", "hidden"), "hidden->out": ("hidden", "out")}
Labelled = tuple[es.SpikeBatch, Classes]
Normal = tuple[float, float]
PORTION = 2000  # samples that are evaluated at a time


@dataclass(frozen=True)
class ReadoutLoss:
    """What training lowers: Eq. 24 of Yamamoto et al., with label smoothing as an option.

    Attributes
    ----------
    smoothing : float
        Part of the target probability that is spread over all classes, in [0, 1).
    norm_penalty : float
        σ: strength of the penalty on large output potentials, >= 0.
    dead_penalty : float
        λ: strength of the penalty on hidden neurons that hardly ever fire, >= 0; it lifts their
        potentials.
    dead_fraction : float
        Such a neuron fires in less than this fraction of a minibatch, in (0, 1].

    Examples
    --------
    >>> ReadoutLoss(dead_penalty=-1.0)
    Traceback (most recent call last):
        ...
    ValueError: dead_penalty must be finite and >= 0, got -1.0
    """

    smoothing: float = 0.0
    norm_penalty: float = 0.0
    dead_penalty: float = 0.0
    dead_fraction: float = 0.1

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not 0.0 <= self.smoothing < 1.0:
            raise ValueError(f"smoothing must lie in [0, 1), got {self.smoothing!r}")
        for name in ("norm_penalty", "dead_penalty"):
            if not 0.0 <= getattr(self, name) < np.inf:
                raise ValueError(f"{name} must be finite and >= 0, got {getattr(self, name)!r}")
        if not 0.0 < self.dead_fraction <= 1.0:
            raise ValueError(f"dead_fraction must lie in (0, 1], got {self.dead_fraction!r}")

    def of_outputs(self, potentials: Floats, labels: Classes) -> tuple[float, Floats]:
        """Return the loss of output potentials (n_samples, n_classes), and its derivative."""
        return gradients.membrane_cross_entropy(
            potentials, labels, smoothing=self.smoothing, norm_penalty=self.norm_penalty
        )

    def __call__(self, result: es.BatchResult, labels: Classes) -> gradients.Loss:
        """Return the loss of a run, with its derivatives and accuracy."""
        outputs = result.potential("out")
        value, slope = self.of_outputs(outputs, labels)
        loss = gradients.Loss(
            value, potentials={"out": slope}, metrics={"accuracy": accuracy(outputs, labels)}
        )
        return loss + self.dead_penalty * self._of_dead(result) if self.dead_penalty else loss

    def _of_dead(self, result: es.BatchResult) -> gradients.Loss:
        """Return the penalty; potentials are looked at only where a neuron is dead."""
        counts = result.spike_counts("hidden")
        dead = gradients.dead_neurons(self.dead_fraction)(counts)
        if not dead.any():
            return gradients.Loss(0.0)
        penalty, slope = gradients.spike_count_penalty(
            result.potential("hidden"),
            counts,
            threshold=result.network.neurons["hidden"].threshold,
            condition=lambda _: dead,
        )
        return gradients.Loss(penalty, potentials={"hidden": slope})


@dataclass(frozen=True, eq=False)
class ReadoutNetwork:
    """Input sources, one hidden layer, and output neurons that never fire; all-to-all.

    Attributes
    ----------
    sizes : (int, int, int)
        Input sources, hidden neurons, classes.
    tau_syn : float
        τ_I, the time constant of the synaptic current, > 0; inf: nothing leaks.
    single_spike : bool
        A hidden neuron fires at most once.
    loss : ReadoutLoss
        What training lowers.
    t_out : float
        When the output potentials are read, and the run ends.
    engine, precision : str
        Of `eventsim.simulate`.
    tau_mem : float, optional
        τ_V, that of the membrane potential, > 0 [half of τ_I: p = 2 in the paper].
    stopwatch : Stopwatch
        Counts the time spent in simulations and gradients.

    Notes
    -----
    Threshold 1; no bias.

    Examples
    --------
    >>> network = ReadoutNetwork((4, 8, 2), tau_syn=0.8)
    >>> weights = network.initial((0.03, 0.3), np.random.default_rng(0))
    >>> {name: weight.shape for name, weight in weights.items()}
    {'in->hidden': (4, 8), 'hidden->out': (8, 2)}
    >>> spikes = latency(np.array([[255, 0, 128, 0], [0, 255, 0, 64]], np.uint8))
    >>> network.simulate(weights, spikes).potential("out").shape
    (2, 2)
    """

    sizes: tuple[int, int, int]
    tau_syn: float
    single_spike: bool = False
    loss: ReadoutLoss = ReadoutLoss()
    t_out: float = 1.0
    engine: str = "auto"
    precision: str = "float64"
    tau_mem: float | None = None
    stopwatch: Stopwatch = field(default_factory=Stopwatch)

    def __post_init__(self) -> None:
        """Check the sizes and times."""
        if self.tau_mem is not None and not self.tau_mem > 0.0:
            raise ValueError(f"tau_mem must be > 0, got {self.tau_mem!r}")
        if len(self.sizes) != 3 or min(self.sizes) < 1:
            raise ValueError(f"sizes must be three numbers >= 1, got {self.sizes!r}")
        if not self.tau_syn > 0.0:
            raise ValueError(f"tau_syn must be > 0, got {self.tau_syn!r}")
        if not 0.0 < self.t_out < np.inf:
            raise ValueError(f"t_out must be finite and > 0, got {self.t_out!r}")

    @cached_property
    def structure(self) -> es.Network:
        """The network without weights; training only replaces them."""
        n_inputs, n_hidden, n_classes = self.sizes
        tau_mem = self.tau_syn / 2.0 if self.tau_mem is None else self.tau_mem
        taus = {"tau_mem": tau_mem, "tau_syn": self.tau_syn}
        dead_time = np.inf if self.single_spike else 0.0
        network = es.Network()
        network.add_input("in", n_inputs)
        network.add_population("hidden", n_hidden, es.LIF(**taus, refractory=dead_time))
        network.add_population("out", n_classes, es.LIF(**taus, threshold=np.inf))
        network.connect("in", "hidden", weights=np.zeros((n_inputs, n_hidden)))
        network.connect("hidden", "out", weights=np.zeros((n_hidden, n_classes)))
        return network

    def initial(self, normal: tuple[float, float], rng: np.random.Generator) -> Params:
        """Draw all weights from a normal distribution (mean, standard deviation)."""
        n_inputs, n_hidden, n_classes = self.sizes
        return {
            "in->hidden": rng.normal(*normal, (n_inputs, n_hidden)),
            "hidden->out": rng.normal(*normal, (n_hidden, n_classes)),
        }

    def network(self, weights: Params) -> es.Network:
        """Return the network with these weights."""
        by_key: dict[Key, Floats] = {key: weights[name] for name, key in CONNECTIONS.items()}
        return self.structure.replace(weights=by_key)

    @property
    def engine_and_precision(self) -> str:
        """The engine, as `eventsim.simulate` names it."""
        return self.engine if self.precision == "float64" else f"{self.engine}-{self.precision}"

    def simulate(self, weights: Params, batch: es.SpikeBatch) -> es.BatchResult:
        """Return the exact run of each sample up to ``t_out``."""
        started = time.perf_counter()
        result = es.simulate(
            self.network(weights), {"in": batch}, self.t_out, engine=self.engine_and_precision
        )
        assert isinstance(result, es.BatchResult)
        self.stopwatch.add("simulate", started)
        return result

    def without(self, n_dropped: int) -> ReadoutNetwork:
        """Return the same network with fewer hidden neurons, for `step_of_some`."""
        n_inputs, n_hidden, n_classes = self.sizes
        return replace(self, sizes=(n_inputs, n_hidden - n_dropped, n_classes))

    def step_of_some(
        self, weights: Params, kept: NDArray[np.int64], batch: es.SpikeBatch, labels: Classes
    ) -> Step:
        """Return the `step` of a part of a larger hidden layer; the gradient by others is 0.

        ``weights`` are those of the larger network, ``kept`` the numbers of the hidden neurons that
        take part; the weights onto the outputs are scaled up, so that the outputs stay as they are
        on average.
        """
        return step_of_some(
            lambda some: self.step(some, batch, labels), CONNECTIONS, weights, {"hidden": kept}
        )

    def step(self, weights: Params, batch: es.SpikeBatch, labels: Classes) -> Step:
        """Return the loss over a batch, and its exact gradient."""
        result = self.simulate(weights, batch)
        loss = self.loss(result, labels)
        started = time.perf_counter()
        gradient = gradients.timing_backprop(
            result, potentials=loss.potentials, wrt=("weights",)
        ).weights
        self.stopwatch.add("backprop", started)
        slopes = {name: gradient[key] for name, key in CONNECTIONS.items()}
        metrics = {"loss": loss.value, **loss.metrics, "spikes": self.spikes_per_neuron(result)}
        return Step(slopes, metrics)

    def spikes_per_neuron(self, result: es.BatchResult) -> float:
        """Return the mean number of spikes of a hidden neuron in a sample."""
        return result.events.spikes / (len(result) * self.sizes[1])

    def evaluate(self, weights: Params, batch: es.SpikeBatch, labels: Classes) -> Evaluation:
        """Return the output potentials and the spike counts of a batch of any size."""
        outputs, counts = [], []
        for portion in in_chunks(len(labels), PORTION):
            result = self.simulate(weights, batch[portion])
            outputs.append(result.potential("out"))
            counts.append(result.spike_counts("hidden").astype(np.int32))
        return Evaluation(np.concatenate(outputs), np.concatenate(counts), labels)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a network does with a set of samples.

    Attributes
    ----------
    potentials : (n_samples, n_classes) ndarray
        Of the output neurons when they are read.
    counts : (n_samples, n_hidden) ndarray of int
        Spikes of the hidden neurons.
    labels : (n_samples,) ndarray of int
        True classes.
    """

    potentials: Floats
    counts: NDArray[np.int32]
    labels: Classes

    def metrics(self, loss: ReadoutLoss) -> Metrics:
        """Return loss, accuracy and activity, under names that begin with "test".

        ``test_loss`` is the loss of the outputs, ``test_cross_entropy`` that without smoothing and
        penalty; ``test_spikes`` is the mean number of spikes of a hidden neuron in a sample,
        ``test_active`` the mean fraction of hidden neurons that fire for a sample, and
        ``test_dead`` the fraction that fire for none.
        """
        fired = self.counts > 0
        return {
            "test_loss": loss.of_outputs(self.potentials, self.labels)[0],
            "test_cross_entropy": ReadoutLoss().of_outputs(self.potentials, self.labels)[0],
            "test_accuracy": accuracy(self.potentials, self.labels),
            "test_spikes": float(np.mean(self.counts)),
            "test_active": float(np.mean(fired)),
            "test_dead": 1.0 - float(np.mean(fired.any(axis=0))),
        }


@dataclass(frozen=True, eq=False)
class ReadoutTask:
    """A `training.Task`: a network that is read out by potentials, and its data.

    Attributes
    ----------
    model : ReadoutNetwork
        What is trained.
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


@dataclass(frozen=True, eq=False)
class ImageTask:
    """A `training.Task`: a network, its training and its test images.

    Attributes
    ----------
    model : ReadoutNetwork
        What is trained.
    normal : (mean, standard deviation)
        Of the initial weights.
    train, test : LabelledImages
        Images and classes.
    moves : int
        Pixels by which an image is moved, at most, along either axis, in training.
    noise : float
        Standard deviation of the jitter of the input spikes in training (0: none).
    dropout : float
        Part of the hidden neurons, in [0, 1), that each minibatch leaves out, drawn at random.
    """

    model: ReadoutNetwork
    normal: tuple[float, float]
    train: LabelledImages
    test: LabelledImages
    moves: int = 0
    noise: float = 0.0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        """Check that images and network fit together, and the numbers."""
        for part in (self.train, self.test):
            part.check(self.model.sizes[0], self.model.sizes[-1])
        check_noise(self.moves, self.noise, self.dropout)

    @property
    def n_train(self) -> int:
        """Number of training samples."""
        return len(self.train)

    @cached_property
    def test_spikes(self) -> es.SpikeBatch:
        """The test images as input spikes."""
        return latency(self.test.images, t_max=self.model.t_out)

    def initial(self, rng: np.random.Generator) -> Params:
        """Draw the initial weights."""
        return self.model.initial(self.normal, rng)

    def step(self, params: Params, rows: NDArray[np.int64], rng: np.random.Generator) -> Step:
        """Return loss and exact gradient over some training samples, moved and jittered anew."""
        batch = noisy_latency(
            self.train.images[rows], rng, t_max=self.model.t_out, moves=self.moves, noise=self.noise
        )
        labels = self.train.labels[rows]
        if self.part is self.model:
            return self.model.step(params, batch, labels)
        kept = rng.permutation(self.model.sizes[1])[: self.part.sizes[1]]
        return self.part.step_of_some(params, np.sort(kept), batch, labels)

    @cached_property
    def part(self) -> ReadoutNetwork:
        """The network that a minibatch trains."""
        n_dropped = int(self.dropout * self.model.sizes[1])
        return self.model.without(n_dropped) if n_dropped else self.model

    def evaluate(self, params: Params) -> Metrics:
        """Return `Evaluation.metrics` of the test samples."""
        return self.examine(params).metrics(self.model.loss)

    def examine(self, params: Params) -> Evaluation:
        """Return what the network does with the test samples."""
        return self.model.evaluate(params, self.test_spikes, self.test.labels)


def accuracy(potentials: Floats, labels: Classes) -> float:
    """Return the fraction of samples whose label neuron has the highest potential of all.

    Examples
    --------
    >>> accuracy(np.array([[0.5, 0.1], [0.2, 0.2]]), np.array([0, 0]))  # a tie counts as wrong
    0.5
    """
    best = highest(potentials)
    right = best[np.arange(len(labels)), labels] & (best.sum(axis=1) == 1)
    return float(np.mean(right))


def highest(potentials: Floats) -> NDArray[np.bool_]:
    """Return which neurons have the highest potential of their sample: several where they tie.

    Examples
    --------
    >>> highest(np.array([[0.5, 0.1], [0.2, 0.2]])).tolist()
    [[True, False], [True, True]]
    """
    return potentials == potentials.max(axis=-1, keepdims=True)
