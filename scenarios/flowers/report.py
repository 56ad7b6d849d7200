"""The closing table of the scenario `flowers`, and the sentences below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scenarios.flowers.config import FlowersOptions
from scenarios.running.checkpoint import TrainingState
from scenarios.running.report import Row, percent, with_deviation
from scenarios.running.training import Metrics, seconds_per_epoch

__all__ = ["Kind", "best", "kind_title", "notes", "rows"]

PUBLISHED = {"1": "> 40 %", "2": "≈ 55 %"}
ADVANTAGE = {"1": "–", "2": "> 10 points"}
DENSITY = {"1": "–", "2": "falls"}


@dataclass(frozen=True, eq=False)
class Kind:
    """The networks of one kind, after training.

    Attributes
    ----------
    network : str
        "1" or "2".
    control : bool
        Whether the derivative of a spike was 0.
    states : list of TrainingState
        One for each seed.
    """

    network: str
    control: bool
    states: list[TrainingState]

    @property
    def title(self) -> str:
        """What the tables call it."""
        return kind_title(self.network, self.control)

    @property
    def best(self) -> list[Metrics]:
        """The record of each network's best epoch."""
        return [state.history[best(state.history)] for state in self.states]

    @property
    def last(self) -> list[Metrics]:
        """The record of each network's last epoch."""
        return [state.history[-1] for state in self.states]


def kind_title(network: str, control: bool) -> str:
    """Return what tables call the networks of a kind."""
    return f"network {network}, control" if control else f"network {network}"


def best(history: Sequence[Metrics]) -> int:
    """Return the first epoch of the highest test accuracy; every record must have one.

    Examples
    --------
    >>> best([{"test_accuracy": accuracy} for accuracy in (0.1, 0.4, 0.3, 0.4)])
    1
    """
    return max(range(len(history)), key=lambda epoch: history[epoch]["test_accuracy"])


def rows(config: FlowersOptions, kinds: Sequence[Kind]) -> list[Row]:
    """Return the closing table."""
    return [
        *(row for network in config.networks for row in _accuracies(network, kinds)),
        *(row for kind in kinds if not kind.control for row in _units(kind)),
        *(Row(f"{kind.title}: best and last epoch", "–", _epochs(kind)) for kind in kinds),
        *(Row(f"{kind.title}: training time of an epoch", "–",
              f"{seconds_per_epoch(kind.states):.2f} s") for kind in kinds if not kind.control),
        Row("networks of each kind", "–", f"{config.chosen.seeds}"),
    ]  # fmt: skip


def notes(config: FlowersOptions, kinds: Sequence[Kind]) -> list[str]:
    """Return what must be known to read the table."""
    return [
        "accuracy: probability of the correct label of a test image, averaged over the time steps, "
        "as published; arg max right: how often the class that is most probable on that average is "
        "the correct one; ± is one standard deviation over the networks",
        "best epoch: the one of the highest test accuracy, as published; it is chosen by the test "
        "images themselves",
        *_otherwise(config),
        *_unfinished(config, kinds),
    ]


def _of(records: Sequence[Metrics], name: str) -> list[float]:
    return [record[name] for record in records]


def _accuracies(network: str, kinds: Sequence[Kind]) -> list[Row]:
    """Return the rows of a network and its control, and by how much the control is worse."""
    rows = []
    chosen = [kind for kind in kinds if kind.network == network]
    for kind in chosen:
        published = "–" if kind.control else PUBLISHED[network]
        rows += [
            Row(f"{kind.title}: accuracy, best epoch", published,
                percent(_of(kind.best, "test_accuracy"))),
            Row(f"{kind.title}: accuracy, last epoch", "–",
                percent(_of(kind.last, "test_accuracy"))),
            Row(f"{kind.title}: arg max right, best epoch", "–",
                percent(_of(kind.best, "test_argmax"))),
        ]  # fmt: skip
    if len(chosen) > 1:
        trained, control = (_of(kind.best, "test_accuracy") for kind in chosen)
        ahead = [100.0 * (a - b) for a, b in zip(trained, control, strict=True)]
        rows.append(Row(f"network {network}: ahead of its control", ADVANTAGE[network],
                        with_deviation(ahead, ".1f") + " points"))  # fmt: skip
    return rows


def _units(kind: Kind) -> list[Row]:
    """Return what training made of the LIF units."""
    before = np.mean([state.history[0]["test_spikes"] for state in kind.states])
    after = np.mean(_of(kind.last, "test_spikes"))
    rows = [Row(f"{kind.title}: spikes a unit and step, before → after",
                DENSITY[kind.network], f"{before:.3f} → {after:.3f}")]  # fmt: skip
    whose = "red, green, blue" if kind.network == "1" else "the units, on average"
    for name in ("w_input", "w_leak"):
        weights = np.stack([state.params[f"lif.{name}"] for state in kind.states])
        values = weights.mean(axis=(0, 2) if kind.network == "1" else None)
        text = ", ".join(f"{value:.2f}" for value in np.atleast_1d(values))
        rows.append(Row(f"{kind.title}: {name} of {whose}", "–", text))
    return rows


def _epochs(kind: Kind) -> str:
    pairs = zip(_of(kind.best, "epoch"), _of(kind.last, "epoch"), strict=True)
    return ", ".join(f"{best:.0f} of {last:.0f}" for best, last in pairs)


def _otherwise(config: FlowersOptions) -> list[str]:
    """Say what differs from the publication besides the size of the images."""
    notes = []
    if any(
        config.recipe(network).shift or config.recipe(network).flip for network in config.networks
    ):
        notes.append(
            "training images are mirrored or moved at random, those of the publication were not"
        )
    if config.derivative != "constant":
        notes.append(f"derivative of a spike: {config.derivative}, in the publication 1")
    return notes


def _unfinished(config: FlowersOptions, kinds: Sequence[Kind]) -> list[str]:
    """Name the kinds whose accuracy might still have risen: they ran out of epochs."""
    cut = [
        kind.title
        for kind in kinds
        if any(last["epoch"] - best["epoch"] < config.patience
               for best, last in zip(kind.best, kind.last, strict=True))
    ]  # fmt: skip
    return [f"ended by the limit of {config.chosen.epochs} epochs, not by early stopping: "
            f"{'; '.join(cut)}"] if cut else []  # fmt: skip
