"""The synapses as windows deliver them.

A *bundle* has synapses from the inputs, or from the neurons, to one receptor of neurons of one
kind, either of one delay or of delays of their own.  So what a bundle delivers needs no look at
kind, receptor or delay group.  Its synapses lie row by row (a row has those of a source), those
of a row by delay.  Where all synapses of each source weigh the same, there is one weight a row.

A *share* has the neurons that one thread works for, and the synapses onto them; each neuron has its
synapses in the same order, whatever the number of shares.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from eventsim._layout.wiring import Layout, layout_of, rows_of
from eventsim._support.compile import allocating_loop, inlined, loop
from eventsim._support.machine import WIDE
from eventsim._support.sorting import sort_stably
from eventsim._support.types import FloatArray, Int32Array, IntArray
from eventsim.network import Network, Version
from eventsim.ranks import Part, own_range

__all__ = [
    "DELAY",
    "EVEN",
    "KIND",
    "OF_NEURONS",
    "OWN",
    "RECEPTOR",
    "ROW",
    "SINGLE",
    "THIN",
    "WEIGHT",
    "Bundles",
    "Cut",
    "bundles_of",
    "cut_at_hand",
    "neurons_of",
    "place_of",
    "shares_of",
]


class Cut(NamedTuple):
    """How the neurons are shared: those of a ``part`` of the network, by so many threads."""

    part: Part
    n_shares: int


# Columns of Bundles.table.  OWN: 0 if all delays are the same, else how many such bundles there are
# up to this one.  THIN: no source has more than one synapse, and these have the same delay.
OF_NEURONS, KIND, RECEPTOR, ROW, WEIGHT, EVEN, DELAY, OWN, THIN, SINGLE, N_COLUMNS = range(11)

OWN_DELAYS = -1.0  # in the place of the delay of a bundle
MOST_CONSTANT = 4  # bundles of one delay each, to the same receptor; where there are more, one
MOST_KEPT = 2**24  # synapses of which it is kept where their weights come from


class Bundles(NamedTuple):
    """The synapses onto the neurons of a share; targets are their places in it.

    The synapses of source s of bundle b are ``row[table[b, ROW] + s]`` up to the next entry.
    Synapse j has the weight ``weight[j]``, or of an EVEN bundle ``weight[table[b, WEIGHT] + s]``,
    and the delay ``delay[table[b, DELAY] + j]``, or ``span[b, 0]`` if none are their OWN.
    In a THIN bundle the target of source s is ``target[table[b, SINGLE] + s]`` as well: the number
    behind the last neuron if it has none.
    ``span`` (n_bundles, 2) has the shortest and the longest delay, over all shares.
    """

    table: IntArray
    span: FloatArray
    row: IntArray
    target: NDArray[np.uint32]
    weight: FloatArray
    delay: FloatArray


class _Name(NamedTuple):
    """What the synapses of a bundle have in common."""

    of_neurons: bool
    kind: int
    receptor: int
    delay: float


class _Plan(NamedTuple):
    """The names of the bundles that each projection leads to, and the span of each bundle."""

    names: list[list[_Name]]
    span: dict[_Name, tuple[float, float]]


class _Part(NamedTuple):
    """The synapses of a projection.

    Its sources begin with number ``source``, its targets with number ``neuron``, its values with
    number ``value`` among those of all projections.  ``place`` is that of each synapse's weight
    among the values (empty: its own); ``target`` is empty where each source has synapses to all.
    """

    source: int
    neuron: int
    value: int
    indptr: IntArray
    target: Int32Array
    place: IntArray
    values: FloatArray
    delays: FloatArray


class _Form(NamedTuple):
    """Bundles, none of them EVEN, and where each weight is among the values of all projections."""

    bundles: Bundles
    origin: Int32Array


# Kept by what they follow from; of several ways to cut the neurons into shares the latest.
_FORMS: WeakKeyDictionary[Version, tuple[Cut, list[_Form]]] = WeakKeyDictionary()
_BUNDLES: WeakKeyDictionary[Version, tuple[Cut, list[Bundles]]] = WeakKeyDictionary()


def neurons_of(network: Network, part: Part) -> IntArray:
    """Return the numbers of the neurons of a part of a network: some of each population."""
    own = []
    for name, n in network.populations.items():
        low, high = own_range(n, part)
        own.append(network.neurons_of(name).start + np.arange(low, high))
    return np.concatenate(own)


def shares_of(network: Network, cut: Cut) -> list[IntArray]:
    """Return the numbers of the neurons of each share, ascending."""
    own = neurons_of(network, cut.part)
    edges = [own.size * share // cut.n_shares for share in range(cut.n_shares + 1)]
    return [own[low:high] for low, high in pairwise(edges)]


def place_of(numbers: IntArray, n_neurons: int) -> Int32Array:
    """Return at which place of a share each neuron is; -1 if it is in another one."""
    place = np.full(n_neurons, -1, dtype=np.int32)
    place[numbers] = np.arange(numbers.size)
    return place


def bundles_of(network: Network, cut: Cut) -> list[Bundles]:
    """Return the `Bundles` of each share (made once per version)."""
    made = _BUNDLES.get(network.version)
    if made is None or made[0] != cut:
        made = _BUNDLES[network.version] = cut, _made(network, cut)
    return made[1]


def cut_at_hand(network: Network, part: Part) -> Cut | None:
    """Return the cut for which there are bundles of a part of a network, if there are any."""
    made = _BUNDLES.get(network.version)
    return None if made is None or made[0].part != part else made[0]


def _made(network: Network, cut: Cut) -> list[Bundles]:
    shares = shares_of(network, cut)
    known = _FORMS.get(network.structure)
    if known is not None and known[0] == cut:
        values = np.concatenate([p.values for p in network.projections.values()])
        return [_evened(_weighted(form, values)) for form in known[1]]
    plan, parts = _plan(network), list(_parts(network))
    n = sum(max(int(part.indptr[-1]), part.values.size) for part in parts)
    forms = [_form(network, plan, parts, share, n <= MOST_KEPT) for share in shares]
    if n <= MOST_KEPT:
        nothing = np.empty(0)
        kept = [form._replace(bundles=form.bundles._replace(weight=nothing)) for form in forms]
        _FORMS[network.structure] = cut, kept
    return [_evened(form.bundles) for form in forms]


# --- which bundles there are ----------------------------------------------------------------------


def _plan(network: Network) -> _Plan:
    kinds, projections = layout_of(network).neurons.kind, network.projections.values()
    spans = network.delay_spans.values()
    names = []
    for p, (shortest, longest) in zip(projections, spans, strict=True):
        delay = shortest if shortest == longest else OWN_DELAYS
        present = np.unique(kinds[network.neurons_of(p.post)]).tolist()
        of_neurons = p.pre in network.populations
        names.append([_Name(of_neurons, kind, p.receptor, delay) for kind in present])
    constant = {name for own in names for name in own if name.delay != OWN_DELAYS}
    counts = Counter(name[:3] for name in constant)
    many = {of for of, n in counts.items() if n > MOST_CONSTANT}
    names = [
        [name._replace(delay=OWN_DELAYS) if name[:3] in many else name for name in own]
        for own in names
    ]
    span = dict.fromkeys(sorted({name for own in names for name in own}), (np.inf, 0.0))
    for own, (shortest, longest) in zip(names, spans, strict=True):
        for name in own:
            span[name] = min(span[name][0], shortest), max(span[name][1], longest)
    return _Plan(names, span)


def _parts(network: Network) -> Iterator[_Part]:
    layout, value = layout_of(network), 0
    starts = {**layout.input_start, **layout.neuron_start}
    for projection in network.projections.values():
        indptr, target, place = rows_of(projection.weights)
        arrays = (
            indptr,
            target,
            np.empty(0, dtype=np.int64) if place is None else place.astype(np.int64),
            projection.values,
            np.atleast_1d(projection.delay_values),
        )
        source, neuron = starts[projection.pre], layout.neuron_start[projection.post]
        yield _Part(source, neuron, value, *_read_only(arrays))
        value += projection.values.size


def _read_only(arrays: Iterable[NDArray[Any]]) -> list[NDArray[Any]]:
    """Return read-only views: loops are compiled for one type only."""
    views = [array.view() for array in arrays]
    for view in views:
        view.flags.writeable = False
    return views


# --- the bundles of a share -----------------------------------------------------------------------


def _form(
    network: Network, plan: _Plan, parts: list[_Part], share: IntArray, with_origin: bool
) -> _Form:
    """Return the bundles of the synapses onto the neurons of a share."""
    layout, number = layout_of(network), {name: b for b, name in enumerate(plan.span)}
    (kind,) = _read_only([layout.neurons.kind])
    place = place_of(share, layout.n_neurons)
    leads = [
        (part, number[name], name.kind)
        for part, own in zip(parts, plan.names, strict=True)
        for name in own
    ]
    table = np.zeros((len(number), N_COLUMNS), dtype=np.int64)
    for line, name in zip(table, number, strict=True):
        line[: RECEPTOR + 1] = name[:3]
    table[:, ROW], n_rows = _first_rows(layout, number)
    table[:, OWN] = np.cumsum([name.delay == OWN_DELAYS for name in number])
    table[[name.delay != OWN_DELAYS for name in number], OWN] = 0
    row = np.zeros(n_rows, dtype=np.int64)
    for part, b, of_kind in leads:
        _count(part, kind, of_kind, place, row[table[b, ROW] + part.source + 1 :])
    np.cumsum(row, out=row)
    size = _n_synapses(row)
    n_delays, n_singles = _place_delays(table, row), _place_singles(table, row)
    span = np.array(list(plan.span.values())).reshape(-1, 2)
    target = np.full(size + n_singles + WIDE, share.size, dtype=np.uint32)
    weight = np.empty(size + row.size + WIDE)  # room for one a row as well
    bundles = Bundles(table, span, row, target, weight, np.empty(n_delays + WIDE))
    origin, position = np.empty(size if with_origin else 0, dtype=np.int32), row.copy()
    for part, b, of_kind in leads:
        positions = position[table[b, ROW] + part.source :]
        _fill(part, kind, of_kind, place, positions, bundles, b, origin)
    longest = int(np.diff(row).max(initial=0))
    for b in np.flatnonzero(table[:, OWN]).tolist():
        _sort_by_delay(_rows_of(bundles, b), bundles, table[b, DELAY], origin, longest)
    for b in np.flatnonzero(table[:, THIN]).tolist():
        _take_singles(_rows_of(bundles, b), target, table[b, SINGLE])
    return _Form(bundles, origin)


def _first_rows(layout: Layout, names: Iterable[_Name]) -> tuple[IntArray, int]:
    """Return where the rows of each bundle begin, and how many there are."""
    sizes = [1 + (layout.n_neurons if name.of_neurons else layout.n_inputs) for name in names]
    first = np.concatenate([[0], np.cumsum(np.array(sizes, dtype=np.int64))])
    return first[:-1], int(first[-1])


def _n_synapses(row: IntArray) -> int:
    """Return how many synapses there are in all bundles."""
    return int(row[-1]) if row.size else 0


def _place_delays(table: IntArray, row: IntArray) -> int:
    """Set where each bundle has delays of its own; return how many there are of all."""
    size = 0
    for line, end in zip(table, _ends(table, row), strict=True):
        if line[OWN]:
            line[DELAY] = size - row[line[ROW]]
            size += row[end - 1] - row[line[ROW]]
    return int(size)


def _place_singles(table: IntArray, row: IntArray) -> int:
    """Set which bundles are THIN, and where the targets of each lie; return how many of all."""
    size = 0
    for line, end in zip(table, _ends(table, row), strict=True):
        counts = np.diff(row[line[ROW] : end])
        if not line[OWN] and counts.max(initial=0) <= 1:
            line[THIN], line[SINGLE] = 1, _n_synapses(row) + size
            size += counts.size
    return size


def _rows_of(bundles: Bundles, b: int) -> IntArray:
    """Return the row pointers of a bundle."""
    return bundles.row[bundles.table[b, ROW] : _ends(bundles.table, bundles.row)[b]]


def _ends(table: IntArray, row: IntArray) -> IntArray:
    """Return where the rows of each bundle end."""
    return np.append(table[:, ROW], row.size)[1:]


def _weighted(form: _Form, values: FloatArray) -> Bundles:
    """Return the bundles with weights taken from ``values``, and room for one a row."""
    weight = np.empty(form.origin.size + form.bundles.row.size + WIDE)
    np.take(values, form.origin, out=weight[: form.origin.size], mode="clip")  # "raise" would copy
    return form.bundles._replace(weight=weight)


def _evened(bundles: Bundles) -> Bundles:
    """Return bundles with one weight a row where its synapses weigh the same.

    These lie behind the others, in the room left for them.
    """
    table, weight = bundles.table.copy(), bundles.weight
    size = place = _n_synapses(bundles.row)
    for b, line in enumerate(table):
        row = _rows_of(bundles, b)
        if _take_even(row, weight, place):
            line[EVEN], line[WEIGHT] = 1, place
            place += row.size - 1
    if np.all(table[:, EVEN]):
        table[:, WEIGHT] -= size
        weight = weight[size:].copy()
    return Bundles(*_read_only(bundles._replace(table=table, weight=weight)))


@inlined
def _neuron_of(part, s, j):  # type: ignore[no-untyped-def]
    """Return to which neuron synapse ``j`` leads, one of those of source ``s``."""
    return part.neuron + (part.target[j] if part.target.size > 0 else j - part.indptr[s])


@loop
def _count(part, kind, of_kind, place, counts):  # type: ignore[no-untyped-def]
    """Add how many synapses each source has onto the neurons of a share that are of a kind."""
    for s in range(part.indptr.size - 1):
        for j in range(part.indptr[s], part.indptr[s + 1]):
            i = _neuron_of(part, s, j)
            if place[i] >= 0 and kind[i] == of_kind:
                counts[s] += 1


@loop
def _fill(part, kind, of_kind, place, position, bundles, b, origin):  # type: ignore[no-untyped-def]
    """Put these synapses where ``position`` says, source by source, and move it on."""
    own, first = bundles.table[b, OWN] > 0, bundles.table[b, DELAY]
    for s in range(part.indptr.size - 1):
        for j in range(part.indptr[s], part.indptr[s + 1]):
            i = _neuron_of(part, s, j)
            if place[i] >= 0 and kind[i] == of_kind:
                value = part.place[j] if part.place.size > 0 else j
                at = position[s]
                position[s] += 1
                bundles.target[at] = place[i]
                bundles.weight[at] = part.values[value]
                if own:
                    bundles.delay[first + at] = part.delays[j if part.delays.size > 1 else 0]
                if origin.size > 0:
                    origin[at] = part.value + value


@allocating_loop
def _sort_by_delay(row, bundles, first, origin, longest):  # type: ignore[no-untyped-def]
    """Sort the synapses of each row by delay; those of the same delay stay in order."""
    order, spare = np.empty(longest, dtype=np.int64), np.empty(longest, dtype=np.int64)
    values = np.empty(longest)
    for s in range(row.size - 1):
        begin, n = row[s], row[s + 1] - row[s]
        for k in range(n):
            order[k] = first + begin + k
        sort_stably(bundles.delay, order, spare, 0, n)
        for k in range(n):
            order[k] -= first
        _permute(bundles.target, order, spare, begin, n)
        _permute(bundles.weight, order, values, begin, n)
        if origin.size > 0:
            _permute(origin, order, spare, begin, n)
        for k in range(n):
            order[k] += first
        _permute(bundles.delay, order, values, first + begin, n)


@loop
def _permute(column, order, spare, begin, n):  # type: ignore[no-untyped-def]
    """Let ``column[begin + k]`` be what ``column[order[k]]`` was."""
    for k in range(n):
        spare[k] = column[order[k]]
    for k in range(n):
        column[begin + k] = spare[k]


@loop
def _take_even(row, weight, place):  # type: ignore[no-untyped-def]
    """Fill the weight of each row, from ``place`` on; return False where some row has several."""
    for s in range(row.size - 1):
        weight[place + s] = 0.0
        if row[s] < row[s + 1]:
            weight[place + s] = weight[row[s]]
        for j in range(row[s], row[s + 1]):
            if weight[j] != weight[row[s]]:
                return False
    return True


@loop
def _take_singles(row, target, place):  # type: ignore[no-untyped-def]
    """Fill the only target of each row that has one, from ``place`` on."""
    for s in range(row.size - 1):
        if row[s] < row[s + 1]:
            target[place + s] = target[row[s]]
