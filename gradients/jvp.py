"""Derivatives of all spike times in one direction, at the cost of one sweep."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from eventsim._layout.wiring import compiled_form, layout_of
from eventsim._support.threads import interruptible
from eventsim._support.types import FloatArray, Key, MatrixLike
from eventsim._support.validate import (
    as_finite,
    as_floats,
    as_mapping,
    check_name,
    mapping_or_empty,
    require,
    shown,
)
from eventsim.convolution import Convolution
from eventsim.model.jumps import CHARGE
from eventsim.model.parameters import pushed
from eventsim.network import Network, Projection, check_same_form, checked_matrix
from eventsim.result import Result, require_whole
from eventsim.start import State
from eventsim.stimulus import Stimulus
from gradients._sweeps.tangent import Direction, first_states, new_flights, tangent_sweep

__all__ = ["jvp"]

SYNAPTIC_WORK = 25  # ns that the sweep takes for a synaptic event


def jvp(
    result: Result,
    *,
    weights: Mapping[Key, MatrixLike] | None = None,
    delays: Mapping[Key, float | MatrixLike] | None = None,
    input_times: Mapping[str, ArrayLike] | None = None,
    tau_mem: Mapping[str, ArrayLike] | None = None,
    tau_syn: Mapping[str, ArrayLike | Mapping[str, ArrayLike]] | None = None,
    threshold: Mapping[str, ArrayLike] | None = None,
    bias: Mapping[str, ArrayLike] | None = None,
    rest: Mapping[str, ArrayLike] | None = None,
    reset: Mapping[str, ArrayLike] | None = None,
    initial: Mapping[str, State] | None = None,
) -> dict[str, FloatArray]:
    """Return how all spike times move when the parameters move in a direction.

    Parameters
    ----------
    result : Result
        A run of `eventsim.simulate`.
    weights : dict of key -> array, optional
        Change of the weights of each projection, in their shape (sparse: with their entries).
    delays : dict of key -> float or array, optional
        Change of the delays: one for all synapses, or in the shape of the weights.
    input_times : dict of str -> (n_spikes,) array_like, optional
        Change of the input times, in the order in which the caller gave the spikes.
    tau_mem, tau_syn, threshold, bias, rest, reset : dict of str -> array_like, optional
        Change of the neuron parameters of each population, () or (n,); "tau_syn" by receptor, if
        they have names.
    initial : dict of str -> State, optional
        Change of the states at t = 0.

    Returns
    -------
    dict of str -> (n_spikes,) ndarray
        Derivative of the times of ``result.spikes[name]`` for each population.

    Raises
    ------
    ValueError
        Unknown names, or shapes that do not fit.

    Notes
    -----
    The product of the Jacobian of forward propagation (Lee et al., Eq. 10) with a vector, by the
    tangent sweep of the module `gradients._sweeps.tangent`: no matrix is built.

    Examples
    --------
    >>> import eventsim as es, gradients
    >>> net = es.Network()
    >>> net.add_input("in", 1)
    >>> net.add_population("out", 1, es.LIF(tau_mem=1.0, tau_syn=1.0))
    >>> key = net.connect("in", "out", weights=[[4.0]])
    >>> result = es.simulate(net, {"in": es.Spikes([0.0], [0])}, t_stop=1.0)
    >>> gradients.jvp(result, weights={key: [[1.0]]})["out"].round(6)
    array([-0.139046])
    """
    if not isinstance(result, Result):
        raise ValueError(f"result must be a Result, got {shown(result)}")
    batch = result.batch
    require_whole(batch, "jvp")
    network, compiled = batch.network, compiled_form(batch.network)
    given = {
        "tau_mem": tau_mem, "threshold": threshold, "bias": bias, "rest": rest, "reset": reset,
    }  # fmt: skip
    changes = {name: _of_neurons(network, change, name) for name, change in given.items()}
    changes["tau_syn"] = _of_receptors(network, tau_syn, "tau_syn")
    start = batch.stimulus.start
    d_current, changes["potential"] = _of_start(network, initial)
    moved_by = pushed(changes, layout_of(network).values, start.at_rest)
    direction = Direction(
        weight=_of_synapses(network, weights, "weights"),
        delay=_of_synapses(network, delays, "delays"),
        input_time=_of_inputs(batch.stimulus, input_times),
        start=np.column_stack([d_current[:, 0], moved_by.pop("potential"), d_current[:, 1:]]),
        **moved_by,
    )
    n_spikes = batch.record.time.size
    n_flights = batch.stimulus.times.size + n_spikes
    moved = np.empty(n_spikes)
    sweep = partial(
        tangent_sweep,
        compiled.wiring,
        compiled.neurons,
        (batch.stimulus.times, batch.stimulus.sources),
        tuple(batch.record),
        float(batch.ends[0]),
        direction,
        new_flights(n_flights),
        np.empty(n_flights, dtype=np.int32),
        first_states(start.states[0], direction),
        moved,
    )
    interruptible(sweep, SYNAPTIC_WORK * batch.events.synaptic)
    return {name: moved[batch.positions(name)] for name in network.populations}


def _of_synapses(
    network: Network, changes: Mapping[Key, float | MatrixLike] | None, argument: str
) -> FloatArray:
    """Return the change of every synapse, in the order of the wiring."""
    compiled = compiled_form(network)
    total = np.zeros(compiled.wiring.weight.size)
    for key, change in mapping_or_empty(changes, argument).items():
        check_name(key, network.projections, f"{argument} must name projections")
        projection = network.projections[key]
        values = _values_like(projection, change, f"{argument}[{key}]", argument == "delays")
        order = compiled.orders[key]
        total[compiled.synapses[key]] = values if order is None else values[order]
    return total


def _values_like(
    projection: Projection, change: float | MatrixLike, name: str, scalar_allowed: bool
) -> FloatArray:
    """Return the flat values of a change that has the form of the weights."""
    weights = projection.weights
    values: FloatArray
    number = as_floats(change, name) if scalar_allowed and not sparse.issparse(change) else None
    if number is not None and number.ndim == 0:
        values = np.full(projection.values.size, float(number))
    elif isinstance(weights, Convolution):
        values = as_finite(change, weights.kernel.shape, name).reshape(-1)
    else:
        matrix = checked_matrix(change, weights.shape, name)
        check_same_form(matrix, weights, name)
        values = matrix.reshape(-1) if isinstance(matrix, np.ndarray) else matrix.data
    require(np.isfinite(values), values, f"{name} must be finite")
    return values


def _of_inputs(stimulus: Stimulus, changes: Mapping[str, ArrayLike] | None) -> FloatArray:
    """Return the change of every input time, in the order of the run."""
    flat = []
    changes = mapping_or_empty(changes, "input_times")
    for name in changes:
        check_name(name, stimulus.trains, "input_times must name given inputs")
    for name, train in stimulus.trains.items():
        change = changes.get(name, np.zeros(train.times.size))
        values = as_finite(change, train.times.shape, f"input_times[{name!r}]")
        flat.append(values[train.order])
    return np.concatenate([np.empty(0), *flat])[stimulus.order]


def _of_neurons(
    network: Network, changes: Mapping[str, ArrayLike] | None, parameter: str
) -> FloatArray:
    """Return the change of every neuron's parameter."""
    total = np.zeros(layout_of(network).n_neurons)
    for name, change in mapping_or_empty(changes, parameter).items():
        part = network.neurons_of(name, parameter)
        n = part.stop - part.start
        change = as_floats(change, f"{parameter}[{name!r}]")
        if change.shape not in ((), (n,)):
            raise ValueError(f"{parameter}[{name!r}] must be () or ({n},), got {change.shape}")
        require(np.isfinite(change), change, f"{parameter}[{name!r}] must be finite")
        total[part] = change
    return total


