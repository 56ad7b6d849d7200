r"""What reaches a node of a NIR graph: weighted and delayed spikes of sources, and constants.

Between neurons all of NIR is linear, so a signal is a sum over paths,

.. math:: x_j(t) = \sum_i W_{ij} s_i(t - d_i - e_j),

with a matrix W in one of three forms, delays d of the sources and e of what is reached.  A constant
is a path from the source `ONE`, which is 1 from t = 0 on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from eventsim._support.types import FloatArray, Matrix
from eventsim.convolution import Convolution
from eventsim.nir.forms import (
    Form,
    Geometry,
    Pool,
    Shape,
    as_matrix,
    composed,
    eye,
    is_diagonal,
    is_identity,
    is_uniform,
    matrix_of,
    pool_of,
    scaled,
    size_after,
)
from eventsim.nir.nodes import NEURONS, Node

__all__ = [
    "ONE",
    "Path",
    "is_plain",
    "passed",
    "shape_after",
    "shape_before",
    "source_path",
    "wired",
]

ONE = ""  # the source of constants


@dataclass(frozen=True, eq=False)
class Path:
    """A way from a source: weights (n_pre, n_post), and delays (n_pre,) and (n_post,)."""

    source: str
    form: Form
    before: FloatArray
    after: FloatArray


def source_path(source: str, n: int) -> Path:
    """Return the way from a source to its own spikes."""
    return Path(source, eye(n), np.zeros(n), np.zeros(n))


def is_plain(path: Path) -> bool:
    """Tell whether a path is the spikes of its source as they are."""
    late = path.before.any() or path.after.any()
    return path.source != ONE and is_identity(path.form) and not late


# --- shapes ---------------------------------------------------------------------------------------


def shape_after(node: Node, given: Shape | None) -> Shape | None:
    """Return the shape of what a node makes of a signal of a shape; None: not known yet.

    Raises
    ------
    ValueError
        If it takes signals of another shape.
    """
    expected, made = _shapes(node, given)
    if given is not None and expected is not None and given != expected:
        raise ValueError(f"what leads to {node} must have shape {expected}, got {given}")
    return made


def shape_before(node: Node) -> Shape | None:
    """Return the shape of the signals that a node takes, if it says so itself."""
    return _shapes(node, None)[0]


def _shapes(node: Node, given: Shape | None) -> tuple[Shape | None, Shape | None]:
    """Return the shapes that a node takes and makes."""
    if node.kind in ("Input", "Output", "Identity"):
        own = node.shape("shape")
        return (given, given) if own is None else (own, own)
    if node.kind in ("Affine", "Linear"):
        *batch, n_out, n_in = node.weight(2).shape
        return (*batch, n_in), (*batch, n_out)
    if node.kind in ("Conv1d", "Conv2d"):
        geometry = Geometry.of(node, given)
        return (None, None) if geometry is None else (geometry.given, geometry.made)
    if node.kind in ("SumPool2d", "AvgPool2d"):
        pool = None if given is None else pool_of(node, given)
        return given, None if pool is None else (pool.image[0], *pool.places)
    if node.kind == "Flatten":
        expected = node.shape("input_type") or given
        return expected, None if expected is None else _flattened(node, expected)
    own = _common_shape(node) or given  # a single number is one for all
    return own, own


def _common_shape(node: Node) -> Shape:
    """Return the shape of parameters, of which some may be one number for all."""
    fields = NEURONS.get(node.kind, {"Scale": ["scale"], "Delay": ["delay"]}.get(node.kind, []))
    shapes = {field: node.floats(field).shape for field in fields}
    known = {shape for shape in shapes.values() if shape}
    if len(known) > 1:
        raise ValueError(f"parameters of {node} must have the same shape, got {shapes}")
    return known.pop() if known else ()


def _flattened(node: Node, shape: Shape) -> Shape:
    n = len(shape)
    start, end = (int(np.asarray(node.fields[field])) for field in ("start_dim", "end_dim"))
    first, last = (k + n if k < 0 else k for k in (start, end))
    if not 0 <= first <= last < n:
        raise ValueError(
            f"start_dim and end_dim of {node} must be dimensions of {shape}, got {start} and {end}"
        )
    return (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :])


# --- what nodes do --------------------------------------------------------------------------------


def passed(node: Node, paths: Iterable[Path], given: Shape) -> list[Path]:
    """Return the signal that a linear node makes of one of shape ``given``."""
    paths, n = list(paths), math.prod(given)
    if node.kind == "Scale":
        scale = np.broadcast_to(node.floats("scale").reshape(-1), n)
        return [replace(path, form=scaled(path.form, scale)) for path in paths]
    if node.kind == "Delay":
        return [_delayed(path, np.broadcast_to(_delay(node), n)) for path in paths]
    if node.kind in ("Affine", "Linear"):
        through: Form = matrix_of(node.weight(2))
    elif node.kind in ("Conv1d", "Conv2d"):
        geometry = Geometry.of(node, given)
        assert geometry is not None
        through = geometry.form()
    elif node.kind in ("SumPool2d", "AvgPool2d"):
        through = pool_of(node, given)
    else:
        return paths
    made = [new for path in paths for new in _through(path, through)]
    return made + _constants(node, math.prod(shape_after(node, given) or ()))


def _delay(node: Node) -> FloatArray:
    delay = node.floats("delay").reshape(-1)
    if delay.size and delay.min() < 0.0:
        raise ValueError(f"delay of {node} must be >= 0, got {delay.min()}")
    return delay


def _delayed(path: Path, delay: FloatArray) -> Path:
    """Return a path with a further delay: of its sources, as long as these are apart."""
    if is_diagonal(path.form):
        return replace(path, before=path.before + delay)
    return replace(path, after=path.after + delay)


def _constants(node: Node, n: int) -> list[Path]:
    """Return the bias of a node, of n values."""
    if "bias" not in node.fields:
        return []
    bias = node.floats("bias")
    if node.kind == "Affine":
        expected = _shapes(node, None)[1]
        if bias.shape not in ((), expected):
            raise ValueError(f"bias of {node} must have shape {expected}, got {bias.shape}")
        values = np.broadcast_to(bias.reshape(-1), n)
    else:
        n_channels = node.weight(2).shape[0]
        if bias.shape not in ((), (n_channels,)):
            raise ValueError(f"bias of {node} must have shape {(n_channels,)}, got {bias.shape}")
        values = np.repeat(np.broadcast_to(bias, n_channels), n // n_channels)
    if not values.any():
        return []
    return [Path(ONE, values.reshape(1, n).copy(), np.zeros(1), np.zeros(n))]


def _through(path: Path, through: Form) -> list[Path]:
    """Return a path led through a linear map: one for each delay that is added up by it."""
    n_post = size_after(through)
    delays = np.unique(path.after)
    if delays.size == 1:
        form = composed(path.form, through)
        return [Path(path.source, form, path.before + delays[0], np.zeros(n_post))]
    made = []
    for delay in delays:
        some = scaled(as_matrix(path.form), (path.after == delay).astype(np.float64))
        form = composed(some, through)
        made.append(Path(path.source, form, path.before + delay, np.zeros(n_post)))
    return made


def wired(path: Path, factor: FloatArray) -> tuple[Matrix | Convolution, float | Matrix]:
    """Return weights, times a factor of each target, and delays, as a network takes them."""
    form = scaled(path.form, factor)
    form = as_matrix(form) if isinstance(form, Pool) else form
    if is_uniform(path.before) and is_uniform(path.after):
        return form, float(path.before[0] + path.after[0])
    form = as_matrix(form)
    if isinstance(form, np.ndarray):
        return form, path.before[:, None] + path.after
    rows = np.repeat(np.arange(form.shape[0]), np.diff(form.indptr))
    values = path.before[rows] + path.after[form.indices]
    return form, sparse.csr_array((values, form.indices, form.indptr), shape=form.shape)
