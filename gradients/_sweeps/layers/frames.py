r"""A tile swept from frame to frame, if no neuron's parameters are asked for.

Between two of its spikes the adjoint state of a neuron flows freely, so all arrivals in between
see one and the same state, carried back by the lag.  A run is cut into a few frames; the states
are kept as of the end of a frame, as if what lies between were free flow:

.. math::
    \lambda_I(t) = P e^{-\alpha d} + Q h(d), \quad \lambda_V(t) = Q e^{-\beta d},
    \quad d = \mathrm{end} - t.

An arrival then changes no state; only a neuron's own spikes change its P and Q, which grow by what
a frame's free flow takes away: frames are so short that this is a factor of e at most.  Each
receptor has its own P, and all share Q.

What lambda_I gains between a spike and an arrival a short lag before it is of the order of that
lag, while P and Q are of that of a frame: their difference would lose digits.  So a neuron whose
spike is *near* an arrival keeps its state at the spike too, and meets that arrival from there.
"""

import math
from typing import NamedTuple

from eventsim._layout.incoming import factors_of
from eventsim._layout.layers import Tiles
from eventsim._support.compile import inlined, inner, loop
from eventsim.model.flow import propagator
from gradients._sweeps.flow import flow_back
from gradients._sweeps.jumps import arrival_back, release_back, spike_back
from gradients._sweeps.layers.task import added, own_spikes, start_from_end

__all__ = ["Frames", "fill", "fill_factors", "frames_of", "n_rows", "sweep_tile"]

# Rows of a tile's adjoint state, then scratch; of neurons that are near: lambda_V at their spike,
# its time (else -1), and which neurons these are.  P of receptor r is at P + 2 r, and lambda_I of
# neurons that are near at NEAR_I + 2 r.
Q, MOVED, NEAR_V, AT, LISTED, P, NEAR_I = range(7)
NEAR = 1.0 / 512.0  # of a frame
# Layers that are stiffer are swept from arrival to arrival.  It is no matter of how many arrivals
# there are, so that a sample has the same bits in any batch.
MOST_FRAMES = 256


class Frames(NamedTuple):
    """Number k of ``n`` begins at ``k * length``; the last ends at ``t_stop``."""

    n: int
    length: float


def n_rows(tiles: Tiles) -> int:
    """Return how many rows there are."""
    return P + 2 * len(tiles.receptors)


def frames_of(tiles: Tiles, t_stop: float) -> Frames | None:
    """Return frames in which the fastest exponential of a layer falls to 1/e at the least.

    None: there would be too many.
    """
    fastest = max(tiles.alpha.max(initial=0.0), tiles.beta.max(initial=0.0))
    if fastest * t_stop > MOST_FRAMES:
        return None
    n = max(1, math.ceil(fastest * t_stop))
    return Frames(n, t_stop / n)


@loop
def fill_factors(tiles, incoming, frames, t_stop, factors, first, last):
    """Fill the `Factors` of the samples ``first : last``: of the flow to the end of the frame."""
    kind = -1
    for q in range(tiles.kind.size):
        if tiles.kind[q] > kind:
            kind = tiles.kind[q]
            own = factors_of(factors, kind)
            for k in range(first, last):
                start, stop = incoming.offsets[k], incoming.offsets[k + 1]
                fill(tiles, q, incoming.time, start, stop, frames, t_stop, own)


@inlined
def fill(tiles, q, time, start, stop, frames, t_stop, factors):
    """Fill the factors of tile ``q`` for the arrivals ``start : stop`` of one sample."""
    for r in range(len(tiles.receptors)):
        alpha, beta = tiles.alpha[q, r], tiles.beta[q]
        synaptics, kernels = factors.synaptic[r], factors.h[r]
        k, end = -1, 0.0
        for a in range(start, stop):
            while k < 0 or (k < frames.n - 1 and time[a] >= end):
                k += 1
                end = (k + 1) * frames.length if k < frames.n - 1 else t_stop
            synaptic, membrane, h = propagator(end - time[a], alpha, beta)
            synaptics[a] = synaptic
            factors.membrane[a] = membrane
            kernels[a] = h


