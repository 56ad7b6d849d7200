"""Exact against surrogate gradients on one problem: a task for each method, and their trainings.

All methods have the same network, initial weights, minibatches and optimizer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gradients.clocked import SpikeDerivative
from scenarios.networks.clocked_task import DERIVATIVES, ClockedTask, LossName
from scenarios.networks.feed_forward import Classification
from scenarios.networks.first_spike import Classifier
from scenarios.running.checkpoint import TrainingState
from scenarios.running.console.progress import Progress
from scenarios.running.training import Metrics, Params, Series, Settings, Task, fit_series

if TYPE_CHECKING:
    from scenarios.networks.feed_forward import Classification
    from scenarios.networks.readout import ReadoutNetwork

__all__ = [
    "EXACT",
    "NAMES",
    "Contest",
    "CountedToTheEnd",
    "by_potentials",
    "by_spikes",
    "run_exactly",
    "seconds",
    "train",
]

EXACT = "exact gradient"
NAMES = {  # of the derivatives
    "constant": "constant (straight-through)",
    "fired": "where there is a spike",
    "fast_sigmoid": "fast sigmoid",
    "arctan": "arctan",
}
TIME_STEP, DURATION = 0.1, 2.5  # of the clock for spikes, in units of the synaptic time constant


@dataclass(frozen=True, eq=False)
class Contest:
    """One problem.

    Attributes
    ----------
    title : str
        What is learned, by which loss.
    folder : str
        For its checkpoints.
    tasks : dict of str -> Task
        By the name of the method.
    settings : callable
        From a seed to how one network is trained.
    n_hidden : int
        Number of hidden neurons.
    same_loss : bool
        Whether all methods lower the same loss, and decide by the same rule.
    """

    title: str
    folder: str
    tasks: Mapping[str, Task]
    settings: Callable[[int], Settings]
    n_hidden: int
    same_loss: bool = True

    @property
    def exact(self) -> Task:
        """What is trained with exact gradients."""
        return next(iter(self.tasks.values()))


@dataclass(frozen=True, eq=False)
class CountedToTheEnd(Classification[Classifier]):
    """A classification whose spikes are counted for as long as those on the clock.

    ``test_spikes_until_decided`` has those until all outputs have fired, when a run could end.
    """

    @classmethod
    def of(cls, task: Classification[Classifier]) -> CountedToTheEnd:
        """Return the same task, but for what is counted."""
        return cls(task.model, task.normals, task.train, task.test)

    def evaluate(self, params: Params) -> Metrics:
        """Return `Classification.evaluate`, with the spikes of whole runs."""
        decided = self._ending(params, until_decided=True)
        whole = self._ending(params, until_decided=False, t_stop=DURATION)
        return {
            **decided,
            "test_spikes": whole["test_spikes"],
            "test_spikes_until_decided": decided["test_spikes"],
        }

    def _ending(self, params: Params, **changes: Any) -> Metrics:
        model = replace(self.model, **changes)
        return Classification(model, self.normals, self.train, self.test).evaluate(params)


def by_spikes(exact: Classification[Classifier], settings: Callable[[int], Settings]) -> Contest:
    """Return the contest of Lee et al., Fig. 5: first output spikes against their counts and rates.

    On the clock the output neurons fire any number of times, as the others, to the end.
    """
    model = exact.model
    outputs = replace(model.neuron_of(model.layers[-1]), refractory=model.neuron.refractory)
    network = model.structure.replace(neurons={"out": outputs})
    clocked = {
        f"{name}, {loss} loss": ClockedTask(
            exact, network, DURATION, round(DURATION / TIME_STEP), derivative, loss
        )
        for name, derivative in _derivatives(("fast_sigmoid", "constant"))
        for loss in _LOSSES
    }
    return Contest(
        "Yin-Yang by spikes", "yin-yang-spikes",
        {f"{EXACT}, first spikes": CountedToTheEnd.of(exact), **clocked}, settings,
        sum(model.sizes[1:-1]), same_loss=False,
    )  # fmt: skip


_LOSSES: tuple[LossName, ...] = ("count", "rate")


def by_potentials(
    title: str,
    exact: Classification[ReadoutNetwork],
    n_steps: int,
    settings: Callable[[int], Settings],
) -> Contest:
    """Return a contest in which the loss is the same too: the cross-entropy of potentials."""
    network = exact.model.network(exact.initial(np.random.default_rng(0)))
    clocked = {
        name: ClockedTask(exact, network, exact.model.t_stop, n_steps, derivative)
        for name, derivative in _derivatives(DERIVATIVES)
    }
    folder = f"{title.lower()}-potentials"
    n_hidden = exact.model.sizes[1]
    return Contest(f"{title} by potentials", folder, {EXACT: exact, **clocked}, settings, n_hidden)


def _derivatives(kinds: Iterable[str]) -> list[tuple[str, SpikeDerivative]]:
    return [(NAMES[kind], DERIVATIVES[kind]) for kind in kinds]


def train(
    contest: Contest, seeds: Sequence[int], folder: Path, progress: Progress
) -> dict[str, list[TrainingState]]:
    """Train every method with every seed, or go on with it; return the states by method."""
    series = {
        name: Series(
            f"{contest.title}, {name}",
            folder / contest.folder / _file_name(name),
            partial(_same, task),
            contest.settings,
        )
        for name, task in contest.tasks.items()
    }
    return fit_series(series, seeds, progress=progress)


def _same(task: Task, seed: int) -> Task:  # noqa: ARG001
    """Return the task, which is the same for all seeds."""
    return task


def run_exactly(contest: Contest, states: Sequence[TrainingState]) -> list[float]:
    """Return the test accuracies of trained weights in the exact engine, whatever trained them."""
    return [contest.exact.evaluate(state.params)["test_accuracy"] for state in states]


def _file_name(method: str) -> str:
    return re.sub("[^a-z]+", "-", method).strip("-")


def seconds(history: Sequence[Mapping[str, float]]) -> list[float]:
    """Return the time that was spent on training by the end of each epoch.

    Examples
    --------
    >>> seconds([{"seconds": 0.0}, {"seconds": 2.0}, {"seconds": 3.0}])
    [0.0, 2.0, 5.0]
    """
    return list(accumulate(record["seconds"] for record in history))
