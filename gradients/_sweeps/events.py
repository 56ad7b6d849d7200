r"""The adjoint sweep: gradients of every parameter in one walk backward in time, without a matrix.

The adjoint state of a neuron is :math:`\lambda_I = \partial\ell/\partial I` (of every receptor,
with its own :math:`\alpha`), :math:`\lambda_V = \partial\ell/\partial V`.  Backward over a lag t it
flows as the neuron does, with the roles of I and V exchanged,

.. math::
    \lambda_I \leftarrow \lambda_I e^{-\alpha t} + \lambda_V h(t) + \nu H(t), \qquad
    \lambda_V \leftarrow \lambda_V e^{-\beta t} + \nu b(t),

where :math:`\nu` is the density of a loss that integrates V and :math:`H = E[0,\alpha,\beta]`.
Events, from the latest to the earliest:

- arrival (weight w, delay d) of a spike g: :math:`d\ell/dw += \lambda_I`,
  :math:`r = w(\alpha\lambda_I - \lambda_V)`, :math:`d\ell/dd += r`, :math:`G_g += r`;
- release of spike f at the end r of its refractory period:
  :math:`G_f -= (I(r) + c)\lambda_V`, :math:`\lambda_V \leftarrow 0`;
- spike f: :math:`\lambda_V \leftarrow -G_f/s_f` and :math:`d\ell/d\theta -= \lambda_V`.

:math:`G_f` starts as the loss's own derivative by the time of f and is complete when the walk gets
there.  Without refractoriness the last two are the jump
:math:`\lambda_V \leftarrow (s^+\lambda_V - G_f)/s_f` of event-based backpropagation.

A charge w at a neuron adds to V alone: :math:`d\ell/dw += \lambda_V`,
:math:`r = w\beta\lambda_V`; nothing, if it is lost.  Where it sets off the spike f at that very
time, :math:`\lambda_V = 0` before f, and :math:`r = G_f`.

Of the same time, the walk goes back in the order of causes: what a spike sent arrives after it, and
a spike that charges set off comes after all that it did not send, nor a later spike.

At t = 0 what is left is :math:`d\ell/dI_0 = \lambda_I`, :math:`d\ell/dV_0 = \lambda_V`.

Rates: the multipliers :math:`\lambda_V(f^-)` and the spike times fixed, the loss is bilinear in
arrivals and multipliers, so :math:`d\ell/d\alpha = \sum_a w_a \partial_\alpha\lambda_I(a)`, with
the current at the start as an arrival at 0 (and the potential there likewise); the derivatives of
the flow are carried along and start anew at every spike.  No state of the forward
run is needed.  As in the scheduler, the adjoint state is kept as of the start of an epoch, so all
synapses of a delay group share one flow, and an arrival costs a handful of multiply-adds.  But what
has grown since a jump of lambda_V, over a lag t, is of the order of t, t^2 (the derivatives by the
rates) or t^3 (those of integrals), so carried over an epoch of length T and back it would lose T/t
times as many digits each time: where t is much shorter, the state moves to the arrival itself.
"""

import math
from typing import NamedTuple

import numpy as np

from eventsim._layout.epochs import epoch_start, powers_of_two
from eventsim._layout.wiring import Neurons, Wiring
from eventsim._support.compile import inlined, inner, loop
from eventsim._support.queue import Queue, first_item, first_time, put, remove
from eventsim._support.types import FloatArray, Int32Array, IntArray
from eventsim.model.flow import (
    bias_kernel,
    bias_kernel_rate_derivative,
    difference3,
    difference4,
    kernel_rate_derivatives,
    propagator,
)
from eventsim.model.jumps import AT_ONCE, CHARGE
from gradients._sweeps.flow import flow_back_with_rates
from gradients._sweeps.jumps import arrival_back, release_back, spike_back

