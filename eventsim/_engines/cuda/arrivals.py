"""Arrivals of a layer on the device: listed by sample or by tile, in time, with the flow between.

A sample's list of an all-to-all layer has the place that all presynaptic spikes together would
need, so nothing is counted first; with a single projection it is the train of spikes itself.  Tiles
that see different arrivals have lists of their own, which are counted, placed, filled and sorted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from eventsim._engines.cuda.device import clear, empty, grid_for, kernel, of_blocks
from eventsim._engines.cuda.plan import DeviceLayer
from eventsim._engines.cuda.scan import RunningSum
from eventsim._engines.cuda.sorting import sort_anywhere
from eventsim.model.flow import propagator

__all__ = ["Arrivals", "Cause", "Delivery", "Factors", "Listing", "Train"]


class Train(NamedTuple):
    """Spikes of an input or a population, those of each sample ascending in (time, source).

    Those of sample k are ``first[k] : first[k] + count[k]``, and ``place[k]`` is the number of the
    first of them: numbers, which ascend with the samples, have no room for other samples' spikes.
    A count may exceed the room of a sample: then the rest is missing.
    """

    first: Any
    count: Any
    time: Any
    source: Any
    place: Any


class Delivery(NamedTuple):
    """What a projection delivers: the spikes of the sources ``low : high`` of a train.

    A sample has ``room`` of the train's at most.  The sources have the rows of the layer from
    ``row`` on; the numbers of the spikes among all projections are those of the train plus
    ``first``.
    """

    train: Train
    room: int
    low: int
    high: int
    row: int
    first: int
    delay: Any


class Arrivals(NamedTuple):
    """Lists of arrivals: of each sample, or of each tile in each sample; ascending in time.

    List l is ``start[l] : start[l] + count[l]``, ``row`` the row of the weight table.  ``event`` is
    ``fan`` times the number of the causing spike among all projections of the layer, plus which of
    its arrivals this is.
    """

    start: Any
    count: Any
    time: Any
    row: Any
    event: Any


class Factors(NamedTuple):
    """Flow from each arrival to the next one of its list: (n_kinds, n_arrivals) each."""

    synaptic: Any
    membrane: Any
    h: Any
    lag: Any


@dataclass(frozen=True)
class Cause:
    """Where the arrivals of a projection come from.

    Attributes
    ----------
    train : Train
        Spikes of an input or a population.
    room : int
        How many of a sample there are at most.
    n_numbers : int
        More than the number of any of them.
    low : int
        Number of the first source.
    n_sources : int
        Sources that the train has spikes of.
    """

    train: Train
    room: int
    n_numbers: int
    low: int
    n_sources: int


# --- kernels --------------------------------------------------------------------------------------


@kernel
def follow_train(delivery, tables, n_neurons, t_stop, arrivals, factors, synaptic):
    """List the arrivals of a layer's only projection, with their factors: a block per sample.

    Also counts synaptic events.
    """
    train, delay, k = delivery.train, delivery.delay, cuda.blockIdx.x
    first, n, start = train.first[k], min(train.count[k], delivery.room), arrivals.start[k]
    if cuda.threadIdx.x == 0 and (n == 0 or train.time[first] + delay > t_stop):
        arrivals.count[k] = 0
    for i in range(cuda.threadIdx.x, n, cuda.blockDim.x):
        time = train.time[first + i] + delay
        if time > t_stop:
            continue
        following, is_last = t_stop, i + 1 == n
        if not is_last:
            following = train.time[first + i + 1] + delay
            is_last = following > t_stop
        a = start + i
        arrivals.time[a] = time
        arrivals.row[a] = train.source[first + i] - delivery.low
        arrivals.event[a] = train.place[k] + i
        _fill_all(factors, tables, a, (t_stop if is_last else following) - time)
        if is_last:
            arrivals.count[k] = i + 1
            synaptic[k] += (i + 1) * n_neurons


@kernel
def add_places(place, start):
    """Add the numbers of the first spikes of all samples."""
    for k in range(cuda.grid(1), start.size, cuda.gridsize(1)):
        start[k] += place[k]


@kernel
def list_arrivals(delivery, fan, all_to_all, links, n_lists, t_stop, filling, counts, arrivals):
    """Count the arrivals of one projection in every list, or write them: a block per sample.

    When ``filling``, ``counts`` says how many have been written.
    """
    train, k = delivery.train, cuda.blockIdx.x
    first, n = train.first[k], min(train.count[k], delivery.room)
    for i in range(cuda.threadIdx.x, n, cuda.blockDim.x):
        source = train.source[first + i] - delivery.low
        time = train.time[first + i] + delivery.delay
        if source < 0 or source >= delivery.high - delivery.low or time > t_stop:
            continue
        row, event = delivery.row + source, (delivery.first + train.place[k] + i) * fan
        if all_to_all:
            _list(k, time, row, event, filling, counts, arrivals)
            continue
        for b in range(links.first.shape[0]):
            for r in range(links.first[b, row], links.first[b, row + 1]):
                late = time + links.delay[r]
                if late <= t_stop:
                    own = k * n_lists + links.tile[r]
                    _list(own, late, links.row[r], event, filling, counts, arrivals)
                event += 1


@cuda.jit(device=True)
def _list(own, time, row, event, filling, counts, arrivals):
    at = cuda.atomic.add(counts, own, 1)
    if filling:
        at += arrivals.start[own]
        if at < arrivals.time.size:
            arrivals.time[at] = time
            arrivals.row[at] = row
            arrivals.event[at] = event


@kernel
def order_arrivals(arrivals, tables, n_lists, all_to_all, n_neurons, t_stop, factors, synaptic,
                   missing):  # fmt: skip
    """Sort a list in time, fill its factors, and count its synaptic events: a block per list.

    ``missing`` is set if there were more arrivals than there is room for.
    """
    own = cuda.blockIdx.x
    t, threads = cuda.threadIdx.x, cuda.blockDim.x
    size = arrivals.time.size
    if t == 0 and arrivals.start[own] + arrivals.count[own] > size:
        cuda.atomic.max(missing, 0, 1)
    start = min(arrivals.start[own], size)
    stop = min(start + arrivals.count[own], size)
    sort_anywhere(start, stop - start, arrivals.time, arrivals.row, arrivals.event)
    for a in range(start + t, stop, threads):
        lag = (arrivals.time[a + 1] if a + 1 < stop else t_stop) - arrivals.time[a]
        if all_to_all:
            _fill_all(factors, tables, a, lag)
        else:
            q = own % n_lists
            _fill(factors, 0, a, lag, tables.alpha[q], tables.beta[q])
    if t == 0:
        fan = n_neurons if all_to_all else tables.n_neurons[own % n_lists]
        cuda.atomic.add(synaptic, own // n_lists, (stop - start) * fan)


@cuda.jit(device=True)
def _fill_all(factors, tables, a, lag):
    """Fill the factors of each kind of tile; tiles of a kind follow each other."""
    kind = -1
    for q in range(tables.kind.size):
        if tables.kind[q] > kind:
            kind = tables.kind[q]
            _fill(factors, kind, a, lag, tables.alpha[q], tables.beta[q])


@cuda.jit(device=True)
def _fill(factors, kind, a, lag, alpha, beta):
    synaptic, membrane, h = propagator(lag, alpha, beta)
    factors.synaptic[kind, a] = synaptic
    factors.membrane[kind, a] = membrane
    factors.h[kind, a] = h
    factors.lag[kind, a] = lag


# --- the host -------------------------------------------------------------------------------------


class Listing:
    """Room for the arrivals of a layer in a batch.

    Parameters
    ----------
    layer : DeviceLayer
        What they arrive at.
    causes : sequence of Cause
        Where they come from, projection by projection.
    n_samples, t_stop, dtype
        Of the run.
    count, nothing, missing : (n_lists,), (1,), (1,) device arrays of int64
        Zeros, of which ``missing`` is set if there is too little room.
    """

    def __init__(
        self,
        layer: DeviceLayer,
        causes: Sequence[Cause],
        n_samples: int,
        t_stop: float,
        dtype: np.dtype[Any],
        count: Any,
        nothing: Any,
        missing: Any,
    ) -> None:
        self.layer, self.causes, self.n_samples = layer, causes, n_samples
        self.missing = missing
        self.dtype, self.t_stop = dtype, dtype.type(t_stop)
        self.n_lists = layer.n_lists * n_samples
        shared = layer.plan.reach is None
        if not shared:
            self.counts = empty(self.n_lists, np.int64)
            self.running_sum = RunningSum(self.n_lists, nothing)
        self.size = max(
            1, sum(c.n_numbers for c in causes) if shared else layer.n_arrivals * n_samples
        )
        start = self._start()
        size, n_kinds = self.size, layer.plan.n_kinds
        self.arrivals = Arrivals(
            start, count, empty(size, dtype), empty(size, np.int32), empty(size, np.int64)
        )
        self.factors = Factors(*(empty((n_kinds, size), dtype) for _ in Factors._fields))
        self.deliveries = self._deliveries()

    def _deliveries(self) -> list[Delivery]:
        """Return what each projection delivers."""
        found, first = [], 0
        for s, cause in zip(self.layer.plan.synapses, self.causes, strict=True):
            high = cause.low + s.sources.stop - s.sources.start
            delay = self.dtype.type(s.delay)
            found.append(
                Delivery(cause.train, cause.room, cause.low, high, s.sources.start, first, delay)
            )
            first += cause.n_numbers
        return found

    @property
    def follows(self) -> bool:
        """Whether the only projection's train is the list, with a delay."""
        if len(self.causes) != 1 or self.layer.plan.reach is not None:
            return False
        ((cause,), (synapses,)) = self.causes, self.layer.plan.synapses
        return cause.n_sources == synapses.sources.stop - synapses.sources.start

    def _start(self) -> Any:
        if self.layer.plan.reach is not None:
            return empty(self.n_lists + 1, np.int64)
        if len(self.causes) == 1:
            return self.causes[0].train.place
        return empty(self.n_lists, np.int64)

    @property
    def total(self) -> Any:
        """The number of all arrivals of tiles with lists of their own: (1,), on the device."""
        return self.arrivals.start[self.n_lists :]

    def fill(self, synaptic: Any) -> None:
        """List all arrivals, in time; ``synaptic`` (n_samples,) counts synaptic events."""
        layer, plan = self.layer, self.layer.plan
        if self.follows:
            (delivery,) = self.deliveries
            follow_train[of_blocks(self.n_samples, delivery.room)](
                delivery, layer.tables, plan.n, self.t_stop, self.arrivals, self.factors, synaptic
            )
            return
        if plan.reach is None:
            self._add_up_places()
        else:
            clear(self.counts)
            self._list(False, self.counts)
            self.running_sum(self.counts, self.arrivals.start)
        self._list(True, self.arrivals.count)
        order_arrivals[of_blocks(self.n_lists, self.size // self.n_lists)](
            self.arrivals, layer.tables, layer.n_lists, plan.reach is None, plan.n, self.t_stop,
            self.factors, synaptic, self.missing,
        )  # fmt: skip

    def _add_up_places(self) -> None:
        """Let a sample's list begin after all that earlier samples may have."""
        if len(self.causes) == 1:
            return
        clear(self.arrivals.start)
        for cause in self.causes:
            add_places[grid_for(self.n_samples)](cause.train.place, self.arrivals.start)

    def _list(self, filling: bool, counts: Any) -> None:
        layer = self.layer
        for delivery in self.deliveries:
            list_arrivals[of_blocks(self.n_samples, delivery.room)](
                delivery, layer.fan, layer.plan.reach is None, layer.links, layer.n_lists,
                self.t_stop, filling, counts, self.arrivals,
            )  # fmt: skip
