"""Primitives of JAX: a run of a network, and its derivatives forward and backward.

``run_p`` has a rule for derivatives, linear in the changes: ``push_p``; the transpose of that is
``pull_p``.  So one function has both modes, and `jax.linearize`, `jax.vjp` and their like.

`jax.pure_callback` would hand the loop arrays of JAX, which are filled by the threads that wait for
the loop: with arrays of 100 kB and more, and all threads in such calls, these wait forever.  These
primitives get the arrays as NumPy's, and an error in a call that is not compiled is itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NoReturn, TypeAlias

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from eventsim._support.types import FloatArray
from gradients.jax.function import Function, Shape

__all__ = ["run_p"]

Method: TypeAlias = Callable[..., list[FloatArray]]

run_p = Primitive("eventsim_run")
push_p = Primitive("eventsim_push")
pull_p = Primitive("eventsim_pull")


def _refuse_second(*_: Any, **__: Any) -> NoReturn:
    raise ValueError(
        "spike times have first derivatives alone: what is differentiated must not be a gradient, "
        "got a derivative of a derivative (grad of grad, hessian)"
    )


# --- shapes ---------------------------------------------------------------------------------------


def _outputs(operands: Any, members: Any, function: Function, n_axes: int) -> Any:
    axes = np.broadcast_shapes(*(value.shape[:n_axes] for value in members))
    shape = axes + operands[0].shape[n_axes:-1]
    setting = function.setting
    return [ShapedArray(shape + setting.item(name), np.float64) for name in setting.outputs]


def _shapes_of_run(*operands: Any, function: Function, n_axes: int, keep: bool) -> Any:  # noqa: ARG001
    return _outputs(operands, operands, function, n_axes)


def _shapes_of_push(*values: Any, function: Function, n_axes: int, moving: Sequence[int]) -> Any:
    return _outputs(values[len(moving) :], values, function, n_axes)


def _shapes_of_pull(
    *values: Any, function: Function, n_axes: int, axes: Sequence[Shape | None]
) -> Any:
    operands = values[len(function.setting.outputs) :]
    return [
        ShapedArray(own + operand.shape[n_axes:], np.float64)
        for own, operand in zip(axes, operands, strict=True)
        if own is not None
    ]


# --- derivatives ----------------------------------------------------------------------------------


def _jvp(primals: Any, tangents: Any, *, function: Function, n_axes: int, keep: bool) -> Any:  # noqa: ARG001
    values = run_p.bind(*primals, function=function, n_axes=n_axes, keep=True)
    moving = tuple(k for k, tangent in enumerate(tangents) if type(tangent) is not ad.Zero)
    changes = [tangents[k] for k in moving]
    moved = push_p.bind(*changes, *primals, function=function, n_axes=n_axes, moving=moving)
    return values, moved


def _transposed(
    cotangents: Any, *values: Any, function: Function, n_axes: int, moving: Sequence[int]
) -> Any:
    n = len(moving)
    changes, operands = values[:n], values[n:]
    wanted = [k for k, x in zip(moving, changes, strict=True) if ad.is_undefined_primal(x)]
    axes = tuple(x.shape[:n_axes] if k in wanted else None for k, x in enumerate(operands))
    given = map(ad.instantiate_zeros, cotangents)
    found = pull_p.bind(*given, *operands, function=function, n_axes=n_axes, axes=axes)
    by_operand = dict(zip(wanted, found, strict=True))
    return [by_operand.get(k) for k in moving] + [None] * len(operands)


# --- vmap -----------------------------------------------------------------------------------------


def _in_front(values: Sequence[Any], dims: Sequence[Any]) -> tuple[int, list[Any]]:
    """Return the size of a new member axis, and values with it in front, or 1 in its place."""
    pairs = list(zip(values, dims, strict=True))
    size = next(x.shape[d] for x, d in pairs if d is not None)
    moved = [lax.expand_dims(x, (0,)) if d is None else jnp.moveaxis(x, d, 0) for x, d in pairs]
    return size, moved


def _vmap(primitive: Any, values: Any, dims: Any, *, n_axes: int, **given: Any) -> Any:
    size, moved = _in_front(values, dims)
    if "axes" in given:  # each member has derivatives of its own
        given["axes"] = tuple(own if own is None else (size, *own) for own in given["axes"])
    found = primitive.bind(*moved, n_axes=n_axes + 1, **given)
    return found, [0] * len(found)


# --- calls ----------------------------------------------------------------------------------------


def _call(method: Method, *values: Any, function: Function, **given: Any) -> list[Any]:
    """Call outside of compiled code: an error is the one that is raised."""
    return [jnp.asarray(found) for found in method(function, _copies(values), **given)]


def _lowered(method: Method, ctx: Any, *values: Any, function: Function, **given: Any) -> Any:
    """Let compiled code call back."""
    if method is Function.push:
        function.check_forward()

    def callback(*arrays: Any) -> tuple[FloatArray, ...]:
        return tuple(method(function, _copies(arrays), **given))

    found, _, _ = mlir.emit_python_callback(
        ctx, callback, None, list(values), ctx.avals_in, ctx.avals_out, has_side_effect=False
    )
    return found


def _copies(arrays: Sequence[Any]) -> list[FloatArray]:
    """Return copies: what compiled code hands over lasts as long as the call, a run may not."""
    return [np.array(array) for array in arrays]


for primitive, method, shapes in (
    (run_p, Function.run, _shapes_of_run),
    (push_p, Function.push, _shapes_of_push),
    (pull_p, Function.pull, _shapes_of_pull),
):
    primitive.multiple_results = True
    primitive.def_impl(partial(_call, method))
    primitive.def_abstract_eval(shapes)
    batching.primitive_batchers[primitive] = partial(_vmap, primitive)
    mlir.register_lowering(primitive, partial(_lowered, method), cacheable=False)

ad.primitive_jvps[run_p] = _jvp
ad.primitive_transposes[push_p] = _transposed
ad.primitive_jvps[push_p] = ad.primitive_jvps[pull_p] = _refuse_second
