"""Options of the scenario `leak`: which networks, how they are trained and what is measured."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Annotated, Literal

from scenarios.extras import require
from scenarios.running.options import (
    BatchSize,
    Count,
    Epochs,
    Fraction,
    Options,
    Positive,
    Range,
    Rate,
    Rows,
    Seed,
    TimeConstant,
)
from scenarios.running.training import Settings

__all__ = ["Config", "Data", "Recipe", "Size"]

Data = Literal["cifar10", "svhn", "mnist", "fashion_mnist"]
Size = Literal["small", "medium", "paper"]
Precision = Literal["auto", "float32", "bfloat16"]
PAPER = "64C3-64C3-2P-128C3-128C3-2P-256C3-256C3-256C3-2P-1024FC-10"  # for CIFAR-10
PAPER_SVHN = "64C3-64C3-2P-256C3-256C3-2P-1024FC-10"


@dataclass(frozen=True)
class Recipe:
    """How networks of a size are trained and measured.

    Attributes
    ----------
    network : str
        Layers, in the notation of the publication.
    steps : int
        Time steps of a run.
    epochs, seeds, batch_size : int
        Passes over the training images, networks of each leak, images in a minibatch.
    learning_rate, dropout, gain : float
        Initial rate of Adam, part of the neurons that is left out, width of the initial weights.
    shift : int
        Pixels by which training images are moved at random, at most.
    n_train, n_test, n_noisy : int, optional
        Images that are learnt, that are tested after each epoch, and with each noise; None: all.
    """

    network: str
    steps: int
    epochs: int
    seeds: int
    batch_size: int
    learning_rate: float
    dropout: float
    gain: float
    shift: int
    n_train: int | None
    n_test: int | None
    n_noisy: int | None


RECIPES = {
    "small": Recipe(
        network="2P-32C3-2P-64C3-2P-256FC-10",
        steps=50,
        epochs=3,
        seeds=3,
        batch_size=32,
        learning_rate=2e-3,
        dropout=0.0,
        gain=2.0,
        shift=0,
        n_train=5000,
        n_test=1000,
        n_noisy=200,
    ),
    "medium": Recipe(
        network="32C3-2P-64C3-64C3-2P-128C3-128C3-2P-512FC-10",
        steps=100,
        epochs=30,
        seeds=3,
        batch_size=64,
        learning_rate=1e-3,
        dropout=0.1,
        gain=2.0,
        shift=4,
        n_train=None,
        n_test=None,
        n_noisy=2000,
    ),
    "paper": Recipe(
        network=PAPER,
        steps=100,
        epochs=150,
        seeds=3,
        batch_size=64,
        learning_rate=1e-3,
        dropout=0.2,
        gain=2.0,
        shift=4,
        n_train=None,
        n_test=None,
        n_noisy=None,
    ),
}


@dataclass(frozen=True)
class Config(Options):
    """Settings; times are in steps.

    Attributes
    ----------
    data
        Images to learn; SVHN needs --data-dir.
    size
        Of the networks and of their training: small for two processor cores, medium for one GPU,
        paper as published.
    network
        Layers, in the notation of the publication [by size; small: 2P-32C3-2P-64C3-2P-256FC-10].
    tau_m
        Membrane time constants to compare; inf: no leak.
    steps
        Time steps of a run [50; medium and paper 100].
    epochs
        Passes over the training images [3; medium 30, paper 150].
    seeds
        Networks of each time constant [3].
    seed
        The first seed; the others follow.
    batch_size
        Images in a minibatch [32; medium and paper 64].
    learning_rate
        Of Adam; falls to a fifth at 70/150 and again at 100/150 of the run [0.002; others 0.001].
    dropout
        Part of the neurons that training leaves out, the same at all steps [0; 0.1; 0.2].
    gain
        Width of the initial weights, over that of He et al. [2].
    shift
        Pixels by which training images are moved at random, at most [0; others 4].
    n_train
        Use only the first training images [5000; others all].
    n_test
        Use only the first test images after each epoch [1000; others all].
    n_noisy
        Use only the first test images with each noise and for spectra [200; medium 2000].
    severities
        Of the noise, from 1 to 8.
    precision
        Arithmetic of the synapses; potentials are float32 [bfloat16 if the hardware has it].
    device
        "cpu", "cuda", ... [a GPU if there is one].
    data_dir
        Folder with the images [that of the variable EVENTSIM_DATA; else a download].
    """

    data: Data = "cifar10"
    size: Size = "small"
    network: str | None = None
    tau_m: tuple[TimeConstant, ...] = (30.0, 100.0, math.inf)
    steps: Annotated[int, Range(3, 10_000)] | None = None  # fewer: no frequency below Nyquist's
    epochs: Epochs | None = None
    seeds: Count | None = None
    seed: Seed = 0
    batch_size: BatchSize | None = None
    learning_rate: Rate | None = None
    dropout: Fraction | None = None
    gain: Positive | None = None
    shift: Annotated[int, Range(0, 31)] | None = None
    n_train: Rows | None = None
    n_test: Rows | None = None
    n_noisy: Rows | None = None
    severities: tuple[Annotated[int, Range(1, 8)], ...] = (1, 2, 3, 4, 5, 6, 7, 8)
    precision: Precision = "auto"
    device: str = "auto"
    data_dir: str | None = None

    def __post_init__(self) -> None:
        """Check the fields, and the lists."""
        super().__post_init__()
        if not self.tau_m or len({f"{tau:g}" for tau in self.tau_m}) < len(self.tau_m):
            raise ValueError(
                f"tau_m must be one or more numbers that differ in six digits, got {self.tau_m!r}"
            )
        if not self.severities or list(self.severities) != sorted({*self.severities}):
            raise ValueError(f"severities must be ascending, got {self.severities!r}")

    def require(self) -> None:
        """Check that PyTorch is there, that it can use the device, and the network."""
        require("torch", ("torch",), "the scenario leak")
        from scenarios.leak.network import read_layers
        from scenarios.running.torch_learner import device  # late: it needs the extra

        device(self.device)
        read_layers(self.recipe.network, (1 if "mnist" in self.data else 3, 32, 32))

    @property
    def recipe(self) -> Recipe:
        """The preset of the size, with what the user chose."""
        preset = RECIPES[self.size]
        if self.size == "paper" and self.data != "cifar10":
            preset = replace(preset, network=PAPER_SVHN)
        chosen = {field.name: getattr(self, field.name) for field in fields(Recipe)}
        return replace(preset, **{k: value for k, value in chosen.items() if value is not None})

    def settings(self, seed: int) -> Settings:
        """Return how one network is trained."""
        return Settings(epochs=self.recipe.epochs, batch_size=self.recipe.batch_size, seed=seed)
