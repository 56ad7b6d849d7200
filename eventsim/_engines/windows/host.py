"""The window engine: networks whose neurons act on each other with a positive delay.

`eventsim._engines.windows.loop` is the loop; this module prepares it, lets its arrays grow, and
tells where it applies.  The width of a window is limited by the shortest delay between neurons
(what arrives in a window was sent before it) and by half of the shortest time constant.
"""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal, localcontext
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from eventsim._engines.base import Excess, Job, batch_result
from eventsim._engines.parts import carried_from
from eventsim._engines.scheduler import host as scheduler
from eventsim._engines.scheduler.loop import SchedulerState
from eventsim._engines.windows.arrays import DEGREES, HELD, MARGIN, Grid, WindowState
from eventsim._engines.windows.bundles import (
    OWN,
    Bundles,
    Cut,
    bundles_of,
    cut_at_hand,
    neurons_of,
    place_of,
    shares_of,
)
from eventsim._engines.windows.sample import Others, Sample, Share
from eventsim._layout.record import FURTHER, N_COUNTS, REFERENCE, Record, end_to_end, new_record
from eventsim._layout.wiring import Neurons, delay_spans, kept_by, layout_of
from eventsim._support.threads import for_each_part
from eventsim._support.types import FloatArray, Int32Array, IntArray
from eventsim.model.flow import bias_kernel, propagator
from eventsim.model.jumps import CHARGE
from eventsim.network import Network
from eventsim.ranks import WHOLE, Ranks
from eventsim.result import BatchResult, begun_from
from eventsim.start import Start

__all__ = ["carried", "obstacle", "pays", "run", "window_width"]

LARGEST_LAG = 0.5  # times the faster rate: the series of the loop are exact to rounding up to it
CHARGED_LAG = 1.0 / 128.0  # where charges raise V at once: the fewer of them, the better the bound
DIGITS = 20  # bits of the width: its multiples are exact
LAST_WINDOW = 2**32  # multiples of the width are exact up to it
MOST_WINDOWS = 10**8  # of a run: some are empty and cost nothing, but nobody waits for more
# What is worth a thread: so many neurons, and windows.
LEAST_NEURONS, LEAST_WINDOWS = 1000, 100


# --- where the engine applies ---------------------------------------------------------------------


@kept_by("structure")
def window_width(network: Network) -> float:
    """Return the width of the windows; ``inf`` if neither a delay nor a time constant limits it."""
    neurons = layout_of(network).neurons
    rate = max(neurons.alpha.max(), neurons.beta.max())
    lag = CHARGED_LAG if neurons.charging else LARGEST_LAG
    width = min(delay_spans(network).neurons[0], lag / rate if rate else np.inf)
    if width == np.inf:
        return width
    digits, exponent = math.frexp(width)
    return math.ldexp(math.floor(digits * 2**DIGITS), exponent - DIGITS)


def obstacle(job: Job) -> str | None:
    """Return why the window engine cannot do this job, as an error message; None if it can."""
    if job.until_fired is not None:
        return (
            f"engine 'windows' cannot stop early: until_fired must be None, got {job.until_fired!r}"
        )
    t_stop = job.t_stop
    t_start = 0.0 if job.old is None else float(job.old.ends.max())
    width = window_width(job.network)
    if width == 0.0:
        return (
            "engine 'windows' needs delays > 0 of all synapses between neurons, "
            f"got a smallest one of {delay_spans(job.network).neurons[0]!r}"
        )
    if width == np.inf:
        return (
            "engine 'windows' needs a delay between neurons or a finite time constant, got neither"
        )
    for begun, most in ((0.0, LAST_WINDOW), (t_start, MOST_WINDOWS)):
        if (t_stop - begun) / width > most:
            return (
                f"engine 'windows' cannot do more than {most} windows of {width} (the shortest "
                f"delay, or half of the shortest time constant), got t_stop {t_stop!r}"
            )
    return None


