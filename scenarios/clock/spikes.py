"""How a clock moves spikes: the same random networks on finer and finer grids, and exactly.

A spike of the clocked network and one of the exact network belong together if each is the other's
nearest, in the same neuron and sample, and they are less than `WINDOW` apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import eventsim as es
from scenarios.extras import require

require("torch", ("torch",), "this scenario")

import torch  # noqa: E402

from gradients.clocked import ClockedNetwork, Reset  # noqa: E402

__all__ = ["LAYERS", "Shifts", "compare_spikes", "measure", "order", "random_network"]

Floats = NDArray[np.float64]
IntArray = NDArray[np.int64]

LAYERS = ("layer1", "layer2", "layer3")
SIZE, SAMPLES = 30, 10
T_STOP = 5.0  # the time constants are about 1
RATE = 1.0  # of each input source
WINDOW = 0.25
RESETS: tuple[Reset, ...] = ("zero", "subtract")


def random_network(rng: np.random.Generator) -> tuple[es.Network, es.SpikeBatch]:
    """Draw a network of three layers, and Poisson spikes for its input.

    Time constants lie between 0.5 and 2.  Weights are normal; their mean is such that the mean
    input would bring the potential to the threshold, 1, and their standard deviation is twice that.

    Examples
    --------
    >>> network, spikes = random_network(np.random.default_rng(0))
    >>> dict(network.populations), len(spikes)
    ({'layer1': 30, 'layer2': 30, 'layer3': 30}, 10)
    """
    spikes = _poisson(rng)
    network = es.Network()
    network.add_input("in", SIZE)
    pre, rate = "in", RATE
    for name in LAYERS:
        tau_mem, tau_syn = np.exp(rng.uniform(-np.log(2.0), np.log(2.0), 2))
        network.add_population(name, SIZE, es.LIF(tau_mem, tau_syn))
        mean = 1.0 / (SIZE * max(rate, 0.1) * tau_mem * tau_syn)
        network.connect(pre, name, weights=rng.normal(mean, 2.0 * mean, (SIZE, SIZE)))
        result = es.simulate(network, {"in": spikes}, T_STOP)
        pre, rate = name, float(result.spike_counts(name).mean()) / T_STOP
    return network, spikes


def _poisson(rng: np.random.Generator) -> es.SpikeBatch:
    counts = rng.poisson(RATE * T_STOP, (SAMPLES, SIZE))
    samples, sources = (
        np.repeat(axis.ravel(), counts.ravel()) for axis in np.indices(counts.shape)
    )
    return es.SpikeBatch(rng.uniform(0.0, T_STOP, samples.size), sources, samples, SAMPLES)


@dataclass(frozen=True, eq=False)
class Shifts:
    """How the spikes of a population differ from the exact ones.

    Attributes
    ----------
    delays : ndarray
        By how much later each matched spike comes.
    missed, invented : float
        Exact spikes without a partner, and spikes without an exact partner, as fractions of the
        number of exact spikes.  Spikes less than a window before the end are not counted: their
        partners may lie behind it.
    """

    delays: Floats
    missed: float
    invented: float


def compare_spikes(
    exact: tuple[Floats, IntArray],
    clocked: tuple[Floats, IntArray],
    t_stop: float,
    window: float = WINDOW,
) -> Shifts:
    """Match spikes, each given by its time and the number of its train.

    Examples
    --------
    >>> exact = np.array([0.1, 0.5, 0.6]), np.array([0, 0, 1])
    >>> clocked = np.array([0.12, 0.58, 0.2]), np.array([0, 0, 1])
    >>> shifts = compare_spikes(exact, clocked, t_stop=2.0)
    >>> shifts.delays, shifts.missed, shifts.invented
    (array([0.02, 0.08]), 0.3333, 0.3333)
    """
    apart = 2.0 * (t_stop + window)  # trains are laid behind each other, this far apart
    a, b = (np.sort(times + apart * trains) for times, trains in (exact, clocked))
    early = [x % apart < t_stop - window for x in (a, b)]
    lonely = [np.ones(x.size, dtype=bool) for x in (a, b)]
    first, second = _partners(a, b, window)
    lonely[0][first] = lonely[1][second] = False
    n = max(int(early[0].sum()), 1)
    missed, invented = (float((x & y).sum() / n) for x, y in zip(lonely, early, strict=True))
    return Shifts((b[second] - a[first])[early[0][first]], missed, invented)


def _partners(a: Floats, b: Floats, window: float) -> tuple[IntArray, IntArray]:
    """Return the positions of the spikes of two sorted lines that belong together."""
    if a.size == 0 or b.size == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    partner = _nearest(a, b)
    mutual = _nearest(b, a)[partner] == np.arange(a.size)
    first = np.flatnonzero(mutual & (np.abs(b[partner] - a) < window))
    return first, partner[first]


def _nearest(x: Floats, y: Floats) -> IntArray:
    """Return for each x the position of the nearest y, both sorted."""
    right = np.searchsorted(y, x).clip(1, max(y.size - 1, 1))
    return np.where(x - y[right - 1] <= np.abs(y[right % y.size] - x), right - 1, right % y.size)


def measure(seed: int, steps: Sequence[float]) -> dict[str, Any]:
    """Return how one random network's spikes differ, as a record for each layer, step and reset.

    Parameters
    ----------
    seed : int
        Of the network and its input.
    steps : sequence of float
        Time steps of the clock.
    """
    network, spikes = random_network(np.random.default_rng([seed, 1]))
    exact = es.simulate(network, {"in": spikes}, T_STOP)
    records = []
    for reset in RESETS:
        for time_step in steps:
            model = ClockedNetwork(network, time_step, reset=reset, dtype=torch.float64)
            with torch.no_grad():
                run = model({"in": spikes}, T_STOP)
            for layer in LAYERS:
                found, true = run.spike_times(layer), exact.spikes[layer]
                shifts = compare_spikes(
                    (true.times, true.samples * SIZE + true.indices),
                    (found.times, found.samples * SIZE + found.indices),
                    T_STOP,
                )
                what = {"layer": layer, "reset": reset, "time_step": time_step}
                records.append({**what, **_summary(shifts, time_step)})
    return {"records": records}


def _summary(shifts: Shifts, time_step: float) -> dict[str, float | None]:
    some = shifts.delays.size > 0
    return {
        "error": float(np.median(np.abs(shifts.delays))) if some else None,
        "steps_late": float(np.mean(shifts.delays)) / time_step if some else None,
        "missed": shifts.missed,
        "invented": shifts.invented,
    }


def order(steps: Sequence[float], errors: Sequence[float]) -> float:
    """Return the order of convergence: the slope of log error against log step, least squares.

    Examples
    --------
    >>> order([0.1, 0.01], [0.3, 0.003])
    2.0
    """
    return float(np.polyfit(np.log(steps), np.log(errors), 1)[0])
