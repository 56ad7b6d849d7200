"""Spike trains: sorted, reversible, and a batch is its samples."""

from __future__ import annotations

import copy
import pickle
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eventsim.spikes as sp

trains = st.lists(
    st.tuples(st.integers(0, 6).map(lambda k: k / 2), st.integers(0, 3), st.integers(0, 2)),
    max_size=15,
)


def columns(train: list[tuple[float, int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = np.array(train, dtype=float).reshape(-1, 3)
    return rows[:, 0], rows[:, 1].astype(np.int64), rows[:, 2].astype(np.int64)


@given(trains)
def test_spikes_are_sorted_by_time_then_index_and_remember_their_order(train: list) -> None:
    times, indices, _ = columns(train)
    spikes = sp.Spikes(times, indices)
    pairs = list(zip(spikes.times.tolist(), spikes.indices.tolist(), strict=True))
    assert pairs == sorted(zip(times.tolist(), indices.tolist(), strict=True))
    np.testing.assert_array_equal(times[spikes.order], spikes.times)
    np.testing.assert_array_equal(indices[spikes.order], spikes.indices)
    assert len(spikes) == len(train)


@given(trains)
def test_a_batch_is_its_samples(train: list) -> None:
    times, indices, samples = columns(train)
    batch = sp.SpikeBatch(times, indices, samples, 3)
    assert len(batch) == 3
    np.testing.assert_array_equal(times[batch.order], batch.times)
    for k in range(3):
        single = sp.Spikes(times[samples == k], indices[samples == k])
        np.testing.assert_array_equal(batch.sample(k).times, single.times)
        np.testing.assert_array_equal(batch.sample(k).indices, single.indices)


@given(trains, st.lists(st.integers(0, 2), max_size=5))
def test_choosing_samples(train: list, chosen: list[int]) -> None:
    times, indices, samples = columns(train)
    batch = sp.SpikeBatch(times, indices, samples, 3)
    part = batch[np.array(chosen, dtype=np.int64)]
    assert len(part) == len(chosen)
    for k, sample in enumerate(chosen):
        np.testing.assert_array_equal(part.sample(k).times, batch.sample(sample).times)
        np.testing.assert_array_equal(part.sample(k).indices, batch.sample(sample).indices)


@given(trains, st.lists(st.integers(0, 2), max_size=5))
def test_the_order_of_chosen_samples_counts_their_spikes_as_the_caller_gave_them(
    train: list, chosen: list[int]
) -> None:
    times, indices, samples = columns(train)
    part = sp.SpikeBatch(times, indices, samples, 3)[np.array(chosen, dtype=np.int64)]
    given_times = np.concatenate([times[:0], *[times[samples == k] for k in chosen]])
    given_indices = np.concatenate([indices[:0], *[indices[samples == k] for k in chosen]])
    np.testing.assert_array_equal(given_times[part.order], part.times)
    np.testing.assert_array_equal(given_indices[part.order], part.indices)
    again = part[::-1]
    np.testing.assert_array_equal(np.sort(again.order), np.arange(part.times.size))
    assert_same(pickle.loads(pickle.dumps(part)), part)


def assert_same(one: sp.SpikeBatch, two: sp.SpikeBatch) -> None:
    for name in ("times", "indices", "offsets", "order"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


@given(trains)
def test_sorted_arrays_are_taken_over_as_they_are(train: list) -> None:
    batch = sp.SpikeBatch(*columns(train), 3)
    arrays = batch.times.copy(), batch.indices.copy(), batch.offsets.copy()
    taken = sp.SpikeBatch.from_sorted(*arrays)
    assert taken.times is arrays[0]
    assert not taken.times.flags.writeable
    np.testing.assert_array_equal(taken.order, np.arange(len(train)))
    np.testing.assert_array_equal(taken[1:].order, np.arange(taken[1:].times.size))


@given(trains)
def test_arrays_are_taken_over_only_if_they_are_sorted(train: list) -> None:
    times, indices, samples = columns(train)
    by_sample = np.argsort(samples, kind="stable")
    times, indices, samples = times[by_sample], indices[by_sample], samples[by_sample]
    offsets = np.searchsorted(samples, np.arange(4))
    if np.array_equal(np.lexsort((indices, times, samples)), np.arange(times.size)):
        sp.SpikeBatch.from_sorted(times, indices, offsets)
    else:
        with pytest.raises(ValueError, match="must ascend in"):
            sp.SpikeBatch.from_sorted(times, indices, offsets)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"times": np.array([0.1, np.nan, 0.2])}, r"got \(nan, 0\) at position 1"),
        ({"times": np.array([0.1, np.inf, 0.2])}, r"got \(inf, 0\) at position 1"),
        ({"times": np.array([-0.1, 0.3, 0.2])}, r"got \(-0.1, 1\) at position 0"),
        ({"times": np.array([0.3, 0.3, 0.2])}, r"got \(0.3, 0\) at position 1"),
        ({"indices": np.array([1, 0, -1])}, r"got \(0.2, -1\) at position 2"),
        ({"times": np.zeros(3, np.float32)}, "times must be a flat array of float64"),
        ({"times": [0.1, 0.3, 0.2]}, "times must be a flat array of float64"),
        ({"times": np.zeros((3, 1))}, "times must be a flat array of float64"),
        ({"times": np.zeros(6)[::2]}, r"times must be contiguous, got strides \(16,\)"),
        ({"times": np.zeros(2)}, r"indices must have shape \(2,\), got \(3,\)"),
        ({"indices": np.zeros(3)}, "indices must be a flat array of int64"),
        ({"offsets": np.array([0, 2, 4])}, "offsets must ascend from 0 to 3"),
        ({"offsets": np.array([1, 2, 3])}, "offsets must ascend from 0 to 3"),
        ({"offsets": np.array([0, 4, 3])}, "offsets must ascend from 0 to 3"),
        ({"offsets": np.array([], np.int64)}, "offsets must ascend from 0 to 3"),
    ],
)
def test_invalid_sorted_arrays_are_refused(change: dict, message: str) -> None:
    good = {
        "times": np.array([0.1, 0.3, 0.2]),
        "indices": np.array([1, 0, 1]),
        "offsets": np.array([0, 2, 3]),
    }
    sp.SpikeBatch.from_sorted(**good)
    good = {name: array.copy() for name, array in good.items()}
    with pytest.raises(ValueError, match=message):
        sp.SpikeBatch.from_sorted(**{**good, **change})


