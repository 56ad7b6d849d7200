"""Images with their classes, and how training changes them at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from eventsim._support.validate import require

__all__ = ["LabelledImages", "mirrored", "shifted"]


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images and their classes.

    Attributes
    ----------
    images : (n_samples, rows, columns) or (n_samples, rows, columns, n_channels) ndarray of uint8
        Grey, or of some channels: red, green and blue; 0 dark, 255 bright.
    labels : (n_samples,) ndarray of int64
        Class of each image, from 0.

    Examples
    --------
    >>> two = LabelledImages(np.zeros((2, 28, 28), np.uint8), np.array([7, 3]))
    >>> len(two), two[1:].labels
    (2, array([3]))
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        """Check that the two fit together."""
        if self.images.dtype != np.uint8 or self.images.ndim not in (3, 4):
            raise ValueError(
                "images must be (n_samples, rows, columns) or (n_samples, rows, columns, "
                f"n_channels) of uint8, got {self.images.shape} of {self.images.dtype}"
            )
        if self.labels.shape != self.images.shape[:1]:
            raise ValueError(
                f"labels must have shape ({len(self.images)},), got {self.labels.shape}"
            )
        if not np.issubdtype(self.labels.dtype, np.integer):
            raise ValueError(f"labels must be integers, got an array of {self.labels.dtype}")

    def check(self, n_pixels: int, n_classes: int) -> None:
        """Raise a ValueError unless the images have so many pixels, and are of these classes."""
        if len(self) == 0:
            raise ValueError(f"images must be at least one, got shape {self.images.shape}")
        if self.images[0].size != n_pixels:
            raise ValueError(f"images must have {n_pixels} pixels, got {self.images.shape[1:]}")
        self.check_classes(n_classes)

    def check_classes(self, n_classes: int) -> None:
        """Raise a ValueError unless all images are of these classes."""
        known = (self.labels >= 0) & (self.labels < n_classes)
        require(known, self.labels, f"labels must lie in 0 to {n_classes - 1}")

    def first(self, n: int | None, name: str = "n_train") -> LabelledImages:
        """Return the first n images (None: all); ValueError, with the option's name, if fewer."""
        if n is not None and n > len(self):
            raise ValueError(f"{name} must be <= {len(self)}, the number of images, got {n}")
        return self[:n]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def __getitem__(self, rows: NDArray[np.int64] | NDArray[np.bool_] | slice) -> LabelledImages:
        """Return the chosen images."""
        return LabelledImages(self.images[rows], self.labels[rows])


def shifted(
    images: NDArray[np.uint8],
    most: int,
    rng: np.random.Generator,
    *,
    border: Literal["black", "edge"] = "black",
) -> NDArray[np.uint8]:
    """Move every image by a few pixels, at random.

    Parameters
    ----------
    images : (n_samples, rows, columns, ...) ndarray of uint8
        0 is black.
    most : int
        Largest move along either axis, >= 0; all moves are as likely.
    rng : numpy.random.Generator
        Where the randomness comes from: two numbers per image.
    border : {"black", "edge"}
        What enters: black, or copies of the pixels at the edge.

    Returns
    -------
    ndarray of uint8
        Of the same shape.

    Raises
    ------
    ValueError
        If ``most`` is negative.

    Examples
    --------
    >>> image = np.arange(1, 10, dtype=np.uint8).reshape(1, 3, 3)
    >>> shifted(image, 1, np.random.default_rng(0))[0]
    array([[4, 5, 6],
           [7, 8, 9],
           [0, 0, 0]], dtype=uint8)
    """
    if not most >= 0:
        raise ValueError(f"most must be >= 0, got {most!r}")
    n, height, width = images.shape[:3]
    frame = ((0, 0), (most, most), (most, most), *((0, 0),) * (images.ndim - 3))
    framed = np.pad(images, frame, mode="constant" if border == "black" else "edge")
    down, right = rng.integers(0, 2 * most, (2, n, 1), endpoint=True)
    rows, columns = down + np.arange(height), right + np.arange(width)
    return framed[np.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]


def mirrored(images: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Mirror each image left to right, or leave it, at random.

    Parameters
    ----------
    images : (n_samples, rows, columns, ...) ndarray of uint8
        Of any kind.
    rng : numpy.random.Generator
        Where the randomness comes from: one number per image.

    Returns
    -------
    ndarray of uint8
        Of the same shape.

    Examples
    --------
    >>> images = np.arange(6, dtype=np.uint8).reshape(3, 1, 2)
    >>> mirrored(images, np.random.default_rng(0))[:, 0]
    array([[0, 1],
           [3, 2],
           [5, 4]], dtype=uint8)
    """
    images, turned = np.array(images), rng.random(len(images)) < 0.5
    images[turned] = images[turned, :, ::-1]
    return images
