"""CIFAR-10, SVHN and grey images in one form: found, checked, and what is wrong is named."""

import io
import lzma
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from scenarios.datasets import colour_images
from scenarios.datasets.colour_images import ARCHIVE, DATA_SETS, load_colour_images
from scenarios.datasets.sources import DATA_VARIABLE
from tests.scenarios import idx_files

N = 4  # images in a file
PUBLISHED = Path(os.environ.get("EVENTSIM_DATA") or "nowhere")


@pytest.fixture(autouse=True)
def small_files_and_no_download(monkeypatch):
    def no_download(source):
        raise AssertionError(f"{source.title} must not be downloaded here")

    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    monkeypatch.setattr(colour_images, "download", no_download)
    monkeypatch.setattr(colour_images, "BATCH_SIZE", N)


def arrays():
    """The images and labels of a small CIFAR-10, by part."""
    rng = np.random.default_rng(0)
    return {
        part: (rng.integers(0, 256, (n, 32, 32, 3), np.uint8), rng.integers(0, 10, n, np.uint8))
        for part, n in (("train", 5 * N), ("test", N))
    }


def pack(path, array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    path.write_bytes(lzma.compress(buffer.getvalue()))


def write_arrays(folder):
    folder.mkdir(exist_ok=True)
    found = arrays()
    for k in range(5):
        pack(folder / f"train_images_{k + 1}.npy.xz", found["train"][0][k * N : (k + 1) * N])
    pack(folder / "test_images.npy.xz", found["test"][0])
    for part in found:
        pack(folder / f"{part}_labels.npy.xz", found[part][1])
    return found


def write_archive(folder, leave_out=None, cut=0):
    folder.mkdir(exist_ok=True)
    found = arrays()
    batches = {f"data_batch_{k + 1}": ("train", slice(k * N, (k + 1) * N)) for k in range(5)}
    batches["test_batch"] = ("test", slice(None))
    with tarfile.open(folder / ARCHIVE, "w:gz") as archive:
        for name, (part, rows) in batches.items():
            if name == leave_out:
                continue
            images, labels = (array[rows] for array in found[part])
            planes = images.transpose(0, 3, 1, 2).reshape(N, -1)  # red, green, blue
            content = np.hstack([labels[:, None], planes]).tobytes()
            content = content[: len(content) - cut]
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return found


def write_svhn(folder, **changes):
    folder.mkdir(exist_ok=True)
    found = {}
    for part, n in (("train", 6), ("test", 3)):
        rng = np.random.default_rng(n)
        images = rng.integers(0, 256, (32, 32, 3, n), np.uint8)
        digits = np.arange(10, 10 - n, -1, dtype=np.uint8)[:, None]
        savemat(folder / f"{part}_32x32.mat", {"X": images, "y": digits, **changes})
        found[part] = (images, digits)
    return found


@pytest.mark.parametrize("write", [write_arrays, write_archive])
@pytest.mark.parametrize("by", ["argument", "subfolder", "variable"])
def test_cifar_is_read_from_either_form(tmp_path, monkeypatch, write, by):
    expected = write(tmp_path / "cifar-10")
    if by == "variable":
        monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    folder = {"argument": tmp_path / "cifar-10", "subfolder": tmp_path, "variable": None}[by]
    found = load_colour_images("cifar10", folder)
    for part, (images, labels) in expected.items():
        np.testing.assert_array_equal(found[part].images, images)
        np.testing.assert_array_equal(found[part].labels, labels)
        assert found[part].labels.dtype == np.int64


def test_without_a_folder_the_official_archive_is_downloaded(tmp_path, monkeypatch):
    expected = write_archive(tmp_path / "cache")
    monkeypatch.setattr(colour_images, "download", lambda _: tmp_path / "cache")
    found = load_colour_images("cifar10")
    np.testing.assert_array_equal(found["test"].images, expected["test"][0])


@pytest.mark.slow
def test_the_published_cifar_is_read(monkeypatch):
    if not (PUBLISHED / "cifar-10").is_dir():
        pytest.skip("EVENTSIM_DATA does not name the folder of CIFAR-10")
    monkeypatch.setattr(colour_images, "BATCH_SIZE", 10_000)
    test = colour_images._arrays(PUBLISHED / "cifar-10", "test")
    assert np.bincount(test.labels).tolist() == [1000] * 10
    assert test.labels[:5].tolist() == [3, 8, 8, 0, 6]
    means = test.images.mean(axis=(0, 1, 2)) / 255
    np.testing.assert_allclose(means, [0.49421, 0.48513, 0.45041], atol=1e-5)


def test_svhn_has_the_samples_last_and_writes_ten_for_zero(tmp_path):
    expected = write_svhn(tmp_path / "svhn")
    found = load_colour_images("svhn", tmp_path)
    assert found["train"].labels.tolist() == [0, 9, 8, 7, 6, 5]
    images = expected["train"][0]
    np.testing.assert_array_equal(found["train"].images[4, 5, 6], images[5, 6, :, 4])


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_grey_images_get_a_frame(tmp_path, name):
    expected = idx_files.write(tmp_path)["train-images-idx3-ubyte"]
    found = load_colour_images(name, tmp_path)["train"].images
    assert found.shape == (12, 32, 32, 1)
    np.testing.assert_array_equal(found[:, 2:30, 2:30, 0], expected)
    assert found.sum() == expected.sum()


BAD_ARRAYS = {
    "train_images_3.npy.xz": [
        (None, r"no file .*train_images_3.npy.xz: the folder of CIFAR-10 must hold"),
        (b"nonsense", "is no whole .npy.xz file"),
        (np.zeros((N, 32, 32, 3)), r"must hold \(4, 32, 32, 3\) numbers of uint8, got .*float64"),
        (np.zeros((N - 1, 32, 32, 3), np.uint8), r"must hold \(4, 32, 32, 3\).* got \(3, 32"),
        (np.zeros((N, 3, 32, 32), np.uint8), r"must hold .* got \(4, 3, 32, 32\)"),
    ],
    "test_labels.npy.xz": [
        (None, "no file .*test_labels"),
        (np.zeros(N + 1, np.uint8), r"must hold \(4,\) numbers of uint8, got \(5,\)"),
        (np.full(N, 10, np.uint8), "labels must lie in 0 to 9, got 10"),
    ],
}


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [(name, *case) for name, cases in BAD_ARRAYS.items() for case in cases],
)
def test_a_bad_array_is_named(tmp_path, name, content, expected):
    write_arrays(tmp_path)
    (tmp_path / name).unlink()
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    elif content is not None:
        pack(tmp_path / name, content)
    with pytest.raises(ValueError, match=expected) as caught:
        load_colour_images("cifar10", tmp_path)
    assert str(tmp_path / name) in str(caught.value)


