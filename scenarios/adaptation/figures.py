"""The picture of the scenario `adaptation`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from scenarios.adaptation.config import AdaptationOptions
from scenarios.adaptation.fit import Problem
from scenarios.adaptation.network import CELLS, SLOW, THRESHOLD
from scenarios.running.figures import CLASS_COLOURS, exact_times, plain_ticks

__all__ = ["learnt"]

Fits = Sequence[dict[str, Any]]
RESOLUTION = 41  # of the landscape, along each axis
BEYOND = 1.3  # how much farther than the starts it reaches
ROUNDING = 1e-15  # ms: as which a distance of 0 is drawn
LOWEST = 0.0  # of the landscape, log10: nearer to the target it is a few pixels wide
BEFORE, AFTER = CLASS_COLOURS[1], CLASS_COLOURS[0]


def learnt(config: AdaptationOptions, problem: Problem, fits: Fits) -> Figure:
    """Draw spikes before and after, what the neuron does, loss by step, and the ways there.

    Parameters
    ----------
    config : AdaptationOptions
        With the values of the target.
    problem : Problem
        What was fitted.
    fits : sequence of dict
        As `fit` returns them; the first one is shown in detail.
    """
    figure = Figure(figsize=(12.0, 8.0), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(1.25, 1.0))
    left = grid[:, 0].subgridspec(3, 1, height_ratios=(1.0, 1.3, 1.3))
    trains = figure.add_subplot(left[0])
    potential, current = (figure.add_subplot(left[k], sharex=trains) for k in (1, 2))
    steps, ways = (figure.add_subplot(grid[k, 1]) for k in (0, 1))
    _trains(trains, problem, fits[0])
    _states(potential, current, problem, fits[0])
    trains.set_xlim(0.0, config.duration)
    _steps(steps, fits)
    _ways(ways, config, problem, fits)
    for ax in (trains, potential, current, steps, ways):
        ax.spines[["top", "right"]].set_visible(False)
        ax.title.set_fontsize(10)
    return figure


def _trains(ax: Axes, problem: Problem, fit: dict[str, Any]) -> None:
    before, after = (problem.run(*fit["path"][k]).spikes[CELLS].times for k in (0, -1))
    rows = {
        "input": problem.inputs.times,
        "start": before,
        "found": after,
        "target": problem.target,
    }
    colours = ("0.8", BEFORE, AFTER, "black")
    ax.eventplot(list(rows.values()), colors=colours, linelengths=0.8, linewidths=(0.4, 1, 1, 1))
    ax.set(yticks=range(len(rows)), yticklabels=list(rows), title="Spikes")
    ax.tick_params(axis="y", length=0)


def _states(potential: Axes, current: Axes, problem: Problem, fit: dict[str, Any]) -> None:
    for k, colour, label in ((0, BEFORE, "start"), (-1, AFTER, "found")):
        result = problem.run(*fit["path"][k])
        at = exact_times(result, result.spikes[CELLS].times)
        potential.plot(at, result.potential(CELLS, at)[:, 0], color=colour, linewidth=0.8)
        slow = result.current(CELLS, at, SLOW)[:, 0]
        tau, strength = fit["path"][k]
        current.plot(at, slow, color=colour, linewidth=1.0,
                     label=f"{label}: tau {tau:.4g} ms, strength {strength:.4g} mV/ms")  # fmt: skip
    potential.axhline(THRESHOLD, color="0.7", linestyle="--", linewidth=1)
    potential.set(ylabel="potential (mV)", title="What the neuron does")
    current.set(xlabel="time (ms)", ylabel="current of the adaptation (mV/ms)")
    current.legend(frameon=False, fontsize=8)


def _steps(ax: Axes, fits: Fits) -> None:
    for k, fit in enumerate(fits):
        style = {"color": AFTER, "linewidth": 1.6, "zorder": 3} if k == 0 else {"color": "0.7"}
        ax.plot(np.maximum(fit["distances"], ROUNDING), marker=".", markersize=4, **style)
    ax.set(yscale="log", xlabel="step", ylabel="distance to the target (ms)",
           title="Root mean square of the differences of spike times")  # fmt: skip
    plain_ticks(ax.yaxis)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def _ways(ax: Axes, config: AdaptationOptions, problem: Problem, fits: Fits) -> None:
    reach = np.geomspace(1.0 / config.factor, config.factor, RESOLUTION) ** BEYOND
    tau, strength = config.tau * reach, config.strength * reach
    every = [values.ravel() for values in np.meshgrid(tau, strength)]
    height = problem.distances(*every).reshape(RESOLUTION, RESOLUTION)
    filled = ax.contourf(
        tau, strength, np.log10(np.maximum(height, 10.0**LOWEST)), 20, cmap="Greys_r"
    )
    ax.figure.colorbar(filled, ax=ax, label="log10 of the distance (ms)")
    for k, fit in enumerate(fits):
        style = {"color": AFTER, "linewidth": 1.8, "zorder": 3} if k == 0 else {"color": BEFORE}
        ax.plot(*np.transpose(fit["path"]), marker=".", markersize=4, alpha=0.9, **style)
    ax.plot(config.tau, config.strength, "+", color="white", markersize=12, zorder=4)
    ax.set(xscale="log", yscale="log", xlabel="time constant (ms)", ylabel="strength (mV/ms)",
           xlim=(tau[0], tau[-1]), ylim=(strength[0], strength[-1]),
           title="The ways of the two values, over the distance of all spikes")  # fmt: skip
    for axis in (ax.xaxis, ax.yaxis):
        plain_ticks(axis)
