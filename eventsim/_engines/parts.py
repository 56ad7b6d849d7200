"""Parts of runs: what may still act of one that is to go on, and what is new when it went on.

A spike acts until its last arrival, so what may still act are the last spikes of each sample.  An
engine is given these alone, with one or more spikes at -inf in front of them, so that all samples
have as many: these stand for all that act no more.  A few more spikes are left where they are, so
that a part costs what happens in it, however short it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.sparse import csr_array

from eventsim._layout.arrivals import Begun
from eventsim._layout.record import (
    INPUTS,
    SPIKES,
    EndState,
    Record,
    new_record,
    positions_behind,
    replaced,
)
from eventsim._layout.wiring import delay_spans, layout_of
from eventsim._support.types import FloatArray, IntArray, Key, Matrix
from eventsim._support.validate import shown
from eventsim.convolution import Convolution
from eventsim.network import Network, Projection
from eventsim.result import BatchResult, Before, Kept

__all__ = ["Keeping", "carried_from", "part_of", "require_structure", "under"]

MOST_IDLE = 1024  # spikes that act no more, but are left where they are; or as many as neurons
TOLERANCE = 1e-12  # of a potential
MARGIN = 1e-9  # of a time: the sum of a spike's time and a delay is rounded

Moved = Callable[[IntArray, IntArray], EndState]


def carried_from(old: BatchResult, since: FloatArray, moved: Moved) -> BatchResult:
    """Return a run with little more than the spikes that arrive somewhere after ``since``.

    That is a time for each sample.  ``moved(spikes, inputs)`` is its state, in which the numbers
    of spikes, and of input spikes, are larger by so much in each sample; the counters are seen to
    here.
    """
    to_inputs, to_neurons = delay_spans(old.network).longest
    record, offsets = old.joined
    given = old.stimulus
    first = _first_after(record.time, offsets, since, to_neurons)
    inputs = _first_after(given.times, given.offsets, since, to_inputs)
    most = min(MOST_IDLE, layout_of(old.network).n_neurons)
    # Only behind what was cut off once there is a spike at -inf, which `latest` may name.
    if old.before is None or len(old) > 1 or first[0] > most:
        n = 1 + int((offsets[1:] - first).max())
        record = _last(record, offsets, first, n)
        offsets = n * np.arange(offsets.size)
    spikes, unread = np.diff(offsets) - np.diff(old.joined[1]), given.offsets[:-1] - inputs
    state = moved(spikes, unread)
    count = state.count.copy()
    count[:, SPIKES] += spikes
    count[:, INPUTS] += unread
    return replace(
        old,
        stimulus=given.between(inputs, given.offsets[1:]),
        record=record,
        offsets=offsets,
        state=replaced(state, count=count),
        before=None,
    )


def _first_after(
    times: FloatArray, offsets: IntArray, since: FloatArray, longest: float
) -> IntArray:
    """Return the first spike of each sample that may arrive after ``since``."""
    limits = (since - longest - MARGIN * (since + longest)).tolist()
    bounds = offsets.tolist()
    found = [
        a + int(times[a:b].searchsorted(limit))
        for a, b, limit in zip(bounds, bounds[1:], limits, strict=False)
    ]
    return np.array(found, dtype=np.int64)


def _last(record: Record, offsets: IntArray, first: IntArray, n: int) -> Record:
    """Return the last spikes of each sample, from ``first`` on, behind others at -inf: ``n``."""
    last = new_record((first.size, n))
    last.time[...], last.neuron[...], last.slope[...], last.released[...] = -np.inf, 0, 1.0, 0.0
    for k, (a, b) in enumerate(zip(first.tolist(), offsets[1:].tolist(), strict=True)):
        for name in Record._fields:
            getattr(last, name)[k, n - (b - a) :] = getattr(record, name)[a:b]
    return Record._make(column.reshape(-1) for column in last)


def part_of(joined: BatchResult, old: BatchResult, begun: Begun | None) -> BatchResult:
    """Return what is new in a run, given the result from which it went on, with what it carried."""
    n, m = int(old.offsets[1]), len(joined)
    record, offsets = joined.record, joined.offsets
    if m == 1:
        own = Record._make(column[n:] for column in record)
    else:
        behind = positions_behind(offsets, n)
        own = Record._make(column[behind] for column in record)
    states = None if begun is None else Begun._make(array[:m] for array in begun)
    before = Before(
        old.ends[:m], n, record, offsets, old.state.count[:m], old.state.neuron[:m], states
    )
    return replace(joined, record=own, offsets=offsets - n * np.arange(m + 1), before=before)


class Keeping:
    """What is kept of the stretches of a run whose spikes are not all recorded."""

    def __init__(self, network: Network, populations: tuple[str, ...], t_start: float) -> None:
        """Begin without a stretch."""
        self.populations, self.t_start = populations, t_start
        self.chosen = np.zeros(layout_of(network).n_neurons, dtype=bool)
        # The times of a pool are those of what sets it off, which may be another pool.
        for name in {*populations, *(network.pools if {*populations} & {*network.pools} else ())}:
            self.chosen[network.neurons_of(name)] = True
        self.records: list[tuple[Record, IntArray]] = []
        self.spikes: IntArray | int = 0
        self.count: IntArray | int = 0

    @property
    def sizes(self) -> IntArray:
        """Number of spikes that each sample has had by now."""
        return np.zeros(1, dtype=np.int64) if isinstance(self.count, int) else self.count[:, SPIKES]

    def take(self, part: BatchResult) -> None:
        """Take the next stretch; of a batch, the first samples alone if it has no others."""
        n, m = self.chosen.size, len(part)
        mine = self.chosen[part.record.neuron]
        ends = np.concatenate([[0], np.cumsum(mine)])[part.offsets]
        self.records.append((Record._make(column[mine] for column in part.record), ends))
        every = np.bincount(part.samples * n + part.record.neuron, minlength=m * n).reshape(m, n)
        self.spikes = every + (self.spikes if isinstance(self.spikes, int) else self.spikes[:m])
        self.count = part.counted + (self.count if isinstance(self.count, int) else self.count[:m])

    def result(self, last: BatchResult) -> BatchResult:
        """Return the run; ``last`` is its last stretch."""
        assert isinstance(self.spikes, np.ndarray)
        assert isinstance(self.count, np.ndarray)
        m = len(last)
        pieces = [slice(e[k], e[k + 1]) for k in range(m) for _, e in self.records]
        records = [record for record, _ in self.records] * m
        columns = zip(
            *([c[p] for c in r] for r, p in zip(records, pieces, strict=True)), strict=True
        )
        sizes = sum(np.diff(ends)[:m] for _, ends in self.records)
        return replace(
            last,
            record=Record._make(np.concatenate(column) for column in columns),
            offsets=np.concatenate([[0], np.cumsum(sizes)]),
            before=None,
            kept=Kept(self.populations, self.t_start, self.spikes, self.count, last),
        )


# --- other parameters -----------------------------------------------------------------------------


def require_structure(network: Network, old: Network) -> None:
    """Raise a ValueError unless a network differs in weights and parameters of neurons at most."""
    for what in ("inputs", "populations", "projections"):
        given, there = (list(getattr(net, what).items()) for net in (network, old))
        if what == "projections":
            given, there = [key for key, _ in given], [key for key, _ in there]
        if given != there:
            raise ValueError(f"network must keep the {what} {there} of resume, got {given}")
    for name, neuron in network.neurons.items():
        before = old.neurons[name]
        if (neuron.receptors, neuron.columns) != (before.receptors, before.columns):
            raise ValueError(
                f"network must keep the receptors of {name!r}, with a current or without: "
                f"{before.tau_syn}, got {neuron.tau_syn}"
            )
    for key, projection in network.projections.items():
        _require_synapses(key, projection, old.projections[key])


def _require_synapses(key: Key, new: Projection, old: Projection) -> None:
    if new is old:
        return
    if new.receptor != old.receptor or not _are_alike(new.weights, old.weights):
        raise ValueError(
            f"network must keep the synapses of {key} of resume, got {shown(new.weights)}"
        )
    if not (new.delays is old.delays or np.array_equal(new.delay_values, old.delay_values)):
        raise ValueError(
            f"network must keep the delays of {key} of resume, got {shown(new.delays)}"
        )


def _are_alike(new: Matrix | Convolution, old: Matrix | Convolution) -> bool:
    """Tell whether weights are of the same form and connect the same."""
    if type(new) is not type(old) or new.shape != old.shape:
        return False
    if isinstance(new, Convolution) and isinstance(old, Convolution):
        return (new.image, new.stride, new.padding) == (old.image, old.stride, old.padding)
    if isinstance(new, csr_array) and isinstance(old, csr_array):
        pairs = (new.indptr, old.indptr), (new.indices, old.indices)
        return all(one is two or np.array_equal(one, two) for one, two in pairs)
    return True


def under(network: Network, old: BatchResult, begun: Begun) -> Begun:
    """Return the states at the end of a run as they are under other parameters.

    Raises
    ------
    ValueError
        If a potential is not below its new threshold.
    """
    neurons, before = layout_of(network).neurons, layout_of(old.network).neurons
    free = begun.release <= old.ends[:, None]
    potential = np.where(free, begun.potential + (before.reset - neurons.reset), 0.0)
    threshold = np.broadcast_to(neurons.threshold, potential.shape)
    # What is about to fire may stand above by a rounding.
    slack = TOLERANCE * (np.abs(potential) + np.abs(neurons.reset))
    above = free & (potential > threshold + slack)
    if np.any(above):
        k, i = (int(n) for n in np.argwhere(above)[0])
        start = layout_of(network).neuron_start
        name = max((p for p in start if start[p] <= i), key=start.__getitem__)
        v, theta = (float(a[k, i] + neurons.reset[i]) for a in (potential, threshold))
        raise ValueError(
            f"threshold of neuron {i - start[name]} of {name!r} must not be below its potential "
            f"{v} at t = {float(old.ends[k])}, got {theta}"
        )
    return Begun(begun.currents, potential, begun.release)
