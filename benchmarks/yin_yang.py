"""W2: a Yin-Yang step and epoch, exact forward run and exact gradient.

``python benchmarks/yin_yang.py`` measures minibatches of 150 of the publication's data, 5-120-3 and
5-150-3, tau_mem = 2 tau_syn and 1 : 0.999, at the initial weights (the publication's)
and, over a whole epoch with Adam, as they train. One thread and all threads. The numbers of
spikes and synaptic events of the first minibatch are asserted, the time never.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import common
import numpy as np

import eventsim as es
import gradients
from scenarios.datasets.points import yin_yang
from scenarios.yin_yang.run import latencies

BATCH = 150
T_STOP = 3.0
NORMALS = (1.5, 0.8), (2.0, 0.1)  # mean and standard deviation of the initial weights
LOSS = {"tau0": 0.2, "tau1": 1.0, "gamma": 0.005, "t_silent": T_STOP}
NEURONS = {
    "1 : 0.999": es.LIF(tau_mem=1.0, tau_syn=1 / 0.999),
    "2 : 1": es.LIF(tau_mem=2.0, tau_syn=1.0),
}
PROJECTIONS = ("in", "hidden"), ("hidden", "out")
EPOCHS = 300
# (spikes, synaptic events) of the first minibatch at the initial weights of seed 0.
EVENTS = {
    (120, "1 : 0.999"): (2991, 58_383),
    (120, "2 : 1"): (3006, 53_388),
    (150, "1 : 0.999"): (3204, 68_562),
    (150, "2 : 1"): (3208, 63_474),
}


@dataclass(frozen=True)
class Task:
    """The publication's network and data, apart from what the scenario may choose to change."""

    base: es.Network
    spikes: es.SpikeBatch
    labels: np.ndarray

    def network(self, params: dict) -> es.Network:
        """Return the network with these weights."""
        return self.base.replace(weights=params)

    def initial(self, rng: np.random.Generator) -> dict:
        """Draw the initial weights."""
        shapes = [self.base.projections[key].weights.shape for key in PROJECTIONS]
        drawn = [rng.normal(*n, shape) for n, shape in zip(NORMALS, shapes, strict=True)]
        return dict(zip(PROJECTIONS, drawn, strict=True))


def task(hidden: int, neuron: es.LIF) -> Task:
    """Return 5-hidden-3 with the publication's training points."""
    data = yin_yang()["train"]
    net = es.Network()
    net.add_input("in", 5)
    net.add_population("hidden", hidden, neuron)
    net.add_population("out", 3, neuron)
    for pre, post in PROJECTIONS:
        sizes = net.inputs | net.populations
        net.connect(pre, post, weights=np.zeros((sizes[pre], sizes[post])))
    return Task(net, es.SpikeBatch.from_latencies(latencies(data.features)), data.labels)


def minibatches(n: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Shuffled rows in minibatches; the last is smaller."""
    return np.split(rng.permutation(n), range(BATCH, n, BATCH))


def forward(work: Task, params: dict, rows: np.ndarray, threads: int | None) -> es.BatchResult:
    """Run samples, each until all three outputs have fired: nothing later is in the loss."""
    stimulus = {"in": work.spikes[rows]}
    return es.simulate(work.network(params), stimulus, T_STOP, until_fired="out", threads=threads)


def backward(
    work: Task, result: es.BatchResult, rows: np.ndarray, threads: int | None
) -> gradients.Gradient:
    """Return the gradient of the first-spike cross-entropy."""
    times = result.first_spikes("out")
    _, slope = gradients.first_spike_cross_entropy(times, work.labels[rows], **LOSS)
    return gradients.timing_backprop(result, first_spikes={"out": slope}, threads=threads)


def step_of(work: Task, params: dict, rows: np.ndarray, threads: int | None) -> dict[str, Callable]:
    """Functions to time: the forward run, the backward sweep alone, and the whole step."""
    result = forward(work, params, rows, threads)
    return {
        "forward": lambda: forward(work, params, rows, threads),
        "backward": lambda: backward(work, result, rows, threads),
        "step": lambda: backward(work, forward(work, params, rows, threads), rows, threads),
    }


def count(work: Task, params: dict, rows: np.ndarray) -> tuple[int, int]:
    """Spikes and synaptic events of a minibatch."""
    events = forward(work, params, rows, 1).events
    return int(events.spikes), int(events.synaptic)


def epoch(work: Task, params: dict, rng: np.random.Generator) -> dict:
    """Train for one epoch; return the parameters."""
    optimizer = gradients.Adam(lr=5e-4)
    state = optimizer.init(params)
    for rows in minibatches(len(work.labels), rng):
        gradient = backward(work, forward(work, params, rows, None), rows, None)
        weights = {key: gradient.weights[key] for key in PROJECTIONS}
        params, state = optimizer.update(params, weights, state)
    return params


def workload(hidden: int, ratio: str, runs: int) -> dict:
    """Measure one network."""
    work = task(hidden, NEURONS[ratio])
    rng = np.random.default_rng(0)
    params = work.initial(rng)
    rows = minibatches(len(work.labels), rng)[0]
    counted = count(work, params, rows)
    expected = EVENTS.get((hidden, ratio), counted)
    assert counted == expected, f"{counted} spikes and synaptic events, expected {expected}"
    measured = {
        f"{name}, {label}": m
        for threads, label in ((1, "1 thread"), (None, "all threads"))
        for name, m in common.measure_together(step_of(work, params, rows, threads), runs).items()
    }
    measured["epoch, all threads"] = common.measure(
        lambda: epoch(work, params, rng), max(3, runs // 3)
    )
    return {"hidden": hidden, "ratio": ratio, "counted": counted, "measured": measured}


def report(rows: list[dict]) -> None:
    """Print the table: CPU time of one thread, wall time of all."""
    one = ("forward, 1 thread", "backward, 1 thread", "step, 1 thread")
    table = []
    for row in rows:
        m = row["measured"]
        epoch = m["epoch, all threads"]
        title = f"5-{row['hidden']}-3, {row['ratio']}"
        table.append([title, *row["counted"], *(1e3 * m[name]["cpu_s"] for name in one),
                      common.ratio(m, one[1], one[0]), 1e3 * m["step, all threads"]["wall_s"],
                      epoch["cpu_s"], epoch["wall_s"], EPOCHS * epoch["wall_s"]])  # fmt: skip
    columns = ["tau_mem : tau_syn", "spikes", "synaptic", "forward CPU ms", "backward CPU ms",
               "step CPU ms", "backward / forward", "step, all threads, ms", "epoch CPU s",
               "epoch s", f"{EPOCHS} epochs s"]  # fmt: skip
    common.show("W2: Yin-Yang, minibatch of 150", columns, table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", type=int, nargs="+", default=[120, 150])
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    rows = [workload(hidden, ratio, options.runs) for hidden in options.hidden for ratio in NEURONS]
    report(rows)
    common.write_json("yin_yang", {"rows": rows})


if __name__ == "__main__":
    main()
