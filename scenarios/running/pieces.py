"""Pieces of a run that need nothing of each other: done one by one, or by workers side by side.

A worker is told the run and the name of a piece, and nothing else.  It begins the run as anybody
would, finds in the run folder what is done, comes to where the piece is, does it, and leaves.  So
no data travel, and any `concurrent.futures.Executor` will do whose processes see the run folder.
"""

from __future__ import annotations

import json
import os
import platform
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, wait
from contextlib import AbstractContextManager, chdir, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from eventsim._support.sources import check_code, code
from eventsim._support.threads import limited
from scenarios.running.console.progress import Progress, Tell
from scenarios.running.lock import holder
from scenarios.running.records import CONFIG, Origin, belonging_to, origin
from scenarios.running.registry import find

__all__ = [
    "PACKAGES",
    "Crew",
    "CrewError",
    "Piece",
    "carry_out",
    "do_elsewhere",
    "do_piece",
    "is_shared",
    "shared_with",
]

T = TypeVar("T")
Said = tuple[str, type[Warning], str, int]  # a warning, and where it came from
Works = Mapping[str, Callable[[], Any]]
PACKAGES = ("eventsim", "gradients", "scenarios")
SECONDS = 1.0  # between two looks at how far the workers are, and at whether they are wanted


class CrewError(RuntimeError):
    """The workers cannot do what they were given, through no fault of the run."""


@dataclass(frozen=True)
class Crew:
    """Workers.

    Attributes
    ----------
    executor : concurrent.futures.Executor
        Gives a piece to one of them; each does one at a time.
    threads : int
        How many threads each is to use.
    """

    executor: Executor
    threads: int = 1

    def check(self) -> None:
        """Raise a `CrewError` if nobody works any more.  Here nobody can tell."""

    def explained(self, error: Exception, name: str) -> Exception:
        """Return what to raise where a piece ended with an error: here that error."""
        if isinstance(error, CancelledError):
            return CrewError(f"the piece {name} was cancelled: its workers are gone")
        return error


@dataclass(frozen=True)
class Piece:
    """What a worker is told.

    Attributes
    ----------
    run : mapping
        Scenario and settings, as `records.origin`.
    folder, place : str
        The run folder, and where paths in the settings begin.
    name : str
        Of the piece: where in the folder its results go.
    holder : str
        Who holds the folder: once that is another, nobody waits for the piece.
    code : dict of str -> str
        What the run is computed with.
    threads : int
        How many threads to use.
    """

    run: Origin
    folder: str
    place: str
    name: str
    holder: str
    code: Mapping[str, str]
    threads: int


class _Shares(Protocol):
    """What becomes of works in a run that is shared."""

    @property
    def folder(self) -> Path:
        """The run folder, as the run calls it."""

    def done(
        self, works: Works, watch: Callable[[], None]
    ) -> AbstractContextManager[Iterator[tuple[str, Any]]]:
        """Yield the name and the result of each work, in any order."""


_SHARES: ContextVar[_Shares | None] = ContextVar("shares", default=None)


@contextmanager
def _sharing(shares: _Shares | None) -> Iterator[None]:
    token = _SHARES.set(shares)
    try:
        yield
    finally:
        _SHARES.reset(token)


def shared_with(crew: Crew | None, folder: Path) -> AbstractContextManager[None]:
    """Let a crew do the pieces of the run in a folder; None: all is done here."""
    return _sharing(None if crew is None else _Foreman(crew, folder))


def is_shared() -> bool:
    """Tell whether pieces are done elsewhere than here."""
    return _SHARES.get() is not None


def carry_out(
    works: Mapping[Path, Callable[[], T]], watch: Callable[[], None] = lambda: None
) -> Iterator[tuple[Path, T]]:
    """Do works that need nothing of each other.

    Parameters
    ----------
    works : dict of Path -> callable
        By a path of their own in the run folder: where their results go.
    watch : callable
        Called now and then while others work.

    Yields
    ------
    path, result
        Of each work: in their order where they are done here, else as they are finished.

    Examples
    --------
    >>> dict(carry_out({Path("squares/3"): lambda: 9}))
    {PosixPath('squares/3'): 9}
    """
    shares = _SHARES.get()
    if shares is None:
        for path, work in works.items():
            yield path, work()
        return
    paths = {path.relative_to(shares.folder).as_posix(): path for path in works}
    named = {name: works[path] for name, path in paths.items()}
    with shares.done(named, watch) as results:
        for name, result in results:
            yield paths[name], result


def do_elsewhere(works: Mapping[Path, Callable[[], object]], progress: Progress) -> None:
    """Let workers, if there are any, do works whose results are in the run folder then."""
    if not is_shared():
        return
    with progress.task(len(works)) as tell:
        silent = {path: partial(_without_result, work) for path, work in works.items()}
        for done, _ in enumerate(carry_out(silent), 1):
            tell(done, {})


def _without_result(work: Callable[[], object]) -> None:
    work()


# --- the one who gives out ------------------------------------------------------------------------


