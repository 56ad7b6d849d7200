"""What a run is given: its input spikes, joined over all inputs, and where its neurons begin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from eventsim._support.types import FloatArray, IntArray
from eventsim._support.validate import as_mapping, as_samples, check_name, shown
from eventsim.generators import Drawn, draw_until, nothing_drawn
from eventsim.network import Network
from eventsim.spikes import (
    RecordedSpikes,
    Seam,
    SpikeBatch,
    Spikes,
    Train,
    continued,
    extended,
    merged,
    taken,
)
from eventsim.start import Start, State, read_start

__all__ = [
    "Cut",
    "Stimulus",
    "StimulusLike",
    "extend_stimulus",
    "join_trains",
    "read_stimulus",
    "with_drawn",
]

StimulusLike: TypeAlias = (
    Mapping[str, Spikes | SpikeBatch | RecordedSpikes]
    | Sequence[Mapping[str, Spikes | RecordedSpikes]]
)
"""Spikes or samples of each input by name, or a list of samples."""


@dataclass(frozen=True, slots=True, eq=False)
class Stimulus:
    """Input spikes of all samples, ascending in (sample, time, source).

    Attributes
    ----------
    trains : dict of str -> SpikeBatch
        Spikes of each input as given, or as drawn; none of a part of a run.
    times, sources : (n_spikes,) ndarray
        Joined spikes; sources are numbered through all inputs.
    offsets : (n_samples + 1,) ndarray of int
        Sample k holds ``times[offsets[k]:offsets[k + 1]]``.
    first_source : dict of str -> int
        Number of the first source of each input.
    start : Start
        States of the neurons at t = 0.
    drawn : Drawn or None
        How far the spikes of generators are drawn; None: there are no generators.
    """

    trains: dict[str, SpikeBatch]
    times: FloatArray
    sources: IntArray
    offsets: IntArray
    first_source: dict[str, int]
    start: Start
    drawn: Drawn | None = None

    @property
    def permutation(self) -> IntArray | None:
        """Position of each joined spike in the concatenation of the trains; None: the same.

        It is counted when it is asked for: each train keeps its order.
        """
        if len(self.trains) == 1:
            return None
        firsts = np.array([self.first_source[name] for name in self.trains], dtype=np.int64)
        by_source = np.argsort(firsts)
        place = np.searchsorted(firsts[by_source], self.sources, side="right") - 1
        number = by_source.astype(np.min_scalar_type(firsts.size))  # few bytes are sorted fast
        permutation = np.empty(self.sources.size, dtype=np.int64)
        permutation[np.argsort(number[place], kind="stable")] = np.arange(self.sources.size)
        return permutation

    @property
    def order(self) -> IntArray:
        """Position of each joined spike in the concatenation of the trains."""
        permutation = self.permutation
        return np.arange(self.times.size) if permutation is None else permutation

    @property
    def arrays(self) -> Train:
        """``(offsets, times, sources)``, as the compiled loops take them."""
        return self.offsets, self.times, self.sources

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return self.offsets.size - 1

    def sample(self, which: int | slice | Sequence[int] | NDArray[Any]) -> Stimulus:
        """Return the stimulus of one sample alone, or of several: a slice, or an array."""
        samples = np.atleast_1d(as_samples(which, self.n_samples))
        trains = {name: train[samples] for name, train in self.trains.items()}
        drawn = self.drawn and self.drawn.of(samples)
        take, offsets = taken(self.offsets, samples)
        arrays = _frozen((offsets, self.times[take], self.sources[take]))
        return Stimulus(trains, *arrays, self.first_source, self.start.of(samples), drawn)

    def between(self, first: IntArray, last: IntArray) -> Stimulus:
        """Return the spikes ``first[k] : last[k]`` of each sample, without their trains."""
        if self.n_samples == 1:  # without a copy
            part = slice(int(first[0]), int(last[0]))
            times, sources = self.times[part], self.sources[part]
            return replace(self, trains={}, **_named(np.array([0, times.size]), times, sources))
        ends = np.concatenate([[0], np.cumsum(last - first)])
        take = np.arange(ends[-1]) + np.repeat(first - ends[:-1], last - first)
        return replace(self, trains={}, **_named(ends, self.times[take], self.sources[take]))

    def followed_by(self, more: Stimulus) -> Stimulus:
        """Return these spikes and ``more`` of them, without the trains of either."""
        if not more.times.size:
            return replace(self, drawn=more.drawn)
        if not self.times.size:
            return replace(more, trains={}, start=self.start)
        seam = continued(self.arrays, more.arrays)
        named = _named(seam.offsets, seam.times, seam.numbers)
        return replace(self, trains={}, drawn=more.drawn, **named)

    def __setstate__(self, state: list[Any]) -> None:
        """Take what was pickled: the arrays are read-only again, as the loops know them."""
        for field, value in zip(fields(self), state, strict=True):
            object.__setattr__(self, field.name, value)
        _frozen(self.arrays)

    def split(self, values: FloatArray) -> dict[str, FloatArray]:
        """Return per-spike ``values`` as a dict of arrays in each caller's order."""
        flat = np.empty(values.shape)
        flat[self.order] = values
        result, position = {}, 0
        for name, train in self.trains.items():
            result[name] = np.empty(train.times.size)
            result[name][train.order] = flat[position : position + train.times.size]
            position += train.times.size
        return result


