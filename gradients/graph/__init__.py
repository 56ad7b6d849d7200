"""Gradients on a causality graph: the Jacobian of its spikes, and the two ways to solve it."""
