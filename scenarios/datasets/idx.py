"""IDX files, the format of MNIST: a short header, then the bytes of one array.

The header is two zero bytes, the type of the numbers (8: unsigned byte, the only one in use for
images and labels), the number of dimensions, and the size of each as a big-endian 32-bit number.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["read_idx"]

GZIP_MAGIC = b"\x1f\x8b"
UNSIGNED_BYTE = 0x08


def read_idx(path: Path, n_dimensions: int) -> NDArray[np.uint8]:
    """Read an array of unsigned bytes from an IDX file, plain or compressed by gzip.

    Parameters
    ----------
    path : Path
        The file; its first bytes, not its name, say whether it is compressed.
    n_dimensions : int
        Number of dimensions that the array must have: 3 for images, 1 for labels.

    Returns
    -------
    ndarray of uint8
        Read-only: it lies on the bytes of the file.

    Raises
    ------
    ValueError
        If the file cannot be read, is no IDX file of unsigned bytes, has another number of
        dimensions, or holds fewer or more bytes than its header says; with its path.

    References
    ----------
    Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", section "File
    formats".

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "labels"
    >>> _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3]) + bytes([5, 0, 4]))
    >>> read_idx(path, 1)
    array([5, 0, 4], dtype=uint8)
    """
    content = _content(path)
    shape = _shape(path, content, n_dimensions)
    begin = 4 + 4 * n_dimensions
    expected, found = math.prod(shape), len(content) - begin
    if found != expected:
        sizes = " x ".join(map(str, shape))
        problem = "is cut short" if found < expected else "has more behind its data"
        raise ValueError(
            f"{path} {problem}: its header says {sizes} = {expected} bytes, got {found}"
        )
    return np.frombuffer(content, np.uint8, offset=begin).reshape(shape)


def _content(path: Path) -> bytes:
    """Return the bytes of the file, decompressed."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    if not content.startswith(GZIP_MAGIC):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path} is a cut or damaged gzip file: {error}") from error


def _shape(path: Path, content: bytes, n_dimensions: int) -> tuple[int, ...]:
    """Return the sizes in the header, after a check of all that stands before them."""
    if len(content) < 4 or content[:2] != b"\0\0":
        raise ValueError(
            f"{path} is no IDX file: it must begin with two zero bytes, a type and a number of "
            f"dimensions, got {content[:4]!r}"
        )
    kind, found = content[2], content[3]
    if kind != UNSIGNED_BYTE:
        raise ValueError(
            f"{path} must hold unsigned bytes (IDX type {UNSIGNED_BYTE}), got type {kind}"
        )
    if len(content) < 4 + 4 * found:
        raise ValueError(
            f"{path} is cut short: its header must have {4 + 4 * found} bytes, got {len(content)}"
        )
    shape = struct.unpack_from(f">{found}I", content, 4)
    if found != n_dimensions:
        raise ValueError(
            f"{path} must have {n_dimensions} dimension(s) (images have 3, labels 1), "
            f"got {found}: {shape}"
        )
    return shape
