"""Checkpoints are whole or refused."""

import os
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import eventsim as es
from eventsim._support.files import FileError
from gradients import Adam
from scenarios.running.checkpoint import (
    TrainingState,
    check_like,
    load_arrays,
    load_latest,
    remove_old,
    save,
    save_arrays,
    write_whole,
)
from scenarios.running.records import DeadEndError


def state(epoch):
    rng = np.random.default_rng(epoch)
    return TrainingState(
        params={"in->out": rng.normal(size=(3, 2))},
        optimizer={"step": 7 * epoch, "mean": {"in->out": rng.normal(size=(3, 2))}},
        rng=rng.bit_generator.state,
        epoch=epoch,
        history=[{"epoch": k, "seconds": 0.0, "loss": 0.1 * k} for k in range(epoch + 1)],
    )


def assert_same(one, two):
    np.testing.assert_array_equal(one.params["in->out"], two.params["in->out"])
    np.testing.assert_array_equal(
        one.optimizer["mean"]["in->out"], two.optimizer["mean"]["in->out"]
    )
    assert one.optimizer["step"] == two.optimizer["step"]
    assert (one.rng, one.epoch, one.history) == (two.rng, two.epoch, two.history)


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_checkpoint_comes_back_bit_for_bit(tmp_path):
    save(tmp_path, state(3))
    assert_same(load_latest(tmp_path), state(3))


def test_a_tree_of_parameters_comes_back_with_its_keys(tmp_path):
    net = es.Network()
    net.add_input("in", 2)
    net.add_population("out", 3, es.LIF(tau_mem=2.0))
    net.connect("in", "out", weights=np.eye(2, 3), delays=0.5)
    net.connect("in", "out", weights=np.ones((2, 3)), name="more")
    params = net.parameters(["weights", "delays", "tau_mem"])
    memory = Adam().init(params)
    save(tmp_path, replace(state(3), params=params, optimizer=memory))
    found = load_latest(tmp_path)
    again = net.replace(found.params)
    assert found.params.keys() == params.keys()
    assert again.projections.keys() == found.params["weights"].keys()
    for key, projection in net.projections.items():
        np.testing.assert_array_equal(again.projections[key].weights, projection.weights)
        assert again.projections[key].delays == projection.delays
    check_like(found.params, params, "params")
    check_like(found.optimizer, memory, "optimizer")
    assert Adam().update(found.params, params, found.optimizer)[1]["step"] == 1


def test_the_last_two_checkpoints_are_kept(tmp_path):
    for epoch in range(1, 5):
        save(tmp_path, state(epoch))
    assert files(tmp_path) == ["checkpoint-000003.npz", "checkpoint-000004.npz"]


def test_the_last_two_are_those_of_the_highest_epochs(tmp_path):
    for epoch in (999_999, 1_000_000, 1_000_001):
        (tmp_path / f"checkpoint-{epoch:06d}.npz").touch()
    remove_old(tmp_path)
    assert files(tmp_path) == ["checkpoint-1000000.npz", "checkpoint-1000001.npz"]


def test_an_empty_folder_has_no_checkpoint(tmp_path):
    assert load_latest(tmp_path) is None


@pytest.mark.parametrize("size", [0, 1, 100, -1])
def test_a_checkpoint_cut_short_is_refused_by_name_and_the_one_before_is_used(tmp_path, size):
    for epoch in (1, 2):
        save(tmp_path, state(epoch))
    newest = tmp_path / "checkpoint-000002.npz"
    newest.write_bytes(newest.read_bytes()[:size])
    with pytest.warns(RuntimeWarning, match="refused: .*checkpoint-000002.npz"):
        assert_same(load_latest(tmp_path), state(1))


def damaged_header(path):
    whole = path.read_bytes()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("rest.npy", b"\x93NUMPY\1\0\x40\0{'descr': (" + whole[:60])


def fifo(path):
    path.unlink()
    os.mkfifo(path)


def folder(path):
    path.unlink()
    path.mkdir()


def of_strings(path):
    save_arrays(path, {"rest": np.array(["a"])})


@pytest.mark.parametrize("replace_it", [damaged_header, fifo, folder, of_strings])
def test_whatever_lies_there_instead_of_the_newest_checkpoint_the_one_before_is_used(
    tmp_path, replace_it
):
    for epoch in (1, 2):
        save(tmp_path, state(epoch))
    replace_it(tmp_path / "checkpoint-000002.npz")
    with pytest.warns(RuntimeWarning, match=r"refused: .*checkpoint-000002\.npz.*; expected an?"):
        assert_same(load_latest(tmp_path), state(1))


