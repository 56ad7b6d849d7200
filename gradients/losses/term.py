"""Losses as objects: each says what it lowers, is given labels, and can be added and scaled."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from eventsim._support.types import FloatArray, IntArray
from eventsim._support.validate import as_floats, as_indices, as_number, require, shown
from eventsim.network import Network
from eventsim.result import BatchResult, Result
from gradients.losses.loss import Loss

__all__ = [
    "Labelled",
    "Sum",
    "Term",
    "as_labels",
    "batch_of",
    "check_population",
    "keep",
    "like_run",
    "neurons_of",
    "read_labelled",
    "read_labels",
]


class Term(ABC):
    """A loss of a run, or a part of one: what `value_and_grad` and the device's `Trainer` take."""

    __array_ufunc__ = None  # a numpy scalar times a loss is a loss, not an array of objects

    @abstractmethod
    def __call__(self, result: Result | BatchResult, labels: ArrayLike | None = None) -> Loss:
        """Return the loss of a run, with its derivatives."""

    @abstractmethod
    def check(self, network: Network, labels: ArrayLike | None) -> None:
        """Raise a ValueError unless the runs of a network have this loss."""

    @property
    def reads_potentials(self) -> bool:
        """Whether it is a loss of the potentials at the end of a run."""
        return False

    def parts(self) -> list[tuple[float, Term]]:
        """Return the factors and terms that the loss is the sum of."""
        return [(1.0, self)]

    def of(self, labels: ArrayLike | None) -> Labelled:
        """Return the loss of samples with these labels: a function of their run."""
        return Labelled(self, None if labels is None else as_labels(labels))

    def __add__(self, other: Term) -> Sum:
        """Return the sum of two losses."""
        return _sum_of(self.parts() + other.parts()) if isinstance(other, Term) else NotImplemented

    def __mul__(self, factor: float) -> Sum:
        """Return the loss times a finite number."""
        factor = as_number(factor, "factor of a loss")
        factors = [factor * own for own, _ in self.parts()]
        require(np.isfinite(factors), factors, "factor of a loss must be finite")
        return Sum(tuple(factors), tuple(term for _, term in self.parts()))

    __rmul__ = __mul__


@dataclass(frozen=True)
class Sum(Term):
    """A sum of losses, each with a factor.

    Where two of them have a metric of the same name, the first one's is kept.
    """

    factors: tuple[float, ...]
    terms: tuple[Term, ...]

    @property
    def reads_potentials(self) -> bool:
        """Whether one of them is a loss of the potentials at the end of a run."""
        return any(term.reads_potentials for term in self.terms)

    def parts(self) -> list[tuple[float, Term]]:
        """Return the factors and terms."""
        return list(zip(self.factors, self.terms, strict=True))

    def __call__(self, result: Result | BatchResult, labels: ArrayLike | None = None) -> Loss:
        """Return the sum of the losses of a run."""
        total = Loss(0.0)
        for factor, term in self.parts():
            found = term(result, labels)
            metrics = {k: v for k, v in found.metrics.items() if k not in total.metrics}
            total += factor * replace(found, metrics=metrics)
        return total

    def check(self, network: Network, labels: ArrayLike | None) -> None:
        """Raise a ValueError unless the runs of a network have all of these losses."""
        for term in self.terms:
            term.check(network, labels)


def _sum_of(parts: list[tuple[float, Term]]) -> Sum:
    factors, terms = zip(*parts, strict=True)
    return Sum(factors, terms)


@dataclass(frozen=True, eq=False)
class Labelled:
    """A loss of samples whose labels are known."""

    loss: Term
    labels: IntArray | None

    def __call__(self, result: Result | BatchResult) -> Loss:
        """Return the loss of a run of the samples."""
        return self.loss(result, self.labels)

    def check(self, network: Network, n_samples: int) -> None:
        """Raise a ValueError unless runs of as many samples have this loss."""
        if self.labels is not None and self.labels.shape != (n_samples,):
            raise ValueError(
                f"labels must have shape (n_samples,) = ({n_samples},), got {self.labels.shape}"
            )
        self.loss.check(network, self.labels)


def read_labels(network: Network, population: str, labels: ArrayLike | None, loss: str) -> IntArray:
    """Return labels (n_samples,), which must be given, with a neuron of the population for each."""
    part = neurons_of(network, population)
    if labels is None:
        raise ValueError(f"labels must be given, as {loss}(...).of(labels), got None")
    n_classes, read = part.stop - part.start, as_labels(labels)
    require(read < n_classes, read, f"labels must be < {n_classes}")
    return read


def neurons_of(network: object, population: str) -> slice:
    """Return which neurons a population has, as `eventsim.Network.neurons_of`."""
    if not isinstance(network, Network):
        raise ValueError(f"network must be an eventsim.Network, got {shown(network)}")
    return network.neurons_of(population)


def as_labels(labels: ArrayLike) -> IntArray:
    """Return labels (n_samples,); a single run's may be a number."""
    return np.atleast_1d(as_indices(labels, "labels"))


def read_labelled(scores: ArrayLike, labels: ArrayLike, name: str) -> tuple[FloatArray, IntArray]:
    """Return scores (n_samples, n_classes) and labels (n_samples,), checked."""
    scores, labels = as_floats(scores, name), as_indices(labels, "labels")
    if scores.ndim != 2 or labels.shape != scores.shape[:1]:
        raise ValueError(
            f"{name} must be (n_samples, n_classes) and labels (n_samples,), "
            f"got {scores.shape} and {labels.shape}"
        )
    if scores.size == 0:
        raise ValueError(
            f"{name} must hold at least one sample and one class, got shape {scores.shape}"
        )
    require(labels < scores.shape[1], labels, f"labels must be < {scores.shape[1]}")
    return scores, labels


def batch_of(result: object) -> BatchResult:
    """Return a run, or the batch of one that a single run is."""
    if not isinstance(result, (Result, BatchResult)):
        raise ValueError(f"result must be a Result or BatchResult, got {shown(result)}")
    return result.batch if isinstance(result, Result) else result


def like_run(result: Result | BatchResult, rows: FloatArray) -> FloatArray:
    """Return derivatives (n_samples, n) in the form that those of a run have."""
    return rows[0] if isinstance(result, Result) else rows


def keep(term: Term, **values: float) -> None:
    """Set fields of a frozen loss to the plain numbers that were read."""
    for name, value in values.items():
        object.__setattr__(term, name, value)


def check_population(population: object) -> None:
    """Raise a ValueError unless it is a name."""
    if not isinstance(population, str):
        raise ValueError(f"population must be a string, got {shown(population)}")
