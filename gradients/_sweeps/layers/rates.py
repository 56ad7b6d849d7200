"""A tile swept from arrival to arrival, with the gradients of its neurons' parameters.

Between two arrivals the adjoint states of a tile are moved by one vector loop.  The equations are
those of `gradients._sweeps.events`.
"""

from eventsim._layout.layers import Tiles
from eventsim._support.compile import inlined, inner
from eventsim.model.flow import (
    bias_kernel,
    bias_kernel_rate_derivative,
    kernel_rate_derivatives,
)
from gradients._sweeps.events import (
    ALPHA,
    ALPHAS,
    BETA,
    BIAS,
    CURRENT,
    CURRENTS,
    POTENTIAL,
    THRESHOLD,
)
from gradients._sweeps.flow import flow_back_with_rates
from gradients._sweeps.jumps import arrival_back, release_back, spike_back
from gradients._sweeps.layers.task import added, own_spikes, start_from_end

__all__ = ["n_rows", "sweep_tile"]

# Rows of a tile's adjoint state: as in gradients._sweeps.events, then sums over the sample.
LAMBDA_I, LAMBDA_V, I_ALPHA, I_BETA, V_BETA = 0, 1, 2, 3, 4
BY_ALPHA, BY_BETA, BY_THRESHOLD, BY_BIAS = 5, 6, 7, 8
# How far back each neuron with events in the current interval has come (else -1), and which these
# are; then scratch.
AT, TOUCHED, MOVED, N_ROWS = 9, 10, 11, 12


def n_rows(tiles: Tiles) -> int:
    """Return how many rows there are: four more for each further receptor."""
    return N_ROWS + 4 * (len(tiles.receptors) - 1)


@inlined
def _rows(receptor):
    """Return where lambda_I of a receptor stands, its derivatives by the rates, and BY_ALPHA."""
    if receptor == 0:
        return LAMBDA_I, I_ALPHA, I_BETA, BY_ALPHA
    first = N_ROWS + 4 * (receptor - 1)
    return first, first + 1, first + 2, first + 3


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
    alpha, beta = tiles.alpha[q, 0], tiles.beta[q]
    lambda_v, by_beta = work[LAMBDA_V][:width], work[BY_BETA][:width]
    # Those of the first receptor: if it is the only one, nothing is chosen within the loop.
    synaptics, kernels, arrived_alpha = factors.synaptic[0], factors.h[0], alpha
    lambda_i, i_alpha = work[LAMBDA_I][:width], work[I_ALPHA][:width]
    i_beta, by_alpha = work[I_BETA][:width], work[BY_ALPHA][:width]
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
            _pass_spike(tiles, q, j, spike, t_stop, record, fired, work)
            spike -= 1
        s = spike
        while longest > 0.0 and s >= first_spike and record[0][fired.spike[s]] + longest > now:
            j = fired.lane[s]
            if now < record[0][fired.spike[s]] + tiles.refractory[lane + j] <= until:
                touched = _touch(work, j, until, touched)
                _release(tiles, q, j, s, record, fired, work)
            s -= 1
        for n in range(touched):
            _move(tiles, q, int(work[TOUCHED, n]), now, work)
        for r in range(1, len(tiles.receptors)):
            _move_all_further(tiles, q, width, r, until - now, factors, a, work)
        synaptic, membrane, h = synaptics[a], factors.membrane[a], kernels[a]
        _move_all(tiles, lane, width, until - now, alpha, beta, synaptic, membrane, h, work)
        for n in range(touched):
            work[AT, int(work[TOUCHED, n])] = -1.0
        entry = table + row[a] * width
        if len(tiles.receptors) > 1:
            receptor = tiles.receptor[entry]
            arrived_alpha = tiles.alpha[q, receptor]
            row_i, row_alpha, row_beta, row_sum = _rows(receptor)
            lambda_i, i_alpha = work[row_i][:width], work[row_alpha][:width]
            i_beta, by_alpha = work[row_beta][:width], work[row_sum][:width]
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
                moved[j] = arrival_back(w[j], arrived_alpha, lambda_i[j], lambda_v[j])
            if sums.delay.shape[1] > 0:
                for j in range(width):
                    sums.delay[strand, entry + j] += moved[j]
            sums.arrival[b, origin[a] if scattered else a] += added(moved)
    lag = time[start] if start < stop else t_stop
    for j in range(width):
        if tiles.neuron[lane + j] >= 0:
            work[AT, j] = lag
            _move(tiles, q, j, 0.0, work)
            _start(task, tiles.neuron[lane + j], lane + j, j, k, strand, work)
        sums.neuron[strand, lane + j, ALPHA] += work[BY_ALPHA, j]
        sums.neuron[strand, lane + j, BETA] += work[BY_BETA, j]
        sums.neuron[strand, lane + j, THRESHOLD] += work[BY_THRESHOLD, j]
        sums.neuron[strand, lane + j, BIAS] += work[BY_BIAS, j]
        for r in range(1, len(tiles.receptors)):
            sums.neuron[strand, lane + j, ALPHAS + r] += work[_rows(r)[3], j]


