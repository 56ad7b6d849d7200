"""W1 on one thread and on two, called over and over: wall time, for two sizes of the minibatch.

``python benchmarks/layer_threads.py`` prints medians.  Calls that follow each other at once are the
case of training; `layered.py` times calls with other programs in between.
"""

from __future__ import annotations

import argparse

import common
import layered_network as ln
from runners.eventsim_layered import Step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, nargs="+", default=[100, 2000])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rows, results = [], {}
    for n in options.batches:
        work = Step(ln.draw("W1", n))
        calls = max(1, 1000 // n)
        for name, function in (("forward", work.forward), ("step", work.step)):
            parts = {
                f"{threads}": lambda f=function, t=threads, c=calls: [f(t) for _ in range(c)]
                for threads in (1, 2)
            }
            measured = common.measure_together(parts, options.rounds)
            one, two = (measured[key]["wall_s"] / calls for key in ("1", "2"))
            rows.append([n, name, 1e3 * one, 1e3 * two, one / two])
            results[f"{name}, {n}"] = {"one_s": one, "two_s": two}
    columns = ["minibatch", "part", "one thread, ms", "two threads, ms", "gain"]
    common.show("W1: one thread and two", columns, rows)
    common.write_json("layer_threads", results)


if __name__ == "__main__":
    main()
