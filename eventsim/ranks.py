"""One simulation on several processes (*ranks*), which share its neurons and meet by MPI.

`eventsim.simulation.simulate` takes the communicator; here are the parts, and how ranks meet.  At
each meeting every rank says first what it comes for, and whether it has failed: so all of them end
if one does, and nobody waits for it.
"""

from __future__ import annotations

import hashlib
import json
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from eventsim._support.extras import extra
from eventsim._support.types import FloatArray
from eventsim._support.validate import as_count, shown

if TYPE_CHECKING:
    from types import FrameType

__all__ = [
    "Communicator",
    "Part",
    "RankError",
    "Ranks",
    "are_same",
    "as_part",
    "digest_of",
    "own_range",
    "together",
    "world",
]

Result = TypeVar("Result")

Part: TypeAlias = tuple[int, int]
"""Number of a part, and of how many: the second of three is (1, 3)."""

WHOLE: Part = (0, 1)

METHODS = "Get_rank", "Get_size", "Allgather", "Allgatherv", "allgather"

# What a rank comes for.
GATHERS, ASKS, ENDS, FAILED = range(4)


class Communicator(Protocol):
    """What is asked of a communicator: that of mpi4py can do it."""

    def Get_rank(self) -> int:
        """Return the number of this process."""

    def Get_size(self) -> int:
        """Return the number of processes."""

    def Allgather(self, sendbuf: Any, recvbuf: Any) -> None:
        """Gather as many numbers of each."""

    def Allgatherv(self, sendbuf: Any, recvbuf: Any) -> None:
        """Gather different counts of numbers."""

    def allgather(self, sendobj: Any) -> list[Any]:
        """Gather an object of each."""


class RankError(RuntimeError):
    """Another rank has failed: the run ends on all of them.

    Examples
    --------
    >>> str(RankError("rank 1 of 3 failed: MemoryError: no room"))
    'rank 1 of 3 failed: MemoryError: no room'
    """


def world() -> Communicator:
    """Return the communicator of all processes that ``mpiexec`` has started.

    Raises
    ------
    ImportError
        If mpi4py is not installed (extra ``mpi``), or finds no implementation of MPI.

    Examples
    --------
    >>> comm = world()  # doctest: +SKIP
    >>> result = es.simulate(net, stimulus, 1e3, comm=comm)  # doctest: +SKIP
    """
    need = "a simulation on several processes needs"
    try:
        with extra("mpi", need):
            from mpi4py import MPI
    except RuntimeError as error:  # of mpi4py, that no library of MPI could be loaded
        raise ImportError(
            f"{need} an implementation of MPI, and mpi4py finds none; install that of the system, "
            "or: pip install mpich"
        ) from error
    comm: Communicator = MPI.COMM_WORLD
    return comm


# --- parts ----------------------------------------------------------------------------------------


def as_part(part: object) -> Part:
    """Return a part as a pair of integers; ValueError if it is none."""
    if not isinstance(part, (tuple, list)) or len(part) != 2:
        raise ValueError(f"part must be a pair (rank, size), got {shown(part)}")
    size = as_count(part[1], "size of part")
    return as_count(part[0], "rank of part", least=0, most=size - 1), size


def own_range(n: int, part: Part) -> tuple[int, int]:
    """Return the first and one past the last of ``n`` neurons that are in a part."""
    rank, size = part
    return n * rank // size, n * (rank + 1) // size


def digest_of(*values: object) -> str:
    """Return a short text that differs if any of some nested values and arrays does."""
    digest = hashlib.blake2b(digest_size=8)

    def take(value: object) -> None:
        if isinstance(value, np.ndarray):
            digest.update(f"{value.dtype}{value.shape}".encode())
            digest.update(_as_bytes(np.ascontiguousarray(value)).data)
        elif isinstance(value, (tuple, list)):
            digest.update(f"({len(value)}".encode())
            for part in value:
                take(part)
        else:
            digest.update(f"{value!r};".encode())

    take(values)
    return digest.hexdigest()


def are_same(one: Any, other: Any) -> bool:
    """Tell whether nested values and arrays are the same: such as `digest_of` takes.

    Examples
    --------
    >>> are_same([1, ("a", np.ones(2))], [1, ("a", np.ones(2))])
    True
    >>> are_same([1, ("a", np.ones(2))], [1, ("a", 1.0)])
    False
    """
    if not isinstance(one, (tuple, list)):
        return one is other or np.array_equal(one, other)
    return type(one) is type(other) and len(one) == len(other) and all(map(are_same, one, other))


# --- meetings -------------------------------------------------------------------------------------


