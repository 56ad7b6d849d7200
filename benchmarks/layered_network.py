"""The feed-forward network and minibatch of workload W1, drawn once, shared by every simulator.

784-400-10, minibatch of 100: half of the inputs of a sample fire once, uniformly in [0, 1]; the ten
readouts never fire, and the loss is the cross-entropy of the softmax of their potentials at 1.
Weights are those of V' = -V / tau_mem + I with threshold 1. This module needs numpy only: the peers
import it from environments without eventsim.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

SIZES = (784, 400, 10)
BATCH = 100
T_STOP = 1.0
MEAN, DEVIATION = 0.03, 0.3  # of the weights, before `SCALES`
TIME_CONSTANTS = {"W1": (0.4, 0.8), "W1b": (0.8, 0.4)}  # tau_mem, tau_syn
# Of the hidden weights, so that hidden neurons fire 1.5 times on average.
SCALES = {"W1": 0.733, "W1b": 0.835}


@dataclass(frozen=True)
class Layered:
    """Weights, input and labels.

    Attributes
    ----------
    tau_mem, tau_syn : float
        Time constants of all neurons.
    hidden, readout : (784, 400), (400, 10) float64
        Weights.
    latencies : (n_samples, 784) float64
        Time of each input's spike; inf = it does not fire.
    labels : (n_samples,) int64
        Class of each sample.
    """

    tau_mem: float
    tau_syn: float
    hidden: np.ndarray
    readout: np.ndarray
    latencies: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, rows: slice) -> Layered:
        """Return the network with some of its samples."""
        return replace(self, latencies=self.latencies[rows], labels=self.labels[rows])


def draw(workload: str, n_samples: int = BATCH, seed: int = 1) -> Layered:
    """Draw "W1" or "W1b"; weights and first samples are the same for every ``n_samples``."""
    weights, times, chosen, labels = (np.random.default_rng([seed, k]) for k in range(4))
    n_in, n_hidden, n_out = SIZES
    hidden = SCALES[workload] * weights.normal(MEAN, DEVIATION, (n_in, n_hidden))
    readout = weights.normal(MEAN, DEVIATION, (n_hidden, n_out))
    latencies = times.uniform(0.0, T_STOP, (n_samples, n_in))
    ranks = np.argsort(chosen.random((n_samples, n_in)), axis=1)
    np.put_along_axis(latencies, ranks[:, n_in // 2 :], np.inf, axis=1)
    tau_mem, tau_syn = TIME_CONSTANTS[workload]
    return Layered(
        tau_mem, tau_syn, hidden, readout, latencies, labels.integers(0, n_out, n_samples)
    )


def cross_entropy(potentials: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean cross-entropy of the softmax of the readouts, and its derivative by their potentials."""
    rows = np.arange(len(labels))
    shifted = potentials - potentials.max(axis=1, keepdims=True)
    log_normalizer = np.log(np.exp(shifted).sum(axis=1))
    slope = np.exp(shifted - log_normalizer[:, None])
    slope[rows, labels] -= 1.0
    return float((log_normalizer - shifted[rows, labels]).mean()), slope / len(labels)


def save(network: Layered, path: Path) -> None:
    """Write the network as ``.npz``."""
    np.savez(path, **vars(network))


def load(path: Path | str) -> Layered:
    """Read a network that `save` wrote."""
    with np.load(path) as file:
        fields = {name: file[name] for name in file.files}
    return Layered(**(fields | {name: float(fields[name]) for name in ("tau_mem", "tau_syn")}))