@dataclass(frozen=True)
class _Foreman:
    crew: Crew
    folder: Path
    said: set[Said] = field(default_factory=set)

    @contextmanager
    def done(self, works: Works, watch: Callable[[], None]) -> Iterator[Iterator[tuple[str, Any]]]:
        futures: dict[Future[Any], str] = {}
        try:
            for name in works:
                futures[self.crew.executor.submit(do_piece, self._piece(name))] = name
            yield self._finished(futures, watch)
        finally:
            for future in futures:
                future.cancel()

    def _piece(self, name: str) -> Piece:
        run = origin()
        assert run is not None, "who shares a run holds its folder"
        place, here = str(Path.cwd()), code(*PACKAGES)
        folder, who = str(self.folder.resolve()), holder(self.folder)
        return Piece(run, folder, place, name, who, here, self.crew.threads)

    def _finished(
        self, futures: Mapping[Future[Any], str], watch: Callable[[], None]
    ) -> Iterator[tuple[str, Any]]:
        waiting = set(futures)
        while waiting:
            ready, waiting = wait(waiting, timeout=SECONDS, return_when=FIRST_COMPLETED)
            for future in ready:
                yield futures[future], self._result(future, futures[future])
            watch()
            self.crew.check()

    def _result(self, future: Future[Any], name: str) -> Any:
        try:
            result, said = future.result()
        except (Exception, CancelledError) as error:
            self.crew.check()
            raise self.crew.explained(error, name) from error
        for warning in said:
            if warning not in self.said:  # once, as one process would say it
                self.said.add(warning)
                warnings.warn_explicit(*warning)
        return result


# --- the one who works ----------------------------------------------------------------------------


def do_piece(piece: Piece) -> tuple[Any, list[Said]]:
    """Do a piece: what an executor calls, in whatever process.

    Returns
    -------
    result : object
        Of the work.
    said : list of tuple
        The warnings meanwhile, as `warnings.warn_explicit` takes them.

    Raises
    ------
    OtherCodeError
        If this process computes with other code.
    CrewError
        If it does not see the run folder.
    """
    check_code(piece.code)
    folder = Path(piece.folder)
    if not (folder / CONFIG).is_file() or not Path(piece.place).is_dir():
        raise CrewError(
            f"worker {platform.node()}, process {os.getpid()}, does not see {piece.folder} or "
            f"{piece.place}: workers need the file system of the one who runs the command"
        )
    with (
        _ONE_AT_A_TIME,
        warnings.catch_warnings(record=True) as said,
        chdir(piece.place),
        limited(piece.threads),
        belonging_to(piece.run),
        _sharing(None),
    ):
        result = _reached(piece)()
    return result, [(str(w.message), w.category, w.filename, w.lineno) for w in said]


_ONE_AT_A_TIME = threading.Lock()  # of a process: warnings, folder and random numbers are its own


class _ReachedError(BaseException):
    """Leaves the run where a piece is; nothing is to handle it on the way."""

    def __init__(self, works: Works) -> None:
        self.works = works


@dataclass(frozen=True)
class _Hand:
    folder: Path
    wanted: str

    @contextmanager
    def done(
        self,
        works: Works,
        watch: Callable[[], None],  # noqa: ARG002
    ) -> Iterator[Iterator[tuple[str, Any]]]:
        if self.wanted in works:
            raise _ReachedError(works)
        yield iter(())  # they are done: the files of their results are there


_REACHED: dict[tuple[str, ...], Works] = {}  # of the newest run: its data are not read again


def _reached(piece: Piece) -> Callable[[], Any]:
    """Return the work of a piece."""
    run = (json.dumps(piece.run), piece.folder, piece.holder)
    works = _REACHED.get(run, {})
    if piece.name not in works:
        works = _REACHED[run] = _replayed(piece)
        for other in [one for one in _REACHED if one != run]:
            del _REACHED[other]
    return works[piece.name]


def _replayed(piece: Piece) -> Works:
    """Begin the run, and return the works among which the piece is."""
    scenario, folder = find(piece.run["scenario"]), Path(piece.folder)
    config = scenario.options().of(piece.run["config"])
    config.require()
    try:
        with _sharing(_Hand(folder, piece.name)):
            scenario.module().run(config, folder, _Attentive(folder, piece.holder))
    except _ReachedError as reached:
        return reached.works
    raise AssertionError(f"{scenario.name} has no piece {piece.name}")


@dataclass(frozen=True)
class _Attentive:
    """A progress that shows nothing, and ends the work if nobody waits for it any more."""

    folder: Path
    holder: str
    looked: list[float] = field(default_factory=lambda: [0.0])

    def task(self, total: int, done: int = 0) -> AbstractContextManager[Tell]:  # noqa: ARG002
        return nullcontext(self._tell)

    def compiling(self) -> AbstractContextManager[None]:
        return nullcontext()

    def named(self, name: str, unit: str = "epoch") -> Progress:  # noqa: ARG002
        return self

    def _tell(self, done: float, metrics: Mapping[str, Any]) -> None:  # noqa: ARG002
        now = time.monotonic()
        if now - self.looked[0] < SECONDS:
            return
        self.looked[0] = now
        if holder(self.folder) != self.holder:
            raise CrewError(f"{self.folder} is no longer held by {self.holder or 'the same run'}")
