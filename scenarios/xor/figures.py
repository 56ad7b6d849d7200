"""Pictures of the scenario `xor`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from scenarios.running.figures import CLASS_COLOURS, TIME, new_figure

__all__ = ["step_histogram", "traces"]

Floats = NDArray[np.float64]


def step_histogram(steps: Sequence[int], published_mean: float) -> Figure:
    """Draw how many steps the initialisations took to converge."""
    figure, (ax,) = new_figure(6, 3.6)
    ax.hist(steps, bins=(np.arange(0, max(steps) + 2) - 0.5).tolist(), color=CLASS_COLOURS[0])
    mean = float(np.mean(steps))
    ax.axvline(mean, color="black", label=f"mean of this run, {mean:.2f}")
    ax.axvline(published_mean, color=CLASS_COLOURS[1], linestyle="--",
               label=f"published mean, {published_mean:.2f}")  # fmt: skip
    ax.set(xlabel="steps until all four patterns are right", ylabel="initialisations")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(frameon=False)
    return figure


def traces(
    times: Floats,
    potentials: Floats,
    threshold: float,
    titles: Sequence[str],
    classes: Sequence[str],
) -> Figure:
    """Draw the potentials of the output neurons, one panel per sample.

    Parameters
    ----------
    times : (n_samples, n_times) ndarray
        Where the potentials were taken.
    potentials : (n_samples, n_times, n_classes) ndarray
        Membrane potentials.
    threshold : float
        Drawn as a line.
    titles, classes : sequence of str
        Names of the samples and of the output neurons.
    """
    figure, axes = new_figure(3.2 * len(titles), 3.2, len(titles), sharey=True)
    for ax, at, rows, title in zip(axes, times, potentials, titles, strict=True):
        for k, name in enumerate(classes):
            ax.plot(at, rows[:, k], color=CLASS_COLOURS[k], label=name, linewidth=1.4)
        ax.axhline(threshold, color="0.6", linestyle="--", linewidth=1)
        ax.set_title(title, fontsize=10)
    axes[0].set_ylabel("membrane potential (threshold = 1)")
    axes[0].legend(title="output neuron", frameon=False, fontsize=8, title_fontsize=8)
    figure.supxlabel(TIME, fontsize=10)
    return figure
