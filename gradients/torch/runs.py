"""Runs of a network, and their derivatives, as functions of arrays; nothing here knows of torch.

A function takes operands: the latencies of each input, then the values of each parameter.  The
first axis of all of them, and of all that is returned, counts *members*: there are several of them
where a transformation (`torch.func.vmap`) takes a function of many operands at once.  An operand
that they have in common has a first axis of length 1.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar, get_args
from weakref import WeakValueDictionary

import numpy as np

from eventsim._support.types import FloatArray, IntArray
from eventsim._support.validate import as_finite, require
from eventsim.network import Network
from eventsim.result import BatchResult
from eventsim.simulation import simulate
from eventsim.spikes import SpikeBatch
from gradients.gradient import Gradient
from gradients.jvp import jvp
from gradients.optim.trees import values_of
from gradients.timing_backprop import timing_backprop

__all__ = [
    "READS",
    "Leaf",
    "Read",
    "Runs",
    "Setting",
    "leaves_of",
    "pull",
    "push",
    "run",
    "setting_of",
]

Read: TypeAlias = Literal["first_spikes", "spikes", "potential"]
READS = get_args(Read)
Shape: TypeAlias = tuple[int, ...]
Array = TypeVar("Array", FloatArray, IntArray)
Tree: TypeAlias = dict[str, dict[Any, Any]]

_numbers = itertools.count()
_SETTINGS: WeakValueDictionary[str, Setting] = WeakValueDictionary()


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

    def of(self, tree: Any) -> Any:
        """Return what a tree has for it: a number, an array or a sparse matrix."""
        value = tree[self.kind][self.key]
        return value if self.receptor is None else value[self.receptor]

    def put(self, tree: Tree, value: Any) -> None:
        """Give a tree a value for it."""
        branch = tree.setdefault(self.kind, {})
        if self.receptor is None:
            branch[self.key] = value
        else:
            branch.setdefault(self.key, {})[self.receptor] = value


def leaves_of(network: Network, kinds: Sequence[str]) -> list[Leaf]:
    """Return the parameters of these kinds, in the order of the network."""
    return [
        Leaf(kind, key, receptor)
        for kind, values in network.parameters(kinds).items()
        for key, value in values.items()
        for receptor in (value if isinstance(value, dict) else (None,))
    ]


@dataclass(frozen=True, eq=False)
class Setting:
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
    read : str
        What is read of the outputs.
    at : float or (n_times,) ndarray
        When potentials are read.
    n_spikes : int
        How many spikes of a neuron are read; of "first_spikes" 1.
    silent : float
        What stands for a spike that there is not.
    engine : str
        Of `eventsim.simulate`.
    name : str
        By which `setting_of` finds it, in this process.
    shapes : tuple of tuple of int
        Of the values of each leaf.
    """

    network: Network
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    leaves: tuple[Leaf, ...]
    t_stop: float
    read: Read
    at: float | FloatArray
    n_spikes: int
    silent: float
    engine: str
    name: str = field(init=False)
    shapes: tuple[Shape, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Take a name, and look up the shapes."""
        object.__setattr__(self, "name", str(next(_numbers)))
        _SETTINGS[self.name] = self
        tree = self.network.parameters({leaf.kind for leaf in self.leaves})
        shapes = (values_of(leaf.of(tree), leaf.name).shape for leaf in self.leaves)
        object.__setattr__(self, "shapes", tuple(shapes))

    def __deepcopy__(self, _: object) -> Setting:
        """Return itself: nothing in it changes."""
        return self

    def __reduce__(self) -> tuple[type[Setting], tuple[Any, ...]]:
        """Return how to make it again in another process, where it has another name."""
        return type(self), tuple(getattr(self, f.name) for f in fields(self) if f.init)

    def item(self, output: str) -> Shape:
        """Return the shape of what is read of an output in a sample."""
        n = self.network.populations[output]
        if self.read == "spikes":
            return (n, self.n_spikes)
        return (*np.shape(self.at), n) if self.read == "potential" else (n,)

    def tree(self, values: Sequence[FloatArray]) -> Tree:
        """Return values of the parameters in the form that networks and gradients have.

        Raises
        ------
        ValueError
            If a value has another shape, or one of a projection is not finite.
        """
        tree: Tree = {}
        for leaf, shape, value in zip(self.leaves, self.shapes, values, strict=True):
            if value.shape != shape:
                raise ValueError(f"{leaf.called} must have shape {shape}, got {value.shape}")
            leaf.put(tree, self._like(leaf, value))
        return tree

    def _like(self, leaf: Leaf, value: FloatArray) -> Any:
        if leaf.kind not in ("weights", "delays"):
            return value
        require(np.isfinite(value), value, f"{leaf.called} must be finite")
        if leaf.kind == "delays" and value.ndim == 0:
            return float(value)
        return self.network.projections[leaf.key].like(value.reshape(-1))

    def with_values(self, values: Sequence[FloatArray]) -> Network:
        """Return the network with other values of its parameters."""
        return self.network.replace(self.tree(values)) if self.leaves else self.network

    def of_network(self, other: Network) -> Setting:
        """Return the same for another network of the same structure.

        Raises
        ------
        ValueError
            If the structure is another one.
        """
        old = self.network
        same = (
            dict(other.inputs) == dict(old.inputs)
            and dict(other.populations) == dict(old.populations)
            and list(other.projections) == list(old.projections)
        )
        if not same:
            raise ValueError(f"the state must be that of {old}, got that of {other}")
        old.replace({kind: other.parameters((kind,))[kind] for kind in ("weights", "delays")})
        return replace(self, network=other)


def setting_of(name: str) -> Setting:
    """Return the `Setting` that has a name."""
    return _SETTINGS[name]


class Runs(NamedTuple):
    """The runs of all members: one of all their samples, if they have one network, or one each.

    There is no batch where there are no samples; ``n_samples`` is their number in a member.
    """

    n_members: int
    n_samples: int
    batches: list[BatchResult | None]

    def of(self, member: int) -> BatchResult | None:
        """Return the run of a member."""
        if self.n_members == 1 or len(self.batches) > 1:
            return self.batches[member]
        (batch,) = self.batches
        if batch is None:
            return None
        return batch[member * self.n_samples : (member + 1) * self.n_samples]


# --- running --------------------------------------------------------------------------------------


def run(
    setting: Setting, operands: Sequence[FloatArray], threads: int
) -> tuple[list[FloatArray], Runs]:
    """Return what is read of each output, (n_members, *samples, *item), and the runs."""
    n = len(setting.inputs)
    n_members = _n_members(operands)
    samples = operands[0].shape[1:-1]
    if all(len(value) == 1 for value in operands[n:]):
        groups = [slice(0, n_members)]
    else:
        groups = _each(n_members)
    batches = []
    for group in groups:
        own = [_of(group, operand, n_members) for operand in operands]
        network = setting.with_values([value[0] for value in own[n:]])
        batches.append(_simulated(setting, network, own[:n], threads))
    shapes = {name: (n_members, *samples, *setting.item(name)) for name in setting.outputs}
    outputs = [
        np.concatenate([_read(setting, batch, name) for batch in batches]).reshape(shape)
        for name, shape in shapes.items()
    ]
    return outputs, Runs(n_members, math.prod(samples), batches)


def _n_members(arrays: Sequence[FloatArray | IntArray]) -> int:
    return max(map(len, arrays))


def _each(n_members: int) -> list[slice]:
    return [slice(member, member + 1) for member in range(n_members)]


def _of_all(array: Array, n_members: int) -> Array:
    """Return the part of each member; of what they have in common, as many copies."""
    return np.broadcast_to(array, (n_members, *array.shape[1:]))


def _of(group: slice, array: FloatArray, n_members: int) -> FloatArray:
    """Return the part of a group of members."""
    return _of_all(array, n_members)[group]


def _simulated(
    setting: Setting, network: Network, latencies: Sequence[FloatArray], threads: int
) -> BatchResult | None:
    if not latencies[0].size:
        return None
    stimulus = {}
    for name, times in zip(setting.inputs, latencies, strict=True):
        require(times >= 0.0, times, f"latencies of {name!r} must be >= 0, or inf where silent")
        stimulus[name] = SpikeBatch.from_latencies(times.reshape(-1, times.shape[-1]))
    return simulate(network, stimulus, setting.t_stop, engine=setting.engine, threads=threads)


def _read(setting: Setting, batch: BatchResult | None, output: str) -> FloatArray:
    """Return what is read of an output, (n_samples, *item)."""
    if batch is None:
        return np.empty((0, *setting.item(output)))
    if setting.read == "potential":
        return batch.potential(output, at=setting.at)
    if setting.read == "first_spikes":
        times = batch.first_spikes(output)
    else:
        chosen, places = _places(setting, batch, output)
        times = np.full((len(batch), *setting.item(output)), np.inf)
        times[places] = batch.spikes[output].times[chosen]
    return np.where(times < np.inf, times, setting.silent)


def _places(
    setting: Setting, batch: BatchResult, output: str
) -> tuple[IntArray, tuple[IntArray, ...]]:
    """Return which spikes are read, and where each goes: its sample, neuron and number."""
    spikes, n = batch.spikes[output], setting.network.populations[output]
    owner = spikes.samples * n + spikes.indices
    order = np.argsort(owner, kind="stable")
    _, first, counts = np.unique(owner[order], return_index=True, return_counts=True)
    number = np.empty_like(order)
    number[order] = np.arange(order.size) - np.repeat(first, counts)
    chosen = np.flatnonzero(number < setting.n_spikes)
    return chosen, (spikes.samples[chosen], spikes.indices[chosen], number[chosen])


# --- backward -------------------------------------------------------------------------------------


def pull(
    setting: Setting,
    runs: Runs,
    which: IntArray,
    cotangents: Sequence[FloatArray],
    operands: Sequence[FloatArray],
    wanted: Sequence[int],
    threads: int,
) -> list[FloatArray]:
    """Return the derivatives by the wanted operands, given those by what was read.

    Parameters
    ----------
    setting : Setting
        What was run and read.
    runs : Runs
        The runs, whose members are others than those here, if one of them has many cotangents.
    which : (n_members or 1,) ndarray of int
        Member of the runs that is meant.
    cotangents : sequence of (n_members or 1, *samples, *item) ndarray
        Of each output.
    operands : sequence of ndarray
        Of the runs, or as many of each as there are members: then the derivatives are apart, too.
    wanted : sequence of int
        Numbers of operands.
    threads : int
        Number of threads.
    """
    n_members = _n_members([which, *cotangents, *operands])
    found = {k: np.zeros(operands[k].shape) for k in wanted}
    for group, batch in _groups(setting, runs, _of_all(which, n_members), operands, wanted):
        rows = [_of(group, values, n_members) for values in cotangents]
        gradient = timing_backprop(
            batch, **_loss(setting, batch, rows), wrt=_kinds(setting, wanted), threads=threads
        )
        for k, total in found.items():
            part = _part(setting, gradient, k, _of(group, operands[k], n_members))
            if len(total) > 1:
                total[group] += part
            else:
                total += part.sum(axis=0)
    return list(found.values())


def _groups(
    setting: Setting,
    runs: Runs,
    which: IntArray,
    operands: Sequence[FloatArray],
    wanted: Sequence[int],
) -> Iterator[tuple[slice, BatchResult]]:
    """Yield members with their run, all at once where one gradient says what is wanted."""
    n = len(setting.inputs)
    shared = all(len(operands[k]) == 1 for k in wanted if k >= n)
    if shared and len(runs.batches) == 1 and np.array_equal(which, np.arange(runs.n_members)):
        pairs = [(slice(0, runs.n_members), runs.batches[0])]
    else:
        pairs = [(group, runs.of(which[group.start])) for group in _each(which.size)]
    yield from ((group, batch) for group, batch in pairs if batch is not None)


def _part(setting: Setting, gradient: Gradient, k: int, operand: FloatArray) -> FloatArray:
    """Return the derivative by the members of an operand; by shared parameters it is their sum."""
    n = len(setting.inputs)
    if k >= n:
        leaf = setting.leaves[k - n]
        return values_of(leaf.of(gradient.tree), leaf.name)[np.newaxis]
    slopes = np.zeros(operand.shape)
    slopes[operand < np.inf] = gradient.input_times[setting.inputs[k]]
    return slopes


def _kinds(setting: Setting, wanted: Sequence[int]) -> list[str]:
    """Return the kinds of parameters that the wanted operands are, as `timing_backprop` has it."""
    n = len(setting.inputs)
    kinds = ["input_times" if k < n else setting.leaves[k - n].kind for k in wanted]
    return list(dict.fromkeys(kinds))


def _loss(setting: Setting, batch: BatchResult, rows: Sequence[FloatArray]) -> dict[str, Any]:
    """Return derivatives by what was read of the outputs, as `timing_backprop` takes them."""
    by_output: dict[str, FloatArray] = {}
    for name, members in zip(setting.outputs, rows, strict=True):
        values = members.reshape(len(batch), *setting.item(name))
        if setting.read == "potential":
            by_output[name] = values
        elif setting.read == "first_spikes":
            by_output[name] = np.where(batch.first_spikes(name) < np.inf, values, 0.0)
        else:
            chosen, places = _places(setting, batch, name)
            by_output[name] = np.zeros(len(batch.spikes[name]))
            by_output[name][chosen] = values[places]
        as_finite(by_output[name], by_output[name].shape, f"gradient by the output {name!r}")
    if setting.read == "potential":
        return {"potentials": by_output, "potentials_at": setting.at}
    return {"first_spikes" if setting.read == "first_spikes" else "spike_times": by_output}


# --- forward --------------------------------------------------------------------------------------


def push(
    setting: Setting,
    runs: Runs,
    which: IntArray,
    tangents: Sequence[FloatArray],
    operands: Sequence[FloatArray],
) -> list[FloatArray]:
    """Return how what was read moves with the operands, (n_members, *samples, *item) each."""
    n, n_members = len(setting.inputs), _n_members([which, *tangents, *operands])
    samples = operands[0].shape[1:-1]
    moved = {
        name: np.zeros((n_members, runs.n_samples, *setting.item(name))) for name in setting.outputs
    }
    for member in range(n_members):
        batch = runs.of(_of_all(which, n_members)[member])
        group = slice(member, member + 1)
        own = [_of(group, values, n_members)[0] for values in (*operands, *tangents)]
        times, slopes = own[:n], own[len(operands) : len(operands) + n]
        changes = setting.tree(own[len(operands) + n :])
        for sample in range(runs.n_samples if batch else 0):
            assert batch is not None
            result = batch[sample]
            by_input = {
                name: _row(slope, sample)[_row(time, sample) < np.inf]
                for name, time, slope in zip(setting.inputs, times, slopes, strict=True)
            }
            by_spike = jvp(result, input_times=by_input, **changes)
            for name in setting.outputs:
                moved[name][member, sample] = _moved(setting, result.batch, name, by_spike[name])
    return [rows.reshape(n_members, *samples, *setting.item(name)) for name, rows in moved.items()]


def _row(values: FloatArray, sample: int) -> FloatArray:
    """Return the values of a sample out of (*samples, n)."""
    return values.reshape(-1, values.shape[-1])[sample]


def _moved(setting: Setting, run: BatchResult, output: str, by_spike: FloatArray) -> FloatArray:
    """Return how the spikes that are read of a single run move."""
    chosen, places = _places(setting, run, output)
    moved = np.zeros((1, setting.network.populations[output], setting.n_spikes))
    moved[places] = by_spike[chosen]
    return moved.reshape(setting.item(output))
