"""Linear maps of NIR in three forms: matrices, convolutions, and pools that are no matrix yet."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from scipy import sparse

from eventsim._support.types import FloatArray, IntArray, Matrix
from eventsim.convolution import Convolution
from eventsim.nir.nodes import Node

__all__ = [
    "Form",
    "Geometry",
    "Pool",
    "Shape",
    "as_matrix",
    "composed",
    "eye",
    "is_diagonal",
    "is_identity",
    "is_uniform",
    "matrix_of",
    "pool_of",
    "scaled",
    "size_after",
]

Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Pool:
    """The sums over windows of an image, times ``weight``: not yet a matrix.

    A convolution that follows makes one convolution of both.
    """

    image: tuple[int, int, int]
    window: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    weight: float

    @property
    def places(self) -> tuple[int, int]:
        """Height and width of what is pooled."""
        each = zip(self.image[1:], self.padding, self.window, self.stride, strict=True)
        return _pair((size + 2 * pad - extent) // step + 1 for size, pad, extent, step in each)


Form: TypeAlias = Matrix | Convolution | Pool


def eye(n: int) -> sparse.csr_array:
    """Return the identity."""
    return sparse.csr_array(sparse.eye_array(n, format="csr"))


def is_uniform(values: FloatArray) -> bool:
    """Tell whether all values are the same."""
    return bool(np.all(values == values[0]))


def is_diagonal(form: Form) -> bool:
    """Tell whether each source has a target of its own, and all are there."""
    if not isinstance(form, sparse.csr_array) or form.shape[0] != form.shape[1]:
        return False
    n = np.arange(form.shape[0])
    return form.nnz == n.size and np.array_equal(form.indices, n)


def is_identity(form: Form) -> bool:
    """Tell whether each source reaches a target of its own, with the weight 1."""
    return is_diagonal(form) and bool(np.all(form.data == 1.0))  # type: ignore[union-attr]


def matrix_of(weight: FloatArray) -> Matrix:
    """Return (n_pre, n_post) of weights (..., n_post, n_pre); leading dimensions are apart."""
    *batch, n_post, n_pre = weight.shape
    if not batch:
        return np.ascontiguousarray(weight.T)
    return sparse.csr_array(
        sparse.block_diag([w.T for w in weight.reshape(-1, n_post, n_pre)], format="csr")
    )


def size_after(form: Form) -> int:
    """Return the number of targets."""
    if isinstance(form, Pool):
        return form.image[0] * math.prod(form.places)
    return int(form.shape[1])


def as_matrix(form: Form) -> Matrix:
    """Return weights as a matrix, dense or sparse."""
    if isinstance(form, Pool):
        return _pool_matrix(form)
    if isinstance(form, Convolution):
        start, target, parameter = form.synapses()
        entries = form.kernel.reshape(-1)[parameter], target, start
        matrix = sparse.csr_array(entries, shape=form.shape)
        matrix.sort_indices()
        return matrix
    return form


def scaled(form: Form, scale: FloatArray) -> Form:
    """Return a form times a factor of each target."""
    if is_uniform(scale) and scale[0] == 1.0:
        return form
    if isinstance(form, Pool) and is_uniform(scale):
        return replace(form, weight=form.weight * float(scale[0]))
    if isinstance(form, Convolution):
        by_channel = scale.reshape(form.output[0], -1)
        if np.all(by_channel == by_channel[:, :1]):
            return form.with_kernel(form.kernel * by_channel[:, 0][:, None, None, None])
    matrix = as_matrix(form)
    if isinstance(matrix, np.ndarray):
        return matrix * scale
    entries = matrix.data * scale[matrix.indices], matrix.indices, matrix.indptr
    return sparse.csr_array(entries, shape=matrix.shape)


def composed(first: Form, then: Form) -> Form:
    """Return one form after the other; a convolution beside a pool stays one, if it can."""
    if is_identity(first):
        return then
    if isinstance(first, Convolution) and isinstance(then, Pool):
        both = _pooled_convolution(first, then)
    elif isinstance(first, Pool) and isinstance(then, Convolution):
        both = _convolution_ofpool_of(first, then)
    else:
        both = None
    if both is not None:
        return both
    product = as_matrix(first) @ as_matrix(then)
    if isinstance(product, np.ndarray):
        return np.ascontiguousarray(product)
    product.sort_indices()
    return sparse.csr_array(product)


# --- convolutions and pools -----------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Geometry:
    """A convolution of NIR in two dimensions, as general as NIR has them.

    ``padding`` is ((above, below), (left, right)); ``given`` and ``made`` are the shapes of images.
    """

    weight: FloatArray
    image: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]]
    dilation: tuple[int, int]
    groups: int
    given: Shape
    made: Shape

    @classmethod
    def of(cls, node: Node, given: Shape | None) -> Geometry | None:
        """Return that of a node; None where the size of the image is not known yet."""
        n = 1 if node.kind == "Conv1d" else 2
        weight = node.weight(2 + n)
        if weight.ndim != 2 + n:
            raise ValueError(f"weight of {node} must have {2 + n} dimensions, got {weight.shape}")
        (groups,) = node.counts("groups", 1)
        if weight.shape[0] % groups:
            raise ValueError(
                f"groups of {node} must divide its {weight.shape[0]} channels, got {groups}"
            )
        size = None if node.fields["input_shape"] is None else node.counts("input_shape", n)
        if size is None and (given is None or len(given) != 1 + n):
            if given is not None:
                raise ValueError(f"what leads to {node} must have {1 + n} dimensions, got {given}")
            return None
        size = size or (given or ())[1:]
        stride, dilation = node.counts("stride", n), node.counts("dilation", n)
        padding = _paddings(node, weight.shape[2:], stride, dilation)
        spans = [d * (k - 1) + 1 for d, k in zip(dilation, weight.shape[2:], strict=True)]
        made = []
        for length, (low, high), span, step in zip(size, padding, spans, stride, strict=True):
            if length + low + high < span:
                raise ValueError(
                    f"weight of {node} must fit into the image (with padding) of "
                    f"{length + low + high}, got {span}"
                )
            made.append((length + low + high - span) // step + 1)
        one, flat = (1,) * (2 - n), ((0, 0),) * (2 - n)
        return cls(
            weight.reshape(*weight.shape[:2], *one, *weight.shape[2:]),
            _pair((*one, *size)), (stride[0], stride[-1]), ((*flat, *padding)[0], padding[-1]),
            _pair((*one, *dilation)), groups,
            (weight.shape[1] * groups, *size), (weight.shape[0], *made),
        )  # fmt: skip

    def form(self) -> Form:
        """Return a convolution, or what it does as a sparse matrix."""
        (above, below), (left, right) = self.padding
        least = min(self.weight.shape[2:])
        if (
            self.groups == 1
            and self.dilation == (1, 1)
            and self.stride[0] == self.stride[1]
            and above == below == left == right < least
        ):
            return Convolution(self.weight, self.image, self.stride[0], above)
        return self._matrix()

    def _matrix(self) -> sparse.csr_array:
        """Return the synapses: one where an entry of the kernel meets a place of the image."""
        c_out, c_own, *extents = self.weight.shape
        height, width = (1, *self.made[1:])[-2:]
        o, c, ky, kx, i, j = np.meshgrid(
            *map(np.arange, (c_out, c_own, *extents, height, width)), indexing="ij", sparse=True
        )
        y = i * self.stride[0] + ky * self.dilation[0] - self.padding[0][0]
        x = j * self.stride[1] + kx * self.dilation[1] - self.padding[1][0]
        channel = c + o // (c_out // self.groups) * c_own
        pre = (channel * self.image[0] + y) * self.image[1] + x
        post = (o * height + i) * width + j
        inside = (y >= 0) & (y < self.image[0]) & (x >= 0) & (x < self.image[1])
        pre, post, inside, weight = np.broadcast_arrays(
            pre, post, inside, self.weight[..., None, None]
        )
        shape = c_own * self.groups * math.prod(self.image), c_out * height * width
        return _by_rows(weight[inside], pre[inside], post[inside], shape)


def _by_rows(values: FloatArray, pre: IntArray, post: IntArray, shape: Shape) -> sparse.csr_array:
    matrix = sparse.csr_array(sparse.coo_array((values, (pre, post)), shape=shape))
    matrix.sort_indices()
    return matrix


def _pair(numbers: Iterable[int]) -> tuple[int, int]:
    first, second = numbers
    return first, second


def _paddings(
    node: Node, extents: Shape, stride: Shape, dilation: Shape
) -> tuple[tuple[int, int], ...]:
    """Return the silent places before and behind the image, in each direction."""
    given = node.fields["padding"]
    if not isinstance(given, str):
        return tuple((n, n) for n in node.counts("padding", len(extents), least=0))
    if given == "valid":
        return ((0, 0),) * len(extents)
    if given != "same" or set(stride) != {1}:
        raise ValueError(
            f"padding of {node} must be numbers, 'valid', or 'same' with a stride of 1, "
            f"got {given!r} and stride {stride}"
        )
    both = [d * (k - 1) for d, k in zip(dilation, extents, strict=True)]
    return tuple((n // 2, n - n // 2) for n in both)


def pool_of(node: Node, given: Shape) -> Pool:
    """Return the pool of a node that is given images of a shape."""
    if len(given) != 3:
        raise ValueError(
            f"what leads to {node} must have shape (channels, height, width), got {given}"
        )
    window = _pair(node.counts("kernel_size", 2))
    weight = 1.0 if node.kind == "SumPool2d" else 1.0 / math.prod(window)
    stride, padding = node.counts("stride", 2), node.counts("padding", 2, least=0)
    pool = Pool((given[0], given[1], given[2]), window, _pair(stride), _pair(padding), weight)
    if min(pool.places) < 1:
        raise ValueError(f"kernel_size of {node} must fit into the image {given}, got {window}")
    return pool


def _pool_matrix(pool: Pool) -> sparse.csr_array:
    channels, *size = pool.image
    planes = []
    for extent, pad, window, step, places in zip(
        size, pool.padding, pool.window, pool.stride, pool.places, strict=True
    ):
        place, within = (grid.ravel() for grid in np.mgrid[:places, :window])
        pre = place * step + within - pad
        inside = (pre >= 0) & (pre < extent)
        ones = np.ones(np.count_nonzero(inside))
        planes.append(_by_rows(ones, pre[inside], place[inside], (extent, places)))
    plane = sparse.kron(*planes, format="csr") * pool.weight
    matrix = sparse.csr_array(sparse.kron(sparse.eye_array(channels), plane, format="csr"))
    matrix.sort_indices()
    return matrix


def _pooled_convolution(first: Convolution, pool: Pool) -> Convolution | None:
    """Return a convolution and a pool of what it makes as one convolution."""
    square = pool.window[0] == pool.window[1] and pool.stride[0] == pool.stride[1]
    if not square or any(pool.padding):
        return None
    kernel, step, window = first.kernel, first.stride, pool.window[0]
    height, width = (extent + (window - 1) * step for extent in kernel.shape[2:])
    summed = np.zeros((*kernel.shape[:2], height, width))
    for y in range(window):
        for x in range(window):
            rows = slice(y * step, y * step + kernel.shape[2])
            summed[:, :, rows, x * step : x * step + kernel.shape[3]] += kernel
    return Convolution(summed * pool.weight, first.image, step * pool.stride[0], first.padding)


def _convolution_ofpool_of(pool: Pool, then: Convolution) -> Convolution | None:
    """Return a pool and a convolution of what it makes as one convolution.

    The border of the pooled image is silent, so windows there must see nothing of the image.
    """
    (window, other), (step, same) = pool.window, pool.stride
    if window != other or step != same or any(pool.padding):
        return None
    covered = all(n * step >= size for n, size in zip(then.image, pool.image[1:], strict=True))
    if then.padding and not (window <= step and covered):
        return None
    c_out, c_in, *extents = then.kernel.shape
    height, width = ((extent - 1) * step + window for extent in extents)
    kernel = np.zeros((c_out, c_in, height, width))
    for y in range(window):
        for x in range(window):
            kernel[:, :, y : y + (extents[0] - 1) * step + 1 : step,
                   x : x + (extents[1] - 1) * step + 1 : step] += then.kernel  # fmt: skip
    both = Convolution(
        kernel * pool.weight, _pair(pool.image[1:]), step * then.stride, step * then.padding
    )
    return both if both.output == then.output else None
