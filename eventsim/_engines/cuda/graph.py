"""Launches that are recorded once and then replayed as one: a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import finalize

from numba import config, cuda

from eventsim._engines.cuda.device import on_stream

__all__ = ["Recording"]


class Recording:
    """The launches of a function, which allocates nothing and reads nothing back.

    Its kernels must have been launched before, so that they are compiled and loaded.  In the
    simulator, which has no graphs, the function is called again each time.

    Parameters
    ----------
    launch : callable
        Without arguments.

    Raises
    ------
    RuntimeError
        If the driver cannot record them.
    """

    def __init__(self, launch: Callable[[], None]) -> None:
        self.launch, self.stream, self._executable = launch, cuda.stream(), None
        if config.ENABLE_CUDASIM:
            return
        from cuda.bindings import driver  # comes with numba-cuda

        handle = driver.CUstream(int(self.stream))
        cuda.synchronize()
        mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_RELAXED
        _checked(driver.cuStreamBeginCapture(handle, mode))
        try:
            with on_stream(self.stream):
                launch()
        finally:
            (graph,) = _checked(driver.cuStreamEndCapture(handle))
        (self._executable,) = _checked(driver.cuGraphInstantiate(graph, 0))
        _checked(driver.cuGraphDestroy(graph))
        finalize(self, driver.cuGraphExecDestroy, self._executable)

    def replay(self) -> None:
        """Launch them again, and wait for the end."""
        if self._executable is None:
            self.launch()
            return
        from cuda.bindings import driver

        cuda.synchronize()  # with what the host has copied, on another stream
        _checked(driver.cuGraphLaunch(self._executable, driver.CUstream(int(self.stream))))
        self.stream.synchronize()


def _checked(answer: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return what a function of the driver returned beside its error code, which must be 0."""
    code, *rest = answer
    if int(code) != 0:
        raise RuntimeError(f"CUDA graph: the driver answers {code!r}")
    return tuple(rest)