@inlined
def sweep_tile(task, frames, q, b, arrivals, scattered, factors, start, stop, k, strand, work):
    """Walk one tile backward through the arrivals ``start : stop`` of one sample.

    ``scattered``: the tile has its own list of arrivals, and their ``origin`` is their place in the
    layer's.
    """
    tiles, t_stop, record, fired, sums = task.tiles, task.t_stop, task.record, task.fired, task.sums
    time, row, origin, weight = arrivals.time, arrivals.row, arrivals.origin, task.weight
    width, passes_on = tiles.width[b], task.wanted.arrivals
    lane, table = tiles.lane[q], tiles.table[q]
    # Those of the first receptor: if it is the only one, nothing is chosen within the loop.
    receptor, alpha, beta = 0, tiles.alpha[q, 0], tiles.beta[q]
    synaptics, kernels = factors.synaptic[0], factors.h[0]
    first_spike, spike = own_spikes(fired, k, tiles.lane.size, q)
    p, by_potential, moved = work[P][:width], work[Q][:width], work[MOVED][:width]
    for r in range(len(tiles.receptors)):
        work[P + 2 * r, :width] = 0.0
    work[AT, :width] = -1.0
    near, n_near = NEAR * frames.length, 0
    longest = start_from_end(
        tiles, lane, width, t_stop, record, fired, first_spike, spike, task.final[k], by_potential
    )
    gradients = sums.weight[strand]
    frame, end, until = frames.n - 1, t_stop, t_stop
    low = frame * frames.length
    a = stop - 1
    while a >= start:
        arrives = time[a] >= low
        now = time[a] if arrives else low
        if n_near > 0:
            n_near = _forget_far(work, n_near, now, near)
        while spike >= first_spike and record[0][fired.spike[spike]] > now:
            is_near = record[0][fired.spike[spike]] - now < near
            n_near = _pass_spike(task, q, spike, end, until, work, is_near, n_near)
            spike -= 1
        s = spike
        while longest > 0.0 and s >= first_spike and record[0][fired.spike[s]] + longest > now:
            j = fired.lane[s]
            if now < record[0][fired.spike[s]] + tiles.refractory[lane + j] <= until:
                _release(tiles, q, s, end, record, fired, work)
            s -= 1
        until = now
        if not arrives:
            _pass_frame(tiles, q, width, end - low, work)
            frame, end = frame - 1, low
            low = frame * frames.length
            continue
        entry = table + row[a] * width
        if len(tiles.receptors) > 1:
            receptor = tiles.receptor[entry]
            p, alpha = work[P + 2 * receptor][:width], tiles.alpha[q, receptor]
            synaptics, kernels = factors.synaptic[receptor], factors.h[receptor]
        synaptic, membrane, h = synaptics[a], factors.membrane[a], kernels[a]
        gradient = gradients[entry : entry + width]
        for j in range(width):
            gradient[j] += p[j] * synaptic + by_potential[j] * h
        for n in range(n_near):
            j = int(work[LISTED, n])
            lambda_i, _ = _from_spike(work, j, receptor, now, alpha, beta)
            gradient[j] += lambda_i - (p[j] * synaptic + by_potential[j] * h)
        if passes_on and (not scattered or origin[a] >= 0):
            w = weight[entry : entry + width]
            by_p, by_q = alpha * synaptic, alpha * h - membrane
            for j in range(width):
                moved[j] = w[j] * (p[j] * by_p + by_potential[j] * by_q)
            for n in range(n_near):
                j = int(work[LISTED, n])
                lambda_i, lambda_v = _from_spike(work, j, receptor, now, alpha, beta)
                moved[j] = arrival_back(w[j], alpha, lambda_i, lambda_v)
            if sums.delay.shape[1] > 0:
                for j in range(width):
                    sums.delay[strand, entry + j] += moved[j]
            sums.arrival[b, origin[a] if scattered else a] += added(moved)
        a -= 1


@inlined
def _pass_frame(tiles, q, width, lag, work):
    """Let the states of all neurons flow back to the end of the frame before."""
    by_potential, membrane = work[Q][:width], 1.0
    for r in range(len(tiles.receptors)):
        p = work[P + 2 * r][:width]
        synaptic, membrane, h = propagator(lag, tiles.alpha[q, r], tiles.beta[q])
        for j in range(width):
            p[j] = p[j] * synaptic + by_potential[j] * h
    for j in range(width):
        by_potential[j] *= membrane


