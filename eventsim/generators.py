"""Inputs whose spikes are drawn, not given: Poisson processes, regular trains, steps of a current.

A network keeps its generators by name.  A run keeps where their trains stand, a `Drawn`, from where
`draw_until` goes on: what it gives in pieces is, bit for bit, what it gives at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike

from eventsim._support.poisson import (
    MOST_OPERATIONAL,
    WORK,
    Clock,
    Process,
    begin_processes,
    draw_processes,
    expected,
    make_clock,
    rewound,
)
from eventsim._support.threads import interruptible
from eventsim._support.types import FloatArray, IntArray
from eventsim._support.validate import as_floats, require, require_size, shown
from eventsim.ranks import are_same
from eventsim.spikes import SpikeBatch, of_one_sample

__all__ = [
    "Drawn",
    "Generator",
    "Poisson",
    "Regular",
    "StepCurrent",
    "Steps",
    "draw_until",
    "nothing_drawn",
    "read_rates",
    "skip_until",
]

MOST_DRAWN = 10**9  # spikes of a piece, of all samples
MOST_SKIPPED = 10**6  # spikes of a piece that is drawn to be left out
# Where pieces are short, as many are drawn at once as have so many spikes in all, or a source.
PIECES_AHEAD, FEWEST_AHEAD, SPIKES_AHEAD = 63, 2**14, 8


@dataclass(frozen=True, eq=False)
class Steps:
    """A quantity that is constant from step to step: rates, or the amplitudes of a current.

    Parameters
    ----------
    times : (n_steps,) array_like
        When each step begins, >= 0, ascending.  The last one lasts for ever.
    values : (n_steps,) or (n_steps, n) array_like
        Value from each of the times on; before the first of them it is 0.

    Raises
    ------
    ValueError
        If there is no step, the shapes differ, a value is not finite, or times do not ascend.

    Examples
    --------
    A rate of 10 in the first unit of time, then of 30 for one source and 0 for another:

    >>> Steps([0.0, 1.0], [[10.0, 10.0], [30.0, 0.0]]).values[1]
    array([30.,  0.])
    """

    times: FloatArray
    values: FloatArray

    def __init__(self, times: ArrayLike, values: ArrayLike) -> None:
        """Check the steps, and copy them."""
        times, values = as_floats(times, "times"), as_floats(values, "values")
        if times.ndim != 1 or not times.size:
            raise ValueError(f"times must be (n_steps,), at least one, got shape {times.shape}")
        if values.ndim not in (1, 2) or len(values) != times.size:
            raise ValueError(
                f"values must be ({times.size},) or ({times.size}, n), as the times, "
                f"got shape {values.shape}"
            )
        require_size(times, "times")
        require(times >= 0.0, times, "times must be >= 0")
        require(np.diff(times) > 0.0, times[1:], "times must ascend")
        require_size(values, "values")
        for name, array in (("times", times), ("values", values)):
            own = array.copy()
            own.flags.writeable = False
            object.__setattr__(self, name, own)

    def __reduce__(self) -> tuple[type[Steps], tuple[FloatArray, FloatArray]]:
        """Return how to make equal ones, whose arrays are read-only too."""
        return type(self), (self.times, self.values)

    def __repr__(self) -> str:
        """Return a short description."""
        return f"Steps({self.times.size} steps)"


class Trains(Protocol):
    """Where the trains of a generator stand, in all samples of a run."""

    @property
    def t(self) -> float:
        """Time until which spikes are drawn, inclusive; -inf: none is."""

    @property
    def limit(self) -> float:
        """Time beyond which intervals would not be resolved."""

    def expected(self, t: float) -> float:
        """Return how many spikes of all samples can be expected to be drawn until ``t``."""

    def draw(self, t: float) -> tuple[SpikeBatch, Trains]:
        """Return the spikes until ``t`` that are not drawn yet, and where they end."""

    def under(self, generator: Any) -> Trains:
        """Return how they go on under a generator that may have other rates."""

    def of(self, which: IntArray) -> Trains:
        """Return those of some samples."""


class Generator(Protocol):
    """An input of ``n`` sources whose spikes are drawn."""

    @property
    def n(self) -> int:
        """Number of sources."""

    @property
    def given(self) -> tuple[object, ...]:
        """All that the spikes depend on: what ranks compare."""

    def begin(self, samples: IntArray) -> Trains:
        """Return where the trains of some samples begin."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """How far the trains of the generators of a run are drawn.

    Attributes
    ----------
    samples : (n_samples,) ndarray of int
        Number of each sample, which tells its trains from those of others.
    trains : dict of str -> Trains
        What is begun, by generator.
    """

    samples: IntArray
    trains: Mapping[str, Trains]

    def of(self, which: IntArray) -> Drawn:
        """Return the same of some samples."""
        trains = {name: trains.of(which) for name, trains in self.trains.items()}
        return Drawn(self.samples[which], trains)

    def under(self, generators: Mapping[str, Generator]) -> Drawn:
        """Return how the trains go on, or begin, under generators that may have other rates."""
        trains = {
            name: self.trains[name].under(generator)
            if name in self.trains
            else generator.begin(self.samples)
            for name, generator in generators.items()
        }
        return Drawn(self.samples, trains)


def nothing_drawn(samples: IntArray) -> Drawn:
    """Return where the trains of some samples begin."""
    return Drawn(samples, {})


def draw_until(
    generators: Mapping[str, Generator], old: Drawn, t: float, name: str = "t_stop"
) -> tuple[dict[str, SpikeBatch], Drawn]:
    """Return the spikes up to ``t`` that are not drawn yet, by generator, and where they end.

    Raises
    ------
    ValueError
        Before anything is drawn: more spikes can be expected than fit, or intervals would be no
        longer than roundings of the time.  The message names the argument.
    """
    drawn = old.under(generators)
    behind = {key: trains for key, trains in drawn.trains.items() if trains.t < t}
    _check_limits(behind, t, name)
    pairs = {key: trains.draw(t) for key, trains in behind.items()}
    found = {key: train for key, (train, _) in pairs.items()}
    after = {key: trains for key, (_, trains) in pairs.items()}
    return found, Drawn(drawn.samples, {**drawn.trains, **after})


def _check_limits(behind: Mapping[str, Trains], t: float, name: str) -> None:
    for key, trains in behind.items():
        if t > trains.limit:
            raise ValueError(
                f"{name} must be at most {trains.limit:.6g}, beyond which intervals of the "
                f"generator {key!r} are not resolved, got {shown(t)}"
            )
    mean = sum(trains.expected(t) for trains in behind.values())
    if mean > MOST_DRAWN:
        raise ValueError(
            f"{name} must be so early that at most {MOST_DRAWN:.0e} spikes are drawn at once; of "
            f"{list(behind)}, {mean:.3g} can be expected, got {shown(t)}"
        )


def skip_until(generators: Mapping[str, Generator], drawn: Drawn, t: float, name: str) -> Drawn:
    """Return where the trains stand at ``t``; what is drawn on the way is not kept."""
    drawn = drawn.under(generators)
    mean = sum(trains.expected(t) for trains in drawn.trains.values())
    n_pieces = int(min(mean / MOST_SKIPPED, MOST_SKIPPED)) + 1
    for end in np.linspace(0.0, t, n_pieces + 1)[1:]:
        _, drawn = draw_until(generators, drawn, float(end), name)
    return drawn


# --- Poisson processes ----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Poisson:
    """Independent Poisson processes.

    Attributes
    ----------
    name : str
        Of the input; generators of different names have different trains.
    n : int
        Number of sources.
    rates : Steps
        In spikes per unit of time; values (n_steps,) or (n_steps, n).
    seed : int
        In [0, 2**64).
    """

    name: str
    n: int
    rates: Steps
    seed: int

    @property
    def given(self) -> tuple[object, ...]:
        """Seed and rates."""
        return self.seed, self.rates.times, self.rates.values

    @cached_property
    def key(self) -> tuple[int, int]:
        """Two words of 32 bits: a hash of the seed and the name."""
        name = tuple(self.name.encode("utf-8", "surrogatepass"))
        first, second = np.random.SeedSequence(self.seed, spawn_key=name).generate_state(2)
        return int(first), int(second)

    @cached_property
    def clock(self) -> Clock:
        """Of the rates, from t = 0 on."""
        return self.clock_from(0.0)

    def clock_from(self, origin: float) -> Clock:
        """Return the clock of the rates that begins at a time."""
        return make_clock(self.rates.times, self.rates.values, self.n, origin)

    def begin(self, samples: IntArray) -> PoissonTrains:
        """Return where the trains of some samples begin."""
        process = begin_processes(self.clock, self.key, samples, self.n)
        return PoissonTrains(self, samples, self.clock, process, -np.inf)


class Ahead(NamedTuple):
    """Spikes of one sample that are drawn until ``t``, and where the process stands then."""

    times: FloatArray
    sources: IntArray
    process: Process
    t: float


@dataclass(frozen=True, eq=False)
class PoissonTrains:
    """Where the trains of a `Poisson` generator stand at ``t``, in some samples.

    ``process`` is that at ``t``.  Many short draws in a row would each ask all sources for few
    spikes: so some are drawn ``ahead``, of which the first ``taken`` have been returned; then the
    process is that where they begin, at ``since``.
    """

    generator: Poisson
    samples: IntArray
    clock: Clock
    process: Process
    t: float
    since: float = -np.inf
    ahead: Ahead | None = None
    taken: int = 0

    @property
    def limit(self) -> float:
        """Time beyond which intervals would not be resolved."""
        return self.clock.limit

    def expected(self, t: float) -> float:
        """Return how many can be expected to be drawn: the integral of the rates, or none."""
        if self.ahead is not None and t <= self.ahead.t:
            return 0.0
        return expected(self.clock, self.t, t) * self.samples.size

    def draw(self, t: float) -> tuple[SpikeBatch, PoissonTrains]:
        """Return the spikes until ``t`` that are not drawn yet, and where they end."""
        ahead = self.ahead
        if ahead is not None and t <= ahead.t:
            last = int(np.searchsorted(ahead.times, t, side="right"))
            found = ahead.times[self.taken : last], ahead.sources[self.taken : last]
            return of_one_sample(*found), replace(self, t=t, taken=last)
        until = self._worth_drawing(t)
        since, process = (self.t, self.process) if ahead is None else (ahead.t, ahead.process)
        times, sources, offsets, after = self._draw(process, since, until)
        if ahead is None and until == t:
            return SpikeBatch.from_sorted(times, sources, offsets), self._at(t, after)
        last = int(np.searchsorted(times, t, side="right"))
        found = times[:last], sources[:last]
        if ahead is not None:
            rest = ahead.times[self.taken :], ahead.sources[self.taken :]
            found = np.concatenate([rest[0], found[0]]), np.concatenate([rest[1], found[1]])
        if until == t:
            return of_one_sample(*found), self._at(t, after)
        more = Ahead(times, sources, after, until)
        return of_one_sample(*found), replace(
            self, process=process, t=t, since=since, ahead=more, taken=last
        )

    def _draw(
        self, process: Process, first: float, last: float
    ) -> tuple[FloatArray, IntArray, IntArray, Process]:
        draw = partial(
            draw_processes, self.clock, self.generator.key, self.samples, process, first, last
        )
        work = WORK * expected(self.clock, first, last) * self.samples.size
        return interruptible(draw, work)

    def _worth_drawing(self, t: float) -> float:
        """Return until when to draw: longer than to ``t`` if that is one of many short pieces."""
        if self.samples.size > 1 or self.t == -np.inf or t == self.t:
            return t
        length = t - self.t
        enough = max(FEWEST_AHEAD, SPIKES_AHEAD * self.generator.n)
        pieces = min(enough // (1.0 + expected(self.clock, self.t, t)), PIECES_AHEAD)
        until = min(t + pieces * length, self.limit)
        return until if expected(self.clock, t, until) <= 2.0 * enough else t

    def _at(self, t: float, process: Process) -> PoissonTrains:
        """Return where the trains stand at ``t``, with nothing drawn ahead."""
        return replace(self, process=process, t=t, since=-np.inf, ahead=None, taken=0)

    def _settled(self) -> PoissonTrains:
        """Return the same with nothing drawn ahead."""
        if self.ahead is None:
            return self
        *_, process = self._draw(self.process, self.since, self.t)
        return self._at(self.t, process)

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled: what is drawn ahead can be drawn again."""
        return vars(self._settled())

    def under(self, generator: Poisson) -> PoissonTrains:
        """Return how the trains go on; under other rates, what is left of each interval counts."""
        if generator is self.generator:
            return self
        new, old = generator.rates, self.generator.rates
        if new is old or are_same((new.times, new.values), (old.times, old.values)):
            return replace(self, generator=generator)
        clock = generator.clock_from(max(self.t, 0.0))
        process = rewound(self._settled().process, self.clock, clock)
        return replace(self._at(self.t, process), generator=generator, clock=clock)

    def of(self, which: IntArray) -> PoissonTrains:
        """Return the trains of some samples."""
        settled = self._settled()
        process = Process._make(column[which] for column in settled.process)
        return replace(settled, samples=self.samples[which], process=process)


