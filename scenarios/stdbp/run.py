"""The scenario stdbp: what is run, and what is reported."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from scenarios.datasets.images import mnist
from scenarios.datasets.labelled_images import LabelledImages
from scenarios.networks.feed_forward import ImageTask
from scenarios.running.checkpoint import TrainingState
from scenarios.running.console.progress import Progress
from scenarios.running.report import Report, Row, percent
from scenarios.running.stopwatch import session_note, spent
from scenarios.running.training import Series, fit_series, last, seconds_per_epoch, warm_up
from scenarios.stdbp.config import CSNN, StdbpOptions
from scenarios.stdbp.network import Activity, ReLPSPNetwork

__all__ = ["build", "run"]

OTHERS = {  # the rest of Table 1: other methods
    "Mostafa, 784-800-10, weight and gradient constraint": "97.5 %",
    "Tavanaei & Maida, 784-1000-10, rate code": "96.6 %",
    "Comsa et al., 784-340-10, weight and gradient constraint": "97.4 %",
    "Kheradpisheh & Masquelier, 784-400-10, weight constraint": "97.4 %",
}
PUBLISHED = {"784-400-10": "98.1 %", "784-800-10": "98.4 %", CSNN: "99.2 %"}
KEPT = ("test_accuracy", "test_decided", "test_spikes", "test_silent_labels")  # in results.json
DECIDED, FIRED = {"784-400-10": "48.6 %"}, {"784-400-10": "66.3 %"}  # §4.2


@dataclass(frozen=True, eq=False)
class Trained:
    """The networks of one architecture.

    Attributes
    ----------
    network : str
        Their architecture.
    task : ImageTask
        What they were trained on.
    states : list of TrainingState
        One for each seed.
    activity : Activity
        What the first of them does with the test images.
    """

    network: str
    task: ImageTask[ReLPSPNetwork]
    states: list[TrainingState]
    activity: Activity


def build(
    config: StdbpOptions, network: str, parts: dict[str, LabelledImages]
) -> ImageTask[ReLPSPNetwork]:
    """Return a network with its training and test images.

    Raises
    ------
    ValueError
        If there are fewer training images than the options ask for.
    """
    recipe, model = config.recipe(network), config.model(network)
    return ImageTask(
        model,
        model.normals(recipe.init_total, recipe.init_spread),
        parts["train"].first(config.n_train),
        parts["test"],
        moves=recipe.shift,
        noise=recipe.jitter,
        dropout=recipe.dropout,
    )


def run(config: StdbpOptions, folder: Path, progress: Progress) -> Report:
    """Train all networks, or go on with them; return the table and the pictures."""
    parts = mnist(config.data_dir)
    tasks = {network: build(config, network, parts) for network in config.networks}
    with progress.compiling():
        for task in tasks.values():
            warm_up(task)
            task.model.stopwatch.reset()
    started = time.perf_counter()
    states = fit_series(
        {network: _series(config, network, task, folder) for network, task in tasks.items()},
        range(config.seed, config.seed + config.chosen.seeds),
        progress=progress,
    )
    trained = [_examined(network, task, states[network]) for network, task in tasks.items()]
    return _report(config, trained, time.perf_counter() - started)


def _series(
    config: StdbpOptions, network: str, task: ImageTask[ReLPSPNetwork], folder: Path
) -> Series:
    return Series(
        network,
        folder / network,
        lambda _: task,
        partial(config.settings, network, task.n_train),
        task.model.stopwatch,
    )


def _examined(network: str, task: ImageTask[ReLPSPNetwork], states: list[TrainingState]) -> Trained:
    activity = task.model.examine(states[0].params, *task.held_out)
    return Trained(network, task, states, activity)


def _report(config: StdbpOptions, trained: Sequence[Trained], seconds: float) -> Report:
    parts = spent(one.task.model.stopwatch for one in trained)
    return Report(
        title="MNIST by the first spike, ReL-PSP neurons, exact gradients",
        rows=[
            *(Row(other, published, "–") for other, published in OTHERS.items()),
            *_accuracies(trained),
            *(row for one in trained for row in _activity(one)),
            Row("networks of each kind", "–", f"{config.chosen.seeds}"),
            *(Row(f"{one.network}: epochs", "–", f"{config.recipe(one.network).epochs}")
              for one in trained),
            *(Row(f"{one.network}: training time of one epoch", "–",
                  f"{seconds_per_epoch(one.states):.1f} s") for one in trained),
        ],
        notes=[
            "accuracy after the last epoch, never the best epoch; ± is one standard deviation",
            *_shifts(config, trained),
            session_note(seconds, parts),
        ],
        numbers={
            "networks": {
                one.network: {
                    **{name: last(one.states, name) for name in KEPT},
                    "seconds_per_epoch": seconds_per_epoch(one.states),
                }
                for one in trained
            },
            "seconds": {"session": seconds, **parts},
        },
        weights=trained[0].states[0].params,
        network=trained[0].task.model.network(trained[0].states[0].params),
        t_stop=trained[0].task.model.t_stop,
        figures=_figures(trained),
    )  # fmt: skip


def _shifts(config: StdbpOptions, trained: Sequence[Trained]) -> list[str]:
    """Say by how much the training images were moved, as those of the publication were not."""
    most = {one.network: config.recipe(one.network).shift for one in trained}
    return [f"{network}: training images were moved by up to {pixels} pixel(s), at random"
            for network, pixels in most.items() if pixels]  # fmt: skip


def _accuracies(trained: Sequence[Trained]) -> list[Row]:
    """Return the rows of this method: those of Table 1, and what else was trained."""
    ours = {one.network: percent(last(one.states, "test_accuracy"), 2) for one in trained}
    return [
        Row(f"STDBP, {network}", PUBLISHED.get(network, "–"), ours.get(network, "–"))
        for network in {**PUBLISHED, **ours}
    ]


def _activity(one: Trained) -> list[Row]:
    decided, fired = (percent(last(one.states, name)) for name in ("test_decided", "test_spikes"))
    name = f"{one.network}: hidden neurons that"
    return [
        Row(f"{name} fire before the decision", DECIDED.get(one.network, "–"), decided),
        Row(f"{name} fire at any time", FIRED.get(one.network, "–"), fired),
    ]


def _figures(trained: Sequence[Trained]) -> dict[str, Any]:
    from scenarios.running.figures import Curve, learning_curves
    from scenarios.stdbp.figures import exploding_gradients, spike_time_histograms

    curves = [Curve(one.network, [state.history for state in one.states]) for one in trained]
    return {
        "training": learning_curves(curves),
        "spike_times": spike_time_histograms({one.network: one.activity for one in trained}),
        "exploding_gradients": exploding_gradients(),
    }
