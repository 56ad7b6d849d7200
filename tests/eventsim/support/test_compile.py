"""The compiler of all loops: what it leaves out, and what it inlines."""

from __future__ import annotations

from copy import deepcopy
from typing import NamedTuple

import numpy as np
import pytest
from numba.core import ir

from eventsim._support.compile import _Block, inlined, loop


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
    scope = ir.Scope(None, loc)
    block = _Block(scope, loc)
    x = scope.define("x", loc)
    block.append(ir.Assign(ir.Const(1, loc), x, loc))
    copy = deepcopy(block)
    assert isinstance(copy, _Block)
    assert copy.scope is scope
    assert copy.body[0] is not block.body[0]
    assert copy.body[0].target is not x
    assert copy.body[0].target.scope is scope
