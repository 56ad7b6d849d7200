"""Ranks that are threads of one process, in the place of those of MPI, and what both run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import numpy as np

import eventsim as es

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
        self.rank, self.size, self.table = rank, len(table.places), table
        self.calls: list[int] = []

    def Get_rank(self) -> int:
        return self.rank

    def Get_size(self) -> int:
        return self.size

    def allgather(self, sendobj: Any) -> list[Any]:
        self.table.places[self.rank] = sendobj
        self.table.barrier.wait()
        gathered = list(self.table.places)
        self.table.barrier.wait()
        return gathered

    def Allgather(self, sendbuf: Any, recvbuf: Any) -> None:
        assert (recvbuf.dtype, recvbuf.nbytes) == (sendbuf.dtype, sendbuf.nbytes * self.size)
        self.calls.append(recvbuf.nbytes)
        recvbuf[...] = self.allgather(sendbuf.copy())

    def Allgatherv(self, sendbuf: Any, recvbuf: Any) -> None:
        everything, sizes = recvbuf
        assert sendbuf.dtype == everything.dtype == np.uint8
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


def assert_same_to_the_bit(found: es.Result | es.BatchResult, expected: Any) -> None:
    """Spikes, counters, and all that a resumed run starts from."""
    ours, theirs = (getattr(result, "batch", result) for result in (found, expected))
    for name in ("record", "state"):
        for field in getattr(theirs, name)._fields:
            one, other = (getattr(getattr(result, name), field) for result in (ours, theirs))
            np.testing.assert_array_equal(one, other, err_msg=field)
    np.testing.assert_array_equal(ours.offsets, theirs.offsets)
    np.testing.assert_array_equal(ours.ends, theirs.ends)
    assert ours.events == theirs.events
    assert ours.near_touches == theirs.near_touches


# --- runs that have everything --------------------------------------------------------------------

Run: TypeAlias = tuple[es.Network, dict[str, es.Spikes], float]


def cortex(part: tuple[int, int] = (0, 1), *, apart: bool = False) -> Run:
    """Excitation, inhibition and a single neuron; parameters that differ, own delays, a multapse.

    With ``apart`` each sign has a receptor of its own, and some inputs charge.
    """
    rng = np.random.default_rng(5)
    network, tau = es.Network(part), 1.0
    receptors: dict[str, str | None] = dict.fromkeys(("exc", "inh", "charge"))
    if apart:
        receptors, tau = {name: name for name in receptors}, {"exc": 1.0, "inh": 2.0, "charge": 0}
    network.add_input("in", 30)
    sizes = {"e": 43, "i": 14, "one": 1}
    for name, n in sizes.items():
        threshold = rng.uniform(0.9, 1.1, n)
        held = {"e": 0.3, "i": 1.3, "one": 0.0}[name]  # longer than a window: what is released
        network.add_population(  # then changes after the spike was exchanged
            name, n, es.LIF(tau_mem=4.0, tau_syn=tau, threshold=threshold, refractory=held)
        )
    for post, n in sizes.items():
        drive = es.fixed_indegree(30, n, 6, weights=0.9, delays=0.1, seed=n)
        network.connect("in", post, drive, receptor=receptors["exc"])
        kicks = 0.3 * (rng.random((30, n)) < 0.1)
        network.connect("in", post, weights=kicks, delays=0.2, receptor=receptors["charge"])
        for pre, sign in (("e", "exc"), ("i", "inh")):
            synapses = es.fixed_indegree(
                sizes[pre], n, min(8, sizes[pre]), weights=0.3 if sign == "exc" else -0.5,
                delays=lambda rng, m: rng.uniform(0.4, 2.0, m), seed=[n, sizes[pre]],
            )  # fmt: skip
            network.connect(pre, post, synapses, receptor=receptors[sign])
    network.connect(
        "one", "e", weights=np.full((1, 43), 0.2), delays=0.5, receptor=receptors["exc"]
    )
    spikes = es.Spikes(rng.uniform(0.0, 12.0, 400), rng.integers(0, 30, 400))
    return network, {"in": spikes}, 14.0


def receptors(part: tuple[int, int] = (0, 1)) -> Run:
    return cortex(part, apart=True)


def silence(part: tuple[int, int] = (0, 1)) -> Run:
    """Long pauses, at the end of which a neuron fires by its bias, or something arrives."""
    network = es.Network(part)
    network.add_input("in", 3)
    bias = np.array([0.0, 0.3, 0.5 + 1e-9, 0.2])
    network.add_population("p", 4, es.LIF(tau_mem=2.0, tau_syn=1.0, bias=bias, refractory=0.4))
    network.add_population("q", 2, es.LIF(tau_mem=3.0, tau_syn=1.0))
    network.connect("in", "p", weights=3.0 * np.eye(3, 4), delays=0.2)
    network.connect("p", "q", weights=np.full((4, 2), 1.5), delays=0.5)
    network.connect("q", "p", weights=np.full((2, 4), -0.5), delays=0.7)
    times = np.array([0.3, 0.4, 100.0, 100.7, 300.0])
    return network, {"in": es.Spikes(times, [0, 1, 2, 0, 0])}, 400.1


RUNS: tuple[Callable[..., Run], ...] = (cortex, receptors, silence)


def between(stimulus: dict[str, es.Spikes], begin: float, stop: float) -> dict[str, es.Spikes]:
    """The spikes of a stimulus within (begin, stop]."""
    train = stimulus["in"]
    own = (train.times > begin) & (train.times <= stop)
    return {"in": es.Spikes(train.times[own], train.indices[own])}
