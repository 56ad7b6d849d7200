"""The microcircuit: how many neurons and synapses, and what is drawn for them."""

import numpy as np
import pytest

from scenarios.microcircuit.config import MicrocircuitOptions
from scenarios.microcircuit.model import FULL_RATES, POPULATIONS, SIZES, STARTS, Circuit
from scenarios.microcircuit.network import build

FULL = Circuit(1.0, "poisson")
PAIR = POPULATIONS.index("L5I"), POPULATIONS.index("L5I")


def test_the_full_network_has_the_numbers_of_the_reference_implementation():
    assert FULL.sizes.sum() == 77169
    pair = 1065 * 1065
    assert FULL.synapses[PAIR] == round(np.log(1.0 - 0.3158) / np.log((pair - 1.0) / pair))
    assert FULL.synapses.sum() == 298_880_970
    assert not FULL.synapses[:6, 7].any()
    pico_amperes = 250.0 * FULL.weights
    expected = np.tile([87.81, -351.23], (8, 4))
    expected[0, 2] = 175.62
    np.testing.assert_allclose(pico_amperes, expected, rtol=1e-4)
    np.testing.assert_allclose(FULL.rates_outside[:2], [12.8, 12.0], rtol=1e-15)
    assert not FULL.bias.any()


def test_synapses_drawn_one_by_one_connect_a_pair_with_its_probability():
    n = SIZES[PAIR[0]] ** 2
    assert 1.0 - (1.0 - 1.0 / n) ** FULL.synapses[PAIR] == pytest.approx(0.3158, abs=1e-6)


@pytest.mark.parametrize("drive", ["poisson", "dc"])
@pytest.mark.parametrize("scale", [0.01, 0.1, 0.4, 1.0])
def test_the_mean_input_of_a_smaller_network_is_that_of_the_full_one(drive, scale):
    def mean(circuit):
        """Charge that a neuron of each population gets in a ms, if all fire as at full scale."""
        indegrees = circuit.synapses / circuit.sizes[:, None]
        spikes = circuit.weights * indegrees @ FULL_RATES / 1000.0
        spikes += circuit.weight_outside * circuit.rates_outside
        return 0.5 * spikes + circuit.bias

    np.testing.assert_allclose(mean(Circuit(scale, drive)), mean(FULL), rtol=0.02)


def test_a_smaller_network_keeps_the_variance_of_its_input():
    def variance(circuit):
        indegrees = circuit.synapses / circuit.sizes[:, None]
        return circuit.weights**2 * indegrees @ FULL_RATES

    np.testing.assert_allclose(variance(Circuit(0.1, "dc")), variance(FULL), rtol=0.02)


def test_the_network_has_so_many_synapses_and_poisson_sources():
    config = MicrocircuitOptions(scale=0.005)
    net, _ = build(config)
    for (pre, post), projection in net.projections.items():
        if pre in net.populations:
            pair = POPULATIONS.index(post), POPULATIONS.index(pre)
            assert projection.values.size == config.circuit.synapses[pair]
        else:
            assert projection.values.size == net.populations[post] == net.inputs[pre]
    inside = sum(p.values.size for p in net.projections.values() if p.pre in net.populations)
    assert inside == config.circuit.synapses.sum()
    assert not build(MicrocircuitOptions(scale=0.005, drive="dc"))[0].inputs


def test_weights_and_delays_have_the_laws_of_the_publication():
    net, _ = build(MicrocircuitOptions(scale=0.05))
    factor = np.sqrt(0.05) * 250.0
    for pre, post, weight, delay in (
        ("L4E", "L4E", 87.81, 1.5),
        ("L4E", "L23E", 175.62, 1.5),
        ("L4I", "L4E", -351.23, 0.75),
    ):
        projection = net.projections[pre, post]
        weights, delays = factor * projection.values, projection.delay_values
        error = 4.0 / np.sqrt(weights.size)
        assert weights.mean() == pytest.approx(weight, rel=0.1 * error)
        assert weights.std() == pytest.approx(0.1 * abs(weight), rel=error)
        assert np.all(np.sign(weights) == np.sign(weight))
        assert 0.1 <= delays.min() < 0.11
        # Of a normal law that is cut off, the median is shifted by half of what is lacking.
        lacking = 0.0309 if delay == 1.5 else 0.0416  # of the normal law, below 0.1 ms
        assert np.mean(delays < delay) == pytest.approx((0.5 - lacking) / (1 - lacking), abs=error)
        assert np.unique(delays).size > 0.99 * delays.size  # on no grid


def test_potentials_begin_below_the_threshold():
    _, initial = build(MicrocircuitOptions(scale=0.1))
    for name, mean, deviation in zip(POPULATIONS, *STARTS["optimized"], strict=True):
        potential = initial[name].potential
        error = 4.0 * deviation / np.sqrt(potential.size)
        assert potential.mean() == pytest.approx(mean, abs=error + 0.15)
        assert potential.max() < -50.0
    _, initial = build(MicrocircuitOptions(scale=0.1, start="original"))
    assert initial["L4E"].potential.max() < -50.0
    assert initial["L4E"].potential.mean() == pytest.approx(-61.5, abs=0.8)


def test_another_seed_draws_all_anew_and_the_same_one_the_same():
    def drawn(seed):
        net, initial = build(MicrocircuitOptions(scale=0.005, seed=seed))
        values = [p.values for p in net.projections.values() if p.pre in net.populations]
        spikes = net.draw("outside_L4E", t_stop=5.0).times
        return np.concatenate(values), initial["L4E"].potential, spikes

    for one, again, other in zip(drawn(0), drawn(0), drawn(1), strict=True):
        np.testing.assert_array_equal(one, again)
        assert not np.isin(one, other).any() or one.size != other.size


def test_synapses_of_two_pairs_are_drawn_apart():
    net, _ = build(MicrocircuitOptions(scale=0.02))
    one, other = (net.projections["L4E", post].values for post in ("L4E", "L4I"))
    n = min(one.size, other.size)
    assert abs(np.corrcoef(one[:n], other[:n])[0, 1]) < 4.0 / np.sqrt(n)
