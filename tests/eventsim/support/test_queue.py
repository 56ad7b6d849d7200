"""The queue against a sorted list, whatever is put, moved and removed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from eventsim._support.queue import Queue, first_item, first_time, put, remove

N_ITEMS = 40


def empty_queue(n_items: int = N_ITEMS) -> Queue:
    """An empty queue in arrays that hold rubbish, as they may: later than any entry."""
    return Queue(
        time=np.full(n_items, np.inf),
        item=np.full(n_items, n_items - 1, np.int64),
        place=np.full(n_items, -1, np.int64),
        size=np.zeros(1, np.int64),
    )


def drain(queue: Queue) -> list[tuple[float, int]]:
    out = []
    while queue.size[0] > 0:
        out.append((float(first_time(queue)), int(first_item(queue))))
        remove(queue, first_item(queue))
    return out


def check_heap(queue: Queue) -> None:
    """Every entry comes after its parent, and `place` is the inverse of `item`."""
    size = int(queue.size[0])
    entries = list(zip(queue.time[:size].tolist(), queue.item[:size].tolist(), strict=True))
    for position in range(1, size):
        assert entries[(position - 1) // 4] < entries[position]
    for position in range(size):
        assert queue.place[entries[position][1]] == position
    assert np.count_nonzero(queue.place >= 0) == size


def test_an_empty_queue_has_nothing_before_infinity() -> None:
    assert first_time(empty_queue()) == math.inf


times = st.integers(0, 6).map(float)  # few values: ties are common


@given(st.lists(times, min_size=1, max_size=N_ITEMS))
def test_entries_leave_in_order_of_time_then_of_item(entries: list[float]) -> None:
    queue = empty_queue()
    for item, time in enumerate(entries):
        put(queue, item, time)
        check_heap(queue)
    assert drain(queue) == sorted((time, item) for item, time in enumerate(entries))
    assert first_time(queue) == math.inf


@given(st.permutations(range(12)))
def test_equal_times_leave_in_order_of_item_whatever_the_order_of_arrival(order: list[int]) -> None:
    queue = empty_queue()
    for item in order:
        put(queue, item, 1.0)
    assert [item for _, item in drain(queue)] == list(range(12))


@pytest.mark.parametrize("new_time", [0.0, 5.0, 5.5, 17.5, 40.0])
@pytest.mark.parametrize("item", [0, 5, 19])
def test_a_queued_item_moves_instead_of_queuing_twice(item: int, new_time: float) -> None:
    queue = empty_queue()
    for k in range(20):
        put(queue, k, float(k))
    put(queue, item, new_time)
    check_heap(queue)
    expected = {k: float(k) for k in range(20)} | {item: new_time}
    assert drain(queue) == sorted((t, k) for k, t in expected.items())


@pytest.mark.parametrize("item", range(22))
def test_any_item_can_be_taken_out_of_the_middle(item: int) -> None:
    """Also where the entry that fills the gap has to rise: subtrees of very different times."""
    queue = empty_queue()
    for k in range(22):
        put(queue, k, float((k * 7) % 22))
    remove(queue, item)
    check_heap(queue)
    assert queue.place[item] == -1
    assert drain(queue) == sorted((float((k * 7) % 22), k) for k in range(22) if k != item)


def test_the_entry_that_fills_a_gap_rises_when_it_must() -> None:
    """The last entry lies under a small parent; the gap opens under a large one."""
    queue = empty_queue(10)
    for k, time in enumerate([0.0, 100.0, 1.0, 50.0, 60.0, 101.0, 102.0, 103.0, 104.0, 2.0]):
        put(queue, k, time)
    check_heap(queue)
    assert queue.place[9] == 9  # under item 2
    remove(queue, 5)  # under item 1, which is later than the entry that comes here
    check_heap(queue)
    assert [item for _, item in drain(queue)] == [0, 2, 9, 3, 4, 1, 6, 7, 8]


@pytest.mark.parametrize("size", [5, 6, 7, 20, 21, 22, 23])
def test_any_entry_of_any_heap_can_be_taken_out(size: int) -> None:
    """Every position of many random heaps: the entry that fills the gap rises, sinks or stays."""
    rng = np.random.default_rng(size)
    for item in np.tile(np.arange(size), 6):
        entries = rng.integers(0, 3 * size, size).astype(float)
        queue = empty_queue()
        for k, time in enumerate(entries):
            put(queue, k, time)
        remove(queue, item)
        check_heap(queue)


def test_infinite_times_are_ordinary_entries() -> None:
    queue = empty_queue()
    put(queue, 3, math.inf)
    put(queue, 1, 2.0)
    assert drain(queue) == [(2.0, 1), (math.inf, 3)]


class QueueMachine(RuleBasedStateMachine):
    """Any sequence of put, move and remove leaves what a dictionary would hold."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = empty_queue()
        self.model: dict[int, float] = {}

    @rule(item=st.integers(0, N_ITEMS - 1), time=times)
    def put(self, item: int, time: float) -> None:
        put(self.queue, item, time)
        self.model[item] = time

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        item = data.draw(st.sampled_from(sorted(self.model)))
        remove(self.queue, item)
        del self.model[item]

    @invariant()
    def agrees(self) -> None:
        check_heap(self.queue)
        assert int(self.queue.size[0]) == len(self.model)
        if self.model:
            time, item = min((t, k) for k, t in self.model.items())
            assert (first_time(self.queue), first_item(self.queue)) == (time, item)


def test_any_history_of_the_queue() -> None:
    run_state_machine_as_test(
        QueueMachine, settings=settings(max_examples=40, stateful_step_count=60)
    )
