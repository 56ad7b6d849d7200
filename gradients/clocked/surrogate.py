"""Clocked neurons with surrogate gradients: the baselines of exact gradients.

Time goes in steps.  The derivative of a spike by the membrane potential is zero almost everywhere;
training replaces it by something else, and learns all the same.  Needs the extra "torch".

All neurons here are one recurrence, over steps t:

    V_t = decay · R(V_{t-1}) + drive_t,      spike_t = Θ(V_t - threshold)

with R(V) = 0 after a spike (hard reset) or V - threshold (soft reset), and V otherwise.  The
derivative of R is taken at fixed spikes: no gradient goes through a reset.  In the steps of a
refractory period V is held at 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from eventsim._support.validate import (
    as_floats,
    as_nonnegative,
    as_number,
    as_positive,
    check_choice,
    shown,
)
from gradients.clocked._torch import once_differentiable, torch
from gradients.clocked.spikes import check_drive, fired_spikes

__all__ = ["LIFNeuron", "LIFReadout", "LIFUnit", "Reset", "SpikeDerivative", "clocked_lif"]

Kind = Literal["constant", "fired", "fast_sigmoid", "arctan", "silent"]
Reset = Literal["zero", "subtract"]

FOR_GOOD = 1e9  # steps


@dataclass(frozen=True)
class SpikeDerivative:
    """What stands for the derivative of a spike by the distance x = V - threshold.

    Attributes
    ----------
    kind : {"constant", "fired", "fast_sigmoid", "arctan", "silent"}
        - "constant": ``scale`` everywhere (straight-through; Gerum & Schilling: 1);
        - "fired": ``scale`` where there is a spike, else 0 (Chowdhury, Lee & Roy, Eq. 5);
        - "fast_sigmoid": 1 / (1 + ``scale |x|``)²  (Zenke & Ganguli 2018);
        - "arctan": ``scale`` / 2 / (1 + (π ``scale`` x / 2)²)  (Fang et al. 2021);
        - "silent": 0, the control, through which nothing is learned.
    scale : float
        Height, or steepness; in units of one over the membrane potential.

    Examples
    --------
    >>> distance = torch.tensor([-1.0, 0.0, 0.5])
    >>> SpikeDerivative("fired", 2.0)(distance)
    tensor([0., 0., 2.])
    >>> SpikeDerivative("fast_sigmoid", 2.0)(distance)
    tensor([0.1111, 1.0000, 0.2500])
    """

    kind: Kind = "constant"
    scale: float = 1.0

    def __post_init__(self) -> None:
        """Check kind and scale."""
        check_choice(self.kind, get_args(Kind), "kind")
        object.__setattr__(self, "scale", as_positive(self.scale, "scale"))

    def __call__(self, distance: torch.Tensor) -> torch.Tensor:
        """Return the derivative, of the shape of ``distance``."""
        if self.kind == "constant":
            return torch.full_like(distance, self.scale)
        if self.kind == "fired":
            return self.scale * _where(torch.gt, distance, 0.0)
        if self.kind == "fast_sigmoid":
            return (1.0 + self.scale * distance.abs()).square().reciprocal()
        if self.kind == "arctan":
            return 0.5 * self.scale / (1.0 + (0.5 * math.pi * self.scale * distance).square())
        return torch.zeros_like(distance)


def clocked_lif(
    drive: torch.Tensor,
    decay: torch.Tensor | float,
    *,
    threshold: torch.Tensor | float = 1.0,
    refractory: torch.Tensor | float = 0.0,
    reset: Reset = "zero",
    reset_at_threshold: bool = False,
    derivative: SpikeDerivative = SpikeDerivative(),
) -> tuple[torch.Tensor, torch.Tensor]:
    """Run clocked neurons from rest.

    Parameters
    ----------
    drive : (n_steps, ...) tensor
        What each step adds to the membrane potential of each neuron, in its unit.
    decay : tensor or float
        Part of the potential that is left after a step; broadcasts against one step of ``drive``,
        as do the next two.
    threshold : tensor or float
        A neuron fires when its potential exceeds it, > 0; inf: it never fires.
    refractory : tensor or float
        Steps after a spike in which the potential is held at 0, >= 0; inf: it fires once.
    reset : {"zero", "subtract"}
        What a spike does to the potential: it is 0 afterwards, or the threshold is taken off.
    reset_at_threshold : bool
        Whether a potential that equals the threshold, which is no spike, is reset all the same, as
        Gerum & Schilling write it (Eq. 9).
    derivative : SpikeDerivative
        Of a spike by the potential.

    Returns
    -------
    spikes, potentials : (n_steps, ...) tensors
        1 where a neuron fires, else 0; and the potentials before the reset.

    Raises
    ------
    ValueError
        If ``drive`` has no steps or is not of a floating type, a decay is not finite, a threshold
        is not > 0 or asks for its derivative, or a refractory period is negative.

    Examples
    --------
    >>> spikes, potentials = clocked_lif(torch.full((4,), 0.6), 0.5)
    >>> spikes
    tensor([0., 0., 1., 0.])
    >>> potentials
    tensor([0.6000, 0.9000, 1.0500, 0.6000])
    """
    check_drive(drive)
    check_choice(reset, get_args(Reset), "reset")
    check_derivative(derivative)
    if isinstance(threshold, torch.Tensor) and threshold.requires_grad:
        raise ValueError("threshold must be a constant, got a tensor that requires a gradient")
    decay = _of_neurons(decay, drive, "decay")
    threshold = _of_neurons(threshold, drive, "threshold")
    refractory = _of_neurons(refractory, drive, "refractory")
    if not decay.isfinite().all():
        raise ValueError(f"decay must be finite, got {decay[~decay.isfinite()][0].item()!r}")
    if not (threshold > 0.0).all():
        raise ValueError(f"threshold must be > 0, got {threshold.min().item()!r}")
    if not (refractory >= 0.0).all():
        raise ValueError(f"refractory must be >= 0, got {refractory.min().item()!r}")
    rule = _Rule(threshold, reset, reset_at_threshold)
    return _ClockedLIF.apply(drive, decay, rule, refractory, derivative)


def check_derivative(derivative: SpikeDerivative) -> None:
    """Raise a ValueError unless ``derivative`` is a `SpikeDerivative`."""
    if not isinstance(derivative, SpikeDerivative):
        raise ValueError(f"derivative must be a SpikeDerivative, got {shown(derivative)}")


def _of_neurons(value: Any, drive: torch.Tensor, name: str) -> torch.Tensor:
    """Return one value for all neurons, or for each, as a tensor of the type of ``drive``."""
    given = value if isinstance(value, torch.Tensor) else torch.tensor(as_floats(value, name))
    if given.is_complex() or given.dtype == torch.bool:
        raise ValueError(f"{name} must be real numbers, got {given.dtype}")
    step = drive.shape[1:]
    fits = given.ndim <= len(step) and all(
        n in (1, size) for n, size in zip(reversed(given.shape), reversed(step), strict=False)
    )
    if not fits:
        raise ValueError(
            f"{name} must broadcast against a step of shape {tuple(step)}, "
            f"got shape {tuple(given.shape)}"
        )
    return given.to(dtype=drive.dtype, device=drive.device)


class _Rule:
    """What becomes of a potential at the end of a step."""

    def __init__(self, threshold: torch.Tensor, reset: Reset, at_threshold: bool) -> None:
        self.threshold, self.subtracts = threshold, reset == "subtract"
        self.fires = bool(threshold.isfinite().any())
        self._hit, self._kept = (torch.ge, torch.lt) if at_threshold else (torch.gt, torch.le)
        self._taken = torch.where(threshold.isfinite(), threshold, 0.0)  # no inf times no spike

    def after(self, potential: torch.Tensor) -> torch.Tensor:
        """Return R: the potential after the reset."""
        if not self.fires:
            return potential
        taken = self._taken if self.subtracts else potential
        hit = _where(self._hit, potential, self.threshold)
        return torch.addcmul(potential, taken, hit, value=-1.0)

    def kept(self, potential: torch.Tensor) -> torch.Tensor | float:
        """Return the derivative of R, spikes fixed."""
        if not self.fires or self.subtracts:
            return 1.0
        return _where(self._kept, potential, self.threshold)

    def spikes(self, potential: torch.Tensor) -> torch.Tensor:
        """Return 1 where a neuron fires."""
        return _where(torch.gt, potential, self.threshold)


def _where(compare: Any, a: torch.Tensor, b: torch.Tensor | float) -> torch.Tensor:
    """Return 1 or 0: floats at once, as PyTorch takes much longer to turn bools into them."""
    return compare(a.detach(), b, out=torch.empty_like(a, requires_grad=False))


class _ClockedLIF(torch.autograd.Function):
    """The recurrence, step by step; only the potentials are kept for the way back.

    With refractory periods, so is in which steps each neuron is free.
    """

    @staticmethod
    def forward(
        ctx: Any,
        drive: torch.Tensor,
        decay: torch.Tensor,
        rule: _Rule,
        refractory: torch.Tensor,
        derivative: SpikeDerivative,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        ctx.rule, ctx.derivative = rule, derivative
        rests = rule.fires and bool((refractory > 0.0).any())
        rest = refractory.clamp(max=FOR_GOOD)
        wait = torch.zeros_like(drive[0])  # steps that are left of the refractory period
        free = torch.ones_like(drive) if rests else None
        potentials = drive.clone()
        for step, potential in enumerate(potentials):
            if step:
                potential.addcmul_(decay, rule.after(potentials[step - 1]))
            if free is not None:
                torch.le(wait, 0.0, out=free[step])
                potential *= free[step]
                wait = torch.maximum(wait - 1.0, rest * rule.spikes(potential))
        ctx.save_for_backward(potentials, decay, free)
        return rule.spikes(potentials), potentials

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *cotangents: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        by_spike, by_potential = cotangents
        potentials, decay, free = ctx.saved_tensors
        rule = ctx.rule
        by_drive = torch.empty_like(potentials)
        by_decay = torch.zeros_like(potentials[0])
        later = torch.zeros_like(potentials[0])  # of the loss by the potential after the reset
        for step in reversed(range(len(potentials))):
            potential = potentials[step]
            now = by_potential[step] + later * rule.kept(potential)
            if rule.fires:
                now = now + by_spike[step] * ctx.derivative(potential - rule.threshold)
            if free is not None:
                now = now * free[step]
            by_drive[step] = now
            later = decay * now
            if step and ctx.needs_input_grad[1]:
                by_decay += now * rule.after(potentials[step - 1])
        return by_drive, by_decay.sum_to_size(decay.shape), None, None, None


class LIFUnit(torch.nn.Module):
    """The LIF unit of Gerum & Schilling (Eq. 9-10), with trainable input weight and leak.

    V_t = w_input x_t + (1 - w_leak) V_{t-1} Θ(threshold - V_{t-1}),  y_t = Θ(V_t - threshold).

    Parameters
    ----------
    w_input, w_leak : array-like
        Initial values, one for all neurons or of a shape that broadcasts against one step of the
        input: (3, 1) for three kinds of neuron, (n,) for each neuron its own.
    threshold : float
        Of the membrane potential; scaling it is the same as scaling ``w_input``.
    derivative : SpikeDerivative
        Of a spike (Θ1'); that of the reset (Θ2') is 0.

    Notes
    -----
    The unit starts from V = 0, as Eq. 9 has it.  The listing in the publication starts from
    ``w_input * x[0]`` and then begins with ``x[0]`` once more, so that the first input counts
    almost twice.  `gradients.firing_rate` has the closed form for constant input.

    Examples
    --------
    >>> unit = LIFUnit(w_input=0.5, w_leak=0.1)
    >>> unit(torch.ones(6, 1)).flatten().detach()
    tensor([0., 0., 1., 0., 0., 1.])
    """

    def __init__(
        self,
        w_input: Any,
        w_leak: Any,
        *,
        threshold: float = 1.0,
        derivative: SpikeDerivative = SpikeDerivative(),
    ) -> None:
        super().__init__()
        check_derivative(derivative)
        self.w_input = _parameter(w_input, "w_input")
        self.w_leak = _parameter(w_leak, "w_leak")
        self.threshold, self.derivative = _checked(threshold), derivative

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the spikes (n_steps, batch, ...) of an input of that shape."""
        return self.run(inputs)[0]

    def run(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return spikes, and the membrane potentials before the reset."""
        if not isinstance(inputs, torch.Tensor):
            raise ValueError(f"inputs must be a tensor, got {shown(inputs)}")
        try:
            drive = self.w_input * inputs
        except RuntimeError:
            raise ValueError(
                f"w_input must broadcast against inputs of shape {tuple(inputs.shape)}, "
                f"got shape {tuple(self.w_input.shape)}"
            ) from None
        return clocked_lif(
            drive,
            1.0 - self.w_leak,
            threshold=self.threshold,
            reset_at_threshold=True,
            derivative=self.derivative,
        )


class LIFNeuron(torch.nn.Module):
    """The LIF neuron of Chowdhury, Lee & Roy (Algorithm 2); with infinite tau_m an IF neuron.

    A step adds the weighted input spikes to the potential; above the threshold the neuron fires and
    is reset, else the potential decays by exp(-1/tau_m).

    Parameters
    ----------
    tau_m : float
        Membrane time constant, in steps; inf: no leak.
    threshold : float
        Of the membrane potential, > 0 and finite: neurons that never fire are a `LIFReadout`.
    reset : {"zero", "subtract"}
        Of the potential after a spike (the publication: zero).
    epsilon : float
        Leak correction ε >= 0 of the derivative of a spike, 1 / (``threshold`` + ε) where there is
        one, else 0 (Eq. 5).
    derivative : SpikeDerivative, optional
        Another derivative in its place.

    Notes
    -----
    Eq. 5 names ε without a value.  The publication that it cites (Lee et al. 2020) has it vary
    with the spike train, ε = threshold · f / (n τ_m - f) for n spikes at steps t_k and
    f = Σ_k exp(-(T - t_k)/τ_m) at the last step T.  As f <= n, that is at most
    threshold / (τ_m - 1), and for spikes that are spread evenly over T steps about threshold / T:
    one per cent of the threshold for 100 steps.  Hence the default.

    Examples
    --------
    >>> neuron = LIFNeuron(tau_m=float("inf"))
    >>> neuron(torch.full((5, 1), 0.5)).flatten()
    tensor([0., 0., 1., 0., 0.])
    """

    def __init__(
        self,
        tau_m: float,
        *,
        threshold: float = 1.0,
        reset: Reset = "zero",
        epsilon: float = 0.0,
        derivative: SpikeDerivative | None = None,
    ) -> None:
        super().__init__()
        check_choice(reset, get_args(Reset), "reset")
        threshold, epsilon = as_positive(threshold, "threshold"), as_nonnegative(epsilon, "epsilon")
        if derivative is None:
            derivative = SpikeDerivative("fired", 1.0 / (threshold + epsilon))
        check_derivative(derivative)
        self.decay, self.threshold, self.reset = _decay(tau_m), threshold, reset
        self.derivative = derivative

    def forward(self, drive: torch.Tensor) -> torch.Tensor:
        """Return the spikes (n_steps, batch, ...) that weighted inputs of that shape cause."""
        if self.reset == "zero" and self.derivative.kind == "fired":
            scale = self.derivative.scale
            return fired_spikes(drive, self.decay, threshold=self.threshold, scale=scale)
        return self.run(drive)[0]

    def run(self, drive: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return spikes, and the membrane potentials before reset and decay."""
        return clocked_lif(
            drive, self.decay, threshold=self.threshold, reset=self.reset,
            derivative=self.derivative,
        )  # fmt: skip


class LIFReadout(torch.nn.Module):
    """Neurons of the last layer of Chowdhury, Lee & Roy: they decay, but never fire.

    Examples
    --------
    >>> LIFReadout(tau_m=float("inf"))(torch.ones(4, 1))
    tensor([[1.],
            [2.],
            [3.],
            [4.]])
    """

    def __init__(self, tau_m: float) -> None:
        super().__init__()
        self.decay = _decay(tau_m)

    def forward(self, drive: torch.Tensor) -> torch.Tensor:
        """Return the membrane potentials (n_steps, batch, ...)."""
        return clocked_lif(drive, self.decay, threshold=math.inf)[1]


def _parameter(values: Any, name: str) -> torch.nn.Parameter:
    given = values.detach().cpu() if isinstance(values, torch.Tensor) else values
    return torch.nn.Parameter(torch.tensor(as_floats(given, name), dtype=torch.float32))


def _checked(threshold: float) -> float:
    threshold = as_number(threshold, "threshold")
    if not threshold > 0.0:
        raise ValueError(f"threshold must be > 0, got {threshold!r}")
    return threshold


def _decay(tau_m: float) -> float:
    tau_m = as_number(tau_m, "tau_m")
    if not tau_m > 0.0:
        raise ValueError(f"tau_m must be > 0 (inf: no leak), got {tau_m!r}")
    return math.exp(-1.0 / tau_m)
