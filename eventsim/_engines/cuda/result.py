"""Runs of the CUDA engine, and results that stay on the device until somebody reads them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any
from weakref import WeakSet

import numpy as np
from numpy.typing import ArrayLike

from eventsim._engines.base import Job
from eventsim._engines.cuda.device import free_memory, is_out_of_memory, quietly
from eventsim._engines.cuda.plan import DeviceLayer, device_layers, device_tables
from eventsim._engines.cuda.run import DeviceRun, double, input_causes
from eventsim._engines.layered.capped import CapReachedError
from eventsim._engines.layered.host import LayeredState
from eventsim._layout.record import Record
from eventsim._layout.wiring import layout_of
from eventsim._support.types import FloatArray, IntArray
from eventsim.network import Network
from eventsim.result import BatchResult, EventCounts
from eventsim.stimulus import Stimulus

__all__ = ["CudaResult", "bytes_per_sample", "portion_size", "run_layers", "smaller"]

PRECISIONS: dict[str, np.dtype[Any]] = {
    "cuda": np.dtype(np.float64),
    "cuda-float32": np.dtype(np.float32),
}
_NAMES = {dtype: name for name, dtype in PRECISIONS.items()}

SHARE = 0.8  # part of the free device memory that a portion of samples may take

_HELD: WeakSet[CudaResult] = WeakSet()


class CudaResult(BatchResult):
    """The `BatchResult` of a run on a CUDA device: copied to the host when it is read.

    Attributes
    ----------
    on_device : DeviceRun or None
        What the run left on the device; None if the batch was too large for its memory and was run
        in portions, or if the memory was needed for something else since.
    dtype : dtype
        float64 or float32: what the device computed with.
    """

    on_device: DeviceRun | None
    dtype: np.dtype[Any]

    def __init__(
        self,
        network: Network,
        stimulus: Stimulus,
        t_stop: float,
        dtype: np.dtype[Any],
        on_device: DeviceRun | None,
        pieces: Sequence[tuple[Record, LayeredState]] = (),
    ) -> None:
        fields = {
            "network": network, "stimulus": stimulus, "dtype": dtype, "on_device": on_device,
            "ends": np.full(stimulus.n_samples, t_stop), "engine": _NAMES[dtype],
        }  # fmt: skip
        for name, value in fields.items():
            object.__setattr__(self, name, value)  # the dataclass is frozen
        if on_device is None:
            records, states = zip(*pieces, strict=True)
            record = Record._make(np.concatenate(columns) for columns in zip(*records, strict=True))
            neuron, count = (np.concatenate(columns) for columns in zip(*states, strict=True))
            self.__dict__["_count"] = self._with_inputs(count)
            self.__dict__ |= {"record": record, "state": LayeredState(neuron, self._count)}
        else:
            _HELD.add(self)

    @cached_property
    def record(self) -> Record:
        """All spikes."""
        assert self.on_device is not None
        return self.on_device.record()

    @cached_property
    def offsets(self) -> IntArray:
        """Where those of each sample begin."""
        return np.concatenate([[0], np.cumsum(self._count[:, 0])])

    @cached_property
    def state(self) -> LayeredState:
        """Where a resumed run goes on."""
        assert self.on_device is not None
        return LayeredState(self.on_device.state(), self._count)

    @cached_property
    def _count(self) -> IntArray:
        assert self.on_device is not None
        return self._with_inputs(self.on_device.count())

    def _with_inputs(self, count: IntArray) -> IntArray:
        """Count the input spikes, too."""
        given = self.stimulus
        happened = np.concatenate([[0], np.cumsum(given.times <= self.t_stop)])
        count[:, 1] = np.diff(happened[given.offsets])
        return count

    def __len__(self) -> int:
        """Return the number of samples."""
        return self.ends.size

    def on_host(self) -> BatchResult:
        """Return the same as a `BatchResult` that has nothing on the device."""
        return BatchResult(
            self.network, self.stimulus, self.ends, self.record, self.offsets, self.state,
            self.engine,
        )  # fmt: skip

    def _part(self, samples: IntArray) -> CudaResult:
        some = self.on_host()._part(samples)
        pieces = [(some.record, LayeredState(some.state.neuron, some.state.count))]
        return CudaResult(some.network, some.stimulus, self.t_stop, self.dtype, None, pieces)

    def ended_when_fired(self, population: str) -> BatchResult:
        """Return the result as if each sample had ended when all neurons of a population fired."""
        ended = self.on_host().ended_when_fired(population)
        return self if np.all(ended.ends == self.t_stop) else ended

    def first_spikes(self, population: str) -> FloatArray:
        """Return the first spike times (n_samples, n) of a population; ``inf`` = silent."""
        if self.on_device is None or population in self.network.pools:
            return super().first_spikes(population)
        return double(self.on_device.first_spikes(population).copy_to_host())

    def spike_counts(self, population: str) -> IntArray:
        """Return the number of spikes (n_samples, n) of each neuron of a population."""
        if self.on_device is None:
            return super().spike_counts(population)
        counts: IntArray = self.on_device.spike_counts(population).copy_to_host()
        return counts

    def potential(
        self,
        population: str,
        at: ArrayLike | None = None,
        neurons: ArrayLike | None = None,
    ) -> FloatArray:
        """Return the membrane potential of a population, as `BatchResult.potential`."""
        if self.on_device is None or at is not None:
            return super().potential(population, at, neurons)
        chosen = self._chosen(population, neurons)
        return double(self.on_device.potential(population).copy_to_host())[:, chosen]

    @property
    def min_slope(self) -> float:
        """Smallest dV/dt at a spike; ``inf`` without spikes."""
        return super().min_slope if self.on_device is None else self._summary[0]

    @property
    def silent_fraction(self) -> float:
        """Fraction of the neurons with a finite threshold that did not fire, over all samples."""
        if self.on_device is None:
            return super().silent_fraction
        able = np.count_nonzero(np.isfinite(layout_of(self.network).neurons.threshold))
        able *= len(self)
        return 1.0 - (able - self._summary[1]) / able if able else 0.0

    @cached_property
    def _summary(self) -> tuple[float, int]:
        assert self.on_device is not None
        return self.on_device.summary()

    @property
    def events(self) -> EventCounts:
        """`EventCounts` summed over the samples."""
        spikes, inputs, synaptic, searches, _ = self._count.sum(axis=0).tolist()
        return EventCounts(synaptic, inputs, spikes, searches)

    def leave(self) -> None:
        """Copy everything to the host, and let go of the memory on the device."""
        assert self.record is not None  # copied, and kept
        assert self.state is not None
        object.__setattr__(self, "on_device", None)
        _HELD.discard(self)


def make_room() -> bool:
    """Copy what results hold on the device to the host; return whether any did."""
    held = list(_HELD)
    for result in held:
        result.leave()
    return bool(held)


def run_layers(job: Job) -> CudaResult:
    """Run all samples to the end, as `eventsim._engines.layered.host.run_layers`.

    Raises
    ------
    CapReachedError
        If a sample has more spikes than it may.
    MemoryError
        If one sample alone is too large for the device.
    """
    network, given, t_stop, cap = job.network, job.given, job.t_stop, job.max_spikes
    dtype = PRECISIONS[job.engine]
    with quietly():
        tables = device_tables(network, dtype)
        layers, pieces, first = device_layers(network), [], 0
        size = portion_size(network, given, layers)
        if size < given.n_samples and make_room():
            size = portion_size(network, given, layers)
        while first < given.n_samples:
            last = min(first + size, given.n_samples)
            run = None
            try:
                run = run_portion(network, tables, given, first, last, t_stop, cap, dtype)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            # The error is gone now, and with it what its frames held on the device.
            if run is None:
                inputs = int(np.diff(given.offsets).max(initial=0))
                n_bytes = bytes_per_sample(network, inputs, layers)
                size = last - first if make_room() else smaller(last - first, n_bytes)
                continue
            if last - first == given.n_samples:
                return CudaResult(network.snapshot(), given, t_stop, dtype, run)
            pieces.append((run.record(), LayeredState(run.state(), run.count())))
            first = last
        return CudaResult(network.snapshot(), given, t_stop, dtype, None, pieces)


def run_portion(
    network: Network,
    tables: list[Any],
    given: Stimulus,
    first: int,
    last: int,
    t_stop: float,
    cap: int,
    dtype: np.dtype[Any],
) -> DeviceRun:
    """Run the samples ``first : last``, with buffers that suffice."""
    inputs = input_causes(network, given, first, last, dtype)
    while True:
        run = DeviceRun(network, inputs, last - first, t_stop, dtype)
        run.advance(tables, cap)
        if not lacks_room(run, cap, first):
            return run
        del run  # before its successor needs the memory


def lacks_room(run: DeviceRun, cap: int, first: int = 0) -> bool:
    """Tell whether a buffer was too small for a run, and let its successor have larger ones.

    Raises
    ------
    CapReachedError
        If a sample (numbered from ``first`` on) has more than ``cap`` spikes.
    """
    counts = run.counters.spike_counts()
    for number, one in enumerate(run.layers):
        layer = one.layer
        # What comes after arrivals or spikes that were missing, means nothing.
        if layer.plan.reach is not None:
            n_arrivals = int(one.listing.total.copy_to_host()[0])
            if n_arrivals > one.listing.size:
                layer.lacks_arrivals(-(-n_arrivals // run.n_samples))
                return True
        beyond = np.flatnonzero(counts[: number + 1].sum(axis=0) > cap)
        if beyond.size:
            raise CapReachedError(first + int(beyond[0]))
        if counts[number].max() > one.room:
            layer.lacks_room(int(counts[number].max()))
            return True
    return False


def portion_size(
    network: Network, given: Stimulus, layers: list[DeviceLayer], per_arrival: int = 0
) -> int:
    """Return how many samples fit in the free memory of the device, about.

    ``per_arrival``: bytes for each arrival of a sweep beside those of the forward run.
    """
    inputs = int(np.diff(given.offsets).max(initial=0))
    fitting = SHARE * free_memory() / bytes_per_sample(network, inputs, layers, per_arrival)
    return int(min(max(1.0, fitting), given.n_samples))


def bytes_per_sample(
    network: Network, n_inputs: int, layers: list[DeviceLayer], per_arrival: int = 0
) -> float:
    """Return about how much memory a sample takes in double precision."""
    rooms = {layer.plan.population: layer.room for layer in layers}
    per_sample = 16.0 * n_inputs + 24 * layout_of(network).n_neurons
    for layer in layers:
        before = sum(rooms.get(s.pre, n_inputs) for s in layer.plan.synapses)
        n_arrivals = layer.mean_fan * before
        per_sample += 80 * layer.room
        per_sample += (20 + 32 * layer.plan.n_kinds + per_arrival) * n_arrivals
        if per_arrival:
            per_sample += 8 * layer.mean_fan * before
    return max(1.0, per_sample)


def smaller(size: int, n_bytes: float) -> int:
    """Return half of a number of samples for which the memory of the device was too small.

    ``n_bytes``: about what a sample takes.

    Raises
    ------
    MemoryError
        If one sample is too large.
    """
    if size == 1:
        raise MemoryError(
            f"a single sample does not fit in the {free_memory() / 1e6:.0f} MB that are free on "
            f"the CUDA device, it takes about {n_bytes / 1e6:.0f} MB: the network, or the number "
            "of its spikes, is too large for it"
        )
    return size // 2
