"""A classifier that is read out by potentials: the class is the output neuron with the highest one.

Images go in as latencies (bright pixels fire early); one hidden layer fires, any number of times or
once; the output neurons never fire, and their membrane potentials when the time is over go into a
softmax cross-entropy.  The network and losses of Yamamoto, Sakemi & Aihara, with exact gradients.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

import eventsim as es
from eventsim._support.types import Key
from gradients import MembraneCrossEntropy, SpikeCountPenalty, dead_neurons
from gradients.losses.term import Term
from scenarios.networks.feed_forward import Classes, FeedForward
from scenarios.running.options import (
    Positive,
    TimeConstant,
)
from scenarios.running.stopwatch import Stopwatch
from scenarios.running.training import Metrics, Params, in_chunks

__all__ = [
    "CONNECTIONS",
    "ReadoutNetwork",
    "accuracy",
    "highest",
    "of_outputs",
    "readout_loss",
]

Floats = NDArray[np.float64]

CONNECTIONS: dict[str, Key] = {"in->hidden": ("in", "hidden"), "hidden->out": ("hidden", "out")}
PLAIN = MembraneCrossEntropy("out")
PORTION = 2000  # samples that are evaluated at a time


def readout_loss(
    smoothing: float = 0.0,
    norm_penalty: float = 0.0,
    dead_penalty: float = 0.0,
    dead_fraction: float = 0.1,
) -> Term:
    """Return Eq. 24 of Yamamoto et al., with label smoothing as an option.

    Parameters
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
    """
    loss = MembraneCrossEntropy("out", smoothing, norm_penalty)
    if not dead_penalty:
        return loss
    return loss + dead_penalty * SpikeCountPenalty("hidden", dead_neurons(dead_fraction))


def of_outputs(loss: Term) -> MembraneCrossEntropy:
    """Return the part of a `readout_loss` that is about the outputs."""
    (_, answer), *_ = loss.parts()
    assert isinstance(answer, MembraneCrossEntropy)
    return answer


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
    loss : Term
        What training lowers: a `readout_loss`.
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
    loss: Term = PLAIN
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

    def metrics_of(self, result: es.BatchResult, labels: Classes) -> Metrics:
        """Return accuracy, and the mean number of spikes of a hidden neuron in a sample."""
        outputs = result.potential("out")
        return {
            "accuracy": accuracy(outputs, labels),
            "spikes": result.events.spikes / (len(result) * self.sizes[1]),
        }

    def without(self, dropout: float) -> ReadoutNetwork:
        """Return the same network with this part of the hidden neurons left out."""
        n_inputs, n_hidden, n_classes = self.sizes
        return replace(self, sizes=(n_inputs, n_hidden - int(dropout * n_hidden), n_classes))

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

    def metrics(self, loss: Term) -> Metrics:
        """Return loss, accuracy and activity, under names that begin with "test".

        ``test_loss`` is the loss of the outputs, ``test_cross_entropy`` that without smoothing and
        penalty; ``test_spikes`` is the mean number of spikes of a hidden neuron in a sample,
        ``test_active`` the mean fraction of hidden neurons that fire for a sample, and
        ``test_dead`` the fraction that fire for none.
        """
        fired = self.counts > 0
        return {
            "test_loss": of_outputs(loss).of_potentials(self.potentials, self.labels)[0],
            "test_cross_entropy": PLAIN.of_potentials(self.potentials, self.labels)[0],
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