def large_state(epoch):
    """As many numbers as a 784-400-10 network has."""
    rng = np.random.default_rng(epoch)
    shapes = {"in->hidden": (784, 400), "hidden->out": (400, 10)}
    params, mean, square = (
        {name: rng.normal(size=shape) for name, shape in shapes.items()} for _ in range(3)
    )
    optimizer = {"step": epoch, "mean": mean, "square": square}
    history = [{"epoch": k, "seconds": 0.0} for k in range(epoch + 1)]
    return TrainingState(params, optimizer, rng.bit_generator.state, epoch, history)


@pytest.mark.parametrize("damage", ["cut in the middle", "cut at the end", "altered"])
def test_a_damaged_large_checkpoint_is_refused_and_the_one_before_is_used(tmp_path, damage):
    for epoch in (1, 2):
        save(tmp_path, large_state(epoch))
    newest = tmp_path / "checkpoint-000002.npz"
    whole = newest.read_bytes()
    half = len(whole) // 2
    newest.write_bytes(
        {
            "cut in the middle": whole[:half],
            "cut at the end": whole[:-1],
            "altered": whole[:half] + bytes([whole[half] ^ 1]) + whole[half + 1 :],
        }[damage]
    )
    with pytest.warns(RuntimeWarning, match="refused: .*checkpoint-000002.npz"):
        loaded = load_latest(tmp_path)
    expected = large_state(1)
    assert loaded.epoch == 1
    for name in expected.params:
        np.testing.assert_array_equal(loaded.params[name], expected.params[name])
        np.testing.assert_array_equal(
            loaded.optimizer["square"][name], expected.optimizer["square"][name]
        )


def test_no_altered_byte_goes_unnoticed(tmp_path):
    """Either the file is refused, or the byte did not matter."""
    arrays = {"W": np.arange(6.0).reshape(2, 3), "k": np.array(3)}
    path = tmp_path / "arrays.npz"
    save_arrays(path, arrays)
    whole = path.read_bytes()
    refused = 0
    for k in range(0, len(whole), 7):
        path.write_bytes(whole[:k] + bytes([whole[k] ^ 0x10]) + whole[k + 1 :])
        try:
            loaded = load_arrays(path)
        except ValueError:
            refused += 1
        else:
            assert set(loaded) == set(arrays)
            assert all(np.array_equal(loaded[name], arrays[name]) for name in arrays)
    assert refused > len(whole) // 7 // 2


def test_if_all_checkpoints_are_damaged_the_error_names_them(tmp_path):
    for epoch in (1, 2):
        save(tmp_path, state(epoch))
    for path in tmp_path.iterdir():
        path.write_bytes(b"not an archive")
    with (
        pytest.warns(RuntimeWarning, match="refused"),
        pytest.raises(ValueError, match=r"000002\.npz, .*000001\.npz"),
    ):
        load_latest(tmp_path)


def test_an_archive_of_something_else_is_not_a_checkpoint(tmp_path):
    save_arrays(tmp_path / "checkpoint-000001.npz", {"W": np.eye(2)})
    with (
        pytest.warns(RuntimeWarning, match="is not a checkpoint"),
        pytest.raises(DeadEndError, match="no checkpoint can be used"),
    ):
        load_latest(tmp_path)


@pytest.mark.parametrize("wrong", [{"rng": 1}, {"history": []}])
def test_a_checkpoint_without_the_random_numbers_or_metrics_is_refused_by_name(tmp_path, wrong):
    save(tmp_path, replace(state(3), **wrong))
    with (
        pytest.warns(RuntimeWarning, match="checkpoint-000003.npz is not a checkpoint"),
        pytest.raises(DeadEndError, match="no checkpoint can be used"),
    ):
        load_latest(tmp_path)


def test_pickled_arrays_are_not_read(tmp_path):
    np.savez(tmp_path / "bad.npz", a=np.array([{}], dtype=object))
    with pytest.raises(FileError, match=r"bad\.npz: 'a\.npy' is no array of numbers"):
        load_arrays(tmp_path / "bad.npz")


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_death_while_writing_leaves_the_old_file(tmp_path, monkeypatch, moment):
    path = tmp_path / "arrays.npz"
    save_arrays(path, {"W": np.eye(2)})

    def die(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(*{"fsync": (os, "fsync"), "replace": (Path, "replace")}[moment], die)
    with pytest.raises(KeyboardInterrupt):
        save_arrays(path, {"W": np.zeros((2, 2))})
    np.testing.assert_array_equal(load_arrays(path)["W"], np.eye(2))


def test_writers_of_one_file_never_show_half_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: None)
    path = tmp_path / "file"
    contents = [bytes([digit]) * 100_000 for digit in b"0123"]
    write_whole(path, contents[0])
    with ThreadPoolExecutor(4) as pool:
        writers = [
            pool.submit(write_whole, path, content) for _ in range(100) for content in contents
        ]
        while not all(writer.done() for writer in writers):
            assert path.read_bytes() in contents
        assert [writer.result() for writer in writers] == [None] * 400
    assert files(tmp_path) == ["file"]
