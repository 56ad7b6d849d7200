"""Images with their classes: what fits together, and what training changes at random."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.datasets.labelled_images import LabelledImages, mirrored, shifted


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((3, 784), np.uint8), np.zeros(3, int), r"got \(3, 784\) of uint8"),
        (np.zeros((3, 28, 28)), np.zeros(3, int), r"got \(3, 28, 28\) of float64"),
        (np.zeros((2, 8, 8, 3, 1), np.uint8), np.zeros(2, int), r"got \(2, 8, 8, 3, 1\)"),
        (np.zeros((3, 28, 28), np.uint8), np.zeros(4, int), r"shape \(3,\), got \(4,\)"),
        (np.zeros((2, 8, 8, 3), np.uint8), np.zeros(3, int), r"shape \(2,\), got \(3,\)"),
        (np.zeros((2, 8, 8), np.uint8), np.array([0.5, 1.0]), "labels must be integers.* float64"),
    ],
)
def test_images_and_labels_must_fit_together(images, labels, message):
    with pytest.raises(ValueError, match=message):
        LabelledImages(images, labels)


def test_pixels_and_classes_are_checked():
    some = LabelledImages(np.zeros((2, 4, 4), np.uint8), np.array([0, 2]))
    some.check(16, 3)
    with pytest.raises(ValueError, match=r"images must have 15 pixels, got \(4, 4\)"):
        some.check(15, 3)
    with pytest.raises(ValueError, match="labels must lie in 0 to 1, got 2"):
        some.check(16, 2)
    with pytest.raises(ValueError, match=r"at least one, got shape \(0, 4, 4\)"):
        some[:0].check(16, 3)


def test_more_images_than_there_are_are_refused():
    some = LabelledImages(np.zeros((2, 32, 32, 3), np.uint8), np.zeros(2, int))
    assert len(some.first(None, "n_test")) == len(some.first(2, "n_test")) == 2
    with pytest.raises(ValueError, match="n_test must be <= 2, the number of images, got 3"):
        some.first(3, "n_test")


@given(
    st.integers(0, 3), st.integers(1, 4), st.integers(1, 4), st.sampled_from([(), (1,), (3,)]),
    st.sampled_from(["black", "edge"]), st.integers(0, 100),
)  # fmt: skip
def test_a_shifted_image_is_the_image_elsewhere(most, height, width, channels, border, seed):
    """Each is one of all moves of its image, with black or the edge where nothing came from."""
    rng = np.random.default_rng(seed)
    images = rng.integers(1, 256, (5, height, width, *channels), dtype=np.uint8)
    span = range(-most, most + 1)
    found = shifted(images, most, rng, border=border)
    for image, one in zip(images, found, strict=True):
        places = [naive_move(image, down, right, border) for down in span for right in span]
        assert any(np.array_equal(one, place) for place in places)


def naive_move(image, down, right, border):
    """One image, pixel by pixel."""
    height, width = image.shape[:2]
    found = np.zeros_like(image)
    for r in range(height):
        for c in range(width):
            row, column = r - down, c - right
            if border == "edge":
                row, column = min(max(row, 0), height - 1), min(max(column, 0), width - 1)
            if 0 <= row < height and 0 <= column < width:
                found[r, c] = image[row, column]
    return found


def test_all_moves_are_as_likely():
    images = np.zeros((9000, 3, 3), np.uint8)
    images[:, 1, 1] = 255
    counts = (shifted(images, 1, np.random.default_rng(0)) == 255).sum(axis=0)
    assert counts.sum() == 9000
    assert abs(counts - 1000).max() < 5 * math.sqrt(1000)


def test_a_move_of_less_than_nothing_is_refused():
    with pytest.raises(ValueError, match="most must be >= 0, got -1"):
        shifted(np.zeros((1, 2, 2), np.uint8), -1, np.random.default_rng(0))


def test_half_of_the_images_are_mirrored_left_to_right():
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3), dtype=np.uint8)
    before = images.copy()
    seen = mirrored(images, np.random.default_rng(1))
    kept = (seen == images).all((1, 2, 3))
    turned = (seen == images[:, :, ::-1]).all((1, 2, 3))
    assert np.all(kept ^ turned)
    assert 15 < kept.sum() < 45
    np.testing.assert_array_equal(images, before)
