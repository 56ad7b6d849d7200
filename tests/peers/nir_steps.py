"""Spike times of tools with a clock beside the exact ones of the same NIR graph, step by step.

``python -m tests.peers.nir_steps PICTURE.png`` draws them; ``make peers`` installs the tools.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

import eventsim as es
from eventsim.nir import load
from tests.peers.nir_run import STEP

RUNNER = Path(__file__).with_name("nir_run.py")
TOOLS = {"snntorch": "snnTorch", "norse": "Norse"}
T_STOP, N = 4.0, (12, 20, 10)
TAU_MEM, TAU_SYN = 1.0, 0.5


def graph(step: float) -> Any:
    """Two layers of CubaLIF neurons in a unit of time in which ``step`` is `STEP`.

    A spike is 1 for a step, so weights that are the same currents shrink with it.
    """
    import nir

    rng = np.random.default_rng(7)
    nodes: dict[str, Any] = {"input": nir.Input(np.array([N[0]]))}
    for k, (n, m) in enumerate(pairwise(N)):
        one = np.ones(m) * STEP / step
        weight = rng.uniform(-0.3, 0.9, (m, n)) * 8.0 / n
        nodes[f"{2 * k}"] = nir.Linear(weight * step)
        nodes[f"{2 * k + 1}"] = nir.CubaLIF(
            tau_syn=TAU_SYN * one, tau_mem=TAU_MEM * one, r=TAU_MEM * one / STEP, v_leak=0.0 * one,
            v_threshold=np.ones(m), v_reset=np.zeros(m), w_in=TAU_SYN * one / STEP,
        )  # fmt: skip
    nodes["output"] = nir.Output(np.array([N[-1]]))
    return nir.NIRGraph(nodes, list(pairwise(nodes)))


def stimulus() -> es.Spikes:
    rng = np.random.default_rng(8)
    return es.Spikes(np.sort(rng.uniform(0.0, 3.0, 60)), rng.integers(0, N[0], 60))


def exact(step: float) -> es.Spikes:
    """Spikes of the last layer, in the unit of time in which ``tau_mem`` is `TAU_MEM`."""
    unit = STEP / step
    network, _ = load(graph(step), spike_area=STEP, time_unit=unit)
    return es.simulate(network, {"input": stimulus()}, T_STOP).spikes["3"]


def in_tool(python: str, tool: str, step: float) -> np.ndarray:
    """Whether each neuron of the last layer fires in each step, (n_steps, n)."""
    import nir

    given = stimulus()
    binned = np.zeros((round(T_STOP / step), N[0]), dtype=np.float32)
    np.add.at(binned, (np.floor(given.times / step).astype(int), given.indices), 1.0)
    with tempfile.TemporaryDirectory() as folder:
        files = [str(Path(folder) / name) for name in ("graph.nir", "input.npy", "spikes.npy")]
        nir.write(files[0], graph(step))
        np.save(files[1], binned)
        command = [python, str(RUNNER), files[0], tool, *files[1:]]
        subprocess.run(command, check=True, capture_output=True)
        return np.load(files[2])


def error(python: str, tool: str, step: float) -> float:
    """Mean distance of the first spikes of the neurons that fire in both."""
    fired, spikes = in_tool(python, tool, step), exact(step)
    ours = np.array([spikes.times[spikes.indices == i][:1].sum() for i in range(N[-1])])
    theirs = (fired.argmax(axis=0) + 1.0) * step
    both = fired.any(axis=0) & (ours > 0.0)
    assert both.sum() >= N[-1] // 2
    return float(np.abs(ours - theirs)[both].mean())


def main() -> None:
    from matplotlib import pyplot as plt

    python = os.environ["EVENTSIM_TORCH_PYTHON"]
    steps = np.array([1e-2, 3e-3, 1e-3, 3e-4, 1e-4])
    figure, axes = plt.subplots(figsize=(5.0, 3.6), layout="constrained")
    for (tool, name), size in zip(TOOLS.items(), (10, 5), strict=True):
        errors = [error(python, tool, step) for step in steps]
        slope = np.polyfit(np.log(steps), np.log(errors), 1)[0]
        label = f"{name}: slope {slope:.2f}"
        axes.loglog(steps, errors, "o-", label=label, markersize=size, markerfacecolor="none")
    axes.loglog(steps, steps, "k:", label="one step")
    axes.set_xlabel("step / membrane time constant")
    axes.set_ylabel("error of first spike times")
    axes.legend(frameon=False)
    figure.savefig(sys.argv[1], dpi=150)


if __name__ == "__main__":
    main()
