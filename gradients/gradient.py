"""The gradient of a loss by every parameter of a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scipy import sparse

from eventsim._support.types import FloatArray, Key, Matrix
from eventsim._support.validate import as_floats, as_mapping
from eventsim.model.parameters import DIFFERENTIABLE, NEURON, Parameter
from eventsim.network import Network
from gradients.norm import norm_in_unit

__all__ = ["Gradient", "gradient_of_network"]


@dataclass(frozen=True, eq=False)
class Gradient:
    """Derivatives of a scalar loss.

    Attributes
    ----------
    weights : dict of key -> (n_pre, n_post) ndarray or csr_array
        By the weights of each projection; dense or sparse as the weights are.
    delays : dict of key -> float, ndarray or csr_array
        By the delays, in the form in which they were given.
    tau_mem, tau_syn, threshold, bias : dict of str -> (n,) ndarray
        By the neuron parameters of each population (by an infinite time constant: 0).
    alpha, beta : dict of str -> (n,) ndarray
        By the rates ``1/tau_syn`` and ``1/tau_mem``.
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
    >>> gradients.Gradient({}, {}, {}, {}, {}, {}, {}, {}, {}, 0.5, 0.0).norm
    0.0
    """

    weights: dict[Any, Matrix]
    delays: dict[Any, float | Matrix]
    tau_mem: dict[str, FloatArray]
    tau_syn: dict[str, FloatArray]
    threshold: dict[str, FloatArray]
    bias: dict[str, FloatArray]
    alpha: dict[str, FloatArray]
    beta: dict[str, FloatArray]
    input_times: dict[str, FloatArray]
    min_slope: float
    silent_fraction: float

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


def gradient_of_network(
    network: Network,
    *,
    weights: dict[Key, Matrix],
    delays: dict[Key, float | Matrix],
    neurons: Mapping[str, FloatArray],
    **rest: Any,
) -> Gradient:
    """Return the `Gradient` of a network.

    Parameters
    ----------
    network : Network
        Whose populations share ``neurons`` out among them.
    weights, delays : dict
        By projection, as in the `Gradient`.
    neurons : dict of str -> (n_neurons,) ndarray
        Derivatives by "threshold", "bias", "alpha" and "beta" of all neurons; those left out are
        left empty.
    rest
        Other fields of the `Gradient`.
    """

    def split(name: str) -> dict[str, FloatArray]:
        if name not in neurons:
            return {}
        return {key: neurons[name][network.neurons_of(key)] for key in network.populations}

    def pulled(parameter: Parameter) -> dict[str, FloatArray]:
        values = {key: getattr(neuron, parameter.name) for key, neuron in network.neurons.items()}
        derivatives = split(parameter.symbol)
        return {key: parameter.pulled(by, values[key]) for key, by in derivatives.items()}

    by_neuron: dict[str, Any] = {p.name: pulled(p) for p in NEURON if p.differentiable}
    return Gradient(
        weights=weights,
        delays=delays,
        alpha=split("alpha"),
        beta=split("beta"),
        **by_neuron,
        **rest,
    )
