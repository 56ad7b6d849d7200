"""The layered engine on a CUDA device: the same layers, tiles and scalar functions as on the CPU.

A thread is a neuron of one sample, and keeps its state in registers; neighbouring threads are the
lanes of a tile, so an arrival's row of weights is one load.  Numba compiles the scalar functions of
`eventsim.flow` and `eventsim.crossing` for the device as they are.

Between layers nothing returns to the host.  Spikes are appended to a sample's part of a buffer in
whatever order the threads come, and then sorted by (time, neuron), so a result does not depend on
that order.  Buffers have fixed sizes: what they should have held is counted, and if one was too
small the run is repeated with a larger one.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary, proxy

import numpy as np
from numba import config, cuda
from numpy.typing import DTypeLike, NDArray

from eventsim._types import FloatArray, Int32Array, IntArray
from eventsim.crossing import crossing_within, spike_time
from eventsim.flow import flow, propagator
from eventsim.layer_loop import MARGIN
from eventsim.layer_plan import Layer
from eventsim.layered import CapReachedError, CudaState, merged_layers
from eventsim.network import Network
from eventsim.scheduler import Run
from eventsim.stimulus import Stimulus

__all__ = [
    "Arrivals",
    "Cause",
    "DeviceLayer",
    "Factors",
    "Lanes",
    "Tables",
    "Train",
    "device_obstacle",
    "devices",
    "empty",
    "grid_for",
    "is_out_of_memory",
    "listed",
    "on_device",
    "ordered",
    "portion_size",
    "quietly",
    "run_layers",
    "smaller",
    "threads_for",
    "to_device",
    "total_memory",
    "train_of",
    "zeros",
]

# Threads of a block: a multiple of a warp.  The simulator starts a thread of the system for each.
WARP, MOST_THREADS = (2, 4) if config.ENABLE_CUDASIM else (32, 128)
N_SUMS = MOST_THREADS + 1
SORTED_IN_PLACE = 1024  # arrivals or spikes that fit in a block's shared memory
MOST_BLOCKS = 1024  # of a kernel whose threads take one item after the other
ROOM = 2  # spikes of a neuron in a sample that there is room for at first
OUT_OF_MEMORY = 2  # an error code of the driver
SHARE = 0.8  # part of the free device memory that a portion of samples may take


class Train(NamedTuple):
    """Spikes of an input or a population; those of sample k are ``first[k] : first[k] + count[k]``.

    A count may exceed ``room``: such a buffer is too small, and the rest is missing.
    """

    first: Any
    count: Any
    time: Any
    source: Any


class Arrivals(NamedTuple):
    """Lists of arrivals: of each sample, or of each tile in each sample; ascending in time.

    List l is ``start[l] : start[l + 1]``, ``row`` the row of the weight table.  ``event`` numbers
    the arrivals by their causes: those of spike s among all projections of the layer are
    ``s * fan : (s + 1) * fan``, so far as there are any.
    """

    start: Any
    time: Any
    row: Any
    event: Any


class Factors(NamedTuple):
    """Flow from each arrival to the next one of its list: (n_kinds, n_arrivals) each."""

    synaptic: Any
    membrane: Any
    h: Any
    lag: Any


class Lanes(NamedTuple):
    """Per lane: its tile, its place there, its neuron, and that neuron's parameters."""

    tile: Any
    place: Any
    neuron: Any
    threshold: Any
    bias: Any
    refractory: Any


class Tables(NamedTuple):
    """Per tile: its first lane, where its weights begin, their width, rates, row of the factors."""

    lane: Any
    start: Any
    width: Any
    alpha: Any
    beta: Any
    kind: Any
    n_neurons: Any


class Links(NamedTuple):
    """`eventsim.layer_plan.Reach` on the device; empty if all tiles see all arrivals."""

    first: Any
    tile: Any
    row: Any
    delay: Any


