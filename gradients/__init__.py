"""Exact gradients of spike times and potentials, by the implicit function theorem."""

from gradients.firing_rate import firing_rate, threshold_current
from gradients.gradient import Gradient
from gradients.graph.forward_propagation import forward_propagation
from gradients.graph.jacobian import SRM, Jacobian, jacobian
from gradients.jvp import jvp
from gradients.losses.first_spike import (
    FirstSpikeCrossEntropy,
    SilentLabelsWarning,
    first_spike_cross_entropy,
)
from gradients.losses.loss import Loss
from gradients.losses.membrane import MembraneCrossEntropy, membrane_cross_entropy
from gradients.losses.spike_count import SpikeCountPenalty, dead_neurons, spike_count_penalty
from gradients.optim.optimizers import SGD, Adam
from gradients.optim.schedules import constant, cosine, step_decay
from gradients.timing_backprop import timing_backprop
from gradients.value_and_grad import value_and_grad

__all__ = [
    "SGD",
    "SRM",
    "Adam",
    "FirstSpikeCrossEntropy",
    "Gradient",
    "Jacobian",
    "Loss",
    "MembraneCrossEntropy",
    "SilentLabelsWarning",
    "SpikeCountPenalty",
    "constant",
    "cosine",
    "dead_neurons",
    "firing_rate",
    "first_spike_cross_entropy",
    "forward_propagation",
    "jacobian",
    "jvp",
    "membrane_cross_entropy",
    "spike_count_penalty",
    "step_decay",
    "threshold_current",
    "timing_backprop",
    "value_and_grad",
]
