"""Exact gradients of spike times and potentials, by the implicit function theorem."""

from gradients.gradient import Gradient
from gradients.losses import first_spike_cross_entropy
from gradients.optimizers import SGD, Adam
from gradients.timing_backprop import timing_backprop

__all__ = ["SGD", "Adam", "Gradient", "first_spike_cross_entropy", "timing_backprop"]
