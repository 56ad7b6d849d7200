"""Networks in files: the same to the bit, whole whatever happens, and refused if they are not."""

from __future__ import annotations

import json
import os
import pickle
import re
import tracemalloc
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

import eventsim as es
from eventsim import storage
from eventsim.model.parameters import NEURON
from tests.helpers.damage import damaged, damages, put


def everything() -> es.Network:
    """Every kind of input, neuron, weights, delays and key that there is."""
    net = es.Network()
    net.add_input("in", 4)
    lasting = es.LIF(tau_syn={"e": [1.0, 2.0, 0.5, 0.1], "s": np.inf, "c": 0.0}, reset=-0.25)
    net.add_population("a", 4, lasting)
    net.connect("in", "a", weights=np.linspace(0.0, 3.0, 16).reshape(4, 4))
    net.add_step_current("step", "a", es.Steps([0.0, 1.0], [0.1, 0.3]), receptor="s")
    net.add_poisson("ext", 2, rate=es.Steps([0.0, 0.5], [[3.0, 1.0], [0.0, 7.0]]), seed=2**64 - 1)
    net.add_regular("clock", 3, interval=0.5, first=[0.0, 0.1, 0.2])
    net.add_population("image", 9, es.LIF(threshold=np.linspace(0.2, 1.0, 9), refractory=0.1))
    net.add_population("pool", 4, es.LIF.earliest())
    net.connect("in", "image", weights=es.Convolution(np.ones((1, 1, 2, 2)), (2, 2), padding=1),
                delays=0.3)  # fmt: skip
    net.connect("image", "pool", weights=es.pooling((1, 3, 3), 2, padding=1))
    net.connect("a", "a", drawn(4, 4), receptor="e")
    net.connect("a", "a", weights=np.full((4, 4), 0.1), delays=np.ones((4, 4)), receptor="c")
    net.connect("ext", "a", weights=[[0.1] * 4] * 2, receptor="c", name="a \ud800\n\0 name")
    multapse = scipy.sparse.coo_array(([0.5, -0.0, 2.0], ([1, 1, 2], [3, 3, 0])), shape=(4, 4))
    net.connect("a", "a", weights=multapse, delays=0.25)
    net.connect("step", "image", weights=np.zeros((2, 9)))
    net.add_regular("late", 1, interval=0.25)
    net.add_input("unused", 7)
    return net.replace(
        weights={("step", "a"): [[0.1] * 4, [1e-17] * 4]}, delays={("step", "a"): 0.5}
    )


def drawn(n_pre: int, n_post: int) -> es.Synapses:
    def late(rng: np.random.Generator, size: int) -> Any:
        return rng.uniform(0.1, 1.0, size)

    return es.fixed_probability(n_pre, n_post, 0.5, weights=0.3, delays=late, seed=1)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "net.npz"
    everything().save(path)
    return path


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file that is written so often that nobody can wait for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield tmp_path_factory.mktemp("scratch") / "other.npz"


def assert_same(one: es.Network, two: es.Network) -> None:
    """`is_same`, and rates and seeds as well."""
    assert one.is_same(two)
    assert one.digest == two.digest


def refused_or_same(path: Path, network: es.Network) -> None:
    """Loading ends in the same network, or in the one error, which names the file."""
    try:
        again = es.Network.load(path)
    except ValueError as error:
        assert_says(error, path)
    else:
        assert_same(again, network)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def assert_says(error: ValueError, path: Path) -> None:
    assert str(error).startswith(str(path))
    assert len(str(error).splitlines()) == 1


