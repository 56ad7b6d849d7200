"""Checks of what a caller hands in; every error names the argument and shows the offending value.

What would lose something on the way to an array of numbers is refused: a unit, a mask, an imaginary
part, digits beyond 64 bits.
"""

import reprlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eventsim._support.types import FloatArray, IntArray

__all__ = [
    "as_broadcast",
    "as_count",
    "as_finite",
    "as_floats",
    "as_indices",
    "as_mapping",
    "as_names",
    "as_nonnegative",
    "as_number",
    "as_positive",
    "as_sample",
    "as_samples",
    "as_share",
    "check_choice",
    "check_name",
    "check_text",
    "is_listed",
    "mapping_or_empty",
    "require",
    "require_size",
    "shown",
]

# What simulations may be made of: products of a few such numbers still fit into float64.
LEAST, MOST = 1e-100, 1e100

# Neurons and samples are numbered by 32 bits.
MOST_NUMBERED = 2**31 - 1

# Types that are numbers, or whose dtype says what they are, and nothing else.
PLAIN = frozenset({np.ndarray, np.float64, np.int64, float, int, range})

UNITS = ("units", "unit", "dimensionality", "dimensions")
AS_ARRAY = ("__array__", "__array_interface__", "__array_struct__")

_short = reprlib.Repr()
_short.maxother = _short.maxstring = _short.maxlong = 80
MOST_SHOWN = 80


def shown(value: object) -> str:
    """Return the repr of a value for a message: on one line, short, and whatever its repr does."""
    try:
        text = " ".join(_short.repr(value).split())
    except Exception:
        text = f"<{type(value).__name__} object>"
    return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 3]}..."


def require(good: ArrayLike, values: ArrayLike, message: str) -> None:
    """Raise ``ValueError(f"{message}, got {value}")`` with the first value that is not good."""
    good = np.asarray(good)
    if not good.all():
        offender = np.broadcast_to(np.asarray(values), good.shape)[~good].flat[0]
        raise ValueError(f"{message}, got {offender.item()!r}")


def require_size(values: ArrayLike, name: str, least: float = 0.0) -> None:
    """Raise a ValueError unless all values are at most `MOST`, and at least ``least``, in size.

    NaN and infinities are not.
    """
    values = np.asarray(values)
    if not least and values.size and values.min() >= -MOST and values.max() <= MOST:
        return  # in no memory of its own
    size = np.abs(values)
    require(size <= MOST, values, f"{name} must be finite, and at most {MOST:g} in size")
    if least:
        require(size >= least, values, f"{name} must be at least {least:g} in size")


# --- numbers --------------------------------------------------------------------------------------


def as_floats(values: ArrayLike, name: str) -> FloatArray:
    """Return ``values`` as a float64 array; ValueError if they are no real numbers."""
    return _floats(values, name, "real numbers (floats, or integers of at most 64 bits)")


def as_number(value: object, name: str) -> float:
    """Return ``value`` as a float; ValueError if it is no single real number."""
    if type(value) is float:
        return value
    array = _floats(value, name, "a single number (at most 64 bits)")
    if array.ndim:
        raise ValueError(f"{name} must be a single number, got {shown(value)}")
    return float(array)


def as_positive(value: object, name: str) -> float:
    """Return ``value`` as a float; ValueError if it is no finite number > 0."""
    number = as_number(value, name)
    require(0.0 < number < np.inf, number, f"{name} must be > 0 and finite")
    return number


def as_nonnegative(value: object, name: str) -> float:
    """Return ``value`` as a float; ValueError if it is no finite number >= 0."""
    number = as_number(value, name)
    require(0.0 <= number < np.inf, number, f"{name} must be >= 0 and finite")
    return number


def as_share(value: object, name: str) -> float:
    """Return ``value`` as a float; ValueError if it is no number in [0, 1)."""
    number = as_number(value, name)
    require(0.0 <= number < 1.0, number, f"{name} must be in [0, 1)")
    return number


