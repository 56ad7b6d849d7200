"""The one training loop of all scenarios: epochs, minibatches, evaluation, checkpoints.

Everything that is drawn at random, by the loop or by the task in its steps, comes from one
generator, whose state is in the checkpoint: a run that is killed at any moment and resumed ends
with the same bits as one that was not.
"""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from eventsim._support.validate import as_count
from gradients import Adam
from scenarios.running.checkpoint import (
    TrainingState,
    check_like,
    load_latest,
    remove_old,
    save,
    write_if_other,
    write_whole,
)
from scenarios.running.console.progress import SILENT, Progress, Tell
from scenarios.running.pieces import CrewError, carry_out, is_shared
from scenarios.running.records import as_line, origin_line, parse, read_lines
from scenarios.running.stopwatch import Stopwatch

__all__ = [
    "Learner",
    "Series",
    "Settings",
    "Step",
    "Task",
    "check_seed",
    "fit",
    "fit_seeds",
    "fit_series",
    "in_chunks",
    "last",
    "replicate",
    "seconds_per_epoch",
    "warm_up",
]

METRICS = "metrics.jsonl"
PCG = type(np.random.default_rng().bit_generator).__name__

Params = dict[str, NDArray[np.float64]]
Metrics = dict[str, float]
K = TypeVar("K")


@dataclass(frozen=True, eq=False)
class Step:
    """What one minibatch gives.

    Attributes
    ----------
    gradients : dict of str -> ndarray
        Gradient of the mean loss, by the name of the parameter.
    metrics : dict of str -> float
        Means over the minibatch, such as "loss" and "accuracy" (both in the units of the task).
    """

    gradients: Params
    metrics: Metrics


class Task(Protocol):
    """What a scenario gives to the loop."""

    @property
    def n_train(self) -> int:
        """Number of training samples."""

    def initial(self, rng: np.random.Generator) -> Params:
        """Return the parameters to start from."""

    def step(self, params: Params, rows: NDArray[np.int64], rng: np.random.Generator) -> Step:
        """Return loss and gradient over the chosen training samples.

        What the step draws (noise on the input, say) it draws from ``rng``, the loop's generator.
        """

    def evaluate(self, params: Params) -> Metrics:
        """Return metrics of the held-out samples."""


class Learner(ABC):
    """Something that keeps its own parameters and changes them, minibatch by minibatch.

    What the loop sees of a training: a `Task` with an optimizer is one, a PyTorch module with one
    of PyTorch's another (`scenarios.running.torch_learner`).
    """

    @property
    @abstractmethod
    def n_train(self) -> int:
        """Number of training samples."""

    @abstractmethod
    def start(self, rng: np.random.Generator) -> None:
        """Take the parameters to start from."""

    @abstractmethod
    def learn(self, rows: NDArray[np.int64], rng: np.random.Generator) -> Metrics:
        """Learn from the chosen training samples; return means over them, such as "loss"."""

    @abstractmethod
    def evaluate(self) -> Metrics:
        """Return metrics of the held-out samples."""

    @abstractmethod
    def state(self) -> tuple[Params, Mapping[str, Any]]:
        """Return the parameters, and what the optimizer remembers, as arrays and numbers."""

    @abstractmethod
    def load(self, params: Params, optimizer: Mapping[str, Any]) -> None:
        """Take a state that `state` returned.

        Raises
        ------
        ValueError
            If it cannot be one of this learner; nothing has changed then.
        """


@dataclass
class _Descent(Learner):
    """A task whose parameters go down its gradient."""

    task: Task
    optimizer: Any

    @property
    def n_train(self) -> int:
        return self.task.n_train

    def start(self, rng: np.random.Generator) -> None:
        self._params = self.task.initial(rng)
        self._memory = self.optimizer.init(self._params)

    def learn(self, rows: NDArray[np.int64], rng: np.random.Generator) -> Metrics:
        step = self.task.step(self._params, rows, rng)
        self._params, self._memory = self.optimizer.update(
            self._params, step.gradients, self._memory
        )
        return step.metrics

    def evaluate(self) -> Metrics:
        return self.task.evaluate(self._params)

    def state(self) -> tuple[Params, Mapping[str, Any]]:
        return self._params, self._memory

    def load(self, params: Params, optimizer: Mapping[str, Any]) -> None:
        fresh = self.task.initial(np.random.default_rng(0))
        check_like(params, fresh, "params")
        check_like(optimizer, self.optimizer.init(fresh), "optimizer")
        self._params, self._memory = params, optimizer


