"""Files with machine code, so that a process need not compile what another one did.

They are numba's, with three differences.  Code is made anew when *any*
source file of the packages has changed: numba compares a function with its own file only, and
would run what it called before.  It carries a digest, so that a damaged file is made anew.  And
where neither ``__pycache__`` nor the user's cache can be written to, as in many containers, it goes
to a folder of the user's in the temporary directory, or is not kept; either is said once.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import stat
import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from numba import config
from numba.core.caching import (
    CompileResultCacheImpl,
    FunctionCache,
    IndexDataCacheFile,
    UserWideCacheLocator,
)

from eventsim._support.sources import digest_of_sources

__all__ = ["files_can_be_kept", "keep_code"]

DIGEST = hashlib.sha256
DIGEST_SIZE = DIGEST().digest_size


class _TemporaryLocator(UserWideCacheLocator):
    """A folder in the temporary directory that nobody but this user can write to."""

    def get_cache_path(self) -> str:
        """Return the folder of the function's module."""
        return str(_own_folder() / self.get_suitable_cache_subpath(self._py_file))

    def ensure_cache_path(self) -> None:
        """Make the folder; OSError if it is not this user's alone: what it holds is run."""
        own = _own_folder()
        own.mkdir(mode=0o700, exist_ok=True)
        found = own.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise PermissionError(f"{own} must be a folder of this user alone")
        super().ensure_cache_path()
        _say_once(f"compiled code is kept in {own}, since no other place for it can be written to")


class _Place(CompileResultCacheImpl):
    """Where the machine code of a function is kept."""

    _locator_classes: ClassVar[list[type]] = [
        *CompileResultCacheImpl._locator_classes,
        _TemporaryLocator,
    ]


class _CheckedFile(IndexDataCacheFile):
    """A cache file whose entries carry a digest."""

    def _dump(self, obj: Any) -> bytes:
        content = super()._dump(obj)
        return DIGEST(content).digest() + content

    def _load_index(self) -> dict[Any, str]:
        try:
            stored = Path(self._index_path).read_bytes()
            version = pickle.dumps(self._version, protocol=-1)
            if not stored.startswith(version):
                return {}
            stamp, entries = pickle.loads(_checked(stored[len(version) :]))
        except OSError:
            return {}
        return entries if stamp == self._source_stamp else {}

    def _load_data(self, name: str) -> Any:
        return pickle.loads(_checked(Path(self._data_path(name)).read_bytes()))


class _DamagedError(OSError):
    """The file is not what was written: as good as none."""


def _checked(stored: bytes) -> bytes:
    """Return the content behind the digest."""
    digest, content = stored[:DIGEST_SIZE], stored[DIGEST_SIZE:]
    if DIGEST(content).digest() != digest:
        raise _DamagedError("digest")
    return content


class _Cache(FunctionCache):
    """numba's cache of a function, with the differences that the module names."""

    _impl_class = _Place

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        stamp = self._impl.locator.get_source_stamp(), _stamp(function)
        self._cache_file = _CheckedFile(self._cache_path, self._impl.filename_base, stamp)

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep machine code, if that is possible: the run goes on in any case."""
        try:
            super().save_overload(sig, data)
        except OSError as error:  # a full disk, a folder that is gone
            _say_once(f"compiled code cannot be kept: {error}")


def _own_folder() -> Path:
    return Path(tempfile.gettempdir()) / f"eventsim-{os.getuid()}"


def _stamp(function: Callable[..., Any]) -> tuple[Any, ...]:
    """Return what the machine code of a function depends on, besides its own file."""
    package = function.__module__.partition(".")[0]
    options = config.BOUNDSCHECK, repr(config.OPT)
    return *options, digest_of_sources("eventsim"), digest_of_sources(package)


@cache
def _say_once(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=2)


@cache
def files_can_be_kept() -> bool:
    """Tell whether numba finds a place of its own for machine code, without the temporary one."""
    try:
        FunctionCache(_checked)
    except RuntimeError:
        return False
    return True


def keep_code(compiled: Any, function: Callable[..., Any]) -> None:
    """Let a compiled function keep its machine code, and take what is kept."""
    try:
        compiled._cache = _Cache(function)
    except RuntimeError:  # numba finds no place
        _say_once(
            "compiled code is not kept, since no place for it can be written to: each process "
            "compiles anew (set NUMBA_CACHE_DIR to a folder that can be written to)"
        )
