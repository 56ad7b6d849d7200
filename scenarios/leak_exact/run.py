"""The scenario leak_exact: what is run, and what is reported."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from scenarios.leak_exact.config import LeakExactOptions
from scenarios.leak_exact.noise import NOISES
from scenarios.leak_exact.study import Kind, Study, study
from scenarios.running.console.progress import Progress
from scenarios.running.report import Report, Row, percent, with_deviation
from scenarios.running.stopwatch import session_note

__all__ = ["rows", "run", "study"]

VARIED = {"both": "tau_I = 2 tau_V", "membrane": "tau_I = 1.6", "current": "tau_V = 0.8"}
CLAIM = "leak protects"  # Fig. 3 of the paper: clocked networks, rate code, CIFAR-10 and SVHN


def run(config: LeakExactOptions, folder: Path, progress: Progress) -> Report:
    """Return the table and the pictures of the study."""
    from scenarios.leak_exact.figures import figure
    from scenarios.running.figures import Curve, learning_curves

    results = study(config, folder, progress)
    curves = [Curve(kind.title, [s.history for s in kind.states]) for kind in results.kinds]
    readout = config.readout(config.chosen.taus[0])
    return Report(
        title=f"Leak and noise on MNIST, 784-{readout.hidden}-10, exact gradients, "
        f"{VARIED[config.vary]}",
        rows=[
            *rows(results),
            Row("networks of each time constant", "3", f"{config.chosen.seeds}"),
            Row("epochs", "150", f"{readout.epochs}"),
        ],
        notes=[
            "published: Chowdhury, Lee & Roy, clocked networks with surrogate gradients on "
            "CIFAR-10 and SVHN; what is comparable is the direction of an effect",
            "lost: accuracy without noise minus that with it, mean over eight severities; pp: "
            "percentage points; ± is one standard deviation over networks; brackets: 95 % interval",
            "rank correlation: Kendall's tau over all networks; negative: more leak, less lost",
            session_note(results.seconds, dict(results.parts)),
        ],
        numbers=_numbers(results),
        weights=results.kinds[0].states[0].params,
        network=results.network,
        t_stop=results.t_stop,
        figures={"noise": figure(results), "training": learning_curves(curves)},
    )


def rows(results: Study) -> list[Row]:
    """Return the table."""
    return [*(row for kind in results.kinds for row in _of_kind(kind)), *_of_all(results)]


def _of_kind(kind: Kind) -> list[Row]:
    lost = {name: 100.0 * kind.lost(name) for name in NOISES}
    return [
        Row(f"{kind.title}: test accuracy without noise", "–", percent(kind.clean.tolist())),
        Row(f"{kind.title}: spikes per hidden neuron", "–",
            with_deviation(kind.spikes.tolist(), ".2f")),
        *(Row(f"{kind.title}: lost by {NOISES[name].title}", "–",
              with_deviation(values.tolist(), ".1f") + " pp")
          for name, values in lost.items()),
    ]  # fmt: skip


def _of_all(results: Study) -> Iterator[Row]:
    first, final = results.kinds[0].title, results.kinds[-1].title
    falling = bool(np.all(np.diff([kind.spikes.mean() for kind in results.kinds]) < 0.0))
    yield Row("spikes per hidden neuron rise with every step to more leak", "yes", _says(falling))
    for name, effect in results.effects.items():
        title = NOISES[name].title
        span = f"[{_points(effect.low)}, {_points(effect.high)}]"
        best = min(results.kinds, key=lambda kind: float(kind.lost(name).mean()))
        yield Row(f"{title}: lost at {final} minus lost at {first}", CLAIM,
                  f"{_points(effect.saved)} {span} pp")  # fmt: skip
        yield Row(f"{title}: rank correlation of leak and loss", CLAIM,
                  f"{effect.rank:+.2f} (p = {effect.p_value:.1g})")  # fmt: skip
        yield Row(f"{title}: loss falls with every step to more leak", "yes", _says(effect.ordered))
        yield Row(f"{title}: least is lost at", first, best.title)


def _says(holds: bool) -> str:
    return "yes" if holds else "no"


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"


def _numbers(results: Study) -> dict[str, Any]:
    return {
        "networks": {
            kind.title: {
                "accuracy": kind.clean.tolist(),
                "spikes": kind.spikes.tolist(),
                "noisy": {name: values.tolist() for name, values in kind.noisy.items()},
            }
            for kind in results.kinds
        },
        "severities": {name: list(noise.severities) for name, noise in NOISES.items()},
        "effects": {name: vars(effect) for name, effect in results.effects.items()},
    }
