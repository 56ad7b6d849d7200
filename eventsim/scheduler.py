"""The event loop: networks of any topology, in continuous time.

Three sources of events are merged in time: predicted spikes (a queue with one entry per neuron that
will fire if nothing else arrives), spikes in flight (a queue with one entry per spike, which moves
on from delay group to delay group), and the sorted input spikes.  Ties: a neuron's spike precedes
every arrival of the same time, since an arrival acts after it; spikes go by neuron number, arrivals
by the number of the spike, inputs first.

A neuron's state is ``(I, V)`` as of a reference time.  Advancing it at every arrival would cost two
exponentials per synapse; instead time is cut into epochs of one (shorter) time constant, the
reference time is the start of the epoch in which the neuron was last touched, and an arrival in the
epoch is carried back to its start by the flow with a negative lag.  All synapses of a delay group
share that flow, so a synaptic event costs two multiply-adds and a comparison.  Factors stay below
e, so nothing is lost.  After a spike the reference time is the end of the refractory period: the
state ``(I, 0)`` may lie in the future, and arrivals until then are carried forward to it.
"""

import math
from typing import NamedTuple

import numpy as np

from eventsim._compile import inlined, loop, scalar
from eventsim.crossing import next_crossing
from eventsim.flow import bias_kernel, flow, propagator
from eventsim.queue import Queue, first_item, first_time, put, remove

__all__ = [
    "CURRENT",
    "DONE",
    "FULL",
    "POTENTIAL",
    "REFERENCE",
    "Run",
    "State",
    "advance",
    "advance_batch",
    "epoch_start",
    "new_run",
]

# Columns of State.neuron: state as of the reference time, and the current below which an arrival
# cannot lead to a spike (-inf while a spike is predicted, since every arrival then changes it).
CURRENT, POTENTIAL, REFERENCE, BOUND = 0, 1, 2, 3

# Entries of State.count.
SPIKES, INPUTS, SYNAPTIC, PREDICTIONS, STARTED = 0, 1, 2, 3, 4

# Status of a run.
READY, DONE, FULL = 0, 1, 2


class State(NamedTuple):
    """All that a run carries along: arrays of one sample, or of a batch with a leading axis.

    ``neuron`` (n_neurons, 4); ``latest`` (n_neurons,) number of each neuron's last spike;
    ``slope`` (n_neurons,) slope of its predicted one; the queue of predicted spikes; the queue of
    spikes in flight (inputs are numbered first, then recorded spikes) and the delay group each is
    heading for; counters.
    """

    neuron: np.ndarray
    latest: np.ndarray
    slope: np.ndarray
    predicted: Queue
    flying: Queue
    group: np.ndarray
    count: np.ndarray


class Run(NamedTuple):
    """Recorded spikes, in the order in which they happened.

    ``released`` is the synaptic current at the end of the refractory period.
    """

    time: np.ndarray
    neuron: np.ndarray
    slope: np.ndarray
    released: np.ndarray


def new_run(neurons, n_samples, n_inputs, capacity):
    """Return the `State` and `Run` arrays of a batch at rest, with room for ``capacity`` spikes."""
    n = neurons.kind.size
    flights = n_inputs + capacity
    rows = np.zeros((n_samples, n, 4))
    rows[:, :, BOUND] = neurons.bound
    state = State(
        neuron=rows,
        latest=np.full((n_samples, n), -1, dtype=np.int32),
        slope=np.zeros((n_samples, n)),
        predicted=_new_queue(n_samples, n),
        flying=_new_queue(n_samples, flights),
        group=np.empty((n_samples, flights), dtype=np.int32),
        count=np.zeros((n_samples, 5), dtype=np.int64),
    )
    return state, new_record(n_samples, capacity)


def new_record(n_samples, capacity):
    """Return empty `Run` arrays."""
    shape = (n_samples, capacity)
    return Run(np.empty(shape), np.empty(shape, dtype=np.int32), np.empty(shape), np.empty(shape))


def _new_queue(n_samples, n_items):
    return Queue(
        time=np.empty((n_samples, n_items)),
        item=np.empty((n_samples, n_items), dtype=np.int32),
        place=np.full((n_samples, n_items), -1, dtype=np.int32),
        size=np.zeros((n_samples, 1), dtype=np.int64),
    )


@loop
def advance_batch(
    wiring, neurons, offsets, times, sources, state, run, t_stop, status, first, last
):
    """Advance the samples ``first : last`` to ``t_stop``; sets their ``status``."""
    for k in range(first, last):
        if status[k] != DONE:
            one = State(
                state.neuron[k],
                state.latest[k],
                state.slope[k],
                _queue_of(state.predicted, k),
                _queue_of(state.flying, k),
                state.group[k],
                state.count[k],
            )
            record = Run(run.time[k], run.neuron[k], run.slope[k], run.released[k])
            part = slice(offsets[k], offsets[k + 1])
            status[k] = advance(wiring, neurons, times[part], sources[part], one, record, t_stop)


@inlined
def _queue_of(queue, k):
    return Queue(queue.time[k], queue.item[k], queue.place[k], queue.size[k])


