"""Input spikes of several inputs: joined as a sort would, and extended as if given at once."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eventsim as es
from eventsim._layout.wiring import layout_of
from eventsim.stimulus import Stimulus, extend_stimulus, read_stimulus
from tests.helpers.strategies import decimals, examples

SOURCES = {"a": 2, "b": 1, "c": 3}
Columns = dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]


def empty_network(names: tuple[str, ...] = tuple(SOURCES)) -> es.Network:
    network = es.Network()
    for name in names:
        network.add_input(name, SOURCES[name])
    network.add_population("out", 1, es.LIF(tau_mem=1.0, tau_syn=1.0))
    return network


@st.composite
def columns(draw: st.DrawFn, n_samples: int, low: int = 0, high: int = 5) -> Columns:
    """Unsorted (times, indices, samples) of some inputs, in any order, with ties."""
    names = draw(st.permutations(list(SOURCES)))[: draw(st.integers(0, len(SOURCES)))]
    given_columns = {}
    for name in names:
        times = st.integers(2 * low, 2 * high).map(lambda k: k / 2)
        spike = st.tuples(times, st.integers(0, SOURCES[name] - 1), st.integers(0, n_samples - 1))
        rows = np.array(draw(st.lists(spike, max_size=12)), dtype=float).reshape(-1, 3)
        numbers = rows[:, 1:].astype(np.int64)
        given_columns[name] = rows[:, 0], numbers[:, 0], numbers[:, 1]
    return given_columns


def batches(given_columns: Columns, n_samples: int) -> dict[str, es.SpikeBatch]:
    return {name: es.SpikeBatch(*c, n_samples) for name, c in given_columns.items()}


def read(network: es.Network, given_columns: Columns, n_samples: int) -> Stimulus:
    if not given_columns:
        return read_stimulus(network, [{}] * n_samples)[0]
    return read_stimulus(network, batches(given_columns, n_samples))[0]


def sorted_by_lexsort(network: es.Network, stimulus: Stimulus) -> list[np.ndarray]:
    """(times, sources, offsets, permutation), by one sort of all that the trains hold."""
    starts = layout_of(network).input_start
    trains = stimulus.trains
    times = np.concatenate([np.empty(0), *[train.times for train in trains.values()]])
    none = np.empty(0, dtype=np.int64)
    sources = np.concatenate([none, *[t.indices + starts[name] for name, t in trains.items()]])
    samples = np.concatenate([none, *[train.samples for train in trains.values()]])
    order = np.lexsort((sources, times, samples))
    offsets = np.searchsorted(samples[order], np.arange(stimulus.n_samples + 1))
    return [times[order], sources[order], offsets, order]


def assert_joined_as_by_lexsort(network: es.Network, stimulus: Stimulus) -> None:
    found = stimulus.times, stimulus.sources, stimulus.offsets, stimulus.order
    for one, two in zip(found, sorted_by_lexsort(network, stimulus), strict=True):
        np.testing.assert_array_equal(one, two)
        assert one.dtype == two.dtype


def assert_same_stimulus(one: Stimulus, two: Stimulus) -> None:
    assert list(one.trains) == list(two.trains)
    for name in ("times", "sources", "offsets", "order"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    for name, train in two.trains.items():
        for field in ("times", "indices", "offsets", "order"):
            np.testing.assert_array_equal(getattr(one.trains[name], field), getattr(train, field))


def with_all(given_columns: Columns) -> Columns:
    """In the order of the network's inputs, with those that are silent."""
    nothing = np.empty(0), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    return {name: given_columns.get(name, nothing) for name in SOURCES}


# --- joined ---------------------------------------------------------------------------------------


@given(st.integers(1, 3), st.data())
@examples(0.3)
def test_trains_are_joined_as_a_stable_sort_joins_them(n: int, data: st.DataObject) -> None:
    network = empty_network()
    stimulus = read(network, data.draw(columns(n)), n)
    assert_joined_as_by_lexsort(network, stimulus)
    assert (stimulus.permutation is None) == (len(stimulus.trains) == 1)
    for array in stimulus.arrays:
        assert not array.flags.writeable


@given(st.integers(1, 3), st.data())
@examples(0.3)
def test_split_returns_values_in_the_order_of_the_caller(n: int, data: st.DataObject) -> None:
    given_columns = data.draw(columns(n))
    stimulus = read(empty_network(), given_columns, n)
    for name, times in stimulus.split(stimulus.times).items():
        np.testing.assert_array_equal(times, given_columns.get(name, [np.empty(0)])[0])
    for name, sources in stimulus.split(stimulus.sources.astype(float)).items():
        first = stimulus.first_source[name]
        np.testing.assert_array_equal(sources - first, with_all(given_columns)[name][1])


def test_the_only_train_is_taken_as_it_is() -> None:
    network = empty_network()
    times, indices = np.arange(5.0), np.zeros(5, dtype=np.int64)
    for train in (
        es.Spikes(times, indices),
        es.SpikeBatch.from_sorted(times, indices, np.array([0, 5])),
    ):
        stimulus, _ = read_stimulus(network, {"a": train})
        assert stimulus.times is train.times
        assert stimulus.sources is train.indices


