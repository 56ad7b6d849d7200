"""The scenario compare: what is run, and what is reported."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any, Literal

from gradients import Adam, cosine
from scenarios.extras import require
from scenarios.running.checkpoint import TrainingState
from scenarios.running.console.progress import Progress
from scenarios.running.options import Count, Epochs, Layer, Options, Range, Rows, Seed
from scenarios.running.report import Report, Row, percent
from scenarios.running.training import Settings, last, seconds_per_epoch, warm_up
from scenarios.yin_yang import run as yin_yang

if TYPE_CHECKING:
    from scenarios.networks.contest import Contest

__all__ = ["Config", "run"]

Trained = Mapping[str, Sequence[TrainingState]]  # by method

PUBLISHED = {"Yin-Yang by spikes": "95.0 ± 0.83 % (300 epochs)"}
Problem = Literal["yin_yang_spikes", "yin_yang", "mnist"]
PROBLEMS: tuple[Problem, ...] = ("yin_yang_spikes", "yin_yang", "mnist")


@dataclass(frozen=True)
class Length:
    """How long networks are trained.

    Attributes
    ----------
    epochs, n_train
        Passes over the first training samples.
    """

    epochs: int
    n_train: int


SHORT: dict[Problem, Length] = {
    "yin_yang_spikes": Length(20, 5000),
    "yin_yang": Length(20, 5000),
    "mnist": Length(4, 5000),
}
FULL: dict[Problem, Length] = {
    "yin_yang_spikes": Length(300, 5000),
    "yin_yang": Length(100, 5000),
    "mnist": Length(20, 60_000),
}
RATE = {"yin_yang": 0.01, "mnist": 5e-3}
BATCH = {"yin_yang": 150, "mnist": 100}


@dataclass(frozen=True)
class Config(Options):
    """Settings.

    Attributes
    ----------
    problem
        One of the contests: yin_yang_spikes, yin_yang (by potentials) or mnist [all].
    full
        Yin-Yang 300 epochs (by spikes) and 100, MNIST 20 epochs of all images, 100 steps, five
        seeds.
    seeds
        Number of networks of each kind [2; 5 with --full].
    seed
        The first seed; the others follow.
    epochs
        Passes over the training samples [20, 20, 4].
    steps
        Steps of a clocked run that ends with potentials [50; 100 with --full].
    hidden
        Number of hidden neurons [Yin-Yang 150, MNIST 400].
    n_train
        Use only the first training samples [Yin-Yang all 5000, MNIST 5000].
    data_dir
        Folder with the four IDX files of MNIST [that of the variable EVENTSIM_DATA; else a
        download].
    """

    problem: Problem | None = None
    full: bool = False
    seeds: Count | None = None
    seed: Seed = 0
    epochs: Epochs | None = None
    steps: Annotated[int, Range(1, 10_000)] | None = None
    hidden: Layer | None = None
    n_train: Rows | None = None
    data_dir: str | None = None

    def __post_init__(self) -> None:
        """Check the fields, and that the options go together."""
        super().__post_init__()
        if self.n_train is not None and self.n_train > 5000 and self.problem != "mnist":
            raise ValueError(f"n_train must be <= 5000 for Yin-Yang, got {self.n_train!r}")

    def require(self) -> None:
        """Check that PyTorch is there."""
        require("torch", ("torch",), "the scenario compare")

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The contests."""
        return PROBLEMS if self.problem is None else (self.problem,)

    @property
    def n_steps(self) -> int:
        """Steps of a clocked run."""
        return self.steps or (100 if self.full else 50)

    @property
    def all_seeds(self) -> range:
        """Seeds of the networks."""
        return range(self.seed, self.seed + (self.seeds or (5 if self.full else 2)))

    def length(self, problem: Problem) -> Length:
        """Return how long the networks of a contest are trained."""
        usual = (FULL if self.full else SHORT)[problem]
        return Length(self.epochs or usual.epochs, self.n_train or usual.n_train)


def run(config: Config, folder: Path, progress: Progress) -> Report:
    """Train all networks, or go on with them; return the table and the picture."""
    config.require()
    from scenarios.networks.contest import train

    contests = [_contest(config, problem) for problem in config.problems]
    with progress.compiling():
        for contest in contests:
            warm_up(contest.exact)
    trained = [(each, train(each, config.all_seeds, folder, progress)) for each in contests]
    return _report(config, trained)


