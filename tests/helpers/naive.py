"""A slow, obvious simulator: the oracle for random networks. Never imported by the packages.

It keeps every arrival of every neuron in a list and writes the potential as a sum over all of them
since the start. A crossing is looked for between neighbouring arrivals: cut the interval at the
stationary point of V, if there is one, and bisect (brentq) each monotone piece that passes the
threshold upwards. Nothing is incremental, so nothing can drift or be forgotten.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from scipy.optimize import brentq


@dataclass(frozen=True)
class Neuron:
    """Parameters as rates: alpha = 1/tau_syn, beta = 1/tau_mem, 0 for an infinite constant."""

    alpha: float
    beta: float
    theta: float = 1.0
    tau_ref: float = 0.0
    bias: float = 0.0


@dataclass(frozen=True)
class Case:
    """A network with its input. pre >= 0 is a neuron, pre = -(s+1) is input source s."""

    neurons: tuple[Neuron, ...]
    synapses: tuple[tuple[int, int, float, float], ...]  # pre, post, weight, delay
    inputs: tuple[tuple[int, float], ...]  # source, time
    t_stop: float

    @property
    def n_sources(self) -> int:
        sources = [-pre for pre, *_ in self.synapses] + [s + 1 for s, _ in self.inputs]
        return max(1, *sources) if sources else 1


def kernel(t: float, alpha: float, beta: float) -> float:
    """Potential a time t after a unit of current arrived."""
    if t <= 0.0:
        return 0.0
    x = abs(beta - alpha) * t
    return t * math.exp(-min(alpha, beta) * t) * (-math.expm1(-x) / x if x > 0.0 else 1.0)


def charge(t: float, rate: float) -> float:
    """Integral of exp(-rate s) over s in [0, t]."""
    return -math.expm1(-rate * t) / rate if rate > 0.0 else t


@dataclass
class State:
    """One neuron and everything that ever reached it."""

    neuron: Neuron
    arrivals: list[tuple[float, float]] = field(default_factory=list)  # time, weight
    release: float = 0.0  # V = 0 here; it integrates from here on

    def current(self, t: float) -> float:
        alpha = self.neuron.alpha
        return math.fsum(w * math.exp(-alpha * (t - a)) for a, w in self.arrivals if a <= t)

    def potential(self, t: float) -> float:
        """V(t) from the last release on: old current decaying, bias, and later arrivals."""
        n, r = self.neuron, self.release
        if t <= r:
            return 0.0
        later = (w * kernel(t - a, n.alpha, n.beta) for a, w in self.arrivals if r < a < t)
        old = self.current(r) * kernel(t - r, n.alpha, n.beta)
        return math.fsum((old, n.bias * charge(t - r, n.beta), *later))

    def slope(self, t: float) -> float:
        """V'(t) before the arrivals at t itself act."""
        n = self.neuron
        before = (w * math.exp(-n.alpha * (t - a)) for a, w in self.arrivals if a < t)
        return math.fsum(before) - n.beta * self.potential(t) + n.bias


def stationary_point(
    current: float, slope: float, alpha: float, beta: float, length: float
) -> float | None:
    """Where V' vanishes in (0, length), from I and V' at 0: None if nowhere.

    exp(beta t) V'(t) = V'(0) - alpha I(0) * integral of exp((beta - alpha) s) over [0, t] is
    monotone in t: one change of sign at most. (Divided by exp((beta - alpha) t) if that grows.)
    """

    def sign(t: float) -> float:
        if beta > alpha:
            grown = math.exp(-(beta - alpha) * t)
            return slope * grown - alpha * current * charge(t, beta - alpha)
        return slope - alpha * current * charge(t, alpha - beta)

    if sign(0.0) * sign(length) >= 0.0:
        return None
    return float(brentq(sign, 0.0, length, xtol=1e-300, rtol=1e-15))


def first_upcrossing(
    potential: Callable[[float], float], cuts: list[float], theta: float
) -> tuple[float, float]:
    """First time in (cuts[0], cuts[-1]] at which V passes theta upwards, and how close a call.

    V is monotone between neighbouring cuts. The time is inf if there is none; the second value is
    the smallest relative distance of V from theta at a cut.
    """
    values = [potential(t) for t in cuts]
    margin = min(abs(v - theta) / theta for v in values)
    for left, right, below, above in zip(cuts, cuts[1:], values, values[1:], strict=False):
        if below < theta < above:
            root = brentq(lambda t: potential(t) - theta, left, right, xtol=1e-300, rtol=1e-15)
            return float(root), margin
    return math.inf, margin


