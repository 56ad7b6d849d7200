"""U1: what a user waits for: ``import eventsim``, the first simulation cold and from the cache.

``python benchmarks/startup.py``. Each figure is the median of fresh processes; "cold" starts with
an empty numba cache, "cached" with the one that a cold run has filled. How long the peers NEST and
Brian2 take to import is measured where their interpreters are given. The number of spikes is
asserted. Targets: import <= 1 s, first simulation <= 20 s cold and <= 1.5 s from the cache.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from statistics import median

import common

SPIKES = 1
TARGETS = {"import": 1.0, "first simulate, cold": 20.0, "first simulate, cached": 1.5}
CODE = """
import json, time
def clock():
    return time.perf_counter(), time.process_time()
a = clock()
import eventsim as es
b = clock()
net = es.Network()
net.add_input("in", 2)
net.add_population("out", 1, es.LIF(tau_mem=2.0, tau_syn=1.0))
net.connect("in", "out", weights=[[1.0], [2.0]], delays=0.1)
stimulus = {"in": es.Spikes([0.0, 0.3], [0, 1])}
c = clock()
result = es.simulate(net, stimulus, t_stop=4.0)
d = clock()
es.simulate(net, stimulus, t_stop=4.0)
e = clock()
print(json.dumps({"import": [b[k] - a[k] for k in (0, 1)],
                  "first": [d[k] - c[k] for k in (0, 1)],
                  "second": [e[k] - d[k] for k in (0, 1)],
                  "spikes": len(result.spikes["out"].times)}))
"""


def start(cache: str) -> dict:
    """Run `CODE` in a fresh process with this numba cache; (wall, CPU) seconds of each part."""
    environment = os.environ | {"NUMBA_CACHE_DIR": cache, "PYTHONPATH": str(common.HERE.parent)}
    command = [sys.executable, "-c", CODE]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    row = json.loads(done.stdout)
    assert row["spikes"] == SPIKES, row
    return row


def middle(rows: list[dict], part: str) -> dict[str, float]:
    """Medians of wall and CPU seconds."""
    wall, cpu = (median(row[part][k] for row in rows) for k in (0, 1))
    return {"wall_s": wall, "cpu_s": cpu, "runs": len(rows)}


def measure(cold_runs: int, runs: int) -> dict[str, dict]:
    """Start cold, then from the cache of the last cold start."""
    cold = []
    for _ in range(cold_runs):
        with tempfile.TemporaryDirectory() as cache:
            cold.append(start(cache))
    with tempfile.TemporaryDirectory() as cache:
        cold.append(start(cache))
        cached = [start(cache) for _ in range(runs)]
    return {
        "import": middle(cached, "import"),
        "first simulate, cold": middle(cold, "first"),
        "first simulate, cached": middle(cached, "first"),
        "second simulate": middle(cached, "second"),
    }


def import_of(module: str, python: str | None, runs: int) -> dict[str, float] | str:
    """Time the import of a peer, or say why it was not done."""
    if not python:
        return "no interpreter given"
    code = (
        f"import time; t = time.perf_counter(), time.process_time(); import {module}\n"
        "print('TIMES', time.perf_counter() - t[0], time.process_time() - t[1])"
    )
    rows = []
    for _ in range(runs):
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
        if done.returncode:
            return done.stderr.strip().splitlines()[-1]
        line = next(x for x in done.stdout.splitlines() if x.startswith("TIMES"))
        rows.append({"import": [float(x) for x in line.split()[1:]]})
    return middle(rows, "import")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cold-runs", type=int, default=2, help="beside one that fills the cache")
    parser.add_argument("--runs", type=int, default=7)
    for kind in ("nest", "brian"):
        default = os.environ.get(f"EVENTSIM_{kind.upper()}_PYTHON")
        parser.add_argument(f"--{kind}-python", default=default)
    options = parser.parse_args()
    measured = measure(options.cold_runs, options.runs)
    peers = {
        "import nest": import_of("nest", options.nest_python, options.runs),
        "import brian2": import_of("brian2", options.brian_python, options.runs),
    }
    rows = [
        [name, m["wall_s"], m["cpu_s"], TARGETS.get(name, "")] for name, m in measured.items()
    ] + [[name, m["wall_s"], m["cpu_s"], ""] for name, m in peers.items() if isinstance(m, dict)]
    common.show("U1: start-up, fresh processes", ["", "wall s", "CPU s", "target s"], rows)
    for name, reason in peers.items():
        if isinstance(reason, str):
            print(f"  {name}: skipped, {reason}")
    common.write_json("startup", {"measured": measured, "peers": peers})


if __name__ == "__main__":
    main()
