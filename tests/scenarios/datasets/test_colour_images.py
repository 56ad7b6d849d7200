"""CIFAR-10, SVHN and grey images in one form: found, checked, and what is wrong is named."""

import hashlib
import io
import lzma
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import savemat

from eventsim._support.files import FileError
from scenarios.datasets import colour_images
from scenarios.datasets.colour_images import ARCHIVE, CONTENTS, DATA_SETS, load_colour_images
from scenarios.datasets.sources import DATA_VARIABLE
from tests.helpers import idx_files
from tests.helpers.damage import emptied, flip

N = 4  # images in a file
PUBLISHED = Path(os.environ.get("EVENTSIM_DATA") or "nowhere")


@pytest.fixture(autouse=True)
def small_files_and_no_download(monkeypatch):
    def no_download(source):
        raise AssertionError(f"{source.title} must not be downloaded here")

    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    monkeypatch.setattr(colour_images, "download", no_download)
    monkeypatch.setattr(colour_images, "BATCH_SIZE", N)
    for name, array in as_files(arrays()).items():
        monkeypatch.setitem(CONTENTS, name, hashlib.sha256(array.data).hexdigest())


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
    path.write_bytes(lzma.compress(buffer.getvalue(), preset=0))


def as_files(found):
    """The arrays by the name of their file."""
    files = {
        f"train_images_{k + 1}.npy.xz": found["train"][0][k * N : (k + 1) * N] for k in range(5)
    }
    files["test_images.npy.xz"] = found["test"][0]
    return files | {f"{part}_labels.npy.xz": labels for part, (_, labels) in found.items()}


def write_arrays(folder, _=None):
    folder.mkdir(exist_ok=True)
    found = arrays()
    for name, array in as_files(found).items():
        pack(folder / name, array)
    return found


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_archive(folder, patch):
    """Write a small archive, and let it be the published one."""
    folder.mkdir(exist_ok=True)
    found = arrays()
    batches = {f"data_batch_{k + 1}": ("train", slice(k * N, (k + 1) * N)) for k in range(5)}
    batches["test_batch"] = ("test", slice(None))
    with tarfile.open(folder / ARCHIVE, "w:gz") as archive:
        for name, (part, rows) in batches.items():
            images, labels = (array[rows] for array in found[part])
            planes = images.transpose(0, 3, 1, 2).reshape(N, -1)  # red, green, blue
            content = np.hstack([labels[:, None], planes]).tobytes()
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    patch.setitem(colour_images.CIFAR_10.sha256, ARCHIVE, digest(folder / ARCHIVE))
    return found


def write_svhn(folder, patch):
    """Write small files, and let them be the published ones."""
    folder.mkdir(exist_ok=True)
    found = {}
    for part, n in (("train", 6), ("test", 3)):
        rng = np.random.default_rng(n)
        images = rng.integers(0, 256, (32, 32, 3, n), np.uint8)
        digits = np.arange(10, 10 - n, -1, dtype=np.uint8)[:, None]
        path = folder / f"{part}_32x32.mat"
        savemat(path, {"X": images, "y": digits})
        patch.setitem(colour_images.SVHN_SHA256, path.name, digest(path))
        found[part] = (images, digits)
    return found


@pytest.mark.parametrize("write", [write_arrays, write_archive])
@pytest.mark.parametrize("by", ["argument", "subfolder", "variable"])
def test_cifar_is_read_from_either_form(tmp_path, monkeypatch, write, by):
    expected = write(tmp_path / "cifar-10", monkeypatch)
    if by == "variable":
        monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    folder = {"argument": tmp_path / "cifar-10", "subfolder": tmp_path, "variable": None}[by]
    found = load_colour_images("cifar10", folder)
    for part, (images, labels) in expected.items():
        np.testing.assert_array_equal(found[part].images, images)
        np.testing.assert_array_equal(found[part].labels, labels)
        assert found[part].labels.dtype == np.int64


def test_without_a_folder_the_official_archive_is_downloaded(tmp_path, monkeypatch):
    expected = write_archive(tmp_path / "cache", monkeypatch)
    monkeypatch.setattr(colour_images, "download", lambda _: tmp_path / "cache")
    found = load_colour_images("cifar10")
    np.testing.assert_array_equal(found["test"].images, expected["test"][0])


@pytest.mark.slow
def test_the_published_cifar_is_read(monkeypatch):
    if not (PUBLISHED / "cifar-10").is_dir():
        pytest.skip("EVENTSIM_DATA does not name the folder of CIFAR-10")
    monkeypatch.undo()
    test = colour_images._arrays(PUBLISHED / "cifar-10", "test")
    assert np.bincount(test.labels).tolist() == [1000] * 10
    assert test.labels[:5].tolist() == [3, 8, 8, 0, 6]
    means = test.images.mean(axis=(0, 1, 2)) / 255
    np.testing.assert_allclose(means, [0.49421, 0.48513, 0.45041], atol=1e-5)


