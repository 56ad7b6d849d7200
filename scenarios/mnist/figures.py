"""Pictures of networks that are read out by potentials: after Figs 2-5 of Yamamoto et al."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator
from numpy.typing import ArrayLike, NDArray

import eventsim as es
from scenarios.running.figures import CLASS_COLOURS, NEUTRAL, deviation, new_figure

__all__ = [
    "Curve",
    "SweepLine",
    "accuracy_against_spikes",
    "dynamics",
    "exact_times",
    "learning_curves",
    "spike_count_histograms",
    "tau_sweep",
]

Floats = NDArray[np.float64]
History = Sequence[Mapping[str, float]]
TIME = "time (units of the length of a run)"
GRID = 1001  # points of a trajectory, besides the spikes
MANY = 20  # hidden neurons in one panel, as in the paper
TALLEST = 12  # spikes: larger counts share the last bar
TICKS: tuple[tuple[float, ...], ...] = (  # errors in percent, the closest first
    (*np.arange(0.1, 3.0, 0.1).round(1), *range(3, 10), 10, 15, 20, 25, 30, 40, 50, 60, 80),
    (*np.arange(0.1, 1.0, 0.1).round(1), 1, 1.2, 1.4, 1.6, 2, 2.5, 3, 4, 5, 7, 10, 15, 20, 40, 80),
    (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 40, 80),
)
TICK_HEIGHT = 0.04  # of the axis


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


@dataclass(frozen=True, eq=False)
class SweepLine:
    """Results of networks that differ in a time constant.

    Attributes
    ----------
    title : str
        Name in the legend.
    taus : (n_taus,) sequence of float
        The time constants.
    accuracies, spikes : (n_taus, n_seeds) array_like
        Test accuracy, and mean number of spikes of a hidden neuron.
    """

    title: str
    taus: Sequence[float]
    accuracies: ArrayLike
    spikes: ArrayLike


def learning_curves(curves: Sequence[Curve]) -> Figure:
    """Draw loss, accuracy and spikes per hidden neuron against epochs, one line per network."""
    figure, (left, middle, right) = new_figure(13, 3.6, 3)
    for curve, colour in zip(curves, _colours(len(curves)), strict=True):
        for k, history in enumerate(curve.histories):
            label = curve.title if k == 0 else None
            _line(left, history, "loss", colour, linestyle=":")
            _line(left, history, "test_loss", colour)
            _line(middle, history, "accuracy", colour, _error, linestyle=":")
            _line(middle, history, "test_accuracy", colour, _error)
            _line(right, history, "test_spikes", colour, label=label)
    left.plot([], [], color=NEUTRAL, linestyle=":", label="training (mean over the epoch)")
    left.plot([], [], color=NEUTRAL, label="test (end of the epoch)")
    left.set(ylabel="loss")
    _as_accuracy(middle, "accuracy")
    right.set(ylabel="spikes per hidden neuron", ylim=(0.0, None))
    for ax in (left, middle, right):
        ax.set_xlabel("epoch")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.legend(frameon=False, fontsize=8)
    figure.legend(*right.get_legend_handles_labels(), loc="outside right center", frameon=False,
                  fontsize=8)  # fmt: skip
    return figure


def accuracy_against_spikes(curves: Sequence[Curve]) -> Figure:
    """Draw what an accuracy costs in spikes: each network's way through training, and its end."""
    figure, (ax,) = new_figure(8, 4)
    for curve, colour in zip(curves, _colours(len(curves)), strict=True):
        for k, history in enumerate(curve.histories):
            known = _evaluated(history, "test_spikes")
            spikes = [r["test_spikes"] for r in known]
            errors = [_error(r["test_accuracy"]) for r in known]
            ax.plot(spikes, errors, color=colour, linewidth=0.8, alpha=0.5)
            ax.plot(spikes[-1:], errors[-1:], "o", color=colour,
                    label=curve.title if k == 0 else None)  # fmt: skip
    ax.set(xlabel="spikes per hidden neuron and test image", xlim=(0.0, None))
    _as_accuracy(ax, "test accuracy")
    ax.set_title("one line per network, one epoch after the other; dot: last epoch", fontsize=9)
    figure.legend(loc="outside right center", frameon=False, fontsize=8)
    return figure


