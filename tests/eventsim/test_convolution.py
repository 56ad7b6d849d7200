"""Convolutions and pools: the geometry against loops, and the network against a dense matrix."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

import eventsim as es
import gradients
from tests.helpers.feedforward import assert_same_gradient, dense
from tests.helpers.models import assert_same_run
from tests.helpers.strategies import examples


@st.composite
def convolutions(draw: st.DrawFn, max_channels: int = 3) -> es.Convolution:
    """Kernels and images of any proportions, with strides that leave a rest or skip places."""
    c_out, c_in = draw(st.integers(1, max_channels)), draw(st.integers(1, max_channels))
    extents = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    stride = draw(st.integers(1, 4))
    padding = draw(st.integers(0, min(extents) - 1))
    image = [draw(st.integers(max(1, extent - 2 * padding), extent + 8)) for extent in extents]
    kernel = np.random.default_rng(draw(st.integers(0, 99))).normal(size=(c_out, c_in, *extents))
    return es.Convolution(kernel, tuple(image), stride, padding)


def by_loops(conv: es.Convolution) -> tuple[np.ndarray, np.ndarray]:
    """The weight matrix, and the place in the flat kernel of each weight (-1: none)."""
    c_out, c_in, kh, kw = conv.kernel.shape
    h, w = conv.image
    _, rows, columns = conv.output
    matrix = np.zeros((c_in * h * w, c_out * rows * columns))
    place = np.full(matrix.shape, -1)
    ranges = (range(n) for n in (c_out, rows, columns, c_in, h, w))
    for o, i, j, c, y, x in itertools.product(*ranges):
        dy, dx = y - conv.stride * i + conv.padding, x - conv.stride * j + conv.padding
        if 0 <= dy < kh and 0 <= dx < kw:
            pre, post = (c * h + y) * w + x, (o * rows + i) * columns + j
            matrix[pre, post] = conv.kernel[o, c, dy, dx]
            place[pre, post] = np.ravel_multi_index((o, c, dy, dx), conv.kernel.shape)
    return matrix, place


def folded(values: np.ndarray, conv: es.Convolution) -> np.ndarray:
    """Sum over all synapses that share a weight."""
    _, place = by_loops(conv)
    there = place >= 0
    flat = np.bincount(place[there], weights=values[there], minlength=conv.kernel.size)
    return flat.reshape(conv.kernel.shape)


# --- geometry -------------------------------------------------------------------------------------


@given(convolutions())
def test_synapses_are_those_of_the_definition(conv: es.Convolution) -> None:
    matrix, place = by_loops(conv)
    assert conv.shape == matrix.shape
    indptr, target, parameter = conv.synapses()
    row = np.repeat(np.arange(conv.shape[0]), np.diff(indptr))
    assert row.size == np.count_nonzero(place >= 0)
    found = np.full(place.shape, -1)
    found[row, target] = parameter
    np.testing.assert_array_equal(found, place)


@given(convolutions())
@examples(0.3)
def test_patches_say_which_source_lies_where(conv: es.Convolution) -> None:
    """The kernel applied to the patches is the matrix applied to the image."""
    matrix, _ = by_loops(conv)
    image = np.random.default_rng(0).normal(size=conv.shape[0])
    pre, place, within = conv.patches()
    flat = conv.kernel.reshape(conv.kernel.shape[0], -1)
    out = np.zeros((flat.shape[0], np.prod(conv.output[1:])))
    for p, q, e in zip(pre, place, within, strict=True):
        out[:, q] += flat[:, e] * image[p]
    np.testing.assert_allclose(out.ravel(), image @ matrix, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("kernel", "image", "stride", "padding", "output"),
    [
        ((6, 1, 5, 5), (28, 28), 1, 0, (6, 24, 24)),
        ((16, 6, 5, 5), (12, 12), 1, 0, (16, 8, 8)),
        ((2, 3, 3, 3), (7, 9), 2, 1, (2, 4, 5)),
        ((1, 1, 2, 4), (4, 4), 2, 0, (1, 2, 1)),
        ((1, 1, 4, 4), (1, 1), 1, 3, (1, 4, 4)),
        ((1, 1, 5, 5), (34, 34), 2, 1, (1, 16, 16)),
        ((3, 2, 2, 2), (5, 6), 3, 1, (3, 2, 3)),
        ((1, 1, 1, 1), (5, 4), 3, 0, (1, 2, 2)),
        ((1, 1, 3, 3), (4, 3), 9, 0, (1, 1, 1)),
    ],
)
def test_sizes_of_the_output(
    kernel: tuple[int, ...], image: tuple[int, int], stride: int, padding: int, output: Any
) -> None:
    conv = es.Convolution(np.ones(kernel), image, stride, padding)
    assert conv.output == output
    assert conv.shape == (kernel[1] * image[0] * image[1], int(np.prod(output)))


@given(convolutions())
@examples(0.5)
def test_the_matrix_is_that_of_pytorch(conv: es.Convolution) -> None:
    image = np.random.default_rng(1).normal(size=(conv.kernel.shape[1], *conv.image))
    expected = torch.nn.functional.conv2d(
        torch.tensor(image)[None], torch.tensor(conv.kernel), None, conv.stride, conv.padding
    )[0]
    assert conv.output == expected.shape
    found = image.ravel() @ by_loops(conv)[0]
    np.testing.assert_allclose(found, expected.numpy().ravel(), rtol=1e-12, atol=1e-12)


def test_whole_numbers_of_numpy_are_whole_numbers() -> None:
    two, one = np.int64(2), np.int32(1)
    conv = es.Convolution(np.ones((1, 1, 3, 3)), (np.int64(5), 5), stride=two, padding=one)
    assert (conv.output, conv.image) == ((1, 3, 3), (5, 5))
    assert all(type(n) is int for n in (conv.stride, conv.padding, *conv.image))


def test_a_kernel_is_kept_as_given() -> None:
    kernel = np.arange(4.0).reshape(1, 1, 2, 2)
    conv = es.Convolution(kernel, (3, 3))
    kernel[:] = 9.0
    np.testing.assert_array_equal(conv.kernel.ravel(), [0.0, 1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="read-only"):
        conv.kernel[0] = 1.0
    other = conv.with_kernel(kernel)
    assert (other.image, other.stride, other.padding) == ((3, 3), 1, 0)
    np.testing.assert_array_equal(other.kernel, kernel)


@pytest.mark.parametrize(
    ("image", "window", "stride"),
    [
        ((2, 4, 6), 2, None), ((1, 5, 3), 3, 2), ((3, 3, 3), 1, None),
        ((2, 5, 7), 2, None), ((1, 6, 4), 3, 2), ((1, 8, 6), 2, 3),
    ],
)  # fmt: skip
def test_a_pool_has_a_weight_of_1_within_each_window(
    image: tuple[int, int, int], window: int, stride: int | None
) -> None:
    channels, h, w = image
    step = window if stride is None else stride
    rows, columns = (h - window) // step + 1, (w - window) // step + 1
    expected = np.zeros((channels, h, w, channels, rows, columns))
    for c, i, j in itertools.product(range(channels), range(rows), range(columns)):
        y, x = i * step, j * step
        expected[c, y : y + window, x : x + window, c, i, j] = 1.0
    found = es.pooling(image, window, stride)
    assert scipy.sparse.issparse(found)
    np.testing.assert_array_equal(
        found.toarray(), expected.reshape(channels * h * w, channels * rows * columns)
    )
    assert found.nnz == np.count_nonzero(expected)


@given(convolutions(max_channels=2))
@examples(0.5)
def test_sum_and_earliest_pools_are_those_of_pytorch(conv: es.Convolution) -> None:
    """PyTorch pads by half a window at most."""
    window, channels = conv.kernel.shape[2], conv.kernel.shape[1]
    padding = min(conv.padding, window // 2)
    assume(window <= conv.image[1] + 2 * padding and window <= conv.image[0] + 2 * padding)
    image = np.random.default_rng(2).uniform(size=(channels, *conv.image))
    matrix = es.pooling(image.shape, window, conv.stride, padding)
    given_image, where = torch.tensor(image)[None], (window, conv.stride, padding)
    sums = window**2 * torch.nn.functional.avg_pool2d(given_image, *where)[0]
    np.testing.assert_allclose(image.ravel() @ matrix, sums.numpy().ravel(), rtol=1e-12)
    earliest = -torch.nn.functional.max_pool2d(-given_image, *where)[0]
    times = np.where(matrix.toarray() > 0.0, image.ravel()[:, None], np.inf)
    np.testing.assert_array_equal(times.min(axis=0), earliest.numpy().ravel())


# --- in a network ---------------------------------------------------------------------------------


def pair(
    seed: int = 0, stride: int = 1, **lif: Any
) -> tuple[es.Network, es.Network, dict[str, es.SpikeBatch]]:
    """in -> conv -> conv -> out: once with convolutions, once with their dense matrices.

    Steps of the first one that are longer than 1 leave a rest.
    """
    rng = np.random.default_rng(seed)
    image = 5 * stride, 6 * stride
    first = es.Convolution(rng.normal(2.5, 1.5, (2, 1, 3, 3)), image, stride=stride, padding=1)
    second = es.Convolution(rng.normal(1.0, 1.0, (3, 2, 2, 2)), (5, 6), stride=1)
    readout = rng.normal(0.0, 0.5, (second.shape[1], 2))
    networks = []
    for as_dense in (False, True):
        network = es.Network()
        network.add_input("in", first.shape[0])
        network.add_population("a", 60, es.LIF(**lif))
        network.add_population("b", 60, es.LIF(**lif))
        network.add_population("out", 2, es.LIF(threshold=np.inf))
        for pre, post, conv, delay in (("in", "a", first, 0.0), ("a", "b", second, 0.2)):
            network.connect(
                pre, post, weights=by_loops(conv)[0] if as_dense else conv, delays=delay
            )
        network.connect("b", "out", weights=readout)
        networks.append(network)
    latencies = rng.uniform(0.0, 2.0, (3, first.shape[0]))
    return networks[0], networks[1], {"in": es.SpikeBatch.from_latencies(latencies)}


NEURONS = [
    {},
    {"refractory": np.inf},
    {"bias": 0.2, "refractory": 0.3},
    pytest.param(
        {"tau_mem": np.linspace(0.5, 2.0, 60), "threshold": np.linspace(0.8, 1.2, 60)},
        marks=pytest.mark.jit,
    ),
]


@pytest.mark.parametrize("lif", NEURONS, ids=["plain", "once", "bias", "each"])
@pytest.mark.parametrize("stride", [1, pytest.param(2, marks=pytest.mark.jit)])
@pytest.mark.parametrize("engine", ["layered", "scheduler"])
def test_a_convolution_is_its_dense_matrix(engine: str, stride: int, lif: dict[str, Any]) -> None:
    """Spikes, potentials and all gradients, those by the matrix folded onto the kernel."""
    short, full, stimulus = pair(stride=stride, **lif)
    found, expected = (es.simulate(n, stimulus, 2.5, engine=engine) for n in (short, full))
    assert found.spike_counts("b").sum() > 20
    assert_same_run(found, expected, rtol=1e-12)
    a = {name: np.sin(np.arange(len(found.spikes[name]))) for name in ("a", "b")}
    v = {"out": np.array([[1.0, -2.0]] * 3)}
    ours, theirs = (
        gradients.timing_backprop(run, spike_times=a, potentials=v) for run in (found, expected)
    )
    kinds = ("delays", "tau_mem", "tau_syn", "threshold", "bias", "input_times")
    assert_same_gradient(ours, theirs, kinds=kinds)
    for key in (("in", "a"), ("a", "b")):
        conv = short.projections[key].weights
        by_kernel = folded(theirs.weights[key], conv)
        assert ours.weights[key].shape == conv.kernel.shape
        np.testing.assert_allclose(
            ours.weights[key], by_kernel, rtol=0, atol=1e-10 * np.abs(by_kernel).max()
        )


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize(("stride", "rest"), [(1, 0), (2, 0), (2, 1), (4, 3)])
@pytest.mark.parametrize(
    "channels", [1, *(pytest.param(n, marks=pytest.mark.jit) for n in (31, 40))]
)
def test_any_geometry_and_number_of_channels(
    channels: int, stride: int, rest: int, padding: int
) -> None:
    rng = np.random.default_rng(channels)
    size = 3 + 2 * stride + rest - 2 * padding
    conv = es.Convolution(
        rng.normal(3.0, 2.0, (channels, 2, 3, 3)), (size, size), stride=stride, padding=padding
    )
    results = []
    for weights, engine in ((conv, "layered"), (conv, "scheduler"), (by_loops(conv)[0], "layered")):
        network = es.Network()
        network.add_input("in", conv.shape[0])
        network.add_population("p", conv.shape[1], es.LIF())
        network.connect("in", "p", weights=weights, delays=0.1)
        latencies = np.random.default_rng(1).uniform(0.0, 2.0, (2, conv.shape[0]))
        batch = es.SpikeBatch.from_latencies(latencies)
        results.append(es.simulate(network, {"in": batch}, 2.5, engine=engine))
    assert len(results[0].spikes["p"]) > channels
    for other in results[1:]:
        assert_same_run(results[0], other, rtol=1e-12)


def test_convolutions_may_be_mixed_with_other_synapses() -> None:
    """Two convolutions and a sparse matrix onto one population of two kinds of neurons."""
    rng = np.random.default_rng(3)
    convs = [es.Convolution(rng.normal(2.0, 1.0, (2, 1, 2, 2)), (3, 4)) for _ in range(2)]
    extra = scipy.sparse.random_array((5, 12), density=0.5, rng=rng, format="csr")
    results, found = [], []
    for as_dense, engine in ((False, "layered"), (False, "scheduler"), (True, "layered")):
        network = es.Network()
        network.add_input("in", 12)
        network.add_input("more", 5)
        network.add_population("p", 12, es.LIF(tau_mem=np.tile([1.0, 2.0, 2.0], 4)))
        for conv, delay in zip(convs, (0.0, 0.3), strict=True):
            network.connect(
                "in", "p", weights=by_loops(conv)[0] if as_dense else conv, delays=delay
            )
        network.connect("more", "p", weights=extra, delays=extra * 0.1)
        stimulus = {
            name: es.SpikeBatch.from_latencies(np.random.default_rng(n).uniform(0.0, 2.0, (3, n)))
            for name, n in (("in", 12), ("more", 5))
        }
        result = es.simulate(network, stimulus, 3.0, engine=engine)
        results.append(result)
        found.append(gradients.timing_backprop(result, potentials={"p": np.ones((3, 12))}))
    assert len(results[0].spikes["p"]) > 20
    assert_same_run(results[0], results[1], rtol=1e-12)
    assert_same_run(results[0], results[2], rtol=1e-12)
    assert_same_gradient(found[0], found[1])
    for conv, key in zip(convs, (("in", "p"), ("in", "p", 1)), strict=True):
        np.testing.assert_allclose(
            found[0].weights[key], folded(found[2].weights[key], conv), rtol=1e-10, atol=1e-12
        )


@pytest.mark.parametrize("engine", ["scheduler", "windows"])
def test_a_convolution_may_be_recurrent(engine: str) -> None:
    rng = np.random.default_rng(4)
    conv = es.Convolution(rng.normal(0.1, 0.5, (2, 2, 3, 3)), (4, 4), padding=1)
    results = []
    for weights in (conv, by_loops(conv)[0]):
        network = es.Network()
        network.add_input("in", 32)
        network.add_population("p", 32, es.LIF(refractory=0.1))
        network.connect("in", "p", weights=np.full((32, 32), 0.5))
        network.connect("p", "p", weights=weights, delays=0.25)
        batch = es.SpikeBatch.from_latencies(np.random.default_rng(5).uniform(0.0, 2.0, (2, 32)))
        results.append(es.simulate(network, {"in": batch}, 3.0, engine=engine))
    assert len(results[0].spikes["p"]) > 100
    assert_same_run(results[0], results[1], rtol=1e-10)
    v = {"p": np.ones((2, 32))}
    ours, theirs = (gradients.timing_backprop(result, potentials=v) for result in results)
    expected = folded(theirs.weights["p", "p"], conv)
    np.testing.assert_allclose(ours.weights["p", "p"], expected, rtol=1e-7, atol=1e-9)


# --- the other methods ----------------------------------------------------------------------------


def test_all_methods_differentiate_by_the_kernel() -> None:
    """Sweep, transposed solve on the graph, forward propagation and directional derivative."""
    short, _, stimulus = pair(seed=1, stride=2)
    result = es.simulate(short, stimulus, 2.5, engine="layered")[1]
    a = {name: np.cos(np.arange(len(result.spikes[name]))) for name in ("a", "b")}
    v = {"out": np.array([0.5, -1.0])}
    graph = result.causality()
    sweep = gradients.timing_backprop(result, spike_times=a, potentials=v)
    solved = gradients.timing_backprop(graph, spike_times=a, potentials=v)
    assert_same_gradient(solved, sweep)
    times_only = gradients.timing_backprop(result, spike_times=a)
    by_weights = gradients.forward_propagation(graph)
    cotangent = np.concatenate([a["a"], a["b"]])[np.argsort(_record_order(result), kind="stable")]
    flat = np.concatenate([times_only.weights[key].ravel() for key in short.projections])
    np.testing.assert_allclose(by_weights.T @ cotangent, flat, rtol=1e-9, atol=1e-10)
    rng = np.random.default_rng(2)
    direction = {key: rng.normal(size=times_only.weights[key].shape) for key in short.projections}
    moved = gradients.jvp(result, weights=direction)
    forward = sum(float(moved[name] @ a[name]) for name in a)
    backward = sum(float(np.sum(direction[key] * times_only.weights[key])) for key in direction)
    assert forward == pytest.approx(backward, rel=1e-9)


def _record_order(result: es.Result) -> np.ndarray:
    """Where the spikes of "a", then of "b", stand in the record."""
    return np.concatenate([result.batch.positions(name) for name in ("a", "b")])


@pytest.mark.jit
@pytest.mark.parametrize("engine", ["layered", "scheduler"])
def test_kernel_gradients_agree_with_central_differences(engine: str) -> None:
    short, _, stimulus = pair(seed=2, stride=2)
    key = ("a", "b")
    kernel = short.projections[key].weights.kernel
    run = es.simulate(short, stimulus, 2.5, engine=engine)
    found = gradients.timing_backprop(run, potentials={"out": np.ones((3, 2))}).weights[key]

    def loss(flat: np.ndarray) -> float:
        network = short.replace(weights={key: flat.reshape(kernel.shape)})
        return float(es.simulate(network, stimulus, 2.5, engine=engine).potential("out").sum())

    for k in (0, 5, 17):
        step = np.zeros(kernel.size)
        step[k] = 1e-6
        difference = (loss(kernel.ravel() + step) - loss(kernel.ravel() - step)) / 2e-6
        assert found.ravel()[k] == pytest.approx(difference, rel=1e-5, abs=1e-7)


def test_a_synapse_of_the_graph_names_its_own_ends() -> None:
    """Weights are shared, synapses are not: each has its ``(key, pre, post)``."""
    short, full, stimulus = pair()
    graphs = [
        es.simulate(n, stimulus, 1.2, engine="scheduler")[0].causality().to_networkx()
        for n in (short, full)
    ]
    labels = [
        {
            (s.synapse[0], s.synapse[1], s.synapse[2], s.weight)
            for _, _, edge in graph.edges(data=True)
            for s in edge.get("synapses", ())
            if s.weight != 0.0
        }
        for graph in graphs
    ]
    assert labels[0] == labels[1]
    assert len(labels[0]) > 100


# --- as a projection ------------------------------------------------------------------------------


def test_replace_takes_a_kernel_and_keeps_the_geometry() -> None:
    short, _, stimulus = pair()
    key = ("in", "a")
    old = short.projections[key].weights
    for value in (2.0 * old.kernel, old.with_kernel(2.0 * old.kernel)):
        new = short.replace(weights={key: value})
        assert new.projections[key].weights.output == old.output
        np.testing.assert_array_equal(new.projections[key].values, 2.0 * old.kernel.ravel())
        np.testing.assert_array_equal(short.projections[key].weights.kernel, old.kernel)
        fresh = es.Network()
        fresh.add_input("in", old.shape[0])
        fresh.add_population("a", old.shape[1], es.LIF())
        fresh.connect("in", "a", weights=old.with_kernel(2.0 * old.kernel))
        for engine in ("layered", "scheduler"):
            found, expected = (
                es.simulate(network, stimulus, 0.8, engine=engine).spikes["a"]
                for network in (new, fresh)
            )
            assert len(found) > 0
            np.testing.assert_array_equal(found.times, expected.times)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ({"stride": 2}, r"\('in', 'a'\) must keep the stride 1 of the convolution, got 2"),
        ({"padding": 0}, "must keep the padding 1 of the convolution, got 0"),
        ({"image": (6, 5)}, r"must keep the image \(5, 6\) of the convolution, got \(6, 5\)"),
    ],
)
def test_a_convolution_of_another_geometry_is_refused(other: dict[str, Any], expected: str) -> None:
    """Also where it connects as many neurons: replaced values keep the structure."""
    short, _, _ = pair()
    old = short.projections["in", "a"].weights
    with pytest.raises(ValueError, match=expected):
        short.replace(weights={("in", "a"): dataclasses.replace(old, **other)})


def test_a_network_counts_the_synapses_of_a_convolution() -> None:
    network = es.Network()
    network.add_input("in", 9)
    network.add_population("p", 8, es.LIF())
    network.connect("in", "p", weights=es.Convolution(np.ones((2, 1, 2, 2)), (3, 3)))
    assert "synapses=32" in repr(network)


@given(convolutions())
def test_synapses_are_counted_as_they_are_listed(conv: es.Convolution) -> None:
    assert conv.n_synapses == conv.synapses()[1].size


def test_a_large_convolution_is_described_without_listing_its_synapses() -> None:
    conv = es.Convolution(np.ones((1, 1, 2, 2)), (30_000, 30_000))
    assert conv.n_synapses == 4 * 29_999**2


def test_a_convolution_has_no_more_neurons_than_can_be_numbered() -> None:
    with pytest.raises(ValueError, match=r"image must have at most 2147483647 neurons.*2500000000"):
        es.Convolution(np.ones((1, 1, 2, 2)), (50_000, 50_000))


def test_the_channels_of_a_pool_are_pools_of_their_own() -> None:
    one, many = es.pooling((1, 3, 4), 2, 1), es.pooling((3, 3, 4), 2, 1)
    expected = scipy.sparse.block_diag([one] * 3)
    np.testing.assert_array_equal(many.toarray(), expected.toarray())
    assert es.pooling((100_000, 1, 1), 1).shape == (100_000, 100_000)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ((10**8, 10, 10), 2),
            "image must have at most 2147483647 neurons, got one of 10{10}",
        ),
        (((1, 4, 4), 10**6), r"a window of 1000000 must fit"),
        (((1, 4, 4), 2, 1.5), r"stride must be an integer >= 1, got 1\.5"),
        (((1, 10**30, 4), 2), r"image must be at most 9223372036854775807, got 10{12}"),
    ],
)
def test_a_pool_beyond_all_bounds_is_refused_before_it_is_made(
    arguments: tuple, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        es.pooling(*arguments)


def test_sum_pooling_is_a_pool_with_a_weight() -> None:
    network = es.Network()
    network.add_input("in", 16)
    network.add_population("p", 4, es.LIF(threshold=np.inf))
    network.connect("in", "p", weights=0.5 * es.pooling((1, 4, 4), 2))
    result = es.simulate(network, {"in": es.Spikes(np.zeros(16), np.arange(16))}, 0.0)
    np.testing.assert_array_equal(result.current("p"), np.full(4, 2.0))
    assert dense(network.projections["in", "p"].weights).sum() == 8.0


def test_a_sum_pool_with_a_rest_is_its_dense_matrix_in_all_engines() -> None:
    rng = np.random.default_rng(8)
    slope, latencies = rng.normal(size=(4, 12)), rng.uniform(0.0, 1.0, (4, 60))
    weights = 3.0 * es.pooling((2, 5, 6), 2, stride=3, padding=1)
    assert weights.shape == (60, 12)
    results, found = [], []
    for matrix, engine in (
        (weights, "layered"), (weights, "scheduler"), (weights.toarray(), "layered")
    ):  # fmt: skip
        network = es.Network()
        network.add_input("in", 60)
        network.add_population("p", 12, es.LIF())
        key = network.connect("in", "p", weights=matrix, delays=0.1)
        batch = es.SpikeBatch.from_latencies(latencies)
        results.append(es.simulate(network, {"in": batch}, 2.5, engine=engine))
        found.append(gradients.timing_backprop(results[-1], potentials={"p": slope}).weights[key])
    assert len(results[0].spikes["p"]) > 10
    for result in results[1:]:
        assert_same_run(results[0], result, rtol=1e-12)
    there = dense(weights) > 0.0
    for gradient in found:
        np.testing.assert_allclose(
            dense(gradient)[there], dense(found[0])[there], rtol=1e-9, atol=1e-11
        )
