"""The networks of the scenario `leak`: trained, and measured with and without noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from scenarios.datasets.labelled_images import LabelledImages
from scenarios.leak.claims import robustness
from scenarios.leak.config import LeakOptions
from scenarios.leak.measures import Measures, accuracy, measure
from scenarios.leak.network import best_precision
from scenarios.leak.noise import KINDS, SCENARIOS, Noise
from scenarios.leak.task import LeakTask, build, learner
from scenarios.running.checkpoint import TrainingState
from scenarios.running.console.progress import Progress
from scenarios.running.torch_learner import TorchLearner, device, load_params
from scenarios.running.training import Series, fit_series, replicate

__all__ = ["NOISY", "Studied", "check", "settled", "study", "title", "warm_up"]

Parts = dict[str, LabelledImages]
NOISY = Noise("gaussian", 1, 5)  # of Figs 4 and 5
CONDITIONS = tuple((kind, scenario) for scenario in SCENARIOS for kind in KINDS)


@dataclass(frozen=True, eq=False)
class Studied:
    """The networks of one leak.

    Attributes
    ----------
    tau_m : float
        Their membrane time constant.
    states : list of TrainingState
        One for each seed.
    accuracies : list of dict
        One for each seed: by kind and scenario of the noise, the accuracy without noise and at each
        severity.
    clean, noisy : list of Measures
        One for each seed: of clean images, and with Gaussian noise of severity 5 in the pixels.
    """

    tau_m: float
    states: list[TrainingState]
    accuracies: list[dict[tuple[str, int], list[float]]]
    clean: list[Measures]
    noisy: list[Measures]

    def robustness(self, *conditions: tuple[str, int]) -> list[float]:
        """Return the robustness of each network, mean over kinds of noise [all]."""
        chosen = conditions or CONDITIONS
        return [
            float(np.mean([robustness(curves[condition]) for condition in chosen]))
            for curves in self.accuracies
        ]


def title(tau_m: float) -> str:
    """Return the name of a leak.

    Examples
    --------
    >>> title(30.0), title(float("inf"))
    ('tau_m 30', 'no leak')
    """
    return "no leak" if tau_m == float("inf") else f"tau_m {tau_m:g}"


def check(config: LeakOptions, parts: Parts) -> None:
    """Raise a ValueError if a network cannot be built, or there are too few images."""
    parts["test"].first(config.chosen.n_noisy, "n_noisy")
    for tau_m in config.tau_m:
        build(config, tau_m, parts, config.seed)


def settled(config: LeakOptions, folder: Path) -> LeakOptions:
    """Return the configuration with a precision: "auto" is chosen once and kept in the folder.

    All networks of a run are computed alike, wherever it goes on.
    """
    if config.precision != "auto":
        return config
    folder.mkdir(parents=True, exist_ok=True)
    (chosen,) = replicate(
        [config.seed],
        lambda _: {"precision": best_precision(device(config.device))},
        path=folder / "precision.jsonl",
    )
    return replace(config, precision=chosen["precision"])


def warm_up(config: LeakOptions, parts: Parts) -> None:
    """Compile what a step needs, on a few images and a network that is thrown away."""
    task = build(config, config.tau_m[0], parts, config.seed)
    rng = np.random.default_rng(0)
    task.loss(np.arange(min(2, task.n_train)), rng)[0].backward()


def study(config: LeakOptions, parts: Parts, folder: Path, progress: Progress) -> list[Studied]:
    """Train and measure the networks of each leak, or go on with it."""
    seeds = range(config.seed, config.seed + config.chosen.seeds)

    def fresh(tau_m: float, seed: int) -> TorchLearner:
        return learner(config, build(config, tau_m, parts, seed))

    series = {
        tau_m: Series(title(tau_m), _folder(folder, tau_m), partial(fresh, tau_m), config.settings)
        for tau_m in config.tau_m
    }
    states = fit_series(series, seeds, progress=progress)
    return [
        _measured(config, tau_m, parts, seeds, states[tau_m], folder, progress)
        for tau_m in config.tau_m
    ]


def _folder(folder: Path, tau_m: float) -> Path:
    return folder / f"tau_m-{float(tau_m)}"  # all digits: no other constant has it


def _measured(
    config: LeakOptions,
    tau_m: float,
    parts: Parts,
    seeds: Sequence[int],
    states: list[TrainingState],
    folder: Path,
    progress: Progress,
) -> Studied:
    """Measure networks; what is done is kept in their folders."""
    images = parts["test"].first(config.chosen.n_noisy, "n_noisy")
    studied = Studied(tau_m, states, [], [], [])
    for seed, state in zip(seeds, states, strict=True):
        task = replace(build(config, tau_m, parts, seed), test=images)
        load_params(task.model, state.params)
        here = _folder(folder, tau_m) / f"seed-{seed}"
        shown = progress.named(f"{title(tau_m)}, seed {seed}", "measurement")
        studied.accuracies.append(_accuracies(config, task, here / "noise.jsonl", shown))
        clean, noisy = _measures(task, here / "measures.jsonl", shown)
        studied.clean.append(clean)
        studied.noisy.append(noisy)
    return studied


def _measures(task: LeakTask, path: Path, progress: Progress) -> list[Measures]:
    """Measure a network without and with noise; what is done is kept in a file."""
    noises = (None, NOISY)
    records = replicate(  # a record is numbered as its noise
        range(len(noises)),
        lambda k: asdict(measure(task, noises[k])),
        path=path,
        progress=progress,
    )
    return [Measures(**{k: v for k, v in record.items() if k != "seed"}) for record in records]


def _accuracies(
    config: LeakOptions, task: LeakTask, path: Path, progress: Progress
) -> dict[tuple[str, int], list[float]]:
    """Return the accuracies of a network with each noise; what is done is kept in a file."""
    noises = [
        None,
        *(
            Noise(*condition, severity)
            for condition in CONDITIONS
            for severity in config.severities
        ),
    ]
    records = replicate(  # a record is numbered as its noise
        range(len(noises)),
        lambda k: {"test_accuracy": accuracy(task, noises[k])},
        path=path,
        progress=progress,
    )
    found: Mapping[Noise | None, float] = {
        noise: record["test_accuracy"] for noise, record in zip(noises, records, strict=True)
    }
    return {
        condition: [found[None], *(found[Noise(*condition, s)] for s in config.severities)]
        for condition in CONDITIONS
    }