def tau_sweep(
    lines: Sequence[SweepLine],
    points: Sequence[tuple[str, float, float]] = (),
    limits: Sequence[tuple[str, float, float]] = (),
) -> Figure:
    """Draw spikes per hidden neuron (Fig. 4) and test accuracy (Fig. 5) against τ_I.

    Parameters
    ----------
    lines : sequence of SweepLine
        Results; bars are one standard deviation over the seeds.
    points : sequence of (name, tau, accuracy)
        Published accuracies, marked.
    limits : sequence of (name, accuracy, spikes)
        Published values for large time constants, as horizontal lines.
    """
    figure, (left, right) = new_figure(11, 4, 2)
    colours = _colours(max(len(lines), len(limits)))
    for line, colour in zip(lines, colours, strict=False):
        _with_bars(left, line.taus, np.asarray(line.spikes), colour, None)
        _with_bars(right, line.taus, _error(np.asarray(line.accuracies)), colour, line.title)
    for name, tau, accuracy in points:
        right.plot([tau], [_error(accuracy)], "*", color="black", markersize=9, label=name)
    for (name, accuracy, spikes), colour in zip(limits, colours, strict=False):
        left.axhline(spikes, color=colour, linestyle=":", linewidth=1)
        right.axhline(_error(accuracy), color=colour, linestyle=":", linewidth=1, label=name)
    taus = sorted({tau for line in lines for tau in line.taus})
    for ax in (left, right):
        ax.set(xscale="log", xlabel="time constant $\\tau_I$ of the current (length of a run: 1)")
        ax.xaxis.set_major_locator(FixedLocator(taus))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xticklabels([f"{tau:g}" for tau in taus])
    left.set(ylabel="spikes per hidden neuron", ylim=(0.0, None))
    _as_accuracy(right, "test accuracy")
    figure.legend(loc="outside right center", frameon=False, fontsize=8)
    return figure


