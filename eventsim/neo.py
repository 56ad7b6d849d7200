"""Spikes as the spike trains of neo, which is imported when they are made or read.

A population is the annotation ``population`` of its trains, a neuron the annotation ``neuron``.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from eventsim._support.extras import extra
from eventsim._support.types import FloatArray, IntArray
from eventsim._support.validate import as_count, as_floats, shown
from eventsim.units import TIMES, as_times, check_time_unit

if TYPE_CHECKING:
    import neo

__all__ = ["Columns", "block_of", "read_all", "read_one", "segment_of"]

NEED = "spike trains of neo need"

Columns: TypeAlias = tuple[int, FloatArray, IntArray, FloatArray]
"""Size of a population, and times, neurons and slopes of its spikes."""

Read: TypeAlias = tuple[FloatArray, IntArray]
"""Times and neurons of spikes, train by train."""


# --- writing --------------------------------------------------------------------------------------


def segment_of(
    populations: Mapping[str, Columns], span: tuple[float, float], unit: str, sample: int = 0
) -> neo.Segment:
    """Return a segment with a train for each neuron, silent ones too."""
    check_time_unit(unit)
    with extra("io", NEED):
        import neo
    segment = neo.Segment(index=sample)
    for name, columns in populations.items():
        segment.spiketrains.extend(_trains_of(name, columns, span, unit))
    return segment


def block_of(segments: Iterable[neo.Segment]) -> neo.Block:
    """Return a block of segments."""
    with extra("io", NEED):
        import neo
    block = neo.Block()
    block.segments.extend(list(segments))
    return block


def _trains_of(
    name: str, columns: Columns, span: tuple[float, float], unit: str
) -> list[neo.SpikeTrain]:
    import neo

    n, times, neurons, slopes = columns
    order = np.argsort(neurons, kind="stable")
    ends = np.searchsorted(neurons[order], np.arange(1, n))
    return [
        neo.SpikeTrain(
            times[own],
            units=unit,
            t_start=span[0],
            t_stop=span[1],
            array_annotations={"slope": slopes[own]},
            population=name,
            neuron=neuron,
        )
        for neuron, own in enumerate(np.split(order, ends))
    ]


# --- reading --------------------------------------------------------------------------------------


def read_one(source: Any, unit: str, population: str | None) -> Read:
    """Return times and neurons of the trains of one segment, or of a list."""
    check_time_unit(unit)
    with extra("io", NEED):
        import neo
    if not isinstance(source, neo.Block):
        return _read(_trains_in(source), unit, population)
    if len(source.segments) != 1:
        raise ValueError(
            "source must be a block of one segment (SpikeBatch.from_neo takes several), got one of "
            f"{len(source.segments)}"
        )
    return _read(_trains_in(source.segments[0]), unit, population)


def read_all(source: Any, unit: str, population: str | None) -> list[Read]:
    """Return times and neurons of each segment of a block, or of a list."""
    check_time_unit(unit)
    with extra("io", NEED):
        import neo
        from neo.core.objectlist import ObjectList
    segments = source.segments if isinstance(source, neo.Block) else source
    listed = isinstance(segments, (list, tuple, ObjectList))
    if not listed or not all(isinstance(each, neo.Segment) for each in segments):
        raise ValueError(f"source must be a block or segments of neo, got {shown(source)}")
    if not len(segments):
        raise ValueError(f"source must have at least one segment, got {shown(source)}")
    return [_read(_trains_in(segment), unit, population) for segment in segments]


def _trains_in(source: Any) -> list[neo.SpikeTrain]:
    """Return the trains of a segment, a group or a list; those that are on disk are loaded."""
    import neo
    from neo.core.objectlist import ObjectList
    from neo.core.spiketrainlist import is_spiketrain_or_proxy

    if isinstance(source, (neo.Segment, neo.Group)):
        source = source.spiketrains
    if isinstance(source, neo.SpikeTrain):
        source = [source]
    if not isinstance(source, (list, tuple, ObjectList)) or not all(
        map(is_spiketrain_or_proxy, source)
    ):
        raise ValueError(f"source must hold spike trains of neo, got {shown(source)}")
    return [train.load() if hasattr(train, "load") else train for train in source]


def _read(trains: list[neo.SpikeTrain], unit: str, population: str | None) -> Read:
    """Return times and neurons of the spikes, train by train."""
    trains = _of_population(trains, population)
    neurons = _neurons_of(trains)
    _warn_of_waveforms(trains)
    times = [_times_of(train, unit) for train in trains]
    sizes = [each.size for each in times]
    return np.concatenate([np.empty(0), *times]), np.repeat(neurons, sizes)


def _of_population(trains: list[neo.SpikeTrain], population: str | None) -> list[neo.SpikeTrain]:
    """Return the trains of a population; None: all, if they are of one."""
    names = [train.annotations.get("population") for train in trains]
    known = list(dict.fromkeys(names))
    if population is None and len(known) <= 1:
        return trains
    if not isinstance(population, str) or population not in known:
        raise ValueError(
            f"population must be one of those of the trains, {shown(known)}, "
            f"got {shown(population)}"
        )
    return [train for train, name in zip(trains, names, strict=True) if name == population]


def _neurons_of(trains: list[neo.SpikeTrain]) -> IntArray:
    """Return the neuron of each train: its annotation, or its place where none has one."""
    given = [train.annotations.get("neuron") for train in trains]
    if all(neuron is None for neuron in given):
        return np.arange(len(trains))
    neurons = [as_count(neuron, "neuron of a spike train", least=0) for neuron in given]
    twice = [neuron for neuron, n in Counter(neurons).items() if n > 1]
    if twice:
        raise ValueError(
            "source must have one train of each neuron (segments are samples, which "
            f"SpikeBatch.from_neo takes), got two of neuron {twice[0]}"
        )
    return np.array(neurons, dtype=np.int64)


def _warn_of_waveforms(trains: list[neo.SpikeTrain]) -> None:
    n = sum(train.waveforms is not None and bool(np.size(train.waveforms)) for train in trains)
    if n:
        warnings.warn(f"the waveforms of {n} spike trains are left out", stacklevel=5)


def _times_of(train: neo.SpikeTrain, unit: str) -> FloatArray:
    """Return the times of a train as so many of a unit."""
    given = str(train.dimensionality)
    if given in TIMES:  # exact where neo rounds: to its factor, and then again
        return as_times(as_floats(train.magnitude, "times"), given, unit)
    return as_floats(train.rescale(unit).magnitude, "times")