class Spikes(NamedTuple):
    """Spikes of a layer; sample k has room for ``room`` of them from ``k * room`` on."""

    count: Any
    time: Any
    neuron: Any
    slope: Any
    released: Any


# --- kernels --------------------------------------------------------------------------------------


@cuda.jit(cache=True)
def set_zero(values):
    """Fill a flat array with zeros."""
    for i in range(cuda.grid(1), values.size, cuda.gridsize(1)):
        values[i] = 0


@cuda.jit(cache=True)
def list_arrivals(train, room, low, high, row, cause, fan, delay, all_to_all, links, n_lists,
                  t_stop, filling, counts, arrivals):  # fmt: skip
    """Count the arrivals of one projection in every list, or write them.

    A block takes a sample.  Its sources are ``low : high`` of the train, the rows of the layer from
    ``row`` on, its spikes the causes from ``cause`` on.  When ``filling``, ``counts`` says how many
    have been written.
    """
    k = cuda.blockIdx.x
    first = train.first[k]
    for s in range(first + cuda.threadIdx.x, first + min(train.count[k], room), cuda.blockDim.x):
        source = train.source[s] - low
        time = train.time[s] + delay
        if source < 0 or source >= high - low or time > t_stop:
            continue
        event = (cause + s) * fan
        if all_to_all:
            _list(k, time, row + source, event, filling, counts, arrivals)
            continue
        for b in range(links.first.shape[0]):
            for r in range(links.first[b, row + source], links.first[b, row + source + 1]):
                late = time + links.delay[r]
                if late <= t_stop:
                    own = k * n_lists + links.tile[r]
                    _list(own, late, links.row[r], event, filling, counts, arrivals)
                event += 1


@cuda.jit(device=True)
def _list(own, time, row, event, filling, counts, arrivals):
    at = cuda.atomic.add(counts, own, 1)
    if filling:
        at += arrivals.start[own]
        if at < arrivals.time.size:
            arrivals.time[at] = time
            arrivals.row[at] = row
            arrivals.event[at] = event


