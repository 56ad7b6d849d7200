"""MNIST and Fashion-MNIST: found, checked, and not mistaken for one another."""

import gzip
import hashlib
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventsim._support.files import FileError
from scenarios.datasets import images
from scenarios.datasets.images import fashion_mnist, mnist
from scenarios.datasets.sources import DATA_VARIABLE
from tests.helpers import idx_files
from tests.helpers.damage import emptied, flip

LOADERS = {"mnist": mnist, "fashion-mnist": fashion_mnist}


@pytest.fixture(autouse=True)
def nothing_but_the_named_folder(monkeypatch):
    def no_download(source):
        raise AssertionError(f"{source.title} must not be downloaded here")

    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    monkeypatch.setattr(images, "download", no_download)


def assert_loaded(loaded, arrays):
    for part, start in (("train", "train"), ("test", "t10k")):
        assert loaded[part].images.dtype == np.uint8
        assert loaded[part].labels.dtype == np.int64
        np.testing.assert_array_equal(loaded[part].images, arrays[f"{start}-images-idx3-ubyte"])
        np.testing.assert_array_equal(loaded[part].labels, arrays[f"{start}-labels-idx1-ubyte"])


def known(monkeypatch, arrays, title):
    """Let these arrays be the published ones."""
    for name, array in arrays.items():
        digest = hashlib.sha256(array.data).hexdigest()
        monkeypatch.setitem(images.CONTENTS, digest, (title, name[: name.index("-idx")]))


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("subfolder", [True, False])
@pytest.mark.parametrize("by", ["argument", "variable"])
def test_the_folder_or_its_subfolder_is_read(
    tmp_path, monkeypatch, name, compressed, subfolder, by
):
    arrays = idx_files.write(tmp_path / name if subfolder else tmp_path, compressed)
    if not compressed:
        known(monkeypatch, arrays, {"mnist": "MNIST", "fashion-mnist": "Fashion-MNIST"}[name])
    if by == "variable":
        monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    assert_loaded(LOADERS[name](tmp_path if by == "argument" else None), arrays)


def test_the_argument_goes_before_the_variable(tmp_path, monkeypatch):
    idx_files.write(tmp_path / "variable", seed=1)
    arrays = idx_files.write(tmp_path / "argument", seed=2)
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / "variable"))
    assert_loaded(mnist(tmp_path / "argument"), arrays)


def test_a_subfolder_of_the_right_name_goes_before_the_folder(tmp_path):
    idx_files.write(tmp_path, seed=1)
    arrays = idx_files.write(tmp_path / "fashion-mnist", seed=2)
    assert_loaded(fashion_mnist(tmp_path), arrays)


def test_without_files_in_the_named_folder_they_are_downloaded(tmp_path, monkeypatch):
    arrays = idx_files.write(tmp_path / "cache")
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    monkeypatch.setattr(images, "download", lambda _: tmp_path / "cache")
    assert_loaded(mnist(), arrays)


def test_a_choice_of_images_keeps_their_labels(tmp_path):
    idx_files.write(tmp_path)
    data = mnist(tmp_path)["train"]
    rows = np.array([7, 2])
    np.testing.assert_array_equal(data[rows].images, data.images[rows])
    np.testing.assert_array_equal(data[rows].labels, data.labels[rows])
    assert (len(data), len(data[:3])) == (12, 3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "mean", "deviation"), [("mnist", 0.1307, 0.3081), ("fashion-mnist", 0.2860, 0.3530)]
)
def test_the_published_files_are_read(name, mean, deviation):
    if not idx_files.PUBLISHED.is_dir():
        pytest.skip("EVENTSIM_DATA does not name the folder of the published files")
    loaded = LOADERS[name](idx_files.PUBLISHED)
    train = loaded["train"].images
    assert {part: data.images.shape for part, data in loaded.items()} == {
        "train": (60000, 28, 28),
        "test": (10000, 28, 28),
    }
    np.testing.assert_allclose(
        [train.mean() / 255, train.std() / 255], [mean, deviation], atol=1e-4
    )
    assert loaded["train"].labels.max() == loaded["test"].labels.max() == 9


@pytest.mark.parametrize("name", LOADERS)
def test_the_other_data_set_is_not_taken_for_this_one(name):
    if not idx_files.PUBLISHED.is_dir():
        pytest.skip("EVENTSIM_DATA does not name the folder of the published files")
    (other,) = set(LOADERS) - {name}
    with pytest.raises(FileError, match=r"train-images.* holds .*MNIST .*; expected .*MNIST tra"):
        LOADERS[name](idx_files.PUBLISHED / other)


