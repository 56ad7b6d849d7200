"""The event loop: networks of any topology, in continuous time.

Three sources of events are merged in time: predicted spikes (a queue with one entry per neuron that
may fire if nothing else arrives), spikes in flight (a queue with one entry per spike, which moves
on from delay group to delay group), and the sorted input spikes.  Ties: a neuron's spike precedes
every arrival of the same time, since an arrival acts after it; spikes go by neuron number, arrivals
by the number of the spike, inputs first.

A neuron's state is ``(I, V)`` as of a reference time.  Advancing it at every arrival would cost two
exponentials per synapse; instead time is cut into epochs of about one (shorter) time constant, the
reference time is the start of the epoch in which the neuron was last touched, and an arrival in the
epoch is carried back to its start by the flow with a negative lag.  All synapses of a delay group
share that flow, so a synaptic event costs two multiply-adds and a comparison: with a limit that is
looked up (`eventsim._engines.scheduler.tables`).  What stays below it cannot fire until the next
arrival; what does not is queued, for a time before which no spike is possible.  An entry that comes
before it is left where it is, and so is one that arrivals have overtaken: what is searched for too
early, or in vain, is not found.

Epochs last a power of two, so each begins at an exact number, never after what happens in it.
Factors stay below e^1.6, and an epoch is so short that no single arrival moves V by many
thresholds within it: carried back and forth, an arrival leaves V within some ulp of the threshold.
After a spike the reference time is the end of the refractory period: the state ``(I, 0)`` may lie
in the future, and arrivals until then are carried forward to it.

Charges raise V at once.  All that reach a neuron at the same time count as one, so whether it
fires is decided when nothing else happens at that time any more: a third queue holds the neurons
that wait for it.

Of neurons with several receptors every current is kept so; whether an arrival matters is asked of
the sum of those that are positive.  After a touch the search goes on where V may rise again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from eventsim._engines.scheduler.tables import LAST, STEPS
from eventsim._engines.status import DONE, PAUSED, RECORD_FULL
from eventsim._layout.epochs import epoch_start, powers_of_two
from eventsim._layout.record import BOUND as PREDICTED
from eventsim._layout.record import (
    CURRENT,
    FURTHER,
    INPUTS,
    N_COUNTS,
    POTENTIAL,
    REFERENCE,
    SEARCHES,
    SPIKES,
    SYNAPTIC,
    TOUCHED,
    Record,
    new_record,
)
from eventsim._layout.wiring import Neurons, Wiring
from eventsim._support.compile import inlined, inner, loop
from eventsim._support.queue import Queue, first_item, first_time, put, remove
from eventsim._support.types import FloatArray, Int32Array, IntArray
from eventsim.model.crossing import (
    TOUCHES,
    earliest_crossing,
    just_after,
    next_crossing,
    spike_time,
)
from eventsim.model.currents import crossing_of, earliest_crossing_of, earliest_under, scratch_shape
from eventsim.model.flow import bias_kernel, flow, propagator
from eventsim.model.jumps import AT_ONCE, CHARGE, arrive_held, fire, hold, surpasses
from eventsim.spikes import taken
from eventsim.start import Start

__all__ = [
    "Flights",
    "SchedulerState",
    "State",
    "advance",
    "advance_batch",
    "epoch_lengths",
    "first_group_after",
    "new_queue",
    "new_run",
    "new_scratch",
]

# Further entries of State.count.
STARTED, AWAITED, N_ENTRIES = range(N_COUNTS, N_COUNTS + 3)

# Rows of State.scratch: factors of a flow and currents, by receptor, then what a search needs.
DECAYS, KERNELS, CURRENTS, SEARCHING = range(4)

# Slope of a queued entry that is no spike yet, but a search that is due, or a better bound of it.
SEARCH, GLANCE = 0.0, -2.0

# What a call works off at most before it is PAUSED.
MOST_EVENTS, MOST_SYNAPTIC = 300_000, 5_000_000

# An epoch lasts so many (shorter) time constants at most.
LONGEST_EPOCH = 1.6


class State(NamedTuple):
    """All that a run carries along: arrays of one sample, or of several with a leading axis.

    ``neuron`` (n_neurons, 3 + n_receptors), with -inf in the column PREDICTED while a spike or a
    touch is predicted, since every arrival then changes it, else 0;
    ``latest`` (n_neurons,) number of each neuron's last spike; ``slope`` (n_neurons,) slope of its
    predicted one, ``again`` when its search goes on after a predicted touch; the queues of
    predicted spikes, and of neurons that were ``charged``; the queue of spikes in flight (inputs
    are numbered first, then recorded spikes) and the delay group each is heading for; counters;
    scratch.
    """

    neuron: FloatArray
    latest: Int32Array
    slope: FloatArray
    again: FloatArray
    predicted: Queue
    charged: Queue
    flying: Queue
    group: Int32Array
    count: IntArray  # type: ignore[assignment]  # hides tuple.count, which nobody calls
    scratch: FloatArray


class Flights(NamedTuple):
    """Spikes in flight at the end of a run: those of sample k from ``offsets[k]`` on.

    They are numbered as in `State`, and in the order of its queue.
    """

    offsets: IntArray
    time: FloatArray
    item: Int32Array
    group: Int32Array

    def of(self, samples: IntArray) -> Flights:
        """Return those of some samples."""
        take, offsets = taken(self.offsets, samples)
        return Flights(offsets, self.time[take], self.item[take], self.group[take])

    @staticmethod
    def joined(parts: Sequence[Flights]) -> Flights:
        """Return those of the samples of several, one after another."""
        sizes = np.concatenate([np.diff(part.offsets) for part in parts])
        columns = list(zip(*parts, strict=True))[1:]
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        return Flights(offsets, *(np.concatenate(column) for column in columns))


class SchedulerState(NamedTuple):
    """What is left of a `State` at the end of a run: of a batch, with a leading axis."""

    neuron: FloatArray
    latest: Int32Array
    slope: FloatArray
    again: FloatArray
    predicted: Queue
    charged: Queue
    flights: Flights
    count: IntArray  # type: ignore[assignment]  # hides tuple.count, which nobody calls


def new_run(neurons: Neurons, start: Start, n_inputs: int, capacity: int) -> tuple[State, Record]:
    """Return the arrays of a batch at its start, with room for ``capacity`` spikes of a sample."""
    n, n_samples = neurons.kind.size, start.n_samples
    flights = n_inputs + capacity
    n_receptors = len(neurons.receptors)
    rows = np.zeros((n_samples, n, FURTHER + n_receptors))
    rows[:, :, CURRENT] = start.current[:, :, 0]
    rows[:, :, FURTHER + 1 :] = start.current[:, :, 1:]
    rows[:, :, POTENTIAL] = start.potential
    state = State(
        neuron=rows,
        latest=np.full((n_samples, n), -1, dtype=np.int32),
        slope=np.zeros((n_samples, n)),
        again=np.zeros((n_samples, n)),
        predicted=new_queue(n_samples, n),
        charged=new_queue(n_samples, n if len(neurons.charging) > 0 else 0),
        flying=new_queue(n_samples, flights),
        group=np.empty((n_samples, flights), dtype=np.int32),
        count=np.zeros((n_samples, N_ENTRIES), dtype=np.int64),
        scratch=new_scratch(n_samples, n_receptors),
    )
    return state, new_record((n_samples, capacity))


def new_scratch(n_samples: int, n_receptors: int) -> FloatArray:
    """Return scratch arrays: three rows of numbers by receptor, and those of the search."""
    rows, columns = scratch_shape(n_receptors)
    return np.empty((n_samples, SEARCHING + rows, max(n_receptors, columns)))


def new_queue(n_samples: int, n_items: int) -> Queue:
    return Queue(
        time=np.empty((n_samples, n_items)),
        item=np.empty((n_samples, n_items), dtype=np.int32),
        place=np.full((n_samples, n_items), -1, dtype=np.int32),
        size=np.zeros((n_samples, 1), dtype=np.int64),
    )


@loop
def advance_batch(
    wiring, neurons, tables, stimulus, state, run, t_stop, awaited, status, ends, first, last
):
    """Advance the samples ``first : last`` to ``t_stop``; sets their ``status`` and ``ends``.

    ``stimulus = (starts, stops, times, sources)``: the input spikes of a sample are
    ``starts[k] : stops[k]``.
    """
    for k in range(first, last):
        if status[k] != DONE:
            one = State(
                state.neuron[k],
                state.latest[k],
                state.slope[k],
                state.again[k],
                _queue_of(state.predicted, k),
                _queue_of(state.charged, k),
                _queue_of(state.flying, k),
                state.group[k],
                state.count[k],
                state.scratch[k],
            )
            record = Record(run.time[k], run.neuron[k], run.slope[k], run.released[k])
            part = slice(stimulus[0][k], stimulus[1][k])
            status[k], ends[k] = advance(
                wiring, neurons, tables, stimulus[2][part], stimulus[3][part], one, record, t_stop,
                awaited,
            )  # fmt: skip
            if status[k] == PAUSED:
                return


@inlined
def _queue_of(queue, k):
    return Queue(queue.time[k], queue.item[k], queue.place[k], queue.size[k])


@inner
def advance(wiring, neurons, tables, times, sources, state, run, t_stop, awaited):
    """Process the events of one sample up to and including ``t_stop``; return (status, end).

    A run ends earlier, at the spike with which the last of the neurons ``awaited[0]:awaited[1]``
    has fired for the first time.
    """
    count = state.count
    limits, factors, singles = tables
    if count[STARTED] == 0:
        count[STARTED] = 1
        for i in range(neurons.kind.size):
            _expect_from(neurons, state, i)
    if awaited[0] < awaited[1] and count[AWAITED] == awaited[1] - awaited[0]:
        t_stop = min(t_stop, run.time[count[SPIKES] - 1])
    n_inputs = times.size
    n_sources = wiring.first_group.size - 1 - neurons.kind.size
    # Without input delays only spikes of neurons are ever in flight, and numbered from 0.
    base = n_inputs if state.group.size > run.time.size else 0
    events, most_synaptic = 0, count[SYNAPTIC] + MOST_SYNAPTIC
    while True:
        events += 1
        if events > MOST_EVENTS or count[SYNAPTIC] > most_synaptic:
            return PAUSED, t_stop
        if singles.target.size > 0:
            events += _take_singles(
                neurons, limits, factors, singles, times, sources, state, run, t_stop
            )
        k = count[INPUTS]
        now = times[k] if k < n_inputs else math.inf
        arrival = first_time(state.flying)
        spike = first_time(state.predicted)
        if len(neurons.charging) > 0:
            charge = first_time(state.charged)
            if charge < spike and charge < arrival and charge < now:
                i = first_item(state.charged)
                remove(state.charged, i)
                if not _is_charged_above(neurons, state, i, charge):
                    continue
                if count[SPIKES] == run.time.size:
                    put(state.charged, i, charge)
                    return RECORD_FULL, charge
                if state.latest[i] < 0 and awaited[0] <= i < awaited[1]:
                    count[AWAITED] += 1
                    if count[AWAITED] == awaited[1] - awaited[0]:
                        t_stop = charge
                _fire(neurons, state, run, i, charge)
                _send(wiring, state, base, i, n_sources, charge)
                continue
        if spike <= arrival and spike <= now:
            if spike > t_stop and not _is_pooled_at(neurons, state, spike, t_stop):
                return DONE, t_stop
            if state.slope[first_item(state.predicted)] <= SEARCH:
                _search(neurons, state, first_item(state.predicted), spike)
                continue
            if count[SPIKES] == run.time.size:
                return RECORD_FULL, spike
            i = first_item(state.predicted)
            if state.latest[i] < 0 and awaited[0] <= i < awaited[1]:
                count[AWAITED] += 1
                if count[AWAITED] == awaited[1] - awaited[0]:
                    # The other events of this time still happen; a pool may be an ulp late.
                    t_stop = min(t_stop, spike)
            _fire(neurons, state, run, i, spike)
            _send(wiring, state, base, i, n_sources, spike)
        elif arrival < now or (arrival == now and first_item(state.flying) < min(k, base)):
            if arrival > t_stop:
                return DONE, t_stop
            number = first_item(state.flying)
            if number < base:
                source, emitted = sources[number], times[number]
            else:
                source = n_sources + run.neuron[number - base]
                emitted = run.time[number - base]
            g = state.group[number]
            stop = wiring.first_group[source + 1]
            delay = wiring.delay[g]
            while g < stop and wiring.delay[g] == delay:
                _deliver(wiring, neurons, limits, factors, state, run, g, arrival)
                g += 1
            if g < stop:
                state.group[number] = g
                put(state.flying, number, emitted + wiring.delay[g])
            else:
                remove(state.flying, number)
        else:
            if now > t_stop:
                return DONE, t_stop
            count[INPUTS] = k + 1
            g = wiring.first_group[sources[k]]
            stop = wiring.first_group[sources[k] + 1]
            while g < stop and wiring.delay[g] == 0.0:
                _deliver(wiring, neurons, limits, factors, state, run, g, now)
                g += 1
            if g < stop:
                state.group[k] = g
                put(state.flying, k, now + wiring.delay[g])


def first_group_after(
    wiring: Wiring, times: FloatArray, sources: IntArray, end: float
) -> Int32Array:
    """Return the first delay group that each spike reaches after ``end``; -1: none.

    Spikes that are sent after ``end`` are not on their way.
    """
    group = np.full(times.size, -1, dtype=np.int32)
    _fill_groups(wiring, times, sources, end, group)
    return group


@loop
def _fill_groups(wiring, times, sources, end, group):
    for number in range(times.size):
        source = sources[number]
        for g in range(wiring.first_group[source], wiring.first_group[source + 1]):
            if times[number] <= end and times[number] + wiring.delay[g] > end:
                group[number] = g
                break


@inlined
def _send(wiring, state, base, i, n_sources, spike):
    """Let the latest spike fly, which is of neuron ``i``."""
    number = base + state.count[SPIKES] - 1
    g = wiring.first_group[n_sources + i]
    if g < wiring.first_group[n_sources + i + 1]:
        state.group[number] = g
        put(state.flying, number, spike + wiring.delay[g])


@inlined
def _is_pooled_at(neurons, state, spike, t_stop):
    """Tell whether the next spike is a pool's that something at ``t_stop`` sets off."""
    return spike == just_after(t_stop) and neurons.threshold[first_item(state.predicted)] == 0.0


