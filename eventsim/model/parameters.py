r"""The parameters of the model, in one table: what is checked, packed, and differentiated by.

Another neuron parameter begins here.  `eventsim.LIF` checks its fields by this table,
`eventsim._layout.wiring` packs them, gradients have its names, and the chain rule from what the
equations use to what the user gives is here.

The equations know rates instead of time constants, and measure the potential from `reset`: with
:math:`u = V - r`,

.. math:: \dot V = -\beta (V - E) + I + c \quad\Leftrightarrow\quad \dot u = -\beta u + I + c',
    \qquad c' = c + \beta (E - r), \quad \theta' = \theta - r,

so a spike sets u to 0, and no engine has to know of r or of the resting potential E.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from eventsim._support.types import BoolArray, FloatArray
from eventsim._support.validate import LEAST, MOST, as_floats, require, require_size

__all__ = [
    "DELAYS",
    "DIFFERENTIABLE",
    "INITIAL",
    "INPUT",
    "NEURON",
    "SYNAPSE",
    "WEIGHTS",
    "Parameter",
    "neuron_parameter",
    "pulled",
    "pushed",
    "used",
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
        Whether the equations use its inverse, a rate.
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
        if self._is_plain(values):
            return
        require(~np.isnan(values), values, f"{self.name} must not be NaN")
        if self.limits == "above 0":
            require(values > 0.0, values, f"{self.name} must be > 0")
            require(values >= LEAST, values, f"{self.name} must be at least {LEAST:g}")
        elif self.limits == "at least 0":
            require(values >= 0.0, values, f"{self.name} must be >= 0")
            if self.inverse:
                good = (values >= LEAST) | (values == 0.0)
                require(good, values, f"{self.name} must be 0, or at least {LEAST:g}")
        if not self.inverse:  # the inverse of a large number is a small one
            require_size(np.where(self.infinite & np.isinf(values), 0.0, values), self.name)

    def _is_plain(self, values: FloatArray) -> bool:
        """Tell whether all values are far from every limit: most are, and it takes no memory."""
        zero = LEAST if self.inverse else 0.0
        least = {"any": -MOST, "at least 0": zero, "above 0": LEAST}[self.limits]
        return bool(values.size and least <= values.min() and values.max() <= MOST)


NEURON = (
    Parameter("tau_mem", "time", "beta", 1.0, "above 0", infinite=True, inverse=True),
    Parameter("tau_syn", "time", "alpha", 0.5, "at least 0", infinite=True, inverse=True),
    Parameter("threshold", "potential", "threshold", 1.0, infinite=True),
    Parameter(
        "refractory", "time", "refractory", 0.0, "at least 0", infinite=True, differentiable=False
    ),
    Parameter("bias", "potential / time", "bias", 0.0),
    Parameter("rest", "potential", "rest", 0.0),
    Parameter("reset", "potential", "reset", 0.0),
)
"""Of each neuron of a population: the fields of `eventsim.LIF`."""

WEIGHTS = Parameter("weights", "potential / time", "weight")
DELAYS = Parameter("delays", "time", "delay", 0.0, "at least 0")
SYNAPSE = (WEIGHTS, DELAYS)
"""Of each synapse of a projection."""

INPUT = (Parameter("input_times", "time", "input_time", limits="at least 0"),)
"""Of each input spike."""

DIFFERENTIABLE = tuple(p.name for p in (*SYNAPSE, *NEURON, *INPUT) if p.differentiable)
"""Parameters that gradients are by, in this order."""

INITIAL = "initial"
"""The states of the neurons at t = 0, which gradients are by, too."""

_BY_NAME = {parameter.name: parameter for parameter in NEURON}


def neuron_parameter(name: str) -> Parameter:
    """Return a row of the table of neurons."""
    return _BY_NAME[name]


def used(values: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Return what the equations use, by symbol, from the values of all parameters by name."""
    alpha, beta = 1.0 / values["tau_syn"], 1.0 / values["tau_mem"]
    lifted = values["rest"] - values["reset"]
    return {
        "alpha": alpha,
        "beta": beta,
        "threshold": values["threshold"] - values["reset"],
        "bias": values["bias"] + beta * lifted,
        "refractory": values["refractory"],
    }


def pulled(
    by: Mapping[str, FloatArray], values: Mapping[str, FloatArray], at_rest: BoolArray
) -> dict[str, FloatArray]:
    """Return the derivatives by what the user gives, and by the rates, from those by what is used.

    Parameters
    ----------
    by : dict of str -> (n,) ndarray
        By "alpha", "beta", "threshold" and "bias" as the equations use them; by "potential", that
        at t = 0, and by "level", a shift of all potentials that the loss reads.
    values : dict of str -> (n,) ndarray
        Of all parameters, by name; of "tau_syn", and of "alpha" above, a column for each current.
    at_rest : (n,) ndarray of bool
        Which neurons begin at rest.

    Returns
    -------
    dict of str -> (n,) ndarray
        By all differentiable parameters of `NEURON`, and by the rates "alpha" and "beta".
    """
    tau_mem, tau_syn = values["tau_mem"], values["tau_syn"]
    by_beta = by["beta"] + by["bias"] * (values["rest"] - values["reset"])
    by_rest = by["bias"] / tau_mem
    return {
        "alpha": by["alpha"],
        "beta": by_beta,
        "tau_mem": -by_beta / tau_mem / tau_mem,
        "tau_syn": -by["alpha"] / tau_syn / tau_syn,
        "threshold": by["threshold"],
        "bias": by["bias"],
        "rest": by_rest + np.where(at_rest, by["potential"], 0.0),
        "reset": by["level"] - by["threshold"] - by_rest - by["potential"],
    }


def pushed(
    changes: Mapping[str, FloatArray], values: Mapping[str, FloatArray], at_rest: BoolArray
) -> dict[str, FloatArray]:
    """Return the changes of what the equations use from those of the parameters: as `pulled`.

    ``changes`` has that of the "potential" at t = 0 too, beside that by which rest moves it.
    """
    d_beta = -changes["tau_mem"] / np.square(values["tau_mem"])
    d_lifted = changes["rest"] - changes["reset"]
    lifted = values["rest"] - values["reset"]
    return {
        "alpha": -changes["tau_syn"] / np.square(values["tau_syn"]),
        "beta": d_beta,
        "threshold": changes["threshold"] - changes["reset"],
        "bias": changes["bias"] + d_beta * lifted + d_lifted / values["tau_mem"],
        "potential": changes["potential"]
        + np.where(at_rest, changes["rest"], 0.0)
        - changes["reset"],
    }
