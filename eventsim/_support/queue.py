"""The priority queue: a four-way heap of (time, item) that knows where each item stands.

Entries are ordered by time, and equal times by item number, so the order in which a simulation
processes its events never depends on luck.  The queue is a set of plain arrays, usable in any
compiled loop; ``place[item]`` is the item's position in the heap, -1 if it is not queued, which
makes changing or removing a queued item O(log n).
"""

import math
from typing import NamedTuple

import numpy as np

from eventsim._support.compile import inlined, inner
from eventsim._support.types import FloatArray, Int32Array, IntArray

__all__ = ["Queue", "first_item", "first_time", "put", "remove"]


class Queue(NamedTuple):
    """Arrays of a queue: (capacity,) times and items, (n_items,) places, (1,) size."""

    time: FloatArray
    item: Int32Array
    place: Int32Array
    size: IntArray


@inlined
def first_time(queue):
    """Return the earliest time, ``inf`` if the queue is empty."""
    return queue.time[0] if queue.size[0] > 0 else math.inf


@inlined
def first_item(queue):
    """Return the item of the earliest entry; the queue must not be empty."""
    return queue.item[0]


@inlined
def put(queue, item, time):
    """Queue ``item`` for ``time``; an item that is queued already moves there."""
    _put(queue, np.int64(item), time)


@inlined
def remove(queue, item):
    """Take ``item``, which must be queued, out of the queue."""
    _remove(queue, np.int64(item))


# What follows is compiled once, whatever the type of the items that are given.


@inner
def _put(queue, item, time):
    position = np.int64(queue.place[item])
    if position < 0:
        position = queue.size[0]
        queue.size[0] = position + 1
        _rise(queue, position, time, item)
    elif time < queue.time[position]:
        _rise(queue, position, time, item)
    else:
        _sink(queue, position, time, item)


@inner
def _remove(queue, item):
    position = np.int64(queue.place[item])
    queue.place[item] = -1
    last = queue.size[0] - 1
    queue.size[0] = last
    if position == last:
        return
    time, moved = queue.time[last], np.int64(queue.item[last])
    if position > 0 and _precedes(queue, time, moved, (position - 1) >> 2):
        _rise(queue, position, time, moved)
    else:
        _sink(queue, position, time, moved)


@inlined
def _precedes(queue, time, item, position):
    """Tell whether the entry (time, item) belongs before the one at ``position``."""
    other = queue.time[position]
    return time < other or (time == other and item < queue.item[position])


@inlined
def _set(queue, position, time, item):
    queue.time[position] = time
    queue.item[position] = item
    queue.place[item] = position


@inner
def _rise(queue, position, time, item):
    """Place (time, item) at ``position`` or at the ancestor where it belongs."""
    while position > 0:
        parent = (position - 1) >> 2
        if not _precedes(queue, time, item, parent):
            break
        _set(queue, position, queue.time[parent], queue.item[parent])
        position = parent
    _set(queue, position, time, item)


@inner
def _sink(queue, position, time, item):
    """Place (time, item) at ``position`` or at the descendant where it belongs."""
    size = queue.size[0]
    while True:
        first = 4 * position + 1
        if first >= size:
            break
        child = first
        for other in range(first + 1, min(first + 4, size)):
            if _precedes(queue, queue.time[other], queue.item[other], child):
                child = other
        if _precedes(queue, time, item, child):
            break
        _set(queue, position, queue.time[child], queue.item[child])
        position = child
    _set(queue, position, time, item)
