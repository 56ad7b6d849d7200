"""How a network is run for JAX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eventsim._support.types import FloatArray
from eventsim.network import Network
from eventsim.result import BatchResult
from eventsim.simulation import simulate
from eventsim.spikes import SpikeBatch
from gradients._runs import Reading

__all__ = ["Setting"]


@dataclass(frozen=True, eq=False)
class Setting(Reading):
    """What is run and read, and how.

    Attributes
    ----------
    until_fired, max_spikes, threads
        Of `eventsim.simulate`.
    """

    until_fired: str | None
    max_spikes: int
    threads: int | None

    def run(
        self, latencies: Sequence[FloatArray], values: Sequence[FloatArray]
    ) -> BatchResult | None:
        """Return the run of samples, (n_samples, n) of each input; None if there are none."""
        self.check(latencies)
        network = self.with_values(values)
        if not len(latencies[0]):
            return None
        trains = map(SpikeBatch.from_latencies, latencies)
        return self.simulated(network, dict(zip(self.inputs, trains, strict=True)))

    def simulated(
        self, network: Network, stimulus: dict[str, SpikeBatch], t_stop: float | None = None
    ) -> BatchResult:
        """Return a run under these options."""
        return simulate(
            network,
            stimulus,
            self.t_stop if t_stop is None else t_stop,
            engine=self.engine,
            until_fired=self.until_fired,
            max_spikes=self.max_spikes,
            threads=self.threads,
        )
