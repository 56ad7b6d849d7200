"""Run a network in NEST: ``python in_nest.py MODEL NETWORK.npz SPIKES.npz``.

Runs in an environment that has nest-simulator, so it imports nothing of this project.  NEST's
models obey C_m V' = C_m (E_L - V) / tau_m + I: with C_m = tau_m, the weights of
tau_m V' = E_L - V + I, in mV, are NEST's weights in pA.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

__all__: list[str] = []


def main() -> None:
    """Build the network, run it, and leave its spikes."""
    import nest  # late: others import this file where NEST may be missing

    model, given, found = sys.argv[1:]
    with np.load(given) as file:
        network = dict(file)
    nest.ResetKernel()
    nest.set(resolution=float(network["step"]), local_num_threads=1)
    neurons = nest.Create(model, network["potential"].size, parameters(network))
    neurons.V_m = network["potential"]
    recorder = nest.Create("spike_recorder")
    nest.Connect(neurons, recorder)
    ids = np.array(neurons.tolist())
    synapses = {
        "weight": network["weight"][network["pre"]],
        "delay": np.full(network["pre"].size, network["delay"]),
    }
    nest.Connect(ids[network["pre"]], ids[network["post"]], "one_to_one", synapses)
    nest.Prepare()
    started = time.process_time()
    nest.Run(float(network["time"]))
    seconds = time.process_time() - started
    nest.Cleanup()
    events = recorder.events
    np.savez(found, times=events["times"], indices=events["senders"] - ids[0], seconds=seconds)


def parameters(network: dict[str, Any]) -> dict[str, float]:
    """Return the parameters of the neurons, as NEST names them."""
    names = {
        "C_m": "tau_mem", "tau_m": "tau_mem", "tau_syn_ex": "tau_exc", "tau_syn_in": "tau_inh",
        "E_L": "rest", "V_th": "threshold", "V_reset": "reset", "t_ref": "refractory",
    }  # fmt: skip
    return {theirs: float(network[ours]) for theirs, ours in names.items()}


if __name__ == "__main__":
    main()
