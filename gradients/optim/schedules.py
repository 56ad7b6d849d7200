"""Learning rates that change with the step: each is a function of the number of steps done."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from eventsim._support.validate import as_count, as_nonnegative, as_number, as_positive

__all__ = ["Schedule", "constant", "cosine", "rate_at", "read_rate", "step_decay"]

Schedule: TypeAlias = Callable[[int], float]
"""From the number of steps done before (0 at the first) to a learning rate >= 0."""


@dataclass(frozen=True, slots=True)
class constant:  # noqa: N801 - reads as the function it is: lr=constant(1e-3)
    """The same learning rate at every step.

    Parameters
    ----------
    lr : float
        Learning rate > 0.

    Examples
    --------
    >>> constant(0.1)(1000)
    0.1
    """

    lr: float

    def __post_init__(self) -> None:
        """Check the range."""
        _keep(self, lr=as_positive(self.lr, "lr"))

    def __call__(self, step: int) -> float:
        """Return the learning rate of a step."""
        as_count(step, "step", least=0)
        return self.lr


@dataclass(frozen=True, slots=True)
class cosine:  # noqa: N801
    r"""A linear rise, then half a period of a cosine.

    .. math::
        \eta_k = \eta \frac{k + 1}{w + 1} \; (k < w), \qquad
        \eta_k = \eta_{final} + \frac{\eta - \eta_{final}}{2}
                 \left( 1 + \cos \pi \frac{k - w}{n - w} \right) \; (w \le k \le n)

    Parameters
    ----------
    lr : float
        Highest learning rate η > 0, that of step w.
    n_steps : int
        Number of steps n until the lowest; it stays there.
    final : float
        Lowest learning rate, in [0, lr].
    warmup : int
        Steps w of the rise, in [0, n_steps).

    Notes
    -----
    Loshchilov & Hutter (2017), SGDR, Eq. 5, without restarts.

    Examples
    --------
    >>> schedule = cosine(1.0, n_steps=6, warmup=2)
    >>> [round(schedule(step), 3) for step in range(7)]
    [0.333, 0.667, 1.0, 0.854, 0.5, 0.146, 0.0]
    """

    lr: float
    n_steps: int
    final: float = 0.0
    warmup: int = 0

    def __post_init__(self) -> None:
        """Check the ranges."""
        _keep(self, lr=as_positive(self.lr, "lr"), n_steps=as_count(self.n_steps, "n_steps"))
        _keep(self, final=as_number(self.final, "final"))
        if not 0.0 <= self.final <= self.lr:
            raise ValueError(f"final must be in [0, lr] = [0, {self.lr}], got {self.final}")
        _keep(self, warmup=as_count(self.warmup, "warmup", least=0))
        if self.warmup >= self.n_steps:
            raise ValueError(f"warmup must be < n_steps = {self.n_steps}, got {self.warmup}")

    def __call__(self, step: int) -> float:
        """Return the learning rate of a step."""
        step = as_count(step, "step", least=0)
        if step < self.warmup:
            return self.lr * (step + 1) / (self.warmup + 1)
        done = min((step - self.warmup) / (self.n_steps - self.warmup), 1.0)
        return self.final + 0.5 * (self.lr - self.final) * (1.0 + math.cos(math.pi * done))


@dataclass(frozen=True, slots=True)
class step_decay:  # noqa: N801
    """A learning rate that falls by a factor every so many steps.

    Parameters
    ----------
    lr : float
        Learning rate > 0 of the first steps.
    factor : float
        What it is multiplied by, in (0, 1].
    every : int
        Steps between two falls, >= 1.

    Examples
    --------
    >>> schedule = step_decay(0.8, factor=0.5, every=100)
    >>> schedule(0), schedule(99), schedule(100), schedule(250)
    (0.8, 0.8, 0.4, 0.2)
    """

    lr: float
    factor: float
    every: int

    def __post_init__(self) -> None:
        """Check the ranges."""
        _keep(self, lr=as_positive(self.lr, "lr"), factor=as_number(self.factor, "factor"))
        if not 0.0 < self.factor <= 1.0:
            raise ValueError(f"factor must be in (0, 1], got {self.factor}")
        _keep(self, every=as_count(self.every, "every"))

    def __call__(self, step: int) -> float:
        """Return the learning rate of a step."""
        step = as_count(step, "step", least=0)
        return self.lr * self.factor ** (step // self.every)


def read_rate(lr: float | Schedule) -> None:
    """Raise a ValueError unless ``lr`` is a learning rate > 0 or a schedule."""
    if not callable(lr):
        as_positive(lr, "lr")


def rate_at(lr: float | Schedule, step: int) -> float:
    """Return the learning rate of a step.

    Raises
    ------
    ValueError
        If a schedule returns something else than a finite number >= 0.
    """
    if not callable(lr):
        return float(lr)
    return as_nonnegative(lr(step), f"learning rate of step {step}")


def _keep(schedule: object, **values: float) -> None:
    """Set fields of a frozen schedule to the plain numbers that were read."""
    for name, value in values.items():
        object.__setattr__(schedule, name, value)
