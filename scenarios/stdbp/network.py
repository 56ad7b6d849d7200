"""Deep networks of ReL-PSP neurons, each of which fires at most once (Zhang et al. 2021).

After an input spike at t_i the potential rises by w (t - t_i), for good: a neuron whose inputs have
a positive sum of weights fires, sooner or later, and its slope at the spike is that sum.  Networks
are named in the notation of the publication: 784-400-10, or 28x28-6C5-P2-16C5-P2-1024-128-10 with
convolutions (channels C size of the kernel) and pools (P size of the window), which pass on the
earliest spike of each window.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

import eventsim as es
from gradients import FirstSpikeCrossEntropy
from scenarios.networks.feed_forward import Classes, Normal
from scenarios.networks.first_spike import FirstSpikeModel, Times, accuracy, cross_entropy
from scenarios.running.options import Positive
from scenarios.running.stopwatch import Stopwatch
from scenarios.running.training import Metrics, Params, in_chunks

__all__ = ["Activity", "Layer", "ReLPSPNetwork", "read_layers"]

REL_PSP = es.LIF(tau_mem=np.inf, tau_syn=np.inf, threshold=1.0, refractory=np.inf)
NUMBER = r"[1-9]\d{0,4}"  # more neurons than that fit into no machine
PORTION = 500  # samples that are evaluated at a time
N_BINS = 200  # of the histograms of spike times


@dataclass(frozen=True)
class Layer:
    """A layer of a network.

    Attributes
    ----------
    name : str
        Of its population, or of the input.
    shape : tuple of int
        (neurons,), or (channels, height, width) of an image.
    text : str
        How the architecture says it.
    weights : tuple of int
        Shape of the trained weights onto it: (n_pre, n), or (c_out, c_in, height, width) of a
        kernel; empty for the input and for pools.
    window : int
        Height and width of the windows of a pool; else 0.
    """

    name: str
    shape: tuple[int, ...]
    text: str
    weights: tuple[int, ...] = ()
    window: int = 0

    @property
    def size(self) -> int:
        """Number of neurons."""
        return int(np.prod(self.shape))

    @property
    def fan_in(self) -> int:
        """Number of synapses onto each neuron whose weights are trained."""
        return self.weights[0] if len(self.weights) == 2 else int(np.prod(self.weights[1:]))

    def synapses(self, previous: Layer) -> NDArray[np.float64] | es.Convolution | Any:
        """Return the synapses from the previous layer; trained weights are 0."""
        if self.window:
            return es.pooling(_as_image(previous), self.window)
        if len(self.weights) == 4:
            return es.Convolution(np.zeros(self.weights), image=_as_image(previous)[1:])
        return np.zeros(self.weights)


def read_layers(architecture: str) -> list[Layer]:
    """Return the layers of a network, from its name in the notation of the publication.

    Parameters
    ----------
    architecture : str
        Layers separated by "-": first n (input sources) or HxW (an image of one channel), then
        nCk (convolution: n channels, kernel k x k, stride 1, no padding), Pw (pool: windows w x w)
        or n (all-to-all).  The last one is the output.

    Returns
    -------
    list of Layer
        With names "in", "conv1", "pool1", ..., "hidden" (or "hidden1", ...), "out".

    Raises
    ------
    ValueError
        If a layer cannot be read, does not fit on the one before, or the last one is no n.

    Examples
    --------
    >>> for layer in read_layers("28x28-6C5-P2-16C5-P2-1024-128-10"):
    ...     print(layer.name, layer.shape, layer.weights)
    in (1, 28, 28) ()
    conv1 (6, 24, 24) (6, 1, 5, 5)
    pool1 (6, 12, 12) ()
    conv2 (16, 8, 8) (16, 6, 5, 5)
    pool2 (16, 4, 4) ()
    hidden1 (1024,) (256, 1024)
    hidden2 (128,) (1024, 128)
    out (10,) (128, 10)
    """
    first, *rest = architecture.split("-")
    size = re.fullmatch(f"({NUMBER})(?:x({NUMBER}))?", first)
    if size is None or not rest:
        raise ValueError(
            "network must begin with n or HxW, and have further layers separated by '-', "
            f"got {architecture!r}"
        )
    shape = (1, int(size[1]), int(size[2])) if size[2] else (int(size[1]),)
    layers = [Layer("in", shape, first)]
    names = _names(rest)
    for name, text in zip(names, rest, strict=True):
        try:
            layers.append(_read_layer(name, text, layers[-1]))
        except ValueError as error:
            raise ValueError(f"layer {text!r} of network {architecture!r}: {error}") from error
    if layers[-1].name != "out":
        raise ValueError(f"network must end with a number of neurons, got {architecture!r}")
    return layers


def _names(texts: list[str]) -> list[str]:
    """Return the names of all layers after the input."""
    kinds = ["conv" if "C" in text else "pool" if "P" in text else "hidden" for text in texts]
    names = [f"{kind}{kinds[:k].count(kind) + 1}" for k, kind in enumerate(kinds)]
    if kinds[-1] == "hidden":
        names[-1] = "out"
    return ["hidden" if name == "hidden1" and "hidden2" not in names else name for name in names]


def _read_layer(name: str, text: str, previous: Layer) -> Layer:
    """Return the layer that ``text`` says, which follows another."""
    found = re.fullmatch(f"(?:({NUMBER})C|(P)|)({NUMBER})", text)
    if found is None:
        raise ValueError("must be n, nCk or Pw, with numbers >= 1, <= 99999")
    channels, pool, number = found[1], found[2], int(found[3])
    if channels is None and not pool:
        return Layer(name, (number,), text, (previous.size, number))
    image = _as_image(previous)
    if pool:
        return Layer(name, _pooled(image, number), text, window=number)
    if number > min(image[1:]):
        raise ValueError(f"a kernel must fit into the image, got {image[1]} x {image[2]} pixels")
    kernel = np.zeros((int(channels), image[0], number, number))
    return Layer(name, es.Convolution(kernel, image=image[1:]).output, text, kernel.shape)


def _pooled(image: tuple[int, int, int], window: int) -> tuple[int, int, int]:
    """Return the image after a pool whose windows cover it, as all of the publication do."""
    channels, height, width = image
    if height % window or width % window:
        raise ValueError(f"windows must divide the image, got {height} x {width} pixels")
    return channels, height // window, width // window


def _as_image(layer: Layer) -> tuple[int, int, int]:
    if len(layer.shape) != 3:
        raise ValueError(f"must follow an image, got one of {layer.size} neurons before it")
    channels, height, width = layer.shape
    return channels, height, width


@dataclass(frozen=True, eq=False)
class ReLPSPNetwork(FirstSpikeModel):
    """A feed-forward network of ReL-PSP neurons with threshold 1 that fire at most once.

    Attributes
    ----------
    architecture : str
        Its layers: see `read_layers`.
    t_stop : float
        End of each simulation.
    loss : FirstSpikeCrossEntropy
        What training lowers.
    engine : str
        Of `eventsim.simulate`.
    stopwatch : Stopwatch
        Counts the time spent in simulations and gradients.

    Examples
    --------
    >>> loss = FirstSpikeCrossEntropy("out", tau0=0.1, t_silent=5.0)
    >>> network = ReLPSPNetwork("4x4-2C3-6-3", 5.0, loss)
    >>> weights = network.initial(network.normals(4.0, 0.3), np.random.default_rng(0))
    >>> {name: weight.shape for name, weight in weights.items()}
    {'in->conv1': (2, 1, 3, 3), 'conv1->hidden': (8, 6), 'hidden->out': (6, 3)}
    >>> from scenarios.datasets.encoding import latency
    >>> spikes = latency(np.full((1, 4, 4), 255, np.uint8))
    >>> network.simulate(weights, spikes).first_spikes("out").shape
    (1, 3)
    """

    architecture: str
    t_stop: Positive
    loss: FirstSpikeCrossEntropy
    engine: str = "auto"
    stopwatch: Stopwatch = field(default_factory=Stopwatch)

    def __post_init__(self) -> None:
        """Check the architecture and the numbers."""
        super().__post_init__()
        read_layers(self.architecture)

    @cached_property
    def layers(self) -> list[Layer]:
        """All layers, from the input to the output."""
        return read_layers(self.architecture)

    @property
    def hidden(self) -> list[Layer]:
        """The layers of neurons between input and output; pools do not count."""
        return [layer for layer in self.layers[1:-1] if not layer.window]

    @cached_property
    def structure(self) -> es.Network:
        """The network without weights; training only replaces them."""
        network = es.Network()
        network.add_input("in", self.layers[0].size)
        for previous, layer in pairwise(self.layers):
            neuron = es.LIF.earliest() if layer.window else REL_PSP
            network.add_population(layer.name, layer.size, neuron)
            network.connect(previous.name, layer.name, weights=layer.synapses(previous))
        return network

    @cached_property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of each parameter."""
        return {
            f"{previous.name}->{layer.name}": layer.weights
            for previous, layer in pairwise(self.layers)
            if layer.weights
        }

    @property
    def dense(self) -> Mapping[str, int]:
        """The sizes of the dense hidden layers."""
        return {layer.name: layer.size for layer in self.hidden if len(layer.weights) == 2}

    @property
    def run_with(self) -> Mapping[str, str]:
        """Further arguments of `eventsim.simulate`."""
        return {"engine": self.engine}

    def normals(self, total: float, spread: float) -> list[Normal]:
        """Return mean and standard deviation of the initial weights, for each parameter.

        Parameters
        ----------
        total : float
            Mean of the sum of the weights onto a neuron: with n synapses, their mean is total / n.
        spread : float
            Standard deviation of that sum: theirs is spread / sqrt(n).
        """
        return [
            (total / layer.fan_in, spread / np.sqrt(layer.fan_in))
            for layer in self.layers
            if layer.weights
        ]

    def without(self, dropout: float) -> ReLPSPNetwork:
        """Return the same network with this part of each dense hidden layer left out."""
        texts = [layer.text for layer in self.layers]
        for k, layer in enumerate(self.layers[1:-1], start=1):
            if len(layer.weights) == 2:
                texts[k] = str(layer.size - int(dropout * layer.size))
        return replace(self, architecture="-".join(texts))

    def evaluate(self, weights: Params, batch: es.SpikeBatch, labels: Classes) -> Metrics:
        """Return `Activity.metrics` of a batch of any size."""
        return self.examine(weights, batch, labels).metrics(self.loss)

    def examine(self, weights: Params, batch: es.SpikeBatch, labels: Classes) -> Activity:
        """Return what the network does with a batch of any size."""
        times = np.empty((len(labels), self.layers[-1].size))
        edges = np.linspace(0.0, self.t_stop, N_BINS + 1)
        names = [layer.name for layer in self.hidden]
        histograms = {name: np.zeros(N_BINS, dtype=np.int64) for name in names}
        decided = dict.fromkeys(names, 0)
        for portion in in_chunks(len(labels), PORTION):
            result = self.simulate(weights, batch[portion])
            times[portion] = result.first_spikes("out")
            decision = times[portion].min(axis=1)
            for name in names:
                spikes = result.spikes[name]
                histograms[name] += np.histogram(spikes.times, edges)[0]
                decided[name] += int(np.sum(spikes.times <= decision[spikes.samples]))
        sizes = {layer.name: layer.size for layer in self.hidden}
        return Activity(times, labels, edges, histograms, decided, sizes)


