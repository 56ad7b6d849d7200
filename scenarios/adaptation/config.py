"""Options of the scenario `adaptation`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from scenarios.running.options import Count, Options, Range, Seed, option

__all__ = ["AdaptationOptions"]


@dataclass(frozen=True)
class AdaptationOptions(Options):
    """Times are in ms, currents in mV/ms: 1 mV/ms for ever would just not make the neuron fire."""

    tau: Annotated[float, Range(5.0, 1000.0)] = option(
        "Time constant of the target's adaptation.", 100.0
    )
    strength: Annotated[float, Range(0.01, 10.0)] = option(
        "By how much a spike of the target raises the current of its adaptation.", 0.3
    )
    duration: Annotated[float, Range(50.0, 1e5)] = option("Length of the target train.", 500.0)
    inputs: Count = option("Number of Poisson trains, each with 200 spikes a second.", 10)
    starts: Count = option("How many times to begin, each time with other values.", 20)
    factor: Annotated[float, Range(1.0, 10.0, "(]")] = option(
        "By which the values at the start are wrong at most.", 3.0
    )
    seed: Seed = option("Of the input, and of the first start; the others follow.", 0)
