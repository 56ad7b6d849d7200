"""Memory that is used again is never used twice at a time, and holds nothing of before."""

import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import FrameType

import numpy as np
import pytest

from eventsim._support import arrays as _arrays

LARGE = 10_000  # numbers


@pytest.mark.parametrize("shape", [(1,), (3, 8), (LARGE,), (5, LARGE), (_arrays.LARGEST,)])
def test_rows_of_whole_lines_are_aligned(shape: tuple[int, ...]) -> None:
    array = _arrays.empty(*shape)
    assert (array.shape, array.dtype) == (shape, np.float64)
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert array.ctypes.data % 64 == 0


def test_other_types_and_no_entries() -> None:
    assert _arrays.empty(7, dtype=np.int64).dtype == np.int64
    assert _arrays.empty(0).shape == (0,)
    assert _arrays.zeros(2, 0).shape == (2, 0)


def test_memory_comes_back_with_the_last_array_that_looks_at_it() -> None:
    first = _arrays.zeros(4, LARGE)
    place = first.ctypes.data
    row = first[1]
    del first
    gc.collect()
    row[:] = 7.0
    other = _arrays.zeros(4, LARGE)
    assert other.ctypes.data != place
    assert np.all(row == 7.0)
    del row
    gc.collect()
    again = _arrays.zeros(4, LARGE)
    assert again.ctypes.data == place
    assert not again.any()
    assert not other.any()


def test_arrays_alive_at_once_share_nothing() -> None:
    for _ in range(3):
        arrays = [_arrays.empty(LARGE) for _ in range(2 * _arrays.MOST)]
        for k, array in enumerate(arrays):
            array.fill(k)
        assert [float(array.min()) for array in arrays] == list(range(len(arrays)))
        assert [float(array.max()) for array in arrays] == list(range(len(arrays)))


def test_only_some_of_each_size_are_kept() -> None:
    arrays = [_arrays.empty(LARGE) for _ in range(2 * _arrays.MOST)]
    del arrays
    gc.collect()
    assert max(len(spare) for spare in _arrays._spare.values()) == _arrays.MOST


def test_a_large_array_is_no_larger_than_asked_for_and_not_kept() -> None:
    array = _arrays.zeros(_arrays.LARGEST // 8 + 1000)
    assert array.ctypes.data % 64 == 0
    assert not array.any()
    assert array.base.nbytes <= array.nbytes + 64
    kept = {size: len(spare) for size, spare in _arrays._spare.items()}
    del array
    gc.collect()
    assert kept == {size: len(spare) for size, spare in _arrays._spare.items()}


def test_no_python_runs_while_an_array_is_freed() -> None:
    """Else a signal would be handled then, and an exception that its handler raises be lost."""
    array, events = _arrays.empty(LARGE), []
    spare = _arrays._spare[1 << (8 * LARGE).bit_length()]
    spare.clear()
    sys.setprofile(lambda *event: events.append(event[1]))
    del array
    sys.setprofile(None)
    assert events == ["c_call"]  # of setprofile
    assert len(spare) == 1


def test_an_exception_between_any_two_instructions_leaves_memory_that_can_be_used() -> None:
    """Ctrl-C or a MemoryError may come anywhere, with memory kept before or without."""
    inside = {_arrays.__file__, weakref.__file__}
    for keeps in (False, True):
        _arrays._spare[1 << (8 * LARGE).bit_length()].clear()
        if keeps:
            _arrays.empty(LARGE)
        raised, at = 0, 0
        while raised == at:
            raised += stopped_at_instruction(at, inside)
            at += 1
            assert_usable()
        assert raised > 50


def stopped_at_instruction(number: int, files: set[str]) -> bool:
    """Raise at an instruction while an array is made and freed; tell whether there are as many."""
    passed = 0

    def trace(frame: FrameType, event: str, arg: object) -> Callable[..., object] | None:
        nonlocal passed
        if frame.f_code.co_filename not in files:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            passed += 1
            if passed == number + 1:
                raise KeyboardInterrupt
        return trace

    tracer = sys.gettrace()
    sys.settrace(trace)
    try:
        _arrays.empty(LARGE)
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(tracer)  # that of the coverage, where it is measured
    return False


def assert_usable() -> None:
    arrays = [_arrays.empty(LARGE) for _ in range(2)]
    for k, array in enumerate(arrays):
        array.fill(k)
    assert [float(array.min()) for array in arrays] == [0.0, 1.0]


def test_nothing_is_kept_where_it_is_switched_off() -> None:
    script = (
        "from eventsim._support import arrays; arrays.empty(1000); "
        "print(sum(len(spare) for spare in arrays._spare.values()))"
    )
    for setting, kept in (("0", "0"), ("", "1")):
        environment = os.environ | {"EVENTSIM_KEPT_MEMORY": setting}
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.stdout.split() == [kept], done.stderr


def test_arrays_that_live_until_the_end_leave_in_silence() -> None:
    script = "import numpy; from eventsim._support import arrays; numpy.kept = arrays.empty(1000)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_threads_share_nothing() -> None:
    def fill(number: int) -> bool:
        for _ in range(300):
            array = _arrays.empty(LARGE)
            array.fill(number)
            if np.any(array != number):
                return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(fill, range(8)))
