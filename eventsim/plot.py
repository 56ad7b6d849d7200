"""Pictures of runs and causality graphs, by matplotlib, which is imported when one is drawn.

Neurons have rows of one height along the vertical axis, population above population.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from eventsim._support.extras import extra
from eventsim._support.types import BoolArray, FloatArray, IntArray
from eventsim._support.validate import check_text, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Axes

__all__ = ["Arrows", "Drawn", "Trace", "Train", "causes", "potentials", "raster", "times_between"]

# Okabe & Ito's colours, which colour-blind readers can tell apart.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
LINES = ("-", "--")
MOST_TRACES = len(COLOURS) * len(LINES)
MOST_NODES, MOST_ARROWS = 100, 500  # of a graph: more are a tangle
LEAST_SHARE = 0.04  # of the height, of a population: room for its name
BAR, DOT = (1.5, 12.0), (3.0, 6.0)  # least and most points of a marker
MARGIN = 0.01  # of the width
FIRST, FACTOR = 1 / 16, 2.0 ** (1 / 8)  # of the distances of points


class Train(NamedTuple):
    """Times of spikes of a group of neurons, of that size, and the neurons, by number."""

    size: int
    times: FloatArray
    neurons: IntArray


class Drawn(NamedTuple):
    """Spikes of several groups of neurons.

    ``names`` and ``sizes`` of the groups; of each spike the time, the group, and the neuron within
    its group.
    """

    names: Sequence[str]
    sizes: Sequence[int]
    times: FloatArray
    groups: IntArray
    neurons: IntArray


class Arrows(NamedTuple):
    """Arrows between spikes, by their numbers; ``reset`` if nothing but a reset leads there."""

    cause: IntArray
    effect: IntArray
    reset: BoolArray


class Trace(NamedTuple):
    """The potential of a neuron, with its number and threshold."""

    neuron: int
    times: FloatArray
    potential: FloatArray
    threshold: float


def raster(
    trains: Mapping[str, Train], span: tuple[float, float], unit: str | None, ax: Axes | None
) -> Axes:
    """Draw a bar for each spike; neurons that are silent keep their rows."""
    ax, time = _prepared(unit, ax)
    _spikes(ax, _joined(trains), "|", BAR)
    _set_times(ax, span, time)
    return ax


def causes(spikes: Drawn, arrows: Arrows, unit: str | None, ax: Axes | None) -> Axes:
    """Draw a dot for each spike, and an arrow from each cause to its effect."""
    ax, time = _prepared(unit, ax)
    from matplotlib.patches import FancyArrowPatch

    rows = _spikes(ax, spikes, "o", DOT)
    ends = list(zip(spikes.times.tolist(), rows.tolist(), strict=True))
    for cause, effect, reset in zip(*(column.tolist() for column in arrows), strict=True):
        ax.add_patch(
            FancyArrowPatch(
                ends[cause], ends[effect], arrowstyle="-|>", mutation_scale=8, shrinkA=3, shrinkB=3,
                connectionstyle="arc3,rad=0.12", linewidth=0.8, linestyle=":" if reset else "-",
                color=_colour(int(spikes.groups[cause])), alpha=0.6, zorder=1,
            )
        )  # fmt: skip
    _set_times(ax, (spikes.times.min(initial=0.0), spikes.times.max(initial=0.0)), time)
    return ax


def potentials(
    traces: Sequence[Trace],
    population: str,
    span: tuple[float, float],
    unit: str | None,
    ax: Axes | None,
) -> Axes:
    """Draw a line for each potential, and a dashed one for each threshold."""
    ax, time = _prepared(unit, ax)
    for k, trace in enumerate(traces):
        ax.plot(trace.times, trace.potential, LINES[k // len(COLOURS)], color=_colour(k),
                linewidth=1.2, label=f"neuron {trace.neuron}")  # fmt: skip
    thresholds = sorted({trace.threshold for trace in traces if trace.threshold < np.inf})
    for k, threshold in enumerate(thresholds):
        ax.axhline(threshold, color="0.6", linestyle=":", linewidth=1,
                   label="threshold" if k == 0 else None)  # fmt: skip
    ax.set_ylabel(f"potential of {population}")
    if traces:
        ax.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    _set_times(ax, span, time)
    return ax


def times_between(
    turns: FloatArray, span: tuple[float, float], time_constants: FloatArray
) -> FloatArray:
    """Return when to take a potential that is drawn: on both sides of each turn, and between.

    Parameters
    ----------
    turns : (n,) ndarray
        Where the potential may jump or bend.
    span : (float, float)
        Beginning and end.
    time_constants : (n,) ndarray
        Those of the neuron.

    Returns
    -------
    (n_times,) ndarray
        Ascending.  Behind a turn a potential is a sum of exponentials, so what happens after a time
        lasts about as long: distances that grow by 9 % show a peak to 0.2 %, however long the run.

    Examples
    --------
    >>> times_between(np.array([1.0]), (0.0, 1.125), np.array([1.0]))[-11:].round(3)
    array([1.   , 1.   , 1.062, 1.068, 1.074, 1.081, 1.088, 1.096, 1.105, 1.115, 1.125])
    """
    begin, end = span
    inside = turns[(turns > begin) & (turns <= end)]
    starts = np.unique(np.concatenate([[begin, end], inside]))
    first = FIRST * np.min(time_constants, initial=end - begin)
    with np.errstate(divide="ignore"):  # of an empty span
        steps = np.log(np.diff(starts) / first) / np.log(FACTOR)
    counts = np.maximum(np.ceil(steps), 0.0).astype(np.int64)
    number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    between = np.repeat(starts[:-1], counts) + first * FACTOR**number
    return np.unique(np.concatenate([starts, np.nextafter(inside, -np.inf), between]))


def _joined(trains: Mapping[str, Train]) -> Drawn:
    sizes = [train.size for train in trains.values()]
    counts = [train.times.size for train in trains.values()]
    times = np.concatenate([np.empty(0), *(train.times for train in trains.values())])
    none = np.empty(0, dtype=np.int64)
    neurons = np.concatenate([none, *(train.neurons for train in trains.values())])
    return Drawn(list(trains), sizes, times, np.repeat(np.arange(len(sizes)), counts), neurons)


def _prepared(unit: str | None, ax: Axes | None) -> tuple[Axes, str]:
    """Return where to draw, and the label of the time; a new figure if there are no axes."""
    with extra("plot", "a picture needs"):
        import matplotlib.axes
        import matplotlib.pyplot as plt
    if unit is not None:
        check_text(unit, "unit")
    if ax is None:
        _, ax = plt.subplots(layout="constrained")
    elif not isinstance(ax, matplotlib.axes.Axes):
        raise ValueError(f"ax must be matplotlib.axes.Axes, got {shown(ax)}")
    ax.spines[["top", "right"]].set_visible(False)
    return ax, "time" if unit is None else f"time ({unit})"


def _set_times(ax: Axes, span: tuple[float, float], label: str) -> None:
    """Leave room for spikes at either end."""
    begin, end = span
    margin = MARGIN * (end - begin) or MARGIN
    ax.set(xlabel=label, xlim=(begin - margin, end + margin))


def _spikes(ax: Axes, spikes: Drawn, marker: str, points: tuple[float, float]) -> FloatArray:
    """Draw markers in the rows of their neurons, with the names of the groups; return the rows."""
    sizes = np.array(spikes.sizes, dtype=np.float64)
    heights = np.maximum(sizes, LEAST_SHARE * sizes.sum())
    tops = np.cumsum(heights) - 0.5  # so that the rows of a single group are its numbers
    of_neuron = heights / np.maximum(sizes, 1.0)
    rows = (tops - heights)[spikes.groups] + (spikes.neurons + 0.5) * of_neuron[spikes.groups]
    row = ax.get_window_extent().height * 72.0 / ax.figure.dpi / max(heights.sum(), 1.0)
    for k, name in enumerate(spikes.names):
        own = spikes.groups == k
        size = float(np.clip(0.7 * row * of_neuron[k], *points))
        ax.plot(spikes.times[own], rows[own], marker, color=_colour(k), markersize=size,
                label=name, rasterized=True)  # fmt: skip
    ax.set_ylim(-0.5, max(heights.sum(), 1.0) - 0.5)
    _name_rows(ax, spikes.names, tops, heights, row)
    return rows


def _name_rows(
    ax: Axes, names: Sequence[str], tops: FloatArray, heights: FloatArray, row: float
) -> None:
    """Number the neurons of a single group; name several, in letters that fit."""
    from matplotlib.ticker import MaxNLocator

    if len(names) == 1:
        ax.set_ylabel(f"neuron of {names[0]}")
        ax.yaxis.set_major_locator(MaxNLocator(integer=True))
        return
    size: Any = np.clip(row * heights.min(initial=np.inf), 3.0, 10.0)
    ax.set_ylabel("neuron")
    ax.set_yticks(tops - heights / 2.0, names, fontsize=size)
    ax.tick_params(axis="y", length=0)
    for k, label in enumerate(ax.get_yticklabels()):
        label.set_color(_colour(k))
    for top in tops[:-1]:
        ax.axhline(top, color="0.85", linewidth=0.6, zorder=0)


def _colour(k: int) -> str:
    return COLOURS[k % len(COLOURS)]
