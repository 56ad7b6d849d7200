"""A training step of the mnist network (784-350-10) through `gradients.torch`, beside our own.

``python benchmarks/torch_step.py`` takes the same steps on the same minibatches with
`torch.optim.Adam` and a `SpikingNetwork`, and with `gradients.Adam` and the scenario's task: in
turn, so that a busy machine slows both alike, with one thread and with two, each number of threads
in a fresh process.  It prints medians of wall and of processor time, and the test accuracy of both
after ``--epochs``.  Initial weights, order of the images and learning rate are the same, so the two
differ by rounding, until a spike comes or goes in one of them and not yet in the other.
"""

from __future__ import annotations

import argparse
import json
import time
from statistics import median
from typing import Any

import common

BATCH, RATE = 100, 1e-3
# Between its operations torch's threads would spin for a while, on processors that are needed.
QUIET = {"OMP_WAIT_POLICY": "PASSIVE"}


def child(options: argparse.Namespace) -> None:
    """Take the steps in this process, which may use some processors; print a JSON line."""
    import numpy as np
    import torch

    import gradients
    from gradients.torch import SpikingNetwork
    from scenarios.mnist.config import MnistOptions
    from scenarios.mnist.run import DATA
    from scenarios.mnist.study import build, variants
    from scenarios.running.memory import keep_freed_memory

    keep_freed_memory()  # as `eventsim run` does
    torch.set_num_threads(options.child)
    config = MnistOptions(
        hidden=350, smoothing=0.0, jitter=0.0, dropout=0.0, dead_penalty=0.0,
        data_dir=options.data_dir,
    )  # fmt: skip
    (variant,) = variants(config)
    task = build(config, variant, DATA.load(options.data_dir))
    params = task.initial(np.random.default_rng(0))
    adam = gradients.Adam(lr=RATE)
    memory = adam.init(params)
    layer = SpikingNetwork(task.model.network(params), t_stop=task.model.t_stop, read="potential")
    optimizer = torch.optim.Adam(layer.parameters(), lr=RATE)
    latencies, test = (_latencies(part.images) for part in (task.train, task.test))
    labels = torch.from_numpy(task.train.labels)

    def ours(rows: Any) -> None:
        nonlocal params, memory
        step = task.step(params, rows, np.random.default_rng(0))
        params, memory = adam.update(params, step.gradients, memory)

    def torchs(rows: Any) -> None:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(layer(latencies[rows]), labels[rows])
        loss.backward()
        optimizer.step()

    times: dict[str, list[tuple[float, float]]] = {"ours": [], "torch": []}
    rng = np.random.default_rng(0)
    end = time.perf_counter() + options.minutes * 60.0
    epochs = 0
    while epochs < options.epochs and (not epochs or time.perf_counter() < end):
        for rows in np.split(rng.permutation(task.n_train), task.n_train // BATCH):
            for name, step in (("ours", ours), ("torch", torchs)):
                times[name].append(_timed(step, rows))
        epochs += 1
    with torch.no_grad():
        potentials = torch.cat([layer(part) for part in test.split(1000)])
    right = potentials.argmax(dim=1).numpy() == task.test.labels
    weights = task.model.connections.items()
    differences = [np.abs(layer.weights[key].detach().numpy() - params[k]) for k, key in weights]
    row = {
        "epochs": epochs,
        "ours": _summary(times["ours"]),
        "torch": _summary(times["torch"]),
        "accuracy_ours": task.evaluate(params)["test_accuracy"],
        "accuracy_torch": float(right.mean()),
        "largest_difference_of_weights": float(max(each.max() for each in differences)),
    }
    print(json.dumps(row))


def _latencies(images: Any) -> Any:
    """Return the latencies of images: white fires at 0, black not at all."""
    import torch

    grey = torch.from_numpy(images.reshape(len(images), -1))
    return torch.where(grey > 0, 1.0 - grey.double() / 255.0, torch.inf)


def _timed(step: Any, rows: Any) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    step(rows)
    return time.perf_counter() - wall, time.process_time() - cpu


def _summary(times: list[tuple[float, float]]) -> dict[str, float]:
    """Return medians in ms, the first steps, with compilation, left out."""
    wall, cpu = zip(*times[20:], strict=True)
    return {"wall_ms": 1e3 * median(wall), "cpu_ms": 1e3 * median(cpu)}


def measure(threads: int, options: argparse.Namespace) -> dict[str, Any]:
    """Run `child` in a fresh process that may use as many processors."""
    command = [__file__, "--child", str(threads), "--epochs", str(options.epochs)]
    command += ["--minutes", str(options.minutes)]
    if options.data_dir:
        command += ["--data-dir", options.data_dir]
    return common.in_a_fresh_process(command, threads, **QUIET)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=60.0, help="no epoch begins later")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--data-dir")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options)
        return
    rows = {threads: measure(threads, options) for threads in options.threads}
    table = [
        [f"{threads} threads", row["ours"]["wall_ms"], row["torch"]["wall_ms"],
         row["torch"]["wall_ms"] / row["ours"]["wall_ms"], row["ours"]["cpu_ms"],
         row["torch"]["cpu_ms"], row["torch"]["cpu_ms"] / row["ours"]["cpu_ms"], row["epochs"],
         f"{row['accuracy_ours']:.4f}", f"{row['accuracy_torch']:.4f}",
         f"{row['largest_difference_of_weights']:.1e}"] for threads, row in rows.items()
    ]  # fmt: skip
    columns = ["784-350-10", "ours, ms", "torch, ms", "ratio", "ours, CPU ms", "torch, CPU ms",
               "ratio", "epochs", "accuracy", "torch", "weights differ by"]  # fmt: skip
    common.show("T1: a training step, minibatches of 100", columns, table)
    common.write_json("torch_step", {"rows": rows})


if __name__ == "__main__":
    main()
