"""The arithmetic of the optimizers: norms, and one pass over all arrays, on threads if large."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from eventsim._support.compile import loop, scalar
from eventsim._support.threads import for_each_part
from eventsim._support.types import FloatArray

__all__ = [
    "adam_loop",
    "adam_step",
    "in_one_pass",
    "momentum_loop",
    "momentum_step",
]

PART = 1 << 18  # elements: starting a thread for fewer costs more than it saves


def in_one_pass(
    compiled: Callable[..., None],
    inputs: Sequence[FloatArray],
    n_outputs: int,
    numbers: Sequence[Any],
    threads: int | None,
) -> list[FloatArray]:
    """Return the new arrays that ``compiled(*inputs, *outputs, *numbers)`` fills.

    Each element depends on the elements of the same place only, so neither the cuts between parts
    nor the number of threads change a bit.
    """
    flat = [array.reshape(-1) for array in inputs]
    size = flat[0].size
    # One block: the allocator keeps it for the next step.  Smaller ones go back to the system, and
    # the page faults of new ones take several times as long as the arithmetic.
    outputs = list(np.empty((n_outputs, size)))
    n_parts = max(1, size // PART)

    def fill(first: int, last: int) -> None:
        part = slice(size * first // n_parts, size * last // n_parts)
        compiled(*[array[part] for array in (*flat, *outputs)], *numbers)

    for_each_part(fill, n_parts, threads)
    return [array.reshape(inputs[0].shape) for array in outputs]


@scalar
def adam_step(param, grad, mean, square, first, second, rate, correction, eps, decay):
    """Return the parameter, and the means of its gradient and of the square, after a step."""
    mean = first * mean + (1.0 - first) * grad
    square = second * square + (1.0 - second) * (grad * grad)
    moved = param - decay * param - rate * mean / (math.sqrt(square * correction) + eps)
    return moved, mean, square


@scalar
def momentum_step(param, grad, mean, momentum, rate, decay):
    """Return the parameter, and its momentum, after a step."""
    mean = momentum * mean + grad
    return param - decay * param - rate * mean, mean


@loop
def adam_loop(
    params: FloatArray,
    grads: FloatArray,
    mean: FloatArray,
    square: FloatArray,
    new_params: FloatArray,
    new_mean: FloatArray,
    new_square: FloatArray,
    scale: float,
    numbers: tuple[float, ...],
) -> None:
    """Fill the new arrays of a step of `Adam` on the gradient times ``scale``."""
    for i in range(params.size):
        new_params[i], new_mean[i], new_square[i] = adam_step(
            params[i], scale * grads[i], mean[i], square[i], *numbers
        )


@loop
def momentum_loop(
    params: FloatArray,
    grads: FloatArray,
    mean: FloatArray,
    new_params: FloatArray,
    new_mean: FloatArray,
    scale: float,
    momentum: float,
    rate: float,
    decay: float,
) -> None:
    """Fill the new arrays of a step of `SGD` on the gradient times ``scale``."""
    for i in range(params.size):
        new_params[i], new_mean[i] = momentum_step(
            params[i], scale * grads[i], mean[i], momentum, rate, decay
        )
