"""Two classifications by output potentials whose data are spikes: MNIST and Yin-Yang.

What exact and surrogate gradients can both be asked for: the same network, loss and data.
"""

from __future__ import annotations

import eventsim as es
from scenarios.datasets.encoding import latency
from scenarios.datasets.images import mnist
from scenarios.datasets.points import yin_yang as yin_yang_points
from scenarios.networks.feed_forward import Classification
from scenarios.networks.readout import ReadoutNetwork
from scenarios.yin_yang import run as yin_yang

__all__ = ["mnist_task", "yin_yang_task"]


def mnist_task(
    hidden: int = 400, n_train: int | None = None, data_dir: str | None = None
) -> Classification[ReadoutNetwork]:
    """Return the network of Yamamoto et al. (τ_I = 0.8), and MNIST as latencies."""
    parts = mnist(data_dir)
    train, test = parts["train"].first(n_train), parts["test"]
    model = ReadoutNetwork((train.images[0].size, hidden, 10), tau_syn=0.8)
    normal = (0.03, 0.3)
    return Classification(
        model,
        [normal, normal],
        *((latency(part.images, t_max=model.t_stop), part.labels) for part in (train, test)),
    )


def yin_yang_task(hidden: int = 150, n_train: int | None = None) -> Classification[ReadoutNetwork]:
    """Return a network that is asked at 2.5 which part of the Yin-Yang picture a point lies in.

    The points are coded as in Lee et al., in units of the synaptic time constant.
    """
    parts = yin_yang_points(None)
    train, test = parts["train"][:n_train], parts["test"]
    model = ReadoutNetwork((yin_yang.N_INPUTS, hidden, yin_yang.N_CLASSES), tau_syn=1.0, t_stop=2.5)
    return Classification(
        model,
        [(1.5, 0.8), (0.0, 0.1)],
        *(
            (es.SpikeBatch.from_latencies(yin_yang.latencies(part.features)), part.labels)
            for part in (train, test)
        ),
    )
