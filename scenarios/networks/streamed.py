"""Long runs on disk: a file of spikes for each chunk, and the state after the newest one.

Each file of spikes can be read as soon as it is there (`numpy.load`).  The state is a result of
`eventsim.stream`, pickled without its network, which the one who goes on has; what reads it back
makes results and arrays of it, and nothing else.
"""

from __future__ import annotations

import io
import pickle
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import eventsim as es
from scenarios.running.checkpoint import Arrays, intact, save_of_run
from scenarios.running.console.progress import Tell

__all__ = ["Streamed", "pickled", "unpickled"]

MOST_SPIKES = 10**9  # of a chunk
UNREADABLE = (  # what reading a pickle of another version may raise
    pickle.UnpicklingError, AttributeError, EOFError, ImportError, LookupError, TypeError,
    ValueError,
)  # fmt: skip
OF_NUMPY = {"_frombuffer", "_reconstruct", "dtype", "ndarray", "scalar"}  # what arrays are made by


@dataclass(frozen=True, eq=False)
class Streamed:
    """A run whose spikes go to a folder.

    Attributes
    ----------
    network : eventsim.Network
        Its inputs are generators.
    t_stop, chunk : float
        End of the run, and of each of its chunks.
    folder : Path
        Of this run alone.
    threads, engine
        As of `eventsim.simulate`.
    """

    network: es.Network
    t_stop: float
    chunk: float
    folder: Path
    threads: int | None = None
    engine: str = "auto"

    def warm_up(self) -> None:
        """Run it and leave nothing: what it needs is then compiled."""
        for _ in self._parts(None):
            pass

    def run(self, tell: Tell) -> Arrays:
        """Run what an earlier session has not, and return the spikes of all chunks.

        Parameters
        ----------
        tell : callable
            Is told up to which time the run is done, and how fast it is.

        Returns
        -------
        dict of str -> ndarray
            "times" and "indices" of the spikes, chunk by chunk, the neurons numbered through all
            populations; and the "seconds" of a processor that the chunks took.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        chunks = self._chunks()
        if not chunks or chunks[-1]["until"] < self.t_stop:
            self._go_on(len(chunks), tell)
            chunks = self._chunks()
        else:
            tell(self.t_stop, {})
        self._state.unlink(missing_ok=True)
        return {
            "times": np.concatenate([chunk["times"] for chunk in chunks]),
            "indices": np.concatenate([chunk["indices"] for chunk in chunks]),
            "seconds": np.sum([chunk["seconds"] for chunk in chunks]),
        }

    def _go_on(self, there: int, tell: Tell) -> None:
        """Run what is lacking, and leave it chunk by chunk; so many are there."""
        done, last = self._begun(there)
        begin, began = (0.0 if last is None else last.t_stop), time.perf_counter()
        tell(begin, {})
        started = time.process_time()
        for number, part in enumerate(self._parts(last), done + 1):
            seconds = time.process_time() - started
            save_of_run(self._path(number), _spikes_of(part, seconds))
            save_of_run(self._state, {"number": np.asarray(number), "result": pickled(part)})
            speed = (part.t_stop - begin) / 1000.0 / (time.perf_counter() - began)
            tell(part.t_stop, {"speed": speed})
            started = time.process_time()

    def _parts(self, resume: es.Result | None) -> Iterator[es.Result]:
        for part in es.stream(
            self.network, {}, self.t_stop, chunk=self.chunk, record=list(self.network.populations),
            resume=resume, threads=self.threads, engine=self.engine, max_spikes=MOST_SPIKES,
        ):  # fmt: skip
            assert isinstance(part, es.Result)
            yield part

    def _begun(self, there: int) -> tuple[int, es.Result | None]:
        """Return how many chunks are done, and the last one; none if what is needed is damaged."""
        arrays = intact(self._state) if self._state.exists() else None
        if arrays is None or arrays["number"] > there:
            return 0, None
        try:
            return int(arrays["number"]), unpickled(arrays["result"], self.network)
        except ValueError as error:
            message = f"{self._state}: {error}; this is simulated again"
            warnings.warn(message, RuntimeWarning, stacklevel=2)
            return 0, None

    def _chunks(self) -> list[Arrays]:
        """Return the chunks from the first on, as far as they are there and intact."""
        chunks: list[Arrays] = []
        while (path := self._path(len(chunks) + 1)).exists():
            chunk = intact(path)
            if chunk is None:
                break
            chunks.append(chunk)
        return chunks

    @property
    def _state(self) -> Path:
        return self.folder / "state.npz"

    def _path(self, number: int) -> Path:
        return self.folder / f"spikes-{number:06d}.npz"


def _spikes_of(part: es.Result, seconds: float) -> Arrays:
    sizes = part.network.populations
    first = dict(zip(sizes, np.cumsum([0, *sizes.values()]), strict=False))
    found = [(spikes, first[name]) for name, spikes in part.spikes.items()]
    return {
        "times": np.concatenate([spikes.times for spikes, _ in found]),
        "indices": np.concatenate([spikes.indices + n for spikes, n in found]).astype(np.int32),
        "until": np.asarray(part.t_stop),
        "seconds": np.asarray(seconds),
    }


def pickled(part: es.Result) -> NDArray[np.uint8]:
    """Return what a run goes on from, as bytes: the last stretch of a part, without its network."""
    kept = part.batch.kept
    assert kept is not None, part
    buffer = io.BytesIO()
    _Pickler(buffer, protocol=5).dump(kept.last)
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
    if not isinstance(found, es.BatchResult):
        raise ValueError(f"a state must hold a result, got {type(found).__name__}")
    return es.Result(found)


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, network: es.Network) -> None:
        super().__init__(file)
        self.network = network

    def persistent_load(self, word: str) -> es.Network:  # noqa: ARG002
        return self.network

    def find_class(self, module: str, name: str) -> Any:
        package, found = module.partition(".")[0], None
        if package == "eventsim" or (package == "numpy" and name in OF_NUMPY):
            found = super().find_class(module, name)
        if found is None or (package == "eventsim" and not isinstance(found, type)):
            raise pickle.UnpicklingError(f"got {module}.{name}")
        return found
