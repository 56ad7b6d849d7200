"""Pictures of the scenario `cuba`: a raster, a neuron's currents, distributions."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

import eventsim as es
from scenarios.cuba.network import RECEPTORS, RESET, REST, THRESHOLD, Drawn
from scenarios.networks.recording import Recording
from scenarios.running.figures import CLASS_COLOURS, NEUTRAL, exact_times, new_figure

__all__ = ["activity", "statistics"]

COLOURS = dict(zip(RECEPTORS, CLASS_COLOURS[:2], strict=True))
TITLES = {"E": "excitatory", "I": "inhibitory"}
SHOWN = 500  # neurons of the raster
BIN = 5.0  # ms
SPIKE = -40.0  # mV: up to which a spike is drawn
BUSY = 0.9  # quantile of the spikes of the neuron that is drawn
LINES = ("-", "--", ":", "-.")
Floats = NDArray[np.float64]


def activity(drawn: Drawn, result: es.Result) -> Figure:
    """Draw the beginning of a run: which neurons fire, how many, and what one of them receives.

    Parameters
    ----------
    drawn : Drawn
        The network.
    result : eventsim.Result
        The run; all of it is drawn.
    """
    figure = Figure(figsize=(9.0, 9.0), layout="constrained")
    raster, rate, potential, current = figure.subplots(
        4, 1, sharex=True, height_ratios=(3.0, 1.0, 1.4, 1.4)
    )
    _raster(raster, drawn, result)
    _rates(rate, drawn, result)
    _one_neuron(potential, current, result)
    for ax in (raster, rate, potential, current):
        ax.spines[["top", "right"]].set_visible(False)
    current.set(xlabel="time (ms)", xlim=(0.0, result.t_stop))
    figure.align_ylabels()
    return figure


def _raster(ax: Axes, drawn: Drawn, result: es.Result) -> None:
    """Draw every n-th neuron, so that both populations have their share."""
    step = max(drawn.potential.size // SHOWN, 1)
    for name, part in drawn.parts.items():
        spikes = result.spikes[name]
        some = spikes.indices % step == 0
        rows = (part.start + spikes.indices[some]) / step
        ax.plot(spikes.times[some], rows, ".", color=COLOURS[name], markersize=1.8,
                label=TITLES[name])  # fmt: skip
    ax.set(ylabel=f"every {step}th neuron" if step > 1 else "neuron", yticks=[])
    ax.set_ylim(0.0, drawn.potential.size / step)
    ax.legend(loc="upper right", markerscale=6, fontsize=8, framealpha=0.9)


def _rates(ax: Axes, drawn: Drawn, result: es.Result) -> None:
    edges = np.arange(0.0, result.t_stop + BIN / 2.0, BIN)
    for name, part in drawn.parts.items():
        count, _ = np.histogram(result.spikes[name].times, edges)
        ax.stairs(1000.0 * count / BIN / (part.stop - part.start), edges, baseline=None,
                  color=COLOURS[name])  # fmt: skip
    ax.set(ylabel=f"rate (Hz),\nbins of {BIN:g} ms", ylim=(0.0, None))


def _one_neuron(potential: Axes, current: Axes, result: es.Result) -> None:
    """Draw potential and currents of an excitatory neuron that fires often."""
    spikes = result.spikes["E"]
    by_count = np.argsort(result.spike_counts("E"), kind="stable")
    neuron = int(by_count[int(BUSY * by_count.size)])
    own = spikes.times[spikes.indices == neuron]
    at = exact_times(result, own)
    potential.plot(at, result.potential("E", at)[:, neuron], color=NEUTRAL, linewidth=1.0)
    potential.vlines(own, THRESHOLD, SPIKE, color=NEUTRAL, linewidth=1.0)
    potential.axhline(THRESHOLD, color="0.7", linestyle="--", linewidth=1)
    potential.set(ylabel="potential of\na neuron (mV)", yticks=(RESET, THRESHOLD, SPIKE))
    tau = float(np.asarray(result.network.neurons["E"].tau_mem))
    total = np.zeros(at.size)
    for name, receptor in RECEPTORS.items():
        values = tau * result.current("E", at, receptor)[:, neuron]
        total += values
        current.plot(at, values, color=COLOURS[name], linewidth=1.0, label=TITLES[name])
    current.plot(at, total, color="black", linewidth=0.8, label="sum")
    current.axhline(THRESHOLD - REST, color="0.7", linestyle="--", linewidth=1,
                    label="needed to fire")  # fmt: skip
    current.set(ylabel="its currents,\ntau_mem I (mV)")
    current.legend(loc="lower right", fontsize=8, framealpha=0.9, ncols=4)


def statistics(drawn: Drawn, recordings: Mapping[str, Recording]) -> Figure:
    """Draw how rates, intervals and their irregularity are distributed, one line per simulator.

    Parameters
    ----------
    drawn : Drawn
        The network.
    recordings : dict of str -> Recording
        By title; without the transient.
    """
    figure, (rates, intervals, cvs) = new_figure(12.0, 3.8, 3)
    first = next(iter(recordings.values()))
    highest = np.quantile(first.rates, 0.995)
    longest = np.quantile(first.intervals[0], 0.98) if first.intervals[0].size else 1.0
    panels: tuple[tuple[Axes, Floats, Callable[[Recording], Floats]], ...] = (
        (rates, np.linspace(0.0, max(highest, 1.0), 31), lambda one: one.rates),
        (intervals, np.linspace(0.0, longest, 41), lambda one: one.intervals[0]),
        (cvs, np.linspace(0.0, 2.0, 41), lambda one: one.cvs),
    )
    for ax, edges, values in panels:
        for (title, recording), line in zip(recordings.items(), LINES, strict=False):
            for name, part in drawn.parts.items():
                own = values(recording.of_neurons(part))
                count, _ = np.histogram(own, edges)
                density = count / (max(int(count.sum()), 1) * np.diff(edges))
                ax.stairs(density, edges, color=COLOURS[name], linestyle=line, linewidth=1.2,
                          label=f"{TITLES[name]}, {title}")  # fmt: skip
        ax.set(yticks=[], ylabel="density", ylim=(0.0, None))
    rates.set(xlabel="rate of a neuron (Hz)")
    intervals.set(xlabel="interval between spikes (ms)")
    cvs.set(xlabel="CV of a neuron's intervals")
    cvs.axvline(1.0, color="0.7", linestyle="--", linewidth=1)
    figure.legend(*rates.get_legend_handles_labels(), loc="outside lower center", frameon=False,
                  fontsize=8, ncols=len(recordings))  # fmt: skip
    return figure