@cuda.jit(cache=True)
def running_sum(counts, start, total_of):
    """Write the sum of all counts before each one, and of all, also to ``total_of``: one block."""
    sums = cuda.shared.array(N_SUMS, np.int64)
    t, threads = cuda.threadIdx.x, cuda.blockDim.x
    per_thread = -(-counts.size // threads)
    low, high = t * per_thread, min((t + 1) * per_thread, counts.size)
    total = 0
    for i in range(low, high):
        total += counts[i]
    sums[t + 1] = total
    cuda.syncthreads()
    if t == 0:
        sums[0] = 0
        for i in range(threads):
            sums[i + 1] += sums[i]
    cuda.syncthreads()
    total = sums[t]
    for i in range(low, high):
        start[i] = total
        total += counts[i]
    if t == 0:
        start[counts.size] = sums[threads]
        total_of[0] = sums[threads]


@cuda.jit(cache=True)
def order_arrivals(arrivals, tables, n_lists, all_to_all, n_neurons, t_stop, factors, synaptic):
    """Sort a list in time, fill its factors, and count its synaptic events: a block per list."""
    own = cuda.blockIdx.x
    t, threads = cuda.threadIdx.x, cuda.blockDim.x
    size = arrivals.time.size
    start, stop = min(arrivals.start[own], size), min(arrivals.start[own + 1], size)
    _sort_anywhere(start, stop - start, arrivals.time, arrivals.row, arrivals.event)
    for a in range(start + t, stop, threads):
        lag = (arrivals.time[a + 1] if a + 1 < stop else t_stop) - arrivals.time[a]
        if all_to_all:
            kind = -1
            for q in range(tables.kind.size):
                if tables.kind[q] > kind:
                    kind = tables.kind[q]
                    _fill(factors, kind, a, lag, tables.alpha[q], tables.beta[q])
        else:
            q = own % n_lists
            _fill(factors, 0, a, lag, tables.alpha[q], tables.beta[q])
    if t == 0:
        fan = n_neurons if all_to_all else tables.n_neurons[own % n_lists]
        cuda.atomic.add(synaptic, own // n_lists, (stop - start) * fan)


@cuda.jit(device=True)
def _fill(factors, kind, a, lag, alpha, beta):
    synaptic, membrane, h = propagator(lag, alpha, beta)
    factors.synaptic[kind, a] = synaptic
    factors.membrane[kind, a] = membrane
    factors.h[kind, a] = h
    factors.lag[kind, a] = lag


@cuda.jit(device=True)
def _sort_anywhere(start, n, time, row, number):
    """Sort a part of three arrays by (time, row), in shared memory if it fits: a whole block."""
    if n > SORTED_IN_PLACE:
        _sort(time[start : start + n], row[start : start + n], number[start : start + n], n)
        return
    times = cuda.shared.array(SORTED_IN_PLACE, np.float64)
    rows = cuda.shared.array(SORTED_IN_PLACE, np.int32)
    numbers = cuda.shared.array(SORTED_IN_PLACE, np.int64)
    for i in range(cuda.threadIdx.x, n, cuda.blockDim.x):
        times[i], rows[i], numbers[i] = time[start + i], row[start + i], number[start + i]
    cuda.syncthreads()
    _sort(times, rows, numbers, n)
    for i in range(cuda.threadIdx.x, n, cuda.blockDim.x):
        time[start + i], row[start + i], number[start + i] = times[i], rows[i], numbers[i]
    cuda.syncthreads()


@cuda.jit(device=True)
def _sort(time, row, number, n):
    """Sort by a bitonic network whose comparisons all point up: what lies beyond n never moves."""
    pairs = 1
    while 2 * pairs < n:
        pairs *= 2
    half = 1
    while half < n:
        for c in range(cuda.threadIdx.x, pairs, cuda.blockDim.x):
            i = 2 * half * (c // half) + c % half
            _exchange(time, row, number, i, 2 * half * (c // half) + 2 * half - 1 - c % half, n)
        cuda.syncthreads()
        stride = half // 2
        while stride > 0:
            for c in range(cuda.threadIdx.x, pairs, cuda.blockDim.x):
                i = 2 * stride * (c // stride) + c % stride
                _exchange(time, row, number, i, i + stride, n)
            cuda.syncthreads()
            stride //= 2
        half *= 2


@cuda.jit(device=True)
def _exchange(time, row, number, i, j, n):
    if j < n and (time[j] < time[i] or (time[j] == time[i] and row[j] < row[i])):
        time[i], time[j] = time[j], time[i]
        row[i], row[j] = row[j], row[i]
        number[i], number[j] = number[j], number[i]


@cuda.jit(cache=True)
def advance(lanes, tables, weight, arrivals, factors, n_lists, t_stop, spikes, room, cap, base,
            state, searches):  # fmt: skip
    """Run one neuron of one sample through its arrivals: a thread each."""
    k = cuda.blockIdx.x
    x = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    if x >= lanes.neuron.size or lanes.neuron[x] < 0:
        return
    neuron, q = lanes.neuron[x], lanes.tile[x]
    threshold, bias = lanes.threshold[x], lanes.bias[x]
    refractory = lanes.refractory[x]
    alpha, beta, kind, width = tables.alpha[q], tables.beta[q], tables.kind[q], tables.width[q]
    table = tables.start[q] + lanes.place[x]
    own = k * n_lists + q % n_lists
    start, stop = arrivals.start[own], min(arrivals.start[own + 1], arrivals.time.size)
    start = min(start, stop)
    following = weight[table + arrivals.row[start] * width] if start < stop else 0.0
    i, v, decay = 0.0, 0.0, 1.0
    release, latest = -math.inf, -1
    looked = 0
    # The first interval, before any arrival, matters to a bias current only.
    for a in range(start - 1 if bias != 0.0 else start, stop):
        if a >= start:
            now = arrivals.time[a]
            synaptic, membrane = factors.synaptic[kind, a], factors.membrane[kind, a]
            h, lag = factors.h[kind, a], factors.lag[kind, a]
            arriving = following
            # The next weight is on its way while this arrival is looked at.
            if a + 1 < stop:
                following = weight[table + arrivals.row[a + 1] * width]
        else:
            now, arriving = 0.0, 0.0
            lag = arrivals.time[start] if start < stop else t_stop
            synaptic, membrane, h = propagator(lag, alpha, beta)
        until = arrivals.time[a + 1] if a + 1 < stop else t_stop
        i = i * decay + arriving
        decay = synaptic
        begin, current, looks = now, i, True
        if release > now:
            looks = release <= until
            if looks:
                begin, v = release, 0.0
                current = i * math.exp(-alpha * (release - now))
                if latest < room:
                    spikes.released[k * room + latest] = current
                release = -math.inf
        elif bias == 0.0 and v * (1.0 - beta * lag) + i * lag < threshold * MARGIN:
            v = v * membrane + i * h
            looks = False
        while looks:
            wait, slope = crossing_within(until - begin, current, v, alpha, beta, threshold, bias)
            looked += 1
            spike = spike_time(begin, wait)
            if spike > until or latest > cap:
                v = flow(current, v, until - begin, alpha, beta, bias)[1]
                break
            latest = cuda.atomic.add(spikes.count, k, 1)
            begin, v = spike, 0.0
            current = slope + (beta * threshold - bias)
            if refractory > 0.0:
                begin = spike + refractory
                current *= math.exp(-alpha * refractory)
            if latest < room:
                spikes.time[k * room + latest] = spike
                spikes.neuron[k * room + latest] = neuron
                spikes.slope[k * room + latest] = slope
                spikes.released[k * room + latest] = current
            if begin > until:
                release = begin
                break
    state[k, base + neuron, 0] = i * decay
    state[k, base + neuron, 1] = 0.0 if release > t_stop else v
    state[k, base + neuron, 2] = t_stop
    cuda.atomic.add(searches, k, looked)


@cuda.jit(cache=True)
def order_spikes(spikes, room, order, ordered, most):
    """Sort the spikes of a sample by (time, neuron): a block each.  ``most``: of any sample."""
    k = cuda.blockIdx.x
    t, threads = cuda.threadIdx.x, cuda.blockDim.x
    first, n = k * room, min(spikes.count[k], room)
    if t == 0:
        ordered.count[k] = n
        cuda.atomic.max(most, 0, spikes.count[k])
    for s in range(first + t, first + n, threads):
        order[s] = s
        ordered.time[s], ordered.neuron[s] = spikes.time[s], spikes.neuron[s]
    cuda.syncthreads()
    _sort_anywhere(first, n, ordered.time, ordered.neuron, order)
    cuda.syncthreads()
    for s in range(first + t, first + n, threads):
        ordered.slope[s], ordered.released[s] = spikes.slope[order[s]], spikes.released[order[s]]


# --- the host -------------------------------------------------------------------------------------


def devices() -> list[str]:
    """Return the name and the compute capability of every CUDA device."""
    if not cuda.is_available():
        return []
    if config.ENABLE_CUDASIM:
        return ["numba's simulator"]
    return [
        f"{device.name}, compute capability {'.'.join(map(str, device.compute_capability))}"
        for device in cuda.list_devices()
    ]


def device_obstacle() -> str | None:
    """Return why there is no CUDA device to run on, or None if there is one."""
    if cuda.is_available():
        return None
    return (
        "engine 'cuda' needs an NVIDIA GPU, its driver and the extra of that name "
        "(pip install 'eventsim-snn[cuda]'), and numba finds no device here; engine='layered' "
        "gives the same on processors"
    )


@dataclass(eq=False)
class DeviceLayer:
    """A layer's plan on the device, and the sizes of its buffers.

    Attributes
    ----------
    plan : Layer
        What is on the device.
    room : int
        Spikes of a sample that there is room for.
    n_arrivals : int
        Arrivals that there is room for, as many in an average sample.
    """

    plan: Layer
    lanes: Lanes = field(init=False)
    tables: Tables = field(init=False)
    links: Links = field(init=False)
    room: int = 0
    n_arrivals: int = 0

    def __post_init__(self) -> None:
        """Copy the plan."""
        tiles, reach = self.plan.tiles, self.plan.reach
        width, tile = self.plan.widths, self.plan.tile_of_lane
        place = np.arange(tile.size) - tiles.lane[tile]
        lanes = (tile, place, tiles.neuron, tiles.threshold, tiles.bias, tiles.refractory)
        self.lanes = Lanes(*map(to_device, lanes))
        kind = tiles.kind if reach is None else np.zeros_like(tiles.kind)
        n_neurons = np.bincount(tile[tiles.neuron >= 0], minlength=width.size)
        tables = (tiles.lane, tiles.table, width, tiles.alpha, tiles.beta, kind, n_neurons)
        self.tables = Tables(*map(to_device, tables))
        nothing = (np.zeros((1, 1), np.int64), *np.zeros((2, 0), np.int64), np.zeros(0))
        self.links = Links(*map(to_device, nothing if reach is None else reach))
        self.room = ROOM * self.plan.n

    @property
    def n_lists(self) -> int:
        """Lists of arrivals of a sample."""
        return 1 if self.plan.reach is None else self.plan.tiles.lane.size

    @cached_property
    def fan(self) -> int:
        """The most tiles that a source reaches; 1 if all tiles share a list."""
        reach = self.plan.reach
        return 1 if reach is None else int(np.diff(reach.first).sum(axis=0).max(initial=1))

    def lacks_arrivals(self, n_arrivals: int) -> bool:
        """Tell whether there was too little room for the arrivals of a sample; make more."""
        before, self.n_arrivals = self.n_arrivals, max(self.n_arrivals, n_arrivals)
        return n_arrivals > before

    def lacks_room(self, n_spikes: int) -> bool:
        """Tell whether there was too little room for the spikes of a sample; make more."""
        before, self.room = self.room, max(self.room, n_spikes)
        return n_spikes > before


_PLANS: WeakKeyDictionary[Layer, DeviceLayer] = WeakKeyDictionary()


def on_device(network: Network) -> list[tuple[DeviceLayer, Any]]:
    """Return the layers of a network and their weights; plans are copied once per structure."""
    for plan in network.layers():
        if plan not in _PLANS:
            _PLANS[plan] = DeviceLayer(proxy(plan))  # an entry lives as long as its key
    return [
        (_PLANS[plan], to_device(table))
        for plan, table in zip(network.layers(), network.weight_tables(), strict=True)
    ]


@dataclass(frozen=True)
class Cause:
    """Where the arrivals of a projection come from.

    Attributes
    ----------
    train : Train
        Spikes of an input or a population.
    room : int
        How many of a sample there are at most.
    low : int
        Number of the first source.
    n_spikes : int
        Length of the train, gaps included.
    """

    train: Train
    room: int
    low: int
    n_spikes: int


def listed(
    layer: DeviceLayer,
    causes: Sequence[Cause],
    n_samples: int,
    t_stop: float,
    total: Any,
    size: int,
) -> Arrivals:
    """Return the arrivals of a layer, not sorted yet; ``total`` (1,) takes their number.

    There is room for ``size`` of them, the others are missing.
    """
    n_lists, size = layer.n_lists * n_samples, max(1, size)
    arrivals = Arrivals(
        zeros(n_lists + 1), empty(size), empty(size, np.int32), empty(size, np.int64)
    )
    for filling in (False, True):
        counts, first = zeros(n_lists), 0
        for s, cause in zip(layer.plan.synapses, causes, strict=True):
            high = cause.low + s.sources.stop - s.sources.start
            list_arrivals[n_samples, threads_for(cause.room)](
                cause.train, cause.room, cause.low, high, s.sources.start, first, layer.fan,
                s.delay, layer.plan.reach is None, layer.links, layer.n_lists, t_stop, filling,
                counts, arrivals,
            )  # fmt: skip
            first += cause.n_spikes
        if not filling:
            running_sum[1, threads_for(n_lists)](counts, arrivals.start, total)
    return arrivals


def ordered(
    layer: DeviceLayer, arrivals: Arrivals, n_samples: int, t_stop: float, synaptic: Any
) -> Factors:
    """Sort arrivals and return their factors; ``synaptic`` (n_samples,) counts synaptic events."""
    plan, n_lists = layer.plan, layer.n_lists * n_samples
    size = arrivals.time.size
    factors = Factors(*(empty((plan.n_kinds, size)) for _ in Factors._fields))
    order_arrivals[n_lists, threads_for(size // n_lists)](
        arrivals, layer.tables, layer.n_lists, plan.reach is None, plan.n, t_stop, factors, synaptic
    )
    return factors


def run_layers(
    network: Network, given: Stimulus, t_stop: float, cap: int
) -> tuple[Run, IntArray, CudaState]:
    """Return (record, offsets, state) of a feed-forward network, as `eventsim.layered.run_layers`.

    Raises
    ------
    CapReachedError
        If a sample has more than ``cap`` spikes.
    """
    with quietly():
        return _run(network, given, t_stop, cap)


@contextmanager
def quietly() -> Iterator[None]:
    """Let small networks leave most of a device idle, without a warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*low occupancy")
        yield


def _run(
    network: Network, given: Stimulus, t_stop: float, cap: int
) -> tuple[Run, IntArray, CudaState]:
    layers, parts, first = on_device(network), [], 0
    size = portion_size(network, given, [layer for layer, _ in layers])
    while first < given.n_samples:
        last = min(first + size, given.n_samples)
        part = None
        try:
            part = _run_portion(network, layers, given, first, last, t_stop, cap)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        # The error is gone now, and with it what its frames held on the device.
        if part is None:
            size = smaller(last - first)
        else:
            parts.append(part)
            first = last
    records, counts, states = zip(*parts, strict=True)
    record = Run._make(np.concatenate(columns) for columns in zip(*records, strict=True))
    state = CudaState(*(np.concatenate(columns) for columns in zip(*states, strict=True)))
    happened = np.concatenate([[0], np.cumsum(given.times <= t_stop)])
    state.count[:, 1] = np.diff(happened[given.offsets])
    return record, np.concatenate([[0], np.cumsum(np.concatenate(counts))]), state


def portion_size(
    network: Network, given: Stimulus, layers: Sequence[DeviceLayer], per_arrival: int = 0
) -> int:
    """Return how many samples fit in the free memory of the device, about.

    ``per_arrival``: bytes for each arrival of a sweep beside those of the forward run.
    """
    inputs = np.diff(given.offsets).max(initial=0)
    per_sample = 16 * inputs + 24 * network.layout().n_neurons
    for layer in layers:
        n_arrivals = _mean_fan(layer.plan) * (inputs + layer.plan.n_sources)
        per_sample += 64 * layer.room + (20 + 32 * layer.plan.n_kinds + per_arrival) * n_arrivals
        if per_arrival:
            per_sample += 8 * layer.fan * (inputs + layer.plan.n_sources)
    fitting = SHARE * free_memory() / max(1.0, per_sample)
    return int(min(max(1.0, fitting), given.n_samples))


def free_memory() -> float:
    """Return the free bytes of the device."""
    if not config.ENABLE_CUDASIM:
        cuda.current_context().memory_manager.deallocations.clear()
    return float(cuda.current_context().get_memory_info()[0])


def total_memory() -> float:
    """Return the bytes of the device, whoever uses them."""
    return float(cuda.current_context().get_memory_info()[1])


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether the memory of the device was too small for an array."""
    return getattr(error, "code", None) == OUT_OF_MEMORY


def smaller(size: int) -> int:
    """Return half of a number of samples for which the memory of the device was too small.

    Raises
    ------
    MemoryError
        If one sample is too large.
    """
    if size == 1:
        raise MemoryError(
            f"a single sample does not fit in the {free_memory() / 1e6:.0f} MB that are free on "
            "the CUDA device: the network, or the number of its spikes, is too large for it"
        )
    return size // 2


def _run_portion(
    network: Network,
    layers: Sequence[tuple[DeviceLayer, Any]],
    given: Stimulus,
    first: int,
    last: int,
    t_stop: float,
    cap: int,
) -> tuple[Run, IntArray, CudaState]:
    """Return (record, spikes of each sample, state) of some samples, with buffers that suffice."""
    while True:
        portion = _Portion(network, given, first, last)
        for layer, weight in layers:
            portion.run(layer, weight, t_stop, cap)
        sizes, counts = portion.sizes.copy_to_host(), portion.counts()
        for number, (layer, _) in enumerate(layers):
            most, n_arrivals = map(int, sizes[number])
            # What comes after arrivals or spikes that were missing, means nothing.
            if layer.lacks_arrivals(-(-n_arrivals // portion.n_samples)):
                break
            _check_cap(counts[: number + 1], cap, first)
            if layer.lacks_room(most):
                break
        else:
            return portion.collected([layer for layer, _ in layers], counts)


class _Portion:
    """Some samples on the device: their input, their spikes so far, and counters."""

    def __init__(self, network: Network, given: Stimulus, first: int, last: int) -> None:
        self.network, self.n_samples = network, last - first
        part = slice(given.offsets[first], given.offsets[last])
        offsets = given.offsets[first : last + 1] - part.start
        train = train_of(offsets, given.times[part], given.sources[part])
        n, most = part.stop - part.start, int(np.diff(offsets).max())
        starts = network.layout().input_start
        self.causes = {name: Cause(train, most, low, n) for name, low in starts.items()}
        n_neurons = network.layout().n_neurons
        self.state = zeros((self.n_samples, n_neurons, 3), np.float64)
        self.synaptic, self.searches = zeros(self.n_samples), zeros(self.n_samples)
        self.sizes = zeros((len(network.layers()), 2))
        self.spikes: list[Spikes] = []

    def run(self, layer: DeviceLayer, weight: Any, t_stop: float, cap: int) -> None:
        """Run one layer; those before it have been run."""
        plan, n_samples, number = layer.plan, self.n_samples, len(self.spikes)
        causes = [self.causes[s.pre] for s in plan.synapses]
        layer.n_arrivals = max(layer.n_arrivals, self._guess(layer, causes))
        total = self.sizes[number, 1:]
        arrivals = listed(layer, causes, n_samples, t_stop, total, layer.n_arrivals * n_samples)
        factors = ordered(layer, arrivals, n_samples, t_stop, self.synaptic)
        spikes, sorted_spikes = (_new_spikes(n_samples, layer.room) for _ in range(2))
        n_lanes = plan.tiles.neuron.size
        threads = threads_for(n_lanes)
        advance[(n_samples, -(-n_lanes // threads)), threads](
            layer.lanes, layer.tables, weight, arrivals, factors, layer.n_lists, t_stop,
            spikes, layer.room, cap, plan.first, self.state, self.searches,
        )  # fmt: skip
        order = empty(max(1, n_samples * layer.room), np.int64)
        order_spikes[n_samples, threads_for(layer.room)](
            spikes, layer.room, order, sorted_spikes, self.sizes[number, :1]
        )
        self.spikes.append(sorted_spikes._replace(count=spikes.count))
        first = to_device(np.arange(n_samples) * layer.room)
        train = Train(first, sorted_spikes.count, sorted_spikes.time, sorted_spikes.neuron)
        self.causes[plan.population] = Cause(train, layer.room, 0, n_samples * layer.room)

    def _guess(self, layer: DeviceLayer, causes: Sequence[Cause]) -> int:
        """Return about how many arrivals a sample will have, if neurons fire once."""
        fan = _mean_fan(layer.plan)
        of_inputs = [s.pre in self.network.inputs for s in layer.plan.synapses]
        n_spikes = sum(
            cause.n_spikes if is_input else self.n_samples * (s.sources.stop - s.sources.start)
            for s, cause, is_input in zip(layer.plan.synapses, causes, of_inputs, strict=True)
        )
        return math.ceil(fan * n_spikes / self.n_samples)

    def counts(self) -> IntArray:
        """Return the spikes of every sample in every layer: (n_layers, n_samples)."""
        return np.stack([spikes.count.copy_to_host() for spikes in self.spikes])

    def collected(
        self, layers: Sequence[DeviceLayer], counts: IntArray
    ) -> tuple[Run, IntArray, CudaState]:
        """Return the record of all layers, the spikes of each sample, and the state."""
        runs = [
            (layer.plan.first, np.concatenate([[0], np.cumsum(count)]), _flat(spikes, layer, count))
            for layer, spikes, count in zip(layers, self.spikes, counts, strict=True)
        ]
        total = counts.sum(axis=0)
        counters = np.stack(
            [
                total,
                np.zeros_like(total),
                self.synaptic.copy_to_host(),
                self.searches.copy_to_host(),
            ],
            axis=1,
        )
        return merged_layers(runs), total, CudaState(self.state.copy_to_host(), counters)


def _check_cap(counts: IntArray, cap: int, first: int) -> None:
    beyond = np.flatnonzero(counts.sum(axis=0) > cap)
    if beyond.size:
        raise CapReachedError(first + int(beyond[0]))


def _flat(spikes: Spikes, layer: DeviceLayer, count: IntArray) -> Run:
    """Return the spikes of a layer without the gaps between samples."""
    filled = np.flatnonzero(np.arange(layer.room) < count[:, None])
    return Run(*(getattr(spikes, name).copy_to_host()[filled] for name in Run._fields))


def _mean_fan(plan: Layer) -> float:
    """Return how many lists an average spike is in."""
    return 1.0 if plan.reach is None else plan.reach.tile.size / max(1, plan.n_sources)


def train_of(offsets: IntArray, times: FloatArray, sources: IntArray | Int32Array) -> Train:
    """Copy spikes, those of sample k at ``offsets[k] : offsets[k + 1]``, to the device."""
    return Train(*map(to_device, (offsets[:-1], np.diff(offsets), times, sources.astype(np.int32))))


def to_device(values: NDArray[Any]) -> Any:
    """Copy an array to the device."""
    return cuda.to_device(np.ascontiguousarray(values))


def empty(shape: int | tuple[int, ...], dtype: DTypeLike = np.float64) -> Any:
    """Return room on the device."""
    return cuda.device_array(shape, dtype)


def zeros(shape: int | tuple[int, ...], dtype: DTypeLike = np.int64) -> Any:
    """Return zeros on the device."""
    values = empty(shape, dtype)
    if values.size == 0:
        return values
    set_zero[grid_for(values.size)](values.reshape(values.size))
    return values


def _new_spikes(n_samples: int, room: int) -> Spikes:
    n = max(1, n_samples * room)
    return Spikes(zeros(n_samples), empty(n), empty(n, np.int32), empty(n), empty(n))


def threads_for(n: int) -> int:
    """Return the threads of a block that shares n items: whole warps."""
    return min(MOST_THREADS, WARP * -(-max(1, n) // WARP))


def grid_for(n: int) -> tuple[int, int]:
    """Return blocks and threads of a kernel that shares n items, one after the other."""
    threads = threads_for(n)
    return max(1, min(MOST_BLOCKS, -(-n // threads))), threads
