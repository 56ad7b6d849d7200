"""Training a part of a network: hidden neurons that a minibatch leaves out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenarios.running.training import Params, Step

__all__ = ["Kept", "step_of_some"]

Kept = Mapping[str, NDArray[np.int64]]


def step_of_some(
    step: Callable[[Params], Step],
    connections: Mapping[str, tuple[Any, ...]],
    weights: Params,
    kept: Kept,
) -> Step:
    """Return the step of a part of a network; the gradient by other weights is 0.

    Weights from a layer that is not complete are scaled up, so that what comes out of it stays as
    it is on average.

    Parameters
    ----------
    step : callable
        From the weights of the part to its `Step`.
    connections : dict of str -> (pre, post)
        The layers that each parameter connects.
    weights : dict of str -> ndarray
        Of the whole network: (n_pre, n_post), or kernels, which stay complete.
    kept : dict of str -> (n,) ndarray of int
        By layer, the numbers of the neurons that take part; other layers are complete.

    Examples
    --------
    >>> weights = {"in->hidden": np.ones((2, 4)), "hidden->out": np.ones((4, 1))}
    >>> connections = {"in->hidden": ("in", "hidden"), "hidden->out": ("hidden", "out")}
    >>> kept = {"hidden": np.array([1, 3])}
    >>> found = step_of_some(lambda some: Step(some, {}), connections, weights, kept)
    >>> found.gradients["hidden->out"].ravel()
    array([0., 4., 0., 4.])
    """
    places = {name: _place(weights[name], ends, kept) for name, ends in connections.items()}
    scales = {
        name: len(weights[name]) / kept[pre].size
        for name, (pre, _) in connections.items()
        if pre in kept
    }
    some = {name: weights[name][place] for name, place in places.items()}
    done = step({name: _scaled(weight, scales.get(name)) for name, weight in some.items()})
    slopes = {name: np.zeros_like(weight) for name, weight in weights.items()}
    for name, slope in done.gradients.items():
        slopes[name][places[name]] = _scaled(slope, scales.get(name))
    return Step(slopes, done.metrics)


def _place(weight: NDArray[np.float64], ends: tuple[Any, ...], kept: Kept) -> Any:
    """Return the index of the part of a parameter that takes part; slices cost no gather."""
    chosen = [kept.get(layer) for layer in ends]
    if weight.ndim != len(chosen) or all(some is None for some in chosen):
        return ...
    if all(some is not None for some in chosen):
        return np.ix_(*chosen)
    return tuple(slice(None) if some is None else some for some in chosen)


def _scaled(values: NDArray[np.float64], factor: float | None) -> NDArray[np.float64]:
    return values if factor is None else values * factor
