"""Spikes of clocked LIF neurons whose surrogate derivative needs nothing but the spikes.

With a hard reset and the derivative of Chowdhury, Lee & Roy (2020, Eq. 5: a constant where there is
a spike, else 0) the way back through `gradients.clocked.clocked_lif` is, at each step,

    dL/d(drive_t) = scale · dL/d(spike_t) if spike_t, else decay · dL/d(drive_{t+1})

so the potentials need not be kept: a step of training holds one byte pair per neuron and step in
bfloat16, which the next layer holds too.  On processors one compiled pass over memory does all
steps, with the potential of each neuron in the first-level cache: over twenty times as fast as an
operation of PyTorch after another.  Potentials are float32, of a float64 drive float64.

Needs the extra "torch".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventsim._support.compile import loop, scalar
from eventsim._support.threads import for_each_part
from eventsim._support.validate import as_number, as_positive, shown
from gradients.clocked._torch import once_differentiable, torch

__all__ = ["fired_spikes"]

BLOCK = 2048  # neurons whose potentials stay in the first-level cache
NANOSECONDS = 1.0  # of a neuron and step, about
COMPILED = (torch.float32, torch.bfloat16)


def fired_spikes(
    drive: torch.Tensor, decay: float, *, threshold: float = 1.0, scale: float = 1.0
) -> torch.Tensor:
    """Return the spikes of clocked neurons that start from rest.

    Parameters
    ----------
    drive : (n_steps, ...) tensor
        What each step adds to the membrane potential of each neuron, in its unit.
    decay : float
        Part of the potential that is left after a step without a spike; after one it is 0.
    threshold : float
        A neuron fires when its potential exceeds it.
    scale : float
        Derivative of a spike by the potential, where there is a spike.

    Returns
    -------
    (n_steps, ...) tensor
        1 where a neuron fires, else 0; of the type and the layout in memory of ``drive``.

    Raises
    ------
    ValueError
        If ``drive`` has no steps or is not of a floating type, or a number cannot be.

    Examples
    --------
    >>> drive = torch.full((4,), 0.6, requires_grad=True)
    >>> spikes = fired_spikes(drive, 0.5)
    >>> spikes.detach()
    tensor([0., 0., 1., 0.])
    >>> torch.autograd.grad(spikes.sum(), drive)
    (tensor([0.2500, 0.5000, 1.0000, 0.0000]),)
    """
    check_drive(drive)
    decay = as_number(decay, "decay")
    if not 0.0 <= decay <= 1.0:
        raise ValueError(f"decay must lie in [0, 1], got {decay!r}")
    threshold, scale = as_positive(threshold, "threshold"), as_positive(scale, "scale")
    return _FiredSpikes.apply(drive, decay, threshold, scale)


def check_drive(drive: torch.Tensor) -> None:
    """Raise a ValueError unless ``drive`` is a tensor of floats with a step at least."""
    if not isinstance(drive, torch.Tensor):
        raise ValueError(f"drive must be a tensor, got {shown(drive)}")
    if drive.ndim == 0 or len(drive) == 0:
        raise ValueError(f"drive must have at least one step, got shape {tuple(drive.shape)}")
    if not drive.is_floating_point():
        raise ValueError(f"drive must be of a floating type, got {drive.dtype}")


class _FiredSpikes(torch.autograd.Function):
    """The recurrence forwards and backwards; only the spikes are kept."""

    @staticmethod
    def forward(
        ctx: Any, drive: torch.Tensor, decay: float, threshold: float, scale: float
    ) -> torch.Tensor:
        drive = _dense(drive)
        spikes = torch.empty_like(drive)
        if _is_compiled(drive):
            _in_blocks(_fire_in(drive.dtype), drive, spikes, decay, threshold)
        else:
            _fire(drive, spikes, decay, threshold)
        ctx.save_for_backward(spikes)
        ctx.decay, ctx.scale = decay, scale
        return spikes

    @staticmethod
    @once_differentiable  # compiled loops leave no trace
    def backward(ctx: Any, *cotangents: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (spikes,) = ctx.saved_tensors
        by_spike = _laid_out_as(spikes, cotangents[0])
        by_drive = torch.empty_like(spikes)
        if _is_compiled(spikes):
            function = _go_back_in(spikes.dtype)
            _in_blocks(function, by_spike, by_drive, ctx.decay, ctx.scale, spikes)
        else:
            _go_back(by_spike, spikes, by_drive, ctx.decay, ctx.scale)
        return by_drive, None, None, None


def _is_compiled(tensor: torch.Tensor) -> bool:
    return tensor.device.type == "cpu" and tensor.dtype in COMPILED


def _dense(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor whose steps follow one another in memory, each without gaps."""
    step = tensor[0]
    gapless = step.numel() == 1 or torch.empty_like(step).stride() == step.stride()
    if gapless and tensor.stride(0) == step.numel():
        return tensor
    return tensor.contiguous()


