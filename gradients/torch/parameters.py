"""Parameters of a network as parameters of a torch module."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from eventsim._support.types import FloatArray
from eventsim._support.validate import as_floats, check_name, require
from eventsim.network import Network
from gradients._runs import Leaf
from gradients.optim.trees import values_of

__all__ = ["Parameters"]

POSITIVE = ("delays", "tau_mem", "tau_syn")
"""Kinds of parameters that have to be positive."""


class Parameters(nn.Module):
    """Parameters of one kind, by the keys of the network: those of a `SpikingNetwork`.

    What has to be positive is the softplus, log(1 + exp(x)), of the parameter x that optimizers
    move, whose name then begins with ``raw_``: no step leads out of the range.

    Parameters
    ----------
    network : Network
        Where they begin.
    leaves : sequence of Leaf
        Which ones.
    constrained : bool
        False: delays and time constants are parameters as they are.

    Raises
    ------
    ValueError
        If a value is not positive that has to be, or there is no parameter of such a name in torch.

    Examples
    --------
    >>> import eventsim as es
    >>> from gradients.torch import SpikingNetwork
    >>> net = es.Network()
    >>> net.add_input("in", 1)
    >>> net.add_population("out", 2, es.LIF(tau_mem=[1.0, 2.0]))
    >>> key = net.connect("in", "out", weights=[[1.0, 2.0]])
    >>> snn = SpikingNetwork(net, learn=("weights", "tau_mem"), t_stop=5.0)
    >>> [name for name, _ in snn.named_parameters()]
    ['weights.in->out', 'tau_mem.raw_out']
    >>> snn.weights["in", "out"].shape, snn.tau_mem["out"].tolist()
    (torch.Size([1, 2]), [1.0, 2.0])
    >>> snn.tau_mem["out"] = [3.0, 2.0]
    >>> snn.tau_mem["out"].tolist()
    [3.0, 2.0]
    """

    def __init__(self, network: Network, leaves: Sequence[Leaf], constrained: bool) -> None:
        """Register a parameter for each leaf."""
        super().__init__()
        self._names: dict[Any, str] = {}
        self._is_raw = constrained and any(leaf.kind in POSITIVE for leaf in leaves)
        tree = network.parameters({leaf.kind for leaf in leaves})
        for leaf in leaves:
            name = f"raw_{leaf.name}" if self._is_raw else leaf.name
            if "." in name or hasattr(self, name):
                raise ValueError(
                    f"{leaf.kind} must be of populations and projections whose names torch can "
                    f"give to parameters, without '.' and not taken, got {leaf.name!r}"
                )
            start = self._parameter(values_of(leaf.of(tree), leaf.called), leaf.called)
            self.register_parameter(name, nn.Parameter(start))
            self._names[leaf.key if leaf.receptor is None else (leaf.key, leaf.receptor)] = name

    def _parameter(self, values: FloatArray, what: str) -> Tensor:
        """Return the parameter that has these values."""
        if self._is_raw:
            require(values > 0.0, values, f"{what} must be > 0, to be learnt as a softplus")
        tensor = torch.tensor(values)
        return softplus_inverse(tensor) if self._is_raw else tensor

    def __getitem__(self, key: Any) -> Tensor:
        """Return the values of a projection or population, or of a pair of it and a receptor."""
        check_name(key, self._names, "key must be one of")
        return self._value(self._names[key])

    def __setitem__(self, key: Any, values: Any) -> None:
        """Set such values; the parameter stays the same object."""
        old, what = self[key], f"values of {key!r}"
        given = values.detach().cpu() if isinstance(values, Tensor) else values
        array = as_floats(given, what)
        if array.shape != old.shape:
            raise ValueError(f"{what} must have shape {tuple(old.shape)}, got {array.shape}")
        with torch.no_grad():
            getattr(self, self._names[key]).copy_(self._parameter(array, what))

    def _value(self, name: str) -> Tensor:
        parameter: Tensor = getattr(self, name)
        return softplus(parameter) if self._is_raw else parameter

    def values(self) -> list[Tensor]:
        """Return the values of all keys."""
        return [self._value(name) for name in self._names.values()]

    def keys(self) -> list[Any]:
        """Return the keys."""
        return list(self._names)

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the keys."""
        return iter(self._names)

    def __len__(self) -> int:
        """Return the number of keys."""
        return len(self._names)


def softplus(raw: Tensor) -> Tensor:
    """Return log(1 + exp(raw)), to rounding everywhere: torch's own is the identity above 20."""
    return torch.logaddexp(raw, torch.zeros_like(raw))


def softplus_inverse(values: Tensor) -> Tensor:
    """Return what has these values, > 0, for its softplus."""
    return values + torch.log(-torch.expm1(-values))
