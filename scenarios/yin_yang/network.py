"""The network of Yin-Yang that learns the delays of its synapses beside their weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

import eventsim as es
from gradients import Adam, Gradient
from scenarios.networks.feed_forward import Normal
from scenarios.networks.first_spike import Classifier
from scenarios.running.options import NonNegative
from scenarios.running.training import Params

__all__ = ["DELAYS", "DelayedClassifier", "KeptFromZero"]

DELAYS = "delays "  # "delays in->hidden" are those of the synapses of "in->hidden"


@dataclass(frozen=True, eq=False)
class DelayedClassifier(Classifier):
    """A `Classifier` each of whose synapses has a delay, which is learnt too.

    Attributes
    ----------
    longest_delay : float
        Initial delays are drawn evenly from 0 to this.

    Examples
    --------
    >>> from gradients import FirstSpikeCrossEntropy
    >>> loss = FirstSpikeCrossEntropy("out", tau0=0.1)
    >>> model = DelayedClassifier((2, 4, 2), es.LIF(), 6.0, loss, longest_delay=0.5)
    >>> params = model.initial([(3.0, 1.0), (2.0, 0.1)], np.random.default_rng(0))
    >>> list(params)
    ['in->hidden', 'hidden->out', 'delays in->hidden', 'delays hidden->out']
    """

    learnt: ClassVar[tuple[str, ...]] = ("weights", "delays")

    longest_delay: NonNegative = 1.0

    def initial(self, normals: Sequence[Normal], rng: np.random.Generator) -> Params:
        """Draw weights as the network without delays has them, then delays."""
        weights = super().initial(normals, rng)
        delays = {
            DELAYS + name: rng.uniform(0.0, self.longest_delay, shape)
            for name, shape in self.shapes.items()
        }
        return weights | delays

    def network(self, weights: Params) -> es.Network:
        """Return the network with these weights and delays."""
        keys = self.connections
        return self.structure.replace(
            weights={key: weights[name] for name, key in keys.items()},
            delays={key: weights[DELAYS + name] for name, key in keys.items()},
        )

    def slopes(self, gradient: Gradient) -> Params:
        """Return the derivatives by weights and delays, under the names of `initial`."""
        delays: Mapping[Any, Any] = gradient.delays
        by_delay = {DELAYS + name: delays[key] for name, key in self.connections.items()}
        return super().slopes(gradient) | by_delay


@dataclass(frozen=True)
class KeptFromZero:
    """An optimizer that leaves at 0 the delays that it would carry below.

    A delay that stands at 0 is free to grow again: its gradient is that of any other delay.

    Attributes
    ----------
    optimizer : gradients.Adam
        What moves all parameters.

    Examples
    --------
    >>> optimizer = KeptFromZero(Adam(lr=0.1))
    >>> params = {"in->out": np.array([[0.05]]), "delays in->out": np.array([[0.05]])}
    >>> up = {name: np.ones((1, 1)) for name in params}
    >>> optimizer.update(params, up, optimizer.init(params))[0]
    {'in->out': array([[-0.05]]), 'delays in->out': array([[0.]])}
    """

    optimizer: Adam

    def init(self, params: Params) -> dict[str, Any]:
        """Return the state before the first step."""
        return self.optimizer.init(params)

    def update(
        self, params: Params, grads: Params, state: Mapping[str, Any]
    ) -> tuple[Params, dict[str, Any]]:
        """Return parameters and state after one step."""
        moved, state = self.optimizer.update(params, grads, state)
        kept = {
            name: np.maximum(values, 0.0) if name.startswith(DELAYS) else values
            for name, values in moved.items()
        }
        return kept, state
