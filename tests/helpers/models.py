"""A network with a batch of input, and what is the same of two of its runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import assume

import eventsim as es
from tests.helpers.cases import drawn_again_if_endless


@dataclass(frozen=True)
class Model:
    """A network with a batch of input."""

    network: es.Network
    stimulus: dict[str, es.SpikeBatch]
    t_stop: float
    initial: dict[str, es.State] | None = None

    def run(self, engine: str = "layered", **options: Any) -> es.BatchResult:
        options = {"engine": engine, "initial": self.initial} | options
        return es.simulate(self.network, self.stimulus, self.t_stop, **options)

    def run_alone(self, k: int, **options: Any) -> es.Result:
        """A run of sample k."""
        options = {"initial": self.initial and states_of(self.initial, k)} | options
        return es.simulate(self.network, self.sample(k), self.t_stop, **options)

    def sample(self, k: int) -> dict[str, es.Spikes]:
        return {name: train.sample(k) for name, train in self.stimulus.items()}

    def between(self, begin: float, stop: float) -> dict[str, es.SpikeBatch]:
        """The input after ``begin``, up to and with ``stop``."""
        return {name: _between(train, begin, stop) for name, train in self.stimulus.items()}


def states_of(initial: dict[str, es.State], k: int) -> dict[str, es.State]:
    """Where the neurons of sample k begin."""

    def of_sample(values: Any) -> Any:
        return values[k] if np.ndim(values) == 2 else values

    states = {}
    for name, state in initial.items():
        currents = state.current
        if isinstance(currents, Mapping):
            currents = {receptor: of_sample(i) for receptor, i in currents.items()}
        potential = None if state.potential is None else of_sample(state.potential)
        states[name] = es.State(potential, of_sample(currents))
    return states


def _between(train: es.SpikeBatch, begin: float, stop: float) -> es.SpikeBatch:
    kept = (train.times > begin) & (train.times <= stop)
    return es.SpikeBatch(train.times[kept], train.indices[kept], train.samples[kept], len(train))


def decided(model: Model, slope: float = 0.05, max_spikes: int = 2000) -> es.BatchResult:
    """The scheduler's run, if no spike depends on rounding.

    Slopes are steep, and thresholds that are a little different give the same number of spikes.
    """
    with drawn_again_if_endless():
        result, *others = (
            _with_thresholds(model, factor).run("scheduler", max_spikes=max_spikes)
            for factor in (1.0, 1.0 - 1e-7, 1.0 + 1e-7)
        )
    assume(result.record.slope.min(initial=np.inf) > slope)
    for other in others:
        for name in model.network.populations:
            assume(np.array_equal(other.spike_counts(name), result.spike_counts(name)))
    return result


def _with_thresholds(model: Model, factor: float) -> Model:
    if factor == 1.0:
        return model
    neurons = {
        name: replace(lif, threshold=lif.reset + (lif.threshold - lif.reset) * factor)
        for name, lif in model.network.neurons.items()
    }
    return replace(model, network=model.network.replace(neurons=neurons))


def in_order(result: es.BatchResult) -> np.ndarray:
    """Positions in the record by (sample, neuron, time): simultaneous spikes come in any order."""
    return np.lexsort((result.record.time, result.record.neuron, result.samples))


def assert_same_run(found: es.BatchResult, expected: es.BatchResult, rtol: float) -> None:
    """The same spikes up to rounding, and the same potentials and currents at the end."""
    ours, theirs = in_order(found), in_order(expected)
    np.testing.assert_array_equal(found.offsets, expected.offsets)
    np.testing.assert_array_equal(found.record.neuron[ours], expected.record.neuron[theirs])
    np.testing.assert_allclose(
        found.record.time[ours], expected.record.time[theirs], rtol=rtol, atol=rtol
    )
    np.testing.assert_allclose(
        found.record.slope[ours], expected.record.slope[theirs], rtol=1e3 * rtol, atol=1e3 * rtol
    )
    for name in expected.network.populations:
        for quantity in ("potential", "current"):
            values = getattr(expected, quantity)(name)
            atol = 1e2 * rtol * (1.0 + np.abs(values).max())
            np.testing.assert_allclose(getattr(found, quantity)(name), values, rtol=0, atol=atol)


def assert_same_events(found: es.BatchResult, expected: es.BatchResult) -> None:
    """Of every sample; all but the searches, which every engine spares in its own way."""
    for one, other in zip(found, expected, strict=True):
        assert replace(one.events, searches=0) == replace(other.events, searches=0)


def assert_identical(found: es.BatchResult, expected: es.BatchResult) -> None:
    """Bit for bit: spikes, states at the end, and what was counted."""
    np.testing.assert_array_equal(found.offsets, expected.offsets)
    np.testing.assert_array_equal(found.ends, expected.ends)
    for ours, theirs in zip(found.record, expected.record, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for name in expected.network.populations:
        for receptor in expected.network.neurons[name].receptors:
            ours, theirs = (run.current(name, receptor=receptor) for run in (found, expected))
            np.testing.assert_array_equal(ours, theirs)
        for quantity in ("potential", "current", "first_spikes", "spike_counts"):
            ours, theirs = (getattr(run, quantity)(name) for run in (found, expected))
            np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(found.state.neuron, expected.state.neuron)
    assert found.events == expected.events
    assert found.near_touches == expected.near_touches
