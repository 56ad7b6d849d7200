"""What a run would cost on hardware: operations, sparsity and memory, under NeuroBench's names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from eventsim._support.types import FloatArray, IntArray
from eventsim._support.validate import shown
from eventsim.convolution import Convolution
from eventsim.network import Network, Projection
from eventsim.network import require_whole as require_all_synapses
from eventsim.result import BatchResult, Result, require_whole

__all__ = ["Operations", "operations"]

NUMBER = 8  # bytes
STATE = 2  # numbers of a neuron besides its currents: potential, and end of its refractory period


@dataclass(frozen=True, eq=False)
class Operations:
    """Operation counts of a run by population, as `operations` returns them.

    Attributes
    ----------
    effective_acs : dict of str -> (n_samples,) ndarray of int
        Accumulates by the neurons of each population: a spike, given or fired until the end of the
        sample, is one for each of its synapses whose weight is not 0, whether it arrives before the
        end or not.  There are no multiply-accumulates, as a spike has no size.
    dense : dict of str -> int
        Pairs of a source and a neuron of the population, over all projections onto it: operations
        of a single time step without any sparsity.  A run has no steps; a clocked one of k steps
        takes k times as many.
    activation_sparsity : dict of str -> (n_samples,) ndarray
        Fraction of the neurons that do not fire: as if the run were one time step.
    connection_sparsity : float
        Fraction of the pairs of all projections that no synapse connects, or one of weight 0.
        Several synapses of a pair count each.
    footprint : int
        Bytes of parameters and states: all arrays of the projections, the parameters of each
        neuron, its potential, its currents, and the end of its refractory period.
    sizes : dict of str -> int
        Number of neurons of each population.

    Examples
    --------
    >>> import eventsim as es
    >>> net = es.Network()
    >>> net.add_input("in", 2)
    >>> net.add_population("out", 3, es.LIF(tau_mem=1.0, tau_syn=1.0))
    >>> key = net.connect("in", "out", weights=[[4.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    >>> ops = es.operations(es.simulate(net, {"in": es.Spikes([0.0, 0.5, 0.6], [0, 0, 1])}, 1.0))
    >>> ops.effective_acs, ops.dense
    ({'out': array([5])}, {'out': 6})
    >>> ops.neurobench["synaptic_operations"]
    {'Effective_MACs': 0.0, 'Effective_ACs': 5.0, 'Dense': 6.0}
    """

    effective_acs: dict[str, IntArray]
    dense: dict[str, int]
    activation_sparsity: dict[str, FloatArray]
    connection_sparsity: float
    footprint: int
    sizes: dict[str, int]

    @property
    def neurobench(self) -> dict[str, Any]:
        """All numbers as NeuroBench reports them: operations per sample, sparsity over neurons."""
        acs = sum(float(np.mean(each)) for each in self.effective_acs.values())
        silent = sum(
            n * float(np.mean(self.activation_sparsity[name])) for name, n in self.sizes.items()
        )
        return {
            "footprint": self.footprint,
            "connection_sparsity": self.connection_sparsity,
            "activation_sparsity": silent / sum(self.sizes.values()) if self.sizes else 0.0,
            "synaptic_operations": {
                "Effective_MACs": 0.0,
                "Effective_ACs": acs,
                "Dense": float(sum(self.dense.values())),
            },
        }


def operations(result: Result | BatchResult) -> Operations:
    """Count the operations of a run, by population and sample, under NeuroBench's names.

    Parameters
    ----------
    result : Result or BatchResult
        A whole run, of any engine.  A single run counts as a batch of one sample.

    Returns
    -------
    Operations
        Effective accumulates, dense operations, sparsity of activations and connections, footprint.

    Raises
    ------
    ValueError
        If spikes are missing: of a run with ``record``, or of a part of a run; or synapses, of a
        network that keeps a part of them.

    Notes
    -----
    Yik et al. (2025), "The NeuroBench framework for benchmarking neuromorphic computing algorithms
    and systems".  The time is linear in the spikes and, once, in the weights.

    Examples
    --------
    >>> import eventsim as es
    >>> net = es.Network()
    >>> net.add_input("in", 1)
    >>> net.add_population("out", 1, es.LIF(tau_mem=1.0, tau_syn=1.0))
    >>> key = net.connect("in", "out", weights=[[4.0]])
    >>> latencies = es.SpikeBatch.from_latencies([[0.0], [np.inf]])
    >>> es.operations(es.simulate(net, {"in": latencies}, t_stop=1.0)).effective_acs["out"]
    array([1, 0])
    """
    if not isinstance(result, (Result, BatchResult)):
        raise ValueError(f"result must be a Result or BatchResult, got {shown(result)}")
    batch = result.batch if isinstance(result, Result) else result
    require_whole(batch, "operations")
    network = batch.network
    require_all_synapses(network, "operations")
    degrees = {key: _fan_out(projection) for key, projection in network.projections.items()}
    acs = {name: np.zeros(len(batch), dtype=np.int64) for name in network.populations}
    dense = dict.fromkeys(network.populations, 0)
    for key, projection in network.projections.items():
        acs[projection.post] += _sums(batch, projection.pre, degrees[key])
        n_pre, n_post = projection.weights.shape
        dense[projection.post] += n_pre * n_post
    connected, pairs = sum(int(each.sum()) for each in degrees.values()), sum(dense.values())
    return Operations(
        acs,
        dense,
        {name: np.mean(batch.spike_counts(name) == 0, axis=1) for name in network.populations},
        1.0 - connected / pairs if pairs else 0.0,
        _footprint(network),
        dict(network.populations),
    )


def _fan_out(projection: Projection) -> IntArray:
    """Return the number of synapses of each source whose weight is not 0."""
    weights = projection.weights
    if isinstance(weights, Convolution):
        return _fan_out_of_places(weights)
    if isinstance(weights, np.ndarray):
        return np.count_nonzero(weights, axis=1)
    rows = np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))
    return np.bincount(rows[weights.data != 0.0], minlength=weights.shape[0])


def _fan_out_of_places(weights: Convolution) -> IntArray:
    """Return the fan-out of each source of a convolution, whose synapses are not listed for it."""
    channels = np.count_nonzero(weights.kernel, axis=0)
    hits = [
        _hits(size, extent, places, weights.stride, weights.padding)
        for size, extent, places in zip(
            weights.image, weights.kernel.shape[2:], weights.output[1:], strict=True
        )
    ]
    return np.einsum("ckl,yk,xl->cyx", channels, *hits, dtype=np.int64).reshape(-1)


def _hits(size: int, extent: int, places: int, stride: int, padding: int) -> IntArray:
    """Return (size, extent): 1 where a place puts this row of the kernel on a row of the image."""
    place, beyond = np.divmod(np.arange(size)[:, np.newaxis] + padding - np.arange(extent), stride)
    return ((beyond == 0) & (place >= 0) & (place < places)).astype(np.int64)


def _sums(batch: BatchResult, source: str, numbers: IntArray) -> IntArray:
    """Return the sum, over the spikes of each sample, of a number for each source."""
    inputs, trains = batch.network.inputs, batch.stimulus.trains
    if source in inputs and source not in trains:
        return np.zeros(len(batch), dtype=np.int64)
    spikes = trains[source] if source in inputs else batch.spikes[source]
    happened = spikes.times <= batch.ends[spikes.samples]
    total = np.zeros(len(batch), dtype=np.int64)
    np.add.at(total, spikes.samples[happened], numbers[spikes.indices[happened]])
    return total


def _footprint(network: Network) -> int:
    """Return the bytes of parameters and states."""
    total = 0
    for projection in network.projections.values():
        total += sum(part.nbytes for part in projection.given if isinstance(part, np.ndarray))
        total += NUMBER * isinstance(projection.delays, float)
    for name, n in network.populations.items():
        neuron = network.neurons[name]
        total += sum(values.nbytes for values in neuron.arrays(n).values())
        total += NUMBER * n * (STATE + max(1, max(neuron.columns) + 1))
    return total
