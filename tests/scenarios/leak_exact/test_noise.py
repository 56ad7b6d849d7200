"""Noise on spikes: as much as was asked for, and nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eventsim as es
from scenarios.datasets.encoding import latency
from scenarios.leak_exact.noise import NOISES, delete, insert

SOURCES = 49
SEEDS = st.integers(0, 2**32 - 1)
SHARES = st.floats(0.0, 1.0)


def some(seed=0, n=30):
    images = np.random.default_rng(seed).integers(-200, 256, (n, 7, 7)).clip(0).astype(np.uint8)
    return latency(images)


def as_sets(batch):
    """The spikes of each sample, as a set of (time, source)."""
    found = (batch.sample(k) for k in range(len(batch)))
    return [set(zip(s.times.tolist(), s.indices.tolist(), strict=True)) for s in found]


@given(SEEDS, SHARES, SHARES)
def test_more_deletion_leaves_a_part_of_what_less_leaves(seed, a, b):
    less, more = (
        as_sets(delete(some(), share, np.random.default_rng(seed))) for share in sorted((a, b))
    )
    for all_of_them, left, fewer in zip(as_sets(some()), less, more, strict=True):
        assert fewer <= left <= all_of_them


@given(SEEDS, SHARES, SHARES)
def test_more_insertion_adds_to_what_less_adds(seed, a, b):
    less, more = (
        as_sets(insert(some(), share, np.random.default_rng(seed), n_sources=SOURCES, t_max=1.0))
        for share in sorted((a, b))
    )
    for original, longer, longest in zip(as_sets(some()), less, more, strict=True):
        assert original <= longer <= longest


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_as_many_spikes_are_lost_or_added_as_asked_for(share):
    batch, rng = some(n=400), np.random.default_rng(1)
    n, pixels = batch.times.size, 400 * SOURCES
    lost = n - delete(batch, share, rng).times.size
    added = insert(batch, share, rng, n_sources=SOURCES, t_max=1.0).times.size - n
    assert lost / n == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / n))
    assert added / pixels == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / pixels))


def test_additional_spikes_are_anywhere():
    empty = latency(np.zeros((300, 7, 7), np.uint8))
    noisy = insert(empty, 0.5, np.random.default_rng(2), n_sources=SOURCES, t_max=3.0)
    assert 0.0 <= noisy.times.min() < 0.01
    assert 2.99 < noisy.times.max() < 3.0
    assert noisy.times.mean() == pytest.approx(1.5, abs=0.05)
    assert set(noisy.indices) == set(range(SOURCES))


def test_nothing_and_all():
    batch, rng = some(), np.random.default_rng(0)
    assert as_sets(delete(batch, 0.0, rng)) == as_sets(batch)
    assert delete(batch, 1.0, rng).times.size == 0
    assert as_sets(insert(batch, 0.0, rng, n_sources=SOURCES, t_max=1.0)) == as_sets(batch)
    added = insert(batch, 1.0, rng, n_sources=SOURCES, t_max=1.0).times.size - batch.times.size
    assert added == len(batch) * SOURCES


@pytest.mark.parametrize("name", NOISES)
def test_each_kind_has_eight_severities_and_rises(name):
    noise = NOISES[name]
    assert len(noise.severities) == 8
    assert np.all(np.diff(noise.severities) > 0)
    batch, changed = some(n=100), []
    for severity in noise.severities:
        noisy = noise.apply(batch, severity, np.random.default_rng(0), SOURCES, 1.0)
        assert isinstance(noisy, es.SpikeBatch)
        assert len(noisy) == 100
        kept = zip(as_sets(noisy), as_sets(batch), strict=True)
        changed.append(sum(len(a ^ b) for a, b in kept))
    if name != "jitter":  # which changes all times, however little
        assert np.all(np.diff(changed) > 0)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda b, r: delete(b, 1.1, r), r"share must lie in \[0, 1\], got 1.1"),
        (lambda b, r: delete(b, np.nan, r), r"share must lie in \[0, 1\], got nan"),
        (lambda b, r: insert(b, -0.1, r, n_sources=SOURCES, t_max=1.0), "share must lie in"),
        (lambda b, r: insert(b, 0.1, r, n_sources=48, t_max=1.0), "n_sources must be > 48, got 48"),
    ],
)
def test_bad_arguments_are_refused(call, expected):
    with pytest.raises(ValueError, match=expected):
        call(some(), np.random.default_rng(0))
