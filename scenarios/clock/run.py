"""The scenario clock: what is run, and what is reported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scenarios.clock.config import N_MNIST, ClockOptions
from scenarios.running.console.progress import Progress
from scenarios.running.report import Report, Row, with_deviation
from scenarios.running.training import Params, fit, replicate

if TYPE_CHECKING:
    from scenarios.networks.feed_forward import Classification
    from scenarios.networks.readout import ReadoutNetwork

__all__ = ["run"]

Records = Sequence[Mapping[str, Any]]

TIME_STEPS = (0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
SMALL = 0.02  # steps from which on the order is fitted
KINDS = {"MNIST": "mnist", "Yin-Yang": "yin_yang"}


def run(config: ClockOptions, folder: Path, progress: Progress) -> Report:
    """Measure what has not been measured yet; return the table and the picture."""
    config.require()
    tasks = _tasks(config)
    spikes = _spikes(config, folder, progress)
    angles = {
        (name, stage): _angles(config, name, stage, task, weights, folder, progress)
        for name, task in tasks.items()
        for stage, weights in _stages(config, name, task, folder, progress).items()
    }
    return _report(config, spikes, angles)


def _tasks(config: ClockOptions) -> dict[str, Classification[ReadoutNetwork]]:
    from scenarios.compare.tasks import mnist_task, yin_yang_task

    hidden = {kind: config.chosen_for(kind).hidden for kind in KINDS.values()}
    return {
        "MNIST": mnist_task(hidden["mnist"], config.n_train or N_MNIST, config.data_dir),
        "Yin-Yang": yin_yang_task(hidden["yin_yang"], config.n_train),
    }


def _spikes(config: ClockOptions, folder: Path, progress: Progress) -> list[dict[str, Any]]:
    """Return the records of all random networks."""
    from scenarios.clock.spikes import measure

    runs = replicate(
        config.seeds,
        partial(measure, steps=TIME_STEPS),
        path=folder / "spikes.jsonl",
        progress=progress.named("spikes", "network"),
    )
    return [{"seed": one["seed"], **record} for one in runs for record in one["records"]]


def _stages(
    config: ClockOptions,
    name: str,
    task: Classification[ReadoutNetwork],
    folder: Path,
    progress: Progress,
) -> dict[str, Params]:
    """Return the weights at which gradients are compared."""
    state = fit(
        task, config.settings(KINDS[name]), folder=folder / _file_name(name),
        progress=progress.named(f"{name}, training with exact gradients"),
    )  # fmt: skip
    return {
        "initial weights": task.initial(np.random.default_rng(config.seed)),
        "after training": state.params,
    }


def _angles(
    config: ClockOptions,
    name: str,
    stage: str,
    task: Classification[ReadoutNetwork],
    weights: Params,
    folder: Path,
    progress: Progress,
) -> list[dict[str, Any]]:
    """Return what was measured with each minibatch."""
    from scenarios.clock.gradients import Angles, measure

    what = Angles(task, weights, config.steps, config.slope_steps, config.batch_size)
    return replicate(
        range(config.seed, config.seed + config.batches),
        partial(measure, what),
        path=folder / f"{_file_name(name)}-{_file_name(stage)}.jsonl",
        progress=progress.named(f"{name}, {stage}: gradients", "minibatch"),
    )


def _file_name(title: str) -> str:
    return title.lower().replace(" ", "-")


def _report(
    config: ClockOptions, spikes: Records, angles: Mapping[tuple[str, str], Records]
) -> Report:
    from scenarios.clock.figures import clock
    from scenarios.networks.clocked_task import DERIVATIVES

    scales = {name: derivative.scale for name, derivative in DERIVATIVES.items()}
    orders = _orders(spikes)
    return Report(
        title="Clocked spikes and surrogate gradients beside the exact ones",
        rows=[*_rows_of_spikes(spikes, orders), *_rows_of_angles(config, angles, scales)],
        notes=[
            "± is one standard deviation over random networks, or over minibatches",
            f"orders are fitted to the steps up to {SMALL:g}",
            "cosines are those of the gradients by the weights onto the hidden neurons, with "
            f"{config.slope_steps} steps: with the initial weights → after training",
        ],
        numbers={
            "orders": orders,
            "spikes": list(spikes),
            "angles": {f"{name}, {stage}": list(runs) for (name, stage), runs in angles.items()},
        },
        figures={"clock": clock(spikes, angles, config.slope_steps, scales)},
    )


def _rows_of_spikes(spikes: Records, orders: Mapping[str, list[float]]) -> Iterator[Row]:
    from scenarios.clock.figures import mean_and_spread, select

    for layer, some in orders.items():
        what = f"order of a spike time's error, layer {layer[-1]}"
        yield Row(what, "–", _with_spread(some, 2))
    deepest = select(spikes, layer=max(orders))
    for reset in ("zero", "subtract"):
        finest = select(deepest, reset=reset, time_step=TIME_STEPS[-1])
        what = f"delay of the spikes of layer 3, reset {reset!r}, in steps"
        yield Row(what, "–", _with_spread([one["steps_late"] for one in finest], 1))
    for step in TIME_STEPS[::3]:
        these = select(deepest, reset="zero", time_step=step)
        parts = (mean_and_spread(one[name] for one in these)[0] for name in ("missed", "invented"))
        both = ", ".join(f"{100 * part:.1f} %" for part in parts)
        yield Row(f"spikes of layer 3 missed, invented, step {step:g}", "–", both)


def _rows_of_angles(
    config: ClockOptions, angles: Mapping[tuple[str, str], Records], scales: Mapping[str, float]
) -> Iterator[Row]:
    from scenarios.clock.figures import LABELS, select

    for name in dict.fromkeys(name for name, _ in angles):
        stages = [runs for (its, _), runs in angles.items() if its == name]
        for kind, label in LABELS.items():
            wanted = {"kind": kind, "scale": scales[kind], "steps": config.slope_steps}
            values = [[select(run["records"], **wanted)[0] for run in runs] for runs in stages]
            yield Row(f"{name}: cosine, {label}", "–", _both(values))
        between = [[run["between"] for run in runs] for runs in stages]
        yield Row(f"{name}: cosine of two minibatches' exact gradients", "–", _both(between))
        clocks = f"{config.steps[0]}, {config.slope_steps} and {config.finest} steps"
        yield Row(f"{name}: loss, exact; with {clocks}", "–", _losses(config, stages))


def _orders(spikes: Records) -> dict[str, list[float]]:
    """Return the order of convergence of each layer of each network, with the hard reset."""
    from scenarios.clock.figures import select
    from scenarios.clock.spikes import LAYERS, order

    orders: dict[str, list[float]] = {layer: [] for layer in LAYERS}
    for layer in LAYERS:
        for seed in sorted({one["seed"] for one in spikes}):
            some = [
                one
                for one in select(spikes, layer=layer, reset="zero", seed=seed)
                if one["time_step"] <= SMALL and one["error"]
            ]
            if len(some) > 1:
                steps, errors = zip(
                    *((one["time_step"], one["error"]) for one in some), strict=True
                )
                orders[layer].append(order(steps, errors))
    return orders


def _losses(config: ClockOptions, stages: Sequence[Records]) -> str:
    """Return the mean loss of the minibatches, exact and on clocks, before and after training."""
    from scenarios.clock.figures import mean_and_spread, select

    def means(runs: Records) -> Iterator[float]:
        yield mean_and_spread(run["loss"] for run in runs)[0]
        for n_steps in (config.steps[0], config.slope_steps, config.finest):
            found = (select(run["records"], kind="fired", steps=n_steps)[0] for run in runs)
            yield mean_and_spread(one["loss"] for one in found)[0]

    return " → ".join(", ".join(f"{loss:.2f}" for loss in means(runs)) for runs in stages)


def _both(stages: Sequence[Records]) -> str:
    """Return the cosines before and after training."""
    return " → ".join(_with_spread([one["in->hidden"] for one in runs], 2) for runs in stages)


def _with_spread(values: Sequence[float | None], digits: int) -> str:
    """Return "mean ± standard deviation" of the known values (of one value: without deviation)."""
    known = [value for value in values if value is not None]
    return with_deviation(known, f".{digits}f") if known else "–"
