"""The Euclidean norm of arrays, whatever the size of their elements."""

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["LARGEST", "norm_in_unit"]

LARGEST = 1e150  # its square, and the sum of 10^8 of them, is a number; so is that of its inverse


def norm_in_unit(arrays: Iterable[ArrayLike]) -> tuple[float, float]:
    """Return ``(unit, norm)``: the Euclidean norm of all elements is their product.

    The unit is 1, or a power of 2 near the largest element where squares of such numbers are none.

    Examples
    --------
    >>> norm_in_unit([[3.0, -4.0], 12.0])
    (1.0, 13.0)
    >>> unit, norm = norm_in_unit([[3e200, -4e200]])
    >>> norm < 3.0, unit * norm
    (True, 5e+200)
    """
    elements = [np.asarray(array) for array in arrays]
    largest = float(np.max([np.abs(each).max(initial=0.0) for each in elements], initial=0.0))
    unit = 1.0
    if 0.0 < largest < math.inf and not 1.0 / LARGEST <= largest <= LARGEST:
        unit = math.ldexp(1.0, math.frexp(largest)[1] - 1)
        elements = [each / unit for each in elements]
    return unit, math.sqrt(sum(float(np.sum(np.square(each))) for each in elements))
