"""Instructions that have no name in Python: of vectors, of memory, and what threads agree by.

They are those of LLVM, through ``numba.extending.intrinsic``; without compilation (``make
coverage``) plain Python stands in for them.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["SPINS", "add_at_once", "add_to_row", "give_way", "look_at", "prefetch", "publish"]

# How often a thread looks whether others have come before it lets them run: they cannot meanwhile
# where all is plain Python.
SPINS = 0 if config.DISABLE_JIT else 2000

if config.DISABLE_JIT:
    _lock = threading.Lock()

    def prefetch(array: Any, index: int) -> None:
        """Do nothing."""

    def add_to_row(array: Any, row: int, a: float, b: float, c: float, d: float) -> None:
        """Add to the first four entries of a row."""
        array[row, :4] += (a, b, c, d)

    def add_at_once(array: Any, index: int, more: int) -> int:
        """Return an entry, and add to it before another thread can."""
        with _lock:
            before = int(array[index])
            array[index] += more
            return before

    def look_at(array: Any, index: int) -> int:
        """Return an entry."""
        return int(array[index])

    def publish(array: Any, index: int, value: int) -> None:
        """Set an entry."""
        array[index] = value

    def give_way() -> None:
        """Let other threads run."""
        time.sleep(0.0)

else:

    def _pointer(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
        """Return a pointer to an entry of a contiguous array (n,)."""
        data = context.make_array(kind)(context, builder, array).data
        return builder.gep(data, [index], inbounds=True)

    def _declared(builder: Any, name: str, result: Any, arguments: list[Any]) -> Any:
        return cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(result, arguments), name
        )

    @intrinsic
    def prefetch(typingctx, array, index):  # type: ignore[no-untyped-def]  # noqa: ARG001
        """Begin to fetch what lies at an entry of an array (n,), which need not exist."""

        def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            place = _pointer(context, builder, signature.args[0], *arguments)
            byte = ir.IntType(8).as_pointer()
            number = ir.IntType(32)
            fetch = _declared(builder, "llvm.prefetch.p0i8", ir.VoidType(), [byte, *[number] * 3])
            builder.call(fetch, [builder.bitcast(place, byte), number(0), number(3), number(1)])
            return context.get_dummy_value()

        return types.void(array, types.intp), code

    @intrinsic
    def add_to_row(typingctx, array, row, a, b, c, d):  # type: ignore[no-untyped-def]  # noqa: ARG001
        """Add to the first four entries of a row of a contiguous array, at once."""

        def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            matrix = context.make_array(signature.args[0])(context, builder, arguments[0])
            width = builder.extract_value(matrix.shape, 1)
            first = builder.gep(matrix.data, [builder.mul(arguments[1], width)])
            four = ir.VectorType(ir.DoubleType(), 4)
            more = ir.Constant(four, ir.Undefined)
            for place, value in enumerate(arguments[2:]):
                more = builder.insert_element(more, value, ir.IntType(32)(place))
            entries = builder.bitcast(first, four.as_pointer())
            total = builder.fadd(builder.load(entries, align=8), more)
            builder.store(total, entries, align=8)
            return context.get_dummy_value()

        return types.void(array, types.intp, *[types.float64] * 4), code

    @intrinsic
    def add_at_once(typingctx, array, index, more):  # type: ignore[no-untyped-def]  # noqa: ARG001
        """Return an entry of integers (n,), and add to it before another thread can."""

        def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            place = _pointer(context, builder, signature.args[0], *arguments[:2])
            return builder.atomic_rmw("add", place, arguments[2], "acq_rel")

        return types.int64(array, types.intp, types.int64), code

    @intrinsic
    def look_at(typingctx, array, index):  # type: ignore[no-untyped-def]  # noqa: ARG001
        """Return an entry of integers (n,); all that was written before it is seen from now on."""

        def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            place = _pointer(context, builder, signature.args[0], *arguments)
            return builder.load_atomic(place, "acquire", 8)

        return types.int64(array, types.intp), code

    @intrinsic
    def publish(typingctx, array, index, value):  # type: ignore[no-untyped-def]  # noqa: ARG001
        """Set an entry of integers (n,), after all that this thread has written before."""

        def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            place = _pointer(context, builder, signature.args[0], *arguments[:2])
            builder.store_atomic(arguments[2], place, "release", 8)
            return context.get_dummy_value()

        return types.void(array, types.intp, types.int64), code

    @intrinsic
    def give_way(typingctx):  # type: ignore[no-untyped-def]  # noqa: ARG001
        """Let other threads run."""

        def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]  # noqa: ARG001
            if sys.platform != "win32":
                builder.call(_declared(builder, "sched_yield", ir.IntType(32), []), [])
            return context.get_dummy_value()

        return types.void(), code
