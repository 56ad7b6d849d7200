"""Options of the scenario `gradcheck`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from scenarios.running.options import Count, Options, Range, Seed, option

__all__ = ["GradcheckOptions"]


@dataclass(frozen=True)
class GradcheckOptions(Options):
    """Times are in a unit in which the time constants of the neurons are 0.5 to 6."""

    neurons: Annotated[int, Range(1, 1000)] = option("Number of recurrent neurons.", 8)
    receptors: Annotated[int, Range(1, 4)] = option(
        "Receptors of each neuron, each with a time constant of its own.", 2
    )
    refractory: Annotated[float, Range(0.0, 1e6, also=math.inf)] = option(
        "Refractory period; inf: a neuron fires at most once.", 0.5
    )
    entries: Count = option(
        "Entries of each parameter that are checked, drawn at random where it has more.", 10
    )
    seed: Seed = option("Of the network, the loss and the entries.", 0)
