"""Theory, simulation and estimate of the coherence: the scenario coherence."""