def epoch_lengths(wiring: Wiring, neurons: Neurons) -> FloatArray:
    """Return how long an epoch lasts, for each kind of neuron."""
    push = np.zeros(neurons.beta.size)
    _fill_push(wiring, neurons, push)
    return powers_of_two(neurons, LONGEST_EPOCH, push)


@loop
def _fill_push(wiring, neurons, push):
    """Set the largest weight in units of its target's threshold, for each kind of target."""
    for g in range(wiring.kind.size):
        if wiring.receptor[g] == CHARGE:
            continue  # it moves V at once, in an epoch of any length
        kind = wiring.kind[g]
        most = push[kind]
        for s in range(wiring.start[g], wiring.stop[g]):
            # A pool, whose threshold is 0, tolerates no rounding: its epochs are no epochs.
            most = max(most, abs(wiring.weight[s]) / neurons.threshold[wiring.target[s]])
        push[kind] = most


@inlined
def _take_singles(neurons, limits, factors, singles, times, sources, state, run, t_stop):
    """Let inputs of one synapse each act, up to the next other event; return how many have."""
    arrival = first_time(state.flying)
    first = state.count[INPUTS]
    kind, epoch, end = np.uint64(0), 0.0, -math.inf
    k, last = np.uint64(first), np.uint64(min(first + MOST_EVENTS, times.size))
    while k < last:
        now = times[k]
        i = np.uint64(singles.target[np.uint64(sources[k])])
        other = now >= first_time(state.predicted) or now >= arrival or now > t_stop
        if other or i >= np.uint64(neurons.kind.size):
            break
        weight = singles.weight[np.uint64(sources[k])]
        if now >= end or np.uint64(neurons.kind[i]) != kind:
            kind = np.uint64(neurons.kind[i])
            epoch = epoch_start(now, neurons.epoch[kind])
            end = epoch + neurons.epoch[kind]
        synaptic, h = _back(neurons, factors, kind, now - epoch)
        _arrive(neurons, limits, factors, state, run, kind, i, weight, now, epoch, synaptic, h)
        k += np.uint64(1)
    n = np.int64(k) - first
    state.count[INPUTS] += n
    state.count[SYNAPTIC] += n
    return n


