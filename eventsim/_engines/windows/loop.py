r"""The loop of the window engine: windows no longer than the shortest delay between neurons.

Time is cut into windows no longer than the shortest delay between neurons, so whatever arrives in a
window was sent before it.  A window is worked off in phases:

1. *Scatter*: each arrival at time a of the window is carried back to its start by the flow with a
   negative lag, and added to a row of its target: two multiply-adds, and two more for the bound.
2. *Dismiss*: one pass over the neurons.  Nearly all provably stay below threshold throughout the
   window (below); their states move to its end at once.
3. *Gather*: the arrivals of the few others are collected by a second look at the synapses, and
4. *Replay*: each of them is taken through its arrivals in order of time, with the same search for
   crossings as in the scheduler.  A spike cannot act within its own window.  Where arrivals are
   very many, some neurons are chosen after the others: this bounds the memory.
5. *Record*: the new spikes are put in the order of (time, neuron).

Where other processes have some of the neurons, the loop comes back for the exchange of spikes,
which are recorded outside, and where nothing arrives, for the earliest event of all.

Windows begin at multiples of a width with so few digits that every multiple is exact.  A run that
stops within a window keeps the state at its start; to resume is to do that window again.  Where
nothing arrives, the next window worked off is that of the next arrival, or of the first moment at
which a neuron could fire: no state depends on where the run ends.

Proof that no spike is lost
---------------------------
Let :math:`x = \theta - V`, at the start of the window :math:`x_0`, and
:math:`I_\theta = \beta\theta - c`.  Since :math:`\dot x = -\beta x - (I - I_\theta)`, until the
first spike

.. math:: e^{\beta t} x(t) = x_0 - \int_0^t e^{\beta s} (I(s) - I_\theta)\, ds.

Let :math:`I_+` be the most that the current at the start can be within the window,
:math:`\max(I_0, 0)`, or of several receptors the sum of :math:`I_k \ge 0` as they are at the start
and of :math:`I_k < 0` as they are at the end; W the width, b and h the kernels of
`eventsim.model.flow`, S the sum of the positive weights :math:`w_i` that arrive in the window, and
:math:`E = \sum_i w_i h(W - a_i)` the potential that they leave behind alone at its end.

*First bound.*  The current (of all receptors) stays below :math:`I_+ + S`.  If
:math:`M_1 = I_+ + S - I_\theta < 0` then x rises relative to :math:`x_0 e^{-\beta t}`, and at no
crossing could V rise; else
:math:`x(t) \ge x_0 e^{-\beta t} - M_1 b(t) \ge e^{-\beta W} x_0 - M_1 b(W)` for :math:`x_0 > 0`.

*Second bound.*  The current that was there at the start is at most
:math:`I_+(s) = \sum_k I_k e^{-\alpha_k s}`, where each :math:`I_k < 0` stays as it is at the end:
it is convex and falls.  Let :math:`d = I_+(0) - I_\theta` be the drive at the start and
:math:`m = \sum_k I_k h_k(W)/b(W) - I_\theta` its mean, weighed by :math:`e^{\beta s}`.  If
:math:`I_+(W) \ge I_\theta`, its integral rises to :math:`m\, e^{\beta W} b(W)`.  Else what is
positive of it lies below the chord, and of that the integral is at most :math:`d W/2`.  This falls
and :math:`e^{\beta s}` rises, so (Chebyshev) the integral of both is at most
:math:`d\, e^{\beta W} b(W)/2`.  The arrivals add at most
:math:`e^{\beta t} \sum_{a_i < t} w_i h(t - a_i) \le e^{\beta W} E`, because h rises until
:math:`t^* \ge 1/\max(\alpha, \beta) > W`.  With :math:`M_2 = \max(m, d/2, 0) + E/b(W)`
again :math:`x(t) e^{\beta t} \ge x_0 - M_2 e^{\beta W} b(W)`.

So there is no spike in the window if
:math:`\min(M_1, M_2) < K x_0,\; K = e^{-\beta W}/b(W)`; for :math:`x_0 \le 0` (rounding of an
earlier flow) this leaves :math:`M_1 < 0`, a falling potential.

*Charges* raise V at once, and what is left of them falls: with D the sum of the positive ones,
x lies at most D below what it would be without them.  So the condition holds with
:math:`x_0 - e^{\beta W} D > 0` in the place of :math:`x_0`.

*Rounding.*  S and E are sums of nonnegative numbers: n arrivals make a relative error below n eps.
Every quantity is rounded to the safe side by a factor :math:`1 \pm 10^{-9}`, more than all errors
as long as n < 10^6 arrivals at one neuron in one window; the factor of E gets the same margin of
h(W) itself, since it is made from two terms that nearly cancel.
"""

import math

import numpy as np

from eventsim._engines.status import (
    ARRIVALS_FULL,
    ASKS,
    CAPPED,
    DONE,
    FLIGHTS_FULL,
    FOUND_FULL,
    MEETS,
    PAUSED,
    RECORD_FULL,
)
from eventsim._engines.windows.arrays import (
    ARRIVED,
    BEFORE,
    BEGUN,
    CLOSE,
    COUNTS,
    CURRENT,
    DEGREE,
    FAILED,
    FIRST_CHOSEN,
    FLAGGED,
    FOUND,
    GATHER,
    GATHERED,
    HELD,
    HIGH,
    INVERSE,
    JUMP,
    KERNEL,
    LAST_CHOSEN,
    LEVEL,
    LINE,
    LOW,
    MARGIN,
    MARKED_ARRIVED,
    MARKED_SEARCHES,
    MARKED_TOUCHED,
    MEAN,
    MEDIUM,
    MEETING,
    MEMBRANE,
    MET,
    PHASE,
    POSITIVE,
    POTENTIAL,
    RATIO,
    REACH,
    RECORD,
    REPLAY,
    REPLAYED,
    SAFE_KERNEL,
    SCATTER,
    SEARCHES,
    SELECT,
    SPIKES,
    SYNAPTIC,
    TOUCHED,
    WAITING,
    WINDOW,
    factor_of,
    note,
)
from eventsim._engines.windows.bundles import (
    DELAY,
    EVEN,
    KIND,
    OF_NEURONS,
    OWN,
    RECEPTOR,
    ROW,
    SINGLE,
    THIN,
    WEIGHT,
)
from eventsim._engines.windows.charges import deliver_charges
from eventsim._layout.record import BOUND
from eventsim._layout.record import FURTHER as BEHIND
from eventsim._support.compile import inlined, inner, loop, scalar
from eventsim._support.machine import (
    SPINS,
    WIDE,
    add_at_once,
    add_to_row,
    add_wide,
    copy_wide,
    fill_wide,
    give_way,
    look_at,
    prefetch,
    publish,
)
from eventsim._support.sorting import sort_stably
from eventsim._support.types import Word
from eventsim.model.crossing import (
    TOUCHES,
    crossing_within,
    earliest_crossing,
    just_after,
    spike_time,
)
from eventsim.model.currents import crossing_of, earliest_crossing_of, flow_of
from eventsim.model.flow import exponential, flow, propagator
from eventsim.model.jumps import AT_ONCE, CHARGE, RESET, fire, hold, surpasses

