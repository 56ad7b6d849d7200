r"""The two matrices of the implicit function theorem, read off a causality graph.

The spike times F solve :math:`V_f(F, p) = \theta` for every spike f.  Sorted by time,
:math:`L = \partial V/\partial F` is lower triangular with the slopes on its diagonal, and

.. math:: L\, \frac{\partial F}{\partial p} = -\frac{\partial V}{\partial p}

(Lee et al., Eqs. 9-10) is solved forward in time for derivatives of all spikes (forward
propagation), transposed and backward in time for the gradient of one loss (timing
backpropagation).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TypeAlias

import numpy as np
from scipy import sparse

from eventsim._layout.wiring import compiled_form, layout_of
from eventsim._support.types import FloatArray, IntArray
from eventsim._support.validate import as_finite, check_choice, require, shown
from eventsim.causality import CausalityGraph, Edges, GraphLike, Rows
from eventsim.model.parameters import DIFFERENTIABLE, INITIAL, pulled
from gradients.gradient import RATES

__all__ = ["SRM", "Jacobian", "as_graph", "jacobian"]

# Derivatives that rows have, and what of it a graph made by hand can be differentiated by.
BY_NEURON = ("alpha", "beta", "threshold", "bias", "potential")
BY_HAND = ("weights", "delays", "input_times", "threshold", "bias", INITIAL)

Kernel: TypeAlias = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True, slots=True)
class SRM:
    r"""Kernels of a spike response model, for spikes of another simulator.

    .. math:: V_f = \sum_a w_a K_{in}(f - a) - \sum_{m<f} K_{ref}(f - m)

    Parameters
    ----------
    k_in, k_in_slope : callable
        Post-synaptic kernel and its derivative, from an array of lags > 0 to an array;
        ``k_in(0+)`` must be 0, so that an arriving spike does not make V jump.
    k_ref, k_ref_slope : callable
        Refractory kernel and its derivative.

    Raises
    ------
    ValueError
        If a kernel is no function of an array, or ``k_in(0+)`` is not 0.

    Notes
    -----
    Lee et al., §3.3, Eq. 11.

    Examples
    --------
    >>> kernels = SRM(lambda t: t * np.exp(-t), lambda t: (1 - t) * np.exp(-t),
    ...               lambda t: np.exp(-t), lambda t: -np.exp(-t))
    >>> float(kernels.k_in(np.array([1.0]))[0].round(4))
    0.3679
    """

    k_in: Kernel
    k_in_slope: Kernel
    k_ref: Kernel
    k_ref_slope: Kernel

    def __post_init__(self) -> None:
        """Check that the post-synaptic kernel starts at 0."""
        for field in fields(self):
            kernel = getattr(self, field.name)
            if not callable(kernel):
                raise ValueError(f"{field.name} must be a function, got {shown(kernel)}")
        start = float(_response(self.k_in, np.array([np.finfo(float).tiny]), "k_in")[0])
        if not abs(start) < 1e-9:
            raise ValueError(f"k_in(0+) must be 0, got {shown(start)}")


def _response(kernel: Kernel, lags: FloatArray, name: str) -> FloatArray:
    """Return what a kernel makes of some lags."""
    return as_finite(kernel(lags), lags.shape, f"values of {name}")


@dataclass(frozen=True, slots=True, eq=False)
class Jacobian:
    """Derivatives of the spikes' equations.

    Attributes
    ----------
    L : (n_spikes, n_spikes) scipy.sparse.csr_array
        By the spike times, both ascending in time: lower triangular, slopes on the diagonal.
    dV : (n_spikes, n_parameters) scipy.sparse.csr_array
        By the parameters ``wrt``.  Columns: for "weights" and "delays" the synapses, in the order
        of the network's projections, each row by row (of a graph made by hand: the order of
        ``graph.synapses``); for "input_times" the input spikes of the graph; else the neurons, if
        they have several receptors for "tau_syn" once for each of them, and for "initial" with
        their potentials at t = 0, then with the current of each receptor.
    wrt : str
        Which parameters.

    Examples
    --------
    >>> one = sparse.csr_array(np.eye(1))
    >>> Jacobian(L=2.0 * one, dV=one, wrt="weights").L.toarray()
    array([[2.]])
    """

    L: sparse.csr_array
    dV: sparse.csr_array
    wrt: str


def jacobian(graph: GraphLike, wrt: str = "weights", kernels: SRM | None = None) -> Jacobian:
    """Return L = dV/dF and dV/dp of a causality graph.

    Parameters
    ----------
    graph : CausalityGraph or networkx.DiGraph
        From a run, from another simulator's spikes, or made by hand.
    wrt : str
        The parameters p: "weights", "delays", "tau_mem", "tau_syn", "threshold", "bias", "rest",
        "reset", "initial" or "input_times"; "alpha" and "beta" are the rates ``1/tau_syn`` and
        ``1/tau_mem``, in whose terms graphs made by hand say what neurons are.
    kernels : SRM, optional
        Kernels of another neuron model; default: those of the graph (LIF).  Only for "weights",
        "delays" and "input_times".

    Returns
    -------
    Jacobian
        Sparse matrices.

    Raises
    ------
    ValueError
        Unknown parameters; slopes that are not > 0 (the spike times are no solution).

    Notes
    -----
    Lee et al., Theorem 4 and Algorithm 2.

    Examples
    --------
    >>> import eventsim as es
    >>> net = es.Network()
    >>> net.add_input("in", 1)
    >>> net.add_population("out", 1, es.LIF(tau_mem=1.0, tau_syn=1.0))
    >>> key = net.connect("in", "out", weights=[[4.0]])
    >>> result = es.simulate(net, {"in": es.Spikes([0.0], [0])}, t_stop=1.0)
    >>> jac = jacobian(result.causality())
    >>> jac.L.toarray().round(4), jac.dV.toarray().round(4)
    (array([[1.798]]), array([[0.25]]))
    """
    graph = as_graph(graph)
    _check_wrt(graph, wrt)
    if kernels is not None and not isinstance(kernels, SRM):
        raise ValueError(f"kernels must be an SRM, or None, got {shown(kernels)}")
    edges, rows = graph.spike_equations
    if kernels is not None:
        edges, rows = _with_kernels(graph, kernels, edges, rows, wrt)
    low = rows.by_time.argmin() if rows.by_time.size else 0
    if rows.by_time.size and not rows.by_time[low] > 0.0:
        raise ValueError(
            f"slope of spike {low} at t = {graph.times[low]} must be > 0, got {rows.by_time[low]}"
        )
    return Jacobian(_by_spikes(graph, edges, rows), by_parameters(graph, edges, rows, wrt), wrt)


def as_graph(graph: GraphLike, name: str = "graph") -> CausalityGraph:
    """Return a `CausalityGraph` from one, or from a networkx.DiGraph."""
    if not isinstance(graph, GraphLike):
        raise ValueError(
            f"{name} must be a CausalityGraph or a networkx.DiGraph, got {shown(graph)}"
        )
    return graph if isinstance(graph, CausalityGraph) else CausalityGraph.from_networkx(graph)


def _by_spikes(graph: CausalityGraph, edges: Edges, rows: Rows) -> sparse.csr_array:
    n_inputs, n = graph.input_times.size, graph.times.size
    inner = edges.cause >= n_inputs
    diagonal = np.arange(n)
    values = np.concatenate([edges.by_cause[inner], rows.by_time])
    at = (
        np.concatenate([edges.row[inner], diagonal]),
        np.concatenate([edges.cause[inner] - n_inputs, diagonal]),
    )
    return sparse.csr_array((values, at), shape=(n, n))


def by_causes(graph: CausalityGraph, edges: Edges, n_rows: int) -> sparse.csr_array:
    """Return the derivatives of equations by the spike times, (n_rows, n_spikes)."""
    n_inputs = graph.input_times.size
    inner = edges.cause >= n_inputs
    at = (edges.row[inner], edges.cause[inner] - n_inputs)
    return sparse.csr_array((edges.by_cause[inner], at), shape=(n_rows, graph.times.size))


def by_parameters(
    graph: CausalityGraph, edges: Edges, rows: Rows, wrt: str, neurons: IntArray | None = None
) -> sparse.csr_array:
    """Return the derivatives (n_rows, n_parameters) of equations by the parameters ``wrt``."""
    n_rows = rows.by_time.size
    if wrt in ("weights", "delays"):
        synaptic = edges.synapse >= 0
        values = edges.by_weight if wrt == "weights" else edges.by_cause
        column, n = synapse_columns(graph, edges.synapse[synaptic])
        at = (edges.row[synaptic], column)
        return sparse.csr_array((values[synaptic], at), shape=(n_rows, n))
    if wrt == "input_times":
        n = graph.input_times.size
        outer = edges.cause < n
        at = (edges.row[outer], edges.cause[outer])
        return sparse.csr_array((edges.by_cause[outer], at), shape=(n_rows, n))
    # Rows of spikes say by how much V misses the threshold, those of potentials what V is.
    level = 0.0 if neurons is None else 1.0
    neurons = graph.neurons if neurons is None else neurons
    n = n_rows if graph.network is None else layout_of(graph.network).n_neurons
    every = np.arange(n_rows)
    if wrt == INITIAL:
        values = np.column_stack([rows.by_potential, rows.by_current])
    else:
        values = _by_neurons(graph, rows, wrt, neurons, level)
        values = values[:, None] if values.ndim == 1 else values
    width = values.shape[1]
    at = np.repeat(every, width), (neurons[:, None] + n * np.arange(width)).reshape(-1)
    return sparse.csr_array((values.reshape(-1), at), shape=(n_rows, width * n))


def _by_neurons(
    graph: CausalityGraph, rows: Rows, wrt: str, neurons: IntArray, level: float
) -> FloatArray:
    """Return the derivative of each equation by a parameter, or a rate, of its neuron."""
    by = {name: np.asarray(getattr(rows, f"by_{name}")) for name in BY_NEURON}
    if graph.network is None:
        return by[wrt]
    layout = layout_of(graph.network)
    values = {name: array[neurons] for name, array in layout.values.items()}
    by["level"] = np.full(neurons.size, level)
    return pulled(by, values, graph.stimulus.start.at_rest[neurons])[wrt]


def _check_wrt(graph: CausalityGraph, wrt: str) -> None:
    """Raise a ValueError unless a graph knows what to differentiate by."""
    check_choice(wrt, (*DIFFERENTIABLE, INITIAL, *RATES), "wrt")
    if graph.network is None and wrt not in (*BY_HAND, *RATES):
        raise ValueError(
            f"wrt must be one of {[*BY_HAND, *RATES]} on a graph made by hand, which knows rates "
            f"instead of time constants, got {wrt!r}"
        )


def synapse_columns(graph: CausalityGraph, synapses: IntArray) -> tuple[IntArray, int]:
    """Return the column of each synapse (its place in the projections' values), and the number."""
    if graph.network is None:
        return synapses, len(graph.synapses)
    compiled = compiled_form(graph.network)
    column = np.empty(compiled.wiring.weight.size, dtype=np.int64)
    for key, part in compiled.synapses.items():
        order, values = compiled.orders[key], compiled.values[key]
        column[part] = (
            np.arange(values.start, values.stop) if order is None else (values.start + order)
        )
    return column[synapses], sum(part.stop - part.start for part in compiled.values.values())


def _with_kernels(
    graph: CausalityGraph, kernels: SRM, edges: Edges, rows: Rows, wrt: str
) -> tuple[Edges, Rows]:
    """Return edges and slopes of a spike response model."""
    if wrt not in ("weights", "delays", "input_times"):
        raise ValueError(f"wrt must be a parameter of synapses with SRM kernels, got {shown(wrt)}")
    if graph.network is not None:
        refractory = compiled_form(graph.network).neurons.refractory
        require(refractory == 0.0, refractory, "refractory must be 0 with SRM kernels")
    synaptic = edges.synapse >= 0
    by_weight, by_lag = np.zeros(edges.lag.size), np.empty(edges.lag.size)
    lag, own_lag = edges.lag[synaptic], edges.lag[~synaptic]
    by_weight[synaptic] = _response(kernels.k_in, lag, "k_in")
    by_lag[synaptic] = edges.weight[synaptic] * _response(kernels.k_in_slope, lag, "k_in_slope")
    by_lag[~synaptic] = -_response(kernels.k_ref_slope, own_lag, "k_ref_slope")
    slope = np.bincount(edges.row, weights=by_lag, minlength=rows.by_time.size)
    edges = edges._replace(by_weight=by_weight, by_cause=-by_lag)
    return edges, Rows._make((slope, *rows[1:]))
