"""Adam and SGD: the textbook recursions, pure functions, savable state."""

from __future__ import annotations

import copy
import io
import math
from fractions import Fraction

import numpy as np
import pytest

import gradients
from gradients.optim import elementwise

PARAMS = {"w": np.array([[1.0, -2.0], [0.5, 4.0]]), "b": np.array([0.25])}


RATE = gradients.cosine(0.1, 10, warmup=2)
OPTIMIZERS = [
    gradients.Adam(lr=0.1),
    gradients.Adam(lr=RATE, weight_decay=0.1, clip_norm=0.5),
    gradients.SGD(0.1, momentum=0.5),
    gradients.SGD(RATE, momentum=0.5, weight_decay=0.1, clip_norm=0.5),
]


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


def test_weight_decay_is_that_of_adamw() -> None:
    """Loshchilov & Hutter, Algorithm 2: beside the means, times the scheduled rate."""
    schedule = gradients.cosine(0.1, 10, warmup=3)
    optimizer = gradients.Adam(lr=schedule, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.3)
    found, _ = steps(optimizer, 7)
    x, m, v = PARAMS["w"].copy(), 0.0, 0.0
    for t in range(1, 8):
        g, lr = gradient(t - 1)["w"], schedule(t - 1)
        m, v = 0.8 * m + 0.2 * g, 0.95 * v + 0.05 * g**2
        step = (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.95**t)) + 1e-6)
        x = x - lr * (step + 0.3 * x)
    np.testing.assert_allclose(found["w"], x, rtol=1e-12)


def test_sgd_decays_beside_its_momentum() -> None:
    optimizer = gradients.SGD(0.1, momentum=0.9, weight_decay=0.5)
    found, _ = steps(optimizer, 5)
    x, velocity = PARAMS["w"].copy(), 0.0
    for t in range(5):
        velocity = 0.9 * velocity + gradient(t)["w"]
        x = x - 0.1 * (velocity + 0.5 * x)
    np.testing.assert_allclose(found["w"], x, rtol=1e-13)


@pytest.mark.parametrize("make", [gradients.Adam, gradients.SGD])
def test_a_schedule_gives_the_rate_of_each_step(make) -> None:
    asked = []

    def schedule(step: int) -> float:
        asked.append(step)
        return 0.1 / (step + 1)

    params, state = dict(PARAMS), make(lr=schedule).init(PARAMS)
    for k in range(4):
        plain, _ = make(lr=0.1 / (k + 1)).update(params, gradient(k), state)
        params, state = make(lr=schedule).update(params, gradient(k), state)
        for name in PARAMS:
            np.testing.assert_array_equal(params[name], plain[name])
    assert asked == [0, 1, 2, 3]


@pytest.mark.parametrize("make", [gradients.Adam, gradients.SGD])
def test_a_rate_of_zero_changes_no_parameter(make) -> None:
    optimizer = make(lr=lambda step: 0.0 * step, weight_decay=0.1)
    params, _ = steps(optimizer, 3)
    for name in PARAMS:
        np.testing.assert_array_equal(params[name], PARAMS[name])


def norm(grads) -> float:
    return math.sqrt(sum(float((g**2).sum()) for g in grads.values()))


@pytest.mark.parametrize("make", [gradients.Adam, gradients.SGD])
@pytest.mark.parametrize("factor", [0.25, 0.999, 1.5])
def test_clipping_scales_the_whole_gradient_to_the_norm(make, factor: float) -> None:
    grads = gradient(0)
    clipped = make(0.1, clip_norm=factor * norm(grads))
    scaled = {name: min(factor, 1.0) * g for name, g in grads.items()}
    found, _ = clipped.update(PARAMS, grads, clipped.init(PARAMS))
    plain = make(0.1)
    expected, _ = plain.update(PARAMS, scaled, plain.init(PARAMS))
    for name in PARAMS:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-12)


def test_a_short_gradient_is_not_clipped_by_a_bit() -> None:
    plain, _ = steps(gradients.Adam(lr=0.1), 3)
    clipped, _ = steps(gradients.Adam(lr=0.1, clip_norm=1e3), 3)
    for name in PARAMS:
        np.testing.assert_array_equal(clipped[name], plain[name])


def test_a_gradient_of_zero_can_be_clipped() -> None:
    optimizer = gradients.SGD(0.1, clip_norm=1.0)
    zero = {name: np.zeros_like(value) for name, value in PARAMS.items()}
    params, _ = optimizer.update(PARAMS, zero, optimizer.init(PARAMS))
    np.testing.assert_array_equal(params["w"], PARAMS["w"])


