"""The scenario cuba beside the simulators that it names."""

import os

import numpy as np
import pytest

from scenarios.cuba.beside import SIMULATORS
from scenarios.cuba.config import CubaOptions
from scenarios.cuba.measures import same_until
from scenarios.cuba.network import draw, for_others, spikes_of
from scenarios.cuba.network import simulate as simulate_ours
from scenarios.networks.beside import simulate
from scenarios.networks.recording import Recording

pytestmark = [pytest.mark.peers, pytest.mark.jit]


def both(name: str, config: CubaOptions) -> list[Recording]:
    """What ours and another simulator find; skip where there is none."""
    simulator = SIMULATORS[name]
    if not os.environ.get(simulator.variable):
        pytest.skip(f"{simulator.variable} is not set")
    drawn = draw(config)
    found = [
        spikes_of(*simulate_ours(drawn, config, config.time), drawn),
        simulate(simulator, for_others(drawn, config)),
    ]
    return [Recording.of(arrays, config.neurons, config.time) for arrays in found]


@pytest.mark.parametrize("seed", range(3))
def test_nest_in_continuous_time_finds_the_same_spikes(seed: int) -> None:
    config = CubaOptions(neurons=1000, time=1000.0, seed=seed)
    ours, theirs = both("nest", config)
    assert ours.times.size == theirs.times.size > 4000
    assert same_until(ours, theirs, 1e-9) == 1000.0


@pytest.mark.parametrize("name", ["nest-grid", "brian2"])
def test_simulators_on_a_grid_find_the_same_rates(name: str) -> None:
    config = CubaOptions(neurons=1000, time=3000.0)
    ours, theirs = both(name, config)
    assert theirs.rates.mean() == pytest.approx(ours.rates.mean(), rel=0.05)
    assert np.corrcoef(ours.rates, theirs.rates)[0, 1] > 0.9
    assert theirs.cvs.mean() == pytest.approx(ours.cvs.mean(), rel=0.05)
    assert theirs.seconds > 0.0
