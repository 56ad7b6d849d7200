"""Options of the scenario `clock`: what is measured, and how networks are trained in between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from gradients import Adam
from scenarios.extras import require
from scenarios.running.options import (
    BatchSize,
    Count,
    Epochs,
    Layer,
    Options,
    Range,
    Seed,
    option,
)
from scenarios.running.training import Settings

__all__ = ["N_MNIST", "ClockOptions"]

STEPS = (10, 20, 50, 100, 200, 500)  # of a run of a classifier
CUSTOMARY = 100
N_MNIST = 20_000  # training images
BATCH, RATE = {"mnist": 100, "yin_yang": 150}, {"mnist": 5e-3, "yin_yang": 0.02}  # of training


@dataclass(frozen=True)
class ClockOptions(Options):
    """Some defaults depend on the data set."""

    networks: Count = option("Number of random networks whose spikes are compared.", 10)
    batches: Count = option("Number of minibatches whose gradients are compared.", 3)
    batch_size: BatchSize = option("Samples in such a minibatch.", 100)
    finest: Literal[10, 20, 50, 100, 200, 500] = option("Most steps in a run of a classifier.", 500)
    hidden: Layer = option("Number of hidden neurons of the classifiers.", mnist=400, yin_yang=150)
    epochs: Epochs = option("Of the training in between.", mnist=2, yin_yang=20)
    n_train: Annotated[int, Range(2, 5000)] | None = option(
        "Use only the first training samples.", unset="mnist: 20000; yin yang: all"
    )
    seed: Seed = option("Of networks, initial weights and minibatches.", 0)
    data_dir: str | None = option(
        "Folder with the four IDX files of MNIST.",
        unset="that of the variable EVENTSIM_DATA; else a download",
    )

    def require(self) -> None:
        """Check that PyTorch is there."""
        require("torch", ("torch",), "the scenario clock")

    def settings(self, data: str) -> Settings:
        """Return how the network of a data set is trained."""
        return Settings(self.chosen_for(data).epochs, BATCH[data], Adam(lr=RATE[data]), self.seed)

    @property
    def steps(self) -> list[int]:
        """Numbers of steps of the classifiers' clocks."""
        return [n for n in STEPS if n <= self.finest]

    @property
    def slope_steps(self) -> int:
        """Number of steps with which the steepness is varied."""
        return min(CUSTOMARY, self.finest)

    @property
    def seeds(self) -> range:
        """Seeds of the random networks."""
        return range(self.seed, self.seed + self.networks)
