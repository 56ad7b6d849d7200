"""Files that are written whole, and arrays from files that may be damaged, foreign or forged.

What is written takes the place of what was there at once, or not at all.  What is read is whole and
intact, or refused.  Only regular files are opened, so that nothing hangs.  A header is read first
and says how many bytes follow: 2 GiB at most, or as many as the file has itself.  Memory fills with
what is there, not with what is promised.  One byte more is asked for to see the end, where a packed
file has its checksum.  Nothing in a file is evaluated.
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import math
import os
import re
import secrets
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BufferedIOBase, BufferedRandom, BufferedReader
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from eventsim._support.validate import shown

__all__ = [
    "PARTIAL",
    "Content",
    "FileError",
    "Shape",
    "as_path",
    "described",
    "fits",
    "opened",
    "read_npy",
    "read_npz",
    "regular",
    "replaced",
    "verified",
    "writable",
]

PARTIAL = ".partial"  # how files end that are being written

Shape = tuple[int | None, ...] | None  # None: any, of one size or of all
Kind = Any  # as the second argument of numpy.isdtype
NUMBERS = ("bool", "numeric")
LARGEST = 2**31  # bytes that a smaller file may unpack to
CHUNK = 2**20
GZIP_MAGIC, XZ_MAGIC = b"\x1f\x8b", b"\xfd7zXZ\0"
XZ_CHECKS = (lzma.CHECK_CRC32, lzma.CHECK_CRC64, lzma.CHECK_SHA256)
ENCRYPTED = 1  # bit of a zip member's flags
NPY_MAGIC = b"\x93NUMPY"
SHOWN = 9  # names of arrays in an error
LONGEST_HEADER = 10_000  # bytes, as numpy's own limit
NPY_HEADER = re.compile(  # what numpy writes for numbers; objects, strings, records do not match
    rb"\{ ?'descr': ?'([<>|]?(?:b1|[iu][1248]|f[248]|c8|c16))', ?'fortran_order': ?(True|False), ?"
    rb"'shape': ?\(((?:\d{1,30}, ?)*(?:\d{1,30})?)\),? ?\} *\n?"
)
# All that gzip, lzma and zipfile raise for damaged files.
DAMAGE = (EOFError, MemoryError, OSError, OverflowError, RuntimeError, ValueError, lzma.LZMAError,
          struct.error, zipfile.BadZipFile, zlib.error)  # fmt: skip


class FileError(ValueError):
    """A file is not what it should be.

    Parameters
    ----------
    path : Path or str
        The file, or a part of it.
    wrong : str
        What is wrong with it, as the rest of a sentence that begins with its path.
    expected : str
        What it should be.

    Examples
    --------
    >>> raise FileError(Path("labels.npy"), "is cut short", "10 labels")
    Traceback (most recent call last):
        ...
    eventsim._support.files.FileError: labels.npy is cut short; expected 10 labels
    """

    def __init__(self, path: Path | str, wrong: str, expected: str) -> None:
        super().__init__(path, wrong, expected)

    def __str__(self) -> str:
        path, wrong, expected = self.args
        return f"{path} {wrong}; expected {expected}"


@dataclass(frozen=True)
class Content:
    """What a file holds, unpacked, to be read from front to end.

    Attributes
    ----------
    path : Path or str
        The file, or the part of it.
    expected : str
        What it should be, for errors.
    file : BufferedIOBase
        Its bytes, unpacked.
    has_checksum : bool
        Whether damage is noticed when the end is read.
    largest : int
        Number of bytes that an array in it may have.
    """

    path: Path | str
    expected: str
    file: BufferedIOBase
    has_checksum: bool
    largest: int

    def refusal(self, wrong: str) -> FileError:
        """Return the error that says what is wrong."""
        return FileError(self.path, wrong, self.expected)

    def take(self, size: int, of: str) -> bytes:
        """Return the next bytes, exactly so many; ``of`` names them in errors."""
        taken = np.empty(size, np.uint8)
        self._fill(taken, of)
        return taken.tobytes()

    def array(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], order: Literal["C", "F"] = "C"
    ) -> NDArray[Any]:
        """Return the array that is all the rest."""
        size = math.prod(shape) * dtype.itemsize
        if size > self.largest:
            raise self.refusal(
                f"is too large: its header says {shape} of {dtype} = {size} bytes, "
                f"and at most {self.largest} are read from a file of its size"
            )
        content = np.empty(math.prod(shape), dtype)  # the system gives memory as it is filled
        self._fill(content.view(np.uint8), f"the array {shape} of {dtype} in its header")
        if self.file.read(1):
            raise self.refusal(f"has more behind its data, {shape} of {dtype} = {size} bytes")
        return content.reshape(shape, order=order)

    def _fill(self, bytes_: NDArray[np.uint8], of: str) -> None:
        size, done = bytes_.size, 0
        while done < size:
            n = self.file.readinto(bytes_[done : done + CHUNK].data)
            if n == 0:
                raise self.refusal(f"is cut short: {of} must have {size} bytes, got {done}")
            done += n


def writable(path: str | os.PathLike[str]) -> Path:
    """Return the file that is to be written: what a link leads to; ValueError if none can be."""
    try:
        target = Path(os.path.realpath(as_path(path)))
        found = target.exists()
    except OSError as error:
        raise _no_path(path) from error
    if not target.parent.is_dir():
        raise ValueError(f"path must be in a folder that exists, got {shown(path)}")
    if found and not target.is_file():
        raise ValueError(f"path must be a regular file, or a new one, got {shown(path)}")
    return target


def as_path(path: object) -> Path:
    """Return what can be the name of a file; ValueError if it cannot."""
    try:
        text = os.fspath(path)  # type: ignore[call-overload]
        known = isinstance(text, str) and text and b"\0" not in os.fsencode(text)
    except Exception:  # whatever a foreign object raises
        known = False
    if not known:
        raise _no_path(path)
    return Path(text)


@contextmanager
def replaced(path: Path) -> Iterator[BufferedRandom]:
    """Open a file to write what ``path`` is to hold: whenever the process dies, the old or the new.

    It is a temporary file beside it, which goes to the disk and is then renamed; an exception
    removes it, and leaves ``path`` as it was.  What a kill leaves of it begins with a dot and ends
    with `PARTIAL`.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a"
    >>> with replaced(path) as file:
    ...     n = file.write(b"all")
    >>> path.read_bytes()
    b'all'
    """
    begin = path.name[:50]  # names have a limit
    temporary = path.with_name(f".{begin}.{os.getpid()}-{secrets.token_hex(4)}{PARTIAL}")
    try:
        with temporary.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


@contextmanager
def regular(path: Path, expected: str) -> Iterator[BufferedReader]:
    """Open a regular file; whatever goes wrong with it from then on is a FileError."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # to open a FIFO would wait for its writer
            raise FileError(path, "is no regular file", expected)
        with path.open("rb") as file:
            yield file
    except FileError:
        raise
    except DAMAGE as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise FileError(path, f"cannot be read: {why}", expected) from error


