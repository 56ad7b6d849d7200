"""The scenario flowers: what is run, and what is reported."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scenarios.datasets.flower_images import CLASSES, flower_images, split
from scenarios.datasets.labelled_images import LabelledImages
from scenarios.flowers.config import FlowersOptions
from scenarios.flowers.report import Kind, kind_title, notes, rows
from scenarios.running.checkpoint import write_whole
from scenarios.running.console.progress import Progress
from scenarios.running.report import Report
from scenarios.running.training import Metrics, Series, Settings, fit_series

if TYPE_CHECKING:
    from scenarios.flowers.task import FlowerTask
    from scenarios.running.torch_learner import TorchLearner

__all__ = ["build", "learner", "run"]

PAGE = "interactive.html"
STEEPNESS = 2.0  # of the fast sigmoid
GROUPS = {"1": ("red", "green", "blue"), "2": ("first third", "second third", "last third")}
LEVELS = {"1": 0.40, "2": 0.55}  # published accuracies, for the picture
NAMES = tuple(CLASSES.values())


def build(
    config: FlowersOptions,
    parts: dict[str, LabelledImages],
    network: str,
    seed: int,
    *,
    control: bool,
) -> FlowerTask:
    """Return a network with its images.

    Parameters
    ----------
    config : FlowersOptions
        Options.
    parts : dict of str -> LabelledImages
        "train" and "test".
    network : str
        "1" or "2".
    seed : int
        Of the initial weights: the control has the same.
    control : bool
        Whether the derivative of a spike is 0.
    """
    import torch

    from gradients.clocked import SpikeDerivative
    from scenarios.flowers.network import channel_network, unit_network
    from scenarios.flowers.task import FlowerTask
    from scenarios.running.torch_learner import device

    recipe = config.recipe(network)
    scale = STEEPNESS if config.derivative == "fast_sigmoid" else 1.0
    options: dict[str, Any] = {
        "w_input": recipe.w_input,
        "w_leak": recipe.w_leak,
        "dropout": recipe.dropout,
        "derivative": SpikeDerivative("silent" if control else config.derivative, scale),
    }
    n_rows = parts["train"].images.shape[1]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = (
            channel_network(n_rows, **options)
            if network == "1"
            else unit_network(n_rows, gain=recipe.gain, **options)
        )
    place = device(config.device)
    return FlowerTask(model.to(place), parts["train"], parts["test"], recipe.shift, recipe.flip)


def learner(config: FlowersOptions, task: FlowerTask, network: str) -> TorchLearner:
    """Return a task with its optimizer, whose rates fall to 0 as a cosine."""
    import torch

    from scenarios.running.torch_learner import TorchLearner

    recipe = config.recipe(network)
    steps = config.chosen.epochs * math.ceil(task.n_train / recipe.batch_size)
    head = list(task.model.head.parameters())
    units = [p for name, p in task.model.named_parameters() if not name.startswith("head.")]
    groups = [{"params": head, "lr": recipe.learning_rate},
              {"params": units, "lr": recipe.unit_rate}]  # fmt: skip
    adam = torch.optim.Adam(groups)
    return TorchLearner(task, adam, torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps))


def run(config: FlowersOptions, folder: Path, progress: Progress) -> Report:
    """Train all networks, or go on with them; return the table and the pictures."""
    config.require()
    parts = split(flower_images(config.data_dir), config.test_share, config.split_seed)
    write_whole(folder / PAGE, _page(parts["test"]).encode())  # first: it may refuse the images
    started = time.perf_counter()
    series = {
        (network, control): _series(config, parts, network, control, folder)
        for network in config.networks
        for control in ((False, True) if config.control else (False,))
    }
    states = fit_series(
        series, range(config.seed, config.seed + config.chosen.seeds), progress=progress
    )
    kinds = [Kind(*kind, trained) for kind, trained in states.items()]
    seconds = time.perf_counter() - started
    return _report(config, parts, kinds, seconds, folder)


def _series(
    config: FlowersOptions,
    parts: dict[str, LabelledImages],
    network: str,
    control: bool,
    folder: Path,
) -> Series:
    from scenarios.flowers.task import no_better

    title = kind_title(network, control)
    return Series(
        title,
        folder / title.replace(", ", "-").replace(" ", "-"),
        lambda seed: learner(
            config, build(config, parts, network, seed, control=control), network
        ),
        lambda seed: Settings(
            epochs=config.chosen.epochs,
            batch_size=config.recipe(network).batch_size,
            seed=seed,
            stop=no_better(config.patience),
        ),
    )  # fmt: skip


def _page(test: LabelledImages) -> str:
    """Return the page with interactive figures; a row of the first test image is one input."""
    from scenarios.flowers.page import interactive_page

    image, label = test.images[0], int(test.labels[0])
    row = image[len(image) // 2, :, 0] / 255.0
    return interactive_page(row, f"the red of a row of a {NAMES[label]}")


def _report(
    config: FlowersOptions,
    parts: dict[str, LabelledImages],
    kinds: Sequence[Kind],
    seconds: float,
    folder: Path,
) -> Report:
    _, n_rows, n_columns, _ = parts["train"].images.shape
    return Report(
        title=f"Flowers by LIF units, {n_columns} x {n_rows} pixels",
        rows=rows(config, kinds),
        notes=[
            f"{len(parts['train'])} images to train and {len(parts['test'])} to test, of "
            f"{n_columns} x {n_rows} pixels; published numbers are for 500 x 400",
            *notes(config, kinds),
            f"interactive figures: {folder / PAGE}",
            f"this session: {seconds:.0f} s of training",
        ],
        numbers={
            "kinds": {kind.title: {"best": kind.best, "last": kind.last} for kind in kinds},
            "seconds": seconds,
        },
        weights={
            f"{kind.title}: {name}": array
            for kind in kinds
            for name, array in kind.states[0].params.items()
        },
        figures=_figures(config, parts, kinds),
    )


def _figures(
    config: FlowersOptions, parts: dict[str, LabelledImages], kinds: Sequence[Kind]
) -> dict[str, Any]:
    from scenarios.flowers.figures import (
        Curves,
        learning_curves,
        presentations,
        spike_patterns,
    )
    from scenarios.flowers.lif_figures import gradient_picture, rate_against_input
    from scenarios.flowers.shown import loaded, present, well_and_middling

    def histories(network: str, control: bool) -> list[list[Metrics]]:
        return [state.history for kind in kinds for state in kind.states
                if (kind.network, kind.control) == (network, control)]  # fmt: skip

    curves = [
        Curves(kind_title(network, False), histories(network, False), histories(network, True),
               LEVELS[network])
        for network in config.networks
    ]  # fmt: skip
    figures = {
        "training": learning_curves(curves, 1 / len(NAMES)),
        "gradient": gradient_picture(),
        "firing_rate": rate_against_input(),
    }
    for kind in kinds:
        if kind.control:
            continue
        task = build(config, parts, kind.network, config.seed, control=False)
        trained = loaded(
            build(config, parts, kind.network, config.seed, control=False), kind.states[0].params
        )
        chosen = well_and_middling(trained)
        shown = present(trained, chosen)
        name = f"network_{kind.network}"
        figures[f"{name}_columns"] = presentations(shown, NAMES, GROUPS[kind.network])
        figures[f"{name}_spikes"] = spike_patterns(
            present(task, chosen[:1])[0], shown[0], kind.states[0].history
        )
    return figures
