"""Run folders: where a run's configuration, metrics, weights and pictures go."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from scenarios.learning.checkpoint import write_whole
from scenarios.registry import Scenario, find

__all__ = ["forget", "new_folder", "read_folder"]

CONFIG = "config.json"
PACKAGES = ("eventsim-snn", "numba", "numpy", "torch")


def new_folder(scenario: Scenario, config: Any, folder: Path | None) -> Path:
    """Create the folder of a new run, with its configuration in it.

    Raises
    ------
    ValueError
        If the folder holds a run already, or something else.
    """
    if folder is None:
        folder = _free(Path("runs") / f"{scenario.name}-{datetime.now():%Y%m%d-%H%M%S}")
    if (folder / CONFIG).exists():
        raise ValueError(
            f"{folder} holds a run already: go on with it by `eventsim resume {folder}`"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"the run folder must be new or empty, got {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    content = {"scenario": scenario.name, "config": asdict(config), "versions": _versions()}
    write_whole(folder / CONFIG, json.dumps(content, indent=2).encode() + b"\n")
    return folder


def forget(folder: Path) -> None:
    """Remove the folder of a run that ended before it left anything but its configuration."""
    if [path.name for path in folder.iterdir()] == [CONFIG]:
        (folder / CONFIG).unlink()
        folder.rmdir()


def read_folder(folder: Path) -> tuple[Scenario, Any]:
    """Return scenario and configuration of a run folder.

    Raises
    ------
    ValueError
        If the folder holds no run, or its configuration cannot be used.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise ValueError(f"{folder} is not a run folder: there is no {path}")
    try:
        content = json.loads(path.read_bytes())
        scenario = find(content["scenario"])
        return scenario, scenario.module().Config(**content["config"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} cannot be used: {error}") from error


def _free(path: Path) -> Path:
    """Return the path, with a number if it is taken."""
    candidates = (path, *(path.with_name(f"{path.name}-{k}") for k in range(2, 1000)))
    return next(candidate for candidate in candidates if not candidate.exists())


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # run from a checkout that is not installed
            found[name] = "not installed"
    return found
