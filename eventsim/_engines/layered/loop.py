"""The compiled loops of the layered engine.

All neurons of a tile see the same arrivals, so between two of them the tile is moved by one vector
loop, which also asks each neuron whether it could have fired: only those that could are looked at
one by one, with the same search for a crossing as in every engine.

Neurons with several receptors have a row of currents for each, and a path of their own through the
vector loops (`_flow_several`).
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eventsim._engines.status import CAPPED, DONE, PAUSED, RECORD_FULL
from eventsim._layout.incoming import Incoming, factors_of, fill, reached_arrivals
from eventsim._layout.layers import Tiles
from eventsim._layout.record import FURTHER, Record
from eventsim._layout.wiring import FOREVER
from eventsim._support.compile import inlined, loop
from eventsim._support.sorting import sort_rows
from eventsim._support.types import FloatArray, IntArray
from eventsim.model.crossing import TOUCHES, crossing_within, just_after, spike_time
from eventsim.model.currents import crossing_of, flow_of
from eventsim.model.flow import bias_kernel, flow
from eventsim.model.jumps import RESET, fire, hold

__all__ = ["Advancing", "Task", "advance_all_to_all", "advance_reached", "merge_spikes"]

# The potential lies below its tangent wherever it rises towards the threshold (crossing.py, case 2
# of the proof), so a neuron whose tangent stays below did not fire; this covers the rounding.
# While the current is negative (and a bias lifts the potential) it can only fall and then rise: it
# is highest at an end.
MARGIN = 1.0 - 1e-12

# Rows of a tile's state; LATEST is the number of its last spike among those recorded.  BOUND is
# the bound of `_flow_several`; the current of receptor r is at CURRENTS + r.
POTENTIAL, FOLLOWING, THRESHOLD, RELEASE, LATEST, BOUND, CURRENTS = range(7)

# Entries of the progress (BEFORE: spikes before the current sample; SEARCHES and TOUCHED: within
# it), and the status.
BLOCK, SAMPLE, TILE, SPIKES, BEFORE, SEARCHES, TOUCHED, STATUS, N_PROGRESS = range(9)

# Lanes times arrivals before a call is PAUSED, so that Ctrl-C is seen.
MOST_LOOKS = 50_000_000

# Of eight marks in one word; its lowest byte is the first one.
NONE, ONE, ONES = np.uint64(0), np.uint64(1), np.uint64(0x0101010101010101)
LAST_BYTE = np.uint64(56)


class Advancing(NamedTuple):
    """A layer on its way through some samples, block by block, and what comes of it.

    ``marks`` says which neurons of a tile may have fired, one byte each; ``words`` are the same
    bytes, eight at a time.  ``currents`` (n_receptors,) are those of a neuron that is looked at,
    ``scratch`` is for its search.  ``counts``, ``searches``, ``touched`` and ``arrivals``
    (n_blocks, n_samples): spikes of each sample, searches for a crossing, touches of the threshold,
    and arrivals at single tiles; ``run`` holds the spikes in this order.  ``total`` (n_samples,):
    spikes of each sample so far, those of other layers included.
    """

    work: FloatArray
    marks: NDArray[np.uint8]
    words: NDArray[np.uint64]
    currents: FloatArray
    scratch: FloatArray
    run: Record
    counts: IntArray
    searches: IntArray
    touched: IntArray
    arrivals: IntArray
    total: IntArray
    progress: IntArray


class Task(NamedTuple):
    """The run of a layer: what does not change on the way.

    ``states`` (n_samples, n_neurons, at least 3) takes the final states, from neuron ``base`` on;
    if the neurons are ``moving`` from the start, it has the first ones.
    """

    tiles: Tiles
    weight: FloatArray
    incoming: Incoming
    t_stop: float
    cap: int
    base: int
    states: FloatArray
    moving: bool


@loop
def advance_all_to_all(task, factors, advancing):
    """Advance all blocks, of one tile each, through all samples, from ``progress`` on.

    Stops where the ``run`` is full, or where a sample has more spikes than its cap.
    """
    tiles, incoming, states = task.tiles, task.incoming, task.states
    progress, looks = advancing.progress, 0
    while progress[BLOCK] < tiles.width.size:
        b = progress[BLOCK]
        q = tiles.first[b]
        own = factors_of(factors, tiles.kind[q])
        while progress[SAMPLE] < states.shape[0]:
            k = progress[SAMPLE]
            start, stop = incoming.offsets[k], incoming.offsets[k + 1]
            if looks > MOST_LOOKS:
                progress[STATUS] = PAUSED
                return
            looks += (stop - start) * tiles.width[b]
            progress[BEFORE] = progress[SPIKES]
            _advance_tile(task, q, tiles.width[b], incoming, own, start, stop, k, advancing)
            if progress[STATUS] != DONE:
                return
            _count(advancing, b, k)
            progress[SAMPLE] = k + 1
        progress[BLOCK], progress[SAMPLE] = b + 1, 0


@inlined
def _count(advancing, b, k):
    """Take down what block ``b`` did in sample ``k``."""
    progress = advancing.progress
    advancing.counts[b, k] = progress[SPIKES] - progress[BEFORE]
    advancing.searches[b, k] = progress[SEARCHES]
    advancing.touched[b, k] = progress[TOUCHED]
    advancing.total[k] += advancing.counts[b, k]
    progress[SEARCHES] = 0
    progress[TOUCHED] = 0


@loop
def advance_reached(task, reach, scratch, begins, advancing):
    """Advance all tiles of all blocks, each with its own arrivals, as `advance_all_to_all`."""
    tiles, incoming, states, t_stop = task.tiles, task.incoming, task.states, task.t_stop
    progress, looks = advancing.progress, 0
    arrivals, factors, starts = scratch.arrivals, scratch.factors, scratch.starts
    while progress[BLOCK] < tiles.width.size:
        b = progress[BLOCK]
        low, high = tiles.first[b], tiles.first[b + 1]
        while progress[SAMPLE] < states.shape[0]:
            k = progress[SAMPLE]
            if looks > MOST_LOOKS:
                progress[STATUS] = PAUSED
                return
            reached_arrivals(tiles, reach, b, incoming, k, begins, t_stop, arrivals, starts)
            if progress[TILE] < low:
                progress[TILE] = low
                progress[BEFORE] = progress[SPIKES]
            looks += starts[high - low] * tiles.width[b]
            while progress[TILE] < high:
                q = progress[TILE]
                start, stop = starts[q - low], starts[q - low + 1]
                fill(tiles, q, arrivals.time, start, stop, t_stop, factors)
                _advance_tile(task, q, tiles.width[b], arrivals, factors, start, stop, k, advancing)
                if progress[STATUS] != DONE:
                    return
                progress[TILE] = q + 1
            _count(advancing, b, k)
            advancing.arrivals[b, k] = starts[high - low] - (high - low if begins else 0)
            progress[SAMPLE], progress[TILE] = k + 1, -1
        progress[BLOCK], progress[SAMPLE] = b + 1, 0


@inlined
def _advance_tile(task, q, width, arrivals, factors, start, stop, k, advancing):
    """Run one tile through the arrivals ``start : stop`` of sample ``k``.

    A current is kept as of the last arrival and lags one interval behind the potential.
    """
    several = len(task.tiles.receptors) > 1
    tiles, weight, t_stop = task.tiles, task.weight, task.t_stop
    time, row, cap = arrivals.time, arrivals.row, task.cap - advancing.total[k]
    work, progress = advancing.work, advancing.progress
    lane = tiles.lane[q]
    beta, bias = tiles.beta[q], tiles.bias[lane : lane + width]
    synaptics, kernels = factors.synaptic[0], factors.h[0]
    current, theta = work[CURRENTS][:width], work[THRESHOLD][:width]
    potential, following = work[POTENTIAL][:width], work[FOLLOWING][:width]
    bound, biased = work[BOUND][:width], False
    for j in range(width):
        current[j] = 0.0
        potential[j] = 0.0
        theta[j] = tiles.threshold[lane + j] * MARGIN
        biased = biased or bias[j] != 0.0
        if task.moving and tiles.neuron[lane + j] >= 0:
            first = task.states[k, task.base + tiles.neuron[lane + j]]
            current[j], potential[j] = first[0], first[1]
    for r in range(1, len(tiles.receptors)):
        for j in range(width):
            begun = task.moving and tiles.neuron[lane + j] >= 0
            i = task.base + tiles.neuron[lane + j]
            work[CURRENTS + r, j] = task.states[k, i, FURTHER + r] if begun else 0.0
    for word in range((width + 7) // 8):
        advancing.words[word] = NONE
    decay = 1.0
    before, searches, held = progress[SPIKES], progress[SEARCHES], 0
    touched = progress[TOUCHED]
    for a in range(start, stop):
        entry = tiles.table[q] + row[a] * width
        w = weight[entry : entry + width]
        synaptic, membrane = synaptics[a], factors.membrane[a]
        h, lag = kernels[a], factors.lag[a]
        rest = 1.0 - beta * lag
        hit = False
        if several:
            receptor = tiles.receptor[entry]
            _flow_several(
                tiles, q, factors, a, a == start, w, receptor, biased, work, potential, following
            )
            for j in range(width):
                hit |= bound[j] >= theta[j]
        elif not biased:
            for j in range(width):
                i = current[j] * decay + w[j]
                hit |= potential[j] * rest + i * lag >= theta[j]
                following[j] = potential[j] * membrane + i * h
                current[j] = i
        else:
            b = bias_kernel(lag, beta)
            for j in range(width):
                i = current[j] * decay + w[j]
                v = potential[j] * membrane + i * h + bias[j] * b
                tangent = potential[j] * rest + (i + bias[j]) * lag
                hit |= (v if i < 0.0 else tangent) >= theta[j]
                following[j] = v
                current[j] = i
        if hit or held > 0:
            until = time[a + 1] if a + 1 < stop else t_stop
            # Neurons that are held may be released, though they cannot fire as yet.
            marks, waits = advancing.marks[:width], held > 0
            if several:
                for j in range(width):
                    marks[j] = (bound[j] >= theta[j]) | (waits & (theta[j] == math.inf))
            elif not biased:
                for j in range(width):
                    tangent = potential[j] * rest + current[j] * lag
                    marks[j] = (tangent >= theta[j]) | (waits & (theta[j] == math.inf))
            else:
                for j in range(width):
                    tangent = potential[j] * rest + (current[j] + bias[j]) * lag
                    highest = following[j] if current[j] < 0.0 else tangent
                    marks[j] = (highest >= theta[j]) | (waits & (theta[j] == math.inf))
            for word in range((width + 7) // 8):
                marked = advancing.words[word]
                while marked != NONE:
                    j = 8 * word + _first_marked(marked)
                    marked &= marked - ONE
                    held = _look_closer(
                        tiles, q, j, time[a], until, a + 1 == stop, current[j], potential[j], cap,
                        advancing, following, held,
                    )  # fmt: skip
            if progress[STATUS] != DONE:
                progress[SPIKES], progress[SEARCHES] = before, searches
                progress[TOUCHED] = touched
                return
        decay = synaptic
        potential, following = following, potential
    for j in range(width):
        i = tiles.neuron[lane + j]
        if i >= 0:
            at_rest = theta[j] == math.inf and tiles.threshold[lane + j] < math.inf
            task.states[k, task.base + i, 0] = current[j] * decay
            task.states[k, task.base + i, 1] = 0.0 if at_rest else potential[j]
            task.states[k, task.base + i, 2] = t_stop
    for r in range(1, len(tiles.receptors)):
        decay = factors.synaptic[r, stop - 1] if start < stop else 1.0
        for j in range(width):
            i = tiles.neuron[lane + j]
            if i >= 0:
                task.states[k, task.base + i, FURTHER + r] = work[CURRENTS + r, j] * decay


@inlined
def _flow_several(
    tiles, q, factors, a, is_first, w, receptor, biased, work, potential, following
):  # fmt: skip
    """Let arrival ``a`` act, move a tile to the next one, and fill BOUND: where V stays below.

    Until then no current is more than it is now, or, if it is inhibition, than what is left of it
    in the end.  So V stays below what the sum of these, as a constant drive, would make of it
    together with the bias.  That is monotone: where it falls, V stays below where it is; where it
    rises, it is concave and stays below its tangent, which ends at BOUND (`MARGIN` covers the
    rounding).
    """
    width, lane = w.size, tiles.lane[q]
    bias, highest = tiles.bias[lane : lane + width], work[BOUND][:width]
    lag, membrane = factors.lag[a], factors.membrane[a]
    rest = 1.0 - tiles.beta[q] * lag
    built = bias_kernel(lag, tiles.beta[q]) if biased else 0.0
    for j in range(width):
        following[j] = potential[j] * membrane + bias[j] * built
        highest[j] = potential[j] * rest + bias[j] * lag
    for r in range(len(tiles.receptors)):
        current, arrives = work[CURRENTS + r][:width], 1.0 if r == receptor else 0.0
        decay = 1.0 if is_first else factors.synaptic[r, a - 1]
        synaptic, h = factors.synaptic[r, a], factors.h[r, a]
        for j in range(width):
            i = current[j] * decay + w[j] * arrives
            highest[j] += (i if i > 0.0 else i * synaptic) * lag
            following[j] += i * h
            current[j] = i


@inlined
def _first_marked(word):
    """Return which byte of a word of zeros and ones is the first one."""
    below = (word - ONE) & ~word & ONES
    return int((below * ONES) >> LAST_BYTE)


@inlined
def _look_closer(
    tiles, q, j, now, until, is_last, current, potential, cap, advancing, following, held
):
    """Let neuron ``j`` of a tile fire until the next arrival; return how many are held for a time.

    A pool fires just after what sets it off, if need be after the end.  A held neuron has an
    infinite threshold for as long.  Of several receptors i is the sum of the currents.
    """
    several, currents = len(tiles.receptors) > 1, advancing.currents
    work, run, progress = advancing.work, advancing.run, advancing.progress
    lane, alpha, beta = tiles.lane[q], tiles.alpha[q, 0], tiles.beta[q]
    threshold, bias = tiles.threshold[lane + j], tiles.bias[lane + j]
    start, i, v = now, current, potential
    looks = True
    if several:
        for r in range(len(tiles.receptors)):
            currents[r] = work[CURRENTS + r, j]
    if is_last and threshold == 0.0:
        until = just_after(until)
    if work[THRESHOLD, j] == math.inf:
        release = work[RELEASE, j]
        looks = threshold < math.inf and release <= until
        if looks:
            # The neuron is released in this interval.
            start, v = release, RESET
            if several:
                i = _hold_all(tiles, q, currents, start - now)
            else:
                i = hold(i, start - now, alpha)
            run.released[int(work[LATEST, j])] = i
            work[THRESHOLD, j] = threshold * MARGIN
            held -= 1
        elif threshold < math.inf:
            following[j] = RESET
    while looks:
        if several:
            lag, slope, again = crossing_of(
                until - start, currents, v, tiles.alpha[q], beta, threshold, bias, advancing.scratch
            )
        else:
            lag, slope = crossing_within(until - start, i, v, alpha, beta, threshold, bias)
            again = math.inf
        progress[SEARCHES] += 1
        spike = spike_time(start, lag)
        if spike > until:
            break
        if slope == TOUCHES:
            progress[TOUCHED] += 1
            later = max(start + again, just_after(spike))
            if later > until:
                break
            v = flow_of(currents, v, later - start, tiles.alpha[q], beta, bias)
            start = later
            continue
        number = progress[SPIKES]
        if number == run.time.size or number - progress[BEFORE] == cap:
            progress[STATUS] = CAPPED if number - progress[BEFORE] == cap else RECORD_FULL
            break
        refractory = tiles.refractory[lane + j]
        if several:
            i = _hold_all(tiles, q, currents, (spike - start) + refractory)
            start, v = spike + refractory, RESET
        else:
            start, i, v = fire(spike, slope, alpha, beta, threshold, bias, refractory)
        run.time[number] = spike
        run.neuron[number] = tiles.neuron[lane + j]
        run.slope[number] = slope
        run.released[number] = i
        progress[SPIKES] = number + 1
        work[LATEST, j] = number
        if start > until:
            work[RELEASE, j] = start
            work[THRESHOLD, j] = math.inf
            held += 1 if refractory < FOREVER else 0
            following[j] = RESET
            return held
        # As in the tile's loop, from a potential of 0.
        looks = several or i < 0.0 or (i + bias) * (until - start) >= threshold * MARGIN
    if start > now:
        if several:
            following[j] = flow_of(currents, v, until - start, tiles.alpha[q], beta, bias)
        else:
            following[j] = flow(i, v, until - start, alpha, beta, bias)[1]
    return held


@inlined
def _hold_all(tiles, q, currents, lag):
    """Let the currents decay, while the potential is held or after; return their sum."""
    total = 0.0
    for r in range(len(tiles.receptors)):
        currents[r] = hold(currents[r], lag, tiles.alpha[q, r])
        total += currents[r]
    return total


@loop
def merge_spikes(begin, ends, spikes, base, offsets, bins, merged):
    """Sort the spikes of each sample by (time, neuron), wherever they come from.

    Those of sample k in part p (a block, or a population) are ``begin[p, k] : ends[p, k]``, in any
    order; ``base[p]`` is added to the numbers of the neurons.  Counting them in as many ``bins``
    of time as there are spikes brings each one near its place.
    """
    n_parts, n_samples = begin.shape
    for k in range(n_samples):
        first, n = offsets[k], offsets[k + 1] - offsets[k]
        earliest, latest = math.inf, -math.inf
        for p in range(n_parts):
            for s in range(begin[p, k], ends[p, k]):
                earliest = min(earliest, spikes.time[s])
                latest = max(latest, spikes.time[s])
        span = latest - earliest
        per_time = (n - 1) / span if span > np.finfo(np.float64).tiny * n else 0.0
        bins[: n + 1] = 0
        for p in range(n_parts):
            for s in range(begin[p, k], ends[p, k]):
                bins[int((spikes.time[s] - earliest) * per_time) + 1] += 1
        for i in range(n):
            bins[i + 1] += bins[i]
        for p in range(n_parts):
            for s in range(begin[p, k], ends[p, k]):
                i = int((spikes.time[s] - earliest) * per_time)
                at = first + bins[i]
                bins[i] += 1
                merged.time[at] = spikes.time[s]
                merged.neuron[at] = spikes.neuron[s] + base[p]
                merged.slope[at] = spikes.slope[s]
                merged.released[at] = spikes.released[s]
        sort_rows(merged.time, merged.neuron, merged.slope, merged.released, first, first + n)
