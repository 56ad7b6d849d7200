"""Ctrl-C ends a run by KeyboardInterrupt, whatever is made of it on the way."""

import signal
import sys
import threading

import pytest

from scenarios.running.command import interrupts
from scenarios.running.command.interrupts import ends_as_interrupt


def press():
    signal.raise_signal(signal.SIGINT)


def press_and_hide_it():
    try:
        press()
    except KeyboardInterrupt:
        raise RuntimeError("no compiled object yet") from None


def test_an_interrupt_that_becomes_another_error_is_one_again():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), ends_as_interrupt():
        press_and_hide_it()
    assert signal.getsignal(signal.SIGINT) is before
    assert sys.unraisablehook is not interrupts._without_interrupts


def test_an_error_without_ctrl_c_stays_what_it_is():
    with pytest.raises(RuntimeError, match="a bug"), ends_as_interrupt():
        raise RuntimeError("a bug")


def test_ctrl_c_that_was_lost_ends_the_process_when_pressed_again(monkeypatch):
    ended = []
    monkeypatch.setattr(interrupts, "_end", lambda *_: ended.append(True))
    with ends_as_interrupt():
        with pytest.raises(KeyboardInterrupt):
            press()
        assert not ended
        with pytest.raises(KeyboardInterrupt):
            press()
        assert ended


def test_an_interrupt_that_cannot_be_raised_shows_no_traceback(capsys):
    class Finalised:
        def __del__(self):
            raise KeyboardInterrupt

    with ends_as_interrupt():
        Finalised()  # gone at once
    assert capsys.readouterr().err == ""


def test_other_threads_leave_signals_alone():
    before, ran = signal.getsignal(signal.SIGINT), []

    def work():
        interrupts.end_at_once()
        with ends_as_interrupt():
            ran.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ran == [before]
