"""Networks and layers for the tests of `gradients.torch`, which need nothing compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy import sparse

import eventsim as es
from gradients.torch import SpikingNetwork

IN, HIDDEN, OUT = ("in", "hidden"), ("hidden", "out"), ("out",)
LATENCIES = [[0.0, 0.3, 0.1], [0.5, np.inf, 0.2], [0.2, 0.6, 0.0], [np.inf, np.inf, np.inf]]


def network() -> es.Network:
    """3 inputs -> 4 neurons -> 2 outputs, delays of both kinds; silent without spikes."""
    rng = np.random.default_rng(5)
    net = es.Network()
    net.add_input("in", 3)
    hidden = es.LIF(tau_mem=1.0, tau_syn=0.6, bias=0.05, rest=0.1, reset=-0.1)
    net.add_population("hidden", 4, hidden)
    net.add_population("out", 2, es.LIF(tau_mem=[1.2, 0.9], tau_syn=0.5))
    net.connect("in", "hidden", weights=rng.uniform(2.5, 5.0, (3, 4)), delays=0.1)
    delays = rng.uniform(0.05, 0.3, (4, 2))
    net.connect("hidden", "out", weights=rng.uniform(1.5, 3.0, (4, 2)), delays=delays)
    return net


def varied() -> es.Network:
    """Two inputs, receptors, a sparse and a recurrent projection, a convolution."""
    rng = np.random.default_rng(6)
    net = es.Network()
    net.add_input("in", 9)
    net.add_input("other", 2)
    net.add_population("image", 4, es.LIF(tau_mem=1.0, tau_syn=0.7))
    receptors = {"exc": [0.6, 0.5, 0.4], "inh": 0.9}
    net.add_population("mixed", 3, es.LIF(tau_mem=1.5, tau_syn=receptors, refractory=0.2))
    kernel = es.Convolution(rng.uniform(2.0, 3.0, (1, 1, 2, 2)), (3, 3))
    net.connect("in", "image", weights=kernel, delays=0.2)
    some = sparse.csr_array(rng.uniform(2.0, 4.0, (4, 3)) * (rng.uniform(size=(4, 3)) < 0.7))
    net.connect("image", "mixed", weights=some, delays=0.1, receptor="exc")
    net.connect("other", "mixed", weights=rng.uniform(0.5, 1.0, (2, 3)), receptor="exc")
    own = np.array([[0.0, -0.5, -0.7], [-0.6, 0.0, -0.4], [-0.3, -0.2, 0.0]])
    net.connect("mixed", "mixed", weights=own, delays=0.05, receptor="inh", name="own")
    return net


def layer(**options: Any) -> SpikingNetwork:
    return SpikingNetwork(network(), **{"t_stop": 3.0, **options})


def latencies(dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.tensor(LATENCIES, dtype=dtype)
