"""`gradients.Adam` and `gradients.SGD` on the device, in place, with their own arithmetic."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numba import config, cuda
from numpy.typing import NDArray

from eventsim._engines.cuda.device import MOST_THREADS, empty, grid_for, kernel, of_blocks, zeros
from eventsim._engines.cuda.samples import PRECISIONS
from eventsim._support.validate import as_floats, shown
from gradients.norm import LARGEST
from gradients.optim.elementwise import adam_step, momentum_step
from gradients.optim.optimizers import SGD, Adam, read_memory, values_like
from gradients.optim.schedules import rate_at
from gradients.optim.trees import Leaves, Path, leaves_of, tree_like, where

__all__ = ["DeviceOptimizer"]

CHUNKS = 4 if config.ENABLE_CUDASIM else 256  # parts of the gradient whose squares are added up
N_NUMBERS = 8
LEAST_NORM = 1e-100  # what counts in the square of a norm that is longer is a number itself
# What a step of training is stopped by, if anything.
NO_ROOM, NO_NUMBER = 1, 2


@kernel
def check_gradient(grads, squares, obstacle):
    """Write the sum of the squares in each chunk; note a gradient that is no number, or too large.

    A block takes a chunk.
    """
    sums = cuda.shared.array(MOST_THREADS, np.float64)
    chunk = -(-grads.size // squares.size)
    low = cuda.blockIdx.x * chunk
    value = 0.0
    for i in range(low + cuda.threadIdx.x, min(low + chunk, grads.size), cuda.blockDim.x):
        grad = float(grads[i])
        if not abs(grad) <= LARGEST and obstacle[0] != NO_ROOM:  # else it is no gradient yet
            cuda.atomic.max(obstacle, 0, NO_NUMBER)
        value += grad * grad
    sums[cuda.threadIdx.x] = value
    cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        total = 0.0
        for t in range(cuda.blockDim.x):
            total += sums[t]
        squares[cuda.blockIdx.x] = total


@cuda.jit(device=True)
def _scale(squares, clip_norm):
    """Return what the gradient is multiplied by, so that it is no longer than ``clip_norm``."""
    total = 0.0
    for c in range(squares.size):
        total += squares[c]
    norm = math.sqrt(total)
    return min(1.0, clip_norm / norm) if norm > 0.0 else 1.0


@kernel
def move_by_adam(params, grads, mean, square, numbers, squares, obstacle):
    """Do a step of Adam, unless there is an obstacle: a thread per parameter."""
    if obstacle[0] > 0:
        return
    scale = _scale(squares, numbers[0]) if numbers[0] < math.inf else 1.0
    for i in range(cuda.grid(1), params.size, cuda.gridsize(1)):
        params[i], mean[i], square[i] = adam_step(
            float(params[i]), scale * float(grads[i]), float(mean[i]), float(square[i]),
            numbers[1], numbers[2], numbers[3], numbers[4], numbers[5], numbers[6],
        )  # fmt: skip


@kernel
def move_by_momentum(params, grads, mean, numbers, squares, obstacle):
    """Do a step of SGD, unless there is an obstacle: a thread per parameter."""
    if obstacle[0] > 0:
        return
    scale = _scale(squares, numbers[0]) if numbers[0] < math.inf else 1.0
    for i in range(cuda.grid(1), params.size, cuda.gridsize(1)):
        params[i], mean[i] = momentum_step(
            float(params[i]), scale * float(grads[i]), float(mean[i]), numbers[1], numbers[2],
            numbers[3],
        )  # fmt: skip


class DeviceOptimizer:
    """Parameters, their gradient and the memory of an optimizer on the device, flat.

    Parameters
    ----------
    rule : gradients.Adam or gradients.SGD
        How they move.
    params : dict
        Where they start: a tree of arrays, as `gradients.Adam` takes it.
    dtype : dtype
        What they are kept in, float64 or float32.

    Attributes
    ----------
    params, grads : dict
        Trees of the same form, of device arrays: views.
    """

    def __init__(self, rule: Adam | SGD, params: Mapping[Any, Any], dtype: np.dtype[Any]) -> None:
        if not isinstance(rule, (Adam, SGD)):
            raise ValueError(f"the optimizer must be a gradients.Adam or SGD, got {shown(rule)}")
        values = {
            path: as_floats(leaf, where("params", path))
            for path, leaf in leaves_of(params, "params").items()
        }
        if rule.clip_norm is not None and rule.clip_norm < LEAST_NORM:
            raise ValueError(
                f"clip_norm must be at least {LEAST_NORM:g} on the device, got {rule.clip_norm!r}"
            )
        if not isinstance(dtype, np.dtype) or dtype.name not in PRECISIONS:
            raise ValueError(f"dtype must be one of {', '.join(PRECISIONS)}, got {shown(dtype)}")
        self.rule, self.dtype, self.steps = rule, dtype, 0
        self._shapes = {path: value.shape for path, value in values.items()}
        size = sum(value.size for value in values.values())
        self.names = ("mean", "square") if isinstance(rule, Adam) else ("mean",)
        self._params, self._grads = empty(size, dtype), zeros(size, dtype)
        self._memory = [zeros(size, dtype) for _ in self.names]
        self._numbers, self._squares = empty(N_NUMBERS), empty(CHUNKS)
        self.params, self.grads = (
            tree_like(params, self._views(flat)) for flat in (self._params, self._grads)
        )
        self._params.copy_to_device(self._joined(values_like(values, params, "params")))

    def _views(self, flat: Any) -> dict[Path, Any]:
        views, first = {}, 0
        for path, shape in self._shapes.items():
            size = math.prod(shape)
            views[path] = flat[first : first + size].reshape(shape)
            first += size
        return views

    def _joined(self, leaves: Leaves) -> NDArray[Any]:
        """Return the values of all parameters, flat."""
        parts = [np.empty(0), *(leaves[path].reshape(-1) for path in self._shapes)]
        return np.concatenate(parts).astype(self.dtype, copy=False)

    def _read(self, flat: Any) -> dict[Any, Any]:
        host = flat.copy_to_host().astype(np.float64, copy=False)
        copies = {path: view.copy() for path, view in self._views(host).items()}
        return tree_like(self.params, copies)

    def on_host(self) -> tuple[dict[Any, Any], dict[str, Any]]:
        """Return ``(params, state)`` as `Adam.update` returns them."""
        memory = zip(self.names, self._memory, strict=True)
        state = {"step": self.steps, **{name: self._read(flat) for name, flat in memory}}
        return self._read(self._params), state

    def load(self, params: Mapping[Any, Any], state: Mapping[str, Any]) -> None:
        """Take what `on_host`, `Adam.init` or `Adam.update` returned."""
        own = leaves_of(self.params, "params")
        values = values_like(own, params, "params")
        steps, memory = read_memory(own, state, self.names)
        for flat, leaves in zip((self._params, *self._memory), (values, *memory), strict=True):
            flat.copy_to_device(self._joined(leaves))
        self.steps = steps

    def prepare(self) -> None:
        """Copy the numbers of the next step to the device."""
        rule, step = self.rule, self.steps + 1
        rate, decay = rate_at(rule.lr, self.steps), rule.weight_decay
        clip = math.inf if rule.clip_norm is None else float(rule.clip_norm)
        if isinstance(rule, Adam):
            first, second = rule.betas
            numbers: tuple[float, ...] = (
                clip, first, second, rate / (1.0 - first**step), 1.0 / (1.0 - second**step),
                rule.eps, rate * decay,
            )  # fmt: skip
        else:
            numbers = (clip, rule.momentum, rate, rate * decay)
        padded = np.zeros(N_NUMBERS)
        padded[: len(numbers)] = numbers
        self._numbers.copy_to_device(padded)

    def move(self, obstacle: Any) -> None:
        """Move the parameters down the gradient, unless there is an obstacle (1,) on the device."""
        check_gradient[of_blocks(CHUNKS, MOST_THREADS)](self._grads, self._squares, obstacle)
        rest = self._numbers, self._squares, obstacle
        move = move_by_adam if isinstance(self.rule, Adam) else move_by_momentum
        move[grid_for(self._params.size)](self._params, self._grads, *self._memory, *rest)
