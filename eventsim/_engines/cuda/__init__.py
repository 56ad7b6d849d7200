"""The layered engine on a CUDA device: the same layers, tiles and scalar functions as on the CPU.

A thread is a neuron of one sample, and keeps its state in registers; neighbouring threads are the
lanes of a tile, so an arrival's row of weights is one load.  Numba compiles the scalar functions of
`eventsim.model.flow` and `eventsim.model.crossing` for the device as they are.

Between layers nothing returns to the host.  Spikes are appended to a sample's part of a buffer in
whatever order the threads come, and then sorted by (time, neuron), so a result does not depend on
that order.
"""

from eventsim._engines.cuda.device import device_obstacle, devices
from eventsim._engines.cuda.result import CudaResult, run_layers
from eventsim._engines.cuda.run import DeviceRun

__all__ = ["CudaResult", "DeviceRun", "device_obstacle", "devices", "run_layers"]