def first_crossing(
    current: float, potential: float, neuron: Neuron, t_max: float
) -> tuple[float, float]:
    """First crossing in (0, t_max] of a neuron left to itself, and the margin of the decision."""
    n = neuron

    def v(t: float) -> float:
        terms = (potential * math.exp(-n.beta * t), current * kernel(t, n.alpha, n.beta))
        return math.fsum((*terms, n.bias * charge(t, n.beta)))

    slope = current - n.beta * potential + n.bias
    middle = stationary_point(current, slope, n.alpha, n.beta, t_max)
    cuts = [0.0, t_max] if middle is None else [0.0, middle, t_max]
    return first_upcrossing(v, cuts, n.theta)


def next_spike(state: State, t_stop: float) -> tuple[float, float]:
    """The neuron's next spike given the arrivals known so far (inf if none), and the margin."""
    n = state.neuron
    if not math.isfinite(n.theta) or state.release >= t_stop:
        return math.inf, math.inf
    between = sorted({a for a, _ in state.arrivals if state.release < a < t_stop})
    events = [state.release, *between, t_stop]
    cuts = list(events)
    for lo, hi in itertools.pairwise(events):
        current = state.current(lo)
        slope = current - n.beta * state.potential(lo) + n.bias
        middle = stationary_point(current, slope, n.alpha, n.beta, hi - lo)
        if middle is not None and lo < lo + middle < hi:
            cuts.append(lo + middle)
    return first_upcrossing(state.potential, sorted(cuts), n.theta)


@dataclass(frozen=True)
class Run:
    """What happened: spikes = (neuron, time) in order, with slopes; V and I of all at t_stop.

    `margin` is the smallest relative distance between V and a threshold at any moment of decision:
    a run with a tiny margin is one that float64 may decide either way.
    """

    spikes: tuple[tuple[int, float], ...]
    slopes: tuple[float, ...]
    potentials: tuple[float, ...]
    currents: tuple[float, ...]
    margin: float

    @property
    def min_slope(self) -> float:
        return min(self.slopes, default=math.inf)

    def times(self, neuron: int) -> list[float]:
        return [t for i, t in self.spikes if i == neuron]


class TooManySpikesError(RuntimeError):
    """The run passed its cap: choose another case."""


def simulate(case: Case, max_spikes: int = 200) -> Run:
    """Run the whole case: the earliest predicted spike is real, make it happen, predict again."""
    states = [State(n) for n in case.neurons]
    for source, t in case.inputs:
        _deliver(case, states, -(source + 1), t)
    predictions = [next_spike(s, case.t_stop) for s in states]
    margin = min((m for _, m in predictions), default=math.inf)
    spikes: list[tuple[int, float]] = []
    slopes: list[float] = []
    while True:
        t, i = min(((p[0], i) for i, p in enumerate(predictions)), default=(math.inf, -1))
        if t > case.t_stop:
            break
        if len(spikes) == max_spikes:
            raise TooManySpikesError(f"more than {max_spikes} spikes by t = {t}")
        spikes.append((i, t))
        slopes.append(states[i].slope(t))
        states[i].release = t + case.neurons[i].tau_ref
        for j in {i} | _deliver(case, states, i, t):
            if j != i and predictions[j][0] == t:
                continue  # fires at this very moment too: the arrival acts after its spike
            predictions[j] = next_spike(states[j], case.t_stop)
            margin = min(margin, predictions[j][1])
    potentials = tuple(s.potential(case.t_stop) for s in states)
    currents = tuple(s.current(case.t_stop) for s in states)
    return Run(tuple(spikes), tuple(slopes), potentials, currents, margin)


def _deliver(case: Case, states: list[State], source: int, t: float) -> set[int]:
    """Put the arrivals of a spike of `source` at t on its targets' lists; return the targets."""
    targets = set()
    for pre, post, weight, delay in case.synapses:
        if pre == source and weight != 0.0:
            states[post].arrivals.append((t + delay, weight))
            targets.add(post)
    return targets
