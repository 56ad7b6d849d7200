"""Options of the scenario `stdbp`: which networks, and how they are trained."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Annotated, Literal

from gradients import Adam, cosine
from scenarios.extras import require_engine
from scenarios.networks.first_spike import FirstSpikeLoss
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
)
from scenarios.running.training import Settings
from scenarios.stdbp.network import ReLPSPNetwork, read_layers

__all__ = ["CSNN", "ROWS", "Config", "Recipe"]

N_PIXELS, N_CLASSES = 28 * 28, 10
CSNN = "28x28-6C5-P2-16C5-P2-1024-128-10"
ROWS = ("784-400-10", "784-800-10", CSNN)  # of Table 1


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes
    ----------
    epochs, full_epochs : int
        Passes over the training images, by default and with --full.
    batch_size : int
        Images in a minibatch.
    learning_rate, weight_decay : float
        Of Adam; the learning rate falls to 0 as a cosine.
    clip_norm : float
        Longest gradient; inf: gradients are taken as they are.
    smoothing : float
        Part of the target probability that is spread over all classes.
    shift : int
        Pixels by which training images are moved at random, at most, along either axis.
    jitter : float
        Standard deviation of noise on the input times.
    dropout : float
        Part of each dense hidden layer that each minibatch leaves out.
    bump : float
        Strength of the push on weights onto silent neurons.
    tau0 : float
        Time constant of the softmax.
    t_stop : float
        End of each simulation.
    init_total, init_spread : float
        Mean and standard deviation of the sum of the initial weights onto a neuron.
    """

    epochs: int
    full_epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    clip_norm: float
    smoothing: float
    shift: int
    jitter: float
    dropout: float
    bump: float
    tau0: float
    t_stop: float
    init_total: float
    init_spread: float


DENSE = Recipe(
    epochs=16,
    full_epochs=20,
    batch_size=100,
    learning_rate=2e-3,
    weight_decay=0.05,
    clip_norm=math.inf,
    smoothing=0.1,
    shift=1,
    jitter=0.1,
    dropout=0.0,
    bump=1.0,
    tau0=0.1,
    t_stop=5.0,
    init_total=4.0,
    init_spread=0.3,
)
CONVOLUTIONAL = replace(
    DENSE,
    epochs=3,
    full_epochs=16,
    batch_size=50,
    clip_norm=5.0,
    shift=2,
    t_stop=4.0,
    init_spread=1.0,
)
CHOICES = tuple(f.name for f in fields(Recipe) if f.name not in ("epochs", "full_epochs"))


@dataclass(frozen=True)
class Config(Options):
    """Settings; times are in units of the input window, in which white pixels fire at 0.

    Attributes
    ----------
    network
        Layers, in the notation of the publication (nCk: convolution, Pw: pool).
    rows
        Train the three networks of Table 1.
    full
        Many epochs, three networks of each kind.
    epochs
        Passes over the training images [16, 20 with --full; with convolutions 3 and 16].
    seeds
        Number of networks of each kind [1; 3 with --full].
    seed
        The first seed; the others follow.
    batch_size
        Images in a minibatch [100; with convolutions 50].
    learning_rate
        Of Adam; falls to 0 as a cosine [0.002].
    weight_decay
        Part of each weight that a step takes away, times the learning rate [0.05].
    clip_norm
        Longest gradient; longer ones are scaled down to it [inf: none is; with
        convolutions 5].
    smoothing
        Part of the target probability that is spread over all classes [0.1].
    shift
        Pixels by which training images are moved at random, at most [1; with convolutions 2].
    jitter
        Standard deviation of noise on the input times in training [0.1].
    dropout
        Part of each dense hidden layer that each minibatch leaves out at random [0].
    bump
        Strength of the push on weights onto silent neurons [1].
    tau0
        Time constant of the softmax over output spike times [0.1].
    t_stop
        End of each simulation [5; with convolutions 4].
    init_total
        Mean of the sum of the initial weights onto a neuron [4].
    init_spread
        Standard deviation of that sum [0.3; with convolutions 1].
    engine
        "cuda": simulate and differentiate on an NVIDIA GPU.
    n_train
        Use only the first training images [all].
    data_dir
        Folder with the four IDX files [that of the variable EVENTSIM_DATA; else a download].
    """

    network: str = "784-400-10"
    rows: bool = False
    full: bool = False
    epochs: Epochs | None = None
    seeds: Count | None = None
    seed: Seed = 0
    batch_size: BatchSize | None = None
    learning_rate: Rate | None = None
    weight_decay: NonNegative | None = None
    clip_norm: Annotated[float, Range(0, 1e6, "(]", also=math.inf)] | None = None
    smoothing: Fraction | None = None
    shift: Annotated[int, Range(0, 27)] | None = None
    jitter: NonNegative | None = None
    dropout: Fraction | None = None
    bump: NonNegative | None = None
    tau0: Positive | None = None
    t_stop: Positive | None = None
    init_total: Annotated[float, Range(-1e6, 1e6)] | None = None
    init_spread: NonNegative | None = None
    engine: Literal["auto", "cuda"] = "auto"
    n_train: Rows | None = None
    data_dir: str | None = None

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

    @property
    def n_seeds(self) -> int:
        """Number of networks of each kind."""
        return self.seeds if self.seeds is not None else (3 if self.full else 1)

    def n_epochs(self, network: str) -> int:
        """Return the number of epochs."""
        recipe = self.recipe(network)
        if self.epochs is not None:
            return self.epochs
        return recipe.full_epochs if self.full else recipe.epochs

    def recipe(self, network: str) -> Recipe:
        """Return the preset of a network, with what the user chose."""
        chosen = {name: getattr(self, name) for name in CHOICES}
        given = {name: value for name, value in chosen.items() if value is not None}
        convolutional = len(read_layers(network)[0].shape) == 3
        return replace(CONVOLUTIONAL if convolutional else DENSE, **given)

    def model(self, network: str) -> ReLPSPNetwork:
        """Return a network with its loss."""
        layers, recipe = read_layers(network), self.recipe(network)
        if (layers[0].size, layers[-1].size) != (N_PIXELS, N_CLASSES):
            raise ValueError(
                f"network must begin with {N_PIXELS} or 28x28 and end with {N_CLASSES}, "
                f"got {network!r}"
            )
        loss = FirstSpikeLoss(
            recipe.tau0, 1.0, 0.0, t_silent=recipe.t_stop, smoothing=recipe.smoothing
        )
        return ReLPSPNetwork(network, recipe.t_stop, loss, recipe.bump, self.engine)

    def settings(self, network: str, n_train: int, seed: int) -> Settings:
        """Return how one network is trained."""
        recipe, epochs = self.recipe(network), self.n_epochs(network)
        steps = epochs * math.ceil(n_train / recipe.batch_size)
        adam = Adam(
            lr=cosine(recipe.learning_rate, steps),
            weight_decay=recipe.weight_decay,
            clip_norm=None if recipe.clip_norm == math.inf else recipe.clip_norm,
        )
        return Settings(epochs=epochs, batch_size=recipe.batch_size, optimiser=adam, seed=seed)
