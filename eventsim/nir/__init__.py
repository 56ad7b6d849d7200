"""Networks from other tools, and for them: NIR, the Neuromorphic Intermediate Representation.

Needs the extra "io".  `load` makes a network of a graph, `export` and `save` a graph of a network.
"""

from eventsim.nir.exporting import export, save
from eventsim.nir.loading import Report, load

__all__ = ["Report", "export", "load", "save"]
