"""The window engine: networks whose neurons act on each other with a positive delay.

`eventsim._engines.windows.loop` is the loop; this module prepares it, lets its arrays grow, and
tells where it applies.  The width of a window is limited by the shortest delay between neurons
(what arrives in a window was sent before it) and by half of the shortest time constant.
"""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal, localcontext
from typing import NamedTuple

import numpy as np

from eventsim._engines.base import Excess, Job, batch_result
from eventsim._engines.parts import carried_from
from eventsim._engines.scheduler import host as scheduler
from eventsim._engines.scheduler.loop import SchedulerState
from eventsim._engines.status import ARRIVALS_FULL, CAPPED, DONE, ORDER_FULL, PAUSED
from eventsim._engines.windows.loop import (
    ARRIVED,
    BEFORE,
    BEGUN,
    FIRST_CHOSEN,
    FIRST_INPUT,
    FIRST_SPIKE,
    HELD,
    LAST_CHOSEN,
    MARGIN,
    MARKED_ARRIVED,
    MARKED_SEARCHES,
    MARKED_TOUCHED,
    N_PROGRESS,
    REPLAYED,
    SEARCHES,
    SPIKES,
    TOUCHED,
    WINDOW,
    Arrivals,
    Deliveries,
    Grid,
    Senders,
    WindowState,
    Work,
    advance_windows,
)
from eventsim._layout.record import FURTHER, N_COUNTS, REFERENCE, Record, end_to_end, new_record
from eventsim._layout.wiring import Compiled, Neurons, Wiring, compiled_form, kept_by
from eventsim._support.threads import for_each_part, stop_if_told
from eventsim._support.types import FloatArray, Int32Array, IntArray
from eventsim.model.currents import scratch_shape
from eventsim.model.flow import bias_kernel, propagator
from eventsim.network import Network
from eventsim.result import BatchResult, begun_from
from eventsim.start import Start

__all__ = ["carried", "obstacle", "pays", "run"]

LARGEST_LAG = 0.5  # times the faster rate: the series of the loop are exact to rounding up to it
DIGITS = 20  # bits of the width: its multiples are exact
LAST_WINDOW = 2**32  # multiples of the width are exact up to it
MOST_WINDOWS = 10**8  # of a run: some are empty and cost nothing, but nobody waits for more
CHUNK = 1024
MOST_ARRIVALS = 2**21  # gathered at a time, unless a single neuron has more


# --- where the engine applies ---------------------------------------------------------------------


def window_width(compiled: Compiled) -> float:
    """Return the width of the windows; ``inf`` if neither a delay nor a time constant limits it."""
    neurons, wiring = compiled.neurons, compiled.wiring
    split = wiring.first_group[compiled.n_inputs]
    rate = max(neurons.alpha.max(), neurons.beta.max())
    width = min(wiring.delay[split:].min(initial=np.inf), LARGEST_LAG / rate if rate else np.inf)
    if width == np.inf:
        return width
    digits, exponent = math.frexp(width)
    return math.ldexp(math.floor(digits * 2**DIGITS), exponent - DIGITS)


class Form(NamedTuple):
    """A network as windows run it, but for its weights."""

    grid: Grid
    inputs: Senders
    outputs: Senders


@kept_by("structure")
def _width(network: Network) -> float:
    return window_width(compiled_form(network))


@kept_by("structure")
def _form(network: Network) -> Form:
    compiled, n_inputs = compiled_form(network), compiled_form(network).n_inputs
    n_sources = n_inputs + compiled.n_neurons
    senders = _senders(compiled, 0, n_inputs), _senders(compiled, n_inputs, n_sources)
    return Form(_grid(compiled), *senders)


def obstacle(job: Job) -> str | None:
    """Return why the window engine cannot do this job, as an error message; None if it can."""
    if job.until_fired is not None:
        return (
            f"engine 'windows' cannot stop early: until_fired must be None, got {job.until_fired!r}"
        )
    compiled, t_stop = compiled_form(job.network), job.t_stop
    t_start = 0.0 if job.old is None else float(job.old.ends.max())
    width = _width(job.network)
    if width == 0.0:
        return (
            "engine 'windows' needs delays > 0 of all synapses between neurons, "
            f"got a smallest one of {_shortest_delay(compiled)!r}"
        )
    if width == np.inf:
        return (
            "engine 'windows' needs a delay between neurons or a finite time constant, got neither"
        )
    for begun, most in ((0.0, LAST_WINDOW), (t_start, MOST_WINDOWS)):
        if (t_stop - begun) / width > most:
            return (
                f"engine 'windows' cannot do more than {most} windows of {width} (the shortest "
                f"delay, or half of the shortest time constant), got t_stop {t_stop!r}"
            )
    return None


