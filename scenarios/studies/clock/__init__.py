"""Clocked against exact spikes and gradients: the scenario clock."""
