"""The ``eventsim`` command, where it meets the shell: streams, errors, signals and exit codes.

What the commands do is in `scenarios.running.command.commands`.  All is imported late, so that
Ctrl-C in the first second is heeded like any other.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TextIO

from scenarios.running.command.interrupts import INTERRUPTED, end_at_once

__all__ = ["BAD_ARGUMENTS", "BROKEN_PIPE", "FAILURE", "INTERRUPTED", "main"]

FAILURE, BAD_ARGUMENTS, BROKEN_PIPE = 1, 2, 141  # exit codes


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code.

    0: success, 1: failure, 2: bad arguments, 130: Ctrl-C, 141: nobody reads the output any more.
    """
    if argv is not None:
        return _main(list(argv))
    end_at_once()
    code = _main(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        _let_go(stream)
    if code == INTERRUPTED:  # without the farewells of libraries, which Ctrl-C may have cut short
        os._exit(code)
    return code


def _main(arguments: list[str]) -> int:
    try:
        return _carry_out(arguments)
    except KeyboardInterrupt as interrupt:
        return _end("interrupted", interrupt, INTERRUPTED)
    except BrokenPipeError:
        return BROKEN_PIPE
    except Exception as error:
        return _failed(error)


def _carry_out(arguments: list[str]) -> int:
    from scenarios.running.command.commands import dispatch
    from scenarios.running.console.terminal import prepare

    prepare()
    try:
        code = dispatch(arguments)
    except SystemExit as leaving:  # of the library that prints `--help`
        code = int(leaving.code or 0)
    if sys.stdout is not None:
        sys.stdout.flush()
    return code


def _failed(error: Exception) -> int:
    """Report an error; one that is a bug is raised again."""
    from scenarios.running.console.failures import in_words

    words = in_words(error)
    if words is None or os.environ.get("EVENTSIM_TRACEBACK"):
        raise error
    code = BAD_ARGUMENTS if isinstance(error, ValueError) else FAILURE
    return _end(f"error: {words}", error, code)


def _end(message: str, error: BaseException, code: int) -> int:
    """Say why the command ends, in one line."""
    from scenarios.running.console.terminal import visible

    line = " ".join(each.strip() for each in f"eventsim: {message}".split("\n"))
    text = visible("; ".join((line, *getattr(error, "__notes__", ()))))
    if sys.stderr is not None:
        with suppress(OSError):  # nobody can be told
            print(text, file=sys.stderr, flush=True)
    return code


def _let_go(stream: TextIO | None) -> None:
    """Send what a stream does not take any more to nowhere, or Python would fail on it again."""
    if stream is None:
        return
    try:
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
