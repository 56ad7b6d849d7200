"""What Ctrl-C does: it ends the command at once, or a run such that its end can be told.

Interrupted, an import or a compiler may raise any error, or go on as if nothing had happened.  So
before a run has begun, when nothing can be lost, the process ends then and there.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["INTERRUPTED", "end_at_once", "ends_as_interrupt"]

INTERRUPTED = 130  # exit code


def end_at_once() -> None:
    """From now on, end the process when Ctrl-C is pressed."""
    if _in_charge():
        signal.signal(signal.SIGINT, _end)


def _end(*_: Any) -> None:
    os.write(2, b"eventsim: interrupted\n")
    os._exit(INTERRUPTED)


@contextmanager
def ends_as_interrupt() -> Iterator[None]:
    """Let what Ctrl-C ends end by KeyboardInterrupt, whatever became of it; pressed again, at once.

    Raises
    ------
    KeyboardInterrupt
        If Ctrl-C was pressed.
    """
    if not _in_charge():
        yield
        return
    pressed = threading.Event()

    def interrupt(*_: Any) -> None:
        if pressed.is_set():
            _end()
        pressed.set()
        raise KeyboardInterrupt

    before, sys.unraisablehook = sys.unraisablehook, _without_interrupts
    handler = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    except Exception as error:
        if pressed.is_set():
            raise KeyboardInterrupt from error
        raise
    finally:
        signal.signal(signal.SIGINT, handler)
        sys.unraisablehook = before


def _without_interrupts(problem: Any) -> None:
    """Report what could not be raised, as Python does, but for an interrupt."""
    if not isinstance(problem.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(problem)


def _in_charge() -> bool:
    """Whether signals can be handled here: Python does it in the main thread alone."""
    return threading.current_thread() is threading.main_thread()
