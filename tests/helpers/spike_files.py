"""What tests of spikes in files share: any spikes, and what an error has to say."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

import eventsim as es

# What nobody may read as a spike: no time, or none that a run can have.
NO_TIMES = ["nan", "inf", "-inf", "-0.5", "1e999", "0x1p3", "1_0", "", "x", "١", "0.5.5", "--1"]
NO_NEURONS = ["-1", "0.5", "1e3", "nan", "", "x", "1_0", "٣", str(2**63), "9" * 400]


@contextlib.contextmanager
def unsynced() -> Iterator[None]:
    """Let files be written so often that nobody can wait for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


def runs(names: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, es.Spikes]]:
    """Spikes of some populations: any times, ties and spikes that are there twice."""
    time = st.one_of(st.sampled_from([0.0, 0.1, 0.5, 5e-324, 1e99]), st.floats(0.0, 1e99))
    spike = st.tuples(time, st.one_of(st.integers(0, 5), st.just(2**63 - 1)))
    spikes = st.lists(spike, max_size=12).map(
        lambda pairs: es.Spikes([t for t, _ in pairs], [i for _, i in pairs])
    )
    return st.dictionaries(names, spikes, max_size=3)


def assert_same(one: Mapping[str, es.Spikes], two: Mapping[str, es.Spikes]) -> None:
    """All spikes are equal, to the bit."""
    assert list(one) == list(two)
    for name, spikes in one.items():
        assert spikes.times.tobytes() == two[name].times.tobytes()
        np.testing.assert_array_equal(spikes.indices, two[name].indices)


def refused_or_read(path: Path, read: Callable[[Path], Any]) -> Any:
    """Return what is read, or None after the one error: a line that begins with the path."""
    try:
        return read(path)
    except ValueError as error:
        message = str(error)
    assert message.startswith(f"{path} ")
    assert len(message.splitlines()) == 1
    return None
