"""Workers of Dask: processes of this machine, or those of a scheduler that runs already."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from eventsim._support.sources import OtherCodeError, check_code, code
from eventsim._support.threads import thread_count
from scenarios.extras import require
from scenarios.running.pieces import PACKAGES, Crew, CrewError

__all__ = ["ANSWER", "WAIT", "at_scheduler", "on_this_machine"]

ANSWER = 10.0  # s, within which a scheduler answers
WAIT = 60.0  # s, for which nobody may be there to work, unless the user says another number
CLOSING = 5.0  # s, for what is closed in good order
ADDRESS = re.compile(
    r"(?:(?:tcp|tls|ucx|wss?)://)?(?:\[[0-9a-fA-F:.%\w]+\]|[^\s:/@\[\]]+):([0-9]{1,5})"
)
TALKERS = ("distributed", "tornado", "asyncio")  # loggers

# A worker computes as this process would: Dask would give BLAS and PyTorch one thread.
SETTINGS = {
    "distributed.nanny.pre-spawn-environ": {},
    "distributed.comm.timeouts.connect": ANSWER,
    "distributed.admin.large-graph-warning-threshold": "1 GiB",  # it is no graph
}


@contextmanager
def on_this_machine(workers: int) -> Iterator[Crew]:
    """Start worker processes, among which the processors are divided; end them with the block.

    Raises
    ------
    MissingExtraError
        If Dask is not installed.
    """
    distributed = _dask()
    with (
        _quiet(),
        _settings(),
        tempfile.TemporaryDirectory(prefix="eventsim-workers-") as scratch,
    ):
        with _deaf_to_interrupts():
            cluster = distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                memory_limit=0,  # none but that of the computer, as for one process
                scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
                local_directory=scratch,
                silence_logs=logging.CRITICAL,
            )
        try:
            with _connected(distributed, cluster) as client:
                threads = max(1, thread_count(None) // workers)
                yield _DaskCrew(client.get_executor(pure=False), threads, client)
        finally:
            _end(cluster)


@contextmanager
def at_scheduler(address: str, wait: float = WAIT) -> Iterator[Crew]:
    """Take the workers of a Dask scheduler, each of which is to use one processor.

    Parameters
    ----------
    address : str
        Such as "tcp://10.0.0.1:8786".
    wait : float
        For how many seconds there may be no worker.

    Raises
    ------
    MissingExtraError
        If Dask is not installed.
    ValueError
        If that is no address.
    CrewError
        If no scheduler answers, there are no workers, or one of them computes with other code or
        does several things at once.
    """
    distributed = _dask()
    _check_address(address)
    with _quiet(), _settings():
        _check_answer(distributed, address)
        with _connected(distributed, address) as client:
            crew = _DaskCrew(client.get_executor(pure=False), 1, client, wait)
            crew.await_workers()
            _check_workers(client)
            yield crew


def _dask() -> Any:
    require("cluster", ("distributed",), "sharing a run among workers")
    import distributed  # late: an extra, slow to import

    return distributed


def _check_address(address: str) -> None:
    """Raise a ValueError unless a scheduler can be looked for there.

    Examples
    --------
    >>> _check_address("node7")
    Traceback (most recent call last):
        ...
    ValueError: scheduler must be an address such as tcp://10.0.0.1:8786, got 'node7'
    """
    found = ADDRESS.fullmatch(address)
    if found is None or not 0 < int(found[1]) < 2**16:
        raise ValueError(
            f"scheduler must be an address such as tcp://10.0.0.1:8786, got {address!r}"
        )


def _check_answer(distributed: Any, address: str) -> None:
    """Raise a `CrewError` unless a scheduler answers; a client would be hard to be rid of."""

    async def asked() -> Any:
        async with distributed.rpc(address) as place:
            return await place.identity()

    async def in_time() -> Any:
        return await asyncio.wait_for(asked(), ANSWER)

    try:
        kind = asyncio.run(in_time())["type"]
    except Exception as error:  # whatever may answer there, and however
        raise CrewError(
            f"no Dask scheduler answers at {address} within {ANSWER:g} s: {_first_line(error)}"
        ) from error
    if kind != "Scheduler":
        raise CrewError(f"{address} must be the address of a Dask scheduler, got that of a {kind}")


@contextmanager
def _connected(distributed: Any, place: Any) -> Iterator[Any]:
    client = distributed.Client(place, timeout=ANSWER, set_as_default=False)
    try:
        yield client
    finally:
        with suppress(Exception):  # what is lost cannot be closed
            client.close(timeout=CLOSING)


@dataclass(frozen=True)
class _DaskCrew(Crew):
    client: Any = None
    wait: float = WAIT
    seen: list[float] = field(default_factory=lambda: [time.monotonic()])  # somebody, the last time

    def check(self) -> None:
        if self.client.status != "running":
            raise CrewError(f"the scheduler at {self._address} is gone")
        if self._count():
            self.seen[0] = time.monotonic()
        elif time.monotonic() - self.seen[0] > self.wait:
            raise CrewError(
                f"the scheduler at {self._address} has had no worker for {self.wait:g} s"
            )

    def await_workers(self) -> None:
        """Wait for the first worker."""
        while not self._count():
            self.check()
            time.sleep(0.1)

    def explained(self, error: Exception, name: str) -> Exception:
        if type(error).__name__ == "KilledWorker":
            return CrewError(
                f"the piece {name} was given up: each worker that did it died, the last one "
                "at the fourth try; is there enough memory?"
            )
        if isinstance(error, ImportError):
            return CrewError(f"a worker has not what the piece {name} needs: {error}")
        return super().explained(error, name)

    @property
    def _address(self) -> str:
        return str(self.client.scheduler.address) if self.client.scheduler else "its address"

    def _count(self) -> int:
        """Return how many workers there are, 0 if the scheduler does not say so in time."""
        try:
            found = self.client.sync(self.client.scheduler.identity, callback_timeout=ANSWER)
        except (OSError, TimeoutError, AttributeError):
            return 0
        return len(found["workers"])


def _check_workers(client: Any) -> None:
    """Raise a `CrewError` that names a worker which would not compute the same."""
    for address, threads in client.nthreads().items():
        if threads != 1:
            raise CrewError(
                f"worker {address} does {threads} things at once in one process, which has one "
                "generator of random numbers: start it with --nthreads 1 (and --nworkers "
                f"{threads})"
            )
    for address, error in client.run(_refusal, code(*PACKAGES), on_error="return").items():
        if error is not None:
            raise CrewError(f"{address} cannot do this run: {_first_line(error)}")


def _refusal(wanted: Mapping[str, str]) -> str | None:
    """Return why this process cannot work, None if it can."""
    try:
        check_code(wanted)
    except OtherCodeError as error:
        return str(error)
    return None


def _first_line(error: object) -> str:
    words = str(error).strip().splitlines()
    return words[0] if words else type(error).__name__


@contextmanager
def _settings() -> Iterator[None]:
    import dask

    with dask.config.set(SETTINGS):
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    """Let what goes wrong be told once, by an error."""
    known = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in TALKERS]
    loggers = [logging.getLogger(name) for name in {*known, *TALKERS}]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Let threads and processes that are started here not see Ctrl-C, which is for this one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end(cluster: Any) -> None:
    """End the workers at once: what they had to keep is in the run folder."""
    for nanny in list(cluster.workers.values()):
        nanny.close_gracefully()  # which is to say: it starts no other process
        if nanny.pid:
            with suppress(ProcessLookupError):
                os.kill(nanny.pid, signal.SIGKILL)
    with suppress(Exception):
        cluster.close(timeout=CLOSING)
