"""Run the microcircuit in NEST: ``python in_nest.py NETWORK.npz SPIKES.npz``.

Runs in an environment that has nest-simulator, so it imports nothing of this project.  The synapses
are in files ``more-*.npz`` beside the network.
"""

from __future__ import annotations

import runpy
import sys
import time
from pathlib import Path

import numpy as np

__all__: list[str] = []

MEMORY = Path(__file__).parents[1] / "running" / "memory.py"  # it imports nothing either


def main() -> None:
    """Build the network, run it, and leave its spikes."""
    import nest  # late: others import this file where NEST may be missing

    path, found = map(Path, sys.argv[1:])
    with np.load(path) as file:
        given = dict(file)
    step, threads = float(given["step"]), int(given["threads"])
    nest.ResetKernel()
    nest.set(resolution=step, local_num_threads=threads, rng_seed=int(given["seed"]) + 1)
    sizes = given["sizes"]
    parameters = dict(zip(given["names"].tolist(), given["values"].tolist(), strict=True))
    neurons = nest.Create("iaf_psc_exp", int(sizes.sum()), parameters)
    neurons.V_m = given["potential"]
    neurons.I_e = np.repeat(given["bias"], sizes)
    ends = np.cumsum(sizes).tolist()
    synapse = {"weight": float(given["weight"]), "delay": float(given["delay"])}
    for begin, end, rate in zip([0, *ends], ends, given["rate"].tolist(), strict=False):
        if rate > 0.0:
            source = nest.Create("poisson_generator", params={"rate": rate})
            nest.Connect(source, neurons[begin:end], syn_spec=synapse)
    models = [f"from_{k}" for k in range(len(sizes))]
    for model in models:  # a model takes 1.3e8 synapses: those of the whole circuit need several
        nest.CopyModel("static_synapse", model)
    for more in sorted(path.parent.glob("more-*.npz")):
        with np.load(more) as file:
            one = dict(file)
        if one["pre"].size:
            model = models[np.searchsorted(ends, one["pre"][0], side="right")]
            delay = np.maximum(np.rint(one["delay"] / step), 1.0) * step
            values = {"synapse_model": model, "weight": one["weight"], "delay": delay}
            nest.Connect(one["pre"] + 1, one["post"] + 1, "one_to_one", values)
    recorder = nest.Create("spike_recorder")
    nest.Connect(neurons, recorder)
    nest.Prepare()
    started = time.process_time()
    nest.Run(float(given["time"]))
    seconds = time.process_time() - started
    nest.Cleanup()
    events = recorder.events
    memory = runpy.run_path(str(MEMORY))["peak_memory"]()
    indices = events["senders"] - 1
    np.savez(found, times=events["times"], indices=indices, seconds=seconds, memory=memory)


if __name__ == "__main__":
    main()
