"""W1: a feed-forward step, exact run and exact gradient, against eventprop, snnTorch and Norse.

``python benchmarks/layered.py``: 784-400-10, minibatch of 100, 1.5 spikes per hidden neuron (see
``layered_network.py``), tau_mem 0.4 and tau_syn 0.8 (W1) and swapped (W1b). Timed are the forward
run and the step: forward run, loss, gradients of both weight matrices. Ours runs on one thread and
on two; the peers on one, with the same weights and input spikes: eventprop, which computes with
events too (and exactly where tau_mem = 2 tau_syn), and clocked ones (``--steps``). All run in
processes of their own, in turn, so that a busy machine slows all alike. The peers' interpreters are
given by ``--eventprop-python`` and ``--torch-python`` (or ``EVENTSIM_EVENTPROP_PYTHON``,
``EVENTSIM_TORCH_PYTHON``).

"cosine" is that of the angle between a peer's gradient of the hidden (readout) weights and the
exact one; that of the readout weights says how alike the forward runs are.
The second table is the cost per sample of minibatches of 1 to 10 000. The numbers of spikes and
synaptic events are asserted, the time never.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import common

common.one_thread()
import layered_network as ln  # noqa: E402
import numpy as np  # noqa: E402
from runners.eventsim_layered import Step  # noqa: E402

# kind of interpreter, and the method of its runner
PEERS = {
    "eventprop": ("eventprop", None),
    "snnTorch, surrogate": ("torch", "snntorch"),
    "Norse, surrogate": ("torch", "norse"),
    "Norse, adjoint": ("torch", "norse-adjoint"),
}
# What eventsim counts from seed 1: spikes and synaptic events of 100 samples, spikes of more.
EVENTS = {"W1": (60_096, 16_280_960), "W1b": (59_970, 16_279_700)}
SPIKES = {("W1", 1000): 602_496, ("W1", 10_000): 6_032_202}
# Exact peers on another machine, one thread, in seconds: shown where a peer did not run, and never
# part of a ratio.
ELSEWHERE = {
    "eventprop": ("eventprop (commit 3cf602e)", "W1", "0.73 - 0.87", "1.18 - 1.38"),
    "jaxsnn": ("jaxsnn 0.3.0 (float32)", "W1b", "0.57", "23.8"),
}
TWO_THREADS_TARGET = 1.8
BATCH_TARGET = 1.2


def starts(options: argparse.Namespace, network: Path) -> dict[str, Callable]:
    """A function per simulator that starts it."""
    folder = network.parent
    ours = ("eventsim_layered.py", network, folder / "eventsim.npz")
    result = {"eventsim": lambda: common.Runner(sys.executable, *ours)}
    for name in options.peers:
        result[name] = lambda name=name: _start_peer(options, network, name)
    return result


def _start_peer(options: argparse.Namespace, network: Path, name: str) -> common.Runner:
    kind, method = PEERS[name]
    python = getattr(options, f"{kind}_python")
    if not python:
        raise common.Skipped(f"no --{kind}-python given")
    settings = [] if method is None else [method, options.steps]
    path = network.parent / f"{name}.npz"
    return common.Runner(python, f"{kind}_layered.py", network, *settings, path)


def summary(rows: list[dict], folder: Path, name: str) -> dict:
    """Medians of a simulator's parts, its counts, and the cosines of its gradients and ours."""
    first = rows[0]
    parts = {part: common.medians([row["parts"][part] for row in rows]) for part in first["parts"]}
    cosines = {which: cosine(folder, which, name) for which in ("hidden", "readout")}
    return {**first, "parts": parts, "cosines": cosines}


def cosine(folder: Path, which: str, name: str) -> float:
    """Cosine of the angle between a simulator's gradient of the weights and the exact one."""
    exact, own = (_gradient(folder, each, which) for each in ("eventsim", name))
    return float(exact @ own / np.linalg.norm(exact) / np.linalg.norm(own))


def _gradient(folder: Path, name: str, which: str) -> np.ndarray:
    with np.load(folder / f"{name}.npz") as file:
        return file[which].ravel().astype(np.float64)


