"""With which code a process computes: the sources of packages, and versions of others."""

import hashlib
import os
import platform
from collections.abc import Mapping
from functools import cache
from importlib import import_module, metadata
from pathlib import Path

__all__ = ["OtherCodeError", "check_code", "code", "digest_of_sources"]

OTHERS = ("numpy", "numba", "scipy", "torch")  # which decide about digits too


class OtherCodeError(RuntimeError):
    """Another process has another version: its numbers could be others."""


@cache
def digest_of_sources(package: str) -> str:
    """Return a digest of all source files of a package, as they were when first asked.

    Examples
    --------
    >>> len(digest_of_sources("eventsim"))
    64
    """
    digest = hashlib.sha256()
    for folder in getattr(import_module(package), "__path__", ()):
        for path in sorted(Path(folder).rglob("*.py")):
            digest.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


@cache
def code(*packages: str) -> Mapping[str, str]:
    """Return what this process computes with: digests of packages, and versions of others.

    Examples
    --------
    >>> list(code("eventsim"))
    ['eventsim', 'python', 'numpy', 'numba', 'scipy', 'torch']
    """
    own = {package: digest_of_sources(package)[:12] for package in packages}
    return {**own, "python": platform.python_version(), **{name: _version(name) for name in OTHERS}}


def check_code(wanted: Mapping[str, str]) -> None:
    """Raise an error unless this process computes with the `code` that another one has.

    Raises
    ------
    OtherCodeError
        With the name of this process, and what differs.

    Examples
    --------
    >>> check_code({**code("eventsim"), "numpy": "1.0"})
    Traceback (most recent call last):
        ...
    eventsim._support.sources.OtherCodeError: worker ..., process ..., has numpy ..., but the one
    who gives out the work has numpy 1.0: install the same, and start the worker anew
    """
    here = code(*(name for name in wanted if name not in ("python", *OTHERS)))
    other = [name for name in wanted if here[name] != wanted[name]]
    if other:
        found, given = (
            ", ".join(f"{name} {each[name]}" for name in other) for each in (here, wanted)
        )
        raise OtherCodeError(
            f"worker {platform.node()}, process {os.getpid()}, has {found}, but the one who gives "
            f"out the work has {given}: install the same, and start the worker anew"
        )


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
