"""IDX files for tests: tiny data sets of the form of MNIST."""

import gzip
import os
import struct
from pathlib import Path

import numpy as np

PUBLISHED = Path(os.environ.get("EVENTSIM_DATA") or "nowhere")  # the real files, where they are

NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def as_idx(array, kind=0x08):
    """The bytes of an IDX file with this array."""
    header = bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def arrays(seed=0, n_train=12, n_test=5):
    """Images and labels by the name of their file."""
    rng = np.random.default_rng(seed)
    found = {}
    for images, labels, n in zip(NAMES[::2], NAMES[1::2], (n_train, n_test), strict=True):
        found[images] = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        found[labels] = rng.integers(0, 10, n, dtype=np.uint8)
    return found


def write(folder, compressed=True, **options):
    """Write a tiny data set; return its arrays by the name of their file."""
    folder.mkdir(parents=True, exist_ok=True)
    found = arrays(**options)
    for name, array in found.items():
        content = as_idx(array)
        if compressed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0))
        else:
            (folder / name).write_bytes(content)
    return found
