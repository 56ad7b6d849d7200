"""The memory of a process: how much it has had, and that it keeps what it frees.

It imports nothing of this project, so that other interpreters can run it.
"""

import ctypes
import resource
import sys
from pathlib import Path

__all__ = ["keep_freed_memory", "peak_memory"]

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


def peak_memory() -> int:
    """Return the most memory that this process has had, in bytes.

    Linux counts towards ``ru_maxrss`` what the process had that began this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return 1024 * int(lines["VmHWM"].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # of macOS: bytes
