"""The scenario xor: what is run, and what is reported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import eventsim as es
from gradients import FirstSpikeCrossEntropy
from scenarios.networks.copies import SideBySide
from scenarios.networks.feed_forward import Classification
from scenarios.networks.first_spike import Classifier
from scenarios.running.console.progress import SILENT, Progress
from scenarios.running.report import Report, Row
from scenarios.running.training import Params, fit
from scenarios.xor.config import EARLY, LATE, TABLE_1, XorOptions

PATTERNS = np.array([[EARLY, EARLY], [EARLY, LATE], [LATE, EARLY], [LATE, LATE]])
LABELS = np.array([0, 1, 1, 0])
PUBLISHED_MEAN, PUBLISHED_MAX = 17.52, 98


def build(config: XorOptions) -> Classification[Classifier]:
    """Return the 2-4-2 network with the four patterns, which are both training and test data."""
    config = config.chosen
    loss = FirstSpikeCrossEntropy(
        "out", config.tau0, config.t_stop, config.tau1, config.gamma, wake=0.0
    )
    neuron = es.LIF(tau_mem=1 / 0.99, tau_syn=1.0)
    model = Classifier((2, 4, 2), neuron, config.t_stop, loss)
    patterns = (es.SpikeBatch.from_latencies(PATTERNS), LABELS)
    return Classification(model, [(3.0, 1.0), (2.0, 0.1)], patterns, patterns)


def run(config: XorOptions, folder: Path, progress: Progress) -> Report:
    """Train every initialisation until it converges; return the table and the pictures."""
    printed = config.printed
    config = printed if config.published else config.chosen
    with progress.compiling():
        steps_to_converge(replace(config, runs=1, max_steps=1))
    steps = steps_to_converge(config, folder / "side-by-side", progress.named("XOR", "step"))
    as_printed = steps
    if any(getattr(config, name) != value for name, value in TABLE_1.items()):
        title = progress.named("XOR, constants of Table 1", "step")
        as_printed = steps_to_converge(printed, folder / "table-1", title)
    task = build(config)
    weights = fit(task, config.settings(config.seed), folder=folder).params
    return _report(config, task, steps, as_printed, weights)


def steps_to_converge(
    config: XorOptions, folder: Path | None = None, progress: Progress = SILENT
) -> list[int | None]:
    """Train all initialisations side by side.

    Returns
    -------
    list of int or None
        Steps after which each is right about all four patterns; None: more than ``max_steps``.
    """
    shared = config.settings(config.seed)
    until_converged = replace(
        shared,
        epochs=config.max_steps + 1,  # the last one looks at what the step before it has done
        save_every=25,
        stop=lambda history: history[-1]["converged"] == 1.0,
    )
    seeds = range(config.seed, config.seed + config.chosen.runs)
    learner = SideBySide(build(config), shared.optimizer, seeds)
    state = fit(learner, until_converged, folder=folder, progress=progress)
    return [int(k) if k >= 0 else None for k in state.optimizer["steps"]]


def _report(
    config: XorOptions,
    task: Classification[Classifier],
    steps: list[int | None],
    as_printed: list[int | None],
    weights: Params,
) -> Report:
    done = [k for k in steps if k is not None]
    failed = [config.seed + copy for copy, k in enumerate(steps) if k is None]
    mean, most = _mean_and_largest(steps)
    return Report(
        title="XOR, 2-4-2",
        rows=[
            Row("initialisations that converge", "1000 of 1000", f"{len(done)} of {len(steps)}"),
            Row("steps to converge, mean", f"{PUBLISHED_MEAN}", mean),
            Row("steps to converge, largest", f"{PUBLISHED_MAX}", most),
            *_rows_as_printed(as_printed),
        ],
        notes=_notes(config, failed),
        numbers={"steps": done, "failed_seeds": failed, "steps_as_printed": as_printed},
        weights=weights,
        network=task.model.network(weights),
        t_stop=task.model.t_stop,
        figures=_figures(task, weights, done),
    )


def _rows_as_printed(steps: list[int | None]) -> list[Row]:
    converged = sum(k is not None for k in steps)
    mean, most = _mean_and_largest(steps)
    return [
        Row("with the constants of Table 1: converge", "1000 of 1000",
            f"{converged} of {len(steps)}"),
        Row("with the constants of Table 1: mean, largest", f"{PUBLISHED_MEAN}, {PUBLISHED_MAX}",
            f"{mean}, {most}"),
    ]  # fmt: skip


def _mean_and_largest(steps: list[int | None]) -> tuple[str, str]:
    done = [k for k in steps if k is not None]
    return (f"{np.mean(done):.2f}", f"{max(done)}") if done else ("–", "–")


def _notes(config: XorOptions, failed: list[int]) -> list[str]:
    ours = {name: getattr(config, name) for name in TABLE_1}
    words = ", ".join(f"{name} {value:g} ({TABLE_1[name]:g})" for name, value in ours.items())
    notes = [f"settings, in brackets the published ones: {words}; why: eventsim info xor"]
    if failed:
        shown = ", ".join(map(str, failed[:10])) + (", ..." if len(failed) > 10 else "")
        notes.append(f"not converged within {config.max_steps} steps: seeds {shown}")
    return notes


def _figures(
    task: Classification[Classifier], weights: dict[str, Any], steps: list[int]
) -> dict[str, Any]:
    from scenarios.xor.figures import step_histogram, traces

    model, patterns = task.model, task.train[0]
    first = model.first_spikes(weights, patterns)
    spans = zip(first.min(axis=1), np.minimum(first.max(axis=1), model.t_stop), strict=True)
    times = np.array(
        [np.linspace(max(a - 0.4, 0.0), min(b + 0.2, model.t_stop), 500) for a, b in spans]
    )
    whole = es.simulate(model.network(weights), {"in": patterns}, model.t_stop)
    assert isinstance(whole, es.BatchResult)
    potentials = np.array([whole[k].potential("out", at=at) for k, at in enumerate(times)])
    titles = [
        f"inputs at {a:g} and {b:g}: class {c}" for (a, b), c in zip(PATTERNS, LABELS, strict=True)
    ]
    figures = {"potentials": traces(times, potentials, 1.0, titles, ["class 0", "class 1"])}
    if steps:
        figures["steps"] = step_histogram(steps, PUBLISHED_MEAN)
    return figures
