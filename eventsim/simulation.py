"""`simulate`: checks, buffers, and the call of an engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeAlias, overload

import numpy as np

from eventsim._engines.layered.host import CapReachedError, CudaState, LayeredState, run_layers
from eventsim._engines.scheduler.host import run_scheduler
from eventsim._engines.scheduler.loop import REFERENCE, Run, new_record
from eventsim._engines.windows.host import (
    new_window_state,
    resumed_window_state,
    run_windows,
    window_obstacle,
    windows_pay,
)
from eventsim._engines.windows.loop import WindowState
from eventsim._layout.layers import layered_obstacle, layers_pay
from eventsim._layout.wiring import compiled_form, layout_of
from eventsim._support.threads import thread_count
from eventsim._support.validate import as_count, as_nonnegative, check_choice, require_size, shown
from eventsim.network import Network
from eventsim.result import ActivityError, BatchResult, Result
from eventsim.spikes import SpikeBatch, Spikes
from eventsim.stimulus import Stimulus, StimulusLike, extend_stimulus, read_stimulus

__all__ = ["simulate"]

ENGINES = ("auto", "scheduler", "windows", "layered", "cuda")
PRECISIONS = ("float64", "float32")
MOST_SPIKES = 10**9  # of a sample: numbered by 32 bits, with room for as many again

Excess: TypeAlias = dict[int, tuple[int, float]]
"""Neuron and time of the spike beyond the cap, of the last sample; empty if all are complete."""


@overload
def simulate(
    network: Network,
    stimulus: Mapping[str, Spikes],
    t_stop: float,
    *,
    engine: str = ...,
    until_fired: str | None = ...,
    max_spikes: int = ...,
    resume: Result | None = ...,
    threads: int | None = ...,
    precision: str | None = ...,
) -> Result: ...


@overload
def simulate(
    network: Network,
    stimulus: Mapping[str, SpikeBatch] | Sequence[Mapping[str, Spikes]],
    t_stop: float,
    *,
    engine: str = ...,
    until_fired: str | None = ...,
    max_spikes: int = ...,
    resume: BatchResult | None = ...,
    threads: int | None = ...,
    precision: str | None = ...,
) -> BatchResult: ...


def simulate(
    network: Network,
    stimulus: StimulusLike,
    t_stop: float,
    *,
    engine: str = "auto",
    until_fired: str | None = None,
    max_spikes: int = 10_000_000,
    resume: Result | BatchResult | None = None,
    threads: int | None = None,
    precision: str | None = None,
) -> Result | BatchResult:
    """Simulate a network exactly, in continuous time, from rest at t = 0 (or from ``resume``).

    Parameters
    ----------
    network : Network
        What is connected.
    stimulus : dict of str -> Spikes, list of such dicts, or dict of str -> SpikeBatch
        Input spikes by input name; inputs left out are silent.  A list or a `SpikeBatch` is a batch
        of independent samples, simulated in parallel.
    t_stop : float
        End of the run; events at ``t_stop`` happen, later input spikes wait for a resumed run.
    engine : {"auto", "scheduler", "windows", "layered", "cuda"}
        How to simulate; every engine gives the same answer up to rounding. "layered" is the fastest
        for feed-forward networks, above all for batches; "auto" takes it if all layers are
        all-to-all, convolutions or pools, with one delay per projection and few time constants, and
        the run does not end early (the scheduler then leaves out what the layers would compute in
        vain). "windows" is faster than "scheduler" for busy recurrent networks, but needs delays >
        0 between neurons, cannot end early, and refuses a run of more than 1e8 windows (of half of
        the shortest time constant, or of the shortest delay); "auto" takes it for such networks of
        200 neurons or more, unless they have hardly any synapses, very short delays or more than 8
        kinds of neurons. A resumed run keeps its engine; "layered" then runs the whole time anew.
        "cuda" is "layered" on an NVIDIA GPU (extra ``cuda``); "auto" never takes it.
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
        Number of threads for the samples of a batch; default: all processors.
    precision : {"float64", "float32"}, optional
        "float32": what a CUDA device keeps of a run (weights, times, states) is of single
        precision; the search for a crossing is not.  Default: "float64", or that of ``resume``.

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
    if not isinstance(network, Network):
        raise ValueError(f"network must be an eventsim.Network, got {shown(network)}")
    check_choice(engine, ENGINES, "engine")
    t_stop = as_nonnegative(t_stop, "t_stop")
    require_size(t_stop, "t_stop")
    max_spikes = as_count(max_spikes, "max_spikes", most=MOST_SPIKES)
    threads = thread_count(threads)
    t_stop = _beyond_pools(network, t_stop, np.inf)
    awaited = _awaited(network, until_fired)
    given, is_batch = read_stimulus(network, stimulus)
    old = None
    if resume is not None and until_fired is not None:
        raise ValueError(f"until_fired must be None with resume, got {shown(until_fired)}")
    if resume is not None:
        old, given, is_batch = _joined(network, given, t_stop, resume)
        _check_history(network, old, resume, max_spikes)
    engine = _chosen_engine(network, engine, t_stop, until_fired, old)
    precision = _chosen_precision(precision, engine, old)
    if engine in ("layered", "cuda"):
        run = _cuda_runner(precision) if engine == "cuda" else partial(_run_layers, threads=threads)
        batch, excess = _run_layered(run, network, given, t_stop, until_fired, max_spikes)
    elif engine == "windows":
        batch, excess = _run_windows(network, given, t_stop, max_spikes, threads, old)
    else:
        batch, excess = _run_scheduler(network, given, t_stop, awaited, max_spikes, threads, old)
    result = batch if is_batch else Result(batch)
    for k, (neuron, time) in excess.items():
        raise _activity_error(network, result, k, neuron, time)
    return result


