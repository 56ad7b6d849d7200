"""Pictures of networks with LIF units that name flowers: after Figs 2 and 5-8."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from scenarios.running.figures import CLASS_COLOURS, NEUTRAL, as_epochs, new_figure

__all__ = [
    "Curves",
    "Presentation",
    "learning_curves",
    "presentations",
    "spike_patterns",
]

Floats = NDArray[np.floating[Any]]
History = Sequence[Mapping[str, float]]
CHANNELS = {"red": "Reds", "green": "Greens", "blue": "Blues"}
ORANGE = CLASS_COLOURS[1]


@dataclass(frozen=True, eq=False)
class Presentation:
    """An image, and what a network does with it, step by step.

    Attributes
    ----------
    image : (rows, columns, 3) ndarray of uint8
        The image; a column is a time step.
    label : int
        Its class.
    potentials, spikes : (columns, 3, rows) ndarray
        Of the LIF units.
    memory : (columns, 30) ndarray
        Outputs of the LSTM units.
    probabilities : (columns, n_classes) ndarray
        Of the classes.
    """

    image: NDArray[np.uint8]
    label: int
    potentials: Floats
    spikes: Floats
    memory: Floats
    probabilities: Floats

    @property
    def density(self) -> float:
        """Spikes of a LIF unit in a step, on average."""
        return float(self.spikes.mean())


@dataclass(frozen=True, eq=False)
class Curves:
    """Networks of one kind and their control.

    Attributes
    ----------
    title : str
        Name of the kind.
    trained, control : sequence of histories
        As `training.fit` returns them, one for each seed; of the control there may be none.
    published : float
        Test accuracy in the publication.
    """

    title: str
    trained: Sequence[History]
    control: Sequence[History]
    published: float


def presentations(
    shown: Sequence[Presentation], classes: Sequence[str], groups: Sequence[str] = tuple(CHANNELS)
) -> Figure:
    """Draw images that are fed column by column, with all that they cause (Figs 2 and 6).

    Parameters
    ----------
    shown : sequence of Presentation
        One row of panels each.
    classes : sequence of str
        Names of the classes.
    groups : (3,) sequence of str
        What the LIF units of each third are called: by default, after their colour.
    """
    figure = Figure(figsize=(17.5, 2.9 * len(shown) + 0.4), layout="constrained")
    grid = figure.subplots(len(shown), 7, squeeze=False, width_ratios=[1, 1, 1, 1, 1, 1, 1.7])
    for axes, one in zip(grid, shown, strict=True):
        _image(axes[0], one.image, classes[one.label])
        _potentials(figure, axes[1:4], one.potentials, groups)
        _spikes(axes[4], one)
        _memory(figure, axes[5], one.memory)
        _probabilities(axes[6], one, classes)
    for ax in grid[-1]:
        ax.set_xlabel("time step = column")
    return figure


def spike_patterns(before: Presentation, after: Presentation, history: History) -> Figure:
    """Draw the spikes of all LIF units for one image, before and after training (Fig. 8).

    Parameters
    ----------
    before, after : Presentation
        The same image.
    history : sequence of records
        Of the training, as `training.fit` returns it.
    """
    figure = Figure(figsize=(15, 4.6), layout="constrained")
    left, middle, right, last = figure.subplots(1, 4, width_ratios=[0.8, 1, 1, 1])
    _image(left, before.image, "the image")
    left.set_xlabel("time step = column")
    titles = ("before training", f"after training (epoch {history[-1]['epoch']:.0f})")
    for ax, one, title in zip((middle, right), (before, after), titles, strict=True):
        units = one.spikes.reshape(len(one.spikes), -1).T
        ax.imshow(units, cmap="cividis", aspect="auto", interpolation="nearest", vmin=0, vmax=1)
        ax.set_title(f"{title}: {one.density:.3f} spikes a unit and step", fontsize=10)
        ax.set(xlabel="time step = column")
    middle.set_ylabel("LIF unit (light: spike)")
    known = [record for record in history if "test_spikes" in record]
    last.plot([r["epoch"] for r in known], [r["test_spikes"] for r in known],
              color=CLASS_COLOURS[0])  # fmt: skip
    last.set(ylabel="spikes a unit and step", ylim=(0, None))
    as_epochs(last)
    last.set_title("all test images", fontsize=10)
    last.spines[["top", "right"]].set_visible(False)
    return figure


def learning_curves(kinds: Sequence[Curves], chance: float) -> Figure:
    """Draw accuracies against epochs, trained networks in blue, controls in orange (Figs 5, 7).

    The accuracy is the publication's: the probability of the correct label, averaged over the
    presentation of the image.

    Parameters
    ----------
    kinds : sequence of Curves
        One panel each.
    chance : float
        Accuracy of guessing.
    """
    figure, axes = new_figure(1.0 + 5.2 * len(kinds), 4.0, len(kinds), sharey=True)
    for ax, kind in zip(axes, kinds, strict=True):
        for histories, colour, name in (
            (kind.trained, CLASS_COLOURS[0], "trained"),
            (kind.control, ORANGE, "control: derivative of a spike 0"),
        ):
            _accuracy(ax, histories, colour, name)
        ax.axhline(100 * kind.published, color=NEUTRAL, linestyle="--", linewidth=1)
        ax.annotate("published, 500 × 400 pixels", (0.01, 100 * kind.published),
                    xycoords=("axes fraction", "data"), ha="left", va="bottom", fontsize=8,
                    color=NEUTRAL)  # fmt: skip
        ax.axhline(100 * chance, color="0.8", linestyle=":", linewidth=1)
        ax.annotate("chance", (0.99, 100 * chance), xycoords=("axes fraction", "data"), ha="right",
                    va="bottom", fontsize=8, color="0.5")  # fmt: skip
        ax.set_title(kind.title)
        as_epochs(ax)
    axes[0].set_ylim(0, max(axes[0].get_ylim()[1], 110 * max(kind.published for kind in kinds)))
    axes[0].set_ylabel("mean probability of the correct label (%)")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", frameon=False,
                  fontsize=8, ncols=2)  # fmt: skip
    return figure


def _accuracy(ax: Axes, histories: Sequence[History], colour: str, name: str) -> None:
    """Draw one solid line (test) and one dotted line (training) for each network."""
    for k, history in enumerate(histories):
        for key, style, which in (("accuracy", ":", "training"), ("test_accuracy", "-", "test")):
            known = [record for record in history if key in record]
            label = f"{name}, {which}" if k == 0 else None
            ax.plot([r["epoch"] for r in known], [100 * r[key] for r in known], style,
                    color=colour, linewidth=1.1, alpha=0.85, label=label)  # fmt: skip


def _image(ax: Axes, image: NDArray[np.uint8], title: str) -> None:
    ax.imshow(image, interpolation="nearest")
    ax.set_title(title, fontsize=10)
    ax.set_ylabel("row")


def _potentials(
    figure: Figure, axes: Sequence[Axes], potentials: Floats, groups: Sequence[str]
) -> None:
    """Draw the potentials of each third of the units: light 0, dark the threshold and above."""
    for k, (ax, name, colours) in enumerate(zip(axes, groups, CHANNELS.values(), strict=True)):
        shown = ax.imshow(potentials[:, k].T, cmap=colours, vmin=0.0, vmax=1.0, aspect="auto",
                          interpolation="nearest")  # fmt: skip
        ax.set_title(f"potentials, {name}", fontsize=10)
        ax.set_yticks([])
    figure.colorbar(shown, ax=axes[-1], label="threshold: 1", shrink=0.8)


def _spikes(ax: Axes, one: Presentation) -> None:
    """Draw spikes as an image: each colour is there where its unit fires."""
    ax.imshow(one.spikes.transpose(2, 0, 1).astype(float), aspect="auto", interpolation="nearest")
    ax.set_title(f"spikes: {one.density:.3f} a unit and step", fontsize=10)
    ax.set_yticks([])


def _memory(figure: Figure, ax: Axes, memory: Floats) -> None:
    shown = ax.imshow(memory.T, cmap="PuOr", vmin=-1.0, vmax=1.0, aspect="auto",
                      interpolation="nearest")  # fmt: skip
    ax.set_title("LSTM outputs", fontsize=10)
    ax.set_ylabel("unit")
    figure.colorbar(shown, ax=ax, shrink=0.8)


def _probabilities(ax: Axes, one: Presentation, classes: Sequence[str]) -> None:
    """Draw the class probabilities; only those that get large are named."""
    averages = one.probabilities.mean(axis=0)
    named = {one.label, *np.argsort(averages)[-2:].tolist()}
    colours = iter((CLASS_COLOURS[2], "#CC79A7"))
    for k, name in enumerate(classes):
        correct = k == one.label
        colour = CLASS_COLOURS[0] if correct else next(colours) if k in named else "0.85"
        label = f"{name}: {100 * averages[k]:.0f} %" if k in named else None
        ax.plot(one.probabilities[:, k], color=colour, linewidth=2.0 if correct else 1.0,
                label=label, zorder=2 + (k in named))  # fmt: skip
    ax.set(ylim=(0, 1), ylabel="probability", xlim=(0, len(one.probabilities) - 1))
    ax.set_title("softmax (legend: mean over time)", fontsize=10)
    ax.legend(frameon=False, fontsize=8)
    ax.spines[["top", "right"]].set_visible(False)