__all__ = ["advance_windows", "stays_below", "stays_below_closely"]

# Of a share that has worked off a window so far: no reason to return.
GOES_ON = -1

# How far ahead is fetched: spikes of which whole rows are served, or parts; neurons to be replayed.
AHEAD, FURTHER, NEXT = 2, 4, 3

# Marks of neurons that may fire in the window, and of those whose arrivals are gathered.
FLAG, CHOSEN = 1, 2

# Neurons looked at and arrivals before a call is PAUSED; an arrival that is replayed counts as so
# many.
MOST_LOOKS, REPLAYING = 5_000_000, 10


@loop
def advance_windows(bundles, neurons, grid, times, sources, state, run, work, crew, t_stop, cap):
    """Work off the windows of one sample up to ``t_stop``, for a share; return why it stopped.

    All shares of the crew have to be called at the same time, and all return from the same window.
    The loop can be entered again where it stopped.
    """
    progress, looks = work.progress, 0
    enough = progress[ARRIVED] + MOST_LOOKS
    while True:
        looks += neurons.kind.size
        start = progress[WINDOW] * grid.width
        stop = start + grid.width
        final = stop > t_stop
        before = np.nextafter(t_stop, math.inf) if final else stop
        status = GOES_ON
        if progress[PHASE] == SELECT:
            progress[MARKED_ARRIVED] = progress[ARRIVED]
            progress[MARKED_SEARCHES] = progress[SEARCHES]
            progress[MARKED_TOUCHED] = progress[TOUCHED]
            if not _select_all(bundles, times, sources, run, start, before, work):
                status = FLIGHTS_FULL
            elif _nothing_arrives(work.flights):
                event = math.inf  # where t_stop is the start: spikes would come later
                if start < t_stop or _has_pools(neurons):
                    event = _next_event(bundles, neurons, grid, times, run, state, work, start)
                work.event[0] = -_agreed(crew, progress, -event)
                progress[PHASE] = JUMP
                if not crew.is_all:
                    return ASKS
            else:
                progress[PHASE] = SCATTER
        if progress[PHASE] == JUMP:
            event = work.event[0]
            if event > t_stop:
                _rest(neurons, state, start)
                return DONE
            progress[PHASE] = SCATTER
            if event >= stop:
                progress[WINDOW] = _jump(neurons, grid, state, start, event)
                progress[PHASE] = SELECT
                if _agreed(crew, progress, float(progress[ARRIVED] + looks - enough)) > 0.0:
                    return PAUSED
                continue
        if progress[PHASE] == SCATTER:
            work.horizon[0] = t_stop if final else stop
            if len(neurons.charging) > 0 and grid.charged:
                most = cap + 1 - progress[BEFORE]
                if deliver_charges(
                    bundles, neurons, grid, times, sources, run, state, work, crew, final, most
                ):
                    progress[PHASE] = RECORD
                else:
                    status = FOUND_FULL
            else:
                _send_all(bundles, neurons, grid, times, sources, run, start, before, work)
                if final:
                    _dismiss_finally(neurons, grid, state, work, start)
                else:
                    _dismiss(neurons, grid, state, work)
                progress[FIRST_CHOSEN], progress[LAST_CHOSEN] = 0, progress[FLAGGED]
                progress[FOUND] = 0
                progress[PHASE] = GATHER
        while status == GOES_ON and progress[PHASE] < RECORD:
            if progress[PHASE] == GATHER:
                _choose(work)
                progress[GATHERED] = 0
                if not _send_all(bundles, neurons, grid, times, sources, run, start, before, work):
                    status = ARRIVALS_FULL
                    break
                progress[REPLAYED] = progress[FIRST_CHOSEN]
                progress[PHASE] = REPLAY
            if not _replay(neurons, state, run, work, crew, start, final):
                status = FOUND_FULL
                break
            looks += REPLAYING * progress[GATHERED]
            progress[PHASE] = RECORD
            if progress[LAST_CHOSEN] < progress[FLAGGED]:
                size = progress[LAST_CHOSEN] - progress[FIRST_CHOSEN]
                progress[FIRST_CHOSEN] = progress[LAST_CHOSEN]
                progress[LAST_CHOSEN] = min(progress[FLAGGED], progress[FIRST_CHOSEN] + size)
                progress[PHASE] = GATHER
        if progress[PHASE] != CLOSE:
            _sort_found(crew, progress[FOUND])
            crew.board[COUNTS + LINE * crew.number] = progress[FOUND]
            if _agreed(crew, progress, float(status)) > GOES_ON:
                return status if status > GOES_ON else PAUSED
            if not crew.is_all:
                return MEETS
            n = 0
            for share in range(crew.size):
                n += crew.board[COUNTS + LINE * share]
            if progress[BEFORE] + n > run.time.size:
                return RECORD_FULL
            _record(run, crew, progress[BEFORE])
            progress[SPIKES] = progress[BEFORE] + n
            progress[PHASE] = CLOSE
        paused = _agreed(crew, progress, float(progress[ARRIVED] + looks - enough)) > 0.0
        _forget(work)
        if progress[SPIKES] > cap:
            return CAPPED
        if final:
            return DONE
        for k in range(progress[BEFORE], progress[SPIKES]):
            i = crew.place[run.neuron[k]]
            if i >= 0:
                state.latest[i] = k
        progress[BEFORE] = progress[SPIKES]
        progress[WINDOW] += 1
        progress[PHASE] = SELECT
        if paused:
            return PAUSED


