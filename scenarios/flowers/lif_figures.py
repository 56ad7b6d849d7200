"""Pictures of one LIF unit: its gradient through time and its firing rate (Figs 4 and S1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gradients import firing_rate, threshold_current
from scenarios.running.figures import CLASS_COLOURS, NEUTRAL, new_figure

__all__ = ["gradient_picture", "rate_against_input", "simulated_rate", "through_time"]

Floats = NDArray[np.floating[Any]]
CELLS = {"input": "Greys", "potential": "Blues", "spike": "Oranges", "gradient": "Greens"}
GRADIENT_STEPS, GRADIENT_STEP, GRADIENT_SEED = 20, 15, 3
W_INPUT, SMALL_LEAK, LARGE_LEAK = 0.5, 0.1, 0.5
LEAKS, RATE_STEPS = (0.0, SMALL_LEAK, LARGE_LEAK), 500
BLUE, ORANGE, GREEN = CLASS_COLOURS


def gradient_picture() -> Figure:
    """Draw which inputs the gradient of a LIF unit reaches, step by step (Fig. 4).

    One panel for each of three units with the same input: with a small leak, with a large one, and
    with the derivative of a spike set to 0.  The gradient is PyTorch's, through
    `gradients.clocked.LIFUnit`.
    """
    figure = Figure(figsize=(13, 7.2), layout="constrained")
    inputs = np.random.default_rng(GRADIENT_SEED).uniform(0.0, 1.2, GRADIENT_STEPS)
    units = (
        (f"leak {SMALL_LEAK}, derivative of a spike 1", SMALL_LEAK, "constant"),
        (f"leak {LARGE_LEAK}, derivative of a spike 1", LARGE_LEAK, "constant"),
        (f"leak {SMALL_LEAK}, control: derivative of a spike 0", SMALL_LEAK, "silent"),
    )
    for ax, (title, leak, kind) in zip(figure.subplots(3, 1, sharex=True), units, strict=True):
        _cells(ax, through_time(inputs, W_INPUT, leak, GRADIENT_STEP, kind))
        ax.set_title(f"w_input {W_INPUT}, {title}", fontsize=10, loc="left")
    ax.set(xlabel="time step", xticks=range(GRADIENT_STEPS))
    return figure


def through_time(
    inputs: Floats, w_input: float, w_leak: float, step: int, kind: Any = "constant"
) -> Mapping[str, Floats]:
    """Return what a LIF unit does with an input, and the gradient of one of its outputs.

    Parameters
    ----------
    inputs : (n_steps,) ndarray
        Input of each step.
    w_input, w_leak : float
        Of the unit.
    step : int
        The output whose gradient is taken.
    kind : str
        Derivative of a spike: see `gradients.clocked.SpikeDerivative`.

    Returns
    -------
    dict of str -> (n_steps,) ndarray
        "input", "potential", "spike" and "gradient": of the output at that step by each input.

    Examples
    --------
    >>> through_time(np.full(5, 0.6), 1.0, 0.5, step=3)["gradient"]
    array([0., 0., 0., 1., 0.])
    >>> through_time(np.full(5, 0.6), 1.0, 0.5, step=2)["gradient"]
    array([0.25, 0.5 , 1.  , 0.  , 0.  ])
    """
    import torch

    from gradients.clocked import LIFUnit, SpikeDerivative

    unit = LIFUnit(w_input, w_leak, derivative=SpikeDerivative(kind)).double()
    with torch.no_grad():  # what `LIFUnit` has rounded to single precision
        unit.w_input.fill_(w_input)
        unit.w_leak.fill_(w_leak)
    x = torch.tensor(inputs, dtype=torch.float64, requires_grad=True)
    spikes, potentials = unit.run(x)
    (gradient,) = torch.autograd.grad(spikes[step], x)
    found = {"input": x, "potential": potentials, "spike": spikes, "gradient": gradient}
    return {name: tensor.detach().numpy() for name, tensor in found.items()}


def rate_against_input() -> Figure:
    """Draw steps between spikes and firing rate under constant input: formula and unit (Fig. S1).

    The published formula (Eq. 11) counts a step too few: see `gradients.firing_rate`.
    """
    figure, (left, right) = new_figure(11, 3.8, 2)
    inputs = np.linspace(0.01, 2.49, 125)  # none at which the potential ends on the threshold
    lines = zip(LEAKS, (BLUE, ORANGE, GREEN), strict=True)
    for leak, colour in lines:
        closed, simulated = firing_rate(inputs, W_INPUT, leak), simulated_rate(inputs, leak)
        fires = closed > 0
        label = f"w_leak = {leak}"
        if leak == SMALL_LEAK:
            steps = 1.0 / closed[fires]
            left.plot(inputs[fires], steps, color=colour, label="formula, as corrected")
            left.plot(inputs[fires], steps - 1.0, ":", color=NEUTRAL, label="Eq. 11, as printed")
            left.plot(inputs[fires], 1.0 / simulated[fires], ".", color="black", markersize=4,
                      label="LIF unit")  # fmt: skip
            left.axvline(float(threshold_current(W_INPUT, leak)), color=NEUTRAL, linestyle="--",
                         linewidth=1, label="input that it must exceed (Eq. 31)")  # fmt: skip
        right.plot(inputs, closed, color=colour, linewidth=1.2, label=label)
        right.plot(inputs, simulated, ".", color=colour, markersize=4)
    left.set(xlabel="constant input", ylabel="time steps from spike to spike", ylim=(0, 25))
    left.set_title(f"w_input = {W_INPUT}, w_leak = {SMALL_LEAK}", fontsize=10)
    right.set(xlabel="constant input", ylabel="spikes in a time step", ylim=(-0.02, 1.05))
    right.set_title(f"w_input = {W_INPUT}; lines: formula, dots: LIF unit", fontsize=10)
    for ax in (left, right):
        ax.legend(frameon=False, fontsize=8)
    return figure


def simulated_rate(inputs: Floats, w_leak: float) -> Floats:
    """Return spikes per step of LIF units under constant inputs, from their last two spikes."""
    import torch

    from gradients.clocked import LIFUnit

    unit = LIFUnit(W_INPUT, w_leak)
    with torch.no_grad():
        spikes = unit(torch.tensor(inputs, dtype=torch.float32).expand(RATE_STEPS, -1)).numpy()
    rates = np.zeros(inputs.size)
    for k, train in enumerate(spikes.T):
        at = np.flatnonzero(train)
        if at.size > 1:
            rates[k] = 1.0 / (at[-1] - at[-2])
    return rates


def _cells(ax: Axes, rows: Mapping[str, Floats]) -> None:
    """Draw one row of cells for each quantity, darker for larger values."""
    for k, (name, values) in enumerate(rows.items()):
        ax.imshow(values[None], cmap=CELLS[name], vmin=0.0, vmax=1.6, aspect="auto",
                  extent=(-0.5, values.size - 0.5, k + 0.45, k - 0.45))  # fmt: skip
        for step, value in enumerate(values):
            text = f"{value:.2f}" if value else "0"
            ax.text(step, k, text, ha="center", va="center", fontsize=8,
                    color="white" if value > 1.1 else "black")  # fmt: skip
    ax.axvspan(GRADIENT_STEP - 0.5, GRADIENT_STEP + 0.5, fill=False, edgecolor="black",
               linewidth=2)  # fmt: skip
    ax.set(yticks=range(len(rows)), ylim=(len(rows) - 0.5, -0.5))
    ax.set_yticklabels(["input x", "potential V", "spike y", "gradient of y\nin the frame"])
    ax.set_xlim(-0.5, values.size - 0.5)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
