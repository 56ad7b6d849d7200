"""Run a network in Brian2, as compiled C++: ``python in_brian.py NETWORK.npz SPIKES.npz``.

Runs in an environment that has brian2, so it imports nothing of this project.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

__all__: list[str] = []

EQUATIONS = """
dv/dt = (rest - v + exc + inh) / tau_mem : 1 (unless refractory)
dexc/dt = -exc / tau_exc : 1
dinh/dt = -inh / tau_inh : 1
"""
CLOCK = {  # in C++, around the loop
    "before_network_run": "const std::clock_t begun = std::clock();",
    "after_network_run": """
        std::ofstream("seconds.txt") << double(std::clock() - begun) / CLOCKS_PER_SEC;""",
}
TIMES = ("tau_mem", "tau_exc", "tau_inh")
POTENTIALS = ("rest", "threshold", "reset")


def main() -> None:
    """Build the network, run it, and leave its spikes."""
    import brian2 as b2  # late: others import this file where Brian2 may be missing

    given, found = sys.argv[1:]
    with np.load(given) as file:
        network = dict(file)
    with tempfile.TemporaryDirectory() as folder:
        b2.set_device("cpp_standalone", directory=folder)
        b2.prefs.codegen.cpp.headers += ["<ctime>", "<fstream>"]
        for slot, code in CLOCK.items():
            b2.get_device().insert_code(slot, code)
        b2.defaultclock.dt = network["step"] * b2.ms
        neurons = b2.NeuronGroup(
            network["potential"].size, EQUATIONS, method="exact",
            threshold="v > threshold", reset="v = reset",
            refractory=network["refractory"] * b2.ms,
            namespace={
                **{name: network[name] * b2.ms for name in TIMES},
                **{name: float(network[name]) for name in POTENTIALS},
            },
        )  # fmt: skip
        neurons.v = network["potential"]
        synapses = [
            connected(network, neurons, receptor, sign)
            for receptor, sign in (("exc", 1.0), ("inh", -1.0))
        ]
        spikes = b2.SpikeMonitor(neurons)
        b2.Network(neurons, synapses, spikes).run(float(network["time"]) * b2.ms)
        seconds = float(Path(folder, "seconds.txt").read_text())
        np.savez(found, times=spikes.t / b2.ms, indices=spikes.i[:], seconds=seconds)


def connected(
    network: dict[str, np.ndarray], neurons: object, receptor: str, sign: float
) -> object:
    """Return the synapses whose weights have a sign."""
    import brian2 as b2

    weights = network["weight"][network["pre"]]
    some = sign * weights > 0.0
    synapses = b2.Synapses(
        neurons, neurons, "w : 1 (constant)", on_pre=f"{receptor}_post += w",
        delay=network["delay"] * b2.ms,
    )  # fmt: skip
    synapses.connect(i=network["pre"][some], j=network["post"][some])
    synapses.w = weights[some]
    return synapses


if __name__ == "__main__":
    main()
