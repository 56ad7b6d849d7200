"""Spikes as tables of pandas: the same to the bit, and refused where a column is missing."""

from __future__ import annotations

import itertools
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eventsim as es
from tests.helpers.spike_files import assert_same, runs

pd = pytest.importorskip("pandas", reason="tables need pandas")

SPIKES = {"in": es.Spikes([0.0, 0.25], [0, 1])}


def net() -> es.Network:
    network = es.Network()
    network.add_input("in", 2)
    network.add_population("out", 3, es.LIF())
    network.add_population("mute", 2, es.LIF())
    network.connect("in", "out", weights=np.full((2, 3), 4.0))
    return network


def test_a_result_is_a_table_in_the_order_of_time() -> None:
    result = es.simulate(net(), SPIKES, 2.0)
    frame = result.to_dataframe()
    assert list(frame) == ["sample", "population", "neuron", "time", "slope"]
    assert frame["time"].is_monotonic_increasing
    assert set(frame["sample"]) == {0}
    assert list(frame["population"].cat.categories) == ["out", "mute"]
    out = result.spikes["out"]
    for column, values in (("time", out.times), ("neuron", out.indices), ("slope", out.slopes)):
        np.testing.assert_array_equal(frame[column], values)


def test_a_batch_is_a_table_of_its_samples_and_is_read_back() -> None:
    batch = es.simulate(net(), [SPIKES, {}, SPIKES, {}], 2.0)
    frame = batch.to_dataframe()
    assert sorted(set(frame["sample"])) == [0, 2]
    read = es.SpikeBatch.from_dataframe(frame, 4, "out")
    assert len(read) == 4
    for k in range(4):
        sample = batch[k].spikes["out"].train()
        assert_same({"out": read.sample(k)}, {"out": sample})
        rows = frame[frame["sample"] == k]
        assert_same({"out": es.Spikes.from_dataframe(rows, "out")}, {"out": sample})
    assert len(es.Spikes.from_dataframe(frame[frame["sample"] == 0], "mute")) == 0


def test_spikes_of_several_populations_come_in_the_order_of_time() -> None:
    network = net()
    network.connect("out", "mute", weights=np.full((3, 2), 9.0), delays=0.01)
    frame = es.simulate(network, [SPIKES, SPIKES], 3.0).to_dataframe()
    assert set(frame["population"]) == {"out", "mute"}
    pairs = list(zip(frame["sample"], frame["time"], strict=True))
    assert pairs == sorted(pairs)


def test_a_run_with_record_is_a_table_of_what_is_recorded() -> None:
    frame = es.simulate(net(), SPIKES, 2.0, record=["mute"], engine="scheduler").to_dataframe()
    assert len(frame) == 0
    assert list(frame["population"].cat.categories) == ["mute"]


@given(spikes=runs(st.just("E")))
def test_a_table_of_spikes_is_read_back(spikes: dict[str, es.Spikes]) -> None:
    for train in spikes.values():
        again = es.Spikes.from_dataframe(train.to_dataframe())
        assert_same({"E": again}, {"E": train})


@given(samples=st.lists(runs(st.just("E")), min_size=1, max_size=4))
def test_a_table_of_a_batch_is_read_back(samples: list[dict[str, es.Spikes]]) -> None:
    trains = [sample.get("E", es.Spikes([], [])) for sample in samples]
    batch = es.SpikeBatch.from_samples(trains)
    again = es.SpikeBatch.from_dataframe(batch.to_dataframe(), len(batch))
    for k, train in enumerate(trains):
        assert_same({"E": again.sample(k)}, {"E": train})


def test_a_table_is_a_copy() -> None:
    spikes = es.Spikes([0.5], [3])
    frame = spikes.to_dataframe()
    frame.loc[0, "time"] = 7.0
    assert spikes.times[0] == 0.5


def test_the_order_counts_rows() -> None:
    frame = pd.DataFrame({"time": [0.5, 0.25], "neuron": [0, 1]}, index=[7, 7])
    assert es.Spikes.from_dataframe(frame).order.tolist() == [1, 0]


TIME, NEURON = {"time": [0.5, 0.25]}, {"neuron": [0, 1]}
BROKEN: list[tuple[dict[str, Any], str | None, str]] = [
    (TIME, None, r"frame must have one column 'neuron', got \['time'\]"),
    (TIME | NEURON, "E", r"population must be one of those of the frame, \[\], got 'E'"),
    (TIME | NEURON | {"population": ["E", "I"]}, None, r"\['E', 'I'\], got None"),
    (TIME | NEURON | {"population": ["E", "I"]}, "x", r"\['E', 'I'\], got 'x'"),
    (TIME | NEURON | {"sample": [0, 2]}, None, r"one sample .*, got samples \[0, 2\]"),
    ({"time": [0.5, np.nan]} | NEURON, None, "times must be finite, got nan"),
    ({"time": [0.5, -1.0]} | NEURON, None, "times must be >= 0, got -1.0"),
    ({"time": ["0.5", "1"]} | NEURON, None, "times must be real numbers"),
    (TIME | {"neuron": [0.0, 1.0]}, None, "indices must be integers, got"),
    (TIME | {"neuron": [0, -1]}, None, "indices must be >= 0, got -1"),
    (TIME | {"neuron": pd.array([0, None], "Int64")}, None, "indices must be integers"),
    ({"time": pd.to_timedelta([1, 2], "ms")} | NEURON, None, "times must be real numbers"),
]


@pytest.mark.parametrize(("columns", "population", "message"), BROKEN)
def test_what_is_no_table_of_spikes_is_refused(
    columns: dict[str, Any], population: str | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        es.Spikes.from_dataframe(pd.DataFrame(columns), population)


@pytest.mark.parametrize("name", ["time", "neuron", "population", "sample"])
def test_a_column_that_is_there_twice_is_refused(name: str) -> None:
    frame = pd.DataFrame([[0.5, 0, "E", 0]], columns=["time", "neuron", "population", "sample"])
    frame = pd.concat([frame, frame[[name]]], axis=1)
    with pytest.raises(ValueError, match=f"frame must have one column '{name}'"):
        es.Spikes.from_dataframe(frame, "E")


@pytest.mark.parametrize("dtype", [object, "string", "category"])
def test_rows_of_no_population_are_those_of_no_population(dtype: Any) -> None:
    names = pd.Series(["E", None, "E"], dtype=dtype)
    frame = pd.DataFrame({"time": [0.5, 0.25, 1.0], "neuron": [0, 1, 2], "population": names})
    assert es.Spikes.from_dataframe(frame, "E").times.tolist() == [0.5, 1.0]
    for some, asked in itertools.product((frame, frame[:2]), (None, "x")):
        with pytest.raises(ValueError, match=f"those of the frame, .*, got {asked!r}"):
            es.Spikes.from_dataframe(some, asked)


@pytest.mark.parametrize("frame", [None, {"time": [0.5]}, es.Spikes([], []), 3])
def test_what_is_no_table_is_refused(frame: Any) -> None:
    for read in (es.Spikes.from_dataframe, lambda each: es.SpikeBatch.from_dataframe(each, 2)):
        with pytest.raises(ValueError, match=r"frame must be a pandas.DataFrame, got "):
            read(frame)


def test_without_pandas_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    result = es.simulate(net(), SPIKES, 1.0)
    monkeypatch.setitem(sys.modules, "pandas", None)
    for call in (result.to_dataframe, SPIKES["in"].to_dataframe):
        with pytest.raises(ImportError, match=r"needs pandas, .* pip install 'eventsim-snn\[io\]'"):
            call()
