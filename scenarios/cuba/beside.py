"""The simulators that run the network of the scenario `cuba` beside ours."""

from __future__ import annotations

from pathlib import Path

from scenarios.networks.beside import NEST, Simulator

__all__ = ["SIMULATORS", "STEP", "TOLERANCES"]

STEP = 0.1  # ms: the grid of spikes, or of the looks for them
IN_NEST, IN_BRIAN = (Path(__file__).with_name(name) for name in ("in_nest.py", "in_brian.py"))
BRIAN = ("brian2", "EVENTSIM_BRIAN_PYTHON")
SIMULATORS = {
    "nest": Simulator("NEST, continuous time", *NEST, IN_NEST, ("iaf_psc_exp_ps",)),
    "nest-grid": Simulator(f"NEST, grid {STEP} ms", *NEST, IN_NEST, ("iaf_psc_exp",)),
    "brian2": Simulator(f"Brian2, grid {STEP} ms", *BRIAN, IN_BRIAN),
}
TOLERANCES = {"nest": 1e-9, "nest-grid": 1.0, "brian2": 1.0}  # of spikes that are the same, ms
