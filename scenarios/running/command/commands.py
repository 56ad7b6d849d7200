"""What the commands do: each takes its arguments and returns an exit code."""

from __future__ import annotations

import difflib
import inspect
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import field, fields, make_dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from scenarios.extras import require
from scenarios.running.command.interrupts import ends_as_interrupt
from scenarios.running.console.terminal import visible
from scenarios.running.options import Option, Range, flag, options_of
from scenarios.running.registry import SCENARIOS, Scenario, find

if TYPE_CHECKING:
    from scenarios.running.pieces import Crew

__all__ = ["COMMANDS", "dispatch"]

HELP = """\
eventsim: exact, event-driven simulation of spiking neural networks, with exact gradients.
This command runs published experiments and sets your numbers beside the published ones.

  eventsim list                  the experiments, one line each
  eventsim info NAME             what one of them does, and what was published
  eventsim info                  versions, CUDA devices, and a self-test of the engines
  eventsim run NAME [options]    run it; `eventsim run NAME --help` lists its options
  eventsim resume FOLDER         go on with a run that was interrupted, from where it was
  ... --workers N                let N processes share its networks: the same numbers, sooner
  eventsim help COMMAND          how a command is used
  eventsim --version

`eventsim NAME` is `eventsim run NAME`, and `python -m scenarios` is `eventsim`.
A run shows its progress, ends with a table "published | this run", and leaves a folder under
runs/ with its configuration, metrics, weights and pictures.
An error is one line; with EVENTSIM_TRACEBACK=1 in the environment it shows where it came from.

A good first one:   eventsim run yin_yang
"""
USAGE = {
    "list": "usage: eventsim list\n\nList the experiments, one line each.\n",
    "info": "usage: eventsim info [NAME]\n\nSay what an experiment does, and what was published; "
    "without NAME: versions,\nCUDA devices, and a self-test of the engines.\n",
    "run": HELP,
    "resume": "usage: eventsim resume FOLDER [--workers N | --scheduler ADDRESS [--wait SECONDS]]"
    "\n\nGo on with a run that was interrupted, from where it was.  Its settings stay; workers may "
    "be others,\nsee `eventsim run NAME --help`.\n",
    "help": HELP,
}
HELP_WORDS = ("-h", "--help")
FOLDER = Option(str, optional=True, help="Where to write the run.", unset="runs/NAME-DATE-TIME")
CREW = {  # who does the work, which changes no number: no part of the configuration
    "workers": Option(
        int,
        optional=True,
        range=Range(1, 1000),
        help="How many processes of this machine share the networks, replicates and sweeps of the "
        "run: the same numbers, sooner.",
        unset="none",
    ),
    "scheduler": Option(
        str,
        optional=True,
        help='In the place of --workers: the address of a Dask scheduler, "tcp://HOST:8786", whose '
        "workers share the run (docs/clusters.md).",
        unset="none",
    ),
    "wait": Option(
        float,
        optional=True,
        range=Range(1.0, 1e6),
        help="With --scheduler: for how many seconds there may be no worker.",
        unset="60",
    ),
}
METAVARS = {bool: "{True,False}", int: "INT", float: "FLOAT", str: "TEXT"}


def dispatch(arguments: Sequence[str]) -> int:
    """Carry a command out.

    Raises
    ------
    ValueError
        If there is no such command, or its arguments are wrong.
    """
    if not arguments or arguments[0] in HELP_WORDS:
        print(HELP, end="")
        return 0
    command, *rest = arguments
    if command in ("-V", "--version"):
        _none(rest, command)
        print(f"eventsim {metadata.version('eventsim-snn')}")
        return 0
    if command in SCENARIOS:
        return _run(arguments)
    if command not in COMMANDS:
        near = difflib.get_close_matches(command.replace("-", "_"), [*COMMANDS, *SCENARIOS], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"command must be one of {', '.join(COMMANDS)}, or a scenario: one of "
            f"{', '.join(SCENARIOS)}, got {command!r}{hint}"
        )
    if rest and rest[0] in HELP_WORDS:
        print(USAGE[command], end="")
        return 0
    return COMMANDS[command](rest)


def _help(arguments: Sequence[str]) -> int:
    return dispatch([*arguments, "--help"])


def _list(arguments: Sequence[str]) -> int:
    _none(arguments, "list")
    width = max(map(len, SCENARIOS))
    for scenario in SCENARIOS.values():
        print(f"{scenario.name:<{width}}  {scenario.summary}  ({scenario.source})")
    print("\nRun one with: eventsim run NAME")
    return 0