@contextmanager
def opened(path: Path, expected: str) -> Iterator[Content]:
    """Open a regular file, plain or packed by gzip or xz; its first bytes say which.

    Raises
    ------
    FileError
        If it cannot be opened or, within the context, if what is read is damaged.
    """
    with regular(path, expected) as file:
        content, has_checksum = _unpacked(file)
        yield Content(path, expected, content, has_checksum, _largest(file))


@contextmanager
def verified(path: Path, sha256: str, expected: str) -> Iterator[BufferedReader]:
    """Open a file of known content, after a look at all of it.

    Raises
    ------
    FileError
        If it cannot be opened or has another SHA-256 than the given one.
    """
    with regular(path, expected) as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != sha256:
            raise FileError(path, f"has the SHA-256 {found}", f"{expected}, {sha256}")
        file.seek(0)
        yield file


def read_npy(path: Path, shape: Shape, kind: Kind, *, checksum: bool = False) -> NDArray[Any]:
    """Read an array of numbers from a .npy file, plain or packed by gzip or xz.

    Parameters
    ----------
    path : Path
        The file.
    shape : tuple of int or None
        What its shape must be; None in it: any size; None: any shape.
    kind : dtype, str, or tuple of these
        What its type must be, as `numpy.isdtype` takes it.
    checksum : bool
        Whether to refuse a file without a checksum, in which damage would not be seen.

    Raises
    ------
    FileError
        If the file cannot be read, is anything else, or is damaged.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "labels.npy"
    >>> np.save(path, [5, 0, 4])
    >>> read_npy(path, (None,), "integral")
    array([5, 0, 4])
    """
    with opened(path, f"a .npy array {described(shape, kind)}") as content:
        if checksum and not content.has_checksum:
            raise content.refusal("has no checksum, as xz with CRC64 or gzip would give it")
        return _read_npy(content, shape, kind)


def read_npz(
    path: Path,
    wanted: Mapping[str, tuple[Shape, Kind]] | None = None,
    *,
    expected: str = "an .npz archive of numbers",
) -> dict[str, NDArray[Any]]:
    """Read arrays of numbers from an .npz archive.

    Parameters
    ----------
    path : Path
        The file.
    wanted : mapping of str -> (shape, kind), optional
        The arrays to read, and what they must be, as for `read_npy`; the archive may hold others.
        Default: all that it lists.  The list itself has no checksum: damage may hide an array.
    expected : str
        What the archive should be, for errors.

    Returns
    -------
    dict of str -> ndarray
        In the order of ``wanted`` or of the archive.

    Raises
    ------
    FileError
        If the file cannot be read, lacks an array, is anything else, or is damaged.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "arrays.npz"
    >>> np.savez(path, a=[1, 2], b=0.5)
    >>> read_npz(path, {"a": ((None,), "integral")})
    {'a': array([1, 2])}
    """
    expected += f" with {' and '.join(wanted)}" if wanted else ""
    with regular(path, expected) as file, zipfile.ZipFile(file) as archive:
        members = _members(archive, wanted, partial(FileError, path, expected=expected))
        size, largest = sum(member.file_size for member in members), _largest(file)
        if size > largest:
            wrong = f"is too large: its arrays have {size} bytes, and at most {largest} are read"
            raise FileError(path, wrong, expected)
        names = [member.filename.removesuffix(".npy") for member in members]
        return {
            name: _member(path, archive, member, *(wanted[name] if wanted else (None, NUMBERS)))
            for name, member in zip(names, members, strict=True)
        }


