"""Exact networks as layers of PyTorch: see docs/torch.md.

Needs the extra "torch".
"""

from eventsim._support.extras import extra

with extra("torch", "gradients.torch needs"):
    import torch as _  # noqa: F401

from gradients.torch.losses import FirstSpikeCrossEntropy, first_spike_cross_entropy
from gradients.torch.module import SpikingNetwork
from gradients.torch.parameters import Parameters

__all__ = ["FirstSpikeCrossEntropy", "Parameters", "SpikingNetwork", "first_spike_cross_entropy"]