@pytest.mark.parametrize(
    ("size", "longest"),
    [
        (1e-200, 1e-210), (1e-160, 1e-159), (5e-324, 5e-324), (1e-310, 1e-309), (1e200, 1.0),
        (1e149, 1e140), (1.7e308, 1e150), (1e308, 1e-300), (1e140, 5e-320),
    ],
)  # fmt: skip
@pytest.mark.parametrize("n", [1, 4, 10_000])
def test_gradients_are_clipped_whatever_their_size(size: float, longest: float, n: int) -> None:
    """Squares of these numbers, or the norm or the factor, leave float64: each is a part of it."""
    optimizer = gradients.SGD(1.0, clip_norm=longest)
    start = {"w": np.zeros(n)}
    found, _ = optimizer.update(start, {"w": np.full(n, size)}, optimizer.init(start))
    expected = min(Fraction(longest) / math.isqrt(n), Fraction(size))
    np.testing.assert_allclose(-found["w"], float(expected), rtol=1e-14, atol=5e-324)


@pytest.mark.parametrize("make", [gradients.Adam, gradients.SGD])
def test_a_large_gradient_must_be_clipped_to_what_has_a_square(make) -> None:
    start, large = {"w": np.zeros(2)}, {"w": np.array([1.0, -1e200])}
    for optimizer in (make(0.1), make(0.1, clip_norm=1e160)):
        with pytest.raises(ValueError, match=r"gradient of 'w'.*at most 1e\+150, got -1e\+200"):
            optimizer.update(start, large, optimizer.init(start))
    optimizer = make(0.1, clip_norm=1.0)
    found, _ = optimizer.update(start, large, optimizer.init(start))
    assert found["w"][1] == pytest.approx(0.1)
    with pytest.raises(ValueError, match="gradient of 'w' must be finite, got inf"):
        optimizer.update(start, {"w": np.array([0.0, np.inf])}, optimizer.init(start))


def test_only_the_gradients_of_what_is_trained_count() -> None:
    optimizer = gradients.SGD(0.1, clip_norm=0.5)
    alone = {"b": PARAMS["b"]}
    state = optimizer.init(alone)
    found, _ = optimizer.update(alone, gradient(0), state)
    expected, _ = optimizer.update(alone, {"b": gradient(0)["b"]}, state)
    assert found.keys() == {"b"}
    np.testing.assert_array_equal(found["b"], expected["b"])


@pytest.mark.parametrize("optimizer", [gradients.Adam(lr=0.1), gradients.SGD(0.1, momentum=0.5)])
def test_any_layout_of_the_arrays_gives_the_same_step(optimizer) -> None:
    """Read-only, transposed and scalar arrays, and integers."""
    rng = np.random.default_rng(0)
    values, grads = rng.integers(-9, 9, (4, 3)), rng.normal(size=(4, 3))
    frozen = values.astype(float)
    frozen.flags.writeable = False
    plain = values.astype(float), grads.copy()
    variants = [(frozen, grads), (np.asfortranarray(frozen), grads.T.copy().T), (values, grads)]
    expected, _ = optimizer.update({"w": plain[0]}, {"w": plain[1]}, optimizer.init({"w": frozen}))
    for params, slope in variants:
        found, _ = optimizer.update({"w": params}, {"w": slope}, optimizer.init({"w": params}))
        np.testing.assert_array_equal(found["w"], expected["w"])
        assert found["w"].flags.writeable
    delay, _ = optimizer.update({"d": 0.5}, {"d": 2.0}, optimizer.init({"d": 0.5}))
    assert delay["d"].shape == ()
    assert float(delay["d"]) < 0.5


@pytest.mark.parametrize("optimizer", [gradients.Adam(lr=0.1), gradients.SGD(0.1)])
def test_nothing_to_train_is_nothing_to_do(optimizer) -> None:
    params, state = optimizer.update({}, {}, optimizer.init({}))
    assert params == {}
    assert state["step"] == 1
    empty = {"w": np.empty((0, 3))}
    assert optimizer.update(empty, empty, optimizer.init(empty))[0]["w"].shape == (0, 3)


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


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
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


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
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


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_number_of_threads_changes_no_bit(
    optimizer, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(1)
    params, grads = rng.normal(size=(2, 13, 77))
    whole = optimizer.update({"w": params}, {"w": grads}, optimizer.init({"w": params}))
    monkeypatch.setattr(elementwise, "PART", 10)
    parts = optimizer.update(
        {"w": params}, {"w": grads}, optimizer.init({"w": params}), threads=threads
    )
    np.testing.assert_array_equal(parts[0]["w"], whole[0]["w"])
    for name, value in flat(whole[1]).items():
        np.testing.assert_array_equal(flat(parts[1])[name], value)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimizers_are_values(optimizer) -> None:
    assert eval(repr(optimizer), vars(gradients)) == optimizer
    assert len({optimizer, eval(repr(optimizer), vars(gradients))}) == 1


def test_adam_minimises_a_parabola() -> None:
    optimizer = gradients.Adam(lr=0.1)
    params = {"x": np.array([3.0, -5.0])}
    state = optimizer.init(params)
    for _ in range(500):
        params, state = optimizer.update(params, {"x": 2.0 * params["x"]}, state)
    np.testing.assert_allclose(params["x"], 0.0, atol=1e-3)
