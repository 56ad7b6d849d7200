"""Losses of first spike times, as functions of JAX arrays."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from gradients.losses.first_spike import FirstSpikeCrossEntropy

__all__ = ["first_spike_cross_entropy"]


def first_spike_cross_entropy(
    times: Any,
    labels: Any,
    *,
    tau0: float,
    t_silent: float,
    tau1: float = 1.0,
    gamma: float = 0.0,
    smoothing: float = 0.0,
) -> Any:
    """Return the cross-entropy of first spike times: `gradients.first_spike_cross_entropy`.

    Parameters
    ----------
    times : (n_samples, n_classes) array
        First spike time of each output neuron; ``inf`` = silent, which counts as the constant
        ``t_silent``: there the derivative is 0.
    labels : (n_samples,) array of int
        Index of the neuron that should fire first.
    tau0, t_silent, tau1, gamma, smoothing : float
        As of `gradients.FirstSpikeCrossEntropy`.

    Returns
    -------
    () array
        Mean over the samples.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a number is out of its range.

    Notes
    -----
    A silent neuron of a label has no derivative, and nothing here wakes it: ``wake`` of
    `gradients.FirstSpikeCrossEntropy` is no derivative of a loss.  Labels out of range give NaN,
    as everywhere in JAX, whose arrays cannot be looked at in compiled code.

    Examples
    --------
    >>> import jax, jax.numpy as jnp, gradients.jax
    >>> def loss(times):
    ...     return first_spike_cross_entropy(times, jnp.array([0]), tau0=1.0, t_silent=3.0)
    >>> value, slope = jax.value_and_grad(loss)(jnp.array([[1.0, 2.0]]))
    >>> value.round(6).item(), slope.round(6).tolist()
    (0.313262, [[0.268941, -0.268941]])
    """
    FirstSpikeCrossEntropy("", tau0, t_silent, tau1, gamma, smoothing)
    times, labels = jnp.asarray(times), jnp.asarray(labels)
    if times.ndim != 2 or labels.shape != times.shape[:1] or not times.size:
        raise ValueError(
            "times must be (n_samples, n_classes) and labels (n_samples,), both >= 1, "
            f"got {times.shape} and {labels.shape}"
        )
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise ValueError(f"labels must be integers, got {labels.dtype}")
    seen = jnp.where(times < jnp.inf, times, t_silent)
    target = jax.nn.one_hot(labels, times.shape[1], dtype=seen.dtype)
    target = smoothing / times.shape[1] + (1.0 - smoothing) * target
    loss = -jnp.mean(jnp.sum(target * jax.nn.log_softmax(-seen / tau0), axis=1))
    if gamma:
        own = jnp.take_along_axis(seen, labels[:, None], axis=1)
        loss += gamma * jnp.mean(jnp.expm1(own / tau1))
    return loss
