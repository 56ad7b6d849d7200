"""The input spikes of a run, joined over all inputs: what the engines read."""

from dataclasses import dataclass

import numpy as np

from eventsim.spikes import SpikeBatch, Spikes

__all__ = ["Stimulus", "extend_stimulus", "join_trains", "read_stimulus"]


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
    order : (n_spikes,) ndarray of int
        Position of each joined spike in the concatenation of the trains.
    """

    trains: dict
    times: np.ndarray
    sources: np.ndarray
    offsets: np.ndarray
    order: np.ndarray

    @property
    def arrays(self):
        """``(offsets, times, sources)``, as the compiled loops take them."""
        return self.offsets, self.times, self.sources

    @property
    def n_samples(self):
        """Number of samples."""
        return self.offsets.size - 1

    def sample(self, network, k):
        """Return the stimulus of sample ``k`` alone."""
        return join_trains(network, {name: train[k] for name, train in self.trains.items()}, 1)

    def split(self, values):
        """Return per-spike ``values`` as a dict of arrays in each caller's order."""
        flat = np.empty(values.shape)
        flat[self.order] = values
        result, position = {}, 0
        for name, train in self.trains.items():
            result[name] = np.empty(train.times.size)
            result[name][train.order] = flat[position : position + train.times.size]
            position += train.times.size
        return result


def read_stimulus(network, stimulus):
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
        nothing = Spikes([], [])
        stimulus = {
            name: SpikeBatch.from_samples([sample.get(name, nothing) for sample in stimulus])
            for name in network.inputs
        }
    _check_names(network, stimulus)
    for name, train in stimulus.items():
        if not isinstance(train, (Spikes, SpikeBatch)):
            raise ValueError(f"stimulus[{name!r}] must be Spikes or a SpikeBatch, got {train!r}")
    is_batch = any(isinstance(train, SpikeBatch) for train in stimulus.values())
    if is_batch and any(isinstance(train, Spikes) for train in stimulus.values()):
        raise ValueError(f"stimulus must be all Spikes or all SpikeBatch, got {stimulus!r}")
    trains = {
        name: train if is_batch else SpikeBatch.from_samples([train])
        for name, train in stimulus.items()
    }
    sizes = {len(train) for train in trains.values()} or {1}
    if len(sizes) > 1:
        raise ValueError(f"all inputs must have the same number of samples, got {sorted(sizes)}")
    for name, train in trains.items():
        n = network.inputs[name]
        if train.indices.size and train.indices.max() >= n:
            raise ValueError(
                f"indices of stimulus[{name!r}] must be < {n}, got {train.indices.max()}"
            )
    return join_trains(network, trains, sizes.pop()), is_batch


def join_trains(network, trains, n_samples):
    """Return the `Stimulus` of valid trains."""
    starts = network.compiled().input_start
    if len(trains) == 1:
        ((name, train),) = trains.items()
        sources = train.indices + starts[name]
        order = np.arange(sources.size)
        return Stimulus(trains, train.times, sources, train.offsets, order)
    empty = np.empty(0, dtype=np.int64)
    times = np.concatenate([np.empty(0), *[train.times for train in trains.values()]])
    sources = [train.indices + starts[name] for name, train in trains.items()]
    sources = np.concatenate([empty, *sources])
    samples = np.concatenate([empty, *[train.samples for train in trains.values()]])
    order = np.lexsort((sources, times, samples))
    offsets = np.searchsorted(samples[order], np.arange(n_samples + 1))
    return Stimulus(trains, times[order], sources[order], offsets, order)


def extend_stimulus(network, old, new):
    """Return the stimulus of a resumed run: the ``old`` spikes and the ``new``, later ones."""
    trains = {
        name: _extended(old.trains.get(name), new.trains.get(name))
        for name in network.inputs
        if name in old.trains or name in new.trains
    }
    return join_trains(network, trains, old.n_samples)


def _extended(old, new):
    if old is None or new is None:
        return new if old is None else old
    given = np.argsort(old.order), np.argsort(new.order)
    return SpikeBatch(
        np.concatenate([old.times[given[0]], new.times[given[1]]]),
        np.concatenate([old.indices[given[0]], new.indices[given[1]]]),
        np.concatenate([old.samples[given[0]], new.samples[given[1]]]),
        len(old),
    )


def _check_names(network, stimulus):
    if not hasattr(stimulus, "keys"):
        raise ValueError(f"stimulus must map input names to Spikes, got {stimulus!r}")
    for name in stimulus:
        if name not in network.inputs:
            raise ValueError(f"stimulus must name inputs {list(network.inputs)}, got {name!r}")
