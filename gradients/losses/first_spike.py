"""Cross-entropy of first spike times: the label's neuron is to fire before the others."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from eventsim._support.types import FloatArray, IntArray
from eventsim._support.validate import as_nonnegative, as_positive, as_share, require
from eventsim.network import Network
from eventsim.result import BatchResult, Result
from gradients.losses.formulas import first_spike_loop
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

__all__ = [
    "FirstSpikeCrossEntropy",
    "SilentLabelsWarning",
    "first_spike_cross_entropy",
    "leading_to",
    "warn_of_silence",
]


class SilentLabelsWarning(UserWarning):
    """Neurons of labels are silent, and nothing wakes them: training does not see these samples.

    Examples
    --------
    >>> import warnings
    >>> warnings.simplefilter("error", SilentLabelsWarning)     # let training stop there
    """


@dataclass(frozen=True)
class FirstSpikeCrossEntropy(Term):
    r"""The class is the neuron that fires first: the cross-entropy of first spike times.

    .. math::
        \ell = -\frac1N \sum_i \log \frac{e^{-t_{i,l(i)}/\tau_0}}{\sum_j e^{-t_{i,j}/\tau_0}}
               + \frac{\gamma}{N} \sum_i \left(e^{t_{i,l(i)}/\tau_1} - 1\right)

    ``loss.of(labels)`` is what `value_and_grad` takes; `gradients.cuda.Trainer` takes the loss
    itself.  Losses can be added and scaled.

    Parameters
    ----------
    population : str
        Output neurons, one for each class.
    tau0 : float
        Time by which the label's neuron should be ahead, > 0.
    t_silent : float, optional
        Time that counts for a silent neuron; default: the end of the run.
    tau1, gamma : float
        Time constant (> 0) and strength (>= 0) of the penalty on late spikes of the label's neuron.
    smoothing : float
        Label smoothing, in [0, 1): this part of the target probability is spread evenly over all
        classes.
    wake : float, optional
        Strength >= 0 of the push for silent neurons: see below.  0: none, and no warning either.

    Raises
    ------
    ValueError
        Parameters out of their range; of a run, labels that do not fit.

    Warns
    -----
    SilentLabelsWarning
        If neurons of labels are silent and ``wake`` is None.

    Notes
    -----
    Lee et al., §5.3 (as in Goeltz et al. and Wunderlich & Pehle).  The regulariser enters as a
    penalty; the printed formula has its sign inside the negated bracket.  With ``tau0=1`` and
    ``gamma=0`` it is Eq. 13 of Zhang et al.; label smoothing is that of Szegedy et al. (2016), §7.

    **What keeps training alive.**  A missing spike has no derivative.  The loss pushes back the
    first spikes of wrong classes, some of them beyond the end of the run, and once a class's neuron
    is silent in samples of that class, nothing brings it back: accuracy sinks without an error.
    Three things prevent that.

    - ``wake`` (the bump of Goeltz et al. 2021): a sample whose label's neuron is silent counts as a
      derivative of ``-wake / n_samples`` by each weight onto that neuron, and onto each neuron that
      leads to it and is silent in that sample, too.  0.5 is a good start.  It is a push beside the
      exact gradient, not a part of it; it leaves kernels of convolutions as they are.
    - An early end: a ``t_stop`` not long after the last input, and ``until_fired`` of
      `value_and_grad`.  A neuron that is silent by then is not pushed back any further.
    - ``clip_norm`` of `Adam` and `SGD`: a spike about to vanish has a slope near 0, and gradients
      grow like its inverse.

    Outputs that fire once (``refractory=np.inf``) give the same loss in less time.

    Examples
    --------
    >>> import eventsim as es, gradients
    >>> net = es.Network()
    >>> net.add_input("in", 2)
    >>> net.add_population("out", 2, es.LIF(tau_mem=1.0, tau_syn=1.0, refractory=np.inf))
    >>> key = net.connect("in", "out", weights=[[4.0, 3.0], [3.0, 4.0]])
    >>> stimulus = {"in": es.SpikeBatch.from_latencies([[0.0, 0.5], [0.5, 0.0]])}
    >>> loss = gradients.FirstSpikeCrossEntropy("out", tau0=0.2)
    >>> value, gradient, _ = gradients.value_and_grad(net, stimulus, loss.of([0, 1]), t_stop=2.0)
    >>> value
    0.369013
    >>> loss(es.simulate(net, stimulus, 2.0), [0, 1]).metrics
    {'accuracy': 1.0, 'silent_labels': 0.0}
    """

    population: str
    tau0: float
    t_silent: float | None = None
    tau1: float = 1.0
    gamma: float = 0.0
    smoothing: float = 0.0
    wake: float | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        check_population(self.population)
        keep(self, smoothing=as_share(self.smoothing, "smoothing"))
        for name in ("tau0", "tau1"):
            keep(self, **{name: as_positive(getattr(self, name), name)})
        keep(self, gamma=as_nonnegative(self.gamma, "gamma"))
        for name in ("t_silent", "wake"):
            if getattr(self, name) is not None:
                keep(self, **{name: as_nonnegative(getattr(self, name), name)})

    def __call__(self, result: Result | BatchResult, labels: ArrayLike | None = None) -> Loss:
        """Return the loss of a run, its derivative by first spikes, and the metrics.

        "accuracy" is the fraction of samples whose label's neuron fires before all others,
        "silent_labels" that in which it does not fire.
        """
        batch = batch_of(result)
        labels = read_labels(batch.network, self.population, labels, type(self).__name__)
        own = self.until(batch.t_stop)
        times = batch.first_spikes(self.population)
        value, derivative, n_right, n_silent = own._evaluated(times, labels)
        warn_of_silence(self, int(n_silent), len(times))
        return Loss(
            value,
            first_spikes={self.population: like_run(result, derivative)},
            incoming=self._pushes(batch, times, labels) if n_silent and self.wake else {},
            metrics={"accuracy": n_right / len(times), "silent_labels": n_silent / len(times)},
        )

    def check(self, network: Network, labels: ArrayLike | None) -> None:
        """Raise a ValueError unless the runs of a network have this loss."""
        read_labels(network, self.population, labels, type(self).__name__)

    def until(self, t_stop: float) -> FirstSpikeCrossEntropy:
        """Return the loss of runs until ``t_stop``, the default of ``t_silent``."""
        t_stop = as_nonnegative(t_stop, "t_stop")
        return replace(self, t_silent=t_stop) if self.t_silent is None else self

    def of_times(self, times: ArrayLike, labels: ArrayLike) -> tuple[float, FloatArray]:
        """Return the loss of first spike times, and its derivative: `first_spike_cross_entropy`."""
        return self._evaluated(times, labels)[:2]

    def numbers(self) -> tuple[float, float, float, float, float]:
        """Return what the formula takes."""
        if self.t_silent is None:
            raise ValueError("t_silent must be given without a run, got None")
        return self.tau0, self.t_silent, self.tau1, self.gamma, self.smoothing

    def _evaluated(
        self, times: ArrayLike, labels: ArrayLike
    ) -> tuple[float, FloatArray, float, float]:
        """Return the loss, its derivative, and the numbers of right and of silent samples."""
        times, labels = read_labelled(times, labels, "times")
        require(times >= 0.0, times, "times must be >= 0 and not NaN")
        derivative = np.empty(times.shape)
        loss, n_right, n_silent = first_spike_loop(times, labels, self.numbers(), derivative)
        good = ~np.isnan(derivative)
        require(good, self.gamma, "gamma must be such that the derivative is a number")
        return loss, derivative, n_right, n_silent

    def _pushes(
        self, batch: BatchResult, times: FloatArray, labels: IntArray
    ) -> dict[str, FloatArray]:
        """Return what is added to the derivatives by weights onto silent neurons."""
        silent = np.isinf(times[np.arange(len(labels)), labels])
        missing = {self.population: np.bincount(labels[silent], minlength=times.shape[1])}
        for name in leading_to(batch.network, self.population) - {self.population}:
            able = np.isfinite(batch.network.neurons[name].threshold)
            missing[name] = ((batch.spike_counts(name)[silent] == 0) & able).sum(axis=0)
        wake = self.wake or 0.0
        return {name: np.asarray(-(wake * each / len(labels))) for name, each in missing.items()}


def leading_to(network: Network, population: str) -> set[str]:
    """Return the populations from which spikes get to one, itself among them."""
    found, new = {population}, [population]
    while new:
        pre = {p.pre for p in network.projections.values() if p.post in new} - network.inputs.keys()
        new = sorted(pre - found)
        found |= pre
    return found


def warn_of_silence(loss: object, n_silent: int, n: int) -> None:
    """Warn of silent labels, unless the loss says what is to be done about them."""
    if not (n_silent and isinstance(loss, FirstSpikeCrossEntropy) and loss.wake is None):
        return
    warnings.warn(
        f"in {n_silent} of {n} samples the label's neuron of {loss.population!r} does not fire: a "
        "missing spike has no derivative, so training does not see them; "
        "FirstSpikeCrossEntropy(..., wake=0.5) wakes such neurons, wake=0 leaves them asleep "
        "without a word",
        SilentLabelsWarning,
        stacklevel=_level_of_caller(),
    )


def _level_of_caller() -> int:
    """Return how many calls above the caller of this function the first one of a user is."""
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("gradients."):
        frame, level = frame.f_back, level + 1
    return level


def first_spike_cross_entropy(
    times: ArrayLike,
    labels: ArrayLike,
    *,
    tau0: float,
    tau1: float = 1.0,
    gamma: float = 0.0,
    t_silent: float,
    smoothing: float = 0.0,
) -> tuple[float, FloatArray]:
    """Return the cross-entropy of first spike times, and its derivative.

    Parameters
    ----------
    times : (n_samples, n_classes) array_like
        First spike time of each output neuron; ``inf`` = silent.
    labels : (n_samples,) array_like of int
        Index of the neuron that should fire first.
    tau0, tau1, gamma, t_silent, smoothing : float
        As of `FirstSpikeCrossEntropy`.

    Returns
    -------
    loss : float
        Mean over the samples; ``inf`` where it is beyond float64.
    derivative : (n_samples, n_classes) ndarray
        By ``times``; 0 for silent neurons, whose time is the constant ``t_silent``.

    Raises
    ------
    ValueError
        NaN or negative times, labels out of range, parameters out of their range, or so extreme
        that a derivative would be the difference of two infinities.

    Examples
    --------
    >>> loss, derivative = first_spike_cross_entropy([[1.0, 2.0]], [0], tau0=1.0, t_silent=3.0)
    >>> round(loss, 6), derivative.round(6)
    (0.313262, array([[ 0.268941, -0.268941]]))
    """
    loss = FirstSpikeCrossEntropy("", tau0, t_silent, tau1, gamma, smoothing)
    return loss.of_times(times, labels)
