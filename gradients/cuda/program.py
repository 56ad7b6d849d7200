"""The launches of a training step on minibatches of one size, with their buffers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import cuda
from numpy.typing import NDArray

from eventsim._engines.cuda.device import (
    MOST_THREADS,
    empty,
    flat,
    grid_for,
    kernel,
    of_blocks,
    zeros,
)
from eventsim._engines.cuda.graph import Recording
from eventsim._engines.cuda.plan import device_layers, write_weights
from eventsim._engines.cuda.run import DeviceRun
from eventsim._engines.cuda.samples import DeviceSpikes, Minibatch
from eventsim._support.types import IntArray, Key
from eventsim.network import Network
from gradients.cuda.layers import BY_WEIGHTS, DeviceSweep, new_copies
from gradients.cuda.losses import N_TOTALS, Weighted, bind
from gradients.cuda.optimizers import DeviceOptimizer
from gradients.cuda.part import Part

__all__ = ["Program", "Training"]


# --- kernels --------------------------------------------------------------------------------------


@kernel
def choose_labels(given, rows, labels):
    """Choose the labels of the samples ``rows``: a thread each."""
    for k in range(cuda.grid(1), labels.size, cuda.gridsize(1)):
        labels[k] = given[rows[k]]


@kernel
def summarise_step(totals, obstacle, counts, n_layers, report):
    """Write the totals, the obstacle, and the spikes of each layer: one block."""
    sums = cuda.shared.array(MOST_THREADS, np.int64)
    n = counts.size // n_layers
    for layer in range(n_layers):
        value = 0
        for k in range(cuda.threadIdx.x, n, cuda.blockDim.x):
            value += counts[layer * n + k]
        sums[cuda.threadIdx.x] = value
        cuda.syncthreads()
        if cuda.threadIdx.x == 0:
            total = 0
            for t in range(cuda.blockDim.x):
                total += sums[t]
            report[totals.size + 1 + layer] = total
        cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        for i in range(totals.size):
            report[i] = totals[i]
        report[totals.size] = obstacle[0]


# --- the host -------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Training:
    """What the steps of a training share.

    Attributes
    ----------
    network : Network
        What a step runs: all that is trained, or a part of it.
    part : Part or None
        The weights of the part.
    spikes, labels
        Training samples on the device.
    loss : sequence of (float, Term)
        What the steps lower.
    t_stop, jitter, max_spikes, graph
        As of `gradients.cuda.Trainer`.
    optimizer : DeviceOptimizer
        All weights, and how they move.
    """

    network: Network
    part: Part | None
    spikes: Mapping[str, DeviceSpikes]
    labels: Any
    loss: Sequence[Weighted]
    t_stop: float
    jitter: float
    max_spikes: int
    graph: bool
    optimizer: DeviceOptimizer


class Program:
    """The launches of a step on minibatches of one size, with their buffers."""

    def __init__(self, training: Training, n: int) -> None:
        self.training, network, dtype = training, training.network, training.optimizer.dtype
        self.minibatches = {
            name: Minibatch(given, n, network.inputs[name], training.jitter, training.t_stop)
            for name, given in training.spikes.items()
        }
        inputs = {name: minibatch.cause for name, minibatch in self.minibatches.items()}
        self.run_ = DeviceRun(network, inputs, n, training.t_stop, dtype)
        self.copies = new_copies(network, n, BY_WEIGHTS, dtype)
        self.sweep = DeviceSweep(self.run_, self.copies, BY_WEIGHTS)
        self.terms = [bind(part, self.sweep) for part in training.loss]
        layers = device_layers(network)
        self.tables = [zeros(layer.plan.table_size, dtype) for layer in layers]
        self.rows, self.labels = empty(n + 1, np.int64), empty(n, np.int64)
        self.totals = empty(N_TOTALS)
        self.report = empty(N_TOTALS + 1 + len(layers))
        self.recording: Recording | None = None
        self.was_run = False

    def run(self, rows: IntArray, seed: int) -> NDArray[np.float64]:
        """Do a step; return the report."""
        self.rows.copy_to_device(np.append(rows, seed))
        if self.training.graph and self.was_run:
            self.recording = self.recording or Recording(self.launch)
            self.recording.replay()
        else:
            self.launch()
            self.was_run = True
        report: NDArray[np.float64] = self.report.copy_to_host()
        return report

    def launch(self) -> None:
        """Launch all kernels of a step."""
        training, part, counters = self.training, self.training.part, self.run_.counters
        params, grads = training.optimizer.params["weights"], training.optimizer.grads["weights"]
        for minibatch in self.minibatches.values():
            minibatch.choose(self.rows)
        choose_labels[grid_for(self.labels.size)](training.labels, self.rows, self.labels)
        if part is not None:
            part.take()
            params, grads = part.params, part.grads
        self._write_tables(params)
        self.run_.advance(self.tables, training.max_spikes)
        self.sweep.clear()
        for term in self.terms:
            term.launch(self.labels, self.totals)
        self.sweep.over_all()
        for copy in self.copies:
            for s in copy.layer.plan.synapses:
                copy.add_up(s.key, flat(grads[s.key]))
        for term in self.terms:
            term.push(self.labels, grads)
        if part is not None:
            part.give()
        training.optimizer.move(counters.missing)
        summarise_step[of_blocks(1, MOST_THREADS)](
            self.totals, counters.missing, counters.all_spikes, len(self.tables), self.report
        )

    def _write_tables(self, params: Mapping[Key, Any]) -> None:
        for copy, table in zip(self.copies, self.tables, strict=True):
            for s in copy.layer.plan.synapses:
                values = flat(params[s.key])
                places = copy.layer.places(s, values.size)
                write_weights[grid_for(values.size)](values, places, table)
