"""Machine code is kept in files; where it cannot be, or they are damaged, it is made anew."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CALL = """
import sys, warnings
from eventsim.model.flow import flow
potential = flow(1.0, 2.0, 0.5, 1.0, 0.25, 0.0)[1]
print(potential, sum(flow._cache_hits.values()) if hasattr(flow, "_cache_hits") else -1)
"""

pytestmark = [pytest.mark.jit, pytest.mark.slow]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a folder with a copy of the package."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "eventsim", tmp_path / "site" / "eventsim", ignore=ignored)
    return tmp_path / "site"


def call(site: Path, **environment: str) -> tuple[str, int, str]:
    """Return what a function gives in a process of its own, hits of its cache, and complaints."""
    own = {"PATH": os.environ["PATH"], "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", CALL],
        capture_output=True, text=True, cwd=site, env=own | environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    potential, hits = done.stdout.split()
    return potential, int(hits), done.stderr


def make_unwritable(site: Path) -> None:
    """Leave no place beside the sources: a folder cannot be made where a file lies."""
    for folder in {path.parent for path in site.rglob("*.py")}:
        (folder / "__pycache__").write_bytes(b"")


def nowhere(tmp_path: Path) -> dict[str, str]:
    return {"HOME": "/dev/null", "TMPDIR": str(tmp_path), "XDG_CACHE_HOME": "/dev/null"}


def test_a_second_process_takes_the_code_of_the_first(site: Path, tmp_path: Path) -> None:
    first = call(site, NUMBA_CACHE_DIR=str(tmp_path / "code"))
    second = call(site, NUMBA_CACHE_DIR=str(tmp_path / "code"))
    assert (first[1:], second[1:]) == ((0, ""), (1, ""))
    assert first[0] == second[0]


def test_a_change_of_any_source_file_makes_code_anew(site: Path, tmp_path: Path) -> None:
    kept = {"NUMBA_CACHE_DIR": str(tmp_path / "code")}
    call(site, **kept)
    with (site / "eventsim" / "queue.py").open("a") as file:
        file.write("\n")
    assert call(site, **kept)[1] == 0
    assert call(site, **kept)[1] == 1


def test_where_nothing_can_be_written_code_is_kept_in_a_folder_of_the_users(
    site: Path, tmp_path: Path
) -> None:
    make_unwritable(site)
    first, second = (call(site, **nowhere(tmp_path)) for _ in range(2))
    assert (first[1], second[1]) == (0, 1)
    own = tmp_path / f"eventsim-{os.getuid()}"
    assert own.stat().st_mode & 0o777 == 0o700
    assert first[2].count("RuntimeWarning") == 1
    assert f"compiled code is kept in {own}" in first[2]


@pytest.mark.parametrize("kind", ["open to others", "a link", "a file"])
def test_a_folder_that_others_could_write_to_is_not_taken(
    site: Path, tmp_path: Path, kind: str
) -> None:
    make_unwritable(site)
    own = tmp_path / f"eventsim-{os.getuid()}"
    if kind == "a file":
        own.write_bytes(b"")
    elif kind == "a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        own.symlink_to(tmp_path / "elsewhere")
    else:
        own.mkdir()
        own.chmod(0o777)
    before = sorted(tmp_path.rglob("*"))
    for _ in range(2):
        hits, complaints = call(site, **nowhere(tmp_path))[1:]
        assert hits == 0
        assert complaints.count("RuntimeWarning") == 1
        assert "compiled code is not kept" in complaints
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
def test_damaged_files_are_made_anew(site: Path, tmp_path: Path, suffix: str) -> None:
    kept = {"NUMBA_CACHE_DIR": str(tmp_path / "code")}
    expected = call(site, **kept)[0]
    whole = {path: path.read_bytes() for path in tmp_path.rglob(f"*{suffix}")}
    assert whole
    for damage in (emptied, cut, flipped):
        for path, content in whole.items():
            path.write_bytes(damage(content))
        assert call(site, **kept) == (expected, 0, "")
    assert call(site, **kept) == (expected, 1, "")


def emptied(content: bytes) -> bytes:
    return b""


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    middle = 2 * len(content) // 3
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
