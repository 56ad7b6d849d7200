"""A network one of whose inputs is drawn."""

from __future__ import annotations

import numpy as np

import eventsim as es


def noisy() -> es.Network:
    """An input and five sources of noise, onto two neurons."""
    net = es.Network()
    net.add_input("in", 1)
    net.add_poisson("noise", 5, rate=3.0, seed=3)
    net.add_population("out", 2, es.LIF(tau_mem=2.0, tau_syn=1.0))
    net.connect("in", "out", weights=[[0.5, 0.7]])
    net.connect("noise", "out", weights=np.full((5, 2), 0.6))
    return net
