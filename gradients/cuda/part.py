"""A part of a network that a step trains: its weights are taken from the whole, and given back."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numba import cuda

from eventsim._engines.cuda.device import clear, empty, flat, grid_for, kernel, to_device
from eventsim._support.types import IntArray
from eventsim._support.validate import as_indices, require
from eventsim.network import Network
from gradients.cuda.optimizers import DeviceOptimizer

__all__ = ["Part"]


# --- kernels --------------------------------------------------------------------------------------


@kernel
def take_part(whole, rows, columns, scale, part):
    """Copy some rows and columns of a matrix, scaled: a thread per value; all flat."""
    width, n = whole.shape[1], columns.size
    for c in range(cuda.grid(1), part.size, cuda.gridsize(1)):
        i, j = c // n, c % n
        if rows[i] < whole.shape[0] and columns[j] < width:
            part[c] = whole[rows[i], columns[j]] * scale


@kernel
def give_part(part, rows, columns, scale, whole):
    """Write them, scaled, where they were taken from: a thread per value."""
    width, n = whole.shape[1], columns.size
    for c in range(cuda.grid(1), part.size, cuda.gridsize(1)):
        i, j = c // n, c % n
        if rows[i] < whole.shape[0] and columns[j] < width:
            whole[rows[i], columns[j]] = part[c] * scale


# --- the host -------------------------------------------------------------------------------------


class Part:
    """The weights of a part of a network, and their gradient."""

    def __init__(self, network: Network, part: Network, optimizer: DeviceOptimizer) -> None:
        if part.projections.keys() != network.projections.keys():
            raise ValueError(
                f"part must have the projections {list(network.projections)}, "
                f"got {list(part.projections)}"
            )
        self.whole, self.gradient = optimizer.params["weights"], optimizer.grads["weights"]
        sizes, some = {**network.inputs, **network.populations}, {**part.inputs, **part.populations}
        self.sizes = {name: (some[name], n) for name, n in sizes.items()}
        self.numbers = {name: to_device(np.arange(n)) for name, (n, _) in self.sizes.items()}
        self.params, self.grads, self.scales = {}, {}, {}
        for key, p in part.projections.items():
            if p.like(p.values).ndim != 2:
                raise ValueError(f"the weights of {key} must be a matrix, with a part")
            self.params[key], self.grads[key] = (
                empty(p.weights.shape, optimizer.dtype) for _ in range(2)
            )
            n_kept, n = self.sizes[p.pre]
            self.scales[key] = n / n_kept
        self.projections = part.projections

    def choose(self, kept: Mapping[str, IntArray]) -> None:
        """Choose the neurons that take part."""
        for name, (n_kept, n) in self.sizes.items():
            if n_kept == n:
                continue
            numbers = as_indices(kept.get(name, []), f"kept[{name!r}]")
            if numbers.shape != (n_kept,):
                raise ValueError(f"kept[{name!r}] must be ({n_kept},), got {numbers.shape}")
            require(numbers < n, numbers, f"kept[{name!r}] must be < {n}")
            if np.unique(numbers).size < n_kept:
                raise ValueError(f"kept[{name!r}] must be different numbers, got {numbers}")
            self.numbers[name].copy_to_device(numbers)

    def take(self) -> None:
        """Copy the weights of the part."""
        for key, p in self.projections.items():
            take_part[grid_for(self.params[key].size)](
                self.whole[key], self.numbers[p.pre], self.numbers[p.post], self.scales[key],
                flat(self.params[key]),
            )  # fmt: skip

    def give(self) -> None:
        """Write the gradient by all weights; that by others than the part's is 0."""
        clear(*self.gradient.values())
        for key, p in self.projections.items():
            give_part[grid_for(self.grads[key].size)](
                flat(self.grads[key]), self.numbers[p.pre], self.numbers[p.post], self.scales[key],
                self.gradient[key],
            )  # fmt: skip
