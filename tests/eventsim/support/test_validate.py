"""The checks of what a caller hands in: what passes, what is refused, and how it is shown."""

from __future__ import annotations

import datetime as dt
import decimal
from collections import UserList, deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eventsim as es
import gradients
from eventsim._support.validate import (
    as_broadcast,
    as_count,
    as_floats,
    as_indices,
    as_mapping,
    as_number,
    as_samples,
    check_choice,
    check_name,
    shown,
)


class Quantity(np.ndarray):
    """As those of libraries of units: numpy takes its numbers and leaves the unit."""

    units = "ms"


class Unit:
    """A unit without numpy, whose values become floats."""

    def __init__(self, name: str) -> None:
        self.dimensionality = name

    def __float__(self) -> float:
        return 5.0


def quantity(*values: float) -> Any:
    return np.array(values).view(Quantity)


NUMBERS: list[Callable[[Any], Any]] = [
    lambda value: as_floats(value, "x"),
    lambda value: as_number(value, "x"),
    lambda value: es.Spikes(value, [0]),
    lambda value: es.LIF(tau_mem=value),
    lambda value: es.first_crossing(4.0, 0.0, 1.0, 1.0, 1.0, t_max=value),
    lambda value: gradients.Loss(1.0, potentials={"p": value}),
]


@pytest.mark.parametrize("read", NUMBERS)
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            quantity(5.0),
            r"must be plain numbers, not values in ms \(.*\), got Quantity",
        ),
        ([quantity(5.0)[0:1], [1.0]], "must be plain numbers, not values in ms .*, got"),
        (deque([quantity(5.0), 1.0]), r"not values in ms .*, got deque\(\[Quantity"),
        (UserList([[quantity(5.0)]]), r"not values in ms .*, got \[\[Quantity"),
        (Unit("ms"), "must be plain numbers, not values in ms .*, got <"),
        (np.ma.masked_array([1.0, 2.0], [True, False]), "must be without a mask, got masked"),
        (np.ma.masked, "must be without a mask, got masked"),
        (1.0 + 0.0j, r"numbers?.*got \(1\+0j\)"),
        (np.ones(2, complex), r"numbers?.*got array\(\[1\.\+0\.j"),
        (True, "must be numbers, not flags, got True"),
        ([0.5, True], r"must be numbers, not flags, got \[0\.5, True\]"),
        (np.array([True]), r"numbers?.*got array\(\[ True\]\)"),
        ("0.5", "numbers?.*got '0.5'"),
        (["0.5"], r"numbers?.*got \['0\.5'\]"),
        (dt.date(2000, 1, 1), r"numbers?.*got datetime\.date"),
        (np.array(["2000"], "M8[Y]"), "numbers?.*got array"),
        (np.timedelta64(1, "s"), r"numbers?.*got np\.timedelta64"),
        (decimal.Decimal("0.5"), r"numbers?.*got Decimal\('0\.5'\)"),
        (10**30, "numbers?.*at most 64 bits.*got 10000"),
        (None, "numbers?.*got None"),
        ([[1.0], [1.0, 2.0]], r"numbers?.*got \[\[1\.0\], \[1\.0, 2\.0\]\]"),
        (np.longdouble(10) ** 400, "must fit into float64, got np.longdouble"),
        (np.broadcast_to(1.0, (10**18,)), r"must fit into memory, got shape \(10{18},\)"),
    ],
)
def test_what_would_lose_something_is_no_number(
    read: Callable[[Any], Any], value: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        read(value)


@pytest.mark.parametrize(
    "value",
    [
        0.5, 1, np.float32(0.5), np.int8(1), np.array(0.5), np.array(2), [1, 0.5], (1, 2), [[1.0]],
        np.ones((2, 3)), np.ones((2, 3))[:, ::-1], np.ones(2, np.float16), np.ones(2, ">f8"),
        np.ma.masked_array([1.0, 2.0]), range(3), [np.float64(0.5), np.array(1.0)], [],
    ],
)  # fmt: skip
def test_numbers_are_read_as_numpy_reads_them(value: Any) -> None:
    found = as_floats(value, "x")
    assert found.dtype == np.float64
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, np.asarray(value, dtype=float))


