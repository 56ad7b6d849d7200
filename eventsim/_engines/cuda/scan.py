"""Running sums on the device: where each of many lists begins, given how long they are.

A chunk of numbers is a block's: each chunk is summed, the sums are added up in one block (or, if
they are many, in the same way again), and each chunk is then gone through with the sum before it.
Integers, so the order of the additions does not matter.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import config, cuda

from eventsim._engines.cuda.device import MOST_THREADS, empty, kernel, of_blocks

__all__ = ["RunningSum"]

N_SUMS = MOST_THREADS + 1
CHUNK = 8 if config.ENABLE_CUDASIM else 2048  # numbers of a block


@kernel
def sum_chunks(counts, chunk, sums):
    """Write the sum of each chunk: a block takes one."""
    partial = cuda.shared.array(N_SUMS, np.int64)
    t, threads = cuda.threadIdx.x, cuda.blockDim.x
    low = cuda.blockIdx.x * chunk
    total = 0
    for i in range(low + t, min(low + chunk, counts.size), threads):
        total += counts[i]
    partial[t] = total
    cuda.syncthreads()
    if t == 0:
        for i in range(1, threads):
            total += partial[i]
        sums[cuda.blockIdx.x] = total


@kernel
def start_chunks(counts, chunk, before, start):
    """Write the sum of all numbers before each one, and of all: a block takes a chunk.

    ``before`` (n_chunks,): the sum of all earlier chunks.
    """
    sums = cuda.shared.array(N_SUMS, np.int64)
    t, threads = cuda.threadIdx.x, cuda.blockDim.x
    first = cuda.blockIdx.x * chunk
    last = min(first + chunk, counts.size)
    per_thread = -(-(last - first) // threads)
    low = min(first + t * per_thread, last)
    high = min(low + per_thread, last)
    total = 0
    for i in range(low, high):
        total += counts[i]
    sums[t + 1] = total
    cuda.syncthreads()
    if t == 0:
        sums[0] = before[cuda.blockIdx.x]
        for i in range(threads):
            sums[i + 1] += sums[i]
    cuda.syncthreads()
    total = sums[t]
    for i in range(low, high):
        start[i] = total
        total += counts[i]
    if last == counts.size and t == 0:
        start[counts.size] = sums[threads]


class RunningSum:
    """The sum of ``n`` numbers before each one, and of all; with room for the sums of chunks."""

    def __init__(self, n: int, nothing: Any) -> None:
        """Take room; ``nothing`` (1,) is a zero."""
        self.nothing, self.n_chunks = nothing, max(1, -(-n // CHUNK))
        self.of_chunks: RunningSum | None = None
        if self.n_chunks > 1:
            self.sums, self.before = (
                empty(self.n_chunks, np.int64),
                empty(self.n_chunks + 1, np.int64),
            )
            self.of_chunks = RunningSum(self.n_chunks, nothing)

    def __call__(self, counts: Any, start: Any) -> None:
        """Fill ``start`` (n + 1,) with the running sum of the ``counts`` (n,)."""
        if self.of_chunks is None:
            start_chunks[of_blocks(1, counts.size)](counts, CHUNK, self.nothing, start)
            return
        sum_chunks[of_blocks(self.n_chunks, CHUNK)](counts, CHUNK, self.sums)
        self.of_chunks(self.sums, self.before)
        start_chunks[of_blocks(self.n_chunks, CHUNK)](counts, CHUNK, self.before, start)