def header_of(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as archive:
        return json.loads(archive[storage.HEADER].tobytes())


def forge(path: Path, saved: Path, header: Any = None, **arrays: Any) -> None:
    """Write what `saved` holds with another header, or other arrays, and checksums that fit."""
    with np.load(saved, allow_pickle=False) as archive:
        content = dict(archive)
    if header is not None:
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        content[storage.HEADER] = np.frombuffer(text, np.uint8)
    with path.open("wb") as file:
        np.savez(file, **content | arrays)


# --- round trips ----------------------------------------------------------------------------------


def test_a_network_comes_back_to_the_bit(saved: Path, tmp_path: Path) -> None:
    network, again = everything(), es.Network.load(saved)
    assert_same(again, network)
    assert list(again.projections) == list(network.projections)
    assert list(again.inputs) == list(network.inputs)
    assert all(not p.values.flags.writeable for p in again.projections.values())
    again.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == saved.read_bytes()


@st.composite
def networks(draw: st.DrawFn) -> es.Network:
    """Groups and projections in any order, of any kind."""
    net = es.Network()
    net.add_population("first", 2, es.LIF(tau_syn={"a": 1.0, "b": np.inf}))
    value = st.floats(-1e100, 1e100)
    for number in range(draw(st.integers(0, 5))):
        name = f"{number}{draw(st.text(max_size=2))}"
        pre = draw(st.sampled_from([*net.inputs, *net.populations]))
        post = draw(st.sampled_from(list(net.populations)))
        shape = ({**net.inputs, **net.populations}[pre], net.populations[post])
        kind = draw(st.sampled_from(["input", "population", "poisson", "regular", "step", "dense",
                                     "rule", "sparse"]))  # fmt: skip
        n = draw(st.integers(1, 3))
        if kind == "input":
            net.add_input(name, n)
        elif kind == "population":
            bias = draw(st.one_of(value, st.lists(value, min_size=n, max_size=n)))
            net.add_population(name, n, es.LIF(bias=bias, tau_mem=draw(st.floats(0.1, np.inf))))
        elif kind == "poisson":
            net.add_poisson(name, n, rate=draw(st.floats(0.0, 9.0)), seed=draw(st.integers(0, 99)))
        elif kind == "regular":
            net.add_regular(name, n, interval=draw(st.floats(0.1, 9.0)), first=[0.5] * n)
        elif kind == "step":
            steps = es.Steps(np.arange(n), draw(st.lists(st.floats(-9, 9), min_size=n, max_size=n)))
            net.add_step_current(name, "first", steps, receptor="b")
        elif kind == "dense":
            weights = np.full(shape, draw(value))
            net.connect(pre, post, weights=weights, delays=draw(st.floats(0.0, 1.0)))
        elif kind == "rule":
            net.connect(pre, post, drawn(*shape), name=draw(st.sampled_from([None, name])))
        else:
            entries = draw(st.lists(st.tuples(*(st.integers(0, k - 1) for k in shape))))
            coords = tuple(np.array(entries, dtype=int).reshape(-1, 2).T)
            matrix = scipy.sparse.coo_array((np.arange(len(entries)), coords), shape=shape)
            lags = scipy.sparse.coo_array(
                (np.linspace(0.0, 1.0, len(entries)), coords), shape=shape
            )
            net.connect(pre, post, weights=matrix, delays=lags)
    return net


@given(network=networks())
def test_any_network_comes_back(scratch: Path, network: es.Network) -> None:
    scratch.unlink(missing_ok=True)
    network.save(scratch)
    again = es.Network.load(scratch)
    assert_same(again, network)
    assert list(again.inputs) == list(network.inputs)


@pytest.mark.slow
@pytest.mark.jit
def test_a_run_gives_the_same_bits(saved: Path) -> None:
    stimulus = {"in": es.Spikes([0.1, 0.2, 0.4, 0.4], [0, 1, 2, 3])}
    one, two = (
        es.simulate(network, stimulus, 4.0, engine="scheduler").batch.record
        for network in (everything(), es.Network.load(saved))
    )
    assert one.time.size > 10
    for name in ("time", "neuron", "slope"):
        assert getattr(one, name).tobytes() == getattr(two, name).tobytes()


def test_a_network_of_a_file_can_be_added_to_and_replaced(saved: Path) -> None:
    network = es.Network.load(saved)
    network.connect("in", "a", weights=np.ones((4, 4)))
    assert ("in", "a", 1) in network.projections
    new = network.replace(weights={("in", "a"): np.zeros((4, 4))})
    assert not new.projections["in", "a"].values.any()


def test_what_is_shared_is_stored_once_and_shared_again(tmp_path: Path) -> None:
    net, synapses = es.Network(), drawn(50, 50)
    net.add_population("a", 50, es.LIF())
    net.connect("a", "a", synapses)
    net.connect("a", "a", synapses)
    net.save(tmp_path / "net")
    with np.load(tmp_path / "net") as archive:
        assert len(archive.files) == 1 + 4  # weights, delays, indices and pointers
    first, second = es.Network.load(tmp_path / "net").projections.values()
    assert isinstance(first.delays, scipy.sparse.csr_array)
    assert np.shares_memory(first.weights.indices, first.delays.indices)
    assert np.shares_memory(first.values, second.values)


def test_the_file_of_a_million_equal_sources_is_small(tmp_path: Path) -> None:
    net = es.Network()
    net.add_regular("clock", 10**6, interval=0.5)
    net.save(tmp_path / "net")
    assert (tmp_path / "net").stat().st_size < 2000
    assert_same(es.Network.load(tmp_path / "net"), net)


def test_the_header_says_what_the_file_is(saved: Path) -> None:
    header = header_of(saved)
    assert header["format"] == "eventsim network"
    assert header["version"] == 1
    assert re.match(r"\d+\.\d+", header["eventsim"])


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["net", "net.npz", "net.bin", "a b.npz"])
@pytest.mark.parametrize("kind", [str, Path])
def test_a_file_has_the_name_that_was_given(
    tmp_path: Path, name: str, kind: Callable[[Path], Any]
) -> None:
    everything().save(kind(tmp_path / name))
    assert files(tmp_path) == [name]
    assert_same(es.Network.load(kind(tmp_path / name)), everything())


