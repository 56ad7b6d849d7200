"""Adam and stochastic gradient descent on dicts of arrays: pure functions of their state."""

import math
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from eventsim._support.threads import thread_count
from eventsim._support.types import FloatArray
from eventsim._support.validate import (
    as_count,
    as_floats,
    as_mapping,
    as_nonnegative,
    as_positive,
    as_share,
    mapping_or_empty,
    require,
    shown,
)
from gradients.optim.elementwise import (
    LARGEST,
    adam_loop,
    in_one_pass,
    momentum_loop,
    norm_in_unit,
)
from gradients.optim.schedules import Schedule, rate_at, read_rate

__all__ = ["SGD", "Adam"]

Name = TypeVar("Name")
Arrays = dict[Name, FloatArray]


@dataclass(frozen=True, slots=True)
class Adam:
    """Adam of Kingma & Ba (2015), Algorithm 1, with the decoupled weight decay of AdamW.

    Parameters
    ----------
    lr : float or callable
        Learning rate > 0, or a schedule: from the number of steps done to a learning rate >= 0
        (`constant`, `cosine`, `step_decay`, or your own).
    betas : (float, float)
        Decay of the means of the gradient and of its square, in [0, 1).
    eps : float
        Added to the root of the mean square, > 0.
    weight_decay : float
        Each step also takes away this fraction of the parameters, times the learning rate; >= 0.
    clip_norm : float, optional
        Longest gradient, > 0: one whose Euclidean norm, over all parameters together, is larger is
        scaled down to it, whatever its size.  Default: gradients are taken as they are.

    Notes
    -----
    Weight decay is that of Loshchilov & Hutter (2019), Algorithm 2: it is not part of the gradient
    that the means are taken of.  Clipping is that of Pascanu et al. (2013), Algorithm 1.

    Examples
    --------
    >>> adam = Adam(lr=0.1)
    >>> params = {"w": np.array([1.0, 2.0])}
    >>> state = adam.init(params)
    >>> params, state = adam.update(params, {"w": np.array([3.0, -0.5])}, state)
    >>> params["w"].round(6)
    array([0.9, 2.1])
    """

    lr: float | Schedule = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    clip_norm: float | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        read_rate(self.lr)
        as_positive(self.eps, "eps")
        if not isinstance(self.betas, (tuple, list)) or len(self.betas) != 2:
            raise ValueError(f"betas must be two numbers, got {shown(self.betas)}")
        for beta in self.betas:
            as_share(beta, "betas")
        _check_options(self.weight_decay, self.clip_norm)

    def init(self, params: Mapping[Name, FloatArray]) -> dict[str, Any]:
        """Return the state before the first step: ``step``, and ``mean`` and ``square`` of each."""
        return {"step": 0, "mean": _zeros(params), "square": _zeros(params)}

    def update(
        self,
        params: Mapping[Name, FloatArray],
        grads: Mapping[Name, FloatArray],
        state: Mapping[str, Any],
        *,
        threads: int | None = None,
    ) -> tuple[Arrays[Name], dict[str, Any]]:
        """Return ``(params, state)`` after one step down the gradient; nothing is changed in place.

        Parameters
        ----------
        params : dict of ndarray
            What is trained.
        grads : dict of ndarray
            Its gradient; further entries, of what is not trained, are left aside.
        state : dict
            What `init` or the last update returned; numbers, arrays and dicts of arrays.
        threads : int, optional
            Number of threads for large arrays; default: all processors.  Never changes a result.

        Raises
        ------
        ValueError
            If a gradient or a part of the state has another shape than its parameter, if a number
            is not finite, a mean square is negative, a gradient is beyond 1e150 where it is not
            clipped to less, the state has parts that it should not have, or if a schedule returns
            no learning rate.
        """
        threads = thread_count(threads)
        params = _finite(_floats(params, "params"), "params")
        grads = _matching(params, as_mapping(grads, "grads"), "gradient")
        done, (mean, square) = _memory(params, state, ("mean", "square"))
        for key, array in square.items():
            require(array >= 0.0, array, f"state: square of {key!r} must be >= 0")
        lr, step = rate_at(self.lr, done), done + 1
        first, second = self.betas
        grads, factor = _clipped(grads, self.clip_norm)
        numbers = (
            factor,
            float(first),
            float(second),
            lr / (1.0 - first**step),
            1.0 / (1.0 - second**step),
            float(self.eps),
            lr * self.weight_decay,
        )
        new = {
            k: in_one_pass(
                adam_loop, (params[k], grads[k], mean[k], square[k]), 3, numbers, threads
            )
            for k in params
        }
        params, mean, square = ({k: arrays[n] for k, arrays in new.items()} for n in range(3))
        return params, {"step": step, "mean": mean, "square": square}