@inlined
def _deliver(wiring, neurons, limits, factors, state, run, g, now):
    """Let the arrivals of delay group ``g`` act at time ``now``."""
    if len(neurons.receptors) > 1 or len(neurons.charging) > 0:
        _deliver_to_any(wiring, neurons, state, run, g, now)
        return
    kind = np.uint64(wiring.kind[g])
    epoch = epoch_start(now, neurons.epoch[kind])
    synaptic, h = _back(neurons, factors, kind, now - epoch)
    start, stop = wiring.start[g], wiring.stop[g]
    state.count[SYNAPTIC] += stop - start
    for s in range(np.uint64(start), np.uint64(stop)):
        i, weight = np.uint64(wiring.target[s]), wiring.weight[s]
        _arrive(neurons, limits, factors, state, run, kind, i, weight, now, epoch, synaptic, h)


@inlined
def _back(neurons, factors, kind, lag):
    """Return the factors of current and potential that carry an arrival back within its epoch."""
    if factors.cells.size == 0:
        synaptic, _, h = propagator(-lag, neurons.alpha[kind, 0], neurons.beta[kind])
        return synaptic, h
    place = lag * factors.cells[kind]
    cell = np.uint64(np.int64(place))
    x = place - np.float64(np.int64(place))
    z = factors.rate[kind] * x
    grown = 1.0 + z * (1.0 + z * (1 / 2 + z * (1 / 6 + z * (1 / 24 + z * (1 / 120)))))
    h = factors.kernel[kind, cell, 6]
    h = factors.kernel[kind, cell, 5] + x * h
    h = factors.kernel[kind, cell, 4] + x * h
    h = factors.kernel[kind, cell, 3] + x * h
    h = factors.kernel[kind, cell, 2] + x * h
    h = factors.kernel[kind, cell, 1] + x * h
    h = factors.kernel[kind, cell, 0] + x * h
    return factors.synaptic[kind, cell] * grown, h