class Cut:
    """A stimulus that is taken piece by piece."""

    def __init__(self, whole: Stimulus) -> None:
        """Begin at its start."""
        self.whole, self.first = whole, whole.offsets[:-1]

    def until(self, time: float) -> Stimulus:
        """Return the further spikes until a time."""
        times, ends = self.whole.times, self.whole.offsets[1:].tolist()
        pairs = zip(self.first.tolist(), ends, strict=True)
        found = [a + int(times[a:b].searchsorted(time, side="right")) for a, b in pairs]
        first, self.first = self.first, np.array(found, dtype=np.int64)
        return self.whole.between(first, self.first)


def read_stimulus(
    network: Network, stimulus: StimulusLike, initial: Start | Mapping[str, State] | None = None
) -> tuple[Stimulus, bool]:
    """Return ``(Stimulus, is_batch)`` from what the caller of `simulate` gave.

    ``initial`` is the `Start` of a run that goes on.

    Raises
    ------
    ValueError
        Unknown names, sources out of range, states that neurons cannot have, or samples that do not
        match.
    """
    if isinstance(stimulus, (list, tuple)):
        trains = _joined_samples(network, stimulus)
        return join_trains(network, trains, _start(network, initial, len(stimulus))), True
    given = _read_trains(network, stimulus)
    is_batch = any(isinstance(train, SpikeBatch) for train in given.values())
    if is_batch and any(isinstance(train, Spikes) for train in given.values()):
        raise ValueError(f"stimulus must be all Spikes or all SpikeBatch, got {shown(stimulus)}")
    trains = {
        name: train if isinstance(train, SpikeBatch) else SpikeBatch.from_samples([train])
        for name, train in given.items()
    }
    sizes = {len(train) for train in trains.values()} or {1}
    if len(sizes) > 1:
        raise ValueError(
            f"stimulus must have the same number of samples of all inputs, got {sorted(sizes)}"
        )
    if 0 in sizes:
        raise ValueError(f"stimulus must hold at least one sample, got {shown(stimulus)}")
    return join_trains(network, trains, _start(network, initial, sizes.pop())), is_batch


def _start(network: Network, initial: Start | Mapping[str, State] | None, n_samples: int) -> Start:
    if isinstance(initial, Start):
        return replace(initial, n_samples=n_samples)
    return read_start(network, initial, n_samples)


def _read_trains(
    network: Network, stimulus: object, name: str = "stimulus"
) -> dict[str, Spikes | SpikeBatch]:
    """Return the trains of a dict by input, all of which are `Spikes` or batches of them."""
    trains = {}
    known = _given_inputs(network)
    for key, given in as_mapping(stimulus, name).items():
        check_name(key, known, f"{name} must name inputs without spikes of their own")
        train = given.train() if isinstance(given, RecordedSpikes) else given
        if not isinstance(train, (Spikes, SpikeBatch)):
            raise ValueError(f"{name}[{key!r}] must be Spikes or a SpikeBatch, got {shown(given)}")
        n = network.inputs[key]
        if train.indices.size and train.indices.max() >= n:
            raise ValueError(f"indices of {name}[{key!r}] must be < {n}, got {train.indices.max()}")
        trains[key] = train
    return trains


def _given_inputs(network: Network) -> dict[str, int]:
    """Return the sizes of the inputs whose spikes are given, not drawn."""
    return {name: n for name, n in network.inputs.items() if name not in network.generators}


def _joined_samples(network: Network, samples: Sequence[object]) -> dict[str, SpikeBatch]:
    """Return the batches of a list of samples, by input."""
    if not samples:
        raise ValueError(f"stimulus must hold at least one sample, got {shown(samples)}")
    trains: dict[str, list[Spikes]] = {name: [] for name in _given_inputs(network)}
    nothing = Spikes([], [])
    for k, one in enumerate(samples):
        sample = _read_trains(network, one, f"stimulus[{k}]")
        for name, joined in trains.items():
            train = sample.get(name, nothing)
            if not isinstance(train, Spikes):
                raise ValueError(
                    f"stimulus[{k}][{name!r}] in a list must be Spikes, got {shown(train)}"
                )
            joined.append(train)
    return {name: SpikeBatch.from_samples(joined) for name, joined in trains.items()}


