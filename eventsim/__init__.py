"""Exact, event-driven simulation of spiking neural networks.

The rooms:

- `eventsim.network`, `eventsim.connecting`, `eventsim.convolution`, `eventsim.generators`,
  `eventsim.spikes`,
  `eventsim.start`, `eventsim.stimulus`: what is given; `eventsim.storage`: networks in files;
- `eventsim.simulation`: the front door, which checks, chooses an engine and calls it;
  `eventsim.ranks`: one simulation on several processes;
- `eventsim.result`, `eventsim.causality`: what comes out; `eventsim.cost`: what it costs;
  `eventsim.plot`: pictures of it;
- `eventsim.units`: values that carry a unit; `eventsim.csv`, `eventsim.nest`, `eventsim.sonata`:
  spikes in files; `eventsim.frames`, `eventsim.neo`: as tables and spike trains;
- `eventsim.nir`: networks from other tools, and for them;
- `eventsim.model`: the neuron: its parameters, flow, crossing and jumps, once for all engines;
- ``_engines``, ``_layout``, ``_support``: private; DESIGN.md says what is where.
"""

from eventsim import csv as csv
from eventsim import nest as nest
from eventsim import sonata as sonata
from eventsim.causality import CausalityGraph, Synapse
from eventsim.connecting import (
    Synapses,
    fixed_indegree,
    fixed_outdegree,
    fixed_probability,
    fixed_total_number,
    one_to_one,
)
from eventsim.convolution import Convolution, pooling
from eventsim.cost import Operations, operations
from eventsim.generators import Steps
from eventsim.model.neuron import LIF
from eventsim.model.search import first_crossing
from eventsim.network import Network, Projection
from eventsim.ranks import RankError
from eventsim.result import ActivityError, BatchResult, EventCounts, RecordedSpikes, Result
from eventsim.simulation import simulate, stream
from eventsim.spikes import SpikeBatch, Spikes
from eventsim.start import State
from eventsim.units import in_unit

__all__ = [
    "LIF",
    "ActivityError",
    "BatchResult",
    "CausalityGraph",
    "Convolution",
    "EventCounts",
    "Network",
    "Operations",
    "Projection",
    "RankError",
    "RecordedSpikes",
    "Result",
    "SpikeBatch",
    "Spikes",
    "State",
    "Steps",
    "Synapse",
    "Synapses",
    "first_crossing",
    "fixed_indegree",
    "fixed_outdegree",
    "fixed_probability",
    "fixed_total_number",
    "in_unit",
    "one_to_one",
    "operations",
    "pooling",
    "simulate",
    "stream",
]
