"""How long two simulators agree."""

from __future__ import annotations

import numpy as np

from scenarios.networks.recording import Recording

__all__ = ["same_until"]


def same_until(one: Recording, other: Recording, tolerance: float) -> float:
    """Return up to which time each neuron's k-th spikes differ by no more than a tolerance.

    Examples
    --------
    >>> a, b = (
    ...     Recording(np.array([1.0, 2.0, last]), np.array([0, 0, 1]), 2, 9.0, 0.0)
    ...     for last in (5.0, 5.2)
    ... )
    >>> same_until(a, b, 0.3), same_until(a, b, 0.1)
    (9.0, 5.0)
    """
    a, b = one.table, other.table
    most = max(a.shape[1], b.shape[1])
    a, b = (np.pad(t, ((0, 0), (0, most - t.shape[1])), constant_values=np.inf) for t in (a, b))
    earlier, later = np.minimum(a, b), np.maximum(a, b)
    apart = ~(later <= earlier + tolerance)
    return float(np.min(earlier[apart & np.isfinite(earlier)], initial=one.duration))