def test_a_link_goes_on_to_lead_to_the_file(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    link.symlink_to(target)
    everything().save(link)
    assert link.is_symlink()
    assert_same(es.Network.load(target), everything())


@pytest.mark.parametrize("moment", ["savez", "fsync", "replace"])
def test_an_interruption_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    path = tmp_path / "net.npz"
    everything().save(path)

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    owner: Any = {"savez": np, "fsync": os, "replace": Path}[moment]
    with monkeypatch.context() as patch:
        patch.setattr(owner, moment, die)
        with pytest.raises(KeyboardInterrupt):
            es.Network().save(path)
    assert files(tmp_path) == ["net.npz"]
    assert_same(es.Network.load(path), everything())


NOWHERE: list[tuple[Any, str]] = [
    ("none/net.npz", "must be in a folder that exists"),
    ("file/net.npz", "must be in a folder that exists"),
    (".", "must be a regular file, or a new one"),
    ("/dev/null", "must be a regular file, or a new one"),
    ("a" * 300, "must be the name of a file"),
    ("\ud800", "must be the name of a file"),
    (b"net.npz", "must be the name of a file"),
    (3, "must be the name of a file"),
    ("", "must be the name of a file"),
    ("a\0b", "must be the name of a file"),
]


@pytest.mark.parametrize(("path", "message"), NOWHERE)
def test_where_no_file_can_be_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: Any, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=f"path {message}.*, got "):
        everything().save(path)
    assert files(tmp_path) == ["file"]


def test_a_name_may_be_as_long_as_the_system_takes_it(tmp_path: Path) -> None:
    path = tmp_path / ("a" * os.pathconf(tmp_path, "PC_NAME_MAX"))
    everything().save(path)
    assert_same(es.Network.load(path), everything())


def test_a_part_of_a_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a file needs all synapses .* part \(0, 2\) alone"):
        es.Network(part=(0, 2)).save(tmp_path / "net.npz")
    assert files(tmp_path) == []


# --- what is no network ---------------------------------------------------------------------------


