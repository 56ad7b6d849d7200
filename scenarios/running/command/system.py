"""What `eventsim info` prints: versions, CUDA devices, and a self-test of the engines."""

from __future__ import annotations

import platform
from importlib import metadata

import numpy as np

import eventsim as es
import gradients
from eventsim import cuda
from eventsim._support.threads import thread_count

__all__ = ["engines_here", "largest_difference", "report"]

LIBRARIES = ("numpy", "numba", "scipy", "networkx", "numba-cuda")
TOLERANCE = 1e-10
EXPERIMENTAL = (
    "engines 'cuda' and 'cuda-float32' are experimental: tested in numba's simulator, "
    "not yet run on a device in this form"
)


def report() -> list[str]:
    """Return the lines to print.

    Examples
    --------
    >>> report()[0]
    'eventsim-snn ..., Python 3...'
    """
    lines = [
        f"eventsim-snn {metadata.version('eventsim-snn')}, Python {platform.python_version()}",
        ", ".join(f"{name} {_version(name)}" for name in LIBRARIES),
        f"processors: {thread_count(None)} threads",
        *(f"CUDA device: {line}" for line in cuda.devices()),
    ]
    obstacle = cuda.device_obstacle()
    if obstacle:
        lines.append(f"CUDA: {obstacle}")
    lines.append(f"CUDA: {EXPERIMENTAL}")
    for engine in engines_here():
        error = largest_difference(engine)
        verdict = "passed" if error <= TOLERANCE else f"FAILED, at most {TOLERANCE:.0e} is right"
        lines.append(f"self-test, {engine} against scheduler: differs by {error:.1e}: {verdict}")
    return lines


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def engines_here() -> list[str]:
    """Return the engines of feed-forward networks that this machine can run, but the scheduler.

    Examples
    --------
    >>> engines_here()[0]
    'layered'
    """
    return ["layered"] if cuda.device_obstacle() else ["layered", "cuda"]


def largest_difference(engine: str) -> float:
    """Return by how much spike times, potentials and gradients differ from the scheduler's.

    ``inf`` if there are not the same spikes.

    Examples
    --------
    >>> largest_difference("layered") < 1e-12
    True
    """
    ours, theirs = _run(engine), _run("scheduler")
    if any(a.shape != b.shape for a, b in zip(ours, theirs, strict=True)):
        return np.inf
    return max(float(np.max(np.abs(a - b))) for a, b in zip(ours, theirs, strict=True))


def _run(engine: str) -> list[np.ndarray]:
    """Return spikes, potentials and gradients of a small network: 8-6-2, two samples."""
    rng = np.random.default_rng(0)
    network = es.Network()
    network.add_input("in", 8)
    network.add_population("hidden", 6, es.LIF(tau_mem=0.4, tau_syn=0.8))
    network.add_population("out", 2, es.LIF(tau_mem=0.4, tau_syn=0.8, threshold=np.inf))
    network.connect("in", "hidden", weights=rng.normal(1.0, 1.0, (8, 6)), delays=0.1)
    network.connect("hidden", "out", weights=rng.normal(0.0, 1.0, (6, 2)))
    stimulus = {"in": es.SpikeBatch.from_latencies(rng.random((2, 8)))}
    result = es.simulate(network, stimulus, 2.0, engine=engine)
    potentials = result.potential("out")
    gradient = gradients.timing_backprop(result, potentials={"out": np.sign(potentials)})
    spikes = result.spikes["hidden"]
    of_network = [*gradient.weights.values(), *gradient.tau_mem.values(), *gradient.bias.values()]
    return [spikes.times, spikes.indices, potentials, *of_network]
