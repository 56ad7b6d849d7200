"""Gradients and training on a CUDA device.

`gradients.timing_backprop` and `gradients.value_and_grad` take runs of the engine "cuda" as any
others.  What is here works on arrays that stay on the device: those of numba, and of every library
that speaks ``__cuda_array_interface__`` (CuPy, PyTorch).
"""

from eventsim._engines.cuda.samples import DeviceSpikes
from gradients.cuda.functions import simulate, weight_gradient
from gradients.cuda.losses import (
    DeadNeurons,
    first_spike_cross_entropy,
    membrane_cross_entropy,
)
from gradients.cuda.optimizers import DeviceOptimizer
from gradients.cuda.training import Trainer
from gradients.losses.first_spike import FirstSpikeCrossEntropy as FirstSpikes
from gradients.losses.membrane import MembraneCrossEntropy as Potentials

__all__ = [
    "DeadNeurons",
    "DeviceOptimizer",
    "DeviceSpikes",
    "FirstSpikes",
    "Potentials",
    "Trainer",
    "first_spike_cross_entropy",
    "membrane_cross_entropy",
    "simulate",
    "weight_gradient",
]
