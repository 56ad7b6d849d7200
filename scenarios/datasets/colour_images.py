"""Colour images of 32 x 32 pixels (CIFAR-10, SVHN), and grey ones in the same form."""

from __future__ import annotations

import lzma
import tarfile
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventsim._validate import check_choice
from scenarios.datasets.images import fashion_mnist, mnist
from scenarios.datasets.labelled_images import LabelledImages
from scenarios.datasets.sources import Source, download, find_folder

__all__ = ["CIFAR_10", "DATA_SETS", "cifar10", "load_colour_images", "svhn"]

SIDE, N_CLASSES = 32, 10
CIFAR_10 = Source(
    title="CIFAR-10",
    folder="cifar-10",
    sha256={
        "cifar-10-binary.tar.gz":
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    },
    mirrors=("https://www.cs.toronto.edu/~kriz/",),
)  # fmt: skip
ARCHIVE = next(iter(CIFAR_10.sha256))
BATCHES = {  # of the archive, each of 10 000 images
    "train": tuple(f"cifar-10-batches-bin/data_batch_{k}.bin" for k in range(1, 6)),
    "test": ("cifar-10-batches-bin/test_batch.bin",),
}
BATCH_SIZE = 10_000
ARRAYS = {  # the same images as compressed arrays
    "train": tuple(f"train_images_{k}.npy.xz" for k in range(1, 6)),
    "test": ("test_images.npy.xz",),
}
TABLES = {"train": "train_32x32.mat", "test": "test_32x32.mat"}  # of SVHN


def cifar10(data_dir: str | Path | None = None) -> dict[str, LabelledImages]:
    """Return CIFAR-10: photographs of animals and vehicles.

    Parameters
    ----------
    data_dir : path, optional
        Folder that holds the official ``cifar-10-binary.tar.gz``, or the same images as arrays
        (``train_images_1.npy.xz`` to ``_5``, ``test_images.npy.xz``, ``train_labels.npy.xz``,
        ``test_labels.npy.xz``), itself or in a subfolder ``cifar-10``.  Default: the environment
        variable EVENTSIM_DATA in the same way; else the archive is downloaded, once, and checked.

    Returns
    -------
    dict of str -> LabelledImages
        "train" (50 000 images, official order) and "test" (10 000); classes: 0 airplane,
        1 automobile, 2 bird, 3 cat, 4 deer, 5 dog, 6 frog, 7 horse, 8 ship, 9 truck.

    Raises
    ------
    ValueError
        If a file is missing in the named folder or is not what it should be, with its path.
    DownloadError
        If the archive has to be downloaded, and cannot.

    References
    ----------
    Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
    """
    names = [*ARRAYS["train"], *ARRAYS["test"], ARCHIVE]
    folder = find_folder(CIFAR_10.folder, names, data_dir) or download(CIFAR_10)
    as_arrays = any((folder / name).exists() for name in names[:-1])
    read = _arrays if as_arrays else _archive
    return {part: read(folder, part) for part in ("train", "test")}


def svhn(data_dir: str | Path | None = None) -> dict[str, LabelledImages]:
    """Return SVHN, cropped digits of house numbers, from files that the user has.

    Parameters
    ----------
    data_dir : path, optional
        Folder that holds ``train_32x32.mat`` and ``test_32x32.mat``, itself or in a subfolder
        ``svhn``.  Default: the environment variable EVENTSIM_DATA in the same way.

    Returns
    -------
    dict of str -> LabelledImages
        "train" (73 257 images) and "test" (26 032); the class is the digit (the files write 10 for
        the digit 0).

    Raises
    ------
    ValueError
        If a file is missing or is not what it should be, with its path.

    References
    ----------
    Netzer et al., "Reading digits in natural images with unsupervised feature learning", 2011.
    """
    folder = find_folder("svhn", list(TABLES.values()), data_dir)
    if folder is None:
        raise ValueError(
            f"SVHN is not downloaded: get {' and '.join(TABLES.values())} from "
            "http://ufldl.stanford.edu/housenumbers and name their folder with --data-dir"
        )
    return {part: _table(folder / name) for part, name in TABLES.items()}


def _framed(load: Callable[..., dict[str, LabelledImages]], data_dir: Any) -> Any:
    """Return grey images of 28 x 28 in a black frame of two pixels."""
    frame = ((0, 0), (2, 2), (2, 2), (0, 0))
    return {
        part: LabelledImages(np.pad(data.images[..., None], frame), data.labels)
        for part, data in load(data_dir).items()
    }


DATA_SETS: Mapping[str, Callable[..., dict[str, LabelledImages]]] = {
    "cifar10": cifar10,
    "svhn": svhn,
    "mnist": partial(_framed, mnist),
    "fashion_mnist": partial(_framed, fashion_mnist),
}


