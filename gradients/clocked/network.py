"""The clocked counterpart of a feed-forward network, with surrogate gradients.

`ClockedNetwork` takes a `eventsim.Network` and runs the same neurons on a grid of times 0, dt,
2 dt, ...  Each step is the exact flow of the neuron over dt (Rotter & Diesmann 1999), as in the
clocked engines of the field: decay factors per step, and a spike in the first step in which the
potential exceeds the threshold,

    I_k = exp(-dt/tau_syn) I_{k-1} + arrivals_k
    V_k = exp(-dt/tau_mem) R(V_{k-1}) + h(dt) I_{k-1} + b(dt) bias,

with the kernels h and b of `eventsim.model.flow`.  (snnTorch adds the new current I_k itself, Norse
takes an Euler step; the limit is the same, if the weights are scaled accordingly.)  So between
spikes on the grid nothing is approximate; what the clock changes is the time of each spike: that of
an input is rounded to the nearest step, that of a neuron up to the next one, and an excursion above
the threshold that ends within a step is missed.  The spike times converge to the exact ones in
proportion to dt.  Needs the extra "torch".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from graphlib import CycleError, TopologicalSorter
from typing import TypeAlias

import numpy as np

import eventsim as es
from eventsim._support.types import FloatArray, Key
from eventsim._support.validate import (
    MOST_NUMBERED,
    as_nonnegative,
    as_positive,
    check_choice,
    check_name,
    require,
    shown,
)
from eventsim.model.flow import bias_kernel, propagator
from eventsim.network import Projection
from eventsim.stimulus import read_stimulus, with_drawn
from gradients.clocked._torch import torch
from gradients.clocked.surrogate import Reset, SpikeDerivative, check_derivative, clocked_lif

__all__ = ["ClockedNetwork", "ClockedRun"]

Tensors: TypeAlias = dict[str, torch.Tensor]


@dataclass(frozen=True, eq=False)
class ClockedRun:
    """What a `ClockedNetwork` did: by population, a tensor (n_steps, n_samples, n).

    Attributes
    ----------
    time_step : float
        Step k is the time ``k * time_step``; step 0 is the start, the last one ``t_stop``.
    spikes : dict of str -> tensor
        1 where a neuron fires, else 0.
    potentials : dict of str -> tensor
        Membrane potentials before the reset.
    """

    time_step: float
    spikes: Tensors
    potentials: Tensors

    def spike_times(self, population: str) -> es.SpikeBatch:
        """Return the spikes of a population as times."""
        spikes = self._spikes_of(population)
        samples, steps, neurons = np.nonzero(spikes.swapaxes(0, 1))
        return es.SpikeBatch(steps * self.time_step, neurons, samples, spikes.shape[1])

    def first_spikes(self, population: str) -> FloatArray:
        """Return the first spike times (n_samples, n) of a population; ``inf`` = silent."""
        fired = self._spikes_of(population) > 0.0
        return np.where(fired.any(axis=0), fired.argmax(axis=0) * self.time_step, np.inf)

    def _spikes_of(self, population: str) -> FloatArray:
        check_name(population, self.spikes, "population must be one of")
        return self.spikes[population].detach().cpu().numpy()


class ClockedNetwork(torch.nn.Module):
    """A feed-forward network of all-to-all layers on a grid of times.

    Parameters
    ----------
    network : eventsim.Network
        Its dense weights become parameters.
    time_step : float
        dt, in the unit of the network's times.
    derivative : SpikeDerivative
        Of a spike by the potential, on the way back.
    reset : {"zero", "subtract"}
        What a spike does to the potential: it is 0 afterwards, or the threshold is taken off, so
        that what the potential was above it is not lost.
    dtype : torch.dtype
        Of parameters and potentials.

    Attributes
    ----------
    weights : torch.nn.ParameterDict
        A matrix (n_pre, n_post) for each projection, by its name: "in->hidden", or "in->hidden->1"
        for the key ``("in", "hidden", 1)``.  Within names of the network, "%" is written as %25 and
        "->" as -%3E, and a projection named "1" is "in->hidden->%31": no two share a parameter.

    Raises
    ------
    ValueError
        What a clocked network cannot be made of: recurrent, sparse or convolutional projections, a
        delay for each synapse, thresholds of 0, names with a dot (those of PyTorch's modules have
        none).

    Notes
    -----
    Delays and refractory periods are rounded to whole steps; a layer's spike reaches the next one
    in the same step.  A silent refractory neuron has no gradient.

    Examples
    --------
    >>> net = es.Network()
    >>> net.add_input("in", 1)
    >>> net.add_population("out", 1, es.LIF(tau_mem=1.0, tau_syn=1.0))
    >>> key = net.connect("in", "out", weights=[[4.0]])
    >>> stimulus = {"in": es.SpikeBatch.from_latencies([[0.0]])}
    >>> es.simulate(net, stimulus, t_stop=0.5).first_spikes("out").round(6)
    array([[0.357403]])
    >>> for time_step in (0.1, 0.01, 0.001):
    ...     run = ClockedNetwork(net, time_step)(stimulus, t_stop=0.5)
    ...     run.first_spikes("out")
    array([[0.4]])
    array([[0.36]])
    array([[0.358]])
    """

    def __init__(
        self,
        network: es.Network,
        time_step: float,
        *,
        derivative: SpikeDerivative = SpikeDerivative(),
        reset: Reset = "zero",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.time_step = as_positive(time_step, "time_step")
        check_derivative(derivative)
        if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
            raise ValueError(f"dtype must be a floating type of torch, got {shown(dtype)}")
        check_choice(reset, ("zero", "subtract"), "reset")
        self._order = _checked_order(network)
        self.network = network.snapshot()
        self.weights = torch.nn.ParameterDict()
        for key, projection in network.projections.items():
            weights = torch.tensor(projection.weights, dtype=dtype)
            self.weights[_name(key)] = torch.nn.Parameter(weights)
        make = partial(_Population, self.time_step, derivative=derivative, reset=reset, dtype=dtype)
        # A list: in a ModuleDict, names such as "keys" are taken.
        self.populations = torch.nn.ModuleList(
            make(network.populations[name], network.neurons[name]) for name in self._order
        )

    def forward(
        self, stimulus: Mapping[str, es.Spikes | es.SpikeBatch], t_stop: float
    ) -> ClockedRun:
        """Run all samples from rest.

        Parameters
        ----------
        stimulus : dict of str -> Spikes or SpikeBatch
            Input spikes, as for `eventsim.simulate`.
        t_stop : float
            Time of the last step, rounded to the grid.

        Returns
        -------
        ClockedRun
            Of ``round(t_stop / time_step) + 1`` steps.
        """
        t_stop = as_nonnegative(t_stop, "t_stop")
        given, _ = read_stimulus(self.network, stimulus)
        if t_stop > MOST_NUMBERED * self.time_step:
            raise ValueError(f"t_stop must be at most {MOST_NUMBERED} time steps, got {t_stop!r}")
        given = with_drawn(self.network, given, t_stop)
        grid = (round(t_stop / self.time_step) + 1, given.n_samples)
        run = ClockedRun(self.time_step, {}, {})
        for name, population in zip(self._order, self.populations, strict=True):
            arrivals = torch.zeros(*grid, population.n).to(population.threshold)
            for key, projection in self.network.projections.items():
                if projection.post == name:
                    arrivals = arrivals + self._arrivals(key, projection, given.trains, run, grid)
            run.spikes[name], run.potentials[name] = population(arrivals)
        return run

    def exact(self) -> es.Network:
        """Return the network with the present weights, for the exact engine."""
        values = {
            key: self.weights[_name(key)].detach().cpu().numpy().astype(np.float64)
            for key in self.network.projections
        }
        return self.network.replace(weights=values)

    def _arrivals(
        self,
        key: Key,
        projection: Projection,
        trains: Mapping[str, es.SpikeBatch],
        run: ClockedRun,
        grid: tuple[int, int],
    ) -> torch.Tensor:
        """Return what arrives in each step over a projection, (n_steps, n_samples, n)."""
        weight, delay = self.weights[_name(key)], projection.delays
        assert isinstance(delay, float)
        if projection.pre in run.spikes:
            late = run.spikes[projection.pre] @ weight
            steps = min(round(delay / self.time_step), grid[0])
            return torch.cat([torch.zeros_like(late[:steps]), late[: grid[0] - steps]])
        if projection.pre not in trains:
            return weight.new_zeros(*grid, weight.shape[1])
        return _weights_of_inputs(weight, trains[projection.pre], delay, self.time_step, grid)


class _Population(torch.nn.Module):
    """Neurons of one population, one step after the other."""

    def __init__(
        self,
        time_step: float,
        n: int,
        neuron: es.LIF,
        *,
        derivative: SpikeDerivative,
        reset: Reset,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.n, self.derivative, self.reset = n, derivative, reset
        alpha, beta = 1.0 / np.asarray(neuron.tau_syn), 1.0 / np.asarray(neuron.tau_mem)
        synaptic, membrane, kernel = np.vectorize(propagator)(time_step, alpha, beta)
        constants = {
            "synaptic": synaptic,
            "membrane": membrane,
            "kernel": kernel,
            "bias": neuron.bias * np.vectorize(bias_kernel)(time_step, beta),
            "threshold": neuron.threshold,
            "refractory": np.rint(np.asarray(neuron.refractory) / time_step),
        }
        for name, value in constants.items():
            self.register_buffer(name, torch.tensor(value, dtype=dtype), persistent=False)

    def forward(self, arrivals: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return spikes and potentials."""
        _, current = clocked_lif(arrivals, self.synaptic, threshold=np.inf)
        drive = self.kernel * current[:-1] + self.bias
        return clocked_lif(
            torch.cat([torch.zeros_like(current[:1]), drive]),
            self.membrane,
            threshold=self.threshold,
            refractory=self.refractory,
            reset=self.reset,
            derivative=self.derivative,
        )


