"""Runs and gradients of arrays on the device: nothing goes through the host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from eventsim import simulation
from eventsim._engines.cuda.device import (
    as_device,
    device_obstacle,
    flat,
    grid_for,
    is_on_device,
    quietly,
    type_of,
    wait,
)
from eventsim._engines.cuda.plan import device_tables, network_obstacle
from eventsim._engines.cuda.result import lacks_room
from eventsim._engines.cuda.run import DeviceRun
from eventsim._engines.cuda.samples import DeviceSpikes
from eventsim._engines.layered.capped import CapReachedError
from eventsim._support.types import Key
from eventsim._support.validate import as_count, as_mapping, as_nonnegative, mapping_or_empty, shown
from eventsim.network import Network
from eventsim.result import ActivityError
from eventsim.spikes import Spikes
from gradients.cuda.layers import BY_WEIGHTS, DeviceSweep, new_copies
from gradients.cuda.loss_kernels import pass_to_first

__all__ = ["simulate", "weight_gradient"]


def simulate(
    network: Network,
    spikes: Mapping[str, DeviceSpikes],
    t_stop: float,
    *,
    weights: Mapping[Key, Any] | None = None,
    max_spikes: int = 10_000_000,
) -> DeviceRun:
    """Simulate a batch whose spikes, and if need be whose weights, are on the device.

    Parameters
    ----------
    network : Network
        Feed-forward.
    spikes : dict of str -> DeviceSpikes
        Of every input, all of the same precision, which is that of the run.
    t_stop : float
        End of the run.
    weights : dict of key -> array, optional
        In the place of the network's, of the precision of the run.  Arrays of any library that
        speaks ``__cuda_array_interface__`` are read where they are.
    max_spikes : int
        Cap on the spikes of a sample.

    Returns
    -------
    DeviceRun
        Its ``potential``, ``spike_counts`` and ``first_spikes`` are device arrays.

    Raises
    ------
    ValueError
        If something does not fit together.
    RuntimeError
        If there is no device.
    ActivityError
        If a sample exceeds ``max_spikes``.

    Examples
    --------
    >>> import eventsim as es
    >>> net = es.Network()
    >>> net.add_input("in", 1)
    >>> net.add_population("out", 1, es.LIF(tau_mem=1.0, tau_syn=1.0, threshold=np.inf))
    >>> key = net.connect("in", "out", weights=[[0.0]])
    >>> spikes = DeviceSpikes.of(es.SpikeBatch.from_latencies([[0.0], [0.5]]))
    >>> run = simulate(net, {"in": spikes}, 1.0, weights={key: np.array([[1.0]])})
    >>> run.potential("out").copy_to_host()
    array([[0.367879], [0.303265]])
    >>> slope = np.array([[1.0], [0.0]])     # of the first sample's potential
    >>> weight_gradient(run, potentials={"out": slope})[key].copy_to_host()
    array([[0.367879]])
    """
    obstacle = device_obstacle()
    if obstacle:
        raise RuntimeError(obstacle)
    if not isinstance(network, Network):
        raise ValueError(f"network must be an eventsim.Network, got {shown(network)}")
    hindrance = network_obstacle(network, "cuda")
    if hindrance:
        raise ValueError(hindrance)
    t_stop = as_nonnegative(t_stop, "t_stop")
    cap = as_count(max_spikes, "max_spikes")
    weights = mapping_or_empty(weights, "weights")
    for name, given in as_mapping(spikes, "spikes").items():
        if not isinstance(given, DeviceSpikes):
            raise ValueError(f"spikes[{name!r}] must be DeviceSpikes, got {shown(given)}")
    if spikes.keys() != network.inputs.keys() or not spikes:
        raise ValueError(
            f"spikes must be given of the inputs {list(network.inputs)}, got those of "
            f"{list(spikes)}"
        )
    dtypes, sizes = {s.dtype for s in spikes.values()}, {len(s) for s in spikes.values()}
    if len(dtypes) != 1 or len(sizes) != 1:
        raise ValueError(
            "spikes of all inputs must have one precision and as many samples, got "
            f"{sorted(map(str, dtypes))} and {sorted(sizes)}"
        )
    (dtype,), (n_samples,) = dtypes, sizes
    causes = {name: given.cause(network.inputs[name]) for name, given in spikes.items()}
    with quietly():
        tables = device_tables(network, dtype, weights)
        while True:
            run = DeviceRun(network, causes, n_samples, t_stop, dtype)
            run.advance(tables, cap)
            try:
                lacking = lacks_room(run, cap)
            except CapReachedError as reached:
                k = reached.sample
                given = {name: one.sample(k) for name, one in spikes.items()}
                raise activity_error(network, weights, given, k, t_stop, cap) from None
            if not lacking:
                return run
            del run  # before its successor needs the memory


def weight_gradient(
    run: DeviceRun,
    *,
    potentials: Mapping[str, Any] | None = None,
    first_spikes: Mapping[str, Any] | None = None,
) -> dict[Key, Any]:
    """Return the gradient by all weights, on the device: `timing_backprop` of a `DeviceRun`.

    Parameters
    ----------
    run : DeviceRun
        Of `simulate`, or what a `CudaResult` has ``on_device``.
    potentials : dict of str -> (n_samples, n) array, optional
        Derivative of the loss by the membrane potentials at the end; of the precision of the run.
        Arrays of any library that speaks ``__cuda_array_interface__`` are read where they are.
    first_spikes : dict of str -> (n_samples, n) array, optional
        Derivative by the first spike times; those of silent neurons are not looked at.

    Returns
    -------
    dict of key -> device array
        Summed over the samples: of the shape of the weights, of the kernel, or (nnz,).

    Raises
    ------
    ValueError
        Unknown populations, other shapes or types.
    """
    if not isinstance(run, DeviceRun):
        raise ValueError(f"run must be a DeviceRun, got {shown(run)}")
    potentials = mapping_or_empty(potentials, "potentials")
    first_spikes = mapping_or_empty(first_spikes, "first_spikes")
    network, dtype = run.network, run.dtype
    with quietly():
        sweep = DeviceSweep(run, new_copies(network, run.n_samples, BY_WEIGHTS, dtype), BY_WEIGHTS)
        for name, values in potentials.items():
            network.neurons_of(name, "potentials")
            number, one = sweep.layer(name)
            shape = (run.n_samples, one.layer.plan.n)
            sweep.final[number] = as_device(values, dtype, f"potentials[{name!r}]", shape)
        for name, values in first_spikes.items():
            network.neurons_of(name, "first_spikes")
            number, one = sweep.layer(name)
            shape = (run.n_samples, one.layer.plan.n)
            slope = as_device(values, dtype, f"first_spikes[{name!r}]", shape)
            pass_to_first[grid_for(slope.size)](
                one.spikes.last, one.spikes.previous, one.rank, flat(slope),
                sweep.by_time[number],
            )  # fmt: skip
        sweep.over_all()
        found = {}
        for copy in sweep.copies:
            for s in copy.layer.plan.synapses:
                p = network.projections[s.key]
                values = copy.gradient(s.key, p.values.size)
                like = p.like(p.values)
                dense = isinstance(like, np.ndarray)
                found[s.key] = values.reshape(like.shape) if dense else values
        wait()
        return found


def activity_error(
    network: Network,
    weights: Mapping[Key, Any],
    given: Mapping[str, Spikes],
    number: int,
    t_stop: float,
    cap: int,
) -> RuntimeError:
    """Run a sample on a processor; return the ActivityError that says which spike was too much."""
    found = {}
    for key, values in weights.items():
        p = network.projections[key]
        own = as_device(values, type_of(values), "weights") if is_on_device(values) else values
        host = own.copy_to_host() if is_on_device(own) else np.asarray(own)
        found[key] = p.like(host.astype(np.float64).reshape(-1))
    network = network.replace(weights=found)
    try:
        run = simulation.simulate(network, given, t_stop, max_spikes=cap, engine="scheduler")
    except ActivityError as e:
        return ActivityError(e.result, number, e.population, e.neuron, e.time, e.count)
    return RuntimeError(
        f"sample {number} exceeded max_spikes = {cap} on the device, but has {run.events.spikes} "
        "spikes on a processor: one of them depends on rounding; raise max_spikes"
    )