def _info(arguments: Sequence[str]) -> int:
    if not arguments:
        from scenarios.running.command.system import report  # late: it compiles the engines

        print("\n".join(report()))
        return 0
    scenario = find(_one(arguments, "eventsim info NAME"))
    print(f"{scenario.name}: {scenario.summary}\nAfter {scenario.source}.\n")
    print(scenario.about())
    print(f"\nOptions: eventsim run {scenario.name} --help")
    return 0


def _run(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0].startswith("-"):
        raise ValueError(f"`eventsim run` needs a scenario first: {', '.join(SCENARIOS)}")
    scenario = find(arguments[0])
    _require_extras()
    options = _parse(scenario, arguments[1:])
    chosen = options.pop("folder")
    helpers = {name: options.pop(name) for name in CREW}
    config = scenario.options()(**options)
    config.require()
    from scenarios.running.command.runs import new_run  # late: slow to import

    with (
        _crew(scenario, **helpers) as crew,
        new_run(scenario, config, Path(chosen) if chosen else None) as folder,
        _telling_how_to_go_on(folder),
    ):
        return _execute(scenario, config, folder, crew)


def _resume(arguments: Sequence[str]) -> int:
    word = _one(arguments[:1], "eventsim resume FOLDER")
    if word.startswith("-"):
        raise ValueError(f"`eventsim resume` needs a folder first, got {word!r}")
    FOLDER.check(word, "folder")
    folder = Path(word)
    _require_extras()
    helpers = _parsed(CREW, dict.fromkeys(CREW), arguments[1:], "eventsim resume FOLDER", "")
    from scenarios.running.command.runs import old_run, read_folder  # late: slow to import

    with (
        _warnings_on_stderr(),
        _crew(read_folder(folder)[0], **helpers) as crew,
        old_run(folder) as (scenario, config),
        _telling_how_to_go_on(folder),
    ):
        config.require()
        return _execute(scenario, config, folder, crew)


def _crew(
    scenario: Scenario, workers: int | None, scheduler: str | None, wait: float | None
) -> AbstractContextManager[Crew | None]:
    """Return who shares the run: nobody, unless the user asks for it."""
    if workers is None and scheduler is None:
        if wait is not None:
            raise ValueError(f"wait must be given with --scheduler alone, got {wait:g}")
        return nullcontext()
    if not scenario.pieces:
        raise ValueError(
            f"{scenario.name} is one piece of work that cannot be shared: workers and scheduler "
            f"must not be given, got {workers if scheduler is None else scheduler}"
        )
    from scenarios.running import cluster  # late: an extra

    if scheduler is not None:
        if workers is not None:
            raise ValueError(
                "workers and scheduler must not both be given: a scheduler has its own workers, "
                f"got {workers} and {scheduler}"
            )
        return cluster.at_scheduler(scheduler, cluster.WAIT if wait is None else wait)
    if wait is not None:
        raise ValueError(f"wait must be given with --scheduler alone, got {wait:g}")
    assert workers is not None
    return cluster.on_this_machine(workers)


@contextmanager
def _warnings_on_stderr() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: print(
            visible(f"warning: {message}"), file=sys.stderr
        )
        yield


@contextmanager
def _telling_how_to_go_on(folder: Path) -> Iterator[None]:
    """Add to what ends a run where that was, and how to go on, if there is something to go on with.

    An error of the system while a file is written, such as a full disk, names no file.
    """
    from scenarios.running.command.runs import is_blank  # late: slow to import
    from scenarios.running.records import DeadEndError

    try:
        with ends_as_interrupt():
            yield
    except DeadEndError:
        raise
    except (Exception, KeyboardInterrupt) as error:
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(folder)
        if folder.is_dir() and (isinstance(error, KeyboardInterrupt) or not is_blank(folder)):
            error.add_note(f"go on with: eventsim resume {_typed(folder)}")
        raise


def _typed(path: Path) -> str:
    """Return a path as a user types it.

    Examples
    --------
    >>> _typed(Path("my runs/1")), _typed(Path("-x"))
    ("'my runs/1'", './-x')
    """
    name = str(path)
    return shlex.quote(f"./{name}" if name.startswith("-") else name)


def _parse(scenario: Scenario, arguments: Sequence[str]) -> dict[str, Any]:
    """Return the values of the options, by name: what tyro splits, read by the fields' types."""
    kind: Any = scenario.options()
    options = {**options_of(kind), "folder": FOLDER, **CREW}
    defaults = dict.fromkeys(options) | {each.name: each.default for each in fields(kind)}
    about = f"{scenario.summary}, after {scenario.source}.\n{inspect.getdoc(kind)}"
    return _parsed(options, defaults, arguments, f"eventsim run {scenario.name}", about)


