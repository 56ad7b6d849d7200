"""Parameters as one tree: from a network, through an optimizer, back into the network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import eventsim as es
import gradients
from eventsim.model.parameters import DIFFERENTIABLE

KINDS = ("weights", "delays", "tau_mem", "tau_syn", "threshold", "bias", "rest", "reset")
STIMULUS = {"in": es.SpikeBatch.from_latencies([[0.1, 0.4], [0.3, 0.2]])}
LABELS = np.array([0, 1])
LOSS = gradients.MembraneCrossEntropy("out").of(LABELS)


def network() -> es.Network:
    """Dense and sparse weights, a kernel, one delay and one for each synapse, two receptors."""
    rng = np.random.default_rng(0)
    net = es.Network()
    net.add_input("in", 2)
    net.add_population("hidden", 3, es.LIF(tau_mem=2.0, tau_syn=[1.0, 0.5, 0.7], threshold=0.4))
    slow = {"exc": 0.5, "inh": [1.0, 2.0]}
    net.add_population("out", 2, es.LIF(1.0, slow, threshold=50.0, rest=-0.2, reset=[-0.1, 0.1]))
    net.connect("in", "hidden", weights=rng.normal(2.0, 0.5, (2, 3)), delays=0.1)
    some = sparse.csr_array(([1.0, 2.0], ([0, 2], [1, 0])), shape=(3, 2))
    net.connect("hidden", "out", weights=some, delays=0.1 * some)
    net.connect("in", "out", weights=-rng.uniform(0.5, 1.0, (2, 2)), receptor="inh")
    net.connect("in", "hidden", weights=es.Convolution(np.ones((3, 1, 1, 2)), (1, 2)))
    return net


def leaves(tree: dict) -> Iterator[Any]:
    """The arrays and numbers of a tree, in order."""
    for leaf in tree.values():
        yield from leaves(leaf) if isinstance(leaf, dict) else [leaf]


def values_of(leaf: Any) -> np.ndarray:
    return leaf.data if sparse.issparse(leaf) else np.asarray(leaf)


def flat(tree: dict) -> list[float]:
    """All numbers of a tree, in order."""
    return [number for leaf in leaves(tree) for number in np.ravel(values_of(leaf)).tolist()]


kinds = st.lists(st.sampled_from(KINDS), unique=True)


@given(kinds)
def test_parameters_put_back_are_the_same_network(kinds: list[str]) -> None:
    net = network()
    tree = net.parameters(kinds)
    assert list(tree) == kinds
    again = net.replace(tree)
    assert flat(again.parameters(None)) == flat(net.parameters(None))


@pytest.mark.slow
@given(kinds)
def test_a_step_is_that_of_each_array_alone(kinds: list[str]) -> None:
    net, adam = network(), gradients.Adam(0.01, weight_decay=0.1)
    _, gradient, _ = gradients.value_and_grad(net, STIMULUS, LOSS, 1.0, wrt=DIFFERENTIABLE)
    tree = net.parameters(kinds)
    moved, state = adam.update(tree, gradient, adam.init(tree))
    expected: list[float] = []
    slopes = {kind: gradient.tree[kind] for kind in tree}
    for leaf, slope in zip(leaves(tree), leaves(slopes), strict=True):
        params, grads = ({"w": values_of(x)} for x in (leaf, slope))
        alone, _ = adam.update(params, grads, adam.init(params))
        expected.extend(np.ravel(alone["w"]).tolist())
    assert flat(moved) == expected
    assert flat(net.replace(moved).parameters(kinds)) == expected
    assert state["mean"].keys() == tree.keys()
    again, _ = adam.update(moved, gradient, state)
    assert flat(again) != flat(moved) or not kinds


def test_the_norm_that_is_clipped_is_that_of_all_kinds_together() -> None:
    params = {"weights": {"a": np.zeros(1)}, "delays": {"a": 0.0}}
    slopes = {"weights": {"a": np.array([3.0])}, "delays": {"a": 4.0}}
    sgd = gradients.SGD(1.0, clip_norm=1.0)
    moved, _ = sgd.update(params, slopes, sgd.init(params))
    assert (moved["weights"]["a"][0], float(moved["delays"]["a"])) == pytest.approx((-0.6, -0.8))


def test_what_is_taken_out_of_the_tree_stays() -> None:
    net, sgd = network(), gradients.SGD(0.1)
    _, gradient, _ = gradients.value_and_grad(net, STIMULUS, LOSS, 1.0)
    tree = net.parameters()
    first = tree["weights"].pop(("in", "hidden"))
    moved = net.replace(sgd.update(tree, gradient, sgd.init(tree))[0])
    np.testing.assert_array_equal(moved.projections["in", "hidden"].weights, first)
    assert np.any(
        moved.projections["hidden", "out"].values != net.projections["hidden", "out"].values
    )


def test_the_tree_of_a_network_is_the_callers_own() -> None:
    net = network()
    tree = net.parameters(None)
    before = flat(net.parameters(None))
    for leaf in leaves(tree):
        values_of(leaf)[...] = 7.0
    assert flat(net.parameters(None)) == before


def test_a_tree_takes_the_place_of_what_new_neurons_have() -> None:
    new = {"hidden": es.LIF(3.0)}
    neuron = network().replace({"bias": {"hidden": 0.5}}, neurons=new).neurons["hidden"]
    assert (neuron.tau_mem, neuron.bias) == (3.0, 0.5)


def test_a_receptor_that_is_not_named_keeps_its_time_constant() -> None:
    tau_syn = network().replace({"tau_syn": {"out": {"exc": 0.25}}}).neurons["out"].tau_syn
    assert list(tau_syn) == ["exc", "inh"]
    assert tau_syn["exc"] == 0.25
    np.testing.assert_array_equal(tau_syn["inh"], [1.0, 2.0])


def test_training_weights_shares_the_structure_and_other_parameters_do_not() -> None:
    net = network()
    assert net.replace(net.parameters()).structure is net.structure
    assert net.replace(net.parameters(["bias"])).structure is not net.structure


KEY = ("hidden", "out")


def step(params: dict, grads: dict) -> None:
    sgd = gradients.SGD(0.1)
    sgd.update(params, grads, sgd.init(params))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda net: net.parameters(["weight"]), r"kinds must hold some of .*, got \['weight'\]"),
        (lambda net: net.parameters("weights"), "kinds must hold some of .*, got 'weights'"),
        (lambda net: net.replace({"weight": {}}), "parameters must hold some of .*'weight'"),
        (lambda net: net.replace({"weights": 3}), "weights must be a dict, got 3"),
        (lambda net: net.replace({"bias": {"in": 1.0}}), "bias must name one of .*, got 'in'"),
        (
            lambda net: net.replace({"tau_mem": {"out": [1.0, -2.0]}}),
            r"tau_mem must be > 0, got -2\.0",
        ),
        (lambda net: net.replace({"delays": {("in", "hidden"): -0.5}}), r"delays .* -0\.5"),
        (lambda net: net.replace({"bias": {"out": [1.0] * 3}}), r"same length, got .*'bias': 3"),
        (
            lambda net: net.replace(net.parameters(), weights={KEY: np.eye(2)}),
            "weights must be given once",
        ),
        (
            lambda _: step({"bias": {"a": np.zeros(2)}}, {"bias": {"a": np.zeros(3)}}),
            r"gradient of 'bias'\['a'\] must have shape \(2,\), got \(3,\)",
        ),
        (
            lambda _: step({"bias": {"a": np.array([np.nan])}}, {"bias": {"a": [1.0]}}),
            r"params\['bias'\]\['a'\] must be finite, got nan",
        ),
        (
            lambda net: step(net.parameters(), {"weights": {KEY: np.eye(2)}}),
            r"gradient of 'weights'\[\('in', 'hidden'\)\] must have shape \(2, 3\), got None",
        ),
        (
            lambda net: step(
                {"w": net.projections[KEY].weights},
                {"w": sparse.csr_array(([1.0, 2.0], ([0, 1], [1, 0])), shape=(3, 2))},
            ),
            "gradient of 'w' must have the 2 entries",
        ),
        (
            lambda _: gradients.SGD(0.1).update(
                {"a": {"b": [0.0]}}, {"a": {"b": [0.0]}},
                {"step": 0, "mean": {"a": {"b": [0.0], "c": [0.0]}}},
            ),
            r"state: mean must hold \['a'\['b'\]\] alone, got 'a'\['c'\]",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(call, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        call(network())
