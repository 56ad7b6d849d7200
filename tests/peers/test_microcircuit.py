"""The scenario microcircuit beside NEST."""

import os
from pathlib import Path

import numpy as np
import pytest

from scenarios.microcircuit.config import MicrocircuitOptions
from scenarios.microcircuit.model import Drive
from scenarios.microcircuit.network import build, for_nest
from scenarios.networks.beside import simulate
from scenarios.networks.recording import Recording
from scenarios.networks.streamed import Streamed
from scenarios.running.console.progress import SILENT

pytestmark = [pytest.mark.peers, pytest.mark.jit]


@pytest.mark.parametrize("drive", ["poisson", "dc"])
def test_nest_finds_the_same_rates_and_irregularity(drive: Drive, tmp_path: Path) -> None:
    config = MicrocircuitOptions(scale=0.05, duration=3000.0, drive=drive)
    if not os.environ.get(config.nest.variable):
        pytest.skip(f"{config.nest.variable} is not set")
    ours = Streamed(lambda: build(config), 3000.0, 100.0, tmp_path, 1).run(SILENT)
    given = for_nest(config)
    theirs = simulate(config.nest, next(given), given)
    n = int(config.circuit.sizes.sum())
    both = [Recording.of(spikes, n, 3000.0).after(500.0) for spikes in (ours, theirs)]
    for part in config.circuit.parts().values():
        one, other = (found.of_neurons(part) for found in both)
        assert other.rates.mean() == pytest.approx(one.rates.mean(), rel=0.1, abs=0.1)
        if one.cvs.size > 100:
            assert other.cvs.mean() == pytest.approx(one.cvs.mean(), rel=0.1)
            assert np.corrcoef(one.rates, other.rates)[0, 1] > 0.4  # counts vary
    assert float(theirs["seconds"]) > 0.0
    assert float(theirs["memory"]) > 1e7
