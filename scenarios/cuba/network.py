"""The network of the scenario `cuba`: drawn once, for every simulator."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

import eventsim as es
from scenarios.cuba.beside import STEP
from scenarios.cuba.config import IN_DEGREE, CubaOptions
from scenarios.running.checkpoint import Arrays

__all__ = ["RECEPTORS", "Drawn", "build", "draw", "for_others", "simulate", "spikes_of"]

# ms and mV, as the benchmark has them.
TAU_MEM, TAU_EXC, TAU_INH, REFRACTORY = 20.0, 5.0, 10.0, 5.0
REST, THRESHOLD, RESET = -49.0, -50.0, -60.0
WEIGHTS = {"E": 1.62, "I": -9.0}  # of tau_mem V' = rest - V + I
RECEPTORS = {"E": "exc", "I": "inh"}  # to which the spikes of a population lead


@dataclass(frozen=True, eq=False)
class Drawn:
    """What is random.

    Attributes
    ----------
    pre, post : (n_synapses,) ndarray of int
        Which neuron each synapse leads from and to, ascending; the excitatory ones come first.
    potential : (n,) ndarray
        Of each neuron at the start.
    """

    pre: NDArray[np.int64]
    post: NDArray[np.int64]
    potential: NDArray[np.float64]

    @property
    def parts(self) -> dict[str, slice]:
        """Which neurons each population has."""
        n = self.potential.size
        return {"E": slice(0, n * 4 // 5), "I": slice(n * 4 // 5, n)}

    @property
    def weight(self) -> NDArray[np.float64]:
        """Weight of the synapses of each neuron, (n,)."""
        weight = np.empty(self.potential.size)
        for name, part in self.parts.items():
            weight[part] = WEIGHTS[name]
        return weight


def draw(config: CubaOptions) -> Drawn:
    """Draw each synapse with the same probability, and potentials between reset and threshold.

    Examples
    --------
    >>> drawn = draw(CubaOptions(neurons=400))
    >>> round(drawn.pre.size / 400), bool(np.any(drawn.pre == drawn.post))
    (80, False)
    """
    rng, n = np.random.default_rng(config.seed), config.neurons
    flat = _chosen(n * (n - 1), IN_DEGREE / (n - 1), rng)
    pre, other = np.divmod(flat, n - 1)
    return Drawn(pre, other + (other >= pre), rng.uniform(RESET, THRESHOLD, n))


def _chosen(n: int, probability: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return which of n things are chosen, each with the same probability: ascending."""
    mean = n * probability
    gaps = rng.geometric(probability, int(mean + 10.0 * np.sqrt(mean) + 100.0))
    flat = np.cumsum(gaps) - 1
    assert flat[-1] >= n, "ten standard deviations were too few"
    return flat[flat < n]


def build(drawn: Drawn, delay: float) -> tuple[es.Network, dict[str, es.State]]:
    """Return the network and the state at the start."""
    neuron = es.LIF(
        TAU_MEM, {"exc": TAU_EXC, "inh": TAU_INH}, THRESHOLD, REFRACTORY, rest=REST, reset=RESET
    )
    net, parts, n = es.Network(), drawn.parts, drawn.potential.size
    for name, part in parts.items():
        net.add_population(name, part.stop - part.start, neuron)
    values = drawn.weight[drawn.pre] / TAU_MEM  # mV / ms
    weights = sparse.csr_array((values, (drawn.pre, drawn.post)), shape=(n, n))
    for pre, receptor in RECEPTORS.items():
        for post in parts:
            some = weights[parts[pre], parts[post]]
            net.connect(pre, post, weights=some, delays=delay, receptor=receptor)
    return net, {name: es.State(potential=drawn.potential[part]) for name, part in parts.items()}


def simulate(drawn: Drawn, config: CubaOptions, t_stop: float) -> tuple[es.Result, float]:
    """Return a run of our own, and the processor time that it took, the building left out."""
    net, initial = build(drawn, config.delay)
    started = time.process_time()
    result = es.simulate(net, {}, t_stop, engine=config.engine, initial=initial, threads=1)
    return result, time.process_time() - started


def spikes_of(result: es.Result, seconds: float, drawn: Drawn) -> Arrays:
    """Return the spikes of a run as all simulators give them: neurons numbered from E on."""
    found = [(result.spikes[name], part.start) for name, part in drawn.parts.items()]
    return {
        "times": np.concatenate([spikes.times for spikes, _ in found]),
        "indices": np.concatenate([spikes.indices + first for spikes, first in found]),
        "seconds": np.asarray(seconds),
    }


def for_others(drawn: Drawn, config: CubaOptions) -> Arrays:
    """Return all that another simulator must know, in ms and mV."""
    return {
        "pre": drawn.pre,
        "post": drawn.post,
        "potential": drawn.potential,
        "weight": drawn.weight,
        **{
            name: np.asarray(value)
            for name, value in {
                "tau_mem": TAU_MEM, "tau_exc": TAU_EXC, "tau_inh": TAU_INH, "rest": REST,
                "threshold": THRESHOLD, "reset": RESET, "refractory": REFRACTORY,
                "delay": config.delay, "time": config.time, "step": STEP,
            }.items()
        },
    }  # fmt: skip
