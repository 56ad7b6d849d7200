"""Leak and noise with exact gradients: the scenario leak_exact."""
