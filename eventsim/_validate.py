"""Checks of what a caller hands in; every error quotes the offending value."""

from collections.abc import Collection

import numpy as np
from numpy.typing import ArrayLike

from eventsim._types import FloatArray, IntArray

__all__ = [
    "as_count",
    "as_finite",
    "as_floats",
    "as_indices",
    "as_number",
    "check_choice",
    "require",
    "require_size",
]

# What simulations may be made of: products of a few such numbers still fit into float64.
LEAST, MOST = 1e-100, 1e100


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
    size = np.abs(values)
    require(size <= MOST, values, f"{name} must be finite, and at most {MOST:g} in size")
    if least:
        require(size >= least, values, f"{name} must be at least {least:g} in size")


def as_floats(values: ArrayLike, name: str) -> FloatArray:
    """Return ``values`` as a float64 array; ValueError if they are no real numbers."""
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "buif":
            raise TypeError
        return np.ascontiguousarray(array, dtype=np.float64).reshape(array.shape)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be real numbers, got {values!r}") from None


def as_number(value: object, name: str) -> float:
    """Return ``value`` as a float; ValueError if it is no single real number."""
    if isinstance(value, (bool, np.bool_)) or np.ndim(value) != 0:  # type: ignore[arg-type]
        raise ValueError(f"{name} must be a single number, got {value!r}")
    return float(as_floats(value, name))  # type: ignore[arg-type]


def as_finite(values: ArrayLike, shape: tuple[int, ...], name: str) -> FloatArray:
    """Return ``values`` as a float64 array of the given shape, all finite."""
    array = as_floats(values, name)
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    require(np.isfinite(array), array, f"{name} must be finite")
    return array


def as_indices(values: ArrayLike, name: str) -> IntArray:
    """Return ``values`` as an int64 array; ValueError if they are no whole numbers >= 0."""
    array = np.asarray(values)
    if array.size == 0:
        return array.astype(np.int64)
    if array.dtype.kind not in "ui":
        raise ValueError(f"{name} must be integers, got {values!r}")
    require(array >= 0, array, f"{name} must be >= 0")
    require(array <= np.iinfo(np.int64).max, array, f"{name} must be < 2**63")
    return array.astype(np.int64)


def as_count(value: object, name: str) -> int:
    """Return ``value`` as an int; ValueError unless it is a whole number >= 1."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name} must be an integer >= 1, got {value!r}")
    return int(value)


def check_choice(value: str, allowed: Collection[str], name: str) -> None:
    """Raise a ValueError unless ``value`` is one of the names that are allowed."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
