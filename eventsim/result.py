"""What a run returns: recorded spikes, and exact potentials and currents at any time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eventsim import frames
from eventsim import neo as neo_trains
from eventsim import plot as draw
from eventsim._layout.arrivals import Begun, Fired, list_arrivals, most_arrivals, sample_states
from eventsim._layout.record import (
    CURRENT,
    FURTHER,
    INPUTS,
    N_COUNTS,
    POTENTIAL,
    REFERENCE,
    SEARCHES,
    SPIKES,
    SYNAPTIC,
    TOUCHED,
    EndState,
    Record,
    end_to_end,
    joined_samples,
    of_samples,
    replaced,
)
from eventsim._layout.wiring import Neurons, compiled_form, layout_of
from eventsim._support.compile import loop, scalar
from eventsim._support.threads import interruptible
from eventsim._support.types import BoolArray, FloatArray, Int32Array, IntArray
from eventsim._support.validate import (
    LEAST,
    MOST,
    as_floats,
    as_indices,
    as_names,
    as_sample,
    as_samples,
    check_name,
    require,
    shown,
)
from eventsim.causality import CausalityGraph, graph_of_run
from eventsim.model.crossing import ROUNDING
from eventsim.model.currents import flow_of
from eventsim.model.jumps import AT_ONCE, CHARGE
from eventsim.network import Network
from eventsim.spikes import RecordedSpikes, taken
from eventsim.stimulus import Stimulus

if TYPE_CHECKING:
    import neo
    import pandas as pd

__all__ = [
    "ActivityError",
    "BatchResult",
    "Before",
    "EventCounts",
    "Kept",
    "RecordedSpikes",
    "Result",
    "begun_from",
    "joined_batch",
    "require_whole",
]


STATE_WORK = 20.0  # nanoseconds, about, of a potential at one time
LONGEST_HELD = 600.0  # times a rate: what is left of a current then still has all its digits


@dataclass(frozen=True, slots=True)
class EventCounts:
    """How much a run had to do.

    Attributes
    ----------
    synaptic : int
        Arrivals of spikes at synapses.
    inputs : int
        Input spikes.
    spikes : int
        Spikes of neurons.
    searches : int
        Searches for a threshold crossing.

    Examples
    --------
    >>> EventCounts(synaptic=4, inputs=2, spikes=1, searches=3).synaptic
    4
    """

    synaptic: int
    inputs: int
    spikes: int
    searches: int


@dataclass(frozen=True, eq=False)
class Before:
    """What a part of a run takes over from those before it.

    Attributes
    ----------
    ends : (n_samples,) ndarray
        Where each sample of the part begins.
    carried : int
        Number of spikes of a sample that are taken over: those that may still act, maybe a few that
        act no more, and in front of them some at -inf, in the place of all others.
    record, offsets
        The spikes of the part, as `BatchResult` has them, behind those that are taken over.
    count : (n_samples, at least 5) ndarray
        Counters, as the part goes on with them.
    rows : ndarray
        States of the neurons, as `EndState` has them.
    begun : Begun or None
        The states at ``ends``, where ``rows`` do not say: they are of other parameters, or what is
        left of a current at the end of a long refractory period has no digits.
    """

    ends: FloatArray
    carried: int
    record: Record
    offsets: IntArray
    count: IntArray
    rows: FloatArray
    begun: Begun | None

    def of(self, samples: IntArray) -> Before:
        """Return what some samples take over."""
        take, offsets = taken(self.offsets, samples)
        return Before(
            self.ends[samples],
            self.carried,
            Record._make(column[take] for column in self.record),
            offsets,
            self.count[samples],
            self.rows[samples],
            None if self.begun is None else of_samples(self.begun, samples),
        )


@dataclass(frozen=True, eq=False)
class Kept:
    """What is kept of a run besides the spikes of some populations.

    Attributes
    ----------
    populations : tuple of str
        Whose spikes are kept.
    t_start : float
        Where the run began.
    spikes : (n_samples, n_neurons) ndarray of int
        Number of spikes of each neuron.
    count : (n_samples, 5) ndarray of int
        Counters.
    last : BatchResult
        The end of the run, from which it can go on.
    """

    populations: tuple[str, ...]
    t_start: float
    spikes: IntArray
    count: IntArray
    last: BatchResult

    def of(self, samples: IntArray) -> Kept:
        """Return what is kept of some samples."""
        return replace(
            self,
            spikes=self.spikes[samples],
            count=self.count[samples],
            last=self.last._part(samples),
        )


@dataclass(frozen=True, eq=False)
class BatchResult:
    """Result of a batch of runs: every array gains a leading sample axis, or names its samples.

    Attributes
    ----------
    network : Network
        The simulated network.
    stimulus : Stimulus
        The input spikes.
    ends : (n_samples,) ndarray
        End of each sample: ``t_stop``, or earlier with ``until_fired``.
    record : Record
        All spikes, flat, ascending in (sample, time); neurons numbered through all populations.
    offsets : (n_samples + 1,) ndarray
        The spikes of sample k are ``record.time[offsets[k]:offsets[k + 1]]``.
    state : EndState
        Where a resumed run goes on.
    engine : str
        The engine that made the run, as `simulate` names it.
    before : Before or None
        What a part of a run takes over from those before it.
    kept : Kept or None
        What else is kept, if the spikes of some populations alone are.

    Examples
    --------
    >>> import eventsim as es
    >>> net = es.Network()
    >>> net.add_input("in", 1)
    >>> net.add_population("out", 1, es.LIF(tau_mem=1.0, tau_syn=1.0))
    >>> key = net.connect("in", "out", weights=[[4.0]])
    >>> latencies = es.SpikeBatch.from_latencies([[0.0], [0.5], [np.inf]])
    >>> batch = es.simulate(net, {"in": latencies}, t_stop=1.0)
    >>> batch.first_spikes("out").round(6)
    array([[0.357403],
           [0.857403],
           [     inf]])
    >>> batch[1].spikes["out"].times.round(6)
    array([0.857403])
    """

    network: Network
    stimulus: Stimulus
    ends: FloatArray
    record: Record
    offsets: IntArray
    state: EndState
    engine: str
    before: Before | None = None
    kept: Kept | None = None

    @property
    def t_start(self) -> float:
        """Time from which on every sample ran: 0, or where a part of a run begins."""
        if self.kept is not None:
            return self.kept.t_start
        return 0.0 if self.before is None else float(self.before.ends.max())

    @property
    def t_stop(self) -> float:
        """Time up to which every sample ran."""
        return float(self.ends.min())

    @property
    def is_whole(self) -> bool:
        """Whether all spikes of the run are there, from t = 0 on, and all that was given."""
        given = self.stimulus
        return (
            self.before is None and self.kept is None and bool(given.trains or not given.times.size)
        )

    @property
    def joined(self) -> tuple[Record, IntArray]:
        """The record and its offsets, with the spikes that a part of a run takes over."""
        before = self.before
        return (self.record, self.offsets) if before is None else (before.record, before.offsets)

    @property
    def counted(self) -> IntArray:
        """The counters of the run, or of this part of it."""
        if self.kept is not None:
            return self.kept.count
        count = self.state.count[:, :N_COUNTS]
        return count if self.before is None else count - self.before.count[:, :N_COUNTS]

    def __len__(self) -> int:
        """Return the number of samples."""
        return self.offsets.size - 1

    @overload
    def __getitem__(self, which: int) -> Result: ...

    @overload
    def __getitem__(self, which: slice | Sequence[int] | NDArray[Any]) -> BatchResult: ...

    def __getitem__(
        self, which: int | slice | Sequence[int] | NDArray[Any]
    ) -> Result | BatchResult:
        """Return the `Result` of a sample, or the `BatchResult` of several: a slice, or an array.

        Raises
        ------
        IndexError
            If there is no such sample.
        ValueError
            If no sample is chosen, or ``which`` is nothing to choose by.
        """
        samples = as_samples(which, len(self))
        if not samples.size:
            raise ValueError(f"sample must choose at least one of {len(self)}, got {shown(which)}")
        part = self._part(np.atleast_1d(samples))
        return part if samples.ndim else Result(part)

    def _part(self, samples: IntArray) -> BatchResult:
        take, offsets = taken(self.offsets, samples)
        return replace(
            self,
            stimulus=self.stimulus.sample(samples),
            ends=self.ends[samples],
            record=Record._make(column[take] for column in self.record),
            offsets=offsets,
            state=of_samples(self.state, samples),
            before=None if self.before is None else self.before.of(samples),
            kept=None if self.kept is None else self.kept.of(samples),
        )

    def ended_when_fired(self, population: str) -> BatchResult:
        """Return the result as if each sample had ended when all neurons of a population fired."""
        require_whole(self, "ended_when_fired")
        place, at = self.first_positions(population), self.positions(population)
        first = np.full(place.shape, np.inf)
        first[place >= 0] = self.record.time[at[place[place >= 0]]]
        early = first.max(axis=1) < self.ends
        ends = np.where(early, first.max(axis=1), self.ends)
        kept = ~early[self.samples] | (self.record.time <= ends[self.samples])
        counts = np.bincount(self.samples[kept], minlength=len(self))
        count = self.state.count.copy()
        count[:, SPIKES] = counts
        return replace(
            self,
            ends=ends,
            record=Record._make(column[kept] for column in self.record),
            offsets=np.concatenate([[0], np.cumsum(counts)]),
            state=replaced(self.state, count=count),
        )

    @cached_property
    def samples(self) -> IntArray:
        """Sample of each recorded spike."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @cached_property
    def spikes(self) -> dict[str, RecordedSpikes]:
        """`RecordedSpikes` of each population, by name."""
        names = self.network.populations if self.kept is None else self.kept.populations
        return {name: self._spikes_of(name) for name in names}

    def positions(self, population: str) -> IntArray:
        """Return where the spikes of ``population`` stand in the record."""
        self.network.neurons_of(population)
        if self.kept is not None and population not in self.kept.populations:
            raise ValueError(
                f"population must be one of {list(self.kept.populations)}, whose spikes are "
                f"recorded, got {shown(population)}"
            )
        return self._positions(population)

    def _positions(self, population: str) -> IntArray:
        part, neuron = self.network.neurons_of(population), self.record.neuron
        return np.flatnonzero((neuron >= part.start) & (neuron < part.stop))

    def _times_of(self, population: str, at: IntArray, seen: tuple[str, ...] = ()) -> FloatArray:
        """Return the times of the spikes ``at`` these positions, all of one population.

        A pool fires at the time of what sets it off.  Runs and sweeps keep the next larger number
        instead, so that an effect is later than its cause; a pool of pools comes later still.
        """
        times = self.record.time[at]
        pools = self.network.pools
        if population not in pools:
            return times
        pooled = layout_of(self.network).neurons.threshold[self.record.neuron[at]] == 0.0
        times = np.where(pooled, np.nextafter(times, -np.inf), times)
        caused: dict[tuple[int, float], float] = {}
        for name in pools[population] - {population, *seen}:
            own = self._positions(name)
            keys = zip(self.samples[own].tolist(), self.record.time[own].tolist(), strict=True)
            exact = self._times_of(name, own, (*seen, population)).tolist()
            caused |= dict(zip(keys, exact, strict=True))
        if caused:
            keys = zip(self.samples[at].tolist(), times.tolist(), strict=True)
            times = np.array([caused.get(key, key[1]) for key in keys])
        return times

    def _spikes_of(self, population: str) -> RecordedSpikes:
        at = self.positions(population)
        start = self.network.neurons_of(population).start
        return RecordedSpikes(
            self._times_of(population, at),
            self.record.neuron[at].astype(np.int64) - start,
            self.record.slope[at],
            self.samples[at],
            len(self),
        )

    def first_spikes(self, population: str) -> FloatArray:
        """Return the first spike times (n_samples, n) of a population; ``inf`` = silent."""
        spikes = self._spikes_of(population)
        first = np.full((len(self), self.network.populations[population]), np.inf)
        np.minimum.at(first, (spikes.samples, spikes.indices), spikes.times)
        return first

    def first_positions(self, population: str) -> IntArray:
        """Return which spike of the population is each neuron's first, (n_samples, n); -1: none."""
        spikes = self._spikes_of(population)
        first = np.full((len(self), self.network.populations[population]), len(spikes))
        np.minimum.at(first, (spikes.samples, spikes.indices), np.arange(len(spikes)))
        return np.where(first < len(spikes), first, -1)

    def spike_counts(self, population: str) -> IntArray:
        """Return the number of spikes (n_samples, n) of each neuron of a population."""
        part = self.network.neurons_of(population)
        if self.kept is not None:
            return self.kept.spikes[:, part].copy()
        counts = np.zeros((len(self), part.stop - part.start), dtype=np.int64)
        _count_spikes(self.record.neuron, self.offsets, part.start, part.stop, counts)
        return counts

    def potential(
        self,
        population: str,
        at: ArrayLike | None = None,
        neurons: ArrayLike | None = None,
    ) -> FloatArray:
        """Return the membrane potential of a population, as `Result.potential`.

        Returns
        -------
        ndarray
            (n_samples, n) for a scalar time, (n_samples, n_times, n) for several.
        """
        reset = layout_of(self.network).neurons.reset[self.network.neurons_of(population)]
        chosen = self._chosen(population, neurons)
        return self._states(population, at, chosen)[1] + reset[chosen]

    def current(
        self,
        population: str,
        at: ArrayLike | None = None,
        receptor: str | None = None,
        neurons: ArrayLike | None = None,
    ) -> FloatArray:
        """Return the synaptic current of a population, shaped as `potential`."""
        currents = self._states(population, at, self._chosen(population, neurons))[0]
        neuron = self.network.neurons[population]
        if receptor is None:
            total = currents[..., 0]
            for column in range(1, max(neuron.columns) + 1):
                total = total + currents[..., column]
            return total
        known = dict.fromkeys(neuron.receptors)
        check_name(receptor, known, f"receptor must be one of those of {population!r},")
        column = neuron.columns[neuron.receptors.index(receptor)]
        return np.zeros(currents.shape[:-1]) if column == CHARGE else currents[..., column]

    @property
    def min_slope(self) -> float:
        """Smallest dV/dt at a spike that is recorded; ``inf`` without spikes."""
        return float(self.record.slope.min(initial=np.inf))

    @property
    def silent_fraction(self) -> float:
        """Fraction of the neurons with a finite threshold that did not fire, over all samples."""
        able = np.isfinite(layout_of(self.network).neurons.threshold)
        if self.kept is not None:
            fired = self.kept.spikes.reshape(-1) > 0
        else:
            fired = np.zeros(len(self) * able.size, dtype=bool)
            fired[self.samples * able.size + self.record.neuron] = True
        return 1.0 - float(fired.sum() / (able.sum() * len(self))) if able.any() else 0.0

    @property
    def events(self) -> EventCounts:
        """`EventCounts` summed over the samples."""
        count = self.counted.sum(axis=0)
        return EventCounts(*(int(count[entry]) for entry in (SYNAPTIC, INPUTS, SPIKES, SEARCHES)))

    @property
    def near_touches(self) -> int:
        """Crossings whose existence rounding alone would decide, as `Result.near_touches`."""
        neurons = layout_of(self.network).neurons
        scratch = np.empty(len(neurons.receptors))
        standing = _count_at_threshold(neurons, self.state.neuron, self.ends, ROUNDING, scratch)
        return int(self.counted[:, TOUCHED].sum()) + standing

    def _chosen(self, population: str, neurons: ArrayLike | None) -> IntArray | slice:
        """Return which neurons of a population are asked for."""
        part = self.network.neurons_of(population)
        if neurons is None:
            return slice(None)
        chosen = as_indices(neurons, "neurons")
        n = part.stop - part.start
        if chosen.ndim != 1:
            raise ValueError(f"neurons must be (n_chosen,), got shape {chosen.shape}")
        require(chosen < n, chosen, f"neurons must be < {n}, the size of {population!r}")
        return chosen

    def _states(
        self, population: str, at: ArrayLike | None, chosen: IntArray | slice
    ) -> tuple[FloatArray, FloatArray]:
        """Return currents and potentials of some neurons, out of all from the first to the last."""
        part = self.network.neurons_of(population)
        if isinstance(chosen, slice):
            return self._states_of(part, at)
        low, high = (int(chosen.min()), int(chosen.max()) + 1) if chosen.size else (0, 0)
        hull = slice(part.start + low, part.start + high)
        currents, potentials = self._states_of(hull, at)
        return currents[..., chosen - low, :], potentials[..., chosen - low]

    def _states_of(self, part: slice, at: ArrayLike | None) -> tuple[FloatArray, FloatArray]:
        times = as_floats(self.t_stop if at is None else at, "at")
        if times.ndim > 1:
            raise ValueError(f"at must be a time or (n_times,), got shape {times.shape}")
        require(np.isfinite(times) & (times >= 0.0), times, "at must be finite and >= 0")
        require(times <= self.t_stop, times, f"at must be <= t_stop = {self.t_stop}")
        if self.kept is not None:
            require(
                times == self.t_stop, times,
                f"at must be t_stop = {self.t_stop} of a run whose spikes are not all recorded",
            )  # fmt: skip
            return self.kept.last._states_of(part, at)
        if self.before is not None:
            begin, within = self.t_start, (times > self.t_start) | (times == self.t_stop)
            require(within, times, f"at must be > {begin}, where this part of a run begins")
        if times.ndim == 0:
            return self._states_at(part, float(times))
        order = np.argsort(times, kind="stable")
        n_receptors = len(layout_of(self.network).neurons.receptors)
        shape = (len(self), times.size, part.stop - part.start)
        currents, potentials = np.empty((*shape, n_receptors)), np.empty(shape)
        for k in range(len(self)):
            self._sample_states(k, part, times[order], currents[k], potentials[k])
        undo = np.argsort(order, kind="stable")
        return currents[:, undo], potentials[:, undo]

    def _states_at(self, part: slice, time: float) -> tuple[FloatArray, FloatArray]:
        """Return the states at one time, (n_samples, n, ...); what each neuron did decides how.

        The state that a run ends with is that at its end, unless the neuron is refractory then.
        """
        rows, neurons = self.state.neuron[:, part], layout_of(self.network).neurons
        n_receptors = len(neurons.receptors)
        currents, potentials = np.empty((*rows.shape[:2], n_receptors)), np.empty(rows.shape[:2])
        there = (rows[:, :, REFERENCE] <= time) & (self.ends == time)[:, None]
        _flow_to(neurons, part.start, rows, there, time, currents, potentials)
        for k in np.flatnonzero(~np.all(there, axis=1)).tolist():
            sampled = np.empty((1, rows.shape[1], n_receptors)), np.empty((1, rows.shape[1]))
            self._sample_states(k, part, np.array([time]), *sampled)
            for found, states in zip(sampled, (currents[k], potentials[k]), strict=True):
                states[~there[k]] = found[0][~there[k]]
        return currents, potentials

    def _sample_states(
        self, k: int, part: slice, at: FloatArray, currents: FloatArray, potentials: FloatArray
    ) -> None:
        compiled = compiled_form(self.network)
        times, sources = self.all_spikes(k)
        bounds = (part.start, part.stop)
        spikes = compiled.wiring, times, sources, self.ends[k]
        own = slice(self.offsets[k], self.offsets[k + 1])
        neuron = self.record.neuron[own]
        order = np.argsort(neuron, kind="stable")
        first = np.searchsorted(neuron[order], np.arange(part.start, part.stop + 1))
        number = times.size - order.size + order
        fired = Fired(first, self.record.time[own][order], self.record.slope[own][order], number)
        # What comes at t = 0 acts; what comes where a part begins, has acted.
        arrived, since = (-np.inf, 0.0) if self.before is None else (self.before.ends[k],) * 2
        begun = Begun._make(array[k if array.shape[0] > 1 else 0, part] for array in self._begun)
        scratch = np.empty(currents.shape[-1])

        def fill(stop: BoolArray) -> None:
            arrivals = list_arrivals(*spikes, bounds, stop, arrived)
            sample_states(
                compiled.neurons, part.start, arrivals, compiled.wiring.weight, fired, since,
                begun, at, currents, potentials, scratch, stop,
            )  # fmt: skip

        interruptible(fill, STATE_WORK * currents.size + most_arrivals(compiled.wiring, times.size))

    @cached_property
    def _begun(self) -> Begun:
        """Where the neurons begin: of all samples, or one row if these begin alike."""
        if self.before is None:
            states = self.stimulus.start.states
            currents = np.concatenate([states[..., :1], states[..., 2:]], axis=2)
            return Begun(currents, states[..., 1].copy(), np.full(states.shape[:2], -np.inf))
        if self.before.begun is not None:
            return self.before.begun
        return begun_from(layout_of(self.network).neurons, self.before.rows, self.before.ends)

    def states_at_end(self) -> Begun | None:
        """Return the states at the ends of the samples; None if the `EndState` says them exactly.

        It does not where a neuron is held for so long that nothing is left of its current then.
        """
        neurons, rows = layout_of(self.network).neurons, self.state.neuron
        longest = rows[:, :, REFERENCE].max() - self.ends.min()  # under the parameters of its time
        if longest <= LONGEST_HELD / max(LEAST, neurons.alpha.max()):
            return None
        held = np.minimum(rows[:, :, REFERENCE] - self.ends[:, None], MOST)
        lost = held * neurons.alpha[neurons.kind].max(axis=1) > LONGEST_HELD
        if not np.any(lost):
            return None
        begun = begun_from(neurons, rows, self.ends)
        for k in np.flatnonzero(np.any(lost, axis=1)).tolist():
            currents, potentials = np.empty_like(begun.currents[:1]), np.empty((1, lost.shape[1]))
            self._sample_states(
                k, slice(0, lost.shape[1]), self.ends[k : k + 1], currents, potentials
            )
            begun.currents[k, lost[k]] = currents[0, lost[k]]
        return begun

    def to_dataframe(self) -> pd.DataFrame:
        """Return all recorded spikes as a pandas table, ascending in (sample, time).

        Columns ``sample``, ``population`` (a categorical that lists silent populations, too),
        ``neuron`` (within its population), ``time`` and ``slope``.  Needs the extra ``io``.
        """
        trains = list(self.spikes.values())
        sizes = [len(train) for train in trains]
        samples, neurons, times, slopes = (
            np.concatenate([getattr(train, name) for train in trains] or [np.empty(0)])
            for name in ("samples", "indices", "times", "slopes")
        )
        order = np.lexsort((times, samples))
        return frames.frame_of(
            {
                "sample": samples[order],
                "population": frames.named(
                    np.repeat(np.arange(len(trains)), sizes)[order], list(self.spikes)
                ),
                "neuron": neurons[order],
                "time": times[order],
                "slope": slopes[order],
            }
        )

    def to_neo(self, unit: str) -> neo.Block:
        """Return a neo block with a segment for each sample, each as `Result.to_neo` makes it.

        Needs the extra ``io``.
        """
        segments = (
            neo_trains.segment_of(self._columns_of(k), self._span(k), unit, k)
            for k in range(len(self))
        )
        return neo_trains.block_of(segments)

    def _span(self, k: int) -> tuple[float, float]:
        """Return where a sample begins and ends."""
        begin = self.t_start if self.before is None else float(self.before.ends[k])
        # A run with ``record`` only knows where the last of its samples began.
        first = self.record.time[self.offsets[k] : self.offsets[k + 1]][:1].tolist()
        return min([begin, *first]), float(self.ends[k])

    def _columns_of(self, k: int) -> dict[str, neo_trains.Columns]:
        """Return the spikes of one sample by population."""
        columns = {}
        for name, train in self.spikes.items():
            own = slice(*np.searchsorted(train.samples, [k, k + 1]).tolist())
            spikes = train.times[own], train.indices[own], train.slopes[own]
            columns[name] = (self.network.populations[name], *spikes)
        return columns

    def _turns(self, population: str, neuron: int) -> FloatArray:
        """Return when the potential of a neuron of the first sample may jump or bend, in any order.

        It does at arrivals, at its own spikes, and at the ends of their refractory periods.
        """
        compiled = compiled_form(self.network)
        number = self.network.neurons_of(population).start + neuron
        times, sources = self.all_spikes(0)
        spikes = compiled.wiring, times, sources, float(self.ends[0])
        arrivals = interruptible(
            partial(list_arrivals, *spikes, (number, number + 1)),
            most_arrivals(compiled.wiring, times.size),
        )
        own = times[(sources == compiled.n_inputs + number) & (times > -np.inf)]
        release = own + compiled.neurons.refractory[number]
        return np.concatenate([arrivals.time, own, release])

    def all_spikes(self, k: int) -> tuple[FloatArray, IntArray]:
        """Return (times, sources) of all spikes of sample ``k``, the inputs' first.

        Of a part of a run: all that act in it.
        """
        k = as_sample(k, len(self))
        record, offsets = self.joined
        given = slice(self.stimulus.offsets[k], self.stimulus.offsets[k + 1])
        own = slice(offsets[k], offsets[k + 1])
        n_inputs = layout_of(self.network).n_inputs
        return (
            np.concatenate([self.stimulus.times[given], record.time[own]]),
            np.concatenate([self.stimulus.sources[given], record.neuron[own] + n_inputs]),
        )

    def __repr__(self) -> str:
        """Return the sizes."""
        return f"BatchResult({len(self)} samples, {self.record.time.size} spikes)"


