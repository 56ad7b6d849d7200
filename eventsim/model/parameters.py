"""The parameters of the model, in one table: what is checked, packed, and differentiated by.

Another neuron parameter begins here.  `eventsim.LIF` checks its fields by this table,
`eventsim._layout.wiring` packs them, gradients have its names, and the chain rule from what the
equations use (a rate) to what the user gives (a time constant) is that of its row.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from eventsim._support.types import FloatArray
from eventsim._support.validate import LEAST, as_floats, require, require_size

__all__ = [
    "DELAYS",
    "DIFFERENTIABLE",
    "INPUT",
    "NEURON",
    "SYNAPSE",
    "WEIGHTS",
    "Parameter",
    "neuron_parameter",
]


class Parameter(NamedTuple):
    """A parameter of the model.

    Attributes
    ----------
    name : str
        As users say it.
    unit : str
        Of its values; times are in any consistent unit.
    symbol : str
        As equations, sweeps and derivatives say it.
    default : float or None
        None: it is always given.
    limits : {"any", "at least 0", "above 0"}
        Which finite values make sense.
    infinite : bool
        Whether it may be infinite.
    inverse : bool
        Whether the equations use its inverse.
    differentiable : bool
        Whether there are gradients by it.
    """

    name: str
    unit: str
    symbol: str
    default: float | None = None
    limits: Literal["any", "at least 0", "above 0"] = "any"
    infinite: bool = False
    inverse: bool = False
    differentiable: bool = True

    def checked(self, value: ArrayLike) -> float | FloatArray:
        """Return a number or a read-only (n,) array, within the limits.

        Raises
        ------
        ValueError
            If a value is out of range.
        """
        array = as_floats(value, self.name)
        if array.ndim > 1:
            raise ValueError(f"{self.name} must be a scalar or (n,), got shape {array.shape}")
        self.require(array)
        if array.ndim == 0:
            return float(array)
        array = array.copy()
        array.flags.writeable = False
        return array

    def require(self, values: float | FloatArray) -> None:
        """Raise a ValueError that quotes the first value that is NaN or out of range.

        Numbers above 1e100, and time constants below 1e-100, are out of range: float64 could not
        hold what becomes of them.
        """
        values = np.asarray(values)
        require(~np.isnan(values), values, f"{self.name} must not be NaN")
        if self.limits == "above 0":
            require(values > 0.0, values, f"{self.name} must be > 0")
            require(values >= LEAST, values, f"{self.name} must be at least {LEAST:g}")
        elif self.limits == "at least 0":
            require(values >= 0.0, values, f"{self.name} must be >= 0")
        if not self.inverse:  # the inverse of a large number is a small one
            require_size(np.where(self.infinite & np.isinf(values), 0.0, values), self.name)

    def used(self, value: FloatArray) -> FloatArray:
        """Return what the equations use in the place of the values."""
        return 1.0 / value if self.inverse else value

    def pulled(self, derivative: FloatArray, value: float | FloatArray) -> FloatArray:
        """Return the derivative by the values from that by what the equations use."""
        return -derivative / value / value if self.inverse else derivative

    def pushed(self, change: FloatArray, value: float | FloatArray) -> FloatArray:
        """Return the change of what the equations use from that of the values."""
        return -change / np.square(value) if self.inverse else change


NEURON = (
    Parameter("tau_mem", "time", "beta", 1.0, "above 0", infinite=True, inverse=True),
    Parameter("tau_syn", "time", "alpha", 0.5, "above 0", infinite=True, inverse=True),
    Parameter("threshold", "potential", "threshold", 1.0, "at least 0", infinite=True),
    Parameter(
        "refractory", "time", "refractory", 0.0, "at least 0", infinite=True, differentiable=False
    ),
    Parameter("bias", "potential / time", "bias", 0.0),
)
"""Of each neuron of a population: the fields of `eventsim.LIF`."""

WEIGHTS = Parameter("weights", "potential / time", "weight")
DELAYS = Parameter("delays", "time", "delay", 0.0, "at least 0")
SYNAPSE = (WEIGHTS, DELAYS)
"""Of each synapse of a projection."""

INPUT = (Parameter("input_times", "time", "input_time", limits="at least 0"),)
"""Of each input spike."""

DIFFERENTIABLE = tuple(p.name for p in (*SYNAPSE, *NEURON, *INPUT) if p.differentiable)
"""What gradients are by, in this order."""

_BY_NAME = {parameter.name: parameter for parameter in NEURON}


def neuron_parameter(name: str) -> Parameter:
    """Return a row of the table of neurons."""
    return _BY_NAME[name]
