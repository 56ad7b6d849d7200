"""Forward propagation: derivatives of all spike times, solved forward in time.

Lee et al., Algorithm 2, on a causality graph, for any spike response model.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.sparse.linalg import spsolve_triangular

from eventsim._support.types import FloatArray, IntArray
from eventsim._support.validate import as_indices, require
from eventsim.causality import GraphLike
from gradients.graph.jacobian import SRM, as_graph, jacobian

__all__ = ["forward_propagation", "solve_backward", "solve_forward"]


def forward_propagation(
    graph: GraphLike,
    wrt: str = "weights",
    *,
    spikes: ArrayLike | None = None,
    columns: ArrayLike | None = None,
    kernels: SRM | None = None,
) -> FloatArray:
    """Return the derivatives of spike times by parameters, dF/dp.

    Parameters
    ----------
    graph : CausalityGraph or networkx.DiGraph
        From a run, from another simulator's spikes, or made by hand.
    wrt : str
        The parameters p, as for `jacobian`, in the column order of ``Jacobian.dV``.
    spikes : (n,) array_like of int, optional
        Only these spikes (numbered in ascending time); default: all.
    columns : (k,) array_like of int, optional
        Only these parameters; default: all.
    kernels : SRM, optional
        Kernels of another neuron model.

    Returns
    -------
    (n_spikes, n_parameters) ndarray
        A row for each spike, a column for each parameter.

    Raises
    ------
    ValueError
        As `jacobian`; spikes or columns out of range.

    Notes
    -----
    Solves ``L dF/dp = -dV/dp`` by sparse substitution: O(nonzeros of L) for each column, or, where
    fewer spikes than columns are asked for, for each spike.

    Examples
    --------
    >>> import eventsim as es
    >>> net = es.Network()
    >>> net.add_input("in", 1)
    >>> net.add_population("out", 1, es.LIF(tau_mem=1.0, tau_syn=1.0))
    >>> key = net.connect("in", "out", weights=[[4.0]])
    >>> result = es.simulate(net, {"in": es.Spikes([0.0], [0])}, t_stop=1.0)
    >>> forward_propagation(result.causality()).round(6)
    array([[-0.139046]])
    """
    jac = jacobian(as_graph(graph), wrt, kernels)
    n_spikes, n_parameters = jac.dV.shape
    dV = jac.dV
    if columns is not None:
        dV = dV[:, _chosen(columns, n_parameters, "columns")]
    if spikes is None:
        return -solve_forward(jac.L, dV.toarray())
    spikes = _chosen(spikes, n_spikes, "spikes")
    if spikes.size > dV.shape[1]:
        return -solve_forward(jac.L, dV.toarray())[spikes]
    unit = np.zeros((n_spikes, spikes.size))
    unit[spikes, np.arange(spikes.size)] = 1.0
    return -(dV.T @ solve_backward(jac.L, unit)).T


def solve_forward(matrix: sparse.csr_array, values: FloatArray) -> FloatArray:
    """Return x of ``L x = values``, forward in time."""
    if matrix.shape[0] == 0 or values.size == 0:
        return np.zeros(values.shape)
    return spsolve_triangular(matrix, values, lower=True)


def solve_backward(matrix: sparse.csr_array, values: FloatArray) -> FloatArray:
    """Return x of ``transpose(L) x = values``, backward in time."""
    if matrix.shape[0] == 0 or values.size == 0:
        return np.zeros(values.shape)
    return spsolve_triangular(sparse.csr_array(matrix.T), values, lower=False)


def _chosen(numbers: ArrayLike, n: int, name: str) -> IntArray:
    numbers = np.atleast_1d(as_indices(numbers, name))
    if numbers.ndim > 1:
        raise ValueError(f"{name} must be (n,), got shape {numbers.shape}")
    require(numbers < n, numbers, f"{name} must be < {n}")
    return numbers
