"""A live bar that fits its terminal: the name gives way first, then the bar, the times never."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from rich.console import Console, RenderableType
from rich.progress import Progress, Task, TimeElapsedColumn, TimeRemainingColumn
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

__all__ = ["Bar", "Widths", "share"]

LONGEST, SHORTEST = 24, 10  # columns of a bar that has room, and of one beside a name
SHORTEST_NAME = 4  # of one that is cut


class Widths(NamedTuple):
    """Columns of a name and of a bar; 0: it is left out."""

    name: int
    bar: int


def share(room: int, name: int) -> Widths:
    """Share the columns that the rest leaves among a name and a bar, with a space behind each.

    Examples
    --------
    >>> share(60, name=16)
    Widths(name=16, bar=24)
    >>> share(20, name=16)
    Widths(name=8, bar=10)
    >>> share(12, name=16)
    Widths(name=0, bar=11)
    """
    bar = min(LONGEST, max(room - name - 2, SHORTEST))
    left = room - bar - 2
    if left >= min(name, SHORTEST_NAME):
        return Widths(min(name, left), bar)
    return Widths(0, min(LONGEST, room - 1) if room > 1 else 0)


class Bar(Progress):
    """rich's display of one task, with its metrics on a line of their own.

    The task has the fields ``count``, such as "epoch 3/60", and ``metrics``.
    """

    def __init__(self, console: Console) -> None:
        self._elapsed, self._remaining = TimeElapsedColumn(), TimeRemainingColumn()
        super().__init__(console=console)

    def get_renderables(self) -> Iterable[RenderableType]:
        """Return the lines to show."""
        for task in self.tasks:
            yield self._line(task)
            if task.fields["metrics"]:
                yield self._cut(task.fields["metrics"])

    def _line(self, task: Task) -> Table:
        """Return name, bar, count and times of a task, as far as there is room."""
        count = Text(task.fields["count"])
        times = Text.assemble(self._elapsed.render(task), " · left ", self._remaining.render(task))
        room = self.console.width - times.cell_len - count.cell_len - 1
        name, bar = share(room, Text(task.description).cell_len)
        parts: list[tuple[int, RenderableType]] = [
            (name, self._cut(task.description)),
            (bar, ProgressBar(task.total, task.completed, bar)),
            (count.cell_len if room >= 0 else 0, count),
            (times.cell_len, times),
        ]
        line = Table.grid(padding=(0, 1, 0, 0), pad_edge=False)
        for width, _ in parts:
            if width:
                line.add_column(width=width)
        line.add_row(*(part for width, part in parts if width))
        return line

    def _cut(self, text: str) -> Text:
        """Return a text that is cut where its line ends."""
        ellipsis = self.console.encoding.startswith("utf")
        return Text(text, no_wrap=True, overflow="ellipsis" if ellipsis else "crop")
