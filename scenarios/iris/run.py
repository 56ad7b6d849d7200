"""The scenario iris: what is run, and what is reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import eventsim as es
from gradients import FirstSpikeCrossEntropy
from scenarios.datasets.encoding import earlier_for_larger, with_bias
from scenarios.datasets.points import iris, stratified_split
from scenarios.iris.config import IrisOptions
from scenarios.networks.feed_forward import Classification
from scenarios.networks.first_spike import Classifier
from scenarios.running.checkpoint import TrainingState
from scenarios.running.console.progress import SILENT, Progress
from scenarios.running.report import Report, Row, percent
from scenarios.running.training import Params, fit, replicate, warm_up

SPECIES = ["setosa", "versicolor", "virginica"]


def build(config: IrisOptions, seed: int) -> Classification[Classifier]:
    """Return the network with the flowers, split at random by ``seed``."""
    config, flowers = config.chosen, iris()
    latencies = earlier_for_larger(flowers.features, t_max=config.t_max)
    if config.t_bias is not None:
        latencies = with_bias(latencies, config.t_bias)
    spikes = es.SpikeBatch.from_latencies(latencies)
    train, test = stratified_split(flowers.labels, 1 / 3, np.random.default_rng([seed, 1]))
    loss = FirstSpikeCrossEntropy(
        "out", config.tau0, config.t_stop, config.tau1, config.gamma, wake=config.bump
    )
    once = config.spikes == "single"
    neuron = es.LIF(tau_mem=1 / 0.9, tau_syn=1.0, refractory=np.inf if once else 0.0)
    return Classification(
        Classifier((latencies.shape[1], 10, 3), neuron, config.t_stop, loss),
        [(3.0, 1.0), (2.0, 0.1)],
        (spikes[train], flowers.labels[train]),
        (spikes[test], flowers.labels[test]),
    )


def run(config: IrisOptions, folder: Path, progress: Progress) -> Report:
    """Train on the documented split and on random ones; return the table and the pictures."""
    config = config.chosen
    task = build(config, config.seed)
    with progress.compiling():
        warm_up(task)
    title = progress.named("Iris, documented split")
    main = fit(task, config.settings(task.n_train, config.seed), folder=folder, progress=title)

    def one(seed: int) -> dict[str, Any]:
        own = build(config, seed)
        state = fit(own, config.settings(own.n_train, seed), progress=SILENT)
        return {"test_accuracy": state.history[-1]["test_accuracy"]}

    seeds = range(config.seed + 1, config.seed + 1 + config.splits)
    records = replicate(
        seeds, one, path=folder / "splits.jsonl", progress=progress.named("Iris", "random split")
    )
    return _report(config, task, main, [record["test_accuracy"] for record in records])


def _report(
    config: IrisOptions, task: Classification[Classifier], main: TrainingState, splits: list[float]
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
        network=task.model.network(main.params),
        t_stop=task.model.t_stop,
        figures=_figures(task, config, main),
    )  # fmt: skip


def _figures(
    task: Classification[Classifier], config: IrisOptions, main: TrainingState
) -> dict[str, Any]:
    from scenarios.iris.figures import first_spike_histograms
    from scenarios.running.figures import training_curves

    def times(weights: Params) -> Any:
        return task.model.first_spikes(weights, task.test[0])

    before, after = times(task.initial(np.random.default_rng(config.seed))), times(main.params)
    return {
        "first_spikes": first_spike_histograms(before, after, task.test[1], SPECIES),
        "training": training_curves([main.history], chance=1 / 3),
    }
