"""Pictures of the scenario `leak`: after Figs 3 to 6 of Chowdhury, Lee & Roy (2020)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from scenarios.leak.measures import AMPLITUDES, Measures
from scenarios.leak.study import CONDITIONS, Studied, title
from scenarios.running.figures import (
    CLASS_COLOURS,
    NEUTRAL,
    as_epochs,
    deviation,
    draw_line,
    new_figure,
    with_bars,
)

__all__ = [
    "accuracy_curves",
    "input_spectra",
    "layers",
    "target_spectra",
    "training_curves",
]

BAR = 0.8  # width of the bars of a layer, together


def accuracy_curves(studied: Sequence[Studied], severities: Sequence[int]) -> Figure:
    """Draw accuracy against the severity of the noise (Fig. 3); 0 is no noise."""
    figure = Figure(figsize=(9.5, 6.4), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True, sharey=True)
    for ax, (kind, scenario) in zip(axes.ravel(), CONDITIONS, strict=True):
        for one, colour in _coloured(studied):
            curves = 100.0 * np.array([found[kind, scenario] for found in one.accuracies])
            with_bars(ax, [0, *severities], curves, colour, title(one.tau_m))
        ax.axhline(10.0, color="0.7", linestyle="--", linewidth=1)
        where = "pixels" if scenario == 1 else "spikes"
        ax.set_title(f"{kind.capitalize()} noise, scenario {scenario} (on {where})", fontsize=10)
        ax.spines[["top", "right"]].set_visible(False)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0, 0].set_ylim(bottom=0.0)  # at the end: a limit that is set stays as it is
    axes[1, 0].annotate("chance", (0.01, 9.6), xycoords=("axes fraction", "data"), va="top",
                        color="0.4", fontsize=8)  # fmt: skip
    axes[0, 0].legend(frameon=False, fontsize=9)
    figure.supxlabel("severity of the noise (0: none)", fontsize=10)
    figure.supylabel("test accuracy (%)", fontsize=10)
    return figure


def input_spectra(studied: Sequence[Studied], steps: int) -> Figure:
    """Draw the spectra of the input spike trains, clean and with noise (Fig. 4)."""
    figure, (left, right) = new_figure(10, 3.8, 2)
    one = studied[0]  # all networks see the same spikes
    shown = (("clean", one.clean[0], CLASS_COLOURS[0]), ("noisy", one.noisy[0], CLASS_COLOURS[1]))
    for name, found, colour in shown:
        spectrum = np.array(found.input_spectrum)
        left.plot(_frequencies(spectrum, steps), spectrum, color=colour, label=name)
        right.stairs(100.0 * np.array(found.input_amplitudes), AMPLITUDES, fill=True, color=colour,
                     alpha=0.5, label=name)  # fmt: skip
    left.set(
        xlabel="frequency (cycles per step)", ylabel="amplitude $|X(f)|/\\sqrt{T}$", xlim=(0.0, 0.5)
    )
    left.set_ylim(bottom=0.0)
    left.set_title("input spike trains, mean over pixels and images", fontsize=10)
    right.set(xlabel="amplitude, mean over the pixels of an image", ylabel="share (%)")
    right.set_title("all images and frequencies", fontsize=10)
    _zoom(right, one)
    left.legend(frameon=False)
    return figure


def target_spectra(studied: Sequence[Studied], steps: int) -> Figure:
    """Draw critical frequencies of the target output neuron (Fig. 5a-c), and its spectra."""
    figure, axes = new_figure(3.6 * (len(studied) + 1), 3.6, len(studied) + 1)
    bins = (np.arange(steps // 2 + 1) + 0.5) / steps  # around the frequencies that there are
    for ax, (one, colour) in zip(axes, _coloured(studied), strict=False):
        for name, found, style in (
            ("clean", one.clean, {"fill": True, "color": colour, "alpha": 0.45}),
            ("noisy", one.noisy, {"color": "black"}),
        ):
            values = _pooled(found)
            shares = 100.0 * np.histogram(values, bins)[0] / max(values.size, 1)
            label = f"{name}: mean {values.mean():.3f}" if values.size else name
            ax.stairs(shares, bins, label=label, **style)
        ax.axvline(0.35, color="0.5", linestyle=":", linewidth=1, label="white noise: 0.35")
        ax.set(xlabel="critical frequency (cycles per step)", ylim=(0.0, None))
        ax.set_title(title(one.tau_m), fontsize=10)
        ax.legend(frameon=False, fontsize=8, loc="upper left")
    axes[0].set_ylabel("images (%)")
    last = axes[-1]
    for one, colour in _coloured(studied):
        spectrum = np.mean([found.target_spectrum for found in one.clean], axis=0)
        shares = spectrum / spectrum.sum()
        last.plot(_frequencies(spectrum, steps), shares, color=colour, label=title(one.tau_m))
    last.set(xlabel="frequency (cycles per step)", ylabel="share of the power", xlim=(0.0, 0.5))
    last.set_ylim(bottom=0.0)
    last.set_title("mean spectrum, clean", fontsize=10)
    last.legend(frameon=False, fontsize=8)
    return figure


def training_curves(studied: Sequence[Studied]) -> Figure:
    """Draw SSE and accuracy against epochs, and the SSE of test against training (Fig. 5d)."""
    figure, (left, middle, right) = new_figure(13, 3.8, 3)
    for one, colour in _coloured(studied):
        for k, state in enumerate(one.states):
            label = title(one.tau_m) if k == 0 else None
            history = [record for record in state.history if "sse" in record]
            for key, style in (("", ":"), ("test_", "-")):
                draw_line(left, history, f"{key}sse", colour, linestyle=style)
                draw_line(middle, history, f"{key}accuracy", colour, lambda x: 100.0 * x,
                          linestyle=style)  # fmt: skip
            right.plot(_column(history, "sse"), _column(history, "test_sse"), ".-", color=colour,
                       label=label, linewidth=1.0)  # fmt: skip
    left.plot([], [], ":", color=NEUTRAL, label="training (mean over the epoch)")
    left.plot([], [], color=NEUTRAL, label="test (end of the epoch)")
    left.legend(frameon=False, fontsize=8)
    left.set(ylabel="sum of squared errors per image")
    middle.set(ylabel="accuracy (%)")
    for ax in (left, middle):
        as_epochs(ax)
    right.set(xlabel="SSE of training", ylabel="SSE of test")
    right.set_title("to the left: later epochs", fontsize=9)
    right.legend(frameon=False, fontsize=8)
    return figure


def layers(studied: Sequence[Studied]) -> Figure:
    """Draw ENWSI (Fig. 6), activity and synaptic operations of each layer."""
    figure, axes = new_figure(13, 3.8, 3)
    panels: tuple[tuple[str, str, float], ...] = (
        ("weighted_sums", "norm of the weighted sums (ENWSI)", 1.0),
        ("activity", "spikes per neuron and step (%)", 100.0),
        ("operations", "synaptic operations per image (millions)", 1e-6),
    )
    for ax, (name, label, scale) in zip(axes, panels, strict=True):
        for k, (one, colour) in enumerate(_coloured(studied)):
            found: list[Mapping[str, float]] = [getattr(m, name) for m in one.clean]
            names = list(found[0])
            values = scale * np.array([[by_layer[n] for n in names] for by_layer in found])
            offset = BAR * ((k + 0.5) / len(studied) - 0.5)
            ax.bar(np.arange(len(names)) + offset, values.mean(axis=0), BAR / len(studied),
                   yerr=deviation(values), color=colour, capsize=2,
                   label=title(one.tau_m))  # fmt: skip
        ax.set_xticks(range(len(names)), names)
        ax.set(xlabel="layer", ylabel=label)
    axes[0].legend(frameon=False, fontsize=9)
    return figure


def _coloured(studied: Sequence[Studied]) -> list[tuple[Studied, Any]]:
    """Return the leaks with colours as published: blue for the most leak, green for none."""
    import matplotlib as mpl

    n = len(studied)
    if n <= len(CLASS_COLOURS):
        return list(zip(studied, CLASS_COLOURS, strict=False))
    return [(one, mpl.colormaps["viridis"](0.9 * k / (n - 1))) for k, one in enumerate(studied)]


def _pooled(found: Sequence[Measures]) -> Any:
    """Return the critical frequencies of all images and seeds; those of constant signals not."""
    values = np.concatenate([one.critical_frequencies for one in found])
    return values[np.isfinite(values)]


def _frequencies(spectrum: Any, steps: int) -> Any:
    return np.arange(1, len(spectrum) + 1) / steps


def _column(history: Sequence[Mapping[str, float]], name: str) -> Any:
    return np.array([record[name] for record in history])


def _zoom(ax: Axes, one: Studied) -> None:
    """Show the bins that are not empty."""
    both = np.add(one.clean[0].input_amplitudes, one.noisy[0].input_amplitudes)
    used = np.flatnonzero(both)
    if used.size:
        ax.set_xlim(AMPLITUDES[max(used[0] - 2, 0)], AMPLITUDES[min(used[-1] + 3, both.size)])
