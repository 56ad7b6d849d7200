"""The scenario microcircuit: what is run, and what is reported."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from scenarios.microcircuit.config import MicrocircuitOptions
from scenarios.microcircuit.measures import correlations, synchrony
from scenarios.microcircuit.model import FULL_RATES, POPULATIONS
from scenarios.microcircuit.network import build, for_nest
from scenarios.networks import beside
from scenarios.networks.recording import Recording
from scenarios.networks.streamed import Streamed
from scenarios.running.checkpoint import Arrays, made_once
from scenarios.running.console.progress import Progress
from scenarios.running.report import Report, Row

__all__ = ["run"]

OURS = "this run"
CHUNK = 100.0  # ms
SHOWN = 300.0  # ms of the raster
Found: TypeAlias = dict[str, Recording]  # by population


def run(config: MicrocircuitOptions, folder: Path, progress: Progress) -> Report:
    """Simulate the network, and have NEST do so; return the table and the pictures."""
    from scenarios.microcircuit.figures import raster, statistics

    network = partial(build, config)
    streamed = Streamed(network, config.duration, CHUNK, folder, config.threads)
    spikes = {OURS: streamed.run(progress.named("microcircuit", "ms"))}
    if config.beside:
        spikes[config.nest.title] = made_once(folder / "nest.npz", partial(_in_nest, config))
    late = {title: _found(config, one, config.transient) for title, one in spikes.items()}
    beginning = max(config.duration - SHOWN, 0.0)
    return Report(
        title=f"Cortical microcircuit (Potjans & Diesmann 2014), scale {config.scale:g}: "
        f"{config.circuit.sizes.sum()} neurons, {config.circuit.synapses.sum()} synapses",
        rows=[*_rows(late), *_cost_rows(config, spikes)],
        headings=("published", *spikes),
        notes=_notes(config),
        numbers={"simulators": {title: _numbers(found) for title, found in late.items()}},
        figures={
            "raster": raster(_found(config, spikes[OURS], beginning), beginning),
            "statistics": statistics(late),
        },
    )


def _in_nest(config: MicrocircuitOptions) -> Arrays:
    given = for_nest(config)
    return beside.simulate(config.nest, next(given), given)


def _found(config: MicrocircuitOptions, spikes: Arrays, begin: float) -> Found:
    """Return what each population does from a time on."""
    n = int(config.circuit.sizes.sum())
    late = Recording.of(spikes, n, config.duration).after(begin)
    return {name: late.of_neurons(part) for name, part in config.circuit.parts().items()}


# --- the table ------------------------------------------------------------------------------------


def _rows(simulators: Mapping[str, Found]) -> Iterator[Row]:
    for name, published in zip(POPULATIONS, FULL_RATES.tolist(), strict=True):
        each = [found[name] for found in simulators.values()]
        rates = [f"{one.rates.mean():.2f}" for one in each]
        yield _row(f"{name}: rate (Hz)", f"{published:.2f}", rates)
        yield _row(f"{name}: CV of the intervals", "–", [_mean(one.cvs, 2) for one in each])
        yield _row(f"{name}: synchrony", "–", [_shown(synchrony(one), 2) for one in each])
        yield _row(f"{name}: correlation", "–", [_mean(correlations(one), 4) for one in each])


def _cost_rows(config: MicrocircuitOptions, spikes: Mapping[str, Arrays]) -> Iterator[Row]:
    each = spikes.values()
    seconds = [f"{1000.0 * float(one['seconds']) / config.duration:.2f}" for one in each]
    yield _row("processor s per s of the model", "–", seconds)
    memory = [f"{float(one['memory']) / 1e9:.2f}" for one in each]
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
            "rates": one.rates.tolist(),
            "cvs": one.cvs.tolist(),
            "correlation": float(pairs.mean()) if (pairs := correlations(one)).size else None,
            "synchrony": value if math.isfinite(value := synchrony(one)) else None,
        }
        for name, one in found.items()
    }
