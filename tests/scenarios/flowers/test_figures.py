"""Pictures of networks that name flowers: what they show is what the networks do."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra torch is not installed")

from scenarios.flowers.figures import (  # noqa: E402
    Curves,
    learning_curves,
    presentations,
    spike_patterns,
)
from scenarios.flowers.network import unit_network  # noqa: E402
from scenarios.flowers.shown import loaded, present, well_and_middling  # noqa: E402
from scenarios.flowers.task import FlowerTask  # noqa: E402
from tests.helpers.flower_files import blossoms  # noqa: E402

NAMES = [f"class {k}" for k in range(10)]


def drawn(figure):
    """Draw a figure as it would be saved."""
    figure.canvas.draw()
    return figure.axes


@pytest.fixture(scope="module")
def task():
    torch.manual_seed(0)
    data = blossoms()
    model = unit_network(6, w_input=2.0, w_leak=0.2, dropout=0.2)
    return FlowerTask(model, data[:20], data[20:])


def test_a_presentation_is_what_the_network_does_with_that_image(task):
    (one,) = present(task, [4])
    with torch.no_grad():
        response = task.model(task.columns(task.test[4:5]))
    np.testing.assert_array_equal(one.image, task.test.images[4])
    assert one.label == task.test.labels[4]
    np.testing.assert_allclose(one.probabilities, response[:, 0].softmax(dim=-1).numpy(), rtol=1e-5)
    assert one.spikes.shape == one.potentials.shape == (5, 3, 6)
    assert one.density == one.spikes.mean() > 0.0


def test_the_images_shown_are_the_best_and_one_in_the_middle(task):
    best, middle = well_and_middling(task)
    of_label = [
        one.probabilities[:, one.label].mean() for one in present(task, range(len(task.test)))
    ]
    assert best == np.argmax(of_label)
    assert sorted(of_label).index(of_label[middle]) == len(task.test) // 2


def test_loaded_parameters_are_those_of_the_network(task):
    params = {name: tensor.numpy() + 1 for name, tensor in task.model.state_dict().items()}
    torch.manual_seed(1)
    other = FlowerTask(unit_network(6, w_input=1.0, w_leak=0.1, dropout=0.0), task.train, task.test)
    for name, tensor in loaded(other, params).model.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), params[name])


def test_the_columns_of_an_image_are_drawn_with_all_that_they_cause(task):
    shown = present(task, [0, 3])
    panels = drawn(presentations(shown, NAMES))
    images = [ax for ax in panels if ax.get_title() == NAMES[shown[0].label]]
    np.testing.assert_array_equal(images[0].images[0].get_array(), shown[0].image)
    red = next(ax for ax in panels if ax.get_title() == "potentials, red")
    np.testing.assert_array_equal(red.images[0].get_array(), shown[0].potentials[:, 0].T)
    spikes = next(ax for ax in panels if ax.get_title().startswith("spikes"))
    np.testing.assert_array_equal(spikes.images[0].get_array()[2, 4], shown[0].spikes[4, :, 2])
    legend = next(ax for ax in panels if ax.get_title().startswith("softmax")).get_legend()
    assert any(NAMES[shown[0].label] in text.get_text() for text in legend.get_texts())


def test_units_that_have_no_colour_are_named_otherwise(task):
    panels = drawn(presentations(present(task, [0]), NAMES, ("one", "two", "three")))
    titles = [ax.get_title() for ax in panels]
    assert [title for title in titles if title.startswith("potentials")] == [
        "potentials, one", "potentials, two", "potentials, three"
    ]  # fmt: skip


def test_spike_patterns_have_a_line_for_each_unit(task):
    before, after = present(task, [0, 3])
    history = [{"epoch": k, "test_spikes": 0.1 / (k + 1)} for k in range(4)]
    _, left, right, last = drawn(spike_patterns(before, after, history))
    for ax, one in ((left, before), (right, after)):
        units = ax.images[0].get_array()
        assert units.shape == (18, 5)
        assert units.mean() == pytest.approx(one.density)
        assert f"{one.density:.3f}" in ax.get_title()
    assert "epoch 3" in right.get_title()
    np.testing.assert_allclose(last.lines[0].get_ydata(), [0.1, 0.05, 0.1 / 3, 0.025])


def test_learning_curves_show_every_network_and_its_control():
    history = [{"epoch": 0, "test_accuracy": 0.1},
               {"epoch": 1, "accuracy": 0.2, "test_accuracy": 0.3}]  # fmt: skip
    kinds = [Curves("one", [history, history], [history], 0.4), Curves("two", [history], [], 0.55)]
    left, right = drawn(learning_curves(kinds, 0.1))
    assert len([line for line in left.lines if len(line.get_xdata()) == 2]) == 3 + 2
    np.testing.assert_allclose(left.lines[1].get_ydata(), [10, 30])
    assert right.get_title() == "two"
    assert left.get_ylim()[1] > 55.0
