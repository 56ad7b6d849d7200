"""Options of the scenario `leak`: which networks, how they are trained and what is measured."""

from __future__ import annotations

import math
from dataclasses import dataclass
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
    option,
)
from scenarios.running.training import Settings

__all__ = ["Data", "LeakOptions", "Size"]

Data = Literal["cifar10", "svhn", "mnist", "fashion_mnist"]
Size = Literal["small", "medium", "paper"]
Precision = Literal["auto", "float32", "bfloat16"]
PAPER = "64C3-64C3-2P-128C3-128C3-2P-256C3-256C3-256C3-2P-1024FC-10"  # for CIFAR-10
PAPER_SVHN = "64C3-64C3-2P-256C3-256C3-2P-1024FC-10"


@dataclass(frozen=True)
class LeakOptions(Options):
    """Times are in steps."""

    data: Data = option("Images to learn; SVHN needs --data-dir.", "cifar10")
    size: Size = option(
        "Of the networks and of their training: small for two processor cores, medium for one GPU, "
        "paper as published.",
        "small",
    )
    network: str = option(
        "Layers, in the notation of the publication.",
        small="2P-32C3-2P-64C3-2P-256FC-10",
        medium="32C3-2P-64C3-64C3-2P-128C3-128C3-2P-512FC-10",
        paper=PAPER,
        paper_svhn=PAPER_SVHN,
    )
    tau_m: tuple[TimeConstant, ...] = option(
        "Membrane time constants to compare; inf: no leak.", (30.0, 100.0, math.inf)
    )
    steps: Annotated[int, Range(3, 10_000)] = option(  # fewer: no frequency below Nyquist's
        "Time steps of a run.", small=50, medium=100, paper=100
    )
    epochs: Epochs = option("Passes over the training images.", small=3, medium=30, paper=150)
    seeds: Count = option("Networks of each time constant.", small=3, medium=3, paper=3)
    seed: Seed = option("The first seed; the others follow.", 0)
    batch_size: BatchSize = option("Images in a minibatch.", small=32, medium=64, paper=64)
    learning_rate: Rate = option(
        "Of Adam; falls to a fifth at 70/150 and again at 100/150 of the run.",
        small=2e-3,
        medium=1e-3,
        paper=1e-3,
    )
    dropout: Fraction = option(
        "Part of the neurons that training leaves out, the same at all steps.",
        small=0.0,
        medium=0.1,
        paper=0.2,
    )
    gain: Positive = option(
        "Width of the initial weights, over that of He et al.", small=2.0, medium=2.0, paper=2.0
    )
    shift: Annotated[int, Range(0, 31)] = option(
        "Pixels by which training images are moved at random, at most.", small=0, medium=4, paper=4
    )
    n_train: Rows | None = option("Use only the first training images.", unset="all", small=5000)
    n_test: Rows | None = option(
        "Use only the first test images after each epoch.", unset="all", small=1000
    )
    n_noisy: Rows | None = option(
        "Use only the first test images with each noise and for spectra.",
        unset="all",
        small=200,
        medium=2000,
    )
    severities: tuple[Annotated[int, Range(1, 8)], ...] = option(
        "Of the noise, from 1 to 8.", (1, 2, 3, 4, 5, 6, 7, 8)
    )
    precision: Precision = option(
        "Arithmetic of the synapses; potentials are float32.  auto: bfloat16 on hardware with it.",
        "auto",
    )
    device: str = option(
        'Where to train: "auto" is a GPU if there is one; else as PyTorch calls it.', "auto"
    )
    data_dir: str | None = option(
        "Folder with the images.",
        unset="that of the variable EVENTSIM_DATA; else a download",
    )

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
        read_layers(self.chosen.network, (1 if "mnist" in self.data else 3, 32, 32))

    @property
    def kinds(self) -> tuple[str, ...]:
        """The size; the publication has another network for other images than CIFAR-10."""
        if self.size == "paper" and self.data != "cifar10":
            return ("paper_svhn", "paper")
        return (self.size,)

    def settings(self, seed: int) -> Settings:
        """Return how one network is trained."""
        chosen = self.chosen
        return Settings(epochs=chosen.epochs, batch_size=chosen.batch_size, seed=seed)
