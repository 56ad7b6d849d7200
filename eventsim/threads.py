"""Samples side by side on CPU threads.

Compiled loops release the interpreter lock, so plain threads suffice.  Each sample owns its rows of
every output: the number of threads never changes a result.
"""

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from eventsim._validate import as_count

__all__ = ["for_each_part", "thread_count"]

# ns; a thread that waits for the interpreter lock wakes up some 50 us later, several times a piece
LEAST_WORK = 1_000_000


def thread_count(threads: int | None) -> int:
    """Return the number of threads to use: ``threads``, or all processors if it is None."""
    if threads is not None:
        return as_count(threads, "threads")
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def for_each_part(
    function: Callable[[int, int], object],
    n_samples: int,
    threads: int | None,
    work: float = math.inf,
) -> None:
    """Call ``function(first, last)`` on consecutive ranges that cover ``range(n_samples)``.

    ``work`` is about how many nanoseconds all of it takes: little work is not cut up.
    """
    threads = min(thread_count(threads), n_samples)
    n_parts = int(min(4 * threads, n_samples, work / LEAST_WORK))
    if threads == 1 or n_parts <= 1:
        function(0, n_samples)
        return
    if n_parts > threads:
        n_parts -= n_parts % threads
    edges = [n_samples * part // n_parts for part in range(n_parts + 1)]
    list(_pool(threads).map(function, edges[:-1], edges[1:]))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="eventsim")
