"""Options of a scenario: each field of its configuration says once all there is to say of it.

What it may hold stands in its annotation; what it is for, its default and what other recipes have
in its place stand in `option`.  Checks, help and presets follow from that, for values from the
command line, from a file and from Python alike.
"""

from __future__ import annotations

import copy
import math
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
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
    "Checked",
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
    "flag",
    "option",
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
    choices : tuple
        All that it may be; empty: anything.
    range : Range, optional
        Where a number must lie.
    many : bool
        Whether it holds any number of such values.
    optional : bool
        Whether it may also be None.
    help, usual, unset, cases
        As `option` has them.
    """

    kind: type
    choices: tuple[Any, ...] = ()
    range: Range | None = None
    many: bool = False
    optional: bool = False
    help: str = ""
    usual: Any = None
    unset: str = ""
    cases: Mapping[str, Any] = field(default_factory=dict)

    @property
    def default(self) -> str:
        """What stands in its place where the user says nothing, in words.

        Examples
        --------
        >>> Option(int, usual=60, cases={"full": 300, "best_full": 60}).default
        '60; full: 300; best full: 60'
        """
        usual = {"": self.usual} if self.unset or self.usual is not None else {}
        values = {**usual, **{f"{name.replace('_', ' ')}: ": x for name, x in self.cases.items()}}
        if len(set(values.values())) == 1:
            values = {"": next(iter(values.values()))}
        return "; ".join(name + self._in_words(value) for name, value in values.items())

    def words(self, value: Any) -> str:
        """Return a value as text.

        Examples
        --------
        >>> rows = Option(int, optional=True, unset="all")
        >>> rows.words(5), rows.words(None)
        ('5', 'all')
        """
        return self.default if value is None and not self.unset else self._in_words(value)

    @property
    def is_switch(self) -> bool:
        """Whether it is on by its name, and off by its name after "no"."""
        return self.kind is bool and not self.optional

    def written(self, value: Any, name: str) -> list[str]:
        """Return what a user writes to get a value: what `read` takes, after the name.

        Examples
        --------
        >>> Option(float, many=True).written((0.5, math.inf), "--taus")
        ['--taus', '0.5', 'inf']
        >>> Option(bool).written(False, "--leaky")
        ['--no-leaky']
        """
        if self.is_switch:
            return [name if value else name.replace("--", "--no-", 1)]
        if value is None:
            return [name, "none"]
        return [name, *map(str, value if self.many else (value,))]

    def _in_words(self, value: Any) -> str:
        if value is None:
            return self.unset
        return " ".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)

    def value(self, names: Sequence[str]) -> Any:
        """Return what it is in the first of these cases that it knows."""
        return next((self.cases[name] for name in names if name in self.cases), self.usual)

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
                f"{name} must be one of {', '.join(map(str, self.choices))}, "
                f"got {reprlib.repr(value)}"
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
        if self.optional and [word.lower() for word in words] == ["none"]:
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


def option(help: str, default: Any = None, *, unset: str = "", **cases: Any) -> Any:  # noqa: A002
    """Return a field of a configuration.

    Parameters
    ----------
    help : str
        What it is for, in a sentence.
    default : object
        Its value where the user gives none.
    unset : str
        What None means, in words.
    **cases
        Its value where the user gives none and the run is of this kind, such as ``full=300``: see
        `Options.chosen_for`.  Until then the field is None.

    Examples
    --------
    >>> @dataclass(frozen=True)
    ... class Config(Options):
    ...     full: bool = option("All epochs.", False)
    ...     epochs: Epochs = option("Passes over the points.", 60, full=300)
    >>> Config().chosen.epochs, Config(full=True).chosen.epochs, Config(epochs=7).chosen.epochs
    (60, 300, 7)
    >>> options_of(Config)["epochs"].default
    '60; full: 300'
    """
    said = {"help": help, "usual": default, "unset": unset, "cases": cases}
    return field(default=None if cases else default, metadata=said)


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
    options = {each.name: _option(hints[each.name], each.metadata) for each in fields(config)}
    for name, one in options.items():
        for value in one.cases.values():
            one.check(value, name)
    return options


def _option(hint: Any, said: Mapping[str, Any]) -> Option:
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
    kind = type(choices[0]) if choices else hint
    return Option(kind, choices, limits, many, optional or bool(said.get("cases")), **said)


def flag(name: str) -> str:
    """Return how a field is called on the command line.

    Examples
    --------
    >>> flag("batch_size")
    '--batch-size'
    """
    return "--" + name.replace("_", "-")


class Checked:
    """A dataclass whose fields are checked where their annotations say what they may hold.

    Examples
    --------
    >>> @dataclass(frozen=True)
    ... class Loss(Checked):
    ...     smoothing: Fraction = 0.0
    >>> Loss(smoothing=1.0)
    Traceback (most recent call last):
        ...
    ValueError: smoothing must lie in [0, 1), got 1.0
    """

    def __post_init__(self) -> None:
        """Check the fields that have a range or a choice."""
        kind: Any = type(self)
        for name, one in _limits(kind).items():
            one.check(getattr(self, name), name)


@cache
def _limits(kind: Any) -> dict[str, Option]:
    hints = get_type_hints(kind, include_extras=True)
    return {
        each.name: _option(hints[each.name], {})
        for each in fields(kind)
        if _limited(hints[each.name])
    }


def _limited(hint: Any) -> bool:
    """Tell whether an annotation says more than a type."""
    return any(get_origin(one) in (Annotated, Literal) for one in (hint, *get_args(hint)))


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

    @property
    def kinds(self) -> tuple[str, ...]:
        """What kinds of run this is, as `chosen_for` asks: the most special one first."""
        return ()

    @property
    def chosen(self) -> Self:
        """The settings of this run: the user's, the others as its `kinds` have them."""
        return self.chosen_for(*self.kinds)

    def chosen_for(self, *kinds: str) -> Self:
        """Return the settings of a run of some kinds, the most special one first.

        A field that the user left open takes the value of the first of the `option`'s cases that
        applies.  With the option ``full``, each kind has another one before it: "best_full" before
        "best", and "full" after all.
        """
        full = getattr(self, "full", False)
        names = [name for kind in kinds for name in ([f"{kind}_full"] if full else []) + [kind]]
        chosen = copy.copy(self)  # not `replace`: what the user may not give, a recipe may have
        kind: Any = type(self)
        for name, one in options_of(kind).items():
            if one.cases and getattr(self, name) is None:
                value = one.value([*names, "full"] if full else names)
                object.__setattr__(chosen, name, value)
        return chosen

    @property
    def arguments(self) -> list[str]:
        """What a user writes to get these settings: options that are not at their defaults.

        Examples
        --------
        >>> @dataclass(frozen=True)
        ... class Config(Options):
        ...     full: bool = False
        ...     batch_size: int = 20
        >>> Config(full=True, batch_size=50).arguments
        ['--full', '--batch-size', '50']
        """
        kind: Any = type(self)
        arguments: list[str] = []
        for each in fields(kind):
            value = getattr(self, each.name)
            if value != each.default:
                arguments += options_of(kind)[each.name].written(value, flag(each.name))
        return arguments

    def require(self) -> None:
        """Raise an error if this machine lacks what the options ask for.  Here: nothing.

        Raises
        ------
        MissingExtraError, ValueError
            With what is missing, before anything is read or written.
        """
