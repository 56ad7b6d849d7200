"""The two values of an adapting neuron from its spikes, by least squares with an exact Jacobian."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares

import eventsim as es
import gradients
from scenarios.adaptation.config import AdaptationOptions
from scenarios.adaptation.network import CELLS, OWN, SLOW, cells, poisson

__all__ = ["Problem", "fit", "problem"]

Floats = NDArray[np.float64]
TOLERANCE = 1e-15  # of the logarithms of the values, and of the loss: rounding
MOST_RUNS = 200  # for one number of spikes
LEAST = 3  # spikes: two intervals for two values
FARTHEST = 100.0  # factor from the start to a value that is tried


@dataclass(frozen=True, eq=False)
class Problem:
    """Spikes that are to be explained.

    Attributes
    ----------
    inputs : eventsim.Spikes
        What the neuron receives.
    n_inputs : int
        From how many trains.
    t_stop : float
        End of each run; later than the target, so that a neuron that fires too late is seen to.
    target : (n_spikes,) ndarray
        When it should fire.
    """

    inputs: es.Spikes
    n_inputs: int
    t_stop: float
    target: Floats

    def run(self, tau: ArrayLike, strength: ArrayLike) -> es.Result:
        """Run neurons with these values, () or (n,)."""
        net = cells(tau, strength, self.n_inputs)
        stimulus = {"in": self.inputs}
        return es.simulate(net, stimulus, self.t_stop, engine="scheduler", threads=1)

    def residuals(self, logs: Floats) -> Floats:
        """Return spike times minus target, (n_spikes,), by the logarithms of the two values."""
        times = self.run(*np.exp(logs)).spikes[CELLS].times
        return self._first(times, missing=self.t_stop) - self.target

    def jacobian(self, logs: Floats) -> Floats:
        """Return the derivative of the residuals, (n_spikes, 2)."""
        tau, strength = np.exp(logs)
        result = self.run(tau, strength)
        weights = result.network.projections[OWN].weights
        by_tau = gradients.jvp(result, tau_syn={CELLS: {SLOW: tau}})
        by_strength = gradients.jvp(result, weights={OWN: weights})
        columns = [self._first(moved[CELLS], missing=0.0) for moved in (by_tau, by_strength)]
        return np.stack(columns, axis=1)

    def distances(self, tau: Floats, strength: Floats) -> Floats:
        """Return the root mean squares of the residuals of many neurons, (n,)."""
        spikes = self.run(tau, strength).spikes[CELLS]
        order = np.lexsort((spikes.times, spikes.indices))
        bounds = np.searchsorted(spikes.indices[order], np.arange(1, tau.size))
        trains = np.split(spikes.times[order], bounds)
        found = np.stack([self._first(train, missing=self.t_stop) for train in trains])
        return root_mean_square(found - self.target)

    def _first(self, values: Floats, missing: float) -> Floats:
        """Return the values of as many spikes as the target has."""
        n = self.target.size
        return np.append(values[:n], np.full(max(n - values.size, 0), missing))


def root_mean_square(values: Floats) -> Floats:
    """Return that of the last axis."""
    return np.sqrt(np.mean(values**2, axis=-1))


def problem(config: AdaptationOptions) -> Problem:
    """Return the problem whose solution is what the configuration says.

    Raises
    ------
    ValueError
        If the target has fewer intervals than there are values to find.
    """
    t_stop = 2.0 * config.duration
    inputs = poisson(config.inputs, t_stop, np.random.default_rng(config.seed))
    target = Problem(inputs, config.inputs, t_stop, np.empty(0))
    times = target.run(config.tau, config.strength).spikes[CELLS].times
    times = times[times <= config.duration]
    if times.size < LEAST:
        raise ValueError(f"duration must be longer: the target has {times.size} spikes in it")
    return Problem(inputs, config.inputs, t_stop, times)


def fit(config: AdaptationOptions, seed: int) -> dict[str, Any]:
    """Find the two values from a random start, with the spikes one by one, and with all at once.

    Returns
    -------
    dict
        "path", the values at the start and after each step, and "distances", the root mean squares
        of the residuals of all spikes there; "at_once", the values found with all at once.
    """
    whole, rng = problem(config), np.random.default_rng([seed, 1])
    wrong = np.log(config.factor) * rng.uniform(-1.0, 1.0, 2)
    start = np.log([config.tau, config.strength]) + wrong
    n = whole.target.size
    path = _descend(whole, start, range(LEAST, n + 1))
    at_once = _descend(whole, start, [n])
    return {
        "path": path.tolist(),
        "distances": whole.distances(*path.T).tolist(),
        "at_once": at_once[-1].tolist(),
    }


def _descend(problem: Problem, start: Floats, numbers: Iterable[int]) -> Floats:
    """Fit the first k spikes, for each of some numbers k; return all values on the way.

    A few spikes have few ways to appear or vanish, and what fits them nearly fits the next one.
    """
    logs, bounds = start, (start - np.log(FARTHEST), start + np.log(FARTHEST))
    path = [start]
    for k in numbers:
        found = least_squares(
            partial(_residuals, problem, k), logs, partial(_jacobian, problem, k, path),
            bounds=bounds, xtol=TOLERANCE, ftol=TOLERANCE, gtol=TOLERANCE, max_nfev=MOST_RUNS,
        )  # fmt: skip
        logs = found.x
    return np.exp(_without_repeats([*path, logs]))


def _residuals(problem: Problem, k: int, logs: Floats) -> Floats:
    return problem.residuals(logs)[:k]


def _jacobian(problem: Problem, k: int, path: list[Floats], logs: Floats) -> Floats:
    """Note where the optimizer is: it asks for a Jacobian where a step has ended."""
    path.append(logs.copy())
    return problem.jacobian(logs)[:k]


def _without_repeats(path: Sequence[Floats]) -> Floats:
    """Return the points of a path that differ from the one before."""
    every = np.array(path)
    moved = np.any(np.diff(every, axis=0) != 0.0, axis=1)
    return every[np.append(True, moved)]