__all__ = [
    "ALPHA",
    "ALPHAS",
    "BETA",
    "BIAS",
    "CURRENT",
    "CURRENTS",
    "POTENTIAL",
    "THRESHOLD",
    "Cotangents",
    "Events",
    "Sums",
    "Workspace",
    "by_symbol",
    "new_sums",
    "new_workspace",
    "sweep_batch",
    "with_epochs",
]

# The longer an epoch, the fewer states have to move to the next one: it lasts so many (shorter)
# time constants at most, and the factors of the flow back to its start stay below e^2.
LONGEST_EPOCH = 2.0

# Arrivals closer to a jump of the adjoint potential than this part of an epoch are met one by one:
# squares, or cubes where the loss integrates V, of its inverse are the roundings that remain.
NEAR, NEAR_INTEGRAL = 1.0 / 128.0, 1.0 / 32.0

# Columns of Workspace.adjoint; three more for each further receptor.
LAMBDA_I, LAMBDA_V, REFERENCE, RELEASE = 0, 1, 2, 3
I_ALPHA, I_BETA, V_BETA, JUMPED, N_COLUMNS = 4, 5, 6, 7, 8

# Columns of Workspace.density: that of the windows that the walk is in, and what acts on a neuron.
GIVEN, ACTING = 0, 1

# Columns of Sums.neuron; that of a further receptor r is at ALPHAS + r.
ALPHA, BETA, THRESHOLD, BIAS = 0, 1, 2, 3
ALPHAS = 3

# Columns of Sums.start; the current of a further receptor r is at CURRENTS + r.
CURRENT, POTENTIAL = 0, 1
CURRENTS = 1

# Kinds of a loss's events.
SET_POTENTIAL, SET_DENSITY = 0, 1


class Events(NamedTuple):
    """What a sweep walks through: a network, and all spikes of a batch.

    ``start`` (n_samples or 1, n_neurons, 1 + n_receptors) are the states at t = 0; ``stimulus =
    (offsets, times, sources)``; ``record = (offsets, times, neurons, slopes, released)``;
    ``longest = (of inputs, of neurons)`` are the longest delays.
    """

    wiring: Wiring
    neurons: Neurons
    longest: tuple[float, float]
    start: FloatArray
    stimulus: tuple[IntArray, FloatArray, IntArray]
    record: tuple[IntArray, FloatArray, Int32Array, FloatArray, FloatArray]
    ends: FloatArray


class Cotangents(NamedTuple):
    """What the loss depends on.

    ``inputs`` and ``spikes``: derivative by each input spike and each recorded spike, flat; the
    sweep completes them.  Events at ``time`` (n_events,), descending, of ``kind``: add ``value``
    (n_samples, n_events, n_neurons) to the adjoint potential, or set the density of the integral
    (NaN: leave the neuron alone).  ``level`` (n_neurons,): by a shift of all potentials.
    """

    inputs: FloatArray
    spikes: FloatArray
    time: FloatArray
    kind: IntArray
    value: FloatArray
    level: FloatArray


class Sums(NamedTuple):
    """Gradients, one row per strand of samples; the rows are added up in order.

    ``weight`` (n_strands, n_synapses), ``delay`` likewise (width 0 if no projection asks for it),
    ``group`` (n_strands, n_groups) delays of whole groups, ``neuron`` (n_strands, n_neurons, 3 +
    n_receptors); ``start`` (n_strands or n_samples, n_neurons, 1 + n_receptors) by the states at t
    = 0, of every sample if they begin in states of their own.
    """

    weight: FloatArray
    delay: FloatArray
    group: FloatArray
    neuron: FloatArray
    start: FloatArray


class Workspace(NamedTuple):
    """Scratch arrays of one strand: nothing per synapse, nothing per arrival.

    ``density`` (n_neurons, 2) of a loss that integrates V; ``latest`` (n_neurons,) the last
    spike of each neuron that the walk has yet to reach, ``previous`` (n_spikes,) the one before;
    ``trigger`` (n_neurons,) the last one that charges set off, and ``owed`` (n_neurons,) the
    derivative by its time, until the charge behind it has it.
    """

    adjoint: FloatArray
    density: FloatArray
    latest: Int32Array
    previous: Int32Array
    trigger: Int32Array
    owed: FloatArray
    flying: Queue
    group: Int32Array