def with_drawn(
    network: Network, given: Stimulus, t_stop: float, old: Drawn | None = None
) -> Stimulus:
    """Return a stimulus with what the generators of the network add up to ``t_stop``.

    Parameters
    ----------
    network : Network
        If it has no generators, the stimulus is returned as it is.
    given : Stimulus
        The spikes that are given, of as many samples as have been drawn, or none.
    t_stop : float
        Until when to draw, inclusive.
    old : Drawn, optional
        Where an earlier draw ended; default: nothing is drawn yet.

    Raises
    ------
    ValueError
        As of `draw_until`.
    """
    if not network.generators:
        return given
    if old is None:
        old = nothing_drawn(np.arange(given.n_samples))
    drawn, after = draw_until(network.generators, old, t_stop)
    start = replace(given.start, n_samples=old.samples.size)
    joined = join_trains(network, drawn, start, after)
    if not given.times.size:
        return replace(joined, trains=given.trains | drawn) if given.trains else joined
    offsets, times, sources = merged(given.arrays, joined.arrays)[:3]
    return replace(joined, trains=given.trains | drawn, **_named(offsets, times, sources))


def join_trains(
    network: Network, trains: dict[str, SpikeBatch], start: Start, drawn: Drawn | None = None
) -> Stimulus:
    """Return the `Stimulus` of valid trains, of as many samples as have a ``start``."""
    first_source = {name: network.sources_of(name).start for name in network.inputs}
    given = [(train, first_source[name]) for name, train in trains.items() if train.times.size]
    parts = [(train.offsets, train.times, _sources(train, first)) for train, first in given]
    while len(parts) > 1:
        pairs = zip(parts[::2], parts[1::2], strict=False)
        parts = [merged(*pair)[:3] for pair in pairs] + parts[len(parts) // 2 * 2 :]
    joined = _frozen(parts[0] if parts else _silence(start.n_samples))
    return Stimulus(trains, *joined, first_source, start, drawn)


def _sources(train: SpikeBatch, first: int) -> IntArray:
    return train.indices + first if first else train.indices


def _silence(n_samples: int) -> Train:
    return np.zeros(n_samples + 1, dtype=np.int64), np.empty(0), np.empty(0, dtype=np.int64)


def _frozen(arrays: Train) -> tuple[FloatArray, IntArray, IntArray]:
    """Return (times, sources, offsets), read-only: loops would be compiled anew for others."""
    for array in arrays:
        array.flags.writeable = False
    offsets, times, sources = arrays
    return times, sources, offsets


def _named(offsets: IntArray, times: FloatArray, sources: IntArray) -> dict[str, Any]:
    """Return the arrays of a `Stimulus` by name, read-only."""
    for array in (offsets, times, sources):
        array.flags.writeable = False
    return {"offsets": offsets, "times": times, "sources": sources}


def extend_stimulus(network: Network, old: Stimulus, new: Stimulus) -> Stimulus:
    """Return the stimulus of a resumed run: the ``old`` spikes and the ``new`` ones.

    The ``new`` spikes of one sample, later than all ``old`` ones, are appended to them in memory
    that both stimuli share: a step of a run in many pieces does not copy the steps before it.
    """
    if not new.times.size:
        return replace(old, drawn=new.drawn)
    first_source = old.first_source
    seam = continued(old.arrays, new.arrays)
    names = [name for name in network.inputs if name in old.trains or name in new.trains]
    trains = {}
    for name in names:
        alone = (seam, first_source[name]) if len(names) == 1 else None
        trains[name] = _extended(old.trains.get(name), new.trains.get(name), alone)
    joined = seam.times, seam.numbers, seam.offsets
    return Stimulus(trains, *joined, first_source, old.start, new.drawn)


def _extended(
    old: SpikeBatch | None, new: SpikeBatch | None, alone: tuple[Seam, int] | None
) -> SpikeBatch:
    """Return the batch of both; ``alone``: the seam of the only input, and its first source."""
    if old is None or new is None:
        only = new if old is None else old
        assert only is not None
        return only
    if not new.times.size:
        return old
    if alone is None:
        arrays = [(train.offsets, train.times, train.indices) for train in (old, new)]
        seam = continued(*arrays)
        return extended(old, new, seam, seam.numbers)
    seam, first = alone
    indices = seam.column(old.indices, new.indices) if first else seam.numbers
    return extended(old, new, seam, indices)