def described(shape: Shape, kind: Kind) -> str:
    """Return a shape and a type in words.

    Examples
    --------
    >>> described((None, 4), ("integral", "real floating"))
    '(any, 4) of integral or real floating numbers'
    """
    kinds = kind if isinstance(kind, tuple) else (kind,)
    names = " or ".join(k if isinstance(k, str) else np.dtype(k).name for k in kinds)
    if shape is None:
        return f"of {names} numbers"
    sizes = ", ".join("any" if size is None else str(size) for size in shape)
    return f"({sizes}{',' * (len(shape) == 1)}) of {names} numbers"


def fits(found: tuple[int, ...], shape: Shape) -> bool:
    """Return whether a shape is the wanted one, where None is any size.

    Examples
    --------
    >>> fits((7, 4), (None, 4)), fits((7, 4), (None, 3))
    (True, False)
    """
    return shape is None or (
        len(found) == len(shape)
        and all(wanted in (None, size) for size, wanted in zip(found, shape, strict=True))
    )


def _no_path(path: object) -> ValueError:
    return ValueError(f"path must be the name of a file, a str or os.PathLike, got {shown(path)}")


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unpacked(file: BufferedReader) -> tuple[BufferedIOBase, bool]:
    """Return the unpacked bytes of a file, and whether they have a checksum."""
    magic = file.read(len(XZ_MAGIC) + 2)
    file.seek(0)
    if magic.startswith(GZIP_MAGIC):
        return gzip.GzipFile(fileobj=file), True
    if magic.startswith(XZ_MAGIC):
        return lzma.LZMAFile(file, format=lzma.FORMAT_XZ), magic[-1] in XZ_CHECKS
    return file, False


def _largest(file: BufferedReader) -> int:
    return max(LARGEST, os.fstat(file.fileno()).st_size)


def _read_npy(content: Content, shape: Shape, kind: Kind) -> NDArray[Any]:
    start = content.take(8, "the start of a .npy array")
    versions = {b"\1\0": "<H", b"\2\0": "<I", b"\3\0": "<I"}
    length = versions.get(start[6:])
    if not start.startswith(NPY_MAGIC) or length is None:
        raise content.refusal(f"is no .npy array: it begins with {start!r}")
    (size,) = struct.unpack(length, content.take(struct.calcsize(length), "the header's length"))
    if size > LONGEST_HEADER:
        raise content.refusal(
            f"has a header of {size} bytes, and at most {LONGEST_HEADER} are read"
        )
    header = content.take(size, "the header")
    match = NPY_HEADER.fullmatch(header)
    if match is None:
        raise content.refusal(f"is no array of numbers: its header is {header[:200].rstrip()!r}")
    dtype, fortran = np.dtype(match[1].decode()), match[2] == b"True"
    found = tuple(int(number) for number in match[3].split(b",") if number.strip())
    if not np.isdtype(dtype, kind) or not fits(found, shape):
        raise content.refusal(f"holds {found} of {dtype}")
    return content.array(found, dtype, "F" if fortran else "C")


def _members(
    archive: zipfile.ZipFile, names: Collection[str] | None, error: Callable[[str], FileError]
) -> list[zipfile.ZipInfo]:
    """Return the arrays of these names (None: all), if numpy can have written the archive."""
    found = archive.namelist()
    if len(set(found)) < len(found):
        raise error(f"holds two arrays of one name, {found[:SHOWN]}")
    chosen = found if names is None else [f"{name}.npy" for name in names]
    absent = [name for name in chosen if name not in found]
    if absent:
        raise error(f"holds {found[:SHOWN]}, not {' and '.join(absent)}")
    members = [archive.getinfo(name) for name in chosen]
    for member in members:
        if not member.filename.endswith(".npy"):
            raise error(f"holds {member.filename!r}, which is no .npy array")
        if member.flag_bits & ENCRYPTED:
            raise error(f"holds {member.filename!r}, which is encrypted")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise error(
                f"holds {member.filename!r}, packed by method {member.compress_type} of zip"
            )
    return members


def _member(
    path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo, shape: Shape, kind: Kind
) -> NDArray[Any]:
    name, expected = f"{path}: {member.filename!r}", f"a .npy array {described(shape, kind)}"
    with archive.open(member) as file:
        content = Content(name, expected, cast(BufferedIOBase, file), True, member.file_size)
        return _read_npy(content, shape, kind)
