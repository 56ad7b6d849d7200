"""The parts of the larger scenarios, most of them under the name of the scenario."""
