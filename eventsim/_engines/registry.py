"""The engines by name; those of an extra are imported when they are asked for."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from eventsim._engines.base import Engine

__all__ = ["AUTOMATIC", "ENGINES", "engine_named"]

ENGINES = {
    "scheduler": "eventsim._engines.scheduler.host",
    "windows": "eventsim._engines.windows.host",
    "layered": "eventsim._engines.layered.host",
    "cuda": "eventsim._engines.cuda.host",
    "cuda-float32": "eventsim._engines.cuda.host",
}
"""Module of each engine."""

AUTOMATIC = ("layered", "windows", "scheduler")
"""Engines that "auto" takes, the one that is fastest where it pays first."""


def engine_named(name: str) -> Engine:
    """Return an engine."""
    return cast("Engine", import_module(ENGINES[name]))
