"""The compiler of all loops: what it leaves out, what it inlines, and what it links."""

from __future__ import annotations

from copy import deepcopy
from typing import NamedTuple

import numpy as np
import pytest
from numba.core import ir

from eventsim._support.compile import inlined, inner, loop
from eventsim._support.passes import _Block, _same_names


class Shape(NamedTuple):
    """As `Neurons` has its receptors."""

    values: np.ndarray
    receptors: tuple[int, ...]


@inlined
def largest_below(values, limit):
    """Two exits from a loop, so several blocks."""
    best = -1.0
    for value in values:
        if value == limit:
            return value
        if best < value < limit:
            best = value
    return best


@inlined
def two_below(values, limit):
    first = largest_below(values, limit)
    second = largest_below(values, first - 0.5) if first >= 0.0 else -2.0
    return first, second


@loop
def sum_below(shape, limits):
    """Inlines what inlines, at two places, one of them in a loop."""
    total = 0.0
    for limit in limits:
        first, second = two_below(shape.values, limit)
        total += first + 10.0 * second
    last, _ = two_below(shape.values, 1.0)
    if len(shape.receptors) > 1:
        return total + shape.values.no_such_field
    return total + last


def plainly(values: np.ndarray, limits: np.ndarray) -> float:
    def below(limit: float) -> float:
        return max([value for value in values if value <= limit], default=-1.0)

    pairs = [(below(limit), below(below(limit) - 0.5)) for limit in limits]
    total = sum(first + 10.0 * (second if first >= 0.0 else -2.0) for first, second in pairs)
    return total + below(1.0)


@pytest.mark.jit
def test_what_is_inlined_twice_does_what_it_does_alone() -> None:
    """And what only others need is not compiled: here it would be an error."""
    rng = np.random.default_rng(1)
    for _ in range(20):
        values = rng.integers(0, 8, 5) / 2.0
        limits = rng.integers(-1, 9, 4) / 2.0
        assert sum_below(Shape(values, (0,)), limits) == plainly(values, limits)


def test_copies_of_a_block_share_its_scope() -> None:
    loc = ir.Loc("here", 1)
    block = ir.Block(ir.Scope(None, loc), loc)
    x = block.scope.define("x", loc)
    block.append(ir.Assign(ir.Const(1, loc), x, loc))
    scope = _same_names(block.scope)
    assert scope.get("x") is x
    copy = deepcopy(deepcopy(_Block(block, scope, block.body)))
    assert copy.scope is scope
    assert copy.body[0] is not block.body[0]
    assert copy.body[0].target is not x
    assert copy.body[0].target.scope is scope


def test_names_that_are_added_to_a_copy_are_not_those_of_the_next() -> None:
    """A function that is inlined is read once."""
    loc = ir.Loc("here", 1)
    old = ir.Scope(None, loc)
    old.define("x", loc)
    first = _same_names(old)
    first.redefine("x", loc)
    first.define("y", loc)
    for scope in (old, _same_names(old)):
        assert set(scope.localvars._con) == {"x"}
        assert not scope.redefined
        assert not scope.var_redefinitions


@inner
def entry(values, i):
    return values[i]


@inner
def entry_and_next(values, i):
    """Calls an inner loop, and is one."""
    return entry(values, i) + entry(values, i + 1)


@loop
def sum_of_pairs(values, n):
    total = 0.0
    for i in range(n):
        total += entry_and_next(values, i)
    return total


@loop
def product_of_pairs(values, n):
    """A second loop that is linked with the same."""
    total = 1.0
    for i in range(n):
        total *= entry_and_next(values, i)
    return total


def test_inner_loops_are_called_by_several_loops_and_by_each_other() -> None:
    assert sum_of_pairs(np.arange(4.0), 3) == 9.0
    assert product_of_pairs(np.arange(4.0), 3) == 15.0
    singles = np.arange(4, dtype=np.float32)
    assert sum_of_pairs(singles, 3) == 9.0  # compiled for each type


@pytest.mark.jit
def test_python_cannot_call_an_inner_loop() -> None:
    with pytest.raises(TypeError, match="not callable"):
        entry(np.arange(4.0), 1)
