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
    figure, axes = new_figure(14.0, 4.4, len(PANELS), sharex=True, sharey=True)
    for ax, (name, kinds) in zip(axes, PANELS.items(), strict=True):
        shown = [check for check in checks if check.title.startswith(kinds)]
        for check, colour in zip(shown, colours(len(shown)), strict=True):
            steps, errors = _medians(check)
            ax.plot(steps, errors, "o-", color=colour, markersize=3, linewidth=1.2,
                    label=check.title)  # fmt: skip
        ax.plot(STEPS[:7], STEPS[:7] ** 2, color=NEUTRAL, linestyle="--", linewidth=1)
        ax.plot(STEPS[-9:], 1e-16 / STEPS[-9:], color=NEUTRAL, linestyle=":", linewidth=1)
        ax.set(xscale="log", yscale="log", xlabel="step h")
        ax.set_title(name, fontsize=10)
        ax.legend(frameon=False, fontsize=7)
    axes[0].set_ylabel("error of the central difference (relative)")
    axes[0].annotate("h²", (STEPS[2], STEPS[2] ** 2), color=NEUTRAL)
    axes[0].annotate("10⁻¹⁶ / h", (STEPS[-4], 1e-16 / STEPS[-4]), color=NEUTRAL)
    return figure


def _medians(check: Check) -> tuple[Floats, Floats]:
    """Return the steps at which there is a difference, and their errors."""
    errors = np.abs(check.slopes - check.exact[:, None]) / check.scale
    known = ~np.isnan(errors).all(axis=0)
    medians = np.nanmedian(errors[:, known], axis=0)
    seen = medians > 0.0
    return STEPS[known][seen], medians[seen]