def changed(header: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {**header, **values}


FOREIGN: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no text": (lambda _: b"\xff", "codec can't decode"),
    "no JSON": (lambda _: b"{", "Expecting property name"),
    "deep": (lambda _: b"[" * 100_000, "recursion"),
    "a long number": (lambda _: b"[" + b"1" * 5000 + b"]", "digits"),
    "a list": (lambda _: [], "must say that it is an 'eventsim network', got \\[\\]"),
    "another format": (lambda h: changed(h, format="x"), "must say that it is an"),
    "a later version": (
        lambda h: changed(h, version=2, eventsim="9.9"),
        "it was written by eventsim '9.9', in version 2 of the format; eventsim .* reads version 1",
    ),
    "version 0": (lambda h: changed(h, version=0), "version of the format .*, got 0"),
    "no calls": (lambda h: changed(h, calls=None), "calls must be a list, got None"),
    "another call": (
        lambda h: changed(h, calls=[["save", {"path": "x"}]]),
        "a call must be one of add_input, .*, got 'save'",
    ),
    "other arguments": (
        lambda h: changed(h, calls=[["add_input", {"name": "x", "n": 1, "m": 3}]]),
        "the call add_input .*'m'",
    ),
    "an array that is not there": (
        lambda h: changed(h, calls=[["add_input", {"name": "x", "n": {"array": "array99"}}]]),
        "it must hold the array 'array99'",
    ),
    "NaN": (
        lambda h: changed(
            h, calls=[["add_regular", {"name": "x", "n": 1, "interval": float("nan")}]]
        ),
        "interval must be finite.*, got nan",
    ),
    "a name twice": (lambda h: changed(h, calls=[["add_input", {"name": "x", "n": 1}]] * 2), "new"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_header_that_is_none_of_ours_is_refused_in_words(
    tmp_path: Path, saved: Path, name: str
) -> None:
    make, message = FOREIGN[name]
    path = tmp_path / "net.npz"
    forge(path, saved, make(header_of(saved)))
    with pytest.raises(ValueError, match=f"net.npz cannot be used: .*{message}.*; expected") as it:
        es.Network.load(path)
    assert_says(it.value, path)


class Evil:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def archive_of(path: Path, **arrays: Any) -> None:
    with path.open("wb") as file:
        np.savez(file, **arrays)


FILES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "nothing": (lambda path: path.touch(), "File is not a zip file"),
    "a text": (lambda path: path.write_text("weights: 3\n"), "File is not a zip file"),
    "a pickle": (
        lambda path: path.write_bytes(pickle.dumps(Evil(path.parent / "evil"))),
        "File is not a zip file",
    ),
    "a pickle inside": (
        lambda path: archive_of(path, header=np.array([Evil(path.parent / "evil")])),
        "'header.npy' is no array of numbers",
    ),
    "another archive": (lambda path: archive_of(path, W=np.ones(3)), "it has no header, but .*W"),
    "a header of floats": (lambda path: archive_of(path, header=np.ones(3)), "it has no header"),
    "a folder": (lambda path: path.mkdir(), "is no regular file"),
    "a pipe": (os.mkfifo, "is no regular file"),
    "no file": (Path.absolute, "No such file"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_network_is_refused_and_not_run(tmp_path: Path, name: str) -> None:
    make, message = FILES[name]
    path = tmp_path / "net.npz"
    make(path)
    with pytest.raises(ValueError, match=f"{message}.*; expected") as caught:
        es.Network.load(path)
    assert_says(caught.value, path)
    assert not (tmp_path / "evil").exists()


def place_of(header: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        header = header[key]
    return header


BROKEN: dict[str, tuple[str, tuple[Any, ...], Callable[[Any], Any], str]] = {
    "weights NaN": ("weights", (), lambda w: w * np.nan, "weights must be finite.*, got nan"),
    "weights of another shape": ("weights", (), lambda w: w[1:], r"weights must have shape"),
    "weights of complex numbers": ("weights", (), lambda w: w * 1j, "weights must be real"),
    "delays negative": ("delays", (), lambda d: -d, "delays must be >= 0, got -"),
    "delays 0 of charges": ("delays", (), lambda d: 0 * d, r"delays of charges .* must be > 0"),
    "a target out of range": (
        "synapses", ("Synapses", "weights", "sparse", "indices"), lambda i: i + 4, "sound"
    ),
    "a target below 0": (
        "synapses", ("Synapses", "weights", "sparse", "indices"), lambda i: i - 4, "sound"
    ),
    "targets out of order": (
        "synapses", ("Synapses", "delays", "sparse", "indices"), lambda i: i[::-1], "ascending"
    ),
    "a pointer out of range": (
        "synapses", ("Synapses", "weights", "sparse", "indptr"), lambda p: p * 9, ""
    ),
    "too few weights": (
        "synapses", ("Synapses", "weights", "sparse", "data"), lambda w: w[1:], ""
    ),
    "sparse weights infinite": (
        "synapses", ("Synapses", "weights", "sparse", "data"), lambda w: w * np.inf, "weights must"
    ),
    "sparse delays negative": (
        "synapses", ("Synapses", "delays", "sparse", "data"), lambda d: -d, "delays must be >= 0"
    ),
    "a kernel NaN": ("weights", ("Convolution", "kernel"), lambda k: k * np.nan, "kernel must"),
    "rates negative": ("rate", ("Steps", "values"), lambda r: -1 - r, "rate must be >= 0, got -"),
    "steps that do not ascend": ("rate", ("Steps", "times"), lambda t: 0 * t, "times must ascend"),
    "time constants negative": (
        "neuron", ("LIF", "tau_syn", "dict", 0, 1), lambda tau: -tau, "must be >= 0, got -1.0"
    ),
    "thresholds below the reset": (
        "neuron", ("LIF", "threshold"), lambda theta: theta - 9, "threshold must"
    ),
    "steps NaN": ("times", (), lambda t: t * np.nan, "times must be finite.*, got nan"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_an_array_that_breaks_a_rule_is_refused_by_that_rule(
    tmp_path: Path, saved: Path, name: str
) -> None:
    argument, within, change, message = BROKEN[name]
    path, header = tmp_path / "net.npz", header_of(saved)
    for _, arguments in header["calls"]:
        try:
            array = place_of(arguments, (argument, *within, "array"))
        except (KeyError, TypeError, IndexError):
            continue
        break
    with np.load(saved) as archive:
        broken = change(archive[array])
    forge(path, saved, **{array: broken})
    with pytest.raises(ValueError, match=f"net.npz cannot be used: .*{message}.*; exp") as caught:
        es.Network.load(path)
    assert_says(caught.value, path)


# --- attacks --------------------------------------------------------------------------------------


@given(damage=damages)
def test_damage_is_refused_or_without_effect(scratch: Path, saved: Path, damage: Any) -> None:
    put(scratch, damaged(saved.read_bytes(), damage))
    refused_or_same(scratch, everything())


@given(share=st.floats(0.0, 1.0, exclude_max=True))
def test_a_file_that_is_cut_short_is_refused(scratch: Path, saved: Path, share: float) -> None:
    content = saved.read_bytes()
    put(scratch, content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"other\.npz cannot be read: ") as caught:
        es.Network.load(scratch)
    assert_says(caught.value, scratch)


ODD: list[Any] = [
    None, True, -1, 0, 1, 3, 2**31 - 1, 2**31, 2**70, 0.5, -1e300, 1e999, "", "in", "a", "x", [],
    {}, [[]], [1, 2], ["a", 1], {"array": "array0"}, {"array": "array9"}, {"array": 3},
    {"array": "header"}, {"float": "inf"}, {"float": "-inf"}, {"float": "nan"}, {"float": []},
    {"LIF": {}}, {"LIF": []}, {"dict": [["a", 1.0]]}, {"dict": []}, {"dict": 3},
    {"dict": [[[], 1]]}, {"sparse": {}}, {"Synapses": {"weights": None, "delays": None}},
    {"Synapses": {"weights": [[1.0]], "delays": 0.0}}, {"Steps": {"times": 0, "values": "x"}},
    {"Convolution": {"kernel": 0, "image": 0, "stride": 0, "padding": 0}}, {"os.system": "ls"},
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all values in nested lists and dicts."""
    inner: Any = {list: enumerate, dict: dict.items}.get(type(value), lambda _: ())(value)
    return [path] * bool(path) + [p for key, part in inner for p in places(part, (*path, key))]


@given(data=st.data())
def test_a_forged_header_is_refused_or_a_network(
    scratch: Path, saved: Path, data: st.DataObject
) -> None:
    header = header_of(saved)
    for _ in range(data.draw(st.integers(1, 3))):
        *path, last = data.draw(st.sampled_from(places(header)))
        owner = place_of(header, tuple(path))
        action = data.draw(st.sampled_from(["replace", "copy", "remove"]))
        if action == "remove":
            del owner[last]
        elif action == "copy":
            owner[last] = deepcopy(place_of(header, data.draw(st.sampled_from(places(header)))))
        else:
            owner[last] = deepcopy(data.draw(st.sampled_from(ODD)))
    scratch.unlink(missing_ok=True)
    forge(scratch, saved, header)
    refused_or_a_network(scratch)


@given(data=st.data())
def test_forged_arrays_are_refused_or_a_network(
    scratch: Path, saved: Path, data: st.DataObject
) -> None:
    with np.load(saved) as archive:
        names = [name for name in archive.files if name != storage.HEADER]
        name, other = (data.draw(st.sampled_from(names)) for _ in range(2))
        array, odd = archive[name].copy(), archive[other]
    kind = data.draw(st.sampled_from(["value", "other", "type", "shape", "order", "size"]))
    if kind == "value":
        value = data.draw(st.sampled_from([-1, 0, 2**31 - 1, 7]))
        array.flat[data.draw(st.integers(0, array.size - 1))] = value
    elif kind == "other":
        array = odd
    elif kind == "type":
        array = array.astype(data.draw(st.sampled_from([bool, "i1", "u8", ">f8", "f2", "c16"])))
    elif kind == "shape":
        array = data.draw(st.sampled_from([array[None], array[..., None], array.ravel()]))
    elif kind == "order":
        array = np.asfortranarray(array)[..., ::-1]
    else:
        array = np.resize(array, data.draw(st.sampled_from([(), (0,), (1,), (2**10,), (0, 2**40)])))
    scratch.unlink(missing_ok=True)
    forge(scratch, saved, **{name: array})
    refused_or_a_network(scratch)


def refused_or_a_network(path: Path) -> None:
    """Loading ends in a network that can be saved and loaded again, or in the one error."""
    try:
        network = es.Network.load(path)
    except ValueError as error:
        assert_says(error, path)
    else:
        network.save(path)
        content = path.read_bytes()
        es.Network.load(path).save(path)
        assert path.read_bytes() == content


LIF_OF_ONE = {"LIF": {**{p.name: p.default for p in NEURON}, "tau_syn": {"float": "inf"}}}
STEP = {"name": "s", "post": "x", "times": {"array": "zero"}, "weights": {"array": "zero"},
        "delays": 0.0, "receptor": None}  # fmt: skip
HUGE: dict[str, list[Any]] = {
    "input": [["add_input", {"n": 2**31 - 40}]],
    "population": [["add_population", {"n": 2**31 - 40, "neuron": LIF_OF_ONE}]],
    "regular": [["add_regular", {"n": 2**31 - 40, "interval": 0.5, "first": 0.0}]],
    "poisson": [["add_poisson", {"n": 2**31 - 40, "rate": 0.5, "seed": 1}]],
    "step current": [["add_population", {"n": 2**31 - 40, "neuron": LIF_OF_ONE}],
                     ["add_steps", STEP]],
}  # fmt: skip


@pytest.mark.parametrize("kind", HUGE)
def test_numbers_in_a_header_take_no_memory(tmp_path: Path, saved: Path, kind: str) -> None:
    path = tmp_path / "net.npz"
    calls = [[name, {"name": "x", **given}] for name, given in HUGE[kind]]
    forge(path, saved, changed(header_of(saved), calls=calls), zero=np.zeros(1))
    tracemalloc.start()
    try:
        refused_or_a_network(path)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()
