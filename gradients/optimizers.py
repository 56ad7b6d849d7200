"""Adam and stochastic gradient descent on dicts of arrays: pure functions of their state."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from eventsim._types import FloatArray
from eventsim._validate import require

__all__ = ["SGD", "Adam"]

Name = TypeVar("Name")


@dataclass(frozen=True, slots=True)
class Adam:
    """Adam of Kingma & Ba (2015), Algorithm 1.

    Parameters
    ----------
    lr : float
        Learning rate > 0.
    betas : (float, float)
        Decay of the means of the gradient and of its square, in [0, 1).
    eps : float
        Added to the root of the mean square, > 0.

    Examples
    --------
    >>> adam = Adam(lr=0.1)
    >>> params = {"w": np.array([1.0, 2.0])}
    >>> state = adam.init(params)
    >>> params, state = adam.update(params, {"w": np.array([3.0, -0.5])}, state)
    >>> params["w"].round(6)
    array([0.9, 2.1])
    """

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    def __post_init__(self) -> None:
        """Check the ranges."""
        require(0.0 < self.lr < np.inf, self.lr, "lr must be > 0 and finite")
        require(0.0 < self.eps < np.inf, self.eps, "eps must be > 0 and finite")
        for beta in self.betas:
            require(0.0 <= beta < 1.0, beta, "betas must be in [0, 1)")

    def init(self, params: Mapping[Name, FloatArray]) -> dict[str, Any]:
        """Return the state before the first step: ``step``, and ``mean`` and ``square`` of each."""
        zeros = {key: np.zeros_like(value) for key, value in params.items()}
        return {"step": 0, "mean": zeros, "square": {key: z.copy() for key, z in zeros.items()}}

    def update(
        self,
        params: Mapping[Name, FloatArray],
        grads: Mapping[Name, FloatArray],
        state: Mapping[str, Any],
    ) -> tuple[dict[Name, FloatArray], dict[str, Any]]:
        """Return ``(params, state)`` after one step down the gradient; nothing is changed in place.

        Raises
        ------
        ValueError
            If a gradient has another shape than its parameter or is not finite.
        """
        _check(params, grads)
        step = state["step"] + 1
        first, second = self.betas
        mean = {k: first * state["mean"][k] + (1.0 - first) * grads[k] for k in params}
        square = {
            k: second * state["square"][k] + (1.0 - second) * np.square(grads[k]) for k in params
        }
        rate = self.lr / (1.0 - first**step)
        correction = 1.0 / (1.0 - second**step)
        new = {
            k: params[k] - rate * mean[k] / (np.sqrt(square[k] * correction) + self.eps)
            for k in params
        }
        return new, {"step": step, "mean": mean, "square": square}


@dataclass(frozen=True, slots=True)
class SGD:
    """Stochastic gradient descent with momentum: ``m = momentum m + g``, ``p = p - lr m``.

    Parameters
    ----------
    lr : float
        Learning rate > 0.
    momentum : float
        In [0, 1).

    Examples
    --------
    >>> sgd = SGD(lr=0.1)
    >>> params, state = {"w": np.array([1.0])}, sgd.init({"w": np.array([1.0])})
    >>> sgd.update(params, {"w": np.array([2.0])}, state)[0]["w"]
    array([0.8])
    """

    lr: float
    momentum: float = 0.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        require(0.0 < self.lr < np.inf, self.lr, "lr must be > 0 and finite")
        require(0.0 <= self.momentum < 1.0, self.momentum, "momentum must be in [0, 1)")

    def init(self, params: Mapping[Name, FloatArray]) -> dict[str, Any]:
        """Return the state before the first step: ``step`` and ``mean`` by parameter."""
        return {"step": 0, "mean": {key: np.zeros_like(value) for key, value in params.items()}}

    def update(
        self,
        params: Mapping[Name, FloatArray],
        grads: Mapping[Name, FloatArray],
        state: Mapping[str, Any],
    ) -> tuple[dict[Name, FloatArray], dict[str, Any]]:
        """Return ``(params, state)`` after one step down the gradient; nothing is changed in place.

        Raises
        ------
        ValueError
            If a gradient has another shape than its parameter or is not finite.
        """
        _check(params, grads)
        mean = {k: self.momentum * state["mean"][k] + grads[k] for k in params}
        new = {k: params[k] - self.lr * mean[k] for k in params}
        return new, {"step": state["step"] + 1, "mean": mean}


def _check(params: Mapping[Name, FloatArray], grads: Mapping[Name, FloatArray]) -> None:
    for key, value in params.items():
        if key not in grads or np.shape(grads[key]) != np.shape(value):
            got = np.shape(grads[key]) if key in grads else None
            raise ValueError(f"gradient of {key!r} must have shape {np.shape(value)}, got {got}")
        require(np.isfinite(grads[key]), grads[key], f"gradient of {key!r} must be finite")
