"""Stops at every operation on files: by a kill, after which nothing is done, or by one failure."""

import errno
import io
import os
from contextlib import ExitStack, contextmanager
from unittest import mock

OPERATIONS = ("open", "pwrite", "ftruncate", "replace", "unlink", "mkdir", "rmdir")


class KilledError(BaseException):
    """Stands for a kill: what handles errors does not see it."""


class Disk:
    """Counts the operations that change files, and stops one of them.

    ``stop``: its number, from 0; None: none.  ``kill``: all later ones are stopped too, as if the
    process were dead; else there is an error, once, as on a full disk.
    """

    def __init__(self, stop=None, *, kill=True):
        self.stop, self.kill, self.done = stop, kill, 0

    def counted(self, operation):
        def counting(*arguments, **options):
            self.count()
            return operation(*arguments, **options)

        return counting

    def count(self):
        now, self.done = self.done, self.done + 1
        if self.stop is None or now < self.stop:
            return
        if self.kill:
            raise KilledError
        if now == self.stop:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    @contextmanager
    def watched(self):
        """Count in this block, in which nothing waits for the disk."""
        with ExitStack() as patches:
            for name in OPERATIONS:
                patches.enter_context(mock.patch.object(os, name, self.counted(getattr(os, name))))
            patches.enter_context(mock.patch.object(os, "fsync", self.counted(lambda _: None)))
            patches.enter_context(mock.patch.object(io, "open", self._opening(io.open)))
            yield

    def _opening(self, opened):
        def opening(path, mode="r", *arguments, **options):
            if mode in ("r", "rb"):
                return opened(path, mode, *arguments, **options)
            self.count()
            file = opened(path, mode, *arguments, **options)
            file.write = self._torn(file.write)
            return file

        return opening

    def _torn(self, write):
        def writing(content):
            write(content[: len(content) // 2])
            self.count()
            return write(content[len(content) // 2 :])

        return writing


def files_in(folder):
    """Return what is in a folder and below: bytes by name, None for a folder."""
    return {
        str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes()
        for path in folder.rglob("*")
    }
