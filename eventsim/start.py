"""Where the neurons of a run begin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

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
from eventsim.network import Network

__all__ = ["Start", "State", "read_start"]


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """State of the neurons of a population at t = 0.

    Parameters
    ----------
    potential : float, (n,) or (n_samples, n) array_like, optional
        Membrane potential, below the threshold; default: the resting potential.
    current : float, (n,) or (n_samples, n) array_like, optional
        Synaptic current; default: 0.

    Raises
    ------
    ValueError
        If a value is not finite, or above 1e100 in size.

    Examples
    --------
    >>> State(potential=[0.2, 0.7]).potential
    array([0.2, 0.7])
    """

    potential: float | FloatArray | None = None
    current: float | FloatArray = 0.0

    def __init__(self, potential: ArrayLike | None = None, current: ArrayLike = 0.0) -> None:
        """Check the values, and copy them."""
        own = None if potential is None else _checked(potential, "potential")
        object.__setattr__(self, "potential", own)
        object.__setattr__(self, "current", _checked(current, "current"))


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
    potential, current : (n_samples or 1, n_neurons) ndarray
        Potentials measured from reset, and synaptic currents; one row: all samples begin alike.
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

    def row(self, k: int) -> tuple[FloatArray, FloatArray]:
        """Return the currents and potentials of sample ``k``, (n_neurons,)."""
        current, potential = (
            a[0 if a.shape[0] == 1 else k] for a in (self.current, self.potential)
        )
        return current, potential

    @property
    def states(self) -> FloatArray:
        """Currents and potentials, (n_samples or 1, n_neurons, 2)."""
        n = max(self.current.shape[0], self.potential.shape[0])
        rows = (np.broadcast_to(a, (n, a.shape[1])) for a in (self.current, self.potential))
        return np.stack(list(rows), axis=2)

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
    for name, state in given.items():
        check_name(name, network.populations, "initial must name populations")
        if not isinstance(state, State):
            raise ValueError(f"initial[{name!r}] must be an eventsim.State, got {shown(state)}")
    parts = [_of_population(network, name, given.get(name), n_samples) for name in network.neurons]
    potential, current = (_side_by_side(part) for part in zip(*parts, strict=True))
    begins = [name not in given or given[name].potential is None for name in network.populations]
    at_rest = np.repeat(begins, list(network.populations.values()))
    return Start(potential, current, at_rest, n_samples, given)


def _side_by_side(parts: tuple[FloatArray, ...]) -> FloatArray:
    """Return (n_samples or 1, n_neurons) from the parts of the populations."""
    n = max(part.shape[0] for part in parts)
    return np.concatenate([np.broadcast_to(p, (n, p.shape[1])) for p in parts], axis=1)


def _of_population(
    network: Network, name: str, state: State | None, n_samples: int
) -> tuple[FloatArray, FloatArray]:
    """Return potentials, measured from reset, and currents of a population, (1 or n_samples, n)."""
    n, lif = network.populations[name], network.neurons[name]
    own = lif.arrays(n)
    potential, called = own["rest"][None], f"rest of {name!r}, where it begins,"
    if state is not None and state.potential is not None:
        called = f"potential of initial[{name!r}]"
        potential = _rows(state.potential, n, n_samples, called)
    below = (potential < own["threshold"]) | (lif.is_pool & (potential == own["reset"]))
    require(below, np.broadcast_to(potential, below.shape), f"{called} must be below the threshold")
    current = 0.0 if state is None else state.current
    return potential - own["reset"], _rows(current, n, n_samples, f"current of initial[{name!r}]")


def _rows(values: float | FloatArray, n: int, n_samples: int, name: str) -> FloatArray:
    """Return values as (1 or n_samples, n)."""
    array = np.asarray(values)
    if array.shape not in ((), (n,), (n_samples, n)):
        raise ValueError(f"{name} must be (), ({n},) or ({n_samples}, {n}), got {array.shape}")
    return np.broadcast_to(array, (n_samples if array.ndim == 2 else 1, n))
