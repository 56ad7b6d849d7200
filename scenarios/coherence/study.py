"""Theory and simulations of the coherence side by side, and how well they agree."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from scenarios.coherence.estimate import (
    Estimate,
    confidence_interval,
    estimate,
    probability_below,
)
from scenarios.coherence.simulation import Chunk, Scheme, Segments, shot_noise, white_noise
from scenarios.coherence.theory import Neuron, Spectra, firing_rate, half_height, spectra
from scenarios.running.checkpoint import Arrays, made_once
from scenarios.running.console.progress import Progress
from scenarios.running.pieces import carry_out

if TYPE_CHECKING:
    from scenarios.coherence.config import CoherenceOptions

__all__ = ["Comparison", "Convergence", "Response", "Study", "compare", "limit", "study"]

Floats = NDArray[np.float64]
LEVEL = 0.95  # of the confidence bands
FINEST = 8  # time steps in a bin, where white noise is compared with theory
STEPS = (1, 2, 4, 8, 16)  # time steps in a bin, for the convergence
OTHER = 100  # apart are the seeds of the convergence
Begin = Callable[[], Iterator[Chunk]]
SCHEMES: tuple[Scheme, Scheme] = ("plain", "bridge")


@dataclass(frozen=True, eq=False)
class Comparison:
    """An estimate from simulations beside the theory.

    Attributes
    ----------
    found : Estimate
        At the frequencies that are compared.
    theory : Spectra
        At the same frequencies.
    inside : int
        At how many frequencies the theory lies in the 95 % confidence interval of the estimate.
    p_value : float
        Kolmogorov-Smirnov test that estimates are distributed about the theory as they should be.
    """

    found: Estimate
    theory: Spectra
    inside: int
    p_value: float

    @cached_property
    def interval(self) -> tuple[Floats, Floats]:
        """Ends of the 95 % confidence interval of each coherence."""
        return confidence_interval(self.found.coherence, self.found.n_segments, LEVEL)

    @property
    def deviation(self) -> Floats:
        """Estimates minus theory."""
        return self.found.coherence - self.theory.coherence

    @property
    def root_mean_square(self) -> float:
        """Of the deviation, over the frequencies."""
        return float(np.sqrt(np.mean(self.deviation**2)))

    @property
    def chance(self) -> float:
        """What that would be without bias (Bendat & Piersol 2010, §9.2).

        The variance of the coherence found in n segments is then 2 C (1 - C)^2 / n.
        """
        C = self.theory.coherence
        return float(np.sqrt(np.mean(2.0 * C * (1.0 - C) ** 2) / self.found.n_segments))

    def gain_ratio(self) -> tuple[float, float]:
        """Return gain over theory, mean over the frequencies by weight, and its standard error."""
        C = self.theory.coherence
        return _mean(self.found.gain / self.theory.gain, (1.0 - C) / (2.0 * C), self.found)

    def power_ratio(self) -> tuple[float, float]:
        """Return power over theory, mean over the frequencies, and its standard error."""
        return _mean(self.found.power / self.theory.power, np.ones_like(self.deviation), self.found)


@dataclass(frozen=True, eq=False)
class Convergence:
    """Mean rates and coherence of one neuron by time step.

    Attributes
    ----------
    dt : (n,) ndarray
        Time steps, descending.
    rates, errors : dict of str -> (n,) ndarray
        Mean rate by scheme, and its standard error.
    expected : float
        r_0.
    deviations : dict of str -> (n,) ndarray
        Root mean square of coherence minus theory, over the frequencies, by scheme.
    """

    dt: Floats
    rates: dict[Scheme, Floats]
    errors: dict[Scheme, Floats]
    expected: float
    deviations: dict[Scheme, Floats]


@dataclass(frozen=True, eq=False)
class Response:
    """One neuron: theory, white noise, shot noise.

    Attributes
    ----------
    neuron : Neuron
        What is driven.
    rate, height, half : float
        r_0; the coherence at vanishing frequency; the frequency where it has halved.
    curve : (n,) ndarray, Spectra
        Frequencies of a smooth line, and the theory there.
    white : Comparison
        Under white noise.
    shots : dict of float -> Comparison
        Under shot noise, by the jump.
    """

    neuron: Neuron
    rate: float
    height: float
    half: float
    curve: tuple[Floats, Spectra]
    white: Comparison
    shots: dict[float, Comparison]

    @property
    def title(self) -> str:
        """Name in tables and pictures."""
        return f"tau_m = {self.neuron.tau:g}" if self.neuron.leaky else "no leak"


@dataclass(frozen=True, eq=False)
class Study:
    """All results.

    Attributes
    ----------
    responses : list of Response
        In the order of the time constants.
    convergence : Convergence
        Of the leakiest neuron.
    seconds : float
        Of this session.
    milliseconds : float
        Of one value of the theory with leak; nan if there is no leaky neuron.
    """

    responses: list[Response]
    convergence: Convergence
    seconds: float
    milliseconds: float


def study(config: CoherenceOptions, folder: Path, progress: Progress) -> Study:
    """Simulate, or go on where a stopped run was, and compare with the theory.

    What one simulation found is kept in ``folder``; a resumed run does the others.
    """
    started = time.perf_counter()
    neurons = config.neurons()
    for neuron in neurons:
        half_height(neuron)  # what the theory cannot do is said before the work
    with progress.compiling():
        _compile(neurons[0])
    simulations = _simulations(config)
    works = {
        folder / f"{name}.npz": partial(_keep, folder / f"{name}.npz", config, begin)
        for name, begin in simulations.items()
    }
    kept: dict[Path, Arrays] = {}
    with progress.named("coherence", "simulation").task(len(works)) as tell:
        for path, arrays in carry_out(works):
            kept[path] = arrays
            tell(len(kept), {})
    found = {path.stem: _as_estimate(kept[path]) for path in works}
    milliseconds = _milliseconds(neurons[0], found[_name(0, "white")].frequencies)
    responses = [_response(config, k, neuron, found) for k, neuron in enumerate(neurons)]
    convergence = _convergence(config, found, responses[0])
    return Study(responses, convergence, time.perf_counter() - started, milliseconds)


def compare(neuron: Neuron, found: Estimate) -> Comparison:
    """Return an estimate beside the theory of the neuron that it belongs to."""
    theory = spectra(neuron, found.frequencies)
    below = probability_below(found.coherence, theory.coherence, found.n_segments)
    inside = np.abs(below - 0.5) <= LEVEL / 2.0
    p_value = float(stats.kstest(below, "uniform").pvalue)
    return Comparison(found, theory, int(inside.sum()), p_value)


def limit(
    steps: ArrayLike, rates: ArrayLike, errors: ArrayLike, powers: Sequence[float]
) -> tuple[float, float]:
    """Return the rate in the limit of small steps, and its standard error.

    By least squares, with the weights of the errors.

    Parameters
    ----------
    steps, rates, errors : (n,) array_like
        Time steps (or jumps), the rate found with each, and its standard error.
    powers : sequence of float
        Of the steps, in which the deviation from the limit is expanded.

    Examples
    --------
    >>> steps = np.array([0.04, 0.09, 0.16])
    >>> value, error = limit(steps, 2.0 - np.sqrt(steps), [0.01, 0.01, 0.01], powers=[0.5])
    >>> round(value, 6), round(error, 3)
    (2.0, 0.022)
    """
    h, found, deviations = (np.asarray(x, dtype=np.float64) for x in (steps, rates, errors))
    design = np.stack([h**power for power in (0.0, *powers)], axis=1) / deviations[:, None]
    covariance = np.linalg.inv(design.T @ design)
    best = covariance @ design.T @ (found / deviations)
    return float(best[0]), float(np.sqrt(covariance[0, 0]))


def _simulations(config: CoherenceOptions) -> dict[str, Begin]:
    """Return how to begin each simulation, by its name."""
    made: dict[str, Begin] = {}
    segments, fewer, seed = config.of_white_noise(), config.of_shot_noise(), config.seed
    neurons = config.neurons()
    for k, neuron in enumerate(neurons):
        made[_name(k, "white")] = partial(white_noise, neuron, segments, seed + k, steps=FINEST)
        for jump in config.jumps:
            made[_name(k, _of_jump(jump))] = partial(shot_noise, neuron, fewer, seed + k, jump=jump)
    for scheme in SCHEMES:
        for steps in STEPS:
            made[f"{scheme}-{steps}"] = partial(
                white_noise, neurons[0], segments, seed + OTHER + steps, steps=steps, scheme=scheme
            )
    return made


def _of_jump(jump: float) -> str:
    return f"jump-{float(jump)}"


def _name(k: int, kind: str) -> str:
    return f"neuron-{k}-{kind}"


def _keep(path: Path, config: CoherenceOptions, begin: Begin) -> Arrays:
    """Return what a simulation found, as its file has it; it is made where there is none."""

    def make() -> Arrays:
        found = estimate(begin(), config.width).nearest(config.frequencies())
        return {name: np.asarray(value) for name, value in asdict(found).items()}

    return made_once(path, make)


def _as_estimate(arrays: Arrays) -> Estimate:
    return Estimate(
        arrays["frequencies"],
        arrays["gain"],
        arrays["power"],
        arrays["coherence"],
        int(arrays["n_segments"]),
        float(arrays["rate"]),
        float(arrays["rate_error"]),
    )


def _compile(neuron: Neuron) -> None:
    few = Segments(2, 64, 0.01 / abs(neuron.current))
    for chunks in (white_noise(neuron, few, 0), shot_noise(neuron, few, 0, jump=0.2)):
        list(chunks)


def _milliseconds(neuron: Neuron, frequencies: Floats) -> float:
    """Return the processor time of one value of the theory, at frequencies not seen before."""
    if not neuron.leaky:
        return math.nan
    started = time.process_time()
    spectra(neuron, frequencies)
    return 1e3 * (time.process_time() - started) / frequencies.size


def _response(
    config: CoherenceOptions, k: int, neuron: Neuron, found: dict[str, Estimate]
) -> Response:
    line = config.line()
    return Response(
        neuron,
        firing_rate(neuron),
        *half_height(neuron),
        (line, spectra(neuron, line)),
        compare(neuron, found[_name(k, "white")]),
        {jump: compare(neuron, found[_name(k, _of_jump(jump))]) for jump in config.jumps},
    )


def _convergence(
    config: CoherenceOptions, found: dict[str, Estimate], first: Response
) -> Convergence:
    compared = {
        scheme: [compare(first.neuron, found[f"{scheme}-{steps}"]) for steps in STEPS]
        for scheme in SCHEMES
    }

    def each(value: Callable[[Comparison], float]) -> dict[Scheme, Floats]:
        return {scheme: np.array([value(c) for c in some]) for scheme, some in compared.items()}

    return Convergence(
        config.width / np.array(STEPS),
        each(lambda one: one.found.rate),
        each(lambda one: one.found.rate_error),
        first.rate,
        each(lambda one: one.root_mean_square),
    )


def _mean(ratios: Floats, variances: Floats, found: Estimate) -> tuple[float, float]:
    weights = 1.0 / variances
    error = 1.0 / math.sqrt(weights.sum() * found.n_segments)
    return float(weights @ ratios / weights.sum()), error


def inside(comparisons: Sequence[Comparison]) -> tuple[int, int]:
    """Return at how many frequencies the theory lies in the bands, and how many there are."""
    return sum(one.inside for one in comparisons), sum(one.deviation.size for one in comparisons)
