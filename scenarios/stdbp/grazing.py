"""How steeply a spike time depends on the weights as the neuron comes to graze its threshold.

After Figs 2 and 3 of Zhang et al.: the same inputs and weights, scaled up and down together, onto
an alpha neuron (both time constants equal) and onto a ReL-PSP neuron (both infinite).  Their
responses to an input spike begin alike, with slope w: w t exp(-t/τ) and w t.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import eventsim as es
import gradients

__all__ = ["ALPHA", "INPUTS", "REL_PSP", "WEIGHTS", "SpikeGradients", "critical_scale", "scaled"]

Floats = NDArray[np.float64]

ALPHA = es.LIF(tau_mem=1.0, tau_syn=1.0, threshold=1.0, refractory=np.inf)
REL_PSP = es.LIF(tau_mem=np.inf, tau_syn=np.inf, threshold=1.0, refractory=np.inf)
INPUTS = np.array([0.0, 0.4, 0.7])  # spike times
WEIGHTS = np.array([1.0, 0.6, 0.8])


@dataclass(frozen=True, eq=False)
class SpikeGradients:
    """Spikes of a neuron whose weights are all scaled by the same factor, one entry per scale.

    Attributes
    ----------
    scales : (n,) ndarray
        Factors of the weights, without those for which the neuron is silent.
    times, slopes : (n,) ndarray
        Spike time, and slope of the potential when it reaches the threshold.
    norms : (n,) ndarray
        Euclidean norm of the exact gradient of the spike time by the weights.
    """

    scales: Floats
    times: Floats
    slopes: Floats
    norms: Floats


def scaled(neuron: es.LIF, scales: Floats, t_stop: float) -> tuple[es.Result, SpikeGradients]:
    """Return a run of one neuron for each scale of the weights, and the gradients of its spikes.

    Parameters
    ----------
    neuron : eventsim.LIF
        Kind of neuron; it should fire at most once.
    scales : (n,) ndarray
        Factors of `WEIGHTS`.
    t_stop : float
        End of the run.

    Examples
    --------
    >>> spikes = scaled(REL_PSP, np.array([1.0, 2.0]), t_stop=4.0)[1]
    >>> spikes.slopes                     # the sum of the weights of the inputs so far
    array([2.4, 3.2])
    >>> spikes.times
    array([0.75  , 0.4625])
    """
    network = es.Network()
    network.add_input("in", INPUTS.size)
    network.add_population("out", scales.size, neuron)
    key = network.connect("in", "out", weights=np.outer(WEIGHTS, scales))
    inputs = es.Spikes(INPUTS, np.arange(INPUTS.size))
    result = es.simulate(network, {"in": inputs}, t_stop)
    assert isinstance(result, es.Result)
    spikes = result.spikes["out"]
    gradient = gradients.timing_backprop(
        result, spike_times={"out": np.ones(len(spikes))}, wrt=("weights",)
    ).weights[key]
    order = np.argsort(spikes.indices)
    fired = spikes.indices[order]
    norms = np.linalg.norm(gradient[:, fired], axis=0)
    return result, SpikeGradients(scales[fired], spikes.times[order], spikes.slopes[order], norms)


def critical_scale() -> float:
    """Return the scale at which the highest potential of the alpha neuron is its threshold.

    With all inputs in, its potential is V(t) = e^{-t} (A t - B), A = Σ w e^{t_i} and
    B = Σ w t_i e^{t_i}; the peak is at t = 1 + B / A, and is A e^{-t}.
    """
    a = float(np.sum(WEIGHTS * np.exp(INPUTS)))
    b = float(np.sum(WEIGHTS * INPUTS * np.exp(INPUTS)))
    return float(np.exp(1.0 + b / a)) / a
