"""What decides about the numbers of a run besides its settings: versions of code."""

from __future__ import annotations

import platform
from importlib import metadata

import eventsim  # noqa: F401  # whose sources are looked at, as those of the next ones are
import gradients  # noqa: F401
from eventsim._support.sources import digest_of_sources

__all__ = ["code", "versions"]

PACKAGES = ("eventsim-snn", "numba", "numpy", "torch")
SOURCES = ("eventsim", "gradients", "scenarios")


def versions() -> dict[str, str]:
    """Return the installed versions of the packages that decide about numbers."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # run from a checkout that is not installed
            found[name] = "not installed"
    return found


def code() -> dict[str, str]:
    """Return the versions of what runs in this process, with digests of the project's own sources.

    Examples
    --------
    >>> list(code())
    ['eventsim-snn', 'numba', 'numpy', 'torch', 'python', 'sources']
    """
    sources = "-".join(digest_of_sources(package)[:8] for package in SOURCES)
    return {**versions(), "python": platform.python_version(), "sources": sources}
