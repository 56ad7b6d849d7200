"""The counter-based generator: published answers, and the numbers made of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from eventsim._support.philox import GROUP, _exponential, fill_exponentials, philox

ONES = 0xFFFFFFFF
PI = (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344, 0xA4093822, 0x299F31D0)


def block(*words: int) -> list[int]:
    return [int(word) for word in philox(*map(np.uint64, words))]


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ((0,) * 6, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ((ONES,) * 6, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (PI, [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]),
    ],
    ids=["zeros", "ones", "pi"],
)
def test_the_answers_are_those_of_random123(words: tuple[int, ...], answer: list[int]) -> None:
    assert block(*words) == answer


@pytest.mark.parametrize("group", [0, 5, 2**30 + 7, 2**50])
def test_a_group_of_numbers_uses_all_words_of_its_blocks(group: int) -> None:
    numbers = np.empty(GROUP)
    fill_exponentials(np.uint64(1), np.uint64(2), group, 3, 4, numbers)
    expected = []
    for number in range(4 * group, 4 * group + 4):
        words = block(number & ONES, number >> 32, 3, 4, 1, 2)
        each = [(words[0] << 32 | words[1]) >> 12, (words[2] << 32 | words[3]) >> 12]
        expected += [-math.log((part + 0.5) / 2**52) for part in each]
    assert numbers.tolist() == expected


def test_no_number_is_zero_or_infinite() -> None:
    """The extreme words, which no test comes across by chance."""
    least, most = (_exponential(np.uint64(w), np.uint64(w)) for w in (ONES, 0))
    assert 0.0 < least < 1e-15
    assert 36.0 < most < 37.0