def _beyond_pools(network: Network, time: float, towards: float) -> float:
    """Return the time by which all pools in a row have fired: each does just after the last one."""
    for _ in range(max(network.pool_ranks.values(), default=0) - 1):
        time = float(np.nextafter(time, towards))
    return time


def _chosen_engine(
    network: Network,
    engine: str,
    t_stop: float,
    until_fired: str | None,
    old: BatchResult | None,
) -> str:
    """Return the engine to take; ValueError if the one asked for cannot do the run."""
    if old is not None:
        made_by = _engine_of(old)
        if engine not in ("auto", made_by):
            raise ValueError(
                f"engine must be {made_by!r}, which made the resumed run, got {shown(engine)}"
            )
        engine = made_by
    if engine == "scheduler":
        return engine
    if engine in ("auto", "layered", "cuda"):
        hindrance = layered_obstacle(network, engine)
        if engine != "auto":
            if hindrance:
                raise ValueError(hindrance)
            return engine
        if hindrance is None and until_fired is None and layers_pay(network):
            return "layered"
    compiled = compiled_form(network)
    begun = 0.0 if old is None else float(old.ends.max())
    obstacle = window_obstacle(compiled, begun, t_stop, until_fired)
    if engine == "windows" and obstacle:
        raise ValueError(obstacle)
    if engine == "windows":
        return engine
    usable = obstacle is None and windows_pay(compiled)
    return "windows" if usable else "scheduler"


def _engine_of(result: BatchResult) -> str:
    kinds = {WindowState: "windows", LayeredState: "layered", CudaState: "cuda"}
    return kinds.get(result.state_kind, "scheduler")


def _chosen_precision(precision: str | None, engine: str, old: BatchResult | None) -> str:
    """Return the precision to compute with; ValueError if the engine has none of that name."""
    begun = str(getattr(old, "dtype", "float64"))
    precision = begun if precision is None else precision
    check_choice(precision, PRECISIONS, "precision")
    if engine != "cuda" and precision != "float64":
        raise ValueError(
            f"precision must be 'float64' with engine {engine!r}, got {shown(precision)}"
        )
    if old is not None and precision != begun:
        raise ValueError(
            f"precision must be {begun!r}, as in the resumed run, got {shown(precision)}"
        )
    return precision


def _awaited(network: Network, until_fired: str | None) -> tuple[int, int]:
    """Return the range of the neurons whose first spikes end the run; empty: it is not ended."""
    if until_fired is None:
        return 0, 0
    part = network.neurons_of(until_fired, "until_fired")
    return part.start, part.stop


