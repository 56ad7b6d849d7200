"""The tangent sweep: derivatives of all spike times in one direction, forward in time.

The run is walked again with its known spikes.  Each neuron carries its state and the state's
derivative in the given direction, as of its last event; a spike of slope s moves by
``df = (dtheta - dV)/s``, an arrival by that plus the change of its delay, and the potential
restarts from the moved release with ``dV = -(I + c) df``.
"""

import math
from typing import NamedTuple

import numpy as np

from eventsim._support.compile import inlined, inner, loop
from eventsim._support.queue import Queue, first_item, first_time, put, remove
from eventsim._support.types import FloatArray
from eventsim.model.flow import (
    bias_kernel,
    bias_kernel_rate_derivative,
    kernel_rate_derivatives,
    propagator,
)
from eventsim.model.jumps import AT_ONCE, CHARGE, RESET, arrive_held, hold
from gradients._sweeps.jumps import arrival_forward, release_forward, spike_forward

__all__ = ["Direction", "first_states", "new_flights", "tangent_sweep"]

# Columns of the states; those of a further receptor r are from FURTHER + 2 r on.
CURRENT, POTENTIAL, D_CURRENT, D_POTENTIAL, REFERENCE = 0, 1, 2, 3, 4
FURTHER = 3


class Direction(NamedTuple):
    """A direction in the space of all parameters.

    ``weight``, ``delay`` (n_synapses,) in the order of the wiring; ``input_time`` (n_inputs,);
    ``start`` (n_neurons, 1 + n_receptors) of the states at t = 0; ``alpha`` (n_neurons,
    n_receptors); the others (n_neurons,).
    """

    weight: FloatArray
    delay: FloatArray
    input_time: FloatArray
    threshold: FloatArray
    alpha: FloatArray
    beta: FloatArray
    bias: FloatArray
    start: FloatArray


def new_flights(n_spikes: int) -> Queue:
    """Return a queue for all spikes of a sample."""
    return Queue(
        np.empty(n_spikes),
        np.empty(n_spikes, dtype=np.int32),
        np.full(n_spikes, -1, dtype=np.int32),
        np.zeros(1, dtype=np.int64),
    )


def first_states(start: FloatArray, direction: Direction) -> FloatArray:
    """Return the states at t = 0 and their derivatives, (n_neurons, 4 + 2 n_receptors).

    The last column is for how far the last charge has moved.
    """
    rows = np.zeros((start.shape[0], 2 + 2 * start.shape[1]))
    rows[:, [CURRENT, POTENTIAL]] = start[:, :2]
    rows[:, [D_CURRENT, D_POTENTIAL]] = direction.start[:, :2]
    rows[:, FURTHER + 2 : -1 : 2] = start[:, 2:]
    rows[:, FURTHER + 3 : -1 : 2] = direction.start[:, 2:]
    return rows


@loop
def tangent_sweep(
    wiring, neurons, stimulus, record, t_stop, direction, flying, group, rows, moved, stop
):
    """Fill ``moved`` (n_spikes,), the derivative of each recorded spike's time.

    ``stimulus = (times, sources)``, ``record = (times, neurons, slopes, released)``; scratch:
    ``flying``, ``group`` (n_inputs + n_spikes,) and ``rows``, the `first_states`.
    If ``stop[0]`` is set meanwhile, the rest of ``moved`` is not filled.
    """
    times, sources = stimulus
    spike_times, spike_neurons = record[0], record[1]
    n_inputs = times.size
    n_sources = wiring.first_group.size - 1 - neurons.kind.size
    given, fired = 0, 0
    while not stop[0]:
        now_given = times[given] if given < n_inputs else math.inf
        now_fired = spike_times[fired] if fired < spike_times.size else math.inf
        now_flying = first_time(flying)
        now = min(now_given, now_fired, now_flying)
        if now > t_stop:
            break
        # What charges set off comes after all that arrives at the same time, other spikes before.
        others = min(now_given, now_flying)
        if now_fired == now and (record[2][fired] < AT_ONCE or others > now):
            _fire(neurons, record, direction, rows, fired, moved)
            number, g = n_inputs + fired, wiring.first_group[n_sources + spike_neurons[fired]]
            last = wiring.first_group[n_sources + spike_neurons[fired] + 1]
            fired += 1
            if g < last:
                group[number] = g
                put(flying, number, now + wiring.delay[g])
            continue
        if now_flying == now:
            number = first_item(flying)
            g = group[number]
        else:
            number, g = given, wiring.first_group[sources[given]]
            given += 1
        if number < n_inputs:
            source, emitted, shift = sources[number], times[number], direction.input_time[number]
        else:
            source = n_sources + spike_neurons[number - n_inputs]
            emitted, shift = spike_times[number - n_inputs], moved[number - n_inputs]
        last = wiring.first_group[source + 1]
        while g < last and emitted + wiring.delay[g] == now:
            _deliver(wiring, neurons, direction, rows, g, now, shift)
            g += 1
        if g < last:
            group[number] = g
            put(flying, number, emitted + wiring.delay[g])
        elif flying.place[number] >= 0:
            remove(flying, number)


