"""Ten sorts of flowers in colour: the largest classes of the Oxford 102 flowers.

The images may not be redistributed, so they are neither in the package nor downloaded: two files in
a folder of the user's hold them,

- ``images.npy.xz``: array (n, rows, columns, 3) of bytes, red, green, blue, as `numpy.save` writes
  it, compressed by `lzma`; any number of rows and columns;
- ``labels.npz``: ``labels`` (n,), the classes 0 to 9 of the images, and ``classes`` (10,), the
  numbers of these classes among the 102: 51, 77, 46, 73, 89, 74, 81, 94, 88, 78.

`docs/flowers_search.md` shows how to make them from the original files.

The official division has ten training images a class, too few for the publication's networks, and
the publication does not say how it divided them; `split` does it here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventsim._support.files import FileError, read_npy, read_npz
from scenarios.datasets.labelled_images import LabelledImages
from scenarios.datasets.sources import DATA_VARIABLE, find_folder

__all__ = ["CLASSES", "FILES", "FOLDER", "as_columns", "flower_images", "split"]

FOLDER = "oxford-flowers-10"
FILES = ("images.npy.xz", "labels.npz")
CLASSES = {  # number among the 102, from 1; the ten with the most images, the largest first
    51: "petunia",
    77: "passion flower",
    46: "wallflower",
    73: "water lily",
    89: "watercress",
    74: "rose",
    81: "frangipani",
    94: "foxglove",
    88: "cyclamen",
    78: "lotus",
}
FEWEST = 2  # images of a class: one to train, one to test


def flower_images(data_dir: str | Path | None = None) -> LabelledImages:
    """Return the images of the ten largest classes of the Oxford 102 flowers.

    Parameters
    ----------
    data_dir : path, optional
        Folder that holds ``images.npy.xz`` and ``labels.npz``, itself or in a subfolder
        ``oxford-flowers-10``.  Default: the environment variable EVENTSIM_DATA in the same way.
        What the files hold is the user's; the checksums of their formats show damage.

    Returns
    -------
    LabelledImages
        In the order of the file.

    Raises
    ------
    ValueError
        If no folder is named, or a file in it is missing, not what it should be, or damaged
        (`FileError`, with its path).

    References
    ----------
    Nilsback, Zisserman, "Automated flower classification over a large number of classes", 2008.
    """
    folder = find_folder(FOLDER, FILES, data_dir)
    if folder is None:
        raise ValueError(
            f"the flower images must be in a folder that holds {' and '.join(FILES)} (itself or in "
            f"a subfolder {FOLDER}), named by --data-dir or by the environment variable "
            f"{DATA_VARIABLE}; got none.  They may not be redistributed, so there is no download: "
            "docs/flowers_search.md shows how to make them from the original files"
        )
    images = _read_images(folder / FILES[0])
    return LabelledImages(images, _read_labels(folder / FILES[1], len(images)))


def as_columns(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return images as sequences of columns, the left one first.

    Parameters
    ----------
    images : (n_samples, rows, columns, 3) ndarray of uint8
        Red, green and blue.

    Returns
    -------
    (columns, n_samples, 3, rows) ndarray of float32
        From 0 (dark) to 1 (bright).

    Examples
    --------
    >>> as_columns(np.zeros((2, 5, 4, 3), np.uint8)).shape
    (4, 2, 3, 5)
    """
    columns_first = images.transpose(2, 0, 3, 1)
    return np.divide(columns_first, 255.0, dtype=np.float32, order="C")


def split(
    data: LabelledImages, test_share: float = 0.2, seed: int = 0
) -> dict[str, LabelledImages]:
    """Divide images into those to train with and those to test with, class by class.

    Parameters
    ----------
    data : LabelledImages
        At least two of each class.
    test_share : float
        Part of each class, drawn at random, that is for tests: rounded to whole images, of each
        class at least one and not all.
    seed : int
        Of the draw.

    Returns
    -------
    dict of str -> LabelledImages
        "train" and "test", each in the order of ``data``.

    Raises
    ------
    ValueError
        If ``test_share`` is not in (0, 1), or a class has fewer than two images.

    Examples
    --------
    >>> data = LabelledImages(np.zeros((10, 1, 1, 3), np.uint8), np.repeat([0, 1], 5))
    >>> parts = split(data)
    >>> parts["train"].labels, parts["test"].labels
    (array([0, 0, 0, 0, 1, 1, 1, 1]), array([0, 1]))
    """
    if not 0.0 < test_share < 1.0:
        raise ValueError(f"test_share must lie in (0, 1), got {test_share!r}")
    rng = np.random.default_rng(seed)
    is_test = np.zeros(len(data), dtype=bool)
    for label in np.unique(data.labels):
        members = np.flatnonzero(data.labels == label)
        if members.size < FEWEST:
            raise ValueError(
                f"each class must have at least {FEWEST} images, "
                f"got {members.size} of class {label}"
            )
        n_test = min(max(round(test_share * members.size), 1), members.size - 1)
        is_test[rng.permutation(members)[:n_test]] = True
    return {"train": data[~is_test], "test": data[is_test]}


def _read_images(path: Path) -> NDArray[np.uint8]:
    images = read_npy(path, (None, None, None, 3), np.uint8, checksum=True)
    if images.size == 0:
        raise FileError(path, f"holds no pixels, {images.shape}", "some")
    return images


def _read_labels(path: Path, n: int) -> NDArray[np.int64]:
    """Return the labels of n images, if each class has some and there are no others."""
    wanted = {"labels": ((n,), "integral"), "classes": ((len(CLASSES),), "integral")}
    labels, classes = read_npz(path, wanted).values()
    if classes.tolist() != list(CLASSES):
        raise FileError(
            path,
            f"holds the classes {classes.tolist()}",
            f"{', '.join(map(str, CLASSES))} of the Oxford 102 flowers, in this order",
        )
    bad = np.flatnonzero((labels < 0) | (labels >= len(CLASSES)))
    if bad.size:
        raise FileError(
            path,
            f"holds the label {labels[bad[0]]} at position {bad[0]}",
            f"labels from 0 to {len(CLASSES) - 1}",
        )
    counts = np.bincount(labels, minlength=len(CLASSES))
    if counts.min() < FEWEST:
        raise FileError(
            path,
            f"holds {counts.min()} images of class {counts.argmin()}",
            f"at least {FEWEST} of each class",
        )
    return labels.astype(np.int64)
