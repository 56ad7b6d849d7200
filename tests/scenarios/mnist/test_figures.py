"""Pictures of networks that are read out by potentials: labelled, and true to the run."""

import numpy as np
import pytest

from scenarios.datasets.encoding import latency
from scenarios.mnist import figures
from scenarios.mnist.figures import SweepLine
from scenarios.networks.readout import ReadoutNetwork
from scenarios.running.figures import (
    Curve,
    as_accuracy,
    exact_times,
    learning_curves,
    new_figure,
)

RECORD = {"loss": 1.0, "accuracy": 0.5, "test_loss": 1.1, "test_accuracy": 0.9, "test_spikes": 0.4}
HISTORY = [
    {"epoch": 0, "test_loss": 9.0, "test_accuracy": 0.0, "test_spikes": 2.0},
    {"epoch": 1, **RECORD},
    {"epoch": 2, "loss": 0.5, "accuracy": 0.99},
    {"epoch": 3, **RECORD, "test_accuracy": 0.98},
]
CURVES = [Curve("one", [HISTORY, HISTORY]), Curve("two", [HISTORY])]
TAUS = (0.2, 0.8, 6.4)
LINES = [
    SweepLine("multi", TAUS, [[0.1, 0.2], [0.98, 0.97], [0.9, 0.9]], [[2, 2], [1, 1], [1, 1]]),
    SweepLine("single", TAUS, [[0.1], [0.98], [1.0]], [[1], [0.6], [0.6]]),
]


def run(single=False):
    model = ReadoutNetwork((9, 6, 3), 0.8, single)
    rng = np.random.default_rng(1)
    weights = model.initial([(0.8, 1.5)] * 2, rng)
    images = rng.integers(0, 256, (1, 9, 1), dtype=np.uint8)
    return model.simulate(weights, latency(images))[0]


def sweep():
    return figures.tau_sweep(LINES, [("known", 0.8, 0.9843)], [("limit", 0.9823, 1.5)])


def histograms():
    counts = np.random.default_rng(0).poisson(1.5, (20, 6)).astype(np.int32)
    return figures.spike_count_histograms({f"kind {k}": [counts, counts + k] for k in range(4)})


DRAWINGS = {
    "learning": lambda: learning_curves(CURVES),
    "many": lambda: learning_curves([Curve(str(k), [HISTORY]) for k in range(12)]),
    "spikes": lambda: figures.accuracy_against_spikes(CURVES),
    "sweep": sweep,
    "histograms": histograms,
    "multi": lambda: figures.dynamics(run(), "abc", "a sample"),
    "single": lambda: figures.dynamics(run(single=True), "abc", "a sample"),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_picture_can_be_saved_and_names_its_axes(tmp_path, name):
    figure = DRAWINGS[name]()
    figure.savefig(tmp_path / "picture.png", dpi=40)
    assert (tmp_path / "picture.png").stat().st_size > 1000
    shown = [ax for ax in figure.axes if ax.has_data()]
    assert all(ax.get_ylabel() for ax in shown) or figure.get_supylabel()
    assert any(ax.get_xlabel() for ax in shown) or figure.get_supxlabel()


@pytest.mark.parametrize("single", [False, True])
def test_trajectories_are_drawn_on_both_sides_of_every_spike(single):
    result = run(single)
    spikes = result.spikes["hidden"]
    assert len(spikes) >= 3
    times = exact_times(result, spikes.times)
    potentials = result.potential("hidden", at=times)
    at = np.searchsorted(times, spikes.times)
    np.testing.assert_allclose(potentials[at - 1, spikes.indices], 1.0, rtol=1e-9)
    np.testing.assert_array_equal(potentials[at, spikes.indices], 0.0)


def test_a_current_jumps_upright_by_the_weight():
    result = run()
    stimulus = result.batch.stimulus
    times = exact_times(result, stimulus.times)
    currents = result.current("hidden", at=times)
    weights = result.network.projections["in", "hidden"].weights
    at, source = np.searchsorted(times, stimulus.times[-1]), stimulus.sources[-1]
    np.testing.assert_allclose(currents[at] - currents[at - 1], weights[source], atol=1e-9)


def test_epochs_without_evaluation_and_the_untrained_network_are_left_out():
    middle = learning_curves(CURVES).axes[1]
    assert [list(line.get_xdata()) for line in middle.lines[:2]] == [[1, 2, 3], [1, 3]]


def test_better_is_up_and_ticks_are_accuracies():
    figure = figures.accuracy_against_spikes(CURVES)
    (ax,) = figure.axes
    low, high = ax.get_ylim()
    assert low > high
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert "95" in labels
    np.testing.assert_allclose([100 - float(label) for label in labels], ax.get_yticks())


@pytest.mark.parametrize(("low", "high"), [(1.2, 5.0), (1.2, 1.6), (0.3, 90.0), (2.0, 30.0)])
def test_no_two_ticks_of_an_accuracy_overlap(low, high):
    _, (ax,) = new_figure(8, 4)
    ax.set_ylim(low, high)
    as_accuracy(ax, "accuracy")
    ticks = np.log(ax.get_yticks() / low) / np.log(high / low)
    assert len(ticks) > 3
    assert np.all(np.diff(ticks) > 0.039)


def test_the_dynamics_show_the_image_and_what_happens_at_the_ends():
    result = run()
    panels = figures.dynamics(result, "abc", "a sample").axes
    (sample,) = [child for panel in panels for child in panel.child_axes]
    pixels = sample.images[0].get_array().ravel()
    given = result.batch.stimulus
    np.testing.assert_allclose(pixels[given.sources], 1.0 - given.times / result.t_stop)
    assert np.count_nonzero(pixels) <= given.sources.size
    for panel in panels:
        if panel is not sample:
            low, high = panel.get_xlim()
            assert low < 0.0 < result.t_stop < high


@pytest.mark.parametrize("x", [0.0, 1.0])
@pytest.mark.parametrize("y", [0.0, 1.0])
def test_the_image_lies_where_it_hides_the_fewest_spikes(x, y):
    _, (ax,) = new_figure(4, 4)
    corners = np.array([(a, b) for a in (0.0, 1.0) for b in (0.0, 1.0) if (a, b) != (x, y)])
    ax.plot(*corners.T, "o")
    ax.set(xlim=(-0.1, 1.1), ylim=(-0.1, 1.1))
    found = figures._emptiest_corner(ax, corners)
    assert [place > 0.3 for place in found] == [x > 0.5, y > 0.5]


def test_every_count_is_in_a_histogram():
    for ax in histograms().axes[:4]:
        assert sum(bar.get_height() for bar in ax.patches if hasattr(bar, "get_height")) == (
            pytest.approx(100.0)
        )
