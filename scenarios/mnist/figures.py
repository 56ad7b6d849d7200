"""Pictures of networks that are read out by potentials: after Figs 2-5 of Yamamoto et al."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator
from numpy.typing import ArrayLike, NDArray

import eventsim as es
from scenarios.running.figures import (
    CLASS_COLOURS,
    NEUTRAL,
    Curve,
    as_accuracy,
    colours,
    error_in_percent,
    exact_times,
    new_figure,
    trained,
    with_bars,
)

__all__ = [
    "SweepLine",
    "accuracy_against_spikes",
    "dynamics",
    "spike_count_histograms",
    "tau_sweep",
]

Floats = NDArray[np.float64]
TIME = "time (units of the length of a run)"
MANY = 20  # hidden neurons in one panel, as in the paper
EDGE = 0.02  # of the length of a run: room for what happens at its ends
SAMPLE = (0.3, 0.45)  # width and height of the sample, in the panel of its spikes
TALLEST = 12  # spikes: larger counts share the last bar


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


def accuracy_against_spikes(curves: Sequence[Curve]) -> Figure:
    """Draw what an accuracy costs in spikes: each network's way through training, and its end."""
    figure, (ax,) = new_figure(8, 4)
    for curve, colour in zip(curves, colours(len(curves)), strict=True):
        for k, history in enumerate(curve.histories):
            known = [record for record in trained(history) if "test_spikes" in record]
            spikes = [r["test_spikes"] for r in known]
            errors = [error_in_percent(r["test_accuracy"]) for r in known]
            ax.plot(spikes, errors, color=colour, linewidth=0.8, alpha=0.5)
            ax.plot(spikes[-1:], errors[-1:], "o", color=colour,
                    label=curve.title if k == 0 else None)  # fmt: skip
    ax.set(xlabel="spikes per hidden neuron and test image", xlim=(0.0, None))
    as_accuracy(ax, "test accuracy")
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
    shades = colours(max(len(lines), len(limits)))
    for line, colour in zip(lines, shades, strict=False):
        with_bars(left, line.taus, np.asarray(line.spikes).T, colour)
        with_bars(
            right, line.taus, error_in_percent(np.asarray(line.accuracies)).T, colour, line.title
        )
    for name, tau, accuracy in points:
        right.plot(
            [tau], [error_in_percent(accuracy)], "*", color="black", markersize=9, label=name
        )
    for (name, accuracy, spikes), colour in zip(limits, shades, strict=False):
        left.axhline(spikes, color=colour, linestyle=":", linewidth=1)
        right.axhline(
            error_in_percent(accuracy), color=colour, linestyle=":", linewidth=1, label=name
        )
    taus = sorted({tau for line in lines for tau in line.taus})
    for ax in (left, right):
        ax.set(xscale="log", xlabel="time constant $\\tau_I$ of the current (length of a run: 1)")
        ax.xaxis.set_major_locator(FixedLocator(taus))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xticklabels([f"{tau:g}" for tau in taus])
    left.set(ylabel="spikes per hidden neuron", ylim=(0.0, None))
    as_accuracy(right, "test accuracy")
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
        ax.set(xlabel=TIME, xlim=(-EDGE * result.t_stop, (1.0 + EDGE) * result.t_stop))
    figure.suptitle(title, fontsize=11)
    return figure


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
    _image(ax, stimulus.times, stimulus.sources, result)


def _image(ax: Axes, times: Floats, sources: NDArray[np.int64], result: es.Result) -> None:
    """Draw the sample itself, if it is a square: the earlier a pixel fires, the darker it is."""
    n = result.network.inputs["in"]
    side = math.isqrt(n)
    if side * side != n:
        return
    pixels = np.zeros(n)
    pixels[sources] = 1.0 - times / result.t_stop
    corner = _emptiest_corner(ax, np.column_stack([times, sources]))
    inset = ax.inset_axes((*corner, *SAMPLE), zorder=1, label="<sample>")  # below the spikes
    inset.imshow(pixels.reshape(side, side), cmap="Greys", vmin=0.0, vmax=1.0, alpha=0.6)
    inset.set(xticks=[], yticks=[])


def _emptiest_corner(ax: Axes, points: Floats) -> tuple[float, float]:
    """Return where in the panel the sample hides the fewest points."""
    ax.autoscale_view()
    places = ax.transAxes.inverted().transform(ax.transData.transform(points))
    width, height = SAMPLE
    corners = [(x, y) for x in (0.02, 0.98 - width) for y in (0.02, 0.98 - height)]

    def hidden(corner: tuple[float, float]) -> int:
        inside = (places >= corner) & (places <= np.add(corner, SAMPLE))
        return int(np.count_nonzero(inside.all(axis=1)))

    return min(corners, key=hidden)


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
