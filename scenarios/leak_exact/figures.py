"""The picture of the study of leak with exact gradients: after Fig. 3 of Chowdhury et al."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from scenarios.leak_exact.noise import NOISES
from scenarios.running.figures import NEUTRAL, deviation, new_figure

if TYPE_CHECKING:
    from scenarios.leak_exact.study import Study

__all__ = ["figure"]

MARKERS = "osD^v<>P"


def figure(results: Study) -> Figure:
    """Draw accuracy against the severity of each noise, one line per time constant.

    Parameters
    ----------
    results : Study
        Of `scenarios.leak_exact.run.study`; bars are one standard deviation over the networks.
    """
    figure, axes = new_figure(12.5, 3.8, len(NOISES), sharey=True)
    n = len(results.kinds)
    for ax, (name, noise) in zip(axes, NOISES.items(), strict=True):
        severities = np.array([0.0, *noise.severities])
        for k, kind in enumerate(results.kinds):
            values = 100.0 * np.column_stack([kind.clean, kind.noisy[name]])
            colour = mpl.colormaps["viridis"](0.9 * k / (n - 1))
            ax.errorbar(severities, values.mean(axis=0), deviation(values),
                        color=colour, marker=MARKERS[k % len(MARKERS)], markersize=4,
                        linewidth=1.2, capsize=2, label=_label(kind.title))  # fmt: skip
        ax.axhline(10.0, color=NEUTRAL, linestyle=":", linewidth=1)
        ax.annotate("chance", (0.01, 11.0), xycoords=("axes fraction", "data"), color=NEUTRAL,
                    fontsize=8)  # fmt: skip
        ax.set(xlabel=noise.unit, ylim=(0.0, 101.0))
        ax.set_title(noise.title, fontsize=10)
    axes[0].set_ylabel("test accuracy (%)")
    handles = axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside right center", frameon=False, fontsize=9,
                  title="trained and tested with")  # fmt: skip
    return figure


def _label(title: str) -> str:
    return re.sub(r"tau_(\w)", r"$\\tau_\1$", title)
