"""The gradient of a minibatch that is cut into shards: by one process, or by several.

How it is cut depends on nothing but the number of shards, and their gradients are added in their
order.  So whoever does a shard, and how often it was tried, changes no bit of the sum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import partial, reduce
from typing import Any, NamedTuple, TypeVar

import numpy as np
from scipy import sparse

from eventsim._support.sources import check_code, code
from eventsim._support.types import FloatArray
from eventsim._support.validate import as_count, check_choice, shown
from eventsim.network import Network
from eventsim.result import ActivityError, BatchResult, joined_batch
from eventsim.simulation import ENGINE_NAMES, simulate
from eventsim.spikes import SpikeBatch
from eventsim.start import State
from eventsim.stimulus import Stimulus, read_stimulus
from gradients.gradient import Gradient
from gradients.losses.loss import Loss
from gradients.timing_backprop import check_derivatives, timing_backprop

__all__ = ["SHARDS", "Cut", "Sharing", "as_sharing", "backward", "cut_up", "forward"]

SHARDS = 8  # where an executor is given, and no number
WAIT = 3600.0  # s, for which a shard is waited for
PACKAGES = ("eventsim", "gradients")
BY_SAMPLE = ("first_spikes", "potentials")

T = TypeVar("T")
Trains = dict[str, SpikeBatch]


@dataclass(frozen=True)
class Sharing:
    """How minibatches are cut up, and who does the shards.

    Attributes
    ----------
    shards : int
        Number of shards; of fewer samples, one for each.
    executor : Executor, optional
        Who does them; None: this process, one after the other.
    """

    shards: int
    executor: Executor | None

    def edges(self, n_samples: int) -> list[tuple[int, int]]:
        """Return the first sample of each shard, and one past its last."""
        n = min(self.shards, n_samples)
        return [(n_samples * k // n, n_samples * (k + 1) // n) for k in range(n)]

    @contextmanager
    def results(
        self, function: Callable[..., T], calls: Sequence[tuple[Any, ...]]
    ) -> Iterator[Iterator[T]]:
        """Yield what the calls return, in their order; what fails ends the others."""
        if self.executor is None:
            yield (function(*call) for call in calls)
            return
        here = code(*PACKAGES)
        futures: list[Future[T]] = []
        try:
            futures.extend(self.executor.submit(_called, here, function, *call) for call in calls)
            yield (self._result(future, k, len(calls)) for k, future in enumerate(futures))
        finally:
            for future in futures:
                future.cancel()

    def _result(self, future: Future[T], k: int, n: int) -> T:
        try:
            return future.result(WAIT)
        except TimeoutError as error:
            if future.done():  # by an error of its own
                raise
            raise TimeoutError(
                f"shard {k} of {n} was not done {WAIT:g} s after it was waited for: are there "
                "workers left?"
            ) from error
        except CancelledError as error:
            raise RuntimeError(f"shard {k} of {n} was given up: its workers are gone") from error


def as_sharing(shards: object, executor: object) -> Sharing | None:
    """Return how a minibatch is shared as the arguments say; None: it is not.

    Raises
    ------
    ValueError
        If an argument cannot be used.
    """
    if executor is not None and not isinstance(executor, Executor):
        raise ValueError(
            "executor must be a concurrent.futures.Executor, such as a Dask client's "
            f"get_executor(), got {shown(executor)}"
        )
    if shards is None:
        return None if executor is None else Sharing(SHARDS, executor)
    return Sharing(as_count(shards, "shards"), executor)


class Cut(NamedTuple):
    """A minibatch in shards: of each the first sample, one past the last, trains and states."""

    whole: Stimulus
    edges: list[tuple[int, int]]
    trains: list[Trains]
    initial: list[Mapping[str, State] | None]


def cut_up(
    sharing: Sharing,
    network: Network,
    stimulus: Any,
    initial: Mapping[str, State] | None,
    engine: str,
) -> Cut:
    """Cut a minibatch up.

    Raises
    ------
    ValueError
        If it is no batch, spikes are drawn, by the number of the sample in its batch, or the engine
        is one of devices.
    """
    if not isinstance(network, Network):
        raise ValueError(f"network must be an eventsim.Network, got {shown(network)}")
    check_choice(engine, ENGINE_NAMES, "engine")
    if engine.startswith("cuda"):
        raise ValueError(f"engine must be one of processors with shards, got {engine!r}")
    if network.generators:
        raise ValueError(
            "shards must be None where inputs are generators, which draw for a whole batch, got "
            f"{sharing.shards} with {shown(list(network.generators))}"
        )
    whole, is_batch = read_stimulus(network, stimulus, initial)
    if not is_batch:
        raise ValueError(f"shards must be None for a single sample, got {sharing.shards}")
    edges = sharing.edges(whole.n_samples)
    return Cut(
        whole,
        edges,
        [{name: train[a:b] for name, train in whole.trains.items()} for a, b in edges],
        [None if initial is None else {name: _rows(state, a, b) for name, state in initial.items()}
         for a, b in edges],
    )  # fmt: skip


def _rows(state: State, first: int, last: int) -> State:
    """Return the states of some samples."""

    def own(values: Any) -> Any:
        return values[first:last] if np.ndim(values) == 2 else values

    current = state.current
    if isinstance(current, Mapping):
        return State(own(state.potential), {name: own(each) for name, each in current.items()})
    return State(own(state.potential), own(current))


# --- forward --------------------------------------------------------------------------------------


def forward(sharing: Sharing, network: Network, cut: Cut, **options: Any) -> BatchResult:
    """Simulate all shards; return the run of the minibatch.

    Raises
    ------
    ActivityError
        If a sample exceeds the cap.
    """
    given = zip(cut.trains, cut.initial, strict=True)
    calls = [(network, trains, initial, options) for trains, initial in given]
    parts: list[BatchResult] = []
    with sharing.results(_run, calls) as found:
        try:
            for part in found:
                parts.append(part)  # noqa: PERF402  # those before the one that fails are needed
        except ActivityError as error:
            raise _of_whole(error, cut, parts) from error
    return joined_batch(network.snapshot(), cut.whole, parts)


def _of_whole(error: ActivityError, cut: Cut, before: Sequence[BatchResult]) -> ActivityError:
    """Return the error of a shard as one of the minibatch."""
    first = cut.edges[len(before)][0]
    result = error.result
    assert isinstance(result, BatchResult), "a shard is a batch"
    given = cut.whole.sample(slice(first + len(result)))
    joined = joined_batch(result.network, given, [*before, result])
    return ActivityError(
        joined, first + error.sample, error.population, error.neuron, error.time, error.count
    )


def _run(
    network: Network, trains: Trains, initial: Mapping[str, State] | None, options: dict[str, Any]
) -> BatchResult:
    return _alone(simulate(network, trains, initial=initial, **options))


def _alone(result: Any) -> Any:
    """Return a run without what it was given, which the other side has."""
    return replace(result, network=None, stimulus=None)


# --- backward -------------------------------------------------------------------------------------


def backward(
    sharing: Sharing, result: BatchResult, cut: Cut, loss: Loss, **options: Any
) -> Gradient:
    """Return the gradient of a loss of the minibatch, summed shard by shard.

    Raises
    ------
    ValueError
        If its derivatives do not fit the run.
    """
    derivatives = {name: getattr(loss, name) for name in ("spike_times", *BY_SAMPLE)}
    check_derivatives(result, **derivatives)
    calls = []
    for (a, b), trains, initial in zip(cut.edges, cut.trains, cut.initial, strict=True):
        own = {**_own(result, derivatives, a, b), **options}
        calls.append((result.network, trains, initial, _alone(result[a:b]), own))
    with sharing.results(_swept, calls) as found:
        parts = list(found)
    return _summed(parts, result, cut)


def _own(
    result: BatchResult, derivatives: Mapping[str, Mapping[str, FloatArray]], first: int, last: int
) -> dict[str, dict[str, FloatArray]]:
    """Return the derivatives by what happens in some samples."""
    own = {
        name: {key: rows[first:last] for key, rows in derivatives[name].items()}
        for name in BY_SAMPLE
    }
    own["spike_times"] = {}
    for key, values in derivatives["spike_times"].items():
        samples = result.samples[result.positions(key)]
        start, stop = np.searchsorted(samples, (first, last))
        own["spike_times"][key] = values[start:stop]
    return own


def _swept(
    network: Network,
    trains: Trains,
    initial: Mapping[str, State] | None,
    run: BatchResult,
    options: dict[str, Any],
) -> Gradient:
    stimulus, _ = read_stimulus(network, trains, initial)
    return timing_backprop(replace(run, network=network, stimulus=stimulus), **options)


def _summed(parts: Sequence[Gradient], result: BatchResult, cut: Cut) -> Gradient:
    each_begins = cut.whole.start.states.shape[0] > 1
    total = {
        one.name: reduce(_plus, (getattr(part, one.name) for part in parts))
        for one in fields(Gradient)
        if one.name not in ("initial", "input_times", "min_slope", "silent_fraction")
    }
    join: Callable[[Any, Any], Any] = _stacked if each_begins else _plus
    return Gradient(
        **total,
        initial={
            name: reduce(partial(_joined, join), (part.initial[name] for part in parts))
            for name in parts[0].initial
        },
        input_times={
            name: _in_order(cut, name, [part.input_times[name] for part in parts])
            for name in parts[0].input_times
        },
        min_slope=result.min_slope,
        silent_fraction=result.silent_fraction,
    )


def _plus(left: Any, right: Any) -> Any:
    """Return the sum of two trees of numbers, arrays and sparse arrays of the same form."""
    if isinstance(left, Mapping):
        return {key: _plus(left[key], right[key]) for key in left}
    if sparse.issparse(left):
        data = left.data + right.data
        return sparse.csr_array((data, left.indices, left.indptr), shape=left.shape)
    return left + right


def _stacked(left: Any, right: Any) -> Any:
    return np.concatenate([np.atleast_2d(left), np.atleast_2d(right)])


def _joined(join: Callable[[Any, Any], Any], left: State, right: State) -> State:
    if isinstance(left.current, Mapping):
        assert isinstance(right.current, Mapping), "of the same neurons"
        current: Any = {key: join(left.current[key], right.current[key]) for key in left.current}
    else:
        current = join(left.current, right.current)
    return State(join(left.potential, right.potential), current)


def _in_order(cut: Cut, name: str, parts: Sequence[FloatArray]) -> FloatArray:
    """Return derivatives by the input spikes of all shards in the order of the caller's spikes."""
    by_sample = [part[trains[name].order] for part, trains in zip(parts, cut.trains, strict=True)]
    whole = np.empty(sum(part.size for part in parts))
    whole[cut.whole.trains[name].order] = np.concatenate(by_sample)
    return whole


def _called(here: Mapping[str, str], function: Callable[..., T], *arguments: Any) -> T:
    """Call a function in another process, if it has the same code."""
    check_code(here)
    return function(*arguments)
