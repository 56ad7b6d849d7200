"""Networks with more or less leak, trained on clean spikes and tested on noisy ones."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import stats

import eventsim as es
from scenarios.leak.claims import margin_of_mean
from scenarios.leak_exact.noise import NOISES
from scenarios.mnist.study import build
from scenarios.networks.feed_forward import ImageTask
from scenarios.networks.readout import ReadoutNetwork
from scenarios.running.checkpoint import TrainingState
from scenarios.running.console.progress import Progress
from scenarios.running.stopwatch import spent
from scenarios.running.training import Params, fit_seeds, last, replicate, warm_up

if TYPE_CHECKING:
    from scenarios.leak_exact.config import LeakExactOptions

__all__ = ["Effect", "Kind", "Study", "effect", "study"]

Floats = NDArray[np.float64]
NOISE_SEED = 20_000  # of the noise, which is the same for all networks


@dataclass(frozen=True, eq=False)
class Kind:
    """The networks of one time constant.

    Attributes
    ----------
    title : str
        Name in tables and pictures.
    states : list of TrainingState
        One for each seed.
    clean, spikes : (n_seeds,) ndarray
        Accuracy and spikes per hidden neuron and image, without noise.
    noisy : dict of str -> (n_seeds, n_severities) ndarray
        Accuracy by kind of noise.
    """

    title: str
    states: list[TrainingState]
    clean: Floats
    spikes: Floats
    noisy: Mapping[str, Floats]

    def lost(self, noise: str) -> Floats:
        """Return the accuracy lost by noise, mean over the severities, for each seed."""
        return np.mean(self.clean[:, None] - self.noisy[noise], axis=1)


@dataclass(frozen=True)
class Effect:
    """How leak and what is lost by a kind of noise go together.

    Attributes
    ----------
    saved : float
        Loss of the least leaky networks minus that of the leakiest; > 0: leak protects.
    low, high : float
        Its 95 % confidence interval.
    rank : float
        Kendall's τ_b between leak and loss, over all networks.
    p_value : float
        Probability of so large a |rank| if there were no relation.
    ordered : bool
        Whether mean losses rise with each step to less leak.
    """

    saved: float
    low: float
    high: float
    rank: float
    p_value: float
    ordered: bool


@dataclass(frozen=True, eq=False)
class Study:
    """Results of the whole study.

    Attributes
    ----------
    kinds : list of Kind
        In the order of the time constants.
    effects : dict of str -> Effect
        By kind of noise.
    network : Network
        The first of the leakiest.
    t_stop : float
        Until when networks run.
    seconds : float
        Of this session.
    parts : dict of str -> float
        How much of them went into simulations and gradients.
    """

    kinds: list[Kind]
    effects: Mapping[str, Effect]
    network: es.Network
    t_stop: float
    seconds: float
    parts: Mapping[str, float]


def study(config: LeakExactOptions, folder: Path, progress: Progress) -> Study:
    """Train all networks, or go on with them, and disturb their input.

    Raises
    ------
    ValueError
        If there are fewer images than the options ask for.
    """
    parts = config.images()
    tasks = {
        tau: build(config.readout(tau), config.variant(tau), parts) for tau in config.chosen.taus
    }
    with progress.compiling():
        for task in tasks.values():
            warm_up(task)
            task.model.stopwatch.reset()
    started = time.perf_counter()
    kinds = [_kind(config, tau, tasks[tau], folder, progress) for tau in config.chosen.taus]
    effects = {name: effect([kind.lost(name) for kind in kinds]) for name in NOISES}
    model = tasks[config.chosen.taus[0]].model
    network = model.network(kinds[0].states[0].params)
    parts_spent = spent(task.model.stopwatch for task in tasks.values())
    seconds = time.perf_counter() - started
    return Study(kinds, effects, network, model.t_stop, seconds, parts_spent)


def effect(losses: Sequence[Floats]) -> Effect:
    """Return how losses, from the leakiest networks to the least leaky ones, depend on leak.

    Parameters
    ----------
    losses : sequence of (n_seeds,) ndarray
        Of the networks of each time constant, of the same seeds, two or more: those of a seed
        began with the same weights and saw the same images in the same order.

    Examples
    --------
    >>> found = effect([np.array([0.1, 0.12]), np.array([0.2, 0.22]), np.array([0.3, 0.32])])
    >>> round(found.saved, 3), found.ordered, round(found.rank, 2)
    (0.2, True, -0.89)
    """
    means = [loss.mean() for loss in losses]
    differences = losses[-1] - losses[0]
    saved, half = float(differences.mean()), margin_of_mean(differences)
    leak = np.repeat(-np.arange(len(losses)), [len(loss) for loss in losses])
    rank = stats.kendalltau(leak, np.concatenate(losses))
    ordered = bool(np.all(np.diff(means) > 0.0))
    return Effect(saved, saved - half, saved + half, float(rank.statistic), float(rank.pvalue),
                  ordered)  # fmt: skip


def _kind(
    config: LeakExactOptions,
    tau: float,
    task: ImageTask[ReadoutNetwork],
    folder: Path,
    progress: Progress,
) -> Kind:
    variant = config.variant(tau)
    seeds = range(config.seed, config.seed + config.chosen.seeds)
    readout = config.readout(tau)
    states = fit_seeds(
        lambda _: task,
        partial(readout.settings, task.n_train),
        seeds,
        folder=folder / variant.folder,
        progress=progress,
        title=variant.title,
    )
    by_seed = dict(zip(seeds, states, strict=True))
    records = replicate(
        seeds,
        lambda seed: _disturbed(task, by_seed[seed].params),
        path=folder / variant.folder / "noise.jsonl",
        progress=progress.named(f"{variant.title}, noise", "network"),
    )
    noisy = {name: np.array([record[name] for record in records]) for name in NOISES}
    clean, spikes = (np.array(last(states, name)) for name in ("test_accuracy", "test_spikes"))
    return Kind(config.title(tau), states, clean, spikes, noisy)


def _disturbed(task: ImageTask[ReadoutNetwork], params: Params) -> dict[str, list[float]]:
    """Return the accuracy of a network at each severity of each kind of noise."""
    model, spikes, labels = task.model, task.test_spikes, task.test.labels
    found: dict[str, list[float]] = {}
    for name, noise in NOISES.items():
        found[name] = []
        for severity in noise.severities:
            rng = np.random.default_rng(NOISE_SEED)
            noisy = noise.apply(spikes, severity, rng, model.sizes[0], model.t_stop)
            metrics = model.evaluate(params, noisy, labels)
            found[name].append(metrics["test_accuracy"])
    return found