def spike_count_histograms(counts: Mapping[str, Sequence[NDArray[np.int32]]]) -> Figure:
    """Draw how the number of spikes is distributed (Fig. 3), one panel per kind of network.

    Parameters
    ----------
    counts : dict of str -> sequence of (n_samples, n_hidden) ndarray
        Spikes of the hidden neurons for the test images, of each network of a kind.
    """
    n_columns = min(3, len(counts))
    n_rows = -(-len(counts) // n_columns)
    figure = Figure(figsize=(1.0 + 3.4 * n_columns, 0.6 + 2.5 * n_rows), layout="constrained")
    axes = figure.subplots(n_rows, n_columns, sharex=True, squeeze=False).ravel()
    for ax, (title, networks) in zip(axes, counts.items(), strict=False):
        each = np.mean([_shares(network) for network in networks], axis=0)
        means = np.mean([_shares(network.mean(axis=0)) for network in networks], axis=0)
        ax.bar(np.arange(each.size), 100.0 * each, color=CLASS_COLOURS[0], width=0.8,
               label="a neuron and an image")  # fmt: skip
        ax.stairs(100.0 * means, np.arange(each.size + 1) - 0.5, color="black",
                  label="a neuron, mean over the images")  # fmt: skip
        ax.set_title(f"{title}: {np.mean([n.mean() for n in networks]):.2f} spikes", fontsize=9)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.set_axis_on() if ax.has_data() else ax.set_axis_off()
    axes[0].legend(frameon=False, fontsize=7)
    figure.supxlabel(f"spikes of a hidden neuron ({TALLEST}: or more)", fontsize=10)
    figure.supylabel("share (%)", fontsize=10)
    return figure


def dynamics(result: es.Result, classes: Sequence[str], title: str) -> Figure:
    """Draw the exact potentials and currents of one sample (Fig. 2).

    Parameters
    ----------
    result : eventsim.Result
        A run of a network with the input "in" and the populations "hidden" and "out".
    classes : sequence of str
        Names of the output neurons.
    title : str
        Heading: which sample, and how it was classified.
    """
    figure = Figure(figsize=(11, 8), layout="constrained")
    axes = figure.subplots(3, 2, sharex=True)
    shown = few_neurons(result.spike_counts("hidden"))
    inputs = result.batch.stimulus.times
    times = exact_times(result, inputs, result.spikes["hidden"].times)
    potentials, currents = (of("hidden", at=times) for of in (result.potential, result.current))
    _inputs(axes[0, 0], result)
    many = min(MANY, potentials.shape[1])
    axes[0, 1].plot(times, potentials[:, :many], linewidth=0.8)
    axes[0, 1].set(ylabel="potential", title=f"the first {many} hidden neurons")
    for k, colour in zip(shown, CLASS_COLOURS, strict=False):
        name = f"neuron {k}: {_spikes(int(result.spike_counts('hidden')[k]))}"
        axes[1, 0].plot(times, potentials[:, k], color=colour, linewidth=1.2)
        axes[1, 1].plot(times, currents[:, k], ":", color=colour, linewidth=1.4, label=name)
    axes[1, 0].set(ylabel="potential", title="of some hidden neurons")
    axes[1, 1].set(ylabel="current", title="of the same hidden neurons")
    low, high = axes[1, 1].get_ylim()
    axes[1, 1].set_ylim(low, high + 0.15 * (high - low))  # room for the legend
    axes[1, 1].legend(fontsize=8, loc="upper center", ncols=len(shown), frameon=False)
    for ax in (axes[0, 1], axes[1, 0]):
        ax.axhline(1.0, color="0.6", linestyle="--", linewidth=1)
    _outputs(axes[2], result, classes)
    for ax in axes.ravel():
        ax.spines[["top", "right"]].set_visible(False)
        ax.title.set_fontsize(10)
    for ax in axes[2]:
        ax.set(xlabel=TIME, xlim=(0.0, result.t_stop))
    figure.suptitle(title, fontsize=11)
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


def few_neurons(counts: NDArray[np.integer[Any]]) -> list[int]:
    """Return up to three neurons: of the most spikes, of a medium number, of the fewest.

    Examples
    --------
    >>> few_neurons(np.array([0, 5, 1, 2, 0]))  # neurons that fire, if there are any
    [1, 3, 2]
    >>> few_neurons(np.array([0, 1, 1, 0, 1, 1]))
    [1, 2, 4]
    """
    firing = np.flatnonzero(counts) if np.any(counts) else np.arange(counts.size)
    one_each = firing[np.unique(-counts[firing], return_index=True)[1]]
    ranked = [one_each[k] for k in (0, len(one_each) // 2, len(one_each) - 1)]
    return [int(k) for k in dict.fromkeys([*ranked, *firing])][:3]


def _inputs(ax: Axes, result: es.Result) -> None:
    stimulus = result.batch.stimulus
    ax.plot(stimulus.times, stimulus.sources, "o", color=NEUTRAL, markersize=2)
    ax.set(ylabel="pixel (row by row)", title=f"{stimulus.times.size} input spikes")
    ax.invert_yaxis()


def _outputs(axes: Sequence[Axes], result: es.Result, classes: Sequence[str]) -> None:
    times = exact_times(result, result.spikes["hidden"].times)
    potentials, currents = (of("out", at=times) for of in (result.potential, result.current))
    for k, name in enumerate(classes):
        colour = mpl.colormaps["tab10"](k % 10)
        axes[0].plot(times, potentials[:, k], color=colour, linewidth=1.2, label=name)
        axes[1].plot(times, currents[:, k], ":", color=colour, linewidth=1.2)
    axes[0].set(ylabel="potential", title="of the output neurons; the highest at the end decides")
    axes[1].set(ylabel="current", title="of the output neurons")
    axes[0].legend(frameon=False, fontsize=7, ncols=2, loc="upper left")


def _spikes(count: int) -> str:
    return f"{count} spike" + ("" if count == 1 else "s")


def _shares(counts: NDArray[Any]) -> Floats:
    """Return the shares of counts (rounded to whole ones); the last is of `TALLEST` or more."""
    whole = np.minimum(np.rint(counts).astype(np.int64).ravel(), TALLEST)
    return np.bincount(whole, minlength=TALLEST + 1) / whole.size


def _with_bars(
    ax: Axes, taus: Sequence[float], values: Floats, colour: Any, label: str | None
) -> None:
    ax.errorbar(taus, values.mean(axis=1), deviation(values, axis=1), fmt="o-", color=colour,
                label=label, linewidth=1.2, markersize=4, capsize=3)  # fmt: skip


def _line(
    ax: Axes,
    history: History,
    key: str,
    colour: Any,
    to_axis: Callable[[Any], Any] = float,
    **style: Any,
) -> None:
    known = _evaluated(history, key)
    epochs, values = [r["epoch"] for r in known], [to_axis(r[key]) for r in known]
    ax.plot(epochs, values, color=colour, linewidth=1.2, alpha=0.9, **style)


def _error(accuracy: Any) -> Any:
    """Return the error in percent, where `_as_accuracy` draws an accuracy."""
    return 100.0 * (1.0 - accuracy)


def _as_accuracy(ax: Axes, name: str) -> None:
    """Turn a vertical axis of errors in percent into one of accuracies, on a logarithmic scale.

    So 10 % and 90 %, and 98 % and 99 %, can be told apart in one picture.
    """
    ax.set(ylabel=f"{name} (%)", yscale="log")
    low, high = ax.get_ylim()
    apart = (high / low) ** TICK_HEIGHT
    for errors in TICKS:
        ticks = [error for error in errors if low <= error <= high]
        if all(b >= a * apart for a, b in pairwise(ticks)):
            break
    ax.yaxis.set_major_locator(FixedLocator(ticks))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set_yticklabels([f"{100.0 - error:g}" for error in ticks])
    ax.invert_yaxis()


def _evaluated(history: History, key: str) -> History:
    """Return the records of epochs, from the first on, that hold a metric."""
    return [record for record in history if record["epoch"] > 0 and key in record]


def _colours(n: int) -> list[Any]:
    """Return colours that differ: few by name, many along a scale."""
    if n <= len(CLASS_COLOURS) + 1:
        return [*CLASS_COLOURS, "#CC79A7"][:n]
    return [mpl.colormaps["viridis"](0.95 * k / (n - 1)) for k in range(n)]
