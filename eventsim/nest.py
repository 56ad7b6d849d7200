"""Spikes that NEST has recorded to text files: ``.gdf`` of NEST 2, ``.dat`` of NEST 3."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from eventsim._support.files import FileError, as_path
from eventsim._support.texts import as_decimal, as_time, as_whole, lines_of
from eventsim._support.types import FloatArray, IntArray
from eventsim._support.validate import (
    LEAST,
    as_indices,
    as_mapping,
    as_positive,
    check_text,
    require,
    require_size,
    shown,
)
from eventsim.spikes import Spikes
from eventsim.units import as_times, check_time_unit

__all__ = ["read_spikes"]

EXPECTED = "spikes as NEST records them, with a sender and a time in each line"
IN_MS, IN_STEPS = ("sender", "time_ms"), ("sender", "time_step", "time_offset")


def read_spikes(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    populations: Mapping[str, ArrayLike],
    *,
    unit: str,
    resolution: float | None = None,
) -> dict[str, Spikes]:
    r"""Read the spikes of one recorder from its files, plain or packed by gzip or xz.

    Parameters
    ----------
    paths : str, os.PathLike or sequence of these
        A file, or those of all threads or processes (``spikes-7-0.dat``, ``spikes-7-1.dat``, ...).
    populations : dict of str -> range or (n,) array_like of int
        The node ids of each population in the order of its neurons: ``{"E": range(1, 801)}`` makes
        id 1 neuron 0.
    unit : {"s", "ms", "us", "ns"}
        The unit of the network's time; files are in ms.
    resolution : float, optional
        The resolution of the simulation in ms, for files with times in steps
        (``time_in_steps``); a time is its step less its offset.

    Returns
    -------
    dict of str -> Spikes
        By population, silent ones too.

    Raises
    ------
    ValueError
        With path and line, if a file is anything else or is damaged, has other columns than it
        should, or a sender that is in no population; or if an argument is invalid.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "spikes-7-0.dat"
    >>> n = path.write_text("sender\ttime_ms\n3\t10.300\n1\t10.400\n")
    >>> read_spikes(path, {"E": range(1, 3), "I": [3]}, unit="ms")["I"].times
    array([10.3])
    """
    check_time_unit(unit)
    step = None if resolution is None else _step_of(resolution)
    nodes = _nodes_of(populations)
    parts = [_read(place, nodes, step) for place in _places(paths)]
    places, times = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    times, number = as_times(times, "ms", unit), nodes.population[places]
    return {
        name: Spikes(times[number == k], nodes.neuron[places[number == k]])
        for k, name in enumerate(populations)
    }


class Nodes(NamedTuple):
    """Node ids, ascending, and what they are."""

    ids: IntArray
    population: IntArray
    neuron: IntArray


def _places(paths: Any) -> list[Path]:
    """Return the files, of which each is named once."""
    listed = paths if isinstance(paths, (list, tuple)) else [paths]
    if not listed:
        raise ValueError(f"paths must name at least one file, got {shown(paths)}")
    places = [as_path(path) for path in listed]
    for k, place in enumerate(places):
        if place in places[:k]:
            raise ValueError(f"paths must be different files, got {str(place)!r} twice")
    return places


def _step_of(resolution: float) -> Fraction:
    """Return the length of a step in ms as it is written: 0.1 is a tenth."""
    step = as_positive(resolution, "resolution")
    require_size(step, "resolution", LEAST)
    return Fraction(repr(step))


def _nodes_of(populations: Any) -> Nodes:
    """Return the ids of all populations; ValueError if one is there twice."""
    parts = []
    for name, given in as_mapping(populations, "populations").items():
        check_text(name, "each name in populations")
        parts.append(as_indices(given, f"populations[{shown(name)}]"))
        if parts[-1].ndim != 1:
            raise ValueError(
                f"populations[{shown(name)}] must be a list of node ids, got {shown(given)}"
            )
    if not sum(part.size for part in parts):
        raise ValueError(f"populations must hold node ids, got {shown(populations)}")
    sizes, ids = [part.size for part in parts], np.concatenate(parts)
    order = np.argsort(ids, kind="stable")
    nodes = Nodes(
        ids[order],
        np.repeat(np.arange(len(parts)), sizes)[order],
        np.concatenate([np.arange(size) for size in sizes])[order],
    )
    once = nodes.ids[1:] != nodes.ids[:-1]
    require(once, nodes.ids[1:], "populations must hold each node id once")
    return nodes


def _read(path: Path, nodes: Nodes, step: Fraction | None) -> tuple[IntArray, FloatArray]:
    """Return the place among the nodes, and the time in ms, of each spike of a file."""
    recording = _Recording(step)
    for number, line in enumerate(lines_of(path, EXPECTED), 1):
        try:
            recording.take(line)
        except ValueError as error:
            wrong = f"cannot be used, because of line {number}: {error}"
            raise FileError(path, wrong, EXPECTED) from error
    senders = np.array(recording.senders, dtype=np.int64)
    places = np.searchsorted(nodes.ids, senders)
    known = nodes.ids[np.minimum(places, nodes.ids.size - 1)] == senders
    if not known.all():
        wrong = f"holds a spike of node {senders[~known][0]}, which is in none of the populations"
        raise FileError(path, wrong, EXPECTED)
    return places, np.array(recording.times, dtype=np.float64)


class _Recording:
    """The spikes of a file, line by line.

    NEST 3 names the columns, in some versions behind a #; NEST 2 does not.
    """

    def __init__(self, step: Fraction | None) -> None:
        """Begin with none; the step is that of times in steps."""
        self.senders: list[int] = []
        self.times: list[float] = []
        self._step = step
        self._columns: tuple[str, ...] = ()

    def take(self, line: str) -> None:
        """Take a line: a spike, the names of the columns, or a comment."""
        words = tuple(line.lstrip("# ").split())
        if words[:1] == ("sender",):
            self._columns = self._checked(words)
        elif words and not line.startswith("#"):
            columns = self._columns or self._guessed(len(words))
            if len(columns) != len(words):
                raise ValueError(f"it must have {len(columns)} values, got {len(words)}")
            self.senders.append(as_whole(words[0], "sender"))
            self.times.append(self._time_of(*words[1:]))

    def _checked(self, columns: tuple[str, ...]) -> tuple[str, ...]:
        """Return the columns if they are those of spikes, and times in steps can be read."""
        if columns not in (IN_MS, IN_STEPS):
            raise ValueError(
                f"columns must be {' '.join(IN_MS)} or {' '.join(IN_STEPS)}, got {shown(columns)}"
            )
        if (columns == IN_STEPS) != (self._step is not None):
            raise ValueError(
                "resolution must be given for times in steps, and for these alone, got "
                f"{self._step and float(self._step)} for {' '.join(columns)}"
            )
        return columns

    def _guessed(self, n: int) -> tuple[str, ...]:
        """Return the columns of a line without a header."""
        if self._step is None:
            return IN_MS
        return IN_STEPS[:n] if n == 2 else IN_STEPS

    def _time_of(self, time: str, offset: str = "0") -> float:
        if self._step is None:
            if time.isdigit() and not self._columns:
                raise ValueError(
                    "resolution must be given: without a header, whole numbers are times in steps, "
                    f"got {time}"
                )
            return as_time(time)
        steps = as_whole(time, "time in steps") * self._step.numerator
        ms = steps / self._step.denominator - as_decimal(offset, "offset")
        if ms < 0.0:
            raise ValueError(f"time must be >= 0, got {ms!r}")
        return ms
