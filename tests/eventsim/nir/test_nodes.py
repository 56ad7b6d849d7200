"""Files of NIR: those of all versions are read, and none is believed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import eventsim as es

nir = pytest.importorskip("nir", reason="the extra io is not installed")
h5py = pytest.importorskip("h5py", reason="the extra io is not installed")

from eventsim.nir import export, load  # noqa: E402  # needs the extra

LIF = {
    "tau": np.full(3, 0.01, np.float32), "r": np.ones(3, np.float32),
    "v_leak": np.zeros(3, np.float32), "v_threshold": np.ones(3, np.float32),
}  # fmt: skip


def written(path: Path, **more: Any) -> Path:
    """A file as older versions wrote it: texts of bytes, no v_reset, edges in any order."""
    with h5py.File(path, "w") as file:
        file["version"] = b"0.1.1"
        file["node/type"] = b"NIRGraph"
        edges = [("lif", "output"), ("fc", "lif"), ("input", "fc")]
        file["node/edges"] = np.array(edges, dtype=h5py.string_dtype())
        nodes = {
            "input": {"type": b"Input", "shape": np.array([2])},
            "fc": {"type": np.bytes_("Affine"), "weight": np.ones((3, 2), np.float32),
                   "bias": np.zeros(3, np.float32)},
            "lif": {"type": "LIF", **LIF},
            "output": {"type": b"Output", "shape": np.array([3])},
        }  # fmt: skip
        for name, fields in nodes.items():
            for field, value in fields.items():
                file[f"node/nodes/{name}/{field}"] = value
        file["node/nodes/lif/metadata/refractory"] = 5.0
        for place, value in more.items():
            key = place.replace("__", "/")
            if key in file:
                del file[key]
            if value is not None:
                file[key] = value
    return path


def test_files_of_old_versions_are_read(tmp_path: Path) -> None:
    network, report = load(written(tmp_path / "old.nir"))
    assert dict(network.inputs) == {"input": 2}
    np.testing.assert_array_equal(network.neurons["lif"].reset, 0.0)
    assert network.neurons["lif"].refractory == 0.0
    tau = float(np.float32(0.01))
    np.testing.assert_array_equal(network.projections["input", "lif"].weights, 1.0 / tau)
    assert len(report) == 4


def test_a_file_and_its_graph_are_the_same_network(tmp_path: Path) -> None:
    path = written(tmp_path / "a.nir")
    again = tmp_path / "b.nir"
    nir.write(again, nir.read(path))
    networks = [load(source)[0] for source in (path, str(again), nir.read(path))]
    assert networks[0].is_same(networks[1])
    assert networks[0].is_same(networks[2])


REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "nothing": (lambda path: path, "is no file"),
    "a folder": (lambda path: path.parent, "is no file"),
    "a pipe": (lambda path: (os.mkfifo(path), path)[1], "is no file"),
    "text": (lambda path: (path.write_text("NIR"), path)[1], "cannot be read as HDF5"),
    "empty": (lambda path: (path.touch(), path)[1], "cannot be read as HDF5"),
    "half": (
        lambda path: (path.write_bytes(written(path).read_bytes()[:5000]), path)[1],
        "cannot be read as HDF5",
    ),
    "no graph": (lambda path: written(path, node=None), "must hold a NIRGraph, got .*version"),
    "one node": (lambda path: written(path, node__type=b"LIF"), "must hold a NIRGraph, got 'LIF'"),
    "no edges": (lambda path: written(path, node__edges=None), "must have nodes and edges"),
    "no type": (
        lambda path: written(path, node__nodes__lif__type=None), "node 'lif' must have a type"
    ),
    "missing field": (
        lambda path: written(path, node__nodes__fc__bias=None),
        r"node 'fc' \(Affine\) must have \['bias'\], got \['weight'\]",
    ),
    "other field": (
        lambda path: written(path, node__nodes__lif__refractory=0.1),
        r"node 'lif' \(LIF\) must have no other fields, got \['refractory'\]",
    ),
    "edge to nowhere": (
        lambda path: written(path, node__edges=texts(("fc", "lof"))),
        "there is no 'lof'",
    ),
    "edges of three": (
        lambda path: written(path, node__edges=texts(("fc", "lif", "output"))),
        "must be pairs of names",
    ),
    "edges of numbers": (lambda path: written(path, node__edges=np.eye(2)), "there is no .*1.0"),
    "NaN": (
        lambda path: written(path, node__nodes__fc__weight=np.full((3, 2), np.nan)),
        r"weight of 'fc' \(Affine\) must be finite, got nan",
    ),
    "a link to another file": (
        lambda path: written(path, node__nodes__fc__weight=h5py.ExternalLink("/etc/x", "y")),
        "must hold all that it names, got a link 'weight'",
    ),
    "a link that goes round": (
        lambda path: written(path, node__nodes__fc__weight=h5py.SoftLink("/node")),
        "must hold all that it names, got a link 'weight'",
    ),
    "a group within itself": (lambda path: within_itself(path), "nested more than 32 deep"),
    "more than there is": (lambda path: promising(path), "at most 2147483648 bytes, got more in"),
    "a heap without an end": (lambda path: endless(path), "has a damaged heap of texts"),
    "values elsewhere": (lambda path: elsewhere(path), "must hold its values itself"),
}  # fmt: skip


def texts(*edges: tuple[str, ...]) -> Any:
    return np.array(edges, dtype=h5py.string_dtype())


def within_itself(path: Path) -> Path:
    with h5py.File(written(path), "a") as file:
        file["node/nodes/again"] = file["node"]
    return path


def promising(path: Path) -> Path:
    with h5py.File(written(path), "a") as file:
        file["node/nodes/fc"].create_dataset("more", (2**40,), "f8", chunks=(2**10,))
    return path


def endless(path: Path) -> Path:
    """A file whose heap of texts goes on with objects of no size, as that library reads it."""
    content = bytearray(written(path).read_bytes())
    place = content.index(b"GCOL") + 16
    while content[place]:  # the number of an object; 0: what is free
        size = int.from_bytes(content[place + 8 : place + 16], "little")
        place += 16 + -(-size // 8) * 8
    content[place + 8 : place + 16] = bytes(8)
    path.write_bytes(content)
    return path


def elsewhere(path: Path) -> Path:
    with h5py.File(written(path), "a") as file:
        file["node/nodes/fc"].create_dataset("more", (4,), "f8", external=[("x", 0, 32)])
    return path


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_graph_is_refused_with_its_path(
    make: Callable[[Path], Any], message: str, tmp_path: Path
) -> None:
    path = make(tmp_path / "file.nir")
    with pytest.raises(ValueError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("missing", ["nir", "h5py"])
def test_where_the_extra_is_missing_the_error_says_how_to_install_it(
    missing: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = written(tmp_path / "a.nir")
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=f"NIR needs {missing}, .*eventsim-snn\\[io\\]"):
        load(path)


def published() -> Path:
    """The folder of published graphs."""
    folder = Path(os.environ.get("EVENTSIM_DATA", "")).parent / "nir"
    if not (folder / "cnn_sinabs.nir").is_file():
        pytest.skip("beside the folder that EVENTSIM_DATA names there are no published graphs")
    return folder


def test_the_published_graphs_are_read() -> None:
    network, _ = load(published() / "cnn_sinabs.nir")
    assert dict(network.populations) == {"1": 4096, "3": 4096, "6": 512, "10": 256, "12": 10}
    forms = {key: type(p.weights) for key, p in network.projections.items()}
    assert forms["input", "1"] is forms["1", "3"] is forms["3", "6"] is es.Convolution
    for name in ("braille", "braille_norse"):
        network, _ = load(published() / f"{name}.nir")
        assert dict(network.populations) == {"lif1.lif": 38, "lif2": 7}
        assert load(export(network))[0].is_same(network)
    with pytest.raises(ValueError, match="there is no 'lif' among"):
        load(published() / "braille_subgraph_malformed.nir")


def test_the_published_table_comes_out() -> None:
    step, table = 1e-4, np.loadtxt(published() / "lif_exact.csv", delimiter=",")
    steps = np.flatnonzero(table[:, 0])
    given = {"input": es.Spikes(steps * step, np.zeros(steps.size, dtype=int))}
    for name in ("lif_norse", "lif_snntorch"):
        network, _ = load(published() / f"{name}.nir", step, step)
        result = es.simulate(network, given, 0.1)
        fired = np.floor(result.spikes["1"].times / step)
        np.testing.assert_array_equal(fired, np.flatnonzero(table[:, 2]))
        potential = np.ravel(result.potential("1", at=step * np.arange(1, 1001)))
        np.testing.assert_allclose(potential, table[:, 1], rtol=0.0, atol=1e-8)
