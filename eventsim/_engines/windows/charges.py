r"""Windows in which all that arrives are charges: no current flows, V only falls towards rest.

Let r be the potential to which V goes without charges, below the threshold, and t the time since
the start of the window.  :math:`u = (V - r)\, e^{\beta t}` stands still between events, and a
charge w adds :math:`w e^{\beta t}` to it.  So a charge is one addition and one comparison: V
exceeds :math:`\theta` where u exceeds :math:`(\theta - r)\, e^{\beta t}`.  The comparison is made
with a limit that lies lower by far more than the rounding of u; whatever passes it is looked at
with the same criterion as in all engines (`eventsim.model.jumps`).  No neuron has to be dismissed,
nothing is gathered, and a volley that sets many neurons off costs no more than other spikes.

The bundles are delivered together in the order of time.  Charges of the same time count as one, so
neurons that pass the limit are looked at when all of that time are there.
"""

import math

from eventsim._engines.windows.arrays import (
    ARRIVED,
    FLAGGED,
    FOUND,
    HELD,
    MEMBRANE,
    TOUCHED,
    WINDOW,
    factor_of,
    note,
)
from eventsim._engines.windows.bundles import (
    EVEN,
    KIND,
    OF_NEURONS,
    ROW,
    SINGLE,
    THIN,
    WEIGHT,
)
from eventsim._layout.record import BOUND
from eventsim._layout.record import FURTHER as BEHIND
from eventsim._support.compile import inlined, inner, scalar
from eventsim._support.machine import prefetch
from eventsim._support.sorting import sort_stably
from eventsim._support.types import Word
from eventsim.model.jumps import AT_ONCE, RESET, surpasses

__all__ = ["deliver_charges"]

# Spikes ahead whose synapses are fetched; so many targets are in a cache line.
AHEAD, LINE = Word(2), 16

# Entries of Charges.ring.
HEAD, TAIL = 0, 1


@scalar
def rise(x):
    """Return exp(x) for 0 <= x <= 1/128: what is left of its series is below 2**-58."""
    return 1.0 + x * (
        1.0 + x * (1 / 2 + x * (1 / 6 + x * (1 / 24 + x * (1 / 120 + x * (1 / 720)))))
    )


@inner
def deliver_charges(bundles, neurons, grid, times, sources, run, state, work, crew, final, most):
    """Take all neurons of a share through the window; return False if a spike finds no room.

    Then nothing has changed.  No more than ``most`` spikes are noted, and those of the same time.
    """
    progress = work.progress
    arrived, touched = progress[ARRIVED], progress[TOUCHED]
    _begin(neurons, grid, state, work)
    while True:
        b, following = _earliest(bundles, times, run, work)
        if b < 0:
            break
        if grid.step == 0:
            fits = _deliver(
                bundles, b, neurons, grid, times, sources, run, work, crew, following, most, 0
            )
        else:
            fits = _deliver(
                bundles, b, neurons, grid, times, sources, run, work, crew, following, most, 1
            )
        if not fits:
            progress[ARRIVED], progress[TOUCHED] = arrived, touched
            return False
    _release(neurons, grid, work, work.horizon[0])
    if final:
        _end(neurons, grid, state, work)
    else:
        _move(grid, state, work)
    return True


@inlined
def _start(grid, work):
    """Return when the window begins."""
    return work.progress[WINDOW] * grid.width


# --- delivery -------------------------------------------------------------------------------------


@inlined
def _time_of(bundles, b, times, run, k):
    """Return when spike k of a bundle arrives."""
    return (run.time[k] if bundles.table[b, OF_NEURONS] else times[k]) + bundles.span[b, 0]


@inlined
def _earliest(bundles, times, run, work):
    """Return the bundle that delivers next, and when the first one of the others does."""
    first, time, following = -1, math.inf, math.inf
    for b in range(bundles.table.shape[0]):
        k = work.charges.cursor[b]
        if k < work.flights.last[b]:
            own = _time_of(bundles, b, times, run, k)
            if own < time:
                first, time, following = b, own, time
            else:
                following = min(following, own)
    return first, following


