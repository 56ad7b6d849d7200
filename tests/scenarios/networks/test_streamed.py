"""Runs whose spikes go to a folder, chunk by chunk, and which go on after the last one."""

import os
import pickle
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eventsim as es
from scenarios.networks.streamed import Streamed, pickled, unpickled
from scenarios.running.checkpoint import load_of_run, save_of_run
from scenarios.running.records import OtherRunError, belonging_to
from tests.helpers import stopping
from tests.helpers.resuming import KilledError, assert_same_arrays
from tests.helpers.strategies import examples

pytestmark = pytest.mark.jit
T_STOP = 20.0


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


def ignored(_done, _metrics):
    pass


def killed_after(chunks: int):
    """Tell that kills the run when so many chunks are done."""
    left = [chunks]

    def tell(done, _metrics):
        if done > 0.0:
            left[0] -= 1
        if left[0] < 0:
            raise KilledError

    return tell


def whole_run(net: es.Network):
    result = es.simulate(net, {}, T_STOP, engine="windows")
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
            one = Streamed(network(tau_syn), T_STOP, chunk, Path(folder), threads, "windows")
            try:
                one.run(killed_after(kill))
            except KilledError:
                continue
        last = Streamed(network(tau_syn), T_STOP, chunk, Path(folder), threads, "windows")
        found = last.run(ignored)
        files = {path.name for path in Path(folder).iterdir()}
    expected = whole_run(network(tau_syn))
    assert expected["times"].size > 20
    assert_same_arrays(spikes_of(found), expected)
    assert found["seconds"] > 0.0
    assert files == {f"spikes-{k:06d}.npz" for k in range(1, 1 + int(np.ceil(T_STOP / chunk)))}


@examples(0.1)
@given(st.integers(0, 80))
def test_a_run_that_is_killed_at_any_operation_on_files_goes_on(stop):
    with TemporaryDirectory() as folder:
        try:
            with stopping.Disk(stop).watched():
                Streamed(network(), T_STOP, 4.0, Path(folder), 1, "windows").run(ignored)
        except stopping.KilledError:
            pass
        found = Streamed(network(), T_STOP, 4.0, Path(folder), 1, "windows").run(ignored)
    assert_same_arrays(spikes_of(found), whole_run(network()))


def interrupted(folder: Path, chunks: int = 2) -> Streamed:
    """A run of five chunks of which so many are done."""
    run = Streamed(network(), T_STOP, 4.0, folder, 1, "windows")
    with pytest.raises(KilledError):
        run.run(killed_after(chunks - 1))
    assert (folder / "state.npz").exists()
    assert len(list(folder.glob("spikes-*"))) == chunks
    return Streamed(network(), T_STOP, 4.0, folder, 1, "windows")


def test_an_interrupted_run_leaves_spikes_that_can_be_read(tmp_path):
    interrupted(tmp_path)
    for number, begin in ((1, 0.0), (2, 4.0)):
        with np.load(tmp_path / f"spikes-{number:06d}.npz") as chunk:
            assert chunk["times"].size == chunk["indices"].size > 0
            assert begin < chunk["times"].min() <= chunk["times"].max() <= begin + 4.0
            assert set(chunk["indices"]) <= set(range(10))
            assert chunk["until"] == begin + 4.0


def test_what_is_done_is_not_done_again(tmp_path, monkeypatch):
    run, begun = interrupted(tmp_path), []
    stream = es.stream

    def watched(*arguments, **options):
        begun.append(0.0 if options["resume"] is None else options["resume"].t_stop)
        return stream(*arguments, **options)

    monkeypatch.setattr(es, "stream", watched)
    first = run.run(ignored)
    again = run.run(ignored)
    assert begun == [8.0]
    assert_same_arrays(again, first)


@pytest.mark.parametrize("name", ["spikes-000001.npz", "spikes-000002.npz", "state.npz"])
def test_a_damaged_file_costs_time_alone(tmp_path, name):
    run = interrupted(tmp_path)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.warns(RuntimeWarning, match=f"{name}.*simulated again"):
        found = run.run(ignored)
    assert_same_arrays(spikes_of(found), whole_run(network()))


def test_a_state_that_cannot_be_read_costs_time_alone(tmp_path):
    run = interrupted(tmp_path)
    arrays = load_of_run(tmp_path / "state.npz")
    arrays["result"] = np.frombuffer(pickle.dumps([1, 2]), dtype=np.uint8)
    save_of_run(tmp_path / "state.npz", arrays)
    with pytest.warns(RuntimeWarning, match=r"state\.npz.*simulated again"):
        found = run.run(ignored)
    assert_same_arrays(spikes_of(found), whole_run(network()))


def test_files_of_another_run_are_refused(tmp_path):
    with belonging_to({"scenario": "brunel", "config": {"seed": 0}}):
        run = interrupted(tmp_path)
    with (
        belonging_to({"scenario": "brunel", "config": {"seed": 1}}),
        pytest.raises(OtherRunError, match=r"made with seed = 0, but config\.json says"),
    ):
        run.run(ignored)


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
        ([1, 2], "a result, got list"),
    ],
)
def test_a_state_makes_nothing_but_results_and_arrays(value, expected):
    content = np.frombuffer(pickle.dumps(value), dtype=np.uint8)
    with pytest.raises(ValueError, match=re.escape(expected)):
        unpickled(content, network())


def test_a_state_is_small_and_is_that_of_the_network_given():
    net = network()
    parts = list(es.stream(net, {}, 4.0, chunk=2.0, record=["A", "B"], engine="windows"))
    other = network()
    again = unpickled(pickled(parts[-1]), other)
    assert again.network is other
    assert again.t_stop == 4.0
    assert pickled(parts[-1]).size < 1.5 * pickled(parts[0]).size
