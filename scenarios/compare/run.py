"""The scenario compare: what is run, and what is reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from scenarios.compare.config import CompareOptions, Problem
from scenarios.running.checkpoint import TrainingState
from scenarios.running.console.progress import Progress
from scenarios.running.report import Report, Row, percent
from scenarios.running.training import last, seconds_per_epoch, warm_up
from scenarios.yin_yang import run as yin_yang
from scenarios.yin_yang.config import YinYangOptions

if TYPE_CHECKING:
    from scenarios.networks.contest import Contest

__all__ = ["run"]

Trained = Mapping[str, Sequence[TrainingState]]  # by method

PUBLISHED = {"Yin-Yang by spikes": "95.0 ± 0.83 % (300 epochs)"}


def run(config: CompareOptions, folder: Path, progress: Progress) -> Report:
    """Train all networks, or go on with them; return the table and the picture."""
    config.require()
    from scenarios.networks.contest import train

    contests = [_contest(config, problem) for problem in config.problems]
    with progress.compiling():
        for contest in contests:
            warm_up(contest.exact)
    trained = [(each, train(each, config.all_seeds, folder, progress)) for each in contests]
    return _report(config, trained)


def _contest(config: CompareOptions, problem: Problem) -> Contest:
    from scenarios.compare import tasks
    from scenarios.networks import contest

    chosen = config.chosen_for(problem)
    if problem == "yin_yang_spikes":
        points = YinYangOptions(
            full=config.full, epochs=chosen.epochs, hidden=chosen.hidden, n_train=chosen.n_train
        )
        task = yin_yang.build(points)
        return contest.by_spikes(task, partial(points.settings, task.n_train))
    settings = partial(config.settings, problem)
    if problem == "yin_yang":
        exact = tasks.yin_yang_task(chosen.hidden, chosen.n_train)
        return contest.by_potentials("Yin-Yang", exact, chosen.steps, settings)
    exact = tasks.mnist_task(chosen.hidden, chosen.n_train, config.data_dir)
    return contest.by_potentials("MNIST", exact, chosen.steps, settings)


def _report(config: CompareOptions, trained: Sequence[tuple[Contest, Trained]]) -> Report:
    from scenarios.networks.contest_figures import curves

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
