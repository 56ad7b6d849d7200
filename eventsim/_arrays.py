"""Arrays that begin at the start of a cache line, in memory that is used again and again.

Vectors of eight numbers fill a line of the cache: elsewhere each would touch two of them.

A training wants arrays of the same sizes at every step.  Handed back to the system, large ones
would return page by page, each filled with zeros by the kernel: a fifth of a step's time.  So some
of each size are kept when the last array that looks at them is gone.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from eventsim._types import FloatArray

__all__ = ["empty", "zeros"]

LINE = 64  # bytes
# The allocator keeps smaller arrays by itself; one that is larger is rare, and much to keep.
SMALLEST, LARGEST = 2**16, 2**24
MOST = 8  # of each size, 256 MB in all

_spare: dict[int, list[NDArray[np.uint8]]] = {
    1 << k: [] for k in range(SMALLEST.bit_length() - 1, LARGEST.bit_length())
}


class _Room:
    """Memory whose owner is told when no array looks at it any more."""

    def __init__(self, spare: list[NDArray[np.uint8]], size: int) -> None:
        self.spare = spare
        try:
            self.memory = spare.pop()
        except IndexError:
            self.memory = np.empty(size, dtype=np.uint8)
        self.__array_interface__ = self.memory.__array_interface__

    def __del__(self) -> None:
        if len(self.spare) < MOST:
            self.spare.append(self.memory)


def empty(*shape: int, dtype: DTypeLike = np.float64) -> NDArray[Any]:
    """Return an array with anything in it; rows of whole cache lines are aligned too.

    Examples
    --------
    >>> empty(3, 8).ctypes.data % 64
    0
    """
    dtype = np.dtype(dtype)
    n = math.prod(shape) * dtype.itemsize
    size = 1 << (n + LINE - 1).bit_length()
    if size in _spare:
        memory = np.asarray(_Room(_spare[size], size))
    else:
        memory = np.empty(n + LINE, dtype=np.uint8)
    first = -memory.ctypes.data % LINE
    return memory[first : first + n].view(dtype).reshape(shape)


def zeros(*shape: int) -> FloatArray:
    """Return an array of zeros, as `empty`."""
    array: FloatArray = empty(*shape)
    array.fill(0.0)
    return array
