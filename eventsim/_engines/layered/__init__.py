"""The layered engine: feed-forward networks, a layer of all samples after another."""