def test_a_slice_keeps_the_callers_order_among_the_spikes_that_stay() -> None:
    batch = sp.SpikeBatch([3.0, 1.0, 2.0, 0.5], [0, 1, 2, 3], [1, 0, 1, 0], 2)
    part = batch[1:]
    np.testing.assert_array_equal(part.times, [2.0, 3.0])
    np.testing.assert_array_equal(part.order, [1, 0])


def test_joining_samples_counts_the_order_through() -> None:
    first, second = sp.Spikes([2.0, 1.0], [0, 1]), sp.Spikes([5.0, 4.0, 3.0], [2, 1, 0])
    batch = sp.SpikeBatch.from_samples([first, second])
    np.testing.assert_array_equal(batch.times, [1.0, 2.0, 3.0, 4.0, 5.0])
    np.testing.assert_array_equal(batch.order, [1, 0, 4, 3, 2])
    np.testing.assert_array_equal(batch.samples, [0, 0, 1, 1, 1])


def test_latencies_leave_silent_sources_out() -> None:
    batch = sp.SpikeBatch.from_latencies([[0.3, np.inf, 0.1], [np.inf, np.inf, np.inf]])
    assert len(batch) == 2
    np.testing.assert_array_equal(batch.sample(0).times, [0.1, 0.3])
    np.testing.assert_array_equal(batch.sample(0).indices, [2, 0])
    assert len(batch.sample(1)) == 0


