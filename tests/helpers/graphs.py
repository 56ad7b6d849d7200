"""Causality graphs: of small runs, of one made by hand; an LIF neuron's kernels as an SRM's."""

from __future__ import annotations

import networkx as nx
import numpy as np

import eventsim as es
import gradients
from tests.helpers import cases, differences, naive
from tests.helpers.naive import Case

WRT = {
    "weight": "weights", "delay": "delays", "theta": "threshold", "input_time": "input_times",
    "v0": "initial", "i0": "initial",
} | {kind: kind for kind in ("alpha", "beta", "bias", "rest", "reset")}  # fmt: skip
"""What `forward_propagation` calls the kinds of `differences.KINDS`."""


def run_of(case: Case) -> tuple[cases.Built, es.Result]:
    """A run small enough to draw its graph."""
    built = cases.build_any(case)
    with cases.drawn_again_if_endless():
        return built, built.run(max_spikes=60)


def chain() -> nx.DiGraph:
    """Input at 0 -> spike at 1 -> spike at 2, made by hand, with names for nodes."""
    dag = nx.DiGraph()
    dag.add_node("in", kind="input", time=0.0)
    dag.add_node("a", kind="spike", time=1.0, slope=2.0)
    dag.add_node("b", kind="spike", time=2.0, slope=4.0)
    dag.add_edge("in", "a", dV_dg=-1.0, synapses=(es.Synapse("v", 3.0, 0.0, 0.5, -1.0),))
    dag.add_edge("a", "b", dV_dg=-2.0, synapses=(es.Synapse("w", 3.0, 0.0, 0.25, -2.0),))
    return dag


def column_of_synapse(built: cases.Built) -> list[int]:
    """Column of each synapse of the case: projection by projection, row by row."""
    columns, start = {}, 0
    for key, projection in built.network.projections.items():
        weights = projection.weights
        rows = np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))
        for number, (row, col) in enumerate(zip(rows, weights.indices, strict=True)):
            columns[key, int(row), int(col)] = start + number
        start += weights.nnz
    return [columns[place] for place in built.place]


def columns_of(built: cases.Built, kind: str) -> list[int]:
    """Columns of one kind of parameter, in the order of the case, in the matrices by its `WRT`."""
    neurons = built.case.neurons
    n = len(neurons)
    if kind in ("weight", "delay"):
        return column_of_synapse(built)
    if kind == "input_time":
        return np.argsort(built.stimulus[cases.IN].order).tolist()
    if kind in differences.BY_RECEPTOR:
        first = 1 if kind == "i0" else 0  # after the potentials at the start
        return [
            (first + column) * n + i
            for i in range(n)
            for column in range(sum(neurons[i].has_current))
        ]
    return list(range(n))


def lif_as_srm(neuron: naive.Neuron) -> gradients.SRM:
    a, b, theta = neuron.alpha, neuron.beta, neuron.theta
    h = np.vectorize(lambda t: naive.kernel(t, a, b), otypes=[float])
    return gradients.SRM(
        h,
        lambda t: np.exp(-a * t) - b * h(t),
        lambda t: theta * np.exp(-b * t),
        lambda t: -theta * b * np.exp(-b * t),
    )
