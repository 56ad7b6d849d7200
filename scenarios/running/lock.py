"""One process at a time writes into a run folder."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

__all__ = ["LOCK", "held", "holder"]

LOCK = ".lock"  # stays in the folder, empty unless somebody holds it


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder; the system lets go of it when the process ends, however it does.

    Raises
    ------
    ValueError
        If another process holds it, with its number, its host and its time; or if the file
        system has no locks.
    """
    path = folder / LOCK
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise ValueError(f"{folder} cannot be written to: {error}") from error
    try:
        _lock(handle, path)
        os.ftruncate(handle, 0)
        os.pwrite(handle, _name().encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def holder(folder: Path) -> str:
    """Return who holds a folder, as `held` names it; empty if nobody does."""
    try:
        return (folder / LOCK).read_text(errors="replace")
    except FileNotFoundError:
        return ""


def _lock(handle: int, path: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ValueError(
            f"{path.parent} is in use by {_holder(handle)}: wait until that has ended, or stop it"
        ) from None
    except OSError as error:
        raise ValueError(
            f"{path.parent} cannot be locked, so two runs could mix there: its file system must "
            f"have locks (flock), got {error}; use a folder elsewhere"
        ) from error
    if not path.exists() or not os.path.samestat(os.fstat(handle), path.stat()):
        raise ValueError(f"{path.parent} was removed by another process at this moment; try again")


def _name() -> str:
    now = f"{datetime.now():%Y-%m-%d %H:%M:%S}"
    return f"process {os.getpid()} on {socket.gethostname()}, since {now}"


def _holder(handle: int) -> str:
    return os.pread(handle, 1000, 0).decode(errors="replace") or "another process"
