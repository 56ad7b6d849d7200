"""Timing backpropagation: the gradient of a loss by every parameter, backward in time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib import import_module
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from eventsim._layout.wiring import Compiled, compiled_form, layout_of
from eventsim._support.threads import for_each_part, interruptible, thread_count
from eventsim._support.types import BoolArray, FloatArray, Key, Matrix
from eventsim._support.validate import (
    as_finite,
    as_floats,
    as_names,
    as_number,
    mapping_or_empty,
    require,
    shown,
)
from eventsim.causality import GraphLike
from eventsim.model.parameters import DIFFERENTIABLE, INITIAL, SYNAPSE, pulled
from eventsim.network import Network
from eventsim.result import BatchResult, Result, require_whole
from gradients._sweeps.events import (
    POTENTIAL,
    SET_DENSITY,
    SET_POTENTIAL,
    Cotangents,
    Events,
    Sums,
    by_symbol,
    new_sums,
    new_workspace,
    sweep_batch,
    with_epochs,
)
from gradients._sweeps.layers.host import LayerGradients
from gradients.gradient import Gradient, gradient_of_network, names_by_neuron
from gradients.graph.jacobian import as_graph
from gradients.graph.transposed import backprop_on_graph

__all__ = ["timing_backprop"]

# Samples are added up in strands, the strands in order: sums do not depend on the threads.
STRANDS = 16

SYNAPTIC_WORK = 35  # ns that the sweep takes for a synaptic event

# Derivatives that a sweep on a device does not make.
NOT_ON_DEVICE = frozenset({"rest", "reset", INITIAL})

BY_PROJECTION = tuple(p.name for p in SYNAPSE)

LAYER_SWEEPS = {
    "layered": "gradients._sweeps.layers.host",
    "cuda": "gradients.cuda.layers",
    "cuda-float32": "gradients.cuda.layers",
}
"""Module of the sweep by layers of each engine that runs them; imported when it is asked for."""

# Time, kind, value (n_samples, n_neurons), and the derivative by a shift of all potentials.
Event: TypeAlias = tuple[float, int, FloatArray, FloatArray]
LayerSweep: TypeAlias = Callable[
    [BatchResult, Cotangents, FloatArray, tuple[str, ...], int], LayerGradients
]


def timing_backprop(
    result: Result | BatchResult | GraphLike,
    *,
    spike_times: Mapping[str, ArrayLike] | ArrayLike | None = None,
    first_spikes: Mapping[str, ArrayLike] | None = None,
    potentials: Mapping[str, ArrayLike] | None = None,
    potentials_at: ArrayLike | None = None,
    integrals: Mapping[str, tuple[ArrayLike, float, float]] | None = None,
    wrt: Iterable[str] | None = None,
    threads: int | None = None,
) -> Gradient:
    """Return the exact gradient of a loss, given its derivatives by spike times and potentials.

    Parameters
    ----------
    result : Result, BatchResult, CausalityGraph or networkx.DiGraph
        A run of `eventsim.simulate`; gradients by parameters are summed over a batch.  On a graph
        the transposed triangular system is solved; of a graph made by hand, ``spike_times`` is an
        array and the gradients by weights and delays have the labels of its synapses as keys.
    spike_times : dict of str -> (n_spikes,) array_like
        Derivative of the loss by the times of ``result.spikes[name]``.
    first_spikes : dict of str -> (n,) or (n_samples, n) array_like
        Derivative by ``result.first_spikes(name)``; must be 0 for silent neurons.
    potentials : dict of str -> (n,) or (n_samples, n) array_like
        Derivative by the membrane potentials at the time ``potentials_at``; at several times
        (n_times, n) or (n_samples, n_times, n), as `BatchResult.potential` returns them.
    potentials_at : float or (n_times,) array_like, optional
        Default: ``result.t_stop``.  On a graph: one time.
    integrals : dict of str -> (values, t_start, t_end)
        Derivative by the integrals of the membrane potentials over ``[t_start, t_end]``; values as
        for ``potentials``.
    wrt : iterable of str, optional
        What to differentiate by, out of "weights", "delays", "tau_mem", "tau_syn", "threshold",
        "bias", "rest", "reset", "initial" and "input_times"; the others are left empty.  Default:
        all (of a run on a device: all but rest, reset and initial, which take the sweep of events).
        A layered run is faster with fewer.
    threads : int, optional
        Number of threads; default: all processors.  Never changes a result.

    Returns
    -------
    Gradient
        By weights, delays, the parameters of the neurons, their states at the start, input times.

    Raises
    ------
    ValueError
        Unknown populations, shapes that do not fit, values or times that are not finite.

    Notes
    -----
    The adjoint sweep of the module `gradients._sweeps.events`: time linear in the events (about
    that of the run), memory linear in the spikes.  It solves the transpose of the triangular system
    of Lee et al., Eq. 10, without building it.

    Examples
    --------
    >>> import eventsim as es, gradients
    >>> net = es.Network()
    >>> net.add_input("in", 1)
    >>> net.add_population("out", 1, es.LIF(tau_mem=1.0, tau_syn=1.0))
    >>> key = net.connect("in", "out", weights=[[4.0]])
    >>> result = es.simulate(net, {"in": es.Spikes([0.0], [0])}, t_stop=1.0)
    >>> gradient = gradients.timing_backprop(result, spike_times={"out": [1.0]})
    >>> gradient.weights["in", "out"].round(6)      # an earlier spike for a larger weight
    array([[-0.139046]])
    >>> gradient.input_times["in"].round(12)        # the spike moves with its cause
    array([1.])
    """
    wanted = wanted_parameters(wrt)
    threads = thread_count(threads)
    first_spikes = mapping_or_empty(first_spikes, "first_spikes")
    potentials = mapping_or_empty(potentials, "potentials")
    integrals = mapping_or_empty(integrals, "integrals")
    if not isinstance(result, (Result, BatchResult)):
        graph = as_graph(result, "result")
        for name, given in (("first_spikes", first_spikes), ("integrals", integrals)):
            if given:
                raise ValueError(
                    f"{name} must be None without the Result of a run, got {shown(given)}"
                )
        by_spikes = {} if spike_times is None else spike_times
        return backprop_on_graph(graph, by_spikes, potentials, potentials_at, wanted)
    batch = result.batch if isinstance(result, Result) else result
    require_whole(batch, "timing_backprop")
    by_spikes = mapping_or_empty(spike_times, "spike_times of a run")
    if integrals and layout_of(batch.network).neurons.charging:
        raise ValueError(
            f"integrals must be None where charges (tau_syn = 0) make potentials jump, got "
            f"{shown(integrals)}"
        )
    loss = _cotangents(batch, by_spikes, first_spikes, potentials, potentials_at, integrals)
    on_device = batch.engine.startswith("cuda")
    if on_device and wrt is None:
        wanted = tuple(name for name in wanted if name not in NOT_ON_DEVICE)
    able = batch.engine in LAYER_SWEEPS and not (on_device and NOT_ON_DEVICE & set(wanted))
    if able and _ends_late(batch, loss):
        sweep: LayerSweep = import_module(LAYER_SWEEPS[batch.engine]).sweep_layers
        sums = sweep(batch, loss, loss.value.sum(axis=1), wanted, threads)
        return _layered_gradient(batch, loss, sums, wanted)
    return _gradient(batch, loss, _swept(batch, loss, threads), wanted)


def check_derivatives(
    batch: BatchResult,
    spike_times: Mapping[str, ArrayLike],
    first_spikes: Mapping[str, ArrayLike],
    potentials: Mapping[str, ArrayLike],
) -> None:
    """Raise a ValueError unless derivatives fit a run."""
    _cotangents(batch, spike_times, first_spikes, potentials, None, {})


def wanted_parameters(wrt: Iterable[str] | None) -> tuple[str, ...]:
    """Return the names in ``wrt``, all if it is None; ValueError if it holds others."""
    every = (*DIFFERENTIABLE, INITIAL)
    return every if wrt is None else as_names(wrt, every, "wrt")


def _ends_late(batch: BatchResult, loss: Cotangents) -> bool:
    """Tell whether all depends on spikes and on the potentials at one common end alone."""
    at_end = np.all(loss.kind == SET_POTENTIAL) and np.all(loss.time == batch.t_stop)
    return bool(at_end and np.all(batch.ends == batch.t_stop))


def _cotangents(
    batch: BatchResult,
    spike_times: Mapping[str, ArrayLike],
    first_spikes: Mapping[str, ArrayLike],
    potentials: Mapping[str, ArrayLike],
    potentials_at: ArrayLike | None,
    integrals: Mapping[str, tuple[ArrayLike, float, float]],
) -> Cotangents:
    """Return the `Cotangents` of the caller's dicts."""
    spikes = np.zeros(int(batch.offsets[-1]))
    for name, values in spike_times.items():
        batch.network.neurons_of(name, "spike_times")
        at = batch.positions(name)
        spikes[at] += as_finite(values, at.shape, f"spike_times[{name!r}]")
    for name, values in first_spikes.items():
        values = _per_neuron(batch, name, values, "first_spikes")
        where = batch.first_positions(name)
        silent = where < 0
        require(~silent | (values == 0.0), values, "first_spikes must be 0 for silent neurons")
        spikes[batch.positions(name)[where[~silent]]] += values[~silent]
    events = _potential_events(batch, potentials, potentials_at) + _window_events(batch, integrals)
    events.sort(key=lambda event: -event[0])
    n_neurons = layout_of(batch.network).n_neurons
    value = np.empty((len(batch), len(events), n_neurons))
    level = np.zeros(n_neurons)
    for k, (_, _, rows, lifted) in enumerate(events):
        value[:, k] = rows
        level += lifted
    return Cotangents(
        np.zeros(batch.stimulus.times.size),
        spikes,
        np.array([event[0] for event in events], dtype=np.float64),
        np.array([event[1] for event in events], dtype=np.int64),
        value,
        level,
    )


