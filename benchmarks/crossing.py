"""C1: the crossing search alone, on random states of the kinds in ``tests/reference``.

``python benchmarks/crossing.py`` draws 10^6 states (seven kinds of time constants; two in five
graze: the threshold lies a relative 1e-3 to 1e-12 above or below the peak), times the search, and
checks every decision and time in extended precision (80-bit), and a sample of them with 60 digits
(mpmath, skipped where missing). It asserts that no decision is wrong and that every time lies
within 4 ulp(t) + 16 eps S / slope, where S is the largest of theta and the terms whose sum is V(t):
float64 cannot sum them better. S is theta unless the terms cancel (a small threshold
and a potential far below it); times beyond the bound with theta in place of S are counted.
"""

from __future__ import annotations

import argparse

import common

common.one_thread()
import numpy as np  # noqa: E402
from numba import njit  # noqa: E402

from eventsim.model.crossing import next_crossing  # noqa: E402
from eventsim.model.search import first_crossing  # noqa: E402

KINDS = ("general", "near_equal", "equal", "ratio2", "non_leaky", "step_current", "rel_psp")
NAMES = ("current", "potential", "alpha", "beta", "bias", "threshold", "t_max")
EPS = np.finfo(float).eps
SEED = 1
CROSSINGS = {1_000_000: 541_759}


