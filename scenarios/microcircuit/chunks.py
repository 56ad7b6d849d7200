"""A long run, chunk by chunk: what is done is on disk, and a run that was stopped goes on from it.

Each chunk leaves its spikes in a file of its own, and in a checkpoint what the next one needs: the
states of the neurons and of the generators, and spikes that may still arrive.
"""

from __future__ import annotations

import io
import math
import pickle
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

import eventsim as es
from scenarios.microcircuit.in_nest import peak_memory
from scenarios.running.checkpoint import Arrays, load_of_run, remove_old, save_of_run
from scenarios.running.console.progress import Progress
from scenarios.running.records import OtherRunError

__all__ = ["CHUNK", "load", "run"]

CHUNK = 100.0  # ms
WARM_UP = 20.0  # ms, in which the engine is compiled and arranges the synapses
OF_NUMPY = (("numpy", "dtype"), ("numpy._core.numeric", "_frombuffer"))  # what makes an array
Build: TypeAlias = Callable[[], tuple[es.Network, dict[str, es.State]]]


def run(build: Build, duration: float, threads: int, folder: Path, progress: Progress) -> None:
    """Simulate up to a time, as far as an earlier session has not.

    Parameters
    ----------
    build : callable
        Returns the network and the state at the start, the same ones each time.
    duration : float
        End of the run.
    threads : int
        Of the engine.
    folder : Path
        Where the chunks are; `load` reads them.
    progress : Progress
        Is told of each chunk.
    """
    total, done = math.ceil(duration / CHUNK), sum(1 for _ in load(folder))
    if done < total:
        net, initial = build()
        with progress.compiling():
            _warm_up(net, initial, min(WARM_UP, duration), threads)
        done, begun = _latest(folder, done, net)
        start: dict[str, Any] = {"initial": initial} if begun is None else {"resume": begun}
        names = list(net.populations)
        parts = es.stream(
            net, {}, duration, chunk=CHUNK, engine="windows", record=names, threads=threads, **start
        )
        with progress.task(math.ceil(duration), done * round(CHUNK)) as tell:
            for k in range(done + 1, total + 1):
                part, pace = _kept(parts, folder, k, k < total)
                tell(part.t_stop, {"speed": pace})
    for path in folder.glob("checkpoint-*.npz"):
        path.unlink()


def _kept(
    parts: Iterator[es.Result | es.BatchResult], folder: Path, k: int, goes_on: bool
) -> tuple[es.Result, float]:
    """Simulate the k-th chunk and leave its files; return it, and model time per second."""
    clock, processor = time.perf_counter(), time.process_time()
    part = next(parts)
    assert isinstance(part, es.Result)
    seconds = time.process_time() - processor
    save_of_run(_path(folder, k), _spikes(part, seconds))
    if goes_on:
        _save_state(folder, k, part)
    return part, (part.t_stop - part.t_start) / 1000.0 / (time.perf_counter() - clock)


def load(folder: Path) -> Iterator[Arrays]:
    """Read the chunks of a run so far, up to the first one that is not there or not whole.

    Yields
    ------
    dict
        "times" and "indices" of spikes, neurons numbered through all populations; "t_stop", and
        the "seconds" of a processor that the chunk took, and the most "memory" that the process has
        had.

    Raises
    ------
    OtherRunError
        If a chunk belongs to another run.
    """
    for k in count(1):
        chunk = _intact(_path(folder, k))
        if chunk is None:
            return
        yield chunk


def _path(folder: Path, k: int) -> Path:
    return folder / f"spikes-{k:06d}.npz"


def _intact(path: Path) -> Arrays | None:
    """Return what a file holds; None if there is none, with a warning if it is damaged."""
    if not path.exists():
        return None
    try:
        return load_of_run(path)
    except OtherRunError:
        raise
    except ValueError as error:
        warnings.warn(f"{error}; this is simulated again", RuntimeWarning, stacklevel=3)
        return None


def _warm_up(
    net: es.Network, initial: Mapping[str, es.State], duration: float, threads: int
) -> None:
    es.simulate(net, {}, duration, engine="windows", initial=initial, record=[], threads=threads)


def _spikes(part: es.Result, seconds: float) -> Arrays:
    net = part.network
    found = [(part.spikes[name], net.neurons_of(name).start) for name in net.populations]
    return {
        "times": np.concatenate([spikes.times for spikes, _ in found]),
        "indices": np.concatenate([spikes.indices + first for spikes, first in found]),
        "t_stop": np.asarray(part.t_stop),
        "seconds": np.asarray(seconds),
        "memory": np.asarray(peak_memory()),
    }


# --- what a chunk goes on from --------------------------------------------------------------------


def _save_state(folder: Path, k: int, part: es.Result) -> None:
    buffer = io.BytesIO()
    _Writer(buffer, part.network).dump(part)
    state = np.frombuffer(buffer.getbuffer(), dtype=np.uint8)
    save_of_run(folder / f"checkpoint-{k:06d}.npz", {"state": state})
    remove_old(folder)


def _latest(folder: Path, done: int, net: es.Network) -> tuple[int, es.Result | None]:
    """Return the last chunk that the run can go on from, of those done, and its end.

    If there is none, the run begins anew.
    """
    for k in range(done, 0, -1):
        path = folder / f"checkpoint-{k:06d}.npz"
        arrays = _intact(path)
        if arrays is None:
            continue
        try:
            return k, _Reader(io.BytesIO(arrays["state"].tobytes()), net).load()
        except (AttributeError, KeyError, TypeError, ValueError, pickle.UnpicklingError) as error:
            # Another version of the package may have written it.
            message = f"{path} cannot be used: {error}; an earlier one is"
            warnings.warn(message, RuntimeWarning, stacklevel=2)
    return 0, None


class _Writer(pickle.Pickler):
    """Writes a part of a run without the network and its generators, which can be built again."""

    def __init__(self, file: io.BytesIO, net: es.Network) -> None:
        super().__init__(file, protocol=5)
        self.names = {id(generator): name for name, generator in net.generators.items()}

    def persistent_id(self, obj: Any) -> str | None:
        if isinstance(obj, es.Network):
            return ""  # no generator is called that
        return self.names.get(id(obj))


class _Reader(pickle.Unpickler):
    """Reads what `_Writer` wrote.  It makes arrays and instances of eventsim's classes, no more."""

    def __init__(self, file: io.BytesIO, net: es.Network) -> None:
        super().__init__(file)
        self.net = net

    def persistent_load(self, pid: str) -> Any:
        return self.net.generators[pid] if pid else self.net

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in OF_NUMPY:
            return super().find_class(module, name)
        kind = getattr(sys.modules.get(module), name, None)
        if module.startswith("eventsim.") and isinstance(kind, type) and kind.__module__ == module:
            return kind
        raise pickle.UnpicklingError(f"a checkpoint must not hold {module}.{name}")
