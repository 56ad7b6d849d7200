"""The CUDA engine as the other engines are: `obstacle`, `pays`, `run`."""

from __future__ import annotations

from eventsim._engines.base import Excess, Job, stateless
from eventsim._engines.cuda.device import device_obstacle
from eventsim._engines.cuda.plan import network_obstacle
from eventsim._engines.cuda.result import run_layers
from eventsim._engines.layered.capped import run_capped
from eventsim._support.validate import shown
from eventsim.result import BatchResult

__all__ = ["carried", "obstacle", "pays", "run"]


def obstacle(job: Job) -> str | None:
    """Return why layers on a device cannot do this job, or None if they can."""
    of_network = network_obstacle(job.network, job.engine) or stateless(job)
    if of_network is None and not job.given.start.is_zero:
        return f"initial must be None on a device, got {shown(job.given.start.given)}"
    return of_network


def carried(old: BatchResult) -> BatchResult:
    """Return the run as it is: its `obstacle` refuses parts."""
    return old


def pays(job: Job) -> bool:  # noqa: ARG001
    """Return False: a device is used by those who ask for it."""
    return False


def run(job: Job) -> tuple[BatchResult, Excess]:
    """Run all samples, or those up to the first one that exceeds the cap.

    Raises
    ------
    RuntimeError
        If there is no device.
    """
    hindrance = device_obstacle()
    if hindrance:
        raise RuntimeError(hindrance)
    return run_capped(run_layers, job)