def rates(kind: str, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(n,) alpha and beta of one kind."""
    alpha, beta = 0.05 * 400.0 ** rng.random((2, n))
    if kind == "near_equal":
        beta = alpha * (1 + 10.0 ** rng.uniform(-15, -3, n))
    elif kind == "equal":
        beta = alpha
    elif kind == "ratio2":
        beta = 2 * alpha
    elif kind == "non_leaky":
        beta = np.zeros(n)
    elif kind == "step_current":
        alpha = np.zeros(n)
    elif kind == "rel_psp":
        alpha, beta = np.zeros((2, n))
    return alpha, beta


def draw(kind: str, n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """States below threshold; the thresholds of two in five graze the peak where there is one."""
    alpha, beta = rates(kind, n, rng)
    scale = np.maximum(1.0, np.maximum(alpha, beta))
    current = rng.normal(0.8, 1.0, n) * rng.choice([1.0, 3.0], n) * scale
    state = {
        "current": current,
        "potential": np.where(rng.random(n) < 0.5, 0.0, rng.normal(-0.5, 1.0, n)),
        "alpha": alpha,
        "beta": beta,
        "bias": np.where(rng.random(n) < 0.67, 0.0, rng.uniform(-0.5, 1.0, n)),
        "threshold": 0.35 * 8.0 ** rng.random(n),
        "t_max": 0.05 * 1000.0 ** rng.random(n),
    }
    potential = np.minimum(state["potential"], 0.9 * state["threshold"])
    state["potential"] = potential
    peak = Exact(state).peak_value.astype(float)
    margin = rng.choice([-1.0, 1.0], n) * 10.0 ** rng.uniform(-11.9, -3, n)
    grazing = peak * (1 + margin)
    graze = (rng.random(n) < 0.4) & np.isfinite(peak) & (peak > 0.01) & (potential < 0.99 * peak)
    state["threshold"] = np.where(graze, grazing, state["threshold"])
    return state


class Exact:
    """The potential, its extremum and the decision in extended precision (arrays)."""

    def __init__(self, state: dict[str, np.ndarray]) -> None:
        for name in NAMES:
            setattr(self, name, state[name].astype(np.longdouble))
        with np.errstate(all="ignore"):
            self.slope0 = self.current - self.beta * self.potential + self.bias
            self.peak, self.peak_value = self._peak()

    def _peak(self) -> tuple[np.ndarray, np.ndarray]:
        """Time and height of the maximum after a rise (inf, nan: none)."""
        ratio = self.slope0 / (self.alpha * self.current)
        stretch = (self.beta - self.alpha) * ratio
        lag = ratio * np.where(stretch == 0, 1, np.log1p(stretch) / stretch)
        there = (self.slope0 > 0) & (self.current > 0) & (self.alpha > 0) & (stretch > -1)
        lag = np.where(there, lag, np.inf)
        return lag, np.where(there, self.v(np.where(there, lag, 0)), np.nan)

    def terms(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What the initial potential, the current and the bias contribute to V(t)."""
        slow = np.minimum(self.alpha, self.beta)
        x = np.abs(self.beta - self.alpha) * t
        h = t * np.exp(-slow * t) * _phi(x)
        b = t * _phi(self.beta * t)
        return self.potential * np.exp(-self.beta * t), self.current * h, self.bias * b

    def v(self, t: np.ndarray) -> np.ndarray:
        """Potential at t."""
        return sum(self.terms(t))

    def slope(self, t: np.ndarray) -> np.ndarray:
        """dV/dt at t."""
        return self.current * np.exp(-self.alpha * t) - self.beta * self.v(t) + self.bias

    def crosses(self) -> np.ndarray:
        """Is there a crossing in (0, t_max]? V rises through theta at most once."""
        with np.errstate(all="ignore"):
            end = np.minimum(self.t_max, self.peak)
            return self.v(end) > self.threshold

    def time_error(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Error of the crossing times t by Newton's step, and the slope there."""
        slope = self.slope(t)
        return np.abs((self.threshold - self.v(t)) / slope), slope


def _phi(x: np.ndarray) -> np.ndarray:
    """(1 - exp(-x)) / x, 1 at 0."""
    return np.where(x == 0, 1, -np.expm1(-x) / np.where(x == 0, 1, x))


@njit(error_model="numpy")
def decide(current, potential, alpha, beta, bias, threshold, lag):
    """Search all states; return the number of crossings."""
    found = 0
    for k in range(lag.size):
        lag[k], _ = next_crossing(
            current[k], potential[k], alpha[k], beta[k], threshold[k], bias[k]
        )
        found += lag[k] < np.inf
    return found


def time_search(state: dict[str, np.ndarray], runs: int) -> dict[str, float]:
    """Nanoseconds per decision, and apart over the states that cross and that do not."""
    columns = [state[name] for name in NAMES[:6]]
    lag = np.empty(len(columns[0]))
    decide(*columns, lag)
    yes = lag < np.inf
    crossing, dismissed = ([c[which] for c in columns] for which in (yes, ~yes))
    measured = common.measure_together(
        {
            "decision": lambda: decide(*columns, lag),
            "crossing": lambda: decide(*crossing, lag[: yes.sum()]),
            "dismissal": lambda: decide(*dismissed, lag[: (~yes).sum()]),
        },
        runs,
    )
    counts = {"decision": len(yes), "crossing": int(yes.sum()), "dismissal": int((~yes).sum())}
    times = {name: 1e9 * measured[name]["cpu_s"] / max(1, counts[name]) for name in counts}
    return times | {"states": counts["decision"], "crossings": counts["crossing"]}


def check(state: dict[str, np.ndarray]) -> dict[str, float]:
    """Compare decisions and times of `first_crossing` with extended precision."""
    found = first_crossing(**state)
    exact = Exact(state)
    yes = np.isfinite(found)
    wrong = int((yes != exact.crosses()).sum())
    part = Exact({name: values[yes] for name, values in state.items()})
    error, slope = part.time_error(found[yes])
    size = np.maximum.reduce([part.threshold, *map(np.abs, part.terms(found[yes]))])
    ulps, unit = 4 * np.spacing(found[yes]), 16 * EPS / slope
    return {
        "wrong": wrong,
        "largest_in_bound": float((error / (ulps + unit * size)).max()),
        "largest_in_units": float((np.maximum(error - ulps, 0) * 16 / unit / size).max()),
        "beyond_theta": int((error > ulps + unit * part.threshold).sum()),
    }


def check_digits(state: dict[str, np.ndarray], n: int, rng: np.random.Generator) -> dict | None:
    """The same for n states with 60 digits; None where mpmath is missing."""
    try:
        import mpmath
    except ImportError:
        return None
    mpmath.mp.dps = 60
    found = first_crossing(**state)
    wrong, largest = 0, 0.0
    for k in rng.choice(len(found), n, replace=False):
        decided, error = _with_digits(mpmath, {m: float(v[k]) for m, v in state.items()}, found[k])
        wrong += not decided
        largest = max(largest, error)
    return {"states": n, "wrong": wrong, "largest_in_bound": largest}


def _with_digits(mpmath, one: dict[str, float], found: float) -> tuple[bool, float]:
    """Tell whether the decision is right; return the error of the time in units of its bound."""
    i, v0, a, b, c, theta, t_max = (mpmath.mpf(one[name]) for name in NAMES)

    def decay(rate, t):
        return t if rate == 0 else (1 - mpmath.exp(-rate * t)) / rate

    def terms(t):
        h = mpmath.exp(-a * t) * decay(b - a, t)
        return v0 * mpmath.exp(-b * t), i * h, c * decay(b, t)

    end, slope = t_max, i - b * v0 + c
    if slope > 0 and i > 0 and a > 0:
        ratio = slope / (a * i)
        if 1 + (b - a) * ratio > 0:
            end = min(end, ratio if a == b else mpmath.log(1 + (b - a) * ratio) / (b - a))
    crosses = sum(terms(end)) > theta
    if not (crosses and np.isfinite(found)):
        return bool(crosses) == bool(np.isfinite(found)), 0.0
    parts = terms(mpmath.mpf(float(found)))
    slope = i * mpmath.exp(-a * found) - b * sum(parts) + c
    size = max(theta, *map(abs, parts))
    bound = 4 * float(np.spacing(found)) + 16 * EPS * size / slope
    return True, float(abs((theta - sum(parts)) / slope) / bound)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--states", type=int, default=1_000_000)
    parser.add_argument("--sample", type=int, default=2000, help="states checked with 60 digits")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    rng = np.random.default_rng(SEED)
    kinds = {kind: draw(kind, options.states // len(KINDS) + 1, rng) for kind in KINDS}
    kinds["all"] = _shuffled(kinds, rng)
    rows = {kind: time_search(s, options.runs) | check(s) for kind, s in kinds.items()}
    digits = check_digits(kinds["all"], options.sample, rng)
    report(rows, digits)
    common.write_json("crossing", {"kinds": rows, "60 digits": digits})
    assert all(row["wrong"] == 0 for row in rows.values()), "a crossing was decided wrong"
    assert all(row["largest_in_bound"] <= 1 for row in rows.values()), "a time is too far off"
    assert digits is None or (digits["wrong"] == 0 and digits["largest_in_bound"] <= 1), digits
    expected = CROSSINGS.get(options.states, rows["all"]["crossings"])
    assert rows["all"]["crossings"] == expected, "the number of crossings has changed"


def _shuffled(kinds: dict, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """All kinds mixed: what branch prediction meets in the worst case."""
    joined = {name: np.concatenate([state[name] for state in kinds.values()]) for name in NAMES}
    order = rng.permutation(len(joined["current"]))
    return {name: values[order] for name, values in joined.items()}


def report(rows: dict[str, dict], digits: dict | None) -> None:
    """Print the table."""
    columns = ["kind", "states", "crossings", "ns/decision", "ns/crossing", "ns/dismissal", "wrong",
               "largest error/bound", "in eps S/slope", "beyond with theta"]  # fmt: skip
    keys = ["states", "crossings", "decision", "crossing", "dismissal", "wrong",
            "largest_in_bound", "largest_in_units", "beyond_theta"]  # fmt: skip
    table = [[kind, *(row[key] for key in keys)] for kind, row in rows.items()]
    common.show("C1: crossing search", columns, table)
    print("60 digits:", digits or "skipped, mpmath is not installed")


if __name__ == "__main__":
    main()
