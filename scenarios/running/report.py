"""The closing table "published | this run", and the files that a run leaves behind."""

from __future__ import annotations

import io
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import eventsim as es
from scenarios.running import page
from scenarios.running.checkpoint import save_arrays, write_whole
from scenarios.running.training import Params

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console

__all__ = [
    "OPERATIONS_NOTE",
    "About",
    "Report",
    "Row",
    "operation_rows",
    "percent",
    "show",
    "with_deviation",
    "write",
]


NETWORK = "network.npz"
OPERATIONS_NOTE = (
    "operations, sparsity and footprint are what eventsim.operations counts: of the first network, "
    "on average over at most 1000 test samples"
)


@dataclass(frozen=True)
class Row:
    """One line of the closing table.

    Attributes
    ----------
    what : str
        The quantity, with its unit.
    published, ours : str
        Its value in the publication ("–" if it gives none) and in this run; or, as all that
        follows, what the `Report.headings` say.
    more : sequence of str
        Cells of further columns.
    """

    what: str
    published: str
    ours: str
    more: Sequence[str] = ()

    @property
    def cells(self) -> tuple[str, ...]:
        """All of the line but its name."""
        return (self.published, self.ours, *self.more)


@dataclass(frozen=True, eq=False)
class Report:
    """What a scenario hands back.

    Attributes
    ----------
    title : str
        Heading of the table.
    rows : sequence of Row
        The table.
    notes : sequence of str
        Sentences below the table: what the numbers mean, and what fell short.
    numbers : dict
        The same results for programs; goes to ``results.json``.
    weights : dict of str -> ndarray
        Goes to ``weights.npz``.
    network : Network, optional
        One that was trained; goes to ``network.npz``.
    t_stop : float, optional
        Until when it runs.
    figures : dict of str -> Figure
        By file name without ending; go to PNG files.
    headings : sequence of str
        Of the columns of the table.
    """

    title: str
    rows: Sequence[Row]
    notes: Sequence[str] = ()
    numbers: dict[str, Any] = field(default_factory=dict)
    weights: Params = field(default_factory=dict)
    network: es.Network | None = None
    t_stop: float | None = None
    figures: dict[str, Figure] = field(default_factory=dict)
    headings: Sequence[str] = ("published", "this run")


@dataclass(frozen=True)
class About:
    """What the page of a run says beside its results.

    Attributes
    ----------
    task : str
        What was to be done.
    pictures : dict of str -> str
        By the name of a figure, a sentence that says what to see.
    settings : sequence of (str, str, str)
        Name, value and purpose of each.
    command : str
        The command that runs the same again.
    begun, versions, source : str
        When the run began, with which packages, after which publication.
    """

    task: str
    pictures: Mapping[str, str]
    settings: Sequence[tuple[str, str, str]]
    command: str
    begun: str
    versions: str
    source: str


def percent(values: Sequence[float], digits: int = 1) -> str:
    """Return fractions as "mean ± standard deviation %" (of one value: without deviation).

    Examples
    --------
    >>> percent([0.95, 0.96, 0.94]), percent([1.0])
    ('95.0 ± 1.0 %', '100.0 %')
    """
    return with_deviation([100.0 * value for value in values], f".{digits}f") + " %"


def with_deviation(values: Sequence[float], form: str) -> str:
    """Return "mean ± standard deviation" of a sample (of one value: without deviation).

    Examples
    --------
    >>> with_deviation([1.0, 3.0], ".2f"), with_deviation([2e9], ".1e")
    ('2.00 ± 1.41', '2.0e+09')
    """
    mean = f"{statistics.fmean(values):{form}}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):{form}}"


def operation_rows(found: es.Operations) -> list[Row]:
    """Return what a run costs, as lines of the closing table.

    Examples
    --------
    >>> net = es.Network()
    >>> net.add_input("in", 2)
    >>> net.add_population("out", 4, es.LIF())
    >>> key = net.connect("in", "out", weights=[[1.0] * 4] * 2)
    >>> found = es.operations(es.simulate(net, {"in": es.Spikes([0.0], [0])}, 0.5))
    >>> [(row.what, row.ours) for row in operation_rows(found)][0]
    ('accumulates per sample, of Dense', '4 of 8')
    """
    numbers = found.neurobench
    counts = numbers["synaptic_operations"]
    return [
        Row(
            "accumulates per sample, of Dense",
            "–",
            f"{counts['Effective_ACs']:.0f} of {counts['Dense']:.0f}",
        ),
        Row("activation sparsity", "–", percent([numbers["activation_sparsity"]])),
        Row("footprint", "–", f"{numbers['footprint'] / 1e3:.1f} kB"),
    ]


