"""The kernels of the adjoint sweep over layers.

A thread is a lane of one tile (of a convolution: of some of the tiles that share a kernel) and
walks its arrivals backward in time, sample after sample of its strand.  Every strand has its own
copy of the gradient, of which an entry belongs to one thread; the copies are then added in order.
So nothing is added atomically, and the result is the same bits in every run.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numba import cuda

from eventsim._engines.cuda.device import kernel
from gradients._sweeps.events import ALPHA, BETA, BIAS, THRESHOLD
from gradients._sweeps.flow import flow_back, flow_back_with_rates
from gradients._sweeps.jumps import arrival_back, release_back, spike_back

__all__ = [
    "Columns",
    "Fired",
    "Sums",
    "add_copies",
    "add_events",
    "add_lanes",
    "add_up",
    "count_events",
    "pass_straight",
    "sweep",
]


class Columns(NamedTuple):
    """What each thread of a strand walks: lane ``place`` of the tiles ``first : stop : step``.

    Tiles that share a weight table are in different ``group`` s, each with its own copy.
    """

    first: Any
    stop: Any
    step: Any
    place: Any
    group: Any


class Fired(NamedTuple):
    """Spikes of a layer, linked as in `eventsim._engines.cuda.neurons.Spikes`.

    ``by_time`` is the derivative by the time of each, at its ``rank`` in the sorted train.
    """

    time: Any
    slope: Any
    released: Any
    previous: Any
    last: Any
    rank: Any
    by_time: Any


class Sums(NamedTuple):
    """Copies of the gradients by weights, delays of synapses (or width 0), and neurons.

    ``moved``: what an arrival's shift in time changes, by (arrival, lane); empty if nobody asks.
    """

    weight: Any
    delay: Any
    neuron: Any
    moved: Any


@kernel
def sweep(columns, task, fired, final, rates, sums, n_groups, strands, number):
    """Walk a column's arrivals of all samples of a strand: a thread each.

    ``final`` (n_samples, n_neurons): derivative by the potentials at the end.  ``rates``: whether
    the gradients by neuron parameters are wanted.  ``number``: the first sample's, which decides
    its strand.
    """
    strand = cuda.blockIdx.x
    c = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    if c >= columns.first.size:
        return
    copy = strand * n_groups + columns.group[c]
    for k in range((strand - number) % strands, final.shape[0], strands):
        for q in range(columns.first[c], columns.stop[c], columns.step[c]):
            _walk(task, fired, final, rates, sums, copy, strand, k, q, columns.place[c])


@cuda.jit(device=True)
def _walk(task, fired, final, rates, sums, copy, strand, k, q, place):
    """Walk one lane of a tile backward through one sample."""
    lanes, tables, weight, t_stop = task.lanes, task.tables, task.weight, task.t_stop
    arrivals, factors = task.arrivals, task.factors
    x = tables.lane[q] + place
    neuron = lanes.neuron[x]
    if neuron < 0:
        return
    real = weight.dtype.type
    alpha, beta, kind, width = tables.alpha[q], tables.beta[q], tables.kind[q], tables.width[q]
    bias, refractory = lanes.bias[x], lanes.refractory[x]
    own = k * task.n_lists + q % task.n_lists
    start = min(arrivals.start[own], arrivals.time.size)
    stop = min(start + arrivals.count[own], arrivals.time.size)
    moved_width = sums.moved.shape[1]
    moved_place = x if task.n_lists == 1 else place
    p = fired.last[k * task.n_neurons + neuron]
    li, lv, i_alpha, i_beta, v_beta = real(0.0), final[k, neuron], 0.0, 0.0, 0.0
    by_alpha, by_beta, by_threshold, by_bias = 0.0, 0.0, 0.0, 0.0
    at, released = float(t_stop), False
    # After the arrivals comes the start of the run, before which nothing happens.
    for a in range(stop - 1, start - 2, -1):
        now = float(arrivals.time[a]) if a >= start else 0.0
        quiet = True
        while p >= 0:
            time = float(fired.time[p])
            release = time + refractory
            if not released and release > t_stop:
                lv, released = real(0.0), True  # held at the end: a potential that is constant
            if not released and release <= now:
                break
            if released and time <= now:
                break
            quiet = False
            event = time if released else release
            if rates:
                back = flow_back_with_rates(
                    at - event, alpha, beta, bias, float(li), float(lv), i_alpha, i_beta, v_beta
                )
                li, lv, i_alpha, i_beta = real(back[0]), real(back[1]), back[2], back[3]
                by_beta += back[5]
                by_bias += back[6]
            else:
                moved_back = flow_back(at - event, alpha, beta, float(li), float(lv))
                li, lv = real(moved_back[0]), real(moved_back[1])
            at, v_beta = event, 0.0
            rank = fired.rank[p]
            if released:
                lv = real(spike_back(fired.by_time[rank], fired.slope[p]))
                by_threshold -= lv
                p = fired.previous[p]
            else:
                fired.by_time[rank] = release_back(fired.by_time[rank], fired.released[p], bias, lv)
                lv = real(0.0)
            released = not released
        if rates:
            back = flow_back_with_rates(
                at - now, alpha, beta, bias, float(li), float(lv), i_alpha, i_beta, v_beta
            )
            li, lv, i_alpha, i_beta = real(back[0]), real(back[1]), back[2], back[3]
            v_beta = back[4]
            by_beta += back[5]
            by_bias += back[6]
        elif quiet and a >= start:
            li = li * factors.synaptic[kind, a] + lv * factors.h[kind, a]
            lv *= factors.membrane[kind, a]
        else:
            moved_back = flow_back(at - now, alpha, beta, float(li), float(lv))
            li, lv = real(moved_back[0]), real(moved_back[1])
        at = now
        if a < start:
            break
        entry = tables.start[q] + arrivals.row[a] * width + place
        sums.weight[copy, entry] += li
        if rates:
            by_alpha += weight[entry] * i_alpha
            by_beta += weight[entry] * i_beta
        if moved_width > 0:
            moved = arrival_back(weight[entry], real(alpha), li, lv)
            sums.moved[a, moved_place] = moved
            if sums.delay.shape[1] > 0:
                sums.delay[copy, entry] += moved
    if rates:
        sums.neuron[strand, x, ALPHA] += by_alpha
        sums.neuron[strand, x, BETA] += by_beta
        sums.neuron[strand, x, THRESHOLD] += by_threshold
        sums.neuron[strand, x, BIAS] += by_bias


@kernel
def add_copies(copies, total):
    """Write the sum of the rows of ``copies``, in order: a thread per column."""
    for i in range(cuda.grid(1), total.size, cuda.gridsize(1)):
        value = 0.0
        for c in range(copies.shape[0]):
            value += copies[c, i]
        total[i] = value


@kernel
def add_up(copies, places, gradient):
    """Write the gradient by each value of a projection: a thread per value.

    It is the sum over the places of the value, and over the copies at each, in order.
    """
    for p in range(cuda.grid(1), gradient.size, cuda.gridsize(1)):
        value = 0.0
        for s in range(places.first[p], places.first[p + 1]):
            entry = places.place[s]
            for c in range(copies.shape[0]):
                value += copies[c, entry]
        gradient[p] = value


@cuda.jit(device=True)
def _sum_of_lanes(moved, a):
    value = 0.0
    for x in range(moved.shape[1]):
        value += moved[a, x]
    return value


@kernel
def pass_straight(moved, arrivals, by_spike):
    """Add the derivative by each arrival's time to that of its spike: a block per list.

    Of spikes that have one arrival each; lanes are added in order.
    """
    own = cuda.blockIdx.x
    start = arrivals.start[own]
    for a in range(start + cuda.threadIdx.x, start + arrivals.count[own], cuda.blockDim.x):
        by_spike[arrivals.event[a]] += _sum_of_lanes(moved, a)


@kernel
def count_events(delivery, links, counts):
    """Count the arrivals that each spike of a projection can have: a block per sample."""
    train, k = delivery.train, cuda.blockIdx.x
    first, n = train.first[k], min(train.count[k], delivery.room)
    for i in range(cuda.threadIdx.x, n, cuda.blockDim.x):
        source = train.source[first + i] - delivery.low
        if source < 0 or source >= delivery.high - delivery.low:
            continue
        row, fan = delivery.row + source, 0
        for b in range(links.first.shape[0]):
            fan += links.first[b, row + 1] - links.first[b, row]
        counts[delivery.first + train.place[k] + i] = fan


@cuda.jit(device=True)
def _number(event, fan, first):
    """Return the number of an arrival among all events, those of each spike side by side."""
    return event if fan == 1 else first[event // fan] + event % fan


@kernel
def add_lanes(moved, arrivals, fan, first, by_event):
    """Write the derivative by each arrival's time, lanes added in order: a block per list."""
    own = cuda.blockIdx.x
    size = arrivals.time.size
    start = min(arrivals.start[own], size)
    stop = min(start + arrivals.count[own], size)
    for a in range(start + cuda.threadIdx.x, stop, cuda.blockDim.x):
        number = _number(arrivals.event[a], fan, first)
        if number < by_event.size:
            by_event[number] = _sum_of_lanes(moved, a)


@kernel
def add_events(by_event, cause, fan, first, by_arrivals, by_spike):
    """Write the sum over each spike's arrivals in order, and add it to the derivative by it."""
    for s in range(cuda.grid(1), by_arrivals.size, cuda.gridsize(1)):
        low = _number((cause + s) * fan, fan, first)
        high = _number((cause + s + 1) * fan, fan, first)
        value = 0.0
        for f in range(low, min(high, by_event.size)):
            value += by_event[f]
        by_arrivals[s] = value
        by_spike[s] += value
