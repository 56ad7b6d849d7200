"""Spike trains of an integrate-and-fire neuron beside its input: by white noise, by shot noise.

White noise goes through the Euler-Maruyama scheme, shot noise (Poisson trains of excitatory and
inhibitory spikes, each of which moves the potential by the same small jump) through the event
engine, exactly.  As jumps shrink, and come the more often, shot noise becomes white.  Both yield
chunks of segments (signal, spikes) for `estimate.estimate`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

import eventsim as es
from eventsim._support.compile import allocating_loop
from eventsim._support.validate import as_count, check_choice
from scenarios.coherence.theory import Neuron
from scenarios.running.options import Checked, Count, Positive

__all__ = ["Scheme", "Segments", "shot_noise", "shot_noise_network", "white_noise"]

Floats = NDArray[np.float64]
Chunk = tuple[Floats, Floats]
Scheme = Literal["bridge", "plain"]
SYNAPSE = 1e-6  # its time constant, over the mean interval between arrivals: a jump
EVENTS_AT_ONCE = 4e6  # of a chunk of shot noise
BINS_AT_ONCE = 2e6  # of a chunk of white noise
WARM_UP = 0.1  # of a segment: simulated before it, and left out


@dataclass(frozen=True)
class Segments(Checked):
    """What is simulated.

    Attributes
    ----------
    number : int
        How many segments.
    bins : int
        Bins of one.
    width : float
        Duration of a bin.
    """

    number: Count
    bins: Count
    width: Positive

    @property
    def warm_up(self) -> int:
        """Bins before a segment that are simulated and left out."""
        return math.ceil(WARM_UP * self.bins)

    def chunks(self, most: float) -> list[int]:
        """Return sizes of chunks: at most so many segments, and at least one, in each."""
        size = max(1, min(self.number, int(most)))
        full, rest = divmod(self.number, size)
        return [size] * full + [rest] * (rest > 0)


def white_noise(
    neuron: Neuron, segments: Segments, seed: int, *, steps: int = 1, scheme: Scheme = "bridge"
) -> Iterator[Chunk]:
    """Simulate a neuron under white noise by the Euler-Maruyama scheme.

    Parameters
    ----------
    neuron : Neuron
        What is simulated, as one long run that is cut into segments.
    segments : Segments
        How long.
    seed : int
        Of the noise.
    steps : int
        Time steps in a bin.
    scheme : str
        "plain": a spike where a step ends above threshold; the potential is then set to 0.  Paths
        that surpass it within a step and return are missed, which acts like a threshold that is
        higher by 0.58 sqrt(2 D_I dt) (Broadie, Glasserman & Kou 1997): an error of order sqrt(dt).
        "bridge": where a step ends below, there was a spike in it with the probability that a
        Brownian bridge between its ends surpasses the threshold, exp(-(1-a)(1-b) / (D_I dt)); and a
        spike lowers the potential by 1, as the way since the spike is not undone by the reset.
        What is left is of order dt, and nothing without leak.

    Yields
    ------
    (n, bins) ndarray, (n, bins) ndarray
        White noise (without its mean) and number of spikes, integrated over each bin.
    """
    check_choice(scheme, ("bridge", "plain"), "scheme")
    as_count(steps, "steps")
    rng = np.random.default_rng(seed)
    dt = segments.width / steps
    constants = (dt / neuron.tau, dt * neuron.current, neuron.noise * dt, scheme == "bridge")
    _, _, potential = _walk(rng, 0.0, segments.warm_up, steps, *constants)
    for n in segments.chunks(BINS_AT_ONCE / segments.bins):
        noise, spikes, potential = _walk(rng, potential, n * segments.bins, steps, *constants)
        yield noise.reshape(n, -1), spikes.reshape(n, -1)


def shot_noise_network(neuron: Neuron, jump: float) -> es.Network:
    """Return a neuron with the inputs "excitatory" and "inhibitory", of one source each.

    A spike moves its potential by ± ``jump``: the synaptic time constant is a millionth of the mean
    interval between arrivals, and a weight is the jump over it.  The mean current is its bias.
    """
    tau_syn = SYNAPSE / (2.0 * _input_rate(neuron, jump))
    network = es.Network()
    network.add_input("excitatory", 1)
    network.add_input("inhibitory", 1)
    network.add_population("neuron", 1, es.LIF(neuron.tau, tau_syn, bias=neuron.current))
    network.connect("excitatory", "neuron", weights=[[jump / tau_syn]])
    network.connect("inhibitory", "neuron", weights=[[-jump / tau_syn]])
    return network


def shot_noise(
    neuron: Neuron, segments: Segments, seed: int, *, jump: float, threads: int | None = None
) -> Iterator[Chunk]:
    """Simulate a neuron under shot noise by the event engine: exact spike times, no time step.

    Parameters
    ----------
    neuron : Neuron
        What is simulated; each segment is a run of its own.
    segments : Segments
        How long.
    seed : int
        Of the Poisson trains.
    jump : float
        By which a spike moves the potential, in (0, 1).  Each of the two trains has the rate
        D_I / jump², so that the intensity of the noise is that of the neuron.
    threads : int, optional
        As for `eventsim.simulate`.

    Yields
    ------
    (n, bins) ndarray, (n, bins) ndarray
        Sum of the jumps, and number of spikes, in each bin.
    """
    network, rng = shot_noise_network(neuron, jump), np.random.default_rng(seed)
    bins, width = segments.bins, segments.width
    start, stop = segments.warm_up * width, (segments.warm_up + bins) * width
    per_train = _input_rate(neuron, jump) * stop
    for n in segments.chunks(EVENTS_AT_ONCE / (2.0 * per_train)):
        trains = {name: _poisson(rng, n, per_train, stop) for name in ("excitatory", "inhibitory")}
        result = es.simulate(network, dict(trains), stop, threads=threads)
        assert isinstance(result, es.BatchResult)
        fired = result.spikes["neuron"]
        up, down, spikes = (
            _binned(times, owners, (n, bins), start, width)
            for times, owners in (
                *((train.times, _owners(train)) for train in trains.values()),
                (fired.times, fired.samples),
            )
        )
        yield jump * (up - down), spikes


def _input_rate(neuron: Neuron, jump: float) -> float:
    if not 0.0 < jump < 1.0:
        raise ValueError(f"jump must lie in (0, 1), got {jump!r}")
    return neuron.noise / jump**2


def _poisson(rng: np.random.Generator, n: int, mean: float, stop: float) -> es.SpikeBatch:
    """Return n Poisson trains of one source with so many spikes in [0, stop) on average."""
    counts = rng.poisson(mean, n)
    owners = np.repeat(np.arange(n), counts)
    times = stop * rng.random(owners.size)
    times = times[np.lexsort((times, owners))]
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return es.SpikeBatch.from_sorted(times, np.zeros(times.size, np.int64), offsets)


def _owners(batch: es.SpikeBatch) -> NDArray[np.int64]:
    """Return the sample of each spike."""
    return np.repeat(np.arange(len(batch)), np.diff(batch.offsets))


def _binned(
    times: Floats, owners: NDArray[np.int64], shape: tuple[int, int], start: float, width: float
) -> Floats:
    """Count spikes in the bins of each segment; those outside of them are left out."""
    place = np.floor((times - start) / width).astype(np.int64)
    inside = (place >= 0) & (place < shape[1])
    flat = owners[inside] * shape[1] + place[inside]
    counts = np.bincount(flat, minlength=shape[0] * shape[1])
    return counts.reshape(shape).astype(np.float64)


@allocating_loop
def _walk(
    rng: np.random.Generator,
    potential: float,
    bins: int,
    steps: int,
    leak: float,
    drift: float,
    variance: float,
    bridge: bool,
) -> tuple[Floats, Floats, float]:
    """Return noise and spikes of each bin, and the last potential.

    ``leak``, ``drift`` and ``variance`` (half of that of the noise) are those of one step.
    """
    noise, spikes = np.zeros(bins), np.zeros(bins)
    deviation = np.sqrt(2.0 * variance)
    for k in range(bins):
        for _ in range(steps):
            kick = deviation * rng.standard_normal()
            after = potential + (drift - leak * potential) + kick
            fires = after > 1.0
            if bridge and not fires:
                exponent = (1.0 - potential) * (1.0 - after) / variance
                fires = exponent < 40.0 and rng.random() < np.exp(-exponent)
            if fires:
                spikes[k] += 1.0
                after = after - 1.0 if bridge else 0.0
            noise[k] += kick
            potential = after
    return noise, spikes, potential