# --- shares ---------------------------------------------------------------------------------------


@inner
def _agreed(crew, progress, vote):
    """Return the largest vote of all shares; every one waits until all have voted.

    What was written before that is seen by all after it.  There are two sheets, used by turns: a
    share that votes again has seen all votes before.
    """
    if crew.size == 1:
        return vote
    votes = crew.votes[progress[MEETING] % 2]
    progress[MEETING] += 1
    votes[LINE * crew.number] = vote
    met = look_at(crew.board, MET)
    if add_at_once(crew.board, WAITING, 1) == crew.size - 1:
        publish(crew.board, WAITING, 0)
        publish(crew.board, MET, met + 1)
    else:
        spins = 0
        while look_at(crew.board, MET) == met:
            spins += 1
            if spins > SPINS:
                if look_at(crew.board, FAILED):
                    return math.inf
                give_way()
    most = -math.inf
    for share in range(crew.size):
        most = max(most, votes[LINE * share])
    return most


# --- where nothing arrives ------------------------------------------------------------------------


@inlined
def _begin(state, i, start):
    """Return (current, potential, time) at the start of a window, or at a later release."""
    if state.level[i, 1] == HELD:
        return state.level[i, 0], RESET, state.release[i]
    return state.level[i, 0], state.level[i, 1], start


@inner
def _has_pools(neurons):
    """Tell whether there are units of pools, which fire just after the end of a run, too."""
    n = 0
    for i in range(neurons.kind.size):
        n += 1 if neurons.threshold[i] == 0.0 else 0
    return n > 0


@inner
def _next_event(bundles, neurons, grid, times, run, state, work, start):
    """Return a time before which nothing arrives and no neuron fires; all that was sent is there.

    The search ends with a neuron that may fire within the window.
    """
    event = math.inf
    for b in range(bundles.table.shape[0]):
        next_one, shortest = work.flights.last[b], bundles.span[b, 0]
        if bundles.table[b, OF_NEURONS]:
            if next_one < work.progress[SPIKES]:
                event = min(event, run.time[next_one] + shortest)
        elif next_one < times.size:
            event = min(event, times[next_one] + shortest)
    for i in range(neurons.kind.size):
        kind = neurons.kind[i]
        current, potential, begun = _begin(state, i, start)
        beta, threshold, bias = neurons.beta[kind], neurons.threshold[i], neurons.bias[i]
        if len(neurons.receptors) > 1:
            _take_currents(neurons, state.level[i], work.currents)
            lag = earliest_crossing_of(
                work.currents, potential, neurons.alpha[kind], beta, threshold, bias
            )
        else:
            alpha = neurons.alpha[kind, 0]
            lag = earliest_crossing(current, potential, alpha, beta, threshold, bias)
        event = min(event, begun + lag)
        if event < start + grid.width:
            return start
    return event


@inner
def _jump(neurons, grid, state, start, event):
    """Move all neurons to the start of the window of ``event``; return its number."""
    number = math.floor(event / grid.width)
    if number * grid.width > event:
        number -= 1
    new = number * grid.width
    for i in range(neurons.kind.size):
        kind = neurons.kind[i]
        current, potential, begun = _begin(state, i, start)
        if begun <= new:
            lag = new - begun
            current, potential = flow(
                current, potential, lag, neurons.alpha[kind, 0], neurons.beta[kind],
                neurons.bias[i],
            )  # fmt: skip
            for r in range(1, len(neurons.receptors)):
                synaptic, _, h = propagator(lag, neurons.alpha[kind, r], neurons.beta[kind])
                potential += state.level[i, LEVEL + r] * h
                state.level[i, LEVEL + r] *= synaptic
            state.level[i, 0], state.level[i, 1] = current, potential
    return number


@inner
def _rest(neurons, state, start):
    """End a run until whose end nothing happens: the states are those at the start."""
    for i in range(neurons.kind.size):
        row = state.neuron[i]
        row[0], row[1], row[2] = _begin(state, i, start)
        row[BOUND] = neurons.bound[i]
        for r in range(1, len(neurons.receptors)):
            row[BEHIND + r] = state.level[i, LEVEL + r]


# --- scatter and gather ---------------------------------------------------------------------------


@inner
def _select_all(bundles, times, sources, run, start, before, work):
    """Set the spikes of which something may arrive from ``start`` on, but ``before``.

    Return False if there is no room for so many.
    """
    for b in range(bundles.table.shape[0]):
        if bundles.table[b, OF_NEURONS]:
            spikes = run.time, run.neuron, work.progress[SPIKES]
            if not _select(bundles, b, *spikes, start, before, work.flights):
                return False
        elif not _select(bundles, b, times, sources, times.size, start, before, work.flights):
            return False
    return True


@inner
def _select(bundles, b, times, sources, size, start, before, flights):
    first, last = flights.first[b], flights.last[b]
    shortest, longest, own = bundles.span[b, 0], bundles.span[b, 1], bundles.table[b, OWN] - 1
    flights.first[b] = first = _first_not_before(times, first, size, longest, start)
    if own < 0:
        flights.last[b] = _first_not_before(times, last, size, shortest, before)
        return True
    while last < size and times[last] + shortest < before:
        if last - first >= flights.end.shape[1]:
            flights.last[b] = last
            return False
        place, row = last & (flights.end.shape[1] - 1), bundles.table[b, ROW] + sources[last]
        flights.end[own, place], flights.stop[own, place] = bundles.row[row], bundles.row[row + 1]
        if times[last] + shortest < start:
            flights.end[own, place] = _served(bundles, b, times[last], row, start)
        last += 1
    flights.last[b] = last
    return True


