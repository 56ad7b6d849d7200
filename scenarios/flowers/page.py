"""Interactive figures of the LIF unit, on one page that needs no other file and no network.

After the publication's interactive Figs 1 and 4: move the input, its weight and the leak, and see
potential, spikes and rate; choose the time step from which the gradient flows back.  The figures
are Plotly's; what moves them is `page_files/lif.js`, whose recurrence the tests compare with
`gradients.clocked.LIFUnit`.  Needs plotly (extra "plot").
"""

from __future__ import annotations

import html
import json
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scenarios.extras import require
from scenarios.running.figures import CLASS_COLOURS, NEUTRAL

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["interactive_page"]

Floats = NDArray[np.float64]

W_INPUT, W_LEAK, INPUT = 0.5, 0.1, 0.6  # when the page is opened; the weights are those of Fig. 1
STEPS, LARGEST = 100, 2.0  # of the first figure: time steps, and the largest input
SHOWN, CHOSEN = 24, 15  # of the second: time steps, and the one that is chosen at first
SEED = 3  # of the inputs of the second
FEWEST = 2  # pixels of a row
BLUE, ORANGE, GREEN = CLASS_COLOURS


def interactive_page(row: Floats, row_name: str) -> str:
    """Return an HTML page with a LIF unit and its gradient to play with.

    Parameters
    ----------
    row : (n_columns,) ndarray
        Brightness of the pixels of a row of an image, from 0 to 1: an input of the unit.
    row_name : str
        What it is, for the list of inputs.

    Raises
    ------
    ValueError
        If ``row`` is not of this kind.
    MissingExtraError
        If plotly is not installed.

    Examples
    --------
    >>> page = interactive_page(np.linspace(0.0, 1.0, 64), "a row of an image")
    >>> page.count("<script"), "http-equiv" in page
    (5, False)
    """
    if row.ndim != 1 or row.size < FEWEST or not np.all((row >= 0.0) & (row <= 1.0)):
        raise ValueError(
            f"row must be (n_columns >= {FEWEST},) of numbers from 0 to 1, got {row!r}"
        )
    require("plot", ("plotly",), "the page with interactive figures")
    inputs = np.random.default_rng(SEED).uniform(0.0, 1.2, SHOWN).round(2)
    data = {"steps": STEPS, "largest": LARGEST, "row": row.tolist(), "inputs": inputs.tolist()}
    return _file("lif.html").substitute(
        unit=_embedded(_unit_figure(), "unit", first=True),
        gradient=_embedded(_gradient_figure(), "gradient", first=False),
        script=_file("lif.js").template,
        data=json.dumps(data),
        row_name=html.escape(row_name),
        largest=LARGEST,
        input=INPUT,
        w_input=W_INPUT,
        w_leak=W_LEAK,
        step=CHOSEN,
        last=SHOWN - 1,
    )


def _file(name: str) -> Template:
    return Template((files("scenarios.flowers") / "page_files" / name).read_text("utf-8"))


def _embedded(figure: Figure, name: str, *, first: bool) -> str:
    """Return a figure as a part of a page; the first one of a page brings Plotly's code."""
    part: str = figure.to_html(
        full_html=False, include_plotlyjs=first, div_id=name, config={"displayModeBar": False}
    )
    return part


