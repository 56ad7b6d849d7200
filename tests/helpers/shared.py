"""A scenario for workers: a few small trainings, and records that may warn, fail or kill.

Workers of Dask know of it if this module is preloaded: `dask_setup` puts it among the scenarios.
"""

import os
import signal
import time
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace

from gradients import SGD
from scenarios.running import report
from scenarios.running.options import Options
from scenarios.running.registry import SCENARIOS
from scenarios.running.training import Series, Settings, fit_series, replicate
from tests.helpers.lines import NoisyLine

NAME = "shared"
PRELOADED = {"distributed.worker.preload": [__name__]}


@dataclass(frozen=True)
class Config(Options):
    """What happens.

    Attributes
    ----------
    runs
        Number of networks of a kind, and of records.
    kills
        Whether the process that makes a record dies, the first time.
    fails
        Whether a record cannot be made.
    slow
        Seconds that a record takes.
    data
        A file with a number, looked for from where the command is run.
    """

    runs: int = 4
    kills: bool = False
    fails: bool = False
    slow: float = 0.0
    data: str | None = None


def run(config, folder, progress):
    """Train, then make records that need what was trained."""
    settings = Settings(3, 9, SGD(0.5, momentum=0.5))
    series = {
        name: Series(name, folder / name, lambda _: NoisyLine(),
                     lambda seed: Settings(3, 9, settings.optimizer, seed))
        for name in ("one", "two")
    }  # fmt: skip
    states = fit_series(series, range(config.runs), progress=progress)
    slopes = [float(state.params["slope"][0]) for state in states["two"]]
    records = replicate(
        range(config.runs),
        partial(record, config, folder, slopes),
        path=folder / "records.jsonl",
        progress=progress,
    )
    return report.Report(
        "shared", [], numbers={"records": records}, weights=states["one"][0].params
    )


def record(config, folder, slopes, number):
    if config.fails and number == 2:
        raise ValueError(f"number must not be 2, got {number}")
    if config.kills and number == 1 and not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(config.slow)
    warnings.warn("all are told this once", RuntimeWarning, stacklevel=1)
    offset = float(Path(config.data).read_text()) if config.data else 0.0
    return {"slope": slopes[number] + offset, "square": number**2}


def register():
    """Put it among the scenarios; return it."""
    SCENARIOS[NAME] = SimpleNamespace(
        name=NAME, summary="-", source="-", large=False, pieces=True,
        module=lambda: SimpleNamespace(run=run), options=lambda: Config,
    )  # fmt: skip
    return SCENARIOS[NAME]


def dask_setup(_):
    """Let a worker know of the scenario."""
    register()