def _of_start(
    network: Network, changes: Mapping[str, State] | None
) -> tuple[FloatArray, FloatArray]:
    """Return the changes of all currents and potentials at t = 0."""
    currents, potentials = {}, {}
    for name, change in mapping_or_empty(changes, "initial").items():
        if not isinstance(change, State):
            raise ValueError(f"initial[{name!r}] must be an eventsim.State, got {shown(change)}")
        currents[name] = change.current
        if change.potential is not None:
            potentials[name] = change.potential
    return (
        _of_receptors(network, currents, "initial"),
        _of_neurons(network, potentials, "initial"),
    )


def _of_receptors(
    network: Network, changes: Mapping[str, Any] | None, parameter: str
) -> FloatArray:
    """Return the change of a parameter of receptors, (n_neurons, n_receptors)."""
    layout = layout_of(network)
    total = np.zeros((layout.n_neurons, len(layout.neurons.receptors)))
    for name, change in mapping_or_empty(changes, parameter).items():
        check_name(name, network.populations, f"{parameter} must name one of the populations")
        receptors = network.neurons[name].receptors
        if receptors:
            named = as_mapping(change, f"{parameter}[{name!r}]") if np.any(change) else {}
            known = dict.fromkeys(receptors)
            for receptor, values in named.items():
                check_name(receptor, known, f"{parameter}[{name!r}] must name receptors, out of")
                _set_current(total, network, name, receptors.index(receptor), values, parameter)
        else:
            _set_current(total, network, name, 0, change, parameter)
    return total


def _set_current(
    total: FloatArray, network: Network, name: str, receptor: int, change: Any, parameter: str
) -> None:
    """Set the change at one receptor of a population."""
    values = _of_neurons(network, {name: change}, parameter)
    column = network.neurons[name].columns[receptor]
    if column == CHARGE:
        of = f"{parameter}[{name!r}]"
        require(values == 0.0, values, f"{of} must be 0 at a receptor of charges")
    else:
        part = network.neurons_of(name)
        total[part, column] = values[part]
