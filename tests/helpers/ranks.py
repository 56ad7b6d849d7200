"""Ranks that are threads of one process, in the place of those of MPI, and what both run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

import eventsim as es
from tests.helpers.models import assert_identical

Result = TypeVar("Result")

PATIENCE = 60.0  # s; a rank that waits for longer waits for ever


class Table:
    """Where the ranks lay down what they have."""

    def __init__(self, size: int) -> None:
        self.places: list[Any] = [None] * size
        self.barrier = threading.Barrier(size, timeout=PATIENCE)


class FakeCommunicator:
    """What `eventsim.ranks.Ranks` asks of a communicator; ``calls`` are the bytes of each."""

    def __init__(self, rank: int, table: Table) -> None:
        self.rank, self.table = rank, table
        self.calls: list[int] = []

    def Get_rank(self) -> int:
        return self.rank

    def Get_size(self) -> int:
        return len(self.table.places)

    def allgather(self, sendobj: Any) -> list[Any]:
        self.table.places[self.rank] = sendobj
        self.table.barrier.wait()
        gathered = list(self.table.places)
        self.table.barrier.wait()
        return gathered

    def Allgather(self, sendbuf: Any, recvbuf: Any) -> None:
        self.calls.append(recvbuf.nbytes)
        recvbuf[...] = self.allgather(sendbuf.copy())

    def Allgatherv(self, sendbuf: Any, recvbuf: Any) -> None:
        everything, sizes = recvbuf
        self.calls.append(everything.nbytes)
        parts = self.allgather(sendbuf.copy())
        assert [part.size for part in parts] == sizes
        everything[...] = np.concatenate(parts)


def on_ranks(size: int, function: Callable[[FakeCommunicator], Result]) -> list[Any]:
    """What ``function(comm)`` returns on each of so many ranks, or the error that it raises."""
    table, outcomes = Table(size), [None] * size

    def run(rank: int) -> None:
        try:
            outcomes[rank] = function(FakeCommunicator(rank, table))
        except BaseException as error:
            outcomes[rank] = error

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def results_of(size: int, function: Callable[[FakeCommunicator], Result]) -> list[Result]:
    """The same, where none may fail."""
    outcomes = on_ranks(size, function)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return outcomes


def assert_same_states(found: es.Result, expected: es.Result) -> None:
    """Bit for bit, with all that a resumed run starts from."""
    assert_identical(found.batch, expected.batch)
    for name, ours, theirs in zip(
        expected.batch.state._fields, found.batch.state, expected.batch.state, strict=True
    ):
        np.testing.assert_array_equal(ours, theirs, err_msg=name)
