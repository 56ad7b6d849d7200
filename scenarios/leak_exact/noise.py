"""Noise on input spikes: times that are jittered, spikes that are lost, spikes that are added."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

import eventsim as es
from scenarios.datasets.encoding import jitter

__all__ = ["NOISES", "Noise", "delete", "insert"]


def delete(batch: es.SpikeBatch, share: float, rng: np.random.Generator) -> es.SpikeBatch:
    """Lose each spike with the same probability, independently of the others.

    Parameters
    ----------
    batch : eventsim.SpikeBatch
        Spikes of any number of samples.
    share : float
        Probability, in [0, 1].
    rng : numpy.random.Generator
        Where the randomness comes from: one number per spike, so that a larger share from the same
        state loses the same spikes and some more.

    Returns
    -------
    eventsim.SpikeBatch
        What is left; its ``order`` counts the spikes as they are, in time.

    Raises
    ------
    ValueError
        If ``share`` is no probability.

    Examples
    --------
    >>> batch = es.SpikeBatch.from_latencies([[0.5, 0.1, 0.9]])
    >>> delete(batch, 0.5, np.random.default_rng(0)).indices
    array([1])
    """
    _check_share(share)
    kept = rng.random(batch.times.size) >= share
    before = np.concatenate([[0], np.cumsum(kept)])
    return es.SpikeBatch.from_sorted(
        batch.times[kept], batch.indices[kept], before[batch.offsets].astype(np.int64)
    )


def insert(
    batch: es.SpikeBatch, share: float, rng: np.random.Generator, *, n_sources: int, t_max: float
) -> es.SpikeBatch:
    """Let each source fire once more with the same probability, at any time.

    Parameters
    ----------
    batch : eventsim.SpikeBatch
        Spikes of any number of samples.
    share : float
        Probability of an additional spike of a source in a sample, in [0, 1].
    rng : numpy.random.Generator
        Where the randomness comes from: two numbers per source and sample, so that a larger share
        from the same state adds the same spikes and some more.
    n_sources : int
        Number of sources; larger than each index in the batch.
    t_max : float
        The times of the additional spikes are uniformly distributed over [0, t_max).

    Returns
    -------
    eventsim.SpikeBatch
        All spikes; its ``order`` counts them as they are, in time.

    Raises
    ------
    ValueError
        If ``share`` is no probability, or ``n_sources`` is too small.

    Examples
    --------
    >>> batch = es.SpikeBatch.from_latencies([[0.5, 0.1]])
    >>> noisy = insert(batch, 0.6, np.random.default_rng(0), n_sources=2, t_max=1.0)
    >>> noisy.times.round(3), noisy.indices
    (array([0.017, 0.1  , 0.5  ]), array([1, 1, 0]))
    """
    _check_share(share)
    if batch.indices.size and not n_sources > batch.indices.max():
        raise ValueError(f"n_sources must be > {batch.indices.max()}, got {n_sources!r}")
    n = len(batch)
    chosen = rng.random((n, n_sources)) < share
    when = t_max * rng.random((n, n_sources))
    samples, sources = np.nonzero(chosen)
    times = np.concatenate([batch.times, when[chosen]])
    indices = np.concatenate([batch.indices, sources])
    owners = np.concatenate([np.repeat(np.arange(n), np.diff(batch.offsets)), samples])
    order = np.lexsort((indices, times, owners))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=n))])
    return es.SpikeBatch.from_sorted(times[order], indices[order], offsets)


Apply = Callable[[es.SpikeBatch, float, np.random.Generator, int, float], es.SpikeBatch]


@dataclass(frozen=True, eq=False)
class Noise:
    """One kind of noise.

    Attributes
    ----------
    title : str
        Its name in tables and pictures.
    unit : str
        What its severity is.
    severities : tuple of float
        Eight of them, ascending.
    apply : callable
        From (batch, severity, rng, number of sources, length of a run) to the noisy batch.
    """

    title: str
    unit: str
    severities: tuple[float, ...]
    apply: Apply


NOISES: Mapping[str, Noise] = {
    "jitter": Noise(
        "input-time jitter",
        "standard deviation of the jitter (run: 1)",
        (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0),
        lambda batch, std, rng, _, t_max: jitter(batch, std, rng, t_max=t_max),
    ),
    "deletion": Noise(
        "spike deletion",
        "probability of losing an input spike",
        (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
        lambda batch, share, rng, *_: delete(batch, share, rng),
    ),
    "insertion": Noise(
        "spike insertion",
        "probability of one more spike of a pixel",
        (0.02, 0.04, 0.06, 0.08, 0.12, 0.16, 0.24, 0.32),
        lambda batch, share, rng, n_sources, t_max: insert(
            batch, share, rng, n_sources=n_sources, t_max=t_max
        ),
    ),
}


def _check_share(share: float) -> None:
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"share must lie in [0, 1], got {share!r}")