@pytest.mark.parametrize("kind", ["images-idx3", "labels-idx1"])
def test_training_files_are_not_taken_for_those_of_the_test(tmp_path, monkeypatch, kind):
    idx_files.write(tmp_path)
    train, test = (tmp_path / f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k"))
    content = gzip.decompress(train.read_bytes())
    digest = hashlib.sha256(content[16 if "images" in kind else 8 :]).hexdigest()
    monkeypatch.setitem(images.CONTENTS, digest, ("MNIST", train.name[:12]))
    mnist(tmp_path)
    for part in ("images-idx3", "labels-idx1"):
        whole = (tmp_path / f"train-{part}-ubyte.gz").read_bytes()
        (tmp_path / f"t10k-{part}-ubyte.gz").write_bytes(whole)
    message = f"{test} holds MNIST {train.name[:12]}; expected MNIST {test.name[:11]}"
    with pytest.raises(FileError, match=re.escape(message)):
        mnist(tmp_path)


@given(part=st.sampled_from(idx_files.NAMES), place=st.integers(0, 2**14), bit=st.integers(0, 7))
def test_a_flipped_bit_of_a_plain_file_is_refused(tmp_path_factory, part, place, bit):
    """It has no checksum, so its content must be known."""
    folder = emptied(tmp_path_factory.getbasetemp() / "plain-idx")
    with pytest.MonkeyPatch.context() as patch:
        known(patch, idx_files.write(folder, compressed=False), "MNIST")
        assert len(mnist(folder)["train"]) == 12
        flip(folder / part, place, bit)
        with pytest.raises(FileError, match=rf"{folder}/.*; expected "):
            mnist(folder)


def test_a_plain_file_of_unknown_content_is_refused_with_the_way_out(tmp_path):
    idx_files.write(tmp_path, compressed=False)
    message = r"ubyte holds neither MNIST train-images nor a checksum; expected .* packed by gzip"
    with pytest.raises(FileError, match=message):
        mnist(tmp_path)
    for path in list(tmp_path.iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert len(mnist(tmp_path)["train"]) == 12


def packed(array):
    return gzip.compress(idx_files.as_idx(array), mtime=0)


TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = (f"{name}.gz" for name in idx_files.NAMES)
BAD_LABELS = np.array([0, 1, 10, 200, 4])


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (
            TRAIN_IMAGES,
            None,
            "does not exist, nor with .gz; expected in the folder of MNIST: train",
        ),
        (TEST_LABELS, None, "does not exist, nor with .gz"),
        (TRAIN_IMAGES, packed(np.zeros(12)), r"holds \(12,\); expected .* \(any, 28, 28\) of"),
        (TRAIN_LABELS, packed(np.zeros((12, 28, 28))), r"holds \(12, 28, 28\); .* \(12,\) of"),
        (TEST_IMAGES, packed(np.zeros((5, 32, 32))), r"holds \(5, 32, 32\)"),
        (TEST_IMAGES, packed(np.zeros((0, 28, 28))), "holds no image; expected one or more"),
        (TEST_LABELS, packed(np.zeros(6)), r"holds \(6,\); expected .* \(5,\) of uint8 numbers"),
        (
            TEST_LABELS,
            packed(BAD_LABELS),
            "the label 10 at position 2; expected labels from 0 to 9",
        ),
        (TEST_LABELS, packed(np.zeros(5))[:-9], "cannot be read: Compressed file ended"),
        (TEST_IMAGES, b"<html>", "is no IDX file"),
    ],
)
def test_a_bad_file_is_named(tmp_path, file, content, message):
    idx_files.write(tmp_path)
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(FileError, match=message) as caught:
        mnist(tmp_path)
    assert str(tmp_path / file.removesuffix(".gz")) in str(caught.value)


def test_a_folder_without_the_data_set_is_refused(tmp_path, monkeypatch):
    with pytest.raises(
        ValueError, match=r"no file .*train-images.*nor its subfolder mnist holds any"
    ):
        mnist(tmp_path)
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / "mistyped"))
    with pytest.raises(ValueError, match=r"EVENTSIM_DATA must name a folder, got '.*mistyped'"):
        mnist()
