"""Graphs of NIR become the networks that they describe."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import eventsim as es
from tests.helpers.nir_ode import Arrow, spikes_of

nir = pytest.importorskip("nir", reason="the extra io is not installed")

from eventsim.nir import load  # noqa: E402  # needs the extra

NEURONS = ("CubaLIF", "LIF", "IF")


def neurons(kind: str, n: int, rng: np.random.Generator, **own: Any) -> Any:
    """A node of n neurons, each with parameters of its own."""
    values = {
        "r": rng.uniform(0.8, 1.5, n), "v_leak": rng.uniform(-0.2, 0.2, n),
        "v_threshold": rng.uniform(0.9, 1.2, n), "v_reset": rng.uniform(-0.5, 0.1, n),
        "tau": rng.uniform(1.0, 3.0, n), "tau_mem": rng.uniform(1.0, 3.0, n),
        "tau_syn": rng.uniform(0.3, 0.8, n), "w_in": rng.uniform(0.7, 1.4, n),
    } | own  # fmt: skip
    known = getattr(nir, kind).__dataclass_fields__
    return getattr(nir, kind)(**{k: v for k, v in values.items() if k in known})


def graph(nodes: dict[str, Any], *chains: str) -> Any:
    """A graph of nodes, and edges as in ``in w lif out``; the others are not checked by nir."""
    edges = [pair for text in chains for pair in pairwise(text.split())]
    return nir.NIRGraph(nodes, list(dict.fromkeys(edges)), type_check=False)


def ends(n_in: int, n_out: int) -> dict[str, Any]:
    return {"in": nir.Input(np.array([n_in])), "out": nir.Output(np.array([n_out]))}


def sequence(*between: Any, n_in: int = 2) -> Any:
    """A graph of one node after another."""
    names = [f"n{k}" for k in range(len(between))]
    nodes = {**ends(n_in, 1), **dict(zip(names, between, strict=True))}
    nodes["out"] = nir.Output(None)
    return graph(nodes, " ".join(["in", *names, "out"]))


def lif(n: int = 1) -> Any:
    return neurons("LIF", n, np.random.default_rng(0))


# --- against the equations ------------------------------------------------------------------------


@pytest.mark.parametrize("width", [None, 0.1])
@pytest.mark.parametrize("kind", NEURONS)
def test_spikes_are_those_of_the_equations(kind: str, width: float | None) -> None:
    rng = np.random.default_rng([NEURONS.index(kind), width is None])
    n_in, n, area = 2, 3, 0.4
    node = neurons(kind, n, rng)
    weight, recurrent = rng.uniform(0.5, 2.0, (n, n_in)), rng.normal(0.0, 0.4, (n, n))
    bias, lag = rng.uniform(-0.1, 0.2, n), rng.uniform(0.2, 0.5, n)
    nodes = {
        **ends(n_in, n), "w": nir.Affine(weight, bias), "cell": node,
        "back": nir.Linear(recurrent), "late": nir.Delay(lag),
    }  # fmt: skip
    network, _ = load(graph(nodes, "in w cell out", "cell back late cell"), area, width)
    times, sources = np.sort(rng.uniform(0.0, 8.0, 25)), rng.integers(0, n_in, 25)
    result = es.simulate(network, {"in": es.Spikes(times, sources)}, 10.0)
    arrows = [Arrow(False, weight), Arrow(True, recurrent, lag)]
    expected, indices = spikes_of(node, arrows, bias, times, sources, 10.0, area, width)
    assert expected.size > 10
    spikes = result.spikes["cell"]
    np.testing.assert_array_equal(spikes.indices, indices)
    np.testing.assert_allclose(spikes.times, expected, rtol=0.0, atol=1e-9)


@pytest.mark.parametrize("kind", ["CubaLI", "LI", "I"])
def test_integrators_have_the_potentials_of_the_equations_and_never_fire(kind: str) -> None:
    node = neurons(kind, 1, np.random.default_rng(1))
    made, _ = load(sequence(nir.Affine(np.array([[1.5, -0.5]]), np.array([0.3])), node), 0.7)
    result = es.simulate(made, {"in": es.Spikes([0.5, 1.0], [0, 1])}, 40.0)
    assert len(result.spikes["n1"]) == 0
    at, r = np.array([0.25, 0.75, 2.0, 30.0]), node.r[0]

    def rise(t: np.ndarray, *taus: float) -> np.ndarray:
        """The answer to a step at 0 of filters one after the other."""
        t = np.maximum(t, 0.0)
        if not taus:
            return t
        if len(taus) == 1:
            return 1.0 - np.exp(-t / taus[0])
        s, m = taus
        return 1.0 - (m * np.exp(-t / m) - s * np.exp(-t / s)) / (m - s)

    def answer(t: np.ndarray, *taus: float) -> np.ndarray:
        """The answer to a Dirac pulse at 0."""
        late = np.maximum(t, 0.0)
        if not taus:
            return 1.0 * (t >= 0.0)
        if len(taus) == 1:
            return np.where(t >= 0.0, np.exp(-late / taus[0]) / taus[0], 0.0)
        s, m = taus
        return (np.exp(-late / m) - np.exp(-late / s)) / (m - s)

    taus = {"I": [], "LI": ["tau"], "CubaLI": ["tau_syn", "tau_mem"]}[kind]
    taus = [getattr(node, name)[0] for name in taus]
    gain = r * (node.w_in[0] if kind == "CubaLI" else 1.0)
    expected = gain * (0.3 * rise(at, *taus))
    expected += gain * 0.7 * (1.5 * answer(at - 0.5, *taus) - 0.5 * answer(at - 1.0, *taus))
    expected += 0.0 if kind == "I" else node.v_leak[0]
    potential = result.potential("n1", at=at)
    np.testing.assert_allclose(np.ravel(potential), expected, rtol=1e-13, atol=1e-13)


def test_the_table_of_a_tool_with_a_clock_comes_out() -> None:
    # A LIF neuron written by Norse, and its exact course at a step of 1e-4.
    step, one = 1e-4, np.ones(1)
    cell = nir.LIF(tau=2.5e-3 * one, r=one, v_leak=0.0 * one, v_threshold=0.1 * one)
    network, _ = load(sequence(nir.Affine(np.eye(1), np.zeros(1)), cell, n_in=1), step, step)
    steps = np.array([60, 220, 270, 310, 320, 350, 370, 400, 410, 430, 440, 450, 460, 470])
    given = es.Spikes(steps * step, np.zeros(14, dtype=int))
    result = es.simulate(network, {"in": given}, 0.05)
    assert np.floor(result.spikes["n1"].times / step).tolist() == [460.0]
    at = (np.array([60, 61, 62, 63, 460]) + 1) * step
    known = [3.92105617e-02, 3.76730936e-02, 3.61959104e-02, 3.47766484e-02, 6.22615923e-03]
    np.testing.assert_allclose(np.ravel(result.potential("n1", at=at)), known, atol=1e-8)


def test_a_bias_builds_up_behind_a_synapse_from_its_delay_on() -> None:
    node = neurons("CubaLI", 1, np.random.default_rng(2))
    affine, late = nir.Affine(np.zeros((1, 2)), np.array([0.8])), nir.Delay(np.array([1.5]))
    plain, delayed = (load(sequence(*nodes))[0] for nodes in ((affine, node), (affine, late, node)))
    results = [es.simulate(network, {}, 20.0) for network in (plain, delayed)]
    at = np.array([0.5, 2.0, 15.0])
    ours = [
        r.potential(n, at=t)[:, 0]
        for r, n, t in zip(results, ("n1", "n2"), (at, at + 1.5), strict=True)
    ]
    np.testing.assert_allclose(ours[0], ours[1], rtol=1e-13)
    assert results[1].potential("n2", at=1.5)[0] == node.v_leak[0] != ours[0][0]


@settings(max_examples=settings().max_examples // 4)
@given(seed=st.integers(0, 2**32 - 1))
def test_charges_run_through_layers_at_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes, names = [3, *rng.integers(1, 5, 3)], ["c", "b", "a"]
    weights = [rng.normal(0.3, 0.6, (b, a)) for a, b in pairwise(sizes)]
    skip = rng.normal(0.0, 0.5, (sizes[3], sizes[1]))
    cells = [nir.IF(np.ones(n), rng.uniform(0.3, 1.0, n), np.zeros(n)) for n in map(int, sizes[1:])]
    nodes = {**ends(3, sizes[3]), "skip": nir.Linear(skip), **dict(zip(names, cells, strict=True))}
    nodes |= {f"w{name}": nir.Linear(w) for name, w in zip(names, weights, strict=True)}
    network, _ = load(graph(nodes, "c skip a", "b wa a out", "c wb b", "in wc c"))
    times, sources = np.sort(rng.integers(0, 20, 30) * 0.5), rng.integers(0, 3, 30)
    result = es.simulate(network, {"in": es.Spikes(times, sources)}, 10.0)
    potentials = {name: np.zeros(cell.r.size) for name, cell in zip(names, cells, strict=True)}
    expected: dict[str, list[tuple[float, int]]] = {name: [] for name in names}
    for t in np.unique(times):
        fired = {"in": np.bincount(sources[times == t], minlength=3) * 1.0}
        for pre, name, weight, cell in zip(["in", *names], names, weights, cells, strict=False):
            more = skip @ fired["c"] if name == "a" else 0.0
            potentials[name] += weight @ fired[pre] + more
            fired[name] = (potentials[name] > cell.v_threshold) * 1.0
            potentials[name][fired[name] > 0.0] = 0.0
            expected[name] += [(t, i) for i in np.flatnonzero(fired[name])]
    for name in names:
        spikes = result.spikes[name]
        assert sorted(zip(spikes.times, spikes.indices, strict=True)) == expected[name]


# --- weights, delays, units -----------------------------------------------------------------------


def test_weights_are_transposed_and_scaled_by_each_neuron() -> None:
    rng = np.random.default_rng(3)
    node, weight = neurons("CubaLIF", 3, rng), rng.normal(size=(3, 2))
    network, _ = load(sequence(nir.Linear(weight), node), 0.3)
    factor = node.r * node.w_in * 0.3 / (node.tau_mem * node.tau_syn)
    np.testing.assert_array_equal(network.projections["in", "n1"].weights, weight.T * factor)
    own = network.neurons["n1"]
    for ours, theirs in {"tau_mem": "tau_mem", "tau_syn": "tau_syn", "threshold": "v_threshold",
                         "rest": "v_leak", "reset": "v_reset"}.items():  # fmt: skip
        np.testing.assert_array_equal(getattr(own, ours), getattr(node, theirs))


@pytest.mark.parametrize("width", [None, 0.05])
@pytest.mark.parametrize("kind", NEURONS)
def test_the_unit_of_time_changes_no_spike(kind: str, width: float | None) -> None:
    rng = np.random.default_rng(4)
    affine = nir.Affine(rng.uniform(0.5, 1.0, (2, 2)), rng.uniform(0.1, 0.5, 2))
    made = sequence(affine, nir.Delay(np.array([0.1, 0.7])), neurons(kind, 2, rng))
    times = np.sort(rng.uniform(0.0, 5.0, 20))
    found = []
    for unit in (1.0, 1e-3):
        network, _ = load(made, 0.8, width, time_unit=unit)
        given = {"in": es.Spikes(times / unit, np.arange(20) % 2)}
        found.append(es.simulate(network, given, 6.0 / unit).spikes["n2"].times * unit)
    assert found[0].size > 3
    np.testing.assert_allclose(found[0], found[1], rtol=1e-11)


def test_delays_are_those_of_sources_or_of_targets() -> None:
    early, late = nir.Delay(np.array([0.1, 0.2])), nir.Delay(np.array([1.0, 2.0, 4.0]))
    ones = nir.Linear(np.ones((3, 2)))
    for between, expected in [
        ((early, ones), [[0.1] * 3, [0.2] * 3]),
        ((ones, late), [[1.0, 2.0, 4.0]] * 2),
        ((early, ones, late), [[1.1, 2.1, 4.1], [1.2, 2.2, 4.2]]),
    ]:
        network, _ = load(sequence(*between, lif(3)))
        (projection,) = network.projections.values()
        np.testing.assert_allclose(projection.delays, expected, rtol=1e-15)
    network, _ = load(sequence(nir.Linear(np.ones((3, 2))), nir.Delay(np.full(3, 0.5)), lif(3)))
    assert network.projections["in", "n2"].delays == 0.5


def test_a_delay_between_matrices_becomes_a_projection_for_each_delay() -> None:
    rng = np.random.default_rng(5)
    first, then = rng.normal(size=(3, 2)), rng.normal(size=(2, 3))
    late = nir.Delay(np.array([0.5, 0.25, 0.5]))
    network, _ = load(sequence(nir.Linear(first), late, nir.Linear(then), nir.LI(*np.ones((3, 2)))))
    found = {p.delays: p.weights for p in network.projections.values()}
    assert sorted(found) == [0.25, 0.5]
    np.testing.assert_allclose(found[0.25], np.outer(first[1], then[:, 1]), rtol=1e-14)
    rest = first[[0, 2]].T @ then[:, [0, 2]].T
    np.testing.assert_allclose(found[0.5], rest, rtol=1e-14)


def test_scales_multiply_and_single_numbers_hold_for_all() -> None:
    one = np.float64(1.0)
    cell = nir.LIF(tau=2.0 * one, r=one, v_leak=0.0 * one, v_threshold=one)
    made = graph(
        {**ends(2, 2), "s": nir.Scale(np.array([2.0, 3.0])), "cell": cell,
         "w": nir.Linear(np.full((2, 2), 0.5)), "late": nir.Delay(np.array(0.25))},
        "in s cell out", "cell w late cell",
    )  # fmt: skip
    network, report = load(made)
    assert dict(network.populations) == {"cell": 2}
    np.testing.assert_array_equal(
        network.projections["in", "cell"].weights.toarray(), [[1.0, 0.0], [0.0, 1.5]]
    )
    assert network.projections["cell", "cell"].delays == 0.25
    assert "2 neurons" in str(report)


def test_graphs_within_graphs_have_dotted_names() -> None:
    rng = np.random.default_rng(6)
    weight, back = rng.normal(size=(2, 2)), rng.normal(size=(2, 2))
    cell = neurons("CubaLIF", 2, rng)
    inner = graph({**ends(2, 2), "lif": cell, "rec": nir.Linear(back)}, "in lif rec lif out")
    inner.nodes["in"], inner.nodes["out"] = nir.Input(np.array([2])), nir.Output(np.array([2]))
    nested, _ = load(graph({**ends(2, 2), "w": nir.Linear(weight), "g": inner}, "in w g out"))
    flat, _ = load(
        graph({**ends(2, 2), "w": nir.Linear(weight), "g.lif": cell, "g.rec": nir.Linear(back)},
              "in w g.lif out", "g.lif g.rec g.lif")
    )  # fmt: skip
    assert dict(nested.populations) == {"g.lif": 2}
    for key, projection in flat.projections.items():
        np.testing.assert_array_equal(projection.weights, nested.projections[key].weights)


def test_several_inputs_and_outputs_keep_their_names() -> None:
    made = graph(
        {"a": nir.Input(np.array([2])), "b": nir.Input(np.array([1])),
         "x": nir.Linear(np.ones((1, 2))), "one": lif(), "two": lif(),
         "li": nir.LI(*np.ones((3, 1))),
         "o1": nir.Output(np.array([1])), "o2": nir.Output(np.array([1]))},
        "a x one two o1", "b two li o2",
    )  # fmt: skip
    network, report = load(made)
    assert dict(network.inputs) == {"a": 2, "b": 1}
    assert set(network.projections) == {
        ("a", "one"), ("one", "two"), ("b", "two"), ("two", "li"),
    }  # fmt: skip
    assert [line for line in report if line.startswith("o")][1:] == [
        "o1 (Output): spikes of two", "o2 (Output): potential of li",
    ]  # fmt: skip
    assert len(report) == len(made.nodes)
    assert str(report).splitlines() == list(report)


def test_where_nothing_leads_to_a_node_there_is_an_input() -> None:
    made = graph({"w": nir.Linear(np.ones((1, 3))), "lif": lif()}, "w lif")
    assert dict(load(made)[0].inputs) == {"input_w": 3}
    assert "input_w (Input): input of 3" in load(made)[1]


def test_neurons_that_would_begin_above_their_threshold_begin_at_reset() -> None:
    cell = nir.LIF(tau=np.array([2.0]), r=np.ones(1), v_leak=np.array([3.0]),
                   v_threshold=np.ones(1), v_reset=np.array([0.5]))  # fmt: skip
    network, report = load(sequence(nir.Linear(np.ones((1, 2))), cell))
    spikes = es.simulate(network, {}, 4.0).spikes["n1"].times
    interval = 2.0 * np.log((3.0 - 0.5) / (3.0 - 1.0))
    np.testing.assert_allclose(spikes, interval * np.arange(1, 9), rtol=1e-13)
    assert "begins at v_reset" in str(report)


# --- what is refused ------------------------------------------------------------------------------


def changed(name: str, **fields: Any) -> Any:
    """A sound graph, one node of which has other fields."""
    made = graph(
        {"in": nir.Input(np.array([1, 4, 4])),
         "conv": nir.Conv2d(None, np.ones((2, 1, 3, 3)), 1, 0, 1, 1, np.zeros(2)),
         "pool": nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
         "flat": nir.Flatten({"input": None}, 0), "w": nir.Affine(np.ones((3, 2)), np.zeros(3)),
         "late": nir.Delay(np.ones(3)),
         "cuba": neurons("CubaLIF", 3, np.random.default_rng(0)),
         "scale": nir.Scale(np.ones(3)), "lif": lif(3), "out": nir.Output(np.array([3]))},
        "in conv pool flat w late cuba scale lif out",
    )  # fmt: skip
    for field, value in fields.items():
        setattr(made.nodes[name], field, value)
    return made


def test_the_graph_that_is_changed_below_is_sound() -> None:
    network, _ = load(changed("lif"))
    assert dict(network.populations) == {"cuba": 3, "lif": 3}


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "no graph": (lambda: None, "must be the name of a file or a nir.NIRGraph, got None"),
    "NaN": (
        lambda: changed("lif", tau=np.array([1.0, np.nan, 1.0])),
        r"tau of 'lif' \(LIF\) must be finite, got nan",
    ),
    "no time": (
        lambda: changed("cuba", tau_syn=np.array([1.0, 0.0, 1.0])),
        r"tau_syn of 'cuba' \(CubaLIF\) must be > 0, got 0.0",
    ),
    "infinite weight": (
        lambda: changed("w", weight=np.full((3, 2), np.inf)), r"weight of 'w' .* finite, got inf"
    ),
    "complex": (
        lambda: changed("scale", scale=np.ones(3) * 1j), r"scale of 'scale'.* real numbers"
    ),
    "text": (lambda: changed("lif", r="one"), r"r of 'lif'.*must be real numbers"),
    "reset above the threshold": (
        lambda: changed("lif", v_reset=np.full(3, 9.0)), r"'lif' .*threshold must be > reset.*9.0"
    ),
    "parameters of different shapes": (
        lambda: changed("lif", r=np.ones(2)), r"parameters of 'lif' .* same shape, got .*\(2,\)"
    ),
    "delay": (lambda: changed("late", delay=-np.ones(3)), r"delay of 'late' .* >= 0, got -1.0"),
    "bias": (lambda: changed("w", bias=np.ones(2)), r"bias of 'w' .* shape \(3,\), got \(2,\)"),
    "shapes that do not fit": (
        lambda: changed("w", weight=np.ones((3, 5))),
        r"'flat' -> 'w': what leads to 'w' \(Affine\) must have shape \(5,\), got \(2,\)",
    ),
    "output of another shape": (
        lambda: changed("out", output_type={"output": np.array([4])}), r"'out'.* \(4,\), got \(3,\)"
    ),
    "image of another size": (
        lambda: changed("conv", input_shape=(5, 5)), r"'conv' .* \(1, 5, 5\), got \(1, 4, 4\)"
    ),
    "kernel that does not fit": (
        lambda: changed("conv", weight=np.ones((2, 1, 5, 5))), r"weight of 'conv' .*of 4, got 5"
    ),
    "stride": (lambda: changed("conv", stride=(0, 1)), "stride of 'conv' .*>= 1, got"),
    "same with a stride": (
        lambda: changed("conv", padding="same", stride=(2, 2)), "padding of 'conv' .* 'same'.* 2"
    ),
    "padding by a word": (lambda: changed("conv", padding="full"), "padding of 'conv' .*'full'"),
    "groups": (lambda: changed("conv", groups=3), "groups of 'conv' .* divide .* 2 .* got 3"),
    "pool that does not fit": (
        lambda: changed("pool", kernel_size=np.array([3, 2])), r"kernel_size of 'pool'.*\(3, 2\)"
    ),
    "dimensions": (lambda: changed("flat", start_dim=3), "start_dim .* of 'flat' .*got 3 and -1"),
    "negative size": (
        lambda: changed("in", input_type={"input": np.array([1, -4, 4])}), "shape of 'in'.*got -4"
    ),
    "unknown field": (
        lambda: foreign({"type": "LIF", "extra": 1.0}),
        r"node 'n' \(LIF\) must have no other fields.*extra",
    ),
    "missing field": (
        lambda: foreign({"type": "LIF", "tau": 1.0}),
        r"node 'n' \(LIF\) must have \['r', 'v_leak', 'v_threshold'\], got \['tau'\]",
    ),
    "unknown node": (
        lambda: foreign({"type": "Unknown"}), "node 'n' must be of a known type .*got 'Unknown'"
    ),
    "no type": (lambda: foreign({"tau": 1.0}), "node 'n' must have a type, got None"),
    "threshold": (
        lambda: sequence(nir.Linear(np.ones((1, 2))), nir.Threshold(np.ones(1)), lif()),
        r"node 'n1' \(Threshold\) .*continuous time",
    ),
    "no neurons": (lambda: sequence(nir.Linear(np.ones((1, 2)))), "must have neurons, got"),
    "nothing": (lambda: graph({}), "must have neurons, got"),
    "edge to nowhere": (
        lambda: graph({**ends(1, 1), "lif": lif()}, "in lif out", "lif gone"),
        r"edges of the graph .*\('lif', 'gone'\): there is no 'gone'",
    ),
    "edge given twice": (
        lambda: nir.NIRGraph({**ends(1, 1), "lif": lif()}, [("in", "lif")] * 2, type_check=False),
        r"given once, got \('in', 'lif'\) twice",
    ),
    "edge to an input": (
        lambda: graph({**ends(1, 1), "lif": lif()}, "in lif in"), "nothing may lead to an input"
    ),
    "output without an edge": (
        lambda: graph({**ends(1, 1), "lif": lif()}, "in lif"), r"must lead to 'out' \(Output\)"
    ),
    "edge from an output": (
        lambda: graph({**ends(1, 1), "lif": lif()}, "in lif out lif"),
        "nothing may follow an output, got 'out' -> 'lif'",
    ),
    "cycle without neurons": (
        lambda: graph({**ends(1, 1), "a": nir.Linear(np.ones((1, 1))), "b": nir.Scale(np.ones(1)),
                       "lif": lif()}, "in a b a", "b lif out"),
        "a cycle must lead through neurons, got 'a' -> 'b' -> 'a'|got 'b' -> 'a' -> 'b'",
    ),
    "charges in a circle": (
        lambda: graph({**ends(1, 1), "lif": lif(), "w": nir.Linear(np.ones((1, 1)))},
                      "in lif w lif out"),
        r"must not charge themselves .*Delay.* spike_width .*got 'lif' -> 'lif'",
    ),
    "potentials as spikes": (
        lambda: sequence(nir.Linear(np.ones((1, 2))), nir.LI(*np.ones((3, 1))), lif()),
        r"'n1' \(LI\) never spikes.* got 'n1' -> 'n2'",
    ),
    "weighted spikes as output": (
        lambda: sequence(nir.Linear(np.ones((1, 2))), lif(), nir.Linear(np.ones((1, 1)))),
        r"'out' \(Output\) must show the spikes .* weighted.*\['n1'\]",
    ),
    "two nodes at an output": (
        lambda: graph({**ends(1, 1), "a": lif(), "b": lif()}, "in a out", "in b out"),
        r"'out' \(Output\) must show the spikes of one node .*\['a', 'b'\]",
    ),
    "no shape": (
        lambda: graph({**ends(1, 1), "lif": lif(), "s": nir.Scale(np.array(2.0))}, "s lif out"),
        "the shape of .* must follow from the graph",
    ),
    "graph of two inputs": (
        lambda: graph({**ends(1, 1), "g": graph({"a": nir.Input(np.array([1])),
                       "b": nir.Input(np.array([1])), "lif": lif(), "o": nir.Output(np.array([1]))},
                       "a lif o", "b lif")}, "in g out"),
        r"the graph 'g', .* must have one Input, got \['a', 'b'\]",
    ),
    "nested edge to nowhere": (
        lambda: graph({**ends(1, 1), "g": graph({**ends(1, 1), "lif": lif()}, "in lif out gone")},
                      "in g out"),
        r"edges of the graph 'g' .*there is no 'gone'",
    ),
    "names that meet": (
        lambda: graph({**ends(1, 1), "g.lif": lif(),
                       "g": graph({**ends(1, 1), "lif": lif()}, "in lif out")}, "in g g.lif out"),
        "different names, got two of the name 'g.lif'",
    ),
}  # fmt: skip


def foreign(fields: dict[str, Any]) -> Any:
    """A graph with a node of another version of NIR."""
    cell = lif(2)
    cell.to_dict = lambda: fields
    return graph({**ends(2, 2), "n": cell}, "in n out")


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_had_is_refused_by_name(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.compile(message, re.DOTALL)) as caught:
        load(make())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"spike_area": 0.0}, "spike_area must be > 0 and finite, got 0.0"),
        ({"spike_width": -1.0}, "spike_width must be > 0 and finite, got -1.0"),
        ({"time_unit": np.nan}, "time_unit must be > 0 and finite, got nan"),
        ({"spike_area": "dt"}, "spike_area must be a single number"),
    ],
)
def test_units_are_positive_numbers(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(changed("lif"), **arguments)