def test_a_truncated_array_is_named(tmp_path):
    write_arrays(tmp_path)
    path = tmp_path / "test_images.npy.xz"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match=r"test_images.npy.xz is no whole .npy.xz file"):
        load_colour_images("cifar10", tmp_path)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"leave_out": "data_batch_2"}, "must hold a file cifar-10-batches-bin/data_batch_2.bin"),
        ({"cut": 5}, r"data_batch_1.bin in .* must have 4 x 3073 bytes, got 12287"),
    ],
)
def test_a_bad_archive_is_named(tmp_path, options, expected):
    write_archive(tmp_path, **options)
    with pytest.raises(ValueError, match=expected):
        load_colour_images("cifar10", tmp_path)


def test_a_truncated_archive_is_named(tmp_path):
    write_archive(tmp_path)
    path = tmp_path / ARCHIVE
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"is no whole tar.gz file"):
        load_colour_images("cifar10", tmp_path)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"X": np.zeros((6, 32, 32, 3), np.uint8)}, r"must hold images \(32, 32, 3, n_samples\)"),
        ({"X": np.zeros((32, 32, 3, 6))}, "of uint8, got .* of float64"),
        ({"y": np.zeros((6, 1), np.uint8)}, r"must hold digits from 1 to 10 \(10 for 0\)"),
        ({"y": np.ones((5, 1), np.uint8)}, r"labels must have shape \(6,\), got \(5,\)"),
    ],
)
def test_a_bad_svhn_file_is_named(tmp_path, changes, expected):
    write_svhn(tmp_path, **changes)
    with pytest.raises(ValueError, match=expected) as caught:
        load_colour_images("svhn", tmp_path)
    assert str(tmp_path / "train_32x32.mat") in str(caught.value)


def test_svhn_files_that_are_none_are_named(tmp_path):
    write_svhn(tmp_path)
    (tmp_path / "test_32x32.mat").unlink()
    with pytest.raises(ValueError, match=r"no file .*test_32x32.mat"):
        load_colour_images("svhn", tmp_path)
    (tmp_path / "train_32x32.mat").write_bytes(b"no such format" * 20)
    with pytest.raises(ValueError, match=r"train_32x32.mat is no whole MATLAB file"):
        load_colour_images("svhn", tmp_path)
    savemat(tmp_path / "train_32x32.mat", {"X": 1})
    with pytest.raises(ValueError, match=r"must hold the arrays X and y, got \['X'\]"):
        load_colour_images("svhn", tmp_path)


def test_svhn_is_not_downloaded():
    with pytest.raises(ValueError, match=r"SVHN is not downloaded: get train_32x32.mat and"):
        load_colour_images("svhn")


@pytest.mark.parametrize("name", ["cifar10", "svhn"])
def test_a_folder_without_the_data_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"no file .*: neither .* nor its subfolder"):
        load_colour_images(name, tmp_path)


def test_an_unknown_data_set_is_refused():
    with pytest.raises(ValueError, match=f"data must be one of {', '.join(DATA_SETS)}, got 'emn"):
        load_colour_images("emnist")
