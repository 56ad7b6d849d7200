"""Between neurons: what random graphs send is what their nodes say, one after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import eventsim as es

nir = pytest.importorskip("nir", reason="the extra io is not installed")

from eventsim.nir import load  # noqa: E402  # needs the extra

KINDS = ("Scale", "Delay", "Conv2d", "SumPool2d", "Flatten", "Affine")


def drawn(kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
    """A node that takes images of a shape, and the shape of what it makes."""
    n = int(np.prod(shape))
    if kind == "Scale":
        return nir.Scale(rng.normal(size=shape)), shape
    if kind == "Delay":
        return nir.Delay(rng.integers(0, 3, shape) * 0.5), shape
    if kind == "Flatten":
        return nir.Flatten({"input": None}, 0), (n,)
    if kind == "Affine":
        return nir.Affine(rng.normal(size=(3, n)), rng.normal(size=3)), (3,)
    if kind == "SumPool2d":
        pool = nir.SumPool2d(np.array([2, 2]), np.array([1, 1]), np.array([0, 0]))
        return pool, (shape[0], shape[1] - 1, shape[2] - 1)
    weight, bias = rng.normal(size=(2, shape[0], 3, 3)), rng.normal(size=2)
    return nir.Conv2d(None, weight, 1, 1, 1, 1, bias), (2, *shape[1:])


def dense(values: Any) -> np.ndarray:
    """A matrix, or a number."""
    if isinstance(values, es.Convolution):
        start, target, parameter = values.synapses()
        entries = values.kernel.ravel()[parameter], target, start
        values = scipy.sparse.csr_array(entries, shape=values.shape)
    return values.toarray() if scipy.sparse.issparse(values) else np.asarray(values)


@st.composite
def linear_graphs(draw: st.DrawFn) -> Any:
    """An image that runs through layers of nodes, each of which has several of the layer before."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    nodes: dict[str, Any] = {"in": nir.Input(np.array([1, 4, 4]))}
    edges, layer, shape = [], ["in"], (1, 4, 4)
    for k in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(KINDS))
        if kind in ("Conv2d", "SumPool2d") and (len(shape) == 1 or shape[1] < 3):
            kind = "Flatten" if len(shape) > 1 else "Delay"
        if kind == "Affine" and len(shape) > 1:
            kind = "Scale"
        new = []
        for j in range(draw(st.integers(1, 2))):
            name = f"{kind}{k}{j}"
            nodes[name], made = drawn(kind, shape, rng)
            new.append(name)
            edges += [(pre, name) for pre in draw(st.sets(st.sampled_from(layer), min_size=1))]
        layer, shape = new, made
    one = np.ones(shape)
    nodes |= {"li": nir.LI(one, one, 0.0 * one), "out": nir.Output(np.array(shape))}
    edges += [(pre, "li") for pre in layer] + [("li", "out")]
    used = {a for a, _ in edges}
    dead = [name for name in nodes if name not in used and name != "out"]
    assume(not dead)
    return nir.NIRGraph(nodes, edges, type_check=False)


def sent(node: Any, x: np.ndarray) -> np.ndarray:
    """What a node without delay makes of an image."""
    if isinstance(node, nir.Scale):
        return x * node.scale
    if isinstance(node, nir.Affine):
        return node.weight @ x
    if isinstance(node, nir.Flatten):
        return x.ravel()
    if isinstance(node, nir.SumPool2d):
        return x[:, 1:, 1:] + x[:, :-1, 1:] + x[:, 1:, :-1] + x[:, :-1, :-1]
    padded = np.pad(x, [(0, 0), (1, 1), (1, 1)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    return np.einsum("ocyx,cijyx->oij", node.weight, windows)


def later(node: Any, signal: dict[float, np.ndarray]) -> dict[float, np.ndarray]:
    """What a node makes of images that come at times."""
    if not isinstance(node, nir.Delay):
        return {t: sent(node, x) for t, x in signal.items()}
    made: dict[float, np.ndarray] = {}
    for t, x in signal.items():
        for lag in np.unique(node.delay):
            made[t + lag] = made.get(t + lag, 0.0) + np.where(node.delay == lag, x, 0.0)
    return made


def answer(graph: Any, k: int) -> dict[float, np.ndarray]:
    """What comes to the neurons of a spike of place k of the input, or (-1) of all biases."""
    signals: dict[str, dict[float, np.ndarray]] = {}
    for name, each in graph.nodes.items():
        if name == "in":
            signals[name] = {0.0: np.eye(17)[k, :16].reshape(1, 4, 4)}  # -1: no spike
            continue
        given: dict[float, np.ndarray] = {}
        for a, b in graph.edges:
            if b == name:
                for t, x in signals[a].items():
                    given[t] = given.get(t, 0.0) + x
        if name == "li":
            return given
        signals[name] = later(each, given)
        if k < 0 and hasattr(each, "bias"):
            bias = each.bias if isinstance(each, nir.Affine) else each.bias[:, None, None]
            silence = 0.0 * next(iter(signals[name].values()))
            signals[name][0.0] = signals[name].get(0.0, silence) + bias
    raise AssertionError("no neurons")


@settings(max_examples=settings().max_examples // 2)
@given(linear_graphs())
def test_what_comes_to_neurons_is_what_the_nodes_before_send(made: Any) -> None:
    network, _ = load(made)
    n = network.populations["li"]
    found: dict[tuple[int, float], np.ndarray] = {}
    for (pre, *_), projection in network.projections.items():
        weights, delays = dense(projection.weights), dense(projection.delays)
        delays = np.broadcast_to(delays, weights.shape)
        for k, i in zip(*np.nonzero(weights), strict=True):
            at = (-1 if pre == "bias" else int(k), float(delays[k, i]))
            found.setdefault(at, np.zeros(n))[i] += weights[k, i]
    constant = np.broadcast_to(network.neurons["li"].bias, n)
    found[-1, 0.0] = found.get((-1, 0.0), 0.0) + constant
    for k in range(-1, 16):
        expected = answer(made, k)
        for at in {t for j, t in found if j == k} | expected.keys():
            ours = found.get((k, at), np.zeros(n))
            theirs = np.ravel(expected.get(at, np.zeros(n)))
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)