@given(st.integers(1, 3), st.data())
@examples(0.3)
def test_a_sample_alone_is_its_part(n: int, data: st.DataObject) -> None:
    network = empty_network()
    stimulus = read(network, data.draw(columns(n)), n)
    for k in range(n):
        part = slice(stimulus.offsets[k], stimulus.offsets[k + 1])
        one = stimulus.sample(k)
        np.testing.assert_array_equal(one.times, stimulus.times[part])
        np.testing.assert_array_equal(one.sources, stimulus.sources[part])
        assert_joined_as_by_lexsort(network, one)


# --- extended -------------------------------------------------------------------------------------


@given(st.integers(1, 3), st.lists(st.booleans(), min_size=1, max_size=4), st.data())
@examples(0.3)
def test_an_extended_stimulus_is_the_one_that_is_given_at_once(
    n: int, later: list[bool], data: st.DataObject
) -> None:
    """Whether all that is added comes later, or is older than input spikes that wait."""
    network = empty_network()
    whole = with_all(data.draw(columns(n)))
    found = read(network, whole, n)
    for step, is_later in enumerate(later, start=1):
        low = 5 * step if is_later else 0
        more = data.draw(columns(n, low, 5 * step + 5))
        found = extend_stimulus(network, found, read(network, more, n))
        both = zip(whole.items(), with_all(more).values(), strict=True)
        whole = {
            name: tuple(np.concatenate(pair) for pair in zip(old, new, strict=True))
            for (name, old), new in both
        }  # type: ignore[misc]
        assert_same_stimulus(found, read(network, whole, n))
        assert_joined_as_by_lexsort(network, found)


@given(st.integers(1, 2), st.data())
@examples(0.3)
def test_an_extended_stimulus_of_some_inputs(n: int, data: st.DataObject) -> None:
    """An input may be silent, or not be named, before or after; one input alone has no copy."""
    network = empty_network()
    given_columns = [data.draw(columns(n, 5 * k, 5 * k + 5)) for k in range(4)]
    found = read(network, given_columns[0], n)
    for more in given_columns[1:]:
        found = extend_stimulus(network, found, read(network, more, n))
        assert_joined_as_by_lexsort(network, found)
    for name, times in found.split(found.times).items():
        parts = [with_all(piece)[name][0] for piece in given_columns]
        np.testing.assert_array_equal(times, np.concatenate(parts))


@pytest.mark.parametrize("names", [("a",), ("b",), ("c", "a", "b")])
def test_what_is_added_does_not_copy_what_was_there(names: tuple[str, ...]) -> None:
    network = empty_network()

    def piece(k: int) -> Stimulus:
        trains = {name: es.Spikes([k + 0.5, k + 0.25], [0, 0]) for name in names}
        return read_stimulus(network, trains)[0]

    longer, copies = piece(0), 0
    for k in range(1, 200):
        before, longer = longer, extend_stimulus(network, longer, piece(k))
        pairs = zip(arrays(before), arrays(longer), strict=True)
        copies += not all(np.shares_memory(one, two) for one, two in pairs)
    assert copies < 10
    assert_joined_as_by_lexsort(network, longer)


def arrays(stimulus: Stimulus) -> list[np.ndarray]:
    trains = stimulus.trains.values()
    columns_of_trains = [a for t in trains for a in (t.times, t.indices, t.order)]
    return [stimulus.times, stimulus.sources, *columns_of_trains]


@given(st.data())
@examples(0.3)
def test_two_extensions_do_not_disturb_each_other(data: st.DataObject) -> None:
    network = empty_network()
    begin, *more = (with_all(data.draw(columns(1, 5 * k, 5 * k + 5))) for k in range(4))
    old = extend_stimulus(network, read(network, begin, 1), read(network, more[0], 1))
    kept = copy.deepcopy(old)
    first = extend_stimulus(network, old, read(network, more[1], 1))
    kept_first = copy.deepcopy(first)
    second = extend_stimulus(network, old, read(network, more[2], 1))
    third = extend_stimulus(network, first, read(network, more[2], 1))
    assert_same_stimulus(old, kept)
    assert_same_stimulus(first, kept_first)
    for found in (second, third):
        assert_joined_as_by_lexsort(network, found)
    again = pickle.loads(pickle.dumps(old))
    assert_same_stimulus(again, old)
    assert_same_stimulus(extend_stimulus(network, again, read(network, more[1], 1)), first)


# --- runs in pieces -------------------------------------------------------------------------------

T_STOP = 6.0


@st.composite
def small_networks(draw: st.DrawFn) -> es.Network:
    """Recurrent, with three inputs and delays that both engines take."""
    network = es.Network()
    for name, n in SOURCES.items():
        network.add_input(name, n)
    refractory = draw(st.sampled_from([0.0, 0.3]))
    network.add_population("out", 3, es.LIF(tau_mem=2.0, tau_syn=1.0, refractory=refractory))
    delays = draw(st.sampled_from([0.0, 0.4]))
    for name, n in SOURCES.items():
        network.connect(name, "out", weights=weights(draw, n, 3.0), delays=delays)
    network.connect("out", "out", weights=weights(draw, 3, 0.5), delays=0.7)
    return network


