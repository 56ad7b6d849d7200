"""Flower images: found, checked, divided, and turned into sequences of columns."""

import contextlib
import lzma
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventsim._support.files import FileError
from scenarios.datasets.flower_images import (
    CLASSES,
    FILES,
    FOLDER,
    as_columns,
    flower_images,
    split,
)
from scenarios.datasets.labelled_images import LabelledImages
from scenarios.datasets.sources import DATA_VARIABLE
from tests.helpers import flower_files
from tests.helpers.damage import emptied, flip

IMAGES, LABELS = FILES


@pytest.fixture(autouse=True)
def nothing_but_the_named_folder(monkeypatch):
    monkeypatch.delenv(DATA_VARIABLE, raising=False)


@pytest.mark.parametrize("subfolder", [True, False])
@pytest.mark.parametrize("by", ["argument", "variable"])
def test_the_folder_or_its_subfolder_is_read(tmp_path, monkeypatch, subfolder, by):
    written = flower_files.write(tmp_path / FOLDER if subfolder else tmp_path)
    if by == "variable":
        monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    read = flower_images(tmp_path if by == "argument" else None)
    np.testing.assert_array_equal(read.images, written.images)
    np.testing.assert_array_equal(read.labels, written.labels)
    assert read.labels.dtype == np.int64


def test_the_real_files_are_read():
    if not flower_files.PUBLISHED.is_dir():
        pytest.skip(flower_files.WITHOUT)
    data = flower_images(flower_files.PUBLISHED)
    assert data.images.shape == (1873, 64, 64, 3)
    counts = np.bincount(data.labels)
    assert counts.tolist() == [258, 251, 196, 194, 184, 171, 166, 162, 154, 137]
    parts = split(data)
    assert (len(parts["train"]), len(parts["test"])) == (1499, 374)
    assert data.images.mean(axis=(0, 1, 2)) == pytest.approx([119.8, 101.1, 76.4], abs=0.1)


def test_a_sequence_begins_with_the_left_column():
    data = flower_files.blossoms(rows=4, columns=3)
    rows = np.array([7, 2])
    sequence = as_columns(data.images[rows])
    for step in range(3):
        for sample, row in enumerate(rows):
            column = data.images[row][:, step] / 255.0  # (rows, channels)
            np.testing.assert_allclose(sequence[step, sample], column.T, rtol=1e-7)


def naive_shares(labels, test_labels):
    return {c: (np.sum(test_labels == c), np.sum(labels == c)) for c in np.unique(labels)}


@given(
    st.lists(st.integers(2, 30), min_size=1, max_size=5),
    st.floats(0.01, 0.99),
    st.integers(0, 2**32),
)
def test_a_split_is_stratified_disjoint_and_complete(sizes, share, seed):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    numbered = np.arange(labels.size * 3, dtype=np.uint32).astype(np.uint8).reshape(-1, 1, 1, 3)
    parts = split(LabelledImages(numbered, labels), share, seed)
    train, test = parts["train"], parts["test"]
    assert len(train) + len(test) == labels.size
    for n_test, n in naive_shares(labels, test.labels).values():
        assert 1 <= n_test <= n - 1
        assert abs(n_test - share * n) <= max(0.5, 1 - share * n, share * n - (n - 1)) + 1e-9
    both = np.concatenate([train.images, test.images]).reshape(-1, 3)
    assert sorted(map(tuple, both)) == sorted(map(tuple, numbered.reshape(-1, 3)))


def test_a_split_depends_on_its_seed_alone():
    data = flower_files.blossoms(n_each=9)
    one, same, other = (split(data, seed=seed)["test"].images for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.2, float("nan")])
def test_a_share_that_leaves_one_part_empty_is_refused(share):
    with pytest.raises(ValueError, match=rf"test_share must lie in \(0, 1\), got {share}"):
        split(flower_files.blossoms(), share)


def test_a_class_with_one_image_cannot_be_split():
    lonely = LabelledImages(np.zeros((3, 1, 1, 3), np.uint8), np.array([0, 0, 1]))
    with pytest.raises(ValueError, match="at least 2 images, got 1 of class 1"):
        split(lonely)


def test_without_a_folder_the_error_says_what_is_expected_where(tmp_path, monkeypatch):
    expected = rf"holds images.npy.xz and labels.npz .*{FOLDER}.*--data-dir or .*{DATA_VARIABLE}"
    with pytest.raises(ValueError, match=expected):
        flower_images()
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))  # a folder with other data sets
    with pytest.raises(ValueError, match=expected):
        flower_images()
    with pytest.raises(ValueError, match=rf"no file .*{IMAGES}: neither .* nor its subfolder"):
        flower_images(tmp_path)