def _laid_out_as(model: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    if tensor.stride() == model.stride() and tensor.dtype == model.dtype:
        return tensor
    return torch.empty_like(model).copy_(tensor)


def _fire(drive: torch.Tensor, spikes: torch.Tensor, decay: float, threshold: float) -> None:
    """Write the spikes of a drive, step by step, on any device."""
    potential = torch.zeros_like(drive[0], dtype=_type_of_state(drive))
    for now, out in zip(drive, spikes, strict=True):
        potential.mul_(decay).add_(now)
        fires = potential > threshold
        out.copy_(fires)
        potential.masked_fill_(fires, 0.0)


def _go_back(
    by_spike: torch.Tensor,
    spikes: torch.Tensor,
    by_drive: torch.Tensor,
    decay: float,
    scale: float,
) -> None:
    later = torch.zeros_like(spikes[0], dtype=_type_of_state(spikes))
    for step in reversed(range(len(spikes))):
        later.mul_(decay)
        later = torch.where(spikes[step] > 0, scale * by_spike[step].to(later.dtype), later)
        by_drive[step] = later


def _type_of_state(tensor: torch.Tensor) -> torch.dtype:
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32


def _in_blocks(
    function: Callable[..., None],
    source: torch.Tensor,
    target: torch.Tensor,
    decay: float,
    number: float,
    *others: torch.Tensor,
) -> None:
    """Run a compiled loop over all neurons, on as many threads as PyTorch uses."""
    arrays = [_as_table(tensor) for tensor in (source, target, *others)]
    n_steps, n_neurons = arrays[0].shape
    n_blocks = -(-n_neurons // BLOCK)

    def part(first: int, last: int) -> None:
        state = np.empty(BLOCK, np.float32)
        last = min(last * BLOCK, n_neurons)
        function(*arrays, np.float32(decay), np.float32(number), first * BLOCK, last, state)

    work = NANOSECONDS * n_steps * n_neurons
    for_each_part(part, n_blocks, torch.get_num_threads(), work)


def _as_table(tensor: torch.Tensor) -> NDArray[Any]:
    """Return the memory of a dense tensor as (n_steps, n_neurons); bfloat16 as its bits."""
    flat = tensor.detach().as_strided((len(tensor), tensor[0].numel()), (tensor[0].numel(), 1))
    if tensor.dtype == torch.bfloat16:
        return flat.view(torch.int16).numpy().view(np.uint16)
    return flat.numpy()


def _fire_in(dtype: torch.dtype) -> Callable[..., None]:
    return _fire_bfloat16 if dtype == torch.bfloat16 else _fire_float32


def _go_back_in(dtype: torch.dtype) -> Callable[..., None]:
    return _go_back_bfloat16 if dtype == torch.bfloat16 else _go_back_float32


@scalar
def _widened(bits):
    """Return the float32 whose upper half has these bits."""
    return np.uint32(np.uint32(bits) << np.uint32(16)).view(np.float32)


@scalar
def _rounded(value):
    """Return the upper half of a finite float32, rounded to nearest, ties to even."""
    bits = np.float32(value).view(np.uint32)
    odd = np.uint32((bits >> np.uint32(16)) & np.uint32(1))
    return np.uint16(np.uint32(bits + np.uint32(0x7FFF) + odd) >> np.uint32(16))


@loop
def _fire_float32(drive, spikes, decay, threshold, first, last, potentials):
    for start in range(first, last, potentials.size):
        n = min(potentials.size, last - start)
        potentials[:n] = 0.0
        for step in range(drive.shape[0]):
            now, out = drive[step, start : start + n], spikes[step, start : start + n]
            for k in range(n):
                potential = decay * potentials[k] + now[k]
                fires = potential > threshold
                out[k] = np.float32(1.0) if fires else np.float32(0.0)
                potentials[k] = np.float32(0.0) if fires else potential


@loop
def _fire_bfloat16(drive, spikes, decay, threshold, first, last, potentials):
    for start in range(first, last, potentials.size):
        n = min(potentials.size, last - start)
        potentials[:n] = 0.0
        for step in range(drive.shape[0]):
            now, out = drive[step, start : start + n], spikes[step, start : start + n]
            for k in range(n):
                potential = decay * potentials[k] + _widened(now[k])
                fires = potential > threshold
                out[k] = np.uint16(0x3F80) if fires else np.uint16(0)  # 1 and 0 in bfloat16
                potentials[k] = np.float32(0.0) if fires else potential


@loop
def _go_back_float32(by_spike, by_drive, spikes, decay, scale, first, last, later):
    for start in range(first, last, later.size):
        n = min(later.size, last - start)
        later[:n] = 0.0
        for step in range(spikes.shape[0] - 1, -1, -1):
            fired, out = spikes[step, start : start + n], by_drive[step, start : start + n]
            above = by_spike[step, start : start + n]
            for k in range(n):
                now = scale * above[k] if fired[k] != 0 else decay * later[k]
                later[k] = now
                out[k] = now


@loop
def _go_back_bfloat16(by_spike, by_drive, spikes, decay, scale, first, last, later):
    for start in range(first, last, later.size):
        n = min(later.size, last - start)
        later[:n] = 0.0
        for step in range(spikes.shape[0] - 1, -1, -1):
            fired, out = spikes[step, start : start + n], by_drive[step, start : start + n]
            above = by_spike[step, start : start + n]
            for k in range(n):
                now = scale * _widened(above[k]) if fired[k] != 0 else decay * later[k]
                later[k] = now
                out[k] = _rounded(now)
