"""What reaches the terminal: no control characters of others, and only what it can show.

Names and messages may hold anything.  Characters that a terminal would obey are written as escapes,
and those that its encoding lacks as something readable; both are decided here, not at each print.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
import unicodedata

__all__ = ["prepare", "readable", "visible"]

SIZES = {"COLUMNS": range(20, 1001), "LINES": range(5, 1001)}  # what one can read in
SIGNS = {
    "–": "-", "—": "-", "−": "-", "±": "+-", "·": "*", "×": "x", "…": "...", "§": "section ",
    "→": "->", "≤": "<=", "≥": ">=", "∞": "inf", "‘": "'", "’": "'", "“": '"', "”": '"',
    "│": "|", "┃": "|", "─": "-", "━": "-",
}  # fmt: skip


def visible(text: str) -> str:
    r"""Return a text with escapes for all that a terminal would obey or not show.

    Examples
    --------
    >>> print(visible("a\x1b[31mb\n\udcff"))
    a\x1b[31mb\n\xff
    """
    return "".join(each if each.isprintable() else _escape(each) for each in text)


def _escape(character: str) -> str:
    """Return an escape; for a byte of a name that is no text, that of the byte."""
    byte = ord(character) - 0xDC00
    if 0x80 <= byte <= 0xFF:
        return f"\\x{byte:x}"
    return character.encode("unicode_escape").decode("ascii")


def readable(text: str, encoding: str) -> str:
    """Return a text as a stream of that encoding will show it.

    Examples
    --------
    >>> readable("95.0 ± 0.8 %, τ = 2, Göltz", "ascii")
    '95.0 +- 0.8 %, tau = 2, Goltz'
    """
    return text.encode(encoding, HANDLER).decode(encoding)


def _replace(error: UnicodeError) -> tuple[str, int]:
    """Replace what an encoding lacks: a handler for `codecs.register_error`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_in_ascii, error.object[error.start : error.end])), error.end


def _in_ascii(character: str) -> str:
    name = unicodedata.name(character, "")
    if character in SIGNS:
        return SIGNS[character]
    if name.startswith("BOX DRAWINGS"):
        return "+"
    if name.startswith("BRAILLE"):  # a spinner
        return "*"
    if name.startswith("GREEK SMALL LETTER"):
        return name.rsplit(" ", 1)[1].lower()
    base = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return base or _escape(character)


HANDLER = "eventsim.readable"
codecs.register_error(HANDLER, _replace)


def prepare() -> None:
    """Let the standard streams take any text, and forget sizes in which nothing can be shown."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=HANDLER)
    for name, sizes in SIZES.items():
        value = os.environ.get(name, "")
        if not (value.isdecimal() and value.isascii() and len(value) < 9 and int(value) in sizes):
            os.environ.pop(name, None)
