"""Parameters of the leaky integrate-and-fire neuron."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from eventsim._support.types import BoolArray, FloatArray
from eventsim._support.validate import LEAST, as_count, require
from eventsim.model.parameters import NEURON

__all__ = ["LIF"]


@dataclass(frozen=True, slots=True, eq=False)
class LIF:
    r"""Leaky integrate-and-fire neurons with an exponential synaptic current.

    Between events ``dI/dt = -I/tau_syn`` and ``dV/dt = (rest - V)/tau_mem + I + bias``.  An
    arriving spike adds its weight to I.  When V surpasses ``threshold`` the neuron spikes: V
    becomes ``reset`` and is held there for the refractory period, while I goes on decaying (reset
    of V only).  A run begins with V at ``rest``, if `eventsim.simulate` is not told otherwise.

    Parameters
    ----------
    tau_mem, tau_syn : float or (n,) array_like
        Membrane and synaptic time constants > 0; ``inf`` gives the non-leaky membrane and the step
        current, both ``inf`` the ReL-PSP neuron of Zhang et al.
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
    Mostafa (``tau_mem = inf``) and Zhang et al. (both infinite).

    Examples
    --------
    >>> LIF(tau_mem=20.0, tau_syn=5.0, threshold=20.0, refractory=0.1).tau_mem
    20.0
    >>> LIF(tau_mem=-1.0)
    Traceback (most recent call last):
        ...
    ValueError: tau_mem must be > 0, got -1.0
    """

    tau_mem: float | FloatArray = 1.0
    tau_syn: float | FloatArray = 0.5
    threshold: float | FloatArray = 1.0
    refractory: float | FloatArray = 0.0
    bias: float | FloatArray = 0.0
    rest: float | FloatArray = 0.0
    reset: float | FloatArray = 0.0

    def __post_init__(self) -> None:
        """Normalise every parameter to a float or a read-only (n,) array and check its range."""
        for parameter in NEURON:
            value = parameter.checked(getattr(self, parameter.name))
            object.__setattr__(self, parameter.name, value)
        sizes = {p.name: np.size(v) for p in NEURON if np.ndim(v := getattr(self, p.name))}
        if len(set(sizes.values())) > 1:
            raise ValueError(f"parameters of neurons must have the same length, got {sizes}")
        gap = np.subtract(self.threshold, self.reset)
        once = np.isposinf(self.refractory)
        require(
            (gap > 0.0) | ((gap == 0.0) & once),
            self.threshold,
            "threshold must be > reset (or equal to it with an infinite refractory period)",
        )
        least = np.where(gap == 0.0, 1.0, gap)
        require(least >= LEAST, self.threshold, f"threshold must be at least {LEAST:g} above reset")

    def __reduce__(self) -> tuple[type[LIF], tuple[Any, ...]]:
        """Return how to make an equal one, whose arrays are read-only too."""
        return type(self), tuple(getattr(self, field.name) for field in fields(self))

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

    @property
    def is_pool(self) -> BoolArray:
        """Whether any positive charge sets a neuron off, as that of a pool; () or (n,)."""
        return np.asarray(np.equal(self.threshold, self.reset))

    def arrays(self, n: int) -> dict[str, FloatArray]:
        """Return the parameters as a dict of (n,) arrays; ValueError if one has another length."""
        n = as_count(n, "n")
        return {field.name: self._broadcast(field.name, n) for field in fields(self)}

    def _broadcast(self, name: str, n: int) -> FloatArray:
        value = np.asarray(getattr(self, name))
        if value.ndim and value.shape != (n,):
            raise ValueError(f"{name} must be a scalar or have shape ({n},), got {value.shape}")
        return np.broadcast_to(value, (n,))
