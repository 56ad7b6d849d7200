"""`simulate` and `stream`: checks, the choice of an engine, and its call."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar, overload

import numpy as np

from eventsim._engines.base import Excess, Job
from eventsim._engines.parts import Keeping, part_of, require_structure, under
from eventsim._engines.registry import AUTOMATIC, ENGINES, engine_named
from eventsim._engines.scheduler.host import begun_anew
from eventsim._layout.record import REFERENCE
from eventsim._layout.wiring import kept_by, layout_of
from eventsim._support.threads import thread_count
from eventsim._support.validate import (
    as_count,
    as_names,
    as_nonnegative,
    as_positive,
    check_choice,
    require,
    require_size,
    shown,
)
from eventsim.network import Network, require_whole
from eventsim.ranks import WHOLE, Communicator, Ranks, digest_of, together
from eventsim.result import ActivityError, BatchResult, Result, begun_from
from eventsim.spikes import SpikeBatch, Spikes
from eventsim.start import State
from eventsim.stimulus import (
    Cut,
    Stimulus,
    StimulusLike,
    extend_stimulus,
    read_stimulus,
    with_drawn,
)

__all__ = ["ENGINE_NAMES", "simulate", "stream"]

Answer = TypeVar("Answer")

ENGINE_NAMES = ("auto", *ENGINES)
IN_PARTS = "windows"  # the engine that can run the parts of a network on several processes
MOST_CHUNKS = 1e15  # of a stream: their numbers are exact
FIRST_STRETCH = 1024  # part of a run of which not all is kept, at first
MOST_AT_ONCE = 2**20  # spikes of a stretch of it, about, those of inputs among them
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
    history: bool = ...,
    record: Collection[str] | None = ...,
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
    history: bool = ...,
    record: Collection[str] | None = ...,
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
    history: bool = True,
    record: Collection[str] | None = None,
    threads: int | None = None,
    comm: Communicator | None = None,
) -> Result | BatchResult:
    """Simulate a network exactly, in continuous time, from t = 0 (or from ``resume``).

    Parameters
    ----------
    network : Network
        What is connected.
    stimulus : dict of str -> Spikes, list of such dicts, or dict of str -> SpikeBatch
        Input spikes by input name; inputs left out are silent, and those of generators are drawn.
        A list or a `SpikeBatch` is a batch of independent samples, simulated in parallel: each has
        its own trains of the generators (``[{}] * 8``: eight samples of these alone).
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
        Go on where this run of the same network, or of one built again, stopped.  ``stimulus`` then
        holds further input spikes, later than its ``t_stop``.  The result holds the whole history,
        bit for bit that of one uninterrupted run.
    history : bool
        False: the result is a part of a run, from which another one can go on.  It holds what comes
        after the ``t_stop`` of ``resume``, the very spikes of one uninterrupted run, at a cost and
        in a memory that do not depend on what came before; ``max_spikes`` is that of the part.  The
        network may then be one of `Network.replace`, with other weights and parameters of neurons:
        these hold from there on.  Gradients and causality need the whole run.  "layered" and
        "cuda" leave no state to go on from, and refuse.
    record : collection of str, optional
        Populations whose spikes are kept, and nothing else but counts, and the states at
        ``t_stop``; ``[]``: none.  Of a resumed run without ``history``.  Default: all.
    threads : int, optional
        Number of threads: for the samples of a batch, or in windows for the neurons of a single
        sample; default: all processors, or one with ``comm``.
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
        Before any work: unknown names or engines, bad times or indices, an end beyond 1e100, more
        drawn spikes than 1e9.
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
        history, record, threads,
    )  # fmt: skip
    return _in_company(comm, run)


def _in_company(comm: Communicator | None, run: Callable[[Ranks | None], Answer]) -> Answer:
    """Run something with the other processes of a communicator, or alone."""
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
    history: bool,
    record: Collection[str] | None,
    threads: int | None,
    ranks: Ranks | None,
) -> Result | BatchResult:
    """Check, and run."""
    t_stop = _checked(network, engine, t_stop, ranks)
    max_spikes = as_count(max_spikes, "max_spikes", most=MOST_SPIKES)
    threads = _threads(threads, ranks)
    if until_fired is not None:
        network.neurons_of(until_fired, "until_fired")
    names = None if record is None else as_names(record, network.populations, "record")
    history = _has_history(history, names, resume, until_fired)
    old = None if resume is None else _resumed(network, resume, history)
    for name, value in (("until_fired", until_fired), ("initial", initial)):
        if resume is not None and value is not None:
            raise ValueError(f"{name} must be None with resume, got {shown(value)}")
    given, is_batch = read_stimulus(
        network, stimulus, initial if old is None else old.stimulus.start
    )
    is_batch = is_batch if resume is None else isinstance(resume, BatchResult)
    job = Job(network, given, t_stop, engine, until_fired, max_spikes, threads, old, history, ranks)
    return _simulated(job, names, is_batch, ranks)


