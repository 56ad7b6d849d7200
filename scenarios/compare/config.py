"""Options of the scenario `compare`: which contests, and how long networks are trained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from gradients import Adam, cosine
from scenarios.extras import require
from scenarios.running.options import Count, Epochs, Layer, Options, Range, Rows, Seed, option
from scenarios.running.training import Settings

__all__ = ["PROBLEMS", "CompareOptions", "Problem"]

Problem = Literal["yin_yang_spikes", "yin_yang", "mnist"]
PROBLEMS: tuple[Problem, ...] = ("yin_yang_spikes", "yin_yang", "mnist")
RATE = {"yin_yang": 0.01, "mnist": 5e-3}
BATCH = {"yin_yang": 150, "mnist": 100}


@dataclass(frozen=True)
class CompareOptions(Options):
    """Some defaults depend on the contest, and on --full."""

    problem: Problem | None = option(
        "One of the contests: yin_yang_spikes, yin_yang (by potentials) or mnist.", unset="all"
    )
    full: bool = option(
        "Yin-Yang 300 epochs (by spikes) and 100, MNIST 20 epochs of all images, 100 steps, five "
        "seeds.",
        False,
    )
    seeds: Count = option("Number of networks of each kind.", 2, full=5)
    seed: Seed = option("The first seed; the others follow.", 0)
    epochs: Epochs = option(
        "Passes over the training samples.",
        yin_yang_spikes=20,
        yin_yang_spikes_full=300,
        yin_yang=20,
        yin_yang_full=100,
        mnist=4,
        mnist_full=20,
    )
    steps: Annotated[int, Range(1, 10_000)] = option(
        "Steps of a clocked run that ends with potentials.", 50, full=100
    )
    hidden: Layer = option(
        "Number of hidden neurons.", yin_yang_spikes=150, yin_yang=150, mnist=400
    )
    n_train: Rows = option(
        "Use only the first training samples.",
        yin_yang_spikes=5000,
        yin_yang=5000,
        mnist=5000,
        mnist_full=60_000,
    )
    data_dir: str | None = option(
        "Folder with the four IDX files of MNIST.",
        unset="that of the variable EVENTSIM_DATA; else a download",
    )

    def __post_init__(self) -> None:
        """Check the fields, and that the options go together."""
        super().__post_init__()
        n_train: int | None = self.n_train
        if n_train is not None and n_train > 5000 and self.problem != "mnist":
            raise ValueError(f"n_train must be <= 5000 for Yin-Yang, got {n_train!r}")

    def require(self) -> None:
        """Check that PyTorch is there."""
        require("torch", ("torch",), "the scenario compare")

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The contests."""
        return PROBLEMS if self.problem is None else (self.problem,)

    @property
    def all_seeds(self) -> range:
        """Seeds of the networks."""
        return range(self.seed, self.seed + self.chosen.seeds)

    def settings(self, problem: Problem, seed: int) -> Settings:
        """Return how one network is trained, whatever the gradient."""
        chosen, batch = self.chosen_for(problem), BATCH[problem]
        steps = chosen.epochs * math.ceil(chosen.n_train / batch)
        return Settings(chosen.epochs, batch, Adam(lr=cosine(RATE[problem], steps)), seed)
