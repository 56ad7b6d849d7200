"""The scenario iris: what is run, and what is reported."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

import eventsim as es
from gradients import Adam, cosine
from scenarios.datasets.encoding import earlier_for_larger, with_bias
from scenarios.datasets.points import iris, stratified_split
from scenarios.networks.first_spike import Classification, Classifier, FirstSpikeLoss
from scenarios.running.checkpoint import TrainingState
from scenarios.running.console.progress import SILENT, Progress
from scenarios.running.options import (
    BatchSize,
    Count,
    Epochs,
    NonNegative,
    Options,
    Positive,
    Rate,
    Seed,
)
from scenarios.running.report import Report, Row, percent
from scenarios.running.training import Params, Settings, fit, replicate, warm_up

TABLE_2: dict[str, Any] = {
    "t_max": 16.0,
    "t_bias": None,
    "t_stop": 20.0,
    "learning_rate": 0.05,
    "gamma": 0.1,
    "tau0": 1.0,
    "tau1": 1.0,
    "bump": 0.0,
    "spikes": "multi",
    "schedule": "constant",
}
SPECIES = ["setosa", "versicolor", "virginica"]


@dataclass(frozen=True)
class Config(Options):
    """Settings; why they are not those of Table 2: eventsim info iris.

    Attributes
    ----------
    published
        Take the settings of Table 2 of the publication.
    full
        Average over 100 random splits instead of 20.
    seed
        Seed of the documented split and of its initial weights.
    splits
        Number of random splits to average over [20; 100 with --full].
    epochs
        Passes over the training flowers (not published).
    batch_size
        Flowers in a minibatch (not published).
    learning_rate
        Of Adam.
    schedule
        Course of the learning rate: constant, or to 0 as a cosine.
    spikes
        Whether a hidden neuron fires any number of times, or at most once.
    t_max
        The latest input.
    t_bias
        When the source without a flower fires; None: there is none.
    t_stop
        End of each simulation.
    gamma
        Cost of late label spikes.
    tau0
        Time constant of the cross-entropy.
    tau1
        Time constant of the cost of late spikes.
    bump
        Strength of the push on weights onto silent label neurons.
    """

    published: bool = False
    full: bool = False
    seed: Seed = 105
    splits: Count | None = None
    epochs: Epochs = 200
    batch_size: BatchSize = 20
    learning_rate: Rate = 0.05
    schedule: Literal["constant", "cosine"] = "cosine"
    spikes: Literal["multi", "single"] = "single"
    t_max: Positive = 2.0
    t_bias: NonNegative | None = 1.0
    t_stop: Positive = 3.0
    gamma: NonNegative = 0.1
    tau0: Positive = 0.2
    tau1: Positive = 2.0
    bump: NonNegative = 1.0

    @property
    def n_splits(self) -> int:
        """Number of random splits."""
        return self.splits if self.splits is not None else (100 if self.full else 20)


def build(config: Config, seed: int) -> Classification:
    """Return the network with the flowers, split at random by ``seed``."""
    flowers = iris()
    latencies = earlier_for_larger(flowers.features, t_max=config.t_max)
    if config.t_bias is not None:
        latencies = with_bias(latencies, config.t_bias)
    spikes = es.SpikeBatch.from_latencies(latencies)
    train, test = stratified_split(flowers.labels, 1 / 3, np.random.default_rng([seed, 1]))
    loss = FirstSpikeLoss(config.tau0, config.tau1, config.gamma, t_silent=config.t_stop)
    once = config.spikes == "single"
    neuron = es.LIF(tau_mem=1 / 0.9, tau_syn=1.0, refractory=np.inf if once else 0.0)
    return Classification(
        Classifier((latencies.shape[1], 10, 3), neuron, config.t_stop, loss, config.bump),
        [(3.0, 1.0), (2.0, 0.1)],
        (spikes[train], flowers.labels[train]),
        (spikes[test], flowers.labels[test]),
    )


def run(config: Config, folder: Path, progress: Progress) -> Report:
    """Train on the documented split and on random ones; return the table and the pictures."""
    config = replace(config, **TABLE_2) if config.published else config
    task = build(config, config.seed)
    with progress.compiling():
        warm_up(task)
    title = progress.named("Iris, documented split")
    main = fit(task, settings(config, task, config.seed), folder=folder, progress=title)

    def one(seed: int) -> dict[str, Any]:
        own = build(config, seed)
        state = fit(own, settings(config, own, seed), progress=SILENT)
        return {"test_accuracy": state.history[-1]["test_accuracy"]}

    seeds = range(config.seed + 1, config.seed + 1 + config.n_splits)
    records = replicate(
        seeds, one, path=folder / "splits.jsonl", progress=progress.named("Iris", "random split")
    )
    return _report(config, task, main, [record["test_accuracy"] for record in records])


def settings(config: Config, task: Classification, seed: int) -> Settings:
    """Return how one network is trained."""
    steps = config.epochs * math.ceil(task.n_train / config.batch_size)
    rate = config.learning_rate
    return Settings(
        epochs=config.epochs,
        batch_size=config.batch_size,
        optimiser=Adam(lr=cosine(rate, steps) if config.schedule == "cosine" else rate),
        seed=seed,
        evaluate_every=1 if seed == config.seed else config.epochs,
        save_every=50,
    )


def _report(
    config: Config, task: Classification, main: TrainingState, splits: list[float]
) -> Report:
    accuracy = main.history[-1]["test_accuracy"]
    perfect = sum(value == 1.0 for value in splits)
    return Report(
        title=f"Iris, {task.model.sizes[0]}-10-3, a third of each species held out",
        rows=[
            Row(f"test accuracy, documented split (seed {config.seed})", "100 % (several settings)",
                percent([accuracy])),
            Row(f"test accuracy, {len(splits)} random splits", "–", percent(splits)),
            Row("splits with 100 %", "–", f"{perfect} of {len(splits)}"),
            Row("other methods on Iris", "93.3 % (MT-1), 96.7 % (ANN)", "–"),
        ],
        notes=["accuracy after the last epoch, never the best epoch; ± is one standard deviation"],
        numbers={"documented": accuracy, "splits": splits},
        weights=main.params,
        figures=_figures(task, config, main),
    )  # fmt: skip


def _figures(task: Classification, config: Config, main: TrainingState) -> dict[str, Any]:
    from scenarios.running.figures import first_spike_histograms, training_curves

    def times(weights: Params) -> Any:
        return task.model.first_spikes(weights, task.test[0])

    before, after = times(task.initial(np.random.default_rng(config.seed))), times(main.params)
    return {
        "first_spikes": first_spike_histograms(before, after, task.test[1], SPECIES),
        "training": training_curves([main.history], chance=1 / 3),
    }
