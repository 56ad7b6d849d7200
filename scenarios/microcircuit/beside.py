"""The same network in NEST, in a process with an interpreter of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from scipy import sparse

import eventsim as es
from scenarios.extras import MissingExtraError
from scenarios.microcircuit.model import C_M, DELAY_OUTSIDE, NEURON, TAU_SYN, Circuit
from scenarios.running.checkpoint import Arrays

__all__ = ["STEP", "NestError", "require_nest", "simulate"]

STEP = 0.1  # ms: the grid of its spikes and delays
VARIABLE = "EVENTSIM_NEST_PYTHON"
SCRIPT = Path(__file__).parent / "in_nest.py"


class NestError(RuntimeError):
    """NEST has failed."""


def require_nest() -> None:
    """Check that NEST can be imported where it is run.

    Raises
    ------
    MissingExtraError
        If it cannot, with what to do.
    """
    python = _python()
    if python is None or not _can_import_nest(python):
        raise MissingExtraError(
            f"--beside nest needs an interpreter that can import nest, got "
            f"{python or 'no interpreter'}; `make peers` installs one, {VARIABLE} names it"
        )


def _python() -> str | None:
    """Return the interpreter: that of the variable, or this one if it has NEST."""
    return os.environ.get(VARIABLE) or (sys.executable if find_spec("nest") else None)


def _can_import_nest(python: str) -> bool:
    try:
        return _run([python, "-c", "import nest"]).returncode == 0
    except OSError:  # it is no program
        return False


def simulate(
    build: Callable[[], tuple[es.Network, Mapping[str, es.State]]],
    circuit: Circuit,
    *,
    duration: float,
    threads: int,
    seed: int,
) -> Arrays:
    """Run the same synapses from the same potentials.

    Parameters
    ----------
    build : callable
        Returns the network and the state at the start; they are not kept while NEST runs.
    circuit : Circuit
        What they are made of.
    duration : float
        A multiple of `STEP`, ms.
    threads : int
        Of NEST.
    seed : int
        Of the spikes from outside.

    Returns
    -------
    dict
        "times" and "indices" of the spikes, the "seconds" of a processor that the run took, and
        the most "memory" that the process had, in bytes.

    Raises
    ------
    NestError
        If NEST fails, with its last words.
    """
    python = _python()
    assert python is not None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _export(*build(), circuit, folder)
        words = [str(folder), str(duration), str(STEP), str(threads), str(seed + 1)]
        done = _run([python, str(SCRIPT), *words])
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            raise NestError(f"NEST has failed with exit code {done.returncode}: {''.join(last)}")
        with np.load(folder / "spikes.npz") as file:
            return dict(file)


def _export(
    net: es.Network, initial: Mapping[str, es.State], circuit: Circuit, folder: Path
) -> None:
    """Write all that NEST must know: in pA and ms, neurons numbered through all populations."""
    neuron = {**NEURON, "C_m": C_M, "tau_syn_ex": TAU_SYN, "tau_syn_in": TAU_SYN}
    np.savez(
        folder / "neurons.npz",
        sizes=circuit.sizes,
        bias=circuit.bias * C_M,
        rate=circuit.rates_outside * 1000.0,
        weight=circuit.weight_outside * C_M,
        delay=DELAY_OUTSIDE,
        potential=np.concatenate([np.asarray(initial[p].potential) for p in net.populations]),
        names=list(neuron),
        values=list(neuron.values()),
    )
    inside = (p for p in net.projections.values() if p.pre in net.populations)
    for k, projection in enumerate(inside):
        form = projection.weights
        assert isinstance(form, sparse.csr_array)
        pre, post = (net.neurons_of(name) for name in (projection.pre, projection.post))
        np.savez(
            folder / f"synapses-{k:02d}.npz",
            pre=np.repeat(np.arange(pre.start, pre.stop), np.diff(form.indptr)),
            post=form.indices + post.start,
            weight=projection.values * C_M,
            delay=projection.delay_values,
        )


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command of another environment and keep what it says."""
    environment = dict(os.environ)
    environment.pop("PYTHONPATH", None)  # of this environment
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
