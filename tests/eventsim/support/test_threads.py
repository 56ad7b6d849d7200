"""Work cut into parts: all of it once, whatever the number of threads."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eventsim as es
import eventsim.causality
import eventsim.result
import gradients
from eventsim._support.threads import LEAST_WORK, LONG_WORK, for_each_part, interruptible
from eventsim._support.types import BoolArray


def parts_of(n: int, threads: int, work: float) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for_each_part(lambda first, last: found.append((first, last)), n, threads, work)
    return sorted(found)


@given(st.integers(1, 100), st.integers(1, 5), st.sampled_from([0.0, 1.5, 6, 1e9]))
def test_parts_follow_each_other_and_cover_the_range(n: int, threads: int, pieces: float) -> None:
    parts = parts_of(n, threads, pieces * LEAST_WORK)
    assert parts[0][0] == 0
    assert parts[-1][1] == n
    assert all(first < last for first, last in parts)
    assert [first for first, _ in parts[1:]] == [last for _, last in parts[:-1]]
    assert len(parts) <= max(1.0, pieces)
    # Each thread gets as many as the others.
    assert len(parts) <= threads or len(parts) % min(threads, n) == 0


def test_parts_that_are_costly_are_no_more_than_threads_or_large() -> None:
    cut = partial(for_each_part, n_samples=100, threads=2, costly=4.0)
    for pieces, n in ((1.9, 1), (2.0, 2), (15.0, 2), (16.0, 4), (40.0, 8)):
        parts: list[tuple[int, int]] = []
        cut(lambda *part, found=parts: found.append(part), work=pieces * LEAST_WORK)
        assert len(parts) == n


def test_one_thread_or_little_work_stays_with_the_caller() -> None:
    callers: list[int] = []
    for threads, work in ((1, 1e12), (4, 1.9 * LEAST_WORK)):
        for_each_part(lambda *_: callers.append(threading.get_ident()), 100, threads, work)
    assert callers == [threading.get_ident()] * 2


def test_much_work_is_spread_over_threads() -> None:
    barrier = threading.Barrier(3, timeout=30.0)
    for_each_part(lambda *_: barrier.wait(), 3, threads=3)
    assert not barrier.broken


@pytest.mark.parametrize("kind", [ValueError, IndexError])
@pytest.mark.parametrize("bad", range(4))
def test_an_error_is_raised_when_nothing_runs_any_more(kind: type[Exception], bad: int) -> None:
    running: list[int] = []

    def part(first: int, _: int) -> None:
        running.append(first)
        try:
            if first == bad:
                raise kind(f"part {first}")
            time.sleep(0.01)
        finally:
            running.remove(first)

    with pytest.raises(kind, match=f"part {bad}"):
        for_each_part(part, 4, threads=2)
    assert not running


def test_nothing_begins_after_an_error() -> None:
    begun: list[int] = []

    def part(first: int, _: int) -> None:
        begun.append(first)
        time.sleep(0.02)
        raise ValueError(f"part {first}")

    with pytest.raises(ValueError, match="part"):
        for_each_part(part, 8, threads=2)
    assert len(begun) <= 2


def test_a_part_may_be_cut_again() -> None:
    found: list[int] = []
    for_each_part(lambda a, _: for_each_part(lambda b, _: found.append(2 * a + b), 2, 2), 2, 2)
    assert sorted(found) == [0, 1, 2, 3]


# --- calls that Ctrl-C ends -----------------------------------------------------------------------


@pytest.mark.parametrize("work", [0.0, 2.0 * LONG_WORK])
def test_a_call_gives_its_result_and_its_errors(work: float) -> None:
    assert interruptible(lambda _stop: 7, work) == 7
    with pytest.raises(ZeroDivisionError):
        interruptible(lambda _stop: 1 // 0, work)


def test_only_long_work_leaves_the_thread_of_the_caller() -> None:
    for work, stays in ((0.5 * LONG_WORK, True), (2.0 * LONG_WORK, False)):
        thread = interruptible(lambda _stop: threading.current_thread(), work)
        assert (thread is threading.current_thread()) == stays


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent as a POSIX signal")
def test_control_c_tells_a_long_call_to_stop_and_waits_for_it() -> None:
    seen = []

    def until_told(stop: BoolArray) -> None:
        while not stop[0]:
            time.sleep(0.001)
        seen.append("stop")

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            interruptible(until_told, 2.0 * LONG_WORK)
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == ["stop"]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be made by fork")
def test_a_forked_process_has_threads_of_its_own() -> None:
    """Those of its parent are gone: it must not wait for them, and have as many again."""

    def callers() -> int:
        seen = set()

        def part(*_: int) -> None:
            seen.add(threading.get_ident())
            time.sleep(0.02)

        for_each_part(part, 12, 3, 12.0 * LEAST_WORK)
        return len(seen)

    callers()  # helpers are there, and wait
    child = os.fork()
    if not child:
        os._exit(0 if callers() > 1 else 1)
    end = time.monotonic() + 60.0
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
            pytest.fail("the forked process hangs")
        time.sleep(0.01)
    assert ended == (child, 0)


def told(function: Callable[[BoolArray], Any], work: float) -> Any:
    return function(np.ones(1, dtype=np.bool_))


def test_every_long_loop_stops_when_told(monkeypatch: pytest.MonkeyPatch) -> None:
    network = es.Network()
    network.add_input("in", 1)
    network.add_population("p", 1, es.LIF(tau_mem=1.0, tau_syn=2.0))
    key = network.connect("in", "p", weights=[[8.0]])
    result = es.simulate(network, {"in": es.Spikes([0.1], [0])}, 2.0, engine="scheduler")
    n = len(result.spikes["p"])
    assert n > 1

    def found() -> list[Any]:
        return [
            result.potential("p", at=[0.5, 1.0]),
            result.causality().arrivals.time,
            gradients.timing_backprop(result, spike_times={"p": np.ones(n)}).weights[key],
            gradients.jvp(result, weights={key: [[1.0]]})["p"],
        ]

    assert all(np.any(values) for values in found())
    sweeps = (sys.modules["gradients.timing_backprop"], sys.modules["gradients.jvp"])
    for module in (eventsim.result, eventsim.causality, *sweeps):
        monkeypatch.setattr(module, "interruptible", told)
    monkeypatch.setattr(np, "empty", np.zeros)  # what is not filled
    assert not any(np.any(values) for values in found())
