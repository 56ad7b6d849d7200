"""The scenario brunel: what is run, and what is reported."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from scenarios.brunel.config import SIMULATORS, TRANSIENT, BrunelOptions
from scenarios.brunel.measures import frequency, independent, synchrony
from scenarios.brunel.network import REGIMES, Brunel
from scenarios.networks import beside
from scenarios.networks.recording import Recording, spread
from scenarios.networks.streamed import Streamed
from scenarios.running.checkpoint import made_once
from scenarios.running.console.progress import Progress
from scenarios.running.pieces import do_elsewhere
from scenarios.running.report import Report, Row

__all__ = ["run"]

OURS = "eventsim"
CHUNK = 50.0  # ms
NONE = "–"


@dataclass(frozen=True, eq=False)
class Found:
    """What a simulator found in one regime.

    Attributes
    ----------
    recording : Recording
        Without the transient.
    cost : float
        Processor seconds in a second of the model, the transient included.
    """

    recording: Recording
    cost: float


def run(config: BrunelOptions, folder: Path, progress: Progress) -> Report:
    """Simulate each regime, and have NEST do so; return the table and the pictures."""
    from scenarios.brunel.figures import activity, statistics

    chosen = config.chosen
    regimes = {
        folder / name: partial(_found, name, chosen, folder / name, progress)
        for name in chosen.regimes
    }
    do_elsewhere(regimes, progress.named("Brunel", "regime"))
    runs: dict[str, dict[str, Found]] = {
        name: _found(name, chosen, folder / name, progress.named(name, "ms"))
        for name in chosen.regimes
    }
    recordings: dict[str, dict[str, Recording]] = {
        name: {title: one.recording for title, one in found.items()} for name, found in runs.items()
    }
    sizes = _network(chosen.regimes[0], chosen).sizes
    others = [SIMULATORS[chosen.model].title for _ in chosen.beside]
    return Report(
        title=f"Brunel 2000, Fig. 8: {sizes['E']} + {sizes['I']} neurons",
        rows=[row for name in runs for row in _rows(name, runs[name], [OURS, *others])],
        notes=_notes(chosen),
        numbers={"regimes": {name: _numbers(found) for name, found in runs.items()}},
        figures={
            "activity": activity({name: found[OURS] for name, found in recordings.items()}, sizes),
            "statistics": statistics(recordings),
        },
        headings=("published", "this run", *others),
    )


def _network(name: str, config: BrunelOptions) -> Brunel:
    assert config.scale is not None, config
    return Brunel(REGIMES[name], config.scale, config.model, config.seed)


def _found(name: str, config: BrunelOptions, folder: Path, progress: Progress) -> dict[str, Found]:
    """Return what each simulator finds in a regime; what is on the disk is not run again."""
    assert config.duration is not None, config
    t_stop = TRANSIENT + config.duration
    network = _network(name, config)
    streamed = Streamed(lambda: (network.build(), {}), t_stop, CHUNK, folder, config.threads)
    found = {OURS: streamed.run(progress)}
    if config.beside:
        nest = SIMULATORS[config.model]
        with progress.named(f"{name}, {nest.title}", "run").task(1) as tell:
            found[nest.title] = made_once(
                folder / "nest.npz", lambda: beside.simulate(nest, network.for_nest(t_stop))
            )
            tell(1, {})
    n = sum(network.sizes.values())
    return {
        title: Found(
            Recording.of(arrays, n, t_stop).after(TRANSIENT),
            1000.0 * float(arrays["seconds"]) / t_stop,
        )
        for title, arrays in found.items()
    }


def _rows(name: str, found: Mapping[str, Found], titles: list[str]) -> Iterator[Row]:
    regime = REGIMES[name]
    published = {
        "rate (Hz)": f"{regime.rate:.1f}" if regime.published else NONE,
        "oscillation (Hz)": NONE if regime.oscillation is None else f"{regime.oscillation:.0f}",
    }
    for what, words in MEASURES.items():
        cells = [words(found[title]) for title in titles]
        yield Row(f"{name}: {what}", published.get(what, NONE), cells[0], cells[1:])


def _rates(found: Found) -> str:
    return spread(found.recording.rates, 1)


def _cv(found: Found) -> str:
    return spread(found.recording.cvs, 2)


def _synchrony(found: Found) -> str:
    value, alone = synchrony(found.recording), independent(found.recording)
    return NONE if math.isnan(value) else f"{value:.2f} ({alone:.2f})"


def _frequency(found: Found) -> str:
    value = frequency(found.recording)
    return NONE if math.isnan(value) else f"{value:.0f}"


MEASURES: dict[str, Callable[[Found], str]] = {
    "rate (Hz)": _rates,
    "CV of the intervals": _cv,
    "synchrony (Poisson)": _synchrony,
    "oscillation (Hz)": _frequency,
    "cost (s / s)": lambda found: f"{found.cost:.1f}",
}


def _notes(config: BrunelOptions) -> list[str]:
    assert config.scale is not None, config
    notes = [
        f"from {TRANSIENT:g} ms on; rates and CVs: mean ± standard deviation over neurons, CVs of "
        "those with five intervals or more",
        "synchrony: coefficient of variation of the population's rate in bins of 1 ms (of as many "
        "independent Poisson processes); oscillation: where its spectrum is highest, however low",
        "cost: processor seconds, of all threads, in a second of the model, without building, "
        "compiling and arranging the synapses",
    ]
    if config.model == "exp":
        notes.append("model exp: currents of 0.5 ms; what is published is that of the model delta")
    if config.scale < 1.0:
        notes.append(
            f"scale {config.scale:g}: synapses are {1.0 / math.sqrt(config.scale):.2f} times as "
            "strong, and a constant current makes up for the mean input that this lacks at the "
            "full network's rates; these remain, but feedback is weaker and noise is shared by "
            "more neurons: synchrony and oscillations are not those of scale 1, the published ones"
        )
    return notes


def _numbers(found: Mapping[str, Found]) -> dict[str, Any]:
    return {
        title: {
            "rate": float(one.recording.rates.mean()),
            "cv": float(one.recording.cvs.mean()) if one.recording.cvs.size else None,
            "synchrony": _or_none(synchrony(one.recording)),
            "oscillation": _or_none(frequency(one.recording)),
            "processor_seconds": one.cost,
        }
        for title, one in found.items()
    }


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