class Result:
    """Result of one run.

    Examples
    --------
    >>> import eventsim as es
    >>> net = es.Network()
    >>> net.add_input("in", 1)
    >>> net.add_population("out", 1, es.LIF(tau_mem=1.0, tau_syn=1.0))
    >>> key = net.connect("in", "out", weights=[[4.0]])
    >>> result = es.simulate(net, {"in": es.Spikes([0.5], [0])}, t_stop=2.0)
    >>> result.spikes["out"].times.round(6)
    array([0.857403, 1.635885])
    >>> result.potential("out", at=[0.75, 2.0]).round(6)
    array([[0.778801],
           [0.32498 ]])
    """

    def __init__(self, batch: BatchResult) -> None:
        """Wrap a batch of one sample."""
        self.batch = batch

    @property
    def network(self) -> Network:
        """The simulated network."""
        return self.batch.network

    @property
    def stimulus(self) -> Stimulus:
        """The input spikes, given and drawn."""
        return self.batch.stimulus

    @property
    def engine(self) -> str:
        """The engine that made the run, as `simulate` names it."""
        return self.batch.engine

    @property
    def t_start(self) -> float:
        """Beginning of the run: 0, or where this part of it begins."""
        return self.batch.t_start

    @property
    def t_stop(self) -> float:
        """End of the run."""
        return self.batch.t_stop

    @cached_property
    def spikes(self) -> dict[str, RecordedSpikes]:
        """`RecordedSpikes` of each population, by name: times ascending, indices, slopes."""
        return {name: replace(found, n_samples=None) for name, found in self.batch.spikes.items()}

    @property
    def events(self) -> EventCounts:
        """`EventCounts` of the run."""
        return self.batch.events

    @property
    def near_touches(self) -> int:
        """Number of times that a potential only touched its threshold, to within rounding.

        Whether it surpasses the threshold would then hang on the last digits (2^-42 of the largest
        term of V, about 2e-13), so it counts as a touch, which is no spike, in every engine.
        Potentials that stand at their threshold at the end of the run are counted too.
        """
        return self.batch.near_touches

    def first_spikes(self, population: str) -> FloatArray:
        """Return the time of each neuron's first spike, (n,); ``inf`` = silent."""
        return self.batch.first_spikes(population)[0]

    def spike_counts(self, population: str) -> IntArray:
        """Return the number of spikes of each neuron, (n,)."""
        return self.batch.spike_counts(population)[0]

    def potential(
        self,
        population: str,
        at: ArrayLike | None = None,
        neurons: ArrayLike | None = None,
    ) -> FloatArray:
        """Return the exact membrane potential at any times of the run.

        Parameters
        ----------
        population : str
            Name of a population.
        at : float or (n_times,) array_like, optional
            Times in [0, t_stop], any order; default ``t_stop``.  At the time of a spike or an
            arrival the state after it is returned.  Of a part of a run: times after its
            ``t_start``; of a run with ``record``: ``t_stop`` alone.
        neurons : (n_chosen,) array_like of int, optional
            Neurons of the population; default: all.

        Returns
        -------
        ndarray
            (n,) for a scalar time, (n_times, n) for several; n_chosen in the place of n.

        Raises
        ------
        ValueError
            Unknown population, or times outside of the run.
        """
        return self.batch.potential(population, at, neurons)[0]

    def current(
        self,
        population: str,
        at: ArrayLike | None = None,
        receptor: str | None = None,
        neurons: ArrayLike | None = None,
    ) -> FloatArray:
        """Return the exact synaptic current, with parameters and shapes as `potential`.

        ``receptor`` names one; default: their sum.
        """
        return self.batch.current(population, at, receptor, neurons)[0]

    def to_dataframe(self) -> pd.DataFrame:
        """Return all recorded spikes as a pandas table, ascending in time (extra ``io``).

        Returns
        -------
        pandas.DataFrame
            Columns ``sample`` (0), ``population`` (a categorical that lists silent populations,
            too), ``neuron`` (within its population), ``time`` and ``slope``.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        return self.batch.to_dataframe()

    def to_neo(self, unit: str) -> neo.Segment:
        """Return the recorded spikes as a segment of neo (extra ``io``).

        Parameters
        ----------
        unit : {"s", "ms", "us", "ns"}
            The unit of the network's time, which nothing in a network says.

        Returns
        -------
        neo.Segment
            A spike train for each neuron of each recorded population, in their order, from
            ``t_start`` to ``t_stop`` of the run; empty ones of those that are silent.  Annotations
            are ``population`` and ``neuron``; the array annotation ``slope`` has dV/dt at each
            spike.

        Raises
        ------
        ImportError
            If neo is not installed.
        ValueError
            If there is no such unit.
        """
        return self.batch.to_neo(unit).segments[0]

    def plot_raster(
        self,
        populations: Sequence[str] | None = None,
        *,
        unit: str | None = None,
        ax: draw.Axes | None = None,
    ) -> draw.Axes:
        """Draw when each neuron fired, population above population (extra ``plot``).

        Parameters
        ----------
        populations : sequence of str, optional
            Names of populations and inputs, the lowest first; default: all recorded populations.
        unit : str, optional
            The unit of the network's time, for the label.
        ax : matplotlib.axes.Axes, optional
            Where to draw; default: a new figure.

        Returns
        -------
        matplotlib.axes.Axes
            A neuron that is silent keeps its row.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If there is no such population or input, or its spikes are not recorded.
        """
        known = [*self.network.inputs, *self.spikes]
        chosen = self.spikes if populations is None else as_names(populations, known, "populations")
        trains = {name: self._train_of(name) for name in chosen}
        return draw.raster(trains, self.batch._span(0), unit, ax)

    def _train_of(self, name: str) -> draw.Train:
        """Return the spikes of a population or an input."""
        if name in self.spikes:
            spikes = self.spikes[name]
            return draw.Train(self.network.populations[name], spikes.times, spikes.indices)
        part, given = self.network.sources_of(name), self.stimulus
        own = (given.sources >= part.start) & (given.sources < part.stop)
        return draw.Train(
            self.network.inputs[name], given.times[own], given.sources[own] - part.start
        )

    def plot_potential(
        self,
        population: str,
        neurons: ArrayLike | None = None,
        *,
        unit: str | None = None,
        ax: draw.Axes | None = None,
    ) -> draw.Axes:
        """Draw exact membrane potentials, with their jumps and thresholds (extra ``plot``).

        Parameters
        ----------
        population : str
            Name of a population.
        neurons : (n_chosen,) array_like of int, optional
            Neurons of the population; default: all.
        unit : str, optional
            The unit of the network's time, for the label.
        ax : matplotlib.axes.Axes, optional
            Where to draw; default: a new figure.

        Returns
        -------
        matplotlib.axes.Axes
            A line for each neuron, and a dotted one for each finite threshold.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If there is no such population or neuron, there are more than can be told apart, or the
            spikes of some populations alone are recorded.
        """
        batch, part = self.batch, self.network.neurons_of(population)
        chosen = np.arange(part.stop - part.start)[batch._chosen(population, neurons)]
        if chosen.size > draw.MOST_TRACES:
            raise ValueError(
                f"neurons must choose at most {draw.MOST_TRACES} of {population!r}, whose "
                f"potentials can be told apart, got {chosen.size}"
            )
        if batch.kept is not None:
            require_whole(batch, "plot_potential")
        begin, end = batch.t_start, self.t_stop
        inside = (begin if batch.before is None else float(np.nextafter(begin, np.inf)), end)
        values = self.network.neurons[population].arrays(part.stop - part.start)
        traces = []
        for k in chosen.tolist():
            constants = np.concatenate([[values["tau_mem"][k]], np.ravel(values["tau_syn"][k])])
            times = draw.times_between(batch._turns(population, k), inside, constants)
            potential = self.potential(population, times, [k])[:, 0]
            traces.append(draw.Trace(k, times, potential, float(values["threshold"][k])))
        return draw.potentials(traces, population, (begin, end), unit, ax)

    def causality(self) -> CausalityGraph:
        """Return the `CausalityGraph`: which spike caused which."""
        require_whole(self.batch, "causality")
        record = self.batch.record
        neurons, t_stop = record.neuron.astype(np.int64), float(self.batch.ends[0])
        at_once = record.slope == AT_ONCE
        return graph_of_run(
            self.network, self.batch.stimulus, record.time, neurons, t_stop, at_once
        )

    def __repr__(self) -> str:
        """Return the sizes."""
        return f"Result({self.batch.record.time.size} spikes until t = {self.t_stop})"


def require_whole(batch: BatchResult, name: str) -> None:
    """Raise a ValueError, for the caller of that ``name``, if some of a run is not there."""
    if batch.kept is not None:
        raise ValueError(
            f"{name} needs the spikes of all populations: simulate without record, got those of "
            f"{list(batch.kept.populations)}"
        )
    if not batch.is_whole:
        raise ValueError(
            f"{name} needs the whole run: simulate with history=True from the start on, got a part "
            f"from t = {batch.t_start} to {batch.t_stop}"
        )


def joined_batch(network: Network, stimulus: Stimulus, parts: Sequence[BatchResult]) -> BatchResult:
    """Return the run of a whole stimulus from those of its samples, some after others."""
    sizes = np.concatenate([np.diff(part.offsets) for part in parts])
    return replace(
        parts[0],
        network=network,
        stimulus=stimulus,
        ends=np.concatenate([part.ends for part in parts]),
        record=end_to_end([part.record for part in parts]),
        offsets=np.concatenate([[0], np.cumsum(sizes)]),
        state=joined_samples([part.state for part in parts]),
    )


def begun_from(neurons: Neurons, rows: FloatArray, ends: FloatArray) -> Begun:
    """Return the states at ``ends`` of the neurons that an `EndState` has in ``rows``."""
    n_samples, n = rows.shape[:2]
    currents, potential = np.empty((n_samples, n, len(neurons.receptors))), np.zeros((n_samples, n))
    lag = np.minimum(rows[:, :, REFERENCE] - ends[:, None], MOST)
    held = lag > 0.0
    for k in range(n_samples):
        own = slice(k, k + 1)
        _flow_to(neurons, 0, rows[own], ~held[own], ends[k], currents[own], potential[own])
    back = np.exp(np.minimum(neurons.alpha[neurons.kind] * lag[:, :, None], LONGEST_HELD))
    columns = [CURRENT, *range(FURTHER + 1, FURTHER + len(neurons.receptors))]
    currents[held] = (rows[:, :, columns] * back)[held]
    return Begun(currents, potential, np.where(held, rows[:, :, REFERENCE], -np.inf))


class ActivityError(RuntimeError):
    """More spikes than ``max_spikes``: the network runs away, or the cap is too low.

    Attributes
    ----------
    result : Result or BatchResult
        All spikes so far; of a batch, the samples up to the first one that exceeds the cap.
    sample, population, neuron, time, count
        Where and when the spike that exceeded the cap was due, and the spikes before it.

    Examples
    --------
    >>> issubclass(ActivityError, RuntimeError)
    True
    """

    def __init__(
        self,
        result: Result | BatchResult,
        sample: int,
        population: str,
        neuron: int,
        time: float,
        count: int,
    ) -> None:
        """Name the spike that exceeded the cap."""
        super().__init__(
            f"sample {sample} exceeded max_spikes = {count}: neuron {neuron} of population "
            f"{population!r} was to fire at t = {time!r}; the spikes so far are in .result"
        )
        self.result, self.sample, self.population = result, sample, population
        self.neuron, self.time, self.count = neuron, time, count

    def __reduce__(self) -> tuple[type[ActivityError], tuple[Any, ...]]:
        """Return how to make the same error again, in another process."""
        arguments = self.result, self.sample, self.population, self.neuron, self.time, self.count
        return type(self), arguments


@loop
def _count_spikes(
    neuron: Int32Array, offsets: IntArray, start: int, stop: int, counts: IntArray
) -> None:
    """Add the spikes of the neurons ``start : stop`` to counts (n_samples, n)."""
    for k in range(offsets.size - 1):
        for i in range(offsets[k], offsets[k + 1]):
            if start <= neuron[i] < stop:
                counts[k, neuron[i] - start] += 1


@scalar
def state_at(row, time, alphas, beta, bias, currents):  # type: ignore[no-untyped-def]
    """Fill the currents of a neuron at ``time`` from its state, and return its potential."""
    currents[0] = row[CURRENT]
    for r in range(1, currents.size):
        currents[r] = row[FURTHER + r]
    return flow_of(currents, row[POTENTIAL], time - row[REFERENCE], alphas, beta, bias)


@loop
def _flow_to(
    neurons: Neurons,
    low: int,
    rows: FloatArray,
    there: NDArray[np.bool_],
    time: float,
    currents: FloatArray,
    potentials: FloatArray,
) -> None:
    """Fill currents and potentials (n_samples, n) at ``time`` from the states of a run."""
    for k in range(rows.shape[0]):
        for i in range(rows.shape[1]):
            if there[k, i]:
                kind = neurons.kind[low + i]
                potentials[k, i] = state_at(
                    rows[k, i], time, neurons.alpha[kind], neurons.beta[kind],
                    neurons.bias[low + i], currents[k, i],
                )  # fmt: skip


@loop
def _count_at_threshold(
    neurons: Neurons, rows: FloatArray, ends: FloatArray, rounding: float, scratch: FloatArray
) -> int:
    """Return how many potentials stand at their thresholds at the ends of the samples."""
    standing = 0
    for k in range(rows.shape[0]):
        for i in range(rows.shape[1]):
            lag, threshold = ends[k] - rows[k, i, REFERENCE], neurons.threshold[i]
            if lag < 0.0 or threshold == 0.0 or threshold == np.inf:
                continue
            kind = neurons.kind[i]
            potential = state_at(
                rows[k, i], ends[k], neurons.alpha[kind], neurons.beta[kind], neurons.bias[i],
                scratch,
            )  # fmt: skip
            if abs(potential - threshold) <= rounding * threshold:
                standing += 1
    return standing