LayerRunner: TypeAlias = Callable[[Network, Stimulus, float, int], BatchResult]


def _run_layers(
    network: Network, given: Stimulus, t_stop: float, cap: int, threads: int
) -> BatchResult:
    ends = np.full(given.n_samples, t_stop)
    run = run_layers(network, given, t_stop, cap, threads)
    return BatchResult(network.snapshot(), given, ends, *run)


def _cuda_runner(precision: str) -> LayerRunner:
    """Return `run_layers` of the CUDA engine.

    Raises
    ------
    RuntimeError
        If there is no device to run it on.
    """
    from eventsim._engines import cuda  # late: an extra, slow to import

    obstacle = cuda.device_obstacle()
    if obstacle:
        raise RuntimeError(obstacle)
    return partial(cuda.run_layers, dtype=np.dtype(precision))


def _run_layered(
    run: LayerRunner,
    network: Network,
    given: Stimulus,
    t_stop: float,
    until_fired: str | None,
    max_spikes: int,
) -> tuple[BatchResult, Excess]:
    """Return (result, spikes beyond the cap) of the layered engine.

    Layers are not run in the order of time: a sample beyond the cap is run once more, alone, up to
    a time at which it has not many more spikes, to say which was the first one too many.  Where
    samples end early, all are, as the spikes beyond the cap may lie beyond the end.
    """
    try:
        batch = run(network, given, t_stop, max_spikes)
    except CapReachedError as reached:
        if until_fired is not None:
            return _layers_until_fired(run, network, given, t_stop, until_fired, max_spikes)
        return _layers_to_cap(run, network, given, t_stop, max_spikes, reached.sample)
    return (batch if until_fired is None else batch.ended_when_fired(until_fired)), {}


def _run_to_cap(
    run: LayerRunner, network: Network, one: Stimulus, t_stop: float, cap: int
) -> tuple[BatchResult, tuple[int, float] | None]:
    """Return the run of one sample up to its cap, and (neuron, time) of the spike beyond it.

    A bisection of the end: there are a few spikes at most at one and the same time.
    """
    low, high, end, room = 0.0, t_stop, t_stop, 2 * cap
    while True:
        try:
            batch = run(network, one, end, room)
        except CapReachedError:
            high = end
        else:
            if end == t_stop or batch.offsets[-1] > cap:
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
    count[0, 0] = cap
    neuron[:, :, REFERENCE] = np.inf  # there is no state at the end
    cut = BatchResult(
        batch.network,
        batch.stimulus,
        np.array([beyond[1]]),
        Run._make(column[:cap] for column in record),
        np.array([0, cap]),
        batch.state._replace(neuron=neuron, count=count),
    )
    return cut, beyond


def _layers_to_cap(
    run: LayerRunner, network: Network, given: Stimulus, t_stop: float, cap: int, sample: int
) -> tuple[BatchResult, Excess]:
    """Return (result, spikes beyond the cap) up to the first sample beyond it, given one that is.

    Layers meet them in any order.
    """
    parts: list[BatchResult] = []
    while sample > 0 and not parts:
        try:
            parts = [run(network, _first(network, given, sample), t_stop, cap)]
        except CapReachedError as reached:
            sample = reached.sample
    one, beyond = _run_to_cap(run, network, given.sample(network, sample), t_stop, cap)
    assert beyond is not None
    return _in_a_row(network, given, [*parts, one]), {sample: beyond}


def _layers_until_fired(
    run: LayerRunner,
    network: Network,
    given: Stimulus,
    t_stop: float,
    until_fired: str,
    cap: int,
) -> tuple[BatchResult, Excess]:
    """Return (result, spikes beyond the cap), sample by sample, up to the first one beyond it."""
    parts: list[BatchResult] = []
    excess: Excess = {}
    for k in range(given.n_samples):
        one, beyond = _run_to_cap(run, network, given.sample(network, k), t_stop, cap)
        if beyond is not None and np.any(np.isinf(one.first_spikes(until_fired))):
            parts.append(one)
            excess = {k: beyond}
            break
        parts.append(one.ended_when_fired(until_fired))
    return _in_a_row(network, given, parts), excess


