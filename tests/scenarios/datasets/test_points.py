"""The data sets are what they are said to be."""

import hashlib
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventsim._support.files import FileError
from scenarios.datasets import points as data
from scenarios.datasets.points import LabelledData, iris, stratified_split, yin_yang, yin_yang_class
from scenarios.datasets.sources import DATA_VARIABLE
from tests.helpers import idx_files
from tests.helpers.damage import emptied, flip

PUBLISHED_FILES = idx_files.PUBLISHED / "yin-yang"


@pytest.fixture(autouse=True)
def no_data_variable(monkeypatch):
    monkeypatch.delenv(DATA_VARIABLE, raising=False)


def as_file(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize("part", ["train", "validation", "test"])
@pytest.mark.parametrize("name", ["samples", "labels"])
def test_the_shipped_yin_yang_files_are_the_published_ones_bit_for_bit(part, name):
    loaded = yin_yang()[part]
    array = loaded.features if name == "samples" else loaded.labels
    expected = data.YIN_YANG_SHA256[f"{part}_{name}"]
    assert hashlib.sha256(as_file(array)).hexdigest() == expected


@pytest.mark.parametrize(
    ("part", "counts"),
    [("train", [1681, 1702, 1617]), ("validation", [316, 336, 348]), ("test", [350, 316, 334])],
)
def test_yin_yang_labels_agree_with_the_geometric_rule(part, counts):
    loaded = yin_yang()[part]
    x, y = loaded.features[:, 0], loaded.features[:, 1]
    np.testing.assert_array_equal(yin_yang_class(x, y), loaded.labels)
    np.testing.assert_array_equal(np.bincount(loaded.labels), counts)
    assert np.hypot(x - 0.5, y - 0.5).max() <= 0.5


def test_the_last_two_yin_yang_features_mirror_the_first_two():
    features = yin_yang()["train"].features
    np.testing.assert_array_equal(features[:, 2:], 1.0 - features[:, :2])


def test_iris_is_the_data_set_of_scikit_learn():
    flowers = iris()
    assert flowers.features.shape == (150, 4)
    np.testing.assert_array_equal(np.bincount(flowers.labels), [50, 50, 50])
    # Column means and the two rows in which scikit-learn follows Fisher's paper, not the UCI copy.
    np.testing.assert_allclose(
        flowers.features.mean(axis=0), [5.843333, 3.057333, 3.758, 1.199333], rtol=1e-6
    )
    np.testing.assert_array_equal(flowers.features[34], [4.9, 3.1, 1.5, 0.2])
    np.testing.assert_array_equal(flowers.features[37], [4.9, 3.6, 1.4, 0.1])


def test_a_stratified_split_holds_every_row_once_and_each_class_alike():
    labels = iris().labels
    train, test = stratified_split(labels, 1 / 3, np.random.default_rng(7))
    np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(150))
    np.testing.assert_array_equal(np.bincount(labels[test]), [17, 17, 17])