def _parsed(
    options: Mapping[str, Option],
    defaults: Mapping[str, Any],
    arguments: Sequence[str],
    command: str,
    about: str,
) -> dict[str, Any]:
    import tyro

    _check_switches(arguments, options)
    shape: Any = make_dataclass(
        "Options",
        [(name, _argument(option), field(default=defaults[name]))
         for name, option in options.items()],
    )  # fmt: skip
    parsed, others = tyro.cli(
        shape,
        args=list(arguments),
        prog=command,
        description=about,
        return_unknown_args=True,
    )
    if others:
        raise ValueError(_unknown(others[0], options))
    return {name: _value(getattr(parsed, name), option, name) for name, option in options.items()}


def _check_switches(arguments: Sequence[str], options: Mapping[str, Option]) -> None:
    """Refuse ``--full=yes``: a switch is on by its name, and off by its name after "no"."""
    switches = {flag(name) for name, option in options.items() if option.is_switch}
    for word in arguments:
        name, given, _ = word.partition("=")
        if given and name.replace("_", "-").replace("--no-", "--") in switches:
            raise ValueError(f"{name} takes no value, got {word!r}")


class _Words(tuple[str, ...]):
    """What a user wrote after an option."""

    __slots__ = ()


def _argument(option: Option) -> Any:
    """Return for tyro the type of an argument: a flag, or words that are read afterwards."""
    import tyro

    said = tyro.conf.arg(help=option.help, help_behavior_hint=f"(default: {option.default})")
    if option.is_switch:
        return Annotated[bool, said]
    one = METAVARS[option.kind]
    if option.choices:
        one = "{" + ",".join(map(str, option.choices)) + "}"
    return Annotated[
        Any,
        said,
        tyro.constructors.PrimitiveConstructorSpec(
            nargs="*",
            metavar=f"{one} ..." if option.many else one,
            instance_from_str=_Words,
            is_instance=lambda _: True,
            str_from_instance=_as_words,
        ),
    ]


def _as_words(value: Any) -> list[str]:
    return [str(each) for each in (value if isinstance(value, tuple) else (value,))]


def _value(value: Any, option: Option, name: str) -> Any:
    return option.read(value, flag(name)) if isinstance(value, _Words) else value


def _unknown(word: str, options: Mapping[str, Option]) -> str:
    """Say that a word is no option, and what may have been meant."""
    flags = [flag(name) for name in options]
    near = difflib.get_close_matches(word.split("=")[0].replace("_", "-"), flags, n=1)
    hint = f"; did you mean {near[0]}?" if near and word.startswith("-") else ""
    return f"there is no option {word!r}{hint}"


def _execute(scenario: Scenario, config: Any, folder: Path, crew: Crew | None) -> int:
    """Run a scenario in its folder, alone or with a crew; show its table and write its files."""
    from scenarios.running import report
    from scenarios.running.command.runs import about
    from scenarios.running.console.progress import ConsoleProgress
    from scenarios.running.console.screen import Screen
    from scenarios.running.memory import keep_freed_memory
    from scenarios.running.pieces import shared_with

    if not scenario.large:
        keep_freed_memory()
    screen = Screen()

    def say(text: str) -> None:
        screen.print(text, soft_wrap=True)

    say(f"{scenario.name}: {scenario.summary}; run folder {folder}")
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: say(f"warning: {message}")
        with shared_with(crew, folder):
            result = scenario.module().run(config, folder, ConsoleProgress(screen, scenario.name))
    paths = report.write(result, folder, about(scenario, config, folder))
    report.show(result, screen)
    pictures = [str(path) for path in paths if path.suffix == ".png"]
    if pictures:
        say("pictures: " + ", ".join(pictures))
    say(f"everything on one page: {folder / 'report.html'}")
    return 0


def _require_extras() -> None:
    require("scenarios", ("rich", "tyro", "matplotlib"), "running a scenario")


def _none(arguments: Sequence[str], command: str) -> None:
    if arguments:
        raise ValueError(f"`eventsim {command}` takes no arguments, got {' '.join(arguments)!r}")


def _one(arguments: Sequence[str], usage: str) -> str:
    if len(arguments) != 1:
        raise ValueError(f"usage: {usage}, got {len(arguments)} arguments instead of one")
    return arguments[0]


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "list": _list,
    "info": _info,
    "run": _run,
    "resume": _resume,
    "help": _help,
}
