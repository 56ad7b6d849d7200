"""What is exported to NIR comes back the same, and what NIR cannot say is an error."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

import eventsim as es
from eventsim._support.files import FileError

nir = pytest.importorskip("nir", reason="the extra io is not installed")

from eventsim.nir import export, load, save  # noqa: E402  # needs the extra

WIDTH = 0.05


def node(kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
    values = {
        "r": (0.8, 1.5), "v_leak": (-0.2, 0.2), "v_threshold": (0.5, 1.2), "v_reset": (-0.5, 0.1),
        "tau": (1.0, 3.0), "tau_mem": (1.0, 3.0), "tau_syn": (0.3, 0.8), "w_in": (0.7, 1.4),
    }  # fmt: skip
    known = getattr(nir, kind).__dataclass_fields__
    own = {k: rng.uniform(*v, shape) for k, v in values.items() if k in known}
    return getattr(nir, kind)(**own)


KINDS = ("CubaLIF", "LIF", "IF", "CubaLI", "LI", "I")


@st.composite
def graphs(draw: st.DrawFn) -> Any:
    """Layers of neurons of all kinds with biases and delays, the last one perhaps recurrent."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(1, 4))
    nodes: dict[str, Any] = {"in": nir.Input(np.array([n]))}
    edges = []
    last = "in"
    for k in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(KINDS[:3]))
        m = draw(st.integers(1, 4))
        biased = draw(st.booleans())
        weight = rng.uniform(-0.5, 2.0, (m, n))
        between: list[Any] = [
            nir.Affine(weight, rng.normal(0.0, 0.2, m)) if biased else nir.Linear(weight)
        ]
        if draw(st.booleans()):
            between.insert(0, nir.Delay(np.broadcast_to(rng.uniform(0.1, 0.5, draw(
                st.sampled_from([1, n]))), n).copy()))  # fmt: skip
        elif not biased and draw(st.booleans()):
            between.append(nir.Delay(rng.uniform(0.1, 0.5, m)))
        names = [last, *(f"b{k}{j}" for j in range(len(between))), f"z{9 - k}"]
        nodes |= dict(zip(names[1:-1], between, strict=True)) | {names[-1]: node(kind, (m,), rng)}
        edges += pairwise(names)
        last, n = names[-1], m
    if draw(st.booleans()):
        nodes |= {
            "back": nir.Linear(rng.normal(0.0, 0.3, (n, n))),
            "lag": nir.Delay(np.full(n, 0.25)),
        }
        edges += [(last, "lag"), ("lag", "back"), ("back", last)]
    if draw(st.booleans()):
        reader = draw(st.sampled_from(KINDS[3:]))
        nodes |= {"w": nir.Linear(rng.normal(size=(2, n))), "read": node(reader, (2,), rng)}
        edges += [(last, "w"), ("w", "read")]
        last, n = "read", 2
    nodes["out"] = nir.Output(np.array([n]))
    order = rng.permutation(len(edges) + 1)
    edges.append((last, "out"))
    return nir.NIRGraph(nodes, [edges[k] for k in order])


@given(made=graphs(), width=st.sampled_from([None, WIDTH]))
def test_what_was_loaded_comes_back_to_the_bit(made: Any, width: float | None) -> None:
    units = {} if width is None else {"spike_area": width, "spike_width": width}
    network, _ = load(made, **units)
    again, _ = load(export(network, dt=width), **units)
    if width is None:
        assert again.is_same(network)
    else:  # the scale of currents that decay is rounded
        assert list(again.projections) == list(network.projections)
        for key, projection in network.projections.items():
            np.testing.assert_allclose(projection.values, again.projections[key].values, rtol=1e-15)


