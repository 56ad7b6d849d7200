"""Data sets of points and measurements; they are shipped with the package."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventsim._support.files import FileError, read_npy, read_npz
from scenarios.datasets.sources import find_folder

__all__ = [
    "YIN_YANG_SHA256",
    "LabelledData",
    "iris",
    "stratified_split",
    "yin_yang",
    "yin_yang_class",
]

YIN_YANG_PARTS = ("train", "validation", "test")
# The publication's files: github.com/lkriener/yin_yang_data_set, publication_data/, at commit
# e6eef9617b1dbd30d1f01508d462275747ae45b1 (MIT licence, beside the shipped copy).
YIN_YANG_SHA256 = {
    "test_labels": "b4337aa983ea3928d1d8ee78268e8e266ede6ca3a401ade7b02eb47c9d90be93",
    "test_samples": "1559e64b45a5e28df8a9d1158d891383d5745b0af2edbbca31ca4e2faeb95b4c",
    "train_labels": "d38863599b41c3d67d5e606b21c3ea10f7956758471e946adcb120c4e5ae31c9",
    "train_samples": "88ce43d8e7620b4dcd0712a582882325e609183eb71f2368cce8e87930e122d5",
    "validation_labels": "abd956deb8e62f528a271d323c7498e6d331cd261f143b539b1219d274936008",
    "validation_samples": "88f7e23daf578da390fe3ca10370d38fdb6060a08249ecb1be832e3e6cce75d3",
}
NUMBERS = ("integral", "real floating")
SHIPPED = {f"{part}_points": ((None, 2), "real floating") for part in YIN_YANG_PARTS} | {
    f"{part}_labels": ((None,), "integral") for part in YIN_YANG_PARTS
}
R_BIG, R_SMALL = 0.5, 0.1  # radii of the Yin-Yang circle and of its two dots


@dataclass(frozen=True, eq=False)
class LabelledData:
    """Examples and their classes.

    Attributes
    ----------
    features : (n_samples, n_features) ndarray of float64
        One example a row.
    labels : (n_samples,) ndarray of int64
        Class of each example, from 0.
    """

    features: NDArray[np.float64]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        """Check that the two fit together."""
        if self.features.ndim != 2 or self.labels.shape != self.features.shape[:1]:
            raise ValueError(
                "features and labels must be (n_samples, n_features) and (n_samples,), "
                f"got {self.features.shape} and {self.labels.shape}"
            )

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.labels)

    def __getitem__(self, rows: NDArray[np.int64] | slice) -> LabelledData:
        """Return the chosen examples."""
        return LabelledData(self.features[rows], self.labels[rows])


def iris() -> LabelledData:
    """Return Fisher's Iris measurements, with the values that scikit-learn ships.

    Returns
    -------
    LabelledData
        150 flowers; features: sepal length, sepal width, petal length, petal width, in cm;
        classes: 0 setosa, 1 versicolor, 2 virginica, 50 of each.

    Examples
    --------
    >>> flowers = iris()
    >>> flowers.features.shape, flowers.features[0]
    ((150, 4), array([5.1, 3.5, 1.4, 0.2]))
    """
    with (files("scenarios.datasets") / "files" / "iris.csv").open() as file:
        table = np.loadtxt(file, delimiter=",", skiprows=1)
    return LabelledData(table[:, :4], table[:, 4].astype(np.int64))


def yin_yang(data_dir: str | Path | None = None) -> dict[str, LabelledData]:
    """Return the Yin-Yang data set: the publication's fixed sets.

    Parameters
    ----------
    data_dir : path, optional
        Folder with other files of the same six names (``train_samples.npy``, ...), itself or in a
        subfolder ``yin-yang``.  Default: that of the environment variable EVENTSIM_DATA, if it is
        set and holds such files, else the copy in this package.  A .npy file has no checksum, so
        two other things show damage: features must be (x, y, 1-x, 1-y) to the last digit, and a
        file in which half of the numbers are the published ones must be the published one.

    Returns
    -------
    dict of str -> LabelledData
        "train" (5000 points), "validation" (1000) and "test" (1000).  Features (x, y, 1-x, 1-y) in
        [0, 1]; classes: 0 yin, 1 yang, 2 dot.

    Raises
    ------
    ValueError
        If a file of the folder is missing, is not what it should be, or is damaged (`FileError`,
        with its path).

    References
    ----------
    Kriener, Göltz, Petrovici, "The Yin-Yang dataset", NICE 2022.

    Examples
    --------
    >>> {name: len(part) for name, part in yin_yang().items()}
    {'train': 5000, 'validation': 1000, 'test': 1000}
    """
    names = [f"{part}_{kind}.npy" for part in YIN_YANG_PARTS for kind in ("samples", "labels")]
    folder = find_folder("yin-yang", names, data_dir)
    with as_file(files("scenarios.datasets") / "files" / "yin_yang.npz") as path:
        arrays = read_npz(path, SHIPPED)
    published = {part: _shipped_part(arrays, part) for part in YIN_YANG_PARTS}
    if folder is None:
        return published
    return {part: _read_part(folder, part, published[part]) for part in YIN_YANG_PARTS}


def yin_yang_class(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the class of points of the plane by the geometric rule of the Yin-Yang data set.

    Parameters
    ----------
    x, y : ndarray
        Coordinates, of any one shape, inside the circle of radius 0.5 around (0.5, 0.5).

    Returns
    -------
    ndarray of int64
        0 yin, 1 yang, 2 dot.

    Examples
    --------
    >>> yin_yang_class(np.array([0.75, 0.5, 0.5]), np.array([0.5, 0.9, 0.1]))
    array([2, 1, 0])
    """
    right = np.hypot(x - 1.5 * R_BIG, y - R_BIG)
    left = np.hypot(x - 0.5 * R_BIG, y - R_BIG)
    upper = ((left > R_SMALL) & (left <= 0.5 * R_BIG)) | ((y > R_BIG) & (right > 0.5 * R_BIG))
    return np.where((right < R_SMALL) | (left < R_SMALL), 2, upper.astype(np.int64))


