"""The kernels of the losses.

Each is one block, or a thread per neuron: sums are made in a fixed order, so a loss is the same
bits in every run.  The formulas are those of `gradients.losses.formulas`.
"""

from __future__ import annotations

import math

import numpy as np
from numba import cuda

from eventsim._engines.cuda.device import MOST_THREADS, kernel
from gradients.losses import formulas

__all__ = [
    "add_scaled",
    "count_missing",
    "find_range",
    "first_spike_loss",
    "lift_dead",
    "membrane_loss",
    "pass_to_first",
    "push_onto",
]


@kernel
def find_range(values, ends):
    """Widen ``ends``, the least and the greatest number so far: a thread per value."""
    for k in range(cuda.grid(1), values.size, cuda.gridsize(1)):
        cuda.atomic.min(ends, 0, values[k])
        cuda.atomic.max(ends, 1, values[k])


@cuda.jit(device=True)
def _sum_of_block(value, sums):
    """Return the sum of a value over the threads of a block, in order, to its first thread."""
    sums[cuda.threadIdx.x] = value
    cuda.syncthreads()
    total = 0.0
    if cuda.threadIdx.x == 0:
        for t in range(cuda.blockDim.x):
            total += sums[t]
    cuda.syncthreads()
    return total


# The formulas of a sample, for the device.
first_spike_sample = cuda.jit(device=True)(formulas.first_spike_sample)
membrane_sample = cuda.jit(device=True)(formulas.membrane_sample)


@kernel
def membrane_loss(potentials, labels, numbers, derivative, totals):
    """Write the cross-entropy of potentials: one block, a thread per sample."""
    sums = cuda.shared.array(MOST_THREADS, np.float64)
    n, loss, right = potentials.shape[0], 0.0, 0.0
    for k in range(cuda.threadIdx.x, n, cuda.blockDim.x):
        part, is_right = membrane_sample(potentials, labels, k, numbers, derivative)
        loss += part
        right += is_right
    loss, right = _sum_of_block(loss, sums), _sum_of_block(right, sums)
    if cuda.threadIdx.x == 0:
        totals[0], totals[1], totals[2] = loss, right / n, 0.0


@kernel
def first_spike_loss(times, labels, numbers, derivative, totals):
    """Write the cross-entropy of first spike times: one block, a thread per sample."""
    sums = cuda.shared.array(MOST_THREADS, np.float64)
    n, loss, right, silent = times.shape[0], 0.0, 0.0, 0.0
    for k in range(cuda.threadIdx.x, n, cuda.blockDim.x):
        part, is_right, is_silent = first_spike_sample(times, labels, k, numbers, derivative)
        loss += part
        right += is_right
        silent += is_silent
    loss, right = _sum_of_block(loss, sums), _sum_of_block(right, sums)
    silent = _sum_of_block(silent, sums)
    if cuda.threadIdx.x == 0:
        totals[0], totals[1], totals[2] = loss, right / n, silent / n


@kernel
def pass_to_first(last, previous, rank, derivative, by_time):
    """Write the derivative by each neuron's first spike to the spike: a thread per neuron."""
    for c in range(cuda.grid(1), last.size, cuda.gridsize(1)):
        first, slot = -1, last[c]
        while slot >= 0:
            first, slot = slot, previous[slot]
        if first >= 0:
            by_time[rank[first]] = derivative[c]


@kernel
def lift_dead(last, potential, threshold, strength, fraction, derivative, missing):
    """Write the penalty on neurons that hardly fire, and its derivative: a thread per neuron.

    ``missing`` (n,): what each neuron costs, over all samples.
    """
    n_samples, n = potential.shape
    for j in range(cuda.grid(1), n, cuda.gridsize(1)):
        active, total = 0, 0.0
        for k in range(n_samples):
            if last[k * n + j] >= 0:
                active += 1
        is_dead = active / n_samples < fraction
        for k in range(n_samples):
            v = float(potential[k, j])
            cost, slope = formulas.lift(threshold[j], v, n_samples * n)
            total += cost if is_dead else 0.0
            derivative[k, j] = strength * slope if is_dead else 0.0
        missing[j] = total


@kernel
def count_missing(times, labels, is_output, last, threshold, missing):
    """Count the samples with a silent label in which a neuron is silent: a thread per neuron.

    Of an output neuron only those whose label it is.
    """
    n_samples, n = times.shape[0], missing.size
    for j in range(cuda.grid(1), n, cuda.gridsize(1)):
        count = 0
        for k in range(n_samples):
            is_missed = float(times[k, labels[k]]) == math.inf and threshold[j] < math.inf
            if is_missed and last[k * n + j] < 0 and (labels[k] == j or not is_output):
                count += 1
        missing[j] = count


@kernel
def push_onto(missing, strength, gradient):
    """Add to the derivative by each weight onto missing neurons: a thread per weight, flat."""
    for i in range(cuda.grid(1), gradient.size, cuda.gridsize(1)):
        gradient[i] -= strength * missing[i % missing.size]


@kernel
def add_scaled(values, scale, total):
    """Add the sum of the values, times ``scale``, to the first total: one block."""
    sums = cuda.shared.array(MOST_THREADS, np.float64)
    value = 0.0
    for i in range(cuda.threadIdx.x, values.size, cuda.blockDim.x):
        value += values[i]
    value = _sum_of_block(value, sums)
    if cuda.threadIdx.x == 0:
        total[0] += scale * value
