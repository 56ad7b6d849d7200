"""Runs of a network as functions of tensors, in the two forms in which torch differentiates.

`Run` is an `autograd.Function`: it goes through all transformations of `torch.func`.  `run_op` is
an operator of torch's library: `torch.compile` takes it as it is.  Both call `runs`.

A run is kept for the way back by the memory of a tensor, its *ticket*, that is saved with the
operands: it lives exactly as long as this.  Where the ticket was copied (to the disk, say) the
network is run again, to the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn
from weakref import finalize

import numpy as np
import torch
from torch import Tensor

from eventsim._support.threads import thread_count
from eventsim._support.types import FloatArray, IntArray
from gradients.torch import runs as core
from gradients.torch.runs import Runs, Setting, setting_of

__all__ = ["Run", "pull_op", "run_op"]

_RUNS: dict[int, Runs] = {}


def new_ticket(runs: Runs) -> Tensor:
    """Keep runs as long as there is the memory of the tensor that is returned."""
    memory = np.zeros(1)
    _RUNS[memory.ctypes.data] = runs
    finalize(memory, _RUNS.pop, memory.ctypes.data)
    return torch.from_numpy(memory)


def runs_of(
    ticket: Tensor, which: Tensor | None, setting: Setting, operands: Sequence[FloatArray]
) -> tuple[Runs, IntArray]:
    """Return the runs of a ticket, and which members are meant, default: each.

    If the ticket is a copy, the operands are run again, whose members are those that are meant.
    """
    runs = _RUNS.get(ticket.data_ptr())
    if runs is None:
        runs, which = core.run(setting, operands, n_threads())[1], None
    return runs, np.arange(runs.n_members) if which is None else which.numpy()


def n_threads() -> int:
    """Return how many threads torch may use: in a worker of a `DataLoader`, one."""
    return min(torch.get_num_threads(), thread_count(None))


def as_array(tensor: Tensor) -> FloatArray:
    """Return the values of a tensor; without a copy, if they are float64 and on the host."""
    array: FloatArray = tensor.detach().to("cpu", torch.float64).contiguous().numpy()
    return array


def like(tensor: Tensor, array: FloatArray) -> Tensor:
    """Return values as a tensor of the type and on the device of another one."""
    return torch.from_numpy(array).to(tensor.device, tensor.dtype)


def run(setting: Setting, operands: Sequence[Tensor]) -> list[Tensor]:
    """Return the ticket, and what is read of each output."""
    outputs, runs = core.run(setting, [as_array(operand) for operand in operands], n_threads())
    return [new_ticket(runs), *(like(operands[0], output) for output in outputs)]


def pull(
    setting: Setting,
    ticket: Tensor,
    which: Tensor | None,
    cotangents: Sequence[Tensor],
    operands: Sequence[Tensor],
    wanted: Sequence[int],
) -> list[Tensor]:
    """Return the derivatives by the wanted operands."""
    values = [as_array(operand) for operand in operands]
    runs, members = runs_of(ticket, which, setting, values)
    given = [as_array(cotangent) for cotangent in cotangents]
    found = core.pull(setting, runs, members, given, values, wanted, n_threads())
    return [like(operands[k], slopes) for k, slopes in zip(wanted, found, strict=True)]


def refuse_second_derivative(*_: Any) -> NoReturn:
    """Say what there is not."""
    raise RuntimeError(
        "a SpikingNetwork has no second derivatives: its gradients cannot be differentiated again "
        "(create_graph=True, hessian, or grad of grad)"
    )


# --- members --------------------------------------------------------------------------------------


class Members:
    """How a transformation's axis joins the first axis of operands, that of their members."""

    def __init__(self, size: int, tensors: Sequence[Tensor], dims: Sequence[int | None]) -> None:
        """Put the new axis in front: of its size, or 1."""
        self.size = size
        pairs = zip(tensors, dims, strict=True)
        self._moved = [t.unsqueeze(0) if d is None else t.movedim(d, 0) for t, d in pairs]
        self.n_old = max(tensor.shape[1] for tensor in self._moved)

    def joined(self, apart: Sequence[int] = ()) -> list[Tensor]:
        """Return the operands; those whose numbers are given have all members, not one for all."""
        return [self._joined(t, k in apart) for k, t in enumerate(self._moved)]

    def _joined(self, tensor: Tensor, apart: bool) -> Tensor:
        new, old, *rest = tensor.shape
        if apart or (self.n_old > 1 and new * old > 1):
            new, old = self.size, self.n_old
        return tensor.expand(new, old, *rest).reshape(new * old, *rest)

    def split(self, tensor: Tensor) -> Tensor:
        """Return what was made of joined operands, with the new axis in front again."""
        return tensor.reshape(self.size, len(tensor) // self.size, *tensor.shape[1:])


# --- through torch.func ---------------------------------------------------------------------------


class Run(torch.autograd.Function):
    """``Run.apply(setting, *operands)`` returns the ticket, which members, and what is read."""

    @staticmethod
    def forward(setting: Setting, *operands: Tensor) -> tuple[Tensor, ...]:
        """Run the network."""
        ticket, *outputs = run(setting, operands)
        return ticket, torch.arange(len(outputs[0])), *outputs

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        """Keep what the ways back and forward need."""
        ctx.setting, *operands = inputs
        ctx.mark_non_differentiable(*output[:2])
        ctx.save_for_backward(*output[:2], *operands)
        ctx.save_for_forward(*output[:2], *operands)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        """Return the derivatives by the operands."""
        ticket, which, *operands = ctx.saved_tensors
        wanted = [k for k, is_wanted in enumerate(ctx.needs_input_grad[1:]) if is_wanted]
        found = Pull.apply(ctx.setting, tuple(wanted), ticket, which, *cotangents[2:], *operands)
        by_operand = dict(zip(wanted, found, strict=True))
        return None, *(by_operand.get(k) for k in range(len(operands)))

    @staticmethod
    def jvp(ctx: Any, _: Any, *tangents: Tensor | None) -> tuple[Tensor | None, ...]:
        """Return how what is read moves with the operands."""
        if ctx.setting.read == "potential":
            raise RuntimeError(
                "forward mode needs read='first_spikes' or 'spikes', got 'potential'; "
                "backward gives the derivatives of potentials"
            )
        ticket, which, *operands = ctx.saved_tensors
        pairs = zip(tangents, operands, strict=True)
        given = [torch.zeros_like(x) if tangent is None else tangent for tangent, x in pairs]
        return None, None, *Push.apply(ctx.setting, ticket, which, *given, *operands)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], setting: Setting, *operands: Tensor) -> Any:
        """Run all members at once."""
        members = Members(info.batch_size, operands, in_dims[1:])
        ticket, *apart = Run.apply(setting, *members.joined())
        return (ticket, *map(members.split, apart)), (None, *(0 for _ in apart))


