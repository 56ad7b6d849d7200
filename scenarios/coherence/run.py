"""The scenario coherence: what is run, and what is reported."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from scenarios.coherence.simulation import Scheme, Segments
from scenarios.coherence.study import (
    SCHEMES,
    Comparison,
    Convergence,
    Response,
    Study,
    inside,
    limit,
    study,
)
from scenarios.coherence.theory import Neuron
from scenarios.running.console.progress import Progress
from scenarios.running.options import Options, Positive, Range, Seed, TimeConstant
from scenarios.running.report import Report, Row

__all__ = ["Config", "rows", "run", "study"]

Floats = NDArray[np.float64]
Segmented: TypeAlias = Annotated[int, Range(10, 100_000)]  # fewer: errors are not known
HIGHEST = 3.0  # frequency, in units of the rate of the non-leaky neuron
N_COMPARED, N_LINE = 60, 120  # frequencies at most
BINS, PER_INTERVAL = 8192, 100  # bins of a segment, and of an interval of the non-leaky neuron


@dataclass(frozen=True)
class Config(Options):
    """Settings.

    Attributes
    ----------
    taus
        Membrane time constants, ascending; inf: no leak.
    current
        Mean input, > 0: the threshold over it is the interval of the non-leaky neuron.
    noise
        Intensity of the white noise: half the variance that it adds to the potential in unit time.
    jumps
        By which a spike of the shot noise moves the potential (threshold 1), descending.
    segments
        Segments of white noise, each of 82 intervals of the non-leaky neuron.
    shot_segments
        Segments of shot noise.
    seed
        Of the noise.
    """

    taus: tuple[TimeConstant, ...] = (30.0, 100.0, math.inf)
    current: Positive = 1.0 / 30.0
    noise: Positive = 1.0 / 300.0
    jumps: tuple[Annotated[float, Range(0.001, 1, "[)")], ...] = (0.2, 0.1, 0.05, 0.025)
    segments: Segmented = 1000
    shot_segments: Segmented = 400
    seed: Seed = 0

    def __post_init__(self) -> None:
        """Check the fields, and that the neurons fire."""
        super().__post_init__()
        if not self.taus or any(not a < b for a, b in pairwise(self.taus)):
            raise ValueError(f"taus must be one or more, ascending, got {self.taus!r}")
        if any(not a > b for a, b in pairwise(self.jumps)):
            raise ValueError(f"jumps must descend, got {self.jumps!r}")
        self.neurons()

    def neurons(self) -> list[Neuron]:
        """Return the neurons, leakiest first."""
        return [Neuron(tau, self.current, self.noise) for tau in self.taus]

    @property
    def width(self) -> float:
        """Duration of a bin."""
        return 1.0 / (PER_INTERVAL * self.current)

    def of_white_noise(self) -> Segments:
        """Return what is simulated with white noise."""
        return Segments(self.segments, BINS, self.width)

    def of_shot_noise(self) -> Segments:
        """Return what is simulated with shot noise."""
        return Segments(self.shot_segments, BINS, self.width)

    def frequencies(self) -> Floats:
        """Return frequencies at which to compare."""
        return np.geomspace(2.0 / (BINS * self.width), HIGHEST * self.current, N_COMPARED)

    def line(self) -> Floats:
        """Return frequencies of a smooth line."""
        return np.geomspace(0.01 * self.current, HIGHEST * self.current, N_LINE)


def run(config: Config, folder: Path, progress: Progress) -> Report:
    """Return the table and the picture of the study."""
    from scenarios.coherence.figures import figure

    results = study(config, folder, progress)
    return Report(
        title="Coherence of white noise and spikes, with and without leak",
        rows=rows(results),
        notes=[
            "published: for rates the formula (with V_th for the misprinted V_rest), else the "
            "claim of the paper; rates and frequencies are per time step",
            "inside: frequencies at which the theory lies in the 95 % confidence interval of the "
            "simulation; p: Kolmogorov-Smirnov test of all of them together",
            "Fig. 2 has a different frequency axis for each leak (omega tau_m); on an axis in real "
            "time the coherence falls without leak too, and halves at nearly the same frequency",
            f"{results.seconds:.0f} s in this session",
        ],
        numbers=_numbers(results),
        weights={"dt": results.convergence.dt},
        figures={"coherence": figure(results)},
    )


def rows(results: Study) -> list[Row]:
    """Return the table."""
    return [
        *(row for response in results.responses for row in _of_neuron(response)),
        *_of_all(results),
    ]


def _of_neuron(response: Response) -> list[Row]:
    found, title = response.white.found, response.title
    gain, power = response.white.gain_ratio(), response.white.power_ratio()
    claim = "all pass" if not response.neuron.leaky else "cut off by leak"
    return [
        Row(f"{title}: mean rate, white noise", f"{response.rate:.5f} (formula)",
            f"{found.rate:.5f} ± {found.rate_error:.5f}"),
        Row(f"{title}: S_xx, simulation / Eq. 8", "1", _pair(power)),
        Row(f"{title}: |S_xs| / S_ss, simulation / Eq. 7", "1", _pair(gain)),
        Row(f"{title}: C, white noise: inside of the bands", "–", _agreement(response.white)),
        *(Row(f"{title}: C, shot noise, jumps of {jump:g}: inside of the bands", "–",
              f"{_agreement(shot)}; rate {100 * (shot.found.rate / response.rate - 1):+.1f} ± "
              f"{100 * shot.found.rate_error / response.rate:.1f} %")
          for jump, shot in response.shots.items()),
        Row(f"{title}: C at low frequencies", "–", f"{response.height:.3f}"),
        Row(f"{title}: frequency at which C has halved", claim, f"{response.half:.5f}"),
        Row(f"{title}: C at the highest frequency", claim,
            f"{response.curve[1].coherence[-1]:.3f}"),
    ]  # fmt: skip


def _of_all(results: Study) -> list[Row]:
    all_white = [response.white for response in results.responses]
    found, total = inside(all_white)
    convergence = results.convergence
    first = results.responses[0]
    return [
        Row("all neurons: C, white noise: inside of the 95 % bands", "–",
            f"{found} of {total} ({100 * found / total:.1f} %)"),
        *(Row(f"{first.title}: rate / r_0, {scheme} Euler-Maruyama, time step from "
              f"{_steps(convergence)}, and limit", "1",
              _course(convergence, scheme)) for scheme in SCHEMES),
        *(Row(f"{first.title}: C minus theory, root mean square, {scheme} Euler-Maruyama, time "
              f"step from {_steps(convergence)}", f"{first.white.chance:.4f} (chance)",
              " ".join(f"{d:.4f}" for d in convergence.deviations[scheme]))
          for scheme in SCHEMES),
        *_diffusion_limits(results),
        *([Row("processor time of one value of Eq. 4", "–", f"{results.milliseconds:.1f} ms")]
          if first.neuron.leaky else []),
    ]  # fmt: skip


def _steps(convergence: Convergence) -> str:
    return f"{convergence.dt[0]:g} to {convergence.dt[-1]:.2g}"


def _pair(value: tuple[float, float]) -> str:
    return f"{value[0]:.4f} ± {value[1]:.4f}"


def _agreement(one: Comparison) -> str:
    return f"{one.inside} of {one.deviation.size} (p = {one.p_value:.1g})"


def _course(convergence: Convergence, scheme: Scheme) -> str:
    """Return relative rates from the longest to the shortest time step, and their limit."""
    rates = convergence.rates[scheme] / convergence.expected
    errors = convergence.errors[scheme] / convergence.expected
    powers = (0.5, 1.0) if scheme == "plain" else (1.0,)
    end = limit(convergence.dt, rates, errors, powers)
    return " ".join(f"{rate:.3f}" for rate in rates) + f" → {_pair(end)}"


def _diffusion_limits(results: Study) -> list[Row]:
    """Return rates under shot noise in the limit of small jumps, where there are enough of them."""
    made = []
    for response in results.responses:
        if len(response.shots) > 2:
            found = [shot.found for shot in response.shots.values()]
            rates = np.array([one.rate for one in found]) / response.rate
            errors = np.array([one.rate_error for one in found]) / response.rate
            end = limit(list(response.shots), rates, errors, (1.0,))
            made.append(Row(f"{response.title}: rate / r_0, shot noise, limit of small jumps", "1",
                            _pair(end)))  # fmt: skip
    return made


def _numbers(results: Study) -> dict[str, Any]:
    convergence = results.convergence
    return {
        "neurons": {
            response.title: {
                "rate": response.rate,
                "coherence_at_low_frequencies": response.height,
                "half_height_frequency": response.half,
                "white_noise": _of_comparison(response.white),
                "shot_noise": {str(j): _of_comparison(s) for j, s in response.shots.items()},
            }
            for response in results.responses
        },
        "convergence": {
            "dt": convergence.dt.tolist(),
            "expected": convergence.expected,
            "rates": {scheme: rates.tolist() for scheme, rates in convergence.rates.items()},
            "errors": {scheme: errors.tolist() for scheme, errors in convergence.errors.items()},
            "deviations": {s: found.tolist() for s, found in convergence.deviations.items()},
            "chance": results.responses[0].white.chance,
        },
    }


def _of_comparison(one: Comparison) -> dict[str, Any]:
    return {
        "rate": one.found.rate,
        "rate_error": one.found.rate_error,
        "frequencies": one.found.frequencies.tolist(),
        "coherence": one.found.coherence.tolist(),
        "theory": one.theory.coherence.tolist(),
        "inside": one.inside,
        "p_value": one.p_value,
    }
