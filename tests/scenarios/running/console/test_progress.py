"""What the user sees while waiting."""

import io
import re

import pytest
from rich.console import Console

from scenarios.running.console import progress
from scenarios.running.console.progress import SILENT, ConsoleProgress

METRICS = {"loss": 0.5, "test_accuracy": 0.957}


def console(*, terminal, width=160):
    return Console(file=io.StringIO(), force_terminal=terminal, width=width)


def shown(screen):
    return screen.file.getvalue()


def test_a_terminal_gets_a_live_bar_with_the_newest_metrics():
    screen = console(terminal=True)
    with ConsoleProgress(screen).named("Yin-Yang").task(3) as tell:
        for k in (1, 2, 3):
            tell(k, METRICS)
    assert "Yin-Yang" in shown(screen)
    assert "3/3" in shown(screen)
    assert "test accuracy 95.7 %" in shown(screen)


def frames(screen):
    """Return the lines that a terminal shows one after the other, without colours.

    Some versions of rich end them with a space.
    """
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown(screen))
    return [line.rstrip() for line in re.split(r"[\r\n]+", plain) if line]


@pytest.mark.parametrize("unit", ["epoch", "ms", "measurement"])
@pytest.mark.parametrize("name", ["XOR", "Yin-Yang, seed 0", "multi-spike, tau 1.6 " * 4])
@pytest.mark.parametrize("width", [24, 40, 60, 80, 120, 200])
def test_every_line_fits_and_the_times_are_always_there(width, name, unit):
    screen = console(terminal=True, width=width)
    with ConsoleProgress(screen, name, unit).task(1200) as tell:
        tell(1200, METRICS)
    lines = frames(screen)
    assert max(map(len, lines)) <= width
    head, metrics = lines[-2:]
    assert re.search(r"\d:\d\d:\d\d · left \d:\d\d:\d\d$", head)
    assert metrics == "loss 0.500 · test accuracy 95.7 %"[: len(metrics) - 1] + metrics[-1]
    if width >= 60:
        assert f"{unit} 1200/1200" in head
        assert "━" * 10 in head
    if width >= 80:
        assert head.startswith(name[:16])


def test_a_name_is_cut_before_the_bar_is():
    screen = console(terminal=True, width=80)
    with ConsoleProgress(screen, "multi-spike, tau 1.6, seed 12, and more").task(60):
        pass
    assert re.match(r"multi-spike, tau 1.6, seed 12, and… ━{10} epoch 0/60 ", frames(screen)[-1])


def test_no_time_is_left_of_what_is_done_already():
    screen = console(terminal=True)
    with ConsoleProgress(screen, "XOR").task(3, done=3):
        pass
    assert frames(screen)[-1].endswith("epoch 3/3 0:00:00 · left 0:00:00")


@pytest.mark.parametrize("terminal", ["dumb", "unknown"])
def test_a_terminal_that_cannot_go_back_gets_lines(monkeypatch, terminal):
    monkeypatch.setenv("TERM", terminal)
    screen = console(terminal=True)
    with ConsoleProgress(screen, "XOR", "step").task(3) as tell:
        tell(3, METRICS)
    assert shown(screen).startswith("XOR: step 3/3, about 0:00:00 left · loss")


def test_without_colours_a_bar_has_none(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    screen = console(terminal=True)
    with ConsoleProgress(screen, "XOR").task(3) as tell:
        tell(3, METRICS)
    assert "━━" in shown(screen)
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", shown(screen))


@pytest.mark.parametrize("terminal", [True, False])
def test_a_part_of_a_unit_is_shown_with_one_decimal(monkeypatch, terminal):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    screen = console(terminal=terminal)
    with ConsoleProgress(screen, "MNIST").task(3) as tell:
        tell(1.26, METRICS)
    assert "epoch 1.3/3" in shown(screen)


def test_a_file_gets_a_line_now_and_then_and_one_at_the_end(monkeypatch):
    screen = console(terminal=False)
    with ConsoleProgress(screen, "Yin-Yang").task(3) as tell:
        tell(1, METRICS)  # a moment after the start: no line
        monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
        tell(2, METRICS)
        tell(3, METRICS)
    lines = shown(screen).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("Yin-Yang: epoch 2/3, about ")
    assert lines[1] == (
        "Yin-Yang: epoch 3/3, about 0:00:00 left · loss 0.500 · test accuracy 95.7 %"
    )


def test_the_title_of_a_bar_is_shown_as_it_is_written():
    screen = console(terminal=True)
    with ConsoleProgress(screen, "[/x]\x1b[5m").task(1) as tell:
        tell(1, METRICS)
    assert r"[/x]\x1b[5m" in shown(screen)


@pytest.mark.parametrize("terminal", [True, False])
def test_compilation_is_shown_and_not_counted(terminal):
    screen = console(terminal=terminal)
    with ConsoleProgress(screen).compiling():
        pass
    assert "not counted as work" in shown(screen)


def test_silence_says_nothing(capsys):
    with SILENT.compiling(), SILENT.named("x").task(3) as tell:
        tell(1, {})
    assert capsys.readouterr().out == ""
