"""G1-G3: the CUDA engine on this machine's GPU.

``python benchmarks/gpu.py`` checks W1 against the processors, then prints medians of warm calls:

- G1: W1 in float64 and float32, for several sizes of the minibatch.  "simulate", "gradient":
  `eventsim.simulate` and `gradients.timing_backprop`, arrays of the host in and out; "on device":
  both on arrays that stay there; "step": `gradients.cuda.Trainer`, with loss and Adam, launch by
  launch and ("graph") replayed as a CUDA graph; "kernels": the time of a step's kernels (CUDA
  events), and how many are launched;
- what float32 changes: spikes, their times, the gradient;
- G2: MNIST epochs of the scenario ``mnist``, its protocol and the published one (no jitter, no
  dropout), for minibatches of 100 and 1000 and both precisions, with the accuracy after the last;
- G3: what part of this GPU's measured copy bandwidth and of its multiply-add rate the kernels of
  the hidden layer reach;
- snnTorch and Norse on the same GPU and workload, where PyTorch has been built for it.

``--no-mnist`` leaves out G2, which needs the data set; ``--epochs 100`` trains it as published;
``--no-graph`` replays no graphs.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from math import nan
from statistics import median
from typing import Any

import common
import layered_network as ln
import numpy as np
from numba import cuda, float32, float64
from runners.eventsim_layered import HIDDEN, Step

import eventsim as es
import gradients
from eventsim._engines import cuda as forward
from eventsim._engines.cuda.device import quietly
from eventsim._engines.cuda.neurons import advance
from gradients import cuda as backward

COPIED = 2**27  # numbers of a copy that measures the bandwidth
CHAIN, BLOCKS, THREADS = 4096, 4096, 256  # of the kernel that measures the multiply-add rate
ENGINES = {"float64": "cuda", "float32": "cuda-float32"}
PRECISIONS = tuple(ENGINES)
PEER_STEPS = 100  # of the clocked peers

# Per arrival and lane of the hidden layer: numbers of weights (read) or gradient (read and
# written), and operations of the loop over arrivals where no neuron fires.
TRAFFIC = {"advance": 1, "sweep": 2}
OPERATIONS = {"advance": 9, "sweep": 5}


class Kernel:
    """A kernel that records two CUDA events around every launch."""

    def __init__(self, kernel: Any) -> None:
        self.kernel, self.events = kernel, []

    def __getitem__(self, launch: tuple[Any, ...]) -> Callable[..., None]:
        return partial(self._launch, launch)

    def _launch(self, launch: tuple[Any, ...], *arguments: Any) -> None:
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


class Watch:
    """Puts a `Kernel` in the place of every kernel, wherever it has been imported."""

    def __init__(self) -> None:
        self.kernels: dict[str, Kernel] = {}
        self._places: list[tuple[Any, str, Any]] = []

    def __enter__(self) -> dict[str, Kernel]:
        ours = ("eventsim._engines.cuda.", "gradients.cuda.")
        for module in [m for name, m in sys.modules.items() if name.startswith(ours)]:
            for name, value in list(vars(module).items()):
                if isinstance(value, type(advance)) and not _is_for_device(value):
                    self.kernels.setdefault(name, Kernel(value))
                    self._places.append((module, name, value))
                    setattr(module, name, self.kernels[name])
        return self.kernels

    def __exit__(self, *error: object) -> None:
        for module, name, value in self._places:
            setattr(module, name, value)


def _is_for_device(kernel: Any) -> bool:
    options = getattr(kernel, "targetoptions", None)
    return bool(options["device"] if options else kernel._device)


class DeviceStep(Step):
    """`Step` by the engine "cuda", its arrays on the host."""

    def __init__(self, network: ln.Layered, precision: str = "float64") -> None:
        super().__init__(network)
        self.precision = precision

    def forward(self, threads: int = 1) -> es.BatchResult:  # noqa: ARG002 (of the processors)
        """Run the minibatch."""
        net = self.net.replace(weights=self.weights)
        return es.simulate(net, self.stimulus, ln.T_STOP, engine=ENGINES[self.precision])


class Resident:
    """The same with all arrays on the device."""

    def __init__(self, network: ln.Layered, precision: str) -> None:
        step, dtype = Step(network), np.dtype(precision)
        self.net = step.net
        self.spikes = backward.DeviceSpikes.of(step.stimulus["in"], precision=precision)
        self.weights = {key: cuda.to_device(w.astype(dtype)) for key, w in step.weights.items()}
        self.labels = cuda.to_device(step.labels)

    def step(self) -> dict[Any, Any]:
        """Run the minibatch and return the gradient of its loss."""
        run = backward.simulate(self.net, {"in": self.spikes}, ln.T_STOP, weights=self.weights)
        _, slope = backward.membrane_cross_entropy(run.potential("out"), self.labels)
        return backward.weight_gradient(run, potentials={"out": slope})


def trainer(network: ln.Layered, precision: str, *, graph: bool) -> backward.Trainer:
    """Return W1 as a training."""
    step = Step(network)
    return backward.Trainer(
        step.net, step.stimulus, step.labels, [backward.Potentials("out")], ln.T_STOP,
        optimizer=gradients.Adam(1e-6), precision=precision, graph=graph,
    )  # fmt: skip


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


def timed(function: Callable[[], object], runs: int) -> float:
    """Return the median time of warm calls, to the end of what they start on the device."""
    walls = []
    for _ in range(2 + runs):
        started = time.perf_counter()
        function()
        cuda.synchronize()
        walls.append(time.perf_counter() - started)
    return median(walls[2:])


def g1(n: int, precision: str, runs: int, try_graph: bool) -> dict[str, float]:
    """Time W1."""
    network = ln.draw("W1", n)
    host, resident, rows = DeviceStep(network, precision), Resident(network, precision), range(n)
    row = {
        "simulate": timed(host.forward, runs),
        "gradient": timed(partial(host.step, 1), runs),
        "on device": timed(resident.step, runs),
    }
    for name, graph in (("step", False), ("graph", True)):
        one = trainer(network, precision, graph=graph)
        row[name] = timed(partial(one.step, np.arange(n)), runs) if try_graph or not graph else nan
    one = trainer(network, precision, graph=False)
    one.step(list(rows))
    with Watch() as kernels:
        totals = []
        for _ in range(runs):
            one.step(list(rows))
            times = [seconds for kernel in kernels.values() for seconds in kernel.seconds()]
            totals.append(sum(times))
    return row | {"kernels": median(totals), "launches": len(times)}


def single_precision(n: int) -> dict[str, float]:
    """Return what float32 changes in W1."""
    double, single = (DeviceStep(ln.draw("W1", n), name) for name in PRECISIONS)
    a, b = double.forward(), single.forward()
    counts = [result.spike_counts("hidden") for result in (a, b)]
    alike = np.array_equal(a.offsets, b.offsets) and np.array_equal(
        a.record.neuron, b.record.neuron
    )
    first, second = (step.step(1).weights[HIDDEN] for step in (double, single))
    times = [result.first_spikes("hidden") for result in (a, b)]
    both = np.isfinite(times[0]) & np.isfinite(times[1])
    error = np.abs(times[0] - times[1])[both]
    return {
        "neurons with another number of spikes": float(np.mean(counts[0] != counts[1])),
        "spikes in another order": float(not alike),
        "first spikes, median shift": float(np.median(error)),
        "first spikes, largest shift": float(error.max()),
        "gradient, relative": float(np.abs(first - second).max() / np.abs(first).max()),
    }


def g2(batch_size: int, precision: str, options: argparse.Namespace, **config: Any) -> list[float]:
    """Return the median seconds of an epoch but the first, and the last test accuracy."""
    from scenarios.mnist.config import MnistOptions
    from scenarios.mnist.run import DATA
    from scenarios.mnist.study import build, variants
    from scenarios.networks.cuda_learner import DeviceLearner
    from scenarios.running.training import fit

    config = MnistOptions(
        epochs=options.epochs, seeds=1, batch_size=batch_size, engine="cuda", precision=precision,
        data_dir=options.data_dir, **config,
    )  # fmt: skip
    (variant,) = variants(config)
    task = build(config, variant, DATA.load(options.data_dir))
    settings = config.settings(task.n_train, seed=0)
    learner = DeviceLearner(task, settings.optimizer, graph=options.graph)
    history = fit(learner, settings).history
    return [median(record["seconds"] for record in history[2:]), history[-1]["test_accuracy"]]


@cuda.jit
def _copy(source, target):
    for i in range(cuda.grid(1), source.size, cuda.gridsize(1)):
        target[i] = source[i]


@cuda.jit
def _multiply_add(values, factor):
    a = values[cuda.grid(1) % values.size]
    b, c, d = a * factor, a + a, a + a * factor  # no number of another precision
    for _ in range(CHAIN):
        a = a * factor + b
        b = b * factor + c
        c = c * factor + d
        d = d * factor + a
    values[cuda.grid(1) % values.size] = a + b + c + d


def ceilings(runs: int, number: Any) -> dict[str, float]:
    """Return numbers copied and multiply-adds (two operations) per second of this GPU, measured."""
    dtype = np.dtype(str(number))
    source = cuda.device_array(COPIED, dtype)
    copy, add = Kernel(_copy), Kernel(_multiply_add)
    values = cuda.to_device(np.ones(THREADS * BLOCKS, dtype))
    target = cuda.device_array_like(source)
    for _ in range(runs + 1):
        copy[BLOCKS, THREADS](source, target)
        add[BLOCKS, THREADS](values, dtype.type(0.5))
    return {
        "numbers": 2 * COPIED / min(copy.seconds()),
        "operations": 2 * 4 * CHAIN * BLOCKS * THREADS / min(add.seconds()),
    }


def g3(n: int, runs: int, number: Any) -> dict[str, dict[str, float]]:
    """Return time and rates of the kernels of the hidden layer."""
    one = trainer(ln.draw("W1", n), str(number), graph=False)
    one.step(np.arange(n))
    times: dict[str, list[float]] = {"advance": [], "sweep": []}
    with Watch() as kernels:
        for _ in range(runs):
            one.step(np.arange(n))
            for name, found in times.items():
                found.append(max(kernels[name].seconds()))  # of two layers, the hidden one
    most, n_hidden = ceilings(runs, number), ln.SIZES[1]
    updates = int(np.isfinite(ln.draw("W1", n).latencies).sum()) * n_hidden
    return {
        name: {
            "seconds": median(found),
            "of bandwidth": TRAFFIC[name] * updates / median(found) / most["numbers"],
            "of operations": OPERATIONS[name] * updates / median(found) / most["operations"],
        }
        for name, found in times.items()
    }


def peers(n: int, runs: int) -> dict[str, Any]:
    """Time the clocked peers on the same GPU; a text says why one cannot run."""
    try:
        import torch
        from runners import torch_layered
    except ImportError as error:
        return {"PyTorch": str(error)}
    if not torch.cuda.is_available():
        return {"PyTorch": "has not been built for this GPU"}
    results: dict[str, Any] = {}
    with torch.device("cuda"):
        for name, method in torch_layered.METHODS.items():
            try:
                step = torch_layered.Step(ln.draw("W1", n), method, PEER_STEPS)
                step.input, step.labels = step.input.cuda(), step.labels.cuda()
                results[name] = {
                    "forward": timed(step.forward, runs), "step": timed(step.backward, runs)
                }  # fmt: skip
            except (ImportError, RuntimeError) as error:
                results[name] = str(error)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--no-mnist", action="store_true")
    parser.add_argument("--no-graph", dest="graph", action="store_false")
    parser.add_argument("--data-dir")
    options = parser.parse_args()
    obstacle = forward.device_obstacle()
    if obstacle:
        print(f"skipped: {obstacle}")
        return
    print(*forward.devices(), sep="\n")
    with quietly():
        measured(options)


def measured(options: argparse.Namespace) -> None:
    """Measure and print everything; write it to a file."""
    results: dict[str, Any] = {"device": forward.devices()}
    smallest, largest = options.batches[0], options.batches[-1]
    results["check"] = check(smallest)
    common.show("largest difference", ["quantity", "found"], list(results["check"].items()))
    for precision in PRECISIONS:
        found = {n: g1(n, precision, options.runs, options.graph) for n in options.batches}
        results[f"G1, {precision}"] = found
        names = ["simulate", "gradient", "on device", "step", "graph", "kernels"]
        rows = [
            [n, *(1e3 * row[name] for name in names), row["launches"],
             n / np.nanmin([row["step"], row["graph"]])]
            for n, row in found.items()
        ]  # fmt: skip
        columns = ["minibatch", *(f"{name}, ms" for name in names), "launches", "samples/s"]
        common.show(f"G1: W1, {precision}", columns, rows)
    results["float32"] = single_precision(smallest)
    common.show("what float32 changes", ["quantity", "found"], list(results["float32"].items()))
    if not options.no_mnist:
        protocols = {"recipe": {}, "published": {"published": True}}
        rows = [
            [name, n, precision, *g2(n, precision, options, **config)]
            for name, config in protocols.items()
            for n in (100, 1000)
            for precision in PRECISIONS
        ]
        results["G2"] = rows
        columns = ["protocol", "minibatch", "precision", "s per epoch", "test accuracy"]
        common.show("G2: MNIST", columns, rows)
    for number in (float64, float32):
        found = results[f"G3, {number}"] = g3(largest, options.runs, number)
        rows = [[name, *row.values()] for name, row in found.items()]
        columns = ["kernel", "s", "of bandwidth", "of operations"]
        common.show(f"G3: hidden layer, {number}", columns, rows)
    results["peers"] = peers(smallest, options.runs)
    rows = [
        [name, *(row.values() if isinstance(row, dict) else (row, ""))]
        for name, row in results["peers"].items()
    ]
    common.show(f"clocked peers, {PEER_STEPS} steps", ["peer", "forward, s", "step, s"], rows)
    common.write_json("gpu", results)


if __name__ == "__main__":
    main()
