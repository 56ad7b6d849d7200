"""With NUMBA_BOUNDSCHECK=1 every index of compiled code is checked: `make bounds` relies on it.

Plain Python checks by itself.
"""

import numpy as np
import pytest
from numba import config

from eventsim._support.compile import allocating_loop, inlined, inner, loop, scalar
from eventsim._support.types import FloatArray


def read(values: FloatArray, i: int) -> float:
    return values[i]


@pytest.mark.jit
@pytest.mark.skipif(not config.BOUNDSCHECK, reason="the checks are off")
@pytest.mark.parametrize("compiled", [allocating_loop, loop, scalar])
def test_an_index_out_of_bounds_is_an_error(compiled: type) -> None:
    within, called = inlined(read), inner(read)

    def outer(values: FloatArray, i: int) -> float:
        return within(values, i)

    def caller(values: FloatArray, i: int) -> float:
        return called(values, i)

    for function in map(compiled, (read, outer, caller)):
        assert function(np.ones(3), 2) == 1.0
        with pytest.raises(IndexError):
            function(np.ones(3), 3)
