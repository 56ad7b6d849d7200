"""Parameters of the leaky integrate-and-fire neuron."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import count
from types import MappingProxyType
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike

from eventsim._support.types import BoolArray, FloatArray
from eventsim._support.validate import (
    LEAST,
    as_count,
    as_floats,
    as_names,
    check_name,
    mapping_or_empty,
    require,
    shown,
)
from eventsim.model.jumps import CHARGE
from eventsim.model.parameters import NEURON, neuron_parameter

__all__ = ["LIF", "by_receptor", "check_size", "tau_of"]

_MEMBRANE = {
    "C_m": 250.0, "tau_m": 10.0, "t_ref": 2.0, "E_L": -70.0, "V_reset": -70.0, "V_th": -55.0,
    "I_e": 0.0,
}  # fmt: skip
_EXP = {**_MEMBRANE, "tau_syn_ex": 2.0, "tau_syn_in": 2.0}

MOST_RECEPTORS = 127  # numbered by 8 bits

# Parameters of NEST's models, with their defaults (NEST 3); and those that must be as they are.
NEST: Mapping[str, Mapping[str, ArrayLike]] = {
    "iaf_psc_exp": _EXP,
    "iaf_psc_exp_ps": _EXP,
    "iaf_psc_exp_ps_lossless": _EXP,
    "iaf_psc_delta": _MEMBRANE,
    "iaf_psc_delta_ps": _MEMBRANE,
}
NOT_OF_LIF = {"delta": 0.0, "refractory_input": False, "V_min": -np.finfo(np.float64).max}


@dataclass(frozen=True, slots=True, eq=False)
class LIF:
    r"""Leaky integrate-and-fire neurons with exponential synaptic currents.

    Between events ``dI/dt = -I/tau_syn`` and ``dV/dt = (rest - V)/tau_mem + I + bias``.  An
    arriving spike adds its weight to I.  A neuron with several *receptors* has a current of each,
    with a time constant of its own, and their sum acts on V.  When V surpasses ``threshold`` the
    neuron spikes: V becomes ``reset`` and is held there for the refractory period, while I goes on
    decaying (reset of V only).  A run begins with V at ``rest``, if `eventsim.simulate` is not told
    otherwise.

    Parameters
    ----------
    tau_mem : float or (n,) array_like
        Membrane time constant > 0; ``inf``: no leak.
    tau_syn : float or (n,) array_like, or dict of str -> float or (n,) array_like
        Synaptic time constant; ``inf``: a step current; 0: no current, an arriving spike adds its
        weight to V (of all neurons or of none).  A dict has that of every receptor, by name:
        `Network.connect` says to which one a projection leads.
    threshold : float or (n,) array_like
        Firing threshold > ``reset``; ``inf``: the neuron never fires (a readout).  It may be equal
        to ``reset`` for neurons that fire at most once: see `earliest`.
    refractory : float or (n,) array_like
        Refractory period >= 0; ``inf``: the neuron fires at most once, and is silent and at rest
        ever after (single-spike or time-to-first-spike coding).
    bias : float or (n,) array_like
        Constant bias current.
    rest, reset : float or (n,) array_like
        Potential to which the membrane leaks, and potential after a spike.  A non-leaky membrane
        stays where it is, and ``rest`` is only where it begins.

    Raises
    ------
    ValueError
        If a parameter is NaN or out of its range; the message quotes the value.  Time constants
        and thresholds below 1e-100, and other numbers above 1e100, are out of range: float64 could
        not hold what becomes of them.

    Notes
    -----
    Times are in any consistent unit.  The model is Lee et al., Eqs. 1-5, which contains those of
    Yamamoto et al. (``tau_syn = 2 tau_mem``), Comsa et al. and Goeltz et al. (equal constants),
    Mostafa (``tau_mem = inf``) and Zhang et al. (both infinite, the ReL-PSP neuron).

    Examples
    --------
    >>> LIF(tau_mem=20.0, tau_syn=5.0, threshold=20.0, refractory=0.1).tau_mem
    20.0
    >>> LIF(tau_mem=20.0, tau_syn={"exc": 5.0, "inh": 10.0}, threshold=20.0).receptors
    ('exc', 'inh')
    >>> LIF(tau_mem=-1.0)
    Traceback (most recent call last):
        ...
    ValueError: tau_mem must be > 0, got -1.0
    """

    tau_mem: float | FloatArray = 1.0
    tau_syn: float | FloatArray | Mapping[str, float | FloatArray] = 0.5
    threshold: float | FloatArray = 1.0
    refractory: float | FloatArray = 0.0
    bias: float | FloatArray = 0.0
    rest: float | FloatArray = 0.0
    reset: float | FloatArray = 0.0

    def __post_init__(self) -> None:
        """Normalise every parameter to a float or a read-only (n,) array and check its range."""
        for parameter in NEURON:
            value = getattr(self, parameter.name)
            checked = (
                _checked_receptors(value)
                if parameter.name == "tau_syn" and isinstance(value, Mapping)
                else parameter.checked(value)
            )
            object.__setattr__(self, parameter.name, checked)
        sizes = {name: np.size(value) for name, value in self._flat().items() if np.ndim(value)}
        if len(set(sizes.values())) > 1:
            raise ValueError(f"parameters of neurons must have the same length, got {sizes}")
        for name, tau in zip(self._names_of_receptors(), self._each_tau_syn(), strict=True):
            if np.any(np.equal(tau, 0.0)) and not np.all(np.equal(tau, 0.0)):
                raise ValueError(f"{name} must be 0 for all neurons or for none, got {shown(tau)}")
        gap = np.subtract(self.threshold, self.reset)
        once = np.isposinf(self.refractory)
        bad = ~((gap > 0.0) | ((gap == 0.0) & once))
        if np.any(bad):
            both = (np.broadcast_to(a, bad.shape)[bad][0] for a in (self.threshold, self.reset))
            raise ValueError(
                "threshold must be > reset (or equal to it with an infinite refractory period), "
                "got {} and reset {}".format(*both)
            )
        least = np.where(gap == 0.0, 1.0, gap)
        require(least >= LEAST, self.threshold, f"threshold must be at least {LEAST:g} above reset")

    def __reduce__(self) -> tuple[type[LIF], tuple[Any, ...]]:
        """Return how to make an equal one, whose arrays are read-only too."""
        values = (getattr(self, field.name) for field in fields(self))
        return type(self), tuple(dict(v) if isinstance(v, Mapping) else v for v in values)

    @classmethod
    def earliest(cls) -> LIF:
        """Return the unit of an earliest-spike pool: it fires once, with its earliest input.

        A non-leaky neuron with threshold 0 surpasses it at once when a spike with a positive weight
        arrives.  Connect it by `eventsim.pooling`.

        Examples
        --------
        >>> LIF.earliest().threshold, LIF.earliest().refractory
        (0.0, inf)
        """
        return cls(tau_mem=np.inf, tau_syn=np.inf, threshold=0.0, refractory=np.inf)

    @classmethod
    def from_nest(cls, model: str, params: Mapping[str, ArrayLike] | None = None) -> LIF:
        """Return the neurons of a model of NEST, in ms and mV.

        Parameters
        ----------
        model : str
            "iaf_psc_exp" or "iaf_psc_delta", or their forms in continuous time: "iaf_psc_exp_ps",
            "iaf_psc_exp_ps_lossless", "iaf_psc_delta_ps".
        params : dict of str -> float or (n,) array_like, optional
            Parameters as NEST names them; those left out have NEST's defaults.

        Returns
        -------
        LIF
            With the receptors "ex" and "in" of "iaf_psc_exp"; "iaf_psc_delta" has one, without a
            current.

        Raises
        ------
        ValueError
            Unknown models or parameters, or values that this neuron cannot have.

        Notes
        -----
        A synapse of weight w pA has here the weight ``w / C_m``, in mV/ms; NEST leads it to "ex" if
        it is positive, else to "in".  Weights of "iaf_psc_delta" are in mV in both.  NEST's V_m at
        the start is ``State(potential=V_m)``.  A neuron of NEST fires when V reaches the threshold,
        here when it surpasses it.

        Examples
        --------
        >>> lif = LIF.from_nest("iaf_psc_exp", {"tau_m": 20.0, "tau_syn_in": 10.0, "V_th": -50.0})
        >>> lif.threshold, lif.reset, dict(lif.tau_syn)
        (-50.0, -70.0, {'ex': 2.0, 'in': 10.0})
        """
        check_name(model, NEST, "model must be one of NEST's models")
        given = mapping_or_empty(params, "params")
        for name, least in NOT_OF_LIF.items():
            if name in given and not np.all(np.less_equal(given[name], least)):
                raise ValueError(
                    f"{name} must be {least}: a LIF neuron has none, got {shown(given[name])}"
                )
        given = {name: value for name, value in given.items() if name not in NOT_OF_LIF}
        as_names(given, tuple(NEST[model]), "params")
        value = {**NEST[model], **given}
        tau_syn: Any = 0.0
        if "tau_syn_ex" in value:
            tau_syn = {"ex": value["tau_syn_ex"], "in": value["tau_syn_in"]}
        return cls(
            tau_mem=cast("Any", value["tau_m"]),
            tau_syn=tau_syn,
            threshold=cast("Any", value["V_th"]),
            refractory=cast("Any", value["t_ref"]),
            bias=as_floats(value["I_e"], "I_e") / as_floats(value["C_m"], "C_m"),
            rest=cast("Any", value["E_L"]),
            reset=cast("Any", value["V_reset"]),
        )

    @property
    def is_pool(self) -> BoolArray:
        """Whether any positive charge sets a neuron off, as that of a pool; () or (n,)."""
        return np.asarray(np.equal(self.threshold, self.reset))

    @property
    def receptors(self) -> tuple[str, ...]:
        """Names of the receptors; empty: there is one, without a name."""
        return tuple(self.tau_syn) if isinstance(self.tau_syn, Mapping) else ()

    @property
    def columns(self) -> tuple[int, ...]:
        """Number of the current of each receptor; `CHARGE`: it has none."""
        numbers = count()
        return tuple(
            next(numbers) if np.all(np.greater(tau, 0.0)) else CHARGE
            for tau in self._each_tau_syn()
        )

    def arrays(self, n: int) -> dict[str, FloatArray]:
        """Return the parameters as (n,) arrays, of ``tau_syn`` (n, n_currents).

        A neuron without any current has one at which nothing arrives.

        Raises
        ------
        ValueError
            If one has another length.
        """
        n = as_count(n, "n")
        flat = {name: _broadcast(name, value, n) for name, value in self._flat().items()}
        each = [flat.pop(name) for name in self._names_of_receptors()]
        currents = [tau for tau, column in zip(each, self.columns, strict=True) if column != CHARGE]
        return {**flat, "tau_syn": np.stack(currents or [np.full(n, np.inf)], axis=1)}

    def _names_of_receptors(self) -> list[str]:
        return [f"tau_syn[{name!r}]" for name in self.receptors] or ["tau_syn"]

    def _each_tau_syn(self) -> list[float | FloatArray]:
        return list(self.tau_syn.values()) if isinstance(self.tau_syn, Mapping) else [self.tau_syn]

    def _flat(self) -> dict[str, float | FloatArray]:
        """Return all values, those of the receptors by names of their own."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        if isinstance(self.tau_syn, Mapping):
            del values["tau_syn"]
            values |= dict(zip(self._names_of_receptors(), self.tau_syn.values(), strict=True))
        return values