@inlined
def _arrive(neurons, limits, factors, state, run, kind, i, weight, now, epoch, synaptic, h):
    """Let an arrival act on neuron ``i``, which has one receptor."""
    rows = state.neuron
    if rows[i, REFERENCE] > now:
        alpha, ahead = neurons.alpha[kind, 0], rows[i, REFERENCE] - now
        rows[i, CURRENT] = arrive_held(rows[i, CURRENT], weight, ahead, alpha)
        run.released[state.latest[i]] = rows[i, CURRENT]
        _expect_from(neurons, state, i)
    else:
        if rows[i, REFERENCE] != epoch:
            _move(neurons, factors, rows, i, kind, epoch)
        current = rows[i, CURRENT] + weight * synaptic
        potential = rows[i, POTENTIAL] + weight * h
        rows[i, CURRENT] = current
        rows[i, POTENTIAL] = potential
        # Where infinities cancel a spike is predicted.
        if not potential <= _limit(limits, kind, i, current) + rows[i, PREDICTED]:
            alpha, beta = neurons.alpha[kind, 0], neurons.beta[kind]
            if current > neurons.bound[i] * synaptic or rows[i, PREDICTED] < 0.0:
                potential = (potential - current * (h / synaptic)) / (synaptic - (beta - alpha) * h)
                if neurons.bias[i] != 0.0:
                    potential += neurons.bias[i] * bias_kernel(now - epoch, beta)
                _expect(neurons, state, i, now, current / synaptic, potential)


