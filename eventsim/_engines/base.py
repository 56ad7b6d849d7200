"""What every engine is given, and what it has to say."""

from __future__ import annotations

from typing import NamedTuple, Protocol, TypeAlias

import numpy as np

from eventsim._layout.record import SPIKES, EndState, Record
from eventsim._support.types import FloatArray
from eventsim.network import Network
from eventsim.ranks import Ranks
from eventsim.result import BatchResult
from eventsim.stimulus import Stimulus

__all__ = ["Engine", "Excess", "Job", "batch_result", "first_samples", "stateless"]

Excess: TypeAlias = dict[int, tuple[int, float]]
"""Neuron and time of the spike beyond the cap, of the last sample; empty if all are complete."""


class Job(NamedTuple):
    """A run, checked.

    ``engine`` is the name by which it was chosen; ``until_fired`` names the population whose first
    spikes end a sample; ``old`` is the result to go on from, whose input spikes ``given`` includes.
    ``ranks`` are the processes that run it together.  Without ``history`` the result is to be one
    from which a part of the run can go on.
    """

    network: Network
    given: Stimulus
    t_stop: float
    engine: str
    until_fired: str | None
    max_spikes: int
    threads: int
    old: BatchResult | None
    history: bool = True
    ranks: Ranks | None = None


class Engine(Protocol):
    """A module that runs jobs."""

    def obstacle(self, job: Job) -> str | None:
        """Return why the engine cannot do this job, as an error message; None if it can."""

    def pays(self, job: Job) -> bool:
        """Tell whether the engine can be expected to be faster than the scheduler.

        Neither the input nor the end decides: a run in pieces must not change its engine.
        """

    def run(self, job: Job) -> tuple[BatchResult, Excess]:
        """Run all samples, or those up to the first one that exceeds the cap.

        That one ends at the time of its spike beyond the cap, which is not recorded.  A job with an
        ``old`` result is answered with the whole history, bit for bit that of one run: an engine
        goes on from the state that it left, or runs the whole time anew.
        """

    def carried(self, old: BatchResult) -> BatchResult:
        """Return a run with little more than what may still act, if it can go on from that."""


def stateless(job: Job) -> str | None:
    """Return why an engine that runs the whole time anew cannot do parts, as an error message."""
    if job.history:
        return None
    return (
        f"history must be True, and record None, with engine {job.engine!r}: it leaves no state "
        f"from which a part of a run can go on, got history = {job.history}"
    )


def batch_result(job: Job, ends: FloatArray, record: Record, state: EndState) -> BatchResult:
    """Return the result of the first samples of a job: of as many as there are ``ends``."""
    offsets = np.concatenate([[0], np.cumsum(state.count[:, SPIKES])])
    given = first_samples(job.given, ends.size)
    return BatchResult(job.network.snapshot(), given, ends, record, offsets, state, job.engine)


def first_samples(given: Stimulus, n: int) -> Stimulus:
    """Return the stimulus of the first ``n`` samples."""
    return given if n == given.n_samples else given.sample(slice(n))
