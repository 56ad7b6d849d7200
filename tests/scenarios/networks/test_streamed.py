"""Runs whose spikes go to a folder, chunk by chunk, and which go on after the last one."""

import io
import os
import pickle
import re
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eventsim as es
from scenarios.networks import streamed
from scenarios.networks.streamed import Streamed, pickled, unpickled
from scenarios.running.checkpoint import save_of_run
from scenarios.running.console.progress import SILENT
from scenarios.running.records import OtherRunError, belonging_to
from tests.helpers import stopping
from tests.helpers.resuming import KilledError, assert_same_arrays
from tests.helpers.strategies import examples

pytestmark = pytest.mark.jit
T_STOP = 20.0
Built = tuple[es.Network, dict[str, es.State]]


@pytest.fixture(autouse=True)
def _short_warm_up(monkeypatch):
    monkeypatch.setattr(streamed, "WARM_UP", 0.5)


def network(tau_syn: float = 0.0, seed: int = 0) -> es.Network:
    """Two populations that excite each other, late, under a drive."""
    net = es.Network()
    for name, n in (("A", 7), ("B", 3)):
        net.add_population(name, n, es.LIF(5.0, tau_syn, 1.0, 0.5))
        net.add_poisson(f"to {name}", n, rate=1.0, seed=seed)
        net.connect(f"to {name}", name, es.one_to_one(n, n, weights=0.4 if tau_syn == 0.0 else 0.8))
    net.connect("A", "B", es.fixed_indegree(7, 3, 4, weights=0.2, delays=1.5, seed=seed))
    net.connect("B", "A", es.fixed_indegree(3, 7, 2, weights=-0.1, delays=0.7, seed=seed))
    return net


def spikes_of(arrays):
    """Spikes by time, which chunks do not keep across populations."""
    order = np.lexsort((arrays["indices"], arrays["times"]))
    return {name: arrays[name][order] for name in ("times", "indices")}


def built(tau_syn: float = 0.0) -> Built:
    """The network once more, and where its neurons begin."""
    return network(tau_syn), {"A": es.State(np.linspace(-1.0, 0.9, 7))}


def run_of(folder: Path, chunk: float = 4.0, tau_syn: float = 0.0, threads: int = 1) -> Streamed:
    return Streamed(partial(built, tau_syn), T_STOP, chunk, folder, threads)


class Killing:
    """Progress that kills the run when so many chunks are done, and keeps what it is told."""

    def __init__(self, after: int):
        self.after, self.told = after, []

    def compiling(self):
        return SILENT.compiling()

    @contextmanager
    def task(self, total, done=0):
        assert (total, done <= total) == (20, True)

        def tell(now, metrics):
            assert metrics["speed"] > 0.0
            if len(self.told) == self.after:
                raise KilledError
            self.told.append(now)

        yield tell


def whole_run(tau_syn: float = 0.0):
    net, initial = built(tau_syn)
    result = es.simulate(net, {}, T_STOP, engine="windows", initial=initial)
    spikes = result.spikes
    return spikes_of(
        {
            "times": np.concatenate([spikes["A"].times, spikes["B"].times]),
            "indices": np.concatenate([spikes["A"].indices, spikes["B"].indices + 7]),
        }
    )


@examples(0.1)
@given(
    chunk=st.floats(2.0, 25.0),
    kills=st.lists(st.integers(0, 4), max_size=3),
    tau_syn=st.sampled_from([0.0, 0.5]),
    threads=st.sampled_from([1, 2]),
)
def test_a_run_that_is_killed_goes_on_to_the_same_bits(chunk, kills, tau_syn, threads):
    with TemporaryDirectory() as folder:
        for kill in kills:
            with suppress(KilledError):
                run_of(Path(folder), chunk, tau_syn, threads).run(Killing(kill))
        found = run_of(Path(folder), chunk, tau_syn, threads).run(SILENT)
        files = {path.name for path in Path(folder).iterdir()}
    expected = whole_run(tau_syn)
    assert expected["times"].size > 20
    assert_same_arrays(spikes_of(found), expected)
    assert found["seconds"] > 0.0
    assert found["memory"] > 10**6
    assert files == {f"spikes-{k:06d}.npz" for k in range(1, 1 + int(np.ceil(T_STOP / chunk)))}


@examples(0.1)
@given(st.integers(0, 80))
def test_a_run_that_is_killed_at_any_operation_on_files_goes_on(stop):
    with TemporaryDirectory() as folder:
        with suppress(stopping.KilledError), stopping.Disk(stop).watched():
            run_of(Path(folder)).run(SILENT)
        found = run_of(Path(folder)).run(SILENT)
        files = {path.name for path in Path(folder).glob("*.npz")}
    assert_same_arrays(spikes_of(found), whole_run())
    assert files == {f"spikes-{k:06d}.npz" for k in range(1, 6)}


def interrupted(folder: Path, chunks: int = 2) -> Streamed:
    """A run of five chunks of which so many are done."""
    with pytest.raises(KilledError):
        run_of(folder).run(Killing(chunks - 1))
    kept = sorted(path.name for path in folder.glob("checkpoint-*"))
    assert kept == [f"checkpoint-{k:06d}.npz" for k in range(1, chunks + 1)][-2:]
    assert len(list(folder.glob("spikes-*"))) == chunks
    return run_of(folder)


