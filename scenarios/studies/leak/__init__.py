"""Deep clocked networks with and without leak: the scenario leak."""
