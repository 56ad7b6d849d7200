"""A run folder is held by one process at a time."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scenarios.running.lock import LOCK, held

ROOT = Path(__file__).parents[4]
HOLDER = """
import sys
from pathlib import Path
from scenarios.running.lock import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_who_holds_a_folder_is_named_and_its_death_frees_it(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == b"held\n"
        with (
            pytest.raises(
                ValueError, match=rf"in use by process {process.pid} on .*, since \d{{4}}"
            ),
            held(tmp_path),
        ):
            pass
        process.send_signal(signal.SIGKILL)
    assert (tmp_path / LOCK).read_bytes()
    with held(tmp_path):
        assert f"process {os.getpid()} on" in (tmp_path / LOCK).read_text()
    assert (tmp_path / LOCK).read_bytes() == b""


def test_a_lock_is_let_go_by_an_error(tmp_path):
    with pytest.raises(KeyError), held(tmp_path):
        raise KeyError
    with held(tmp_path):
        pass


@pytest.mark.parametrize("content", [b"", b"\xff\x00" * 600])
def test_a_lock_whose_holder_cannot_be_read_is_a_lock(tmp_path, content):
    with held(tmp_path):
        (tmp_path / LOCK).write_bytes(content)
        with pytest.raises(ValueError, match="is in use by"), held(tmp_path):
            pass


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(ValueError, match=r"must have locks \(flock\), got .*No locks"):
        held(tmp_path).__enter__()


def test_a_folder_that_goes_while_it_is_locked_is_not_held(tmp_path, monkeypatch):
    real = fcntl.flock

    def late(*arguments):
        (tmp_path / LOCK).unlink()
        real(*arguments)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(ValueError, match="was removed by another process"):
        held(tmp_path).__enter__()
