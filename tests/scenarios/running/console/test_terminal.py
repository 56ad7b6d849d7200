"""What reaches the terminal: no control characters of others, and only what it can show."""

import io
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from scenarios.running.console.progress import ConsoleProgress
from scenarios.running.console.screen import Screen
from scenarios.running.console.terminal import prepare, readable, visible

ANY_TEXT = st.text(
    st.characters(exclude_categories=()) | st.sampled_from("\x1b\x9b\r\b\u202e\udcff")
)


@given(ANY_TEXT)
def test_nothing_that_a_terminal_obeys_is_left(text):
    shown = visible(text)
    assert shown.isprintable()
    assert visible(shown) == shown
    assert not any(unicodedata.category(each).startswith("C") for each in shown)


@given(ANY_TEXT, st.sampled_from(["ascii", "latin-1", "cp437", "koi8-r", "utf-8"]))
def test_any_text_is_readable_in_any_encoding(text, encoding):
    shown = readable(text, encoding)
    assert shown.encode(encoding, "strict").decode(encoding) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("95.0 ± 0.8 %", "95.0 +- 0.8 %"),
        ("§5.1 – Göltz", "section 5.1 - Goltz"),
        ("τ = ∞, |S|²", "tau = inf, |S|2"),
        ("│ ╭──╮", "| +--+"),
        ("⠋ 你", r"* \u4f60"),
    ],
)
def test_what_an_encoding_lacks_has_something_like_it(text, shown):
    assert readable(text, "ascii") == shown
    assert readable(text, "utf-8") == text


def test_a_prepared_stream_takes_any_text(monkeypatch):
    file = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(file, encoding="ascii"))
    prepare()
    sys.stdout.write("τ ± \udcff\n")
    sys.stdout.flush()
    assert file.getvalue() == b"tau +- \\xff\n"


@pytest.mark.parametrize("text", ["[bold]x[/]", "[/x]", "[link=file:///]x", ":smile:", "\x1b[31mx"])
def test_a_screen_shows_texts_as_they_are_written(text):
    screen = Screen(file=io.StringIO(), width=200, force_terminal=True)
    table = Table(title=text)
    table.add_column(text)
    table.add_row(text)
    screen.print(table)
    screen.print(text, soft_wrap=True)
    assert screen.file.getvalue().count(visible(text)) == 4


def test_what_is_printed_beside_a_live_bar_goes_through_the_screen(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    screen = Screen(force_terminal=True, width=100)
    with ConsoleProgress(screen, "xor").task(1) as tell:
        sys.stdout.write("a library speaks\n")
        tell(1, {})
    assert "a library speaks" in stream.getvalue()
