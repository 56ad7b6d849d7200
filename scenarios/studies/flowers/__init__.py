"""LIF units in deep networks: the scenario flowers."""
