"""Run a network of `recurrent_network` in Brian2's C++ standalone mode, once per line read.

Called by ``recurrent.py`` with the interpreter of an environment that has brian2:
``python brian_recurrent.py NETWORK.npz SPIKES.npz``. The grid is dt = 0.1 ms with exact
integration between grid points; input and output spikes sit on the grid. Only the run of the
network is timed: not compilation, loading, or the writing of results.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
import recurrent_network as rn

CPU_CLOCK = r"""
{{ struct timespec now; clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
   struct timespec wall; clock_gettime(CLOCK_MONOTONIC, &wall);
   FILE *out = fopen("clock_{name}.txt", "w");
   fprintf(out, "%.9f %.9f", wall.tv_sec + 1e-9 * wall.tv_nsec, now.tv_sec + 1e-9 * now.tv_nsec);
   fclose(out); }}
"""


def build(network: rn.Recurrent, folder: Path):
    """Generate and compile the C++ project."""
    import brian2 as b2

    b2.set_device("cpp_standalone", build_on_run=False, directory=str(folder))
    b2.prefs.devices.cpp_standalone.openmp_threads = 0
    b2.prefs.devices.cpp_standalone.extra_make_args_unix = []
    b2.prefs.codegen.cpp.headers += ["<time.h>", "<stdio.h>"]
    b2.defaultclock.dt = 0.1 * b2.ms
    p = rn.PARAMETERS
    neurons = b2.NeuronGroup(
        network.n,
        """dv/dt = (-v + i_syn) / tau_mem : 1 (unless refractory)
           di_syn/dt = -i_syn / tau_syn : 1""",
        threshold="v > threshold",
        reset="v = 0",
        refractory=p["refractory"] * b2.ms,
        method="exact",
        namespace={
            "tau_mem": p["tau_mem"] * b2.ms,
            "tau_syn": p["tau_syn"] * b2.ms,
            "threshold": p["threshold"],
        },
    )
    delay = p["delay"] * b2.ms
    bins = np.floor((network.external_times - p["delay"]) / p["external_bin"] + 1e-9)
    source = b2.SpikeGeneratorGroup(
        network.n, network.external_indices, bins * p["external_bin"] * b2.ms
    )
    external = b2.Synapses(source, neurons, on_pre=f"i_syn_post += {p['external']}", delay=delay)
    external.connect(j="i")
    scalar_delay = network.delays.ndim == 0
    recurrent = b2.Synapses(
        neurons,
        neurons,
        "w : 1",
        on_pre="i_syn_post += w",
        delay=network.delays * b2.ms if scalar_delay else None,
    )
    recurrent.connect(i=np.repeat(np.arange(network.n), rn.OUT_DEGREE), j=network.targets.ravel())
    recurrent.w = np.repeat(network.weights, rn.OUT_DEGREE)
    if not scalar_delay:
        recurrent.delay = network.delays.ravel() * b2.ms
    monitor = b2.SpikeMonitor(neurons)
    net = b2.Network(neurons, source, external, recurrent, monitor)
    device = b2.get_device()
    device.insert_code("before_network_run", CPU_CLOCK.format(name="before"))
    device.insert_code("after_network_run", CPU_CLOCK.format(name="after"))
    net.run(network.t_stop * b2.ms)
    device.build(directory=str(folder), compile=True, run=False, with_output=False)
    return monitor


def clock(folder: Path, name: str) -> np.ndarray:
    """(wall, CPU) seconds that the binary noted."""
    return np.loadtxt(folder / f"clock_{name}.txt")


def run_once(network: rn.Recurrent, folder: Path, monitor, build_s: float) -> dict:
    """Run the binary; read its clocks and its spikes."""
    import brian2 as b2

    device = b2.get_device()
    device.run(str(folder), with_output=False, run_args=[])
    wall, cpu = clock(folder, "after") - clock(folder, "before")
    times, indices = np.asarray(monitor.t / b2.ms), np.asarray(monitor.i)
    return {
        "wall_s": wall,
        "cpu_s": cpu,
        "build_s": build_s,
        "spikes": len(times),
        "events": rn.synaptic_events(network, times, indices),
        "times": times,
        "indices": indices,
    }


def main() -> None:
    """Compile, then run once per line read; the first run's spikes are kept."""
    path, spikes_path = sys.argv[1:]
    network = rn.load(path)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        monitor = build(network, Path(folder))
        build_s = time.perf_counter() - started
        for k, _ in enumerate(sys.stdin):
            row = run_once(network, Path(folder), monitor, build_s)
            times, indices = row.pop("times"), row.pop("indices")
            if k == 0:
                np.savez(spikes_path, times=times, indices=indices)
            print("JSON" + json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