@settings(max_examples=5)
@given(made=graphs())
def test_what_was_loaded_comes_back_out_of_a_file(made: Any, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.mktemp("nir") / "net.nir"
    network, _ = load(made)
    save(path, network)
    assert load(path)[0].is_same(network)
    assert load(nir.read(path))[0].is_same(network)


def net(lif: es.LIF | None = None, **connect: Any) -> es.Network:
    """2 inputs -> 3 neurons."""
    network = es.Network()
    network.add_input("in", 2)
    network.add_population("a", 3, lif or es.LIF(tau_mem=2.0, tau_syn=0.5))
    network.connect("in", "a", **({"weights": np.arange(6.0).reshape(2, 3)} | connect))
    return network


def test_spikes_of_a_network_that_comes_back_are_the_same() -> None:
    rng = np.random.default_rng(0)
    network = net(
        es.LIF(tau_mem=[2.0, 3.0, 1.5], tau_syn=0.5), weights=rng.uniform(1.0, 4.0, (2, 3))
    )
    network.connect("a", "a", weights=rng.normal(size=(3, 3)), delays=0.3)
    network.add_population("b", 4, es.LIF(tau_mem=2.0, tau_syn=0.0, threshold=0.5))
    network.connect(
        "a",
        "b",
        weights=rng.uniform(0.0, 0.5, (3, 4)),
        delays=rng.uniform(0.1, 1.0, (3, 1)) + np.zeros((3, 4)),
    )
    network.connect("in", "b", weights=scipy.sparse.csr_array([[0.1, 0, 0, 0], [0, 0, 0.2, 0]]))
    again, _ = load(export(network))
    given = {"in": es.Spikes(np.sort(rng.uniform(0.0, 9.0, 60)), rng.integers(0, 2, 60))}
    ours, theirs = (es.simulate(each, given, 10.0).spikes for each in (network, again))
    for name in ("a", "b"):
        assert len(ours[name]) > 10
        np.testing.assert_array_equal(ours[name].indices, theirs[name].indices)
        np.testing.assert_allclose(ours[name].times, theirs[name].times, rtol=1e-13)
    np.testing.assert_array_equal(ours["a"].times, theirs["a"].times)


def images() -> es.Network:
    """An image, two convolutions and a readout, with biases of each channel."""
    rng = np.random.default_rng(1)
    made = {
        "input": nir.Input(np.array([2, 7, 6])), "zero": node("CubaLIF", (3, 4, 3), rng),
        "one": node("LIF", (2, 2, 2), rng), "read": node("CubaLI", (4,), rng),
        "c0": nir.Conv2d((7, 6), rng.normal(size=(3, 2, 3, 3)), 2, 1, 1, 1, np.array([1, 7, 3.0])),
        "c1": nir.Conv2d((4, 3), rng.normal(size=(2, 3, 3, 2)), 1, 0, 1, 1, np.array([0.1, 0.2])),
        "flat": nir.Flatten({"input": np.array([2, 2, 2])}, 0), "out": nir.Output(np.array([4])),
        "w": nir.Affine(rng.normal(size=(4, 8)), rng.normal(size=4)),
    }  # fmt: skip
    for name in ("zero", "one"):  # alike at all places of a channel
        cell = made[name]
        for field in ("r", "w_in", "tau_mem", "tau_syn", "tau"):
            if hasattr(cell, field):
                values = getattr(cell, field)
                setattr(cell, field, values[:, :1, :1] + np.zeros_like(values))
    chain = ["input", "c0", "zero", "c1", "one", "flat", "w", "read", "out"]
    return load(nir.NIRGraph(made, list(pairwise(chain)), type_check=False))[0]


def test_convolutions_come_back_as_such(tmp_path: Path) -> None:
    network = images()
    graph = export(network)
    kinds = [type(each).__name__ for each in graph.nodes.values()]
    assert (kinds.count("Conv2d"), kinds.count("Flatten")) == (2, 1)
    save(tmp_path / "image.nir", network)
    assert load(tmp_path / "image.nir")[0].is_same(network)


def test_matrices_onto_an_image_make_it_flat() -> None:
    network = images()
    network.connect("input", "one", weights=np.ones((84, 8)))
    again, _ = load(export(network))
    for key, projection in network.projections.items():
        ours, theirs = projection.weights, again.projections[key].weights
        if isinstance(ours, es.Convolution) and not isinstance(theirs, es.Convolution):
            assert key[1] == "one"
        else:
            np.testing.assert_array_equal(projection.values, again.projections[key].values)


def test_neurons_connected_one_to_one_have_a_scale() -> None:
    network = net()
    network.add_population("b", 3, es.LIF(tau_mem=2.0, tau_syn=0.5))
    network.connect("a", "b", es.one_to_one(3, 3, weights=0.7, delays=0.2))
    graph = export(network)
    np.testing.assert_array_equal(graph.nodes["a_b"].scale, [0.7] * 3)
    assert load(graph)[0].is_same(network)


def test_delays_of_sources_and_targets_come_back_as_such() -> None:
    delays = np.add.outer([0.1, 0.3], [0.7, 0.2, 0.5])
    again, _ = load(export(net(delays=delays)))
    np.testing.assert_allclose(again.projections["in", "a"].delays, delays, rtol=1e-15)


def test_a_step_makes_weights_those_of_spikes_that_last_for_it() -> None:
    graph = export(net(), dt=1e-3)
    own = graph.nodes["a"]
    np.testing.assert_allclose(own.w_in * 1e-3, 0.5, rtol=1e-15)
    again, _ = load(graph, spike_area=1e-3)
    np.testing.assert_allclose(
        again.projections["in", "a"].weights, np.arange(6.0).reshape(2, 3), rtol=1e-15
    )


def test_populations_that_lead_to_no_other_are_outputs() -> None:
    network = net()
    assert "output" in export(network).nodes
    network.add_population("b", 1, es.LIF(tau_mem=1.0))
    network.connect("in", "b", weights=np.ones((2, 1)))
    graph = export(network)
    assert {name for name in graph.nodes if "output" in name} == {"output_a", "output_b"}
    network.connect("a", "b", weights=np.ones((3, 1)))
    network.connect("b", "a", weights=np.ones((1, 3)))
    assert len([name for name in export(network).nodes if "output" in name]) == 2


LOST: dict[str, tuple[Callable[[], es.Network], str]] = {
    "refractory": (
        lambda: net(es.LIF(tau_mem=2.0, refractory=[0.0, 0.1, 0.0])),
        "refractory period, got 0.1 at 'a'",
    ),
    "generator": (lambda: noisy(), "generators, whose spikes are drawn, got 'ext'"),
    "late generator": (lambda: regular([[0.5, 1.0, 2.0]]), "generators, .*got 'ext'"),
    "generator of no constant": (
        lambda: regular(0.0), "constant current that does not pass the synapse, got 1.0 at 'a'"
    ),
    "bias": (
        lambda: net(es.LIF(tau_mem=2.0, bias=0.25)),
        "constant current that does not pass the synapse, got 0.25 at 'a'",
    ),
    "multapse": (
        lambda: net(weights=scipy.sparse.coo_array(([1.0, 2.0], ([1, 1], [2, 2])), shape=(2, 3))),
        r"multapses \(several synapses between two neurons\), got them in \('in', 'a'\)",
    ),
    "begin": (
        lambda: net(es.LIF(tau_mem=np.inf, tau_syn=0.0, rest=0.5)),
        "place where 'a' begins, got rest 0.5",
    ),
}  # fmt: skip


def regular(delays: Any) -> es.Network:
    network = net()
    network.add_regular("ext", 1, interval=1e100)
    network.connect("ext", "a", weights=np.ones((1, 3)), delays=delays)
    return network


def noisy() -> es.Network:
    network = net()
    network.add_poisson("ext", 2, rate=1.0)
    network.connect("ext", "a", weights=np.ones((2, 3)))
    return network


@pytest.mark.parametrize(("make", "message"), LOST.values(), ids=LOST)
def test_what_nir_has_not_is_lost_only_on_demand(make: Any, message: str) -> None:
    network = make()
    with pytest.raises(ValueError, match=f"NIR has no {message}; lossy=True goes on"):
        export(network)
    again, _ = load(export(network, lossy=True))
    assert dict(again.populations) == dict(network.populations)


def test_a_constant_current_becomes_another_leak_potential() -> None:
    network = net(es.LIF(tau_mem=2.0, bias=[0.25, 0.0, -0.5], rest=0.125))
    cell = export(network, lossy=True).nodes["a"]
    np.testing.assert_array_equal(cell.v_leak, [0.625, 0.125, -0.875])


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "no network": (lambda: export(None), "network must be an eventsim.Network, got None"),  # type: ignore[arg-type]
    "a part": (lambda: export(es.Network(part=(0, 2))), r"needs all synapses .*\(0, 2\)"),
    "nothing": (lambda: export(es.Network()), "network must have populations, got Network"),
    "dt": (lambda: export(net(), dt=-1.0), "dt must be > 0 and finite, got -1.0"),
    "lossy": (lambda: export(net(), lossy="yes"), "lossy must be True or False, got 'yes'"),  # type: ignore[arg-type]
    "receptors": (
        lambda: export(net(es.LIF(tau_syn={"e": 1.0, "i": 2.0}))),
        r"no neurons with several receptors, got \('e', 'i'\) at 'a'",
    ),
    "pool": (lambda: export(net(es.LIF.earliest()), dt=1.0, lossy=True), "pools, .* at 'a'"),
    "no leak": (
        lambda: export(net(es.LIF(tau_mem=np.inf))), "without a leak, got tau_mem inf at 'a'"
    ),
    "some leak": (
        lambda: export(net(es.LIF(tau_mem=[1.0, np.inf, 2.0]))),
        "tau_mem of 'a' .* for none, got inf",
    ),
    "lasting current": (
        lambda: export(net(es.LIF(tau_syn=np.inf))), "no currents that last, got tau_syn inf at 'a'"
    ),
    "lasting current that is not taken back": (
        lambda: export(net(es.LIF(tau_syn=np.inf)), dt=0.1),
        r"those of \('in', 'a'\) must be taken back .* dt = 0.1 later, got none",
    ),
    "delays of synapses": (
        lambda: export(net(delays=[[1.0, 2.0, 3.0], [3.0, 1.0, 2.0]])),
        r"those of \('in', 'a'\) must be the same in each row or in each column, or sums",
    ),
    "bias without a matrix": (
        lambda: export(alone()), "none that could have it leads to 'a', got a bias of 0.5"
    ),
    "very large": (
        lambda: export(large()), r"\('in', 'a'\) must take at most 2147483648 bytes .*got 2000000"
    ),
}  # fmt: skip


def alone() -> es.Network:
    network = es.Network()
    network.add_population("a", 1, es.LIF(tau_syn=0.0, bias=0.5))
    return network


def large() -> es.Network:
    network = es.Network()
    network.add_input("in", 50_000)
    network.add_population("a", 50_000, es.LIF(tau_mem=1.0))
    network.connect("in", "a", weights=scipy.sparse.csr_array((50_000, 50_000)))
    return network


@pytest.mark.parametrize(("call", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_said_is_refused_by_name(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.compile(message, re.DOTALL)):
        call()


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "net.nir"
    save(path, net())
    before = path.read_bytes()
    odd = es.Network()
    odd.add_population("a/b", 1, es.LIF())
    for network, message in ((odd, "must have no '/'.*got 'a/b'"), (noisy(), "no generators")):
        with pytest.raises(ValueError, match=message):
            save(path, network)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["net.nir"]
    with pytest.raises(ValueError, match="path must be in a folder that exists"):
        save(tmp_path / "none" / "net.nir", net())
    path.write_bytes(before[:-100])
    with pytest.raises(FileError):
        load(path)
