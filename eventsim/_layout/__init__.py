"""A network as arrays: synapses by source, layers as tiles, the arrivals of a run."""
