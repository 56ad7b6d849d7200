"""Cross-entropy of potentials: the label's neuron is to have the highest one at the end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from eventsim._support.types import FloatArray
from eventsim._support.validate import as_nonnegative, as_share, require
from eventsim.network import Network
from eventsim.result import BatchResult, Result
from gradients.losses.formulas import membrane_loop
from gradients.losses.loss import Loss
from gradients.losses.term import (
    Term,
    batch_of,
    check_population,
    keep,
    like_run,
    read_labelled,
    read_labels,
)

__all__ = ["MembraneCrossEntropy", "membrane_cross_entropy"]


@dataclass(frozen=True)
class MembraneCrossEntropy(Term):
    r"""The class is the neuron with the highest potential: the cross-entropy of potentials.

    .. math::
        \ell = \frac1N \sum_i \left( -\sum_o q_{i,o} \log \operatorname{softmax}(v_i)_o
               + \frac{\sigma}{N_{out}} \|v_i\|_2^2 \right)

    ``loss.of(labels)`` is what `value_and_grad` takes; `gradients.cuda.Trainer` takes the loss
    itself.  Losses can be added and scaled.

    Parameters
    ----------
    population : str
        Output neurons that never fire (threshold ``inf``), one for each class; read at ``t_stop``.
    smoothing : float
        Label smoothing, in [0, 1): this part of the target probability q is spread evenly over all
        classes.
    norm_penalty : float
        Strength σ >= 0 of the penalty that keeps the potentials from diverging.

    Raises
    ------
    ValueError
        Parameters out of their range; of a run, labels that do not fit.

    Notes
    -----
    Yamamoto et al., Eq. 23, and the last term of Eq. 24; label smoothing is that of Szegedy et al.
    (2016), §7.

    Examples
    --------
    >>> import eventsim as es, gradients
    >>> net = es.Network()
    >>> net.add_input("in", 2)
    >>> net.add_population("out", 2, es.LIF(tau_mem=1.0, tau_syn=1.0, threshold=np.inf))
    >>> key = net.connect("in", "out", weights=[[1.0, 0.0], [0.0, 1.0]])
    >>> stimulus = {"in": es.SpikeBatch.from_latencies([[0.0, 0.5], [0.5, 0.0]])}
    >>> loss = gradients.MembraneCrossEntropy("out", smoothing=0.1)
    >>> value, gradient, _ = gradients.value_and_grad(net, stimulus, loss.of([0, 1]), t_stop=1.0)
    >>> value
    0.664593
    """

    population: str
    smoothing: float = 0.0
    norm_penalty: float = 0.0

    def __post_init__(self) -> None:
        """Check the numbers."""
        check_population(self.population)
        keep(self, norm_penalty=as_nonnegative(self.norm_penalty, "norm_penalty"))
        keep(self, smoothing=as_share(self.smoothing, "smoothing"))

    def __call__(self, result: Result | BatchResult, labels: ArrayLike | None = None) -> Loss:
        """Return the loss of a run, its derivative by potentials, and the metrics.

        "accuracy" is the fraction of samples whose label's neuron has the highest potential of all.
        """
        batch = batch_of(result)
        labels = read_labels(batch.network, self.population, labels, type(self).__name__)
        potentials = batch.potential(self.population)
        value, derivative, n_right = self._evaluated(potentials, labels)
        return Loss(
            value,
            potentials={self.population: like_run(result, derivative)},
            metrics={"accuracy": n_right / len(potentials)},
        )

    @property
    def reads_potentials(self) -> bool:
        """Whether it is a loss of the potentials at the end of a run: it is."""
        return True

    def check(self, network: Network, labels: ArrayLike | None) -> None:
        """Raise a ValueError unless the runs of a network have this loss."""
        read_labels(network, self.population, labels, type(self).__name__)

    def of_potentials(self, potentials: ArrayLike, labels: ArrayLike) -> tuple[float, FloatArray]:
        """Return the loss of potentials, and its derivative: `membrane_cross_entropy`."""
        return self._evaluated(potentials, labels)[:2]

    def numbers(self) -> tuple[float, float]:
        """Return what the formula takes."""
        return self.smoothing, self.norm_penalty

    def _evaluated(
        self, potentials: ArrayLike, labels: ArrayLike
    ) -> tuple[float, FloatArray, float]:
        """Return the loss, its derivative, and how many samples are right."""
        potentials, labels = read_labelled(potentials, labels, "potentials")
        require(np.isfinite(potentials), potentials, "potentials must be finite")
        derivative = np.empty(potentials.shape)
        loss, n_right = membrane_loop(potentials, labels, self.numbers(), derivative)
        return loss, derivative, n_right


def membrane_cross_entropy(
    potentials: ArrayLike,
    labels: ArrayLike,
    *,
    smoothing: float = 0.0,
    norm_penalty: float = 0.0,
) -> tuple[float, FloatArray]:
    """Return the cross-entropy of output potentials, and its derivative.

    Parameters
    ----------
    potentials : (n_samples, n_classes) array_like
        Membrane potentials of output neurons that never fire (threshold ``inf``), at ``t_stop``.
    labels : (n_samples,) array_like of int
        Index of the neuron that should have the highest potential.
    smoothing, norm_penalty : float
        As of `MembraneCrossEntropy`.

    Returns
    -------
    loss : float
        Mean over the samples; ``inf`` where it is beyond float64.
    derivative : (n_samples, n_classes) ndarray
        By ``potentials``.

    Raises
    ------
    ValueError
        Potentials that are not finite, labels out of range, parameters out of their range.

    Examples
    --------
    >>> loss, derivative = membrane_cross_entropy([[2.0, 0.0]], [0], norm_penalty=0.1)
    >>> round(loss, 6), derivative.round(6)
    (0.326928, array([[0.080797, 0.119203]]))
    """
    return MembraneCrossEntropy("", smoothing, norm_penalty).of_potentials(potentials, labels)
