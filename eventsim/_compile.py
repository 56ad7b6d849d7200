"""The compile options of every numba function, in one place.

No function is compiled with ``fastmath``: ``inf`` means "no spike" in this package, and fast
mathematics may assume that infinities do not exist.  ``error_model="numpy"`` makes a division by
zero yield ``inf`` on the CPU as it does on a GPU, so the scalar functions behave alike in both.

``_nrt=False`` leaves out the reference counts of arrays: a function then may not allocate, and a
loop that takes its arrays as named tuples runs three times as fast (measured on the scheduler).
"""

from numba import njit

__all__ = ["allocating_loop", "inlined", "loop", "scalar"]

scalar = njit(error_model="numpy", cache=True)
"""Scalar mathematics, called from every engine; free of options that a device would inherit."""

inlined = njit(error_model="numpy", _nrt=False, inline="always")
"""Parts of a loop over named tuples of arrays: a call would copy every tuple."""

loop = njit(error_model="numpy", cache=True, nogil=True, _nrt=False)
"""Loops over arrays; they release the interpreter lock, so threads run them side by side."""

allocating_loop = njit(error_model="numpy", cache=True, nogil=True)
"""Loops that make arrays of their own."""
