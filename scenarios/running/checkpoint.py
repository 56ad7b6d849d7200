"""Files that survive a kill at any moment: each is written whole, or not at all.

A checkpoint is an npz archive without pickle.  It carries a digest of its content, so a file that
is cut short or altered is noticed, refused by name, and the one before it is used.  It also carries
the settings of its run, so it is not mixed with those of another.
"""

from __future__ import annotations

import hashlib
import io
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventsim._support.files import PARTIAL, FileError, read_npz, replaced
from scenarios.running.records import (
    DeadEndError,
    OtherRunError,
    check_origin,
    origin,
    origin_in_lines,
    parse,
)

__all__ = [
    "Arrays",
    "TrainingState",
    "check_folder",
    "check_like",
    "intact",
    "load_arrays",
    "load_latest",
    "load_of_run",
    "made_once",
    "remove_old",
    "remove_partial",
    "save",
    "save_arrays",
    "save_of_run",
    "write_if_other",
    "write_whole",
]

ORIGIN = "run"  # the array that says which run an archive belongs to
KEPT = 2  # checkpoints kept: the newest, and the one to fall back on
PATTERN = "checkpoint-*.npz"
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class TrainingState:
    """All that the rest of a training run depends on.

    Attributes
    ----------
    params : dict
        What is trained: arrays by name, or a tree such as `eventsim.Network.parameters` returns.
    optimizer : dict
        State of the optimizer: numbers, arrays, and dicts of them.
    rng : dict
        State of the random number generator (numpy's ``bit_generator.state``).
    epoch : int
        Epochs done.
    history : list of dict
        One record of metrics per epoch, from epoch 0 on.
    """

    params: dict[str, Any]
    optimizer: Mapping[str, Any]
    rng: Mapping[str, Any]
    epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that, whenever the process dies, ``path`` holds the old or the new content.

    What a kill leaves on the way is for `remove_partial`.
    """
    with replaced(path) as file:
        file.write(content)


def write_if_other(path: Path, content: bytes) -> None:
    """Write a file whole, unless that is its content already."""
    if not path.exists() or path.read_bytes() != content:
        write_whole(path, content)


def remove_partial(folder: Path) -> None:
    """Remove what killed processes left of files that they were writing.

    Only for who holds the folder: another process may be writing them.
    """
    for path in folder.rglob(f".*{PARTIAL}"):
        path.unlink()


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
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
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


def save_of_run(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays as `save_arrays`, with the settings of the run under way."""
    save_arrays(path, arrays if origin() is None else {**arrays, ORIGIN: _packed(origin())})


def load_of_run(path: Path) -> Arrays:
    """Read what `save_of_run` wrote.

    Raises
    ------
    ValueError
        If the file is not whole and unaltered, or belongs to another run.
    """
    arrays = load_arrays(path)
    check_origin(_origin_in(arrays), path)
    arrays.pop(ORIGIN, None)
    return arrays


def made_once(path: Path, make: Callable[[], Arrays]) -> Arrays:
    """Return what an earlier session left in a file of this run, or make it and leave it there.

    What is damaged is made again, with a warning.

    Raises
    ------
    OtherRunError
        If the file belongs to another run.
    """
    arrays = intact(path) if path.exists() else None
    if arrays is None:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_of_run(path, make())
        arrays = load_of_run(path)
    return arrays


def intact(path: Path) -> Arrays | None:
    """Return what a file of this run holds; None, with a warning, if it is damaged.

    Raises
    ------
    OtherRunError
        If the file belongs to another run.
    """
    try:
        return load_of_run(path)
    except OtherRunError:
        raise
    except ValueError as error:
        warnings.warn(f"{error}; this is simulated again", RuntimeWarning, stacklevel=3)
        return None