def as_finite(values: ArrayLike, shape: tuple[int, ...], name: str) -> FloatArray:
    """Return ``values`` as a float64 array of the given shape, all finite."""
    array = as_floats(values, name)
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    require(np.isfinite(array), array, f"{name} must be finite")
    return array


def as_broadcast(arrays: Mapping[str, FloatArray]) -> list[FloatArray]:
    """Return the arrays, by the names of the arguments, broadcast against each other."""
    try:
        return list(np.broadcast_arrays(*arrays.values()))
    except ValueError:
        shapes = ", ".join(str(array.shape) for array in arrays.values())
        raise ValueError(
            f"{', '.join(arrays)} must broadcast against each other, got shapes {shapes}"
        ) from None


def as_indices(values: ArrayLike, name: str) -> IntArray:
    """Return ``values`` as a new int64 array; ValueError if they are no whole numbers >= 0."""
    array = _array(values, name, "integers of at most 64 bits", "uif")
    if array.size == 0:  # an empty list is one of floats
        return np.empty(array.shape, dtype=np.int64)
    if array.dtype.kind == "f":
        raise ValueError(f"{name} must be integers, got {shown(values)}")
    numbers = _fitting(lambda: array.astype(np.int64), array, name)
    if array.dtype.kind == "u":
        require(array <= np.uint64(2**63 - 1), array, f"{name} must be < 2**63")
    require(numbers >= 0, numbers, f"{name} must be >= 0")
    return numbers


def as_count(value: Any, name: str, least: int = 1, most: int = 2**63 - 1) -> int:
    """Return ``value`` as an int; ValueError unless it is a whole number in [least, most]."""
    number = value[()] if type(value) is np.ndarray and value.ndim == 0 else value
    is_whole = isinstance(number, (int, np.integer)) and not isinstance(number, bool)
    is_whole = is_whole and not _unit_of(number)
    if not is_whole or isinstance(number, np.timedelta64) or number < least:
        raise ValueError(f"{name} must be an integer >= {least}, got {shown(value)}")
    if number > most:
        raise ValueError(f"{name} must be at most {most}, got {shown(value)}")
    return int(number)


def _floats(values: Any, name: str, expected: str) -> FloatArray:
    if type(values) is np.ndarray and values.dtype == np.float64 and values.flags.c_contiguous:
        return values
    array = _array(values, name, expected, "uif")
    with np.errstate(over="ignore"):
        floats = _fitting(
            lambda: np.ascontiguousarray(array, dtype=np.float64).reshape(array.shape), array, name
        )
    if array.dtype.itemsize > floats.dtype.itemsize:
        require(np.isinf(floats) == np.isinf(array), array, f"{name} must fit into float64")
    return floats


def _array(values: Any, name: str, expected: str, kinds: str) -> NDArray[Any]:
    """Return ``values`` as an array of one of the kinds of numpy; ValueError if it is none."""
    try:
        refused = next(filter(None, map(_obstacle, _odd_parts(values))), "")
        array = np.asarray(None if refused else values)
    except Exception:  # whatever the methods of a foreign object raise
        refused, array = "", np.asarray(None)
    if refused:
        raise ValueError(f"{name} must be {refused}, got {shown(values)}")
    if array.dtype.kind not in kinds:
        raise ValueError(f"{name} must be {expected}, got {shown(values)}")
    return array


def _odd_parts(values: Any) -> Iterator[object]:
    """Yield the values in nested lists that are more than numbers or arrays of them."""
    if type(values) in PLAIN:
        return
    if not is_listed(values):
        yield values
    elif not PLAIN.issuperset(map(type, values)):
        for part in values:
            yield from _odd_parts(part)


def is_listed(values: Any) -> bool:
    """Tell whether numpy would look at the items of a value: of a list, a deque ..."""
    if isinstance(values, (str, bytes)) or any(hasattr(values, name) for name in AS_ARRAY):
        return False
    return hasattr(values, "__len__") and hasattr(values, "__getitem__")


def _obstacle(part: object) -> str:
    """Return what is to stand in the place of a value from which numpy would take something."""
    if isinstance(part, np.ma.MaskedArray):
        return "without a mask" if np.ma.is_masked(part) else ""
    if isinstance(part, (bool, np.bool_)):
        return "numbers, not flags"
    unit = _unit_of(part)
    return f"plain numbers, not values in {unit} (eventsim.in_unit converts them)" if unit else ""