def pays(job: Job) -> bool:
    """Tell whether windows can be expected to beat the scheduler.

    The cost of a window is that of its pass over all neurons, each a tenth of that of an arrival.
    So windows pay from 200 neurons on, if one neuron in ten would receive a spike in an average
    window when every source fired once in ten (slower) time constants.  Neurons of more than 8
    kinds, or mixed ones, would each need a pass of their own.
    """
    neurons = layout_of(job.network).neurons
    n, synapses = neurons.kind.size, job.network.n_synapses
    if n < 200 or neurons.beta.size > 8 or 16 * len(_ranges(neurons.kind)) > n + 64:
        return False
    pace = np.minimum(neurons.alpha.min(axis=1), neurons.beta).max()
    return bool(synapses / n * window_width(job.network) * pace / 10.0 >= 0.1)


# --- preparation ----------------------------------------------------------------------------------


def _ranges(kind: Int32Array) -> IntArray:
    """Return (first, one past the last, kind) of neurons of one kind that follow each other."""
    first = np.flatnonzero(np.diff(kind, prepend=-1))
    last = np.append(first, kind.size)[1:]
    return np.stack([first, last, kind[first]], axis=1).astype(np.int64)


def _grid(neurons: Neurons, width: float, charged: bool) -> Grid:
    rates = [
        [(a, b) for a in alphas] for alphas, b in zip(neurons.alpha, neurons.beta, strict=True)
    ]
    kinds, series = (
        np.array([[row_of(*pair, width) for pair in pairs] for pairs in rates])
        for row_of in (_kind_row, factor_series)
    )
    fires = np.isfinite(neurons.threshold)
    beta = neurons.beta[neurons.kind]
    holding = np.full(fires.size, np.inf)
    holding[fires] = beta[fires] * neurons.threshold[fires] - neurons.bias[fires]
    holding[fires] -= MARGIN * np.abs(holding[fires])
    push = np.array([bias_kernel(width, b) for b in neurons.beta])[neurons.kind] * neurons.bias
    rest, limit = _charged_limits(neurons)
    columns = [neurons.threshold, holding, push, rest, limit]
    alike = all(np.all(column == column[:1]) for column in columns)
    columns = [np.ascontiguousarray(column[:1] if alike else column) for column in columns]
    threshold, holding, push, rest, limit = columns
    return Grid(
        width, kinds, series, _ranges(neurons.kind), 0 if alike else 1, threshold, holding, push,
        int(charged), rest, limit,
    )  # fmt: skip


def _charged_limits(neurons: Neurons) -> tuple[FloatArray, FloatArray]:
    """Return where neurons rest, and how far above it charges may set them off.

    That is less than up to the threshold, by more than any rounding.
    """
    beta, fires = neurons.beta[neurons.kind], np.isfinite(neurons.threshold)
    rest = np.divide(neurons.bias, beta, out=np.zeros_like(beta), where=beta > 0.0)
    limit = neurons.threshold - rest
    limit[fires] -= MARGIN * (np.abs(neurons.threshold) + np.abs(rest))[fires]
    return rest, limit


def _is_charged(network: Network, bundles: Bundles) -> bool:
    """Tell whether all that arrives are charges, without which no neuron fires.

    So the potentials of all must fall to a rest below threshold, or stay where they are.
    """
    if any(set(neuron.columns) != {CHARGE} for neuron in network.neurons.values()):
        return False
    neurons = layout_of(network).neurons
    beta, bias, threshold = neurons.beta[neurons.kind], neurons.bias, neurons.threshold
    leaks = beta > 0.0
    holding = np.multiply(beta, threshold, out=np.zeros_like(beta), where=leaks)
    stays = np.where(bias == 0.0, threshold >= 0.0, leaks & (bias < holding))
    return bool(np.all(stays)) and not bundles.table[:, OWN].any()