def load_colour_images(name: str, data_dir: str | Path | None = None) -> dict[str, LabelledImages]:
    """Return a data set by its name: "cifar10", "svhn", "mnist" or "fashion_mnist".

    Grey images of 28 x 28 pixels get a black frame of two pixels.

    Raises
    ------
    ValueError, DownloadError
        As `cifar10`; also if there is no data set of this name.
    """
    check_choice(name, DATA_SETS, "data")
    return DATA_SETS[name](data_dir)


def _arrays(folder: Path, part: str) -> LabelledImages:
    """Return a part of CIFAR-10 from compressed arrays."""
    shape = (BATCH_SIZE, SIDE, SIDE, 3)
    with ThreadPoolExecutor() as pool:  # lzma releases the interpreter lock
        arrays = pool.map(lambda name: _array(folder / name, shape), ARRAYS[part])
        images = np.concatenate(list(arrays))
    path = folder / f"{part}_labels.npy.xz"
    return _checked(path, images, _array(path, (len(images),)))


def _array(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    if not path.is_file():
        wanted = ", ".join([*ARRAYS["train"], *ARRAYS["test"]])
        raise ValueError(
            f"no file {path}: the folder of CIFAR-10 must hold {wanted}, train_labels.npy.xz and "
            f"test_labels.npy.xz, or {ARCHIVE} alone"
        )
    try:
        with lzma.open(path) as file:
            array: NDArray[Any] = np.load(file, allow_pickle=False)
    except (lzma.LZMAError, ValueError, EOFError, OSError) as error:
        raise ValueError(f"{path} is no whole .npy.xz file: {error}") from error
    if array.shape != shape or array.dtype != np.uint8:
        raise ValueError(
            f"{path} must hold {shape} numbers of uint8, got {array.shape} of {array.dtype}"
        )
    return array


def _archive(folder: Path, part: str) -> LabelledImages:
    """Return a part of CIFAR-10 from the official archive: records of a label and 3072 bytes."""
    path = folder / ARCHIVE
    try:
        with tarfile.open(path) as archive:
            batches = [_batch(path, archive, name) for name in BATCHES[part]]
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path} is no whole tar.gz file: {error}") from error
    records = np.concatenate(batches)
    images = records[:, 1:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    return _checked(path, np.ascontiguousarray(images), records[:, 0])


def _batch(path: Path, archive: tarfile.TarFile, name: str) -> NDArray[np.uint8]:
    size = 1 + 3 * SIDE * SIDE
    try:
        file = archive.extractfile(name)
    except KeyError:
        file = None
    if file is None:
        raise ValueError(f"{path} must hold a file {name}, got {archive.getnames()}")
    content = np.frombuffer(file.read(), np.uint8)
    if content.size != BATCH_SIZE * size:
        raise ValueError(
            f"{name} in {path} must have {BATCH_SIZE} x {size} bytes, got {content.size}"
        )
    return content.reshape(BATCH_SIZE, size)


def _table(path: Path) -> LabelledImages:
    """Return a part of SVHN: X is (row, column, channel, sample), y the digit, 10 for 0."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    if not path.is_file():
        raise ValueError(
            f"no file {path}: the folder of SVHN must hold {', '.join(TABLES.values())}"
        )
    try:
        content = loadmat(path, variable_names=("X", "y"))
    except (MatReadError, ValueError, TypeError, EOFError, OSError, zlib.error,
            NotImplementedError) as error:  # fmt: skip
        raise ValueError(f"{path} is no whole MATLAB file: {error}") from error
    if not {"X", "y"} <= set(content):
        found = sorted(name for name in content if not name.startswith("__"))
        raise ValueError(f"{path} must hold the arrays X and y, got {found}")
    images, digits = content["X"], content["y"].ravel()
    if images.ndim != 4 or images.shape[:3] != (SIDE, SIDE, 3) or images.dtype != np.uint8:
        raise ValueError(
            f"{path} must hold images ({SIDE}, {SIDE}, 3, n_samples) of uint8, "
            f"got {images.shape} of {images.dtype}"
        )
    if not np.all((digits >= 1) & (digits <= N_CLASSES)):
        raise ValueError(f"{path} must hold digits from 1 to 10 (10 for 0), got {set(digits)}")
    return _checked(path, np.ascontiguousarray(images.transpose(3, 0, 1, 2)), digits % 10)


def _checked(path: Path, images: NDArray[np.uint8], labels: NDArray[Any]) -> LabelledImages:
    try:
        found = LabelledImages(images, labels.astype(np.int64))
        found.check_classes(N_CLASSES)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return found
