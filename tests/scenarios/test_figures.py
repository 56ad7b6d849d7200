"""Every picture has labelled axes, and shows what it was given."""

import numpy as np
import pytest

from scenarios.iris.figures import first_spike_histograms
from scenarios.running.figures import training_curves
from scenarios.xor.figures import step_histogram, traces
from scenarios.yin_yang.figures import class_planes

HISTORY = [
    {"epoch": 0, "test_loss": 1.2, "test_accuracy": 0.3},
    {"epoch": 1, "loss": 1.0, "accuracy": 0.5, "test_loss": 0.9, "test_accuracy": 0.6},
    {"epoch": 2, "loss": 0.7, "accuracy": 0.7},
]
TIMES = np.array([[0.5, 1.0, np.inf], [1.5, 0.7, 2.0], [np.inf, np.inf, 0.9]])
LABELS = np.array([0, 1, 2])
CLASSES = ["a", "b", "c"]


GRID = np.tile(np.linspace(0.0, 2.0, 50), (2, 1))
POINTS = np.array([[0.2, 0.6], [0.7, 0.3], [0.5, 0.1]])


def mirrored(points):
    """A network whose first two output neurons fire at x and at y, and the third never."""
    return np.column_stack([points, np.full(len(points), np.inf)])


def planes():
    return class_planes(mirrored, POINTS, LABELS, classes=CLASSES, t_stop=2.0, resolution=8)


DRAWINGS = {
    "training": lambda: training_curves([HISTORY, HISTORY], chance=1 / 3),
    "histograms": lambda: first_spike_histograms(TIMES, TIMES + 0.1, LABELS, CLASSES),
    "silence": lambda: first_spike_histograms(TIMES + np.inf, TIMES, LABELS, CLASSES),
    "steps": lambda: step_histogram([3, 5, 5, 20], 17.52),
    "traces": lambda: traces(GRID, np.zeros((2, 50, 2)), 1.0, ["one", "two"], ["a", "b"]),
    "planes": planes,
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_picture_can_be_saved_and_names_its_axes(tmp_path, name):
    figure = DRAWINGS[name]()
    figure.savefig(tmp_path / "picture.png", dpi=40)
    assert (tmp_path / "picture.png").stat().st_size > 1000
    shared = figure.get_supxlabel()
    panels = [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]
    assert all(ax.get_xlabel() or shared for ax in panels)
    assert any(ax.get_ylabel() for ax in panels)


@pytest.mark.parametrize(("last", "lowest"), [(0.6, 30.0), (0.99, 90.0)])
def test_the_accuracy_axis_shows_what_differs(last, lowest):
    histories = [[*HISTORY, {"epoch": 3, "test_accuracy": last}], HISTORY[:2]]
    curves = training_curves(histories[:1], chance=1 / 3)
    assert curves.axes[1].get_ylim()[0] == pytest.approx(lowest)
    both = training_curves(histories, chance=1 / 3)
    assert both.axes[1].get_ylim()[0] == pytest.approx(30.0)


def test_silent_output_neurons_are_counted_in_the_titles():
    figure = first_spike_histograms(TIMES, TIMES, LABELS, CLASSES)
    titles = [ax.get_title() for ax in figure.axes]
    assert titles[0] == "a, before training (1 outputs silent)"
    assert titles[1] == "b, before training"
    assert titles[5] == "c, after training (2 outputs silent)"


def test_the_share_of_right_points_is_in_the_title():
    assert planes().axes[0].get_title() == "3 test points, 66.7 % right"
