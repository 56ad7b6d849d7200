"""The neurons of a layer on the device: a thread takes one of them through its arrivals.

In single precision the state that every arrival moves is of that precision, and so are weights,
times and factors; the search for a crossing, which is rare, is the double-precision one.  A spike's
time is rounded, but stays after what released it.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from numba import cuda

from eventsim._engines.cuda.device import kernel
from eventsim._engines.cuda.sorting import sort_anywhere
from eventsim.model.crossing import (
    TOUCHES,
    just_after,
    searched_crossing_within,
    spike_time,
)
from eventsim.model.flow import flow, propagator
from eventsim.model.jumps import RESET, fire, hold

__all__ = [
    "Spikes",
    "Task",
    "advance",
    "count_spikes",
    "find_first_spikes",
    "order_spikes",
    "summarise",
]


class Spikes(NamedTuple):
    """Spikes of a layer, in the order in which threads found them.

    Sample k has room for ``room`` of them from ``k * room`` on.  The spikes of a neuron are linked:
    ``last`` (n_samples * n,) is its last one, ``previous`` the one before each (-1: none).
    """

    count: Any
    time: Any
    neuron: Any
    slope: Any
    released: Any
    previous: Any
    last: Any


class Task(NamedTuple):
    """A layer and its arrivals: what threads walk, forward in a run and backward in a sweep.

    ``lanes`` and ``tables`` are its plan, ``weight`` its weight table; a sample has ``n_lists``
    lists of arrivals, which end at ``t_stop``.
    """

    lanes: Any
    tables: Any
    weight: Any
    arrivals: Any
    factors: Any
    n_lists: int
    n_neurons: int
    t_stop: Any


@kernel
def advance(task, margin, spikes, room, cap, current, potential, searches, touched):
    """Run one neuron of one sample through its arrivals: a thread each.

    ``current`` and ``potential`` (n_samples, n_neurons): the state at the end.
    """
    lanes, tables, weight, t_stop = task.lanes, task.tables, task.weight, task.t_stop
    arrivals, factors = task.arrivals, task.factors
    k = cuda.blockIdx.x
    x = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    if x >= lanes.neuron.size or lanes.neuron[x] < 0:
        return
    real = weight.dtype.type
    neuron, q = lanes.neuron[x], lanes.tile[x]
    threshold, bias = lanes.threshold[x], lanes.bias[x]
    refractory = lanes.refractory[x]
    alpha, beta, kind, width = tables.alpha[q], tables.beta[q], tables.kind[q], tables.width[q]
    leak, bound, one = real(beta), real(threshold * margin), real(1.0)
    table = tables.start[q] + lanes.place[x]
    own = k * task.n_lists + q % task.n_lists
    start = min(arrivals.start[own], arrivals.time.size)
    stop = min(start + arrivals.count[own], arrivals.time.size)
    following = weight[table + arrivals.row[start] * width] if start < stop else real(0.0)
    i, v, decay = real(0.0), real(0.0), one
    release, latest, kept = -math.inf, -1, -1
    looked = 0
    # The first interval, before any arrival, matters to a bias current only.
    for a in range(start - 1 if bias != 0.0 else start, stop):
        if a >= start:
            now = arrivals.time[a]
            synaptic, membrane = factors.synaptic[kind, a], factors.membrane[kind, a]
            h, lag = factors.h[kind, a], factors.lag[kind, a]
            arriving = following
            # The next weight is on its way while this arrival is looked at.
            if a + 1 < stop:
                following = weight[table + arrivals.row[a + 1] * width]
        else:
            now, arriving = real(0.0), real(0.0)
            lag = arrivals.time[start] if start < stop else t_stop
            over_lag = propagator(lag, alpha, beta)
            synaptic, membrane, h = real(over_lag[0]), real(over_lag[1]), real(over_lag[2])
        until = arrivals.time[a + 1] if a + 1 < stop else t_stop
        if threshold == 0.0 and a + 1 == stop:
            until = just_after(t_stop)  # what comes at the end sets a pool off
        i = i * decay + arriving
        decay = synaptic
        begin, acting, looks = float(now), float(i), True
        if release > now:
            looks = release <= until
            if looks:
                begin, v = release, real(RESET)
                acting = hold(float(i), release - now, alpha)
                if kept >= 0:
                    spikes.released[kept] = acting
                release = -math.inf
        elif bias == 0.0 and v * (one - leak * lag) + i * lag < bound:
            v = v * membrane + i * h
            looks = False
        while looks:
            wait, slope = searched_crossing_within(
                until - begin, acting, v, alpha, beta, threshold, bias
            )
            looked += 1
            spike = spike_time(begin, wait)
            if slope == TOUCHES and spike <= until:
                cuda.atomic.add(touched, k, 1)
            if slope == TOUCHES or spike > until or latest > cap:
                v = real(flow(acting, v, until - begin, alpha, beta, bias)[1])
                break
            spike = _stored(spike, begin, real)
            latest = cuda.atomic.add(spikes.count, k, 1)
            begin, acting, reset = fire(spike, slope, alpha, beta, threshold, bias, refractory)
            v = real(reset)
            if latest < room:
                slot = k * room + latest
                spikes.time[slot] = spike
                spikes.neuron[slot] = neuron
                spikes.slope[slot] = slope
                spikes.released[slot] = acting
                spikes.previous[slot] = kept
                kept = slot
            if begin > until:
                release = begin
                break
    current[k, neuron] = i * decay
    potential[k, neuron] = real(RESET) if release > t_stop else v
    spikes.last[k * task.n_neurons + neuron] = kept
    cuda.atomic.add(searches, k, looked)


@cuda.jit(device=True)
def _stored(spike, begin, real):
    """Return the time of a spike as it is stored: rounded, and after ``begin``."""
    stored = float(real(spike))
    if stored > begin:
        return stored
    return float(real(begin + begin * 1.2e-7 + 1e-37))


@kernel
def order_spikes(spikes, room, cap, time, neuron, slot, rank, missing):
    """Sort the spikes of a sample by (time, neuron): a block each.

    ``slot`` says where each of them stands in ``spikes``, ``rank`` where that one stands here;
    ``missing`` is set if there were more than there is room for, or than ``cap``.
    """
    k = cuda.blockIdx.x
    t, threads = cuda.threadIdx.x, cuda.blockDim.x
    first, n = k * room, min(spikes.count[k], room)
    if t == 0 and spikes.count[k] > min(room, cap):
        cuda.atomic.max(missing, 0, 1)
    for s in range(first + t, first + n, threads):
        slot[s] = s
        time[s], neuron[s] = spikes.time[s], spikes.neuron[s]
    cuda.syncthreads()
    sort_anywhere(first, n, time, neuron, slot)
    cuda.syncthreads()
    for s in range(first + t, first + n, threads):
        rank[slot[s]] = s


@kernel
def count_spikes(spikes, counts):
    """Count the spikes of each neuron in each sample: a thread each; both flat."""
    for c in range(cuda.grid(1), counts.size, cuda.gridsize(1)):
        n, slot = 0, spikes.last[c]
        while slot >= 0:
            n += 1
            slot = spikes.previous[slot]
        counts[c] = n


@kernel
def find_first_spikes(spikes, first):
    """Write the time of each neuron's first spike in each sample, inf without: a thread each."""
    for c in range(cuda.grid(1), first.size, cuda.gridsize(1)):
        time, slot = math.inf, spikes.last[c]
        while slot >= 0:
            time = float(spikes.time[slot])
            slot = spikes.previous[slot]
        first[c] = time


@kernel
def summarise(spikes, lanes, n, min_slope, silent):
    """Find the smallest slope, and count silent neurons that could fire: a thread per sample."""
    for k in range(cuda.grid(1), silent.size, cuda.gridsize(1)):
        least, count = min_slope[k], 0
        for x in range(lanes.neuron.size):
            if lanes.neuron[x] < 0:
                continue
            slot = spikes.last[k * n + lanes.neuron[x]]
            if slot < 0 and lanes.threshold[x] < math.inf:
                count += 1
            while slot >= 0:
                least = min(least, float(spikes.slope[slot]))
                slot = spikes.previous[slot]
        min_slope[k] = least
        silent[k] += count
