"""Spikes in CSV files: the same to the bit, and refused by the line that is wrong."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import eventsim as es
from eventsim import csv
from tests.helpers.damage import damaged, damages, put
from tests.helpers.spike_files import (
    NO_NEURONS,
    NO_TIMES,
    assert_same,
    refused_or_read,
    runs,
    unsynced,
)

NAMES = st.text(min_size=1, max_size=4).filter(str.isprintable)
SPIKES = {"E": es.Spikes([0.5, 0.1, 0.5], [2, 0, 2]), 'a "b", c': es.Spikes([0.1 + 0.2], [7])}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with unsynced():
        yield tmp_path_factory.mktemp("csv") / "spikes.csv"


def written(path: Path, text: str) -> Path:
    put(path, text.encode())
    return path


@given(spikes=runs(NAMES))
def test_what_is_written_is_read_back(path: Path, spikes: dict[str, es.Spikes]) -> None:
    csv.write_spikes(path, spikes)
    assert_same(csv.read_spikes(path), {name: each for name, each in spikes.items() if len(each)})


def test_the_spikes_of_a_run_are_the_stimulus_of_another(path: Path) -> None:
    spikes = {"in": es.RecordedSpikes(*map(list, ([0.5], [0], [1.0], [0])))}
    csv.write_spikes(path, spikes)
    net = es.Network()
    net.add_input("in", 1)
    net.add_population("out", 1, es.LIF())
    assert es.simulate(net, csv.read_spikes(path), 1.0).events.inputs == 1


def test_a_file_without_populations_has_spikes_of_the_one_that_is_named(path: Path) -> None:
    written(path, "time, neuron, note\r\n1e-1, 3,\r\n.5 ,+0,x\r\n")
    assert_same(csv.read_spikes(path, "in"), {"in": es.Spikes([0.1, 0.5], [3, 0])})


def test_a_packed_file_and_one_with_a_mark_are_read(path: Path) -> None:
    put(path, gzip.compress(b"\xef\xbb\xbfneuron,time\n3,0.5\n"))
    assert_same(csv.read_spikes(path), {"default": es.Spikes([0.5], [3])})


def test_the_table_of_a_result_is_such_a_file(path: Path) -> None:
    pytest.importorskip("pandas", reason="tables need pandas")
    frame = es.Spikes([0.1 + 0.2, 0.5], [1, 0]).to_dataframe()
    frame["population"], frame["sample"], frame["slope"] = "E", 0, 1.0
    frame.to_csv(path)
    assert_same(csv.read_spikes(path), {"E": es.Spikes([0.1 + 0.2, 0.5], [1, 0])})


BROKEN = {
    "": "line 1: columns must be neuron, time and others, got []",
    "\n": "line 1: columns must be",
    "neuron;time\n0;0.5\n": "got ['neuron;time']",
    "neuron,time,time\n": "columns must be",
    "neuron,time\n0\n": "line 2: it must have 2 values, got 1",
    "neuron,time\n0,0.5,7\n": "line 2: it must have 2 values, got 3",
    "neuron,time\n\n0,0.5\n0,0.5 ms\n": "line 4: time must be a finite number, got '0.5 ms'",
    'neuron,time\n"0,0.5\n': "unexpected end of data",
    "neuron,time\n0,0.5\n1,0.2": "in the midst of a line, '1,0.2'; expected",
    "sample,neuron,time\n0,0,0.5\n1,0,0.5\n": "one sample, got ['0', '1']",
    "neuron,time\n" + "0" * 70_000: "midst of a line",
    '"' + "n" * 40_000 + "\n" + "n" * 40_000 + "\n" + "n" * 60_000 + "\n": "field larger",
}
BROKEN |= {f"neuron,time\n0,0.5\n0,{text}\n": "line 3: time must be {}, got" for text in NO_TIMES}
BROKEN |= {f"neuron,time\n{text},0.5\n": "line 2: neuron must be a whole" for text in NO_NEURONS}


@pytest.mark.parametrize("text", BROKEN, ids=lambda text: repr(text[:30]))
def test_a_broken_table_is_refused_by_its_line(path: Path, text: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        csv.read_spikes(written(path, text))
    for part in BROKEN[text].split("{}"):
        assert part in str(caught.value)
    assert refused_or_read(path, csv.read_spikes) is None


@given(damage=damages)
def test_damage_is_refused_or_spikes(path: Path, damage: Any) -> None:
    csv.write_spikes(path, SPIKES)
    put(path, damaged(path.read_bytes(), damage))
    refused_or_read(path, csv.read_spikes)


@given(share=st.floats(0.0, 1.0, exclude_max=True))
def test_a_file_that_is_cut_short_is_refused_unless_lines_are_left_whole(
    path: Path, share: float
) -> None:
    csv.write_spikes(path, SPIKES)
    content = path.read_bytes()
    put(path, content[: int(share * len(content))])
    found = refused_or_read(path, csv.read_spikes)
    assert found is None or path.read_bytes().endswith(b"\n")


NOT_SPIKES: list[tuple[Any, str]] = [
    (None, "spikes must be a dict, got None"),
    ({"E": [0.5]}, r"spikes\['E'\] must be Spikes of one run, .*, got \[0.5\]"),
    ({"E": es.SpikeBatch([], [], [], 2)}, r"spikes\['E'\] must be Spikes of one run, as result"),
    ({3: es.Spikes([], [])}, "each name in spikes must be a printable text, got 3"),
    ({"a\nb": es.Spikes([], [])}, r"each name in spikes must be a printable text, got 'a\\nb'"),
    ({"\ud800": es.Spikes([], [])}, r"each name in spikes must be a printable text, got '\\ud800'"),
]


@pytest.mark.parametrize(("spikes", "message"), NOT_SPIKES)
def test_what_is_no_spikes_of_one_run_is_not_written(
    tmp_path: Path, spikes: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        csv.write_spikes(tmp_path / "spikes.csv", spikes)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["folder", "pipe", "absent"])
def test_what_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "spikes.csv"
    {"folder": Path.mkdir, "pipe": os.mkfifo, "absent": Path.absolute}[kind](path)
    with pytest.raises(ValueError, match=r"spikes.csv (is no regular file|cannot be read)"):
        csv.read_spikes(path)