def stream(
    network: Network,
    stimulus: StimulusLike | Callable[[float, float], StimulusLike],
    t_stop: float,
    *,
    chunk: float,
    engine: str = "auto",
    initial: Mapping[str, State] | None = None,
    max_spikes: int = 10_000_000,
    resume: Result | BatchResult | None = None,
    record: Collection[str] | None = None,
    threads: int | None = None,
    comm: Communicator | None = None,
) -> Iterator[Result | BatchResult]:
    """Simulate a network part by part: together they are one run, bit for bit.

    Each part costs, in time and memory, what happens in it, whatever came before.

    Parameters
    ----------
    network, engine, initial, max_spikes, threads, comm
        As for `simulate`; ``max_spikes`` of each part.
    stimulus : as for `simulate`, or callable
        Input spikes of the whole run; or a function ``(t_start, t_stop) -> stimulus`` that is
        called before each part for the input spikes in ``(t_start, t_stop]`` (the first part has
        those at t = 0, too).  It may look at the parts before: a closed loop.
    t_stop : float
        End of the last part.
    chunk : float
        Parts end at the multiples of it, and at ``t_stop``.
    resume : Result or BatchResult, optional
        Go on where this part, or whole run, stopped.
    record : collection of str, optional
        Populations whose spikes are kept; default: all.

    Yields
    ------
    Result or BatchResult
        The parts, as ``simulate(..., history=False)`` returns them.  A loop that ends early can go
        on from the last one.

    Raises
    ------
    ValueError
        Before any work: as `simulate`, and if ``chunk`` is not positive.
    ActivityError
        If a sample exceeds ``max_spikes`` within a part.

    Examples
    --------
    >>> import eventsim as es
    >>> net = es.Network()
    >>> net.add_input("in", 1)
    >>> net.add_population("out", 1, es.LIF(tau_mem=1.0, tau_syn=1.0))
    >>> key = net.connect("in", "out", weights=[[4.0]])
    >>> for part in es.stream(net, {"in": es.Spikes([0.5, 2.0], [0, 0])}, 3.0, chunk=1.0):
    ...     print(part.t_start, part.t_stop, part.spikes["out"].times.round(6))
    0.0 1.0 [0.857403]
    1.0 2.0 [1.635885]
    2.0 3.0 [2.177723 2.522316]
    """
    ranks = None if comm is None else Ranks(comm)
    t_stop = _checked(network, engine, t_stop, ranks)
    chunk = as_positive(chunk, "chunk")
    require(t_stop / chunk < MOST_CHUNKS, chunk, f"chunk must be > t_stop / {MOST_CHUNKS:.0e}")
    max_spikes = as_count(max_spikes, "max_spikes", most=MOST_SPIKES)
    threads = _threads(threads, ranks)
    names = None if record is None else as_names(record, network.populations, "record")
    old = None if resume is None else _resumed(network, resume, history=False)
    if old is not None and initial is not None:
        raise ValueError(f"initial must be None with resume, got {shown(initial)}")
    begun = initial if old is None else old.stimulus.start
    whole = None if callable(stimulus) else read_stimulus(network, stimulus, begun)
    given, is_batch = read_stimulus(network, {}) if whole is None else whole
    is_batch = is_batch if resume is None else isinstance(resume, BatchResult)
    job = Job(
        network, given, t_stop, engine, None, max_spikes, threads, old, history=False, ranks=ranks
    )
    _check_goes_on(job)
    job = job._replace(engine=_chosen(job).engine)
    cut = Cut(given)

    def piece(begin: float, end: float, is_last: bool) -> tuple[Stimulus, bool]:
        if not callable(stimulus):
            return cut.until(np.inf if is_last else end), is_batch
        more, several = read_stimulus(network, stimulus(begin, end), begun)
        return more, is_batch or several

    return _parts(job, names, chunk, piece, comm)


def _parts(
    job: Job,
    record: tuple[str, ...] | None,
    chunk: float,
    piece: Callable[[float, float, bool], tuple[Stimulus, bool]],
    comm: Communicator | None,
) -> Iterator[Result | BatchResult]:
    """Yield the parts of a run; ``piece`` has the stimulus of each, and whether it is a batch."""
    begin = 0.0 if job.old is None else _end_of(job.network, job.old)
    last = _beyond_pools(job.network, job.t_stop, -np.inf)
    number = int(begin / chunk)
    while True:
        while number * chunk <= begin:
            number += 1
        end = min(number * chunk, last)
        given, is_batch = piece(begin, end, end == last)
        stop = _beyond_pools(job.network, end, np.inf)
        run = partial(_simulated, job._replace(given=given, t_stop=stop), record, is_batch)
        part = _in_company(comm, run)
        yield part
        if end == last:
            return
        job, begin = job._replace(old=_last_part(part)), end