@inlined
def _first_not_before(times, first, size, delay, edge):
    """Return the first number from ``first`` on whose time, with a delay, is not before an edge.

    It is not far, as a rule: the steps are doubled until they lead beyond it.
    """
    low, step = first, 1
    while low + step <= size and times[low + step - 1] + delay < edge:
        low += step
        step *= 2
    high = min(low + step - 1, size)
    while low < high:
        middle = (low + high) // 2
        if times[middle] + delay < edge:
            low = middle + 1
        else:
            high = middle
    return low


@inlined
def _served(bundles, b, time, row, start):
    """Return the first synapse of a row that was not served before ``start``."""
    low, high = bundles.row[row], bundles.row[row + 1]
    shift = bundles.table[b, DELAY]
    while low < high:
        middle = (low + high) // 2
        if time + bundles.delay[shift + middle] < start:
            low = middle + 1
        else:
            high = middle
    return low


@inlined
def _nothing_arrives(flights):
    """Tell whether no bundle has spikes of which something arrives."""
    under_way = 0
    for b in range(flights.first.size):
        under_way += flights.last[b] - flights.first[b]
    return under_way == 0


@inner
def _send_all(bundles, neurons, grid, times, sources, run, start, before, work):
    """Scatter, or gather, what arrives in the window; return False if there is no room."""
    for b in range(bundles.table.shape[0]):
        if bundles.table[b, OF_NEURONS]:
            spikes = run.time, run.neuron
            if not _send(bundles, b, neurons, grid, *spikes, start, before, work):
                return False
        elif not _send(bundles, b, neurons, grid, times, sources, start, before, work):
            return False
    return True


@inner
def _send(bundles, b, neurons, grid, times, sources, start, before, work):
    """Scatter, or gather, what a bundle delivers."""
    last, gathers = work.flights.last[b], work.progress[PHASE] == GATHER
    if bundles.table[b, THIN]:
        first = work.flights.first[b]
        if gathers:
            return _gather_singles(bundles, b, times, sources, first, last, work)
        _scatter_singles(bundles, b, neurons, grid, times, sources, first, last, start, work)
        return True
    for first in range(work.flights.first[b], last, work.sources.size):
        n = min(work.sources.size, last - first)
        for k in range(n):
            work.times[k] = times[first + k]
            work.sources[k] = sources[first + k]
        if gathers:
            _list_rows(bundles, b, first, n, work)
            if not _gather_rows(bundles, b, work, n):
                return False
        elif bundles.table[b, OWN] > 0:
            _scatter_each(bundles, b, neurons, grid, first, n, start, before, work)
        else:
            _list_rows(bundles, b, first, n, work)
            _scatter_rows(bundles, b, neurons, grid, n, start, work)
    return True


@inner
def _list_rows(bundles, b, first, n, work):
    """List the deliveries of ``n`` spikes, the first of which has this number."""
    listed, flights, own = work.deliveries, work.flights, bundles.table[b, OWN] - 1
    delay = 0.0 if own >= 0 else bundles.span[b, 0]
    for k in range(n):
        listed.time[k] = work.times[k] + delay
        listed.source[k] = work.sources[k]
        if own >= 0:
            place = (first + k) & (flights.end.shape[1] - 1)
            listed.start[k], listed.stop[k] = flights.begin[own, place], flights.end[own, place]
        else:
            row = bundles.table[b, ROW] + work.sources[k]
            listed.start[k], listed.stop[k] = bundles.row[row], bundles.row[row + 1]


@inner
def _scatter_rows(bundles, b, neurons, grid, n, start, work):
    """Add a chunk of deliveries to the rows of their targets."""
    listed, sums, target = work.deliveries, work.sums, bundles.target
    kind, receptor = bundles.table[b, KIND], bundles.table[b, RECEPTOR]
    if len(neurons.charging) > 0 and receptor == CHARGE:
        shift, even, arrived = bundles.table[b, WEIGHT], bundles.table[b, EVEN], 0
        column = CURRENT + len(neurons.receptors)
        for k in range(n):
            back = exponential(neurons.beta[kind] * (listed.time[k] - start))
            for s in range(listed.start[k], listed.stop[k]):
                w = bundles.weight[shift + listed.source[k] if even else np.int64(s)]
                _add_charge(sums, target[s], column, w, back)
            arrived += np.int64(listed.stop[k]) - np.int64(listed.start[k])
        work.progress[ARRIVED] += arrived
        return
    _factors(listed, n, start, grid, kind, receptor)
    if receptor == 0:
        _add_rows(bundles, b, CURRENT, work, n)
    else:
        _add_rows(bundles, b, CURRENT + receptor, work, n)


@inlined
def _add_rows(bundles, b, column, work, n):
    """Add a chunk of deliveries with their factors; ``column`` is that of the current."""
    listed, sums, target, weight = work.deliveries, work.sums, bundles.target, bundles.weight
    shift, even, arrived = bundles.table[b, WEIGHT], bundles.table[b, EVEN], 0
    for k in range(n):
        current, potential, reach = listed.current[k], listed.potential[k], listed.reach[k]
        first, last = listed.start[k], listed.stop[k]
        arrived += np.int64(last) - np.int64(first)
        if k + AHEAD < n:
            _fetch(target, listed.start[k + AHEAD], listed.stop[k + AHEAD])
        if even:
            w = weight[shift + listed.source[k]]
            current *= w
            potential *= w
            w = max(w, 0.0)
            reach *= w
            for s in range(first, last):
                _add(sums, target[s], column, potential, w, reach, current)
        else:
            for s in range(first, last):
                w = weight[s]
                positive = max(w, 0.0)
                _add(
                    sums, target[s], column, w * potential, positive, positive * reach, w * current
                )  # fmt: skip
    work.progress[ARRIVED] += arrived


