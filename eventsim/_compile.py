"""The compile options of every numba function, in one place.

No function is compiled with ``fastmath``: ``inf`` means "no spike" in this package, and fast
mathematics may assume that infinities do not exist.  ``error_model="numpy"`` makes a division by
zero yield ``inf`` on the CPU as it does on a GPU, so the scalar functions behave alike in both.
"""

from numba import njit

__all__ = ["loop", "scalar"]

scalar = njit(error_model="numpy", cache=True)
"""Scalar mathematics, called from every engine; free of options that a device would inherit."""

loop = njit(error_model="numpy", cache=True, nogil=True)
"""Loops over arrays; they release the interpreter lock, so threads run them side by side."""
