"""MNIST and Fashion-MNIST: found, checked, and not mistaken for one another."""

import gzip
import hashlib
import re

import numpy as np
import pytest

from scenarios.datasets import images
from scenarios.datasets.images import fashion_mnist, mnist
from scenarios.datasets.sources import DATA_VARIABLE
from tests.scenarios import idx_files

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


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("subfolder", [True, False])
@pytest.mark.parametrize("by", ["argument", "variable"])
def test_the_folder_or_its_subfolder_is_read(
    tmp_path, monkeypatch, name, compressed, subfolder, by
):
    arrays = idx_files.write(tmp_path / name if subfolder else tmp_path, compressed)
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
    with pytest.raises(ValueError, match=r"train-images.* must hold .*MNIST train-images, got "):
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
    message = f"{test} must hold MNIST {test.name[:11]}, got MNIST {train.name[:12]}"
    with pytest.raises(ValueError, match=re.escape(message)):
        mnist(tmp_path)


def packed(array):
    return gzip.compress(idx_files.as_idx(array), mtime=0)


TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = (f"{name}.gz" for name in idx_files.NAMES)
BAD_LABELS = np.array([0, 1, 10, 200, 4])


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (TRAIN_IMAGES, None, r"no file .*train-images-idx3-ubyte \(or .gz\): the folder of MNIST"),
        (TEST_LABELS, None, "no file .*t10k-labels-idx1-ubyte"),
        (TRAIN_IMAGES, packed(np.zeros(12)), r"must have 3 dimension.* got 1: \(12,\)"),
        (TRAIN_LABELS, packed(np.zeros((12, 28, 28))), r"must have 1 dimension.* got 3: \(12, 28"),
        (TEST_IMAGES, packed(np.zeros((5, 32, 32))), r"\(28, 28\) pixels, got shape \(5, 32, 32\)"),
        (TEST_IMAGES, packed(np.zeros((0, 28, 28))), r"pixels, got shape \(0, 28, 28\)"),
        (TEST_LABELS, packed(np.zeros(6)), "label for each of the 5 images in .*, got 6"),
        (TEST_LABELS, packed(BAD_LABELS), "labels from 0 to 9, got 10 at position 2"),
        (TEST_LABELS, packed(np.zeros(5))[:-9], "cut or damaged gzip file"),
        (TEST_IMAGES, b"<html>", "no IDX file"),
    ],
)
def test_a_bad_file_is_named(tmp_path, file, content, message):
    idx_files.write(tmp_path)
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
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
