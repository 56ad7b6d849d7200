"""Pictures of the scenario `brunel`: rasters over the population's rate, distributions, spectra."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray

from scenarios.brunel.measures import population_rate, spectrum
from scenarios.brunel.network import REGIMES
from scenarios.networks.recording import Recording
from scenarios.running.figures import CLASS_COLOURS, NEUTRAL, colours, new_figure, plain_ticks

__all__ = ["activity", "statistics"]

Floats = NDArray[np.float64]
COLOURS = dict(zip("EI", CLASS_COLOURS, strict=False))
TITLES = {"E": "excitatory", "I": "inhibitory"}
SHOWN = {"E": 60, "I": 20}  # neurons of a raster
SPAN = {"SR": 40.0, "SI-fast": 100.0, "AI": 200.0, "SI-slow": 300.0}  # ms of a raster
BIN = 0.5  # ms
LINES = ("-", "--")
RATES = (0.5, 600.0)  # Hz, of the distribution
HIGHEST = 800.0  # Hz, of the spectra


def activity(recordings: Mapping[str, Recording], sizes: Mapping[str, int]) -> Figure:
    """Draw the end of each regime: which neurons fire, and how many.

    Parameters
    ----------
    recordings : dict of str -> Recording
        By regime.
    sizes : dict of str -> int
        Neurons of each population.
    """
    columns = min(len(recordings), 2)
    rows = -(-len(recordings) // columns)
    figure = Figure(figsize=(6.0 * columns, 4.6 * rows), layout="constrained")
    panels = figure.subfigures(rows, columns, squeeze=False)
    for panel, (name, recording) in zip(panels.flat, recordings.items(), strict=False):
        _regime(panel, name, recording, sizes)
    return figure


def _regime(panel: SubFigure, name: str, recording: Recording, sizes: Mapping[str, int]) -> None:
    regime = REGIMES[name]
    raster, rate = panel.subplots(2, 1, sharex=True, height_ratios=(2.2, 1.0))
    span = min(SPAN[name], recording.duration)
    late = recording.after(recording.duration - span)
    _raster(raster, late, sizes)
    values, edges = population_rate(late, BIN)
    rate.stairs(values, edges, baseline=None, color=NEUTRAL)
    mean = recording.rates.mean()
    rate.axhline(mean, color="0.6", linestyle="--", linewidth=1)
    rate.set(xlabel=f"time (ms), the last {span:g} of the run", xlim=(0.0, span),
             ylabel=f"rate (Hz),\nbins of {BIN:g} ms", ylim=(0.0, None))  # fmt: skip
    raster.set_title(
        f"{regime.title}: g = {regime.g:g}, drive {regime.drive:g}; {mean:.1f} Hz", fontsize=10
    )
    for ax in (raster, rate):
        ax.spines[["top", "right"]].set_visible(False)


def _raster(ax: Axes, recording: Recording, sizes: Mapping[str, int]) -> None:
    """Draw the first neurons of each population: who is connected to whom does not depend on it."""
    start, row, middles = 0, 0, []
    for name, n in sizes.items():
        shown = min(SHOWN[name], n)
        mine = (recording.indices >= start) & (recording.indices < start + shown)
        ax.plot(recording.times[mine], recording.indices[mine] - start + row + 0.5, "|",
                color=COLOURS[name], markersize=2.6, markeredgewidth=0.9)  # fmt: skip
        middles.append((row + shown / 2.0, f"{shown} {TITLES[name]}"))
        start, row = start + n, row + shown
    ax.set(ylim=(0.0, row), yticks=[middle for middle, _ in middles])
    ax.set_yticklabels([word for _, word in middles], rotation=90, va="center", fontsize=8)
    ax.tick_params(left=False)


def statistics(recordings: Mapping[str, Mapping[str, Recording]]) -> Figure:
    """Draw how rates and CVs are distributed over neurons, and the spectra of the populations.

    Parameters
    ----------
    recordings : dict of str -> dict of str -> Recording
        By regime, then by simulator: one colour for each regime, one line for each simulator.
    """
    figure, (rates, cvs, power) = new_figure(13.0, 4.2, 3)
    cv_edges = np.linspace(0.0, 2.0, 81)
    of_regime = dict(zip(REGIMES, colours(len(REGIMES)), strict=True))
    for name, found in recordings.items():
        for (title, recording), line in zip(found.items(), LINES, strict=False):
            style = {"color": of_regime[name], "linestyle": line, "linewidth": 1.2}
            label = name if title == next(iter(found)) else f"{name}, {title}"
            _shares(rates, recording.rates, _rate_edges(recording.duration), label=label, **style)
            _shares(cvs, recording.cvs, cv_edges, **style)
            if recording.times.size:
                power.plot(*spectrum(recording), **style)
    rates.set(xscale="log", xlabel="rate of a neuron (Hz)")
    cvs.set(xlabel="CV of a neuron's intervals")
    for ax in (rates, cvs):  # at the end: a limit that is set stays as it is
        ax.set(ylabel="share of the neurons", ylim=(0.0, None))
    cvs.axvline(1.0, color="0.7", linestyle="--", linewidth=1)
    power.set(xlim=(0.0, HIGHEST), yscale="log", xlabel="frequency (Hz)",
              ylabel="power of the population's rate (Hz² / Hz)")  # fmt: skip
    plain_ticks(rates.xaxis)
    plain_ticks(power.yaxis)
    figure.legend(*rates.get_legend_handles_labels(), loc="outside lower center", frameon=False,
                  fontsize=8, ncols=len(recordings))  # fmt: skip
    return figure


def _rate_edges(duration: float) -> Floats:
    """Return edges between numbers of spikes, as rates: a bin of less than one would be empty."""
    numbers = np.unique(np.round(np.geomspace(*RATES, 71) * duration / 1000.0))
    return 1000.0 * (numbers + 0.5) / duration


def _shares(ax: Axes, values: Floats, edges: Floats, **style: object) -> None:
    count, _ = np.histogram(values, edges)
    ax.stairs(count / max(values.size, 1), edges, baseline=None, **style)  # type: ignore[arg-type]
