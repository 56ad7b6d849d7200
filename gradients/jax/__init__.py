"""Exact networks as functions of JAX: see docs/jax.md.

Needs the extra "jax".
"""

from eventsim._support.extras import extra

with extra("jax", "gradients.jax needs"):
    import jax as _  # noqa: F401

from gradients.jax.binding import Apply, bind
from gradients.jax.losses import first_spike_cross_entropy

__all__ = ["Apply", "bind", "first_spike_cross_entropy"]
