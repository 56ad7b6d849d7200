"""G1-G3: the CUDA engine on this machine's GPU.

``python benchmarks/gpu.py`` checks W1 against the processors, then prints medians of warm calls:

- G1: W1 forward and step, for several sizes of the minibatch: wall time of the call, transfers
  between host and device included, and time of all kernels (CUDA events);
- G2: one MNIST epoch of the scenario ``mnist`` for minibatches of 100 and 1000;
- G3: what part of this GPU's measured copy bandwidth and of its multiply-add rate in float64 the
  kernels of the hidden layer reach.

``--no-mnist`` leaves out G2, which needs the data set.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import common
import layered_network as ln
import numpy as np
from numba import cuda, float64
from runners.eventsim_layered import HIDDEN, Step

import eventsim as es
from eventsim import cuda as forward
from gradients import cuda as backward

COPIED = 2**27  # numbers of a copy that measures the bandwidth
CHAIN, BLOCKS, THREADS = 4096, 4096, 256  # of the kernel that measures the multiply-add rate

KERNELS = {
    forward: (
        "set_zero", "list_arrivals", "running_sum", "order_arrivals", "advance", "order_spikes",
    ),
    backward: (
        "count_fired", "place_fired", "fill_fired", "sweep", "add_copies", "add_lanes",
        "add_events",
    ),
}  # fmt: skip

# Per arrival and lane of the hidden layer: bytes of weights (read) or gradient (read and written),
# and operations of the loop over arrivals where no neuron fires.
TRAFFIC = {"advance": 8, "sweep": 16}
OPERATIONS = {"advance": 9, "sweep": 5}


class Kernel:
    """A kernel that records two CUDA events around every launch."""

    def __init__(self, kernel: Any) -> None:
        self.kernel, self.events = kernel, []

    def __getitem__(self, launch: tuple[int, int]) -> Callable[..., None]:
        return partial(self._launch, launch)

    def _launch(self, launch: tuple[int, int], *arguments: Any) -> None:
        start, stop = cuda.event(), cuda.event()
        start.record()
        self.kernel[launch](*arguments)
        stop.record()
        self.events.append((start, stop))

    def seconds(self) -> list[float]:
        """Return the time of each launch since the last call."""
        cuda.synchronize()
        times = [1e-3 * start.elapsed_time(stop) for start, stop in self.events]
        self.events.clear()
        return times


def watched() -> dict[str, Kernel]:
    """Put a `Kernel` in the place of every kernel."""
    kernels = {}
    for module, names in KERNELS.items():
        for name in names:
            kernels[name] = Kernel(getattr(module, name))
            setattr(module, name, kernels[name])
    return kernels


class DeviceStep(Step):
    """`Step` on the device."""

    def forward(self, threads: int = 1) -> es.BatchResult:  # noqa: ARG002 (of the processors)
        """Run the minibatch."""
        net = self.net.replace(weights=self.weights)
        return es.simulate(net, self.stimulus, ln.T_STOP, engine="cuda")


def check(n: int) -> dict[str, float]:
    """Compare a minibatch with the processors; return the largest differences."""
    here, there = Step(ln.draw("W1", n)), DeviceStep(ln.draw("W1", n))
    ours, theirs = there.forward(), here.forward(1)
    assert np.array_equal(ours.offsets, theirs.offsets), "other spike counts"
    assert np.array_equal(ours.record.neuron, theirs.record.neuron), "other spikes"
    time_error = float(np.abs(ours.record.time - theirs.record.time).max())
    a, b = (step.step(1).weights[HIDDEN] for step in (there, here))
    slope_error = float(np.abs(a - b).max() / np.abs(b).max())
    assert time_error <= 1e-12, time_error
    assert slope_error <= 1e-10, slope_error
    again = there.step(1).weights[HIDDEN]
    assert np.array_equal(a, again), "not the same bits in two runs"
    return {"spike times": time_error, "gradient, relative": slope_error}


def g1(batches: list[int], runs: int, kernels: dict[str, Kernel]) -> dict[int, dict[str, float]]:
    """Time W1."""
    results = {}
    for n in batches:
        work = DeviceStep(ln.draw("W1", n))
        for _ in range(2):
            work.step(1)
        for kernel in kernels.values():
            kernel.seconds()
        walls: dict[str, list[float]] = {"forward": [], "step": []}
        on_device = []
        for _ in range(runs):
            for name, function in (("forward", work.forward), ("step", partial(work.step, 1))):
                started = time.perf_counter()
                function()
                cuda.synchronize()
                walls[name].append(time.perf_counter() - started)
                total = sum(sum(kernel.seconds()) for kernel in kernels.values())
                if name == "step":
                    on_device.append(total)
        row = {name: median(values) for name, values in walls.items()}
        results[n] = {**row, "kernels": median(on_device)}
    return results


def g2(batch_size: int, data_dir: str | None) -> float:
    """Return the seconds of the second epoch of the default recipe."""
    from scenarios.mnist import DATA, Config
    from scenarios.readout_runs import build, variants
    from scenarios.training import fit

    config = Config(epochs=2, seeds=1, batch_size=batch_size, engine="cuda", data_dir=data_dir)
    (variant,) = variants(config)
    task = build(config, variant, DATA.load(data_dir))
    history = fit(task, config.settings(task.n_train, seed=0)).history
    return float(history[-1]["seconds"])


@cuda.jit
def _copy(source, target):
    for i in range(cuda.grid(1), source.size, cuda.gridsize(1)):
        target[i] = source[i]


@cuda.jit
def _multiply_add(values, factor):
    a = values[cuda.grid(1) % values.size]
    b, c, d = a + 1.0, a + 2.0, a + 3.0
    for _ in range(CHAIN):
        a = a * factor + b
        b = b * factor + c
        c = c * factor + d
        d = d * factor + a
    values[cuda.grid(1) % values.size] = a + b + c + d


def ceilings(runs: int) -> dict[str, float]:
    """Return bytes and float64 operations per second of this GPU, measured."""
    source = cuda.device_array(COPIED, np.float64)
    copy, add = Kernel(_copy), Kernel(_multiply_add)
    values, target = cuda.to_device(np.ones(THREADS * BLOCKS)), cuda.device_array_like(source)
    for _ in range(runs + 1):
        copy[BLOCKS, THREADS](source, target)
        add[BLOCKS, THREADS](values, float64(0.5))
    return {
        "bytes": 2 * 8 * COPIED / min(copy.seconds()),
        "operations": 2 * 4 * CHAIN * BLOCKS * THREADS / min(add.seconds()),
    }


def g3(n: int, runs: int, kernels: dict[str, Kernel]) -> dict[str, dict[str, float]]:
    """Return time and rates of the kernels of the hidden layer."""
    work = DeviceStep(ln.draw("W1", n))
    work.step(1)
    times: dict[str, list[float]] = {"advance": [], "sweep": []}
    for kernel in kernels.values():
        kernel.seconds()
    for _ in range(runs):
        work.step(1)
        for name, found in times.items():
            found.append(max(kernels[name].seconds()))  # of two layers, the hidden one
    most, n_hidden = ceilings(runs), ln.SIZES[1]
    updates = int(np.isfinite(ln.draw("W1", n).latencies).sum()) * n_hidden
    return {
        name: {
            "seconds": median(found),
            "of bandwidth": TRAFFIC[name] * updates / median(found) / most["bytes"],
            "of operations": OPERATIONS[name] * updates / median(found) / most["operations"],
        }
        for name, found in times.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--no-mnist", action="store_true")
    parser.add_argument("--data-dir")
    options = parser.parse_args()
    obstacle = forward.device_obstacle()
    if obstacle:
        print(f"skipped: {obstacle}")
        return
    print(*forward.devices(), sep="\n")
    with forward.quietly():
        results: dict[str, Any] = {"device": forward.devices()}
        results["check"] = check(options.batches[0])
        common.show("largest difference", ["quantity", "found"], list(results["check"].items()))
        if not options.no_mnist:
            results["G2"] = {n: g2(n, options.data_dir) for n in (100, 1000)}
            rows = [[n, seconds] for n, seconds in results["G2"].items()]
            common.show("G2: one MNIST epoch", ["minibatch", "s"], rows)
        kernels = watched()
        results["G1"] = g1(options.batches, options.runs, kernels)
        rows = [
            [n, 1e3 * row["forward"], 1e3 * row["step"], 1e3 * row["kernels"], n / row["step"]]
            for n, row in results["G1"].items()
        ]
        columns = ["minibatch", "forward, ms", "step, ms", "its kernels, ms", "samples/s"]
        common.show("G1: W1", columns, rows)
        results["G3"] = g3(options.batches[-1], options.runs, kernels)
        rows = [[name, *row.values()] for name, row in results["G3"].items()]
        common.show("G3: hidden layer", ["kernel", "s", "of bandwidth", "of operations"], rows)
    common.write_json("gpu", results)


if __name__ == "__main__":
    main()