class Pull(torch.autograd.Function):
    """``Pull.apply(setting, wanted, ticket, which, *cotangents, *operands)``: derivatives."""

    @staticmethod
    def forward(
        setting: Setting, wanted: tuple[int, ...], ticket: Tensor, which: Tensor, *given: Tensor
    ) -> tuple[Tensor, ...]:
        """Return the derivatives by the wanted operands."""
        n = len(setting.outputs)
        return tuple(pull(setting, ticket, which, given[:n], given[n:], wanted))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        """Keep nothing."""

    backward = staticmethod(refuse_second_derivative)
    jvp = staticmethod(refuse_second_derivative)

    @staticmethod
    def vmap(
        info: Any,
        in_dims: tuple[Any, ...],
        setting: Setting,
        wanted: tuple[int, ...],
        ticket: Tensor,
        *given: Tensor,
    ) -> Any:
        """Return the derivatives of all members, each apart."""
        n = 1 + len(setting.outputs)
        members = Members(info.batch_size, given, in_dims[3:])
        joined = members.joined(apart=[n + k for k in wanted])
        found = Pull.apply(setting, wanted, ticket, *joined)
        return tuple(map(members.split, found)), tuple(0 for _ in found)


class Push(torch.autograd.Function):
    """``Push.apply(setting, ticket, which, *tangents, *operands)``: tangents of the outputs."""

    @staticmethod
    def forward(
        setting: Setting, ticket: Tensor, which: Tensor, *given: Tensor
    ) -> tuple[Tensor, ...]:
        """Return how what is read moves."""
        n = len(given) // 2
        values = [as_array(tensor) for tensor in given]
        runs, members = runs_of(ticket, which, setting, values[n:])
        found = core.push(setting, runs, members, values[:n], values[n:])
        return tuple(like(given[n], moved) for moved in found)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        """Keep nothing."""

    backward = staticmethod(refuse_second_derivative)
    jvp = staticmethod(refuse_second_derivative)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], setting: Setting, ticket: Tensor, *given: Tensor
    ) -> Any:
        """Move all members at once."""
        members = Members(info.batch_size, given, in_dims[2:])
        moved = Push.apply(setting, ticket, *members.joined())
        return tuple(map(members.split, moved)), tuple(0 for _ in moved)


