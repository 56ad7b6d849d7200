"""Neurons on a grid of times, with surrogate gradients: what exact gradients are compared with.

Needs the extra "torch".
"""

from gradients.clocked.network import ClockedNetwork, ClockedRun
from gradients.clocked.spikes import fired_spikes
from gradients.clocked.surrogate import (
    LIFNeuron,
    LIFReadout,
    LIFUnit,
    Reset,
    SpikeDerivative,
    clocked_lif,
)

__all__ = [
    "ClockedNetwork",
    "ClockedRun",
    "LIFNeuron",
    "LIFReadout",
    "LIFUnit",
    "Reset",
    "SpikeDerivative",
    "clocked_lif",
    "fired_spikes",
]
