"""Samples side by side on CPU threads.

Compiled loops release the interpreter lock, so plain threads suffice.  Each sample owns its rows of
every output: the number of threads never changes a result.

Python sees Ctrl-C between two instructions of its main thread only.  So runs come back to Python
several times a second, and ask `stop_if_told`; loops that cannot be entered again are called by
`interruptible`.
"""

import math
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from itertools import pairwise
from typing import TypeVar

import numpy as np

from eventsim._support.types import BoolArray
from eventsim._support.validate import as_count

__all__ = ["for_each_part", "interruptible", "limited", "stop_if_told", "thread_count"]

# ns; a thread that waits for the interpreter lock wakes up some 50 us later, several times a piece
LEAST_WORK = 1_000_000
LONG_WORK = 100_000_000

_helper = threading.local()
_LIMIT: ContextVar[int | None] = ContextVar("limit", default=None)

Result = TypeVar("Result")


class _StoppedError(Exception):
    """The calling thread was interrupted, or another part failed."""


def stop_if_told() -> None:
    """End the part that this thread works on if nobody waits for it any more."""
    told = getattr(_helper, "told", None)
    if told is not None and told.is_set():
        raise _StoppedError


def interruptible(function: Callable[[BoolArray], Result], work: float) -> Result:
    """Return ``function(stop)``; on Ctrl-C set ``stop[0]``, upon which it must return.

    ``work`` is about how many nanoseconds it takes: long work is done in another thread, while this
    one, if it is the main one, waits for it.
    """
    stop = np.zeros(1, dtype=np.bool_)
    if work < LONG_WORK or threading.current_thread() is not threading.main_thread():
        return function(stop)
    with ThreadPoolExecutor(1, thread_name_prefix="eventsim") as beside:
        call = beside.submit(function, stop)
        try:
            return call.result()
        finally:
            stop[0] = True


@contextmanager
def limited(threads: int) -> Iterator[None]:
    """Let as many threads be used, in this block, where their number is left open.

    Examples
    --------
    >>> with limited(3):
    ...     thread_count(None), thread_count(5)
    (3, 5)
    """
    token = _LIMIT.set(threads)
    try:
        yield
    finally:
        _LIMIT.reset(token)


def thread_count(threads: int | None) -> int:
    """Return the number of threads to use: ``threads``, or all processors if it is None."""
    threads = _LIMIT.get() if threads is None else threads
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
    costly: float = 1.0,
) -> None:
    """Call ``function(first, last)`` on consecutive ranges that cover ``range(n_samples)``.

    ``work`` is about how many nanoseconds all of it takes: little work is not cut up.  More parts
    than threads even out how fast these are; they have to be so many times as large where each is
    ``costly``.  The calling thread takes parts too, all of them if the others wake up too late.
    """
    threads = min(thread_count(threads), n_samples)
    pieces = work / LEAST_WORK
    n_parts = int(min(4 * threads, n_samples, max(min(threads, pieces), pieces / costly)))
    if threads == 1 or n_parts <= 1:
        function(0, n_samples)
        return
    if n_parts > threads:
        n_parts -= n_parts % threads
    edges = [n_samples * part // n_parts for part in range(n_parts + 1)]
    parts, told = deque(pairwise(edges)), threading.Event()

    def help_out() -> None:
        _helper.told = told
        try:
            take_parts()
        except _StoppedError:
            pass
        finally:
            _helper.told = None

    def take_parts() -> None:
        while parts:
            try:
                first, last = parts.popleft()
            except IndexError:  # another thread was faster
                return
            try:
                function(first, last)
            except BaseException:
                parts.clear()  # nobody begins another one
                raise

    helpers: list[Future[None]] = []
    try:
        while len(helpers) < min(threads, n_parts) - 1:
            helpers.append(_pool(threads - 1).submit(help_out))
        take_parts()
    except BaseException:
        told.set()
        raise
    finally:
        parts.clear()
        busy = [helper for helper in helpers if not helper.cancel()]
        wait(busy)
    for helper in busy:
        helper.result()


@cache
def _pool(helpers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(helpers, thread_name_prefix="eventsim")


if hasattr(os, "register_at_fork"):  # the threads of a pool do not live on in a forked process
    os.register_at_fork(after_in_child=_pool.cache_clear)
