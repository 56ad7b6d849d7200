"""The scenario coherence: what is run, and what is reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from scenarios.coherence.config import CoherenceOptions
from scenarios.coherence.simulation import Scheme
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
from scenarios.running.console.progress import Progress
from scenarios.running.report import Report, Row

__all__ = ["rows", "run", "study"]


def run(config: CoherenceOptions, folder: Path, progress: Progress) -> Report:
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