def test_svhn_has_the_samples_last_and_writes_ten_for_zero(tmp_path, monkeypatch):
    expected = write_svhn(tmp_path / "svhn", monkeypatch)
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
        (None, "cannot be read: No such file"),
        (b"nonsense", "is no .npy array"),
        (np.zeros((N, 32, 32, 3)), r"holds .* float64; expected .* \(4, 32, 32, 3\) of uint8"),
        (np.zeros((N - 1, 32, 32, 3), np.uint8), r"holds \(3, 32, 32, 3\)"),
        (np.zeros((N, 3, 32, 32), np.uint8), r"holds \(4, 3, 32, 32\)"),
        (np.zeros((N, 32, 32, 3), np.uint8), "holds other numbers, SHA-256 .*; expected those of"),
    ],
    "test_labels.npy.xz": [
        (None, "cannot be read: No such file"),
        (np.zeros(N + 1, np.uint8), r"holds \(5,\) of uint8; expected .* \(4,\) of uint8"),
        (np.full(N, 10, np.uint8), "holds other numbers"),
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
    with pytest.raises(FileError, match=rf"{tmp_path / name} {expected}"):
        load_colour_images("cifar10", tmp_path)


def test_the_order_and_the_packing_of_an_array_do_not_matter(tmp_path):
    expected = write_arrays(tmp_path)["test"][0]
    pack(tmp_path / "test_images.npy.xz", np.asfortranarray(expected))
    found = load_colour_images("cifar10", tmp_path)["test"].images
    np.testing.assert_array_equal(found, expected)
    assert found.flags.c_contiguous


DAMAGED = {
    "cifar10, arrays": ("cifar10", write_arrays, "train_images_3.npy.xz"),
    "cifar10, archive": ("cifar10", write_archive, ARCHIVE),
    "svhn": ("svhn", write_svhn, "test_32x32.mat"),
}


@pytest.mark.parametrize("kind", DAMAGED)
@given(place=st.integers(0, 2**15), bit=st.integers(0, 7))
def test_a_flipped_bit_is_refused(tmp_path_factory, kind, place, bit):
    name, write, file = DAMAGED[kind]
    folder = emptied(tmp_path_factory.getbasetemp() / kind.replace(", ", "-"))
    with pytest.MonkeyPatch.context() as patch:
        write(folder, patch)
        path = folder / file
        flip(path, place, bit)
        with pytest.raises(FileError, match=rf"{path} .*; expected "):
            load_colour_images(name, folder)


@pytest.mark.parametrize("kind", DAMAGED)
@pytest.mark.parametrize("cut", [1, 5, 200, 2000])
def test_a_cut_file_is_refused(tmp_path, monkeypatch, kind, cut):
    name, write, file = DAMAGED[kind]
    write(tmp_path, monkeypatch)
    (tmp_path / file).write_bytes((tmp_path / file).read_bytes()[:-cut])
    with pytest.raises(FileError, match=rf"{tmp_path / file} .*; expected "):
        load_colour_images(name, tmp_path)


def test_an_archive_with_a_loop_of_links_is_refused_unread(tmp_path):
    with tarfile.open(tmp_path / ARCHIVE, "w:gz") as archive:
        names = [name for names in colour_images.BATCHES.values() for name in names]
        for name, target in zip(names, names[1:] + names[:1], strict=True):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.LNKTYPE, target
            archive.addfile(info)
    with pytest.raises(FileError, match=f"{ARCHIVE} has the SHA-256 "):
        load_colour_images("cifar10", tmp_path)


@pytest.mark.parametrize(
    ("name", "file", "content"),
    [
        ("cifar10", ARCHIVE, b""),
        ("cifar10", ARCHIVE, b"no archive" * 99),
        ("svhn", "train_32x32.mat", b""),
        ("svhn", "train_32x32.mat", np.random.default_rng(0).bytes(500)),
        ("svhn", "train_32x32.mat", b"MATLAB 5.0".ljust(124) + b"\0\1IM" + b"\x0e\0\0\0" * 99),
    ],
)
def test_another_file_of_the_name_is_refused_unread(tmp_path, name, file, content):
    (tmp_path / file).write_bytes(content)
    found = hashlib.sha256(content).hexdigest()
    expected = rf"{file} has the SHA-256 {found}; expected the published .* of \w+"
    with pytest.raises(FileError, match=expected):
        load_colour_images(name, tmp_path)


@pytest.mark.parametrize("name", ["cifar10", "svhn"])
def test_a_fifo_of_the_name_is_refused(tmp_path, name):
    file = {"cifar10": ARCHIVE, "svhn": "train_32x32.mat"}[name]
    os.mkfifo(tmp_path / file)
    with pytest.raises(FileError, match=f"{file} is no regular file; expected the published"):
        load_colour_images(name, tmp_path)


def test_a_missing_file_of_svhn_is_named(tmp_path, monkeypatch):
    write_svhn(tmp_path, monkeypatch)
    (tmp_path / "test_32x32.mat").unlink()
    with pytest.raises(FileError, match=r"test_32x32\.mat cannot be read: No such file"):
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
