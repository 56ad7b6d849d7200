"""Simulated neurons beside their input: the schemes, and whether they agree with the theory."""

import numpy as np
import pytest
from scipy import stats

import eventsim as es
from scenarios.coherence.estimate import estimate, probability_below, share_inside
from scenarios.coherence.simulation import (
    Segments,
    shot_noise,
    shot_noise_network,
    white_noise,
)
from scenarios.coherence.theory import Neuron, coherence, firing_rate, spectra

TAUS = (30.0, 100.0, np.inf)
WIDTH = 0.3
FREQUENCIES = np.geomspace(0.001, 0.1, 60)


def neuron(tau=30.0):
    return Neuron(tau, 1 / 30, 1 / 300)


def joined(chunks):
    return (np.concatenate(parts) for parts in zip(*chunks, strict=True))


def jump_process(one, times, jumps, stop):
    """Return the spike times of a neuron whose potential jumps: between jumps it only decays."""
    now, potential, spikes = 0.0, 0.0, []
    resting = one.mu if one.leaky else np.nan
    for time, jump in [*zip(times, jumps, strict=True), (stop, 0.0)]:
        while True:
            if one.leaky:
                if resting > 1.0:
                    crossing = now + one.tau * np.log((resting - potential) / (resting - 1.0))
                else:
                    crossing = np.inf
            else:
                crossing = now + (1.0 - potential) / one.current
            if crossing > time:
                break
            spikes.append(crossing)
            now, potential = crossing, 0.0
        lag = time - now
        if one.leaky:
            potential = resting + (potential - resting) * np.exp(-lag / one.tau)
        else:
            potential += one.current * lag
        now, potential = time, potential + jump
        if potential > 1.0:
            spikes.append(time)
            potential -= 1.0
    return spikes


@pytest.mark.parametrize("tau", TAUS)
def test_plain_euler_maruyama_is_its_textbook_loop(tau):
    one, segments = neuron(tau), Segments(2, 500, WIDTH)
    noise, spikes = joined(white_noise(one, segments, 5, steps=2, scheme="plain"))
    rng, dt = np.random.default_rng(5), WIDTH / 2
    kicks = np.sqrt(2 * one.noise * dt) * rng.standard_normal(2 * (500 * 2 + segments.warm_up))
    potential, fired = 0.0, []
    for kick in kicks:
        potential += dt * (one.current - potential / tau) + kick
        fired.append(potential > 1.0)
        potential *= not fired[-1]
    past = 2 * segments.warm_up
    np.testing.assert_allclose(noise.ravel(), kicks[past:].reshape(-1, 2).sum(axis=1))
    np.testing.assert_array_equal(spikes.ravel(), np.sum(np.reshape(fired[past:], (-1, 2)), axis=1))
    assert spikes.sum() > 2


def test_without_leak_what_comes_in_is_given_out_or_still_there():
    one = neuron(np.inf)
    noise, spikes = joined(white_noise(one, Segments(1, 3000, WIDTH), 1))
    kept = np.cumsum(noise + WIDTH * one.current - spikes)
    assert spikes.sum() > 20
    assert np.ptp(kept) < 3.0  # a random walk would be ten times as wide
    assert kept.max() - kept[0] < 1.5


@pytest.mark.parametrize("tau", [*TAUS, 20.0])
def test_shot_noise_through_the_event_engine_is_the_jump_process(tau):
    one, jump, stop = neuron(tau), 0.1, 900.0
    rng = np.random.default_rng(2)
    n = rng.poisson(2 * one.noise / jump**2 * stop)
    times, up = np.sort(stop * rng.random(n)), rng.random(n) < 0.5
    trains = {
        name: es.Spikes(times[some], np.zeros(some.sum(), int))
        for name, some in (("excitatory", up), ("inhibitory", ~up))
    }
    result = es.simulate(shot_noise_network(one, jump), trains, stop)
    expected = jump_process(one, times, np.where(up, jump, -jump), stop)
    assert len(expected) > 5
    np.testing.assert_allclose(result.spikes["neuron"].times, expected, atol=1e-3)


def test_shot_noise_has_the_intensity_of_the_neuron():
    one, segments = neuron(), Segments(6, 400, WIDTH)
    noise, spikes = joined(shot_noise(one, segments, 0, jump=0.05))
    assert noise.shape == spikes.shape == (6, 400)
    assert noise.var() == pytest.approx(2 * one.noise * WIDTH, rel=0.1)
    assert abs(noise.mean()) < 4 * np.sqrt(2 * one.noise * WIDTH / noise.size)


