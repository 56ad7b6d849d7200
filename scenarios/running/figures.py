"""Pictures of training runs.  Needs matplotlib; drawn without a screen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

import eventsim as es

__all__ = [
    "CLASS_COLOURS",
    "NEUTRAL",
    "TIME",
    "Curve",
    "as_accuracy",
    "as_epochs",
    "colours",
    "deviation",
    "draw_line",
    "error_in_percent",
    "exact_times",
    "learning_curves",
    "new_figure",
    "plain_ticks",
    "trained",
    "training_curves",
    "with_bars",
]

# Okabe & Ito's colours, which colour-blind readers can tell apart.
CLASS_COLOURS = ("#0072B2", "#E69F00", "#009E73")
NEUTRAL = "#555555"
TIME = "time (units of the synaptic time constant)"

Floats = NDArray[np.float64]
History = Sequence[Mapping[str, float]]
GRID = 1001  # points of a trajectory, besides the spikes
TICKS: tuple[tuple[float, ...], ...] = (  # errors in percent, the closest first
    (*np.arange(0.1, 3.0, 0.1).round(1), *range(3, 10), 10, 15, 20, 25, 30, 40, 50, 60, 80),
    (*np.arange(0.1, 1.0, 0.1).round(1), 1, 1.2, 1.4, 1.6, 2, 2.5, 3, 4, 5, 7, 10, 15, 20, 40, 80),
    (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 40, 80),
)
TICK_HEIGHT = 0.04  # of the axis
LEAST_TICKS = 3
CLOSE, DECADE = 5.0, 10.0  # times the lowest value: up to there ticks are even, or many
PLAIN = 100.0  # times the lowest value: up to there an axis has more than powers of ten
WRITTEN = (1e-2, 1e4)  # between these, powers of ten are written out


def new_figure(
    width: float, height: float, n: int = 1, **options: Any
) -> tuple[Figure, list[Axes]]:
    """Return a figure (inches) with n panels side by side."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = list(np.atleast_1d(figure.subplots(1, n, **options)).ravel())
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    return figure, axes


def deviation(values: Floats, axis: int = 0) -> Floats:
    """Return the standard deviation of a sample along an axis; 0 of a single value.

    Examples
    --------
    >>> deviation(np.array([[1.0, 2.0], [3.0, 2.0]])), deviation(np.array([[1.0, 2.0]]))
    (array([1.41421356, 0.        ]), array([0., 0.]))
    """
    one = values.shape[axis] == 1
    spread: Floats = np.std(values, axis=axis, ddof=0 if one else 1)
    return spread


def training_curves(histories: Sequence[Sequence[Mapping[str, float]]], chance: float) -> Figure:
    """Draw loss and accuracy against epochs, one line per seed.

    The accuracy axis begins below chance; once all networks end above 97 %, at 90 %.

    Parameters
    ----------
    histories : sequence of histories
        As `training.fit` returns them.
    chance : float
        Accuracy of guessing.
    """
    figure, (left, right) = new_figure(9, 3.6, 2)
    for k, history in enumerate(histories):
        label = {"training (mean over the epoch)": "loss", "test (end of epoch)": "test_loss"}
        for (name, key), colour in zip(label.items(), (NEUTRAL, CLASS_COLOURS[0]), strict=True):
            draw_line(left, history, key, colour, label=name if k == 0 else None)
        for key, colour in (("accuracy", NEUTRAL), ("test_accuracy", CLASS_COLOURS[0])):
            draw_line(right, history, key, colour, lambda x: 100.0 * x)
    accurate = all(100 * _last(history, "test_accuracy") > 97 for history in histories)
    if not accurate:
        right.axhline(100 * chance, color="0.8", linestyle="--", linewidth=1)
        right.annotate(
            "chance",
            (0.99, 100 * chance + 1),
            xycoords=("axes fraction", "data"),
            color="0.5",
            ha="right",
        )
    left.set(ylabel="loss (cross-entropy + cost of lateness)", yscale="log")
    plain_ticks(left.yaxis)
    lowest, highest = (90.0, 100.3) if accurate else (min(30.0, 90 * chance), 101.0)
    right.set(ylabel="accuracy (%)", ylim=(lowest, highest))
    for ax in (left, right):
        as_epochs(ax)
    left.legend(frameon=False)
    return figure


def _last(history: Sequence[Mapping[str, float]], key: str) -> float:
    return next(record[key] for record in reversed(history) if key in record)


@dataclass(frozen=True, eq=False)
class Curve:
    """Networks of one kind, for the legend and for the lines.

    Attributes
    ----------
    title : str
        Name of the kind.
    histories : sequence of histories
        As `training.fit` returns them; one for each seed.
    """

    title: str
    histories: Sequence[History]