def _kind_row(alpha: float, beta: float, width: float) -> tuple[float, ...]:
    """Return the row of `Grid.kind` of a receptor of a kind."""
    synaptic, membrane, h = propagator(width, alpha, beta)
    b = bias_kernel(width, beta)
    safe = h * (1.0 + MARGIN)
    ratio, inverse = membrane / b * (1.0 - MARGIN), (1.0 + MARGIN) / b
    mean = h / b * (1.0 + MARGIN)
    (synaptic, *synaptic_rest), (membrane, *membrane_rest) = (
        _fall(r, width) for r in (alpha, beta)
    )
    return (
        synaptic, membrane, h, safe, ratio, inverse, mean, *synaptic_rest, *membrane_rest,
        _degree(max(alpha, beta) * width),
    )  # fmt: skip


def _degree(lag: float) -> int:
    """Return the lowest degree with which `factor_series` is exact to rounding."""
    return next(n for n in DEGREES if (lag / 2.0) ** (n + 1) < 2.0**-55 * math.factorial(n + 1))


def factor_series(alpha: float, beta: float, width: float) -> FloatArray:
    """Return coefficients (2, 13) of exp(alpha t) and -h(-t)/t, in powers of z = 2 t/width - 1.

    The second one is the mean of exp(s t) over the rates s between alpha and beta.  So its
    coefficient n is the sum over m of the mean of s**(n + m), for s in units of 2/width, over
    n! m!: no term is negative.
    """
    a, (slow, fast) = alpha * width / 2.0, (rate * width / 2.0 for rate in sorted((alpha, beta)))
    n_means = DEGREES[-1] + 20
    sums = list(accumulate(range(1, n_means), lambda h, n: fast * h + slow**n, initial=1.0))
    means = np.array(sums) / np.arange(1, n_means + 1)
    over = 1.0 / np.array([float(math.factorial(n)) for n in range(n_means)])
    series = np.zeros((2, DEGREES[-1] + 1))
    for n in range(_degree(2.0 * fast) + 1):
        series[0, n] = over[n] * math.exp(a) * a**n
        series[1, n] = over[n] * np.dot(means[n:], over[: n_means - n])
    return series


def _fall(rate: float, width: float) -> tuple[float, float, float]:
    """Return the number below ``exp(-rate width)``, the step to the next one, and how far it is.

    ``loop.window_factor`` takes one of the two.
    """
    with localcontext() as context:
        context.prec = 60
        exact = (-Decimal(rate) * Decimal(width)).exp()
        below = float(exact)
        below = math.nextafter(below, 0.0) if Decimal(below) > exact else below
        step = math.nextafter(below, 2.0) - below
        return below, step, float((exact - Decimal(below)) / Decimal(step))


def _new_state(neurons: Neurons, start: Start) -> WindowState:
    """Return the state of a batch at its start."""
    n, n_samples = neurons.kind.size, start.n_samples
    return WindowState(
        neuron=np.zeros((n_samples, n, FURTHER + len(neurons.receptors))),
        level=_levels(start),
        release=np.zeros((n_samples, n)),
        latest=np.full((n_samples, n), -1, dtype=np.int32),
        count=np.zeros((n_samples, N_COUNTS), dtype=np.int64),
        mark=np.zeros((n_samples, N_COUNTS), dtype=np.int64),
    )


def _levels(start: Start) -> FloatArray:
    """Return the currents and potentials at the start, of all samples."""
    states = start.states
    return np.broadcast_to(states, (start.n_samples, *states.shape[1:])).copy()


# --- a run ----------------------------------------------------------------------------------------


