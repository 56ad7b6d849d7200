"""The scenario brunel beside NEST."""

import os
from pathlib import Path

import pytest

from scenarios.brunel.config import SIMULATORS
from scenarios.brunel.network import REGIMES, Brunel
from scenarios.networks.beside import simulate
from scenarios.networks.recording import Recording
from scenarios.networks.streamed import Streamed
from scenarios.running.console.progress import SILENT

pytestmark = [pytest.mark.peers, pytest.mark.jit]


@pytest.mark.parametrize("model", ["delta", "exp"])
def test_nest_finds_the_same_rates_and_irregularity(model: str, tmp_path: Path) -> None:
    simulator = SIMULATORS[model]
    if not os.environ.get(simulator.variable):
        pytest.skip(f"{simulator.variable} is not set")
    network = Brunel(REGIMES["AI"], 0.1, model)
    streamed = Streamed(lambda: (network.build(), {}), 1000.0, 100.0, tmp_path, 1)
    ours, theirs = (
        Recording.of(arrays, 1250, 1000.0).after(200.0)
        for arrays in (
            streamed.run(SILENT),
            simulate(simulator, network.for_nest(1000.0)),
        )
    )
    assert theirs.rates.mean() == pytest.approx(ours.rates.mean(), rel=0.05)
    assert theirs.cvs.mean() == pytest.approx(ours.cvs.mean(), rel=0.05)
