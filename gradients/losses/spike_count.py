"""Steering spike counts by potentials: where a neuron should fire, its potential should rise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from eventsim._support.types import BoolArray, FloatArray, IntArray
from eventsim._support.validate import as_finite, as_floats, as_indices, as_number, require, shown
from eventsim.network import Network
from eventsim.result import BatchResult, Result
from gradients.losses.formulas import lift_loop
from gradients.losses.loss import Loss
from gradients.losses.term import (
    Term,
    as_labels,
    batch_of,
    check_population,
    like_run,
    neurons_of,
)

__all__ = ["SpikeCountPenalty", "dead_neurons", "spike_count_penalty"]


@dataclass(frozen=True, slots=True)
class dead_neurons:  # noqa: N801 - reads as the condition it is: condition=dead_neurons(0.1)
    """Condition of `spike_count_penalty`: the neuron fires in hardly any sample of the minibatch.

    Parameters
    ----------
    fraction : float
        It is dead if it fires in less than this fraction of the samples; in (0, 1].

    Notes
    -----
    Yamamoto et al., §III: "neurons that only fire on input patterns less than 1/10 of the
    mini-batch size".

    Examples
    --------
    >>> dead_neurons(0.5)([[0, 1, 2], [0, 0, 1]])
    array([ True, False, False])
    """

    fraction: float = 0.1

    def __post_init__(self) -> None:
        """Check the range."""
        fraction = as_number(self.fraction, "fraction")
        require(0.0 < fraction <= 1.0, fraction, "fraction must be in (0, 1]")
        object.__setattr__(self, "fraction", fraction)

    def __call__(self, counts: ArrayLike) -> BoolArray:
        """Return the flags (n,), given the spike counts (n_samples, n)."""
        counts = _as_counts(counts)
        if counts.ndim != 2 or counts.shape[0] == 0:
            raise ValueError(
                f"counts must have shape (n_samples, n), n_samples >= 1, got {counts.shape}"
            )
        return np.mean(counts > 0, axis=0) < self.fraction


@dataclass(frozen=True)
class SpikeCountPenalty(Term):
    r"""A penalty on neurons whose spike counts fulfil a condition: it lifts their potentials.

    .. math::
        \ell = \frac1{NJ} \sum_{i,j} P_{i,j} (V_{th,j} - v_{i,j})

    A flag P says that the neuron should have come closer to its threshold.  A missing spike has no
    derivative, the potential has one: this revives neurons that never fire.  It is a loss that
    needs no labels: to be added, scaled, to another one.

    Parameters
    ----------
    population : str
        Whose neurons; their thresholds must be finite.
    condition : callable
        From the spike counts (n_samples, n) to flags P, bool: (n,) for all samples alike, or
        (n_samples, n).  Default: `dead_neurons`, the only one on a device.

    Raises
    ------
    ValueError
        Of a run: flags of another shape or type, or infinite thresholds.

    Notes
    -----
    Yamamoto et al., Eq. 21-22.  To make flagged neurons fire less, give the penalty a negative
    factor: that lowers their potentials.

    Examples
    --------
    >>> import gradients
    >>> loss = gradients.MembraneCrossEntropy("out") + 0.1 * gradients.SpikeCountPenalty("hidden")
    """

    population: str
    condition: Callable[[IntArray], BoolArray] = dead_neurons()

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_population(self.population)
        _check_condition(self.condition)

    def __call__(
        self,
        result: Result | BatchResult,
        labels: ArrayLike | None = None,
    ) -> Loss:
        """Return the penalty of a run; potentials are looked at only where a neuron is flagged."""
        batch = batch_of(result)
        self.check(batch.network, labels)
        flags = _flags(self.condition, batch.spike_counts(self.population))
        if not flags.any():
            return Loss(0.0)
        threshold = np.asarray(batch.network.neurons[self.population].threshold)
        value, slope = _penalty(batch.potential(self.population), flags, threshold)
        return Loss(value, potentials={self.population: like_run(result, slope)})

    @property
    def reads_potentials(self) -> bool:
        """Whether it is a loss of the potentials at the end of a run: it is."""
        return True

    def check(self, network: Network, labels: ArrayLike | None = None) -> None:
        """Raise a ValueError unless the runs of a network have this loss; it needs no labels."""
        if labels is not None:
            as_labels(labels)
        neurons_of(network, self.population)
        threshold = network.neurons[self.population].threshold
        require(np.isfinite(threshold), threshold, "thresholds must be finite")


def spike_count_penalty(
    potentials: ArrayLike,
    counts: ArrayLike,
    *,
    threshold: ArrayLike,
    condition: Callable[[IntArray], BoolArray],
) -> tuple[float, FloatArray]:
    """Return the penalty on neurons whose spike counts fulfil a condition, and its derivative.

    Parameters
    ----------
    potentials : (n_samples, n) array_like
        Membrane potentials v of a population at ``t_stop``.
    counts : (n_samples, n) array_like of int
        Its spike counts.
    threshold : float or (n,) array_like
        Its threshold.
    condition : callable
        From the counts to flags P, bool: (n,) for all samples alike, or (n_samples, n).

    Returns
    -------
    penalty : float
        Mean over the samples and neurons; infinite where it is beyond float64.
    derivative : (n_samples, n) ndarray
        By ``potentials``; the flags count as constants.

    Raises
    ------
    ValueError
        Values that are not finite, shapes that do not fit, flags of another shape or type.

    Notes
    -----
    The formula and its source stand at `SpikeCountPenalty`.

    Examples
    --------
    >>> penalty, derivative = spike_count_penalty(
    ...     [[0.25, 0.5]], [[0, 2]], threshold=1.0, condition=lambda counts: counts == 0
    ... )
    >>> penalty, derivative
    (0.375, array([[-0.5,  0. ]]))
    """
    potentials = as_floats(potentials, "potentials")
    if potentials.ndim != 2 or potentials.size == 0:
        raise ValueError(
            f"potentials must have shape (n_samples, n), both >= 1, got {potentials.shape}"
        )
    require(np.isfinite(potentials), potentials, "potentials must be finite")
    _check_condition(condition)
    counts = _as_counts(counts)
    if counts.shape != potentials.shape:
        raise ValueError(f"counts must have shape {potentials.shape}, got {counts.shape}")
    threshold = as_floats(threshold, "threshold")
    threshold = as_finite(threshold, potentials.shape[1:] if threshold.ndim else (), "threshold")
    return _penalty(potentials, _flags(condition, counts), threshold)


def _as_counts(counts: ArrayLike) -> IntArray:
    return as_indices(counts, "counts")


def _check_condition(condition: object) -> None:
    if not callable(condition):
        raise ValueError(f"condition must be a function of the counts, got {shown(condition)}")


def _penalty(
    potentials: FloatArray, flags: BoolArray, threshold: FloatArray
) -> tuple[float, FloatArray]:
    """Return the mean of what flagged potentials lack, and its derivative by all of them."""
    derivative = np.zeros(potentials.shape)
    threshold = np.broadcast_to(threshold, potentials.shape[1:])
    return float(lift_loop(potentials, flags, threshold, derivative)), derivative


def _flags(condition: Callable[[IntArray], BoolArray], counts: IntArray) -> BoolArray:
    """Return the flags (n_samples, n) of a condition, checked."""
    flags = np.asarray(condition(counts))
    if flags.dtype != np.bool_ or flags.shape not in (counts.shape, counts.shape[1:]):
        raise ValueError(
            f"condition must return bool of shape {counts.shape[1:]} or {counts.shape}, "
            f"got {flags.dtype} of shape {flags.shape}"
        )
    return np.broadcast_to(flags, counts.shape)
