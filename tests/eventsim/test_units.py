"""Values with a unit become numbers by name of the unit alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import eventsim as es


class Astropy:
    """A quantity like those of astropy, which is not installed."""

    def __init__(self, value: Any, unit: str) -> None:
        self.value, self.unit = value, unit

    def to_value(self, unit: str) -> Any:
        thousandths = ["s", "ms", "us"]
        return self.value * 1000.0 ** (thousandths.index(unit) - thousandths.index(self.unit))


def of_pint(value: Any, unit: str) -> Any:
    pint = pytest.importorskip("pint", reason="values of pint")
    return pint.get_application_registry().Quantity(value, unit)


def of_quantities(value: Any, unit: str) -> Any:
    quantities = pytest.importorskip("quantities", reason="values of quantities")
    return quantities.Quantity(value, unit)


LIBRARIES = [Astropy, of_pint, of_quantities]


@pytest.mark.parametrize("library", LIBRARIES)
def test_values_are_converted_and_keep_their_shape(library: Any) -> None:
    assert es.in_unit(library(0.5, "s"), "ms") == 500.0
    assert isinstance(es.in_unit(library(0.5, "s"), "ms"), float)
    values = es.in_unit(library(np.array([[1.0, 2.0]]), "ms"), "us")
    np.testing.assert_allclose(values, [[1000.0, 2000.0]], rtol=1e-15)
    mixed = es.in_unit([library(1.0, "s"), library(2.0, "ms")], "ms")
    np.testing.assert_allclose(mixed, [1000.0, 2.0], rtol=1e-15)


@pytest.mark.parametrize("library", LIBRARIES)
@given(values=arrays.arrays(np.float64, st.integers(0, 5), elements=st.floats(0.0, 1e100)))
def test_values_in_the_unit_itself_stay_as_they_are(library: Any, values: Any) -> None:
    np.testing.assert_array_equal(es.in_unit(library(values, "ms"), "ms"), values)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_time_is_no_voltage(library: Any) -> None:
    with pytest.raises(ValueError, match="value must be convertible to 'mV', got "):
        es.in_unit(library(1.0, "s"), "mV")


@pytest.mark.parametrize("value", [1.0, [1.0], np.ones(2), "1 ms", None, True, object()])
def test_what_has_no_unit_is_not_taken_for_a_value_in_it(value: Any) -> None:
    with pytest.raises(ValueError, match=r"value must be a quantity of pint, .*, got "):
        es.in_unit(value, "ms")


def test_the_unit_is_given_by_its_name() -> None:
    with pytest.raises(ValueError, match="unit must be the name of a unit, a str, got 3"):
        es.in_unit(of_pint(1.0, "s"), 3)  # type: ignore[arg-type]


def test_a_run_takes_converted_values() -> None:
    tau = es.in_unit(of_quantities(0.02, "s"), "ms")
    assert es.LIF(tau_mem=tau).tau_mem == 20.0
