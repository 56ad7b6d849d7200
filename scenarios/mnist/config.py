"""Options of scenarios that read out potentials: the paper's protocol, the project's recipe."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Annotated, Literal

from gradients import Adam, cosine
from scenarios.extras import require_engine
from scenarios.networks.readout import ReadoutLoss
from scenarios.running.options import (
    BatchSize,
    Count,
    Epochs,
    Fraction,
    Layer,
    NonNegative,
    Options,
    Positive,
    Range,
    Rate,
    Rows,
    Seed,
)
from scenarios.running.training import Settings

__all__ = ["BEST", "PUBLISHED", "Config", "Recipe", "Spiking"]

Spiking = Literal["multi", "single"]


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes
    ----------
    tau_i, tau_i_single : float
        Time constant of the synaptic current of leaky networks, multi-spike and single-spike.
    learning_rate, schedule, weight_decay
        Of Adam.
    smoothing, norm_penalty, dead_penalty, dead_fraction
        Of the loss.
    shift : int
        Pixels by which training images are moved at random, at most, along either axis.
    jitter : float
        Standard deviation of noise on the input times.
    dropout : float
        Part of the hidden neurons that each minibatch leaves out.
    """

    tau_i: float
    tau_i_single: float
    learning_rate: float
    schedule: Literal["constant", "cosine"]
    weight_decay: float
    smoothing: float
    shift: int
    jitter: float
    dropout: float
    dead_penalty: float
    dead_fraction: float
    norm_penalty: float


PUBLISHED = Recipe(
    tau_i=0.8,
    tau_i_single=0.8,
    learning_rate=1e-3,
    schedule="constant",
    weight_decay=0.0,
    smoothing=0.0,
    shift=0,
    jitter=0.0,
    dropout=0.0,
    dead_penalty=0.01,
    dead_fraction=0.1,
    norm_penalty=1e-4,
)
BEST = Recipe(
    tau_i=1.6,
    tau_i_single=6.4,
    learning_rate=5e-3,
    schedule="cosine",
    weight_decay=0.02,
    smoothing=0.1,
    shift=0,
    jitter=0.03,
    dropout=0.25,
    dead_penalty=0.01,
    dead_fraction=0.01,
    norm_penalty=0.0,
)


