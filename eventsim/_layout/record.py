"""What a run leaves behind, whatever the engine: spikes, the states at its end, and counters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, cast

import numpy as np

from eventsim._support.types import FloatArray, Int32Array, IntArray

__all__ = [
    "BOUND",
    "CURRENT",
    "FURTHER",
    "INPUTS",
    "N_COUNTS",
    "POTENTIAL",
    "REFERENCE",
    "SEARCHES",
    "SPIKES",
    "SYNAPTIC",
    "TOUCHED",
    "EndState",
    "Record",
    "end_to_end",
    "joined_samples",
    "new_record",
    "of_samples",
    "positions_behind",
    "replaced",
]

# Columns of a neuron's state: as of the reference time, which is later than the end of a run if the
# neuron is refractory then.  BOUND is what an engine likes to know besides.  CURRENT is that of the
# first receptor; those of the others follow behind BOUND, that of receptor r at FURTHER + r.
CURRENT, POTENTIAL, REFERENCE, BOUND = 0, 1, 2, 3
FURTHER = 3

# Counters of a sample.  Engines may have more.
SPIKES, INPUTS, SYNAPTIC, SEARCHES, TOUCHED, N_COUNTS = range(6)


class Record(NamedTuple):
    """Recorded spikes, in the order in which they happened.

    ``released`` is the synaptic current at the end of the refractory period.
    """

    time: FloatArray
    neuron: Int32Array
    slope: FloatArray
    released: FloatArray


class EndState(Protocol):
    """Where each sample of a run may go on: a named tuple of each engine, with what it needs.

    ``neuron`` (n_samples, n_neurons, at least 3) and ``count`` (n_samples, at least 5) have the
    columns of this module.
    """

    @property
    def neuron(self) -> FloatArray:
        """States of the neurons."""

    @property
    def count(self) -> IntArray:
        """Counters."""


def replaced(state: EndState, **arrays: FloatArray | IntArray) -> EndState:
    """Return a state with other arrays of these names."""
    return cast("EndState", cast("Any", state)._replace(**arrays))


def new_record(shape: int | tuple[int, int]) -> Record:
    """Return a record whose arrays have this shape, and are not filled."""
    return Record(
        np.empty(shape), np.empty(shape, dtype=np.int32), np.empty(shape), np.empty(shape)
    )


def end_to_end(records: Sequence[Record]) -> Record:
    """Return the spikes of several records, one after another."""
    if len(records) == 1:
        return records[0]
    return Record._make(np.concatenate(columns) for columns in zip(*records, strict=True))


def positions_behind(offsets: IntArray, n: int) -> IntArray:
    """Return where the spikes of each sample stand that come after its first ``n``."""
    first = offsets[:-1] + n
    sizes = offsets[1:] - first
    ends = np.cumsum(sizes)
    return np.arange(ends[-1]) + np.repeat(first - ends + sizes, sizes)


def of_samples(arrays: Any, samples: IntArray) -> Any:
    """Return the rows of some samples of every array of nested named tuples.

    What is ragged says itself what its samples are: it has a method ``of``.
    """
    if isinstance(arrays, np.ndarray):
        return arrays[samples]
    if hasattr(arrays, "of"):
        return arrays.of(samples)
    return type(arrays)._make(of_samples(part, samples) for part in arrays)


def joined_samples(parts: Sequence[Any]) -> Any:
    """Return nested named tuples of arrays with the samples of several, one after another.

    What is ragged does it itself: it has a method ``joined``.
    """
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    if hasattr(parts[0], "joined"):
        return parts[0].joined(parts)
    return type(parts[0])._make(joined_samples(column) for column in zip(*parts, strict=True))
