"""Exact gradients of spike times and potentials, by the implicit function theorem."""

from gradients.forward_propagation import forward_propagation
from gradients.gradient import Gradient
from gradients.jacobian import SRM, Jacobian, jacobian
from gradients.jvp import jvp
from gradients.losses import first_spike_cross_entropy
from gradients.optimizers import SGD, Adam
from gradients.timing_backprop import timing_backprop

__all__ = [
    "SGD",
    "SRM",
    "Adam",
    "Gradient",
    "Jacobian",
    "first_spike_cross_entropy",
    "forward_propagation",
    "jacobian",
    "jvp",
    "timing_backprop",
]