def by_receptor(neuron: LIF, values: FloatArray) -> FloatArray | dict[str, FloatArray]:
    """Return columns (..., n_currents) by receptor; if it has no name, that of the only one.

    Those of receptors without a current are 0.
    """
    nothing = np.zeros(values.shape[:-1])
    each = [nothing if c == CHARGE else values[..., c] for c in neuron.columns]
    return dict(zip(neuron.receptors, each, strict=True)) if neuron.receptors else each[0]


def check_size(neuron: LIF, n: int) -> None:
    """Raise a ValueError if a parameter is an array, but not of n neurons."""
    for name, value in neuron._flat().items():
        _broadcast(name, value, n)


def tau_of(neuron: LIF, column: int) -> float | FloatArray:
    """Return the time constant of a current; of `CHARGE`, 0."""
    each = zip(neuron._each_tau_syn(), neuron.columns, strict=True)
    return next(tau for tau, own in each if own == column)


def _checked_receptors(given: Mapping[str, ArrayLike]) -> Mapping[str, float | FloatArray]:
    """Return the time constants of receptors, read-only."""
    if not 1 <= len(given) <= MOST_RECEPTORS:
        raise ValueError(f"tau_syn must have 1 to {MOST_RECEPTORS} receptors, got {len(given)}")
    for name in given:
        if not isinstance(name, str):
            raise ValueError(f"receptors must be named by strings, got {shown(name)}")
    tau_syn = neuron_parameter("tau_syn")
    named = {k: tau_syn._replace(name=f"tau_syn[{k!r}]").checked(v) for k, v in given.items()}
    return MappingProxyType(named)


def _broadcast(name: str, value: float | FloatArray, n: int) -> FloatArray:
    array = np.asarray(value)
    if array.ndim and array.shape != (n,):
        raise ValueError(f"{name} must be a scalar or have shape ({n},), got {array.shape}")
    return np.broadcast_to(array, (n,))