@dataclass(frozen=True, eq=False)
class Activity:
    """What a network does with a set of samples.

    Attributes
    ----------
    times : (n_samples, n_classes) ndarray
        Spikes of the output neurons; inf = silent.
    labels : (n_samples,) ndarray of int
        True classes.
    edges : (n_bins + 1,) ndarray
        Bins of the histograms.
    histograms : dict of str -> (n_bins,) ndarray of int
        Spikes of each hidden layer, over all samples.
    until_decision : dict of str -> int
        Those of them that are not later than the sample's earliest output spike (if no output
        neuron fires: all).
    sizes : dict of str -> int
        Neurons of each hidden layer.
    """

    times: Times
    labels: Classes
    edges: Times
    histograms: Mapping[str, NDArray[np.int64]]
    until_decision: Mapping[str, int]
    sizes: Mapping[str, int]

    @property
    def decisions(self) -> Times:
        """The earliest output spike of each sample that has one."""
        earliest = self.times.min(axis=1)
        return earliest[np.isfinite(earliest)]

    @property
    def fired(self) -> float:
        """Mean fraction of hidden neurons that fire for a sample."""
        return sum(int(h.sum()) for h in self.histograms.values()) / self._opportunities

    @property
    def fired_at_decision(self) -> float:
        """Mean fraction of hidden neurons that have fired when the first output neuron does."""
        return sum(self.until_decision.values()) / self._opportunities

    @property
    def _opportunities(self) -> int:
        return max(len(self.labels) * sum(self.sizes.values()), 1)

    def metrics(self, loss: FirstSpikeCrossEntropy) -> Metrics:
        """Return loss, accuracy and activity, under names that begin with "test".

        ``test_cross_entropy`` is the loss without smoothing, ``test_silent_labels`` the fraction of
        samples whose label neuron is silent; ``test_spikes`` and ``test_decided`` are `fired` and
        `fired_at_decision`.
        """
        label_times = self.times[np.arange(len(self.labels)), self.labels]
        return {
            "test_loss": loss.of_times(self.times, self.labels)[0],
            "test_cross_entropy": cross_entropy(loss, self.times, self.labels),
            "test_accuracy": accuracy(self.times, self.labels),
            "test_silent_labels": float(np.mean(np.isinf(label_times))),
            "test_spikes": self.fired,
            "test_decided": self.fired_at_decision,
        }
