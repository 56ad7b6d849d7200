"""Which spikes of a clocked network belong to which of the exact one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.clock.spikes import (
    LAYERS,
    WINDOW,
    Shifts,
    compare_spikes,
    measure,
    order,
    random_network,
)
from tests.helpers.strategies import decimals

T_STOP = 3.0

trains = st.lists(
    st.tuples(decimals(0.0, T_STOP), st.integers(0, 3)), max_size=12, unique=True
).map(lambda pairs: tuple(np.array(column) for column in zip(*pairs, strict=True)) if pairs else (
    np.empty(0), np.empty(0, dtype=int)
))  # fmt: skip


def by_pairs(exact, clocked) -> Shifts:
    """Every pair of spikes of a train is looked at."""

    def nearest(time, others):
        return min(others, key=lambda other: (abs(other - time), other)) if others else None

    delays, partners, missed = [], set(), 0
    early = T_STOP - WINDOW
    for n in range(4):
        a = sorted(exact[0][exact[1] == n])
        b = sorted(clocked[0][clocked[1] == n])
        for time in a:
            found = nearest(time, b)
            if found is not None and nearest(found, a) == time and abs(found - time) < WINDOW:
                partners.add((n, found))
                delays += [found - time] if time < early else []
            else:
                missed += time < early
    lonely = [(n, t) for t, n in zip(*clocked, strict=True) if (n, t) not in partners]
    total = max(sum(exact[0] < early), 1)
    return Shifts(np.array(delays), missed / total, sum(t < early for _, t in lonely) / total)


@given(trains, trains)
def test_matching_is_that_of_all_pairs(exact, clocked):
    found = compare_spikes(exact, clocked, T_STOP)
    expected = by_pairs(exact, clocked)
    np.testing.assert_allclose(np.sort(found.delays), np.sort(expected.delays), atol=1e-12)
    assert (found.missed, found.invented) == (expected.missed, expected.invented)


@given(trains)
def test_the_same_spikes_are_all_matched_without_delay(exact):
    found = compare_spikes(exact, exact, T_STOP)
    assert not found.delays.any()
    assert (found.missed, found.invented) == (0.0, 0.0)


def test_random_networks_fire_in_every_layer():
    for seed in range(3):
        network, spikes = random_network(np.random.default_rng(seed))
        assert len(spikes) == 10
        for layer in LAYERS:
            neuron = network.neurons[layer]
            assert 0.5 <= neuron.tau_mem <= 2.0
            assert 0.5 <= neuron.tau_syn <= 2.0
            assert neuron.tau_mem != neuron.tau_syn


@pytest.mark.slow
@pytest.mark.jit
def test_the_errors_of_spike_times_are_of_first_order_in_the_step():
    steps = [0.02, 0.01, 0.005]
    records = measure(0, steps)["records"]
    assert len(records) == 2 * 3 * 3
    for reset in ("zero", "subtract"):
        for layer in LAYERS:
            some = [one for one in records if (one["layer"], one["reset"]) == (layer, reset)]
            assert [one["time_step"] for one in some] == steps
            assert order(steps, [one["error"] for one in some]) == pytest.approx(1.0, abs=0.2)
            assert all(0.3 < one["steps_late"] < 10.0 for one in some)  # never early on average
            assert some[-1]["missed"] + some[-1]["invented"] < 0.05


@pytest.mark.slow
@pytest.mark.jit
def test_the_soft_reset_is_less_late():
    records = measure(1, [0.005])["records"]
    late = {(one["layer"], one["reset"]): one["steps_late"] for one in records}
    for layer in LAYERS:
        assert late[layer, "subtract"] < late[layer, "zero"]


def test_a_silent_layer_has_no_error():
    from scenarios.clock.spikes import _summary

    found = _summary(Shifts(np.empty(0), 1.0, 0.0), 0.1)
    assert found == {"error": None, "steps_late": None, "missed": 1.0, "invented": 0.0}