# --- through torch.compile ------------------------------------------------------------------------


@torch.library.custom_op("eventsim::run", mutates_args=())
def run_op(setting: str, operands: list[Tensor]) -> list[Tensor]:
    """Return the ticket, and what is read of each output."""
    return run(setting_of(setting), operands)


@torch.library.custom_op("eventsim::pull", mutates_args=())
def pull_op(
    setting: str,
    ticket: Tensor,
    cotangents: list[Tensor],
    operands: list[Tensor],
    wanted: list[int],
) -> list[Tensor]:
    """Return the derivatives by the wanted operands."""
    return pull(setting_of(setting), ticket, None, cotangents, operands, wanted)


@run_op.register_fake
def _(setting: str, operands: list[Tensor]) -> list[Tensor]:
    own, first = setting_of(setting), operands[0]
    members = max((operand.shape[0] for operand in operands), default=1)
    shapes = [(members, *first.shape[1:-1], *own.item(name)) for name in own.outputs]
    ticket = torch.empty(1, dtype=torch.float64, device="cpu")
    return [ticket, *(first.new_empty(shape) for shape in shapes)]


@pull_op.register_fake
def _(
    setting: str,  # noqa: ARG001
    ticket: Tensor,  # noqa: ARG001
    cotangents: list[Tensor],  # noqa: ARG001
    operands: list[Tensor],
    wanted: list[int],
) -> list[Tensor]:
    return [torch.empty_like(operands[k], memory_format=torch.contiguous_format) for k in wanted]


def _keep(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    ctx.setting, operands = inputs
    ctx.save_for_backward(output[0], *operands)


def _back(ctx: Any, given: list[Tensor]) -> tuple[None, list[Tensor | None]]:
    ticket, *operands = ctx.saved_tensors
    wanted = [k for k, is_wanted in enumerate(ctx.needs_input_grad[1]) if is_wanted]
    found = pull_op(ctx.setting, ticket, given[1:], operands, wanted)
    by_operand = dict(zip(wanted, found, strict=True))
    return None, [by_operand.get(k) for k in range(len(operands))]


run_op.register_autograd(_back, setup_context=_keep)
pull_op.register_autograd(refuse_second_derivative)


@run_op.register_vmap
def _(info: Any, in_dims: tuple[Any, ...], setting: str, operands: list[Tensor]) -> Any:
    members = Members(info.batch_size, operands, in_dims[1])
    ticket, *outputs = run_op(setting, members.joined())
    return [ticket, *map(members.split, outputs)], [None, *(0 for _ in outputs)]