@dataclass(frozen=True, slots=True)
class SGD:
    """Stochastic gradient descent with momentum: ``m = momentum m + g``, ``p = p - lr m``.

    Parameters
    ----------
    lr : float or callable
        Learning rate > 0, or a schedule: from the number of steps done to a learning rate >= 0
        (`constant`, `cosine`, `step_decay`, or your own).
    momentum : float
        In [0, 1).
    weight_decay : float
        Each step also takes away this fraction of the parameters, times the learning rate; >= 0.
        It is decoupled: no part of ``m``.
    clip_norm : float, optional
        Longest gradient, as for `Adam`.

    Examples
    --------
    >>> sgd = SGD(lr=0.1)
    >>> params, state = {"w": np.array([1.0])}, sgd.init({"w": np.array([1.0])})
    >>> sgd.update(params, {"w": np.array([2.0])}, state)[0]["w"]
    array([0.8])
    """

    lr: float | Schedule
    momentum: float = 0.0
    weight_decay: float = 0.0
    clip_norm: float | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        read_rate(self.lr)
        as_share(self.momentum, "momentum")
        _check_options(self.weight_decay, self.clip_norm)

    def init(self, params: Mapping[Name, FloatArray]) -> dict[str, Any]:
        """Return the state before the first step: ``step`` and ``mean`` by parameter."""
        return {"step": 0, "mean": _zeros(params)}

    def update(
        self,
        params: Mapping[Name, FloatArray],
        grads: Mapping[Name, FloatArray],
        state: Mapping[str, Any],
        *,
        threads: int | None = None,
    ) -> tuple[Arrays[Name], dict[str, Any]]:
        """Return ``(params, state)`` after one step; arguments and errors as of `Adam.update`."""
        threads = thread_count(threads)
        params = _finite(_floats(params, "params"), "params")
        grads = _matching(params, as_mapping(grads, "grads"), "gradient")
        done, (mean,) = _memory(params, state, ("mean",))
        lr, step = rate_at(self.lr, done), done + 1
        grads, factor = _clipped(grads, self.clip_norm)
        numbers = factor, float(self.momentum), lr, lr * self.weight_decay
        new = {
            k: in_one_pass(momentum_loop, (params[k], grads[k], mean[k]), 2, numbers, threads)
            for k in params
        }
        params, mean = ({k: arrays[n] for k, arrays in new.items()} for n in range(2))
        return params, {"step": step, "mean": mean}


def _check_options(weight_decay: float, clip_norm: float | None) -> None:
    as_nonnegative(weight_decay, "weight_decay")
    if clip_norm is not None:
        as_positive(clip_norm, "clip_norm")


def _floats(arrays: Mapping[Name, FloatArray], name: str) -> Arrays[Name]:
    items = as_mapping(arrays, name).items()
    return {key: as_floats(value, f"{name}[{key!r}]") for key, value in items}


def _finite(arrays: Arrays[Name], name: str) -> Arrays[Name]:
    for key, array in arrays.items():
        good = np.isfinite(array)
        if not good.all():
            require(good, array, f"{name}[{key!r}] must be finite")
    return arrays


def _zeros(params: Mapping[Name, FloatArray]) -> Arrays[Name]:
    return {key: np.zeros(value.shape) for key, value in _floats(params, "params").items()}


def _memory(
    params: Arrays[Name], state: Mapping[str, Any], names: tuple[str, ...]
) -> tuple[int, list[Arrays[Name]]]:
    """Return the number of steps done, and what the state remembers of each parameter."""
    _check_known(as_mapping(state, "state"), ("step", *names), "state")
    if "step" not in state:
        raise ValueError(f"state must hold a step, got {shown(state)}")
    memory = []
    for name in names:
        given = mapping_or_empty(state.get(name), f"state: {name}")
        memory.append(_finite(_matching(params, given, f"state: {name}"), f"state: {name}"))
        _check_known(given, params, f"state: {name}")
    return as_count(state["step"], "state: step", least=0), memory


def _check_known(given: Mapping[Any, Any], known: Collection[Any], name: str) -> None:
    for key in given:
        if key not in known:
            raise ValueError(f"{name} must hold {list(known)} alone, got {shown(key)}")


def _matching(params: Arrays[Name], arrays: Mapping[Name, FloatArray], what: str) -> Arrays[Name]:
    """Return one array of ``arrays`` for each parameter, of its shape."""
    found = {}
    for key, value in params.items():
        if key not in arrays:
            raise ValueError(f"{what} of {key!r} must have shape {value.shape}, got None")
        found[key] = as_floats(arrays[key], f"{what} of {key!r}")
        if found[key].shape != value.shape:
            raise ValueError(
                f"{what} of {key!r} must have shape {value.shape}, got {found[key].shape}"
            )
    return found


def _clipped(grads: Arrays[Name], clip_norm: float | None) -> tuple[Arrays[Name], float]:
    """Return the gradient and what it is to be multiplied by, after a check of its size."""
    _check_size(grads, clip_norm)
    if clip_norm is None:
        return grads, 1.0
    unit, norm = norm_in_unit(grads.values())
    if norm <= clip_norm / unit:
        return grads, 1.0
    factor = clip_norm / norm / unit
    if factor >= sys.float_info.min:
        return grads, factor
    share, power = math.frexp(norm)  # in two factors: one of them would have too few digits
    return {key: np.ldexp(grad / unit, -power) for key, grad in grads.items()}, clip_norm / share


def _check_size(grads: Arrays[Name], clip_norm: float | None) -> None:
    """Raise a ValueError unless a gradient is finite, and its square is where it is taken."""
    is_cut = clip_norm is not None and clip_norm <= LARGEST
    most, expected = (sys.float_info.max, "") if is_cut else (LARGEST, f" and at most {LARGEST}")
    for key, grad in grads.items():
        if not np.abs(grad).max(initial=0.0) <= most:  # also of NaN
            within = np.abs(grad) <= most
            require(within, grad, f"gradient of {key!r} must be finite{expected}")
