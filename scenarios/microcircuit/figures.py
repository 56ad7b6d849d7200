"""Pictures of the scenario `microcircuit`: a raster, and distributions for each population."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from scenarios.microcircuit.measures import correlations
from scenarios.microcircuit.model import FULL_RATES, POPULATIONS
from scenarios.networks.recording import Recording
from scenarios.running.figures import CLASS_COLOURS, NEUTRAL, new_figure

__all__ = ["raster", "statistics"]

Found: TypeAlias = Mapping[str, Recording]  # by population
ROWS = 4000  # neurons of the raster, at most
LEAST_ROWS = 2  # of a population
DOT = (2.2, 6.0)  # points: small if the spikes are many
BIN = 2.0  # ms
FILLS = (0.85, 0.25)  # opacity of the boxes of the first and of the second simulator
COLOURS = {"E": CLASS_COLOURS[0], "I": CLASS_COLOURS[1]}
KINDS = {"E": "excitatory", "I": "inhibitory"}


def raster(found: Found, begin: float) -> Figure:
    """Draw who fires, L23E at the top, and how many of each kind.

    Parameters
    ----------
    found : dict of str -> Recording
        All of it is drawn.
    begin : float
        When it begins, for the axis.
    """
    figure = Figure(figsize=(9.0, 7.5), layout="constrained")
    spikes, rates = figure.subplots(2, 1, sharex=True, height_ratios=(4.0, 1.0))
    step = max(sum(one.n for one in found.values()) // ROWS, 1)
    n_spikes = sum(one.times.size for one in found.values()) / step
    size = float(np.clip(80.0 / np.sqrt(n_spikes + 1.0), *DOT))
    row, ticks = 0.0, []
    for name, one in found.items():
        height = max(one.n / step, LEAST_ROWS)
        some = one.indices % step == 0
        at = row + one.indices[some] * height / one.n
        spikes.plot(begin + one.times[some], at, ".", color=_colour(name), markersize=size,
                    markeredgewidth=0.0)  # fmt: skip
        ticks.append(row + height / 2.0)
        row += height
        spikes.axhline(row, color="0.85", linewidth=0.6, zorder=0)
    spikes.set(yticks=ticks, yticklabels=list(found), ylim=(row, 0.0))
    spikes.set_ylabel(f"one neuron in {step}" if step > 1 else "neuron")
    spikes.tick_params(axis="y", length=0)
    for kind in KINDS:
        _rate(rates, [one for name, one in found.items() if name.endswith(kind)], kind, begin)
    end = begin + max(one.duration for one in found.values())
    rates.set(xlabel="time (ms)", ylabel=f"rate (Hz),\nbins of {BIN:g} ms", xlim=(begin, end))
    rates.set_ylim(0.0, None)
    rates.legend(loc="lower right", bbox_to_anchor=(1.0, 0.95), fontsize=8, frameon=False, ncols=2)
    for ax in (spikes, rates):
        ax.spines[["top", "right"]].set_visible(False)
    return figure


def _colour(name: str) -> str:
    return COLOURS[name[-1]]


def _rate(ax: Axes, found: list[Recording], kind: str, begin: float) -> None:
    edges = np.arange(0.0, found[0].duration + BIN / 2.0, BIN)
    count, _ = np.histogram(np.concatenate([one.times for one in found]), edges)
    rate = 1000.0 * count / BIN / sum(one.n for one in found)
    ax.stairs(rate, begin + edges, baseline=None, color=COLOURS[kind], label=KINDS[kind])


def statistics(simulators: Mapping[str, Found]) -> Figure:
    """Draw rates, CVs and correlations of each population: quartiles, and 5 to 95 %.

    Parameters
    ----------
    simulators : dict of str -> dict of str -> Recording
        By title, by population; without the transient.
    """
    figure, (rates, cvs, pairs) = new_figure(13.0, 4.2, 3)
    panels: tuple[tuple[Axes, Callable[[Recording], NDArray[np.float64]], str], ...] = (
        (rates, lambda one: one.rates, "rate of a neuron (Hz)"),
        (cvs, lambda one: one.cvs, "CV of a neuron's intervals"),
        (pairs, correlations, "correlation of two neurons"),
    )
    for ax, values, label in panels:
        drawn = [[values(one) for one in found.values()] for found in simulators.values()]
        for k, of_populations in enumerate(drawn):
            _boxes(ax, of_populations, k, len(simulators))
        if not any(np.size(one) for of_populations in drawn for one in of_populations):
            ax.text(0.5, 0.6, "too few spikes", transform=ax.transAxes, ha="center", color=NEUTRAL)
            ax.yaxis.set_major_locator(NullLocator())
        ax.set(ylabel=label, xticks=range(len(POPULATIONS)), xticklabels=POPULATIONS)
        ax.set_xlim(-0.6, len(POPULATIONS) - 0.4)
    rates.plot(FULL_RATES, "D", color="black", markersize=4, label="mean, full scale (published)")
    rates.set_ylim(0.0, None)
    cvs.axhline(1.0, color="0.7", linestyle="--", linewidth=1, zorder=0)
    pairs.axhline(0.0, color="0.7", linestyle="--", linewidth=1, zorder=0)
    handles, _ = rates.get_legend_handles_labels()
    titles = [
        Patch(facecolor=NEUTRAL, alpha=fill, label=title)
        for title, fill in zip(simulators, FILLS, strict=False)
    ]
    mean = rates.plot([], [], "o", color="white", markeredgecolor="black", markersize=4,
                      label="mean")  # fmt: skip
    figure.legend(handles=[*titles, *mean, *handles], loc="outside lower center", frameon=False,
                  fontsize=8, ncols=4, title="boxes: quartiles; whiskers: 5 to 95 %",
                  title_fontsize=8)  # fmt: skip
    return figure


def _boxes(ax: Axes, values: list[NDArray[np.float64]], k: int, n: int) -> None:
    """Draw the boxes of the k-th of n simulators; a population without values has none."""
    places = np.arange(len(values)) + (k - (n - 1) / 2.0) * 0.38
    dot: dict[str, Any] = {"marker": "o", "markerfacecolor": "white", "markeredgecolor": "black"}
    drawn = ax.boxplot(
        values, positions=places, widths=0.6 / n, whis=(5.0, 95.0),
        showfliers=False, showmeans=True, manage_ticks=False, patch_artist=True,
        medianprops={"color": "black"}, meanprops={**dot, "markersize": 4},
    )  # fmt: skip
    for box, name in zip(drawn["boxes"], POPULATIONS, strict=True):
        box.set(facecolor=_colour(name), alpha=FILLS[k])
