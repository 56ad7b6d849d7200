"""Pictures of exact and surrogate gradients that learn the same: after Fig. 5 of Lee et al."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from scenarios.networks.contest import EXACT, NAMES, seconds
from scenarios.running.checkpoint import TrainingState
from scenarios.running.figures import as_epochs, deviation, plain_ticks

__all__ = ["COLOURS", "curves"]

Trained = Mapping[str, Sequence[TrainingState]]  # by method
Floats = NDArray[np.float64]
COLOURS = {  # of the derivatives; Okabe & Ito's
    "constant": "#0072B2",
    "fired": "#E69F00",
    "fast_sigmoid": "#009E73",
    "arctan": "#CC79A7",
}


def curves(contests: Mapping[str, Trained]) -> Figure:
    """Draw loss and accuracy against epochs and against time, and accuracy against spikes.

    Lines are means over the seeds, with one standard deviation; the time of an epoch is that of
    training, without evaluation.

    Parameters
    ----------
    contests : dict of str -> (dict of str -> list of TrainingState)
        Trained networks by title and method.
    """
    figure = Figure(figsize=(10.0, 6.0 * len(contests)), layout="constrained")
    panels = figure.subplots(2 * len(contests), 3, squeeze=False).reshape(-1, 2, 3)
    for ((*losses, names), errors), (title, trained) in zip(panels, contests.items(), strict=True):
        row = [*losses, *errors]
        for name, states in trained.items():
            style = _style(name)
            epochs = _of(states, lambda one: one["epoch"])
            error = _of(states, lambda one: 100.0 * (1.0 - one["test_accuracy"]))
            time = np.array([seconds(state.history) for state in states])
            loss = _of(states, _loss)
            _band(row[0], epochs, loss, style)
            _band(row[1], time[:, 1:], loss[:, 1:], style)
            _band(row[2], epochs, error, style)
            _band(row[3], time[:, 1:], error[:, 1:], style)
            _ends(row[4], _of(states, lambda one: one["test_spikes"]), error, style)
        _label(row, title)
        _name(names, trained)
    return figure


def _label(row: Sequence[Axes], title: str) -> None:
    row[0].set(title=title)
    row[4].set(xlabel="spikes of a hidden neuron per sample", xlim=(0.0, None))
    for ax in row[:2]:
        ax.set(ylabel="test cross-entropy", ylim=(0.0, None))
    for ax in row[2:]:
        ax.set(ylabel="test error (%)", yscale="log")
        plain_ticks(ax.yaxis)
    for ax in (row[1], row[3]):
        ax.set(xlabel="seconds of training", xscale="log")
        plain_ticks(ax.xaxis)
    for ax in (row[0], row[2]):
        as_epochs(ax)
    for ax in row:
        ax.spines[["top", "right"]].set_visible(False)
        ax.title.set_fontsize(11)


def _name(ax: Axes, trained: Trained) -> None:
    """Use up a panel for the names of the methods."""
    ax.set_axis_off()
    handles = [Line2D([], [], label=name, **_style(name)) for name in trained]
    ax.legend(handles=handles, frameon=False, fontsize=9, loc="center left")


def _style(name: str) -> dict[str, Any]:
    """Return colour and line of a method."""
    if name.startswith(EXACT):
        return {"color": "black", "linewidth": 2.0}
    kind = next(kind for kind, label in NAMES.items() if name.startswith(label))
    return {"color": COLOURS[kind], "linestyle": "--" if "rate" in name else "-", "linewidth": 1.4}


def _loss(record: Mapping[str, float]) -> float:
    return record.get("test_cross_entropy", record["test_loss"])


def _of(states: Sequence[TrainingState], value: Callable[[Mapping[str, float]], float]) -> Floats:
    """Return a value of each evaluation of each network, (n_seeds, n_epochs + 1)."""
    return np.array([[value(record) for record in state.history] for state in states])


def _band(ax: Axes, x: Floats, y: Floats, style: Mapping[str, Any]) -> None:
    mean, spread = y.mean(axis=0), deviation(y)
    ax.plot(x.mean(axis=0), mean, **style)
    ax.fill_between(x.mean(axis=0), mean - spread, mean + spread, color=style["color"],
                    alpha=0.12, linewidth=0)  # fmt: skip


def _ends(ax: Axes, spikes: Floats, error: Floats, style: Mapping[str, Any]) -> None:
    """Draw the way through training, and its end for each seed."""
    ax.plot(spikes.mean(axis=0), error.mean(axis=0), **{**style, "linewidth": 0.8, "alpha": 0.5})
    filled = style.get("linestyle") != "--"
    ax.plot(spikes[:, -1], error[:, -1], "o", color=style["color"], markersize=5,
            markerfacecolor=style["color"] if filled else "white")  # fmt: skip
