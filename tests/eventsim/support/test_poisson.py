"""The order in which drawn spikes are put, and the room for them."""

from __future__ import annotations

import numpy as np

from eventsim._support.poisson import (
    _scatter,
    _Spikes,
    begin_processes,
    draw_processes,
    make_clock,
)


def test_equal_times_are_in_the_order_of_sources_whatever_their_buckets() -> None:
    """Where a step begins, rounding may put them into two buckets."""
    buffer = _Spikes(
        np.array([2.0, 1.0, 1.0, 0.5]),
        np.array([0, 1, 2, 2], dtype=np.int32),
        np.array([1, 1, 0, 0], dtype=np.int32),
        np.array([0, 2, 2], dtype=np.int32),
        np.empty((3, 8)),
        np.empty(3, dtype=np.int64),
    )
    times, sources = np.empty(4), np.empty(4, dtype=np.int64)
    _scatter(buffer, 4, times, sources)
    assert times.tolist() == [0.5, 1.0, 1.0, 2.0]
    assert sources.tolist() == [2, 1, 2, 0]


def test_spikes_are_drawn_again_where_room_was_too_small() -> None:
    clock = make_clock(np.array([0.0]), np.array([2.0]), 3, 0.0)
    samples, stop = np.arange(2), np.zeros(1, dtype=np.bool_)
    begun = begin_processes(clock, (1, 2), samples, 3)
    enough, little = (
        draw_processes(clock, (1, 2), samples, begun, -np.inf, 20.0, stop, room)
        for room in (6.0, 1e-3)
    )
    assert enough[0].size > 150
    for ours, theirs in zip(enough[:3], little[:3], strict=True):
        np.testing.assert_array_equal(ours, theirs)
