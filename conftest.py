"""The test session: a numba cache that cannot be stale, hypothesis profiles, markers.

This file lies at the top so that a doctest run alone has it too (``pytest
eventsim/model/flow.py``).
"""

import hashlib
import os
import shutil
import sys
import time
from collections.abc import Generator
from pathlib import Path

import coverage
import hypothesis
import pytest

ROOT = Path(__file__).parent
PACKAGES = ("eventsim", "gradients", "scenarios", "tests")
UNUSED_AFTER = 24 * 3600.0  # s


def digest_of_sources() -> str:
    """Return a name that changes with any source file, and with how numba is asked to compile."""
    asked = [os.environ.get(name, "") for name in ("NUMBA_BOUNDSCHECK", "NUMBA_OPT")]
    digest = hashlib.sha256("\0".join(asked).encode())
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            digest.update(f"{path.relative_to(ROOT)}\0".encode())
            digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def use_cache_of_this_version() -> None:
    """Give numba a cache directory of its own for each version of the sources.

    numba compares a cached function with its own file only: after an edit of a function that it
    calls in another module, the old machine code would run.  Subprocesses inherit the directory.
    """
    if "numba" in sys.modules:
        raise RuntimeError("numba was imported before conftest.py could choose its cache")
    digest = digest_of_sources()
    base = Path(os.environ.get("NUMBA_CACHE_DIR", ROOT / ".numba_cache"))
    if base.name == digest:  # a parallel worker, or a test session within a test
        return
    cache = base / digest
    cache.mkdir(parents=True, exist_ok=True)
    os.utime(cache)
    remove_unused(base)
    os.environ["NUMBA_CACHE_DIR"] = str(cache)


def remove_unused(base: Path) -> None:
    """Remove the caches of versions that no session has used for a day."""
    for cache in base.glob("[0-9a-f]" * 16):
        if time.time() - cache.stat().st_mtime > UNUSED_AFTER:
            shutil.rmtree(cache, ignore_errors=True)


def register_profiles() -> None:
    """Register the hypothesis profiles; HYPOTHESIS_PROFILE chooses one.

    ci: the same examples for the same sources.  dev: new examples each time, failures remembered.
    deep: a night of search.  coverage: a few examples, for the run without compilation.
    """
    settings = hypothesis.settings
    settings.register_profile("ci", deadline=None, derandomize=True, database=None)
    settings.register_profile("coverage", settings.get_profile("ci"), max_examples=5)
    settings.register_profile("dev", deadline=None)
    settings.register_profile("deep", deadline=None, max_examples=10_000, print_blob=True)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def compiles() -> bool:
    return os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"


def simulate_the_device_if_there_is_none() -> None:
    """Let numba run CUDA kernels as threads of Python where they cannot run on a device."""
    has_driver = Path("/dev/nvidiactl").exists()
    os.environ.setdefault("NUMBA_ENABLE_CUDASIM", "0" if has_driver and compiles() else "1")


def keep_torch_to_one_thread() -> None:
    """Small tensors gain nothing by a second one, and threads spin while they wait for another."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")


use_cache_of_this_version()
keep_torch_to_one_thread()
simulate_the_device_if_there_is_none()
register_profiles()


def pytest_configure(config: pytest.Config) -> None:
    """Let what runs as plain Python overflow as silently as it does when compiled: all, or kernels.

    Where only kernels do, numpy's warnings about anything else are errors.
    """
    everywhere, kernels = (
        os.environ.get(name, "0") != "0" for name in ("NUMBA_DISABLE_JIT", "NUMBA_ENABLE_CUDASIM")
    )
    if everywhere or kernels:
        where = "" if everywhere else r":(eventsim\._engines|gradients)\.cuda\..*"
        for cause in ("overflow", "divide by zero", "invalid value"):
            line = f"ignore:{cause} encountered:RuntimeWarning{where}"
            config.addinivalue_line("filterwarnings", line)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Import nothing of tests/ for doctests but the tests: the other files are tools and peers."""
    helper = collection_path.suffix == ".py" and not collection_path.name.startswith("test_")
    return True if helper and collection_path.is_relative_to(ROOT / "tests") else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let coverage look away where that would double the time of a test and find nothing new."""
    measured = coverage.Coverage.current()
    if measured is None or is_measured(item.path):
        return (yield)
    measured.stop()
    try:
        return (yield)
    finally:
        measured.start()


def is_measured(path: Path) -> bool:
    """Tell whether a test adds coverage: scenarios run compiled alone, all else as Python too."""
    of_scenarios = (ROOT / "scenarios", ROOT / "tests" / "scenarios")
    return not compiles() or any(map(path.is_relative_to, of_scenarios))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, with the reason, what this machine cannot run."""
    if item.get_closest_marker("gpu"):
        skip_without_gpu()
    if item.get_closest_marker("cuda"):
        skip_simulation_among_compiled_code()
    for marker in item.iter_markers("peers"):
        for module in marker.args:
            pytest.importorskip(module, reason=f"the peer {module} is not installed")


def skip_simulation_among_compiled_code() -> None:
    """What a simulated kernel calls would be compiled for it alone, which takes minutes."""
    from numba import config  # late: numba is slow to import

    if config.ENABLE_CUDASIM and not config.DISABLE_JIT:
        pytest.skip("CUDA kernels are simulated with NUMBA_DISABLE_JIT=1 (make coverage)")


def skip_without_gpu() -> None:
    from numba import config, cuda  # late: numba is slow to import

    if config.ENABLE_CUDASIM or not cuda.is_available():
        pytest.skip("no CUDA device")
