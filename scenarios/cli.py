"""The ``eventsim`` command."""

from __future__ import annotations

import os
import sys
import textwrap
import warnings
from collections.abc import Sequence
from dataclasses import field, make_dataclass
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

from scenarios.console.extras import MissingExtraError, require
from scenarios.datasets.sources import DownloadError
from scenarios.registry import SCENARIOS, Scenario, find

__all__ = ["COMMANDS", "main"]

COMMANDS = ("list", "info", "run", "resume", "help")
BAD_ARGUMENTS, INTERRUPTED = 2, 130  # exit codes
FOLDER_HELP = """Options of a run.

Attributes
----------
folder
    Where to write the run [runs/NAME-DATE-TIME].
"""
HELP = """\
eventsim: exact, event-driven simulation of spiking neural networks, with exact gradients.
This command runs published experiments and sets your numbers beside the published ones.

  eventsim list                  the experiments, one line each
  eventsim info NAME             what one of them does, and what was published
  eventsim info                  versions, CUDA devices, and a self-test of the engines
  eventsim run NAME [options]    run it; `eventsim run NAME --help` lists its options
  eventsim resume FOLDER         go on with a run that was interrupted, from where it was
  eventsim --version

A run shows its progress, ends with a table "published | this run", and leaves a folder under
runs/ with its configuration, metrics, weights and pictures.

A good first one:   eventsim run yin_yang
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code (0: success, 1: failure, 2: bad arguments)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(arguments)
    except (MissingExtraError, DownloadError, FloatingPointError) as error:
        return _fail(str(error), 1)
    except ValueError as error:
        return _fail(str(error), BAD_ARGUMENTS)


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("help", "-h", "--help"):
        print(HELP, end="")
        return 0
    if arguments[0] in ("-V", "--version"):
        print(f"eventsim {metadata.version('eventsim-snn')}")
        return 0
    command, rest = arguments[0], arguments[1:]
    if command not in COMMANDS:
        hint = f"; did you mean `eventsim run {command}`?" if command in SCENARIOS else ""
        raise ValueError(f"command must be one of {', '.join(COMMANDS)}, got {command!r}{hint}")
    return {"list": _list, "info": _info, "run": _run, "resume": _resume}[command](rest)


def _list(arguments: list[str]) -> int:
    if arguments:
        raise ValueError(f"`eventsim list` takes no arguments, got {' '.join(arguments)!r}")
    width = max(map(len, SCENARIOS))
    for scenario in SCENARIOS.values():
        print(f"{scenario.name:<{width}}  {scenario.summary}  ({scenario.source})")
    print("\nRun one with: eventsim run NAME")
    return 0


def _info(arguments: list[str]) -> int:
    if not arguments:
        from scenarios.console.system import report  # late: it compiles the engines

        print("\n".join(report()))
        return 0
    scenario = find(_one(arguments, "eventsim info NAME"))
    print(f"{scenario.name}: {scenario.summary}\nAfter {scenario.source}.\n")
    print(textwrap.dedent(scenario.module().__doc__ or "").strip())
    print(f"\nOptions: eventsim run {scenario.name} --help")
    return 0


def _run(arguments: list[str]) -> int:
    if arguments and arguments[0] in ("-h", "--help"):
        print(HELP, end="")
        return 0
    if not arguments or arguments[0].startswith("-"):
        raise ValueError(f"`eventsim run` needs a scenario first: {', '.join(SCENARIOS)}")
    scenario = find(arguments[0])
    _require_extras()
    config, folder = _parse(scenario, arguments[1:])
    from scenarios.console.runs import new_run

    with new_run(scenario, config, folder) as made:
        return _execute(scenario, config, made)


def _resume(arguments: list[str]) -> int:
    folder = Path(_one(arguments, "eventsim resume FOLDER"))
    _require_extras()
    from scenarios.console.runs import old_run

    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
        with old_run(folder) as (scenario, config):
            return _execute(scenario, config, folder)


def _parse(scenario: Scenario, arguments: list[str]) -> tuple[Any, Path | None]:
    """Return the configuration and the run folder that the options ask for."""
    import tyro

    kind: Any = scenario.module().Config
    fields: list[Any] = [
        ("config", Annotated[kind, tyro.conf.OmitArgPrefixes], field(default_factory=kind)),
        ("folder", Path | None, field(default=None)),
    ]
    options: Any = make_dataclass("Options", fields, namespace={"__doc__": FOLDER_HELP})
    parsed: Any = tyro.cli(
        options,
        args=arguments,
        prog=f"eventsim run {scenario.name}",
        description=f"{scenario.summary}, after {scenario.source}.",
    )
    return parsed.config, parsed.folder


def _execute(scenario: Scenario, config: Any, folder: Path) -> int:
    """Run a scenario in its folder, show its table and write its files."""
    from rich.console import Console

    from scenarios import report
    from scenarios.console.progress import ConsoleProgress
    from scenarios.learning.memory import keep_freed_memory

    keep_freed_memory()
    console = Console()
    console.print(
        f"{scenario.name}: {scenario.summary}; run folder {folder}", highlight=False, soft_wrap=True
    )
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_: console.print(f"warning: {message}")
            result = scenario.module().run(config, folder, ConsoleProgress(console, scenario.name))
    except KeyboardInterrupt:
        console.print(
            f"interrupted; go on with: eventsim resume {folder}", highlight=False, soft_wrap=True
        )
        return INTERRUPTED
    paths = report.write(result, folder)
    report.show(result, console)
    pictures = [str(path) for path in paths if path.suffix == ".png"]
    console.print("pictures: " + ", ".join(pictures), highlight=False, soft_wrap=True)
    console.print(
        f"everything on one page: {folder / 'report.html'}", highlight=False, soft_wrap=True
    )
    return 0


def _require_extras() -> None:
    require("scenarios", ("rich", "tyro", "matplotlib"), "running a scenario")


def _one(arguments: list[str], usage: str) -> str:
    if len(arguments) != 1:
        raise ValueError(f"usage: {usage}, got {len(arguments)} arguments instead of one")
    return arguments[0]


def _fail(message: str, code: int) -> int:
    print(f"eventsim: error: {message}", file=sys.stderr)
    if os.environ.get("EVENTSIM_TRACEBACK"):
        raise
    return code
