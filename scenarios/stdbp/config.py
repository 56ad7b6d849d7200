"""Options of the scenario `stdbp`: which networks, and how they are trained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from gradients import Adam, FirstSpikeCrossEntropy, cosine
from scenarios.extras import require_engine
from scenarios.running.options import (
    BatchSize,
    Count,
    Epochs,
    Fraction,
    NonNegative,
    Options,
    Positive,
    Range,
    Rate,
    Rows,
    Seed,
    option,
)
from scenarios.running.training import Settings
from scenarios.stdbp.network import ReLPSPNetwork, read_layers

__all__ = ["CSNN", "ROWS", "StdbpOptions"]

N_PIXELS, N_CLASSES = 28 * 28, 10
CSNN = "28x28-6C5-P2-16C5-P2-1024-128-10"
ROWS = ("784-400-10", "784-800-10", CSNN)  # of Table 1


@dataclass(frozen=True)
class StdbpOptions(Options):
    """Times are in units of the input window, in which white pixels fire at 0."""

    network: str = option(
        "Layers, in the notation of the publication (nCk: convolution, Pw: pool).", "784-400-10"
    )
    rows: bool = option("Train the three networks of Table 1.", False)
    full: bool = option("Many epochs, three networks of each kind.", False)
    epochs: Epochs = option(
        "Passes over the training images.",
        dense=16,
        dense_full=20,
        convolutional=3,
        convolutional_full=16,
    )
    seeds: Count = option("Number of networks of each kind.", 1, full=3)
    seed: Seed = option("The first seed; the others follow.", 0)
    batch_size: BatchSize = option("Images in a minibatch.", dense=100, convolutional=50)
    learning_rate: Rate = option(
        "Of Adam; falls to 0 as a cosine.",
        dense=2e-3,
        convolutional=2e-3,
    )
    weight_decay: NonNegative = option(
        "Part of each weight that a step takes away, times the learning rate.",
        dense=0.05,
        convolutional=0.05,
    )
    clip_norm: Annotated[float, Range(0, 1e6, "(]", also=math.inf)] = option(
        "Longest gradient; longer ones are scaled down to it; inf: none is.",
        dense=math.inf,
        convolutional=5.0,
    )
    smoothing: Fraction = option(
        "Part of the target probability that is spread over all classes.",
        dense=0.1,
        convolutional=0.1,
    )
    shift: Annotated[int, Range(0, 27)] = option(
        "Pixels by which training images are moved at random, at most, along either axis.",
        dense=1,
        convolutional=2,
    )
    jitter: NonNegative = option(
        "Standard deviation of noise on the input times in training.",
        dense=0.1,
        convolutional=0.1,
    )
    dropout: Fraction = option(
        "Part of each dense hidden layer that each minibatch leaves out at random.",
        dense=0.0,
        convolutional=0.0,
    )
    bump: NonNegative = option(
        "Strength of the push on weights onto silent neurons.",
        dense=1.0,
        convolutional=1.0,
    )
    tau0: Positive = option(
        "Time constant of the softmax over output spike times.",
        dense=0.1,
        convolutional=0.1,
    )
    t_stop: Positive = option("End of each simulation.", dense=5.0, convolutional=4.0)
    init_total: Annotated[float, Range(-1e6, 1e6)] = option(
        "Mean of the sum of the initial weights onto a neuron.",
        dense=4.0,
        convolutional=4.0,
    )
    init_spread: NonNegative = option(
        "Standard deviation of that sum.", dense=0.3, convolutional=1.0
    )
    engine: Literal["auto", "cuda"] = option(
        '"cuda": simulate and differentiate on an NVIDIA GPU.', "auto"
    )
    n_train: Rows | None = option("Use only the first training images.", unset="all")
    data_dir: str | None = option(
        "Folder with the four IDX files.",
        unset="that of the variable EVENTSIM_DATA; else a download",
    )

    def __post_init__(self) -> None:
        """Check the fields, the networks, and that the options go together."""
        super().__post_init__()
        if self.rows and self.network != "784-400-10":
            raise ValueError(f"network must not be given with rows, got {self.network!r}")
        for network in self.networks:
            self.model(network)

    def require(self) -> None:
        """Check that there is a GPU for the engine."""
        require_engine(self.engine)

    @property
    def networks(self) -> tuple[str, ...]:
        """The networks to train."""
        return ROWS if self.rows else (self.network,)

    def recipe(self, network: str) -> StdbpOptions:
        """Return the settings of a network: dense, or with convolutions."""
        convolutional = len(read_layers(network)[0].shape) == 3
        return self.chosen_for("convolutional" if convolutional else "dense")

    def model(self, network: str) -> ReLPSPNetwork:
        """Return a network with its loss."""
        layers, recipe = read_layers(network), self.recipe(network)
        if (layers[0].size, layers[-1].size) != (N_PIXELS, N_CLASSES):
            raise ValueError(
                f"network must begin with {N_PIXELS} or 28x28 and end with {N_CLASSES}, "
                f"got {network!r}"
            )
        loss = FirstSpikeCrossEntropy(
            "out", recipe.tau0, recipe.t_stop, smoothing=recipe.smoothing, wake=recipe.bump
        )
        return ReLPSPNetwork(network, recipe.t_stop, loss, self.engine)

    def settings(self, network: str, n_train: int, seed: int) -> Settings:
        """Return how one network is trained."""
        recipe = self.recipe(network)
        steps = recipe.epochs * math.ceil(n_train / recipe.batch_size)
        adam = Adam(
            lr=cosine(recipe.learning_rate, steps),
            weight_decay=recipe.weight_decay,
            clip_norm=None if recipe.clip_norm == math.inf else recipe.clip_norm,
        )
        return Settings(
            epochs=recipe.epochs, batch_size=recipe.batch_size, optimizer=adam, seed=seed
        )
