"""Run a network of `layered_network` in eventsim; print one JSON line per line read.

Called by ``layered.py``: ``python eventsim_layered.py NETWORK.npz GRADIENT.npz``. Timed are the
forward run and the whole step (forward run, loss, gradients of both weight matrices), each from new
weights and a given `SpikeBatch`, on one thread and on two.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]
import common  # noqa: E402
import layered_network as ln  # noqa: E402

import eventsim as es  # noqa: E402
import gradients  # noqa: E402

HIDDEN, READOUT = ("in", "hidden"), ("hidden", "out")


class Step:
    """One minibatch: the network, its input and its labels."""

    def __init__(self, network: ln.Layered) -> None:
        n_in, n_hidden, n_out = ln.SIZES
        times = {"tau_mem": network.tau_mem, "tau_syn": network.tau_syn}
        self.weights = {HIDDEN: network.hidden, READOUT: network.readout}
        self.labels = network.labels
        self.stimulus = {"in": es.SpikeBatch.from_latencies(network.latencies)}
        self.net = es.Network()
        self.net.add_input("in", n_in)
        self.net.add_population("hidden", n_hidden, es.LIF(**times))
        self.net.add_population("out", n_out, es.LIF(**times, threshold=np.inf))
        for key, weights in self.weights.items():
            self.net.connect(*key, weights=weights)

    def forward(self, threads: int) -> es.BatchResult:
        """Run the minibatch."""
        net = self.net.replace(weights=self.weights)
        return es.simulate(net, self.stimulus, ln.T_STOP, engine="layered", threads=threads)

    def loss(self, result: es.BatchResult) -> tuple[float, np.ndarray]:
        """Loss, and its derivative by the readouts' potentials."""
        return ln.cross_entropy(result.potential("out"), self.labels)

    def step(self, threads: int) -> gradients.Gradient:
        """Run the minibatch and return the gradient of its loss."""
        result = self.forward(threads)
        _, slope = self.loss(result)
        return gradients.timing_backprop(
            result, potentials={"out": slope}, wrt=("weights",), threads=threads
        )

    def parts(self) -> dict[str, Callable[[], object]]:
        """Functions to time."""
        return {
            "forward": lambda: self.forward(1),
            "step": lambda: self.step(1),
            "forward, 2 threads": lambda: self.forward(2),
            "step, 2 threads": lambda: self.step(2),
        }


def describe(step: Step, path: str) -> dict:
    """Count the events of the minibatch; write its gradient to ``path``."""
    result = step.forward(1)
    weights = step.step(1).weights
    assert all(np.isfinite(values).all() for values in weights.values())
    np.savez(path, hidden=weights[HIDDEN], readout=weights[READOUT])
    return {
        "spikes": int(result.events.spikes),
        "synaptic": int(result.events.synaptic),
        "loss": step.loss(result)[0],
    }


def main() -> None:
    """Run once per line read; count and write the gradient after the first run."""
    path, gradient_path = sys.argv[1:]
    step = Step(ln.load(path))
    described: dict = {}
    for _ in sys.stdin:
        parts = {name: common.timed(function) for name, function in step.parts().items()}
        described = described or describe(step, gradient_path)
        print("JSON" + json.dumps(described | {"parts": parts}), flush=True)


if __name__ == "__main__":
    main()