@dataclass(frozen=True)
class Config(Options):
    """Settings; brackets give the defaults of this project's recipe and of --published.

    Attributes
    ----------
    published
        Take the protocol of the publication (100 epochs).
    full
        100 epochs, three networks.
    rows
        Train the four kinds of network of Table I.
    sweep
        "tau": train with each tau_I, multi-spike and single-spike (Figs 3-5).
    spikes
        Whether a hidden neuron fires any number of times, or at most once.
    leaky
        Whether current and potential decay; without, both time constants are infinite.
    tau_i
        Time constant of the synaptic current, twice that of the membrane [1.6, single-spike 6.4;
        0.8].
    hidden
        Number of hidden neurons.
    epochs
        Passes over the training images [10; 100 with --full or --published].
    seeds
        Number of networks of each kind [1; 3 with --full].
    seed
        The first seed; the others follow.
    batch_size
        Images in a minibatch.
    learning_rate
        Of Adam [0.005; 0.001].
    schedule
        Course of the learning rate: constant, or to 0 as a cosine [cosine; constant].
    weight_decay
        Part of each weight that a step takes away, times the learning rate [0.02; 0].
    smoothing
        Part of the target probability that is spread over all classes [0.1; 0].
    shift
        Pixels by which training images are moved at random, at most [0; 0].
    jitter
        Standard deviation of noise on the input times in training [0.03; 0].
    dropout
        Part of the hidden neurons that each minibatch leaves out at random [0.25; 0].
    dead_penalty
        Strength of the penalty on dead neurons [0.01; 0.01].
    dead_fraction
        A neuron is dead if it fires in less than this fraction of a minibatch [0.01; 0.1].
    norm_penalty
        Strength of the penalty on large output potentials [0; 0.0001].
    init_mean
        Mean of the initial weights.
    init_std
        Standard deviation of the initial weights.
    engine
        "cuda": train on an NVIDIA GPU.  (With --shift, images are still moved on the processors.)
    precision
        With --engine cuda: "float32" keeps weights, times and states in single precision.
    n_train
        Use only the first training images [all].
    data_dir
        Folder with the four IDX files [that of the variable EVENTSIM_DATA; else a download].
    """

    published: bool = False
    full: bool = False
    rows: bool = False
    sweep: Literal["nothing", "tau"] = "nothing"
    spikes: Spiking = "multi"
    leaky: bool = True
    tau_i: Positive | None = None
    hidden: Layer = 400
    epochs: Epochs | None = None
    seeds: Count | None = None
    seed: Seed = 0
    batch_size: BatchSize = 100
    learning_rate: Rate | None = None
    schedule: Literal["constant", "cosine"] | None = None
    weight_decay: NonNegative | None = None
    smoothing: Fraction | None = None
    shift: Annotated[int, Range(0, 27)] | None = None
    jitter: NonNegative | None = None
    dropout: Fraction | None = None
    dead_penalty: NonNegative | None = None
    dead_fraction: Annotated[float, Range(0, 1, "(]")] | None = None
    norm_penalty: NonNegative | None = None
    init_mean: Annotated[float, Range(-1e6, 1e6)] = 0.03
    init_std: NonNegative = 0.3
    engine: Literal["auto", "cuda"] = "auto"
    precision: Literal["float64", "float32"] = "float64"
    n_train: Rows | None = None
    data_dir: str | None = None

    def __post_init__(self) -> None:
        """Check the fields, and that the options go together."""
        super().__post_init__()
        if self.precision != "float64" and self.engine != "cuda":
            raise ValueError(
                f"precision must be 'float64' without --engine cuda, got {self.precision!r}"
            )
        self._check_kinds()

    def require(self) -> None:
        """Check that there is a GPU for the engine."""
        require_engine(self.engine)

    def _check_kinds(self) -> None:
        """Check that the options name one set of kinds of network."""
        swept = self.sweep != "nothing"
        if self.rows and swept:
            raise ValueError("rows and sweep must not both be given: each is a run of its own")
        if (self.rows or swept) and (self.spikes != "multi" or not self.leaky):
            raise ValueError(
                "spikes and leaky must not be given with rows or sweep: these vary them"
            )
        if self.tau_i is not None and (swept or not self.leaky):
            raise ValueError(f"tau_i must not be given with sweep or no-leaky, got {self.tau_i}")

    @property
    def recipe(self) -> Recipe:
        """The preset, with what the user chose."""
        names = {f.name for f in fields(Recipe)} - {"tau_i_single"}
        chosen = {name: getattr(self, name) for name in names} | {"tau_i_single": self.tau_i}
        given = {name: value for name, value in chosen.items() if value is not None}
        return replace(PUBLISHED if self.published else BEST, **given)

    def leaky_tau_i(self, spikes: Spiking) -> float:
        """Return the time constant of the current of leaky networks."""
        return self.recipe.tau_i if spikes == "multi" else self.recipe.tau_i_single

    @property
    def n_epochs(self) -> int:
        """Number of epochs."""
        long = self.full or self.published
        return self.epochs if self.epochs is not None else (100 if long else 10)

    @property
    def n_seeds(self) -> int:
        """Number of networks of each kind."""
        return self.seeds if self.seeds is not None else (3 if self.full else 1)

    def loss(self) -> ReadoutLoss:
        """Return what training lowers."""
        recipe = self.recipe
        return ReadoutLoss(
            recipe.smoothing, recipe.norm_penalty, recipe.dead_penalty, recipe.dead_fraction
        )

    def optimiser(self, n_train: int) -> Adam:
        """Return the update rule for a training set of this size."""
        recipe = self.recipe
        steps = self.n_epochs * math.ceil(n_train / self.batch_size)
        rate = recipe.learning_rate
        lr = cosine(rate, steps) if recipe.schedule == "cosine" else rate
        return Adam(lr=lr, weight_decay=recipe.weight_decay)

    def settings(self, n_train: int, seed: int) -> Settings:
        """Return how one network is trained."""
        return Settings(
            epochs=self.n_epochs,
            batch_size=self.batch_size,
            optimiser=self.optimiser(n_train),
            seed=seed,
        )
