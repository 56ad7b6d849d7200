"""The latency codes of the papers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import eventsim as es
from scenarios.datasets.encoding import (
    earlier_for_larger,
    jitter,
    latency,
    later_for_larger,
    with_bias,
)

IMAGES = arrays(
    np.uint8,
    array_shapes(min_dims=2, max_dims=4, min_side=0, max_side=5),
    elements=st.sampled_from([0, 1, 127, 128, 254, 255]),
)
UNIT = st.lists(st.floats(0, 1), min_size=1, max_size=8).map(np.array)


@given(UNIT, st.floats(0, 5), st.floats(0, 5))
def test_later_for_larger_keeps_the_order_and_the_range(values, early, span):
    times = later_for_larger(values, t_early=early, t_late=early + span)
    assert np.all((times >= early) & (times <= (early + span) * (1 + 1e-15)))
    assert np.all(np.diff(times[np.argsort(values)]) >= 0)


def test_the_extremes_of_a_feature_fire_at_the_ends_of_the_window():
    features = np.array([[1.0, -5.0], [2.0, 5.0], [4.0, 0.0]])
    times = earlier_for_larger(features, t_max=16.0)
    np.testing.assert_array_equal(times.min(axis=0), [0.0, 0.0])
    np.testing.assert_array_equal(times.max(axis=0), [16.0, 16.0])
    np.testing.assert_array_equal(times.argmin(axis=0), features.argmax(axis=0))


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.int64, np.float16, np.float32])
def test_features_of_any_type_are_scaled_in_float64(kind):
    """Where the span of int8 wraps around, the span of float16 is infinite, unsigned has no -."""
    info = np.iinfo(kind) if np.issubdtype(kind, np.integer) else np.finfo(kind)
    features = np.array([[info.min], [info.max], [0], [1], [100]], dtype=kind)
    expected = earlier_for_larger(features.astype(np.float64), t_max=16.0)
    times = earlier_for_larger(features, t_max=16.0)
    assert times.dtype == np.float64
    np.testing.assert_array_equal(times, expected)
    assert times[0, 0] == 16.0
    assert times[1, 0] == 0.0


def test_the_bias_source_comes_last():
    assert with_bias(np.zeros((3, 4)), 0.9).shape == (3, 5)
    np.testing.assert_array_equal(with_bias(np.zeros((3, 4)), 0.9)[:, -1], 0.9)


def expected_spikes(image, t_max, invert, drop_silent, threshold):
    """Time and source of each spike of one image, pixel by pixel."""
    spikes = []
    for source, grey in enumerate(image.ravel().tolist()):
        intensity = (255 - grey if invert else grey) / 255
        if intensity >= threshold and not (drop_silent and intensity == 0.0):
            spikes.append((t_max * (1.0 - intensity), source))
    return sorted(spikes)


@given(IMAGES, st.floats(1e-3, 10), st.booleans(), st.booleans(), st.floats(0, 1))
def test_each_pixel_fires_at_the_time_that_says_its_intensity(
    images, t_max, invert, drop_silent, threshold
):
    options = {"invert": invert, "drop_silent": drop_silent, "threshold": threshold}
    batch = latency(images, t_max=t_max, **options)
    assert len(batch) == len(images)
    for k, image in enumerate(images):
        part = slice(batch.offsets[k], batch.offsets[k + 1])
        spikes = list(zip(batch.times[part].tolist(), batch.indices[part].tolist(), strict=True))
        assert spikes == expected_spikes(image, t_max, **options)


def test_images_in_any_memory_are_encoded_alike():
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (4, 6, 6), dtype=np.uint8)
    read_only = np.frombuffer(images.tobytes(), np.uint8).reshape(images.shape)
    for same in (read_only, np.asfortranarray(images), np.repeat(images, 2, axis=2)[:, :, ::2]):
        np.testing.assert_array_equal(latency(same).times, latency(images).times)
        np.testing.assert_array_equal(latency(same).indices, latency(images).indices)
    assert images.flags.writeable


def test_a_minibatch_is_that_part_of_the_whole():
    images = np.random.default_rng(4).integers(0, 256, (9, 5, 5), dtype=np.uint8)
    rows = np.array([7, 0, 3])
    whole, part = latency(images)[rows], latency(images[rows])
    for name in ("times", "indices", "offsets", "order"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(part, name))


def test_a_tiny_window_may_leave_no_room_between_grey_values():
    """Equal times are in the order of their sources, whatever the grey values."""
    images = np.array([[255, 254, 255, 253, 254]], np.uint8)
    batch = latency(images, t_max=5e-324)
    np.testing.assert_array_equal(batch.times, 0.0)
    np.testing.assert_array_equal(batch.indices, np.arange(5))


def noisy(std, seed=0, t_max=1.0):
    images = np.random.default_rng(8).integers(0, 256, (20, 10, 10), dtype=np.uint8)
    batch = latency(images)
    return batch, jitter(batch, std, np.random.default_rng(seed), t_max=t_max)


@pytest.mark.parametrize("std", [1e-3, 0.05, 1.0, 1e6])
def test_jitter_moves_each_spike_by_its_own_draw_and_keeps_it_in_the_window(std):
    batch, moved = noisy(std)
    draws = np.random.default_rng(0).normal(0.0, std, batch.times.size)
    times = np.clip(batch.times + draws, 0.0, 1.0)
    expected = es.SpikeBatch(times, batch.indices, batch.samples, len(batch))
    for name in ("times", "indices", "offsets"):
        np.testing.assert_array_equal(getattr(moved, name), getattr(expected, name))


def test_jitter_depends_on_its_generator_only():
    one, two, other = (noisy(0.1, seed)[1] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.times, two.times)
    np.testing.assert_array_equal(one.indices, two.indices)
    assert not np.array_equal(one.times, other.times)


def test_no_jitter_changes_nothing():
    batch, moved = noisy(0.0)
    np.testing.assert_array_equal(moved.times, batch.times)
    np.testing.assert_array_equal(moved.indices, batch.indices)


def test_samples_without_spikes_stay_so():
    batch = es.SpikeBatch([0.3], [2], [1], 3)
    moved = jitter(batch, 0.1, np.random.default_rng(0), t_max=1.0)
    np.testing.assert_array_equal(moved.offsets, [0, 0, 1, 1])
    nothing = es.SpikeBatch([], [], [], 2)
    assert len(jitter(nothing, 0.1, np.random.default_rng(0), t_max=1.0)) == 2


BYTES = np.zeros((2, 3), np.uint8)
BATCH = es.SpikeBatch.from_latencies([[0.2, 1.5]])
RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: latency(np.zeros((2, 3))), r"of uint8, got \(2, 3\) of float64"),
        (lambda: latency(np.zeros(3, np.uint8)), r"\(n_samples, ...\) of uint8, got \(3,\)"),
        (lambda: latency([[0, 255]]), r"got \(1, 2\) of list"),
        (lambda: latency(BYTES, t_max=0.0), "t_max must be finite and > 0, got 0.0"),
        (lambda: latency(BYTES, t_max=np.inf), "t_max must be finite and > 0, got inf"),
        (lambda: latency(BYTES, t_max=np.nan), "t_max must be finite and > 0, got nan"),
        (lambda: latency(BYTES, threshold=-0.1), r"threshold must lie in \[0, 1\], got -0.1"),
        (lambda: latency(BYTES, threshold=128), r"threshold must lie in \[0, 1\], got 128"),
        (lambda: latency(BYTES, threshold=np.nan), r"threshold must lie in \[0, 1\], got nan"),
        (lambda: jitter(BATCH, -0.1, RNG, t_max=2.0), "std must be finite and >= 0, got -0.1"),
        (lambda: jitter(BATCH, np.nan, RNG, t_max=2.0), "std must be finite and >= 0, got nan"),
        (lambda: jitter(BATCH, 0.1, RNG, t_max=-1.0), "t_max must be finite and > 0, got -1.0"),
        (lambda: jitter(BATCH, 0.1, RNG, t_max=1.0), "not be later than t_max = 1.0, got 1.5"),
    ],
)
def test_images_and_noise_that_cannot_be_encoded_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: later_for_larger(np.array([1.5]), t_early=0, t_late=1),
            r"lie in \[0, 1\], got.*1.5",
        ),
        (lambda: later_for_larger(np.array([np.nan]), t_early=0, t_late=1), r"\[0, 1\], got.*nan"),
        (lambda: later_for_larger(np.array([0.5]), t_early=2.0, t_late=1.0), "got 2.0 and 1.0"),
        (lambda: later_for_larger(np.array([0.5]), t_early=-1.0, t_late=1.0), "got -1.0 and 1.0"),
        (lambda: earlier_for_larger(np.ones((3, 2)), t_max=1.0), r"feature 0 spans \[1.0, 1.0\]"),
        (lambda: earlier_for_larger(np.array([[0.0], [np.inf]]), t_max=1.0), "must be finite"),
        (lambda: earlier_for_larger(np.array([[0.0], [1.0]]), t_max=0.0), "t_max is 0.0"),
        (
            lambda: earlier_for_larger(np.array([[1.0, -1.5e308], [2.0, 1.5e308]]), t_max=1.0),
            r"feature 1 spans \[-1.5e\+308, 1.5e\+308\]",
        ),
        (lambda: with_bias(np.zeros((1, 1)), np.inf), "got 0.0 and inf"),
    ],
)
def test_bad_values_are_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()
