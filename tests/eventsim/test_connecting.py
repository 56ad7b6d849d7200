"""Rules of connection: their laws, what is forbidden, seeds, and weights and delays drawn."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import eventsim as es

RULES = {
    "probability": partial(es.fixed_probability, 30, 30, 0.2),
    "indegree": partial(es.fixed_indegree, 30, 30, 6),
    "distinct sources": partial(es.fixed_indegree, 30, 30, 6, allow_multapses=False),
    "outdegree": partial(es.fixed_outdegree, 30, 30, 6),
    "distinct targets": partial(es.fixed_outdegree, 30, 30, 6, allow_multapses=False),
    "total number": partial(es.fixed_total_number, 30, 30, 180),
    "one to one": partial(es.one_to_one, 30, 30),
}
each_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
ALIKE = 1e-3  # p-values of a law that holds are below it once in a thousand seeds


def counts_of(synapses: es.Synapses) -> np.ndarray:
    """Number of synapses between each two."""
    pre, post = ends_of(synapses)
    counts = np.zeros(synapses.weights.shape, dtype=int)
    np.add.at(counts, (pre, post), 1)
    return counts


def ends_of(synapses: es.Synapses) -> tuple[np.ndarray, np.ndarray]:
    matrix = synapses.weights
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr)), matrix.indices


@each_rule
def test_synapses_lie_row_by_row_in_one_copy_of_the_indices(rule: Callable[..., es.Synapses]):
    synapses = rule(weights=1.0, delays=lambda rng, size: rng.uniform(0.5, 1.5, size), seed=1)
    pre, post = ends_of(synapses)
    assert np.all(np.diff(pre * 30 + post) >= 0)
    assert synapses.weights.indices.dtype == synapses.weights.indptr.dtype == np.int32
    network = connected(synapses)
    held = network.projections["a", "a"]
    for matrix, drawn in ((held.weights, synapses.weights), (held.delays, synapses.delays)):
        for name in ("data", "indices", "indptr"):
            assert np.shares_memory(getattr(matrix, name), getattr(drawn, name))
            if name != "data":
                assert np.shares_memory(getattr(matrix, name), getattr(synapses.weights, name))
            with pytest.raises(ValueError, match="read-only"):
                getattr(drawn, name)[0] = 1
    np.testing.assert_array_equal(held.delay_values, synapses.delays.data)


def connected(synapses: es.Synapses) -> es.Network:
    network = es.Network()
    network.add_population("a", 30, es.LIF())
    network.connect("a", "a", synapses)
    return network


@each_rule
def test_the_same_seed_draws_the_same_whatever_the_kind_of_seed(rule: Callable[..., es.Synapses]):
    def draw(seed) -> es.Synapses:
        return rule(weights=stats.norm(1.0, 0.1), delays=lambda rng, n: rng.random(n), seed=seed)

    seeds = (
        lambda: 7,
        lambda: np.int64(7),
        lambda: np.random.SeedSequence(7),
        lambda: np.random.PCG64(7),
        lambda: np.random.default_rng(7),
    )
    for seed in seeds:
        for again in (draw(7), pickle.loads(pickle.dumps(draw(7)))):
            one = draw(seed())
            assert (one.weights != again.weights).nnz == (one.delays != again.delays).nnz == 0
    assert not np.array_equal(draw(8).delays.data, draw(7).delays.data)
    several = draw([7, 8]), draw(10**30)
    assert not np.array_equal(several[0].delays.data, several[1].delays.data)


@pytest.mark.parametrize("rule", [r for n, r in RULES.items() if n != "one to one"])
def test_a_generator_that_is_given_goes_on(rule: Callable[..., es.Synapses]) -> None:
    rng = np.random.default_rng(1)
    first, second = (rule(weights=1.0, seed=rng).weights for _ in range(2))
    assert (first != second).nnz


def test_the_synapses_of_a_seed_stay_what_they_are() -> None:
    """On another machine, too."""
    _, post = ends_of(es.fixed_outdegree(2, 100, 4, weights=1.0, seed=1))
    assert post.tolist() == [47, 51, 75, 95, 3, 14, 82, 94]


# --- laws -----------------------------------------------------------------------------------------


def test_each_pair_is_connected_with_the_probability() -> None:
    found = [counts_of(es.fixed_probability(20, 50, 0.3, weights=1.0, seed=s)) for s in range(400)]
    counts = np.array(found)
    assert counts.max() == 1
    assert alike(counts.sum(axis=(1, 2)), stats.binom(1000, 0.3))
    assert alike(counts.sum(axis=0).ravel(), stats.binom(400, 0.3))
    together = counts[:, :, :-1] & counts[:, :, 1:]  # neighbours are independent
    assert alike(together.sum(axis=0).ravel()[::2], stats.binom(400, 0.09))


def alike(numbers: np.ndarray, law) -> bool:
    """Tell whether numbers may be of a discrete law, by chi-square over ten classes."""
    edges = np.unique(law.ppf(np.linspace(0.0, 1.0, 11)[1:-1]))
    expected = np.diff([0.0, *law.cdf(edges), 1.0]) * numbers.size
    observed = np.bincount(np.searchsorted(edges, numbers), minlength=edges.size + 1)
    return bool(stats.chisquare(observed, expected).pvalue > ALIKE)


@pytest.mark.parametrize(("p", "expected"), [(0.0, 0), (1.0, 600), (5e-324, 0), (1.0 - 1e-16, 600)])
def test_a_probability_may_be_that_of_all_or_none(p: float, expected: int) -> None:
    assert es.fixed_probability(20, 30, p, weights=1.0, seed=1).weights.nnz == expected


def test_a_hundred_thousand_times_a_hundred_thousand_pairs_take_only_their_synapses() -> None:
    synapses = es.fixed_probability(100_000, 100_000, 2e-6, weights=1.0, seed=1).weights
    assert abs(synapses.nnz - 20_000) < 700
    assert stats.kstest(synapses.indices / 1e5, "uniform").pvalue > ALIKE


@pytest.mark.parametrize("rule", ["indegree", "outdegree"])
@pytest.mark.parametrize("allow_self", [True, False])
@pytest.mark.parametrize("allow_multapses", [True, False])
def test_degrees_are_exact_and_partners_uniform(rule, allow_self, allow_multapses) -> None:
    draw = es.fixed_indegree if rule == "indegree" else es.fixed_outdegree
    flags = {"allow_self": allow_self, "allow_multapses": allow_multapses}
    found = [counts_of(draw(12, 12, 5, weights=1.0, seed=s, **flags)) for s in range(300)]
    counts = np.array([each if rule == "indegree" else each.T for each in found])
    assert np.all(counts.sum(axis=1) == 5)
    assert (counts.max() > 1) == allow_multapses
    allowed = np.ones((12, 12), dtype=bool) if allow_self else ~np.eye(12, dtype=bool)
    assert np.all(counts[:, ~allowed] == 0)
    drawn = counts.sum(axis=0)[allowed]
    variance = 1.0 if allow_multapses else 1.0 - 4.0 / (allowed[0].sum() - 1.0)
    statistic = np.sum((drawn - drawn.mean()) ** 2) / drawn.mean() / variance
    assert stats.chi2(allowed.sum() - 12).sf(statistic) > ALIKE


def test_every_set_of_distinct_sources_is_as_likely() -> None:
    synapses = es.fixed_indegree(5, 4000, 3, weights=1.0, seed=1, allow_multapses=False)
    sets = 2 ** np.arange(5) @ counts_of(synapses)
    observed = np.unique(sets, return_counts=True)[1]
    assert observed.size == 10
    assert stats.chisquare(observed).pvalue > ALIKE


@pytest.mark.parametrize("allow_self", [True, False])
def test_a_total_number_falls_to_each_pair_alike(allow_self: bool) -> None:
    options = {"weights": 1.0, "seed": 1, "allow_self": allow_self}
    counts = counts_of(es.fixed_total_number(30, 30, 20_000, **options))
    allowed = np.ones((30, 30), dtype=bool) if allow_self else ~np.eye(30, dtype=bool)
    assert counts.sum() == counts[allowed].sum() == 20_000
    assert stats.chisquare(counts[allowed]).pvalue > ALIKE


@given(st.data())
def test_what_a_rule_promises_holds_for_all_sizes(data: st.DataObject) -> None:
    n_pre, n_post = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))
    allow_self = data.draw(st.booleans())
    n_pre = n_pre if allow_self else n_post
    options = {"weights": 1.0, "seed": data.draw(st.integers(0, 99)), "allow_self": allow_self}
    distinct = options | {"allow_multapses": False}
    most = n_pre - (not allow_self), n_post - (not allow_self)
    degrees = tuple(data.draw(st.integers(0, n)) for n in most)
    total = data.draw(st.integers(0, 40 if most[1] else 0))
    p = data.draw(st.sampled_from([0.0, 1e-300, 0.1, 0.5, 0.999, 1.0]))
    pairs = counts_of(es.fixed_probability(n_pre, n_post, p, **options))
    sources = counts_of(es.fixed_indegree(n_pre, n_post, degrees[0], **distinct))
    targets = counts_of(es.fixed_outdegree(n_pre, n_post, degrees[1], **distinct))
    any_two = counts_of(es.fixed_total_number(n_pre, n_post, total, **options))
    assert max(pairs.max(), sources.max(), targets.max()) <= 1
    assert np.all(sources.sum(axis=0) == degrees[0])
    assert np.all(targets.sum(axis=1) == degrees[1])
    assert any_two.sum() == total
    assert p not in (0.0, 1.0) or pairs.sum() == p * n_pre * most[1]
    if not allow_self:
        assert not any(np.trace(counts) for counts in (pairs, sources, targets, any_two))


# --- weights and delays ---------------------------------------------------------------------------


def test_values_are_drawn_for_each_synapse() -> None:
    weights = stats.truncnorm(-2.0, 2.0, loc=1.0, scale=0.25)
    synapses = es.fixed_indegree(
        100, 100, 100, weights=weights, delays=lambda rng, size: rng.uniform(0.5, 1.5, size), seed=1
    )
    assert stats.kstest(synapses.weights.data, weights.cdf).pvalue > ALIKE
    assert stats.kstest(synapses.delays.data, stats.uniform(0.5, 1.0).cdf).pvalue > ALIKE
    assert counts_of(synapses).max() > 1  # each of a multapse has its own
    assert np.unique(synapses.delays.data).size == 10_000


def test_values_that_are_given_are_copied() -> None:
    values = np.arange(3.0)
    synapses = es.one_to_one(3, 3, weights=values, delays=lambda _, size: values[:size])
    values[:] = 9.0
    assert synapses.weights.data.tolist() == synapses.delays.data.tolist() == [0.0, 1.0, 2.0]


def test_what_was_drawn_runs_as_if_it_were_given() -> None:
    synapses = es.fixed_total_number(
        30, 30, 200, weights=0.2, delays=lambda rng, size: rng.uniform(0.1, 0.5, size), seed=1
    )
    other = es.Network()
    other.add_population("a", 30, es.LIF())
    other.connect("a", "a", weights=synapses.weights, delays=synapses.delays)
    initial = {"a": es.State(np.linspace(0.0, 0.9, 30), 4.0)}
    first, second = (
        es.simulate(network, {}, 2.0, initial=initial) for network in (connected(synapses), other)
    )
    assert len(first.spikes["a"]) > 30
    np.testing.assert_array_equal(first.spikes["a"].times, second.spikes["a"].times)