@inlined
def _limit(limits, kind, i, current):
    """Return the potential up to which neuron ``i``, with this current, never fires."""
    if limits.chord.shape[0] == 0:
        return -math.inf
    row = i * np.uint64(limits.step)
    x = current * limits.scale[row, 0]
    x = x if x > 0.0 else 0.0
    x = x if x < LAST else float(LAST)
    cell = np.uint64(np.int64(x))
    chord = limits.chord[kind, cell, 0] + limits.chord[kind, cell, 1] * x
    return limits.scale[row, 1] + limits.scale[row, 2] * chord


@inlined
def _move(neurons, factors, rows, i, kind, epoch):
    """Move the state of neuron ``i`` to the start of an epoch."""
    lag = (epoch - rows[i, REFERENCE]) / neurons.epoch[kind]
    n = np.uint64(np.int64(min(lag, float(STEPS))))
    if n < np.uint64(STEPS) and np.float64(n) == lag and factors.cells.size > 0:
        current = rows[i, CURRENT]
        forward = factors.forward
        potential = rows[i, POTENTIAL] * forward[kind, n, 1] + current * forward[kind, n, 2]
        if neurons.bias[i] != 0.0:
            potential += neurons.bias[i] * forward[kind, n, 3]
        rows[i, CURRENT] = current * forward[kind, n, 0]
        rows[i, POTENTIAL] = potential
        rows[i, REFERENCE] = epoch
    else:
        _settle(neurons, rows[i], kind, epoch, neurons.bias[i])


