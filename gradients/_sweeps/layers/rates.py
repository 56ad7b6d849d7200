"""A tile swept from arrival to arrival, with the gradients of its neurons' parameters.

Between two arrivals the adjoint states of a tile are moved by one vector loop.  The equations are
those of `gradients._sweeps.events`.
"""

from eventsim._support.compile import inlined
from eventsim.model.flow import (
    bias_kernel,
    bias_kernel_rate_derivative,
    kernel_rate_derivatives,
)
from gradients._sweeps.events import ALPHA, BETA, BIAS, CURRENT, POTENTIAL, THRESHOLD
from gradients._sweeps.flow import flow_back_with_rates
from gradients._sweeps.jumps import arrival_back, release_back, spike_back
from gradients._sweeps.layers.task import added, own_spikes, start_from_end

__all__ = ["N_ROWS", "sweep_tile"]

# Rows of a tile's adjoint state: as in gradients._sweeps.events, then sums over the sample.
LAMBDA_I, LAMBDA_V, I_ALPHA, I_BETA, V_BETA = 0, 1, 2, 3, 4
BY_ALPHA, BY_BETA, BY_THRESHOLD, BY_BIAS = 5, 6, 7, 8
# How far back each neuron with events in the current interval has come (else -1), and which these
# are; then scratch.
AT, TOUCHED, MOVED, N_ROWS = 9, 10, 11, 12


@inlined
def sweep_tile(task, q, b, arrivals, scattered, factors, start, stop, k, strand, work):
    """Walk one tile backward through the arrivals ``start : stop`` of one sample.

    ``scattered``: the tile has its own list of arrivals, and their ``origin`` is their place in the
    layer's.
    """
    tiles, t_stop, record, fired, sums = task.tiles, task.t_stop, task.record, task.fired, task.sums
    time, row, origin, weight = arrivals.time, arrivals.row, arrivals.origin, task.weight
    width, passes_on = tiles.width[b], task.wanted.arrivals
    lane = tiles.lane[q]
    alpha, beta = tiles.alpha[q], tiles.beta[q]
    lambda_i, lambda_v = work[LAMBDA_I][:width], work[LAMBDA_V][:width]
    i_alpha, i_beta = work[I_ALPHA][:width], work[I_BETA][:width]
    by_alpha, by_beta = work[BY_ALPHA][:width], work[BY_BETA][:width]
    first_spike, spike = own_spikes(fired, k, tiles.lane.size, q)
    work[:, :width] = 0.0
    work[AT, :width] = -1.0
    longest = start_from_end(
        tiles, lane, width, t_stop, record, fired, first_spike, spike, task.final[k], lambda_v
    )
    table = tiles.table[q]
    for a in range(stop - 1, start - 1, -1):
        now, until = time[a], time[a + 1] if a + 1 < stop else t_stop
        touched = 0
        while spike >= first_spike and record[0][fired.spike[spike]] > now:
            j = fired.lane[spike]
            touched = _touch(work, j, until, touched)
            _pass_spike(tiles, lane, j, spike, alpha, beta, t_stop, record, fired, work)
            spike -= 1
        s = spike
        while longest > 0.0 and s >= first_spike and record[0][fired.spike[s]] + longest > now:
            j = fired.lane[s]
            if now < record[0][fired.spike[s]] + tiles.refractory[lane + j] <= until:
                touched = _touch(work, j, until, touched)
                _release(tiles, lane, j, s, alpha, beta, record, fired, work)
            s -= 1
        for n in range(touched):
            _move(tiles, lane, int(work[TOUCHED, n]), now, alpha, beta, work)
        synaptic, membrane, h = factors.synaptic[a], factors.membrane[a], factors.h[a]
        _move_all(tiles, lane, width, until - now, alpha, beta, synaptic, membrane, h, work)
        for n in range(touched):
            work[AT, int(work[TOUCHED, n])] = -1.0
        entry = table + row[a] * width
        gradient = sums.weight[strand][entry : entry + width]
        for j in range(width):
            gradient[j] += lambda_i[j]
        w = weight[entry : entry + width]
        for j in range(width):
            by_alpha[j] += w[j] * i_alpha[j]
            by_beta[j] += w[j] * i_beta[j]
        if passes_on and (not scattered or origin[a] >= 0):
            moved = work[MOVED][:width]
            for j in range(width):
                moved[j] = arrival_back(w[j], alpha, lambda_i[j], lambda_v[j])
            if sums.delay.shape[1] > 0:
                for j in range(width):
                    sums.delay[strand, entry + j] += moved[j]
            sums.arrival[b, origin[a] if scattered else a] += added(moved)
    lag = time[start] if start < stop else t_stop
    for j in range(width):
        if tiles.neuron[lane + j] >= 0:
            work[AT, j] = lag
            _move(tiles, lane, j, 0.0, alpha, beta, work)
            _start(task, tiles.neuron[lane + j], lane + j, j, k, strand, work)
        sums.neuron[strand, lane + j, ALPHA] += work[BY_ALPHA, j]
        sums.neuron[strand, lane + j, BETA] += work[BY_BETA, j]
        sums.neuron[strand, lane + j, THRESHOLD] += work[BY_THRESHOLD, j]
        sums.neuron[strand, lane + j, BIAS] += work[BY_BIAS, j]


