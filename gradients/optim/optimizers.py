"""Adam and stochastic gradient descent on trees of arrays: pure functions of their state."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eventsim._support.threads import thread_count
from eventsim._support.types import FloatArray
from eventsim._support.validate import (
    as_count,
    as_mapping,
    as_nonnegative,
    as_positive,
    as_share,
    mapping_or_empty,
    require,
    shown,
)
from eventsim.network import check_same_form
from gradients.gradient import Gradient
from gradients.norm import LARGEST, norm_in_unit
from gradients.optim.elementwise import (
    adam_loop,
    in_one_pass,
    momentum_loop,
)
from gradients.optim.schedules import Schedule, rate_at, read_rate
from gradients.optim.trees import (
    Leaves,
    Path,
    called,
    is_sparse,
    leaf_like,
    leaves_of,
    tree_like,
    values_of,
    where,
)

__all__ = ["SGD", "Adam", "read_memory", "values_like"]

Tree = Mapping[Any, Any]


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
    Parameters, gradients and the state are trees: dicts of arrays, or dicts by kind of such dicts,
    as `eventsim.Network.parameters` returns them and `eventsim.Network.replace` takes them.

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

    def init(self, params: Tree) -> dict[str, Any]:
        """Return the state before the first step: ``step``, and ``mean`` and ``square`` of each."""
        return {"step": 0, "mean": _zeros(params), "square": _zeros(params)}

    def update(
        self,
        params: Tree,
        grads: Tree | Gradient,
        state: Mapping[str, Any],
        *,
        threads: int | None = None,
    ) -> tuple[dict[Any, Any], dict[str, Any]]:
        """Return ``(params, state)`` after one step down the gradient; nothing is changed in place.

        Parameters
        ----------
        params : dict
            What is trained: arrays (or sparse matrices in CSR format) by name, or such dicts by
            kind, as of `eventsim.Network.parameters`.
        grads : dict or Gradient
            Its gradient, of the same form; further entries, of what is not trained, are left aside.
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
        values, grads = _read(params, grads)
        done, (mean, square) = read_memory(values, state, ("mean", "square"))
        lr, step = rate_at(self.lr, done), done + 1
        first, second = self.betas
        grads, factor = _clipped(grads, self.clip_norm)
        numbers = (
            float(first),
            float(second),
            lr / (1.0 - first**step),
            1.0 / (1.0 - second**step),
            float(self.eps),
            lr * self.weight_decay,
        )
        new = _moved(adam_loop, [values, grads, mean, square], 3, (factor, numbers), threads)
        return _results(params, step, new, ("mean", "square"))


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

    def init(self, params: Tree) -> dict[str, Any]:
        """Return the state before the first step: ``step`` and ``mean`` by parameter."""
        return {"step": 0, "mean": _zeros(params)}

    def update(
        self,
        params: Tree,
        grads: Tree | Gradient,
        state: Mapping[str, Any],
        *,
        threads: int | None = None,
    ) -> tuple[dict[Any, Any], dict[str, Any]]:
        """Return ``(params, state)`` after one step; arguments and errors as of `Adam.update`."""
        threads = thread_count(threads)
        values, grads = _read(params, grads)
        done, (mean,) = read_memory(values, state, ("mean",))
        lr, step = rate_at(self.lr, done), done + 1
        grads, factor = _clipped(grads, self.clip_norm)
        numbers = factor, float(self.momentum), lr, lr * self.weight_decay
        new = _moved(momentum_loop, [values, grads, mean], 2, numbers, threads)
        return _results(params, step, new, ("mean",))


def _check_options(weight_decay: float, clip_norm: float | None) -> None:
    as_nonnegative(weight_decay, "weight_decay")
    if clip_norm is not None:
        as_positive(clip_norm, "clip_norm")


def _read(params: Tree, grads: Tree | Gradient) -> tuple[Leaves, Leaves]:
    """Return the values of all parameters and of their gradient, checked."""
    values = _finite(_values(params, "params"), "params")
    tree = grads.tree if isinstance(grads, Gradient) else grads
    slopes = _matching(values, leaves_of(tree, "grads"), "gradient")
    for path, leaf in leaves_of(params, "params").items():
        if is_sparse(leaf):
            check_same_form(leaves_of(tree, "grads")[path], leaf, f"gradient of {called(path)}")
    return values, slopes


