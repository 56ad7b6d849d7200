"""What networks with more or less leak do: activity, synaptic operations and spectra.

After Chowdhury, Lee & Roy (2020), §4.3-4.5.  Frequencies are in cycles per step, from 0 to the
Nyquist frequency 1/2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from scenarios.leak.network import Layer, Passed
from scenarios.leak.noise import Noise
from scenarios.leak.task import LeakTask

__all__ = [
    "Measures",
    "accuracy",
    "critical_frequency",
    "measure",
    "power_spectrum",
    "synaptic_operations",
]

POWER_SHARE = 0.7  # of the total, up to the critical frequency (§4.3)
AMPLITUDES = np.linspace(0.0, 1.2, 121)  # bins of the histogram of input spectra

Floats = NDArray[np.float64]


@dataclass
class Measures:
    """What a network does with test images; means are over images.

    Attributes
    ----------
    activity : dict of str -> float
        Spikes per neuron and step of each firing layer.
    spikes : float
        The same over all neurons that can fire.
    operations : dict of str -> float
        Synaptic operations per image, by the layer that receives the spikes.
    weighted_sums : dict of str -> float
        Euclidean norm of the weighted sums of input spikes (ENWSI), mean over steps, by layer.
    input_spectrum : list of float
        Mean amplitude |X(f)| / sqrt(n_steps) of the spectra X of the input spike trains, at f = k /
        n_steps between 0 and the Nyquist frequency.
    input_amplitudes : list of float
        Histogram of the same for each image (mean over its pixels) in bins `AMPLITUDES`, shares.
    target_spectrum : list of float
        Mean power spectrum of the weighted sums of the target output, at f = k / n_steps, k >= 1.
    critical_frequencies : list of float
        Of the weighted sums of the target output, one for each image.
    critical_frequencies_of_potential : list of float
        The same of its membrane potential.
    """

    activity: dict[str, float] = field(default_factory=dict)
    spikes: float = 0.0
    operations: dict[str, float] = field(default_factory=dict)
    weighted_sums: dict[str, float] = field(default_factory=dict)
    input_spectrum: list[float] = field(default_factory=list)
    input_amplitudes: list[float] = field(default_factory=list)
    target_spectrum: list[float] = field(default_factory=list)
    critical_frequencies: list[float] = field(default_factory=list)
    critical_frequencies_of_potential: list[float] = field(default_factory=list)


def accuracy(task: LeakTask, noise: Noise | None = None) -> float:
    """Return the part of the test images that are recognised.

    Networks of one scenario see the same spikes, and the same noise.
    """
    task.model.eval()
    right = 0
    with torch.no_grad():
        for images, labels, rng in task.portions():
            answers = task.answers(task.model(task.spikes(images, rng, noise)))
            right += int((answers.argmax(1).cpu().numpy() == labels).sum())
    return right / len(task.test)


def measure(task: LeakTask, noise: Noise | None = None) -> Measures:
    """Measure what a network does with the test images.

    Spikes and operations are counted for inputs that are spikes; with noise of scenario 2, whose
    inputs are not, a synaptic operation of the first layer is one unit of absolute input.
    """
    task.model.eval()
    tally = _Tally(task.model.layers, task.steps)
    with torch.no_grad():
        for images, labels, rng in task.portions():
            spikes = task.spikes(images, rng, noise)
            tally.begin(spikes, labels)
            tally.end(task.model(spikes, watch=tally.watch))
    return tally.measures()


class _Tally:
    """Sums over portions of images."""

    def __init__(self, layers: Sequence[Layer], steps: int) -> None:
        self.layers, self.steps, self.n = layers, steps, 0
        self.counts: dict[str, Floats] = {}  # spikes of each neuron, all images together
        self.norms: dict[str, float] = {}
        self.input_spectra: list[Floats] = []
        self.target_spectra: list[Floats] = []
        self.critical: list[Floats] = []
        self.critical_of_potential: list[Floats] = []

    def begin(self, spikes: torch.Tensor, labels: NDArray[np.int64]) -> None:
        self.labels = torch.from_numpy(labels).to(spikes.device)
        self.n += len(labels)
        self._count("in", spikes.abs())
        trains = spikes.float().flatten(2)
        inside = slice(1, (self.steps + 1) // 2)
        amplitudes = torch.fft.rfft(trains, dim=0, norm="ortho").abs()[inside].mean(2)
        self.input_spectra.append(amplitudes.T.cpu().numpy().astype(np.float64))

    def watch(self, passed: Passed) -> None:
        name = passed.layer.name
        drive = passed.drive.float()
        norms = drive.flatten(2).norm(dim=2).mean(0).sum()
        self.norms[name] = self.norms.get(name, 0.0) + float(norms)
        if passed.spikes is not None:
            self._count(name, passed.spikes)
            return
        self.target_spectra.append(power_spectrum(self._target(drive)))
        self.critical.append(critical_frequency(self._target(drive)))

    def end(self, potentials: torch.Tensor) -> None:
        self.critical_of_potential.append(critical_frequency(self._target(potentials)))

    def measures(self) -> Measures:
        firing = [layer for layer in self.layers if layer.fires]
        sizes = {layer.name: float(np.prod(layer.after)) for layer in firing}
        spikes = {name: float(self.counts[name].sum()) for name in sizes}
        runs = self.steps * self.n
        per_image = {name: counts / self.n for name, counts in self.counts.items()}
        spectra = np.concatenate(self.input_spectra)
        shares = np.histogram(spectra, AMPLITUDES)[0] / spectra.size
        return Measures(
            activity={name: spikes[name] / sizes[name] / runs for name in sizes},
            spikes=sum(spikes.values()) / sum(sizes.values()) / runs,
            operations=synaptic_operations(self.layers, per_image),
            weighted_sums={name: norm / self.n for name, norm in self.norms.items()},
            input_spectrum=spectra.mean(0).tolist(),
            input_amplitudes=shares.tolist(),
            target_spectrum=np.concatenate(self.target_spectra).mean(0).tolist(),
            critical_frequencies=np.concatenate(self.critical).tolist(),
            critical_frequencies_of_potential=np.concatenate(self.critical_of_potential).tolist(),
        )

    def _count(self, name: str, spikes: torch.Tensor) -> None:
        counts = spikes.sum((0, 1), dtype=torch.float32).cpu().numpy().astype(np.float64)
        self.counts[name] = self.counts.get(name, np.zeros_like(counts)) + counts

    def _target(self, signals: torch.Tensor) -> Floats:
        """Return the signal of the output that stands for the image's class, (n_samples, T)."""
        images = torch.arange(len(self.labels), device=signals.device)
        chosen = signals[:, images, self.labels]
        return chosen.T.cpu().numpy().astype(np.float64)