def together(comm: Communicator, function: Callable[[Ranks], Result]) -> Result:
    """Return ``function(ranks)``, which every rank calls; if it fails in one, it does in all.

    Ctrl-C is a failure like others; at a meeting it waits until that is over.

    Raises
    ------
    RankError
        If another rank has failed.
    """
    ranks = Ranks(comm)
    with ranks.interruptible():
        try:
            result = function(ranks)
            ranks.end()
        except BaseException as error:
            ranks.fail(error)
            raise
    return result


class Ranks:
    """The processes that run a simulation, as one of them sees them.

    What all of them call, they call in the same order.
    """

    def __init__(self, comm: Communicator) -> None:
        if not all(hasattr(type(comm), name) for name in METHODS):
            raise ValueError(f"comm must be a communicator of mpi4py, got {shown(comm)}")
        self._comm = comm
        self.part: Part = comm.Get_rank(), comm.Get_size()
        self._is_over = False  # nobody can be told any more
        self._failure = ""
        self._is_meeting = self._is_interrupted = False
        self._handler: Callable[[int, FrameType | None], Any] | None = None

    def gather(self, own: NDArray[Any]) -> NDArray[Any]:
        """Return the rows of all ranks, those of rank 0 first."""
        own = np.ascontiguousarray(own)
        counts = self._meet(GATHERS, own.shape[0]).astype(np.int64)
        rows = np.empty((int(counts.sum()), *own.shape[1:]), dtype=own.dtype)
        if rows.size:
            sizes = counts * (rows.nbytes // rows.shape[0])
            self._comm.Allgatherv(_as_bytes(own), [_as_bytes(rows), sizes.tolist()])
        self._go_on()
        return rows

    def smallest(self, value: float) -> float:
        """Return the smallest value of all ranks."""
        values = self._meet(ASKS, value)
        self._go_on()
        return float(values.min())

    def require_same(self, arguments: Mapping[str, str]) -> None:
        """Raise a ValueError on all ranks if an argument is not the same on all of them."""
        line = json.dumps(dict(arguments)) + "\n"
        lines = self.gather(np.frombuffer(line.encode(), dtype=np.uint8)).tobytes().decode()
        first, *others = map(json.loads, lines.splitlines())
        for rank, other in enumerate(others, start=1):
            for name, value in first.items():
                if other[name] != value:
                    raise ValueError(
                        f"{name} must be the same on all ranks, got {value} on rank 0 and "
                        f"{other[name]} on rank {rank}"
                    )

    def end(self) -> None:
        """Wait for all others; from here on they do not hear of a failure."""
        self._meet(ENDS)
        self._is_meeting = False

    def fail(self, error: BaseException) -> None:
        """Tell the others at the next meeting, if there is to be one."""
        self._is_meeting = True
        if not self._is_over:
            self._failure = f"{type(error).__name__}: {error}"
            self._meet(FAILED)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let Ctrl-C be told to the others; only the main thread can be interrupted."""
        handler = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is not threading.main_thread() or not callable(handler):
            yield
            return
        self._handler = handler
        signal.signal(signal.SIGINT, self._interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, handler)
            self._handle()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        """Note Ctrl-C, or handle it where no meeting would be left half done."""
        del number, frame
        self._is_interrupted = True
        if not self._is_meeting:
            self._is_meeting = True  # a second one waits until the others are told
            self._handle()
            self._is_meeting = False

    def _handle(self) -> None:
        if self._is_interrupted and self._handler is not None:
            self._is_interrupted = False
            self._handler(signal.SIGINT, None)

    def _meet(self, purpose: int, value: float = 0.0) -> FloatArray:
        """Return the values of all ranks that come for the same; the meeting goes on after that.

        Raises
        ------
        RankError
            If a rank has failed, or has come for something else.
        """
        self._is_meeting = self._is_over = True
        heads = np.empty((self.part[1], 2))
        self._comm.Allgather(np.array([purpose, value], dtype=np.float64), heads)
        failed = np.flatnonzero(heads[:, 0] == FAILED).tolist()
        if failed:
            reasons = self._comm.allgather(self._failure)
            if purpose != FAILED:
                raise RankError(f"rank {failed[0]} of {len(heads)} failed: {reasons[failed[0]]}")
        elif np.any(heads[:, 0] != purpose):
            raise RankError(
                f"the {len(heads)} ranks must make the same calls, got {heads[:, 0]} as what they "
                "come for"
            )
        return heads[:, 1]

    def _go_on(self) -> None:
        """Leave a meeting."""
        self._is_over = self._is_meeting = False
        self._handle()


def _as_bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    return array.reshape(-1).view(np.uint8)
