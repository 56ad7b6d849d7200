"""Networks as functions of arrays, for other libraries: their operands, and what is read of runs.

A function takes the latencies of inputs and the values of parameters as plain arrays, and returns
what is read of populations.  Nothing here knows of the library.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from eventsim._support.types import FloatArray, IntArray
from eventsim._support.validate import as_count, as_finite, require, shown
from eventsim.generators import Poisson
from eventsim.network import Network
from eventsim.result import BatchResult
from gradients.gradient import Gradient
from gradients.optim.trees import values_of

__all__ = ["READS", "Leaf", "Read", "Reading", "leaves_of", "number_of_spikes"]

Read: TypeAlias = Literal["first_spikes", "spikes", "potential"]
READS = get_args(Read)
Tree: TypeAlias = dict[str, dict[Any, Any]]


class Leaf(NamedTuple):
    """A parameter: its kind, whose it is, and of which receptor, if it is one's."""

    kind: str
    key: Any
    receptor: str | None = None

    @property
    def name(self) -> str:
        """As ``in->hidden`` or ``in->hidden:name``; as ``hidden`` or ``hidden:receptor``."""
        if self.kind in ("weights", "delays"):
            pre, post, *rest = self.key
            return ":".join([f"{pre}->{post}", *map(str, rest)])
        return self.key if self.receptor is None else f"{self.key}:{self.receptor}"

    @property
    def called(self) -> str:
        """Its name in messages."""
        return f"{self.kind} of {self.name!r}"

    @property
    def path(self) -> tuple[Any, ...]:
        """Where it is in a tree."""
        return self[:2] if self.receptor is None else tuple(self)

    def of(self, tree: Any) -> Any:
        """Return what a tree has for it: a number, an array or a sparse matrix."""
        for key in self.path:
            tree = tree[key]
        return tree

    def put(self, tree: Tree, value: Any) -> None:
        """Give a tree a value for it."""
        branch: dict[Any, Any] = tree
        for key in self.path[:-1]:
            branch = branch.setdefault(key, {})
        branch[self.path[-1]] = value


def leaves_of(network: Network, kinds: Sequence[str]) -> tuple[Leaf, ...]:
    """Return the parameters of these kinds, in the order of the network."""
    return tuple(
        Leaf(kind, key, receptor)
        for kind, values in network.parameters(kinds).items()
        for key, value in values.items()
        for receptor in (value if isinstance(value, dict) else (None,))
    )


def number_of_spikes(read: str, n_spikes: int | None) -> int:
    """Return how many spikes of a neuron are read.

    Raises
    ------
    ValueError
        If the number is missing, or given where it means nothing.
    """
    if read == "spikes":
        return as_count(n_spikes, "n_spikes")
    if n_spikes is not None:
        raise ValueError(f"n_spikes must be None unless read='spikes', got {shown(n_spikes)}")
    return 1


