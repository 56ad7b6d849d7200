"""Losses and their derivatives on the device: those of the processors, term by term."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from eventsim._engines.cuda.device import (
    MOST_THREADS,
    as_device,
    empty,
    flat,
    grid_for,
    is_on_device,
    of_blocks,
    quietly,
    to_device,
    type_of,
    wait,
    zeros,
)
from eventsim._engines.cuda.neurons import find_first_spikes
from eventsim._engines.cuda.run import LayerRun
from eventsim._layout.wiring import layout_of
from eventsim._support.types import Key
from eventsim._support.validate import as_indices, as_number, require, shown
from eventsim.convolution import Convolution
from eventsim.network import Network
from gradients.cuda.layers import DeviceSweep
from gradients.cuda.loss_kernels import (
    add_scaled,
    count_missing,
    find_range,
    first_spike_loss,
    lift_dead,
    membrane_loss,
    pass_to_first,
    push_onto,
)
from gradients.losses.first_spike import FirstSpikeCrossEntropy, leading_to
from gradients.losses.membrane import MembraneCrossEntropy
from gradients.losses.spike_count import SpikeCountPenalty, dead_neurons
from gradients.losses.term import Sum, Term

__all__ = [
    "DeadNeurons",
    "Weighted",
    "bind",
    "first_spike_cross_entropy",
    "membrane_cross_entropy",
    "read_labels",
    "read_loss",
]

Answer: TypeAlias = MembraneCrossEntropy | FirstSpikeCrossEntropy
ANSWERS = (MembraneCrossEntropy, FirstSpikeCrossEntropy)
Weighted: TypeAlias = tuple[float, Answer | SpikeCountPenalty]
"""A term of a loss, with its factor before it."""

N_TOTALS = 3  # the loss, the fraction of right answers, that of samples whose label is silent


# --- terms of a loss ------------------------------------------------------------------------------


def DeadNeurons(population: str, strength: float, fraction: float = 0.1) -> Sum:
    """Return ``strength * SpikeCountPenalty(population, dead_neurons(fraction))``.

    Examples
    --------
    >>> DeadNeurons("hidden", 0.1).factors
    (0.1,)
    """
    return as_number(strength, "strength") * SpikeCountPenalty(population, dead_neurons(fraction))


class Bound(Protocol):
    """A term of a run, with the room that it needs."""

    def launch(self, labels: Any, totals: Any) -> None:
        """Write its derivatives where the sweep finds them; write or add to the totals."""

    def push(self, labels: Any, gradient: Mapping[Key, Any]) -> None:
        """Add to the gradient by the weights what is no derivative."""


class _BoundMembrane:
    def __init__(self, term: MembraneCrossEntropy, sweep: DeviceSweep) -> None:
        number, one = sweep.layer(term.population)
        self.numbers, self.potential, self.slope = (
            term.numbers(), one.potential, sweep.final[number]
        )  # fmt: skip

    def launch(self, labels: Any, totals: Any) -> None:
        membrane_loss[of_blocks(1, MOST_THREADS)](
            self.potential, labels, self.numbers, self.slope, totals
        )

    def push(self, labels: Any, gradient: Mapping[Key, Any]) -> None:
        pass


class _BoundFirstSpikes:
    def __init__(self, term: FirstSpikeCrossEntropy, sweep: DeviceSweep) -> None:
        number, self.one = sweep.layer(term.population)
        self.numbers, self.by_time = term.numbers(), sweep.by_time[number]
        shape = sweep.final[number].shape
        self.times, self.slope = (empty(tuple(shape), sweep.run.dtype) for _ in range(2))
        self.pushes = _pushes(term, sweep) if term.wake else []

    def launch(self, labels: Any, totals: Any) -> None:
        spikes, n = self.one.spikes, self.times.size
        find_first_spikes[grid_for(n)](spikes, self.times.reshape(n))
        first_spike_loss[of_blocks(1, MOST_THREADS)](
            self.times, labels, self.numbers, self.slope, totals
        )
        pass_to_first[grid_for(n)](
            spikes.last, spikes.previous, self.one.rank, self.slope.reshape(n), self.by_time
        )

    def push(self, labels: Any, gradient: Mapping[Key, Any]) -> None:
        for push in self.pushes:
            push.launch(self.times, labels, gradient)


@dataclass(frozen=True, eq=False)
class _Push:
    """What wakes the silent neurons of a population."""

    one: LayerRun
    is_output: bool
    strength: float
    keys: list[Key]
    threshold: Any
    missing: Any

    def launch(self, times: Any, labels: Any, gradient: Mapping[Key, Any]) -> None:
        count_missing[grid_for(self.missing.size)](
            times, labels, self.is_output, self.one.spikes.last, self.threshold, self.missing
        )
        for key in self.keys:
            slopes = flat(gradient[key])
            push_onto[grid_for(slopes.size)](self.missing, self.strength, slopes)


def _pushes(term: FirstSpikeCrossEntropy, sweep: DeviceSweep) -> list[_Push]:
    """Return what wakes the neurons of a term, population by population."""
    network = sweep.run.network
    dense = {key: p for key, p in network.projections.items()
             if not isinstance(p.weights, Convolution)}  # fmt: skip
    return [
        _Push(
            one=sweep.layer(name)[1],
            is_output=name == term.population,
            strength=(term.wake or 0.0) / sweep.run.n_samples,
            keys=[key for key, p in dense.items() if p.post == name],
            threshold=_thresholds(network, name),
            missing=empty(network.populations[name], np.int64),
        )
        for name in sorted(leading_to(network, term.population))
    ]


def _thresholds(network: Network, population: str) -> Any:
    return to_device(layout_of(network).neurons.threshold[network.neurons_of(population)])


class _BoundPenalty:
    def __init__(self, factor: float, term: SpikeCountPenalty, sweep: DeviceSweep) -> None:
        number, self.one = sweep.layer(term.population)
        self.strength, self.slope = factor, sweep.final[number]
        assert isinstance(term.condition, dead_neurons)
        self.fraction = term.condition.fraction
        self.threshold = _thresholds(sweep.run.network, term.population)
        self.missing = empty(self.threshold.size)

    def launch(self, labels: Any, totals: Any) -> None:  # noqa: ARG002
        lift_dead[grid_for(self.missing.size)](
            self.one.spikes.last, self.one.potential, self.threshold, self.strength, self.fraction,
            self.slope, self.missing,
        )  # fmt: skip
        add_scaled[of_blocks(1, MOST_THREADS)](self.missing, self.strength, totals)

    def push(self, labels: Any, gradient: Mapping[Key, Any]) -> None:
        pass


def bind(part: Weighted, sweep: DeviceSweep) -> Bound:
    """Return a term, with its factor, of one run."""
    factor, term = part
    if isinstance(term, SpikeCountPenalty):
        return _BoundPenalty(factor, term, sweep)
    if isinstance(term, FirstSpikeCrossEntropy):
        return _BoundFirstSpikes(term, sweep)
    return _BoundMembrane(term, sweep)


def read_loss(loss: Term | Sequence[Term], t_stop: float) -> list[Weighted]:
    """Return the parts of a loss of runs until ``t_stop``: what a right answer is, then penalties.

    Raises
    ------
    ValueError
        If they are others, or two of them are about the same population.
    """
    terms = [loss] if isinstance(loss, Term) else loss
    if not isinstance(terms, Sequence) or not all(isinstance(term, Term) for term in terms):
        raise ValueError(f"loss must be a loss of gradients, or a list of them, got {shown(loss)}")
    parts = [part for term in terms for part in term.parts()]
    if not parts or not isinstance(parts[0][1], ANSWERS) or parts[0][0] != 1.0:
        raise ValueError(
            "loss must begin with a MembraneCrossEntropy or FirstSpikeCrossEntropy, unscaled, "
            f"got {shown(loss)}"
        )
    answer = parts[0][1]
    if isinstance(answer, FirstSpikeCrossEntropy):
        answer = answer.until(t_stop)
    found: list[Weighted] = [(1.0, answer)]
    for factor, term in parts[1:]:
        if not isinstance(term, SpikeCountPenalty) or not isinstance(term.condition, dead_neurons):
            raise ValueError(
                "after its first term, loss must have on the device none but SpikeCountPenalty "
                f"with the condition dead_neurons, got {shown(term)}"
            )
        found.append((factor, term))
    names = [term.population for _, term in found]
    if len(set(names)) < len(names):
        raise ValueError(f"the terms of a loss must be about different populations, got {names}")
    return found


# --- functions of arrays --------------------------------------------------------------------------


def membrane_cross_entropy(
    potentials: Any, labels: Any, *, smoothing: float = 0.0, norm_penalty: float = 0.0
) -> tuple[Any, Any]:
    """Return `gradients.membrane_cross_entropy` of arrays on the device, as such arrays.

    Parameters
    ----------
    potentials : (n_samples, n_classes) array
        On the device (of any library that speaks ``__cuda_array_interface__``), or on the host.
    labels : (n_samples,) array of int64
        Likewise.
    smoothing, norm_penalty : float
        As there.

    Returns
    -------
    totals : (3,) device array of float64
        The loss; the fraction of samples whose label has the highest potential; 0.
    derivative : (n_samples, n_classes) device array
        By ``potentials``.

    Examples
    --------
    >>> totals, derivative = membrane_cross_entropy([[2.0, 0.0]], [0], norm_penalty=0.1)
    >>> totals.copy_to_host(), derivative.copy_to_host()
    (array([0.326928, 1. , 0. ]), array([[0.080797, 0.119203]]))
    """
    numbers = MembraneCrossEntropy("", smoothing, norm_penalty).numbers()
    scores, labels, derivative, totals = _read(potentials, labels, "potentials")
    with quietly():
        membrane_loss[of_blocks(1, MOST_THREADS)](scores, labels, numbers, derivative, totals)
        wait()
    return totals, derivative


def first_spike_cross_entropy(
    times: Any,
    labels: Any,
    *,
    tau0: float,
    tau1: float = 1.0,
    gamma: float = 0.0,
    t_silent: float,
    smoothing: float = 0.0,
) -> tuple[Any, Any]:
    """Return `gradients.first_spike_cross_entropy` of arrays on the device, as such arrays.

    Parameters and results are those of `membrane_cross_entropy` here; the last of the totals is the
    fraction of samples whose label's neuron is silent.

    Examples
    --------
    >>> totals, derivative = first_spike_cross_entropy([[1.0, 2.0]], [0], tau0=1.0, t_silent=3.0)
    >>> totals.copy_to_host(), derivative.copy_to_host()
    (array([0.313262, 1. , 0. ]), array([[ 0.268941, -0.268941]]))
    """
    numbers = FirstSpikeCrossEntropy("", tau0, t_silent, tau1, gamma, smoothing).numbers()
    scores, labels, derivative, totals = _read(times, labels, "times")
    with quietly():
        first_spike_loss[of_blocks(1, MOST_THREADS)](scores, labels, numbers, derivative, totals)
        wait()
    return totals, derivative


def read_labels(labels: Any, n_samples: int, n_classes: int) -> Any:
    """Return labels (n_samples,) as an array on the device.

    Raises
    ------
    ValueError
        If one of them is not in ``range(n_classes)``; the host reads two numbers of labels that lie
        on the device.
    """
    if not is_on_device(labels):
        labels = as_indices(labels, "labels")
    labels = as_device(labels, np.int64, "labels", (n_samples,))
    ends = to_device(np.zeros(2, np.int64))
    with quietly():
        find_range[grid_for(n_samples)](labels, ends)
    least, greatest = ends.copy_to_host()
    require(least >= 0, least, "labels must be >= 0")
    require(greatest < n_classes, greatest, f"labels must be < {n_classes}")
    return labels


def _read(scores: Any, labels: Any, name: str) -> tuple[Any, Any, Any, Any]:
    dtype = np.dtype(np.float32 if type_of(scores) == np.float32 else np.float64)
    scores = as_device(scores, dtype, name, (None, None))
    labels = read_labels(labels, *scores.shape)
    return scores, labels, empty(tuple(scores.shape), dtype), zeros(N_TOTALS, np.float64)
