"""Every picture has labelled axes, and shows what it was given."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.patches import Arc, Circle
from matplotlib.text import Text

from scenarios.datasets.points import yin_yang_class
from scenarios.iris.figures import first_spike_histograms
from scenarios.microcircuit.figures import raster
from scenarios.networks.contest_figures import curves
from scenarios.networks.recording import Recording
from scenarios.running.figures import (
    Curve,
    as_accuracy,
    learning_curves,
    new_figure,
    plain_ticks,
    training_curves,
)
from scenarios.xor.figures import step_histogram, traces
from scenarios.yin_yang.figures import class_planes

HISTORY = [
    {"epoch": 0, "test_loss": 1.2, "test_accuracy": 0.3},
    {"epoch": 1, "loss": 1.0, "accuracy": 0.5, "test_loss": 0.9, "test_accuracy": 0.6},
    {"epoch": 2, "loss": 0.7, "accuracy": 0.7},
]
PAGE = 900  # pixels of a page's width
LEGIBLE = 7.0  # pixels of a letter, at least
TIMES = np.array([[0.5, 1.0, np.inf], [1.5, 0.7, 2.0], [np.inf, np.inf, 0.9]])
LABELS = np.array([0, 1, 2])
CLASSES = ["a", "b", "c"]


RECORD = {"loss": 1.0, "accuracy": 0.5, "test_loss": 1.1, "test_accuracy": 0.9, "test_spikes": 0.4}
ONE_EPOCH = [{"epoch": 0, "test_loss": 9.0, "test_accuracy": 0.0}, {"epoch": 1, **RECORD}]


def losses(last, first):
    return [{"epoch": k, **RECORD, "loss": v, "test_loss": v} for k, v in enumerate([first, last])]


GRID = np.tile(np.linspace(0.0, 2.0, 50), (2, 1))
POINTS = np.array([[0.2, 0.6], [0.7, 0.3], [0.5, 0.1]])


def mirrored(points):
    """A network whose first two output neurons fire at x and at y, and the third never."""
    return np.column_stack([points, np.full(len(points), np.inf)])


def contest(least=0.874, most=0.878):
    """A contest of two methods, which end equally good."""
    history = [
        {"epoch": k, "seconds": 1.0, "test_loss": 1.0, "test_spikes": 1.0, "test_accuracy": right}
        for k, right in enumerate([least, most])
    ]
    trained = {name: [SimpleNamespace(history=history)] for name in ("exact gradient", "arctan")}
    return curves({"by spikes": trained, "by potentials": trained})


def planes():
    return class_planes(mirrored, POINTS, LABELS, classes=CLASSES, t_stop=2.0, resolution=8)


DRAWINGS = {
    "training": lambda: training_curves([HISTORY, HISTORY], chance=1 / 3),
    "histograms": lambda: first_spike_histograms(TIMES, TIMES + 0.1, LABELS, CLASSES),
    "silence": lambda: first_spike_histograms(TIMES + np.inf, TIMES, LABELS, CLASSES),
    "steps": lambda: step_histogram([3, 5, 5, 20], 17.52),
    "traces": lambda: traces(GRID, np.zeros((2, 50, 2)), 1.0, ["one", "two"], ["a", "b"]),
    "planes": planes,
    "contest": contest,
    "learning": lambda: learning_curves([Curve("one", [ONE_EPOCH]), Curve("two", [ONE_EPOCH])]),
    "flat": lambda: training_curves([losses(1.0921, 1.1083)], chance=1 / 3),
    "steep": lambda: training_curves([losses(0.52, 1.15)], chance=1 / 3),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_picture_can_be_saved_and_names_its_axes(tmp_path, name):
    figure = DRAWINGS[name]()
    figure.savefig(tmp_path / "picture.png", dpi=40)
    assert (tmp_path / "picture.png").stat().st_size > 1000
    shared = figure.get_supxlabel()
    panels = [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]
    assert all(ax.get_xlabel() or shared for ax in panels if ax.axison)
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


@pytest.mark.parametrize("name", DRAWINGS)
def test_every_text_is_legible_at_the_width_of_a_page(name):
    figure = DRAWINGS[name]()
    figure.canvas.draw()
    scale = min(PAGE / figure.get_figwidth(), 150.0) / 72.0  # a report's pictures have 150 dpi
    texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    assert min(text.get_fontsize() for text in texts) * scale >= LEGIBLE


@pytest.mark.parametrize("name", DRAWINGS)
def test_every_axis_has_ticks_and_none_is_a_multiple_of_a_power(name):
    figure = DRAWINGS[name]()
    figure.canvas.draw()
    for ax in figure.axes:
        shown = ax.axison and ax.get_label() != "<colorbar>"
        for axis in (ax.xaxis, ax.yaxis) if shown else ():
            low, high = sorted(axis.get_view_interval())
            ticks = [tick for tick in axis.get_majorticklocs() if low <= tick <= high]
            assert ticks
            labels = [each.get_text() for each in axis.get_ticklabels(which="both")]
            assert not any("times" in label for label in labels)


@given(low=st.floats(0.01, 99.0), ratio=st.floats(1.0001, 1e4))
def test_an_accuracy_has_ticks_however_close_the_values_are(low, ratio):
    high = min(low * ratio, 100.0)
    if high <= low * 1.00005:
        return
    _, (ax,) = new_figure(8, 4)
    ax.set_ylim(low, high)
    as_accuracy(ax, "accuracy")
    ticks = ax.get_yticks()
    assert len(ticks) >= 2
    assert np.all((low <= ticks) & (ticks <= high))
    labels = [float(label.get_text()) for label in ax.get_yticklabels()]
    np.testing.assert_allclose(labels, 100.0 - ticks, atol=1e-4 * (high - low) + 1e-3)


@given(low=st.floats(1e-6, 1e3), ratio=st.floats(1.0001, 1e12))
def test_a_logarithmic_axis_has_ticks_and_plain_numbers_where_the_powers_are_few(low, ratio):
    _, (ax,) = new_figure(8, 4)
    ax.set(yscale="log", ylim=(low, low * ratio))
    plain_ticks(ax.yaxis)
    low, high = ax.get_ylim()
    ticks = ax.get_yticks()
    assert np.count_nonzero((low <= ticks) & (ticks <= high)) >= 2
    labels = ax.yaxis.get_major_formatter().format_ticks(ticks)
    labels += ax.yaxis.get_minor_formatter().format_ticks(ax.get_yticks(minor=True))
    assert not any("times" in label for label in labels)


def test_a_few_powers_of_ten_are_written_out():
    _, (ax,) = new_figure(8, 4)
    ax.set(yscale="log", ylim=(1.5, 700.0))
    plain_ticks(ax.yaxis)
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert {"10", "100"} <= set(labels)


def test_a_single_epoch_is_a_point_at_a_whole_number():
    for ax in learning_curves([Curve("one", [ONE_EPOCH])]).axes:
        assert {line.get_marker() for line in ax.lines if len(line.get_xdata())} == {"o"}
        low, high = ax.get_xlim()
        assert [tick for tick in ax.get_xticks() if low <= tick <= high] == [1.0]


def test_the_lines_in_the_planes_are_the_boundaries_of_the_true_classes():
    for ax in planes().axes[:3]:
        parts = [patch for patch in ax.patches if isinstance(patch, (Arc, Circle))]
        outer, *inner = sorted(parts, key=lambda part: -part.get_extents().width)
        assert outer.radius == 0.5
        assert len(inner) == 4
        for part in inner:
            radius = part.width / 2.0
            first, last = (part.theta1, part.theta2) if isinstance(part, Arc) else (0.0, 360.0)
            angles = np.deg2rad(np.linspace(first, last, 22)[1:-1])
            near = [
                np.asarray(part.center)[:, None]
                + radius * scale * np.stack([np.cos(angles), np.sin(angles)])
                for scale in (0.99, 1.01)
            ]
            inside, outside = (yin_yang_class(*points) for points in near)
            assert np.all(inside != outside)


def test_a_few_spikes_of_many_neurons_are_seen_in_the_raster_of_the_microcircuit():
    def size(n):
        spikes = np.linspace(0.0, 100.0, n), np.arange(n) % 1000
        one = Recording(*spikes, 1000, 100.0, 1.0)
        figure = raster({"L4E": one, "L4I": one}, 0.0)
        return figure.axes[0].lines[0].get_markersize()

    assert size(10) > 2.0 * size(10_000) > 4.0
