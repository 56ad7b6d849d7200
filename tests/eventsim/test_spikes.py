"""Spike trains: sorted, reversible, and a batch is its samples."""

from __future__ import annotations

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