def test_an_interrupted_run_leaves_spikes_that_can_be_read(tmp_path):
    interrupted(tmp_path)
    for number, begin in ((1, 0.0), (2, 4.0)):
        with np.load(tmp_path / f"spikes-{number:06d}.npz") as chunk:
            assert chunk["times"].size == chunk["indices"].size > 0
            assert begin < chunk["times"].min() <= chunk["times"].max() <= begin + 4.0
            assert set(chunk["indices"]) <= set(range(10))
            assert chunk["until"] == begin + 4.0


def test_what_is_done_is_not_done_again(tmp_path, monkeypatch):
    run, progress = interrupted(tmp_path), Killing(99)
    first = run.run(progress)
    assert progress.told == [12.0, 16.0, 20.0]
    monkeypatch.setattr(es, "stream", None)
    again = replace(run, build=None).run(SILENT)  # nor is the network built
    assert_same_arrays(again, first)


@pytest.mark.parametrize(
    ("name", "begin"),
    [
        ("spikes-000001.npz", 0.0),
        ("spikes-000002.npz", 0.0),
        ("spikes-000003.npz", 8.0),
        ("checkpoint-000002.npz", 12.0),
        ("checkpoint-000003.npz", 8.0),
    ],
)
def test_a_damaged_file_costs_time_alone(tmp_path, name, begin):
    """It goes on from the latest state that it can."""
    run, progress = interrupted(tmp_path, 3), Killing(99)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with warned_if(begin < 12.0, f"{name}.*simulated again"):
        found = run.run(progress)
    assert progress.told[0] == begin + 4.0
    assert_same_arrays(spikes_of(found), whole_run())


def warned_if(warns: bool, match: str):
    return pytest.warns(RuntimeWarning, match=match) if warns else nullcontext()


def test_without_a_state_a_run_begins_anew(tmp_path):
    run = interrupted(tmp_path)
    for path in tmp_path.glob("checkpoint-*"):
        path.unlink()
    assert_same_arrays(spikes_of(run.run(SILENT)), whole_run())


def test_a_state_that_cannot_be_read_costs_time_alone(tmp_path):
    run, progress = interrupted(tmp_path), Killing(99)
    newest = tmp_path / "checkpoint-000002.npz"
    save_of_run(newest, {"result": np.frombuffer(pickle.dumps([1, 2]), dtype=np.uint8)})
    with pytest.warns(RuntimeWarning, match=r"checkpoint-000002\.npz.*simulated again"):
        found = run.run(progress)
    assert progress.told[0] == 8.0
    assert_same_arrays(spikes_of(found), whole_run())


def test_files_of_another_run_are_refused(tmp_path):
    with belonging_to({"scenario": "brunel", "config": {"seed": 0}}):
        run = interrupted(tmp_path)
    with (
        belonging_to({"scenario": "brunel", "config": {"seed": 1}}),
        pytest.raises(OtherRunError, match=r"made with seed = 0, but config\.json says"),
    ):
        run.run(SILENT)


class Evil:
    """Runs a command when it is read."""

    def __reduce__(self):
        return os.system, ("exit 1",)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Evil(), "a result and arrays: got posix.system"),
        (es.simulate, "a result and arrays: got eventsim.simulation.simulate"),
        (np.load, "a result and arrays: got numpy.load"),
        (io.open, "a result and arrays: got io.open"),
        ([1, 2], "a result of format 2, got list of format None"),
        ((1, 2), "a result of format 2, got int of format 1"),
    ],
)
def test_a_state_makes_nothing_but_results_and_arrays(value, expected):
    content = np.frombuffer(pickle.dumps(value), dtype=np.uint8)
    with pytest.raises(ValueError, match=re.escape(expected)):
        unpickled(content, network())


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("eventsim.result", "np.memmap"),
        ("eventsim._support.code_files", "Path"),
        ("eventsim._support.code_files", "tempfile.TemporaryDirectory"),
        ("eventsim.nowhere", "Result"),
        ("eventsimilar", "Result"),
    ],
)
def test_a_state_does_not_reach_through_a_module(module, name):
    """Classes that a module has imported for itself may write files when they are called."""
    words = b"".join(b"\x8c" + bytes([len(word)]) + word.encode() for word in (module, name))
    content = np.frombuffer(b"\x80\x04" + words + b"\x93.", dtype=np.uint8)
    with pytest.raises(ValueError, match="a state must hold a result and arrays"):
        unpickled(content, network())


def test_a_state_is_small_and_is_that_of_the_network_given():
    net = network()
    parts = list(es.stream(net, {}, 4.0, chunk=2.0, record=["A", "B"], engine="windows"))
    other = network()
    again = unpickled(pickled(parts[-1]), other)
    assert again.network is other
    assert again.t_stop == 4.0
    assert pickled(parts[-1]).size < 1.5 * pickled(parts[0]).size
