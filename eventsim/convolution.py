"""Connectivity of images: convolutions with shared weights, and pooling.

Neurons of an image are numbered channel by channel, row by row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from eventsim._support.types import FloatArray, Int32Array, IntArray
from eventsim._support.validate import MOST_NUMBERED, as_count, as_floats, require, shown

__all__ = ["Convolution", "pooling"]


@dataclass(frozen=True, slots=True, eq=False)
class Convolution:
    """A 2-d convolution as the weights of a projection: all places share one kernel.

    A synapse leads from (c, y, x) to (o, i, j) with weight ``kernel[o, c, y - stride i + padding,
    x - stride j + padding]`` wherever these indices exist (a cross-correlation, as in PyTorch).

    Parameters
    ----------
    kernel : (c_out, c_in, height, width) array_like
        Weights.
    image : (int, int)
        Height and width of the presynaptic image, of c_in channels.
    stride : int, optional
        Step between the places of the kernel.  There are as many places as fit, the first at the
        upper left edge: rows and columns at the other edges that none of them reaches have no
        synapses (as in PyTorch, which rounds the number of steps down).
    padding : int, optional
        Silent rows and columns around the image, less than the kernel's height and width.

    Attributes
    ----------
    shape : (int, int)
        Numbers of presynaptic and postsynaptic neurons.
    output : (int, int, int)
        Channels, height and width of the postsynaptic image.

    Raises
    ------
    ValueError
        If the kernel does not fit into the image, or weights are not finite.

    Examples
    --------
    >>> conv = Convolution(np.ones((6, 1, 5, 5)), image=(28, 28))
    >>> conv.output, conv.shape
    ((6, 24, 24), (784, 3456))
    >>> Convolution(np.ones((1, 1, 5, 5)), image=(34, 34), stride=2, padding=1).output
    (1, 16, 16)
    """

    kernel: FloatArray
    image: tuple[int, int]
    stride: int = 1
    padding: int = 0

    def __post_init__(self) -> None:
        """Check kernel and geometry."""
        kernel = np.array(as_floats(self.kernel, "kernel"))
        if kernel.ndim != 4 or 0 in kernel.shape:
            raise ValueError(
                f"kernel must be (c_out, c_in, height, width), got shape {kernel.shape}"
            )
        require(np.isfinite(kernel), kernel, "kernel must be finite")
        kernel.flags.writeable = False
        object.__setattr__(self, "kernel", kernel)
        object.__setattr__(self, "image", _as_pair(self.image, "image"))
        object.__setattr__(self, "stride", as_count(self.stride, "stride"))
        object.__setattr__(self, "padding", _as_padding(self.padding, min(kernel.shape[2:])))
        for size, extent in zip(self.image, kernel.shape[2:], strict=True):
            _steps(size + 2 * self.padding, extent, self.stride)
        _check_neurons(*self.shape)

    def __reduce__(self) -> tuple[type[Convolution], tuple[Any, ...]]:
        """Return how to make an equal one, whose kernel is read-only too."""
        return type(self), tuple(getattr(self, field.name) for field in fields(self))

    @property
    def output(self) -> tuple[int, int, int]:
        """Channels, height and width of the postsynaptic image."""
        height, width = (
            _steps(size + 2 * self.padding, extent, self.stride)
            for size, extent in zip(self.image, self.kernel.shape[2:], strict=True)
        )
        return self.kernel.shape[0], height, width

    @property
    def shape(self) -> tuple[int, int]:
        """Number of presynaptic and of postsynaptic neurons."""
        n_pre = self.kernel.shape[1] * self.image[0] * self.image[1]
        return n_pre, math.prod(self.output)

    @property
    def n_synapses(self) -> int:
        """Number of synapses; they are not listed for it."""
        c_out, c_in, *extents = self.kernel.shape
        each = zip(self.image, extents, self.output[1:], strict=True)
        return c_out * c_in * math.prod(self._met(*sizes) for sizes in each)

    def _met(self, size: int, extent: int, places: int) -> int:
        """Return how often rows of the kernel meet rows of the image, in one direction."""
        offset = np.arange(extent) - self.padding
        first = np.maximum(-(offset // self.stride), 0)
        last = np.minimum((size - 1 - offset) // self.stride, places - 1)
        return int(np.maximum(last - first + 1, 0).sum())

    def with_kernel(self, kernel: ArrayLike) -> Convolution:
        """Return the same geometry with another kernel of the same shape."""
        kernel = as_floats(kernel, "kernel")
        if kernel.shape != self.kernel.shape:
            raise ValueError(f"kernel must have shape {self.kernel.shape}, got {kernel.shape}")
        return replace(self, kernel=kernel)

    def synapses(self) -> tuple[IntArray, Int32Array, IntArray]:
        """Return ``(indptr, target, parameter)`` of all synapses, row by row.

        ``parameter`` is the place of each synapse's weight in the flat kernel.
        """
        pre, place, within = self.patches()
        c_out, height, width = self.output
        size = self.kernel[0].size
        order = np.argsort(pre, kind="stable")
        channel = np.arange(c_out)
        target = (channel * (height * width) + place[order, None]).astype(np.int32)
        parameter = channel * size + within[order, None]
        counts = np.bincount(pre, minlength=self.shape[0]) * c_out
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return indptr, target.ravel(), parameter.ravel()

    def patches(self) -> tuple[IntArray, IntArray, IntArray]:
        """Return ``(pre, place, within)``: which source lies where in which place's patch.

        ``place`` counts the places of the kernel row by row, ``within`` the entries of
        ``kernel[o]``.
        """
        _, c_in, extent_y, extent_x = self.kernel.shape
        _, height, width = self.output
        place = np.arange(height * width)[:, None]
        within = np.arange(c_in * extent_y * extent_x)[None, :]
        channel, offset = np.divmod(within, extent_y * extent_x)
        y = place // width * self.stride + offset // extent_x - self.padding
        x = place % width * self.stride + offset % extent_x - self.padding
        inside = (y >= 0) & (y < self.image[0]) & (x >= 0) & (x < self.image[1])
        pre = (channel * self.image[0] + y) * self.image[1] + x
        shape = inside.shape
        places, entries = np.broadcast_to(place, shape), np.broadcast_to(within, shape)
        return pre[inside], places[inside], entries[inside]


def pooling(
    image: tuple[int, int, int], window: int, stride: int | None = None, padding: int = 0
) -> sparse.csr_array:
    """Return the synapses from an image to its pooled image: weight 1 within each window.

    Parameters
    ----------
    image : (int, int, int)
        Channels, height and width.
    window : int
        Height and width of a window.
    stride : int, optional
        Step between windows; default: ``window``.  Windows that do not fit are left out, as in
        PyTorch.
    padding : int, optional
        Silent rows and columns around the image, less than ``window``.

    Returns
    -------
    scipy.sparse.csr_array
        (n_pre, n_post).  Onto neurons of `LIF.earliest` it passes on the earliest spike of each
        window (Zhang et al.).

    Raises
    ------
    ValueError
        If no window fits into the image, or a number is no integer in its range.

    Notes
    -----
    Sum pooling is ``weight * pooling(...)`` onto ordinary neurons: the spikes of a window add up to
    their current, ``weight`` each.  With ``weight = 1 / window**2`` it is average pooling, which
    counts the silent border as part of a window.

    Examples
    --------
    >>> pooling((6, 24, 24), 2).shape
    (3456, 864)
    >>> average = 0.25 * pooling((1, 5, 5), 2)      # 2 x 2 windows; the last row and column: none
    >>> average.shape, average.sum(axis=0)
    ((25, 4), array([1., 1., 1., 1.]))
    """
    if not isinstance(image, (tuple, list)) or len(image) != 3:
        raise ValueError(f"image must be (channels, height, width), got {shown(image)}")
    channels, *size = (as_count(n, "channels, height and width of image") for n in image)
    window = as_count(window, "window")
    stride = as_count(window if stride is None else stride, "stride")
    padding = _as_padding(padding, window)
    places = [_steps(n + 2 * padding, window, stride) for n in size]  # before a kernel is made
    _check_neurons(channels * math.prod(size), channels * math.prod(places))
    one = Convolution(np.ones((1, 1, window, window)), (size[0], size[1]), stride, padding)
    indptr, target, _ = one.synapses()
    plane = sparse.csr_array((np.ones(target.size), target, indptr), shape=one.shape)
    return sparse.csr_array(sparse.kron(sparse.eye_array(channels), plane, format="csr"))


def _as_pair(value: object, name: str) -> tuple[int, int]:
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ValueError(f"{name} must be (height, width), got {shown(value)}")
    return as_count(value[0], f"height of {name}"), as_count(value[1], f"width of {name}")


def _as_padding(value: object, size: int) -> int:
    padding = as_count(value, "padding", least=0)
    if padding >= size:
        raise ValueError(f"padding must be in [0, {size}), the size of the kernel, got {padding}")
    return padding


def _check_neurons(n_pre: int, n_post: int) -> None:
    n = max(n_pre, n_post)
    if n > MOST_NUMBERED:
        raise ValueError(f"image must have at most {MOST_NUMBERED} neurons, got one of {n}")


def _steps(size: int, extent: int, stride: int) -> int:
    """Return how many places of ``extent`` fit into ``size``; ValueError if there is none."""
    if extent > size:
        raise ValueError(
            f"a window of {extent} must fit into the image, got an image (with padding) of {size}"
        )
    return (size - extent) // stride + 1
