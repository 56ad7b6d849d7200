"""Run a network of NEST's exact neurons: ``python nest_run.py NETWORK.npz SPIKES.npz``.

Runs in an environment that has nest-simulator, so it imports nothing of this project.  NEST's
``iaf_psc_exp_ps_lossless`` obeys C_m V' = -C_m V / tau_m + I with I in pA: with C_m = 1 pF it is
this project's V' = -V / tau_mem + I, weights in mV / ms.
"""

import sys
from types import ModuleType

import numpy as np


def main() -> None:
    import nest  # late: pytest looks for doctests in this file where NEST may be missing

    case = dict(np.load(sys.argv[1]))
    nest.ResetKernel()
    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.set(resolution=0.1, local_num_threads=1)
    names = ("tau_m", "tau_syn_ex", "tau_syn_in", "V_th", "t_ref")
    parameters = {name: float(case[name]) for name in names}
    rest = {"C_m": 1.0, "E_L": 0.0, "V_m": 0.0, "V_reset": 0.0, "I_e": 0.0}
    neurons = nest.Create("iaf_psc_exp_ps_lossless", int(case["n"]), parameters | rest)
    connect_inputs(nest, case, neurons)
    ids = np.array(neurons.tolist())
    synapses = {"weight": case["weights"], "delay": case["delays"]}
    nest.Connect(ids[case["pre"]], ids[case["post"]], "one_to_one", synapses)
    recorder = nest.Create("spike_recorder")
    nest.Connect(neurons, recorder)
    nest.Simulate(float(case["t_stop"]))
    events = recorder.events
    np.savez(sys.argv[2], times=events["times"], indices=events["senders"] - ids[0])


def connect_inputs(nest: ModuleType, case: dict, neurons: object) -> None:
    """One generator of off-grid spikes per neuron."""
    times, indices = case["input_times"], case["input_indices"]
    n = int(case["n"])
    trains = [np.sort(times[indices == i]) for i in range(n)]
    generators = nest.Create("spike_generator", n, {"precise_times": True})
    for generator, train in zip(generators, trains, strict=True):
        generator.set(spike_times=train)
    synapse = {"weight": float(case["input_weight"]), "delay": float(case["input_delay"])}
    nest.Connect(generators, neurons, "one_to_one", synapse)


if __name__ == "__main__":
    main()
