"""Compiled sorting, stable and in place."""

from eventsim._support.compile import inlined, inner, loop
from eventsim._support.types import Word

__all__ = ["sort_parts", "sort_rows", "sort_stably"]

# Moves per item with which sorting by insertion is the fastest.
FEW_MOVES = 16

ONE = Word(1)


@loop
def sort_rows(time, number, second, third, start, stop):
    """Sort rows of four columns by (time, number, second), and ``third`` with them, in place.

    By insertion if few are out of order, else by Shell's method: many are where neurons fire again
    and again between two arrivals, or where each synapse has its own delay.
    """
    n = stop - start
    if _insert(time, number, second, third, start, stop, 1, FEW_MOVES * n):
        return
    gap = n // 2
    while gap > 1:
        _insert(time, number, second, third, start, stop, gap, n * n)
        gap = 4 * gap // 9
    _insert(time, number, second, third, start, stop, 1, n * n)


@inner
def _insert(time, number, second, third, start, stop, gap, moves):
    """Sort rows that lie ``gap`` apart by insertion; False as soon as it takes too many moves."""
    for a in range(start + gap, stop):
        t, m, u = time[a], number[a], second[a]
        if not _comes_after(time, number, second, a - gap, t, m, u):
            continue
        v, b = third[a], a
        while b - gap >= start and _comes_after(time, number, second, b - gap, t, m, u):
            time[b], number[b] = time[b - gap], number[b - gap]
            second[b], third[b] = second[b - gap], third[b - gap]
            b -= gap
            moves -= 1
        time[b], number[b], second[b], third[b] = t, m, u, v
        if moves < 0:
            return False
    return True


@inlined
def _comes_after(time, number, second, at, t, m, u):
    """Tell whether the row ``at`` belongs behind ``(t, m, u)``."""
    if time[at] != t:
        return time[at] > t
    return number[at] > m or (number[at] == m and second[at] > u)


@loop
def sort_parts(key, order, spare, bounds):
    """Sort each part ``bounds[k] : bounds[k + 1]`` of ``order`` by ``key[order]``, stably."""
    for k in range(bounds.size - 1):
        sort_stably(key, order, spare, bounds[k], bounds[k + 1])


@loop
def sort_stably(key, order, spare, first, last):
    """Sort ``order[first:last]`` by ``key[order]``: blocks by insertion, then merged."""
    first, last, block = Word(first), Word(last), Word(16)
    for begin in range(first, last, block):
        for a in range(begin + ONE, min(begin + block, last)):
            moved, b = order[a], a
            own = key[Word(moved)]
            while b > begin and key[Word(order[b - ONE])] > own:
                order[b] = order[b - ONE]
                b -= ONE
            order[b] = moved
    while block < last - first:
        for begin in range(first, last - block, block + block):
            _merge(key, order, spare, begin, begin + block, min(begin + block + block, last))
        block += block


@inlined
def _merge(key, order, spare, begin, middle, end):
    """Merge two sorted neighbours in place."""
    if key[Word(order[middle - ONE])] > key[Word(order[middle])]:
        size = middle - begin
        for a in range(size):
            spare[a] = order[begin + a]
        a, b, place = Word(0), middle, begin
        while a < size:
            if b < end and key[Word(order[b])] < key[Word(spare[a])]:
                order[place] = order[b]
                b += ONE
            else:
                order[place] = spare[a]
                a += ONE
            place += ONE
