"""Run a network of `recurrent_network` in NEST; print one JSON line per line read.

Called by ``recurrent.py`` with the interpreter of an environment that has nest-simulator:
``python nest_recurrent.py NETWORK.npz MODEL SPIKES.npz``.

Units: NEST integrates C_m V' = -C_m V / tau_m + I with I in pA. With C_m = tau_m (pF), the mV
weights of tau_m V' = -V + I are NEST's weights in pA, unchanged.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
import recurrent_network as rn

RESOLUTION = 0.1  # ms


def build(network: rn.Recurrent, model: str):
    """Create neurons, external generators and synapses; return the spike recorder."""
    import nest

    p = rn.PARAMETERS
    nest.ResetKernel()
    nest.set_verbosity("M_ERROR")
    nest.SetKernelStatus({"resolution": RESOLUTION, "local_num_threads": 1})
    neurons = nest.Create(
        model,
        network.n,
        {
            "C_m": p["tau_mem"],
            "tau_m": p["tau_mem"],
            "tau_syn_ex": p["tau_syn"],
            "tau_syn_in": p["tau_syn"],
            "t_ref": p["refractory"],
            "V_th": p["threshold"],
            "V_reset": 0.0,
            "E_L": 0.0,
            "V_m": 0.0,
            "I_e": 0.0,
        },
    )
    ids = np.array(neurons.tolist())
    connect_external(network, neurons, nest)
    delays = np.broadcast_to(network.delays, network.targets.shape)
    nest.Connect(
        np.repeat(ids, rn.OUT_DEGREE),
        ids[network.targets.ravel()],
        "one_to_one",
        {"weight": np.repeat(network.weights, rn.OUT_DEGREE), "delay": delays.ravel()},
    )
    recorder = nest.Create("spike_recorder")
    nest.Connect(neurons, recorder)
    return neurons, recorder


def connect_external(network: rn.Recurrent, neurons, nest) -> None:
    """One generator per neuron, with exact off-grid times (a grid model gets them rounded)."""
    delay = rn.PARAMETERS["delay"]
    by_neuron = np.argsort(network.external_indices, kind="stable")
    times = network.external_times[by_neuron] - delay
    bounds = np.searchsorted(network.external_indices[by_neuron], np.arange(1, network.n))
    precise = "_ps" in neurons[0].model
    options = {"precise_times": True} if precise else {"allow_offgrid_times": True}
    generators = nest.Create("spike_generator", network.n, options)
    nest.SetStatus(generators, [{"spike_times": t} for t in np.split(times, bounds)])
    weight = rn.PARAMETERS["external"]
    nest.Connect(
        generators,
        neurons,
        "one_to_one",
        {"synapse_model": "static_synapse", "weight": weight, "delay": delay},
    )


def run_once(network: rn.Recurrent, model: str, spikes_path: str | None) -> dict:
    """Build, simulate and count; time the simulation alone."""
    import nest

    started = time.perf_counter()
    neurons, recorder = build(network, model)
    nest.Prepare()
    build_s = time.perf_counter() - started
    wall, cpu = time.perf_counter(), time.process_time()
    nest.Run(network.t_stop)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    nest.Cleanup()
    events = recorder.events
    times, indices = events["times"], events["senders"] - neurons[0].global_id
    if spikes_path:
        np.savez(spikes_path, times=times, indices=indices)
    return {
        "wall_s": wall,
        "cpu_s": cpu,
        "build_s": build_s,
        "spikes": len(times),
        "events": rn.synaptic_events(network, times, indices),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """Run once per line read; the first run's spikes are kept."""
    path, model, spikes_path = sys.argv[1:]
    network = rn.load(path)
    for k, _ in enumerate(sys.stdin):
        row = run_once(network, model, spikes_path if k == 0 else None)
        print("JSON" + json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
