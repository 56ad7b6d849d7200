"""Pictures of training runs.  Needs matplotlib; drawn without a screen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

__all__ = [
    "CLASS_COLOURS",
    "class_planes",
    "deviation",
    "first_spike_histograms",
    "new_figure",
    "step_histogram",
    "traces",
    "training_curves",
]

# Okabe & Ito's colours, which colour-blind readers can tell apart.
CLASS_COLOURS = ("#0072B2", "#E69F00", "#009E73")
NEUTRAL = "#555555"
TIME = "time (units of the synaptic time constant)"

Floats = NDArray[np.float64]


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
            _line(left, history, key, 1.0, colour, name if k == 0 else None)
        for key, colour in (("accuracy", NEUTRAL), ("test_accuracy", CLASS_COLOURS[0])):
            _line(right, history, key, 100.0, colour, None)
    accurate = all(100 * _last(history, "test_accuracy") > 97 for history in histories)
    if not accurate:
        right.axhline(100 * chance, color="0.8", linestyle="--", linewidth=1)
        right.annotate(
            "chance", (0.01, 100 * chance + 1), xycoords=("axes fraction", "data"), color="0.5"
        )
    left.set(xlabel="epoch", ylabel="loss (cross-entropy + cost of lateness)", yscale="log")
    lowest, highest = (90.0, 100.3) if accurate else (min(30.0, 90 * chance), 101.0)
    right.set(xlabel="epoch", ylabel="accuracy (%)", ylim=(lowest, highest))
    left.legend(frameon=False)
    return figure


def first_spike_histograms(
    before: Floats, after: Floats, labels: NDArray[np.int64], classes: Sequence[str]
) -> Figure:
    """Draw when each output neuron first fires, before and after training, by true class.

    Parameters
    ----------
    before, after : (n_samples, n_classes) ndarray
        First spike times; inf = silent (not drawn, counted in the titles).
    labels : (n_samples,) ndarray of int
        True classes.
    classes : sequence of str
        Their names, in order.
    """
    n = len(classes)
    figure = Figure(figsize=(3.4 * n, 5.2), layout="constrained")
    axes = figure.subplots(2, n, sharex=True, squeeze=False)
    finite = np.concatenate([before[np.isfinite(before)], after[np.isfinite(after)], [0.0]])
    bins = np.linspace(0.0, 1.02 * float(finite.max()) or 1.0, 21).tolist()
    for row, times, moment in ((0, before, "before training"), (1, after, "after training")):
        for true in range(n):
            _histogram(axes[row, true], times[labels == true], bins, classes)
            silent = int(np.isinf(times[labels == true]).sum())
            hint = f" ({silent} outputs silent)" if silent else ""
            axes[row, true].set_title(f"{classes[true]}, {moment}{hint}", fontsize=10)
        axes[row, 0].set_ylabel("test samples")
    axes[0, 0].legend(title="output neuron", frameon=False, fontsize=8, title_fontsize=8)
    figure.supxlabel("first spike: " + TIME, fontsize=10)
    return figure


def step_histogram(steps: Sequence[int], published_mean: float) -> Figure:
    """Draw how many steps the initialisations took to converge."""
    figure, (ax,) = new_figure(6, 3.6)
    ax.hist(steps, bins=(np.arange(0, max(steps) + 2) - 0.5).tolist(), color=CLASS_COLOURS[0])
    mean = float(np.mean(steps))
    ax.axvline(mean, color="black", label=f"mean of this run, {mean:.2f}")
    ax.axvline(published_mean, color=CLASS_COLOURS[1], linestyle="--",
               label=f"published mean, {published_mean:.2f}")  # fmt: skip
    ax.set(xlabel="steps until all four patterns are right", ylabel="initialisations")
    ax.legend(frameon=False)
    return figure


def traces(
    times: Floats,
    potentials: Floats,
    threshold: float,
    titles: Sequence[str],
    classes: Sequence[str],
) -> Figure:
    """Draw the potentials of the output neurons, one panel per sample.

    Parameters
    ----------
    times : (n_samples, n_times) ndarray
        Where the potentials were taken.
    potentials : (n_samples, n_times, n_classes) ndarray
        Membrane potentials.
    threshold : float
        Drawn as a line.
    titles, classes : sequence of str
        Names of the samples and of the output neurons.
    """
    figure, axes = new_figure(3.2 * len(titles), 3.2, len(titles), sharey=True)
    for ax, at, rows, title in zip(axes, times, potentials, titles, strict=True):
        for k, name in enumerate(classes):
            ax.plot(at, rows[:, k], color=CLASS_COLOURS[k], label=name, linewidth=1.4)
        ax.axhline(threshold, color="0.6", linestyle="--", linewidth=1)
        ax.set_title(title, fontsize=10)
    axes[0].set_ylabel("membrane potential (threshold = 1)")
    axes[0].legend(title="output neuron", frameon=False, fontsize=8, title_fontsize=8)
    figure.supxlabel(TIME, fontsize=10)
    return figure


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
    figure, (left, middle, last) = new_figure(13.5, 4.4, 3, sharex=True, sharey=True)
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
    for ax in (left, middle, last):
        ax.set(xlabel="x", ylabel="y", aspect="equal", xlim=(0, 1), ylim=(0, 1))
        ax.add_patch(_circle())
    return figure


def _line(
    ax: Axes, history: Sequence[Mapping[str, float]], key: str, scale: float, colour: str,
    label: str | None,
) -> None:  # fmt: skip
    known = [record for record in history if key in record]
    epochs, values = [r["epoch"] for r in known], [scale * r[key] for r in known]
    ax.plot(epochs, values, color=colour, linewidth=1.2, alpha=0.9, label=label)


def _last(history: Sequence[Mapping[str, float]], key: str) -> float:
    return next(record[key] for record in reversed(history) if key in record)


def _histogram(ax: Axes, times: Floats, bins: list[float], classes: Sequence[str]) -> None:
    finite = [column[np.isfinite(column)] for column in times.T]
    colours = list(CLASS_COLOURS[: len(classes)])
    ax.hist(finite, bins=bins, color=colours, label=list(classes))
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.spines[["top", "right"]].set_visible(False)


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
    ax.legend(fontsize=8, loc="upper right", framealpha=0.9)


def _circle() -> Any:
    from matplotlib.patches import Circle

    return Circle((0.5, 0.5), 0.5, fill=False, color="0.3", linewidth=0.8)
