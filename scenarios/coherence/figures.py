"""The picture of the coherence: Fig. 2 of Chowdhury et al., over two axes, and the checks."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator
from numpy.typing import NDArray

from scenarios.coherence.simulation import Scheme
from scenarios.coherence.study import Response, Study
from scenarios.coherence.theory import Neuron, coherence
from scenarios.running.figures import CLASS_COLOURS, NEUTRAL

__all__ = ["figure"]

COLOURS = (*CLASS_COLOURS[::-1], "#CC79A7", "#56B4E9", "#D55E00")  # no leak is often the third
SHADES = ("#B0B0B0", "#808080", "#404040", "#000000")
OMEGAS = np.geomspace(0.1, 30.0, 80)  # ω τ_m of the axis of Fig. 2
SLOW = 30.0  # intervals: a τ_m that stands for no leak on this axis
SCHEMES: tuple[tuple[Scheme, str, str], ...] = (
    ("plain", "plain Euler-Maruyama", CLASS_COLOURS[1]),
    ("bridge", "with a test for crossings within each step", CLASS_COLOURS[0]),
)
FREQUENCY = "frequency (cycles per time step)"


def figure(results: Study) -> Figure:
    """Draw coherences over both axes, shot noise against its limit, and the convergence in dt.

    Parameters
    ----------
    results : Study
        Of `scenarios.coherence.run.study`.
    """
    figure = Figure(figsize=(12, 8.2), layout="constrained")
    (real, own), (shots, steps) = figure.subplots(2, 2)
    _real_time(real, results.responses)
    _own_time(own, results.responses)
    _shot_noise(shots, results.responses[0])
    _convergence(steps, results)
    for ax in (real, own, shots, steps):
        ax.spines[["top", "right"]].set_visible(False)
        ax.title.set_fontsize(10)
        ax.legend(frameon=False, fontsize=8)
    return figure


def _real_time(ax: Axes, responses: list[Response]) -> None:
    for k, response in enumerate(responses):
        colour = COLOURS[k % len(COLOURS)]
        f, theory = response.curve
        ax.plot(f, theory.coherence, color=colour, linewidth=1.4, label=_label(response))
        white = response.white
        some = slice(k % 2, None, 2)
        found = white.found.coherence[some]
        bars = np.abs(np.stack([end[some] - found for end in white.interval]))
        ax.errorbar(white.found.frequencies[some], found, bars, fmt="o", color=colour,
                    markersize=3, linewidth=0.9)  # fmt: skip
        ax.plot([response.half], [response.height / 2.0], "D", color=colour, markersize=6,
                markerfacecolor="none")  # fmt: skip
    ax.errorbar([], [], [], fmt="o", color=NEUTRAL, markersize=3,
                label="white noise simulated, 95 % interval")  # fmt: skip
    ax.plot([], [], "D", color=NEUTRAL, markerfacecolor="none", linestyle="none",
            label="half of the value at low frequencies")  # fmt: skip
    ax.set(xscale="log", xlabel=FREQUENCY, ylabel="coherence C", ylim=(0.0, 1.02),
           title="one axis for all: without leak, C falls as well")  # fmt: skip


def _own_time(ax: Axes, responses: list[Response]) -> None:
    leaky = [(k, one) for k, one in enumerate(responses) if one.neuron.leaky]
    for k, response in leaky:
        ax.plot(OMEGAS, _over_omega(response.neuron), color=COLOURS[k % len(COLOURS)],
                linewidth=1.4, label=_label(response))  # fmt: skip
    some = responses[0].neuron
    slow = Neuron(SLOW / some.current, some.current, some.noise)
    ax.plot(OMEGAS, _over_omega(slow), color=COLOURS[2], linestyle="--", linewidth=1.4,
            label=f"$\\tau_m$ = {slow.tau:g}, nearly no leak")  # fmt: skip
    ax.set(xscale="log", xlabel="frequency times time constant, $\\omega\\tau_m$",
           ylabel="coherence C", ylim=(0.0, 1.02),
           title="the axis of Eq. 4 and Fig. 2: another unit for each leak")  # fmt: skip


def _shot_noise(ax: Axes, response: Response) -> None:
    f = response.white.found.frequencies
    low, high = (end - response.white.found.coherence for end in response.white.interval)
    ax.fill_between(f, low, high, color="0.92", label="95 % interval, white noise")  # fmt: skip
    for k, (jump, shot) in enumerate(response.shots.items()):
        ax.plot(_averaged(shot.found.frequencies), _averaged(shot.deviation), "o-",
                color=SHADES[k % len(SHADES)], markersize=3.5, linewidth=1.1,
                label=f"jumps of {jump:g}")  # fmt: skip
    ax.axhline(0.0, color=NEUTRAL, linewidth=0.8)
    ax.set(xscale="log", xlabel=FREQUENCY, ylabel="C of the simulation minus theory",
           title=f"{_label(response)}: exact runs, shot noise, means of 4 values")  # fmt: skip


def _convergence(ax: Axes, results: Study) -> None:
    course = results.convergence
    for scheme, name, colour in SCHEMES:
        relative = 100.0 * (course.rates[scheme] / course.expected - 1.0)
        errors = 196.0 * course.errors[scheme] / course.expected
        ax.errorbar(course.dt, relative, errors, fmt="o-", color=colour, markersize=4,
                    linewidth=1.2, capsize=3, label=name)  # fmt: skip
    ax.axhline(0.0, color=NEUTRAL, linewidth=0.8)
    ax.set(xscale="log", xlabel="time step of the simulation (time steps of the networks)",
           ylabel="mean rate: deviation from $r_0$ (%)",
           title=f"{_label(results.responses[0])}: convergence, with 95 % intervals")  # fmt: skip
    ax.xaxis.set_major_locator(FixedLocator(course.dt.tolist()))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticklabels([f"{dt:.2g}" for dt in course.dt])


def _over_omega(neuron: Neuron) -> NDArray[np.float64]:
    return coherence(neuron, OMEGAS / (2.0 * math.pi * neuron.tau))


def _averaged(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return means of groups of four neighbours; the last ones may be more."""
    parts = np.array_split(values, max(1, values.size // 4))
    return np.array([part.mean() for part in parts])


def _label(response: Response) -> str:
    return response.title.replace("tau_m", "$\\tau_m$")
