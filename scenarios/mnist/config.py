"""Options of scenarios that read out potentials: the paper's protocol, the project's recipe."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from gradients import Adam, cosine
from gradients.losses.term import Term
from scenarios.extras import require_engine
from scenarios.networks.readout import readout_loss
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
    option,
)
from scenarios.running.training import Settings

__all__ = ["MnistOptions", "Spiking"]

Spiking = Literal["multi", "single"]


@dataclass(frozen=True)
class MnistOptions(Options):
    """The first default is that of this project's recipe; others follow it."""

    published: bool = option("Take the protocol of the publication (100 epochs).", False)
    full: bool = option("100 epochs, three networks.", False)
    rows: bool = option("Train the four kinds of network of Table I.", False)
    sweep: Literal["nothing", "tau"] = option(
        '"tau": train with each tau_I, multi-spike and single-spike (Figs 3-5).', "nothing"
    )
    spikes: Spiking = option(
        "Whether a hidden neuron fires any number of times, or at most once.", "multi"
    )
    leaky: bool = option(
        "Whether current and potential decay; without, both time constants are infinite.", True
    )
    tau_i: Positive = option(
        "Time constant of the synaptic current, twice that of the membrane.",
        1.6,
        published=0.8,
        single=6.4,
    )
    hidden: Layer = option("Number of hidden neurons.", 400)
    epochs: Epochs = option("Passes over the training images.", 10, full=100, published=100)
    seeds: Count = option("Number of networks of each kind.", 1, full=3)
    seed: Seed = option("The first seed; the others follow.", 0)
    batch_size: BatchSize = option("Images in a minibatch.", 100)
    learning_rate: Rate = option("Of Adam.", 5e-3, published=1e-3)
    schedule: Literal["constant", "cosine"] = option(
        "Course of the learning rate: constant, or to 0 as a cosine.",
        "cosine",
        published="constant",
    )
    weight_decay: NonNegative = option(
        "Part of each weight that a step takes away, times the learning rate.", 0.02, published=0.0
    )
    smoothing: Fraction = option(
        "Part of the target probability that is spread over all classes.", 0.1, published=0.0
    )
    shift: Annotated[int, Range(0, 27)] = option(
        "Pixels by which training images are moved at random, at most, along either axis.",
        0,
        published=0,
    )
    jitter: NonNegative = option(
        "Standard deviation of noise on the input times in training.", 0.03, published=0.0
    )
    dropout: Fraction = option(
        "Part of the hidden neurons that each minibatch leaves out at random.", 0.25, published=0.0
    )
    dead_penalty: NonNegative = option(
        "Strength of the penalty on dead neurons.", 0.01, published=0.01
    )
    dead_fraction: Annotated[float, Range(0, 1, "(]")] = option(
        "A neuron is dead if it fires in less than this fraction of a minibatch.",
        0.01,
        published=0.1,
    )
    norm_penalty: NonNegative = option(
        "Strength of the penalty on large output potentials.", 0.0, published=1e-4
    )
    init_mean: Annotated[float, Range(-1e6, 1e6)] = option("Mean of the initial weights.", 0.03)
    init_std: NonNegative = option("Standard deviation of the initial weights.", 0.3)
    engine: Literal["auto", "cuda"] = option(
        '"cuda": train on an NVIDIA GPU.  (With --shift, images are still moved on the '
        "processors.)",
        "auto",
    )
    precision: Literal["float64", "float32"] = option(
        'With --engine cuda: "float32" keeps weights, times and states in single precision.',
        "float64",
    )
    n_train: Rows | None = option("Use only the first training images.", unset="all")
    data_dir: str | None = option(
        "Folder with the four IDX files.",
        unset="that of the variable EVENTSIM_DATA; else a download",
    )

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
    def kinds(self) -> tuple[str, ...]:
        """The publication's protocol, if it is asked for, and how often a neuron fires."""
        return self._kinds_of(self.spikes)

    def _kinds_of(self, spikes: Spiking) -> tuple[str, ...]:
        return (*(["published"] if self.published else []), spikes)

    def leaky_tau_i(self, spikes: Spiking) -> float:
        """Return the time constant of the current of leaky networks."""
        return self.chosen_for(*self._kinds_of(spikes)).tau_i

    def loss(self) -> Term:
        """Return what training lowers."""
        chosen = self.chosen
        return readout_loss(
            chosen.smoothing, chosen.norm_penalty, chosen.dead_penalty, chosen.dead_fraction
        )

    def settings(self, n_train: int, seed: int) -> Settings:
        """Return how one network is trained."""
        chosen = self.chosen
        steps = chosen.epochs * math.ceil(n_train / self.batch_size)
        rate = chosen.learning_rate
        lr = cosine(rate, steps) if chosen.schedule == "cosine" else rate
        return Settings(
            epochs=chosen.epochs,
            batch_size=self.batch_size,
            optimizer=Adam(lr=lr, weight_decay=chosen.weight_decay),
            seed=seed,
        )
