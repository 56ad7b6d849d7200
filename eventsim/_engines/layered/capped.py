"""Runs of layers up to the spike that exceeds the cap.

Layers are not run in the order of time: a sample beyond the cap is run once more, alone, up to a
time at which it has not many more spikes, to say which was the first one too many.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from eventsim._engines.base import Excess, Job, batch_result, first_samples
from eventsim._layout.record import REFERENCE, SPIKES, Record, end_to_end, replaced
from eventsim.result import BatchResult

__all__ = ["CapReachedError", "run_capped"]

RunLayers: TypeAlias = Callable[[Job], BatchResult]
"""Runs all samples of a job to its end, whatever ends them; `CapReachedError` beyond the cap."""


class CapReachedError(Exception):
    """A sample has more spikes than allowed."""

    def __init__(self, sample: int) -> None:
        """Keep the number of the sample."""
        super().__init__(sample)
        self.sample = sample


def run_capped(run_layers: RunLayers, job: Job) -> tuple[BatchResult, Excess]:
    """Return (result, spikes beyond the cap).

    Where samples end early, all are run anew if one exceeds the cap, as the spikes beyond it may
    lie beyond the end.
    """
    try:
        batch = run_layers(job)
    except CapReachedError as reached:
        if job.until_fired is not None:
            return _until_fired(run_layers, job, job.until_fired)
        return _to_first_beyond(run_layers, job, reached.sample)
    return (batch if job.until_fired is None else batch.ended_when_fired(job.until_fired)), {}


def _to_cap(run_layers: RunLayers, job: Job) -> tuple[BatchResult, tuple[int, float] | None]:
    """Return the run of one sample up to its cap, and (neuron, time) of the spike beyond it.

    A bisection of the end: there are a few spikes at most at one and the same time.
    """
    cap = job.max_spikes
    low, high, end, room = 0.0, job.t_stop, job.t_stop, 2 * cap
    while True:
        try:
            batch = run_layers(job._replace(t_stop=end, max_spikes=room))
        except CapReachedError:
            high = end
        else:
            if end == job.t_stop or batch.offsets[-1] > cap:
                break
            low = end
        end = low + 0.5 * (high - low)
        if not low < end < high:
            end, room = high, 2 * room
    if batch.offsets[-1] <= cap:
        return batch, None
    record = batch.record
    beyond = int(record.neuron[cap]), float(record.time[cap])
    count, neuron = batch.state.count.copy(), batch.state.neuron.copy()
    count[0, SPIKES] = cap
    neuron[:, :, REFERENCE] = np.inf  # there is no state at the end
    return (
        batch_result(
            job,
            np.array([beyond[1]]),
            Record._make(column[:cap] for column in record),
            replaced(batch.state, neuron=neuron, count=count),
        ),
        beyond,
    )


def _to_first_beyond(run_layers: RunLayers, job: Job, sample: int) -> tuple[BatchResult, Excess]:
    """Return (result, spikes beyond the cap) up to the first sample beyond it, given one that is.

    Layers meet them in any order.
    """
    parts: list[BatchResult] = []
    while sample > 0 and not parts:
        try:
            first = first_samples(job.given, sample)
            parts = [run_layers(job._replace(given=first))]
        except CapReachedError as reached:
            sample = reached.sample
    one, beyond = _to_cap(run_layers, _alone(job, sample))
    assert beyond is not None
    return _in_a_row(job, [*parts, one]), {sample: beyond}


def _until_fired(run_layers: RunLayers, job: Job, population: str) -> tuple[BatchResult, Excess]:
    """Return (result, spikes beyond the cap), sample by sample, up to the first one beyond it."""
    parts: list[BatchResult] = []
    excess: Excess = {}
    for k in range(job.given.n_samples):
        one, beyond = _to_cap(run_layers, _alone(job, k))
        if beyond is not None and np.any(np.isinf(one.first_spikes(population))):
            parts.append(one)
            excess = {k: beyond}
            break
        parts.append(one.ended_when_fired(population))
    return _in_a_row(job, parts), excess


def _alone(job: Job, sample: int) -> Job:
    """Return the job of one sample."""
    return job._replace(given=job.given.sample(sample))


def _in_a_row(job: Job, parts: Sequence[BatchResult]) -> BatchResult:
    """Return one result of the samples of several runs."""
    states = zip(*[(part.state.neuron, part.state.count) for part in parts], strict=True)
    neuron, count = (np.concatenate(column) for column in states)
    return batch_result(
        job,
        np.concatenate([part.ends for part in parts]),
        end_to_end([part.record for part in parts]),
        replaced(parts[0].state, neuron=neuron, count=count),
    )
