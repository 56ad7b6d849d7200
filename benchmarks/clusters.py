"""Two workers against one process: the seeds of a scenario, and minibatches in shards.

``python benchmarks/clusters.py`` prints medians of interleaved rounds.  Seeds are whole commands
(`eventsim run yin_yang`), start and report included; a minibatch is that of `layer_threads.py`.
Needs the extras "cluster" and "scenarios".
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import common
import layered_network as ln
import numpy as np
from runners.eventsim_layered import HIDDEN, Step

import gradients
from scenarios.running.cluster import on_this_machine

SIZES = (100, 500, 2000)


def train(seeds: int, epochs: int, workers: int) -> None:
    """Run the command."""
    command = ["run", "yin_yang", "--seeds", str(seeds), "--epochs", str(epochs)]
    if workers:
        command += ["--workers", str(workers)]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "scenarios", *command, "--folder", str(Path(folder) / "run")],
            check=True,
            stdout=subprocess.DEVNULL,
        )


def seeds_side_by_side(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Time the seeds alone, and with workers."""
    ways = {
        "one process": partial(train, options.seeds, options.epochs, 0),
        "1 worker": partial(train, options.seeds, options.epochs, 1),
        "2 workers": partial(train, options.seeds, options.epochs, 2),
    }
    measured = common.measure_together(ways, options.rounds)
    alone = measured["one process"]["wall_s"]
    rows = [[name, each["wall_s"], alone / each["wall_s"]] for name, each in measured.items()]
    title = f"Yin-Yang, {options.seeds} seeds, {options.epochs} epochs"
    common.show(title, ["by", "wall, s", "gain"], rows)
    return measured


def minibatches(options: argparse.Namespace) -> dict[str, dict[str, dict[str, float]]]:
    """Time a step on one thread, on two, and in two shards on two workers."""
    rows, results = [], {}
    with on_this_machine(2) as crew:
        for n in SIZES:
            work = Step(ln.draw("W1", n))

            def step(w: Step = work, **how: object) -> gradients.Gradient:
                def loss(result: object) -> gradients.Loss:
                    value, slope = w.loss(result)
                    return gradients.Loss(value, potentials={"out": slope})

                net = w.net.replace(weights=w.weights)
                return gradients.value_and_grad(
                    net, w.stimulus, loss, ln.T_STOP, engine="layered", **how
                )[1]

            ways: dict[str, Callable[[], object]] = {
                "one thread": partial(step, threads=1),
                "two threads": partial(step, threads=2),
                "two shards, here": partial(step, threads=1, shards=2),
                "two shards, two workers": partial(step, shards=2, executor=crew.executor),
            }
            here, there = (ways[name]() for name in list(ways)[2:])
            assert np.array_equal(here.weights[HIDDEN], there.weights[HIDDEN])
            measured = common.measure_together(ways, options.rounds)
            rows.append([n, *(1e3 * each["wall_s"] for each in measured.values())])
            results[str(n)] = measured
    common.show("W1, a step, wall ms", ["minibatch", *ways], rows)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    results = {"minibatches": minibatches(options), "seeds": seeds_side_by_side(options)}
    common.write_json("clusters", results)


if __name__ == "__main__":
    main()
