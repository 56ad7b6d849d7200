"""Poisson spikes with noise: Algorithm 1 to the letter, and rates in closed form."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.integrate import quad
from scipy.stats import norm

torch = pytest.importorskip("torch", reason="the extra torch is not installed")

from scenarios.leak.noise import (  # noqa: E402
    KINDS,
    STRENGTHS,
    Noise,
    _draw_on_device,
    input_spikes,
    normalised,
    rates,
)

PIXELS = np.float32([-1.0, -0.6, -0.1, 0.0, 0.2, 0.75, 1.0])


def literal(pixels, noise, n, rng):
    """Algorithm 1 as it stands: noise, then a comparison with a random number, pixel by pixel."""
    x = np.broadcast_to(pixels, (n, pixels.size)).copy()
    xi = np.zeros_like(x)
    if noise.kind == "gaussian":
        xi = rng.normal(0.0, noise.strength, x.shape)
    else:
        hit = rng.random(x.shape) < noise.strength
        end = rng.choice([-1.0, 1.0], x.shape)
        xi = np.where(hit, end - x if noise.scenario == 1 else 2.0 * end, 0.0)
    if noise.scenario == 1:
        noisy = x + xi
        return np.sign(noisy) * (np.abs(noisy) > rng.random(x.shape))
    return np.sign(x) * (np.abs(x) > rng.random(x.shape)) + xi


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scenario", [1, 2])
@pytest.mark.parametrize("severity", [1, 5, 8])
def test_inputs_are_distributed_as_algorithm_1_says(kind, scenario, severity):
    noise, n = Noise(kind, scenario, severity), 20_000
    expected = literal(PIXELS, noise, n, np.random.default_rng(1))
    image = PIXELS.reshape(1, 1, -1, 1)
    found = input_spikes(image, n, np.random.default_rng(2), noise=noise).numpy().reshape(n, -1)
    for power in (1, 2, 4):  # the moments of the inputs, within five standard errors
        one, two = expected**power, found**power
        error = 5.0 * np.sqrt((one.var(axis=0) + two.var(axis=0)) / n) + 1e-4
        assert np.all(np.abs(one.mean(axis=0) - two.mean(axis=0)) < error)
    if scenario == 1:
        assert set(np.unique(found)) <= {-1.0, 0.0, 1.0}
    after = np.corrcoef(found[:-1, 3], found[1:, 3])[0, 1]  # steps are independent
    assert not abs(after) > 5.0 / math.sqrt(n)


@pytest.mark.slow
@given(st.floats(-1.0, 1.0, width=32), st.sampled_from(range(1, 9)))
def test_gaussian_rates_are_the_integral(pixel, severity):
    noise = Noise("gaussian", 1, severity)
    positive, negative = rates(np.float32([pixel]), noise)
    density = norm(0.0, noise.strength).pdf

    def expected(x):
        inside = quad(lambda xi: (x + xi) * density(xi), -x, 1.0 - x)[0]
        return inside + norm.sf(1.0 - x, scale=noise.strength)

    assert positive[0] == pytest.approx(expected(pixel), abs=2e-6)
    assert negative[0] == pytest.approx(expected(-pixel), abs=2e-6)


@given(
    arrays(np.float32, 5, elements=st.floats(-1.0, 1.0, width=32)),
    st.sampled_from(KINDS),
    st.sampled_from([1, 2]),
    st.sampled_from(range(1, 9)),
)
def test_rates_are_probabilities_and_a_negative_pixel_is_a_mirror(pixels, kind, scenario, severity):
    noise = Noise(kind, scenario, severity)
    positive, negative = rates(pixels, noise)
    assert positive.dtype == negative.dtype == np.float32
    assert np.all((positive >= 0) & (negative >= 0) & (positive + negative <= 1 + 1e-6))
    np.testing.assert_array_equal(rates(-pixels, noise)[0], negative)
    if scenario == 2:  # the noise comes after the comparison
        np.testing.assert_array_equal(positive - negative, pixels)


def test_severities_rise():
    for strengths in STRENGTHS.values():
        assert len(strengths) == 8
        assert list(strengths) == sorted(set(strengths))
        assert strengths[0] > 0
    assert STRENGTHS["impulse"][-1] <= 1


def test_clean_rates_are_the_pixels():
    image = np.repeat(PIXELS, 500).reshape(1, 7, 500, 1)
    spikes = input_spikes(image, 40, np.random.default_rng(0))
    assert spikes.shape == (40, 1, 1, 7, 500)
    means = spikes.mean((0, 1, 2, 4)).numpy()
    np.testing.assert_allclose(means, PIXELS, atol=5 * 0.5 / math.sqrt(40 * 500))
    signs = np.sign(spikes.numpy()) * np.sign(PIXELS)[:, None]
    assert signs.min() >= 0  # a spike has the sign of its pixel
    assert means[3] == 0.0


def test_the_same_generator_gives_the_same_spikes():
    image = normalised(np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), dtype=np.uint8))
    for noise in (None, Noise("gaussian", 2, 3), Noise("impulse", 2, 3)):
        one, two, other = (
            input_spikes(image, 6, np.random.default_rng(seed), noise=noise) for seed in (5, 5, 6)
        )
        assert torch.equal(one, two)
        assert not torch.equal(one, other)


def test_what_is_drawn_on_a_device_has_the_same_rates():
    positive, negative = rates(np.repeat(PIXELS, 400), Noise("impulse", 1, 5))
    shape = (50, positive.size)
    spikes = _draw_on_device(
        shape, positive, negative, np.random.default_rng(0), torch.device("cpu")
    )
    counts = spikes.numpy().reshape(50, 7, 400)
    error = 5 * 0.5 / math.sqrt(50 * 400)
    np.testing.assert_allclose((counts > 0).mean((0, 2)), positive[::400], atol=error)
    np.testing.assert_allclose((counts < 0).mean((0, 2)), negative[::400], atol=error)


def test_channels_are_last_in_memory_and_of_the_asked_type():
    image = np.zeros((2, 4, 5, 3), np.float32)
    spikes = input_spikes(image, 7, np.random.default_rng(0), dtype=torch.bfloat16)
    assert spikes.dtype == torch.bfloat16
    folded = spikes.flatten(0, 1)
    assert folded.is_contiguous(memory_format=torch.channels_last)


@given(arrays(np.uint8, (2, 3, 3, 3)))
def test_images_are_brought_to_zero_mean_and_unit_range(images):
    values = normalised(images)
    assert values.dtype == np.float32
    assert np.abs(values).max() <= 1.0
    for value, image in zip(values, images, strict=True):
        if len(np.unique(image)) == 1:
            np.testing.assert_array_equal(value, 0.0)
        else:
            assert np.abs(value).max() == 1.0
            assert abs(value.mean()) < 1e-5


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("shot", 1, 1), "kind must be one of gaussian, impulse, got 'shot'"),
        (("gaussian", 3, 1), "scenario must be 1 or 2, got 3"),
        (("gaussian", 1, 0), "severity must be an integer >= 1, got 0"),
        (("gaussian", 1, 9), "severity must lie in 1 to 8, got 9"),
        (("impulse", 1, 2.5), "severity must be an integer >= 1, got 2.5"),
    ],
)
def test_noise_that_is_not_defined_is_refused(arguments, expected):
    with pytest.raises(ValueError, match=expected):
        Noise(*arguments)


def test_no_steps_are_refused():
    with pytest.raises(ValueError, match="n_steps must be an integer >= 1, got 0"):
        input_spikes(np.zeros((1, 2, 2, 1), np.float32), 0, np.random.default_rng(0))
