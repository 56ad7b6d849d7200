"""Files of flower images for tests: tiny, of the form of the real ones."""

import lzma
import os
from pathlib import Path

import numpy as np

from scenarios.datasets.flower_images import CLASSES, FILES, FOLDER
from scenarios.datasets.labelled_images import LabelledImages

PUBLISHED = Path(os.environ.get("EVENTSIM_DATA") or "nowhere") / FOLDER
WITHOUT = f"EVENTSIM_DATA does not name a folder with {FOLDER}/{FILES[0]}"


def blossoms(n_each=3, rows=6, columns=5, seed=0):
    """Images of all classes: each is bright at a place and in a colour of its own, on noise."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(len(CLASSES)), n_each))
    images = rng.integers(0, 120, (labels.size, rows, columns, 3), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        row = int(label) * rows // len(CLASSES)
        image[row : row + 2, :, int(label) % 3] |= 128
    return LabelledImages(images, labels)


def write(folder, data=None, **arrays):
    """Write a tiny data set, with other arrays in labels.npz if they are given; return it."""
    data = data or blossoms()
    folder.mkdir(parents=True, exist_ok=True)
    with lzma.open(folder / FILES[0], "wb", preset=0) as file:
        np.save(file, data.images)
    np.savez(folder / FILES[1], **{"labels": data.labels, "classes": list(CLASSES), **arrays})
    return data
