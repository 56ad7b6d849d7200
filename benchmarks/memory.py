"""Memory per synapse and per spike, and of whole runs against a budget.

``python benchmarks/memory.py``. Each workload runs in a fresh process, which compiles (or loads)
what it needs on a small network first, and then notes the resident memory that is added, and at the
peak. The numbers of spikes, synapses and inputs are asserted, the memory never.

- Synapses: 10 million are drawn and connected (`fixed_indegree`), then compiled for the engines.
- Spikes: a million are recorded, without any synapse.
- Runs: the arrays that a caller has anyway (weights, input times and indices) are made before; the
  budget is 64 bytes per recorded spike + 24 per synapse + 24 per input spike (time, index, order).
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import common
import numpy as np

PER_SPIKE, PER_SYNAPSE, PER_INPUT = 64, 24, 24
# workload: (spikes, synapses, input spikes)
COUNTS = {
    "R1, N = 1 000": (11_189, 101_000, 400_383),
    "R1, N = 10 000": (113_360, 1_010_000, 3_995_956),
    "a million spikes, no synapse": (1_178_925, 0, 0),
    "9 million synapses, dense": (23_563, 9_030_000, 1000),
}


def recurrent(size: int):
    """R1: many inputs, 100 synapses per neuron."""
    import recurrent_network as rn
    from runners.eventsim_recurrent import arrays, build_from

    prepared = arrays(rn.draw(size))
    return lambda: (*build_from(prepared), 1000.0)


def many_spikes(n: int = 100, t_stop: float = 10_000.0):
    """Biased neurons that fire about once per time unit, no input, no synapse."""
    import eventsim as es

    bias = np.linspace(1.5, 2.0, n)

    def build():
        net = es.Network()
        net.add_population("neurons", n, es.LIF(tau_mem=1.0, tau_syn=0.5, bias=bias))
        return net, {}, t_stop

    return build


def many_synapses(n: int = 3000):
    """A dense network of 9 million synapses, with few spikes."""
    import eventsim as es

    rng = np.random.default_rng(0)
    weights = rng.normal(0.0, 0.01, (n, n))
    stimulus = {"in": es.Spikes(rng.uniform(0.0, 1.0, 1000), rng.integers(0, 10, 1000))}
    external = rng.normal(0.02, 0.01, (10, n))

    def build():
        net = es.Network()
        net.add_input("in", 10)
        net.add_population("neurons", n, es.LIF(tau_mem=1.0, tau_syn=0.5))
        net.connect("in", "neurons", weights=external)
        net.connect("neurons", "neurons", weights=weights, delays=0.1)
        return net, stimulus, 2.0

    return build


RUNS = {
    "R1, N = 1 000": lambda: recurrent(1000),
    "R1, N = 10 000": lambda: recurrent(10_000),
    "a million spikes, no synapse": many_spikes,
    "9 million synapses, dense": many_synapses,
}


def resident() -> int:
    """Resident memory now, bytes."""
    return _status("VmRSS")


def peak() -> int:
    """Largest resident memory since `forget_peak`, bytes."""
    return _status("VmHWM")


def forget_peak() -> None:
    """Start a new peak (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return 1024 * int(line.split()[1])
    raise RuntimeError(f"/proc/self/status has no {field}")


def settled() -> int:
    """Resident memory, bytes; what is free but still resident would hide what is new."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    forget_peak()
    return resident()


def per_synapse(own_delays: bool) -> dict:
    """Bytes per synapse of a network, of its compiled form, and while each is made."""
    import eventsim as es
    from eventsim._layout.wiring import compiled_form

    def weights(rng, size):
        return rng.normal(1.0, 0.1, size)

    def delays(rng, size):
        return rng.uniform(0.5, 5.0, size)

    def connected(n: int, indegree: int):
        net = es.Network()
        net.add_population("neurons", n, es.LIF(tau_mem=20.0, tau_syn=5.0))
        options = {"weights": weights, "delays": delays if own_delays else 1.5, "seed": 1}
        drawn = es.fixed_indegree(n, n, indegree, **options)
        net.connect("neurons", "neurons", drawn)
        return net

    compiled_form(connected(100, 10))
    row, before = {"synapses": 10_000_000}, settled()
    seconds = common.timed(lambda: row.update(net=connected(10_000, 1000)))
    net, n = row.pop("net"), row["synapses"]
    assert net.projections["neurons", "neurons"].values.size == n
    row |= {"connect_s": seconds["cpu_s"], "connecting": (peak() - before) / n}
    built = settled()
    seconds = common.timed(lambda: compiled_form(net))
    return row | {
        "network": (built - before) / n,
        "compile_s": seconds["cpu_s"],
        "compiled": (resident() - built) / n,
        "compiling": (peak() - built) / n,
    }


def per_spike(engine: str) -> dict:
    """Bytes per spike of the result of a run, and at its peak."""
    import eventsim as es

    def run(n: int, t_stop: float):
        net, stimulus, t_stop = many_spikes(n, t_stop)()
        return es.simulate(net, stimulus, t_stop, engine=engine, threads=1)

    run(100, 10.0)
    before = settled()
    result = run(100, 10_000.0)
    n = result.events.spikes
    assert n == COUNTS["a million spikes, no synapse"][0], n
    at_peak = peak()
    return {"spikes": n, "peak": (at_peak - before) / n, "recorded": (settled() - before) / n}


def of_run(name: str) -> dict:
    """Bytes of a network and of a run of it, without and with a gradient."""
    import eventsim as es
    import gradients

    def simulate_and_sweep(net, stimulus, t_stop):
        result = es.simulate(net, stimulus, t_stop, threads=1)
        forward = peak()
        population = next(iter(net.populations))
        ones = np.ones(len(result.spikes[population]))
        gradient = gradients.timing_backprop(result, spike_times={population: ones}, threads=1)
        return result, forward, gradient

    simulate_and_sweep(*many_spikes(1, 10.0)())
    build = RUNS[name]()
    before = settled()
    net, stimulus, t_stop = build()
    built = resident()
    result, forward, _ = simulate_and_sweep(net, stimulus, t_stop)
    return {
        "spikes": int(result.events.spikes),
        "inputs": int(result.events.inputs),
        "synapses": sum(_n_synapses(p.weights) for p in net.projections.values()),
        "network": built - before,
        "forward": forward - before,
        "backward": peak() - before,
    }


def _n_synapses(weights) -> int:
    return int(weights.nnz if hasattr(weights, "nnz") else weights.size)


WORKLOADS = {
    "one delay": lambda: per_synapse(own_delays=False),
    "a delay each": lambda: per_synapse(own_delays=True),
    "scheduler": lambda: per_spike("scheduler"),
    "windows": lambda: per_spike("windows"),
    **{name: partial(of_run, name) for name in RUNS},
}


def measure(name: str) -> dict:
    """Measure a workload in a fresh process, which prints a JSON line."""
    command = [sys.executable, __file__, "--child", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def against_budget(name: str, row: dict) -> dict:
    """Check the counts of a run, and compare its memory with the budget."""
    counted = row["spikes"], row["synapses"], row["inputs"]
    assert COUNTS.get(name, counted) == counted, f"{name}: {counted}"
    budget = (PER_SPIKE * row["spikes"], PER_SYNAPSE * row["synapses"], PER_INPUT * row["inputs"])
    return row | {"budget": sum(budget), "ratio": row["forward"] / sum(budget)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(WORKLOADS[options.child]()))
        return
    if not Path("/proc/self/clear_refs").exists():
        print("skipped: needs Linux and glibc (/proc/self/clear_refs, malloc_trim)")
        return
    rows = {name: measure(name) for name in WORKLOADS}
    show_each(
        "Bytes per synapse (CPU seconds of 10 million)",
        {name: rows[name] for name in ("one delay", "a delay each")},
        ["network", "connecting", "connect_s", "compiled", "compiling", "compile_s"],
    )
    show_each(
        "Bytes per spike of a run",
        {name: rows[name] for name in ("scheduler", "windows")},
        ["recorded", "peak"],
    )
    runs = {name: against_budget(name, rows[name]) for name in RUNS}
    table = [
        [name, r["spikes"], r["synapses"], r["inputs"], r["network"] / 1e6, r["forward"] / 1e6,
         r["budget"] / 1e6, r["ratio"], r["backward"] / 1e6]
        for name, r in runs.items()
    ]  # fmt: skip
    columns = ["", "spikes", "synapses", "inputs", "network MB", "forward peak MB", "budget MB",
               "forward / budget", "with gradient MB"]  # fmt: skip
    common.show("Memory added by building and running a network", columns, table)
    common.write_json("memory", {"workloads": rows | runs})


def show_each(title: str, rows: dict[str, dict], columns: list[str]) -> None:
    table = [[name, *(float(row[column]) for column in columns)] for name, row in rows.items()]
    common.show(title, ["", *columns], table)


if __name__ == "__main__":
    main()
