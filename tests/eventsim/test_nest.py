"""Spikes that NEST has recorded: both formats, several files, and populations by node ids."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eventsim as es
from eventsim import nest
from tests.helpers.damage import damaged, damages, put
from tests.helpers.spike_files import (
    NO_NEURONS,
    NO_TIMES,
    assert_same,
    refused_or_read,
    unsynced,
)

ALL = {"E": range(1, 4), "I": [7, 5]}
SPIKES = {"E": es.Spikes([10.3, 10.4, 10.4], [2, 0, 0]), "I": es.Spikes([0.1], [1])}

NEST_3 = "# NEST version: 3.8.0\n# RecordingBackendASCII version: 2\n"
RECORDINGS = {
    "NEST 2": "3\t10.300\t\n1\t10.400\t\n1\t10.400\t\n5\t0.100\t\n",
    "NEST 3": NEST_3 + "sender\ttime_ms\n3\t10.300\n1\t10.400\n1\t10.400\n5\t0.100\n",
    "NEST 3.0": NEST_3 + "# sender\ttime_ms\n3\t10.300\n1\t10.400\n1\t10.400\n5\t0.100\n",
    "by hand": "# id t\n3 10.3\n\n1   10.4\r\n1 10.4\n  5 1e-1\n",
}
IN_STEPS = {
    "NEST 2": "3\t103\t\n1\t104\t\n1\t104\t\n5\t1\t\n",
    "NEST 2, precise": "3\t103\t0.000\t\n1\t104\t0.000\t\n1\t105\t0.100\t\n5\t1\t0.000\t\n",
    "NEST 3": NEST_3 + "sender\ttime_step\ttime_offset\n3\t103\t0\n1\t104\t0\n1\t104\t0\n5\t1\t0\n",
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with unsynced():
        yield tmp_path_factory.mktemp("nest") / "spikes-7-0.dat"


def written(path: Path, text: str) -> Path:
    put(path, text.encode())
    return path


def read(path: Any, **options: Any) -> dict[str, es.Spikes]:
    return nest.read_spikes(path, options.pop("populations", ALL), **{"unit": "ms"} | options)


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recording_in_ms_is_read(path: Path, name: str) -> None:
    assert_same(read(written(path, RECORDINGS[name])), SPIKES)


@pytest.mark.parametrize("name", IN_STEPS)
def test_a_recording_in_steps_is_read_to_the_times_of_one_in_ms(path: Path, name: str) -> None:
    assert_same(read(written(path, IN_STEPS[name]), resolution=0.1), SPIKES)


def test_a_time_is_its_step_less_its_offset(path: Path) -> None:
    text = NEST_3 + "sender\ttime_step\ttime_offset\n3\t12\t0.25\n"
    found = read(written(path, text), resolution=0.125)
    assert_same(found, {"E": es.Spikes([1.25], [2]), "I": es.Spikes([], [])})


def test_the_unit_is_that_of_the_network(path: Path) -> None:
    found = read(written(path, "1\t10.300\n"), unit="s")
    assert found["E"].times.tolist() == [0.0103]


def test_the_files_of_several_threads_are_one_recording(tmp_path: Path) -> None:
    lines = RECORDINGS["NEST 2"].splitlines(keepends=True)
    paths = [tmp_path / f"spikes-7-{thread}.gdf" for thread in range(3)]
    paths[0].write_text("".join(lines[1:]))
    paths[1].touch()
    paths[2].write_bytes(gzip.compress(lines[0].encode()))
    assert_same(read(paths), SPIKES)
    assert_same(read(tuple(map(str, reversed(paths)))), SPIKES)


def test_a_file_without_spikes_has_silent_populations(path: Path) -> None:
    nothing = {"E": es.Spikes([], []), "I": es.Spikes([], [])}
    assert_same(read(written(path, "")), nothing)
    assert_same(read(written(path, NEST_3 + "sender\ttime_ms\n")), nothing)


BROKEN = {
    "1\t10.300\n2\t10.": "in the midst of a line, '2\\t10.'; expected",
    "1\n": "line 1: it must have 2 values, got 1",
    "1\t10.300\t0.5\n": "line 1: it must have 2 values, got 3",
    "sender\ttime_ms\tV_m\n1\t10.300\t-65.0\n": "line 1: columns must be sender time_ms or",
    "sender\ttime_step\ttime_offset\n1\t103\t0\n": "line 1: resolution must be given for times in",
    "1\t103\n": "line 1: resolution must be given: without a header, whole numbers are times in",
    "4\t10.300\n": "holds a spike of node 4, which is in none of the populations; expected",
    "0\t10.300\n": "holds a spike of node 0",
    "8\t10.300\n": "holds a spike of node 8",
    "gid,time\n": "line 1: it must have 2 values, got 1",
    "gid time\n": "line 1: sender must be a whole number >= 0, of 63 bits, got 'gid'",
    "\x93NUMPY \udcff": "cannot be read",
}
BROKEN |= {f"1\t0.5\n1\t{text}\n": "line 2: " for text in NO_TIMES}
BROKEN |= {f"{text}\t0.5\n": "line 1: " for text in NO_NEURONS}


@pytest.mark.parametrize("text", BROKEN, ids=lambda text: ascii(text[:30]))
def test_a_broken_recording_is_refused_by_its_line(path: Path, text: str) -> None:
    put(path, text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        read(path)
    assert BROKEN[text] in str(caught.value)
    assert refused_or_read(path, read) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sender\ttime_ms\n1\t10.300\n", "line 1: resolution must be given for times in steps"),
        ("1\t10.300\n", "line 1: time in steps must be a whole number .*, got '10.300'"),
        ("1\t1\t0.2\n", "line 1: time must be >= 0, got -0.1"),
        ("1\t1\tnan\n", "line 1: offset must be a finite number, got 'nan'"),
        ("1\t1\t0\t0\n", "line 1: it must have 3 values, got 4"),
    ],
)
def test_what_is_not_in_steps_is_not_read_as_if_it_were(
    path: Path, text: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        read(written(path, text), resolution=0.1)


ARGUMENTS: list[tuple[dict[str, Any], str]] = [
    ({"unit": "h"}, "unit must be one of s, ms, us, ns, got 'h'"),
    ({"unit": None}, "unit must be one of s, ms, us, ns, got None"),
    ({"resolution": 0.0}, "resolution must be > 0 and finite, got 0.0"),
    ({"resolution": 1e300}, r"resolution must be finite, and at most 1e\+100 in size, got 1e\+300"),
    ({"populations": {}}, "populations must hold node ids, got {}"),
    ({"populations": {"E": []}}, "populations must hold node ids, got {'E': \\[\\]}"),
    ({"populations": range(1, 5)}, "populations must be a dict, got range"),
    ({"populations": {"E": 3}}, r"populations\['E'\] must be a list of node ids, got 3"),
    ({"populations": {"E": [0.5]}}, r"populations\['E'\] must be integers, got \[0.5\]"),
    ({"populations": {"E": [1, 2], "I": [2]}}, "populations must hold each node id once, got 2"),
    ({"populations": {"E": [4, 4]}}, "populations must hold each node id once, got 4"),
]


@pytest.mark.parametrize(("options", "message"), ARGUMENTS)
def test_an_argument_is_refused_before_a_file_is_opened(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        read("absent.dat", **options)


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ([], r"paths must name at least one file, got \[\]"),
        (["a", "a"], "paths must be different files, got 'a' twice"),
        (3, "path must be the name of a file, .*, got 3"),
        ("absent.dat", r"absent.dat cannot be read: No such file .*; expected"),
    ],
)
def test_paths_name_files(paths: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(paths)


@given(
    steps=st.lists(st.tuples(st.integers(1, 9), st.integers(0, 10**9)), max_size=9),
    resolution=st.sampled_from([0.1, 0.01, 0.05, 0.2, 1.0, 0.125, 0.001]),
)
def test_steps_are_the_times_that_are_printed(
    path: Path, steps: list[tuple[int, int]], resolution: float
) -> None:
    populations = {"all": range(1, 10)}
    written(path, "".join(f"{sender}\t{step}\n" for sender, step in steps))
    found = read(path, populations=populations, resolution=resolution)
    per_ms = round(1 / resolution)
    text = "".join(f"{sender}\t{step / per_ms!r}\n" for sender, step in steps)
    assert_same(found, read(written(path, text), populations=populations))
    assert found["all"].times.size == len(steps)
    np.testing.assert_array_equal(found["all"].times, np.sort([step / per_ms for _, step in steps]))


@pytest.mark.parametrize("text", [RECORDINGS["NEST 2"], RECORDINGS["NEST 3"]], ids=["2", "3"])
@given(damage=damages)
def test_damage_is_refused_or_spikes(path: Path, text: str, damage: Any) -> None:
    put(path, damaged(text.encode(), damage))
    refused_or_read(path, read)