@inlined
def _start(task, i, lane, j, k, strand, work):
    """Add the derivatives by the state of neuron ``i`` at t = 0, and what it contributes."""
    by_start = task.sums.start[k if task.each else strand, lane]
    by_start[CURRENT] += work[LAMBDA_I, j]
    by_start[POTENTIAL] += work[LAMBDA_V, j]
    start = task.start[k if task.each else 0, i]
    work[BY_ALPHA, j] += start[CURRENT] * work[I_ALPHA, j]
    work[BY_BETA, j] += start[CURRENT] * work[I_BETA, j] + start[POTENTIAL] * work[V_BETA, j]


@inlined
def _touch(work, j, until, touched):
    """Note that neuron ``j`` has an event in this interval; return how many have."""
    if work[AT, j] < 0.0:
        work[AT, j] = until
        work[TOUCHED, touched] = j
        touched += 1
    return touched


@inlined
def _move(tiles, lane, j, time, alpha, beta, work):
    """Move the adjoint state of one neuron back to ``time``."""
    lag = work[AT, j] - time
    work[AT, j] = time
    lambda_i, lambda_v, i_alpha, i_beta, v_beta, by_beta, by_bias = flow_back_with_rates(
        lag, alpha, beta, tiles.bias[lane + j], work[LAMBDA_I, j], work[LAMBDA_V, j],
        work[I_ALPHA, j], work[I_BETA, j], work[V_BETA, j],
    )  # fmt: skip
    work[LAMBDA_I, j], work[LAMBDA_V, j] = lambda_i, lambda_v
    work[I_ALPHA, j], work[I_BETA, j], work[V_BETA, j] = i_alpha, i_beta, v_beta
    work[BY_BETA, j] += by_beta
    work[BY_BIAS, j] += by_bias


@inlined
def _move_all(tiles, lane, width, lag, alpha, beta, synaptic, membrane, h, work):
    """Move the neurons of a tile without events, with their derivatives by the rates."""
    h_alpha, h_beta = kernel_rate_derivatives(lag, alpha, beta, synaptic, h)
    b = bias_kernel(lag, beta)
    b_beta = bias_kernel_rate_derivative(lag, beta)
    for j in range(width):
        if work[AT, j] >= 0.0:
            continue
        by_current, by_potential = work[LAMBDA_I, j], work[LAMBDA_V, j]
        bias, v_beta = tiles.bias[lane + j], work[V_BETA, j]
        work[BY_BIAS, j] += by_potential * b
        work[BY_BETA, j] += bias * (v_beta * b + by_potential * b_beta)
        i_alpha = (work[I_ALPHA, j] - lag * by_current) * synaptic + by_potential * h_alpha
        work[I_ALPHA, j] = i_alpha
        work[I_BETA, j] = work[I_BETA, j] * synaptic + v_beta * h + by_potential * h_beta
        work[V_BETA, j] = (v_beta - lag * by_potential) * membrane
        work[LAMBDA_I, j] = by_current * synaptic + by_potential * h
        work[LAMBDA_V, j] = by_potential * membrane


@inlined
def _release(tiles, lane, j, spike, alpha, beta, record, fired, work):
    """Cross the end of the refractory period of a spike; the potential is held before it."""
    number = fired.spike[spike]
    release = record[0][number] + tiles.refractory[lane + j]
    _move(tiles, lane, j, release, alpha, beta, work)
    fired.by_time[spike] = release_back(
        fired.by_time[spike], record[2][number], tiles.bias[lane + j], work[LAMBDA_V, j]
    )
    work[LAMBDA_V, j] = 0.0
    work[V_BETA, j] = 0.0


@inlined
def _pass_spike(tiles, lane, j, spike, alpha, beta, t_stop, record, fired, work):
    """Cross a spike: its time is set by the potential, whose adjoint starts here."""
    number = fired.spike[spike]
    release = record[0][number] + tiles.refractory[lane + j]
    # A release after this interval, or after the end, is behind us.
    if release <= work[AT, j] and release <= t_stop:
        _release(tiles, lane, j, spike, alpha, beta, record, fired, work)
    _move(tiles, lane, j, record[0][number], alpha, beta, work)
    potential = spike_back(fired.by_time[spike], record[1][number])
    work[LAMBDA_V, j] = potential
    work[V_BETA, j] = 0.0
    work[BY_THRESHOLD, j] -= potential
