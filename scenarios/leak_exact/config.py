"""Options of the scenario `leak_exact`: which time constants, and how networks are trained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal, TypeAlias

from scenarios.datasets.images import mnist
from scenarios.datasets.labelled_images import LabelledImages
from scenarios.mnist.config import MnistOptions, Spiking
from scenarios.mnist.study import Variant
from scenarios.running.options import (
    Epochs,
    Layer,
    Options,
    Range,
    Rows,
    Seed,
    TimeConstant,
    option,
)

__all__ = ["LeakExactOptions"]

Varied: TypeAlias = Literal["both", "membrane", "current"]
TAUS = (0.8, 1.6, 3.2, 6.4, math.inf)
TAU_I = 1.6  # where only the membrane's varies


@dataclass(frozen=True)
class LeakExactOptions(Options):
    """Some defaults depend on --full."""

    full: bool = option(
        "784-400-10, all images, 10 epochs, five networks of each time constant.", False
    )
    vary: Varied = option(
        'What differs: "both" time constants (tau_V = tau_I / 2), that of the "membrane" (tau_V, '
        'with tau_I = 1.6) or that of the "current" (tau_I, with tau_V = 0.8).',
        "both",
    )
    taus: tuple[TimeConstant, ...] = option(
        'Values of tau_I ("both", "current") or tau_V ("membrane"), ascending; inf: no leak.',
        TAUS,
        membrane=tuple(tau / 2.0 for tau in TAUS),
    )
    spikes: Spiking = option(
        "Whether a hidden neuron fires any number of times, or at most once.", "multi"
    )
    hidden: Layer = option("Number of hidden neurons.", 100, full=400)
    epochs: Epochs = option("Passes over the training images.", 6, full=10)
    seeds: Annotated[int, Range(2, 100_000)] = option(  # or effects have no uncertainty
        "Networks of each time constant, at least two.", 3, full=5
    )
    seed: Seed = option("The first seed; the others follow.", 0)
    n_train: Rows | None = option(
        "Use only the first training images.", 20_000, unset="all", full=None
    )
    n_test: Rows | None = option("Use only the first test images.", 2000, unset="all", full=None)
    data_dir: str | None = option(
        "Folder with the four IDX files.",
        unset="that of the variable EVENTSIM_DATA; else a download",
    )

    def __post_init__(self) -> None:
        """Check the fields, and that there are networks to compare."""
        super().__post_init__()
        taus = self.chosen.taus
        if len(taus) < 2 or not all(a < b for a, b in pairwise(taus)):
            raise ValueError(f"taus must be two or more, ascending, got {taus!r}")
        for tau in taus:
            self.readout(tau)

    @property
    def kinds(self) -> tuple[str, ...]:
        """What differs."""
        return (self.vary,)

    def variant(self, tau: float) -> Variant:
        """Return the kind of network that a time constant makes."""
        if self.vary == "membrane":
            return Variant(self.spikes, TAU_I, tau)
        return Variant(self.spikes, tau, TAU_I / 2.0 if self.vary == "current" else None)

    def title(self, tau: float) -> str:
        """Return the name of the networks of a time constant in tables and pictures."""
        if tau == math.inf and self.vary != "current":
            return "no leak"
        return f"{'tau_V' if self.vary == 'membrane' else 'tau_I'} = {tau}"

    def readout(self, tau: float) -> MnistOptions:
        """Return the options of `mnist` that train it: no noise, or leak would not meet it first.

        Raises
        ------
        ValueError
            If an option is out of its range.
        """
        chosen, variant = self.chosen, self.variant(tau)
        tau_i: Any = variant.tau_i if variant.leaky else None
        return MnistOptions(
            spikes=self.spikes,
            tau_i=tau_i,
            leaky=variant.leaky,
            hidden=chosen.hidden,
            epochs=chosen.epochs,
            n_train=chosen.n_train,
            batch_size=50,
            jitter=0.0,
            dropout=0.0,
        )

    def images(self) -> dict[str, LabelledImages]:
        """Return the training and the test images.

        Raises
        ------
        ValueError
            If there are fewer than the options ask for.
        """
        parts = mnist(self.data_dir)
        given = self.n_test is not None
        test = parts["test"].first(self.n_test, "n_test") if given else parts["test"]
        test = test[: self.chosen.n_test]
        return {"train": parts["train"], "test": test}
