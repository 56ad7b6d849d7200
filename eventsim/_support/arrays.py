"""Arrays that begin at the start of a cache line, in memory that is used again and again.

Vectors of eight numbers fill a line of the cache: elsewhere each would touch two of them.

A training wants arrays of the same sizes at every step.  Handed back to the system, large ones
would return page by page, each filled with zeros by the kernel: a fifth of a step's time.  So some
of each size are kept when the last array that looks at them is gone: 256 MB at most, and nothing
where the environment variable EVENTSIM_KEPT_MEMORY is 0.
"""

from __future__ import annotations

import math
import os
import weakref
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from eventsim._support.types import FloatArray

__all__ = ["empty", "zeros"]

LINE = 64  # bytes
LARGEST = 2**24  # bytes: a larger array is rare, and much to keep
MOST = 0 if os.environ.get("EVENTSIM_KEPT_MEMORY") == "0" else 8  # of each power of two


class _Room:
    """What an array, and all that looks at it, holds on to."""

    __array_interface__: dict[str, Any]
    memory: _Memory


class _Memory(weakref.ref[_Room]):
    """The bytes of a room, and the address of the first whole line in them.

    As soon as the room is gone, its reference is among the spare ones.  That is the callback, and
    `deque.append` runs no Python: no signal is handled, and lost, while an array is freed.  An
    exception, between any two instructions, may leave a reference that has no bytes yet.
    """

    bytes: NDArray[np.uint8] | None = None
    start: int


_spare: dict[int, deque[_Memory]] = {
    1 << k: deque(maxlen=MOST) for k in range(LARGEST.bit_length())
}


def empty(*shape: int, dtype: DTypeLike = np.float64) -> NDArray[Any]:
    """Return an array with anything in it; rows of whole cache lines are aligned too.

    Examples
    --------
    >>> empty(3, 8).ctypes.data % 64
    0
    """
    dtype = np.dtype(dtype)
    n = math.prod(shape) * dtype.itemsize + LINE
    if n >= LARGEST:
        return _aligned(np.empty(n, dtype=np.uint8), shape, dtype)
    size = 1 << n.bit_length()
    spare, room = _spare[size], _Room()
    room.memory = memory = _Memory(room, spare.append)
    memory.start, memory.bytes = _kept(spare) or _new(size)
    room.__array_interface__ = {
        "version": 3, "shape": shape, "typestr": dtype.str, "data": (memory.start, False)
    }  # fmt: skip
    return np.asarray(room)


def zeros(*shape: int) -> FloatArray:
    """Return an array of zeros, as `empty`."""
    dtype = np.dtype(np.float64)
    n = math.prod(shape) * dtype.itemsize + LINE
    if n >= LARGEST:  # pages that nobody writes to are never made
        return _aligned(np.zeros(n, dtype=np.uint8), shape, dtype)
    array: FloatArray = empty(*shape)
    array.fill(0.0)
    return array


def _kept(spare: deque[_Memory]) -> tuple[int, NDArray[np.uint8]] | None:
    """Return (start, bytes) of a spare reference, or None if there is none that has bytes."""
    while True:
        try:
            last = spare.pop()
        except IndexError:
            return None
        if last.bytes is not None:
            return last.start, last.bytes


def _new(size: int) -> tuple[int, NDArray[np.uint8]]:
    memory = np.empty(size, dtype=np.uint8)
    return memory.ctypes.data + _first_line(memory), memory


def _aligned(
    memory: NDArray[np.uint8], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> NDArray[Any]:
    return np.ndarray(shape, dtype, memory, _first_line(memory))


def _first_line(memory: NDArray[np.uint8]) -> int:
    return -memory.ctypes.data % LINE
