"""What keeps delays and time constants positive: a softplus that can be undone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="the extra torch is not installed")

from gradients.torch.parameters import softplus, softplus_inverse  # noqa: E402
from tests.helpers.torch_layers import IN, layer  # noqa: E402


@given(st.floats(1e-12, 1e12))
def test_values_come_back_to_rounding(value: float) -> None:
    raw = softplus_inverse(torch.tensor(value, dtype=torch.float64))
    assert softplus(raw).item() == pytest.approx(value, rel=1e-14)


@given(st.floats(-600.0, 600.0))
def test_every_parameter_is_a_positive_value_with_a_positive_slope(raw: float) -> None:
    own = torch.tensor(raw, dtype=torch.float64, requires_grad=True)
    value = softplus(own)
    value.backward()
    assert value.item() > 0.0
    assert 0.0 < own.grad.item() <= 1.0


def test_what_is_infinite_stays_so() -> None:
    raw = softplus_inverse(torch.tensor(math.inf))
    raw.requires_grad_()
    value = softplus(raw)
    assert math.isinf(value.item())
    value.backward(torch.tensor(0.0))
    assert raw.grad.item() == 0.0


def test_a_layer_begins_with_the_values_of_its_network() -> None:
    own = layer(learn=("delays", "tau_mem", "tau_syn"))
    for kind, values in own.setting.network.parameters(("delays", "tau_mem", "tau_syn")).items():
        for key, value in values.items():
            found = getattr(own, kind)[key].detach().numpy()
            np.testing.assert_allclose(found, value, rtol=1e-14)
    own.delays[IN] = 0.7
    assert own.delays[IN].item() == pytest.approx(0.7, rel=1e-14)
    with pytest.raises(ValueError, match=r"delays? .* must be > 0, .* got 0\.0|values of .* > 0"):
        own.delays[IN] = 0.0