def _last_part(result: Result | BatchResult) -> BatchResult:
    """Return what a run goes on from: of a run whose spikes are not all kept, its last stretch."""
    batch = result.batch if isinstance(result, Result) else result
    return batch if batch.kept is None else batch.kept.last


def _end_of(network: Network, old: BatchResult) -> float:
    """Return the time after which further input spikes have to come."""
    return _beyond_pools(network, float(old.ends.max()), -np.inf)


def _threads(threads: int | None, ranks: Ranks | None) -> int:
    return thread_count(1 if threads is None and ranks is not None else threads)


def _checked(network: Network, engine: str, t_stop: float, ranks: Ranks | None) -> float:
    """Check what every run is given; return its end."""
    if not isinstance(network, Network):
        raise ValueError(f"network must be an eventsim.Network, got {shown(network)}")
    _check_part(network, ranks)
    layout_of(network)
    check_choice(engine, ENGINE_NAMES, "engine")
    t_stop = as_nonnegative(t_stop, "t_stop")
    require_size(t_stop, "t_stop")
    return _beyond_pools(network, t_stop, np.inf)


def _has_history(
    history: bool, record: tuple[str, ...] | None, resume: object, until_fired: str | None
) -> bool:
    """Return whether a run keeps its history: not with ``record``."""
    if not isinstance(history, (bool, np.bool_)):
        raise ValueError(f"history must be True or False, got {shown(history)}")
    if record is not None and history and resume is not None:
        raise ValueError("history must be False with record and resume, got True")
    if until_fired is not None and not (history and record is None):
        raise ValueError(
            f"until_fired must be None with record or without history, got {shown(until_fired)}"
        )
    return bool(history) and record is None


def _simulated(
    job: Job, record: tuple[str, ...] | None, is_batch: bool, ranks: Ranks | None
) -> Result | BatchResult:
    """Run a job; ``record``: the populations whose spikes are kept, if not all are."""
    job = job._replace(ranks=ranks)
    _check_goes_on(job)
    if ranks is not None:
        ranks.require_same(_said(job))
    job = _chosen(job)
    batch, excess = _advanced(job) if record is None else _in_stretches(job, record)
    result = batch if is_batch else Result(batch)
    for k, (neuron, time) in excess.items():
        raise _activity_error(result, k, neuron, time, job.max_spikes)
    return result


def _check_goes_on(job: Job) -> None:
    """Raise a ValueError unless the job begins where the result ends from which it goes on."""
    if job.old is None:
        return
    latest, more = _end_of(job.network, job.old), job.given
    if job.t_stop < latest:
        raise ValueError(f"t_stop must be >= {latest}, where the run goes on, got {job.t_stop}")
    if more.n_samples != len(job.old) and more.times.size:
        raise ValueError(f"stimulus must have {len(job.old)} samples, got {more.n_samples}")
    first = float(more.times.min(initial=np.inf))
    if first <= latest:
        raise ValueError(f"stimulus must come after {latest}, where the run goes on, got {first}")


def _advanced(job: Job) -> tuple[BatchResult, Excess]:
    """Run a job of a chosen engine: from the start, with its history, or the next part of a run."""
    old, given = job.old, job.given
    if old is None:
        given = with_drawn(job.network, given, job.t_stop)
        return engine_named(job.engine).run(job._replace(given=given))
    given = with_drawn(job.network, given, job.t_stop, old.stimulus.drawn)
    if not job.history:
        job = job._replace(given=given)
        return _next_part(job, old)
    beyond = np.flatnonzero(np.diff(old.offsets) > job.max_spikes)
    if beyond.size:
        k = int(beyond[0])
        at = int(old.offsets[k]) + job.max_spikes
        return old, {k: (int(old.record.neuron[at]), float(old.record.time[at]))}
    given = extend_stimulus(job.network, old.stimulus, given)
    return engine_named(job.engine).run(job._replace(given=given))


def _next_part(job: Job, old: BatchResult) -> tuple[BatchResult, Excess]:
    """Run the next part of a run, under the parameters of the job's network."""
    engine, begun = engine_named(job.engine), old.states_at_end()
    carried = engine.carried(old)
    if not old.network.is_same(job.network):
        if begun is None:
            begun = begun_from(layout_of(old.network).neurons, old.state.neuron, old.ends)
        begun = under(job.network, old, begun)
        carried = begun_anew(carried, job.network, begun)
    given = carried.stimulus.followed_by(job.given)
    cap = job.max_spikes + int(carried.offsets[1])
    batch, excess = engine.run(job._replace(given=given, max_spikes=cap, old=carried))
    return part_of(batch, carried, begun), excess


