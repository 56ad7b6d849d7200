"""The gradient of a loss by every parameter of a network."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

__all__ = ["Gradient"]


@dataclass(frozen=True, eq=False)
class Gradient:
    """Derivatives of a scalar loss.

    Attributes
    ----------
    weights : dict of key -> (n_pre, n_post) ndarray or csr_array
        By the weights of each projection; dense or sparse as the weights are.
    delays : dict of key -> float, ndarray or csr_array
        By the delays, in the form in which they were given.
    tau_mem, tau_syn, threshold, bias : dict of str -> (n,) ndarray
        By the neuron parameters of each population (by an infinite time constant: 0).
    alpha, beta : dict of str -> (n,) ndarray
        By the rates ``1/tau_syn`` and ``1/tau_mem``.
    input_times : dict of str -> (n_spikes,) ndarray
        By the time of each input spike, in the order in which the caller gave the spikes.
    min_slope : float
        Smallest dV/dt at a spike (``inf`` without spikes).  A spike that is about to appear or
        vanish has a slope near 0, and gradients grow like its inverse: they are exact up to the
        point where the number of spikes changes, and blind to what happens there.
    silent_fraction : float
        Fraction of the neurons with a finite threshold that did not fire (averaged over samples):
        a silent neuron gets no gradient.

    Examples
    --------
    >>> import gradients
    >>> gradients.Gradient({}, {}, {}, {}, {}, {}, {}, {}, {}, 0.5, 0.0).norm
    0.0
    """

    weights: dict
    delays: dict
    tau_mem: dict
    tau_syn: dict
    threshold: dict
    bias: dict
    alpha: dict
    beta: dict
    input_times: dict
    min_slope: float
    silent_fraction: float

    @property
    def norm(self):
        """Euclidean norm of the gradient by all weights."""
        values = [
            value.data if sparse.issparse(value) else value for value in self.weights.values()
        ]
        return float(np.sqrt(sum(np.sum(np.square(value)) for value in values)))
