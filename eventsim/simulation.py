"""`simulate`: checks, the choice of an engine, and its call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import overload

import numpy as np

from eventsim._engines.base import Job
from eventsim._engines.registry import AUTOMATIC, ENGINES, engine_named
from eventsim._layout.record import SPIKES
from eventsim._layout.wiring import layout_of
from eventsim._support.threads import thread_count
from eventsim._support.validate import as_count, as_nonnegative, check_choice, require_size, shown
from eventsim.network import Network, require_whole
from eventsim.ranks import WHOLE, Communicator, Ranks, digest_of, together
from eventsim.result import ActivityError, BatchResult, Result
from eventsim.spikes import SpikeBatch, Spikes
from eventsim.start import State
from eventsim.stimulus import Stimulus, StimulusLike, extend_stimulus, read_stimulus

__all__ = ["simulate"]

IN_PARTS = "windows"  # the engine that can run the parts of a network on several processes
MOST_SPIKES = 10**9  # of a sample: numbered by 32 bits, with room for as many again


@overload
def simulate(
    network: Network,
    stimulus: Mapping[str, Spikes],
    t_stop: float,
    *,
    engine: str = ...,
    initial: Mapping[str, State] | None = ...,
    until_fired: str | None = ...,
    max_spikes: int = ...,
    resume: Result | None = ...,
    threads: int | None = ...,
    comm: Communicator | None = ...,
) -> Result: ...


@overload
def simulate(
    network: Network,
    stimulus: Mapping[str, SpikeBatch] | Sequence[Mapping[str, Spikes]],
    t_stop: float,
    *,
    engine: str = ...,
    initial: Mapping[str, State] | None = ...,
    until_fired: str | None = ...,
    max_spikes: int = ...,
    resume: BatchResult | None = ...,
    threads: int | None = ...,
    comm: Communicator | None = ...,
) -> BatchResult: ...


def simulate(
    network: Network,
    stimulus: StimulusLike,
    t_stop: float,
    *,
    engine: str = "auto",
    initial: Mapping[str, State] | None = None,
    until_fired: str | None = None,
    max_spikes: int = 10_000_000,
    resume: Result | BatchResult | None = None,
    threads: int | None = None,
    comm: Communicator | None = None,
) -> Result | BatchResult:
    """Simulate a network exactly, in continuous time, from t = 0 (or from ``resume``).

    Parameters
    ----------
    network : Network
        What is connected.
    stimulus : dict of str -> Spikes, list of such dicts, or dict of str -> SpikeBatch
        Input spikes by input name; inputs left out are silent.  A list or a `SpikeBatch` is a batch
        of independent samples, simulated in parallel.
    t_stop : float
        End of the run; events at ``t_stop`` happen, later input spikes wait for a resumed run.
    engine : {"auto", "scheduler", "windows", "layered", "cuda", "cuda-float32"}
        How to simulate; every engine gives the same answer up to rounding. "layered" is the fastest
        for feed-forward networks, above all for batches; "auto" takes it if all layers are
        all-to-all, convolutions or pools, with one delay per projection and few time constants, and
        the run does not end early (the scheduler then leaves out what the layers would compute in
        vain). "windows" is faster than "scheduler" for busy recurrent networks, but needs delays >
        0 between neurons, cannot end early, and refuses a run of more than 1e8 windows (of half of
        the shortest time constant, or of the shortest delay); "auto" takes it for such networks of
        200 neurons or more, unless they have hardly any synapses, very short delays or more than 8
        kinds of neurons. A resumed run keeps its engine; "layered" then runs the whole time anew.
        "cuda" and "cuda-float32" are "layered" on an NVIDIA GPU (extra ``cuda``), experimental;
        "auto" never takes them. With "cuda-float32" what the device keeps of a run (weights, times,
        states) is of single precision; the search for a crossing is not.
    initial : dict of str -> State, optional
        Potentials and currents of populations at t = 0 (not with ``resume``); those left out begin
        at rest, without a current.
    until_fired : str, optional
        End a sample when every neuron of this population has fired (not with ``resume``).  First
        spikes, and the gradients of losses on them, are those of the whole run: nothing later can
        change them.
    max_spikes : int
        Cap on the spikes of a sample, against runaway activity; at most 1e9.  It bounds the memory
        of a run: some 200 bytes for each spike at most.
    resume : Result or BatchResult, optional
        Go on where this run of the same network stopped.  ``stimulus`` then holds further input
        spikes, later than its ``t_stop``.  The result holds the whole history, bit for bit that of
        one uninterrupted run.
    threads : int, optional
        Number of threads, for the samples of a batch or the neurons of a single one; default: all
        processors, or one with ``comm``.
    comm : communicator of mpi4py, optional
        Run on several processes, each of which calls this with the same arguments: each works for
        some neurons of every population, and holds the synapses onto them, or all
        (`Network`, ``part``).  All of them return the whole result, bit for bit that of one
        process.  Only engine "windows" can; samples of a batch are run in turn.

    Returns
    -------
    Result or BatchResult
        Spikes, exact potentials, and all that the gradients need.

    Raises
    ------
    ValueError
        Before any work: unknown names or engines, bad times or indices, an end beyond 1e100.
    ActivityError
        If a sample exceeds ``max_spikes``; the spikes so far are in its ``result``.
    RankError
        If another process of ``comm`` has failed; the message names it.

    Notes
    -----
    The first call in a process compiles the engine (seconds; later processes read it from a cache).
    Same inputs give bit-identical spikes, alone or in a batch, whatever the number of threads.

    Examples
    --------
    >>> import eventsim as es
    >>> net = es.Network()
    >>> net.add_input("in", 2)
    >>> net.add_population("out", 1, es.LIF(tau_mem=2.0, tau_syn=1.0))
    >>> key = net.connect("in", "out", weights=[[1.0], [2.0]], delays=0.1)
    >>> result = es.simulate(net, {"in": es.Spikes([0.0, 0.3], [0, 1])}, t_stop=4.0)
    >>> result.spikes["out"].times.round(6)
    array([0.792659])
    """
    run = partial(
        _simulate, network, stimulus, t_stop, engine, initial, until_fired, max_spikes, resume,
        threads,
    )  # fmt: skip
    return run(None) if comm is None else together(comm, run)


def _simulate(
    network: Network,
    stimulus: StimulusLike,
    t_stop: float,
    engine: str,
    initial: Mapping[str, State] | None,
    until_fired: str | None,
    max_spikes: int,
    resume: Result | BatchResult | None,
    threads: int | None,
    ranks: Ranks | None,
) -> Result | BatchResult:
    """Check, choose an engine, and run it."""
    if not isinstance(network, Network):
        raise ValueError(f"network must be an eventsim.Network, got {shown(network)}")
    _check_part(network, ranks)
    layout_of(network)
    check_choice(engine, ("auto", *ENGINES), "engine")
    t_stop = as_nonnegative(t_stop, "t_stop")
    require_size(t_stop, "t_stop")
    max_spikes = as_count(max_spikes, "max_spikes", most=MOST_SPIKES)
    threads = thread_count(1 if threads is None and ranks is not None else threads)
    t_stop = _beyond_pools(network, t_stop, np.inf)
    if until_fired is not None:
        network.neurons_of(until_fired, "until_fired")
    old = None if resume is None else _resumed(network, resume)
    for name, value in (("until_fired", until_fired), ("initial", initial)):
        if resume is not None and value is not None:
            raise ValueError(f"{name} must be None with resume, got {shown(value)}")
    begun = initial if old is None else old.stimulus.start
    given, is_batch = read_stimulus(network, stimulus, begun)
    if resume is not None and old is not None:
        given, is_batch = _joined(network, old, given, t_stop), isinstance(resume, BatchResult)
        _check_history(network, old, resume, max_spikes)
    job = Job(network, given, t_stop, engine, until_fired, max_spikes, threads, old, ranks)
    if ranks is not None:
        ranks.require_same(_said(job))
    job = _chosen(job)
    batch, excess = engine_named(job.engine).run(job)
    result = batch if is_batch else Result(batch)
    for k, (neuron, time) in excess.items():
        raise _activity_error(network, result, k, neuron, time)
    return result


def _check_part(network: Network, ranks: Ranks | None) -> None:
    """Raise a ValueError unless this process is the one for which a network keeps its synapses."""
    if ranks is None:
        require_whole(network, "a run without comm")
    elif network.part not in (WHOLE, ranks.part):
        raise ValueError(
            f"part of the network must be {ranks.part}, this rank and their number, "
            f"got {network.part}"
        )


def _said(job: Job) -> dict[str, str]:
    """Return what has to be the same on all ranks, by the name of the argument."""
    given, old = job.given, job.old
    return {
        "network": job.network.digest,
        "stimulus": digest_of(given.times, given.sources, given.offsets),
        "initial": digest_of(given.start.states),
        "resume": "None" if old is None else digest_of(old.engine, old.ends, old.record, old.state),
        **{
            name: repr(getattr(job, name))
            for name in ("t_stop", "engine", "until_fired", "max_spikes")
        },
    }


def _beyond_pools(network: Network, time: float, towards: float) -> float:
    """Return the time by which all pools in a row have fired: each does just after the last one."""
    for _ in range(max(network.pool_ranks.values(), default=0) - 1):
        time = float(np.nextafter(time, towards))
    return time


def _chosen(job: Job) -> Job:
    """Return the job with the engine to take; ValueError if the one asked for cannot do it."""
    if job.old is not None:
        made_by = job.old.engine
        if job.engine not in ("auto", made_by):
            raise ValueError(
                f"engine must be {made_by!r}, which made the resumed run, got {shown(job.engine)}"
            )
        job = job._replace(engine=made_by)
    elif job.engine == "auto" and job.ranks is not None:
        job = job._replace(engine=IN_PARTS)
    elif job.engine == "auto":
        return next(filter(_is_fit, (job._replace(engine=name) for name in AUTOMATIC)))
    if job.ranks is not None and job.engine != IN_PARTS:
        raise ValueError(f"engine must be {IN_PARTS!r} with comm, got {job.engine!r}")
    obstacle = engine_named(job.engine).obstacle(job)
    if obstacle:
        raise ValueError(obstacle)
    return job


def _is_fit(job: Job) -> bool:
    """Tell whether an engine can do a job, and is likely to be the fastest."""
    engine = engine_named(job.engine)
    return engine.obstacle(job) is None and engine.pays(job)


def _resumed(network: Network, resume: Result | BatchResult) -> BatchResult:
    """Return the run that is to go on; ValueError if it is none of this network."""
    if not isinstance(resume, (Result, BatchResult)):
        raise ValueError(f"resume must be a Result or a BatchResult, got {shown(resume)}")
    old = resume if isinstance(resume, BatchResult) else resume.batch
    if not old.network.is_same(network):
        raise ValueError(f"resume must be a result of this network, got {shown(resume)}")
    return old


def _joined(network: Network, old: BatchResult, more: Stimulus, t_stop: float) -> Stimulus:
    """Return the whole stimulus of a run that goes on with ``more``."""
    latest = _beyond_pools(network, float(old.ends.max()), -np.inf)
    if t_stop < latest:
        raise ValueError(f"t_stop must be >= {latest}, where resume ended, got {shown(t_stop)}")
    if more.n_samples != len(old) and more.times.size:
        raise ValueError(f"stimulus must have {len(old)} samples, got {more.n_samples}")
    if more.times.size and more.times.min() <= latest:
        raise ValueError(
            f"stimulus must come after {latest}, where resume ended, got {shown(more.times.min())}"
        )
    return extend_stimulus(network, old.stimulus, more) if more.times.size else old.stimulus


def _check_history(
    network: Network, old: BatchResult, resume: Result | BatchResult, max_spikes: int
) -> None:
    """Raise an ActivityError if a sample has more spikes than ``max_spikes`` already."""
    beyond = np.flatnonzero(np.diff(old.offsets) > max_spikes)
    if beyond.size:
        k = int(beyond[0])
        at = int(old.offsets[k]) + max_spikes
        neuron, time = int(old.record.neuron[at]), float(old.record.time[at])
        raise _activity_error(network, resume, k, neuron, time, count=max_spikes)


def _activity_error(
    network: Network,
    result: Result | BatchResult,
    k: int,
    neuron: int,
    time: float,
    count: int | None = None,
) -> ActivityError:
    """Return the error of sample ``k``.

    ``count`` is the cap, if the result does not hold as many spikes.
    """
    batch = result.batch if isinstance(result, Result) else result
    start = layout_of(network).neuron_start
    population = max((name for name in start if start[name] <= neuron), key=start.__getitem__)
    count = int(batch.state.count[k, SPIKES]) if count is None else count
    return ActivityError(result, k, population, neuron - start[population], time, count)