def test_spikes_do_not_change_with_the_callers_array_and_cannot_be_written() -> None:
    times = np.array([0.0, 1.0])
    spikes = sp.Spikes(times, [0, 0])
    times[0] = 0.5
    assert spikes.times[0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        spikes.times[0] = 2.0


def test_sorted_spikes_do_not_change_with_the_callers_arrays() -> None:
    columns_given = np.array([0.0, 1.0, 1.0]), np.array([1, 0, 2]), np.array([0, 0, 0])
    spikes, batch = sp.Spikes(*columns_given[:2]), sp.SpikeBatch(*columns_given, 1)
    for array in columns_given:
        array[:] = 9
    for train in (spikes, batch):
        np.testing.assert_array_equal(train.times, [0.0, 1.0, 1.0])
        np.testing.assert_array_equal(train.indices, [1, 0, 2])


# --- sorted, merged, appended ---------------------------------------------------------------------


@given(trains)
def test_spikes_are_ordered_as_by_a_stable_sort(train: list) -> None:
    times, indices, samples = columns(train)
    order = np.lexsort((indices, times))
    np.testing.assert_array_equal(sp.Spikes(times, indices).order, order)
    order = np.lexsort((indices, times, samples))
    batch = sp.SpikeBatch(times, indices, samples, 4)
    np.testing.assert_array_equal(batch.order, order)
    np.testing.assert_array_equal(batch.samples, samples[order])
    np.testing.assert_array_equal(batch.offsets, np.searchsorted(samples[order], np.arange(5)))


@given(trains)
def test_sorted_spikes_are_not_sorted_again(train: list) -> None:
    batch = sp.SpikeBatch(*columns(train), 3)
    again = sp.SpikeBatch(batch.times, batch.indices, batch.samples, 3)
    samples = [batch.sample(k) for k in range(3)]
    joined = sp.SpikeBatch.from_samples(samples)
    for one in (again, joined, *samples, joined[1:], sp.SpikeBatch.from_samples(samples[:1])):
        assert one._order is None
    np.testing.assert_array_equal(joined.order, np.arange(len(train)))
    assert_same(again, joined)


def test_a_batch_of_one_sample_shares_its_arrays() -> None:
    spikes = sp.Spikes([2.0, 1.0], [0, 1])
    batch = sp.SpikeBatch.from_samples([spikes])
    assert batch.times is spikes.times
    assert batch.indices is spikes.indices
    np.testing.assert_array_equal(batch.order, [1, 0])


def train_of(batch: sp.SpikeBatch) -> sp.Train:
    return batch.offsets, batch.times, batch.indices


@given(trains, trains, st.integers(0, 8).map(lambda k: k / 2))
def test_trains_are_merged_as_a_stable_sort_orders_both(one: list, two: list, later: float) -> None:
    """Whether the second follows the first, where it is appended, or not."""
    moved = [(t + later, i, k) for t, i, k in two]
    batches = [sp.SpikeBatch(*columns(train), 3) for train in (one, moved)]
    pairs = [(batches, 3), ([batch[:1] for batch in batches], 1)]
    for (first, second), n in pairs:
        both = [np.concatenate(c) for c in zip(columns_of(first), columns_of(second), strict=True)]
        times, indices, samples = both
        order = np.lexsort((indices, times, samples))
        for seam in (
            sp.merged(train_of(first), train_of(second)),
            sp.continued(train_of(first), train_of(second)),
        ):
            np.testing.assert_array_equal(seam.times, times[order])
            np.testing.assert_array_equal(seam.numbers, indices[order])
            np.testing.assert_array_equal(
                seam.offsets, np.searchsorted(samples[order], np.arange(n + 1))
            )
            places = np.arange(times.size)
            found = seam.column(places[: first.times.size], places[first.times.size :])
            np.testing.assert_array_equal(found, order)
            assert not seam.times.flags.writeable


def columns_of(batch: sp.SpikeBatch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return batch.times, batch.indices, batch.samples


@given(st.lists(st.tuples(st.integers(0, 9), st.lists(st.integers(0, 9))), max_size=20))
def test_arrays_are_appended_to_any_earlier_one(steps: list[tuple[int, list[int]]]) -> None:
    found, expected = [np.array([1, 2])], [[1, 2]]
    for which, more in steps:
        k = which % len(found)
        found.append(sp.appended(found[k], np.array(more, dtype=np.int64)))
        expected.append(expected[k] + more)
    for array, values in zip(found, expected, strict=True):
        assert array.tolist() == values


def test_appending_does_not_copy_but_now_and_then() -> None:
    array, copies = np.zeros(3), 0
    for k in range(1000):
        before, array = array, sp.appended(array, np.array([float(k)]))
        copies += not np.shares_memory(before, array)
    assert copies < 12
    assert array[3:].tolist() == list(range(1000))
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1.0


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda a: pickle.loads(pickle.dumps(a))])
def test_a_copy_of_an_array_that_grew_has_memory_of_its_own(duplicate) -> None:
    grown = sp.appended(np.array([1.0]), np.array([2.0]))
    other = duplicate(grown)
    first, second = sp.appended(other, np.array([3.0])), sp.appended(grown, np.array([4.0]))
    assert (first.tolist(), second.tolist()) == ([1.0, 2.0, 3.0], [1.0, 2.0, 4.0])


def test_threads_that_continue_one_array_do_not_share_its_room() -> None:
    begin = sp.appended(np.zeros(1000), np.zeros(1))
    found: list[np.ndarray] = [begin] * 8

    def grow(k: int) -> None:
        for _ in range(50):
            found[k] = sp.appended(found[k], np.full(3, float(k)))

    workers = [threading.Thread(target=grow, args=(k,)) for k in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for k, array in enumerate(found):
        np.testing.assert_array_equal(array[:1001], 0.0)
        np.testing.assert_array_equal(array[1001:], np.full(150, float(k)))
