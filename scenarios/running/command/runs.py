"""Run folders: where a run's configuration, metrics, weights and pictures go."""

from __future__ import annotations

import json
import shlex
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime
from importlib import metadata
from itertools import count
from pathlib import Path
from typing import Any

from scenarios.running.checkpoint import check_folder, remove_partial, write_whole
from scenarios.running.lock import LOCK, held
from scenarios.running.options import flag, options_of
from scenarios.running.records import CONFIG, belonging_to, parse
from scenarios.running.registry import Scenario, find
from scenarios.running.report import About

__all__ = ["about", "forget", "is_blank", "new_run", "old_run", "read_folder"]

PACKAGES = ("eventsim-snn", "numba", "numpy", "torch")


@contextmanager
def new_run(scenario: Scenario, config: Any, folder: Path | None) -> Iterator[Path]:
    """Make the folder of a new run, with its configuration in it, and hold it.

    What is written meanwhile belongs to the run.  If the run ends by an error before it leaves
    anything but its configuration, the folder goes too.

    Raises
    ------
    ValueError
        If the folder holds a run already, or something else, or another process holds it.
    """
    folder = _fresh(Path("runs") / f"{scenario.name}-{datetime.now():%Y%m%d-%H%M%S}", folder)
    with held(folder):
        _check_unused(folder)
        remove_partial(folder)
        run = _origin(scenario, config)
        used = asdict(config.chosen)  # for readers: a run goes on from what it was asked for
        made = {"begun": _now(), "versions": _versions()}
        content = json.dumps({**run, "used": used, **made}, indent=2)
        try:
            write_whole(folder / CONFIG, content.encode() + b"\n")
            with belonging_to(run):
                yield folder
        except Exception:
            with suppress(OSError):  # it may be gone
                forget(folder)
            raise


@contextmanager
def old_run(folder: Path) -> Iterator[tuple[Scenario, Any]]:
    """Hold the folder of a run that goes on; return its scenario and its configuration.

    Other versions of packages than those that began it are named in a warning.

    Raises
    ------
    ValueError
        If the folder holds no run, its configuration cannot be used or is not what the run was
        begun with, or another process holds it.
    """
    _content(folder)  # first: a folder without a run gets no lock
    with held(folder):
        scenario, config = read_folder(folder)
        _compare_versions(folder)
        remove_partial(folder)
        with belonging_to(_origin(scenario, config)):
            check_folder(folder)
            yield scenario, config


def forget(folder: Path) -> None:
    """Remove the folder of a run that ended before it left anything but its configuration."""
    if is_blank(folder):
        for name in (CONFIG, LOCK):
            (folder / name).unlink(missing_ok=True)
        with suppress(OSError):  # another process may begin a run there at this moment
            folder.rmdir()


def is_blank(folder: Path) -> bool:
    """Tell whether a folder holds nothing but the configuration of a run."""
    return {path.name for path in folder.iterdir()} <= {CONFIG, LOCK}


def read_folder(folder: Path) -> tuple[Scenario, Any]:
    """Return scenario and configuration of a run folder.

    Raises
    ------
    ValueError
        If the folder holds no run, or its configuration cannot be used.
    """
    content = _content(folder)
    with _cause_named(folder / CONFIG):
        scenario = find(content["scenario"])
        return scenario, scenario.options().of(content["config"])


def about(scenario: Scenario, config: Any, folder: Path) -> About:
    """Return what the page of a run says beside its results."""
    content, chosen = _content(folder), config.chosen
    kind: Any = type(config)
    settings = [
        (flag(name), option.words(getattr(chosen, name)), option.help)
        for name, option in options_of(kind).items()
    ]
    return About(
        task=scenario.task(),
        pictures=scenario.pictures(),
        settings=settings,
        command=shlex.join(["eventsim", "run", scenario.name, *config.arguments]),
        begun=str(content.get("begun", "not known")),
        versions=", ".join(f"{name} {found}" for name, found in content["versions"].items()),
        source=scenario.source,
    )


def _content(folder: Path) -> dict[str, Any]:
    """Return what the configuration of a run folder says, after a check of its outline."""
    path = folder / CONFIG
    if not path.is_file():
        raise ValueError(f"{folder} is not a run folder: there is no {path}")
    with _cause_named(path):
        content = parse(path.read_bytes())
        if not isinstance(content, dict):
            raise ValueError(f"it must be an object, got {content!r:.100}")
        for name, kind in {"scenario": str, "config": dict, "versions": dict}.items():
            if not isinstance(content.get(name), kind):
                word = "a text" if kind is str else "an object"
                raise ValueError(f"{name} must be {word}, got {content.get(name)!r:.100}")
        return content


@contextmanager
def _cause_named(path: Path) -> Iterator[None]:
    """Let whatever is wrong with the content of a file be one error that names the file."""
    try:
        yield
    except (ArithmeticError, OSError, TypeError, ValueError) as error:
        raise ValueError(f"{path} cannot be used: {error}") from error


def _origin(scenario: Scenario, config: Any) -> dict[str, Any]:
    return {"scenario": scenario.name, "config": asdict(config)}


def _fresh(name: Path, chosen: Path | None) -> Path:
    """Return a folder that is there and unused: the chosen one, or one of this name or the next."""
    if chosen is not None:
        _check_unused(chosen)
        chosen.mkdir(parents=True, exist_ok=True)
        return chosen
    for k in count(1):
        folder = name if k == 1 else name.with_name(f"{name.name}-{k}")
        with suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder
    raise AssertionError("there is always a next number")


def _check_unused(folder: Path) -> None:
    """Raise an error unless a folder holds at most what a kill leaves before a run begins."""
    if (folder / CONFIG).exists():
        raise ValueError(
            f"{folder} holds a run already: go on with it by `eventsim resume {folder}`"
        )
    if folder.exists() and not (folder.is_dir() and all(map(_is_ours, folder.iterdir()))):
        raise ValueError(f"the run folder must be new or empty, got {folder}")


def _is_ours(path: Path) -> bool:
    return path.name == LOCK or path.match(f".{CONFIG}.*.partial")


def _compare_versions(folder: Path) -> None:
    began, here = _content(folder)["versions"], _versions()
    other = [name for name in {**began, **here} if began.get(name) != here.get(name)]
    if other:
        then, now = (
            ", ".join(f"{name} {versions.get(name, 'not known')}" for name in other)
            for versions in (began, here)
        )
        warnings.warn(
            f"the run was begun with {then}, and goes on with {now}: numbers may differ from those "
            "of a run with one of them",
            stacklevel=4,
        )


def _now() -> str:
    return datetime.now().astimezone().isoformat(" ", "seconds")


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # run from a checkout that is not installed
            found[name] = "not installed"
    return found
