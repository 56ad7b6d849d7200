"""A recurrent network at random, its run, and all that its run depends on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

import eventsim as es
from gradients import Gradient
from scenarios.gradcheck.config import GradcheckOptions

__all__ = ["INPUT", "NEURONS", "Place", "Setup", "leaves", "title", "tree_of"]

Floats = NDArray[np.float64]
Place: TypeAlias = tuple[Any, ...]  # kind, key, receptor: as far as there are such

INPUT, NEURONS = "in", "all"
SOURCES, SPIKES_EACH, T_STOP = 4, 5, 20.0


@dataclass(frozen=True, eq=False)
class Setup:
    """A network, its input spikes, and the state in which it begins.

    Attributes
    ----------
    network : eventsim.Network
        An input "in" and a population "all".
    times, sources : (n_spikes,) ndarray
        Input spikes.
    potential : (n,) ndarray
        Potentials at t = 0.
    current : dict of str -> (n,) ndarray
        Currents at t = 0, by receptor.
    """

    network: es.Network
    times: Floats
    sources: NDArray[np.int64]
    potential: Floats
    current: Mapping[str, Floats]

    @classmethod
    def random(cls, config: GradcheckOptions) -> Setup:
        """Draw one; all values stay in their range if they are moved by 0.1."""
        rng, n = np.random.default_rng(config.seed), config.neurons
        names = [f"r{k + 1}" for k in range(config.receptors)]
        neuron = es.LIF(
            tau_mem=rng.uniform(3.0, 6.0, n),
            tau_syn={name: rng.uniform(0.5, 2.5, n) for name in names},
            threshold=rng.uniform(0.8, 1.2, n),
            refractory=config.refractory,
            bias=rng.uniform(0.0, 0.1, n),
            rest=rng.uniform(-0.2, 0.2, n),
            reset=rng.uniform(-0.3, 0.1, n),
        )
        network = es.Network()
        network.add_input(INPUT, SOURCES)
        network.add_population(NEURONS, n, neuron)
        for name in names:
            for source, size, mean, spread in ((INPUT, SOURCES, 0.3, 0.15), (NEURONS, n, 0.0, 0.3)):
                network.connect(
                    source,
                    NEURONS,
                    weights=rng.normal(mean, spread, (size, n)) / np.sqrt(size * len(names)),
                    delays=rng.uniform(0.3, 1.5, (size, n)),
                    receptor=name,
                    name=name,
                )
        return cls(
            network,
            times=rng.uniform(0.5, T_STOP - 0.5, SOURCES * SPIKES_EACH),
            sources=np.repeat(np.arange(SOURCES), SPIKES_EACH),
            potential=rng.uniform(-0.2, 0.5, n),
            current={name: rng.normal(0.1, 0.1, n) for name in names},
        )

    @property
    def tree(self) -> dict[str, Any]:
        """All values that the run depends on, of the form of `tree_of`."""
        return {
            **self.network.parameters(None),
            "input_times": {INPUT: self.times},
            "initial potential": self.potential,
            "initial current": self.current,
        }

    def moved(self, place: Place, values: Floats) -> Setup:
        """Return the same with other values at one place of the `tree`."""
        kind, *keys = place
        if kind == "input_times":
            return replace(self, times=values)
        if kind == "initial potential":
            return replace(self, potential=values)
        if kind == "initial current":
            return replace(self, current={**self.current, keys[0]: values})
        part: Any = values
        for key in reversed(keys):
            part = {key: part}
        return replace(self, network=self.network.replace({kind: part}))

    def run(self) -> es.Result:
        """Simulate."""
        return es.simulate(
            self.network,
            {INPUT: es.Spikes(self.times, self.sources)},
            T_STOP,
            initial={NEURONS: es.State(self.potential, self.current)},
        )


def tree_of(gradient: Gradient) -> dict[str, Any]:
    """Return the derivatives by all values of `Setup.tree`, in its form."""
    start = gradient.initial[NEURONS]
    return {
        **gradient.tree,
        "initial potential": start.potential,
        "initial current": start.current,
    }


def leaves(tree: Mapping[Any, Any], above: Place = ()) -> Iterator[tuple[Place, Floats]]:
    """Return the arrays of a tree, each with the keys that lead to it."""
    for key, value in tree.items():
        place = (*above, key)
        if isinstance(value, Mapping):
            yield from leaves(value, place)
        else:
            yield place, value


def title(place: Place) -> str:
    """Return what to call the array at a place.

    Examples
    --------
    >>> title(("weights", ("in", "all", "r1"))), title(("tau_syn", "all", "r2"))
    ('weights in->all r1', 'tau_syn r2')
    """
    kind, *keys = place
    words = [" ".join(("->".join(key[:2]), *key[2:])) if isinstance(key, tuple) else key
             for key in keys if key != NEURONS]  # fmt: skip
    return " ".join([kind, *words])