@inlined
def _add(sums, i, column, potential, positive, reach, current):
    """Add an arrival to the row of its target; ``column`` is that of the current."""
    if column == CURRENT:
        add_to_row(sums, i, potential, positive, reach, current)
    else:
        add_to_row(sums, i, potential, positive, reach, 0.0)
        sums[i, column] += current


@inlined
def _add_charge(sums, i, column, weight, back):
    """Add a charge to the row of its target; ``column`` is that of the positive ones."""
    sums[i, POTENTIAL] += weight * back
    sums[i, column] += max(weight, 0.0)


@inlined
def _fetch(target, first, last):
    """Begin to fetch the targets of a delivery: 16 of them are in a line."""
    for s in range(first, last, 16):
        prefetch(target, s)


@inner
def _scatter_each(bundles, b, neurons, grid, first, n, start, before, work):
    """Add what arrives of a chunk of spikes whose synapses have delays of their own.

    Within a row what is due comes first.
    """
    listed, flights, own = work.deliveries, work.flights, bundles.table[b, OWN] - 1
    shift, of_weight = Word(bundles.table[b, DELAY]), bundles.table[b, WEIGHT]
    even, room = bundles.table[b, EVEN], flights.end.shape[1] - 1
    for k in range(first, first + n):
        flights.begin[own, k & room] = flights.end[own, k & room]
    k, chunk = 0, Word(work.sources.size)
    while k < n:
        size = Word(0)
        while k < n and size < chunk:
            time, place = work.times[k], (first + k) & room
            s, stop = Word(flights.end[own, place]), Word(flights.stop[own, place])
            _fetch_next(bundles, b, flights.end[own, (first + k + FURTHER) & room])
            weight = bundles.weight[of_weight + work.sources[k]] if even else 0.0
            while s < stop and size < chunk:
                due = add_wide(bundles.delay, shift + s, time, before, listed.time, size)
                due = min(due, stop - s)
                copy_wide(bundles.target, s, listed.target, size)
                if even:
                    fill_wide(weight, listed.weight, size)
                else:
                    copy_wide(bundles.weight, s, listed.weight, size)
                size += due
                s += due
                if due < Word(WIDE):
                    break
            flights.end[own, place] = s
            k += 1 if size < chunk else 0  # the rest of the row comes with the next chunk
        _scatter(bundles, b, neurons, grid, size, start, work)


@inlined
def _fetch_next(bundles, b, s):
    """Begin to fetch what is next to be served of a row, from synapse ``s`` on."""
    prefetch(bundles.target, s)
    for j in range(0, 16, 8):
        prefetch(bundles.delay, bundles.table[b, DELAY] + s + j)


@inlined
def _scatter_singles(bundles, b, neurons, grid, times, sources, begin, end, start, work):
    """Add what spikes send by one synapse each, or by none."""
    listed, chunk, delay = work.deliveries, work.sources.size, bundles.span[b, 0]
    of_weight, single = Word(bundles.table[b, WEIGHT]), Word(bundles.table[b, SINGLE])
    missing = neurons.kind.size
    for first in range(begin, end, chunk):
        size = Word(0)
        for k in range(Word(first), Word(min(first + chunk, end))):
            source = Word(sources[k])
            i = bundles.target[single + source]
            listed.time[size] = times[k] + delay
            listed.target[size] = i
            listed.weight[size] = bundles.weight[of_weight + source]
            size += Word(i != missing)  # no branch: half of them may be of other shares
        _scatter(bundles, b, neurons, grid, size, start, work)


@inlined
def _scatter(bundles, b, neurons, grid, size, start, work):
    """Add deliveries by one synapse each to the rows of their targets."""
    listed, sums = work.deliveries, work.sums
    kind, receptor = bundles.table[b, KIND], bundles.table[b, RECEPTOR]
    work.progress[ARRIVED] += np.int64(size)
    if len(neurons.charging) > 0 and receptor == CHARGE:
        column = CURRENT + len(neurons.receptors)
        for k in range(size):
            back = exponential(neurons.beta[kind] * (listed.time[k] - start))
            _add_charge(sums, listed.target[k], column, listed.weight[k], back)
        return
    _factors(listed, np.int64(size), start, grid, kind, receptor)
    column = CURRENT + receptor
    for k in range(size):
        w = listed.weight[k]
        positive = max(w, 0.0)
        _add(
            sums, listed.target[k], column, w * listed.potential[k], positive,
            positive * listed.reach[k], w * listed.current[k],
        )  # fmt: skip


@inlined
def _gather_singles(bundles, b, times, sources, first, last, work):
    """Add what spikes send by one synapse each to the lists; return False if they are full."""
    arrivals, size, delay = work.arrivals, work.progress[GATHERED], bundles.span[b, 0]
    of_weight, single = Word(bundles.table[b, WEIGHT]), Word(bundles.table[b, SINGLE])
    for k in range(Word(first), Word(last)):
        source = Word(sources[k])
        i = bundles.target[single + source]
        if work.flag[i] == CHOSEN:
            if size == arrivals.time.size:
                return False
            _list(work, size, i, times[k] + delay, bundles.weight[of_weight + source])
            if arrivals.receptor.size > 0:
                arrivals.receptor[size] = bundles.table[b, RECEPTOR]
            size += 1
    work.progress[GATHERED] = size
    return True


@inlined
def _list(work, place, i, time, weight):
    """Put an arrival at the head of the list of a neuron."""
    arrivals = work.arrivals
    arrivals.time[place] = time
    arrivals.weight[place] = weight
    arrivals.following[place] = arrivals.head[i]
    arrivals.head[i] = place