def _per_neuron(
    batch: BatchResult,
    name: str,
    values: ArrayLike,
    argument: str,
    times: tuple[int, ...] = (),
) -> FloatArray:
    """Return values (n_samples, *times, n); a single run may leave the first axis out."""
    part = batch.network.neurons_of(name, argument)
    own = (*times, part.stop - part.start)
    values = as_floats(values, f"{argument}[{name!r}]")
    if len(batch) == 1 and values.ndim == len(own):
        return as_finite(values, own, f"{argument}[{name!r}]")[None]
    return as_finite(values, (len(batch), *own), f"{argument}[{name!r}]")


def _time_in_run(batch: BatchResult, time: float, name: str) -> float:
    time = as_number(time, name)
    if not 0.0 <= time <= batch.t_stop:
        raise ValueError(f"{name} must be in [0, t_stop] = [0, {batch.t_stop}], got {shown(time)}")
    return time


def _rows(batch: BatchResult, name: str, values: FloatArray | float, fill: float) -> FloatArray:
    """Return values (n_samples, n_neurons) with ``fill`` for the other populations."""
    rows = np.full((len(batch), layout_of(batch.network).n_neurons), fill)
    rows[:, batch.network.neurons_of(name)] = values
    return rows


def _potential_events(
    batch: BatchResult, potentials: Mapping[str, ArrayLike], at: ArrayLike | None
) -> list[Event]:
    given = as_floats(batch.t_stop if at is None else at, "potentials_at")
    if given.ndim > 1:
        raise ValueError(f"potentials_at must be a time or (n_times,), got shape {given.shape}")
    times = [_time_in_run(batch, time, "potentials_at") for time in given.reshape(-1).tolist()]
    events = []
    for name, values in potentials.items():
        values = _per_neuron(batch, name, values, "potentials", given.shape)
        for k, time in enumerate(times):
            rows = _rows(batch, name, values[:, k] if given.ndim else values, 0.0)
            events.append((time, SET_POTENTIAL, rows, rows.sum(axis=0)))
    return events


