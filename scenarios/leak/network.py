"""Convolutional networks of clocked LIF neurons (Chowdhury, Lee & Roy 2020, §4.1, Algorithm 2).

Networks are named in the notation of the publication: 64C3-64C3-2P-...-1024FC-10, with
convolutions (channels C size of the kernel; stride 1, borders of zeros keep the size of the image),
average pools (size P), and all-to-all layers (neurons FC); the last number is that of the outputs,
which never fire.  Convolutions and FC layers end in LIF neurons, pools do not.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from llvmlite import binding
from numpy.typing import NDArray
from torch.nn import functional

from gradients.clocked import LIFNeuron, LIFReadout

__all__ = ["Layer", "Passed", "SpikingNetwork", "best_precision", "read_layers"]

NUMBER = r"[1-9]\d{0,4}"  # more neurons than that fit into no machine
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
FAST_BFLOAT16 = ("avx512bf16", "amx-bf16", "bf16")  # what processors call it that can multiply it


@dataclass(frozen=True)
class Layer:
    """A layer of a network.

    Attributes
    ----------
    name : str
        "conv1", "pool1", "fc1", ..., "out".
    kind : str
        "conv", "pool", "fc" or "out".
    text : str
        How the architecture says it.
    before, after : tuple of int
        Shapes of its input and of its output: (channels, height, width), or (neurons,).
    size : int
        Height and width of the kernel of a convolution, or of the windows of a pool; else 0.
    """

    name: str
    kind: str
    text: str
    before: tuple[int, ...]
    after: tuple[int, ...]
    size: int = 0

    @property
    def fires(self) -> bool:
        """Whether it ends in LIF neurons that can fire."""
        return self.kind in ("conv", "fc")

    @property
    def weights(self) -> tuple[int, ...]:
        """Shape of its weights, as PyTorch has it; empty for a pool."""
        if self.kind == "pool":
            return ()
        if self.kind == "conv":
            return (self.after[0], self.before[0], self.size, self.size)
        return (self.after[0], int(np.prod(self.before)))

    @property
    def fan_in(self) -> int:
        """Number of synapses onto a neuron (away from the borders)."""
        return int(np.prod(self.weights[1:]))

    def fan_out(self) -> NDArray[np.int64]:
        """Return the number of synapses of each of its inputs, of the shape of ``before``.

        An input at the border of an image lies under fewer places of the kernel.

        Examples
        --------
        >>> read_layers("5C3-10", (1, 3, 4))[0].fan_out()
        array([[[20, 30, 30, 20],
                [30, 45, 45, 30],
                [20, 30, 30, 20]]])
        """
        if self.kind != "conv":
            return np.full(self.before, self.after[0])
        _, height, width = self.before
        places = np.outer(_places(height, self.size), _places(width, self.size))
        return np.broadcast_to(self.after[0] * places, self.before)


def _places(length: int, kernel: int) -> NDArray[np.int64]:
    """Return for each pixel of a line how many places of the kernel it lies under."""
    reach = kernel // 2
    pixels = np.arange(length)
    return np.minimum(pixels + reach, length - 1) - np.maximum(pixels - reach, 0) + 1


def read_layers(architecture: str, image: tuple[int, int, int]) -> list[Layer]:
    """Return the layers of a network, from its name in the notation of the publication.

    Parameters
    ----------
    architecture : str
        Layers separated by "-": nCk (convolution, k odd), kP (average pool), nFC (all-to-all), and
        at the end the number of outputs.
    image : tuple of int
        Channels, height and width of the input.

    Returns
    -------
    list of Layer
        In order; the last one is "out".

    Raises
    ------
    ValueError
        If a layer cannot be read, or does not fit on the one before.

    Examples
    --------
    >>> for layer in read_layers("16C3-2P-100FC-10", (3, 32, 32)):
    ...     print(layer.name, layer.after, layer.weights)
    conv1 (16, 32, 32) (16, 3, 3, 3)
    pool1 (16, 16, 16) ()
    fc1 (100,) (100, 4096)
    out (10,) (10, 100)
    """
    layers: list[Layer] = []
    texts = architecture.split("-")
    for text in texts:
        before = layers[-1].after if layers else image
        try:
            kind, number, size = _read(text, last=len(layers) == len(texts) - 1)
            name = f"{kind}{1 + sum(layer.kind == kind for layer in layers)}"
            after = _shape_after(kind, number, size, before)
        except ValueError as error:
            raise ValueError(f"layer {text!r} of network {architecture!r}: {error}") from None
        layers.append(Layer("out" if kind == "out" else name, kind, text, before, after, size))
    return layers


def _read(text: str, last: bool) -> tuple[str, int, int]:
    """Return kind, number of channels or neurons, and size."""
    patterns = {"conv": f"({NUMBER})C({NUMBER})", "pool": f"()({NUMBER})P", "fc": f"({NUMBER})FC()"}
    for kind, pattern in patterns.items():
        found = re.fullmatch(pattern, text)
        if found and not last:
            return kind, int(found[1] or 0), int(found[2] or 0)
    if last and re.fullmatch(NUMBER, text):
        return "out", int(text), 0
    raise ValueError("must be nCk, kP or nFC, and the last one n, with numbers >= 1, <= 99999")


def _shape_after(kind: str, number: int, size: int, before: tuple[int, ...]) -> tuple[int, ...]:
    if kind in ("fc", "out"):
        return (number,)
    if len(before) != 3:
        raise ValueError(f"must follow an image, got one of {before[0]} neurons before it")
    channels, height, width = before
    if kind == "conv":
        if size % 2 == 0:
            raise ValueError(f"a kernel must have an odd size, got {size}")
        return (number, height, width)
    if height % size or width % size:
        raise ValueError(f"windows must divide the image, got {height} x {width} pixels")
    return (channels, height // size, width // size)


@dataclass(frozen=True, eq=False)
class Passed:
    """What one layer of neurons did with a batch, step by step.

    Attributes
    ----------
    layer : Layer
        Which one.
    inputs : (n_steps, n_samples, ...) tensor
        Spikes that reached its synapses, signed or averaged by a pool.
    drive : (n_steps, n_samples, ...) tensor
        Weighted sums of them.
    spikes : (n_steps, n_samples, ...) tensor or None
        What its neurons fired (the output does not).
    """

    layer: Layer
    inputs: torch.Tensor
    drive: torch.Tensor
    spikes: torch.Tensor | None


Watch = Callable[[Passed], None]


class SpikingNetwork(torch.nn.Module):
    """A network of clocked LIF neurons that all have the same leak.

    Parameters
    ----------
    layers : list of Layer
        As `read_layers` returns them.
    tau_m : float
        Membrane time constant, in steps; inf: no leak.
    gain : float
        Initial weights are normal with variance ``gain``² 2 / fan-in: with 1 that of He et al.
        (2015), which Lee et al. (2020) take.  Larger ones let deep layers fire from the start;
        weights onto the outputs, which do not fire, have a gain of 1.
    dropout : float
        Part of the neurons of each layer that training leaves out, the same at all steps.
    seed : int
        Of the initial weights.  Networks of one seed differ in nothing but the leak.

    Notes
    -----
    All steps of a layer go through one call: neurons of a layer need those of the layer before, not
    those of their own (there is no recurrence but in the membrane).  So a convolution sees a batch
    of n_steps · n_samples images, laid out with the channels last.

    Examples
    --------
    >>> layers = read_layers("4C3-2P-10", (3, 8, 8))
    >>> network = SpikingNetwork(layers, tau_m=30.0)
    >>> network(torch.ones(5, 2, 3, 8, 8)).shape
    torch.Size([5, 2, 10])
    """

    def __init__(
        self,
        layers: list[Layer],
        tau_m: float,
        *,
        gain: float = 1.0,
        dropout: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not gain > 0.0:
            raise ValueError(f"gain must be > 0, got {gain!r}")
        if not 0.0 <= dropout < 1.0:
            raise ValueError(f"dropout must lie in [0, 1), got {dropout!r}")
        self.layers, self.dropout = layers, dropout
        self.neuron, self.readout = LIFNeuron(tau_m), LIFReadout(tau_m)
        generator = torch.Generator().manual_seed(seed)
        self.weights = torch.nn.ParameterDict({
            layer.name: torch.nn.Parameter(_initial(layer, gain, generator))
            for layer in layers if layer.weights
        })  # fmt: skip

    def forward(self, spikes: torch.Tensor, watch: Watch | None = None) -> torch.Tensor:
        """Run from rest.

        Parameters
        ----------
        spikes : (n_steps, n_samples, channels, height, width) tensor
            Input; its type is that of all arithmetic but sums over time and the output.
        watch : callable, optional
            Shown what each layer with synapses did.

        Returns
        -------
        (n_steps, n_samples, n_outputs) tensor of float32
            Membrane potentials of the outputs.
        """
        steps = spikes.shape[:2]
        for layer in self.layers[:-1]:
            if layer.kind == "pool":
                spikes = functional.avg_pool2d(spikes.flatten(0, 1), layer.size).unflatten(0, steps)
                continue
            drive = self._drive(layer, spikes)
            fired = self.neuron(drive)
            if watch is not None:
                watch(Passed(layer, spikes, drive, fired))
            spikes = self._some(fired)
        output = self.layers[-1]
        drive = self._drive(output, spikes.float())
        if watch is not None:
            watch(Passed(output, spikes, drive, None))
        return self.readout(drive)

    def _drive(self, layer: Layer, spikes: torch.Tensor) -> torch.Tensor:
        """Return the weighted sums of the inputs of a layer, at all steps."""
        weights = self.weights[layer.name].to(spikes.dtype)
        if layer.kind == "conv":
            images = spikes.flatten(0, 1)
            weights = weights.to(memory_format=torch.channels_last)
            drive = functional.conv2d(images, weights, padding=layer.size // 2)
            return drive.unflatten(0, spikes.shape[:2])
        if spikes.ndim == 5:  # as it lies in memory: the channels last
            spikes = spikes.permute(0, 1, 3, 4, 2).flatten(2)
        return functional.linear(spikes, weights)

    def _some(self, fired: torch.Tensor) -> torch.Tensor:
        """Leave neurons out while training, the same ones at all steps."""
        if not (self.training and self.dropout):
            return fired
        kept = functional.dropout(torch.ones_like(fired[0]), self.dropout)
        return fired * kept


def best_precision(device: torch.device) -> str:
    """Return "bfloat16" where it is multiplied in hardware, else "float32"."""
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(False) else "float32"
    features: Any = binding.get_host_cpu_features()
    return "bfloat16" if any(features.get(name) for name in FAST_BFLOAT16) else "float32"


def _initial(layer: Layer, gain: float, generator: torch.Generator) -> torch.Tensor:
    deviation = (2.0 / layer.fan_in) ** 0.5 * (gain if layer.fires else 1.0)
    return deviation * torch.randn(layer.weights, generator=generator)