def with_epochs(neurons: Neurons) -> Neurons:
    """Return the neurons with epochs for a sweep: of about a (shorter) time constant."""
    return neurons._replace(epoch=powers_of_two(neurons, LONGEST_EPOCH))


def by_symbol(neuron: FloatArray) -> dict[str, FloatArray]:
    """Return the columns of `Sums.neuron` by what they are derivatives by."""
    further = range(ALPHAS + 1, neuron.shape[1])
    columns = {"beta": BETA, "threshold": THRESHOLD, "bias": BIAS}
    return {"alpha": neuron[:, [ALPHA, *further]], **{k: neuron[:, c] for k, c in columns.items()}}


def new_sums(
    wiring: Wiring, neurons: Neurons, n_strands: int, n_starts: int, per_synapse_delays: bool
) -> Sums:
    """Return gradients of 0."""
    n_synapses, n_neurons = wiring.weight.size, neurons.kind.size
    n_receptors = len(neurons.receptors)
    return Sums(
        np.zeros((n_strands, n_synapses)),
        np.zeros((n_strands, n_synapses if per_synapse_delays else 0)),
        np.zeros((n_strands, wiring.delay.size)),
        np.zeros((n_strands, n_neurons, ALPHAS + n_receptors)),
        np.zeros((n_starts, n_neurons, CURRENTS + n_receptors)),
    )


def new_workspace(neurons: Neurons, n_strands: int, n_spikes: int, n_flights: int) -> Workspace:
    """Return scratch arrays for samples of at most ``n_spikes`` spikes and ``n_flights`` in all."""
    n_neurons, further = neurons.kind.size, len(neurons.receptors) - 1
    return Workspace(
        np.empty((n_strands, n_neurons, N_COLUMNS + 3 * further)),
        np.empty((n_strands, n_neurons, 2)),
        np.empty((n_strands, n_neurons), dtype=np.int32),
        np.empty((n_strands, n_spikes), dtype=np.int32),
        np.empty((n_strands, n_neurons), dtype=np.int32),
        np.empty((n_strands, n_neurons)),
        Queue(
            np.empty((n_strands, n_flights)),
            np.empty((n_strands, n_flights), dtype=np.int32),
            np.full((n_strands, n_flights), -1, dtype=np.int32),
            np.zeros((n_strands, 1), dtype=np.int64),
        ),
        np.empty((n_strands, n_flights), dtype=np.int32),
    )


