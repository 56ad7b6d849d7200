"""The compiled loops of the adjoint sweep over layers.

The same tiles as in the forward run (`eventsim._layout.layers`) are walked backward in time: an
arrival adds the adjoint currents to a row of the weight table's gradient.  How the states come from
arrival to arrival is the matter of `rates`, or of `frames` if no neuron's parameters are asked for:
``frames`` None or not decides, and the compiler leaves out the other.
"""

from eventsim._layout.incoming import factors_of, fill, reached_arrivals
from eventsim._support.compile import loop
from gradients._sweeps.layers import frames as framed
from gradients._sweeps.layers import rates

__all__ = [
    "collect_arrivals",
    "count_fired",
    "fill_fired",
    "running_sum",
    "sweep_all_to_all",
    "sweep_reached",
]


@loop
def count_fired(offsets, neuron, base, tile_of, start, n_tiles, first, last):
    """Count the spikes of each (sample, tile) into the entry after its own."""
    for k in range(first, last):
        for s in range(offsets[k], offsets[k + 1]):
            start[k * n_tiles + tile_of[neuron[s] - base] + 1] += 1


@loop
def fill_fired(
    offsets, neuron, base, tile_of, numbers, lane_of, by_spike, fired, filled, n_tiles, first, last
):
    """Fill `Fired`, whose ``start`` is known; ``filled`` (n_samples * n_tiles,) is scratch."""
    for k in range(first, last):
        for s in range(offsets[k], offsets[k + 1]):
            at = k * n_tiles + tile_of[neuron[s] - base]
            place = fired.start[at] + filled[at]
            fired.spike[place] = numbers[s]
            fired.by_time[place] = by_spike[numbers[s]]
            fired.lane[place] = lane_of[neuron[s] - base]
            filled[at] += 1


@loop
def collect_arrivals(incoming, arrival, by_spike, first, last):
    """Add up the derivatives by each arrival, block by block, at the spike that caused it."""
    for k in range(first, last):
        for a in range(incoming.offsets[k], incoming.offsets[k + 1]):
            spike = incoming.origin[a]
            if spike >= 0:
                for b in range(arrival.shape[0]):
                    by_spike[spike] += arrival[b, a]


@loop
def running_sum(total, values):
    """Return ``total`` plus all values, added one by one."""
    for value in values:
        total += value
    return total


@loop
def sweep_all_to_all(task, frames, b, factors, strand, work):
    """Sweep block ``b`` through the samples of one `Strand`."""
    tiles, incoming = task.tiles, task.incoming
    q = tiles.first[b]
    own = factors_of(factors, tiles.kind[q])
    for k in range((strand.number - strand.first) % strand.n, incoming.offsets.size - 1, strand.n):
        start, stop = incoming.offsets[k], incoming.offsets[k + 1]
        if frames is None:
            rates.sweep_tile(task, q, b, incoming, False, own, start, stop, k, strand.number, work)
        else:
            framed.sweep_tile(
                task, frames, q, b, incoming, False, own, start, stop, k, strand.number, work
            )


@loop
def sweep_reached(task, frames, reach, b, scratch, begins, strand, work):
    """Sweep the tiles of block ``b``, each with its own arrivals, as `sweep_all_to_all`."""
    tiles, incoming, t_stop = task.tiles, task.incoming, task.t_stop
    low, high = tiles.first[b], tiles.first[b + 1]
    arrivals, factors, starts = scratch.arrivals, scratch.factors, scratch.starts
    for k in range((strand.number - strand.first) % strand.n, incoming.offsets.size - 1, strand.n):
        reached_arrivals(tiles, reach, b, incoming, k, begins, t_stop, arrivals, starts)
        for q in range(low, high):
            start, stop = starts[q - low], starts[q - low + 1]
            if frames is None:
                fill(tiles, q, arrivals.time, start, stop, t_stop, factors)
                rates.sweep_tile(
                    task, q, b, arrivals, True, factors, start, stop, k, strand.number, work
                )
            else:
                framed.fill(tiles, q, arrivals.time, start, stop, frames, t_stop, factors)
                framed.sweep_tile(
                    task, frames, q, b, arrivals, True, factors, start, stop, k, strand.number, work
                )