def synaptic_operations(
    layers: Sequence[Layer], counts: Mapping[str, NDArray[np.floating]]
) -> dict[str, float]:
    """Count synaptic operations: each spike times the number of synapses that it reaches.

    Parameters
    ----------
    layers : sequence of Layer
        Of the network.
    counts : dict of str -> ndarray
        Spikes of each neuron, by the name of its layer; "in" is the input.

    Returns
    -------
    dict of str -> float
        By the layer that receives them.  A pool hands each of its spikes on to the synapses of its
        window; it is no layer of synapses itself.

    Examples
    --------
    >>> from scenarios.leak.network import read_layers
    >>> layers = read_layers("2P-5C3-10", (1, 4, 4))
    >>> synaptic_operations(layers, {"in": np.ones((1, 4, 4)), "conv1": np.ones((5, 2, 2))})
    {'conv1': 320.0, 'out': 200.0}
    """
    operations = {}
    arriving = np.asarray(counts["in"], np.float64)
    for layer in layers:
        if layer.kind == "pool":
            channels, height, width = layer.after
            windows = arriving.reshape(channels, height, layer.size, width, layer.size)
            arriving = windows.sum((2, 4))
            continue
        operations[layer.name] = float((arriving * layer.fan_out()).sum())
        if layer.fires:
            arriving = np.asarray(counts[layer.name], np.float64)
    return operations


def power_spectrum(signals: Floats) -> Floats:
    """Return single-sided power spectra, without the mean.

    Parameters
    ----------
    signals : (n, n_steps) ndarray
        A signal a row.

    Returns
    -------
    (n, n_steps // 2) ndarray
        Power at frequencies k / n_steps for k = 1, 2, ...: its sum is the variance of the signal.

    Examples
    --------
    >>> wave = np.cos(2 * np.pi * 0.25 * np.arange(8))
    >>> power_spectrum(3.0 + wave[None]).round(12)
    array([[0. , 0.5, 0. , 0. ]])
    """
    n_steps = signals.shape[-1]
    power = np.abs(np.fft.rfft(signals, axis=-1)[..., 1:] / n_steps) ** 2
    sides = np.full(power.shape[-1], 2.0)
    if n_steps % 2 == 0:
        sides[-1] = 1.0  # the Nyquist frequency has one side
    return np.asarray(sides * power)


def critical_frequency(signals: Floats) -> Floats:
    """Return the frequency up to which 70 % of the power of each signal lies (§4.3).

    Parameters
    ----------
    signals : (n, n_steps) ndarray
        A signal a row; its mean does not count.

    Returns
    -------
    (n,) ndarray
        In cycles per step, at most 1/2.  NaN for a constant signal.  White noise has 0.35, which
        is 70 % of the Nyquist frequency.

    Examples
    --------
    >>> wave = np.cos(2 * np.pi * 0.25 * np.arange(8))
    >>> critical_frequency(np.stack([wave, np.ones(8)]))
    array([0.25,  nan])
    """
    signals = np.asarray(signals, np.float64)
    power = power_spectrum(signals)
    total = power.sum(axis=-1)
    reached = np.cumsum(power, axis=-1) >= POWER_SHARE * total[:, None]
    first = (reached.argmax(axis=-1) + 1) / signals.shape[-1]
    constant = total <= 1e-12 * np.mean(signals**2, axis=-1)
    return np.where(constant, np.nan, first)
