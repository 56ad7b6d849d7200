"""The input spikes of a run, joined over all inputs: what the engines read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

import numpy as np

from eventsim._types import FloatArray, IntArray
from eventsim.network import Network
from eventsim.spikes import SpikeBatch, Spikes

__all__ = ["Stimulus", "StimulusLike", "extend_stimulus", "join_trains", "read_stimulus"]

StimulusLike: TypeAlias = Mapping[str, Spikes | SpikeBatch] | Sequence[Mapping[str, Spikes]]
"""Spikes or samples of each input by name, or a list of samples."""


@dataclass(frozen=True, slots=True, eq=False)
class Stimulus:
    """Input spikes of all samples, ascending in (sample, time, source).

    Attributes
    ----------
    trains : dict of str -> SpikeBatch
        Spikes of each input as given.
    times, sources : (n_spikes,) ndarray
        Joined spikes; sources are numbered through all inputs.
    offsets : (n_samples + 1,) ndarray of int
        Sample k holds ``times[offsets[k]:offsets[k + 1]]``.
    permutation : (n_spikes,) ndarray of int, or None
        Position of each joined spike in the concatenation of the trains; None: the same.
    """

    trains: dict[str, SpikeBatch]
    times: FloatArray
    sources: IntArray
    offsets: IntArray
    permutation: IntArray | None

    @property
    def order(self) -> IntArray:
        """Position of each joined spike in the concatenation of the trains."""
        return np.arange(self.times.size) if self.permutation is None else self.permutation

    @property
    def arrays(self) -> tuple[IntArray, FloatArray, IntArray]:
        """``(offsets, times, sources)``, as the compiled loops take them."""
        return self.offsets, self.times, self.sources

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return self.offsets.size - 1

    def sample(self, network: Network, k: int) -> Stimulus:
        """Return the stimulus of sample ``k`` alone."""
        return join_trains(network, {name: train[k] for name, train in self.trains.items()}, 1)

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


def read_stimulus(network: Network, stimulus: StimulusLike) -> tuple[Stimulus, bool]:
    """Return ``(Stimulus, is_batch)`` from what the caller of `simulate` gave.

    Raises
    ------
    ValueError
        Unknown input names, sources out of range, or samples that do not match.
    """
    if isinstance(stimulus, (list, tuple)):
        if not stimulus:
            raise ValueError(f"a batch needs at least one sample, got {stimulus!r}")
        for sample in stimulus:
            _check_names(network, sample)
            for name, train in sample.items():
                if not isinstance(train, Spikes):
                    raise ValueError(f"stimulus[{name!r}] in a list must be Spikes, got {train!r}")
        nothing = Spikes([], [])
        given: Mapping[str, Spikes | SpikeBatch] = {
            name: SpikeBatch.from_samples([sample.get(name, nothing) for sample in stimulus])
            for name in network.inputs
        }
    else:
        given = cast("Mapping[str, Spikes | SpikeBatch]", stimulus)
    _check_names(network, given)
    for name, train in given.items():
        if not isinstance(train, (Spikes, SpikeBatch)):
            raise ValueError(f"stimulus[{name!r}] must be Spikes or a SpikeBatch, got {train!r}")
    is_list = isinstance(stimulus, (list, tuple))
    is_batch = is_list or any(isinstance(train, SpikeBatch) for train in given.values())
    if is_batch and any(isinstance(train, Spikes) for train in given.values()):
        raise ValueError(f"stimulus must be all Spikes or all SpikeBatch, got {stimulus!r}")
    trains = {
        name: train if isinstance(train, SpikeBatch) else SpikeBatch.from_samples([train])
        for name, train in given.items()
    }
    sizes = {len(train) for train in trains.values()} or {len(stimulus) if is_list else 1}
    if len(sizes) > 1:
        raise ValueError(f"all inputs must have the same number of samples, got {sorted(sizes)}")
    if 0 in sizes:
        raise ValueError(f"a batch needs at least one sample, got {stimulus!r}")
    for name, train in trains.items():
        n = network.inputs[name]
        if train.indices.size and train.indices.max() >= n:
            raise ValueError(
                f"indices of stimulus[{name!r}] must be < {n}, got {train.indices.max()}"
            )
    return join_trains(network, trains, sizes.pop()), is_batch


def join_trains(network: Network, trains: dict[str, SpikeBatch], n_samples: int) -> Stimulus:
    """Return the `Stimulus` of valid trains."""
    starts = network.layout().input_start
    if len(trains) == 1:
        ((name, train),) = trains.items()
        sources = train.indices + starts[name] if starts[name] else train.indices
        return _frozen(trains, train.times, sources, train.offsets, None)
    empty = np.empty(0, dtype=np.int64)
    times = np.concatenate([np.empty(0), *[train.times for train in trains.values()]])
    numbers = [train.indices + starts[name] for name, train in trains.items()]
    sources = np.concatenate([empty, *numbers])
    samples = np.concatenate([empty, *[train.samples for train in trains.values()]])
    order = np.lexsort((sources, times, samples))
    offsets = np.searchsorted(samples[order], np.arange(n_samples + 1))
    return _frozen(trains, times[order], sources[order], offsets, order)


def _frozen(
    trains: dict[str, SpikeBatch],
    times: FloatArray,
    sources: IntArray,
    offsets: IntArray,
    permutation: IntArray | None,
) -> Stimulus:
    """Return the `Stimulus` of read-only arrays: loops would be compiled anew for others."""
    for array in (times, sources, offsets):
        array.flags.writeable = False
    return Stimulus(trains, times, sources, offsets, permutation)


def extend_stimulus(network: Network, old: Stimulus, new: Stimulus) -> Stimulus:
    """Return the stimulus of a resumed run: the ``old`` spikes and the ``new``, later ones."""
    trains = {
        name: _extended(old.trains.get(name), new.trains.get(name))
        for name in network.inputs
        if name in old.trains or name in new.trains
    }
    return join_trains(network, trains, old.n_samples)


def _extended(old: SpikeBatch | None, new: SpikeBatch | None) -> SpikeBatch:
    if old is None or new is None:
        only = new if old is None else old
        assert only is not None
        return only
    given = np.argsort(old.order), np.argsort(new.order)
    return SpikeBatch(
        np.concatenate([old.times[given[0]], new.times[given[1]]]),
        np.concatenate([old.indices[given[0]], new.indices[given[1]]]),
        np.concatenate([old.samples[given[0]], new.samples[given[1]]]),
        len(old),
    )


def _check_names(network: Network, stimulus: Mapping[str, object]) -> None:
    if not hasattr(stimulus, "keys"):
        raise ValueError(f"stimulus must map input names to Spikes, got {stimulus!r}")
    for name in stimulus:
        if name not in network.inputs:
            raise ValueError(f"stimulus must name inputs {list(network.inputs)}, got {name!r}")
