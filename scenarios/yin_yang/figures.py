"""Pictures of the scenario `yin_yang`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Arc, Circle, Patch
from numpy.typing import NDArray

from scenarios.datasets.points import R_BIG, R_SMALL
from scenarios.running.figures import CLASS_COLOURS, NEUTRAL, new_figure

__all__ = ["class_planes", "delay_histograms"]

Floats = NDArray[np.float64]


def class_planes(
    first_spikes: Callable[[Floats], Floats],
    points: Floats,
    labels: NDArray[np.int64],
    *,
    classes: Sequence[str],
    t_stop: float,
    resolution: int = 150,
) -> Figure:
    """Draw data over decision regions, the class of the first spike, and by how much it leads.

    Lines are the boundaries of the true classes.

    Parameters
    ----------
    first_spikes : callable
        From points (n, 2) of the unit square to first spike times (n, n_classes).
    points, labels : ndarray
        Test points (n, 2) and their classes.
    classes : sequence of str
        Names of the classes.
    t_stop : float
        End of the runs: when a silent output neuron counts as firing, for the lead.
    resolution : int
        Pixels along each side.
    """
    axis = (np.arange(resolution) + 0.5) / resolution
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    times = first_spikes(grid)
    shape = (resolution, resolution)
    winner, lead = _winner(times).reshape(shape), _lead(times, t_stop).reshape(shape)
    right = _winner(first_spikes(points)) == labels
    figure, (left, middle, last) = new_figure(13.5, 4.7, 3, sharex=True, sharey=True)
    _regions(left, winner, 0.35)
    _points(left, points, labels, right, classes)
    _regions(middle, winner, 1.0)
    inside = np.hypot(*(grid - 0.5).T).reshape(shape) <= 0.5
    image = last.imshow(lead, origin="lower", extent=(0, 1, 0, 1), cmap="magma",
                        vmin=0, vmax=np.quantile(lead[inside], 0.98))  # fmt: skip
    figure.colorbar(image, ax=last, label="time (synaptic time constants)", shrink=0.85)
    left.set_title(f"{len(points)} test points, {100 * right.mean():.1f} % right", fontsize=10)
    middle.set_title("class of the first output spike", fontsize=10)
    last.set_title("lead over the second output spike, or the end", fontsize=10)
    for ax, colour in ((left, "0.3"), (middle, "black"), (last, "white")):
        ax.set(xlabel="x", ylabel="y", aspect="equal", xlim=(0, 1), ylim=(0, 1))
        for patch in _boundary(colour):
            ax.add_patch(patch)
    return figure


def delay_histograms(before: Mapping[str, Floats], after: Mapping[str, Floats]) -> Figure:
    """Draw the delays of each projection, as they were drawn and as they were learnt.

    Parameters
    ----------
    before, after : dict of str -> ndarray
        Delays by the name of the projection.
    """
    figure, axes = new_figure(4.5 * len(after), 3.6, len(after))
    for ax, (name, learnt) in zip(axes, after.items(), strict=True):
        drawn = before[name].ravel()
        bins = np.linspace(0.0, max(drawn.max(), learnt.max()) or 1.0, 31).tolist()
        ax.hist(learnt.ravel(), bins=bins, color=CLASS_COLOURS[0], label="learnt")
        ax.hist(drawn, bins=bins, color=NEUTRAL, histtype="step", label="initial")
        source, target = name.split("->")
        zero = np.count_nonzero(learnt == 0.0)
        ax.set(xlabel="delay (synaptic time constants)", ylabel="synapses")
        ax.set_title(f"{source} to {target}: {zero} of {learnt.size} ended at 0", fontsize=10)
    axes[0].legend(frameon=False)
    return figure


def _winner(times: Floats) -> NDArray[np.int64]:
    return np.where(np.isfinite(times.min(axis=1)), times.argmin(axis=1), -1)


def _lead(times: Floats, t_stop: float) -> Floats:
    """Return the time between the first and the second output spike (silent: at ``t_stop``)."""
    ordered = np.sort(np.minimum(times, t_stop), axis=1)
    return ordered[:, 1] - ordered[:, 0]


def _regions(ax: Axes, winner: NDArray[np.int64], strength: float) -> None:
    mixed = [strength * np.array(to_rgb(c)) + 1.0 - strength for c in ("white", *CLASS_COLOURS)]
    ax.imshow(winner, origin="lower", extent=(0, 1, 0, 1), cmap=ListedColormap(mixed),
              vmin=-1.5, vmax=2.5, interpolation="nearest")  # fmt: skip


def _points(
    ax: Axes, points: Floats, labels: NDArray[np.int64], right: NDArray[np.bool_],
    classes: Sequence[str],
) -> None:  # fmt: skip
    for k, name in enumerate(classes):
        x, y = points[(labels == k) & right].T
        ax.scatter(x, y, s=7, color=CLASS_COLOURS[k], label=name, linewidths=0)
    x, y = points[~right].T
    ax.scatter(x, y, s=22, color="black", marker="x", linewidths=1, label="wrong")
    ax.legend(
        fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=4, frameon=False,
        handletextpad=0.1, columnspacing=1.0, markerscale=1.5,
    )  # fmt: skip


def _boundary(colour: str) -> list[Patch]:
    """Return the circle, its dots, and the two half circles between yin and yang."""
    left, right = (0.5 * R_BIG, R_BIG), (1.5 * R_BIG, R_BIG)
    line: dict[str, Any] = {"fill": False, "edgecolor": colour, "linewidth": 0.9}
    circles = [((R_BIG, R_BIG), R_BIG), (left, R_SMALL), (right, R_SMALL)]
    halves = [(left, 180.0, 360.0), (right, 0.0, 180.0)]
    return [
        *(Circle(centre, radius, **line) for centre, radius in circles),
        *(Arc(middle, R_BIG, R_BIG, theta1=a, theta2=b, **line) for middle, a, b in halves),
    ]
