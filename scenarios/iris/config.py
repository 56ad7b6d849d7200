"""Options of the scenario `iris`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, Self

from gradients import Adam, cosine
from scenarios.running.options import (
    BatchSize,
    Count,
    Epochs,
    NonNegative,
    Options,
    Positive,
    Rate,
    Seed,
    option,
)
from scenarios.running.training import Settings

__all__ = ["IrisOptions"]


@dataclass(frozen=True)
class IrisOptions(Options):
    """Why the defaults are not those of Table 2: eventsim info iris."""

    published: bool = option("Take the settings of Table 2 of the publication.", False)
    full: bool = option("Average over 100 random splits instead of 20.", False)
    seed: Seed = option("Seed of the documented split and of its initial weights.", 105)
    splits: Count = option("Number of random splits to average over.", 20, full=100)
    epochs: Epochs = option("Passes over the training flowers (not published).", 200)
    batch_size: BatchSize = option("Flowers in a minibatch (not published).", 20)
    learning_rate: Rate = option("Of Adam.", 0.05)
    schedule: Literal["constant", "cosine"] = option(
        "Course of the learning rate: constant, or to 0 as a cosine.",
        "cosine",
        published="constant",
    )
    spikes: Literal["multi", "single"] = option(
        "Whether a hidden neuron fires any number of times, or at most once.",
        "single",
        published="multi",
    )
    t_max: Positive = option("The latest input.", 2.0, published=16.0)
    t_bias: NonNegative | None = option(
        "When the source without a flower fires; none: it never does, as with --published.",
        1.0,
        unset="none",
    )
    t_stop: Positive = option("End of each simulation.", 3.0, published=20.0)
    gamma: NonNegative = option("Cost of late label spikes.", 0.1)
    tau0: Positive = option("Time constant of the cross-entropy.", 0.2, published=1.0)
    tau1: Positive = option("Time constant of the cost of late spikes.", 2.0, published=1.0)
    bump: NonNegative = option(
        "Strength of the push on weights onto silent label neurons.", 1.0, published=0.0
    )

    @property
    def kinds(self) -> tuple[str, ...]:
        """The publication's protocol, or this project's."""
        return ("published",) if self.published else ()

    @property
    def chosen(self) -> Self:
        """The settings of this run; the publication has no source without a flower."""
        chosen = super().chosen
        return replace(chosen, t_bias=None) if self.published else chosen

    def settings(self, n_train: int, seed: int) -> Settings:
        """Return how one network is trained."""
        steps = self.epochs * math.ceil(n_train / self.batch_size)
        rate = self.learning_rate
        return Settings(
            epochs=self.epochs,
            batch_size=self.batch_size,
            optimizer=Adam(lr=cosine(rate, steps) if self.chosen.schedule == "cosine" else rate),
            seed=seed,
            evaluate_every=1 if seed == self.seed else self.epochs,
            save_every=50,
        )
