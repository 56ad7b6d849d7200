"""A slow, obvious simulator: the oracle for random networks. Never imported by the packages.

It keeps every arrival of every neuron in a list and writes the potential as a sum over all of them
since the start. A crossing is looked for between neighbouring arrivals: cut the interval at the
stationary points of V and bisect (brentq) each monotone piece that passes the threshold upwards.
Nothing is incremental, so nothing can drift or be forgotten.

Stationary points by Rolle's theorem: between neighbouring zeros of (D + r) F, the function F has
one zero at most, since exp(rt) F is monotone there. (D + beta) V' is J', a sum of exponentials, and
D + r applied to such a sum, with the slowest of its rates, leaves a term less.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from scipy.optimize import brentq


@dataclass(frozen=True)
class Neuron:
    """Parameters as rates: alpha = 1/tau_syn, beta = 1/tau_mem, 0 for an infinite constant.

    With several receptors alpha is a tuple; an infinite alpha: charges arrive at once. The neuron
    begins with the potential v0 (None: at rest) and the current i0 of each receptor (none: 0).
    """

    alpha: float | tuple[float, ...]
    beta: float
    theta: float = 1.0
    tau_ref: float = 0.0
    bias: float = 0.0
    rest: float = 0.0
    reset: float = 0.0
    v0: float | None = None
    i0: tuple[float, ...] = ()

    @property
    def alphas(self) -> tuple[float, ...]:
        return self.alpha if isinstance(self.alpha, tuple) else (self.alpha,)

    @property
    def has_current(self) -> tuple[bool, ...]:
        return tuple(map(math.isfinite, self.alphas))

    @property
    def currents(self) -> tuple[float, ...]:
        """Of each receptor at the start."""
        return self.i0 or (0.0,) * len(self.alphas)

    @property
    def drive(self) -> float:
        """What the bias and the leak towards rest add to V'."""
        return self.bias + self.beta * self.rest


class Synapse(NamedTuple):
    """pre >= 0 is a neuron, pre = -(s+1) is input source s."""

    pre: int
    post: int
    weight: float
    delay: float
    receptor: int = 0


@dataclass(frozen=True)
class Case:
    """A network with its input. Synapses may be given as plain tuples."""

    neurons: tuple[Neuron, ...]
    synapses: tuple[Synapse, ...]
    inputs: tuple[tuple[int, float], ...]  # source, time
    t_stop: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "synapses", tuple(Synapse(*s) for s in self.synapses))

    @property
    def n_sources(self) -> int:
        sources = [-s.pre for s in self.synapses] + [s + 1 for s, _ in self.inputs]
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


class Arrival(NamedTuple):
    """A spike at a synapse's target."""

    time: float
    weight: float
    receptor: int


@dataclass
class State:
    """One neuron and everything that ever reached it."""

    neuron: Neuron
    arrivals: list[Arrival] = field(default_factory=list)
    release: float = 0.0  # it integrates from here on, from the potential `begin`
    begin: float = 0.0

    @classmethod
    def at_the_start(cls, neuron: Neuron) -> State:
        arrivals = [Arrival(0.0, i, k) for k, i in enumerate(neuron.currents)]
        return cls(neuron, arrivals, 0.0, neuron.rest if neuron.v0 is None else neuron.v0)

    def under(self, neuron: Neuron, t: float) -> State:
        """The same state at t, with other parameters from there on, and nothing to arrive yet."""
        currents = enumerate(self.currents(t))
        arrivals = [Arrival(t, i, k) for k, i in currents if math.isfinite(neuron.alphas[k])]
        begin = self.potential(t) if self.release <= t else neuron.reset
        return State(neuron, arrivals, max(t, self.release), begin)

    def spike(self, t: float) -> None:
        """Reset, hold; all charges until now are spent, and those are lost that come while held."""
        n = self.neuron
        self.release, self.begin = t + n.tau_ref, n.reset
        self.arrivals = [
            a for a in self.arrivals if a.time > t or math.isfinite(n.alphas[a.receptor])
        ]

    def current(self, receptor: int, t: float) -> float:
        """The current of a receptor after the arrivals at t."""
        alpha = self.neuron.alphas[receptor]
        if math.isinf(alpha):
            return 0.0
        return math.fsum(
            a.weight * math.exp(-alpha * (t - a.time))
            for a in self.arrivals
            if a.receptor == receptor and a.time <= t
        )

    def currents(self, t: float) -> list[float]:
        return [self.current(k, t) for k in range(len(self.neuron.alphas))]

    def potential(self, t: float, before: bool = False) -> float:
        """V(t) from the last release on, before or after the charges that arrive at t itself.

        Old currents decaying, bias and rest, and later arrivals.
        """
        n, r = self.neuron, self.release
        if t < r:
            return n.reset
        terms = [self.begin * math.exp(-n.beta * (t - r)), n.drive * charge(t - r, n.beta)]
        for k, alpha in enumerate(n.alphas):
            own = [a for a in self.arrivals if a.receptor == k]
            if math.isinf(alpha):
                counted = [a for a in own if r <= a.time <= t and not (before and a.time == t)]
                terms += [a.weight * math.exp(-n.beta * (t - a.time)) for a in counted]
            else:
                terms.append(self.current(k, r) * kernel(t - r, alpha, n.beta))
                later = [a for a in own if r < a.time < t]
                terms += [a.weight * kernel(t - a.time, alpha, n.beta) for a in later]
        return math.fsum(terms)

    def slope(self, t: float) -> float:
        """V'(t) before the arrivals at t itself act."""
        n = self.neuron
        old = [(a, n.alphas[a.receptor]) for a in self.arrivals if a.time < t]
        currents = (a.weight * math.exp(-k * (t - a.time)) for a, k in old if math.isfinite(k))
        return math.fsum(currents) - n.beta * self.potential(t, before=True) + n.drive


