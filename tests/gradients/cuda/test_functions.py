"""The sweep on a CUDA device, or in numba's simulator of one: what the processors give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import eventsim as es
import gradients
from eventsim._engines.cuda import result
from gradients.cuda import layers
from tests.helpers.device import NETWORKS, DeviceError, two_layers
from tests.helpers.models import Model

pytestmark = pytest.mark.cuda


def cotangents(result: es.BatchResult) -> dict[str, dict[str, np.ndarray]]:
    """Derivatives by every spike and every final potential, drawn from a seed."""
    rng = np.random.default_rng(3)
    names = result.network.populations
    return {
        "spike_times": {name: rng.normal(size=len(result.spikes[name])) for name in names},
        "potentials": {name: rng.normal(size=(len(result), n)) for name, n in names.items()},
    }


def gradient_of(model: Model, engine: str, **options: object) -> gradients.Gradient:
    result = model.run(engine)
    return gradients.timing_backprop(result, **cotangents(result), **options)


def arrays(gradient: gradients.Gradient) -> dict[object, np.ndarray]:
    parts = ("weights", "delays", "tau_mem", "tau_syn", "threshold", "bias", "input_times")
    found = {}
    for part in parts:
        for key, value in getattr(gradient, part).items():
            found[part, key] = value.toarray() if hasattr(value, "toarray") else np.asarray(value)
    return found


@pytest.mark.parametrize("name", NETWORKS)
def test_every_gradient_is_that_of_the_cpu(name: str) -> None:
    model = NETWORKS[name].model()
    found, expected = (arrays(gradient_of(model, engine)) for engine in ("cuda", "layered"))
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        scale = max(1.0, float(np.abs(values).max(initial=0.0)))
        np.testing.assert_allclose(
            found[key], values, rtol=1e-10, atol=1e-10 * scale, err_msg=str(key)
        )


@pytest.mark.parametrize("engine", ["cuda", "cuda-float32"])
def test_a_run_on_the_device_is_swept_there(engine: str) -> None:
    result = two_layers().run(engine)
    gradients.timing_backprop(result, potentials={"p1": np.ones((2, 2))})
    assert "record" not in vars(result)


def test_by_weights_alone_it_is_the_same() -> None:
    model = two_layers()
    some = arrays(gradient_of(model, "cuda", wrt=("weights",)))
    every = arrays(gradient_of(model, "cuda"))
    assert some.keys() == {key for key in every if key[0] == "weights"}
    for key, values in some.items():
        np.testing.assert_allclose(values, every[key], rtol=1e-12, atol=1e-12)


def test_run_after_run_gives_the_same_bits() -> None:
    model = two_layers()
    first, second = (arrays(gradient_of(model, "cuda")) for _ in range(2))
    for key, values in first.items():
        np.testing.assert_array_equal(values, second[key])


@pytest.mark.parametrize("name", ["STRANDS", "COPIES"])
def test_fewer_copies_give_the_same(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    model = two_layers()
    whole = arrays(gradient_of(model, "cuda"))
    monkeypatch.setattr(layers, name, 1)
    for key, values in arrays(gradient_of(model, "cuda")).items():
        np.testing.assert_allclose(values, whole[key], rtol=1e-12, atol=1e-12)


def test_a_batch_is_cut_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    model = two_layers(n_samples=3)
    whole = arrays(gradient_of(model, "cuda"))
    monkeypatch.setattr(result, "free_memory", lambda: 1.0)
    for key, values in arrays(gradient_of(model, "cuda")).items():
        np.testing.assert_array_equal(values, whole[key])


def test_a_sweep_starts_anew_where_an_allocation_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """At its last layer: what it has added before does not count."""
    model = two_layers(n_samples=3)
    whole = arrays(gradient_of(model, "cuda"))
    sweep = layers._Part.sweep

    def limited(self: Any, *rest: Any) -> None:
        if self.one.layer.plan.first == 0 and self.one.n_samples > 2:
            raise DeviceError(2)
        sweep(self, *rest)

    monkeypatch.setattr(layers._Part, "sweep", limited)
    for key, values in arrays(gradient_of(model, "cuda")).items():
        np.testing.assert_array_equal(values, whole[key])


def test_a_training_step_on_the_device() -> None:
    model = two_layers()
    labels = np.array([0, 1])

    def loss(result: es.BatchResult) -> gradients.Loss:
        value, slope = gradients.membrane_cross_entropy(result.potential("p1"), labels)
        return gradients.Loss(value, potentials={"p1": slope})

    steps = [
        gradients.value_and_grad(model.network, model.stimulus, loss, model.t_stop, engine=engine)
        for engine in ("cuda", "layered")
    ]
    assert steps[0][2].engine == "cuda"
    np.testing.assert_allclose(steps[0][0], steps[1][0], rtol=1e-12)
    for key, values in steps[1][1].weights.items():
        np.testing.assert_allclose(steps[0][1].weights[key], values, rtol=1e-10, atol=1e-12)


def test_the_gradient_of_one_sample_of_a_batch() -> None:
    model = two_layers()
    ours, theirs = (model.run(engine)[1] for engine in ("cuda", "layered"))
    slope = np.array([1.0, -1.0])
    found, expected = (
        gradients.timing_backprop(result, potentials={"p1": slope}) for result in (ours, theirs)
    )
    for key, values in expected.weights.items():
        np.testing.assert_allclose(found.weights[key], values, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("population", ["p0", "p1"])
def test_the_gradient_of_a_run_that_ends_early_or_never(population: str) -> None:
    """All neurons of p0 fire in the end, those of p1 never."""
    model = two_layers()
    found, expected = (
        gradients.timing_backprop(result, first_spikes={"p0": np.isfinite(times) * 1.0})
        for result in (model.run(e, until_fired=population) for e in ("cuda", "layered"))
        for times in [result.first_spikes("p0")]
    )
    for key, values in expected.weights.items():
        np.testing.assert_allclose(found.weights[key], values, rtol=1e-10, atol=1e-12)
