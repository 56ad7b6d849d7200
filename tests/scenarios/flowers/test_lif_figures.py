"""Pictures of one LIF unit: what they show is what the unit does."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra torch is not installed")

from gradients import firing_rate
from scenarios.flowers.lif_figures import (
    LEAKS,
    W_INPUT,
    gradient_picture,
    rate_against_input,
    simulated_rate,
    through_time,
)


def drawn(figure):
    """Draw a figure as it would be saved."""
    figure.canvas.draw()
    return figure.axes


def test_the_gradient_of_a_spike_reaches_back_to_the_one_before():
    inputs = np.array([0.4, 1.5, 0.2, 0.6, 0.7, 0.1, 0.9])
    found = through_time(inputs, 0.8, 0.25, step=4)
    np.testing.assert_array_equal(found["spike"], [0, 1, 0, 0, 1, 0, 0])
    np.testing.assert_allclose(
        found["gradient"], [0, 0, 0.8 * 0.75**2, 0.8 * 0.75, 0.8, 0, 0], rtol=1e-12
    )
    silent = through_time(inputs, 0.8, 0.25, step=4, kind="silent")
    assert not silent["gradient"].any()
    np.testing.assert_array_equal(silent["spike"], found["spike"])


def test_the_gradient_picture_has_a_unit_with_no_gradient_for_control():
    panels = drawn(gradient_picture())
    reached = [
        sum(value.get_text() != "0" for value in ax.texts if value.get_position()[1] == 3)
        for ax in panels
    ]
    assert reached[0] == 4
    assert reached[1] > reached[0]  # with a larger leak it does not fire, so nothing is cut off
    assert reached[2] == 0


@pytest.mark.parametrize("leak", LEAKS)
def test_a_unit_fires_at_the_rate_of_the_formula(leak):
    inputs = np.linspace(0.013, 2.49, 60)
    np.testing.assert_allclose(simulated_rate(inputs, leak), firing_rate(inputs, W_INPUT, leak),
                               atol=1e-12)  # fmt: skip


def test_the_rate_picture_shows_formula_and_unit():
    left, right = drawn(rate_against_input())
    lines = {line.get_label(): line for line in left.lines}
    np.testing.assert_allclose(
        lines["formula, as corrected"].get_ydata(), lines["LIF unit"].get_ydata(), rtol=1e-9
    )
    np.testing.assert_allclose(
        lines["Eq. 11, as printed"].get_ydata() + 1, lines["LIF unit"].get_ydata(), rtol=1e-9
    )
    assert len(right.lines) == 2 * len(LEAKS)