def check_folder(folder: Path) -> None:
    """Raise an error if a file in a folder belongs to another run than the one under way.

    What is damaged, or says nothing of a run, is passed over: who reads it refuses it.
    """
    for path in sorted(folder.rglob("*.npz")):
        try:
            found = _origin_in(load_arrays(path))
        except ValueError:
            continue
        if found is not None:
            check_origin(found, path)
    for path in sorted(folder.rglob("*.jsonl")):
        found = origin_in_lines(path)
        if found is not None:
            check_origin(found, path)


def save(folder: Path, state: TrainingState) -> None:
    """Write a checkpoint and remove all but the last two."""
    save_of_run(folder / f"checkpoint-{state.epoch:06d}.npz", _to_arrays(state))
    remove_old(folder)


def remove_old(folder: Path) -> None:
    """Remove all checkpoints but the last two."""
    for old in _checkpoints(folder)[:-KEPT]:
        old.unlink(missing_ok=True)


def _checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints by their epochs, which have six digits or more."""
    return sorted(folder.glob(PATTERN), key=lambda path: (len(path.name), path.name))


def load_latest(
    folder: Path, take: Callable[[TrainingState], None] | None = None
) -> TrainingState | None:
    """Return the newest usable checkpoint of a folder, or None if there is no checkpoint at all.

    A damaged one is refused with a warning that names it, and the one before it is used.

    Parameters
    ----------
    folder : Path
        Where `save` wrote them.
    take : callable, optional
        Takes a state, or raises a ValueError if it does not fit: one more kind of damage.

    Raises
    ------
    ValueError
        If there are checkpoints, and all of them are damaged, or they belong to another run.
    """
    damaged = []
    for path in reversed(_checkpoints(folder)):
        try:
            state = _from_arrays(load_of_run(path), path)
            if take:
                _take(state, take, path)
        except OtherRunError:
            raise
        except ValueError as error:
            damaged.append(path)
            warnings.warn(f"checkpoint refused: {error}", RuntimeWarning, stacklevel=2)
        else:
            return state
    if damaged:
        names = ", ".join(map(str, damaged))
        raise DeadEndError(f"no checkpoint can be used, all are damaged: {names}; start a new run")
    return None


def check_like(found: Mapping[str, Any], expected: Mapping[str, Any], name: str) -> None:
    """Raise a ValueError unless a state has the names, shapes and types that are expected.

    Its numbers must be finite, and its whole numbers, which count, no smaller than expected.

    Examples
    --------
    >>> check_like({"in->out": np.zeros((3, 2))}, {"in->out": np.zeros((5, 2))}, "params")
    Traceback (most recent call last):
        ...
    ValueError: params/in->out must be float64 of shape (5, 2), got float64 of shape (3, 2)
    """
    ours, theirs = (_flattened(tree, f"{name}/") for tree in (expected, found))
    if ours.keys() != theirs.keys():
        raise ValueError(
            f"{name} must hold {', '.join(ours)}, got {', '.join(theirs) or 'nothing'}"
        )
    for path, array in theirs.items():
        like = ours[path]
        if (array.dtype, array.shape) != (like.dtype, like.shape):
            raise ValueError(
                f"{path} must be {like.dtype} of shape {like.shape}, "
                f"got {array.dtype} of shape {array.shape}"
            )
        if not np.isfinite(array).all():
            raise ValueError(f"{path} must be finite, got {array[~np.isfinite(array)][0]}")
        if array.dtype.kind in "iu" and array.size and array.min() < like.min():
            raise ValueError(f"{path} must be >= {like.min()}, got {array.min()}")


def _to_arrays(state: TrainingState) -> Arrays:
    rest = {"rng": state.rng, "epoch": state.epoch, "history": state.history}
    return {
        **_flattened(state.params, "params/"),
        **_flattened(state.optimizer, "optimiser/"),
        "rest": _packed(rest),
    }


def _packed(value: Any) -> NDArray[np.uint8]:
    """Return what JSON can hold as an array of its bytes."""
    return np.frombuffer(json.dumps(value).encode(), dtype=np.uint8)


def _from_arrays(arrays: Arrays, path: Path) -> TrainingState:
    try:
        rest = parse(arrays["rest"].tobytes())
        _check_rest(rest, path)
        return TrainingState(
            params=_nested(_part(arrays, "params/")),
            optimizer=_with_numbers(_nested(_part(arrays, "optimiser/"))),
            **rest,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a checkpoint of a training run: {error}") from error


def _check_rest(rest: Any, path: Path) -> None:
    """Check the outline of what a checkpoint holds beside its arrays."""
    if not isinstance(rest, dict) or rest.keys() != {"rng", "epoch", "history"}:
        raise ValueError(f"it must hold rng, epoch and history, got {rest!r:.100}")
    if not isinstance(rest["rng"], dict):
        raise ValueError(f"its rng must be the state of a generator, got {rest['rng']!r:.100}")
    epoch, history = rest["epoch"], rest["history"]
    if type(epoch) is not int or epoch < 0 or not path.stem.endswith(f"-{epoch:06d}"):
        raise ValueError(f"its epoch must be that of its name, got {epoch!r:.100}")
    good = isinstance(history, list) and len(history) == epoch + 1
    if not good or not all(_is_record(record, k) for k, record in enumerate(history)):
        raise ValueError(
            f"its history must be a record of numbers for each epoch from 0 to {epoch}, "
            f"got {history!r:.100}"
        )


def _is_record(record: Any, epoch: int) -> bool:
    return (
        isinstance(record, dict)
        and {"epoch", "seconds"} <= record.keys()
        and all(type(value) in (int, float) for value in record.values())
        and record["epoch"] == epoch
    )


def _take(state: TrainingState, take: Callable[[TrainingState], None], path: Path) -> None:
    try:
        take(state)
    except ValueError as error:
        raise ValueError(f"{path} does not fit this training: {error}") from error


def _origin_in(arrays: Arrays) -> Any:
    """Return which run an archive belongs to, None if it does not say so."""
    try:
        return parse(arrays[ORIGIN].tobytes())
    except (KeyError, ValueError):
        return None


def _part(arrays: Arrays, prefix: str) -> Arrays:
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


def _flattened(tree: Mapping[Any, Any], prefix: str) -> Arrays:
    """Return the leaves of nested dicts by their path."""
    leaves: Arrays = {}
    for key, value in tree.items():
        word = _as_word(key)
        if isinstance(value, Mapping):
            leaves |= _flattened(value, f"{prefix}{word}/")
        else:
            leaves[f"{prefix}{word}"] = np.asarray(value)
    return leaves


def _nested(leaves: Arrays) -> dict[Any, Any]:
    """Return nested dicts from leaves by path."""
    tree: dict[Any, Any] = {}
    for path, leaf in leaves.items():
        *folders, name = map(_as_key, path.split("/"))
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {})
            if not isinstance(node, dict):
                raise ValueError(f"{path} must be an array or a folder of arrays, got both")
        node[name] = leaf
    return tree


def _as_word(key: Any) -> str:
    """Return a key as a part of a path: a name, or that of a projection as JSON."""
    word = key if isinstance(key, str) else json.dumps(key)
    assert "/" not in word, key
    return word


def _as_key(word: str) -> Any:
    """Return the key that a part of a path stands for."""
    return tuple(parse(word.encode())) if word.startswith("[") else word


def _with_numbers(tree: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return nested dicts whose arrays () of 64 bits are numbers again."""
    return {
        key: _with_numbers(leaf) if isinstance(leaf, Mapping) else _as_number(leaf)
        for key, leaf in tree.items()
    }


def _as_number(leaf: NDArray[Any]) -> Any:
    is_number = leaf.ndim == 0 and np.asarray(leaf.item()).dtype == leaf.dtype
    return leaf.item() if is_number else leaf


def _digest(arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}\0{array.dtype.str}\0{arrays[name].shape}\0".encode())
        digest.update(array.tobytes())
    return np.frombuffer(digest.digest(), dtype=np.uint8)
