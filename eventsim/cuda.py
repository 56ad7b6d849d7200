"""CUDA devices, and why there is none.  Experimental: what runs on a device may change.

Needs the extra "cuda".  A device runs feed-forward networks: ``eventsim.simulate(...,
engine="cuda")``; training on it is in `gradients.cuda`.
"""

from eventsim._engines.cuda.device import device_obstacle, devices

__all__ = ["device_obstacle", "devices"]