def _window_events(
    batch: BatchResult, integrals: Mapping[str, tuple[ArrayLike, float, float]]
) -> list[Event]:
    events = []
    for name, integral in integrals.items():
        if not isinstance(integral, (tuple, list)) or len(integral) != 3:
            raise ValueError(
                f"integrals[{name!r}] must be (values, t_start, t_end), got {shown(integral)}"
            )
        values, start, end = integral
        values = _per_neuron(batch, name, values, "integrals")
        start = _time_in_run(batch, start, "start of the integral")
        end = _time_in_run(batch, end, "end of the integral")
        if end < start:
            raise ValueError(f"end of the integral must be >= {start}, its start, got {shown(end)}")
        level = (end - start) * _rows(batch, name, values, 0.0).sum(axis=0)
        events.append((end, SET_DENSITY, _rows(batch, name, values, np.nan), level))
        events.append((start, SET_DENSITY, _rows(batch, name, 0.0, np.nan), 0.0 * level))
    return events


def _swept(batch: BatchResult, loss: Cotangents, threads: int | None) -> Sums:
    """Run the sweep; return its `Sums` over all samples."""
    compiled = compiled_form(batch.network)
    n_strands = min(STRANDS, len(batch))
    per_synapse = any(not isinstance(p.delays, float) for p in batch.network.projections.values())
    states = batch.stimulus.start.states
    n_starts = len(batch) if states.shape[0] > 1 else n_strands
    sums = new_sums(compiled.wiring, compiled.neurons, n_strands, n_starts, per_synapse)
    n_spikes = np.diff(batch.offsets)
    n_flights = int((np.diff(batch.stimulus.offsets) + n_spikes).max())
    work = new_workspace(compiled.neurons, n_strands, int(n_spikes.max()), n_flights)
    events = Events(
        compiled.wiring, with_epochs(compiled.neurons), compiled.spans.longest, states,
        batch.stimulus.arrays, (batch.offsets, *batch.record), batch.ends,
    )  # fmt: skip
    duration = SYNAPTIC_WORK * batch.events.synaptic

    def sweep(stop: BoolArray) -> None:
        for_each_part(
            partial(sweep_batch, events, loss, sums, work, n_strands, stop),
            n_strands,
            threads,
            duration,
        )

    interruptible(sweep, duration)
    by_start = sums.start if states.shape[0] > 1 else _added(sums.start)[None]
    return Sums._make(_added(array) for array in sums)._replace(start=by_start)


