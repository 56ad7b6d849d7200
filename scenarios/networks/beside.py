"""Other simulators, each in a process with an interpreter of its own."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import numpy as np

from scenarios.extras import MissingExtraError
from scenarios.running.checkpoint import Arrays

__all__ = ["NEST", "Simulator", "SimulatorError", "check_beside", "require_simulator", "simulate"]

NEST = ("nest", "EVENTSIM_NEST_PYTHON")  # its module, and the variable


@dataclass(frozen=True)
class Simulator:
    """Another simulator.

    Attributes
    ----------
    title : str
        Name in tables and pictures.
    module : str
        What its interpreter must be able to import.
    variable : str
        The environment variable that names that interpreter.
    script, arguments : Path, tuple of str
        What is run there, and what it is told before the two paths.
    threads : int
        That it may use.
    """

    title: str
    module: str
    variable: str
    script: Path
    arguments: tuple[str, ...] = ()
    threads: int = 1

    @property
    def python(self) -> str | None:
        """The interpreter: that of the variable, or this one if it has the module."""
        here = sys.executable if find_spec(self.module) else None
        return os.environ.get(self.variable) or here


class SimulatorError(RuntimeError):
    """Another simulator has failed."""


def check_beside(names: Sequence[str], step: float, **times: float) -> None:
    """Raise a ValueError if a simulator is named twice, or some times are no multiples of its step.

    Examples
    --------
    >>> check_beside(["nest"], 0.1, duration=60.05)
    Traceback (most recent call last):
        ...
    ValueError: duration must be a multiple of 0.1 ms, the step of nest, got 60.05
    """
    if len(set(names)) < len(names):
        raise ValueError(f"beside must name each simulator once, got {', '.join(names)}")
    for name in names:
        for what, value in times.items():
            if value < step or not math.isclose(value / step, round(value / step)):
                raise ValueError(
                    f"{what} must be a multiple of {step} ms, the step of {name}, got {value!r}"
                )


def require_simulator(simulator: Simulator) -> None:
    """Check that a simulator can be imported where it is run.

    Raises
    ------
    MissingExtraError
        If it cannot, with what to do.
    """
    python = simulator.python
    if python is None or not _can_import(python, simulator.module):
        raise MissingExtraError(
            f"{simulator.title} needs an interpreter that can import {simulator.module}, got "
            f"{python or 'no interpreter'}; `make peers` installs one, {simulator.variable} names "
            "it"
        )


def _can_import(python: str, module: str) -> bool:
    try:
        return _run([python, "-c", f"import {module}"], 1).returncode == 0
    except OSError:  # it is no program
        return False


def simulate(simulator: Simulator, network: Arrays, more: Iterable[Arrays] = ()) -> Arrays:
    """Have a simulator run a network.

    Parameters
    ----------
    simulator : Simulator
        Its script is told where the network is, and where it is to leave what it finds.
    network : dict of str -> ndarray
        All that it must know.
    more : iterable of dict of str -> ndarray
        What is not to lie in memory at once: files ``more-NUMBER.npz`` beside the network.

    Returns
    -------
    dict of str -> ndarray
        "times" and "indices" of the spikes, the "seconds" of a processor that it took, and
        whatever else the script leaves.

    Raises
    ------
    SimulatorError
        If the simulator fails, with its last words.
    """
    python = simulator.python
    assert python is not None, simulator
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder, "network.npz"), Path(folder, "spikes.npz")
        np.savez(given, **network)  # type: ignore[arg-type]
        paths = (Path(folder, f"more-{number:06d}.npz") for number in count())
        for arrays in more:
            np.savez(next(paths), **arrays)  # type: ignore[arg-type]
            del arrays  # before the next one is made
        words = (str(simulator.script), *simulator.arguments, str(given), str(found))
        done = _run([python, *words], simulator.threads)
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            raise SimulatorError(
                f"{simulator.title} has failed with exit code {done.returncode}: {''.join(last)}"
            )
        with np.load(found) as file:
            return dict(file)


def _run(command: Sequence[str], threads: int) -> subprocess.CompletedProcess[str]:
    """Run a command of another environment, on so many threads, and keep what it says."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    environment.pop("PYTHONPATH", None)  # of this environment
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
