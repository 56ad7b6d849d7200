"""The parts of the larger scenarios: NAME.py beside this folder runs what NAME/ here is made of."""
