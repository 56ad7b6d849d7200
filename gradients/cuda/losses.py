"""Losses and their derivatives on the device: those of the processors, term by term."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from eventsim._engines.cuda.device import (
    MOST_THREADS,
    as_device,
    empty,
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
from eventsim._layout.wiring import layout_of
from eventsim._support.validate import (
    as_indices,
    as_nonnegative,
    as_number,
    as_positive,
    as_share,
    require,
    shown,
)
from gradients.cuda.layers import DeviceSweep
from gradients.cuda.loss_kernels import (
    add_scaled,
    find_range,
    first_spike_loss,
    lift_dead,
    pass_to_first,
    potential_loss,
)

__all__ = [
    "DeadNeurons",
    "FirstSpikes",
    "Potentials",
    "Term",
    "first_spike_cross_entropy",
    "membrane_cross_entropy",
    "read_labels",
]

N_TOTALS = 3  # the loss, the fraction of right answers, that of samples whose label is silent


# --- terms of a loss ------------------------------------------------------------------------------


class Term(Protocol):
    """A part of a loss: the first one says what a right answer is, the others are penalties."""

    @property
    def population(self) -> str:
        """Whose potentials or spikes it is about."""

    def bind(self, sweep: DeviceSweep) -> Bound:
        """Return the term of one run."""


class Bound(Protocol):
    """A term of a run, with the room that it needs."""

    def launch(self, labels: Any, totals: Any) -> None:
        """Write its derivatives where the sweep finds them; write or add to the totals."""


@dataclass(frozen=True)
class Potentials:
    """The cross-entropy of a population's potentials: `gradients.membrane_cross_entropy`.

    Parameters
    ----------
    population : str
        Output neurons, one for each class.
    smoothing, norm_penalty : float
        As there.

    Examples
    --------
    >>> Potentials("out", smoothing=0.1)
    Potentials(population='out', smoothing=0.1, norm_penalty=0.0)
    """

    population: str
    smoothing: float = 0.0
    norm_penalty: float = 0.0

    def __post_init__(self) -> None:
        """Check the numbers."""
        _check_population(self.population)
        as_share(self.smoothing, "smoothing")
        as_nonnegative(self.norm_penalty, "norm_penalty")

    def bind(self, sweep: DeviceSweep) -> Bound:
        """Return the term of one run."""
        return _BoundPotentials(self, sweep)


class _BoundPotentials:
    def __init__(self, term: Potentials, sweep: DeviceSweep) -> None:
        number, one = sweep.layer(term.population)
        self.term, self.potential, self.slope = term, one.potential, sweep.final[number]

    def launch(self, labels: Any, totals: Any) -> None:
        term = self.term
        potential_loss[of_blocks(1, MOST_THREADS)](
            self.potential, labels, term.smoothing, term.norm_penalty, self.slope, totals
        )


@dataclass(frozen=True)
class FirstSpikes:
    """The cross-entropy of first spike times: `gradients.first_spike_cross_entropy`.

    Parameters
    ----------
    population : str
        Output neurons, one for each class.
    tau0, t_silent, tau1, gamma, smoothing : float
        As there.
    """

    population: str
    tau0: float
    t_silent: float
    tau1: float = 1.0
    gamma: float = 0.0
    smoothing: float = 0.0

    def __post_init__(self) -> None:
        """Check the numbers."""
        _check_population(self.population)
        as_share(self.smoothing, "smoothing")
        for name in ("tau0", "tau1"):
            as_positive(getattr(self, name), name)
        for name in ("gamma", "t_silent"):
            as_nonnegative(getattr(self, name), name)

    def bind(self, sweep: DeviceSweep) -> Bound:
        """Return the term of one run."""
        return _BoundFirstSpikes(self, sweep)


class _BoundFirstSpikes:
    def __init__(self, term: FirstSpikes, sweep: DeviceSweep) -> None:
        number, self.one = sweep.layer(term.population)
        self.term, self.by_time = term, sweep.by_time[number]
        shape = sweep.final[number].shape
        self.times, self.slope = (empty(tuple(shape), sweep.run.dtype) for _ in range(2))

    def launch(self, labels: Any, totals: Any) -> None:
        term, spikes, n = self.term, self.one.spikes, self.times.size
        find_first_spikes[grid_for(n)](spikes, self.times.reshape(n))
        first_spike_loss[of_blocks(1, MOST_THREADS)](
            self.times, labels, term.tau0, term.tau1, term.gamma, term.t_silent, term.smoothing,
            self.slope, totals,
        )  # fmt: skip
        pass_to_first[grid_for(n)](
            spikes.last, spikes.previous, self.one.rank, self.slope.reshape(n), self.by_time
        )


@dataclass(frozen=True)
class DeadNeurons:
    """A penalty that lifts the potentials of neurons that hardly ever fire.

    `gradients.losses.spike_count_penalty` with the condition `gradients.dead_neurons`.

    Parameters
    ----------
    population : str
        Whose neurons.
    strength : float
        What it is multiplied by, finite.
    fraction : float
        As of `gradients.dead_neurons`.
    """

    population: str
    strength: float
    fraction: float = 0.1

    def __post_init__(self) -> None:
        """Check the numbers."""
        _check_population(self.population)
        strength = as_number(self.strength, "strength")
        require(np.isfinite(strength), strength, "strength must be finite")
        fraction = as_number(self.fraction, "fraction")
        require(0.0 < fraction <= 1.0, fraction, "fraction must be in (0, 1]")

    def bind(self, sweep: DeviceSweep) -> Bound:
        """Return the term of one run."""
        return _BoundDead(self, sweep)


class _BoundDead:
    def __init__(self, term: DeadNeurons, sweep: DeviceSweep) -> None:
        number, self.one = sweep.layer(term.population)
        network = sweep.run.network
        threshold = layout_of(network).neurons.threshold[network.neurons_of(term.population)]
        require(np.isfinite(threshold), threshold, "thresholds must be finite")
        self.term, self.slope = term, sweep.final[number]
        self.threshold, self.missing = to_device(threshold), empty(threshold.size)

    def launch(self, labels: Any, totals: Any) -> None:  # noqa: ARG002
        term, n = self.term, self.missing.size
        lift_dead[grid_for(n)](
            self.one.spikes.last, self.one.potential, self.threshold, term.strength, term.fraction,
            self.slope, self.missing,
        )  # fmt: skip
        scale = term.strength / self.slope.size
        add_scaled[of_blocks(1, MOST_THREADS)](self.missing, scale, totals)


def check_terms(terms: Sequence[Term]) -> None:
    """Raise a ValueError unless the terms make a loss: an answer first, each population once."""
    if (
        not isinstance(terms, Sequence)
        or not terms
        or not isinstance(terms[0], (Potentials, FirstSpikes))
    ):
        raise ValueError(f"the first term must be Potentials or FirstSpikes, got {shown(terms)}")
    if any(not isinstance(term, DeadNeurons) for term in terms[1:]):
        raise ValueError(f"the terms after the first must be DeadNeurons, got {shown(terms)}")
    names = [term.population for term in terms]
    if len(set(names)) < len(names):
        raise ValueError(f"the terms must be about different populations, got {names}")


def _check_population(population: str) -> None:
    if not isinstance(population, str):
        raise ValueError(f"population must be a string, got {shown(population)}")


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
    term = Potentials("", smoothing, norm_penalty)
    scores, labels, derivative, totals = _read(potentials, labels, "potentials")
    with quietly():
        potential_loss[of_blocks(1, MOST_THREADS)](
            scores, labels, term.smoothing, term.norm_penalty, derivative, totals
        )
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
    term = FirstSpikes("", tau0, t_silent, tau1, gamma, smoothing)
    scores, labels, derivative, totals = _read(times, labels, "times")
    with quietly():
        first_spike_loss[of_blocks(1, MOST_THREADS)](
            scores, labels, term.tau0, term.tau1, term.gamma, term.t_silent, term.smoothing,
            derivative, totals,
        )  # fmt: skip
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