def compare(options: argparse.Namespace, workload: str) -> dict:
    """Measure one workload with all simulators; print its table."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.npz"
        ln.save(ln.draw(workload), path)
        rows, skipped = common.in_turn(starts(options, path), options.runs)
        assert "eventsim" in rows, skipped
        measured = {name: summary(r, Path(folder), name) for name, r in rows.items()}
    ours = measured["eventsim"]
    counted = ours["spikes"], ours["synaptic"]
    assert counted == EVENTS[workload], f"{workload}: {counted}, expected {EVENTS[workload]}"
    report(options, workload, measured)
    for name, reason in skipped.items():
        print(f"  {name}: skipped, {reason}")
    gains = {part: gain_of_threads(ours["parts"], part) for part in ("forward", "step")}
    print("  two threads against one, wall time:",
          *(f"{part} {gain:.2f} x," for part, gain in gains.items()),
          f"target {TWO_THREADS_TARGET}")  # fmt: skip
    return {"workload": workload, "measured": measured, "skipped": skipped, "two_threads": gains}


def gain_of_threads(parts: dict[str, dict], part: str) -> float:
    """Wall time of one thread in units of that of two."""
    return parts[part]["wall_s"] / parts[f"{part}, 2 threads"]["wall_s"]


def report(options: argparse.Namespace, workload: str, measured: dict[str, dict]) -> None:
    """Print one table; ratios are those of CPU time."""
    ours = measured["eventsim"]["parts"]
    table = []
    for name, m in measured.items():
        clocked = PEERS.get(name, ("",))[0] == "torch"
        method = f"{options.steps} steps" if clocked else "events"
        row = [name, method, m["spikes"], m["loss"], *(f"{c:.3f}" for c in m["cosines"].values())]
        for part in ("forward", "step"):
            seconds = m["parts"][part]["cpu_s"]
            row += [1e3 * seconds, seconds / ours[part]["cpu_s"]]
        table.append(row)
    tau_mem, tau_syn = ln.TIME_CONSTANTS[workload]
    title = f"{workload}: 784-400-10, batch {ln.BATCH}, tau_mem {tau_mem}, tau_syn {tau_syn}"
    columns = ["", "method", "spikes", "loss", "cosine dW1", "dW2", "forward CPU ms",
               "ours is x times", "step CPU ms", "ours is x times"]  # fmt: skip
    common.show(f"{title}, one thread", columns, table)


def per_sample(workload: str, sizes: list[int], runs: int) -> dict[int, dict]:
    """Cost of a step per sample in minibatches of several sizes, one thread.

    Small minibatches cover the same 100 samples, one after another.
    """
    most = max(ln.BATCH, *sizes)
    drawn = ln.draw(workload, most)
    steps = {size: _consecutive(drawn, size) for size in sizes}
    for size, parts in steps.items():
        spikes = sum(int(part.forward(1).events.spikes) for part in parts)
        expected = SPIKES.get((workload, size), EVENTS[workload][0] if size <= ln.BATCH else spikes)
        assert spikes == expected, f"{workload}, batch {size}: {spikes} spikes, not {expected}"
    measured = common.measure_together(
        {size: lambda parts=parts: _run_all(parts) for size, parts in steps.items()}, runs
    )
    for size, m in measured.items():
        m["per_sample_s"] = m["cpu_s"] / max(size, ln.BATCH)
    return measured


def _consecutive(drawn: ln.Layered, size: int) -> list[Step]:
    n = max(size, ln.BATCH)
    return [Step(drawn.part(slice(first, first + size))) for first in range(0, n, size)]


def _run_all(steps: list[Step]) -> None:
    for step in steps:
        step.step(1)


def report_batches(workload: str, measured: dict[int, dict]) -> None:
    """Print the cost per sample against the size of the minibatch."""
    references = [size for size in (1, ln.BATCH) if size in measured]
    costs = {size: m["per_sample_s"] for size, m in measured.items()}
    table = [
        [size, 1e6 * cost, *(cost / costs[reference] for reference in references), BATCH_TARGET]
        for size, cost in costs.items()
    ]
    ratios = [f"x batch {reference}" for reference in references]
    columns = ["batch", "step CPU us per sample", *ratios, "target"]
    common.show(f"{workload}: size of the minibatch, one thread", columns, table)


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workloads", nargs="+", choices=ln.SCALES, default=list(ln.SCALES))
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--steps", type=int, default=100, help="of the peers' time grid")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    for kind in ("torch", "eventprop"):
        default = os.environ.get(f"EVENTSIM_{kind.upper()}_PYTHON")
        parser.add_argument(f"--{kind}-python", default=default)
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 10, 100, 1000, 10_000])
    return parser.parse_args()


def main() -> None:
    options = arguments()
    rows = [compare(options, workload) for workload in options.workloads]
    ran = {name for row in rows for name in row["measured"]}
    elsewhere = [figures for name, figures in ELSEWHERE.items() if name not in ran]
    columns = ["", "workload", "forward s", "step s"]
    common.show("Measured elsewhere: exact peers, not in this run", columns, elsewhere)
    batches = per_sample("W1", options.batches, options.runs) if options.batches else {}
    if batches:
        report_batches("W1", batches)
    common.write_json(
        "layered", {"rows": rows, "measured_elsewhere": elsewhere, "batches": batches}
    )


if __name__ == "__main__":
    main()