def saved(array):
    buffer = BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file"),
        (b"<html>", "has no checksum, as xz with CRC64 or gzip would give it"),
        (saved(np.zeros((20, 6, 5, 3), np.uint8)), "has no checksum"),
        (lzma.compress(b"<!DOCTYPE html>"), "is no .npy array: it begins with b'<!DOCTYP'"),
        (
            lzma.compress(saved(np.zeros((20, 6, 5, 3), np.uint8)))[:-30],
            "cannot be read: Compressed file ended",
        ),
        (lzma.compress(saved(np.zeros((20, 6, 5, 3), np.uint8))[:-9]), "is cut short: the array"),
        (lzma.compress(saved(np.zeros((20, 6, 5, 3), np.uint8)) + b"!"), "has more behind"),
        (lzma.compress(saved(np.array([{}]))), "is no array of numbers"),
        (lzma.compress(saved(np.zeros((20, 6, 5), np.uint8))), r"holds \(20, 6, 5\) of uint8"),
        (lzma.compress(saved(np.zeros((20, 6, 5, 3)))), r"holds \(20, 6, 5, 3\) of float64"),
        (
            lzma.compress(saved(np.zeros((0, 6, 5, 3), np.uint8))),
            r"holds no pixels, \(0, 6, 5, 3\); expected some",
        ),
    ],
)
def test_a_bad_file_of_images_is_named(tmp_path, content, message):
    flower_files.write(tmp_path)
    (tmp_path / IMAGES).unlink()
    if content is not None:
        (tmp_path / IMAGES).write_bytes(content)
    with pytest.raises(FileError, match=rf"{tmp_path / IMAGES} {message}"):
        flower_images(tmp_path)


FEW = np.repeat(np.arange(10), 3)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"labels": FEW[:-1]}, r": 'labels.npy' holds \(29,\) of int64; expected .* \(30,\) of"),
        ({"labels": FEW[:, None]}, r": 'labels.npy' holds \(30, 1\) of int64"),
        ({"labels": FEW / 2}, r": 'labels.npy' holds \(30,\) of float64; .* integral numbers"),
        ({"labels": FEW + 1}, " holds the label 10 at position 27; expected labels from 0 to 9"),
        ({"labels": FEW - 1}, " holds the label -1 at position 0; expected labels from 0 to 9"),
        ({"labels": FEW % 9}, " holds 0 images of class 9; expected at least 2 of each class"),
        ({"classes": [1, 2, 3]}, r": 'classes.npy' holds \(3,\) of int64; expected .* \(10,\) of"),
        (
            {"classes": sorted(CLASSES)},
            r" holds the classes \[46, 51, .*; expected 51, 77, .* order",
        ),
    ],
)
def test_bad_labels_are_refused(tmp_path, arrays, message):
    flower_files.write(tmp_path, **arrays)
    with pytest.raises(FileError, match=rf"{tmp_path / LABELS}{message}"):
        flower_images(tmp_path)


def test_a_bad_file_of_labels_is_named(tmp_path):
    flower_files.write(tmp_path)
    whole = (tmp_path / LABELS).read_bytes()
    np.savez(tmp_path / "other.npz", label=FEW)
    for content, message in (
        (b"<html>", "cannot be read: File is not a zip file"),
        (b"", "cannot be read: File is not a zip file"),
        (whole[:-40], "cannot be read: File is not a zip file"),
        (saved(FEW), "cannot be read: File is not a zip file"),
        ((tmp_path / "other.npz").read_bytes(), r"holds \['label.npy'\], not labels.npy and class"),
        (None, "cannot be read: No such file"),
    ):
        (tmp_path / LABELS).unlink(missing_ok=True)
        if content is not None:
            (tmp_path / LABELS).write_bytes(content)
        with pytest.raises(FileError, match=rf"{tmp_path / LABELS} {message}.*; expected an .npz"):
            flower_images(tmp_path)


@given(file=st.sampled_from(FILES), place=st.integers(0, 2**14), bit=st.integers(0, 7))
def test_a_flipped_bit_is_refused_or_without_effect(tmp_path_factory, file, place, bit):
    folder = emptied(tmp_path_factory.getbasetemp() / "flowers")
    expected = flower_files.write(folder)
    flip(folder / file, place, bit)
    with contextlib.suppress(FileError):
        found = flower_images(folder)
        np.testing.assert_array_equal(found.images, expected.images)
        np.testing.assert_array_equal(found.labels, expected.labels)
