"""Options of the scenario `microcircuit`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from scenarios.microcircuit.model import STEP, Circuit
from scenarios.networks.beside import NEST, Simulator, check_beside, require_simulator
from scenarios.running.options import Options, Range, Seed, option

__all__ = ["MicrocircuitOptions"]

TRANSIENT = 500.0  # ms
IN_NEST = Path(__file__).with_name("in_nest.py")


@dataclass(frozen=True)
class MicrocircuitOptions(Options):
    """Times are in ms."""

    scale: Annotated[float, Range(0.005, 1.0)] = option(
        "Fraction of the neurons, and of the synapses of each; 1 takes 13 GB.", 0.1
    )
    drive: Literal["poisson", "dc"] = option(
        "What comes from outside: Poisson spikes, or their mean as a direct current.", "poisson"
    )
    duration: Annotated[float, Range(10.0, 1e6)] = option(
        f"How long to simulate, ms; statistics leave out the first {TRANSIENT:g}, or half of it "
        "if that is shorter.",
        10_000.0,
    )
    start: Literal["optimized", "original"] = option(
        "Potentials at the start: of a distribution for each population, near what they come to, "
        "or of one for all.",
        "optimized",
    )
    threads: Annotated[int, Range(1, 1024)] = option(
        "That simulate; the spikes do not depend on it.", 1
    )
    beside: tuple[Literal["nest"], ...] = option(
        "Simulators that run the same network; each needs an environment of its own.", ()
    )
    seed: Seed = option("Of synapses, of potentials at the start and of spikes from outside.", 0)

    def __post_init__(self) -> None:
        """Check the fields, and that NEST can do it."""
        super().__post_init__()
        check_beside(self.beside, STEP, duration=self.duration)

    @property
    def circuit(self) -> Circuit:
        """The model at this scale."""
        return Circuit(self.scale, self.drive)

    @property
    def transient(self) -> float:
        """What statistics leave out at the beginning."""
        return min(TRANSIENT, self.duration / 2.0)

    @property
    def nest(self) -> Simulator:
        """NEST, on as many threads as ours."""
        return Simulator(f"NEST, grid {STEP} ms", *NEST, IN_NEST, threads=self.threads)

    def require(self) -> None:
        """Check that the simulators beside ours are there."""
        if self.beside:
            require_simulator(self.nest)
