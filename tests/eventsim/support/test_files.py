"""Arrays from files: what was written comes back, and anything else is refused by one error."""

import contextlib
import gzip
import io
import lzma
import os
import pickle
import re
import socket
import struct
import tracemalloc
import zipfile
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from eventsim._support.files import FileError, read_npy, read_npz, verified
from scenarios.datasets.idx import read_idx
from scenarios.running.checkpoint import load_arrays, save_arrays
from scenarios.running.command.cli import main
from tests.helpers.damage import damaged, damages, put
from tests.helpers.idx_files import as_idx

ONE = np.arange(7)
IMAGES = np.arange(84, dtype=np.uint8).reshape(7, 2, 2, 3)
LABELS = {"labels": ONE, "classes": np.array([0.5, 2.0])}
SHAPE = (None, None, None, 3)
WANTED = {"labels": ((7,), "integral"), "classes": ((None,), "real floating")}


def npy(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def npz(save=np.savez, **arrays):
    buffer = io.BytesIO()
    save(buffer, **(arrays or LABELS))
    return buffer.getvalue()


def zipped(members, method=zipfile.ZIP_STORED):
    """An archive of these (name, content), whatever they are."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def with_header(header, version=1):
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header.encode()


def of_shape(shape, descr="|u1"):
    return with_header(f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n")


def saved_checkpoint(folder):
    path = folder / "checkpoint.npz"
    save_arrays(path, {"params/W": np.eye(2), "step": np.array(3)})
    return path.read_bytes()


def packed_images(path):
    return read_npy(path, SHAPE, np.uint8, checksum=True)


READERS = {  # how the file is made, and how it is read
    "idx, gzip": (lambda _: gzip.compress(as_idx(IMAGES)), lambda path: read_idx(path, SHAPE)[0]),
    "npy, xz": (lambda _: lzma.compress(npy(IMAGES)), packed_images),
    "npy, gzip": (lambda _: gzip.compress(npy(IMAGES)), packed_images),
    "npz": (lambda _: npz(), partial(read_npz, wanted=WANTED)),
    "npz, deflated": (lambda _: npz(np.savez_compressed), partial(read_npz, wanted=WANTED)),
    "checkpoint": (saved_checkpoint, load_arrays),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return {name: make(folder) for name, (make, _) in READERS.items()}


def bits(content):
    arrays = content if isinstance(content, dict) else {"": content}
    return {name: (a.dtype.str, a.shape, a.tobytes()) for name, a in arrays.items()}


def assert_refused_or_same(path, name, whole, content):
    """Reading ends in the very same bits or in the one error."""
    read = READERS[name][1]
    put(path, whole[name])
    expected = bits(read(path))
    put(path, content)
    with contextlib.suppress(FileError):
        assert bits(read(path)) == expected


@pytest.mark.parametrize("name", READERS)
@given(damage=damages)
def test_damage_is_refused_or_without_effect(tmp_path_factory, whole, name, damage):
    path = tmp_path_factory.getbasetemp() / "damaged"
    assert_refused_or_same(path, name, whole, damaged(whole[name], damage))


def zipped_labels(content):
    return zipped([("labels.npy", content)], zipfile.ZIP_DEFLATED)


read_labels = partial(read_npz, wanted={"labels": ((7,), "integral")})
FORGERS = {  # damage below the checksum, which is then right
    "idx": (as_idx(IMAGES), gzip.compress, READERS["idx, gzip"][1]),
    "npy": (npy(IMAGES), gzip.compress, packed_images),
    "npz": (npy(ONE), zipped_labels, lambda path: read_labels(path)["labels"]),
}


@pytest.mark.parametrize("name", FORGERS)
@given(damage=damages, in_header=st.booleans())
def test_forged_content_is_refused_or_what_was_wanted(tmp_path_factory, name, damage, in_header):
    content, pack, read = FORGERS[name]
    path = tmp_path_factory.getbasetemp() / "forged"
    size = (20 if name == "idx" else 128) if in_header else 2**14
    damage = [(kind, place % size, what) for kind, place, what in damage]
    put(path, pack(damaged(content, damage)))
    with contextlib.suppress(FileError):
        found = read(path)
        assert found.shape == (7,) if name == "npz" else found.shape[3:] == (3,)
        assert found.dtype.kind in ("iu" if name == "npz" else "u")


@pytest.mark.parametrize("name", READERS)
def test_no_cut_goes_unnoticed(tmp_path, whole, name):
    path = tmp_path / "cut"
    for size in range(len(whole[name])):
        put(path, whole[name][:size])
        with pytest.raises(FileError, match="cut"):
            READERS[name][1](path)


@pytest.mark.parametrize("name", READERS)
@given(start=st.integers(0, 40), rest=st.binary(max_size=300))
def test_random_bytes_are_refused(tmp_path_factory, whole, name, start, rest):
    path = tmp_path_factory.getbasetemp() / "random"
    assert_refused_or_same(path, name, whole, whole[name][:start] + rest)


@given(
    hnp.arrays(
        st.sampled_from(["|b1", "|u1", "<i2", ">i4", "<f8", ">f2", "<c16"]),
        hnp.array_shapes(min_dims=0, min_side=0),
    ),
    st.booleans(),
    st.sampled_from([bytes, gzip.compress, lzma.compress]),
)
def test_numbers_of_any_type_shape_and_order_come_back(tmp_path_factory, array, fortran, pack):
    path = tmp_path_factory.getbasetemp() / "array"
    array = np.asfortranarray(array) if fortran else array
    put(path, pack(npy(array)))
    assert bits(read_npy(path, array.shape, ("bool", "numeric"))) == bits(array)
    put(path, npz(np.savez_compressed, a=array, b=array[None]))
    assert bits(read_npz(path)) == bits({"a": array, "b": array[None]})


FOREIGN = {
    "nothing": (b"", "is cut short: the start of a .npy array must have 8 bytes, got 0"),
    "a page": (b"<!DOCTYPE html>", "is no .npy array: it begins with b'<!DOCTYP'"),
    "an npz": (npz(), r"is no .npy array: it begins with b'PK"),
    "no checksum": (npy(IMAGES), "has no checksum, as xz with CRC64 or gzip would give it"),
    "no checksum, xz": (lzma.compress(npy(IMAGES), check=lzma.CHECK_NONE), "has no checksum"),
    "lzma alone": (lzma.compress(npy(IMAGES), lzma.FORMAT_ALONE), "has no checksum"),
    "version 9": (b"\x93NUMPY\x09\0" + bytes(90), "is no .npy array"),
    "objects": (npy(np.array([{}, 1]), allow_pickle=True), r"is no array of numbers: .*'\|O'"),
    "strings": (npy(np.array(["a", "b"])), "is no array of numbers: its header is .*'<U1'"),
    "records": (npy(np.zeros(2, "u1,f8")), "is no array of numbers: its header is"),
    "dates": (npy(np.zeros(2, "M8[s]")), "is no array of numbers: its header is .*'<M8"),
    "long doubles": (of_shape("(1, 1, 1, 3)", "<f16"), "is no array of numbers"),
    "code": (with_header("__import__('os').abort()"), "is no array of numbers"),
    "an open header": (with_header("{'descr': '|u1', 'shape': (3"), "is no array of numbers"),
    "nested brackets": (with_header("(" * 9000), "is no array of numbers"),
    "nested minus": (with_header("-" * 9000 + "1"), "is no array of numbers"),
    "a long header": (with_header(" " * 20_000), "has a header of 20000 bytes, and at most 10000"),
    "4 GB of header": (
        b"\x93NUMPY\2\0" + b"\xff" * 4 + bytes(90), "has a header of 4294967295 bytes"
    ),
    "other numbers": (npy(IMAGES.astype(float)), r"holds \(7, 2, 2, 3\) of float64"),
    "another shape": (npy(IMAGES[0]), r"holds \(2, 2, 3\) of uint8"),
    "a negative size": (of_shape("(-1, 1, 1, 3)"), "is no array of numbers"),
    "2**70": (of_shape(f"({2**70}, 1, 1, 3)"), f"is too large: its header says .* {3 * 2**70} by"),
    "10**15": (of_shape(f"({10**15}, 1, 1, 3)"), f"is too large: .* = {3 * 10**15} bytes"),
    "10**9": (of_shape("(10, 10000, 1000, 3)"), "is cut short: .* 300000000 bytes, got 0"),
    "0 of 10**20": (of_shape(f"(0, 1, {10**20}, 3)"), "cannot be read: "),
    "many digits": (of_shape("(" + "9" * 400 + ", 1, 1, 3)"), "is no array of numbers"),
    "more behind": (npy(IMAGES) + b"\0", r"has more behind its data, \(7, 2, 2, 3\) of uint8 = 84"),
    "less": (npy(IMAGES)[:-1], "is cut short: the array .* must have 84 bytes, got 83"),
}  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_no_array_of_numbers_is_refused_in_words(tmp_path, name):
    content, message = FOREIGN[name]
    path = tmp_path / "images.npy"
    unpacked = "checksum" in name or name == "lzma alone"
    put(path, content if unpacked else gzip.compress(content))
    with pytest.raises(FileError) as caught:
        packed_images(path)
    expected = rf"{path} {message}.*; expected a .npy array \(any, any, any, 3\) of uint8 numbers"
    assert re.fullmatch(expected, str(caught.value), re.DOTALL)


def encrypted():
    """An archive whose members are marked as encrypted, in both places."""
    content = bytearray(npz(labels=ONE))
    for signature, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(signature) + place] |= 1
    return bytes(content)


def listed_as(field, value):
    """An archive whose list says something else of its member: sizes, or where it is."""
    content = bytearray(npz(labels=ONE))
    begin = content.index(b"PK\1\2") + field
    content[begin : begin + 4] = struct.pack("<I", value)
    return bytes(content)


FOREIGN_ARCHIVES = {
    "nothing": (b"", "cannot be read: File is not a zip file"),
    "an npy": (npy(ONE), "cannot be read: File is not a zip file"),
    "no arrays": (zipped([]), r"holds \[\], not labels.npy"),
    "another array": (npz(label=ONE), r"holds \['label.npy'\], not labels.npy"),
    "a text": (zipped([("labels", b"7")]), r"holds \['labels'\], not labels.npy"),
    "two of a name": (
        zipped([("labels.npy", npy(ONE)), ("Labels.npy", npy(ONE))]).replace(b"Labels", b"labels"),
        "holds two arrays of one name",
    ),
    "encrypted": (encrypted(), "holds 'labels.npy', which is encrypted"),
    "bzip2": (zipped([("labels.npy", npy(ONE))], zipfile.ZIP_BZIP2), "packed by method 12 of zip"),
    "lzma": (zipped([("labels.npy", npy(ONE))], zipfile.ZIP_LZMA), "packed by method 14 of zip"),
    "large": (listed_as(24, 2**32 - 2), "is too large: its arrays have 4294967294 bytes"),
    "elsewhere": (listed_as(42, 2**32 - 2), "cannot be read: "),
    "objects": (npz(labels=np.array([{}])), r": 'labels.npy' is no array of numbers: .*'\|O'"),
    "strings": (npz(labels=np.array(["a"])), ": 'labels.npy' is no array of numbers"),
    "others": (npz(labels=np.arange(6)), r": 'labels.npy' holds \(6,\) of int64"),
    "10**15": (zipped([("labels.npy", of_shape(f"({10**15},)"))]), r" holds \(1000000000000000,\)"),
    "an open header": (zipped([("labels.npy", with_header("{'descr': ("))]), "no array of numbers"),
    "a damaged header": (
        npz(labels=ONE).replace(b"(7,)", b"(7,("),
        "cannot be read: Bad CRC",
    ),
}


@pytest.mark.parametrize("name", FOREIGN_ARCHIVES)
def test_what_is_no_archive_of_these_arrays_is_refused_in_words(tmp_path, name):
    content, message = FOREIGN_ARCHIVES[name]
    path = tmp_path / "labels.npz"
    put(path, content)
    with pytest.raises(FileError) as caught:
        read_npz(path, {"labels": ((7,), "integral")})
    assert re.match(rf"{path}.*{message}.*; expected an? .*", str(caught.value), re.DOTALL)
    if name != "others":  # any numbers will do there, but not without a digest
        with pytest.raises(FileError, match=r"labels.npz.*; expected"):
            load_arrays(path)


def test_other_arrays_of_an_archive_are_not_looked_at(tmp_path):
    path = tmp_path / "labels.npz"
    put(path, npz(labels=ONE, names=np.array(["petunia"])))
    assert read_npz(path, {"labels": ((7,), "integral")})["labels"].tolist() == list(range(7))


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


NO_FILES = {
    "fifo": (os.mkfifo, "is no regular file"),
    "socket": (make_socket, "is no regular file"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "is no regular file"),
    "folder": (lambda path: path.mkdir(), "is no regular file"),
    "loop of links": (
        lambda path: path.symlink_to(path), "cannot be read: Too many levels of symbolic links"
    ),
    "nothing": (lambda _: None, "cannot be read: No such file or directory"),
}  # fmt: skip


@pytest.mark.parametrize("kind", NO_FILES)
@pytest.mark.parametrize(
    "read",
    [packed_images, read_npz, load_arrays, partial(read_idx, shape=(None,))],
    ids=["npy", "npz", "checkpoint", "idx"],
)
def test_only_regular_files_are_opened(tmp_path, kind, read):
    make, message = NO_FILES[kind]
    path = tmp_path / "it"
    make(path)
    with pytest.raises(FileError, match=rf"{re.escape(str(path))} {message}.*; expected an? "):
        read(path)


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000])
def test_a_name_that_no_file_can_have_is_refused(tmp_path, name):
    with pytest.raises(FileError, match="cannot be read: "):
        read_npz(tmp_path / name)


LONG = 2**25
read_images = partial(read_idx, shape=SHAPE)
BOMBS = {
    "no header, gzip": (b"", gzip.compress, packed_images),
    "no header, xz": (b"", lzma.compress, packed_images),
    "no header, idx": (b"", gzip.compress, read_images),
    "no header, npz": (b"", zipped_labels, load_arrays),
    "small, gzip": (npy(IMAGES), gzip.compress, packed_images),
    "small, xz": (npy(IMAGES), lzma.compress, packed_images),
    "small, idx": (as_idx(IMAGES), gzip.compress, read_images),
    "small, npz": (npy(ONE), zipped_labels, read_labels),
    "of another shape, gzip": (of_shape((1, LONG, 1)), gzip.compress, packed_images),
    "of another shape, idx": (
        b"\0\0\x08\1" + struct.pack(">I", LONG), gzip.compress, partial(read_idx, shape=(60_000,))
    ),
    "of another shape, npz": (of_shape((LONG,)), zipped_labels, read_labels),
    "more than may be": (of_shape((2**31, 1, 1, 3)), gzip.compress, packed_images),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_takes_no_large_memory_before_it_is_refused(tmp_path, name):
    start, pack, read = BOMBS[name]
    path = tmp_path / "bomb"
    put(path, pack(start + bytes(LONG)))
    tracemalloc.start()
    try:
        with pytest.raises(FileError, match=rf"{path}.*; expected an? "):
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 2**24  # 2**23: the window of xz
    finally:
        tracemalloc.stop()


def test_a_file_of_known_content_is_nothing_else(tmp_path):
    path = tmp_path / "known"
    put(path, b"content")
    digest = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
    with verified(path, digest, "the published file") as file:
        assert file.read() == b"content"
    put(path, b"Content")
    with (
        pytest.raises(
            FileError, match=rf"known has the SHA-256 .*; expected the .* file, {digest}"
        ),
        verified(path, digest, "the published file"),
    ):
        pytest.fail("it must not be opened")


def test_the_error_survives_pickling(tmp_path):
    error = FileError(tmp_path / "a", "is cut short", "all of it")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy)) == (
        FileError,
        f"{tmp_path / 'a'} is cut short; expected all of it",
    )


def test_the_command_says_it_in_one_line(tmp_path, capsys):
    pytest.importorskip("tyro", reason="the extra scenarios is not installed")
    data, run = tmp_path / "data", tmp_path / "run"
    data.mkdir()
    os.mkfifo(data / "train_samples.npy")
    assert main(["run", "yin_yang", "--data-dir", str(data), "--folder", str(run)]) == 2
    message = f"eventsim: error: {data / 'train_samples.npy'} is no regular file; expected a .npy"
    assert capsys.readouterr().err.startswith(message)
    assert not run.exists()
