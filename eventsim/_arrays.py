"""Arrays that begin at the start of a cache line, in memory that is used again and again.

Vectors of eight numbers fill a line of the cache: elsewhere each would touch two of them.

A training wants arrays of the same sizes at every step.  Handed back to the system, large ones
would return page by page, each filled with zeros by the kernel: a fifth of a step's time.  So some
of each size are kept when the last array that looks at them is gone.
"""

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from eventsim._types import FloatArray

__all__ = ["empty", "zeros"]

LINE = 64  # bytes
LARGEST = 2**24  # bytes: a larger array is rare, and much to keep
MOST = 8  # of each power of two, 256 MB in all

Memory: TypeAlias = tuple[NDArray[np.uint8], int]  # and the address of its first whole line

_spare: dict[int, list[Memory]] = {1 << k: [] for k in range(LARGEST.bit_length())}


class _Room:
    """Memory of one array, spare again when no other array looks at it any more."""

    def __init__(
        self, spare: list[Memory], memory: Memory, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        self.spare, self.memory = spare, memory
        self.__array_interface__ = {
            "version": 3, "shape": shape, "typestr": dtype.str, "data": (memory[1], False)
        }  # fmt: skip

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
    size = 1 << (math.prod(shape) * dtype.itemsize + LINE - 1).bit_length()
    spare = _spare.get(size, [])  # of its own, and gone with it, if the array is too large to keep
    try:
        memory = spare.pop()
    except IndexError:
        numbers = np.empty(size, dtype=np.uint8)
        memory = numbers, numbers.ctypes.data + -numbers.ctypes.data % LINE
    return np.asarray(_Room(spare, memory, shape, dtype))


def zeros(*shape: int) -> FloatArray:
    """Return an array of zeros, as `empty`."""
    array: FloatArray = empty(*shape)
    array.fill(0.0)
    return array
