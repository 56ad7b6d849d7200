"""The network of the scenario `brunel`, for ours and for NEST.

In smaller networks each neuron has fewer synapses, in proportion, each stronger by the square root
of that: the variance of their input remains.  Of its mean less remains; a constant current makes up
for the rest, at the rate of the full network.  The drive is the same at all scales.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

import eventsim as es
from scenarios.running.checkpoint import Arrays

__all__ = ["REGIMES", "STEP", "Brunel", "Regime"]

# ms and mV, as the publication has them.
TAU_MEM, THRESHOLD, RESET, REFRACTORY, DELAY = 20.0, 20.0, 10.0, 2.0, 1.5
WEIGHT = 0.1
TAU_SYN = 0.5  # of the model "exp", which is not the publication's
IN_DEGREES = {"E": 1000, "I": 250}  # at scale 1
NEURONS = 10  # for each synapse onto a neuron: a connection probability of 0.1
STEP = 0.1  # of NEST


@dataclass(frozen=True)
class Regime:
    """One of the publication's four examples.

    Attributes
    ----------
    title : str
        What it is called there.
    g : float
        How many times stronger inhibition is than excitation.
    drive : float
        Rate of the external synapses, in units of that whose mean input is the threshold.
    rate : float
        Of each neuron, Hz, at scale 1.
    published : bool
        Whether this is the publication's; else it is that of a neuron under the mean input.
    oscillation : float or None
        Published frequency of the population's activity, Hz.
    """

    title: str
    g: float
    drive: float
    rate: float
    published: bool = True
    oscillation: float | None = None


REGIMES = {
    "SR": Regime("synchronous regular", 3.0, 2.0, 326.7, published=False),
    "SI-fast": Regime("synchronous irregular, fast", 6.0, 4.0, 60.7, oscillation=180.0),
    "AI": Regime("asynchronous irregular", 5.0, 2.0, 37.7),
    "SI-slow": Regime("synchronous irregular, slow", 4.5, 0.9, 5.5),
}


@dataclass(frozen=True)
class Brunel:
    """The network in one regime.

    Attributes
    ----------
    regime : Regime
        Balance and drive.
    scale : float
        Neurons, and synapses of each, relative to the publication's: a multiple of 0.004.
    model : {"delta", "exp"}
        Whether a spike moves the potential at once, or by a current of the same charge.
    seed : int
        Of synapses and drive.

    Examples
    --------
    >>> network = Brunel(REGIMES["AI"], scale=0.02)
    >>> network.build()
    Network(inputs={'to E': 200, 'to I': 50}, generators=['to E', 'to I'], populations={'E': 200, 'I': 50}, synapses=6500)
    """  # noqa: E501

    regime: Regime
    scale: float = 1.0
    model: str = "delta"
    seed: int = 0

    @property
    def in_degrees(self) -> dict[str, int]:
        """Synapses of each neuron, by the population that they come from."""
        return {name: round(self.scale * n) for name, n in IN_DEGREES.items()}

    @property
    def sizes(self) -> dict[str, int]:
        """Number of neurons of each population."""
        return {name: NEURONS * n for name, n in self.in_degrees.items()}

    @property
    def drive(self) -> float:
        """Rate of the external spikes of each neuron, 1 / ms; each has the weight `WEIGHT`."""
        return self.regime.drive * THRESHOLD / (WEIGHT * TAU_MEM)

    @property
    def bias(self) -> float:
        """What the mean recurrent input lacks in a smaller network, mV / ms."""
        balance = IN_DEGREES["E"] - self.regime.g * IN_DEGREES["I"]
        mean = WEIGHT * balance * self.regime.rate / 1000.0
        return (1.0 - math.sqrt(self.scale)) * mean

    @property
    def strength(self) -> float:
        """What the arrival of a spike adds for each mV that it moves the potential in all."""
        return 1.0 if self.model == "delta" else 1.0 / TAU_SYN

    @property
    def weights(self) -> dict[str, float]:
        """Weight of recurrent synapses, by the population that they come from."""
        excitatory = self.strength * WEIGHT / math.sqrt(self.scale)
        return {"E": excitatory, "I": -self.regime.g * excitatory}

    @cached_property
    def synapses(self) -> dict[tuple[str, str], es.Synapses]:
        """Recurrent synapses, each from another neuron."""
        return {
            (pre, post): es.fixed_indegree(
                n_pre, n_post, self.in_degrees[pre], weights=self.weights[pre], delays=DELAY,
                seed=[self.seed, i, j], allow_self=pre != post, allow_multapses=False,
            )
            for j, (post, n_post) in enumerate(self.sizes.items())
            for i, (pre, n_pre) in enumerate(self.sizes.items())
        }  # fmt: skip

    def build(self) -> es.Network:
        """Return the network, at rest, with its drive."""
        tau_syn = 0.0 if self.model == "delta" else TAU_SYN
        neuron = es.LIF(TAU_MEM, tau_syn, THRESHOLD, REFRACTORY, bias=self.bias, reset=RESET)
        net, external = es.Network(), self.strength * WEIGHT
        for name, n in self.sizes.items():
            net.add_population(name, n, neuron)
            net.add_poisson(f"to {name}", n, rate=self.drive, seed=self.seed)
            net.connect(f"to {name}", name, es.one_to_one(n, n, weights=external))
        for (pre, post), synapses in self.synapses.items():
            net.connect(pre, post, synapses)
        return net

    def for_nest(self, duration: float) -> Arrays:
        """Return all that NEST must know, neurons numbered through both populations; pA, 1 pF."""
        sizes = self.sizes
        first = dict(zip(sizes, np.cumsum([0, *sizes.values()]), strict=False))
        places = [
            (first[pre] + np.repeat(np.arange(sizes[pre]), np.diff(drawn.weights.indptr)),
             first[post] + drawn.weights.indices)
            for (pre, post), drawn in self.synapses.items()
        ]  # fmt: skip
        pre, post = (np.concatenate(one).astype(np.int32) for one in zip(*places, strict=True))
        numbers = {
            "tau_mem": TAU_MEM, "tau_syn": TAU_SYN, "threshold": THRESHOLD, "reset": RESET,
            "refractory": REFRACTORY, "bias": self.bias, "delay": DELAY, "step": STEP,
            "rate": 1000.0 * self.drive, "external": self.strength * WEIGHT, "time": duration,
            "seed": self.seed,
        }  # fmt: skip
        weight = np.repeat(list(self.weights.values()), list(sizes.values()))
        return {
            "pre": pre,
            "post": post,
            "weight": weight,
            **{name: np.asarray(value) for name, value in numbers.items()},
        }
