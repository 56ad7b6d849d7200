"""What every benchmark shares: timing, tables, JSON files, and runners in their own processes."""

from __future__ import annotations

import gc
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results"
ONE_THREAD = {"NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class Skipped(Exception):  # noqa: N818
    """A peer that cannot run here, with the reason."""


def one_thread() -> None:
    """Restrict this process to one thread; call before numpy and numba are imported."""
    os.environ.update(ONE_THREAD)


def measure(function: Callable[[], object], runs: int = 5) -> dict[str, float]:
    """Return medians over ``runs`` warm calls, and the first call (compilation) apart.

    Returns
    -------
    dict
        ``first_s`` wall seconds of the first call; ``wall_s`` and ``cpu_s`` medians of the
        others, ``best_s`` the fastest of them.
    """
    first, _ = _once(function)
    walls, cpus = zip(*[_once(function) for _ in range(runs)], strict=True)
    return {
        "first_s": first,
        "wall_s": median(walls),
        "cpu_s": median(cpus),
        "best_s": min(walls),
        "runs": runs,
    }


def measure_together(functions: dict[str, Callable[[], object]], runs: int = 5) -> dict:
    """`measure` several functions in turn, so that a busy machine slows all of them alike."""
    first = {name: _once(function)[0] for name, function in functions.items()}
    rounds = [{name: _once(f) for name, f in functions.items()} for _ in range(runs)]
    return {
        name: {
            "first_s": first[name],
            "wall_s": median(r[name][0] for r in rounds),
            "cpu_s": median(r[name][1] for r in rounds),
            "best_s": min(r[name][0] for r in rounds),
            "runs": runs,
        }
        for name in functions
    }


def _once(function: Callable[[], object]) -> tuple[float, float]:
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - wall, time.process_time() - cpu


def timed(function: Callable[[], object]) -> dict[str, float]:
    """Return ``wall_s`` and ``cpu_s`` of one call."""
    return dict(zip(("wall_s", "cpu_s"), _once(function), strict=True))


def ratio(measured: dict, over: str, under: str) -> float:
    """CPU time of ``over`` in units of that of ``under``."""
    return measured[over]["cpu_s"] / measured[under]["cpu_s"]


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table, with rich where it is installed."""
    texts = [[_text(cell) for cell in row] for row in rows]
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        _show_plain(title, columns, texts)
        return
    table = Table(title=title, title_justify="left")
    for k, column in enumerate(columns):
        table.add_column(column, justify="left" if k == 0 else "right")
    for row in texts:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def _show_plain(title: str, columns: Sequence[str], rows: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    print(title)
    for row in [list(columns), *rows]:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))


def _text(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:.3g}" if abs(cell) < 1000 else f"{cell:,.0f}"
    if isinstance(cell, int):
        return f"{cell:,}"
    return str(cell)


def write_json(name: str, content: dict[str, Any]) -> Path:
    """Write ``results/NAME.json``: the content, the machine and the versions."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), **content}, indent=1, default=float) + "\n")
    print(f"written: {path.relative_to(HERE.parent)}")
    return path


def machine() -> dict[str, object]:
    """Processor, load and versions, so that a figure can be judged later."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("numpy", "numba", "scipy")},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), "")


class Runner:
    """A simulator in its own process: each `run` is one line in, one JSON line out."""

    def __init__(self, python: str, script: str, *arguments: object) -> None:
        self.command = [python, str(HERE / "runners" / script), *map(str, arguments)]
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | ONE_THREAD,
        )

    def run(self) -> dict[str, Any]:
        """Run once; raise `Skipped` with the last line of its error output if it fails."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        try:
            self.process.stdin.write("run\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        for line in self.process.stdout:
            if line.startswith("JSON"):
                return json.loads(line[4:])
        errors = [line.strip() for line in self.process.stderr if line.strip()]
        raise Skipped(errors[-1] if errors else "ended without an error message")

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def in_a_fresh_process(
    command: Sequence[str], processors: int | None = None, **environment: str
) -> Any:
    """Return the last line that a script prints, as JSON; it may use so many processors."""
    allowed = os.sched_getaffinity(0)
    try:
        if processors is not None:
            os.sched_setaffinity(0, sorted(allowed)[:processors])
        done = subprocess.run(
            [sys.executable, *command], capture_output=True, text=True, check=False,
            env=os.environ | environment,
        )  # fmt: skip
    finally:
        os.sched_setaffinity(0, allowed)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def in_turn(
    starts: dict[str, Callable[[], Runner]], runs: int
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, str]]:
    """Run simulators ``runs`` + 1 times in turn.

    Parameters
    ----------
    starts : dict of str -> callable
        Starts the `Runner` of a simulator, or raises `Skipped`.
    runs : int
        Number of runs after the first one.

    Returns
    -------
    tuple of dict
        The rows of those that ran to the end, and the reasons of the others.
    """
    processes: dict[str, Runner] = {}
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in starts}
    skipped: dict[str, str] = {}
    for name, start in starts.items():
        try:
            processes[name] = start()
        except Skipped as reason:
            skipped[name] = str(reason)
    for _ in range(runs + 1):
        for name in [name for name in processes if name not in skipped]:
            try:
                rows[name].append(processes[name].run())
            except Skipped as reason:
                skipped[name] = str(reason)
    for process in processes.values():
        process.close()
    return {name: r for name, r in rows.items() if name not in skipped}, skipped


def medians(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Medians of times over the runs of a `Runner`, after the first (warm-up) run."""
    warm = rows[1:] or rows
    result = dict(rows[0])
    result.update(
        {
            "first_s": rows[0]["wall_s"],
            "wall_s": median(row["wall_s"] for row in warm),
            "cpu_s": median(row["cpu_s"] for row in warm),
            "best_s": min(row["wall_s"] for row in warm),
            "runs": len(warm),
        }
    )
    return result
