"""Rules by which synapses are drawn: who is connected to whom, how strongly, and how late.

Each rule takes time in proportion to the synapses.  The same seed gives the same synapses, as long
as numpy keeps its streams (it changes them rarely, and says so).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from eventsim._support.compile import loop
from eventsim._support.types import FloatArray, Int32Array, IntArray
from eventsim._support.validate import (
    MOST_NUMBERED,
    as_count,
    as_floats,
    as_indices,
    as_number,
    require,
    shown,
)
from eventsim.model.parameters import DELAYS, WEIGHTS, Parameter

__all__ = [
    "Synapses",
    "fixed_indegree",
    "fixed_outdegree",
    "fixed_probability",
    "fixed_total_number",
    "one_to_one",
]

PIECE = 2**20  # numbers drawn at a time, where more of them are needed on the way than stay


class Distribution(Protocol):
    """A frozen distribution of `scipy.stats`."""

    def rvs(self, size: int, *, random_state: np.random.Generator) -> ArrayLike:
        """Return so many random numbers."""


Values: TypeAlias = ArrayLike | Distribution | Callable[[np.random.Generator, int], ArrayLike]
"""Weights or delays: given, or drawn."""

Seed: TypeAlias = (
    int
    | Sequence[int]
    | IntArray
    | np.random.SeedSequence
    | np.random.BitGenerator
    | np.random.Generator
    | np.random.RandomState
    | None
)
"""What `numpy.random.default_rng` takes."""


@dataclass(frozen=True, slots=True, eq=False)
class Synapses:
    """Synapses that were drawn, as `Network.connect` takes them.

    Attributes
    ----------
    weights : (n_pre, n_post) scipy.sparse.csr_array
        Row by row, the targets of a row in ascending order; several entries at one place are
        several synapses.
    delays : float or scipy.sparse.csr_array
        One for all, or one for each of the weights, on the same ``indices`` and ``indptr``.

    Notes
    -----
    A network shares these arrays, which are read-only; it copies others.

    Examples
    --------
    >>> synapses = one_to_one(2, 2, weights=[0.5, 1.0], delays=0.1)
    >>> synapses.weights.toarray()
    array([[0.5, 0. ],
           [0. , 1. ]])
    >>> synapses
    Synapses(n_pre=2, n_post=2, synapses=2)
    """

    weights: sparse.csr_array
    delays: float | sparse.csr_array = 0.0

    def __repr__(self) -> str:
        """Return the sizes."""
        n_pre, n_post = self.weights.shape
        return f"Synapses(n_pre={n_pre}, n_post={n_post}, synapses={self.weights.nnz})"


# --- the rules ------------------------------------------------------------------------------------


def fixed_probability(
    n_pre: int,
    n_post: int,
    p: float,
    *,
    weights: Values,
    delays: Values = 0.0,
    seed: Seed = None,
    allow_self: bool = True,
) -> Synapses:
    """Connect each source with each neuron with a probability, or not at all.

    NEST calls this rule "pairwise_bernoulli", PyNN ``FixedProbabilityConnector``.

    Parameters
    ----------
    n_pre, n_post : int
        Number of sources and of neurons.
    p : float
        Probability, in [0, 1].
    weights, delays : number, array, distribution or function
        One for all synapses, or one for each of them, row by row; or drawn for each of them: by a
        frozen distribution of `scipy.stats`, or by a function of a `numpy.random.Generator` and
        the number of synapses, which returns an array of so many.
    seed : int, optional
        Whatever `numpy.random.default_rng` takes.  None: other synapses each time.
    allow_self : bool
        Whether a neuron may be connected to itself, if sources and neurons are the same (an
        autapse).

    Returns
    -------
    Synapses
        To be handed to `Network.connect`.

    Raises
    ------
    ValueError
        An argument of no sense, values that are not finite or not as many as the synapses, or more
        than 2**31 - 1 synapses at once.

    Examples
    --------
    >>> from eventsim import LIF, Network
    >>> net = Network()
    >>> net.add_population("exc", 100, LIF())
    >>> def delays(rng, size):
    ...     return rng.uniform(0.5, 1.5, size)
    >>> synapses = fixed_probability(100, 100, 0.1, weights=0.2, delays=delays, seed=1)
    >>> net.connect("exc", "exc", synapses)
    ('exc', 'exc')
    >>> net
    Network(inputs={}, populations={'exc': 100}, synapses=992)
    """
    n_pre, n_post, rng = _begun(n_pre, n_post, seed, allow_self)
    p = as_number(p, "p")
    require(0.0 <= p <= 1.0, p, "p must be in [0, 1]")
    _check_total(p * n_pre * n_post, p, "p")
    indptr, indices = _bernoulli(rng, n_pre, n_post - (not allow_self), p)
    if not allow_self:
        _step_over(indices, n_pre, np.diff(indptr))
    return _drawn((n_pre, n_post), indptr, indices, weights, delays, rng)


def fixed_indegree(
    n_pre: int,
    n_post: int,
    indegree: int,
    *,
    weights: Values,
    delays: Values = 0.0,
    seed: Seed = None,
    allow_self: bool = True,
    allow_multapses: bool = True,
) -> Synapses:
    """Draw the same number of sources for each neuron.

    NEST calls this rule "fixed_indegree", PyNN ``FixedNumberPreConnector`` (by default without
    multapses).

    Parameters
    ----------
    n_pre, n_post : int
        Number of sources and of neurons.
    indegree : int
        Synapses of each neuron, each from any of the sources.
    weights, delays, seed, allow_self
        As of `fixed_probability`.
    allow_multapses : bool
        Whether a neuron may have several synapses from one source, each with its own weight and
        delay.

    Returns
    -------
    Synapses
        To be handed to `Network.connect`.

    Raises
    ------
    ValueError
        As of `fixed_probability`, or if there are fewer sources than a neuron is to have.

    Examples
    --------
    Weights from a normal distribution cut off at 0; a function that calls ``rng.normal`` and draws
    anew what is negative is faster:

    >>> from scipy.stats import truncnorm
    >>> mean, deviation = 0.5, 0.2
    >>> positive = truncnorm(-mean / deviation, float("inf"), loc=mean, scale=deviation)
    >>> synapses = fixed_indegree(1000, 10, 100, weights=positive, delays=1.5, seed=1)
    >>> synapses
    Synapses(n_pre=1000, n_post=10, synapses=1000)
    >>> bool(synapses.weights.data.min() > 0.0)
    True
    """
    n_pre, n_post, rng = _begun(n_pre, n_post, seed, allow_self)
    lists = _lists(rng, n_post, n_pre, indegree, "indegree", allow_self, allow_multapses)
    rows = _by_rows((n_pre, n_post), *lists)
    return _drawn((n_pre, n_post), *rows, weights, delays, rng)


def fixed_outdegree(
    n_pre: int,
    n_post: int,
    outdegree: int,
    *,
    weights: Values,
    delays: Values = 0.0,
    seed: Seed = None,
    allow_self: bool = True,
    allow_multapses: bool = True,
) -> Synapses:
    """Draw the same number of targets for each source.

    NEST calls this rule "fixed_outdegree", PyNN ``FixedNumberPostConnector`` (by default without
    multapses).

    Parameters
    ----------
    n_pre, n_post : int
        Number of sources and of neurons.
    outdegree : int
        Synapses of each source, each onto any of the neurons.
    weights, delays, seed, allow_self
        As of `fixed_probability`.
    allow_multapses : bool
        As of `fixed_indegree`.

    Returns
    -------
    Synapses
        To be handed to `Network.connect`.

    Raises
    ------
    ValueError
        As of `fixed_probability`, or if there are fewer neurons than a source is to have.

    Examples
    --------
    >>> synapses = fixed_outdegree(3, 4, 2, weights=1.0, seed=1, allow_multapses=False)
    >>> synapses.weights.sum(axis=1)
    array([2., 2., 2.])
    """
    n_pre, n_post, rng = _begun(n_pre, n_post, seed, allow_self)
    lists = _lists(rng, n_pre, n_post, outdegree, "outdegree", allow_self, allow_multapses)
    rows = _sorted((n_pre, n_post), *lists)
    return _drawn((n_pre, n_post), *rows, weights, delays, rng)


def fixed_total_number(
    n_pre: int,
    n_post: int,
    n: int,
    *,
    weights: Values,
    delays: Values = 0.0,
    seed: Seed = None,
    allow_self: bool = True,
) -> Synapses:
    """Draw a number of synapses, each between any source and any neuron.

    NEST calls this rule "fixed_total_number", PyNN ``FixedTotalNumberConnector``.  There may be
    several synapses between two neurons.

    Parameters
    ----------
    n_pre, n_post : int
        Number of sources and of neurons.
    n : int
        Number of synapses.
    weights, delays, seed, allow_self
        As of `fixed_probability`.

    Returns
    -------
    Synapses
        To be handed to `Network.connect`.

    Raises
    ------
    ValueError
        As of `fixed_probability`.

    Examples
    --------
    >>> fixed_total_number(100, 200, 500, weights=0.1, delays=1.5, seed=1)
    Synapses(n_pre=100, n_post=200, synapses=500)
    """
    n_pre, n_post, rng = _begun(n_pre, n_post, seed, allow_self)
    n_choices = n_post - (not allow_self)
    n = _degree(n, n_choices, 1, True, "n")
    counts = _uniform_counts(rng, n_pre, n)
    targets = _choices(rng, 1, n, n_choices, True)
    if not allow_self:
        _step_over(targets, n_pre, counts)
    rows = _sorted((n_pre, n_post), _starts(counts), targets)
    return _drawn((n_pre, n_post), *rows, weights, delays, rng)


def one_to_one(
    n_pre: int, n_post: int, *, weights: Values, delays: Values = 0.0, seed: Seed = None
) -> Synapses:
    """Connect each source with the neuron of the same number.

    NEST calls this rule "one_to_one", PyNN ``OneToOneConnector``.

    Parameters
    ----------
    n_pre, n_post : int
        Number of sources and of neurons: the same.
    weights, delays, seed
        As of `fixed_probability`.

    Returns
    -------
    Synapses
        To be handed to `Network.connect`.

    Raises
    ------
    ValueError
        As of `fixed_probability`, or if the two numbers differ.

    Examples
    --------
    >>> one_to_one(3, 3, weights=[1.0, 2.0, 3.0]).weights.diagonal()
    array([1., 2., 3.])
    """
    n_pre, n_post, rng = _begun(n_pre, n_post, seed)
    if n_pre != n_post:
        raise ValueError(f"n_pre and n_post must be the same, got {n_pre} and {n_post}")
    numbers = np.arange(n_pre, dtype=np.int32)
    return _drawn((n_pre, n_post), _ends(n_pre, 1), numbers, weights, delays, rng)


# --- checks ---------------------------------------------------------------------------------------


def _begun(
    n_pre: int, n_post: int, seed: Seed, allow_self: bool = True
) -> tuple[int, int, np.random.Generator]:
    """Return what every rule begins with: the two sizes, checked, and what draws.

    The sizes are the same where neurons are not to meet themselves.
    """
    n_pre = as_count(n_pre, "n_pre", most=MOST_NUMBERED)
    n_post = as_count(n_post, "n_post", most=MOST_NUMBERED)
    _check_flag(allow_self, "allow_self")
    if not allow_self and n_pre != n_post:
        raise ValueError(
            f"n_pre and n_post must be the same for allow_self=False, got {n_pre} and {n_post}"
        )
    return n_pre, n_post, _generator(seed)


def _check_flag(value: object, name: str) -> None:
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name} must be True or False, got {shown(value)}")


def _check_total(n: float, value: object, name: str) -> None:
    """Raise a ValueError if these are more synapses than a projection can number."""
    if n > MOST_NUMBERED:
        raise ValueError(
            f"{name} must make at most {MOST_NUMBERED} synapses, got {shown(value)}, which makes "
            f"{n:.12g}"
        )


def _degree(value: int, n_choices: int, n_lists: int, allow_multapses: bool, name: str) -> int:
    """Return the length of each of the lists, of choices out of so many."""
    degree = as_count(value, name, least=0)
    _check_flag(allow_multapses, "allow_multapses")
    if degree > n_choices and not allow_multapses:
        raise ValueError(
            f"{name} must be at most {n_choices} for allow_multapses=False, got {degree}"
        )
    if degree and not n_choices:
        raise ValueError(f"{name} must be 0 for allow_self=False and a single neuron, got {degree}")
    _check_total(degree * n_lists, value, name)
    return degree


def _generator(seed: Seed) -> np.random.Generator:
    """Return a new generator, or the one that was given."""
    if isinstance(seed, (bool, np.bool_, str, bytes)):
        raise ValueError(f"seed must be one of numpy.random.default_rng, got {shown(seed)}")
    sources = np.random.SeedSequence, np.random.BitGenerator, np.random.RandomState
    if not (seed is None or isinstance(seed, (int, np.random.Generator, *sources))):
        seed = as_indices(seed, "seed").tolist()
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError):
        message = f"seed must be one of numpy.random.default_rng, got {shown(seed)}"
        raise ValueError(message) from None


# --- who is connected to whom ---------------------------------------------------------------------


def _bernoulli(
    rng: np.random.Generator, n_rows: int, n_columns: int, p: float
) -> tuple[IntArray, Int32Array]:
    """Return row pointers and columns of places each of which is taken with probability p.

    Between two of them, row by row, lies a geometric number of others.
    """
    total, last = n_rows * n_columns, -1
    counts = np.zeros(n_rows, dtype=np.int64)
    columns = [np.empty(0, dtype=np.int32)]
    size = min(PIECE, int(p * total + 6.0 * (p * total) ** 0.5) + 16)
    while p > 0.0 and last < total:
        place = np.minimum(rng.geometric(p, size), total + 1)
        np.cumsum(place, out=place)
        place += last
        # Beyond the first place behind the end, sums may overflow; they are not looked at.
        inside = _first(place >= total)
        row, column = np.divmod(place[:inside], max(n_columns, 1))
        columns.append(column.astype(np.int32))
        if inside:
            counts[row[0] : row[-1] + 1] += np.bincount(row - row[0])
        last = int(place[inside]) if inside < size else int(place[-1])
    return _starts(counts), np.concatenate(columns)


def _first(flags: NDArray[np.bool_]) -> int:
    """Return the place of the first flag that is set, or how many there are."""
    return int(flags.argmax()) if flags.any() else flags.size


def _lists(
    rng: np.random.Generator,
    n_lists: int,
    n_others: int,
    degree: int,
    name: str,
    allow_self: bool,
    allow_multapses: bool,
) -> tuple[IntArray, Int32Array]:
    """Return as many partners for each neuron, out of the others, as (pointers, partners)."""
    n_choices = n_others - (not allow_self)
    degree = _degree(degree, n_choices, n_lists, allow_multapses, name)
    partners = _choices(rng, n_lists, degree, n_choices, allow_multapses)
    if not allow_self:
        _step_over(partners, n_lists, degree)
    return _ends(n_lists, degree), partners


def _choices(
    rng: np.random.Generator, n_lists: int, degree: int, n_choices: int, repeated: bool
) -> Int32Array:
    """Return lists of choices out of so many, one after the other; distinct, or any."""
    if repeated or not degree:
        return rng.integers(0, max(n_choices, 1), n_lists * degree, dtype=np.int32)
    highs = np.arange(n_choices - degree + 1, n_choices + 1)
    chosen = rng.integers(0, highs, (n_lists, degree), dtype=np.int32)
    _make_distinct(chosen, np.full(n_choices, -1, dtype=np.int32))
    return chosen.reshape(-1)


@loop
def _make_distinct(chosen: NDArray[Any], latest: NDArray[Any]) -> None:
    """Make each row a set, all sets being as likely (Floyd's algorithm: CACM 30, 754, 1987).

    Entry k of a row is any of the numbers up to a limit, which is one higher for the next entry;
    if it was chosen before, the limit takes its place.  ``latest`` is the last row that chose a
    number.
    """
    n_rows, n_columns = chosen.shape
    limit = latest.size - n_columns
    for row in range(n_rows):
        for k in range(n_columns):
            if latest[chosen[row, k]] == row:
                chosen[row, k] = limit + k
            latest[chosen[row, k]] = row


def _uniform_counts(rng: np.random.Generator, n_rows: int, n: int) -> IntArray:
    """Return how many of n synapses fall to each row."""
    counts = np.zeros(n_rows, dtype=np.int64)
    piece = max(PIECE, n_rows)
    for start in range(0, n, piece):
        drawn = rng.integers(0, n_rows, min(piece, n - start))
        counts += np.bincount(drawn, minlength=n_rows)
    return counts


def _step_over(indices: Int32Array, n_lists: int, counts: int | IntArray) -> None:
    """Leave out, in the list of each neuron, its own number: those from it on are one higher."""
    indices += indices >= np.repeat(np.arange(n_lists, dtype=np.int32), counts)


def _ends(n_lists: int, degree: int) -> IntArray:
    return degree * np.arange(n_lists + 1)


def _starts(counts: IntArray) -> IntArray:
    return np.concatenate([[0], np.cumsum(counts)])


def _by_rows(
    shape: tuple[int, int], indptr: IntArray | Int32Array, indices: Int32Array
) -> tuple[Int32Array, Int32Array]:
    """Return, from the sources of each column, row pointers and the columns of each row."""
    nothing = np.zeros(indices.size, dtype=np.int8)
    ends = indptr.astype(np.int32, copy=False)  # wider ones would widen the indices
    rows = sparse.csc_array((nothing, indices, ends), shape=shape).tocsr()
    return rows.indptr, rows.indices


def _sorted(
    shape: tuple[int, int], indptr: IntArray, indices: Int32Array
) -> tuple[Int32Array, Int32Array]:
    """Sort the columns of each row, by counting: they come in order if put there one by one."""
    n_pre, n_post = shape
    return _by_rows(shape, *_by_rows((n_post, n_pre), indptr, indices))


# --- weights and delays ---------------------------------------------------------------------------


def _drawn(
    shape: tuple[int, int],
    indptr: IntArray | Int32Array,
    indices: Int32Array,
    weights: Values,
    delays: Values,
    rng: np.random.Generator,
) -> Synapses:
    """Return synapses at these places, with one copy of these."""
    _check_total(indices.size, shape, "n_pre, n_post")
    drawn = _values(weights, indices.size, rng, WEIGHTS)
    data = np.full(indices.size, drawn) if isinstance(drawn, float) else drawn
    ends = indptr.astype(np.int32, copy=False)
    matrix = sparse.csr_array((data, indices, ends), shape=shape)
    lags = _values(delays, indices.size, rng, DELAYS)
    for array in (matrix.data, matrix.indices, matrix.indptr, lags):
        if isinstance(array, np.ndarray):
            array.flags.writeable = False
    if not isinstance(lags, float):
        lags = sparse.csr_array((lags, matrix.indices, matrix.indptr), shape=shape)
    return Synapses(matrix, lags)


def _values(
    given: Values, n: int, rng: np.random.Generator, parameter: Parameter
) -> float | FloatArray:
    """Return a number, or one for each of n synapses, within the limits of the parameter."""
    if hasattr(type(given), "rvs"):
        values: Any = _drawn_from(cast("Distribution", given), n, rng)
    else:
        values = given(rng, n) if callable(given) else given
    array = np.array(as_floats(values, parameter.name))
    if array.shape not in ((), (n,)):
        raise ValueError(
            f"{parameter.name} must be a number, or one for each of the {n} synapses, "
            f"got shape {array.shape}"
        )
    parameter.require(array)
    return array if array.ndim else float(array)


def _drawn_from(distribution: Distribution, n: int, rng: np.random.Generator) -> FloatArray:
    """Return n numbers, drawn piece by piece: some distributions take many times their memory."""
    values = np.empty(n)
    for start in range(0, n, PIECE):
        piece = values[start : start + PIECE]
        piece[:] = distribution.rvs(size=piece.size, random_state=rng)
    return values
