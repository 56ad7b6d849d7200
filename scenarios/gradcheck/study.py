"""The exact gradient of a random network, and the differences beside it, parameter by parameter."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenarios.gradcheck.config import GradcheckOptions
from scenarios.gradcheck.differences import Best, TimesAndPotentials, best, central_differences
from scenarios.gradcheck.network import Place, Setup, leaves, title, tree_of
from scenarios.running.console.progress import SILENT, Progress
from scenarios.running.training import replicate

__all__ = ["Check", "Study", "study"]

Floats = NDArray[np.float64]

MARGIN = 2.0  # how far beyond its own estimate a difference may be off


@dataclass(frozen=True, eq=False)
class Check:
    """The derivatives by some entries of one parameter.

    Attributes
    ----------
    title : str
        The parameter.
    size : int
        Number of its entries.
    entries : list of int
        Which ones are checked, numbered row by row.
    exact : (n_entries,) ndarray
        Exact derivatives.
    slopes : (n_entries, n_steps) ndarray
        Central differences; NaN where a spike appears or vanishes.
    resolution : float
        Of the loss.
    """

    title: str
    size: int
    entries: list[int]
    exact: Floats
    slopes: Floats
    resolution: float

    @cached_property
    def found(self) -> list[Best]:
        """The best difference by each entry."""
        return [best(slopes, self.resolution) for slopes in self.slopes]

    @property
    def off(self) -> Floats:
        """By how much exact derivatives and differences differ; NaN: no difference is known."""
        return np.abs(self.exact - [one.slope for one in self.found])

    @property
    def scale(self) -> float:
        """The largest exact derivative, to which errors are relative; 1 if all are 0."""
        return float(np.abs(self.exact).max()) or 1.0

    @property
    def worst(self) -> int:
        """Which of the entries is the one at which exact derivative and difference differ most."""
        return int(np.argmax(np.nan_to_num(self.off)))

    @property
    def wrong(self) -> list[int]:
        """Which entries are those at which they differ by more than the difference can be off."""
        allowed = [MARGIN * one.error for one in self.found]
        return np.flatnonzero(self.off > allowed).tolist()

    @property
    def n_unknown(self) -> int:
        """Number of entries by which no difference is known."""
        return int(np.isnan(self.off).sum())


@dataclass(frozen=True, eq=False)
class Study:
    """All checks of a network.

    Attributes
    ----------
    checks : list of Check
        One for each parameter.
    n_spikes : int
        Spikes of the run.
    min_slope : float
        The smallest dV/dt at a spike.
    """

    checks: list[Check]
    n_spikes: int
    min_slope: float


def study(
    config: GradcheckOptions, folder: Path | None = None, progress: Progress = SILENT
) -> Study:
    """Differentiate a random network in both ways.

    Differences that are in ``folder`` already are not made again.
    """
    setup = Setup.random(config)
    with progress.compiling():
        result = setup.run()
        loss = TimesAndPotentials.random(result, np.random.default_rng([config.seed, 1]))
        gradient = loss.gradient(result)
    values = dict(leaves(setup.tree))
    chosen = _chosen(values, config)
    places = list(values)

    def differences(number: int) -> dict[str, Any]:
        place = places[number]
        return {"slopes": [_slopes(setup, loss, place, entry).tolist() for entry in chosen[place]]}

    records = replicate(  # a record is numbered as its parameter
        range(len(places)),
        differences,
        path=folder / "differences.jsonl" if folder else None,
        progress=progress.named("central differences", "parameter"),
    )
    exact = dict(leaves(tree_of(gradient)))
    checks = [
        Check(
            title(place),
            values[place].size,
            chosen[place],
            exact[place].ravel()[chosen[place]],
            np.array(record["slopes"]),
            loss.resolution(result),
        )
        for place, record in zip(places, records, strict=True)
    ]
    return Study(checks, int(loss.counts.sum()), gradient.min_slope)


def _chosen(values: dict[Place, Floats], config: GradcheckOptions) -> dict[Place, list[int]]:
    """Return some entries of each parameter."""
    rng = np.random.default_rng([config.seed, 2])
    return {
        place: np.sort(rng.permutation(array.size)[: config.entries]).tolist()
        for place, array in values.items()
    }


def _slopes(setup: Setup, loss: TimesAndPotentials, place: Place, entry: int) -> Floats:
    """Return the central differences by one entry of a parameter."""
    values = dict(leaves(setup.tree))[place]

    def at(value: float) -> float:
        changed = values.copy()
        changed.flat[entry] = value
        return loss(setup.moved(place, changed).run())

    return central_differences(at, float(values.flat[entry]))
