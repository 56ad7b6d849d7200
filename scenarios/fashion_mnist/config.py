"""Options of the scenario `fashion_mnist`: those of `mnist`."""

from __future__ import annotations

from dataclasses import dataclass

from scenarios.mnist.config import MnistOptions

__all__ = ["FashionMnistOptions"]


@dataclass(frozen=True)
class FashionMnistOptions(MnistOptions):
    """The first default is that of this project's recipe; others follow it."""
