"""JSON that a run reads back: with a digest on each line, and with the settings it belongs to.

The settings of a run are fixed when it begins.  They travel with every file that a resumed run
reads back, so what was made with other settings is refused by the names of those.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

__all__ = [
    "CONFIG",
    "DeadEndError",
    "OtherRunError",
    "as_line",
    "belonging_to",
    "check_origin",
    "origin",
    "origin_in_lines",
    "origin_line",
    "parse",
    "read_lines",
]

CONFIG = "config.json"
DEEPEST = 100

Origin = Mapping[str, Any]  # {"scenario": name, "config": its settings, as JSON has them}
_ORIGIN: ContextVar[Origin | None] = ContextVar("origin", default=None)


class DeadEndError(ValueError):
    """The files in a folder are such that its run cannot go on."""


class OtherRunError(DeadEndError):
    """A file belongs to another run, or to this one with other settings."""


@contextmanager
def belonging_to(run: Origin) -> Iterator[None]:
    """Let what is written belong to a run, and refuse to read what belongs to another."""
    token = _ORIGIN.set(parse(json.dumps(run)))
    try:
        yield
    finally:
        _ORIGIN.reset(token)


def origin() -> Origin | None:
    """Return scenario and settings of the run under way, or None outside of `belonging_to`."""
    return _ORIGIN.get()


def origin_line() -> bytes:
    """Return the `origin` as the first line of a file of records; nothing outside of a run."""
    return b"" if origin() is None else as_line({"run": origin()})


def origin_in_lines(path: Path) -> Any:
    """Return the `origin` that a file of records begins with, None if it does not say."""
    with path.open("rb") as file:
        first = _intact(file.readline())
    return None if first is None else first.get("run")


def check_origin(found: Any, path: Path) -> None:
    """Raise an error if a file does not belong to the run under way.

    Parameters
    ----------
    found : object
        The `origin` that the file holds, as JSON has it.
    path : Path
        The file.

    Raises
    ------
    OtherRunError
        With each setting that differs, as it was and as it is.

    Examples
    --------
    >>> was = {"scenario": "iris", "config": {"batch_size": 20, "seed": 105}}
    >>> with belonging_to({"scenario": "iris", "config": {"batch_size": 50, "seed": 105}}):
    ...     check_origin(was, Path("splits.jsonl"))
    Traceback (most recent call last):
        ...
    scenarios.running.records.OtherRunError: splits.jsonl was made with batch_size = 20, but
    config.json says batch_size = 50: settings are fixed when a run begins; put back what was
    there, or begin a run with new settings by `eventsim run iris`, in a folder of its own
    """
    here = origin()
    if here is None:
        return
    if not _is_origin(found):
        raise OtherRunError(f"{path} holds no settings of a run, so it cannot be part of this one")
    if found["scenario"] != here["scenario"]:
        raise OtherRunError(
            f"{path} belongs to the scenario {found['scenario']!r}, "
            f"but {CONFIG} says {here['scenario']!r}"
        )
    was, now = found["config"], here["config"]
    other = [name for name in {**was, **now} if _shown(was, name) != _shown(now, name)]
    if other:
        raise OtherRunError(
            f"{path} was made with {', '.join(_shown(was, name) for name in other)}, but {CONFIG} "
            f"says {', '.join(_shown(now, name) for name in other)}: settings are fixed when a run "
            "begins; put back what was there, or begin a run with new settings by "
            f"`eventsim run {here['scenario']}`, in a folder of its own"
        )


def _is_origin(found: Any) -> bool:
    return isinstance(found, dict) and isinstance(found.get("config"), dict) and "scenario" in found


def _shown(config: Mapping[str, Any], name: str) -> str:
    return f"{name} = {json.dumps(config[name])}" if name in config else f"no {name}"


def parse(content: str | bytes) -> Any:
    """Return what a JSON text says; whatever is wrong with it is a ValueError.

    Examples
    --------
    >>> parse("[" * 100_000)
    Traceback (most recent call last):
        ...
    ValueError: JSON must be nested at most 100 levels deep
    """
    too_deep = f"JSON must be nested at most {DEEPEST} levels deep"
    try:
        value = json.loads(content)
    except RecursionError:
        raise ValueError(too_deep) from None
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for one in level for inner in _inside(one)]
        if not level:
            return value
    raise ValueError(too_deep)


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def as_line(record: Mapping[str, Any]) -> bytes:
    """Return a record as one line of JSON that ends with its digest.

    Examples
    --------
    >>> as_line({"seed": 3}).decode().rstrip()
    '{"seed": 3, "digest": "1391dc1f10fa3343"}'
    """
    digest = hashlib.sha256(json.dumps(record).encode()).hexdigest()[:16]
    return json.dumps({**record, "digest": digest}).encode() + b"\n"


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the records of a file, without their digests; none if there is no such file.

    A line that was altered or cut short is left out, with a warning that names it.  In a run the
    first one says whose they are: without it none is used.

    Raises
    ------
    OtherRunError
        If they belong to another run.
    """
    if not path.exists():
        return []
    lines = path.read_bytes().splitlines(keepends=True) or [b""]
    records = [_intact(line) for line in lines]
    damaged = [str(number) for number, record in enumerate(records, 1) if record is None]
    if damaged:
        warnings.warn(
            f"{path} was altered or cut short in line {', '.join(damaged)}: what is lost is done "
            "again",
            RuntimeWarning,
            stacklevel=2,
        )
    first, *others = records
    if origin() is None:
        return [record for record in records if record and "run" not in record]
    if first is None:
        return []
    check_origin(first.get("run"), path)
    return [record for record in others if record]


def _intact(line: bytes) -> dict[str, Any] | None:
    """Return the record of a line, or None if it is not to the byte what `as_line` wrote."""
    try:
        record = parse(line)
        if not isinstance(record, dict):
            return None
        record.pop("digest", None)
        return record if as_line(record) == line else None
    except ValueError:
        return None
