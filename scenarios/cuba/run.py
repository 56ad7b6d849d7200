"""The scenario cuba: what is run, and what is reported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from scenarios.cuba.beside import SIMULATORS, TOLERANCES
from scenarios.cuba.config import TRANSIENT, CubaOptions
from scenarios.cuba.measures import same_until
from scenarios.cuba.network import Drawn, draw, for_others, simulate, spikes_of
from scenarios.networks import beside
from scenarios.networks.recording import Recording, spread
from scenarios.running.checkpoint import Arrays, made_once
from scenarios.running.console.progress import Progress
from scenarios.running.report import Report, Row

__all__ = ["run"]

OURS = "eventsim"
SHOWN = 500.0  # ms of the raster


def run(config: CubaOptions, folder: Path, progress: Progress) -> Report:
    """Simulate the network, and have others do so; return the table and the pictures."""
    from scenarios.cuba.figures import activity, statistics

    drawn = draw(config)
    with progress.compiling():
        beginning, _ = simulate(drawn, config, SHOWN)
    whole = _recordings(config, drawn, folder, progress)
    late = {title: recording.after(TRANSIENT) for title, recording in whole.items()}
    return Report(
        title=f"CUBA (Brette et al. 2007), {config.neurons} neurons, {drawn.pre.size} synapses",
        rows=[*_rows(drawn, late), *_agreement(config, whole), *_speeds(whole)],
        notes=_notes(config),
        numbers={"simulators": {title: _numbers(drawn, one) for title, one in late.items()}},
        figures={"activity": activity(drawn, beginning), "statistics": statistics(drawn, late)},
    )


def _recordings(
    config: CubaOptions, drawn: Drawn, folder: Path, progress: Progress
) -> dict[str, Recording]:
    """Return what each simulator found, by its title; an earlier session's is not run again."""
    given = for_others(drawn, config)
    makers: dict[str, Callable[[], Arrays]] = {OURS: partial(_ours, drawn, config)}
    makers |= {name: partial(beside.simulate, SIMULATORS[name], given) for name in config.beside}
    found = {}
    with progress.named("CUBA", "simulator").task(len(makers)) as tell:
        for k, (name, make) in enumerate(makers.items()):
            arrays = made_once(folder / f"{name}.npz", make)
            title = OURS if name == OURS else SIMULATORS[name].title
            found[title] = Recording.of(arrays, config.neurons, config.time)
            tell(k + 1, {})
    return found


def _ours(drawn: Drawn, config: CubaOptions) -> Arrays:
    return spikes_of(*simulate(drawn, config, config.time), drawn)


def _rows(drawn: Drawn, recordings: Mapping[str, Recording]) -> Iterator[Row]:
    for title, recording in recordings.items():
        for name, part in drawn.parts.items():
            own = recording.of_neurons(part)
            yield Row(f"{title}: rate of {name} (Hz)", "–", spread(own.rates, 2))
            yield Row(f"{title}: CV of the intervals of {name}", "–", spread(own.cvs, 3))


def _agreement(config: CubaOptions, recordings: Mapping[str, Recording]) -> Iterator[Row]:
    for name in config.beside:
        other, tolerance = SIMULATORS[name], TOLERANCES[name]
        until = same_until(recordings[OURS], recordings[other.title], tolerance)
        what = f"{other.title}: the same spikes within {tolerance:g} ms"
        yield Row(what, "–", f"until {until:.1f} ms")


def _speeds(recordings: Mapping[str, Recording]) -> Iterator[Row]:
    for title, recording in recordings.items():
        speed = recording.duration / 1000.0 / recording.seconds
        yield Row(f"{title}: model seconds in a second of a processor", "–", f"{speed:.2g}")


def _notes(config: CubaOptions) -> list[str]:
    return [
        f"rates and CVs: mean ± standard deviation over neurons, from {TRANSIENT:g} ms on; CVs of "
        "neurons with five intervals or more",
        f"delay {config.delay:g} ms, engine {config.engine}; processor time of the run alone, on "
        "one thread, without building, compiling and loading",
    ]


def _numbers(drawn: Drawn, recording: Recording) -> dict[str, Any]:
    each = {name: recording.of_neurons(part) for name, part in drawn.parts.items()}
    return {
        name: {"rate": float(own.rates.mean()), "cv": own.cvs.tolist()}
        for name, own in each.items()
    }
