"""Where the neurons of a run begin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import ArrayLike

from eventsim._support.types import BoolArray, FloatArray, IntArray
from eventsim._support.validate import (
    as_floats,
    check_name,
    mapping_or_empty,
    require,
    require_size,
    shown,
)
from eventsim.model.jumps import CHARGE
from eventsim.model.neuron import LIF
from eventsim.network import Network, Version

__all__ = ["Start", "State", "read_start"]


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """State of the neurons of a population at t = 0.

    Parameters
    ----------
    potential : float, (n,) or (n_samples, n) array_like, optional
        Membrane potential, below the threshold; default: the resting potential.
    current : float, (n,) or (n_samples, n) array_like, or dict of str -> such, optional
        Synaptic current; of neurons with several receptors by their names.  Default: 0.

    Raises
    ------
    ValueError
        If a value is not finite, or above 1e100 in size.

    Examples
    --------
    >>> State(potential=[0.2, 0.7]).potential
    array([0.2, 0.7])
    >>> State(current={"inh": -1.0}).current["inh"]
    -1.0
    """

    potential: float | FloatArray | None = None
    current: float | FloatArray | Mapping[str, float | FloatArray] = 0.0

    def __init__(
        self,
        potential: ArrayLike | None = None,
        current: ArrayLike | Mapping[str, ArrayLike] = 0.0,
    ) -> None:
        """Check the values, and copy them."""
        own = None if potential is None else _checked(potential, "potential")
        currents: float | FloatArray | Mapping[str, float | FloatArray]
        if isinstance(current, Mapping):
            named = {k: _checked(v, f"current[{shown(k)}]") for k, v in current.items()}
            currents = MappingProxyType(named)
        else:
            currents = _checked(current, "current")
        object.__setattr__(self, "potential", own)
        object.__setattr__(self, "current", currents)

    def __reduce__(self) -> tuple[type[State], tuple[Any, ...]]:
        """Return how to make an equal one, whose arrays are read-only too."""
        current = dict(self.current) if isinstance(self.current, Mapping) else self.current
        return type(self), (self.potential, current)


def _checked(values: ArrayLike, name: str) -> float | FloatArray:
    array = as_floats(values, name)
    if array.ndim > 2:
        raise ValueError(f"{name} must be (), (n,) or (n_samples, n), got shape {array.shape}")
    require_size(array, name)
    if array.ndim == 0:
        return float(array)
    array = array.copy()
    array.flags.writeable = False
    return array


@dataclass(frozen=True, eq=False)
class Start:
    """States of all neurons at t = 0, numbered through all populations.

    Attributes
    ----------
    potential : (n_samples or 1, n_neurons) ndarray
        Potentials, measured from reset; one row: all samples begin alike.
    current : (n_samples or 1, n_neurons, n_receptors) ndarray
        Synaptic currents.
    at_rest : (n_neurons,) ndarray of bool
        Which begin at their resting potentials, whatever these are.
    n_samples : int
        Number of samples.
    given : dict of str -> State
        What the caller of `simulate` said.
    """

    potential: FloatArray
    current: FloatArray
    at_rest: BoolArray
    n_samples: int
    given: dict[str, State]

    @cached_property
    def is_zero(self) -> bool:
        """Whether all begin at reset and without a current."""
        return not (np.any(self.potential) or np.any(self.current))

    @cached_property
    def states(self) -> FloatArray:
        """Current, potential, and the currents of further receptors, (rows, n_neurons, columns)."""
        n = max(self.current.shape[0], self.potential.shape[0])
        columns = (self.current[:, :, :1], self.potential[:, :, None], self.current[:, :, 1:])
        return np.concatenate([np.broadcast_to(a, (n, *a.shape[1:])) for a in columns], axis=2)

    def of(self, samples: IntArray) -> Start:
        """Return the states of some samples."""
        potential, current = (
            rows if rows.shape[0] == 1 else rows[samples] for rows in (self.potential, self.current)
        )
        return replace(self, potential=potential, current=current, n_samples=samples.size)


def read_start(network: Network, initial: Mapping[str, State] | None, n_samples: int) -> Start:
    """Return the `Start` of a run from what the caller of `simulate` gave.

    Raises
    ------
    ValueError
        Unknown populations, shapes that do not fit, or potentials that are not below the threshold.
    """
    given = dict(mapping_or_empty(initial, "initial"))
    if given:
        return _read(network, given, n_samples)
    default = _DEFAULTS.get(network.structure)
    if default is None:
        default = _DEFAULTS[network.structure] = _read(network, {}, 1)
    return replace(default, n_samples=n_samples)


# Where all begin at rest, kept by the structure of the network, with which it dies.
_DEFAULTS: WeakKeyDictionary[Version, Start] = WeakKeyDictionary()


def _read(network: Network, given: dict[str, State], n_samples: int) -> Start:
    for name, state in given.items():
        check_name(name, network.populations, "initial must name populations")
        if not isinstance(state, State):
            raise ValueError(f"initial[{name!r}] must be an eventsim.State, got {shown(state)}")
    parts = [_of_population(network, name, given.get(name), n_samples) for name in network.neurons]
    n_receptors = max(current.shape[2] for _, current in parts)
    potential = _side_by_side([part[0] for part in parts])
    current = _side_by_side([_padded(part[1], n_receptors) for part in parts])
    begins = [name not in given or given[name].potential is None for name in network.populations]
    at_rest = np.repeat(begins, list(network.populations.values()))
    return Start(potential, current, at_rest, n_samples, given)


def _side_by_side(parts: list[FloatArray]) -> FloatArray:
    """Return (n_samples or 1, n_neurons, ...) from the parts of the populations."""
    n = max(part.shape[0] for part in parts)
    return np.concatenate([np.broadcast_to(p, (n, *p.shape[1:])) for p in parts], axis=1)


def _padded(current: FloatArray, n_receptors: int) -> FloatArray:
    """Return currents of as many receptors: 0 of those that a population lacks."""
    missing = n_receptors - current.shape[2]
    return np.pad(current, [(0, 0), (0, 0), (0, missing)])


def _of_population(
    network: Network, name: str, state: State | None, n_samples: int
) -> tuple[FloatArray, FloatArray]:
    """Return potentials, measured from reset, and currents of a population."""
    n, lif = network.populations[name], network.neurons[name]
    own = lif.arrays(n)
    potential, called = own["rest"][None], f"rest of {name!r}, where it begins,"
    if state is not None and state.potential is not None:
        called = f"potential of initial[{name!r}]"
        potential = _rows(state.potential, n, n_samples, called)
    below = (potential < own["threshold"]) | (lif.is_pool & (potential == own["reset"]))
    require(below, np.broadcast_to(potential, below.shape), f"{called} must be below the threshold")
    given = 0.0 if state is None else state.current
    called = f"current of initial[{name!r}]"
    return potential - own["reset"], _currents(given, lif, n, n_samples, called)


def _currents(
    given: float | FloatArray | Mapping[str, float | FloatArray],
    lif: LIF,
    n: int,
    n_samples: int,
    name: str,
) -> FloatArray:
    """Return currents (1 or n_samples, n, n_receptors)."""
    if isinstance(given, Mapping):
        for key in given:
            check_name(key, dict.fromkeys(lif.receptors), f"{name} must name receptors, out of")
        each = [given.get(receptor, 0.0) for receptor in lif.receptors]
    else:
        each = [given]
        if lif.receptors and np.any(given):
            raise ValueError(
                f"{name} must be a dict by receptor, out of {list(lif.receptors)}, "
                f"got {shown(given)}"
            )
        each += [0.0] * (len(lif.receptors) - 1)
    pairs = list(zip(each, lif.columns, strict=True))
    if any(np.any(values) for values, column in pairs if column == CHARGE):
        raise ValueError(f"{name} must be 0 at receptors without a current, got {shown(given)}")
    currents = [values for values, column in pairs if column != CHARGE] or [0.0]
    rows = [_rows(values, n, n_samples, name) for values in currents]
    size = max(row.shape[0] for row in rows)
    return np.stack([np.broadcast_to(row, (size, n)) for row in rows], axis=2)


def _rows(values: float | FloatArray, n: int, n_samples: int, name: str) -> FloatArray:
    """Return values as (1 or n_samples, n)."""
    array = np.asarray(values)
    if array.shape not in ((), (n,), (n_samples, n)):
        raise ValueError(f"{name} must be (), ({n},) or ({n_samples}, {n}), got {array.shape}")
    return np.broadcast_to(array, (n_samples if array.ndim == 2 else 1, n))
