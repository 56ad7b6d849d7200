"""What a loss function hands over: its value, and its derivatives by what was simulated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from eventsim._support.types import FloatArray
from eventsim._support.validate import as_floats, as_mapping, as_number, require, shown

__all__ = ["Loss"]

DERIVATIVES = ("first_spikes", "spike_times", "potentials", "incoming")


@dataclass(frozen=True, eq=False)
class Loss:
    """Value of a loss, with its derivatives in the form in which `timing_backprop` takes them.

    Losses can be added and scaled: ``a + 0.01 * b``.

    Attributes
    ----------
    value : float
        The loss, finite.
    first_spikes : dict of str -> (n,) or (n_samples, n) ndarray
        Derivative by the first spike times of a population; 0 for silent neurons.
    spike_times : dict of str -> (n_spikes,) ndarray
        Derivative by the times of all recorded spikes of a population.
    potentials : dict of str -> (n,) or (n_samples, n) ndarray
        Derivative by the membrane potentials at ``t_stop``.
    metrics : dict of str -> float
        What else the loss function wants to report, such as an accuracy.  A sum has the metrics of
        both its terms, which therefore need different names; scaling leaves them as they are.
    incoming : dict of str -> (n,) ndarray
        What is added to the derivative by each weight onto a neuron of a population: a push, for a
        neuron whose missing spike has no derivative.  Kernels of convolutions, which many neurons
        share, are left as they are.

    Raises
    ------
    ValueError
        If the value is no finite number, if a derivative is not made of real numbers or a metric is
        none, or, in a sum,
        if derivatives by the same population differ in shape or metrics share a name.

    Examples
    --------
    >>> error = Loss(2.0, potentials={"out": [0.5, -0.5]}, metrics={"accuracy": 1.0})
    >>> penalty = Loss(10.0, potentials={"out": [1.0, 0.0], "hidden": [-1.0]})
    >>> total = error + 0.1 * penalty
    >>> total.value
    3.0
    >>> total.potentials
    {'out': array([ 0.6, -0.5]), 'hidden': array([-0.1])}
    >>> total.metrics
    {'accuracy': 1.0}
    """

    value: float
    first_spikes: Mapping[str, FloatArray] = field(default_factory=dict)
    spike_times: Mapping[str, FloatArray] = field(default_factory=dict)
    potentials: Mapping[str, FloatArray] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    incoming: Mapping[str, FloatArray] = field(default_factory=dict)

    __array_ufunc__ = None  # a numpy scalar times a loss is a loss, not an array of objects

    def __post_init__(self) -> None:
        """Check the value, and read the derivatives as arrays."""
        value = as_number(self.value, "value of a loss")
        require(np.isfinite(value), value, "value of a loss must be finite")
        object.__setattr__(self, "value", value)
        for name in DERIVATIVES:
            given = as_mapping(getattr(self, name), name).items()
            read = {key: as_floats(array, f"{name}[{key!r}]") for key, array in given}
            object.__setattr__(self, name, read)
        for metric, number in as_mapping(self.metrics, "metrics").items():
            if not isinstance(metric, str):
                raise ValueError(f"metrics must have strings for names, got {shown(metric)}")
            as_number(number, f"metrics[{metric!r}]")

    def __add__(self, other: Loss) -> Loss:
        """Return the sum of two losses."""
        if not isinstance(other, Loss):
            return NotImplemented
        shared = sorted(self.metrics.keys() & other.metrics.keys())
        if shared:
            raise ValueError(
                f"metrics of a sum must have different names, got {shown(shared[0])} twice"
            )
        derivatives = {
            name: _added(name, getattr(self, name), getattr(other, name)) for name in DERIVATIVES
        }
        metrics = {**self.metrics, **other.metrics}
        return Loss(self.value + other.value, metrics=metrics, **derivatives)

    def __mul__(self, factor: float) -> Loss:
        """Return the loss times a finite number."""
        factor = as_number(factor, "factor of a loss")
        require(np.isfinite(factor), factor, "factor of a loss must be finite")
        derivatives = {name: _scaled(factor, getattr(self, name)) for name in DERIVATIVES}
        return Loss(factor * self.value, metrics=self.metrics, **derivatives)

    __rmul__ = __mul__


def _added(
    name: str, left: Mapping[str, FloatArray], right: Mapping[str, FloatArray]
) -> dict[str, FloatArray]:
    """Return the union of two dicts of arrays; those of the same population are added."""
    for key in left.keys() & right.keys():
        if left[key].shape != right[key].shape:
            raise ValueError(
                f"{name}[{key!r}] of both losses must have the same shape, "
                f"got {left[key].shape} and {right[key].shape}"
            )
    shared = {key: left[key] + right[key] for key in left if key in right}
    return {**left, **right, **shared}


def _scaled(factor: float, arrays: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    return {key: factor * array for key, array in arrays.items()}