def show(report: Report, console: Console) -> None:
    """Print the closing table and the notes."""
    from rich.table import Table

    table = Table(title=report.title, title_justify="left", title_style="bold")
    table.add_column("")
    for heading, style in zip_longest(report.headings, ("", "bold"), fillvalue=""):
        table.add_column(heading, style=style)
    for row in report.rows:
        table.add_row(row.what, *row.cells)
    console.print(table)
    for note in report.notes:
        console.print(f"· {note}", highlight=False, soft_wrap=not console.is_terminal)


def write(report: Report, folder: Path, about: About | None = None) -> list[Path]:
    """Write numbers, weights, network, pictures and a page into a run folder; return the paths.

    Without what the page shall say about the run, it shows the results alone.
    """
    pictures = {name: _png(figure) for name, figure in report.figures.items()}
    contents = {
        "results.json": json.dumps(_strict(_numbers(report)), indent=2).encode() + b"\n",
        **{f"{name}.png": content for name, content in pictures.items()},
        "report.html": _page(report, pictures, about).encode(),
    }
    for name, content in contents.items():
        write_whole(folder / name, content)
    save_arrays(folder / "weights.npz", report.weights)
    paths = [folder / name for name in (*contents, "weights.npz")]
    if report.network is not None:
        report.network.save(folder / NETWORK)
        paths.append(folder / NETWORK)
    return paths


def _numbers(report: Report) -> dict[str, Any]:
    table = {row.what: dict(zip(report.headings, row.cells, strict=True)) for row in report.rows}
    return {"title": report.title, "table": table, "notes": list(report.notes), **report.numbers}


def _strict(value: Any) -> Any:
    """Return the value without what JSON lacks: NaN becomes null, an infinity its name."""
    if isinstance(value, dict):
        return {key: _strict(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()


def _page(report: Report, pictures: Mapping[str, bytes], about: About | None) -> str:
    """Return one HTML page that needs no other file."""
    captions = about.pictures if about else dict.fromkeys(pictures, "")
    table = page.table(
        ("quantity", *report.headings), [(row.what, *row.cells) for row in report.rows]
    )
    shown = [page.picture(name, png, captions[name]) for name, png in pictures.items()]
    return page.document(
        report.title,
        [
            page.paragraph(about.task) if about else "",
            page.section("Results", table, page.items(report.notes)),
            page.section("Pictures", *shown),
            _of_run(about) if about else "",
            _to_go_on(),
            _to_use(report),
        ],
    )


def _of_run(about: About) -> str:
    """Return with what and when it was run."""
    facts = (f"Begun: {about.begun}.", f"Versions: {about.versions}.", f"After {about.source}.")
    return page.section(
        "Settings", page.table(("option", "value", "what it is for"), about.settings, "options")
    ) + page.section(
        "This run", page.paragraph("The same run again:"), page.code(about.command),
        page.items(facts),
    )  # fmt: skip


def _to_go_on() -> str:
    return page.section(
        "Resume",
        page.paragraph(
            "In this folder, an interrupted run goes on from where it was.  Of a finished run, the "
            "table and the pictures are made again:"
        ),
        page.code("eventsim resume ."),
    )


def _to_use(report: Report) -> str:
    """Return how the trained network is loaded, if there is one."""
    if report.network is None:
        return ""
    inputs = ", ".join(f'"{name}" ({n} sources)' for name, n in report.network.inputs.items())
    return page.section(
        "Use the trained network",
        page.paragraph("In this folder, two lines of Python load it:"),
        page.code(f'import eventsim\nnetwork = eventsim.Network.load("{NETWORK}")'),
        page.paragraph(
            f"eventsim.simulate(network, spikes, t_stop={report.t_stop}) runs it as here, with "
            f"spikes for {inputs}."
        ),
    )