@inlined
def _columns(receptor):
    """Return where the current of a receptor stands in a state, and its derivative."""
    if receptor == 0:
        return CURRENT, D_CURRENT
    return FURTHER + 2 * receptor, FURTHER + 2 * receptor + 1


@inlined
def _deliver(wiring, neurons, direction, rows, g, now, shift):
    """Let delay group ``g`` arrive at ``now``; its spike's time moves by ``shift``."""
    receptor = wiring.receptor[g]
    if len(neurons.charging) > 0 and receptor == CHARGE:
        _charge(wiring, neurons, direction, rows, g, now, shift)
        return
    alpha = neurons.alpha[wiring.kind[g], receptor]
    current, change = _columns(receptor)
    for s in range(wiring.start[g], wiring.stop[g]):
        i = wiring.target[s]
        weight, d_weight = wiring.weight[s], direction.weight[s]
        d_arrival = shift + direction.delay[s]
        ahead = rows[i, REFERENCE] - now
        if ahead <= 0.0:
            _settle(neurons, direction, rows, i, now)
            d_current, d_potential = arrival_forward(weight, d_weight, alpha, d_arrival)
            rows[i, current] += weight
            rows[i, change] += d_current
            rows[i, D_POTENTIAL] += d_potential
        else:
            # The neuron is refractory, and its state is that at the release.
            stretch = alpha * d_arrival - ahead * direction.alpha[i, receptor]
            rows[i, current] = arrive_held(rows[i, current], weight, ahead, alpha)
            rows[i, change] += hold(d_weight + weight * stretch, ahead, alpha)


@inner
def _charge(wiring, neurons, direction, rows, g, now, shift):
    """Let the charges of delay group ``g`` arrive at ``now``; those of held neurons are lost."""
    beta, last = neurons.beta[wiring.kind[g]], rows.shape[1] - 1
    for s in range(wiring.start[g], wiring.stop[g]):
        i, weight = wiring.target[s], wiring.weight[s]
        if rows[i, REFERENCE] <= now:
            _settle(neurons, direction, rows, i, now)
            d_arrival = shift + direction.delay[s]
            rows[i, POTENTIAL] += weight
            rows[i, D_POTENTIAL] += direction.weight[s] + weight * beta * d_arrival
            if weight > 0.0:
                rows[i, last] = d_arrival


@inlined
def _fire(neurons, record, direction, rows, k, moved):
    """Move spike ``k`` and restart its neuron at the release."""
    i, now = record[1][k], record[0][k]
    _settle(neurons, direction, rows, i, now)
    if record[2][k] == AT_ONCE:
        moved[k] = rows[i, rows.shape[1] - 1]  # as the charge that sets it off
    else:
        moved[k] = spike_forward(direction.threshold[i], rows[i, D_POTENTIAL], record[2][k])
    if neurons.refractory[i] > 0.0:
        _settle(neurons, direction, rows, i, now + neurons.refractory[i])
    rows[i, POTENTIAL] = RESET
    rows[i, D_POTENTIAL] = release_forward(record[3][k], neurons.bias[i], moved[k])


@inlined
def _settle(neurons, direction, rows, i, time):
    """Move the state of neuron ``i`` and its derivative to ``time``."""
    kind = neurons.kind[i]
    beta, bias = neurons.beta[kind], neurons.bias[i]
    d_beta = direction.beta[i]
    lag = time - rows[i, REFERENCE]
    potential, membrane = rows[i, POTENTIAL], 1.0
    pushed = d_pushed = 0.0
    for r in range(len(neurons.receptors)):
        current, change = _columns(r)
        alpha, d_alpha, own = neurons.alpha[kind, r], direction.alpha[i, r], rows[i, current]
        synaptic, membrane, h = propagator(lag, alpha, beta)
        h_alpha, h_beta = kernel_rate_derivatives(lag, alpha, beta, synaptic, h)
        pushed += own * h
        d_pushed += rows[i, change] * h + own * (h_alpha * d_alpha + h_beta * d_beta)
        rows[i, change] = (rows[i, change] - lag * d_alpha * own) * synaptic
        rows[i, current] = own * synaptic
    b = bias_kernel(lag, beta)
    rows[i, D_POTENTIAL] = (
        (rows[i, D_POTENTIAL] - lag * d_beta * potential) * membrane
        + d_pushed
        + direction.bias[i] * b
    )
    if bias != 0.0:
        rows[i, D_POTENTIAL] += bias * d_beta * bias_kernel_rate_derivative(lag, beta)
    rows[i, POTENTIAL] = potential * membrane + pushed + bias * b
    rows[i, REFERENCE] = time
