"""Pictures of networks of ReL-PSP neurons: after Figs 2, 3 and 5 of Zhang et al."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

import eventsim as es
from scenarios.running.figures import CLASS_COLOURS, NEUTRAL, exact_times, new_figure, plain_ticks
from scenarios.stdbp.grazing import (
    ALPHA,
    INPUTS,
    REL_PSP,
    SpikeGradients,
    critical_scale,
    scaled,
)
from scenarios.stdbp.network import Activity

__all__ = ["exploding_gradients", "spike_time_histograms"]

Floats = NDArray[np.float64]

SHOWN = (0.7, 1.0 + 1e-4, 1.5)  # weights whose trajectories are drawn: silent, grazing, strong
SCALES = np.concatenate([np.logspace(-1.6, -0.01, 40), 1.0 + np.logspace(-9.0, 0.9, 100)])
T_SHOWN, T_STOP = 2.5, 30.0  # end of the trajectories, and of the runs for the gradients


def spike_time_histograms(activities: Mapping[str, Activity]) -> Figure:
    """Draw when hidden neurons fire, and when the first output neuron does (Fig. 5).

    Parameters
    ----------
    activities : dict of str -> Activity
        By the title of the network, one panel each.
    """
    n = len(activities)
    figure, axes = new_figure(1.0 + 5.0 * n, 4.0, n, squeeze=False)
    for ax, (title, activity) in zip(axes, activities.items(), strict=True):
        _hidden(ax, activity)
        _earliest_outputs(ax, activity)
        ax.set(xlabel="spike time (units of the input window)", xlim=(0.0, activity.edges[-1]))
        ax.set_ylim(bottom=0.0)
        ax.set_title(
            f"{title}: {100 * activity.fired_at_decision:.1f} % of the hidden neurons\n"
            f"fire before the decision, {100 * activity.fired:.1f} % at any time",
            fontsize=10,
        )
        ax.legend(frameon=False, fontsize=8)
    axes[0].set_ylabel("share (% per bin)")
    return figure


def exploding_gradients() -> Figure:
    """Draw |gradient| of a spike time against its slope, as the weights pass through grazing.

    Left and middle: potentials of the alpha and the ReL-PSP neuron for three scales of the same
    weights (Figs 2b, 2c and 3c).  Right: exact gradients for many scales.
    """
    figure, (left, middle, right) = new_figure(13.5, 4.0, 3)
    critical = critical_scale()
    for ax, neuron, title in (
        (left, ALPHA, "alpha PSP: grazes, or falls silent"),
        (middle, REL_PSP, "ReL-PSP: weaker weights, later spike"),
    ):
        _trajectories(ax, scaled(neuron, critical * np.array(SHOWN), T_SHOWN)[0])
        ax.set_title(title, fontsize=10)
    middle.legend(frameon=False, fontsize=8, title="weights", title_fontsize=8)
    for neuron, name, colour in (
        (ALPHA, "alpha PSP", CLASS_COLOURS[1]),
        (REL_PSP, "ReL-PSP", CLASS_COLOURS[0]),
    ):
        _gradients(right, scaled(neuron, critical * SCALES, T_STOP)[1], name, colour)
    right.set(xscale="log", yscale="log", xlabel="slope of the potential at the spike",
              ylabel="|gradient| of the spike time by the weights")  # fmt: skip
    for axis in (right.xaxis, right.yaxis):
        plain_ticks(axis)
    right.legend(frameon=False, fontsize=8)
    right.set_title("exact gradients, weights scaled alike", fontsize=10)
    return figure


def _hidden(ax: Axes, activity: Activity) -> None:
    """Draw one filled histogram for each hidden layer."""
    total = max(sum(int(h.sum()) for h in activity.histograms.values()), 1)
    several = len(activity.histograms) > 1
    for k, (name, counts) in enumerate(activity.histograms.items()):
        colour = _shade(k, len(activity.histograms))
        label = f"hidden neurons, {name}" if several else "hidden neurons"
        ax.stairs(100.0 * counts / total, activity.edges, fill=True, color=colour, alpha=0.6,
                  label=label)  # fmt: skip


def _earliest_outputs(ax: Axes, activity: Activity) -> None:
    counts = np.histogram(activity.decisions, activity.edges)[0]
    share = 100.0 * counts / max(len(activity.labels), 1)
    ax.stairs(share, activity.edges, color="black", linewidth=1.2, label="earliest output neuron")
    if activity.decisions.size:
        ax.axvline(float(np.median(activity.decisions)), color="black", linestyle=":", linewidth=1,
                   label="median decision")  # fmt: skip


def _shade(k: int, n: int) -> tuple[float, float, float]:
    """Return the colour of layer k of n: from blue to orange."""
    from matplotlib.colors import to_rgb

    first, last = np.array(to_rgb(CLASS_COLOURS[0])), np.array(to_rgb(CLASS_COLOURS[1]))
    mixed = first + (last - first) * (k / (n - 1) if n > 1 else 0.0)
    return float(mixed[0]), float(mixed[1]), float(mixed[2])


def _trajectories(ax: Axes, result: es.Result) -> None:
    times = exact_times(result, INPUTS, result.spikes["out"].times)
    potentials = result.potential("out", at=times)
    for k, (factor, colour) in enumerate(zip(SHOWN, CLASS_COLOURS, strict=True)):
        spike = result.first_spikes("out")[k]
        shown = times < spike
        ax.plot(times[shown], potentials[shown, k], color=colour, linewidth=1.2,
                label=f"{factor:g} × grazing")  # fmt: skip
        if np.isfinite(spike):
            ax.plot([spike], [1.0], "o", color=colour, markersize=5)
    ax.axhline(1.0, color="0.6", linestyle="--", linewidth=1)
    ax.plot(INPUTS, np.zeros_like(INPUTS), "|", color=NEUTRAL, markersize=12)
    ax.set(xlabel="time (units of the time constant)", ylabel="potential", xlim=(0.0, T_SHOWN))


def _gradients(ax: Axes, spikes: SpikeGradients, name: str, colour: str) -> None:
    label = f"{name}: {len(spikes.scales)} of {SCALES.size} neurons fire"
    ax.plot(spikes.slopes, spikes.norms, ".", color=colour, markersize=4, label=label)
    last = int(np.argmax(spikes.norms))
    ax.annotate(f"spike at {spikes.times[last]:.1f}", (spikes.slopes[last], spikes.norms[last]),
                xytext=(6, 0), textcoords="offset points", color=colour, fontsize=8)  # fmt: skip
