"""Errors that are no bugs: what the user or the machine did, in words."""

from __future__ import annotations

import errno

from scenarios.running.console.terminal import visible

__all__ = ["OUTPUT", "in_words"]

OUTPUT = "the output"
NAMELESS = {errno.ENOENT: "the current folder"}  # what an error without a name is about
PACKAGES = ("eventsim", "gradients", "scenarios")
ADVICE = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EACCES: "check its permissions, or choose another folder",
    errno.EPERM: "check its permissions, or choose another folder",
    errno.EROFS: "choose another folder",
    errno.EEXIST: "something is there already, or a link to nothing",
    errno.ENOTDIR: "a part of the path is a file",
    errno.ENOENT: "it may have been moved or deleted",
}


def in_words(error: Exception) -> str | None:
    """Return what to tell the user; None: the error is a bug.

    Examples
    --------
    >>> in_words(PermissionError(errno.EACCES, "Permission denied", "runs"))
    'runs: Permission denied; check its permissions, or choose another folder'
    >>> in_words(OSError(errno.ENOSPC, "No space left on device"))
    'the output: No space left on device; free some space'
    >>> in_words(FileNotFoundError(errno.ENOENT, "No such file or directory"))
    'the current folder: No such file or directory; it may have been moved or deleted'
    >>> in_words(TypeError())
    """
    if isinstance(error, OSError):
        return _of_system(error)
    if isinstance(error, MemoryError):
        return f"out of memory ({error}); take fewer neurons, or smaller minibatches"
    ours = type(error).__module__.split(".")[0] in PACKAGES  # made to be read
    return str(error) if ours or isinstance(error, (ValueError, FloatingPointError)) else None


def _of_system(error: OSError) -> str:
    names = [visible(str(name)) for name in (error.filename, error.filename2) if name is not None]
    advice = ADVICE.get(error.errno or 0)
    reason = error.strerror or str(error) or type(error).__name__
    subject = ", ".join(names) or NAMELESS.get(error.errno or 0, OUTPUT)
    return f"{subject}: {reason}" + (f"; {advice}" if advice else "")
