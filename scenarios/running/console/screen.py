"""The console of a run: rich's, without markup, for names and messages that may hold anything."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from scenarios.running.console.failures import OUTPUT
from scenarios.running.console.terminal import readable, visible

__all__ = ["Screen"]


class _Output:
    """The standard output, whose errors name it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with _naming_output():
            return self._stream.write(text)

    def flush(self) -> None:
        with _naming_output():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def _naming_output() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        error.filename = OUTPUT
        raise


class Screen(Console):
    r"""A console that shows every text as it is written.

    Examples
    --------
    >>> Screen(width=40).print("[bold]:smile:\x1b[31m")
    [bold]:smile:\x1b[31m
    """

    def __init__(self, **options: Any) -> None:
        if sys.stdout is not None:
            options = {"file": _Output(sys.stdout), **options}
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a text as it can be shown here; its lines stay."""
        lines = (readable(visible(line), self.encoding) for line in text.split("\n"))
        return super().render_str("\n".join(lines), **options)

    def on_broken_pipe(self) -> None:
        """Leave it to the caller: here it is no reason to end with an error of its own."""
        raise  # what is being handled
