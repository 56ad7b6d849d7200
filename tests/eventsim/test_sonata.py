"""Spikes in SONATA files: the same to the bit, read by libsonata, and refused if damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eventsim as es
from eventsim import sonata
from tests.helpers.damage import damaged, damages, put
from tests.helpers.spike_files import assert_same, refused_or_read, runs, unsynced

h5py = pytest.importorskip("h5py", reason="SONATA files need h5py")

SPIKES = {"E": es.Spikes([0.5, 0.1, 0.5], [2, 0, 2]), "I": es.Spikes([], [])}
NAMES = st.sampled_from(["E", "in", "ä b", "..", "a.b"])


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with unsynced():
        yield tmp_path_factory.mktemp("sonata") / "spikes.h5"


def read(path: Path, unit: str = "ms") -> dict[str, es.Spikes]:
    return sonata.read_spikes(path, unit=unit)


@given(spikes=runs(NAMES))
def test_what_is_written_is_read_back(path: Path, spikes: dict[str, es.Spikes]) -> None:
    sonata.write_spikes(path, spikes, unit="ms")
    found = read(path)
    assert_same({name: found[name] for name in spikes}, spikes)
    assert len(found) == len(spikes)


@pytest.mark.parametrize(("unit", "factor"), [("s", 1e-3), ("ms", 1.0), ("us", 1e3), ("ns", 1e6)])
def test_files_are_in_ms_whatever_the_unit_of_the_network(
    path: Path, unit: str, factor: float
) -> None:
    sonata.write_spikes(path, {"E": es.Spikes([0.5 * factor], [3])}, unit=unit)
    with h5py.File(path) as file:
        assert file["spikes/E/timestamps"][()].tolist() == [0.5]
        assert file["spikes/E/timestamps"].attrs["units"] == b"ms"
    assert read(path, unit)["E"].times.tolist() == [0.5 * factor]


def test_libsonata_reads_what_is_written(path: Path) -> None:
    libsonata = pytest.importorskip("libsonata", reason="reads our SONATA files")
    sonata.write_spikes(path, SPIKES, unit="ms")
    reader = libsonata.SpikeReader(str(path))
    assert sorted(reader.get_population_names()) == ["E", "I"]
    assert reader["E"].get() == [(0, 0.1), (2, 0.5), (2, 0.5)]
    assert reader["E"].get(tstart=0.2) == [(2, 0.5), (2, 0.5)]
    assert (reader["E"].sorting, reader["E"].time_units) == ("by_time", "ms")
    assert reader["I"].get() == []


def group(file: Any, times: Any, ids: Any, ids_name: str = "node_ids") -> Any:
    file.create_dataset("timestamps", data=times)
    file.create_dataset(ids_name, data=ids)
    return file


def foreign(path: Path, make: Callable[[Any], Any]) -> Path:
    path.unlink(missing_ok=True)
    with h5py.File(path, "w") as file:
        make(file)
    return path


def of_libsonata(file: Any) -> None:
    """As the examples of SONATA are: an enumerated type for the order, and none of ours."""
    kind = h5py.enum_dtype({"none": 0, "by_id": 1, "by_time": 2}, basetype="i4")
    spikes = group(file.create_group("spikes/E"), [0.1, 0.5, 0.5], np.array([0, 2, 2], np.uint64))
    spikes.attrs.create("sorting", 1, dtype=kind)
    spikes["timestamps"].attrs["units"] = np.bytes_("milliseconds")


def of_bmtk(file: Any) -> None:
    spikes = group(file.create_group("spikes/E"), [0.5, 0.1, 0.5], np.array([2, 0, 2], np.uint32))
    spikes.attrs["sorting"] = "none"


def in_seconds(file: Any) -> None:
    group(file.create_group("spikes/E"), np.array([0.5e-3, 0.1e-3, 0.5e-3]), [2, 0, 2])
    file["spikes/E/timestamps"].attrs["units"] = "s"


def compressed(file: Any) -> None:
    spikes = file.create_group("spikes/E")
    spikes.create_dataset("timestamps", data=[0.1, 0.5, 0.5], compression="gzip", shuffle=True)
    spikes.create_dataset("node_ids", data=np.array([0, 2, 2], ">i2"), chunks=(2,))


@pytest.mark.parametrize("make", [of_libsonata, of_bmtk, in_seconds, compressed])
def test_files_of_others_are_read(path: Path, make: Callable[[Any], Any]) -> None:
    assert_same(read(foreign(path, make)), {"E": SPIKES["E"]})


def test_the_old_layout_is_read_under_the_name_that_is_given(path: Path) -> None:
    foreign(path, lambda file: group(file.create_group("spikes"), [0.5, 0.1], [2, 0], "gids"))
    found = sonata.read_spikes(path, unit="ms", population="E")
    assert_same(found, {"E": es.Spikes([0.1, 0.5], [0, 2])})


def elsewhere(file: Any) -> None:
    file.create_group("spikes")["E"] = h5py.ExternalLink("other.h5", "/spikes/E")


def raw(file: Any) -> None:
    spikes = file.create_group("spikes/E")
    spikes.create_dataset("node_ids", data=[0])
    spikes.create_dataset("timestamps", (1,), "f8", external=[("/etc/hostname", 0, 8)])


def huge(file: Any) -> None:
    spikes = file.create_group("spikes/E")
    for name in ("timestamps", "node_ids"):
        spikes.create_dataset(name, (10**12,), "u8", chunks=(1024,))


def with_units(units: Any) -> Callable[[Any], None]:
    def make(file: Any) -> None:
        group(file.create_group("spikes/E"), [0.5], [0])["timestamps"].attrs["units"] = units

    return make


def with_spikes(times: Any, ids: Any) -> Callable[[Any], None]:
    return lambda file: group(file.create_group("spikes/E"), times, ids)


BROKEN: dict[str, tuple[Callable[[Any], Any], str]] = {
    "another file": (lambda file: file.create_group("nodes"), "'/' must have the group 'spikes'"),
    "no group": (
        lambda file: file.create_dataset("spikes", data=[1.0]), "'/' must have the group 'spikes'"
    ),
    "a dataset": (
        lambda file: file.create_dataset("spikes/E", data=[1.0]),
        "'/spikes' must have the group 'E'",
    ),
    "no times": (
        lambda file: file.create_dataset("spikes/E/node_ids", data=[1]),
        "population 'E': '/spikes/E' must have the dataset 'timestamps', got ['node_ids']",
    ),
    "old, without times": (
        lambda file: file.create_dataset("spikes/gids", data=[1]),
        "population 'default': '/spikes' must have the dataset 'timestamps'",
    ),
    "a name of two lines": (
        lambda file: file.create_group("spikes/a\nb"),
        "population 'a\\nb': '/spikes/a\\nb' must have the dataset 'node_ids', got []",
    ),
    "no name": (
        lambda file: h5py.h5g.create(file.create_group("spikes").id, b"\xff"), "can't decode"
    ),
    "a circle": (
        lambda file: file.create_group("spikes").update(E=file["spikes"]),
        "'/spikes/E' must have the dataset 'node_ids'",
    ),
    "a link to itself": (
        lambda file: file.create_group("spikes").update(E=h5py.SoftLink("/spikes/E")),
        "too many links",
    ),
    "a link": (elsewhere, "'/spikes' must have the group 'E'"),
    "raw bytes elsewhere": (raw, "timestamps must lie in the file"),
    "huge": (huge, "node_ids must have at most 2147483648 bytes, got 8000000000000"),
    "hours": (with_units("h"), "population 'E': units of the timestamps must be s, ms, us or ns"),
    "a number as unit": (with_units(3), "units of the timestamps must be s, ms, us or ns"),
    "two units": (with_units(["ms", "s"]), "units of the timestamps must be s, ms, us or ns"),
    "bytes as unit": (with_units(np.bytes_(b"\xff")), "population 'E': "),
    "NaN": (with_spikes([0.5, np.nan], [0, 1]), "population 'E': times must be finite, got nan"),
    "infinite": (with_spikes([np.inf], [0]), "population 'E': times must be finite, got inf"),
    "negative": (with_spikes([-0.5], [0]), "population 'E': times must be >= 0, got -0.5"),
    "negative id": (with_spikes([0.5], [-3]), "population 'E': indices must be >= 0, got -3"),
    "a large id": (with_spikes([0.5], np.array([2**63], "u8")), "indices must be < 2**63"),
    "fewer ids": (with_spikes([0.5, 1.0], [0]), "must be (n_spikes,), got (2,) and (1,)"),
    "a matrix": (with_spikes([[0.5]], [0]), "timestamps must be a list of numbers, got (1, 1) of"),
    "names as ids": (with_spikes([0.5], ["a"]), "node_ids must be a list of numbers, got (1,) of"),
    "floats as ids": (with_spikes([0.5], [1.0]), "node_ids must be a list of numbers"),
    "complex times": (with_spikes([0.5j], [1]), "timestamps must be a list of numbers"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_file_of_spikes_is_refused(path: Path, name: str) -> None:
    make, message = BROKEN[name]
    foreign(path, make)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        read(path)
    assert message in str(caught.value)
    assert refused_or_read(path, read) is None


@pytest.mark.parametrize("content", [b"", b"x", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" * 99])
def test_what_is_no_hdf5_is_refused(path: Path, content: bytes) -> None:
    put(path, content)
    assert refused_or_read(path, read) is None


@given(damage=damages)
def test_damage_is_refused_or_without_effect(path: Path, damage: Any) -> None:
    sonata.write_spikes(path, SPIKES, unit="ms")
    put(path, damaged(path.read_bytes(), damage))
    found = refused_or_read(path, read)
    if found is not None:
        assert_same(found, SPIKES)


def test_nothing_in_a_file_is_without_a_checksum(path: Path) -> None:
    sonata.write_spikes(path, SPIKES, unit="ms")
    content = path.read_bytes()
    for place in range(0, len(content), 5):
        put(path, content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :])
        assert refused_or_read(path, read) is None, place


@given(share=st.floats(0.0, 1.0, exclude_max=True))
def test_a_file_that_is_cut_short_is_refused(path: Path, share: float) -> None:
    sonata.write_spikes(path, SPIKES, unit="ms")
    content = path.read_bytes()
    put(path, content[: int(share * len(content))])
    assert refused_or_read(path, read) is None


@pytest.mark.parametrize("name", ["a/b", "/", "."])
def test_a_name_that_would_be_a_path_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="spikes must have names without a /, got "):
        sonata.write_spikes(tmp_path / "a.h5", {name: es.Spikes([], [])}, unit="ms")
    assert not list(tmp_path.iterdir())


def test_a_time_that_is_too_large_in_ms_is_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    with pytest.raises(ValueError, match=r"times must be finite in ms, got 1e\+306"):
        sonata.write_spikes(tmp_path / "a.h5", {"E": es.Spikes([0.5, 1e306], [0, 0])}, unit="s")
    assert not list(tmp_path.iterdir())


def test_an_interruption_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "spikes.h5"
    sonata.write_spikes(path, SPIKES, unit="ms")

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            sonata.write_spikes(path, {}, unit="ms")
    assert [each.name for each in tmp_path.iterdir()] == ["spikes.h5"]
    assert_same(read(path), SPIKES)


def test_without_h5py_the_error_says_how_to_install_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "h5py", None)
    for call in (lambda: read(path), lambda: sonata.write_spikes(path, SPIKES, unit="ms")):
        with pytest.raises(ImportError, match=r"needs h5py, .* pip install 'eventsim-snn\[io\]'"):
            call()