@inlined
def _from_spike(work, j, r, now, alpha, beta):
    """Return ``(lambda_I, lambda_V)`` of a neuron that is near, carried back from its spike."""
    return flow_back(work[AT, j] - now, alpha, beta, work[NEAR_I + 2 * r, j], work[NEAR_V, j])


@inner
def _come_near(work, j, now, alphas, beta):
    """Carry lambda_I of a neuron that is near back to its next event, for every receptor."""
    for r in range(alphas.size):
        work[NEAR_I + 2 * r, j], _ = _from_spike(work, j, r, now, alphas[r], beta)


@inlined
def _forget_far(work, n_near, now, near):
    """Take neurons whose spike is not near any more off the list; return how many are left."""
    kept = 0
    for n in range(n_near):
        j = int(work[LISTED, n])
        if work[AT, j] - now < near:
            work[LISTED, kept] = j
            kept += 1
        else:
            work[AT, j] = -1.0
    return kept


@inlined
def _release(tiles, q, spike, end, record, fired, work):
    """Cross the end of the refractory period of a spike; the potential is held before it."""
    j, number, lane = fired.lane[spike], fired.spike[spike], tiles.lane[q]
    release = record[0][number] + tiles.refractory[lane + j]
    synaptic, membrane, h = propagator(end - release, tiles.alpha[q, 0], tiles.beta[q])
    fired.by_time[spike] = release_back(
        fired.by_time[spike], record[2][number], tiles.bias[lane + j], work[Q, j] * membrane
    )
    if work[AT, j] >= 0.0:
        _come_near(work, j, release, tiles.alpha[q], tiles.beta[q])
        work[NEAR_V, j], work[AT, j] = 0.0, release
    work[P, j] += work[Q, j] * h / synaptic
    if len(tiles.receptors) > 1:
        _keep_further(work, j, end - release, work[Q, j], tiles.alpha[q], tiles.beta[q])
    work[Q, j] = 0.0


@inner
def _keep_further(work, j, lag, lost, alphas, beta):
    """Keep lambda_I of further receptors, a lag before the end, as it is where Q loses some."""
    for r in range(1, alphas.size):
        synaptic, _, h = propagator(lag, alphas[r], beta)
        work[P + 2 * r, j] += lost * h / synaptic


@inner
def _begin_further(work, j, lag, alphas, beta):
    """Note lambda_I of further receptors at a spike that is near, a lag before the end."""
    for r in range(1, alphas.size):
        synaptic, _, h = propagator(lag, alphas[r], beta)
        work[NEAR_I + 2 * r, j] = work[P + 2 * r, j] * synaptic + work[Q, j] * h


@inlined
def _pass_spike(task, q, spike, end, until, work, is_near, n_near):
    """Cross a spike: its time is set by the potential, whose adjoint starts here.

    Returns how many neurons are near.
    """
    tiles, record, fired, t_stop = task.tiles, task.record, task.fired, task.t_stop
    j, number, lane = fired.lane[spike], fired.spike[spike], tiles.lane[q]
    refractory = tiles.refractory[lane + j]
    release = record[0][number] + refractory
    # A release after this interval, or after the end, is behind us.
    if refractory > 0.0 and release <= until and release <= t_stop:
        _release(tiles, q, spike, end, record, fired, work)
    lag = end - record[0][number]
    synaptic, membrane, h = propagator(lag, tiles.alpha[q, 0], tiles.beta[q])
    before = work[Q, j]
    by_time = fired.by_time[spike]
    if refractory == 0.0:
        by_time = release_back(by_time, record[2][number], tiles.bias[lane + j], before * membrane)
    if is_near:
        if work[AT, j] >= 0.0:
            _come_near(work, j, record[0][number], tiles.alpha[q], tiles.beta[q])
        else:
            work[NEAR_I, j] = work[P, j] * synaptic + before * h
            if len(tiles.receptors) > 1:
                _begin_further(work, j, lag, tiles.alpha[q], tiles.beta[q])
            work[LISTED, n_near] = j
            n_near += 1
        work[NEAR_V, j] = spike_back(by_time, record[1][number])
        work[AT, j] = record[0][number]
    after = spike_back(by_time, record[1][number] * membrane)
    work[P, j] += (before - after) * h / synaptic
    if len(tiles.receptors) > 1:
        _keep_further(work, j, lag, before - after, tiles.alpha[q], tiles.beta[q])
    work[Q, j] = after
    return n_near