def _shortest_delay(compiled: Compiled) -> float:
    split = compiled.wiring.first_group[compiled.n_inputs]
    return float(compiled.wiring.delay[split:].min())


def pays(job: Job) -> bool:
    """Tell whether windows can be expected to beat the scheduler.

    The cost of a window is that of its pass over all neurons, each a tenth of that of an arrival.
    So windows pay from 200 neurons on, if one neuron in ten would receive a spike in an average
    window when every source fired once in ten (slower) time constants.  Neurons of more than 8
    kinds, or mixed ones, would each need a pass of their own.
    """
    compiled = compiled_form(job.network)
    neurons, wiring = compiled.neurons, compiled.wiring
    n = neurons.kind.size
    if n < 200 or neurons.beta.size > 8 or 16 * len(_ranges(neurons.kind)) > n + 64:
        return False
    pace = np.minimum(neurons.alpha.min(axis=1), neurons.beta).max()
    return bool(wiring.weight.size / n * window_width(compiled) * pace / 10.0 >= 0.1)


# --- preparation ----------------------------------------------------------------------------------


def _ranges(kind: Int32Array) -> IntArray:
    """Return (first, one past the last, kind) of neurons of one kind that follow each other."""
    edges = np.flatnonzero(np.diff(kind)) + 1
    first, last = np.append(0, edges), np.append(edges, kind.size)
    return np.stack([first, last, kind[first]], axis=1).astype(np.int64)


def _grid(compiled: Compiled) -> Grid:
    neurons, width = compiled.neurons, window_width(compiled)
    kinds = [
        [_kind_row(a, b, width) for a in alphas]
        for alphas, b in zip(neurons.alpha, neurons.beta, strict=True)
    ]
    fires = np.isfinite(neurons.threshold)
    beta = neurons.beta[neurons.kind]
    holding = np.full(fires.size, np.inf)
    holding[fires] = beta[fires] * neurons.threshold[fires] - neurons.bias[fires]
    holding[fires] -= MARGIN * np.abs(holding[fires])
    push = np.array([bias_kernel(width, b) for b in neurons.beta])[neurons.kind] * neurons.bias
    columns = [neurons.threshold, holding, push]
    alike = all(np.all(column == column[0]) for column in columns)
    columns = [np.ascontiguousarray(column[:1] if alike else column) for column in columns]
    return Grid(width, np.array(kinds), _ranges(neurons.kind), 0 if alike else 1, *columns)


def _kind_row(alpha: float, beta: float, width: float) -> tuple[float, ...]:
    """Return the row of `Grid.kind` of a receptor of a kind."""
    synaptic, membrane, h = propagator(width, alpha, beta)
    b = bias_kernel(width, beta)
    fast = 1.0 if alpha >= beta else 0.0
    safe = h * (1.0 + MARGIN)
    ratio, inverse = membrane / b * (1.0 - MARGIN), (1.0 + MARGIN) / b
    slow, spread = min(alpha, beta), abs(alpha - beta)
    (synaptic, *synaptic_rest), (membrane, *membrane_rest) = (
        _fall(r, width) for r in (alpha, beta)
    )
    return (
        synaptic, membrane, h, safe, ratio, inverse, slow, spread, fast, *synaptic_rest,
        *membrane_rest,
    )  # fmt: skip


def _fall(rate: float, width: float) -> tuple[float, float, float]:
    """Return the number below ``exp(-rate width)``, the step to the next one, and how far it is.

    ``loop.window_factor`` takes one of the two.
    """
    with localcontext() as context:
        context.prec = 60
        exact = (-Decimal(rate) * Decimal(width)).exp()
        below = float(exact)
        below = math.nextafter(below, 0.0) if Decimal(below) > exact else below
        step = math.nextafter(below, 2.0) - below
        return below, step, float((exact - Decimal(below)) / Decimal(step))