def sign_changes(f: Callable[[float], float], cuts: Sequence[float]) -> list[float]:
    """The zeros of a function that has one at most between neighbouring cuts, and changes sign."""
    signs = [math.copysign(1.0, value) if (value := f(t)) != 0.0 else 0.0 for t in cuts]
    return [
        float(brentq(f, left, right, xtol=1e-300, rtol=1e-15))
        for (left, right), (a, b) in zip(
            itertools.pairwise(cuts), itertools.pairwise(signs), strict=True
        )
        if a * b < 0.0
    ]


def zeros(terms: Sequence[tuple[float, float]], length: float) -> list[float]:
    """Where a sum of c exp(-rate t), terms (c, rate), changes sign in (0, length)."""
    rates = sorted({rate for _, rate in terms})
    sums = [(math.fsum(c for c, rate in terms if rate == r), r) for r in rates]
    sums = [(c, r) for c, r in sums if c != 0.0]
    if len(sums) < 2:
        return []
    slowest = sums[0][1]
    sums = [(c, r - slowest) for c, r in sums]  # the same zeros
    turns = zeros([(-r * c, r) for c, r in sums[1:]], length)
    return sign_changes(
        lambda t: math.fsum(c * math.exp(-r * t) for c, r in sums), [0.0, *turns, length]
    )


def stationary_points(
    currents: Sequence[float], slope: float, alphas: Sequence[float], beta: float, length: float
) -> list[float]:
    """Where V' changes sign in (0, length), from the currents and V' at 0.

    V'(t) = V'(0) exp(-beta t) - sum of alpha I(0) kernel(t); times an exponential, lest all of it
    vanish in the end.
    """
    terms = [(-a * i, a) for i, a in zip(currents, alphas, strict=True) if i != 0.0 and a > 0.0]
    slowest = min([beta, *(a for _, a in terms)])

    def rise(t: float) -> float:
        parts = (c * kernel(t, a - slowest, beta - slowest) for c, a in terms)
        return math.fsum((slope * math.exp(-(beta - slowest) * t), *parts))

    return sign_changes(rise, [0.0, *zeros(terms, length), length])


def first_upcrossing(
    potential: Callable[[float], float], cuts: Sequence[float], theta: float
) -> tuple[float, list[float]]:
    """First time in [cuts[0], cuts[-1]] at which V surpasses theta, and the values at the cuts.

    V is monotone between neighbouring cuts. The time is inf if there is none.
    """
    values = [potential(t) for t in cuts]
    if values[0] > theta:
        return cuts[0], values
    for left, right, below, above in zip(cuts, cuts[1:], values, values[1:], strict=False):
        if below < theta < above:
            root = brentq(lambda t: potential(t) - theta, left, right, xtol=1e-300, rtol=1e-15)
            return float(root), values
    return math.inf, values


def first_crossing(
    current: float | Sequence[float], potential: float, neuron: Neuron, t_max: float
) -> tuple[float, float]:
    """First crossing in (0, t_max] of a neuron left to itself, and the margin of the decision."""
    currents = [current] if isinstance(current, float) else current
    arrivals = [Arrival(0.0, i, k) for k, i in enumerate(currents)]
    return next_spike(State(neuron, arrivals, 0.0, potential), t_max)


