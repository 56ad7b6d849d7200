"""Options of the scenario `cuba`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from scenarios.cuba.beside import SIMULATORS, STEP
from scenarios.networks.beside import check_beside, require_simulator
from scenarios.running.options import Options, Range, Seed, option

__all__ = ["IN_DEGREE", "TRANSIENT", "CubaOptions"]

IN_DEGREE = 80  # synapses onto a neuron, on average: 2 % of 4000
TRANSIENT = 200.0  # ms


@dataclass(frozen=True)
class CubaOptions(Options):
    """Times are in ms."""

    neurons: Annotated[int, Range(5 * IN_DEGREE, 100_000)] = option(
        "Number of neurons, a multiple of 5: four excitatory for each inhibitory one.", 4000
    )
    time: Annotated[float, Range(2 * TRANSIENT, 1e5)] = option(
        f"How long to simulate, ms; statistics leave the first {TRANSIENT:g} out.", 5000.0
    )
    delay: Annotated[float, Range(0.0, 100.0)] = option("Of all synapses, ms.", STEP)
    engine: Literal["auto", "scheduler", "windows"] = option(
        'How to simulate; "windows" needs a delay above 0.', "auto"
    )
    beside: tuple[Literal["nest", "nest-grid", "brian2"], ...] = option(
        "Simulators that run the same network; each needs an environment of its own.", ()
    )
    seed: Seed = option("Of synapses and of potentials at the start.", 0)

    def __post_init__(self) -> None:
        """Check the fields, and that all simulators can do it."""
        super().__post_init__()
        if self.neurons % 5:
            raise ValueError(f"neurons must be a multiple of 5, got {self.neurons!r}")
        if self.engine == "windows" and self.delay == 0.0:
            raise ValueError(f"delay must be > 0 with engine windows, got {self.delay!r}")
        check_beside(self.beside, STEP, delay=self.delay, time=self.time)

    def require(self) -> None:
        """Check that the simulators beside ours are there."""
        for name in self.beside:
            require_simulator(SIMULATORS[name])
