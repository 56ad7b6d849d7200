"""Options of the scenario `leak`: which networks, how they are trained and what is measured."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Literal, get_args

from eventsim._validate import as_count, check_choice
from scenarios.datasets.colour_images import DATA_SETS
from scenarios.training import Settings, check_seed

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
COUNTS = ("steps", "epochs", "seeds", "batch_size", "n_train", "n_test", "n_noisy")


@dataclass(frozen=True)
class Config:
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
    tau_m: tuple[float, ...] = (30.0, 100.0, math.inf)
    steps: int | None = None
    epochs: int | None = None
    seeds: int | None = None
    seed: int = 0
    batch_size: int | None = None
    learning_rate: float | None = None
    dropout: float | None = None
    gain: float | None = None
    shift: int | None = None
    n_train: int | None = None
    n_test: int | None = None
    n_noisy: int | None = None
    severities: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)
    precision: Precision = "auto"
    device: str = "auto"
    data_dir: str | None = None

    def __post_init__(self) -> None:
        """Check what needs neither the images nor PyTorch."""
        for name in ("tau_m", "severities"):  # lists, when they come from a file
            object.__setattr__(self, name, tuple(getattr(self, name)))
        check_choice(self.data, DATA_SETS, "data")
        check_choice(self.size, RECIPES, "size")
        check_choice(self.precision, get_args(Precision), "precision")
        self._check_lists()
        recipe = self.recipe
        for name in COUNTS:
            if getattr(recipe, name) is not None:
                as_count(getattr(recipe, name), name)
        if recipe.steps < 3:  # with fewer, no frequency lies below that of Nyquist
            raise ValueError(f"steps must be >= 3, got {recipe.steps!r}")
        for name in ("learning_rate", "gain"):
            if not 0.0 < getattr(recipe, name) < math.inf:
                raise ValueError(f"{name} must be finite and > 0, got {getattr(recipe, name)!r}")
        if not 0.0 <= recipe.dropout < 1.0:
            raise ValueError(f"dropout must lie in [0, 1), got {recipe.dropout!r}")
        if not 0 <= recipe.shift < 32:
            raise ValueError(f"shift must lie in 0 to 31, got {recipe.shift!r}")

    def _check_lists(self) -> None:
        check_seed(self.seed)
        if not self.tau_m or len({f"{tau:g}" for tau in self.tau_m}) < len(self.tau_m):
            raise ValueError(
                f"tau_m must be one or more numbers that differ in six digits, got {self.tau_m!r}"
            )
        for tau in self.tau_m:
            if not tau > 0.0:
                raise ValueError(f"tau_m must be > 0 (inf: no leak), got {tau!r}")
        good = all(isinstance(s, int) and 1 <= s <= 8 for s in self.severities)
        if not good or not self.severities or list(self.severities) != sorted({*self.severities}):
            raise ValueError(
                f"severities must be ascending whole numbers from 1 to 8, got {self.severities!r}"
            )

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