def next_spike(state: State, t_stop: float) -> tuple[float, float]:
    """The neuron's next spike given the arrivals known so far (inf if none), and the margin."""
    n = state.neuron
    if not math.isfinite(n.theta) or state.release > t_stop:
        return math.inf, math.inf
    between = {a.time for a in state.arrivals if state.release < a.time < t_stop}
    events = sorted({state.release, *between, t_stop})
    margin = math.inf
    for lo, hi in itertools.pairwise([*events, t_stop]):  # charges at t_stop count
        t, values = crossing_between(state, lo, hi)
        margin = min(margin, *(abs(v - n.theta) / (n.theta - n.reset) for v in values))
        if math.isfinite(t):
            return t, margin
    return math.inf, margin


def crossing_between(state: State, lo: float, hi: float) -> tuple[float, list[float]]:
    """As `first_upcrossing`, from the arrivals at lo to those at hi, without any in between."""
    n, currents = state.neuron, state.currents(lo)
    slope = math.fsum(currents) - n.beta * state.potential(lo) + n.drive
    middle = stationary_points(currents, slope, n.alphas, n.beta, hi - lo)
    cuts = [lo, *(lo + t for t in middle if lo < lo + t < hi), hi]
    return first_upcrossing(lambda t: state.potential(t, before=t > lo), cuts, n.theta)


@dataclass(frozen=True)
class Run:
    """What happened: spikes = (neuron, time) in order, with slopes; V and I of all at t_stop.

    The current of a neuron is the sum of those of its receptors. The slope is inf where a charge
    that arrives at once makes a neuron fire. `margin` is the smallest distance between V and a
    threshold at any moment of decision, relative to what lies between reset and threshold: a run
    with a tiny margin is one that float64 may decide either way.
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
    """Run the whole case: the earliest predicted spikes are real, make them happen, predict again.

    Spikes at the same time come before all arrivals that they cause, and their arrivals at the
    same time act together.
    """
    return _go_on(case, _at_the_start(case), max_spikes)


def simulate_changed(case: Case, at: float, later: Case, max_spikes: int = 200) -> Run:
    """Run the case until ``at``, and then go on with the neurons and synapses of ``later``.

    What arrives later than ``at`` arrives with the later weights.
    """
    states = _at_the_start(case)
    first = _go_on(replace(case, t_stop=at), states, max_spikes)
    states = [s.under(n, at) for s, n in zip(states, later.neurons, strict=True)]
    for source, t in (*((-s - 1, t) for s, t in case.inputs), *first.spikes):
        _deliver(later, states, source, t, after=at)
    rest = _go_on(later, states, max_spikes)
    return replace(
        rest,
        spikes=first.spikes + rest.spikes,
        slopes=first.slopes + rest.slopes,
        margin=min(first.margin, rest.margin),
    )


def _at_the_start(case: Case) -> list[State]:
    states = [State.at_the_start(n) for n in case.neurons]
    for source, t in case.inputs:
        _deliver(case, states, -(source + 1), t)
    return states


def _go_on(case: Case, states: list[State], max_spikes: int) -> Run:
    predictions = [next_spike(s, case.t_stop) for s in states]
    margin = min((m for _, m in predictions), default=math.inf)
    spikes: list[tuple[int, float]] = []
    slopes: list[float] = []
    while True:
        t = min((p[0] for p in predictions), default=math.inf)
        if t > case.t_stop:
            break
        firing = [i for i, p in enumerate(predictions) if p[0] == t]
        if len(spikes) + len(firing) > max_spikes:
            raise TooManySpikesError(f"more than {max_spikes} spikes by t = {t}")
        for i in firing:
            spikes.append((i, t))
            slopes.append(_slope_of_spike(states[i], t))
            states[i].spike(t)
        reached = [_deliver(case, states, i, t) for i in firing]
        for j in set(firing).union(*reached):
            predictions[j] = next_spike(states[j], case.t_stop)
            margin = min(margin, predictions[j][1])
    potentials = tuple(s.potential(case.t_stop) for s in states)
    currents = tuple(math.fsum(s.currents(case.t_stop)) for s in states)
    return Run(tuple(spikes), tuple(slopes), potentials, currents, margin)


def _slope_of_spike(state: State, t: float) -> float:
    jumped = state.potential(t) != state.potential(t, before=True)
    return math.inf if jumped else state.slope(t)


def _deliver(
    case: Case, states: list[State], source: int, t: float, after: float = -math.inf
) -> set[int]:
    """Put the arrivals of a spike of `source` at t on its targets' lists; return the targets."""
    targets = set()
    for s in case.synapses:
        if s.pre == source and s.weight != 0.0 and t + s.delay > after:
            states[s.post].arrivals.append(Arrival(t + s.delay, s.weight, s.receptor))
            targets.add(s.post)
    return targets
