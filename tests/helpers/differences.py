"""Central differences of a loss of spike times and potentials, and the cotangents of that loss.

The loss is sum a(i, k) t + sum b(i) V_i(t_stop) over the k-th spikes of neurons i: it does not
depend on how spikes of different neurons are ordered.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

import eventsim as es
from tests.helpers import cases
from tests.helpers.naive import Case

KINDS = ("weight", "delay", "alpha", "beta", "theta", "bias", "input_time")


def spike_coefficient(neuron: int, ordinal: int) -> float:
    return math.sin(1.0 + 3.0 * neuron + 7.0 * ordinal)


def potential_coefficients(n: int) -> np.ndarray:
    return np.cos(2.0 + 5.0 * np.arange(n))


def cotangents(result: es.Result) -> dict[str, Any]:
    """The keyword arguments of `timing_backprop` for the loss."""
    seen: dict[int, int] = {}
    a = []
    for i, _ in cases.trains(result):
        a.append(spike_coefficient(i, seen.get(i, 0)))
        seen[i] = seen.get(i, 0) + 1
    b = potential_coefficients(result.network.populations[cases.ALL])
    return {"spike_times": {cases.ALL: np.array(a)}, "potentials": {cases.ALL: b}}


def loss(case: Case) -> tuple[float, tuple[int, ...]]:
    """The loss, and the spike counts: where they change, the loss jumps."""
    result = cases.build(case).run()
    given = cotangents(result)
    value = math.fsum(given["spike_times"][cases.ALL] * result.spikes[cases.ALL].times)
    value += math.fsum(given["potentials"][cases.ALL] * result.potential(cases.ALL))
    return value, tuple(result.spike_counts(cases.ALL).tolist())


def off_grid(case: Case) -> Case:
    """With t_stop where no arrival is: V(t_stop) has a kink in the time of an arrival then."""
    return replace(case, t_stop=case.t_stop + 0.01234)


def parameters(case: Case, kind: str) -> list[float]:
    """The values of one kind of parameter, in the order of the case."""
    if kind in ("weight", "delay"):
        return [getattr(synapse, kind) for synapse in case.synapses]
    if kind == "input_time":
        return [t for _, t in case.inputs]
    return [getattr(neuron, kind) for neuron in case.neurons]


def moved(case: Case, kind: str, k: int, step: float) -> Case:
    """The case with one parameter changed by `step`."""
    if kind in ("weight", "delay"):
        synapse = case.synapses[k]
        synapse = synapse._replace(**{kind: getattr(synapse, kind) + step})
        changed = (*case.synapses[:k], synapse, *case.synapses[k + 1 :])
        return replace(case, synapses=changed)
    if kind == "input_time":
        source, t = case.inputs[k]
        return replace(case, inputs=(*case.inputs[:k], (source, t + step), *case.inputs[k + 1 :]))
    neuron = replace(case.neurons[k], **{kind: getattr(case.neurons[k], kind) + step})
    return replace(case, neurons=(*case.neurons[:k], neuron, *case.neurons[k + 1 :]))


def central_difference(case: Case, kind: str, k: int, step: float = 1e-5) -> float:
    """The derivative of the loss; nan where a spike appears or vanishes, or a side is missing."""
    value = parameters(case, kind)[k]
    if (kind not in ("weight", "bias") and value < 2 * step) or math.isinf(value):
        return math.nan
    (above, up), (below, down) = (loss(moved(case, kind, k, s)) for s in (step, -step))
    return (above - below) / (2.0 * step) if up == down else math.nan


def gradient(built: cases.Built, found: Any, kind: str) -> np.ndarray:
    """One kind of gradient out of what `timing_backprop` returned, in the order of the case."""
    if kind in ("weight", "delay"):
        return built.per_synapse(found.weights if kind == "weight" else found.delays)
    if kind == "input_time":
        return found.input_times[cases.IN]
    return getattr(found, "threshold" if kind == "theta" else kind)[cases.ALL]


def assert_reference_gradient(found: np.ndarray, expected: np.ndarray) -> None:
    """1e-10 relative; entries that are next to nothing, relative to the largest."""
    known = np.isfinite(expected)
    assert found.shape == expected.shape
    assert np.all(np.isfinite(found))
    scale = np.abs(expected[known]).max(initial=0.0)
    np.testing.assert_allclose(found[known], expected[known], rtol=1e-10, atol=1e-13 * scale)
