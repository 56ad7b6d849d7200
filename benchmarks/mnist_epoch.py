"""M1: one MNIST epoch of the mnist scenario, 60 000 images in minibatches of 100.

``python benchmarks/mnist_epoch.py`` trains the default recipe and the published protocol, with all
threads and with one, each in a fresh process, and prints the wall time of each epoch (the first
with compilation or reading of the cache), CPU time and peak memory.  As spikes become rarer in the
course of a training, so do the seconds: `eventsim run mnist --full` tells the end of the story.
"""

from __future__ import annotations

import argparse
import json
import resource
import time

import common

PROTOCOLS = {"default recipe": False, "published protocol": True}
N_TRAIN = 60_000


def child(published: bool, epochs: int, data_dir: str | None) -> None:
    """Train in this process; print a JSON line."""
    from scenarios.mnist.config import MnistOptions
    from scenarios.mnist.run import DATA
    from scenarios.mnist.study import build, variants
    from scenarios.running.memory import keep_freed_memory
    from scenarios.running.training import fit

    keep_freed_memory()  # as `eventsim run` does
    config = MnistOptions(published=published, epochs=epochs, seeds=1, data_dir=data_dir)
    (variant,) = variants(config)
    task = build(config, variant, DATA.load(data_dir))
    assert task.n_train == N_TRAIN, f"{task.n_train} training images"
    cpu = time.process_time()
    history = fit(task, config.settings(task.n_train, seed=0)).history
    row = {
        "seconds": [record["seconds"] for record in history[1:]],
        "cpu": (time.process_time() - cpu) / epochs,
        "spikes": [record["spikes"] for record in history[1:]],
        "peak": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }
    print(json.dumps(row))


def measure(title: str, threads: int | None, options: argparse.Namespace) -> dict:
    """Run `child` in a fresh process, which uses as many threads as it has processors."""
    command = [__file__, "--child", title, "--epochs", str(options.epochs)]
    if options.data_dir:
        command += ["--data-dir", options.data_dir]
    return common.in_a_fresh_process(command, threads)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--data-dir")
    parser.add_argument("--child", choices=PROTOCOLS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(PROTOCOLS[options.child], options.epochs, options.data_dir)
        return
    rows = {
        (title, label): measure(title, threads, options)
        for title in PROTOCOLS
        for threads, label in ((None, "all"), (1, "one"))
    }
    table = [
        [title, label, *(f"{s:.1f}" for s in row["seconds"]), row["cpu"], row["spikes"][-1],
         row["peak"] / 1e6] for (title, label), row in rows.items()
    ]  # fmt: skip
    epochs = [f"epoch {k + 1}, s" for k in range(options.epochs)]
    columns = ["M1", "threads", *epochs, "CPU s per epoch", "spikes per neuron", "peak MB"]
    common.show("M1: one MNIST epoch", columns, table)
    rows_by_name = {f"{title}, {label}": row for (title, label), row in rows.items()}
    common.write_json("mnist_epoch", {"rows": rows_by_name})


if __name__ == "__main__":
    main()