@dataclass(frozen=True)
class Settings:
    """How to train.

    Attributes
    ----------
    epochs : int
        Passes over the training samples.
    batch_size : int
        Samples in a minibatch (the last one of an epoch may be smaller); more than there are
        samples: one full batch.
    optimizer : gradients.Adam or gradients.SGD
        Update rule of a `Task`; any object with its `init` and `update`.  A `Learner` has its own.
    seed : int
        Of the initial parameters, of the order of the samples and of what the steps draw.
    evaluate_every, save_every : int
        Epochs between two evaluations and between two checkpoints (the last epoch has both).
    stop : callable, optional
        Called with the records of all epochs, from epoch 0 on; those of the evaluation are in them
        where one was due.  True ends the run early.  Default: no run does.

    Examples
    --------
    >>> Settings(epochs=0, batch_size=150)
    Traceback (most recent call last):
        ...
    ValueError: epochs must be an integer >= 1, got 0
    """

    epochs: int
    batch_size: int
    optimizer: Any = Adam()
    seed: int = 0
    evaluate_every: int = 1
    save_every: int = 1
    stop: Callable[[Sequence[Metrics]], bool] | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("epochs", "batch_size", "evaluate_every", "save_every"):
            as_count(getattr(self, name), name)
        check_seed(self.seed)


def fit(
    task: Task | Learner,
    settings: Settings,
    *,
    folder: Path | None = None,
    progress: Progress = SILENT,
) -> TrainingState:
    """Train, from the start or from the newest checkpoint in ``folder``.

    Parameters
    ----------
    task : Task or Learner
        What to train, on what.
    settings : Settings
        How to train.
    folder : Path, optional
        Where checkpoints and ``metrics.jsonl`` (one JSON record a line) are kept; default: nowhere.
    progress : Progress
        Told about each minibatch and each epoch.

    Returns
    -------
    TrainingState
        After the last epoch.  The metrics of epoch k are running means over its minibatches, taken
        while the parameters changed; names that begin with "test" are of the parameters at its end.
        Epoch 0 is the evaluation before training.

    Raises
    ------
    ValueError
        If all checkpoints in ``folder`` are damaged or do not fit, or they belong to another run.
    """
    learner = task if isinstance(task, Learner) else _Descent(task, settings.optimizer)
    loaded = load_latest(folder, partial(_take, learner, settings)) if folder else None
    course = _resumed(learner, loaded) if loaded else _started(learner, settings)
    saved = -1 if loaded is None else loaded.epoch
    if folder and loaded:
        _catch_up(folder, course.history)
    with progress.task(settings.epochs, course.epoch) as report:
        while course.epoch < settings.epochs and not _stops(settings, course.history):
            course.history.append(_epoch(course, settings, report))
            if folder and _due(course.epoch, settings.save_every, settings):
                saved = _keep(folder, course.state())
            report(course.epoch, _newest(course.history, settings))
    if folder and saved != course.epoch:
        _keep(folder, course.state())
    return course.state()


@dataclass(frozen=True, eq=False)
class Series:
    """Networks of one kind, of which each seed gives one.

    Attributes
    ----------
    title : str
        Their name, for the progress.
    folder : Path
        Of their checkpoints: each network has one of its own in it.
    task, settings : callable
        What to train, and how, by the seed.
    stopwatch : Stopwatch, optional
        Where the time of their training is counted, whoever trains them.
    """

    title: str
    folder: Path
    task: Callable[[int], Task | Learner]
    settings: Callable[[int], Settings]
    stopwatch: Stopwatch | None = None

    def place(self, seed: int) -> Path:
        """Return the folder of a network."""
        return self.folder / f"seed-{seed}"

    def fit(self, seed: int, progress: Progress) -> TrainingState:
        """Train a network, or go on with it."""
        return fit(
            self.task(seed), self.settings(seed), folder=self.place(seed),
            progress=progress.named(f"{self.title}, seed {seed}"),
        )  # fmt: skip


def fit_seeds(
    task: Callable[[int], Task | Learner],
    settings: Callable[[int], Settings],
    seeds: Iterable[int],
    *,
    folder: Path,
    progress: Progress,
    title: str,
    stopwatch: Stopwatch | None = None,
) -> list[TrainingState]:
    """Train one network for each seed, as `fit`, each in a folder of its own: a `Series` alone."""
    series = Series(title, folder, task, settings, stopwatch)
    return fit_series({title: series}, seeds, progress=progress)[title]


def fit_series(
    series: Mapping[K, Series], seeds: Iterable[int], *, progress: Progress
) -> dict[K, list[TrainingState]]:
    """Train the networks of several series, with the same seeds; return them by series.

    Each is a piece of the run: workers, if there are any, train them side by side.
    """
    seeds = list(seeds)
    if is_shared():
        _fit_elsewhere(series.values(), seeds, progress)
    return {key: [one.fit(seed, progress) for seed in seeds] for key, one in series.items()}