def _values(tree: Tree, name: str) -> Leaves:
    leaves = leaves_of(tree, name).items()
    return {path: values_of(leaf, where(name, path)) for path, leaf in leaves}


def _finite(arrays: Leaves, name: str) -> Leaves:
    for path, array in arrays.items():
        good = np.isfinite(array)
        if not good.all():
            require(good, array, f"{where(name, path)} must be finite")
    return arrays


def _zeros(params: Tree) -> dict[Any, Any]:
    """Return zeros in the place of all values; those of sparse matrices are flat."""
    values = _values(params, "params")
    return tree_like(params, {path: np.zeros(array.shape) for path, array in values.items()})


def read_memory(
    params: Leaves, state: Mapping[str, Any], names: tuple[str, ...]
) -> tuple[int, list[Leaves]]:
    """Return the number of steps done, and what the state remembers of each parameter, checked."""
    _check_known(
        as_mapping(state, "state"), {each: shown(each) for each in ("step", *names)}, "state"
    )
    if "step" not in state:
        raise ValueError(f"state must hold a step, got {shown(state)}")
    given = {name: mapping_or_empty(state.get(name), f"state: {name}") for name in names}
    memory = {name: values_like(params, tree, f"state: {name}") for name, tree in given.items()}
    for path, array in memory.get("square", {}).items():
        require(array >= 0.0, array, f"state: square of {called(path)} must be >= 0")
    return as_count(state["step"], "state: step", least=0), list(memory.values())


def values_like(params: Leaves, tree: Tree, name: str) -> Leaves:
    """Return the values of a tree that has one leaf for each parameter, of its shape, checked."""
    leaves = leaves_of(tree, name)
    found = _finite(_matching(params, leaves, name), name)
    _check_known(leaves, {path: called(path) for path in params}, name)
    return found


def _check_known(given: Mapping[Any, Any], known: Mapping[Any, str], name: str) -> None:
    for key in given:
        if key not in known:
            found = called(key) if isinstance(key, tuple) else shown(key)
            raise ValueError(f"{name} must hold [{', '.join(known.values())}] alone, got {found}")


def _matching(params: Leaves, leaves: Mapping[Path, Any], what: str) -> Leaves:
    """Return the values of one leaf for each parameter, of its shape."""
    found = {}
    for path, value in params.items():
        name = f"{what} of {called(path)}"
        if path not in leaves:
            raise ValueError(f"{name} must have shape {value.shape}, got None")
        found[path] = values_of(leaves[path], name)
        if found[path].shape != value.shape:
            raise ValueError(f"{name} must have shape {value.shape}, got {found[path].shape}")
    return found


def _moved(
    compiled: Callable[..., None],
    inputs: Sequence[Leaves],
    n_outputs: int,
    numbers: Sequence[Any],
    threads: int | None,
) -> dict[Path, list[FloatArray]]:
    """Return the new arrays that a loop makes of those of each parameter."""
    return {
        path: in_one_pass(compiled, [own[path] for own in inputs], n_outputs, numbers, threads)
        for path in inputs[0]
    }


def _results(
    params: Tree, step: int, new: Mapping[Path, list[FloatArray]], names: tuple[str, ...]
) -> tuple[dict[Any, Any], dict[str, Any]]:
    """Return parameters and state, in the form of the parameters."""
    leaves = leaves_of(params, "params").items()
    moved = tree_like(params, {path: leaf_like(leaf, new[path][0]) for path, leaf in leaves})
    memory = {
        name: tree_like(params, {path: arrays[n] for path, arrays in new.items()})
        for n, name in enumerate(names, start=1)
    }
    return moved, {"step": step, **memory}


def _clipped(grads: Leaves, clip_norm: float | None) -> tuple[Leaves, float]:
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


def _check_size(grads: Leaves, clip_norm: float | None) -> None:
    """Raise a ValueError unless a gradient is finite, and its square is where it is taken."""
    is_cut = clip_norm is not None and clip_norm <= LARGEST
    most, expected = (sys.float_info.max, "") if is_cut else (LARGEST, f" and at most {LARGEST}")
    for path, grad in grads.items():
        if not np.abs(grad).max(initial=0.0) <= most:  # also of NaN
            within = np.abs(grad) <= most
            require(within, grad, f"gradient of {called(path)} must be finite{expected}")