def stratified_split(
    labels: NDArray[np.int64], test_fraction: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split the rows of a data set at random, each class in the same proportion.

    Parameters
    ----------
    labels : (n_samples,) ndarray of int
        Class of each row.
    test_fraction : float
        Part of each class that is held out, in (0, 1); rounded to whole rows.
    rng : numpy.random.Generator
        Where the randomness comes from.

    Returns
    -------
    train, test : ndarray of int
        Ascending rows; together all of them, each once.

    Examples
    --------
    >>> train, test = stratified_split(iris().labels, 1 / 3, np.random.default_rng(0))
    >>> len(train), np.bincount(iris().labels[test])
    (99, array([17, 17, 17]))
    """
    if not 0.0 < test_fraction < 1.0:
        raise ValueError(f"test_fraction must lie in (0, 1), got {test_fraction!r}")
    test = [_some(np.flatnonzero(labels == c), test_fraction, rng) for c in np.unique(labels)]
    held_out = np.sort(np.concatenate(test))
    return np.setdiff1d(np.arange(len(labels)), held_out), held_out


def _some(rows: NDArray[np.int64], fraction: float, rng: np.random.Generator) -> NDArray[np.int64]:
    return rng.permutation(rows)[: round(fraction * len(rows))]


def _shipped_part(arrays: dict[str, NDArray[Any]], part: str) -> LabelledData:
    points = arrays[f"{part}_points"]
    return LabelledData(
        np.hstack([points, 1.0 - points]), arrays[f"{part}_labels"].astype(np.int64)
    )


def _read_part(folder: Path, part: str, published: LabelledData) -> LabelledData:
    samples_path, labels_path = (folder / f"{part}_{kind}.npy" for kind in ("samples", "labels"))
    samples = read_npy(samples_path, (None, 4), NUMBERS)
    labels = read_npy(labels_path, (len(samples),), NUMBERS)
    points = samples[:, :2]
    if not np.all((points >= 0) & (points <= 1)) or np.any(samples[:, 2:] != 1 - points):
        raise FileError(samples_path, "holds other features", "x, y in [0, 1], then 1-x, 1-y")
    if not np.all(np.isin(labels, (0, 1, 2))):
        raise FileError(labels_path, f"holds the labels {np.unique(labels)[:9]}", "0, 1 and 2")
    _check_copy(samples_path, samples, published.features)
    _check_copy(labels_path, labels, published.labels)
    return LabelledData(samples.astype(np.float64), labels.astype(np.int64))


def _check_copy(path: Path, found: NDArray[Any], published: NDArray[Any]) -> None:
    """Refuse what must be a copy of the published array, but has other numbers here and there."""
    if found.shape != published.shape:
        return
    other = np.count_nonzero(found != published)
    if 0 < other <= found.size / 2:
        raise FileError(
            path,
            f"holds the published numbers, but {other} of {found.size} are others",
            "the published numbers, or those of another set",
        )
