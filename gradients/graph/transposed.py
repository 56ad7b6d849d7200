"""Timing backpropagation on a causality graph: one transposed triangular solve."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from eventsim._layout.wiring import compiled_form
from eventsim._support.types import FloatArray, IntArray, Matrix
from eventsim._support.validate import as_finite, as_number, require, shown
from eventsim.causality import CausalityGraph, Edges, Rows
from eventsim.model.parameters import INITIAL
from eventsim.network import Projection
from gradients.gradient import Gradient, gradient_of_network, names_by_neuron
from gradients.graph.forward_propagation import solve_backward
from gradients.graph.jacobian import by_causes, by_parameters, jacobian

__all__ = ["backprop_on_graph"]


def backprop_on_graph(
    graph: CausalityGraph,
    spike_times: Mapping[str, ArrayLike] | ArrayLike,
    potentials: Mapping[str, ArrayLike],
    potentials_at: ArrayLike | None,
    wanted: Collection[str],
) -> Gradient:
    """Return the `Gradient` of a loss on a causality graph, by the parameters that are wanted.

    ``transpose(L) lambda = dl/dF`` backward in time, then ``dl/dp = -lambda dV/dp`` plus what the
    final potentials depend on directly.
    """
    L = jacobian(graph).L
    by_spikes = _spike_cotangent(graph, spike_times)
    probes = _probes(graph, potentials, potentials_at)
    if probes is not None:
        values, neurons, edges, rows = probes
        by_spikes = by_spikes + by_causes(graph, edges, values.size).T @ values
    multiplier = solve_backward(L, by_spikes)

    def by(wrt: str) -> FloatArray:
        total = -(by_parameters(graph, *graph.spike_equations, wrt).T @ multiplier)
        if probes is not None:
            total += by_parameters(graph, edges, rows, wrt, neurons).T @ values
        return total

    return _gradient_of(graph, by, wanted)


def _spike_cotangent(
    graph: CausalityGraph, spike_times: Mapping[str, ArrayLike] | ArrayLike
) -> FloatArray:
    """Return dl/dF (n_spikes,) from a dict by population, or an array for a graph made by hand."""
    total = np.zeros(graph.times.size)
    if not isinstance(spike_times, Mapping):
        return total + as_finite(spike_times, total.shape, "spike_times")
    for name, values in spike_times.items():
        part = _neurons_of(graph, name, "spike_times")
        at = np.flatnonzero((graph.neurons >= part.start) & (graph.neurons < part.stop))
        total[at] += as_finite(values, at.shape, f"spike_times[{name!r}]")
    return total


def _probes(
    graph: CausalityGraph, potentials: Mapping[str, ArrayLike], at: ArrayLike | None
) -> tuple[FloatArray, IntArray, Edges, Rows] | None:
    """Return (cotangents, neurons, edges, rows) of the potentials that the loss depends on."""
    if not potentials:
        return None
    time = graph.t_stop if at is None else as_number(at, "potentials_at")
    require(0.0 <= time <= graph.t_stop, time, f"potentials_at must be in [0, {graph.t_stop}]")
    values, numbers = [], []
    for name, given in potentials.items():
        part = _neurons_of(graph, name, "potentials")
        values.append(as_finite(given, (part.stop - part.start,), f"potentials[{name!r}]"))
        numbers.append(np.arange(part.start, part.stop))
    neurons = np.concatenate(numbers)
    just_after = np.nextafter(time, np.inf)  # a potential is that after the events of its time
    edges, rows = graph.equations(neurons, np.full(neurons.size, just_after))
    return np.concatenate(values), neurons, edges, rows


def _neurons_of(graph: CausalityGraph, name: str, argument: str) -> slice:
    if graph.network is None:
        raise ValueError(f"{argument} of a graph made by hand must be an array, got {shown(name)}")
    return graph.network.neurons_of(name, argument)


def _gradient_of(
    graph: CausalityGraph, by: Callable[[str], FloatArray], wanted: Collection[str]
) -> Gradient:
    slopes = graph.rows.by_time
    if graph.network is not None:
        slopes = slopes[~graph.at_once]  # a charge has none
    min_slope = float(slopes.min(initial=np.inf))
    weights, delays = (by(name) if name in wanted else None for name in ("weights", "delays"))
    inputs = by("input_times") if "input_times" in wanted else None
    if graph.network is None:
        return Gradient(
            weights=_labelled(graph, weights),
            delays=_labelled(graph, delays),
            input_times={} if inputs is None else {"input": inputs},
            min_slope=min_slope,
        )
    network, compiled = graph.network, compiled_form(graph.network)
    places = compiled.values.items()
    able, n = np.isfinite(compiled.neurons.threshold), compiled.n_neurons
    of = network.projections
    return gradient_of_network(
        network,
        {name: _by_neuron(by(name), n) for name in names_by_neuron(wanted)},
        _states(_by_neuron(by(INITIAL), n)) if INITIAL in wanted else None,
        weights={} if weights is None else {k: of[k].like(weights[at]) for k, at in places},
        delays={} if delays is None else {k: _of_delays(of[k], delays[at]) for k, at in places},
        input_times={} if inputs is None else graph.stimulus.split(inputs),
        min_slope=min_slope,
        silent_fraction=1.0 - np.unique(graph.neurons).size / able.sum() if able.any() else 0.0,
    )


def _by_neuron(columns: FloatArray, n: int) -> FloatArray:
    """Return (n,) of the columns of a parameter, or (n, width) if there are several per neuron."""
    return columns if columns.size == n else columns.reshape(-1, n).T


def _states(by_start: FloatArray) -> FloatArray:
    """Return derivatives by potentials and currents (n, 1 + n_receptors) as those by states."""
    return by_start[None][:, :, [1, 0, *range(2, by_start.shape[1])]]


def _labelled(graph: CausalityGraph, values: FloatArray | None) -> dict[Any, Any]:
    """Return values of all synapses by their labels in a graph made by hand."""
    return {} if values is None else dict(zip(graph.synapses, values.tolist(), strict=True))


def _of_delays(projection: Projection, values: FloatArray) -> float | Matrix:
    return float(values.sum()) if isinstance(projection.delays, float) else projection.like(values)
