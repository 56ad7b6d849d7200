"""The equations of NIR, integrated by scipy: the oracle for what is loaded.  It shares no formula.

    tau_syn dI/dt = -I + w_in S        tau_mem dv/dt = (v_leak - v) + r I        (CubaLIF)
    tau dv/dt = (v_leak - v) + r S     dv/dt = r S                               (LIF, IF)

S is what the matrices send: a pulse of an area, of no width or of a given one, for each spike, and
biases from t = 0 on.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.integrate import solve_ivp


class Arrow(NamedTuple):
    """A matrix (n_post, n_pre) of NIR from inputs (None) or neurons, after a delay (n_post,)."""

    recurrent: bool
    weight: np.ndarray
    delay: np.ndarray | float = 0.0


def spikes_of(
    node: Any,
    arrows: Sequence[Arrow],
    bias: np.ndarray,
    times: np.ndarray,
    sources: np.ndarray,
    t_stop: float,
    area: float,
    width: float | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return times and numbers of the spikes of one node of neurons."""
    n, kind = node.r.size, type(node).__name__
    has_synapse = kind.startswith("Cuba")
    events: list[tuple[float, int, int, float, int]] = []  # time, order, target, value, column

    def send(t: float, source: int, *, recurrent: bool) -> None:
        for arrow in arrows:
            if arrow.recurrent == recurrent:
                lags = np.broadcast_to(arrow.delay, n)
                for i in range(n):
                    value, at = area * arrow.weight[i, source], t + lags[i]
                    if width is None or has_synapse:
                        heapq.heappush(events, (at, len(events), i, value, 0))
                    else:
                        heapq.heappush(events, (at, len(events), i, value / width, 1))
                        heapq.heappush(events, (at + width, len(events), i, -value / width, 1))

    def rates(_: float, y: np.ndarray) -> np.ndarray:
        current, v = y[:n], y[n:]
        given = pulse + bias
        if has_synapse:
            d_current = (-current + node.w_in * given) / node.tau_syn
            return np.concatenate([d_current, (node.v_leak - v + node.r * current) / node.tau_mem])
        drive = node.r * given
        dv = drive if kind == "IF" else (node.v_leak - v + drive) / node.tau
        return np.concatenate([np.zeros(n), dv])

    def crossing(i: int) -> Any:
        def excess(_: float, y: np.ndarray) -> float:
            return float(y[n + i] - node.v_threshold[i])

        excess.terminal, excess.direction = True, 1.0  # type: ignore[attr-defined]
        return excess

    def charge(i: int, value: float) -> None:
        if has_synapse:
            y[i] += node.w_in[i] * value / node.tau_syn[i]
        else:
            y[n + i] += node.r[i] * value / (1.0 if kind == "IF" else node.tau[i])

    for t, source in zip(times, sources, strict=True):
        send(t, source, recurrent=False)
    pulse, found = np.zeros(n), []
    y = np.concatenate([np.zeros(n), node.v_reset if kind == "IF" else node.v_leak])
    crossings, now = [crossing(i) for i in range(n)], 0.0
    while now < t_stop:
        until = min(events[0][0] if events else t_stop, t_stop)
        if until > now:
            run = solve_ivp(
                rates, (now, until), y, method="DOP853", rtol=1e-12, atol=1e-14, events=crossings
            )
            y, now = run.y[:, -1].copy(), run.t[-1]
        fired = [i for i in range(n) if y[n + i] > node.v_threshold[i] - 1e-11 and now < until]
        while events and events[0][0] <= now and not fired:
            _, _, i, value, column = heapq.heappop(events)
            if column:
                pulse[i] += value
            else:
                charge(i, value)
            if not events or events[0][0] > now:
                fired = [i for i in range(n) if y[n + i] > node.v_threshold[i]]
        for i in fired:
            y[n + i] = node.v_reset[i]
            found.append((now, i))
            send(now, i, recurrent=True)
    return np.array([t for t, _ in found]), np.array([i for _, i in found], dtype=int)
