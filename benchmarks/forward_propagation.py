"""F1: the full Jacobian of all spike times by all weights; one direction (JVP, VJP) as a multiple.

``python benchmarks/forward_propagation.py`` measures a 5-120-3 Yin-Yang sample, and a recurrent
network with 2000 spikes. The Jacobian comes from the causality graph (Lee et al., Algorithm 2); JVP
and VJP are sweeps over the run. That the three agree, and the number of spikes, is asserted.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable

import common

common.one_thread()
import numpy as np  # noqa: E402
import yin_yang  # noqa: E402
from scipy import sparse  # noqa: E402

import eventsim as es  # noqa: E402
import gradients  # noqa: E402

SPIKES = {"Yin-Yang 5-120-3": 215, "recurrent": 2000}
STEPS = ("forward run", "causality graph", "full Jacobian", "JVP", "VJP")


def yin_yang_sample() -> Callable[[], es.Result]:
    """One sample at the initial weights; each output fires once."""
    work = yin_yang.task(120, yin_yang.NEURONS["1 : 0.999"])
    held = dataclasses.replace(yin_yang.NEURONS["1 : 0.999"], refractory=yin_yang.T_STOP)
    net = work.network(work.initial(np.random.default_rng(0))).replace(neurons={"out": held})
    sample = work.spikes.sample(0)
    return lambda: es.simulate(net, {"in": sample}, yin_yang.T_STOP / 2)


def recurrent() -> Callable[[], es.Result]:
    """100 neurons with 10 synapses each, until the 2000th spike; ms and mV / ms as in R1."""
    rng = np.random.default_rng(0)
    n, degree = 100, 10
    net = es.Network()
    net.add_input("in", n)
    net.add_population("all", n, es.LIF(20.0, 5.0, threshold=20.0, bias=0.3))
    net.connect("in", "all", weights=sparse.identity(n, format="csr") * 0.5)
    rows = np.repeat(np.arange(n), degree)
    columns = np.concatenate([rng.choice(n, degree, replace=False) for _ in range(n)])
    weights = np.where(rows < 0.8 * n, 0.05, -0.25) * rng.uniform(0.5, 1.5, rows.size)
    matrix = sparse.csr_array((weights, (rows, columns)), shape=(n, n))
    net.connect("all", "all", weights=matrix, delays=1.5)
    m = 40_000
    stimulus = {"in": es.Spikes(rng.uniform(0.0, 1000.0, m), rng.integers(0, n, m))}
    times = es.simulate(net, stimulus, 1000.0).spikes["all"].times
    until = float(times[1999:2001].mean())
    return lambda: es.simulate(net, stimulus, until)


def direction(net: es.Network, rng: np.random.Generator) -> dict:
    """A random change of every weight, in the form of each projection's weights."""
    changes = {}
    for key, projection in net.projections.items():
        weights = projection.weights
        if sparse.issparse(weights):
            change = weights.copy()
            change.data = rng.normal(size=weights.data.size)
        else:
            change = rng.normal(size=weights.shape)
        changes[key] = change
    return changes


def flat(values: dict) -> np.ndarray:
    """The values of all projections in the column order of the Jacobian."""
    parts = [m.data if sparse.issparse(m) else np.ravel(m) for m in values.values()]
    return np.concatenate(parts)


def in_time(result: es.Result, values: dict[str, np.ndarray]) -> np.ndarray:
    """Per-population values of spikes in the row order of the Jacobian: ascending in time."""
    times = np.concatenate([result.spikes[name].times for name in values])
    return np.concatenate(list(values.values()))[np.argsort(times, kind="stable")]


def check(result: es.Result, jacobian: np.ndarray, tangents: dict, change: dict,
          cotangents: dict, gradient: gradients.Gradient) -> None:  # fmt: skip
    """Assert that the Jacobian, the JVP and the VJP are one."""
    forward = jacobian @ flat(change)
    np.testing.assert_allclose(
        in_time(result, tangents), forward, rtol=1e-6, atol=1e-8 * np.abs(forward).max()
    )
    backward = in_time(result, cotangents) @ jacobian
    np.testing.assert_allclose(
        flat(gradient.weights), backward, rtol=1e-6, atol=1e-8 * np.abs(backward).max()
    )


def workload(name: str, simulate: Callable[[], es.Result], runs: int) -> dict:
    """Measure one network."""
    rng = np.random.default_rng(1)
    result = simulate()
    graph = result.causality()
    change = direction(result.network, rng)
    cotangents = {p: rng.normal(size=len(s.times)) for p, s in result.spikes.items()}
    functions = {
        "forward run": simulate,
        "causality graph": result.causality,
        "full Jacobian": lambda: gradients.forward_propagation(graph),
        "JVP": lambda: gradients.jvp(result, weights=change),
        "VJP": lambda: gradients.timing_backprop(result, spike_times=cotangents, threads=1),
    }
    jacobian = functions["full Jacobian"]()
    assert jacobian.shape[0] == SPIKES[name], f"{name}: {jacobian.shape[0]} spikes"
    check(result, jacobian, functions["JVP"](), change, cotangents, functions["VJP"]())
    measured = common.measure_together(functions, runs)
    return {"spikes": jacobian.shape[0], "parameters": jacobian.shape[1], "measured": measured}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    workloads = {"Yin-Yang 5-120-3": yin_yang_sample(), "recurrent": recurrent()}
    rows = {name: workload(name, run, options.runs) for name, run in workloads.items()}
    table = []
    for name, row in rows.items():
        m = row["measured"]
        ms = [1e3 * m[step]["cpu_s"] for step in STEPS]
        multiples = [common.ratio(m, step, "forward run") for step in STEPS[2:]]
        table.append([name, row["spikes"], row["parameters"], *ms, *multiples])
    columns = ["", "spikes", "weights", *(f"{step} ms" for step in STEPS),
               *(f"{step} / run" for step in STEPS[2:])]  # fmt: skip
    common.show("F1: forward propagation (CPU time, one thread)", columns, table)
    common.write_json("forward_propagation", {"workloads": rows})


if __name__ == "__main__":
    main()
