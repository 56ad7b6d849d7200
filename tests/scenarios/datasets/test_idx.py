"""The IDX reader: what was written comes back, and nothing else is taken for it."""

import gzip
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventsim._support.files import FileError
from scenarios.datasets.idx import read_idx
from tests.helpers.damage import put
from tests.helpers.idx_files import as_idx

LABELS = np.array([5, 0, 4, 1], np.uint8)
IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=4), st.booleans(), st.randoms())
def test_an_array_of_any_shape_comes_back(tmp_path_factory, shape, compressed, random):
    array = np.array([random.randrange(256) for _ in range(math.prod(shape))], np.uint8)
    array = array.reshape(shape)
    path = tmp_path_factory.getbasetemp() / "array"
    put(path, gzip.compress(as_idx(array)) if compressed else as_idx(array))
    read, has_checksum = read_idx(path, tuple(shape))
    assert read.dtype == np.uint8
    assert has_checksum == compressed
    np.testing.assert_array_equal(read, array)


def test_the_name_does_not_say_whether_a_file_is_compressed(tmp_path):
    path = tmp_path / "labels.gz"
    put(path, as_idx(LABELS))
    np.testing.assert_array_equal(read_idx(path, (None,))[0], LABELS)


PLAIN, PACKED = as_idx(IMAGES), gzip.compress(as_idx(IMAGES), mtime=0)


SHAPE = (None, 3, 4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is cut short: the start of an IDX file must have 4 bytes, got 0"),
        (b"\0\0\x08", "is cut short: the start of an IDX file must have 4 bytes, got 3"),
        (b"\x89PNG\r\n", r"is no IDX file: it begins with b'\\x89PNG', not with two zero bytes"),
        (as_idx(IMAGES, kind=0x0D), "holds numbers of IDX type 13, not 8"),
        (PLAIN[:9], "is cut short: the sizes in the header must have 12 bytes, got 5"),
        (as_idx(LABELS), r"holds \(4,\)"),
        (as_idx(IMAGES[None]), r"holds \(1, 2, 3, 4\)"),
        (as_idx(IMAGES[:, :2]), r"holds \(2, 2, 4\)"),
        (PLAIN[:-1], r"is cut short: the array \(2, 3, 4\) of uint8 .* must have 24 bytes, got 23"),
        (PLAIN + b"x", r"has more behind its data, \(2, 3, 4\) of uint8 = 24 bytes"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "holds"),
        (b"\0\0\x08\x03" + b"\xff" * 4 + PLAIN[8:], "is too large: .*4294967295.* are read"),
        (PACKED[:-10], "cannot be read: Compressed file ended"),
        (PACKED[:5], "cannot be read: Compressed file ended"),
        (PACKED[:-3], "cannot be read: Compressed file ended"),
        (PACKED[:-6] + b"\0\0" + PACKED[-4:], "cannot be read: CRC check failed"),
        (PACKED[:12] + b"\xff\xff\xff" + PACKED[15:], "cannot be read: "),
        (PACKED + b"garbage", "cannot be read: Not a gzipped file"),
        (PACKED + gzip.compress(b"more", mtime=0), "has more behind its data"),
        (gzip.compress(b"something else", mtime=0), "is no IDX file: it begins with b'some'"),
    ],
)
def test_a_file_that_is_not_what_it_says_is_refused_with_its_path(tmp_path, content, message):
    path = tmp_path / "train-images"
    put(path, content)
    expected = rf"images {message}.*; expected an IDX file, \(any, 3, 4\) of uint8 numbers"
    with pytest.raises(FileError, match=expected):
        read_idx(path, SHAPE)


def test_no_cut_goes_unnoticed(tmp_path):
    path = tmp_path / "images"
    for size in range(len(PLAIN)):
        put(path, PLAIN[:size])
        with pytest.raises(FileError, match="images"):
            read_idx(path, SHAPE)