def test_a_simulation_is_repeated_by_its_seed_alone():
    one, segments = neuron(), Segments(3, 50, WIDTH)
    for make in (
        lambda seed: white_noise(one, segments, seed),
        lambda seed: shot_noise(one, segments, seed, jump=0.2),
    ):
        first, again, other = (next(iter(joined(make(seed)))) for seed in (7, 7, 8))
        np.testing.assert_array_equal(first, again)
        assert np.any(first != other)


def test_chunks_cover_the_segments():
    assert Segments(10, 4, 1.0).chunks(4.7) == [4, 4, 2]
    assert Segments(10, 4, 1.0).chunks(0.1) == [1] * 10
    assert Segments(10, 4, 1.0).chunks(99) == [10]


@pytest.mark.slow
@pytest.mark.jit
@pytest.mark.parametrize("tau", TAUS)
def test_white_noise_agrees_with_the_theory_within_the_bands(tau):
    one, n = neuron(tau), 400
    found = estimate(white_noise(one, Segments(n, 8192, WIDTH), 11, steps=4), WIDTH)
    picked = found.nearest(FREQUENCIES)
    theory = spectra(one, picked.frequencies)
    inside = share_inside(picked, theory.coherence)
    below = probability_below(picked.coherence, theory.coherence, n)
    assert picked.frequencies.size > 35
    assert stats.binomtest(round(inside * below.size), below.size, 0.95).pvalue > 0.01
    assert stats.kstest(below, "uniform").pvalue > 0.01
    assert abs(found.rate - firing_rate(one)) < 3 * found.rate_error
    assert np.mean(picked.power / theory.power) == pytest.approx(1.0, abs=0.025)
    # the same check refuses a formula that is off by a tenth
    wrong = np.minimum(1.1 * theory.coherence, 0.999)
    assert stats.kstest(probability_below(picked.coherence, wrong, n), "uniform").pvalue < 1e-3


@pytest.mark.slow
@pytest.mark.jit
def test_without_the_bridge_the_rate_is_off_by_the_root_of_the_time_step():
    one = neuron()
    deviations = []
    for steps in (1, 4, 16):
        found = estimate(
            white_noise(one, Segments(400, 4096, WIDTH), 3, steps=steps, scheme="plain"), WIDTH
        )
        deviations.append(1.0 - found.rate / firing_rate(one))
        shifted = Neuron(*scaled(one, 1 + 0.5826 * np.sqrt(2 * one.noise * WIDTH / steps)))
        assert found.rate == pytest.approx(firing_rate(shifted), abs=4 * found.rate_error)
    assert deviations[0] > 0.04
    assert deviations[0] > 1.6 * deviations[1] > 2.0 * deviations[2] > 0.0


def scaled(one, threshold):
    """Return the neuron with another threshold, in units of that one."""
    return one.tau, one.current / threshold, one.noise / threshold**2


@pytest.mark.slow
@pytest.mark.jit
def test_shot_noise_approaches_the_theory_as_jumps_shrink():
    one, n = neuron(), 400
    deviations, rates = [], []
    for jump in (0.2, 0.1, 0.04):
        found = estimate(shot_noise(one, Segments(n, 8192, WIDTH), 4, jump=jump), WIDTH)
        picked = found.nearest(FREQUENCIES)
        expected = coherence(one, picked.frequencies)
        deviations.append(np.abs(np.mean((picked.coherence - expected)[:15])))
        rates.append(1.0 - found.rate / firing_rate(one))
    assert rates[0] > 1.6 * rates[1] > 2.0 * rates[2]
    assert deviations[0] > 0.05
    assert deviations[2] < deviations[0] / 3
    assert share_inside(picked, expected) >= 0.88


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: Segments(0, 5, 1.0), "number must lie in .*, got 0"),
        (lambda: Segments(5, 0, 1.0), "bins must lie in .*, got 0"),
        (lambda: Segments(5, 5, np.inf), "width must lie in .*, got inf"),
        (lambda: shot_noise_network(neuron(), 1.0), r"jump must lie in \(0, 1\), got 1.0"),
        (lambda: list(shot_noise(neuron(), Segments(2, 2, 1.0), 0, jump=0.0)), "jump must lie in"),
        (lambda: list(white_noise(neuron(), Segments(2, 2, 1.0), 0, steps=0)), "steps must be an"),
        (
            lambda: list(white_noise(neuron(), Segments(2, 2, 1.0), 0, scheme="milstein")),
            "scheme must be one of bridge, plain, got 'milstein'",
        ),
    ],
)
def test_bad_arguments_are_refused(call, expected):
    with pytest.raises(ValueError, match=expected):
        call()
