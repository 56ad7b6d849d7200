"""Long runs on disk: a file of spikes for each chunk, and the state after the newest ones.

Each file of spikes can be read as soon as it is there (`numpy.load`).  A state is a result of
`eventsim.stream`, pickled without its network, which the one who goes on has; what reads it back
makes results and arrays of it, and nothing else.
"""

from __future__ import annotations

import io
import math
import pickle
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

import eventsim as es
from scenarios.running.checkpoint import Arrays, intact, remove_old, save_of_run
from scenarios.running.console.progress import Progress
from scenarios.running.memory import peak_memory

__all__ = ["Streamed", "pickled", "unpickled"]

MOST_SPIKES = 10**9  # of a chunk
FORMAT = 2  # of a state: another number where the engines mean something else by it
WARM_UP = 30.0  # ms, in which the engine is compiled and arranges the synapses
UNREADABLE = (  # what reading a pickle of another version may raise
    pickle.UnpicklingError, AttributeError, EOFError, ImportError, LookupError, TypeError,
    ValueError,
)  # fmt: skip
OF_NUMPY = {"_frombuffer", "_reconstruct", "dtype", "ndarray", "scalar"}  # what arrays are made by
Build: TypeAlias = Callable[[], tuple[es.Network, Mapping[str, es.State]]]


