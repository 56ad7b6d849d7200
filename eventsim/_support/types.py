"""Names for the types that recur in signatures."""

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

__all__ = [
    "BoolArray",
    "FloatArray",
    "Int32Array",
    "IntArray",
    "Key",
    "Matrix",
    "MatrixLike",
    "Word",
]

FloatArray: TypeAlias = NDArray[np.float64]
"""Times, potentials, currents, weights, delays: all real numbers are float64."""

IntArray: TypeAlias = NDArray[np.int64]
"""Offsets, counts, positions."""

Int32Array: TypeAlias = NDArray[np.int32]
"""Numbers of neurons, kinds and queued items, of which there may be as many as synapses."""

Word: TypeAlias = np.uint64
"""32 random bits, in a type in which their products fit."""

BoolArray: TypeAlias = NDArray[np.bool_]

Matrix: TypeAlias = FloatArray | sparse.csr_array
"""One value per synapse, (n_pre, n_post), as a network keeps it."""

MatrixLike: TypeAlias = ArrayLike | sparse.sparray | sparse.spmatrix
"""One value per synapse, as a caller may give it."""

Key: TypeAlias = tuple[str, str] | tuple[str, str, str | int]
"""Name of a projection: ``(pre, post)``, ``(pre, post, name)`` or ``(pre, post, number)``."""
