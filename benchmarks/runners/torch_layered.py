"""Run a network of `layered_network` on a time grid in snnTorch or Norse; one JSON line per line.

Called by ``layered.py`` with the interpreter of an environment that has them:
``python torch_layered.py NETWORK.npz METHOD STEPS GRADIENT.npz``. Same weights, float32, one
thread; every input spike lies in the step that it falls in. All methods get what makes them
faster: the dense input array is made before the clock starts, and a layer's weights multiply all
steps in one product.

snnTorch adds the whole current to the potential in every step, hence the step times the weights;
Norse's potential obeys tau_mem V' = -V + I, hence tau_mem times the weights.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
import common
import layered_network as ln


def main() -> None:
    """Run once per line read; the first run's gradient is kept."""
    import torch

    torch.set_num_threads(1)
    path, method, n_steps, gradient_path = sys.argv[1:]
    step = Step(ln.load(path), METHODS[method], int(n_steps))
    described: dict = {}
    for _ in sys.stdin:
        parts = {"forward": common.timed(step.forward), "step": common.timed(step.backward)}
        described = described or step.describe(gradient_path)
        print("JSON" + json.dumps(described | {"parts": parts}), flush=True)


class Step:
    """One minibatch on a time grid."""

    def __init__(self, network: ln.Layered, method: Callable, n_steps: int) -> None:
        import torch

        self.hidden, self.readout = (
            torch.tensor(weights, dtype=torch.float32, requires_grad=True)
            for weights in (network.hidden, network.readout)
        )
        self.input = torch.from_numpy(binned(network.latencies, n_steps))
        self.labels = torch.from_numpy(network.labels)
        self.run = method(network, ln.T_STOP / n_steps)

    def forward(self) -> tuple:
        """Hidden spikes (n_steps, n_samples, 400) and final readout potentials, no gradient."""
        import torch

        with torch.no_grad():
            return self.run(self.input, self.hidden, self.readout)

    def backward(self) -> float:
        """Return the loss; its gradient is in the weights' ``grad``."""
        import torch

        self.hidden.grad = self.readout.grad = None
        _, potentials = self.run(self.input, self.hidden, self.readout)
        loss = torch.nn.functional.cross_entropy(potentials, self.labels)
        loss.backward()
        return float(loss.detach())

    def describe(self, path: str) -> dict:
        """Count the spikes; write the gradient to ``path``."""
        spikes, _ = self.forward()
        loss = self.backward()
        np.savez(path, hidden=self.hidden.grad.numpy(), readout=self.readout.grad.numpy())
        return {"spikes": int(spikes.sum()), "loss": loss}


def binned(latencies: np.ndarray, n_steps: int) -> np.ndarray:
    """(n_steps, n_samples, n_inputs) float32: 1 in the step that a spike falls in."""
    samples, indices = np.nonzero(np.isfinite(latencies))
    steps = (latencies[samples, indices] / ln.T_STOP * n_steps).astype(np.int64)
    grid = np.zeros((n_steps, *latencies.shape), dtype=np.float32)
    grid[steps, samples, indices] = 1.0
    return grid


def snntorch_method(network: ln.Layered, dt: float) -> Callable:
    """`snntorch.Synaptic`, reset to zero, fast sigmoid; a readout that never fires.

    Of the surrogate gradients tried (arctangent, which is the default, sigmoid, straight-through)
    the fast sigmoid's direction is the nearest to the exact gradient's.
    """
    import snntorch
    import torch
    from snntorch import surrogate

    decays = {"alpha": math.exp(-dt / network.tau_syn), "beta": math.exp(-dt / network.tau_mem)}
    neuron = snntorch.Synaptic(
        **decays, threshold=1.0, reset_mechanism="zero", spike_grad=surrogate.fast_sigmoid()
    )
    silent = snntorch.Synaptic(**decays, threshold=math.inf, reset_mechanism="none")

    def run(inputs, hidden, readout):
        states = [torch.zeros(inputs.shape[1], w.shape[1]) for w in (hidden, hidden)]
        outputs = []
        for current in inputs @ (hidden * dt):
            spikes, *states = neuron(current, *states)
            outputs.append(spikes)
        spikes = torch.stack(outputs)
        states = [torch.zeros(inputs.shape[1], w.shape[1]) for w in (readout, readout)]
        for current in spikes @ (readout * dt):
            _, *states = silent(current, *states)
        return spikes, states[-1]

    return run


def norse_method(network: ln.Layered, dt: float, *, adjoint: bool) -> Callable:
    """Norse's LIF step, SuperSpike surrogate or discretised adjoint; its leaky integrator."""
    import torch
    from norse.torch.functional import leaky_integrator, lif
    from norse.torch.functional.adjoint import lif_adjoint

    rates = {
        "tau_syn_inv": torch.tensor(1.0 / network.tau_syn),
        "tau_mem_inv": torch.tensor(1.0 / network.tau_mem),
    }
    neuron, silent = lif.LIFParameters(**rates), leaky_integrator.LIParameters(**rates)
    step = lif_adjoint.lif_feed_forward_adjoint_step if adjoint else lif.lif_feed_forward_step

    def run(inputs, hidden, readout):
        rest = torch.zeros(inputs.shape[1], hidden.shape[1])
        state = lif.LIFFeedForwardState(rest, rest)
        outputs = []
        for current in inputs @ (hidden * network.tau_mem):
            spikes, state = step(current, state, neuron, dt)
            outputs.append(spikes)
        spikes = torch.stack(outputs)
        rest = torch.zeros(inputs.shape[1], readout.shape[1])
        state = leaky_integrator.LIState(rest, rest)
        for current in spikes @ (readout * network.tau_mem):
            potentials, state = leaky_integrator.li_feed_forward_step(current, state, silent, dt)
        return spikes, potentials

    return run


METHODS = {
    "snntorch": snntorch_method,
    "norse": partial(norse_method, adjoint=False),
    "norse-adjoint": partial(norse_method, adjoint=True),
}


if __name__ == "__main__":
    main()
