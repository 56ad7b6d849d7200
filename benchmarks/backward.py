"""Time of the backward sweep in units of the forward run: R1 (N = 1000) and a Yin-Yang minibatch.

``python benchmarks/backward.py``. Forward and backward run in turn on one thread; all parameters'
gradients are computed. Target: at most 2. The number of events is asserted, the time never.
"""

from __future__ import annotations

import argparse

import common

common.one_thread()
import numpy as np  # noqa: E402
import recurrent_network as rn  # noqa: E402
import yin_yang  # noqa: E402
from runners.eventsim_recurrent import build  # noqa: E402

import eventsim as es  # noqa: E402
import gradients  # noqa: E402

# Synaptic events of the forward run.
EVENTS = {
    "R1, N = 1000": 1_517_383,
    "Yin-Yang 5-120-3": 58_383,
    "Yin-Yang 5-150-3": 68_562,
}
TARGET = 2.0


def recurrent(t_stop: float) -> tuple[dict, int]:
    """Forward and backward on R1, with a random derivative by every spike time."""
    network = rn.draw(1000, t_stop=t_stop)
    net, stimulus = build(network)
    result = es.simulate(net, stimulus, t_stop, threads=1)
    cotangent = np.random.default_rng(0).normal(size=len(result.spikes["neurons"]))
    functions = {
        "forward": lambda: es.simulate(net, stimulus, t_stop, threads=1),
        "backward": lambda: gradients.timing_backprop(
            result, spike_times={"neurons": cotangent}, threads=1
        ),
    }
    return functions, result.events.synaptic


def yin_yang_batch(hidden: int) -> tuple[dict, int]:
    """Forward and backward on a minibatch of 150."""
    work = yin_yang.task(hidden, yin_yang.NEURONS["1 : 0.999"])
    rng = np.random.default_rng(0)
    params = work.initial(rng)
    rows = yin_yang.minibatches(len(work.labels), rng)[0]
    functions = yin_yang.step_of(work, params, rows, threads=1)
    return functions, yin_yang.count(work, params, rows)[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=9)
    options = parser.parse_args()
    workloads = {
        "R1, N = 1000": recurrent(1000.0),
        "Yin-Yang 5-120-3": yin_yang_batch(120),
        "Yin-Yang 5-150-3": yin_yang_batch(150),
    }
    rows, content = [], {}
    for name, (functions, events) in workloads.items():
        assert EVENTS.get(name, events) == events, f"{name}: {events} synaptic events"
        m = common.measure_together(functions, options.runs)
        ratio = common.ratio(m, "backward", "forward")
        content[name] = {"events": events, "measured": m, "ratio": ratio}
        forward, backward = (1e3 * m[which]["cpu_s"] for which in ("forward", "backward"))
        rows.append([name, events, forward, backward, 1e6 * forward / events, ratio, TARGET])
    columns = ["", "synaptic events", "forward ms", "backward ms", "forward ns/event",
               "backward / forward", "target"]  # fmt: skip
    common.show("Backward sweep, one thread (CPU time)", columns, rows)
    common.write_json("backward", content)


if __name__ == "__main__":
    main()