@inlined
def _deliver_to_any(wiring, neurons, state, run, g, now):
    """Let the arrivals of a delay group act on neurons of several receptors, or with charges."""
    kind, receptor = wiring.kind[g], wiring.receptor[g]
    if len(neurons.charging) > 0 and receptor == CHARGE:
        _charge(wiring, neurons, state, g, now)
        return
    alpha, beta = neurons.alpha[kind, receptor], neurons.beta[kind]
    epoch = epoch_start(now, neurons.epoch[kind])
    synaptic, membrane, h = propagator(epoch - now, alpha, beta)
    forward_synaptic, forward_membrane = 1.0 / synaptic, 1.0 / membrane
    forward_h = -h * forward_synaptic * forward_membrane
    several = len(neurons.receptors) > 1
    if several:
        _fill_forward(neurons, state.scratch, kind, now - epoch)
    rows, column = state.neuron, _column(receptor) if several else CURRENT
    start, stop = wiring.start[g], wiring.stop[g]
    state.count[SYNAPTIC] += stop - start
    for s in range(start, stop):
        i = wiring.target[s]
        weight = wiring.weight[s]
        reference = rows[i, REFERENCE]
        if reference > now:
            rows[i, column] = arrive_held(rows[i, column], weight, reference - now, alpha)
            run.released[state.latest[i]] = _drive(neurons, rows[i])
            _expect_from(neurons, state, i)
            continue
        if reference != epoch:
            _settle(neurons, rows[i], kind, epoch, neurons.bias[i])
        current = rows[i, column] + weight * synaptic
        potential = rows[i, POTENTIAL] + weight * h
        rows[i, column] = current
        rows[i, POTENTIAL] = potential
        if len(neurons.charging) > 0 and state.charged.place[i] >= 0:
            continue  # what follows is decided when nothing comes at this time any more
        if several:
            strongest = _strongest(neurons, rows[i], state.scratch[DECAYS])
            if strongest > neurons.bound[i] or rows[i, PREDICTED] < 0.0:
                potential *= forward_membrane
                for r in range(len(neurons.receptors)):
                    own = rows[i, _column(r)]
                    potential += own * state.scratch[KERNELS, r]
                    state.scratch[CURRENTS, r] = own * state.scratch[DECAYS, r]
                if neurons.bias[i] != 0.0:
                    potential += neurons.bias[i] * bias_kernel(now - epoch, beta)
                _expect(neurons, state, i, now, state.scratch[CURRENTS, 0], potential)
        elif current > neurons.bound[i] * synaptic or rows[i, PREDICTED] < 0.0:
            potential = potential * forward_membrane + current * forward_h
            if neurons.bias[i] != 0.0:
                potential += neurons.bias[i] * bias_kernel(now - epoch, beta)
            _expect(neurons, state, i, now, current * forward_synaptic, potential)


