"""The IDX reader: what was written comes back, and nothing else is taken for it."""

import gzip
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.datasets.idx import read_idx
from tests.scenarios.idx_files import as_idx

LABELS = np.array([5, 0, 4, 1], np.uint8)
IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=4), st.booleans(), st.randoms())
def test_an_array_of_any_shape_comes_back(tmp_path_factory, shape, compressed, random):
    array = np.array([random.randrange(256) for _ in range(math.prod(shape))], np.uint8)
    array = array.reshape(shape)
    path = tmp_path_factory.getbasetemp() / "array"
    path.write_bytes(gzip.compress(as_idx(array)) if compressed else as_idx(array))
    read = read_idx(path, len(shape))
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, array)


def test_the_name_does_not_say_whether_a_file_is_compressed(tmp_path):
    path = tmp_path / "labels.gz"
    path.write_bytes(as_idx(LABELS))
    np.testing.assert_array_equal(read_idx(path, 1), LABELS)


PLAIN, PACKED = as_idx(IMAGES), gzip.compress(as_idx(IMAGES), mtime=0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"no IDX file: it must begin with two zero bytes.* got b''"),
        (b"\0\0\x08", "no IDX file"),
        (b"\x89PNG\r\n", r"no IDX file: .* got b'\\x89PNG'"),
        (as_idx(IMAGES, kind=0x0D), r"must hold unsigned bytes \(IDX type 8\), got type 13"),
        (PLAIN[:9], "is cut short: its header must have 16 bytes, got 9"),
        (as_idx(LABELS), r"must have 3 dimension.* \(images have 3, labels 1\), got 1: \(4,\)"),
        (as_idx(IMAGES[None]), r"got 4: \(1, 2, 3, 4\)"),
        (PLAIN[:-1], "is cut short: its header says 2 x 3 x 4 = 24 bytes, got 23"),
        (PLAIN + b"x", "has more behind its data: its header says 2 x 3 x 4 = 24 bytes, got 25"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "is cut short: its header says 4294967295 x 4294967295"),
        (PACKED[:-10], "is a cut or damaged gzip file"),
        (PACKED[:5], "is a cut or damaged gzip file"),
        (PACKED[:-3], "is a cut or damaged gzip file"),
        (PACKED[:-6] + b"\0\0" + PACKED[-4:], "is a cut or damaged gzip file: CRC"),
        (PACKED[:12] + b"\xff\xff\xff" + PACKED[15:], "is a cut or damaged gzip file"),
        (PACKED + b"garbage", "is a cut or damaged gzip file"),
        (PACKED + gzip.compress(b"more", mtime=0), "has more behind its data"),
        (gzip.compress(b"something else", mtime=0), r"no IDX file: .* got b'some'"),
    ],
)
def test_a_file_that_is_not_what_it_says_is_refused_with_its_path(tmp_path, content, message):
    path = tmp_path / "train-images"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"train-images .*{message}"):
        read_idx(path, 3)


def test_no_cut_goes_unnoticed(tmp_path):
    path = tmp_path / "images"
    for content in (PLAIN, PACKED):
        for size in range(len(content)):
            path.write_bytes(content[:size])
            with pytest.raises(ValueError, match="images"):
                read_idx(path, 3)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"nothing cannot be read: No such file"):
        read_idx(tmp_path / "nothing", 1)
    with pytest.raises(ValueError, match=r"cannot be read: Is a directory"):
        read_idx(tmp_path, 1)