@dataclass(frozen=True, eq=False)
class Reading:
    """What is run and read; all but the operands.

    Attributes
    ----------
    network : Network
        Its own values hold for what is no operand.
    inputs, outputs : tuple of str
        Names of the inputs that are given, and of the populations that are read.
    leaves : tuple of Leaf
        Which parameters are operands.
    t_stop : float
        End of the run.
    read : {"first_spikes", "spikes", "potential"}
        What is read of the outputs.
    at : float or (n_times,) ndarray
        When potentials are read.
    n_spikes : int
        How many spikes of a neuron are read; of "first_spikes" 1.
    engine : str
        Of `eventsim.simulate`.
    """

    derivative: ClassVar[str] = "derivative"  # what the library calls it

    network: Network
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    leaves: tuple[Leaf, ...]
    t_stop: float
    read: Read
    at: float | FloatArray
    n_spikes: int
    engine: str

    @property
    def is_alike(self) -> bool:
        """Whether a sample does the same wherever it stands in a batch."""
        return not any(isinstance(g, Poisson) for g in self.network.generators.values())

    def item(self, output: str) -> tuple[int, ...]:
        """Return the shape of what is read of an output in a sample."""
        n = self.network.populations[output]
        if self.read == "spikes":
            return (n, self.n_spikes)
        return (*np.shape(self.at), n) if self.read == "potential" else (n,)

    def tree(self, values: Mapping[int, FloatArray]) -> Tree:
        """Return values of parameters, by number, in the form that networks and gradients have."""
        tree: Tree = {}
        for number, value in values.items():
            leaf = self.leaves[number]
            leaf.put(tree, self._like(leaf, value))
        return tree

    def _like(self, leaf: Leaf, value: FloatArray) -> Any:
        if leaf.kind == "delays" and value.ndim == 0:
            return float(value)
        if leaf.kind in ("weights", "delays"):
            return self.network.projections[leaf.key].like(value.reshape(-1))
        return value

    def with_values(self, values: Sequence[FloatArray]) -> Network:
        """Return the network with other values of its parameters."""
        tree = self.tree(dict(enumerate(values)))
        return self.network.replace(tree) if self.leaves else self.network

    def check(self, latencies: Sequence[FloatArray]) -> None:
        """Raise a ValueError unless the latencies of each input can be spike times."""
        for name, times in zip(self.inputs, latencies, strict=True):
            require(times >= 0.0, times, f"latencies of {name!r} must be >= 0, or inf where silent")

    def read_of(self, batch: BatchResult | None, output: str) -> FloatArray:
        """Return what is read of an output, (n_samples, *item)."""
        if batch is None:
            return np.empty((0, *self.item(output)))
        if self.read == "potential":
            return batch.potential(output, at=self.at)
        if self.read == "first_spikes":
            return batch.first_spikes(output)
        chosen, places = self._places(batch, output)
        return self._placed(batch, output, places, batch.spikes[output].times[chosen], np.inf)

    def moved(self, batch: BatchResult, output: str, by_spike: FloatArray) -> FloatArray:
        """Return how what is read moves, if each spike of an output moves so; 0 where silent."""
        chosen, places = self._places(batch, output)
        moved = self._placed(batch, output, places, by_spike[chosen], 0.0)
        return moved.reshape(len(batch), *self.item(output))

    def _placed(
        self,
        batch: BatchResult,
        output: str,
        places: tuple[IntArray, ...],
        values: FloatArray,
        fill: float,
    ) -> FloatArray:
        placed = np.full((len(batch), self.network.populations[output], self.n_spikes), fill)
        placed[places] = values
        return placed

    def _places(self, batch: BatchResult, output: str) -> tuple[IntArray, tuple[IntArray, ...]]:
        """Return which spikes are read, and where each goes: its sample, neuron and number."""
        spikes, n = batch.spikes[output], self.network.populations[output]
        owner = spikes.samples * n + spikes.indices
        order = np.argsort(owner, kind="stable")
        _, first, counts = np.unique(owner[order], return_index=True, return_counts=True)
        number = np.empty_like(order)
        number[order] = np.arange(order.size) - np.repeat(first, counts)
        chosen = np.flatnonzero(number < self.n_spikes)
        return chosen, (spikes.samples[chosen], spikes.indices[chosen], number[chosen])

    def loss_of(self, batch: BatchResult, rows: Sequence[FloatArray]) -> dict[str, Any]:
        """Return derivatives by what was read of the outputs, as `timing_backprop` takes them.

        What a spike that there is not would be multiplied by does not matter, NaN neither.
        """
        loss: dict[str, FloatArray] = {}
        for name, values in zip(self.outputs, rows, strict=True):
            if self.read == "potential":
                loss[name] = values
            elif self.read == "first_spikes":
                loss[name] = np.where(batch.first_spikes(name) < np.inf, values, 0.0)
            else:
                chosen, places = self._places(batch, name)
                loss[name] = np.zeros(len(batch.spikes[name]))
                loss[name][chosen] = values[places]
            said = f"{self.derivative} by the output {name!r}"
            as_finite(loss[name], loss[name].shape, said)
        if self.read == "potential":
            return {"potentials": loss, "potentials_at": self.at}
        return {"first_spikes" if self.read == "first_spikes" else "spike_times": loss}

    def kinds(self, wanted: Sequence[int]) -> list[str]:
        """Return the kinds of the operands of these numbers, as `timing_backprop` has it."""
        n = len(self.inputs)
        kinds = ["input_times" if k < n else self.leaves[k - n].kind for k in wanted]
        return list(dict.fromkeys(kinds))

    def slopes(self, gradient: Gradient, k: int, operand: FloatArray) -> FloatArray:
        """Return the derivative by an operand: of an input by all of its latencies."""
        n = len(self.inputs)
        if k >= n:
            leaf = self.leaves[k - n]
            return values_of(leaf.of(gradient.tree), f"gradient of {leaf.path}")
        slopes = np.zeros(operand.shape)
        slopes[operand < np.inf] = gradient.input_times[self.inputs[k]]
        return slopes
