"""Colour images for tests: squares that a small network can tell apart."""

import numpy as np

from scenarios.datasets.labelled_images import LabelledImages


def parts(n_train=24, n_test=10):
    """Bright squares, in a place and a colour that name the class."""
    rng = np.random.default_rng(0)
    found = {}
    for part, n in (("train", n_train), ("test", n_test)):
        labels = np.arange(n) % 10
        images = rng.integers(0, 60, (n, 32, 32, 3), dtype=np.uint8)
        for image, label in zip(images, labels, strict=True):
            row, column = divmod(int(label) % 9, 3)
            image[10 * row : 10 * row + 10, 10 * column : 10 * column + 10, label // 9] = 255
        found[part] = LabelledImages(images, labels)
    return found
