"""What single precision changes: ``python benchmarks/single_precision.py``.

Small random networks (40-12-5, four pairs of time constants in turn, six samples each) by the
engine "cuda" in float32 and float64, on a GPU or, without one, in numba's simulator, where kernels
run as plain Python with NumPy's numbers: slow, and not the rounding of a device to the last bit.
Shown are neurons that fire another number of times, networks whose spikes come in another order,
by how much spike times move in the others, and the relative error of the gradient.
"""

from __future__ import annotations

import argparse
import os
import warnings
from pathlib import Path

if not Path("/dev/nvidiactl").exists():
    os.environ.setdefault("NUMBA_ENABLE_CUDASIM", "1")

import common
import numpy as np

import eventsim as es
import gradients

TIME_CONSTANTS = ((0.4, 0.8), (1.0, 1.0), (0.8, 0.4), (np.inf, np.inf))  # tau_mem, tau_syn
SCALES = (1.5, 1.5, 1.5, 0.6)  # of the weights, so that neurons fire about twice
SIZES, SAMPLES = (40, 12, 5), 6


def network(seed: int, rng: np.random.Generator) -> es.Network:
    """Draw a network."""
    n_in, n_hidden, n_out = SIZES
    taus, scale = TIME_CONSTANTS[seed % 4], SCALES[seed % 4]
    net = es.Network()
    net.add_input("in", n_in)
    net.add_population("hidden", n_hidden, es.LIF(*taus))
    net.add_population("out", n_out, es.LIF(*taus, threshold=np.inf))
    net.connect("in", "hidden", weights=scale * rng.normal(0.15, 0.6, (n_in, n_hidden)))
    net.connect("hidden", "out", weights=rng.normal(0.0, 1.0, (n_hidden, n_out)))
    return net


def compare(seed: int) -> dict[str, np.ndarray]:
    """Run a network in both precisions."""
    rng = np.random.default_rng(seed)
    net = network(seed, rng)
    batch = es.SpikeBatch.from_latencies(rng.random((SAMPLES, SIZES[0])))
    single, double = (
        es.simulate(net, {"in": batch}, 1.0, engine=engine) for engine in ("cuda-float32", "cuda")
    )
    slope = rng.normal(size=(SAMPLES, SIZES[2]))
    ours, theirs = (
        gradients.timing_backprop(run, potentials={"out": slope}, wrt=("weights",)).weights[
            "in", "hidden"
        ]
        for run in (single, double)
    )
    counts = [run.spike_counts("hidden") for run in (single, double)]
    alike = np.array_equal(*counts) and np.array_equal(single.record.neuron, double.record.neuron)
    moved = np.abs(single.record.time - double.record.time) if alike else np.empty(0)
    error = np.abs(ours - theirs).max() / np.abs(theirs).max()
    return {
        "neurons": np.ones(counts[0].size),
        "spikes": np.ones(double.record.time.size),
        "other": (counts[0] != counts[1]).reshape(-1),
        "order": np.array([not alike]),
        "moved": moved,
        "gradient": np.array([error]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=int, default=48)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=RuntimeWarning)  # of kernels that run as Python
    found = [compare(seed) for seed in range(options.networks)]
    joined = {name: np.concatenate([one[name] for one in found]) for name in found[0]}
    rows = [
        ["neurons in samples", joined["neurons"].size],
        ["spikes", joined["spikes"].size],
        ["neurons with another number of spikes", int(joined["other"].sum())],
        ["networks with spikes in another order", int(joined["order"].sum())],
        *[
            [f"{name}, {title}", float(function(joined[name]))]
            for name in ("moved", "gradient")
            for title, function in (("median", np.median), ("largest", np.max))
        ],
    ]
    common.show("float32 against float64", ["quantity", "found"], rows)


if __name__ == "__main__":
    main()
