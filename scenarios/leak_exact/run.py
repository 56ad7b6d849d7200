"""The scenario leak_exact: what is run, and what is reported."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np

from scenarios.datasets.images import mnist
from scenarios.datasets.labelled_images import LabelledImages
from scenarios.leak_exact.noise import NOISES
from scenarios.leak_exact.study import Kind, Study, study
from scenarios.mnist.config import Config as ReadoutConfig
from scenarios.mnist.config import Spiking
from scenarios.mnist.runs import Variant
from scenarios.running.console.progress import Progress
from scenarios.running.options import Epochs, Layer, Options, Range, Rows, Seed, TimeConstant
from scenarios.running.report import Report, Row, percent, with_deviation
from scenarios.running.stopwatch import session_note

__all__ = ["Config", "rows", "run", "study"]

Varied: TypeAlias = Literal["both", "membrane", "current"]
VARIED = {"both": "tau_I = 2 tau_V", "membrane": "tau_I = 1.6", "current": "tau_V = 0.8"}
TAUS = (0.8, 1.6, 3.2, 6.4, math.inf)
TAU_I = 1.6  # where only the membrane's varies
CLAIM = "leak protects"  # Fig. 3 of the paper: clocked networks, rate code, CIFAR-10 and SVHN


@dataclass(frozen=True)
class Config(Options):
    """Settings; brackets give the defaults, and those of --full.

    Attributes
    ----------
    full
        784-400-10, all images, 10 epochs, five networks of each time constant.
    vary
        What differs: "both" time constants (tau_V = tau_I / 2), that of the "membrane" (tau_V, with
        tau_I = 1.6) or that of the "current" (tau_I, with tau_V = 0.8).
    taus
        Values of tau_I ("both", "current") or tau_V ("membrane"), ascending; inf: no leak [0.8,
        1.6, 3.2, 6.4, inf; half of these for tau_V].
    spikes
        Whether a hidden neuron fires any number of times, or at most once.
    hidden
        Number of hidden neurons [100; 400].
    epochs
        Passes over the training images [6; 10].
    seeds
        Networks of each time constant, at least two [3; 5].
    seed
        The first seed; the others follow.
    n_train
        Use only the first training images [20000; all].
    n_test
        Use only the first test images [2000; all].
    data_dir
        Folder with the four IDX files [that of the variable EVENTSIM_DATA; else a download].
    """

    full: bool = False
    vary: Varied = "both"
    taus: tuple[TimeConstant, ...] | None = None
    spikes: Spiking = "multi"
    hidden: Layer | None = None
    epochs: Epochs | None = None
    seeds: Annotated[int, Range(2, 100_000)] | None = None  # or effects have no uncertainty
    seed: Seed = 0
    n_train: Rows | None = None
    n_test: Rows | None = None
    data_dir: str | None = None

    def __post_init__(self) -> None:
        """Check the fields, and that there are networks to compare."""
        super().__post_init__()
        taus = self.constants
        if len(taus) < 2 or not all(a < b for a, b in pairwise(taus)):
            raise ValueError(f"taus must be two or more, ascending, got {taus!r}")
        for tau in taus:
            self.readout(tau)

    @property
    def n_seeds(self) -> int:
        """Number of networks of each time constant."""
        return self.seeds if self.seeds is not None else (5 if self.full else 3)

    @property
    def constants(self) -> tuple[float, ...]:
        """The time constants that are compared."""
        if self.taus is not None:
            return self.taus
        return tuple(tau / 2.0 if self.vary == "membrane" else tau for tau in TAUS)

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

    def readout(self, tau: float) -> ReadoutConfig:
        """Return the options of `mnist` that train it: no noise, or leak would not meet it first.

        Raises
        ------
        ValueError
            If an option is out of its range.
        """
        hidden, epochs, n_train = (400, 10, None) if self.full else (100, 6, 20_000)
        variant = self.variant(tau)
        return ReadoutConfig(
            spikes=self.spikes,
            tau_i=variant.tau_i if variant.leaky else None,
            leaky=variant.leaky,
            hidden=self.hidden if self.hidden is not None else hidden,
            epochs=self.epochs if self.epochs is not None else epochs,
            n_train=self.n_train if self.n_train is not None else n_train,
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
        given = self.full or self.n_test is not None
        test = parts["test"].first(self.n_test, "n_test") if given else parts["test"][:2000]
        return {"train": parts["train"], "test": test}


def run(config: Config, folder: Path, progress: Progress) -> Report:
    """Return the table and the pictures of the study."""
    from scenarios.leak_exact.figures import figure
    from scenarios.mnist.figures import Curve, learning_curves

    results = study(config, folder, progress)
    curves = [Curve(kind.title, [s.history for s in kind.states]) for kind in results.kinds]
    readout = config.readout(config.constants[0])
    return Report(
        title=f"Leak and noise on MNIST, 784-{readout.hidden}-10, exact gradients, "
        f"{VARIED[config.vary]}",
        rows=[
            *rows(results),
            Row("networks of each time constant", "3", f"{config.n_seeds}"),
            Row("epochs", "150", f"{readout.n_epochs}"),
        ],
        notes=[
            "published: Chowdhury, Lee & Roy, clocked networks with surrogate gradients on "
            "CIFAR-10 and SVHN; what is comparable is the direction of an effect",
            "lost: accuracy without noise minus that with it, mean over eight severities; pp: "
            "percentage points; ± is one standard deviation over networks; brackets: 95 % interval",
            "rank correlation: Kendall's tau over all networks; negative: more leak, less lost",
            session_note(results.seconds, dict(results.parts)),
        ],
        numbers=_numbers(results),
        weights=results.kinds[0].states[0].params,
        figures={"noise": figure(results), "training": learning_curves(curves)},
    )


def rows(results: Study) -> list[Row]:
    """Return the table."""
    return [*(row for kind in results.kinds for row in _of_kind(kind)), *_of_all(results)]


def _of_kind(kind: Kind) -> list[Row]:
    lost = {name: 100.0 * kind.lost(name) for name in NOISES}
    return [
        Row(f"{kind.title}: test accuracy without noise", "–", percent(kind.clean.tolist())),
        Row(f"{kind.title}: spikes per hidden neuron", "–",
            with_deviation(kind.spikes.tolist(), ".2f")),
        *(Row(f"{kind.title}: lost by {NOISES[name].title}", "–",
              with_deviation(values.tolist(), ".1f") + " pp")
          for name, values in lost.items()),
    ]  # fmt: skip


def _of_all(results: Study) -> Iterator[Row]:
    first, final = results.kinds[0].title, results.kinds[-1].title
    falling = bool(np.all(np.diff([kind.spikes.mean() for kind in results.kinds]) < 0.0))
    yield Row("spikes per hidden neuron rise with every step to more leak", "yes", _says(falling))
    for name, effect in results.effects.items():
        title = NOISES[name].title
        span = f"[{_points(effect.low)}, {_points(effect.high)}]"
        best = min(results.kinds, key=lambda kind: float(kind.lost(name).mean()))
        yield Row(f"{title}: lost at {final} minus lost at {first}", CLAIM,
                  f"{_points(effect.saved)} {span} pp")  # fmt: skip
        yield Row(f"{title}: rank correlation of leak and loss", CLAIM,
                  f"{effect.rank:+.2f} (p = {effect.p_value:.1g})")  # fmt: skip
        yield Row(f"{title}: loss falls with every step to more leak", "yes", _says(effect.ordered))
        yield Row(f"{title}: least is lost at", first, best.title)


def _says(holds: bool) -> str:
    return "yes" if holds else "no"


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"


def _numbers(results: Study) -> dict[str, Any]:
    return {
        "networks": {
            kind.title: {
                "accuracy": kind.clean.tolist(),
                "spikes": kind.spikes.tolist(),
                "noisy": {name: values.tolist() for name, values in kind.noisy.items()},
            }
            for kind in results.kinds
        },
        "severities": {name: list(noise.severities) for name, noise in NOISES.items()},
        "effects": {name: vars(effect) for name, effect in results.effects.items()},
    }
