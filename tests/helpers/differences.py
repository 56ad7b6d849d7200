"""Central differences of a loss of spike times and potentials, and the cotangents of that loss.

The loss is sum a(i, k) t + sum b(i) V_i(t_stop) over the k-th spikes of neurons i: it does not
depend on how spikes of different neurons are ordered. Neurons are numbered through all populations.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import eventsim as es
from tests.helpers import cases
from tests.helpers.naive import Case

BY_RECEPTOR = {"alpha": "alphas", "i0": "currents"}
KINDS = (
    "weight", "delay", "alpha", "beta", "theta", "bias", "rest", "reset", "v0", "i0", "input_time",
)  # fmt: skip
NOT_NEGATIVE = ("delay", "alpha", "beta", "input_time")
RELATIVE, ABSOLUTE = 1e-4, 1e-5  # to which derivatives have to be those of differences


def spike_coefficient(neuron: int, ordinal: int) -> float:
    return math.sin(1.0 + 3.0 * neuron + 7.0 * ordinal)


def potential_coefficients(n: int) -> np.ndarray:
    return np.cos(2.0 + 5.0 * np.arange(n))


def cotangents(result: es.Result) -> dict[str, Any]:
    """The keyword arguments of `timing_backprop` for the loss."""
    spike_times, potentials = {}, {}
    for name in result.network.populations:
        part = result.network.neurons_of(name)
        seen: Counter[int] = Counter()
        a = []
        for i in result.spikes[name].indices.tolist():
            a.append(spike_coefficient(part.start + i, seen[i]))
            seen[i] += 1
        spike_times[name] = np.array(a)
        potentials[name] = potential_coefficients(part.stop)[part]
    return {"spike_times": spike_times, "potentials": potentials}


def in_the_order_of_the_record(
    result: es.Result, by_population: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Values of the spikes of every population, in the order of all spikes."""
    values = np.empty(result.batch.record.time.size)
    for name, part in by_population.items():
        values[result.batch.positions(name)] = part
    return values


def loss(case: Case) -> tuple[float, tuple[int, ...]]:
    """The loss, and the spike counts: where they change, the loss jumps."""
    result = cases.build_any(case).run()
    given, value, counts = cotangents(result), 0.0, []
    for name in result.network.populations:
        value += math.fsum(given["spike_times"][name] * result.spikes[name].times)
        value += math.fsum(given["potentials"][name] * result.potential(name))
        counts += result.spike_counts(name).tolist()
    return value, tuple(counts)


def off_grid(case: Case) -> Case:
    """With t_stop where no arrival is: V(t_stop) has a kink in the time of an arrival then."""
    return replace(case, t_stop=case.t_stop + 0.01234)


def begun(case: Case) -> Case:
    """With a potential at the start of each neuron, if one has: a `State` has those of all."""
    if all(n.v0 is None for n in case.neurons):
        return case
    neurons = tuple(replace(n, v0=n.rest if n.v0 is None else n.v0) for n in case.neurons)
    return replace(case, neurons=neurons)


def parameters(case: Case, kind: str) -> list[float]:
    """The values of one kind of parameter, in the order of the case.

    Those of receptors: by neuron and receptor, of those that have a current.
    """
    if kind in ("weight", "delay"):
        return [getattr(synapse, kind) for synapse in case.synapses]
    if kind == "input_time":
        return [t for _, t in case.inputs]
    if kind in BY_RECEPTOR:
        return [
            value
            for n in case.neurons
            for value, has in zip(getattr(n, BY_RECEPTOR[kind]), n.has_current, strict=True)
            if has
        ]
    if kind == "v0":
        return [n.rest if n.v0 is None else n.v0 for n in case.neurons]
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
    new, neurons = parameters(case, kind)[k] + step, list(case.neurons)
    if kind in BY_RECEPTOR:
        each = [(i, r) for i, n in enumerate(neurons) for r, has in enumerate(n.has_current) if has]
        k, receptor = each[k]
        values = list(getattr(neurons[k], BY_RECEPTOR[kind]))
        values[receptor] = new
        neurons[k] = replace(neurons[k], **{kind: tuple(values)})
    else:
        neurons[k] = replace(neurons[k], **{kind: new})
    return replace(case, neurons=tuple(neurons))


def central_difference(case: Case, kind: str, k: int, step: float = 3e-7) -> float:
    """The derivative of the loss; nan where a spike appears or vanishes, or a side is missing."""
    value = parameters(case, kind)[k]
    if (kind in NOT_NEGATIVE and value < 2 * step) or math.isinf(value):
        return math.nan
    (below, down), (middle, _), (above, up) = (
        loss(moved(case, kind, k, s)) for s in (-step, 0.0, step)
    )
    return slope(below, middle, above, step) if up == down else math.nan


def slope(below: float, middle: float, above: float, step: float) -> float:
    """The central difference; nan where the two sides are not alike: there may be a kink between.

    A kink moves the difference by at most half of that, so less than `RELATIVE` and `ABSOLUTE`.
    """
    left, right = (middle - below) / step, (above - middle) / step
    central = (above - below) / (2.0 * step)
    return central if left == pytest.approx(right, rel=RELATIVE, abs=ABSOLUTE) else math.nan


def gradient(built: cases.Built, found: Any, kind: str) -> np.ndarray:
    """One kind of gradient out of what `timing_backprop` returned, in the order of the case."""
    if kind in ("weight", "delay"):
        return built.per_synapse(found.weights if kind == "weight" else found.delays)
    if kind == "input_time":
        return found.input_times[cases.IN]
    if kind == "v0":
        by = {name: state.potential for name, state in found.initial.items()}
    elif kind == "i0":
        by = {name: state.current for name, state in found.initial.items()}
    else:
        by = getattr(found, "threshold" if kind == "theta" else kind)
    values = np.concatenate([_columns(by[name]).ravel() for name in built.network.populations])
    if kind in BY_RECEPTOR:
        return values[[has for n in built.case.neurons for has in n.has_current]]
    return values


def _columns(values: Any) -> np.ndarray:
    """Values of receptors side by side."""
    return np.stack(list(values.values()), axis=-1) if isinstance(values, Mapping) else values


def assert_reference_gradients(reference: cases.Reference, built: cases.Built, found: Any) -> None:
    """1e-10 relative; entries that are next to nothing, relative to the largest of their kind."""
    for kind in KINDS:
        if kind not in reference.gradients:
            continue
        expected, own = reference.gradients[kind].ravel(), gradient(built, found, kind)
        known = np.isfinite(expected)
        assert own.shape == expected.shape
        assert np.all(np.isfinite(own))
        scale = np.abs(expected[known]).max(initial=0.0)
        np.testing.assert_allclose(
            own[known], expected[known], rtol=1e-10, atol=1e-13 * scale, err_msg=kind
        )
