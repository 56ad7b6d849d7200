"""What numba does otherwise where it compiles our loops: three passes of our own.

*Known lengths.*  Loops over neurons of one receptor, or without charges, are compiled without what
only the others need: a branch on ``len(neurons.receptors)`` is taken, or left out, before numba
infers types.  What is left out is not compiled, nor what it calls: the first call of the window
engine takes two thirds of the time.  numba does so itself where the tuple is an argument, not a
field of one.

*Inline.*  To inline a function numba reads it anew for each call, and copies its representation
block by block, and with each block all names of the function: half of the time that a loop takes to
compile.  Here it is read once, and all blocks of a copy share one scope.

*Inner loops.*  numba optimises each function, makes machine code of it and a wrapper for Python,
and optimises it again within each function that calls it.  What loops alone call is linked as it
is, and optimised there: two fifths of the time of the window engine, whose loop has thirty of them.
"""

import ctypes
from copy import deepcopy
from typing import Any

from numba import _dynfunc, types
from numba.core import ir
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.inline_closurecall import InlineWorker, callee_ir_validator
from numba.core.ir_utils import compute_cfg_from_blocks, get_definition, guard, simplify_CFG
from numba.core.postproc import PostProcessor
from numba.core.typed_passes import NativeLowering
from numba.core.untyped_passes import InlineInlinables, RewriteSemanticConstants

__all__ = ["InnerCompiler", "LoopCompiler"]


# --- known lengths --------------------------------------------------------------------------------


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


# --- inline ---------------------------------------------------------------------------------------


class _Block(ir.Block):
    """A block in another ``scope``, the same for all blocks; so are its copies."""

    def __init__(self, block: ir.Block, scope: ir.Scope, body: list[Any]) -> None:
        super().__init__(scope, block.loc)
        self.body, self.replaced = body, block.scope

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Block":
        scopes = {id(scope): self.scope for scope in (self.scope, self.replaced)}
        return _Block(self, self.scope, deepcopy(self.body, scopes))


# What was read of functions that are inlined.
_READ: dict[Any, ir.FunctionIR] = {}


class _Worker(InlineWorker):
    """numba's, which reads a function that it inlines once, and copies it with one scope."""

    def __init__(self, state: Any) -> None:
        contexts = state.typingctx, state.targetctx, state.locals, state.pipeline, state.flags
        super().__init__(*contexts, validator=callee_ir_validator)
        self._compiler_pipeline = _untyped

    def run_untyped_passes(self, func: Any, enable_ssa: bool = False) -> Any:
        """Return the representation of a function; numba copies its blocks, and adds names."""
        if func not in _READ:
            _READ[func] = super().run_untyped_passes(func, enable_ssa)
        func_ir = _READ[func].copy()
        blocks = func_ir.blocks
        scope = _same_names(next(iter(blocks.values())).scope)
        func_ir.blocks = {
            label: _Block(block, scope, block.body) for label, block in blocks.items()
        }
        return func_ir


def _same_names(old: ir.Scope) -> ir.Scope:
    """Return a scope with the same names, to which others can be added."""
    scope = ir.Scope(old.parent, old.loc)
    for name, variable in old.localvars._con.items():
        scope.localvars.define(name, variable)
    scope.redefined.update(old.redefined)
    scope.var_redefinitions.update(deepcopy(old.var_redefinitions))
    return scope


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


# --- inner loops ----------------------------------------------------------------------------------


# In the place of machine code: it calls what it is given, which cannot be called: a TypeError.
_REFUSE = ctypes.cast(ctypes.pythonapi.PyObject_Call, ctypes.c_void_p).value


class _InnerLibrary(JITCodeLibrary):
    """What an inner loop was translated to, and what it calls: linked, and nothing else."""

    def _optimize_final_module(self) -> None:
        """Do nothing: whatever this is linked with will be optimised as a whole."""

    def _finalize_final_module(self) -> None:
        """Make no machine code."""
        self._finalize_dynamic_globals()
        self._finalized = True


@register_pass(mutates_CFG=True, analysis_only=False)
class _InnerLowering(NativeLowering):
    """numba's, without machine code."""

    _name = "inner_lowering"

    def run_pass(self, state: Any) -> bool:
        """Translate, and make known to those that are compiled later."""
        name, context = state.func_id.func_qualname, state.targetctx
        library = state.library = _InnerLibrary(context.codegen(), name)
        state.flags.no_compile = True
        super().run_pass(state)
        lowered = state.cr
        described = lowered.fndesc
        module, text = described.lookup_module(), "called by loops alone"
        stub = _dynfunc.make_function(module, name, text, _REFUSE, lowered.env, (library,))
        context.insert_user_function(stub, described, [library])
        state.cr = lowered._replace(cfunc=stub)
        return True


# --- the passes in order --------------------------------------------------------------------------


class LoopCompiler(CompilerBase):
    """numba's, which removes dead branches before and after calls are inlined."""

    def define_pipelines(self) -> list[Any]:
        """Return the one pipeline."""
        passes = _with(_Inline, DefaultPassBuilder.define_nopython_pipeline(self.state))
        for before in (RewriteSemanticConstants, _Inline):
            passes.add_pass_after(_KnownLengths, before)
        passes.finalize()
        return [passes]


class InnerCompiler(LoopCompiler):
    """The same for inner loops."""

    def define_pipelines(self) -> list[Any]:
        """Return the one pipeline."""
        return [_with(_InnerLowering, passes) for passes in super().define_pipelines()]


def _untyped(state: Any) -> Any:
    return _with(_Inline, DefaultPassBuilder.define_untyped_pipeline(state))


def _with(own: Any, passes: Any) -> Any:
    """Return passes of numba with one of our own in the place of the one that it refines."""
    (refined,) = own.__bases__
    passes.passes = [(own if which is refined else which, why) for which, why in passes.passes]
    return passes
