"""Cases shared by the tests: the reference files, and ways to hand a `naive.Case` to the engine."""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numba
import numpy as np
import scipy.sparse
from hypothesis import assume

import eventsim as es
from tests.helpers.naive import Case, Neuron, Run, Synapse, TooManySpikesError, simulate

REFERENCE = Path(__file__).parents[1] / "reference"
MANY_SPIKES = 1_000
NETWORK_NAMES, GENERAL_NAMES = (
    sorted(p.stem for p in (REFERENCE / folder).glob("*.json"))
    for folder in ("networks", "general")
)
if not numba.config.DISABLE_JIT:  # all loops would be compiled for three currents, too
    GENERAL_NAMES.remove("receptors_three")
if numba.config.BOUNDSCHECK:  # and for two without charges
    GENERAL_NAMES = ["initial_state", "reset_potential"]


@dataclass(frozen=True)
class Crossing:
    """One row of crossings.json; `time` is inf where the reference has none."""

    kind: str
    current: float
    potential: float
    alpha: float
    beta: float
    bias: float
    threshold: float
    t_max: float
    time: float
    slope: float


@cache
def crossings() -> tuple[Crossing, ...]:
    rows = json.loads((REFERENCE / "crossings.json").read_text())["rows"]
    return tuple(
        Crossing(
            r[0],
            *map(float, r[1:8]),
            *((math.inf, math.nan) if r[8] is None else map(float, r[8:])),
        )
        for r in rows
    )


@dataclass(frozen=True)
class Reference:
    """One file of networks/ or general/: the case, its spikes, and the gradients of its loss."""

    name: str
    case: Case
    spikes: tuple[tuple[int, float], ...]
    final_potentials: tuple[float, ...]
    time_coefficients: tuple[float, ...]  # already one per spike
    potential_coefficients: tuple[float, ...]
    gradients: dict[str, np.ndarray]  # null -> nan


@cache
def load(name: str) -> Reference:
    folder = "networks" if name in NETWORK_NAMES else "general"
    raw: dict[str, Any] = json.loads((REFERENCE / folder / f"{name}.json").read_text())
    synapses = tuple(
        Synapse(pre, post, float(w), float(d), *to) for pre, post, w, d, *to in raw["synapses"]
    )
    inputs = tuple((s, float(t)) for s, t in raw["inputs"])
    coefficients = [float(a) for a in raw["loss"]["spike_time_coefficients"]]
    return Reference(
        name,
        Case(tuple(map(_neuron, raw["neurons"])), synapses, inputs, float(raw["t_stop"])),
        tuple((i, float(t)) for i, t in raw["spikes"]),
        tuple(map(float, raw["final_potentials"])),
        tuple(coefficients[k % 64] for k in range(len(raw["spikes"]))),
        tuple(map(float, raw["loss"]["final_potential_coefficients"])),
        {kind: _numbers(values) for kind, values in raw["gradients"].items()},
    )


def _neuron(raw: dict[str, Any]) -> Neuron:
    """A neuron of a file; those of general/ have a list of receptors, and a state at the start."""
    values = {key: _numbers(value) for key, value in raw.items()}
    fields = {key: tuple(v.tolist()) if v.ndim else float(v) for key, v in values.items()}
    return Neuron(**fields)


def _numbers(raw: Any) -> np.ndarray:
    """Decimals in nested lists; null becomes nan."""
    return np.array(raw, dtype=object).astype(float)


# --- a Case as a Network -----------------------------------------------------------------------

IN, ALL = "in", "all"


