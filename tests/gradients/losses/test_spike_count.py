"""The spike-count penalty: the formula, its gradient, and the condition for dead neurons."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradients

POTENTIALS = np.array([[0.25, -0.5, 0.75], [0.0, 0.5, -1.0]])
COUNTS = np.array([[0, 2, 1], [0, 0, 3]])


def silent(counts: np.ndarray) -> np.ndarray:
    return counts == 0


def never(counts: np.ndarray) -> np.ndarray:
    return np.zeros(counts.shape[1], dtype=bool)


CONDITIONS = [silent, gradients.dead_neurons(1.0), lambda counts: counts > 1, never]


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("threshold", [1.0, [1.0, 2.0, 0.5]])
def test_the_penalty_is_equation_22_of_yamamoto(condition, threshold) -> None:
    flags = np.broadcast_to(condition(COUNTS), COUNTS.shape)
    levels = np.broadcast_to(threshold, 3)
    total = sum(
        (levels[j] - POTENTIALS[i, j]) / 3 for i in range(2) for j in range(3) if flags[i, j]
    )
    found, _ = gradients.spike_count_penalty(
        POTENTIALS, COUNTS, threshold=threshold, condition=condition
    )
    assert found == pytest.approx(total / 2, rel=1e-14)


def test_potentials_of_any_size_have_a_penalty() -> None:
    """Their differences, or the sum of these, may be beyond float64, and their mean not."""

    def of(*potentials: float, threshold: list[float]) -> float:
        counts = np.zeros((1, len(potentials)), dtype=int)
        return gradients.spike_count_penalty(
            [potentials], counts, threshold=threshold, condition=silent
        )[0]

    assert of(-1e308, 1e308, threshold=[1e308, -1e308]) == 0.0
    assert of(-1e308, 1e308, threshold=[1e308, 1e308]) == 1e308
    assert of(-0.8e308, -0.8e308, threshold=[0.8e308, 0.8e308]) == 1.6e308
    assert of(-1e308, threshold=[1e308]) == np.inf


@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_gradient_is_that_of_central_differences(condition) -> None:
    def penalty(potentials: np.ndarray) -> float:
        return gradients.spike_count_penalty(
            potentials, COUNTS, threshold=1.0, condition=condition
        )[0]

    before = POTENTIALS.copy()
    _, slope = gradients.spike_count_penalty(POTENTIALS, COUNTS, threshold=1.0, condition=condition)
    np.testing.assert_array_equal(POTENTIALS, before)
    for index in np.ndindex(POTENTIALS.shape):
        step = np.zeros_like(POTENTIALS)
        step[index] = 0.5  # linear: any step is exact
        difference = penalty(POTENTIALS + step) - penalty(POTENTIALS - step)
        assert slope[index] == pytest.approx(difference, rel=1e-13, abs=1e-15)


def test_the_condition_sees_the_counts() -> None:
    seen = []

    def condition(counts: np.ndarray) -> np.ndarray:
        seen.append(counts)
        return counts > 2

    gradients.spike_count_penalty(POTENTIALS, COUNTS, threshold=1.0, condition=condition)
    np.testing.assert_array_equal(seen, [COUNTS])


@given(st.integers(1, 100), st.integers(1, 100))
def test_a_neuron_that_fires_in_exactly_the_fraction_is_alive(firing: int, n: int) -> None:
    firing = min(firing, n)
    counts = np.zeros((n, 2), dtype=np.int64)
    counts[:firing, 0] = 2
    counts[: firing - 1, 1] = 2
    assert gradients.dead_neurons(firing / n)(counts).tolist() == [False, True]


def test_a_tenth_of_the_minibatch_is_the_limit_of_the_publication() -> None:
    counts = np.zeros((100, 3), dtype=np.int64)
    counts[:9, 0], counts[:10, 1], counts[:, 2] = 5, 1, 1
    assert gradients.dead_neurons()(counts).tolist() == [True, False, False]


def test_conditions_compare_and_print() -> None:
    assert gradients.dead_neurons(0.1) == gradients.dead_neurons()
    assert len({gradients.dead_neurons(), gradients.dead_neurons(0.1)}) == 1
    assert repr(gradients.dead_neurons()) == "dead_neurons(fraction=0.1)"
