"""The compile options of every numba function, in one place.

No function is compiled with ``fastmath``: ``inf`` means "no spike" in this package, and fast
mathematics may assume that infinities do not exist.  ``error_model="numpy"`` makes a division by
zero yield ``inf`` on the CPU as it does on a GPU, so the scalar functions behave alike in both.

``no_cfunc_wrapper=True`` leaves out what C would call: a sixth of the time that it takes to
compile.  `eventsim._support.passes` has what is left out besides.

``_nrt=False`` leaves out the reference counts of arrays: a function then may not allocate, and a
loop that takes its arrays as named tuples runs three times as fast (measured on the scheduler).
"""

from collections.abc import Callable
from typing import Any

from numba import config, njit

from eventsim._support.code_files import keep_code
from eventsim._support.passes import InnerCompiler, LoopCompiler

__all__ = ["allocating_loop", "inlined", "inner", "loop", "scalar"]

_COMMON = {"error_model": "numpy", "no_cfunc_wrapper": True}


def _compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator like ``numba.njit``, with the files of `eventsim._support.code_files`."""

    def decorate(function: Callable[..., Any]) -> Any:
        compiled = njit(pipeline_class=LoopCompiler, **_COMMON, **options)(function)
        if not config.DISABLE_JIT:
            keep_code(compiled, function)
        return compiled

    return decorate


scalar = _compiled()
"""Scalar mathematics, called from every engine; free of options that a device would inherit."""

inlined = njit(error_model="numpy", _nrt=False, inline="always")
"""Parts of a loop over named tuples of arrays: a call would copy every tuple."""

loop = _compiled(nogil=True, _nrt=False)
"""Loops over arrays; they release the interpreter lock, so threads run them side by side."""

inner = njit(pipeline_class=InnerCompiler, no_cpython_wrapper=True, _nrt=False, **_COMMON)
"""Inner loops: called by loops alone, and compiled with them."""

allocating_loop = _compiled(nogil=True)
"""Loops that make arrays of their own."""