@inlined
def _deliver(bundles, b, neurons, grid, times, sources, run, work, crew, following, most, step):
    """Deliver the spikes of a bundle, up to the first one of another.

    Those of the same time as that are delivered as well, but not looked at.  A literal ``step``
    takes the limit out of the loop over a row.
    """
    beta, thin = neurons.beta[bundles.table[b, KIND]], bundles.table[b, THIN]
    k, last = Word(work.charges.cursor[b]), Word(work.flights.last[b])
    start, time = _start(grid, work), _time_of(bundles, b, times, run, k)
    due, arrived, fits = _due(work), 0, True
    while fits:
        if due <= time:
            due = _release(neurons, grid, work, time)
        factor = rise(beta * (time - start))
        same = time
        while same == time:
            if thin:
                arrived += _add_single(bundles, b, grid, sources, run, work, k, factor)
            else:
                arrived += _add_row(bundles, b, grid, sources, run, work, k, last, factor, step)
            k += Word(1)
            same = _time_of(bundles, b, times, run, k) if k < last else math.inf
        if work.progress[FLAGGED] > 0 and time < following:
            fits = _look(neurons, grid, work, crew, time, most)
            due = _due(work)
        time = same
        if time >= following or k == last:
            break
    work.charges.cursor[b] = k
    work.progress[ARRIVED] += arrived
    return fits


@inlined
def _source_of(bundles, b, sources, run, k):
    """Return the source of spike k of a bundle."""
    return Word(run.neuron[k] if bundles.table[b, OF_NEURONS] else sources[k])


@inlined
def _add_single(bundles, b, grid, sources, run, work, k, factor):
    """Add what a spike sends by its only synapse, if it has one; return how many it has."""
    raised, source = work.charges.raised, _source_of(bundles, b, sources, run, k)
    i = bundles.target[Word(bundles.table[b, SINGLE]) + source]
    if i == raised.size:
        return 0
    u = raised[i] + bundles.weight[Word(bundles.table[b, WEIGHT]) + source] * factor
    raised[i] = u
    if u > grid.limit[i * Word(grid.step)] * factor:
        _mark(work, i)
    return 1


@inlined
def _add_row(bundles, b, grid, sources, run, work, k, last, factor, step):
    """Add what a spike sends by a row of synapses; return how many there are."""
    raised, target, limit = work.charges.raised, bundles.target, grid.limit[0] * factor
    even, row = bundles.table[b, EVEN], Word(bundles.table[b, ROW])
    source = _source_of(bundles, b, sources, run, k)
    first, end = bundles.row[row + source], bundles.row[row + source + Word(1)]
    if k + AHEAD < last:
        ahead = row + _source_of(bundles, b, sources, run, k + AHEAD)
        for s in range(bundles.row[ahead], bundles.row[ahead + Word(1)], LINE):
            prefetch(target, s)
    w = bundles.weight[Word(bundles.table[b, WEIGHT]) + source] * factor if even else 0.0
    for s in range(Word(first), Word(end)):
        i = target[s]
        if not even:
            w = bundles.weight[s] * factor
        if step > 0:
            limit = grid.limit[i] * factor
        u = raised[i] + w
        raised[i] = u
        if u > limit:
            _mark(work, i)
    return end - first


@inlined
def _mark(work, i):
    """Note that a neuron has passed its limit."""
    if work.flag[i] == 0:
        work.flag[i] = 1
        work.flagged[work.progress[FLAGGED]] = i
        work.progress[FLAGGED] += 1


@inner
def _look(neurons, grid, work, crew, time, most):
    """Let those fire that are above their threshold, in the order of their numbers.

    Return False if a spike finds no room.
    """
    progress, charges, found = work.progress, work.charges, crew.found
    n, start, fits = progress[FLAGGED], _start(grid, work), True
    progress[FLAGGED] = 0
    sort_stably(crew.own, work.flagged, charges.spare, 0, n)
    for f in range(n):
        i = work.flagged[f]
        work.flag[i] = 0
        factor = rise(neurons.beta[neurons.kind[i]] * (time - start))
        rest = grid.rest[i * grid.step]
        potential = rest + charges.raised[i] / factor
        decided = surpasses(potential, neurons.threshold[i], max(abs(potential), abs(rest)))
        if decided == 0:
            progress[TOUCHED] += 1
        if decided <= 0 or not fits:
            continue
        spikes = progress[FOUND]
        if spikes < most or found.time[crew.number, spikes - 1] == time:
            fits = spikes < found.time.shape[1]
            if not fits:
                continue
            note(crew, spikes, time, i, AT_ONCE, 0.0)
            progress[FOUND] += 1
        charges.raised[i] = -math.inf
        charges.until[i] = time + neurons.refractory[i]
        if charges.until[i] <= work.horizon[0]:
            _queue(charges, i)
    return fits


