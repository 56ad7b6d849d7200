"""Adam and SGD: the textbook recursions, pure functions, savable state."""

from __future__ import annotations

import copy
import io
import math

import numpy as np
import pytest

import gradients

PARAMS = {"w": np.array([[1.0, -2.0], [0.5, 4.0]]), "b": np.array([0.25])}


def gradient(step: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(step)
    return {name: rng.normal(size=value.shape) for name, value in PARAMS.items()}


def steps(optimizer, n: int, params=None, state=None, first: int = 0):
    params = dict(PARAMS) if params is None else params
    state = optimizer.init(params) if state is None else state
    for k in range(first, first + n):
        params, state = optimizer.update(params, gradient(k), state)
    return params, state


def test_adam_is_algorithm_1_of_kingma_and_ba() -> None:
    lr, b1, b2, eps = 0.05, 0.8, 0.95, 1e-6
    found, _ = steps(gradients.Adam(lr=lr, betas=(b1, b2), eps=eps), 7)
    for name, start in PARAMS.items():
        for index in np.ndindex(start.shape):
            x, m, v = float(start[index]), 0.0, 0.0
            for t in range(1, 8):
                g = gradient(t - 1)[name][index]
                m = b1 * m + (1 - b1) * g
                v = b2 * v + (1 - b2) * g * g
                x -= lr * (m / (1 - b1**t)) / (math.sqrt(v / (1 - b2**t)) + eps)
            assert found[name][index] == pytest.approx(x, rel=1e-12)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_with_momentum(momentum: float) -> None:
    found, _ = steps(gradients.SGD(0.1, momentum=momentum), 5)
    for name, start in PARAMS.items():
        x, velocity = start.copy(), np.zeros_like(start)
        for t in range(5):
            velocity = momentum * velocity + gradient(t)[name]
            x = x - 0.1 * velocity
        np.testing.assert_allclose(found[name], x, rtol=1e-13)


def flat(state, prefix: str = "") -> dict[str, np.ndarray]:
    """A state (arrays and dicts of arrays) as one dict of arrays."""
    out = {}
    for name, value in state.items():
        if isinstance(value, dict):
            out |= flat(value, f"{prefix}{name}/")
        else:
            out[f"{prefix}{name}"] = np.asarray(value)
    return out


def nested(arrays) -> dict:
    out: dict = {}
    for path in arrays:
        *folders, name = path.split("/")
        where = out
        for folder in folders:
            where = where.setdefault(folder, {})
        where[name] = arrays[path]
    return out


@pytest.mark.parametrize("optimizer", [gradients.Adam(lr=0.1), gradients.SGD(0.1, momentum=0.5)])
def test_nothing_is_changed_in_place(optimizer) -> None:
    params = {name: value.copy() for name, value in PARAMS.items()}
    state = optimizer.init(params)
    kept = copy.deepcopy(state)
    grads = gradient(0)
    optimizer.update(params, grads, state)
    for name in PARAMS:
        np.testing.assert_array_equal(params[name], PARAMS[name])
        np.testing.assert_array_equal(grads[name], gradient(0)[name])
    assert flat(state).keys() == flat(kept).keys()
    for name, value in flat(state).items():
        np.testing.assert_array_equal(value, flat(kept)[name])


@pytest.mark.parametrize("optimizer", [gradients.Adam(lr=0.1), gradients.SGD(0.1, momentum=0.5)])
def test_the_state_survives_npz_bit_for_bit(optimizer) -> None:
    whole, _ = steps(optimizer, 6)
    params, state = steps(optimizer, 3)
    file = io.BytesIO()
    np.savez(file, **flat(state))
    file.seek(0)
    loaded = np.load(file, allow_pickle=False)
    again, _ = steps(optimizer, 3, params, nested(loaded), first=3)
    for name in PARAMS:
        np.testing.assert_array_equal(again[name], whole[name])


def test_adam_minimises_a_parabola() -> None:
    optimizer = gradients.Adam(lr=0.1)
    params = {"x": np.array([3.0, -5.0])}
    state = optimizer.init(params)
    for _ in range(500):
        params, state = optimizer.update(params, {"x": 2.0 * params["x"]}, state)
    np.testing.assert_allclose(params["x"], 0.0, atol=1e-3)
