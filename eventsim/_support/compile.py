"""The compile options of every numba function, in one place.

No function is compiled with ``fastmath``: ``inf`` means "no spike" in this package, and fast
mathematics may assume that infinities do not exist.  ``error_model="numpy"`` makes a division by
zero yield ``inf`` on the CPU as it does on a GPU, so the scalar functions behave alike in both.

Loops over neurons of one receptor, or without charges, are compiled without what only the others
need: a branch on ``len(neurons.receptors)`` is taken, or left out, before numba infers types.  What
is left out is not compiled, nor what it calls: the first call of the window engine takes two thirds
of the time.  numba does so itself where the tuple is an argument, not a field of one.

To inline a function numba copies its representation block by block, and with each block all names
of the function: half of the time that a loop takes to compile.  Here all blocks share one scope.
``no_cfunc_wrapper=True`` leaves out what C would call: a sixth of the time.

``_nrt=False`` leaves out the reference counts of arrays: a function then may not allocate, and a
loop that takes its arrays as named tuples runs three times as fast (measured on the scheduler).
"""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from numba import config, njit, types
from numba.core import ir
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.inline_closurecall import InlineWorker, callee_ir_validator
from numba.core.ir_utils import compute_cfg_from_blocks, get_definition, guard, simplify_CFG
from numba.core.postproc import PostProcessor
from numba.core.untyped_passes import InlineInlinables, RewriteSemanticConstants

from eventsim._support.code_files import keep_code

__all__ = ["allocating_loop", "inlined", "loop", "scalar"]


@register_pass(mutates_CFG=False, analysis_only=False)
class _KnownLengths(FunctionPass):
    """Put a number in the place of the length of a tuple that is a field of an argument."""

    _name = "known_lengths"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        """Return whether something was replaced; the next pass removes dead branches."""
        assigned = [
            statement
            for block in state.func_ir.blocks.values()
            for statement in block.find_insts(ir.Assign)
            if _is_length(state, statement.value)
        ]
        for statement in assigned:
            of = _type_of(state, statement.value.args[0])
            if isinstance(of, types.BaseTuple):
                known = ir.Const(len(of), statement.loc)
                definitions = state.func_ir._definitions[statement.target.name]
                definitions[definitions.index(statement.value)] = known
                statement.value = known
        return bool(assigned)


def _is_length(state: Any, value: Any) -> bool:
    if not (isinstance(value, ir.Expr) and value.op == "call" and len(value.args) == 1):
        return False
    function = guard(get_definition, state.func_ir, value.func)
    return isinstance(function, ir.Global) and function.value is len


def _type_of(state: Any, variable: Any) -> Any:
    """Return the type of an argument, or of a field of one; None: it is not known yet."""
    definition = guard(get_definition, state.func_ir, variable)
    if isinstance(definition, ir.Arg):
        return state.args[definition.index]
    if isinstance(definition, ir.Expr) and definition.op == "getattr":
        of = _type_of(state, definition.value)
        if isinstance(of, types.BaseNamedTuple):
            return tuple(of)[of.fields.index(definition.attr)]
    return None


class _Block(ir.Block):
    """A block whose copies have the same scope."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Block":
        block = _Block(self.scope, self.loc)
        block.body = deepcopy(self.body, {id(self.scope): self.scope})
        return block


class _Worker(InlineWorker):
    """numba's, which copies a function that it inlines with one scope for all blocks."""

    def __init__(self, state: Any) -> None:
        contexts = state.typingctx, state.targetctx, state.locals, state.pipeline, state.flags
        super().__init__(*contexts, validator=callee_ir_validator)
        self._compiler_pipeline = _untyped

    def run_untyped_passes(self, func: Any, enable_ssa: bool = False) -> Any:
        """Return the representation of a function, which is inlined once: it shares its scope."""
        func_ir = super().run_untyped_passes(func, enable_ssa)
        for label, block in func_ir.blocks.items():
            func_ir.blocks[label] = _Block(block.scope, block.loc)
            func_ir.blocks[label].body = block.body
        return func_ir


@register_pass(mutates_CFG=True, analysis_only=False)
class _Inline(InlineInlinables):
    """numba's, with another worker."""

    _name = "inline"

    def run_pass(self, state: Any) -> bool:
        """Inline calls, and those in what is inlined."""
        worker, rest, modified = _Worker(state), list(state.func_ir.blocks.items()), False
        while rest:
            _, block = rest.pop()
            for i, statement in enumerate(block.body):
                if _is_call(statement) and guard(
                    self._do_work, state, rest, block, i, statement.value, worker
                ):
                    modified = True
                    break  # what follows is in a block of its own
        if modified:
            for dead in compute_cfg_from_blocks(state.func_ir.blocks).dead_nodes():
                del state.func_ir.blocks[dead]
            PostProcessor(state.func_ir).run()
            state.func_ir.blocks = simplify_CFG(state.func_ir.blocks)
        return True


def _is_call(statement: Any) -> bool:
    value = statement.value if isinstance(statement, ir.Assign) else None
    return isinstance(value, ir.Expr) and value.op == "call"


def _with_inline(passes: Any) -> Any:
    """Return passes of numba with another one that inlines."""
    passes.passes = [
        (_Inline, why) if which is InlineInlinables else (which, why)
        for which, why in passes.passes
    ]
    return passes


def _untyped(state: Any) -> Any:
    return _with_inline(DefaultPassBuilder.define_untyped_pipeline(state))


class _Compiler(CompilerBase):
    """numba's, which removes dead branches before and after calls are inlined."""

    def define_pipelines(self) -> list[Any]:
        passes = _with_inline(DefaultPassBuilder.define_nopython_pipeline(self.state))
        for before in (RewriteSemanticConstants, _Inline):
            passes.add_pass_after(_KnownLengths, before)
        passes.finalize()
        return [passes]


def _compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator like ``numba.njit``, with the files of `eventsim._support.code_files`."""

    def decorate(function: Callable[..., Any]) -> Any:
        compiled = njit(
            error_model="numpy", pipeline_class=_Compiler, no_cfunc_wrapper=True, **options
        )(function)
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

allocating_loop = _compiled(nogil=True)
"""Loops that make arrays of their own."""