def _in_stretches(job: Job, record: tuple[str, ...]) -> tuple[BatchResult, Excess]:
    """Run a job in stretches without very many spikes, and keep those of some populations."""
    begin = 0.0 if job.old is None else _end_of(job.network, job.old)
    length, cut = _first_stretch(job, begin), Cut(job.given)
    keeping = Keeping(job.network, record, begin)
    while True:
        end = begin + length
        end = end if begin < end < job.t_stop else job.t_stop
        is_last = end == job.t_stop
        before = keeping.sizes
        stretch = job._replace(
            given=cut.until(np.inf if is_last else end),
            t_stop=end if is_last else _beyond_pools(job.network, end, np.inf),
            max_spikes=job.max_spikes - int(before.min()),
        )
        part, excess = _advanced(stretch)
        keeping.take(part)
        beyond = np.flatnonzero(keeping.sizes > job.max_spikes)
        if beyond.size:
            k = int(beyond[0])
            at = int(part.offsets[k]) + job.max_spikes - int(before[min(k, before.size - 1)])
            excess = {k: (int(part.record.neuron[at]), float(part.record.time[at]))}
        if excess:
            return keeping.result(part)._part(np.arange(min(excess) + 1)), excess
        if is_last:
            return keeping.result(part), excess
        length = _next_stretch(part, begin, length)
        job, begin = job._replace(old=part), end


def _first_stretch(job: Job, begin: float) -> float:
    """Return how long the first stretch is: as what went before suggests, if there is any."""
    shortest, old = (job.t_stop - begin) / FIRST_STRETCH, job.old
    if old is None:
        return shortest
    since = 0.0 if old.before is None else float(old.before.ends.max())
    return max(shortest, _next_stretch(old, since, begin - since))


def _next_stretch(part: BatchResult, since: float, length: float) -> float:
    """Return how long a stretch may be after one that began at ``since``."""
    # Not those under way since before: they may be many, however short the stretch.
    spikes = part.record.time.size + np.count_nonzero(part.stimulus.times > since)
    return length * min(max(MOST_AT_ONCE / (1 + spikes), 0.25), 4.0)


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
        "resume": "None"
        if old is None
        else digest_of(old.network.digest, old.engine, old.ends, old.record, old.state),
        **{
            name: repr(getattr(job, name))
            for name in ("t_stop", "engine", "until_fired", "max_spikes")
        },
    }


def _beyond_pools(network: Network, time: float, towards: float) -> float:
    """Return the time by which all pools in a row have fired: each does just after the last one."""
    for _ in range(_pools_in_a_row(network) - 1):
        time = float(np.nextafter(time, towards))
    return time


@kept_by("structure")
def _pools_in_a_row(network: Network) -> int:
    return max(network.pool_ranks.values(), default=0)


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


def _resumed(network: Network, resume: Result | BatchResult, history: bool) -> BatchResult:
    """Return the run that is to go on; ValueError if it cannot."""
    if not isinstance(resume, (Result, BatchResult)):
        raise ValueError(f"resume must be a Result or a BatchResult, got {shown(resume)}")
    old = resume.batch if isinstance(resume, Result) else resume
    if history:
        if not old.is_whole:
            raise ValueError(
                f"history must be False where resume is a part of a run, from t = {old.t_start} "
                "on, or not all of its spikes are recorded, got True"
            )
        if not old.network.is_same(network):
            raise ValueError(f"resume must be a result of this network, got {shown(resume)}")
        return old
    old = _last_part(resume)
    if np.any(np.isinf(old.state.neuron[:, :, REFERENCE])):
        raise ValueError(
            "resume must have a state at its end, without history, got a run of engine "
            f"{old.engine!r} that exceeded its cap, {shown(resume)}"
        )
    if old.network.version is network.version:
        return old
    if old.network.is_same(network):  # built again: what is derived from this one does for both
        return replace(old, network=network.snapshot())
    require_structure(network, old.network)
    return old


def _activity_error(
    result: Result | BatchResult, k: int, neuron: int, time: float, count: int
) -> ActivityError:
    """Return the error of sample ``k``, which has had so many spikes as it may."""
    batch = result.batch if isinstance(result, Result) else result
    start = layout_of(batch.network).neuron_start
    population = max((name for name in start if start[name] <= neuron), key=start.__getitem__)
    return ActivityError(result, k, population, neuron - start[population], time, count)