@dataclass(frozen=True, eq=False)
class Streamed:
    """A run whose spikes go to a folder.

    Attributes
    ----------
    build : callable
        Returns the network, whose inputs are generators, and the state at the start: the same ones
        each time.  A run that is done does not ask.
    t_stop, chunk : float
        End of the run, and of each of its chunks, ms.
    folder : Path
        Of this run alone.
    threads : int, optional
        As of `eventsim.simulate`.
    """

    build: Build
    t_stop: float
    chunk: float
    folder: Path
    threads: int | None = None

    def run(self, progress: Progress) -> Arrays:
        """Run what an earlier session has not, and return the spikes of all chunks.

        Parameters
        ----------
        progress : Progress
            Is told up to which time the run is done, and how fast it is.

        Returns
        -------
        dict of str -> ndarray
            "times" and "indices" of the spikes, chunk by chunk, the neurons numbered through all
            populations; the "seconds" of a processor that the chunks took, and the most "memory"
            that the process has had, in bytes.

        Raises
        ------
        OtherRunError
            If a file belongs to another run.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        chunks = self._chunks()
        if not chunks or chunks[-1]["until"] < self.t_stop:
            self._go_on(len(chunks), progress)
            chunks = self._chunks()
        for path in self.folder.glob("checkpoint-*.npz"):
            path.unlink()
        return {
            "times": np.concatenate([chunk["times"] for chunk in chunks]),
            "indices": np.concatenate([chunk["indices"] for chunk in chunks]),
            "seconds": np.sum([chunk["seconds"] for chunk in chunks]),
            "memory": np.max([chunk["memory"] for chunk in chunks]),
        }

    def _go_on(self, there: int, progress: Progress) -> None:
        """Run what is lacking, and leave it chunk by chunk; so many are there."""
        network, initial = self.build()
        options: dict[str, Any] = {
            "record": list(network.populations), "engine": "windows", "threads": self.threads,
            "max_spikes": MOST_SPIKES,
        }  # fmt: skip
        with progress.compiling():
            es.simulate(network, {}, min(WARM_UP, self.t_stop), initial=initial, **options)
        done, last = self._begun(there, network)
        begin = 0.0 if last is None else last.t_stop
        start = {"initial": initial} if last is None else {"resume": last}
        parts = es.stream(network, {}, self.t_stop, chunk=self.chunk, **start, **options)
        with progress.task(math.ceil(self.t_stop), math.floor(begin)) as tell:
            began, spent = time.perf_counter(), time.process_time()
            for number, part in enumerate(parts, done + 1):
                assert isinstance(part, es.Result)
                self._save(number, part, time.process_time() - spent)
                speed = (part.t_stop - begin) / 1000.0 / (time.perf_counter() - began)
                tell(part.t_stop, {"speed": speed})
                spent = time.process_time()

    def _save(self, number: int, part: es.Result, seconds: float) -> None:
        """Leave the spikes of a chunk, and what the next one goes on from."""
        save_of_run(self._path("spikes", number), _spikes_of(part, seconds))
        if part.t_stop < self.t_stop:
            save_of_run(self._path("checkpoint", number), {"result": pickled(part)})
            remove_old(self.folder)

    def _begun(self, there: int, network: es.Network) -> tuple[int, es.Result | None]:
        """Return the last chunk that the run can go on from, of those there, and its end.

        If there is none, the run begins anew.
        """
        for number in range(there, 0, -1):
            path = self._path("checkpoint", number)
            arrays = intact(path) if path.exists() else None
            if arrays is None:
                continue
            try:
                return number, unpickled(arrays["result"], network)
            except ValueError as error:
                message = f"{path}: {error}; what follows an earlier one is simulated again"
                warnings.warn(message, RuntimeWarning, stacklevel=2)
        return 0, None

    def _chunks(self) -> list[Arrays]:
        """Return the chunks from the first on, as far as they are there and intact."""
        chunks: list[Arrays] = []
        while (path := self._path("spikes", len(chunks) + 1)).exists():
            chunk = intact(path)
            if chunk is None:
                break
            chunks.append(chunk)
        return chunks

    def _path(self, what: str, number: int) -> Path:
        return self.folder / f"{what}-{number:06d}.npz"


def _spikes_of(part: es.Result, seconds: float) -> Arrays:
    net = part.network
    found = [(spikes, net.neurons_of(name).start) for name, spikes in part.spikes.items()]
    return {
        "times": np.concatenate([spikes.times for spikes, _ in found]),
        "indices": np.concatenate([spikes.indices + n for spikes, n in found]).astype(np.int32),
        "until": np.asarray(part.t_stop),
        "seconds": np.asarray(seconds),
        "memory": np.asarray(peak_memory()),
    }


def pickled(part: es.Result) -> NDArray[np.uint8]:
    """Return what a run goes on from, as bytes: the last stretch of a part, without its network."""
    kept = part.batch.kept
    assert kept is not None, part
    buffer = io.BytesIO()
    _Pickler(buffer, protocol=5).dump((FORMAT, kept.last))
    return np.frombuffer(buffer.getvalue(), dtype=np.uint8)


class _Pickler(pickle.Pickler):
    def persistent_id(self, value: Any) -> str | None:
        return "network" if isinstance(value, es.Network) else None


def unpickled(content: NDArray[np.uint8], network: es.Network) -> es.Result:
    """Return what was pickled, as a result of this network.

    Raises
    ------
    ValueError
        If it is of another version, or anything else.
    """
    try:
        found = _Unpickler(io.BytesIO(content.tobytes()), network).load()
    except UNREADABLE as error:
        raise ValueError(f"a state must hold a result and arrays: {error}") from error
    number, result = found if isinstance(found, tuple) and len(found) == 2 else (None, found)
    if number != FORMAT or not isinstance(result, es.BatchResult):
        got = f"{type(result).__name__} of format {number}"
        raise ValueError(f"a state must hold a result of format {FORMAT}, got {got}")
    return es.Result(result)


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, network: es.Network) -> None:
        super().__init__(file)
        self.network = network

    def persistent_load(self, word: str) -> es.Network:  # noqa: ARG002
        return self.network

    def find_class(self, module: str, name: str) -> Any:
        package = module.partition(".")[0]
        if package == "numpy" and name in OF_NUMPY:
            return super().find_class(module, name)
        found = super().find_class(module, name) if package == "eventsim" else None
        if not isinstance(found, type) or found.__module__ != module:  # a name may lead elsewhere
            raise pickle.UnpicklingError(f"got {module}.{name}")
        return found
