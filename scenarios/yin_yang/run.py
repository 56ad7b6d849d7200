"""The scenario yin_yang: what is run, and what is reported."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

import eventsim as es
from gradients import Adam, cosine
from scenarios.datasets.encoding import later_for_larger, with_bias
from scenarios.datasets.points import yin_yang
from scenarios.extras import require
from scenarios.networks.first_spike import Classification, Classifier, FirstSpikeLoss
from scenarios.running.checkpoint import TrainingState
from scenarios.running.console.progress import Progress
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
)
from scenarios.running.report import Report, Row, percent
from scenarios.running.stopwatch import session_note
from scenarios.running.training import Settings, fit_seeds, warm_up

T_EARLY, T_LATE, T_BIAS = 0.15, 2.0, 0.9
CLASSES = ["yin", "yang", "dot"]
N_INPUTS, N_CLASSES = 5, 3
Name = Literal["published", "best"]
Spiking = Literal["multi", "single"]
Schedule = Literal["constant", "cosine"]


@dataclass(frozen=True)
class Recipe:
    """A network and how it is trained; times in units of the synaptic time constant.

    Attributes
    ----------
    hidden : int
        Number of hidden neurons.
    spikes : {"multi", "single"}
        Whether a hidden neuron fires any number of times, or at most once.
    tau_mem, tau_syn : float
        Time constants of all neurons.
    t_early, t_late, t_bias : float
        Input spikes of the coordinates 0 and 1, and of the source that always fires.
    t_stop : float
        End of each simulation.
    normals : sequence of (mean, standard deviation)
        Of the initial weights onto hidden and onto output neurons.
    epochs, batch_size, learning_rate, schedule
        Of the training with Adam.
    tau0, tau1, gamma, bump : float
        Of the loss, and of the push on weights onto silent neurons.
    """

    hidden: int
    spikes: Spiking
    tau_mem: float
    tau_syn: float
    t_early: float
    t_late: float
    t_bias: float
    t_stop: float
    normals: tuple[tuple[float, float], tuple[float, float]]
    epochs: int
    batch_size: int
    learning_rate: float
    schedule: Schedule
    tau0: float
    tau1: float
    gamma: float
    bump: float


PUBLISHED = Recipe(
    hidden=150,
    spikes="multi",
    tau_mem=1.0,
    tau_syn=1 / 0.999,
    t_early=T_EARLY,
    t_late=T_LATE,
    t_bias=T_BIAS,
    t_stop=1.5,
    normals=((1.5, 0.8), (2.0, 0.1)),
    epochs=300,
    batch_size=150,
    learning_rate=5e-4,
    schedule="constant",
    tau0=0.2,
    tau1=1.0,
    gamma=0.005,
    bump=0.0,
)
BEST = Recipe(
    hidden=200,
    spikes="single",
    tau_mem=4.0,
    tau_syn=1.0,
    t_early=0.0,
    t_late=2.0,
    t_bias=0.67,
    t_stop=1.6,
    normals=((0.6, 1.0), (0.05, 0.1)),
    epochs=60,
    batch_size=100,
    learning_rate=0.01,
    schedule="cosine",
    tau0=0.02,
    tau1=1.0,
    gamma=0.0,
    bump=0.5,
)
RECIPES: dict[Name, Recipe] = {"published": PUBLISHED, "best": BEST}
# What a run without --full changes, to take minutes or less.
SHORT: dict[Name, dict[str, Any]] = {
    "published": {"epochs": 60, "learning_rate": 2.5e-3},
    "best": {"epochs": 20},
}
# Accuracy and time that were published, and the decimals that are compared.
BESIDE: dict[Name, tuple[str, str, int]] = {
    "published": ("95.0 ± 0.83 % (10 seeds)", "about 3 hours on 48 CPUs", 1),
    "best": ("98.10 ± 0.18 % (EventProp, 10 seeds)", "–", 2),
}


@dataclass(frozen=True)
class Config(Options):
    """Settings; brackets give the defaults of the recipes "published" and "best".

    Attributes
    ----------
    recipe
        The publication's network and protocol, or the best found here.
    full
        All epochs of the recipe (and, of the published one, its smaller learning rate).
    seeds
        Number of seeds; the table then says mean ± standard deviation.
    seed
        The first seed; the others follow.
    epochs
        Passes over the 5000 training points [60, 300 with --full; 20, 60 with --full].
    hidden
        Number of hidden neurons [150; 200].
    spikes
        Whether a hidden neuron fires any number of times, or at most once [multi; single].
    tau_mem
        Membrane time constant [1; 4].
    t_late
        Input spike of the coordinate 1 [2; 2].
    t_bias
        Input spike of the source that always fires [0.9; 0.67].
    t_stop
        End of each simulation [1.5; 1.6].
    batch_size
        Points in a minibatch [150; 100].
    learning_rate
        Of Adam [0.0025, 0.0005 with --full; 0.01].
    schedule
        Course of the learning rate: constant, or to 0 as a cosine [constant; cosine].
    tau0
        Time constant of the cross-entropy [0.2; 0.02].
    gamma
        Cost of late label spikes [0.005; 0].
    tau1
        Time constant of the cost of late spikes.
    bump
        Strength of the push on weights onto silent label neurons [0; 0.5].
    n_train
        Use only the first training points [all].
    data_dir
        Folder with the six .npy files [that of the variable EVENTSIM_DATA; else the copy in this
        package].
    compare
        Train the same network with surrogate gradients too (published recipe; needs the extra
        "torch").
    compare_epochs
        Epochs of that comparison [as --epochs].
    """

    recipe: Name = "published"
    full: bool = False
    seeds: Count = 1
    seed: Seed = 0
    epochs: Epochs | None = None
    hidden: Layer | None = None
    spikes: Spiking | None = None
    tau_mem: Positive | None = None
    t_late: NonNegative | None = None
    t_bias: NonNegative | None = None
    t_stop: Positive | None = None
    batch_size: BatchSize | None = None
    learning_rate: Rate | None = None
    schedule: Schedule | None = None
    tau0: Positive | None = None
    gamma: NonNegative | None = None
    tau1: Positive | None = None
    bump: NonNegative | None = None
    n_train: Annotated[int, Range(1, 5000)] | None = None
    data_dir: str | None = None
    compare: Literal["nothing", "surrogate"] = "nothing"
    compare_epochs: Epochs | None = None

    def __post_init__(self) -> None:
        """Check the fields, and that the options go together."""
        super().__post_init__()
        chosen = self.chosen
        if not chosen.t_early <= chosen.t_late:
            raise ValueError(f"t_late must be >= {chosen.t_early}, got {chosen.t_late!r}")
        if self.compare == "surrogate" and self.recipe != "published":
            raise ValueError(
                f"recipe must be 'published' with --compare surrogate, got {self.recipe!r}"
            )

    def require(self) -> None:
        """Check that PyTorch is there for the comparison."""
        if self.compare == "surrogate":
            require("torch", ("torch",), "the comparison with surrogate gradients")

    @property
    def chosen(self) -> Recipe:
        """The recipe, with what the user chose."""
        names = {field.name for field in fields(Recipe)} & {field.name for field in fields(self)}
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        shortened = {} if self.full else SHORT[self.recipe]
        return replace(RECIPES[self.recipe], **{**shortened, **given})

    @property
    def n_compare_epochs(self) -> int:
        """Number of epochs of the comparison."""
        return self.compare_epochs if self.compare_epochs is not None else self.chosen.epochs


def latencies(features: NDArray[np.float64], recipe: Recipe = PUBLISHED) -> NDArray[np.float64]:
    """Return the spike times (n, 5) of points (x, y, 1-x, 1-y) and of the bias source.

    Examples
    --------
    >>> latencies(np.array([[0.0, 1.0, 1.0, 0.0]]))
    array([[0.15, 2.  , 2.  , 0.15, 0.9 ]])
    """
    times = later_for_larger(features, t_early=recipe.t_early, t_late=recipe.t_late)
    return with_bias(times, recipe.t_bias)


def build(config: Config) -> Classification:
    """Return the network with its training and test points as input spikes."""
    recipe, data = config.chosen, yin_yang(config.data_dir)
    once = recipe.spikes == "single"
    neuron = es.LIF(recipe.tau_mem, recipe.tau_syn, refractory=np.inf if once else 0.0)
    model = Classifier(
        (N_INPUTS, recipe.hidden, N_CLASSES), neuron, recipe.t_stop, _loss(recipe), recipe.bump,
        until_decided=not once,
    )  # fmt: skip
    train, test = data["train"][: config.n_train], data["test"]
    return Classification(
        model,
        recipe.normals,
        (_as_spikes(train.features, recipe), train.labels),
        (_as_spikes(test.features, recipe), test.labels),
    )


def _as_spikes(features: NDArray[np.float64], recipe: Recipe) -> es.SpikeBatch:
    return es.SpikeBatch.from_latencies(latencies(features, recipe))


def _loss(recipe: Recipe) -> FirstSpikeLoss:
    return FirstSpikeLoss(recipe.tau0, recipe.tau1, recipe.gamma, t_silent=recipe.t_stop)


def run(config: Config, folder: Path, progress: Progress) -> Report:
    """Train with each seed; return the table and the pictures."""
    config.require()
    task = build(config)
    if config.compare == "surrogate":
        from scenarios.networks.contest import CountedToTheEnd  # late: it needs the extra

        task = CountedToTheEnd.of(task)
    with progress.compiling():
        warm_up(task)
    task.model.stopwatch.reset()
    started = time.perf_counter()
    states = fit_seeds(
        lambda _: task,
        partial(settings, config, task),
        range(config.seed, config.seed + config.seeds),
        folder=folder,
        progress=progress,
        title="Yin-Yang",
    )
    seconds = time.perf_counter() - started
    report = _report(config, task, states, seconds)
    if config.compare == "surrogate":
        report.figures["surrogate"] = _beside_surrogates(config, task, states[0], folder, progress)
    return report


def _beside_surrogates(
    config: Config, task: Classification, exact: TrainingState, folder: Path, progress: Progress
) -> Any:
    """Train the same network with surrogate gradients; draw both."""
    from scenarios.compare.figures import curves
    from scenarios.networks.contest import by_spikes, train

    same = replace(settings(config, task, config.seed), epochs=config.n_compare_epochs)
    contest = by_spikes(task, lambda _: same)
    name, *others = contest.tasks
    rest = replace(contest, tasks={other: contest.tasks[other] for other in others})
    trained = train(rest, [config.seed], folder, progress)
    return curves({contest.title: {name: [exact], **trained}})


def settings(config: Config, task: Classification, seed: int) -> Settings:
    """Return how one network is trained."""
    recipe = config.chosen
    steps = recipe.epochs * math.ceil(task.n_train / recipe.batch_size)
    rate = recipe.learning_rate
    lr = cosine(rate, steps) if recipe.schedule == "cosine" else rate
    return Settings(
        epochs=recipe.epochs, batch_size=recipe.batch_size, optimiser=Adam(lr=lr), seed=seed
    )


def _report(
    config: Config, task: Classification, states: list[TrainingState], seconds: float
) -> Report:
    accuracies = [state.history[-1]["test_accuracy"] for state in states]
    spent = task.model.stopwatch.seconds
    published, duration, digits = BESIDE[config.recipe]
    training = sum(record["seconds"] for state in states for record in state.history)
    return Report(
        title=f"Yin-Yang, {N_INPUTS}-{config.chosen.hidden}-{N_CLASSES}, exact gradients",
        rows=[
            Row("test accuracy", published, percent(accuracies, digits)),
            Row("seeds", "10", f"{len(states)}"),
            Row("epochs", "300", f"{config.chosen.epochs}"),
            Row("training time of one seed", duration, f"{training / len(states):.0f} s"),
        ],
        notes=[
            "accuracy after the last epoch, never the best epoch; ± is one standard deviation",
            session_note(seconds, spent),
        ],
        numbers={"test_accuracy": accuracies, "seconds": {"session": seconds, **spent}},
        weights=states[0].params,
        figures=_figures(config, task, states),
    )  # fmt: skip


def _figures(config: Config, task: Classification, states: list[TrainingState]) -> dict[str, Any]:
    from scenarios.running.figures import class_planes, training_curves

    test = yin_yang(config.data_dir)["test"]

    def first_spikes(points: NDArray[np.float64]) -> NDArray[np.float64]:
        spikes = _as_spikes(np.hstack([points, 1.0 - points]), config.chosen)
        return task.model.first_spikes(states[0].params, spikes)

    points = test.features[:, :2]
    planes = class_planes(
        first_spikes, points, test.labels, classes=CLASSES, t_stop=task.model.t_stop
    )
    return {
        "decision_regions": planes,
        "training": training_curves([state.history for state in states], chance=1 / 3),
    }
