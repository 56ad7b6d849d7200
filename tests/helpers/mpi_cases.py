"""What the ranks of MPI are asked: ``mpiexec -n 3 python -m mpi4py -m tests.helpers.mpi_cases``.

All three run together, then two of them beside the third one.  Each also runs everything alone, and
compares.  Networks are few and small: most of it is tried with the ranks of `tests.helpers.ranks`.

With a folder as an argument they stream a run into it, and the last rank is killed on the way.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import eventsim as es
from eventsim._engines.windows import sample
from eventsim.ranks import world
from tests.helpers.ranks import RUNS, assert_same_to_the_bit, between, cortex


def the_same_bits(comm: Any) -> None:
    for run in RUNS:
        whole = es.simulate(*run(), engine="windows", threads=1)
        for part in ((0, 1), (comm.rank, comm.size)):
            assert_same_to_the_bit(es.simulate(*run(part), comm=comm), whole)


def pieces(comm: Any) -> None:
    network, stimulus, t_stop = cortex()
    whole = es.simulate(network, stimulus, t_stop, engine="windows", threads=1)
    half = es.simulate(network, between(stimulus, -1.0, 5.0), 5.0, comm=comm)
    late = between(stimulus, 5.0, t_stop)
    for of in (comm, None):
        found = es.simulate(network, late, t_stop, resume=half, comm=of)
        assert_same_to_the_bit(found, whole)


def the_cap(comm: Any) -> None:
    errors = [failure(cortex(), max_spikes=90, **to) for to in ({"comm": comm}, ALONE)]
    assert isinstance(errors[0], es.ActivityError)
    assert str(errors[0]) == str(errors[1])


def arguments_that_differ(comm: Any) -> None:
    network, stimulus, t_stop = cortex()
    error = failure((network, stimulus, t_stop + (comm.rank == comm.size - 1)), comm=comm)
    assert (error is None) == (comm.size == 1)
    assert error is None or str(error).startswith("t_stop must be the same on all ranks, got 14.0")


def a_rank_fails(comm: Any) -> None:
    ends_on_all(comm, MemoryError("no room"), lambda: None)


def a_rank_is_interrupted(comm: Any) -> None:
    ends_on_all(comm, KeyboardInterrupt(), lambda: os.kill(os.getpid(), signal.SIGINT))


def ends_on_all(comm: Any, error: BaseException, interrupt: Callable[[], None]) -> None:
    """Let the last rank fail in its third window: all end, and can run again."""
    inner, calls, last = sample.advance_windows, [0], comm.size - 1

    def third(*arguments: Any) -> int:
        calls[0] += 1
        if calls[0] == 3:
            interrupt()
            raise error
        return int(inner(*arguments))

    with mock.patch.object(sample, "advance_windows", third if comm.rank == last else inner):
        found = failure(cortex(), comm=comm)
    if comm.rank == last:
        assert type(found) is type(error)
    else:
        name = f"rank {last} of {comm.size} failed: {type(error).__name__}"
        assert isinstance(found, es.RankError)
        assert str(found).startswith(name), found
    es.simulate(*cortex(), comm=comm)


ALONE: dict[str, Any] = {"engine": "windows", "threads": 1}


def failure(run: Any, **options: Any) -> BaseException | None:
    """The error of a run, if it fails."""
    try:
        es.simulate(*run, **options)
    except BaseException as error:
        return error
    return None


CHUNK, PARTS_BEFORE = 3.5, 2  # of the run in which a rank is killed


def a_rank_is_killed(comm: Any, folder: Path) -> None:
    """Stream a run into files; in the midst of the third part nobody may wait for the last rank."""
    (folder / f"{comm.rank}.pid").write_text(str(os.getpid()))
    inner, calls = sample.advance_windows, [0]

    def third(*arguments: Any) -> int:
        calls[0] += 1
        if calls[0] == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return int(inner(*arguments))

    network, stimulus, t_stop = cortex((comm.rank, comm.size))
    parts = es.stream(network, stimulus, t_stop, chunk=CHUNK, comm=comm)
    for number in range(PARTS_BEFORE):
        times = next(parts).spikes["e"].times
        if comm.rank == 0:
            np.save(folder / f"{number}.npy", times)
    with mock.patch.object(
        sample, "advance_windows", third if comm.rank == comm.size - 1 else inner
    ):
        next(parts)


def all_checks(everyone: Any) -> None:
    for comm in (everyone, everyone.Split(color=everyone.rank // 2)):
        for check in (
            the_same_bits, pieces, the_cap, arguments_that_differ, a_rank_fails,
            a_rank_is_interrupted,
        ):  # fmt: skip
            check(comm)
        sys.stdout.write(f"rank {comm.rank} of {comm.size} is done\n")


if __name__ == "__main__":
    if sys.argv[1:]:
        a_rank_is_killed(world(), Path(sys.argv[1]))
    else:
        all_checks(world())
