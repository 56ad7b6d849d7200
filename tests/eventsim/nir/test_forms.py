"""Convolutions and pools of NIR are those of PyTorch, whatever form they take here."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import eventsim as es

nir = pytest.importorskip("nir", reason="the extra io is not installed")
torch = pytest.importorskip("torch", reason="the extra torch is not installed")

from eventsim.nir import load  # noqa: E402  # needs the extra


def loaded(image: tuple[int, ...], *between: Any, r: Any = 1.0) -> Any:
    """The weights of the only projection of a graph, and the shape of its targets."""
    cell = nir.I(np.array(r))
    names = [f"n{k}" for k in range(len(between))]
    nodes = {"in": nir.Input(np.array(image)), **dict(zip(names, between, strict=True))}
    nodes |= {"cell": cell, "out": nir.Output(None)}
    chain = ["in", *names, "cell", "out"]
    graph = nir.NIRGraph(nodes, list(pairwise(chain)), type_check=False)
    (projection,) = load(graph)[0].projections.values()
    return projection.weights


def dense(weights: Any) -> np.ndarray:
    if isinstance(weights, es.Convolution):
        start, target, parameter = weights.synapses()
        made = np.zeros(weights.shape)
        rows = np.repeat(np.arange(weights.shape[0]), np.diff(start))
        np.add.at(made, (rows, target), weights.kernel.ravel()[parameter])
        return made
    return weights.toarray() if hasattr(weights, "toarray") else weights


def assert_same(weights: Any, image: np.ndarray, expected: Any) -> None:
    made = image.ravel() @ dense(weights)
    np.testing.assert_allclose(made, expected.numpy().ravel(), rtol=1e-12, atol=1e-12)


def tensor(array: np.ndarray) -> Any:
    return torch.from_numpy(array)


sizes = st.integers(1, 7)
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@pytest.mark.filterwarnings("ignore:Using padding='same'")  # torch copies what it pads
@given(
    st.tuples(sizes, sizes), pairs, pairs, st.tuples(st.integers(0, 3), st.integers(0, 3)), pairs,
    st.integers(1, 2), st.integers(1, 2), st.booleans(), st.integers(0, 99),
)  # fmt: skip
def test_convolutions(
    size: Any, extent: Any, stride: Any, padding: Any, dilation: Any, groups: int, channels: int,
    same: bool, seed: int,
) -> None:  # fmt: skip
    pads: Any = "same" if same else padding
    stride = (1, 1) if same else stride
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, extent, strict=True)]
    pairs_of = zip(size, padding, spans, strict=True)
    assume(same or all(n + 2 * p >= span for n, p, span in pairs_of))
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(2 * groups, channels, *extent))
    image = rng.normal(size=(channels * groups, *size))
    node = nir.Conv2d(None, weight, stride, pads, dilation, groups, np.zeros(2 * groups))
    weights = loaded(image.shape, node)
    expected = torch.nn.functional.conv2d(
        tensor(image)[None], tensor(weight), None, stride, pads, dilation, groups
    )
    assert_same(weights, image, expected)


@given(sizes, st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2))
def test_convolutions_in_one_dimension(
    size: int, extent: int, stride: int, padding: int, dilation: int
) -> None:
    assume(size + 2 * padding >= dilation * (extent - 1) + 1)
    rng = np.random.default_rng([size, extent, stride, padding, dilation])
    weight, image = rng.normal(size=(3, 2, extent)), rng.normal(size=(2, size))
    node = nir.Conv1d(size, weight, stride, padding, dilation, 1, np.zeros(3))
    expected = torch.nn.functional.conv1d(
        tensor(image)[None], tensor(weight), None, stride, padding, dilation
    )
    assert_same(loaded(image.shape, node), image, expected)


@given(
    st.tuples(st.integers(3, 9), st.integers(3, 9)), st.integers(1, 3), st.integers(1, 3),
    st.integers(0, 1), st.integers(1, 3), st.integers(1, 2), st.integers(0, 2), st.booleans(),
    st.booleans(),
)  # fmt: skip
def test_pools_beside_convolutions(
    size: Any, window: int, step: int, pad: int, extent: int, stride: int, padding: int,
    average: bool, first: bool,
) -> None:  # fmt: skip
    rng = np.random.default_rng([*size, window, step, pad, extent, stride, padding])
    weight, image = rng.normal(size=(2, 3, extent, extent)), rng.normal(size=(3, *size))
    conv = nir.Conv2d(None, weight, stride, padding, 1, 1, np.zeros(2))
    kind = nir.AvgPool2d if average else nir.SumPool2d
    pool = kind(*(np.array([n, n]) for n in (window, step, pad)))
    assume(pad <= window // 2)

    def pooled(x: Any) -> Any:
        mean = torch.nn.functional.avg_pool2d(x, window, step, pad)
        return mean if average else mean * window**2

    def convolved(x: Any) -> Any:
        return torch.nn.functional.conv2d(x, tensor(weight), None, stride, padding)

    try:
        x = tensor(image)[None]
        expected = convolved(pooled(x)) if first else pooled(convolved(x))
    except RuntimeError:  # it does not fit
        return
    nodes = (pool, conv) if first else (conv, pool)
    assert_same(loaded(image.shape, *nodes), image, expected)


def conv(extent: int = 3, stride: int = 1, padding: int = 1) -> Any:
    return nir.Conv2d(None, np.ones((2, 2, extent, extent)), stride, padding, 1, 1, np.zeros(2))


def sums(window: int = 2, stride: int = 2, padding: int = 0) -> Any:
    return nir.SumPool2d(*(np.array([n, n]) for n in (window, stride, padding)))


def test_an_image_of_34_by_34_has_16_by_16_places() -> None:
    weights = loaded((2, 34, 34), conv(5, 2, 1))
    assert isinstance(weights, es.Convolution)
    assert (weights.output, weights.stride, weights.padding) == ((2, 16, 16), 2, 1)


@pytest.mark.parametrize(
    ("nodes", "places", "geometry"),
    [
        ([sums(), conv()], 4, (6, 2, 2)),
        ([conv(), sums()], 4, (4, 2, 1)),
        ([conv(), nir.Scale(np.array(0.5))], 8, (3, 1, 1)),
    ],
)
def test_what_is_a_convolution_stays_one(nodes: Any, places: int, geometry: Any) -> None:
    r = np.repeat([1.0, 2.0], places**2).reshape(2, places, places)
    weights = loaded((2, 8, 8), *nodes, r=r)
    assert isinstance(weights, es.Convolution)
    assert (weights.kernel.shape[2], weights.stride, weights.padding) == geometry
    np.testing.assert_array_equal(weights.kernel[1], 2.0 * weights.kernel[0])


@pytest.mark.parametrize(
    "nodes",
    [
        [nir.Conv2d(None, np.ones((2, 2, 3, 3)), 1, 1, 2, 1, np.zeros(2))],
        [nir.Conv2d(None, np.ones((2, 1, 3, 3)), 1, 1, 1, 2, np.zeros(2))],
        [nir.Conv2d(None, np.ones((2, 2, 3, 3)), 1, 3, 1, 1, np.zeros(2))],
        [nir.Conv2d(None, np.ones((2, 2, 3, 3)), (1, 2), 1, 1, 1, np.zeros(2))],
        [nir.Conv2d(None, np.ones((2, 2, 2, 2)), 1, "same", 1, 1, np.zeros(2))],
        [sums(3, 2), conv()],
        [sums(2, 2, 1), conv()],
        [conv(), conv()],
        [conv(), nir.Scale(np.arange(128.0).reshape(2, 8, 8))],
    ],
)
def test_what_is_none_becomes_a_sparse_matrix(nodes: Any) -> None:
    weights = loaded((2, 8, 8), *nodes)
    assert weights.format == "csr"
    assert weights.has_sorted_indices


def test_dense_matrices_may_have_more_dimensions() -> None:
    rng = np.random.default_rng(0)
    weight, x = rng.normal(size=(2, 4, 3)), rng.normal(size=(2, 3))
    weights = loaded((2, 3), nir.Linear(weight))
    np.testing.assert_allclose(
        x.ravel() @ dense(weights), np.einsum("boi,bi->bo", weight, x).ravel()
    )


@pytest.mark.parametrize(
    ("start", "end", "shape"),
    [(0, -1, (24,)), (1, -1, (2, 12)), (0, 1, (6, 4)), (1, 1, (2, 3, 4)), (-2, 2, (2, 12))],
)
def test_flatten_keeps_the_order(start: int, end: int, shape: Any) -> None:
    node = nir.Flatten({"input": np.array([2, 3, 4])}, start, end)
    weights = loaded((2, 3, 4), node, r=np.ones(shape))
    np.testing.assert_array_equal(dense(weights), np.eye(24))