def _first(network: Network, given: Stimulus, n: int) -> Stimulus:
    """Return the stimulus of the first ``n`` samples."""
    return given if n == given.n_samples else given.sample(network, slice(n))


def _in_a_row(network: Network, given: Stimulus, parts: Sequence[BatchResult]) -> BatchResult:
    """Return one result of the samples of several runs of layers."""
    states = zip(*[(part.state.neuron, part.state.count) for part in parts], strict=True)
    neuron, count = (np.concatenate(column) for column in states)
    return BatchResult(
        network.snapshot(),
        _first(network, given, count.shape[0]),
        np.concatenate([part.ends for part in parts]),
        _flat_record([part.record for part in parts]),
        np.concatenate([[0], np.cumsum(count[:, 0])]),
        parts[0].state._replace(neuron=neuron, count=count),
    )


def _run_windows(
    network: Network,
    given: Stimulus,
    t_stop: float,
    max_spikes: int,
    threads: int,
    old: BatchResult | None,
) -> tuple[BatchResult, Excess]:
    """Return (result, spikes beyond the cap) of the window engine."""
    compiled = compiled_form(network)
    if old is None:
        state = new_window_state(compiled.neurons, given.n_samples)
        records = [new_record(0)] * given.n_samples
    else:
        state, records = resumed_window_state(old)
    records, ends, excess = run_windows(
        compiled, given, t_stop, max_spikes, threads, state, records
    )
    n = len(records)
    state = WindowState._make(array[:n] for array in state)
    offsets = np.concatenate([[0], np.cumsum(state.count[:, 0])])
    given = _first(network, given, n)
    record = _flat_record(records)
    return BatchResult(network.snapshot(), given, ends, record, offsets, state), excess


def _flat_record(records: Sequence[Run]) -> Run:
    if len(records) == 1:
        return records[0]
    return Run._make(np.concatenate(columns) for columns in zip(*records, strict=True))


def _run_scheduler(
    network: Network,
    given: Stimulus,
    t_stop: float,
    awaited: tuple[int, int],
    max_spikes: int,
    threads: int,
    old: BatchResult | None,
) -> tuple[BatchResult, Excess]:
    """Return (result, spikes beyond the cap) of the scheduler."""
    record, ends, state, excess = run_scheduler(
        compiled_form(network), given, t_stop, awaited, max_spikes, threads, old
    )
    offsets = np.concatenate([[0], np.cumsum(state.count[:, 0])])
    given = _first(network, given, ends.size)
    return BatchResult(network.snapshot(), given, ends, record, offsets, state), excess


def _joined(
    network: Network, more: Stimulus, t_stop: float, resume: Result | BatchResult
) -> tuple[BatchResult, Stimulus, bool]:
    """Return (old result, stimulus, is_batch) of a run that goes on where ``resume`` stopped."""
    if not isinstance(resume, (Result, BatchResult)):
        raise ValueError(f"resume must be a Result or a BatchResult, got {shown(resume)}")
    old = resume if isinstance(resume, BatchResult) else resume.batch
    if not old.network.is_same(network):
        raise ValueError(f"resume must be a result of this network, got {shown(resume)}")
    latest = _beyond_pools(network, float(old.ends.max()), -np.inf)
    if t_stop < latest:
        raise ValueError(f"t_stop must be >= {latest}, where resume ended, got {shown(t_stop)}")
    if more.n_samples != len(old) and more.times.size:
        raise ValueError(f"stimulus must have {len(old)} samples, got {more.n_samples}")
    if more.times.size and more.times.min() <= latest:
        raise ValueError(
            f"stimulus must come after {latest}, where resume ended, got {shown(more.times.min())}"
        )
    given = extend_stimulus(network, old.stimulus, more) if more.times.size else old.stimulus
    return old, given, isinstance(resume, BatchResult)


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
    count = int(batch.state.count[k, 0]) if count is None else count
    return ActivityError(result, k, population, neuron - start[population], time, count)
