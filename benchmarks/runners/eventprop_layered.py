"""Run a network of `layered_network` in eventprop; print one JSON line per line read.

Called by ``layered.py`` with the interpreter of an environment that has eventprop, the C++ program
of Wunderlich & Pehle (2021): ``python eventprop_layered.py NETWORK.npz GRADIENT.npz``. Its spike
times are exact where tau_mem = 2 tau_syn; for other ratios it misses some spikes.

eventprop has no readout at a given time: the readouts' potentials and their derivatives are written
here, with numpy. Handing over each spike's derivative takes a call from Python, which is not timed.
Its potential obeys tau_mem V' = -V + I, hence tau_mem times the hidden weights.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
import common
import layered_network as ln


class Step:
    """One minibatch."""

    def __init__(self, network: ln.Layered) -> None:
        from eventprop import eventprop_cpp

        self.library = eventprop_cpp
        self.network = network
        self.input = eventprop_cpp.SpikesVector()
        for latencies in network.latencies:
            order = np.argsort(latencies)[: np.isfinite(latencies).sum()]
            self.input.append(eventprop_cpp.Spikes(latencies[order], order.astype(np.int32)))

    def forward(self) -> tuple:
        """Return hidden spikes, sample by sample, and the readouts' potentials."""
        network = self.network
        weights = network.hidden * network.tau_mem
        spikes, _ = self.library.compute_spikes_batch_cpp(
            weights, self.input, 1.0, network.tau_mem, network.tau_syn
        )
        potentials = [self.response(each)[0] @ network.readout[each.sources] for each in spikes]
        return weights, spikes, np.array(potentials)

    def errors(self) -> dict:
        """Run forward; return the loss and its derivatives by readout weights and hidden spikes."""
        network = self.network
        weights, spikes, potentials = self.forward()
        loss, slopes = ln.cross_entropy(potentials, network.labels)
        readout, errors = np.zeros_like(network.readout), []
        for each, slope in zip(spikes, slopes, strict=True):
            values, derivatives = self.response(each)
            np.add.at(readout, each.sources, values[:, None] * slope)
            errors.append(-derivatives * (network.readout[each.sources] @ slope))
        return {"weights": weights, "spikes": spikes, "loss": loss, "readout": readout,
                "errors": errors}  # fmt: skip

    def hidden(self, weights: np.ndarray, spikes) -> np.ndarray:
        """Gradient of the hidden weights, from the errors that the spikes carry."""
        network, gradient = self.network, np.zeros_like(weights)
        self.library.backward_spikes_batch_cpp(
            self.input, spikes, weights, gradient, 1.0, network.tau_mem, network.tau_syn
        )
        return gradient

    def timed(self) -> tuple[dict, dict]:
        """Time a forward run and a step; return (row, gradients)."""
        parts, kept = {"forward": common.timed(self.forward)}, {}
        first = common.timed(lambda: kept.update(self.errors()))
        for each, errors in zip(kept["spikes"], kept["errors"], strict=True):
            for k, error in enumerate(errors):
                each.set_error(k, error)
        second = common.timed(
            lambda: kept.update(hidden=self.hidden(kept["weights"], kept["spikes"]))
        )
        parts["step"] = {name: first[name] + second[name] for name in first}
        spikes = sum(int((each.times <= ln.T_STOP).sum()) for each in kept["spikes"])
        return {"spikes": spikes, "loss": kept["loss"], "parts": parts}, kept

    def response(self, spikes) -> tuple[np.ndarray, np.ndarray]:
        """Kernel h(T_STOP - t) and its derivative for each spike; 0 for spikes after T_STOP."""
        alpha, beta = 1.0 / self.network.tau_syn, 1.0 / self.network.tau_mem
        lags = np.maximum(ln.T_STOP - spikes.times, 0.0)
        synaptic, membrane = np.exp(-alpha * lags), np.exp(-beta * lags)
        in_time = spikes.times <= ln.T_STOP
        values = (synaptic - membrane) / (beta - alpha)
        return values, in_time * (beta * membrane - alpha * synaptic) / (beta - alpha)


def main() -> None:
    """Run once per line read; the first run's gradient is kept."""
    path, gradient_path = sys.argv[1:]
    step = Step(ln.load(path))
    for k, _ in enumerate(sys.stdin):
        row, gradient = step.timed()
        if k == 0:
            np.savez(gradient_path, hidden=gradient["hidden"], readout=gradient["readout"])
        print("JSON" + json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
