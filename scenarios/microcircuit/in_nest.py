"""Run the microcircuit in NEST: ``python in_nest.py FOLDER DURATION STEP THREADS SEED``.

Runs in an environment that has nest-simulator, so it imports nothing of this project.  The folder
has the neurons and the synapses, and gets the spikes.
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

import numpy as np

__all__ = ["peak_memory"]


def main() -> None:
    """Build the network, run it, and leave its spikes."""
    import nest  # late: others import this file where NEST may be missing

    folder, (duration, step) = Path(sys.argv[1]), map(float, sys.argv[2:4])
    threads, seed = map(int, sys.argv[4:])
    nest.ResetKernel()
    nest.set(resolution=step, local_num_threads=threads, rng_seed=seed)
    with np.load(folder / "neurons.npz") as file:
        given = dict(file)
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
    for path in sorted(folder.glob("synapses-*.npz")):
        with np.load(path) as file:
            one = dict(file)
        delay = np.maximum(np.rint(one["delay"] / step), 1.0) * step
        values = {"weight": one["weight"], "delay": delay}
        nest.Connect(one["pre"] + 1, one["post"] + 1, "one_to_one", values)
    recorder = nest.Create("spike_recorder")
    nest.Connect(neurons, recorder)
    nest.Prepare()
    started = time.process_time()
    nest.Run(duration)
    seconds = time.process_time() - started
    nest.Cleanup()
    events = recorder.events
    np.savez(
        folder / "spikes.npz",
        times=events["times"],
        indices=events["senders"] - 1,
        seconds=seconds,
        memory=peak_memory(),
    )


def peak_memory() -> int:
    """Return the most memory that this process has had, in bytes.

    Linux counts towards ``ru_maxrss`` what the process had that began this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return 1024 * int(lines["VmHWM"].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # of macOS: bytes


if __name__ == "__main__":
    main()
