"""The compiled loops of the layered engine, where a network would hardly reach their corners."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventsim._engines.layered import loop as layer_loop
from eventsim._layout.incoming import Incoming
from eventsim._layout.record import Record, new_record
from eventsim._support.sorting import sort_rows

TINY = float(np.finfo(np.float64).smallest_subnormal)
times = st.one_of(
    st.floats(0.0, 1.0),
    st.integers(0, 5).map(lambda n: n * TINY),  # no bin is narrow enough
    st.floats(0.0, 1e-3).map(lambda t: 1e300 * t),
    st.sampled_from([0.5, np.nextafter(0.5, 1.0)]),
)
# By sample, then by part: (time, neuron) of the spikes.
spikes = st.lists(
    st.lists(st.lists(st.tuples(times, st.integers(0, 9)), max_size=8), min_size=2, max_size=2),
    min_size=1,
    max_size=3,
)


def record_of(pairs: list[tuple[float, int]]) -> Record:
    """A record whose slopes and currents tell where a spike comes from."""
    record = new_record(len(pairs))
    for s, (time, neuron) in enumerate(pairs):
        record.time[s], record.neuron[s], record.slope[s], record.released[s] = time, neuron, s, -s
    return record


@given(spikes)
def test_merged_spikes_are_sorted_by_time_and_neuron(
    samples: list[list[list[tuple[float, int]]]],
) -> None:
    # An own neuron number for each spike: a neuron does not fire twice at one time.
    base = np.array([0, 100])
    numbers = itertools.count(step=1)
    parts = [[[(t, next(numbers)) for t, _ in own[p]] for own in samples] for p in range(2)]
    counts = np.array([[len(own) for own in part] for part in parts], dtype=np.int64)
    record = record_of([pair for part in parts for own in part for pair in own])
    offsets = np.concatenate([[0], np.cumsum(counts.sum(axis=0))])
    begin = np.cumsum(counts.reshape(-1)).reshape(counts.shape) - counts
    bins = np.empty(int(counts.sum(axis=0).max(initial=0)) + 1, dtype=np.int64)
    merged = new_record(int(offsets[-1]))
    layer_loop.merge_spikes(begin, begin + counts, record, base, offsets, bins, merged)
    origin = merged.slope.astype(int)
    np.testing.assert_array_equal(merged.time, record.time[origin])
    np.testing.assert_array_equal(merged.released, record.released[origin])
    for k in range(len(samples)):
        own = slice(offsets[k], offsets[k + 1])
        expected = sorted((t, neuron + base[p]) for p in range(2) for t, neuron in parts[p][k])
        assert list(zip(merged.time[own], merged.neuron[own], strict=True)) == expected


@pytest.mark.parametrize("late", [0, 1])
def test_a_crowd_beside_one_late_spike_is_sorted(late: int) -> None:
    """All but one fall into the first bin."""
    rng = np.random.default_rng(0)
    crowd = rng.random(5000)
    pairs = [(float(t), i) for i, t in enumerate(crowd)] + late * [(1e9, 9)]
    counts, offsets = np.array([[len(pairs)]]), np.array([0, len(pairs)])
    merged = new_record(len(pairs))
    bins = np.empty(len(pairs) + 1, dtype=np.int64)
    layer_loop.merge_spikes(
        np.array([[0]]), counts, record_of(pairs), np.array([0]), offsets, bins, merged
    )
    np.testing.assert_array_equal(merged.time, np.sort([t for t, _ in pairs]))


@pytest.mark.parametrize("n", [0, 1, 2, 100, 2000])
@pytest.mark.parametrize("order", ["sorted", "reversed", "drawn"])
def test_arrivals_are_sorted_by_time_and_then_as_they_came(n: int, order: str) -> None:
    rng = np.random.default_rng(n)
    time = {
        "sorted": np.arange(n, dtype=float),
        "reversed": -np.arange(n, dtype=float),
        "drawn": np.round(rng.random(n), 2),
    }[order]
    origin, row = np.arange(n) // 2, np.arange(n)
    expected = np.lexsort((row, origin, time))
    arrivals = Incoming(np.array([0, n]), time.copy(), row.copy(), origin.copy())
    rows = arrivals.row
    sort_rows(arrivals.time, arrivals.origin, rows, rows, 0, n)
    np.testing.assert_array_equal(arrivals.time, time[expected])
    np.testing.assert_array_equal(arrivals.row, row[expected])
    np.testing.assert_array_equal(arrivals.origin, origin[expected])
