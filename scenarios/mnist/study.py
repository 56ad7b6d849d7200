"""Runs of the scenarios that read out potentials: which networks are trained, what is reported."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import eventsim as es
from scenarios.datasets.labelled_images import LabelledImages
from scenarios.mnist.config import MnistOptions, Spiking
from scenarios.networks.feed_forward import ImageTask
from scenarios.networks.readout import ReadoutNetwork, highest
from scenarios.running.checkpoint import TrainingState
from scenarios.running.console.progress import Progress
from scenarios.running.report import OPERATIONS_NOTE, Report, Row, operation_rows, percent
from scenarios.running.stopwatch import session_note, spent
from scenarios.running.training import Learner, Series, fit_series, last, seconds_per_epoch, warm_up

__all__ = ["DataSet", "Published", "Variant", "build", "learner", "train_and_report", "variants"]

TAUS = (0.2, 0.4, 0.8, 1.6, 3.2, 6.4)  # of Figs 3-5
BOTH: tuple[Spiking, Spiking] = ("multi", "single")


@dataclass(frozen=True)
class Published:
    """What was published about a kind of network.

    Attributes
    ----------
    text : str
        Test accuracy, with its error.
    accuracy : float
        The same as a number.
    tau_i : float, optional
        The time constant that it belongs to.
    spikes : float, optional
        Spikes per hidden neuron, read off a figure.
    """

    text: str
    accuracy: float
    tau_i: float | None = None
    spikes: float | None = None


NOTHING = Published("–", math.nan)


@dataclass(frozen=True)
class DataSet:
    """Images, and what was published about them.

    Attributes
    ----------
    title : str
        Name of the data set.
    load : callable
        From the user's folder (or None) to "train" and "test".
    classes : sequence of str
        Names of the classes.
    published : mapping
        By (spikes, leaky).
    """

    title: str
    load: Callable[[str | None], dict[str, LabelledImages]]
    classes: Sequence[str]
    published: Mapping[tuple[str, bool], Published]


@dataclass(frozen=True)
class Variant:
    """A kind of network: multi- or single-spike, and its time constants.

    Attributes
    ----------
    spikes : str
        How often a hidden neuron fires.
    tau_i : float
        Of the synaptic current; inf: non-leaky.
    tau_v : float, optional
        Of the membrane potential [tau_i / 2].

    Examples
    --------
    >>> Variant("multi", 0.8).title, Variant("single", np.inf).folder
    ('multi-spike, tau_I = 0.8', 'single-non-leaky')
    >>> Variant("multi", 1.6, np.inf).folder
    'multi-tau-1.6-tau-v-inf'
    """

    spikes: Spiking
    tau_i: float
    tau_v: float | None = None

    @property
    def leaky(self) -> bool:
        """Whether the current decays."""
        return self.tau_i < math.inf

    @property
    def title(self) -> str:
        """Name in tables and pictures."""
        name = f"{self.spikes}-spike, " + (f"tau_I = {self.tau_i:g}" if self.leaky else "non-leaky")
        return name if self.tau_v is None else f"{name}, tau_V = {self.tau_v:g}"

    @property
    def folder(self) -> str:
        """Name of the folder of its checkpoints: all digits, so no other kind has it."""
        name = f"{self.spikes}-" + (f"tau-{float(self.tau_i)}" if self.leaky else "non-leaky")
        return name if self.tau_v is None else f"{name}-tau-v-{float(self.tau_v)}"


@dataclass(frozen=True, eq=False)
class Trained:
    """The networks of one kind.

    Attributes
    ----------
    variant : Variant
        Their kind.
    task : ImageTask
        What they were trained on.
    states : list of TrainingState
        One for each seed.
    """

    variant: Variant
    task: ImageTask[ReadoutNetwork]
    states: list[TrainingState]


def variants(config: MnistOptions) -> list[Variant]:
    """Return the kinds of network that the options ask for."""
    if config.sweep == "tau":
        return [Variant(spikes, tau) for spikes in BOTH for tau in TAUS]
    if config.rows:
        return [
            Variant(spikes, tau)
            for spikes in BOTH
            for tau in (config.leaky_tau_i(spikes), math.inf)
        ]
    return [Variant(config.spikes, config.leaky_tau_i(config.spikes) if config.leaky else math.inf)]


def build(
    config: MnistOptions, variant: Variant, parts: Mapping[str, LabelledImages]
) -> ImageTask[ReadoutNetwork]:
    """Return a network with its training and test images.

    Raises
    ------
    ValueError
        If there are fewer training images than the options ask for.
    """
    train, test = parts["train"].first(config.n_train), parts["test"]
    chosen = config.chosen
    sizes = (math.prod(train.images.shape[1:]), config.hidden, 10)
    single = variant.spikes == "single"
    return ImageTask(
        ReadoutNetwork(
            sizes,
            variant.tau_i,
            single,
            config.loss(),
            engine=config.engine,
            precision=config.precision,
            tau_mem=variant.tau_v,
        ),
        [(config.init_mean, config.init_std)] * 2,
        train,
        test,
        moves=chosen.shift,
        noise=chosen.jitter,
        dropout=chosen.dropout,
    )


def train_and_report(
    data: DataSet, config: MnistOptions, folder: Path, progress: Progress
) -> Report:
    """Train all networks, or go on with them; return the table and the pictures."""
    parts = data.load(config.data_dir)
    tasks = {variant: build(config, variant, parts) for variant in variants(config)}
    with progress.compiling():
        task = next(iter(tasks.values()))
        warm_up(task)
        task.model.stopwatch.reset()
    started = time.perf_counter()
    states = fit_series(
        {kind: _series(data, config, kind, task, folder) for kind, task in tasks.items()},
        range(config.seed, config.seed + config.chosen.seeds),
        progress=progress,
    )
    trained = [Trained(kind, task, states[kind]) for kind, task in tasks.items()]
    return _report(data, config, trained, time.perf_counter() - started)


def _series(
    data: DataSet,
    config: MnistOptions,
    variant: Variant,
    task: ImageTask[ReadoutNetwork],
    folder: Path,
) -> Series:
    return Series(
        f"{data.title}, {variant.title}",
        folder / variant.folder,
        partial(learner, config, task),
        partial(config.settings, task.n_train),
        task.model.stopwatch,
    )


def learner(
    config: MnistOptions, task: ImageTask[ReadoutNetwork], seed: int
) -> ImageTask[ReadoutNetwork] | Learner:
    """Return what trains a network: on the device, where it can, all of a step is done there."""
    if config.engine != "cuda" or task.moves:
        return task
    from scenarios.networks.cuda_learner import DeviceLearner  # late: an extra, slow to import

    return DeviceLearner(task, config.settings(task.n_train, seed).optimizer)


def _report(data: DataSet, config: MnistOptions, trained: list[Trained], seconds: float) -> Report:
    known = bool(data.published)
    parts = spent(kind.task.model.stopwatch for kind in trained)
    epoch = seconds_per_epoch(state for kind in trained for state in kind.states)
    model, params = trained[0].task.model, trained[0].states[0].params
    cost = model.cost(params, trained[0].task.test_spikes)
    return Report(
        title=f"{data.title}, 784-{config.hidden}-10, exact gradients",
        rows=[
            *(row for kind in trained for row in _rows(_published(data, config, kind), kind)),
            Row("networks of each kind", "10" if known else "–", f"{config.chosen.seeds}"),
            Row("epochs", "100" if known else "–", f"{config.chosen.epochs}"),
            Row("training time of one epoch", "–", f"{epoch:.1f} s"),
            *operation_rows(cost),
        ],
        notes=[
            "accuracy after the last epoch, never the best epoch; ± is one standard deviation in "
            "this run, the standard error of 10 networks in the publication",
            session_note(seconds, parts),
            OPERATIONS_NOTE,
        ],
        numbers={
            "networks": {
                kind.variant.title: {
                    name: last(kind.states, name) for name in ("test_accuracy", "test_spikes")
                }
                for kind in trained
            },
            "neurobench": cost.neurobench,
            "seconds": {"session": seconds, "epoch": epoch, **parts},
        },
        weights=params,
        network=model.network(params),
        t_stop=model.t_stop,
        figures=_figures(data, config, trained),
    )


def _published(data: DataSet, config: MnistOptions, kind: Trained) -> Published:
    """Return what can be set beside a kind of network; in a sweep, beside its time constant."""
    found = data.published.get((kind.variant.spikes, kind.variant.leaky), NOTHING)
    return NOTHING if config.sweep == "tau" and found.tau_i != kind.variant.tau_i else found


def _rows(published: Published, kind: Trained) -> list[Row]:
    spikes = f"{np.mean(last(kind.states, 'test_spikes')):.2f}"
    accuracy = percent(last(kind.states, "test_accuracy"), 2)
    known = "–" if published.spikes is None else f"about {published.spikes:g}"
    return [
        Row(f"{kind.variant.title}: test accuracy", published.text, accuracy),
        Row(f"{kind.variant.title}: spikes per neuron", known, spikes),
    ]


def _figures(data: DataSet, config: MnistOptions, trained: list[Trained]) -> dict[str, Any]:
    from scenarios.mnist import figures as draw
    from scenarios.running.figures import Curve, learning_curves

    curves = [
        Curve(kind.variant.title, [state.history for state in kind.states]) for kind in trained
    ]
    figures = {
        "training": learning_curves(curves),
        "accuracy_against_spikes": draw.accuracy_against_spikes(curves),
        "dynamics": _dynamics(data, trained[0]),
        "spike_counts": draw.spike_count_histograms({
            kind.variant.title: [_counts(kind.task, state) for state in kind.states]
            for kind in trained
        }),
    }  # fmt: skip
    if config.sweep == "tau":
        figures["tau"] = _sweep(data, trained)
    return figures


def _counts(task: ImageTask[ReadoutNetwork], state: TrainingState) -> NDArray[np.int32]:
    return task.model.examine(state.params, *task.held_out).counts


def _sweep(data: DataSet, trained: list[Trained]) -> Any:
    from scenarios.mnist.figures import SweepLine, tau_sweep

    lines = []
    for spikes in BOTH:
        some = [one for one in trained if one.variant.spikes == spikes]
        lines.append(
            SweepLine(
                f"{spikes}-spike",
                [one.variant.tau_i for one in some],
                [last(one.states, "test_accuracy") for one in some],
                [last(one.states, "test_spikes") for one in some],
            )
        )
    points, limits = [], []
    for (kind, _), known in data.published.items():
        if known.tau_i is not None:
            points.append((f"{kind}-spike, published", known.tau_i, known.accuracy))
        if known.spikes is not None:
            limits.append((f"{kind}-spike, published limit", known.accuracy, known.spikes))
    return tau_sweep(lines, points, limits)


def _dynamics(data: DataSet, kind: Trained) -> Any:
    """Draw what the first network does with the first test image."""
    from scenarios.mnist.figures import dynamics

    task, params = kind.task, kind.states[0].params
    result = task.model.simulate(params, task.test_spikes[np.array([0])])[0]
    answer = _answer(result.potential("out"), data.classes)
    title = (
        f"{kind.variant.title}: a test image of class {data.classes[task.test.labels[0]]}, {answer}"
    )
    assert isinstance(result, es.Result)
    return dynamics(result, data.classes, title)


def _answer(potentials: NDArray[np.float64], classes: Sequence[str]) -> str:
    """Say what a network takes a sample for.

    Examples
    --------
    >>> _answer(np.array([0.5, 0.2, 0.1]), "abc")
    'taken for a'
    >>> _answer(np.array([0.0, 0.0, -0.1]), "abc")
    'a tie of 2 classes'
    """
    best = np.flatnonzero(highest(potentials))
    tie = f"a tie of {best.size} classes"
    return tie if best.size > 1 else f"taken for {classes[best[0]]}"
