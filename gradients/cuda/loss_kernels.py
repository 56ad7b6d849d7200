"""The kernels of the losses.

Each is one block, or a thread per neuron: sums are made in a fixed order, so a loss is the same
bits in every run.  The formulas are those of `gradients.losses.cross_entropy` and
`gradients.losses.spike_count_penalty`, which NumPy computes, array by array, and a device number by
number.
"""

from __future__ import annotations

import math

import numpy as np
from numba import cuda

from eventsim._engines.cuda.device import MOST_THREADS, kernel
from gradients.losses.cross_entropy import MOST_EXPONENT

__all__ = [
    "add_scaled",
    "find_range",
    "first_spike_loss",
    "lift_dead",
    "pass_to_first",
    "potential_loss",
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


@kernel
def potential_loss(potentials, labels, smoothing, norm_penalty, derivative, totals):
    """Write the cross-entropy of potentials: one block, a thread per sample."""
    sums = cuda.shared.array(MOST_THREADS, np.float64)
    n, n_classes = potentials.shape
    loss, right = 0.0, 0.0
    for k in range(cuda.threadIdx.x, n, cuda.blockDim.x):
        top, total = -math.inf, 0.0
        for o in range(n_classes):
            top = max(top, float(potentials[k, o]))
        for o in range(n_classes):
            total += math.exp(float(potentials[k, o]) - top)
        norm, is_right = 0.0, 1.0
        label = labels[k]
        for o in range(n_classes):
            v = float(potentials[k, o])
            target = smoothing / n_classes
            if o == label:
                target += 1.0 - smoothing
            elif v >= float(potentials[k, label]):
                is_right = 0.0
            loss += _cost(target, 0.5 * top - 0.5 * v, 0.5)
            norm += norm_penalty * v * v
            slope = math.exp(v - top) / total - target + norm_penalty * (2.0 / n_classes * v)
            derivative[k, o] = slope / n
        loss += norm / n_classes + math.log(total)
        right += is_right
    loss, right = _sum_of_block(loss, sums), _sum_of_block(right, sums)
    if cuda.threadIdx.x == 0:
        totals[0], totals[1], totals[2] = loss / n, right / n, 0.0


@kernel
def first_spike_loss(times, labels, tau0, tau1, gamma, t_silent, smoothing, derivative, totals):
    """Write the cross-entropy of first spike times: one block, a thread per sample."""
    sums = cuda.shared.array(MOST_THREADS, np.float64)
    n, n_classes = times.shape
    loss, right, silent = 0.0, 0.0, 0.0
    for k in range(cuda.threadIdx.x, n, cuda.blockDim.x):
        earliest, total = math.inf, 0.0
        for o in range(n_classes):
            earliest = min(earliest, _or_silent(times[k, o], t_silent))
        for o in range(n_classes):
            total += math.exp((earliest - _or_silent(times[k, o], t_silent)) / tau0)
        label = labels[k]
        is_right = 1.0 if float(times[k, label]) < math.inf else 0.0
        silent += 1.0 - is_right
        for o in range(n_classes):
            time = _or_silent(times[k, o], t_silent)
            target = smoothing / n_classes
            if o == label:
                target += 1.0 - smoothing
            elif times[k, o] <= times[k, label]:
                is_right = 0.0
            loss += _cost(target, time - earliest, tau0)
            slope = (target - math.exp((earliest - time) / tau0) / total) / n / tau0
            if o == label and gamma > 0.0:
                penalty, by_time = _lateness(time / tau1, tau1, gamma)
                loss += penalty
                slope += by_time / n
            derivative[k, o] = slope if float(times[k, o]) < math.inf else 0.0
        loss += math.log(total)
        right += is_right
    loss, right = _sum_of_block(loss, sums), _sum_of_block(right, sums)
    silent = _sum_of_block(silent, sums)
    if cuda.threadIdx.x == 0:
        totals[0], totals[1], totals[2] = loss / n, right / n, silent / n


@cuda.jit(device=True)
def _cost(target, behind, unit):
    """Return what a score costs that is ``behind`` the highest one, in units beyond float64 too."""
    distance = behind / unit
    return target * distance if distance < math.inf else target * behind / unit


@cuda.jit(device=True)
def _lateness(x, tau1, gamma):
    """Return ``gamma (exp(x) - 1)``, and its derivative by ``tau1 * x``; inf beyond float64."""
    if x <= MOST_EXPONENT:
        return gamma * math.expm1(x), gamma / tau1 * math.exp(x)
    quarter = math.exp(min(0.25 * x, MOST_EXPONENT))
    product = gamma * quarter * quarter * quarter * quarter
    return product, product / tau1


@cuda.jit(device=True)
def _or_silent(time, t_silent):
    return float(time) if float(time) < math.inf else t_silent


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

    ``missing`` (n,): how far the potentials of each stay below its threshold, over all samples.
    """
    n_samples, n = potential.shape
    for j in range(cuda.grid(1), n, cuda.gridsize(1)):
        active, total, slope = 0, 0.0, 0.0
        for k in range(n_samples):
            if last[k * n + j] >= 0:
                active += 1
        is_dead = active / n_samples < fraction
        if is_dead:
            slope = -strength / (n_samples * n)
            for k in range(n_samples):
                total += threshold[j] - float(potential[k, j])
        for k in range(n_samples):
            derivative[k, j] = slope
        missing[j] = total


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