def learning_curves(curves: Sequence[Curve]) -> Figure:
    """Draw loss, accuracy and spikes per hidden neuron against epochs, one line per network."""
    figure, (left, middle, right) = new_figure(13, 3.6, 3)
    for curve, colour in zip(curves, colours(len(curves)), strict=True):
        for k, whole in enumerate(curve.histories):
            history = trained(whole)
            label = curve.title if k == 0 else None
            draw_line(left, history, "loss", colour, linestyle=":")
            draw_line(left, history, "test_loss", colour)
            draw_line(middle, history, "accuracy", colour, error_in_percent, linestyle=":")
            draw_line(middle, history, "test_accuracy", colour, error_in_percent)
            draw_line(right, history, "test_spikes", colour, label=label)
    left.plot([], [], color=NEUTRAL, linestyle=":", label="training (mean over the epoch)")
    left.plot([], [], color=NEUTRAL, label="test (end of the epoch)")
    left.set(ylabel="loss")
    as_accuracy(middle, "accuracy")
    right.set(ylabel="spikes per hidden neuron", ylim=(0.0, None))
    for ax in (left, middle, right):
        as_epochs(ax)
    left.legend(frameon=False, fontsize=8)
    figure.legend(*right.get_legend_handles_labels(), loc="outside right center", frameon=False,
                  fontsize=8)  # fmt: skip
    return figure


def exact_times(result: es.Result, *jumps: Floats) -> Floats:
    """Return times at which to draw trajectories: a grid, and both sides of every jump.

    A potential is its threshold just before a spike and 0 at it, and a current jumps when a spike
    arrives: so both come out upright.

    Parameters
    ----------
    result : eventsim.Result
        A run.
    jumps : (n,) ndarrays
        Times of spikes.

    Returns
    -------
    (n_times,) ndarray
        Ascending, in [0, t_stop].
    """
    at = np.concatenate(jumps)
    before = np.maximum(np.nextafter(at, -1.0), 0.0)
    return np.union1d(np.linspace(0.0, result.t_stop, GRID), np.concatenate([before, at]))


def draw_line(
    ax: Axes,
    history: History,
    key: str,
    colour: Any,
    to_axis: Callable[[Any], Any] = float,
    **style: Any,
) -> None:
    """Draw a metric against epochs, where it is known."""
    known = [record for record in history if key in record]
    epochs, values = [r["epoch"] for r in known], [to_axis(r[key]) for r in known]
    style["marker"] = "o" if len(known) == 1 else ""  # a line needs two points
    ax.plot(epochs, values, color=colour, linewidth=1.2, alpha=0.9, **style)


def trained(history: History) -> History:
    """Return the records of all epochs but that of the untrained network."""
    return [record for record in history if record["epoch"] > 0]


def error_in_percent(accuracy: Any) -> Any:
    """Return the error in percent, where `as_accuracy` draws an accuracy."""
    return 100.0 * (1.0 - accuracy)


def as_accuracy(ax: Axes, name: str) -> None:
    """Turn a vertical axis of errors in percent into one of accuracies, on a logarithmic scale.

    So 10 % and 90 %, and 98 % and 99 %, can be told apart in one picture.
    """
    ax.set(ylabel=f"{name} (%)", yscale="log")
    low, high = ax.get_ylim()
    ticks = _errors_between(low, high)
    ax.yaxis.set_major_locator(FixedLocator(ticks))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set_yticklabels([f"{100.0 - error:g}" for error in ticks])
    ax.invert_yaxis()


def _errors_between(low: float, high: float) -> list[float]:
    """Return errors in percent that can be told apart on a logarithmic axis."""
    apart = (high / low) ** TICK_HEIGHT
    for errors in TICKS:
        ticks = [float(error) for error in errors if low <= error <= high]
        if all(b >= a * apart for a, b in pairwise(ticks)):
            break
    if len(ticks) < LEAST_TICKS:  # all errors are about the same
        even = np.round(MaxNLocator(5).tick_values(low, high), 12)
        ticks = [tick for tick in even.tolist() if low <= tick <= high]
    return ticks


def plain_ticks(axis: Axis) -> None:
    """Write plain numbers at a logarithmic axis, unless they would be very small or large.

    matplotlib labels a span of less than a decade as multiples of a power, as in 6 x 10^-1.
    """
    low, high = axis.get_view_interval()
    if high > PLAIN * low:  # powers of ten alone
        if WRITTEN[0] <= low and high <= WRITTEN[1]:
            axis.set_major_formatter("{x:g}")
        return
    subs = (1.0, 2.0, 3.0, 5.0, 7.0) if high < DECADE * low else (1.0, 2.0, 5.0)
    even, powers = MaxNLocator(5), LogLocator(subs=subs)
    axis.set_major_locator(even if high < CLOSE * low else powers)
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())


def as_epochs(ax: Axes) -> None:
    """Label a horizontal axis of epochs, which are whole numbers, even if there is only one."""
    ax.set_xlabel("epoch")
    low, high = ax.get_xlim()
    if high - low < 1.0:
        ax.set_xlim(low - 0.5, high + 0.5)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def colours(n: int) -> list[Any]:
    """Return colours that differ: few by name, many along a scale."""
    if n <= len(CLASS_COLOURS) + 1:
        return [*CLASS_COLOURS, "#CC79A7"][:n]
    return [mpl.colormaps["viridis"](0.95 * k / (n - 1)) for k in range(n)]


def with_bars(
    ax: Axes, x: Sequence[float], values: Floats, colour: Any, label: str | None = None
) -> None:
    """Draw means over networks, (n_networks, n_x), with one standard deviation."""
    ax.errorbar(x, values.mean(axis=0), deviation(values), fmt="o-", color=colour, label=label,
                linewidth=1.3, markersize=4, capsize=3)  # fmt: skip
