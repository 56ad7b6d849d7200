"""Pictures of the scenario `iris`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from scenarios.running.figures import CLASS_COLOURS, TIME

__all__ = ["first_spike_histograms"]

Floats = NDArray[np.float64]


def first_spike_histograms(
    before: Floats, after: Floats, labels: NDArray[np.int64], classes: Sequence[str]
) -> Figure:
    """Draw when each output neuron first fires, before and after training, by true class.

    Parameters
    ----------
    before, after : (n_samples, n_classes) ndarray
        First spike times; inf = silent (not drawn, counted in the titles).
    labels : (n_samples,) ndarray of int
        True classes.
    classes : sequence of str
        Their names, in order.
    """
    n = len(classes)
    figure = Figure(figsize=(3.4 * n, 5.2), layout="constrained")
    axes = figure.subplots(2, n, sharex=True, squeeze=False)
    finite = np.concatenate([before[np.isfinite(before)], after[np.isfinite(after)], [0.0]])
    bins = np.linspace(0.0, 1.02 * float(finite.max()) or 1.0, 21).tolist()
    for row, times, moment in ((0, before, "before training"), (1, after, "after training")):
        for true in range(n):
            _histogram(axes[row, true], times[labels == true], bins, classes)
            silent = int(np.isinf(times[labels == true]).sum())
            hint = f" ({silent} outputs silent)" if silent else ""
            axes[row, true].set_title(f"{classes[true]}, {moment}{hint}", fontsize=10)
        axes[row, 0].set_ylabel("test samples")
    axes[0, 0].legend(title="output neuron", frameon=False, fontsize=8, title_fontsize=8)
    figure.supxlabel("first spike: " + TIME, fontsize=10)
    return figure


def _histogram(ax: Axes, times: Floats, bins: list[float], classes: Sequence[str]) -> None:
    finite = [column[np.isfinite(column)] for column in times.T]
    colours = list(CLASS_COLOURS[: len(classes)])
    ax.hist(finite, bins=bins, color=colours, label=list(classes))
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.spines[["top", "right"]].set_visible(False)