@loop
def advance(wiring, neurons, times, sources, state, run, t_stop):
    """Process all events of one sample up to and including ``t_stop``; return `DONE` or `FULL`."""
    count = state.count
    if count[STARTED] == 0:
        count[STARTED] = 1
        for i in range(neurons.kind.size):
            if neurons.bound[i] == -math.inf:
                _predict(neurons, state, i, 0.0, 0.0, 0.0)
    n_inputs = times.size
    n_sources = wiring.first_group.size - 1 - neurons.kind.size
    while True:
        k = count[INPUTS]
        now = times[k] if k < n_inputs else math.inf
        arrival = first_time(state.flying)
        spike = first_time(state.predicted)
        if spike <= arrival and spike <= now:
            if spike > t_stop:
                return DONE
            if count[SPIKES] == run.time.size:
                return FULL
            i = _fire(neurons, state, run, spike)
            number = n_inputs + count[SPIKES] - 1
            g = wiring.first_group[n_sources + i]
            if g < wiring.first_group[n_sources + i + 1]:
                state.group[number] = g
                put(state.flying, number, spike + wiring.delay[g])
        elif arrival < now or (arrival == now and first_item(state.flying) < k):
            if arrival > t_stop:
                return DONE
            number = first_item(state.flying)
            if number < n_inputs:
                source, emitted = sources[number], times[number]
            else:
                source = n_sources + run.neuron[number - n_inputs]
                emitted = run.time[number - n_inputs]
            g = state.group[number]
            stop = wiring.first_group[source + 1]
            delay = wiring.delay[g]
            while g < stop and wiring.delay[g] == delay:
                _deliver(wiring, neurons, state, run, g, arrival)
                g += 1
            if g < stop:
                state.group[number] = g
                put(state.flying, number, emitted + wiring.delay[g])
            else:
                remove(state.flying, number)
        else:
            if now > t_stop:
                return DONE
            count[INPUTS] = k + 1
            g = wiring.first_group[sources[k]]
            stop = wiring.first_group[sources[k] + 1]
            while g < stop and wiring.delay[g] == 0.0:
                _deliver(wiring, neurons, state, run, g, now)
                g += 1
            if g < stop:
                state.group[k] = g
                put(state.flying, k, now + wiring.delay[g])


@scalar
def epoch_start(now, alpha, beta):
    """Return the start of the epoch of ``now``: epochs last one (the shorter) time constant."""
    pace = max(alpha, beta)
    return math.floor(now * pace) / pace if pace > 0.0 else 0.0


@inlined
def _deliver(wiring, neurons, state, run, g, now):
    """Let the arrivals of delay group ``g`` act at time ``now``."""
    kind = wiring.kind[g]
    alpha, beta = neurons.alpha[kind], neurons.beta[kind]
    epoch = epoch_start(now, alpha, beta)
    synaptic, membrane, h = propagator(epoch - now, alpha, beta)
    forward_synaptic, forward_membrane = 1.0 / synaptic, 1.0 / membrane
    forward_h = -h * forward_synaptic * forward_membrane
    rows = state.neuron
    start, stop = wiring.start[g], wiring.stop[g]
    state.count[SYNAPTIC] += stop - start
    for s in range(start, stop):
        i = wiring.target[s]
        weight = wiring.weight[s]
        reference = rows[i, REFERENCE]
        if reference > now:
            current = rows[i, CURRENT] + weight * math.exp(-alpha * (reference - now))
            rows[i, CURRENT] = current
            run.released[state.latest[i]] = current
            _predict(neurons, state, i, reference, current, 0.0)
            continue
        if reference != epoch:
            _settle(rows, i, epoch, alpha, beta, neurons.bias[i])
        current = rows[i, CURRENT] + weight * synaptic
        potential = rows[i, POTENTIAL] + weight * h
        rows[i, CURRENT] = current
        rows[i, POTENTIAL] = potential
        if current > rows[i, BOUND] * synaptic:
            potential = potential * forward_membrane + current * forward_h
            if neurons.bias[i] != 0.0:
                potential += neurons.bias[i] * bias_kernel(now - epoch, beta)
            _predict(neurons, state, i, now, current * forward_synaptic, potential)


@inlined
def _settle(rows, i, epoch, alpha, beta, bias):
    """Move the state of neuron ``i`` to the start of the epoch."""
    lag = epoch - rows[i, REFERENCE]
    current, potential = flow(rows[i, CURRENT], rows[i, POTENTIAL], lag, alpha, beta, bias)
    rows[i, CURRENT] = current
    rows[i, POTENTIAL] = potential
    rows[i, REFERENCE] = epoch


@inlined
def _predict(neurons, state, i, start, current, potential):
    """Queue the next spike of neuron ``i`` in the given state at ``start``; dequeue it if none."""
    kind = neurons.kind[i]
    lag, slope = next_crossing(
        current,
        potential,
        neurons.alpha[kind],
        neurons.beta[kind],
        neurons.threshold[i],
        neurons.bias[i],
    )
    state.count[PREDICTIONS] += 1
    if lag < math.inf:
        # A spike lies strictly after the event that releases it, if only by rounding.
        time = max(start + lag, np.nextafter(start, math.inf))
        state.slope[i] = slope
        state.neuron[i, BOUND] = -math.inf
        put(state.predicted, i, time)
    elif state.predicted.place[i] >= 0:
        state.neuron[i, BOUND] = neurons.bound[i]
        remove(state.predicted, i)


@inlined
def _fire(neurons, state, run, now):
    """Record the first predicted spike, reset its neuron, predict the next; return the neuron."""
    i = first_item(state.predicted)
    remove(state.predicted, i)
    row = state.neuron[i]
    alpha = neurons.alpha[neurons.kind[i]]
    release = now + neurons.refractory[i]
    current = row[CURRENT] * math.exp(-alpha * (now - row[REFERENCE]))
    current *= math.exp(-alpha * neurons.refractory[i])
    row[CURRENT] = current
    row[POTENTIAL] = 0.0
    row[REFERENCE] = release
    row[BOUND] = neurons.bound[i]
    number = state.count[SPIKES]
    state.count[SPIKES] = number + 1
    state.latest[i] = number
    run.time[number] = now
    run.neuron[number] = i
    run.slope[number] = state.slope[i]
    run.released[number] = current
    if current > row[BOUND]:
        _predict(neurons, state, i, release, current, 0.0)
    return i
