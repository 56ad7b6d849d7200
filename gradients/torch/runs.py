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
from typing import Any, ClassVar, NamedTuple, TypeAlias, TypeVar
from weakref import WeakValueDictionary

import numpy as np

from eventsim._support.types import FloatArray, IntArray
from eventsim._support.validate import require
from eventsim.network import Network
from eventsim.result import BatchResult
from eventsim.simulation import simulate
from eventsim.spikes import SpikeBatch
from gradients._runs import Reading
from gradients.jvp import jvp
from gradients.optim.trees import values_of
from gradients.timing_backprop import timing_backprop

__all__ = ["Runs", "Setting", "pull", "push", "run", "setting_of"]

Shape: TypeAlias = tuple[int, ...]
Array = TypeVar("Array", FloatArray, IntArray)

_numbers = itertools.count()
_SETTINGS: WeakValueDictionary[str, Setting] = WeakValueDictionary()


@dataclass(frozen=True, eq=False)
class Setting(Reading):
    """What is run and read; all but the operands.

    Attributes
    ----------
    silent : float
        What stands for a spike that there is not.
    name : str
        By which `setting_of` finds it, in this process.
    shapes : tuple of tuple of int
        Of the values of each leaf.
    """

    derivative: ClassVar[str] = "gradient"

    silent: float
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

    def checked(self, values: Sequence[FloatArray]) -> dict[int, FloatArray]:
        """Return values of the parameters by number.

        Raises
        ------
        ValueError
            If a value has another shape, or one of a projection is not finite.
        """
        for leaf, shape, value in zip(self.leaves, self.shapes, values, strict=True):
            if value.shape != shape:
                raise ValueError(f"{leaf.called} must have shape {shape}, got {value.shape}")
            if leaf.kind in ("weights", "delays"):
                require(np.isfinite(value), value, f"{leaf.called} must be finite")
        return dict(enumerate(values))

    def with_values(self, values: Sequence[FloatArray]) -> Network:
        """Return the network with other values of its parameters, which are checked."""
        self.checked(values)
        return super().with_values(values)

    def read_of(self, batch: BatchResult | None, output: str) -> FloatArray:
        """Return what is read of an output, (n_samples, *item)."""
        found = super().read_of(batch, output)
        if self.read == "potential":
            return found
        return np.where(found < np.inf, found, self.silent)

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
    """The runs of all members: one of all their samples, if it may be, or one each.

    It may be if they have one network that does the same for a sample wherever it stands.

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
    if setting.is_alike and all(len(value) == 1 for value in operands[n:]):
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
        np.concatenate([setting.read_of(batch, name) for batch in batches]).reshape(shape)
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
    setting.check(latencies)
    stimulus = {
        name: SpikeBatch.from_latencies(times.reshape(-1, times.shape[-1]))
        for name, times in zip(setting.inputs, latencies, strict=True)
    }
    return simulate(network, stimulus, setting.t_stop, engine=setting.engine, threads=threads)


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
        rows = [
            _of(group, values, n_members).reshape(len(batch), *setting.item(name))
            for name, values in zip(setting.outputs, cotangents, strict=True)
        ]
        gradient = timing_backprop(
            batch, **setting.loss_of(batch, rows), wrt=setting.kinds(wanted), threads=threads
        )
        for k, total in found.items():
            part = setting.slopes(gradient, k, _of(group, operands[k], n_members))
            if k >= len(setting.inputs):
                part = part[np.newaxis]  # by shared parameters it is the sum over the members
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
        changes = setting.tree(setting.checked(own[len(operands) + n :]))
        for sample in range(runs.n_samples if batch else 0):
            assert batch is not None
            result = batch[sample]
            by_input = {
                name: _row(slope, sample)[_row(time, sample) < np.inf]
                for name, time, slope in zip(setting.inputs, times, slopes, strict=True)
            }
            by_spike = jvp(result, input_times=by_input, **changes)
            for name in setting.outputs:
                moved[name][member, sample] = setting.moved(result.batch, name, by_spike[name])[0]
    return [rows.reshape(n_members, *samples, *setting.item(name)) for name, rows in moved.items()]


def _row(values: FloatArray, sample: int) -> FloatArray:
    """Return the values of a sample out of (*samples, n)."""
    return values.reshape(-1, values.shape[-1])[sample]
