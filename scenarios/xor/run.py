"""The scenario xor: what is run, and what is reported."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np

import eventsim as es
from gradients import Adam
from scenarios.networks.copies import SideBySide
from scenarios.networks.first_spike import Classification, Classifier, FirstSpikeLoss
from scenarios.running.console.progress import SILENT, Progress
from scenarios.running.options import (
    Count,
    Fraction,
    NonNegative,
    Options,
    Positive,
    Range,
    Rate,
    Seed,
)
from scenarios.running.report import Report, Row
from scenarios.running.training import Params, Settings, fit

EARLY, LATE = 0.0, 2.0
PATTERNS = np.array([[EARLY, EARLY], [EARLY, LATE], [LATE, EARLY], [LATE, LATE]])
LABELS = np.array([0, 1, 1, 0])
PUBLISHED_MEAN, PUBLISHED_MAX = 17.52, 98
SHOWN_STEPS = 100  # of the network in the picture: right by a margin that can be seen
TABLE_1: dict[str, Any] = {"gamma": 0.2, "tau0": 0.1, "beta2": 0.999}


@dataclass(frozen=True)
class Config(Options):
    """Settings; the defaults are Table 1 of the publication, except for gamma, tau0 and beta2.

    Attributes
    ----------
    published
        Take gamma, tau0 and beta2 from Table 1 of the publication.
    full
        Run the published 1000 initialisations.
    runs
        Number of random initialisations [100; 1000 with --full].
    seed
        Seed of the first initialisation; the others follow.
    max_steps
        Give an initialisation up after so many steps.
    learning_rate
        Of Adam.
    beta2
        Of Adam: its memory for squared gradients.
    gamma
        Cost of late label spikes.
    tau0
        Time constant of the cross-entropy.
    tau1
        Time constant of the cost of late spikes.
    t_stop
        End of each simulation.
    """

    published: bool = False
    full: bool = False
    runs: Count | None = None
    seed: Seed = 0
    max_steps: Annotated[int, Range(1, 999_998)] = 300  # an epoch more than steps
    learning_rate: Rate = 0.1
    beta2: Fraction = 0.99
    gamma: NonNegative = 0.01
    tau0: Positive = 0.03
    tau1: Positive = 1.0
    t_stop: Annotated[float, Range(LATE, 1e6, "(]")] = 5.0

    @property
    def n_runs(self) -> int:
        """Number of initialisations."""
        return self.runs if self.runs is not None else (1000 if self.full else 100)


def build(config: Config) -> Classification:
    """Return the 2-4-2 network with the four patterns, which are both training and test data."""
    loss = FirstSpikeLoss(config.tau0, config.tau1, config.gamma, t_silent=config.t_stop)
    neuron = es.LIF(tau_mem=1 / 0.99, tau_syn=1.0)
    model = Classifier((2, 4, 2), neuron, config.t_stop, loss)
    patterns = (es.SpikeBatch.from_latencies(PATTERNS), LABELS)
    return Classification(model, [(3.0, 1.0), (2.0, 0.1)], patterns, patterns)


def run(config: Config, folder: Path, progress: Progress) -> Report:
    """Train every initialisation until it converges; return the table and the pictures."""
    printed = replace(config, **TABLE_1)
    config = printed if config.published else config
    with progress.compiling():
        steps_to_converge(replace(config, runs=1, max_steps=1))
    steps = steps_to_converge(config, folder / "side-by-side", progress.named("XOR", "step"))
    as_printed = steps
    if config != printed:
        title = progress.named("XOR, constants of Table 1", "step")
        as_printed = steps_to_converge(printed, folder / "table-1", title)
    task = build(config)
    weights = fit(task, settings(config, config.seed), folder=folder).params
    return _report(config, task, steps, as_printed, weights)


def steps_to_converge(
    config: Config, folder: Path | None = None, progress: Progress = SILENT
) -> list[int | None]:
    """Train all initialisations side by side.

    Returns
    -------
    list of int or None
        Steps after which each is right about all four patterns; None: more than ``max_steps``.
    """
    shared = settings(config, config.seed)
    until_converged = replace(
        shared,
        epochs=config.max_steps + 1,  # the last one looks at what the step before it has done
        save_every=25,
        stop=lambda history: history[-1]["converged"] == 1.0,
    )
    seeds = range(config.seed, config.seed + config.n_runs)
    learner = SideBySide(build(config), shared.optimiser, seeds)
    state = fit(learner, until_converged, folder=folder, progress=progress)
    return [int(k) if k >= 0 else None for k in state.optimiser["steps"]]


def settings(config: Config, seed: int) -> Settings:
    """Return how the network in the picture is trained: on beyond its first success."""
    return Settings(
        epochs=SHOWN_STEPS,
        batch_size=len(PATTERNS),
        optimiser=Adam(lr=config.learning_rate, betas=(0.9, config.beta2)),
        seed=seed,
        evaluate_every=SHOWN_STEPS,
        save_every=SHOWN_STEPS,
    )


def _report(
    config: Config,
    task: Classification,
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


def _notes(config: Config, failed: list[int]) -> list[str]:
    ours = {name: getattr(config, name) for name in TABLE_1}
    words = ", ".join(f"{name} {value:g} ({TABLE_1[name]:g})" for name, value in ours.items())
    notes = [f"settings, in brackets the published ones: {words}; why: eventsim info xor"]
    if failed:
        shown = ", ".join(map(str, failed[:10])) + (", ..." if len(failed) > 10 else "")
        notes.append(f"not converged within {config.max_steps} steps: seeds {shown}")
    return notes


def _figures(task: Classification, weights: dict[str, Any], steps: list[int]) -> dict[str, Any]:
    from scenarios.running.figures import step_histogram, traces

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
