"""The network of the scenario `microcircuit`, as it is simulated here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

import eventsim as es
from scenarios.microcircuit.config import MicrocircuitOptions
from scenarios.microcircuit.model import (
    C_M,
    DELAY_OUTSIDE,
    DELAY_SPREAD,
    NEURON,
    POPULATIONS,
    SHORTEST_DELAY,
    STARTS,
    STEP,
    TAU_SYN,
    WEIGHT_SPREAD,
    Circuit,
    delay_of,
)
from scenarios.running.checkpoint import Arrays

__all__ = ["build", "for_nest", "outside"]

Floats: TypeAlias = NDArray[np.float64]


def build(config: MicrocircuitOptions) -> tuple[es.Network, dict[str, es.State]]:
    """Draw the network, and the state at the start.

    Examples
    --------
    >>> net, initial = build(MicrocircuitOptions(scale=0.005))
    >>> net.populations["L23E"], initial["L23E"].potential.shape
    (103, (103,))
    """
    circuit, net = config.circuit, es.Network()
    for name, n, bias in zip(POPULATIONS, circuit.sizes.tolist(), circuit.bias, strict=True):
        net.add_population(name, n, _neuron(float(bias)))
    _connect_outside(net, circuit, config.seed)
    for post, pre in product(range(len(POPULATIONS)), repeat=2):
        if circuit.synapses[post, pre]:
            _connect(net, circuit, post, pre, config.seed)
    return net, _initial(circuit, config)


def outside(population: str) -> str:
    """Return the name of what comes to a population from outside."""
    return f"outside_{population}"


def _neuron(bias: float) -> es.LIF:
    return es.LIF(
        NEURON["tau_m"],
        TAU_SYN,
        NEURON["V_th"],
        NEURON["t_ref"],
        bias=bias,
        rest=NEURON["E_L"],
        reset=NEURON["V_reset"],
    )


def _connect_outside(net: es.Network, circuit: Circuit, seed: int) -> None:
    for name, n, rate in zip(POPULATIONS, circuit.sizes.tolist(), circuit.rates_outside,
                             strict=True):  # fmt: skip
        if rate > 0.0:
            net.add_poisson(outside(name), n, rate=float(rate), seed=seed)
            one = es.one_to_one(n, n, weights=circuit.weight_outside, delays=DELAY_OUTSIDE)
            net.connect(outside(name), name, one)


def _connect(net: es.Network, circuit: Circuit, post: int, pre: int, seed: int) -> None:
    """Draw the synapses between two populations; those of other pairs do not change them."""
    weight, delay = float(circuit.weights[post, pre]), delay_of(POPULATIONS[pre])
    sizes = circuit.sizes.tolist()
    synapses = es.fixed_total_number(
        sizes[pre],
        sizes[post],
        int(circuit.synapses[post, pre]),
        weights=_weights(weight),
        delays=partial(normal_where, lambda d: d >= SHORTEST_DELAY, delay, DELAY_SPREAD * delay),
        seed=[seed, post, pre],
    )
    net.connect(POPULATIONS[pre], POPULATIONS[post], synapses)


def _weights(mean: float) -> Callable[[np.random.Generator, int], Floats]:
    """Return how to draw weights, all of the sign of the mean."""
    return partial(normal_where, lambda w: w * mean >= 0.0, mean, WEIGHT_SPREAD * abs(mean))


def _initial(circuit: Circuit, config: MicrocircuitOptions) -> dict[str, es.State]:
    rng = np.random.default_rng([config.seed, len(POPULATIONS)])
    return {
        name: es.State(normal_where(lambda v: v < NEURON["V_th"], mean, deviation, rng, n))
        for name, mean, deviation, n in zip(
            POPULATIONS, *STARTS[config.start], circuit.sizes.tolist(), strict=True
        )
    }


def for_nest(config: MicrocircuitOptions) -> Iterator[Arrays]:
    """Yield all that NEST must know, in pA and ms: the neurons, then projection by projection.

    Neurons are numbered through all populations.  At the end the network is let go.
    """
    net, initial = build(config)
    circuit = config.circuit
    neuron = {**NEURON, "C_m": C_M, "tau_syn_ex": TAU_SYN, "tau_syn_in": TAU_SYN}
    numbers = {
        "weight": circuit.weight_outside * C_M, "delay": DELAY_OUTSIDE, "step": STEP,
        "time": config.duration, "threads": config.threads, "seed": config.seed,
    }  # fmt: skip
    yield {
        "sizes": circuit.sizes,
        "bias": circuit.bias * C_M,
        "rate": circuit.rates_outside * 1000.0,
        "potential": np.concatenate([np.asarray(initial[p].potential) for p in net.populations]),
        "names": np.array(list(neuron)),
        "values": np.array(list(neuron.values())),
        **{name: np.asarray(value) for name, value in numbers.items()},
    }
    for projection in net.projections.values():
        if projection.pre in net.populations:
            form = projection.weights
            assert isinstance(form, sparse.csr_array)
            pre, post = (net.neurons_of(name) for name in (projection.pre, projection.post))
            yield {
                "pre": np.repeat(np.arange(pre.start, pre.stop), np.diff(form.indptr)),
                "post": form.indices + post.start,
                "weight": projection.values * C_M,
                "delay": np.asarray(projection.delay_values),
            }


def normal_where(
    allowed: Callable[[Floats], NDArray[np.bool_]],
    mean: float,
    deviation: float,
    rng: np.random.Generator,
    n: int,
) -> Floats:
    """Draw from a normal distribution, and again what is not allowed.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> bool(normal_where(lambda x: x > 0.0, 1.0, 1.0, rng, 1000).min() > 0.0)
    True
    """
    values = rng.normal(mean, deviation, n)
    again = np.flatnonzero(~allowed(values))
    while again.size:
        values[again] = rng.normal(mean, deviation, again.size)
        again = again[~allowed(values[again])]
    return values