def test_contiguous_numbers_are_not_copied() -> None:
    values = np.ones((2, 3))
    assert as_floats(values, "x") is values


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([0.5], r"integers.*got \[0\.5\]"),
        ([1.0], r"integers.*got \[1\.0\]"),
        ([-1], "must be >= 0, got -1"),
        ([2**63], "must be < 2\\*\\*63, got 9223372036854775808"),
        (np.array([2**63 + 1], np.uint64), "must be < 2\\*\\*63, got 9223372036854775809"),
        ([10**30], r"integers of at most 64 bits, got \[1000"),
        ([True], r"must be numbers, not flags, got \[True\]"),
        (np.array([False]), "integers.*got array"),
        (["1"], r"integers.*got \['1'\]"),
        (np.array([], dtype=object), "integers.*got array"),
        (np.ma.masked_array([1, 2], [True, False]), "must be without a mask"),
        (np.broadcast_to(1, (10**18,)), r"must fit into memory, got shape \(10{18},\)"),
    ],
)
def test_what_is_no_index_is_refused(value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"x {message}|x must be {message}"):
        as_indices(value, "x")


@given(st.lists(st.integers(0, 2**63 - 1)))
def test_indices_are_kept_to_the_last_bit(values: list[int]) -> None:
    found = as_indices(values, "x")
    assert found.dtype == np.int64
    assert found.tolist() == values


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0, "must be an integer >= 1, got 0"),
        (1.0, r"must be an integer >= 1, got 1\.0"),
        (True, "must be an integer >= 1, got True"),
        (np.timedelta64(3, "s"), "must be an integer >= 1, got np.timedelta64"),
        (10**30, "must be at most 9223372036854775807, got 10000"),
        (np.array([3]), r"must be an integer >= 1, got array\(\[3\]\)"),
    ],
)
def test_what_is_no_count_is_refused(value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"x {message}"):
        as_count(value, "x")


def test_a_count_may_be_that_of_numpy() -> None:
    assert [type(as_count(n, "x")) for n in (3, np.uint8(3), np.array(3))] == [int] * 3


@given(st.integers(1, 9), st.data())
def test_samples_are_chosen_as_numpy_chooses(n: int, data: st.DataObject) -> None:
    numbers = st.integers(-n, n - 1)
    flags = st.lists(st.booleans(), min_size=n, max_size=n).map(lambda x: np.array(x, dtype=bool))
    which = data.draw(st.one_of(numbers, st.slices(n), st.lists(numbers), flags))
    expected = np.arange(n)[which]
    found = as_samples(which, n)
    assert found.shape == np.shape(expected)
    np.testing.assert_array_equal(found, expected)


def test_a_name_need_not_have_a_hash() -> None:
    for name in (["a"], {}, np.array(["a"]), "b", None):
        with pytest.raises(ValueError, match=r"must name \['a'\], got "):
            check_name(name, {"a": 1}, "it must name")
        with pytest.raises(ValueError, match="x must be one of a, c, got "):
            check_choice(name, ("a", "c"), "x")


@pytest.mark.parametrize("value", [None, 0, "", [], [("a", 1)], {"a"}])
def test_what_is_no_dict_is_refused_even_if_it_is_empty(value: Any) -> None:
    with pytest.raises(ValueError, match="x must be a dict, got "):
        as_mapping(value, "x")


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match=r"a, b must broadcast.*got shapes \(2,\), \(3,\)"):
        as_broadcast({"a": np.ones(2), "b": np.ones(3)})


class Rude:
    """An object that cannot be shown."""

    def __repr__(self) -> str:
        raise KeyError


@pytest.mark.parametrize(
    "value",
    [
        "a" * 1000, list(range(1000)), np.ones((50, 50)), 10**5000, Rude(), [Rude()], {1: Rude()},
        b"x" * 99,
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_whatever_it_is_it_is_shown_on_one_short_line(value: Any) -> None:
    assert len(shown(value)) <= 80
    assert "\n" not in shown(value)


def test_what_is_short_is_shown_as_it_is() -> None:
    for value in (0.5, "a b", [1, 2], {"a": (1, None)}, np.array([1.0, 2.0])):
        assert shown(value) == repr(value)
