"""Losses of first spike times, as torch has losses."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from gradients.losses.first_spike import FirstSpikeCrossEntropy as Formula
from gradients.losses.first_spike import SilentLabelsWarning

__all__ = ["FirstSpikeCrossEntropy", "first_spike_cross_entropy"]


def first_spike_cross_entropy(
    times: Tensor,
    labels: Tensor,
    *,
    tau0: float,
    t_silent: float,
    tau1: float = 1.0,
    gamma: float = 0.0,
    smoothing: float = 0.0,
) -> Tensor:
    """Return the cross-entropy of first spike times: `gradients.first_spike_cross_entropy`.

    Parameters
    ----------
    times : (n_samples, n_classes) Tensor
        First spike time of each output neuron; ``inf`` = silent, which counts as the constant
        ``t_silent``: there the derivative is 0.
    labels : (n_samples,) Tensor of int
        Index of the neuron that should fire first.
    tau0, t_silent, tau1, gamma, smoothing : float
        As of `gradients.FirstSpikeCrossEntropy`.

    Returns
    -------
    () Tensor
        Mean over the samples.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a number is out of its range.

    Examples
    --------
    >>> import torch
    >>> times = torch.tensor([[1.0, 2.0]], requires_grad=True)
    >>> loss = first_spike_cross_entropy(times, torch.tensor([0]), tau0=1.0, t_silent=3.0)
    >>> loss.backward()
    >>> loss.item(), times.grad
    (0.313261, tensor([[ 0.2689, -0.2689]]))
    """
    numbers = tau0, t_silent, tau1, gamma, smoothing
    if not torch.compiler.is_compiling():
        Formula("", *numbers)
    return _loss(times, labels, numbers)


def _loss(times: Tensor, labels: Tensor, numbers: tuple[float, ...]) -> Tensor:
    tau0, t_silent, tau1, gamma, smoothing = numbers
    if times.ndim != 2 or labels.shape != times.shape[:1]:
        raise ValueError(
            "times must be (n_samples, n_classes) and labels (n_samples,), "
            f"got {tuple(times.shape)} and {tuple(labels.shape)}"
        )
    seen = times.masked_fill(times == torch.inf, t_silent)
    loss = nn.functional.cross_entropy(-seen / tau0, labels, label_smoothing=smoothing)
    if not gamma:
        return loss
    own = seen.gather(1, labels.unsqueeze(1))
    return loss + gamma * torch.expm1(own / tau1).mean()


class FirstSpikeCrossEntropy(nn.Module):
    """`first_spike_cross_entropy` as a module.

    Parameters
    ----------
    tau0, t_silent, tau1, gamma, smoothing : float
        As of `gradients.FirstSpikeCrossEntropy`.

    Warns
    -----
    SilentLabelsWarning
        If neurons of labels are silent: a missing spike has no derivative, so training does not see
        these samples.  (Compiled, and under `torch.func`, it does not look.)

    Examples
    --------
    >>> import torch
    >>> criterion = FirstSpikeCrossEntropy(tau0=1.0, t_silent=3.0)
    >>> criterion(torch.tensor([[1.0, 2.0]]), torch.tensor([0]))
    tensor(0.3133)
    """

    def __init__(
        self,
        tau0: float,
        t_silent: float,
        *,
        tau1: float = 1.0,
        gamma: float = 0.0,
        smoothing: float = 0.0,
    ) -> None:
        """Check the numbers."""
        super().__init__()
        self.numbers = Formula("", tau0, t_silent, tau1, gamma, smoothing).numbers()

    def forward(self, times: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of first spikes (n_samples, n_classes), a scalar."""
        loss = _loss(times, labels, self.numbers)
        if not torch.compiler.is_compiling():
            _warn_of_silence(times, labels)
        return loss

    def extra_repr(self) -> str:
        """Return the numbers."""
        names = ("tau0", "t_silent", "tau1", "gamma", "smoothing")
        return ", ".join(f"{k}={v}" for k, v in zip(names, self.numbers, strict=True))


def _warn_of_silence(times: Tensor, labels: Tensor) -> None:
    """Warn of silent labels, unless a transformation hides what the tensors hold."""
    try:
        n_silent = int((times.detach().gather(1, labels.unsqueeze(1)) == torch.inf).sum())
    except RuntimeError:
        return
    if n_silent:
        warnings.warn(
            f"in {n_silent} of {len(times)} samples the label's neuron does not fire: a missing "
            "spike has no derivative, so training does not see them",
            SilentLabelsWarning,
            stacklevel=5,
        )