def _fit_elsewhere(series: Iterable[Series], seeds: Sequence[int], progress: Progress) -> None:
    """Let the workers train networks, whose checkpoints are then in their folders."""
    networks = {one.place(seed): (one, seed) for one in series for seed in seeds}
    epochs = {place: one.settings(seed).epochs for place, (one, seed) in networks.items()}
    newest: dict[Path, Metrics] = {}
    with progress.named(f"{len(networks)} networks").task(sum(epochs.values())) as report:

        def watch() -> None:
            for place in epochs.keys() - over:
                newest[place] = _newest_record(place)
            done = sum(epochs[place] if place in over else newest[place]["epoch"]
                       for place in networks)  # fmt: skip
            report(done, max(newest.values(), key=lambda record: record["epoch"], default={}))

        over: set[Path] = set()
        works = {place: partial(_timed_fit, *each, progress) for place, each in networks.items()}
        for place, seconds in carry_out(works, watch):
            over.add(place)
            stopwatch = networks[place][0].stopwatch
            if stopwatch is not None:
                stopwatch.take(seconds)


def _timed_fit(series: Series, seed: int, progress: Progress) -> dict[str, float]:
    """Train a network; return how long it took, by the words of its stopwatch."""
    if series.stopwatch is not None:
        series.stopwatch.reset()
    series.fit(seed, progress)
    return {} if series.stopwatch is None else dict(series.stopwatch.seconds)


def _newest_record(place: Path) -> Metrics:
    """Return the record of the newest epoch of a network that others train."""
    try:
        newest = (place / METRICS).read_text().splitlines()[-1]
    except (FileNotFoundError, IndexError):
        return {"epoch": 0.0}
    return parse(newest)


def check_seed(seed: int) -> None:
    """Raise a ValueError unless random numbers can start from this.

    Examples
    --------
    >>> check_seed(-1)
    Traceback (most recent call last):
        ...
    ValueError: seed must be >= 0, got -1
    """
    if not seed >= 0:
        raise ValueError(f"seed must be >= 0, got {seed!r}")


def warm_up(task: Task) -> None:
    """Compile what a step needs, on a few samples and weights that are thrown away."""
    rng = np.random.default_rng(0)
    task.step(task.initial(rng), np.arange(min(8, task.n_train)), rng)


def last(states: Iterable[TrainingState], name: str) -> list[float]:
    """Return a metric after the last epoch, of each network."""
    return [state.history[-1][name] for state in states]


def seconds_per_epoch(states: Iterable[TrainingState]) -> float:
    """Return the mean duration of an epoch of training, without evaluation."""
    seconds = [record["seconds"] for state in states for record in state.history[1:]]
    return sum(seconds) / len(seconds)


def replicate(
    seeds: Sequence[int],
    run: Callable[[int], dict[str, Any]],
    *,
    path: Path | None = None,
    progress: Progress = SILENT,
) -> list[dict[str, Any]]:
    """Run the same small experiment with many seeds; those already in ``path`` are not run again.

    Parameters
    ----------
    seeds : sequence of int
        One run each.
    run : callable
        From a seed to a record that JSON can hold.
    path : Path, optional
        File with one finished record a line; what a damaged line held is run again.
    progress : Progress
        Told about each record.

    Returns
    -------
    list of dict
        The records in the order of ``seeds``, each with its "seed", as JSON gives them back.

    Raises
    ------
    ValueError
        If the records in ``path`` belong to another run.
    CrewError
        If this is done by a worker on its way to a later piece, and there are none.
    """
    done = _read_records(path) if path else {}
    lacking = {seed: partial(run, seed) for seed in seeds if seed not in done}
    finished = len(seeds) - len(lacking)
    with progress.task(len(seeds), finished) as report:
        for seed, record in _carried_out(lacking, path):
            done[seed] = parse(json.dumps({"seed": seed, **record}))
            if path:
                _write_records(path, seeds, done)
            finished += 1
            report(finished, done[seed])
    if path and done:
        _write_records(path, seeds, done)  # without what was damaged
    unseen = [seed for seed in seeds if seed not in done]
    if unseen:
        raise CrewError(f"{path} lacks the records of {unseen[:5]}: a worker does not see them yet")
    return [done[seed] for seed in seeds]


