"""Trees of parameters: dicts of arrays, or of such dicts, and their leaves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from scipy import sparse

from eventsim._support.types import FloatArray, Matrix
from eventsim._support.validate import as_floats, as_mapping, shown

__all__ = [
    "Leaves",
    "Path",
    "called",
    "is_sparse",
    "leaf_like",
    "leaves_of",
    "tree_like",
    "values_of",
    "where",
]

Path: TypeAlias = tuple[Any, ...]
"""Where a leaf is: ``(name,)``, ``(kind, name)``, or ``(kind, name, receptor)``."""

Leaves: TypeAlias = dict[Path, FloatArray]


def leaves_of(tree: Mapping[Any, Any], name: str) -> dict[Path, Any]:
    """Return what hangs on a tree, by its path; ValueError, with the name, if it is no tree.

    Examples
    --------
    >>> leaves_of({"delays": {("in", "out"): 0.5}, "w": 1.0}, "params")
    {('delays', ('in', 'out')): 0.5, ('w',): 1.0}
    """
    leaves: dict[Path, Any] = {}
    for key, value in as_mapping(tree, name).items():
        if isinstance(value, Mapping):
            leaves |= {(key, *path): leaf for path, leaf in leaves_of(value, name).items()}
        else:
            leaves[key,] = value
    return leaves


def tree_like(tree: Mapping[Any, Any], leaves: Mapping[Path, Any]) -> dict[Any, Any]:
    """Return a tree of the form of another one, with other leaves."""

    def like(part: Mapping[Any, Any], path: Path) -> dict[Any, Any]:
        return {
            key: like(value, (*path, key)) if isinstance(value, Mapping) else leaves[(*path, key)]
            for key, value in part.items()
        }

    return like(tree, ())


def values_of(leaf: Any, name: str) -> FloatArray:
    """Return a leaf as an array: of a sparse matrix in CSR format the entries."""
    return as_floats(leaf.data if is_sparse(leaf) else leaf, name)


def is_sparse(leaf: Any) -> bool:
    """Tell whether a leaf is a sparse matrix in the format of a network's weights."""
    return isinstance(leaf, (sparse.csr_array, sparse.csr_matrix))


def leaf_like(leaf: Any, values: FloatArray) -> Matrix:
    """Return values in the form of a leaf."""
    if not is_sparse(leaf):
        return values
    return sparse.csr_array((values, leaf.indices, leaf.indptr), shape=leaf.shape)


def called(path: Path) -> str:
    """Return how messages call a leaf.

    Examples
    --------
    >>> called(("w",)), called(("weights", ("in", "out")))
    ("'w'", "'weights'[('in', 'out')]")
    """
    first, *rest = path
    return where(shown(first), tuple(rest))


def where(name: str, path: Path) -> str:
    """Return where a leaf is, for messages.

    Examples
    --------
    >>> where("params", ("w",))
    "params['w']"
    """
    return name + "".join(f"[{shown(key)}]" for key in path)
