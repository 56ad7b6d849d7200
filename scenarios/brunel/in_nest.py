"""Run a network in NEST: ``python in_nest.py MODEL NETWORK.npz SPIKES.npz``.

Runs in an environment that has nest-simulator, so it imports nothing of this project.  Neurons have
a capacitance of 1 pF, so the currents of V' = (E_L - V) / tau_m + I, in mV / ms, are NEST's in pA.
Each neuron has its own external spikes, drawn by NEST.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

__all__: list[str] = []

PIECE = 1_000_000  # synapses made at a time


def main() -> None:
    """Build the network, run it, and leave its spikes."""
    import nest  # late: others import this file where NEST may be missing

    model, given, found = sys.argv[1:]
    with np.load(given) as file:
        network = dict(file)
    nest.set_verbosity("M_ERROR")
    nest.ResetKernel()
    seed = int(network["seed"]) + 1
    nest.set(resolution=float(network["step"]), local_num_threads=1, rng_seed=seed)
    neurons = nest.Create(model, network["weight"].size, parameters(network, model))
    drive = nest.Create("poisson_generator", params={"rate": float(network["rate"])})
    recorder = nest.Create("spike_recorder")
    delay = float(network["delay"])
    nest.Connect(drive, neurons, syn_spec={"weight": float(network["external"]), "delay": delay})
    nest.Connect(neurons, recorder)
    ids = np.array(neurons.tolist())
    for start in range(0, network["pre"].size, PIECE):
        pre, post = (network[name][start : start + PIECE] for name in ("pre", "post"))
        synapses = {"weight": network["weight"][pre], "delay": np.full(pre.size, delay)}
        nest.Connect(ids[pre], ids[post], "one_to_one", synapses)
    nest.Prepare()
    started = time.process_time()
    nest.Run(float(network["time"]))
    seconds = time.process_time() - started
    nest.Cleanup()
    events = recorder.events
    np.savez(found, times=events["times"], indices=events["senders"] - ids[0], seconds=seconds)


def parameters(network: dict[str, Any], model: str) -> dict[str, float]:
    """Return the parameters of the neurons, as NEST names them."""
    names = {
        "tau_m": "tau_mem", "V_th": "threshold", "V_reset": "reset", "t_ref": "refractory",
        "I_e": "bias",
    }  # fmt: skip
    if model == "iaf_psc_exp":
        names |= {"tau_syn_ex": "tau_syn", "tau_syn_in": "tau_syn"}
    given = {theirs: float(network[ours]) for theirs, ours in names.items()}
    return given | {"C_m": 1.0, "E_L": 0.0, "V_m": 0.0}


if __name__ == "__main__":
    main()