@inner
def _charge(wiring, neurons, state, g, now):
    """Let the charges of delay group ``g`` act at time ``now``; those of held neurons are lost."""
    kind = wiring.kind[g]
    epoch = epoch_start(now, neurons.epoch[kind])
    back = math.exp(-neurons.beta[kind] * (epoch - now))
    start, stop = wiring.start[g], wiring.stop[g]
    state.count[SYNAPTIC] += stop - start
    for s in range(start, stop):
        i = wiring.target[s]
        row = state.neuron[i]
        if row[REFERENCE] > now:
            continue
        if row[REFERENCE] != epoch:
            _settle(neurons, row, kind, epoch, neurons.bias[i])
        row[POTENTIAL] += wiring.weight[s] * back
        put(state.charged, i, now)


@inner
def _is_charged_above(neurons, state, i, now):
    """Tell whether charges have brought neuron ``i`` above its threshold; else look ahead anew."""
    kind, row = neurons.kind[i], state.neuron[i]
    size = abs(row[POTENTIAL])
    _settle(neurons, row, kind, now, neurons.bias[i])
    decided = surpasses(row[POTENTIAL], neurons.threshold[i], size)
    if decided > 0:
        state.slope[i] = AT_ONCE
        return True
    if decided == 0:
        state.count[TOUCHED] += 1
    _expect_from(neurons, state, i)
    return False


@inlined
def _column(receptor):
    """Return where the current of a receptor stands in the state of a neuron."""
    return FURTHER + receptor if receptor > 0 else CURRENT


@inlined
def _fill_forward(neurons, scratch, kind, lag):
    """Fill the factors by which the currents decay and charge the membrane within ``lag``."""
    for r in range(len(neurons.receptors)):
        synaptic, _, h = propagator(lag, neurons.alpha[kind, r], neurons.beta[kind])
        scratch[DECAYS, r] = synaptic
        scratch[KERNELS, r] = h


@inlined
def _strongest(neurons, row, decays):
    """Return the sum of the positive currents: the drive can never be more."""
    total = 0.0
    for r in range(len(neurons.receptors)):
        total += max(row[_column(r)], 0.0) * decays[r]
    return total


@inlined
def _drive(neurons, row):
    """Return the sum of all currents."""
    total = row[CURRENT]
    for r in range(1, len(neurons.receptors)):
        total += row[_column(r)]
    return total


@inlined
def _settle(neurons, row, kind, time, bias):
    """Move the state of a neuron to ``time``."""
    beta, lag = neurons.beta[kind], time - row[REFERENCE]
    current, potential = flow(row[CURRENT], row[POTENTIAL], lag, neurons.alpha[kind, 0], beta, bias)
    row[CURRENT] = current
    for r in range(1, len(neurons.receptors)):
        synaptic, _, h = propagator(lag, neurons.alpha[kind, r], beta)
        potential += row[_column(r)] * h
        row[_column(r)] *= synaptic
    row[POTENTIAL] = potential
    row[REFERENCE] = time


@inlined
def _expect_from(neurons, state, i):
    """Queue the search for the next spike of neuron ``i`` from its state, if there may be one."""
    row = state.neuron[i]
    strongest = row[CURRENT]
    if len(neurons.receptors) > 1:
        strongest = 0.0
        for r in range(len(neurons.receptors)):
            state.scratch[CURRENTS, r] = row[_column(r)]
            strongest += max(row[_column(r)], 0.0)
    if strongest > neurons.bound[i] or row[PREDICTED] < 0.0:
        _expect(neurons, state, i, row[REFERENCE], row[CURRENT], row[POTENTIAL])


@inlined
def _expect(neurons, state, i, start, current, potential):
    """Queue the search for the next spike of neuron ``i``, in the given state at ``start``.

    It is queued for a time before which no spike is possible; most often the next arrival comes
    first, and the search is never made.  Of several receptors the currents are in the scratch.
    """
    kind = neurons.kind[i]
    beta, threshold, bias = neurons.beta[kind], neurons.threshold[i], neurons.bias[i]
    if len(neurons.receptors) > 1:
        currents = state.scratch[CURRENTS, : len(neurons.receptors)]
        lag = earliest_under(currents, potential, beta, threshold, bias)
        due = GLANCE
    else:
        alpha = neurons.alpha[kind, 0]
        lag = earliest_crossing(current, potential, alpha, beta, threshold, bias)
        due = SEARCH
    if lag == math.inf:
        _forget(state, i)
    elif not _is_searched_for_by(state, i, start + lag):
        _await(state, i, start + lag, due)


