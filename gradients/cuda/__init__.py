"""Gradients on a CUDA device."""

from gradients.cuda.layers import sweep_layers

__all__ = ["sweep_layers"]