@dataclass(frozen=True)
class Built:
    """A Case as the engine takes it: one input, one population, parallel synapses apart.

    Receptors are named "r0", "r1", ... where there is more than one.

    `place[k]` says where synapse k of the case went: (projection key, row, column).
    """

    case: Case
    network: es.Network
    stimulus: dict[str, es.Spikes]
    place: tuple[tuple[Any, int, int], ...]

    def per_synapse(self, of_projection: dict[Any, Any]) -> np.ndarray:
        """Collect a gradient (or any per-projection matrix) into one value per synapse."""
        dense = {k: to_dense(m) for k, m in of_projection.items()}
        return np.array(
            [
                dense[key][row, col] if dense[key].ndim else dense[key]
                for key, row, col in self.place
            ]
        )

    @property
    def initial(self) -> dict[str, es.State]:
        """Where neurons begin that do not begin at rest."""
        neurons, begun = iter(self.case.neurons), {}
        for name, n in self.network.populations.items():
            begun[name] = start(tuple(itertools.islice(neurons, n)))
        return {name: state for name, state in begun.items() if state is not None}

    def run(self, **options: Any) -> es.Result:
        options = {"initial": self.initial} | options
        return es.simulate(self.network, self.stimulus, self.case.t_stop, **options)


def decided(case: Case, max_spikes: int = 60) -> Run:
    """The oracle's run, if float64 can be trusted to decide and to time all its spikes."""
    try:
        run = simulate(case, max_spikes)
    except TooManySpikesError:
        assume(False)
    assume(run.margin > 1e-7)
    assume(run.min_slope > 1e-3)
    return run


def assume_charges_come_alone(result: es.Result) -> None:
    """Where something else comes with a charge that sets off a spike, there is no derivative."""
    graph = result.causality()
    assert graph.arrivals is not None
    for i, time in zip(graph.neurons[graph.at_once], graph.times[graph.at_once], strict=True):
        part = slice(graph.arrivals.first[i], graph.arrivals.first[i + 1])
        assume(time > 0.0 and np.count_nonzero(graph.arrivals.time[part] == time) == 1)


@contextmanager
def drawn_again_if_endless() -> Iterator[None]:
    """Let hypothesis draw another network if this one's neurons excite each other without end."""
    try:
        yield
    except es.ActivityError:
        assume(False)


def to_dense(matrix: Any) -> np.ndarray:
    return matrix.toarray() if scipy.sparse.issparse(matrix) else np.asarray(matrix)


def tau(rate: float) -> float:
    return math.inf if rate == 0.0 else 1.0 / rate


def lif(neurons: tuple[Neuron, ...]) -> es.LIF:
    tau_syn = [np.array([tau(alpha) for alpha in each]) for each in by_receptor(neurons, "alphas")]
    return es.LIF(
        tau_mem=np.array([tau(n.beta) for n in neurons]),
        tau_syn=named(tau_syn),
        threshold=np.array([n.theta for n in neurons]),
        refractory=np.array([n.tau_ref for n in neurons]),
        bias=np.array([n.bias for n in neurons]),
        rest=np.array([n.rest for n in neurons]),
        reset=np.array([n.reset for n in neurons]),
    )


def start(neurons: tuple[Neuron, ...]) -> es.State | None:
    """The state in which neurons begin, or None where all begin at rest without a current."""
    if all(n.v0 is None and not any(n.i0) for n in neurons):
        return None
    potential = None
    if any(n.v0 is not None for n in neurons):
        potential = [n.rest if n.v0 is None else n.v0 for n in neurons]
    return es.State(potential, named([np.array(i) for i in by_receptor(neurons, "currents")]))


def by_receptor(neurons: tuple[Neuron, ...], field: str) -> list[tuple[float, ...]]:
    """The values of all neurons for the first receptor, for the second, ..."""
    return list(zip(*(getattr(n, field) for n in neurons), strict=True))


def named(each: list[Any]) -> Any:
    """What is said of each receptor by name; of a single one, without."""
    return each[0] if len(each) == 1 else {f"r{k}": values for k, values in enumerate(each)}


def receptor_of(neuron: Neuron, number: int) -> str | None:
    return None if len(neuron.alphas) == 1 else f"r{number}"


def spikes_of(inputs: tuple[tuple[int, float], ...]) -> es.Spikes:
    times = np.array([t for _, t in inputs], dtype=np.float64)
    return es.Spikes(times, np.array([s for s, _ in inputs], dtype=np.int64))


