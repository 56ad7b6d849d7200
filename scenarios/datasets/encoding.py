"""Latency codes of the papers: each input source fires once, at a time that says its value.

Times are in units of the synaptic time constant, as in the papers; those of images are in units of
the input window: `latency` makes spikes of them, a minibatch at a time, `jitter` noisy ones.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

import eventsim as es
from eventsim._support.compile import allocating_loop
from eventsim._support.sorting import sort_stably
from scenarios.datasets.labelled_images import shifted

__all__ = [
    "check_noise",
    "earlier_for_larger",
    "jitter",
    "latency",
    "later_for_larger",
    "noisy_latency",
    "with_bias",
]

Latencies = NDArray[np.float64]
Sources = NDArray[np.int64]
SortedSpikes = tuple[Latencies, Sources, NDArray[np.int64]]  # times, indices, offsets
WHITE = 255


def later_for_larger(values: Latencies, *, t_early: float, t_late: float) -> Latencies:
    """Map values in [0, 1] to spike times in [t_early, t_late]: the larger, the later.

    Parameters
    ----------
    values : ndarray
        Numbers in [0, 1].
    t_early, t_late : float
        Spike time of 0 and of 1; 0 <= t_early <= t_late.

    Returns
    -------
    ndarray
        Spike times, shaped as ``values``.

    Raises
    ------
    ValueError
        If a value lies outside of [0, 1], or the times are not in order.

    References
    ----------
    Göltz et al. 2021; Lee et al. 2023 §5.3 (Yin-Yang).

    Examples
    --------
    >>> later_for_larger(np.array([0.0, 0.5, 1.0]), t_early=0.2, t_late=2.0)
    array([0.2, 1.1, 2. ])
    """
    _check_times(t_early, t_late)
    values = np.asarray(values, dtype=np.float64)
    bad = values[~((values >= 0.0) & (values <= 1.0))]
    if bad.size:
        raise ValueError(f"values must lie in [0, 1], got {bad[0]!r}")
    return t_early + (t_late - t_early) * values


def earlier_for_larger(features: Latencies, *, t_max: float) -> Latencies:
    """Map each feature to spike times in [0, t_max]: its largest value to 0, its smallest to t_max.

    Parameters
    ----------
    features : (n_samples, n_features) ndarray
        Each column is scaled by its own smallest and largest value, in float64.
    t_max : float
        The latest spike time, > 0.

    Returns
    -------
    (n_samples, n_features) ndarray
        t_max (1 - (x - min) / (max - min)).

    Raises
    ------
    ValueError
        If a feature is constant or not finite or spans more than float64 can hold, or ``t_max`` is
        not positive.

    References
    ----------
    Lee et al. 2023 §5.2 (Iris).

    Examples
    --------
    >>> earlier_for_larger(np.array([[1.0, 10.0], [2.0, 30.0], [3.0, 20.0]]), t_max=16.0)
    array([[16., 16.],
           [ 8.,  0.],
           [ 0.,  8.]])
    """
    _check_times(0.0, t_max)
    features = np.asarray(features, dtype=np.float64)
    low, high = features.min(axis=0), features.max(axis=0)
    with np.errstate(over="ignore", invalid="ignore"):
        span = high - low
    usable = np.isfinite(span) & (span > 0.0)
    if not usable.all() or t_max == 0.0:
        k = int(np.argmin(usable))
        raise ValueError(
            "every feature must be finite and vary, and t_max be > 0: "
            f"feature {k} spans [{low[k]}, {high[k]}], t_max is {t_max!r}"
        )
    return t_max * (1.0 - (features - low) / span)


def with_bias(latencies: Latencies, *t_bias: float) -> Latencies:
    """Append sources that each fire at the same time in every sample.

    They are a network's only reference in time: without them, it answers a common shift of all
    inputs with the same shift of all outputs.

    Examples
    --------
    >>> with_bias(np.array([[0.1, 0.2], [0.3, 0.4]]), 0.9)
    array([[0.1, 0.2, 0.9],
           [0.3, 0.4, 0.9]])
    """
    for t in t_bias:
        _check_times(0.0, t)
    return np.column_stack([latencies, *(np.full(len(latencies), t) for t in t_bias)])


def latency(
    images: NDArray[np.uint8],
    *,
    t_max: float = 1.0,
    invert: bool = False,
    drop_silent: bool = True,
    threshold: float = 0.0,
) -> es.SpikeBatch:
    """Encode images as spikes: one input source per pixel, the brighter, the earlier.

    A pixel of intensity x in [0, 1] fires at t_max (1 - x).  A minibatch takes well under a
    millisecond, so images can stay bytes until their turn comes.

    Parameters
    ----------
    images : (n_samples, ...) ndarray of uint8
        0 (black, x = 0) to 255 (white, x = 1).  Sources number the pixels of one image in C order:
        row by row, or channel by channel for images (n_samples, channels, rows, columns).
    t_max : float
        Spike time of intensity 0.
    invert : bool
        Take 1 - x for x: black fires first.
    drop_silent : bool
        Leave out pixels with intensity 0 (after inversion): a spike at the end of a run that ends
        at ``t_max`` has no effect.
    threshold : float
        Leave out pixels with an intensity below it (after inversion), in [0, 1].

    Returns
    -------
    eventsim.SpikeBatch
        One sample per image; its ``order`` counts the spikes as they are, in time.

    Raises
    ------
    ValueError
        If the images are no bytes, or a number is out of its range.

    References
    ----------
    Yamamoto, Sakemi, Aihara, "Timing-based backpropagation in spiking neural networks without
    single-spike restrictions", §II-B; Zhang et al., "Spike-timing-dependent back propagation in
    deep spiking neural networks", §4.1.

    Examples
    --------
    >>> image = np.array([[[0, 255], [51, 255]]], dtype=np.uint8)
    >>> spikes = latency(image).sample(0)
    >>> spikes.times, spikes.indices
    (array([0. , 0. , 0.8]), array([1, 3, 2]))
    >>> latency(image, invert=True, threshold=0.9, t_max=2.0).sample(0)
    Spikes(1 spikes)
    """
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim < 2:
        kind = getattr(images, "dtype", type(images).__name__)
        raise ValueError(
            f"images must be (n_samples, ...) of uint8, got {np.shape(images)} of {kind}"
        )
    _check_positive(t_max)
    if not 0.0 <= threshold <= 1.0:
        raise ValueError(f"threshold must lie in [0, 1], got {threshold!r}")
    grey = np.arange(WHITE + 1)
    intensity = (WHITE - grey if invert else grey) / WHITE
    silent = (intensity < threshold) | ((intensity == 0.0) & drop_silent)
    time_of = np.where(silent, np.inf, t_max * (1.0 - intensity))
    levels = np.unique(time_of[~silent])
    pixels = images.reshape(len(images), math.prod(images.shape[1:])).view()
    pixels.flags.writeable = False  # or the loop would be compiled anew for images from a file
    return es.SpikeBatch.from_sorted(
        *_sort_pixels(pixels, np.searchsorted(levels, time_of), levels)
    )


def jitter(
    batch: es.SpikeBatch, std: float, rng: np.random.Generator, *, t_max: float
) -> es.SpikeBatch:
    """Shift every spike by a random time: noise on the input makes training more robust.

    Parameters
    ----------
    batch : eventsim.SpikeBatch
        Spikes in [0, t_max].
    std : float
        Standard deviation of the normal distribution of the shifts, >= 0.
    rng : numpy.random.Generator
        Where the randomness comes from: one number per spike, in the order of the batch.
    t_max : float
        Spikes that are shifted out of [0, t_max] stay at its ends.

    Returns
    -------
    eventsim.SpikeBatch
        The same sources; its ``order`` counts the spikes as they are, in time.

    Raises
    ------
    ValueError
        If ``std`` or ``t_max`` is out of its range, or a spike is later than ``t_max``.

    Examples
    --------
    >>> batch = es.SpikeBatch.from_latencies([[0.5, 0.1, 0.9]])
    >>> jittered = jitter(batch, 0.1, np.random.default_rng(0), t_max=1.0)
    >>> jittered.times, jittered.indices
    (array([0.11257302, 0.48678951, 0.96404227]), array([1, 0, 2]))
    """
    _check_positive(t_max)
    if not 0.0 <= std < np.inf:
        raise ValueError(f"std must be finite and >= 0, got {std!r}")
    if batch.times.size and batch.times.max() > t_max:
        raise ValueError(f"spikes must not be later than t_max = {t_max}, got {batch.times.max()}")
    times = np.clip(batch.times + rng.normal(0.0, std, batch.times.size), 0.0, t_max)
    return es.SpikeBatch.from_sorted(*_sort_samples(times, batch.indices, batch.offsets))


def check_noise(moves: int, noise: float, dropout: float) -> None:
    """Check what training does at random: moved images, jitter of spikes, neurons left out."""
    if not moves >= 0:
        raise ValueError(f"moves must be >= 0, got {moves!r}")
    if not 0.0 <= noise < np.inf:
        raise ValueError(f"noise must be finite and >= 0, got {noise!r}")
    if not 0.0 <= dropout < 1.0:
        raise ValueError(f"dropout must lie in [0, 1), got {dropout!r}")


def noisy_latency(
    images: NDArray[np.uint8],
    rng: np.random.Generator,
    *,
    t_max: float,
    moves: int = 0,
    noise: float = 0.0,
) -> es.SpikeBatch:
    """Encode a minibatch by `latency`, its images moved and its spikes jittered if so wanted.

    Parameters
    ----------
    images : (n_samples, rows, columns) ndarray of uint8
        0 (black) to 255 (white).
    rng : numpy.random.Generator
        Where the randomness comes from; without moves and noise nothing is drawn.
    t_max : float
        As for `latency`.
    moves, noise : int, float
        Largest move in pixels (`shifted`), and standard deviation of the `jitter`; 0: none.

    Returns
    -------
    eventsim.SpikeBatch
        One sample per image.

    Raises
    ------
    ValueError
        As `shifted`, `latency` and `jitter`.

    Examples
    --------
    >>> image = np.array([[[0, 255], [51, 255]]], dtype=np.uint8)
    >>> noisy_latency(image, np.random.default_rng(0), t_max=1.0).sample(0).indices
    array([1, 3, 2])
    >>> noisy_latency(image, np.random.default_rng(0), t_max=1.0, noise=0.1).sample(0)
    Spikes(3 spikes)
    """
    batch = latency(shifted(images, moves, rng) if moves else images, t_max=t_max)
    return jitter(batch, noise, rng, t_max=t_max) if noise else batch


@allocating_loop
def _sort_pixels(
    pixels: NDArray[np.uint8], rank: NDArray[np.int64], levels: Latencies
) -> SortedSpikes:
    """Return the spikes of all images by a counting sort over the ``levels``.

    The grey value g fires at ``levels[rank[g]]``; not at all, if there is no such level.
    """
    n_samples, n_pixels = pixels.shape
    offsets = np.zeros(n_samples + 1, np.int64)
    for k in range(n_samples):
        firing = 0
        for p in range(n_pixels):
            firing += rank[pixels[k, p]] < levels.size
        offsets[k + 1] = offsets[k] + firing
    times, indices = np.empty(offsets[-1]), np.empty(offsets[-1], np.int64)
    chosen, places = np.empty(n_pixels, np.int64), np.empty(levels.size + 1, np.int64)
    for k in range(n_samples):
        firing = 0
        places[:] = 0  # at first of a level's spikes, one level late
        for p in range(n_pixels):
            level = rank[pixels[k, p]]
            if level < levels.size:
                chosen[firing] = p
                firing += 1
                places[level + 1] += 1
        places[0] = offsets[k]
        for level in range(levels.size):
            places[level + 1] += places[level]
        for p in chosen[:firing]:
            level = rank[pixels[k, p]]
            times[places[level]], indices[places[level]] = levels[level], p
            places[level] += 1
    return times, indices, offsets


@allocating_loop
def _sort_samples(times: Latencies, indices: Sources, offsets: NDArray[np.int64]) -> SortedSpikes:
    """Return the spikes of each sample in the order of (time, index)."""
    order, spare = np.arange(times.size), np.empty(times.size, np.int64)
    for k in range(offsets.size - 1):
        first, end = offsets[k], offsets[k + 1]
        sort_stably(times, order, spare, first, end)
        while first < end:
            last = first + 1
            while last < end and times[order[last]] == times[order[first]]:
                last += 1
            if last > first + 1:
                sort_stably(indices, order, spare, first, last)
            first = last
    return times[order], indices[order], offsets


def _check_positive(t_max: float) -> None:
    if not 0.0 < t_max < np.inf:
        raise ValueError(f"t_max must be finite and > 0, got {t_max!r}")


def _check_times(early: float, late: float) -> None:
    if not 0.0 <= early <= late < np.inf:
        raise ValueError(f"spike times must satisfy 0 <= early <= late, got {early!r} and {late!r}")