def read_rates(rate: Steps | ArrayLike, n: int, name: str) -> Steps:
    """Return rates of n sources: one for all, one for each, or steps of such.

    Raises
    ------
    ValueError
        If they have another shape, or one is negative or not finite.
    """
    if isinstance(rate, Steps):
        if rate.values.shape[1:] not in ((), (n,)):
            raise ValueError(
                f"{name} must have values (n_steps,) or (n_steps, {n}), got {rate.values.shape}"
            )
        steps = rate
    else:
        values = as_floats(rate, name)
        if values.shape not in ((), (n,)):
            raise ValueError(f"{name} must be (), ({n},) or Steps, got shape {values.shape}")
        require_size(values, name)
        steps = Steps([0.0], values[None])
    require(steps.values >= 0.0, steps.values, f"{name} must be >= 0")
    return steps


# --- trains without chance ------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Regular:
    """Sources that fire at ``first``, and then again and again after an ``interval``.

    Attributes
    ----------
    interval, first : (n,) ndarray
        The k-th spike of a source is at ``first + k interval``.
    """

    interval: FloatArray
    first: FloatArray

    @property
    def given(self) -> tuple[object, ...]:
        """Intervals and first spikes."""
        return self.interval, self.first

    @property
    def n(self) -> int:
        """Number of sources."""
        return self.interval.size

    @property
    def limit(self) -> float:
        """Time beyond which intervals would not be resolved."""
        return float(np.min(self.first + MOST_OPERATIONAL * self.interval))

    def expected(self, first: float, last: float) -> float:
        """Return how many spikes there are in (first, last], about."""
        span = last - np.maximum(first, self.first)
        return float(np.sum(np.where(span >= 0.0, span / self.interval + 1.0, 0.0)))

    def spikes(self, first: float, last: float) -> tuple[FloatArray, IntArray]:
        """Return times and sources of the spikes in (first, last]."""
        begin = np.maximum(first - self.first, 0.0) // self.interval
        end = (last - self.first) // self.interval + 2.0  # one more: rounding decides below
        counts = np.maximum(end - begin, 0.0).astype(np.int64)
        source = np.repeat(np.arange(self.n), counts)
        number = np.arange(source.size) - np.repeat(np.cumsum(counts) - counts, counts)
        times = self.first[source] + (begin[source] + number) * self.interval[source]
        kept = np.flatnonzero((times > first) & (times <= last))
        order = kept[np.argsort(times[kept], kind="stable")]
        return times[order], source[order]

    def begin(self, samples: IntArray) -> FixedTrains:
        """Return where the trains of some samples begin."""
        return FixedTrains(self, samples.size, -np.inf)