def _senders(compiled: Compiled, first: int, last: int) -> Senders:
    """Return the `Senders` of the sources ``first : last``."""
    wiring = compiled.wiring
    groups = slice(wiring.first_group[first], wiring.first_group[last])
    delay, kind, receptor = wiring.delay[groups], wiring.kind[groups], wiring.receptor[groups]
    if delay.size == 0:
        return Senders(first, np.inf, np.inf, 0, 0, np.zeros(last - first + 1, dtype=np.int64))
    shortest, longest = float(delay.min()), float(delay.max())
    start, stop = wiring.start[groups], wiring.stop[groups]
    counts = np.diff(wiring.first_group[first : last + 1])
    alike = (
        shortest == longest
        and np.all(kind == kind[0])
        and np.all(receptor == receptor[0])
        and np.all(counts <= 1)
    )
    if not (alike and np.array_equal(start[1:], stop[:-1])):
        return Senders(first, shortest, longest, -1, 0, np.empty(0, dtype=np.int64))
    row = np.append(start, stop[-1])[np.append(0, np.cumsum(counts))]
    return Senders(first, shortest, longest, int(kind[0]), int(receptor[0]), row)


def _new_work(neurons: Neurons, n_arrivals: int = 4096) -> Work:
    """Return scratch arrays."""
    n_neurons, n_receptors = neurons.kind.size, len(neurons.receptors)
    columns = 3 + n_receptors + len(neurons.charging)
    deliveries = Deliveries(
        np.empty(CHUNK),
        np.empty(CHUNK, dtype=np.uint64),
        np.empty(CHUNK, dtype=np.uint64),
        *[np.empty(CHUNK) for _ in range(3)],
    )
    return Work(
        sums=_aligned_rows(n_neurons, 4 if columns == 4 else 8 * -(-columns // 8)),
        flag=np.zeros(n_neurons, dtype=np.uint8),
        flagged=np.empty(n_neurons, dtype=np.int32),
        times=np.empty(CHUNK),
        sources=np.empty(CHUNK, dtype=np.int64),
        deliveries=deliveries,
        arrivals=_room(np.full(n_neurons, -1, dtype=np.int32), n_arrivals, columns > 4),
        order=np.empty(n_arrivals, dtype=np.int32),
        spare=np.empty(n_arrivals, dtype=np.int32),
        cursor=np.zeros(2, dtype=np.int64),
        progress=np.zeros(N_PROGRESS, dtype=np.int64),
        horizon=np.zeros(1),
        currents=np.zeros(n_receptors),
        scratch=np.empty(scratch_shape(n_receptors)),
    )


def _aligned_rows(n: int, width: int) -> FloatArray:
    """Return zeroed rows of so many numbers, in as few cache lines as can be."""
    flat = np.zeros(width * n + 8)
    skip = -flat.ctypes.data % 64 // 8
    return flat[skip : skip + width * n].reshape(n, width)


def _room(head: Int32Array, n: int, several: bool) -> Arrivals:
    receptor = np.empty(n if several else 0, dtype=np.int8)
    return Arrivals(head, np.empty(n), np.empty(n), receptor, np.empty(n, dtype=np.int32))


def _new_state(neurons: Neurons, start: Start) -> WindowState:
    """Return the state of a batch at its start."""
    n, n_samples = neurons.kind.size, start.n_samples
    return WindowState(
        neuron=np.zeros((n_samples, n, FURTHER + len(neurons.receptors))),
        level=_levels(start),
        release=np.zeros((n_samples, n)),
        latest=np.full((n_samples, n), -1, dtype=np.int32),
        count=np.zeros((n_samples, N_COUNTS), dtype=np.int64),
        mark=np.zeros((n_samples, N_COUNTS), dtype=np.int64),
    )


def _levels(start: Start) -> FloatArray:
    """Return the currents and potentials at the start, of all samples."""
    states = start.states
    return np.broadcast_to(states, (start.n_samples, *states.shape[1:])).copy()


# --- a run ----------------------------------------------------------------------------------------


class Task(NamedTuple):
    """What is the same for all samples of a run."""

    wiring: Wiring
    neurons: Neurons
    grid: Grid
    inputs: Senders
    outputs: Senders
    t_stop: float
    max_spikes: int


def run(job: Job) -> tuple[BatchResult, Excess]:
    """Run all samples, or those up to the first one that exceeds the cap."""
    if job.old is not None and isinstance(job.old.state, SchedulerState):
        return _run_from_within(job, job.old)
    compiled, given, old = compiled_form(job.network), job.given, job.old
    if old is None:
        state = _new_state(compiled.neurons, given.start)
        records = [new_record(0)] * given.n_samples
    else:
        state, records = _resumed(old)
    task = Task(
        compiled.wiring._replace(target=compiled.wiring.target.view(np.uint32)),
        compiled.neurons,
        *_form(job.network),
        job.t_stop,
        job.max_spikes,
    )
    ends, excess = np.full(given.n_samples, job.t_stop), Excess()

    def run_part(first: int, last: int) -> None:
        work = _new_work(compiled.neurons)
        for k in range(first, last):
            if any(number < k for number in list(excess)):
                return  # the run will end with that one
            part = slice(given.offsets[k], given.offsets[k + 1])
            one = WindowState._make(array[k] for array in state)
            spikes = given.times[part], given.sources[part]
            records[k], work, beyond = _run_sample(task, spikes, one, records[k], work)
            if beyond is not None:
                excess[k], ends[k] = beyond, beyond[1]
                _begin_anew(one, given.start.of(np.array([k])))

    for_each_part(run_part, given.n_samples, job.threads)
    if excess:
        last = min(excess)
        excess, records, ends = {last: excess[last]}, records[: last + 1], ends[: last + 1]
    state = WindowState._make(array[: ends.size] for array in state)
    return batch_result(job, ends, end_to_end(records), state), excess


def _run_sample(
    task: Task, spikes: tuple[FloatArray, IntArray], state: WindowState, record: Record, work: Work
) -> tuple[Record, Work, tuple[int, float] | None]:
    """Run one sample; return its spikes, the work arrays, and the spike beyond the cap."""
    progress, kept = work.progress, int(state.mark[0])
    room = max(kept // 8, min(2 * task.neurons.kind.size, task.max_spikes + 1 - kept))
    capacity = kept + max(64, room)
    run = Record._make(array.copy() for array in record)
    _resize(run, capacity)
    progress[:] = 0
    progress[SPIKES] = progress[BEFORE] = kept
    _, progress[ARRIVED], progress[SEARCHES], progress[TOUCHED], progress[WINDOW] = state.mark[:5]
    start = progress[WINDOW] * task.grid.width
    for entry, senders, times in (
        (FIRST_INPUT, task.inputs, spikes[0]),
        (FIRST_SPIKE, task.outputs, run.time[:kept]),
    ):
        # All that was sent before has arrived; less a margin, since the loop adds in another order.
        first = np.searchsorted(
            times, (start - senders.longest) * (1.0 - MARGIN) - senders.longest * MARGIN
        )
        progress[entry] = progress[entry + 1] = first
    while True:
        status = advance_windows(*task[:5], *spikes, state, run, work, task.t_stop, task.max_spikes)
        if status in (DONE, CAPPED):
            break
        stop_if_told()
        if status != PAUSED:
            work = _with_room(task, run, work, status)
    n_inputs = np.searchsorted(spikes[0], task.t_stop, side="right")
    state.count[:5] = (
        progress[SPIKES], n_inputs, progress[ARRIVED], progress[SEARCHES], progress[TOUCHED]
    )  # fmt: skip
    state.mark[:5] = (
        progress[BEFORE], progress[MARKED_ARRIVED], progress[MARKED_SEARCHES],
        progress[MARKED_TOUCHED], progress[WINDOW],
    )  # fmt: skip
    beyond = None
    if status == CAPPED:
        beyond = int(run.neuron[task.max_spikes]), float(run.time[task.max_spikes])
        state.count[0] = task.max_spikes
    _resize(run, int(state.count[0]))
    return run, work, beyond


def _begin_anew(state: WindowState, start: Start) -> None:
    """Let a run that exceeded its cap be resumed from the start; it has no state at its end."""
    state.level[...] = _levels(start)[0]
    for array in (state.release, state.mark):
        array[...] = 0
    state.latest[...] = -1
    state.neuron[:, REFERENCE] = np.inf


def _resize(run: Record, size: int) -> None:
    for array in run:
        array.resize(size, refcheck=False)


def _with_room(task: Task, run: Record, work: Work, status: int) -> Work:
    """Return work arrays with which the loop can go on, after making room for spikes in ``run``."""
    progress = work.progress
    if status == ORDER_FULL:
        return _with_order(work, int(progress[SPIKES] - progress[BEFORE]))
    if status == ARRIVALS_FULL:
        size, chosen = work.arrivals.time.size, progress[LAST_CHOSEN] - progress[FIRST_CHOSEN]
        if size < MOST_ARRIVALS or chosen == 1:
            more = max(2 * size, work.order.size)
            return _with_order(
                work._replace(
                    arrivals=_room(work.arrivals.head, more, work.arrivals.receptor.size > 0)
                ),
                more,
            )
        progress[LAST_CHOSEN] = progress[FIRST_CHOSEN] + chosen // 2
        return work
    size, most = run.time.size, 2 * task.max_spikes + 64
    if size < most:
        progress[SPIKES] = progress[BEGUN]
        _resize(run, min(2 * size, most))
    else:
        _shorten(run, work, task.max_spikes)
    return work


def _with_order(work: Work, size: int) -> Work:
    order, spare = np.empty((2, size), dtype=np.int32)
    return work._replace(order=order, spare=spare)


def _shorten(run: Record, work: Work, max_spikes: int) -> None:
    """Keep the first spikes of a window that exceeds the cap, and replay no further than them."""
    progress = work.progress
    new = slice(progress[BEFORE], progress[SPIKES])
    order = np.lexsort((run.neuron[new], run.time[new]))
    for array in run:
        array[new] = array[new][order]
    progress[SPIKES] = max_spikes + 1
    progress[REPLAYED] += 1
    work.horizon[0] = run.time[max_spikes]


def _resumed(old: BatchResult) -> tuple[WindowState, list[Record]]:
    """Return (state, records) of a batch result, to be run on."""
    assert isinstance(old.state, WindowState)
    state = WindowState._make(array.copy() for array in old.state)
    records = []
    for k in range(len(old)):
        part = slice(old.offsets[k], old.offsets[k] + state.mark[k, 0])
        records.append(Record._make(column[part] for column in old.record))
    return state, records


# --- parts ----------------------------------------------------------------------------------------


def carried(old: BatchResult) -> BatchResult:
    """Return a run with only what of it may still act, or happens in the window of its end."""
    state = old.state
    if isinstance(state, SchedulerState):
        return scheduler.carried(old)
    assert isinstance(state, WindowState)

    def moved(spikes: IntArray, unread: IntArray) -> WindowState:  # noqa: ARG001
        mark = state.mark.copy()
        mark[:, 0] += spikes
        latest = np.maximum(state.latest + spikes[:, None], 0).astype(np.int32)
        return state._replace(latest=latest, mark=mark)

    begin = state.mark[:, 4].astype(np.float64) * _width(old.network)
    return carried_from(old, begin, moved)


def _run_from_within(job: Job, old: BatchResult) -> tuple[BatchResult, Excess]:
    """Go on from within a window, where parameters changed: the scheduler does the rest of it."""
    width = _width(job.network)
    number = math.floor(float(old.ends[0]) / width)
    while number * width <= old.ends[0]:
        number += 1
    end = math.nextafter(number * width, 0.0)
    rest, excess = scheduler.run(job._replace(t_stop=min(job.t_stop, end)))
    if excess or job.t_stop <= end:
        return rest, excess
    return run(job._replace(old=_at_window(rest, number, width)))


def _at_window(old: BatchResult, number: int, width: float) -> BatchResult:
    """Return a run of the scheduler that ends just before a window, as one of windows."""
    assert isinstance(old.state, SchedulerState)
    count, latest, n_receptors = old.state.count, old.state.latest, old.state.neuron.shape[2] - 3
    edges = np.full(len(old), number * width)
    begun = begun_from(compiled_form(old.network).neurons, old.state.neuron, edges)
    held = begun.release > edges[:, None]
    level = np.empty((*latest.shape, 1 + n_receptors))
    level[:, :, 0], level[:, :, 2:] = begun.currents[:, :, 0], begun.currents[:, :, 1:]
    level[:, :, 1] = np.where(held, HELD, begun.potential)
    rows = old.state.neuron.copy()
    columns = [0, *range(FURTHER + 1, FURTHER + n_receptors)]
    level[held] = np.insert(rows[:, :, columns], 1, HELD, axis=2)[held]  # as of the release
    mark = np.zeros((len(old), N_COUNTS), dtype=np.int64)
    mark[:, :4] = count[:, [0, 2, 3, 4]]
    mark[:, 4] = number
    state = WindowState(
        rows, level, np.where(held, begun.release, 0.0), latest, count[:, :N_COUNTS].copy(), mark
    )
    return replace(old, state=state)
