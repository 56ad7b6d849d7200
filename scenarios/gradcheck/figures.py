"""The picture of the scenario `gradcheck`: errors of central differences against the step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from scenarios.gradcheck.differences import STEPS
from scenarios.gradcheck.study import Check
from scenarios.running.figures import NEUTRAL, colours, new_figure

__all__ = ["errors_by_step"]

Floats = NDArray[np.float64]
PANELS = {
    "synapses": ("weights", "delays"),
    "neurons": ("tau", "threshold", "bias", "rest", "reset"),
    "start and input": ("initial", "input"),
}


def errors_by_step(checks: Sequence[Check]) -> Figure:
    """Draw the relative difference from the exact gradient, the median over the entries."""
    figure, axes = new_figure(12.0, 4.4, len(PANELS), sharex=True, sharey=True)
    for ax, (name, kinds) in zip(axes, PANELS.items(), strict=True):
        shown = [check for check in checks if check.title.startswith(kinds)]
        for check, colour in zip(shown, colours(len(shown)), strict=True):
            steps, errors = _medians(check)
            ax.plot(steps, errors, "o-", color=colour, markersize=3, linewidth=1.2,
                    label=check.title)  # fmt: skip
        ax.plot(STEPS[:7], STEPS[:7] ** 2, color=NEUTRAL, linestyle="--", linewidth=1)
        ax.plot(STEPS[-7:], 1e-17 / STEPS[-7:], color=NEUTRAL, linestyle=":", linewidth=1)
        ax.set(xscale="log", yscale="log", xlabel="step h")
        ax.set_title(name, fontsize=10)
        ax.legend(frameon=False, fontsize=8, loc="lower left")
    axes[0].set_ylim(bottom=1e-13)  # room for the names
    axes[0].set_ylabel("error of the central difference (relative)")
    for k, text, error in ((1, "h²", STEPS[1] ** 2), (-2, "1/h", 1e-17 / STEPS[-2])):
        axes[0].annotate(text, (STEPS[k], error), (4, -12), textcoords="offset points",
                         color=NEUTRAL)  # fmt: skip
    return figure


def _medians(check: Check) -> tuple[Floats, Floats]:
    """Return errors over the entries that matter, at the steps at which most of them are known."""
    matters = check.exact != 0.0
    errors = np.abs(check.slopes - check.exact[:, None])[matters] / check.scale
    shown = np.isfinite(errors).sum(axis=0) > 0.5 * len(errors)
    return STEPS[shown], np.nanmedian(errors[:, shown], axis=0)
