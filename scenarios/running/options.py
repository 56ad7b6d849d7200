"""Options of a scenario: each field of its configuration says, beside its type, what it may hold.

A range stands in the annotation, so there is one place that says it and one that checks it, for
values from the command line, from a file and from Python alike.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from numbers import Integral, Real
from types import NoneType
from typing import (
    Annotated,
    Any,
    Literal,
    Self,
    TypeAlias,
    get_args,
    get_origin,
    get_type_hints,
)

__all__ = [
    "BatchSize",
    "Count",
    "Epochs",
    "Fraction",
    "Layer",
    "NonNegative",
    "Option",
    "Options",
    "Positive",
    "Range",
    "Rate",
    "Rows",
    "Seed",
    "TimeConstant",
    "options_of",
]


@dataclass(frozen=True)
class Range:
    """Where a number must lie.

    Attributes
    ----------
    low, high : float
        Its ends.
    ends : str
        "[]"; a round bracket leaves an end out.
    also : float, optional
        A number outside that is allowed too.

    Examples
    --------
    >>> 0.0 in Range(0, 1, "(]"), 1.0 in Range(0, 1, "(]"), float("nan") in Range(0, 1)
    (False, True, False)
    """

    low: float
    high: float
    ends: str = "[]"
    also: float | None = None

    def __contains__(self, value: Any) -> bool:
        """Whether a number lies there; NaN does not."""
        above = self.low < value or (self.ends[0] == "[" and self.low == value)
        below = value < self.high or (self.ends[1] == "]" and value == self.high)
        return (above and below) or value == self.also

    def __str__(self) -> str:
        low, high = (f"{x:g}" if isinstance(x, float) else str(x) for x in (self.low, self.high))
        other = "" if self.also is None else f" or be {self.also:g}"
        return f"{self.ends[0]}{low}, {high}{self.ends[1]}{other}"


Count: TypeAlias = Annotated[int, Range(1, 100_000)]  # networks, runs, segments, ...
Epochs: TypeAlias = Annotated[int, Range(1, 999_999)]  # checkpoints are named by six digits
BatchSize: TypeAlias = Annotated[int, Range(1, 1_000_000)]
Rows: TypeAlias = Annotated[int, Range(1, 10_000_000)]  # samples of a data set
Layer: TypeAlias = Annotated[int, Range(1, 100_000)]  # neurons
Seed: TypeAlias = Annotated[int, Range(0, 2**32 - 1)]
Rate: TypeAlias = Annotated[float, Range(0, 1000, "(]")]  # of learning
Fraction: TypeAlias = Annotated[float, Range(0, 1, "[)")]
Positive: TypeAlias = Annotated[float, Range(1e-6, 1e6)]  # times and what else has a scale
TimeConstant: TypeAlias = Annotated[float, Range(1e-6, 1e6, also=math.inf)]  # inf: no leak
NonNegative: TypeAlias = Annotated[float, Range(0.0, 1e6)]  # strengths and deviations

KINDS: dict[type, tuple[Any, str]] = {
    bool: (bool, "True or False"),
    int: (Integral, "a whole number"),
    float: (Real, "a number"),
    str: (str, "text"),
}


@dataclass(frozen=True)
class Option:
    """What a field may hold.

    Attributes
    ----------
    kind : type
        bool, int, float or str.
    choices : tuple of str
        All that a text may be; empty: any text.
    range : Range, optional
        Where a number must lie.
    many : bool
        Whether it holds any number of such values.
    optional : bool
        Whether it may also be None.
    """

    kind: type
    choices: tuple[str, ...] = ()
    range: Range | None = None
    many: bool = False
    optional: bool = False

    def check(self, value: Any, name: str) -> None:
        """Raise a ValueError unless the value is one that the field may hold.

        Examples
        --------
        >>> Option(int, range=Range(1, 9)).check(12, "epochs")
        Traceback (most recent call last):
            ...
        ValueError: epochs must lie in [1, 9], got 12
        """
        if value is None and self.optional:
            return
        if self.many and not isinstance(value, tuple):
            raise ValueError(f"{name} must be a list, got {reprlib.repr(value)}")
        for each in value if self.many else (value,):
            self._check_one(each, name)

    def _check_one(self, value: Any, name: str) -> None:
        kind, words = KINDS[self.kind]
        if not isinstance(value, kind) or (isinstance(value, bool) and self.kind is not bool):
            raise ValueError(f"{name} must be {words}, got {reprlib.repr(value)}")
        if self.choices and value not in self.choices:
            raise ValueError(
                f"{name} must be one of {', '.join(self.choices)}, got {reprlib.repr(value)}"
            )
        if self.range is not None and value not in self.range:
            raise ValueError(f"{name} must lie in {self.range}, got {reprlib.repr(value)}")
        if isinstance(value, str) and (not value or "\0" in value):
            raise ValueError(f"{name} must be text without NUL, and not empty, got {value!r}")

    def read(self, words: Sequence[str], name: str) -> Any:
        """Return the value that a user wrote.

        Raises
        ------
        ValueError
            If there is none, or it is none that the field may hold.

        Examples
        --------
        >>> Option(float, many=True).read(["0.5", "inf"], "--taus")
        (0.5, inf)
        >>> Option(int).read(["three"], "--epochs")
        Traceback (most recent call last):
            ...
        ValueError: --epochs must be a whole number, got 'three'
        """
        if not words:
            raise ValueError(f"{name} needs a value")
        if len(words) > 1 and not self.many:
            raise ValueError(f"{name} takes one value, got {' '.join(words)!r}")
        if self.optional and list(words) == ["None"]:
            return None
        values = tuple(self._read_one(word, name) for word in words)
        value = values if self.many else values[0]
        self.check(value, name)
        return value

    def _read_one(self, word: str, name: str) -> Any:
        if self.kind is bool:
            return {"True": True, "False": False}.get(word, word)
        try:
            value = self.kind(word)
        except ValueError:
            value = None
        if value is None or (value == math.inf and "inf" not in word.lower()):  # 1e999 is no number
            words = KINDS[self.kind][1]
            raise ValueError(f"{name} must be {words}, got {reprlib.repr(word)}")
        return value


@cache
def options_of(config: Any) -> dict[str, Option]:
    """Return what the fields of a configuration may hold, by name.

    Examples
    --------
    >>> @dataclass(frozen=True)
    ... class Config(Options):
    ...     taus: tuple[Positive, ...] | None = None
    >>> taus = options_of(Config)["taus"]
    >>> taus.kind, str(taus.range), taus.many, taus.optional
    (<class 'float'>, '[1e-06, 1e+06]', True, True)
    """
    hints = get_type_hints(config, include_extras=True)
    return {field.name: _option(hints[field.name]) for field in fields(config)}


def _option(hint: Any) -> Option:
    """Return what an annotation says: [tuple of] a type, a Literal or Annotated [or None]."""
    optional = NoneType in get_args(hint)
    if optional:
        (hint,) = (member for member in get_args(hint) if member is not NoneType)
    many = get_origin(hint) is tuple
    if many:
        hint = get_args(hint)[0]
    limits = None
    if get_origin(hint) is Annotated:
        hint, limits = get_args(hint)
    choices = get_args(hint) if get_origin(hint) is Literal else ()
    return Option(str if choices else hint, choices, limits, many, optional)


class Options:
    """What the configurations of all scenarios share."""

    def __post_init__(self) -> None:
        """Check each field by its annotation; a list, as files have it, becomes a tuple."""
        kind: Any = type(self)
        for name, option in options_of(kind).items():
            value = getattr(self, name)
            if option.many and isinstance(value, list):
                value = tuple(value)
                object.__setattr__(self, name, value)
            option.check(value, name)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Return a configuration from what a file holds: a value for each field.

        Raises
        ------
        ValueError
            If a name is missing or unknown, or a value is not one that its field may hold.
        """
        kind: Any = cls
        names = list(options_of(kind))
        for name in values:
            if name not in names:
                raise ValueError(f"settings must be {', '.join(names)}, got {name!r}")
        for name in names:
            if name not in values:
                raise ValueError(f"settings must be {', '.join(names)}, got no {name}")
        return cls(**values)

    def require(self) -> None:
        """Raise an error if this machine lacks what the options ask for.  Here: nothing.

        Raises
        ------
        MissingExtraError, ValueError
            With what is missing, before anything is read or written.
        """
