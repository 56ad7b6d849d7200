"""One step of training: simulate, evaluate a loss, and differentiate it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any, TypeAlias, overload

import numpy as np
from scipy import sparse

from eventsim._support.types import FloatArray, Matrix
from eventsim._support.validate import as_finite, as_mapping, shown
from eventsim.convolution import Convolution
from eventsim.network import Network
from eventsim.result import BatchResult, Result
from eventsim.simulation import simulate
from eventsim.spikes import SpikeBatch, Spikes
from eventsim.start import State
from gradients.gradient import Gradient
from gradients.losses.loss import Loss
from gradients.losses.term import Labelled, Term
from gradients.shards import Sharing, as_sharing, backward, cut_up, forward
from gradients.timing_backprop import timing_backprop, wanted_parameters

__all__ = ["value_and_grad"]

Batch: TypeAlias = Mapping[str, SpikeBatch] | Sequence[Mapping[str, Spikes]]


@overload
def value_and_grad(
    network: Network,
    stimulus: Mapping[str, Spikes],
    loss: Callable[[Result], Loss],
    t_stop: float,
    *,
    wrt: Iterable[str] | None = ...,
    engine: str = ...,
    initial: Mapping[str, State] | None = ...,
    until_fired: str | None = ...,
    max_spikes: int = ...,
    threads: int | None = ...,
) -> tuple[float, Gradient, Result]: ...


@overload
def value_and_grad(
    network: Network,
    stimulus: Batch,
    loss: Callable[[BatchResult], Loss],
    t_stop: float,
    *,
    wrt: Iterable[str] | None = ...,
    engine: str = ...,
    initial: Mapping[str, State] | None = ...,
    until_fired: str | None = ...,
    max_spikes: int = ...,
    threads: int | None = ...,
    shards: int | None = ...,
    executor: Executor | None = ...,
) -> tuple[float, Gradient, BatchResult]: ...


def value_and_grad(
    network: Network,
    stimulus: Mapping[str, Spikes] | Batch,
    loss: Callable[[Any], Loss],
    t_stop: float,
    *,
    wrt: Iterable[str] | None = ("weights",),
    engine: str = "auto",
    initial: Mapping[str, State] | None = None,
    until_fired: str | None = None,
    max_spikes: int = 10_000_000,
    threads: int | None = None,
    shards: int | None = None,
    executor: Executor | None = None,
) -> tuple[float, Gradient, Result | BatchResult]:
    """Simulate a network, and return the value of a loss with its exact gradient.

    Parameters
    ----------
    network, stimulus, t_stop, engine, initial, until_fired, max_spikes, threads
        As for `eventsim.simulate`.
    loss : callable
        ``loss.of(labels)`` of a `FirstSpikeCrossEntropy`, a `MembraneCrossEntropy` or a sum of such
        losses, or a function of your own, from the `Result` or `BatchResult` to a `Loss`.
    wrt : iterable of str, or None
        By which parameters to differentiate, as for `timing_backprop`; None: by all.
    shards : int, optional
        Into how many shards to cut a batch, whose gradients are added in their order (one for each
        sample, if there are fewer of these).  The sum depends on this number in its last digits,
        and on nothing else.  Default: the batch is not cut; with an ``executor``: 8.
    executor : concurrent.futures.Executor, optional
        Who does the shards, such as a `concurrent.futures.ProcessPoolExecutor` or a Dask client's
        ``get_executor(pure=False)``, with one thread each unless ``threads`` says another number;
        default: this process, in turn.  The loss is evaluated here, and need not be pickled.

    Returns
    -------
    value : float
        The loss.
    gradient : Gradient
        Its derivatives; of a batch summed over the samples, so that the derivatives of a mean over
        samples are those of that mean.
    result : Result or BatchResult
        The run.

    Raises
    ------
    ValueError
        As `eventsim.simulate` and `timing_backprop`; if ``loss`` returns something else than a
        `Loss`; or if a loss of potentials is to be read where ``until_fired`` ended the run, a time
        that itself depends on the parameters.  With shards: if there is a single sample, spikes
        are drawn by generators, or the engine is one of devices.
    ActivityError
        If a sample exceeds ``max_spikes``.
    TimeoutError
        If a shard was not done an hour after it was waited for.
    RuntimeError
        If the executor gave a shard up, or its process has another version of this package.

    Warns
    -----
    SilentLabelsWarning
        If neurons of labels are silent, and nothing wakes them: see `FirstSpikeCrossEntropy`.

    Examples
    --------
    Two samples, whose neuron is to reach the potential 0.5 at the end:

    >>> import eventsim as es, gradients, numpy as np
    >>> net = es.Network()
    >>> net.add_input("in", 1)
    >>> net.add_population("out", 1, es.LIF(tau_mem=1.0, tau_syn=1.0, threshold=np.inf))
    >>> key = net.connect("in", "out", weights=[[1.0]])
    >>> def loss(result):
    ...     error = result.potential("out") - 0.5
    ...     return gradients.Loss(0.5 * np.mean(error**2), potentials={"out": error / len(error)})
    >>> latencies = es.SpikeBatch.from_latencies([[0.0], [0.5]])
    >>> value, gradient, result = gradients.value_and_grad(net, {"in": latencies}, loss, t_stop=1.0)
    >>> value
    0.01404
    >>> gradient.weights[key]       # more weight, more potential, less loss
    array([[-0.054134]])

    The same in two shards; two processes would take ``executor=ProcessPoolExecutor(2)``, too:

    >>> gradients.value_and_grad(net, {"in": latencies}, loss, 1.0, shards=2)[1].weights[key]
    array([[-0.054134]])
    """
    if not callable(loss):
        raise ValueError(f"loss must be a function of the result, got {shown(loss)}")
    wanted = wanted_parameters(wrt)
    if isinstance(loss, Term):
        loss = loss.of(None)
    if isinstance(loss, Labelled):
        loss.check(network, _n_samples(stimulus))
        _check_end(until_fired, loss.loss.reads_potentials)
    options: dict[str, Any] = {
        "engine": engine, "until_fired": until_fired, "max_spikes": max_spikes, "threads": threads,
    }  # fmt: skip
    sharing = as_sharing(shards, executor)
    if sharing is not None:
        return _of_shards(sharing, network, stimulus, loss, t_stop, wanted, initial, options)
    result = simulate(network, stimulus, t_stop, initial=initial, **options)
    found = _evaluated(loss, result, until_fired)
    gradient = timing_backprop(
        result,
        first_spikes=found.first_spikes,
        spike_times=found.spike_times,
        potentials=found.potentials,
        wrt=wanted,
        threads=threads,
    )
    return found.value, _pushed(gradient, network, found.incoming), result


def _of_shards(
    sharing: Sharing,
    network: Network,
    stimulus: Any,
    loss: Callable[[Any], Loss],
    t_stop: float,
    wanted: tuple[str, ...],
    initial: Mapping[str, State] | None,
    options: dict[str, Any],
) -> tuple[float, Gradient, BatchResult]:
    if options["threads"] is None and sharing.executor is not None:
        options["threads"] = 1
    cut = cut_up(sharing, network, stimulus, initial, options["engine"])
    result = forward(sharing, network, cut, t_stop=t_stop, **options)
    found = _evaluated(loss, result, options["until_fired"])
    gradient = backward(sharing, result, cut, found, wrt=wanted, threads=options["threads"])
    return found.value, _pushed(gradient, network, found.incoming), result


def _evaluated(
    loss: Callable[[Any], Loss], result: Result | BatchResult, until_fired: str | None
) -> Loss:
    """Return the loss of a run, checked."""
    found = loss(result)
    if not isinstance(found, Loss):
        raise ValueError(f"loss must return a gradients.Loss, got {shown(found)}")
    _check_end(until_fired, bool(found.potentials))
    return found


def _check_end(until_fired: str | None, reads_potentials: bool) -> None:
    """Raise a ValueError if potentials are to be read where a spike ends the run."""
    if until_fired is not None and reads_potentials:
        raise ValueError(
            f"until_fired must be None for a loss of potentials, got {shown(until_fired)}"
        )


def _n_samples(stimulus: Mapping[str, Any] | Sequence[Any]) -> int:
    """Return the number of samples, as far as it can be told before the stimulus is read."""
    if isinstance(stimulus, (list, tuple)):
        return len(stimulus)
    trains = as_mapping(stimulus, "stimulus").values()
    sizes = [
        len(train) if isinstance(train, SpikeBatch) else getattr(train, "n_samples", None) or 1
        for train in trains
    ]
    return max(sizes, default=1)


def _pushed(gradient: Gradient, network: Network, incoming: Mapping[str, FloatArray]) -> Gradient:
    """Return the gradient, and what is added by each weight onto the neurons of populations."""
    pushes = {}
    for name, values in incoming.items():
        part = network.neurons_of(name, "incoming")
        pushes[name] = as_finite(values, (part.stop - part.start,), f"incoming[{name!r}]")
    weights = dict(gradient.weights)
    for key, slopes in weights.items():
        projection = network.projections[key]
        if projection.post in pushes and not isinstance(projection.weights, Convolution):
            weights[key] = _plus(slopes, pushes[projection.post])
    return replace(gradient, weights=weights) if pushes else gradient


def _plus(slopes: Matrix, push: FloatArray) -> Matrix:
    """Return derivatives by weights, plus one number for each neuron that they lead to."""
    if isinstance(slopes, np.ndarray):
        return slopes + push
    return sparse.csr_array(
        (slopes.data + push[slopes.indices], slopes.indices, slopes.indptr), shape=slopes.shape
    )
