"""Other simulators, each with an interpreter of its own."""

import sys
import weakref
from pathlib import Path

import numpy as np
import pytest

from scenarios.extras import MissingExtraError
from scenarios.networks.beside import Simulator, SimulatorError, require_simulator, simulate

VARIABLE = "EVENTSIM_SOME_PYTHON"
SCRIPT = """
import os, pathlib, sys, numpy as np
word, given, found = sys.argv[1:]
arrays = dict(np.load(given))
if word == "fail":
    sys.exit("no such model")
more = [np.load(path)["n"] for path in sorted(pathlib.Path(given).parent.glob("more-*.npz"))]
np.savez(found, times=2.0 * arrays["times"], indices=[0, 1], seconds=0.5, more=more,
         threads=int(os.environ["OMP_NUM_THREADS"]))
"""


def simulator(script: Path, *arguments: str, threads: int = 1) -> Simulator:
    return Simulator("Some", "some_simulator", VARIABLE, script, arguments, threads)


@pytest.fixture
def script(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, sys.executable)
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    return path


def test_a_simulator_is_given_arrays_and_gives_spikes_back(script):
    found = simulate(simulator(script, "run"), {"times": np.array([1.0, 2.0])})
    np.testing.assert_array_equal(found["times"], [2.0, 4.0])
    np.testing.assert_array_equal(found["indices"], [0, 1])
    assert found["seconds"] == 0.5
    assert found["more"].size == 0
    assert found["threads"] == 1


def test_a_large_network_is_handed_over_piece_by_piece(script):
    """Nobody holds two pieces, nor the last one while the simulator runs."""
    held = []

    def pieces():
        for n in range(12):
            piece = {"n": np.array(n)}
            held.append(weakref.ref(piece["n"]))
            yield piece
            del piece
            assert held[-1]() is None

    found = simulate(simulator(script, "run", threads=3), {"times": np.zeros(1)}, pieces())
    np.testing.assert_array_equal(found["more"], np.arange(12))
    assert found["threads"] == 3


def test_a_simulator_that_fails_is_quoted(script):
    with pytest.raises(SimulatorError, match="Some has failed with exit code 1: no such model"):
        simulate(simulator(script, "fail"), {"times": np.zeros(3)})


def test_an_interpreter_without_the_simulator_is_refused(monkeypatch, tmp_path):
    lacking = tmp_path / "python"
    lacking.write_text("#!/bin/sh\nexit 1\n")
    lacking.chmod(0o755)
    monkeypatch.setenv(VARIABLE, str(lacking))
    with pytest.raises(MissingExtraError, match=f"import some_simulator, got {lacking}"):
        require_simulator(simulator(tmp_path))
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(MissingExtraError, match="nowhere"):
        require_simulator(simulator(tmp_path))
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(MissingExtraError, match=f"got no interpreter.*{VARIABLE}"):
        require_simulator(simulator(tmp_path))
