"""A layered feed-forward classifier: the class is the output neuron that fires first.

The loss is the first-spike cross-entropy of Lee et al. 2023, §5.3, and its gradient is exact.  What
is done about silent neurons is a part of the loss: see `gradients.FirstSpikeCrossEntropy`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

import eventsim as es
from gradients import FirstSpikeCrossEntropy
from scenarios.networks.feed_forward import Classes, FeedForward
from scenarios.running.options import Positive
from scenarios.running.stopwatch import Stopwatch
from scenarios.running.training import Metrics, Params, in_chunks

__all__ = [
    "Classifier",
    "FirstSpikeModel",
    "Times",
    "accuracy",
    "cross_entropy",
    "first_to_fire",
]

Times = NDArray[np.float64]


class FirstSpikeModel(FeedForward):
    """A network that is trained on the first spikes of its outputs."""

    loss: FirstSpikeCrossEntropy

    def first_spikes(self, weights: Params, batch: es.SpikeBatch) -> Times:
        """Return the first spikes of the output neurons (n_samples, n_classes); inf = silent."""
        parts = [batch[chunk] for chunk in in_chunks(len(batch))]
        return np.concatenate([self.simulate(weights, part).first_spikes("out") for part in parts])

    def metrics_of(self, result: es.BatchResult, labels: Classes) -> Metrics:
        """Return accuracy, and the fraction of samples whose label neuron is silent."""
        times = result.first_spikes("out")
        silent = np.isinf(times[np.arange(len(labels)), labels])
        return {"accuracy": accuracy(times, labels), "silent_labels": float(np.mean(silent))}


@dataclass(frozen=True, eq=False)
class Classifier(FirstSpikeModel):
    """Layers of one kind of neuron, all-to-all from each to the next.

    An output neuron fires once: what it would do later is nobody's input and not in the loss, so
    leaving it out changes no result.

    Attributes
    ----------
    sizes : sequence of int
        Neurons per layer, from the input sources to the classes.
    neuron : eventsim.LIF
        Kind of neuron.
    t_stop : float
        End of each simulation.
    loss : FirstSpikeCrossEntropy
        What training lowers.
    until_decided : bool
        End a sample when every class has fired: no first output spike depends on what comes later.
        Else every sample runs to ``t_stop``, which is the faster way if that is soon.

    Examples
    --------
    >>> loss = FirstSpikeCrossEntropy("out", tau0=0.1, t_silent=6.0, gamma=0.2)
    >>> model = Classifier((2, 4, 2), es.LIF(tau_mem=1.0, tau_syn=1.0), 6.0, loss)
    >>> weights = model.initial([(3.0, 1.0), (2.0, 0.1)], np.random.default_rng(0))
    >>> {name: weight.shape for name, weight in weights.items()}
    {'in->hidden': (2, 4), 'hidden->out': (4, 2)}
    >>> batch = es.SpikeBatch.from_latencies([[0.0, 0.0], [0.0, 2.0]])
    >>> model.first_spikes(weights, batch).shape
    (2, 2)
    """

    sizes: Sequence[int]
    neuron: es.LIF
    t_stop: Positive
    loss: FirstSpikeCrossEntropy
    until_decided: bool = True
    stopwatch: Stopwatch = field(default_factory=Stopwatch)

    def __post_init__(self) -> None:
        """Check the layers, times and strengths."""
        super().__post_init__()
        if len(self.sizes) < 2 or min(self.sizes) < 1:
            raise ValueError(f"sizes must name at least two layers of >= 1, got {self.sizes!r}")

    @cached_property
    def structure(self) -> es.Network:
        """The network without weights; training only replaces them."""
        network = es.Network()
        network.add_input(self.layers[0], self.sizes[0])
        for name, size in zip(self.layers[1:], self.sizes[1:], strict=True):
            network.add_population(name, size, self.neuron_of(name))
        for pre, post in pairwise(range(len(self.sizes))):
            shape = (self.sizes[pre], self.sizes[post])
            network.connect(self.layers[pre], self.layers[post], weights=np.zeros(shape))
        return network

    @property
    def layers(self) -> list[str]:
        """Names of the layers: "in", "hidden" (or "hidden1", ...), "out"."""
        n = len(self.sizes) - 2
        return ["in", *(["hidden"] if n == 1 else [f"hidden{k + 1}" for k in range(n)]), "out"]

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """The shape of each parameter."""
        names = (f"{pre}->{post}" for pre, post in pairwise(self.layers))
        return dict(zip(names, pairwise(self.sizes), strict=True))

    @property
    def run_with(self) -> dict[str, Any]:
        """Further arguments of `eventsim.simulate`."""
        return {"until_fired": "out" if self.until_decided else None}

    def neuron_of(self, layer: str) -> es.LIF:
        """Return the kind of neuron of a layer."""
        return replace(self.neuron, refractory=np.inf) if layer == self.layers[-1] else self.neuron

    def evaluate(self, weights: Params, batch: es.SpikeBatch, labels: Classes) -> Metrics:
        """Return loss, cross-entropy, accuracy and activity.

        ``test_spikes`` is the mean number of spikes of a hidden neuron in a sample.
        """
        hidden, parts, spikes = self.layers[1:-1], [], 0
        for chunk in in_chunks(len(batch)):
            result = self.simulate(weights, batch[chunk])
            parts.append(result.first_spikes("out"))
            spikes += sum(int(result.spike_counts(name).sum()) for name in hidden)
        times = np.concatenate(parts)
        return {
            "test_loss": self.loss.of_times(times, labels)[0],
            "test_cross_entropy": cross_entropy(self.loss, times, labels),
            "test_accuracy": accuracy(times, labels),
            "test_silent": float(np.mean(np.isinf(times))),
            "test_spikes": spikes / (len(batch) * max(sum(self.sizes[1:-1]), 1)),
        }


def cross_entropy(loss: FirstSpikeCrossEntropy, times: Times, labels: Classes) -> float:
    """Return a loss of output spikes without smoothing and without the cost on late ones."""
    return replace(loss, gamma=0.0, smoothing=0.0).of_times(times, labels)[0]


def first_to_fire(times: Times) -> Classes:
    """Return the output neuron that fires first in each sample; -1 if none does, or two at once.

    Examples
    --------
    >>> inf = np.inf
    >>> first_to_fire(np.array([[1.0, 2.0], [inf, 0.5], [inf, inf], [1.0, 1.0]]))
    array([ 0,  1, -1, -1])
    """
    first = times.min(axis=1, keepdims=True)
    decided = np.isfinite(first[:, 0]) & ((times == first).sum(axis=1) == 1)
    return np.where(decided, times.argmin(axis=1), -1)


def accuracy(times: Times, labels: Classes) -> float:
    """Return the fraction of samples whose label neuron fires before all others."""
    return float(np.mean(first_to_fire(times) == labels))
