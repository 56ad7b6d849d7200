"""Closed loops: what parts of 1 ms cost beside one run, by the number of neurons.

``python benchmarks/closed_loop.py``.  A network under Poisson input runs at once, and in a `stream`
whose stimulus is a function, called before each part.  With a delay of 1 ms parts end where windows
do; with 1.5 ms most end within a window, which the next part begins anew.  CPU seconds, one thread;
both in turn, medians.  The spikes of both are asserted to be the same.  Aimed at: twice the run.
"""

from __future__ import annotations

import argparse
from itertools import product

import common

common.one_thread()

import numpy as np  # noqa: E402

import eventsim as es  # noqa: E402

T_STOP, CHUNK = 200.0, 1.0  # ms
OUT_DEGREE = 50


def build(n: int, delay: float) -> es.Network:
    """Return a network of ``n`` neurons with 50 synapses and 1 input spike a ms each."""
    net = es.Network()
    net.add_poisson("outside", n, rate=1.0, seed=n)
    net.add_population("neurons", n, es.LIF(20.0, 5.0, 20.0, refractory=2.0))
    net.connect("outside", "neurons", es.one_to_one(n, n, weights=0.28))
    within = es.fixed_outdegree(n, n, OUT_DEGREE, weights=0.05, delays=delay, seed=n)
    net.connect("neurons", "neurons", within)
    return net


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--delays", type=float, nargs="+", default=[1.0, 1.5], help="ms")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    rows, results = [], {}
    for delay, n in product(options.delays, options.sizes):
        net, found = build(n, delay), {}

        def whole(net: es.Network = net, found: dict = found) -> None:
            spikes = es.simulate(net, {}, T_STOP, threads=1).spikes["neurons"]
            found["whole"] = spikes.times, spikes.indices

        def parts(net: es.Network = net, found: dict = found) -> None:
            loop = es.stream(net, lambda *_: {}, T_STOP, chunk=CHUNK, threads=1)
            each = [part.spikes["neurons"] for part in loop]
            found["parts"] = tuple(
                np.concatenate([getattr(spikes, name) for spikes in each])
                for name in ("times", "indices")
            )

        measured = common.measure_together({"whole": whole, "parts": parts}, options.runs)
        assert all(map(np.array_equal, found["whole"], found["parts"])), n
        per_part = 1e3 * measured["parts"]["cpu_s"] / (T_STOP / CHUNK)
        rows.append(
            [delay, n, len(found["whole"][0]), 1e3 * measured["whole"]["cpu_s"],
             1e3 * measured["parts"]["cpu_s"], per_part, common.ratio(measured, "parts", "whole")]
        )  # fmt: skip
        results[f"{delay:g} ms, {n}"] = measured
    columns = ["delay", "neurons", "spikes", "one run, ms", "in parts, ms", "a part, ms", "times"]
    common.show(f"closed loop of {T_STOP:g} ms, in parts of {CHUNK:g} ms", columns, rows)
    common.write_json("closed_loop", results)


if __name__ == "__main__":
    main()