def test_a_split_depends_on_its_generator_only():
    labels = iris().labels
    one, two, other = (stratified_split(labels, 0.5, np.random.default_rng(s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(one[1], two[1])
    assert not np.array_equal(one[1], other[1])


def write_yin_yang(folder, n=10):
    """Write the first points of each published set, None: all."""
    for part, loaded in yin_yang().items():
        np.save(folder / f"{part}_samples.npy", loaded.features[:n])
        np.save(folder / f"{part}_labels.npy", loaded.labels[:n])


def test_yin_yang_reads_another_folder_by_argument_or_by_variable(tmp_path, monkeypatch):
    write_yin_yang(tmp_path)
    assert len(yin_yang(tmp_path)["test"]) == 10
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    assert len(yin_yang()["test"]) == 10


def test_yin_yang_may_lie_in_a_subfolder_of_the_data_folder(tmp_path, monkeypatch):
    (tmp_path / "yin-yang").mkdir()
    write_yin_yang(tmp_path / "yin-yang")
    assert len(yin_yang(tmp_path)["test"]) == 10
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    assert len(yin_yang()["test"]) == 10


def test_a_data_folder_without_yin_yang_leaves_the_shipped_copy(tmp_path, monkeypatch):
    (tmp_path / "mnist").mkdir()
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    assert len(yin_yang()["test"]) == 1000


def test_the_published_files_can_be_read_from_their_folder():
    if not PUBLISHED_FILES.is_dir():
        pytest.skip("EVENTSIM_DATA does not name the folder of the published files")
    np.testing.assert_array_equal(
        yin_yang(PUBLISHED_FILES)["train"].features, yin_yang()["train"].features
    )


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("test_labels.npy", None, "cannot be read: No such file"),
        ("test_samples.npy", b"\x93NUMPY", "is cut short: the start of a .npy array"),
        (
            "test_samples.npy",
            as_file(np.zeros((10, 3))),
            r"holds \(10, 3\) of float64; expected .* \(any, 4\) of",
        ),
        ("test_samples.npy", as_file(np.full((10, 4), 2.0)), "holds other features; expected x, y"),
        ("test_samples.npy", as_file(np.full((10, 4), np.nan)), "holds other features"),
        ("test_samples.npy", as_file(np.full((10, 4), 0.4)), "features; expected .* then 1-x, 1-y"),
        ("test_labels.npy", as_file(np.zeros(9)), r"holds \(9,\) of float64; expected .* \(10,\)"),
        (
            "test_labels.npy",
            as_file(np.full(10, 3)),
            r"holds the labels \[3\]; expected 0, 1 and 2",
        ),
        ("test_labels.npy", as_file(np.array([{}] * 10)), "is no array of numbers"),
    ],
)
def test_a_bad_data_file_is_named(tmp_path, file, content, message):
    write_yin_yang(tmp_path)
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(FileError, match=rf"{tmp_path / file} .*{message}"):
        yin_yang(tmp_path)


def test_another_set_of_the_size_of_the_published_one_is_read(tmp_path):
    write_yin_yang(tmp_path, n=None)
    rng = np.random.default_rng(0)
    points = 0.5 + 0.3 * rng.uniform(-1, 1, (1000, 2))
    labels = yin_yang_class(*points.T)
    np.save(tmp_path / "test_samples.npy", np.hstack([points, 1 - points]))
    np.save(tmp_path / "test_labels.npy", labels)
    found = yin_yang(tmp_path)["test"]
    np.testing.assert_array_equal(found.features[:, :2], points)
    np.testing.assert_array_equal(found.labels, labels)


@given(
    kind=st.sampled_from(["samples", "labels"]), place=st.integers(0, 2**15), bit=st.integers(0, 7)
)
def test_a_flipped_bit_of_a_published_file_is_refused(tmp_path_factory, kind, place, bit):
    """A .npy file has no checksum, so it is compared with the shipped one."""
    folder = emptied(tmp_path_factory.getbasetemp() / "flipped-yin-yang")
    write_yin_yang(folder, n=None)
    path = folder / f"test_{kind}.npy"
    flip(path, place, bit)
    with pytest.raises(FileError, match=rf"{path} .*; expected "):
        yin_yang(folder)


def test_a_label_of_the_published_files_may_not_be_changed(tmp_path):
    write_yin_yang(tmp_path, n=None)
    labels = yin_yang()["test"].labels
    labels[[3, 4]] = (labels[[3, 4]] + 1) % 3
    np.save(tmp_path / "test_labels.npy", labels)
    message = r"test_labels.npy holds the published numbers, but 2 of 1000 are others; expected"
    with pytest.raises(FileError, match=message):
        yin_yang(tmp_path)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_a_split_needs_a_fraction_between_nothing_and_all(fraction):
    with pytest.raises(ValueError, match="test_fraction must lie in"):
        stratified_split(np.zeros(4, int), fraction, np.random.default_rng(0))


def test_features_and_labels_must_fit_together():
    with pytest.raises(ValueError, match=r"got \(3, 2\) and \(2,\)"):
        LabelledData(np.zeros((3, 2)), np.zeros(2, int))
