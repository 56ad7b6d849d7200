"""Central differences of a loss for many steps, and what they are good to."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import eventsim as es
import gradients
from scenarios.gradcheck.network import NEURONS

__all__ = ["STEPS", "Best", "TimesAndPotentials", "best", "central_differences"]

Floats = NDArray[np.float64]

STEPS = 10.0 ** np.arange(-1.0, -11.5, -0.5)
SMALLEST = 6  # steps at which rounding is all that is seen


@dataclass(frozen=True, eq=False)
class TimesAndPotentials:
    """A loss: the sum of all spike times and of the potentials at the end, with coefficients.

    The k-th spike of a neuron has one coefficient, whatever other neurons do: so the loss is smooth
    where spikes of two neurons change places.

    Attributes
    ----------
    counts : (n,) ndarray of int
        Spikes of each neuron.
    by_time : (n_spikes,) ndarray
        Coefficients of the spike times, neuron by neuron.
    by_potential : (n,) ndarray
        Coefficients of the potentials.
    """

    counts: NDArray[np.int64]
    by_time: Floats
    by_potential: Floats

    @classmethod
    def random(cls, result: es.Result, rng: np.random.Generator) -> TimesAndPotentials:
        """Draw the coefficients, for the spikes of a run."""
        counts = result.spike_counts(NEURONS)
        return cls(counts, rng.normal(size=counts.sum()), rng.normal(size=counts.size))

    def __call__(self, result: es.Result) -> float:
        """Return the loss of a run; NaN if a spike has appeared or vanished."""
        if not np.array_equal(result.spike_counts(NEURONS), self.counts):
            return math.nan
        times = result.spikes[NEURONS].times[_by_neuron(result)]
        return math.fsum([*self.by_time * times, *self.by_potential * result.potential(NEURONS)])

    def resolution(self, result: es.Result) -> float:
        """Return what is lost if each term of the loss is rounded once."""
        terms = np.abs(self.by_time) @ result.spikes[NEURONS].times[_by_neuron(result)]
        terms += np.abs(self.by_potential) @ np.abs(result.potential(NEURONS))
        return float(np.finfo(np.float64).eps * terms)

    def gradient(self, result: es.Result) -> gradients.Gradient:
        """Return its exact gradient at the run for which the coefficients were drawn."""
        by_time = np.empty(self.by_time.size)
        by_time[_by_neuron(result)] = self.by_time
        return gradients.timing_backprop(
            result, spike_times={NEURONS: by_time}, potentials={NEURONS: self.by_potential}
        )


def _by_neuron(result: es.Result) -> NDArray[np.int64]:
    """Return the order in which the spikes of a run come neuron by neuron."""
    return np.argsort(result.spikes[NEURONS].indices, kind="stable")


def central_differences(loss: Callable[[float], float], value: float) -> Floats:
    """Return the differences of a function at a value, one for each of `STEPS`.

    A step is divided by as it is taken, after the rounding of the two values.

    Examples
    --------
    >>> slopes = central_differences(math.sin, 1.0)
    >>> f"{slopes[0] - math.cos(1.0):.0e}, {abs(slopes[8] - math.cos(1.0)):.0e}"
    '-9e-04, 1e-11'
    """
    ends = ((value - step, value + step) for step in STEPS)
    return np.array([(loss(high) - loss(low)) / (high - low) for low, high in ends])


@dataclass(frozen=True)
class Best:
    """The best of the central differences by one parameter.

    Attributes
    ----------
    step : float
        Its step; NaN: none can be trusted, since spikes appear or vanish at all steps.
    slope : float
        The difference.
    error : float
        What it is good to.
    """

    step: float
    slope: float
    error: float


def best(slopes: Floats, resolution: float) -> Best:
    """Return the best of some central differences, one for each of `STEPS`.

    Its error is by how much it differs from those at the next larger and smaller step, plus the
    rounding of the loss over the step.  That rounding is what the smallest steps show, and not less
    than the ``resolution`` of the loss.

    Examples
    --------
    >>> found = best(central_differences(math.sin, 1.0), resolution=1e-16)
    >>> f"{found.step:.0e}", abs(found.slope - math.cos(1.0)) < found.error < 1e-9
    ('1e-05', True)
    """
    apart = np.abs(np.diff(slopes))
    rounding = max(resolution, float(np.max((STEPS[1:] * apart)[-SMALLEST:])))
    inner = STEPS[1:-1]
    errors = np.maximum(apart[:-1], apart[1:]) + rounding / inner
    if np.all(np.isnan(errors)):
        return Best(math.nan, math.nan, math.inf)
    k = int(np.nanargmin(errors))
    return Best(float(inner[k]), float(slopes[k + 1]), float(errors[k]))