# --- release --------------------------------------------------------------------------------------


@inlined
def _due(work):
    """Return when the next neuron is released; infinity if none is in this window."""
    charges = work.charges
    if charges.ring[HEAD] == charges.ring[TAIL]:
        return math.inf
    return charges.until[charges.pending[charges.ring[HEAD] % charges.pending.size]]


@inlined
def _queue(charges, i):
    """Put a neuron among those that are to be released: no neuron is there twice."""
    pending, until, size = charges.pending, charges.until, charges.pending.size
    place = charges.ring[TAIL]
    while place > charges.ring[HEAD] and until[pending[(place - 1) % size]] > until[i]:
        pending[place % size] = pending[(place - 1) % size]
        place -= 1
    pending[place % size] = i
    charges.ring[TAIL] += 1


@inner
def _release(neurons, grid, work, time):
    """Release all neurons whose time has come; return when the next one is."""
    charges, start = work.charges, _start(grid, work)
    due = _due(work)
    while due <= time:
        i = charges.pending[charges.ring[HEAD] % charges.pending.size]
        charges.ring[HEAD] += 1
        factor = rise(neurons.beta[neurons.kind[i]] * (due - start))
        charges.raised[i] = (RESET - grid.rest[i * grid.step]) * factor
        due = _due(work)
    return due


# --- begin and end --------------------------------------------------------------------------------


@inner
def _begin(neurons, grid, state, work):
    """Take the potentials at the start, and list the neurons that are released in the window."""
    charges, level = work.charges, state.level
    n = 0
    for i in range(neurons.kind.size):
        charges.raised[i] = level[i, 1] - grid.rest[i * grid.step]
        if level[i, 1] == HELD:
            charges.raised[i] = -math.inf
            charges.until[i] = state.release[i]
            if state.release[i] <= work.horizon[0]:
                charges.pending[n] = i
                n += 1
    sort_stably(charges.until, charges.pending, charges.spare, 0, n)
    charges.ring[HEAD], charges.ring[TAIL] = 0, n
    for b in range(charges.cursor.size):
        charges.cursor[b] = work.flights.first[b]
    work.progress[FOUND] = work.progress[FLAGGED] = 0


@inner
def _move(grid, state, work):
    """Move all neurons to the end of the window."""
    charges, level, window = work.charges, state.level, float(work.progress[WINDOW])
    for q in range(grid.ranges.shape[0]):
        membrane = factor_of(grid.kind[grid.ranges[q, 2], 0], MEMBRANE, window)
        for i in range(grid.ranges[q, 0], grid.ranges[q, 1]):
            u = charges.raised[i]
            if u == -math.inf:
                level[i, 1] = HELD
                state.release[i] = charges.until[i]
            else:
                level[i, 1] = grid.rest[i * grid.step] + u * membrane


@inner
def _end(neurons, grid, state, work):
    """Set the states at the end of the run, and keep those at the start of the window."""
    charges, start, horizon = work.charges, _start(grid, work), work.horizon[0]
    for i in range(neurons.kind.size):
        row, u = state.neuron[i], charges.raised[i]
        for r in range(1, len(neurons.receptors)):
            row[BEHIND + r] = 0.0
        row[0], row[BOUND] = 0.0, neurons.bound[i]
        if u == -math.inf:
            row[1], row[2] = RESET, charges.until[i]
        else:
            factor = rise(neurons.beta[neurons.kind[i]] * (horizon - start))
            row[1], row[2] = grid.rest[i * grid.step] + u / factor, horizon
