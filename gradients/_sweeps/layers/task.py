"""What the sweep of a layer is given, and what both ways through a tile have in common."""

from typing import NamedTuple

from eventsim._layout.incoming import Incoming
from eventsim._layout.layers import Tiles
from eventsim._layout.wiring import FOREVER
from eventsim._support.compile import inlined, loop
from eventsim._support.types import FloatArray, IntArray

__all__ = [
    "Fired",
    "LayerSums",
    "Strand",
    "Task",
    "Wanted",
    "added",
    "own_spikes",
    "start_from_end",
]


class Wanted(NamedTuple):
    """What to compute: gradients of neuron parameters; derivatives by the times of arrivals."""

    neurons: bool
    arrivals: bool


class Fired(NamedTuple):
    """Spikes of a layer by (sample, tile), ascending in time.

    Those of tile q in sample k are ``start[k * n_tiles + q] : start[k * n_tiles + q + 1]``:
    ``spike`` is the number in the record, ``lane`` the neuron's place in the tile, ``by_time``
    the derivative by its time: in this order two threads hardly write to the same line of cache.
    """

    start: IntArray
    spike: IntArray
    lane: IntArray
    by_time: FloatArray


class LayerSums(NamedTuple):
    """Gradients of a layer, one row per strand (every n-th sample); they are added up in order.

    ``weight`` and ``delay`` (n_strands, table_size) (width 0 if no synapse has a delay of its own),
    ``neuron`` (n_strands, n, 3 + n_receptors) by lane of the tiles, ``start`` (n_strands or
    n_samples, n, 1 + n_receptors) likewise, of every sample if they begin in states of their own,
    ``arrival`` (n_blocks, n_arrivals).
    """

    weight: FloatArray
    delay: FloatArray
    neuron: FloatArray
    start: FloatArray
    arrival: FloatArray


class Task(NamedTuple):
    """The sweep of a layer.

    ``incoming`` are its arrivals, ``fired`` its own spikes; ``record = (time, slope, released)``;
    ``final`` (n_samples, n): derivative by the potentials at the end ``t_stop``.  ``start``
    (n_samples or 1, n, at least 1 + n_receptors): the states at t = 0; ``each``: of every sample.
    """

    tiles: Tiles
    weight: FloatArray
    incoming: Incoming
    t_stop: float
    record: tuple[FloatArray, FloatArray, FloatArray]
    fired: Fired
    final: FloatArray
    start: FloatArray
    each: bool
    wanted: Wanted
    sums: LayerSums


class Strand(NamedTuple):
    """Every ``n``-th sample; ``first`` is the number of the first sample that is there."""

    number: int
    n: int
    first: int


@inlined
def own_spikes(fired, k, n_tiles, q):
    """Return the first and the last spike of tile ``q`` in sample ``k``."""
    return fired.start[k * n_tiles + q], fired.start[k * n_tiles + q + 1] - 1


@inlined
def start_from_end(
    tiles, lane, width, t_stop, record, fired, first_spike, spike, final, lambda_v
):  # fmt: skip
    """Fill the derivatives by the potentials at the end; return the longest refractory period."""
    longest = 0.0
    for j in range(width):
        if tiles.refractory[lane + j] < FOREVER:
            longest = max(longest, tiles.refractory[lane + j])
        i = tiles.neuron[lane + j]
        lambda_v[j] = final[i] if i >= 0 else 0.0
    for s in range(first_spike, spike + 1):
        # A potential that is held at the end is constant; such a spike has no release.
        j = fired.lane[s]
        if record[0][fired.spike[s]] + tiles.refractory[lane + j] > t_stop:
            lambda_v[j] = 0.0
    return longest


@loop
def added(values):
    """Return the sum of the values, halving them over and over: a fixed order that vectorises."""
    n = values.size
    while n % 2 == 0:
        n //= 2
        for j in range(n):
            values[j] += values[n + j]
    total = values[0]
    for j in range(1, n):
        total += values[j]
    return total
