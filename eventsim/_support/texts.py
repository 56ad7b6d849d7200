"""Lines and numbers of text files, which are whole or refused."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from io import BufferedReader, TextIOWrapper
from pathlib import Path
from typing import cast

from eventsim._support.files import FileError, opened
from eventsim._support.validate import shown

__all__ = ["as_decimal", "as_time", "as_whole", "lines_of"]

WHOLE = re.compile(r"\+?[0-9]{1,19}")
DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
LONGEST = 2**16  # characters of a line


def lines_of(path: Path, expected: str) -> Iterator[str]:
    r"""Yield the lines of a text in UTF-8, plain or packed by gzip or xz.

    Each must have an end: the last number of a file that is cut short may look like a whole one.

    Raises
    ------
    FileError
        If the file cannot be read, or is cut short or damaged.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "spikes.csv"
    >>> n = path.write_text("neuron,time\n3,0.5\n")
    >>> list(lines_of(path, "a table"))
    ['neuron,time\n', '3,0.5\n']
    """
    with opened(path, expected) as content:
        text = TextIOWrapper(cast(BufferedReader, content.file), "utf-8-sig", newline="")
        while line := text.readline(LONGEST):
            if not line.endswith(("\n", "\r")):
                wrong = f"ends, or does not end, in the midst of a line, {shown(line)}"
                raise FileError(path, wrong, f"{expected}, with a line break behind each line")
            yield line


def as_whole(text: str, name: str) -> int:
    """Return the whole number that a text is; ValueError if it is none.

    Examples
    --------
    >>> as_whole("12", "neuron")
    12
    """
    number = int(text) if WHOLE.fullmatch(text) else -1
    if not 0 <= number < 2**63:
        raise ValueError(f"{name} must be a whole number >= 0, of 63 bits, got {shown(text)}")
    return number


def as_decimal(text: str, name: str) -> float:
    """Return the number that a text is; ValueError if it is none, or not finite.

    Examples
    --------
    >>> as_decimal("10.300", "time")
    10.3
    """
    number = float(text) if DECIMAL.fullmatch(text) else math.inf
    if math.isinf(number):
        raise ValueError(f"{name} must be a finite number, got {shown(text)}")
    return number


def as_time(text: str) -> float:
    """Return the time that a text is; ValueError if it is none.

    Examples
    --------
    >>> as_time("10.300")
    10.3
    """
    time = as_decimal(text, "time")
    if time < 0.0:
        raise ValueError(f"time must be >= 0, got {text}")
    return time
