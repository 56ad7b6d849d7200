"""Options of the scenario `yin_yang`: the publication's network and protocol, or the best found."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from gradients import Adam, cosine
from scenarios.extras import require
from scenarios.running.options import (
    BatchSize,
    Count,
    Epochs,
    Layer,
    NonNegative,
    Options,
    Positive,
    Range,
    Rate,
    Seed,
    option,
)
from scenarios.running.training import Settings
from scenarios.yin_yang.network import KeptFromZero

__all__ = ["NORMALS", "TAU_SYN", "T_EARLY", "YinYangOptions"]

# What the recipes have besides the options: time constant of the synapses, input spike of the
# coordinate 0, and (mean, standard deviation) of the initial weights onto hidden and onto output
# neurons.
TAU_SYN = {"published": 1 / 0.999, "best": 1.0, "small": 1.0}
T_EARLY = {"published": 0.15, "best": 0.0, "small": 0.0}
NORMALS = {
    "published": ((1.5, 0.8), (2.0, 0.1)),
    "best": ((0.6, 1.0), (0.05, 0.1)),
    "small": ((0.6, 1.0), (0.33, 0.2)),
}


@dataclass(frozen=True)
class YinYangOptions(Options):
    """Defaults depend on the recipe; times are in synaptic time constants."""

    recipe: Literal["published", "best", "small"] = option(
        "The publication's network and protocol; the best found here; that for 30 hidden neurons.",
        "published",
    )
    learn: Literal["weights", "delays"] = option(
        "What is learnt: the weights, or the delay of each synapse too.", "weights"
    )
    full: bool = option(
        "All epochs of the recipe (and, of the published one, its smaller learning rate).", False
    )
    seeds: Count = option("Number of seeds; the table then says mean ± standard deviation.", 1)
    seed: Seed = option("The first seed; the others follow.", 0)
    epochs: Epochs = option(
        "Passes over the 5000 training points.",
        published=60,
        published_full=300,
        best=20,
        best_full=60,
        small=20,
        small_full=60,
    )
    hidden: Layer = option("Number of hidden neurons.", published=150, best=200, small=30)
    spikes: Literal["multi", "single"] = option(
        "Whether a hidden neuron fires any number of times, or at most once.",
        published="multi",
        best="single",
        small="single",
    )
    tau_mem: Positive = option("Membrane time constant.", published=1.0, best=4.0, small=4.0)
    delay: NonNegative = option(
        "Longest initial delay, with --learn delays; they are drawn evenly from 0 on.",
        published_delays=0.5,
        best_delays=0.5,
        small_delays=0.5,
    )
    t_late: NonNegative = option(
        "Input spike of the coordinate 1.", published=2.0, best=2.0, small=2.0
    )
    t_bias: NonNegative = option(
        "Input spike of the source that always fires.", published=0.9, best=0.67, small=0.67
    )
    t_stop: Positive = option(
        "End of each simulation.", published=1.5, best=1.6, small=2.0, small_delays=3.0
    )
    batch_size: BatchSize = option("Points in a minibatch.", published=150, best=100, small=100)
    learning_rate: Rate = option(
        "Of Adam.", published=2.5e-3, published_full=5e-4, best=0.01, small=0.02, small_delays=0.01
    )
    schedule: Literal["constant", "cosine"] = option(
        "Course of the learning rate: constant, or to 0 as a cosine.",
        published="constant",
        best="cosine",
        small="cosine",
    )
    clip_norm: Positive | None = option(
        "Length to which a longer gradient is cut, if to any.",
        unset="none",
        small=1.0,
        small_delays=0.3,
    )
    tau0: Positive = option(
        "Time constant of the cross-entropy.", published=0.2, best=0.02, small=0.02
    )
    gamma: NonNegative = option("Cost of late label spikes.", published=0.005, best=0.0, small=0.0)
    tau1: Positive = option(
        "Time constant of the cost of late spikes.", published=1.0, best=1.0, small=1.0
    )
    bump: NonNegative = option(
        "Strength of the push on weights onto silent label neurons.",
        published=0.0,
        best=0.5,
        small=0.5,
    )
    n_train: Annotated[int, Range(1, 5000)] | None = option(
        "Use only the first training points.", unset="all"
    )
    data_dir: str | None = option(
        "Folder with the six .npy files.",
        unset="that of the variable EVENTSIM_DATA; else the copy in this package",
    )
    compare: Literal["nothing", "surrogate"] = option(
        "Train the same network with surrogate gradients too (published recipe; needs the extra "
        '"torch").',
        "nothing",
    )
    compare_epochs: Epochs | None = option("Epochs of that comparison.", unset="as --epochs")

    def __post_init__(self) -> None:
        """Check the fields, and that the options go together."""
        super().__post_init__()
        early, late = T_EARLY[self.recipe], self.chosen.t_late
        if not early <= late:
            raise ValueError(f"t_late must be >= {early}, got {late!r}")
        if self.compare == "surrogate" and self.recipe != "published":
            raise ValueError(
                f"recipe must be 'published' with --compare surrogate, got {self.recipe!r}"
            )
        if self.compare == "surrogate" and self.learn != "weights":
            raise ValueError(
                f"learn must be 'weights' with --compare surrogate, got {self.learn!r}"
            )
        if self.delay is not None and self.learn != "delays":
            raise ValueError(f"delay must be None without --learn delays, got {self.delay!r}")

    def require(self) -> None:
        """Check that PyTorch is there for the comparison."""
        if self.compare == "surrogate":
            require("torch", ("torch",), "the comparison with surrogate gradients")

    @property
    def kinds(self) -> tuple[str, ...]:
        """The recipe, that for delays first."""
        with_delays = (f"{self.recipe}_delays",) if self.learn == "delays" else ()
        return (*with_delays, self.recipe)

    def settings(self, n_train: int, seed: int) -> Settings:
        """Return how one network is trained."""
        chosen = self.chosen
        steps = chosen.epochs * math.ceil(n_train / chosen.batch_size)
        rate = chosen.learning_rate
        lr = cosine(rate, steps) if chosen.schedule == "cosine" else rate
        adam = Adam(lr=lr, clip_norm=chosen.clip_norm)
        return Settings(
            epochs=chosen.epochs,
            batch_size=chosen.batch_size,
            optimizer=KeptFromZero(adam) if self.learn == "delays" else adam,
            seed=seed,
        )
