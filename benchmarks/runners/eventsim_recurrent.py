"""Run a network of `recurrent_network` in eventsim; print one JSON line per line read.

Called by ``recurrent.py``: ``python eventsim_recurrent.py NETWORK.npz SPIKES.npz THREADS``.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
from scipy import sparse

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]
import recurrent_network as rn  # noqa: E402

import eventsim as es  # noqa: E402

KEY = ("neurons", "neurons")


def build(network: rn.Recurrent) -> tuple[es.Network, dict[str, es.Spikes]]:
    """Network and stimulus; weights of tau_mem V' = -V + I divided by tau_mem."""
    return build_from(arrays(network))


def arrays(network: rn.Recurrent) -> dict:
    """What a caller has before there is a network: matrices, input times and indices."""
    rows = np.arange(network.n + 1) * rn.OUT_DEGREE
    values = np.repeat(network.weights / rn.PARAMETERS["tau_mem"], rn.OUT_DEGREE)
    delays: object = network.delays
    if network.delays.ndim:
        delays = _matrix(network.delays.ravel(), network.targets, rows)
    external = rn.PARAMETERS["external"] / rn.PARAMETERS["tau_mem"]
    return {
        "recurrent": _matrix(values, network.targets, rows),
        "delays": delays,
        "external": sparse.identity(network.n, format="csr") * external,
        "spikes": (network.external_times, network.external_indices),
    }


def build_from(prepared: dict) -> tuple[es.Network, dict[str, es.Spikes]]:
    """Network and stimulus of `arrays`."""
    p, n = rn.PARAMETERS, prepared["external"].shape[0]
    net = es.Network()
    net.add_input("external", n)
    neuron = es.LIF(p["tau_mem"], p["tau_syn"], p["threshold"], refractory=p["refractory"])
    net.add_population("neurons", n, neuron)
    net.connect("external", "neurons", weights=prepared["external"])
    net.connect(*KEY, weights=prepared["recurrent"], delays=prepared["delays"])
    return net, {"external": es.Spikes(*prepared["spikes"])}


def _matrix(values: np.ndarray, targets: np.ndarray, rows: np.ndarray) -> sparse.csr_array:
    n = len(targets)
    return sparse.csr_array((values, targets.ravel().astype(np.int64), rows), shape=(n, n))


def run_once(
    network: rn.Recurrent, net: es.Network, stimulus: dict, path: str | None, threads: int
) -> dict:
    """Simulate and count; time the simulation alone."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = es.simulate(net, stimulus, network.t_stop, threads=threads)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    spikes = result.spikes["neurons"]
    if path:
        np.savez(path, times=spikes.times, indices=spikes.indices)
    events = rn.synaptic_events(network, spikes.times, spikes.indices)
    assert result.events.synaptic == events, result.events
    return {
        "wall_s": wall,
        "cpu_s": cpu,
        "spikes": len(spikes.times),
        "events": events,
        "searches": result.events.searches,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """Run once per line read; the first run's spikes are kept."""
    path, spikes_path, threads = sys.argv[1:]
    network = rn.load(path)
    net, stimulus = build(network)
    for k, _ in enumerate(sys.stdin):
        row = run_once(network, net, stimulus, spikes_path if k == 0 else None, int(threads))
        print("JSON" + json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