def build(case: Case) -> Built:
    """One population "all", one input "in"; synapse k of the case becomes one sparse entry.

    All neurons have as many receptors.
    """
    net = es.Network()
    net.add_input(IN, case.n_sources)
    net.add_population(ALL, len(case.neurons), lif(case.neurons))
    place: list[tuple[Any, int, int]] = [None] * len(case.synapses)  # type: ignore[list-item]
    for layer in _layers(case):
        _connect(net, case, layer, place)
    return Built(case, net, {IN: spikes_of(case.inputs)}, tuple(place))


def build_apart(case: Case) -> Built:
    """The same network with a population "n<i>" for each neuron, a projection for each synapse."""
    net = es.Network()
    net.add_input(IN, case.n_sources)
    for i, neuron in enumerate(case.neurons):
        net.add_population(f"n{i}", 1, lif((neuron,)))
    place = []
    for pre, post, w, d, to in case.synapses:
        name, row, n = (f"n{pre}", 0, 1) if pre >= 0 else (IN, -pre - 1, case.n_sources)
        weights = scipy.sparse.csr_array(([w], ([row], [0])), shape=(n, 1))
        receptor = receptor_of(case.neurons[post], to)
        key = net.connect(name, f"n{post}", weights=weights, delays=d, receptor=receptor)
        place.append((key, row, 0))
    return Built(case, net, {IN: spikes_of(case.inputs)}, tuple(place))


def build_any(case: Case) -> Built:
    """As `build`, or as `build_apart` where neurons have different receptors."""
    kinds = {tuple(map(math.isinf, n.alphas)) for n in case.neurons}
    return build(case) if len(kinds) == 1 else build_apart(case)


def _layers(case: Case) -> list[list[int]]:
    """Group the synapses into matrices: inputs and neurons, receptors and repetitions apart."""
    layers: dict[tuple[bool, int, int], list[int]] = {}
    copies: Counter[tuple[int, int, int]] = Counter()
    for k, s in enumerate(case.synapses):
        copy = copies[s.pre, s.post, s.receptor]
        copies[s.pre, s.post, s.receptor] += 1
        layers.setdefault((s.pre < 0, copy, s.receptor), []).append(k)
    return [layers[key] for key in sorted(layers, reverse=True)]


def _connect(net: es.Network, case: Case, layer: list[int], place: list[Any]) -> None:
    synapses = [case.synapses[k] for k in layer]
    from_input = synapses[0].pre < 0
    rows = [-s.pre - 1 if from_input else s.pre for s in synapses]
    cols = [s.post for s in synapses]
    shape = (case.n_sources if from_input else len(case.neurons), len(case.neurons))
    weights, delays = (
        scipy.sparse.csr_array((values, (rows, cols)), shape=shape)
        for values in ([s.weight for s in synapses], [s.delay for s in synapses])
    )
    source = IN if from_input else ALL
    receptor = receptor_of(case.neurons[0], synapses[0].receptor)
    key = net.connect(source, ALL, weights=weights, delays=delays, receptor=receptor)
    for k, row, col in zip(layer, rows, cols, strict=True):
        place[k] = (key, row, col)


def trains(result: es.Result, population: str = ALL) -> list[tuple[int, float]]:
    """The recorded spikes as (neuron, time), in the order of the record."""
    s = result.spikes[population]
    return list(zip(s.indices.tolist(), s.times.tolist(), strict=True))


def all_trains(result: es.Result) -> list[tuple[int, float]]:
    """As `trains`, of all populations: their neurons are numbered on."""
    record = result.batch.record
    return list(zip(record.neuron.tolist(), record.time.tolist(), strict=True))


def at_the_end(result: es.Result, quantity: str) -> np.ndarray:
    """Potentials or currents of all populations when the run ended."""
    return np.concatenate([getattr(result, quantity)(name) for name in result.network.populations])


def assert_same_trains(
    found: list[tuple[int, float]], expected: list[tuple[int, float]], rtol: float = 1e-9
) -> None:
    """Neuron by neuron: the same number of spikes at the same times (up to rounding)."""
    neurons = {i for i, _ in found} | {i for i, _ in expected}
    for neuron in neurons:
        left = [t for i, t in found if i == neuron]
        right = [t for i, t in expected if i == neuron]
        assert len(left) == len(right), neuron
        np.testing.assert_allclose(left, right, rtol=rtol, atol=rtol)
