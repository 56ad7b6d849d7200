"""Data sets of small grey images, kept as bytes: they are encoded a minibatch at a time."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventsim._support.files import FileError, described
from scenarios.datasets.idx import read_idx
from scenarios.datasets.labelled_images import LabelledImages
from scenarios.datasets.sources import Source, download, find_folder

__all__ = ["FASHION_MNIST", "MNIST", "fashion_mnist", "mnist"]

N_CLASSES = 10
SIZE = (28, 28)  # rows, columns
PARTS = {"train": "train", "test": "t10k"}  # and how their files' names begin
MNIST = Source(
    title="MNIST",
    folder="mnist",
    sha256={
        "train-images-idx3-ubyte.gz":
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte.gz":
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3-ubyte.gz":
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte.gz":
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    },
    mirrors=(
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
    ),
)  # fmt: skip
FASHION_MNIST = Source(
    title="Fashion-MNIST",
    folder="fashion-mnist",
    sha256={
        "train-images-idx3-ubyte.gz":
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "train-labels-idx1-ubyte.gz":
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "t10k-images-idx3-ubyte.gz":
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "t10k-labels-idx1-ubyte.gz":
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    },
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    ),
)  # fmt: skip
# Both data sets have files of the same names and sizes: what tells them apart is the content.
CONTENTS = {  # by the SHA-256 of the array
    "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757": ("MNIST", "train-images"),
    "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13": ("MNIST", "train-labels"),
    "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161": ("MNIST", "t10k-images"),
    "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5": ("MNIST", "t10k-labels"),
    "2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012":
        ("Fashion-MNIST", "train-images"),
    "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7":
        ("Fashion-MNIST", "train-labels"),
    "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a":
        ("Fashion-MNIST", "t10k-images"),
    "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9":
        ("Fashion-MNIST", "t10k-labels"),
}  # fmt: skip


def mnist(data_dir: str | Path | None = None) -> dict[str, LabelledImages]:
    """Return the MNIST data set: handwritten digits.

    Parameters
    ----------
    data_dir : path, optional
        Folder that holds the four IDX files (``train-images-idx3-ubyte``, ..., plain or .gz),
        itself or in a subfolder ``mnist``.  Default: the environment variable EVENTSIM_DATA in the
        same way; else the files are downloaded, once, and checked.  Files of the same names with
        other images of 28 x 28 pixels are read too, if they are packed: a plain file has no
        checksum, so it must be the published one.

    Returns
    -------
    dict of str -> LabelledImages
        "train" (60 000 images) and "test" (10 000), each 28 x 28; white digits on black; the class
        is the digit.

    Raises
    ------
    ValueError
        If a file is missing in the named folder, is not what it should be, or is damaged
        (`FileError`, with its path).
    DownloadError
        If the files have to be downloaded, and cannot.

    References
    ----------
    LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition",
    Proceedings of the IEEE 86, 1998.
    """
    return _load(MNIST, data_dir)


def fashion_mnist(data_dir: str | Path | None = None) -> dict[str, LabelledImages]:
    """Return the Fashion-MNIST data set: pieces of clothing, in the form of MNIST.

    Parameters
    ----------
    data_dir : path, optional
        As for `mnist`; the subfolder is called ``fashion-mnist``.

    Returns
    -------
    dict of str -> LabelledImages
        "train" (60 000 images) and "test" (10 000), each 28 x 28; classes: 0 T-shirt, 1 trouser,
        2 pullover, 3 dress, 4 coat, 5 sandal, 6 shirt, 7 sneaker, 8 bag, 9 ankle boot.

    Raises
    ------
    ValueError, DownloadError
        As `mnist`.

    References
    ----------
    Xiao, Rasul, Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine learning
    algorithms", arXiv:1708.07747, 2017.
    """
    return _load(FASHION_MNIST, data_dir)


def _load(source: Source, data_dir: str | Path | None) -> dict[str, LabelledImages]:
    names = [name for packed in source.sha256 for name in (packed, packed.removesuffix(".gz"))]
    folder = find_folder(source.folder, names, data_dir) or download(source)
    return {part: _read_part(source, folder, start) for part, start in PARTS.items()}


def _read_part(source: Source, folder: Path, start: str) -> LabelledImages:
    images_path, images = _read(source, folder, f"{start}-images", (None, *SIZE))
    if len(images) == 0:
        raise FileError(images_path, "holds no image", "one or more")
    labels_path, labels = _read(source, folder, f"{start}-labels", (len(images),))
    bad = np.flatnonzero(labels >= N_CLASSES)
    if bad.size:
        raise FileError(
            labels_path,
            f"holds the label {labels[bad[0]]} at position {bad[0]}",
            f"labels from 0 to {N_CLASSES - 1}",
        )
    return LabelledImages(images, labels.astype(np.int64))


def _read(
    source: Source, folder: Path, name: str, shape: tuple[int | None, ...]
) -> tuple[Path, NDArray[np.uint8]]:
    """Return a file and its array, if that is the published one, or else has a checksum.

    Another published array is a mistake.  One that nobody published may be anything, but in a plain
    file it cannot be told from a damaged one.
    """
    path = _existing(source, folder, f"{name}-idx{len(shape)}-ubyte.gz")
    array, has_checksum = read_idx(path, shape)
    wanted = (source.title, name)
    found = CONTENTS.get(hashlib.sha256(array.data).hexdigest())
    if found is None and not has_checksum:
        raise FileError(
            path,
            f"holds neither {' '.join(wanted)} nor a checksum",
            f"{' '.join(wanted)}, or other {described(shape, np.uint8)} packed by gzip, whose "
            "checksum shows damage",
        )
    if found not in (None, wanted):
        raise FileError(path, f"holds {' '.join(found)}", " ".join(wanted))
    return path, array


def _existing(source: Source, folder: Path, packed: str) -> Path:
    """Return the path of a file, which may be compressed or plain."""
    paths = (folder / packed, folder / packed.removesuffix(".gz"))
    for path in paths:
        if path.exists():
            return path
    raise FileError(
        paths[1],
        "does not exist, nor with .gz",
        f"in the folder of {source.title}: {', '.join(source.sha256)}, plain or packed",
    )
