"""Losses of first spikes: those of `gradients`, in value and derivative."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="the extra torch is not installed")

import gradients  # noqa: E402
from gradients import SilentLabelsWarning  # noqa: E402
from gradients.torch import FirstSpikeCrossEntropy, first_spike_cross_entropy  # noqa: E402


@given(
    st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 5),
    st.sampled_from([0.0, 0.3]), st.sampled_from([0.0, 0.1, 0.9]),
)  # fmt: skip
def test_value_and_derivative_are_ours(
    seed: int, n: int, n_classes: int, gamma: float, smoothing: float
) -> None:
    rng = np.random.default_rng(seed)
    times = rng.uniform(0.0, 3.0, (n, n_classes))
    times[rng.uniform(size=times.shape) < 0.3] = math.inf
    labels = rng.integers(0, n_classes, n)
    numbers = {
        "tau0": rng.uniform(0.05, 2.0), "tau1": rng.uniform(0.5, 2.0), "gamma": gamma,
        "t_silent": rng.uniform(0.0, 4.0), "smoothing": smoothing,
    }  # fmt: skip
    value, slopes = gradients.first_spike_cross_entropy(times, labels, **numbers)
    own = torch.tensor(times, requires_grad=True)
    loss = first_spike_cross_entropy(own, torch.from_numpy(labels), **numbers)
    loss.backward()
    np.testing.assert_allclose(loss.item(), value, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(own.grad.numpy(), slopes, rtol=1e-9, atol=1e-12)
    assert not own.grad[torch.isinf(own)].any()


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.2]))
def test_the_loss_of_potentials_is_torchs_own(seed: int, smoothing: float) -> None:
    rng = np.random.default_rng(seed)
    potentials, labels = rng.normal(size=(4, 3)), rng.integers(0, 3, 4)
    value, slopes = gradients.membrane_cross_entropy(potentials, labels, smoothing=smoothing)
    own = torch.tensor(potentials, requires_grad=True)
    loss = torch.nn.CrossEntropyLoss(label_smoothing=smoothing)(own, torch.from_numpy(labels))
    loss.backward()
    np.testing.assert_allclose(loss.item(), value, rtol=1e-12)
    np.testing.assert_allclose(own.grad.numpy(), slopes, rtol=1e-10, atol=1e-14)


def test_silent_labels_are_said_where_they_can_be_seen() -> None:
    times = torch.tensor([[1.0, math.inf], [0.5, 2.0]])
    criterion = FirstSpikeCrossEntropy(0.2, 3.0)
    with pytest.warns(SilentLabelsWarning, match="in 1 of 2 samples") as caught:
        criterion(times, torch.tensor([1, 0]))
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        criterion(times, torch.tensor([0, 1]))
        each = torch.func.vmap(lambda t, k: criterion(t[None], k[None]))
        each(times, torch.tensor([1, 0]))


def test_numbers_and_shapes_are_checked() -> None:
    calls: list[tuple[Any, str]] = [
        (lambda: FirstSpikeCrossEntropy(0.0, 1.0), r"tau0 must be > 0 and finite, got 0\.0"),
        (lambda: FirstSpikeCrossEntropy(1.0, math.inf), "t_silent must be >= 0 and finite"),
        (lambda: FirstSpikeCrossEntropy(1.0, 1.0, smoothing=1.0), r"smoothing must be .* got 1\.0"),
        (
            lambda: FirstSpikeCrossEntropy(1.0, 1.0)(torch.zeros(2), torch.tensor([0, 1])),
            r"times must be \(n_samples, n_classes\) .* got \(2,\) and \(2,\)",
        ),
    ]
    for call, message in calls:
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_it_compiles_as_one_graph() -> None:
    criterion = FirstSpikeCrossEntropy(0.2, 3.0, gamma=0.1, smoothing=0.1)
    times = torch.tensor([[1.0, math.inf], [0.5, 2.0]], dtype=torch.float64)
    labels = torch.tensor([0, 1])
    whole = torch.compile(criterion, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(whole(times, labels), criterion(times, labels))
