"""The scenario adaptation: what is run, and what is reported."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenarios.adaptation.config import AdaptationOptions
from scenarios.adaptation.fit import fit, problem
from scenarios.adaptation.network import cells
from scenarios.running.console.progress import Progress
from scenarios.running.report import Report, Row
from scenarios.running.training import replicate

__all__ = ["run"]

FOUND = 1e-6  # relative error of both values
Floats = NDArray[np.float64]


def run(config: AdaptationOptions, folder: Path, progress: Progress) -> Report:
    """Fit the two values from every start; return the table and the picture."""
    from scenarios.adaptation.figures import learnt

    whole = problem(config)
    with progress.compiling():
        fit(replace(config, duration=min(config.duration, 200.0)), config.seed)
    fits = replicate(
        range(config.seed, config.seed + config.starts),
        partial(fit, config),
        path=folder / "fits.jsonl",
        progress=progress.named("adaptation", "start"),
    )
    tau, strength = _best(fits)["path"][-1]
    return Report(
        title=f"Adaptation learnt from {whole.target.size} spikes",
        rows=_rows(config, fits),
        notes=[
            f"found: tau = {config.tau:g} ms and strength = {config.strength:g} mV/ms, both to "
            f"{FOUND:g}; starts are wrong by a factor of up to {config.factor:g}",
            "distance: root mean square of the differences of the spike times",
            *_lost(config, fits),
        ],
        numbers={"fits": list(fits), "target": whole.target.tolist()},
        weights={"tau": np.array(tau), "strength": np.array(strength)},
        network=cells(tau, strength, config.inputs),
        t_stop=config.duration,
        figures={"adaptation": learnt(config, whole, fits)},
    )


def relative_errors(config: AdaptationOptions, path: Sequence[Sequence[float]]) -> Floats:
    """Return the relative errors of both values after each step, (n_steps + 1, 2)."""
    return np.abs(np.array(path) / [config.tau, config.strength] - 1.0)


def _rows(config: AdaptationOptions, fits: Sequence[dict[str, Any]]) -> list[Row]:
    errors = [relative_errors(config, one["path"]).max(axis=1) for one in fits]
    found = [one for one in errors if one[-1] <= FOUND]
    steps = [int(np.argmax(one <= FOUND)) for one in found]
    at_once = [relative_errors(config, [one["at_once"]]).max() <= FOUND for one in fits]
    return [
        Row(f"starts from which both values are found to {FOUND:g}, spikes one by one", "–",
            f"{len(found)} of {len(fits)}"),
        Row("the same with all spikes at once", "–", f"{sum(at_once)} of {len(fits)}"),
        Row("steps, one by one: mean and largest", "–",
            f"{np.mean(steps):.1f}, {max(steps)}" if steps else "–"),
        Row("largest relative error of those found", "–",
            f"{max(one[-1] for one in found):.1g}" if found else "–"),
        Row("distance to the target (ms), median: at the start → in the end", "–",
            " → ".join(f"{_median(fits, k):.2g}" for k in (0, -1))),
    ]  # fmt: skip


def _median(fits: Iterable[dict[str, Any]], k: int) -> float:
    return float(np.median([one["distances"][k] for one in fits]))


def _best(fits: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return min(fits, key=lambda one: float(one["distances"][-1]))


def _lost(config: AdaptationOptions, fits: Sequence[dict[str, Any]]) -> list[str]:
    """Name the starts from which another minimum was found."""
    ends = {one["seed"]: relative_errors(config, one["path"])[-1].max() for one in fits}
    lost = [str(seed) for seed, error in ends.items() if error > FOUND]
    return [f"not found from the starts with the seeds {', '.join(lost[:10])}"] if lost else []
