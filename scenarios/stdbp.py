"""
Handwritten digits by the first of ten spikes (Zhang et al. 2021, MNIST, §4).

Spike-timing-dependent backpropagation: neurons with the rectified linear post-synaptic potential
(ReL-PSP) have neither leak, so a spike of weight w lets the potential rise with slope w for good,
and each neuron fires at most once.  Bright pixels fire early, at t = 1 - x/255 (black ones never);
the output neuron that fires first names the digit, and a softmax over minus the output times is
trained by cross-entropy (Eq. 13, with the time constant tau0).

Published test accuracy (Table 1): 784-400-10 98.1 %, 784-800-10 98.4 %, and 99.2 % for the
convolutional network 28x28-6C5-P2-16C5-P2-1024-128-10.  In the first, 48.6 % of the hidden neurons
have fired when an output decides, and 66.3 % fire at all.

Geometry of the convolutional network: 28 x 28, six 5 x 5 kernels (24 x 24), earliest-spike pools of
2 x 2 (12 x 12), sixteen 5 x 5 kernels (8 x 8), pools (4 x 4: 256 neurons), then dense layers of
1024, 128 and 10.  A pool passes the earliest spike of its window.

  eventsim run stdbp                                   784-400-10, 16 epochs
  eventsim run stdbp --network 784-800-10 --full       20 epochs, three networks
  eventsim run stdbp --network 28x28-6C5-P2-16C5-P2-1024-128-10
  eventsim run stdbp --rows --full                     the three rows of Table 1

Without more than small noise on the spike times, 784-400-10 ends at 98.1 to 98.3 % whatever else is
chosen, and soon knows its training images by heart.  So these are moved by up to one pixel, which
the publication does not do (`--shift 0`): 98.6 %; 784-800-10 reaches 98.8 % in 12 epochs, the
convolutional network, its images moved by up to two pixels, 99.3 % in 16 (with `--shift 0`, 99.0 %
in 6).  `docs/stdbp_search.md` has what was tried.

What happens to silent neurons: initial weights let every neuron fire (their sum over the sources is
`init_total` on average), runs are so long that silent outputs are rare, and a sample whose label
neuron is silent pushes up the weights onto the silent neurons (`bump`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from scenarios.console.progress import Progress
from scenarios.console.stopwatch import session_note, spent
from scenarios.datasets.images import mnist
from scenarios.datasets.labelled_images import LabelledImages
from scenarios.learning.checkpoint import TrainingState
from scenarios.report import Report, Row, percent
from scenarios.studies.stdbp.config import CSNN, Config
from scenarios.studies.stdbp.network import Activity, FirstSpikeImages
from scenarios.training import fit_seeds, last, seconds_per_epoch, warm_up

__all__ = ["Config", "build", "run"]

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
    task : FirstSpikeImages
        What they were trained on.
    states : list of TrainingState
        One for each seed.
    activity : Activity
        What the first of them does with the test images.
    """

    network: str
    task: FirstSpikeImages
    states: list[TrainingState]
    activity: Activity


def build(config: Config, network: str, parts: dict[str, LabelledImages]) -> FirstSpikeImages:
    """Return a network with its training and test images.

    Raises
    ------
    ValueError
        If there are fewer training images than the options ask for.
    """
    recipe = config.recipe(network)
    return FirstSpikeImages(
        config.model(network),
        recipe.init_total,
        recipe.init_spread,
        parts["train"].first(config.n_train),
        parts["test"],
        moves=recipe.shift,
        noise=recipe.jitter,
        dropout=recipe.dropout,
    )


def run(config: Config, folder: Path, progress: Progress) -> Report:
    """Train all networks, or go on with them; return the table and the pictures."""
    parts = mnist(config.data_dir)
    tasks = {network: build(config, network, parts) for network in config.networks}
    with progress.compiling():
        for task in tasks.values():
            warm_up(task)
            task.model.stopwatch.reset()
    started = time.perf_counter()
    trained = [_train(config, network, tasks[network], folder, progress) for network in tasks]
    return _report(config, trained, time.perf_counter() - started)


def _train(
    config: Config, network: str, task: FirstSpikeImages, folder: Path, progress: Progress
) -> Trained:
    states = fit_seeds(
        lambda _: task,
        partial(config.settings, network, task.n_train),
        range(config.seed, config.seed + config.n_seeds),
        folder=folder / network,
        progress=progress,
        title=network,
    )
    return Trained(network, task, states, task.examine(states[0].params))


def _report(config: Config, trained: Sequence[Trained], seconds: float) -> Report:
    parts = spent(one.task.model.stopwatch for one in trained)
    return Report(
        title="MNIST by the first spike, ReL-PSP neurons, exact gradients",
        rows=[
            *(Row(other, published, "–") for other, published in OTHERS.items()),
            *_accuracies(trained),
            *(row for one in trained for row in _activity(one)),
            Row("networks of each kind", "–", f"{config.n_seeds}"),
            *(Row(f"{one.network}: epochs", "–", f"{config.n_epochs(one.network)}")
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
        figures=_figures(trained),
    )  # fmt: skip


def _shifts(config: Config, trained: Sequence[Trained]) -> list[str]:
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
    from scenarios.studies.readout.figures import Curve, learning_curves
    from scenarios.studies.stdbp.figures import exploding_gradients, spike_time_histograms

    curves = [Curve(one.network, [state.history for state in one.states]) for one in trained]
    return {
        "training": learning_curves(curves),
        "spike_times": spike_time_histograms({one.network: one.activity for one in trained}),
        "exploding_gradients": exploding_gradients(),
    }
