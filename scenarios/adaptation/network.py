"""Neurons that adapt, any number of them side by side with values of their own."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

import eventsim as es

__all__ = ["CELLS", "OWN", "SLOW", "THRESHOLD", "cells", "poisson"]

CELLS, SLOW = "cells", "adaptation"
OWN = (CELLS, CELLS)  # the synapses of neurons onto themselves
TAU_MEM, TAU_SYN, THRESHOLD, REFRACTORY = 20.0, 5.0, 20.0, 2.0  # ms, mV
RATE = 0.2  # spikes of a train in a ms
CURRENT = 2.0  # mean input, mV / ms: twice what a neuron needs to fire


def poisson(n: int, t_stop: float, rng: np.random.Generator) -> es.Spikes:
    """Return ``n`` Poisson trains."""
    count = rng.poisson(RATE * t_stop, n)
    return es.Spikes(rng.uniform(0.0, t_stop, count.sum()), np.repeat(np.arange(n), count))


def cells(tau: ArrayLike, strength: ArrayLike, n_inputs: int) -> es.Network:
    """Return neurons by the time constants and the strengths of their adaptation, () or (n,).

    Examples
    --------
    >>> cells([50.0, 100.0], 0.3, 10)
    Network(inputs={'in': 10}, populations={'cells': 2}, synapses=22)
    """
    tau, strength = np.broadcast_arrays(np.atleast_1d(tau), np.atleast_1d(strength))
    net = es.Network()
    net.add_input("in", n_inputs)
    neuron = es.LIF(TAU_MEM, {"input": TAU_SYN, SLOW: tau}, THRESHOLD, REFRACTORY)
    net.add_population(CELLS, tau.size, neuron)
    weight = CURRENT / (RATE * n_inputs * TAU_SYN)
    net.connect("in", CELLS, weights=np.full((n_inputs, tau.size), weight), receptor="input")
    net.connect(*OWN, weights=sparse.diags_array(-strength).tocsr(), receptor=SLOW)
    return net
