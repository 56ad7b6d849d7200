"""The scenario microcircuit: what is run, and what is reported."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from scenarios.microcircuit import beside, chunks
from scenarios.microcircuit.beside import STEP
from scenarios.microcircuit.config import MicrocircuitOptions
from scenarios.microcircuit.measures import Trains, joined
from scenarios.microcircuit.model import FULL_RATES, POPULATIONS
from scenarios.microcircuit.network import build
from scenarios.running.checkpoint import Arrays, made_once
from scenarios.running.console.progress import Progress
from scenarios.running.report import Report, Row

__all__ = ["run"]

OURS, NEST = "this run", f"NEST, grid {STEP} ms"
SHOWN = 300.0  # ms of the raster
Found: TypeAlias = dict[str, Trains]  # by population


def run(config: MicrocircuitOptions, folder: Path, progress: Progress) -> Report:
    """Simulate the network, and have NEST do so; return the table and the pictures."""
    from scenarios.microcircuit.figures import raster, statistics

    shown = progress.named("microcircuit", "ms")
    chunks.run(partial(build, config), config.duration, config.threads, folder, shown)
    done = list(chunks.load(folder))
    ours = joined(done)
    spikes, costs = {OURS: ours}, {OURS: (_total(done, "seconds"), _most(done, "memory"))}
    if config.beside:
        nest = made_once(folder / "nest.npz", partial(_in_nest, config))
        spikes[NEST], costs[NEST] = nest, (float(nest["seconds"]), float(nest["memory"]))
    late = {title: _found(config, one, config.transient) for title, one in spikes.items()}
    beginning = max(config.duration - SHOWN, 0.0)
    return Report(
        title=f"Cortical microcircuit (Potjans & Diesmann 2014), scale {config.scale:g}: "
        f"{config.circuit.sizes.sum()} neurons, {config.circuit.synapses.sum()} synapses",
        rows=[*_rows(late), *_cost_rows(config, costs)],
        headings=("published", *spikes),
        notes=_notes(config),
        numbers={"simulators": {title: _numbers(found) for title, found in late.items()}},
        figures={
            "raster": raster(_found(config, ours, beginning), beginning),
            "statistics": statistics(late),
        },
    )


def _in_nest(config: MicrocircuitOptions) -> Arrays:
    return beside.simulate(
        partial(build, config),
        config.circuit,
        duration=config.duration,
        threads=config.threads,
        seed=config.seed,
    )


def _found(config: MicrocircuitOptions, spikes: Arrays, begin: float) -> Found:
    """Return the trains of each population from a time on."""
    parts = config.circuit.parts()
    return {name: Trains.of(spikes, part, begin, config.duration) for name, part in parts.items()}


def _total(done: list[Arrays], name: str) -> float:
    return float(sum(chunk[name] for chunk in done))


def _most(done: list[Arrays], name: str) -> float:
    return float(max(chunk[name] for chunk in done))


# --- the table ------------------------------------------------------------------------------------


def _rows(simulators: Mapping[str, Found]) -> Iterator[Row]:
    for name, published in zip(POPULATIONS, FULL_RATES.tolist(), strict=True):
        each = [found[name] for found in simulators.values()]
        rates = [f"{trains.rates.mean():.2f}" for trains in each]
        yield _row(f"{name}: rate (Hz)", f"{published:.2f}", rates)
        yield _row(f"{name}: CV of the intervals", "–", [_mean(t.cvs, 2) for t in each])
        yield _row(f"{name}: synchrony", "–", [_shown(t.synchrony, 2) for t in each])
        yield _row(f"{name}: correlation", "–", [_mean(t.correlations, 4) for t in each])


def _cost_rows(
    config: MicrocircuitOptions, costs: Mapping[str, tuple[float, float]]
) -> Iterator[Row]:
    seconds = [f"{1000.0 * spent / config.duration:.2f}" for spent, _ in costs.values()]
    yield _row("processor s per s of the model", "–", seconds)
    memory = [f"{most / 1e9:.2f}" for _, most in costs.values()]
    yield _row("memory at most (GB)", "–", memory)


def _row(what: str, published: str, cells: list[str]) -> Row:
    return Row(what, published, cells[0], cells[1:])


def _mean(values: Any, digits: int) -> str:
    return _shown(float(values.mean()), digits) if values.size else "–"


def _shown(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "–"


def _notes(config: MicrocircuitOptions) -> list[str]:
    notes = [
        "published: mean rates of the reference implementation at full scale",
        f"statistics from {config.transient:g} ms on; CV: mean over neurons with five intervals or "
        "more; synchrony: variance over mean of the spikes of 1000 neurons in 3 ms; correlation: "
        "mean over pairs of 200 neurons, spikes in 2 ms",
        f"threads: {config.threads}; processor time of the run alone, without building, compiling "
        "and arranging the synapses; memory of the whole process",
    ]
    if config.scale < 1.0:
        notes.append(
            f"scale {config.scale:g}: weights are {1.0 / math.sqrt(config.scale):.3g} times as "
            "large, and a direct current stands for the mean input that is missing; correlations "
            "are larger than at full scale"
        )
    return notes


def _numbers(found: Found) -> dict[str, Any]:
    return {
        name: {
            "rates": trains.rates.tolist(),
            "cvs": trains.cvs.tolist(),
            "correlation": float(np.mean(trains.correlations))
            if trains.correlations.size
            else None,
            "synchrony": trains.synchrony if math.isfinite(trains.synchrony) else None,
        }
        for name, trains in found.items()
    }