def _carried_out(
    works: Mapping[int, Callable[[], dict[str, Any]]], path: Path | None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the records of works by their numbers; workers may make those that go to a file."""
    if path is None:
        yield from ((number, work()) for number, work in works.items())
        return
    for place, record in carry_out({path / str(number): work for number, work in works.items()}):
        yield int(place.name), record


def in_chunks(n_samples: int, size: int = 1000) -> list[slice]:
    """Return consecutive slices that cover ``range(n_samples)``, of ``size`` or less.

    A large test set is evaluated piece by piece: each sample is a run of its own, so the pieces
    give the same bits and need less memory at a time.

    Examples
    --------
    >>> in_chunks(2500)
    [slice(0, 1000, None), slice(1000, 2000, None), slice(2000, 2500, None)]
    """
    for name, value in (("n_samples", n_samples), ("size", size)):
        if not value >= 1:
            raise ValueError(f"{name} must be >= 1, got {value!r}")
    return [slice(first, min(first + size, n_samples)) for first in range(0, n_samples, size)]


def _read_records(path: Path) -> dict[int, dict[str, Any]]:
    return {record["seed"]: record for record in read_lines(path) if "seed" in record}


def _write_records(path: Path, seeds: Sequence[int], done: Mapping[int, dict[str, Any]]) -> None:
    """Write all records, those of the seeds in their order, unless that is the file already."""
    order = dict.fromkeys([*seeds, *done])
    lines = [as_line(done[seed]) for seed in order if seed in done]
    write_if_other(path, origin_line() + b"".join(lines))


@dataclass
class _Course:
    """A training under way."""

    learner: Learner
    rng: np.random.Generator
    history: list[Metrics]

    @property
    def epoch(self) -> int:
        return len(self.history) - 1

    def state(self) -> TrainingState:
        params, optimizer = self.learner.state()
        return TrainingState(
            params, optimizer, self.rng.bit_generator.state, self.epoch, self.history
        )


def _started(learner: Learner, settings: Settings) -> _Course:
    rng = np.random.default_rng(settings.seed)
    learner.start(rng)
    return _Course(learner, rng, [{"epoch": 0, "seconds": 0.0, **learner.evaluate()}])


def _take(learner: Learner, settings: Settings, loaded: TrainingState) -> None:
    """Let a learner take a state; a ValueError if it cannot be one of this training."""
    if loaded.epoch > settings.epochs:
        raise ValueError(f"epoch must be <= {settings.epochs}, got {loaded.epoch}")
    _generator(loaded.rng)
    learner.load(loaded.params, loaded.optimizer)


def _resumed(learner: Learner, loaded: TrainingState) -> _Course:
    return _Course(learner, _generator(loaded.rng), list(loaded.history))


def _generator(state: Mapping[str, Any]) -> np.random.Generator:
    """Return a random number generator in a state."""
    rng = np.random.default_rng()
    try:
        rng.bit_generator.state = state
        same = rng.bit_generator.state == state
    except (LookupError, OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"rng must be a state of numpy's {PCG}, got {state!r:.100}") from error
    if not same:
        raise ValueError(f"rng must be a state of numpy's {PCG}, got {state!r:.100}")
    return rng


def _epoch(course: _Course, settings: Settings, report: Tell) -> Metrics:
    """Learn from every sample once; return the record of the epoch."""
    started = time.perf_counter()
    steps = []
    newest = _newest(course.history, settings)
    minibatches = _minibatches(course.learner.n_train, settings.batch_size, course.rng)
    for k, rows in enumerate(minibatches):
        if k:
            report(course.epoch + k / len(minibatches), newest)
        steps.append((len(rows), course.learner.learn(rows, course.rng)))
    trained = time.perf_counter() - started
    epoch = course.epoch + 1
    record = {"epoch": epoch, "seconds": trained, **_means(steps)}
    if _due(epoch, settings.evaluate_every, settings) or _stops(
        settings, [*course.history, record]
    ):
        record |= course.learner.evaluate()
    return record


def _newest(history: Sequence[Metrics], settings: Settings) -> Metrics:
    """Return each metric as it was last measured; none of the untrained network."""
    newest: Metrics = {}
    for record in history[max(1, len(history) - settings.evaluate_every) :]:
        newest |= record
    return newest


def _minibatches(n: int, size: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Return all rows in a random order, in pieces; one full batch is left in order."""
    if size >= n:
        return [np.arange(n)]
    order = rng.permutation(n)
    return [order[first : first + size] for first in range(0, n, size)]


def _means(steps: list[tuple[int, Metrics]]) -> Metrics:
    total = sum(size for size, _ in steps)
    names = steps[0][1]
    return {name: sum(size * metrics[name] for size, metrics in steps) / total for name in names}


def _due(epoch: int, every: int, settings: Settings) -> bool:
    return epoch % every == 0 or epoch == settings.epochs


def _stops(settings: Settings, history: Sequence[Metrics]) -> bool:
    return len(history) > 1 and settings.stop is not None and settings.stop(history)


def _keep(folder: Path, state: TrainingState) -> int:
    """Save a state; return its epoch."""
    folder.mkdir(parents=True, exist_ok=True)
    save(folder, state)
    write_whole(folder / METRICS, _lines(state.history))
    return state.epoch


def _catch_up(folder: Path, history: Sequence[Metrics]) -> None:
    """Do what a kill between a checkpoint and its metrics left undone."""
    remove_old(folder)
    write_if_other(folder / METRICS, _lines(history))


def _lines(history: Sequence[Metrics]) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in history).encode()
