"""`Loss`: sums, multiples, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradients import Loss

KINDS = ["first_spikes", "spike_times", "potentials", "incoming"]
numbers = st.integers(-8, 8).map(lambda k: k / 4)


@st.composite
def losses(draw: st.DrawFn) -> Loss:
    """Losses on some of the populations a and b, of 2 and 3 neurons."""
    cotangents: dict[str, dict[str, np.ndarray]] = {kind: {} for kind in KINDS}
    for kind in KINDS:
        for name, n in (("a", 2), ("b", 3)):
            if draw(st.booleans()):
                cotangents[kind][name] = np.array([draw(numbers) for _ in range(n)])
    return Loss(draw(numbers), **cotangents)


def dense(loss: Loss) -> list[float]:
    """Value and derivatives as one vector; what a loss does not depend on has derivative 0."""
    vector = [loss.value]
    for kind in KINDS:
        for name, n in (("a", 2), ("b", 3)):
            vector.extend(getattr(loss, kind).get(name, np.zeros(n)))
    return vector


@given(losses(), losses())
def test_a_sum_adds_values_and_derivatives(a: Loss, b: Loss) -> None:
    np.testing.assert_array_equal(dense(a + b), np.add(dense(a), dense(b)))


@given(losses(), numbers)
def test_a_multiple_scales_value_and_derivatives(a: Loss, factor: float) -> None:
    np.testing.assert_array_equal(dense(factor * a), np.multiply(factor, dense(a)))
    np.testing.assert_array_equal(dense(a * factor), np.multiply(factor, dense(a)))


def test_the_terms_of_a_sum_are_left_as_they_are() -> None:
    a, b = Loss(1.0, potentials={"x": np.ones(2)}), Loss(2.0, potentials={"x": np.ones(2)})
    total = a + 2.0 * b
    total.potentials["x"][:] = 7.0
    assert a.potentials["x"].tolist() == [1.0, 1.0]
    assert b.potentials["x"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("factor", [3, np.float64(3.0), np.int64(3), np.array(3.0)])
def test_a_factor_may_be_any_real_number(factor) -> None:
    assert dense(factor * Loss(2.0, potentials={"a": [1.0, -1.0]})) == dense(
        Loss(6.0, potentials={"a": [3.0, -3.0]})
    )


def test_many_losses_can_be_summed() -> None:
    total = sum([Loss(1.0), Loss(2.0), Loss(4.0)], start=Loss(0.0))
    assert total.value == 7.0


def test_metrics_are_joined_and_not_scaled() -> None:
    total = 0.5 * (Loss(1.0, metrics={"accuracy": 0.75}) + Loss(2.0, metrics={"dead": 3.0}))
    assert total.metrics == {"accuracy": 0.75, "dead": 3.0}


def test_a_loss_adds_to_no_number() -> None:
    with pytest.raises(TypeError):
        Loss(1.0) + 1.0


def test_a_value_of_any_real_type_is_a_float() -> None:
    assert type(Loss(np.float64(1.5)).value) is float
    assert type(Loss(1).value) is float
