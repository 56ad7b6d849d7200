"""Losses: their values, and their derivatives by what was simulated."""