@inlined
def _start(task, i, lane, j, k, strand, work):
    """Add the derivatives by the state of neuron ``i`` at t = 0, and what it contributes."""
    by_start = task.sums.start[k if task.each else strand, lane]
    by_start[CURRENT] += work[LAMBDA_I, j]
    by_start[POTENTIAL] += work[LAMBDA_V, j]
    start = task.start[k if task.each else 0, i]
    work[BY_ALPHA, j] += start[CURRENT] * work[I_ALPHA, j]
    work[BY_BETA, j] += start[CURRENT] * work[I_BETA, j] + start[POTENTIAL] * work[V_BETA, j]
    for r in range(1, len(task.tiles.receptors)):
        row_i, row_alpha, row_beta, row_sum = _rows(r)
        by_start[CURRENTS + r] += work[row_i, j]
        work[row_sum, j] += start[CURRENTS + r] * work[row_alpha, j]
        work[BY_BETA, j] += start[CURRENTS + r] * work[row_beta, j]


@inlined
def _touch(work, j, until, touched):
    """Note that neuron ``j`` has an event in this interval; return how many have."""
    if work[AT, j] < 0.0:
        work[AT, j] = until
        work[TOUCHED, touched] = j
        touched += 1
    return touched


@inlined
def _move(tiles, q, j, time, work):
    """Move the adjoint state of one neuron back to ``time``."""
    alpha, beta, lane = tiles.alpha[q, 0], tiles.beta[q], tiles.lane[q]
    lag = work[AT, j] - time
    work[AT, j] = time
    if len(tiles.receptors) > 1:
        _move_further(work, j, lag, tiles.alpha[q], beta)
    lambda_i, lambda_v, i_alpha, i_beta, v_beta, by_beta, by_bias = flow_back_with_rates(
        lag, alpha, beta, tiles.bias[lane + j], work[LAMBDA_I, j], work[LAMBDA_V, j],
        work[I_ALPHA, j], work[I_BETA, j], work[V_BETA, j],
    )  # fmt: skip
    work[LAMBDA_I, j], work[LAMBDA_V, j] = lambda_i, lambda_v
    work[I_ALPHA, j], work[I_BETA, j], work[V_BETA, j] = i_alpha, i_beta, v_beta
    work[BY_BETA, j] += by_beta
    work[BY_BIAS, j] += by_bias


@inner
def _move_further(work, j, lag, alphas, beta):
    """Move lambda_I of the further receptors of one neuron, before lambda_V is moved."""
    for r in range(1, alphas.size):
        row_i, row_alpha, row_beta, _ = _rows(r)
        lambda_i, _, i_alpha, i_beta, _, _, _ = flow_back_with_rates(
            lag, alphas[r], beta, 0.0, work[row_i, j], work[LAMBDA_V, j], work[row_alpha, j],
            work[row_beta, j], work[V_BETA, j],
        )  # fmt: skip
        work[row_i, j], work[row_alpha, j], work[row_beta, j] = lambda_i, i_alpha, i_beta


@inlined
def _move_all_further(tiles, q, width, r, lag, factors, a, work):
    """Move lambda_I of a further receptor of the neurons without events, before lambda_V."""
    row_i, row_alpha, row_beta, _ = _rows(r)
    synaptic, h = factors.synaptic[r, a], factors.h[r, a]
    alpha, beta = tiles.alpha[q, r], tiles.beta[q]
    h_alpha, h_beta = kernel_rate_derivatives(lag, alpha, beta, synaptic, h)
    for j in range(width):
        if work[AT, j] >= 0.0:
            continue
        by_current, by_potential, v_beta = work[row_i, j], work[LAMBDA_V, j], work[V_BETA, j]
        i_alpha = (work[row_alpha, j] - lag * by_current) * synaptic + by_potential * h_alpha
        work[row_alpha, j] = i_alpha
        work[row_beta, j] = work[row_beta, j] * synaptic + v_beta * h + by_potential * h_beta
        work[row_i, j] = by_current * synaptic + by_potential * h


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
def _release(tiles, q, j, spike, record, fired, work):
    """Cross the end of the refractory period of a spike; the potential is held before it."""
    number, lane = fired.spike[spike], tiles.lane[q]
    release = record[0][number] + tiles.refractory[lane + j]
    _move(tiles, q, j, release, work)
    fired.by_time[spike] = release_back(
        fired.by_time[spike], record[2][number], tiles.bias[lane + j], work[LAMBDA_V, j]
    )
    work[LAMBDA_V, j] = 0.0
    work[V_BETA, j] = 0.0


@inlined
def _pass_spike(tiles, q, j, spike, t_stop, record, fired, work):
    """Cross a spike: its time is set by the potential, whose adjoint starts here."""
    number = fired.spike[spike]
    release = record[0][number] + tiles.refractory[tiles.lane[q] + j]
    # A release after this interval, or after the end, is behind us.
    if release <= work[AT, j] and release <= t_stop:
        _release(tiles, q, j, spike, record, fired, work)
    _move(tiles, q, j, record[0][number], work)
    potential = spike_back(fired.by_time[spike], record[1][number])
    work[LAMBDA_V, j] = potential
    work[V_BETA, j] = 0.0
    work[BY_THRESHOLD, j] -= potential