def run(job: Job) -> tuple[BatchResult, Excess]:
    """Run all samples, or those up to the first one that exceeds the cap."""
    if job.old is not None and isinstance(job.old.state, SchedulerState):
        return _run_from_within(job, job.old)
    neurons, given, old = layout_of(job.network).neurons, job.given, job.old
    if old is None:
        state = _new_state(neurons, given.start)
        records = [new_record(0)] * given.n_samples
    else:
        state, records = _resumed(old)
    cut = _cut(job)
    shares, idle = _shares(job.network, cut), _idle(job, cut)
    others = None if job.ranks is None else _others(job.network, job.ranks)
    ends, excess = np.full(given.n_samples, job.t_stop), Excess()

    def run_part(first: int, last: int) -> None:
        sample = _one_of(idle) or Sample(shares, others)
        for k in range(first, last):
            if any(number < k for number in list(excess)):
                break  # the run will end with that one
            part = slice(given.offsets[k], given.offsets[k + 1])
            one = WindowState._make(array[k] for array in state)
            spikes = given.times[part], given.sources[part]
            limits = job.t_stop, job.max_spikes
            records[k], beyond = sample.run(shares, spikes, one, records[k], *limits)
            if beyond is not None:
                excess[k], ends[k] = beyond, beyond[1]
                _begin_anew(one, given.start.of(np.array([k])))
        idle.append(sample)

    for_each_part(run_part, given.n_samples, job.threads if job.ranks is None else 1)
    if excess:
        last = min(excess)
        excess, records, ends = {last: excess[last]}, records[: last + 1], ends[: last + 1]
    state = WindowState._make(array[: ends.size] for array in state)
    return batch_result(job, ends, end_to_end(records), state), excess


def _idle(job: Job, cut: Cut) -> list[Sample]:
    """Return the samples that have ended, and may be run again; those of parts are kept for all."""
    if job.history or job.ranks is not None:
        return []
    kept = _idle_samples(job.network)
    if cut not in kept:
        kept.clear()
    return kept.setdefault(cut, [])


@kept_by("version")
def _idle_samples(network: Network) -> dict[Cut, list[Sample]]:  # noqa: ARG001
    """Return where samples of parts of runs are kept, of one cut."""
    return {}


def _one_of(idle: list[Sample]) -> Sample | None:
    """Take one of them, if there is one left; several threads may."""
    try:
        return idle.pop()
    except IndexError:
        return None


