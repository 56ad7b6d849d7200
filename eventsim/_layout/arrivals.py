"""All arrivals of a run, neuron by neuron: the basis of the causality graph and of potentials.

A run records spikes, not arrivals; this module lists them after the run, in time linear in the
synaptic events.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eventsim._layout.wiring import Neurons, Wiring
from eventsim._support.compile import allocating_loop, loop, scalar
from eventsim._support.types import BoolArray, FloatArray, IntArray
from eventsim.model.currents import flow_of
from eventsim.model.jumps import AT_ONCE, CHARGE, RESET, hold

__all__ = ["Arrivals", "Begun", "Fired", "list_arrivals", "most_arrivals", "sample_states"]


class Arrivals(NamedTuple):
    """Arrivals of the neurons of a range, ascending in (neuron, time).

    Those of neuron i are ``first[i] : first[i + 1]``; ``spike`` is the number of the causing spike
    (inputs first, then recorded spikes), ``synapse`` the position in the wiring, ``receptor`` that
    of the neuron.
    """

    first: IntArray
    time: FloatArray
    spike: IntArray
    synapse: IntArray
    receptor: NDArray[np.int8]


class Fired(NamedTuple):
    """Spikes of the neurons of a range: those of neuron i are ``first[i] : first[i + 1]``.

    ``number`` is that of `Arrivals.spike`.
    """

    first: IntArray
    time: FloatArray
    slope: FloatArray
    number: IntArray


class Begun(NamedTuple):
    """Where neurons begin, each (n_neurons,): potentials from reset, and until when they are held.

    ``currents`` (n_neurons, n_receptors).  All arrays may have a leading axis, of samples.
    """

    currents: FloatArray
    potential: FloatArray
    release: FloatArray


def list_arrivals(
    wiring: Wiring,
    times: FloatArray,
    sources: IntArray,
    t_stop: float,
    neurons: tuple[int, int],
    stop: BoolArray,
    since: float = -math.inf,
) -> Arrivals:
    """Return the `Arrivals` after ``since``, up to ``t_stop``, at the neurons ``range(*neurons)``.

    Parameters
    ----------
    wiring : Wiring
        The synapses.
    times, sources : (n_spikes,) ndarray
        All spikes, inputs first; sources numbered as in the wiring.
    t_stop : float
        Arrivals after it are left out.
    neurons : (int, int)
        First neuron, and one past the last.
    stop : (1,) ndarray of bool
        If it is set meanwhile, the list is not completed.
    since : float
        Arrivals until then are left out.
    """
    low, high = neurons
    counts = np.zeros(high - low, dtype=np.int64)
    _count(wiring, times, sources, since, t_stop, low, high, counts, stop)
    first = np.concatenate([[0], np.cumsum(counts)])
    total = int(first[-1])
    spike, synapse = np.empty((2, total), dtype=np.int64)
    arrivals = Arrivals(first, np.empty(total), spike, synapse, np.empty(total, dtype=np.int8))
    _fill(wiring, times, sources, since, t_stop, low, high, first[:-1].copy(), arrivals, stop)
    _sort(arrivals, stop)
    return arrivals


def most_arrivals(wiring: Wiring, n_spikes: int) -> float:
    """Return how many arrivals spikes have at most: about as many nanoseconds as a list takes."""
    return float(n_spikes) * wiring.target.size


@loop
def _count(
    wiring: Wiring,
    times: FloatArray,
    sources: IntArray,
    since: float,
    t_stop: float,
    low: int,
    high: int,
    counts: IntArray,
    stop: BoolArray,
) -> None:
    for number in range(times.size):
        if stop[0]:
            return
        source = sources[number]
        for g in range(wiring.first_group[source], wiring.first_group[source + 1]):
            arrival = times[number] + wiring.delay[g]
            if arrival <= since:
                continue
            if arrival > t_stop:
                break
            for s in range(wiring.start[g], wiring.stop[g]):
                if low <= wiring.target[s] < high:
                    counts[wiring.target[s] - low] += 1


@loop
def _fill(
    wiring: Wiring,
    times: FloatArray,
    sources: IntArray,
    since: float,
    t_stop: float,
    low: int,
    high: int,
    position: IntArray,
    arrivals: Arrivals,
    stop: BoolArray,
) -> None:
    for number in range(times.size):
        source = sources[number]
        for g in range(wiring.first_group[source], wiring.first_group[source + 1]):
            arrival = times[number] + wiring.delay[g]
            if arrival <= since:
                continue
            if arrival > t_stop:
                break
            for s in range(wiring.start[g], wiring.stop[g]):
                if stop[0]:  # at each arrival: the first ones may take the system much memory
                    return
                i = wiring.target[s] - low
                if low <= wiring.target[s] < high:
                    arrivals.time[position[i]] = arrival
                    arrivals.spike[position[i]] = number
                    arrivals.synapse[position[i]] = s
                    arrivals.receptor[position[i]] = wiring.receptor[g]
                    position[i] += 1


@allocating_loop
def _sort(arrivals: Arrivals, stop: BoolArray) -> None:
    for i in range(arrivals.first.size - 1):
        if stop[0]:
            return
        part = slice(arrivals.first[i], arrivals.first[i + 1])
        order = np.argsort(arrivals.time[part], kind="mergesort")
        arrivals.time[part] = arrivals.time[part][order]
        arrivals.spike[part] = arrivals.spike[part][order]
        arrivals.synapse[part] = arrivals.synapse[part][order]
        arrivals.receptor[part] = arrivals.receptor[part][order]


@loop
def sample_states(
    neurons: Neurons,
    low: int,
    arrivals: Arrivals,
    weight: FloatArray,
    fired: Fired,
    since: float,
    begun: Begun,
    at: FloatArray,
    currents: FloatArray,
    potentials: FloatArray,
    scratch: FloatArray,
    stop: BoolArray,
) -> None:
    """Fill currents (n_times, n_neurons, n_receptors) and potentials at the ascending times ``at``.

    Neuron ``low + i`` began at the time ``since``, as ``begun`` has it.  States are those after the
    events of the same time.  ``scratch`` (n_receptors,).
    """
    for i in range(arrivals.first.size - 1):
        kind = neurons.kind[low + i]
        alphas, beta, bias = neurons.alpha[kind], neurons.beta[kind], neurons.bias[low + i]
        own, potential, reference, release = scratch, begun.potential[i], since, begun.release[i]
        for r in range(own.size):
            own[r] = begun.currents[i, r]
        a, f = arrivals.first[i], fired.first[i]
        for k in range(at.size):
            if stop[0]:
                return
            while True:
                arrival = arrivals.time[a] if a < arrivals.first[i + 1] else math.inf
                spike = fired.time[f] if f < fired.first[i + 1] else math.inf
                if at[k] < min(arrival, spike):
                    there = currents[k, i]
                    for r in range(own.size):
                        there[r] = own[r]
                    potentials[k, i] = _flow_held(
                        there, potential, reference, release, at[k], alphas, beta, bias
                    )
                    break
                now = min(arrival, spike)
                potential = _flow_held(own, potential, reference, release, now, alphas, beta, bias)
                reference = now
                # What charges set off comes after all that arrives at the same time but for what it
                # sends itself, and later ones; other spikes come before.
                if spike == now and not (
                    fired.slope[f] == AT_ONCE
                    and arrival == now
                    and arrivals.spike[a] < fired.number[f]
                ):
                    potential, release = RESET, spike + neurons.refractory[low + i]
                    f += 1
                elif arrivals.receptor[a] == CHARGE:
                    if now >= release:  # else it is lost
                        potential += weight[arrivals.synapse[a]]
                    a += 1
                else:
                    own[arrivals.receptor[a]] += weight[arrivals.synapse[a]]
                    a += 1


@scalar
def _flow_held(
    currents: FloatArray,
    potential: float,
    reference: float,
    release: float,
    now: float,
    alphas: FloatArray,
    beta: float,
    bias: float,
) -> float:
    """Let the currents flow to ``now``; return V, which is held until ``release``."""
    if reference >= release:
        return flow_of(currents, potential, now - reference, alphas, beta, bias)
    held = min(now, release)
    for r in range(currents.size):
        currents[r] = hold(currents[r], held - reference, alphas[r])
    if now <= release:
        return RESET
    return flow_of(currents, RESET, now - release, alphas, beta, bias)