def weights(draw: st.DrawFn, n: int, most: float) -> list[list[float]]:
    row = st.lists(decimals(-0.5, most), min_size=3, max_size=3)
    return draw(st.lists(row, min_size=n, max_size=n))


def between(stimulus: Columns, begin: float, end: float) -> dict[str, es.Spikes]:
    pieces = {}
    for name, (times, indices, _) in stimulus.items():
        chosen = (times > begin) & (times <= end)
        pieces[name] = es.Spikes(times[chosen], indices[chosen])
    return pieces


def bits(result: es.Result) -> list[Any]:
    stimulus, batch = result.batch.stimulus, result.batch
    inputs = [*arrays(stimulus), stimulus.offsets, stimulus.order]
    states = [result.potential("out"), result.current("out"), batch.ends, batch.offsets]
    return [array.tobytes() for array in (*batch.record, *inputs, *states)]


def assert_same_run(one: es.Result, two: es.Result) -> None:
    """Bit for bit; spikes given piece by piece may have been given in another order."""
    for left, right in zip(one.batch.record, two.batch.record, strict=True):
        np.testing.assert_array_equal(left, right)
    np.testing.assert_array_equal(one.potential("out"), two.potential("out"))
    for left, right in zip(one.batch.stimulus.arrays, two.batch.stimulus.arrays, strict=True):
        np.testing.assert_array_equal(left, right)
    assert one.events == two.events


@pytest.mark.parametrize("engine", ["scheduler", "windows"])
@given(st.data())
@examples(0.4)
def test_a_run_in_many_pieces_is_the_run_at_once(engine: str, data: st.DataObject) -> None:
    network = data.draw(small_networks())
    stimulus = data.draw(columns(1))
    stops = data.draw(st.lists(decimals(0.1, T_STOP - 0.1), max_size=8, unique=True))
    whole = es.simulate(network, between(stimulus, -1.0, T_STOP), T_STOP, engine=engine)
    result, begin, kept = None, -1.0, []
    for stop in [*sorted(stops), T_STOP]:
        piece = between(stimulus, begin, stop)
        chosen = "auto" if result is not None else engine
        result = es.simulate(network, piece, stop, engine=chosen, resume=result)
        kept.append((result, bits(result)))
        begin = stop
    assert_same_run(result, whole)
    for earlier, its_bits in kept:
        assert bits(earlier) == its_bits


@pytest.mark.parametrize("engine", ["scheduler", "windows"])
@given(st.data())
@examples(0.4)
def test_two_continuations_do_not_disturb_each_other(engine: str, data: st.DataObject) -> None:
    network = data.draw(small_networks())
    begin, *ways = (data.draw(columns(1)) for _ in range(3))
    old, start = None, -1.0
    for stop in (1.0, 1.75):
        options: dict[str, Any] = {"engine": engine} if old is None else {"resume": old}
        old = es.simulate(network, between(begin, start, stop), stop, **options)
        start = stop
    before = bits(old)
    found = [es.simulate(network, between(way, 1.75, 4.0), 4.0, resume=old) for way in ways]
    first = bits(found[0])
    longer = [
        es.simulate(network, between(way, 4.0, T_STOP), T_STOP, resume=result)
        for way, result in zip(ways, reversed(found), strict=True)
    ]
    assert bits(old) == before
    assert bits(found[0]) == first
    for head, tail, result in zip(reversed(ways), ways, longer, strict=True):
        parts = [between(begin, -1.0, 1.75), between(head, 1.75, 4.0), between(tail, 4.0, T_STOP)]
        given_at_once = {
            name: es.Spikes(*(np.concatenate(c) for c in zip(*of_name, strict=True)))
            for name in SOURCES
            if (of_name := [(p[name].times, p[name].indices) for p in parts if name in p])
        }
        assert_same_run(result, es.simulate(network, given_at_once, T_STOP, engine=engine))


def test_input_spikes_that_wait_are_merged_with_those_that_are_added() -> None:
    network = empty_network(("a",))
    network.connect("a", "out", weights=[[3.0], [2.0]])
    half = es.simulate(network, {"a": es.Spikes([4.0, 0.5, 6.0], [0, 1, 1])}, 1.0)
    rest = es.simulate(network, {"a": es.Spikes([5.0, 2.0], [1, 0])}, 8.0, resume=half)
    whole = es.simulate(network, {"a": es.Spikes([0.5, 2.0, 4.0, 5.0, 6.0], [1, 0, 0, 1, 1])}, 8.0)
    assert_same_run(rest, whole)
    np.testing.assert_array_equal(
        rest.batch.stimulus.split(rest.batch.stimulus.times)["a"], [4.0, 0.5, 6.0, 5.0, 2.0]
    )