@inlined
def _is_searched_for_by(state, i, time):
    """Tell whether a search of neuron ``i`` is queued that is not later than ``time``."""
    place = state.predicted.place[i]
    return state.neuron[i, PREDICTED] == 0.0 and place >= 0 and state.predicted.time[place] <= time


@inlined
def _await(state, i, time, slope):
    """Queue a spike or touch of neuron ``i``, or a search for it."""
    state.slope[i] = slope
    state.neuron[i, PREDICTED] = 0.0 if slope in (SEARCH, GLANCE) else -math.inf
    put(state.predicted, i, time)


@inlined
def _forget(state, i):
    """Predict no spike of neuron ``i``."""
    state.neuron[i, PREDICTED] = 0.0
    if state.predicted.place[i] >= 0:
        remove(state.predicted, i)


@inner
def _search(neurons, state, i, now):
    """Replace the search of neuron ``i``, due ``now``, by its next spike or touch, if there is one.

    A touch that has come is counted, and the search goes on where V may rise again.
    """
    if state.slope[i] == TOUCHES:
        state.count[TOUCHED] += 1
        if state.again[i] < math.inf:
            _await(state, i, state.again[i], SEARCH)
        else:
            _forget(state, i)
        return
    kind = neurons.kind[i]
    beta, threshold, bias = neurons.beta[kind], neurons.threshold[i], neurons.bias[i]
    row, again = state.neuron[i], math.inf
    lag = now - row[REFERENCE]
    current, potential = flow(row[CURRENT], row[POTENTIAL], lag, neurons.alpha[kind, 0], beta, bias)
    if len(neurons.receptors) > 1:
        currents = state.scratch[CURRENTS, : len(neurons.receptors)]
        currents[0] = current
        for r in range(1, len(neurons.receptors)):
            synaptic, _, h = propagator(lag, neurons.alpha[kind, r], beta)
            potential += row[_column(r)] * h
            currents[r] = row[_column(r)] * synaptic
        if state.slope[i] == GLANCE:
            lag = earliest_crossing_of(
                currents, potential, neurons.alpha[kind], beta, threshold, bias
            )
            if lag < math.inf:
                _await(state, i, now + lag, SEARCH)
            else:
                _forget(state, i)
            return
        lag, slope, again = crossing_of(
            math.inf, currents, potential, neurons.alpha[kind], beta, threshold, bias,
            state.scratch[SEARCHING:],
        )  # fmt: skip
    else:
        alpha = neurons.alpha[kind, 0]
        lag, slope = next_crossing(current, potential, alpha, beta, threshold, bias)
    state.count[SEARCHES] += 1
    if lag < math.inf:
        # A spike lies strictly after the event that releases it, if only by rounding.
        state.again[i] = max(now + again, just_after(spike_time(now, lag)))
        _await(state, i, spike_time(now, lag), slope)
    else:
        _forget(state, i)


@inlined
def _fire(neurons, state, run, i, now):
    """Record the spike of neuron ``i``, reset the neuron, and predict its next spike."""
    if len(neurons.charging) == 0 or state.predicted.place[i] >= 0:
        remove(state.predicted, i)
    row, kind = state.neuron[i], neurons.kind[i]
    refractory = neurons.refractory[i]
    release, current, potential = fire(
        now, state.slope[i], neurons.alpha[kind, 0], neurons.beta[kind], neurons.threshold[i],
        neurons.bias[i], refractory,
    )  # fmt: skip
    if len(neurons.receptors) > 1 or len(neurons.charging) > 0:
        for r in range(len(neurons.receptors)):
            lag = (now - row[REFERENCE]) + refractory
            row[_column(r)] = hold(row[_column(r)], lag, neurons.alpha[kind, r])
    else:
        row[CURRENT] = current
    row[POTENTIAL] = potential
    row[REFERENCE] = release
    row[PREDICTED] = 0.0
    number = state.count[SPIKES]
    state.count[SPIKES] = number + 1
    state.latest[i] = number
    run.time[number] = now
    run.neuron[number] = i
    run.slope[number] = state.slope[i]
    run.released[number] = _drive(neurons, row)
    _expect_from(neurons, state, i)
