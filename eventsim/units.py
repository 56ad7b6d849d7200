"""Values with a unit, of pint, quantities, astropy or unyt: numbers only by name of their unit.

Nothing here has a unit of its own, so no function takes such values: what numpy leaves of them
would be a number in whichever unit they happen to have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from eventsim._support.types import FloatArray
from eventsim._support.validate import as_floats, check_choice, is_listed, require, shown

__all__ = ["TIMES", "as_times", "check_time_unit", "in_unit"]

# The method by which a quantity is known, and how its numbers are got.
WAYS: dict[str, Callable[[Any, str], Any]] = {
    "to_value": lambda value, unit: value.to_value(unit),  # astropy, unyt
    "rescale": lambda value, unit: value.rescale(unit).magnitude,  # quantities
    "to": lambda value, unit: value.to(unit).magnitude,  # pint
}


def in_unit(value: Any, unit: str) -> float | FloatArray:
    """Return the plain numbers of values that carry a unit, as so many of another one.

    Parameters
    ----------
    value : quantity, or nested lists of them
        Of pint, quantities, astropy or unyt, or of anything that converts itself as they do.
    unit : str
        The unit, as their library spells it, such as "ms" or "mV".

    Returns
    -------
    float or ndarray
        Shaped as ``value``.

    Raises
    ------
    ValueError
        If ``value`` has no unit, or cannot be converted to this one.

    Examples
    --------
    >>> import pint
    >>> ureg = pint.UnitRegistry()
    >>> in_unit(0.02 * ureg.s, "ms")
    20.0
    >>> in_unit([1.5 * ureg.ms, 250 * ureg.us], "ms")
    array([1.5 , 0.25])
    """
    if not isinstance(unit, str):
        raise ValueError(f"unit must be the name of a unit, a str, got {shown(unit)}")
    try:
        converted = _converted(value, unit)
    except ValueError:
        raise
    except Exception as error:  # lists without an end, hostile objects
        raise _no_quantity(value) from error
    numbers = as_floats(converted, "value")
    return numbers if numbers.ndim else float(numbers)


def _converted(value: Any, unit: str) -> Any:
    """Return numbers for quantities, in lists as these are."""
    convert = next((WAYS[name] for name in WAYS if hasattr(value, name)), None)
    if convert is None and is_listed(value):
        return [_converted(part, unit) for part in value]
    if convert is None:
        raise _no_quantity(value)
    try:
        return convert(value, unit)
    except Exception as error:  # each library has kinds of its own
        why = " ".join(str(error).split())
        raise ValueError(
            f"value must be convertible to {shown(unit)}, got {shown(value)}: {why}"
        ) from error


def _no_quantity(value: object) -> ValueError:
    return ValueError(
        f"value must be a quantity of pint, quantities, astropy or unyt, got {shown(value)}"
    )


# --- time -----------------------------------------------------------------------------------------

# Units of time that files may be in, and the power of ten of them that a second has.
TIMES = {"s": 0, "ms": 3, "us": 6, "ns": 9}


def check_time_unit(unit: object) -> None:
    """Raise a ValueError unless ``unit`` names a unit of time."""
    check_choice(unit, TIMES, "unit")


def as_times(times: FloatArray, given: str, wanted: str) -> FloatArray:
    """Return times in another unit, each rounded once; ValueError if one gets too large.

    Examples
    --------
    >>> as_times(np.array([10.3]), "ms", "s")
    array([0.0103])
    """
    power = TIMES[wanted] - TIMES[given]
    with np.errstate(over="ignore"):
        found = times * 10.0**power if power > 0 else times / 10.0**-power
    require(np.isinf(found) == np.isinf(times), times, f"times must be finite in {wanted}")
    return found
