"""One sample on its way through the windows: its shares side by side, in arrays that grow.

Each share has a thread.  Where other processes run the same sample with the other neurons, all
exchange what they have found once a window; each of them has the whole record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from threading import Barrier
from typing import NamedTuple, TypeAlias

import numpy as np

from eventsim._engines.status import (
    ARRIVALS_FULL,
    ASKS,
    CAPPED,
    DONE,
    FLIGHTS_FULL,
    FOUND_FULL,
    MEETS,
    RECORD_FULL,
)
from eventsim._engines.windows.arrays import (
    ARRIVED,
    BEFORE,
    BEGUN,
    CLOSE,
    COUNTS,
    FAILED,
    FIRST_CHOSEN,
    FOUND,
    LAST_CHOSEN,
    LINE,
    MARGIN,
    MARKED_ARRIVED,
    MARKED_SEARCHES,
    MARKED_TOUCHED,
    N_PROGRESS,
    PHASE,
    REPLAYED,
    SEARCHES,
    SPIKES,
    TOUCHED,
    WINDOW,
    Arrivals,
    Charges,
    Crew,
    Deliveries,
    Flights,
    Grid,
    WindowState,
    Work,
)
from eventsim._engines.windows.bundles import OF_NEURONS, OWN, Bundles
from eventsim._engines.windows.loop import advance_windows
from eventsim._layout.record import Record, new_record
from eventsim._layout.wiring import Neurons
from eventsim._support.machine import WIDE
from eventsim._support.threads import stop_if_told
from eventsim._support.types import FloatArray, Int32Array, IntArray
from eventsim.model.currents import scratch_shape
from eventsim.ranks import Ranks

__all__ = ["Others", "Sample", "Share"]

Call: TypeAlias = Callable[[], int]

CHUNK = 1024
MOST_ARRIVALS = 2**20  # gathered at a time, unless a single neuron has more
PER_NEURON = "neuron", "level", "release", "latest"  # arrays of the state
# For which there is room at first: so many, but for so many of each neuron, or one of so many.
FEW_ARRIVALS, FEW_FLIGHTS, FEW_FOUND = 4096, 256, 256
ARRIVALS_OF, FOUND_OF = 4, 8
FOUND_SPIKES = np.dtype([(name, of.dtype) for name, of in new_record(0)._asdict().items()])


class Share(NamedTuple):
    """What is the same for all samples of a run, of the neurons ``low : high`` of this process.

    ``own`` has their numbers, ``place`` (n_all_neurons,) where each is among them, or -1.
    """

    low: int
    high: int
    own: IntArray
    place: Int32Array
    bundles: Bundles
    neurons: Neurons
    grid: Grid


class Others(NamedTuple):
    """The processes that run a sample; ``rank_of`` (n_neurons,) says which has a neuron."""

    ranks: Ranks
    rank_of: IntArray


class Sample:
    """The arrays of a sample that are not of its state, share by share.

    When it has ended, they serve the next one of the same cut.
    """

    def __init__(self, shares: Sequence[Share], others: Others | None = None) -> None:
        """Make room for a sample of these shares, with ``others`` if there are any."""
        self.others = others
        self.works = [_new_work(share) for share in shares]
        self.board = np.zeros(COUNTS + LINE * len(shares), dtype=np.int64)
        self.votes = np.zeros((2, LINE * len(shares)))
        most = max(share.own.size for share in shares)
        self.few = max(FEW_FOUND, most // FOUND_OF, len(shares))
        self._take_found(new_record((len(shares), self.few)))

    def run(
        self,
        shares: Sequence[Share],
        spikes: tuple[FloatArray, IntArray],
        state: WindowState,
        record: Record,
        t_stop: float,
        max_spikes: int,
    ) -> tuple[Record, tuple[int, float] | None]:
        """Run one sample of these ``shares`` from its ``state``, which is set anew.

        Returns
        -------
        record : Record
            Its spikes, those of the given ``record`` among them.
        excess : (int, float) or None
            Neuron and time of the spike beyond the cap.
        """
        self.shares = shares
        self._begin(spikes, state, record, t_stop, max_spikes)
        with _side_by_side(self.board, len(self.shares)) as call_all:
            while True:
                status = call_all(self._calls())
                if status[0] in (DONE, CAPPED):
                    return self._finish(status[0] == CAPPED)
                stop_if_told()
                if status[0] == MEETS:
                    self._exchange()
                elif status[0] == ASKS:
                    self._ask()
                else:
                    self._make_room(status)

    def _begin(
        self,
        spikes: tuple[FloatArray, IntArray],
        state: WindowState,
        record: Record,
        t_stop: float,
        max_spikes: int,
    ) -> None:
        """Prepare to go on at the start of the window where the sample stopped."""
        self.spikes, self.whole, others = spikes, state, self.others
        self.state = state if others is None else _some(state, _neurons_here(others))
        self.t_stop, self.max_spikes = t_stop, max_spikes
        kept, n_neurons = int(state.mark[0]), self.shares[-1].high
        room = max(kept // 8, min(2 * n_neurons, max_spikes + 1 - kept))
        self.record = _longer(record, kept + max(64, room))
        if self.found.time.shape[1] > self.few:  # what is counted depends on it, if the cap is met
            self._take_found(new_record((len(self.shares), self.few)))
        for work in self.works:
            work.progress[:] = 0
            work.progress[SPIKES] = work.progress[BEFORE] = kept
            work.progress[WINDOW] = state.mark[4]
        if others is None or others.ranks.part[0] == 0:
            self.works[0].progress[[ARRIVED, SEARCHES, TOUCHED]] = state.mark[1:4]
        for share, work in zip(self.shares, self.works, strict=True):
            self._begin_flights(share, work.flights, state.mark[4] * share.grid.width)

    def _begin_flights(self, share: Share, flights: Flights, start: float) -> None:
        """Leave out what has arrived; less a margin, since the loop adds in another order."""
        table, span = share.bundles.table, share.bundles.span
        kept = self.record.time[: self.works[0].progress[BEFORE]]
        for b, longest in enumerate(span[:, 1]):
            times = kept if table[b, OF_NEURONS] else self.spikes[0]
            limit = (start - longest) * (1.0 - MARGIN) - longest * MARGIN
            flights.first[b] = flights.last[b] = times.searchsorted(limit)

    def _take_found(self, found: Record) -> None:
        self.found = found
        self.order, self.spare = np.empty((2, *found.time.shape), dtype=np.int32)

    def _calls(self) -> list[Call]:
        """Return the call of the loop of each share."""
        n, arrays = len(self.shares), (self.board, self.votes, self.found, self.order, self.spare)
        return [
            partial(
                advance_windows, share.bundles, share.neurons, share.grid, *self.spikes,
                _some(self.state, slice(share.low, share.high)), self.record, work,
                Crew(k, n, self.others is None, share.own, share.place, *arrays),
                self.t_stop, self.max_spikes,
            )
            for k, (share, work) in enumerate(zip(self.shares, self.works, strict=True))
        ]  # fmt: skip

    def _make_room(self, status: Sequence[int]) -> None:
        """Let grow what was too small."""
        if FOUND_FULL in status:
            self._find_more([k for k, why in enumerate(status) if why == FOUND_FULL])
        for k, why in enumerate(status):
            if why == ARRIVALS_FULL:
                self.works[k] = _with_arrivals(self.works[k])
            elif why == FLIGHTS_FULL:
                self.works[k] = _with_flights(self.works[k], self.shares[k].bundles)
        if status[0] == RECORD_FULL:
            self._record_up_to(int(self.works[0].progress[BEFORE] + self.board[COUNTS::LINE].sum()))

    def _record_up_to(self, needed: int) -> None:
        """Make room for so many spikes."""
        size = self.record.time.size
        if needed > size:
            _resize(self.record, max(needed, min(2 * size, 2 * self.max_spikes + 64)))

    def _find_more(self, shares: Sequence[int]) -> None:
        """Make room for more spikes of a window, or find no more than exceed the cap."""
        room, most = self.found.time.shape[1], self.max_spikes + 1 - self.works[0].progress[BEFORE]
        is_enough = room >= 2 * most and not self.shares[0].grid.charged
        for k in shares:
            progress = self.works[k].progress
            if is_enough:
                self._shorten(k, int(most))
            else:
                progress[FOUND] = progress[BEGUN]  # the neuron that found no room begins anew
        if not is_enough:
            larger = new_record((len(self.shares), 2 * room))
            for name in Record._fields:
                getattr(larger, name)[:, :room] = getattr(self.found, name)
            self._take_found(larger)

    def _shorten(self, k: int, most: int) -> None:
        """Keep the first spikes that a share has found, and replay no further than them.

        The neuron that found no room begins anew, unless it alone exceeds the cap.
        """
        progress = self.works[k].progress
        if progress[BEGUN] >= most:
            progress[FOUND] = progress[BEGUN]
        else:
            progress[REPLAYED] += 1
        own = Record._make(column[k, : progress[FOUND]] for column in self.found)
        order = np.lexsort((own.neuron, own.time))[:most]
        for name in Record._fields:
            getattr(self.found, name)[k, :most] = getattr(own, name)[order]
        progress[FOUND] = most
        self.works[k].horizon[0] = own.time[most - 1]

    def _exchange(self) -> None:
        """Record the spikes of the window that all processes have found."""
        assert self.others is not None
        counts = self.board[COUNTS::LINE].tolist()
        own = np.empty(sum(counts), dtype=FOUND_SPIKES)
        for name, column in self.found._asdict().items():
            own[name] = np.concatenate([row[:n] for row, n in zip(column, counts, strict=True)])
        found = self.others.ranks.gather(own)
        found = found[np.lexsort((found["neuron"], found["time"]))]
        before = int(self.works[0].progress[BEFORE])
        self._record_up_to(before + found.size)
        for name, column in self.record._asdict().items():
            column[before : before + found.size] = found[name]
        for work in self.works:
            work.progress[SPIKES], work.progress[PHASE] = before + found.size, CLOSE

    def _ask(self) -> None:
        """Let all processes go on with the earliest event of all."""
        assert self.others is not None
        event = self.others.ranks.smallest(float(self.works[0].event[0]))
        for work in self.works:
            work.event[0] = event

    def _finish(self, is_capped: bool) -> tuple[Record, tuple[int, float] | None]:
        """Set the counters at the end; return the spikes, and the one beyond the cap."""
        progress, state, run = self.works[0].progress, self.state, self.record
        total = np.sum([work.progress for work in self.works], axis=0)
        if self.others is not None:
            total = self.others.ranks.gather(total[np.newaxis]).sum(axis=0)
            self._gather(self.others)
        n_inputs = np.searchsorted(self.spikes[0], self.t_stop, side="right")
        state.count[:5] = (
            progress[SPIKES], n_inputs, total[ARRIVED], total[SEARCHES], total[TOUCHED]
        )  # fmt: skip
        state.mark[:5] = (
            progress[BEFORE], total[MARKED_ARRIVED], total[MARKED_SEARCHES],
            total[MARKED_TOUCHED], progress[WINDOW],
        )  # fmt: skip
        beyond = None
        if is_capped:
            beyond = int(run.neuron[self.max_spikes]), float(run.time[self.max_spikes])
            state.count[0] = self.max_spikes
        _resize(run, int(state.count[0]))
        del self.shares, self.spikes, self.whole, self.state, self.record
        return run, beyond

    def _gather(self, others: Others) -> None:
        """Complete the states, and the currents that were released after a spike was exchanged."""
        order = np.argsort(others.rank_of, kind="stable")
        for name in PER_NEURON:
            getattr(self.whole, name)[order] = others.ranks.gather(getattr(self.state, name))
        n = self.works[0].progress[SPIKES]
        rank_of = others.rank_of[self.record.neuron[:n]]
        own = self.record.released[:n][rank_of == others.ranks.part[0]]
        self.record.released[np.argsort(rank_of, kind="stable")] = others.ranks.gather(own)


# --- shares side by side --------------------------------------------------------------------------


@contextmanager
def _side_by_side(board: IntArray, n: int) -> Iterator[Callable[[Sequence[Call]], list[int]]]:
    """Give a function that calls ``n`` others at the same time, each in a thread of its own."""
    if n == 1:
        yield lambda calls: [calls[0]()]
        return
    with ThreadPoolExecutor(n, thread_name_prefix="eventsim") as threads:
        yield partial(_call_all, threads, board)


def _call_all(threads: ThreadPoolExecutor, board: IntArray, calls: Sequence[Call]) -> list[int]:
    """Return what the calls return.

    They wait for each other in compiled code.  So none begins before all are there, an interrupt
    may come before, and if one fails the others are told.
    """
    gate = Barrier(len(calls))

    def begin(call: Call) -> int:
        gate.wait()
        try:
            return call()
        except BaseException:
            board[FAILED] = 1
            raise

    try:
        return [called.result() for called in [threads.submit(begin, call) for call in calls]]
    except BaseException:
        gate.abort()
        raise


# --- arrays ---------------------------------------------------------------------------------------


def _some(state: WindowState, neurons: slice | IntArray) -> WindowState:
    """Return the state of some neurons, of one sample."""
    return state._replace(**{name: getattr(state, name)[neurons] for name in PER_NEURON})


def _neurons_here(others: Others) -> IntArray:
    """Return the numbers of the neurons of this process."""
    return np.flatnonzero(others.rank_of == others.ranks.part[0])


def _new_work(share: Share) -> Work:
    """Return scratch arrays of a share."""
    neurons, bundles = share.neurons, share.bundles
    n_neurons, n_receptors = neurons.kind.size, len(neurons.receptors)
    columns = 3 + n_receptors + len(neurons.charging)
    room = CHUNK + WIDE
    start, stop = np.empty((2, room), dtype=np.uint64)
    source, target = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.uint32)
    time, weight, current, potential, reach = np.empty((5, room))
    factors = current, potential, reach
    deliveries = Deliveries(time, start, stop, source, target, weight, *factors)
    n_arrivals = max(FEW_ARRIVALS, ARRIVALS_OF * n_neurons // 2048 * 2048)
    n_bundles, n_own = bundles.table.shape[0], int(bundles.table[:, OWN].max(initial=0))
    return Work(
        sums=_aligned_rows(n_neurons, 4 if columns == 4 else 8 * -(-columns // 8)),
        flag=np.zeros(n_neurons + 1, dtype=np.uint8),
        flagged=np.empty(n_neurons, dtype=np.int32),
        times=np.empty(CHUNK),
        sources=np.empty(CHUNK, dtype=np.int64),
        deliveries=deliveries,
        flights=_flights(n_bundles, n_own, FEW_FLIGHTS),
        arrivals=_room(np.full(n_neurons, -1, dtype=np.int32), n_arrivals, columns > 4),
        order=np.empty(n_arrivals, dtype=np.int32),
        spare=np.empty(n_arrivals, dtype=np.int32),
        progress=np.zeros(N_PROGRESS, dtype=np.int64),
        horizon=np.zeros(1),
        event=np.zeros(1),
        currents=np.zeros(n_receptors),
        scratch=np.empty(scratch_shape(n_receptors)),
        charges=_charges(n_neurons if share.grid.charged else 0, n_bundles),
    )


def _aligned_rows(n: int, width: int) -> FloatArray:
    """Return zeroed rows of so many numbers, in as few cache lines as can be."""
    flat = np.zeros(width * n + 8)
    skip = -flat.ctypes.data % 64 // 8
    return flat[skip : skip + width * n].reshape(n, width)


def _room(head: Int32Array, n: int, several: bool) -> Arrivals:
    receptor = np.empty(n if several else 0, dtype=np.int8)
    return Arrivals(head, np.empty(n), np.empty(n), receptor, np.empty(n, dtype=np.int32))


def _charges(n_neurons: int, n_bundles: int) -> Charges:
    raised, until = np.empty((2, n_neurons))
    ring, cursor = np.zeros(2, dtype=np.int64), np.zeros(n_bundles, dtype=np.int64)
    pending, spare = np.empty((2, n_neurons), dtype=np.int32)
    return Charges(raised, until, pending, spare, ring, cursor)


def _flights(n_bundles: int, n_own: int, room: int) -> Flights:
    first, last = np.zeros((2, n_bundles), dtype=np.int64)
    return Flights(first, last, *np.zeros((3, n_own, room), dtype=np.int64))


def _longer(record: Record, size: int) -> Record:
    """Return a copy of a record with room for ``size`` spikes."""
    longer = new_record(size)
    for name, column in record._asdict().items():
        getattr(longer, name)[: column.size] = column
    return longer


def _resize(run: Record, size: int) -> None:
    for array in run:
        array.resize(size, refcheck=False)


def _with_arrivals(work: Work) -> Work:
    """Return work arrays with room for more arrivals, or gather those of fewer neurons."""
    progress, size = work.progress, work.arrivals.time.size
    chosen = progress[LAST_CHOSEN] - progress[FIRST_CHOSEN]
    if size < MOST_ARRIVALS or chosen == 1:
        arrivals = _room(work.arrivals.head, 2 * size, work.arrivals.receptor.size > 0)
        order, spare = np.empty((2, 2 * size), dtype=np.int32)
        return work._replace(arrivals=arrivals, order=order, spare=spare)
    progress[LAST_CHOSEN] = progress[FIRST_CHOSEN] + chosen // 2
    return work


def _with_flights(work: Work, bundles: Bundles) -> Work:
    """Return work arrays with room for more spikes in flight."""
    old = work.flights
    n_own, room = old.end.shape
    new = _flights(old.first.size, n_own, 2 * room)
    new.first[...], new.last[...] = old.first, old.last
    for b in np.flatnonzero(bundles.table[:, OWN]):
        own, numbers = bundles.table[b, OWN] - 1, np.arange(old.first[b], old.last[b])
        for longer, column in zip(new[2:], old[2:], strict=True):
            longer[own, numbers % (2 * room)] = column[own, numbers % room]
    return work._replace(flights=new)
