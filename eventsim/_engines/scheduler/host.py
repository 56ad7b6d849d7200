"""The scheduler engine: the samples of a batch, in memory that follows what each of them records.

Samples begin side by side in arrays of the same length.  Those whose spikes no longer fit go on in
longer arrays, without the others; and one by one, each in arrays of its own, when they are long.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from eventsim._engines.base import Excess, Job, batch_result
from eventsim._engines.parts import carried_from
from eventsim._engines.scheduler.loop import (
    Flights,
    SchedulerState,
    State,
    advance_batch,
    epoch_lengths,
    first_group_after,
    new_queue,
    new_run,
    new_scratch,
)
from eventsim._engines.scheduler.tables import Tables, tables_of
from eventsim._engines.status import DONE, PAUSED
from eventsim._layout.arrivals import Begun
from eventsim._layout.record import (
    CURRENT,
    FURTHER,
    N_COUNTS,
    REFERENCE,
    SPIKES,
    Record,
    end_to_end,
    joined_samples,
    new_record,
    of_samples,
)
from eventsim._layout.wiring import Compiled, Neurons, Wiring, compiled_form, kept_by
from eventsim._support.queue import Queue
from eventsim._support.threads import for_each_part, stop_if_told
from eventsim._support.types import FloatArray, IntArray
from eventsim._support.validate import MOST, require
from eventsim.network import Network
from eventsim.result import BatchResult
from eventsim.spikes import taken
from eventsim.start import Start
from eventsim.stimulus import Stimulus

__all__ = ["begun_anew", "carried", "obstacle", "pays", "run"]

# Nanoseconds that the scheduler takes at least for a spike.  It is called anew when the record is
# full, so there are at most as many spikes as the record has room for.
SPIKE_WORK = 250

MOST_INPUTS = 10**9  # of a sample, in flight: they are numbered together with its spikes
SIDE_BY_SIDE = 1024  # spikes, recorded or given, of a sample that shares its arrays with others

Number = TypeVar("Number", bound=np.number)


class Task(NamedTuple):
    """What is the same for all samples of a run."""

    wiring: Wiring
    neurons: Neurons
    tables: Tables
    given: Stimulus
    t_stop: float
    awaited: tuple[int, int]
    max_spikes: int
    threads: int


class Samples(NamedTuple):
    """The samples of some ``numbers`` on their way: their state and record, a row for each."""

    numbers: IntArray
    state: State
    run: Record

    @property
    def room(self) -> int:
        """Number of spikes that a row of the record can hold."""
        return self.run.time.shape[1]


class Finished(NamedTuple):
    """The samples of some ``numbers`` at their end; the record is flat."""

    numbers: IntArray
    state: SchedulerState
    record: Record
    ends: FloatArray


@dataclass
class Progress:
    """What is finished of a run, what waits to be run on alone, and what exceeded the cap."""

    finished: list[Finished] = field(default_factory=list)
    alone: dict[int, Callable[[], Samples]] = field(default_factory=dict)
    excess: Excess = field(default_factory=dict)

    def is_beyond(self, number: int) -> bool:
        """Tell whether a sample before this one exceeded the cap: the run will end there."""
        return any(first < number for first in list(self.excess))

    def keep(self, samples: Samples, rows: NDArray[np.bool_], ends: FloatArray) -> None:
        """Take samples that are finished."""
        if np.any(rows):
            self.finished.append(_finished(samples, rows, ends))


def obstacle(job: Job) -> str | None:
    """Return None: the scheduler runs every network."""


def pays(job: Job) -> bool:  # noqa: ARG001
    """Return True: there is always the scheduler."""
    return True


def run(job: Job) -> tuple[BatchResult, Excess]:
    """Run all samples, or those up to the first one that exceeds the cap.

    Raises
    ------
    ValueError
        Before any work, if a sample has more input spikes than there are numbers for.
    """
    compiled, given, old = compiled_form(job.network), job.given, job.old
    inputs = _flights_of_inputs(compiled, given)
    require(inputs < MOST_INPUTS, inputs, f"a sample must have fewer than {MOST_INPUTS} inputs")
    neurons, tables = _neurons(job.network)
    task = Task(
        compiled.wiring, neurons, tables, given, job.t_stop, _awaited(job), job.max_spikes,
        job.threads,
    )  # fmt: skip
    begin = partial(_new, compiled, task) if old is None else partial(_resumed, compiled, task, old)
    kept = np.zeros(given.n_samples, dtype=np.int64) if old is None else np.diff(old.offsets)
    small = np.maximum(kept, inputs) <= SIDE_BY_SIDE
    progress = Progress(
        alone={int(k): partial(begin, np.array([k])) for k in np.flatnonzero(~small)}
    )
    if np.any(small):
        _run_side_by_side(task, begin(np.flatnonzero(small)), progress)
    _run_alone(task, progress)
    record, ends, state = _joined(progress)
    return batch_result(job, ends, record, state), progress.excess


@kept_by("version")
def _neurons(network: Network) -> tuple[Neurons, Tables]:
    """Return the neurons with their epochs, and their tables."""
    compiled = compiled_form(network)
    epochs = epoch_lengths(compiled.wiring, compiled.neurons)
    neurons = compiled.neurons._replace(epoch=epochs)
    return neurons, tables_of(network, neurons)


def _awaited(job: Job) -> tuple[int, int]:
    """Return the range of the neurons whose first spikes end the run; empty: it is not ended."""
    if job.until_fired is None:
        return 0, 0
    part = job.network.neurons_of(job.until_fired)
    return part.start, part.stop


def _run_side_by_side(task: Task, samples: Samples, progress: Progress) -> None:
    """Run samples until they are finished, or too long for arrays that are shared."""
    while True:
        status, ends = _advance(task, samples)
        progress.keep(samples, status == DONE, ends)
        full = status != DONE
        if not np.any(full):
            return
        if samples.room >= task.max_spikes:
            _note_excess(samples, full, ends, progress)
            return
        if samples.room >= SIDE_BY_SIDE:
            for row in np.flatnonzero(full).tolist():
                number = int(samples.numbers[row])
                progress.alone[number] = partial(_longer, task, samples, np.array([row]))
            return
        samples = _longer(task, samples, np.flatnonzero(full))


def _run_alone(task: Task, progress: Progress) -> None:
    """Run on one by one, in order, but none behind a sample that exceeds the cap."""
    numbers = sorted(progress.alone)

    def run_part(first: int, last: int) -> None:
        for number in numbers[first:last]:
            if progress.is_beyond(number):
                return
            samples = progress.alone.pop(number)()
            while True:
                status, ends = _advance(task, samples)
                if status[0] == DONE or samples.room >= task.max_spikes:
                    break
                samples = _longer(task, samples, np.array([0]))
            progress.keep(samples, status == DONE, ends)
            _note_excess(samples, status != DONE, ends, progress)

    for_each_part(run_part, len(numbers), task.threads)


def _advance(task: Task, samples: Samples) -> tuple[NDArray[np.int8], FloatArray]:
    """Advance samples to the end, or until their record is full; return their status and ends."""
    n = samples.numbers.size
    status, ends = np.zeros(n, dtype=np.int8), np.empty(n)
    offsets, times, sources = task.given.arrays
    stimulus = offsets[samples.numbers], offsets[samples.numbers + 1], times, sources
    advance = partial(
        advance_batch, task.wiring, task.neurons, task.tables, stimulus, samples.state, samples.run,
        task.t_stop, task.awaited, status, ends,
    )  # fmt: skip

    def run_part(first: int, last: int) -> None:
        advance(first, last)
        while np.any(status[first:last] == PAUSED):
            stop_if_told()
            advance(first, last)

    work = SPIKE_WORK * (samples.run.time.size + times.size)
    for_each_part(run_part, n, task.threads, work)
    return status, ends


def _note_excess(
    samples: Samples, rows: NDArray[np.bool_], ends: FloatArray, progress: Progress
) -> None:
    """Keep the first of the samples that exceed the cap: the run ends with it."""
    for row in np.flatnonzero(rows)[:1].tolist():
        number = int(samples.numbers[row])
        if not progress.is_beyond(number):
            charged = samples.state.charged
            waits = charged.size[row, 0] > 0 and charged.time[row, 0] == ends[row]
            due = charged if waits else samples.state.predicted
            progress.excess[number] = int(due.item[row, 0]), float(due.time[row, 0])
            progress.keep(samples, np.arange(rows.size) == row, ends)


# --- arrays with room -----------------------------------------------------------------------------


def _new(compiled: Compiled, task: Task, numbers: IntArray) -> Samples:
    """Return samples at rest."""
    room = min(max(64, 2 * compiled.n_neurons), task.max_spikes)
    most = int(_flights_of_inputs(compiled, task.given)[numbers].max())
    start = task.given.start.of(numbers)
    return Samples(numbers, *new_run(compiled.neurons, start, most, room))


def _resumed(compiled: Compiled, task: Task, old: BatchResult, numbers: IntArray) -> Samples:
    """Return samples where they ended, with copies of all their spikes."""
    assert isinstance(old.state, SchedulerState)
    before, after = (
        _flights_of_inputs(compiled, part)[numbers] for part in (old.stimulus, task.given)
    )
    counts = np.diff(old.offsets)[numbers]
    most = int(counts.max())
    room = max(most, min(most + max(64, most // 8), task.max_spikes))
    left, n_samples = old.state, numbers.size
    flights = int(after.max()) + room
    state = State(
        neuron=left.neuron[numbers],
        latest=left.latest[numbers],
        slope=left.slope[numbers],
        again=left.again[numbers],
        predicted=of_samples(left.predicted, numbers),
        charged=of_samples(left.charged, numbers),
        flying=new_queue(n_samples, flights),
        group=np.empty((n_samples, flights), dtype=np.int32),
        count=left.count[numbers],
        scratch=new_scratch(n_samples, len(compiled.neurons.receptors)),
    )
    run = new_record((n_samples, room))
    for row, (number, count) in enumerate(zip(numbers.tolist(), counts.tolist(), strict=True)):
        own = slice(old.offsets[number], old.offsets[number + 1])
        for name in Record._fields:
            getattr(run, name)[row, :count] = getattr(old.record, name)[own]
        more = int(after[row] - before[row])
        _take_flights(old.state.flights.of(np.array([number])), state, row, int(before[row]), more)
    return Samples(numbers, state, run)


def _take_flights(flights: Flights, state: State, row: int, n_inputs: int, extra: int) -> None:
    """Put spikes in flight into a row; those of neurons come after ``extra`` more inputs."""
    size, number = flights.item.size, flights.item
    renumbered = np.where(number < n_inputs, number, number + extra)
    state.flying.size[row] = size
    state.flying.time[row, :size] = flights.time
    state.flying.item[row, :size] = renumbered
    state.flying.place[row, renumbered] = np.arange(size)
    state.group[row, renumbered] = flights.group


def carried(old: BatchResult) -> BatchResult:
    """Return a run with little more than what may still act."""
    state = old.state
    assert isinstance(state, SchedulerState)
    compiled = compiled_form(old.network)
    inputs = _flights_of_inputs(compiled, old.stimulus)

    def moved(spikes: IntArray, unread: IntArray) -> SchedulerState:
        flights = state.flights
        sample = np.repeat(np.arange(len(old)), flights.offsets[1:] - flights.offsets[:-1])
        shift = np.where(flights.item < inputs[sample], 0, spikes[sample])
        if compiled.spans.longest[0] > 0.0:
            shift += unread[sample]
        item = (flights.item + shift).astype(np.int32)
        return state._replace(
            # A spike that acts no more is one of those at -inf: nobody asks what it released.
            latest=np.maximum(state.latest + spikes[:, None], 0).astype(np.int32),
            flights=flights._replace(item=item),
        )

    return carried_from(old, old.ends, moved)


def begun_anew(old: BatchResult, network: Network, begun: Begun) -> BatchResult:
    """Return a run, of which only that is there which may still act, under other parameters.

    Its neurons are in the states ``begun``, at its end; nothing is predicted yet.
    """
    compiled = compiled_form(network)
    neurons, ends, offsets = compiled.neurons, old.ends[:, None], old.offsets
    start = Start(begun.potential, begun.currents, np.zeros(0, dtype=bool), len(old), {})
    new, _ = new_run(neurons, start, 0, 0)
    held = np.clip(begun.release - ends, 0.0, MOST)
    rest = np.exp(-neurons.alpha[neurons.kind] * held[:, :, None]) * begun.currents
    new.neuron[:, :, CURRENT], new.neuron[:, :, FURTHER + 1 :] = rest[..., 0], rest[..., 1:]
    new.neuron[:, :, REFERENCE] = np.maximum(ends, begun.release)
    new.latest[...] = 0
    new.count[:, :N_COUNTS] = old.state.count[:, :N_COUNTS]
    given = old.stimulus
    inputs = _flights_of_inputs(compiled, given)
    flights = []
    for k in range(len(old)):
        sent = slice(given.offsets[k], given.offsets[k + 1] if inputs[k] else given.offsets[k])
        own = slice(offsets[k], offsets[k + 1])
        times = np.concatenate([given.times[sent], old.record.time[own]])
        sources = np.concatenate([given.sources[sent], old.record.neuron[own] + compiled.n_inputs])
        flights.append(_flights_after(compiled.wiring, times, sources, float(old.ends[k])))
    state = SchedulerState(
        new.neuron, new.latest, new.slope, new.again, new.predicted, new.charged,
        joined_samples(flights), new.count,
    )  # fmt: skip
    return replace(old, network=network, state=state)


def _flights_after(wiring: Wiring, times: FloatArray, sources: IntArray, end: float) -> Flights:
    """Return those of some spikes that were sent until ``end`` and arrive later, and where."""
    group = first_group_after(wiring, times, sources, end)
    item = np.flatnonzero(group >= 0)
    arrival = times[item] + wiring.delay[group[item]]
    order = np.lexsort((item, arrival))  # what is sorted is a queue
    item = item[order]
    sizes = np.array([0, item.size])
    return Flights(sizes, arrival[order], item.astype(np.int32), group[item])


def _flights_of_inputs(compiled: Compiled, given: Stimulus) -> IntArray:
    """Return how many input spikes of each sample may be in flight: none without input delays."""
    offsets: IntArray = given.offsets
    if compiled.spans.longest[0] > 0.0:
        return offsets[1:] - offsets[:-1]
    return np.zeros(offsets.size - 1, dtype=np.int64)


def _longer(task: Task, samples: Samples, rows: IntArray) -> Samples:
    """Return some of the samples with room for twice as many spikes."""
    room = min(2 * samples.room, task.max_spikes)
    width = samples.state.group.shape[1] + room - samples.room
    state, flying = samples.state, samples.state.flying
    longer = State(
        neuron=_rows(state.neuron, rows),
        latest=_rows(state.latest, rows),
        slope=_rows(state.slope, rows),
        again=_rows(state.again, rows),
        predicted=_queue_of(state.predicted, rows),
        charged=_queue_of(state.charged, rows),
        flying=Queue(
            time=_grown(flying.time, rows, width),
            item=_grown(flying.item, rows, width),
            place=_grown(flying.place, rows, width, fill=-1),
            size=_rows(flying.size, rows),
        ),
        group=_grown(state.group, rows, width),
        count=_rows(state.count, rows),
        scratch=_rows(state.scratch, rows),
    )
    run = Record._make(_grown(array, rows, room) for array in samples.run)
    return Samples(samples.numbers[rows], longer, run)


def _queue_of(queue: Queue, rows: IntArray) -> Queue:
    return Queue._make(_rows(array, rows) for array in queue)


def _rows(array: NDArray[Number], rows: IntArray) -> NDArray[Number]:
    """Return some rows, the array itself if they are all."""
    return array if rows.size == array.shape[0] else array[rows]


def _grown(
    array: NDArray[Number], rows: IntArray, width: int, fill: int | None = None
) -> NDArray[Number]:
    """Return some rows of an array, with more columns; a single row grows in place."""
    n, old = array.shape
    if n == 1 and array.base is None and array.flags.owndata:
        array.resize((1, width), refcheck=False)
        larger = array
    else:
        larger = np.empty((rows.size, width), dtype=array.dtype)
        larger[:, :old] = _rows(array, rows)
    if fill is not None:
        larger[:, old:] = fill
    return larger


# --- what is left at the end ----------------------------------------------------------------------


def _finished(samples: Samples, chosen: NDArray[np.bool_], ends: FloatArray) -> Finished:
    rows = np.flatnonzero(chosen)
    state = samples.state
    rest = SchedulerState(
        neuron=_rows(state.neuron, rows),
        latest=_rows(state.latest, rows),
        slope=_rows(state.slope, rows),
        again=_rows(state.again, rows),
        predicted=_queue_of(state.predicted, rows),
        charged=_queue_of(state.charged, rows),
        flights=_flights(state, rows),
        count=_rows(state.count, rows),
    )
    record = _flat(samples.run, rows, rest.count[:, SPIKES])
    return Finished(samples.numbers[rows], rest, record, ends[rows])


def _flights(state: State, rows: IntArray) -> Flights:
    """Return the spikes in flight of some rows."""
    sizes = state.flying.size[rows, 0]
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    row = np.repeat(rows, sizes)
    column = np.arange(row.size) - np.repeat(offsets[:-1], sizes)
    item = state.flying.item[row, column]
    return Flights(offsets, state.flying.time[row, column], item, state.group[row, item])


def _flat(run: Record, rows: IntArray, counts: IntArray) -> Record:
    """Return the first spikes of some rows as flat arrays; a single row is cut in place."""
    n_samples, width = run.time.shape
    if n_samples == 1 and all(array.flags.owndata for array in run):
        for array in run:
            array.resize((1, int(counts[0])), refcheck=False)
        return Record._make(array[0] for array in run)
    row, column = np.nonzero(np.arange(width) < counts[:, None])
    return Record._make(array[rows[row], column] for array in run)


def _joined(progress: Progress) -> tuple[Record, FloatArray, SchedulerState]:
    """Return (record, ends, state) of all samples, or of those up to one that exceeded the cap."""
    parts = progress.finished
    if len(parts) == 1 and not progress.excess:
        return parts[0].record, parts[0].ends, parts[0].state
    numbers = np.concatenate([part.numbers for part in parts])
    order = np.argsort(numbers)
    if progress.excess:
        last = min(progress.excess)
        progress.excess = {last: progress.excess[last]}
        order = order[numbers[order] <= last]
    state = joined_samples([part.state for part in parts])
    spikes, _ = taken(np.concatenate([[0], np.cumsum(state.count[:, SPIKES])]), order)
    record = end_to_end([part.record for part in parts])
    return (
        Record._make(column[spikes] for column in record),
        np.concatenate([part.ends for part in parts])[order],
        of_samples(state, order),
    )