def _unit_figure() -> Figure:
    """Return the frame of the first figure: input, potential and spikes, and rate against input."""
    from plotly.graph_objects import Figure, Scatter

    figure = Figure(layout=_layout(520))
    line: dict[str, Any] = {"mode": "lines", "x": [], "y": []}
    spikes = {"symbol": "line-ns-open", "size": 16, "color": ORANGE, "line": {"width": 2}}
    figure.add_traces([
        Scatter(**line, line={"color": NEUTRAL, "shape": "hvh"}, yaxis="y"),
        Scatter(**line, line={"color": BLUE}, yaxis="y2"),
        Scatter(x=[], y=[], mode="markers", marker=spikes, yaxis="y3"),
        Scatter(**line, line={"color": GREEN}, xaxis="x2", yaxis="y4"),
        Scatter(x=[], y=[], mode="markers", xaxis="x2", yaxis="y4",
                marker={"size": 11, "color": ORANGE}),
    ])  # fmt: skip
    left, right = [0.0, 0.64], [0.74, 1.0]
    figure.update_layout(
        xaxis=_axis("time step", domain=left, range=[-1, STEPS], anchor="y3"),
        yaxis=_axis("input x", domain=[0.72, 1.0], range=[-0.05, LARGEST + 0.05]),
        yaxis2=_axis("potential V", domain=[0.2, 0.66], range=[0.0, 2.1]),
        yaxis3=_axis("spikes", domain=[0.0, 0.12], range=[-1, 1], showticklabels=False, ticks=""),
        xaxis2=_axis("mean input", domain=right, range=[0.0, LARGEST], anchor="y4"),
        yaxis4=_axis("spikes per step", domain=[0.0, 1.0], range=[-0.02, 1.02], anchor="x2"),
    )
    threshold = {"color": NEUTRAL, "width": 1, "dash": "dash"}
    figure.add_shape(type="line", xref="x", yref="y2", x0=-1, x1=STEPS, y0=1, y1=1, line=threshold)
    figure.add_annotation(text="threshold", xref="x", yref="y2", x=STEPS, y=1, xanchor="right",
                          yanchor="bottom", showarrow=False, font={"color": NEUTRAL})  # fmt: skip
    figure.add_annotation(text="line: constant inputs; dot: the input shown", xref="x2 domain",
                          yref="y4 domain", x=0.0, y=1.02, xanchor="left", yanchor="bottom",
                          showarrow=False, font={"color": NEUTRAL})  # fmt: skip
    return figure


def _gradient_figure() -> Figure:
    """Return the frame of the second figure: four rows of cells, one column for each time step."""
    from plotly.graph_objects import Figure, Heatmap

    rows = (
        ("gradient of y<sub>t</sub><br>by the inputs", "Greens", 1.0),
        ("spike y", "Oranges", 1.0),
        ("potential V", "Blues", 1.5),
        ("input x", "Greys", 1.2),
    )
    figure = Figure(layout=_layout(380))
    for k, (title, colours, largest) in enumerate(rows):
        axis = f"y{k + 1}" if k else "y"
        shades = {"colorscale": colours, "zmin": 0.0, "zmax": largest, "showscale": False}
        figure.add_trace(Heatmap(x=[], z=[[]], y=[0], yaxis=axis, xgap=2, **shades,
                                 texttemplate="%{z:.2f}", hovertemplate="t = %{x}: %{z:.4f}"
                                 "<extra></extra>"))  # fmt: skip
        bounds = [0.25 * k + 0.02, 0.25 * k + 0.23]
        figure.update_layout({
            f"yaxis{k + 1 if k else ''}": _axis(
                "", domain=bounds, tickvals=[0], ticktext=[title], range=[-0.5, 0.5], ticks=""
            )
        })  # fmt: skip
    figure.update_layout(xaxis=_axis("time step", range=[-0.6, SHOWN - 0.4], anchor="y", dtick=1))
    chosen = {"color": ORANGE, "width": 3}
    figure.add_shape(type="rect", xref="x", yref="paper", x0=0, x1=1, y0=0, y1=1, line=chosen)
    return figure


def _layout(height: int) -> dict[str, Any]:
    return {
        "height": height,
        "margin": {"l": 70, "r": 20, "t": 30, "b": 50},
        "showlegend": False,
        "plot_bgcolor": "white",
        "font": {"size": 12},
    }


def _axis(title: str, **options: Any) -> dict[str, Any]:
    """Return an axis that stays as it is when the reader drags over it."""
    frame = {"showline": True, "linecolor": "#aaa", "zeroline": False, "fixedrange": True}
    return {"title": {"text": title}, "ticks": "outside"} | frame | options
