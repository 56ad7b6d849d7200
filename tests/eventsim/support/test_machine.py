"""What is worked on eight entries at a time."""

import numpy as np
import pytest

from eventsim._support.compile import loop
from eventsim._support.machine import WIDE, add_wide, copy_wide, fill_wide


@loop
def _shifted(array, index, more, limit, out, place):
    return add_wide(array, index, more, limit, out, place)


@loop
def _copied(array, index, out, place):
    copy_wide(array, index, out, place)


@loop
def _filled(value, out, place):
    fill_wide(value, out, place)


@pytest.mark.parametrize("n_below", range(WIDE + 1))
def test_entries_are_shifted_and_those_below_the_limit_counted(n_below):
    array, out = np.arange(3.0, 23.0), np.full(20, -1.0)
    limit = array[2] + 0.5 + n_below
    assert _shifted(array, np.uint64(2), 0.5, limit, out, np.uint64(5)) == n_below
    expected = np.full(20, -1.0)
    expected[5 : 5 + WIDE] = array[2 : 2 + WIDE] + 0.5
    np.testing.assert_array_equal(out, expected)


def test_the_count_ends_with_the_first_entry_that_is_not_below():
    array, out = np.array([1.0, 9.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]), np.empty(WIDE)
    assert _shifted(array, np.uint64(0), 0.0, 5.0, out, np.uint64(0)) == 1
    assert _shifted(array, np.uint64(0), 0.0, 1.0, out, np.uint64(0)) == 0


@pytest.mark.parametrize("kind", [np.uint32, np.float64])
def test_entries_are_copied_and_no_others(kind):
    array, out = np.arange(20).astype(kind), np.zeros(20, dtype=kind)
    _copied(array, np.uint64(3), out, np.uint64(6))
    expected = np.zeros(20, dtype=kind)
    expected[6 : 6 + WIDE] = array[3 : 3 + WIDE]
    np.testing.assert_array_equal(out, expected)


def test_entries_are_filled_and_no_others():
    out = np.zeros(20)
    _filled(2.5, out, np.uint64(7))
    np.testing.assert_array_equal(np.flatnonzero(out == 2.5), np.arange(7, 7 + WIDE))
    assert out.sum() == 2.5 * WIDE
