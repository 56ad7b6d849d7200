"""The scenario microcircuit beside NEST."""

import os
from pathlib import Path

import numpy as np
import pytest

import eventsim as es
from scenarios.microcircuit import chunks
from scenarios.microcircuit.beside import VARIABLE, simulate
from scenarios.microcircuit.config import MicrocircuitOptions
from scenarios.microcircuit.measures import Trains, joined
from scenarios.microcircuit.model import Drive
from scenarios.microcircuit.network import build
from scenarios.running.console.progress import SILENT

pytestmark = [pytest.mark.peers, pytest.mark.jit]


@pytest.mark.parametrize("drive", ["poisson", "dc"])
def test_nest_finds_the_same_rates_and_irregularity(drive: Drive, tmp_path: Path) -> None:
    if not os.environ.get(VARIABLE):
        pytest.skip(f"{VARIABLE} is not set")
    config = MicrocircuitOptions(scale=0.05, duration=3000.0, drive=drive)

    def made() -> tuple[es.Network, dict[str, es.State]]:
        return build(config)

    chunks.run(made, config.duration, 1, tmp_path, SILENT)
    ours = joined(list(chunks.load(tmp_path)))
    theirs = simulate(made, config.circuit, duration=3000.0, threads=1, seed=0)
    for part in config.circuit.parts().values():
        one, other = (Trains.of(spikes, part, 500.0, 3000.0) for spikes in (ours, theirs))
        assert other.rates.mean() == pytest.approx(one.rates.mean(), rel=0.1, abs=0.1)
        if one.cvs.size > 100:
            assert np.mean(other.cvs) == pytest.approx(np.mean(one.cvs), rel=0.1)
            assert np.corrcoef(one.rates, other.rates)[0, 1] > 0.4  # counts vary
    assert float(theirs["seconds"]) > 0.0
    assert float(theirs["memory"]) > 1e7
