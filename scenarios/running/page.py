"""Parts of an HTML page that needs no other file, on any screen, light or dark."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence

__all__ = ["code", "document", "items", "paragraph", "picture", "section", "table"]

STYLE = """\
:root { color-scheme: light dark; --paper: #fff; --ink: #1c1c1c; --quiet: #595959; --line: #ccc;
  --shade: #f3f3f3 }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16181c; --ink: #e6e6e6; --quiet: #a8a8a8; --line: #44484f; --shade: #24272d }
}
* { box-sizing: border-box }
body { font: 1rem/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 62rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere }
h1 { font-size: 1.6rem; line-height: 1.25 }
h2 { font-size: 1.2rem; margin-top: 2.2rem }
.scroll { overflow-x: auto }
table { border-collapse: collapse; overflow-wrap: normal }
th, td { padding: .35rem 1.2rem .35rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line) }
.options th { white-space: nowrap }
.options td { min-width: 6rem }
.options td:last-child { min-width: 15rem }
pre { overflow-x: auto; padding: .7rem; background: var(--shade); overflow-wrap: normal }
figure { margin: 1.5rem 0 }
figcaption { margin-top: .4rem; color: var(--quiet) }
img { display: block; max-width: 100%; height: auto; padding: .5rem; background: #fff }
"""


def document(title: str, parts: Iterable[str]) -> str:
    """Return a whole page."""
    heading = html.escape(title)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{heading}</title>\n<style>\n{STYLE}</style>\n</head>\n"
        f"<body>\n<h1>{heading}</h1>\n{''.join(parts)}</body>\n</html>\n"
    )


def section(title: str, *parts: str) -> str:
    r"""Return a heading and what stands below it; nothing if that is empty.

    Examples
    --------
    >>> section("Notes", items(["n < 3"]))
    '<h2>Notes</h2>\n<ul>\n<li>n &lt; 3</li>\n</ul>\n'
    >>> section("Notes", items([]))
    ''
    """
    return f"<h2>{html.escape(title)}</h2>\n{''.join(parts)}" if any(parts) else ""


def paragraph(text: str) -> str:
    """Return a paragraph."""
    return f"<p>{html.escape(text)}</p>\n"


def items(texts: Iterable[str]) -> str:
    """Return a list."""
    lines = "".join(f"<li>{html.escape(text)}</li>\n" for text in texts)
    return f"<ul>\n{lines}</ul>\n" if lines else ""


def code(text: str) -> str:
    """Return lines to copy; long ones scroll."""
    return f'<pre tabindex="0">{html.escape(text)}</pre>\n'


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "results") -> str:
    """Return a table whose first column names its rows; a wide one scrolls.

    Names of "options" stay on a line.
    """
    head = "".join(f'<th scope="col">{html.escape(text)}</th>' for text in headings)
    body = "".join(_row(*row) for row in rows)
    return (
        f'<div class="scroll" tabindex="0">\n<table class="{kind}">\n<tr>{head}</tr>\n'
        f"{body}</table>\n</div>\n"
    )


def _row(name: str, *cells: str) -> str:
    rest = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
    return f'<tr><th scope="row">{html.escape(name)}</th>{rest}</tr>\n'


def picture(name: str, png: bytes, caption: str) -> str:
    """Return a picture with the sentence that says what to see."""
    words = html.escape(name.replace("_", " "))
    data = base64.b64encode(png).decode()
    return (
        f'<figure>\n<img alt="{words}" src="data:image/png;base64,{data}">\n'
        f"<figcaption>{html.escape(caption)}</figcaption>\n</figure>\n"
    )
