"""IDX files, the format of MNIST: a short header, then the bytes of one array.

The header is two zero bytes, the type of the numbers (8: unsigned byte, the only one in use for
images and labels), the number of dimensions, and the size of each as a big-endian 32-bit number.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventsim._support.files import Content, Shape, described, fits, opened

__all__ = ["read_idx"]

UNSIGNED_BYTE = 0x08


def read_idx(path: Path, shape: Shape) -> tuple[NDArray[np.uint8], bool]:
    """Read an array of unsigned bytes from an IDX file, plain or packed by gzip (or xz).

    Parameters
    ----------
    path : Path
        The file; its first bytes, not its name, say whether it is packed.
    shape : tuple of int or None
        What the shape of the array must be; None: any size.

    Returns
    -------
    array : ndarray of uint8
        The array.
    has_checksum : bool
        Whether the file is packed, so that its checksum proves the array undamaged.

    Raises
    ------
    FileError
        If the file cannot be read, is no IDX file of unsigned bytes, has another shape, or holds
        fewer or more bytes than its header says.

    References
    ----------
    Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", section "File
    formats".

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "labels"
    >>> _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3]) + bytes([5, 0, 4]))
    >>> read_idx(path, (None,))
    (array([5, 0, 4], dtype=uint8), False)
    """
    with opened(path, f"an IDX file, {described(shape, np.uint8)}") as content:
        found = _shape(content)
        if not fits(found, shape):
            raise content.refusal(f"holds {found}")
        return content.array(found, np.dtype(np.uint8)), content.has_checksum


def _shape(content: Content) -> tuple[int, ...]:
    """Return the sizes in the header, after a check of all that stands before them."""
    start = content.take(4, "the start of an IDX file")
    if start[:2] != b"\0\0":
        raise content.refusal(f"is no IDX file: it begins with {start!r}, not with two zero bytes")
    kind, n_dimensions = start[2:]
    if kind != UNSIGNED_BYTE:
        raise content.refusal(f"holds numbers of IDX type {kind}, not {UNSIGNED_BYTE}")
    sizes = content.take(4 * n_dimensions, "the sizes in the header")
    return struct.unpack(f">{n_dimensions}I", sizes)