def _unit_of(part: object) -> str:
    """Return the name of the unit that a value carries, of whichever library; "": it has none."""
    for name in UNITS:
        if hasattr(part, name):
            text = str(getattr(part, name)).removeprefix("1.0 ")  # quantities: 1.0 ms
            return " ".join(text.split())[:MOST_SHOWN] or "a unit"
    return ""


def _fitting(convert: Any, array: NDArray[Any], name: str) -> NDArray[Any]:
    """Return the array that ``convert`` makes of ``array``; ValueError if memory is too small."""
    try:
        return convert()
    except MemoryError:
        raise ValueError(f"{name} must fit into memory, got shape {array.shape}") from None


# --- names and samples ----------------------------------------------------------------------------


def as_mapping(values: Any, name: str) -> Mapping[Any, Any]:
    """Return ``values``; ValueError if they are no dict, or something like one."""
    if not isinstance(values, Mapping):
        raise ValueError(f"{name} must be a dict, got {shown(values)}")
    return values


def mapping_or_empty(values: Any, name: str) -> Mapping[Any, Any]:
    """Return ``values``, or nothing if they are None; ValueError if they are no dict."""
    return {} if values is None else as_mapping(values, name)


def check_choice(value: object, allowed: Collection[str], name: str) -> None:
    """Raise a ValueError unless ``value`` is one of the names that are allowed."""
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {shown(value)}")


def as_names(values: Any, known: Collection[str], name: str) -> tuple[str, ...]:
    """Return names out of those that are known; ValueError if there are others, or no list."""
    names: list[str] = []
    try:
        good = not isinstance(values, (str, bytes))
        for each in values if good else ():
            good = isinstance(each, str) and each in known
            if not good:
                break
            names.append(each)
    except Exception:  # it is no iterable, or a hostile one
        good = False
    if not good:
        raise ValueError(f"{name} must hold some of {tuple(known)}, got {shown(values)}")
    return tuple(names)


def check_text(value: object, name: str) -> None:
    """Raise a ValueError unless ``value`` is a text that can stand in any file, on one line."""
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError(f"{name} must be a printable text, got {shown(value)}")


def check_name(value: object, known: Mapping[Any, Any], message: str) -> None:
    """Raise ``ValueError(f"{message} {names}, got {value}")`` unless it is a name of ``known``."""
    try:
        found = value in known
    except Exception:  # it has no hash
        found = False
    if not found:
        raise ValueError(f"{message} {list(known)}, got {shown(value)}")


def as_samples(which: Any, n: int) -> IntArray:
    """Return the samples, out of n, that an index means: () of a number, (k,) of several.

    Raises
    ------
    IndexError
        If there is no such sample.
    ValueError
        If it is no integer, slice, list or array of integers, or array of n flags.
    """
    expected = "an integer, a slice, or an array of integers or flags"
    if isinstance(which, slice):
        try:
            return np.arange(n)[which]
        except (TypeError, ValueError):
            raise ValueError(f"sample must be {expected}, got {shown(which)}") from None
    array = _array(which, "sample", expected, "uifb")
    kind = array.dtype.kind
    if kind == "b" and array.shape == (n,):
        return np.flatnonzero(array)
    if kind == "b" or array.ndim > 1 or (kind == "f" and array.size):
        raise ValueError(f"sample must be {expected}, got {shown(which)}")
    array = _fitting(array.copy, array, "sample")
    outside = (array < -n) | (array >= n)
    if outside.any():
        raise IndexError(f"sample must be in [-{n}, {n}), got {array[outside].flat[0].item()}")
    return np.asarray(array.astype(np.int64) % max(n, 1))


def as_sample(k: Any, n: int) -> int:
    """Return the number of one sample out of n; errors as of `as_samples`."""
    samples = as_samples(k, n)
    if samples.ndim:
        raise ValueError(f"sample must be an integer, got {shown(k)}")
    return int(samples)
