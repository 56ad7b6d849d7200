"""The scenario yin_yang: what is run, and what is reported."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import eventsim as es
from gradients import FirstSpikeCrossEntropy
from scenarios.datasets.encoding import later_for_larger, with_bias
from scenarios.datasets.points import yin_yang
from scenarios.networks.feed_forward import Classification
from scenarios.networks.first_spike import Classifier
from scenarios.running.checkpoint import TrainingState
from scenarios.running.console.progress import Progress
from scenarios.running.report import OPERATIONS_NOTE, Report, Row, operation_rows, percent
from scenarios.running.stopwatch import session_note
from scenarios.running.training import Params, fit_seeds, warm_up
from scenarios.yin_yang.config import NORMALS, T_EARLY, TAU_SYN, YinYangOptions
from scenarios.yin_yang.network import DELAYS, DelayedClassifier

CLASSES = ["yin", "yang", "dot"]
LEARNT = {"weights": "", "delays": " by weights and delays"}
N_INPUTS, N_CLASSES = 5, 3
PUBLISHED = YinYangOptions()


class Beside(NamedTuple):
    """What was published, and the decimals of the accuracy that are compared."""

    accuracy: str
    digits: int
    seeds: str = "10"
    epochs: str = "300"
    duration: str = "–"


BESIDE = {
    "published": Beside("95.0 ± 0.83 % (10 seeds)", 1, duration="about 3 hours on 48 CPUs"),
    "best": Beside("98.10 ± 0.18 % (EventProp, 10 seeds)", 2),
    "small": Beside("98.2 % (DelGrad, delays learnt, one network)", 2, seeds="1", epochs="–"),
}


def latencies(
    features: NDArray[np.float64], config: YinYangOptions = PUBLISHED
) -> NDArray[np.float64]:
    """Return the spike times (n, 5) of points (x, y, 1-x, 1-y) and of the bias source.

    Examples
    --------
    >>> latencies(np.array([[0.0, 1.0, 1.0, 0.0]]))
    array([[0.15, 2.  , 2.  , 0.15, 0.9 ]])
    """
    chosen = config.chosen
    times = later_for_larger(features, t_early=T_EARLY[config.recipe], t_late=chosen.t_late)
    return with_bias(times, chosen.t_bias)


def build(config: YinYangOptions) -> Classification[Classifier]:
    """Return the network with its training and test points as input spikes."""
    chosen, data = config.chosen, yin_yang(config.data_dir)
    once = chosen.spikes == "single"
    neuron = es.LIF(chosen.tau_mem, TAU_SYN[config.recipe], refractory=np.inf if once else 0.0)
    loss = FirstSpikeCrossEntropy(
        "out", chosen.tau0, chosen.t_stop, chosen.tau1, chosen.gamma, wake=chosen.bump
    )
    kind: Callable[..., Classifier] = partial(Classifier, until_decided=not once)
    if config.learn == "delays":  # which takes the scheduler anyway
        kind = partial(DelayedClassifier, until_decided=True, longest_delay=chosen.delay)
    model = kind((N_INPUTS, chosen.hidden, N_CLASSES), neuron, chosen.t_stop, loss)
    train, test = data["train"][: config.n_train], data["test"]
    return Classification(
        model,
        NORMALS[config.recipe],
        (_as_spikes(train.features, config), train.labels),
        (_as_spikes(test.features, config), test.labels),
    )


def _as_spikes(features: NDArray[np.float64], config: YinYangOptions) -> es.SpikeBatch:
    return es.SpikeBatch.from_latencies(latencies(features, config))


def run(config: YinYangOptions, folder: Path, progress: Progress) -> Report:
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
        partial(config.settings, task.n_train),
        range(config.seed, config.seed + config.seeds),
        folder=folder,
        progress=progress,
        title="Yin-Yang",
        stopwatch=task.model.stopwatch,
    )
    seconds = time.perf_counter() - started
    report = _report(config, task, states, seconds)
    if config.compare == "surrogate":
        report.figures["surrogate"] = _beside_surrogates(config, task, states[0], folder, progress)
    return report


def _beside_surrogates(
    config: YinYangOptions,
    task: Classification[Classifier],
    exact: TrainingState,
    folder: Path,
    progress: Progress,
) -> Any:
    """Train the same network with surrogate gradients; draw both."""
    from scenarios.networks.contest import by_spikes, train
    from scenarios.networks.contest_figures import curves

    same = config.settings(task.n_train, config.seed)
    same = replace(same, epochs=config.compare_epochs or same.epochs)
    contest = by_spikes(task, lambda _: same)
    name, *others = contest.tasks
    rest = replace(contest, tasks={other: contest.tasks[other] for other in others})
    trained = train(rest, [config.seed], folder, progress)
    return curves({contest.title: {name: [exact], **trained}})


def _report(
    config: YinYangOptions,
    task: Classification[Classifier],
    states: list[TrainingState],
    seconds: float,
) -> Report:
    accuracies = [state.history[-1]["test_accuracy"] for state in states]
    spent = task.model.stopwatch.seconds
    beside = BESIDE[config.recipe]
    cost = task.model.cost(states[0].params, task.test[0])
    training = sum(record["seconds"] for state in states for record in state.history)
    return Report(
        title=f"Yin-Yang, {N_INPUTS}-{config.chosen.hidden}-{N_CLASSES}, exact gradients"
        + LEARNT[config.learn],
        rows=[
            Row("test accuracy", beside.accuracy, percent(accuracies, beside.digits)),
            Row("seeds", beside.seeds, f"{len(states)}"),
            Row("epochs", beside.epochs, f"{config.chosen.epochs}"),
            Row("training time of one seed", beside.duration, f"{training / len(states):.0f} s"),
            *operation_rows(cost),
        ],
        notes=[
            "accuracy after the last epoch, never the best epoch; ± is one standard deviation",
            "each seed: " + ", ".join(f"{100 * value:.1f}" for value in accuracies) + " %",
            session_note(seconds, spent),
            OPERATIONS_NOTE,
        ],
        numbers={
            "test_accuracy": accuracies,
            "neurobench": cost.neurobench,
            "seconds": {"session": seconds, **spent},
        },
        weights=states[0].params,
        network=task.model.network(states[0].params),
        t_stop=task.model.t_stop,
        figures=_figures(config, task, states),
    )  # fmt: skip


def _figures(
    config: YinYangOptions, task: Classification[Classifier], states: list[TrainingState]
) -> dict[str, Any]:
    from scenarios.running.figures import training_curves
    from scenarios.yin_yang.figures import class_planes, delay_histograms

    test = yin_yang(config.data_dir)["test"]

    def first_spikes(points: NDArray[np.float64]) -> NDArray[np.float64]:
        spikes = _as_spikes(np.hstack([points, 1.0 - points]), config)
        return task.model.first_spikes(states[0].params, spikes)

    points = test.features[:, :2]
    planes = class_planes(
        first_spikes, points, test.labels, classes=CLASSES, t_stop=task.model.t_stop
    )
    figures = {
        "decision_regions": planes,
        "training": training_curves([state.history for state in states], chance=1 / 3),
    }
    if config.learn == "delays":
        before = task.initial(np.random.default_rng(config.seed))
        figures["delays"] = delay_histograms(_delays(before), _delays(states[0].params))
    return figures


def _delays(params: Params) -> Params:
    """Return the delays of each projection, by its name."""
    return {
        name.removeprefix(DELAYS): values
        for name, values in params.items()
        if name.startswith(DELAYS)
    }