@inner
def _factors(deliveries, n, start, grid, kind, receptor):
    """Set what a unit arrival adds: current, potential at ``start``, reach at the window's end."""
    degree = grid.kind[kind, receptor, DEGREE]
    if degree == LOW:
        _sum_series(deliveries, n, start, grid, kind, receptor, LOW)
    elif degree == MEDIUM:
        _sum_series(deliveries, n, start, grid, kind, receptor, MEDIUM)
    else:
        _sum_series(deliveries, n, start, grid, kind, receptor, HIGH)


@inlined
def _sum_series(deliveries, n, start, grid, kind, receptor, degree):
    """Do it by series of a literal degree, about the middle of the window: no branch, so vectors.

    `eventsim._engines.windows.host.factor_series` has their coefficients.
    """
    half, series = 0.5 * grid.width, grid.series[kind, receptor]
    middle, inverse = start + half, 1.0 / half
    safe, membrane = grid.kind[kind, receptor, SAFE_KERNEL], grid.kind[kind, receptor, MEMBRANE]
    for k in range(n):
        time = deliveries.time[k]
        z = (time - middle) * inverse
        p, g = series[0, degree], series[1, degree]
        for j in range(degree):
            p = p * z + series[0, degree - 1 - j]
            g = g * z + series[1, degree - 1 - j]
        q = (start - time) * g
        deliveries.current[k] = p
        deliveries.potential[k] = q
        deliveries.reach[k] = p * safe + q * membrane


@inner
def _choose(work):
    """Mark the flagged neurons whose arrivals are gathered; none has any as yet."""
    first, last = work.progress[FIRST_CHOSEN], work.progress[LAST_CHOSEN]
    for f in range(work.progress[FLAGGED]):
        i = work.flagged[f]
        work.flag[i] = CHOSEN if first <= f < last else FLAG
        work.arrivals.head[i] = -1


@inner
def _gather_rows(bundles, b, work, n):
    """Add a chunk of deliveries to the lists of chosen targets; return False if they are full."""
    listed, target, flag = work.deliveries, bundles.target, work.flag
    wide = Word(WIDE)
    for k in range(n):
        start, stop = listed.start[k], listed.stop[k]
        rest = start + (stop - start) // wide * wide
        for s in range(start, rest, wide):
            marks = 0
            for j in range(wide):
                marks |= flag[target[s + j]]
            if marks & CHOSEN and not _gather_some(bundles, b, work, k, s, s + wide):
                return False
        marks = 0
        for j in range(wide):  # those that belong to the next row do not count
            marks |= flag[target[rest + j]]
        if marks & CHOSEN and not _gather_some(bundles, b, work, k, rest, stop):
            return False
    return True


@inner
def _gather_some(bundles, b, work, k, first, last):
    """Add some synapses of a delivery to the lists."""
    arrivals, size = work.arrivals, work.progress[GATHERED]
    shift, even = bundles.table[b, WEIGHT], bundles.table[b, EVEN]
    for s in range(first, last):
        i = bundles.target[s]
        if work.flag[i] == CHOSEN:
            if size == arrivals.time.size:
                return False
            time, source = work.deliveries.time[k], work.deliveries.source[k]
            if bundles.table[b, OWN] > 0:
                time += bundles.delay[bundles.table[b, DELAY] + np.int64(s)]
            weight = bundles.weight[shift + source if even else np.int64(s)]
            _list(work, size, i, time, weight)
            if arrivals.receptor.size > 0:
                arrivals.receptor[size] = bundles.table[b, RECEPTOR]
            size += 1
    work.progress[GATHERED] = size
    return True


# --- dismiss --------------------------------------------------------------------------------------


@scalar
def stays_below(begun, potential, positive, reach, threshold, holding, ratio, inverse):
    """Tell, for nearly all, that a neuron cannot fire in the window: the proof is on top.

    ``begun`` is the most that the current at the start can be within the window, here all the time.
    """
    first = begun + positive * (1.0 + MARGIN) - holding
    second = max(begun - holding, 0.0) + reach * inverse
    return min(first, second) < ratio * (threshold - potential)


@scalar
def stays_below_closely(begun, mean, potential, reach, threshold, holding, ratio, inverse):
    """Tell it by the second bound as it is proved, which leaves out more; ``mean`` is that of I."""
    drive = max(max(mean - holding, 0.5 * (begun - holding)), 0.0)
    return drive + reach * inverse < ratio * (threshold - potential)


@inlined
def _cannot_fire(neurons, level, kind, raised, positive, reach, threshold, holding, ratio, inverse):
    """Tell whether a neuron provably cannot fire in the window."""
    begun = _most(neurons, level, kind)
    return _is_low(neurons, raised, threshold) and (
        stays_below(begun, raised, positive, reach, threshold, holding, ratio, inverse)
        or stays_below_closely(
            begun, _mean(neurons, level, kind), raised, reach, threshold, holding, ratio, inverse
        )
    )


@inlined
def _most(neurons, level, kind):
    """Return the most that the currents at the start can be within the window."""
    current = level[0]
    if len(neurons.receptors) == 1:
        return max(current, 0.0) * (1.0 + MARGIN)
    most = current * (1.0 + MARGIN if current > 0.0 else kind[0, SYNAPTIC] * (1.0 - MARGIN))
    for r in range(1, len(neurons.receptors)):
        current = level[LEVEL + r]
        most += current * (1.0 + MARGIN if current > 0.0 else kind[r, SYNAPTIC] * (1.0 - MARGIN))
    return most


@inlined
def _mean(neurons, level, kind):
    """Return the most that the currents at the start can be on the average over the window."""
    current = level[0]
    if len(neurons.receptors) == 1:
        return max(current, 0.0) * kind[0, MEAN]
    mean = current * (kind[0, MEAN] if current > 0.0 else kind[0, SYNAPTIC] * (1.0 - MARGIN))
    for r in range(1, len(neurons.receptors)):
        current = level[LEVEL + r]
        mean += current * (kind[r, MEAN] if current > 0.0 else kind[r, SYNAPTIC] * (1.0 - MARGIN))
    return mean