def _weights_of_inputs(
    weight: torch.Tensor,
    train: es.SpikeBatch,
    delay: float,
    time_step: float,
    grid: tuple[int, int],
) -> torch.Tensor:
    """Return the sum of the weights of the input spikes of each step and sample.

    Input spikes are few: adding up their rows of weights is much less work than a matrix product.
    """
    n_steps, n_samples = grid
    steps = np.rint((train.times + delay) / time_step).astype(np.int64)
    bags = steps * n_samples + train.samples
    order = np.argsort(bags, kind="stable")
    starts = np.searchsorted(bags[order], np.arange(n_steps * n_samples + 1))
    sources = train.indices[order[: starts[-1]]]
    rows, offsets = (torch.from_numpy(x).to(weight.device) for x in (sources, starts[:-1]))
    summed = torch.nn.functional.embedding_bag(rows, weight, offsets, mode="sum")
    return summed.view(*grid, weight.shape[1])


def _checked_order(network: es.Network) -> list[str]:
    """Return the populations, each after those that lead to it; ValueError for what is refused."""
    if not isinstance(network, es.Network):
        raise ValueError(f"network must be an eventsim.Network, got {shown(network)}")
    for name in (*network.inputs, *network.populations, *map(_name, network.projections)):
        if "." in name:
            raise ValueError(f"names must be without a dot, got {shown(name)}")
    for name, neuron in network.neurons.items():
        require(
            np.greater(neuron.threshold, 0.0),
            neuron.threshold,
            f"threshold of {name!r} must be > 0",
        )
        if neuron.columns != (0,) or neuron.receptors:
            raise ValueError(
                f"tau_syn of {name!r} must be that of one receptor without a name, and > 0, got "
                f"{shown(neuron.tau_syn)}"
            )
        for parameter in ("rest", "reset"):
            value = getattr(neuron, parameter)
            require(np.equal(value, 0.0), value, f"{parameter} of {name!r} must be 0")
    for key, projection in network.projections.items():
        if not isinstance(projection.weights, np.ndarray):
            raise ValueError(f"weights of {key} must be dense, got {shown(projection.weights)}")
        if not isinstance(projection.delays, float):
            raise ValueError(
                f"delays of {key} must be a single number, got {shown(projection.delays)}"
            )
    return _order(network)


def _order(network: es.Network) -> list[str]:
    before: dict[str, set[str]] = {name: set() for name in network.populations}
    for projection in network.projections.values():
        if projection.pre in before:
            before[projection.post].add(projection.pre)
    try:
        return list(TopologicalSorter(before).static_order())
    except CycleError as error:
        loop = " -> ".join(error.args[1])
        raise ValueError(f"network must be feed-forward, got the loop {loop}") from None


def _name(key: Key) -> str:
    """Return the name of a projection's parameter; no two keys share one.

    As in a URL, what could be misread is written by its code: a "%" within a name as %25, an arrow
    as -%3E, and the first digit of a projection's name that looks like the number of an unnamed
    one, "1" as %31.
    """
    parts = [str(part).replace("%", "%25").replace("->", "-%3E") for part in key]
    last = key[-1]
    if len(key) == 3 and isinstance(last, str) and last.isascii() and last.isdigit():
        parts[2] = f"%{ord(last[0]):X}{last[1:]}"
    return "->".join(parts)
