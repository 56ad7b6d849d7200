"""Options of the scenario `brunel`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from scenarios.brunel.network import STEP
from scenarios.networks.beside import NEST, Simulator, check_beside, require_simulator
from scenarios.running.options import Options, Range, Seed, option

__all__ = ["SIMULATORS", "TRANSIENT", "BrunelOptions"]

TRANSIENT = 200.0  # ms
SMALLEST = 0.02
GRAIN = 0.004  # a scale that makes one inhibitory synapse onto each neuron
IN_NEST = Path(__file__).with_name("in_nest.py")
SIMULATORS = {
    model: Simulator(f"NEST, grid {STEP} ms", *NEST, IN_NEST, (f"iaf_psc_{model}",))
    for model in ("delta", "exp")
}


@dataclass(frozen=True)
class BrunelOptions(Options):
    """Times are in ms."""

    full: bool = option("All 12 500 neurons, for longer.", False)
    scale: Annotated[float, Range(SMALLEST, 1.0)] | None = option(
        "Neurons, and synapses of each, relative to the publication's; a multiple of 0.004.",
        0.4,
        full=1.0,
    )
    duration: Annotated[float, Range(10.0, 1e5)] | None = option(
        f"Of each run, ms, after {TRANSIENT:g} ms that are left out.", 1000.0, full=5000.0
    )
    regimes: tuple[Literal["SR", "SI-fast", "AI", "SI-slow"], ...] = option(
        "Which of the four to run.", ("SR", "SI-fast", "AI", "SI-slow")
    )
    model: Literal["delta", "exp"] = option(
        "A spike moves the potential at once, or by a current of 0.5 ms.", "delta"
    )
    beside: tuple[Literal["nest"], ...] = option(
        "nest: NEST runs the same synapses; it needs an environment of its own.", ()
    )
    threads: Annotated[int, Range(1, 1024)] | None = option(
        "Of one run, which does not depend on them.", unset="all processors"
    )
    seed: Seed = option("Of synapses and drive.", 0)

    def __post_init__(self) -> None:
        """Check the fields, and that the network can be made."""
        super().__post_init__()
        if not self.regimes:
            raise ValueError("regimes must name at least one, got none")
        if len(set(self.regimes)) < len(self.regimes):
            raise ValueError(f"regimes must name each once, got {', '.join(self.regimes)}")
        scale, duration = self.chosen.scale, self.chosen.duration
        assert scale is not None, self
        assert duration is not None, self
        if not math.isclose(scale / GRAIN, round(scale / GRAIN)):
            raise ValueError(
                f"scale must be a multiple of {GRAIN} for whole numbers of synapses, got {scale!r}"
            )
        check_beside(self.beside, STEP, duration=duration)

    def require(self) -> None:
        """Check that NEST is there, if it is to run."""
        if self.beside:
            require_simulator(SIMULATORS[self.model])