def _contest(config: Config, problem: Problem) -> Contest:
    from scenarios.compare import readout_task
    from scenarios.networks import contest

    length = config.length(problem)
    if problem == "yin_yang_spikes":
        chosen = yin_yang.Config(
            full=config.full, epochs=length.epochs, hidden=config.hidden, n_train=length.n_train
        )
        task = yin_yang.build(chosen)
        return contest.by_spikes(task, partial(yin_yang.settings, chosen, task))
    size = {} if config.hidden is None else {"hidden": config.hidden}
    settings = partial(_settings, problem, length)
    if problem == "yin_yang":
        points = readout_task.yin_yang_task(**size, n_train=length.n_train)
        return contest.by_potentials("Yin-Yang", points, config.n_steps, settings)
    digits = readout_task.mnist_task(**size, n_train=length.n_train, data_dir=config.data_dir)
    return contest.by_potentials("MNIST", digits, config.n_steps, settings)


def _settings(problem: Problem, length: Length, seed: int) -> Settings:
    """Return how one network is trained, whatever the gradient."""
    batch = BATCH[problem]
    steps = length.epochs * math.ceil(length.n_train / batch)
    return Settings(length.epochs, batch, Adam(lr=cosine(RATE[problem], steps)), seed)


def _report(config: Config, trained: Sequence[tuple[Contest, Trained]]) -> Report:
    from scenarios.compare.figures import curves

    numbers = {
        contest.title: {name: _numbers(contest, states) for name, states in methods.items()}
        for contest, methods in trained
    }
    return Report(
        title="Exact against surrogate gradients",
        rows=[
            Row(f"{title}: {name}", _published(title, name), _summary(one))
            for title, methods in numbers.items()
            for name, one in methods.items()
        ],
        notes=[
            "test accuracy after the last epoch, ± one standard deviation over "
            f"{len(config.all_seeds)} seeds; test loss (by spikes, each has its own); spikes of "
            "the hidden layer in a test sample (of each neuron), to the end of a run on the "
            "clock; training time of an epoch",
            "a sample whose highest outputs are tied counts as wrong, as does one whose outputs "
            "are silent or fire at once",
            "the accuracy of a clocked network is that on its clock; in brackets, where the loss "
            "is the same for all: that of the same weights in the exact engine",
        ],
        numbers=numbers,
        figures={"compare": curves({contest.title: methods for contest, methods in trained})},
    )


def _numbers(contest: Contest, states: Sequence[TrainingState]) -> dict[str, Any]:
    from scenarios.networks.contest import run_exactly

    metrics = {
        "test_accuracy", "test_loss", "test_spikes", "test_tied", "test_spikes_until_decided"
    } & states[0].history[-1].keys()  # fmt: skip
    return {
        **{metric: last(states, metric) for metric in sorted(metrics)},
        "n_hidden": contest.n_hidden,
        "accuracy_in_exact_engine": run_exactly(contest, states) if contest.same_loss else None,
        "seconds_per_epoch": seconds_per_epoch(states),
    }


def _summary(one: Mapping[str, Any]) -> str:
    exactly = one["accuracy_in_exact_engine"]
    each = fmean(one["test_spikes"])
    return (
        percent(one["test_accuracy"])
        + (f" ({percent(exactly)})" if exactly else "")
        + (f", {100.0 * fmean(one['test_tied']):.0f} % tied" if "test_tied" in one else "")
        + f", loss {fmean(one['test_loss']):.2f}"
        + f", {each * one['n_hidden']:.0f} spikes ({each:.2f})"
        + _until_decided(one)
        + f", {one['seconds_per_epoch']:.2f} s"
    )


def _until_decided(one: Mapping[str, Any]) -> str:
    if "test_spikes_until_decided" not in one:
        return ""
    return f", {fmean(one['test_spikes_until_decided']):.2f} until all outputs have fired"


def _published(title: str, method: str) -> str:
    from scenarios.networks.contest import EXACT

    return PUBLISHED.get(title, "–") if method.startswith(EXACT) else "–"
