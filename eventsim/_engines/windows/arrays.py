"""What the loops of the window engine share: their arrays, and what the columns of these mean."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eventsim._layout.record import Record
from eventsim._support.compile import inlined, scalar
from eventsim._support.types import FloatArray, Int32Array, IntArray

__all__ = [
    "ARRIVED",
    "BEFORE",
    "BEGUN",
    "CLOSE",
    "COUNTS",
    "CURRENT",
    "DEGREE",
    "DEGREES",
    "FAILED",
    "FIRST_CHOSEN",
    "FLAGGED",
    "FOUND",
    "GATHER",
    "GATHERED",
    "HELD",
    "HIGH",
    "INVERSE",
    "JUMP",
    "KERNEL",
    "LAST_CHOSEN",
    "LEVEL",
    "LINE",
    "LOW",
    "MARGIN",
    "MARKED_ARRIVED",
    "MARKED_SEARCHES",
    "MARKED_TOUCHED",
    "MEAN",
    "MEDIUM",
    "MEETING",
    "MEMBRANE",
    "MEMBRANE_PART",
    "MEMBRANE_STEP",
    "MET",
    "N_KIND",
    "N_PROGRESS",
    "PHASE",
    "POSITIVE",
    "POTENTIAL",
    "RATIO",
    "REACH",
    "RECORD",
    "REPLAY",
    "REPLAYED",
    "SAFE_KERNEL",
    "SCATTER",
    "SEARCHES",
    "SELECT",
    "SPIKES",
    "SYNAPTIC",
    "SYNAPTIC_PART",
    "SYNAPTIC_STEP",
    "TOUCHED",
    "WAITING",
    "WINDOW",
    "Arrivals",
    "Charges",
    "Crew",
    "Deliveries",
    "Flights",
    "Grid",
    "WindowState",
    "Work",
    "factor_of",
    "note",
    "window_factor",
]

MARGIN = 1e-9

# Columns of Grid.kind.
SYNAPTIC, MEMBRANE, KERNEL, SAFE_KERNEL, RATIO, INVERSE, MEAN = range(7)
SYNAPTIC_STEP, SYNAPTIC_PART, MEMBRANE_STEP, MEMBRANE_PART, DEGREE, N_KIND = range(7, 13)

# Of the series of factors: the lowest one that is exact to rounding is taken.
DEGREES = LOW, MEDIUM, HIGH = 8, 10, 12

# Columns of Work.sums; the current of receptor r is at CURRENT + r, the sum of the positive charges
# behind them all.
POTENTIAL, POSITIVE, REACH, CURRENT = range(4)

# Columns of WindowState.level; the current of a further receptor r is at LEVEL + r.
LEVEL = 1

# Entries of Work.progress; BEFORE: spikes of earlier windows, MARKED: their arrivals and searches;
# FOUND: spikes of this window, BEGUN: those before the neuron that is replayed; MEETING: how often
# the shares have agreed.
(
    WINDOW, PHASE, SPIKES, BEFORE, FOUND, BEGUN, ARRIVED, SEARCHES, TOUCHED, FLAGGED, REPLAYED,
    GATHERED, MARKED_ARRIVED, MARKED_SEARCHES, MARKED_TOUCHED, FIRST_CHOSEN, LAST_CHOSEN, MEETING,
    N_PROGRESS,
) = range(19)  # fmt: skip

# Phases of a window; JUMP: nothing arrives, CLOSE: its spikes are recorded.
SELECT, JUMP, SCATTER, GATHER, REPLAY, RECORD, CLOSE = range(7)

# Entries of Crew.board: how many shares wait, how often all have met, whether one has failed, and
# how many spikes each has found; each in a cache line of its own, as are the votes.
WAITING, MET, FAILED, COUNTS, LINE = 0, 8, 16, 24, 8

# As potential: the neuron is refractory at the end of the window.
HELD = math.inf


class Grid(NamedTuple):
    """The windows, and what a flow over a whole window needs.

    ``kind`` (n_kinds, n_receptors, N_KIND); ``series`` (n_kinds, n_receptors, 2, 13) has the
    coefficients of what a unit arrival adds to current and potential; ``ranges`` (n_ranges, 3)
    first neuron, one past the last, and kind of neurons that follow each other.  ``threshold``,
    ``holding`` (the current that holds V at threshold, less a margin) and ``push`` (potential left
    by the bias) of neuron i are at ``i * step``; ``step`` is 0 if all neurons are alike.  So are,
    if the network is ``charged`` (`eventsim._engines.windows.charges`), ``rest`` (the potential to
    which V falls) and ``limit`` (how far above it a neuron may fire).
    """

    width: float
    kind: FloatArray
    series: FloatArray
    ranges: IntArray
    step: int
    threshold: FloatArray
    holding: FloatArray
    push: FloatArray
    charged: int
    rest: FloatArray
    limit: FloatArray


class Flights(NamedTuple):
    """Spikes of which something may arrive.

    Of bundle b those numbered ``first[b]`` to ``last[b]``.  Of a bundle with delays of its own
    ``begin`` and ``end`` (n_own, room) have which synapse of the row of each of them is next to be
    served at the start of the window, and at its end; ``stop`` where the row ends.  Spike k is in
    column ``k % room``, a power of two.
    """

    first: IntArray
    last: IntArray
    begin: IntArray
    end: IntArray
    stop: IntArray


class Crew(NamedTuple):
    """The shares that run side by side, as one of them sees it.

    ``number`` of this one, of ``size``; ``is_all`` unless other processes have some of the neurons.
    ``own`` has the numbers of its neurons, ``place`` (n_all_neurons,) their places in it, -1
    elsewhere.  ``board`` is where they meet; ``votes`` (2, size * 8) what they say; ``found``
    (size, room) the spikes of a window, share by share; ``order`` and ``spare``, of that shape,
    sort them.
    """

    number: int
    size: int
    is_all: bool
    own: IntArray
    place: Int32Array
    board: IntArray
    votes: FloatArray
    found: Record
    order: Int32Array
    spare: Int32Array


class WindowState(NamedTuple):
    """All that a run carries along: arrays of one sample, or of a batch with a leading axis.

    ``neuron`` is the state at the end of the run, as in the scheduler; ``level`` (n_neurons, 1 +
    n_receptors) current, potential, and the currents of further receptors at the start of the
    window that holds the end, ``release``
    (n_neurons,) the time up to which a potential is `HELD`, ``latest`` (n_neurons,) number of the
    last spike before that window.  ``count`` as in the scheduler; ``mark``: spikes, arrivals,
    searches and touches before that window, and its number.
    """

    neuron: FloatArray
    level: FloatArray
    release: FloatArray
    latest: Int32Array
    count: IntArray  # type: ignore[assignment]  # hides tuple.count, which nobody calls
    mark: IntArray


class Deliveries(NamedTuple):
    """A chunk of deliveries: arrival times, and the factors of their weights.

    Those of rows have synapse ranges, from ``start`` to ``stop``, and a ``source``; those of single
    synapses a ``target`` and a ``weight``.  What is gathered with delays of its own has the
    ``time`` of the spike.
    """

    time: FloatArray
    start: NDArray[np.uint64]
    stop: NDArray[np.uint64]
    source: IntArray
    target: NDArray[np.uint32]
    weight: FloatArray
    current: FloatArray
    potential: FloatArray
    reach: FloatArray


class Arrivals(NamedTuple):
    """Gathered arrivals, in linked lists, latest first, that begin at ``head`` (n_neurons,)."""

    head: Int32Array
    time: FloatArray
    weight: FloatArray
    receptor: NDArray[np.int8]
    following: Int32Array


class Charges(NamedTuple):
    """Neurons on which charges act; empty arrays where there are others.

    ``raised`` (n_neurons,) is how far V lies above rest, as of the start of the window, and -inf
    while it is held, ``until`` (n_neurons,) the time up to which it is.  Those that are released in
    the window are in ``pending`` (n_neurons,), a ring in the order of time, ``ring[0]`` to
    ``ring[1]``.  ``cursor`` (n_bundles,): the next spike of each bundle; ``spare`` is for sorting.
    """

    raised: FloatArray
    until: FloatArray
    pending: Int32Array
    spare: Int32Array
    ring: IntArray
    cursor: IntArray


class Work(NamedTuple):
    """Scratch arrays of one thread.

    ``flag`` has an entry more than there are neurons, which is never set.  ``times`` and
    ``sources`` hold a chunk of spikes; ``flights`` are the spikes that are served;
    ``horizon`` is the end of a replay, ``event`` a time before which nothing happens;
    ``currents`` (n_receptors,) are those of a neuron that is looked at, ``scratch`` is for a
    search.
    """

    sums: FloatArray
    flag: NDArray[np.uint8]
    flagged: Int32Array
    times: FloatArray
    sources: IntArray
    deliveries: Deliveries
    flights: Flights
    arrivals: Arrivals
    order: Int32Array
    spare: Int32Array
    progress: IntArray
    horizon: FloatArray
    event: FloatArray
    currents: FloatArray
    scratch: FloatArray
    charges: Charges


@scalar
def window_factor(below, step, part, window):
    """Return the factor by which a window lets an exponential fall: ``below``, or the next number.

    The exact one lies a ``part`` of the way between the two.  The larger one is taken in as many
    windows: were it always the nearer one, its rounding would add up over millions of windows.
    """
    return below + step if math.floor((window + 1) * part) > math.floor(window * part) else below


@inlined
def factor_of(row, column, window):
    """Return the factor of a row of `Grid.kind` in this window: of a current, or the membrane."""
    steps = SYNAPTIC_STEP if column == SYNAPTIC else MEMBRANE_STEP
    return window_factor(row[column], row[steps], row[steps + 1], window)


@inlined
def note(crew, place, spike, i, slope, released):
    """Note a spike that was found."""
    found = crew.found
    found.time[crew.number, place] = spike
    found.neuron[crew.number, place] = crew.own[i]
    found.slope[crew.number, place] = slope
    found.released[crew.number, place] = released
