"""PyTorch, which is an extra: imported here alone, with an error that says how to install it."""

from eventsim._support.extras import extra

with extra("torch", "clocked neurons need"):
    import torch
    from torch.autograd.function import once_differentiable

__all__ = ["once_differentiable", "torch"]
