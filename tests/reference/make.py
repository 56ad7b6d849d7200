"""Compute the reference files anew, with 60 digits.

    python tests/reference/make.py                       all of them (about ten minutes)
    python tests/reference/make.py networks/bias.json    one

Of each file the problem is read (neurons, synapses, inputs, the coefficients of the loss; the state
of a search), and what follows from it is written: where it was right, git sees no change.  Nothing
of the packages is imported.  Each crossing is found by bisection on a branch on which the
closed-form potential is monotone, each derivative is a central difference of the whole simulation.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import mpmath
from mpmath import mpf

FOLDER = Path(__file__).parent
DIGITS, WRITTEN, WRITTEN_OF_SLOPES = 60, 25, 10
STEP = mpf(10) ** -22
FAR = mpf(10) ** -55  # the width of the bracket in which a bisection ends

# A problem as numbers: {"neurons": [{"alpha": …}, …], "synapses": [[pre, post, weight, delay], …],
# "inputs": [[source, time], …], "t_stop": …}.
Problem = dict[str, Any]
NEURON = ("alpha", "beta", "theta", "bias")


# --- one neuron between two events ----------------------------------------------------------------


def charge(t: mpf, rate: mpf) -> mpf:
    """Integral of exp(-rate s) over s in [0, t]."""
    return -mpmath.expm1(-rate * t) / rate if rate else t


def flow(current: mpf, potential: mpf, t: mpf, n: dict[str, mpf]) -> tuple[mpf, mpf]:
    """(I, V) a time t later."""
    decayed = mpmath.exp(-n["beta"] * t)
    h = decayed * charge(t, n["alpha"] - n["beta"])
    v = potential * decayed + current * h + n["bias"] * charge(t, n["beta"])
    return current * mpmath.exp(-n["alpha"] * t), v


def slope(current: mpf, potential: mpf, n: dict[str, mpf]) -> mpf:
    return current - n["beta"] * potential + n["bias"]


def stationary(current: mpf, potential: mpf, n: dict[str, mpf]) -> mpf:
    """When V' vanishes; not positive, or inf, if it never will.

    exp(beta t) V'(t) = V'(0) - alpha I(0) times the integral of exp(-(alpha - beta) s) over [0, t].
    """
    if not n["alpha"] * current:
        return mpmath.inf
    whole, rate = slope(current, potential, n) / (n["alpha"] * current), n["alpha"] - n["beta"]
    if not rate:
        return whole
    rest = 1 - rate * whole
    return -mpmath.log(rest) / rate if rest > 0 else mpmath.inf


def crossing(current: mpf, potential: mpf, length: mpf, n: dict[str, mpf]) -> mpf:
    """The first time in (0, length] at which V passes the threshold upwards, or inf."""

    def above(t: mpf) -> mpf:
        return flow(current, potential, t, n)[1] - n["theta"]

    middle = stationary(current, potential, n)
    cuts = [mpf(0), middle, length] if 0 < middle < length else [mpf(0), length]
    for low, high in pairwise(cuts):
        if above(low) < 0 < above(high):
            while high - low > FAR:
                half = (low + high) / 2
                low, high = (half, high) if above(half) < 0 else (low, half)
            return high
    return mpmath.inf


# --- a network ------------------------------------------------------------------------------------


@dataclass
class State:
    """A neuron, all that ever reaches it, and since when V has been free to move."""

    neuron: dict[str, mpf]
    arrivals: list[tuple[mpf, mpf]] = field(default_factory=list)  # time, weight
    release: mpf = field(default_factory=mpf)

    def pieces(self, t_stop: mpf) -> list[tuple[mpf, mpf, mpf]]:
        """(time, I, V) at the release and after each later arrival, and at last at t_stop."""
        alpha, t = self.neuron["alpha"], self.release
        current = sum(
            (w * mpmath.exp(-alpha * (t - a)) for a, w in self.arrivals if a <= t), mpf(0)
        )
        found, potential = [(t, current, mpf(0))], mpf(0)
        later = sorted((a, w) for a, w in self.arrivals if t < a <= t_stop)
        for a, w in [*later, (t_stop, mpf(0))]:
            current, potential = flow(current, potential, a - t, self.neuron)
            current, t = current + w, a
            found.append((t, current, potential))
        return found

    def next_spike(self, t_stop: mpf) -> mpf:
        if self.release >= t_stop:
            return mpmath.inf
        for (t, current, potential), (end, *_) in pairwise(self.pieces(t_stop)):
            lag = crossing(current, potential, end - t, self.neuron)
            if mpmath.isfinite(lag):
                return t + lag
        return mpmath.inf

    def potential(self, t_stop: mpf) -> mpf:
        return self.pieces(t_stop)[-1][2] if self.release < t_stop else mpf(0)


def simulate(problem: Problem) -> tuple[list[tuple[int, mpf]], list[mpf]]:
    """The spikes, (neuron, time), and the potentials at t_stop."""
    states, t_stop = [State(n) for n in problem["neurons"]], problem["t_stop"]

    def deliver(source: int, t: mpf) -> set[int]:
        reached = [s for s in problem["synapses"] if s[0] == source]
        for _, post, weight, delay in reached:
            states[post].arrivals.append((t + delay, weight))
        return {post for _, post, *_ in reached}

    for source, t in problem["inputs"]:
        deliver(-(source + 1), t)
    due, spikes = [state.next_spike(t_stop) for state in states], []
    while min(due) <= t_stop:
        t = min(due)
        i = due.index(t)
        spikes.append((i, t))
        states[i].release = t + states[i].neuron["tau_ref"]
        for j in {i} | deliver(i, t):
            if j == i or due[j] != t:  # an arrival at the time of a spike acts after it
                due[j] = states[j].next_spike(t_stop)
    return spikes, [state.potential(t_stop) for state in states]


# --- derivatives ----------------------------------------------------------------------------------


def loss(problem: Problem) -> mpf:
    """Sum of a_k t_k over the spikes in the order of time, and of b_i V_i(t_stop)."""
    spikes, potentials = simulate(problem)
    a, b = problem["a"], problem["b"]
    by_time = sum((a[k % len(a)] * t for k, (_, t) in enumerate(spikes)), mpf(0))
    return by_time + sum((weight * v for weight, v in zip(b, potentials, strict=True)), mpf(0))


def difference(problem: Problem, holder: Any, key: Any) -> mpf:
    """The central difference of the loss by a number that the problem holds."""
    value, sides = holder[key], []
    for step in (STEP, -STEP):
        holder[key] = value + step
        sides.append(loss(problem))
    holder[key] = value
    return (sides[0] - sides[1]) / (2 * STEP)


def gradients(problem: Problem) -> dict[str, list[mpf | None]]:
    """By every parameter; None for a delay of 0 from a neuron to itself, which has one side."""
    synapses, neurons = problem["synapses"], problem["neurons"]
    found: dict[str, list[mpf | None]] = {
        "weight": [difference(problem, s, 2) for s in synapses],
        "delay": [
            None if s[0] == s[1] and not s[3] else difference(problem, s, 3) for s in synapses
        ],
    }
    found |= {name: [difference(problem, n, name) for n in neurons] for name in NEURON}
    return found | {"input_time": [difference(problem, s, 1) for s in problem["inputs"]]}


# --- files ----------------------------------------------------------------------------------------


def problem_of(raw: dict[str, Any]) -> Problem:
    return {
        "neurons": [{key: mpf(value) for key, value in n.items()} for n in raw["neurons"]],
        "synapses": [[pre, post, mpf(w), mpf(d)] for pre, post, w, d in raw["synapses"]],
        "inputs": [[source, mpf(t)] for source, t in raw["inputs"]],
        "t_stop": mpf(raw["t_stop"]),
        "a": [mpf(value) for value in raw["loss"]["spike_time_coefficients"]],
        "b": [mpf(value) for value in raw["loss"]["final_potential_coefficients"]],
    }


def text(value: mpf | None, digits: int = WRITTEN) -> str | None:
    return None if value is None else mpmath.nstr(value, digits)


def make_network(path: Path) -> None:
    raw = json.loads(path.read_text())
    problem = problem_of(raw)
    spikes, potentials = simulate(problem)
    raw["spikes"] = [[i, text(t)] for i, t in spikes]
    raw["final_potentials"] = [text(v) for v in potentials]
    raw["loss"]["value"] = text(loss(problem))
    raw["gradients"] = {
        name: [text(value) for value in values] for name, values in gradients(problem).items()
    }
    path.write_text(json.dumps(raw, indent=1))


def search(row: list[Any]) -> list[str | None]:
    """The first crossing of a row of crossings.json, and the slope there."""
    _, current, potential, alpha, beta, bias, theta, t_max = (
        value if isinstance(value, str) else mpf(value) for value in row[:8]
    )
    neuron = {"alpha": alpha, "beta": beta, "bias": bias, "theta": theta}
    t = crossing(current, potential, t_max, neuron)
    if not mpmath.isfinite(t):
        return [None, None]
    return [text(t), text(slope(*flow(current, potential, t, neuron), neuron), WRITTEN_OF_SLOPES)]


def make_crossings(path: Path) -> None:
    raw = json.loads(path.read_text())
    raw["rows"] = [[*row[:8], *search(row)] for row in raw["rows"]]
    path.write_text(json.dumps(raw, indent=0))


def main(names: list[str]) -> None:
    mpmath.mp.dps = DIGITS
    every = [FOLDER / name for name in names] or sorted(FOLDER.rglob("*.json"))
    for path in every:
        print(path.relative_to(FOLDER))  # noqa: T201
        (make_crossings if path.name == "crossings.json" else make_network)(path)


if __name__ == "__main__":
    main(sys.argv[1:])