@inlined
def _raised(neurons, sums, potential, kind):
    """Return the potential at the start with as much more as charges may add, seen from the end."""
    if len(neurons.charging) == 0:
        return potential
    charges = sums[CURRENT + len(neurons.receptors)]
    return potential + charges / kind[0, MEMBRANE] * (1.0 + MARGIN)


@inlined
def _is_low(neurons, raised, threshold):
    """Tell whether charges alone cannot bring a neuron to its threshold."""
    return len(neurons.charging) == 0 or raised < threshold


@inner
def _dismiss(neurons, grid, state, work):
    """Move the neurons that stay below threshold to the end of the window, and flag the others."""
    work.progress[FLAGGED] = 0
    for q in range(grid.ranges.shape[0]):
        if grid.step == 0:
            _dismiss_range(q, Word(0), neurons, grid, state, work)
        else:
            _dismiss_range(q, Word(1), neurons, grid, state, work)


@inlined
def _dismiss_range(q, step, neurons, grid, state, work):
    """Do it for neurons of one kind; a literal ``step`` takes constants out of the loop."""
    level, sums, flagged = state.level, work.sums, work.progress[FLAGGED]
    kind = grid.kind[grid.ranges[q, 2]]
    window, h = float(work.progress[WINDOW]), kind[0, KERNEL]
    synaptic, membrane = factor_of(kind[0], SYNAPTIC, window), factor_of(kind[0], MEMBRANE, window)
    for r in range(1, len(neurons.receptors)):
        work.currents[r] = factor_of(kind[r], SYNAPTIC, window)
    ratio, inverse = kind[0, RATIO], kind[0, INVERSE]
    threshold, holding, push = grid.threshold[0], grid.holding[0], grid.push[0]
    for i in range(np.uint64(grid.ranges[q, 0]), np.uint64(grid.ranges[q, 1])):
        if step > 0:
            threshold, holding, push = grid.threshold[i], grid.holding[i], grid.push[i]
        potential = level[i, 1]
        positive, reach = sums[i, POSITIVE], sums[i, REACH]
        raised = _raised(neurons, sums[i], potential, kind)
        later_current = level[i, 0] + sums[i, CURRENT]
        later = potential + sums[i, POTENTIAL]
        sums[i, CURRENT] = 0.0
        sums[i, POTENTIAL] = 0.0
        sums[i, POSITIVE] = 0.0
        sums[i, REACH] = 0.0
        if _cannot_fire(
            neurons, level[i], kind, raised, positive, reach, threshold, holding, ratio, inverse
        ):
            level[i, 0] = later_current * synaptic
            later = later * membrane + later_current * h + push
            for r in range(1, len(neurons.receptors)):
                own = level[i, LEVEL + r] + sums[i, CURRENT + r]
                later += own * kind[r, KERNEL]
                level[i, LEVEL + r] = own * work.currents[r]
            level[i, 1] = later
        else:
            work.flag[i] = FLAG
            work.flagged[flagged] = i
            flagged += 1
        for r in range(1, len(neurons.receptors) + len(neurons.charging)):
            sums[i, CURRENT + r] = 0.0
    work.progress[FLAGGED] = flagged


@inner
def _dismiss_finally(neurons, grid, state, work, start):
    """Do the same in the window in which the run ends, but keep the state at its start."""
    level, sums, rows = state.level, work.sums, state.neuron
    flagged = 0
    for i in range(neurons.kind.size):
        kind = grid.kind[neurons.kind[i]]
        c = i * grid.step
        raised = _raised(neurons, sums[i], level[i, 1], kind)
        if _cannot_fire(
            neurons, level[i], kind, raised, sums[i, POSITIVE], sums[i, REACH], grid.threshold[c],
            grid.holding[c], kind[0, RATIO], kind[0, INVERSE],
        ):  # fmt: skip
            rows[i, 0] = level[i, 0] + sums[i, CURRENT]
            rows[i, 1] = level[i, 1] + sums[i, POTENTIAL]
            rows[i, 2] = start
            rows[i, BOUND] = neurons.bound[i]
            for r in range(1, len(neurons.receptors)):
                rows[i, BEHIND + r] = level[i, LEVEL + r] + sums[i, CURRENT + r]
        else:
            work.flag[i] = FLAG
            work.flagged[flagged] = i
            flagged += 1
        for column in range(sums.shape[1]):
            sums[i, column] = 0.0
    work.progress[FLAGGED] = flagged


# --- replay ---------------------------------------------------------------------------------------


