"""A classifier that is read out by potentials: the class is the output neuron with the highest one.

Images go in as latencies (bright pixels fire early); one hidden layer fires, any number of times or
once; the output neurons never fire, and their membrane potentials when the time is over go into a
softmax cross-entropy.  The network and losses of Yamamoto, Sakemi & Aihara, with exact gradients.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

import eventsim as es
import gradients
from eventsim._support.types import Key
from scenarios.networks.feed_forward import Classes, FeedForward
from scenarios.running.options import (
    Checked,
    Fraction,
    NonNegative,
    Positive,
    Range,
    TimeConstant,
)
from scenarios.running.stopwatch import Stopwatch
from scenarios.running.training import Metrics, Params, in_chunks

__all__ = [
    "CONNECTIONS",
    "ReadoutLoss",
    "ReadoutNetwork",
    "accuracy",
    "highest",
]

Floats = NDArray[np.float64]

CONNECTIONS: dict[str, Key] = {"in->hidden": ("in", "hidden"), "hidden->out": ("hidden", "out")}
PORTION = 2000  # samples that are evaluated at a time


@dataclass(frozen=True)
class ReadoutLoss(Checked):
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
    ValueError: dead_penalty must lie in [0, 1e+06], got -1.0
    """

    smoothing: Fraction = 0.0
    norm_penalty: NonNegative = 0.0
    dead_penalty: NonNegative = 0.0
    dead_fraction: Annotated[float, Range(0, 1, "(]")] = 0.1

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
class ReadoutNetwork(FeedForward):
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
    t_stop : float
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
    >>> weights = network.initial([(0.03, 0.3)] * 2, np.random.default_rng(0))
    >>> {name: weight.shape for name, weight in weights.items()}
    {'in->hidden': (4, 8), 'hidden->out': (8, 2)}
    >>> from scenarios.datasets.encoding import latency
    >>> spikes = latency(np.array([[255, 0, 128, 0], [0, 255, 0, 64]], np.uint8))
    >>> network.simulate(weights, spikes).potential("out").shape
    (2, 2)
    """

    sizes: tuple[int, int, int]
    tau_syn: TimeConstant
    single_spike: bool = False
    loss: ReadoutLoss = ReadoutLoss()
    t_stop: Positive = 1.0
    engine: str = "auto"
    precision: str = "float64"
    tau_mem: TimeConstant | None = None
    stopwatch: Stopwatch = field(default_factory=Stopwatch)

    def __post_init__(self) -> None:
        """Check the sizes and times."""
        super().__post_init__()
        if len(self.sizes) != 3 or min(self.sizes) < 1:
            raise ValueError(f"sizes must be three numbers >= 1, got {self.sizes!r}")

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

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """The shape of each parameter."""
        n_inputs, n_hidden, n_classes = self.sizes
        return {"in->hidden": (n_inputs, n_hidden), "hidden->out": (n_hidden, n_classes)}

    @property
    def dense(self) -> dict[str, int]:
        """The size of the hidden layer."""
        return {"hidden": self.sizes[1]}

    @property
    def run_with(self) -> dict[str, str]:
        """Further arguments of `eventsim.simulate`."""
        single = self.precision == "float32"
        return {"engine": f"{self.engine}-float32" if single else self.engine}

    def loss_of(self, result: es.BatchResult, labels: Classes) -> gradients.Loss:
        """Return the loss of a run, with its derivatives and what else is of interest."""
        loss = self.loss(result, labels)
        return replace(loss, metrics={**loss.metrics, "spikes": self.spikes_per_neuron(result)})

    def without(self, dropout: float) -> ReadoutNetwork:
        """Return the same network with this part of the hidden neurons left out."""
        n_inputs, n_hidden, n_classes = self.sizes
        return replace(self, sizes=(n_inputs, n_hidden - int(dropout * n_hidden), n_classes))

    def spikes_per_neuron(self, result: es.BatchResult) -> float:
        """Return the mean number of spikes of a hidden neuron in a sample."""
        return result.events.spikes / (len(result) * self.sizes[1])

    def evaluate(self, weights: Params, batch: es.SpikeBatch, labels: Classes) -> Metrics:
        """Return `Evaluation.metrics` of a batch of any size."""
        return self.examine(weights, batch, labels).metrics(self.loss)

    def examine(self, weights: Params, batch: es.SpikeBatch, labels: Classes) -> Evaluation:
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