def _cut(job: Job) -> Cut:
    """Return how the neurons are shared: one share a thread, if they are large enough.

    Samples of a batch have a thread each.  A few windows are not worth new bundles.
    """
    part = WHOLE if job.ranks is None else job.ranks.part
    at_hand = cut_at_hand(job.network, part)
    if job.given.n_samples > 1:
        return Cut(part, 1)
    t_start = 0.0 if job.old is None else float(job.old.ends.max())
    if job.t_stop - t_start < LEAST_WINDOWS * window_width(job.network):
        return at_hand if at_hand and at_hand.n_shares <= job.threads else Cut(part, 1)
    n = neurons_of(job.network, part).size
    return Cut(part, max(1, min(job.threads, n // LEAST_NEURONS)))


def _shares(network: Network, cut: Cut) -> list[Share]:
    """Return the shares of a cut."""
    forms, each = _forms(network), bundles_of(network, cut)
    if cut not in forms:
        charged = _is_charged(network, each[0])
        forms[cut] = [_form_of(network, numbers, charged) for numbers in shares_of(network, cut)]
    shares, low = [], 0
    for form, bundles in zip(forms[cut], each, strict=True):
        high = low + form.numbers.size
        shares.append(Share(low, high, form.numbers, form.place, bundles, form.neurons, form.grid))
        low = high
    return shares


class ShareForm(NamedTuple):
    """What a share is, but for its synapses."""

    numbers: IntArray
    place: Int32Array
    neurons: Neurons
    grid: Grid


@kept_by("structure")
def _forms(network: Network) -> dict[Cut, list[ShareForm]]:  # noqa: ARG001
    """Return where the forms of shares are kept."""
    return {}


def _form_of(network: Network, numbers: IntArray, charged: bool) -> ShareForm:
    neurons = layout_of(network).neurons
    own = neurons if numbers.size == neurons.kind.size else _some(neurons, numbers)
    place = place_of(numbers, neurons.kind.size)
    return ShareForm(numbers, place, own, _grid(own, window_width(network), charged))


def _others(network: Network, ranks: Ranks) -> Others:
    rank_of = np.empty(layout_of(network).n_neurons, dtype=np.int64)
    for rank in range(ranks.part[1]):
        rank_of[neurons_of(network, (rank, ranks.part[1]))] = rank
    return Others(ranks, rank_of)


def _some(neurons: Neurons, numbers: IntArray) -> Neurons:
    """Return some of the neurons."""
    return neurons._replace(
        kind=neurons.kind[numbers],
        threshold=neurons.threshold[numbers],
        bias=neurons.bias[numbers],
        refractory=neurons.refractory[numbers],
        bound=neurons.bound[numbers],
        reset=neurons.reset[numbers],
    )


def _begin_anew(state: WindowState, start: Start) -> None:
    """Let a run that exceeded its cap be resumed from the start; it has no state at its end."""
    state.level[...] = _levels(start)[0]
    for array in (state.release, state.mark):
        array[...] = 0
    state.latest[...] = -1
    state.neuron[:, REFERENCE] = np.inf


def _resumed(old: BatchResult) -> tuple[WindowState, list[Record]]:
    """Return (state, records) of a batch result, to be run on."""
    assert isinstance(old.state, WindowState)
    state = WindowState._make(array.copy() for array in old.state)
    records = []
    for k in range(len(old)):
        part = slice(old.offsets[k], old.offsets[k] + state.mark[k, 0])
        records.append(Record._make(column[part] for column in old.record))
    return state, records


# --- parts ----------------------------------------------------------------------------------------


def carried(old: BatchResult) -> BatchResult:
    """Return a run with little more than what may still act, or happens in its last window."""
    state = old.state
    if isinstance(state, SchedulerState):
        return scheduler.carried(old)
    assert isinstance(state, WindowState)

    def moved(spikes: IntArray, unread: IntArray) -> WindowState:  # noqa: ARG001
        mark = state.mark.copy()
        mark[:, 0] += spikes
        latest = np.maximum(state.latest + spikes[:, None], 0).astype(np.int32)
        return state._replace(latest=latest, mark=mark)

    begin = state.mark[:, 4].astype(np.float64) * window_width(old.network)
    return carried_from(old, begin, moved)


def _run_from_within(job: Job, old: BatchResult) -> tuple[BatchResult, Excess]:
    """Go on from within a window, where parameters changed: the scheduler does the rest of it."""
    width = window_width(job.network)
    number = math.floor(float(old.ends[0]) / width)
    while number * width <= old.ends[0]:
        number += 1
    end = math.nextafter(number * width, 0.0)
    rest, excess = scheduler.run(job._replace(t_stop=min(job.t_stop, end)))
    if excess or job.t_stop <= end:
        return rest, excess
    return run(job._replace(old=_at_window(rest, number, width)))


def _at_window(old: BatchResult, number: int, width: float) -> BatchResult:
    """Return a run of the scheduler that ends just before a window, as one of windows."""
    assert isinstance(old.state, SchedulerState)
    count, latest, n_receptors = old.state.count, old.state.latest, old.state.neuron.shape[2] - 3
    edges = np.full(len(old), number * width)
    begun = begun_from(layout_of(old.network).neurons, old.state.neuron, edges)
    held = begun.release > edges[:, None]
    level = np.empty((*latest.shape, 1 + n_receptors))
    level[:, :, 0], level[:, :, 2:] = begun.currents[:, :, 0], begun.currents[:, :, 1:]
    level[:, :, 1] = np.where(held, HELD, begun.potential)
    rows = old.state.neuron.copy()
    columns = [0, *range(FURTHER + 1, FURTHER + n_receptors)]
    level[held] = np.insert(rows[:, :, columns], 1, HELD, axis=2)[held]  # as of the release
    mark = np.zeros((len(old), N_COUNTS), dtype=np.int64)
    mark[:, :4] = count[:, [0, 2, 3, 4]]
    mark[:, 4] = number
    state = WindowState(
        rows, level, np.where(held, begun.release, 0.0), latest, count[:, :N_COUNTS].copy(), mark
    )
    return replace(old, state=state)
