"""Colour images of 32 x 32 pixels (CIFAR-10, SVHN), and grey ones in the same form."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventsim._support.files import FileError, read_npy, verified
from eventsim._support.validate import check_choice
from scenarios.datasets.images import fashion_mnist, mnist
from scenarios.datasets.labelled_images import LabelledImages
from scenarios.datasets.sources import Source, download, find_folder

__all__ = ["CIFAR_10", "DATA_SETS", "cifar10", "load_colour_images", "svhn"]

SIDE = 32
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
CONTENTS = {  # SHA-256 of the numbers in these files, however they are compressed
    "train_images_1.npy.xz": "fc115a3de050d667b88cbd5b0b9612ebf996c54230fe7758f3a14bb5af9a1c27",
    "train_images_2.npy.xz": "89e609b642f687bc796fa3bfa4211005582a0e8131d463d996d11ddb297d312e",
    "train_images_3.npy.xz": "93a365823e61729490a8801d80864ccd0ab1e8c98f19d71af65644d1c5f1486e",
    "train_images_4.npy.xz": "809eb95ecd057a36516318f5023ea619009dd70dd38193db9da43125a928e6fa",
    "train_images_5.npy.xz": "d05b7d66d216d6df882cc760cdc0ff2f1f0437abf699ed16005c021ef0add9cb",
    "train_labels.npy.xz": "2b7cd2f24487317614016b72ffd53071c3062f592f0eb300c18a770d41ae1253",
    "test_images.npy.xz": "f9b1e2130bab680db56eb06d886f7f1ad0f1183907ceff4659d1735c890f5b04",
    "test_labels.npy.xz": "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5",
}
TABLES = {"train": "train_32x32.mat", "test": "test_32x32.mat"}  # of SVHN
SVHN_SHA256 = {  # of the published files
    "train_32x32.mat": "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
    "test_32x32.mat": "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
}


def cifar10(data_dir: str | Path | None = None) -> dict[str, LabelledImages]:
    """Return CIFAR-10: photographs of animals and vehicles.

    Parameters
    ----------
    data_dir : path, optional
        Folder that holds the official ``cifar-10-binary.tar.gz``, or the same images as arrays
        (``train_images_1.npy.xz`` to ``_5``, ``test_images.npy.xz``, ``train_labels.npy.xz``,
        ``test_labels.npy.xz``), itself or in a subfolder ``cifar-10``.  Default: the environment
        variable EVENTSIM_DATA in the same way; else the archive is downloaded, once.  In each case
        the content must be the published one, by its SHA-256.

    Returns
    -------
    dict of str -> LabelledImages
        "train" (50 000 images, official order) and "test" (10 000); classes: 0 airplane,
        1 automobile, 2 bird, 3 cat, 4 deer, 5 dog, 6 frog, 7 horse, 8 ship, 9 truck.

    Raises
    ------
    ValueError
        If a file is missing in the named folder, is not what it should be, or is damaged
        (`FileError`, with its path).
    DownloadError
        If the archive has to be downloaded, and cannot.

    References
    ----------
    Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
    """
    names = [*ARRAYS["train"], *ARRAYS["test"], ARCHIVE]
    folder = find_folder(CIFAR_10.folder, names, data_dir) or download(CIFAR_10)
    as_arrays = any((folder / name).exists() for name in names[:-1])
    if as_arrays:
        return {part: _arrays(folder, part) for part in ARRAYS}
    return _archive(folder / ARCHIVE)


def svhn(data_dir: str | Path | None = None) -> dict[str, LabelledImages]:
    """Return SVHN, cropped digits of house numbers, from files that the user has.

    Parameters
    ----------
    data_dir : path, optional
        Folder that holds ``train_32x32.mat`` and ``test_32x32.mat``, itself or in a subfolder
        ``svhn``.  Default: the environment variable EVENTSIM_DATA in the same way.  They must be
        the published files, by their SHA-256: a MATLAB file need not have a checksum of its own.

    Returns
    -------
    dict of str -> LabelledImages
        "train" (73 257 images) and "test" (26 032); the class is the digit (the files write 10 for
        the digit 0).

    Raises
    ------
    ValueError
        If a file is missing, is not what it should be, or is damaged (`FileError`, with its path).

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
    labels = _array(folder / f"{part}_labels.npy.xz", (len(images),))
    return LabelledImages(images, labels.astype(np.int64))


def _array(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the array of a file of CIFAR-10, if it is the published one."""
    array = np.ascontiguousarray(read_npy(path, shape, np.uint8))
    found, wanted = hashlib.sha256(array.data).hexdigest(), CONTENTS[path.name]
    if found != wanted:
        raise FileError(
            path, f"holds other numbers, SHA-256 {found}", f"those of CIFAR-10, {wanted}"
        )
    return array


def _archive(path: Path) -> dict[str, LabelledImages]:
    """Return CIFAR-10 from the official archive: records of a label and 3072 bytes."""
    expected = "the published archive of CIFAR-10"
    with (
        verified(path, CIFAR_10.sha256[ARCHIVE], expected) as file,
        tarfile.open(fileobj=file) as archive,
    ):
        return {part: _part(archive, names) for part, names in BATCHES.items()}


def _part(archive: tarfile.TarFile, names: tuple[str, ...]) -> LabelledImages:
    records = np.concatenate([_records(archive, name) for name in names])
    images = records[:, 1:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    return LabelledImages(np.ascontiguousarray(images), records[:, 0].astype(np.int64))


def _records(archive: tarfile.TarFile, name: str) -> NDArray[np.uint8]:
    file = archive.extractfile(name)
    assert file is not None, name
    return np.frombuffer(file.read(), np.uint8).reshape(BATCH_SIZE, 1 + 3 * SIDE * SIDE)


def _table(path: Path) -> LabelledImages:
    """Return a part of SVHN: X is (row, column, channel, sample), y the digit, 10 for 0."""
    from scipy.io import loadmat

    with verified(path, SVHN_SHA256[path.name], "the published file of SVHN") as file:
        content = loadmat(file, variable_names=("X", "y"))
    images, digits = content["X"].transpose(3, 0, 1, 2), content["y"].ravel()
    return LabelledImages(np.ascontiguousarray(images), digits.astype(np.int64) % 10)
