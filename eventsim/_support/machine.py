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

__all__ = [
    "SPINS",
    "WIDE",
    "add_at_once",
    "add_to_row",
    "add_wide",
    "copy_wide",
    "fill_wide",
    "give_way",
    "look_at",
    "prefetch",
    "publish",
]

# So many entries are worked on at once by what is "wide": the arrays must have them.
WIDE = 8

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

    def add_wide(array: Any, index: int, more: float, limit: float, out: Any, place: int) -> int:
        """Set ``out`` to entries with so much more; return how many there are below a limit."""
        values = array[index : index + WIDE] + more
        out[place : place + WIDE] = values
        is_below = values < limit
        return WIDE if is_below.all() else int(is_below.argmin())

    def copy_wide(array: Any, index: int, out: Any, place: int) -> None:
        """Copy entries."""
        out[place : place + WIDE] = array[index : index + WIDE]

    def fill_wide(value: float, out: Any, place: int) -> None:
        """Set entries to a value."""
        out[place : place + WIDE] = value

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

    def _wide(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
        """Return a pointer to the entries of a contiguous array (n,) from one on, as a vector."""
        first = _pointer(context, builder, kind, array, index)
        return builder.bitcast(first, ir.VectorType(first.type.pointee, WIDE).as_pointer())

    def _splat(builder: Any, value: Any) -> Any:
        """Return a vector of equal entries."""
        empty = ir.Constant(ir.VectorType(value.type, WIDE), ir.Undefined)
        one = builder.insert_element(empty, value, ir.IntType(32)(0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), WIDE), [0] * WIDE)
        return builder.shuffle_vector(one, empty, zeros)

    @intrinsic
    def add_wide(typingctx, array, index, more, limit, out, place):  # type: ignore[no-untyped-def]  # noqa: ARG001
        """Set ``out`` to entries with so much more; return how many there are below a limit.

        Only those before the first that is not.
        """

        def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            entries = _wide(context, builder, signature.args[0], *arguments[:2])
            values = builder.fadd(builder.load(entries, align=8), _splat(builder, arguments[2]))
            target = _wide(context, builder, signature.args[4], *arguments[4:])
            builder.store(values, target, align=8)
            below = builder.fcmp_ordered("<", values, _splat(builder, arguments[3]))
            bits = builder.zext(builder.bitcast(below, ir.IntType(WIDE)), ir.IntType(64))
            return builder.cttz(builder.not_(bits), ir.IntType(1)(0))

        number, real = types.uint64, types.float64
        return number(array, number, real, real, out, number), code

    @intrinsic
    def copy_wide(typingctx, array, index, out, place):  # type: ignore[no-untyped-def]  # noqa: ARG001
        """Copy entries of an array to another one of their type."""

        def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            entries = _wide(context, builder, signature.args[0], *arguments[:2])
            target = _wide(context, builder, signature.args[2], *arguments[2:])
            size = array.dtype.bitwidth // 8
            builder.store(builder.load(entries, align=size), target, align=size)
            return context.get_dummy_value()

        return types.void(array, types.uint64, out, types.uint64), code

    @intrinsic
    def fill_wide(typingctx, value, out, place):  # type: ignore[no-untyped-def]  # noqa: ARG001
        """Set entries to a value."""

        def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            target = _wide(context, builder, signature.args[1], *arguments[1:])
            builder.store(_splat(builder, arguments[0]), target, align=8)
            return context.get_dummy_value()

        return types.void(types.float64, out, types.uint64), code

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
