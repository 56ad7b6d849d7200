"""A run in chunks: what is on disk when it is stopped, and that it goes on to the same end."""

import io
import os
import pickle
from contextlib import contextmanager

import numpy as np
import pytest

import eventsim as es
from scenarios.microcircuit import chunks
from scenarios.microcircuit.config import MicrocircuitOptions
from scenarios.microcircuit.model import POPULATIONS
from scenarios.microcircuit.network import build
from scenarios.running.console.progress import SILENT
from scenarios.running.records import OtherRunError, belonging_to

CONFIG = MicrocircuitOptions(scale=0.01, duration=88.0, start="original")
NETWORK = build(CONFIG)


class StoppedError(Exception):
    """Stands for a kill."""


class Stopping:
    """Progress that stops the run after some chunks, and counts them."""

    def __init__(self, after):
        self.after, self.told = after, []

    def compiling(self):
        return SILENT.compiling()

    @contextmanager
    def task(self, total, done=0):
        assert (total, done % 20) == (88, 0)

        def tell(now, metrics):
            assert metrics["speed"] > 0.0
            self.told.append(now)
            if len(self.told) == self.after:
                raise StoppedError

        yield tell


@pytest.fixture(autouse=True)
def _short_chunks(monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", 20.0)
    monkeypatch.setattr(chunks, "WARM_UP", 0.0)


def fresh():
    """Build the network once more, as another session does."""
    return build(CONFIG)


def go_on(folder, after=99, network=lambda: NETWORK):
    """Run until the end, or until so many chunks are done; return the times told."""
    progress = Stopping(after)
    try:
        chunks.run(network, CONFIG.duration, 1, folder, progress)
    except StoppedError:
        assert len(progress.told) == after
    return progress.told


@pytest.fixture(scope="module")
def whole():
    """Return a run that nobody stops, of which all is kept."""
    net, initial = NETWORK
    return es.simulate(net, {}, CONFIG.duration, engine="windows", initial=initial)


def assert_whole(folder, whole):
    found = list(chunks.load(folder))
    assert [float(chunk["t_stop"]) for chunk in found] == [20.0, 40.0, 60.0, 80.0, 88.0]
    times, indices = (np.concatenate([c[name] for c in found]) for name in ("times", "indices"))
    parts = CONFIG.circuit.parts()
    assert times.size == sum(len(whole.spikes[name]) for name in POPULATIONS) > 20
    for name, part in parts.items():
        own = (part.start <= indices) & (indices < part.stop)
        np.testing.assert_array_equal(times[own], whole.spikes[name].times)
        np.testing.assert_array_equal(indices[own] - part.start, whole.spikes[name].indices)
    assert sorted(path.name for path in folder.iterdir()) == [
        f"spikes-{k:06d}.npz" for k in range(1, 6)
    ]


@pytest.mark.jit
@pytest.mark.parametrize("after", [1, 2, 4])
def test_a_run_that_was_stopped_ends_as_one_that_was_not(tmp_path, whole, after):
    go_on(tmp_path, after)
    assert len(list(chunks.load(tmp_path))) == after  # readable meanwhile
    assert len(list(tmp_path.glob("checkpoint-*.npz"))) <= 2
    assert len(go_on(tmp_path, network=fresh)) == 5 - after
    assert_whole(tmp_path, whole)
    assert go_on(tmp_path) == []


@pytest.mark.jit
def test_what_is_damaged_is_simulated_again_from_where_it_can(tmp_path, whole):
    go_on(tmp_path, 4)
    (tmp_path / "spikes-000004.npz").write_bytes(b"PK")
    with pytest.warns(RuntimeWarning, match="spikes-000004.npz.*simulated again"):
        assert go_on(tmp_path, 1) == [80.0]
    newest = tmp_path / "checkpoint-000004.npz"
    newest.write_bytes(newest.read_bytes()[:-9])
    with pytest.warns(RuntimeWarning, match="checkpoint-000004.npz"):
        assert go_on(tmp_path) == [80.0, 88.0]
    assert_whole(tmp_path, whole)


@pytest.mark.jit
def test_without_a_checkpoint_a_run_begins_anew(tmp_path, whole):
    go_on(tmp_path, 3)
    for path in tmp_path.glob("checkpoint-*.npz"):
        path.unlink()
    assert len(go_on(tmp_path)) == 5
    assert_whole(tmp_path, whole)


@pytest.mark.jit
def test_a_run_killed_as_it_ended_leaves_no_checkpoint(tmp_path, whole):
    go_on(tmp_path)
    (tmp_path / "checkpoint-000004.npz").write_bytes(b"")
    assert go_on(tmp_path) == []
    assert_whole(tmp_path, whole)


@pytest.mark.jit
def test_chunks_of_another_run_are_refused(tmp_path):
    with belonging_to({"scenario": "microcircuit", "config": {"seed": 0}}):
        go_on(tmp_path, 2)
    with (
        belonging_to({"scenario": "microcircuit", "config": {"seed": 1}}),
        pytest.raises(OtherRunError, match="seed = 0"),
    ):
        go_on(tmp_path)


@pytest.mark.parametrize("thing", [os.system, io.open, es.simulate, pickle.loads])
def test_a_checkpoint_makes_nothing_but_arrays_and_results(thing):
    content = pickle.dumps(thing)
    with pytest.raises(pickle.UnpicklingError, match="must not hold"):
        chunks._Reader(io.BytesIO(content), NETWORK[0]).load()


def test_a_dotted_name_leads_nowhere():
    content = b"\x80\x04\x8c\x0feventsim.result\x8c\x08np.array\x93."
    with pytest.raises(pickle.UnpicklingError, match="must not hold"):
        chunks._Reader(io.BytesIO(content), NETWORK[0]).load()


@pytest.mark.jit
def test_a_checkpoint_of_another_version_is_passed_over(tmp_path, whole, monkeypatch):
    go_on(tmp_path, 3)
    monkeypatch.setattr(chunks, "OF_NUMPY", ())
    with pytest.warns(RuntimeWarning, match="checkpoint-00000[23].npz cannot be used"):
        assert len(go_on(tmp_path)) == 5
    assert_whole(tmp_path, whole)