def _added(strands: FloatArray) -> FloatArray:
    """Add the strands in order."""
    return strands[0] if strands.shape[0] == 1 else strands.sum(axis=0)


def _gradient(
    batch: BatchResult, loss: Cotangents, sums: Sums, wanted: tuple[str, ...]
) -> Gradient:
    network, compiled = batch.network, compiled_form(batch.network)
    weights, delays = (network.projections if name in wanted else {} for name in BY_PROJECTION)
    return _of_batch(
        batch,
        loss,
        wanted,
        weights={key: _of_synapses(compiled, network, key, sums.weight) for key in weights},
        delays={key: _of_delays(compiled, network, key, sums) for key in delays},
        by=by_symbol(sums.neuron),
        by_start=sums.start,
    )


def _layered_gradient(
    batch: BatchResult, loss: Cotangents, sums: LayerGradients, wanted: tuple[str, ...]
) -> Gradient:
    projections = batch.network.projections
    weights = sums.weights() if "weights" in wanted else {}
    own = sums.synapse_delays() if "delays" in wanted else {}
    of_synapses = {k: projections[k].like(values) for k, values in own.items()
                   if not isinstance(projections[k].delays, float)}  # fmt: skip
    return _of_batch(
        batch,
        loss,
        wanted,
        weights={k: p.like(weights[k]) for k, p in projections.items() if k in weights},
        delays={**sums.delays, **of_synapses} if "delays" in wanted else {},
        by=sums.neurons() if sums.wanted.neurons else {},
        by_start=sums.starts(),
    )


def _of_batch(
    batch: BatchResult,
    loss: Cotangents,
    wanted: tuple[str, ...],
    by: Mapping[str, FloatArray],
    by_start: FloatArray,
    **by_projection: Any,
) -> Gradient:
    start, by_neuron = batch.stimulus.start, {}
    if by:
        potential = by_start[:, :, POTENTIAL].sum(axis=0)
        given = {**by, "potential": potential, "level": loss.level}
        every = pulled(given, layout_of(batch.network).values, start.at_rest)
        by_neuron = {name: every[name] for name in names_by_neuron(wanted)}
    return gradient_of_network(
        batch.network,
        by_neuron,
        by_start if INITIAL in wanted else None,
        input_times=batch.stimulus.split(loss.inputs) if "input_times" in wanted else {},
        min_slope=batch.min_slope,
        silent_fraction=batch.silent_fraction,
        **by_projection,
    )


def _of_synapses(compiled: Compiled, network: Network, key: Key, values: FloatArray) -> Matrix:
    """Return per-synapse ``values`` of the wiring in the form of the projection's weights."""
    part, order = values[compiled.synapses[key]], compiled.orders[key]
    projection = network.projections[key]
    if order is not None:
        n = projection.values.size
        part = np.bincount(order, weights=part, minlength=n).astype(np.float64, copy=False)
    return projection.like(part)


def _of_delays(compiled: Compiled, network: Network, key: Key, sums: Sums) -> float | Matrix:
    if not isinstance(network.projections[key].delays, float):
        return _of_synapses(compiled, network, key, sums.delay)
    number = list(network.projections).index(key)
    return float(sums.group[compiled.group_projection == number].sum())
