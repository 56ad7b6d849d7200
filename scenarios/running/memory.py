"""Memory that a training frees and wants again at its next step."""

import ctypes
import sys

__all__ = ["keep_freed_memory"]

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of malloc.h
NEVER = -1


def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees; return whether it can.

    The allocator of glibc hands large arrays back to the system, which fills every page of the next
    ones with zeros: a step of the scenario `leak` takes some 25 000 page faults, and a quarter of
    its time.  So the process stays as large as it once was.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, NEVER))
