"""Settings from a file: each is checked against the annotation of its field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

__all__ = ["typed"]

Settings = TypeVar("Settings")
WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    NoneType: "null",
}


def typed(kind: type[Settings], values: Mapping[str, Any]) -> Settings:
    """Return a dataclass from values that JSON gave: lists become tuples, all else stays.

    Parameters
    ----------
    kind : type
        A dataclass whose fields are bool, int, float, str, None, literals, tuples of one of these,
        or a choice between some.
    values : dict
        One for each field.

    Raises
    ------
    ValueError
        If a name is missing or unknown, or a value is not what its field is annotated with.

    Examples
    --------
    >>> from scenarios.iris import Config
    >>> from dataclasses import asdict
    >>> typed(Config, asdict(Config())) == Config()
    True
    >>> typed(Config, {**asdict(Config()), "full": "false"})
    Traceback (most recent call last):
        ...
    ValueError: full must be true or false, got 'false'
    """
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    for name, value in values.items():
        if name not in names:
            raise ValueError(f"settings must be {', '.join(names)}, got {name} = {value!r}")
    for name in names:
        if name not in values:
            raise ValueError(f"settings must be {', '.join(names)}, got no {name}")
    hints = get_type_hints(kind)
    return kind(**{name: _fitting(name, values[name], hints[name]) for name in names})


def _fitting(name: str, value: Any, annotation: Any) -> Any:
    value = tuple(value) if isinstance(value, list) else value
    if not _fits(value, annotation):
        raise ValueError(f"{name} must be {_words(annotation)}, got {value!r}")
    return value


def _fits(value: Any, annotation: Any) -> bool:
    kind, parts = get_origin(annotation), get_args(annotation)
    if kind in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if kind is Literal:
        return any(type(value) is type(part) and value == part for part in parts)
    if kind is tuple:
        return isinstance(value, tuple) and all(_fits(each, parts[0]) for each in value)
    if annotation is float:
        return type(value) is float or (type(value) is int and abs(value) < 2**1023)
    return type(value) is annotation


def _words(annotation: Any) -> str:
    """Return what an annotation asks for.

    Examples
    --------
    >>> _words(int | None), _words(tuple[float, ...]), _words(Literal["multi", "single"])
    ('a whole number or null', 'a list of which each is a number', "'multi' or 'single'")
    """
    kind, parts = get_origin(annotation), get_args(annotation)
    if kind in (Union, UnionType):
        return " or ".join(_words(part) for part in parts)
    if kind is Literal:
        return " or ".join(map(repr, parts))
    if kind is tuple:
        return f"a list of which each is {_words(parts[0])}"
    return WORDS[annotation]
