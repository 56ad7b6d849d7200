"""Run a network of NEST's neurons: ``python nest_run.py NETWORK.npz SPIKES.npz``.

Runs in an environment that has nest-simulator, so it imports nothing of this project.  Parameters
and units are NEST's.
"""

import json
import sys
from types import ModuleType

import numpy as np


def main() -> None:
    import nest  # late: pytest looks for doctests in this file where NEST may be missing

    case = dict(np.load(sys.argv[1]))
    nest.ResetKernel()
    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.set(resolution=float(case["step"]), local_num_threads=1)
    neurons = nest.Create(str(case["model"]), case["V_m"].size, json.loads(str(case["params"])))
    neurons.V_m = case["V_m"]
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
    """A generator of off-grid spikes for each input; they lead to the neurons by turns."""
    times, indices, weights = case["input_times"], case["input_indices"], case["input_weights"]
    generators = nest.Create("spike_generator", weights.size, {"precise_times": True})
    for i, generator in enumerate(generators):
        generator.set(spike_times=np.sort(times[indices == i]))
    ids = np.array(neurons.tolist())
    delays = np.full(weights.size, float(case["input_delay"]))
    nest.Connect(
        np.array(generators.tolist()),
        ids[np.arange(weights.size) % ids.size],
        "one_to_one",
        {"weight": weights, "delay": delays},
    )


if __name__ == "__main__":
    main()
