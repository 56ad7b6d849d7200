"""Options of the scenario `xor`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

from gradients import Adam
from scenarios.running.options import (
    Count,
    Fraction,
    NonNegative,
    Options,
    Positive,
    Range,
    Rate,
    Seed,
    option,
    options_of,
)
from scenarios.running.training import Settings

__all__ = ["EARLY", "LATE", "TABLE_1", "XorOptions"]

EARLY, LATE = 0.0, 2.0  # input spikes
SHOWN_STEPS = 100  # of the network in the picture: right by a margin that can be seen


@dataclass(frozen=True)
class XorOptions(Options):
    """The defaults are Table 1 of the publication, except for gamma, tau0 and beta2."""

    published: bool = option("Take gamma, tau0 and beta2 from Table 1 of the publication.", False)
    full: bool = option("Run the published 1000 initialisations.", False)
    runs: Count = option("Number of random initialisations.", 100, full=1000)
    seed: Seed = option("Seed of the first initialisation; the others follow.", 0)
    max_steps: Annotated[int, Range(1, 999_998)] = option(  # an epoch more than steps
        "Give an initialisation up after so many steps.", 300
    )
    learning_rate: Rate = option("Of Adam.", 0.1)
    beta2: Fraction = option("Of Adam: its memory for squared gradients.", 0.99, published=0.999)
    gamma: NonNegative = option("Cost of late label spikes.", 0.01, published=0.2)
    tau0: Positive = option("Time constant of the cross-entropy.", 0.03, published=0.1)
    tau1: Positive = option("Time constant of the cost of late spikes.", 1.0)
    t_stop: Annotated[float, Range(LATE, 1e6, "(]")] = option("End of each simulation.", 5.0)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The publication's protocol, or this project's."""
        return ("published",) if self.published else ()

    @property
    def printed(self) -> XorOptions:
        """The settings with the constants of Table 1, whatever else the user chose."""
        open_again: dict[str, Any] = dict.fromkeys(TABLE_1)
        return replace(self, published=True, **open_again).chosen

    def settings(self, seed: int) -> Settings:
        """Return how the network in the picture is trained: on beyond its first success."""
        return Settings(
            epochs=SHOWN_STEPS,
            batch_size=4,
            optimizer=Adam(lr=self.learning_rate, betas=(0.9, self.chosen.beta2)),
            seed=seed,
            evaluate_every=SHOWN_STEPS,
            save_every=SHOWN_STEPS,
        )


TABLE_1 = {
    name: one.cases["published"]
    for name, one in options_of(XorOptions).items()
    if "published" in one.cases
}
