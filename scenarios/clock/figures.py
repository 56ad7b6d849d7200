"""The picture of the scenario `clock`: spikes and gradients against the time step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from scenarios.networks.contest_figures import COLOURS
from scenarios.running.figures import CLASS_COLOURS, NEUTRAL, deviation, plain_ticks

__all__ = ["LABELS", "clock", "mean_and_spread", "select"]

Record = Mapping[str, Any]
Runs = Sequence[Record]  # one a minibatch

LABELS = {
    "constant": "constant (Gerum & Schilling)",
    "fired": "where there is a spike (Chowdhury et al.)",
    "fast_sigmoid": "fast sigmoid",
    "arctan": "arctan",
}
LINES: tuple[Literal["-", "--"], ...] = ("-", "--")  # initial weights, after training
RESETS = {"zero": "-", "subtract": "--"}
HIDDEN, OUT = "in->hidden", "hidden->out"


def clock(
    spikes: Sequence[Record],
    angles: Mapping[tuple[str, str], Runs],
    slope_steps: int,
    derivatives: Mapping[str, float],
) -> Figure:
    """Draw all that was measured.

    Parameters
    ----------
    spikes : sequence of records
        Of `spikes.measure`, of all networks.
    angles : dict of (data set, stage) -> runs
        Of `gradients.measure`.
    slope_steps : int
        Number of steps with which the steepness was varied.
    derivatives : dict of str -> float
        The scale of each derivative where the number of steps was varied.
    """
    names = list(dict.fromkeys(name for name, _ in angles))
    figure = Figure(figsize=(12.0, 0.8 + 3.7 * len(names)), layout="constrained")
    axes = figure.subplots(len(names), 3, squeeze=False)
    _errors(axes[0, 0], spikes)
    _lost(axes[1, 0], spikes)
    for row, name in zip(axes, names, strict=True):
        stages = {stage: runs for (its, stage), runs in angles.items() if its == name}
        _against_steps(row[1], name, stages, derivatives)
        _against_slope(row[2], name, stages, slope_steps)
    for ax in axes.ravel():
        ax.spines[["top", "right"]].set_visible(False)
        ax.title.set_fontsize(10)
    figure.legend(handles=_legend(list(stages)), loc="outside lower right", frameon=False,
                  fontsize=9, ncols=4, title="Gradients")  # fmt: skip
    return figure


def _legend(moments: Sequence[str]) -> list[Line2D]:
    """Return what the lines of the panels of gradients are."""
    kinds = [Line2D([], [], color=COLOURS[kind], label=label) for kind, label in LABELS.items()]
    clock_alone = Line2D([], [], color=NEUTRAL, label="weights onto outputs: the clock alone")
    lines = [
        Line2D([], [], color="black", linestyle=line, label=moment)
        for line, moment in zip(LINES, moments, strict=True)
    ]
    return [*kinds, clock_alone, *lines]


def select(records: Iterable[Record], **values: Any) -> list[Record]:
    """Return the records that have these values.

    Examples
    --------
    >>> select([{"a": 1, "b": 2}, {"a": 3, "b": 2}], a=3)
    [{'a': 3, 'b': 2}]
    """
    return [one for one in records if all(one[name] == value for name, value in values.items())]


def mean_and_spread(values: Iterable[float | None]) -> tuple[float, float]:
    """Return mean and standard deviation of the values that are known (NaN if none is).

    Examples
    --------
    >>> mean_and_spread([1.0, None, 3.0])
    (2.0, 1.4142135623730951)
    """
    known = np.array([value for value in values if value is not None])
    return (float(known.mean()), float(deviation(known))) if known.size else (np.nan, np.nan)


def _errors(ax: Axes, spikes: Sequence[Record]) -> None:
    steps = np.array(sorted({one["time_step"] for one in spikes}))
    for layer, colour in zip(_layers(spikes), CLASS_COLOURS, strict=True):
        for reset, line in RESETS.items():
            errors = [_median(select(spikes, layer=layer, reset=reset, time_step=step), "error")
                      for step in steps]  # fmt: skip
            label = f"layer {layer[-1]}" if reset == "zero" else None
            ax.plot(steps, errors, line, color=colour, marker="o", markersize=3, label=label)
    ax.plot(steps, steps, color="0.6", linewidth=1, label="one step")
    ax.plot([], [], "--", color=NEUTRAL, label="soft reset")
    ax.set(xscale="log", yscale="log", xlabel="time step (time constants: about 1)",
           ylabel="error of a spike time, median", title="Spikes of random networks")  # fmt: skip
    for axis in (ax.xaxis, ax.yaxis):
        plain_ticks(axis)
    ax.legend(frameon=False, fontsize=8)


def _lost(ax: Axes, spikes: Sequence[Record]) -> None:
    steps = np.array(sorted({one["time_step"] for one in spikes}))
    ax.set_xlim(steps[0] / 1.3, steps[-1] * 1.3)
    for layer, colour in zip(_layers(spikes), CLASS_COLOURS, strict=True):
        for name, line in (("missed", "-"), ("invented", ":")):
            shares = [
                mean_and_spread(
                    one[name] for one in select(spikes, layer=layer, reset="zero", time_step=step)
                )[0]
                for step in steps
            ]
            label = f"layer {layer[-1]}" if name == "missed" else None
            shown = np.where(np.array(shares) > 0.0, shares, np.nan)
            ax.plot(steps, shown, line, color=colour, marker="o", markersize=3, label=label)
    ax.plot([], [], ":", color=NEUTRAL, label="invented")
    ax.set(xscale="log", yscale="log", xlabel="time step (time constants: about 1)",
           ylabel="part of the exact spikes", title="Spikes missed, or invented")  # fmt: skip
    plain_ticks(ax.xaxis)
    ax.yaxis.set_major_formatter(lambda share, _: f"{100.0 * share:g} %")
    ax.legend(frameon=False, fontsize=8)


def _against_steps(
    ax: Axes, name: str, stages: Mapping[str, Runs], derivatives: Mapping[str, float]
) -> None:
    for runs, line in zip(stages.values(), LINES, strict=True):
        steps = sorted({one["steps"] for run in runs for one in run["records"]})
        for kind, scale in derivatives.items():
            curve = [_cosines(runs, HIDDEN, kind=kind, scale=scale, steps=n) for n in steps]
            _band(ax, steps, curve, line, COLOURS[kind])
        of_clock = {"kind": "fired", "scale": derivatives["fired"]}
        _band(ax, steps, [_cosines(runs, OUT, **of_clock, steps=n) for n in steps], line, NEUTRAL)
    _as_cosines(ax, f"{name}: by the number of steps of a run")
    ax.set(xscale="log", xlabel="steps of a run")
    _ticks(ax, steps)


def _against_slope(ax: Axes, name: str, stages: Mapping[str, Runs], n_steps: int) -> None:
    for runs, line in zip(stages.values(), LINES, strict=True):
        some = select((one for run in runs for one in run["records"]), steps=n_steps)
        for kind in ("fast_sigmoid", "arctan"):
            scales = sorted({one["scale"] for one in select(some, kind=kind)})
            curve = [_cosines(runs, HIDDEN, kind=kind, scale=s, steps=n_steps) for s in scales]
            _band(ax, scales, curve, line, COLOURS[kind])
        for kind in ("constant", "fired"):
            level = mean_and_spread(one[HIDDEN] for one in select(some, kind=kind))[0]
            ax.axhline(level, linestyle=line, color=COLOURS[kind], linewidth=1)
    _as_cosines(ax, f"{name}: by the steepness, {n_steps} steps")
    ax.set(xscale="log", xlabel="steepness of the derivative (1 / threshold)")
    plain_ticks(ax.xaxis)


def _band(
    ax: Axes,
    x: Sequence[float],
    curve: Sequence[tuple[float, float]],
    line: str,
    colour: str,
) -> None:
    mean, spread = np.array(curve).T
    ax.plot(x, mean, line, color=colour, linewidth=1.6)
    ax.fill_between(x, mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0)


def _cosines(runs: Runs, weights: str, **values: Any) -> tuple[float, float]:
    return mean_and_spread(select(run["records"], **values)[0][weights] for run in runs)


def _as_cosines(ax: Axes, title: str) -> None:
    ax.axhline(0.0, color="0.8", linewidth=1)
    ax.set(ylabel="cosine of the angle to the exact gradient", title=title)
    ax.set_ylim(min(ax.get_ylim()[0], -0.05), 1.02)


def _ticks(ax: Axes, steps: Sequence[int]) -> None:
    ax.xaxis.set_major_locator(FixedLocator(steps))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticklabels([f"{n}" for n in steps])


def _layers(spikes: Sequence[Record]) -> list[str]:
    return sorted({one["layer"] for one in spikes})


def _median(records: Sequence[Record], name: str) -> float:
    known = [one[name] for one in records if one[name] is not None]
    return float(np.median(known)) if known else np.nan