@dataclass(frozen=True, eq=False)
class StepCurrent:
    """Sources of one spike each: the steps of a current, which a projection adds up.

    Attributes
    ----------
    times : (n,) ndarray
        Spike of each source, ascending.
    key : tuple
        The projection.
    """

    times: FloatArray
    key: tuple[str, str]
    limit = np.inf  # no interval comes again

    @property
    def given(self) -> tuple[object, ...]:
        """Times of the steps."""
        return (self.times,)

    @property
    def n(self) -> int:
        """Number of sources."""
        return self.times.size

    def expected(self, first: float, last: float) -> float:
        """Return how many spikes there are in (first, last]."""
        return float(self.spikes(first, last)[0].size)

    def spikes(self, first: float, last: float) -> tuple[FloatArray, IntArray]:
        """Return times and sources of the spikes in (first, last]."""
        begin, end = np.searchsorted(self.times, (first, last), side="right")
        return self.times[begin:end], np.arange(begin, end)

    def begin(self, samples: IntArray) -> FixedTrains:
        """Return where the trains of some samples begin."""
        return FixedTrains(self, samples.size, -np.inf)


@dataclass(frozen=True, eq=False)
class FixedTrains:
    """Trains that are the same in each sample; the time ``t`` says where they stand."""

    generator: Regular | StepCurrent
    n_samples: int
    t: float

    @property
    def limit(self) -> float:
        """Time beyond which intervals would not be resolved."""
        return self.generator.limit

    def expected(self, t: float) -> float:
        """Return how many spikes of all samples there are until ``t``, about."""
        return self.generator.expected(self.t, t) * self.n_samples

    def draw(self, t: float) -> tuple[SpikeBatch, FixedTrains]:
        """Return the spikes until ``t`` that are not drawn yet, and where they end."""
        times, sources = self.generator.spikes(self.t, t)
        offsets = times.size * np.arange(self.n_samples + 1)
        batch = SpikeBatch.from_sorted(
            np.tile(times, self.n_samples), np.tile(sources, self.n_samples), offsets
        )
        return batch, replace(self, t=t)

    def under(self, generator: Regular | StepCurrent) -> FixedTrains:
        """Return how the trains go on: as they are."""
        return self if generator is self.generator else replace(self, generator=generator)

    def of(self, which: IntArray) -> FixedTrains:
        """Return the trains of some samples."""
        return replace(self, n_samples=which.size)
