"""The neuron: its parameters, its flow between events, its first crossing."""