@inner
def _replay(neurons, state, run, work, crew, start, final):
    """Take each chosen neuron through its arrivals; return False if a spike finds no room."""
    progress, horizon, arrivals, currents = (
        work.progress, work.horizon[0], work.arrivals, work.currents
    )  # fmt: skip
    several, found, before = len(neurons.receptors) > 1, crew.found, progress[BEFORE]
    for f in range(progress[REPLAYED], progress[LAST_CHOSEN]):
        i = work.flagged[f]
        _fetch_neuron(neurons, state, work, min(f + NEXT, progress[LAST_CHOSEN] - 1))
        kind = neurons.kind[i]
        alphas, beta, bias = neurons.alpha[kind], neurons.beta[kind], neurons.bias[i]
        alpha = alphas[0]
        threshold, refractory = neurons.threshold[i], neurons.refractory[i]
        first = _sorted_arrivals(work, i)
        current, potential, now = _begin(state, i, start)
        if several or len(neurons.charging) > 0:
            _take_currents(neurons, state.level[i], currents)
        number, spikes, searches, touched = state.latest[i], progress[FOUND], 0, 0
        begun, charged = spikes, False
        for a in range(first, work.order.size + 1):
            e = work.order[a] if a < work.order.size else -1
            until = arrivals.time[e] if e >= 0 else horizon
            if e < 0 and threshold == 0.0 and final:
                until = just_after(horizon)  # what comes at the end sets a pool off
            if len(neurons.charging) > 0 and charged and (e < 0 or until > now):
                # All charges of the same time are there.
                charged = False
                decided = surpasses(potential, threshold, abs(potential))
                touched += 1 if decided == 0 else 0
                if decided > 0:
                    if spikes == found.time.shape[1]:
                        progress[REPLAYED], progress[BEGUN] = f, begun
                        progress[FOUND] = spikes
                        return False
                    current = hold(current, refractory, alpha)
                    for r in range(len(neurons.receptors)):
                        currents[r] = hold(currents[r], refractory, alphas[r])
                    number = before + spikes
                    note(crew, spikes, now, i, AT_ONCE, _sum(currents) if several else current)
                    spikes += 1
                    now, potential = now + refractory, RESET
            while now <= until and not charged:
                again = math.inf
                if several:
                    lag, slope, again = crossing_of(
                        until - now, currents, potential, alphas, beta, threshold, bias,
                        work.scratch,
                    )  # fmt: skip
                else:
                    lag, slope = crossing_within(
                        until - now, current, potential, alpha, beta, threshold, bias
                    )
                searches += 1
                # A spike lies strictly after the event that releases it, if only by rounding.
                spike = spike_time(now, lag)
                if spike > until:
                    break
                if slope == TOUCHES:
                    touched += 1
                    again = max(now + again, just_after(spike))
                    if again > until:
                        break
                    potential = flow_of(currents, potential, again - now, alphas, beta, bias)
                    now = again
                    continue
                if spikes == found.time.shape[1]:
                    progress[REPLAYED], progress[BEGUN] = f, begun
                    progress[FOUND] = spikes
                    return False
                held = (spike - now) + refractory
                now, current, potential = fire(
                    spike, slope, alpha, beta, threshold, bias, refractory
                )
                if several:
                    for r in range(len(neurons.receptors)):
                        currents[r] = hold(currents[r], held, alphas[r])
                number = before + spikes
                note(crew, spikes, spike, i, slope, _sum(currents) if several else current)
                spikes += 1
            if now < until:
                if several:
                    potential = flow_of(currents, potential, until - now, alphas, beta, bias)
                else:
                    current, potential = flow(current, potential, until - now, alpha, beta, bias)
                now = until
            if e >= 0:
                weight = arrivals.weight[e]
                r = arrivals.receptor[e] if several or len(neurons.charging) > 0 else 0
                if len(neurons.charging) > 0 and r == CHARGE:
                    if now <= until:
                        potential += weight
                        charged = True
                    continue
                if now > until:
                    weight = hold(weight, now - until, alphas[r])
                current += weight
                if several:
                    currents[r] += weight
                if now > until:
                    released = _sum(currents) if several else current
                    if number < before:
                        run.released[number] = released
                    else:
                        found.released[crew.number, number - before] = released
        progress[FOUND] = spikes
        progress[SEARCHES] += searches
        progress[TOUCHED] += touched
        current = currents[0] if several else current
        if final:
            row = state.neuron[i]
            row[0], row[1], row[2], row[BOUND] = current, potential, now, neurons.bound[i]
            for r in range(1, len(neurons.receptors)):
                row[BEHIND + r] = currents[r]
        else:
            state.level[i, 0] = current
            state.level[i, 1] = HELD if now > horizon else potential
            state.release[i] = now
            for r in range(1, len(neurons.receptors)):
                state.level[i, LEVEL + r] = currents[r]
    return True


@inlined
def _fetch_neuron(neurons, state, work, f):
    """Begin to fetch what the replay of a flagged neuron begins with."""
    i = work.flagged[f]
    prefetch(work.arrivals.head, i)
    prefetch(state.latest, i)
    prefetch(neurons.threshold, i)
    prefetch(neurons.bias, i)
    prefetch(neurons.refractory, i)
    prefetch(state.level.reshape(state.level.size), i * state.level.shape[1])


@inlined
def _take_currents(neurons, level, currents):
    """Copy the currents of all receptors at the start of a window, or at a later release."""
    currents[0] = level[0]
    for r in range(1, len(neurons.receptors)):
        currents[r] = level[LEVEL + r]


@inlined
def _sum(values):
    total = 0.0
    for value in values:
        total += value
    return total


@inlined
def _sorted_arrivals(work, i):
    """Put the arrivals of neuron ``i`` at the end of ``order``, by time; return where they begin.

    Arrivals of the same time stay in the order of the spikes that cause them.
    """
    first = work.order.size
    e = work.arrivals.head[i]
    while e >= 0:
        first -= 1
        work.order[first] = e
        e = work.arrivals.following[e]
    sort_stably(work.arrivals.time, work.order, work.spare, first, work.order.size)
    return first


@inner
def _sort_found(crew, n):
    """Put the ``n`` spikes that a share has found in order: by time, and so by (time, neuron)."""
    order = crew.order[crew.number]
    for k in range(n):
        order[k] = k
    sort_stably(crew.found.time[crew.number], order, crew.spare[crew.number], np.int64(0), n)


@inner
def _record(run, crew, before):
    """Put the spikes that a share has found where they belong behind those ``before``.

    Of the same time those of the first share come first: its neurons have the lower numbers.
    """
    found, order, own, passed = crew.found, crew.order, crew.number, crew.spare[crew.number]
    for share in range(crew.size):
        passed[share] = 0
    for k in range(crew.board[COUNTS + LINE * own]):
        spike = order[own, k]
        place, time = before + k, found.time[own, spike]
        for share in range(crew.size):
            if share != own:
                n = passed[share]
                while n < crew.board[COUNTS + LINE * share]:
                    other = found.time[share, order[share, n]]
                    if other > time or (other == time and share > own):
                        break
                    n += 1
                passed[share] = n
                place += n
        run.time[place] = time
        run.neuron[place] = found.neuron[own, spike]
        run.slope[place] = found.slope[own, spike]
        run.released[place] = found.released[own, spike]


@inner
def _forget(work):
    """Forget which neurons were flagged."""
    for f in range(work.progress[FLAGGED]):
        work.flag[work.flagged[f]] = 0
        work.arrivals.head[work.flagged[f]] = -1
