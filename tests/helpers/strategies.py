"""All hypothesis strategies: parameters with their limits, networks, spike trains with ties.

Numbers are drawn as short decimals or from small grids, so that a failing case shrinks to one that
a human can read, ties are common, and equal and infinite time constants are ordinary draws.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numba
from hypothesis import settings
from hypothesis import strategies as st

from tests.helpers.naive import Case, Neuron, Synapse


def decimals(low: float, high: float, digits: int = 3) -> st.SearchStrategy[float]:
    """Numbers with few decimals in [low, high]."""
    unit = 10**digits
    return st.integers(round(low * unit), round(high * unit)).map(lambda k: k / unit)


def rates() -> st.SearchStrategy[float]:
    """1/tau: ordinary, 0 (infinite time constant), or extreme."""
    return st.one_of(decimals(0.05, 4.0), st.just(0.0), st.sampled_from([1e-12, 1e-6, 50.0]))


@st.composite
def rate_pairs(draw: st.DrawFn) -> tuple[float, float]:
    """(alpha, beta): unrelated, equal, a factor of two apart, or nearly equal."""
    alpha = draw(st.one_of(decimals(0.1, 3.0), st.just(0.0)))
    other = st.one_of(decimals(0.1, 3.0), st.just(0.0))
    related = st.sampled_from([1.0, 2.0, 0.5, 1.0 + 2.0**-52, 1.0 - 1e-15, 1.0 + 1e-9, 1.0 + 1e-6])
    beta = draw(st.one_of(other, related.map(lambda factor: alpha * factor)))
    return alpha, beta


@st.composite
def neurons(
    draw: st.DrawFn, bias: bool = True, refractory: bool = True, silent: bool = True
) -> Neuron:
    """One neuron: any limit of the time constants, now and then refractory, biased or silent."""
    alpha, beta = draw(rate_pairs())
    theta = draw(decimals(0.3, 1.5))
    if silent and draw(st.integers(0, 9)) == 0:
        theta = math.inf
    return Neuron(
        alpha,
        beta,
        theta,
        tau_ref=draw(st.one_of(st.just(0.0), decimals(0.05, 0.8))) if refractory else 0.0,
        bias=draw(st.one_of(st.just(0.0), decimals(-0.5, 0.5))) if bias else 0.0,
    )


@st.composite
def general_neurons(draw: st.DrawFn, n_receptors: int, at_once: int = -1) -> Neuron:
    """One neuron with any number of receptors, potentials of its own, and a state at the start.

    Rates are often those of another receptor, or of the membrane. At the receptor `at_once`, if
    there is one of that number, charges arrive at once.
    """
    alphas = [draw(rate_pairs())]
    beta = alphas[0][1]
    rates = [alphas[0][0]]
    for _ in range(1, n_receptors):
        related = st.sampled_from([*rates, beta, beta * (1.0 + 1e-9), rates[0] * 2.0])
        rates.append(draw(st.one_of(decimals(0.1, 5.0), related, st.just(0.0))))
    if 0 <= at_once < n_receptors:
        rates[at_once] = math.inf
    reset = draw(st.one_of(st.just(0.0), decimals(-0.5, 0.5)))
    theta = round(reset + draw(decimals(0.3, 1.5)), 3)
    bias = draw(st.one_of(st.just(0.0), decimals(-0.5, 0.5)))
    neuron = Neuron(
        tuple(rates),
        beta,
        math.inf if draw(st.integers(0, 9)) == 9 else theta,
        draw(st.one_of(st.just(0.0), decimals(0.05, 0.8), st.just(math.inf))),
        bias,
        rest=draw(st.one_of(st.just(0.0), decimals(-1.0, 1.5))),
        reset=reset,
    )
    begins_anywhere = neuron.rest >= neuron.theta or draw(st.booleans())
    return draw(begun(neuron)) if begins_anywhere else neuron


@st.composite
def begun(draw: st.DrawFn, neuron: Neuron) -> Neuron:
    """The neuron with another state at the start."""
    highest = min(neuron.theta, 1.0) - 0.05
    each = (st.just(0.0) if math.isinf(a) else decimals(-1.0, 2.0) for a in neuron.alphas)
    currents = draw(st.tuples(*each))
    return replace(neuron, v0=draw(decimals(-1.0, highest)), i0=currents)


def times(t_stop: float) -> st.SearchStrategy[float]:
    """A moment in [0, t_stop): on a coarse grid (so that ties are common) or anywhere."""
    grid = st.integers(0, math.ceil(4 * t_stop) - 1).map(lambda k: k / 4)
    return st.one_of(grid, decimals(0.0, t_stop - 0.001))


def spike_trains(
    n_sources: int, t_stop: float, min_size: int = 0, max_size: int = 8
) -> st.SearchStrategy[tuple[tuple[int, float], ...]]:
    """Input spikes (source, time) in any order, ties and repetitions included."""
    spike = st.tuples(st.integers(0, n_sources - 1), times(t_stop))
    return st.lists(spike, min_size=min_size, max_size=max_size).map(tuple)


@st.composite
def networks(
    draw: st.DrawFn,
    max_neurons: int = 4,
    n_sources: int = 2,
    t_stop: float = 3.0,
    bias: bool = True,
    refractory: bool = True,
    feedforward: bool = False,
) -> Case:
    """A random network with its input: recurrent, self-connected, some synapses doubled.

    Delays are zero, on the grid of the input times (so that arrivals tie) or anywhere.
    """
    n = draw(st.integers(1, max_neurons))
    cells = tuple(draw(neurons(bias, refractory)) for _ in range(n))
    return draw(_connected(cells, n_sources, t_stop, feedforward))


# Numbers of receptors, and which of them charges arrive at (-1: none).  Every loop is compiled for
# each number of currents, with charges and without, for half a minute: plain Python has them all.
RECEPTORS = [(1, -1), (3, 0)]
if not numba.config.BOUNDSCHECK:
    RECEPTORS += [(3, 1)]
if numba.config.DISABLE_JIT:
    RECEPTORS += [(2, -1), (3, -1), (1, 0), (2, 0), (2, 1)]


@st.composite
def general_networks(
    draw: st.DrawFn,
    max_neurons: int = 3,
    n_sources: int = 2,
    t_stop: float = 3.0,
    alike: bool = False,
) -> Case:
    """As `networks`, of `general_neurons`; all with like receptors if they are to be alike."""
    n = draw(st.integers(1, max_neurons))
    one = st.sampled_from(RECEPTORS)
    each = (draw(one),) * n if alike else draw(st.tuples(*(one for _ in range(n))))
    cells = tuple(draw(general_neurons(*receptors)) for receptors in each)
    return draw(_connected(cells, n_sources, t_stop))


def any_networks() -> st.SearchStrategy[Case]:
    """Of one receptor, at rest at 0 and reset to it; or of any neurons."""
    return st.one_of(networks(), general_networks(), general_networks(alike=True))


@st.composite
def _connected(
    draw: st.DrawFn,
    cells: tuple[Neuron, ...],
    n_sources: int,
    t_stop: float,
    feedforward: bool = False,
) -> Case:
    n = len(cells)
    inputs = st.one_of(spike_trains(n_sources, t_stop, min_size=4), spike_trains(n_sources, t_stop))
    delays = st.one_of(st.just(0.0), st.sampled_from([0.25, 0.5, 1.0]), decimals(0.0, 1.2))
    synapses = []
    for pre in range(-n_sources, n):
        for post in range(pre + 1 if feedforward and pre >= 0 else 0, n):
            last = len(cells[post].alphas) - 1
            for _ in range(draw(st.sampled_from([1, 1, 1, 0, 2]))):
                reach = (-1.0, 6.0) if pre < 0 else (-1.5, 1.5)
                weight, delay = draw(decimals(*reach)), draw(delays)
                receptor = draw(st.integers(0, last)) if last else 0
                if pre >= 0 and math.isinf(cells[post].alphas[receptor]):
                    delay = delay or 0.25  # a charge that is passed on at once is refused
                synapses.append(Synapse(pre, post, weight, delay, receptor))
    return Case(cells, tuple(synapses), draw(inputs), t_stop)


@st.composite
def violent_networks(draw: st.DrawFn, t_stop: float = 3.0) -> Case:
    """Weights up to 1e6 either way; refractoriness keeps the spike count within reason."""
    n = draw(st.integers(1, 3))
    cells = []
    for _ in range(n):
        alpha, beta = draw(rate_pairs())
        cells.append(
            Neuron(alpha, beta, draw(decimals(0.3, 2.0)), tau_ref=draw(decimals(0.2, 0.8)))
        )
    size = st.sampled_from([1e3, 1e6, 1.0, 1e-6])
    synapses = tuple(
        (pre, post, draw(decimals(-1.0, 3.0)) * draw(size), draw(decimals(0.0, 1.0)))
        for pre in range(-1, n)
        for post in range(n)
    )
    return Case(tuple(cells), synapses, draw(spike_trains(1, t_stop, min_size=1)), t_stop)


def examples(share: float) -> settings:
    """A share of the examples of the loaded profile, for properties that are slow to check."""
    return settings(max_examples=max(3, round(settings.default.max_examples * share)))
