"""Files that survive a kill at any moment: each is written whole, or not at all.

A checkpoint is an npz archive without pickle.  It carries a digest of its content, so a file that
is cut short or altered is noticed, refused by name, and the one before it is used.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenarios.arrays import FileError, read_npz

__all__ = ["TrainingState", "load_arrays", "load_latest", "save", "save_arrays", "write_whole"]

KEPT = 2  # checkpoints kept: the newest, and the one to fall back on
PATTERN = "checkpoint-*.npz"
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class TrainingState:
    """All that the rest of a training run depends on.

    Attributes
    ----------
    params : dict of str -> ndarray
        What is trained.
    optimiser : dict
        State of the optimiser: numbers, arrays, and dicts of them.
    rng : dict
        State of the random number generator (numpy's ``bit_generator.state``).
    epoch : int
        Epochs done.
    history : list of dict
        One record of metrics per epoch, from epoch 0 on.
    """

    params: Arrays
    optimiser: Mapping[str, Any]
    rng: Mapping[str, Any]
    epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that, whenever the process dies, ``path`` holds the old or the new content.

    The content goes to a temporary file beside it and to the disk, and is then renamed.
    """
    temporary = path.with_name(f".{path.name}.partial")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    _sync_folder(path.parent)


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays to an npz archive, whole, with a digest of their content.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "weights.npz"
    >>> save_arrays(path, {"W": np.eye(2)})
    >>> load_arrays(path)
    {'W': array([[1., 0.], [0., 1.]])}
    """
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays, digest=_digest(arrays))  # type: ignore[arg-type]
    write_whole(path, buffer.getvalue())


def load_arrays(path: Path) -> Arrays:
    """Read what `save_arrays` wrote.

    Raises
    ------
    ValueError
        If the file is not whole and unaltered (`FileError`, with its path).
    """
    arrays = read_npz(path)
    digest = arrays.pop("digest", None)
    if digest is None or not np.array_equal(digest, _digest(arrays)):
        raise FileError(path, "was altered: its digest is another", "arrays as they were written")
    return arrays


def save(folder: Path, state: TrainingState) -> None:
    """Write a checkpoint and remove all but the last two."""
    save_arrays(folder / f"checkpoint-{state.epoch:06d}.npz", _to_arrays(state))
    for old in sorted(folder.glob(PATTERN))[:-KEPT]:
        old.unlink(missing_ok=True)


def load_latest(folder: Path) -> TrainingState | None:
    """Return the newest whole checkpoint of a folder, or None if there is no checkpoint at all.

    A damaged one is refused with a warning that names it, and the one before it is used.

    Raises
    ------
    ValueError
        If there are checkpoints, and all of them are damaged.
    """
    damaged = []
    for path in sorted(folder.glob(PATTERN), reverse=True):
        try:
            return _from_arrays(load_arrays(path), path)
        except ValueError as error:
            damaged.append(path)
            warnings.warn(f"checkpoint refused: {error}", RuntimeWarning, stacklevel=2)
    if damaged:
        names = ", ".join(map(str, damaged))
        raise ValueError(f"no checkpoint can be used, all are damaged: {names}; start a new run")
    return None


def _to_arrays(state: TrainingState) -> Arrays:
    rest = {"rng": state.rng, "epoch": state.epoch, "history": state.history}
    return {
        **{f"params/{name}": array for name, array in state.params.items()},
        **_flattened(state.optimiser, "optimiser/"),
        "rest": np.frombuffer(json.dumps(rest).encode(), dtype=np.uint8),
    }


def _from_arrays(arrays: Arrays, path: Path) -> TrainingState:
    try:
        rest = json.loads(arrays["rest"].tobytes())
        if not (isinstance(rest["rng"], dict) and rest["history"]):
            raise ValueError("it holds no state of the random numbers, or no metrics")
        return TrainingState(
            params=_part(arrays, "params/"),
            optimiser=_nested(_part(arrays, "optimiser/")),
            **rest,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a checkpoint of a training run: {error}") from error


def _part(arrays: Arrays, prefix: str) -> Arrays:
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


def _flattened(tree: Mapping[str, Any], prefix: str) -> Arrays:
    """Return the leaves of nested dicts by their path; no key may hold a slash."""
    leaves: Arrays = {}
    for key, value in tree.items():
        assert "/" not in key, key
        if isinstance(value, Mapping):
            leaves |= _flattened(value, f"{prefix}{key}/")
        else:
            leaves[f"{prefix}{key}"] = np.asarray(value)
    return leaves


def _nested(leaves: Arrays) -> dict[str, Any]:
    """Return nested dicts from leaves by path; numbers become numbers again."""
    tree: dict[str, Any] = {}
    for path, leaf in leaves.items():
        *folders, name = path.split("/")
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {})
        node[name] = leaf if leaf.ndim else leaf.item()
    return tree


def _digest(arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}\0{array.dtype.str}\0{arrays[name].shape}\0".encode())
        digest.update(array.tobytes())
    return np.frombuffer(digest.digest(), dtype=np.uint8)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
