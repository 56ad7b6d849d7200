"""The recurrent network of workloads R1 and R2, drawn once and shared by every simulator.

All simulators read the same ``.npz`` file, so synapses, weights, delays and input spikes are equal
to the last bit. Times are in ms, weights in mV of the form tau_mem V' = -V + I (see `PARAMETERS`).
This module needs numpy only: the peers import it from environments without eventsim.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

PARAMETERS = {
    "tau_mem": 20.0,  # ms
    "tau_syn": 5.0,  # ms
    "threshold": 20.0,  # mV
    "refractory": 0.1,  # ms
    "excitatory": 1.5,  # mV
    "inhibitory": -7.5,  # mV
    "external": 9.5,  # mV
    "external_rate": 0.4,  # spikes per ms and neuron
    "external_bin": 0.1,  # ms, at most one external spike per neuron and bin
    "delay": 1.5,  # ms
}
OUT_DEGREE = 100
DELAY_KINDS = ("constant", "zero", "uniform")


@dataclass(frozen=True)
class Recurrent:
    """Synapses and input of one network.

    Attributes
    ----------
    targets : (n, 100) int32
        Distinct targets of each neuron, ascending, never the neuron itself.
    delays : (n, 100) float64 or scalar
        ms; one number when all synapses share it.
    external_times, external_indices : (n_external,)
        Arrival times (ms, ascending) of the external spikes, and the neuron each acts on.
    t_stop : float
        Biological time, ms.
    """

    targets: np.ndarray
    delays: np.ndarray
    external_times: np.ndarray
    external_indices: np.ndarray
    t_stop: float

    @property
    def n(self) -> int:
        """Number of neurons."""
        return len(self.targets)

    @property
    def weights(self) -> np.ndarray:
        """(n,) mV: the weight of every synapse of a neuron; four in five are excitatory."""
        excitatory = np.arange(self.n) < 0.8 * self.n
        return np.where(excitatory, PARAMETERS["excitatory"], PARAMETERS["inhibitory"])


def draw_targets(n: int, rng: np.random.Generator) -> np.ndarray:
    """(n, 100) int32 distinct targets per neuron, no self-synapse, ascending in each row."""
    rows = np.sort(rng.integers(0, n - 1, (n, OUT_DEGREE), dtype=np.int32), axis=1)
    while len(again := np.flatnonzero((np.diff(rows, axis=1) == 0).any(axis=1))):
        rows[again] = np.sort(rng.integers(0, n - 1, (len(again), OUT_DEGREE), np.int32), axis=1)
        if n < OUT_DEGREE**2:  # rejection would take long: draw the few clashing rows one by one
            for row in again:
                rows[row] = np.sort(rng.choice(n - 1, OUT_DEGREE, replace=False))
    return rows + (rows >= np.arange(n, dtype=np.int32)[:, None])


def draw_external(n: int, t_stop: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Arrival times and neurons of the external spikes: Bernoulli per bin, uniform inside it.

    Arrivals start after one synaptic delay, because grid simulators need one to deliver them.
    """
    width, delay = PARAMETERS["external_bin"], PARAMETERS["delay"]
    n_bins = round((t_stop - delay) / width)
    probability = PARAMETERS["external_rate"] * width
    mean = n * n_bins * probability
    gaps = rng.geometric(probability, int(mean + 10 * np.sqrt(mean) + 100))
    flat = np.cumsum(gaps) - 1
    flat = flat[flat < n * n_bins]
    times = (flat % n_bins + rng.uniform(0.05, 0.95, len(flat))) * width + delay
    order = np.argsort(times, kind="stable")
    return times[order], (flat // n_bins)[order].astype(np.int32)


def draw_delays(kind: str, n: int, rng: np.random.Generator) -> np.ndarray:
    """Delays in ms: one number, or uniform in [0.5, 5] per synapse."""
    if kind == "uniform":
        return rng.uniform(0.5, 5.0, (n, OUT_DEGREE))
    return np.float64(PARAMETERS["delay"] if kind == "constant" else 0.0)


def draw(n: int, delays: str = "constant", t_stop: float = 1000.0, seed: int = 1) -> Recurrent:
    """Draw a network; the same arguments always give the same one."""
    if delays not in DELAY_KINDS:
        raise ValueError(f"delays must be one of {DELAY_KINDS}, got {delays!r}")
    rng = np.random.default_rng([seed, n])
    targets = draw_targets(n, rng)
    times, indices = draw_external(n, t_stop, rng)
    return Recurrent(targets, draw_delays(delays, n, rng), times, indices, t_stop)


def save(network: Recurrent, path: Path) -> None:
    """Write the network as ``.npz``."""
    np.savez(path, **vars(network))


def load(path: Path | str) -> Recurrent:
    """Read a network that `save` wrote."""
    with np.load(path) as file:
        fields = {name: file[name] for name in file.files}
    return Recurrent(**(fields | {"t_stop": float(fields["t_stop"])}))


def synaptic_events(network: Recurrent, spike_times: np.ndarray, spike_indices: np.ndarray) -> int:
    """Recurrent arrivals up to t_stop plus external arrivals: the count every rate divides."""
    if network.delays.ndim == 0:
        arrived = spike_times + network.delays <= network.t_stop
        recurrent = OUT_DEGREE * int(arrived.sum())
    else:
        recurrent = sum(
            int((t + network.delays[i] <= network.t_stop).sum())
            for t, i in zip(spike_times, spike_indices, strict=True)
        )
    return recurrent + len(network.external_times)
