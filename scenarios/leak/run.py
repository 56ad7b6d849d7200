"""The scenario leak: what is run, and what is reported."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from scenarios.datasets.colour_images import load_colour_images
from scenarios.leak.claims import Claim, ordered_by_leak
from scenarios.leak.config import LeakOptions
from scenarios.running.console.progress import Progress
from scenarios.running.report import Report, Row, percent, with_deviation
from scenarios.running.training import last, seconds_per_epoch

if TYPE_CHECKING:
    from scenarios.leak.study import Studied

__all__ = ["run"]

INF = math.inf
PUBLISHED = {  # Table 1; frequencies: §4.3, of CIFAR-10 alone
    "cifar10": {
        "accuracy": {30.0: "89.65 %", 100.0: "90.19 %", INF: "90.3 %"},
        "test_sse": {30.0: "2.93", 100.0: "3.45", INF: "3.83"},
        "sse": {30.0: "1.88", 100.0: "1.92", INF: "2.2"},
        "spikes": {30.0: "9.45 %", 100.0: "5.26 %", INF: "4.94 %"},
        "operations": {30.0: "1.59e+09", 100.0: "7.92e+08", INF: "7.18e+08"},
        "clean": {30.0: "0.255", 100.0: "0.317", INF: "0.345"},
        "noisy": {30.0: "0.298", 100.0: "0.33", INF: "0.35"},
    },
    "svhn": {
        "accuracy": {30.0: "96.12 %", 100.0: "96.32 %", INF: "96.32 %"},
        "test_sse": {30.0: "0.72", 100.0: "0.75", INF: "0.82"},
        "sse": {30.0: "1.26", 100.0: "1.4", INF: "1.6"},
        "spikes": {30.0: "14.07 %", 100.0: "12.09 %", INF: "11.85 %"},
        "operations": {30.0: "3.99e+09", 100.0: "3.88e+09", INF: "3.79e+09"},
    },
}
LAST_EPOCHS = 20 / 150  # of the training, over which SSE is averaged in Table 1


def run(config: LeakOptions, folder: Path, progress: Progress) -> Report:
    """Train and measure all networks, or go on with them; return the table and the pictures."""
    config.require()
    from scenarios.leak import study as leak_study  # late: it needs the extra

    parts = load_colour_images(config.data, config.data_dir)
    leak_study.check(config, parts)
    with progress.compiling():
        config = leak_study.settled(config, folder)
        leak_study.warm_up(config, parts)
    started = time.perf_counter()
    studied = leak_study.study(config, parts, folder, progress)
    return _report(config, studied, time.perf_counter() - started)


def _report(config: LeakOptions, studied: Sequence[Studied], seconds: float) -> Report:
    recipe = config.chosen
    known, claims = config.data in PUBLISHED, _claims(studied)
    return Report(
        title=f"Leak in spiking networks: {config.data}, {recipe.network}, {recipe.steps} steps",
        rows=[
            *(row for name in ROWS for row in _rows(config, name, studied)),
            *(_claim_row(config, name, claim) for name, claim in claims.items()),
            Row("networks of each leak", "3" if known else "–", f"{recipe.seeds}"),
            Row("epochs", "150" if known else "–", f"{recipe.epochs}"),
            Row("training time of one epoch", "–",
                f"{seconds_per_epoch(s for one in studied for s in one.states):.1f} s"),
        ],
        notes=_notes(config, seconds),
        numbers={
            "networks": {str(one.tau_m): _numbers(one) for one in studied},
            "claims": [_as_json(claim) for claim in claims.values()],
            "seconds": {"session": seconds},
            "computed": {"precision": config.precision, "device": config.device},
        },
        weights=studied[0].states[0].params,
        figures=_figures(config, studied),
    )  # fmt: skip


ROWS = {
    "accuracy": "test accuracy",
    "test_sse": "SSE per image, test",
    "sse": "SSE per image, training",
    "spikes": "spikes per neuron and step",
    "operations": "synaptic operations per image",
    "enwsi": "ENWSI, geometric mean of the hidden layers",
    "clean": "critical frequency of the target output",
    "noisy": "critical frequency with noise (Gaussian, 5)",
    "potential": "critical frequency of the target output's potential",
}


def _values(name: str, one: Studied) -> list[float]:
    """Return a quantity of the table for each seed."""
    if name == "accuracy":
        return last(one.states, "test_accuracy")
    if name in ("sse", "test_sse"):
        return [_late(state.history, name) for state in one.states]
    if name == "spikes":
        return [found.spikes for found in one.clean]
    if name == "operations":
        return [sum(found.operations.values()) for found in one.clean]
    if name == "enwsi":
        return [_geometric_mean(found.weighted_sums, found.activity) for found in one.clean]
    if name == "potential":
        return [_mean_known(found.critical_frequencies_of_potential) for found in one.clean]
    measures = one.noisy if name == "noisy" else one.clean
    return [_mean_known(found.critical_frequencies) for found in measures]


def _mean_known(values: Sequence[float]) -> float:
    """Return the mean of the values that are known; NaN if none is (no image has a signal)."""
    known = [value for value in values if not math.isnan(value)]
    return fmean(known) if known else math.nan


def _geometric_mean(values: Mapping[str, float], names: Iterable[str]) -> float:
    with np.errstate(divide="ignore"):  # of a layer that no spike reaches: 0
        return float(np.exp(np.mean([np.log(values[name]) for name in names])))


def _late(history: Sequence[dict[str, float]], name: str) -> float:
    """Return the mean over the last epochs, as many of all as in Table 1."""
    known = [record[name] for record in history if record["epoch"] > 0 and name in record]
    return float(np.mean(known[-max(1, round(LAST_EPOCHS * len(known))) :]))


def _rows(config: LeakOptions, name: str, studied: Sequence[Studied]) -> list[Row]:
    from scenarios.leak.study import title

    known = PUBLISHED.get(config.data, {}).get(name, {})
    return [
        Row(f"{title(one.tau_m)}: {ROWS[name]}", known.get(one.tau_m, "–"),
            _text(name, _values(name, one)))
        for one in studied
    ]  # fmt: skip


def _text(name: str, values: Sequence[float]) -> str:
    if any(math.isnan(value) for value in values):
        return "–"
    if name in ("accuracy", "spikes"):
        return percent(values, 2)
    return with_deviation(values, ".2e" if name == "operations" else ".3f")


def _claims(studied: Sequence[Studied]) -> dict[str, Claim]:
    """Test the claims of the publication, if there are leaks to compare."""
    from scenarios.leak.study import CONDITIONS

    if len(studied) < 2:
        return {}
    robustness = {"robustness, mean of the four": {one.tau_m: one.robustness() for one in studied}}
    for kind, scenario in CONDITIONS:
        robustness[f"robustness to {kind} noise, scenario {scenario}"] = {
            one.tau_m: one.robustness((kind, scenario)) for one in studied
        }
    tests = (
        ("spikes", True),
        ("operations", True),
        ("enwsi", True),
        ("clean", False),
        ("noisy", False),
        ("potential", False),
        ("test_sse", False),
        ("sse", False),
    )
    return {
        **{what: ordered_by_leak(what, values, rises=True) for what, values in robustness.items()},
        **{name: ordered_by_leak(ROWS[name], {one.tau_m: _values(name, one) for one in studied},
                                 rises=rises) for name, rises in tests},
    }  # fmt: skip


def _claim_row(config: LeakOptions, name: str, claim: Claim) -> Row:
    verb = "rises" if claim.rises else "falls"
    known = PUBLISHED.get(config.data, {})
    is_published = bool(known) and (name in known or name not in ("clean", "noisy", "potential"))
    return Row(f"{claim.what} {verb} with leak", "holds" if is_published else "–",
               f"{claim.verdict} ({_effect(name, claim)})")  # fmt: skip


def _effect(name: str, claim: Claim) -> str:
    """Return the effect with its margin, in the unit of the table."""
    if math.isnan(claim.effect):
        return "not all networks have one"
    scale, unit = (100.0, " points") if name == "spikes" else (1.0, "")
    margin = "" if claim.margin == INF else f" ± {scale * claim.margin:.3g}"
    return f"{scale * claim.effect:+.3g}{margin}{unit}"


def _notes(config: LeakOptions, seconds: float) -> list[str]:
    recipe = config.chosen
    tested = "all" if recipe.n_test is None else f"the first {recipe.n_test}"
    noisy = "all" if recipe.n_noisy is None else f"the first {recipe.n_noisy}"
    return [
        "accuracy after the last epoch, never the best epoch; ± is one standard deviation over "
        f"seeds; {tested} test images, {noisy} for noise, activity and spectra",
        "claims: in brackets the difference between the most and the least leak, ± half of its "
        "95 % interval over seeds (paired, Student); robustness is the mean accuracy over the "
        "severities divided by the clean one",
        "SSE is the sum over the ten outputs, mean over images, in training over the minibatches "
        "of the last epochs as they were learned; the publication does not say how "
        "it scales its own, so only the order can be compared",
        "critical frequencies are those of the weighted sums that reach the target output, if not "
        "of its potential; the publication does not say which of them its Fig. 5 shows",
        f"computed in {config.precision}; {seconds:.0f} s in this session",
    ]


def _numbers(one: Studied) -> dict[str, Any]:
    return {
        **{name: _values(name, one) for name in ROWS},
        "robustness": one.robustness(),
        "accuracies": [
            {f"{kind}, scenario {scenario}": values for (kind, scenario), values in found.items()}
            for found in one.accuracies
        ],
        "activity": [found.activity for found in one.clean],
        "weighted_sums": [found.weighted_sums for found in one.clean],
        "operations_by_layer": [found.operations for found in one.clean],
    }


def _as_json(claim: Claim) -> dict[str, Any]:
    margin = None if claim.margin == INF else claim.margin
    means = {str(tau): mean for tau, mean in claim.means.items()}
    return {"what": claim.what, "rises": claim.rises, "means": means, "effect": claim.effect,
            "margin": margin, "verdict": claim.verdict}  # fmt: skip


def _figures(config: LeakOptions, studied: Sequence[Studied]) -> dict[str, Any]:
    from scenarios.leak import figures as draw

    ordered = sorted(studied, key=lambda one: one.tau_m)
    return {
        "accuracy": draw.accuracy_curves(ordered, config.severities),
        "input_spectra": draw.input_spectra(ordered, config.chosen.steps),
        "target_spectra": draw.target_spectra(ordered, config.chosen.steps),
        "layers": draw.layers(ordered),
        "training": draw.training_curves(ordered),
    }
