"""W2: a Yin-Yang step and epoch, exact forward run and exact gradient.

``python benchmarks/yin_yang.py`` measures minibatches of 150 of the publication's data, 5-120-3 and
5-150-3, with tau_mem = 2 tau_syn and with 1 : 0.999, at the initial weights (the publication's)
and, over a whole epoch with Adam, as they train. One thread and all threads. The numbers of
spikes and synaptic events of the first minibatch are asserted, the time never.
"""

from __future__ import annotations

import argparse

import common
import numpy as np

import eventsim as es
import gradients
from scenarios import yin_yang
from scenarios.classifier import Classification, Classifier, FirstSpikeLoss

BATCH = 150
NEURONS = {
    "1 : 0.999": es.LIF(tau_mem=1.0, tau_syn=1 / 0.999),
    "2 : 1": es.LIF(tau_mem=2.0, tau_syn=1.0),
}
EPOCHS = 300
# (spikes, synaptic events) of the first minibatch at the initial weights of seed 0.
EVENTS = {
    (120, "1 : 0.999"): (79_354, 326_712),
    (120, "2 : 1"): (92_532, 366_246),
    (150, "1 : 0.999"): (98_351, 406_203),
    (150, "2 : 1"): (115_150, 456_600),
}


def task(hidden: int, neuron: es.LIF) -> Classification:
    """The scenario's task with another number of hidden neurons and kind of neuron."""
    base = yin_yang.build(yin_yang.Config(hidden=hidden))
    loss: FirstSpikeLoss = base.model.loss
    model = Classifier((5, hidden, 3), neuron, base.model.t_stop, loss)
    return Classification(model, base.normals, base.train, base.test)


def minibatches(n: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Shuffled rows in minibatches; the last is smaller."""
    return np.split(rng.permutation(n), range(BATCH, n, BATCH))


def step_of(work: Classification, params: dict, rows: np.ndarray, threads: int | None) -> dict:
    """Functions to time: the forward run, the backward sweep alone, and the whole step."""
    model, (spikes, labels) = work.model, work.train
    batch, truth = spikes[rows], labels[rows]

    def forward() -> es.BatchResult:
        return es.simulate(model.network(params), {"in": batch}, model.t_stop, threads=threads)

    result = forward()
    _, slope = model.loss(result.first_spikes("out"), truth)

    def backward() -> gradients.Gradient:
        return gradients.timing_backprop(result, first_spikes={"out": slope}, threads=threads)

    def step() -> gradients.Gradient:
        run = forward()
        _, cotangent = model.loss(run.first_spikes("out"), truth)
        return gradients.timing_backprop(run, first_spikes={"out": cotangent}, threads=threads)

    return {"forward": forward, "backward": backward, "step": step}


def count(work: Classification, params: dict, rows: np.ndarray) -> tuple[int, int]:
    """Spikes and synaptic events of a minibatch."""
    events = work.model.simulate(params, work.train[0][rows]).events
    return int(events.spikes), int(events.synaptic)


def epoch(work: Classification, params: dict, rng: np.random.Generator) -> dict:
    """Train for one epoch, as the scenario does; return the parameters."""
    optimizer = gradients.Adam(lr=5e-4)
    state = optimizer.init(params)
    for rows in minibatches(work.n_train, rng):
        params, state = optimizer.update(params, work.step(params, rows).gradients, state)
    return params


def workload(hidden: int, ratio: str, runs: int) -> dict:
    """Measure one network."""
    work = task(hidden, NEURONS[ratio])
    rng = np.random.default_rng(0)
    params = work.initial(rng)
    rows = minibatches(work.n_train, rng)[0]
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
    """Print the table."""
    names = list(rows[0]["measured"])
    table = []
    for row in rows:
        m = row["measured"]
        title = f"5-{row['hidden']}-3, {row['ratio']}"
        table.append([title, *row["counted"], *(1e3 * m[name]["wall_s"] for name in names[:-1]),
                      m["backward, 1 thread"]["cpu_s"] / m["forward, 1 thread"]["cpu_s"],
                      m[names[-1]]["wall_s"], EPOCHS * m[names[-1]]["wall_s"]])  # fmt: skip
    columns = ["network, tau_mem : tau_syn", "spikes", "synaptic", *(f"{n} ms" for n in names[:-1]),
               "backward / forward", "epoch s", f"x {EPOCHS} epochs s"]  # fmt: skip
    common.show("W2: Yin-Yang, minibatch of 150 (wall time)", columns, table)


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
