"""Losses of JAX arrays are ours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradients

jax = pytest.importorskip("jax", reason='the extra "jax" is not installed')

import jax.numpy as jnp  # noqa: E402

import gradients.jax  # noqa: E402

pytestmark = pytest.mark.usefixtures("x64")


@settings(max_examples=settings.default.max_examples // 4)
@given(
    seed=st.integers(0, 2**32 - 1),
    silent=st.floats(0.0, 1.0),
    tau0=st.floats(0.05, 5.0),
    gamma=st.sampled_from([0.0, 0.1]),
    smoothing=st.sampled_from([0.0, 0.3]),
)
def test_the_loss_is_ours_in_value_and_gradient(
    seed: int, silent: float, tau0: float, gamma: float, smoothing: float
) -> None:
    rng, shape = np.random.default_rng(seed), (5, 3)
    times, labels = rng.uniform(0.0, 4.0, shape), rng.integers(0, shape[1], shape[0])
    times[rng.random(shape) < silent] = np.inf
    options = {
        "tau0": tau0, "gamma": gamma, "smoothing": smoothing, "tau1": 2.0, "t_silent": 4.5,
    }  # fmt: skip
    value, slopes = jax.value_and_grad(
        lambda t: gradients.jax.first_spike_cross_entropy(t, labels, **options)
    )(jnp.asarray(times))
    expected, derivative = gradients.first_spike_cross_entropy(times, labels, **options)
    assert value == pytest.approx(expected, rel=1e-12, abs=1e-13)
    np.testing.assert_allclose(slopes, derivative, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"times": [1.0]}, r"times must be \(n_samples, n_classes\).*got \(1,\) and \(1,\)"),
        ({"labels": [0, 1]}, r"labels \(n_samples,\).*got \(1, 2\) and \(2,\)"),
        ({"labels": [0.5]}, "labels must be integers, got float64"),
        ({"tau0": 0.0}, "tau0 must be > 0 and finite, got 0.0"),
    ],
)
def test_a_loss_of_what_does_not_fit_is_refused(given: dict[str, Any], message: str) -> None:
    arguments = {"times": [[1.0, 2.0]], "labels": [0], "tau0": 1.0, "t_silent": 3.0} | given
    for name in ("times", "labels"):
        arguments[name] = jnp.asarray(arguments[name])
    with pytest.raises(ValueError, match=message):
        gradients.jax.first_spike_cross_entropy(**arguments)
