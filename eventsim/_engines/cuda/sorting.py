"""Sorting by a whole block: in shared memory where it fits, else where the numbers are."""

from __future__ import annotations

import numpy as np
from numba import cuda

__all__ = ["SORTED_IN_PLACE", "sort_anywhere"]

SORTED_IN_PLACE = 1024  # items that fit in a block's shared memory


@cuda.jit(device=True)
def sort_anywhere(start, n, time, row, number):
    """Sort a part of three arrays by (time, row): a whole block."""
    if n > SORTED_IN_PLACE:
        _sort(time[start : start + n], row[start : start + n], number[start : start + n], n)
        return
    # Times of single precision are exact in double precision, too.
    times = cuda.shared.array(SORTED_IN_PLACE, np.float64)
    rows = cuda.shared.array(SORTED_IN_PLACE, np.int32)
    numbers = cuda.shared.array(SORTED_IN_PLACE, np.int64)
    for i in range(cuda.threadIdx.x, n, cuda.blockDim.x):
        times[i], rows[i], numbers[i] = time[start + i], row[start + i], number[start + i]
    cuda.syncthreads()
    _sort(times, rows, numbers, n)
    for i in range(cuda.threadIdx.x, n, cuda.blockDim.x):
        time[start + i], row[start + i], number[start + i] = times[i], rows[i], numbers[i]
    cuda.syncthreads()


@cuda.jit(device=True)
def _sort(time, row, number, n):
    """Sort by a bitonic network whose comparisons all point up: what lies beyond n never moves."""
    pairs = 1
    while 2 * pairs < n:
        pairs *= 2
    half = 1
    while half < n:
        for c in range(cuda.threadIdx.x, pairs, cuda.blockDim.x):
            i = 2 * half * (c // half) + c % half
            _exchange(time, row, number, i, 2 * half * (c // half) + 2 * half - 1 - c % half, n)
        cuda.syncthreads()
        stride = half // 2
        while stride > 0:
            for c in range(cuda.threadIdx.x, pairs, cuda.blockDim.x):
                i = 2 * stride * (c // stride) + c % stride
                _exchange(time, row, number, i, i + stride, n)
            cuda.syncthreads()
            stride //= 2
        half *= 2


@cuda.jit(device=True)
def _exchange(time, row, number, i, j, n):
    if j < n and (time[j] < time[i] or (time[j] == time[i] and row[j] < row[i])):
        time[i], time[j] = time[j], time[i]
        row[i], row[j] = row[j], row[i]
        number[i], number[j] = number[j], number[i]
