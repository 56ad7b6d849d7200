r"""What the event loop looks up: of neurons that have one receptor each.

Limits
------
Let nothing arrive at a neuron from some time on, at which its current is :math:`I` and its
potential :math:`V`.  Without a bias the potential stays at or below the threshold iff at every
later time

.. math:: V \le \theta e^{\beta t} - I e^{\beta t} h(t).

In units of the threshold, with :math:`x = I/(\beta\theta)` and :math:`\rho = \beta/\alpha`, the
right side is least where :math:`e^{\alpha t} = x`, or at t = 0 if :math:`x \le 1`.  So nothing
crosses iff :math:`V \le \theta f(x)`,

.. math:: f(x) = \frac{\rho x - x^\rho}{\rho - 1} \quad (x > 1), \qquad f(x) = 1 \quad (x \le 1).

With a bias c, :math:`V - c/\beta` and :math:`\theta - c/\beta` take the places of V and
:math:`\theta`: they obey the equations without it.

This needs no look at the clock.  A state is kept as of the start of its epoch, to which arrivals
are carried back, and is tested as it is kept: what never crosses from there on does not cross after
now.

*Proof that no spike is lost.*  As the least of functions that are linear in x, f is concave, and a
chord lies below it.  The table has chords, so below them is below f.  In the cells where
:math:`x \le 1` there is no limit: from now on V falls wherever it is at the threshold.  Currents
beyond the table, and neurons to which none of this applies, are above every limit.

*Rounding.*  A peak within :math:`2^{-42}` of the largest term of V there is a touch.  In units of
:math:`\theta - c/\beta`, which is at least :math:`2^{-10}` of the threshold and of the shift, these
terms are at most 1, x and \|f\|, and what is added to V at the start has fallen to
:math:`x^{-\rho}` of it at the peak.  The chords join points that lie deeper than that, four times
over.

Factors
-------
An arrival is carried back to the start of its epoch by the `propagator` with a negative lag.  An
epoch, of 1.6 time constants at most, has 256 cells; in each of them both factors are Taylor series
about its start.  As :math:`y(t) = h(-t)` obeys :math:`\dot y = \beta y - e^{\alpha t}`, each of
its coefficients follows from the one before.  What is left out is, of the whole, below
:math:`z^6/720 < 2^{-53}`, with z = 1.6/256: in the first cell, too, where the series of y begins
with t, however short a lag is.

A state is moved from the start of an epoch to that of a later one: there are as many possible
factors as there are epochs between them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eventsim._layout.wiring import Compiled, Neurons, compiled_form, kept_by, layout_of
from eventsim._support.compile import loop
from eventsim._support.types import FloatArray
from eventsim.model.flow import bias_kernel, propagator
from eventsim.network import Network

__all__ = [
    "LAST",
    "STEPS",
    "Tables",
    "tables_of",
]

# Kinds for which there are tables at most: they take 17 KB each.
MOST_KINDS = 64

# Cells of current up to the one that holds V at threshold; the one of all currents beyond them.
PER_UNIT, LAST = 8, 127

MARGIN = 1e-9
LEAST = 2.0**-10  # of a threshold, and of what a bias shifts it by, that is left

# Rows of Limits.scale: no potential is above the limit, or every one is.
NEVER, ALWAYS = (0.0, 0.0, 1.0), (0.0, 0.0, -1.0)

# Cells of an epoch, terms of a series, and epochs for which there are factors.
CELLS, TERMS, STEPS = 256, 7, 16


class Limits(NamedTuple):
    """Limits of the potential by current: chords of each kind of neuron (none: always above).

    With ``(per_current, shift, unit) = scale[i * step]`` and ``x = clip(I * per_current, 0, LAST)``
    neuron i is above its limit if its ``V > shift + unit * (a + b * x)``, where
    ``(a, b) = chord[kind, floor(x)]``.  ``step`` is 0 if all neurons are alike.
    """

    chord: FloatArray
    scale: FloatArray
    step: int


class Factors(NamedTuple):
    """Factors of the flow for each kind of neuron (none: they are computed).

    A lag within an epoch is ``lag * cells[kind]`` cells; ``rate`` is alpha in a cell; ``synaptic``
    (n_kinds, CELLS) is the factor of a current at the start of each, and ``kernel`` (n_kinds,
    CELLS, TERMS) are the coefficients of the potential.  ``forward`` (n_kinds, STEPS, 4) has the
    `propagator` of so many epochs, and the kernel of the bias.
    """

    cells: FloatArray
    rate: FloatArray
    synaptic: FloatArray
    kernel: FloatArray
    forward: FloatArray


class Singles(NamedTuple):
    """The only synapse of each input that has no other, and no delay.

    ``target`` is the number behind the last neuron for other inputs; both are empty without such.
    """

    target: NDArray[np.uint32]
    weight: FloatArray


class Tables(NamedTuple):
    """All that is looked up."""

    limits: Limits
    factors: Factors
    singles: Singles


def tables_of(network: Network, neurons: Neurons) -> Tables:
    """Return the tables of a network, whose neurons have these epochs.

    They are empty where neurons have several receptors, or charges arrive.
    """
    plain = len(neurons.receptors) == 1 and len(neurons.charging) == 0
    return Tables(
        _limits(network), _factors(neurons, plain), _singles(compiled_form(network), plain)
    )


@kept_by("structure")
def _limits(network: Network) -> Limits:
    neurons = layout_of(network).neurons
    alpha, beta = neurons.alpha[:, :1], neurons.beta[:, None]
    chord = np.empty((0, LAST + 1, 2)) if beta.size > MOST_KINDS else _chords(alpha, beta)
    scale = _scale(neurons)
    alike = bool(np.all(scale == scale[0]))
    return Limits(chord, scale[:1].copy() if alike else scale, 0 if alike else 1)


def _chords(alpha: FloatArray, beta: FloatArray) -> FloatArray:
    chord = np.zeros((beta.size, LAST + 1, 2))
    chord[:, :PER_UNIT, 0] = np.inf
    chord[:, PER_UNIT:, 0] = -np.inf
    x = np.arange(PER_UNIT, LAST + 1.0)
    with np.errstate(all="ignore"):  # what is not finite is not used
        limit = _lowered(x / PER_UNIT, beta / alpha)
        slope = np.diff(limit)
        chords = np.stack([limit[:, :-1] - slope * x[:-1], slope], axis=2)
    finite = np.all(np.isfinite(chords), axis=2)
    chord[:, PER_UNIT:LAST][finite] = chords[finite]
    return chord


def _lowered(x: FloatArray, ratio: FloatArray) -> FloatArray:
    """Return f(x), less the margin."""
    spread, log = ratio - 1.0, np.log(x)
    growth = np.where(spread == 0.0, log, np.expm1(spread * log) / spread)
    limit = x * (1.0 - growth)
    return limit - MARGIN * np.maximum(x, np.abs(limit)) * x**ratio


def _scale(neurons: Neurons) -> FloatArray:
    threshold, beta = neurons.threshold, neurons.beta[neurons.kind]
    alpha, fires = neurons.alpha[neurons.kind, 0], np.isfinite(threshold)
    with np.errstate(all="ignore"):
        shift = neurons.bias / beta
        unit = threshold - shift
        able = unit > LEAST * np.maximum(np.abs(threshold), np.abs(shift))
        rows = np.column_stack([PER_UNIT / (beta * unit), shift, unit])
    able &= fires & (alpha > 0.0) & (beta > 0.0)
    return np.ascontiguousarray(
        np.where(able[:, None], rows, np.where(fires[:, None], ALWAYS, NEVER))
    )


def _factors(neurons: Neurons, plain: bool) -> Factors:
    n = neurons.beta.size if plain and neurons.beta.size <= MOST_KINDS else 0
    alpha, width = neurons.alpha[:n, 0], neurons.epoch[:n] / CELLS
    factors = Factors(
        1.0 / width,
        alpha * width,
        np.empty((n, CELLS)),
        np.empty((n, CELLS, TERMS)),
        np.empty((n, STEPS, 4)),
    )
    for kind in range(n):
        _fill(factors, kind, alpha[kind], neurons.beta[kind], width[kind])
    return factors


@loop
def _fill(factors, kind, alpha, beta, width):
    for cell in range(CELLS):
        synaptic, _, term = propagator(-cell * width, alpha, beta)
        factors.synaptic[kind, cell] = synaptic
        factors.kernel[kind, cell, 0] = term
        power = width * synaptic
        for k in range(1, TERMS):
            term = (beta * width * term - power) / k
            power *= alpha * width / k
            factors.kernel[kind, cell, k] = term
    for n in range(STEPS):
        lag = n * (width * CELLS)
        synaptic, membrane, h = propagator(lag, alpha, beta)
        factors.forward[kind, n, 0] = synaptic
        factors.forward[kind, n, 1] = membrane
        factors.forward[kind, n, 2] = h
        factors.forward[kind, n, 3] = bias_kernel(lag, beta)


def _singles(compiled: Compiled, plain: bool) -> Singles:
    wiring, none = compiled.wiring, compiled.n_neurons
    first = wiring.first_group[: compiled.n_inputs + 1]
    source = np.flatnonzero(np.diff(first) == 1)
    group = first[source]
    single = (wiring.stop[group] - wiring.start[group] == 1) & (wiring.delay[group] == 0.0)
    source, synapse = source[single], wiring.start[group[single]]
    if source.size == 0 or not plain:
        return Singles(np.empty(0, dtype=np.uint32), np.empty(0))
    n = compiled.n_inputs
    target, weight = np.full(n, none, dtype=np.uint32), np.zeros(n)
    target[source], weight[source] = wiring.target[synapse], wiring.weight[synapse]
    return Singles(target, weight)
