"""Networks small enough for numba's simulator of a CUDA device, and an error as its driver's."""

from __future__ import annotations

import numpy as np

from tests.helpers.feedforward import Cells, Population, Recipe, Window, Wires
from tests.helpers.models import Model

CELLS = Cells(rates=((2.0, 1.0), (1.0, 1.0)), refractory=(0.0, 0.3), bias=(0.0, 0.2))
LIKE = Cells(((1.0, 2.0),))
NETWORKS = {
    "dense": Recipe(
        ((4, 1, 1), (3, 1, 1)),
        (
            Population(6, CELLS, (Wires(0), Wires(1, delay=0.25))),
            Population(3, LIKE, (Wires(2), Wires(0))),
        ),
        (6, 0, 4), True, 3.0, 1,
    ),
    "delay of each synapse": Recipe(
        ((4, 1, 1),), (Population(4, CELLS, (Wires(0, each_delay=True),)),), (6, 3), False, 3.0, 2
    ),
    "sparse": Recipe(
        ((4, 1, 1),), (Population(4, CELLS, (Wires(0, sparse=True),)),), (6, 3), False, 3.0, 3
    ),
    "convolution and pool": Recipe(
        ((1, 4, 4),),
        (Population(0, LIKE, (), Window(0, 2, 3, 1)), Population(0, LIKE, (), Window(1, 0, 2, 2))),
        (16, 9), False, 3.0, 4,
    ),
    "strides that leave a rest": Recipe(
        ((1, 6, 5),),
        (
            Population(0, LIKE, (), Window(0, 2, 3, 2, padding=1)),
            Population(0, LIKE, (), Window(1, 0, 2, 2)),
        ),
        (20, 9), False, 3.0, 8,
    ),
    "neurons that fire once": Recipe(
        ((4, 1, 1),),
        (Population(5, Cells(((1.0, 1.0),), refractory=(np.inf,)), (Wires(0),)),),
        (8, 5), False, 3.0, 5,
    ),
    "no input": Recipe(
        ((2, 1, 1),), (Population(2, Cells(((1.0, 1.0),), bias=(3.1, 0.0)), (Wires(0),)),),
        (0, 0), False, 2.0, 6,
    ),
}  # fmt: skip


def two_layers(n_samples: int = 2) -> Model:
    hidden = Population(5, CELLS, (Wires(0),))
    out = Population(2, Cells(((2.0, 1.0),), threshold=(np.inf,)), (Wires(1, delay=0.1),))
    return Recipe(((6, 1, 1),), (hidden, out), n_samples * (7,), False, 3.0, 0).model()


class DeviceError(Exception):
    """As the driver's: a code and a text."""

    def __init__(self, code: int) -> None:
        super().__init__(code, "allocation failed")
        self.code = code
