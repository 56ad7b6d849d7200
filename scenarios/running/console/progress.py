"""What the user sees while a run works: a live bar in a terminal, a line now and then elsewhere.

Scenarios talk to `Progress`; `SILENT` shows nothing and needs no library.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from scenarios.running.console.terminal import visible

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["SILENT", "ConsoleProgress", "Progress", "Tell"]

Tell = Callable[[float, Mapping[str, Any]], None]  # (units done, newest metrics)
SECONDS_BETWEEN_LINES = 10.0


class Progress(Protocol):
    """Something that shows how far a run is."""

    def task(self, total: int, done: int = 0) -> AbstractContextManager[Tell]:
        """Begin a piece of work of ``total`` units; the context is told how many are done."""

    def compiling(self) -> AbstractContextManager[None]:
        """Show that the first call compiles, and how long it took."""

    def named(self, name: str, unit: str = "epoch") -> Progress:
        """Return the same display with another title and unit."""


@dataclass(frozen=True)
class _Silent:
    def task(self, total: int, done: int = 0) -> AbstractContextManager[Tell]:  # noqa: ARG002
        return nullcontext(lambda done, metrics: None)  # noqa: ARG005

    def compiling(self) -> AbstractContextManager[None]:
        return nullcontext()

    def named(self, name: str, unit: str = "epoch") -> Progress:  # noqa: ARG002
        return self


SILENT: Progress = _Silent()


@dataclass(frozen=True)
class ConsoleProgress:
    """Progress on a rich console.

    Attributes
    ----------
    console : rich.console.Console
        Where to write; a live bar with the time left if it is a terminal that can
        show one, else plain lines.
    name : str
        Title of the work.
    unit : str
        What is counted: "epoch", "run", ...
    """

    console: Console
    name: str = ""
    unit: str = "epoch"

    def named(self, name: str, unit: str = "epoch") -> Progress:
        """Return the same display with another title and unit."""
        return ConsoleProgress(self.console, name, unit)

    @contextmanager
    def compiling(self) -> Iterator[None]:
        """Show that the first call compiles, and how long it took."""
        started = time.perf_counter()
        with self.console.status("compiling the engine (first run only: later ones are cached)"):
            yield
        seconds = time.perf_counter() - started
        self.console.print(f"engine ready after {seconds:.1f} s (not counted as work)")

    def task(self, total: int, done: int = 0) -> AbstractContextManager[Tell]:
        """Begin a piece of work of ``total`` units."""
        return self._bar(total, done) if self.console.is_interactive else self._lines(total, done)

    @contextmanager
    def _bar(self, total: int, done: int) -> Iterator[Tell]:
        from scenarios.running.console.bar import Bar

        with Bar(self.console) as bar:
            task = bar.add_task(
                visible(self.name),
                total=total,
                completed=done,
                count=self._count(done, total),
                metrics="",
            )
            bar.update(task, completed=done)  # what is done already is seen to be

            def report(now: float, metrics: Mapping[str, Any]) -> None:
                count, words = self._count(now, total), describe(metrics)
                bar.update(task, completed=now, count=count, metrics=words)

            yield report

    @contextmanager
    def _lines(self, total: int, done: int) -> Iterator[Tell]:
        started = shown = time.perf_counter()

        def report(now: float, metrics: Mapping[str, Any]) -> None:
            nonlocal shown
            clock = time.perf_counter()
            if now < total and clock - shown < SECONDS_BETWEEN_LINES:
                return
            shown = clock
            left = (clock - started) * (total - now) / (now - done) if now > done else 0.0
            head = f"{self.name}: {self._count(now, total)}, about {_as_time(left)} left"
            words = " · ".join(filter(None, (head, describe(metrics))))
            self.console.print(words, highlight=False, soft_wrap=True)

        yield report

    def _count(self, now: float, total: int) -> str:
        """Return how many units are done; a part of one has one decimal."""
        return f"{self.unit} {f'{now:.1f}'.removesuffix('.0')}/{total}"


def _as_time(seconds: float) -> str:
    """Return a duration as hours, minutes and seconds.

    Examples
    --------
    >>> _as_time(3725.4)
    '1:02:05'
    """
    return str(timedelta(seconds=round(seconds)))


def describe(metrics: Mapping[str, Any]) -> str:
    """Return the metrics a user wants to see while waiting, in a few words.

    Examples
    --------
    >>> describe({"loss": 0.123456, "test_accuracy": 0.957, "seconds": 2.0})
    'loss 0.123 · test accuracy 95.7 %'
    >>> describe({"converged": 0.5})
    'converged 50.0 %'
    >>> describe({"speed": 0.25})
    '0.25 model seconds in a second'
    """
    words = []
    if "loss" in metrics:
        words.append(f"loss {metrics['loss']:.3f}")
    if "test_accuracy" in metrics:
        words.append(f"test accuracy {100 * metrics['test_accuracy']:.1f} %")
    if "converged" in metrics:
        words.append(f"converged {100 * metrics['converged']:.1f} %")
    if "speed" in metrics:
        words.append(f"{metrics['speed']:.3g} model seconds in a second")
    return " · ".join(words)