@loop
def sweep_batch(events, cotangents, sums, work, n_strands, stop, first, last):
    """Sweep the samples of the strands ``first : last``: each has samples that follow each other.

    If ``stop[0]`` is set meanwhile, the sums are not completed.
    """
    stimulus, record = events.stimulus, events.record
    n_samples = stimulus[0].size - 1
    for strand in range(first, last):
        flying = Queue(
            work.flying.time[strand],
            work.flying.item[strand],
            work.flying.place[strand],
            work.flying.size[strand],
        )
        scratch = Workspace(
            work.adjoint[strand],
            work.density[strand],
            work.latest[strand],
            work.previous[strand],
            work.trigger[strand],
            work.owed[strand],
            flying,
            work.group[strand],
        )
        for k in range(n_samples * strand // n_strands, n_samples * (strand + 1) // n_strands):
            own = Sums(
                sums.weight[strand],
                sums.delay[strand],
                sums.group[strand],
                sums.neuron[strand],
                sums.start[k if sums.start.shape[0] == n_samples else strand],
            )
            given = slice(stimulus[0][k], stimulus[0][k + 1])
            fired = slice(record[0][k], record[0][k + 1])
            loss = Cotangents(
                cotangents.inputs[given],
                cotangents.spikes[fired],
                cotangents.time,
                cotangents.kind,
                cotangents.value[k],
                cotangents.level,
            )
            sweep(
                events.wiring,
                events.neurons,
                events.longest,
                events.start[k if events.start.shape[0] == n_samples else 0],
                (stimulus[1][given], stimulus[2][given]),
                (record[1][fired], record[2][fired], record[3][fired], record[4][fired]),
                events.ends[k],
                loss,
                own,
                scratch,
                stop,
            )


@inner
def sweep(wiring, neurons, longest, states, stimulus, record, t_stop, loss, sums, work, stop):
    """Walk one sample backward from ``t_stop`` to 0, adding to ``sums`` and completing ``loss``."""
    times, sources = stimulus
    spike_times, spike_neurons = record[0], record[1]
    n_inputs = times.size
    n_sources = wiring.first_group.size - 1 - neurons.kind.size
    _begin(neurons, record, t_stop, work)
    # Of the same time the later spike comes first: spikes under way are queued by their rank from
    # the end.
    last = n_inputs + spike_times.size - 1
    given, fired, spike, event = n_inputs - 1, spike_times.size - 1, spike_times.size - 1, 0
    while not stop[0]:
        # A spike enters the walk at the latest time at which it could arrive anywhere.
        now_given = times[given] + longest[0] if given >= 0 else -math.inf
        now_fired = spike_times[fired] + longest[1] if fired >= 0 else -math.inf
        now_flying = -first_time(work.flying)
        now_spike = spike_times[spike] if spike >= 0 else -math.inf
        now_event = loss.time[event] if event < loss.time.size else -math.inf
        arrival = max(now_given, now_fired, now_flying)
        if now_event >= arrival and now_event >= now_spike and now_event > -math.inf:
            _apply_event(neurons, record, loss, sums, work, event)
            event += 1
        elif arrival >= now_spike and arrival > -math.inf:
            number = last - first_item(work.flying) if now_flying == arrival else -1
            entering = given if now_given == arrival else -1
            if now_fired == arrival:
                entering = n_inputs + fired
            sender = max(number, entering) - n_inputs
            is_tied = len(neurons.charging) > 0 and now_spike == arrival and sender < spike
            if is_tied and record[2][spike] == AT_ONCE:  # the spike came after the arrival
                _pass_spike(neurons, record, loss, sums, work, spike)
                spike -= 1
                continue
            if number > entering:
                g = work.group[number]
            elif entering >= n_inputs:
                number = entering
                g = wiring.first_group[n_sources + spike_neurons[fired] + 1] - 1
                fired -= 1
            else:
                number = entering
                g = wiring.first_group[sources[given] + 1] - 1
                given -= 1
            if number < n_inputs:
                source, emitted = sources[number], times[number]
            else:
                source = n_sources + spike_neurons[number - n_inputs]
                emitted = spike_times[number - n_inputs]
            start = wiring.first_group[source]
            while g >= start and emitted + wiring.delay[g] > t_stop:
                g -= 1
            while g >= start and emitted + wiring.delay[g] == arrival:
                back = _deliver(wiring, neurons, record, loss, sums, work, g, arrival)
                if number < n_inputs:
                    loss.inputs[number] += back
                else:
                    loss.spikes[number - n_inputs] += back
                g -= 1
            if g >= start:
                work.group[number] = g
                put(work.flying, last - number, -(emitted + wiring.delay[g]))
            elif work.flying.place[last - number] >= 0:
                remove(work.flying, last - number)
        elif now_spike > -math.inf:
            _pass_spike(neurons, record, loss, sums, work, spike)
            spike -= 1
        else:
            break
    for i in range(neurons.kind.size):
        _settle(neurons, sums, work, i, 0.0)
        _start(neurons, states[i], work.adjoint[i], sums.neuron[i], sums.start[i])


@inlined
def _columns(receptor):
    """Return where lambda_I of a receptor stands in the adjoint state, and its derivatives."""
    if receptor == 0:
        return LAMBDA_I, I_ALPHA, I_BETA
    first = N_COLUMNS + 3 * (receptor - 1)
    return first, first + 1, first + 2


@inlined
def _start(neurons, state, adjoint, by_neuron, by_start):
    """Add the derivatives by the state of a neuron at t = 0, and what it contributes to others."""
    by_start[POTENTIAL] += adjoint[LAMBDA_V]
    by_neuron[BETA] += state[POTENTIAL] * adjoint[V_BETA]
    for r in range(len(neurons.receptors)):
        current, current_alpha, current_beta = _columns(r)
        at = CURRENTS + r if r > 0 else CURRENT
        by_start[at] += adjoint[current]
        by_neuron[ALPHAS + r if r > 0 else ALPHA] += state[at] * adjoint[current_alpha]
        by_neuron[BETA] += state[at] * adjoint[current_beta]


@inlined
def _begin(neurons, record, t_stop, work):
    """Set the adjoint state at ``t_stop`` to 0 and link the spikes of each neuron."""
    work.latest[:] = -1
    work.trigger[:] = -1
    for k in range(record[0].size):
        i = record[1][k]
        work.previous[k] = work.latest[i]
        work.latest[i] = k
    work.adjoint[:] = 0.0
    work.density[:] = 0.0
    for i in range(neurons.kind.size):
        work.adjoint[i, REFERENCE] = t_stop
        work.adjoint[i, JUMPED] = math.inf
        _await_release(neurons, record, work, i)
        if work.adjoint[i, RELEASE] > t_stop:
            work.adjoint[i, RELEASE] = -math.inf


@inlined
def _await_release(neurons, record, work, i):
    """Note when the walk meets the end of the refractory period of the neuron's next spike."""
    k = work.latest[i]
    release = record[0][k] + neurons.refractory[i] if k >= 0 else -math.inf
    work.adjoint[i, RELEASE] = release


@inlined
def _apply_event(neurons, record, loss, sums, work, event):
    """Let the loss act on the adjoint potentials; a held potential is constant and has no say."""
    now = loss.time[event]
    for i in range(neurons.kind.size):
        value = loss.value[event, i]
        if math.isnan(value) or (value == 0.0 and loss.kind[event] == SET_POTENTIAL):
            continue
        if now < work.adjoint[i, RELEASE]:
            _release(neurons, record, loss, sums, work, i)
        _settle(neurons, sums, work, i, now)
        work.adjoint[i, JUMPED] = now
        held = _is_held(neurons, record, work, i, now)
        if loss.kind[event] == SET_DENSITY:
            work.density[i, GIVEN] = value
            if not held:
                work.density[i, ACTING] = value
        elif not held:
            work.adjoint[i, LAMBDA_V] += value


@inlined
def _deliver(wiring, neurons, record, loss, sums, work, g, now):
    """Take the arrivals of delay group ``g`` back; return the derivative by their common time."""
    kind, receptor = wiring.kind[g], wiring.receptor[g]
    if len(neurons.charging) > 0 and receptor == CHARGE:
        return _take_charges(wiring, neurons, record, loss, sums, work, g, now)
    alpha, beta = neurons.alpha[kind, receptor], neurons.beta[kind]
    current, current_alpha, current_beta = _columns(receptor)
    by_alpha_at = ALPHAS + receptor if receptor > 0 else ALPHA
    epoch = epoch_start(now, neurons.epoch[kind])
    integrates = loss.time.size > 0
    lag, near = epoch - now, (NEAR_INTEGRAL if integrates else NEAR) * neurons.epoch[kind]
    synaptic, membrane, h = propagator(lag, alpha, beta)
    h_alpha, h_beta = kernel_rate_derivatives(lag, alpha, beta, synaptic, h)
    adjoint = work.adjoint
    total = 0.0
    for s in range(wiring.start[g], wiring.stop[g]):
        i = wiring.target[s]
        weight = wiring.weight[s]
        if now < adjoint[i, RELEASE]:
            _release(neurons, record, loss, sums, work, i)
        is_near = adjoint[i, JUMPED] - now < near
        reference = now if is_near else epoch
        if adjoint[i, REFERENCE] != reference:
            _settle(neurons, sums, work, i, reference)
        by_current, by_potential = adjoint[i, current], adjoint[i, LAMBDA_V]
        if is_near:
            lambda_i, lambda_v = by_current, by_potential
            i_alpha, i_beta = adjoint[i, current_alpha], adjoint[i, current_beta]
        else:
            lambda_i = by_current * synaptic + by_potential * h
            lambda_v = by_potential * membrane
            i_alpha = (
                adjoint[i, current_alpha] - lag * by_current
            ) * synaptic + by_potential * h_alpha
            i_beta = (
                adjoint[i, current_beta] * synaptic + adjoint[i, V_BETA] * h + by_potential * h_beta
            )
        density = work.density[i, ACTING] if integrates else 0.0
        if density != 0.0 and not is_near:
            lambda_i += density * difference3(lag, 0.0, alpha, beta)
            lambda_v += density * bias_kernel(lag, beta)
            i_alpha -= density * difference4(lag, 0.0, alpha, alpha, beta)
            i_beta -= density * difference4(lag, 0.0, alpha, beta, beta)
        moved = arrival_back(weight, alpha, lambda_i, lambda_v)
        total += moved
        sums.weight[s] += lambda_i
        if sums.delay.size:
            sums.delay[s] += moved
        sums.neuron[i, by_alpha_at] += weight * i_alpha
        sums.neuron[i, BETA] += weight * i_beta
    sums.group[g] += total
    return total


@inner
def _take_charges(wiring, neurons, record, loss, sums, work, g, now):
    """Do the same with charges."""
    beta = neurons.beta[wiring.kind[g]]
    adjoint, total = work.adjoint, 0.0
    for s in range(wiring.stop[g] - 1, wiring.start[g] - 1, -1):
        i, weight = wiring.target[s], wiring.weight[s]
        if now < adjoint[i, RELEASE]:
            _release(neurons, record, loss, sums, work, i)
        _settle(neurons, sums, work, i, now)
        moved, trigger = 0.0, work.trigger[i]
        if trigger >= 0 and record[0][trigger] == now:
            if weight > 0.0:  # the last one to come of those that set the spike off
                moved, work.owed[i] = work.owed[i], 0.0
        elif not _is_held(neurons, record, work, i, now):
            sums.weight[s] += adjoint[i, LAMBDA_V]
            sums.neuron[i, BETA] += weight * adjoint[i, V_BETA]
            moved = weight * beta * adjoint[i, LAMBDA_V]
        total += moved
        if sums.delay.size:
            sums.delay[s] += moved
    sums.group[g] += total
    return total


@inlined
def _is_held(neurons, record, work, i, now):
    """Tell whether the potential of neuron ``i`` is held after its spike before ``now``."""
    k = work.latest[i]
    return k >= 0 and now < record[0][k] + neurons.refractory[i]


@inlined
def _release(neurons, record, loss, sums, work, i):
    """Cross the end of the refractory period of the neuron's next spike; V is held before it."""
    adjoint = work.adjoint
    _settle(neurons, sums, work, i, adjoint[i, RELEASE])
    k = work.latest[i]
    loss.spikes[k] = release_back(
        loss.spikes[k], record[3][k], neurons.bias[i], adjoint[i, LAMBDA_V]
    )
    adjoint[i, LAMBDA_V] = 0.0
    adjoint[i, V_BETA] = 0.0
    work.density[i, ACTING] = 0.0
    adjoint[i, RELEASE] = -math.inf


@inlined
def _pass_spike(neurons, record, loss, sums, work, k):
    """Cross spike ``k``: its time is set by the potential, whose adjoint starts here."""
    i = record[1][k]
    adjoint = work.adjoint
    if adjoint[i, RELEASE] > -math.inf:
        _release(neurons, record, loss, sums, work, i)
    _settle(neurons, sums, work, i, record[0][k])
    density = work.density[i, GIVEN]
    if density != 0.0:
        loss.spikes[k] += density * neurons.threshold[i]
    lambda_v = spike_back(loss.spikes[k], record[2][k])
    adjoint[i, LAMBDA_V] = lambda_v
    adjoint[i, V_BETA] = 0.0
    work.density[i, ACTING] = density
    adjoint[i, JUMPED] = record[0][k]
    sums.neuron[i, THRESHOLD] -= lambda_v
    if len(neurons.charging) > 0 and record[2][k] == AT_ONCE:
        work.trigger[i] = k
        work.owed[i] = loss.spikes[k]
    work.latest[i] = work.previous[k]
    _await_release(neurons, record, work, i)


@inlined
def _settle(neurons, sums, work, i, time):
    """Move the adjoint state of neuron ``i`` to ``time``, with its derivatives by the rates."""
    adjoint = work.adjoint
    kind = neurons.kind[i]
    alpha, beta, bias = neurons.alpha[kind, 0], neurons.beta[kind], neurons.bias[i]
    lag = adjoint[i, REFERENCE] - time
    density = work.density[i, ACTING]
    for r in range(1, len(neurons.receptors)):
        _settle_further(adjoint[i], r, lag, neurons.alpha[kind, r], beta, density)
    lambda_i, lambda_v, i_alpha, i_beta, v_beta, by_beta, by_bias = flow_back_with_rates(
        lag, alpha, beta, bias, adjoint[i, LAMBDA_I], adjoint[i, LAMBDA_V], adjoint[i, I_ALPHA],
        adjoint[i, I_BETA], adjoint[i, V_BETA],
    )  # fmt: skip
    sums.neuron[i, BETA] += by_beta
    sums.neuron[i, BIAS] += by_bias
    if density != 0.0:
        b_beta = bias_kernel_rate_derivative(lag, beta)
        lambda_i += density * difference3(lag, 0.0, alpha, beta)
        lambda_v += density * bias_kernel(lag, beta)
        i_alpha -= density * difference4(lag, 0.0, alpha, alpha, beta)
        i_beta -= density * difference4(lag, 0.0, alpha, beta, beta)
        v_beta += density * b_beta
        sums.neuron[i, BIAS] += density * difference3(lag, 0.0, 0.0, beta)
        sums.neuron[i, BETA] -= bias * density * difference4(lag, 0.0, 0.0, beta, beta)
    adjoint[i, LAMBDA_I] = lambda_i
    adjoint[i, LAMBDA_V] = lambda_v
    adjoint[i, I_ALPHA] = i_alpha
    adjoint[i, I_BETA] = i_beta
    adjoint[i, V_BETA] = v_beta
    adjoint[i, REFERENCE] = time


@inlined
def _settle_further(state, r, lag, alpha, beta, density):
    """Move lambda_I of a further receptor, before lambda_V is moved."""
    current, current_alpha, current_beta = _columns(r)
    lambda_i, _, i_alpha, i_beta, _, _, _ = flow_back_with_rates(
        lag, alpha, beta, 0.0, state[current], state[LAMBDA_V], state[current_alpha],
        state[current_beta], state[V_BETA],
    )  # fmt: skip
    if density != 0.0:
        lambda_i += density * difference3(lag, 0.0, alpha, beta)
        i_alpha -= density * difference4(lag, 0.0, alpha, alpha, beta)
        i_beta -= density * difference4(lag, 0.0, alpha, beta, beta)
    state[current] = lambda_i
    state[current_alpha] = i_alpha
    state[current_beta] = i_beta
