"""Learning-rate schedules: their formulas, ends and equality."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradients

ALL = [
    gradients.constant(0.1),
    gradients.cosine(0.1, 50, final=0.01, warmup=5),
    gradients.step_decay(0.1, 0.5, 10),
]


@given(st.integers(0, 20), st.integers(1, 40), st.sampled_from([0.0, 0.25, 1.0]))
def test_the_cosine_rises_evenly_and_falls_to_its_final_value(
    warmup: int, falling: int, final: float
) -> None:
    schedule = gradients.cosine(1.0, warmup + falling, final=final, warmup=warmup)
    rates = [schedule(step) for step in range(warmup + falling + 3)]
    np.testing.assert_allclose(np.diff([0.0, *rates[: warmup + 1]]), 1.0 / (warmup + 1))
    assert rates[warmup] == 1.0
    for k, rate in enumerate(rates[warmup : warmup + falling + 1]):
        share = 0.5 * (1.0 + math.cos(math.pi * k / falling))
        assert rate == pytest.approx(final + (1.0 - final) * share, abs=1e-15)
    assert np.all(np.diff(rates[warmup:]) <= 0.0)
    assert rates[warmup + falling :] == [final] * 3


def test_a_step_decay_falls_every_so_many_steps() -> None:
    schedule = gradients.step_decay(2.0, factor=0.1, every=3)
    expected = [2.0] * 3 + [0.2] * 3 + [0.02]
    np.testing.assert_allclose([schedule(step) for step in range(7)], expected, rtol=1e-15)


def test_a_constant_never_changes() -> None:
    assert {gradients.constant(0.25)(step) for step in (0, 1, 10**9)} == {0.25}


@pytest.mark.parametrize("schedule", ALL)
def test_schedules_are_values(schedule) -> None:
    again = pickle.loads(pickle.dumps(schedule))
    assert again == schedule
    assert hash(again) == hash(schedule)
    assert eval(repr(schedule), vars(gradients)) == schedule
    assert gradients.Adam(lr=again) == gradients.Adam(lr=schedule)


@pytest.mark.parametrize("schedule", ALL)
def test_a_step_may_be_a_numpy_integer(schedule) -> None:
    assert schedule(np.int64(7)) == schedule(7)
