"""Runs of a network and their derivatives, as functions of arrays with leading *member axes*.

There is one for each `jax.vmap` around a call, as long as this axis, or 1 where all members have an
operand in common.  Nothing here calls JAX: that could wait for the very call that runs.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from eventsim._support.types import FloatArray
from eventsim.ranks import digest_of
from eventsim.result import BatchResult
from gradients.gradient import Gradient
from gradients.jax.setting import Setting
from gradients.jvp import jvp
from gradients.timing_backprop import timing_backprop

__all__ = ["Function", "Shape"]

Shape: TypeAlias = tuple[int, ...]

KEPT = 4  # runs at most that wait for their derivatives


class Runs(NamedTuple):
    """The runs of members, (*axes): one of all their samples together, or one each.

    There is no batch where there are no samples; ``n_samples`` is their number in a member.
    """

    axes: Shape
    n_samples: int
    batches: list[BatchResult | None]

    def of(self, member: int) -> BatchResult | None:
        """Return the run of a member."""
        if len(self.batches) == math.prod(self.axes):
            return self.batches[member]
        (batch,) = self.batches
        return batch and batch[member * self.n_samples : (member + 1) * self.n_samples]


class Function:
    """What JAX is told of, as functions of arrays: a run, and its derivatives both ways.

    Operands are the latencies of each input, then the values of each parameter.  A run that is to
    be differentiated is kept until this is done, by what its operands are: whoever does not find it
    runs the network again, to the same bits.  So all of this can be called in any order, any number
    of times, by several threads.
    """

    def __init__(self, setting: Setting) -> None:
        """Begin without any run."""
        self.setting = setting
        self._kept: OrderedDict[str, Runs] = OrderedDict()
        self._lock = threading.Lock()

    def run(self, operands: Sequence[FloatArray], *, n_axes: int, keep: bool) -> list[FloatArray]:
        """Return what is read of each output, (*members, *samples, *item)."""
        runs = self._kept_runs(operands, n_axes, keep) if keep else self._run(operands, n_axes)
        shape = runs.axes + operands[0].shape[n_axes:-1]
        return [
            np.concatenate([self.setting.read_of(batch, name) for batch in runs.batches]).reshape(
                shape + self.setting.item(name)
            )
            for name in self.setting.outputs
        ]

    def pull(
        self, arrays: Sequence[FloatArray], *, n_axes: int, axes: Sequence[Shape | None]
    ) -> list[FloatArray]:
        """Return derivatives by operands, given those by what was read.

        Parameters
        ----------
        arrays : sequence of ndarray
            The derivatives by each output, then the operands.
        n_axes : int
            Number of member axes.
        axes : sequence of tuple, or None
            The member axes of the derivative by each operand, which is a sum over members where
            they are 1; None: it is not wanted.
        """
        n = len(self.setting.outputs)
        cotangents, operands = arrays[:n], arrays[n:]
        wanted = {k: own for k, own in enumerate(axes) if own is not None}
        found = {k: np.zeros(own + operands[k].shape[n_axes:]) for k, own in wanted.items()}
        runs = self._kept_runs(operands, n_axes, keep=False)
        members = _axes_of([*cotangents, *operands], n_axes)
        rows = [_flat(array, members, n_axes) for array in cotangents]
        latencies = [_flat(array, members, n_axes) for array in operands[: self._n_inputs]]
        for group, batch in self._groups(runs, members, wanted):
            if batch is None:
                continue
            own = [row[group].reshape(len(batch), *row.shape[-self._item_ndim :]) for row in rows]
            gradient = timing_backprop(
                batch,
                **self.setting.loss_of(batch, own),
                wrt=self.setting.kinds(list(wanted)),
                threads=self.setting.threads,
            )
            self._add(found, gradient, group, members, latencies)
        return list(found.values())

    def push(
        self, arrays: Sequence[FloatArray], *, n_axes: int, moving: Sequence[int]
    ) -> list[FloatArray]:
        """Return how what was read moves: with the operands of the numbers ``moving``.

        Their changes are the first arrays, then come the operands.
        """
        self.check_forward()
        setting = self.setting
        tangents, operands = arrays[: len(moving)], arrays[len(moving) :]
        runs, members = self._kept_runs(operands, n_axes, keep=False), _axes_of(arrays, n_axes)
        changes = dict(zip(moving, (_flat(t, members, n_axes) for t in tangents), strict=True))
        latencies = [_flat(array, members, n_axes) for array in operands[: self._n_inputs]]
        samples = operands[0].shape[n_axes:-1]
        moved = {
            name: np.zeros((math.prod(members), runs.n_samples, *setting.item(name)))
            for name in setting.outputs
        }
        for member, number in enumerate(_numbers(runs, members)):
            batch = runs.of(number)
            own = {k: change[member] for k, change in changes.items()}
            tree = setting.tree(
                {k - self._n_inputs: v for k, v in own.items() if k >= self._n_inputs}
            )
            for k in range(0 if batch is None else len(batch)):
                assert batch is not None
                by_input = {
                    name: _row(own[i], k)[_row(latencies[i][member], k) < np.inf]
                    for i, name in enumerate(setting.inputs)
                    if i in own
                }
                by_spike = jvp(batch[k], input_times=by_input, **tree)
                for name, rows in moved.items():
                    rows[member, k] = setting.moved(batch[k].batch, name, by_spike[name])[0]
        shape = members + samples
        return [rows.reshape(shape + setting.item(name)) for name, rows in moved.items()]

    def check_forward(self) -> None:
        """Raise a ValueError if there is no forward mode of what is read."""
        if self.setting.read == "potential":
            raise ValueError(
                "forward mode (jax.jvp, jax.jacfwd) needs read='first_spikes' or 'spikes', got "
                "'potential'; reverse mode (jax.grad, jax.vjp) gives the derivatives of potentials"
            )

    @property
    def _n_inputs(self) -> int:
        return len(self.setting.inputs)

    @property
    def _item_ndim(self) -> int:
        return 2 if self.setting.read == "spikes" else 1

    def _run(self, operands: Sequence[FloatArray], n_axes: int) -> Runs:
        """Run all members: at once, if they have one network."""
        axes, n_samples = _axes_of(operands, n_axes), math.prod(operands[0].shape[n_axes:-1])
        latencies, values = operands[: self._n_inputs], operands[self._n_inputs :]
        rows = [_flat(array, axes, n_axes).reshape(-1, array.shape[-1]) for array in latencies]
        if self.setting.is_alike and all(math.prod(v.shape[:n_axes]) == 1 for v in values):
            shared = [value.reshape(value.shape[n_axes:]) for value in values]
            return Runs(axes, n_samples, [self.setting.run(rows, shared)])
        each = [_flat(value, axes, n_axes) for value in values]
        batches = [
            self.setting.run(
                [row[k * n_samples : (k + 1) * n_samples] for row in rows],
                [value[k] for value in each],
            )
            for k in range(math.prod(axes))
        ]
        return Runs(axes, n_samples, batches)

    def _kept_runs(self, operands: Sequence[FloatArray], n_axes: int, keep: bool) -> Runs:
        """Return the runs of operands, made now if they are not kept, and keep them, or no more.

        Axes of length 1 in all operands do not count: derivatives may have more than the run.
        """
        axes = _axes_of(operands, n_axes)
        alone = tuple(k for k, size in enumerate(axes) if size == 1)
        own, n_own = [np.squeeze(x, alone) for x in operands], n_axes - len(alone)
        key = digest_of(n_own, own)
        with self._lock:
            runs = self._kept.pop(key, None)
        if runs is None:
            runs = self._run(own, n_own)
        if keep:
            with self._lock:
                self._kept[key] = runs
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
        return runs._replace(axes=axes)

    def _groups(
        self, runs: Runs, members: Shape, wanted: dict[int, Shape]
    ) -> Iterator[tuple[slice, BatchResult | None]]:
        """Yield members with their run: all at once, where one sweep says all that is wanted."""
        summed = all(math.prod(own) == 1 for k, own in wanted.items() if k >= self._n_inputs)
        if summed and members == runs.axes and len(runs.batches) == 1:
            yield slice(0, math.prod(members)), runs.batches[0]
            return
        for member, number in enumerate(_numbers(runs, members)):
            yield slice(member, member + 1), runs.of(number)

    def _add(
        self,
        found: dict[int, FloatArray],
        gradient: Gradient,
        group: slice,
        members: Shape,
        latencies: Sequence[FloatArray],
    ) -> None:
        """Add the derivatives of a group of members to those by the wanted operands."""
        for k, total in found.items():
            if k >= self._n_inputs:
                slopes = self.setting.slopes(gradient, k, total)
                total[_place(group.start, members, total)] += slopes.reshape(
                    total.shape[len(members) :]
                )
                continue
            slopes = self.setting.slopes(gradient, k, latencies[k][group])
            for member, own in enumerate(slopes, start=group.start):
                total[_place(member, members, total)] += own


def _axes_of(arrays: Sequence[FloatArray], n_axes: int) -> Shape:
    """Return the member axes of arrays together."""
    return np.broadcast_shapes(*(array.shape[:n_axes] for array in arrays))


def _flat(array: FloatArray, members: Shape, n_axes: int) -> FloatArray:
    """Return an array with one axis of all members in the place of several."""
    own = array.shape[n_axes:]
    return np.broadcast_to(array, members + own).reshape(math.prod(members), *own)


def _row(values: FloatArray, k: int) -> FloatArray:
    """Return the values of a sample out of (*samples, n)."""
    return values.reshape(-1, values.shape[-1])[k]


def _numbers(runs: Runs, members: Shape) -> list[int]:
    """Return which run each member has: several may have one."""
    numbers = np.arange(math.prod(runs.axes)).reshape(runs.axes)
    return np.broadcast_to(numbers, members).reshape(-1).tolist()


def _place(member: int, members: Shape, total: FloatArray) -> tuple[int, ...]:
    """Return where the derivative of a member goes."""
    place = np.unravel_index(member, members)
    return tuple(0 if total.shape[i] == 1 else int(k) for i, k in enumerate(place))
