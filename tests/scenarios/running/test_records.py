"""Records come back to the byte, or are made again; never with another number."""

import os
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.running.records import (
    OtherRunError,
    as_line,
    belonging_to,
    check_origin,
    origin,
    parse,
    read_lines,
)
from scenarios.running.training import replicate

IRIS = {"scenario": "iris", "config": {"epochs": 2, "gamma": 0.1, "t_bias": None}}


@pytest.fixture(scope="module", autouse=True)
def nothing_waits_for_the_disk():
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(os, "fsync", lambda _: None)
        yield


def accuracy(seed):
    return {"test_accuracy": 0.9 + 0.01 * seed}


def kept(path):
    with belonging_to(IRIS):
        return replicate(range(4), accuracy, path=path)


@given(st.data())
def test_a_flipped_bit_never_changes_a_result(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("flipped") / "splits.jsonl"
    expected = kept(path)
    whole = path.read_bytes()
    bit = data.draw(st.integers(0, 8 * len(whole) - 1))
    number = int.from_bytes(whole, "little") ^ (1 << bit)
    path.write_bytes(number.to_bytes(len(whole), "little"))
    with pytest.warns(RuntimeWarning, match=r"splits\.jsonl was altered or cut short in line \d"):
        assert kept(path) == expected
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"0.92", b"7.0"),
        (b"0.92", b"0.920"),
        (b'"seed": 2', b'"seed": 9'),
        (b'"test_accuracy"', b'"accuracy"'),
        (b"}\n", b"}"),
        (b"}\n", b"}\n\n"),
    ],
)
def test_a_line_that_was_edited_is_made_again(tmp_path, old, new):
    path = tmp_path / "splits.jsonl"
    expected = kept(path)
    whole = path.read_bytes()
    path.write_bytes(new.join(whole.rsplit(old, 1)))
    with pytest.warns(RuntimeWarning, match="what is lost is done again"):
        assert kept(path) == expected
    assert path.read_bytes() == whole


def test_a_line_of_deep_nesting_is_a_damaged_line(tmp_path):
    path = tmp_path / "splits.jsonl"
    path.write_bytes(b"[" * 100_000 + b"\n")
    with pytest.warns(RuntimeWarning, match="in line 1: "):
        assert read_lines(path) == []


def test_records_are_not_mixed_with_those_of_other_settings(tmp_path):
    path = tmp_path / "splits.jsonl"
    kept(path)
    other = {**IRIS, "config": {**IRIS["config"], "epochs": 3, "t_bias": 1.0}}
    expected = r"made with epochs = 2, t_bias = null, but config\.json says epochs = 3, t_bias = 1"
    with belonging_to(other), pytest.raises(OtherRunError, match=expected):
        replicate(range(4), accuracy, path=path)


@pytest.mark.parametrize(
    "without", [[], None, 5, {"scenario": "iris"}, {"scenario": 1, "config": 2}]
)
def test_a_file_that_does_not_say_whose_it_is_belongs_to_nobody(tmp_path, without):
    path = tmp_path / "splits.jsonl"
    path.write_bytes(as_line({"run": without}) + as_line({"seed": 0, "test_accuracy": 1.0}))
    with belonging_to(IRIS), pytest.raises(OtherRunError, match="holds no settings of a run"):
        replicate(range(4), accuracy, path=path)


def test_a_file_of_another_scenario_is_refused(tmp_path):
    path = tmp_path / "splits.jsonl"
    with (
        belonging_to({"scenario": "xor", "config": {}}),
        pytest.raises(OtherRunError, match=r"belongs to the scenario 'iris', but .* says 'xor'"),
    ):
        check_origin(IRIS, path)


def test_outside_of_a_run_records_of_any_run_can_be_read(tmp_path):
    path = tmp_path / "splits.jsonl"
    records = kept(path)
    assert origin() is None
    assert read_lines(path) == records


@pytest.mark.parametrize("depth", [101, 500, 990, 1000, 100_000])
@pytest.mark.parametrize("begin", ["[", '{"a": '])
def test_what_is_nested_deeper_than_anything_here_is_refused(depth, begin):
    end = {"[": "]"}.get(begin, "}")
    with pytest.raises(ValueError, match="nested at most 100 levels deep"):
        parse(begin * depth + "0" + end * depth)
    assert parse(begin * 99 + "0" + end * 99)


@given(st.binary(max_size=40) | st.text(max_size=20))
def test_whatever_is_no_json_is_refused_in_one_way(content):
    with suppress(ValueError):
        parse(content)
