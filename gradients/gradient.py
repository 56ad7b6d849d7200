"""The gradient of a loss by every parameter of a network."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import sparse

from eventsim._support.types import FloatArray, Matrix
from eventsim._support.validate import as_floats, as_mapping
from eventsim.model.neuron import LIF, by_receptor
from eventsim.model.parameters import DIFFERENTIABLE, NEURON
from eventsim.network import Network
from eventsim.start import State
from gradients._sweeps.events import POTENTIAL
from gradients.norm import norm_in_unit

__all__ = ["RATES", "Gradient", "gradient_of_network", "names_by_neuron"]

RATES = {"alpha": "tau_syn", "beta": "tau_mem"}
"""The time constants of which the equations use the inverse."""


@dataclass(frozen=True, eq=False)
class Gradient:
    """Derivatives of a scalar loss.

    Attributes
    ----------
    weights : dict of key -> (n_pre, n_post) ndarray or csr_array
        By the weights of each projection; dense or sparse as the weights are.
    delays : dict of key -> float, ndarray or csr_array
        By the delays, in the form in which they were given.
    tau_mem, tau_syn, threshold, bias, rest, reset : dict of str -> (n,) ndarray
        By the neuron parameters of each population (by an infinite time constant: 0); of "tau_syn",
        if it was given by receptor, a dict of these.
    initial : dict of str -> State
        By the states at t = 0: potential and current, each (n,), or (n_samples, n) if the samples
        of a batch began in states of their own.
    alpha, beta : dict of str -> (n,) ndarray
        By the rates ``1/tau_syn`` and ``1/tau_mem``; "alpha" has the form of "tau_syn".
    input_times : dict of str -> (n_spikes,) ndarray
        By the time of each input spike, in the order in which the caller gave the spikes.
    min_slope : float
        Smallest dV/dt at a spike (``inf`` without spikes).  A spike that is about to appear or
        vanish has a slope near 0, and gradients grow like its inverse: they are exact up to the
        point where the number of spikes changes, and blind to what happens there.
    silent_fraction : float
        Fraction of the neurons with a finite threshold that did not fire (averaged over samples):
        a silent neuron gets no gradient.

    Examples
    --------
    >>> import gradients
    >>> gradients.Gradient(min_slope=0.5, silent_fraction=0.0).norm
    0.0
    """

    weights: dict[Any, Matrix] = field(default_factory=dict)
    delays: dict[Any, float | Matrix] = field(default_factory=dict)
    tau_mem: dict[str, FloatArray] = field(default_factory=dict)
    tau_syn: dict[str, FloatArray | dict[str, FloatArray]] = field(default_factory=dict)
    threshold: dict[str, FloatArray] = field(default_factory=dict)
    bias: dict[str, FloatArray] = field(default_factory=dict)
    rest: dict[str, FloatArray] = field(default_factory=dict)
    reset: dict[str, FloatArray] = field(default_factory=dict)
    initial: dict[str, State] = field(default_factory=dict)
    alpha: dict[str, FloatArray | dict[str, FloatArray]] = field(default_factory=dict)
    beta: dict[str, FloatArray] = field(default_factory=dict)
    input_times: dict[str, FloatArray] = field(default_factory=dict)
    min_slope: float = np.inf
    silent_fraction: float = 0.0

    @property
    def tree(self) -> dict[str, dict[Any, Any]]:
        """The derivatives by kind: what the optimizers take, of the form of the parameters."""
        return {name: getattr(self, name) for name in DIFFERENTIABLE}

    @property
    def norm(self) -> float:
        """Euclidean norm of the gradient by all weights."""
        unit, norm = norm_in_unit(
            as_floats(value.data if sparse.issparse(value) else value, f"weights[{key!r}]")
            for key, value in as_mapping(self.weights, "weights").items()
        )
        return unit * norm


def names_by_neuron(wanted: Collection[str]) -> list[str]:
    """Return the wanted parameters of neurons, and the rates of wanted time constants."""
    names = [p.name for p in NEURON if p.name in wanted and p.differentiable]
    return names + [rate for rate, name in RATES.items() if name in wanted]


def gradient_of_network(
    network: Network,
    by_neuron: Mapping[str, FloatArray],
    by_start: FloatArray | None,
    **rest: Any,
) -> Gradient:
    """Return the `Gradient` of a network.

    Parameters
    ----------
    network : Network
        Whose populations share the neurons out among them.
    by_neuron : dict of str -> (n_neurons,) or (n_neurons, n_receptors) ndarray
        Derivatives by the names of `names_by_neuron`.
    by_start : (n_samples or 1, n_neurons, 1 + n_receptors) ndarray, optional
        By the states at t = 0: current, potential, and the currents of further receptors.
    rest
        Other fields of the `Gradient`.
    """
    parts = {name: network.neurons_of(name) for name in network.populations}
    initial = {}
    if by_start is not None:
        rows = by_start if by_start.shape[0] > 1 else by_start[0]
        currents = np.delete(rows, POTENTIAL, axis=-1)
        initial = {
            name: State(
                rows[..., part, POTENTIAL],
                by_receptor(network.neurons[name], currents[..., part, :]),
            )
            for name, part in parts.items()
        }
    split: dict[str, Any] = {
        name: {
            key: _of_population(network.neurons[key], name, values[part])
            for key, part in parts.items()
        }
        for name, values in by_neuron.items()
    }
    return Gradient(initial=initial, **split, **rest)


def _of_population(
    neuron: LIF, name: str, values: FloatArray
) -> FloatArray | dict[str, FloatArray]:
    """Return derivatives by a parameter; those of receptors with names by these."""
    if name not in ("tau_syn", "alpha"):
        return values
    return by_receptor(neuron, values.reshape(values.shape[0], -1))
