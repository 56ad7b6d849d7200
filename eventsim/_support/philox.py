"""Random numbers that are a function of what they are for: Philox4x32-10, compiled.

Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11.  A block of four
words is made of a counter of four words and a key of two, without any state: so a number is the
same whoever asks for it, in whatever order.  (`numpy.random.Philox` has words of 64 bits, and is
another generator.)  Words lie in unsigned integers of 64 bits, where their products fit.
"""

import math

import numpy as np

from eventsim._support.compile import loop, scalar
from eventsim._support.types import FloatArray, Word

__all__ = ["GROUP", "fill_exponentials", "philox"]

GROUP = 8  # numbers that are made at once

FIRST, SECOND = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)  # multipliers
GOLDEN, ROOT = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)  # what is added to the key
LOW, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
KEPT, DROPPED = np.uint64(20), np.uint64(12)  # of 64 bits, 52 make a number


@scalar
def philox(
    a: Word, b: Word, c: Word, d: Word, key: Word, other: Word
) -> tuple[Word, Word, Word, Word]:
    """Return the four words of the counter ``(a, b, c, d)`` under the key ``(key, other)``."""
    for _ in range(10):
        p, q = FIRST * a, SECOND * c
        a, b, c, d = (q >> HALF) ^ b ^ key, q & LOW, (p >> HALF) ^ d ^ other, p & LOW
        key, other = (key + GOLDEN) & LOW, (other + ROOT) & LOW
    return a, b, c, d


@loop
def fill_exponentials(
    key: Word, other: Word, group: int, source: int, sample: int, numbers: FloatArray
) -> None:
    """Write a group of eight exponentially distributed numbers of mean 1, all > 0.

    They are those from 8 ``group`` on of a source in a sample.
    """
    for k in range(4):
        block = np.uint64(4 * group + k)
        a, b, c, d = philox(
            block & LOW, block >> HALF, np.uint64(source), np.uint64(sample), key, other
        )
        numbers[2 * k], numbers[2 * k + 1] = _exponential(a, b), _exponential(c, d)


@scalar
def _exponential(high: Word, low: Word) -> float:
    """Return minus the logarithm of the middle of one of 2**52 equal parts of (0, 1)."""
    part = np.int64((high << KEPT) | (low >> DROPPED))
    return -math.log((part + 0.5) * 2.0**-52)
